//! A platform's call: whether it is genuine, and what it means.
//!
//! ```text
//! secrets:   the connector's `webhook.receive` says, in a fresh instance; the host compares, with secrets that only it has
//! standard:  the host verifies Standard Webhooks
//! token:     the host compares a header
//! ```
//!
//! It fails closed. Without a `webhook:` there is no such address; without a check that came out true the call is refused, whatever
//! the plugin makes of it; a plugin that fails makes nothing genuine. Refusals say nothing to the caller of which part was wrong:
//! that is in the log.
//!
//! Who calls is not known until a check came out true. Until then a plugin may not make requests, and only so many calls of a
//! connection run at once ([`AT_ONCE`]): strangers can't use up the places of others. Nor does a failure count towards
//! the plugin's quarantine, which would also stop its calls for visitors.

use super::accept::digest;
use super::templates::{Templates, values};
use super::{API, Event, SUBJECTS, Taken, WebhookDoc, name_problem, text_problem};
use crate::config::Finding;
use crate::config::documents::ConnectionDoc;
use crate::engine::Engine;
use crate::failures::Whose;
use crate::ids::{ConnectionId, TenantId};
use crate::registry::{Connection, Slot};
use crate::services::ConnectionServices;
use crate::turn::now_millis;
use crate::webhooks::standard;
use async_trait::async_trait;
use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use confab_egress::{Egress, Secret, SecretRef};
use confab_sandbox::manifest::SecretEncoding;
use confab_sandbox::services::LogLevel;
use confab_sandbox::{
    CallContext, CapabilityError, FailureKind, HmacAlgorithm, HostServices, HttpError, HttpRequest, HttpResponse,
    KvServices, Plugin, SignatureCheck, WebhookAccepted, WebhookAnswer, WebhookEvent, WebhookRequest,
};
use confab_store::StoreError;
use ring::hmac;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;
use tokio::sync::Semaphore;

/// Calls of a connection's plugin for webhooks that run at once. One takes some milliseconds.
const AT_ONCE: usize = 8;
/// The name of the operation, for failures and logs.
const RECEIVE: &str = "webhook.receive";

/// People paste secrets with and without the `=` at their end.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// How calls for a connection are checked, with the secrets.
#[derive(Debug)]
pub(crate) struct Webhook {
    way: Way,
    subjects: Templates,
    places: Semaphore,
}

#[derive(Debug)]
enum Way {
    Plugin(Arc<Secrets>),
    Standard(Vec<standard::Key>),
    Token { header: String, value: Secret },
}

/// What a plugin may have things checked with.
#[derive(Debug)]
struct Secrets(BTreeMap<String, Vec<Kept>>);

struct Kept {
    /// As it is shown.
    text: Secret,
    /// What it stands for.
    key: Vec<u8>,
}

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// What became of a genuine call.
#[derive(Debug)]
pub struct Received {
    /// Its events.
    pub events: Vec<Taken>,
    /// What to answer, where the platform wants particular words.
    pub answer: Option<WebhookAnswer>,
}

/// Why a call was refused.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// There is no such address.
    #[error("there is no webhook at this address")]
    Unknown,
    /// Nobody vouches for it. What exactly was wrong is for the log alone.
    #[error("the call is not signed with this connection's secret, or not of now")]
    NotGenuine,
    /// Genuine, but not understood.
    #[error("{0}")]
    NotUnderstood(String),
    /// The connection or its plugin can't serve now.
    #[error("{reason}")]
    Unavailable {
        /// Why.
        reason: String,
        /// Seconds after which it is worth another try.
        retry_after_s: u64,
    },
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn unavailable(reason: impl Into<String>, retry_after_s: u64) -> Refused {
    Refused::Unavailable { reason: reason.into(), retry_after_s }
}

