//! What people do with a connection: look whether it works, download what it holds, call a function.

use crate::engine::Engine;
use crate::error::ConnectionError;
use crate::failures::Whose;
use crate::ids::{ConnectionId, TenantId};
use crate::registry::{Connection, Slot};
use crate::services::{ConnectionServices, Space, Told};
use crate::turn::now_millis;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use confab_egress::AuthState;
use confab_sandbox::{CapabilityError, Reported};
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// A call by name.
#[derive(Clone, Debug)]
pub struct ConnectionCall {
    /// The interface: `orders`.
    pub capability: String,
    /// Its function: `get`.
    pub function: String,
    /// Arguments by parameter name.
    pub arguments: Map<String, Value>,
    /// The same for each try of the same write; none for the request's id.
    pub idempotency_key: Option<String>,
    /// Language (BCP 47) to ask for.
    pub locale: Option<String>,
}

fn whose<'a>(connection: &'a Connection, request_id: &'a str) -> Whose<'a> {
    Whose {
        tenant: connection.tenant.as_str(),
        connection: Some(connection.id.as_str()),
        request_id,
        ..Whose::default()
    }
}

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
        let signed_in = self.ready_connection(tenant, connection)?.sign_in_findings().await;
        let found = self.contract(tenant, connection, "health", "check", Map::new(), request_id).await;
        // What the connector can't know: certificates that the host holds and that end soon.
        let note = |note| json!({"name": "certificate", "status": "warning", "message": note});
        let notes = self.ready_connection(tenant, connection)?.egress.notes();
        let signed_in: Vec<Value> = signed_in.into_iter().chain(notes.into_iter().map(note)).collect();
        match found {
            Ok(Value::Array(found)) => Ok(signed_in.into_iter().chain(found).collect()),
            // A connector without a check of its own has this much to say.
            Err(ConnectionError::Unsupported(_)) if !signed_in.is_empty() => Ok(signed_in.into()),
            // Who is not signed in need not hear from the connector that it is not.
            Err(_) if signed_in.iter().any(|finding| finding["status"] == "error") => Ok(signed_in.into()),
            other => other,
        }
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

    /// Calls a function of a capability (or of an interface of the connector's own), as a bot would.
    ///
    /// # Errors
    /// [`ConnectionError`]; what the function itself says is in [`ConnectionError::Refused`].
    pub async fn call_connection(
        &self,
        tenant: &TenantId,
        connection: &ConnectionId,
        call: ConnectionCall,
        request_id: Arc<str>,
    ) -> Result<Value, ConnectionError> {
        let connection = self.ready_connection(tenant, connection)?;
        let ConnectionCall { capability, function, arguments, idempotency_key, locale } = call;
        let services = ConnectionServices {
            idempotency_key: idempotency_key.unwrap_or_else(|| request_id.to_string()),
            locale,
            ..self.services_of(&connection, format!("{capability}.{function}"), request_id.clone())
        };
        let (told, operation) = (services.told.clone(), services.operation.clone());
        let (plugin, watch, whose) = (&connection.plugin, &self.inner.watch, whose(&connection, &request_id));
        let post = connection.post(watch);
        let pass = watch
            .enter(post, plugin, &operation)
            .map_err(|quarantined| ConnectionError::Failed(Box::new(quarantined.failure(plugin, &operation))))?;
        let outcome = plugin.call(Box::new(services), &capability, &function, &arguments).await;
        let refused = outcome.as_ref().map_or(None, |reported| reported.value.as_ref().err());
        connection.changed(&self.inner.cache, &capability, &function, &arguments, refused).await;
        match outcome {
            Ok(reported) => {
                watch.well(post, pass, &reported.report, &whose);
                if let Err(error) = &reported.value {
                    told.error(watch, plugin, &whose, &operation, &error.code, &error.message);
                }
                reported.value.map_err(ConnectionError::Refused)
            }
            Err(failure) => {
                watch.failed(post, pass, &failure, &whose);
                Err(ConnectionError::Failed(Box::new(failure)))
            }
        }
    }

    pub(crate) fn services_of(
        &self,
        connection: &Arc<Connection>,
        operation: String,
        request_id: Arc<str>,
    ) -> ConnectionServices {
        ConnectionServices {
            connection: connection.clone(),
            data: Space { store: self.inner.store.clone(), name: connection.space.clone() },
            operation,
            idempotency_key: request_id.to_string(),
            request_id,
            locale: None,
            now: now_millis(),
            watch: self.inner.watch.clone(),
            bot: None,
            turn: None,
            told: Told::default(),
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

    pub(crate) fn ready_connection(
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
        let operation = format!("{interface}.{function}");
        let services = self.services_of(&connection, operation.clone(), request_id.clone());
        let told = services.told.clone();
        let (plugin, watch, whose) = (&connection.plugin, &self.inner.watch, whose(&connection, &request_id));
        let post = connection.post(watch);
        let pass = match watch.enter(post, plugin, &operation) {
            Ok(pass) => pass,
            Err(quarantined) => {
                return Err(ConnectionError::Failed(Box::new(quarantined.failure(plugin, &operation))));
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
                told.error(watch, plugin, &whose, &operation, &field("code"), &field("message"));
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

impl Connection {
    /// How the endpoints with OAuth2 stand, as findings of a check.
    async fn sign_in_findings(&self) -> Vec<Value> {
        let mut findings = Vec::new();
        for (endpoint, state) in self.auth_states().await {
            let command = format!("confab connection connect --tenant {} {}", self.tenant, self.id);
            let (status, message) = match state {
                AuthState::Connected { renewable: true, .. } => ("ok", "connected".to_owned()),
                AuthState::Connected { renewable: false, .. } => {
                    ("ok", "connected, until the token expires: the system gave none to renew it".to_owned())
                }
                AuthState::NotConnected => ("error", format!("not connected; connect it: {command}")),
                AuthState::ReconnectNeeded { because } => {
                    ("error", format!("has to be connected again, because {because}; reconnect it: {command}"))
                }
                AuthState::Unknown { because } => ("error", because),
            };
            findings.push(json!({"name": format!("sign-in {endpoint}"), "status": status, "message": message}));
        }
        findings
    }
}
