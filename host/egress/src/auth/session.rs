//! Sessions: systems (Tryton, older ERPs) that want a login first and its result on each request after that.
//!
//! What to send and what to make of the answer is declared by two templates in the plugin's manifest, so that the
//! password never enters the guest. Their rules:
//!
//! 1. The login happens at first use, by whoever needs it first. The others wait for that one login
//!    (single flight): the lock is held while it is made.
//! 2. The session is kept in memory until the system refuses it (`renew_on`). Of many calls that are refused at the
//!    same time, one logs in again; the rest see that the session they used is no longer the current one.
//! 3. A login that fails is remembered for a while: those who waited get the same answer, and a wrong password is
//!    not tried so often that the system locks the account.
//!
//! A caller that gives up (its time is over) while it logs in leaves the lock to the next one, who tries for itself.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method};
use minijinja::{Environment, UndefinedBehavior, context};
use serde_json::Value;
use tokio::sync::Mutex;

use crate::auth::{Setup, sensitive};
use crate::config::SessionConfig;
use crate::error::{ErrorCode, SendError};
use crate::limits::{LOGIN_SECRET_MIN_CHARS, Limits, TEMPLATE_FUEL};
use crate::path::Base;
use crate::secret::{Secret, SecretRef};

/// A credential that a login gave.
pub(crate) struct Session {
    value: HeaderValue,
    /// Which login of this endpoint gave it.
    number: u64,
}

impl Session {
    /// One that was got in another way than by a login.
    pub(crate) const fn of(value: HeaderValue, number: u64) -> Self {
        Self { value, number }
    }

    /// Tells it from others of its endpoint.
    pub(crate) const fn number(&self) -> u64 {
        self.number
    }

    /// The header's value.
    pub(crate) fn value(&self) -> HeaderValue {
        self.value.clone()
    }
}

/// The login request, ready to send.
pub(crate) struct LoginRequest {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) content_type: HeaderValue,
    pub(crate) body: Bytes,
}

/// The system's answer to it.
pub(crate) struct LoginAnswer {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) body: Bytes,
}

/// An endpoint's session: how to get one, and the current one.
pub(crate) struct SessionAuth {
    header: HeaderName,
    username: String,
    password: Secret,
    password_ref: SecretRef,
    login: LoginRequest,
    templates: Environment<'static>,
    fail_pointer: Option<String>,
    renew_on: Vec<u16>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    logins: u64,
    current: Option<Arc<Session>>,
    failed: Option<Failure>,
}

struct Failure {
    until: Instant,
    error: SendError,
}

/// Name of the body's template, used in messages.
const BODY: &str = "login.body";
/// Name of the value's template, used in messages.
const VALUE: &str = "value";

impl SessionAuth {
    /// Check a session's configuration. The body is rendered here, once: it depends on nothing else.
    pub(crate) fn new(config: &SessionConfig, base: &Base, setup: &mut Setup<'_>) -> Option<Self> {
        let password = setup.secret("auth.password", &config.password);
        let header = setup.header_name("auth.header", &config.header);
        let method = Method::from_bytes(config.login.method.as_bytes())
            .ok()
            .filter(|m| [Method::GET, Method::POST, Method::PUT].contains(m));
        if method.is_none() {
            setup.wrong("auth.login.method", "is not GET, POST or PUT");
        }
        let content_type = HeaderValue::from_str(&config.login.content_type).ok();
        if content_type.is_none() {
            setup.wrong("auth.login.content_type", "can't stand in a header");
        }
        if let Err(error) = base.join(&config.login.path, Limits::default().path_bytes) {
            setup.wrong("auth.login.path", error.message);
        }
        if config.renew_on.iter().any(|status| !(400..=599).contains(status)) {
            setup.wrong("auth.renew_on", "has a status that is no refusal (400 to 599)");
        }
        let mut templates = environment();
        let sources = [(BODY, "auth.login.body", &config.login.body), (VALUE, "auth.value", &config.value)];
        for (name, field, source) in sources {
            // Nothing secret is known to the template engine yet, so its message can be shown.
            if let Err(error) = templates.add_template_owned(name, source.clone()) {
                setup.wrong(field, format!("is not a template: {error}"));
            }
        }
        let (password, header, method, content_type) = (password?, header?, method?, content_type?);
        let values = context! { username => config.username.as_str(), password => password.expose() };
        let body = match templates.get_template(BODY).and_then(|t| t.render(values)) {
            Ok(body) => body,
            Err(error) => {
                setup.wrong("auth.login.body", format!("can't be rendered: {}", plain(&error)));
                return None;
            }
        };
        if config.login.content_type.contains("json") && serde_json::from_str::<Value>(&body).is_err() {
            setup.wrong("auth.login.body", "does not render to JSON; write values as {{ password|tojson }}");
            return None;
        }
        templates.get_template(VALUE).ok()?;
        Some(Self {
            header,
            username: config.username.clone(),
            password,
            password_ref: config.password.clone(),
            login: LoginRequest { method, path: config.login.path.clone(), content_type, body: body.into() },
            templates,
            fail_pointer: config.fail_pointer.clone(),
            renew_on: config.renew_on.clone(),
            state: Mutex::default(),
        })
    }

    /// The header that carries the session.
    pub(crate) const fn header(&self) -> &HeaderName {
        &self.header
    }

    /// Does an answer with this status mean that the session is over?
    pub(crate) fn is_over(&self, status: u16) -> bool {
        self.renew_on.contains(&status)
    }

