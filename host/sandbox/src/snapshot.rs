//! Snapshot of a prepared plugin: `prepare` runs once, at publish, and every call starts from its memory.
//!
//! wasmtime-wizer rewrites the component so that its data segments hold the memory after `prepare`; the result is
//! compiled like any component and mapped copy-on-write. A turn then costs page faults for what it
//! touches instead of parsing and training again (0.14 ms instead of 10 ms for a 2.6 MB classifier).

use crate::bindings::types::Diagnostic;
use crate::call::{call_on, new_store};
use crate::engine::{Sandbox, digest};
use crate::failure::{Failure, FailureKind, classify};
use crate::lanes::{Laned, Measured, Moving};
use crate::limits::Limits;
use crate::plugin::{Export, Plugin, prepared_key};
use crate::reflect;
use crate::services::DenyAll;
use crate::state::CallState;
use crate::warm::Warm;
use serde_json::{Map, Value};
use std::time::Duration;
use wasmtime::Store;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, Instance, Lift, Linker, WasmList};
use wasmtime_wizer::{ComponentInstanceState, Wizer};

/// Why a plugin could not be prepared.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// It refuses what it was given, and says where and why.
    #[error("the definition has {} error(s)", .0.len())]
    Refused(Vec<Diagnostic>),
    /// It trapped or hit a limit.
    #[error(transparent)]
    Failed(#[from] Box<Failure>),
    /// It can't be snapshotted or loaded again.
    #[error("{0}")]
    Unusable(String),
}

/// A prepared plugin, with what it had to say.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// Ready to be called; starts from the snapshot.
    pub plugin: Plugin,
    /// Warnings.
    pub warnings: Vec<Diagnostic>,
    /// Whether equal bots may use the same one. Not where instances are kept, see [`crate::warm`].
    pub shared: bool,
}

/// The tenant that preparing is counted for.
const PUBLISHING: &str = "(publishing)";

/// What came of preparing.
enum Made {
    Snapshot(Vec<u8>, Vec<Diagnostic>),
    /// It prepares, but can't be snapshotted, and why.
    Unsnapshotable(String, Vec<Diagnostic>),
}

impl Sandbox {
    /// Prepares a plugin; calls of what comes back start from a snapshot of it, or, where that can't be had, from instances that
    /// are prepared and kept.
    ///
    /// `interface` is `dialogue` or `lifecycle`; `input` are the arguments of its `prepare`. Runs with
    /// [`Limits::PREPARE`] and a host that grants nothing. Takes 0.1 s to some seconds: a background job.
    ///
    /// # Errors
    /// [`PrepareError`]; a refusal carries diagnostics with places.
    pub async fn prepare(
        &self,
        plugin: &Plugin,
        interface: &str,
        input: Map<String, Value>,
    ) -> Result<Prepared, PrepareError> {
        let key = Self::prepared_key(plugin, &input);
        if let Some((path, bytes, warnings)) = self.inner.cache.prepared(&key) {
            let warnings = serde_json::from_slice(&warnings).unwrap_or_default();
            let plugin = plugin.prepared(key, path, bytes.div_ceil(1 << 20), None);
            return Ok(Prepared { plugin, warnings, shared: true });
        }
        let _one = self.inner.preparing.acquire().await;
        match self.make(plugin, interface, &input).await? {
            Made::Snapshot(snapshot, warnings) => {
                let notes = serde_json::to_vec(&warnings).unwrap_or_default();
                let kept = self.inner.cache.keep_prepared(&key, &snapshot, &notes);
                let path = kept.map_err(|e| PrepareError::Unusable(format!("the snapshot can't be kept: {e:#}")))?;
                // The snapshot is larger by what was prepared; the call's own allowance comes on top.
                let prepared = plugin.prepared(key, path, (snapshot.len() as u64).div_ceil(1 << 20), None);
                let loading = prepared.clone();
                tokio::task::spawn_blocking(move || loading.load_code())
                    .await
                    .map_err(|e| PrepareError::Unusable(format!("loading the snapshot failed: {e}")))?
                    .map_err(|e| PrepareError::Unusable(format!("the snapshot can't be loaded: {e}")))?;
                Ok(Prepared { plugin: prepared, warnings, shared: true })
            }
            Made::Unsnapshotable(why, warnings) => {
                let name = &plugin.manifest().name;
                tracing::info!(plugin = name, "can't be snapshotted ({why}): prepared instances are kept instead");
                let warm = Warm::new(interface, input);
                let (name, path) = (plugin.key().to_owned(), plugin.inner.path.clone());
                let plugin = plugin.prepared(name, path, Limits::PREPARE.memory_mib, Some(warm));
                Ok(Prepared { plugin, warnings, shared: false })
            }
        }
    }

