//! A webhook that is ready: its address was checked, its secrets are there.
//!
//! Its requests go through egress like a connector's, as a connection of one endpoint without a credential, a second try or redirects.

use super::standard::Key;
use crate::config::documents::WebhookDoc;
use crate::config::{Bundle, Finding};
use crate::ids::BotId;
use crate::registry::{Publisher, Slot, Tenant};
use bytes::Bytes;
use confab_egress::{Auth, ConnectionSpec, EndpointConfig, OutRequest, Redirects, RetryConfig};
use std::sync::Arc;
use std::time::Duration;

/// Time for a request, as the specification advises (15 to 30 s).
pub(super) const TIMEOUT: Duration = Duration::from_secs(20);
/// The only endpoint.
pub(super) const ENDPOINT: &str = "webhook";

/// A webhook of a tenant, ready or not: what it wants to hear is kept for it in any case.
#[derive(Clone, Debug)]
pub struct Hook {
    /// Its document.
    pub doc: WebhookDoc,
    /// Itself.
    pub slot: Slot<Webhook>,
}

/// A webhook that is ready.
#[derive(Debug)]
pub struct Webhook {
    pub(super) keys: Vec<Key>,
    pub(super) egress: Arc<confab_egress::Connection>,
    /// Path and query of its URL.
    pub(super) path: String,
}

/// Whether it hears of a bot at all.
pub(super) fn hears(doc: &WebhookDoc, bot: &BotId) -> bool {
    doc.bots.is_empty() || doc.bots.contains(bot)
}

/// Whether it wants a message.
pub(super) fn wants(doc: &WebhookDoc, bot: &BotId, kind: &str) -> bool {
    let fits = |event: &String| match event.strip_suffix('*') {
        Some(group) => kind.starts_with(group),
        None => event == kind,
    };
    hears(doc, bot) && doc.events.iter().any(fits)
}

impl Webhook {
    /// A request with this body.
    pub(super) fn request(&self, headers: Vec<(String, String)>, body: Bytes) -> OutRequest {
        request(&self.path, headers, body)
    }
}

fn request(path: &str, headers: Vec<(String, String)>, body: Bytes) -> OutRequest {
    OutRequest { method: "POST".to_owned(), path: path.to_owned(), headers, body, timeout: Some(TIMEOUT) }
}

impl Publisher {
    /// Makes a webhook ready. Errors go to `findings`, under the tenant's file name.
    pub(crate) fn webhook(
        &self,
        file: &str,
        doc: &WebhookDoc,
        previous: Option<&Hook>,
        findings: &mut Vec<Finding>,
    ) -> Option<Arc<Webhook>> {
        if let Some(Hook { doc: old, slot: Slot::Ready(ready) }) = previous
            && old == doc
        {
            return Some(ready.clone());
        }
        let before = findings.len();
        let mut wrong = |field: &str, message: String| findings.push(Finding::error(file, message).field(field));
        let mut keys = Vec::new();
        for (index, secret) in doc.secrets.iter().enumerate() {
            let field = format!("secrets.{index}");
            match self.egress.secret(doc.tenant.as_str(), secret) {
                Err(e) => wrong(&field, format!("secrets: {e}")),
                Ok(value) => match Key::parse_signing(value.expose()) {
                    Ok(key) => keys.push(key),
                    Err(e) => wrong(&field, format!("secrets: the value of {secret} {e}")),
                },
            }
        }
        let (base_url, path) = parts(&doc.url);
        let spec = ConnectionSpec {
            tenant: doc.tenant.to_string(),
            // No connection of the tenant's can have this name.
            connection: format!("webhook/{}", doc.id),
            endpoints: vec![EndpointConfig {
                name: ENDPOINT.to_owned(),
                base_url: base_url.to_owned(),
                methods: vec!["POST".to_owned()],
                auth: Auth::None,
                timeout_ms: u32::try_from(TIMEOUT.as_millis()).ok(),
                ca: None,
                client_certificate: None,
                redirects: Redirects::None,
                idempotency_header: None,
            }],
            retry: Some(RetryConfig { attempts: 1, try_timeout_ms: None }),
            ..ConnectionSpec::default()
        };
        let egress = self.egress.connect(spec);
        match &egress {
            Err(errors) => errors.iter().for_each(|error| wrong("url", format!("url: {}", error.message))),
            Ok(egress) => {
                if let Err(e) = egress.allows(ENDPOINT, &request(&path, Vec::new(), Bytes::new())) {
                    wrong("url", format!("url: {}", e.message));
                }
            }
        }
        if findings.len() > before {
            return None;
        }
        Some(Arc::new(Webhook { keys, egress: egress.ok()?, path }))
    }
}

/// A URL as its origin, and path with query.
fn parts(url: &str) -> (&str, String) {
    let host = url.find("://").map_or(0, |at| at + 3);
    let end = url.get(host..).and_then(|rest| rest.find(['/', '?', '#'])).map_or(url.len(), |at| host + at);
    let (origin, rest) = url.split_at_checked(end).unwrap_or((url, ""));
    (origin, if rest.starts_with('/') { rest.to_owned() } else { format!("/{rest}") })
}

/// Warns of bots that a webhook is to hear of and that there aren't.
pub(crate) fn check_bots(
    file: &str,
    doc: &WebhookDoc,
    bundle: &Bundle,
    old: Option<&Tenant>,
    findings: &mut Vec<Finding>,
) {
    for (index, bot) in doc.bots.iter().enumerate() {
        let known =
            bundle.bots.iter().any(|(_, known)| known.id == *bot) || old.is_some_and(|old| old.bots.contains_key(bot));
        if !known {
            let mut finding =
                Finding::error(file, format!("bots: there is no bot `{bot}`")).field(format!("bots.{index}"));
            finding.severity = crate::config::Severity::Warning;
            findings.push(finding);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_apart_where_its_path_begins() {
        for (url, origin, path) in [
            ("https://a.example/hook?x=1", "https://a.example", "/hook?x=1"),
            ("https://a.example:8443", "https://a.example:8443", "/"),
            ("https://a.example?x=/y", "https://a.example", "/?x=/y"),
            ("https://a.example/#x", "https://a.example", "/#x"),
            ("nonsense", "nonsense", "/"),
            ("", "", "/"),
        ] {
            assert_eq!(parts(url), (origin, path.to_owned()), "{url}");
        }
    }

    #[test]
    fn a_webhook_hears_what_it_named_of_the_bots_that_it_named() {
        let doc = |events: &[&str], bots: &[&str]| WebhookDoc {
            tenant: "shop".parse().unwrap(),
            id: "crm".parse().unwrap(),
            url: "https://a.example".into(),
            events: events.iter().map(|event| (*event).to_owned()).collect(),
            secrets: Vec::new(),
            bots: bots.iter().map(|bot| bot.parse().unwrap()).collect(),
            description: None,
        };
        let (bot, other) = ("shop".parse().unwrap(), "other".parse().unwrap());
        assert!(wants(&doc(&["*"], &[]), &bot, "anything"));
        assert!(wants(&doc(&["lead.created", "ticket.*"], &["shop"]), &bot, "ticket.closed"));
        assert!(!wants(&doc(&["ticket.*"], &[]), &bot, "tickets.closed"));
        assert!(!wants(&doc(&["ticket.created"], &[]), &bot, "ticket.createdx"));
        assert!(!wants(&doc(&["*"], &["shop"]), &other, "anything"));
    }
}
