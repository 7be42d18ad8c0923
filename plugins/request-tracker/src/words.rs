//! How a visitor's words stand in RT.
//!
//! RT takes the connection's user for the author of everything that comes through it. So the first line says who wrote,
//! and what stands after the line `-- ` (as mail has it before a signature) is not the visitor's: how to reach them, and
//! the mark by which a repeated call knows its own words.

use confab_plugin_sdk::people::one_line;

/// What follows the name.
const WROTE: &str = " wrote in the chat:";
/// What stands before what is not the visitor's.
const END: &str = "\n\n-- \n";
/// Longest text that is given out.
const LONGEST: usize = 20_000;

/// A text with its author and, below, lines that belong to it.
pub(crate) fn spoken(author: &str, text: &str, below: &[String]) -> String {
    // A visitor who writes the line themselves must not hide the rest of their words.
    let text = text.trim().replace("\n-- \n", "\n--\n");
    let below = if below.is_empty() { String::new() } else { format!("{END}{}", below.join("\n")) };
    format!("{}{WROTE}\n\n{text}{below}", one_line(author))
}

/// Author and text of what [`spoken`] made; the whole text, and nobody, of anything else.
pub(crate) fn heard(content: &str) -> (Option<String>, String) {
    let content = content.replace("\r\n", "\n");
    let short = |text: &str| text.trim().chars().take(LONGEST).collect::<String>();
    let ours = content.split_once('\n').and_then(|(first, rest)| Some((first.trim().strip_suffix(WROTE)?, rest)));
    match ours {
        Some((author, rest)) => {
            let text = rest.rsplit_once(END).map_or(rest, |(text, _)| text);
            (Some(author.to_owned()), short(text))
        }
        None => (None, short(&content)),
    }
}