    /// Key under which equal preparations can be shared: component, limits and input.
    pub fn prepared_key(plugin: &Plugin, input: &Map<String, Value>) -> String {
        prepared_key(plugin.digest(), &plugin.inner.limits, &Value::Object(input.clone()))
    }

    /// Runs `prepare` under its own limits, in the slow lane as soon as the clock ticks, and takes the snapshot.
    async fn make(&self, plugin: &Plugin, interface: &str, input: &Map<String, Value>) -> Result<Made, PrepareError> {
        let most = self.inner.policy.ceiling.memory_mib;
        let memory_mib = plugin.inner.limits.memory_mib.max(Limits::PREPARE.memory_mib).min(most);
        let limits = Limits { memory_mib, ..Limits::PREPARE };
        let wall = Duration::from_millis(limits.wall_ms);
        let path = format!("confab:plugin/{interface}");
        let wasm = tokio::fs::read(&plugin.inner.path)
            .await
            .map_err(|e| PrepareError::Unusable(format!("{} can't be read: {e}", plugin.inner.path.display())))?;
        let tenant = self.inner.tenants.of(PUBLISHING);
        let run = Preparation { sandbox: self.clone(), plugin: plugin.clone(), path, limits, input: input.clone() };
        let work = async move {
            let mut wizer = Wizer::new();
            wizer.keep_init_func(true);
            let (instrumented, context) = match wizer.instrument_component(&wasm) {
                Ok((context, instrumented)) => (run.instrumented(instrumented).await?, Ok(context)),
                Err(e) => (run.plain().await?, Err(format!("{e:#}"))),
            };
            let (warnings, mut store, instance) = match tokio::time::timeout(wall, run.run(&instrumented)).await {
                Ok(outcome) => outcome?,
                Err(_) => {
                    let message = format!("took longer than {} ms to prepare", limits.wall_ms);
                    return Err(Box::new(run.plugin.failure("prepare", FailureKind::Time, message, None)).into());
                }
            };
            let context = match context {
                Ok(context) => context,
                Err(why) => return Ok(Made::Unsnapshotable(why, warnings)),
            };
            store.set_fuel(u64::MAX).map_err(|e| PrepareError::Unusable(format!("fuel: {e:#}")))?;
            let mut reader = MemoryReader { store: &mut store, instance };
            match wizer.snapshot_component(&context, &mut reader).await {
                Ok(snapshot) => Ok(Made::Snapshot(snapshot, warnings)),
                Err(e) => Ok(Made::Unsnapshotable(format!("{e:#}"), warnings)),
            }
        };
        let work: Moving<_> = Box::pin(Measured::new(tenant, work));
        match Laned::new(self.inner.lanes.clone(), work).await {
            Some((made, _)) => made,
            None => Err(PrepareError::Unusable("the host is stopping".into())),
        }
    }
}

/// The component that `prepare` is run in, and its `prepare`.
struct Instrumented {
    component: Component,
    export: Export,
}

/// One run of `prepare`.
struct Preparation {
    sandbox: Sandbox,
    plugin: Plugin,
    path: String,
    limits: Limits,
    input: Map<String, Value>,
}

impl Preparation {
    /// The instrumented component. The same for every definition: through the code cache, so that only the first one waits
    /// for the compiler.
    async fn instrumented(&self, wasm: Vec<u8>) -> Result<Instrumented, PrepareError> {
        let (inner, name) = (self.sandbox.inner.clone(), self.plugin.manifest().name.clone());
        let component = tokio::task::spawn_blocking(move || {
            let digest = digest(&wasm);
            if let Some(component) = inner.cache.map(&inner.engine, &digest) {
                return Ok(component);
            }
            // A file of its own: another one who prepares the same, here or in a process with the same cache, removes theirs.
            let path = inner.cache.scratch(&wasm).map_err(|e| format!("{e:#}"))?;
            let component = inner.cache.load(&inner.engine, &digest, &path).map_err(|e| e.to_string());
            let _ = std::fs::remove_file(path);
            component
        })
        .await
        .map_err(|e| PrepareError::Unusable(format!("compiling failed: {e}")))?
        .map_err(|e| PrepareError::Unusable(format!("{name} for its snapshot: {e}")))?;
        let export = self.export_of(&component)?;
        Ok(Instrumented { component, export })
    }

    /// The component as it is.
    async fn plain(&self) -> Result<Instrumented, PrepareError> {
        let live = self.plugin.live().await.map_err(|e| PrepareError::Unusable(e.to_string()))?;
        let component = live.pre.component().clone();
        let export = self.export_of(&component)?;
        Ok(Instrumented { component, export })
    }

