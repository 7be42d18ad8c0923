//! Standard Webhooks 1.0.0: how a webhook is signed, and how a signature is verified.
//!
//! Signed is `ID.TIMESTAMP.BODY`, with the body as the bytes that go over the wire. A signature is a version, a comma and base64:
//! `v1` is HMAC-SHA256 with a secret that both sides have (`whsec_`), `v1a` is Ed25519, of which the sender has the private key (`whsk_`)
//! and the receiver the public one (`whpk_`). A message may have several signatures, so that a secret can be replaced without a gap;
//! one that fits is enough.
//!
//! What it does not do: remember ids. A message that is sent twice within [`TOLERANCE`] verifies twice; whoever receives it has to know
//! its id again.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use ring::{hmac, signature};
use std::fmt;
use std::time::{Duration, SystemTime};

/// How far a message's time may be from ours, both ways: what the official libraries allow.
pub const TOLERANCE: Duration = Duration::from_secs(5 * 60);
/// Signatures of a message that are looked at: far more than a rotation has, and few enough to cost nothing.
const MOST_SIGNATURES: usize = 32;
/// Bytes of a secret for HMAC, as the specification has it.
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;
/// Bytes of a seed or a public key of Ed25519.
const KEY_BYTES: usize = 32;

/// The header with the message's id: the same each time that the message is sent.
pub const ID: &str = "webhook-id";
/// The header with the time of sending, in seconds since 1970.
pub const TIMESTAMP: &str = "webhook-timestamp";
/// The header with the signatures, divided by spaces.
pub const SIGNATURE: &str = "webhook-signature";

/// People paste secrets with and without the `=` at their end.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What signatures are made or verified with. Does not print.
pub struct Key(Kind);

enum Kind {
    Shared(hmac::Key),
    // Boxed: it is four times as large as the others.
    Private(Box<Ed25519KeyPair>),
    Public([u8; KEY_BYTES]),
}

/// Why a text is no key. Does not repeat it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// None of the three prefixes.
    #[error("begins with none of whsec_ (HMAC), whsk_ (Ed25519, private) and whpk_ (Ed25519, public)")]
    Prefix,
    /// What follows is no base64.
    #[error("has something other than base64 after its prefix")]
    Base64,
    /// A secret for HMAC of another length.
    #[error("has not 24 to 64 bytes after whsec_, in base64 (32 to 88 characters)")]
    Secret,
    /// A private key of another form.
    #[error("is no private key of Ed25519: whsk_ and the base64 of its 32 bytes (or 64, with the public key)")]
    Private,
    /// A public key of another form.
    #[error("is no public key of Ed25519: whpk_ and the base64 of its 32 bytes")]
    Public,
    /// Nothing can be signed with a public key.
    #[error("is a public key (whpk_), with which nothing can be signed: name the private one (whsk_)")]
    CantSign,
}

