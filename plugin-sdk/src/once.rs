//! A write that happens once: the call's idempotency key in a form that systems can keep.
//!
//! The host gives every try of the same write the same key ([`host::context`](crate::host::context)). A connector puts
//! it where the system can find it again: an external id, a unique field, a reference that is searched before creating.

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
}
