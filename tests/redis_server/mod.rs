//! Servers of Redis for tests: each its own, on a free port of the loopback, gone when the test is over.
#![allow(dead_code)]

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

use redis::{Connection, FromRedisValue};

/// A running server.
pub(crate) struct Server {
    process: Option<Child>,
    port: u16,
    dir: PathBuf,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
}

/// Whether servers can be started here. If not the test says so, and is over.
///
/// With `FLOWGATE_NO_SKIPS=1` in the environment, as the checks set it, it fails in place of that.
pub(crate) fn no_server() -> bool {
    let found =
        Command::new("redis-server").arg("--version").stdout(Stdio::null()).status().is_ok();
    if found {
        return false;
    }
    assert!(
        std::env::var_os("FLOWGATE_NO_SKIPS").is_none_or(|value| value != "1"),
        "there is no redis-server, and FLOWGATE_NO_SKIPS=1"
    );
    eprintln!("skipped: no redis-server");
    true
}

/// A port that is free, and that leaves room for what a cluster adds to it.
fn free_port() -> u16 {
    loop {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        if port < 55_000 && TcpListener::bind(("127.0.0.1", port + 10_000)).is_ok() {
            return port;
        }
    }
}

static STARTED: AtomicU32 = AtomicU32::new(0);

impl Server {
    /// A server that keeps nothing.
    pub(crate) fn start() -> Self {
        Self::with(&[])
    }

    /// A server with more arguments.
    pub(crate) fn with(arguments: &[&str]) -> Self {
        Self::on_port(free_port(), arguments)
    }

    pub(crate) fn on_port(port: u16, arguments: &[&str]) -> Self {
        Self::in_environment(port, arguments, &[])
    }

    /// A server whose process has more in its environment.
    pub(crate) fn with_environment(environment: &[(&str, &str)]) -> Self {
        Self::in_environment(free_port(), &[], environment)
    }

    fn in_environment(port: u16, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let number = STARTED.fetch_add(1, Relaxed);
        let dir = format!("flowgate-redis-{}-{number}", std::process::id());
        let dir = std::env::temp_dir().join(dir);
        fs::create_dir_all(&dir).unwrap();
        let arguments = arguments.iter().map(ToString::to_string).collect();
        let environment =
            environment.iter().map(|(name, value)| (name.to_string(), value.to_string()));
        let environment = environment.collect();
        let mut server = Self { process: None, port, dir, arguments, environment };
        server.run();
        server
    }

    /// Starts again on the same port, after a [`kill`](Self::kill).
    pub(crate) fn run(&mut self) {
        let port = self.port.to_string();
        let mut command = Command::new("redis-server");
        // A file comes first.
        let (file, flags) = match self.arguments.split_first() {
            Some((file, flags)) if !file.starts_with('-') => (Some(file), flags),
            _ => (None, &*self.arguments),
        };
        command.args(file);
        command
            .args(["--port", &port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .args(["--dir".as_ref(), self.dir.as_os_str()])
            .args(flags)
            .envs(self.environment.clone())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        self.process = Some(command.spawn().unwrap());
        let until = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(Instant::now() < until, "redis-server does not start");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Ends it at once, without a farewell.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// Sends it a signal, by the name that `kill` knows.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.process.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// A connection of the test's own, to look behind the limiter's back.
    pub(crate) fn connection(&self) -> Connection {
        redis::Client::open(self.url()).unwrap().get_connection().unwrap()
    }

    /// Sends one command.
    pub(crate) fn say<T: FromRedisValue>(&self, words: &[&str]) -> T {
        say(&mut self.connection(), words)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        drop(fs::remove_dir_all(&self.dir));
    }
}

/// Sends one command.
pub(crate) fn say<T: FromRedisValue>(connection: &mut Connection, words: &[&str]) -> T {
    let mut command = redis::cmd(words[0]);
    for word in &words[1..] {
        command.arg(word);
    }
    command.query(connection).unwrap()
}

/// Waits until something holds, at most half a minute.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !holds().await {
        assert!(Instant::now() < end, "{what} has not come about");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
