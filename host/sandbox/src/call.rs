//! Calling a plugin: a place in the pool, a fresh store, budgets, the call, a report.
//!
//! 1. Look at the tenant's account of fuel; take a place, or fail with `overloaded` after [`PLACE_WAIT`].
//! 2. Instantiate on the instantiation budget.
//! 3. Set the call's fuel and call.
//! 4. All of it under one outer timeout: fuel and epochs never interrupt a host call that blocks. Running into
//!    it drops the store, and with it everything that the guest held.
//! 5. A trapped, timed-out or finished store is dropped, never used again (but see [`crate::warm`]).
//!
//! All of it runs in the fast lane until the clock ticks, see [`crate::lanes`].

use crate::bindings::{dialogue, webhook};
use crate::failure::{Failure, FailureKind, classify};
use crate::lanes::{FUEL_A_NANOSECOND, Laned, Measured, Moving, ticked};
use crate::limits::Limits;
use crate::load::LoadError;
use crate::manifest::Kind;
use crate::places::{NoPlace, Place};
use crate::plugin::{Export, Live, Plugin};
use crate::reflect;
use crate::services::{CapabilityError, HostServices};
use crate::state::CallState;
use crate::tenants::Tenant;
use crate::warm::Prepared;
use crate::webhook::{self as webhooks, WebhookAccepted, WebhookRequest};
use futures::FutureExt;
use serde::Serialize;
use serde_json::{Map, Value};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};
use wasmtime::component::{Instance, Val};
use wasmtime::{Store, UpdateDeadline};

/// How long a call waits for a place when all are taken. Longer waits only pile up.
pub const PLACE_WAIT: Duration = Duration::from_secs(2);

/// What a call used.
#[derive(Clone, Debug, Default, Serialize)]
pub struct CallReport {
    /// Fuel, without instantiation.
    pub fuel: u64,
    /// CPU time in microseconds: the guest's and the host's for it, that of other plugins it called not included.
    pub cpu_us: u64,
    /// Bytes of linear memory at most.
    pub peak_memory: u64,
    /// Wall time in microseconds, waiting for a place not included.
    pub wall_us: u64,
    /// Capability calls, HTTP requests and reads and writes of stored data.
    pub host_calls: u32,
    /// Bytes of HTTP requests.
    pub bytes_out: u64,
    /// Log lines beyond the limit.
    pub dropped_log_lines: u32,
    /// The last lines that the plugin wrote to the log.
    pub last_lines: Vec<String>,
}

/// A value with what it cost.
#[derive(Clone, Debug)]
pub struct Reported<T> {
    /// The value.
    pub value: T,
    /// What it cost.
    pub report: CallReport,
}

/// What an intent plugin may refuse with; `confab:plugin/types.failure`.
pub use crate::bindings::types::Failure as Refusal;

/// What is to be called.
enum Work {
    Handle(Box<dialogue::Turn>),
    Function { export: Export, values: Vec<Val> },
    Receive(Box<webhook::Request>),
}

/// What came of it.
enum Answer {
    Outcome(Result<dialogue::Outcome, Refusal>),
    Value(Result<Value, Value>),
    Webhook(Result<WebhookAccepted, Refusal>),
}

/// Where a call failed.
enum Stage {
    Instantiation(wasmtime::Error),
    Call(wasmtime::Error),
    /// What was not even tried, or went wrong around the guest.
    Other(FailureKind, String),
}

impl From<wasmtime::Error> for Stage {
    fn from(error: wasmtime::Error) -> Self {
        Stage::Call(error)
    }
}

impl Plugin {
    /// Serves one turn with an intent plugin.
    ///
    /// # Errors
    /// [`Failure`] when the plugin trapped, hit a limit or could not be run. What it refuses by itself is a value.
    pub async fn handle(
        &self,
        services: Box<dyn HostServices>,
        turn: dialogue::Turn,
    ) -> Result<Reported<Result<dialogue::Outcome, Refusal>>, Failure> {
        if self.manifest().kind != Kind::Intent {
            return Err(self.failure("handle", FailureKind::Contract, "is no intent plugin".into(), None));
        }
        let live = self.live_or_failure("handle").await?;
        let limits = self.inner.limits;
        let Reported { value, report } =
            self.run("handle", live, services, limits, Work::Handle(Box::new(turn))).await?;
        match value {
            Answer::Outcome(value) => Ok(Reported { value, report }),
            _ => Err(self.failure("handle", FailureKind::Host, "mixed up its calls".into(), None)),
        }
    }

