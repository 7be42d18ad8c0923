//! Beginning a turn on the shared store, and waiting for it.
//!
//! 1. The task enters this process's queue. If it is the first there, one run of `begin.lua` takes the lock and reads
//!    the state: that is all, when nobody else is at the conversation.
//! 2. A task that has to wait gets a ticket in the conversation's queue on the server at its first call, whether it waits
//!    behind another task of this process or behind another host. So hosts are served in the order in which their tasks came.
//! 3. The first of this process asks again when it hears that the lock was freed, and at growing intervals in case it
//!    does not hear. The others ask only so that their tickets stay good while a task of this process has the turn.

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, timeout};

use super::RedisStore;
use super::call::ScriptCall;
use super::link::Repeat;
use super::turns::{Held, RemoteHold};
use crate::api::{BeginTurn, Begun, ConversationKey, Hold, Lease, OpenTurn, Store, Unfinished};
use crate::clock::millis;
use crate::error::StoreError;

/// Pauses between polls of a lock that another host holds: from about a round trip up to what a visitor doesn't notice.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// How often a task that is not the first of its host keeps its ticket good. begin.lua takes a host for dead after
/// 2 seconds, so one call may be lost or late.
const KEEP_TICKET_EVERY: Duration = Duration::from_millis(700);

/// A wait without an end would overflow the clock; nobody waits a day.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 3_600);

/// How `begin.lua` is asked.
#[derive(Clone, Copy)]
enum Mode {
    Once,
    First,
    Queued,
}

/// What it answers.
enum Asked {
    Open(Box<OpenTurn>),
    Answered(Bytes),
    /// Until the lock may be taken over; zero if others come first.
    NotYet(Duration),
}

/// As begin.lua says.
type Answer = (u8, u64, Option<Bytes>, u64, Vec<Bytes>);

/// A turn that is being begun.
struct Beginning<'a> {
    store: &'a RedisStore,
    key: &'a ConversationKey,
    options: &'a BeginTurn,
    /// Made before the lock is asked for: if the future is dropped while the answer is on its way, lock or ticket go back.
    hold: RemoteHold,
    place: Option<u64>,
}

impl RedisStore {
    pub(super) async fn begin(&self, key: &ConversationKey, options: BeginTurn) -> Result<Begun, StoreError> {
        let deadline = Instant::now() + options.wait.min(LONGEST_WAIT);
        let mut queue = std::pin::pin!(self.turns.acquire(key, &options));
        let entered = futures::poll!(queue.as_mut());
        let ticket = format!("{}-{}", self.request(), options.wait.min(LONGEST_WAIT).as_millis());
        let hold = RemoteHold(Some(Held::new(Arc::clone(&self.shared), self.keys_of(key), ticket, options.hold)));
        let mut beginning = Beginning { store: self, key, options: &options, hold, place: None };
        let guard = match entered {
            Poll::Ready(guard) => guard,
            Poll::Pending => loop {
                match beginning.ask(Mode::Queued).await? {
                    Asked::Open(open) => return Ok(Begun::Open(*open)),
                    Asked::Answered(answer) => return Ok(Begun::Answered(answer)),
                    Asked::NotYet(_) => {}
                }
                if let Ok(guard) = timeout(KEEP_TICKET_EVERY, queue.as_mut()).await {
                    break guard;
                }
            },
        };
        let guard = match (guard, &options.answer_key) {
            (Ok(guard), _) => guard,
            (Err(refused), None) => return Err(refused),
            // Refused in this process, so the server was not asked; but an answer that is stored needs no turn.
            (Err(refused), Some(answer_key)) => {
                return self.answer(key, answer_key).await?.map(Begun::Answered).ok_or(refused);
            }
        };
        if let Some(held) = beginning.hold.0.as_mut() {
            held.guard = Some(guard);
        }
        let mode = if options.wait.is_zero() { Mode::Once } else { Mode::First };
        let mut pause = FIRST_PAUSE;
        let mut freed = None;
        loop {
            let left = match beginning.ask(mode).await? {
                Asked::Open(open) => return Ok(Begun::Open(*open)),
                Asked::Answered(answer) => return Ok(Begun::Answered(answer)),
                Asked::NotYet(left) => left,
            };
            let remaining = deadline.saturating_duration_since(Instant::now());
            if remaining.is_zero() {
                return Err(StoreError::Busy);
            }
            let lock = match &freed {
                Some(lock) => lock,
                None => {
                    // What was freed before is not heard of, so the lock is asked for at once.
                    freed = Some(self.shared.signals.lock_of(self.keys_of(key).name()));
                    continue;
                }
            };
            let until_takeover = if left.is_zero() { LONGEST_PAUSE } else { left };
            lock.freed(pause.min(remaining).min(until_takeover)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

impl Beginning<'_> {
    async fn ask(&mut self, mode: Mode) -> Result<Asked, StoreError> {
        let shared = &self.store.shared;
        let Some(held) = self.hold.0.as_mut() else {
            return Err(StoreError::LeaseLost);
        };
        let keys = &held.keys;
        let mut call = ScriptCall::default()
            .key(keys.lock())
            .key(keys.meta())
            .key(keys.journal())
            .key(keys.queue())
            .key(keys.hosts())
            .key(keys.answers())
            .key(keys.answers_due())
            .text(held.ticket.as_str())
            .text(self.store.host())
            .number(millis(self.options.hold))
            .text(match mode {
                Mode::Once => "once",
                Mode::First => "first",
                Mode::Queued => "queued",
            })
            .count(self.options.most_waiting)
            .text(self.place.map(|place| place.to_string()).unwrap_or_default());
        if let Some(key) = &self.options.answer_key {
            call = call.text(key.as_str());
        }
        held.asked = true;
        let (what, number, bytes, turns, journal): Answer =
            shared.link.run("begin a turn", Repeat::Safe, &shared.scripts.begin, &call).await?;
        match (what, bytes) {
            (1, head) => {
                let mut journal = journal.into_iter();
                let unfinished = journal.next().map(|turn| Unfinished { turn, entries: journal.collect() });
                let hold = Hold::Redis(std::mem::replace(&mut self.hold, RemoteHold(None)));
                let lease = Lease { key: self.key.clone(), fence: number, hold };
                Ok(Asked::Open(Box::new(OpenTurn { lease, head, turns, unfinished })))
            }
            (2, Some(answer)) => {
                held.asked = false;
                Ok(Asked::Answered(answer))
            }
            (3, _) => {
                held.asked = false;
                Err(StoreError::InFlight)
            }
            (4, _) => {
                held.asked = false;
                Err(StoreError::Crowded)
            }
            _ => {
                // Who asks once leaves no ticket.
                held.asked = !matches!(mode, Mode::Once);
                self.place = Some(number);
                Ok(Asked::NotYet(Duration::from_millis(turns)))
            }
        }
    }
}
