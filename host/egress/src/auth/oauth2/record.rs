//! What is known of an endpoint's tokens, in memory and in the store.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};

use super::request::Granted;
use crate::limits::{TOKEN_SKEW, TOKEN_SKEW_SHARE};

/// Tokens, and how they stand. It has no `Debug`: everything in it is secret.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TokenRecord {
    /// What they were got with, as a digest: tokens of another client or another server are not used.
    pub(super) made_with: String,
    /// Tells two access tokens apart.
    pub(super) number: u64,
    pub(super) access_token: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) refresh_token: Option<String>,
    /// Milliseconds since 1970, as all times here.
    pub(super) obtained_at: u64,
    /// None: not known; it holds until it is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) expires_at: Option<u64>,
    /// A renewal was begun then, and nobody has saved how it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) renewal_begun_at: Option<u64>,
    /// Why a person has to connect again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) reconnect_because: Option<String>,
}

impl TokenRecord {
    /// What the server gave. `before` has the refresh token that stays in use where it gave no new one.
    pub(super) fn new(made_with: &str, granted: Granted, before: Option<&Self>) -> Self {
        let obtained_at = now();
        let expires_at = granted.expires_in.map(|time| obtained_at.saturating_add(millis(time)));
        Self {
            made_with: made_with.to_owned(),
            number: random(),
            access_token: granted.access_token,
            refresh_token: granted.refresh_token.or_else(|| before.and_then(|before| before.refresh_token.clone())),
            obtained_at,
            expires_at,
            renewal_begun_at: None,
            reconnect_because: None,
        }
    }

    /// From when on a new one is fetched although this one still holds. Each host has a `spread` of its own, in
    /// thousandths, so that they do not ask at the same moment.
    pub(super) fn due_at(&self, spread: u64) -> Option<u64> {
        let expires_at = self.expires_at?;
        let life = expires_at.saturating_sub(self.obtained_at);
        let skew = (life / TOKEN_SKEW_SHARE).min(millis(TOKEN_SKEW));
        let early = skew / 2 + (skew / 2).saturating_mul(spread.min(1_000)) / 1_000;
        Some(expires_at.saturating_sub(early))
    }

    pub(super) fn is_expired(&self) -> bool {
        self.expires_at.is_some_and(|at| at <= now())
    }

    /// Texts that must not come back.
    pub(super) fn secrets(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.access_token.as_str()).chain(self.refresh_token.as_deref())
    }

    pub(super) fn to_bytes(&self) -> Bytes {
        // It has strings and numbers only, which always are JSON.
        serde_json::to_vec(self).unwrap_or_default().into()
    }

    /// `None` when it is none that this version reads.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }
}

/// Milliseconds since 1970.
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, millis)
}

pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// A number that nobody guesses. Where the system has none to give, a time: nothing here is safe by it alone.
pub(super) fn random() -> u64 {
    let mut bytes = [0; 8];
    match SystemRandom::new().fill(&mut bytes) {
        Ok(()) => u64::from_le_bytes(bytes),
        Err(_) => now(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn granted(expires_in: Option<u64>, refresh: Option<&str>) -> Granted {
        Granted {
            access_token: "access".into(),
            refresh_token: refresh.map(str::to_owned),
            expires_in: expires_in.map(Duration::from_secs),
        }
    }

    #[test]
    fn a_token_is_due_before_it_expires_and_a_short_one_is_used_for_most_of_its_life() {
        for (life, earliest) in [(3_600, 60), (100, 20), (5, 1)] {
            let record = TokenRecord::new("c", granted(Some(life), None), None);
            for (spread, share) in [(0, 500), (500, 750), (1_000, 1_000), (u64::MAX, 1_000)] {
                let early = record.expires_at.unwrap() - record.due_at(spread).unwrap();
                assert_eq!(early, earliest * share, "{life} {spread}");
            }
        }
        assert_eq!(TokenRecord::new("c", granted(None, None), None).due_at(0), None);
        let over = TokenRecord::new("c", granted(Some(0), None), None);
        assert!(over.is_expired() && over.due_at(0) == over.expires_at);
    }

    #[test]
    fn a_new_refresh_token_replaces_the_old_and_without_one_the_old_stays() {
        let first = TokenRecord::new("c", granted(None, Some("one")), None);
        let second = TokenRecord::new("c", granted(None, Some("two")), Some(&first));
        let third = TokenRecord::new("c", granted(None, None), Some(&second));
        assert_eq!(second.refresh_token.as_deref(), Some("two"));
        assert_eq!(third.refresh_token.as_deref(), Some("two"));
        assert!(first.number != second.number && second.number != third.number);
        assert!(TokenRecord::parse(&third.to_bytes()) == Some(third));
        assert!(TokenRecord::parse(b"{}").is_none());
    }
}
