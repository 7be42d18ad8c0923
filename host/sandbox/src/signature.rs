//! Signatures of plugins: a custom section `confab:signature`, the last one of the component.
//!
//! It signs everything before itself, so one file is still the whole plugin, and to sign again is to replace the section. What is
//! signed is SHA-512 of those bytes behind [`DOMAIN`], so that a signature made for something else never fits here.
//! Which keys count, and for whom, the operator says: a key is trusted for one publisher's name, not for any.

use crate::aot::hex;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::rand::SystemRandom;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256, Sha512};

/// Name of the custom section.
pub const SIGNATURE_SECTION: &str = "confab:signature";
/// What every signed message begins with.
const DOMAIN: &[u8] = b"confab plugin signature v1\0";
/// The one algorithm.
const ALGORITHM: &str = "ed25519";
/// Lines around a private key in its file (PKCS #8).
const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
/// See [`BEGIN`].
const END: &str = "-----END PRIVATE KEY-----";

/// What the section holds.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Section {
    algorithm: String,
    key: String,
    signature: String,
}

/// Why a signature can't be made or doesn't count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The sections of the file can't be walked.
    #[error("not a WebAssembly component: {0}")]
    Malformed(&'static str),
    /// Something stands behind it that it doesn't cover.
    #[error("the signature is not the last section: what comes after it is not signed")]
    NotLast,
    /// The section isn't what it should be.
    #[error("the signature can't be read: {0}")]
    Unreadable(String),
    /// The key isn't among those that the operator trusts.
    #[error("signed with the key {0}, which is not trusted here")]
    UnknownKey(String),
    /// The key belongs to somebody else.
    #[error("signed with a key of `{signer}`, but its manifest names the publisher `{publisher}`")]
    OtherPublisher {
        /// Whose key it is.
        signer: String,
        /// Whose plugin it says it is.
        publisher: String,
    },
    /// The file isn't the one that was signed.
    #[error("the signature does not fit: the file was changed after it was signed")]
    Wrong,
    /// A key file.
    #[error("{0}")]
    Key(String),
}

/// Id of a public key: the beginning of its SHA-256.
pub fn key_id(public: &[u8]) -> String {
    hex(&Sha256::digest(public), 8)
}

/// A key to sign with. It doesn't print.
pub struct SigningKey {
    pair: Ed25519KeyPair,
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SigningKey({})", self.id())
    }
}

impl SigningKey {
    /// A new key, with the text of its file.
    ///
    /// # Errors
    /// When the system has no random numbers.
    pub fn generate() -> Result<(SigningKey, String), SignatureError> {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new())
            .map_err(|_| SignatureError::Key("the system has no random numbers".into()))?;
        let text = format!("{BEGIN}\n{}\n{END}\n", BASE64.encode(document.as_ref()));
        Ok((Self::of_text(&text)?, text))
    }

    /// The key of a file: PKCS #8 in PEM, as `confab plugin keygen` and `openssl genpkey -algorithm ed25519` write it.
    ///
    /// # Errors
    /// When it is something else.
    pub fn of_text(text: &str) -> Result<SigningKey, SignatureError> {
        let wrong = || {
            SignatureError::Key(format!(
                "is no Ed25519 key: it begins with `{BEGIN}`; make one with `confab plugin keygen NAME`"
            ))
        };
        let body = text.trim().strip_prefix(BEGIN).and_then(|rest| rest.strip_suffix(END)).ok_or_else(wrong)?;
        let body: String = body.split_whitespace().collect();
        let document = BASE64.decode(body).map_err(|_| wrong())?;
        Ok(SigningKey { pair: Ed25519KeyPair::from_pkcs8_maybe_unchecked(&document).map_err(|_| wrong())? })
    }

    /// Its id.
    pub fn id(&self) -> String {
        key_id(self.pair.public_key().as_ref())
    }

    /// The line by which others trust it for this publisher.
    pub fn public_line(&self, publisher: &str) -> String {
        format!("{publisher} {ALGORITHM}:{}", BASE64.encode(self.pair.public_key().as_ref()))
    }

    /// The component with a signature, in place of the one that it had.
    ///
    /// # Errors
    /// When it is no component.
    pub fn sign(&self, wasm: &[u8]) -> Result<Vec<u8>, SignatureError> {
        let (signed, _) = split(wasm)?;
        let section = Section {
            algorithm: ALGORITHM.to_owned(),
            key: self.id(),
            signature: BASE64.encode(self.pair.sign(&message(signed)).as_ref()),
        };
        let data = serde_json::to_vec(&section).map_err(|e| SignatureError::Unreadable(e.to_string()))?;
        let mut out = signed.to_vec();
        append_section(&mut out, SIGNATURE_SECTION, &data);
        Ok(out)
    }
}

