//! Webhooks: what a platform tells by itself, read by a connector's `confab:plugin/webhook`, and the checks of
//! `confab:plugin/signatures` that it makes.
//!
//! The connector sees the request, never a secret: it says what was signed and with which secret by name, and
//! [`HostServices::verify`](crate::HostServices::verify) compares. Whether any check fitted is counted here and told with the
//! result ([`WebhookAccepted::verified`]), so that the caller can refuse a request that nobody vouches for, whatever the plugin
//! thinks of it.
//!
//! What comes back is checked as a stranger's: number and sizes, names, JSON, the answer's headers. One thing wrong and
//! all of it is a failure of the plugin: half of a platform's events must not be taken for all of them.

use crate::bindings::{signatures, types, webhook};
use crate::effects::{event_problem, name_problem};
use crate::failure::{FailureKind, LimitHit};
use crate::manifest::shown;
use crate::services::CapabilityError;
use crate::state::CallState;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use wasmtime::Result;

/// Events of one request. Platforms that collect send up to 100 (HubSpot).
pub const WEBHOOK_EVENTS: usize = 100;
/// Bytes of an event's data.
pub const EVENT_DATA_BYTES: usize = 256 << 10;
/// Subjects of one event.
pub const EVENT_SUBJECTS: usize = 16;
/// Bytes of an answer's body: a challenge that comes back, a word that is wanted.
pub const ANSWER_BYTES: usize = 64 << 10;
/// Headers of an answer.
pub const ANSWER_HEADERS: usize = 16;
/// Checks of one call. A request has one signature, or some while a platform changes its key.
pub const CHECKS: u32 = 32;
/// Longest RFC 3339 moment: with nanoseconds and offset it has 35.
const MOMENT_BYTES: usize = 40;
/// Headers that are the host's, or would make the answer something else than the platform's words.
const HOST_HEADERS: [&str; 8] = [
    "connection",
    "content-length",
    "date",
    "keep-alive",
    "set-cookie",
    "strict-transport-security",
    "transfer-encoding",
    "upgrade",
];

/// A platform's request, as it came; `confab:plugin/webhook.request`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WebhookRequest {
    /// Method.
    pub method: String,
    /// The public address with query, as the platform called it.
    pub url: String,
    /// Its path.
    pub path: String,
    /// Its query, without the question mark.
    pub query: String,
    /// Headers in their order. Names are given to the plugin in lower case.
    pub headers: Vec<(String, String)>,
    /// Body, byte by byte.
    pub body: Bytes,
}

/// Something that happened; `confab:plugin/webhook.event`, checked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WebhookEvent {
    /// The platform's own id.
    pub id: String,
    /// `order.shipped`.
    pub name: String,
    /// What is known of it.
    pub data: Value,
    /// What it is about; events with the same first one keep their order.
    pub subjects: Vec<String>,
    /// When it happened, RFC 3339.
    pub occurred_at: Option<String>,
}

/// An answer in the platform's own words; `confab:plugin/webhook.answer`, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookAnswer {
    /// 200 to 299.
    pub status: u16,
    /// Headers, in lower case.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Bytes,
}

/// What a request means; `confab:plugin/webhook.accepted`, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct WebhookAccepted {
    /// What happened, in order.
    pub events: Vec<WebhookEvent>,
    /// What to answer.
    pub answer: Option<WebhookAnswer>,
    /// Whether a check with a secret came out true. Where it is false, the request is anybody's.
    pub verified: bool,
}

/// How an HMAC is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HmacAlgorithm {
    /// HMAC-SHA-256.
    Sha256,
    /// HMAC-SHA-1, which some platforms still use; as an HMAC it is not broken.
    Sha1,
    /// HMAC-SHA-512.
    Sha512,
}

/// A check with a secret of the connection, by its name in the manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignatureCheck {
    /// Whether the signature is the HMAC of the message.
    Hmac {
        /// Name of the secret.
        secret: String,
        /// How it is made.
        algorithm: HmacAlgorithm,
        /// What was signed.
        message: Bytes,
        /// The signature's bytes.
        signature: Bytes,
    },
    /// Whether the value is the secret. Never empty.
    Equal {
        /// Name of the secret.
        secret: String,
        /// What was sent.
        value: String,
    },
}

type Answered = Result<std::result::Result<bool, types::Failure>>;

fn refuse(code: &str, message: String) -> Answered {
    Ok(Err(types::Failure { code: code.to_owned(), message }))
}

impl CallState {
    fn check(&mut self, check: SignatureCheck) -> Answered {
        if self.checks >= CHECKS {
            return refuse("limit", format!("one call checks at most {CHECKS} signatures"));
        }
        self.checks += 1;
        let refused = |e: CapabilityError| types::Failure { code: e.code, message: e.message };
        let fits = self.services.verify(check).map_err(refused);
        self.verified |= matches!(fits, Ok(true));
        Ok(fits)
    }
}

