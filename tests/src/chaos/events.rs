//! Webhooks: an accepted one must be told in its conversation, once. All that is known of their form is here.

use super::dice::Dice;
use super::door::{Delivered, Door};
use super::script;
use serde_json::json;

/// One that was posted, whatever came of it.
#[derive(Clone, Debug)]
pub struct Event {
    /// Its order, which no other has.
    pub order: String,
    /// What came of each copy.
    pub delivered: Vec<Delivered>,
}

impl Event {
    /// Whether somebody was told that it is accepted.
    pub fn accepted(&self) -> bool {
        self.delivered.iter().any(|delivered| matches!(delivered, Delivered::Answered { .. }))
    }

    /// How often these texts of a bot tell it.
    pub fn told(&self, texts: &[&str]) -> usize {
        let words = script::told(&self.order);
        texts.iter().map(|text| text.matches(&words).count()).sum()
    }
}

/// Posts one about a conversation, perhaps twice.
pub async fn post(door: &Door, bot: &str, conversation: &str, order: String, twice: bool, mut dice: Dice) -> Event {
    let id = format!("chaos-event-{order}");
    let body = json!({
        "event": script::EVENT, "bot": bot, "id": id, "data": {"order": order, "conversation_id": conversation},
    });
    let mut other = dice.clone();
    other.below(1);
    let delivered = if twice && dice.chance(0.5) {
        let (one, two) = tokio::join!(
            door.post("/api/events", &body, &id, &mut dice),
            door.post("/api/events", &body, &id, &mut other)
        );
        vec![one, two]
    } else {
        let mut delivered = vec![door.post("/api/events", &body, &id, &mut dice).await];
        if twice {
            delivered.push(door.post("/api/events", &body, &id, &mut dice).await);
        }
        delivered
    };
    Event { order, delivered }
}
