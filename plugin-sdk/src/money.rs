//! Amounts of money: decimal text with a point, never a float that was added to.

use crate::types::Money;

/// Currencies without the usual two decimals (ISO 4217, list one of 2024).
const DECIMALS: [(&str, u32); 25] = [
    ("BHD", 3),
    ("BIF", 0),
    ("CLF", 4),
    ("CLP", 0),
    ("DJF", 0),
    ("GNF", 0),
    ("IQD", 3),
    ("ISK", 0),
    ("JOD", 3),
    ("JPY", 0),
    ("KMF", 0),
    ("KRW", 0),
    ("KWD", 3),
    ("LYD", 3),
    ("OMR", 3),
    ("PYG", 0),
    ("RWF", 0),
    ("TND", 3),
    ("UGX", 0),
    ("UYI", 0),
    ("UYW", 4),
    ("VND", 0),
    ("VUV", 0),
    ("XAF", 0),
    ("XPF", 0),
];

/// How many decimals a currency has: 2 for EUR, 0 for JPY.
pub fn decimals(currency: &str) -> u32 {
    DECIMALS.iter().find(|(code, _)| code.eq_ignore_ascii_case(currency)).map_or(2, |(_, decimals)| *decimals)
}

/// An amount as the system wrote it, `698` or `698.0000`, with the decimals of its currency and those beyond that say
/// something: `698.00`. Nothing for what is no decimal number or no currency.
pub fn of(amount: &str, currency: &str) -> Option<Money> {
    let currency = code(currency)?;
    let text = amount.trim();
    let (sign, digits) = text.strip_prefix('-').map_or(("", text), |rest| ("-", rest));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let plain = |s: &str| s.len() <= 30 && s.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !plain(whole) || !plain(fraction) {
        return None;
    }
    let whole = Some(whole.trim_start_matches('0')).filter(|w| !w.is_empty()).unwrap_or("0");
    let wanted = decimals(&currency) as usize;
    let fraction = fraction.trim_end_matches('0');
    let fraction = format!("{fraction:0<wanted$}");
    let point = if fraction.is_empty() { "" } else { "." };
    let zero = whole == "0" && fraction.bytes().all(|b| b == b'0');
    Some(Money { amount: format!("{}{whole}{point}{fraction}", if zero { "" } else { sign }), currency })
}

/// An amount in the currency's smallest unit: 69,800 EUR cents are `698.00`, 698 JPY are `698`.
pub fn minor(amount: i64, currency: &str) -> Money {
    with_decimals(amount, decimals(currency), currency)
}

/// An amount that was counted in units of `10^-decimals`, whatever its currency usually has.
pub fn with_decimals(amount: i64, decimals: u32, currency: &str) -> Money {
    let sign = if amount < 0 { "-" } else { "" };
    let unit = 10_u64.checked_pow(decimals).unwrap_or(u64::MAX);
    let (whole, rest) = (amount.unsigned_abs() / unit, amount.unsigned_abs() % unit);
    let amount = match decimals {
        0 => format!("{sign}{whole}"),
        _ => format!("{sign}{whole}.{rest:0width$}", width = decimals as usize),
    };
    Money { amount, currency: currency.trim().to_uppercase() }
}

/// An amount that a system gives as a number of JSON: rounded to the currency's decimals, since a float has no others.
pub fn number(amount: f64, currency: &str) -> Option<Money> {
    let currency = code(currency)?;
    let decimals = decimals(&currency) as usize;
    // Beyond, a float knows no cents any more.
    (amount.is_finite() && amount.abs() < 1e13).then(|| {
        // Not by `format` alone: it rounds 1.005, which is a little less, down.
        let scale = 10_f64.powi(i32::try_from(decimals).unwrap_or(2));
        let scaled = amount * scale;
        let rounded = (scaled + scaled.signum() * scaled.abs() * f64::EPSILON).round() / scale;
        let text = format!("{rounded:.decimals$}");
        let amount = if text.trim_start_matches('-').bytes().all(|b| matches!(b, b'0' | b'.')) {
            text.trim_start_matches('-').to_owned()
        } else {
            text
        };
        Money { amount, currency }
    })
}

fn code(currency: &str) -> Option<String> {
    let code = currency.trim().to_uppercase();
    (code.len() == 3 && code.bytes().all(|b| b.is_ascii_uppercase())).then_some(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(money: Option<Money>) -> String {
        money.map_or_else(|| "-".into(), |m| format!("{} {}", m.amount, m.currency))
    }

    #[test]
    fn amounts_have_the_decimals_of_their_currency_and_lose_none_that_say_something() {
        for (amount, currency, shown) in [
            ("698", "eur", "698.00 EUR"),
            ("698.0000", "EUR", "698.00 EUR"),
            ("0.0125", "EUR", "0.0125 EUR"),
            ("-12.5", "EUR", "-12.50 EUR"),
            ("0698.10", "EUR", "698.10 EUR"),
            ("1000", "JPY", "1000 JPY"),
            ("1000.00", "JPY", "1000 JPY"),
            ("1.5", "KWD", "1.500 KWD"),
            ("-0.00", "EUR", "0.00 EUR"),
            ("", "EUR", "-"),
            ("1,5", "EUR", "-"),
            ("1e3", "EUR", "-"),
            ("false", "EUR", "-"),
            ("1", "Euro", "-"),
        ] {
            assert_eq!(text(of(amount, currency)), shown, "{amount} {currency}");
        }
    }

    #[test]
    fn smallest_units_and_floats_become_amounts() {
        assert_eq!(text(Some(minor(69_800, "EUR"))), "698.00 EUR");
        assert_eq!(text(Some(minor(-5, "EUR"))), "-0.05 EUR");
        assert_eq!(text(Some(minor(698, "JPY"))), "698 JPY");
        assert_eq!(text(Some(minor(1_500, "KWD"))), "1.500 KWD");
        assert_eq!(text(Some(with_decimals(69_800, 2, "JPY"))), "698.00 JPY");
        assert_eq!(text(number(698.0, "EUR")), "698.00 EUR");
        assert_eq!(text(number(1.005, "EUR")), "1.01 EUR");
        assert_eq!(text(number(-0.001, "EUR")), "0.00 EUR");
        assert_eq!(text(number(0.1 + 0.2, "EUR")), "0.30 EUR");
        assert_eq!(text(number(f64::NAN, "EUR")), "-");
    }
}
