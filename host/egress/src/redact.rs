//! Credentials that a system sends back are replaced by `***`.
//!
//! Debug pages, echo services and error messages repeat what they were sent. A guest must not learn its credential
//! that way, so every answer and every message is searched for each secret of the connection, as it is and in the
//! forms in which it usually comes back: escaped for JSON, percent-encoded, in base64 (as basic authentication has it).
//!
//! A system that *wants* to hand its credential to a guest can do so in a form that no search finds. The guard is
//! against accidents of honest systems; against the others there is only that they know the credential anyway.

use std::collections::VecDeque;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use memchr::memmem::Finder;
use parking_lot::RwLock;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::limits::{REDACT_MIN_CHARS, REDACT_SESSIONS};

const MASK: &[u8] = b"***";

/// All secrets of one connection, ready to be looked for.
#[derive(Default)]
pub(crate) struct Redactor {
    fixed: Vec<Finder<'static>>,
    /// Of sessions, newest last.
    sessions: RwLock<VecDeque<Vec<Finder<'static>>>>,
}

impl Redactor {
    /// Look for these from now on.
    pub(crate) fn new<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Self {
        Self { fixed: finders(secrets), sessions: RwLock::default() }
    }

    /// Look for a session's credential too. The oldest are forgotten.
    pub(crate) fn add_session<'a>(&self, secrets: impl IntoIterator<Item = &'a str>) {
        let mut sessions = self.sessions.write();
        sessions.push_back(finders(secrets));
        while sessions.len() > REDACT_SESSIONS {
            sessions.pop_front();
        }
    }

    /// The same bytes without secrets. Costs one pass a secret and form; copies only when one is found.
    pub(crate) fn bytes(&self, text: Bytes) -> Bytes {
        let sessions = self.sessions.read();
        let all = self.fixed.iter().chain(sessions.iter().flatten());
        all.fold(text, |text, finder| replace(&text, finder).map_or(text, Bytes::from))
    }

    /// The same text without secrets.
    pub(crate) fn text(&self, text: String) -> String {
        let clean = self.bytes(Bytes::from(text));
        String::from_utf8_lossy(&clean).into_owned()
    }
}

/// Each secret in its forms, the longest first, so that no part of a longer one is left over.
fn finders<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Vec<Finder<'static>> {
    let mut forms: Vec<Vec<u8>> =
        secrets.into_iter().filter(|secret| secret.chars().count() >= REDACT_MIN_CHARS).flat_map(forms).collect();
    forms.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
    forms.dedup();
    forms.iter().map(|form| Finder::new(form).into_owned()).collect()
}

fn forms(secret: &str) -> Vec<Vec<u8>> {
    let json = serde_json::to_string(secret).unwrap_or_default();
    let json = json.strip_prefix('"').and_then(|j| j.strip_suffix('"')).unwrap_or_default().to_owned();
    let percent = utf8_percent_encode(secret, NON_ALPHANUMERIC).to_string();
    let form: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    // As `Url` writes a query parameter and a path.
    let lower = percent.replace("%2E", ".").replace("%2D", "-").replace("%5F", "_").replace("%7E", "~");
    let mut forms = vec![
        secret.to_owned(),
        json.replace('/', "\\/"),
        json,
        percent.to_lowercase(),
        percent,
        lower,
        form,
        STANDARD_NO_PAD.encode(secret),
        URL_SAFE_NO_PAD.encode(secret),
    ];
    forms.retain(|form| form.len() >= REDACT_MIN_CHARS);
    forms.into_iter().map(String::into_bytes).collect()
}

fn replace(text: &[u8], finder: &Finder<'_>) -> Option<Vec<u8>> {
    let first = finder.find(text)?;
    let mut clean = Vec::with_capacity(text.len());
    let mut rest = text;
    let mut next = Some(first);
    while let Some(at) = next {
        let (before, from) = rest.split_at_checked(at)?;
        clean.extend_from_slice(before);
        clean.extend_from_slice(MASK);
        rest = from.get(finder.needle().len()..).unwrap_or_default();
        next = finder.find(rest);
    }
    clean.extend_from_slice(rest);
    Some(clean)
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