impl Webhook {
    /// Of what the connection's file says; everything wrong goes to `findings`.
    pub(crate) fn new(
        file: &str,
        doc: &ConnectionDoc,
        plugin: &Plugin,
        egress: &Egress,
        findings: &mut Vec<Finding>,
    ) -> Option<Webhook> {
        let webhook = doc.webhook.as_ref()?;
        let before = findings.len();
        let mut wrong = |field: &str, message: String| {
            findings.push(Finding::error(file, message).field(field));
        };
        if doc.id.as_str() == API {
            wrong(
                "id",
                format!("a connection with a webhook can't have the id `{API}`, which stands for POST /api/events"),
            );
        }
        let mut resolve = |field: &str, name: &str| {
            let secret = name.parse::<SecretRef>().map_err(|e| e.to_string());
            let secret = secret.and_then(|name| egress.secret(doc.tenant.as_str(), &name).map_err(|e| e.to_string()));
            secret.map_err(|problem| wrong("webhook", format!("{field}: {problem}"))).ok()
        };
        let way = way(doc, webhook, plugin, &mut resolve);
        let mut subjects = Templates::default();
        for (at, source) in webhook.subjects.iter().enumerate() {
            if let Err(problem) = subjects.add(&at.to_string(), source) {
                findings.push(Finding::error(file, format!("webhook.subjects: {problem}")).field("webhook.subjects"));
            }
        }
        let way = way.map_err(|messages| {
            findings.extend(messages.into_iter().map(|message| Finding::error(file, message).field("webhook")));
        });
        (findings.len() == before).then_some(())?;
        Some(Webhook { way: way.ok()?, subjects, places: Semaphore::new(AT_ONCE) })
    }
}

fn way(
    doc: &ConnectionDoc,
    webhook: &WebhookDoc,
    plugin: &Plugin,
    resolve: &mut impl FnMut(&str, &str) -> Option<Secret>,
) -> Result<Way, Vec<String>> {
    let mut wrong = Vec::new();
    if let Some(token) = &webhook.token {
        let value = resolve("webhook.token.value", &token.value).ok_or_else(Vec::new)?;
        return Ok(Way::Token { header: token.header.clone(), value });
    }
    if !webhook.standard.is_empty() {
        let mut keys = Vec::new();
        for name in &webhook.standard {
            let Some(secret) = resolve("webhook.standard", name) else { continue };
            match standard::Key::parse(secret.expose()) {
                Ok(key) => keys.push(key),
                Err(problem) => wrong.push(format!("webhook.standard: {name} {problem}")),
            }
        }
        return if wrong.is_empty() && !keys.is_empty() { Ok(Way::Standard(keys)) } else { Err(wrong) };
    }
    if !plugin.has_webhook() {
        let message =
            "webhook: connector `{}` reads no webhooks itself: use `standard` or `token` in place of `secrets`";
        return Err(vec![message.replace("{}", &doc.connector)]);
    }
    let declared = plugin.manifest().webhook.iter().flat_map(|webhook| &webhook.secrets);
    for name in webhook.secrets.keys().filter(|name| plugin.manifest().webhook_secret(name).is_none()) {
        let known: Vec<&str> = declared.clone().map(|secret| secret.name.as_str()).collect();
        wrong.push(format!(
            "webhook.secrets.{name}: connector `{}` has no such secret; it has: {}",
            doc.connector,
            known.join(", ")
        ));
    }
    let mut kept = BTreeMap::new();
    for secret in declared {
        let Some(names) = webhook.secrets.get(&secret.name) else {
            if !secret.optional {
                wrong.push(format!("webhook.secrets.{} is missing: {}", secret.name, secret.description));
            }
            continue;
        };
        let field = format!("webhook.secrets.{}", secret.name);
        for name in names {
            let Some(text) = resolve(&field, name) else { continue };
            match decode(&text, secret.encoding) {
                Some(key) => kept.entry(secret.name.clone()).or_insert_with(Vec::new).push(Kept { text, key }),
                None => wrong.push(format!("{field}: what {name} holds is not {}", words(secret.encoding))),
            }
        }
    }
    if wrong.is_empty() && !kept.is_empty() { Ok(Way::Plugin(Arc::new(Secrets(kept)))) } else { Err(wrong) }
}

const fn words(encoding: SecretEncoding) -> &'static str {
    match encoding {
        SecretEncoding::Text => "text",
        SecretEncoding::Base64 => "base64",
        SecretEncoding::Hex => "hexadecimal",
    }
}

