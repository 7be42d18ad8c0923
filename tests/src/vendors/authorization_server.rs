//! An authorization server with an API behind it, as strict as the strictest real one.
//!
//! - A client signs in as it was registered, by Basic (both parts encoded as a form) or in the body, never both.
//! - A code is good once, for its redirect URI, and only with the verifier of its challenge (S256). Used twice, it takes
//!   its tokens along.
//! - Refresh tokens rotate. One that is used twice was stolen, as far as anybody knows: its whole family is revoked.
//! - Assertions are verified: signature, issuer, audience, time, and each is good once.
//! - The API takes a token that has neither expired nor been revoked, and repeats what it was sent, to see who listens.
//!
//! It needs nothing of this crate: the tests of egress use the same file.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::net::TcpListener;
use tokio::sync::watch;

/// The client that is registered.
#[derive(Clone, Debug)]
pub struct Registered {
    /// Its id.
    pub id: String,
    /// Its secret; none for a public client.
    pub secret: Option<String>,
    /// Whether it signs in by Basic, or in the body.
    pub basic: bool,
    /// Where browsers may be sent back to.
    pub redirect_uri: String,
    /// For assertions: `RS256` or `ES256`, and the public key as `ring` reads it.
    pub key: Option<(&'static str, Vec<u8>)>,
}

/// What it was asked for, and did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Token requests of any kind.
    pub asked: usize,
    /// Refresh tokens that were exchanged.
    pub refreshed: usize,
    /// Refresh tokens, codes and assertions that were refused.
    pub refused: usize,
    /// Calls of the API that were let in.
    pub served: usize,
    /// Calls of the API that were turned away.
    pub turned_away: usize,
}

/// How it behaves until told otherwise.
#[derive(Clone, Copy, Debug)]
pub struct Behaviour {
    /// Life of an access token; none: it is not said, and tokens do not expire.
    pub expires_in: Option<u64>,
    /// Answers each token request with this status, before it looks at it.
    pub down: Option<u16>,
    /// The API turns everybody away.
    pub api_refuses: bool,
    /// The person says no.
    pub person_refuses: bool,
}

/// A running server. Dropping it stops it.
#[derive(Debug)]
pub struct AuthorizationServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    server: tokio::task::JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    issuer: String,
    client: Registered,
    state: Mutex<Inner>,
    /// Token requests are answered only while this is false: they were carried out all the same.
    hold: watch::Sender<bool>,
    /// Token requests that were carried out.
    carried_out: watch::Sender<usize>,
}

#[derive(Debug)]
struct Inner {
    behaviour: Behaviour,
    counts: Counts,
    codes: BTreeMap<String, Code>,
    /// Access token: family, expiry.
    access: BTreeMap<String, (u64, Option<SystemTime>)>,
    /// Refresh token: family, and whether it was used.
    refresh: BTreeMap<String, (u64, bool)>,
    revoked: BTreeSet<u64>,
    assertions: BTreeSet<String>,
    families: u64,
    secrets: Vec<String>,
}

#[derive(Debug)]
struct Code {
    redirect_uri: String,
    challenge: String,
    used_by: Option<u64>,
}

type Form = Vec<(String, String)>;

