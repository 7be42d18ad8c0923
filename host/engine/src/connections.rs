//! What people do with a connection: look whether it works, download what it holds, call a function.

use crate::engine::Engine;
use crate::error::ConnectionError;
use crate::failures::Whose;
use crate::ids::{ConnectionId, TenantId};
use crate::registry::{Connection, Slot};
use crate::services::{ConnectionServices, Space};
use crate::turn::now_millis;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use confab_sandbox::{CapabilityError, Reported};
use serde_json::{Map, Value};
use std::sync::Arc;

impl Engine {
    /// What `health.check` of the connector says; each finding has `name`, `status` and `message`.
    ///
    /// # Errors
    /// [`ConnectionError`]
    pub async fn check_connection(
        &self,
        tenant: &TenantId,
        connection: &ConnectionId,
        request_id: Arc<str>,
    ) -> Result<Value, ConnectionError> {
        self.contract(tenant, connection, "health", "check", Map::new(), request_id).await
    }

    /// Names of the files that can be downloaded.
    ///
    /// # Errors
    /// [`ConnectionError`]
    pub async fn connection_files(
        &self,
        tenant: &TenantId,
        connection: &ConnectionId,
        request_id: Arc<str>,
    ) -> Result<Value, ConnectionError> {
        self.contract(tenant, connection, "files", "list-files", Map::new(), request_id).await
    }

    /// A file of the connection, as it is now.
    ///
    /// # Errors
    /// [`ConnectionError`]
    pub async fn download(
        &self,
        tenant: &TenantId,
        connection: &ConnectionId,
        name: &str,
        request_id: Arc<str>,
    ) -> Result<Vec<u8>, ConnectionError> {
        let mut arguments = Map::new();
        arguments.insert("name".into(), Value::String(name.to_owned()));
        match self.contract(tenant, connection, "files", "download", arguments, request_id).await? {
            Value::String(encoded) => STANDARD
                .decode(encoded)
                .map_err(|e| ConnectionError::Refused(CapabilityError::new("internal", e.to_string()))),
            _ => Ok(Vec::new()),
        }
    }

    /// Makes kept results of a connection worthless: those with one of these tags; without tags all. For webhooks that tell of
    /// a change, and for people. `false` when other hosts could not be told; they serve what they have for as long as it is fresh.
    ///
    /// # Errors
    /// [`ConnectionError::Unknown`]. One that is not ready may be meant: what was kept of it may be served when it is again.
    pub async fn refresh_connection(
        &self,
        tenant: &TenantId,
        connection: &ConnectionId,
        tags: &[String],
    ) -> Result<bool, ConnectionError> {
        if self.registry().connection(tenant, connection).is_none() {
            return Err(ConnectionError::Unknown { tenant: tenant.to_string(), connection: connection.to_string() });
        }
        Ok(self.inner.cache.invalidate(tenant.as_str(), connection.as_str(), tags).await)
    }

    fn ready_connection(
        &self,
        tenant: &TenantId,
        connection: &ConnectionId,
    ) -> Result<Arc<Connection>, ConnectionError> {
        match self.registry().connection(tenant, connection) {
            Some(Slot::Ready(connection)) => Ok(connection.clone()),
            Some(Slot::Broken(reason)) => {
                Err(ConnectionError::NotReady { connection: connection.to_string(), reason: reason.clone() })
            }
            None => Err(ConnectionError::Unknown { tenant: tenant.to_string(), connection: connection.to_string() }),
        }
    }

    async fn contract(
        &self,
        tenant: &TenantId,
        connection: &ConnectionId,
        interface: &str,
        function: &str,
        arguments: Map<String, Value>,
        request_id: Arc<str>,
    ) -> Result<Value, ConnectionError> {
        let connection = self.ready_connection(tenant, connection)?;
        let services = ConnectionServices {
            connection: connection.clone(),
            data: Space { store: self.inner.store.clone(), name: connection.space.clone() },
            request_id: request_id.clone(),
            operation: format!("{interface}.{function}"),
            idempotency_key: request_id.to_string(),
            locale: None,
            now: now_millis(),
            watch: self.inner.watch.clone(),
            bot: None,
            turn: None,
        };
        let (plugin, watch) = (&connection.plugin, &self.inner.watch);
        let whose = Whose {
            tenant: tenant.as_str(),
            connection: Some(connection.id.as_str()),
            request_id: &request_id,
            ..Whose::default()
        };
        let post = connection.post(watch);
        let pass = match watch.enter(post, plugin, function) {
            Ok(pass) => pass,
            Err(quarantined) => {
                return Err(ConnectionError::Failed(Box::new(quarantined.failure(plugin, function))));
            }
        };
        let outcome = plugin.call_contract(Box::new(services), interface, function, &arguments, *plugin.limits()).await;
        match &outcome {
            Ok(Some(reported)) => watch.well(post, pass, &reported.report, &whose),
            Ok(None) => drop(pass),
            Err(failure) => watch.failed(post, pass, failure, &whose),
        }
        match outcome {
            Ok(Some(Reported { value: Ok(value), .. })) => Ok(value),
            Ok(Some(Reported { value: Err(error), .. })) => {
                let field = |name: &str| error.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
                Err(ConnectionError::Refused(CapabilityError {
                    code: field("code"),
                    message: field("message"),
                    retry_after: None,
                }))
            }
            Ok(None) => Err(ConnectionError::Unsupported(plugin.manifest().name.clone())),
            Err(failure) => Err(ConnectionError::Failed(Box::new(failure))),
        }
    }
}
