//! What the comparison says of the algorithms, as promises.

use std::time::Duration;

use crate::arguments::Settings;
use crate::replay::Report;
use crate::trace::Trace;
use crate::{built_in, picture, replay, run, table};

fn settings() -> Settings {
    Settings::new("100", "60s").unwrap()
}

fn replayed(name: &str) -> (Trace, Vec<Report>) {
    let trace = built_in::made(name, settings()).unwrap();
    let reports = replay::all(&trace, settings()).unwrap();
    (trace, reports)
}

fn worst(reports: &[Report], name: &str) -> u64 {
    reports.iter().find(|report| report.name == name).unwrap().worst
}

#[test]
fn at_the_boundary_a_fixed_window_lets_twice_the_limit_pass_and_the_exact_log_never_more_than_it() {
    let (_, reports) = replayed("boundary");
    assert_eq!(worst(&reports, "fixed window"), 200);
    // One call started the window.
    assert_eq!(worst(&reports, "fixed, from first call"), 199);
    assert_eq!(worst(&reports, "exact log"), 100);
}

#[test]
fn every_algorithm_keeps_its_bound_in_every_window() {
    for name in built_in::BUILT_IN {
        let (_, reports) = replayed(name);
        for (algorithm, bound) in [
            // Burst + rate × window, and a window has its start and not its end.
            ("token bucket", 200),
            ("token bucket, small burst", 110),
            ("GCRA", 200),
            ("leaky bucket", 200),
            ("leaky queue, as they leave", 100),
            ("fixed window", 200),
            ("fixed, from first call", 200),
            ("sliding window", 199),
            ("exact log", 100),
        ] {
            let worst = worst(&reports, algorithm);
            assert!(worst <= bound, "{name}: {algorithm} let {worst} pass");
        }
    }
}

/// The crate's log lets as much pass as a list of all times does, but for calls that come within its tick, 16 ns.
#[test]
fn the_exact_log_is_exact() {
    use crate::algorithms::Answer;
    use crate::exact_log::ExactLog;
    use std::collections::HashMap;

    let at = settings();
    for name in built_in::BUILT_IN {
        let (trace, reports) = replayed(name);
        let mut logs = HashMap::new();
        let mut admitted = 0_usize;
        for arrival in &trace.arrivals {
            let log = logs.entry(arrival.key).or_insert_with(|| ExactLog::new(100, at.period_ns));
            let answer = log.try_consume_at(arrival.time_ns);
            admitted += usize::from(answer == Answer::Admitted(Duration::ZERO));
        }
        let report = reports.iter().find(|report| report.name == "exact log").unwrap();
        assert!(
            report.admitted_ns.len().abs_diff(admitted) <= 1 + admitted / 10_000,
            "{name}: {admitted}"
        );
    }
}

#[test]
fn each_call_is_admitted_or_rejected() {
    for name in built_in::BUILT_IN {
        let (trace, reports) = replayed(name);
        for report in reports {
            let answered = report.admitted_ns.len() + report.rejected_ns.len();
            assert_eq!(answered, trace.arrivals.len(), "{name}: {}", report.name);
        }
    }
}

#[test]
fn who_is_below_the_limit_is_never_rejected() {
    let text: String = (0..200).map(|call| format!("{}.{},a\n", call * 2, call % 10)).collect();
    let trace = crate::csv::parse("slow", text.as_bytes()).unwrap();
    for report in replay::all(&trace, settings()).unwrap() {
        assert_eq!(report.rejected_ns.len(), 0, "{}", report.name);
    }
}

#[test]
fn keys_do_not_share_a_limit() {
    let text: String = (0..1_000).map(|call| format!("5.{call:03},key {}\n", call % 100)).collect();
    let trace = crate::csv::parse("many keys", text.as_bytes()).unwrap();
    for report in replay::all(&trace, settings()).unwrap() {
        assert_eq!((report.admitted_ns.len(), report.worst), (1_000, 10), "{}", report.name);
    }
}

#[test]
fn times_since_1970_are_as_good_as_any() {
    let text = |start: u64| -> String {
        (0..300).map(|call| format!("{}.{:03},a\n", start + call / 10, call)).collect()
    };
    let start = 1_700_000_040;
    assert_eq!(start % 60, 0);
    let [early, late] = [text(0), text(start)].map(|text| {
        replay::all(&crate::csv::parse("some", text.as_bytes()).unwrap(), settings()).unwrap()
    });
    for (early, late) in early.iter().zip(&late) {
        let figures = [early, late].map(|report| table::figures(report, settings()));
        assert_eq!(figures[0], figures[1]);
    }
}