    /// Has a connector read a webhook. Whoever calls must refuse a request that is not [`WebhookAccepted::verified`].
    ///
    /// # Errors
    /// [`Failure`] when the plugin trapped, hit a limit, returned what its contract doesn't allow or could not be run. What it
    /// refuses by itself is a value.
    pub async fn receive(
        &self,
        services: Box<dyn HostServices>,
        request: WebhookRequest,
    ) -> Result<Reported<Result<WebhookAccepted, Refusal>>, Failure> {
        if !self.has_webhook() {
            return Err(self.failure("receive", FailureKind::Contract, "reads no webhooks".into(), None));
        }
        let live = self.live_or_failure("receive").await?;
        let limits = self.inner.limits;
        let work = Work::Receive(Box::new(request.into()));
        let Reported { value, report } = self.run("receive", live, services, limits, work).await?;
        match value {
            Answer::Webhook(value) => Ok(Reported { value, report }),
            _ => Err(self.failure("receive", FailureKind::Host, "mixed up its calls".into(), None)),
        }
    }

    /// Calls a function of a capability by name. `arguments` is an object by parameter name, in snake_case.
    ///
    /// # Errors
    /// [`Failure`] when the plugin trapped, hit a limit or could not be run. What it refuses by itself is a value.
    pub async fn call(
        &self,
        services: Box<dyn HostServices>,
        capability: &str,
        function: &str,
        arguments: &Map<String, Value>,
    ) -> Result<Reported<Result<Value, CapabilityError>>, Failure> {
        let live = self.live_or_failure(function).await?;
        let path = self.interface(capability).map(|(path, _)| path);
        let Some(export) = path.and_then(|path| live.exports.get(path)?.get(function)).cloned() else {
            let message = format!("{} does not offer {capability}.{function}", self.manifest().name);
            return Ok(refused(CapabilityError::new("unsupported", message)));
        };
        let values = match reflect::arguments(export.ty.params(), arguments) {
            Ok(values) => values,
            Err(e) => {
                let message = format!("arguments of {capability}.{function}{}: {}", pointer(&e.pointer), e.message);
                return Ok(refused(CapabilityError::new("invalid-input", message)));
            }
        };
        let name = format!("{capability}.{function}");
        let Reported { value, report } =
            self.call_values(&name, live, services, export, values, self.inner.limits).await?;
        let value = match value {
            Ok(value) => Ok(value),
            Err(error) => Err(self.capability_error(error)),
        };
        Ok(Reported { value, report })
    }

    /// Calls an optional function of the plugin contract (`lifecycle`, `files`, `health`) with JSON.
    ///
    /// # Errors
    /// As for [`Plugin::call`]. `None` when the plugin doesn't have it.
    pub async fn call_contract(
        &self,
        services: Box<dyn HostServices>,
        interface: &str,
        function: &str,
        arguments: &Map<String, Value>,
        limits: Limits,
    ) -> Result<Option<Reported<Result<Value, Value>>>, Failure> {
        let path = format!("confab:plugin/{interface}");
        if !self.inner.shape.functions.get(&path).is_some_and(|functions| functions.contains_key(function)) {
            return Ok(None);
        }
        let live = self.live_or_failure(function).await?;
        let Some(export) = live.exports.get(&path).and_then(|f| f.get(function)).cloned() else {
            return Ok(None);
        };
        let values = reflect::arguments(export.ty.params(), arguments).map_err(|e| {
            self.failure(function, FailureKind::Host, format!("arguments{}: {}", pointer(&e.pointer), e.message), None)
        })?;
        let name = format!("{interface}.{function}");
        self.call_values(&name, live, services, export, values, limits).await.map(Some)
    }

    /// The failure of a plugin that returned what its contract doesn't allow, where only the caller can tell.
    pub fn broken_contract(&self, function: &str, message: String, report: CallReport) -> Failure {
        self.failure(function, FailureKind::Contract, message, Some(report))
    }

    /// The failure of a plugin that is not run because it kept failing.
    pub fn quarantined(&self, function: &str, retry_after_s: u64) -> Failure {
        let message = format!("kept failing and is not run; it is tried again in {retry_after_s} s");
        self.failure(function, FailureKind::Quarantined, message, None)
    }

    async fn call_values(
        &self,
        name: &str,
        live: Arc<Live>,
        services: Box<dyn HostServices>,
        export: Export,
        values: Vec<Val>,
        limits: Limits,
    ) -> Result<Reported<Result<Value, Value>>, Failure> {
        let Reported { value, report } =
            self.run(name, live, services, limits, Work::Function { export, values }).await?;
        match value {
            Answer::Value(value) => Ok(Reported { value, report }),
            _ => Err(self.failure(name, FailureKind::Host, "mixed up its calls".into(), None)),
        }
    }

