//! Odoo's descriptions and messages are HTML. What visitors say goes in as text, and comes out as text.

/// Text as HTML that shows just this text: a paragraph a block, a break a line.
pub(crate) fn from_text(text: &str) -> String {
    let blocks = text.replace("\r\n", "\n");
    let blocks = blocks.split("\n\n").map(str::trim).filter(|b| !b.is_empty());
    blocks.map(|block| format!("<p>{}</p>", escape(block).replace('\n', "<br/>"))).collect()
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&#34;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// What a reader sees of it, in lines.
pub(crate) fn to_text(html: &str) -> String {
    let mut out = String::with_capacity(html.len());
    let mut rest = html;
    while let Some((before, after)) = rest.split_once('<') {
        out.push_str(before);
        let (tag, after) = after.split_once('>').unwrap_or((after, ""));
        let name = tag.trim_matches('/').split([' ', '/', '\n']).next().unwrap_or_default().to_ascii_lowercase();
        let ends_line = tag.starts_with('/') && matches!(name.as_str(), "p" | "div" | "li" | "tr" | "h1" | "h2" | "h3");
        if name == "br" || ends_line {
            out.push('\n');
        }
        rest = after;
    }
    out.push_str(rest);
    let lines: Vec<String> =
        decode(&out).lines().map(|line| line.trim().to_owned()).filter(|l| !l.is_empty()).collect();
    lines.join("\n")
}

fn decode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        out.push_str(before);
        let entity = after.split_once(';').filter(|(name, _)| name.len() <= 8);
        let known = entity.and_then(|(name, after)| Some((character(name)?, after)));
        match known {
            Some((c, after)) => {
                out.push(c);
                rest = after;
            }
            None => {
                out.push('&');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

fn character(entity: &str) -> Option<char> {
    match entity {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        "nbsp" => Some(' '),
        _ => {
            let number = entity.strip_prefix('#')?;
            let hex = number.strip_prefix(['x', 'X']);
            let code = hex.map_or_else(|| number.parse().ok(), |hex| u32::from_str_radix(hex, 16).ok())?;
            char::from_u32(code)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_comes_back_as_it_went_in() {
        let said = "Die Dampflanze <tropft> & \"leckt\" – seit Montag\nund 'mehr'";
        let html = from_text(said);
        assert!(!html.contains("<tropft>") && html.starts_with("<p>") && html.contains("<br/>"), "{html}");
        assert_eq!(to_text(&html), said);
        assert_eq!(from_text("one\r\n\r\ntwo"), "<p>one</p><p>two</p>");
    }

    #[test]
    fn markup_is_not_read_aloud() {
        assert_eq!(
            to_text("<div class=\"o\">Hello<br>you</div><ul><li>a&nbsp;b</li><li>&#252;&unknown; &</li></ul>"),
            "Hello\nyou\na b\nü&unknown; &"
        );
        assert_eq!(to_text("a < b"), "a");
    }
}
