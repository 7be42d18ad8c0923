//! What HubSpot tells by itself: lists of up to 100 changes of CRM records.
//!
//! `ticket.creation` (or `object.creation` of a ticket, as newer apps have it) becomes `ticket.created`, `...propertyChange`
//! `ticket.changed`, and so on, about `ticket:ID`. HubSpot's own event ids are not unique, so subscription, record and time are part of the id;
//! which try it is, is not.
//!
//! Signed are method, address, body and time (signature v3), so the server must know its public address (`--public-url`).

use confab_plugin_sdk::prelude::*;
use confab_plugin_sdk::signatures::{Algorithm, fresh, from_base64, require, verify_hmac};
use confab_plugin_sdk::webhook::{Accepted, Event, Request, Webhook, not_understood};
use confab_plugin_sdk::{dates, json};
use serde_json::{Value, json};
use std::time::Duration;

/// What HubSpot says itself.
const TOLERANCE: Duration = Duration::from_secs(5 * 60);
/// Records by the id of their type.
const TYPES: [(&str, &str); 5] =
    [("0-1", "contact"), ("0-2", "company"), ("0-3", "deal"), ("0-5", "ticket"), ("0-136", "lead")];
/// What HubSpot signs decoded, as its documentation lists it.
const DECODED: [(&str, char); 12] = [
    ("3A", ':'),
    ("2F", '/'),
    ("3F", '?'),
    ("40", '@'),
    ("21", '!'),
    ("24", '$'),
    ("27", '\''),
    ("28", '('),
    ("29", ')'),
    ("2A", '*'),
    ("2C", ','),
    ("3B", ';'),
];

impl Webhook for crate::Connector {
    fn receive(request: Request) -> Result<Accepted, Failure> {
        let signature = from_base64(request.header("x-hubspot-signature-v3").unwrap_or_default()).unwrap_or_default();
        let sent = request.header("x-hubspot-request-timestamp").unwrap_or_default();
        let url = as_signed(&request.url);
        let message = [request.method.as_bytes(), url.as_bytes(), &request.body, sent.as_bytes()].concat();
        require(verify_hmac("app", Algorithm::Sha256, &message, &signature)?)?;
        require(sent.parse::<i64>().is_ok_and(|millis| fresh(millis / 1_000, TOLERANCE)))?;
        let changes: Vec<Value> = request.json()?;
        let events: Result<Vec<Event>, Failure> = changes.iter().map(event).collect();
        Ok(Accepted::of(events?))
    }
}

fn event(change: &Value) -> Result<Event, Failure> {
    let text = |name: &str| json::text(change, &format!("/{name}"));
    let kind = text("subscriptionType").ok_or_else(|| not_understood("a change has no subscriptionType"))?;
    let (record, what) = kind.split_once('.').unwrap_or(("hubspot", &kind));
    let by_type =
        text("objectTypeId").and_then(|id| TYPES.iter().find(|(known, _)| *known == id)).map(|(_, name)| *name);
    let record = if record == "object" { by_type.unwrap_or("object") } else { record };
    let what = match what {
        "creation" => "created",
        "deletion" => "deleted",
        "propertyChange" => "changed",
        "merge" => "merged",
        "restore" => "restored",
        "privacyDeletion" => "erased",
        "associationChange" => "association_changed",
        other => other,
    };
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '.' };
    let name: String = format!("{record}.{what}").chars().map(plain).collect();
    let id = text("objectId");
    let parts = ["portalId", "subscriptionId", "eventId", "objectId", "occurredAt", "propertyName"].map(text);
    let own = parts.into_iter().map(Option::unwrap_or_default).collect::<Vec<_>>().join(".");
    let data = json!({
        "id": id, "property": text("propertyName"), "value": text("propertyValue"), "source": text("changeSource"),
        "from": text("fromObjectId"), "to": text("toObjectId"), "portal_id": text("portalId"),
    });
    let mut event = Event::new(own, name, &data)?;
    event.subjects = id.map(|id| format!("{record}:{id}")).into_iter().collect();
    event.occurred_at = text("occurredAt").and_then(|at| at.parse().ok()).map(dates::of_millis);
    Ok(event)
}

