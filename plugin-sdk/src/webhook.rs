//! What the business system tells by itself. See `wit/v1/plugin/connector.wit`.
//!
//! First check the signature over the bytes as they came, then read them:
//!
//! ```
//! use confab_plugin_sdk::prelude::*;
//! use confab_plugin_sdk::signatures::{Algorithm, from_hex, require, verify_hmac};
//! use confab_plugin_sdk::testing::{Host, hmac};
//! use confab_plugin_sdk::webhook::{Accepted, Event, Request, Webhook};
//! use serde::{Deserialize, Serialize};
//! use serde_json::json;
//!
//! struct Acme;
//!
//! #[derive(Deserialize, Serialize)]
//! struct Told { id: String, order: String, state: String }
//!
//! impl Webhook for Acme {
//!     fn receive(request: Request) -> Result<Accepted, Failure> {
//!         let signature = from_hex(request.header("x-acme-signature").unwrap_or_default()).unwrap_or_default();
//!         require(verify_hmac("signing", Algorithm::Sha256, &request.body, &signature)?)?;
//!         let told: Told = request.json()?;
//!         let event = Event::new(&told.id, format!("order.{}", told.state), &told)?.about(format!("order:{}", told.order));
//!         Ok(Accepted::of([event]))
//!     }
//! }
//!
//! let body = json!({"id": "e-1", "order": "WEB-42", "state": "shipped"});
//! let signed = |key: &str| Request::post(&body).with_hex("x-acme-signature", &hmac(Algorithm::Sha256, key, &body.to_string()));
//! let host = Host::new().webhook_secret("signing", "the test's key");
//! assert_eq!(host.receive::<Acme>(signed("the test's key")).unwrap().events[0].subjects, ["order:WEB-42"]);
//! assert_eq!(host.receive::<Acme>(signed("another key")).unwrap_err().code, "unauthorised");
//! ```

pub use crate::bindings::webhook::*;

use crate::text::percent_decoded;
use serde::{Serialize, de::DeserializeOwned};

impl Request {
    /// First value of a header, whatever its case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name)).map(|header| header.value.as_str())
    }

    /// First value of a parameter of the query, decoded.
    pub fn parameter(&self, name: &str) -> Option<String> {
        let pairs = self.query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        pairs
            .map(|(key, value)| (percent_decoded(key), value))
            .find(|(key, _)| key == name)
            .map(|(_, v)| percent_decoded(v))
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// `invalid-input`, for which the platform gets 400.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        serde_json::from_slice(&self.body)
            .map_err(|e| not_understood(format!("the body has another shape than expected: {e}")))
    }

    /// A request as a platform would make it, for tests: `POST` of JSON.
    pub fn post<T: Serialize + ?Sized>(body: &T) -> Request {
        let json = Header { name: "content-type".into(), value: "application/json".into() };
        Request {
            method: "POST".into(),
            url: "https://confab.example/webhooks/test".into(),
            path: "/webhooks/test".into(),
            query: String::new(),
            headers: vec![json],
            body: serde_json::to_vec(body).unwrap_or_default(),
        }
    }

    /// With one more header, for tests.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Request {
        self.headers.push(Header { name: name.to_ascii_lowercase(), value: value.into() });
        self
    }

    /// With a header of bytes in hexadecimal, for tests.
    #[must_use]
    pub fn with_hex(self, name: &str, value: &[u8]) -> Request {
        let hex: String = value.iter().map(|byte| format!("{byte:02x}")).collect();
        self.with(name, hex)
    }
}

impl Event {
    /// Something that happened. `id` is the platform's own, the same each time that it is delivered; `name` like `order.shipped`.
    ///
    /// # Errors
    /// `invalid-input` where the data can't be JSON.
    pub fn new<T: Serialize + ?Sized>(
        id: impl Into<String>,
        name: impl Into<String>,
        data: &T,
    ) -> Result<Event, Failure> {
        let data = serde_json::to_string(data).map_err(|e| not_understood(format!("data of the event: {e}")))?;
        Ok(Event { id: id.into(), name: name.into(), data, ..Default::default() })
    }

    /// What it is about, e.g. `order:WEB-42`; the most important first.
    #[must_use]
    pub fn about(mut self, subject: impl Into<String>) -> Event {
        self.subjects.push(subject.into());
        self
    }

