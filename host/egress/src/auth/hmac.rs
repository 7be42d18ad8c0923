//! Requests signed with a shared key.
//!
//! Almost every system that signs has a scheme of its own: another string that is signed, other headers, another
//! encoding. What they share is HMAC. So the string and the headers are templates ([`template`]), rendered over the
//! request as it will be sent, after which nothing changes it any more. A request that is sent again (a redirect, a
//! renewed session, a retry) is signed again, with a new time and nonce.
//!
//! A signature is not a secret: an echo of it is good for the request that it was made for. The key is, and never
//! leaves the host.

use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use http::{HeaderName, Method};
use minijinja::{Environment, Value, context};
use ring::rand::SecureRandom as _;
use ring::{digest, hmac, rand};
use url::Url;

use crate::auth::template::{self, Headers};
use crate::auth::{Setup, sensitive};
use crate::config::{HmacAlgorithm, HmacConfig, KeyEncoding, SignatureEncoding, TimestampFormat};
use crate::error::{ErrorCode, SendError};
use crate::limits::SIGN_HEADER_BYTES;

/// Name of the template of what is signed.
const SIGN: &str = "sign";

/// How an endpoint's requests are signed.
pub(crate) struct HmacAuth {
    key: hmac::Key,
    key_id: String,
    encoding: SignatureEncoding,
    timestamp: TimestampFormat,
    /// The headers that are added. The template of each has its name.
    headers: Vec<HeaderName>,
    templates: Environment<'static>,
}

/// A request as templates see it.
struct Parts<'a> {
    method: &'a Method,
    url: &'a Url,
    headers: Value,
    body: &'a [u8],
    now: SystemTime,
    nonce: String,
}

impl HmacAuth {
    /// Check a configuration, by signing a request with it.
    pub(crate) fn new(config: &HmacConfig, setup: &mut Setup<'_>) -> Option<Self> {
        let secret = setup.secret("auth.secret", &config.secret);
        let key_id = match &config.key_id {
            None => Some(String::new()),
            Some(credential) => setup.credential("auth.key_id", credential),
        };
        let mut templates = template::environment();
        let mut add = |name: String, field: &str, source: &str, setup: &mut Setup<'_>| {
            // Nothing secret is known to the template engine, so its message can be shown.
            let added = templates.add_template_owned(name, source.to_owned());
            added.map_err(|error| setup.wrong(field, format!("is not a template: {error}"))).is_ok()
        };
        let mut good = add(SIGN.to_owned(), "auth.sign", &config.sign, setup);
        let mut headers = Vec::with_capacity(config.headers.len());
        for (name, source) in &config.headers {
            let field = format!("auth.headers.{name}");
            match setup.header_name(&field, name) {
                Some(header) if headers.contains(&header) => {
                    setup.wrong(&field, "is there twice");
                    good = false;
                }
                Some(header) => {
                    good &= add(format!("header {header}"), &field, source, setup);
                    headers.push(header);
                }
                None => good = false,
            }
        }
        if !config.headers.values().any(|value| value.contains("signature")) {
            setup.wrong("auth.headers", "has no header with {{ signature }} in it");
            good = false;
        }
        let key = key(secret?.expose(), config.secret_encoding).map_err(|problem| setup.wrong("auth.secret", problem));
        let algorithm = match config.algorithm {
            HmacAlgorithm::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            HmacAlgorithm::Sha256 => hmac::HMAC_SHA256,
            HmacAlgorithm::Sha512 => hmac::HMAC_SHA512,
        };
        let auth = Self {
            key: hmac::Key::new(algorithm, &key.ok()?),
            key_id: key_id?,
            encoding: config.encoding,
            timestamp: config.timestamp,
            headers,
            templates,
        };
        let url = Url::parse("https://erp.example.com/orders?limit=1").ok().filter(|_| good)?;
        let trial = Parts {
            method: &Method::POST,
            url: &url,
            headers: Value::from_object(Headers::of(&http::HeaderMap::new())),
            body: b"{}",
            now: SystemTime::now(),
            nonce: "0".repeat(32),
        };
        match auth.signed(&trial) {
            Ok(_) => Some(auth),
            Err((name, problem)) => {
                setup.wrong(&format!("auth.{}", name.replace("header ", "headers.")), problem);
                None
            }
        }
    }

    /// The headers that the host sets.
    pub(crate) fn headers(&self) -> &[HeaderName] {
        &self.headers
    }

    /// Sign a request that is ready to be sent.
    pub(crate) fn sign(&self, request: &mut reqwest::Request, now: SystemTime) -> Result<(), SendError> {
        let nonce =
            nonce().ok_or_else(|| SendError::new(ErrorCode::Misconfigured, "this machine gives no random numbers"))?;
        let parts = Parts {
            method: request.method(),
            url: request.url(),
            headers: Value::from_object(Headers::of(request.headers())),
            body: request.body().and_then(reqwest::Body::as_bytes).unwrap_or_default(),
            now,
            nonce,
        };
        let values = self.signed(&parts).map_err(|(_, problem)| {
            SendError::invalid(format!("the request can't be signed as the connection wants it: {problem}"))
        })?;
        for (name, value) in values {
            request.headers_mut().insert(name, value);
        }
        Ok(())
    }

    /// The headers of a request, or the template that failed and how.
    fn signed(&self, parts: &Parts<'_>) -> Result<Vec<(HeaderName, http::HeaderValue)>, (String, String)> {
        let failed = |name: &str, error: &minijinja::Error, body: &[u8]| {
            // The engine's own words may have a part of a body in them.
            let mut problem = format!("can't be rendered: {} in line {}", error.kind(), error.line().unwrap_or(1));
            if std::str::from_utf8(body).is_err() {
                problem.push_str("; `body` is there for text only, sign content_sha256 in its place");
            }
            (name.to_owned(), problem)
        };
        let values = self.values(parts);
        let text = self.render(SIGN, &values).map_err(|error| failed(SIGN, &error, parts.body))?;
        let signature = self.encode(hmac::sign(&self.key, text.as_bytes()).as_ref());
        let values = context! { signature, ..values };
        let mut out = Vec::with_capacity(self.headers.len());
        for header in &self.headers {
            let name = format!("header {header}");
            let text = self.render(&name, &values).map_err(|error| failed(&name, &error, parts.body))?;
            let value = sensitive(text.trim()).filter(|value| value.len() <= SIGN_HEADER_BYTES);
            let value = value.ok_or_else(|| (name, "renders to what can't stand in a header".to_owned()))?;
            out.push((header.clone(), value));
        }
        Ok(out)
    }

    fn render(&self, name: &str, values: &Value) -> Result<String, minijinja::Error> {
        self.templates.get_template(name)?.render(values.clone())
    }

    fn values(&self, parts: &Parts<'_>) -> Value {
        let url = parts.url;
        let query = url.query().unwrap_or_default();
        let target = url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
        let params: Vec<[String; 2]> =
            url.query_pairs().map(|(name, value)| [name.into_owned(), value.into_owned()]).collect();
        let hash = digest::digest(&digest::SHA256, parts.body);
        let values = context! {
            method => parts.method.as_str(),
            host => host(url),
            path => url.path(),
            query,
            target,
            params,
            headers => parts.headers.clone(),
            content_length => parts.body.len(),
            content_sha256 => hex(hash.as_ref()),
            content_sha256_base64 => STANDARD.encode(hash.as_ref()),
            timestamp => time(parts.now, self.timestamp),
            nonce => parts.nonce.as_str(),
            key_id => self.key_id.as_str(),
        };
        match std::str::from_utf8(parts.body) {
            Ok(body) => context! { body, ..values },
            Err(_) => values,
        }
    }

    fn encode(&self, signature: &[u8]) -> String {
        match self.encoding {
            SignatureEncoding::Hex => hex(signature),
            SignatureEncoding::Base64 => STANDARD.encode(signature),
            SignatureEncoding::Base64url => URL_SAFE_NO_PAD.encode(signature),
        }
    }
}

