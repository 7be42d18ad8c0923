//! The words that a bot knows: from its examples, and the small words of its languages.
//!
//! It corrects typos (one letter more, less, other, or two swapped), says how much of a message is known at all,
//! and what is left when the known words are taken away: in "do you have the walnut desk in stock" that is
//! "walnut desk", which is what to search for.

use std::collections::{BTreeMap, BTreeSet};

/// How a word is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    /// As it stands.
    Exactly(u32),
    /// With a typo.
    Typo(u32),
    /// Another form of it: `delivered`, `delivery`.
    Form(u32),
    /// Not at all.
    Not,
}

/// A known word.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// As written, accents and all.
    pub(crate) lower: String,
    /// Folded.
    pub(crate) folded: String,
    /// One of the small words (the, is, for).
    pub(crate) small: bool,
    /// Intents whose examples have it.
    pub(crate) classes: Vec<u32>,
}

/// All known words.
#[derive(Debug, Default)]
pub(crate) struct Vocabulary {
    entries: Vec<Entry>,
    by_folded: BTreeMap<String, u32>,
    /// Words that are right but mean nothing to the bot; nobody should take "think" for "thank".
    strange: BTreeSet<String>,
    /// Hashes of the words with one letter left out, sorted.
    shortened: Vec<(u32, u32)>,
}

/// Shorter words are too near to each other to be corrected.
const SHORTEST_TYPO: usize = 4;

/// Longest word that is looked at for a typo, in letters. German compounds stay below.
const LONGEST_TYPO: usize = 48;

impl Vocabulary {
    /// Adds a word of an example, or a small word.
    pub(crate) fn add(&mut self, lower: &str, folded: &str, class: Option<u32>) {
        let id = match self.by_folded.get(folded) {
            Some(id) => *id,
            None => {
                let id = u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
                self.entries.push(Entry {
                    lower: lower.to_owned(),
                    folded: folded.to_owned(),
                    small: class.is_none(),
                    classes: Vec::new(),
                });
                self.by_folded.insert(folded.to_owned(), id);
                id
            }
        };
        if let (Some(entry), Some(class)) = (self.entries.get_mut(id as usize), class)
            && !entry.classes.contains(&class)
        {
            entry.classes.push(class);
        }
    }

    /// Adds a word that is no typo of another.
    pub(crate) fn add_strange(&mut self, folded: &str) {
        self.strange.insert(folded.to_owned());
    }

    /// Marks the small words among those of the examples.
    pub(crate) fn mark_small(&mut self, small: &Vocabulary) {
        for entry in &mut self.entries {
            entry.small = small.by_folded.contains_key(&entry.folded);
        }
    }

    /// Builds the index for typos; call it after the last word.
    pub(crate) fn finish(&mut self) {
        self.shortened = self
            .entries
            .iter()
            .enumerate()
            .filter(|(_, entry)| entry.folded.chars().count() >= SHORTEST_TYPO)
            .flat_map(|(id, entry)| shortenings(&entry.folded).into_iter().map(move |hash| (hash, id as u32)))
            .collect();
        self.shortened.sort_unstable();
        self.shortened.dedup();
    }

    /// The entry of an id.
    pub(crate) fn entry(&self, id: u32) -> Option<&Entry> {
        self.entries.get(id as usize)
    }

    /// How a folded word is known.
    pub(crate) fn look(&self, folded: &str) -> Known {
        if let Some(id) = self.by_folded.get(folded) {
            return Known::Exactly(*id);
        }
        let length = folded.chars().count();
        // Looking for typos costs the square of the length: a pasted URL is nobody's typo.
        if length > LONGEST_TYPO {
            return Known::Not;
        }
        if length < SHORTEST_TYPO || self.strange.contains(folded) || folded.bytes().any(|byte| byte.is_ascii_digit()) {
            return Known::Not;
        }
        if let Some(id) = self.typo(folded) {
            return Known::Typo(id);
        }
        // Words that share their beginning stand next to each other in the order of letters.
        let shared = (length * 2 / 3).max(5);
        let start: String = folded.chars().take(shared).collect();
        if length >= 5
            && let Some((word, id)) = self.by_folded.range(start.clone()..).next()
            && word.starts_with(&start)
            && word.chars().count() <= length + 3
        {
            return Known::Form(*id);
        }
        Known::Not
    }

    fn typo(&self, folded: &str) -> Option<u32> {
        let mut best: Option<u32> = None;
        for hash in shortenings(folded) {
            let from = self.shortened.partition_point(|(other, _)| *other < hash);
            for (_, id) in self.shortened.iter().skip(from).take_while(|(other, _)| *other == hash) {
                let near = self.entry(*id).is_some_and(|entry| strsim::osa_distance(&entry.folded, folded) == 1);
                if near && best.is_none_or(|best| *id < best) {
                    best = Some(*id);
                }
            }
        }
        best
    }
}

/// Hashes of a word and of the word with each letter left out: two words one typo apart share one.
fn shortenings(word: &str) -> Vec<u32> {
    let hash = |skip: Option<usize>| {
        word.char_indices()
            .filter(|(at, _)| Some(*at) != skip)
            .fold(0x811c_9dc5u32, |hash, (_, c)| (hash ^ c as u32).wrapping_mul(0x0100_0193))
    };
    std::iter::once(hash(None)).chain(word.char_indices().map(|(at, _)| hash(Some(at)))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_typo_is_corrected_and_two_are_not() {
        let mut words = Vocabulary::default();
        for word in ["stock", "price", "delivery", "the"] {
            words.add(word, word, Some(0));
        }
        words.finish();
        let stock = words.look("stock");
        assert!(matches!(stock, Known::Exactly(0)));
        for typo in ["stcok", "stok", "sttock", "stick", "tock"] {
            assert_eq!(words.look(typo), Known::Typo(0), "{typo}");
        }
        assert_eq!(words.look("stkoc"), Known::Not);
        assert_eq!(words.look("deliverys"), Known::Typo(2));
        assert_eq!(words.look("delivering"), Known::Form(2));
        assert_eq!(words.look("teh"), Known::Not);
        assert_eq!(words.look(&"x".repeat(1_000_000)), Known::Not);
    }
}
