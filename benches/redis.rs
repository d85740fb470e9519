//! Decisions in Redis, a round trip each, beside other scripts: how many a second, one after the other and 64 at a time, and what
//! each takes of the server's one core. Then decisions on leased tokens, beside those on a bucket of the process's own, and how
//! often they ask the server.
//!
//! ```console
//! $ cargo bench --features redis --bench redis
//! ```
//!
//! starts a `redis-server` of its own on the loopback, and keeps it to one core and its client to another: left alone, the operating
//! system has them share one now and then. All rows are measured in turn, over several rounds; the medians are printed.
//! `BENCH_ROUNDS` says how many, 21 by default. `ci/bench-report.sh` runs it several times over, of nine rounds each, and makes
//! `docs/performance.md` of the medians, which are then also written into the folder that `REDIS_REPORT_DIR` names.

#![allow(clippy::expect_used)]

mod cores;
#[path = "../examples/keyed_report/figures.rs"]
#[allow(dead_code)]
mod figures;

use std::cell::Cell;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::time::{Duration, Instant};

use figures::Figures;
use flowgate::redis::{Lease, LeasedLimiter, RedisLimitSet, RedisLimiter, RedisStore, WhenDown};
use flowgate::{Gcra, KeyedLimiter, Quota, SlidingWindow, TokenBucket};
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Script, Value};

/// How long a row is measured in a round: short, so that rows to be compared share what disturbs them.
const SPAN: Duration = Duration::from_millis(200);
/// How long a call of any row may take. None should: then it is told what disturbed it.
const TIMEOUT: Duration = Duration::from_secs(10);
/// So many users, each with a bucket.
const KEYS: u64 = 1_000;
/// A missing token lasts a second, so a key is there whenever its turn comes again: what is measured is the way of a limit in use.
const RATE: u64 = 1;
/// More than a row takes of a key.
const BURST: u64 = 100_000_000;

/// A token bucket in a hash, as it is often written: two fields in floating point, and a time to live apart.
const HASH: &str = r"
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local rate, burst, cost = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local state = redis.call('HMGET', KEYS[1], 'tokens', 'since')
local tokens = tonumber(state[1]) or burst
local since = tonumber(state[2]) or now
tokens = math.min(burst, tokens + math.max(0, now - since) * rate)
local allowed = 0
if tokens >= cost then
  tokens = tokens - cost
  allowed = 1
end
redis.call('HSET', KEYS[1], 'tokens', tokens, 'since', now)
redis.call('PEXPIRE', KEYS[1], math.ceil(burst / rate * 1000) + 1)
return { allowed, math.floor(tokens) }
";

/// GCRA on one float, the theoretical arrival time, as go-redis/redis_rate keeps it; in words of our own.
const GCRA: &str = r"
local burst, rate, period, cost = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local interval = period / rate
local time = redis.call('TIME')
local now = (time[1] - 1500000000) + time[2] / 1000000
local due = tonumber(redis.call('GET', KEYS[1]) or now)
local next_due = math.max(due, now) + interval * cost
local slack = now - (next_due - interval * burst)
local left = slack / interval
if left < 0 then
  return { 0, 0, tostring(-slack), tostring(due - now) }
end
local reset = next_due - now
if reset > 0 then
  redis.call('SET', KEYS[1], next_due, 'EX', math.ceil(reset))
end
return { cost, left, tostring(-1), tostring(reset) }
";

