//! Where the store is, parsed at the edge.
//!
//! An address is a line of the operator's configuration and may hold a password, so nothing in this crate prints
//! the line itself: a refusal names the accepted forms, and `RedisLocation` prints host, port and database only.

use std::fmt;
use std::path::PathBuf;

use redis::IntoConnectionInfo;

use crate::error::StoreError;

/// The forms that are accepted, as every refusal tells them.
const ACCEPTED: &str = "accepted are embedded:PATH (a directory) and redis://[user:password@]host[:port][/db]";

/// A parsed store address.
#[derive(Debug, Clone)]
pub enum Address {
    /// A directory of this machine that holds `confab.redb`.
    Embedded(PathBuf),
    /// A Redis server.
    Redis(RedisLocation),
}

impl Address {
    /// Parses `embedded:PATH` or `redis://...`.
    ///
    /// # Errors
    /// [`StoreError::Misconfigured`] for anything else; the text tells what is accepted and never repeats the address.
    pub fn parse(text: &str) -> Result<Self, StoreError> {
        let text = text.trim();
        if let Some(path) = text.strip_prefix("embedded:") {
            if path.is_empty() {
                return Err(StoreError::misconfigured(format!("embedded: needs a directory; {ACCEPTED}")));
            }
            return Ok(Self::Embedded(PathBuf::from(path)));
        }
        if text.starts_with("rediss://") {
            return Err(StoreError::misconfigured(format!(
                "rediss:// (Redis over TLS) is not supported by this build; reach Redis over a private network or a local TLS proxy; {ACCEPTED}"
            )));
        }
        if text.starts_with("redis://") {
            return RedisLocation::parse(text).map(Self::Redis);
        }
        let scheme: String = text.chars().take_while(|c| *c != ':').take(20).collect();
        let begins = if text.contains(':') { format!("begins with {scheme:?}") } else { "has no scheme".to_owned() };
        Err(StoreError::misconfigured(format!("the store's address {begins}; {ACCEPTED}")))
    }
}

/// Where a Redis server is and how to sign in. `Display` and `Debug` show host, port and database only.
#[derive(Clone)]
pub struct RedisLocation {
    pub(crate) info: redis::ConnectionInfo,
}

impl RedisLocation {
    fn parse(url: &str) -> Result<Self, StoreError> {
        // The parser's own message is dropped: it may quote the address.
        let info = url.into_connection_info().map_err(|_| {
            StoreError::misconfigured(format!(
                "the store's address begins with redis:// but is not a valid Redis URL; {ACCEPTED}"
            ))
        })?;
        Ok(Self { info })
    }

    /// The password, for the one place that removes it from texts.
    pub(crate) fn password(&self) -> Option<&str> {
        self.info.redis_settings().password().filter(|password| !password.is_empty())
    }
}

impl fmt::Display for RedisLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "redis at {}, database {}", self.info.addr(), self.info.redis_settings().db())
    }
}

impl fmt::Debug for RedisLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RedisLocation({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_tell_what_is_accepted_and_never_repeat_a_password() {
        for wrong in [
            "",
            "postgres://u:hunter2@h/db",
            "rediss://u:hunter2@h",
            "redis://u:hunter2@h:notaport",
            "embedded:",
            "/var/lib",
        ] {
            let error = Address::parse(wrong).unwrap_err().to_string();
            assert!(error.contains("embedded:PATH"), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn a_location_prints_without_its_password() {
        let Address::Redis(location) = Address::parse("redis://bob:hunter2@example.org:7000/3").unwrap() else {
            panic!("not redis");
        };
        assert_eq!(location.to_string(), "redis at example.org:7000, database 3");
        assert!(!format!("{location:?}").contains("hunter2"));
        assert_eq!(location.password(), Some("hunter2"));
    }
}
