//! A process that asks, and writes down what it was granted.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use flowgate::Denied;
use flowgate::redis::{Admitted, Lease, LeasedLimiter, RedisError, RedisLimiter, RedisStore};

use super::SPAN;
use super::plan::{Plan, Span};
use super::record::Recorder;
use super::time::{now_us, sleep_until_us};

/// All ask for the same key.
const KEY: &str = "all";
/// Of a process whose calls take a round trip each, so many are under way at once.
const TASKS: usize = 4;

/// Does what the plan says, to its end.
pub(crate) fn run(plan: &Plan, file: &Path) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let mut recorder = Recorder::to(file);
    let store = runtime.block_on(connect(plan));
    recorder.ready();
    let span = wait_for_span(&file.with_file_name(SPAN));
    match plan.mode.lease() {
        None => runtime.block_on(ask_remotely(plan, span, &store, recorder)),
        Some(lease) => {
            let _within = runtime.enter();
            ask_locally(plan, span, &store, lease, recorder);
        }
    }
}

/// A server that is being restarted is waited for.
async fn connect(plan: &Plan) -> RedisStore {
    let until = Instant::now() + Duration::from_secs(5);
    loop {
        let store = match &plan.urls[..] {
            [url] => RedisStore::connect(url).await,
            urls => RedisStore::cluster(urls.iter().map(String::as_str)).await,
        };
        match store {
            Ok(store) => return store.timeout(plan.timeout),
            Err(error) => assert!(Instant::now() < until, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Whoever started it says so when all of the others are ready.
fn wait_for_span(file: &Path) -> Span {
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        if let Ok(text) = std::fs::read_to_string(file) {
            let (begins, ends) = text.split_once(' ').unwrap();
            return Span { begins_us: begins.parse().unwrap(), ends_us: ends.parse().unwrap() };
        }
        assert!(Instant::now() < until, "nobody says when to begin");
        std::thread::sleep(Duration::from_millis(2));
    }
}

async fn ask_remotely(plan: &Plan, span: Span, store: &RedisStore, recorder: Recorder) {
    let limiter = RedisLimiter::new(store, plan.quota).unwrap();
    let recorder = Arc::new(Mutex::new(recorder));
    let tasks: Vec<_> = (0..TASKS)
        .map(|_| {
            let (plan, limiter, recorder) = (plan.clone(), limiter.clone(), Arc::clone(&recorder));
            tokio::spawn(async move {
                sleep_until_us(span.begins_us);
                while now_us() < span.ends_us {
                    let since = Duration::from_micros(now_us() - span.begins_us);
                    if !plan.traffic.is_on(since, std::process::id()) {
                        recorder.lock().unwrap().tick();
                        tokio::time::sleep(Duration::from_millis(1)).await;
                        continue;
                    }
                    let from_us = now_us();
                    let said = limiter.try_consume(KEY, 1).await;
                    {
                        let mut recorder = recorder.lock().unwrap();
                        match &said {
                            Ok(_) => recorder.granted(from_us),
                            Err(RedisError::Store(error)) => recorder.error(error.kind()),
                            Err(RedisError::Denied(_)) => {}
                        }
                        recorder.tick();
                    }
                    if said.is_err() {
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    Arc::into_inner(recorder).unwrap().into_inner().unwrap().finish(None);
}

/// On this thread, which never waits for anything but its own pauses.
fn ask_locally(plan: &Plan, span: Span, store: &RedisStore, lease: Lease, mut recorder: Recorder) {
    let limiter = LeasedLimiter::<String>::new(store, "flowgate", plan.quota, lease).unwrap();
    let (after_grant, after_denial) = plan.traffic.pauses();
    sleep_until_us(span.begins_us);
    let mut is_down = false;
    while now_us() < span.ends_us {
        let from_us = now_us();
        let since = Duration::from_micros(from_us - span.begins_us);
        if !plan.traffic.is_on(since, std::process::id()) {
            recorder.tick();
            std::thread::sleep(Duration::from_micros(300));
            continue;
        }
        let asked = Instant::now();
        let said = limiter.try_consume(KEY, 1);
        recorder.took(u64::try_from(asked.elapsed().as_nanos()).unwrap(), is_down);
        let pause = match said {
            Ok(Admitted::Granted(_)) => {
                recorder.granted(from_us);
                is_down &= limiter.stats().is_down;
                after_grant
            }
            Ok(Admitted::Degraded) => {
                recorder.uncounted();
                is_down = limiter.stats().is_down;
                recorder.tick();
                after_denial
            }
            Err(denied) => {
                if let Denied::Unavailable(unavailable) = denied {
                    recorder.error(unavailable.kind());
                }
                is_down = limiter.stats().is_down;
                recorder.tick();
                after_denial
            }
        };
        if !pause.is_zero() {
            std::thread::sleep(pause);
        }
    }
    recorder.finish(Some(limiter.stats()));
}
