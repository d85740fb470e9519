//! A network between processes and their server that can be made worse.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// What the network does with what it is given.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Carries {
    All,
    /// Carries what is asked, and loses the answers. A connection that has lost one never carries another: answers that come out of
    /// their order are not what a network does.
    NoAnswers,
    /// Keeps everything until later, as one that is cut does: it is sent again when it is whole.
    NothingNow,
}

/// Listens on a port of its own, and passes on to a server's.
pub(crate) struct Proxy {
    port: u16,
    state: Arc<State>,
}

struct State {
    to_port: AtomicU16,
    delay_us: AtomicU64,
    carries: Mutex<Carries>,
    connections: Mutex<Vec<TcpStream>>,
}

impl Proxy {
    pub(crate) fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let new = Self {
            port: listener.local_addr().unwrap().port(),
            state: Arc::new(State {
                to_port: AtomicU16::new(port),
                delay_us: AtomicU64::new(0),
                carries: Mutex::new(Carries::All),
                connections: Mutex::new(Vec::new()),
            }),
        };
        let state = Arc::clone(&new.state);
        // It ends with the program.
        thread::spawn(move || {
            for client in listener.incoming() {
                // A server that is down refuses: the connection is closed again.
                let port = state.to_port.load(Relaxed);
                let Ok(client) = client else { continue };
                let Ok(server) = TcpStream::connect(("127.0.0.1", port)) else { continue };
                state.join(client, server);
            }
        });
        new
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    pub(crate) fn carries(&self, carries: Carries) {
        *self.state.carries.lock().unwrap() = carries;
    }

    /// How long everything takes, each way.
    pub(crate) fn delay(&self, delay: Duration) {
        self.state.delay_us.store(u64::try_from(delay.as_micros()).unwrap(), Relaxed);
    }

    /// Leads to another server from now on. Connections to the one before are closed.
    pub(crate) fn turn_to(&self, port: u16) {
        self.state.to_port.store(port, Relaxed);
        for connection in self.state.connections.lock().unwrap().drain(..) {
            drop(connection.shutdown(Shutdown::Both));
        }
    }
}

impl State {
    fn join(self: &Arc<Self>, client: TcpStream, server: TcpStream) {
        for side in [&client, &server] {
            // It may be closed already.
            drop(side.set_nodelay(true));
        }
        let clone = |side: &TcpStream| side.try_clone().unwrap();
        self.connections.lock().unwrap().extend([clone(&client), clone(&server)]);
        for (from, to, is_answers) in
            [(clone(&client), clone(&server), false), (server, client, true)]
        {
            let state = Arc::clone(self);
            thread::spawn(move || state.carry(from, to, is_answers));
        }
    }

    fn carry(&self, mut from: TcpStream, mut to: TcpStream, is_answers: bool) {
        let mut bytes = [0; 65_536];
        let mut is_deaf = false;
        while let Ok(read @ 1..) = from.read(&mut bytes) {
            thread::sleep(Duration::from_micros(self.delay_us.load(Relaxed)));
            while *self.carries.lock().unwrap() == Carries::NothingNow {
                thread::sleep(Duration::from_millis(1));
            }
            is_deaf |= is_answers && *self.carries.lock().unwrap() == Carries::NoAnswers;
            if !is_deaf && to.write_all(&bytes[..read]).is_err() {
                break;
            }
        }
        // One that is closed at one end is at the other.
        drop(from.shutdown(Shutdown::Both));
        drop(to.shutdown(Shutdown::Both));
    }
}