impl AuthorizationServer {
    /// Starts one on a free port.
    ///
    /// # Errors
    /// When there is none.
    pub async fn start(client: Registered) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let behaviour = Behaviour { expires_in: Some(3_600), down: None, api_refuses: false, person_refuses: false };
        let inner = Inner {
            behaviour,
            counts: Counts::default(),
            codes: BTreeMap::new(),
            access: BTreeMap::new(),
            refresh: BTreeMap::new(),
            revoked: BTreeSet::new(),
            assertions: BTreeSet::new(),
            families: 0,
            secrets: Vec::new(),
        };
        let shared = Arc::new(Shared {
            issuer: format!("http://{address}"),
            client,
            state: Mutex::new(inner),
            hold: watch::Sender::new(false),
            carried_out: watch::Sender::new(0),
        });
        let router = Router::new()
            .route("/authorize", get(authorize))
            .route("/token", post(token))
            .route("/revoke", post(revoke))
            .fallback(api)
            .with_state(Arc::clone(&shared));
        let server = tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { address, shared, server })
    }

    /// Host and port, as `--allow-private` wants it.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// `http://127.0.0.1:PORT`, which is also the issuer.
    pub fn url(&self) -> String {
        self.shared.issuer.clone()
    }

    /// What was done so far.
    pub fn counts(&self) -> Counts {
        self.shared.lock().counts
    }

    /// Changes how it behaves.
    pub fn behave(&self, change: impl FnOnce(&mut Behaviour)) {
        change(&mut self.shared.lock().behaviour);
    }

    /// Every access token, refresh token and code that it gave out.
    pub fn secrets(&self) -> Vec<String> {
        self.shared.lock().secrets.clone()
    }

    /// Whether all access tokens have expired.
    pub fn all_expired(&self) -> bool {
        let now = SystemTime::now();
        self.shared.lock().access.values().all(|(_, until)| until.is_some_and(|until| until <= now))
    }

    /// Ends all access tokens at once; refresh tokens stay good.
    pub fn expire_all(&self) {
        for (_, until) in self.shared.lock().access.values_mut() {
            *until = Some(UNIX_EPOCH);
        }
    }

    /// Whether every token was revoked.
    pub fn all_revoked(&self) -> bool {
        let inner = self.shared.lock();
        inner.access.values().all(|(family, _)| inner.revoked.contains(family))
    }

    /// Carries token requests out from now on, and keeps the answers back.
    pub fn hold_answers(&self) {
        self.shared.hold.send_replace(true);
    }

    /// Gives the answers that were kept back.
    pub fn release_answers(&self) {
        self.shared.hold.send_replace(false);
    }

    /// Waits until so many token requests were carried out.
    pub async fn carried_out(&self, times: usize) {
        let _ = self.shared.carried_out.subscribe().wait_for(|done| *done >= times).await;
    }
}

impl Drop for AuthorizationServer {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Tokens of a family.
    fn issue(&mut self, family: u64, with_refresh: bool) -> Value {
        let access = self.secret("access");
        let life = self.behaviour.expires_in;
        self.access.insert(access.clone(), (family, life.map(|s| SystemTime::now() + Duration::from_secs(s))));
        let mut answer = json!({"access_token": access, "token_type": "Bearer"});
        if let Some(life) = life {
            answer["expires_in"] = life.into();
        }
        if with_refresh {
            let refresh = self.secret("refresh");
            self.refresh.insert(refresh.clone(), (family, false));
            answer["refresh_token"] = refresh.into();
        }
        answer
    }

    fn family(&mut self) -> u64 {
        self.families += 1;
        self.families
    }

    /// A text that can be looked for everywhere.
    fn secret(&mut self, kind: &str) -> String {
        let mut bytes = [0; 24];
        let _ = SystemRandom::new().fill(&mut bytes);
        let secret = format!("canary-{kind}-{}", URL_SAFE_NO_PAD.encode(bytes));
        self.secrets.push(secret.clone());
        secret
    }
}

fn form(text: &str) -> Option<Form> {
    let uri: Uri = format!("/?{text}").parse().ok()?;
    Query::<Form>::try_from_uri(&uri).ok().map(|Query(form)| form)
}

/// A parameter that is there once.
fn one<'f>(form: &'f Form, name: &str) -> Option<&'f str> {
    let mut found = form.iter().filter(|(key, _)| key == name);
    match (found.next(), found.next()) {
        (Some((_, value)), None) => Some(value),
        _ => None,
    }
}

fn refuse(status: StatusCode, error: &str, description: &str) -> Response {
    (status, Json(json!({"error": error, "error_description": description}))).into_response()
}

