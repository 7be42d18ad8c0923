//! The hosts, their Redis, and who kills them: kill -9 of a random host every few seconds, of all at once now and then, and once
//! of Redis. A killed host starts again after a while, on its port and with its data directory, as a service manager would have it.

use super::desk::Desk;
use super::door::Door;
use super::{Plan, Store, TENANT, dice, script};
use crate::client::Client;
use crate::folder::Folder;
use crate::redis::{Redis, free_port};
use crate::server::{Host, Server};
use crate::systems::request_tracker::RequestTracker;
use crate::wait::{LONG, until};
use anyhow::{Context, Result, bail};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Requests a minute that nobody reaches: this is not about rates.
const NO_LIMIT: &str = "4000000000";
/// Each so many rounds all hosts die at once: a power cut.
const POWER_CUT_EVERY: u64 = 6;
/// How often who kills looks at what is due.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long Redis is away.
const REDIS_AWAY: Duration = Duration::from_millis(700);
/// A host must be up again by then, whatever its store does meanwhile.
const COMES_UP: Duration = Duration::from_secs(90);

/// All of them.
#[derive(Debug)]
pub struct Machines {
    hosts: Vec<Host>,
    servers: Vec<Option<Server>>,
    redis: Option<Redis>,
    key: String,
    kills: u64,
    redis_kills: u64,
    starts_failed: u64,
    slowest_start: Duration,
    ended: Vec<(usize, String)>,
    _limits: Folder,
}

impl Machines {
    /// Starts them, applies the tenant's folder at one of them, and makes a key.
    ///
    /// # Errors
    /// When something does not start.
    pub async fn start(plan: &Plan, folder: &Folder, desk: &Desk, rt: Option<&RequestTracker>) -> Result<Machines> {
        let redis = if plan.store == Store::Redis { Some(Redis::durable().await?) } else { None };
        // What visitors of this one tenant may use together is not the question here.
        let limits = Folder::of("limits")?;
        limits.write("limits.toml", "[tenant]\nfuel_per_minute = 1000000000000\n")?;
        let mut hosts = Vec::new();
        for _ in 0..plan.hosts {
            let mut host = Host::new()?
                .listening(free_port()?)
                .flag("--limits", &limits.path().join("limits.toml").display().to_string())
                .flag("--allow-private", &desk.address())
                .serving("--key-rate", NO_LIMIT)
                .serving("--visitor-rate", NO_LIMIT);
            if let Some(rt) = rt {
                host = host.flag("--allow-private", &rt.address());
            }
            for (name, secret) in script::secrets(rt)? {
                host = host.env(name, &secret);
            }
            if let Some(redis) = &redis {
                host = host.flag("--store", &redis.url());
            }
            hosts.push(host);
        }
        let mut servers = Vec::new();
        for host in &hosts {
            servers.push(Some(host.start().await?));
        }
        let first = hosts.first().context("no hosts")?;
        first.confab(&["apply", &folder.path().display().to_string()]).await?;
        let scopes = ["--scope", "chat", "--scope", "transcripts", "--scope", "events"];
        let key = first.key(TENANT, &scopes).await?;
        Ok(Machines {
            hosts,
            servers,
            redis,
            key,
            kills: 0,
            redis_kills: 0,
            starts_failed: 0,
            slowest_start: Duration::ZERO,
            ended: Vec::new(),
            _limits: limits,
        })
    }

    /// A client of each host. The hosts keep their addresses.
    ///
    /// # Errors
    /// When a host is down.
    pub async fn clients(&self) -> Result<Vec<Client>> {
        self.servers.iter().map(|server| Client::new(server.as_ref().context("a host is down")?, &self.key)).collect()
    }

