//! What the system tells by itself, as `webhook:` of the file describes it: how a call is signed, and where an event stands in its body.
//!
//! ```yaml
//! webhook:
//!   signature: {header: X-Signature, algorithm: sha256, encoding: hex, prefix: "sha256="}   # or token: {header: X-Token}
//!   signed: "{timestamp}.{body}"
//!   timestamp: {header: X-Timestamp, tolerance-s: 300}
//!   list: /events
//!   id: /id
//!   name: /type
//!   names: {ORDER_SENT: order.shipped}
//!   data: /payload
//!   subjects: ["order:{/payload/number}"]
//!   at: /time
//! ```

use crate::spec::Api;
use confab_plugin_sdk::prelude::*;
use confab_plugin_sdk::signatures::{Algorithm, fresh, from_base64, from_hex, require, verify_equal, verify_hmac};
use confab_plugin_sdk::webhook::{Accepted, Event, Request, Webhook, not_understood};
use confab_plugin_sdk::{dates, json, once};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// The one secret of the manifest.
const SECRET: &str = "signing";
/// Names that `signed` may have.
const NAMES: [&str; 4] = ["{body}", "{timestamp}", "{method}", "{url}"];

/// See the module.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Hook {
    signature: Option<Signature>,
    token: Option<Place>,
    #[serde(default = "body")]
    signed: String,
    timestamp: Option<Timestamp>,
    list: Option<String>,
    id: Option<String>,
    name: String,
    #[serde(default)]
    names: BTreeMap<String, String>,
    #[serde(default)]
    data: String,
    #[serde(default)]
    subjects: Vec<String>,
    at: Option<String>,
}

fn body() -> String {
    "{body}".to_owned()
}

