//! What a plugin gets from the host while it runs.

mod bot;
mod connection;
mod data;
pub(crate) mod replayed;
mod told;

pub(crate) use bot::BotServices;
pub(crate) use connection::ConnectionServices;
pub(crate) use told::Told;

use async_trait::async_trait;
use bytes::Bytes;
use confab_sandbox::services::LogLevel;
use confab_sandbox::{KvError, KvServices};
use confab_store::{Store, StoreError};
use std::sync::Arc;

/// Passes a plugin's line to the log, with everything that says whose it is.
fn log_line(level: LogLevel, tenant: &str, what: &str, plugin: &str, request: &str, line: &str) {
    match level {
        LogLevel::Debug => {
            tracing::debug!(target: "plugin", tenant, scope = what, plugin, request_id = request, "{line}")
        }
        LogLevel::Info => {
            tracing::info!(target: "plugin", tenant, scope = what, plugin, request_id = request, "{line}")
        }
        LogLevel::Warn => {
            tracing::warn!(target: "plugin", tenant, scope = what, plugin, request_id = request, "{line}")
        }
        LogLevel::Error => {
            tracing::error!(target: "plugin", tenant, scope = what, plugin, request_id = request, "{line}")
        }
    }
}

fn kv_error(error: StoreError) -> KvError {
    match error {
        StoreError::NotANumber { .. } => {
            KvError { code: "invalid-input".into(), message: "the value is not a whole number".into() }
        }
        other => {
            tracing::error!(error = %other, "plugin data can't be read or written");
            KvError { code: "unavailable".into(), message: "stored data is not available now".into() }
        }
    }
}

/// The part of the store that belongs to one connection or one bot.
pub(crate) struct Space {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) name: Arc<str>,
}

#[async_trait]
impl KvServices for Space {
    async fn get(&mut self, key: &str) -> Result<Option<Bytes>, KvError> {
        self.store.kv_get(&self.name, key).await.map_err(kv_error)
    }
    async fn set(&mut self, key: &str, value: Bytes) -> Result<(), KvError> {
        self.store.kv_set(&self.name, key, value).await.map_err(kv_error)
    }
    async fn insert(&mut self, key: &str, value: Bytes) -> Result<Option<Bytes>, KvError> {
        self.store.kv_insert(&self.name, key, value).await.map_err(kv_error)
    }
    async fn delete(&mut self, key: &str) -> Result<(), KvError> {
        self.store.kv_delete(&self.name, key).await.map(|_| ()).map_err(kv_error)
    }
    async fn scan(&mut self, prefix: &str, after: Option<&str>, limit: u32) -> Result<Vec<(String, Bytes)>, KvError> {
        self.store.kv_scan(&self.name, prefix, after, limit as usize).await.map_err(kv_error)
    }
    async fn add(&mut self, key: &str, delta: i64) -> Result<i64, KvError> {
        self.store.kv_add(&self.name, key, delta).await.map_err(kv_error)
    }
}
