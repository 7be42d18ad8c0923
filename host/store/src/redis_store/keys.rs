//! Names of keys.
//!
//! | key | type | what |
//! |---|---|---|
//! | `confab:{c/TENANT/BOT/ID}:meta` | hash | h head, n turns, f fence of the last commit |
//! | `...:log` | list | transcript |
//! | `...:lock` | hash | f newest fence, o its owner, u held until (ms) |
//! | `...:answers`, `...:answers-due` | hash, zset | stored answers; when each expires (ms) |
//! | `confab:{k/SPACE}:values`, `...:order` | hash, zset | plugin data; its keys in order |
//! | `confab:{config}:version`, `confab:{config}:KIND` | string, hash | configuration |
//! | `confab:{records}:names`, `...:last` | zset, string | names of the logs in order; number of the newest record |
//! | `confab:{records}:log/LOG` | stream | a bounded log; an entry's id is its number |
//! | `confab:{r/SPACE}:entry/KEY`, `...:lease/KEY` | string | a cached result; who fetches it |
//! | `confab:{r/SPACE}:generations` | hash | which cached results are worthless |
//! | `confab:{l/NAME}:leased` | hash | v value, f newest fence, o holder, u held until (ms) |
//! | `confab:count:WINDOW:KEY` | string | a counter; no tag, so that counters spread over a cluster |
//! | `confab:pace:SCHEDULE` | hash | tN when the N-th limit's bucket is empty, p/LANE until when it is paused (µs) |
//!
//! Braces, slashes and percent signs within names are percent-encoded: a `}` would end the hash tag early, a `/`
//! would let two conversations share their keys. Where the name comes last and the tag before it, neither can happen.

use crate::api::ConversationKey;

pub(super) const CONFIG_VERSION: &str = "confab:{config}:version";

pub(super) const LOG_NAMES: &str = "confab:{records}:names";
pub(super) const LAST_RECORD: &str = "confab:{records}:last";

/// Where a change of the configuration is announced. Channels know no database number; so whoever hears it reads the
/// version of its own database.
pub(super) const CONFIG_CHANNEL: &str = "confab:{config}:changed";

/// The keys of one conversation.
#[derive(Debug, Clone)]
pub(super) struct ConversationKeys(String);

impl ConversationKeys {
    pub(super) fn of(key: &ConversationKey) -> Self {
        let mut tag = String::with_capacity(key.tenant.len() + key.bot.len() + key.id.len() + 16);
        tag.push_str("confab:{c/");
        push_encoded(&mut tag, &key.tenant);
        tag.push('/');
        push_encoded(&mut tag, &key.bot);
        tag.push('/');
        push_encoded(&mut tag, &key.id);
        tag.push('}');
        Self(tag)
    }

    pub(super) fn meta(&self) -> String {
        format!("{}:meta", self.0)
    }

    pub(super) fn log(&self) -> String {
        format!("{}:log", self.0)
    }

    pub(super) fn lock(&self) -> String {
        format!("{}:lock", self.0)
    }

    pub(super) fn answers(&self) -> String {
        format!("{}:answers", self.0)
    }

    pub(super) fn answers_due(&self) -> String {
        format!("{}:answers-due", self.0)
    }
}

pub(super) fn space_values(space: &str) -> String {
    space_key(space, "values")
}

pub(super) fn space_order(space: &str) -> String {
    space_key(space, "order")
}

fn space_key(space: &str, part: &str) -> String {
    let mut key = String::with_capacity(space.len() + 24);
    key.push_str("confab:{k/");
    push_encoded(&mut key, space);
    key.push_str("}:");
    key.push_str(part);
    key
}

/// A leased value's hash.
pub(super) fn leased(name: &str) -> String {
    let mut key = String::with_capacity(name.len() + 24);
    key.push_str("confab:{l/");
    push_encoded(&mut key, name);
    key.push_str("}:leased");
    key
}

/// A kind's hash. The slash keeps a kind named "version" apart from the version.
pub(super) fn documents(kind: &str) -> String {
    format!("confab:{{config}}:kind/{kind}")
}

/// A log's stream. All logs share a tag, because they share their numbers and their list.
pub(super) fn log(log: &str) -> String {
    format!("confab:{{records}}:log/{log}")
}

pub(super) fn counter(key: &str, window: u64) -> String {
    format!("confab:count:{window}:{key}")
}

pub(super) fn schedule(name: &str) -> String {
    format!("confab:pace:{name}")
}

/// A cached result.
pub(super) fn cache_entry(space: &str, key: &str) -> String {
    cache_key(space, &format!("entry/{key}"))
}

/// Who fetches it.
pub(super) fn cache_lease(space: &str, key: &str) -> String {
    cache_key(space, &format!("lease/{key}"))
}

/// The generations of a space of cached results.
pub(super) fn cache_generations(space: &str) -> String {
    cache_key(space, "generations")
}

fn cache_key(space: &str, part: &str) -> String {
    let mut key = String::with_capacity(space.len() + part.len() + 16);
    key.push_str("confab:{r/");
    push_encoded(&mut key, space);
    key.push_str("}:");
    key.push_str(part);
    key
}

fn push_encoded(out: &mut String, text: &str) {
    for character in text.chars() {
        match character {
            '%' => out.push_str("%25"),
            '/' => out.push_str("%2F"),
            '{' => out.push_str("%7B"),
            '}' => out.push_str("%7D"),
            other => out.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_keys_of_a_conversation_share_one_tag_whatever_its_name() {
        let keys = ConversationKeys::of(&ConversationKey::new("a}b", "{", "x/y%"));
        assert_eq!(keys.meta(), "confab:{c/a%7Db/%7B/x%2Fy%25}:meta");
        let other = ConversationKeys::of(&ConversationKey::new("a}b", "{/x", "y%"));
        assert_ne!(keys.log(), other.log());
    }
}
