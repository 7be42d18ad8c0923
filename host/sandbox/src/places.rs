//! Places for plugin calls, shared out fairly between tenants.
//!
//! The pool has a fixed number of slots. A call takes a place or waits for one. Of those who wait, tenants take turns: one
//! that sent a thousand calls waits behind itself, not in front of another that sent one. No tenant runs
//! more than its share at once, so a burst of one leaves places for the rest.

use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoPlace {
    /// The tenant has as many calls waiting as it may.
    QueueFull,
    /// None became free in time.
    Waited,
}

/// The places of one kind.
#[derive(Debug)]
pub(crate) struct Places {
    state: Mutex<State>,
    /// Calls of one tenant that run at once.
    per_tenant: u32,
    /// Calls of one tenant that wait.
    waiting: u32,
}

#[derive(Debug)]
struct State {
    free: u32,
    tenants: HashMap<Arc<str>, Line>,
    /// Tenants that have somebody waiting, in the order in which they get a place.
    round: VecDeque<Arc<str>>,
}

/// What a tenant has running and waiting.
#[derive(Debug, Default)]
struct Line {
    running: u32,
    /// Whether it is in the round.
    queued: bool,
    waiting: VecDeque<oneshot::Sender<Place>>,
}

/// A place; dropping it gives it to the next one.
#[derive(Debug)]
pub(crate) struct Place {
    places: Arc<Places>,
    tenant: Arc<str>,
}

impl Places {
    pub(crate) fn new(total: u32, per_tenant: u32, waiting: u32) -> Arc<Places> {
        let state = State { free: total, tenants: HashMap::new(), round: VecDeque::new() };
        Arc::new(Places { state: Mutex::new(state), per_tenant: per_tenant.max(1), waiting })
    }

    /// Places that are free now.
    pub(crate) fn free(&self) -> usize {
        self.state.lock().free as usize
    }

    /// Takes a place, or waits for one.
    pub(crate) async fn take(self: &Arc<Self>, tenant: &Arc<str>, patience: Duration) -> Result<Place, NoPlace> {
        let granted = {
            let mut state = self.state.lock();
            let free = state.free;
            let line = state.tenants.entry(tenant.clone()).or_default();
            if free > 0 && line.running < self.per_tenant && line.waiting.is_empty() {
                line.running += 1;
                state.free -= 1;
                return Ok(Place { places: self.clone(), tenant: tenant.clone() });
            }
            if line.waiting.len() >= self.waiting as usize {
                return Err(NoPlace::QueueFull);
            }
            let (sender, granted) = oneshot::channel();
            line.waiting.push_back(sender);
            if !std::mem::replace(&mut line.queued, true) {
                state.round.push_back(tenant.clone());
            }
            granted
        };
        match tokio::time::timeout(patience, granted).await {
            Ok(Ok(place)) => Ok(place),
            // A place that was granted at this very moment is given back when the channel is dropped.
            _ => {
                self.tidy(tenant);
                Err(NoPlace::Waited)
            }
        }
    }

    /// Forgets those of a tenant who went away.
    fn tidy(&self, tenant: &Arc<str>) {
        let mut state = self.state.lock();
        if let Some(line) = state.tenants.get_mut(tenant) {
            line.waiting.retain(|sender| !sender.is_closed());
            if line.waiting.is_empty() && line.running == 0 {
                state.tenants.remove(tenant);
            }
        }
    }

    /// Gives free places to those who wait, one tenant after the other.
    fn hand_out(self: &Arc<Self>) {
        loop {
            let (sender, tenant) = {
                let mut state = self.state.lock();
                match state.next(self.per_tenant) {
                    Some(next) => next,
                    None => return,
                }
            };
            // Outside of the lock: a place that nobody takes any more is dropped, and dropping locks.
            let _ = sender.send(Place { places: self.clone(), tenant });
        }
    }
}

impl State {
    /// The next who gets a place, which is counted as taken.
    fn next(&mut self, per_tenant: u32) -> Option<(oneshot::Sender<Place>, Arc<str>)> {
        if self.free == 0 {
            return None;
        }
        for _ in 0..self.round.len() {
            let tenant = self.round.pop_front()?;
            let Some(line) = self.tenants.get_mut(&tenant) else { continue };
            line.queued = false;
            while line.waiting.front().is_some_and(oneshot::Sender::is_closed) {
                line.waiting.pop_front();
            }
            if line.running >= per_tenant {
                if !line.waiting.is_empty() {
                    line.queued = true;
                    self.round.push_back(tenant);
                }
                continue;
            }
            let Some(sender) = line.waiting.pop_front() else {
                if line.running == 0 {
                    self.tenants.remove(&tenant);
                }
                continue;
            };
            line.running += 1;
            self.free -= 1;
            if !line.waiting.is_empty() {
                line.queued = true;
                self.round.push_back(tenant.clone());
            }
            return Some((sender, tenant));
        }
        None
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let someone_waits = {
            let mut state = self.places.state.lock();
            state.free += 1;
            if let Some(line) = state.tenants.get_mut(&self.tenant) {
                line.running = line.running.saturating_sub(1);
                if line.running == 0 && line.waiting.is_empty() {
                    state.tenants.remove(&self.tenant);
                }
            }
            !state.round.is_empty()
        };
        if someone_waits {
            self.places.hand_out();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn name(text: &str) -> Arc<str> {
        Arc::from(text)
    }

    #[tokio::test]
    async fn tenants_take_turns_however_many_calls_each_has_waiting() {
        let places = Places::new(1, 1, 100);
        let first = places.take(&name("a"), LONG).await.unwrap();
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut calls = Vec::new();
        for tenant in ["a", "a", "a", "a", "b", "c"] {
            let (places, order) = (places.clone(), order.clone());
            calls.push(tokio::spawn(async move {
                let place = places.take(&name(tenant), LONG).await.unwrap();
                order.lock().push(tenant);
                drop(place);
            }));
            // One thread: the task runs up to its wait before this one goes on.
            tokio::task::yield_now().await;
        }
        drop(first);
        for call in calls {
            call.await.unwrap();
        }
        assert_eq!(*order.lock(), ["a", "b", "c", "a", "a", "a"]);
        assert_eq!(places.free(), 1);
        assert!(places.state.lock().tenants.is_empty());
    }

    #[tokio::test]
    async fn one_tenant_never_has_all_places_and_its_queue_is_bounded() {
        let places = Places::new(3, 2, 1);
        let _one = places.take(&name("a"), LONG).await.unwrap();
        let _two = places.take(&name("a"), LONG).await.unwrap();
        let waiting = tokio::spawn({
            let places = places.clone();
            async move { places.take(&name("a"), LONG).await }
        });
        tokio::task::yield_now().await;
        assert_eq!(places.take(&name("a"), LONG).await.unwrap_err(), NoPlace::QueueFull);
        assert!(places.take(&name("b"), LONG).await.is_ok());
        waiting.abort();
    }

    #[tokio::test]
    async fn who_stops_waiting_takes_no_place_with_him() {
        let places = Places::new(1, 1, 10);
        let held = places.take(&name("a"), LONG).await.unwrap();
        let waited = places.take(&name("b"), Duration::ZERO).await;
        assert_eq!(waited.unwrap_err(), NoPlace::Waited);
        drop(held);
        assert_eq!(places.free(), 1);
        assert!(places.take(&name("b"), Duration::ZERO).await.is_ok());
    }
}
