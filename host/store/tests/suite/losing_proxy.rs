//! A way to a server on which an answer can get lost: the request arrives and is done, then the connection breaks.

use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

pub(crate) struct LosingProxy {
    pub(crate) address: SocketAddr,
    /// What the request holds whose answer gets lost.
    lose: Arc<Mutex<Option<String>>>,
}

impl LosingProxy {
    pub(crate) async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let lose = Arc::new(Mutex::new(None));
        let wanted = Arc::clone(&lose);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                tokio::spawn(carry(client, server, Arc::clone(&wanted)));
            }
        });
        Self { address, lose }
    }

    /// The answer to the next request with this text gets lost.
    pub(crate) fn lose(&self, text: &str) {
        *self.lose.lock() = Some(text.to_owned());
    }

    /// Whether it was.
    pub(crate) fn has_lost(&self) -> bool {
        self.lose.lock().is_none()
    }
}

async fn carry(mut client: TcpStream, mut server: TcpStream, lose: Arc<Mutex<Option<String>>>) {
    let (mut asked, mut answered) = (vec![0; 65_536], vec![0; 65_536]);
    loop {
        tokio::select! {
            read = client.read(&mut asked) => {
                let Ok(length @ 1..) = read else { return };
                let lost = {
                    let mut lose = lose.lock();
                    let holds = |text: &String| asked[..length].windows(text.len()).any(|part| part == text.as_bytes());
                    lose.take_if(|text| holds(text)).is_some()
                };
                server.write_all(&asked[..length]).await.unwrap();
                if lost {
                    // The answer is there, so the request was done; then both connections are dropped.
                    assert!(server.read(&mut answered).await.unwrap() > 0);
                    return;
                }
            }
            read = server.read(&mut answered) => {
                let Ok(length @ 1..) = read else { return };
                if client.write_all(&answered[..length]).await.is_err() {
                    return;
                }
            }
        }
    }
}
