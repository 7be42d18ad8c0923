//! Text on its way into another language: HTML, a URL, a shell.
//!
//! Everything that the page takes from the document goes through here, though the document is ours: its examples are
//! full of quotes and angle brackets, and a curl line is pasted into a shell.

use super::json::Json;
use std::fmt::Write as _;

/// The request as a line for a shell. Parameters that have an example are in it.
pub(super) fn curl(path: &str, method: &str, operation: &Json, body: Option<&Json>) -> String {
    let (mut path, mut query) = (path.to_owned(), String::new());
    for parameter in operation.list("parameters") {
        let Some(example) = parameter.get("example") else { continue };
        let (name, value) = (parameter.text("name"), percent(&example.plain()));
        if parameter.text("in") == "path" {
            path = path.replace(&format!("{{{name}}}"), &value);
        } else {
            let _ = write!(query, "{}{name}={value}", if query.is_empty() { '?' } else { '&' });
        }
    }
    let mut line = String::from("curl ");
    if method != "get" && (method != "post" || body.is_none()) {
        let _ = write!(line, "-X {} ", method.to_ascii_uppercase());
    }
    let _ = write!(line, "\"$CONFAB{path}{query}\"");
    if !operation.list("security").is_empty() {
        line.push_str(" \\\n  -H \"authorization: Bearer $CONFAB_KEY\"");
    }
    if let Some(body) = body {
        let _ = write!(
            line,
            " \\\n  -H 'content-type: application/json' \\\n  -d '{}'",
            body.pretty().replace('\'', r"'\''")
        );
    }
    line
}

/// Percent-encodes all but what is safe everywhere in a URL and between a shell's double quotes.
pub(super) fn percent(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

/// Escaped text with code spans.
pub(super) fn inline(text: &str) -> String {
    text.split('`').enumerate().fold(String::new(), |mut out, (index, part)| {
        let _ = if index % 2 == 1 { write!(out, "<code>{}</code>", esc(part)) } else { out.write_str(&esc(part)) };
        out
    })
}

/// Text as it may stand in HTML, in quoted attributes too.
pub(super) fn esc(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}