/// The bytes that a secret stands for. Never none at all: everybody knows the HMACs of an empty key.
fn decode(secret: &Secret, encoding: SecretEncoding) -> Option<Vec<u8>> {
    let text = secret.expose();
    let bytes = match encoding {
        SecretEncoding::Text => text.as_bytes().to_vec(),
        SecretEncoding::Base64 => {
            let text = text.trim();
            BASE64.decode(text.strip_prefix("whsec_").unwrap_or(text)).ok()?
        }
        SecretEncoding::Hex => {
            let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
            let pairs = text.trim().as_bytes().chunks(2);
            let pair = |pair: &[u8]| if let [high, low] = pair { Some(digit(high)? << 4 | digit(low)?) } else { None };
            pairs.map(pair).collect::<Option<_>>()?
        }
    };
    (!bytes.is_empty()).then_some(bytes)
}

/// Whether two texts are the same, in a time that tells nothing of where they differ: HMACs of both are compared.
fn equal(secret: &Secret, given: &str) -> bool {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes());
    !given.is_empty()
        && hmac::verify(&key, given.as_bytes(), hmac::sign(&key, secret.expose().as_bytes()).as_ref()).is_ok()
}

impl Secrets {
    fn verify(&self, check: &SignatureCheck) -> Result<bool, CapabilityError> {
        let (SignatureCheck::Hmac { secret: name, .. } | SignatureCheck::Equal { secret: name, .. }) = check;
        let Some(kept) = self.0.get(name) else {
            let message =
                "the connection has no such secret: `webhook.secrets` of its file, names of the manifest's [webhook]";
            return Err(CapabilityError::new("unknown-secret", message));
        };
        // All are compared, whichever fits.
        Ok(kept.iter().fold(false, |fits, one| one.fits(check) | fits))
    }
}

impl Kept {
    fn fits(&self, check: &SignatureCheck) -> bool {
        match check {
            SignatureCheck::Hmac { algorithm, message, signature, .. } => {
                let algorithm = match algorithm {
                    HmacAlgorithm::Sha256 => hmac::HMAC_SHA256,
                    HmacAlgorithm::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
                    HmacAlgorithm::Sha512 => hmac::HMAC_SHA512,
                };
                hmac::verify(&hmac::Key::new(algorithm, &self.key), message, signature).is_ok()
            }
            SignatureCheck::Equal { value, .. } => equal(&self.text, value),
        }
    }
}

/// A connector's services while it reads a webhook.
struct WebhookServices {
    inner: ConnectionServices,
    secrets: Arc<Secrets>,
    verified: Arc<AtomicBool>,
}

#[async_trait]
impl HostServices for WebhookServices {
    fn tenant(&self) -> Arc<str> {
        self.inner.tenant()
    }
    fn log(&mut self, level: LogLevel, line: &str) {
        self.inner.log(level, line);
    }
    fn now_millis(&self) -> u64 {
        self.inner.now_millis()
    }
    fn random(&mut self, bytes: &mut [u8]) {
        self.inner.random(bytes);
    }
    fn settings(&self) -> Arc<str> {
        self.inner.settings()
    }
    fn context(&self) -> CallContext {
        self.inner.context()
    }
    fn verify(&mut self, check: SignatureCheck) -> Result<bool, CapabilityError> {
        let fits = self.secrets.verify(&check);
        if fits == Ok(true) {
            self.verified.store(true, Ordering::Relaxed);
        }
        fits
    }
    async fn http(&mut self, endpoint: &str, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        if !self.verified.load(Ordering::Relaxed) {
            let message = "check the signature first: nobody vouches for this call yet".to_owned();
            return Err(HttpError { code: "refused".into(), message, retry_after: None });
        }
        self.inner.http(endpoint, request).await
    }
    fn kv(&mut self) -> Option<&mut dyn KvServices> {
        if self.verified.load(Ordering::Relaxed) { self.inner.kv() } else { None }
    }
}

impl Engine {
    /// Where others find this server, if the operator has said so.
    pub fn public_url(&self) -> Option<&str> {
        self.inner.public_url.as_deref()
    }