fn message(signed: &[u8]) -> Vec<u8> {
    let mut message = DOMAIN.to_vec();
    message.extend_from_slice(&Sha512::digest(signed));
    message
}

/// A publisher's key.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Trusted {
    publisher: String,
    key: Vec<u8>,
}

/// The keys that an operator trusts, each for one publisher. A publisher may have several: the old and the new one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedPublishers(Vec<Trusted>);

impl TrustedPublishers {
    /// Reads lines `NAME ed25519:BASE64`; `#` begins a comment.
    ///
    /// # Errors
    /// With the line's number and what it should be.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut all = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            let parsed = line.split_once(char::is_whitespace).and_then(|(publisher, key)| {
                let key = BASE64.decode(key.trim().strip_prefix("ed25519:")?).ok()?;
                let good = crate::manifest::is_name(publisher) && key.len() == 32;
                good.then(|| Trusted { publisher: publisher.to_owned(), key })
            });
            match parsed {
                Some(trusted) => all.push(trusted),
                None => {
                    return Err(format!(
                        "{}: must be `NAME ed25519:BASE64`, as `confab plugin keygen NAME` writes it to NAME.pub",
                        number + 1
                    ));
                }
            }
        }
        Ok(TrustedPublishers(all))
    }

    /// Names of the publishers.
    pub fn publishers(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|trusted| trusted.publisher.as_str())
    }

    /// Checks a component's signature for the publisher that its manifest names. Gives the key's id; none where there is
    /// no signature.
    ///
    /// # Errors
    /// [`SignatureError`]. Only [`SignatureError::UnknownKey`] leaves it open whether the file is what its signer made.
    pub fn verify(&self, wasm: &[u8], publisher: &str) -> Result<Option<String>, SignatureError> {
        let (signed, Some(data)) = split(wasm)? else { return Ok(None) };
        let section: Section = serde_json::from_slice(data).map_err(|e| SignatureError::Unreadable(e.to_string()))?;
        if section.algorithm != ALGORITHM {
            return Err(SignatureError::Unreadable(format!("the algorithm is not {ALGORITHM}")));
        }
        let signature =
            BASE64.decode(&section.signature).map_err(|_| SignatureError::Unreadable("it is no base64".into()))?;
        let keys: Vec<&Trusted> = self.0.iter().filter(|trusted| key_id(&trusted.key) == section.key).collect();
        let Some(first) = keys.first() else {
            return Err(SignatureError::UnknownKey(
                section.key.chars().filter(char::is_ascii_hexdigit).take(16).collect(),
            ));
        };
        let public = UnparsedPublicKey::new(&ED25519, &first.key);
        public.verify(&message(signed), &signature).map_err(|_| SignatureError::Wrong)?;
        // The same key may be listed for several names of one publisher.
        if !keys.iter().any(|trusted| trusted.publisher == publisher) {
            return Err(SignatureError::OtherPublisher {
                signer: first.publisher.clone(),
                publisher: publisher.to_owned(),
            });
        }
        Ok(Some(section.key))
    }
}

/// Adds a custom section to the end of a component.
pub fn append_section(wasm: &mut Vec<u8>, name: &str, data: &[u8]) {
    let mut content = Vec::with_capacity(name.len() + data.len() + 5);
    leb128(&mut content, name.len());
    content.extend_from_slice(name.as_bytes());
    content.extend_from_slice(data);
    wasm.push(0);
    leb128(wasm, content.len());
    wasm.extend_from_slice(&content);
}

fn leb128(out: &mut Vec<u8>, mut value: usize) {
    loop {
        let byte = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            out.push(byte);
            return;
        }
        out.push(byte | 0x80);
    }
}

/// Reads an unsigned LEB128 of at most 32 bits; gives what follows it.
fn read_leb128(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0_u64;
    for (place, byte) in bytes.iter().take(5).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            let value = usize::try_from(u32::try_from(value).ok()?).ok()?;
            return Some((value, bytes.get(place + 1..)?));
        }
    }
    None
}