#[derive(Clone)]
enum Row {
    Bucket(RedisLimiter),
    Gcra(RedisLimiter<Gcra>),
    Sliding(RedisLimiter<SlidingWindow>),
    Set(RedisLimitSet<2>),
    Script(ConnectionManager, Rc<Script>, &'static str, Vec<u64>),
    /// What a round trip takes that decides nothing.
    Get(ConnectionManager),
}

impl Row {
    async fn call(&mut self, key: u64) {
        match self {
            Self::Bucket(limiter) => drop(limiter.try_consume(key, 1).await.expect("a grant")),
            Self::Gcra(limiter) => drop(limiter.try_consume(key, 1).await.expect("a grant")),
            Self::Sliding(limiter) => drop(limiter.try_consume(key, 1).await.expect("a grant")),
            Self::Set(set) => drop(set.try_consume(key, [1, 1]).await.expect("grants")),
            Self::Script(connection, script, name, numbers) => {
                let mut call = script.key(format!("{name}:{key}"));
                for number in &*numbers {
                    call.arg(number);
                }
                let reply: Vec<Value> = call.invoke_async(connection).await.expect("a reply");
                assert_eq!(reply.first(), Some(&Value::Int(1)));
            }
            Self::Get(connection) => {
                let mut get = redis::cmd("GET");
                let reply: Value = get.arg(key).query_async(connection).await.expect("a reply");
                assert_eq!(reply, Value::Nil);
            }
        }
    }
}

struct Server {
    process: Child,
    port: u16,
}

impl Server {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("its number").port();
        drop(listener);
        let port_text = port.to_string();
        let process = Command::new("redis-server")
            .args(["--port", &port_text, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server, to be installed first");
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            std::thread::sleep(Duration::from_millis(10));
        }
        Self { process, port }
    }

