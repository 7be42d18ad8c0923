//! What another host has, or is fetching: the second look of whoever leads a flight, on a store that several hosts share.
//!
//! It only ever saves a call. When the store is slow or away, the call is made.

use super::entry::Entry;
use super::key::{self, Key};
use super::policy::Policy;
use super::{Place, ResultCache};
use bytes::Bytes;
use confab_store::{SharedCache, SharedRead, Store};
use std::sync::Arc;
use std::time::Duration;

/// How long a host may take for a call before others stop waiting for it. Most calls take less than a second.
const LEASE: Duration = Duration::from_secs(10);
/// Between two looks whether another host has the result. It grows: most calls end soon.
const PAUSES_MS: [u64; 5] = [10, 20, 40, 80, 160];
/// How long an entry is kept behind its freshness for hosts that have none of their own. What is served when a system
/// is down for hours, each host keeps by itself: the store's memory is everybody's.
const KEPT_STALE: Duration = Duration::from_secs(300);

/// What others have.
pub(super) enum Theirs {
    /// An entry that is fresh.
    Fresh(Entry),
    /// None: this host fetches it, with the lease if it got one.
    Fetch(Option<Lease>, Option<Entry>),
}

/// Others wait until this is given up, or the entry is written.
pub(super) struct Lease {
    store: Arc<dyn Store>,
    space: String,
    key: String,
    ticket: String,
    ended: bool,
}

impl ResultCache {
    /// The cache that hosts share.
    pub(super) fn others(&self) -> Option<&dyn SharedCache> {
        self.store.as_ref()?.shared_cache()
    }

    pub(super) async fn theirs(&self, place: &Place, key: &Key, policy: &Policy) -> Theirs {
        let (Some(store), Some(shared)) = (&self.store, self.others()) else { return Theirs::Fetch(None, None) };
        let key = key::text(key);
        let mut stale_entry = None;
        let mut waited = Duration::ZERO;
        for pause in PAUSES_MS.into_iter().chain(std::iter::repeat(*PAUSES_MS.last().unwrap_or(&100))) {
            let decoded = |entry: Option<Bytes>| entry.and_then(|entry| Entry::decode(&entry, policy));
            match shared.read(&place.space, &key, LEASE).await {
                Ok(SharedRead::Fresh { entry, left }) => {
                    let left = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
                    return match Entry::decode(&entry, policy) {
                        Some(entry) => Theirs::Fresh(entry.fresh_for(self.clock.now(), left)),
                        None => Theirs::Fetch(None, stale_entry),
                    };
                }
                Ok(SharedRead::Fetch { ticket, stale }) => {
                    let lease = Lease { store: store.clone(), space: place.space.clone(), key, ticket, ended: false };
                    return Theirs::Fetch(Some(lease), decoded(stale).or(stale_entry));
                }
                Ok(SharedRead::Wait { stale }) => stale_entry = decoded(stale).or(stale_entry),
                Err(error) => {
                    tracing::debug!(%error, space = place.space, "the cache of other hosts can't be read");
                    break;
                }
            }
            if waited >= LEASE {
                break;
            }
            let pause = Duration::from_millis(pause);
            tokio::time::sleep(pause).await;
            waited += pause;
        }
        Theirs::Fetch(None, stale_entry)
    }

    /// Tells other hosts what was fetched.
    pub(super) async fn tell(&self, place: &Place, key: &Key, entry: &Entry, lease: Option<Lease>) {
        let Some(shared) = self.others() else { return };
        let Some(bytes) = entry.encode() else { return };
        let left = |until: u64| Duration::from_millis(until.saturating_sub(self.clock.now()));
        let (fresh, keep) = (left(entry.fresh_until), left(entry.ends()));
        if fresh.is_zero() {
            return;
        }
        let keep = keep.min(fresh + KEPT_STALE);
        match shared.write(&place.space, &key::text(key), Bytes::from(bytes), fresh, keep).await {
            Ok(()) => lease.into_iter().for_each(|mut lease| lease.ended = true),
            Err(error) => tracing::debug!(%error, space = place.space, "other hosts can't be told a result"),
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        let (store, space) = (self.store.clone(), std::mem::take(&mut self.space));
        let (key, ticket) = (std::mem::take(&mut self.key), std::mem::take(&mut self.ticket));
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                if let Some(shared) = store.shared_cache() {
                    // If it can't be given up it ends by itself.
                    let _ = shared.give_up(&space, &key, &ticket).await;
                }
            });
        }
    }
}
