//! Values in Shopify's search syntax, the language of the argument `query`.
//!
//! Visitors' words must never become operators there. A value goes into a quoted phrase, in which only the quote and the backslash mean
//! anything. Words of a question come from the SDK as letters, digits and `-`; with a `*` they also find words that begin so.

/// `sku:"A \"B\""`.
pub(crate) fn equals(field: &str, value: &str) -> String {
    let mut out = format!("{field}:\"");
    for c in value.chars().filter(|c| !c.is_control()) {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
    out
}

/// `(a OR b)`; nothing for no terms.
pub(crate) fn any(terms: &[String]) -> String {
    joined(terms, " OR ")
}

/// `(a AND b)`; nothing for no terms.
pub(crate) fn all(terms: &[String]) -> String {
    joined(terms, " AND ")
}

fn joined(terms: &[String], with: &str) -> String {
    match terms {
        [] => String::new(),
        [one] => one.clone(),
        many => format!("({})", many.join(with)),
    }
}

/// A word anywhere in a document, or what begins with it. The word has only letters, digits and `-` in it.
pub(crate) fn word(word: &str) -> String {
    let anywhere = if word.contains('-') { format!("\"{word}\"") } else { format!("{word}*") };
    any(&[anywhere, equals("sku", word)])
}
