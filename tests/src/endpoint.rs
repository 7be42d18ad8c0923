//! An endpoint for connectors that keeps every byte it was sent, and answers as badly as it is asked to.
//!
//! It reads the bytes itself: a library for HTTP would have put right what a test wants to see.

use anyhow::Result;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// How long it waits for more after a request: bytes that a guest smuggled behind it would be there at once.
const AFTERWARDS: Duration = Duration::from_millis(20);
/// Between two bytes of an answer that drips.
const DRIP: Duration = Duration::from_millis(20);
/// Longest head of a request that it reads.
const HEAD_BYTES: usize = 1 << 20;

/// A running endpoint.
///
/// The last part of the path says how it answers: `echo` repeats the request, headers too; `betray` repeats the credential in
/// every form that systems use; `status/N` has that status; `redirect` leads to a private address; `hang-up` closes the connection;
/// `drip` sends one byte after the other without end.
#[derive(Debug)]
pub struct Endpoint {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
    down: Arc<AtomicBool>,
    server: tokio::task::JoinHandle<()>,
}

impl Endpoint {
    /// Starts one on a free port.
    ///
    /// # Errors
    /// When there is none.
    pub async fn start() -> Result<Endpoint> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let requests = Arc::new(Mutex::new(Vec::new()));
        let kept = requests.clone();
        let down = Arc::new(AtomicBool::new(false));
        let is_down = down.clone();
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                if is_down.load(Ordering::SeqCst) {
                    continue;
                }
                let kept = kept.clone();
                tokio::spawn(async move {
                    let _ = serve(stream, &kept).await;
                });
            }
        });
        Ok(Endpoint { address, requests, down, server })
    }

    /// Host and port, as `--allow-private` wants it.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Its URL, with a path that no request may leave.
    pub fn url(&self) -> String {
        format!("http://{}/base", self.address)
    }

    /// From now on it closes every connection at once, or no longer does.
    pub fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::SeqCst);
    }

    /// How many requests there were whose first line has these words.
    pub fn asked(&self, words: &str) -> usize {
        let first = |request: &String| request.lines().next().unwrap_or_default().contains(words);
        self.requests().iter().filter(|request| first(request)).count()
    }

    /// The requests so far, byte for byte, with whatever came behind them on the same connection.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().map(|all| all.clone()).unwrap_or_default()
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(mut stream: TcpStream, kept: &Mutex<Vec<String>>) -> Result<()> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        if bytes.len() > HEAD_BYTES || stream.read_buf(&mut bytes).await? == 0 {
            return Ok(());
        }
    };
    let head = String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).into_owned();
    let length: usize = header(&head, "content-length").parse().unwrap_or(0);
    while bytes.len() < end + length {
        if stream.read_buf(&mut bytes).await? == 0 {
            break;
        }
    }
    // What comes behind the body is no part of this request.
    let _ = tokio::time::timeout(AFTERWARDS, stream.read_buf(&mut bytes)).await;
    let whole = String::from_utf8_lossy(&bytes).into_owned();
    if let Ok(mut all) = kept.lock() {
        all.push(whole.clone());
    }
    answer(&mut stream, &head, &whole).await
}

async fn answer(stream: &mut TcpStream, head: &str, whole: &str) -> Result<()> {
    let path = head.split(' ').nth(1).unwrap_or_default().split('?').next().unwrap_or_default();
    let credential = header(head, "authorization");
    let token = credential.rsplit(' ').next().unwrap_or_default();
    let (status, more, body) = if path.ends_with("/hang-up") {
        return Ok(());
    } else if path.ends_with("/drip") {
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n").await?;
        loop {
            stream.write_all(b".").await?;
            tokio::time::sleep(DRIP).await;
        }
    } else if path.ends_with("/redirect") {
        ("302", format!("location: http://169.254.169.254/latest?token={token}\r\n"), whole.to_owned())
    } else if path.ends_with("/betray") {
        let told = [token.to_owned(), credential.clone(), format!("\"{token}\""), percent(token), base64(token)];
        let headers =
            format!("x-told: {credential}\r\nx-{token}: 1\r\nset-cookie: t={token}\r\nwww-authenticate: {token}\r\n");
        ("200", headers, told.join("\n"))
    } else if let Some((_, status)) = path.split_once("/status/") {
        (status, String::new(), if status == "204" { String::new() } else { whole.to_owned() })
    } else {
        ("200", format!("x-echo: {credential}\r\n"), whole.to_owned())
    };
    let text =
        format!("HTTP/1.1 {status} Said\r\ncontent-length: {}\r\nconnection: close\r\n{more}\r\n{body}", body.len());
    stream.write_all(text.as_bytes()).await?;
    stream.shutdown().await?;
    Ok(())
}

fn header(head: &str, name: &str) -> String {
    let line = head.lines().filter_map(|line| line.split_once(':')).find(|(key, _)| key.eq_ignore_ascii_case(name));
    line.map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
}

fn percent(text: &str) -> String {
    let keep = |byte: u8| byte.is_ascii_alphanumeric();
    text.bytes().map(|byte| if keep(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

fn base64(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}
