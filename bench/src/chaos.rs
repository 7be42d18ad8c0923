//! `make chaos`: the flags of [`confab_tests::chaos`], where all of it is, so that the tests have it too.

use anyhow::{Result, bail, ensure};
use clap::{Args, ValueEnum};
use confab_tests::chaos::{self, Plan, Store};
use std::process::ExitCode;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// Where the conversations are kept.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Where {
    /// One host with the embedded store.
    Embedded,
    /// Several hosts on one Redis.
    Redis,
}

/// What is not given is as the proof needs it.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Where conversations are kept; both, one after the other, without it.
    #[arg(long)]
    store: Option<Where>,
    /// 40 conversations and a kill or two, in half a minute.
    #[arg(long)]
    small: bool,
    /// Conversations. [default: 2000]
    #[arg(long)]
    conversations: Option<usize>,
    /// Hosts on one Redis. [default: 3]
    #[arg(long)]
    hosts: Option<usize>,
    /// Conversations at once. [default: 100]
    #[arg(long)]
    at_once: Option<usize>,
    /// Milliseconds that a visitor thinks before the next message, on average. [default: 500]
    #[arg(long)]
    think_ms: Option<u64>,
    /// Time between two kills, on average: 4s, 500ms. [default: 4s]
    #[arg(long, value_parser = time)]
    kill_every: Option<Duration>,
    /// Conversations with a real Request Tracker, if it is installed; 0 for none. [default: 60]
    #[arg(long)]
    rt: Option<usize>,
    /// Share of conversations that a webhook is about, 0 to 1; with 0 the bot does not subscribe. [default: 0.5]
    #[arg(long)]
    events: Option<f64>,
    /// Seconds after which a client gives up. [default: 120]
    #[arg(long)]
    give_up: Option<u64>,
    /// What chance begins with. [default: 1]
    #[arg(long)]
    seed: Option<u64>,
}

fn time(text: &str) -> Result<Duration> {
    let number = |text: &str| text.parse::<f64>().ok().filter(|number| *number > 0.0);
    let seconds = match text.strip_suffix("ms") {
        Some(ms) => number(ms).map(|ms| ms / 1e3),
        None => text.strip_suffix('s').and_then(number),
    };
    match seconds {
        Some(seconds) => Ok(Duration::try_from_secs_f64(seconds)?),
        None => bail!("is not as 4s or 500ms"),
    }
}

impl Options {
    fn plan(&self, store: Store) -> Plan {
        let plan = if self.small { Plan::small(store) } else { Plan::whole(store) };
        Plan {
            hosts: if store == Store::Redis { self.hosts.unwrap_or(plan.hosts) } else { 1 },
            conversations: self.conversations.unwrap_or(plan.conversations),
            rt_conversations: self.rt.unwrap_or(plan.rt_conversations),
            at_once: self.at_once.unwrap_or(plan.at_once).max(1),
            think: self.think_ms.map_or(plan.think, Duration::from_millis),
            kill_every: self.kill_every.unwrap_or(plan.kill_every),
            events: self.events.unwrap_or(plan.events),
            give_up: self.give_up.map_or(plan.give_up, Duration::from_secs),
            seed: self.seed.unwrap_or(plan.seed),
            ..plan
        }
    }
}

pub(crate) async fn run(options: &Options) -> Result<ExitCode> {
    ensure!(options.hosts != Some(0) && options.conversations != Some(0), "at least one host and one conversation");
    let stores = match options.store {
        None => vec![Store::Embedded, Store::Redis],
        Some(Where::Embedded) => vec![Store::Embedded],
        Some(Where::Redis) => vec![Store::Redis],
    };
    let mut failed = false;
    for store in stores {
        let report = tokio::select! {
            report = chaos::run(options.plan(store)) => report?,
            // Hosts and systems end with what holds them; a process that just dies would leave them behind.
            () = told_to_stop() => bail!("stopped before it came to an end"),
        };
        println!("{report}\n");
        failed |= report.failed();
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Ctrl-C, or a service manager's SIGTERM.
async fn told_to_stop() {
    let Ok(mut terminate) = signal(SignalKind::terminate()) else { return std::future::pending().await };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}
