//! Calling a plugin: a place in the pool, a fresh store, budgets, the call, a report.
//!
//! 1. Take a place, or fail with `overloaded` after [`PLACE_WAIT`].
//! 2. Instantiate on the instantiation budget.
//! 3. Set the call's fuel and call.
//! 4. All of it under one outer timeout: fuel and epochs never interrupt a host call that blocks. Running into
//!    it drops the store, and with it everything that the guest held.
//! 5. A trapped, timed-out or finished store is dropped, never used again.

use crate::bindings::dialogue;
use crate::failure::{Failure, FailureKind, classify};
use crate::limits::{HANDLES, HOSTCALL_BYTES, Limits};
use crate::manifest::Kind;
use crate::plugin::{Callable, Plugin};
use crate::reflect;
use crate::services::{CapabilityError, HostServices};
use crate::state::CallState;
use futures::FutureExt;
use serde::Serialize;
use serde_json::{Map, Value};
use std::panic::AssertUnwindSafe;
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
    /// Bytes of linear memory at most.
    pub peak_memory: u64,
    /// Wall time in microseconds, waiting for a place not included.
    pub wall_us: u64,
    /// Capability calls, HTTP requests and reads and writes of stored data.
    pub host_calls: u32,
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

impl Plugin {
    /// Serves one turn with an intent plugin.
    ///
    /// # Errors
    /// [`Failure`] when the plugin trapped, hit a limit or could not be run. What it refuses by itself is a value.
    pub async fn handle(
        &self,
        services: Box<dyn HostServices>,
        turn: &dialogue::Turn,
    ) -> Result<Reported<Result<dialogue::Outcome, Refusal>>, Failure> {
        let Some(indices) = &self.inner.dialogue else {
            return Err(self.failure("handle", FailureKind::Contract, "is no intent plugin".into(), None));
        };
        self.run("handle", services, self.inner.limits, async |store, instance| {
            let guest = indices.load(&mut *store, instance)?;
            guest.call_handle(&mut *store, turn).await
        })
        .await
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
        let Some(callable) = self.callable(capability, function) else {
            let message = format!("{} does not offer {capability}.{function}", self.inner.manifest.name);
            return Ok(refused(CapabilityError::new("unsupported", message)));
        };
        let values = match reflect::arguments(callable.export.ty.params(), arguments) {
            Ok(values) => values,
            Err(e) => {
                let message = format!("arguments of {capability}.{function}{}: {}", pointer(&e.pointer), e.message);
                return Ok(refused(CapabilityError::new("invalid-input", message)));
            }
        };
        let Reported { value, report } = self.call_values(services, callable, values, self.inner.limits).await?;
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
        let Some(callable) =
            self.inner.functions.get(&format!("confab:plugin/{interface}")).and_then(|f| f.get(function))
        else {
            return Ok(None);
        };
        let values = reflect::arguments(callable.export.ty.params(), arguments).map_err(|e| {
            self.failure(function, FailureKind::Host, format!("arguments{}: {}", pointer(&e.pointer), e.message), None)
        })?;
        self.call_values(services, callable, values, limits).await.map(Some)
    }

    /// The failure of a plugin that returned what its contract doesn't allow, where only the caller can tell.
    pub fn broken_contract(&self, function: &str, message: String, report: CallReport) -> Failure {
        self.failure(function, FailureKind::Contract, message, Some(report))
    }

