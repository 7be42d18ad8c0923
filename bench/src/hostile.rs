//! `make hostile`: every hostile guest of the museum attacks at full concurrency as one tenant, while another tenant's
//! visitors talk to their bot. Shown for each: what it tries, which limit stops it, after how long; and what the visitors feel: the
//! 99th percentile of their turns with the attack and without, in the same run, as a ratio.
//!
//! Quiet and attack alternate, so that a machine whose speed drifts does not decide. Attackers' clients run in idle
//! time only; the server and the visitors' clients share the machine.

use crate::attack::Seen;
use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use confab_tests::client::Client;
use confab_tests::endpoint::Endpoint;
use confab_tests::folder::Folder;
use confab_tests::metric::Metrics;
use confab_tests::museum::{Exhibit, exhibits};
use confab_tests::server::{Host, Server};
use std::collections::BTreeMap;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Visitors that talk at once, and how long each thinks between two messages.
const VISITORS: usize = 4;
/// See [`VISITORS`].
const THINKS: Duration = Duration::from_millis(4);
/// Requests a minute that nobody reaches: here the sandbox is to hold, not the rate limit of a key.
const NO_LIMIT: &str = "4000000000";
/// What the visitors of the other tenant ask.
const QUESTION: &str = "Do you have SKU-1001 in stock?";
/// How long memory may take to be given back at the end.
const SETTLE: Duration = Duration::from_secs(8);

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Connections of the attacker.
    #[arg(long, default_value_t = 32)]
    attackers: usize,
    /// Seconds of each attack.
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Seconds of quiet before each attack.
    #[arg(long, default_value_t = 2.0)]
    quiet: f64,
    /// Only guests whose name contains this.
    #[arg(long)]
    only: Option<String>,
    /// Run the attackers' clients as ordinary processes, not in idle time.
    #[arg(long)]
    eager: bool,
}

/// One line of the result.
struct Line {
    exhibit: &'static Exhibit,
    stopped_by: String,
    contained: bool,
    seen: Seen,
    quiet: Vec<Duration>,
    attacked: Vec<Duration>,
}

pub(crate) async fn run(options: &Options) -> Result<()> {
    let (url, address) = endpoint()?;
    let chosen = |exhibit: &&Exhibit| options.only.as_ref().is_none_or(|only| exhibit.guest.contains(only.as_str()));
    let (running, refused): (Vec<&'static Exhibit>, Vec<_>) =
        exhibits().iter().filter(chosen).partition(|exhibit| exhibit.runs());
    let (shop, attacker) = (Folder::shop()?, Folder::of("attacker")?);
    for exhibit in &running {
        exhibit.furnish(&attacker, "attacker", &url)?;
    }
    let host = Host::new()?
        .flag("--allow-private", &address)
        .env("ATTACKER__API_TOKEN", "canary-7f3d1c90aa")
        .apply(shop.path())
        .apply(attacker.path())
        .serving("--key-rate", NO_LIMIT)
        .serving("--visitor-rate", NO_LIMIT);
    let mut server = host.start().await?;
    let visitors = Client::new(&server, &host.key("shop", &[]).await?)?;
    let key = host.key("attacker", &[]).await?;
    let admin = visitors.with_key(&host.key("attacker", &["--scope", "admin"]).await?);
    talk(&visitors, Duration::from_secs(2)).await?;
    let rss = server.rss_mb()?;
    println!(
        "{} exhibits, {} attackers each; visitors of another tenant: {VISITORS} at a time",
        running.len(),
        options.attackers
    );
    println!(
        "  {:<26} {:<44} {:<24} {:>9} {:>8} {:>7} {:>7} {:>6}",
        "guest", "tries", "stopped by", "after ms", "answers", "quiet", "attack", "ratio"
    );
    let mut lines = Vec::new();
    for exhibit in running {
        // What it did in its last exhibit is forgiven.
        let path = format!("/api/admin/breakers?plugin={}", exhibit.guest);
        confab_tests::client::send(admin.request(reqwest::Method::DELETE, &path)).await?;
        let line = attack(options, &server, &visitors, &key, exhibit).await?;
        server.lives().with_context(|| format!("{} killed the host", exhibit.guest))?;
        line.print();
        lines.push(line);
    }
    let mut refusals = 0;
    for exhibit in refused {
        let words = refuse(&host, exhibit).await?;
        println!("  {:<26} {:<44} refused: {words}", exhibit.guest, short(exhibit.tries, 44));
        refusals += 1;
    }
    summary(&server, &visitors, &lines, refusals, rss).await
}

/// The endpoint of connectors, on a thread of its own: it is no part of what visitors feel.
fn endpoint() -> Result<(String, String)> {
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || -> Result<()> {
        tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async move {
            let endpoint = Endpoint::start().await?;
            sender.send((endpoint.url(), endpoint.address()))?;
            std::future::pending::<Result<()>>().await
        })
    });
    receiver.recv().context("the endpoint did not start")
}

