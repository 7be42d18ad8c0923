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

struct TlsListener(TcpListener, TlsAcceptor);

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (socket, address) = self.0.accept().await.unwrap();
            // A client that refuses the certificate hangs up here.
            if let Ok(stream) = self.1.accept(socket).await {
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
    let made = rcgen::generate_simple_self_signed(["erp.test".to_owned()]).unwrap();
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
    let router = Router::new().fallback(|version: axum::http::Version| async move { format!("{version:?}") });
    let listener = TlsListener(listener, TlsAcceptor::from(Arc::new(config)));
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