impl signatures::Host for CallState {
    async fn verify_hmac(
        &mut self,
        secret: String,
        algorithm: String,
        message: Vec<u8>,
        signature: Vec<u8>,
    ) -> Answered {
        self.count_small()?;
        let algorithm = match algorithm.as_str() {
            "sha256" => HmacAlgorithm::Sha256,
            "sha1" => HmacAlgorithm::Sha1,
            "sha512" => HmacAlgorithm::Sha512,
            _ => return refuse("invalid-input", "the algorithm is sha256, sha1 or sha512".into()),
        };
        let (message, signature) = (Bytes::from(message), Bytes::from(signature));
        self.check(SignatureCheck::Hmac { secret, algorithm, message, signature })
    }

    async fn verify_equal(&mut self, secret: String, value: String) -> Answered {
        self.count_small()?;
        if value.is_empty() {
            return Ok(Ok(false));
        }
        self.check(SignatureCheck::Equal { secret, value })
    }

    async fn fresh(&mut self, unix_seconds: i64, tolerance_seconds: u32) -> Result<bool> {
        self.count_small()?;
        let now = i64::try_from(self.services.now_millis() / 1_000).unwrap_or(i64::MAX);
        Ok(now.abs_diff(unix_seconds) <= u64::from(tolerance_seconds))
    }
}

impl From<WebhookRequest> for webhook::Request {
    fn from(request: WebhookRequest) -> Self {
        let header = |(name, value): (String, String)| webhook::Header { name: name.to_ascii_lowercase(), value };
        webhook::Request {
            method: request.method,
            url: request.url,
            path: request.path,
            query: request.query,
            headers: request.headers.into_iter().map(header).collect(),
            body: request.body.into(),
        }
    }
}

/// What came back, with what is wrong about it.
pub(crate) fn accepted(accepted: webhook::Accepted, verified: bool) -> std::result::Result<WebhookAccepted, LimitHit> {
    let count = accepted.events.len();
    let wrong = |message: String| LimitHit::new(FailureKind::Contract, message);
    if count > WEBHOOK_EVENTS {
        return Err(wrong(format!("returned {count} events of one request, at most {WEBHOOK_EVENTS} are allowed")));
    }
    let events = accepted.events.into_iter().enumerate();
    let events = events.map(|(n, one)| event(one).map_err(|problem| wrong(format!("event {}: {problem}", n + 1))));
    let events = events.collect::<std::result::Result<_, _>>()?;
    let answer = accepted.answer.map(answer).transpose().map_err(|problem| wrong(format!("answer: {problem}")))?;
    Ok(WebhookAccepted { events, answer, verified })
}

fn event(event: webhook::Event) -> std::result::Result<WebhookEvent, String> {
    let webhook::Event { id, name, data, subjects, occurred_at } = event;
    let problem = name_problem("an id", &id).or_else(|| event_problem(&name));
    let problem = problem.or_else(|| subjects.iter().find_map(|subject| name_problem("a subject", subject)));
    if let Some(problem) = problem {
        return Err(problem);
    }
    if subjects.len() > EVENT_SUBJECTS {
        return Err(format!("has {} subjects, at most {EVENT_SUBJECTS} are allowed", subjects.len()));
    }
    if data.len() > EVENT_DATA_BYTES {
        return Err(format!("data has {} bytes, at most {EVENT_DATA_BYTES} are allowed", data.len()));
    }
    if occurred_at.as_deref().is_some_and(|moment| !is_moment(moment)) {
        return Err("occurred-at is no RFC 3339 moment such as 2026-11-22T10:32:00Z".into());
    }
    let data = serde_json::from_str(&data).map_err(|e| format!("data is no JSON: {e}"))?;
    Ok(WebhookEvent { id, name, data, subjects, occurred_at })
}

fn answer(answer: webhook::Answer) -> std::result::Result<WebhookAnswer, String> {
    if !(200..=299).contains(&answer.status) {
        return Err(format!(
            "has the status {}; one that accepts has 200 to 299, to refuse return a failure",
            answer.status
        ));
    }
    if answer.body.len() > ANSWER_BYTES {
        return Err(format!("has {} bytes, at most {ANSWER_BYTES} are allowed", answer.body.len()));
    }
    if answer.headers.len() > ANSWER_HEADERS {
        return Err(format!("has {} headers, at most {ANSWER_HEADERS} are allowed", answer.headers.len()));
    }
    let header = |header: webhook::Header| {
        let name = header.name.to_ascii_lowercase();
        let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        let good = !name.is_empty() && name.len() <= 100 && name.bytes().all(token);
        let visible =
            header.value.len() <= 8_192 && header.value.bytes().all(|b| (0x20..0x7f).contains(&b) || b == b'\t');
        if !good || !visible || HOST_HEADERS.contains(&name.as_str()) {
            return Err(format!("may not have the header `{}`, or not with such a value", shown(&name)));
        }
        Ok((name, header.value))
    };
    let headers = answer.headers.into_iter().map(header).collect::<std::result::Result<_, _>>()?;
    Ok(WebhookAnswer { status: answer.status, headers, body: answer.body.into() })
}

