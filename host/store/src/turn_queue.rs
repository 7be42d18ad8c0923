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
//!    before a commit that is just being synced. The same goes for a [`TurnPin`], for as long as that exists; the guard
//!    may be dropped before the pin, the turn is then handed on with the pin.
//! 5. Who need not wait is told at once: the request is being served already, or too many wait.
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

use crate::api::{BeginTurn, ConversationKey};
use crate::error::StoreError;

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
    /// What a takeover is allowed after, when the holder goes on after a commit.
    hold: Duration,
    answer_key: Option<String>,
    pins: usize,
    /// The guard is gone, and a pin is left.
    given_up: bool,
}

impl Holder {
    fn new(fence: u64, hold: Duration, answer_key: Option<String>) -> Self {
        Self { fence, takeover: Takeover::after(hold), hold, answer_key, pins: 0, given_up: false }
    }

    fn may_be_replaced(&self) -> bool {
        self.pins == 0 && self.takeover.is_due()
    }
}

impl Slot {
    fn of(holder: Holder) -> Self {
        Self { holder, waiting: VecDeque::new() }
    }

    fn serves(&self, answer_key: &str) -> bool {
        let waiting = self.waiting.iter().map(|waiter| &waiter.answer_key);
        std::iter::once(&self.holder.answer_key).chain(waiting).any(|key| key.as_deref() == Some(answer_key))
    }
}

#[derive(Clone, Copy)]
enum Takeover {
    AllowedFrom(Instant),
    Never,
}

struct Waiter {
    ticket: u64,
    hold: Duration,
    answer_key: Option<String>,
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

    /// Waits for the turn.
    ///
    /// # Errors
    /// [`StoreError::InFlight`] if the holder or one who waits has the same answer key, [`StoreError::Crowded`] if too
    /// many wait here, [`StoreError::Busy`] if the turn did not come in time.
    pub(crate) async fn acquire(
        self: &Arc<Self>,
        key: &ConversationKey,
        begin: &BeginTurn,
    ) -> Result<TurnGuard, StoreError> {
        let deadline = Instant::now() + begin.wait.min(LONGEST_WAIT);
        let mut place = match self.enter(key, begin)? {
            Entered::Holds(guard) => return Ok(guard),
            Entered::Waits(place) => place,
        };
        loop {
            let wake = self.next_look(key).min(deadline);
            if let Ok(granted) = timeout_at(wake, &mut place.granted).await {
                return granted.map_err(|_| StoreError::Busy);
            }
            self.take_over_if_due(key);
            if Instant::now() >= deadline {
                return place.granted.try_recv().map_err(|_| StoreError::Busy);
            }
        }
    }

    /// Takes the turn from whoever holds it, for work that must not wait (deleting a conversation).
    pub(crate) fn seize(self: &Arc<Self>, key: &ConversationKey) -> TurnGuard {
        let mut slots = self.slots.lock();
        let fence = self.next_fence();
        let holder = Holder { takeover: Takeover::Never, ..Holder::new(fence, LONGEST_WAIT, None) };
        let key = match slots.get_key_value(key) {
            Some((key, _)) => Arc::clone(key),
            None => Arc::new(key.clone()),
        };
        match slots.get_mut(&key) {
            Some(slot) => slot.holder = holder,
            None => {
                slots.insert(Arc::clone(&key), Slot::of(holder));
            }
        }
        TurnGuard { queue: Arc::clone(self), key, fence }
    }

