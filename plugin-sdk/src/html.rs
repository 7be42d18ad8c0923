//! Systems that keep HTML: what visitors say goes in as text, and comes out as text.

/// Text as HTML that shows just this text: a paragraph a block, a break a line.
pub fn from_text(text: &str) -> String {
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

/// What a reader sees of it, in lines without blank ones.
pub fn to_text(html: &str) -> String {
    let mut out = String::with_capacity(html.len());
    let mut rest = html;
    while let Some((before, after)) = rest.split_once('<') {
        out.push_str(before);
        // A `<` before anything else is one (HTML, 13.2.5.6 "tag open state").
        if !after.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '!' | '?')) {
            out.push('<');
            rest = after;
            continue;
        }
        let (tag, after) = match after.strip_prefix("!--") {
            Some(comment) => ("", comment.split_once("-->").unwrap_or((comment, "")).1),
            None => after.split_once('>').unwrap_or((after, "")),
        };
        rest = after;
        let (ends, tag) = tag.strip_prefix('/').map_or((false, tag), |tag| (true, tag));
        let name: String = tag.chars().take_while(char::is_ascii_alphanumeric).collect();
        match name.to_ascii_lowercase().as_str() {
            // What is between is not for reading.
            hidden @ ("style" | "script" | "head" | "title") if !ends => {
                let end = format!("</{hidden}");
                let at = rest.to_ascii_lowercase().find(&end);
                rest = at.and_then(|at| rest.get(at..)).unwrap_or("");
            }
            "b" | "strong" | "i" | "em" | "u" | "a" | "span" | "s" | "code" | "sub" | "sup" | "font" | "small" | "" => {
            }
            "td" | "th" => out.push(' '),
            _ => out.push('\n'),
        }
    }
    out.push_str(rest);
    let lines: Vec<String> =
        decode(&out).lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect();
    lines.join("\n")
}

fn decode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        out.push_str(before);
        let entity = after.split_once(';').filter(|(name, _)| name.len() <= 8);
        match entity.and_then(|(name, after)| Some((character(name)?, after))) {
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

/// The entities that editors write; others are left as they are.
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
            to_text("<div class=\"o\">Hello<br>y<b>o</b>u</div><ul><li>a&nbsp;b</li><li>&#252;&unknown; &</li></ul>"),
            "Hello\nyou\na b\nü&unknown; &"
        );
        assert_eq!(to_text("<html><head><style>p { x }</style></head><body>a<!-- <p>no</p> -->b</body>"), "ab");
        assert_eq!(to_text("<table><tr><td>1</td><td>2</td></tr></table>"), "1  2");
        assert_eq!(to_text("a < b, 1 <2"), "a < b, 1 <2");
        assert_eq!(to_text("<script>never ends"), "");
    }
}
