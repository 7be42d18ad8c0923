//! Usage of some days, read out of the store.

use super::account::{FIELDS, PEAK};
use super::{CHUNK, oldest, space_of, today};
use crate::engine::Engine;
use crate::ids::TenantId;
use confab_store::StoreError;
use jiff::civil::Date;
use serde::Serialize;
use std::collections::BTreeMap;

/// Most rows of a report. More is for a database, not for an answer.
const ROWS: usize = 10_000;

/// What was used: by one bot or connection of one plugin on one day, or in all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct UsageRow {
    /// The day, in UTC; none in the totals.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub day: Option<String>,
    /// The tenant; none in the totals.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// The bot, if it was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bot: Option<String>,
    /// The connection, if it was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection: Option<String>,
    /// The plugin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plugin: Option<String>,
    /// Calls, those that failed among them.
    pub calls: u64,
    /// Calls that failed by a limit, a trap or a broken contract.
    pub failures: u64,
    /// Fuel.
    pub fuel: u64,
    /// CPU time in microseconds.
    pub cpu_us: u64,
    /// Wall time in microseconds.
    pub wall_us: u64,
    /// Linear memory of the largest call in bytes.
    pub peak_memory: u64,
    /// Bytes of HTTP requests.
    pub bytes_out: u64,
    /// Capability calls, HTTP requests, reads and writes of stored data.
    pub host_calls: u64,
}

impl UsageRow {
    fn field(&mut self, name: &str) -> Option<&mut u64> {
        match name {
            "calls" => Some(&mut self.calls),
            "failures" => Some(&mut self.failures),
            "fuel" => Some(&mut self.fuel),
            "cpu_us" => Some(&mut self.cpu_us),
            "wall_us" => Some(&mut self.wall_us),
            PEAK => Some(&mut self.peak_memory),
            "bytes_out" => Some(&mut self.bytes_out),
            "host_calls" => Some(&mut self.host_calls),
            _ => None,
        }
    }

    fn add(&mut self, other: &UsageRow) {
        let mut other = other.clone();
        for name in FIELDS {
            let value = other.field(name).map_or(0, |value| *value);
            if let Some(own) = self.field(name) {
                *own = if name == PEAK { value.max(*own) } else { own.saturating_add(value) };
            }
        }
    }
}

/// Usage of some days.
#[derive(Clone, Debug, Serialize)]
pub struct Usage {
    /// The first day.
    pub from: String,
    /// The last day.
    pub to: String,
    /// By day, tenant, bot or connection, and plugin.
    pub rows: Vec<UsageRow>,
    /// All rows together; of memory the largest.
    pub total: UsageRow,
}

/// More rows than a report may have.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("more than {ROWS} rows; ask for fewer days, or for one tenant")]
pub struct TooManyRows;

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum UsageError {
    /// It would be too long.
    #[error(transparent)]
    TooMany(#[from] TooManyRows),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// `YYYY-MM-DD/bot|connection/ID/PLUGIN/FIELD`
fn parse<'a>(tenant: &str, key: &'a str) -> Option<(UsageRow, &'a str)> {
    let mut parts = key.splitn(5, '/');
    let (day, kind, id, plugin, field) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let of = |wanted: &str| (kind == wanted).then(|| id.to_owned());
    let row = UsageRow {
        day: Some(day.to_owned()),
        tenant: Some(tenant.to_owned()),
        bot: of("bot"),
        connection: of("connection"),
        plugin: Some(plugin.to_owned()),
        ..UsageRow::default()
    };
    Some((row, field))
}

impl Engine {
    /// What a tenant, or each of all, used from one day to another, both included. Days that are no longer kept are left out.
    ///
    /// # Errors
    /// When the report would be too long, or the store can't be read.
    pub async fn usage(&self, tenant: Option<&TenantId>, from: Date, to: Date) -> Result<Usage, UsageError> {
        let accounts = &self.inner.watch.accounts;
        accounts.flush().await;
        let from = from.max(oldest(today()));
        let tenants: Vec<String> = match tenant {
            Some(tenant) => vec![tenant.to_string()],
            None => self.registry().tenants.keys().map(ToString::to_string).collect(),
        };
        let mut rows: BTreeMap<(String, String, String), UsageRow> = BTreeMap::new();
        // A slash comes after the digits of a day: all keys of `from` come after it, and those of `to` before the end.
        let (first, end) = (from.to_string(), format!("{to}0"));
        for tenant in tenants {
            let (space, mut after) = (space_of(&tenant), Some(first.clone()));
            'tenant: loop {
                let keys = accounts.store().kv_scan(&space, "", after.as_deref(), CHUNK).await?;
                let last = keys.len() < CHUNK;
                after = keys.last().map(|(key, _)| key.clone());
                for (key, value) in keys {
                    if key >= end {
                        break 'tenant;
                    }
                    let Some((empty, field)) = parse(&tenant, &key) else { continue };
                    let value = std::str::from_utf8(&value).ok().and_then(|text| text.parse().ok()).unwrap_or(0);
                    let (day, user) = key.split_once('/').unwrap_or((&key, ""));
                    let user = user.rsplit_once('/').map_or(user, |(user, _)| user);
                    let row = rows.entry((day.to_owned(), tenant.clone(), user.to_owned())).or_insert(empty);
                    if let Some(own) = row.field(field) {
                        *own = value;
                    }
                }
                if rows.len() > ROWS {
                    return Err(TooManyRows.into());
                }
                if last {
                    break;
                }
            }
        }
        let rows: Vec<UsageRow> = rows.into_values().collect();
        let mut total = UsageRow::default();
        rows.iter().for_each(|row| total.add(row));
        Ok(Usage { from: first, to: to.to_string(), rows, total })
    }
}
