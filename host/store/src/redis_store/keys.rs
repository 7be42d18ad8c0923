//! Names of keys.
//!
//! | key | type | what |
//! |---|---|---|
//! | `confab:{pNN-x}:c/TENANT/BOT/ID:meta` | hash | h head, n turns, f fence of the last commit, k its number under that fence |
//! | `...:log` | list | transcript |
//! | `...:lock` | hash | f newest fence, o its owner, u held until (ms), a its answer key, rN note N of the journal was made |
//! | `...:queue`, `...:hosts` | zset, hash | tickets of who waits for the lock, by arrival (µs); until when each host's are good (ms) |
//! | `...:journal` | list | a turn that runs, or was not finished, and its entries |
//! | `...:records` | hash | what is kept of each turn, by its number |
//! | `...:answers`, `...:answers-due` | hash, zset | stored answers; when each expires (ms) |
//! | `confab:{pNN-x}:lanes`, `:due`, `:ready`, `:number`, `:l/LANE:...`, `:once/NAME` | | lanes: see `scripts/pushes.lua` |
//! | `confab:{pNN-x}:done/REQUEST` | string | a script's answer, for a minute, in case it is sent twice |
//! | `confab:link:INDEX/KEY` | zset | links; when each expires (µs) |
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
//!
//! `pNN-x` is the tag of a partition (`partitions.rs`). Builds before there were partitions had a tag for each conversation;
//! their conversations are not read.

use super::partitions::{Prefixes, partition_of};
use crate::api::ConversationKey;
use crate::lanes::Partition;

pub(super) const CONFIG_VERSION: &str = "confab:{config}:version";

pub(super) const LOG_NAMES: &str = "confab:{records}:names";
pub(super) const LAST_RECORD: &str = "confab:{records}:last";

/// Where a change of the configuration is announced. Channels know no database number; so whoever hears it reads the
/// version of its own database.
pub(super) const CONFIG_CHANNEL: &str = "confab:{config}:changed";

/// Where pushes of any host are announced: the message is the partition's number.
pub(super) const LANES_CHANNEL: &str = "confab:lanes";

/// Where it is announced that a turn lock was freed for which others wait: the message is [`ConversationKeys::name`].
pub(super) const TURNS_CHANNEL: &str = "confab:turns";

/// The keys of one conversation.
#[derive(Debug, Clone)]
pub(super) struct ConversationKeys {
    name: String,
    pub(super) partition: Partition,
}

impl ConversationKeys {
    pub(super) fn of(key: &ConversationKey, prefixes: &Prefixes) -> Self {
        let partition = partition_of(&key.to_string());
        let mut name = String::with_capacity(key.tenant.len() + key.bot.len() + key.id.len() + 24);
        name.push_str(prefixes.of(partition));
        name.push_str("c/");
        push_encoded(&mut name, &key.tenant);
        name.push('/');
        push_encoded(&mut name, &key.bot);
        name.push('/');
        push_encoded(&mut name, &key.id);
        Self { name, partition }
    }

    /// What all of its keys begin with.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    fn key(&self, part: &str) -> String {
        format!("{}:{part}", self.name)
    }

    pub(super) fn meta(&self) -> String {
        self.key("meta")
    }

    pub(super) fn log(&self) -> String {
        self.key("log")
    }

    pub(super) fn lock(&self) -> String {
        self.key("lock")
    }

    pub(super) fn answers(&self) -> String {
        self.key("answers")
    }

    pub(super) fn answers_due(&self) -> String {
        self.key("answers-due")
    }

    pub(super) fn journal(&self) -> String {
        self.key("journal")
    }

    pub(super) fn records(&self) -> String {
        self.key("records")
    }

    pub(super) fn queue(&self) -> String {
        self.key("queue")
    }

    pub(super) fn hosts(&self) -> String {
        self.key("hosts")
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

/// A set of links.
pub(super) fn links(index: &str, key: &str) -> String {
    let mut name = String::with_capacity(index.len() + key.len() + 16);
    name.push_str("confab:link:");
    push_encoded(&mut name, index);
    name.push('/');
    push_encoded(&mut name, key);
    name
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
        let prefixes = Prefixes::default();
        let keys = ConversationKeys::of(&ConversationKey::new("a}b", "{", "x/y%"), &prefixes);
        let prefix = prefixes.of(keys.partition);
        assert_eq!(keys.meta(), format!("{prefix}c/a%7Db/%7B/x%2Fy%25:meta"));
        let other = ConversationKeys::of(&ConversationKey::new("a}b", "{/x", "y%"), &prefixes);
        assert_ne!(keys.log(), other.log());
        assert_eq!(
            partition_of("a/b/c"),
            ConversationKeys::of(&ConversationKey::new("a", "b", "c"), &prefixes).partition
        );
    }
}