    async fn call_values(
        &self,
        services: Box<dyn HostServices>,
        callable: &Callable,
        values: Vec<Val>,
        limits: Limits,
    ) -> Result<Reported<Result<Value, Value>>, Failure> {
        let name = format!("{}.{}", callable.capability, callable.function);
        self.run(&name, services, limits, async |store, instance| call_on(store, instance, callable, &values).await)
            .await
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
            Err(_) => {
                CapabilityError::new("internal", format!("{} failed without saying why", self.inner.manifest.name))
            }
        }
    }

    /// Steps 1 to 5 of the module's essay.
    pub(crate) async fn run<T>(
        &self,
        function: &str,
        services: Box<dyn HostServices>,
        limits: Limits,
        body: impl AsyncFnOnce(&mut Store<CallState>, &Instance) -> wasmtime::Result<T>,
    ) -> Result<Reported<T>, Failure> {
        let sandbox = &self.inner.sandbox.inner;
        let places = match self.inner.manifest.kind {
            Kind::Intent => &sandbox.intents,
            Kind::Connector | Kind::Channel => &sandbox.connectors,
        };
        let _place = match places.try_acquire() {
            Ok(place) => place,
            Err(_) => match tokio::time::timeout(PLACE_WAIT, places.acquire()).await {
                Ok(Ok(place)) => place,
                _ => {
                    return Err(self.failure(
                        function,
                        FailureKind::Overloaded,
                        "all places for plugin calls are taken".into(),
                        None,
                    ));
                }
            },
        };
        let mut store = new_store(&sandbox.engine, services, limits);
        let wall = Duration::from_millis(limits.wall_ms);
        let work = async {
            store.set_fuel(limits.instantiation_fuel)?;
            let instance = self.inner.pre.instantiate_async(&mut store).await.map_err(Stage::Instantiation)?;
            store.set_fuel(limits.fuel)?;
            body(&mut store, &instance).await.map_err(Stage::Call)
        };
        let outcome = tokio::time::timeout(wall, AssertUnwindSafe(work).catch_unwind()).await;
        let report = report(&mut store, limits);
        match outcome {
            Ok(Ok(Ok(value))) => Ok(Reported { value, report }),
            Ok(Ok(Err(stage))) => Err(self.trapped(function, stage, report)),
            Ok(Err(_panic)) => Err(self.failure(
                function,
                FailureKind::Host,
                "the host panicked while serving it".into(),
                Some(report),
            )),
            Err(_elapsed) => {
                let message = format!("took longer than {} ms, host calls included", limits.wall_ms);
                Err(self.failure(function, FailureKind::Time, message, Some(report)))
            }
        }
    }

    fn trapped(&self, function: &str, stage: Stage, report: CallReport) -> Failure {
        let (error, instantiating) = match stage {
            Stage::Instantiation(error) => (error, true),
            Stage::Call(error) => (error, false),
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
            plugin: self.inner.manifest.name.clone(),
            function: function.to_owned(),
            kind,
            blame: kind.blame(),
            message,
            backtrace: Vec::new(),
            report: report.unwrap_or_default(),
        }
    }
}

/// Where a call failed.
enum Stage {
    Instantiation(wasmtime::Error),
    Call(wasmtime::Error),
}

impl From<wasmtime::Error> for Stage {
    fn from(error: wasmtime::Error) -> Self {
        Stage::Call(error)
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
    limits: Limits,
) -> Store<CallState> {
    let mut store = Store::new(engine, CallState::new(services, limits));
    store.limiter(|state| state);
    store.set_hostcall_fuel(HOSTCALL_BYTES);
    let deadline = Instant::now() + Duration::from_millis(limits.wall_ms);
    store.set_epoch_deadline(1);
    // wasmtime's own yield can starve tokio (wasmtime#10667): yield through tokio.
    store.epoch_deadline_callback(move |_| {
        if Instant::now() >= deadline {
            return Ok(UpdateDeadline::Interrupt);
        }
        Ok(UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now())))
    });
    store.set_max_component_handles(HANDLES);
    store
}

/// Calls a reflected function on an instance.
pub(crate) async fn call_on(
    store: &mut Store<CallState>,
    instance: &Instance,
    callable: &Callable,
    values: &[Val],
) -> wasmtime::Result<Result<Value, Value>> {
    let func = instance
        .get_func(&mut *store, callable.export.index)
        .ok_or_else(|| wasmtime::format_err!("export {} is gone", callable.export.interface))?;
    let mut results = [Val::Bool(false)];
    let count = callable.export.ty.results().len().min(1);
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
        peak_memory: state.memory.peak as u64,
        wall_us: u64::try_from(state.started.elapsed().as_micros()).unwrap_or(u64::MAX),
        host_calls: state.host_calls + state.http_calls + state.kv_calls,
        dropped_log_lines: state.dropped_log_lines(),
        last_lines: std::mem::take(&mut state.last_lines),
    }
}