    fn capability_error(&self, error: Value) -> CapabilityError {
        #[derive(serde::Deserialize)]
        struct Wire {
            code: String,
            message: String,
            retry_after: Option<u32>,
        }
        match serde_json::from_value::<Wire>(error) {
            Ok(wire) => CapabilityError { code: wire.code, message: wire.message, retry_after: wire.retry_after },
            Err(_) => CapabilityError::new("internal", format!("{} failed without saying why", self.manifest().name)),
        }
    }

    async fn live_or_failure(&self, function: &str) -> Result<Arc<Live>, Failure> {
        self.live().await.map_err(|e| {
            let kind = match e {
                LoadError::Unavailable { .. } => FailureKind::Host,
                _ => FailureKind::Instantiation,
            };
            self.failure(function, kind, format!("can't be loaded: {e}"), None)
        })
    }

    /// Steps 1 to 5 of the module's essay.
    async fn run(
        &self,
        function: &str,
        live: Arc<Live>,
        services: Box<dyn HostServices>,
        limits: Limits,
        work: Work,
    ) -> Result<Reported<Answer>, Failure> {
        let sandbox = &self.inner.sandbox.inner;
        let name = services.tenant();
        let tenant = sandbox.tenants.of(&name);
        if !tenant.has_fuel() {
            let message = format!(
                "the tenant has used up its fuel for this minute; there is some again in {} s",
                sandbox.tenants.fuel_in_s(&tenant)
            );
            return Err(self.failure(function, FailureKind::Quota, message, None));
        }
        let places = match self.manifest().kind {
            Kind::Intent => &sandbox.intents,
            Kind::Connector | Kind::Channel => &sandbox.connectors,
        };
        let place = places.take(&name, PLACE_WAIT).await.map_err(|why| {
            let message = match why {
                NoPlace::QueueFull => "the tenant has too many calls waiting for a place",
                NoPlace::Waited => "all places for plugin calls are taken",
            };
            self.failure(function, FailureKind::Overloaded, message.into(), None)
        })?;
        // Those who waited with it may have used it up.
        if !tenant.has_fuel() {
            let message = "the tenant has used up its fuel for this minute".to_owned();
            return Err(self.failure(function, FailureKind::Quota, message, None));
        }
        let call = drive(self.clone(), live, services, tenant.clone(), place, limits, work);
        let call: Moving<_> = Box::pin(Measured::new(tenant.clone(), call));
        let Some(((outcome, mut report), cpu)) = Laned::new(sandbox.lanes.clone(), call).await else {
            return Err(self.failure(function, FailureKind::Host, "the host is stopping".into(), None));
        };
        report.cpu_us = cpu / 1_000;
        // What the host computes for a guest burns no fuel; its time is worth some, and has been charged already.
        tenant.used_fuel(report.fuel.saturating_sub(cpu.saturating_mul(FUEL_A_NANOSECOND)));
        match outcome {
            Ok(value) => Ok(Reported { value, report }),
            Err(stage) => Err(self.trapped(function, stage, report)),
        }
    }

    fn trapped(&self, function: &str, stage: Stage, report: CallReport) -> Failure {
        let (error, instantiating) = match stage {
            Stage::Instantiation(error) => (error, true),
            Stage::Call(error) => (error, false),
            Stage::Other(kind, message) => return self.failure(function, kind, message, Some(report)),
        };
        let (mut kind, mut message, backtrace) = classify(&error);
        if instantiating {
            message = format!("could not be instantiated: {message}");
            if kind == FailureKind::Contract {
                kind = FailureKind::Instantiation;
            }
        }
        Failure { backtrace, ..self.failure(function, kind, message, Some(report)) }
    }

    pub(crate) fn failure(
        &self,
        function: &str,
        kind: FailureKind,
        message: String,
        report: Option<CallReport>,
    ) -> Failure {
        Failure {
            plugin: self.manifest().name.clone(),
            version: self.manifest().version.clone(),
            digest: self.inner.digest.clone(),
            function: function.to_owned(),
            kind,
            blame: kind.blame(),
            message,
            backtrace: Vec::new(),
            report: report.unwrap_or_default(),
        }
    }
}

