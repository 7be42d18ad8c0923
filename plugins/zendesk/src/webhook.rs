//! What Zendesk tells by itself.
//!
//! Webhooks that subscribe to events send `{"type": "zen:event-type:ticket.status_changed", "id", "time", "subject": "zen:ticket:35436",
//! "detail", "event"}`: the event is `ticket.status_changed`, about `ticket:35436`, with what the ticket is now and what changed.
//! Webhooks of triggers send what their author wrote; `{"event": "ticket.solved", "ticket": "35436", "id": ..., ...}` is understood.
//!
//! Signed are the moment of sending and the body. A trigger's call without an `id` is known by both, so a repeated one is another event.

use confab_plugin_sdk::prelude::*;
use confab_plugin_sdk::signatures::{Algorithm, fresh, from_base64, require, verify_hmac};
use confab_plugin_sdk::webhook::{Accepted, Event, Request, Webhook, not_understood};
use confab_plugin_sdk::{dates, json, once};
use serde_json::{Value, json};
use std::time::Duration;

/// Zendesk tries again for some minutes, each time with the first moment.
const TOLERANCE: Duration = Duration::from_secs(15 * 60);

impl Webhook for crate::Connector {
    fn receive(request: Request) -> Result<Accepted, Failure> {
        let signature =
            from_base64(request.header("x-zendesk-webhook-signature").unwrap_or_default()).unwrap_or_default();
        let sent = request.header("x-zendesk-webhook-signature-timestamp").unwrap_or_default();
        let message = [sent.as_bytes(), &request.body].concat();
        require(verify_hmac("signing", Algorithm::Sha256, &message, &signature)?)?;
        let seconds = dates::millis(sent).and_then(|at| i64::try_from(at / 1_000).ok());
        require(seconds.is_some_and(|seconds| fresh(seconds, TOLERANCE)))?;
        let body: Value = request.json()?;
        let text = |pointer: &str| json::text(&body, pointer);
        let event =
            match (text("/type").as_deref().and_then(|kind| kind.strip_prefix("zen:event-type:")), text("/event")) {
                (Some(name), _) => of_event(name, &body)?,
                (None, Some(name)) => {
                    let id = text("/id").unwrap_or_else(|| once::token(&String::from_utf8_lossy(&message)));
                    let event = Event::new(id, name, &body)?;
                    text("/ticket").map_or(event.clone(), |ticket| event.about(format!("ticket:{ticket}")))
                }
                (None, None) => {
                    return Err(not_understood("the body has neither `type` of an event nor `event` of a trigger"));
                }
            };
        Ok(Accepted::of([event]))
    }
}

fn of_event(name: &str, body: &Value) -> Result<Event, Failure> {
    let text = |pointer: &str| json::text(body, pointer);
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '.' };
    let id = text("/id").ok_or_else(|| not_understood("the event has no id"))?;
    let data = json!({
        "id": text("/detail/id"), "status": text("/detail/status").map(|status| status.to_lowercase()),
        "priority": text("/detail/priority"), "title": text("/detail/subject"), "requester_id": text("/detail/requester_id"),
        "event": body.get("event"),
    });
    let mut event = Event::new(id, name.chars().map(plain).collect::<String>(), &data)?;
    event.subjects =
        text("/subject").and_then(|subject| subject.strip_prefix("zen:").map(str::to_owned)).into_iter().collect();
    event.occurred_at = text("/time").and_then(|time| dates::rfc3339(&time));
    Ok(event)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Connector;
    use confab_plugin_sdk::testing::{Host, base64, hmac};

    const NOW: u64 = 1_790_000_000_000;

    fn host() -> Host {
        Host::new().now(NOW).webhook_secret("signing", "the webhook's secret")
    }

    fn sent(key: &str, ago_s: u64, body: &Value) -> Request {
        let at = dates::of_millis(NOW - ago_s * 1_000);
        let signature = base64(&hmac(Algorithm::Sha256, key, format!("{at}{body}")));
        let request = Request::post(body).with("X-Zendesk-Webhook-Signature", signature);
        request.with("X-Zendesk-Webhook-Signature-Timestamp", at)
    }

    fn event() -> Value {
        json!({"type": "zen:event-type:ticket.status_changed", "account_id": 1, "id": "2b24ef10", "time": "2026-09-21T10:00:00Z",
            "subject": "zen:ticket:35436", "detail": {"id": "35436", "status": "SOLVED", "subject": "Printer", "description": "secret"},
            "event": {"current": "SOLVED", "previous": "OPEN"}})
    }

    #[test]
    fn an_event_is_told_with_what_changed() {
        let got = host().receive::<Connector>(sent("the webhook's secret", 60, &event())).unwrap().events;
        assert_eq!((got[0].id.as_str(), got[0].name.as_str()), ("2b24ef10", "ticket.status_changed"));
        assert_eq!(
            (got[0].subjects.as_slice(), got[0].occurred_at.as_deref()),
            (&["ticket:35436".to_owned()][..], Some("2026-09-21T10:00:00Z"))
        );
        let data: Value = serde_json::from_str(&got[0].data).unwrap();
        assert_eq!((&data["status"], &data["event"]["previous"]), (&json!("solved"), &json!("OPEN")));
        assert!(!got[0].data.contains("secret"));
    }

    #[test]
    fn unsigned_tampered_and_old_calls_are_refused() {
        let code = |request: Request| host().receive::<Connector>(request).map(|_| ()).map_err(|e| e.code);
        let refused = || Err("unauthorised".to_owned());
        assert_eq!(code(sent("the webhook's secret", 0, &event())), Ok(()));
        assert_eq!(code(sent("another", 0, &event())), refused());
        assert_eq!(code(sent("the webhook's secret", 901, &event())), refused());
        assert_eq!(code(Request::post(&event())), refused());
        assert_eq!(code(Request { body: b"{}".to_vec(), ..sent("the webhook's secret", 0, &event()) }), refused());
        assert_eq!(code(sent("the webhook's secret", 0, &json!({}))), Err("invalid-input".to_owned()));
    }

    #[test]
    fn a_trigger_sends_what_its_author_wrote() {
        let body = json!({"event": "ticket.solved", "ticket": 35436, "order": "WEB-42"});
        let got = host().receive::<Connector>(sent("the webhook's secret", 0, &body)).unwrap().events;
        assert_eq!(
            (got[0].name.as_str(), got[0].subjects.as_slice()),
            ("ticket.solved", &["ticket:35436".to_owned()][..])
        );
        let again = host().receive::<Connector>(sent("the webhook's secret", 0, &body)).unwrap().events;
        assert_eq!(got[0].id, again[0].id);
        assert_ne!(
            got[0].id,
            host().receive::<Connector>(sent("the webhook's secret", 1, &body)).unwrap().events[0].id
        );
    }
}
