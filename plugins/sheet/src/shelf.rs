//! What visitors create, in the connection's store, each thing once.
//!
//! | key | holds |
//! |---|---|
//! | `contact/ID`, `lead/ID`, `ticket/NUMBER` | a record as JSON; for a contact of contacts.csv: what visitors completed |
//! | `contact-email/ADDRESS`, `contact-phone/LAST6/DIGITS` | the contact's id |
//! | `ticket-of/ADDRESS/NUMBER` | the ticket's number, to find a requester's tickets |
//! | `event/ticket/NUMBER/SEQ`, `event/lead/ID/SEQ` | what happened to it since: comments, closing, qualification |
//! | `once/KIND/KEY` | what was chosen for a write with this idempotency key |
//! | `counter/...` | last number given away |
//!
//! **Once.** A write takes a number, then claims its idempotency key with it (`insert`: the first one wins), then
//! writes the record under that number, if it isn't there. A crash after the claim is mended by the repeat: it finds
//! the number and writes the record. A crash before it wastes a number. No order of events makes two records.
//!
//! **Nothing is read, changed and written back.** What happens to a lead or ticket is a new entry, and its state is
//! what its entries add up to; so two calls at the same time lose nothing, and rows of uploaded files can have
//! entries too.

use confab_plugin_sdk::prelude::*;
use serde::{Serialize, de::DeserializeOwned};

/// Entries a page: with the longest texts allowed still below what may cross a host call.
const PAGE: u32 = 100;
/// Pages a call: the host allows 64 calls, and some are needed for the rest.
const PAGES: usize = 25;

/// The store, as far as it is needed here: the host's in the plugin, a map in tests.
pub(crate) trait Shelf {
    fn get(&mut self, key: &str) -> Result<Option<Vec<u8>>>;
    fn set(&mut self, key: &str, value: &[u8]) -> Result<()>;
    /// The value that was there, in which case nothing is written.
    fn insert(&mut self, key: &str, value: &[u8]) -> Result<Option<Vec<u8>>>;
    fn scan(&mut self, prefix: &str, after: Option<&str>, limit: u32) -> Result<Vec<(String, Vec<u8>)>>;
    fn add(&mut self, key: &str, delta: i64) -> Result<i64>;
}

/// The host's store.
pub(crate) struct Kv;

impl Shelf for Kv {
    fn get(&mut self, key: &str) -> Result<Option<Vec<u8>>> {
        Ok(kv::get(key)?)
    }
    fn set(&mut self, key: &str, value: &[u8]) -> Result<()> {
        Ok(kv::set(key, value)?)
    }
    fn insert(&mut self, key: &str, value: &[u8]) -> Result<Option<Vec<u8>>> {
        Ok(kv::insert(key, value)?)
    }
    fn scan(&mut self, prefix: &str, after: Option<&str>, limit: u32) -> Result<Vec<(String, Vec<u8>)>> {
        Ok(kv::scan(prefix, after, limit)?.into_iter().map(|e| (e.key, e.value)).collect())
    }
    fn add(&mut self, key: &str, delta: i64) -> Result<i64> {
        Ok(kv::add(key, delta)?)
    }
}

/// One call: the store with the call's idempotency key and time.
pub(crate) struct Desk<'a> {
    pub(crate) shelf: &'a mut dyn Shelf,
    pub(crate) once: &'a str,
    pub(crate) now: &'a str,
}

