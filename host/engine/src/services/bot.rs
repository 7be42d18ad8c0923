//! What an intent plugin gets: the turn's time and chance, the bot's data, and calls of its capabilities.

use crate::engine::Inner;
use crate::failures::Whose;
use crate::registry::Bot;
use crate::services::{ConnectionServices, Space};
use crate::watch::Watch;
use async_trait::async_trait;
use confab_sandbox::services::LogLevel;
use confab_sandbox::{CapabilityError, FailureKind, HostServices, KvServices};
use rand::{RngCore, SeedableRng, rngs::StdRng};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::sync::Arc;

/// Services of one turn.
pub(crate) struct BotServices {
    pub(crate) bot: Arc<Bot>,
    pub(crate) data: Space,
    pub(crate) conversation: String,
    pub(crate) turn: String,
    pub(crate) request_id: Arc<str>,
    pub(crate) locale: Option<String>,
    pub(crate) now: u64,
    watch: Arc<Watch>,
    calls: u32,
    chance: Option<StdRng>,
}

impl BotServices {
    pub(crate) fn new(
        engine: &Inner,
        bot: Arc<Bot>,
        conversation: String,
        turn: String,
        request_id: Arc<str>,
        locale: Option<String>,
        now: u64,
    ) -> Self {
        let data = Space { store: engine.store.clone(), name: bot.space.clone() };
        let watch = engine.watch.clone();
        BotServices { bot, data, conversation, turn, request_id, locale, now, watch, calls: 0, chance: None }
    }

    /// The same for each try of the same call of the same turn, different for any other.
    fn idempotency_key(&self) -> String {
        let mut hasher = Sha256::new();
        for part in [self.bot.tenant.as_str(), self.bot.id.as_str(), &self.conversation, &self.turn] {
            hasher.update(part.as_bytes());
            hasher.update([0]);
        }
        hasher.update(self.calls.to_be_bytes());
        hasher.finalize().iter().take(16).fold(String::with_capacity(32), |mut key, byte| {
            let _ = write!(key, "{byte:02x}");
            key
        })
    }
}

#[async_trait]
impl HostServices for BotServices {
    fn tenant(&self) -> Arc<str> {
        self.bot.tenant_name.clone()
    }

    fn log(&mut self, level: LogLevel, line: &str) {
        let plugin = &self.bot.plugin.manifest().name;
        super::log_line(level, self.bot.tenant.as_str(), self.bot.id.as_str(), plugin, &self.request_id, line);
    }

    fn now_millis(&self) -> u64 {
        self.now
    }

    fn random(&mut self, bytes: &mut [u8]) {
        self.chance.get_or_insert_with(StdRng::from_os_rng).fill_bytes(bytes);
    }

    fn available(&self) -> Vec<(String, String, String, String)> {
        let mut all = Vec::new();
        for (capability, connection) in &self.bot.bindings {
            for callable in connection.plugin.callables().filter(|callable| callable.capability == *capability) {
                all.push((
                    callable.capability.clone(),
                    callable.function.clone(),
                    callable.description.clone(),
                    callable.parameters.to_string(),
                ));
            }
        }
        all
    }

    async fn invoke(&mut self, capability: &str, function: &str, arguments: Value) -> Result<Value, CapabilityError> {
        let Some(connection) = self.bot.bindings.get(capability).cloned() else {
            let bound: Vec<&str> = self.bot.bindings.keys().map(String::as_str).collect();
            return Err(CapabilityError::new(
                "unsupported",
                format!("bot {} has no connection for `{capability}`; it has: {}", self.bot.id, bound.join(", ")),
            ));
        };
        self.calls += 1;
        let Value::Object(arguments) = arguments else {
            return Err(CapabilityError::new("invalid-input", "arguments must be an object"));
        };
        let services = ConnectionServices {
            connection: connection.clone(),
            data: Space { store: self.data.store.clone(), name: connection.space.clone() },
            request_id: self.request_id.clone(),
            operation: format!("{capability}.{function}"),
            idempotency_key: self.idempotency_key(),
            locale: self.locale.clone(),
            now: self.now,
            watch: self.watch.clone(),
            bot: Some(self.bot.clone()),
            turn: Some((self.conversation.clone(), self.turn.clone())),
        };
        let whose = Whose {
            tenant: self.bot.tenant.as_str(),
            bot: Some(self.bot.id.as_str()),
            connection: Some(connection.id.as_str()),
            conversation: Some(&self.conversation),
            turn: Some(&self.turn),
            request_id: &self.request_id,
        };
        let post = connection.post(&self.watch);
        let pass = match self.watch.enter(post, &connection.plugin, function) {
            Ok(pass) => pass,
            Err(quarantined) => {
                let retry_after = Some(quarantined.retry_after_s());
                return Err(CapabilityError {
                    retry_after,
                    ..CapabilityError::new("unavailable", quarantined.to_string())
                });
            }
        };
        match connection.plugin.call(Box::new(services), capability, function, &arguments).await {
            Ok(reported) => {
                self.watch.well(post, pass, &reported.report, &whose);
                reported.value
            }
            Err(failure) => {
                self.watch.failed(post, pass, &failure, &whose);
                Err(match failure.kind {
                    FailureKind::Overloaded => {
                        CapabilityError { retry_after: Some(1), ..CapabilityError::new("unavailable", failure.message) }
                    }
                    FailureKind::Time => CapabilityError::new("timeout", failure.to_string()),
                    _ => CapabilityError::new("internal", failure.to_string()),
                })
            }
        }
    }

    fn kv(&mut self) -> Option<&mut dyn KvServices> {
        Some(&mut self.data)
    }
}
