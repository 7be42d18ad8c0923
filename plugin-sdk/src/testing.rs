//! A host for tests: `cargo test` runs a connector's functions against answers that the test gives. No server, no Wasm.
//!
//! ```
//! use confab_plugin_sdk::testing::{Answer, Host};
//! use confab_plugin_sdk::{http::Request, prelude::*};
//! use serde_json::{Value, json};
//!
//! let host = Host::new().settings(json!({"page": 5})).on(|request| match request.path.as_str() {
//!     "/stock/SKU-1001" => Answer::json(200, json!({"free": 5})),
//!     _ => Answer::status(404),
//! });
//! let free = host.run(|| Request::get("api", "/stock/SKU-1001").send()?.json::<Value>());
//! assert_eq!(free.unwrap()["free"], 5);
//! assert_eq!(host.sent().len(), 1);
//! ```
//!
//! It holds calls to the limits that a connector has unless its manifest asks for more: a call that makes too many
//! requests panics here as it would be ended there, and values of the store have at most 64 KiB. What it does not do: fuel,
//! time, credentials, caches, retries. These are the real host's.

mod events;

pub use events::{Effect, base64, hmac};

use crate::bindings::imports::confab::plugin as wit;
use crate::text::percent_decoded;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// Requests of a call, where the manifest's `[limits]` say nothing (`http_calls`).
const HTTP_CALLS: usize = 16;
/// Longest key and largest value of the store, in bytes.
const KV_KEY: usize = 256;
const KV_VALUE: usize = 64 << 10;

type Respond = Box<dyn FnMut(&Sent) -> Answer>;

/// A host that answers as the test says.
pub struct Host {
    inner: Rc<RefCell<Inner>>,
}

struct Inner {
    settings: String,
    context: wit::connection::CallContext,
    now: u64,
    kv: BTreeMap<String, Vec<u8>>,
    respond: Option<Respond>,
    sent: Vec<Sent>,
    /// How many were sent before the call that runs.
    sent_before: usize,
    http_calls: usize,
    logged: Vec<String>,
    chance: u64,
    kept: events::Kept,
}

/// A request that the connector made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Endpoint.
    pub endpoint: String,
    /// Method.
    pub method: String,
    /// Path with query.
    pub path: String,
    /// Headers, as they were set.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
}

impl Sent {
    /// The body as JSON; `null` where it is none.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
    /// First value of a header, whatever its case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
    /// A parameter of the query, decoded.
    pub fn query(&self, name: &str) -> Option<String> {
        let (_, query) = self.path.split_once('?')?;
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs
            .map(|(key, value)| (percent_decoded(key), percent_decoded(value)))
            .find(|(key, _)| key == name)
            .map(|(_, value)| value)
    }
}

/// What the system answers.
#[derive(Clone, Debug)]
pub struct Answer(Result<Whole, Refusal>);

/// Status, headers, body.
type Whole = (u16, Vec<(String, String)>, Vec<u8>);
/// Code and message.
type Refusal = (String, String);

impl Answer {
    /// JSON with a status.
    pub fn json(status: u16, body: serde_json::Value) -> Self {
        Answer(Ok((status, vec![("content-type".into(), "application/json".into())], body.to_string().into_bytes())))
    }
    /// A status without a body.
    pub fn status(status: u16) -> Self {
        Answer(Ok((status, Vec::new(), Vec::new())))
    }
    /// A status with a body as it is.
    pub fn body(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Answer(Ok((status, Vec::new(), body.into())))
    }
    /// No answer, with a code of `confab:plugin/http`: `timeout`, `connect`, `unavailable`.
    pub fn fail(code: &str, message: &str) -> Self {
        Answer(Err((code.to_owned(), message.to_owned())))
    }
    /// With one more header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        if let Ok((_, headers, _)) = &mut self.0 {
            headers.push((name.to_owned(), value.to_owned()));
        }
        self
    }
}

impl Default for Host {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Host").field("sent", &self.inner.borrow().sent).finish_non_exhaustive()
    }
}

