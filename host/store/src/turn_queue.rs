//! Who may run the next turn of a conversation, within this process, in arrival order.
//!
//! A slot exists for a conversation only while somebody holds or waits for its turn, so the map stays as small as
//! the work in flight. Both backends use it: the embedded store as its lock, the Redis store to keep order among its
//! own tasks before one of them asks the server.
//!
//! 1. The first to come gets a [`TurnGuard`] at once; later ones queue up.
//! 2. Dropping the guard hands the turn to the first in the queue.
//! 3. A holder whose hold time has run out loses the turn to the first waiter; its guard then does nothing.
//! 4. A holder that has begun to commit can't lose it any more: otherwise the next turn could read the state from
//!    before a commit that is just being synced.
//!
//! A std or tokio mutex per conversation would give 1 and 2, but neither 3 nor 4.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use crate::api::ConversationKey;

/// Waits and holds are cut to a day: longer ones are a mistake, and `Instant + Duration` must not overflow.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 3_600);

/// A waiter looks at least this often whether the holder's time has run out. It normally wakes exactly then; this
/// covers a change of holder to one with a shorter hold.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

pub(crate) struct TurnQueue {
    slots: Mutex<HashMap<Arc<ConversationKey>, Slot>>,
    fences: AtomicU64,
}

struct Slot {
    holder: Holder,
    waiting: VecDeque<Waiter>,
}

struct Holder {
    fence: u64,
    takeover: Takeover,
}

#[derive(Clone, Copy)]
enum Takeover {
    AllowedFrom(Instant),
    Never,
}

struct Waiter {
    ticket: u64,
    hold: Duration,
    grant: oneshot::Sender<TurnGuard>,
}

impl Takeover {
    fn after(hold: Duration) -> Self {
        Self::AllowedFrom(Instant::now() + hold.min(LONGEST_WAIT))
    }

    fn is_due(self) -> bool {
        matches!(self, Self::AllowedFrom(due) if due <= Instant::now())
    }
}

impl TurnQueue {
    /// A queue whose fences begin above `first_fence`.
    pub(crate) fn new(first_fence: u64) -> Arc<Self> {
        Arc::new(Self { slots: Mutex::default(), fences: AtomicU64::new(first_fence) })
    }

    /// Waits for the turn; `None` if it did not come within `wait`.
    pub(crate) async fn acquire(
        self: &Arc<Self>,
        key: &ConversationKey,
        wait: Duration,
        hold: Duration,
    ) -> Option<TurnGuard> {
        let deadline = Instant::now() + wait.min(LONGEST_WAIT);
        let mut place = match self.enter(key, hold) {
            Ok(guard) => return Some(guard),
            Err(place) => place,
        };
        loop {
            let wake = self.next_look(key).min(deadline);
            if let Ok(granted) = timeout_at(wake, &mut place.granted).await {
                return granted.ok();
            }
            self.take_over_if_due(key);
            if Instant::now() >= deadline {
                return place.granted.try_recv().ok();
            }
        }
    }

    /// Takes the turn from whoever holds it, for work that must not wait (deleting a conversation).
    pub(crate) fn seize(self: &Arc<Self>, key: &ConversationKey) -> TurnGuard {
        let mut slots = self.slots.lock();
        let fence = self.next_fence();
        let holder = Holder { fence, takeover: Takeover::Never };
        let key = match slots.get_key_value(key) {
            Some((key, _)) => Arc::clone(key),
            None => Arc::new(key.clone()),
        };
        match slots.get_mut(&key) {
            Some(slot) => slot.holder = holder,
            None => {
                slots.insert(Arc::clone(&key), Slot { holder, waiting: VecDeque::new() });
            }
        }
        TurnGuard { queue: Arc::clone(self), key, fence }
    }

    /// Number of conversations with a holder or waiters.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.slots.lock().len()
    }

    fn enter(self: &Arc<Self>, key: &ConversationKey, hold: Duration) -> Result<TurnGuard, Place> {
        // The ticket of one who has to wait; fences are given out with the turn, so that they grow in turn order.
        let mut slots = self.slots.lock();
        let fence = self.next_fence();
        let Some((shared_key, slot)) = slots.get_key_value(key) else {
            let key = Arc::new(key.clone());
            let holder = Holder { fence, takeover: Takeover::after(hold) };
            slots.insert(Arc::clone(&key), Slot { holder, waiting: VecDeque::new() });
            return Ok(TurnGuard { queue: Arc::clone(self), key, fence });
        };
        let key = Arc::clone(shared_key);
        let free_to_take = slot.waiting.is_empty() && slot.holder.takeover.is_due();
        let (grant, granted) = oneshot::channel();
        if let Some(slot) = slots.get_mut(&key) {
            if free_to_take {
                slot.holder = Holder { fence, takeover: Takeover::after(hold) };
                return Ok(TurnGuard { queue: Arc::clone(self), key, fence });
            }
            slot.waiting.push_back(Waiter { ticket: fence, hold, grant });
        }
        Err(Place { queue: Arc::clone(self), key, ticket: fence, granted })
    }

    fn next_look(&self, key: &ConversationKey) -> Instant {
        let soon = Instant::now() + LOOK_AGAIN;
        match self.slots.lock().get(key).map(|slot| slot.holder.takeover) {
            Some(Takeover::AllowedFrom(due)) => due.min(soon),
            Some(Takeover::Never) | None => soon,
        }
    }

    fn take_over_if_due(self: &Arc<Self>, key: &ConversationKey) {
        self.hand_on(key, |holder| holder.takeover.is_due(), WhenNobodyWaits::Keep);
    }

    fn release(self: &Arc<Self>, key: &ConversationKey, fence: u64) {
        self.hand_on(key, |holder| holder.fence == fence, WhenNobodyWaits::Remove);
    }

    /// Gives the turn to the first waiter if the holder is to lose it.
    fn hand_on(self: &Arc<Self>, key: &ConversationKey, loses: impl FnOnce(&Holder) -> bool, nobody: WhenNobodyWaits) {
        let mut slots = self.slots.lock();
        let Some((shared_key, slot)) = slots.get_key_value(key) else {
            return;
        };
        if !loses(&slot.holder) {
            return;
        }
        let key = Arc::clone(shared_key);
        let Some(slot) = slots.get_mut(&key) else {
            return;
        };
        let Some(waiter) = slot.waiting.pop_front() else {
            if matches!(nobody, WhenNobodyWaits::Remove) {
                slots.remove(&key);
            }
            return;
        };
        let fence = self.next_fence();
        slot.holder = Holder { fence, takeover: Takeover::after(waiter.hold) };
        drop(slots);
        // Sent without the lock: if the waiter is gone, the guard comes back, is dropped, and serves the next one.
        let _gone = waiter.grant.send(TurnGuard { queue: Arc::clone(self), key, fence });
    }

    fn next_fence(&self) -> u64 {
        self.fences.fetch_add(1, Ordering::Relaxed) + 1
    }
}

