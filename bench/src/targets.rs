//! The programs that are measured: bare handlers and the server, on the embedded store and on Redis.

use crate::Args;
use anyhow::{Context, Result, anyhow, bail};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Clock ticks a second in /proc; fixed on Linux for user space.
const TICKS: f64 = 100.0;
/// Requests a minute that no benchmark reaches.
const NO_LIMIT: &str = "4000000000";

/// A running program, and what is asked of it.
pub(crate) struct Target {
    pub(crate) name: String,
    pub(crate) server: Server,
    pub(crate) message: &'static str,
    /// Index of the target that this one is held against.
    pub(crate) against: Option<usize>,
}

/// A running program.
pub(crate) struct Server {
    pub(crate) address: String,
    pub(crate) key: String,
    process: Child,
}

/// All of them, and what they need. Everything is stopped when it is dropped.
pub(crate) struct Targets {
    pub(crate) all: Vec<Target>,
    _redis: Redis,
    _dirs: Vec<tempfile::TempDir>,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// CPU time of a process (its number, or `self`) since its start.
pub(crate) fn cpu_of(process: &str) -> Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks: f64 = [11, 12].iter().filter_map(|i| fields.get(*i)?.parse::<f64>().ok()).sum();
    Ok(Duration::from_secs_f64(ticks / TICKS))
}

impl Server {
    /// CPU time of the process since its start.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        cpu_of(&self.process.id().to_string())
    }

    /// Bytes that it has had written to the disk since its start.
    pub(crate) fn written(&self) -> Result<f64> {
        let io = std::fs::read_to_string(format!("/proc/{}/io", self.process.id()))?;
        let line =
            io.lines().find_map(|line| line.strip_prefix("write_bytes:")).ok_or_else(|| anyhow!("no write_bytes"))?;
        Ok(line.trim().parse()?)
    }

    /// Resident memory of the process.
    pub(crate) fn rss_mb(&self) -> Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = status.lines().find(|line| line.starts_with("VmRSS")).ok_or_else(|| anyhow!("no VmRSS"))?;
        let kb: f64 = line.split_whitespace().nth(1).and_then(|kb| kb.parse().ok()).unwrap_or_default();
        Ok(kb / 1e3)
    }
}

impl Targets {
    pub(crate) async fn start(args: &Args) -> Result<Targets> {
        let redis = Redis::start(false)?;
        let mut dirs = Vec::new();
        let mut dir = || -> Result<std::path::PathBuf> {
            let dir = tempfile::tempdir()?;
            let path = dir.path().to_owned();
            dirs.push(dir);
            Ok(path)
        };
        let echo = dir()?;
        std::fs::create_dir(echo.join("bots"))?;
        std::fs::write(echo.join("tenant.yaml"), "id: bench\n")?;
        std::fs::write(echo.join("bots/echo.yaml"), "id: echo\nplugin: echo\n")?;
        let hello = "Hello there, how are you today?";
        let stock = "Do you have SKU-1001 in stock?";
        let shop = Path::new("examples/shop");
        let (data, bare) = (dir()?, dir()?);
        let embedded = format!("embedded:{}", bare.display());
        let all = vec![
            bare_handler("bare axum handler, no I/O", "none", hello)?,
            bare_handler("bare axum handler, embedded store", &embedded, hello)?,
            bare_handler("bare axum handler, Redis", &redis.url, hello)?,
            server("echo plugin, embedded store", args, &data, None, &echo, "bench", hello, Some(1))?,
            server("echo plugin, Redis", args, &dir()?, Some(&redis.url), &echo, "bench", hello, Some(2))?,
            server("flow plugin, stock from sheet, embedded store", args, &dir()?, None, shop, "shop", stock, Some(1))?,
        ];
        Ok(Targets { all, _redis: redis, _dirs: dirs })
    }
}

fn bare_handler(name: &str, store: &str, message: &'static str) -> Result<Target> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["bare", store]);
    let (process, address) = start(command)?;
    let server = Server { address, key: "none".to_owned(), process };
    Ok(Target { name: name.to_owned(), server, message, against: None })
}

#[expect(clippy::too_many_arguments, reason = "a row of the table above")]
fn server(
    name: &str,
    args: &Args,
    data: &Path,
    store: Option<&str>,
    folder: &Path,
    tenant: &str,
    message: &'static str,
    against: Option<usize>,
) -> Result<Target> {
    let server =
        serve(&Serve { confab: &args.confab, plugins: &args.plugins, data, store, folder, tenant, flags: &[] })?;
    Ok(Target { name: name.to_owned(), server, message, against })
}

/// How a server is started.
pub(crate) struct Serve<'a> {
    pub(crate) confab: &'a Path,
    pub(crate) plugins: &'a Path,
    pub(crate) data: &'a Path,
    /// None: the embedded one, in `data`.
    pub(crate) store: Option<&'a str>,
    pub(crate) folder: &'a Path,
    pub(crate) tenant: &'a str,
    pub(crate) flags: &'a [&'a str],
}

/// Starts a server, applies a tenant's folder and makes a key.
pub(crate) fn serve(how: &Serve<'_>) -> Result<Server> {
    let confab = || {
        let mut command = Command::new(how.confab);
        command.arg("--data").arg(how.data).arg("--plugins").arg(how.plugins);
        if let Some(store) = how.store {
            command.args(["--store", store]);
        }
        command
    };
    let mut command = confab();
    command.args(["serve", "--listen", "127.0.0.1:0", "--key-rate", NO_LIMIT, "--visitor-rate", NO_LIMIT]);
    command.args(how.flags).arg("--apply").arg(how.folder);
    let (process, address) = start(command)?;
    let mut server = Server { address, key: String::new(), process };
    let output = confab().args(["key", "create", "--quiet", "--tenant", how.tenant]).output()?;
    if !output.status.success() {
        bail!("no key: {}", String::from_utf8_lossy(&output.stderr));
    }
    server.key = String::from_utf8(output.stdout)?.trim().to_owned();
    Ok(server)
}

/// Starts a program and waits for its line `listening on http://ADDRESS`.
fn start(mut command: Command) -> Result<(Child, String)> {
    let mut process = command
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| format!("{:?}", command.get_program()))?;
    let stdout = process.stdout.take().context("no stdout")?;
    for line in BufReader::new(stdout).lines() {
        if let Some(address) = line?.strip_prefix("listening on http://") {
            return Ok((process, address.to_owned()));
        }
    }
    bail!("{:?} stopped before it listened; run it by hand to see why", command.get_program())
}

/// A redis-server of its own.
pub(crate) struct Redis {
    pub(crate) url: String,
    process: Child,
    _dir: tempfile::TempDir,
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Redis {
    /// `durable`: with an append-only file that is synced each second, as operators are told to have it.
    pub(crate) fn start(durable: bool) -> Result<Redis> {
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let dir = tempfile::tempdir()?;
        let process = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--dir"])
            .arg(dir.path())
            .args(["--appendonly", if durable { "yes" } else { "no" }])
            .stdout(Stdio::null())
            .spawn()
            .context("redis-server: apt-get install redis-server")?;
        let redis = Redis { url: format!("redis://127.0.0.1:{port}"), process, _dir: dir };
        for _ in 0..200 {
            if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Ok(redis);
            }
            std::thread::sleep(Duration::from_millis(25));
        }
        bail!("redis-server does not listen on port {port}")
    }
}