/// A header, or one part of it: `v1` of `t=1614265330,v1=...`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Place {
    header: String,
    part: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Signature {
    header: String,
    part: Option<String>,
    #[serde(default)]
    algorithm: Hmac,
    #[serde(default)]
    encoding: Encoding,
    #[serde(default)]
    prefix: String,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Hmac {
    #[default]
    Sha256,
    Sha1,
    Sha512,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Encoding {
    #[default]
    Hex,
    Base64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Timestamp {
    header: String,
    part: Option<String>,
    #[serde(default = "five_minutes")]
    tolerance_s: u32,
}

const fn five_minutes() -> u32 {
    300
}

impl Hook {
    /// What is wrong with it, in words.
    pub(crate) fn problems(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut check = |good: bool, message: &str| {
            if !good {
                wrong.push(format!("webhook: {message}"));
            }
        };
        check(
            self.signature.is_some() != self.token.is_some(),
            "say how calls are checked: `signature` or `token`, one of them",
        );
        check(self.signed.contains("{body}"), "`signed` must have {body} in it: what is not signed is anybody's");
        let signs_time = self.signed.contains("{timestamp}");
        check(signs_time == self.timestamp.is_some(), "`timestamp` and {timestamp} in `signed` belong together");
        let left = NAMES.iter().fold(self.signed.clone(), |text, name| text.replace(name, ""));
        check(!left.contains(['{', '}']), "`signed` knows {body}, {timestamp}, {method} and {url}");
        let pointers = [&self.list, &self.id, &self.at].into_iter().flatten().chain([&self.name, &self.data]);
        let pointers = pointers.filter(|pointer| !pointer.is_empty() && !pointer.starts_with('/'));
        check(pointers.count() == 0, "`list`, `id`, `name`, `data` and `at` are pointers: /a/b");
        check(
            self.subjects.iter().all(|subject| fill(subject, &Value::Null).is_some()),
            "`subjects` are texts with {/pointers}",
        );
        wrong
    }

    fn check(&self, request: &Request) -> Result<(), Failure> {
        if let Some(token) = &self.token {
            let given = parts(request, &token.header, token.part.as_deref());
            return require(verify_equal(SECRET, given.first().map_or("", |given| given))?);
        }
        let (Some(signature), timestamp) = (&self.signature, &self.timestamp) else { return require(false) };
        let time = timestamp.as_ref().and_then(|at| parts(request, &at.header, at.part.as_deref()).into_iter().next());
        let message = self.message(request, time.unwrap_or_default());
        let algorithm = match signature.algorithm {
            Hmac::Sha256 => Algorithm::Sha256,
            Hmac::Sha1 => Algorithm::Sha1,
            Hmac::Sha512 => Algorithm::Sha512,
        };
        let mut fits = false;
        // A header has several while the system changes its key.
        for given in parts(request, &signature.header, signature.part.as_deref()).into_iter().take(4) {
            let given = given.strip_prefix(signature.prefix.as_str()).unwrap_or_default();
            let bytes = match signature.encoding {
                Encoding::Hex => from_hex(given),
                Encoding::Base64 => from_base64(given),
            };
            fits |= verify_hmac(SECRET, algorithm, &message, &bytes.unwrap_or_default())?;
        }
        require(fits)?;
        match timestamp {
            None => Ok(()),
            Some(at) => {
                let seconds = time.and_then(seconds);
                require(seconds.is_some_and(|s| fresh(s, Duration::from_secs(at.tolerance_s.into()))))
            }
        }
    }

    /// What was signed, byte by byte.
    fn message(&self, request: &Request, timestamp: &str) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.signed.len() + request.body.len());
        let mut rest = self.signed.as_str();
        while let Some((at, name)) = NAMES.iter().filter_map(|name| Some((rest.find(name)?, *name))).min() {
            let (before, after) = rest.split_at(at);
            out.extend_from_slice(before.as_bytes());
            out.extend_from_slice(match name {
                "{body}" => &request.body,
                "{timestamp}" => timestamp.as_bytes(),
                "{method}" => request.method.as_bytes(),
                _ => request.url.as_bytes(),
            });
            rest = after.get(name.len()..).unwrap_or_default();
        }
        out.extend_from_slice(rest.as_bytes());
        out
    }

    fn event(&self, record: &Value) -> Result<Event, Failure> {
        let own = json::text(record, &self.name)
            .ok_or_else(|| not_understood(format!("there is no name of an event at {}", self.name)))?;
        let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '_' | '.') { c } else { '_' };
        let name = self.names.get(&own).cloned().unwrap_or_else(|| own.chars().take(200).map(plain).collect());
        let id = self.id.as_ref().and_then(|pointer| json::text(record, pointer)).filter(|id| id.len() <= 200);
        let id = id.unwrap_or_else(|| once::token(&record.to_string()));
        let mut event = Event::new(id, name, record.pointer(&self.data).unwrap_or(&Value::Null))?;
        let subjects = self.subjects.iter().filter_map(|subject| fill(subject, record).flatten());
        event.subjects = subjects.filter(|subject| subject.len() <= 200).take(16).collect();
        let at = self.at.as_ref().and_then(|pointer| json::text(record, pointer));
        event.occurred_at = at.as_deref().and_then(|at| dates::rfc3339(at).or_else(|| seconds(at).map(of_seconds)));
        Ok(event)
    }
}

fn of_seconds(seconds: i64) -> String {
    dates::of_millis(u64::try_from(seconds).unwrap_or_default().saturating_mul(1_000))
}

/// Seconds since 1970 of seconds, milliseconds or a moment.
fn seconds(text: &str) -> Option<i64> {
    match text.parse::<i64>() {
        Ok(number) if number > 99_999_999_999 => Some(number / 1_000),
        Ok(number) => Some(number),
        Err(_) => dates::millis(text).and_then(|at| i64::try_from(at / 1_000).ok()),
    }
}

