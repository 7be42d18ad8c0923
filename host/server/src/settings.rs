//! Settings of the process: flags, each with an environment variable, and a file of limits ([`limits`]).

mod limits;

use crate::gateway::rate::Rates;
use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use confab_engine::EngineConfig;
use confab_engine::egress::{EgressPolicy, HostGrant};
use confab_engine::install::GateConfig;
use confab_engine::sandbox::{Compiler, SandboxConfig};
use confab_engine::tokens::TokenKeys;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Where everything is. The same for the server and for commands that work beside it.
#[derive(Clone, Debug, Args)]
pub(crate) struct Common {
    /// Directory for the embedded store, compiled code and the admin socket.
    #[arg(long, env = "CONFAB_DATA", default_value = ".data", global = true)]
    pub(crate) data: PathBuf,
    /// Where conversations and configuration are kept: embedded:PATH, redis://HOST[:PORT][/DB] or redis-cluster://HOST:PORT,HOST:PORT,... [default: embedded:DATA/store]
    #[arg(long, env = "CONFAB_STORE", hide_env_values = true, global = true)]
    pub(crate) store: Option<String>,
    /// Directory with plugin components (NAME.wasm). [default: DATA/plugins]
    #[arg(long, env = "CONFAB_PLUGINS", global = true)]
    pub(crate) plugins: Option<PathBuf>,
    /// Directory with secret files, DIR/TENANT/NAME, for `file:NAME` in connections.
    #[arg(long, env = "CONFAB_SECRETS", global = true)]
    pub(crate) secrets: Option<PathBuf>,
    /// Host that connections may reach although it has a private address or speaks plain http: erp.internal:443, 127.0.0.1:8069. May be repeated.
    #[arg(long = "allow-private", env = "CONFAB_ALLOW_PRIVATE", value_delimiter = ',', global = true)]
    pub(crate) allow_private: Vec<String>,
    /// PEM file with certificates of authorities that connections trust beside the system's. May be repeated.
    #[arg(long = "ca-file", env = "CONFAB_CA_FILES", value_delimiter = ',', global = true)]
    pub(crate) ca_files: Vec<PathBuf>,
    /// Plugin calls that may run at once, of each kind.
    #[arg(long, env = "CONFAB_PLUGIN_CALLS", default_value_t = 128, value_parser = clap::value_parser!(u32).range(2..=1000), global = true)]
    pub(crate) plugin_calls: u32,
    /// Plugins whose code stays in memory.
    #[arg(long, env = "CONFAB_PLUGIN_CACHE", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(8..=10_000), global = true)]
    pub(crate) plugin_cache: u32,
    /// TOML file with limits: [floor] and [ceiling] of what plugins get, [tenant], [compiler].
    #[arg(long, env = "CONFAB_LIMITS", global = true)]
    pub(crate) limits: Option<PathBuf>,
    /// File with the keys of publishers whose plugins may be installed: lines of the .pub files that `confab plugin keygen` writes.
    #[arg(long, env = "CONFAB_TRUSTED_PUBLISHERS", global = true)]
    pub(crate) trusted_publishers: Option<PathBuf>,
    /// Let plugins be installed without a trusted signature, by commands that say --unsigned.
    #[arg(long, env = "CONFAB_ALLOW_UNSIGNED", global = true)]
    pub(crate) allow_unsigned: bool,
    /// Where browsers find this server, for connections that people connect: https://bot.example.com
    #[arg(long, env = "CONFAB_PUBLIC_URL", global = true)]
    pub(crate) public_url: Option<String>,
    /// Imports that no installed plugin may have: wasi:*, confab:plugin/http. May be repeated.
    #[arg(long = "deny-imports", env = "CONFAB_DENY_IMPORTS", value_delimiter = ',', global = true)]
    pub(crate) deny_imports: Vec<String>,
}

impl Common {
    /// `works`: whether this process does what waits in the store. `journal`: see [`Serve::no_journal`].
    pub(crate) fn engine(&self, works: bool, journal: bool) -> Result<EngineConfig> {
        let mut allow_private = Vec::new();
        for host in &self.allow_private {
            allow_private.push(host.parse::<HostGrant>().with_context(|| format!("--allow-private {host}"))?);
        }
        let store = self.store.clone().unwrap_or_else(|| format!("embedded:{}", self.data.join("store").display()));
        Ok(EngineConfig {
            store,
            plugins: self.plugins.clone().unwrap_or_else(|| self.data.join("plugins")),
            installed: self.data.join("installed"),
            gate: self.gate()?,
            sandbox: self.sandbox()?,
            egress: EgressPolicy { allow_private, ca_files: self.ca_files.clone() },
            secrets: self.secrets.clone(),
            token_keys: token_keys()?,
            public_url: self.public_url.as_deref().map(public_url).transpose()?,
            works,
            journal,
        })
    }

