//! What became of events: one bounded log a tenant, with each event as it was, so that it can be processed anew.
//!
//! A record is written when an event is done with, before it leaves its lane. A host that is killed in between does the event again (which
//! does nothing) and writes a second record: of several records of the same run, the newest is shown.
//!
//! A replay is a new run of the same event, with a number. It is a new turn in each conversation.

use super::Event;
use super::accept::{Taken, lanes_of};
use crate::engine::Engine;
use crate::ids::{BotId, ConversationId, TenantId};
use bytes::Bytes;
use confab_store::StoreError;
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};

/// Records that are kept of a tenant.
const KEEP: usize = 10_000;
/// Records read at once: some MiB, should each be as large as it may.
const READ: usize = 64;
/// Records that one page of a list looks at, if few of them are asked for.
const LOOKED_AT: usize = 2_000;
/// Conversations that a record names.
const TOLD: usize = 100;
/// Lanes and entries of each that are listed as pending.
const PENDING_LANES: usize = 1_000;
/// See [`PENDING_LANES`].
const PENDING: usize = 200;

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// It waits, or is being processed.
    Pending,
    /// Somebody subscribed, and all went well.
    Done,
    /// Nobody subscribed.
    Ignored,
    /// It could not be processed.
    Dead,
}

impl Status {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Pending => "pending",
            Status::Done => "done",
            Status::Ignored => "ignored",
            Status::Dead => "dead",
        }
    }
}

/// A conversation that heard of an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToldTo {
    /// The bot.
    pub bot: BotId,
    /// The conversation.
    pub conversation: ConversationId,
    /// The turn.
    pub turn: String,
}

/// An event with what became of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EventRecord {
    /// The event.
    #[serde(flatten)]
    pub event: Event,
    /// What became of it.
    pub status: Status,
    /// When, milliseconds since 1970; for one that waits, when it came in.
    pub at: u64,
    /// Tries.
    pub tries: u32,
    /// The first conversations that heard of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub told: Vec<ToldTo>,
    /// How many heard of it.
    pub told_count: usize,
    /// Why it is dead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Which events.
#[derive(Clone, Debug, Default)]
pub struct EventFilter {
    /// Only these.
    pub status: Option<Status>,
    /// Only from this source.
    pub source: Option<String>,
    /// Only of this name.
    pub name: Option<String>,
}

/// A page of events, newest first.
#[derive(Clone, Debug)]
pub struct EventPage {
    /// What was found.
    pub events: Vec<EventRecord>,
    /// Where the next page begins; none if there is none.
    pub next: Option<u64>,
}

/// What to replay.
#[derive(Clone, Debug)]
pub enum Which {
    /// One event.
    One {
        /// Its id.
        id: String,
        /// Its source, if the id is not unique.
        source: Option<String>,
    },
    /// All that came in within a time and have this status.
    Range {
        /// From, milliseconds since 1970.
        since: u64,
        /// Up to, milliseconds since 1970.
        until: u64,
        /// Which of them.
        status: Status,
    },
}

/// What was replayed.
#[derive(Clone, Debug)]
pub struct Replayed {
    /// Events that wait now. A duplicate was being replayed already.
    pub events: Vec<Taken>,
}

/// Which run of which event.
type Run = (String, String, u32);

fn run_of(record: &EventRecord) -> Run {
    (record.event.source.clone(), record.event.id.clone(), record.event.replay)
}

fn log_of(tenant: &TenantId) -> String {
    format!("events/{tenant}")
}

impl Engine {
    pub(super) async fn write_event(&self, mut record: EventRecord) -> Result<(), StoreError> {
        record.told.truncate(TOLD);
        let log = log_of(&record.event.tenant);
        let body = Bytes::from(serde_json::to_vec(&record).unwrap_or_default());
        self.inner.store.append_records(&log, vec![body], KEEP).await
    }

