//! Delivery: the messages of a webhook, one after the other.
//!
//! What was taken is noted at once, message by message, so that a host that is killed repeats at most the one that was under way. A
//! message that is not taken holds up all behind it, until it is taken or the webhook is disabled. While it is disabled its messages
//! wait, as many as [`MOST_WAITING`] and as long as [`LONGEST_WAIT`]; older ones are given up, and the log of deliveries says so.

use super::message::{Message, millis};
use super::ready::{ENDPOINT, Webhook};
use super::standard;
use super::state::{Delivery, Disabled, Memory, State, Why};
use super::{lane_of, schedule, whose};
use crate::config::documents::WEBHOOK;
use crate::engine::Engine;
use crate::failures::FailureRecord;
use crate::ids::{TenantId, WebhookId};
use crate::registry::Slot;
use crate::turn::now_millis;
use crate::work::{after, done};
use bytes::Bytes;
use confab_egress::CallMeta;
use confab_sandbox::Blame;
use confab_store::{Again, HeldLane, Settled, StoreError};
use rand::Rng as _;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Messages that wait for a webhook at most.
const MOST_WAITING: u64 = 100_000;
/// How long a message waits for a webhook that is disabled.
const LONGEST_WAIT: Duration = Duration::from_secs(7 * 24 * 3600);
/// How often a disabled webhook's lane is looked at, to give up what is too old or too much.
const IDLE: Duration = Duration::from_secs(15 * 60);
/// A lane is given back after this, so that a host that stops need not wait for it longer than for one request.
const HOLDING: Duration = Duration::from_secs(5);
/// A lane that was read with fewer entries has no more of them.
const FEW: usize = 32;
/// Characters of an error in the log of deliveries.
const ERROR_CHARS: usize = 300;

/// What a lane's note says: tries of its oldest message.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Note {
    pub(super) entry: u64,
    pub(super) tries: u32,
    pub(super) era: u64,
}

/// How a request went.
pub(super) struct Attempt {
    pub(super) status: Option<u16>,
    pub(super) error: Option<String>,
    pub(super) ms: u64,
    pub(super) body: Bytes,
    retry_after: Option<Duration>,
}

impl Attempt {
    pub(super) fn is_taken(&self) -> bool {
        self.status.is_some_and(|status| (200..300).contains(&status))
    }

    pub(super) fn delivery(&self, message: &Message, attempt: u32, at: u64) -> Delivery {
        Delivery {
            message_id: message.id.clone(),
            kind: message.kind.clone(),
            attempt,
            at,
            status: self.status,
            error: self.error.clone().filter(|_| !self.is_taken()),
            ms: self.ms,
            next_at: None,
        }
    }

    fn why(&self) -> String {
        match (&self.error, self.status) {
            (Some(error), _) => error.clone(),
            (None, Some(status)) => format!("the receiver answered {status}"),
            (None, None) => "the receiver gave no answer".to_owned(),
        }
    }
}

impl Webhook {
    /// Sends a message once, signed for now.
    pub(super) async fn send(&self, message: &Message) -> Attempt {
        let (began, now) = (Instant::now(), now_millis());
        let (body, timestamp) = (message.body(), now / 1_000);
        let headers = [
            ("content-type", "application/json".to_owned()),
            ("user-agent", concat!("Confab/", env!("CARGO_PKG_VERSION")).to_owned()),
            (standard::ID, message.id.clone()),
            (standard::TIMESTAMP, timestamp.to_string()),
            (standard::SIGNATURE, standard::sign(&self.keys, &message.id, timestamp, &body)),
        ];
        let headers = headers.map(|(name, value)| (name.to_owned(), value)).to_vec();
        // When it is sent has been decided, from the same answers that egress has seen.
        self.egress.reset(ENDPOINT).await;
        let meta = CallMeta { request_id: message.id.clone(), operation: "webhook".to_owned(), reads: false };
        let answer = self.egress.send(ENDPOINT, self.request(headers, body), meta).await;
        let ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        match answer {
            Ok(answer) => {
                let asked = answer.headers.iter().find(|(name, _)| name == "retry-after");
                let retry_after = asked.and_then(|(_, text)| schedule::retry_after(text, now_millis()));
                Attempt { status: Some(answer.status), error: None, ms, body: answer.body, retry_after }
            }
            Err(e) => {
                let retry_after = e.retry_after.map(|seconds| Duration::from_secs(seconds.into()));
                // An answer that was too large or broke off was one.
                let status = e.sent.as_ref().and_then(|sent| sent.status);
                let error = Some(e.message.chars().take(ERROR_CHARS).collect());
                Attempt { status, error, ms, body: Bytes::new(), retry_after }
            }
        }
    }
}

