//! A connection's handle, and the way of one call through it.
//!
//! 1. The endpoint is looked up by name; method, path, headers and body are checked.
//! 2. The endpoint's breaker is asked, the call waits for one of the connection's places and for its turn in the budget,
//!    and is let through or not.
//! 3. Where the endpoint has sessions, the current one is taken, or a login is made.
//! 4. The credential is put on, and the request is checked once more as it will be sent.
//! 5. It is sent; when the system says that the session is over, steps 3 to 5 happen once more. A redirect that may be
//!    followed (`redirect`) is a request of its own, for which they happen too.
//! 6. The answer loses what a guest must not see, the breaker learns how it went, and the call is reported.
//!
//! Steps 2 to 6 are one try; where it is safe and may help, `tries` makes another. One deadline holds for all of it.

mod tries;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use tokio::sync::{OnceCell, Semaphore};
use tracing::Instrument as _;
use url::Url;

use crate::auth::Authoriser;
use crate::auth::session::{LoginAnswer, LoginRequest, Session};
use crate::breaker::BreakerState;
use crate::budget::{Budget, learn};
use crate::call::{CallMeta, InResponse, OutRequest, Sent};
use crate::client;
use crate::config::Redirects;
use crate::egress::Shared;
use crate::error::{ErrorCode, SendError};
use crate::exchange::{Answer, Wire, exchange, retry_after};
use crate::headers;
use crate::health::Health;
use crate::identity::Identity;
use crate::limits::{MESSAGE_CHARS, METHOD_CHARS, REFUSED_PATH_BYTES};
use crate::path::Base;
use crate::policy::Reach;
use crate::redact::Redactor;
use crate::report::{Hush, Report, cut, short};
use crate::retry::{RetryBudget, RetryConfig};

use self::tries::Total;

/// A checked endpoint.
pub(crate) struct Endpoint {
    pub(crate) name: String,
    pub(crate) base: Base,
    pub(crate) methods: Vec<Method>,
    pub(crate) timeout: Duration,
    pub(crate) reach: Reach,
    pub(crate) auth: Authoriser,
    pub(crate) health: Arc<Health>,
    pub(crate) identity: Option<Identity>,
    pub(crate) redirects: Redirects,
    pub(crate) budget: Budget,
    /// The header in which this system takes idempotency keys, beside the usual one.
    pub(crate) idempotency_header: Option<HeaderName>,
}

/// One tenant's connection: its endpoints, sockets, sessions and places.
pub struct Connection {
    tenant: String,
    id: String,
    pub(crate) endpoints: BTreeMap<String, Endpoint>,
    pub(crate) redactor: Arc<Redactor>,
    pub(crate) shared: Arc<Shared>,
    places: Semaphore,
    retry: RetryConfig,
    retries: RetryBudget,
    hush: Hush,
    global: OnceCell<reqwest::Client>,
    granted: OnceCell<reqwest::Client>,
}

/// A request that was found good, without its credential.
pub(crate) struct Checked {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// An answer as it is for the guest.
struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Bytes,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Connection({}/{})", self.tenant, self.id)
    }
}

impl Connection {
    pub(crate) fn new(
        tenant: String,
        id: String,
        endpoints: BTreeMap<String, Endpoint>,
        redactor: Redactor,
        retry: RetryConfig,
        shared: Arc<Shared>,
    ) -> Self {
        let places = Semaphore::new(shared.limits.concurrency);
        let (global, granted) = (OnceCell::new(), OnceCell::new());
        let (retries, hush) = (RetryBudget::new(), Hush::default());
        Self {
            tenant,
            id,
            endpoints,
            redactor: Arc::new(redactor),
            shared,
            places,
            retry,
            retries,
            hush,
            global,
            granted,
        }
    }

    /// The tenant's id.
    #[must_use]
    pub fn tenant(&self) -> &str {
        &self.tenant
    }

    /// The connection's id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Names of the endpoints, in order.
    pub fn endpoints(&self) -> impl Iterator<Item = &str> {
        self.endpoints.keys().map(String::as_str)
    }

