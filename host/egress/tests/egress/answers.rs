//! What comes back: caps hold, also after decompression, and metrics are counted.

use std::io::Write;

use axum::Router;
use axum::body::Body;
use axum::http::header::CONTENT_ENCODING;
use axum::routing::get as on;
use confab_egress::{Auth, ErrorCode};
use flate2::Compression;
use flate2::write::GzEncoder;
use futures::stream;
use metrics_util::debugging::{DebugValue, DebuggingRecorder};

use crate::support::*;

const MIB: usize = 1024 * 1024;

fn gzip(bytes: usize) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    for _ in 0..bytes / 1024 {
        encoder.write_all(&[b' '; 1024]).unwrap();
    }
    encoder.finish().unwrap()
}

#[tokio::test]
async fn large_answers_are_cut_off_however_they_come() {
    let chunks = || stream::repeat_with(|| Ok::<_, std::io::Error>(vec![b'x'; 64 * 1024]));
    let router = Router::new()
        .route("/base/fits", on(|| async { vec![b'x'; 4 * MIB] }))
        .route("/base/large", on(|| async { vec![b'x'; 4 * MIB + 1] }))
        .route("/base/endless", on(move || async move { Body::from_stream(chunks()) }))
        .route("/base/gzip", on(|| async { ([(CONTENT_ENCODING, "gzip")], gzip(MIB)) }))
        .route("/base/bomb", on(|| async { ([(CONTENT_ENCODING, "gzip")], gzip(64 * MIB)) }))
        .route("/base/broken", on(|| async { ([(CONTENT_ENCODING, "gzip")], "no gzip") }))
        .route("/base/br", on(|| async { ([(CONTENT_ENCODING, "br")], "x") }))
        .route("/base/headers", on(|| async { [("x-long", "x".repeat(65 * 1024))] }));
    let connection = to(serve(router).await, Auth::None);
    for (path, bytes) in [("/fits", 4 * MIB), ("/gzip", MIB)] {
        assert_eq!(send(&connection, get(path)).await.unwrap().body.len(), bytes, "{path}");
    }
    for path in ["/large", "/endless", "/bomb", "/headers"] {
        assert_eq!(code(&connection, get(path)).await, ErrorCode::TooLarge, "{path}");
    }
    for path in ["/broken", "/br"] {
        assert_eq!(code(&connection, get(path)).await, ErrorCode::Protocol, "{path}");
    }
}

#[tokio::test]
async fn what_is_not_http_is_a_protocol_error() {
    use tokio::io::AsyncWriteExt;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            socket.write_all(b"SSH-2.0-OpenSSH_9.2\r\n").await.unwrap();
        }
    });
    assert_eq!(code(&to(address, Auth::None), get("/x")).await, ErrorCode::Protocol);
}

#[tokio::test]
async fn calls_are_counted_by_their_outcome() {
    let recorder = DebuggingRecorder::new();
    let snapshot = recorder.snapshotter();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let connection = to(serve(Router::new()).await, Auth::None);
    send(&connection, get("/x")).await.unwrap();
    code(&connection, get("../x")).await;
    let unknown = connection.send("made-up-by-a-guest", get("/x"), confab_egress::CallMeta::default()).await;
    assert_eq!(unknown.unwrap_err().code, ErrorCode::UnknownEndpoint);
    let mut counted: Vec<_> = snapshot
        .snapshot()
        .into_vec()
        .into_iter()
        .filter_map(|(key, _, _, value)| match value {
            DebugValue::Counter(n) => Some((key, n)),
            _ => None,
        })
        .map(|(key, n)| {
            let labels: Vec<_> = key.key().labels().map(|label| label.value().to_owned()).collect();
            (key.key().name().to_owned(), labels.join(" "), n)
        })
        .collect();
    counted.sort();
    let name = "confab_egress_requests_total".to_owned();
    assert_eq!(
        counted,
        [
            (name.clone(), "shop-eu erp api 4xx".to_owned(), 1),
            (name.clone(), "shop-eu erp api invalid-request".to_owned(), 1),
            (name, "shop-eu erp unknown unknown-endpoint".to_owned(), 1),
        ]
    );
}
