//! What a turn's calls came to, so that the turn can be run again from there.
//!
//! Each call of a capability and each use of the bot's data is a step. While the turn runs its steps are in memory; they go to
//! the store
//!
//! 1. before anything is written elsewhere: the turn as it was accepted, and the steps so far. From then on the turn will be finished,
//!    by this host or by another one;
//! 2. when that write has answered, before the plugin sees the answer;
//! 3. with the commit, as part of the turn's record.
//!
//! So a turn that only reads costs no write of its own: until something leaves it nobody can tell whether it ran, and run again
//! it may read something newer. See docs/decisions/0013-journal.md.
//!
//! A turn that is run again gets what its steps came to, by their numbers, and goes on from there. A read that is another one than
//! it was is made; a write that is the same function is not made again, whatever its arguments now are.

use super::accepted::Accepted;
use crate::cache::Served;
use bytes::Bytes;
use confab_sandbox::{CapabilityError, KvError};
use confab_store::{ConversationKey, JournalNote, Lease, Push, Store, StoreError, Unfinished};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How often a turn is taken up without getting any further before it is given up: one that takes its host down each time must not
/// go round for ever.
const MOST_TRIES: usize = 5;

/// One thing that a plugin learned from outside.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "step")]
pub(crate) enum Step {
    /// A capability was called.
    Call(Call),
    /// The bot's data were read or written.
    Kv(KvStep),
    /// A host took the turn up from here.
    TakenUp,
}

/// See [`Step::Call`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Call {
    /// Number of the call in its turn, from 1.
    pub(crate) number: u32,
    pub(crate) capability: String,
    pub(crate) function: String,
    pub(crate) arguments: Map<String, Value>,
    /// Whether it may have changed something.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) wrote: bool,
    #[serde(flatten)]
    pub(crate) served: Served,
}

/// See [`Step::Kv`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct KvStep {
    /// Number of the use in its turn, from 1.
    pub(crate) number: u32,
    /// `get`, `set`, `insert`, `delete`, `scan` or `add`.
    pub(crate) action: String,
    pub(crate) key: String,
    /// What it gave, as the action writes it.
    pub(crate) gave: Result<Value, KvError>,
}

/// A turn that runs: who may commit it, and its steps.
pub(crate) struct Running {
    pub(crate) accepted: Arc<Accepted>,
    store: Arc<dyn Store>,
    lease: tokio::sync::Mutex<Option<Lease>>,
    /// A look at the turn later, should this host not finish it.
    look: Push,
    notes: Mutex<Notes>,
    lost: AtomicBool,
    /// False only where the cost of the journal is measured.
    journal: bool,
}

#[derive(Default)]
struct Notes {
    steps: Vec<Step>,
    /// How many of them are in the store.
    stored: usize,
    /// Whether the turn itself is.
    opened: bool,
    /// Whether it is being stored, or was: something may have been written elsewhere.
    writing: bool,
    /// Whether it was given up for a newer message.
    interrupted: bool,
}

/// A turn that another host left.
pub(crate) struct Left {
    pub(crate) accepted: Accepted,
    steps: Vec<Step>,
}

impl Left {
    /// None for what can't be read (of a newer version, say).
    pub(crate) fn decode(unfinished: &Unfinished) -> Option<Left> {
        let accepted = serde_json::from_slice(&unfinished.turn).ok()?;
        let steps =
            unfinished.entries.iter().map(|entry| serde_json::from_slice(entry)).collect::<Result<_, _>>().ok()?;
        Some(Left { accepted, steps })
    }

    /// How far it has come.
    pub(crate) fn steps(&self) -> usize {
        self.steps.len()
    }

    /// Whether it has been tried often enough: so often in a row since the last thing it learned.
    pub(crate) fn is_hopeless(&self) -> bool {
        self.steps.iter().rev().take_while(|step| **step == Step::TakenUp).count() >= MOST_TRIES
    }
}

/// The lane in which an unfinished turn of a conversation waits to be looked at.
pub(crate) fn lane_of(key: &ConversationKey) -> String {
    format!("turn/{key}")
}

impl Running {
    /// A turn that begins. `look_in` is longer than the lease holds; without `journal` no step is stored.
    pub(crate) fn new(
        store: Arc<dyn Store>,
        lease: Lease,
        accepted: Arc<Accepted>,
        look_in: Duration,
        journal: bool,
    ) -> Running {
        let key = &lease.key;
        let body = serde_json::json!({"tenant": key.tenant, "bot": key.bot, "conversation": key.id}).to_string();
        let look = Push { lane: lane_of(key), body: Bytes::from(body), due_in: look_in, once: confab_store::Once::No };
        Running {
            accepted,
            store,
            lease: tokio::sync::Mutex::new(Some(lease)),
            look,
            notes: Mutex::default(),
            lost: AtomicBool::new(false),
            journal,
        }
    }

    /// The same, going on from where another host left it.
    pub(crate) async fn take_up(&self, left: Left) -> Result<(), StoreError> {
        {
            let mut notes = self.notes.lock();
            notes.stored = left.steps.len();
            notes.steps = left.steps;
            notes.opened = true;
            notes.steps.push(Step::TakenUp);
        }
        self.store_steps().await
    }