    /// Greets each host until it knows tenant and key.
    ///
    /// # Errors
    /// When one does not learn of them.
    pub async fn warm(&self, door: &Door) -> Result<()> {
        for client in door.all() {
            until("tenant and key have reached all hosts", LONG, || async move {
                let answer = client.post("/api/chat", &json!({"message": "hello", "bot": "desk"})).await?;
                Ok(answer.status.is_success().then_some(()))
            })
            .await?;
        }
        Ok(())
    }

    /// Kills until it is told to stop; then everything is started again.
    ///
    /// # Errors
    /// When something does not come up any more.
    pub async fn haunt(
        mut self,
        plan: Plan,
        done: Arc<AtomicUsize>,
        mut stop: watch::Receiver<bool>,
    ) -> Result<Machines> {
        let mut dice = dice(plan.seed, "kills", 0);
        let mut round = 0;
        loop {
            let due = Instant::now() + dice.between(plan.kill_every / 2, plan.kill_every * 3 / 2);
            while Instant::now() < due {
                tokio::select! {
                    _ = stop.wait_for(|stop| *stop) => return Ok(self),
                    () = tokio::time::sleep(LOOK_EVERY) => {}
                }
                if self.redis_kills == 0 && done.load(Ordering::Relaxed) * 2 >= plan.conversations {
                    self.restart_redis().await?;
                }
            }
            round += 1;
            let all = round % POWER_CUT_EVERY == 0;
            let chosen = dice.below(self.hosts.len());
            let victims: Vec<usize> = (0..self.hosts.len()).filter(|host| all || *host == chosen).collect();
            for victim in &victims {
                self.kill(*victim).await;
            }
            tokio::time::sleep(dice.between(plan.down.0, plan.down.1)).await;
            self.all_up().await?;
        }
    }

    async fn kill(&mut self, host: usize) {
        let Some(server) = self.servers.get_mut(host).and_then(Option::take) else { return };
        match server.kill().await {
            Ok(()) => self.kills += 1,
            Err(e) => self.ended.push((host, e.to_string())),
        }
    }

    async fn restart_redis(&mut self) -> Result<()> {
        let Some(redis) = &mut self.redis else { return Ok(()) };
        redis.kill()?;
        self.redis_kills += 1;
        tokio::time::sleep(REDIS_AWAY).await;
        redis.start_again().await
    }

    /// Starts those that are down, and looks whether the others are really up.
    ///
    /// # Errors
    /// When one does not start any more.
    pub async fn all_up(&mut self) -> Result<()> {
        for (number, (host, place)) in self.hosts.iter().zip(&mut self.servers).enumerate() {
            if let Some(Err(e)) = place.as_mut().map(Server::lives) {
                self.ended.push((number, e.to_string()));
                *place = None;
            }
            let began = Instant::now();
            while place.is_none() {
                match host.start().await {
                    Ok(server) => *place = Some(server),
                    Err(e) if began.elapsed() > COMES_UP => bail!("host {number} does not come up any more: {e:#}"),
                    Err(_) => {
                        self.starts_failed += 1;
                        tokio::time::sleep(Duration::from_millis(200)).await;
                    }
                }
                self.slowest_start = self.slowest_start.max(began.elapsed());
            }
        }
        Ok(())
    }

    /// The first host, for commands.
    ///
    /// # Errors
    /// When there is none.
    pub fn first(&self) -> Result<&Host> {
        self.hosts.first().context("no hosts")
    }

    /// All hosts.
    pub fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    /// Hosts that were killed.
    pub fn kills(&self) -> u64 {
        self.kills
    }

    /// How often Redis was killed.
    pub fn redis_kills(&self) -> u64 {
        self.redis_kills
    }

    /// Starts that failed and were tried again, as a service manager does.
    pub fn starts_failed(&self) -> u64 {
        self.starts_failed
    }

    /// The longest time that a host took until it listened.
    pub fn slowest_start(&self) -> Duration {
        self.slowest_start
    }

    /// Hosts that ended without being killed, with the end of their log.
    pub fn ended_by_themselves(&self) -> &[(usize, String)] {
        &self.ended
    }
}
