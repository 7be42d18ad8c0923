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

/// A part of a query as it was before it was encoded; what is no encoding becomes `?`.
pub(crate) fn percent_decoded(text: &str) -> String {
    let mut bytes = text.bytes();
    let mut out = Vec::new();
    while let Some(byte) = bytes.next() {
        let digit = |b: Option<u8>| b.and_then(|b| char::from(b).to_digit(16));
        match byte {
            b'%' => match (digit(bytes.next()), digit(bytes.next())) {
                (Some(high), Some(low)) => out.push(u8::try_from(high * 16 + low).unwrap_or(b'?')),
                _ => out.push(b'?'),
            },
            b'+' => out.push(b' '),
            byte => out.push(byte),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
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
