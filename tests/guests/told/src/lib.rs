//! Reads webhooks: how a test tells a conversation something. Its stock is empty.
//!
//! The body is JSON: `{"events": [{"id": ..., "name": ..., "subjects": [...], "data": ...}]}`. Header `x-timestamp` has the seconds
//! since 1970, `x-signature` the HMAC-SHA-256 of `TIMESTAMP.BODY` in hexadecimal under the secret `signing`; older than five
//! minutes is too old. With `"answer": "..."` it answers so. It misbehaves when it is told to: `"times": 10000` repeats the
//! first event, `"garbage": true` makes its data no JSON, `"panic": true` panics; with header `x-careless` it checks nothing.

use confab_plugin_sdk::inventory::{Inventory, StockLevel};
use confab_plugin_sdk::prelude::*;
use confab_plugin_sdk::signatures::{Algorithm, fresh, from_hex, require, verify_hmac};
use confab_plugin_sdk::webhook::{Accepted, Event, Request, Webhook};
use serde_json::Value;
use std::time::Duration;

/// How old a request may be.
const TOLERANCE: Duration = Duration::from_secs(300);

struct Told;

impl Inventory for Told {
    fn availability(_sku: String, _location: Option<String>) -> Result<Vec<StockLevel>> {
        Ok(Vec::new())
    }
}

impl Webhook for Told {
    fn receive(request: Request) -> Result<Accepted, Failure> {
        if request.header("x-careless").is_none() {
            let timestamp = request.header("x-timestamp").unwrap_or_default();
            let signature = from_hex(request.header("x-signature").unwrap_or_default()).unwrap_or_default();
            let message = [timestamp.as_bytes(), b".", &request.body].concat();
            require(verify_hmac("signing", Algorithm::Sha256, &message, &signature)?)?;
            require(timestamp.parse().is_ok_and(|seconds| fresh(seconds, TOLERANCE)))?;
        }
        let told: Value = request.json()?;
        let yes = |name: &str| told.get(name).and_then(Value::as_bool).unwrap_or(false);
        assert!(!yes("panic"), "told to");
        let mut events = Vec::new();
        for event in told.get("events").and_then(Value::as_array).into_iter().flatten() {
            let text = |name: &str| event.get(name).and_then(Value::as_str).unwrap_or_default();
            let mut made = Event::new(text("id"), text("name"), event.get("data").unwrap_or(&Value::Null))?;
            for subject in event.get("subjects").and_then(Value::as_array).into_iter().flatten() {
                made = made.about(subject.as_str().unwrap_or_default());
            }
            if yes("garbage") {
                made.data = "{".into();
            }
            events.push(made);
        }
        if let (Some(times), Some(first)) = (told.get("times").and_then(Value::as_u64), events.first().cloned()) {
            events = (0..times).map(|_| first.clone()).collect();
        }
        let accepted = Accepted::of(events);
        Ok(match told.get("answer").and_then(Value::as_str) {
            Some(answer) => accepted.answered("text/plain", answer),
            None => accepted,
        })
    }
}

confab_plugin_sdk::connector!(Told: inventory, webhook);

#[cfg(test)]
mod tests {
    use super::*;
    use confab_plugin_sdk::testing::{Host, hmac};
    use serde_json::json;

    fn signed(seconds: i64, body: &Value) -> Request {
        let signature = hmac(Algorithm::Sha256, "key", format!("{seconds}.{body}"));
        Request::post(body).with("x-timestamp", seconds.to_string()).with_hex("x-signature", &signature)
    }

    #[test]
    fn signed_and_fresh_is_believed_and_nothing_else() {
        let host = Host::new().now(1_000_000_000).webhook_secret("signing", "key");
        let body =
            json!({"events": [{"id": "1", "name": "order.shipped", "subjects": ["order:1"], "data": {"by": "ship"}}]});
        let code = |request: Request| host.receive::<Told>(request).map(|got| got.events.len()).map_err(|e| e.code);
        assert_eq!(code(signed(1_000_000, &body)), Ok(1));
        let refused = || Err("unauthorised".to_owned());
        assert_eq!((code(signed(999_699, &body)), code(signed(1_000_301, &body))), (refused(), refused()));
        assert_eq!(code(Request { body: b"{}".to_vec(), ..signed(1_000_000, &body) }), refused());
        assert_eq!(
            (code(Request::post(&body)), code(Request::post(&body).with("x-careless", "1"))),
            (refused(), refused())
        );
    }
}