/// Steps 2 to 5, owning all they need, so that they can move to another thread in between.
async fn drive(
    plugin: Plugin,
    live: Arc<Live>,
    services: Box<dyn HostServices>,
    tenant: Arc<Tenant>,
    place: Place,
    limits: Limits,
    work: Work,
) -> (Result<Answer, Stage>, CallReport) {
    let wall = Duration::from_millis(limits.wall_ms);
    let mut prepared = match plugin.inner.warm.as_ref().and_then(crate::warm::Warm::take) {
        Some(mut warm) => {
            warm.store.data_mut().begin(services, tenant, limits);
            arm(&mut warm.store, limits);
            Begun { served: warm.served, store: warm.store, instance: Some(warm.instance), started: false }
        }
        None => {
            let engine = &plugin.inner.sandbox.inner.engine;
            Begun { served: 0, store: new_store(engine, services, tenant, limits), instance: None, started: false }
        }
    };
    let work = call_in(&plugin, &live, &mut prepared, limits, work);
    let outcome = match tokio::time::timeout(wall, AssertUnwindSafe(work).catch_unwind()).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_panic)) => Err(Stage::Other(FailureKind::Host, "the host panicked while serving it".into())),
        Err(_elapsed) => {
            let message = format!("took longer than {} ms, host calls included", limits.wall_ms);
            Err(Stage::Other(FailureKind::Time, message))
        }
    };
    let mut report = report(&mut prepared.store, limits);
    if !prepared.started {
        report.fuel = 0;
    }
    if outcome.is_ok()
        && let (Some(warm), Some(instance)) = (&plugin.inner.warm, prepared.instance)
    {
        warm.give_back(Prepared { store: prepared.store, instance, served: prepared.served });
    } else {
        // Its slots are free before its place is.
        drop(prepared.store);
    }
    drop(place);
    (outcome, report)
}

/// A store, and its instance once there is one.
struct Begun {
    store: Store<CallState>,
    instance: Option<Instance>,
    served: u32,
    /// Whether it came to the call: before that, the fuel in the store is that of instantiation.
    started: bool,
}

async fn call_in(plugin: &Plugin, live: &Live, begun: &mut Begun, limits: Limits, work: Work) -> Result<Answer, Stage> {
    let store = &mut begun.store;
    let instance = match begun.instance {
        Some(instance) => instance,
        None => {
            store.set_fuel(limits.instantiation_fuel)?;
            let instance = live.pre.instantiate_async(&mut *store).await.map_err(Stage::Instantiation)?;
            if let Some(warm) = &plugin.inner.warm {
                plugin.prepare_in(live, store, &instance, &warm.interface, &warm.input).await?;
            }
            begun.instance = Some(instance);
            instance
        }
    };
    store.set_fuel(limits.fuel)?;
    begun.started = true;
    let result_bytes = (limits.result_kib as usize) << 10;
    match work {
        Work::Handle(turn) => {
            let guest = live
                .dialogue
                .as_ref()
                .ok_or_else(|| Stage::Other(FailureKind::Contract, "is no intent plugin".into()))?
                .load(&mut *store, &instance)?;
            let outcome = guest.call_handle(&mut *store, &turn).await?;
            let bytes = outcome.as_ref().map_or(0, outcome_bytes);
            if bytes > result_bytes { Err(too_large(bytes, limits)) } else { Ok(Answer::Outcome(outcome)) }
        }
        Work::Receive(request) => {
            let guest = live
                .webhook
                .as_ref()
                .ok_or_else(|| Stage::Other(FailureKind::Contract, "reads no webhooks".into()))?
                .load(&mut *store, &instance)?;
            let accepted = guest.call_receive(&mut *store, &request).await?;
            let verified = store.data().verified;
            let wrong = |hit: crate::failure::LimitHit| Stage::Other(hit.kind, hit.message);
            Ok(Answer::Webhook(match accepted {
                Ok(accepted) => Ok(webhooks::accepted(accepted, verified).map_err(wrong)?),
                Err(refusal) => Err(refusal),
            }))
        }
        Work::Function { export, values } => {
            let value = call_on(store, &instance, &export, &values).await?;
            let bytes = match &value {
                Ok(value) | Err(value) => reflect::bytes_of(value),
            };
            if bytes > result_bytes { Err(too_large(bytes, limits)) } else { Ok(Answer::Value(value)) }
        }
    }
}

fn too_large(bytes: usize, limits: Limits) -> Stage {
    let message = format!("returned {} KiB, may return {}", bytes.div_ceil(1024), limits.result_kib);
    Stage::Other(FailureKind::Bytes, message)
}

