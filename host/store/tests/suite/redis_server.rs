//! A real redis-server for the tests: on a free port of 127.0.0.1, without persistence, in a directory of its own.
//!
//! It is started under a shell that waits for the end of its own input and then stops the server. So the server ends when
//! the value is dropped, and also when the test process is killed, because then the pipe closes.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

/// Each test gets a database of its own.
const DATABASES: usize = 256;

const SUPERVISE: &str = r#"redis-server "$@" & server=$!; cat; kill "$server"; wait "$server""#;

pub(crate) struct RedisServer {
    shell: Child,
    pub(crate) port: u16,
    /// Where the nodes of a cluster speak to each other.
    pub(crate) bus_port: Option<u16>,
    _directory: tempfile::TempDir,
}

static SHARED: Mutex<Weak<RedisServer>> = Mutex::new(Weak::new());
static NEXT_DATABASE: AtomicUsize = AtomicUsize::new(0);

/// The server that the tests of this process share while any of them runs, and the address of an empty database.
pub(crate) fn shared() -> (Arc<RedisServer>, String) {
    let mut shared = SHARED.lock().unwrap();
    let server = shared.upgrade().unwrap_or_else(|| Arc::new(RedisServer::start(&[])));
    *shared = Arc::downgrade(&server);
    let database = NEXT_DATABASE.fetch_add(1, Ordering::Relaxed);
    assert!(database < DATABASES, "more tests than databases: raise DATABASES");
    let url = server.url(database);
    (server, url)
}

pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl RedisServer {
    /// Starts a server with further settings.
    pub(crate) fn start(settings: &[&str]) -> Self {
        // Another process may take the port between the two: then try another one.
        for _ in 0..10 {
            if let Some(server) = Self::start_on(free_port(), settings) {
                return server;
            }
        }
        panic!("redis-server did not start ten times");
    }

    /// A node of a cluster to be.
    pub(crate) fn start_in_cluster(port: u16, bus_port: u16) -> Option<Self> {
        let bus = bus_port.to_string();
        let mut server = Self::start_on(port, &["--cluster-enabled", "yes", "--cluster-port", &bus])?;
        server.bus_port = Some(bus_port);
        Some(server)
    }

    pub(crate) fn start_on(port: u16, settings: &[&str]) -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let shell = Command::new("/bin/sh")
            .args(["-c", SUPERVISE, "redis"])
            .args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", "", "--appendonly", "no"])
            .args(["--databases", &DATABASES.to_string(), "--dir"])
            .arg(directory.path())
            .args(settings)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let server = Self { shell, port, bus_port: None, _directory: directory };
        let deadline = Instant::now() + Duration::from_secs(10);
        while Instant::now() < deadline {
            if server.answers() {
                return Some(server);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        None
    }

    pub(crate) fn url(&self, database: usize) -> String {
        format!("redis://127.0.0.1:{}/{database}", self.port)
    }

    /// Whether it speaks Redis: `+PONG`, or `-NOAUTH` if it wants a password.
    fn answers(&self) -> bool {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) else {
            return false;
        };
        stream.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        let mut line = String::new();
        stream.write_all(b"PING\r\n").is_ok()
            && BufReader::new(stream.take(100)).read_line(&mut line).is_ok()
            && (line.starts_with("+PONG") || line.starts_with("-NOAUTH"))
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        self.shell.wait().unwrap();
    }
}
