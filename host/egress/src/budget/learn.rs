//! What an answer says about how often its system may be called.
//!
//! | who says it | read as |
//! |---|---|
//! | `Retry-After` with 403, 429, 430 | a pause: seconds or a date; with 503 it is the breaker's |
//! | `RateLimit: "name";r=50;t=30` (several, by commas), `RateLimit: limit=100, remaining=50, reset=5` | allowance until the reset |
//! | `RateLimit-Remaining` and `-Reset`; `X-RateLimit-*`, `X-Rate-Limit-*` (GitHub, Zendesk, Odoo.sh and many others) | allowance; the reset is seconds, an epoch in s or ms, or a date |
//! | `X-HubSpot-RateLimit-Remaining` with `-Interval-Milliseconds` | allowance for at most that interval |
//! | `X-Shopify-Shop-Api-Call-Limit: 32/40` | a bucket of 40 that leaks one twentieth of itself a second |
//! | `extensions.cost.throttleStatus` of Shopify's GraphQL, with what this request cost | a bucket of points |
//! | `Sforce-Limit-Info: api-usage=5000/5000` | used up: a pause |
//! | 429 without any of these | a pause of our own, doubling |
//!
//! An allowance says how many requests may still be made until some moment. Of several the one that ends first counts.
//! What can't be read is passed over: these headers are advice, and a budget is not worth failing an answer for.

use std::time::{Duration, SystemTime};

use http::HeaderMap;
use serde::Deserialize;

use crate::exchange::retry_after;

/// Longest pause that is believed. A system that says more is asked once in this time: its clock may be wrong, its limit
/// may have been raised, and an operator who has repaired something should not have to wait for hours.
pub(crate) const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// How long is waited where a system says that nothing is left, but not until when.
const UNKNOWN_RESET: Duration = Duration::from_secs(1);

/// How long a connection whose requests for the day are used up is left alone before it is tried again.
const DAY_IS_USED_UP: Duration = Duration::from_secs(60);

/// Bytes of a body that is looked into for what a query cost.
const COST_BODY_BYTES: usize = 256 * 1024;