    async fn run(
        &self,
        instrumented: &Instrumented,
    ) -> Result<(Vec<Diagnostic>, Store<CallState>, Instance), PrepareError> {
        let unusable = |what: &str, e: wasmtime::Error| PrepareError::Unusable(format!("{what}: {e:#}"));
        let failed = |e: &wasmtime::Error| {
            let (kind, message, backtrace) = classify(e);
            let failure = self.plugin.failure("prepare", kind, message, None);
            PrepareError::Failed(Box::new(Failure { backtrace, ..failure }))
        };
        let inner = &self.sandbox.inner;
        let component = &instrumented.component;
        let mut linker: Linker<CallState> = inner.base.clone();
        wasmtime_wasi::p2::add_to_linker_async(&mut linker).map_err(|e| unusable("linking", e))?;
        linker.define_unknown_imports_as_traps(component).map_err(|e| unusable("linking", e))?;
        let mut store = new_store(&inner.engine, Box::new(DenyAll), inner.tenants.of(PUBLISHING), self.limits);
        store.set_fuel(self.limits.instantiation_fuel).map_err(|e| unusable("fuel", e))?;
        let instance = linker.instantiate_async(&mut store, component).await.map_err(|e| failed(&e))?;
        store.set_fuel(self.limits.fuel).map_err(|e| unusable("fuel", e))?;
        let export = &instrumented.export;
        let values = reflect::arguments(export.ty.params(), &self.input)
            .map_err(|e| PrepareError::Unusable(format!("arguments of prepare: {e}")))?;
        let outcome = call_on(&mut store, &instance, export, &values).await.map_err(|e| failed(&e))?;
        let diagnostics = |value: Value| serde_json::from_value::<Vec<Diagnostic>>(value).unwrap_or_default();
        match outcome {
            Ok(warnings) => Ok((diagnostics(warnings), store, instance)),
            Err(errors) => Err(PrepareError::Refused(diagnostics(errors))),
        }
    }

    /// `prepare` of the instrumented component: it has other export indices than the plain one.
    fn export_of(&self, component: &Component) -> Result<Export, PrepareError> {
        let engine = component.engine();
        let missing = || PrepareError::Unusable(format!("exports no {}#prepare", self.path));
        for (interface, item) in component.component_type().exports(engine) {
            if interface.split('@').next() != Some(self.path.as_str()) {
                continue;
            }
            let ComponentItem::ComponentInstance(instance) = item.ty else { continue };
            let Some((_, interface)) = component.get_export(None, interface) else { continue };
            for (function, item) in instance.exports(engine) {
                if let ComponentItem::ComponentFunc(ty) = item.ty
                    && function == "prepare"
                    && let Some((_, index)) = component.get_export(Some(&interface), function)
                {
                    return Ok(Export { index, ty });
                }
            }
        }
        Err(missing())
    }
}

/// Reads memories and globals through the functions that wizer added to the component.
///
/// wizer's trait can't report errors. These functions are wizer's own, so a failing one gives nothing and the snapshot
/// is refused when it is loaded.
struct MemoryReader<'a> {
    store: &'a mut Store<CallState>,
    instance: Instance,
}

impl MemoryReader<'_> {
    async fn read<R, T>(
        &mut self,
        interface: &str,
        function: &str,
        use_it: impl FnOnce(&mut Store<CallState>, R) -> T,
    ) -> Option<T>
    where
        R: Lift + Send + Sync + 'static,
    {
        let (_, interface) = self.instance.get_export(&mut *self.store, None, interface)?;
        let (_, function) = self.instance.get_export(&mut *self.store, Some(&interface), function)?;
        let function = self.instance.get_typed_func::<(), (R,)>(&mut *self.store, function).ok()?;
        // Reading a large memory crosses the border once: more than a plugin's host call may.
        self.store.set_hostcall_fuel(usize::MAX);
        let (value,) = function.call_async(&mut *self.store, ()).await.ok()?;
        Some(use_it(self.store, value))
    }
}

impl ComponentInstanceState for MemoryReader<'_> {
    async fn call_func_ret_list_u8(&mut self, instance: &str, func: &str, contents: impl FnOnce(&[u8]) + Send) {
        self.read(instance, func, |store, list: WasmList<u8>| contents(list.as_le_slice(&*store))).await;
    }
    async fn call_func_ret_s32(&mut self, instance: &str, func: &str) -> i32 {
        self.read(instance, func, |_, r: i32| r).await.unwrap_or_default()
    }
    async fn call_func_ret_s64(&mut self, instance: &str, func: &str) -> i64 {
        self.read(instance, func, |_, r: i64| r).await.unwrap_or_default()
    }
    async fn call_func_ret_f32(&mut self, instance: &str, func: &str) -> u32 {
        self.read(instance, func, |_, r: f32| r.to_bits()).await.unwrap_or_default()
    }
    async fn call_func_ret_f64(&mut self, instance: &str, func: &str) -> u64 {
        self.read(instance, func, |_, r: f64| r.to_bits()).await.unwrap_or_default()
    }
}
