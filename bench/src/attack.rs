//! An attacker: as many connections as it is told, each sending the same message as fast as it is answered.
//!
//! A process of its own, which the one that measures starts in idle time only: an attacker's clients run on other machines.

use anyhow::{Context, Result};
use bytes::Bytes;
use clap::Args;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// HOST:PORT
    #[arg(long)]
    address: String,
    /// The bot.
    #[arg(long)]
    bot: String,
    /// What to say.
    #[arg(long, allow_hyphen_values = true)]
    message: String,
    /// Connections.
    #[arg(long, default_value_t = 32)]
    connections: usize,
    /// Seconds.
    #[arg(long)]
    seconds: f64,
}

/// What an attacker saw.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Seen {
    /// Answers by status.
    pub(crate) answers: BTreeMap<u16, u64>,
    /// Half of the answers came within, in milliseconds; none where no answer came at all.
    pub(crate) p50_ms: Option<f64>,
}

/// Attacks, and prints what it saw as JSON. The key comes by the environment, as `ATTACK_KEY`.
pub(crate) async fn run(options: &Options) -> Result<()> {
    let key = std::env::var("ATTACK_KEY").context("ATTACK_KEY")?;
    let until = Instant::now() + Duration::from_secs_f64(options.seconds);
    let body = Bytes::from(serde_json::json!({"message": options.message, "bot": options.bot}).to_string());
    let each =
        (0..options.connections).map(|_| tokio::spawn(one(options.address.clone(), key.clone(), body.clone(), until)));
    let mut seen = Seen::default();
    let mut times = Vec::new();
    for connection in each.collect::<Vec<_>>() {
        // A connection that is cut is part of the game.
        if let Ok(Ok(answers)) = connection.await {
            for (status, time) in answers {
                *seen.answers.entry(status).or_default() += 1;
                times.push(time);
            }
        }
    }
    times.sort_unstable();
    seen.p50_ms = times.get(times.len() / 2).map(|time| time.as_secs_f64() * 1e3);
    println!("{}", serde_json::to_string(&seen)?);
    Ok(())
}

async fn one(address: String, key: String, body: Bytes, until: Instant) -> Result<Vec<(u16, Duration)>> {
    let stream = TcpStream::connect(&address).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let mut answers = Vec::new();
    while Instant::now() < until {
        let request = Request::post("/api/chat")
            .header("host", &address)
            .header("content-type", "application/json")
            .header("authorization", format!("Bearer {key}"))
            .body(Full::new(body.clone()))?;
        let asked = Instant::now();
        let answered = tokio::time::timeout_at(until.into(), async {
            let response = sender.send_request(request).await?;
            let status = response.status().as_u16();
            response.into_body().collect().await?;
            anyhow::Ok(status)
        });
        match answered.await {
            Ok(status) => answers.push((status?, asked.elapsed())),
            Err(_) => break,
        }
    }
    Ok(answers)
}
