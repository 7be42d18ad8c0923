//! Systems that are hostile themselves, or in a stranger's hands: they may end a call, and nothing more.

use std::convert::Infallible;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::header::CONTENT_ENCODING;
use axum::routing::get as on;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use confab_egress::{Auth, ErrorCode, OutRequest};
use flate2::Compression;
use flate2::write::GzEncoder;
use flate2::{Compress, FlushCompress};
use futures::stream;
use serde_json::json;
use tokio::io::AsyncWriteExt;

use crate::support::*;

const MIB: usize = 1024 * 1024;

fn within(path: &str, ms: u64) -> OutRequest {
    OutRequest { timeout: Some(Duration::from_millis(ms)), ..get(path) }
}

/// Gzip of 10 GiB of zeros, piece by piece; counts the pieces that were taken.
fn bomb(taken: &Arc<AtomicUsize>) -> Body {
    let mut compress = Compress::new(Compression::best(), false);
    let mut piece = Vec::with_capacity(64 * 1024);
    compress.compress_vec(&vec![0; MIB], &mut piece, FlushCompress::Full).unwrap();
    assert!(piece.len() < 8 * 1024);
    let header = Bytes::from_static(&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]);
    let (piece, taken) = (Bytes::from(piece), Arc::clone(taken));
    let pieces = (0..10 * 1024).map(move |_| {
        taken.fetch_add(1, Ordering::SeqCst);
        piece.clone()
    });
    Body::from_stream(stream::iter(std::iter::once(header).chain(pieces).map(Ok::<_, Infallible>)))
}

#[tokio::test]
async fn ten_gibibytes_in_gzip_are_cut_off_at_the_cap() {
    let taken = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&taken);
    let router = Router::new()
        .route("/base/bomb", on(move || async move { ([(CONTENT_ENCODING, "gzip")], bomb(&count)) }))
        .route("/base/twice", on(|| async { ([(CONTENT_ENCODING, "gzip, gzip")], "x") }))
        .route("/base/other", on(|| async { ([(CONTENT_ENCODING, "zstd")], "x") }));
    let connection = to(serve(router).await, Auth::None);
    let error = send(&connection, get("/bomb")).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::TooLarge);
    let sent = error.sent.clone().unwrap();
    assert!(error.is_upstream() && sent.bytes_in < 5 * MIB as u64, "{sent:?}");
    // What the sockets' buffers hold (a few megabytes at a thousandth of the size), but not all of it.
    assert!(taken.load(Ordering::SeqCst) < 10 * 1024, "the whole bomb was read");
    for path in ["/twice", "/other"] {
        assert_eq!(code(&connection, get(path)).await, ErrorCode::Protocol, "{path}");
    }
}

#[tokio::test]
async fn heads_that_never_end_are_cut_off_by_size_or_time() {
    for (name, start, again) in [
        ("headers", "HTTP/1.1 200 OK\r\n", "x-a: bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\r\n"),
        ("one header", "HTTP/1.1 200 OK\r\nx-a: ", "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"),
        ("status line", "HTTP/1.1 200 ", "OKOKOKOKOKOKOKOKOKOKOKOKOKOKOKOKOK"),
        ("interim answers", "HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n"),
        (
            "chunk extension",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1;",
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        ),
        ("trailers", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n", "x-a: bbbbbbbbbbbbbbbbbbbbbbb\r\n"),
    ] {
        let written = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&written);
        let address = raw_with(move |_, mut socket| {
            let count = Arc::clone(&count);
            async move {
                let block = again.repeat(100);
                let mut next = start;
                while socket.write_all(next.as_bytes()).await.is_ok() {
                    count.fetch_add(next.len() as u64, Ordering::SeqCst);
                    next = &block;
                }
            }
        })
        .await;
        let error = send(&to(address, Auth::None), within("/x", 1_500)).await.unwrap_err();
        assert!(
            matches!(error.code, ErrorCode::Protocol | ErrorCode::TooLarge | ErrorCode::Timeout),
            "{name}: {error}"
        );
        assert!(error.message.len() < 1_000, "{name}: {error}");
        assert!(error.code == ErrorCode::Timeout || written.load(Ordering::SeqCst) < 64 * MIB as u64, "{name}");
    }
}