    /// Takes a platform's call for a connection. When it returns [`Received`], its events are durable.
    ///
    /// # Errors
    /// [`Refused`]
    pub async fn receive_webhook(
        &self,
        tenant: &TenantId,
        connection: &ConnectionId,
        request: WebhookRequest,
        request_id: Arc<str>,
    ) -> Result<Received, Refused> {
        let slot = self.registry().connection(tenant, connection).cloned();
        let connection = match slot {
            Some(Slot::Ready(ready)) => ready,
            Some(Slot::Broken(reason)) => {
                tracing::error!(%tenant, %connection, "a webhook came for a connection that is not ready: {reason}");
                return Err(unavailable("the connection is not ready", 30));
            }
            None => return Err(Refused::Unknown),
        };
        let Some(webhook) = &connection.webhook else { return Err(Refused::Unknown) };
        let digest = digest(&request.body);
        let outcome = match &webhook.way {
            Way::Plugin(secrets) => self.read_by_plugin(&connection, webhook, secrets, request, request_id).await,
            Way::Standard(_) | Way::Token { .. } => read_by_host(&connection, webhook, &request),
        };
        let count = |outcome: &'static str| {
            metrics::counter!("confab_webhooks_total", "tenant" => tenant.to_string(), "connection" => connection.id.to_string(), "outcome" => outcome)
                .increment(1);
        };
        let accepted = outcome.inspect_err(|refused| {
            count(match refused {
                Refused::NotGenuine => "not-genuine",
                Refused::NotUnderstood(_) => "not-understood",
                _ => "unavailable",
            });
        })?;
        let received_at = now_millis();
        let events = accepted.events.into_iter().map(|event| of(&connection, event, received_at, &digest)).collect();
        let events = self.push_events(events).await?;
        count("accepted");
        Ok(Received { events, answer: accepted.answer })
    }

    async fn read_by_plugin(
        &self,
        connection: &Arc<Connection>,
        webhook: &Webhook,
        secrets: &Arc<Secrets>,
        request: WebhookRequest,
        request_id: Arc<str>,
    ) -> Result<WebhookAccepted, Refused> {
        let Ok(_place) = webhook.places.try_acquire() else {
            return Err(unavailable("too many calls for this connection are being read", 1));
        };
        let (tenant, id) = (connection.tenant.as_str(), connection.id.as_str());
        let whose = Whose { tenant, connection: Some(id), request_id: &request_id, ..Whose::default() };
        let (plugin, watch) = (&connection.plugin, &self.inner.watch);
        let post = connection.post(watch);
        let pass = watch
            .enter(post, plugin, RECEIVE)
            .map_err(|quarantined| unavailable(quarantined.to_string(), u64::from(quarantined.retry_after_s())))?;
        let verified = Arc::new(AtomicBool::new(false));
        let services = WebhookServices {
            inner: self.services_of(connection, RECEIVE.to_owned(), request_id.clone()),
            secrets: secrets.clone(),
            verified: verified.clone(),
        };
        let reported = match plugin.receive(Box::new(services), request).await {
            Ok(reported) => reported,
            Err(failure) => {
                let retry = match failure.kind {
                    FailureKind::Overloaded => 1,
                    FailureKind::Quota => u64::from(self.sandbox().fuel_in_s(tenant)),
                    _ => 30,
                };
                if verified.load(Ordering::Relaxed) {
                    watch.failed(post, pass, &failure, &whose);
                } else {
                    // Told, but not held against the plugin: a stranger could have it quarantined.
                    drop(pass);
                    watch.failures.plugin(&failure, &whose);
                }
                return Err(unavailable("the connection's plugin failed", retry));
            }
        };
        watch.well(post, pass, &reported.report, &whose);
        let genuine = verified.load(Ordering::Relaxed);
        match reported.value {
            // Its own word and ours: the sandbox counts what the host said.
            Ok(accepted) if genuine && accepted.verified => Ok(accepted),
            Ok(_) => {
                tracing::warn!(
                    tenant,
                    connection = id,
                    plugin = plugin.manifest().name,
                    "a plugin accepted a webhook without a check that came out true; it is refused"
                );
                Err(Refused::NotGenuine)
            }
            Err(refusal) => {
                tracing::info!(
                    tenant,
                    connection = id,
                    code = refusal.code,
                    genuine,
                    "a webhook is refused: {}",
                    refusal.message
                );
                match refusal.code.as_str() {
                    _ if !genuine => Err(Refused::NotGenuine),
                    "unauthorised" => Err(Refused::NotGenuine),
                    "invalid-input" => Err(Refused::NotUnderstood(refusal.message)),
                    _ => Err(unavailable(refusal.message, 30)),
                }
            }
        }
    }
}

