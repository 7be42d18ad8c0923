//! Equal calls at the same time are one call: the first leads, the others follow.
//!
//! A leader that goes away without landing (its turn was cancelled) wakes its followers; the first of them leads the next flight, and
//! the rest follow that.

use super::entry::Entry;
use super::key::Key;
use crate::net::Fault;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::watch;

/// What a flight brought.
pub(super) type Landed = Result<Arc<Entry>, Fault>;

/// The flights of this host.
#[derive(Default)]
pub(super) struct Flights {
    by_key: Arc<Mutex<HashMap<Key, watch::Receiver<Option<Landed>>>>>,
}

/// A place in a flight.
pub(super) enum Seat {
    /// The caller makes the call.
    Lead(Lead),
    /// Somebody else makes it.
    Follow(Follow),
}

/// Dropping it without landing ends the flight.
pub(super) struct Lead {
    by_key: Arc<Mutex<HashMap<Key, watch::Receiver<Option<Landed>>>>>,
    key: Key,
    tell: watch::Sender<Option<Landed>>,
}

/// See [`Seat::Follow`].
pub(super) struct Follow(watch::Receiver<Option<Landed>>);

impl Flights {
    pub(super) fn join(&self, key: Key) -> Seat {
        let mut flights = self.by_key.lock();
        if let Some(flight) = flights.get(&key) {
            return Seat::Follow(Follow(flight.clone()));
        }
        let (tell, flight) = watch::channel(None);
        flights.insert(key, flight);
        Seat::Lead(Lead { by_key: self.by_key.clone(), key, tell })
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.by_key.lock().len()
    }
}

impl Lead {
    pub(super) fn land(self, landed: Landed) {
        self.tell.send_replace(Some(landed));
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        self.by_key.lock().remove(&self.key);
    }
}

impl Follow {
    /// What the flight brought; none when its leader went away.
    pub(super) async fn landed(mut self) -> Option<Landed> {
        self.0.wait_for(Option::is_some).await.ok().and_then(|landed| landed.clone())
    }
}
