//! Snapshot of a prepared plugin: `prepare` runs once, at publish, and every call starts from its memory.
//!
//! wasmtime-wizer rewrites the component so that its data segments hold the memory after `prepare`; the result is
//! compiled like any component and mapped copy-on-write. A turn then costs page faults for what it
//! touches instead of parsing and training again (0.14 ms instead of 10 ms for a 2.6 MB classifier).

use crate::bindings::types::Diagnostic;
use crate::call::{call_on, new_store};
use crate::engine::{Sandbox, digest};
use crate::failure::{Failure, FailureKind, classify};
use crate::limits::Limits;
use crate::plugin::{LoadError, Plugin, prepared_digest};
use crate::reflect;
use crate::services::DenyAll;
use crate::state::CallState;
use serde_json::{Map, Value};
use std::time::Duration;
use wasmtime::Store;
use wasmtime::component::{Instance, Lift, Linker, WasmList};
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
#[derive(Debug)]
pub struct Prepared {
    /// Ready to be called; starts from the snapshot.
    pub plugin: Plugin,
    /// Warnings.
    pub warnings: Vec<Diagnostic>,
}

impl Sandbox {
    /// Prepares a plugin and loads the snapshot. `wasm` is the component that `plugin` was loaded from.
    ///
    /// `interface` is `dialogue` or `lifecycle`; `input` are the arguments of its `prepare`. Runs with
    /// [`Limits::PREPARE`] and a host that grants nothing. Takes 0.1 s to some seconds: a background job.
    ///
    /// # Errors
    /// [`PrepareError`]; a refusal carries diagnostics with places.
    pub async fn prepare(
        &self,
        plugin: &Plugin,
        wasm: &[u8],
        interface: &str,
        input: &Map<String, Value>,
    ) -> Result<Prepared, PrepareError> {
        let key = Self::prepared_key(plugin, input);
        let (snapshot, warnings) = match self.inner.cache.prepared(&key) {
            Some((snapshot, warnings)) => (snapshot, serde_json::from_slice(&warnings).unwrap_or_default()),
            None => {
                let (snapshot, warnings) = self.make_snapshot(plugin, wasm, interface, input).await?;
                let kept = serde_json::to_vec(&warnings).unwrap_or_default();
                if let Err(e) = self.inner.cache.keep_prepared(&key, &snapshot, &kept) {
                    tracing::warn!(error = %e, "the snapshot could not be kept; it will be made again at the next start");
                }
                (snapshot, warnings)
            }
        };
        let sandbox = self.clone();
        let mut manifest = plugin.inner.manifest.clone();
        // The snapshot is larger by what was prepared; the call's own allowance comes on top.
        let prepared_mib = (snapshot.len() as u64).div_ceil(1 << 20);
        manifest.limits.memory_mib = Some(plugin.inner.limits.memory_mib + prepared_mib);
        let loaded = tokio::task::spawn_blocking(move || sandbox.load_as(manifest, &snapshot))
            .await
            .map_err(|e| PrepareError::Unusable(format!("loading the snapshot failed: {e}")))?
            .map_err(|e: LoadError| PrepareError::Unusable(format!("the snapshot can't be loaded: {e}")))?;
        Ok(Prepared { plugin: loaded, warnings })
    }

    /// Key under which equal preparations can be shared.
    pub fn prepared_key(plugin: &Plugin, input: &Map<String, Value>) -> String {
        prepared_digest(plugin.digest(), &Value::Object(input.clone()))
    }

    /// Runs `prepare` under its own limits and takes the snapshot.
    async fn make_snapshot(
        &self,
        plugin: &Plugin,
        wasm: &[u8],
        interface: &str,
        input: &Map<String, Value>,
    ) -> Result<(Vec<u8>, Vec<Diagnostic>), PrepareError> {
        let limits =
            Limits { memory_mib: plugin.inner.limits.memory_mib.max(Limits::PREPARE.memory_mib), ..Limits::PREPARE };
        let wall = Duration::from_millis(limits.wall_ms);
        match tokio::time::timeout(wall, self.snapshot(plugin, wasm, interface, input, limits)).await {
            Ok(done) => done,
            Err(_) => {
                let message = format!("took longer than {} ms to prepare", limits.wall_ms);
                Err(Box::new(plugin.failure("prepare", FailureKind::Time, message, None)).into())
            }
        }
    }

    async fn snapshot(
        &self,
        plugin: &Plugin,
        wasm: &[u8],
        interface: &str,
        input: &Map<String, Value>,
        limits: Limits,
    ) -> Result<(Vec<u8>, Vec<Diagnostic>), PrepareError> {
        let unusable = |what: &str, e: wasmtime::Error| PrepareError::Unusable(format!("{what}: {e:#}"));
        let mut wizer = Wizer::new();
        wizer.keep_init_func(true);
        let (context, instrumented) =
            wizer.instrument_component(wasm).map_err(|e| unusable("this component can't be snapshotted", e))?;
        let engine = &self.inner.engine;
        let component = {
            // The same for every definition: through the code cache, so that only the first one waits for the compiler.
            let inner = self.inner.clone();
            tokio::task::spawn_blocking(move || inner.cache.load(&inner.engine, &digest(&instrumented), &instrumented))
                .await
                .map_err(|e| PrepareError::Unusable(format!("compiling failed: {e}")))?
                .map_err(|e| unusable("this component does not compile for its snapshot", e))?
        };
        let path = format!("confab:plugin/{interface}");
        let callable = plugin
            .inner
            .functions
            .get(&path)
            .and_then(|functions| functions.get("prepare"))
            .ok_or_else(|| PrepareError::Unusable(format!("exports no {path}#prepare")))?;
        let mut linker: Linker<CallState> = self.inner.base.clone();
        linker.define_unknown_imports_as_traps(&component).map_err(|e| unusable("linking", e))?;
        let mut store = new_store(engine, Box::new(DenyAll), limits);
        let failed = |e: &wasmtime::Error| {
            let (kind, message, backtrace) = classify(e);
            PrepareError::Failed(Box::new(Failure { backtrace, ..plugin.failure("prepare", kind, message, None) }))
        };
        store.set_fuel(limits.instantiation_fuel).map_err(|e| unusable("fuel", e))?;
        let instance = linker.instantiate_async(&mut store, &component).await.map_err(|e| failed(&e))?;
        store.set_fuel(limits.fuel).map_err(|e| unusable("fuel", e))?;
        let values = reflect::arguments(callable.export.ty.params(), input)
            .map_err(|e| PrepareError::Unusable(format!("arguments of prepare: {e}")))?;
        // The instrumented component has other export indices than the plain one.
        let index = component
            .get_export_index(None, &callable.export.interface)
            .and_then(|i| component.get_export_index(Some(&i), "prepare"))
            .ok_or_else(|| PrepareError::Unusable(format!("exports no {path}#prepare")))?;
        let mut callable = callable.clone();
        callable.export.index = index;
        let outcome = call_on(&mut store, &instance, &callable, &values).await.map_err(|e| failed(&e))?;
        let diagnostics = |value: Value| serde_json::from_value::<Vec<Diagnostic>>(value).unwrap_or_default();
        let warnings = match outcome {
            Ok(warnings) => diagnostics(warnings),
            Err(errors) => return Err(PrepareError::Refused(diagnostics(errors))),
        };
        store.set_fuel(u64::MAX).map_err(|e| unusable("fuel", e))?;
        let mut reader = MemoryReader { store: &mut store, instance };
        let snapshot = wizer.snapshot_component(&context, &mut reader).await.map_err(|e| unusable("snapshot", e))?;
        Ok((snapshot, warnings))
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
