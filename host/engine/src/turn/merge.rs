//! Messages that wait for the same conversation become one: for bots whose file says `while_busy: merge`.
//!
//! People write in pieces: "hi", "where is my order", "WEB-42". The first message that has to wait leads; those that come while it waits
//! join it, and when it gets its turn they are one text, a line each, with one answer for all. A message on another host waits its
//! own turn.

use super::accepted::IdempotencyKey;
use super::{Inbound, TurnAnswer, TurnRequest, Visitor};
use crate::error::TurnError;
use confab_store::ConversationKey;
use parking_lot::Mutex;
use std::collections::HashMap;
use tokio::sync::oneshot;

/// Most messages that become one. A person writes no more in a row.
const MOST: usize = 8;

/// The messages of this host that wait.
#[derive(Default)]
pub(crate) struct Gathering(Mutex<HashMap<ConversationKey, Group>>);

struct Group {
    visitor: Visitor,
    keys: Vec<Option<IdempotencyKey>>,
    joined: Vec<Joined>,
}

/// A message that joined another.
pub(super) struct Joined {
    pub(super) text: String,
    pub(super) key: Option<IdempotencyKey>,
    answer: oneshot::Sender<Result<TurnAnswer, TurnError>>,
}

impl Joined {
    /// The answer is for it as well.
    pub(super) fn tell(self, answer: &Result<TurnAnswer, TurnError>) {
        let _gone = self.answer.send(answer.clone());
    }
}

/// What becomes of a message.
pub(super) enum Place<'a> {
    /// It waits for its turn, and others join it.
    Leads(Lead<'a>),
    /// It has joined another one, whose answer is its own.
    Follows(oneshot::Receiver<Result<TurnAnswer, TurnError>>),
}

/// The right to take those that joined. Those that are left when it is dropped hear that the conversation is busy.
pub(super) struct Lead<'a> {
    all: &'a Gathering,
    key: &'a ConversationKey,
    open: bool,
}

impl Gathering {
    /// A message comes.
    pub(super) fn join<'a>(&'a self, key: &'a ConversationKey, request: &TurnRequest) -> Result<Place<'a>, TurnError> {
        let mut all = self.0.lock();
        let Inbound::Message(text) = &request.inbound else { return Ok(Place::Leads(Lead::alone(self, key))) };
        match all.get_mut(key) {
            None => {
                let group =
                    Group { visitor: request.visitor.clone(), keys: vec![request.key.clone()], joined: Vec::new() };
                all.insert(key.clone(), group);
                Ok(Place::Leads(Lead { all: self, key, open: true }))
            }
            // Whose it is, is checked for the first alone.
            Some(group) if group.visitor != request.visitor => Ok(Place::Leads(Lead::alone(self, key))),
            Some(group) if request.key.is_some() && group.keys.contains(&request.key) => Err(TurnError::InFlight),
            Some(group) if group.joined.len() >= MOST => Err(TurnError::Crowded),
            Some(group) => {
                let (answer, answered) = oneshot::channel();
                group.keys.push(request.key.clone());
                group.joined.push(Joined { text: text.clone(), key: request.key.clone(), answer });
                Ok(Place::Follows(answered))
            }
        }
    }
}

impl<'a> Lead<'a> {
    /// One that nobody can join.
    fn alone(all: &'a Gathering, key: &'a ConversationKey) -> Lead<'a> {
        Lead { all, key, open: false }
    }

    /// It is the message's turn: who comes later leads anew.
    pub(super) fn close(mut self) -> Vec<Joined> {
        self.end()
    }

    fn end(&mut self) -> Vec<Joined> {
        if !std::mem::take(&mut self.open) {
            return Vec::new();
        }
        self.all.0.lock().remove(self.key).map(|group| group.joined).unwrap_or_default()
    }
}

impl Drop for Lead<'_> {
    fn drop(&mut self) {
        for joined in self.end() {
            joined.tell(&Err(TurnError::Busy));
        }
    }
}
