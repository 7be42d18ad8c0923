//! One request to one of the hosts, under its key, again and again until it is answered: what a careful client does.
//!
//! | what came | then |
//! |---|---|
//! | no answer: nobody listens, the connection broke off | the same, to another host |
//! | 409 `request-in-flight`, `conversation-busy`; 429; 500, 502, 503, 504 | the same, later, to another host |
//! | anything else | that is the answer |

use super::dice::Dice;
use crate::client::{Client, send};
use reqwest::Method;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Longer than a turn may wait for those before it and then take itself.
const TRY: Duration = Duration::from_secs(45);
/// The first pause between tries, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));
/// Refusals that only mean: not now.
const NOT_NOW: [&str; 2] = ["request-in-flight", "conversation-busy"];

/// What became of a request.
#[derive(Clone, Debug)]
pub enum Delivered {
    /// It was accepted.
    Answered {
        /// The answer.
        body: Value,
        /// Whether the server says that it has given this answer before.
        replayed: bool,
    },
    /// It was refused for good: status and code.
    Refused(String),
    /// No answer came in all the time.
    GaveUp(String),
}

/// How often what came.
#[derive(Debug, Default)]
pub struct Tally(Mutex<BTreeMap<String, u64>>);

impl Tally {
    fn add(&self, what: &str) {
        if let Ok(mut counts) = self.0.lock() {
            *counts.entry(what.to_owned()).or_default() += 1;
        }
    }

    /// All counts, by what came.
    pub fn counts(&self) -> BTreeMap<String, u64> {
        self.0.lock().map(|counts| counts.clone()).unwrap_or_default()
    }

    /// Requests in all, those that were repeated too.
    pub fn total(&self) -> u64 {
        self.counts().values().sum()
    }
}

/// The hosts as a client sees them: some addresses behind which it is always the same server.
#[derive(Debug)]
pub struct Door {
    clients: Vec<Client>,
    give_up: Duration,
    /// How often what came.
    pub tally: Tally,
}

impl Door {
    /// To these hosts.
    pub fn new(clients: Vec<Client>, give_up: Duration) -> Door {
        Door { clients, give_up, tally: Tally::default() }
    }

    /// Any host.
    pub fn any(&self, dice: &mut Dice) -> Option<&Client> {
        self.clients.get(dice.below(self.clients.len()))
    }

    /// All hosts.
    pub fn all(&self) -> &[Client] {
        &self.clients
    }

    /// Posts under a key until there is an answer.
    pub async fn post(&self, path: &str, body: &Value, key: &str, dice: &mut Dice) -> Delivered {
        let began = Instant::now();
        let mut pause = PAUSES.0;
        loop {
            let failed = match self.attempt(path, body, key, dice).await {
                Ok(delivered) => return delivered,
                Err(failed) => failed,
            };
            self.tally.add(&format!("again after {failed}"));
            if began.elapsed() >= self.give_up {
                return Delivered::GaveUp(failed);
            }
            tokio::time::sleep(dice.between(pause / 2, pause)).await;
            pause = (pause * 2).min(PAUSES.1);
        }
    }

    /// One try; an error is one that may be made again.
    async fn attempt(&self, path: &str, body: &Value, key: &str, dice: &mut Dice) -> Result<Delivered, String> {
        let Some(client) = self.any(dice) else { return Ok(Delivered::Refused("there are no hosts".to_owned())) };
        let request = client.request(Method::POST, path).header("content-type", "application/json");
        let request = request.header("idempotency-key", key).body(body.to_string()).timeout(TRY);
        let Ok(answer) = send(request).await else { return Err("no answer".to_owned()) };
        let status = answer.status.as_u16();
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        if answer.status.is_success() {
            let replayed = answer.header("idempotency-replayed") == "true";
            self.tally.add(if replayed { "answered by a replay" } else { "answered" });
            return Ok(Delivered::Answered { body, replayed });
        }
        let code = body["code"].as_str().unwrap_or_default();
        let told = format!("{status} {code}");
        if matches!(status, 429 | 500 | 502 | 503 | 504) || (status == 409 && NOT_NOW.contains(&code)) {
            return Err(told);
        }
        self.tally.add(&format!("refused with {told}"));
        Ok(Delivered::Refused(format!("{told}: {}", body["detail"].as_str().unwrap_or_default())))
    }
}
