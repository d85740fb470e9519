//! The clock of the server's machine is set, an hour ahead or back, by libfaketime.

use std::fs;
use std::path::{Path, PathBuf};

use crate::fleet::{Fleet, Mode, granted_between, micros, now_us};
use crate::redis_server::Server;
use crate::suite::{A_BATCH_EACH, CAPACITY, PROCESSES, Seen, Suite, both_modes, ms, plan};
use crate::table::Row;

pub(crate) fn stepped(_suite: &Suite) -> Vec<Row> {
    let Some(library) = library() else {
        let has_to_run = std::env::var_os("FLOWGATE_NO_SKIPS").is_some_and(|value| value == "1");
        return vec![Row::new("", "libfaketime", "skipped: not here".into(), !has_to_run)];
    };
    let mut rows = Vec::new();
    for mode in both_modes() {
        for (name, step) in [("back", "-3600"), ("ahead", "+3600")] {
            let (seen, before, after) = step_once(&library, mode, step);
            let (expected, most) = match (name, mode) {
                ("back", _) => ("never over; nothing is refilled in that hour", 0.0),
                (_, Mode::Remote) => {
                    ("that hour is refilled: a bucket more at most", CAPACITY as f64)
                }
                _ => ("told what busy processes know: a batch each at most", A_BATCH_EACH),
            };
            let goes_on = name == "back" || after > before / 2;
            rows.push(Row::new(
                format!("{}, {name}", mode.name()),
                expected,
                format!("{}; {before} granted in 500 ms before, {after} after", seen.figure()),
                seen.over <= most && before > 500 && goes_on,
            ));
        }
    }
    rows
}

fn step_once(library: &Path, mode: Mode, step: &str) -> (Seen, u64, u64) {
    let file = std::env::temp_dir().join(format!("flowgate-time-{}", std::process::id()));
    fs::write(&file, "+0").unwrap();
    let server = Server::with_environment(&[
        ("LD_PRELOAD", &preloaded(library)),
        ("FAKETIME_TIMESTAMP_FILE", file.to_str().unwrap()),
        ("FAKETIME_NO_CACHE", "1"),
        // Its timers go on.
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
    ]);
    let seconds = || server.say::<Vec<i64>>(&["TIME"])[0];
    let fleet = Fleet::start(PROCESSES, &plan(server.url(), mode), ms(1_500));
    fleet.sleep_until(ms(700));
    let (stepped_us, was) = (now_us(), seconds());
    // Put in its place in one step: half a word would be another time.
    let new = file.with_extension("new");
    fs::write(&new, step).unwrap();
    fs::rename(&new, &file).unwrap();
    fleet.sleep_until(ms(800));
    let moved = seconds() - was;
    assert!(moved.abs() > 3_500, "the server's clock moved by {moved} s");
    let seen = Seen::of(fleet.finish());
    fs::remove_file(&file).unwrap();
    let before = granted_between(&seen.grants, stepped_us - micros(ms(500)), stepped_us);
    let later_us = stepped_us + micros(ms(200));
    let after = granted_between(&seen.grants, later_us, later_us + micros(ms(500)));
    (seen, before, after)
}

/// With the C library's own allocator before the server's, which asks for the time before libfaketime can tell it.
fn preloaded(library: &Path) -> String {
    let libraries = library.parent().and_then(Path::parent).unwrap();
    format!("{}:{}", library.display(), libraries.join("libc.so.6").display())
}

/// For a program of several threads, as the server is.
fn library() -> Option<PathBuf> {
    let folders = fs::read_dir("/usr/lib").ok()?;
    let inside = folders.flatten().map(|folder| folder.path().join("faketime/libfaketimeMT.so.1"));
    inside.into_iter().find(|path| path.exists())
}
