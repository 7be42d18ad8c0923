//! Credentials that a system sends back are replaced by `***`.
//!
//! Debug pages, echo services and error messages repeat what they were sent. A guest must not learn its credential
//! that way, so every answer (header names and values, body after decompression) and every message is searched for
//! each secret of the connection in the forms in which it usually comes back:
//!
//! - as it is, and in lower case where it is too long to be a word;
//! - escaped for JSON (with `\/`, with `\u00e4`, with `\u003c`), for HTML, percent-encoded, as a form;
//! - in hexadecimal; in base64, also in the middle of a longer text that was encoded as a whole (up to two characters
//!   at its ends stay: they are shared with its neighbours).
//!
//! What it can't catch: a secret with fewer than six characters; one cut in pieces (over two headers, with something
//! put between its letters), reversed, encoded twice, in UTF-16, in base32, in an archive, encrypted. A system that
//! *wants* to hand its credential to a guest can do so. The guard is against accidents of honest systems; against
//! the others there is only that they know the credential anyway.

use std::collections::VecDeque;

use aho_corasick::{AhoCorasick, AhoCorasickKind, Match, MatchKind, packed};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use parking_lot::RwLock;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::limits::{REDACT_LOWER_MIN_CHARS, REDACT_MIN_CHARS, REDACT_SESSIONS};

const MASK: &[u8] = b"***";

/// All secrets of one connection, ready to be looked for.
#[derive(Default)]
pub(crate) struct Redactor {
    fixed: Search,
    sessions: RwLock<Sessions>,
}

/// Secrets of sessions.
#[derive(Default)]
struct Sessions {
    /// Their forms, newest last.
    forms: VecDeque<Vec<Vec<u8>>>,
    search: Search,
}

/// Looks for any number of texts in one pass.
#[derive(Default)]
enum Search {
    /// There are none.
    #[default]
    Nothing,
    /// Those of a connection: SIMD that compares beginnings. Measured for a token: 2.4 KB of memory, and 0.3 ms for an
    /// answer of 4 MB (the automaton: up to 33 ms).
    Few(packed::Searcher),
    /// Those of many sessions, or a processor without that SIMD: an automaton.
    Many(AhoCorasick),
    /// Too many for an automaton (2^31 states), which secrets never are; then nothing is shown at all.
    Broken,
}

impl Search {
    /// Of two that begin at the same place the longer one is found, so that no part of it is left over.
    fn new<'a>(forms: impl Iterator<Item = &'a Vec<u8>>) -> Self {
        let forms: Vec<_> = forms.collect();
        if forms.is_empty() {
            return Self::Nothing;
        }
        let mut packed = packed::Config::new().match_kind(packed::MatchKind::LeftmostLongest).builder();
        if let Some(search) = packed.extend(&forms).build() {
            return Self::Few(search);
        }
        // As an NFA it takes a tenth of the memory of the DFA that is the default.
        let builder = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .dense_depth(1)
            .build(forms);
        match builder {
            Ok(search) => Self::Many(search),
            Err(error) => {
                tracing::error!(%error, "secrets of a connection can't be looked for; its answers are withheld");
                Self::Broken
            }
        }
    }

    /// The same bytes with masks. Copies only when something is found.
    fn mask(&self, text: Bytes) -> Bytes {
        match self {
            Self::Nothing => text,
            Self::Few(search) => mask(&text, |text| search.find_iter(text)).unwrap_or(text),
            Self::Many(search) => mask(&text, |text| search.find_iter(text)).unwrap_or(text),
            Self::Broken => Bytes::from_static(MASK),
        }
    }
}

fn mask<'t, M: Iterator<Item = Match>>(text: &'t Bytes, find: impl FnOnce(&'t [u8]) -> M) -> Option<Bytes> {
    let mut found = find(text).peekable();
    found.peek()?;
    let mut clean = Vec::with_capacity(text.len());
    let mut from = 0;
    for found in found {
        clean.extend_from_slice(text.get(from..found.start()).unwrap_or_default());
        clean.extend_from_slice(MASK);
        from = found.end();
    }
    clean.extend_from_slice(text.get(from..).unwrap_or_default());
    Some(clean.into())
}

