//! A server that remembers what it was sent, connections to it, and a log that can be read.

use std::cell::RefCell;
use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, Once};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, Method, Uri};
use confab_egress::{
    Auth, CallMeta, ConfigError, Connection, ConnectionSpec, Egress, EgressPolicy, EndpointConfig, ErrorCode,
    InResponse, Limits, Lookup, LookupError, OutRequest, RetryConfig, SecretSource, SendError,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tracing_subscriber::fmt::MakeWriter;

/// The tenant of all tests, whose variables start with `SHOP_EU__`.
pub(crate) const TENANT: &str = "shop-eu";
/// Value of `SHOP_EU__TOKEN`.
pub(crate) const TOKEN: &str = "tok-4711/very+secret";
/// Value of `SHOP_EU__PASSWORD`.
pub(crate) const PASSWORD: &str = "pass\"word-0815";

/// One request as the server saw it.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// What a server was sent.
#[derive(Clone, Default)]
pub(crate) struct Record(Arc<Mutex<Vec<Seen>>>);

impl Record {
    pub(crate) fn all(&self) -> Vec<Seen> {
        self.0.lock().unwrap().clone()
    }

    pub(crate) fn last(&self) -> Seen {
        self.all().pop().expect("the server got no request")
    }
}

/// Start a server on a free port.
pub(crate) async fn serve(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    address
}

/// Start a server that answers everything with 200 and remembers it.
pub(crate) async fn recorder() -> (SocketAddr, Record) {
    let record = Record::default();
    let keep = record.clone();
    let router = Router::new().fallback(move |method: Method, uri: Uri, headers: HeaderMap, body: Bytes| {
        keep.0.lock().unwrap().push(Seen { method, uri, headers, body });
        async { "fine" }
    });
    (serve(router).await, record)
}

/// Start a server that reads a request's head and its body of known length, and answers with these bytes, as they
/// are. It remembers nothing and closes the connection.
pub(crate) async fn raw(answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> SocketAddr {
    raw_with(move |head, mut socket| {
        let bytes = answer(&head);
        async move {
            // The client may have hung up, which is its right.
            let _ = socket.write_all(&bytes).await;
            let _ = socket.shutdown().await;
        }
    })
    .await
}

/// The same, with the socket in the test's own hands after the request's head.
pub(crate) async fn raw_with<F>(talk: impl Fn(String, TcpStream) -> F + Send + Sync + 'static) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let talk = Arc::new(talk);
    tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            let talk = Arc::clone(&talk);
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    let Ok(byte) = socket.read_u8().await else { return };
                    head.push(byte);
                }
                talk(String::from_utf8(head).unwrap(), socket).await;
            });
        }
    });
    address
}

/// Names that resolve to given addresses.
pub(crate) struct Names(pub(crate) Vec<(&'static str, Vec<&'static str>)>);

#[async_trait::async_trait]
impl Lookup for Names {
    async fn lookup(&self, host: &str) -> Result<Vec<IpAddr>, LookupError> {
        let found = self.0.iter().find(|(name, _)| *name == host);
        let found = found.ok_or_else(|| LookupError { host: host.to_owned(), reason: "no such name".to_owned() })?;
        Ok(found.1.iter().map(|ip| ip.parse().unwrap()).collect())
    }
}

pub(crate) fn secrets() -> SecretSource {
    let shop = [
        ("SHOP_EU__TOKEN", TOKEN),
        ("SHOP_EU__PASSWORD", PASSWORD),
        ("SHOP_EU__SEGMENT", "123:ABC-path-token"),
        // "a key of 24 bytes or so."
        ("SHOP_EU__HOOK", "whsec_YSBrZXkgb2YgMjQgYnl0ZXMgb3Igc28u"),
        ("SHOP_EU__HEX", "deadBEEF010203"),
        ("SHOP_EU__SESSION", "session/token+of=aws"),
    ];
    SecretSource::given(shop.into_iter().chain([("OTHER__TOKEN", "of-another")]), None)
}

pub(crate) fn policy(grants: &[String]) -> EgressPolicy {
    let allow_private = grants.iter().map(|grant| grant.parse().unwrap()).collect();
    EgressPolicy { allow_private, ..EgressPolicy::default() }
}