/// A webhook as the worker finds it.
enum Found {
    Ready(Arc<Webhook>),
    /// Its secret is missing, or this host does not know it yet.
    NotNow,
    Gone,
}

impl Engine {
    pub(crate) async fn deliver(&self, held: &HeldLane) -> Settled {
        let Some((tenant, id)) = whose(&held.lane) else {
            tracing::error!(lane = held.lane, "a lane of no webhook; it is given up");
            return done(held);
        };
        match self.deliver_to(&tenant, &id, held).await {
            Ok(settled) => settled,
            Err(error) => {
                tracing::warn!(lane = held.lane, %error, "messages of a webhook can't be delivered now");
                // What was delivered is remembered, and not sent again.
                after(Duration::from_secs(5), held)
            }
        }
    }

    async fn find_webhook(&self, tenant: &TenantId, id: &WebhookId) -> Result<Found, StoreError> {
        match self.registry().webhook(tenant, id).map(|hook| hook.slot.clone()) {
            Some(Slot::Ready(webhook)) => return Ok(Found::Ready(webhook)),
            Some(Slot::Broken(_)) => return Ok(Found::NotNow),
            None => {}
        }
        let stored = self.inner.store.document(WEBHOOK, &format!("{tenant}/{id}")).await?;
        Ok(if stored.is_some() { Found::NotNow } else { Found::Gone })
    }

    async fn deliver_to(&self, tenant: &TenantId, id: &WebhookId, held: &HeldLane) -> Result<Settled, StoreError> {
        let store = &*self.inner.store;
        let memory = Memory::of(store, tenant, id);
        let webhook = match self.find_webhook(tenant, id).await? {
            Found::Ready(webhook) => webhook,
            Found::NotNow => return Ok(after(Duration::from_secs(60), held)),
            Found::Gone => {
                tracing::info!(%tenant, webhook = %id, "messages of a webhook that was removed are given up");
                memory.forget().await?;
                return Ok(done(held));
            }
        };
        let state = memory.state().await?;
        if let Some(settled) = self.give_up(&memory, &state, held).await? {
            return Ok(settled);
        }
        let last = memory.last().await?;
        let note = held.note.as_ref().and_then(|note| serde_json::from_slice::<Note>(note).ok());
        let note = note.filter(|note| note.era == state.era).unwrap_or_default();
        let began = Instant::now();
        let mut through = 0;
        for (number, body) in &held.entries {
            if *number <= last.entry {
                through = *number;
                continue;
            }
            if through > 0 && began.elapsed() > HOLDING {
                break;
            }
            let Ok(message) = serde_json::from_slice::<Message>(body) else {
                tracing::error!(lane = held.lane, number, "a message can't be read; it is given up");
                through = *number;
                continue;
            };
            let tries = if note.entry == *number { note.tries } else { 0 }.saturating_add(1);
            let at = now_millis();
            let attempt = webhook.send(&message).await;
            let mut delivery = attempt.delivery(&message, tries, at);
            if attempt.is_taken() {
                count(tenant, id, "delivered");
                memory.delivered(*number, message, &delivery).await?;
                through = *number;
                continue;
            }
            let pause = match attempt.status {
                Some(410) => None,
                status => schedule::pause(tries, status, attempt.retry_after, rand::rng().random_range(0.0..1.0)),
            };
            count(tenant, id, "failed");
            let Some(pause) = pause else {
                memory.note(&delivery).await?;
                let again = self.disable(&memory, tenant, id, &state, &message, &attempt, tries).await?;
                return Ok(Settled { through, again, note: None, pushes: Vec::new() });
            };
            let pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
            delivery.next_at = Some(now_millis().saturating_add(pause_ms));
            memory.note(&delivery).await?;
            tracing::warn!(%tenant, webhook = %id, message = message.id, tries, pause_s = pause.as_secs(), "a webhook did not take a message: {}", attempt.why());
            let note = Note { entry: *number, tries, era: state.era };
            let note = serde_json::to_vec(&note).ok().map(Bytes::from);
            return Ok(Settled { through, again: Again::In(pause), note, pushes: Vec::new() });
        }
        Ok(Settled { through, again: Again::Now, note: None, pushes: Vec::new() })
    }