/// Lets one guest attack while the visitors talk.
async fn attack(
    options: &Options,
    server: &Server,
    visitors: &Client,
    key: &str,
    exhibit: &'static Exhibit,
) -> Result<Line> {
    let before = Metrics::of(visitors).await?;
    let mut quiet = talk(visitors, Duration::from_secs_f64(options.quiet / 2.0)).await?;
    let attacker = start_attacker(options, server, key, exhibit)?;
    let attacked = talk(visitors, Duration::from_secs_f64(options.seconds)).await?;
    let output = attacker.wait_with_output().await?;
    ensure!(output.status.success(), "the attacker failed: {}", String::from_utf8_lossy(&output.stderr));
    let seen: Seen = serde_json::from_slice(&output.stdout)?;
    // What the attacker left running ends before it is quiet again.
    drained(visitors).await?;
    quiet.append(&mut talk(visitors, Duration::from_secs_f64(options.quiet / 2.0)).await?);
    let after = Metrics::of(visitors).await?;
    let mut kinds = BTreeMap::new();
    for kind in KINDS {
        let of = |m: &Metrics| m.sum("confab_plugin_failures_total", &[("plugin", exhibit.guest), ("kind", kind)]);
        let count = of(&after) - of(&before);
        if count > 0.0 {
            kinds.insert(*kind, count);
        }
    }
    let expected: Vec<&str> = exhibit.failures().collect();
    let stopped = kinds.keys().any(|kind| expected.contains(kind));
    let contained = stopped || (exhibit.may_be_harmless() && kinds.keys().all(|kind| LOAD.contains(kind)));
    let mut words: Vec<&str> = kinds.keys().copied().collect();
    words.sort_by_key(|kind| !expected.contains(kind));
    let stopped_by = if words.is_empty() { "harmless".to_owned() } else { words.join(", ") };
    Ok(Line { exhibit, stopped_by, contained, seen, quiet, attacked })
}

/// Every kind of failure that a call may end with.
const KINDS: &[&str] = &[
    "fuel",
    "time",
    "memory",
    "table",
    "handles",
    "bytes",
    "host-calls",
    "outgoing",
    "stack",
    "trap",
    "contract",
    "instantiation",
    "overloaded",
    "quota",
    "quarantined",
    "host",
];
/// Kinds that say that the attacker was too much for its tenant's share, not that its guest did something.
const LOAD: &[&str] = &["overloaded", "quota", "quarantined", "time"];

fn start_attacker(options: &Options, server: &Server, key: &str, exhibit: &Exhibit) -> Result<tokio::process::Child> {
    let me = std::env::current_exe()?;
    let mut command = if options.eager {
        tokio::process::Command::new(me)
    } else {
        let mut command = tokio::process::Command::new("chrt");
        command.args(["--idle", "0"]).arg(me);
        command
    };
    let address = server.url().trim_start_matches("http://");
    command.args(["attack", "--address", address, "--bot", exhibit.guest, "--message", &exhibit.message()?]);
    command.args(["--connections", &options.attackers.to_string(), "--seconds", &options.seconds.to_string()]);
    command.env("ATTACK_KEY", key).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command.spawn().context("can't start the attacker (chrt is in util-linux)")
}

/// Visitors talk for a while. How long each answer took, every one of which must be right.
async fn talk(client: &Client, length: Duration) -> Result<Vec<Duration>> {
    let failed = Arc::new(AtomicBool::new(false));
    let until = Instant::now() + length;
    let visitors: Vec<_> = (0..VISITORS)
        .map(|_| {
            let (client, failed) = (client.clone(), failed.clone());
            tokio::spawn(async move {
                let mut times = Vec::new();
                let mut talk = client.talk().with("shop");
                while Instant::now() < until {
                    let asked = Instant::now();
                    let said = talk.say(QUESTION).await?;
                    times.push(asked.elapsed());
                    if !said.response.contains("5 available") {
                        failed.store(true, Ordering::Relaxed);
                        bail!("a visitor reads: {}", said.response);
                    }
                    tokio::time::sleep(THINKS).await;
                }
                anyhow::Ok(times)
            })
        })
        .collect();
    let mut all = Vec::new();
    for visitor in visitors {
        all.append(&mut visitor.await??);
    }
    Ok(all)
}

