//! The client: keep-alive connections in a closed loop, each going on with its own conversation.

use crate::targets::Target;
use anyhow::{Context, Result, anyhow};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;

/// What a run showed.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    pub(crate) per_second: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) cpu_us: f64,
    pub(crate) rss_mb: f64,
    pub(crate) errors: u64,
}

/// Puts load on a target.
pub(crate) async fn run(target: &Target, connections: usize, length: Duration) -> Result<Measured> {
    let before = target.cpu()?;
    let started = Instant::now();
    let until = started + length;
    let clients: Vec<_> = (0..connections)
        .map(|_| tokio::spawn(client(target.address.clone(), target.key.clone(), target.message, until)))
        .collect();
    let mut latencies = Vec::new();
    let mut errors = 0;
    for client in clients {
        let (mut mine, failed) = client.await??;
        latencies.append(&mut mine);
        errors += failed;
    }
    let elapsed = started.elapsed();
    let used = target.cpu()?.saturating_sub(before);
    latencies.sort_unstable();
    let count = latencies.len().max(1);
    let at = |part: f64| {
        latencies
            .get(((count as f64 * part) as usize).min(count - 1))
            .map_or(f64::NAN, |d: &Duration| d.as_secs_f64() * 1e3)
    };
    Ok(Measured {
        per_second: count as f64 / elapsed.as_secs_f64(),
        p50_ms: at(0.5),
        p99_ms: at(0.99),
        cpu_us: used.as_secs_f64() * 1e6 / count as f64,
        rss_mb: target.rss_mb()?,
        errors,
    })
}

async fn client(address: String, key: String, message: &'static str, until: Instant) -> Result<(Vec<Duration>, u64)> {
    let stream = TcpStream::connect(&address).await.context("connect")?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let mut body = Bytes::from(serde_json::json!({ "message": message }).to_string());
    let mut known = false;
    let mut latencies = Vec::new();
    let mut errors = 0;
    while Instant::now() < until {
        let request = Request::post("/api/chat")
            .header("host", &address)
            .header("content-type", "application/json")
            .header("authorization", format!("Bearer {key}"))
            .body(Full::new(body.clone()))?;
        let asked = Instant::now();
        let response = sender.send_request(request).await?;
        let good = response.status().is_success();
        let answer = response.into_body().collect().await?.to_bytes();
        latencies.push(asked.elapsed());
        errors += u64::from(!good);
        if !known && good {
            let answer: Value = serde_json::from_slice(&answer)?;
            let id = answer
                .get("conversation_id")
                .and_then(Value::as_str)
                .ok_or_else(|| anyhow!("no conversation in {answer}"))?;
            body = Bytes::from(serde_json::json!({ "message": message, "conversation_id": id }).to_string());
            known = true;
        }
    }
    Ok((latencies, errors))
}
