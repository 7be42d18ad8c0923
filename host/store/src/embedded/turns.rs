//! Turns on the embedded store: begin, renew, note, commit, delete.
//!
//! The lock is the turn queue's, in memory. What is written goes through the writer thread, and whether the lease is
//! still the newest is checked there, in the writer's order; from the check until the write is on disk the turn can't be
//! taken over. So whoever begins next reads all that was promised to the one before.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::writer::Failure;
use super::{Embedded, conversations, journal, lane_rows};
use crate::api::{BeginTurn, Begun, Committed, ConversationKey, Hold, JournalNote, Lease, OpenTurn, TurnCommit};
use crate::error::StoreError;
use crate::turn_queue::TurnGuard;

impl Embedded {
    pub(super) async fn begin(&self, key: &ConversationKey, begin: BeginTurn) -> Result<Begun, StoreError> {
        if let Some(answer) = self.answered(key, &begin)? {
            return Ok(Begun::Answered(answer));
        }
        let guard = self.turns.acquire(key, &begin).await?;
        // Again, under the lock: the turn that was waited for may have been the same request.
        if let Some(answer) = self.answered(key, &begin)? {
            return Ok(Begun::Answered(answer));
        }
        let (head, turns) = self.current(key)?.map_or((None, 0), |(head, turns)| (Some(head), turns));
        let mut unfinished = None;
        if self.shared.journals.has(key, self.shared.clock.now()) {
            let key = key.clone();
            let read = move |txn: &_, now| journal::unfinished(txn, now, &key);
            unfinished = self.read_aside("read an unfinished turn", read).await?;
        }
        let lease = Lease { key: key.clone(), fence: guard.fence(), hold: Hold::Embedded(guard) };
        Ok(Begun::Open(OpenTurn { lease, head, turns, unfinished }))
    }

    fn answered(&self, key: &ConversationKey, begin: &BeginTurn) -> Result<Option<Bytes>, StoreError> {
        match &begin.answer_key {
            Some(answer_key) => self.stored_answer(key, answer_key),
            None => Ok(None),
        }
    }

    pub(super) fn stored_answer(&self, key: &ConversationKey, answer_key: &str) -> Result<Option<Bytes>, StoreError> {
        let now = self.shared.clock.now();
        self.shared.file.read("read a stored answer", |txn| conversations::answer(txn, now, key, answer_key))
    }

    fn is_ours(&self, guard: &TurnGuard) -> bool {
        guard.is_of(&self.turns)
    }

    fn guard_of<'a>(&self, lease: &'a Lease) -> Result<&'a TurnGuard, StoreError> {
        match &lease.hold {
            Hold::Embedded(guard) if self.is_ours(guard) => Ok(guard),
            Hold::Embedded(_) | Hold::Redis(_) => Err(StoreError::LeaseLost),
        }
    }

    pub(super) fn renew(&self, lease: &Lease, hold: Duration) -> Result<(), StoreError> {
        if self.guard_of(lease)?.renew(hold) { Ok(()) } else { Err(StoreError::LeaseLost) }
    }

    pub(super) async fn note(&self, lease: &Lease, note: JournalNote) -> Result<(), StoreError> {
        let turn = self.guard_of(lease)?.name();
        let shared = Arc::clone(&self.shared);
        let has_work = !note.pushes.is_empty();
        let publishing = Arc::clone(&self.shared);
        self.writer
            .submit_as(
                "note what a turn has done",
                move |batch| {
                    let key = Arc::clone(turn.key());
                    let pin = turn.pin().ok_or(Failure::Refused(StoreError::LeaseLost))?;
                    journal::note(batch, &shared.journals, &key, note.turn.as_ref(), &note.entries)?;
                    lane_rows::push(batch, &note.pushes)?;
                    // Pinned until it is on disk, whatever becomes of the caller.
                    Ok(pin)
                },
                move |pin| {
                    drop(pin);
                    if has_work {
                        publishing.held.changed.notify_waiters();
                    }
                },
            )
            .await
    }

    pub(super) async fn commit(&self, lease: Lease, commit: TurnCommit) -> Result<Committed, StoreError> {
        let Lease { key, fence, hold } = lease;
        let guard = match hold {
            Hold::Embedded(guard) if self.is_ours(&guard) => guard,
            Hold::Embedded(_) | Hold::Redis(_) => return Err(StoreError::LeaseLost),
        };
        let (writing, publishing) = (Arc::clone(&self.shared), Arc::clone(&self.shared));
        let (turns, kept) = self
            .writer
            .submit_as(
                "commit a turn",
                move |batch| conversations::commit(batch, &writing, guard, commit),
                // The head is published before the caller hears of it, even if nobody listens any more.
                move |applied| applied.publish(&publishing),
            )
            .await?;
        let lease = kept.map(|guard| {
            guard.go_on();
            Lease { key, fence, hold: Hold::Embedded(guard) }
        });
        Ok(Committed { turns, lease })
    }

    pub(super) async fn delete(&self, key: &ConversationKey) -> Result<bool, StoreError> {
        let key = key.clone();
        let turns = Arc::clone(&self.turns);
        let (writing, publishing) = (Arc::clone(&self.shared), Arc::clone(&self.shared));
        self.writer
            .submit_as(
                "delete a conversation",
                move |batch| {
                    // Held until the deletion is on disk, so that no turn begins from what is being deleted.
                    let guard = turns.seize(&key);
                    conversations::delete(batch, &writing, &key).map(|found| (guard, found))
                },
                move |(guard, found): (TurnGuard, bool)| {
                    publishing.heads.remove(guard.key());
                    publishing.journals.forget(guard.key());
                    found
                },
            )
            .await
    }
}
