//! Checks with secrets of the connection that the plugin never sees. For webhooks, see [`webhook`](crate::webhook).
//!
//! The host refuses a webhook for which no [`verify_hmac`] or [`verify_equal`] came out true, whatever the plugin returned.

use crate::types::Failure;
use std::time::Duration;

#[cfg(target_arch = "wasm32")]
use crate::bindings::imports::confab::plugin::signatures as door;
#[cfg(not(target_arch = "wasm32"))]
use crate::testing::door::signatures as door;

/// How an HMAC is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// HMAC-SHA-256.
    Sha256,
    /// HMAC-SHA-1, which some platforms still use.
    Sha1,
    /// HMAC-SHA-512.
    Sha512,
}

impl Algorithm {
    fn as_str(self) -> &'static str {
        match self {
            Algorithm::Sha256 => "sha256",
            Algorithm::Sha1 => "sha1",
            Algorithm::Sha512 => "sha512",
        }
    }
}

/// Whether `signature` is the HMAC of `message` under a secret that the manifest's `[webhook]` names. The signature is bytes:
/// see [`from_hex`] and [`from_base64`].
///
/// # Errors
/// `unknown-secret`, `misconfigured`, `limit`, `unsupported`: see `wit/v1/plugin/host.wit`.
pub fn verify_hmac(secret: &str, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> Result<bool, Failure> {
    door::verify_hmac(secret, algorithm.as_str(), message, signature)
}

/// Whether a value is the secret itself.
///
/// # Errors
/// As [`verify_hmac`].
pub fn verify_equal(secret: &str, value: &str) -> Result<bool, Failure> {
    door::verify_equal(secret, value)
}

/// Whether a moment is no more than so long ago or ahead, by the host's clock. Five minutes are usual.
pub fn fresh(unix_seconds: i64, tolerance: Duration) -> bool {
    door::fresh(unix_seconds, u32::try_from(tolerance.as_secs()).unwrap_or(u32::MAX))
}

/// Goes on if it fits, else fails with `unauthorised`: `require(verify_hmac(...)?)?`.
///
/// # Errors
/// `unauthorised`, for which the platform gets 401.
pub fn require(fits: bool) -> Result<(), Failure> {
    if fits {
        return Ok(());
    }
    Err(crate::webhook::unauthorised("the request is not signed with this connection's secret, or it is too old"))
}

/// Bytes of hexadecimal digits in either case; none if it is something else.
pub fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| if let [high, low] = pair { Some(digit(high)? << 4 | digit(low)?) } else { None }).collect()
}

/// Bytes of base64 in either alphabet, with or without `=` at its end; none if it is something else.
pub fn from_base64(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3 + 2);
    let (mut bits, mut count) = (0_u32, 0_u32);
    let digits = text.trim_end_matches('=');
    if text.len() - digits.len() > 2 || digits.len() % 4 == 1 {
        return None;
    }
    for digit in digits.bytes() {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count & 0xff) as u8);
            bits &= (1 << count) - 1;
        }
    }
    // What is over says nothing: the same bytes in other words would be another signature.
    (bits == 0).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Host, hmac};

    #[test]
    fn hexadecimal_and_base64_are_read_and_nothing_else_is() {
        assert_eq!(from_hex("00fFa1"), Some(vec![0, 0xff, 0xa1]));
        assert_eq!(
            (from_hex("0"), from_hex("0g"), from_hex("\u{e9}"), from_hex("")),
            (None, None, None, Some(Vec::new()))
        );
        for (text, bytes) in
            [("", ""), ("Zg==", "f"), ("Zg", "f"), ("Zm8=", "fo"), ("Zm9v", "foo"), ("Zm9vYmFy", "foobar")]
        {
            assert_eq!(from_base64(text).as_deref(), Some(bytes.as_bytes()), "{text}");
        }
        assert_eq!(from_base64("-_+/"), Some(vec![0xfb, 0xff, 0xbf]));
        for text in ["Z", "Zh==", "Zg===", "Zm 9", "Zg=a"] {
            assert_eq!(from_base64(text), None, "{text}");
        }
    }

    #[test]
    fn a_signature_fits_its_secret_its_message_and_its_algorithm() {
        let host = Host::new().webhook_secret("signing", "new key").webhook_secret("signing", "old key");
        for algorithm in [Algorithm::Sha256, Algorithm::Sha1, Algorithm::Sha512] {
            let check = |message: &str, key: &str| {
                let signature = hmac(algorithm, key, "message");
                host.run(|| verify_hmac("signing", algorithm, message.as_bytes(), &signature)).unwrap()
            };
            let fits = (check("message", "new key"), check("message", "old key"), check("Message", "new key"));
            assert_eq!(fits, (true, true, false));
            assert!(!check("message", "other key"));
        }
        let equal = |secret: &str, value: &str| host.run(|| verify_equal(secret, value)).map_err(|e| e.code);
        assert_eq!(
            (equal("signing", "old key"), equal("signing", "old"), equal("signing", "")),
            (Ok(true), Ok(false), Ok(false))
        );
        assert_eq!(equal("other", "old key"), Err("unknown-secret".into()));
        let at = |seconds: i64| Host::new().now(1_000_500).run(|| fresh(seconds, Duration::from_secs(300)));
        assert_eq!((at(1_000), at(700), at(699), at(1_300), at(1_301)), (true, true, false, true, false));
    }

    #[test]
    fn the_tests_own_hmac_is_that_of_rfc_4231_and_rfc_2202() {
        let made = |algorithm| hmac(algorithm, "Jefe", "what do ya want for nothing?");
        let wanted = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(Some(made(Algorithm::Sha256)), from_hex(wanted));
        assert_eq!(Some(made(Algorithm::Sha1)), from_hex("effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"));
    }
}