impl Host {
    /// A host without settings, at 2026-11-22T10:32:00Z, whose system answers 404 to everything.
    pub fn new() -> Self {
        let context = wit::connection::CallContext {
            connection: "test".into(),
            idempotency_key: "key-1".into(),
            time_left_ms: 30_000,
            locale: None,
        };
        let inner = Inner {
            settings: "{}".into(),
            context,
            now: 1_795_343_520_000,
            kv: BTreeMap::new(),
            respond: None,
            sent: Vec::new(),
            sent_before: 0,
            http_calls: HTTP_CALLS,
            logged: Vec::new(),
            chance: 0x9e37_79b9_7f4a_7c15,
            kept: events::Kept::default(),
        };
        Host { inner: Rc::new(RefCell::new(inner)) }
    }
    fn with(self, change: impl FnOnce(&mut Inner)) -> Self {
        change(&mut self.inner.borrow_mut());
        self
    }
    /// Settings of the connection.
    #[must_use]
    pub fn settings(self, settings: serde_json::Value) -> Self {
        self.with(|inner| inner.settings = settings.to_string())
    }
    /// Idempotency key of the calls.
    #[must_use]
    pub fn key(self, key: &str) -> Self {
        self.with(|inner| inner.context.idempotency_key = key.to_owned())
    }
    /// The visitor's language.
    #[must_use]
    pub fn locale(self, locale: &str) -> Self {
        self.with(|inner| inner.context.locale = Some(locale.to_owned()))
    }
    /// The time, in milliseconds since 1970.
    #[must_use]
    pub fn now(self, millis: u64) -> Self {
        self.with(|inner| inner.now = millis)
    }
    /// Requests that a call may make, as the manifest's `[limits]` say.
    #[must_use]
    pub fn http_calls(self, most: usize) -> Self {
        self.with(|inner| inner.http_calls = most)
    }
    /// Answers each request.
    #[must_use]
    pub fn on(self, respond: impl FnMut(&Sent) -> Answer + 'static) -> Self {
        self.with(|inner| inner.respond = Some(Box::new(respond)))
    }
    /// Sets the idempotency key for the calls from now on.
    pub fn set_key(&self, key: &str) {
        self.inner.borrow_mut().context.idempotency_key = key.to_owned();
    }
    /// Runs one call of the connector.
    ///
    /// # Panics
    /// When it makes more requests than it may.
    pub fn run<T>(&self, call: impl FnOnce() -> T) -> T {
        /// Puts back what was there, also after a panic.
        struct Back(Option<Rc<RefCell<Inner>>>);
        impl Drop for Back {
            fn drop(&mut self) {
                CURRENT.set(self.0.take());
            }
        }
        {
            let mut inner = self.inner.borrow_mut();
            inner.sent_before = inner.sent.len();
            inner.kept.begin();
        }
        let _back = Back(CURRENT.replace(Some(self.inner.clone())));
        call()
    }
    /// The requests so far.
    pub fn sent(&self) -> Vec<Sent> {
        self.inner.borrow().sent.clone()
    }
    /// What the connector wrote to the log.
    pub fn logged(&self) -> Vec<String> {
        self.inner.borrow().logged.clone()
    }
    /// What it keeps.
    pub fn kv(&self) -> BTreeMap<String, Vec<u8>> {
        self.inner.borrow().kv.clone()
    }
}

thread_local! {
    static CURRENT: RefCell<Option<Rc<RefCell<Inner>>>> = const { RefCell::new(None) };
}

fn inner() -> Rc<RefCell<Inner>> {
    #[allow(clippy::panic, reason = "outside Wasm there is no host but this one")]
    CURRENT.with_borrow(|current| {
        current.clone().unwrap_or_else(|| panic!("this needs a host: in a test, wrap the call in `testing::Host::run`"))
    })
}

/// The host's functions, in the shape of the bindings.
pub(crate) mod door {
    pub(crate) use super::events::{effects, signatures};

    pub(crate) mod http {
        use crate::bindings::imports::confab::plugin::http::{Header, HttpError, Request, Response};
        use crate::testing::{Answer, Sent, inner};

        pub(crate) fn send(endpoint: &str, request: &Request) -> Result<Response, HttpError> {
            let sent = Sent {
                endpoint: endpoint.to_owned(),
                method: request.method.clone(),
                path: request.path.clone(),
                headers: request.headers.iter().map(|h| (h.name.clone(), h.value.clone())).collect(),
                body: request.body.clone(),
            };
            let inner = inner();
            {
                let mut inner = inner.borrow_mut();
                let (made, most) = (inner.sent.len() - inner.sent_before, inner.http_calls);
                assert!(
                    made < most,
                    "the host ends this call: {most} requests were made, and here is one more to {}",
                    sent.path
                );
                inner.sent.push(sent.clone());
            }
            // Taken out meanwhile: the answer may be made of what the host knows.
            let respond = inner.borrow_mut().respond.take();
            let Some(mut respond) = respond else {
                return Ok(Response { status: 404, headers: Vec::new(), body: Vec::new() });
            };
            let Answer(answer) = respond(&sent);
            inner.borrow_mut().respond = Some(respond);
            match answer {
                Ok((status, headers, body)) => {
                    let headers = headers.into_iter().map(|(name, value)| Header { name, value }).collect();
                    Ok(Response { status, headers, body })
                }
                Err((code, message)) => Err(HttpError { code, message, retry_after: None }),
            }
        }
    }