/// Why a message is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// A header is not there, or is empty.
    #[error("the header {0} is missing")]
    Missing(&'static str),
    /// A header is there more than once, so that nobody knows which one was signed.
    #[error("the header {0} is there more than once")]
    Twice(&'static str),
    /// The id could be read as part of what follows it.
    #[error("webhook-id has a full stop in it")]
    Id,
    /// Not seconds since 1970.
    #[error("webhook-timestamp is not a number of seconds")]
    Timestamp,
    /// Sent too long ago.
    #[error("webhook-timestamp is more than 5 minutes ago")]
    Late,
    /// Sent in the future.
    #[error("webhook-timestamp is more than 5 minutes ahead")]
    Early,
    /// No signature is of a version for which there is a key.
    #[error(
        "webhook-signature has no signature of a version that this endpoint verifies (v1 for whsec_, v1a for whpk_)"
    )]
    Version,
    /// No signature fits.
    #[error("no signature fits")]
    Signature,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Key {
    /// Reads `whsec_...`, `whsk_...` or `whpk_...`.
    ///
    /// # Errors
    /// [`KeyError`], which does not repeat the text.
    pub fn parse(text: &str) -> Result<Key, KeyError> {
        let decode = |base64: &str| LENIENT.decode(base64).map_err(|_| KeyError::Base64);
        let text = text.trim();
        if let Some(base64) = text.strip_prefix("whsec_") {
            let secret = decode(base64)?;
            if !SECRET_BYTES.contains(&secret.len()) {
                return Err(KeyError::Secret);
            }
            return Ok(Key(Kind::Shared(hmac::Key::new(hmac::HMAC_SHA256, &secret))));
        }
        if let Some(base64) = text.strip_prefix("whsk_") {
            let bytes = decode(base64)?;
            let pair = match bytes.split_at_checked(KEY_BYTES) {
                Some((seed, [])) => Ed25519KeyPair::from_seed_unchecked(seed),
                Some((seed, public)) => Ed25519KeyPair::from_seed_and_public_key(seed, public),
                None => return Err(KeyError::Private),
            };
            return pair.map(|pair| Key(Kind::Private(Box::new(pair)))).map_err(|_| KeyError::Private);
        }
        if let Some(base64) = text.strip_prefix("whpk_") {
            let bytes = decode(base64)?.try_into().map_err(|_| KeyError::Public)?;
            return Ok(Key(Kind::Public(bytes)));
        }
        Err(KeyError::Prefix)
    }

    /// The same, but only what can sign.
    ///
    /// # Errors
    /// [`KeyError`]
    pub fn parse_signing(text: &str) -> Result<Key, KeyError> {
        match Key::parse(text)? {
            Key(Kind::Public(_)) => Err(KeyError::CantSign),
            key => Ok(key),
        }
    }

    /// The public key as `whpk_...`, for the receiver; none of a shared secret.
    pub fn public(&self) -> Option<String> {
        let bytes: &[u8] = match &self.0 {
            Kind::Shared(_) => return None,
            Kind::Private(pair) => pair.public_key().as_ref(),
            Kind::Public(bytes) => bytes,
        };
        Some(format!("whpk_{}", STANDARD.encode(bytes)))
    }

    const fn version(&self) -> &'static str {
        match self.0 {
            Kind::Shared(_) => "v1",
            Kind::Private(_) | Kind::Public(_) => "v1a",
        }
    }

    fn sign(&self, signed: &[u8]) -> Option<String> {
        let signature = match &self.0 {
            Kind::Shared(key) => STANDARD.encode(hmac::sign(key, signed)),
            Kind::Private(pair) => STANDARD.encode(pair.sign(signed)),
            Kind::Public(_) => return None,
        };
        Some(format!("{},{signature}", self.version()))
    }

    /// Takes the same time whatever the signature is.
    fn fits(&self, signed: &[u8], signature: &[u8]) -> bool {
        let verify = |public: &[u8]| {
            UnparsedPublicKey::new(&ED25519 as &dyn signature::VerificationAlgorithm, public).verify(signed, signature)
        };
        match &self.0 {
            Kind::Shared(key) => hmac::verify(key, signed, signature).is_ok(),
            Kind::Private(pair) => verify(pair.public_key().as_ref()).is_ok(),
            Kind::Public(bytes) => verify(bytes).is_ok(),
        }
    }
}

/// The value of `webhook-signature` for a message: one signature of each key, in order.
pub fn sign(keys: &[Key], id: &str, timestamp: u64, body: &[u8]) -> String {
    let signed = signed(id, &timestamp.to_string(), body);
    keys.iter().filter_map(|key| key.sign(&signed)).collect::<Vec<_>>().join(" ")
}

/// Whether a message is from somebody who has one of the secrets, and of now. Names of headers in any case.
///
/// # Errors
/// [`Why`]. Without a key nothing is verified, and everything is refused.
pub fn verify<N: AsRef<str>, V: AsRef<str>>(
    keys: &[Key],
    headers: &[(N, V)],
    body: &[u8],
    now: SystemTime,
) -> Result<(), Why> {
    let id = header(headers, ID)?;
    let timestamp = header(headers, TIMESTAMP)?;
    let signatures = header(headers, SIGNATURE)?;
    if id.contains('.') {
        return Err(Why::Id);
    }
    in_time(timestamp, now)?;
    let signed = signed(id, timestamp, body);
    let mut known = false;
    for (version, signature) in
        signatures.split_ascii_whitespace().take(MOST_SIGNATURES).filter_map(|one| one.split_once(','))
    {
        let of_version = || keys.iter().filter(|key| key.version() == version);
        known |= of_version().next().is_some();
        if let Ok(signature) = LENIENT.decode(signature)
            && of_version().any(|key| key.fits(&signed, &signature))
        {
            return Ok(());
        }
    }
    Err(if known { Why::Signature } else { Why::Version })
}