/// So many requests may still be made until then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Allowance {
    pub(crate) left: u64,
    pub(crate) reset: Duration,
}

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Lesson {
    /// Leave it alone for so long; and who says so, for the metric.
    pub(crate) pause: Option<(Duration, &'static str)>,
    pub(crate) allowance: Option<Allowance>,
    /// It said that there were too many requests, and nothing about when to come again.
    pub(crate) refused_without_a_time: bool,
}

/// Reads an answer.
pub(crate) fn lesson(status: u16, headers: &HeaderMap, body: &[u8], now: SystemTime) -> Lesson {
    let mut found: Vec<Allowance> = Vec::new();
    let told = if matches!(status, 403 | 429 | 430) { retry_after(headers, now) } else { None };
    found.extend(structured(headers));
    for (remaining, reset) in [
        ("ratelimit-remaining", "ratelimit-reset"),
        ("x-ratelimit-remaining", "x-ratelimit-reset"),
        ("x-rate-limit-remaining", "x-rate-limit-reset"),
    ] {
        if let Some(left) = number(headers, remaining) {
            let reset = text(headers, reset).and_then(|text| moment(text, now));
            found.push(Allowance { left, reset: reset.unwrap_or(UNKNOWN_RESET) });
        }
    }
    if let (Some(left), Some(ms)) =
        (number(headers, "x-hubspot-ratelimit-remaining"), number(headers, "x-hubspot-ratelimit-interval-milliseconds"))
    {
        found.push(Allowance { left, reset: Duration::from_millis(ms) });
    }
    found.extend(text(headers, "x-shopify-shop-api-call-limit").and_then(shopify_bucket));
    found.extend(shopify_points(headers, body));
    // The one that is used up for longest decides; of those with something left, the smallest.
    let used_up = found.iter().filter(|a| a.left == 0).map(|a| a.reset).max();
    let day = text(headers, "sforce-limit-info").is_some_and(salesforce_is_used_up).then_some(DAY_IS_USED_UP);
    let throttled = matches!(status, 429 | 430);
    let pause = match told {
        Some(told) if !told.is_zero() => Some((told, "retry-after")),
        // That nothing is left is worth a pause: the next request would be refused.
        _ => used_up.or(day).filter(|reset| !reset.is_zero()).map(|reset| (reset, "used-up")),
    };
    Lesson {
        pause: pause.map(|(pause, source)| (pause.min(LONGEST_PAUSE), source)),
        allowance: found.into_iter().filter(|a| a.left > 0 && !a.reset.is_zero()).min_by_key(|a| a.left),
        refused_without_a_time: throttled && pause.is_none(),
    }
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

/// A whole number, also where `100, 100;w=10` or `12.0` stands.
fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    let first = text(headers, name)?.split([',', ';', '.']).next()?;
    first.trim().parse().ok()
}

/// Seconds from now, an epoch in seconds or milliseconds, or a date.
fn moment(text: &str, now: SystemTime) -> Option<Duration> {
    /// 2001 in seconds; nobody's window is that long.
    const EPOCHS_FROM: f64 = 1e9;
    const MILLIS_FROM: f64 = 1e12;
    let Ok(value) = text.parse::<f64>() else {
        let date = httpdate::parse_http_date(text).ok()?;
        return Some(date.duration_since(now).unwrap_or_default());
    };
    if !value.is_finite() || value < 0.0 {
        return None;
    }
    if value < EPOCHS_FROM {
        return Duration::try_from_secs_f64(value).ok();
    }
    let seconds = if value < MILLIS_FROM { value } else { value / 1_000.0 };
    let then = SystemTime::UNIX_EPOCH.checked_add(Duration::try_from_secs_f64(seconds).ok()?)?;
    Some(then.duration_since(now).unwrap_or_default())
}

/// `RateLimit` of the IETF draft: the later form (a list of items with `r` and `t`), and the one before it (a dictionary).
fn structured(headers: &HeaderMap) -> Vec<Allowance> {
    let mut found = Vec::new();
    for line in headers.get_all("ratelimit") {
        let Ok(line) = line.to_str() else { continue };
        let value = |part: &str, wanted: &str| {
            let (name, value) = part.split_once('=')?;
            (name.trim().eq_ignore_ascii_case(wanted)).then(|| value.trim().parse::<u64>().ok())?
        };
        if line.contains(';') {
            for item in line.split(',') {
                let field = |wanted: &str| item.split(';').find_map(|part| value(part, wanted));
                if let Some(left) = field("r") {
                    found.push(Allowance { left, reset: field("t").map_or(UNKNOWN_RESET, Duration::from_secs) });
                }
            }
        } else {
            let field = |wanted: &str| line.split(',').find_map(|part| value(part, wanted));
            if let Some(left) = field("remaining") {
                found.push(Allowance { left, reset: field("reset").map_or(UNKNOWN_RESET, Duration::from_secs) });
            }
        }
    }
    found
}

/// `32/40`: of 40 places 32 are taken; a twentieth of them (2 of 40, 4 of 80) becomes free each second.
fn shopify_bucket(text: &str) -> Option<Allowance> {
    let (used, size) = text.split_once('/')?;
    let (used, size): (u64, u64) = (used.trim().parse().ok()?, size.trim().parse().ok()?);
    let per_second = (size / 20).max(1);
    let left = size.saturating_sub(used);
    Some(Allowance { left, reset: Duration::from_millis(1_000 / per_second).max(Duration::from_millis(1)) })
}

#[derive(Deserialize)]
struct Costed {
    extensions: Option<Extensions>,
}
#[derive(Deserialize)]
struct Extensions {
    cost: Option<Cost>,
}
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Cost {
    requested_query_cost: Option<f64>,
    throttle_status: Option<Throttle>,
}
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Throttle {
    currently_available: f64,
    restore_rate: f64,
}

/// How many requests like this one the points allow, and when there are points for one more.
fn shopify_points(headers: &HeaderMap, body: &[u8]) -> Option<Allowance> {
    let is_json = text(headers, "content-type").is_some_and(|kind| kind.contains("json"));
    // Looked for before it is parsed: nobody else's answers should pay for this.
    let has_cost = || body.windows(14).any(|window| window == b"throttleStatus");
    if !is_json || body.len() > COST_BODY_BYTES || !has_cost() {
        return None;
    }
    let cost = serde_json::from_slice::<Costed>(body).ok()?.extensions?.cost?;
    let (throttle, one) = (cost.throttle_status?, cost.requested_query_cost.filter(|cost| *cost >= 1.0)?);
    if throttle.restore_rate <= 0.0 || !throttle.currently_available.is_finite() {
        return None;
    }
    let available = throttle.currently_available.max(0.0);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "not negative, and a float beyond u64 becomes its largest"
    )]
    let left = (available / one).floor() as u64;
    let missing = if left == 0 { one - available } else { one };
    Some(Allowance { left, reset: Duration::try_from_secs_f64(missing / throttle.restore_rate).ok()? })
}