    pub(crate) mod kv {
        use crate::bindings::imports::confab::plugin::kv::{Entry, KvError};
        use crate::testing::{KV_KEY, KV_VALUE, inner};

        fn check(key: &str, value: &[u8]) -> Result<(), KvError> {
            let refuse = |code: &str, message: String| Err(KvError { code: code.into(), message });
            match (key.len(), value.len()) {
                (1..=KV_KEY, 0..=KV_VALUE) => Ok(()),
                (1..=KV_KEY, many) => {
                    refuse("too-large", format!("a value has up to {KV_VALUE} bytes, this one has {many}"))
                }
                (many, _) => refuse("invalid-input", format!("a key has 1 to {KV_KEY} bytes, this one has {many}")),
            }
        }

        pub(crate) fn get(key: &str) -> Result<Option<Vec<u8>>, KvError> {
            Ok(inner().borrow().kv.get(key).cloned())
        }
        pub(crate) fn set(key: &str, value: &[u8]) -> Result<(), KvError> {
            check(key, value)?;
            inner().borrow_mut().kv.insert(key.to_owned(), value.to_vec());
            Ok(())
        }
        pub(crate) fn insert(key: &str, value: &[u8]) -> Result<Option<Vec<u8>>, KvError> {
            check(key, value)?;
            let inner = inner();
            let before = inner.borrow().kv.get(key).cloned();
            if before.is_none() {
                inner.borrow_mut().kv.insert(key.to_owned(), value.to_vec());
            }
            Ok(before)
        }
        pub(crate) fn delete(key: &str) -> Result<(), KvError> {
            inner().borrow_mut().kv.remove(key);
            Ok(())
        }
        pub(crate) fn scan(prefix: &str, after: Option<&str>, limit: u32) -> Result<Vec<Entry>, KvError> {
            let inner = inner();
            let inner = inner.borrow();
            let all =
                inner.kv.iter().filter(|(key, _)| key.starts_with(prefix) && after.is_none_or(|a| key.as_str() > a));
            Ok(all.take(limit as usize).map(|(key, value)| Entry { key: key.clone(), value: value.clone() }).collect())
        }
        pub(crate) fn add(key: &str, delta: i64) -> Result<i64, KvError> {
            let inner = inner();
            let before = inner.borrow().kv.get(key).map(|v| String::from_utf8_lossy(v).parse::<i64>());
            let Ok(before) = before.transpose() else {
                return Err(KvError {
                    code: "invalid-input".into(),
                    message: "the value is not a whole number".into(),
                });
            };
            let sum = before.unwrap_or(0).saturating_add(delta);
            inner.borrow_mut().kv.insert(key.to_owned(), sum.to_string().into_bytes());
            Ok(sum)
        }
    }

    pub(crate) mod clock {
        pub(crate) fn now() -> u64 {
            crate::testing::inner().borrow().now
        }
    }

    pub(crate) mod random {
        /// Not random at all, so that a test can be repeated (xorshift).
        pub(crate) fn bytes(len: u32) -> Vec<u8> {
            let inner = crate::testing::inner();
            let mut state = inner.borrow().chance;
            let bytes = (0..len).map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                (state & 0xff) as u8
            });
            let bytes = bytes.collect();
            inner.borrow_mut().chance = state;
            bytes
        }
    }

    pub(crate) mod connection {
        use crate::bindings::imports::confab::plugin::connection::CallContext;

        pub(crate) fn settings() -> String {
            crate::testing::inner().borrow().settings.clone()
        }
        pub(crate) fn context() -> CallContext {
            crate::testing::inner().borrow().context.clone()
        }
    }

    pub(crate) mod log {
        use crate::bindings::imports::confab::plugin::log::Level;

        pub(crate) fn write(level: Level, message: &str) {
            crate::testing::inner().borrow_mut().logged.push(format!("{level:?}: {message}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Request;
    use crate::kv;

    #[test]
    fn a_call_is_held_to_its_limits() {
        let host = Host::new();
        let ask = |times: usize| {
            let calls = || (0..times).for_each(|_| drop(Request::get("api", "/").send()));
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| host.run(calls))).is_ok()
        };
        assert_eq!((ask(16), ask(17), ask(1)), (true, false, true));
        assert!(Host::new().http_calls(17).run(|| (0..17).all(|_| Request::get("api", "/").send().is_ok())));
        let code = |key: &str, bytes: usize| host.run(|| kv::set(key, &vec![0; bytes])).err().map(|e| e.code);
        assert_eq!((code("a", 64 << 10), code("", 1)), (None, Some("invalid-input".into())));
        assert_eq!(code("a", (64 << 10) + 1).as_deref(), Some("too-large"));
    }
}