fn key(text: &str, encoding: KeyEncoding) -> Result<Vec<u8>, &'static str> {
    let key = match encoding {
        KeyEncoding::Raw => text.as_bytes().to_vec(),
        KeyEncoding::Base64 => {
            let text = text.strip_prefix("whsec_").unwrap_or(text).trim_end_matches('=');
            let either = STANDARD_NO_PAD.decode(text).or_else(|_| URL_SAFE_NO_PAD.decode(text));
            either.map_err(|_| "is not base64, as secret_encoding says")?
        }
        KeyEncoding::Hex => unhex(text).ok_or("is not hexadecimal, as secret_encoding says")?,
    };
    if key.is_empty() { Err("is empty") } else { Ok(key) }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |b: u8| char::from(b).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect()
}

/// Bytes in hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len().saturating_mul(2)), |mut out, byte| {
        // A String takes whatever is written.
        let _ = write!(out, "{byte:02x}");
        out
    })
}

/// The `Host` header as the client writes it.
pub(crate) fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

fn time(now: SystemTime, format: TimestampFormat) -> String {
    let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    match format {
        TimestampFormat::Unix => since.as_secs().to_string(),
        TimestampFormat::UnixMs => since.as_millis().to_string(),
        TimestampFormat::Rfc3339 => stamp(now, "%Y-%m-%dT%H:%M:%SZ"),
        TimestampFormat::Http => httpdate::fmt_http_date(now),
    }
}

/// A time in UTC, in the words of strftime.
pub(crate) fn stamp(now: SystemTime, format: &str) -> String {
    jiff::Timestamp::try_from(now).map(|now| now.strftime(format).to_string()).unwrap_or_default()
}

/// 16 random bytes.
fn nonce() -> Option<String> {
    let mut bytes = [0; 16];
    rand::SystemRandom::new().fill(&mut bytes).ok()?;
    Some(hex(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn keys_are_read_as_they_are_written() {
        assert_eq!(key("plain", KeyEncoding::Raw).as_deref(), Ok("plain".as_bytes()));
        assert_eq!(key("whsec_cGxhaW4=", KeyEncoding::Base64).as_deref(), Ok("plain".as_bytes()));
        assert_eq!(key("cGxhaW4", KeyEncoding::Base64).as_deref(), Ok("plain".as_bytes()));
        assert_eq!(key("706C61696e", KeyEncoding::Hex).as_deref(), Ok("plain".as_bytes()));
        for (text, encoding) in [
            ("7", KeyEncoding::Hex),
            ("+f", KeyEncoding::Hex),
            ("zz", KeyEncoding::Hex),
            ("no base64", KeyEncoding::Base64),
            ("whsec_", KeyEncoding::Base64),
        ] {
            assert!(key(text, encoding).is_err(), "{text}");
        }
    }

    #[test]
    fn times_are_written_as_the_system_wants_them() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_millis(1_440_938_160_007);
        for (format, text) in [
            (TimestampFormat::Unix, "1440938160"),
            (TimestampFormat::UnixMs, "1440938160007"),
            (TimestampFormat::Rfc3339, "2015-08-30T12:36:00Z"),
            (TimestampFormat::Http, "Sun, 30 Aug 2015 12:36:00 GMT"),
        ] {
            assert_eq!(time(now, format), text);
        }
    }
}
