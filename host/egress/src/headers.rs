//! Which headers a guest may set, and which of an answer's headers it gets to see.
//!
//! Refused are headers that decide where a request goes or how it is framed (the host's business), that carry
//! credentials, that claim another client, path or method than the policy has checked, and the one that the
//! endpoint's own credential goes into. They are refused and not dropped, so that an author learns of it at once.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::error::{ErrorCode, SendError};
use crate::limits::Limits;

/// Headers that only the host sets.
const HOST_OWNED: &[&str] = &[
    "host",
    "authorization",
    "cookie",
    "cookie2",
    "content-length",
    "transfer-encoding",
    "connection",
    "te",
    "trailer",
    "upgrade",
    "keep-alive",
    "expect",
    "forwarded",
    "via",
    // Another client, as proxies of all makes tell it.
    "x-real-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-original-forwarded-for",
    "x-envoy-external-address",
    "x-envoy-original-path",
    "client-ip",
    "true-client-ip",
    "cf-connecting-ip",
    "fastly-client-ip",
    "http2-settings",
    // The host asks for what it can decompress, because caps and redaction look at the text.
    "accept-encoding",
    // Another method, host or path than the one that was checked.
    "x-original-method",
    "x-original-host",
    "x-host",
    "x-http-host-override",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-original-url",
    "x-rewrite-url",
];

/// Families of headers that only the host sets.
const HOST_OWNED_PREFIXES: &[&str] = &["proxy-", "x-forwarded-"];

/// Headers of an answer that a guest does not see: credentials, invitations to send some, and framing.
const NOT_FOR_GUESTS: &[&str] = &[
    "set-cookie",
    "set-cookie2",
    "www-authenticate",
    "proxy-authenticate",
    "authorization",
    "proxy-authorization",
    "authentication-info",
    "proxy-authentication-info",
    "connection",
    "keep-alive",
    "transfer-encoding",
    "trailer",
    "upgrade",
    "alt-svc",
];

/// May the connection's own configuration (not the guest) put a credential into this header?
pub(crate) fn fit_for_credentials(name: &HeaderName) -> bool {
    matches!(name.as_str(), "authorization" | "cookie") || !host_owned(name.as_str())
}

/// A guest's headers, checked. `credential` are the headers that the endpoint's credential goes into.
pub(crate) fn from_guest(
    headers: &[(String, String)],
    credential: &[HeaderName],
    limits: &Limits,
) -> Result<HeaderMap, SendError> {
    if headers.len() > limits.request_headers {
        let message = format!("{} headers, more than {}", headers.len(), limits.request_headers);
        return Err(SendError::new(ErrorCode::TooLarge, message));
    }
    let bytes: usize = headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    if bytes > limits.request_header_bytes {
        let message = format!("{bytes} bytes of headers, more than {}", limits.request_header_bytes);
        return Err(SendError::new(ErrorCode::TooLarge, message));
    }
    let mut map = HeaderMap::with_capacity(headers.len());
    for (name, value) in headers {
        let shown: String = name.chars().take(64).flat_map(char::escape_default).collect();
        let parsed = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| SendError::invalid(format!("\"{shown}\" is not the name of a header")))?;
        if host_owned(parsed.as_str()) || credential.iter().any(|c| same(c.as_str(), parsed.as_str())) {
            return Err(SendError::refused(format!("the header {shown} is set by the host; leave it out")));
        }
        // Printable ASCII and tabs: no line ends, no bytes that systems read differently.
        let text = Some(value).filter(|value| value.is_ascii());
        let value = text.and_then(|value| HeaderValue::from_str(value).ok()).ok_or_else(|| {
            SendError::invalid(format!("the value of the header {shown} has characters that can't be sent"))
        })?;
        map.append(parsed, value);
    }
    Ok(map)
}

/// An answer's headers as a guest gets them (still to be redacted).
pub(crate) fn for_guest(
    headers: &HeaderMap,
    credential: &[HeaderName],
    limits: &Limits,
) -> Result<Vec<(String, String)>, SendError> {
    let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if bytes > limits.response_header_bytes {
        let message = format!("the answer has {bytes} bytes of headers, more than {}", limits.response_header_bytes);
        return Err(SendError::new(ErrorCode::TooLarge, message));
    }
    Ok(headers
        .iter()
        .filter(|(name, _)| !NOT_FOR_GUESTS.contains(&name.as_str()) && !credential.contains(name))
        .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect())
}

/// Some servers (CGI, WSGI) can't tell `x_forwarded_for` from `x-forwarded-for`.
fn dashed(name: &str) -> String {
    name.to_ascii_lowercase().replace('_', "-")
}

fn same(a: &str, b: &str) -> bool {
    dashed(a) == dashed(b)
}

fn host_owned(name: &str) -> bool {
    let name = dashed(name);
    HOST_OWNED.contains(&name.as_str()) || HOST_OWNED_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(name: &str, value: &str) -> Result<HeaderMap, ErrorCode> {
        let credential = HeaderName::from_static("x-api-key");
        from_guest(&[(name.into(), value.into())], &[credential], &Limits::default()).map_err(|e| e.code)
    }

    #[test]
    fn headers_of_the_host_are_refused() {
        for name in [
            "Host",
            "authorization",
            "Proxy-Authorization",
            "proxy-connection",
            "Cookie",
            "content-length",
            "Transfer-Encoding",
            "connection",
            "TE",
            "trailer",
            "upgrade",
            "keep-alive",
            "expect",
            "forwarded",
            "X-Forwarded-For",
            "x-forwarded-host",
            "x_forwarded_for",
            "Content_Length",
            "X-Api-Key",
            "x_api_key",
            "accept-encoding",
            "X-HTTP-Method-Override",
            "x-original-url",
            "via",
        ] {
            assert_eq!(one(name, "x").unwrap_err(), ErrorCode::Refused, "{name}");
        }
    }

    #[test]
    fn malformed_headers_are_refused() {
        for (name, value) in [
            ("", "x"),
            ("a b", "x"),
            ("a:b", "x"),
            (":authority", "x"),
            ("ä", "x"),
            ("a\r\nb", "x"),
            ("a", "x\r\ny: z"),
            ("a", "x\0"),
            ("a", "ü"),
        ] {
            assert_eq!(one(name, value).unwrap_err(), ErrorCode::InvalidRequest, "{name:?} {value:?}");
        }
    }

    #[test]
    fn counts_and_sizes_are_capped() {
        let many: Vec<_> = (0..65).map(|n| (format!("x-{n}"), String::new())).collect();
        assert_eq!(from_guest(&many, &[], &Limits::default()).unwrap_err().code, ErrorCode::TooLarge);
        assert!(from_guest(&many[..64], &[], &Limits::default()).is_ok());
        assert_eq!(one("a", &"x".repeat(16 * 1024)).unwrap_err(), ErrorCode::TooLarge);
        assert!(one("a", &"x".repeat(16 * 1024 - 1)).is_ok());
    }

    #[test]
    fn credentials_go_only_into_headers_that_carry_some() {
        for (name, fit) in [
            ("authorization", true),
            ("x-api-key", true),
            ("cookie", true),
            ("host", false),
            ("content-length", false),
            ("proxy-authorization", false),
            ("x-forwarded-for", false),
        ] {
            assert_eq!(fit_for_credentials(&HeaderName::from_static(name)), fit, "{name}");
        }
    }
}
