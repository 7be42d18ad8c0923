//! What a guest may write as a path, and how it is put below an endpoint's base.
//!
//! The path is the guest's only say about *where* a request goes, so it is read strictly: printable ASCII that is
//! already percent-encoded, and no way up. Servers and proxies differ in how often they decode, so `..` is looked
//! for after each of several rounds of decoding. So is what some of them cut off a segment after decoding (`..%3fx` is
//! `..` with a query to a server behind a proxy that decodes), and what some of them fold into a dot or a slash
//! (full-width forms).

use percent_encoding::percent_decode;
use url::Url;

use crate::error::SendError;
use crate::limits::DECODE_ROUNDS;

/// An endpoint's base: scheme, host, port and path prefix.
///
/// The URL may have a credential in its path (`Auth::Path`), so it is not printed; `shown` is the prefix without it.
#[derive(Clone)]
pub(crate) struct Base {
    url: Url,
    shown: String,
}

impl Base {
    /// Parse and check a `base_url`. The error says what is wrong with it and does not repeat it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut url = Url::parse(text).map_err(|e| format!("is not a URL ({e}); write https://host/prefix"))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err("has a user in it; name credentials in auth".to_owned());
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err("has a query or fragment; it ends with the path that all requests begin with".to_owned());
        }
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
            return Err("is not an address of the web; write https://host/prefix".to_owned());
        }
        // The URL type has taken `..` away already, so look at what was written.
        let written =
            text.split_once("://").map_or("", |(_, rest)| rest.find('/').map_or("", |at| rest.get(at..).unwrap_or("")));
        if !written.is_empty() {
            check(written).map_err(|problem| format!("has a path that {problem}"))?;
        }
        let prefix = url.path().trim_end_matches('/').to_owned();
        url.set_path(&prefix);
        Ok(Self { url, shown: prefix })
    }

    /// The same base with one more segment, which is a credential.
    pub(crate) fn with_segment(&self, segment: &str) -> Result<Self, &'static str> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'~' | b':');
        if segment.is_empty() || !segment.bytes().all(plain) || segment.trim_matches('.').is_empty() {
            return Err("has characters that can't stand in a path");
        }
        let mut url = self.url.clone();
        url.set_path(&format!("{}/{segment}", self.shown));
        Ok(Self { url, shown: format!("{}/***", self.shown) })
    }

    /// Scheme, host and port; the path may hold a credential.
    pub(crate) const fn url(&self) -> &Url {
        &self.url
    }

    /// Host and port for messages and logs.
    pub(crate) fn host(&self) -> String {
        let host = self.url.host_str().unwrap_or_default();
        self.url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }

    /// What the log shows of a request's path: without query and without credentials.
    pub(crate) fn shown(&self, path: &str) -> String {
        let path = path.split('?').next().unwrap_or_default();
        format!("{}{path}", self.shown)
    }

    /// A guest's path below this base.
    pub(crate) fn join(&self, path: &str, max_bytes: usize) -> Result<Url, SendError> {
        if path.len() > max_bytes {
            return Err(SendError::invalid(format!("the path has {} bytes, more than {max_bytes}", path.len())));
        }
        check(path).map_err(|problem| SendError::invalid(format!("the path {problem}")))?;
        let prefix = self.url.path().trim_end_matches('/');
        let mut url = self.url.clone();
        let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
        url.set_path(&format!("{prefix}{path}"));
        url.set_query(query);
        if self.contains(&url) { Ok(url) } else { Err(SendError::refused("the path leads out of the endpoint")) }
    }

    /// Is this final URL below the base? Asked for each request as it will be sent.
    pub(crate) fn contains(&self, url: &Url) -> bool {
        let prefix = self.url.path().trim_end_matches('/');
        url.scheme() == self.url.scheme()
            && url.host() == self.url.host()
            && url.port_or_known_default() == self.url.port_or_known_default()
            && url.username().is_empty()
            && url.password().is_none()
            && url.fragment().is_none()
            && url.path().strip_prefix(prefix).is_some_and(|rest| rest.starts_with('/'))
            && !climbs(url.path())
    }
}

/// What is wrong with a path with query, as the end of a sentence.
fn check(path: &str) -> Result<(), &'static str> {
    if !path.starts_with('/') {
        return Err("must start with '/'");
    }
    if path.starts_with("//") {
        return Err("must not start with '//'");
    }
    if path.bytes().any(|b| !b.is_ascii_graphic()) {
        return Err("has a space, control or non-ASCII character; percent-encode it");
    }
    if path.contains('\\') {
        return Err("has a backslash; percent-encode it in a query");
    }
    if path.contains('#') {
        return Err("has a fragment; percent-encode '#'");
    }
    if !percent_is_whole(path.as_bytes()) {
        return Err("has a '%' without two hexadecimal digits; write %25");
    }
    if climbs(path.split('?').next().unwrap_or_default()) {
        return Err("has '.', '..' or a forbidden character in it, plain or encoded");
    }
    Ok(())
}