fn in_time(timestamp: &str, now: SystemTime) -> Result<(), Why> {
    // Digits alone: `parse` takes a plus sign.
    if timestamp.is_empty() || !timestamp.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Why::Timestamp);
    }
    let sent: u64 = timestamp.parse().map_err(|_| Why::Timestamp)?;
    let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    match sent {
        sent if now.saturating_sub(sent) > TOLERANCE.as_secs() => Err(Why::Late),
        sent if sent.saturating_sub(now) > TOLERANCE.as_secs() => Err(Why::Early),
        _ => Ok(()),
    }
}

fn header<'h, N: AsRef<str>, V: AsRef<str>>(headers: &'h [(N, V)], name: &'static str) -> Result<&'h str, Why> {
    let mut found = headers.iter().filter(|(other, _)| other.as_ref().eq_ignore_ascii_case(name));
    let value = found.next().map(|(_, value)| value.as_ref().trim()).filter(|value| !value.is_empty());
    let value = value.ok_or(Why::Missing(name))?;
    if found.next().is_some() { Err(Why::Twice(name)) } else { Ok(value) }
}

fn signed(id: &str, timestamp: &str, body: &[u8]) -> Vec<u8> {
    [id.as_bytes(), b".", timestamp.as_bytes(), b".", body].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    // The values of the official libraries' own tests.
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const PRIVATE: &str = "whsk_VEVTVFNJR05JTkdLRVlET05PVFVTRVRISVNGT1JBTlk=";
    const MESSAGE: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const SENT: u64 = 1_614_265_330;
    const BODY: &[u8] = br#"{"test": 2432232314}"#;
    const V1: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
    const V1A: &str = "v1a,tQ9V2XOqn7jL/DQenEFpqIugdBVtiMmER5mhSkXBNwM0mkATuDe6KYYUuxqtaiHeYGb7KaaBRdM5WqyeFiL8Ag==";

    fn key(text: &str) -> Key {
        Key::parse(text).unwrap()
    }

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn headers(signature: &str) -> Vec<(String, String)> {
        [("Webhook-Id", MESSAGE), ("webhook-timestamp", "1614265330"), ("WEBHOOK-SIGNATURE", signature)]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec()
    }

    fn verified(secret: &str, signature: &str) -> Result<(), Why> {
        verify(&[key(secret)], &headers(signature), BODY, at(SENT))
    }

    #[test]
    fn the_vectors_of_the_official_libraries_come_out() {
        assert_eq!(sign(&[key(SECRET)], MESSAGE, SENT, BODY), V1);
        assert_eq!(sign(&[key(PRIVATE)], MESSAGE, SENT, BODY), V1A);
        assert_eq!(sign(&[key(SECRET), key(PRIVATE)], MESSAGE, SENT, BODY), format!("{V1} {V1A}"));
    }

    #[test]
    fn what_was_signed_verifies_with_the_secret_or_the_public_key() {
        let public = key(PRIVATE).public().unwrap();
        assert_eq!(verified(SECRET, V1), Ok(()));
        assert_eq!(verified(&public, V1A), Ok(()));
        assert_eq!(verified(PRIVATE, V1A), Ok(()));
        assert_eq!(sign(&[key(&public)], MESSAGE, SENT, BODY), "", "a public key signs nothing");
        assert_eq!(Key::parse_signing(&public).err(), Some(KeyError::CantSign));
    }

    #[test]
    fn one_signature_that_fits_among_others_is_enough() {
        let wrong = "v1,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc=";
        let list = format!("{wrong} v2,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc= {V1} {wrong}");
        assert_eq!(verified(SECRET, &list), Ok(()));
        let old = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        assert_eq!(verify(&[key(old), key(SECRET)], &headers(V1), BODY, at(SENT)), Ok(()), "one of two secrets");
        assert_eq!(verified(old, V1), Err(Why::Signature));
        let flood = [vec![wrong; MOST_SIGNATURES], vec![V1]].concat().join(" ");
        assert_eq!(verified(SECRET, &flood), Err(Why::Signature), "nobody is made to try signatures without end");
    }

    #[test]
    fn a_change_of_anything_that_was_signed_is_found() {
        let verify =
            |headers: &[(String, String)], body: &[u8], now| super::verify(&[key(SECRET)], headers, body, at(now));
        assert_eq!(verify(&headers(V1), br#"{"test":2432232314}"#, SENT), Err(Why::Signature));
        for (changed, value) in [(0, "msg_p5jXN8AQM9LWM0D4loKWxJel"), (1, "1614265331")] {
            let mut headers = headers(V1);
            headers[changed].1 = value.to_owned();
            assert_eq!(verify(&headers, BODY, SENT), Err(Why::Signature), "{value}");
        }
        for signature in ["v1,", "v1,g0hM9SsE", "v1,dawfeoifkpqwoekfpqoekf", &V1.replace('g', "h")] {
            assert_eq!(verified(SECRET, signature), Err(Why::Signature), "{signature}");
        }
        assert_eq!(verified(PRIVATE, &V1A.replace("tQ9", "tQ8")), Err(Why::Signature));
    }

    #[test]
    fn late_and_early_messages_are_refused() {
        let verify = |now| verify(&[key(SECRET)], &headers(V1), BODY, at(now));
        for now in [SENT - 300, SENT, SENT + 300] {
            assert_eq!(verify(now), Ok(()), "{now}");
        }
        assert_eq!(verify(SENT + 301), Err(Why::Late));
        assert_eq!(verify(SENT - 301), Err(Why::Early));
        for text in ["hello", "-1", "+1614265330", "1614265330.0", "99999999999999999999"] {
            let mut headers = headers(V1);
            headers[1].1 = text.to_owned();
            assert_eq!(super::verify(&[key(SECRET)], &headers, BODY, at(SENT)), Err(Why::Timestamp), "{text}");
        }
    }

    #[test]
    fn what_is_unsigned_signed_in_another_way_or_ambiguous_is_refused() {
        for (missing, name) in [(0, ID), (1, TIMESTAMP), (2, SIGNATURE)] {
            let mut without = headers(V1);
            without.remove(missing);
            assert_eq!(verify(&[key(SECRET)], &without, BODY, at(SENT)), Err(Why::Missing(name)));
            let mut twice = headers(V1);
            twice.push(twice[missing].clone());
            assert_eq!(verify(&[key(SECRET)], &twice, BODY, at(SENT)), Err(Why::Twice(name)));
        }
        assert_eq!(verified(SECRET, " "), Err(Why::Missing(SIGNATURE)));
        for signature in ["v2,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", V1A, "g0hM9SsE"] {
            assert_eq!(verified(SECRET, signature), Err(Why::Version), "{signature}");
        }
        assert_eq!(verify(&[], &headers(V1), BODY, at(SENT)), Err(Why::Version), "no secret, no trust");
        let mut dotted = headers(V1);
        dotted[0].1 = "msg.1".to_owned();
        assert_eq!(verify(&[key(SECRET)], &dotted, BODY, at(SENT)), Err(Why::Id));
    }

    #[test]
    fn an_hmac_with_the_public_key_as_its_secret_is_no_signature() {
        let public = key(PRIVATE).public().unwrap();
        let forged = key(&public.replace("whpk_", "whsec_"));
        let forged = sign(&[forged], MESSAGE, SENT, BODY);
        assert_eq!(verified(&public, &forged), Err(Why::Version));
        assert_eq!(verified(&public, &forged.replace("v1,", "v1a,")), Err(Why::Signature));
    }

    #[test]
    fn what_is_no_key_is_refused_without_being_repeated() {
        for (text, why) in [
            ("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", KeyError::Prefix),
            ("", KeyError::Prefix),
            ("whsec_not base64", KeyError::Base64),
            ("whsec_", KeyError::Secret),
            ("whsec_c2hvcnQ=", KeyError::Secret),
            ("whsk_c2hvcnQ=", KeyError::Private),
            ("whpk_c2hvcnQ=", KeyError::Public),
        ] {
            let error = Key::parse(text).unwrap_err();
            assert_eq!(error, why, "{text}");
            assert!(!error.to_string().contains("c2hv"));
        }
        // A private key with somebody else's public key beside it.
        let both = format!("whsk_{}", STANDARD.encode([[7; 32], [8; 32]].concat()));
        assert_eq!(Key::parse(&both).err(), Some(KeyError::Private));
        assert_eq!(format!("{:?}", key(SECRET)), "***");
    }
}
