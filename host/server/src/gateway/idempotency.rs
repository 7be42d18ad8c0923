//! `Idempotency-Key`: a request that is sent again is served once, and answered the same.
//!
//! As the IETF draft has it (draft-ietf-httpapi-idempotency-key-header): a repeat of a request that was served gets its answer again (marked
//! `idempotency-replayed: true`), one that comes while the first is being served gets 409, and another request under the same key 422.
//! Answers are kept for 24 hours. Keys belong to the client that sent them: those of different API keys never meet.

use super::{Caller, Problem};
use confab_engine::IdempotencyKey;
use confab_engine::turn::KEEP;
use http::{HeaderMap, HeaderName};
use sha2::{Digest, Sha256};

/// The header.
pub(crate) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Says that an answer is one that was given before.
pub(crate) const REPLAYED: &str = "idempotency-replayed";
/// Longest key, in bytes. UUIDs have 36.
const MAX_KEY: usize = 255;

/// The key that a request carries: the header, or a name that its body has for it.
pub(crate) fn key_of(headers: &HeaderMap, in_body: Option<&str>) -> Result<Option<String>, Problem> {
    let header = headers.get(&IDEMPOTENCY_KEY).map(|value| unquoted(value.to_str().unwrap_or_default()));
    match header.or(in_body) {
        None => Ok(None),
        Some(key) if !key.is_empty() && key.len() <= MAX_KEY && key.bytes().all(|b| (b' '..=b'~').contains(&b)) => {
            Ok(Some(key.to_owned()))
        }
        Some(_) => Err(Problem::bad_request(format!(
            "an idempotency key has 1 to {MAX_KEY} printable ASCII characters; a UUID is a good one"
        ))),
    }
}

/// The draft wants a quoted string; most clients send the bare word.
fn unquoted(value: &str) -> &str {
    let value = value.trim();
    value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(value)
}

/// The key within a scope of the caller's own, for a request with this content.
pub(crate) fn scoped(caller: &Caller, key: &str, content: &[u8]) -> IdempotencyKey {
    IdempotencyKey { name: format!("{}/{key}", scope(caller)), fingerprint: fingerprint(content), keep: KEEP }
}

fn scope(caller: &Caller) -> String {
    match caller {
        Caller::Key(key) => format!("k/{}", key.id),
        Caller::Operator => "operator".to_owned(),
    }
}

fn fingerprint(content: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(Sha256::digest(content))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn headers(value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(IDEMPOTENCY_KEY, HeaderValue::from_static(value))])
    }

    #[test]
    fn keys_may_be_quoted_and_the_header_comes_before_the_body() {
        assert_eq!(key_of(&HeaderMap::new(), None).unwrap(), None);
        assert_eq!(key_of(&headers("\"a b\""), Some("x")).unwrap().as_deref(), Some("a b"));
        assert_eq!(key_of(&headers(" abc "), None).unwrap().as_deref(), Some("abc"));
        assert_eq!(key_of(&HeaderMap::new(), Some("m-1")).unwrap().as_deref(), Some("m-1"));
        for bad in ["", "\"\""] {
            assert!(key_of(&headers(bad), None).is_err());
        }
        assert!(key_of(&HeaderMap::new(), Some(&"x".repeat(256))).is_err());
        assert!(key_of(&HeaderMap::new(), Some("a\nb")).is_err());
    }
}
