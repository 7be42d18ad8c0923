//! What a connector gets: the connection's settings, its data, and its endpoints.

use crate::registry::Connection;
use crate::services::Space;
use async_trait::async_trait;
use confab_egress::{CallMeta, OutRequest};
use confab_sandbox::services::LogLevel;
use confab_sandbox::{CallContext, HostServices, HttpError, HttpRequest, HttpResponse, KvServices};
use std::sync::Arc;
use std::time::Duration;

/// Services of one call of a connector.
pub(crate) struct ConnectionServices {
    pub(crate) connection: Arc<Connection>,
    pub(crate) data: Space,
    pub(crate) request_id: Arc<str>,
    pub(crate) operation: String,
    pub(crate) idempotency_key: String,
    pub(crate) locale: Option<String>,
    pub(crate) now: u64,
}

#[async_trait]
impl HostServices for ConnectionServices {
    fn tenant(&self) -> Arc<str> {
        self.connection.tenant_name.clone()
    }

    fn log(&mut self, level: LogLevel, line: &str) {
        let plugin = &self.connection.plugin.manifest().name;
        super::log_line(
            level,
            self.connection.tenant.as_str(),
            self.connection.id.as_str(),
            plugin,
            &self.request_id,
            line,
        );
    }

    fn now_millis(&self) -> u64 {
        self.now
    }

    fn random(&mut self, bytes: &mut [u8]) {
        rand::RngCore::fill_bytes(&mut rand::rng(), bytes);
    }

    fn settings(&self) -> Arc<str> {
        self.connection.settings.clone()
    }

    fn context(&self) -> CallContext {
        CallContext {
            connection: self.connection.id.to_string(),
            idempotency_key: self.idempotency_key.clone(),
            locale: self.locale.clone(),
        }
    }

    async fn http(&mut self, endpoint: &str, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let meta = CallMeta { request_id: self.request_id.to_string(), operation: self.operation.clone() };
        let request = OutRequest {
            method: request.method,
            path: request.path,
            headers: request.headers,
            body: request.body,
            timeout: request.timeout_ms.map(|ms| Duration::from_millis(u64::from(ms))),
        };
        match self.connection.egress.send(endpoint, request, meta).await {
            Ok(answer) => Ok(HttpResponse { status: answer.status, headers: answer.headers, body: answer.body }),
            Err(e) => Err(HttpError { code: e.code.to_string(), message: e.message, retry_after: e.retry_after }),
        }
    }

    fn kv(&mut self) -> Option<&mut dyn KvServices> {
        Some(&mut self.data)
    }
}
