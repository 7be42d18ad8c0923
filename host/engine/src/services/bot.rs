//! What an intent plugin gets: the turn's time and chance, the bot's data, and calls of its capabilities.

use crate::cache::{Ask, ResultCache, Served, Source};
use crate::engine::Inner;
use crate::failures::Whose;
use crate::net::{Fault, caught};
use crate::registry::{Bot, Connection};
use crate::services::data::NotedSpace;
use crate::services::{ConnectionServices, Space, Told};
use crate::turn::journal::{Call, Running, Step};
use crate::watch::Watch;
use async_trait::async_trait;
use confab_sandbox::services::LogLevel;
use confab_sandbox::{CapabilityError, Effect, HostServices, KvServices, Provenance};
use parking_lot::Mutex;
use rand::{RngCore, SeedableRng, rngs::StdRng};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::sync::Arc;

/// Services of one turn.
pub(crate) struct BotServices {
    pub(crate) bot: Arc<Bot>,
    pub(crate) data: NotedSpace,
    pub(crate) conversation: String,
    pub(crate) turn: String,
    pub(crate) request_id: Arc<str>,
    pub(crate) locale: Option<String>,
    pub(crate) now: u64,
    watch: Arc<Watch>,
    cache: Arc<ResultCache>,
    running: Arc<Running>,
    /// How many of the turn's steps were there before this try to serve it: what they came to is known.
    known: usize,
    /// Calls made in this try.
    calls: u32,
    /// Where the last call's answer comes from; none when it failed.
    last: Option<Source>,
    chance: Option<StdRng>,
    effects: Effects,
}

/// What the plugin wants to leave behind, for whoever commits the turn.
#[derive(Clone, Default)]
pub(crate) struct Effects(Arc<Mutex<Vec<Effect>>>);

impl Effects {
    /// All of them, in order.
    pub(crate) fn take(&self) -> Vec<Effect> {
        std::mem::take(&mut self.0.lock())
    }
}

impl BotServices {
    pub(crate) fn new(engine: &Inner, bot: Arc<Bot>, conversation: String, running: Arc<Running>) -> Self {
        let space = Space { store: engine.store.clone(), name: bot.space.clone() };
        let accepted = &running.accepted;
        BotServices {
            bot,
            data: NotedSpace::new(space, running.clone()),
            conversation,
            turn: accepted.turn.clone(),
            request_id: Arc::from(accepted.request_id.as_str()),
            locale: accepted.locale.clone(),
            now: accepted.at,
            watch: engine.watch.clone(),
            cache: engine.cache.clone(),
            known: running.length(),
            running,
            calls: 0,
            last: None,
            chance: None,
            effects: Effects::default(),
        }
    }

    /// The same turn's services for another try: they know what the steps until now came to.
    pub(crate) fn again(&self) -> BotServices {
        BotServices {
            bot: self.bot.clone(),
            data: self.data.again(),
            conversation: self.conversation.clone(),
            turn: self.turn.clone(),
            request_id: self.request_id.clone(),
            locale: self.locale.clone(),
            now: self.now,
            watch: self.watch.clone(),
            cache: self.cache.clone(),
            running: self.running.clone(),
            known: self.running.length(),
            calls: 0,
            last: None,
            chance: None,
            effects: Effects::default(),
        }
    }

    /// Where this try's effects come to be.
    pub(crate) fn effects(&self) -> Effects {
        self.effects.clone()
    }

    fn whose<'a>(&'a self, connection: &'a Connection) -> Whose<'a> {
        Whose {
            tenant: self.bot.tenant.as_str(),
            bot: Some(self.bot.id.as_str()),
            connection: Some(connection.id.as_str()),
            conversation: Some(&self.conversation),
            turn: Some(&self.turn),
            request_id: &self.request_id,
        }
    }

    /// Calls a connection: the version that the conversation is on.
    async fn ask(
        &self,
        connection: &Arc<Connection>,
        capability: &str,
        function: &str,
        arguments: &Map<String, Value>,
    ) -> Result<Served, Fault> {
        let candidate = connection.candidate.as_ref().filter(|candidate| candidate.takes(&self.conversation));
        let Some(candidate) = candidate else {
            return self.answer(connection, capability, function, arguments, true).await;
        };
        // What is kept says nothing of the candidate, for better or worse.
        if let Some(policy) = candidate.serves.cache.keeps(capability, function) {
            let ask = self.asking(&candidate.serves, policy, capability, function, arguments, false);
            if let Some(served) = Box::pin(self.cache.fresh(&ask)).await {
                return Ok(served);
            }
        }
        let whose = self.whose(connection);
        let first = self.answer(&candidate.serves, capability, function, arguments, false);
        caught(&candidate.watch, &whose, first, || self.answer(connection, capability, function, arguments, true)).await
    }

    /// Calls one version of a connection, or finds what an equal call gave.
    async fn answer(
        &self,
        connection: &Arc<Connection>,
        capability: &str,
        function: &str,
        arguments: &Map<String, Value>,
        on_error: bool,
    ) -> Result<Served, Fault> {
        if let Some(policy) = connection.cache.keeps(capability, function) {
            let ask = self.asking(connection, policy, capability, function, arguments, on_error);
            let fetch = self.call(connection, capability, function, arguments);
            let again = || {
                let (services, connection) = (self.again(), connection.clone());
                let (capability, function) = (capability.to_owned(), function.to_owned());
                let arguments = arguments.clone();
                async move { services.call(&connection, &capability, &function, &arguments).await }
            };
            // Boxed: calls that are not kept must not pay for the size of this.
            return Box::pin(self.cache.serve(ask, fetch, again)).await;
        }
        let outcome = self.call(connection, capability, function, arguments).await;
        if connection.cache.spoils(capability, function, arguments).is_some() {
            let error = outcome.as_ref().map_or(None, |answer| answer.as_ref().err());
            Box::pin(connection.changed(&self.cache, capability, function, arguments, error)).await;
        }
        outcome.map(|answer| Served::fetched(answer, self.now))
    }

