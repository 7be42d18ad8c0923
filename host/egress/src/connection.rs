//! A connection's handle, and the way of one call through it.
//!
//! 1. The endpoint is looked up by name; method, path, headers and body are checked.
//! 2. The endpoint's breaker is asked, the call waits for one of the connection's places, and is let through or not.
//! 3. Where the endpoint has sessions, the current one is taken, or a login is made.
//! 4. The credential is put on, and the request is checked once more as it will be sent.
//! 5. It is sent; when the system says that the session is over, steps 3 to 5 happen once more. Nothing else is ever
//!    repeated here, as nothing else is known not to have begun.
//! 6. The answer loses what a guest must not see, the breaker learns how it went, and the call is reported.
//!
//! One deadline holds for all of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, header};
use tokio::sync::{OnceCell, Semaphore};
use tokio::time::{Instant, timeout_at};
use url::Url;

use crate::auth::Authoriser;
use crate::auth::session::{LoginAnswer, LoginRequest, Session};
use crate::breaker::BreakerState;
use crate::call::{CallMeta, InResponse, OutRequest, Sent};
use crate::client;
use crate::egress::Shared;
use crate::error::{ErrorCode, SendError};
use crate::exchange::{Answer, Wire, exchange, retry_after};
use crate::headers;
use crate::health::{Health, judge};
use crate::limits::{MESSAGE_CHARS, METHOD_CHARS, REFUSED_PATH_BYTES};
use crate::path::Base;
use crate::policy::Reach;
use crate::redact::Redactor;
use crate::report::{Report, cut, short};

/// A checked endpoint.
pub(crate) struct Endpoint {
    pub(crate) name: String,
    pub(crate) base: Base,
    pub(crate) methods: Vec<Method>,
    pub(crate) timeout: Duration,
    pub(crate) reach: Reach,
    pub(crate) auth: Authoriser,
    pub(crate) health: Arc<Health>,
}

/// One tenant's connection: its endpoints, sockets, sessions and places.
pub struct Connection {
    tenant: String,
    id: String,
    pub(crate) endpoints: BTreeMap<String, Endpoint>,
    pub(crate) redactor: Arc<Redactor>,
    shared: Arc<Shared>,
    places: Semaphore,
    global: OnceCell<reqwest::Client>,
    granted: OnceCell<reqwest::Client>,
}

/// A request that was found good, without its credential.
struct Checked {
    method: Method,
    url: Url,
    headers: HeaderMap,
    body: Bytes,
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
        shared: Arc<Shared>,
    ) -> Self {
        let places = Semaphore::new(shared.limits.concurrency);
        let (global, granted) = (OnceCell::new(), OnceCell::new());
        Self { tenant, id, endpoints, redactor: Arc::new(redactor), shared, places, global, granted }
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
        let started = std::time::Instant::now();
        let wire = Wire::default();
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
            (Ok(checked), Some(found)) => self.within(found, &checked, request.timeout, &wire).await,
            (Err(error), _) => Err(error),
            (Ok(_), None) => Err(self.unknown(endpoint)),
        };
        let traffic = wire.traffic();
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
        };
        let result = match result {
            Ok(Reply { status, headers, body }) => Ok(InResponse { status, headers, body, sent }),
            Err(error) => {
                let message = cut(&self.redactor.text(error.message), MESSAGE_CHARS).to_owned();
                Err(SendError { message, sent: Some(Box::new(sent)), ..error })
            }
        };
        Report { tenant: &self.tenant, connection: &self.id, meta: &meta, started }.finish(&result);
        result
    }

    /// How the endpoints are doing, in order of their names.
    #[must_use]
    pub fn breakers(&self) -> Vec<(String, BreakerState)> {
        self.endpoints.iter().map(|(name, endpoint)| (name.clone(), endpoint.health.state())).collect()
    }

    /// Call an endpoint again at once, because somebody has repaired it. False when there is no such endpoint.
    pub fn reset_breaker(&self, endpoint: &str) -> bool {
        let found = self.endpoints.get(endpoint);
        found.inspect(|endpoint| endpoint.health.reset()).is_some()
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
        let headers = headers::from_guest(&request.headers, endpoint.auth.header(), limits)?;
        let bytes = request.body.len();
        if bytes > limits.request_body_bytes {
            let message = format!("the body has {bytes} bytes, more than {}", limits.request_body_bytes);
            return Err(SendError::new(ErrorCode::TooLarge, message));
        }
        Ok(Checked { method, url, headers, body: request.body.clone() })
    }

    /// Step 2, the deadline, and the breaker's share of step 6.
    async fn within(
        &self,
        endpoint: &Endpoint,
        checked: &Checked,
        time: Option<Duration>,
        wire: &Wire,
    ) -> Result<Reply, SendError> {
        let time = time.unwrap_or(endpoint.timeout).min(self.shared.limits.max_timeout);
        let deadline = Instant::now() + time;
        let full = || {
            let message = format!(
                "{} calls of this connection are under way, no place became free in time",
                self.shared.limits.concurrency
            );
            SendError::new(ErrorCode::Limit, message).after(1)
        };
        // Asked before the queue, so that nobody waits for a refusal, and after it, since that may have taken a while.
        endpoint.health.ask()?;
        let _place = match timeout_at(deadline, self.places.acquire()).await {
            Ok(Ok(place)) => place,
            // The semaphore is never closed; should it be, no place becomes free either.
            Ok(Err(_)) | Err(_) => return Err(full()),
        };
        let pass = endpoint.health.enter()?;
        let result = timeout_at(deadline, self.perform(endpoint, checked, wire)).await.unwrap_or_else(|_| {
            let message = format!("no complete answer from {} within {} ms", endpoint.base.host(), time.as_millis());
            Err(SendError::new(ErrorCode::Timeout, message))
        });
        let code = result.as_ref().err().map(|error| error.code);
        endpoint.health.settle(pass, judge(code, &wire.traffic(), time, endpoint.timeout));
        result
    }

    /// Steps 3 to 6.
    async fn perform(&self, endpoint: &Endpoint, checked: &Checked, wire: &Wire) -> Result<Reply, SendError> {
        let cap = self.shared.limits.response_body_bytes;
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
        let headers = headers::for_guest(&answer.headers, endpoint.auth.header(), &self.shared.limits)?;
        let clean = |text| self.redactor.text(text);
        let headers = headers.into_iter().map(|(name, value)| (clean(name), clean(value))).collect();
        Ok(Reply { status: answer.status, headers, body: self.redactor.bytes(answer.body) })
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
            // Its requests go elsewhere, and are no traffic of this endpoint.
            Authoriser::OAuth2(auth) => return auth.session(refused, &self.redactor).await,
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
        let client = self.client(reach).await?;
        exchange(client, request, &endpoint.base.host(), cap, &self.shared.limits, wire).await
    }

    /// The pool for this reach, made at first use.
    async fn client(&self, reach: Reach) -> Result<&reqwest::Client, SendError> {
        let cell = match reach {
            Reach::Global => &self.global,
            Reach::Granted => &self.granted,
        };
        let Shared { limits, lookup, tls, .. } = self.shared.as_ref();
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
