//! The worker's part: what an event does.
//!
//! 1. Kept results of the connection that are about the event's subjects become worthless.
//! 2. Each bot that subscribes gets a turn in each conversation that is meant, under a key made of the event's id. So all of it can be done
//!    again, and comes to the same.
//! 3. What became of it goes to the log ([`super::log`]).
//!
//! What may work later (store, places, a bot that is being repaired) is tried again, [`PAUSES`]; the lane waits meanwhile. What will
//! never work, and what has not worked by then, is a dead letter.

use super::log::{EventRecord, Status, ToldTo};
use super::subscribe::{Meant, Wanted, closest};
use super::{API, Event};
use crate::config::documents::{BOT, BotDoc};
use crate::engine::{Engine, Inner};
use crate::error::TurnError;
use crate::ids::{BotId, ConversationId, TenantId};
use crate::registry::{Bot, Slot};
use crate::turn::leave::watch_index;
use crate::turn::{Access, IdempotencyKey, Inbound, TurnRequest, Visitor, now_millis};
use bytes::Bytes;
use confab_store::{Again, HeldLane, Settled, StoreError};
use futures::StreamExt;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;

/// Seconds between tries of an event: eight tries in ten minutes.
const PAUSES: [u64; 7] = [1, 5, 15, 30, 90, 180, 280];
/// Events of a lane that are done before it is left: a host that stops need not wait for more.
const AT_A_TIME: usize = 16;
/// Conversations that one event is told to.
const CONVERSATIONS: usize = 1_000;
/// Conversations that are told at once: each is a turn of its own.
const AT_ONCE: usize = 8;
/// Conversations of a visitor that are looked at, newest first: most of them have expired if the first has.
const OF_VISITOR: usize = 8;

/// What the lane's note keeps: tries of its oldest entry.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Note {
    number: u64,
    tries: u32,
}

/// Why a bot did not hear of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Why {
    /// It may later.
    Later(String),
    /// It never will.
    Never(String),
}

/// What became of an event so far.
#[derive(Debug, Default)]
struct Came {
    subscribed: bool,
    told: Vec<ToldTo>,
    later: Option<String>,
    never: Option<String>,
}

impl Came {
    fn why(&mut self, why: Why) {
        match why {
            Why::Later(why) => self.later.get_or_insert(why),
            Why::Never(why) => self.never.get_or_insert(why),
        };
    }
}

impl Engine {
    pub(crate) async fn process_events(&self, held: &HeldLane) -> Settled {
        let note: Note = held.note.as_ref().and_then(|note| serde_json::from_slice(note).ok()).unwrap_or_default();
        let mut settled = Settled { through: 0, again: Again::Now, note: None, pushes: Vec::new() };
        for (number, body) in held.entries.iter().take(AT_A_TIME) {
            let event: Event = match serde_json::from_slice(body) {
                Ok(event) => event,
                Err(error) => {
                    tracing::error!(lane = held.lane, number, %error, "an event can't be read; it is given up");
                    settled.through = *number;
                    continue;
                }
            };
            let tries = if note.number == *number { note.tries + 1 } else { 1 };
            let came = self.process_event(&event).await;
            let pause = PAUSES.get(tries as usize - 1);
            if let (Some(why), Some(pause)) = (&came.later, pause) {
                tracing::warn!(tenant = %event.tenant, event = event.id, tries, why, "an event can't be processed yet");
                return wait(settled, *number, tries, Duration::from_secs(*pause));
            }
            if let Err(error) = self.note_event(event, came, tries).await {
                // Done, but nobody would know. Doing it again does nothing.
                tracing::warn!(lane = held.lane, %error, "what became of an event can't be written yet");
                return wait(settled, *number, note.tries, Duration::from_secs(1));
            }
            settled.through = *number;
        }
        settled
    }

