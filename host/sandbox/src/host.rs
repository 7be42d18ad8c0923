//! The host's side of `confab:plugin`: counts, cuts to size, and passes on to [`HostServices`](crate::HostServices).

use crate::bindings::{call, clock, connection, http, kv, log, random, types};
use crate::reflect::normalise_keys;
use crate::services::{HttpRequest, LogLevel};
use crate::state::CallState;
use bytes::Bytes;
use wasmtime::Result;

/// Longest key of stored data, in bytes.
const KV_KEY_BYTES: usize = 256;
/// Largest value of stored data, in bytes.
const KV_VALUE_BYTES: usize = 64 << 10;
/// Most entries of one scan.
const KV_SCAN: u32 = 1_000;
/// Entries that a scan reads from the store at a time: a thousand of the largest would be 64 MiB of the host's memory, while
/// no more than `Limits::border_kib` may cross the border.
const KV_SCAN_PART: u32 = 64;
/// Most random bytes of one call.
const RANDOM_BYTES: u32 = 1_024;

impl types::Host for CallState {}
impl crate::bindings::confab::capabilities::types::Host for CallState {}

impl log::Host for CallState {
    async fn write(&mut self, level: log::Level, message: String) -> Result<()> {
        self.count_log(message.len())?;
        let level = match level {
            log::Level::Debug => LogLevel::Debug,
            log::Level::Info => LogLevel::Info,
            log::Level::Warn => LogLevel::Warn,
            log::Level::Error => LogLevel::Error,
        };
        self.log(level, &message);
        Ok(())
    }
}

impl clock::Host for CallState {
    async fn now(&mut self) -> Result<u64> {
        self.count_small()?;
        Ok(self.services.now_millis())
    }
}

impl random::Host for CallState {
    async fn bytes(&mut self, len: u32) -> Result<Vec<u8>> {
        self.count_small()?;
        let mut bytes = vec![0; len.min(RANDOM_BYTES) as usize];
        self.services.random(&mut bytes);
        Ok(bytes)
    }
}

impl connection::Host for CallState {
    async fn settings(&mut self) -> Result<String> {
        self.count_small()?;
        Ok(self.services.settings().to_string())
    }

    async fn context(&mut self) -> Result<connection::CallContext> {
        self.count_small()?;
        let context = self.services.context();
        Ok(connection::CallContext {
            connection: context.connection,
            idempotency_key: context.idempotency_key,
            time_left_ms: u32::try_from(self.time_left().as_millis()).unwrap_or(u32::MAX),
            locale: context.locale,
        })
    }
}

fn refuse(code: &str, message: String) -> kv::KvError {
    kv::KvError { code: code.to_owned(), message }
}

fn check_key(key: &str) -> Result<(), kv::KvError> {
    if key.is_empty() || key.len() > KV_KEY_BYTES {
        return Err(refuse(
            "invalid-input",
            format!("a key has 1 to {KV_KEY_BYTES} bytes, this one has {}", key.len()),
        ));
    }
    Ok(())
}

fn check_value(value: &[u8]) -> Result<(), kv::KvError> {
    if value.len() > KV_VALUE_BYTES {
        return Err(refuse(
            "too-large",
            format!("a value has up to {KV_VALUE_BYTES} bytes, this one has {}", value.len()),
        ));
    }
    Ok(())
}

impl CallState {
    /// Takes what is about to be written off the tenant's account.
    fn may_write(&self, key: &str, bytes: usize) -> Result<(), kv::KvError> {
        if self.tenant.may_write(key.len() + bytes) {
            return Ok(());
        }
        Err(refuse("limit", "this tenant's plugins write more than they may a second; write less, or later".into()))
    }
}

/// The plugin's data, or the answer that there is none here.
macro_rules! data {
    ($state:ident) => {
        match $state.services.kv() {
            Some(kv) => kv,
            None => return Ok(Err(refuse("unavailable", "no data can be stored from here".into()))),
        }
    };
}

fn kv_error(e: crate::KvError) -> kv::KvError {
    kv::KvError { code: e.code.into_owned(), message: e.message }
}

type KvResult<T> = Result<Result<T, kv::KvError>>;

impl kv::Host for CallState {
    async fn get(&mut self, key: String) -> KvResult<Option<Vec<u8>>> {
        self.count_kv()?;
        if let Err(e) = check_key(&key) {
            return Ok(Err(e));
        }
        Ok(data!(self).get(&key).await.map(|value| value.map(Vec::from)).map_err(kv_error))
    }

    async fn set(&mut self, key: String, value: Vec<u8>) -> KvResult<()> {
        self.count_kv()?;
        if let Err(e) =
            check_key(&key).and_then(|()| check_value(&value)).and_then(|()| self.may_write(&key, value.len()))
        {
            return Ok(Err(e));
        }
        Ok(data!(self).set(&key, Bytes::from(value)).await.map_err(kv_error))
    }

