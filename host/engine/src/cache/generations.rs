//! What was made worthless, without looking for it.
//!
//! Each connection has a table of a few hundred numbers. A tag falls into one of them by its hash, the first is for the whole
//! connection. An entry remembers the numbers of its tags as they were *before* it was fetched; making a tag worthless raises its
//! number. So a result that was on its way while it became worthless is never kept, a write costs the same
//! however many entries there are, and the table never grows. Two tags may share a number: then a result is fetched once more than
//! it had to be.
//!
//! On a store that several hosts share the table is the store's, and each host looks once a second, while the connection is used,
//! whether it has changed: one small read. So a result may be served by another host for a second after a write.

use super::ResultCache;
use confab_store::SharedCache;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

/// Numbers of a table: 2 KiB for each connection that is used. With 100 tags one in three shares its number.
const BUCKETS: u16 = 256;
/// The number for the whole connection.
pub(super) const WHOLE: u16 = 0;
/// How long a host trusts what it knows of the store's table, in milliseconds.
const LOOK_AGAIN_MS: u64 = 1_000;
/// How long the store remembers: longer than any entry lives, which is a day and a week at most.
const REMEMBERED: Duration = Duration::from_secs(9 * 24 * 3_600);
/// Tables below which looking for unused ones is not worth it.
const SWEEP_FROM: usize = 256;

/// The numbers that an entry was fetched under.
pub(super) type Stamp = Vec<(u16, u64)>;

/// The number that a tag falls into (FNV-1a: the same on each host and version).
pub(super) fn bucket(tag: &str) -> u16 {
    let hash = tag
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    let folded = (hash ^ (hash >> 32)) % u64::from(BUCKETS - 1);
    1 + u16::try_from(folded).unwrap_or(0)
}

/// The table of one connection.
#[derive(Debug)]
pub(super) struct Generations {
    space: String,
    numbers: Vec<AtomicU64>,
    /// The store's version that is known.
    version: AtomicU64,
    /// When it was looked at last, in milliseconds; 0 for never.
    looked: AtomicU64,
    looking: tokio::sync::Mutex<()>,
}

impl Generations {
    fn new(space: &str, first: u64) -> Generations {
        Generations {
            space: space.to_owned(),
            numbers: (0..BUCKETS).map(|_| AtomicU64::new(first)).collect(),
            version: AtomicU64::new(0),
            looked: AtomicU64::new(0),
            looking: tokio::sync::Mutex::new(()),
        }
    }

    fn number(&self, bucket: u16) -> Option<&AtomicU64> {
        self.numbers.get(usize::from(bucket))
    }

    /// The numbers now, of these buckets.
    pub(super) fn stamp(&self, buckets: &[u16]) -> Stamp {
        let now = |bucket: &u16| Some((*bucket, self.number(*bucket)?.load(Ordering::Acquire)));
        buckets.iter().filter_map(now).collect()
    }

    /// Whether what was fetched under these numbers is still worth something. Higher ones are another host's, which knows more.
    pub(super) fn hold(&self, stamp: &Stamp) -> bool {
        stamp.iter().all(|(bucket, then)| self.number(*bucket).is_some_and(|now| now.load(Ordering::Acquire) <= *then))
    }

    fn raise(&self, bucket: u16, to: u64) {
        if let Some(number) = self.number(bucket) {
            number.fetch_max(to, Ordering::AcqRel);
        }
    }

    /// Looks at the store's table, if it is time. `false` when nothing is known of it: then nothing can be served.
    async fn look(&self, store: &dyn SharedCache, now: u64) -> bool {
        let known = self.looked.load(Ordering::Acquire);
        if known != 0 && now.saturating_sub(known) < LOOK_AGAIN_MS {
            return true;
        }
        let _one = match self.looking.try_lock() {
            Ok(one) => one,
            Err(_) if known != 0 => return true,
            Err(_) => self.looking.lock().await,
        };
        let known = self.looked.load(Ordering::Acquire);
        if known != 0 && now.saturating_sub(known) < LOOK_AGAIN_MS {
            return true;
        }
        match store.generations(&self.space, self.version.load(Ordering::Acquire)).await {
            Ok(read) => {
                if let Some(read) = read {
                    read.buckets.iter().for_each(|(bucket, number)| self.raise(*bucket, *number));
                    self.version.store(read.version, Ordering::Release);
                }
                self.looked.store(now.max(1), Ordering::Release);
                true
            }
            Err(error) => {
                tracing::debug!(%error, space = self.space, "what other hosts made worthless can't be read");
                if known != 0 {
                    self.looked.store(now.max(1), Ordering::Release);
                }
                known != 0
            }
        }
    }
}

/// The tables in use.
#[derive(Debug, Default)]
pub(super) struct Tables {
    by_space: Mutex<HashMap<String, Weak<Generations>>>,
}

impl Tables {
    /// The table of a connection. A new one begins above whatever one before it had: what was kept under that is worthless.
    fn of(&self, space: &str, first: u64) -> Arc<Generations> {
        let mut tables = self.by_space.lock();
        if let Some(table) = tables.get(space).and_then(Weak::upgrade) {
            return table;
        }
        if tables.len() >= SWEEP_FROM && tables.len().is_power_of_two() {
            tables.retain(|_, table| table.strong_count() > 0);
        }
        let table = Arc::new(Generations::new(space, first));
        tables.insert(space.to_owned(), Arc::downgrade(&table));
        table
    }
}

impl ResultCache {
    fn table(&self, space: &str) -> Arc<Generations> {
        // A store's table counts from 0; one of our own begins with the time.
        let first = if self.others().is_some() { 0 } else { self.clock.now().saturating_mul(1_000) };
        self.tables.of(space, first)
    }

    /// The table of a place, as new as it has to be; none when the store's can't be read.
    pub(super) async fn generations<'a>(&self, place: &'a super::Place) -> Option<&'a Arc<Generations>> {
        let table = place.generations.get_or_init(|| self.table(&place.space));
        match self.others() {
            Some(store) => table.look(store, self.clock.now()).await.then_some(table),
            None => Some(table),
        }
    }

    /// Makes results of a connection worthless: those with one of the tags; without tags all. On this host at once, on others
    /// within a second. `false` when others could not be told.
    pub(crate) async fn invalidate(&self, tenant: &str, connection: &str, tags: &[String]) -> bool {
        let space = super::space(tenant, connection);
        let table = self.table(&space);
        let mut buckets: Vec<u16> = tags.iter().map(|tag| bucket(tag)).collect();
        if buckets.is_empty() {
            buckets.push(WHOLE);
        }
        let told = match self.others() {
            Some(store) => store.advance(&space, &buckets, REMEMBERED).await,
            None => Ok(0),
        };
        for bucket in &buckets {
            let above = table.number(*bucket).map_or(0, |number| number.load(Ordering::Acquire)).saturating_add(1);
            match &told {
                Ok(number) if *number > 0 => table.raise(*bucket, *number),
                _ => table.raise(*bucket, above.max(self.clock.now().saturating_mul(1_000))),
            }
        }
        metrics::counter!(
            "confab_result_cache_invalidations_total",
            "tenant" => tenant.to_owned(), "connection" => connection.to_owned()
        )
        .increment(1);
        if let Err(error) = &told {
            tracing::warn!(%error, tenant, connection, "other hosts can't be told that cached results are worthless");
        }
        told.is_ok()
    }
}
