//! A way to a server that is slow, loses answers, or leads elsewhere when it is told to.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

#[derive(Debug, Default)]
pub(crate) struct Told {
    /// Each answer comes so much later.
    pub(crate) late_ms: AtomicU64,
    /// One answer in so many is lost, and with it all later ones of its connection, as when a wire is cut; 0: none.
    pub(crate) lost: AtomicU64,
    /// Where new connections lead.
    pub(crate) port: AtomicU16,
    answers: AtomicU64,
}

/// Ends with the process: its threads wait for nobody.
pub(crate) struct Proxy {
    pub(crate) url: String,
    pub(crate) told: Arc<Told>,
}

impl Proxy {
    pub(crate) fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("redis://{}/", listener.local_addr().unwrap());
        let told = Arc::new(Told { port: AtomicU16::new(port), ..Told::default() });
        let telling = Arc::clone(&told);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.unwrap();
                let Ok(server) = TcpStream::connect(("127.0.0.1", telling.port.load(Relaxed)))
                else {
                    continue;
                };
                client.set_nodelay(true).unwrap();
                server.set_nodelay(true).unwrap();
                carry(client, server, &telling);
            }
        });
        Self { url, told }
    }
}

fn carry(client: TcpStream, server: TcpStream, told: &Arc<Told>) {
    let (mut asks, mut asked) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut asks, &mut asked);
        let _ = asked.shutdown(std::net::Shutdown::Both);
    });
    let (send, answers) = channel::<(Instant, Vec<u8>)>();
    let (mut server, mut client, told) = (server, client, Arc::clone(told));
    std::thread::spawn(move || {
        let mut bytes = [0; 65_536];
        let mut is_cut = false;
        while let Ok(read @ 1..) = server.read(&mut bytes) {
            let lost = told.lost.load(Relaxed);
            is_cut |= lost > 0 && told.answers.fetch_add(1, Relaxed) % lost == 0;
            let due = Instant::now() + Duration::from_millis(told.late_ms.load(Relaxed));
            if !is_cut && send.send((due, bytes[..read].to_vec())).is_err() {
                break;
            }
        }
    });
    std::thread::spawn(move || {
        for (due, bytes) in answers {
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            if client.write_all(&bytes).is_err() {
                break;
            }
        }
        let _ = client.shutdown(std::net::Shutdown::Both);
    });
}
