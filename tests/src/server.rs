//! The `confab` binary as a process: started on a data directory of its own, killed, stopped, asked.
//!
//! A [`Host`] is the machine: a data directory and flags. It outlives the [`Server`]s that are started on it one after the
//! other, so that a test can kill one and look what the next one finds.

use crate::place;
use crate::wait::LONG;
use anyhow::{Context, Result, bail, ensure};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// Beginning of the line that says that the server is ready.
const READY: &str = "listening on ";
/// Any port that nobody has.
const FREE_PORT: &str = "127.0.0.1:0";
/// Lines of the log that an error shows.
const LOG_TAIL: usize = 30;

/// A data directory, with the flags of the processes that work on it.
#[derive(Clone, Debug)]
pub struct Host {
    home: Arc<TempDir>,
    common: Vec<String>,
    listen: String,
    serve: Vec<String>,
    env: Vec<(String, String)>,
}

impl Host {
    /// An empty one, with the plugins that were built and the code cache of all tests.
    ///
    /// # Errors
    /// When binary or plugins are missing.
    pub fn new() -> Result<Host> {
        place::confab()?;
        let home = tempfile::Builder::new().prefix("confab-").tempdir()?;
        let data = home.path().join("data");
        std::fs::create_dir(&data)?;
        std::os::unix::fs::symlink(place::code_cache()?, data.join("code"))?;
        let common = vec![
            "--data".to_owned(),
            data.display().to_string(),
            "--plugins".to_owned(),
            place::plugins()?.display().to_string(),
        ];
        Ok(Host { home: Arc::new(home), common, listen: FREE_PORT.to_owned(), serve: Vec::new(), env: Vec::new() })
    }

    /// With another code cache than that of all tests.
    ///
    /// # Errors
    /// When it can't be put in its place.
    pub fn code_cache(self, dir: &Path) -> Result<Host> {
        let code = self.home.path().join("data/code");
        std::fs::remove_file(&code)?;
        std::os::unix::fs::symlink(dir, code)?;
        Ok(self)
    }

    /// A flag of all commands with its value, such as `--store`.
    #[must_use]
    pub fn flag(mut self, name: &str, value: &str) -> Host {
        self.common.extend([name.to_owned(), value.to_owned()]);
        self
    }

    /// With another plugin directory than that of the built ones.
    #[must_use]
    pub fn plugins(mut self, dir: &Path) -> Host {
        if let Some(value) = self.common.iter_mut().skip_while(|flag| *flag != "--plugins").nth(1) {
            *value = dir.display().to_string();
        }
        self
    }

    /// A flag of `confab serve` with its value, such as `--key-rate`.
    #[must_use]
    pub fn serving(mut self, name: &str, value: &str) -> Host {
        self.serve.extend([name.to_owned(), value.to_owned()]);
        self
    }

    /// On this port of 127.0.0.1 at each start, so that clients find it again.
    #[must_use]
    pub fn listening(mut self, port: u16) -> Host {
        self.listen = format!("127.0.0.1:{port}");
        self
    }

    /// Applies a folder at each start.
    #[must_use]
    pub fn apply(self, folder: &Path) -> Host {
        self.serving("--apply", &folder.display().to_string())
    }