#[test]
fn pictures_are_the_same_on_each_run() {
    for name in built_in::BUILT_IN {
        let [first, second] = [(); 2].map(|()| {
            let (trace, reports) = replayed(name);
            picture::paint(&trace, settings(), &reports).unwrap()
        });
        assert!(first.starts_with("<svg") && first.trim_end().ends_with("</svg>"));
        assert_eq!(first, second);
    }
}

#[test]
fn the_guide_shows_these_pictures_and_figures() {
    let again = "run `cargo run --release --example compare_algorithms` and see docs/choosing.md";
    let docs = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let guide = std::fs::read_to_string(docs.join("choosing.md")).unwrap();
    for name in built_in::BUILT_IN {
        let (trace, reports) = replayed(name);
        let drawn = picture::paint(&trace, settings(), &reports).unwrap();
        let kept = std::fs::read_to_string(docs.join(format!("choosing-{name}.svg"))).unwrap();
        assert!(drawn == kept, "choosing-{name}.svg is another picture: {again}");
        for report in &reports {
            let figures = table::figures(report, settings());
            assert!(guide.contains(&figures), "{name} has other figures: {figures}\n{again}");
        }
    }
}

/// A folder that goes away with the test.
struct Folder(std::path::PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let name = format!("flowgate-compare-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn with(self, name: &str, text: &str) -> Self {
        std::fs::write(self.0.join(name), text).unwrap();
        self
    }

    fn run(&self, trace: &str) -> Result<(), String> {
        let place = |name| self.0.join(name).display().to_string();
        run(&[place(trace), "--out".to_owned(), place("out")]).map_err(|error| error.to_string())
    }

    /// The files in a folder in it; `None` if there is none.
    fn files_in(&self, name: &str) -> Option<Vec<String>> {
        let files = std::fs::read_dir(self.0.join(name)).ok()?;
        Some(files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_bad_line_is_named_and_nothing_is_written() {
    let folder = Folder::new("bad").with("bad.csv", "time,key\n1,a\nsoon,a\n");
    let error = folder.run("bad.csv").unwrap_err();
    assert!(error.contains("bad.csv: 1 line is wrong"), "{error}");
    assert!(error.contains("\nline 3: \"soon\""), "{error}");
    assert_eq!(folder.files_in("out"), None);
}

#[test]
fn a_good_trace_leaves_its_picture_and_nothing_else() {
    let folder = Folder::new("good").with("good.csv", "time,key\n1,a\n2,b\n");
    folder.run("good.csv").unwrap();
    assert_eq!(folder.files_in("out"), Some(vec!["good.svg".to_owned()]));
}

#[test]
fn a_picture_that_has_no_place_is_told_and_leaves_nothing_beside_it() {
    let folder = Folder::new("no-place").with("good.csv", "1,a\n");
    // A folder is where the picture should be.
    std::fs::create_dir_all(folder.0.join("out/good.svg/taken")).unwrap();
    let error = folder.run("good.csv").unwrap_err();
    assert!(error.contains("good.svg cannot be written"), "{error}");
    assert_eq!(folder.files_in("out"), Some(vec!["good.svg".to_owned()]));
}

#[test]
fn arguments_that_make_no_sense_are_told() {
    for (arguments, due) in [
        (vec!["--limit", "0"], "--limit 0: use a whole number, 1 to 10000"),
        (vec!["--limit"], "--limit needs a value"),
        (vec!["--period", "1us"], "--period 1us: unknown unit"),
        (vec!["--period", "0.1ms"], "--period 100µs: use at least 1ms"),
        (vec!["--speed", "3"], "there is no --speed"),
        (vec!["steady", "day"], "one trace at a time"),
        (vec!["nothing.csv"], "nothing.csv is not one of steady, bursty"),
    ] {
        let arguments: Vec<String> = arguments.into_iter().map(str::to_owned).collect();
        let error = run(&arguments).unwrap_err().to_string();
        assert!(error.starts_with(due), "{error}");
    }
}