/// The address with some characters decoded. The question mark before the query stays what it is, as no other one is made before it.
fn as_signed(url: &str) -> String {
    let mut out = String::with_capacity(url.len());
    let mut rest = url;
    while let Some(at) = rest.find('%') {
        let (before, after) = rest.split_at(at);
        out.push_str(before);
        let code = after.get(1..3).map(str::to_ascii_uppercase);
        match DECODED.iter().find(|(known, _)| code.as_deref() == Some(*known)) {
            Some((_, char)) => {
                out.push(*char);
                rest = after.get(3..).unwrap_or_default();
            }
            None => {
                out.push('%');
                rest = after.get(1..).unwrap_or_default();
            }
        }
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Connector;
    use confab_plugin_sdk::testing::{Host, base64, hmac};

    const NOW: u64 = 1_790_000_000_000;

    fn host() -> Host {
        Host::new().now(NOW).webhook_secret("app", "the client secret")
    }

    fn sent(key: &str, ago_s: u64, body: &Value) -> Request {
        let at = NOW - ago_s * 1_000;
        let request =
            Request { url: "https://bot.example.com/webhooks/shop.hubspot?a=b%20%2Fc".into(), ..Request::post(body) };
        let message = format!("POST{}{body}{at}", "https://bot.example.com/webhooks/shop.hubspot?a=b%20/c");
        let signature = base64(&hmac(Algorithm::Sha256, key, message));
        request.with("X-HubSpot-Signature-v3", signature).with("X-HubSpot-Request-Timestamp", at.to_string())
    }

    fn change(kind: &str, more: Value) -> Value {
        let mut change = json!({"eventId": 100, "subscriptionId": 1234, "portalId": 33, "appId": 9, "occurredAt": NOW - 5_000,
            "subscriptionType": kind, "attemptNumber": 0, "objectId": 123, "changeSource": "CRM"});
        for (name, value) in more.as_object().unwrap() {
            change[name] = value.clone();
        }
        change
    }

    #[test]
    fn changes_of_old_and_new_apps_are_told_alike() {
        let body = json!([
            change("ticket.propertyChange", json!({"propertyName": "hs_pipeline_stage", "propertyValue": "4"})),
            change("object.creation", json!({"objectTypeId": "0-5", "objectId": 124})),
            change("contact.privacyDeletion", json!({})),
        ]);
        let got = host().receive::<Connector>(sent("the client secret", 0, &body)).unwrap().events;
        let told: Vec<(&str, &str)> = got.iter().map(|e| (e.name.as_str(), e.subjects[0].as_str())).collect();
        assert_eq!(
            told,
            [("ticket.changed", "ticket:123"), ("ticket.created", "ticket:124"), ("contact.erased", "contact:123")]
        );
        let data: Value = serde_json::from_str(&got[0].data).unwrap();
        assert_eq!((&data["property"], &data["value"]), (&json!("hs_pipeline_stage"), &json!("4")));
    }

    #[test]
    fn another_try_is_the_same_event_and_another_record_is_not() {
        let id = |more: Value| {
            let body = json!([change("ticket.creation", more)]);
            host().receive::<Connector>(sent("the client secret", 0, &body)).unwrap().events[0].id.clone()
        };
        assert_eq!(id(json!({})), id(json!({"attemptNumber": 3})));
        assert_ne!(id(json!({})), id(json!({"objectId": 5})));
    }

    #[test]
    fn unsigned_tampered_and_old_calls_are_refused() {
        let body = json!([change("ticket.creation", json!({}))]);
        let code = |request: Request| host().receive::<Connector>(request).map(|_| ()).map_err(|e| e.code);
        let refused = || Err("unauthorised".to_owned());
        assert_eq!(code(sent("the client secret", 299, &body)), Ok(()));
        assert_eq!(code(sent("another", 0, &body)), refused());
        assert_eq!(code(sent("the client secret", 301, &body)), refused());
        assert_eq!(code(Request::post(&body)), refused());
        assert_eq!(
            code(Request { url: "https://evil.example/".into(), ..sent("the client secret", 0, &body) }),
            refused()
        );
        assert_eq!(code(Request { body: b"[]".to_vec(), ..sent("the client secret", 0, &body) }), refused());
    }
}
