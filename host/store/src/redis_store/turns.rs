//! Turns on the shared store: begin, commit, give back.
//!
//! Within this process tasks queue in arrival order, and only the first of them asks the server; so hosts, not tasks,
//! compete for a lock, and a host polls it once at a time.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, sleep};

use super::keys::ConversationKeys;
use super::link::{Repeat, ScriptCall};
use super::{RedisStore, Shared};
use crate::api::{BeginTurn, Begun, Committed, ConversationKey, Hold, Lease, OpenTurn, TurnCommit};
use crate::clock::millis;
use crate::error::StoreError;
use crate::turn_queue::TurnGuard;

/// Pauses between polls of a lock that another host holds: from about a round trip up to what a visitor doesn't notice.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// A wait without an end would overflow the clock; nobody waits a day.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 3_600);

const COMMITTING: &str = "commit a turn";

/// The lock on the server, and the place in this process's queue. Dropping it gives back first the one, then the other.
pub(crate) struct RemoteHold(Option<Held>);

struct Held {
    guard: TurnGuard,
    shared: Arc<Shared>,
    keys: ConversationKeys,
    owner: String,
}

impl Held {
    /// Gives the lock back, if it is still this owner's. If that fails, the hold time ends it.
    async fn release(self) {
        let call = ScriptCall::default().key(self.keys.lock()).text(self.owner);
        let ended: Result<u64, _> =
            self.shared.link.run("give a turn lock back", Repeat::Safe, &self.shared.scripts.release, &call).await;
        if let Err(error) = ended {
            tracing::warn!(%error, "a turn lock stays taken until its hold time has run out");
        }
        drop(self.guard);
    }
}

impl Drop for RemoteHold {
    fn drop(&mut self) {
        if let Some(held) = self.0.take()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(held.release());
        }
    }
}

impl fmt::Debug for RemoteHold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "RemoteHold(held)" } else { "RemoteHold(given back)" })
    }
}

/// fence (0: taken), head, turns, milliseconds until the lock may be taken over.
type Taken = (u64, Option<Bytes>, u64, u64);

impl RedisStore {
    pub(super) async fn begin(&self, key: &ConversationKey, options: BeginTurn) -> Result<Begun, StoreError> {
        let deadline = Instant::now() + options.wait.min(LONGEST_WAIT);
        let guard = self.turns.acquire(key, &options).await?;
        let keys = ConversationKeys::of(key);
        let owner = format!("{:x}-{}", self.owner, self.requests.fetch_add(1, Ordering::Relaxed));
        let call =
            ScriptCall::default().key(keys.lock()).key(keys.meta()).text(owner.as_str()).number(millis(options.hold));
        // Made before the lock is asked for: if this future is dropped while the answer is on its way, the lock goes back.
        let mut hold = RemoteHold(Some(Held { guard, shared: Arc::clone(&self.shared), keys, owner }));
        let mut pause = FIRST_PAUSE;
        loop {
            let (fence, head, turns, left): Taken =
                self.shared.link.run("begin a turn", Repeat::Safe, &self.shared.scripts.begin, &call).await?;
            if fence > 0 {
                let lease = Lease { key: key.clone(), fence, hold: Hold::Redis(hold) };
                return Ok(Begun::Open(OpenTurn { lease, head, turns, unfinished: None }));
            }
            let remaining = deadline.saturating_duration_since(Instant::now());
            if remaining.is_zero() {
                drop(hold.0.take());
                return Err(StoreError::Busy);
            }
            sleep(pause.min(remaining).min(Duration::from_millis(left))).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    pub(super) async fn commit(&self, lease: Lease, commit: TurnCommit) -> Result<Committed, StoreError> {
        let Hold::Redis(mut hold) = lease.hold else {
            return Err(StoreError::LeaseLost);
        };
        let Some(held) = hold.0.as_ref().filter(|held| held.guard.is_of(&self.turns)) else {
            return Err(StoreError::LeaseLost);
        };
        let keys = &held.keys;
        let mut call = ScriptCall::default()
            .key(keys.lock())
            .key(keys.meta())
            .key(keys.log())
            .key(keys.answers())
            .key(keys.answers_due())
            .number(lease.fence)
            .bytes(&commit.head)
            .number(millis(commit.expires_in))
            .number(u64::try_from(commit.entries.len()).unwrap_or(u64::MAX));
        for entry in &commit.entries {
            call = call.bytes(entry);
        }
        if let Some(answer) = &commit.answer {
            call = call.text(answer.key.as_str()).bytes(&answer.body).number(millis(answer.expires_in));
        }
        // On an error `hold` is dropped and gives the lock back; a commit that arrives after that is refused by its fence.
        let turns: u64 = self.shared.link.run(COMMITTING, Repeat::Safe, &self.shared.scripts.commit, &call).await?;
        drop(hold.0.take());
        if turns == 0 { Err(StoreError::LeaseLost) } else { Ok(Committed { turns, lease: None }) }
    }

    pub(super) async fn abandon(&self, lease: Lease) {
        if let Hold::Redis(mut hold) = lease.hold
            && let Some(held) = hold.0.take()
        {
            held.release().await;
        }
    }
}
