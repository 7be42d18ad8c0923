//! A real redis-server: on a free port of 127.0.0.1, in a directory of its own; without persistence, or with all of it.
//!
//! It runs under a shell that waits for the end of its own input and then stops the server. So the server ends when the
//! value is dropped, and also when the test is killed, because then the pipe closes.

use crate::wait::{LONG, until};
use anyhow::{Context, Result, ensure};
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const SUPERVISE: &str =
    r#"redis-server "$@" >/dev/null & server=$!; echo "$server"; cat; kill "$server" 2>/dev/null; wait "$server""#;
/// Nothing is written to disk.
const FORGETFUL: [&str; 2] = ["--appendonly", "no"];
/// Everything is on disk before it is answered.
const DURABLE: [&str; 4] = ["--appendonly", "yes", "--appendfsync", "always"];

/// A running redis-server. Dropping it stops it.
#[derive(Debug)]
pub struct Redis {
    shell: Child,
    /// The server's process; the shell is only its keeper.
    pid: String,
    port: u16,
    dir: TempDir,
}

fn spawn(port: u16, dir: &TempDir, persistence: &[&str]) -> Result<(Child, String)> {
    let mut shell = Command::new("/bin/sh")
        .args(["-c", SUPERVISE, "redis", "--bind", "127.0.0.1", "--port", &port.to_string(), "--save", ""])
        .args(persistence)
        .arg("--dir")
        .arg(dir.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("can't start redis-server")?;
    let mut pid = String::new();
    BufReader::new(shell.stdout.take().context("no standard output")?).read_line(&mut pid)?;
    Ok((shell, pid.trim().to_owned()))
}

/// A port of 127.0.0.1 that nobody has at this moment.
///
/// # Errors
/// When there is none.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

impl Redis {
    /// Starts one that keeps nothing and waits until it answers.
    ///
    /// # Errors
    /// When it does not: is redis-server installed?
    pub async fn start() -> Result<Redis> {
        Redis::with(&FORGETFUL).await
    }

    /// Starts one that has on disk what it answered, and waits until it answers.
    ///
    /// # Errors
    /// When it does not: is redis-server installed?
    pub async fn durable() -> Result<Redis> {
        Redis::with(&DURABLE).await
    }

    async fn with(persistence: &[&str]) -> Result<Redis> {
        let (port, dir) = (free_port()?, tempfile::tempdir()?);
        let (shell, pid) = spawn(port, &dir, persistence)?;
        let redis = Redis { shell, pid, port, dir };
        redis.answers().await?;
        Ok(redis)
    }

    async fn answers(&self) -> Result<()> {
        until("redis-server answers (is it installed? apt-get install redis-server)", LONG, || self.pong()).await
    }

    /// kill -9.
    ///
    /// # Errors
    /// When it had ended by itself.
    pub fn kill(&mut self) -> Result<()> {
        let killed = Command::new("kill").args(["-9", &self.pid]).status()?;
        ensure!(killed.success(), "redis-server had ended by itself");
        drop(self.shell.stdin.take());
        self.shell.wait()?;
        Ok(())
    }

    /// Starts a durable one again after [`Redis::kill`], on the same port with what is on disk.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn start_again(&mut self) -> Result<()> {
        (self.shell, self.pid) = spawn(self.port, &self.dir, &DURABLE)?;
        self.answers().await
    }

    async fn pong(&self) -> Result<Option<()>> {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)).await else { return Ok(None) };
        let mut answer = [0_u8; 5];
        let asked = async {
            stream.write_all(b"PING\r\n").await?;
            stream.read_exact(&mut answer).await
        };
        Ok((asked.await.is_ok() && answer == *b"+PONG").then_some(()))
    }

    /// Every byte that it holds, uncompressed.
    ///
    /// # Errors
    /// When it can't be had.
    pub async fn dump(&self) -> Result<Vec<u8>> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
        for command in ["CONFIG SET rdbcompression no\r\n", "SAVE\r\n"] {
            let mut answer = [0; 5];
            stream.write_all(command.as_bytes()).await?;
            stream.read_exact(&mut answer).await?;
            ensure!(answer == *b"+OK\r\n", "{command}: {}", String::from_utf8_lossy(&answer));
        }
        Ok(std::fs::read(self.dir.path().join("dump.rdb"))?)
    }

    /// As `--store` wants it.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}