fn of(connection: &Connection, event: WebhookEvent, received_at: u64, digest: &str) -> Event {
    let WebhookEvent { id, name, data, subjects, occurred_at } = event;
    Event {
        tenant: connection.tenant.clone(),
        source: connection.id.to_string(),
        id,
        name,
        data,
        subjects,
        occurred_at,
        received_at,
        digest: digest.to_owned(),
        origin: None,
        bot: None,
        connection: None,
        replay: 0,
    }
}

/// Standard Webhooks, or a secret in a header.
fn read_by_host(
    connection: &Connection,
    webhook: &Webhook,
    request: &WebhookRequest,
) -> Result<WebhookAccepted, Refused> {
    let refuse = |why: String| {
        tracing::info!(tenant = %connection.tenant, connection = %connection.id, "a webhook is refused: {why}");
        Refused::NotGenuine
    };
    let header = |name: &str| {
        let mut found = request.headers.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name));
        match (found.next(), found.next()) {
            (Some((_, value)), None) => Some(value.as_str()),
            _ => None,
        }
    };
    if request.method != "POST" {
        return Err(refuse(format!("{} is not POST", request.method)));
    }
    match &webhook.way {
        Way::Standard(keys) => standard::verify(keys, &request.headers, &request.body, SystemTime::now())
            .map_err(|why| refuse(why.to_string()))?,
        Way::Token { header: name, value } => {
            let given = header(name).ok_or_else(|| refuse(format!("the header {name} is missing, or there twice")))?;
            if !equal(value, given) {
                return Err(refuse(format!("the header {name} holds something else")));
            }
        }
        Way::Plugin(_) => return Err(Refused::NotGenuine),
    }
    let mut event = read(&request.body, header(standard::ID)).map_err(Refused::NotUnderstood)?;
    let as_event = of(connection, event.clone(), 0, "");
    let values = values(&as_event);
    for at in 0..SUBJECTS {
        let name = at.to_string();
        match webhook.subjects.render_if_there(&name, &values) {
            None => break,
            // What this event does not have it is not about.
            Some(Err(why)) => {
                tracing::debug!(connection = %connection.id, event = event.id, why, "a subject is left out")
            }
            Some(Ok(subject)) if text_problem(&subject).is_none() => event.subjects.push(subject),
            Some(Ok(_)) => {}
        }
    }
    Ok(WebhookAccepted { events: vec![event], answer: None, verified: true })
}