    /// Send a request to an endpoint and wait for its whole answer, whatever its status.
    ///
    /// Dropping the future ends the exchange. A system may have acted on a request whose answer did not arrive.
    ///
    /// # Errors
    /// See [`ErrorCode`]. Messages are without secrets and can be shown to a plugin's author.
    pub async fn send(&self, endpoint: &str, request: OutRequest, meta: CallMeta) -> Result<InResponse, SendError> {
        let span = tracing::info_span!(
            "egress.send",
            otel.kind = "client",
            tenant = self.tenant,
            connection = self.id,
            // A guest's text, where there is no such endpoint: not for a span.
            endpoint = self.endpoints.get(endpoint).map(|found| found.name.as_str()),
            operation = meta.operation,
            attempts = tracing::field::Empty,
            status = tracing::field::Empty,
            error = tracing::field::Empty,
        );
        self.send_within(endpoint, request, meta).instrument(span).await
    }

    async fn send_within(&self, endpoint: &str, request: OutRequest, meta: CallMeta) -> Result<InResponse, SendError> {
        let started = std::time::Instant::now();
        let mut total = Total::default();
        let found = self.endpoints.get(endpoint);
        let checked = match found {
            Some(found) => self.check(found, &request),
            None => Err(self.unknown(endpoint)),
        };
        let (method, path) = match (&checked, found) {
            (Ok(checked), Some(found)) => (checked.method.to_string(), found.base.shown(&request.path)),
            _ => (refused(&request.method, METHOD_CHARS), refused_path(&request.path)),
        };
        let result = match (checked, found) {
            (Ok(checked), Some(found)) => self.tries(found, &checked, request.timeout, &meta, &mut total).await,
            (Err(error), _) => Err(error),
            (Ok(_), None) => Err(self.unknown(endpoint)),
        };
        let Total { traffic, attempts, waited } = total;
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let sent = Sent {
            // It is a metric's label as well, so a guest must not make it up.
            endpoint: found.map_or("unknown", |found| found.name.as_str()).to_owned(),
            method,
            host: found.map(|found| found.base.host()).unwrap_or_default(),
            path: short(&self.redactor.text(path)).to_owned(),
            status: traffic.status,
            requests: traffic.requests,
            bytes_out: traffic.bytes_out,
            bytes_in: traffic.bytes_in,
            attempts,
            waited_ms: millis(waited),
            duration_ms: millis(started.elapsed()),
            provider_request_id: traffic
                .provider_id
                .map(|id| short(&self.redactor.text(id)).escape_default().to_string()),
        };
        let result = match result {
            Ok(Reply { status, headers, body }) => Ok(InResponse { status, headers, body, sent }),
            Err(error) => {
                let message = cut(&self.redactor.text(error.message), MESSAGE_CHARS).to_owned();
                Err(SendError { message, sent: Some(Box::new(sent)), ..error })
            }
        };
        Report { tenant: &self.tenant, connection: &self.id, meta: &meta, started, hush: &self.hush }.finish(&result);
        result
    }

    /// Whether a request is one that would be sent, without sending it: what can be known of method, path, headers and size.
    ///
    /// # Errors
    /// As [`Connection::send`] would fail.
    pub fn allows(&self, endpoint: &str, request: &OutRequest) -> Result<(), SendError> {
        let found = self.endpoints.get(endpoint).ok_or_else(|| self.unknown(endpoint))?;
        self.check(found, request).map(drop)
    }