enum WhenNobodyWaits {
    Keep,
    Remove,
}

/// A place in the queue; dropping it leaves the queue.
struct Place {
    queue: Arc<TurnQueue>,
    key: Arc<ConversationKey>,
    ticket: u64,
    granted: oneshot::Receiver<TurnGuard>,
}

impl Drop for Place {
    fn drop(&mut self) {
        // If the turn was granted meanwhile, dropping `granted` drops the guard in it.
        if let Some(slot) = self.queue.slots.lock().get_mut(&self.key) {
            slot.waiting.retain(|waiter| waiter.ticket != self.ticket);
        }
    }
}

/// The turn of a conversation, given on when dropped.
pub(crate) struct TurnGuard {
    queue: Arc<TurnQueue>,
    key: Arc<ConversationKey>,
    fence: u64,
}

impl TurnGuard {
    pub(crate) fn key(&self) -> &Arc<ConversationKey> {
        &self.key
    }

    pub(crate) fn fence(&self) -> u64 {
        self.fence
    }

    pub(crate) fn is_of(&self, queue: &Arc<TurnQueue>) -> bool {
        Arc::ptr_eq(&self.queue, queue)
    }

    /// Allows takeovers only after `hold` from now. It does nothing if there was one already.
    pub(crate) fn renew(&self, hold: Duration) {
        if let Some(slot) = self.queue.slots.lock().get_mut(&self.key)
            && slot.holder.fence == self.fence
        {
            slot.holder.takeover = Takeover::after(hold);
        }
    }

    /// Bars takeovers until the guard is dropped. `false` if there was one already.
    pub(crate) fn begin_commit(&self) -> bool {
        match self.queue.slots.lock().get_mut(&self.key) {
            Some(slot) if slot.holder.fence == self.fence => {
                slot.holder.takeover = Takeover::Never;
                true
            }
            _ => false,
        }
    }
}

impl Drop for TurnGuard {
    fn drop(&mut self) {
        self.queue.release(&self.key, self.fence);
    }
}

impl fmt::Debug for TurnQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TurnQueue({} conversations)", self.slots.lock().len())
    }
}

impl fmt::Debug for TurnGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TurnGuard({}, {})", self.key, self.fence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);
    const SHORT: Duration = Duration::from_millis(20);

    fn key() -> ConversationKey {
        ConversationKey::new("t", "b", "c")
    }

    #[tokio::test(start_paused = true)]
    async fn an_expired_holder_loses_the_turn_unless_it_is_committing() {
        let queue = TurnQueue::new(0);
        let first = queue.acquire(&key(), LONG, SHORT).await.unwrap();
        let second = queue.acquire(&key(), LONG, SHORT).await.unwrap();
        assert!(second.fence() > first.fence());
        assert!(!first.begin_commit());
        assert!(second.begin_commit());
        assert!(queue.acquire(&key(), SHORT * 10, LONG).await.is_none());
        drop(first);
        assert!(second.begin_commit());
    }

    #[tokio::test(start_paused = true)]
    async fn the_map_is_empty_when_nobody_holds_or_waits() {
        let queue = TurnQueue::new(0);
        let first = queue.acquire(&key(), LONG, LONG).await.unwrap();
        assert!(queue.acquire(&key(), SHORT, LONG).await.is_none());
        let waiting = tokio::spawn({
            let queue = Arc::clone(&queue);
            async move { queue.acquire(&key(), LONG, LONG).await.is_some() }
        });
        tokio::task::yield_now().await;
        waiting.abort();
        assert!(waiting.await.is_err());
        assert_eq!(queue.len(), 1);
        drop(first);
        assert_eq!(queue.len(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn seizing_takes_the_turn_and_gives_it_on() {
        let queue = TurnQueue::new(0);
        let first = queue.acquire(&key(), LONG, LONG).await.unwrap();
        let seized = queue.seize(&key());
        assert!(!first.begin_commit());
        drop(first);
        assert!(queue.acquire(&key(), SHORT, LONG).await.is_none());
        drop(seized);
        assert!(queue.acquire(&key(), SHORT, LONG).await.is_some());
        assert_eq!(queue.len(), 0);
    }
}
