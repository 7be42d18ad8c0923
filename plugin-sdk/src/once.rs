//! A write that happens once: the call's idempotency key in a form that systems can keep.
//!
//! The host gives every try of the same write the same key ([`host::context`](crate::host::context)). A connector puts
//! it where the system can find it again: an external id, a unique field, a reference that is searched before creating.

use crate::error::Result;
use crate::{host, kv};

/// `confab:KEY` for a person's eye and a system's search: at most 64 letters, digits and `: - _ .`; a key that is
/// longer or has others in it is replaced by its hash. Empty for an empty key.
pub fn reference(key: &str) -> String {
    if key.is_empty() {
        return String::new();
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, ':' | '-' | '_' | '.');
    if key.len() <= 57 && key.chars().all(plain) { format!("confab:{key}") } else { format!("confab:{}", token(key)) }
}

/// 32 hexadecimal digits for a key: its FNV-1a hash (128 bit), for fields that take nothing else.
pub fn token(key: &str) -> String {
    let prime = 0x0000_0000_0100_0000_0000_0000_0000_013b_u128;
    let start = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d_u128;
    let hash = key.bytes().fold(start, |h, b| (h ^ u128::from(b)).wrapping_mul(prime));
    format!("{hash:032x}")
}

/// Makes the call's write, unless an earlier try made it: for systems that take no reference for it, but where it can be
/// found afterwards. The first try is noted in the connection's store before; only when that note is there, `is_made` looks
/// for what has this reference. Gives nothing for what was made before. Without a key `write` gets an empty reference.
///
/// # Errors
/// Those of `is_made` and `write`, after which the next try looks again; `unavailable` when the store can't be used.
pub fn write<T>(
    is_made: impl FnOnce(&str) -> Result<bool>,
    write: impl FnOnce(&str) -> Result<T>,
) -> Result<Option<T>> {
    let key = host::context().idempotency_key;
    if key.is_empty() {
        return write("").map(Some);
    }
    let (reference, note) = (reference(&key), format!("said:{}", token(&key)));
    let made = match kv::insert(&note, b"")?.as_deref() {
        None => false,
        Some([]) => is_made(&reference)?,
        Some(_) => true,
    };
    let written = if made { None } else { Some(write(&reference)?) };
    kv::set(&note, b"said")?;
    Ok(written)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_becomes_a_reference_that_fits_everywhere() {
        assert_eq!(reference("01ab-2"), "confab:01ab-2");
        assert_eq!(reference(""), "");
        for key in ["a'b", "a b", "ü", &"x".repeat(58)] {
            let reference = reference(key);
            assert_eq!(reference, format!("confab:{}", token(key)));
            assert!(reference.len() <= 64);
        }
        assert_ne!(token("a"), token("b"));
        // Test vector of draft-eastlake-fnv: FNV-1a of "foobar".
        assert_eq!(token("foobar"), "343e1662793c64bf6f0d3597ba446f18");
    }

    #[test]
    fn a_write_is_made_by_the_first_try_and_looked_for_by_the_next() {
        let lost = || crate::error(crate::Code::Timeout, "no answer");
        let host = crate::testing::Host::new();
        let first = host.run(|| write::<()>(|_| panic!("nothing to look for"), |_| Err(lost())));
        assert_eq!(first.unwrap_err().code, "timeout");
        let unseen = host.run(|| write::<()>(|_| Err(lost()), |_| panic!("it may have been made")));
        assert_eq!(unseen.unwrap_err().code, "timeout");
        let again = |is_made| host.run(|| write(|_| Ok(is_made), |reference| Ok(reference.to_owned()))).unwrap();
        assert_eq!(again(false).as_deref(), Some("confab:key-1"));
        assert_eq!(host.run(|| write(|_| panic!("it is known"), |_| Ok(1))).unwrap(), None);
        host.set_key("key-2");
        host.run(|| write::<()>(|_| Ok(false), |_| Err(lost()))).unwrap_err();
        assert_eq!(again(true), None);
        host.set_key("");
        assert_eq!((again(true).as_deref(), again(true).as_deref()), (Some(""), Some("")));
    }
}