    /// Removes what waits for too long, or is too much; and leaves the lane alone if its webhook is disabled.
    async fn give_up(
        &self,
        memory: &Memory<'_>,
        state: &State,
        held: &HeldLane,
    ) -> Result<Option<Settled>, StoreError> {
        if state.disabled.is_none() && held.entries.len() < FEW {
            return Ok(None);
        }
        let lanes = self.inner.store.lanes(&held.lane, 1).await?;
        let waiting = lanes.first().filter(|lane| lane.lane == held.lane).map_or(0, |lane| lane.length);
        let too_many = usize::try_from(waiting.saturating_sub(MOST_WAITING)).unwrap_or(usize::MAX);
        let oldest = now_millis().saturating_sub(u64::try_from(LONGEST_WAIT.as_millis()).unwrap_or(u64::MAX));
        let is_old = |body: &Bytes| {
            let message = serde_json::from_slice::<Message>(body).ok();
            message.is_none_or(|message| millis(&message.timestamp).is_none_or(|at| at < oldest))
        };
        let old = match &state.disabled {
            Some(_) => held.entries.iter().take_while(|(_, body)| is_old(body)).count(),
            None => 0,
        };
        let given_up = old.max(too_many.min(held.entries.len()));
        let Some((through, first)) = given_up.checked_sub(1).and_then(|last| held.entries.get(last)) else {
            return Ok(state.disabled.as_ref().map(|_| after(IDLE, held)));
        };
        metrics::counter!("confab_webhook_messages_given_up_total").increment(given_up as u64);
        tracing::error!(
            lane = held.lane,
            given_up,
            waiting,
            "messages of a webhook are given up: they waited for too long, or are too many"
        );
        let message = serde_json::from_slice::<Message>(first).ok();
        let error = format!("{given_up} messages were given up, this the last of them: too old, or too many waited");
        let delivery = Delivery {
            message_id: message.as_ref().map(|message| message.id.clone()).unwrap_or_default(),
            kind: message.map(|message| message.kind).unwrap_or_default(),
            attempt: 0,
            at: now_millis(),
            status: None,
            error: Some(error),
            ms: 0,
            next_at: None,
        };
        memory.note(&delivery).await?;
        Ok(Some(Settled { through: *through, again: Again::Now, note: held.note.clone(), pushes: Vec::new() }))
    }

    #[expect(clippy::too_many_arguments, reason = "all that the record of it tells")]
    async fn disable(
        &self,
        memory: &Memory<'_>,
        tenant: &TenantId,
        id: &WebhookId,
        state: &State,
        message: &Message,
        attempt: &Attempt,
        tries: u32,
    ) -> Result<Again, StoreError> {
        if memory.state().await?.era != state.era {
            // Somebody enabled it meanwhile: it has all its tries before it.
            return Ok(Again::Now);
        }
        let (why, reason) = match attempt.status {
            Some(410) => (Why::Gone, "the receiver answered 410: it wants no messages any more".to_owned()),
            _ => (Why::Failing, format!("a message was not taken in {tries} tries; at last: {}", attempt.why())),
        };
        tracing::error!(%tenant, webhook = %id, message = message.id, "a webhook is disabled: {reason}");
        metrics::counter!("confab_webhooks_disabled_total", "tenant" => tenant.to_string(), "webhook" => id.to_string())
            .increment(1);
        let record = FailureRecord {
            id: String::new(),
            at: now_millis(),
            tenant: tenant.to_string(),
            bot: None,
            connection: Some(format!("webhook/{id}")),
            plugin: "webhook".to_owned(),
            version: String::new(),
            digest: String::new(),
            function: message.kind.clone(),
            kind: "webhook-disabled".to_owned(),
            blame: Blame::Upstream,
            message: format!("webhook `{id}` is disabled: {reason}"),
            fuel: 0,
            cpu_us: 0,
            peak_memory: 0,
            wall_us: 0,
            host_calls: 0,
            backtrace: Vec::new(),
            last_lines: Vec::new(),
            conversation: message.data.get("conversation_id").and_then(|id| id.as_str()).map(str::to_owned),
            turn: message.data.get("turn_id").and_then(|id| id.as_str()).map(str::to_owned),
            request_id: message.id.clone(),
            endpoint: None,
            method: None,
            path: None,
            status: attempt.status,
            attempts: Some(tries),
            duration_ms: Some(attempt.ms),
            provider_request_id: None,
            count: 1,
            suppressed: 0,
        };
        self.inner.watch.failures.record(record);
        let disabled = Some(Disabled { at: now_millis(), why, reason });
        memory.set_state(&State { era: state.era, disabled }).await?;
        Ok(Again::In(IDLE))
    }

    /// A webhook that was removed: nothing of it stays.
    pub(crate) async fn forget_webhook(&self, tenant: &TenantId, id: &WebhookId) -> Result<(), StoreError> {
        let (store, lane) = (&*self.inner.store, lane_of(tenant, id));
        store.drop_lane(store.partition_of(&lane), &lane).await?;
        Memory::of(store, tenant, id).forget().await
    }
}

fn count(tenant: &TenantId, id: &WebhookId, outcome: &'static str) {
    metrics::counter!(
        "confab_webhook_deliveries_total",
        "tenant" => tenant.to_string(), "webhook" => id.to_string(), "outcome" => outcome
    )
    .increment(1);
}