    /// Keeps the right to commit.
    pub(crate) async fn renew(&self, hold: Duration) -> Result<(), StoreError> {
        match &*self.lease.lock().await {
            Some(lease) => self.store.renew_turn(lease, hold).await.inspect_err(|e| self.note_loss(e)),
            None => Ok(()),
        }
    }

    /// Before something is written elsewhere.
    pub(crate) async fn before_write(&self) -> Result<(), CapabilityError> {
        self.store_steps().await.map_err(|e| {
            tracing::warn!(turn = self.accepted.turn, error = %e, "a write was not made: the turn can't be recorded");
            CapabilityError::new("unavailable", "the turn can't be recorded now, so nothing was written")
        })
    }

    /// Notes a step. One that wrote is in the store when this returns, unless the store fails: then the commit will fail as
    /// well, and the turn is run again.
    pub(crate) async fn note(&self, step: Step, wrote: bool) {
        self.notes.lock().steps.push(step);
        if wrote && let Err(e) = self.store_steps().await {
            tracing::warn!(turn = self.accepted.turn, error = %e, "what a write came to could not be recorded");
        }
    }

    /// Stores what is not stored yet.
    async fn store_steps(&self) -> Result<(), StoreError> {
        // Held over the write: steps come into the journal in their order.
        let lease = self.lease.lock().await;
        let Some(lease) = &*lease else { return Err(StoreError::LeaseLost) };
        let (note, stored) = {
            let mut notes = self.notes.lock();
            if notes.interrupted {
                return Err(StoreError::LeaseLost);
            }
            notes.writing = true;
            if !self.journal {
                return Ok(());
            }
            let new = notes.steps.get(notes.stored..).unwrap_or_default();
            if notes.opened && new.is_empty() {
                return Ok(());
            }
            let mut note = JournalNote { entries: new.iter().map(encode).collect(), ..JournalNote::default() };
            if !notes.opened {
                note.turn = Some(encode(&*self.accepted));
                note.pushes = vec![self.look.clone()];
            }
            (note, notes.steps.len())
        };
        self.store.journal(lease, note).await.inspect_err(|e| self.note_loss(e))?;
        let mut notes = self.notes.lock();
        (notes.stored, notes.opened) = (stored, true);
        Ok(())
    }

    fn note_loss(&self, error: &StoreError) {
        if *error == StoreError::LeaseLost {
            self.lost.store(true, Ordering::Relaxed);
        }
    }

    /// Whether another host has taken the turn over: nothing that it still does counts.
    pub(crate) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed)
    }

    /// Whether something of it is in the store, so that it will be finished in any case.
    pub(crate) fn is_opened(&self) -> bool {
        self.notes.lock().opened
    }

    /// Gives the turn up; `false` if it is too late for that.
    pub(super) fn interrupt(&self) -> bool {
        let mut notes = self.notes.lock();
        notes.interrupted = !notes.writing && !notes.opened;
        notes.interrupted
    }

    /// The right to commit; once.
    pub(crate) async fn take_lease(&self) -> Option<Lease> {
        self.lease.lock().await.take()
    }

    /// All steps. For the record, when the turn is over.
    pub(crate) fn steps(&self) -> Vec<Step> {
        self.notes.lock().steps.clone()
    }

    /// How many steps there are: those that somebody who begins now may ask for.
    pub(crate) fn length(&self) -> usize {
        self.notes.lock().steps.len()
    }

    /// What the call of this number came to before, in the first `among` steps, if it was the same.
    pub(crate) fn known_call(
        &self,
        among: usize,
        number: u32,
        capability: &str,
        function: &str,
        arguments: &Map<String, Value>,
    ) -> Option<Served> {
        if among == 0 {
            return None;
        }
        let notes = self.notes.lock();
        notes.steps.iter().take(among).rev().find_map(|step| match step {
            Step::Call(call) if call.number == number && call.capability == capability && call.function == function => {
                (call.wrote || call.arguments == *arguments).then(|| call.served.clone())
            }
            _ => None,
        })
    }

    /// What a use of the bot's data came to before.
    pub(crate) fn known_kv(
        &self,
        among: usize,
        number: u32,
        action: &str,
        key: &str,
    ) -> Option<Result<Value, KvError>> {
        if among == 0 {
            return None;
        }
        let notes = self.notes.lock();
        notes.steps.iter().take(among).rev().find_map(|step| match step {
            Step::Kv(kv) if kv.number == number && kv.action == action && kv.key == key => Some(kv.gave.clone()),
            _ => None,
        })
    }

    /// The calls that succeeded.
    pub(crate) fn each_call(&self, mut each: impl FnMut(&Call)) {
        self.notes.lock().steps.iter().for_each(|step| {
            if let Step::Call(call) = step {
                each(call);
            }
        });
    }
}

fn encode<T: Serialize>(value: &T) -> Bytes {
    Bytes::from(serde_json::to_vec(value).unwrap_or_default())
}
