//! One, two and three hosts on one Redis. Each connection's messages go round all hosts, so a conversation moves with every turn;
//! in the last row it stays with its host, which tells what moving costs from what three half-idle processes cost.
//!
//! On one machine hosts, Redis and clients share the cores, so requests a second can't grow with hosts for long. What can be
//! told is whether a turn gets dearer when a conversation moves: CPU of the hosts, and of the one Redis, a request.

use super::world::{World, done};
use super::{Options, median_of};
use crate::load::{Load, drive};
use crate::targets::{Redis, Server, cpu_of};
use anyhow::{Context, Result};
use std::time::Duration;

/// Most hosts.
const HOSTS: usize = 3;
/// How many hosts, and whether conversations stay where they are.
const ROWS: [(usize, bool, &str); 4] = [
    (1, false, "1 host"),
    (2, false, "2 hosts"),
    (HOSTS, false, "3 hosts"),
    (HOSTS, true, "3 hosts, each conversation stays with one"),
];

struct Round {
    per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
    hosts_us: f64,
    redis_us: f64,
    clients_us: f64,
    trips: f64,
    errors: u64,
}

pub(super) async fn report(world: &World, options: &Options) -> Result<()> {
    let redis = Redis::start(true)?;
    let (mut servers, mut dirs) = (Vec::new(), Vec::new());
    for _ in 0..HOSTS {
        let data = tempfile::tempdir()?;
        servers.push(world.serve(data.path(), Some(&redis), &[])?);
        dirs.push(data);
    }
    let mut rounds: Vec<Vec<Round>> = ROWS.iter().map(|_| Vec::new()).collect();
    load(&servers, false, &redis, options, 1.0).await?;
    for round in 1..=options.rounds {
        eprintln!("hosts: round {round} of {}", options.rounds);
        for ((count, stays, _), rounds) in ROWS.iter().zip(&mut rounds) {
            let some = servers.get(..*count).context("too few servers")?;
            rounds.push(load(some, *stays, &redis, options, options.seconds).await?);
        }
    }
    println!(
        "\nHosts on one Redis ({} connections, each goes round all hosts): {:>10} {:>8} {:>8} {:>9} {:>9} {:>11} {:>7} {:>9}",
        options.connections, "requests/s", "p50 ms", "p99 ms", "hosts us", "Redis us", "clients us", "trips", "to one"
    );
    let one = rounds.first().context("no rounds")?;
    for ((_, _, name), rounds) in ROWS.iter().zip(&rounds) {
        let ratio = crate::median(rounds.iter().zip(one).map(|(a, b)| a.hosts_us / b.hosts_us).collect());
        let errors: u64 = rounds.iter().map(|round| round.errors).sum();
        println!(
            "  {:<63} {:>10.0} {:>8.2} {:>8.2} {:>9.1} {:>9.1} {:>11.1} {:>7.2} {:>8.2}x{}",
            name,
            median_of(rounds, |round| round.per_second),
            median_of(rounds, |round| round.p50_ms),
            median_of(rounds, |round| round.p99_ms),
            median_of(rounds, |round| round.hosts_us),
            median_of(rounds, |round| round.redis_us),
            median_of(rounds, |round| round.clients_us),
            median_of(rounds, |round| round.trips),
            ratio,
            if errors > 0 { format!("  ({errors} ERRORS)") } else { String::new() },
        );
    }
    limits(rounds.get(HOSTS - 1).context("no rounds")?);
    Ok(())
}

/// What these figures say about more machines.
fn limits(rounds: &[Round]) {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let each = |f: fn(&Round) -> f64| median_of(rounds, f);
    let (hosts, redis, clients) = (each(|r| r.hosts_us), each(|r| r.redis_us), each(|r| r.clients_us));
    println!(
        "\nhosts us, Redis us, clients us: CPU time of each a request; to one: hosts us against one host, median of the ratios inside each round.\n\
         Here {cores} cores do all of it, {:.0} us a request, so {:.0} requests/s is the most whatever the number of hosts. With machines of\n\
         their own, each core of a host would add {:.0} requests/s, and one Redis would be full at about {:.0} requests/s (one thread); beyond\n\
         that a cluster divides it, because all keys of a conversation are in one partition.",
        hosts + redis + clients,
        cores as f64 * 1e6 / (hosts + redis + clients),
        1e6 / hosts,
        1e6 / redis,
    );
}

async fn load(servers: &[Server], stays: bool, redis: &Redis, options: &Options, seconds: f64) -> Result<Round> {
    let addresses: Vec<String> = servers.iter().map(|server| server.address.clone()).collect();
    let used = || servers.iter().map(Server::cpu).sum::<Result<Duration>>();
    let key = &servers.first().context("no servers")?.key;
    let (hosts, clients, before) = (used()?, cpu_of("self")?, done(redis).await?);
    let driven = drive(Load {
        hosts: &addresses,
        stays,
        key,
        bot: Some("echo"),
        message: "Hello there, how are you today?",
        connections: options.connections,
        length: Duration::from_secs_f64(seconds),
    })
    .await?;
    let each = |total: Duration| total.as_secs_f64() * 1e6 / driven.count();
    let (hosts, clients, after) = (used()? - hosts, cpu_of("self")? - clients, done(redis).await?);
    Ok(Round {
        per_second: driven.per_second(),
        p50_ms: driven.at_ms(0.5),
        p99_ms: driven.at_ms(0.99),
        hosts_us: each(hosts),
        redis_us: (after.cpu_us - before.cpu_us) / driven.count(),
        clients_us: each(clients),
        trips: (after.scripts - before.scripts) / driven.count(),
        errors: driven.errors,
    })
}