    /// What somebody should see to before it fails, one sentence each: certificates that end soon.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        let now = SystemTime::now();
        let of = |endpoint: &Endpoint| endpoint.identity.iter().flat_map(|i| i.notes(now)).collect::<Vec<_>>();
        self.endpoints.values().flat_map(of).collect()
    }

    /// How the endpoints are doing, in order of their names.
    #[must_use]
    pub fn breakers(&self) -> Vec<(String, BreakerState)> {
        self.endpoints.iter().map(|(name, endpoint)| (name.clone(), endpoint.health.state())).collect()
    }

    /// Whether an endpoint's breaker lets calls through; also of one that there isn't.
    pub fn is_called(&self, endpoint: &str) -> bool {
        self.endpoints.get(endpoint).is_none_or(|endpoint| endpoint.health.state() == BreakerState::Closed)
    }

    /// Call an endpoint again at once, because somebody has repaired it: its breaker is closed, and a pause that it asked
    /// for is over, on this host. False when there is no such endpoint.
    pub async fn reset(&self, endpoint: &str) -> bool {
        let Some(endpoint) = self.endpoints.get(endpoint) else { return false };
        endpoint.health.reset();
        endpoint.budget.resume().await;
        true
    }

    /// How long an endpoint still wants to be left alone (`Retry-After` and its like), as far as this host knows.
    pub fn paused(&self, endpoint: &str) -> Option<Duration> {
        self.endpoints.get(endpoint)?.budget.paused()
    }

    fn unknown(&self, endpoint: &str) -> SendError {
        let known: Vec<_> = self.endpoints().collect();
        let asked = refused(endpoint, 64);
        let message = format!("there is no endpoint \"{asked}\"; this connection has: {}", known.join(", "));
        SendError::new(ErrorCode::UnknownEndpoint, message)
    }

    /// Step 1: all that can be said of a request before it has a credential.
    fn check(&self, endpoint: &Endpoint, request: &OutRequest) -> Result<Checked, SendError> {
        let limits = &self.shared.limits;
        let method = Method::from_bytes(request.method.to_ascii_uppercase().as_bytes())
            .map_err(|_| SendError::invalid("the method is not one of HTTP"))?;
        if !endpoint.methods.contains(&method) {
            let allowed: Vec<_> = endpoint.methods.iter().map(Method::as_str).collect();
            let method: String = method.as_str().chars().take(16).collect();
            let message = format!("{method} is not allowed for {}; allowed: {}", endpoint.name, allowed.join(", "));
            return Err(SendError::refused(message));
        }
        let url = endpoint.base.join(&request.path, limits.path_bytes)?;
        let headers = headers::from_guest(&request.headers, endpoint.auth.headers(), limits)?;
        let bytes = request.body.len();
        if bytes > limits.request_body_bytes {
            let message = format!("the body has {bytes} bytes, more than {}", limits.request_body_bytes);
            return Err(SendError::new(ErrorCode::TooLarge, message));
        }
        Ok(Checked { method, url, headers, body: request.body.clone() })
    }

    /// Steps 3 to 6.
    async fn perform(&self, endpoint: &Endpoint, checked: &Checked, wire: &Wire) -> Result<Reply, SendError> {
        let cap = self.shared.limits.response_body_bytes;
        let answer = self.ask(endpoint, checked, cap, wire).await?;
        let (endpoint, answer) = self.follow(endpoint, checked, answer, cap, wire).await?;
        let headers = headers::for_guest(&answer.headers, endpoint.auth.headers(), &self.shared.limits)?;
        let clean = |text| self.redactor.text(text);
        let headers = headers.into_iter().map(|(name, value)| (clean(name), clean(value))).collect();
        Ok(Reply { status: answer.status, headers, body: self.redactor.bytes(answer.body) })
    }

    /// Steps 3 to 5.
    pub(crate) async fn ask(
        &self,
        endpoint: &Endpoint,
        checked: &Checked,
        cap: usize,
        wire: &Wire,
    ) -> Result<Answer, SendError> {
        let session = self.session(endpoint, None, wire).await?;
        let mut answer = self.exchange(endpoint, checked, session.as_deref(), cap, wire).await?;
        if endpoint.auth.is_over(answer.status)
            && let Some(renewed) = self.session(endpoint, session.as_deref(), wire).await?
        {
            answer = self.exchange(endpoint, checked, Some(&renewed), cap, wire).await?;
            if endpoint.auth.is_over(answer.status) {
                endpoint.auth.renewal_did_not_help();
            }
        }
        Ok(answer)
    }

    /// The endpoint's session or token, where it has such: the current one, or one that is got now. None in place of
    /// the refused one when a new one would not help.
    async fn session(
        &self,
        endpoint: &Endpoint,
        refused: Option<&Session>,
        wire: &Wire,
    ) -> Result<Option<Arc<Session>>, SendError> {
        let auth = match &endpoint.auth {
            Authoriser::Session(auth) => auth,
            // Its requests go elsewhere, and are no traffic of this endpoint: nor is what becomes of them its breaker's
            // business, or a reason to try the request again.
            Authoriser::OAuth2(auth) => {
                return auth.session(refused, &self.redactor).await.map_err(|error| match error.code {
                    ErrorCode::Connect | ErrorCode::Tls | ErrorCode::Timeout | ErrorCode::Protocol => {
                        SendError { code: ErrorCode::Unavailable, ..error }
                    }
                    _ => error,
                });
            }
            _ => return Ok(None),
        };
        let learn = |secrets: &[String]| self.redactor.add_session(secrets.iter().map(String::as_str));
        let login = |request| self.login(endpoint, request, wire);
        auth.session(refused, &self.shared.limits, learn, login).await.map(Some)
    }

    async fn login(&self, endpoint: &Endpoint, login: &LoginRequest, wire: &Wire) -> Result<LoginAnswer, SendError> {
        let limits = &self.shared.limits;
        let mut headers = HeaderMap::with_capacity(2);
        headers.insert(header::CONTENT_TYPE, login.content_type.clone());
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        let url = endpoint.base.join(&login.path, limits.path_bytes)?;
        let checked = Checked { method: login.method.clone(), url, headers, body: login.body.clone() };
        let answer = self.exchange(endpoint, &checked, None, limits.login_body_bytes, wire).await?;
        let retry_after = retry_after(&answer.headers, SystemTime::now());
        Ok(LoginAnswer { status: answer.status, retry_after, body: answer.body })
    }

    /// Steps 4 and 5.
    async fn exchange(
        &self,
        endpoint: &Endpoint,
        checked: &Checked,
        session: Option<&Session>,
        cap: usize,
        wire: &Wire,
    ) -> Result<Answer, SendError> {
        let mut request = reqwest::Request::new(checked.method.clone(), checked.url.clone());
        *request.headers_mut() = checked.headers.clone();
        if !checked.body.is_empty() {
            *request.body_mut() = Some(checked.body.clone().into());
        }
        endpoint.auth.apply(&mut request, session)?;
        let url = request.url();
        let reach = self.shared.policy.reach(url).map_err(SendError::refused)?;
        if reach != endpoint.reach || !endpoint.base.contains(url) {
            return Err(SendError::refused("the request leads out of the endpoint"));
        }
        let client = self.client(endpoint, reach).await?;
        // The first request has its turn; a login before it, or a session's renewal, needs one of its own.
        let further = match wire.further() {
            Some(latest) => Some(endpoint.budget.again(latest).await?),
            None => None,
        };
        let answer = exchange(client, request, &endpoint.base.host(), cap, &self.shared.limits, wire).await?;
        let turn = further.as_ref().map_or(wire.turn(), |turn| turn.number());
        let lesson = learn::lesson(answer.status, &answer.headers, &answer.body, SystemTime::now());
        endpoint.budget.learn(turn, answer.status, lesson).await;
        Ok(answer)
    }

    /// The pool for this endpoint and reach, made at first use.
    async fn client<'c>(&'c self, endpoint: &'c Endpoint, reach: Reach) -> Result<&'c reqwest::Client, SendError> {
        let Shared { limits, lookup, tls, .. } = self.shared.as_ref();
        let (cell, tls) = match (&endpoint.identity, reach) {
            (Some(identity), _) => (&identity.client, &identity.tls),
            (None, Reach::Global) => (&self.global, tls),
            (None, Reach::Granted) => (&self.granted, tls),
        };
        cell.get_or_try_init(|| async { client::build(tls, Arc::clone(lookup), reach, limits) }).await.map_err(|_| {
            SendError::new(ErrorCode::Misconfigured, "the host's HTTP client can't be set up; see its log")
        })
    }
}

/// What a guest wrote that was found wrong, fit to be shown: one line, and not long.
fn refused(text: &str, chars: usize) -> String {
    text.chars().take(chars).flat_map(char::escape_default).collect()
}

/// The same for a path, without its query: that may hold people's data, good path or bad.
fn refused_path(path: &str) -> String {
    let head = path.get(..path.floor_char_boundary(REFUSED_PATH_BYTES)).unwrap_or_default();
    refused(head.split(['?', '#']).next().unwrap_or_default(), REFUSED_PATH_BYTES)
}
