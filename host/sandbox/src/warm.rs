//! Prepared instances that are kept: for components that can't be snapshotted (some JS and Python ones).
//!
//! An instance here serves one bot or one connection only and never another tenant's. It goes back after a call that
//! succeeded; after a trap, a timeout or [`CALLS`] calls it is dropped and the next call prepares another. What
//! such a guest keeps in its memory between calls it can read again: that is why this is the exception, and fresh instances the rule.

use crate::state::CallState;
use parking_lot::Mutex;
use serde_json::{Map, Value};
use std::sync::atomic::{AtomicU32, Ordering};
use wasmtime::Store;
use wasmtime::component::Instance;

/// Calls that one instance serves: a JS guest failed after about 1,800.
const CALLS: u32 = 500;
/// Idle instances that one bot keeps.
const KEPT: usize = 2;
/// Idle instances of all bots together; the pool has this many slots more.
pub(crate) const KEPT_BY_ALL: u32 = 32;

static KEPT_NOW: AtomicU32 = AtomicU32::new(0);

/// An instance that has been prepared.
pub(crate) struct Prepared {
    pub(crate) store: Store<CallState>,
    pub(crate) instance: Instance,
    pub(crate) served: u32,
}

/// The idle instances of one bot or connection, and what new ones are prepared with.
pub(crate) struct Warm {
    pub(crate) interface: String,
    pub(crate) input: Map<String, Value>,
    idle: Mutex<Vec<Prepared>>,
}

impl Warm {
    pub(crate) fn new(interface: &str, input: Map<String, Value>) -> Warm {
        Warm { interface: interface.to_owned(), input, idle: Mutex::new(Vec::new()) }
    }

    /// An instance that is ready.
    pub(crate) fn take(&self) -> Option<Prepared> {
        let taken = self.idle.lock().pop();
        if taken.is_some() {
            KEPT_NOW.fetch_sub(1, Ordering::Relaxed);
        }
        taken
    }

    /// Gives back one whose call succeeded.
    pub(crate) fn give_back(&self, mut prepared: Prepared) {
        prepared.served += 1;
        if prepared.served >= CALLS {
            return;
        }
        let mut idle = self.idle.lock();
        let room = idle.len() < KEPT
            && KEPT_NOW
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| (n < KEPT_BY_ALL).then_some(n + 1))
                .is_ok();
        if room {
            prepared.store.data_mut().rest();
            idle.push(prepared);
        }
    }
}

impl Drop for Warm {
    fn drop(&mut self) {
        KEPT_NOW.fetch_sub(u32::try_from(self.idle.lock().len()).unwrap_or(0), Ordering::Relaxed);
    }
}
