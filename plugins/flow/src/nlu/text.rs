//! Messages as words: NFKC, small letters, and a folded form in which accents and spellings of umlauts agree.

use crate::entities::Hit;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// A word with its place in the message.
#[derive(Clone, Debug)]
pub(crate) struct Word {
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// In small letters, without apostrophes.
    pub(crate) lower: String,
}

/// A word, or an entity in place of words.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// In small letters; of an entity, its mark.
    pub(crate) lower: String,
    /// Folded.
    pub(crate) folded: String,
    /// Whether this stands for an entity.
    pub(crate) entity: bool,
}

/// The form in which messages are read: NFKC, without control characters. ASCII is that already.
pub(crate) fn normalise(text: &str) -> String {
    let printable = |c: &char| !c.is_control() || *c == '\n';
    if text.is_ascii() { text.chars().filter(printable).collect() } else { text.nfkc().filter(printable).collect() }
}

/// Words: stretches of letters and digits. `what's` is one word.
pub(crate) fn words(text: &str) -> Vec<Word> {
    let mut words: Vec<Word> = Vec::new();
    let mut open = false;
    let mut pending = false;
    for (at, c) in text.char_indices() {
        if c.is_alphanumeric() || is_combining_mark(c) {
            let end = at + c.len_utf8();
            if !open {
                words.push(Word { start: at, end, lower: String::new() });
            }
            if let Some(word) = words.last_mut() {
                word.end = end;
                word.lower.extend(c.to_lowercase());
            }
            (open, pending) = (true, false);
        } else if open && !pending && matches!(c, '\'' | '’') {
            pending = true;
        } else {
            (open, pending) = (false, false);
        }
    }
    words
}

/// Without accents; `ß` is `ss`; `ä`, `ae` and `a` are one, as are `ö` and `ü` with theirs.
pub(crate) fn fold(word: &str) -> String {
    let mut folded = String::with_capacity(word.len());
    let mut put = |c: char| {
        if c == 'e' && matches!(folded.chars().next_back(), Some('a' | 'o' | 'u')) {
            return;
        }
        folded.push(c);
    };
    if word.is_ascii() {
        word.chars().for_each(put);
    } else {
        for c in word.nfd().filter(|c| !is_combining_mark(*c)) {
            match c {
                'ß' => "ss".chars().for_each(&mut put),
                'ø' => put('o'),
                'æ' => put('a'),
                c => put(c),
            }
        }
    }
    folded
}

/// The mark that stands for an entity; no word can look like it.
pub(crate) fn mark(entity: &str) -> String {
    format!("\u{2}{entity}")
}

/// The words of a message, with entities in place of what they cover.
pub(crate) fn tokens<'a>(text: &str, hits: &[Hit], name: impl Fn(usize) -> Option<&'a str>) -> Vec<Token> {
    let mut tokens: Vec<Token> = Vec::new();
    for word in words(text) {
        if let Some(hit) = hits.iter().find(|hit| word.start < hit.end && hit.start < word.end) {
            if tokens.last().is_none_or(|last| !last.entity || last.start != hit.start) {
                let mark = mark(name(hit.entity).unwrap_or_default());
                tokens.push(Token { start: hit.start, end: hit.end, lower: mark.clone(), folded: mark, entity: true });
            }
            continue;
        }
        let folded = fold(&word.lower);
        tokens.push(Token { start: word.start, end: word.end, lower: word.lower, folded, entity: false });
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_a_word_agree() {
        assert_eq!(fold("größe"), fold("groesse"));
        assert_eq!(fold("verfügbar"), fold("verfuegbar"));
        assert_eq!(fold("café"), "cafe");
    }

    #[test]
    fn words_keep_their_apostrophes_inside() {
        let lower: Vec<String> = words("What's it, e-mail? l’été'").into_iter().map(|word| word.lower).collect();
        assert_eq!(lower, ["whats", "it", "e", "mail", "lété"]);
    }
}