#[tokio::test]
async fn drips_are_ended_by_the_deadline() {
    for (name, head) in [("head", ""), ("body", "HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n")] {
        let address = raw_with(move |_, mut socket| async move {
            let _ = socket.write_all(head.as_bytes()).await;
            let mut drip = tokio::time::interval(Duration::from_millis(5));
            for byte in b"HTTP/1.1 200 OK\r\nx-a: ".iter().chain(std::iter::repeat(&b'x')) {
                drip.tick().await;
                if socket.write_all(&[*byte]).await.is_err() {
                    return;
                }
            }
        })
        .await;
        let error = send(&to(address, Auth::None), within("/x", 200)).await.unwrap_err();
        assert_eq!((error.code, error.is_upstream()), (ErrorCode::Timeout, true), "{name}");
        // What came of it is known, although the exchange was dropped.
        let sent = error.sent.unwrap();
        assert_eq!((sent.status.is_some(), sent.bytes_in > 0), (name == "body", name == "body"), "{name} {sent:?}");
    }
}

#[tokio::test]
async fn answers_that_two_would_read_differently_do_not_reach_the_next_call() {
    // A second answer hidden behind the first: no later request may get it.
    let hidden = "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nhidden";
    for first in [
        "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nreal",
        "HTTP/1.1 200 OK\r\ncontent-length: 4\r\ncontent-length: 10\r\n\r\nreal",
        "HTTP/1.1 200 OK\r\ncontent-length: 10\r\ntransfer-encoding: chunked\r\n\r\n4\r\nreal\r\n0\r\n\r\n",
        "HTTP/1.1 204 No Content\r\ncontent-length: 4\r\n\r\nreal",
        "HTTP/1.1 304 Not Modified\r\n\r\nreal",
    ] {
        let address = raw_with(move |_, mut socket| async move {
            let _ = socket.write_all(format!("{first}{hidden}").as_bytes()).await;
            // Stays open, as a connection that is to be used again.
            std::future::pending::<()>().await;
        })
        .await;
        let connection = to(address, Auth::None);
        for _ in 0..3 {
            match send(&connection, within("/x", 2_000)).await {
                Ok(answer) => assert!(!text(&answer).contains("hidden"), "{first:?}"),
                Err(error) => assert_eq!(error.code, ErrorCode::Protocol, "{first:?}: {error}"),
            }
        }
    }
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn with_length(head: &str, body: &[u8]) -> Vec<u8> {
    [format!("{head}content-length: {}\r\n\r\n", body.len()).as_bytes(), body].concat()
}

#[tokio::test]
async fn a_credential_is_masked_however_the_system_sends_it_back() {
    const OK: &str = "HTTP/1.1 200 OK\r\n";
    let (a, b) = TOKEN.split_at(7);
    let percent = TOKEN.replace('/', "%2F").replace('+', "%2B");
    let hex: String = TOKEN.bytes().map(|byte| format!("{byte:02x}")).collect();
    let in_base64 = STANDARD.encode(format!("{{\"user\":\"u\",\"token\":\"{TOKEN}\",\"more\":1}}"));
    let chunked = format!(
        "{OK}transfer-encoding: chunked\r\n\r\n{:x}\r\n{a}\r\n{:x}\r\n{b}\r\n0\r\nx-trailer: {TOKEN}\r\n\r\n",
        a.len(),
        b.len()
    );
    let answers = [
        ("body", with_length(OK, TOKEN.as_bytes())),
        ("body of an error", with_length("HTTP/1.1 401 Unauthorized\r\n", format!("bad token {TOKEN}!").as_bytes())),
        ("header", with_length(&format!("{OK}x-echo: Bearer {TOKEN}\r\nx-half: {TOKEN}{TOKEN}\r\n"), b"")),
        ("status line", with_length(&format!("HTTP/1.1 200 {TOKEN}\r\n"), b"fine")),
        ("gzip", with_length(&format!("{OK}content-encoding: gzip\r\n"), &gzip(&format!("x {TOKEN} y")))),
        ("over two chunks, and a trailer", chunked.into_bytes()),
        ("percent", with_length(OK, percent.as_bytes())),
        ("percent, lower case", with_length(OK, percent.to_lowercase().as_bytes())),
        ("base64", with_length(OK, STANDARD.encode(TOKEN).as_bytes())),
        ("in a longer base64", with_length(OK, in_base64.as_bytes())),
        ("hexadecimal", with_length(OK, hex.as_bytes())),
        ("among invalid UTF-8", with_length(OK, &[&[0xff, 0xfe], TOKEN.as_bytes(), &[0xff]].concat())),
        ("no HTTP at all", format!("{TOKEN}\r\n\r\n").into_bytes()),
        ("broken header", format!("{OK}{TOKEN}\r\n\r\n").into_bytes()),
        ("broken length", format!("{OK}content-length: {TOKEN}\r\n\r\n").into_bytes()),
        ("broken chunk", format!("{OK}transfer-encoding: chunked\r\n\r\n{TOKEN}\r\n").into_bytes()),
        ("encoding", with_length(&format!("{OK}content-encoding: {TOKEN}\r\n"), b"x")),
    ];
    let (log, _guard) = Log::start();
    for (name, answer) in answers {
        let address = raw(move |_| answer.clone()).await;
        let connection = to(address, auth(json!({"kind": "bearer", "token": "env:SHOP_EU__TOKEN"})));
        let seen = match send(&connection, get("/x")).await {
            Ok(answer) => {
                format!("{:?} {:?} {}", answer.headers, answer.sent, String::from_utf8_lossy(&answer.body))
            }
            Err(error) => format!("{error:?}"),
        };
        for leak in ["4711", "tok-", "+secret", "%2Bsecret", "%2bsecret", &hex[8..24], &STANDARD.encode(TOKEN)[..12]] {
            assert!(!seen.contains(leak), "{name}: {leak} in {seen}");
        }
        // Aligned as it stands in the longer text, without what it shares with its neighbours.
        assert!(!seen.contains(&in_base64[32..48]), "{name}: {seen}");
    }
    // This crate's own lines; the client's library traces what it parses on a level that nobody turns on.
    for line in log.text().lines().filter(|line| line.contains("confab_egress")) {
        assert!(!line.contains("4711") && !line.contains("+secret"), "{line}");
    }
}

#[tokio::test]
async fn a_token_comes_back_in_a_headers_name_in_lower_case() {
    let secret = "Abcdef0123456789Xyz";
    let source = confab_egress::SecretSource::given([("SHOP_EU__TOKEN", secret)], None);
    let address = raw(move |_| {
        format!("HTTP/1.1 200 OK\r\n{secret}: x\r\nX-{secret}-y: z\r\ncontent-length: 0\r\n\r\n").into_bytes()
    })
    .await;
    let egress =
        confab_egress::Egress::new(policy(&[address.to_string()]), source, confab_egress::Limits::default()).unwrap();
    let token = auth(json!({"kind": "bearer", "token": "env:SHOP_EU__TOKEN"}));
    let connection = connect(&egress, vec![endpoint("api", format!("http://{address}"), token)]).unwrap();
    let answer = send(&connection, get("/x")).await.unwrap();
    let all = format!("{:?}", answer.headers);
    assert!(!all.to_lowercase().contains("abcdef0123") && all.contains("***"), "{all}");
}