    async fn note_event(&self, event: Event, came: Came, tries: u32) -> Result<(), StoreError> {
        let error = came.never.or(came.later);
        let status = match (&error, came.subscribed) {
            (Some(_), _) => Status::Dead,
            (None, true) => Status::Done,
            (None, false) => Status::Ignored,
        };
        metrics::counter!("confab_events_processed_total", "tenant" => event.tenant.to_string(), "source" => event.source.clone(), "status" => status.as_str())
            .increment(1);
        if let Some(error) = &error {
            tracing::error!(tenant = %event.tenant, source = event.source, event = event.id, tries, error, "an event is a dead letter");
        }
        let told_count = came.told.len();
        let record = EventRecord { event, status, at: now_millis(), tries, told: came.told, told_count, error };
        self.write_event(record).await
    }

    async fn process_event(&self, event: &Event) -> Came {
        let connection = event.connection.as_ref().map(crate::ConnectionId::as_str);
        let connection = connection.or((event.source != API).then_some(event.source.as_str()));
        if let Some(connection) = connection.filter(|_| !event.subjects.is_empty()) {
            // Hosts that can't be told serve what they have for as long as it is fresh: as with any change there.
            self.inner.cache.invalidate(event.tenant.as_str(), connection, &event.subjects).await;
        }
        let mut came = Came::default();
        for (id, slot) in self.bots_of(&event.tenant, event.bot.as_ref()) {
            match slot {
                Slot::Ready(bot) => self.tell_bot(event, &bot, &mut came).await,
                Slot::Broken(reason) => match self.would_subscribe(event, &id).await {
                    Ok(false) => {}
                    Ok(true) => {
                        came.subscribed = true;
                        came.why(Why::Later(format!("bot `{id}` is not ready: {reason}")));
                    }
                    Err(error) => came.why(Why::Later(error.to_string())),
                },
            }
        }
        came
    }

    /// The bots of a tenant (or the one that is named), in the order of their ids.
    fn bots_of(&self, tenant: &TenantId, only: Option<&BotId>) -> Vec<(BotId, Slot<Bot>)> {
        let registry = self.registry();
        let bots = registry.tenants.get(tenant).into_iter().flat_map(|tenant| &tenant.bots);
        let bots = bots.filter(|(id, _)| only.is_none_or(|only| only == *id));
        let mut bots: Vec<(BotId, Slot<Bot>)> = bots.map(|(id, slot)| (id.clone(), slot.clone())).collect();
        bots.sort_by(|(a, _), (b, _)| a.cmp(b));
        bots
    }

    /// Whether a bot that is not ready has subscribed, by its document.
    async fn would_subscribe(&self, event: &Event, bot: &BotId) -> Result<bool, StoreError> {
        let stored = self.inner.store.document(BOT, &format!("{}/{bot}", event.tenant)).await?;
        let doc: Option<BotDoc> = stored.and_then(|body| serde_json::from_slice(&body).ok());
        Ok(doc.is_some_and(|doc| closest(&doc.events, event).is_some()))
    }

    async fn tell_bot(&self, event: &Event, bot: &Arc<Bot>, came: &mut Came) {
        let wanted = match bot.events.wanted(event) {
            None => return,
            Some(wanted) => wanted,
        };
        came.subscribed = true;
        let of_bot = |why: Why| match why {
            Why::Later(why) => Why::Later(format!("bot `{}`: {why}", bot.id)),
            Why::Never(why) => Why::Never(format!("bot `{}`: {why}", bot.id)),
        };
        let Wanted { meant, inbound } = match wanted {
            Ok(wanted) => wanted,
            Err(why) => return came.why(of_bot(Why::Never(why))),
        };
        let conversations = match self.meant(event, bot, &meant).await {
            Ok(conversations) => conversations,
            Err(error) => return came.why(of_bot(Why::Later(error.to_string()))),
        };
        if let Meant::Visitor(visitor) = &meant {
            for id in conversations {
                match self.tell(event, bot, id, &inbound).await {
                    Ok(Some(told)) => return came.told.push(told),
                    Ok(None) => self.forget(&visitor_index(bot), visitor, id).await,
                    Err(why) => return came.why(of_bot(why)),
                }
            }
            return;
        }
        let telling = conversations.into_iter().map(|id| {
            let inbound = &inbound;
            async move { (id, self.tell(event, bot, id, inbound).await) }
        });
        let mut telling = futures::stream::iter(telling).buffer_unordered(AT_ONCE);
        while let Some((id, told)) = telling.next().await {
            match told {
                Ok(Some(told)) => came.told.push(told),
                Ok(None) if meant == Meant::Watching => {
                    for subject in &event.subjects {
                        self.forget(&watch_index(bot), subject, id).await;
                    }
                }
                Ok(None) => {}
                Err(why) => came.why(of_bot(why)),
            }
        }
    }

