//! Tables, and how keys and records become bytes.
//!
//! Keys are made so that a prefix of a key never matches somebody else's rows: each text but the last is preceded by
//! its length. Within one conversation (or space, or kind) the rows keep the order of what follows.
//!
//! | table | key | value |
//! |---|---|---|
//! | conversations | conversation | expires at, turns, entries, head |
//! | transcript | conversation, number (8 bytes, big endian) | entry |
//! | answers | conversation, answer key | expires at, body |
//! | turn_records | conversation, number of the turn (8 bytes, big endian) | what was kept of it |
//! | journals | conversation | expires at, the turn |
//! | journal_entries | conversation, number (8 bytes, big endian) | entry |
//! | lanes | lane | see [`LaneRow`] |
//! | lane_entries | lane, number (8 bytes, big endian) | entry |
//! | lanes_due | due at (8 bytes, big endian), lane | number of the lane's first entry ever |
//! | once_names | name | expires at |
//! | lane_sources | lane, source | last number |
//! | links | index, key, member | expires at |
//! | links_by_expiry | index, key, expires at (8 bytes, big endian), member | nothing |
//! | expiry | expires at (8 bytes, big endian), what (1 byte), key in its table | nothing |
//! | documents | kind, id | body, unless it is large |
//! | large_documents | kind, id | length of the body (8 bytes, big endian) |
//! | document_parts | kind, id, number of the part (4 bytes, big endian) | that part of a large body |
//! | kv | space, key | value |
//! | leased | name | value |
//! | logs | name | number of records |
//! | records | log, number (8 bytes, big endian) | record |
//! | meta | name | number |

use redb::TableDefinition;

use crate::api::ConversationKey;

pub(super) type Rows = TableDefinition<'static, &'static [u8], &'static [u8]>;

/// A table of numbers.
pub(super) type Numbers = TableDefinition<'static, &'static [u8], u64>;

pub(super) const CONVERSATIONS: Rows = TableDefinition::new("conversations");
pub(super) const TRANSCRIPT: Rows = TableDefinition::new("transcript");
pub(super) const ANSWERS: Rows = TableDefinition::new("answers");
pub(super) const TURN_RECORDS: Rows = TableDefinition::new("turn_records");
pub(super) const JOURNALS: Rows = TableDefinition::new("journals");
pub(super) const JOURNAL_ENTRIES: Rows = TableDefinition::new("journal_entries");
pub(super) const LANES: Rows = TableDefinition::new("lanes");
pub(super) const LANE_ENTRIES: Rows = TableDefinition::new("lane_entries");
pub(super) const LANES_DUE: Numbers = TableDefinition::new("lanes_due");
pub(super) const ONCE_NAMES: Numbers = TableDefinition::new("once_names");
pub(super) const LANE_SOURCES: Numbers = TableDefinition::new("lane_sources");
pub(super) const LINKS: Numbers = TableDefinition::new("links");
pub(super) const LINKS_BY_EXPIRY: Rows = TableDefinition::new("links_by_expiry");
pub(super) const EXPIRY: Rows = TableDefinition::new("expiry");
pub(super) const DOCUMENTS: Rows = TableDefinition::new("documents");
pub(super) const LARGE_DOCUMENTS: Rows = TableDefinition::new("large_documents");
pub(super) const DOCUMENT_PARTS: Rows = TableDefinition::new("document_parts");
pub(super) const KV: Rows = TableDefinition::new("kv");
pub(super) const LEASED: Rows = TableDefinition::new("leased");
pub(super) const LOGS: TableDefinition<'static, &'static str, u64> = TableDefinition::new("logs");
pub(super) const RECORDS: Rows = TableDefinition::new("records");
pub(super) const META: TableDefinition<'static, &'static str, u64> = TableDefinition::new("meta");

/// A length below this takes one byte; this byte says that four more bytes hold the length.
const LONG: u8 = u8::MAX;

/// Appends a text with its length in front, so that no other text's encoding begins with this one's.
fn push_text(key: &mut Vec<u8>, text: &str) {
    match u8::try_from(text.len()) {
        Ok(length) if length < LONG => key.push(length),
        _ => {
            key.push(LONG);
            key.extend_from_slice(&u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes());
        }
    }
    key.extend_from_slice(text.as_bytes());
}

pub(super) fn conversation(key: &ConversationKey) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(key.tenant.len() + key.bot.len() + key.id.len() + 3);
    push_text(&mut bytes, &key.tenant);
    push_text(&mut bytes, &key.bot);
    push_text(&mut bytes, &key.id);
    bytes
}