    /// The current session, or a new one. `refused` is the session that the system has just refused, if any.
    ///
    /// `learn` is given what a new session must be redacted by, before anybody can use it.
    pub(crate) async fn session<'a, F>(
        &'a self,
        refused: Option<&Session>,
        limits: &Limits,
        learn: impl FnOnce(&[String]),
        login: impl FnOnce(&'a LoginRequest) -> F,
    ) -> Result<Arc<Session>, SendError>
    where
        F: Future<Output = Result<LoginAnswer, SendError>>,
    {
        let mut state = self.state.lock().await;
        match &state.current {
            Some(current) if refused.is_none_or(|old| old.number != current.number) => {
                return Ok(Arc::clone(current));
            }
            _ => state.current = None,
        }
        let now = Instant::now();
        if let Some(failure) = state.failed.as_ref().filter(|failure| failure.until > now) {
            let seconds = failure.until.saturating_duration_since(now).as_secs().saturating_add(1);
            return Err(failure.error.clone().after(seconds));
        }
        state.logins = state.logins.saturating_add(1);
        let made = match login(&self.login).await {
            Ok(answer) => self.read(&answer, state.logins, learn).map_err(|error| {
                let pause = answer.retry_after.unwrap_or(limits.login_refused_pause);
                (pause.min(limits.login_refused_pause), error)
            }),
            // That no request could be made in one caller's time says nothing to the others.
            Err(error) if error.code == ErrorCode::Limit => return Err(error),
            Err(error) => Err((limits.login_failed_pause, error)),
        };
        match made {
            Ok(session) => {
                let session = Arc::new(session);
                state.failed = None;
                state.current = Some(Arc::clone(&session));
                Ok(session)
            }
            Err((pause, error)) => {
                let error = error.after(pause.as_secs());
                state.failed = Some(Failure { until: Instant::now() + pause, error: error.clone() });
                Err(error)
            }
        }
    }

    /// Make a session of the login's answer.
    fn read(&self, answer: &LoginAnswer, number: u64, learn: impl FnOnce(&[String])) -> Result<Session, SendError> {
        let check = format!("check the user \"{}\" and its password in {}", self.username, self.password_ref);
        let failed = |what: String| SendError::new(ErrorCode::Unauthorised, what);
        if answer.status == 429 || answer.status >= 500 {
            return Err(failed(format!("the system answered the login with status {}; try later", answer.status)));
        }
        if !(200..300).contains(&answer.status) {
            return Err(failed(format!("the system refused the login with status {}; {check}", answer.status)));
        }
        let login: Value = serde_json::from_slice(&answer.body)
            .map_err(|_| failed(format!("the system's answer to the login is not JSON; {check}")))?;
        let fault = self.fail_pointer.as_deref().and_then(|pointer| login.pointer(pointer));
        if fault.is_some_and(|fault| !matches!(fault, Value::Null | Value::Bool(false)) && fault != "") {
            return Err(failed(format!("the system's answer to the login is an error; {check}")));
        }
        let values = context! { username => self.username.as_str(), password => self.password.expose(), login => minijinja::value::Serde(&login) };
        let text = self.templates.get_template(VALUE).and_then(|t| t.render(values)).map_err(|error| {
            failed(format!("the system's answer to the login is not as expected ({}); {check}", plain(&error)))
        })?;
        let value = sensitive(text.trim())
            .ok_or_else(|| failed("the session has characters that can't stand in a header".to_owned()))?;
        learn(&telltale(&text, &login));
        Ok(Session { value, number })
    }
}

/// What must not come back once this session is in use: the credential, its last word (without `Session `), what is
/// in that if it is base64, and the login's strings that are part of either.
fn telltale(value: &str, login: &Value) -> Vec<String> {
    let value = value.trim();
    let last = value.rsplit(' ').next().unwrap_or(value).trim_end_matches('=');
    let mut found = vec![value.to_owned(), last.to_owned()];
    found.extend(STANDARD_NO_PAD.decode(last).ok().and_then(|bytes| String::from_utf8(bytes).ok()));
    let mut open = vec![login];
    let mut parts = Vec::new();
    while let Some(next) = open.pop() {
        match next {
            Value::String(text) if text.len() >= LOGIN_SECRET_MIN_CHARS && found.iter().any(|f| f.contains(text)) => {
                parts.push(text.clone());
            }
            Value::Array(items) => open.extend(items),
            Value::Object(fields) => open.extend(fields.values()),
            _ => {}
        }
    }
    found.append(&mut parts);
    found
}

fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(TEMPLATE_FUEL));
    environment.add_filter("b64encode", |text: String| STANDARD.encode(text));
    environment
}

/// What may be said of a template that failed with secrets in it: the kind of fault, not its details.
fn plain(error: &minijinja::Error) -> String {
    format!("{} in line {}", error.kind(), error.line().unwrap_or(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_session_are_secrets_too() {
        let login = serde_json::json!({"result": [5, "0123456789abcdef0123", null], "name": "A rather long user name"});
        let encoded = STANDARD.encode("bot:5:0123456789abcdef0123");
        let found = telltale(&format!("Session {encoded}"), &login);
        assert!(found.contains(&"bot:5:0123456789abcdef0123".to_owned()), "{found:?}");
        assert!(found.contains(&"0123456789abcdef0123".to_owned()), "{found:?}");
        assert!(!found.iter().any(|f| f.contains("rather")), "{found:?}");
    }
}