impl Redactor {
    /// Look for these from now on.
    pub(crate) fn new<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Self {
        Self { fixed: Search::new(all_forms(secrets).iter()), sessions: RwLock::default() }
    }

    /// Look for a session's credential too. The oldest are forgotten.
    pub(crate) fn add_session<'a>(&self, secrets: impl IntoIterator<Item = &'a str>) {
        let forms = all_forms(secrets);
        let mut sessions = self.sessions.write();
        // One that is told of again is the newest, and pushes no other endpoint's out.
        sessions.forms.retain(|known| *known != forms);
        sessions.forms.push_back(forms);
        while sessions.forms.len() > REDACT_SESSIONS {
            sessions.forms.pop_front();
        }
        sessions.search = Search::new(sessions.forms.iter().flatten());
    }

    /// The same bytes without secrets.
    pub(crate) fn bytes(&self, text: Bytes) -> Bytes {
        self.sessions.read().search.mask(self.fixed.mask(text))
    }

    /// The same text without secrets.
    pub(crate) fn text(&self, text: String) -> String {
        let clean = self.bytes(Bytes::from(text));
        String::from_utf8_lossy(&clean).into_owned()
    }
}

fn all_forms<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Vec<Vec<u8>> {
    let long_enough = |secret: &&str| secret.chars().count() >= REDACT_MIN_CHARS;
    let mut forms: Vec<Vec<u8>> = secrets.into_iter().filter(long_enough).flat_map(forms).collect();
    forms.sort();
    forms.dedup();
    forms
}

fn forms(secret: &str) -> Vec<Vec<u8>> {
    let json = serde_json::to_string(secret).unwrap_or_default();
    let json = json.strip_prefix('"').and_then(|j| j.strip_suffix('"')).unwrap_or_default().to_owned();
    let form: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    // Encoders differ in what they leave as it is: RFC 3986, JavaScript's encodeURIComponent and encodeURI.
    const RFC: &AsciiSet = &NON_ALPHANUMERIC.remove(b'.').remove(b'-').remove(b'_').remove(b'~');
    const COMPONENT: &AsciiSet = &RFC.remove(b'!').remove(b'*').remove(b'\'').remove(b'(').remove(b')');
    const URI: &AsciiSet = &COMPONENT
        .remove(b';')
        .remove(b'/')
        .remove(b'?')
        .remove(b':')
        .remove(b'@')
        .remove(b'&')
        .remove(b'=')
        .remove(b'+')
        .remove(b'$')
        .remove(b',')
        .remove(b'#');
    let percent = [NON_ALPHANUMERIC, RFC, COMPONENT, URI].map(|set| utf8_percent_encode(secret, set).to_string());
    let html = secret.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
    let hex: String = secret.bytes().map(|b| format!("{b:02x}")).collect();
    let mut forms = vec![
        secret.to_owned(),
        json.replace('/', "\\/"),
        unicode_escapes(&json, |c| !c.is_ascii()),
        unicode_escapes(&json, |c| !c.is_ascii() || matches!(c, '<' | '>' | '&' | '\'')),
        json,
        lower_escapes(&form),
        form,
        html.replace('\'', "&#39;"),
        html.replace('\'', "&#x27;"),
        html,
        hex.to_uppercase(),
        hex,
    ];
    if secret.chars().count() >= REDACT_LOWER_MIN_CHARS {
        forms.push(secret.to_lowercase());
    }
    for percent in percent {
        forms.push(lower_escapes(&percent));
        forms.push(percent);
    }
    forms.extend(base64_forms(secret.as_bytes()));
    forms.retain(|form| form.len() >= REDACT_MIN_CHARS);
    forms.into_iter().map(String::into_bytes).collect()
}

/// As Python, PHP and Go write JSON: `\u00e4`, beyond the first plane as two.
fn unicode_escapes(json: &str, escape: impl Fn(char) -> bool) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if escape(c) {
            out.extend(c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")));
        } else {
            out.push(c);
        }
    }
    out
}

