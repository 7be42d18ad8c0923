//! TLS: an unknown authority is refused, the operator's is trusted, HTTP/2 is spoken where the system can.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::serve::Listener;
use confab_egress::{Auth, Egress, ErrorCode, Limits};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::support::*;

/// Takes connections, and tells what each client showed of itself.
pub(crate) struct TlsListener(pub(crate) TcpListener, pub(crate) TlsAcceptor, pub(crate) Clients);

/// The certificate that each client showed, one entry a connection.
pub(crate) type Clients = Arc<std::sync::Mutex<Vec<Option<Vec<u8>>>>>;

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (socket, address) = self.0.accept().await.unwrap();
            // A client that refuses the certificate hangs up here.
            if let Ok(stream) = self.1.accept(socket).await {
                let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
                self.2.lock().unwrap().push(shown.map(|certificate| certificate.to_vec()));
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.0.local_addr()
    }
}

/// A server for `erp.test`, and its certificate.
async fn serve_tls() -> (u16, String) {
    let router = Router::new().fallback(|version: axum::http::Version| async move { format!("{version:?}") });
    serve_tls_as("erp.test", router).await
}

/// A server of this name, and its certificate.
async fn serve_tls_as(name: &str, router: Router) -> (u16, String) {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let mut config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let listener = TlsListener(listener, TlsAcceptor::from(Arc::new(config)), Clients::default());
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (port, made.cert.pem())
}

#[tokio::test]
async fn only_trusted_authorities_are_spoken_to() {
    let (port, pem) = serve_tls().await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ca.pem");
    std::fs::write(&file, pem).unwrap();
    let connection = |host: &str, trusted: bool| {
        let mut policy = policy(&[format!("{host}:{port}")]);
        policy.ca_files = if trusted { vec![file.clone()] } else { vec![] };
        let names = Names(vec![("erp.test", vec!["127.0.0.1"]), ("other.test", vec!["127.0.0.1"])]);
        let egress = Egress::with_lookup(policy, secrets(), Limits::default(), Arc::new(names)).unwrap();
        connect(&egress, vec![endpoint("api", format!("https://{host}:{port}"), Auth::None)]).unwrap()
    };
    assert_eq!(code(&connection("erp.test", false), get("/x")).await, ErrorCode::Tls);
    assert_eq!(code(&connection("other.test", true), get("/x")).await, ErrorCode::Tls);
    let answer = send(&connection("erp.test", true), get("/x")).await.unwrap();
    assert_eq!((answer.status, text(&answer)), (200, "HTTP/2.0"));
}

#[tokio::test]
async fn a_download_is_https_to_the_end_and_no_larger_than_asked_for() {
    use axum::response::Redirect;
    use axum::routing::get;
    let to = |place: &'static str| get(move || async move { Redirect::temporary(place) });
    let router = Router::new()
        .route("/file", get(|| async { "x".repeat(1_000) }))
        .route("/moved", to("/file"))
        .route("/down", to("http://127.0.0.1:9/file"))
        .route("/circle", to("/circle"));
    let (port, pem) = serve_tls_as("127.0.0.1", router).await;
    let dir = tempfile::tempdir().unwrap();
    let ca = vec![dir.path().join("ca.pem")];
    std::fs::write(&ca[0], pem).unwrap();
    let time = std::time::Duration::from_secs(30);
    let url = |path: &str| format!("https://127.0.0.1:{port}{path}");
    for path in ["/file", "/moved"] {
        assert_eq!(confab_egress::download(&url(path), 1_000, time, &ca).await.unwrap().len(), 1_000);
    }
    for (url, cap, words) in [
        (url("/file"), 999, "more than 999 bytes"),
        (url("/none"), 999, "404"),
        (url("/down"), 999, "away from https"),
        (url("/circle"), 999, "in circles"),
        (format!("http://127.0.0.1:{port}/file"), 999, "only https"),
        ("parrot.wasm".to_owned(), 999, "not a URL"),
    ] {
        let error = confab_egress::download(&url, cap, time, &ca).await.unwrap_err().to_string();
        assert!(error.contains(words), "{url}: {error}");
    }
    assert!(confab_egress::download(&url("/file"), 1_000, time, &[]).await.is_err(), "an unknown authority is trusted");
}

#[tokio::test]
async fn a_file_without_certificates_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ca.pem");
    for content in [None, Some("nonsense")] {
        if let Some(content) = content {
            std::fs::write(&file, content).unwrap();
        }
        let mut policy = policy(&[]);
        policy.ca_files = vec![file.clone()];
        let error = Egress::new(policy, secrets(), Limits::default()).err().unwrap();
        assert_eq!(error.at, "egress.ca_files");
    }
}
