//! What surrounds each call of a plugin.
//!
//! ```text
//! enter: is the plugin quarantined at this tenant?   no -> call it   yes -> refuse, count
//! well:   account + breaker                           (atomics only: this is every turn's way)
//! failed: account + breaker + failure record
//! ```
//!
//! What a call needs for that, its [`Post`], a bot or connection finds once, at its first call, and keeps: ten thousand
//! bots that nobody talks to cost no metrics, accounts or breakers. It belongs to one version of one plugin: who calls
//! several versions needs a post for each.

use crate::failures::{Failures, Whose};
use crate::quarantine::{Change, Quarantine, Ward, seconds};
use crate::registry::{Bot, Connection};
use crate::rollout::Candidate;
use crate::usage::{Account, Accounts, User};
use confab_egress::breaker::{Clock, Open, Pass};
use confab_sandbox::{CallReport, Failure, FailureKind, Plugin};
use confab_store::Store;
use std::sync::Arc;

/// All that watches.
pub(crate) struct Watch {
    pub(crate) failures: Failures,
    pub(crate) accounts: Accounts,
    pub(crate) quarantine: Quarantine,
}

/// Where a bot's or connection's calls of its plugin are counted.
#[derive(Debug)]
pub(crate) struct Post {
    account: Arc<Account>,
    ward: Arc<Ward>,
}

/// Metric handles of a bot.
#[derive(Debug)]
pub(crate) struct BotMetrics {
    pub(crate) answered: metrics::Counter,
    pub(crate) fallback: metrics::Counter,
    pub(crate) seconds: metrics::Histogram,
}

/// The plugin is not run now.
#[derive(Debug, thiserror::Error)]
#[error("plugin {plugin} kept failing and is not run; it is tried again in {} s", seconds(*.open))]
pub(crate) struct Quarantined {
    plugin: String,
    open: Open,
}

impl Quarantined {
    pub(crate) fn retry_after_s(&self) -> u32 {
        u32::try_from(seconds(self.open)).unwrap_or(u32::MAX)
    }

    /// The same as a failure.
    pub(crate) fn failure(&self, plugin: &Plugin, function: &str) -> Failure {
        plugin.quarantined(function, seconds(self.open))
    }
}

impl Watch {
    pub(crate) fn start(store: &Arc<dyn Store>) -> Self {
        Watch {
            failures: Failures::start(store.clone()),
            accounts: Accounts::start(store.clone()),
            quarantine: Quarantine::new(Clock::System),
        }
    }

    fn post(&self, tenant: &Arc<str>, user: User, plugin: &Plugin) -> Post {
        let account = self.accounts.of(tenant, user, &plugin.manifest().name);
        Post { account, ward: self.quarantine.of(tenant, plugin) }
    }

    /// Leave for a call of the plugin.
    pub(crate) fn enter<'a>(&self, post: &'a Post, plugin: &Plugin, function: &str) -> Result<Pass<'a>, Quarantined> {
        post.ward.enter().map_err(|open| {
            // Counted, but no record: the one of the quarantine's begin says it once.
            metrics::counter!(
                "confab_plugin_failures_total",
                "tenant" => post.ward.tenant.to_string(), "plugin" => post.ward.plugin.clone(),
                "kind" => FailureKind::Quarantined.as_str()
            )
            .increment(1);
            let plugin = plugin.manifest().name.clone();
            tracing::debug!(tenant = &*post.ward.tenant, plugin, function, "call of a quarantined plugin refused");
            Quarantined { plugin, open }
        })
    }

    /// The call went well.
    pub(crate) fn well(&self, post: &Post, pass: Pass<'_>, report: &CallReport, whose: &Whose<'_>) {
        if report.fuel == 0 && report.wall_us == 0 {
            // Answered without running it, because it has no such function: says nothing about it.
            return drop(pass);
        }
        post.account.add(report, false);
        if let Some(change) = post.ward.well(pass) {
            self.changed(&post.ward, change, whose);
        }
    }

    /// The call failed.
    pub(crate) fn failed(&self, post: &Post, pass: Pass<'_>, failure: &Failure, whose: &Whose<'_>) {
        // What never began was no call.
        if !matches!(failure.kind, FailureKind::Overloaded | FailureKind::Quota) {
            post.account.add(&failure.report, true);
        }
        self.failures.plugin(failure, whose);
        if let Some(change) = post.ward.failed(pass, failure) {
            self.changed(&post.ward, change, whose);
        }
    }

    /// Keeps a record of a quarantine's begin or end. The log has its line already.
    pub(crate) fn changed(&self, ward: &Ward, change: Change, whose: &Whose<'_>) {
        let failure = ward.failure(change);
        self.failures.record(crate::failures::FailureRecord::of_plugin(&failure, whose));
    }

    /// Writes what is pending.
    pub(crate) async fn flush(&self) {
        self.failures.flush().await;
        self.accounts.flush().await;
    }
}

impl Bot {
    pub(crate) fn post(&self, watch: &Watch) -> &Post {
        self.post.get_or_init(|| watch.post(&self.tenant_name, User::Bot(self.id.clone()), &self.plugin))
    }

    /// Of the version that is tried.
    pub(crate) fn candidate_post<'a>(&self, candidate: &'a Candidate<Plugin>, watch: &Watch) -> &'a Post {
        candidate.post.get_or_init(|| watch.post(&self.tenant_name, User::Bot(self.id.clone()), &candidate.serves))
    }

    pub(crate) fn metrics(&self) -> &BotMetrics {
        self.metrics.get_or_init(|| {
            let (tenant, bot) = (self.tenant.to_string(), self.id.to_string());
            let counter = |outcome: &'static str| {
                metrics::counter!("confab_turns_total", "tenant" => tenant.clone(), "bot" => bot.clone(), "outcome" => outcome)
            };
            BotMetrics {
                answered: counter("answered"),
                fallback: counter("fallback"),
                seconds: metrics::histogram!("confab_turn_seconds", "tenant" => tenant.clone(), "bot" => bot.clone()),
            }
        })
    }
}

impl Connection {
    pub(crate) fn post(&self, watch: &Watch) -> &Post {
        self.post.get_or_init(|| watch.post(&self.tenant_name, User::Connection(self.id.clone()), &self.plugin))
    }
}