/// The page where a person says yes: it says so at once.
async fn authorize(State(shared): State<Arc<Shared>>, Query(query): Query<Form>) -> Response {
    let wrong = |what: &str| (StatusCode::BAD_REQUEST, format!("wrong: {what}")).into_response();
    let get = |name: &str| one(&query, name).unwrap_or_default();
    // Errors of these two are never sent to the redirect URI: it may be anybody's.
    if get("client_id") != shared.client.id {
        return wrong("client_id");
    }
    if get("redirect_uri") != shared.client.redirect_uri {
        return wrong("redirect_uri");
    }
    if get("response_type") != "code" || get("code_challenge_method") != "S256" || get("code_challenge").len() != 43 {
        return wrong("response_type or challenge");
    }
    if get("state").len() < 32 {
        return wrong("state");
    }
    let mut inner = shared.lock();
    let issuer = shared.issuer.replace(':', "%3A").replace('/', "%2F");
    let (uri, state) = (get("redirect_uri"), get("state"));
    let location = if inner.behaviour.person_refuses {
        format!("{uri}?error=access_denied&error_description=%3Cscript%3E&state={state}&iss={issuer}")
    } else {
        let code = inner.secret("code");
        let kept = Code { redirect_uri: uri.to_owned(), challenge: get("code_challenge").to_owned(), used_by: None };
        inner.codes.insert(code.clone(), kept);
        format!("{uri}?code={code}&state={state}&iss={issuer}")
    };
    (StatusCode::FOUND, [(header::LOCATION, location)]).into_response()
}

/// Does the client sign in as it was registered?
fn signed_in(client: &Registered, headers: &HeaderMap, form: &Form) -> bool {
    let basic = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let in_body = (one(form, "client_id"), one(form, "client_secret"));
    let Some(secret) = &client.secret else {
        return basic.is_none() && in_body == (Some(client.id.as_str()), None);
    };
    if !client.basic {
        return basic.is_none() && in_body == (Some(client.id.as_str()), Some(secret.as_str()));
    }
    let decoded = basic
        .and_then(|value| value.strip_prefix("Basic "))
        .and_then(|text| STANDARD.decode(text).ok())
        .and_then(|bytes| String::from_utf8(bytes).ok());
    let Some((id, given)) = decoded.as_deref().and_then(|text| text.split_once(':')) else { return false };
    let decode = |text: &str| self::form(&format!("x={text}")).and_then(|form| one(&form, "x").map(str::to_owned));
    in_body.1.is_none() && decode(id).as_ref() == Some(&client.id) && decode(given).as_ref() == Some(secret)
}

async fn token(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    let answer = carry_out(&shared, &headers, &body);
    shared.carried_out.send_modify(|done| *done += 1);
    let _ = shared.hold.subscribe().wait_for(|hold| !hold).await;
    answer
}

fn carry_out(shared: &Shared, headers: &HeaderMap, body: &[u8]) -> Response {
    let mut inner = shared.lock();
    inner.counts.asked += 1;
    if let Some(status) = inner.behaviour.down {
        return StatusCode::from_u16(status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE).into_response();
    }
    let is_form = headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/x-www-form-urlencoded");
    let Some(form) = std::str::from_utf8(body).ok().and_then(form).filter(|_| is_form) else {
        return refuse(StatusCode::BAD_REQUEST, "invalid_request", "no form");
    };
    let get = |name: &str| one(&form, name).unwrap_or_default();
    let grant = get("grant_type");
    let by_assertion = grant == "urn:ietf:params:oauth:grant-type:jwt-bearer";
    if !by_assertion && !signed_in(&shared.client, headers, &form) {
        return refuse(StatusCode::UNAUTHORIZED, "invalid_client", &format!("sent: {}", String::from_utf8_lossy(body)));
    }
    let granted = match grant {
        "client_credentials" => {
            let family = inner.family();
            Some(inner.issue(family, false))
        }
        "authorization_code" => exchange(&mut inner, get("code"), get("redirect_uri"), get("code_verifier")),
        "refresh_token" => refresh(&mut inner, get("refresh_token")),
        _ if by_assertion => assert(shared, &mut inner, get("assertion")),
        _ => return refuse(StatusCode::BAD_REQUEST, "unsupported_grant_type", "no such grant"),
    };
    match granted {
        Some(tokens) => ([(header::CACHE_CONTROL, "no-store")], Json(tokens)).into_response(),
        None => {
            inner.counts.refused += 1;
            // As real servers do: what was sent comes back.
            refuse(StatusCode::BAD_REQUEST, "invalid_grant", &format!("sent: {}", String::from_utf8_lossy(body)))
        }
    }
}

