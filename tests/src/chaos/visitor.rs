//! One conversation: a visitor who writes, reads and thinks, behind a client that sends again what was not answered. Some messages are
//! sent twice under one key, at the same moment to two hosts or again when the answer is there; some are not waited for.

use super::dice::Dice;
use super::door::{Delivered, Door};
use super::events::{self, Event};
use super::script::{self, Kind, Message};
use super::{Plan, dice};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// How much later the message is sent that does not wait for the one before.
const SOON: Duration = Duration::from_millis(30);
/// Pairs of neighbours that may go together, in a conversation, on average: three blocks of four can, in any order.
const PAIRS: f64 = 1.5;

/// A message that was sent.
#[derive(Clone, Debug)]
pub struct Sent {
    /// The message.
    pub message: Message,
    /// Messages of one step went together; those of the next were sent when all of these were answered.
    pub step: usize,
    /// What came of each copy.
    pub delivered: Vec<Delivered>,
}

impl Sent {
    /// The answers that came.
    pub fn answers(&self) -> impl Iterator<Item = &Value> {
        self.delivered.iter().filter_map(|delivered| match delivered {
            Delivered::Answered { body, .. } => Some(body),
            _ => None,
        })
    }

    /// The first answer's text.
    pub fn response(&self) -> Option<&str> {
        self.answers().next().map(|answer| answer["response"].as_str().unwrap_or_default())
    }
}

/// A conversation that was had.
#[derive(Clone, Debug)]
pub struct Talk {
    /// Which of its kind.
    pub number: usize,
    /// With which bot.
    pub kind: Kind,
    /// What was sent, in this order.
    pub sent: Vec<Sent>,
    /// Messages that were not sent any more, because one before was given up.
    pub unsent: usize,
    /// The ids that were answered: one.
    pub ids: BTreeSet<String>,
    /// The webhook about it.
    pub event: Option<Event>,
}

struct Visitor {
    plan: Arc<Plan>,
    door: Arc<Door>,
    kind: Kind,
    number: usize,
    dice: Dice,
}

/// Has a conversation.
pub async fn converse(plan: Arc<Plan>, door: Arc<Door>, kind: Kind, number: usize) -> Talk {
    let mut visitor = Visitor { dice: dice(plan.seed, kind.bot(), number), plan, door, kind, number };
    visitor.talk().await
}

impl Visitor {
    async fn talk(&mut self) -> Talk {
        let messages = script::messages(self.kind, self.number, &mut self.dice);
        let pairs = self.plan.together * messages.len() as f64 / PAIRS;
        let mut talk = Talk {
            number: self.number,
            kind: self.kind,
            sent: Vec::new(),
            unsent: 0,
            ids: BTreeSet::new(),
            event: None,
        };
        let (mut id, mut posted, mut step) = (None, None, 0);
        let mut rest = messages.as_slice();
        while let [message, after @ ..] = rest {
            let next = after.first().filter(|next| !message.alone && !next.alone);
            let next = next.filter(|_| self.dice.chance(pairs));
            let first = self.say(message, id.clone(), step);
            let sent = match next {
                None => vec![first.await],
                Some(next) => {
                    let second = self.say(next, id.clone(), step);
                    let later = async {
                        tokio::time::sleep(SOON).await;
                        second.await
                    };
                    let (first, second) = tokio::join!(first, later);
                    vec![first, second]
                }
            };
            rest = if next.is_some() { after.get(1..).unwrap_or_default() } else { after };
            let ids = sent.iter().flat_map(Sent::answers).filter_map(|answer| answer["conversation_id"].as_str());
            talk.ids.extend(ids.map(str::to_owned));
            // A client goes on with the first id that it hears.
            let heard = sent.iter().find_map(|sent| sent.answers().next()?["conversation_id"].as_str());
            id = id.or_else(|| heard.map(str::to_owned));
            talk.sent.extend(sent);
            // A message that was given up may come yet: what is said after it would show nothing.
            let gave_up = talk.sent.iter().any(|sent| sent.response().is_none());
            let Some(known) = id.as_ref().filter(|_| !gave_up) else { break };
            step += 1;
            if posted.is_none() && step == 2 && self.dice.chance(self.plan.events) {
                posted = Some(self.webhook(known.clone()));
            }
            self.think().await;
        }
        talk.unsent = rest.len();
        if let Some(posted) = posted {
            talk.event = posted.await.ok();
        }
        talk
    }

    /// A webhook that comes whenever it comes.
    fn webhook(&mut self, conversation: String) -> tokio::task::JoinHandle<Event> {
        let (door, bot, twice) = (self.door.clone(), self.kind.bot(), self.dice.chance(self.plan.twice));
        let mut dice = dice(self.plan.seed, "event", self.number);
        let (order, most) = (format!("EV{}-{}", self.kind.bot(), self.number), self.plan.think * 6);
        tokio::spawn(async move {
            tokio::time::sleep(dice.between(Duration::ZERO, most)).await;
            events::post(&door, bot, &conversation, order, twice, dice).await
        })
    }

    async fn think(&mut self) {
        let time = self.dice.between(Duration::ZERO, self.plan.think * 2);
        tokio::time::sleep(time).await;
    }

    /// Sends a message until it is answered, perhaps twice.
    fn say(&mut self, message: &Message, id: Option<String>, step: usize) -> impl Future<Output = Sent> + use<> {
        let (door, message) = (self.door.clone(), message.clone());
        let twice = self.dice.chance(self.plan.twice);
        let at_once = twice && self.dice.chance(0.5);
        let (mut one, mut two) = (self.fork(), self.fork());
        let key = format!("chaos-{}", message.marker);
        let mut body = json!({
            "message": message.text, "bot": self.kind.bot(), "visitor": format!("visitor-{}-{}", self.kind.bot(), self.number),
        });
        if let (Some(id), Value::Object(fields)) = (id, &mut body) {
            fields.insert("conversation_id".to_owned(), id.into());
        }
        async move {
            let first = door.post("/api/chat", &body, &key, &mut one);
            let delivered = if at_once {
                let (first, second) = tokio::join!(first, door.post("/api/chat", &body, &key, &mut two));
                vec![first, second]
            } else if twice {
                vec![first.await, door.post("/api/chat", &body, &key, &mut two).await]
            } else {
                vec![first.await]
            };
            Sent { message, step, delivered }
        }
    }

    /// Chance of its own for what goes on beside this.
    fn fork(&mut self) -> Dice {
        let seed = self.dice.below(usize::MAX);
        Dice::new(seed as u64, "fork", 0)
    }
}