    async fn meant(&self, event: &Event, bot: &Bot, meant: &Meant) -> Result<Vec<ConversationId>, StoreError> {
        let store = &self.inner.store;
        let mut ids = match meant {
            Meant::Conversation(id) => return Ok(id.iter().copied().collect()),
            Meant::Visitor(visitor) if visitor.is_empty() => Vec::new(),
            Meant::Visitor(visitor) => store.linked(&visitor_index(bot), visitor, OF_VISITOR).await?,
            Meant::Watching => {
                let mut all = Vec::new();
                for subject in &event.subjects {
                    all.extend(store.linked(&watch_index(bot), subject, CONVERSATIONS).await?);
                }
                all.sort_unstable();
                all.dedup();
                all
            }
        };
        if ids.len() > CONVERSATIONS {
            tracing::warn!(tenant = %event.tenant, bot = %bot.id, event = event.id, CONVERSATIONS, "more conversations watch than are told");
            ids.truncate(CONVERSATIONS);
        }
        Ok(ids.into_iter().filter_map(|id| id.parse().ok()).collect())
    }

    /// The turn in one conversation; none if there is no such conversation (any more).
    async fn tell(
        &self,
        event: &Event,
        bot: &Bot,
        id: ConversationId,
        inbound: &Inbound,
    ) -> Result<Option<ToldTo>, Why> {
        let key = event.key();
        let request = TurnRequest {
            tenant: event.tenant.clone(),
            bot: bot.id.clone(),
            conversation: Some(id),
            visitor: Visitor::default(),
            inbound: inbound.clone(),
            locale: None,
            request_id: Arc::from(key.as_str()),
            key: Some(IdempotencyKey::of_host(key)),
            access: Access::Tenant,
        };
        let answer = match self.turn(request).await {
            Ok(answer) => answer,
            Err(TurnError::UnknownConversation | TurnError::UnknownBot(_)) => return Ok(None),
            Err(error @ (TurnError::KeyReused | TurnError::HandledBy(_) | TurnError::NotHandedOver)) => {
                return Err(Why::Never(error.to_string()));
            }
            Err(error) => return Err(Why::Later(error.to_string())),
        };
        if answer.failed {
            return Err(Why::Never(format!("its plugin failed in turn {}; see `confab failures`", answer.turn)));
        }
        Ok(Some(ToldTo { bot: bot.id.clone(), conversation: id, turn: answer.turn }))
    }

    async fn forget(&self, index: &str, key: &str, id: ConversationId) {
        if let Err(error) = self.inner.store.unlink(index, key, &id.to_string()).await {
            tracing::debug!(%error, index, "a link to a conversation that is gone stays until it expires");
        }
    }
}

fn wait(settled: Settled, number: u64, tries: u32, pause: Duration) -> Settled {
    let note = serde_json::to_vec(&Note { number, tries }).ok().map(Bytes::from);
    Settled { again: Again::In(pause), note, ..settled }
}

/// The index of a bot's conversations by visitor.
fn visitor_index(bot: &Bot) -> String {
    format!("visitor/{}/{}", bot.tenant, bot.id)
}

/// Notes whose conversation this is, for bots that ask for a visitor's newest one. Before the turn's commit: a link too many leads to
/// a conversation that isn't there.
pub(crate) async fn note_visitor(
    engine: &Inner,
    bot: &Bot,
    conversation: &str,
    inbound: &Inbound,
    visitor: &Visitor,
) -> Result<(), StoreError> {
    match (inbound, &visitor.id) {
        (Inbound::Message(_), Some(visitor)) if bot.events.by_visitor() => {
            engine.store.link(&visitor_index(bot), visitor, conversation, bot.conversation_ttl).await
        }
        _ => Ok(()),
    }
}