    /// The microseconds of a processor that the server has used so far.
    fn used_us(&self) -> f64 {
        let client = redis::Client::open(format!("redis://127.0.0.1:{}/", self.port));
        let mut connection = client.and_then(|client| client.get_connection()).expect("a server");
        let cpu: String =
            redis::cmd("INFO").arg("cpu").query(&mut connection).expect("its figures");
        let figure = |name: &str| -> f64 {
            let found = cpu.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            found.and_then(|text| text.trim().parse().ok()).expect("a figure")
        };
        (figure("used_cpu_user") + figure("used_cpu_sys")) * 1e6
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// Calls in a second, with so many in flight, and all of them.
async fn measure(row: &Row, in_flight: u64) -> (f64, f64) {
    let calls = Rc::new(Cell::new(0_u64));
    let started = Instant::now();
    let tasks = (0..in_flight).map(|_| {
        let (mut row, calls) = (row.clone(), calls.clone());
        tokio::task::spawn_local(async move {
            while started.elapsed() < SPAN {
                let call = calls.get();
                calls.set(call + 1);
                row.call(call % KEYS).await;
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.expect("no row panics");
    }
    // Far below 2^53.
    #[allow(clippy::cast_precision_loss)]
    let calls = calls.get() as f64;
    (calls / started.elapsed().as_secs_f64(), calls)
}

/// All rows find what they left, or another way through a script would be measured.
async fn assert_keys_are_there(connection: &ConnectionManager) {
    let names: [fn(u64) -> String; 7] = [
        |key| format!("flowgate:{{{key}}}"),
        |key| format!("g:{{{key}}}"),
        |key| format!("s:{{{key}}}"),
        |key| format!("set:{{{key}}}:requests"),
        |key| format!("set:{{{key}}}:tokens"),
        |key| format!("hash:{key}"),
        |key| format!("gcra:{key}"),
    ];
    for name in names {
        let mut exists = redis::cmd("EXISTS");
        for key in 0..KEYS {
            exists.arg(name(key));
        }
        let there: u64 = exists.query_async(&mut connection.clone()).await.expect("a reply");
        assert_eq!(there, KEYS, "as {}", name(7));
    }
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

fn from_env(name: &str) -> Option<usize> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

/// The name under which the report looks for the figures.
const FILE: &str = "redis_report.txt";

/// Where the report wants the figures.
fn report_folder() -> Option<std::ffi::OsString> {
    std::env::var_os("REDIS_REPORT_DIR")
}

fn rounds() -> usize {
    match report_folder() {
        Some(_) => 9,
        None => from_env("BENCH_ROUNDS").unwrap_or(21),
    }
}

/// Measures each row in each round, every other one backwards, after a round that warms up.
async fn in_turn<const ROWS: usize, T>(mut measure: impl AsyncFnMut(usize) -> T) -> [Vec<T>; ROWS] {
    let mut found = [const { Vec::new() }; ROWS];
    let first = from_env("BENCH_ROUND").unwrap_or(1);
    for round in 0..=rounds() {
        for at in 0..ROWS {
            let row = if (first + round).is_multiple_of(2) { at } else { ROWS - 1 - at };
            let figure = measure(row).await;
            if round > 0 {
                found[row].push(figure);
            }
        }
    }
    found
}

/// Returns the decisions a second of a row, one after the other.
async fn run(server: &Server, figures: &mut Figures) -> f64 {
    let url = format!("redis://127.0.0.1:{}/", server.port);
    let store = RedisStore::connect(&url).await.expect("a server");
    let store = store.timeout(TIMEOUT);
    let client = redis::Client::open(&*url).expect("an address");
    let config = ConnectionManagerConfig::new().set_response_timeout(Some(TIMEOUT));
    let connection = ConnectionManager::new_with_config(client, config).await.expect("a server");
    let quota = Quota::per_second(RATE).burst(BURST);
    // A minute has fewer exact numbers.
    let window = SlidingWindow::new(BURST / 10, Duration::from_secs(60));
    let script = |text, name, numbers: &[u64]| {
        Row::Script(connection.clone(), Rc::new(Script::new(text)), name, numbers.to_vec())
    };
    let two = [("requests", quota), ("tokens", quota)];
    let rows = [
        (
            "bucket",
            "flowgate, token bucket",
            Row::Bucket(RedisLimiter::new(&store, quota).expect("ours")),
        ),
        ("hash", "a hash: HMGET, HSET, PEXPIRE", script(HASH, "hash", &[RATE, BURST, 1])),
        (
            "gcra_float",
            "GCRA on a float, as redis_rate",
            script(GCRA, "gcra", &[BURST, RATE, 1, 1]),
        ),
        (
            "gcra",
            "flowgate, GCRA",
            Row::Gcra(RedisLimiter::new(&store, Gcra::new(quota)).expect("ours").named("g")),
        ),
        (
            "sliding",
            "flowgate, sliding window",
            Row::Sliding(RedisLimiter::new(&store, window).expect("ours").named("s")),
        ),
        (
            "set",
            "flowgate, two limits at once",
            Row::Set(RedisLimitSet::new(&store, "set", two).expect("ours")),
        ),
        ("get", "GET of nothing", Row::Get(connection.clone())),
    ];
    let measured = Cell::new(0);
    let found: [_; 7] = in_turn(async |at| {
        let row = &rows[at].2;
        // The round that warms up is over.
        if measured.replace(measured.get() + 1) == rows.len() {
            assert_keys_are_there(&connection).await;
        }
        let (alone, _) = measure(row, 1).await;
        let before_us = server.used_us();
        let (together, calls) = measure(row, 64).await;
        [alone, together, (server.used_us() - before_us) / calls]
    })
    .await;
    let of = |row: usize, figure: usize| found[row].iter().map(|figures| figures[figure]).collect();
    println!(
        "| a decision | one after the other, 1/s | 64 in flight, 1/s | beside ours | of the server's core, us |"
    );
    println!("|---|---:|---:|---:|---:|");
    let ours: Vec<f64> = of(0, 1);
    for (at, (name, label, _)) in rows.iter().enumerate() {
        // Round by round: what disturbs one disturbs its neighbour.
        let ratios = ours.iter().zip(of(at, 1)).map(|(ours, row): (_, f64)| ours / row).collect();
        let [alone, together, server_us] = [0, 1, 2].map(|figure| median(of(at, figure)));
        println!(
            "| {label} | {alone:.0} | {together:.0} | {:.2} | {server_us:.2} |",
            median(ratios)
        );
        let name = format!("redis_{name}");
        figures.add(&figures::name("redis_per_second", 1, &name), alone);
        figures.add(&figures::name("redis_per_second", 64, &name), together);
        figures.add(&figures::name("redis_server_ns", 64, &name), server_us * 1e3);
    }
    median(of(0, 0))
}

/// So many decisions of a local row in a round.
const DECISIONS: u32 = 4_000_000;
/// More than one thread can use.
const PLENTY: u64 = 400_000_000;

/// The nanoseconds of a decision; all of them must be grants, but for those while the next batch is under way.
fn local(decide: &dyn Fn() -> bool) -> f64 {
    let (started, mut granted) = (Instant::now(), 0_u32);
    for _ in 0..DECISIONS {
        granted += u32::from(std::hint::black_box(decide()));
    }
    let ns = started.elapsed().as_secs_f64() * 1e9 / f64::from(DECISIONS);
    assert!(granted > DECISIONS / 100 * 95, "{granted} of {DECISIONS}");
    ns
}

fn lease() -> Lease {
    Lease::when_down(WhenDown::Deny).lifetime(Duration::from_millis(500)).processes(1)
}

async fn leased(url: &str, quota: Quota) -> LeasedLimiter<u64> {
    let limiter = LeasedLimiter::connect(url, quota, lease()).await.expect("a server");
    // Batches grow to what is used.
    for _ in 0..100 {
        for _ in 0..100_000 {
            std::hint::black_box(limiter.is_allowed(&7));
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    limiter
}

/// Decisions on tokens that are leased, beside those of a process alone.
async fn run_leased(server: &Server, one_after_the_other: f64, figures: &mut Figures) {
    let url = format!("redis://127.0.0.1:{}/1", server.port);
    let quota = Quota::per_second(PLENTY).burst(PLENTY);
    let limiter = leased(&url, quota).await;
    let handle = limiter.handle(&7).expect("room");
    // Never full, which is their faster way.
    let never_full = Quota::per_second(1_000_000).burst(PLENTY * 10);
    let bucket = TokenBucket::new(never_full).expect("a bucket");
    let keyed = KeyedLimiter::<u64>::new(never_full).expect("a limiter");
    let rows: [(&str, &str, &dyn Fn() -> bool); 4] = [
        ("word", "a bucket of one word", &|| bucket.is_allowed()),
        ("leased_handle", "leased, by handle", &|| handle.is_allowed()),
        ("keyed", "a keyed limiter", &|| keyed.is_allowed(&7)),
        ("leased_key", "leased, by key", &|| limiter.is_allowed(&7)),
    ];
    let found: [_; 4] = in_turn(async |at| local(rows[at].2)).await;
    println!("\n| a decision on one thread | ns | beside the row before | beside a round trip |");
    println!("|---|---:|---:|---:|");
    for (at, (name, label, _)) in rows.iter().enumerate() {
        let before = &found[at - at % 2];
        let ratios = found[at].iter().zip(before).map(|(row, before)| row / before).collect();
        let ns = median(found[at].clone());
        let times = 1e9 / ns / one_after_the_other;
        figures.add(&figures::name("redis_local_ns", 1, &format!("redis_{name}")), ns);
        println!("| {label} | {ns:.1} | {:.2} | {times:.0} x |", median(ratios));
    }
}

/// How often leased limits ask the server.
async fn run_asked(server: &Server) {
    let url = format!("redis://127.0.0.1:{}/1", server.port);
    println!("\n| decisions a second | calls to the server for a million | granted |");
    println!("|---:|---:|---:|");
    for per_ms in [1, 10, 100, 1_000] {
        let quota = Quota::per_second(per_ms * 2_000).burst(per_ms * 4_000);
        let name = format!("rate-{per_ms}");
        let store = RedisStore::connect(&url).await.expect("a server");
        let limiter = LeasedLimiter::<u64>::new(&store, &name, quota, lease()).expect("ours");
        let (started, mut decided, mut granted) = (Instant::now(), 0_u64, 0_u64);
        let mut ticks = tokio::time::interval(Duration::from_millis(1));
        while started.elapsed() < Duration::from_secs(3) {
            ticks.tick().await;
            for _ in 0..per_ms {
                decided += 1;
                granted += u64::from(limiter.is_allowed(&7));
            }
        }
        // Far below 2^53.
        #[allow(clippy::cast_precision_loss)]
        let (asked, share) = (
            limiter.stats().asked as f64 * 1e6 / decided as f64,
            granted as f64 * 100.0 / decided as f64,
        );
        println!("| {} | {asked:.0} | {share:.1} % |", decided / 3);
    }
}

fn main() {
    let server = Server::start();
    let apart = cores::Apart::from(&server.process);
    let mut figures = Figures::default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    let together = run(&server, &mut figures);
    let one_after_the_other = tokio::task::LocalSet::new().block_on(&runtime, together);
    drop(apart);
    // Decisions keep a thread busy, and the task that asks the server needs one, too.
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime");
    runtime.block_on(run_leased(&server, one_after_the_other, &mut figures));
    match report_folder() {
        Some(folder) => figures.write_into(folder.as_ref(), FILE).expect("a folder to write into"),
        None => runtime.block_on(run_asked(&server)),
    }
}
