//! The client: keep-alive connections in a closed loop, each going on with its own conversation.

use crate::targets::Target;
use anyhow::{Context, Result};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper_util::rt::TokioIo;
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

/// What clients do.
#[derive(Clone)]
pub(crate) struct Load<'a> {
    /// The hosts. Each client asks them in turn, as a balancer that goes round would have it,
    pub(crate) hosts: &'a [String],
    /// or stays with one of them.
    pub(crate) stays: bool,
    pub(crate) key: &'a str,
    /// None where the key is good for one bot alone.
    pub(crate) bot: Option<&'static str>,
    pub(crate) message: &'static str,
    pub(crate) connections: usize,
    pub(crate) length: Duration,
}

/// What clients saw.
pub(crate) struct Driven {
    latencies: Vec<Duration>,
    elapsed: Duration,
    pub(crate) errors: u64,
}

impl Driven {
    pub(crate) fn count(&self) -> f64 {
        self.latencies.len().max(1) as f64
    }

    pub(crate) fn per_second(&self) -> f64 {
        self.count() / self.elapsed.as_secs_f64()
    }

    pub(crate) fn at_ms(&self, part: f64) -> f64 {
        at_ms(&self.latencies, part)
    }
}

/// The latency below which this part of them (sorted) is, in milliseconds.
pub(crate) fn at_ms(sorted: &[Duration], part: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    sorted.get(((sorted.len() as f64 * part) as usize).min(last)).map_or(f64::NAN, |d| d.as_secs_f64() * 1e3)
}

/// Puts load on a target.
pub(crate) async fn run(target: &Target, connections: usize, length: Duration) -> Result<Measured> {
    let before = target.server.cpu()?;
    let hosts = std::slice::from_ref(&target.server.address);
    let driven = drive(Load {
        hosts,
        stays: true,
        key: &target.server.key,
        bot: None,
        message: target.message,
        connections,
        length,
    })
    .await?;
    let used = target.server.cpu()?.saturating_sub(before);
    Ok(Measured {
        per_second: driven.per_second(),
        p50_ms: driven.at_ms(0.5),
        p99_ms: driven.at_ms(0.99),
        cpu_us: used.as_secs_f64() * 1e6 / driven.count(),
        rss_mb: target.server.rss_mb()?,
        errors: driven.errors,
    })
}

/// Clients in closed loops.
pub(crate) async fn drive(load: Load<'_>) -> Result<Driven> {
    let started = Instant::now();
    let until = started + load.length;
    let clients: Vec<_> = (0..load.connections)
        .map(|number| {
            let mut hosts = load.hosts.to_vec();
            hosts.rotate_left(number % load.hosts.len().max(1));
            hosts.truncate(if load.stays { 1 } else { usize::MAX });
            tokio::spawn(client(hosts, load.key.to_owned(), load.bot, load.message, until))
        })
        .collect();
    let mut latencies = Vec::new();
    let mut errors = 0;
    for client in clients {
        let (mut mine, failed) = client.await??;
        latencies.append(&mut mine);
        errors += failed;
    }
    let elapsed = started.elapsed();
    latencies.sort_unstable();
    Ok(Driven { latencies, elapsed, errors })
}

async fn client(
    hosts: Vec<String>,
    key: String,
    bot: Option<&'static str>,
    message: &str,
    until: Instant,
) -> Result<(Vec<Duration>, u64)> {
    let mut talks = Vec::new();
    for host in &hosts {
        talks.push(Talk::open(host, &key, bot).await?);
    }
    let mut conversation = None;
    let mut latencies = Vec::new();
    let mut errors = 0;
    while Instant::now() < until {
        talks.rotate_left(1);
        let talk = talks.last_mut().context("no host")?;
        let (took, good) = talk.say(message, &mut conversation).await?;
        latencies.push(took);
        errors += u64::from(!good);
    }
    Ok((latencies, errors))
}

/// A keep-alive connection to a host.
pub(crate) struct Talk {
    sender: hyper::client::conn::http1::SendRequest<Full<Bytes>>,
    bot: Option<&'static str>,
    address: String,
    authorization: String,
    /// The last one, as it came: it is parsed only where somebody wants to know.
    answer: Bytes,
}

#[derive(serde::Serialize)]
struct Message<'a> {
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    conversation_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bot: Option<&'a str>,
}

#[derive(serde::Deserialize)]
pub(crate) struct Answer {
    pub(crate) response: String,
    pub(crate) conversation_id: String,
}

impl Talk {
    pub(crate) async fn open(address: &str, key: &str, bot: Option<&'static str>) -> Result<Talk> {
        let stream = TcpStream::connect(address).await.context("connect")?;
        stream.set_nodelay(true)?;
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let authorization = format!("Bearer {key}");
        Ok(Talk { sender, bot, address: address.to_owned(), authorization, answer: Bytes::new() })
    }

    /// What was answered last.
    pub(crate) fn answer(&self) -> Result<Answer> {
        let text = || String::from_utf8_lossy(&self.answer).into_owned();
        serde_json::from_slice(&self.answer).with_context(text)
    }

    /// Says something in a conversation, or begins one. Returns how long the answer took and whether it was good.
    pub(crate) async fn say(&mut self, message: &str, conversation: &mut Option<String>) -> Result<(Duration, bool)> {
        let body = serde_json::to_vec(&Message { message, conversation_id: conversation.as_deref(), bot: self.bot })?;
        let request = Request::post("/api/chat")
            .header("host", &self.address)
            .header("content-type", "application/json")
            .header("authorization", &self.authorization)
            .body(Full::new(Bytes::from(body)))?;
        self.sender.ready().await.context("the server closed the connection")?;
        let asked = Instant::now();
        let response = self.sender.send_request(request).await?;
        let good = response.status().is_success();
        self.answer = response.into_body().collect().await?.to_bytes();
        let took = asked.elapsed();
        if good && conversation.is_none() {
            *conversation = Some(self.answer()?.conversation_id);
        }
        Ok((took, good))
    }
}
