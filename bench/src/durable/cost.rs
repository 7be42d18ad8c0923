//! What the journal costs: the same turns by a server with and one without it (`confab serve --no-journal`).
//!
//! The business system answers at once, so the difference is the host's and the store's. Without journal the record of
//! the turn is not written either. A turn that calls nothing or only reads has no write of its own; one that writes has
//! two: before the call, and when it has answered.

use super::world::{World, done};
use super::{Options, median_of};
use crate::load::{Load, drive};
use crate::targets::{Redis, Server};
use anyhow::{Result, ensure};
use std::time::Duration;

/// What is said to `calls`, and what the turn does.
const TURNS: [(&str, &str); 3] = [
    ("no call", "{}"),
    ("one that reads", r#"{"capability": "inventory", "function": "availability", "arguments": {"sku": "SKU-1001"}}"#),
    (
        "one that writes",
        r#"{"capability": "leads", "function": "create", "arguments": {"lead": {"subject": "Tea", "person": {"email": "ada@example.com"}, "skus": []}}}"#,
    ),
];
/// What each answer must have in it: a bot that failed would be quick.
const ANSWERS: [&str; 3] = ["{}", r#"{"ok":[{"#, r#"{"ok":{"#];

struct Backend {
    name: &'static str,
    with: Side,
    without: Side,
}

struct Side {
    server: Server,
    redis: Option<Redis>,
    _data: tempfile::TempDir,
}

#[derive(Clone, Copy)]
struct Figures {
    per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
    cpu_us: f64,
    redis_us: f64,
    /// Redis: scripts a turn. Embedded: KB written to disk a turn.
    writes: f64,
    errors: u64,
}

/// One kind of turn in one round.
struct Round {
    with: Figures,
    without: Figures,
}

pub(super) async fn report(world: &World, options: &Options) -> Result<()> {
    let backends = [
        Backend { name: "embedded", with: side(world, false, &[])?, without: side(world, false, &["--no-journal"])? },
        Backend { name: "Redis", with: side(world, true, &[])?, without: side(world, true, &["--no-journal"])? },
    ];
    println!(
        "\nA turn with and without journal ({} connections): {:<8} {:>10} {:>8} {:>8} {:>8} {:>9} {:>7} {:>11} {:>17} {:>17}",
        options.connections,
        "",
        "requests/s",
        "p50 ms",
        "p99 ms",
        "CPU us",
        "Redis us",
        "trips",
        "KB written",
        "to no call",
        "to journal off"
    );
    for backend in &backends {
        let mut rounds: [Vec<Round>; 3] = Default::default();
        for (number, (_, message)) in TURNS.iter().enumerate() {
            for side in [&backend.with, &backend.without] {
                check(side, message, ANSWERS.get(number).copied().unwrap_or_default()).await?;
                load(side, message, options, 0.5).await?;
            }
        }
        for round in 1..=options.rounds {
            eprintln!("journal, {}: round {round} of {}", backend.name, options.rounds);
            for (rounds, (_, message)) in rounds.iter_mut().zip(TURNS) {
                let with = load(&backend.with, message, options, options.seconds).await?;
                let without = load(&backend.without, message, options, options.seconds).await?;
                rounds.push(Round { with, without });
            }
        }
        print(backend, &rounds);
    }
    println!(
        "\nto no call, to journal off: CPU of the server and p50, median of the ratios inside each round. trips: scripts that Redis ran\n\
         a turn, those of the host's worker too. KB written: to disk, a turn; turns at once share pages and syncs. Redis has an append-only file, synced each second."
    );
    Ok(())
}

fn side(world: &World, on_redis: bool, flags: &[&str]) -> Result<Side> {
    let redis = on_redis.then(|| Redis::start(true)).transpose()?;
    let data = tempfile::tempdir()?;
    let server = world.serve(data.path(), redis.as_ref(), flags)?;
    Ok(Side { server, redis, _data: data })
}

async fn check(side: &Side, message: &str, wanted: &str) -> Result<()> {
    let mut talk = crate::load::Talk::open(&side.server.address, &side.server.key, Some("calls")).await?;
    talk.say(message, &mut None).await?;
    let said = talk.answer()?.response;
    ensure!(said.starts_with(wanted), "`calls` was told {message} and said {said}");
    Ok(())
}

async fn load(side: &Side, message: &'static str, options: &Options, seconds: f64) -> Result<Figures> {
    let redis = async || match &side.redis {
        Some(redis) => done(redis).await.map(Some),
        None => Ok(None),
    };
    let (cpu, written, before) = (side.server.cpu()?, side.server.written()?, redis().await?);
    let driven = drive(Load {
        hosts: std::slice::from_ref(&side.server.address),
        stays: true,
        key: &side.server.key,
        bot: Some("calls"),
        message,
        connections: options.connections,
        length: Duration::from_secs_f64(seconds),
    })
    .await?;
    let (cpu, written) = (side.server.cpu()?.saturating_sub(cpu), side.server.written()? - written);
    let (redis_us, writes) = match (before, redis().await?) {
        (Some(before), Some(after)) => (after.cpu_us - before.cpu_us, after.scripts - before.scripts),
        _ => (f64::NAN, written / 1e3),
    };
    Ok(Figures {
        per_second: driven.per_second(),
        p50_ms: driven.at_ms(0.5),
        p99_ms: driven.at_ms(0.99),
        cpu_us: cpu.as_secs_f64() * 1e6 / driven.count(),
        redis_us: redis_us / driven.count(),
        writes: writes / driven.count(),
        errors: driven.errors,
    })
}

fn print(backend: &Backend, rounds: &[Vec<Round>; 3]) {
    let [base, ..] = rounds;
    for (rounds, (name, _)) in rounds.iter().zip(TURNS) {
        let pairs = || rounds.iter().zip(base);
        let to_base = |f: fn(&Figures) -> f64, with: bool| {
            let of = |round: &Round| f(if with { &round.with } else { &round.without });
            crate::median(pairs().map(|(a, b)| of(a) / of(b)).collect())
        };
        let cost = median_of(rounds, |round| round.with.cpu_us / round.without.cpu_us);
        let wait = median_of(rounds, |round| round.with.p50_ms / round.without.p50_ms);
        for with in [true, false] {
            let of =
                |f: fn(&Figures) -> f64| median_of(rounds, |round| f(if with { &round.with } else { &round.without }));
            let errors: u64 =
                rounds.iter().map(|round| if with { round.with.errors } else { round.without.errors }).sum();
            let on_redis = side_is_redis(backend);
            let figure = |there: bool, value: f64| if there { format!("{value:.1}") } else { "-".to_owned() };
            println!(
                "  {:<8} {:<15} {:<28} {:>10.0} {:>8.2} {:>8.2} {:>8.1} {:>9} {:>7} {:>11} {:>17} {:>17}{}",
                backend.name,
                name,
                if with { "journal" } else { "no journal" },
                of(|m| m.per_second),
                of(|m| m.p50_ms),
                of(|m| m.p99_ms),
                of(|m| m.cpu_us),
                figure(on_redis, of(|m| m.redis_us)),
                figure(on_redis, of(|m| m.writes)),
                figure(!on_redis, of(|m| m.writes)),
                format!("{:.2}x, p50 {:.2}x", to_base(|m| m.cpu_us, with), to_base(|m| m.p50_ms, with)),
                if with { format!("{cost:.2}x, p50 {wait:.2}x") } else { String::new() },
                if errors > 0 { format!("  ({errors} ERRORS)") } else { String::new() },
            );
        }
    }
}

fn side_is_redis(backend: &Backend) -> bool {
    backend.with.redis.is_some()
}