/// The values of a header, or of its parts of one name.
fn parts<'r>(request: &'r Request, header: &str, part: Option<&str>) -> Vec<&'r str> {
    let Some(value) = request.header(header) else { return Vec::new() };
    match part {
        None => vec![value.trim()],
        Some(part) => {
            let pairs = value.split(',').filter_map(|pair| pair.trim().split_once('='));
            pairs.filter(|(name, _)| *name == part).map(|(_, value)| value).collect()
        }
    }
}

/// A text with `{/pointers}` filled in: none where it is no such text, nothing where something is absent.
#[expect(
    clippy::option_option,
    reason = "a wrong text is found when the connection is prepared, an absent value when an event comes"
)]
fn fill(text: &str, record: &Value) -> Option<Option<String>> {
    let (mut out, mut rest) = (Some(String::new()), text);
    while let Some((before, after)) = rest.split_once('{') {
        let (pointer, after) = after.split_once('}')?;
        if !pointer.starts_with('/') || before.contains('}') {
            return None;
        }
        out = out.zip(json::text(record, pointer)).map(|(out, value)| out + before + &value);
        rest = after;
    }
    if rest.contains('}') { None } else { Some(out.map(|out| out + rest)) }
}

/// Reads a request by the description of the connection.
pub(crate) fn receive(api: &Api, request: &Request) -> Result<Accepted, Failure> {
    let Some(hook) = &api.webhook else {
        let message = "api.yaml has no `webhook`: it says how calls are signed and where events stand".to_owned();
        return Err(Failure { code: "misconfigured".into(), message });
    };
    hook.check(request)?;
    let body: Value = request.json()?;
    let events: Result<Vec<Event>, Failure> = match &hook.list {
        None => Ok(vec![hook.event(&body)?]),
        Some(list) => json::list(&body, list).iter().map(|record| hook.event(record)).collect(),
    };
    Ok(Accepted::of(events?))
}