/// Whether a text has the form of RFC 3339: `2026-11-22T10:32:00.5+01:00`. Which days a month has is left to who reads it.
fn is_moment(text: &str) -> bool {
    let form = |text: &str, form: &str| {
        text.len() == form.len()
            && text.bytes().zip(form.bytes()).all(|(b, f)| if f == b'0' { b.is_ascii_digit() } else { b == f })
    };
    let (Some(date), Some(rest)) = (text.get(..19), text.get(19..)) else { return false };
    let zone_at = rest.find(['Z', '+', '-']).unwrap_or(0);
    let (fraction, zone) = rest.split_at(zone_at);
    let fraction_fits = match fraction.strip_prefix('.') {
        Some(digits) => !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()),
        None => fraction.is_empty(),
    };
    text.len() <= MOMENT_BYTES
        && form(date, "0000-00-00T00:00:00")
        && fraction_fits
        && (zone == "Z" || form(zone, "+00:00") || form(zone, "-00:00"))
}

impl crate::Plugin {
    /// Whether it reads webhooks: [`crate::Plugin::receive`].
    pub fn has_webhook(&self) -> bool {
        self.manifest().kind == crate::Kind::Connector && self.has("webhook")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(name: &str, value: &str) -> webhook::Header {
        webhook::Header { name: name.into(), value: value.into() }
    }

    #[test]
    fn a_moment_has_the_form_of_rfc_3339() {
        for good in ["2026-11-22T10:32:00Z", "2026-11-22T10:32:00.123456789+01:00", "2026-11-22T10:32:00-05:30"] {
            assert!(is_moment(good), "{good}");
        }
        for bad in [
            "",
            "2026-11-22",
            "2026-11-22T10:32:00",
            "2026-11-22T10:32:00.Z",
            "2026-11-22 10:32:00Z",
            "2026-11-22T10:32:00ZZ",
            "2026-11-2\u{e9}T10:32:00Z",
        ] {
            assert!(!is_moment(bad), "{bad}");
        }
    }

    #[test]
    fn an_answer_can_not_split_itself_or_set_what_is_the_hosts() {
        let with =
            |status: u16, headers: Vec<webhook::Header>| answer(webhook::Answer { status, headers, body: Vec::new() });
        let good = with(200, vec![header("Content-Type", "text/plain"), header("x-hook-secret", "a b")]).unwrap();
        assert_eq!(good.headers[0], ("content-type".to_owned(), "text/plain".to_owned()));
        for bad in [
            header("set-cookie", "a"),
            header("x", "a\r\nb: c"),
            header("x y", "a"),
            header("", "a"),
            header("Content-Length", "3"),
            header("\u{e9}\u{e9}", "a"),
        ] {
            assert!(with(200, vec![bad.clone()]).unwrap_err().contains("may not have"), "{bad:?}");
        }
        assert!(with(302, Vec::new()).unwrap_err().contains("200 to 299"));
        assert!(with(200, vec![header("x", "a"); 17]).unwrap_err().contains("17 headers"));
    }

    #[test]
    fn one_event_that_is_wrong_refuses_all_and_says_which() {
        let good = webhook::Event {
            id: "1".into(),
            name: "order.shipped".into(),
            data: "{}".into(),
            subjects: vec!["order:1".into()],
            occurred_at: None,
        };
        let of = |events: Vec<webhook::Event>| accepted(webhook::Accepted { events, answer: None }, true);
        assert_eq!(of(vec![good.clone(); 100]).unwrap().events.len(), 100);
        let long = "x".repeat(201);
        for (bad, words) in [
            (webhook::Event { id: String::new(), ..good.clone() }, "an id has 1 to 200 bytes"),
            (webhook::Event { id: "a\nb".into(), ..good.clone() }, "control characters"),
            (webhook::Event { name: "order shipped".into(), ..good.clone() }, "A-Z"),
            (webhook::Event { name: long.clone(), ..good.clone() }, "has 201"),
            (webhook::Event { subjects: vec![long], ..good.clone() }, "a subject has"),
            (webhook::Event { subjects: vec!["a".into(); 17], ..good.clone() }, "17 subjects"),
            (webhook::Event { data: "{".into(), ..good.clone() }, "no JSON"),
            (webhook::Event { data: " ".repeat(EVENT_DATA_BYTES + 1), ..good.clone() }, "bytes"),
            (webhook::Event { occurred_at: Some("yesterday".into()), ..good.clone() }, "RFC 3339"),
        ] {
            let said = of(vec![good.clone(), bad]).unwrap_err().message;
            assert!(said.starts_with("event 2: ") && said.contains(words), "{words}: {said}");
        }
        assert!(of(vec![good; 101]).unwrap_err().message.contains("101 events"));
    }
}
