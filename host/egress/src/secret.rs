//! Secrets and their names.
//!
//! Configuration holds only names ([`SecretRef`]); a value ([`Secret`]) exists in memory alone, prints as `***`, and
//! can't be serialised. The two are different types so that the compiler keeps them apart.

use std::fmt;
use std::str::FromStr;

use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize};

/// A secret's value. Prints as `***`, has no `Serialize`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wrap a value.
    #[must_use]
    pub const fn new(value: String) -> Self {
        Self(value)
    }

    /// The value itself. Each caller of this is a place to look at in a review.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// The name of a secret: `env:NAME` (an environment variable of the host) or `file:NAME` (a file of the operator's
/// secrets directory). Which names a tenant may use is the rule of [`SecretSource`](crate::SecretSource).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(into = "String")]
pub enum SecretRef {
    /// An environment variable.
    Env(String),
    /// A file below `<secrets directory>/<tenant>/`.
    File(String),
}

/// A text that is not the name of a secret. It does not repeat the text: that may be the secret itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretRefError {
    /// Neither `env:` nor `file:`.
    #[error("a secret is never written into a file; name an environment variable: env:NAME")]
    NotAName,
    /// After `env:` stands no environment variable's name.
    #[error("after env: stands the name of an environment variable: letters, digits and underscores, no digit first")]
    Variable,
    /// After `file:` stands no plain file name.
    #[error("after file: stands a file's name: letters, digits, '-', '_' and '.', no dot first, no directories")]
    File,
}

impl FromStr for SecretRef {
    type Err = SecretRefError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(name) = text.strip_prefix("env:") {
            let starts = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
            let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
            return if starts && plain { Ok(Self::Env(name.to_owned())) } else { Err(SecretRefError::Variable) };
        }
        if let Some(name) = text.strip_prefix("file:") {
            let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
            let fits = !name.is_empty() && name.len() <= 255 && !name.starts_with('.');
            return if fits && plain { Ok(Self::File(name.to_owned())) } else { Err(SecretRefError::File) };
        }
        Err(SecretRefError::NotAName)
    }
}

/// By hand, because serde's own message for a number in place of a text (`token: 4711`) repeats the number.
impl<'de> Deserialize<'de> for SecretRef {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Name)
    }
}

struct Name;

impl Visitor<'_> for Name {
    type Value = SecretRef;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a secret: env:NAME or file:NAME")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<SecretRef, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_bool<E: serde::de::Error>(self, _: bool) -> Result<SecretRef, E> {
        Err(E::custom(SecretRefError::NotAName))
    }

    fn visit_i64<E: serde::de::Error>(self, _: i64) -> Result<SecretRef, E> {
        Err(E::custom(SecretRefError::NotAName))
    }

    fn visit_u64<E: serde::de::Error>(self, _: u64) -> Result<SecretRef, E> {
        Err(E::custom(SecretRefError::NotAName))
    }

    fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<SecretRef, E> {
        Err(E::custom(SecretRefError::NotAName))
    }

    fn visit_bytes<E: serde::de::Error>(self, _: &[u8]) -> Result<SecretRef, E> {
        Err(E::custom(SecretRefError::NotAName))
    }
}

impl From<SecretRef> for String {
    fn from(reference: SecretRef) -> Self {
        reference.to_string()
    }
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "env:{name}"),
            Self::File(name) => write!(f, "file:{name}"),
        }
    }
}

/// A user name: plain text, or a secret's name where it begins with `env:` or `file:` (some systems take their API
/// key as the user name of basic authentication).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Credential {
    /// Written as it is.
    Plain(String),
    /// The name of a secret.
    Secret(SecretRef),
}

impl TryFrom<String> for Credential {
    type Error = SecretRefError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text.starts_with("env:") || text.starts_with("file:") {
            return text.parse().map(Self::Secret);
        }
        Ok(Self::Plain(text))
    }
}

impl From<Credential> for String {
    fn from(credential: Credential) -> Self {
        match credential {
            Credential::Plain(text) => text,
            Credential::Secret(reference) => reference.to_string(),
        }
    }
}

/// Certificates in PEM: the text itself, since they are no secret, or the name of a secret that holds them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Pem {
    /// Written as it is.
    Text(String),
    /// Where the text is.
    Secret(SecretRef),
}

/// A text that is neither certificates nor the name of a secret. It does not repeat the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PemError {
    /// Neither.
    #[error("write certificates in PEM (-----BEGIN CERTIFICATE-----), or name where they are: file:NAME or env:NAME")]
    Neither,
    /// It has a private key in it.
    #[error("a private key is never written into a file; name it: file:NAME or env:NAME")]
    PrivateKey,
    /// A name, but a wrong one.
    #[error(transparent)]
    Name(#[from] SecretRefError),
}

impl TryFrom<String> for Pem {
    type Error = PemError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text.starts_with("env:") || text.starts_with("file:") {
            return Ok(Self::Secret(text.parse()?));
        }
        if text.contains("PRIVATE KEY") {
            return Err(PemError::PrivateKey);
        }
        if text.contains("-----BEGIN CERTIFICATE-----") { Ok(Self::Text(text)) } else { Err(PemError::Neither) }
    }
}

impl From<Pem> for String {
    fn from(pem: Pem) -> Self {
        match pem {
            Pem::Text(text) => text,
            Pem::Secret(reference) => reference.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_parsed_and_values_are_refused_without_being_repeated() {
        assert_eq!("env:SHOP__A".parse(), Ok(SecretRef::Env("SHOP__A".into())));
        assert_eq!("file:erp-password".parse(), Ok(SecretRef::File("erp-password".into())));
        for bad in ["hunter2", "", "env:", "env:9A", "env:A-B", "file:", "file:../x", "file:a/b", "file:.x", "ENV:A"] {
            let error = bad.parse::<SecretRef>().unwrap_err().to_string();
            assert!(bad.len() < 6 || !error.contains(bad), "{error}");
        }
        let error = serde_json::from_str::<SecretRef>("\"hunter2hunter2\"").unwrap_err().to_string();
        assert!(error.starts_with("a secret is never written into a file; name an environment variable: env:NAME"));
        assert!(!error.contains("hunter2"));
    }

    #[test]
    fn a_secret_written_as_a_number_is_not_repeated_either() {
        for value in ["4711471147", "-471147114711", "4711.5", "true", "[4711]", "{\"a\":4711}", "null"] {
            let error = serde_json::from_str::<SecretRef>(value).unwrap_err().to_string();
            assert!(!error.contains("4711") && error.contains("secret"), "{value}: {error}");
        }
    }

    #[test]
    fn certificates_stand_as_they_are_or_are_named_and_keys_only_named() {
        let pem = |text: &str| Pem::try_from(text.to_owned());
        assert_eq!(pem("file:ca.pem"), Ok(Pem::Secret(SecretRef::File("ca.pem".into()))));
        assert!(matches!(pem("-----BEGIN CERTIFICATE-----\nMII"), Ok(Pem::Text(_))));
        assert_eq!(pem("-----BEGIN PRIVATE KEY-----\nMII"), Err(PemError::PrivateKey));
        assert_eq!(pem("/etc/ssl/ca.pem"), Err(PemError::Neither));
        assert_eq!(pem("file:../ca.pem"), Err(PemError::Name(SecretRefError::File)));
    }

    #[test]
    fn a_secret_does_not_print() {
        let secret = Secret::new("hunter2".into());
        assert_eq!(format!("{secret} {secret:?}"), "*** ***");
    }
}
