//! What a connector gets: the connection's settings, its data, and its endpoints.

use crate::failures::{FailureRecord, Whose};
use crate::registry::{Bot, Connection};
use crate::services::Space;
use crate::watch::Watch;
use async_trait::async_trait;
use confab_egress::{CallMeta, ErrorCode, InResponse, OutRequest, SendError};
use confab_sandbox::services::LogLevel;
use confab_sandbox::{CallContext, CallReport, HostServices, HttpError, HttpRequest, HttpResponse, KvServices};
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
    pub(crate) watch: Arc<Watch>,
    /// The bot that asks, if it is one.
    pub(crate) bot: Option<Arc<Bot>>,
    /// Its conversation and turn.
    pub(crate) turn: Option<(String, String)>,
}

impl ConnectionServices {
    /// Keeps a record of a business system's failure. What egress refused because the system is known to be down is none:
    /// the failures that opened the breaker are kept already.
    fn note(&self, outcome: &Result<InResponse, SendError>) {
        let (kind, message, sent) = match outcome {
            Ok(answer) if answer.status == 429 || answer.status >= 500 => {
                ("http-status", format!("{} answered {}", answer.sent.host, answer.status), &answer.sent)
            }
            Ok(answer) => return self.connection.troubles.over(&answer.sent.endpoint),
            Err(error) if error.is_upstream() && error.code != ErrorCode::Unavailable => {
                let Some(sent) = error.sent.as_deref() else { return };
                (error.code.as_str(), error.message.clone(), sent)
            }
            Err(_) => return,
        };
        let connection = &self.connection;
        connection.troubles.note(&connection.egress, &sent.endpoint, &message);
        let whose = Whose {
            tenant: connection.tenant.as_str(),
            bot: self.bot.as_ref().map(|bot| bot.id.as_str()),
            connection: Some(connection.id.as_str()),
            conversation: self.turn.as_ref().map(|(conversation, _)| conversation.as_str()),
            turn: self.turn.as_ref().map(|(_, turn)| turn.as_str()),
            request_id: &self.request_id,
        };
        // What the plugin has used so far is known when its call ends; the record is the system's, not the plugin's.
        let failure = connection.plugin.broken_contract(&self.operation, message, CallReport::default());
        // Egress has written it to the log.
        self.watch.failures.record(FailureRecord::of_plugin(&failure, &whose).upstream(kind, sent));
    }
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
        let outcome = self.connection.egress.send(endpoint, request, meta).await;
        self.note(&outcome);
        match outcome {
            Ok(answer) => Ok(HttpResponse { status: answer.status, headers: answer.headers, body: answer.body }),
            Err(e) => Err(HttpError { code: e.code.to_string(), message: e.message, retry_after: e.retry_after }),
        }
    }

    fn kv(&mut self) -> Option<&mut dyn KvServices> {
        Some(&mut self.data)
    }
}
