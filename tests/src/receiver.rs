//! A receiver of webhooks that verifies with the official library (PyPI `standardwebhooks`), and a clock that it shares with the server.
//!
//! `scripts/deps test` installs the library and libfaketime. Only the wall clock is moved: what waits for a time inside a process goes
//! on as ever.

use crate::client::plain_http;
use crate::place::root;
use crate::server::Host;
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Mutex;
use std::time::{Duration, SystemTime};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// A wall clock that is moved by hand.
#[derive(Debug)]
pub struct Clock {
    dir: TempDir,
    ahead: Mutex<Duration>,
    library: PathBuf,
}

impl Clock {
    /// One that shows the time.
    ///
    /// # Errors
    /// When libfaketime is not installed.
    pub fn new() -> Result<Clock> {
        let folders = std::fs::read_dir("/usr/lib")?.flatten().map(|entry| entry.path());
        let library = folders.map(|dir| dir.join("faketime/libfaketimeMT.so.1")).find(|file| file.is_file());
        let library = library.context("libfaketime is missing: run `scripts/deps test`")?;
        let clock = Clock { dir: tempfile::tempdir()?, ahead: Mutex::default(), library };
        clock.advance(Duration::ZERO)?;
        Ok(clock)
    }

    /// Variables of a process that is to have this clock.
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        vec![
            ("LD_PRELOAD", self.library.display().to_string()),
            ("FAKETIME_TIMESTAMP_FILE", self.dir.path().join("ahead").display().to_string()),
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
            ("FAKETIME_DISABLE_SHM", "1".to_owned()),
        ]
    }

    /// A host whose servers have this clock.
    pub fn of(&self, host: Host) -> Host {
        self.variables().into_iter().fold(host, |host, (name, value)| host.env(name, &value))
    }

    /// Moves it.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn advance(&self, by: Duration) -> Result<()> {
        let mut ahead = self.ahead.lock().map_err(|_| anyhow::anyhow!("a test has panicked"))?;
        *ahead += by;
        // Renamed into its place, so that nobody reads half of it.
        let (new, file) = (self.dir.path().join("new"), self.dir.path().join("ahead"));
        std::fs::write(&new, format!("+{}\n", ahead.as_secs()))?;
        Ok(std::fs::rename(new, file)?)
    }

    /// What it shows, in milliseconds since 1970.
    ///
    /// # Errors
    /// When a test has panicked with it.
    pub fn now(&self) -> Result<u64> {
        let ahead = *self.ahead.lock().map_err(|_| anyhow::anyhow!("a test has panicked"))?;
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)? + ahead;
        Ok(u64::try_from(now.as_millis())?)
    }
}

/// A running receiver. Dropping it stops it.
#[derive(Debug)]
pub struct Receiver {
    process: Child,
    port: u16,
    control: String,
    http: reqwest::Client,
}

/// A request that came.
#[derive(Clone, Debug)]
pub struct Got {
    /// Its headers, names in lower case.
    pub headers: Value,
    /// Its body, as it came.
    pub body: String,
    /// What the library said, secret by secret: `verified`, or why not.
    pub said: Vec<String>,
    /// How it was answered.
    pub status: u64,
}

impl Got {
    /// A header; empty for none.
    pub fn header(&self, name: &str) -> &str {
        self.headers[name].as_str().unwrap_or_default()
    }

    /// `webhook-id`
    pub fn id(&self) -> &str {
        self.header("webhook-id")
    }

    /// The message; null where it is no JSON.
    pub fn message(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    /// The message's type.
    pub fn kind(&self) -> String {
        self.message()["type"].as_str().unwrap_or_default().to_owned()
    }

    /// Whether it was taken.
    pub fn taken(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

impl Receiver {
    /// Starts one that verifies with these secrets, by this clock.
    ///
    /// # Errors
    /// When Python or the library is missing.
    pub async fn start(secrets: &[&str], clock: Option<&Clock>) -> Result<Receiver> {
        let python = root().join("target/standardwebhooks/bin/python");
        ensure!(python.is_file(), "there is no {}: run `scripts/deps test`", python.display());
        let mut command = Command::new(python);
        command.arg(root().join("tests/receiver/receiver.py")).env("RECEIVER_SECRETS", secrets.join(" "));
        if let Some(clock) = clock {
            command.envs(clock.variables());
        }
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut process = command.spawn().context("can't start the receiver")?;
        let mut lines = BufReader::new(process.stdout.take().context("no standard output")?).lines();
        let line = lines.next_line().await?.context("the receiver ended at once")?;
        let (port, control) = line.split_once(' ').with_context(|| format!("the receiver said `{line}`"))?;
        let (port, control) = (port.parse()?, format!("http://127.0.0.1:{control}"));
        Ok(Receiver { process, port, control, http: plain_http()? })
    }

    /// Host and port, as `--allow-private` wants it.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Where it takes webhooks.
    pub fn url(&self) -> String {
        format!("http://{}/hooks/confab?from=test", self.address())
    }

    /// How it answers from now on.
    ///
    /// # Errors
    /// When it is gone.
    pub async fn answers(&self, how: &Value) -> Result<()> {
        let told = self.http.put(format!("{}/answer", self.control)).body(how.to_string()).send().await?;
        ensure!(told.status() == 204, "the receiver was told nothing: {}", told.status());
        Ok(())
    }

    /// All that came, in order.
    ///
    /// # Errors
    /// When it is gone.
    pub async fn got(&self) -> Result<Vec<Got>> {
        let text = self.http.get(format!("{}/got", self.control)).send().await?.text().await?;
        let all: Vec<Value> = serde_json::from_str(&text)?;
        let one = |got: Value| Got {
            headers: got["headers"].clone(),
            body: got["body"].as_str().unwrap_or_default().to_owned(),
            said: got["said"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect(),
            status: got["status"].as_u64().unwrap_or_default(),
        };
        Ok(all.into_iter().map(one).collect())
    }

    /// Its process.
    pub fn pid(&self) -> Option<u32> {
        self.process.id()
    }
}
