//! The layer's part of the page: around a service that does nothing, beside the layers of others.

use crate::algorithms::Section;
use crate::names::Path;
use crate::targets::{Bound, Target};

pub(crate) const SECTION: Section = Section {
    name: "http",
    title: "A layer in front of a service",
    about: "What one request takes in this process, from the call of the service to its response, by the address of its \
            connection, with each layer's defaults where nothing else is said. The service does nothing but drop the request. Making \
            the request and dropping the response are not in it.",
    paths: &[
        Path {
            name: "http_allowed",
            title: "Layer, allowed",
            about: "A bucket that neither runs dry nor fills up. What a layer costs is its time less that of the service alone.",
            yardstick: "http_flowgate",
        },
        Path {
            name: "http_full",
            title: "Layer, allowed, always full",
            about: "A bucket that is full again at each call, as that of a client that comes now and then.",
            yardstick: "http_flowgate",
        },
        Path {
            name: "http_denied",
            title: "Layer, denied",
            about: "One an hour, which is gone: each request is refused, with a response that says so.",
            yardstick: "http_flowgate",
        },
    ],
};

pub(crate) fn targets() -> Vec<Target> {
    let mut all = Vec::new();
    for (path, answer) in [("http_allowed", "allowed"), ("http_denied", "denied")] {
        let what = format!("layer in front of a service, {answer}");
        all.push(Target::within(&what, 1_000.0, (path, 1, "http_flowgate")));
        for (rival, name) in [("tower_governor", "tower_governor"), ("rate_net_layer", "rate-net")]
        {
            let (ours, theirs) = ((path, 1, "http_flowgate"), (path, 1, rival));
            all.push(Target::ratio(&what, Bound::TimeAtMost(1.0), ours, theirs, name));
        }
    }
    all
}
