//! AWS Signature Version 4, over the request as it will be sent.
//!
//! Written here and not taken from `aws-sigv4`, which brings a dozen crates of the SDK's runtime for what are three
//! hashes; it is held against the vectors that AWS publishes (the tests below). Four points that implementations
//! differ in:
//!
//! - S3 encodes a path once; all other services encode the path *as it is sent* once more, and fold `//` into `/`.
//! - A `+` in a query means a space to some of AWS's servers and a plus to others. It is sent as `%20`, which is what
//!   a form means by it, so that there is nothing to differ about.
//! - Signed are the host, all `x-amz-*` and all `content-*` headers. The rest may be changed on the way.
//! - `x-amz-content-sha256` is sent to the services that refuse requests without it.

use std::time::SystemTime;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName};
use percent_encoding::{percent_decode_str, utf8_percent_encode};
use ring::{digest, hmac};
use url::Url;

use crate::auth::hmac::{hex, host, stamp};
use crate::auth::template::STRICT;
use crate::auth::{Setup, sensitive};
use crate::config::AwsConfig;
use crate::error::{ErrorCode, SendError};
use crate::secret::Secret;

static DATE: HeaderName = HeaderName::from_static("x-amz-date");
static TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");
static HASH: HeaderName = HeaderName::from_static("x-amz-content-sha256");

/// Set by the host, so not by a guest.
static OWNED: [HeaderName; 4] = [
    AUTHORIZATION,
    HeaderName::from_static("x-amz-date"),
    HeaderName::from_static("x-amz-security-token"),
    HeaderName::from_static("x-amz-content-sha256"),
];

/// Services that want the body's hash in a header.
const WANT_HASH: &[&str] = &["s3", "s3-object-lambda", "s3-outposts", "aoss", "glacier"];

/// Services whose paths are encoded once.
const ENCODE_ONCE: &[&str] = &["s3", "s3-object-lambda", "s3-outposts"];

/// How an endpoint's requests are signed.
pub(crate) struct AwsAuth {
    region: String,
    service: String,
    access_key_id: String,
    secret_access_key: Secret,
    session_token: Option<Secret>,
}

impl AwsAuth {
    /// Check a configuration.
    pub(crate) fn new(config: &AwsConfig, setup: &mut Setup<'_>) -> Option<Self> {
        let access_key_id = setup.credential("auth.access_key_id", &config.access_key_id);
        let secret_access_key = setup.secret("auth.secret_access_key", &config.secret_access_key);
        let session_token = match &config.session_token {
            Some(reference) => Some(setup.secret("auth.session_token", reference)?),
            None => None,
        };
        let access_key_id = access_key_id?;
        // All three stand in a header between slashes and commas.
        let plain =
            |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
        let mut good = true;
        for (field, text) in
            [("auth.region", &config.region), ("auth.service", &config.service), ("auth.access_key_id", &access_key_id)]
        {
            if !plain(text) {
                setup.wrong(field, "has other characters than letters, digits, '-', '_' and '.'");
                good = false;
            }
        }
        if session_token.as_ref().is_some_and(|token| sensitive(token.expose()).is_none()) {
            setup.wrong("auth.session_token", "has characters that can't stand in a header; look at the secret");
            good = false;
        }
        let secret_access_key = secret_access_key.filter(|_| good)?;
        let (region, service) = (config.region.clone(), config.service.clone());
        Some(Self { region, service, access_key_id, secret_access_key, session_token })
    }

    /// The headers that the host sets.
    pub(crate) fn headers(&self) -> &[HeaderName] {
        &OWNED
    }

    /// Sign a request that is ready to be sent.
    pub(crate) fn sign(&self, request: &mut reqwest::Request, now: SystemTime) -> Result<(), SendError> {
        if let Some(query) = request.url().query().filter(|query| query.contains('+')) {
            let query = query.replace('+', "%20");
            request.url_mut().set_query(Some(&query));
        }
        let date = stamp(now, "%Y%m%dT%H%M%SZ");
        let body = request.body().and_then(reqwest::Body::as_bytes).unwrap_or_default();
        let hash = hex(digest::digest(&digest::SHA256, body).as_ref());
        let unfit = || SendError::new(ErrorCode::Misconfigured, "the signature can't stand in a header");
        let mut more = vec![(&DATE, date.clone())];
        more.extend(self.session_token.as_ref().map(|token| (&TOKEN, token.expose().to_owned())));
        if WANT_HASH.contains(&self.service.as_str()) {
            more.push((&HASH, hash.clone()));
        }
        for (name, value) in more {
            request.headers_mut().insert(name, sensitive(&value).ok_or_else(unfit)?);
        }
        let signed = self.signed(request.method().as_str(), request.url(), request.headers(), &hash, &date);
        request.headers_mut().insert(AUTHORIZATION, sensitive(&signed).ok_or_else(unfit)?);
        Ok(())
    }

    /// The value of `Authorization`.
    fn signed(&self, method: &str, url: &Url, headers: &HeaderMap, hash: &str, date: &str) -> String {
        let once = ENCODE_ONCE.contains(&self.service.as_str());
        let mut lines = vec![("host".to_owned(), host(url))];
        for name in headers.keys().filter(|name| is_signed(name)) {
            let values: Vec<String> = headers
                .get_all(name)
                .iter()
                .map(|value| squeezed(&String::from_utf8_lossy(value.as_bytes())))
                .collect();
            lines.push((name.as_str().to_owned(), values.join(",")));
        }
        lines.sort();
        let names = lines.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(";");
        let lines: String = lines.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
        let (path, query) = (canonical_path(url.path(), once), canonical_query(url.query().unwrap_or_default()));
        let request = format!("{method}\n{path}\n{query}\n{lines}\n{names}\n{hash}");
        let day = date.get(..8).unwrap_or_default();
        let scope = format!("{day}/{}/{}/aws4_request", self.region, self.service);
        let request = hex(digest::digest(&digest::SHA256, request.as_bytes()).as_ref());
        let text = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{request}");
        let mut key = format!("AWS4{}", self.secret_access_key.expose()).into_bytes();
        for part in [day, &self.region, &self.service, "aws4_request"] {
            key = mac(&key, part);
        }
        let (id, signature) = (&self.access_key_id, hex(&mac(&key, &text)));
        format!("AWS4-HMAC-SHA256 Credential={id}/{scope}, SignedHeaders={names}, Signature={signature}")
    }
}

