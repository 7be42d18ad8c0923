//! `make scale`: a host with a thousand installed plugins and ten thousand bots beside one with one of each.
//!
//! Every plugin is a component of its own (the same guest under another name, so another digest, compiled apart), installed
//! through the gate; the bots have a hundred different definitions and share snapshots where plugin and definition are equal. Shown:
//! how long it starts, what memory it takes before and after all bots were used, and what a turn costs of bots in constant use,
//! beside a host that has nothing else. Rounds are interleaved.

use anyhow::{Context, Result, anyhow, bail, ensure};
use bytes::Bytes;
use clap::Args;
use confab_tests::versions::with_manifest;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper_util::rt::TokioIo;
use serde_json::json;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;

/// Requests a minute that nobody reaches.
const NO_LIMIT: &str = "4000000000";
/// Clock ticks a second in /proc.
const TICKS: f64 = 100.0;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Plugins that are installed.
    #[arg(long, default_value_t = 1_000)]
    installed: usize,
    /// Bots, in tenants of 100.
    #[arg(long, default_value_t = 10_000)]
    bots: usize,
    /// Different definitions.
    #[arg(long, default_value_t = 100)]
    definitions: usize,
    /// Bots in constant use.
    #[arg(long, default_value_t = 8)]
    busy: usize,
    /// Rounds.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds of load a round.
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
}

/// A server on a data directory.
struct Server {
    process: Child,
    address: String,
    started_in: Duration,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

struct Host {
    confab: PathBuf,
    data: tempfile::TempDir,
}

impl Host {
    fn new(confab: &Path) -> Result<Host> {
        Ok(Host { confab: confab.to_owned(), data: tempfile::tempdir()? })
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.confab);
        command.arg("--data").arg(self.data.path().join("data")).arg("--plugins").arg(self.data.path().join("none"));
        command.stderr(Stdio::piped());
        command
    }

    fn start(&self) -> Result<Server> {
        let _ = std::fs::create_dir(self.data.path().join("none"));
        let began = Instant::now();
        let mut command = self.command();
        command.args(["serve", "--listen", "127.0.0.1:0", "--key-rate", NO_LIMIT, "--visitor-rate", NO_LIMIT]);
        command.arg("--allow-unsigned").stderr(Stdio::inherit());
        let mut process = command.stdout(Stdio::piped()).spawn().context("confab serve")?;
        let stdout = process.stdout.take().context("no stdout")?;
        for line in BufReader::new(stdout).lines() {
            if let Some(address) = line?.strip_prefix("listening on http://") {
                return Ok(Server { process, address: address.to_owned(), started_in: began.elapsed() });
            }
        }
        bail!("confab serve ended at once")
    }

    fn run(&self, arguments: &[&str]) -> Result<String> {
        let output = self.command().args(arguments).output()?;
        ensure!(output.status.success(), "confab {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?)
    }

    /// Installs so many plugins, and publishes the bots.
    fn furnish(&self, echo: &[u8], options: &Options, installed: usize, bots: usize) -> Result<()> {
        let work = tempfile::tempdir()?;
        for number in 0..installed {
            let name = format!("echo-{number}");
            let wasm = with_manifest(echo, |manifest| manifest["name"] = json!(name))?;
            let file = work.path().join(format!("{name}.wasm"));
            std::fs::write(&file, wasm)?;
            self.run(&["plugin", "install", &file.display().to_string(), "--unsigned"])?;
            std::fs::remove_file(file)?;
        }
        for tenant in 0..bots.div_ceil(100) {
            let folder = work.path().join(format!("tenant-{tenant}"));
            std::fs::create_dir_all(folder.join("bots"))?;
            std::fs::write(folder.join("tenant.yaml"), format!("id: tenant-{tenant}\n"))?;
            for bot in (tenant * 100)..((tenant + 1) * 100).min(bots) {
                let definition =
                    format!("definition {}\n{}", bot % options.definitions, "words of a bot\n".repeat(200));
                std::fs::write(folder.join(format!("bots/bot-{bot}.txt")), definition)?;
                let plugin = format!("echo-{}", bot % installed);
                let yaml = format!("id: bot-{bot}\nplugin: {plugin}\ndefinition: bot-{bot}.txt\n");
                std::fs::write(folder.join(format!("bots/bot-{bot}.yaml")), yaml)?;
            }
            self.run(&["apply", &folder.display().to_string()])?;
        }
        Ok(())
    }

    fn key(&self, tenant: &str) -> Result<String> {
        Ok(self.run(&["key", "create", "--quiet", "--tenant", tenant])?.trim().to_owned())
    }
}

impl Server {
    fn cpu(&self) -> Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id()))?;
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks: f64 = [11, 12].iter().filter_map(|i| fields.get(*i)?.parse::<f64>().ok()).sum();
        Ok(ticks / TICKS)
    }

    fn memory(&self) -> Result<(f64, usize)> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = status.lines().find(|line| line.starts_with("VmRSS")).ok_or_else(|| anyhow!("no VmRSS"))?;
        let kb: f64 = line.split_whitespace().nth(1).and_then(|kb| kb.parse().ok()).unwrap_or_default();
        let maps = std::fs::read_to_string(format!("/proc/{}/maps", self.process.id()))?.lines().count();
        Ok((kb / 1e3, maps))
    }
}

