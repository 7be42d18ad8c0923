//! What a turn leaves behind, for intent plugins: reminders, subjects to hear of, word to the tenant's own systems.
//!
//! It takes effect when the turn is committed, with its replies, and not at all if the turn fails.
//!
//! ```
//! use confab_plugin_sdk::effects::{self, Effect, Reminder};
//! use confab_plugin_sdk::testing::Host;
//! use serde_json::json;
//! use std::time::Duration;
//!
//! let host = Host::new();
//! host.run(|| {
//!     let day = Duration::from_secs(86_400);
//!     effects::watch("order:WEB-42", 30 * day)?;
//!     effects::schedule(Reminder::new("cart", "cart.reminder", 2 * day).data(&json!({"items": 3})))?;
//!     effects::emit("quote.requested", &json!({"sku": "SKU-1001"}))
//! })
//! .unwrap();
//! assert_eq!(host.effects()[0], Effect::Watch { subject: "order:WEB-42".into(), for_seconds: 2_592_000 });
//! ```

use crate::bindings::imports::confab::plugin::effects as wit;
use crate::types::Failure;
use serde::Serialize;
use std::time::Duration;

#[cfg(target_arch = "wasm32")]
use crate::bindings::imports::confab::plugin::effects as door;
#[cfg(not(target_arch = "wasm32"))]
use crate::testing::door::effects as door;

#[cfg(not(target_arch = "wasm32"))]
pub use crate::testing::Effect;
pub use wit::EffectError;

/// Something for the conversation to come back to.
#[derive(Debug)]
pub struct Reminder {
    key: String,
    event: String,
    after: Duration,
    data: Option<Result<String, EffectError>>,
}

impl Reminder {
    /// After this time (1 second to 90 days) the conversation gets the event, as a turn of kind `event`. A second reminder
    /// with the same key replaces the first.
    pub fn new(key: impl Into<String>, event: impl Into<String>, after: Duration) -> Self {
        Reminder { key: key.into(), event: event.into(), after, data: None }
    }

    /// With data: at most 16 KiB of JSON.
    #[must_use]
    pub fn data<T: Serialize + ?Sized>(mut self, data: &T) -> Self {
        self.data = Some(json(data));
        self
    }
}

/// Have an event come back to this conversation later; 16 a call.
///
/// # Errors
/// `invalid-input`, `too-large`, `limit`, `unsupported`: see `wit/v1/plugin/intent.wit`.
pub fn schedule(reminder: Reminder) -> Result<(), EffectError> {
    let Reminder { key, event, after, data } = reminder;
    let data = data.transpose()?;
    door::schedule(&wit::Reminder { key, event, after_seconds: seconds(after), data })
}

/// Take a reminder back. One that isn't there is no error.
///
/// # Errors
/// As [`schedule`].
pub fn cancel(key: &str) -> Result<(), EffectError> {
    door::cancel(key)
}

/// Hear of events about a subject (`order:WEB-42`) for so long, at most 90 days; 32 a call. Each becomes a turn of kind `event`.
///
/// # Errors
/// As [`schedule`].
pub fn watch(subject: &str, keep: Duration) -> Result<(), EffectError> {
    door::watch(subject, seconds(keep))
}

/// Hear no more of it.
///
/// # Errors
/// As [`schedule`].
pub fn unwatch(subject: &str) -> Result<(), EffectError> {
    door::unwatch(subject)
}

/// Tell the tenant's own systems, by the webhooks that they have asked for; 16 a call. `event` has letters, digits, `_` and `.`;
/// `data` must be an object as JSON, at most 16 KiB.
///
/// # Errors
/// As [`schedule`].
pub fn emit<T: Serialize + ?Sized>(event: &str, data: &T) -> Result<(), EffectError> {
    door::emit(event, &json(data)?)
}

/// Whole seconds, rather later than earlier. What is too long is refused by the host.
fn seconds(time: Duration) -> u32 {
    let whole = time.as_secs().saturating_add(u64::from(time.subsec_nanos() > 0));
    u32::try_from(whole).unwrap_or(u32::MAX)
}

fn json<T: Serialize + ?Sized>(data: &T) -> Result<String, EffectError> {
    serde_json::to_string(data)
        .map_err(|e| EffectError { code: "invalid-input".into(), message: format!("not representable as JSON: {e}") })
}

impl From<EffectError> for Failure {
    fn from(e: EffectError) -> Self {
        Failure { code: e.code, message: e.message }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Host;
    use serde_json::json;

    #[test]
    fn what_is_left_behind_is_seen_by_a_test_and_held_to_the_hosts_rules() {
        let host = Host::new();
        let code = |left: Result<(), EffectError>| left.err().map(|e| e.code);
        let hour = Duration::from_secs(3_600);
        let remind = |key: &str, after: Duration| host.run(|| schedule(Reminder::new(key, "again", after)));
        assert_eq!(code(remind("a", Duration::from_millis(1_500))), None);
        assert_eq!(code(remind("a", Duration::ZERO)).as_deref(), Some("invalid-input"));
        assert_eq!(code(remind("a", hour * 24 * 91)).as_deref(), Some("invalid-input"));
        assert_eq!(code(remind(&"a".repeat(201), hour)).as_deref(), Some("invalid-input"));
        assert_eq!(code(remind("a\nb", hour)).as_deref(), Some("invalid-input"));
        assert_eq!(code(host.run(|| emit("a b", &json!({})))).as_deref(), Some("invalid-input"));
        assert_eq!(code(host.run(|| emit("a", &json!([])))).as_deref(), Some("invalid-input"));
        let large = json!({"a": "a".repeat(16 << 10)});
        assert_eq!(code(host.run(|| emit("a", &large))).as_deref(), Some("too-large"));
        let many = host.run(|| (0..40).map(|n| code(watch(&format!("order:{n}"), hour))).collect::<Vec<_>>());
        assert_eq!((many.iter().filter(|c| c.is_none()).count(), many[32].as_deref()), (32, Some("limit")));
        let left = host.effects();
        let first = Effect::Schedule { key: "a".into(), event: "again".into(), after_seconds: 2, data: None };
        assert_eq!((left.len(), &left[0]), (33, &first));
    }
}