    /// When it happened, RFC 3339. See [`dates`](crate::dates) for what systems write.
    #[must_use]
    pub fn at(mut self, moment: impl Into<String>) -> Event {
        self.occurred_at = Some(moment.into());
        self
    }
}

impl Accepted {
    /// These events.
    pub fn of(events: impl IntoIterator<Item = Event>) -> Accepted {
        Accepted { events: events.into_iter().collect(), answer: None }
    }

    /// Genuine, and nothing to tell.
    pub fn nothing() -> Accepted {
        Accepted::default()
    }

    /// Answered with these words instead of an empty 202: a challenge that the platform wants back.
    #[must_use]
    pub fn answered(mut self, content_type: &str, body: impl Into<Vec<u8>>) -> Accepted {
        let header = Header { name: "content-type".into(), value: content_type.into() };
        self.answer = Some(Answer { status: 200, headers: vec![header], body: body.into() });
        self
    }
}

/// No signature, one that doesn't fit, or an old one: the platform gets 401.
pub fn unauthorised(message: impl Into<String>) -> Failure {
    Failure { code: "unauthorised".into(), message: message.into() }
}

/// Genuine, but not understood: the platform gets 400, and does not try again.
pub fn not_understood(message: impl Into<String>) -> Failure {
    Failure { code: "invalid-input".into(), message: message.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signatures::{require, verify_equal};
    use crate::testing::Host;
    use serde_json::json;

    struct Challenged;

    impl Webhook for Challenged {
        fn receive(request: Request) -> Result<Accepted, Failure> {
            require(verify_equal("token", &request.parameter("hub.verify_token").unwrap_or_default())?)?;
            let challenge = request.parameter("hub.challenge").unwrap_or_default();
            Ok(Accepted::nothing().answered("text/plain", challenge))
        }
    }

    /// Believes everybody.
    struct Careless;

    impl Webhook for Careless {
        fn receive(request: Request) -> Result<Accepted, Failure> {
            let told: Vec<String> = request.json()?;
            let events: Result<Vec<Event>, Failure> = told.iter().map(|id| Event::new(id, "told", id)).collect();
            if request.header("X-Token").is_some() {
                verify_equal("token", request.header("x-token").unwrap_or_default())?;
            }
            Ok(Accepted::of(events?))
        }
    }

    fn query(query: &str) -> Request {
        Request { query: query.into(), ..Request::post(&json!({})) }
    }

    #[test]
    fn a_challenge_comes_back_to_who_knows_the_token() {
        let host = Host::new().webhook_secret("token", "a b&c");
        let answer = host.receive::<Challenged>(query("hub.challenge=4%2F2&hub.verify_token=a+b%26c")).unwrap().answer;
        assert_eq!(answer.map(|answer| answer.body), Some(b"4/2".to_vec()));
        for wrong in ["hub.challenge=42&hub.verify_token=other", "hub.challenge=42", "hub.verify_token"] {
            assert_eq!(host.receive::<Challenged>(query(wrong)).unwrap_err().code, "unauthorised", "{wrong}");
        }
    }

    #[test]
    fn what_nobody_vouches_for_is_refused_whatever_the_plugin_says() {
        let host = Host::new().webhook_secret("token", "right");
        let told = json!(["1", "2"]);
        assert_eq!(host.receive::<Careless>(Request::post(&told)).unwrap_err().code, "unauthorised");
        assert_eq!(
            host.receive::<Careless>(Request::post(&told).with("x-token", "wrong")).unwrap_err().code,
            "unauthorised"
        );
        assert_eq!(host.receive::<Careless>(Request::post(&told).with("x-token", "right")).unwrap().events.len(), 2);
        assert_eq!(host.receive::<Careless>(query("")).unwrap_err().code, "invalid-input");
        // What the real host would end, ends a test.
        let ended = |told: serde_json::Value| {
            let receive = || host.receive::<Careless>(Request::post(&told).with("x-token", "right"));
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(receive)).is_err()
        };
        assert!(
            ended(json!(vec!["1"; 101]))
                && ended(json!([""]))
                && ended(json!(["a\nb"]))
                && !ended(json!(vec!["1"; 100]))
        );
    }
}
