//! What bots and connections use: calls, failures, fuel, CPU time, memory, bytes out.
//!
//! | where | how |
//! |---|---|
//! | a call | adds to the [`Account`] that its bot or connection holds: a few atomic additions, no lock, no allocation |
//! | every [`EVERY`], and when the engine closes | what came together goes to the store, one write a tenant |
//! | the store | space `usage/TENANT`, key `YYYY-MM-DD/bot/ID/PLUGIN/FIELD` (or `connection`), a number; days in UTC |
//! | a report | what is pending is written, then the days are read and summed |
//!
//! Hosts on one store add to the same numbers. After a crash at most [`EVERY`] is missing. Days older than [`DAYS`] are
//! deleted. The metrics beside it count since the start of the process.

mod account;
mod report;

pub(crate) use account::{Account, User};
pub use report::{TooManyRows, Usage, UsageError, UsageRow};

use crate::turn::now_millis;
use account::{FIELDS, Fields};
use confab_store::{Store, StoreError, Tally};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

/// How often usage goes to the store.
const EVERY: Duration = Duration::from_secs(10);
/// Days that are kept.
pub const DAYS: u32 = 90;
/// Keys that are read at once.
const CHUNK: usize = 1_000;

/// The accounts of this host.
pub(crate) struct Accounts {
    shared: Arc<Shared>,
}

struct Shared {
    store: Arc<dyn Store>,
    accounts: Mutex<HashMap<(Arc<str>, User, String), Arc<Account>>>,
    /// One writer at a time: the day on which old days were deleted last, and whose.
    writing: tokio::sync::Mutex<Swept>,
}

#[derive(Default)]
struct Swept {
    day: Date,
    tenants: HashSet<Arc<str>>,
}

pub(crate) fn space_of(tenant: &str) -> String {
    format!("usage/{tenant}")
}

/// Today, in UTC.
pub fn today() -> Date {
    let now = i64::try_from(now_millis()).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    now.map(|now| now.to_zoned(TimeZone::UTC).date()).unwrap_or_default()
}

/// The oldest day that is kept.
pub fn oldest(today: Date) -> Date {
    today.saturating_sub(jiff::SignedDuration::from_hours(24 * i64::from(DAYS)))
}

impl Accounts {
    /// Starts the task that writes. It ends with this.
    pub(crate) fn start(store: Arc<dyn Store>) -> Self {
        let (accounts, writing) = (Mutex::default(), tokio::sync::Mutex::default());
        let shared = Arc::new(Shared { store, accounts, writing });
        let watched = Arc::downgrade(&shared);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(EVERY).await;
                let Some(shared) = watched.upgrade() else { return };
                shared.flush(today()).await;
            }
        });
        Accounts { shared }
    }

    /// The account of a bot's or connection's calls of a plugin.
    pub(crate) fn of(&self, tenant: &Arc<str>, user: User, plugin: &str) -> Arc<Account> {
        let mut accounts = self.shared.accounts.lock();
        let key = (tenant.clone(), user, plugin.to_owned());
        if let Some(account) = accounts.get(&key) {
            return account.clone();
        }
        let account = Arc::new(Account::new(tenant, &key.1, plugin));
        accounts.insert(key, account.clone());
        account
    }

    /// Writes what is pending.
    pub(crate) async fn flush(&self) {
        self.shared.flush(today()).await;
    }

    pub(crate) fn store(&self) -> &Arc<dyn Store> {
        &self.shared.store
    }
}

impl Shared {
    async fn flush(&self, today: Date) {
        let mut swept = self.writing.lock().await;
        let mut by_tenant: BTreeMap<Arc<str>, Vec<(Arc<Account>, String, Fields)>> = BTreeMap::new();
        self.accounts.lock().retain(|(tenant, user, plugin), account| {
            let fields = account.take();
            if fields.is_empty() {
                // Nobody's any more, and nothing in it.
                return Arc::strong_count(account) > 1;
            }
            let key = format!("{today}/{}/{}/{plugin}", user.kind(), user.id());
            by_tenant.entry(tenant.clone()).or_default().push((account.clone(), key, fields));
            true
        });
        if swept.day != today {
            *swept = Swept { day: today, tenants: HashSet::new() };
        }
        for (tenant, entries) in by_tenant {
            let space = space_of(&tenant);
            let tallies = entries.iter().flat_map(|(_, key, fields)| fields.tallies(key)).collect();
            if let Err(e) = self.store.kv_tally(&space, tallies).await {
                tracing::error!(tenant = &*tenant, error = %e, "usage can't be written; it is kept for the next time");
                for (account, _, fields) in entries {
                    account.put_back(fields);
                }
                continue;
            }
            if !swept.tenants.contains(&tenant) {
                match self.sweep(&space, oldest(today)).await {
                    Ok(()) => {
                        swept.tenants.insert(tenant);
                    }
                    Err(e) => tracing::warn!(tenant = &*tenant, error = %e, "old usage can't be deleted"),
                }
            }
        }
    }

    /// Deletes the days before `oldest`. Keys begin with the day, so that they come first.
    async fn sweep(&self, space: &str, oldest: Date) -> Result<(), StoreError> {
        let end = oldest.to_string();
        loop {
            let keys = self.store.kv_scan(space, "", None, CHUNK).await?;
            let old: Vec<&String> = keys.iter().map(|(key, _)| key).take_while(|key| **key < end).collect();
            for key in &old {
                self.store.kv_delete(space, key).await?;
            }
            if old.len() < keys.len() || keys.is_empty() {
                return Ok(());
            }
        }
    }
}

impl Fields {
    fn tallies<'a>(&'a self, key: &'a str) -> impl Iterator<Item = (String, Tally)> + 'a {
        FIELDS.iter().zip(self.0).filter(|(_, value)| *value > 0).map(move |(field, value)| {
            let value = i64::try_from(value).unwrap_or(i64::MAX);
            let tally = if *field == account::PEAK { Tally::Max(value) } else { Tally::Add(value) };
            (format!("{key}/{field}"), tally)
        })
    }
}

#[cfg(test)]
mod tests;