impl Desk<'_> {
    pub(crate) fn read<T: DeserializeOwned>(&mut self, key: &str) -> Result<Option<T>> {
        self.shelf.get(key)?.map(|bytes| decode(key, &bytes)).transpose()
    }

    pub(crate) fn read_text(&mut self, key: &str) -> Result<Option<String>> {
        Ok(self.shelf.get(key)?.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
    }

    pub(crate) fn write<T: Serialize>(&mut self, key: &str, value: &T) -> Result<()> {
        self.shelf.set(key, &serde_json::to_vec(value)?)
    }

    /// Writes a record unless it is there; gives the one that is there then.
    pub(crate) fn create<T: Serialize + DeserializeOwned>(&mut self, key: &str, value: T) -> Result<T> {
        match self.shelf.insert(key, &serde_json::to_vec(&value)?)? {
            Some(bytes) => decode(key, &bytes),
            None => Ok(value),
        }
    }

    /// Sets a text unless there is one; gives the one that holds.
    pub(crate) fn claim(&mut self, key: &str, value: String) -> Result<String> {
        let before = self.shelf.insert(key, value.as_bytes())?;
        Ok(before.map_or(value, |bytes| String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// What this call's idempotency key chose before, or chooses now.
    pub(crate) fn once(&mut self, kind: &str, choose: impl FnOnce(&mut Self) -> Result<String>) -> Result<String> {
        if self.once.is_empty() {
            return choose(self);
        }
        let key = format!("once/{kind}/{}", short(self.once));
        if let Some(chosen) = self.read_text(&key)? {
            return Ok(chosen);
        }
        let chosen = choose(self)?;
        self.claim(&key, chosen)
    }

    /// The next number of a kind, above `highest`, which the uploaded files use.
    pub(crate) fn next(&mut self, kind: &str, prefix: &str, highest: i64) -> Result<String> {
        let counter = format!("counter/{kind}");
        let mut number = self.shelf.add(&counter, 1)?;
        if number <= highest {
            number = self.shelf.add(&counter, highest - number + 1)?;
        }
        Ok(format!("{prefix}{number:06}"))
    }

    /// Adds to what happened to a thing, once for this call.
    pub(crate) fn happened<T: Serialize + DeserializeOwned>(&mut self, kind: &str, id: &str, event: T) -> Result<()> {
        let sequence =
            self.once(&format!("event-{kind}"), |desk| Ok(format!("{:012}", desk.shelf.add("counter/event", 1)?)))?;
        self.create(&format!("{}{sequence}", events_of(kind, id)), event).map(|_| ())
    }

    /// What happened to one thing, oldest first.
    pub(crate) fn events<T: DeserializeOwned>(&mut self, kind: &str, id: &str) -> Result<Vec<T>> {
        Ok(self.all(&events_of(kind, id))?.into_iter().map(|(_, event)| event).collect())
    }

    /// All entries below a prefix. Fails rather than give a part of them.
    pub(crate) fn all<T: DeserializeOwned>(&mut self, prefix: &str) -> Result<Vec<(String, T)>> {
        let mut found: Vec<(String, T)> = Vec::new();
        for _ in 0..PAGES {
            let page = self.shelf.scan(prefix, found.last().map(|(key, _)| key.as_str()), PAGE)?;
            let full = page.len() == PAGE as usize;
            for (key, bytes) in page {
                let value = decode(&key, &bytes)?;
                found.push((key, value));
            }
            if !full {
                return Ok(found);
            }
        }
        let most = PAGES * PAGE as usize;
        Err(error(
            Code::Unsupported,
            format!("there are more than {most} entries below {prefix}: this business has outgrown its sheets"),
        ))
    }
}

/// Where the events of a thing are. Numbers come from files, so they are escaped: one must not lead to another's.
pub(crate) fn events_of(kind: &str, id: &str) -> String {
    format!("event/{kind}/{}/", part(id))
}

/// The key of a record.
pub(crate) fn record(kind: &str, id: &str) -> String {
    format!("{kind}/{}", part(id))
}

/// A number or address as one part of a key, whatever is in it and however long it is.
pub(crate) fn part(text: &str) -> String {
    short(&path_segment(&text.trim().to_lowercase()))
}

/// Keys have 256 bytes at most; what is long is replaced by its length and FNV-1a hash.
fn short(key: &str) -> String {
    if key.len() <= 160 {
        return key.to_owned();
    }
    let prime = 0x0000_0000_0100_0000_0000_0000_0000_013b_u128;
    let hash = key
        .bytes()
        .fold(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d_u128, |h, b| (h ^ u128::from(b)).wrapping_mul(prime));
    format!("{}-{hash:032x}", key.len())
}

fn decode<T: DeserializeOwned>(key: &str, bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes)
        .map_err(|e| error(Code::Internal, format!("the stored entry {key} can't be read: {e}")))
}

/// A text of a visitor: trimmed, not longer than `most` characters, without control characters.
pub(crate) fn checked(name: &str, text: &str, most: usize, lines: bool) -> Result<String> {
    let text = text.trim();
    if text.chars().count() > most {
        return Err(error(Code::InvalidInput, format!("{name} has more than {most} characters")));
    }
    let keep = |c: char| {
        if c.is_control() && !(lines && matches!(c, '\n' | '\t')) { ' ' } else { c }
    };
    Ok(text.replace("\r\n", "\n").chars().map(keep).collect())
}

#[cfg(test)]
pub(crate) mod fake {
    use super::*;
    use std::collections::BTreeMap;

    /// A store in memory that can stop working after some writes, as a crash would.
    #[derive(Default)]
    pub(crate) struct Memory {
        pub(crate) map: BTreeMap<String, Vec<u8>>,
        pub(crate) writes_left: Option<usize>,
    }

    impl Memory {
        fn write(&mut self) -> Result<()> {
            match &mut self.writes_left {
                Some(0) => Err(error(Code::Unavailable, "crashed")),
                Some(n) => {
                    *n -= 1;
                    Ok(())
                }
                None => Ok(()),
            }
        }
        pub(crate) fn desk<'a>(&'a mut self, once: &'a str) -> Desk<'a> {
            Desk { shelf: self, once, now: "2026-11-22T10:00:00Z" }
        }
        pub(crate) fn count(&self, prefix: &str) -> usize {
            self.map.keys().filter(|k| k.starts_with(prefix)).count()
        }
    }

    impl Shelf for Memory {
        fn get(&mut self, key: &str) -> Result<Option<Vec<u8>>> {
            assert!((1..=256).contains(&key.len()), "{key}");
            Ok(self.map.get(key).cloned())
        }
        fn set(&mut self, key: &str, value: &[u8]) -> Result<()> {
            self.write()?;
            self.map.insert(key.into(), value.into());
            Ok(())
        }
        fn insert(&mut self, key: &str, value: &[u8]) -> Result<Option<Vec<u8>>> {
            assert!((1..=256).contains(&key.len()), "{key}");
            if let Some(before) = self.map.get(key) {
                return Ok(Some(before.clone()));
            }
            self.write()?;
            self.map.insert(key.into(), value.into());
            Ok(None)
        }
        fn scan(&mut self, prefix: &str, after: Option<&str>, limit: u32) -> Result<Vec<(String, Vec<u8>)>> {
            let all = self.map.iter().filter(|(k, _)| k.starts_with(prefix) && after.is_none_or(|a| k.as_str() > a));
            Ok(all.take(limit as usize).map(|(k, v)| (k.clone(), v.clone())).collect())
        }
        fn add(&mut self, key: &str, delta: i64) -> Result<i64> {
            self.write()?;
            let now = self.map.get(key).map_or(0, |v| String::from_utf8_lossy(v).parse::<i64>().unwrap()) + delta;
            self.map.insert(key.into(), now.to_string().into_bytes());
            Ok(now)
        }
    }
}
