//! Small things every connector needs, without a dependency.

use crate::types::ExtraField;

/// Percent-encodes a value for use as one segment of a path or as a query value (RFC 3986 unreserved stay).
pub fn path_segment(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// What was given, trimmed; nothing for what is blank.
pub fn filled(value: Option<&str>) -> Option<&str> {
    value.map(str::trim).filter(|v| !v.is_empty())
}

/// Named values of a record, those that there are: what a system knows beyond the contract.
pub fn extras<N: Into<String>>(values: impl IntoIterator<Item = (N, Option<String>)>) -> Vec<ExtraField> {
    let there = values.into_iter().filter_map(|(name, value)| Some(ExtraField { name: name.into(), value: value? }));
    there.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_cannot_leave_their_place() {
        assert_eq!(path_segment("a/../b?x=1#y z"), "a%2F..%2Fb%3Fx%3D1%23y%20z");
        assert_eq!(path_segment("Söhne"), "S%C3%B6hne");
    }

    #[test]
    fn only_what_is_there_is_named() {
        let named = extras([("tax", None), ("payment", Some("paid".to_owned()))]);
        assert_eq!(named, [ExtraField { name: "payment".into(), value: "paid".into() }]);
        assert_eq!((filled(Some(" a ")), filled(Some(" ")), filled(None)), (Some("a"), None, None));
    }
}