    fn asking<'a>(
        &'a self,
        connection: &'a Connection,
        policy: &'a Arc<crate::cache::Policy>,
        capability: &'a str,
        function: &'a str,
        arguments: &'a Map<String, Value>,
        on_error: bool,
    ) -> Ask<'a> {
        let locale = self.locale.as_deref();
        Ask { place: &connection.cache, policy, capability, function, arguments, locale, on_error }
    }

    async fn call(
        &self,
        connection: &Arc<Connection>,
        capability: &str,
        function: &str,
        arguments: &Map<String, Value>,
    ) -> Result<Result<Value, CapabilityError>, Fault> {
        let (told, operation) = (Told::default(), format!("{capability}.{function}"));
        let services = ConnectionServices {
            connection: connection.clone(),
            data: Space { store: self.data.store(), name: connection.space.clone() },
            request_id: self.request_id.clone(),
            operation: operation.clone(),
            idempotency_key: self.idempotency_key(),
            locale: self.locale.clone(),
            now: self.now,
            watch: self.watch.clone(),
            bot: Some(self.bot.clone()),
            turn: Some((self.conversation.clone(), self.turn.clone())),
            told: told.clone(),
        };
        let (plugin, post, whose) = (&connection.plugin, connection.post(&self.watch), self.whose(connection));
        let pass =
            self.watch.enter(post, plugin, &operation).map_err(|e| Fault::quarantined(&e, plugin, &operation))?;
        match plugin.call(Box::new(services), capability, function, arguments).await {
            Ok(reported) => {
                self.watch.well(post, pass, &reported.report, &whose);
                if let Err(error) = &reported.value {
                    told.error(&self.watch, plugin, &whose, &operation, &error.code, &error.message);
                }
                Ok(reported.value)
            }
            Err(failure) => {
                self.watch.failed(post, pass, &failure, &whose);
                Err(failure.into())
            }
        }
    }

    /// Makes a call that was not made before, and notes what it came to.
    async fn step(
        &self,
        connection: &Arc<Connection>,
        capability: &str,
        function: &str,
        arguments: Map<String, Value>,
    ) -> Result<Served, CapabilityError> {
        let wrote = !connection.plugin.manifest().reads(&format!("{capability}.{function}"));
        if wrote {
            self.running.before_write().await?;
        }
        let served = match self.ask(connection, capability, function, &arguments).await {
            Ok(served) => served,
            Err(fault) => Served::fetched(Err(fault.as_error()), self.now),
        };
        let (capability, function) = (capability.to_owned(), function.to_owned());
        let call = Call { number: self.calls, capability, function, arguments, wrote, served: served.clone() };
        self.running.note(Step::Call(call), wrote).await;
        Ok(served)
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
        let seed = self.running.accepted.seed;
        self.chance.get_or_insert_with(|| StdRng::from_seed(seed)).fill_bytes(bytes);
    }

    fn seed(&self) -> Option<[u8; 32]> {
        Some(self.running.accepted.seed)
    }

    fn effect(&mut self, effect: Effect) -> Result<(), CapabilityError> {
        self.effects.0.lock().push(effect);
        Ok(())
    }

    fn available(&self) -> Vec<(String, String, String, String)> {
        available(&self.bot)
    }

    async fn invoke(&mut self, capability: &str, function: &str, arguments: Value) -> Result<Value, CapabilityError> {
        let Some(connection) = self.bot.bindings.get(capability).cloned() else {
            return Err(unbound(&self.bot, capability));
        };
        self.last = None;
        self.calls += 1;
        let Value::Object(arguments) = arguments else {
            return Err(CapabilityError::new("invalid-input", "arguments must be an object"));
        };
        let served = match self.running.known_call(self.known, self.calls, capability, function, &arguments) {
            Some(served) => served,
            None => self.step(&connection, capability, function, arguments).await?,
        };
        self.last = served.answer.is_ok().then_some(served.source);
        served.answer
    }

    fn last_answer(&self) -> Option<Provenance> {
        self.last.as_ref().map(provenance)
    }

    fn kv(&mut self) -> Option<&mut dyn KvServices> {
        Some(&mut self.data)
    }
}

/// A moment in UTC, to the second.
fn rfc3339(millis: u64) -> String {
    let seconds = i64::try_from(millis / 1_000).unwrap_or(i64::MAX);
    jiff::Timestamp::from_second(seconds).map(|at| at.to_string()).unwrap_or_default()
}

/// What a bot may call.
pub(super) fn available(bot: &Bot) -> Vec<(String, String, String, String)> {
    let mut all = Vec::new();
    for (capability, connection) in &bot.bindings {
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

/// What a call of a capability gets that the bot has no connection for.
pub(super) fn unbound(bot: &Bot, capability: &str) -> CapabilityError {
    let bound: Vec<&str> = bot.bindings.keys().map(String::as_str).collect();
    let message = format!("bot {} has no connection for `{capability}`; it has: {}", bot.id, bound.join(", "));
    CapabilityError::new("unsupported", message)
}

/// Where an answer comes from, as plugins see it.
pub(super) fn provenance(source: &Source) -> Provenance {
    let Source { as_of, cached, stale, error } = source.clone();
    Provenance { as_of: rfc3339(as_of), cached, stale, error }
}