/// Waits until no turn is being served.
async fn drained(client: &Client) -> Result<()> {
    let until = Instant::now() + Duration::from_secs(60);
    while Metrics::of(client).await?.sum("confab_turns_in_flight", &[]) > 0.0 {
        ensure!(Instant::now() < until, "turns of the attacker are still running after a minute");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

async fn refuse(host: &Host, exhibit: &Exhibit) -> Result<String> {
    let folder = Folder::of("attacker")?;
    exhibit.furnish(&folder, "attacker", "")?;
    let ran = host.run(&["apply", "--check", &folder.path().display().to_string()]).await?;
    ensure!(!ran.status.success(), "{} was not refused", exhibit.guest);
    let line = ran.stderr.lines().find(|line| line.contains("error")).unwrap_or_default().to_owned();
    Ok(short(line.split("error: ").last().unwrap_or_default(), 110))
}

async fn summary(server: &Server, visitors: &Client, lines: &[Line], refusals: usize, rss: f64) -> Result<()> {
    let until = Instant::now() + SETTLE;
    let mut now = server.rss_mb()?;
    while now > rss * 1.2 && Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(500)).await;
        now = server.rss_mb()?;
    }
    let metrics = Metrics::of(visitors).await?;
    let free = |kind: &str| metrics.sum("confab_plugin_places_free", &[("kind", kind)]);
    let lost = metrics.sum("confab_turns_total", &[("bot", "shop"), ("outcome", "fallback")]);
    let loose: Vec<String> = lines
        .iter()
        .filter(|line| !line.contained)
        .map(|line| format!("{} ({})", line.exhibit.guest, line.stopped_by))
        .collect();
    let mut ratios: Vec<(f64, &str)> = lines.iter().map(|line| (line.ratio(), line.exhibit.guest)).collect();
    ratios.sort_by(|a, b| a.0.total_cmp(&b.0));
    let over: Vec<String> =
        ratios.iter().filter(|(ratio, _)| *ratio > 1.5).map(|(ratio, guest)| format!("{guest} {ratio:.2}")).collect();
    let all_quiet: Vec<Duration> = lines.iter().flat_map(|line| line.quiet.iter().copied()).collect();
    let all_attacked: Vec<Duration> = lines.iter().flat_map(|line| line.attacked.iter().copied()).collect();
    println!("\ncontained: {} of {}; refused before they ran: {refusals}", lines.len() - loose.len(), lines.len());
    println!(
        "host alive; places free: {} intents, {} connectors; visitors who read a fallback: {lost}",
        free("intent"),
        free("connector")
    );
    println!("memory: {rss:.0} MB at the start, {now:.0} MB at the end");
    println!(
        "p99 of the other tenant's turns: median ratio {:.2}, worst {:.2} ({}); all attacks together {:.2} ms against {:.2} ms quiet, {:.2}. Goal: 1.5 at most.",
        ratios.get(ratios.len() / 2).map_or(f64::NAN, |(ratio, _)| *ratio),
        ratios.last().map_or(f64::NAN, |(ratio, _)| *ratio),
        ratios.last().map_or("", |(_, guest)| *guest),
        p99(&all_attacked),
        p99(&all_quiet),
        p99(&all_attacked) / p99(&all_quiet)
    );
    if !over.is_empty() {
        println!("over 1.5: {}", over.join(", "));
    }
    ensure!(loose.is_empty(), "not contained: {}", loose.join(", "));
    ensure!(lost == 0.0, "{lost} visitors read a fallback");
    Ok(())
}

impl Line {
    fn ratio(&self) -> f64 {
        p99(&self.attacked) / p99(&self.quiet)
    }

    fn print(&self) {
        let answers: Vec<String> =
            self.seen.answers.iter().map(|(status, count)| format!("{count}x{status}")).collect();
        println!(
            "  {:<26} {:<44} {:<24} {:>9} {:>8} {:>7.2} {:>7.2} {:>6.2}{}",
            self.exhibit.guest,
            short(self.exhibit.tries, 44),
            short(&self.stopped_by, 24),
            self.seen.p50_ms.map_or_else(|| "-".to_owned(), |ms| format!("{ms:.2}")),
            answers.join(" "),
            p99(&self.quiet),
            p99(&self.attacked),
            self.ratio(),
            if self.contained { "" } else { "  NOT CONTAINED" }
        );
    }
}

/// In milliseconds.
fn p99(times: &[Duration]) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() * 99 / 100).map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
}

fn short(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most - 1).chain(['…']).collect()
}