    fn gate(&self) -> Result<GateConfig> {
        let gate = GateConfig {
            trusted_publishers: self.trusted_publishers.clone(),
            allow_unsigned: self.allow_unsigned,
            deny_imports: self.deny_imports.clone(),
        };
        // A mistake in it is better found now than at the first installation.
        gate.trusted().map_err(|e| anyhow!("--trusted-publishers {e}"))?;
        Ok(gate)
    }

    /// Plugins are strangers' code: this program compiles them in a process of its own.
    fn sandbox(&self) -> Result<SandboxConfig> {
        let limits = self.limits.as_deref().map(limits::read).transpose()?.unwrap_or_default();
        Ok(SandboxConfig {
            calls: self.plugin_calls,
            policy: limits.policy,
            tenant: limits.tenant,
            loaded: self.plugin_cache as usize,
            compiler: Compiler::Child {
                program: std::env::current_exe().context("can't find this program to compile plugins with")?,
                arguments: vec![crate::cli::COMPILE.to_owned()],
                limits: limits.compiler,
            },
            ..SandboxConfig::new(self.data.join("code"))
        })
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.data.join("admin.sock")
    }
}

/// The keys that tokens are encrypted with. From the environment alone: a flag could be read in the list of processes.
fn token_keys() -> Result<Option<TokenKeys>> {
    let text = match std::env::var("CONFAB_TOKEN_KEYS") {
        Ok(text) => text,
        Err(std::env::VarError::NotPresent) => return Ok(None),
        Err(std::env::VarError::NotUnicode(_)) => bail!("CONFAB_TOKEN_KEYS is not text"),
    };
    Ok(TokenKeys::parse(&text)?)
}

/// Browsers send what is secret there, so it is https, but for this very machine.
fn public_url(text: &str) -> Result<String> {
    let uri: http::Uri = text.parse().with_context(|| format!("--public-url {text} is not a URL"))?;
    let host = uri.host().unwrap_or_default();
    let local = matches!(host, "localhost" | "127.0.0.1" | "[::1]");
    let good = match uri.scheme_str() {
        Some("https") => !host.is_empty(),
        Some("http") => local,
        _ => false,
    };
    if !good || uri.query().is_some() || text.contains(['#', '@']) {
        bail!("--public-url {text} is not as https://bot.example.com (http only for this machine; no query)");
    }
    Ok(text.trim_end_matches('/').to_owned())
}

/// Settings of the server alone.
#[derive(Clone, Debug, Args)]
pub(crate) struct Serve {
    /// Address to listen on. Use port 0 for a free one.
    #[arg(long, env = "CONFAB_LISTEN", default_value = "127.0.0.1:8080")]
    pub(crate) listen: SocketAddr,
    /// Folder of a tenant to apply at start. May be repeated.
    #[arg(long, env = "CONFAB_APPLY", value_delimiter = ',')]
    pub(crate) apply: Vec<PathBuf>,
    /// Requests a minute for a key that has no rate of its own.
    #[arg(long, env = "CONFAB_KEY_RATE", default_value_t = 600, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) key_rate: u32,
    /// Messages a minute for a visitor.
    #[arg(long, env = "CONFAB_VISITOR_RATE", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) visitor_rate: u32,
    /// Webhooks a minute for a connection, from all its platform's addresses; half of it from one address.
    #[arg(long, env = "CONFAB_WEBHOOK_RATE", default_value_t = 1_200, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) webhook_rate: u32,
    /// Seconds to wait for turns that are being served when the process is told to stop.
    #[arg(long, env = "CONFAB_DRAIN", default_value_t = 30)]
    pub(crate) drain: u64,
    /// Serve /metrics without a key although the address is not loopback.
    #[arg(long, env = "CONFAB_OPEN_METRICS")]
    pub(crate) open_metrics: bool,
    /// How to write the log: text or json. [default: text on a terminal, else json]
    #[arg(long, env = "CONFAB_LOG_FORMAT")]
    pub(crate) log_format: Option<crate::telemetry::Format>,
    /// For measuring only (`make bench`): no journal and no record of turns. One that is cut off is then not taken up.
    #[arg(long, hide = true)]
    pub(crate) no_journal: bool,
}

impl Serve {
    pub(crate) fn rates(&self) -> Rates {
        Rates { key: self.key_rate, visitor: self.visitor_rate, webhook: self.webhook_rate }
    }
}
