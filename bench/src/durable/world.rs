//! Servers with two bots: `echo`, and `calls`, which calls a business system that costs nothing.

use crate::targets::{Redis, Serve, Server, serve};
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

/// What servers are started with.
pub(super) struct World {
    confab: PathBuf,
    plugins: PathBuf,
    folder: tempfile::TempDir,
}

/// The tenant of both bots.
pub(super) const TENANT: &str = "bench";

/// Files of the tenant.
const FILES: &[(&str, &str)] = &[
    ("tenant.yaml", "id: bench\n"),
    ("bots/echo.yaml", "id: echo\nplugin: echo\n"),
    ("bots/calls.yaml", "id: calls\nplugin: calls\nconnections:\n  inventory: free\n  leads: free\n"),
    ("connections/free.yaml", "id: free\nconnector: costs-nothing\n"),
];

impl World {
    pub(super) fn new(confab: &Path, plugins: &Path) -> Result<World> {
        let folder = tempfile::tempdir()?;
        for (file, text) in FILES {
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().context("no folder")?)?;
            std::fs::write(path, text)?;
        }
        Ok(World { confab: confab.to_owned(), plugins: plugins.to_owned(), folder })
    }

    pub(super) fn serve(&self, data: &Path, redis: Option<&Redis>, flags: &[&str]) -> Result<Server> {
        let (folder, store) = (self.folder.path(), redis.map(|redis| redis.url.as_str()));
        serve(&Serve { confab: &self.confab, plugins: &self.plugins, data, store, folder, tenant: TENANT, flags })
    }
}

/// What a Redis has done so far.
#[derive(Clone, Copy)]
pub(super) struct Done {
    pub(super) cpu_us: f64,
    /// Scripts run: each is one trip of a host.
    pub(super) scripts: f64,
}

/// Asks a Redis.
pub(super) async fn done(redis: &Redis) -> Result<Done> {
    let mut connection = redis::Client::open(redis.url.as_str())?.get_multiplexed_async_connection().await?;
    let info: String =
        redis::cmd("INFO").arg("cpu").arg("commandstats").query_async(&mut connection).await.context("INFO")?;
    let number = |name: &str| -> f64 {
        let line = info.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        line.split(',').next().and_then(|number| number.trim().parse().ok()).unwrap_or_default()
    };
    let cpu_us = (number("used_cpu_user:") + number("used_cpu_sys:")) * 1e6;
    Ok(Done { cpu_us, scripts: number("cmdstat_evalsha:calls=") + number("cmdstat_eval:calls=") })
}
