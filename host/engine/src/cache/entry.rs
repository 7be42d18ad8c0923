//! A result that is kept.
//!
//! ```text
//! fetched ........ fresh_until ........ revalidate_until ............ error_until
//!         served            served, and fetched        served only when the
//!                           again behind               system does not answer
//! ```
//!
//! Only results and `not-found` are kept. Any other error is an entry for a moment, so that those who waited for it get it
//! too, and never comes onto the shelf.

use super::generations::Stamp;
use super::policy::Policy;
use confab_sandbox::CapabilityError;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a call gives.
pub(super) type Answer = Result<Value, CapabilityError>;

/// Largest entry, in bytes: catalogues of thousands of articles are searched, not kept.
pub(super) const ENTRY_BYTES: usize = 256 << 10;
/// What an entry costs beside its value: key, place in the order, this.
const OVERHEAD: usize = 256;
/// What each part of a value costs beside its text.
const PART: usize = 48;

/// See the module. Times in milliseconds since 1970.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) answer: Answer,
    /// When it was asked for: what it says is at least as new.
    pub(super) as_of: u64,
    pub(super) fresh_until: u64,
    pub(super) revalidate_until: u64,
    pub(super) error_until: u64,
    pub(super) stamp: Stamp,
    pub(super) bytes: usize,
    /// It is not fetched again behind before this.
    retry_at: AtomicU64,
}

impl Entry {
    pub(super) fn new(answer: Answer, as_of: u64, policy: &Policy, stamp: Stamp) -> Entry {
        let policy = if answer.is_ok() { policy } else { &policy.negative() };
        let fresh_until = as_of.saturating_add(policy.ttl);
        Entry {
            bytes: OVERHEAD + answer.as_ref().map_or(PART, weight),
            answer,
            as_of,
            fresh_until,
            revalidate_until: fresh_until.saturating_add(policy.revalidate),
            error_until: fresh_until.saturating_add(policy.on_error),
            stamp,
            retry_at: AtomicU64::new(0),
        }
    }

    /// Whether it may be kept.
    pub(super) fn keeps(&self) -> bool {
        let kind = match &self.answer {
            Ok(_) => true,
            Err(error) => error.code == "not-found",
        };
        kind && self.bytes <= ENTRY_BYTES
    }

    /// When it is good for nothing any more.
    pub(super) fn ends(&self) -> u64 {
        self.fresh_until.max(self.revalidate_until).max(self.error_until)
    }

    /// Whether it may be fetched again behind now. The first who asks may; others only after `pause`.
    pub(super) fn may_refresh(&self, now: u64, pause: u64) -> bool {
        let at = self.retry_at.load(Ordering::Relaxed);
        now >= at
            && self
                .retry_at
                .compare_exchange(at, now.saturating_add(pause), Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }

    /// For the cache that hosts share.
    pub(super) fn encode(&self) -> Option<Vec<u8>> {
        let (ok, none) = match &self.answer {
            Ok(value) => (Some(value), None),
            Err(error) => (None, Some(error.message.as_str())),
        };
        serde_json::to_vec(&Written { v: FORMAT, as_of: self.as_of, stamp: &self.stamp, ok, none }).ok()
    }

    /// Reads what another host wrote; nothing where it is of another version of this program, which wrote it otherwise.
    pub(super) fn decode(bytes: &[u8], policy: &Policy) -> Option<Entry> {
        let read: Read = serde_json::from_slice(bytes).ok().filter(|read: &Read| read.v == FORMAT)?;
        let answer = match (read.ok, read.none) {
            (_, Some(message)) => Err(CapabilityError::new("not-found", message)),
            (value, None) => Ok(value.unwrap_or_default()),
        };
        Some(Entry::new(answer, read.as_of, policy, read.stamp))
    }

    /// The same, fresh until another moment: hosts' clocks differ, the store's is the same for all.
    pub(super) fn fresh_for(mut self, now: u64, left: u64) -> Entry {
        let moved = |at: u64| at.saturating_sub(self.fresh_until).saturating_add(now).saturating_add(left);
        (self.revalidate_until, self.error_until) = (moved(self.revalidate_until), moved(self.error_until));
        self.fresh_until = now.saturating_add(left);
        self
    }
}

/// Version of what is written.
const FORMAT: u32 = 1;

#[derive(Serialize)]
struct Written<'a> {
    v: u32,
    as_of: u64,
    stamp: &'a Stamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    ok: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    none: Option<&'a str>,
}

#[derive(Deserialize)]
struct Read {
    v: u32,
    as_of: u64,
    stamp: Stamp,
    ok: Option<Value>,
    none: Option<String>,
}

/// Bytes that a value takes, nearly.
fn weight(value: &Value) -> usize {
    PART + match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(weight).sum(),
        Value::Object(fields) => fields.iter().map(|(name, field)| PART + name.len() + weight(field)).sum(),
    }
}