/// The conversation of such a key.
pub(super) fn parse_conversation(bytes: &[u8]) -> Result<ConversationKey, redb::Error> {
    let broken = || redb::Error::Corrupted("a conversation's key is broken".to_owned());
    let (tenant, rest) = take_text(bytes).ok_or_else(broken)?;
    let (bot, rest) = take_text(rest).ok_or_else(broken)?;
    let (id, _) = take_text(rest).ok_or_else(broken)?;
    Ok(ConversationKey::new(tenant, bot, id))
}

fn take_text(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let (short, rest) = bytes.split_first()?;
    let (length, rest) = if *short == LONG {
        let (long, rest) = rest.split_first_chunk()?;
        (usize::try_from(u32::from_be_bytes(*long)).ok()?, rest)
    } else {
        (usize::from(*short), rest)
    };
    let (text, rest) = rest.split_at_checked(length)?;
    Some((std::str::from_utf8(text).ok()?, rest))
}

/// The number that a key ends with.
pub(super) fn last_number(key: &[u8]) -> Result<u64, redb::Error> {
    let number = key.last_chunk().map(|number| u64::from_be_bytes(*number));
    number.ok_or_else(|| redb::Error::Corrupted("the key of a numbered row is too short".to_owned()))
}

/// A time in front of the rest of a key, so that rows lie in its order.
pub(super) fn at(time: u64, rest: &[u8]) -> Vec<u8> {
    child(&time.to_be_bytes(), rest)
}

/// The parts of such a key.
pub(super) fn parse_at(key: &[u8]) -> Result<(u64, &[u8]), redb::Error> {
    let (time, rest) =
        key.split_first_chunk().ok_or_else(|| redb::Error::Corrupted("a row's time is too short".to_owned()))?;
    Ok((u64::from_be_bytes(*time), rest))
}

/// What the keys of a link's members begin with.
pub(super) fn link(index: &str, key: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(index.len() + key.len() + 40);
    push_text(&mut bytes, index);
    push_text(&mut bytes, key);
    bytes
}

/// How long the part of a link's key before its member is.
pub(super) fn link_owner(key: &[u8]) -> Option<(&[u8], &[u8])> {
    let (_, rest) = take_text(key)?;
    let (_, member) = take_text(rest)?;
    key.split_at_checked(key.len() - member.len())
}

/// The key of a row that belongs to `owner` (a conversation, or a scope).
pub(super) fn child(owner: &[u8], rest: &[u8]) -> Vec<u8> {
    [owner, rest].concat()
}

pub(super) fn scope(name: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(name.len() + 32);
    push_text(&mut bytes, name);
    bytes
}

/// What the keys of a large document's parts begin with.
pub(super) fn document_parts(kind: &str, id: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(kind.len() + id.len() + 8);
    push_text(&mut bytes, kind);
    push_text(&mut bytes, id);
    bytes
}

/// The smallest key above all keys that begin with `prefix`; `None` if there is none.
pub(super) fn after_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = prefix.to_vec();
    while let Some(last) = bytes.pop() {
        if let Some(next) = last.checked_add(1) {
            bytes.push(next);
            return Some(bytes);
        }
    }
    None
}

/// The end of the rows of an owner whose key begins with a text: its length in front is never all full bytes, so
/// there always is one.
pub(super) fn end_of(owner: &[u8]) -> Vec<u8> {
    after_prefix(owner).unwrap_or_default()
}

/// What an expiry row points to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expiring {
    Conversation,
    Answer,
    OnceName,
    Link,
}

impl Expiring {
    fn code(self) -> u8 {
        match self {
            Self::Conversation => 0,
            Self::Answer => 1,
            Self::OnceName => 2,
            Self::Link => 3,
        }
    }
}

pub(super) fn expiry(at: u64, what: Expiring, key: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(9 + key.len());
    bytes.extend_from_slice(&at.to_be_bytes());
    bytes.push(what.code());
    bytes.extend_from_slice(key);
    bytes
}

/// The parts of an expiry row; `None` if it is no such row.
pub(super) fn parse_expiry(row: &[u8]) -> Option<(u64, Expiring, &[u8])> {
    let (at, rest) = row.split_first_chunk()?;
    let (code, key) = rest.split_first()?;
    let what = match code {
        0 => Expiring::Conversation,
        1 => Expiring::Answer,
        2 => Expiring::OnceName,
        3 => Expiring::Link,
        _ => return None,
    };
    Some((u64::from_be_bytes(*at), what, key))
}

/// A conversation's row.
#[derive(Debug, Clone, Copy)]
pub(super) struct ConversationRow<'a> {
    pub(super) expires_at: u64,
    pub(super) turns: u64,
    pub(super) entries: u64,
    pub(super) head: &'a [u8],
}

