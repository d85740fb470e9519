//! A server of the example's own.

use std::error::Error;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const PROGRAMS: [&str; 2] = ["redis-server", "valkey-server"];
const LONGEST_START: Duration = Duration::from_secs(5);

/// A server on a free port of the loopback that keeps nothing on disk. Ends when it is dropped.
pub(crate) struct Server {
    program: &'static str,
    port: u16,
    process: Option<Child>,
}

impl Server {
    pub(crate) fn start() -> Result<Self, Box<dyn Error>> {
        let is_there = |program: &&str| {
            let version = Command::new(program).arg("--version").stdout(Stdio::null()).status();
            version.is_ok_and(|status| status.success())
        };
        let program = PROGRAMS.into_iter().find(is_there).ok_or(
            "there is no redis-server here: install one (apt install redis-server, dnf install valkey, brew install redis), \
             or name one that runs: --redis redis://127.0.0.1/",
        )?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut server = Self { program, port, process: None };
        server.run()?;
        let until = Instant::now() + LONGEST_START;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if Instant::now() > until {
                return Err(format!("{program} does not start within {LONGEST_START:?}").into());
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(server)
    }

    /// Starts the process, if there is none.
    pub(crate) fn run(&mut self) -> Result<(), Box<dyn Error>> {
        if self.process.is_none() {
            let process = Command::new(self.program)
                .args(["--port", &self.port.to_string(), "--bind", "127.0.0.1"])
                .args(["--save", "", "--appendonly", "no"])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()?;
            self.process = Some(process);
        }
        Ok(())
    }

    /// Ends it at once, without a farewell.
    pub(crate) fn kill(&mut self) -> Result<(), Box<dyn Error>> {
        if let Some(mut process) = self.process.take() {
            process.kill()?;
            process.wait()?;
        }
        Ok(())
    }

    pub(crate) fn program(&self) -> &'static str {
        self.program
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.kill();
    }
}
