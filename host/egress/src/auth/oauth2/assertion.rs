//! Assertions: the JSON Web Token by which we vouch for ourselves (RFC 7523), in the shapes of Salesforce and Google.
//!
//! A token is two JSON objects and a signature over them, so it is made here with `ring`, which TLS brings anyway; a
//! library for tokens would be one more to read them, and we never read one.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Map, Value, json};

use super::config::Algorithm;
use super::record::{now, random};
use crate::secret::Secret;

/// How long an assertion holds. Salesforce takes at most five minutes (three are its advice), Google an hour.
const LIFE: Duration = Duration::from_secs(180);

/// A key that assertions are signed with.
enum Key {
    Rsa(Box<RsaKeyPair>),
    Ec(Box<EcdsaKeyPair>),
}

/// Makes assertions.
pub(super) struct Assertion {
    key: Key,
    header: Value,
    claims: Map<String, Value>,
}

/// What an assertion says.
pub(super) struct Claims<'a> {
    pub(super) issuer: &'a str,
    pub(super) subject: Option<&'a str>,
    pub(super) audience: &'a str,
    pub(super) scopes: &'a [String],
}

impl Assertion {
    /// Read the key. The message never has anything of the key in it.
    pub(super) fn new(
        pem: &Secret,
        algorithm: Algorithm,
        key_id: Option<&str>,
        says: &Claims<'_>,
    ) -> Result<Self, &'static str> {
        // In an environment variable the line ends are often written as \n.
        let text = pem.expose().replace("\\n", "\n");
        let der = PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|_| "is not a private key in PEM")?;
        let key = match (algorithm, &der) {
            (Algorithm::RS256, PrivateKeyDer::Pkcs8(der)) => {
                Key::Rsa(Box::new(RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()).map_err(|_| NOT_RSA)?))
            }
            (Algorithm::RS256, PrivateKeyDer::Pkcs1(der)) => {
                Key::Rsa(Box::new(RsaKeyPair::from_der(der.secret_pkcs1_der()).map_err(|_| NOT_RSA)?))
            }
            (Algorithm::ES256, PrivateKeyDer::Pkcs8(der)) => {
                let random = SystemRandom::new();
                let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der.secret_pkcs8_der(), &random);
                Key::Ec(Box::new(pair.map_err(|_| NOT_EC)?))
            }
            (Algorithm::RS256, _) => return Err(NOT_RSA),
            (Algorithm::ES256, _) => return Err(NOT_EC),
        };
        let mut header = json!({"alg": algorithm, "typ": "JWT"});
        if let (Some(header), Some(id)) = (header.as_object_mut(), key_id) {
            header.insert("kid".into(), id.into());
        }
        let mut claims = Map::new();
        claims.insert("iss".into(), says.issuer.into());
        claims.insert("aud".into(), says.audience.into());
        if let Some(subject) = says.subject {
            claims.insert("sub".into(), subject.into());
        }
        if !says.scopes.is_empty() {
            claims.insert("scope".into(), says.scopes.join(" ").into());
        }
        Ok(Self { key, header, claims })
    }

    /// A new one. `None` when the key can't sign, which a key that was read can.
    pub(super) fn sign(&self) -> Option<String> {
        let issued = now() / 1_000;
        let mut claims = self.claims.clone();
        claims.insert("iat".into(), issued.into());
        claims.insert("exp".into(), issued.saturating_add(LIFE.as_secs()).into());
        // So that a server that takes each assertion once takes two that were made in the same second.
        claims.insert("jti".into(), format!("{:016x}{:016x}", random(), random()).into());
        let part = |value: &str| URL_SAFE_NO_PAD.encode(value);
        let message = format!("{}.{}", part(&self.header.to_string()), part(&Value::Object(claims).to_string()));
        let generator = SystemRandom::new();
        let signature = match &self.key {
            Key::Rsa(key) => {
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &generator, message.as_bytes(), &mut signature).ok()?;
                signature
            }
            Key::Ec(key) => key.sign(&generator, message.as_bytes()).ok()?.as_ref().to_vec(),
        };
        Some(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

const NOT_RSA: &str = "is not an RSA key of 2048 to 8192 bits in PKCS#8 or PKCS#1, which RS256 signs with";
const NOT_EC: &str = "is not a P-256 key in PKCS#8, which ES256 signs with; convert it: openssl pkcs8 -topk8 -nodes";