/// `%2F` as `%2f`.
fn lower_escapes(percent: &str) -> String {
    let mut after = usize::MAX;
    let lower = |c: char| {
        after = if c == '%' { 0 } else { after.saturating_add(1) };
        if after <= 2 { c.to_ascii_lowercase() } else { c }
    };
    percent.chars().map(lower).collect()
}

/// A text encoded by itself, and the part of its encoding that is the same whatever stands around it, for each of the
/// three places at which it can begin.
fn base64_forms(secret: &[u8]) -> Vec<String> {
    let mut forms = Vec::with_capacity(8);
    for alphabet in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
        forms.push(alphabet.encode(secret));
        // Characters that hold bits of what stands before: none of no byte, two of one, three of two.
        for (before, shared) in [(0, 0), (1, 2), (2, 3)] {
            let mut bytes = vec![0; before];
            bytes.extend_from_slice(secret);
            let whole = bytes.len().saturating_mul(8) / 6;
            forms.extend(alphabet.encode(&bytes).get(shared..whole).map(str::to_owned));
        }
    }
    forms
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_found_in_their_usual_forms() {
        let secret = "pa\"ss/wörd+1 x";
        let redactor = Redactor::new([secret, "short", "12345"]);
        for text in [
            secret.to_owned(),
            serde_json::to_string(secret).unwrap(),
            serde_json::to_string(secret).unwrap().replace('/', "\\/"),
            utf8_percent_encode(secret, NON_ALPHANUMERIC).to_string(),
            url::form_urlencoded::byte_serialize(secret.as_bytes()).collect(),
            STANDARD_NO_PAD.encode(secret),
        ] {
            let clean = redactor.text(format!("<{text}> and {text} again short 12345"));
            assert!(!clean.contains(&text) && clean.ends_with(" again short 12345"), "{clean}");
            assert_eq!(clean.matches("***").count(), 2, "{clean}");
        }
    }

    #[test]
    fn secrets_are_found_as_other_languages_write_them() {
        let secret = "Pä<ss>&'\"wörd-0815";
        let redactor = Redactor::new([secret]);
        for text in [
            // Python's json.dumps, Go's encoding/json, PHP's htmlspecialchars, Python's html.escape.
            r#"P\u00e4<ss>&'\"w\u00f6rd-0815"#,
            r#"P\u00e4\u003css\u003e\u0026\u0027\"w\u00f6rd-0815"#,
            "Pä&lt;ss&gt;&amp;&#39;&quot;wörd-0815",
            "Pä&lt;ss&gt;&amp;&#x27;&quot;wörd-0815",
            "50c3a43c73733e26272277c3b672642d30383135",
            "50C3A43C73733E26272277C3B672642D30383135",
            "pä<ss>&'\"wörd-0815",
        ] {
            assert_eq!(redactor.text(format!("x {text} y")), "x *** y");
        }
        // Too short to be told from a word: only as it is.
        assert_eq!(Redactor::new(["Sommer"]).text("Sommer sommer".into()), "*** sommer");
    }

    #[test]
    fn a_secret_is_found_in_a_longer_text_in_base64() {
        let secret = "tok-4711/very+secret";
        let redactor = Redactor::new([secret]);
        for before in ["", "u", "us", "user:", "chatbot:", "{\"token\":\""] {
            for after in ["", ":", "\"}", "abc", "and much more"] {
                let text = STANDARD_NO_PAD.encode(format!("{before}{secret}{after}"));
                let clean = redactor.text(text.clone());
                let left = clean.len() - 3 - (before.len() + after.len()) * 4 / 3;
                assert!(clean.contains("***") && left <= 4, "{text} {clean}");
            }
        }
    }

    #[test]
    fn a_longer_secret_goes_before_its_part() {
        let redactor = Redactor::new(["secret-1", "secret-1-and-more"]);
        assert_eq!(redactor.text("x secret-1-and-more y secret-1 z".into()), "x *** y *** z");
    }

    #[test]
    fn old_sessions_are_forgotten() {
        let redactor = Redactor::new([]);
        for n in 0..=REDACT_SESSIONS {
            redactor.add_session([format!("session-{n:04}").as_str()]);
        }
        assert_eq!(redactor.text("session-0000 session-0001".into()), "session-0000 ***");
    }
}