    /// Number of conversations with a holder or waiters.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.slots.lock().len()
    }

    fn enter(self: &Arc<Self>, key: &ConversationKey, begin: &BeginTurn) -> Result<Entered, StoreError> {
        // The ticket of one who has to wait; fences are given out with the turn, so that they grow in turn order.
        let mut slots = self.slots.lock();
        let fence = self.next_fence();
        let holder = || Holder::new(fence, begin.hold, begin.answer_key.clone());
        let Some((shared_key, _)) = slots.get_key_value(key) else {
            let key = Arc::new(key.clone());
            slots.insert(Arc::clone(&key), Slot::of(holder()));
            return Ok(Entered::Holds(TurnGuard { queue: Arc::clone(self), key, fence }));
        };
        let key = Arc::clone(shared_key);
        let (grant, granted) = oneshot::channel();
        if let Some(slot) = slots.get_mut(&key) {
            if slot.waiting.is_empty() && slot.holder.may_be_replaced() {
                slot.holder = holder();
                return Ok(Entered::Holds(TurnGuard { queue: Arc::clone(self), key, fence }));
            }
            if begin.answer_key.as_deref().is_some_and(|answer_key| slot.serves(answer_key)) {
                return Err(StoreError::InFlight);
            }
            if begin.wait.is_zero() {
                return Err(StoreError::Busy);
            }
            if slot.waiting.len() >= begin.most_waiting {
                return Err(StoreError::Crowded);
            }
            let answer_key = begin.answer_key.clone();
            slot.waiting.push_back(Waiter { ticket: fence, hold: begin.hold, answer_key, grant });
        }
        Ok(Entered::Waits(Place { queue: Arc::clone(self), key, ticket: fence, granted }))
    }

    fn next_look(&self, key: &ConversationKey) -> Instant {
        let soon = Instant::now() + LOOK_AGAIN;
        match self.slots.lock().get(key).map(|slot| &slot.holder) {
            // A pin hands the turn on by itself.
            Some(Holder { takeover: Takeover::AllowedFrom(due), pins: 0, .. }) => (*due).min(soon),
            Some(_) | None => soon,
        }
    }

    fn take_over_if_due(self: &Arc<Self>, key: &ConversationKey) {
        self.hand_on(key, |holder| if holder.may_be_replaced() { Loses::ToAWaiter } else { Loses::Nothing });
    }

    fn release(self: &Arc<Self>, key: &ConversationKey, fence: u64) {
        self.hand_on(key, |holder| {
            if holder.fence != fence {
                return Loses::Nothing;
            }
            holder.given_up = true;
            if holder.pins == 0 { Loses::TheTurn } else { Loses::Nothing }
        });
    }

    fn unpin(self: &Arc<Self>, key: &ConversationKey, fence: u64) {
        self.hand_on(key, |holder| {
            if holder.fence != fence {
                return Loses::Nothing;
            }
            holder.pins = holder.pins.saturating_sub(1);
            match (holder.pins, holder.given_up) {
                (0, true) => Loses::TheTurn,
                (0, false) if holder.takeover.is_due() => Loses::ToAWaiter,
                _ => Loses::Nothing,
            }
        });
    }

    /// Gives the turn to the first waiter if the holder is to lose it.
    fn hand_on(self: &Arc<Self>, key: &ConversationKey, loses: impl FnOnce(&mut Holder) -> Loses) {
        let mut slots = self.slots.lock();
        let Some((shared_key, _)) = slots.get_key_value(key) else {
            return;
        };
        let key = Arc::clone(shared_key);
        let Some(slot) = slots.get_mut(&key) else {
            return;
        };
        let lost = loses(&mut slot.holder);
        if matches!(lost, Loses::Nothing) {
            return;
        }
        let Some(waiter) = slot.waiting.pop_front() else {
            if matches!(lost, Loses::TheTurn) {
                slots.remove(&key);
            }
            return;
        };
        let fence = self.next_fence();
        slot.holder = Holder::new(fence, waiter.hold, waiter.answer_key);
        drop(slots);
        // Sent without the lock: if the waiter is gone, the guard comes back, is dropped, and serves the next one.
        let _gone = waiter.grant.send(TurnGuard { queue: Arc::clone(self), key, fence });
    }

    fn next_fence(&self) -> u64 {
        self.fences.fetch_add(1, Ordering::Relaxed) + 1
    }
}

/// What becomes of a holder.
enum Loses {
    Nothing,
    /// The turn, if somebody waits for it.
    ToAWaiter,
    TheTurn,
}

enum Entered {
    Holds(TurnGuard),
    Waits(Place),
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

    /// Bars takeovers until the guard is dropped or goes on. `false` if there was one already.
    pub(crate) fn begin_commit(&self) -> bool {
        self.name().holds(|holder| holder.takeover = Takeover::Never)
    }

    /// Goes on after a commit: the hold time begins anew.
    pub(crate) fn go_on(&self) {
        self.name().holds(|holder| holder.takeover = Takeover::after(holder.hold));
    }

    /// Allows a takeover only after `hold` from now. `false` if there was one already.
    pub(crate) fn renew(&self, hold: Duration) -> bool {
        self.name().holds(|holder| {
            holder.hold = hold;
            holder.takeover = Takeover::after(hold);
        })
    }

    /// The turn's name, for work that can't borrow the guard.
    pub(crate) fn name(&self) -> TurnName {
        TurnName { queue: Arc::clone(&self.queue), key: Arc::clone(&self.key), fence: self.fence }
    }
}

/// Says which turn; it holds nothing.
pub(crate) struct TurnName {
    queue: Arc<TurnQueue>,
    key: Arc<ConversationKey>,
    fence: u64,
}

impl TurnName {
    pub(crate) fn key(&self) -> &Arc<ConversationKey> {
        &self.key
    }

    /// Bars takeovers, and the handing on of a turn whose guard is dropped, until the pin is. `None` if
    /// the turn is lost.
    pub(crate) fn pin(self) -> Option<TurnPin> {
        self.holds(|holder| holder.pins += 1).then_some(TurnPin(self))
    }