/// `api-usage=5000/5000; per-app-api-usage=10/250(appName=sample)`.
fn salesforce_is_used_up(text: &str) -> bool {
    text.split([';', ',']).any(|part| {
        let Some((_, usage)) = part.split_once('=') else { return false };
        let usage = usage.split('(').next().unwrap_or_default();
        let Some((used, limit)) = usage.split_once('/') else { return false };
        matches!((used.trim().parse::<u64>(), limit.trim().parse::<u64>()), (Ok(used), Ok(limit)) if limit > 0 && used >= limit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_795_000_000;

    fn read_with(status: u16, headers: &[(&'static str, &str)], body: &str) -> Lesson {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        lesson(status, &map, body.as_bytes(), SystemTime::UNIX_EPOCH + Duration::from_secs(NOW))
    }

    fn read(status: u16, headers: &[(&'static str, &str)]) -> Lesson {
        read_with(status, headers, "")
    }

    fn allows(left: u64, ms: u64) -> Lesson {
        let reset = Duration::from_millis(ms);
        Lesson { allowance: Some(Allowance { left, reset }), ..Lesson::default() }
    }

    fn pauses(ms: u64, source: &'static str) -> Lesson {
        Lesson { pause: Some((Duration::from_millis(ms), source)), ..Lesson::default() }
    }

    #[test]
    fn a_time_to_come_again_is_a_pause() {
        for status in [403, 429, 430] {
            assert_eq!(read(status, &[("retry-after", "7")]), pauses(7_000, "retry-after"), "{status}");
        }
        for status in [200, 503] {
            assert_eq!(read(status, &[("retry-after", "7")]), Lesson::default(), "{status}");
        }
        let date = httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_secs(NOW + 9));
        assert_eq!(read(429, &[("retry-after", date.as_str())]), pauses(9_000, "retry-after"));
        assert_eq!(read(429, &[("retry-after", "86400")]), pauses(300_000, "retry-after"));
        for useless in ["0", "soon", ""] {
            let lesson = read(429, &[("retry-after", useless)]);
            assert!(lesson.refused_without_a_time && lesson.pause.is_none(), "{useless}");
        }
        assert_eq!(read(500, &[]), Lesson::default());
    }

    #[test]
    fn all_drafts_of_the_ietf_are_understood() {
        assert_eq!(read(200, &[("ratelimit", "\"default\";r=50;t=30")]), allows(50, 30_000));
        assert_eq!(read(200, &[("ratelimit", "\"hour\";r=900;t=3000, \"second\";r=3;t=1")]), allows(3, 1_000));
        assert_eq!(
            read(200, &[("ratelimit", "\"a\";r=0;t=5"), ("ratelimit", "\"b\";r=9;t=60")]).pause,
            pauses(5_000, "used-up").pause
        );
        assert_eq!(read(200, &[("ratelimit", "limit=100, remaining=50, reset=5")]), allows(50, 5_000));
        let three = [("ratelimit-limit", "100, 100;w=10"), ("ratelimit-remaining", "12"), ("ratelimit-reset", "8")];
        assert_eq!(read(200, &three), allows(12, 8_000));
    }

    #[test]
    fn vendors_are_understood() {
        let github = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", &(NOW + 30).to_string())];
        assert_eq!(read(403, &github), pauses(30_000, "used-up"));
        let millis = [("x-ratelimit-remaining", "4"), ("x-ratelimit-reset", &(NOW * 1_000 + 2_500).to_string())];
        let found = read(200, &millis).allowance.unwrap();
        assert_eq!((found.left, found.reset.as_millis() / 10), (4, 250));
        let zendesk = [("x-rate-limit", "700"), ("x-rate-limit-remaining", "699"), ("ratelimit-reset", "41")];
        assert_eq!(read(200, &zendesk), allows(699, 1_000));
        let hubspot = [
            ("x-hubspot-ratelimit-max", "100"),
            ("x-hubspot-ratelimit-remaining", "3"),
            ("x-hubspot-ratelimit-interval-milliseconds", "10000"),
        ];
        assert_eq!(read(200, &hubspot), allows(3, 10_000));
        assert_eq!(read(200, &[("x-shopify-shop-api-call-limit", "32/40")]), allows(8, 500));
        assert_eq!(read(200, &[("x-shopify-shop-api-call-limit", "80/80")]), pauses(250, "used-up"));
        assert_eq!(read(200, &[("sforce-limit-info", "api-usage=10018/100000")]), Lesson::default());
        let app = "api-usage=25/5000; per-app-api-usage=250/250(appName=sample-connected-app)";
        assert_eq!(read(403, &[("sforce-limit-info", app)]), pauses(60_000, "used-up"));
    }

    #[test]
    fn what_a_query_cost_is_read_from_a_small_json_answer() {
        let body = |available: f64| {
            format!(
                r#"{{"data":{{}},"extensions":{{"cost":{{"requestedQueryCost":101,"actualQueryCost":46,"throttleStatus":
                {{"maximumAvailable":1000.0,"currentlyAvailable":{available},"restoreRate":50.0}}}}}}}}"#
            )
        };
        let json = [("content-type", "application/json; charset=utf-8")];
        assert_eq!(read_with(200, &json, &body(954.0)), allows(9, 2_020));
        assert_eq!(read_with(200, &json, &body(1.0)), pauses(2_000, "used-up"));
        assert_eq!(read_with(200, &[("content-type", "text/html")], &body(1.0)), Lesson::default());
        let large = format!("{}{}", body(1.0), " ".repeat(COST_BODY_BYTES));
        assert_eq!(read_with(200, &json, &large), Lesson::default());
        assert_eq!(read_with(200, &json, "throttleStatus, but no JSON"), Lesson::default());
    }

    #[test]
    fn nonsense_is_passed_over() {
        for headers in [
            [("ratelimit", "\"a\";r=x;t=y"), ("ratelimit-remaining", "many")],
            [("x-ratelimit-remaining", "-4"), ("x-shopify-shop-api-call-limit", "x/y")],
            [("ratelimit", "=;=;,,"), ("sforce-limit-info", "api-usage=0/0")],
            [("x-hubspot-ratelimit-remaining", "0"), ("x-ratelimit-reset", "inf")],
        ] {
            assert_eq!(read(200, &headers), Lesson::default(), "{headers:?}");
        }
        assert_eq!(read(200, &[("x-ratelimit-remaining", "4"), ("x-ratelimit-reset", "inf")]), allows(4, 1_000));
    }
}
