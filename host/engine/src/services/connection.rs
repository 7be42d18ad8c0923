//! What a connector gets: the connection's settings, its data, and its endpoints.

use crate::failures::{FailureRecord, Whose};
use crate::registry::{Bot, Connection};
use crate::services::{Space, Told};
use crate::watch::Watch;
use async_trait::async_trait;
use confab_egress::{CallMeta, ErrorCode, InResponse, OutRequest, SendError};
use confab_sandbox::services::LogLevel;
use confab_sandbox::{Blame, CallContext, CallReport, HostServices, HttpError, HttpRequest, HttpResponse, KvServices};
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
    /// Whether a failure of this call has a record already.
    pub(crate) told: Told,
}

impl ConnectionServices {
    /// Whether the endpoint's breaker refused the call.
    fn is_known_to_be_down(&self, error: &SendError) -> bool {
        error.sent.as_deref().is_some_and(|sent| !self.connection.egress.is_called(&sent.endpoint))
    }

    /// Keeps a record of a call that failed. What egress refused because the system is known to be down is none:
    /// the failures that opened the breaker are kept already.
    fn note(&self, outcome: &Result<InResponse, SendError>) {
        let connection = &self.connection;
        let (kind, blame, message, sent) = match outcome {
            Ok(answer) if is_failure(answer.status) => {
                let message = format!("{} answered {}", answer.sent.host, answer.status);
                ("http-status", Blame::Upstream, message, &answer.sent)
            }
            Ok(answer) => {
                if is_refusal(answer.status) {
                    self.told.refused(&answer.sent);
                }
                return connection.troubles.over(&answer.sent.endpoint);
            }
            Err(error) if error.code == ErrorCode::Unavailable && self.is_known_to_be_down(error) => {
                return self.told.tell();
            }
            Err(error) => {
                let Some(sent) = error.sent.as_deref() else { return };
                let blame = match error.blame() {
                    "upstream" => Blame::Upstream,
                    "guest" => Blame::Guest,
                    _ => Blame::Host,
                };
                (error.code.as_str(), blame, error.message.clone(), sent)
            }
        };
        let down = sent.status.is_none_or(|status| status == 429 || status >= 500);
        if blame == Blame::Upstream && down {
            connection.troubles.note(&connection.egress, &sent.endpoint, &message);
        }
        self.told.tell();
        let whose = Whose {
            tenant: connection.tenant.as_str(),
            bot: self.bot.as_ref().map(|bot| bot.id.as_str()),
            connection: Some(connection.id.as_str()),
            conversation: self.turn.as_ref().map(|(conversation, _)| conversation.as_str()),
            turn: self.turn.as_ref().map(|(_, turn)| turn.as_str()),
            request_id: &self.request_id,
        };
        // What the plugin has used so far is known when its call ends; the record is the request's, not the plugin's.
        let failure = connection.plugin.broken_contract(&self.operation, message, CallReport::default());
        // Egress has written it to the log.
        self.watch.failures.record(FailureRecord::of_plugin(&failure, &whose).of_call(kind, blame, sent));
    }
}

/// Whether an answer says that the call failed, rather than that there is no such order or that a field is wrong: those
/// are the connector's to tell.
const fn is_failure(status: u16) -> bool {
    matches!(status, 401..=403 | 407 | 408 | 429 | 430 | 500..)
}

/// Whether an answer says that the request was wrong. What is made of it is the connector's to tell; see [`Told`]. That
/// something is not there is no refusal.
const fn is_refusal(status: u16) -> bool {
    matches!(status, 400..=499) && !matches!(status, 404 | 410)
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
        let meta = CallMeta {
            request_id: self.request_id.to_string(),
            operation: self.operation.clone(),
            reads: self.connection.plugin.manifest().reads(&self.operation),
        };
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