/// `{"type" or "event", "data", "id"?, "timestamp"?}`; with `webhook-id` for the id.
fn read(body: &[u8], id: Option<&str>) -> Result<WebhookEvent, String> {
    let body: Value = serde_json::from_slice(body).map_err(|e| format!("the body is no JSON: {e}"))?;
    let text = |name: &str| body.get(name).and_then(Value::as_str).map(str::to_owned);
    let name = text("type").or_else(|| text("event")).ok_or("the body has no `type` (or `event`) that is a text")?;
    if let Some(problem) = name_problem(&name) {
        return Err(format!("the event's name {problem}"));
    }
    let id = id.map(str::to_owned).or_else(|| text("id")).unwrap_or_else(|| digest(body.to_string().as_bytes()));
    if let Some(problem) = text_problem(&id) {
        return Err(format!("the event's id {problem}"));
    }
    let data = body.get("data").cloned().unwrap_or(Value::Null);
    if data.to_string().len() > super::DATA_BYTES {
        return Err(format!("the event's data has more than {} bytes", super::DATA_BYTES));
    }
    let occurred_at = text("timestamp").filter(|moment| moment.parse::<jiff::Timestamp>().is_ok());
    Ok(WebhookEvent { id, name, data, subjects: Vec::new(), occurred_at })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn secrets(text: &str, encoding: SecretEncoding) -> Secrets {
        let text = Secret::new(text.to_owned());
        let key = decode(&text, encoding).unwrap();
        let old = Kept { text: Secret::new("an old one".into()), key: b"an old one".to_vec() };
        Secrets([("signing".to_owned(), vec![old, Kept { text, key }])].into())
    }

    fn hmac_check(secret: &str, signature: &[u8]) -> SignatureCheck {
        let message = bytes::Bytes::from_static(b"what was signed");
        let signature = bytes::Bytes::copy_from_slice(signature);
        SignatureCheck::Hmac { secret: secret.into(), algorithm: HmacAlgorithm::Sha256, message, signature }
    }

    #[test]
    fn a_check_fits_only_with_the_secret_that_it_names_and_the_whole_signature() {
        let all = secrets("k", SecretEncoding::Text);
        let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, b"k"), b"what was signed");
        assert_eq!(all.verify(&hmac_check("signing", signature.as_ref())), Ok(true));
        assert_eq!(all.verify(&hmac_check("signing", &signature.as_ref()[..31])), Ok(false));
        assert_eq!(all.verify(&hmac_check("signing", b"")), Ok(false));
        assert_eq!(all.verify(&hmac_check("other", signature.as_ref())).unwrap_err().code, "unknown-secret");
        let equal = |value: &str| all.verify(&SignatureCheck::Equal { secret: "signing".into(), value: value.into() });
        assert_eq!((equal("k"), equal("kk"), equal("")), (Ok(true), Ok(false), Ok(false)));
        assert!(!format!("{all:?}").contains('k') || format!("{all:?}").contains("***"));
    }

    #[test]
    fn secrets_are_decoded_as_the_platform_shows_them_and_an_empty_one_is_none() {
        let decoded = |text: &str, encoding| decode(&Secret::new(text.to_owned()), encoding);
        assert_eq!(decoded("abc", SecretEncoding::Text), Some(b"abc".to_vec()));
        assert_eq!(decoded("YWJj", SecretEncoding::Base64), Some(b"abc".to_vec()));
        assert_eq!(decoded("whsec_YWI=", SecretEncoding::Base64), Some(b"ab".to_vec()));
        assert_eq!(decoded("6162", SecretEncoding::Hex), Some(b"ab".to_vec()));
        for (bad, encoding) in [
            ("", SecretEncoding::Text),
            ("whsec_", SecretEncoding::Base64),
            ("%", SecretEncoding::Base64),
            ("616", SecretEncoding::Hex),
            ("xx", SecretEncoding::Hex),
        ] {
            assert_eq!(decoded(bad, encoding), None, "{bad}");
        }
    }

    #[test]
    fn a_body_is_read_by_type_or_event_and_its_id_is_the_headers() {
        let body = json!({"type": "invoice.paid", "timestamp": "2026-11-22T10:00:00Z", "data": {"n": 1}}).to_string();
        let event = read(body.as_bytes(), Some("msg_1")).unwrap();
        assert_eq!((event.id.as_str(), event.name.as_str()), ("msg_1", "invoice.paid"));
        assert_eq!(event.occurred_at.as_deref(), Some("2026-11-22T10:00:00Z"));
        let body = json!({"event": "a", "id": "7", "timestamp": "yesterday"}).to_string();
        let event = read(body.as_bytes(), None).unwrap();
        assert_eq!((event.id.as_str(), event.data, event.occurred_at), ("7", Value::Null, None));
        // Without any id the same body is the same event.
        let body = br#"{"event":"a"}"#;
        assert_eq!(read(body, None).unwrap().id, read(body, None).unwrap().id);
        for bad in ["", "{}", "[]", r#"{"type": 7}"#, r#"{"type": "a b"}"#, r#"{"type": "a", "id": ""}"#] {
            assert!(read(bad.as_bytes(), None).is_err(), "{bad}");
        }
    }
}