impl Webhook for crate::Rest {
    fn receive(request: Request) -> Result<Accepted, Failure> {
        let absent = || Failure {
            code: "misconfigured".into(),
            message: "the connection's api.yaml has not been prepared".into(),
        };
        let api = crate::API.read().ok().and_then(|api| api.clone()).ok_or_else(absent)?;
        receive(&api, &request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use confab_plugin_sdk::testing::{Host, base64, hmac};
    use serde_json::json;

    const NOW_S: u64 = 1_790_000_000;

    fn api(webhook: &str) -> Api {
        let text = format!("operations: {{}}\nwebhook:\n{webhook}");
        serde_saphyr::from_str(&text).unwrap()
    }

    fn problems(webhook: &str) -> Vec<String> {
        api(webhook).webhook.unwrap().problems()
    }

    fn read(api: &Api, request: Request) -> Result<Vec<Event>, String> {
        let host = Host::new().now(NOW_S * 1_000).webhook_secret("signing", "the key");
        host.run(|| receive(api, &request)).map(|accepted| accepted.events).map_err(|e| e.code)
    }

    const PLAIN: &str = "  signature: {header: X-Signature, prefix: \"sha256=\"}\n  id: /id\n  name: /type\n  names: {ORDER_SENT: order.shipped}\n  data: /payload\n  subjects: [\"order:{/payload/number}\", \"customer:{/payload/absent}\"]\n  at: /time\n";
    const STRIPE: &str = "  signature: {header: Stripe-Signature, part: v1}\n  signed: \"{timestamp}.{body}\"\n  timestamp: {header: Stripe-Signature, part: t}\n  list: /events\n  name: /name\n";

    #[test]
    fn a_signed_body_becomes_an_event_as_described() {
        let api = api(PLAIN);
        let body = json!({"id": 7, "type": "ORDER_SENT", "time": 1_789_999_000, "payload": {"number": "WEB-42"}});
        let signed = |key: &str| {
            Request::post(&body)
                .with("x-signature", format!("sha256={}", hex(&hmac(Algorithm::Sha256, key, body.to_string()))))
        };
        let events = read(&api, signed("the key")).unwrap();
        assert_eq!(
            (events[0].id.as_str(), events[0].name.as_str(), events[0].data.as_str()),
            ("7", "order.shipped", r#"{"number":"WEB-42"}"#)
        );
        assert_eq!(
            (&events[0].subjects[..], events[0].occurred_at.as_deref()),
            (&["order:WEB-42".to_owned()][..], Some("2026-09-21T13:56:40Z"))
        );
        assert_eq!(read(&api, signed("another")), Err("unauthorised".to_owned()));
        assert_eq!(read(&api, Request::post(&body)), Err("unauthorised".to_owned()));
        let without_prefix =
            Request::post(&body).with_hex("x-signature", &hmac(Algorithm::Sha256, "the key", body.to_string()));
        assert_eq!(read(&api, without_prefix), Err("unauthorised".to_owned()));
    }

    #[test]
    fn a_signed_time_must_be_of_now_and_one_of_several_signatures_fits() {
        let api = api(STRIPE);
        let body = json!({"events": [{"name": "a"}, {"name": "b c"}]});
        let sent = |at: u64| {
            let signature = hex(&hmac(Algorithm::Sha256, "the key", format!("{at}.{body}")));
            Request::post(&body).with("stripe-signature", format!("t={at},v1=00,v1={signature},v0=11"))
        };
        let names: Vec<String> = read(&api, sent(NOW_S - 300)).unwrap().into_iter().map(|event| event.name).collect();
        assert_eq!(names, ["a", "b_c"]);
        assert_eq!(read(&api, sent(NOW_S - 301)), Err("unauthorised".to_owned()));
        assert_eq!(read(&api, sent(NOW_S + 301)), Err("unauthorised".to_owned()));
        let moved = Request { headers: sent(NOW_S - 900).headers, ..sent(NOW_S) };
        assert_eq!(read(&api, moved), Err("unauthorised".to_owned()));
    }

    #[test]
    fn base64_sha1_the_address_and_a_token_do_too() {
        let api_of_url = api(
            "  signature: {header: X-S, algorithm: sha1, encoding: base64}\n  signed: \"{method} {url}{body}\"\n  name: /n\n",
        );
        let body = json!({"n": "a"});
        let request = Request::post(&body);
        let signature = base64(&hmac(Algorithm::Sha1, "the key", format!("POST {}{body}", request.url)));
        assert_eq!(read(&api_of_url, request.clone().with("x-s", signature)).unwrap().len(), 1);
        let by_token = api("  token: {header: X-Token}\n  name: /n\n");
        assert_eq!(read(&by_token, request.clone().with("x-token", "the key")).unwrap()[0].name, "a");
        assert_eq!(read(&by_token, request.clone().with("x-token", "another")), Err("unauthorised".to_owned()));
        assert_eq!(read(&by_token, request), Err("unauthorised".to_owned()));
    }

    #[test]
    fn what_would_not_be_safe_or_has_no_meaning_is_found_when_it_is_prepared() {
        assert_eq!((problems(PLAIN), problems(STRIPE)), (Vec::new(), Vec::new()));
        for (webhook, words) in [
            ("  name: /n\n", "say how calls are checked"),
            ("  token: {header: A}\n  signature: {header: B}\n  name: /n\n", "one of them"),
            (
                "  signature: {header: B}\n  signed: \"{timestamp}\"\n  timestamp: {header: T}\n  name: /n\n",
                "{body} in it",
            ),
            ("  signature: {header: B}\n  signed: \"{timestamp}{body}\"\n  name: /n\n", "belong together"),
            ("  signature: {header: B}\n  signed: \"{secret}{body}\"\n  name: /n\n", "knows {body}"),
            ("  token: {header: A}\n  name: n\n", "are pointers"),
            ("  token: {header: A}\n  name: /n\n  subjects: [\"a:{n}\"]\n", "texts with"),
        ] {
            let wrong = problems(webhook);
            assert!(wrong.len() == 1 && wrong[0].contains(words), "{webhook}: {wrong:?}");
        }
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
