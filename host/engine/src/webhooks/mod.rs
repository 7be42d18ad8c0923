//! Webhooks: what tenants' systems are told of turns, and how a webhook is signed and verified.
//!
//! A turn's messages are written with its commit, so that what happened is told, and what did not happen is not. From there they go
//!
//! | step | lane | entry | module |
//! |---|---|---|---|
//! | 1. the commit | `out` in the conversation's partition | all messages of a turn | [`happened`] |
//! | 2. fan-out | `webhook/TENANT/ID` for each webhook that wants it | one message | [`fan_out`] |
//! | 3. delivery | | | [`deliver`] |
//!
//! A lane is done in order, so a webhook gets the messages of a conversation in theirs; and it waits as a whole when the receiver fails
//! ([`schedule`]), so that one request at a time goes to one that is down. What is delivered once too often (a host was killed between
//! the answer and the note of it) has the same `webhook-id`: ids are made of the turn's id.
//!
//! [`state`] is what is remembered of a webhook beside its document, [`control`] what people do with one, [`ready`] checks it, [`standard`]
//! signs and verifies.

mod control;
mod deliver;
mod fan_out;
mod happened;
mod message;
mod ready;
mod schedule;
pub mod standard;
mod state;

pub use control::{Replay, WebhookError, WebhookState};
pub(crate) use happened::Happened;
pub(crate) use ready::check_bots;
pub use ready::{Hook, Webhook};
pub use state::{Delivery, Disabled, Why};

use crate::ids::{TenantId, WebhookId};

/// First part of the name of lanes in which turns leave what happened.
pub(crate) const OUT: &str = "out";
/// First part of the name of a webhook's lane.
pub(crate) const DELIVERIES: &str = "webhook";

/// The lane of a webhook.
fn lane_of(tenant: &TenantId, webhook: &WebhookId) -> String {
    format!("{DELIVERIES}/{tenant}/{webhook}")
}

/// Whose lane it is.
fn whose(lane: &str) -> Option<(TenantId, WebhookId)> {
    let mut parts = lane.split('/').skip(1);
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}
