//! Secrets and their names.
//!
//! Configuration holds only names ([`SecretRef`]); a value ([`Secret`]) exists in memory alone, prints as `***`, and
//! can't be serialised. The two are different types so that the compiler keeps them apart.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

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
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
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

impl TryFrom<String> for SecretRef {
    type Error = SecretRefError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
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
        assert_eq!(error, "a secret is never written into a file; name an environment variable: env:NAME");
    }

    #[test]
    fn a_secret_does_not_print() {
        let secret = Secret::new("hunter2".into());
        assert_eq!(format!("{secret} {secret:?}"), "*** ***");
    }
}