    async fn insert(&mut self, key: String, value: Vec<u8>) -> KvResult<Option<Vec<u8>>> {
        self.count_kv()?;
        if let Err(e) =
            check_key(&key).and_then(|()| check_value(&value)).and_then(|()| self.may_write(&key, value.len()))
        {
            return Ok(Err(e));
        }
        let there = data!(self).insert(&key, Bytes::from(value)).await;
        Ok(there.map(|value| value.map(Vec::from)).map_err(kv_error))
    }

    async fn delete(&mut self, key: String) -> KvResult<()> {
        self.count_kv()?;
        if let Err(e) = check_key(&key) {
            return Ok(Err(e));
        }
        Ok(data!(self).delete(&key).await.map_err(kv_error))
    }

    async fn scan(&mut self, prefix: String, after: Option<String>, limit: u32) -> KvResult<Vec<kv::Entry>> {
        self.count_kv()?;
        let (mut after, mut left, mut bytes) = (after, limit.min(KV_SCAN), 0);
        let mut found = Vec::new();
        while left > 0 {
            let wanted = left.min(KV_SCAN_PART);
            let part = match data!(self).scan(&prefix, after.as_deref(), wanted).await {
                Ok(part) => part,
                Err(e) => return Ok(Err(kv_error(e))),
            };
            let last = part.len() < wanted as usize;
            for (key, value) in part {
                bytes += key.len() + value.len();
                found.push(kv::Entry { key, value: value.into() });
            }
            if bytes > self.limits.border_bytes() {
                return Ok(Err(refuse(
                    "too-large",
                    format!(
                        "the entries have more than {} MiB together: ask for fewer at a time",
                        self.limits.border_kib >> 10
                    ),
                )));
            }
            if last {
                break;
            }
            left -= wanted;
            after = found.last().map(|entry| entry.key.clone());
        }
        Ok(Ok(found))
    }

    async fn add(&mut self, key: String, delta: i64) -> KvResult<i64> {
        self.count_kv()?;
        if let Err(e) = check_key(&key) {
            return Ok(Err(e));
        }
        if let Err(e) = self.may_write(&key, 8) {
            return Ok(Err(e));
        }
        Ok(data!(self).add(&key, delta).await.map_err(kv_error))
    }
}

impl http::Host for CallState {
    async fn send(
        &mut self,
        endpoint: String,
        request: http::Request,
    ) -> Result<Result<http::Response, http::HttpError>> {
        self.count_http()?;
        let headers: usize = request.headers.iter().map(|h| h.name.len() + h.value.len()).sum();
        self.count_outgoing(request.path.len() + headers + request.body.len())?;
        let left = u32::try_from(self.time_left().as_millis()).unwrap_or(u32::MAX);
        let request = HttpRequest {
            method: request.method,
            path: request.path,
            headers: request.headers.into_iter().map(|h| (h.name, h.value)).collect(),
            body: Bytes::from(request.body),
            timeout_ms: request.timeout_ms.map(|asked| asked.min(left)),
        };
        Ok(match self.services.http(&endpoint, request).await {
            Ok(answer) => Ok(http::Response {
                status: answer.status,
                headers: answer.headers.into_iter().map(|(name, value)| http::Header { name, value }).collect(),
                body: answer.body.into(),
            }),
            Err(e) => Err(http::HttpError { code: e.code, message: e.message, retry_after: e.retry_after }),
        })
    }
}

impl call::Host for CallState {
    async fn invoke(
        &mut self,
        capability: String,
        function: String,
        arguments: String,
    ) -> Result<Result<String, call::Error>> {
        self.count_invoke()?;
        let invalid = |message: String| call::Error { code: "invalid-input".into(), message, retry_after: None };
        let mut parsed: serde_json::Value = match serde_json::from_str(&arguments) {
            Ok(value) => value,
            Err(e) => return Ok(Err(invalid(format!("arguments are no JSON: {e}")))),
        };
        normalise_keys(&mut parsed);
        if !parsed.is_object() {
            return Ok(Err(invalid("arguments must be a JSON object by parameter name".into())));
        }
        Ok(match self.services.invoke(&capability, &function.replace('_', "-"), parsed).await {
            Ok(value) => Ok(value.to_string()),
            Err(e) => Err(call::Error { code: e.code, message: e.message, retry_after: e.retry_after }),
        })
    }

    async fn last_answer(&mut self) -> Result<Option<call::Provenance>> {
        self.count_small()?;
        Ok(self.services.last_answer().map(|last| call::Provenance {
            as_of: last.as_of,
            cached: last.cached,
            stale: last.stale,
            error: last.error,
        }))
    }

    async fn available(&mut self) -> Result<Vec<call::Callable>> {
        self.count_small()?;
        Ok(self
            .services
            .available()
            .into_iter()
            .map(|(capability, function, description, parameters)| call::Callable {
                capability,
                function,
                description,
                parameters,
            })
            .collect())
    }
}
