//! The keys that tokens are encrypted with at rest: AES-256-GCM, by `ring`.
//!
//! The operator gives them in `CONFAB_TOKEN_KEYS`, base64, divided by commas. The first one encrypts, all decrypt: a
//! new key is put in front, and goes behind everything that is saved from then on. What is encrypted is bound to the
//! place that it is for, so that a record that somebody moves to another connection opens no more.
//!
//! A sealed text: format (1 byte), id of the key (4 bytes of its digest), nonce (12), ciphertext with tag.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::digest;
use ring::rand::{SecureRandom, SystemRandom};
use std::fmt;
use std::sync::Arc;

const FORMAT: u8 = 1;
const ID_BYTES: usize = 4;
const KEY_BYTES: usize = 32;

/// Keys, the first of which encrypts. Cheap to clone; prints nothing of them.
#[derive(Clone)]
pub struct TokenKeys(Arc<Vec<Key>>);

struct Key {
    id: [u8; ID_BYTES],
    key: LessSafeKey,
}

/// Why there are no keys. Says which one, and nothing of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("CONFAB_TOKEN_KEYS: key {number} {problem}; make one with `openssl rand -base64 32`")]
pub struct TokenKeysError {
    number: usize,
    problem: &'static str,
}

/// Why a sealed text does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Its key is not among ours.
    #[error("it was encrypted with a key that CONFAB_TOKEN_KEYS does not have")]
    UnknownKey,
    /// It was changed, or belongs elsewhere.
    #[error("it was changed, or is the record of another connection")]
    Broken,
    /// The machine can't encrypt.
    #[error("this machine can't encrypt now")]
    Machine,
}

impl fmt::Debug for TokenKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenKeys({})", self.0.len())
    }
}

impl TokenKeys {
    /// Reads keys. None in an empty text.
    ///
    /// # Errors
    /// [`TokenKeysError`]
    pub fn parse(text: &str) -> Result<Option<Self>, TokenKeysError> {
        let mut keys = Vec::new();
        for (index, part) in text.split(',').map(str::trim).filter(|part| !part.is_empty()).enumerate() {
            let wrong = |problem| TokenKeysError { number: index + 1, problem };
            let bytes = STANDARD.decode(part).map_err(|_| wrong("is not base64"))?;
            if bytes.len() != KEY_BYTES {
                return Err(wrong("has not 32 bytes"));
            }
            let digest = digest::digest(&digest::SHA256, &bytes);
            let id = digest.as_ref().first_chunk().copied().unwrap_or_default();
            let key = UnboundKey::new(&AES_256_GCM, &bytes).map_err(|_| wrong("is none"))?;
            keys.push(Key { id, key: LessSafeKey::new(key) });
        }
        Ok((!keys.is_empty()).then(|| Self(Arc::new(keys))))
    }

    /// Encrypts for a place: the parts name it, and the same are needed to decrypt.
    ///
    /// # Errors
    /// [`SealError::Machine`]
    pub fn seal(&self, place: &[&str], text: &[u8]) -> Result<Vec<u8>, SealError> {
        let key = self.0.first().ok_or(SealError::UnknownKey)?;
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).map_err(|_| SealError::Machine)?;
        let mut body = text.to_vec();
        let nonce_used = Nonce::assume_unique_for_key(nonce);
        key.key
            .seal_in_place_append_tag(nonce_used, Aad::from(bound(place)), &mut body)
            .map_err(|_| SealError::Machine)?;
        Ok([&[FORMAT], key.id.as_slice(), &nonce, &body].concat())
    }

    /// Decrypts what was encrypted for this place.
    ///
    /// # Errors
    /// [`SealError`]
    pub fn open(&self, place: &[&str], sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        let (format, rest) = sealed.split_first().ok_or(SealError::Broken)?;
        let (id, rest) = rest.split_first_chunk::<ID_BYTES>().ok_or(SealError::Broken)?;
        let (nonce, body) = rest.split_first_chunk::<NONCE_LEN>().ok_or(SealError::Broken)?;
        if *format != FORMAT {
            return Err(SealError::Broken);
        }
        let mut known = self.0.iter().filter(|key| key.id == *id).peekable();
        known.peek().ok_or(SealError::UnknownKey)?;
        for key in known {
            let mut body = body.to_vec();
            let nonce = Nonce::assume_unique_for_key(*nonce);
            if let Ok(text) = key.key.open_in_place(nonce, Aad::from(bound(place)), &mut body) {
                return Ok(text.to_vec());
            }
        }
        Err(SealError::Broken)
    }
}

/// The place as bytes, each part with its length, so that no two places are the same.
fn bound(place: &[&str]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in place {
        bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
        bytes.extend_from_slice(part.as_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> String {
        STANDARD.encode([byte; 32])
    }

    fn keys(text: &str) -> TokenKeys {
        TokenKeys::parse(text).unwrap().unwrap()
    }

    #[test]
    fn what_is_sealed_for_one_place_opens_there_alone() {
        let keys = keys(&key(1));
        let sealed = keys.seal(&["a", "bc"], b"secret").unwrap();
        assert_eq!(keys.open(&["a", "bc"], &sealed).unwrap(), b"secret");
        assert!(!sealed.windows(6).any(|part| part == b"secret"));
        assert_ne!(sealed, keys.seal(&["a", "bc"], b"secret").unwrap(), "each has a nonce of its own");
        for place in [&["ab", "c"][..], &["a", "bc", ""], &["abc"], &[]] {
            assert_eq!(keys.open(place, &sealed), Err(SealError::Broken), "{place:?}");
        }
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(keys.open(&["a", "bc"], &changed).is_err(), "{at}");
            assert!(keys.open(&["a", "bc"], &sealed[..at]).is_err(), "{at}");
        }
    }

    #[test]
    fn the_first_key_encrypts_and_all_decrypt() {
        let old = keys(&key(1));
        let both = keys(&format!("{}, {}", key(2), key(1)));
        let new = keys(&key(2));
        let sealed = old.seal(&["p"], b"x").unwrap();
        assert_eq!(both.open(&["p"], &sealed).unwrap(), b"x");
        assert_eq!(new.open(&["p"], &sealed), Err(SealError::UnknownKey));
        let again = both.seal(&["p"], b"x").unwrap();
        assert_eq!(new.open(&["p"], &again).unwrap(), b"x");
    }

    #[test]
    fn what_is_no_key_is_refused_without_being_repeated() {
        assert!(TokenKeys::parse("").unwrap().is_none() && TokenKeys::parse(" , ").unwrap().is_none());
        for wrong in ["not-base64!", "c2hvcnQ="] {
            let error = TokenKeys::parse(&format!("{},{wrong}", key(1))).unwrap_err().to_string();
            assert!(error.contains("key 2") && !error.contains(wrong), "{error}");
        }
        assert_eq!(format!("{:?}", keys(&key(1))), "TokenKeys(1)");
    }
}