fn exchange(inner: &mut Inner, code: &str, redirect_uri: &str, verifier: &str) -> Option<Value> {
    let kept = inner.codes.get(code)?;
    if let Some(family) = kept.used_by {
        inner.revoked.insert(family);
        return None;
    }
    let digest = ring::digest::digest(&ring::digest::SHA256, verifier.as_bytes());
    if kept.redirect_uri != redirect_uri || kept.challenge != URL_SAFE_NO_PAD.encode(digest) {
        return None;
    }
    let family = inner.family();
    inner.codes.get_mut(code)?.used_by = Some(family);
    Some(inner.issue(family, true))
}

fn refresh(inner: &mut Inner, token: &str) -> Option<Value> {
    let (family, used) = inner.refresh.get(token).copied()?;
    if used {
        inner.revoked.insert(family);
    }
    if inner.revoked.contains(&family) {
        return None;
    }
    inner.refresh.insert(token.to_owned(), (family, true));
    inner.counts.refreshed += 1;
    Some(inner.issue(family, true))
}

fn assert(shared: &Shared, inner: &mut Inner, assertion: &str) -> Option<Value> {
    let (algorithm, key) = shared.client.key.as_ref()?;
    let (message, signature) = assertion.rsplit_once('.')?;
    let (head, claims) = message.split_once('.')?;
    let read = |part: &str| serde_json::from_slice::<Value>(&URL_SAFE_NO_PAD.decode(part).ok()?).ok();
    let (head, claims) = (read(head)?, read(claims)?);
    let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
    let verified = match *algorithm {
        "RS256" => UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key).verify(message.as_bytes(), &signature),
        _ => UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key).verify(message.as_bytes(), &signature),
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs();
    let time = |name: &str| claims.get(name).and_then(Value::as_u64);
    let good = verified.is_ok()
        && head.get("alg").and_then(Value::as_str) == Some(algorithm)
        && claims.get("iss").and_then(Value::as_str) == Some(&shared.client.id)
        && claims.get("sub").and_then(Value::as_str).is_some_and(|subject| !subject.is_empty())
        && claims.get("aud").and_then(Value::as_str) == Some(&format!("{}/token", shared.issuer))
        && time("exp").is_some_and(|at| at > now && at <= now + 300)
        && time("iat").is_some_and(|at| at <= now + 5);
    let id = claims.get("jti").and_then(Value::as_str)?.to_owned();
    if !good || !inner.assertions.insert(id) {
        return None;
    }
    let family = inner.family();
    // Salesforce's way: no refresh token, and no word on how long the token holds.
    let mut answer = inner.issue(family, false);
    answer.as_object_mut()?.remove("expires_in");
    Some(answer)
}

async fn revoke(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    let form = std::str::from_utf8(&body).ok().and_then(form).unwrap_or_default();
    if !signed_in(&shared.client, &headers, &form) {
        return refuse(StatusCode::UNAUTHORIZED, "invalid_client", "");
    }
    let mut inner = shared.lock();
    let token = one(&form, "token").unwrap_or_default();
    let family = inner.refresh.get(token).map(|(family, _)| *family);
    let family = family.or_else(|| inner.access.get(token).map(|(family, _)| *family));
    inner.revoked.extend(family);
    StatusCode::OK.into_response()
}

/// The API behind it.
async fn api(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    let sent = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let token = sent.strip_prefix("Bearer ").unwrap_or_default();
    let mut inner = shared.lock();
    let good = inner.access.get(token).is_some_and(|(family, until)| {
        !inner.revoked.contains(family) && until.is_none_or(|until| until > SystemTime::now())
    });
    if good && !inner.behaviour.api_refuses {
        inner.counts.served += 1;
        return Json(json!({"served": true, "you-sent": sent})).into_response();
    }
    inner.counts.turned_away += 1;
    let told = format!("you sent {sent}");
    (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Bearer error=\"invalid_token\"")], told).into_response()
}