    /// Events of a tenant with what became of them, newest first; those that wait come on the first page, before all others.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn events(
        &self,
        tenant: &TenantId,
        filter: &EventFilter,
        before: Option<u64>,
        limit: usize,
    ) -> Result<EventPage, StoreError> {
        let fits = |record: &EventRecord| {
            filter.status.is_none_or(|status| status == record.status)
                && filter.source.as_ref().is_none_or(|source| *source == record.event.source)
                && filter.name.as_ref().is_none_or(|name| *name == record.event.name)
        };
        let mut events = Vec::new();
        if before.is_none() && filter.status.is_none_or(|status| status == Status::Pending) {
            events = self.pending_events(tenant).await?;
            events.retain(fits);
        }
        if filter.status == Some(Status::Pending) {
            return Ok(EventPage { events, next: None });
        }
        // What is done and has not left its lane yet is shown as done.
        let mut seen: HashSet<Run> = HashSet::new();
        let (mut before, mut looked, waiting) = (before, 0, events.len());
        while events.len() - waiting < limit && looked < LOOKED_AT {
            let page = self.inner.store.records(&log_of(tenant), before, READ).await?;
            let Some((last, _)) = page.last() else { return Ok(page_of(events, waiting, &seen, None)) };
            let last = *last;
            for (number, body) in page {
                (before, looked) = (Some(number), looked + 1);
                let Some(record) = read(&body).filter(fits) else { continue };
                if seen.insert(run_of(&record)) {
                    events.push(record);
                }
                if events.len() - waiting == limit {
                    break;
                }
            }
            before = before.or(Some(last));
        }
        Ok(page_of(events, waiting, &seen, before))
    }

    /// The newest run of an event; with its source if the id alone is not enough.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn event(
        &self,
        tenant: &TenantId,
        id: &str,
        source: Option<&str>,
    ) -> Result<Option<EventRecord>, StoreError> {
        let is =
            |record: &EventRecord| record.event.id == id && source.is_none_or(|source| source == record.event.source);
        let newest = self.records_of(tenant, 0, is, 1).await?.into_iter().next();
        let pending = self.pending_events(tenant).await?.into_iter().find(is);
        Ok(match (newest, pending) {
            (Some(done), Some(pending)) if pending.event.replay > done.event.replay => Some(pending),
            (None, pending) => pending,
            (done, _) => done,
        })
    }

    /// Processes events anew.
    ///
    /// # Errors
    /// When the store can't be read or written. What was replayed by then may be replayed again.
    pub async fn replay_events(&self, tenant: &TenantId, which: &Which) -> Result<Replayed, StoreError> {
        let records = match which {
            Which::One { id, source } => {
                let is = |record: &EventRecord| {
                    record.event.id == *id && source.as_ref().is_none_or(|source| *source == record.event.source)
                };
                self.records_of(tenant, 0, is, 1).await?
            }
            Which::Range { since, until, status } => {
                let newest = self.newest_runs(tenant, *since).await?;
                let in_time = |record: &EventRecord| (*since..=*until).contains(&record.event.received_at);
                newest.into_iter().filter(|record| record.status == *status && in_time(record)).collect()
            }
        };
        // Oldest first: as they came.
        let events: Vec<Event> = records
            .into_iter()
            .rev()
            .map(|record| Event { replay: record.event.replay.saturating_add(1), ..record.event })
            .collect();
        let mut replayed = Vec::with_capacity(events.len());
        for some in events.chunks(READ) {
            replayed.extend(self.push_events(some.to_vec()).await?);
        }
        Ok(Replayed { events: replayed })
    }

    /// The newest run of each event that came in since then, newest first.
    async fn newest_runs(&self, tenant: &TenantId, since: u64) -> Result<Vec<EventRecord>, StoreError> {
        let mut newest: HashMap<(String, String), u32> = HashMap::new();
        let mut found = self.records_of(tenant, since, |_| true, KEEP).await?;
        found.retain(|record| {
            let key = (record.event.source.clone(), record.event.id.clone());
            newest.insert(key, record.event.replay).is_none()
        });
        Ok(found)
    }

    /// Records that fit, newest first, as far back as a moment (of when they were done with, which is later than when they came).
    async fn records_of(
        &self,
        tenant: &TenantId,
        since: u64,
        fits: impl Fn(&EventRecord) -> bool,
        limit: usize,
    ) -> Result<Vec<EventRecord>, StoreError> {
        let (mut found, mut before) = (Vec::new(), None);
        loop {
            let page = self.inner.store.records(&log_of(tenant), before, READ).await?;
            let Some((last, _)) = page.last() else { return Ok(found) };
            before = Some(*last);
            for record in page.iter().filter_map(|(_, body)| read(body)) {
                if record.at < since {
                    return Ok(found);
                }
                if fits(&record) {
                    found.push(record);
                }
                if found.len() == limit {
                    return Ok(found);
                }
            }
        }
    }

    /// Events that wait, newest first; at most [`PENDING`] of them.
    async fn pending_events(&self, tenant: &TenantId) -> Result<Vec<EventRecord>, StoreError> {
        let store = &self.inner.store;
        let mut events = Vec::new();
        for lane in store.lanes(&lanes_of(tenant), PENDING_LANES).await? {
            let left = PENDING.saturating_sub(events.len());
            if left == 0 {
                break;
            }
            for (_, body) in store.lane_entries(lane.partition, &lane.lane, 0, left).await? {
                let Ok(event) = serde_json::from_slice::<Event>(&body) else { continue };
                let (at, status) = (event.received_at, Status::Pending);
                events.push(EventRecord { event, status, at, tries: 0, told: Vec::new(), told_count: 0, error: None });
            }
        }
        events.sort_by_key(|record| std::cmp::Reverse(record.at));
        Ok(events)
    }
}

fn read(body: &[u8]) -> Option<EventRecord> {
    serde_json::from_slice(body).map_err(|error| tracing::warn!(%error, "a record of an event can't be read")).ok()
}

/// Without those that wait although they are done.
fn page_of(mut events: Vec<EventRecord>, waiting: usize, seen: &HashSet<Run>, next: Option<u64>) -> EventPage {
    let mut at = 0;
    events.retain(|record| {
        at += 1;
        at > waiting || !seen.contains(&run_of(record))
    });
    EventPage { events, next }
}
