//! A bot's data during a turn: every use is a step of the turn, see [`crate::turn::journal`].

use super::Space;
use crate::turn::journal::{KvStep, Running, Step};
use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use confab_sandbox::{KvError, KvServices};
use confab_store::Store;
use serde_json::{Value, json};
use std::sync::Arc;

/// See the module.
pub(crate) struct NotedSpace {
    space: Space,
    running: Arc<Running>,
    /// Steps of the turn that were there before this try.
    known: usize,
    /// Uses in this try.
    uses: u32,
}

impl NotedSpace {
    pub(crate) fn new(space: Space, running: Arc<Running>) -> NotedSpace {
        NotedSpace { space, known: running.length(), running, uses: 0 }
    }

    /// The same for another try.
    pub(crate) fn again(&self) -> NotedSpace {
        let space = Space { store: self.space.store.clone(), name: self.space.name.clone() };
        NotedSpace::new(space, self.running.clone())
    }

    pub(crate) fn store(&self) -> Arc<dyn Store> {
        self.space.store.clone()
    }

    /// Begins a use; comes back what it gave before.
    fn begin(&mut self, action: &str, key: &str) -> Option<Result<Value, KvError>> {
        self.uses += 1;
        self.running.known_kv(self.known, self.uses, action, key)
    }

    async fn before_write(&self) -> Result<(), KvError> {
        self.running.before_write().await.map_err(|e| KvError { code: e.code.into(), message: e.message })
    }

    async fn note(&self, action: &str, key: &str, wrote: bool, gave: Result<Value, KvError>) {
        let step = KvStep { number: self.uses, action: action.to_owned(), key: key.to_owned(), gave };
        self.running.note(Step::Kv(step), wrote).await;
    }
}

fn text(value: &Bytes) -> Value {
    Value::from(STANDARD.encode(value))
}

/// A value as a step notes it.
pub(super) fn bytes(value: &Value) -> Option<Bytes> {
    STANDARD.decode(value.as_str()?).ok().map(Bytes::from)
}

/// What a scan is known by.
pub(super) fn scan_key(prefix: &str, after: Option<&str>, limit: u32) -> String {
    format!("{prefix}\n{}\n{limit}", after.unwrap_or_default())
}

/// Entries as a step notes them.
pub(super) fn pairs(value: Value) -> Vec<(String, Bytes)> {
    let pairs: Vec<(String, Value)> = serde_json::from_value(value).unwrap_or_default();
    pairs.into_iter().filter_map(|(key, value)| Some((key, bytes(&value)?))).collect()
}

fn optional(value: &Option<Bytes>) -> Value {
    value.as_ref().map_or(Value::Null, text)
}

#[async_trait]
impl KvServices for NotedSpace {
    async fn get(&mut self, key: &str) -> Result<Option<Bytes>, KvError> {
        if let Some(gave) = self.begin("get", key) {
            return gave.map(|value| bytes(&value));
        }
        let gave = self.space.get(key).await;
        self.note("get", key, false, gave.as_ref().map(optional).map_err(Clone::clone)).await;
        gave
    }

    async fn set(&mut self, key: &str, value: Bytes) -> Result<(), KvError> {
        if let Some(gave) = self.begin("set", key) {
            return gave.map(drop);
        }
        self.before_write().await?;
        let gave = self.space.set(key, value).await;
        self.note("set", key, true, gave.clone().map(|()| Value::Null)).await;
        gave
    }

    async fn insert(&mut self, key: &str, value: Bytes) -> Result<Option<Bytes>, KvError> {
        if let Some(gave) = self.begin("insert", key) {
            return gave.map(|value| bytes(&value));
        }
        self.before_write().await?;
        let gave = self.space.insert(key, value).await;
        self.note("insert", key, true, gave.as_ref().map(optional).map_err(Clone::clone)).await;
        gave
    }

    async fn delete(&mut self, key: &str) -> Result<(), KvError> {
        if let Some(gave) = self.begin("delete", key) {
            return gave.map(drop);
        }
        self.before_write().await?;
        let gave = self.space.delete(key).await;
        self.note("delete", key, true, gave.clone().map(|()| Value::Null)).await;
        gave
    }

    async fn scan(&mut self, prefix: &str, after: Option<&str>, limit: u32) -> Result<Vec<(String, Bytes)>, KvError> {
        let key = scan_key(prefix, after, limit);
        if let Some(gave) = self.begin("scan", &key) {
            return gave.map(pairs);
        }
        let gave = self.space.scan(prefix, after, limit).await;
        let noted = gave.as_ref().map(|found| json!(found.iter().map(|(k, v)| (k, text(v))).collect::<Vec<_>>()));
        self.note("scan", &key, false, noted.map_err(Clone::clone)).await;
        gave
    }

    async fn add(&mut self, key: &str, delta: i64) -> Result<i64, KvError> {
        if let Some(gave) = self.begin("add", key) {
            return gave.map(|value| value.as_i64().unwrap_or_default());
        }
        self.before_write().await?;
        let gave = self.space.add(key, delta).await;
        self.note("add", key, true, gave.clone().map(Value::from)).await;
        gave
    }
}
