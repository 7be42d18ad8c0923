//! A turn on the shared store once it has begun: renew, journal, commit, give back.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::call::ScriptCall;
use super::keys::ConversationKeys;
use super::link::Repeat;
use super::{RedisStore, Shared};
use crate::api::{Committed, Hold, JournalNote, Lease, TurnCommit};
use crate::clock::millis;
use crate::error::StoreError;
use crate::lanes::Push;
use crate::turn_queue::TurnGuard;

/// The lock on the server, or the ticket for it, and the place in this process's queue. Dropping it gives back first
/// the one, then the other.
pub(crate) struct RemoteHold(pub(super) Option<Held>);

pub(super) struct Held {
    /// The turn within this process, once it has come.
    pub(super) guard: Option<TurnGuard>,
    shared: Arc<Shared>,
    pub(super) keys: ConversationKeys,
    /// Names the request that has the lock or waits for it.
    pub(super) ticket: String,
    /// Whether the server may know the ticket.
    pub(super) asked: bool,
    /// Commits that kept the lease.
    commits: u64,
    notes: AtomicU64,
    /// What the lock was last taken for (ms); a commit that keeps it takes it for as long again.
    hold: AtomicU64,
}

impl Held {
    pub(super) fn new(shared: Arc<Shared>, keys: ConversationKeys, ticket: String, hold: Duration) -> Self {
        Self {
            guard: None,
            shared,
            keys,
            ticket,
            asked: false,
            commits: 0,
            notes: AtomicU64::new(0),
            hold: AtomicU64::new(millis(hold)),
        }
    }

    /// Gives the lock back, if it is still this request's. If that fails, the hold time ends it.
    async fn release(self) {
        let call = ScriptCall::default().key(self.keys.lock()).key(self.keys.queue()).text(self.ticket);
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
            && held.asked
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

impl RedisStore {
    /// What this store holds by a lease; none if the lease is another store's.
    fn held<'a>(&self, lease: &'a Lease) -> Result<&'a Held, StoreError> {
        match &lease.hold {
            Hold::Redis(RemoteHold(Some(held))) if Arc::ptr_eq(&held.shared, &self.shared) => Ok(held),
            _ => Err(StoreError::LeaseLost),
        }
    }

    pub(super) async fn renew(&self, lease: &Lease, hold: Duration) -> Result<(), StoreError> {
        let held = self.held(lease)?;
        let call = ScriptCall::default().key(held.keys.lock()).number(lease.fence).number(millis(hold));
        let script = &self.shared.scripts.renew;
        let renewed: u64 = self.shared.link.run("renew a turn's lease", Repeat::Safe, script, &call).await?;
        if renewed == 0 {
            return Err(StoreError::LeaseLost);
        }
        held.hold.store(millis(hold), Ordering::Relaxed);
        if let Some(guard) = &held.guard {
            guard.renew(hold);
        }
        Ok(())
    }

    pub(super) async fn note(&self, lease: &Lease, note: JournalNote) -> Result<(), StoreError> {
        let held = self.held(lease)?;
        let keys = &held.keys;
        let mut call = ScriptCall::default()
            .key(keys.lock())
            .key(keys.journal())
            .key(keys.meta())
            .number(lease.fence)
            .number(held.notes.fetch_add(1, Ordering::Relaxed))
            .text(self.shared.prefixes.of(keys.partition))
            .optional(note.turn.as_ref())
            .count(note.entries.len());
        for entry in &note.entries {
            call = call.bytes(entry);
        }
        let call = call.pushes(self.shared.prefixes.of(keys.partition), &note.pushes);
        let script = &self.shared.scripts.journal;
        let noted: u64 = self.shared.link.run("journal a turn", Repeat::Safe, script, &call).await?;
        if noted == 0 {
            return Err(StoreError::LeaseLost);
        }
        self.has_pushed(keys, &note.pushes);
        Ok(())
    }

    pub(super) async fn commit(&self, lease: Lease, commit: TurnCommit) -> Result<Committed, StoreError> {
        let held = self.held(&lease)?;
        let keys = &held.keys;
        let mut call = ScriptCall::default()
            .key(keys.lock())
            .key(keys.meta())
            .key(keys.log())
            .key(keys.answers())
            .key(keys.answers_due())
            .key(keys.journal())
            .key(keys.records())
            .key(keys.queue())
            .number(lease.fence)
            .number(held.commits)
            .number(if commit.keep { held.hold.load(Ordering::Relaxed) } else { 0 })
            .text(self.shared.prefixes.of(keys.partition))
            .bytes(&commit.head)
            .number(millis(commit.expires_in))
            .count(commit.entries.len());
        for entry in &commit.entries {
            call = call.bytes(entry);
        }
        call = call.count(commit.answers.len());
        for answer in &commit.answers {
            call = call.text(answer.key.as_str()).bytes(&answer.body).number(millis(answer.expires_in));
        }
        call = call.optional(commit.record.as_ref()).count(commit.drops.len());
        for lane in &commit.drops {
            call = call.text(lane.as_str());
        }
        let prefix = self.shared.prefixes.of(keys.partition);
        let call = call.lane_keys(prefix, commit.drops.iter().map(String::as_str)).pushes(prefix, &commit.pushes);
        // On an error the lease is dropped and gives the lock back; a commit that arrives after that is refused by its fence.
        let script = &self.shared.scripts.commit;
        let turns: u64 = self.shared.link.run("commit a turn", Repeat::Safe, script, &call).await?;
        if turns > 0 {
            self.has_pushed(keys, &commit.pushes);
        }
        let Lease { key, fence, hold: Hold::Redis(mut hold) } = lease else {
            return Err(StoreError::LeaseLost);
        };
        if turns > 0 && commit.keep {
            if let Some(held) = hold.0.as_mut() {
                held.commits += 1;
                if let Some(guard) = &held.guard {
                    guard.go_on();
                }
            }
            return Ok(Committed { turns, lease: Some(Lease { key, fence, hold: Hold::Redis(hold) }) });
        }
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

    /// This host need not wait to hear of its own work. What is due later is found when it is due.
    fn has_pushed(&self, keys: &ConversationKeys, pushes: &[Push]) {
        if pushes.iter().any(|push| push.due_in < Duration::from_millis(1)) {
            self.shared.signals.work_in(keys.partition);
        }
    }
}