fn is_signed(name: &HeaderName) -> bool {
    let name = name.as_str();
    // The length is the client's business.
    name.starts_with("x-amz-") || (name.starts_with("content-") && name != "content-length")
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec()
}

/// Without spaces at the ends, and one for several within.
fn squeezed(value: &str) -> String {
    value.split_ascii_whitespace().collect::<Vec<_>>().join(" ")
}

fn canonical_path(path: &str, once: bool) -> String {
    if once {
        let segment = |text| utf8_percent_encode_bytes(&percent_decode_str(text).collect::<Vec<u8>>());
        return path.split('/').map(segment).collect::<Vec<_>>().join("/");
    }
    let mut out = String::with_capacity(path.len());
    for segment in path.split('/').filter(|segment| !segment.is_empty()) {
        out.push('/');
        out.extend(utf8_percent_encode(segment, STRICT));
    }
    if path.ends_with('/') || out.is_empty() {
        out.push('/');
    }
    out
}

fn canonical_query(query: &str) -> String {
    let encoded = |text: &str| utf8_percent_encode_bytes(&percent_decode_str(text).collect::<Vec<u8>>());
    let mut pairs: Vec<(String, String)> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (encoded(name), encoded(value)))
        .collect();
    pairs.sort();
    pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

fn utf8_percent_encode_bytes(bytes: &[u8]) -> String {
    percent_encoding::percent_encode(bytes, STRICT).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Keys, time and place of AWS's test suite and of the examples in S3's documentation.
    fn auth(service: &str) -> AwsAuth {
        let (id, secret) = match service {
            "s3" => ("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
            _ => ("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
        };
        AwsAuth {
            region: "us-east-1".into(),
            service: service.into(),
            access_key_id: id.into(),
            secret_access_key: Secret::new(secret.into()),
            session_token: None,
        }
    }

    fn signed(service: &str, method: &str, url: &str, headers: &[(&str, &str)], body: &str) -> String {
        let auth = auth(service);
        let date = if service == "s3" { "20130524T000000Z" } else { "20150830T123600Z" };
        let mut map = HeaderMap::new();
        map.insert(&DATE, date.parse().unwrap());
        for (name, value) in headers {
            map.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        }
        let hash = hex(digest::digest(&digest::SHA256, body.as_bytes()).as_ref());
        if service == "s3" {
            map.insert(&HASH, hash.parse().unwrap());
        }
        let value = auth.signed(method, &Url::parse(url).unwrap(), &map, &hash, date);
        value.rsplit_once("Signature=").unwrap().1.to_owned()
    }

    #[test]
    fn awss_own_test_suite_is_signed_as_it_says() {
        let form = [("content-type", "application/x-www-form-urlencoded")];
        let charset = [("content-type", "application/x-www-form-urlencoded; charset=utf8")];
        let none: &[(&str, &str)] = &[];
        for (method, target, headers, body, signature) in [
            ("GET", "/", none, "", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
            ("POST", "/", none, "", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
            ("GET", "//", none, "", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
            (
                "GET",
                "/?Param2=value2&Param1=value1",
                none,
                "",
                "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
            ),
            ("GET", "/?Param1=value1", none, "", "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb"),
            ("GET", "/?%E1%88%B4=bar", none, "", "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04"),
            ("POST", "/?Param1=value1", none, "", "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11"),
            ("POST", "/", &form, "Param1=value1", "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"),
            (
                "POST",
                "/",
                &charset,
                "Param1=value1",
                "1a72ec8f64bd914b0e42e42607c7fbce7fb2c7465f63e3092b3b0d39fa77a6fe",
            ),
        ] {
            let url = format!("https://example.amazonaws.com{target}");
            assert_eq!(signed("service", method, &url, headers, body), signature, "{method} {target} {headers:?}");
        }
    }

    #[test]
    fn the_examples_of_s3s_documentation_are_signed_as_it_says() {
        for (method, target, headers, body, signature) in [
            ("GET", "/?lifecycle", &[][..], "", "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
            (
                "GET",
                "/?max-keys=2&prefix=J",
                &[],
                "",
                "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
            ),
        ] {
            let url = format!("https://examplebucket.s3.amazonaws.com{target}");
            assert_eq!(signed("s3", method, &url, headers, body), signature, "{method} {target}");
        }
    }

    #[test]
    fn paths_are_encoded_once_for_s3_and_once_more_for_the_others() {
        assert_eq!(canonical_path("/a%20b/%C3%A4!/x%2Fy//z/", false), "/a%2520b/%25C3%25A4%21/x%252Fy/z/");
        assert_eq!(canonical_path("/a%20b/%C3%A4!/x%2Fy//z/", true), "/a%20b/%C3%A4%21/x%2Fy//z/");
        assert_eq!(canonical_path("/", false), "/");
        assert_eq!(canonical_query("b=2&a=%2f&a=!&c"), "a=%21&a=%2F&b=2&c=");
    }
}
