//! A small HTTP client that shows what goes over the wire; and callers that keep a gateway busy.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::sleep;

pub(crate) struct Reply {
    /// The status line and the header fields.
    pub(crate) head: Vec<String>,
    pub(crate) body: String,
}

impl Reply {
    pub(crate) fn status(&self) -> &str {
        self.head.first().and_then(|line| line.split(' ').nth(1)).unwrap_or_default()
    }
}

/// Sends one request over a connection of its own. `field` is a header field, or nothing.
pub(crate) async fn send(
    to: SocketAddr,
    request: &str,
    field: &str,
    body: &str,
) -> std::io::Result<Reply> {
    let mut connection = TcpStream::connect(to).await?;
    let field = if field.is_empty() { String::new() } else { format!("{field}\r\n") };
    let length = body.len();
    let text = format!(
        "{request} HTTP/1.1\r\nhost: {to}\r\n{field}content-length: {length}\r\nconnection: close\r\n\r\n{body}"
    );
    connection.write_all(text.as_bytes()).await?;
    let mut reply = Vec::new();
    connection.read_to_end(&mut reply).await?;
    let reply = String::from_utf8_lossy(&reply);
    let (head, body) = reply.split_once("\r\n\r\n").unwrap_or((&reply, ""));
    Ok(Reply { head: head.lines().map(Into::into).collect(), body: body.to_owned() })
}

pub(crate) const CHAT: &str = "POST /v1/chat/completions";

pub(crate) fn prompt(content: &str, max_tokens: u32) -> String {
    format!(r#"{{"messages":[{{"role":"user","content":"{content}"}}],"max_tokens":{max_tokens}}}"#)
}

/// Callers with the keys of the file that comes along, each with its own habits.
pub(crate) fn call_for_ever(gateway: SocketAddr) {
    let callers = [
        ("alice", 7_000, 900),
        ("bob", 4_000, 90),
        ("carol", 950, 900),
        ("dan", 100, 800),
        ("erin", 2_500, 300),
    ];
    for (owner, pause_ms, max_tokens) in callers {
        tokio::spawn(async move {
            let bearer = format!("authorization: Bearer demo-key-{owner}");
            let question = prompt("What does the fox say?", max_tokens);
            loop {
                let _ = send(gateway, CHAT, &bearer, &question).await;
                sleep(Duration::from_millis(pause_ms)).await;
            }
        });
    }
}