pub(crate) fn egress(grants: &[String]) -> Egress {
    Egress::new(policy(grants), secrets(), Limits::default()).unwrap()
}

pub(crate) fn endpoint(name: &str, base_url: impl Into<String>, auth: Auth) -> EndpointConfig {
    EndpointConfig { name: name.into(), base_url: base_url.into(), auth, ..EndpointConfig::default() }
}

pub(crate) fn connect(egress: &Egress, endpoints: Vec<EndpointConfig>) -> Result<Arc<Connection>, Vec<ConfigError>> {
    // One try each, so that a test sees what one try does. What several do is in `retries`.
    let retry = Some(RetryConfig { attempts: 1, try_timeout_ms: None });
    let (tenant, connection) = (TENANT.into(), "erp".into());
    egress.connect(ConnectionSpec { tenant, connection, endpoints, retry, ..ConnectionSpec::default() })
}

/// A connection with one endpoint `api` at a granted server, below `/base`.
pub(crate) fn to(address: SocketAddr, auth: Auth) -> Arc<Connection> {
    to_with(address, auth, Limits::default())
}

pub(crate) fn to_with(address: SocketAddr, auth: Auth, limits: Limits) -> Arc<Connection> {
    let egress = Egress::new(policy(&[address.to_string()]), secrets(), limits).unwrap();
    connect(&egress, vec![endpoint("api", format!("http://{address}/base"), auth)]).unwrap()
}

/// An `Auth` as a tenant writes it.
pub(crate) fn auth(json: serde_json::Value) -> Auth {
    serde_json::from_value(json).unwrap()
}

pub(crate) fn get(path: &str) -> OutRequest {
    OutRequest { method: "GET".into(), path: path.into(), headers: vec![], body: Bytes::new(), timeout: None }
}

pub(crate) fn header(name: &str, value: &str) -> OutRequest {
    OutRequest { headers: vec![(name.into(), value.into())], ..get("/x") }
}

pub(crate) async fn send(connection: &Connection, request: OutRequest) -> Result<InResponse, SendError> {
    let meta = CallMeta { request_id: "req-77".into(), operation: "orders.get".into(), reads: false };
    // No test waits longer than this for an answer that will not come.
    tokio::time::timeout(Duration::from_secs(60), connection.send("api", request, meta)).await.unwrap()
}

pub(crate) async fn code(connection: &Connection, request: OutRequest) -> ErrorCode {
    send(connection, request).await.unwrap_err().code
}

pub(crate) fn text(response: &InResponse) -> &str {
    std::str::from_utf8(&response.body).unwrap()
}

/// What this thread logs while the guard lives.
///
/// One subscriber for all threads, which writes to the thread's own log: with one subscriber a thread, `tracing` asks
/// whichever thread comes to a call site first whether anybody listens there, and remembers that for all.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

thread_local! {
    static LOG: RefCell<Option<Log>> = const { RefCell::new(None) };
}

static SUBSCRIBER: Once = Once::new();

/// Ends a thread's log.
pub(crate) struct LogGuard;

impl Drop for LogGuard {
    fn drop(&mut self) {
        LOG.set(None);
    }
}

impl Log {
    pub(crate) fn start() -> (Self, LogGuard) {
        SUBSCRIBER.call_once(|| {
            let subscriber =
                tracing_subscriber::fmt().json().with_max_level(tracing::Level::TRACE).with_writer(ThreadLog);
            tracing::subscriber::set_global_default(subscriber.finish()).unwrap();
        });
        let log = Self::default();
        LOG.set(Some(log.clone()));
        (log, LogGuard)
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    /// The fields of this crate's lines about failed calls.
    pub(crate) fn failures(&self) -> Vec<serde_json::Value> {
        self.text()
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
            .filter(|line| line["fields"]["message"] == "outgoing call failed")
            .map(|line| line["fields"].clone())
            .collect()
    }
}

struct ThreadLog;

impl Write for ThreadLog {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        LOG.with_borrow(|log| {
            if let Some(log) = log {
                log.0.lock().unwrap().extend_from_slice(bytes);
            }
        });
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for ThreadLog {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        Self
    }
}