/// A component's bytes before its signature, and what the signature section holds.
fn split(wasm: &[u8]) -> Result<(&[u8], Option<&[u8]>), SignatureError> {
    if !wasmparser::Parser::is_component(wasm) {
        return Err(SignatureError::Malformed(
            "the file does not begin like one; build it with `confab plugin build DIR`",
        ));
    }
    let broken = SignatureError::Malformed("a section is longer than the file");
    let mut rest = wasm.get(8..).ok_or_else(|| broken.clone())?;
    while let Some((id, after)) = rest.split_first() {
        let start = wasm.len() - rest.len();
        let (size, content) = read_leb128(after).ok_or_else(|| broken.clone())?;
        let (section, next) = content.split_at_checked(size).ok_or_else(|| broken.clone())?;
        if *id == 0
            && let Some((length, named)) = read_leb128(section)
            && let Some((name, data)) = named.split_at_checked(length)
            && name == SIGNATURE_SECTION.as_bytes()
        {
            if !next.is_empty() {
                return Err(SignatureError::NotLast);
            }
            return Ok((wasm.get(..start).unwrap_or_default(), Some(data)));
        }
        rest = next;
    }
    Ok((wasm, None))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn component() -> Vec<u8> {
        let mut wasm = wat::parse_str("(component (core module))").unwrap();
        append_section(&mut wasm, "confab:manifest", &[b'x'; 300]);
        wasm
    }

    fn trusted(lines: &[String]) -> TrustedPublishers {
        TrustedPublishers::parse(&lines.join("\n")).unwrap()
    }

    #[test]
    fn a_signature_fits_one_file_and_one_publisher() {
        let (key, text) = SigningKey::generate().unwrap();
        let (other, _) = SigningKey::generate().unwrap();
        let read = SigningKey::of_text(&text).unwrap();
        assert_eq!(read.id(), key.id());
        let key = read;
        let list = trusted(&[key.public_line("acme"), other.public_line("globex")]);
        let signed = key.sign(&component()).unwrap();
        assert_eq!(list.verify(&signed, "acme"), Ok(Some(key.id())));
        assert_eq!(list.verify(&component(), "acme"), Ok(None));
        assert!(matches!(list.verify(&signed, "globex"), Err(SignatureError::OtherPublisher { .. })));
        assert_eq!(trusted(&[]).verify(&signed, "acme"), Err(SignatureError::UnknownKey(key.id())));
        // Signing again replaces it.
        let again = other.sign(&signed).unwrap();
        assert_eq!(again.len(), signed.len());
        assert_eq!(list.verify(&again, "globex"), Ok(Some(other.id())));
        // Rotation: two keys of one publisher.
        let both = trusted(&[key.public_line("acme"), other.public_line("acme")]);
        assert!(both.verify(&signed, "acme").is_ok() && both.verify(&again, "acme").is_ok());
    }

    #[test]
    fn no_byte_of_a_signed_file_can_be_changed_and_none_added() {
        let (key, _) = SigningKey::generate().unwrap();
        let list = trusted(&[key.public_line("acme")]);
        let signed = key.sign(&component()).unwrap();
        for at in 0..signed.len() {
            let mut tampered = signed.clone();
            tampered[at] ^= 1;
            assert!(!matches!(list.verify(&tampered, "acme"), Ok(Some(_))), "byte {at}");
        }
        let mut longer = signed.clone();
        append_section(&mut longer, "confab:manifest", b"{}");
        assert_eq!(list.verify(&longer, "acme"), Err(SignatureError::NotLast));
        assert!(list.verify(&signed[..signed.len() - 1], "acme").is_err());
    }

    #[test]
    fn a_list_of_publishers_is_read_with_comments_and_refused_with_its_line() {
        let (key, _) = SigningKey::generate().unwrap();
        let line = key.public_line("acme");
        assert_eq!(
            trusted(&["# ours".into(), String::new(), format!("{line}  # since May")]),
            trusted(std::slice::from_ref(&line))
        );
        for bad in ["acme", "acme rsa:AAAA", "acme ed25519:AAAA", "Acme Corp ed25519:AAAA"] {
            assert!(TrustedPublishers::parse(&format!("{line}\n{bad}")).unwrap_err().starts_with("2: "), "{bad}");
        }
        assert!(SigningKey::of_text("secret").is_err());
    }
}
