//! What a turn leaves behind, beside its answer: events for later, what the conversation watches, what the tenant's systems are told.
//!
//! All of it is written with the commit, but for what the conversation watches: that is an index by subject, which lies elsewhere. A watch
//! is written before the commit (one too many does no harm: who follows it finds a conversation that did not want it), and taken
//! back after it.

use super::journal::Running;
use super::outcome::Said;
use crate::conversation::HandedOver;
use crate::engine::Inner;
use crate::ids::ConversationId;
use crate::later::{self, Later};
use crate::registry::Bot;
use crate::turn::{Inbound, PeopleStep};
use confab_sandbox::Effect;
use confab_store::{ConversationKey, Push, StoreError};
use std::time::Duration;

/// See the module.
#[derive(Default)]
pub(super) struct Leave {
    pub(super) pushes: Vec<Push>,
    pub(super) drops: Vec<String>,
    unwatched: Vec<String>,
}

/// The index of the conversations of a bot by what they watch.
pub(crate) fn watch_index(bot: &Bot) -> String {
    format!("watch/{}/{}", bot.tenant, bot.id)
}

/// The key under which a conversation that people have waits to become the bot's again.
const UNANSWERED: &str = "#unanswered";

impl Leave {
    /// Of what the plugin asked for.
    pub(super) async fn of(
        engine: &Inner,
        bot: &Bot,
        id: ConversationId,
        key: &ConversationKey,
        running: &Running,
        said: &Said,
    ) -> Result<Leave, StoreError> {
        let mut leave = Leave::default();
        let accepted = &running.accepted;
        crate::events::process::note_visitor(engine, bot, &key.id, &accepted.inbound, &accepted.visitor).await?;
        for (number, effect) in said.effects.iter().enumerate() {
            match effect {
                Effect::Schedule { key: name, event, after, data } => {
                    let id_of_event = format!("{}.{number}", running.accepted.turn);
                    leave.drops.push(later::lane_of(key, name));
                    leave.pushes.retain(|push| push.lane != later::lane_of(key, name));
                    let later = Later::event(bot, id, id_of_event, event.clone(), data.clone());
                    leave.pushes.push(later.push(key, name, *after));
                }
                Effect::Cancel { key: name } => {
                    let lane = later::lane_of(key, name);
                    leave.pushes.retain(|push| push.lane != lane);
                    leave.drops.push(lane);
                }
                Effect::Watch { subject, keep } => {
                    leave.unwatched.retain(|other| other != subject);
                    engine.store.link(&watch_index(bot), subject, &key.id, *keep).await?;
                }
                Effect::Unwatch { subject } => leave.unwatched.push(subject.clone()),
                Effect::Emit { .. } => {}
            }
        }
        Ok(leave)
    }

    /// Of a conversation that was just handed over to people: nobody may come.
    pub(super) fn hand_over(&mut self, bot: &Bot, id: ConversationId, key: &ConversationKey, over: &HandedOver) {
        if let Some(people) = &bot.people {
            let step = Inbound::People(PeopleStep::Unanswered { since: over.since });
            let later = Later::inbound(bot, id, format!("unanswered/{}", over.since), step);
            self.drops.push(later::lane_of(key, UNANSWERED));
            self.pushes.push(later.push(key, UNANSWERED, Duration::from_secs(people.wait_s)));
        }
    }

    /// Of a conversation that somebody has taken.
    pub(super) fn taken(&mut self, key: &ConversationKey) {
        self.drops.push(later::lane_of(key, UNANSWERED));
    }

    /// After the commit.
    pub(super) async fn committed(self, engine: &Inner, bot: &Bot, key: &ConversationKey) {
        for subject in self.unwatched {
            if let Err(error) = engine.store.unlink(&watch_index(bot), &subject, &key.id).await {
                tracing::warn!(%error, subject, "a conversation hears of this although it no longer wants to");
            }
        }
    }
}