    /// Changes the holder, if it is still this turn's.
    fn holds(&self, change: impl FnOnce(&mut Holder)) -> bool {
        match self.queue.slots.lock().get_mut(&self.key) {
            Some(slot) if slot.holder.fence == self.fence => {
                change(&mut slot.holder);
                true
            }
            _ => false,
        }
    }
}

/// Keeps a turn where it is while something is written for it.
pub(crate) struct TurnPin(TurnName);

impl Drop for TurnPin {
    fn drop(&mut self) {
        self.0.queue.unpin(&self.0.key, self.0.fence);
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

    fn within(wait: Duration, hold: Duration) -> BeginTurn {
        BeginTurn { wait, hold, most_waiting: 100, answer_key: None }
    }

    #[tokio::test(start_paused = true)]
    async fn an_expired_holder_loses_the_turn_unless_it_is_committing() {
        let queue = TurnQueue::new(0);
        let first = queue.acquire(&key(), &within(LONG, SHORT)).await.unwrap();
        let second = queue.acquire(&key(), &within(LONG, SHORT)).await.unwrap();
        assert!(second.fence() > first.fence());
        assert!(!first.begin_commit());
        assert!(!first.renew(LONG));
        assert!(second.begin_commit());
        assert!(queue.acquire(&key(), &within(SHORT * 10, LONG)).await.is_err());
        drop(first);
        assert!(second.begin_commit());
        second.go_on();
        assert!(queue.acquire(&key(), &within(SHORT * 10, LONG)).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn the_map_is_empty_when_nobody_holds_or_waits() {
        let queue = TurnQueue::new(0);
        let first = queue.acquire(&key(), &within(LONG, LONG)).await.unwrap();
        assert!(queue.acquire(&key(), &within(SHORT, LONG)).await.is_err());
        let waiting = tokio::spawn({
            let queue = Arc::clone(&queue);
            async move { queue.acquire(&key(), &within(LONG, LONG)).await.is_ok() }
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
        let first = queue.acquire(&key(), &within(LONG, LONG)).await.unwrap();
        let seized = queue.seize(&key());
        assert!(!first.begin_commit());
        drop(first);
        assert!(queue.acquire(&key(), &within(SHORT, LONG)).await.is_err());
        drop(seized);
        assert!(queue.acquire(&key(), &within(SHORT, LONG)).await.is_ok());
        assert_eq!(queue.len(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pin_outlives_the_hold_and_the_guard() {
        let queue = TurnQueue::new(0);
        let first = queue.acquire(&key(), &within(LONG, SHORT)).await.unwrap();
        let pin = first.name().pin().unwrap();
        assert_eq!(queue.acquire(&key(), &within(SHORT * 10, LONG)).await.unwrap_err(), StoreError::Busy);
        drop(first);
        assert_eq!(queue.acquire(&key(), &within(SHORT * 10, LONG)).await.unwrap_err(), StoreError::Busy);
        drop(pin);
        assert_eq!(queue.len(), 0);

        let first = queue.acquire(&key(), &within(LONG, SHORT)).await.unwrap();
        let pin = first.name().pin().unwrap();
        let waits = within(LONG, LONG);
        let key = key();
        let mut second = std::pin::pin!(queue.acquire(&key, &waits));
        assert!(tokio::time::timeout(SHORT * 10, second.as_mut()).await.is_err());
        drop(pin);
        let second = tokio::time::timeout(SHORT, second).await.unwrap().unwrap();
        assert!(first.name().pin().is_none());
        drop(first);
        assert!(second.begin_commit());
    }

    #[tokio::test(start_paused = true)]
    async fn who_would_wait_in_vain_is_told_at_once() {
        let queue = TurnQueue::new(0);
        let of = |name: &str, most_waiting| BeginTurn {
            answer_key: Some(name.to_owned()),
            most_waiting,
            ..within(LONG, LONG)
        };
        let first = queue.acquire(&key(), &of("one", 1)).await.unwrap();
        assert_eq!(queue.acquire(&key(), &of("one", 1)).await.unwrap_err(), StoreError::InFlight);
        let (two, contested) = (of("two", 1), key());
        let mut second = std::pin::pin!(queue.acquire(&contested, &two));
        assert!(tokio::time::timeout(SHORT, second.as_mut()).await.is_err());
        assert_eq!(queue.acquire(&key(), &of("two", 9)).await.unwrap_err(), StoreError::InFlight);
        assert_eq!(queue.acquire(&key(), &of("three", 1)).await.unwrap_err(), StoreError::Crowded);
        drop(first);
        let second = second.await.unwrap();
        assert_eq!(queue.acquire(&key(), &of("two", 9)).await.unwrap_err(), StoreError::InFlight);
        drop(second);
    }
}
