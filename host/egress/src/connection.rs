//! A connection's handle, and the way of one call through it.
//!
//! 1. The endpoint is looked up by name; method, path, headers and body are checked.
//! 2. The call waits for one of the connection's places.
//! 3. Where the endpoint has sessions, the current one is taken, or a login is made.
//! 4. The credential is put on, and the request is checked once more as it will be sent.
//! 5. It is sent; when the system says that the session is over, steps 3 to 5 happen once more. Nothing else is ever
//!    repeated here, as nothing else is known not to have begun.
//! 6. The answer loses what a guest must not see, and the call is reported.
//!
//! One deadline holds for all of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, header};
use tokio::sync::{OnceCell, Semaphore};
use tokio::time::{Instant, timeout_at};
use url::Url;

use crate::auth::Authoriser;
use crate::auth::session::{LoginAnswer, LoginRequest, Session};
use crate::call::{CallMeta, InResponse, OutRequest};
use crate::client;
use crate::egress::Shared;
use crate::error::{ErrorCode, SendError};
use crate::exchange::{Answer, exchange};
use crate::headers;
use crate::path::Base;
use crate::policy::Reach;
use crate::redact::Redactor;
use crate::report::Report;

/// A checked endpoint.
pub(crate) struct Endpoint {
    pub(crate) name: String,
    pub(crate) base: Base,
    pub(crate) methods: Vec<Method>,
    pub(crate) timeout: Duration,
    pub(crate) reach: Reach,
    pub(crate) auth: Authoriser,
}

/// One tenant's connection: its endpoints, sockets, sessions and places.
pub struct Connection {
    tenant: String,
    id: String,
    endpoints: BTreeMap<String, Endpoint>,
    redactor: Redactor,
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
        Self { tenant, id, endpoints, redactor, shared, places, global, granted }
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
        let Some(endpoint) = self.endpoints.get(endpoint) else {
            let known: Vec<_> = self.endpoints().collect();
            let asked: String = endpoint.chars().take(64).flat_map(char::escape_default).collect();
            let message = format!("there is no endpoint \"{asked}\"; this connection has: {}", known.join(", "));
            let result = Err(SendError::new(ErrorCode::UnknownEndpoint, message));
            let (tenant, connection) = (self.tenant.as_str(), self.id.as_str());
            Report { tenant, connection, endpoint: "unknown", method: "", host: "", path: "", meta: &meta, started }
                .finish(&result);
            return result;
        };
        let checked = self.check(endpoint, &request);
        // Only a path that was found good is worth a line in the log.
        let path = checked.as_ref().ok().map(|_| self.redactor.text(endpoint.base.shown(&request.path)));
        let method = checked.as_ref().ok().map(|checked| checked.method.clone());
        let wanted = request.timeout.unwrap_or(endpoint.timeout).min(self.shared.limits.max_timeout);
        let result = match checked {
            Ok(checked) => self.within(endpoint, &checked, wanted).await,
            Err(error) => Err(error),
        };
        let result = result.map_err(|error| SendError { message: self.redactor.text(error.message), ..error });
        Report {
            tenant: &self.tenant,
            connection: &self.id,
            endpoint: &endpoint.name,
            method: method.as_ref().map_or("", Method::as_str),
            host: &endpoint.base.host(),
            path: path.as_deref().unwrap_or_default(),
            meta: &meta,
            started,
        }
        .finish(&result);
        result
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

    /// Step 2 and the deadline.
    async fn within(&self, endpoint: &Endpoint, checked: &Checked, time: Duration) -> Result<InResponse, SendError> {
        let deadline = Instant::now() + time;
        let full = || {
            let message = format!(
                "{} calls of this connection are under way, no place became free in time",
                self.shared.limits.concurrency
            );
            SendError::new(ErrorCode::Limit, message).after(1)
        };
        let _place = match timeout_at(deadline, self.places.acquire()).await {
            Ok(Ok(place)) => place,
            // The semaphore is never closed; should it be, no place becomes free either.
            Ok(Err(_)) | Err(_) => return Err(full()),
        };
        timeout_at(deadline, self.perform(endpoint, checked)).await.unwrap_or_else(|_| {
            let message = format!("no complete answer from {} within {} ms", endpoint.base.host(), time.as_millis());
            Err(SendError::new(ErrorCode::Timeout, message))
        })
    }

    /// Steps 3 to 6.
    async fn perform(&self, endpoint: &Endpoint, checked: &Checked) -> Result<InResponse, SendError> {
        let cap = self.shared.limits.response_body_bytes;
        let answer = if let Authoriser::Session(auth) = &endpoint.auth {
            let session = self.session(endpoint, None).await?;
            let answer = self.exchange(endpoint, checked, session.as_deref(), cap).await?;
            if auth.is_over(answer.status) {
                let renewed = self.session(endpoint, session.as_deref()).await?;
                self.exchange(endpoint, checked, renewed.as_deref(), cap).await?
            } else {
                answer
            }
        } else {
            self.exchange(endpoint, checked, None, cap).await?
        };
        let headers = headers::for_guest(&answer.headers, endpoint.auth.header(), &self.shared.limits)?;
        let headers =
            headers.into_iter().map(|(name, value)| (self.redactor.text(name), self.redactor.text(value))).collect();
        Ok(InResponse { status: answer.status, headers, body: self.redactor.bytes(answer.body) })
    }

    /// The endpoint's session, where it has such: the current one, or one that is logged in for now.
    async fn session(&self, endpoint: &Endpoint, refused: Option<&Session>) -> Result<Option<Arc<Session>>, SendError> {
        let Authoriser::Session(auth) = &endpoint.auth else {
            return Ok(None);
        };
        let learn = |secrets: &[String]| self.redactor.add_session(secrets.iter().map(String::as_str));
        let login = |request| self.login(endpoint, request);
        auth.session(refused, &self.shared.limits, learn, login).await.map(Some)
    }

    async fn login(&self, endpoint: &Endpoint, login: &LoginRequest) -> Result<LoginAnswer, SendError> {
        let limits = &self.shared.limits;
        let mut headers = HeaderMap::with_capacity(2);
        headers.insert(header::CONTENT_TYPE, login.content_type.clone());
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        let url = endpoint.base.join(&login.path, limits.path_bytes)?;
        let checked = Checked { method: login.method.clone(), url, headers, body: login.body.clone() };
        let answer = self.exchange(endpoint, &checked, None, limits.login_body_bytes).await?;
        let retry_after = answer.headers.get(header::RETRY_AFTER).and_then(|v| v.to_str().ok()?.parse().ok());
        Ok(LoginAnswer { status: answer.status, retry_after, body: answer.body })
    }

    /// Steps 4 and 5.
    async fn exchange(
        &self,
        endpoint: &Endpoint,
        checked: &Checked,
        session: Option<&Session>,
        cap: usize,
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
        exchange(client, request, &endpoint.base.host(), cap, &self.shared.limits).await
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