fn percent_is_whole(mut text: &[u8]) -> bool {
    while let [first, rest @ ..] = text {
        text = match (first, rest) {
            (b'%', [high, low, rest @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => rest,
            (b'%', _) => return false,
            _ => rest,
        };
    }
    true
}

/// Does a path hold, at any depth of encoding, a segment `.` or `..`, a backslash, a control character or bytes that
/// are never text (overlong forms of '.' and '/')?
fn climbs(path: &str) -> bool {
    let mut current = path.as_bytes().to_vec();
    for _ in 0..DECODE_ROUNDS {
        let bad = |b: &u8| b.is_ascii_control() || matches!(b, b'\\' | 0xc0 | 0xc1 | 0xf5..=0xff);
        // A character written in more bytes than it needs: the forms of two bytes are `bad`, these have three and four.
        let overlong = |pair: &[u8]| matches!(pair, [0xe0, 0x80..=0x9f] | [0xf0, 0x80..=0x8f]);
        if current.iter().any(bad) || current.windows(2).any(overlong) {
            return true;
        }
        let up = |segment: &[u8]| {
            // `..;x` is `..` to servers with path parameters, `..?x` and `..#x` to those that read what they decoded.
            let name = segment.split(|b| matches!(b, b';' | b'?' | b'#')).next().unwrap_or_default();
            matches!(name.trim_ascii(), b"." | b"..")
        };
        if folded(&current).split(|b| *b == b'/').any(up) {
            return true;
        }
        let next: Vec<u8> = percent_decode(&current).collect();
        if next == current {
            return false;
        }
        current = next;
    }
    true
}

/// Characters that Unicode's compatibility forms (and Windows' best fit) turn into dots and slashes, turned into these.
fn folded(path: &[u8]) -> Vec<u8> {
    if path.is_ascii() {
        return path.to_vec();
    }
    let mut plain = String::with_capacity(path.len());
    for c in String::from_utf8_lossy(path).chars() {
        match c {
            '\u{ff0e}' | '\u{fe52}' | '\u{2024}' => plain.push('.'),
            '\u{2025}' => plain.push_str(".."),
            '\u{ff0f}' | '\u{ff3c}' | '\u{fe68}' | '\u{2044}' | '\u{2215}' => plain.push('/'),
            '\u{ff1b}' | '\u{fe54}' => plain.push(';'),
            other => plain.push(other),
        }
    }
    plain.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn join(path: &str) -> Result<String, SendError> {
        Base::parse("https://erp.example.com/api/v2/").unwrap().join(path, 8192).map(|url| url.to_string())
    }

    #[test]
    fn ordinary_paths_stand_below_the_base() {
        let base = "https://erp.example.com/api/v2";
        for path in [
            "/",
            "/orders",
            "/orders/",
            "/orders?limit=1&q=a%20b%0Ac",
            "/orders/WEB%2F42",
            "/a..b/..c/d..",
            "/a;v=1",
            "/products/%C3%A4pfel",
            "/x?next=/../../etc",
            "/x?y=%2e%2e",
            "/100%2525",
            "/a:b@c/d",
            "/a//b",
            "/a;/..b/%3fx",
            "/%EF%BC%8Ea",
            "/%E0%A4%A8%F0%90%8D%88",
            "/%E4pfel",
        ] {
            assert_eq!(join(path).unwrap(), format!("{base}{path}"), "{path}");
        }
    }

    #[test]
    fn paths_that_lead_elsewhere_are_refused() {
        for path in [
            "",
            "orders",
            "?x",
            "https://evil.example/",
            "//evil.example/x",
            "/\\evil",
            "@evil.example/",
            ":80/",
            "/a b",
            "/a\tb",
            "/a\r\nHost: x",
            "/a\0",
            "/ä",
            "/a#b",
            "/..",
            "/../x",
            "/a/../b",
            "/a/./b",
            "/.",
            "/%2e%2e/x",
            "/.%2e/x",
            "/%2E./x",
            "/%252e%252e/x",
            "/%25252e%25252e/x",
            "/a%2f..%2fb",
            "/a%2f%2e%2e%2fb",
            "/..;/x",
            "/..;a=b/x",
            "/%2e%2e%3b/x",
            "/a%5c..%5cb",
            "/a%00",
            "/a%0d%0a",
            "/%c0%ae%c0%ae/x",
            "/%e0%80%ae%e0%80%ae/x",
            "/%f0%80%80%ae%f0%80%80%ae/x",
            "/a%",
            "/a%2",
            "/a%zz",
            "/a?b=%",
            "/a/..%3fx",
            "/a/..%23x",
            "/a/..%253fx/y",
            "/..%3b/x",
            "/%EF%BC%8E%EF%BC%8E/x",
            "/.%E2%80%A4/x",
            "/%E2%80%A5/x",
            "/a%EF%BC%8F..%EF%BC%8Fb",
            "/%u002e%u002e/x",
            "/.. /x",
            "/..%20/x",
            "/%252525252525252541",
        ] {
            assert!(join(path).is_err(), "{path:?}");
        }
        assert!(join(&format!("/{}", "a".repeat(8192))).is_err());
    }

    /// Where servers that decode `rounds` times and have all the habits of servers at once would look for a target.
    fn place_on_a_careless_server(target: &str, rounds: usize) -> Option<Vec<String>> {
        let mut text = target.split(['?', '#']).next()?.to_owned();
        for _ in 0..rounds {
            text = percent_encoding::percent_decode_str(&text).decode_utf8_lossy().into_owned();
        }
        let text = text.split(['?', '#', '\0', '\r', '\n']).next()?.replace('\\', "/");
        let mut place = Vec::new();
        for segment in text.split('/') {
            match segment.split(';').next()?.trim() {
                "" | "." => {}
                ".." => drop(place.pop()?),
                name => place.push(name.to_owned()),
            }
        }
        Some(place)
    }

    #[test]
    fn no_path_climbs_out_on_any_server() {
        let parts = [
            "/",
            "/",
            "/",
            "..",
            "..",
            ".",
            "a",
            "%2e",
            "%2E",
            "%252e",
            "%2f",
            "%252f",
            "%5c",
            "%255c",
            "%3b",
            "%3f",
            "%23",
            "%253f",
            ";",
            "?",
            "%25",
            "2e",
            "2f",
            "//",
            ":",
            "@",
            "%20",
            "%c0%ae",
            "%ef%bc%8e",
            "..%3f",
            "..;",
            "%2e%2e",
        ];
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let mut accepted = 0;
        for _ in 0..200_000 {
            let mut path = String::from("/");
            for _ in 0..7 {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                path.push_str(parts[(state >> 11) as usize % parts.len()]);
            }
            let Ok(url) = join(&path) else { continue };
            accepted += 1;
            let target = url.strip_prefix("https://erp.example.com").unwrap_or_else(|| panic!("{path} is {url}"));
            for rounds in 0..7 {
                let place = place_on_a_careless_server(target, rounds);
                assert!(
                    place.as_ref().is_some_and(|p| p.starts_with(&["api".into(), "v2".into()])),
                    "{path} {place:?}"
                );
            }
        }
        assert!(accepted > 1_000, "{accepted} of 200,000 were accepted: this test shows nothing");
    }

    #[test]
    fn a_base_has_no_user_query_or_way_up() {
        for text in [
            "erp.example.com",
            "https://u:p@erp.example.com",
            "https://u@erp.example.com",
            "https://e.com/?x",
            "https://e.com/#x",
            "https://e.com/a/../b",
            "https://e.com/%2e%2e/b",
            "mailto:a@b.c",
            "https://",
            "data:x",
        ] {
            assert!(Base::parse(text).is_err(), "{text}");
        }
        assert_eq!(Base::parse("https://e.com").unwrap().join("/x", 99).unwrap().as_str(), "https://e.com/x");
    }

    #[test]
    fn a_prefix_ends_at_a_segment() {
        let base = Base::parse("https://e.com/api").unwrap();
        assert!(base.contains(&Url::parse("https://e.com/api/x").unwrap()));
        for url in [
            "https://e.com/apix",
            "https://e.com/",
            "https://e.com:444/api/x",
            "http://e.com/api/x",
            "https://e.com.evil/api/x",
            "https://u@e.com/api/x",
            "https://e.com/api/x#y",
            "https://e.com/api/%2e%2e%2fx",
        ] {
            assert!(!base.contains(&Url::parse(url).unwrap()), "{url}");
        }
    }

    #[test]
    fn a_segment_that_is_a_credential_is_not_shown() {
        let base = Base::parse("https://t.example/v1").unwrap().with_segment("bot123:ABC-def").unwrap();
        assert_eq!(base.join("/send?x=1", 99).unwrap().as_str(), "https://t.example/v1/bot123:ABC-def/send?x=1");
        assert_eq!(base.shown("/send?x=1"), "/v1/***/send");
        for bad in ["", "..", "a/b", "a%2fb", "a b", "a?b"] {
            assert!(Base::parse("https://t.example").unwrap().with_segment(bad).is_err(), "{bad}");
        }
    }
}
