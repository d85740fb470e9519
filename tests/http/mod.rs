//! What tests of the layer share: a service to put it around, and an observer that remembers.
#![allow(dead_code)]

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use flowgate::http::{Event, Limited, Observe};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use tower::{Service, ServiceExt};

pub(crate) type Body = Full<Bytes>;

/// Answers `served`.
pub(crate) async fn serve<B>(_request: Request<B>) -> Result<Response<Body>, Infallible> {
    Ok(Response::new(Body::from("served")))
}

/// Asks a clone of a service, as servers do.
pub(crate) async fn ask<S, B>(service: &S, request: Request<B>) -> Response<Limited<Body>>
where
    S: Service<Request<B>, Response = Response<Limited<Body>>, Error = Infallible> + Clone,
{
    service.clone().oneshot(request).await.unwrap()
}

pub(crate) async fn text(response: Response<Limited<Body>>) -> String {
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

pub(crate) fn get(path: &str) -> Request<()> {
    Request::get(path).body(()).unwrap()
}

type Told = (Event, Vec<&'static str>);

/// An observer that remembers what it was told.
#[derive(Clone, Default)]
pub(crate) struct Seen(Arc<Mutex<Vec<Told>>>);

impl Observe for Seen {
    fn observe(&self, event: Event, policies: &[&'static str]) {
        self.0.lock().unwrap().push((event, policies.to_vec()));
    }
}

impl Seen {
    pub(crate) fn take(&self) -> Vec<Told> {
        std::mem::take(&mut self.0.lock().unwrap())
    }

    pub(crate) fn count(&self, event: Event) -> usize {
        self.0.lock().unwrap().iter().filter(|(seen, _)| *seen == event).count()
    }
}