pub(crate) async fn run(confab: &Path, plugins: &Path, options: &Options) -> Result<()> {
    let echo = std::fs::read(plugins.join("echo.wasm")).context("echo.wasm: make plugins")?;
    let (many, one) = (Host::new(confab)?, Host::new(confab)?);
    let began = Instant::now();
    {
        let _servers = (many.start()?, one.start()?);
        one.furnish(&echo, options, 1, 1)?;
        many.furnish(&echo, options, options.installed, options.bots)?;
    }
    println!(
        "installed {} plugins, published {} bots with {} definitions in {:.0} s",
        options.installed,
        options.bots,
        options.definitions,
        began.elapsed().as_secs_f64()
    );
    let (many_server, one_server) = (many.start()?, one.start()?);
    let show = |name: &str, server: &Server| -> Result<()> {
        let (rss, maps) = server.memory()?;
        println!(
            "  {name:<40} start {:>6.0} ms   {rss:>6.0} MB   {maps:>6} mappings",
            server.started_in.as_secs_f64() * 1e3
        );
        Ok(())
    };
    show("all of them, just started", &many_server)?;
    show("one plugin and one bot, just started", &one_server)?;
    println!("Goal: start under 2 s.");
    let key = one.key("tenant-0")?;
    let only: Vec<(String, String)> = vec![("bot-0".to_owned(), key); options.busy];
    let mut busy = Vec::new();
    for number in 0..options.busy {
        let bot = number * (options.bots / options.busy) + number;
        busy.push((format!("bot-{bot}"), many.key(&format!("tenant-{}", bot / 100))?));
    }
    let mut ratios = (Vec::new(), Vec::new());
    let mut figures = Vec::new();
    load(&many_server, &busy, 1.0).await?;
    load(&one_server, &only, 1.0).await?;
    for _ in 0..options.rounds {
        let (a, b) =
            (load(&many_server, &busy, options.seconds).await?, load(&one_server, &only, options.seconds).await?);
        ratios.0.push(a.0 / b.0);
        ratios.1.push(a.1 / b.1);
        figures.push((a, b));
    }
    for (name, which) in [("all of them, bots in constant use", 0), ("one plugin and one bot", 1)] {
        let of = |f: fn(&(f64, f64)) -> f64| {
            median(figures.iter().map(|(a, b)| f(if which == 0 { a } else { b })).collect())
        };
        println!("  {name:<40} p50 {:>7.1} us   CPU {:>6.1} us a turn", of(|m| m.0), of(|m| m.1));
    }
    println!(
        "  ratio: p50 {:.3}, CPU {:.3} (median of the rounds). Goal: 1.10 at most.",
        median(ratios.0),
        median(ratios.1)
    );
    // Now every bot once: what was not used for long goes.
    let mut slowest = Duration::ZERO;
    let began = Instant::now();
    for tenant in 0..options.bots.div_ceil(100) {
        let key = many.key(&format!("tenant-{tenant}"))?;
        for bot in (tenant * 100)..((tenant + 1) * 100).min(options.bots) {
            let times = turns(&many_server.address, &format!("bot-{bot}"), &key, Instant::now()).await?;
            slowest = slowest.max(times.first().copied().unwrap_or_default());
        }
    }
    println!(
        "each of {} bots once: {:.1} s in all, the slowest first turn {:.1} ms",
        options.bots,
        began.elapsed().as_secs_f64(),
        slowest.as_secs_f64() * 1e3
    );
    show("all of them, after each was used", &many_server)
}

/// Load on bots in turn, one connection each. Returns p50 and CPU time a turn in microseconds.
async fn load(server: &Server, bots: &[(String, String)], seconds: f64) -> Result<(f64, f64)> {
    let before = server.cpu()?;
    let until = Instant::now() + Duration::from_secs_f64(seconds);
    let mut running = Vec::new();
    for (bot, key) in bots {
        let (address, bot, key) = (server.address.clone(), bot.clone(), key.clone());
        running.push(tokio::spawn(async move { turns(&address, &bot, &key, until).await }));
    }
    let mut times = Vec::new();
    for connection in running {
        times.append(&mut connection.await??);
    }
    let used = server.cpu()? - before;
    times.sort_unstable();
    let p50 = times.get(times.len() / 2).map_or(f64::NAN, |time| time.as_secs_f64() * 1e6);
    Ok((p50, used * 1e6 / times.len() as f64))
}

/// Turns with a bot on one connection until then, at least one.
async fn turns(address: &str, bot: &str, key: &str, until: Instant) -> Result<Vec<Duration>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let body = Bytes::from(json!({"message": "Hello there, how are you today?", "bot": bot}).to_string());
    let mut times = Vec::new();
    loop {
        let request = Request::post("/api/chat")
            .header("host", address)
            .header("content-type", "application/json")
            .header("authorization", format!("Bearer {key}"))
            .body(Full::new(body.clone()))?;
        let asked = Instant::now();
        let response = sender.send_request(request).await?;
        let status = response.status();
        let answer = response.into_body().collect().await?.to_bytes();
        times.push(asked.elapsed());
        ensure!(status.is_success(), "{bot}: {status} {}", String::from_utf8_lossy(&answer));
        if Instant::now() >= until {
            return Ok(times);
        }
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