impl<'a> ConversationRow<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, redb::Error> {
        let broken = || redb::Error::Corrupted("a conversation's row is too short".to_owned());
        let (expires_at, rest) = bytes.split_first_chunk().ok_or_else(broken)?;
        let (turns, rest) = rest.split_first_chunk().ok_or_else(broken)?;
        let (entries, head) = rest.split_first_chunk().ok_or_else(broken)?;
        Ok(Self {
            expires_at: u64::from_be_bytes(*expires_at),
            turns: u64::from_be_bytes(*turns),
            entries: u64::from_be_bytes(*entries),
            head,
        })
    }

    pub(super) fn to_bytes(self) -> Vec<u8> {
        [&self.expires_at.to_be_bytes(), &self.turns.to_be_bytes(), &self.entries.to_be_bytes(), self.head].concat()
    }
}

/// A lane's row.
#[derive(Debug, Clone, Copy)]
pub(super) struct LaneRow<'a> {
    /// Number of the first entry it ever had: tells it from an earlier lane of this name.
    pub(super) born: u64,
    pub(super) due: u64,
    pub(super) length: u64,
    pub(super) note: Option<&'a [u8]>,
}

impl<'a> LaneRow<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, redb::Error> {
        let broken = || redb::Error::Corrupted("a lane's row is too short".to_owned());
        let (born, rest) = bytes.split_first_chunk().ok_or_else(broken)?;
        let (due, rest) = rest.split_first_chunk().ok_or_else(broken)?;
        let (length, rest) = rest.split_first_chunk().ok_or_else(broken)?;
        let (has_note, note) = rest.split_first().ok_or_else(broken)?;
        Ok(Self {
            born: u64::from_be_bytes(*born),
            due: u64::from_be_bytes(*due),
            length: u64::from_be_bytes(*length),
            note: (*has_note != 0).then_some(note),
        })
    }

    pub(super) fn to_bytes(self) -> Vec<u8> {
        let numbers = [self.born.to_be_bytes(), self.due.to_be_bytes(), self.length.to_be_bytes()].concat();
        let has_note = [u8::from(self.note.is_some())];
        [numbers.as_slice(), has_note.as_slice(), self.note.unwrap_or_default()].concat()
    }
}

/// An answer's row: its expiry, then its body.
pub(super) fn answer_row(expires_at: u64, body: &[u8]) -> Vec<u8> {
    [&expires_at.to_be_bytes(), body].concat()
}

pub(super) fn parse_answer(row: &[u8]) -> Result<(u64, &[u8]), redb::Error> {
    let (expires_at, body) =
        row.split_first_chunk().ok_or_else(|| redb::Error::Corrupted("an answer's row is too short".to_owned()))?;
    Ok((u64::from_be_bytes(*expires_at), body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_conversation_key_begins_with_another() {
        let long = "x".repeat(300);
        let names = ["", "a", "ab", "a\0", "\u{1}a", "a/b", long.as_str()];
        let mut keys = Vec::new();
        for tenant in names {
            for bot in names {
                for id in names {
                    keys.push(conversation(&ConversationKey::new(tenant, bot, id)));
                }
            }
        }
        for key in &keys {
            assert_eq!(conversation(&parse_conversation(key).unwrap()), *key);
        }
        for (i, one) in keys.iter().enumerate() {
            for (j, other) in keys.iter().enumerate() {
                assert!(i == j || !other.starts_with(one), "{one:?} {other:?}");
            }
        }
    }

    #[test]
    fn the_end_of_a_prefix_skips_full_bytes() {
        assert_eq!(after_prefix(b"ab"), Some(b"ac".to_vec()));
        assert_eq!(after_prefix(&[1, 255, 255]), Some(vec![2]));
        assert_eq!(after_prefix(&[255]), None);
        assert_eq!(after_prefix(b""), None);
    }

    #[test]
    fn a_link_is_told_from_its_member() {
        for (index, key, member) in [("", "", ""), ("i", "k", "m"), ("i\u{1}", "k", "\u{1}m")] {
            let owner = link(index, key);
            assert_eq!(link_owner(&child(&owner, member.as_bytes())), Some((owner.as_slice(), member.as_bytes())));
        }
    }

    #[test]
    fn a_lane_with_an_empty_note_has_a_note() {
        for note in [None, Some(b"".as_slice()), Some(b"x".as_slice())] {
            let bytes = LaneRow { born: 1, due: 2, length: 3, note }.to_bytes();
            let row = LaneRow::parse(&bytes).unwrap();
            assert_eq!((row.born, row.due, row.length, row.note), (1, 2, 3, note));
        }
    }

    #[test]
    fn expiry_rows_come_back_and_sort_by_time() {
        let early = expiry(5, Expiring::Answer, b"z");
        let late = expiry(256, Expiring::Conversation, b"a");
        assert!(early < late);
        assert_eq!(parse_expiry(&early), Some((5, Expiring::Answer, b"z".as_slice())));
        assert_eq!(parse_expiry(b"short"), None);
    }
}
