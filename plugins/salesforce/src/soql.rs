//! SOQL: values that can't leave their quotes, and ids that are ids.

use confab_plugin_sdk::people;

/// A text in quotes. <https://developer.salesforce.com/docs/atlas.en-us.soql_sosl.meta/soql_sosl/sforce_api_calls_soql_select_quotedstringescapes.htm>
pub(crate) fn literal(text: &str) -> String {
    format!("'{}'", escaped(text, false))
}

/// A pattern in quotes for LIKE that finds the text anywhere; `%` and `_` in it mean themselves.
pub(crate) fn containing(text: &str) -> String {
    format!("'%{}%'", escaped(text, true))
}

/// A pattern in quotes for the last six digits of a phone number, with anything between them: everybody writes
/// numbers in their own way. What it finds must be compared.
pub(crate) fn phone(number: &str) -> String {
    format!("'{}%'", people::tail(number).chars().flat_map(|c| ['%', c]).collect::<String>())
}

fn escaped(text: &str, pattern: bool) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '\'' | '\\' => out.extend(['\\', c]),
            '%' | '_' if pattern => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// An id of 15 or 18 characters, of an object whose ids begin so (`003`); its first 15, as Salesforce refuses a query for
/// one whose last three don't fit the others.
pub(crate) fn id<'t>(text: &'t str, prefix: &str) -> Option<&'t str> {
    let text = text.trim();
    let shaped = matches!(text.len(), 15 | 18) && text.bytes().all(|b| b.is_ascii_alphanumeric());
    text.get(..15).filter(|short| shaped && short.starts_with(prefix))
}

/// An id in both of its forms, for comparing: 15 characters, and 18 with a checksum of its capital letters.
pub(crate) fn forms(id: &str) -> Vec<String> {
    let Some(short) = id.get(..15) else { return vec![id.to_owned()] };
    let check = |part: &[u8]| {
        let bits =
            part.iter().enumerate().filter(|(_, b)| b.is_ascii_uppercase()).fold(0_usize, |n, (i, _)| n | 1 << i);
        b"ABCDEFGHIJKLMNOPQRSTUVWXYZ012345".get(bits).copied().map_or('A', char::from)
    };
    let sum: String = short.as_bytes().chunks(5).map(check).collect();
    vec![short.to_owned(), format!("{short}{sum}")]
}

/// A number as people type it and as an auto-number of eight digits has it: `1042` is `00001042`.
pub(crate) fn numbers(number: &str) -> String {
    let typed = literal(number);
    if number.len() < 8 && number.bytes().all(|b| b.is_ascii_digit()) {
        return format!("({typed}, '{number:0>8}')");
    }
    format!("({typed})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leaves_its_quotes() {
        assert_eq!(literal(r"O'Neil"), r"'O\'Neil'");
        assert_eq!(literal(r"\' OR Name != '"), r"'\\\' OR Name != \''");
        assert_eq!(literal("a\nb\u{7}c"), r"'a\nb c'");
        assert_eq!(literal("50% für_Ä"), "'50% für_Ä'");
        assert_eq!(containing("50%_'"), r"'%50\%\_\'%'");
    }

    #[test]
    fn phone_numbers_are_found_however_they_are_written() {
        assert_eq!(phone("+43 660 555-0177"), "'%5%5%0%1%7%7%'");
    }

    #[test]
    fn ids_have_two_forms() {
        assert_eq!(forms("0031i000013x2TEAAY"), ["0031i000013x2TE", "0031i000013x2TEAAY"]);
        assert_eq!(forms("0031i000013x2TE"), ["0031i000013x2TE", "0031i000013x2TEAAY"]);
        assert_eq!(id("0031i000013x2TE", "003"), Some("0031i000013x2TE"));
        assert_eq!(id(" 0031i000013x2TEZZZ", "003"), Some("0031i000013x2TE"));
        assert_eq!(id("0031i000013x2TE", "00Q"), None);
        assert_eq!(id("003' OR Id != '", "003"), None);
    }

    #[test]
    fn numbers_may_lack_their_zeros() {
        assert_eq!(numbers("1042"), "('1042', '00001042')");
        assert_eq!(numbers("WEB-42"), "('WEB-42')");
    }
}