    /// A variable of the process's environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Host {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    fn command(&self) -> Result<Command> {
        let mut command = Command::new(place::confab()?);
        // What a developer has set for the own server is not for these.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("CONFAB_") || name == "RUST_LOG" {
                command.env_remove(name);
            }
        }
        command.args(&self.common).envs(self.env.iter().cloned()).stdin(Stdio::null()).kill_on_drop(true);
        Ok(command)
    }

    fn log_file(&self) -> PathBuf {
        self.home.path().join("log")
    }

    /// Every byte of the store, the plugins and the code, as they lie on disk.
    ///
    /// # Errors
    /// When something can't be read.
    pub fn disk(&self) -> Result<Vec<(PathBuf, Vec<u8>)>> {
        let mut folders = vec![self.home.path().join("data")];
        let mut files = Vec::new();
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder)? {
                let path = entry?.path();
                if path.is_symlink() {
                    continue;
                }
                if path.is_dir() {
                    folders.push(path);
                } else if path.is_file() {
                    files.push((path.clone(), std::fs::read(&path).with_context(|| path.display().to_string())?));
                }
            }
        }
        ensure!(!files.is_empty(), "nothing is on disk");
        Ok(files)
    }

    /// Everything that the servers on this host wrote to their logs so far.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn log(&self) -> Result<String> {
        Ok(String::from_utf8_lossy(&std::fs::read(self.log_file())?).into_owned())
    }

    /// Starts a server, on a free port unless it has one, and waits until it says that it listens.
    ///
    /// # Errors
    /// With the end of its log, when it ends or does not get ready.
    pub async fn start(&self) -> Result<Server> {
        let log = std::fs::File::options().create(true).append(true).open(self.log_file())?;
        let mut command = self.command()?;
        command.args(["serve", "--listen", &self.listen, "--log-format", "json"]).args(&self.serve);
        let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().context("can't start confab")?;
        let mut lines = BufReader::new(child.stdout.take().context("no standard output")?).lines();
        let ready = tokio::time::timeout(LONG, async {
            while let Some(line) = lines.next_line().await? {
                if let Some(url) = line.strip_prefix(READY) {
                    return Ok(Some(url.trim().to_owned()));
                }
            }
            Ok::<_, std::io::Error>(None)
        })
        .await;
        match ready {
            Ok(Ok(Some(url))) => {
                // Whatever else it prints must find a reader.
                tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
                Ok(Server { child, url, host: self.clone() })
            }
            Ok(Ok(None)) => bail!("confab serve ended at once:\n{}", self.log_tail()?),
            Ok(Err(e)) => bail!("confab serve can't be read: {e}"),
            Err(_) => bail!("confab serve was not ready within {LONG:?}:\n{}", self.log_tail()?),
        }
    }

    fn log_tail(&self) -> Result<String> {
        let log = self.log()?;
        let lines: Vec<&str> = log.lines().collect();
        Ok(lines.get(lines.len().saturating_sub(LOG_TAIL)..).unwrap_or_default().join("\n"))
    }

    /// Runs another command of `confab` to its end.
    ///
    /// # Errors
    /// When it can't be run. That it fails is an answer.
    pub async fn run(&self, arguments: &[&str]) -> Result<Ran> {
        self.run_within(LONG, arguments).await
    }

    /// The same for one that may take longer than others.
    ///
    /// # Errors
    /// When it can't be run, or does not end within the time.
    pub async fn run_within(&self, time: Duration, arguments: &[&str]) -> Result<Ran> {
        let mut command = self.command()?;
        let output = tokio::time::timeout(time, command.args(arguments).output()).await;
        let output = output.with_context(|| format!("confab {arguments:?} did not end"))??;
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ok(Ran { status: output.status, stdout: text(output.stdout), stderr: text(output.stderr) })
    }

    /// Runs a command that must succeed and gives what it printed.
    ///
    /// # Errors
    /// With what it said, when it fails.
    pub async fn confab(&self, arguments: &[&str]) -> Result<String> {
        let ran = self.run(arguments).await?;
        ensure!(ran.status.success(), "confab {arguments:?} failed: {}{}", ran.stdout, ran.stderr);
        Ok(ran.stdout)
    }

    /// Makes a key, with further arguments of `confab key create`.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn key(&self, tenant: &str, more: &[&str]) -> Result<String> {
        let arguments = [&["key", "create", "--quiet", "--tenant", tenant], more].concat();
        let key = self.confab(&arguments).await?.trim().to_owned();
        ensure!(key.starts_with("cfb_"), "`{key}` is no key");
        Ok(key)
    }
}

/// The part of a key by which it is listed and revoked; it opens nothing.
pub fn public_part(key: &str) -> String {
    // The secret may have underscores of its own.
    key.splitn(3, '_').take(2).collect::<Vec<_>>().join("_")
}

/// A command that ended.
#[derive(Debug)]
pub struct Ran {
    /// How.
    pub status: ExitStatus,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// A running server. Dropping it kills it.
#[derive(Debug)]
pub struct Server {
    child: Child,
    url: String,
    host: Host,
}

impl Server {
    /// `http://127.0.0.1:PORT`
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What it runs on.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Its process.
    ///
    /// # Errors
    /// When it has ended.
    pub fn pid(&self) -> Result<u32> {
        self.child.id().context("the server has ended")
    }

    /// Resident memory in MB.
    ///
    /// # Errors
    /// When it has ended.
    pub fn rss_mb(&self) -> Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()?))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        let kb: f64 = line.split_whitespace().next().context("no VmRSS")?.parse()?;
        Ok(kb / 1e3)
    }

    /// kill -9: it gets no chance to do anything.
    ///
    /// # Errors
    /// When it had ended by itself.
    pub async fn kill(mut self) -> Result<()> {
        ensure!(self.child.try_wait()?.is_none(), "the server had ended by itself:\n{}", self.host.log_tail()?);
        self.child.kill().await.context("kill -9")
    }

    /// Asks it to stop, as a service manager does.
    ///
    /// # Errors
    /// When there is nobody to ask.
    pub async fn terminate(&self) -> Result<()> {
        let pid = self.child.id().context("the server had ended by itself")?;
        let status = Command::new("kill").args(["-TERM", &pid.to_string()]).status().await?;
        ensure!(status.success(), "can't send SIGTERM");
        Ok(())
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When it does not come within the time.
    pub async fn ended(mut self, within: Duration) -> Result<ExitStatus> {
        let status = tokio::time::timeout(within, self.child.wait()).await;
        Ok(status.with_context(|| format!("the server did not end within {within:?}"))??)
    }

    /// Fails when the process has ended.
    ///
    /// # Errors
    /// With the end of its log.
    pub fn lives(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("the server ended ({status}):\n{}", self.host.log_tail()?),
        }
    }
}