fn outcome_bytes(outcome: &dialogue::Outcome) -> usize {
    let replies = outcome.replies.iter().map(|reply| {
        let choices: usize = reply.choices.iter().map(|c| c.label.len() + c.value.len()).sum();
        reply.kind.len() + reply.text.len() + reply.data.as_ref().map_or(0, String::len) + choices
    });
    let intent = outcome.intent.as_ref().map_or(0, |intent| intent.name.len());
    let handoff = outcome.handoff.as_ref().map_or(0, |h| h.reason.len() + h.summary.as_ref().map_or(0, String::len));
    outcome.state.len() + replies.sum::<usize>() + intent + handoff
}

impl Plugin {
    /// Runs `prepare` on an instance that is kept afterwards, on the preparation's own budget.
    async fn prepare_in(
        &self,
        live: &Live,
        store: &mut Store<CallState>,
        instance: &Instance,
        interface: &str,
        input: &Map<String, Value>,
    ) -> Result<(), Stage> {
        let host = |message: String| Stage::Other(FailureKind::Host, message);
        let path = format!("confab:plugin/{interface}");
        let export = live.exports.get(&path).and_then(|functions| functions.get("prepare"));
        let export = export.ok_or_else(|| host(format!("exports no {path}#prepare")))?;
        let values = reflect::arguments(export.ty.params(), input).map_err(|e| host(e.to_string()))?;
        store.set_fuel(Limits::PREPARE.fuel)?;
        store.set_hostcall_fuel(Limits::PREPARE.border_bytes());
        let prepared = call_on(store, instance, export, &values).await?;
        store.set_hostcall_fuel(self.inner.limits.border_bytes());
        match prepared {
            Ok(_) => Ok(()),
            Err(_) => Err(Stage::Other(FailureKind::Contract, "refuses a definition that it accepted before".into())),
        }
    }
}

fn pointer(pointer: &str) -> String {
    if pointer.is_empty() { String::new() } else { format!(" at {pointer}") }
}

fn refused(error: CapabilityError) -> Reported<Result<Value, CapabilityError>> {
    Reported { value: Err(error), report: CallReport::default() }
}

/// A store with every limit set.
pub(crate) fn new_store(
    engine: &wasmtime::Engine,
    services: Box<dyn HostServices>,
    tenant: Arc<Tenant>,
    limits: Limits,
) -> Store<CallState> {
    let mut store = Store::new(engine, CallState::new(services, tenant, limits));
    store.limiter(|state| state);
    arm(&mut store, limits);
    store
}

/// Sets what holds for one call.
fn arm(store: &mut Store<CallState>, limits: Limits) {
    store.set_hostcall_fuel(limits.border_bytes());
    let deadline = Instant::now() + Duration::from_millis(limits.wall_ms);
    store.set_epoch_deadline(1);
    // wasmtime's own yield can starve tokio (wasmtime#10667): yield through tokio.
    store.epoch_deadline_callback(move |_| {
        if Instant::now() >= deadline {
            return Ok(UpdateDeadline::Interrupt);
        }
        if !ticked() {
            return Ok(UpdateDeadline::Continue(1));
        }
        Ok(UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now())))
    });
    store.set_max_component_handles(limits.handles as usize);
}

/// Calls a reflected function on an instance.
pub(crate) async fn call_on(
    store: &mut Store<CallState>,
    instance: &Instance,
    export: &Export,
    values: &[Val],
) -> wasmtime::Result<Result<Value, Value>> {
    let func =
        instance.get_func(&mut *store, export.index).ok_or_else(|| wasmtime::format_err!("an export is gone"))?;
    let mut results = [Val::Bool(false)];
    let count = export.ty.results().len().min(1);
    let slots = results.get_mut(..count).unwrap_or_default();
    func.call_async(&mut *store, values, slots).await?;
    let [result] = results;
    if count == 0 { Ok(Ok(Value::Null)) } else { reflect::split_result(result) }
}

fn report(store: &mut Store<CallState>, limits: Limits) -> CallReport {
    let fuel = limits.fuel.saturating_sub(store.get_fuel().unwrap_or(0));
    let state = store.data_mut();
    CallReport {
        fuel,
        cpu_us: 0,
        peak_memory: state.memory.peak as u64,
        wall_us: u64::try_from(state.started.elapsed().as_micros()).unwrap_or(u64::MAX),
        host_calls: state.host_calls + state.http_calls + state.kv_calls,
        bytes_out: state.http_bytes,
        dropped_log_lines: state.dropped_log_lines(),
        last_lines: std::mem::take(&mut state.last_lines),
    }
}
