//! The end of a turn: what is stored of it, in one step with the lock's end.

use super::TurnAnswer;
use super::accepted::Accepted;
use super::journal::{Running, lane_of};
use super::leave::Leave;
use super::serve::{Decided, Done, Place, Undone, described};
use super::transcript::{OPEN, people_index};
use crate::conversation::{Entry, HandedOver, Head, Header};
use crate::engine::Engine;
use crate::error::TurnError;
use crate::webhooks::Happened;
use bytes::Bytes;
use confab_store::{OpenTurn, StoredAnswer, TurnCommit};
use serde::{Deserialize, Serialize};

/// What is stored under an idempotency key.
#[derive(Serialize, Deserialize)]
struct Kept {
    fingerprint: String,
    answer: TurnAnswer,
}

/// A turn that was decided.
pub(super) struct Closing {
    /// Which turn of the conversation it is, from 1.
    pub(super) number: u64,
    pub(super) header: Header,
    /// Whether people had the conversation before this turn.
    pub(super) before: Option<HandedOver>,
    pub(super) decided: Decided,
    /// What a replay needs.
    pub(super) record: Option<Bytes>,
    /// Whether the lock is kept, because another turn follows at once.
    pub(super) keep: bool,
}

impl Engine {
    /// Step 5.
    pub(super) async fn commit(&self, place: &Place, running: &Running, closing: Closing) -> Result<Done, Undone> {
        let Closing { number, header, before, decided, record, keep } = closing;
        let accepted = &running.accepted;
        let Decided { said, state, failure, plugin, interrupted } = decided;
        let (bot, conversation) = (&place.bot, &place.key);
        let mut leave = Leave::of(&self.inner, bot, place.id, conversation, running, &said).await?;
        let (open, with_people) = (people_index(&bot.tenant, &bot.id), header.handed_over.is_some());
        let given_back = !with_people && before.is_some();
        match &header.handed_over {
            Some(over) if before.is_none() => {
                self.inner.store.link(&open, OPEN, &conversation.id, bot.conversation_ttl).await?;
                if over.by.is_none() {
                    leave.hand_over(bot, place.id, conversation, over);
                }
            }
            Some(over) if over.by.is_some() && before.as_ref().is_some_and(|before| before.by.is_none()) => {
                leave.taken(conversation)
            }
            None if given_back => leave.taken(conversation),
            _ => {}
        }
        if running.is_opened() {
            leave.drops.push(lane_of(conversation));
        }
        let happened = Happened {
            bot,
            conversation: place.id,
            number,
            running,
            locale: header.locale.as_deref(),
            said: &said,
            plugin: plugin.as_ref(),
            failure: failure.as_deref(),
            before: before.as_ref(),
            after: header.handed_over.as_ref(),
        };
        leave.pushes.extend(happened.push(&self.registry()));
        let (kind, text, by) = described(&accepted.inbound);
        let answer = TurnAnswer {
            conversation: place.id,
            turn: accepted.turn.clone(),
            replies: said.replies,
            intent: said.intent,
            handoff: said.handoff,
            failed: failure.is_some(),
            with_people,
            interrupted,
            replayed: false,
        };
        let entry = Entry {
            turn: accepted.turn.clone(),
            at: accepted.at,
            kind: kind.to_owned(),
            text: text.to_owned(),
            replies: answer.replies.clone(),
            intent: answer.intent.as_ref().map(|(name, _)| name.clone()),
            failure,
            by: by.map(str::to_owned),
        };
        let internal = |e: serde_json::Error| Undone::Error(TurnError::Internal(e.to_string()));
        let entry = Bytes::from(serde_json::to_vec(&entry).map_err(internal)?);
        let mut answers = Vec::new();
        for key in accepted.key.iter().chain(&accepted.also) {
            let kept = Kept { fingerprint: key.fingerprint.clone(), answer: answer.clone() };
            let body = Bytes::from(serde_json::to_vec(&kept).map_err(internal)?);
            answers.push(StoredAnswer { key: key.name.clone(), body, expires_in: key.keep });
        }
        let Some(lease) = running.take_lease().await else { return Err(Undone::Lost) };
        let head = Head { header, state }.encode();
        let commit = TurnCommit {
            head: head.clone(),
            entries: vec![entry],
            expires_in: place.bot.conversation_ttl,
            answers,
            record,
            pushes: std::mem::take(&mut leave.pushes),
            drops: std::mem::take(&mut leave.drops),
            keep,
        };
        let committed = self.inner.store.commit_turn(lease, commit).await?;
        let _nobody_listens = self.inner.said.send(place.id);
        leave.committed(&self.inner, bot, conversation).await;
        if given_back && let Err(error) = self.inner.store.unlink(&open, OPEN, &conversation.id).await {
            tracing::debug!(%error, "a conversation that was given back is still listed until somebody looks");
        }
        let turns = committed.turns;
        let next = committed.lease.map(|lease| OpenTurn { lease, head: Some(head), turns, unfinished: None });
        Ok(Done { answer, next })
    }
}

/// The answer that was given before, if the request is the same.
pub(super) fn answered(kept: &[u8], accepted: &Accepted) -> Result<TurnAnswer, TurnError> {
    let kept: Kept = serde_json::from_slice(kept)
        .map_err(|e| TurnError::Internal(format!("the answer kept for this request can't be read: {e}")))?;
    if kept.fingerprint != accepted.fingerprint() {
        return Err(TurnError::KeyReused);
    }
    Ok(TurnAnswer { replayed: true, ..kept.answer })
}
