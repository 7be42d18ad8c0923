//! What other hosts tell this one without delay: where work arrived, and which turn locks were freed.
//!
//! All of it may get lost with a connection, so nothing depends on it but speed: every second this host looks at all
//! partitions anyway, and asks for a lock that it waits for ten times a second.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use super::keys::{LANES_CHANNEL, TURNS_CHANNEL};
use super::partitions::PARTITIONS;
use crate::lanes::Partition;

/// How often all partitions are looked at: for lanes whose time has come, those of hosts that are gone, and those whose
/// signal was lost. A look is 64 small scripts at once, 0.5 ms of the server's time.
const LOOK_EVERY: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub(super) struct Signals {
    /// Bit `i`: partition `i` may have a lane that is due.
    partitions: AtomicU64,
    arrived: Notify,
    /// Where the next taking begins, so that no partition always comes last.
    first: AtomicU32,
    looked: Mutex<Option<Instant>>,
    locks: Mutex<HashMap<String, Arc<Notify>>>,
}

impl Signals {
    /// A message that came on a channel.
    pub(super) fn hear(&self, channel: &str, message: &str) {
        match channel {
            LANES_CHANNEL => {
                if let Ok(number) = message.parse() {
                    self.work_in(Partition(number));
                }
            }
            TURNS_CHANNEL => {
                if let Some(waits) = self.locks.lock().get(message) {
                    waits.notify_one();
                }
            }
            _ => {}
        }
    }

    /// Work has arrived in a partition.
    pub(super) fn work_in(&self, partition: Partition) {
        self.mark(partition);
        self.arrived.notify_waiters();
    }

    /// A partition may have more work.
    pub(super) fn mark(&self, partition: Partition) {
        if partition.0 < PARTITIONS {
            self.partitions.fetch_or(1 << partition.0, Ordering::Relaxed);
        }
    }

    /// Up to `most` partitions that may have work. They are marked no longer: who finds more than he can take marks them.
    pub(super) fn partitions(&self, most: usize) -> Vec<Partition> {
        let first = self.first.fetch_add(1, Ordering::Relaxed);
        let in_turn = (0..PARTITIONS).map(|at| (at + (first % u32::from(PARTITIONS)) as u16) % PARTITIONS);
        let marked = in_turn.filter(|number| {
            let bit = 1 << number;
            self.partitions.load(Ordering::Relaxed) & bit != 0
                && self.partitions.fetch_and(!bit, Ordering::Relaxed) & bit != 0
        });
        marked.take(most).map(Partition).collect()
    }

    /// Whether it is time to look at all partitions; the caller then does.
    pub(super) fn is_look_due(&self) -> bool {
        let mut looked = self.looked.lock();
        let due = looked.is_none_or(|looked| looked.elapsed() >= LOOK_EVERY);
        if due {
            *looked = Some(Instant::now());
        }
        due
    }

    /// The last look did not see all.
    pub(super) fn look_again(&self) {
        *self.looked.lock() = None;
    }

    pub(super) async fn work_arrived(&self, at_most: Duration) {
        let arrived = self.arrived.notified();
        tokio::pin!(arrived);
        arrived.as_mut().enable();
        if self.partitions.load(Ordering::Relaxed) != 0 {
            return;
        }
        let until_look =
            self.looked.lock().map_or(Duration::ZERO, |looked| LOOK_EVERY.saturating_sub(looked.elapsed()));
        let _heard_or_not = timeout(at_most.min(until_look), arrived).await;
    }

    /// Hears of the release of this conversation's lock, until it is dropped.
    pub(super) fn lock_of(self: &Arc<Self>, conversation: &str) -> LockSignal {
        let freed = Arc::new(Notify::new());
        self.locks.lock().insert(conversation.to_owned(), Arc::clone(&freed));
        LockSignal { signals: Arc::clone(self), conversation: conversation.to_owned(), freed }
    }
}

/// Of all tasks of this host only the first in its queue waits for a lock, so there is one of these for a conversation.
#[derive(Debug)]
pub(super) struct LockSignal {
    signals: Arc<Signals>,
    conversation: String,
    freed: Arc<Notify>,
}

impl LockSignal {
    /// Returns when the lock was freed, or after `at_most`.
    pub(super) async fn freed(&self, at_most: Duration) {
        let _heard_or_not = timeout(at_most, self.freed.notified()).await;
    }
}

impl Drop for LockSignal {
    fn drop(&mut self) {
        let mut locks = self.signals.locks.lock();
        if locks.get(&self.conversation).is_some_and(|freed| Arc::ptr_eq(freed, &self.freed)) {
            locks.remove(&self.conversation);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_with_work_are_given_out_once_and_none_always_comes_last() {
        let signals = Signals::default();
        let mut firsts = Vec::new();
        for _ in 0..PARTITIONS {
            signals.hear(LANES_CHANNEL, "3");
            signals.hear(LANES_CHANNEL, "63");
            signals.hear(LANES_CHANNEL, "64");
            signals.hear(LANES_CHANNEL, "x");
            firsts.extend(signals.partitions(1));
            assert_eq!(signals.partitions(9).len(), 1);
            assert!(signals.partitions(9).is_empty());
        }
        assert!(firsts.contains(&Partition(3)) && firsts.contains(&Partition(63)));
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_arrived_before_is_not_waited_for() {
        let signals = Signals::default();
        assert!(signals.is_look_due() && !signals.is_look_due());
        signals.work_in(Partition(7));
        let since = Instant::now();
        signals.work_arrived(LOOK_EVERY).await;
        assert!(since.elapsed().is_zero());
        signals.partitions(9);
        signals.work_arrived(LOOK_EVERY * 9).await;
        assert!(since.elapsed() >= LOOK_EVERY && signals.is_look_due());
    }

    #[tokio::test(start_paused = true)]
    async fn a_lock_that_was_freed_is_not_waited_for_and_another_is() {
        let signals = Arc::new(Signals::default());
        let lock = signals.lock_of("c/1");
        signals.hear(TURNS_CHANNEL, "c/1");
        let since = Instant::now();
        lock.freed(LOOK_EVERY).await;
        assert!(since.elapsed().is_zero());
        signals.hear(TURNS_CHANNEL, "c/2");
        lock.freed(LOOK_EVERY).await;
        assert!(since.elapsed() >= LOOK_EVERY);
        drop(lock);
        assert!(signals.locks.lock().is_empty());
    }
}
