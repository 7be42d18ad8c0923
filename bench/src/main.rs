//! `make bench`: what a turn costs beside a bare handler that does the same I/O, in one run.
//!
//! | module | what it holds |
//! |---|---|
//! | [`targets`] | the programs that are measured, each a process of its own |
//! | [`bare`] | the bare handlers: axum, JSON, the same reads and writes, nothing else |
//! | [`load`] | the client: keep-alive connections, each with a conversation of its own |
//! | [`sandbox`] | the sandbox alone: fresh instance, call, drop |
//! | [`scale`] | `make scale`: a thousand plugins and ten thousand bots |
//! | [`chaos`] | `make chaos`: hosts are killed under load, and nothing is lost or doubled |
//! | [`durable`] | what it costs that turns are durable: the journal, old conversations, several hosts |
//! | [`hostile`], [`attack`] | `make hostile`: each hostile guest, and what another tenant's visitors feel of it |
//!
//! Targets are interleaved, round by round, and ratios are taken inside a round, because the machine's speed drifts. What
//! counts is the CPU time of the server process a request; requests a second depend on who else is busy.
#![forbid(unsafe_code)]

mod attack;
mod bare;
mod chaos;
mod durable;
mod hostile;
mod load;
mod sandbox;
mod scale;
mod targets;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use targets::{Target, Targets};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Debug, Parser)]
struct Args {
    /// The server.
    #[arg(long, default_value = "target/release/confab")]
    confab: PathBuf,
    /// Directory with components.
    #[arg(long, default_value = "target/plugins")]
    plugins: PathBuf,
    /// Rounds over all targets.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Seconds of load on each target in each round.
    #[arg(long, default_value_t = 4.0)]
    seconds: f64,
    /// Connections.
    #[arg(long, default_value_t = 32)]
    connections: usize,
    #[command(subcommand)]
    other: Option<Other>,
}

#[derive(Debug, Subcommand)]
enum Other {
    /// Every hostile guest: what it tries, what stops it, and what another tenant's visitors feel of it.
    Hostile(hostile::Options),
    /// Conversations, writes and webhooks while hosts are killed: nothing may be lost or doubled.
    Chaos(chaos::Options),
    /// A thousand plugins and ten thousand bots beside one of each.
    Scale(scale::Options),
    /// What the journal costs, old conversations beside young ones, and one to three hosts on one Redis.
    Durable(durable::Options),
    /// Puts load on a bot (used by `hostile` itself).
    Attack(attack::Options),
    /// Runs a bare handler (used by the benchmark itself).
    Bare {
        /// `none`, `embedded:PATH` or `redis://...`
        store: String,
    },
}

fn main() -> Result<ExitCode> {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    match &args.other {
        Some(Other::Bare { store }) => runtime.block_on(bare::serve(store)),
        Some(Other::Hostile(options)) => runtime.block_on(hostile::run(options)),
        // That something is wrong is its result, and not an error.
        Some(Other::Chaos(options)) => return runtime.block_on(chaos::run(options)),
        Some(Other::Scale(options)) => runtime.block_on(scale::run(&args.confab, &args.plugins, options)),
        Some(Other::Durable(options)) => runtime.block_on(durable::run(&args.confab, &args.plugins, options)),
        Some(Other::Attack(options)) => runtime.block_on(attack::run(options)),
        None => runtime.block_on(bench(&args)),
    }?;
    Ok(ExitCode::SUCCESS)
}

async fn bench(args: &Args) -> Result<()> {
    sandbox::report(&args.plugins).await?;
    let targets = Targets::start(args).await.context("starting the servers")?;
    let mut measured: Vec<Vec<load::Measured>> = targets.all.iter().map(|_| Vec::new()).collect();
    for target in &targets.all {
        load::run(target, args.connections, Duration::from_secs(1)).await?;
    }
    for round in 1..=args.rounds {
        eprintln!("round {round} of {}", args.rounds);
        for (target, results) in targets.all.iter().zip(&mut measured) {
            results.push(load::run(target, args.connections, Duration::from_secs_f64(args.seconds)).await?);
        }
    }
    print(&targets.all, &measured);
    Ok(())
}

fn print(targets: &[Target], measured: &[Vec<load::Measured>]) {
    println!(
        "\nOver HTTP: {:<43} {:>10} {:>8} {:>8} {:>9} {:>7} {:>9}",
        "", "requests/s", "p50 ms", "p99 ms", "CPU us", "RSS MB", "CPU ratio"
    );
    for (index, target) in targets.iter().enumerate() {
        let Some(rounds) = measured.get(index) else { continue };
        let of = |f: fn(&load::Measured) -> f64| median(rounds.iter().map(f).collect());
        let ratio = target.against.and_then(|against| {
            let base = measured.get(against)?;
            Some(median(rounds.iter().zip(base).map(|(a, b)| a.cpu_us / b.cpu_us).collect()))
        });
        let errors: u64 = rounds.iter().map(|m| m.errors).sum();
        println!(
            "  {:<52} {:>10.0} {:>8.2} {:>8.2} {:>9.1} {:>7.0} {:>9}{}",
            target.name,
            of(|m| m.per_second),
            of(|m| m.p50_ms),
            of(|m| m.p99_ms),
            of(|m| m.cpu_us),
            of(|m| m.rss_mb),
            ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}x")),
            if errors > 0 { format!("  ({errors} ERRORS)") } else { String::new() },
        );
    }
    println!("\nCPU us: CPU time of the server process a request (user and kernel; Redis's own is not in it).");
    println!(
        "CPU ratio: against the bare handler with the same I/O, median of the ratios inside each round. Goal: 1.5x."
    );
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
