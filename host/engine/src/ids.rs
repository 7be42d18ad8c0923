//! Names that can't be wrong: parsed once at the edge.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A name that isn't one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{given}` can't be {what}: use 1 to {max} of a-z, 0-9 and single dashes, starting with a letter")]
pub struct NameError {
    given: String,
    what: &'static str,
    max: usize,
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Longest name, in bytes. They become parts of keys, metrics and URLs.
            pub const MAX: usize = 63;
            /// As text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                let good = confab_sandbox::manifest::is_name(text) && !text.contains("--") && !text.ends_with('-');
                if good {
                    return Ok($name(text.to_owned()));
                }
                let given = text.chars().take(80).collect::<String>().escape_debug().to_string();
                Err(NameError { given, what: $what, max: Self::MAX })
            }
        }
        impl TryFrom<String> for $name {
            type Error = NameError;
            fn try_from(text: String) -> Result<Self, NameError> {
                text.parse()
            }
        }
        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name!(/// A business that has bots.
    TenantId, "a tenant's id");
name!(/// A bot of a tenant.
    BotId, "a bot's id");
name!(/// A tenant's configured instance of a connector.
    ConnectionId, "a connection's id");
name!(/// A webhook: a place of a tenant's that is told what happens.
    WebhookId, "a webhook's id");

/// A conversation. Made by the host, never by a client: version 7 UUID, hard to guess and in order of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ConversationId(uuid::Uuid);

impl ConversationId {
    /// A new one.
    pub fn new() -> Self {
        ConversationId(uuid::Uuid::now_v7())
    }

    /// The one that belongs to a digest (version 8 UUID). It is as hard to guess as what the digest was made of.
    pub(crate) fn derived(digest: [u8; 32]) -> Self {
        let mut bytes = [0; 16];
        bytes.iter_mut().zip(digest).for_each(|(byte, from)| *byte = from);
        ConversationId(uuid::Builder::from_custom_bytes(bytes).into_uuid())
    }
}

impl Default for ConversationId {
    fn default() -> Self {
        Self::new()
    }
}

impl FromStr for ConversationId {
    type Err = uuid::Error;
    fn from_str(text: &str) -> Result<Self, uuid::Error> {
        uuid::Uuid::try_parse(text).map(ConversationId)
    }
}

impl fmt::Display for ConversationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_would_confuse_are_refused() {
        for good in ["a", "shop", "shop-eu", "s3"] {
            assert!(good.parse::<TenantId>().is_ok(), "{good}");
        }
        // A double dash would make the environment prefix of one tenant a prefix of another's.
        for bad in ["", "Shop", "3s", "-a", "a-", "a--b", "a_b", "a/b", "a b", "ä", &"a".repeat(64)] {
            assert!(bad.parse::<TenantId>().is_err(), "{bad}");
        }
    }
}
