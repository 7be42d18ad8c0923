//! Tryton's JSON: decimals and dates are objects with `__class__`, related records stand under `name.`.

use confab_plugin_sdk::dates;
use serde_json::{Value, json};

/// The value of a field as it was asked for: `party.rec_name` is in `{"party.": {"rec_name": ...}}`.
pub(crate) fn field<'v>(record: &'v Value, path: &str) -> Option<&'v Value> {
    let found = match path.split_once('.') {
        Some((first, rest)) => field(record.get(format!("{first}."))?, rest),
        None => record.get(path),
    };
    found.filter(|v| !v.is_null())
}

/// A text that isn't empty.
pub(crate) fn text(record: &Value, path: &str) -> Option<String> {
    let text = field(record, path)?.as_str()?.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// Related records: `lines` is in `{"lines.": [...]}`. A single one counts as a list of one.
pub(crate) fn records<'v>(record: &'v Value, name: &str) -> Vec<&'v Value> {
    match record.get(format!("{name}.")) {
        Some(Value::Array(many)) => many.iter().collect(),
        Some(one @ Value::Object(_)) => vec![one],
        _ => Vec::new(),
    }
}

pub(crate) fn id(record: &Value) -> Option<i64> {
    record.get("id")?.as_i64()
}

pub(crate) fn number(record: &Value, path: &str) -> Option<f64> {
    let value = field(record, path)?;
    value.as_f64().or_else(|| value.get("decimal")?.as_str()?.parse().ok())
}

/// A decimal with at least two places and none that say nothing: `349.0000` becomes `349.00`.
pub(crate) fn decimal(record: &Value, path: &str) -> Option<String> {
    let value = field(record, path)?;
    let text = match value.get("decimal") {
        Some(decimal) => decimal.as_str()?.to_owned(),
        None => value.as_f64()?.to_string(),
    };
    if text.contains(['e', 'E']) {
        // Python writes very large and very small decimals so; no price needs more.
        return Some(format!("{:.2}", text.parse::<f64>().ok()?));
    }
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    let number = !whole.is_empty() && digits(whole.trim_start_matches('-')) && digits(fraction);
    number.then(|| format!("{whole}.{:0<2}", fraction.trim_end_matches('0')))
}

/// A date or moment as RFC 3339. Tryton's moments are UTC; a date is its midnight.
pub(crate) fn moment(record: &Value, path: &str) -> Option<String> {
    let value = field(record, path)?;
    let part = |name: &str| value.get(name).and_then(Value::as_u64);
    let (year, month, day) = (part("year")?, part("month")?, part("day")?);
    let clock = ["hour", "minute", "second"].map(|name| part(name).unwrap_or(0));
    let [hour, minute, second] = clock;
    Some(format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z"))
}

/// The date so many days after a moment, as Tryton wants it.
pub(crate) fn date(millis: u64, days_later: u32) -> Value {
    let day = dates::day(millis.saturating_add(u64::from(days_later) * 86_400_000));
    let mut parts = day.split('-').map(|part| part.parse::<u32>().unwrap_or_default());
    let mut next = || parts.next().unwrap_or_default();
    json!({"__class__": "date", "year": next(), "month": next(), "day": next()})
}

/// A text for `like` and `ilike` that means just itself.
pub(crate) fn literal(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '\\' | '%' | '_') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn related_records_decimals_and_dates_are_read() {
        let record = json!({
            "id": 3, "number": "", "price": {"__class__": "Decimal", "decimal": "349.0000"},
            "sale_date": {"__class__": "date", "year": 2026, "month": 3, "day": 7},
            "write_date": {"__class__": "datetime", "year": 2026, "month": 11, "day": 22, "hour": 14, "minute": 7, "second": 50, "microsecond": 5},
            "party.": {"id": 4, "rec_name": "Muster & Söhne GmbH"}, "carrier.": null, "lines.": [{"id": 1}, {"id": 2}],
        });
        assert_eq!(text(&record, "party.rec_name").as_deref(), Some("Muster & Söhne GmbH"));
        assert_eq!(text(&record, "carrier.party.name"), None);
        assert_eq!(text(&record, "number"), None);
        assert_eq!(decimal(&record, "price").as_deref(), Some("349.00"));
        assert_eq!(moment(&record, "sale_date").as_deref(), Some("2026-03-07T00:00:00Z"));
        assert_eq!(moment(&record, "write_date").as_deref(), Some("2026-11-22T14:07:50Z"));
        assert_eq!((records(&record, "lines").len(), records(&record, "carrier").len(), id(&record)), (2, 0, Some(3)));
    }

    #[test]
    fn decimals_of_any_dress_are_plain() {
        let of = |s: &str| decimal(&json!({"d": {"__class__": "Decimal", "decimal": s}}), "d");
        assert_eq!(of("1E+2").as_deref(), Some("100.00"));
        assert_eq!(of("-0.0125").as_deref(), Some("-0.0125"));
        assert_eq!(of("7").as_deref(), Some("7.00"));
        assert_eq!(of("NaN"), None);
    }

    #[test]
    fn dates_are_counted_on() {
        assert_eq!(date(1_795_343_519_999, 0), json!({"__class__": "date", "year": 2026, "month": 11, "day": 22}));
        assert_eq!(date(1_795_343_519_999, 40), json!({"__class__": "date", "year": 2027, "month": 1, "day": 1}));
    }

    #[test]
    fn wildcards_mean_themselves() {
        assert_eq!(literal(r"50%_a\b"), r"50\%\_a\\b");
    }
}
