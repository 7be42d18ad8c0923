//! Words, addresses and numbers of people: made comparable, and checked for their shape.

/// Lower case without accents; umlauts as two letters, so that `Mühle`, `MUEHLE` and `muehle` are the same word.
pub(crate) fn fold(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars().flat_map(char::to_lowercase) {
        match c {
            'ä' | 'æ' => out.push_str("ae"),
            'ö' | 'ø' | 'œ' => out.push_str("oe"),
            'ü' => out.push_str("ue"),
            'ß' => out.push_str("ss"),
            'à' | 'á' | 'â' | 'ã' | 'å' => out.push('a'),
            'è' | 'é' | 'ê' | 'ë' => out.push('e'),
            'ì' | 'í' | 'î' | 'ï' => out.push('i'),
            'ò' | 'ó' | 'ô' | 'õ' => out.push('o'),
            'ù' | 'ú' | 'û' => out.push('u'),
            'ç' => out.push('c'),
            'ñ' => out.push('n'),
            c => out.push(c),
        }
    }
    out
}

/// Words of a text, folded.
pub(crate) fn words(text: &str) -> Vec<String> {
    fold(text).split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty()).map(str::to_owned).collect()
}

/// What numbers, article numbers and references are looked up by: without case and outer space.
pub(crate) fn key(text: &str) -> String {
    text.trim().to_lowercase()
}

/// How many letters must be inserted, deleted, replaced or swapped with their neighbour to make `a` of `b`;
/// nothing when it is more than `max`.
pub(crate) fn distance(a: &str, b: &str, max: usize) -> Option<usize> {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    if a.len().abs_diff(b.len()) > max {
        return None;
    }
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.iter().enumerate() {
        let mut row = Vec::with_capacity(b.len() + 1);
        row.push(i + 1);
        for (j, cb) in b.iter().enumerate() {
            let at = |r: &[usize], k: usize| r.get(k).copied().unwrap_or(usize::MAX / 2);
            let mut best = (at(&last, j + 1) + 1).min(at(&row, j) + 1).min(at(&last, j) + usize::from(ca != cb));
            if i > 0 && j > 0 && b.get(j - 1) == Some(ca) && a.get(i - 1) == Some(cb) {
                best = best.min(at(&before, j - 1) + 1);
            }
            row.push(best);
        }
        if row.iter().all(|d| *d > max) {
            return None;
        }
        before = std::mem::replace(&mut last, row);
    }
    last.last().copied().filter(|d| *d <= max)
}

/// A telephone number that can be compared: digits, and whether the country is part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Phone {
    digits: String,
    international: bool,
}

impl Phone {
    /// Nothing for what has fewer than 6 digits or letters in it.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if text.chars().any(char::is_alphabetic) {
            return None;
        }
        let digits: String = text.replace("(0)", "").chars().filter(char::is_ascii_digit).collect();
        let (digits, international) = match (text.starts_with('+'), digits.strip_prefix("00")) {
            (true, _) => (digits, true),
            (false, Some(rest)) => (rest.to_owned(), true),
            (false, None) => (digits.strip_prefix('0').unwrap_or(&digits).to_owned(), false),
        };
        (6..=15).contains(&digits.len()).then_some(Phone { digits, international })
    }

    /// `+43 660 5550177` and `0660/5550177` are the same.
    pub(crate) fn same(&self, other: &Self) -> bool {
        match (self.international, other.international) {
            (true, false) => self.extends(other),
            (false, true) => other.extends(self),
            _ => self.digits == other.digits,
        }
    }

    /// A country code has up to three digits.
    fn extends(&self, national: &Self) -> bool {
        self.digits.strip_suffix(&national.digits).is_some_and(|country| (1..=3).contains(&country.len()))
    }

    pub(crate) fn digits(&self) -> &str {
        &self.digits
    }

    /// Numbers that are the same have the same last six digits: what an index can be built on.
    pub(crate) fn tail(&self) -> &str {
        self.digits.get(self.digits.len().saturating_sub(6)..).unwrap_or(&self.digits)
    }
}

/// Postal codes without case, spaces and hyphens.
pub(crate) fn postal_code(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_comparable() {
        assert_eq!(words("Kaffeemühle, GRÜN (1 l)"), ["kaffeemuehle", "gruen", "1", "l"]);
        assert_eq!(fold("Crème Brûlée"), "creme brulee");
    }

    #[test]
    fn typos_are_counted_up_to_a_limit() {
        assert_eq!(distance("espreso", "espresso", 2), Some(1));
        assert_eq!(distance("frohter", "frother", 1), Some(1));
        assert_eq!(distance("abc", "xyz", 2), None);
        assert_eq!(distance("", "ab", 2), Some(2));
    }

    #[test]
    fn phones_are_the_same_whatever_their_dress() {
        let same = |a: &str, b: &str| match (Phone::parse(a), Phone::parse(b)) {
            (Some(a), Some(b)) => a.same(&b) && b.same(&a) && a.tail() == b.tail(),
            _ => false,
        };
        assert!(same("+43 660 5550177", "0660/555 01 77"));
        assert!(same("0043 660 5550177", "+43 (0)660 5550177"));
        assert!(!same("+43 660 5550177", "+49 660 5550177"));
        assert!(!same("0660 5550177", "660 555017"));
        assert!(!same("+43 660 5550177", "0550177"));
        assert!(Phone::parse("12345").is_none());
        assert!(Phone::parse("call me 123456").is_none());
    }
}
