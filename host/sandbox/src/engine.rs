//! wasmtime, set up once for the process: pool, fuel, epochs, code cache.
//!
//! | setting | why |
//! |---|---|
//! | pooling allocator, copy-on-write images | a fresh instance costs microseconds and one system call |
//! | pagemap scan + keep-resident | 4 us a call instead of 10; the only variant that scales with threads |
//! | component-model async off | a fresh call is 2.6 times cheaper, and most of 2026's advisories were there |
//! | no threads, memory64, GC, exceptions | no guest of ours needs them; each is attack surface |
//!
//! Intents and connectors have separate places in the pool: an intent that waits for its connector can't
//! take the place that the connector needs. Publishing has a few of its own.

use crate::aot::{AotCache, hex};
use crate::bindings;
use crate::compile::Compiler;
use crate::lanes::Lanes;
use crate::limits::{CORE_INSTANCES, EPOCH_TICK, LimitPolicy, MEMORIES, TABLE_ELEMENTS, TenantLimits, WASM_STACK};
use crate::places::Places;
use crate::plugin::LoadedList;
use crate::state::CallState;
use crate::tenants::{SWEEP, Tenants};
use crate::warm;
use futures::future::BoxFuture;
use sha2::{Digest, Sha256};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::sync::Semaphore;
use wasmtime::component::{HasSelf, Linker};
use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Result, error::Context as _,
};

/// How to set up a [`Sandbox`].
#[derive(Clone, Debug)]
pub struct SandboxConfig {
    /// Directory for compiled code; created with mode 0700.
    pub cache_dir: PathBuf,
    /// Plugin calls that may run at once, of each kind. The pool reserves 4 GiB of address space a memory
    /// (no memory until it is used), so 128 of each kind is 2 TiB of the 128 TiB there are.
    pub calls: u32,
    /// What plugins may have.
    pub policy: LimitPolicy,
    /// What a tenant may use, over all its plugins.
    pub tenant: TenantLimits,
    /// Components that stay mapped. Each takes three memory mappings, of which a process has 65,530, and its code about
    /// ten times its size in Wasm; those not used longest are dropped and mapped again when they are needed.
    pub loaded: usize,
    /// Who compiles. A server that takes strangers' plugins sets [`Compiler::Child`].
    pub compiler: Compiler,
}

/// CPU time of a turn without its plugin calls, in nanoseconds: HTTP, conversation, commit. To measure it would cost a twentieth of it.
const AROUND_A_TURN_NS: u64 = 80_000;

/// Preparations for publishing that run at once, beside calls.
const PREPARING: u32 = 4;

impl SandboxConfig {
    /// Defaults, with code cached in this directory.
    pub fn new(cache_dir: impl Into<PathBuf>) -> Self {
        SandboxConfig {
            cache_dir: cache_dir.into(),
            calls: 128,
            policy: LimitPolicy::default(),
            tenant: TenantLimits::default(),
            loaded: 1_000,
            compiler: Compiler::Here,
        }
    }
}

/// Why a turn was not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotRun {
    /// Its tenant uses far more than others and has as many turns waiting as it may.
    TooMany,
    /// The process is about to end.
    Stopping,
}

/// The engine that all plugins of a process share.
#[derive(Clone)]
pub struct Sandbox {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) engine: Engine,
    pub(crate) base: Linker<CallState>,
    pub(crate) cache: AotCache,
    pub(crate) policy: LimitPolicy,
    pub(crate) tenants: Arc<Tenants>,
    pub(crate) lanes: Arc<Lanes>,
    pub(crate) intents: Arc<Places>,
    pub(crate) connectors: Arc<Places>,
    pub(crate) preparing: Semaphore,
    pub(crate) loaded: LoadedList,
    /// Ticks of the epoch clock since the start: a clock for what was used when.
    pub(crate) ticks: Arc<AtomicU64>,
    pub(crate) calls: u32,
    stop: Arc<AtomicBool>,
}

impl std::fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sandbox").field("calls", &self.inner.calls).finish_non_exhaustive()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

impl Sandbox {
    /// Sets up the engine and starts its clock.
    ///
    /// # Errors
    /// When the pool's address space can't be reserved or the code cache can't be used; the message says which.
    pub fn new(config: SandboxConfig) -> Result<Sandbox> {
        let engine = Engine::new(&engine_config(&config)).context(
            "can't set up the instance pool: lower `calls`, or raise the limit on address space (ulimit -v, vm.overcommit_memory)",
        )?;
        let cache = AotCache::open(&config.cache_dir, &engine, config.compiler)?;
        let mut base = Linker::new(&engine);
        bindings::Host_::add_to_linker::<CallState, HasSelf<CallState>>(&mut base, |state| state)?;
        let stop = Arc::new(AtomicBool::new(false));
        let ticks = Arc::new(AtomicU64::new(0));
        let tenants = Arc::new(Tenants::new(config.tenant));
        start_clock(&engine, stop.clone(), ticks.clone(), tenants.clone())?;
        let lanes = Lanes::new().context("can't start the threads of the slow lane")?;
        let places = || Places::new(config.calls, config.tenant.calls, config.tenant.waiting);
        let pagemap = PoolingAllocationConfig::is_pagemap_scan_available();
        tracing::info!(
            calls = config.calls,
            pagemap_scan = pagemap,
            "sandbox ready: pooling allocator, copy-on-write images"
        );
        Ok(Sandbox {
            inner: Arc::new(Inner {
                engine,
                base,
                cache,
                policy: config.policy,
                tenants,
                lanes: Arc::new(lanes),
                intents: places(),
                connectors: places(),
                preparing: Semaphore::new(PREPARING as usize),
                loaded: LoadedList::new(config.loaded),
                ticks,
                calls: config.calls,
                stop,
            }),
        })
    }

    /// What plugins may have.
    pub fn policy(&self) -> &LimitPolicy {
        &self.inner.policy
    }

    /// Places for plugin calls that are free now: intents, connectors.
    pub fn free_places(&self) -> (usize, usize) {
        (self.inner.intents.free(), self.inner.connectors.free())
    }

    /// What tenants use of this host now.
    pub fn tenants(&self) -> &Tenants {
        &self.inner.tenants
    }

    /// Seconds until a tenant that has used up its fuel has some again.
    pub fn fuel_in_s(&self, tenant: &str) -> u32 {
        self.inner.tenants.fuel_in_s(&self.inner.tenants.of(tenant))
    }

    /// Components that are mapped now.
    pub fn loaded(&self) -> usize {
        self.inner.loaded.count()
    }

    /// Runs a turn of a tenant; when the tenant uses far more than others, after a wait and in the slow lane. The plugin calls in it are measured by
    /// themselves, what is around them is counted as [`AROUND_A_TURN_NS`].
    ///
    /// # Errors
    /// [`NotRun`]
    pub async fn run_for<T: Send + 'static>(&self, tenant: &str, future: BoxFuture<'static, T>) -> Result<T, NotRun> {
        let tenant = self.inner.tenants.of(tenant);
        if tenant.is_greedy() {
            if !tenant.may_go_on(self.inner.tenants.most_waiting()).await {
                return Err(NotRun::TooMany);
            }
            tenant.used_cpu(AROUND_A_TURN_NS);
            let running = self.inner.lanes.slowly(future).ok_or(NotRun::Stopping)?;
            return running.await.map_err(|_| NotRun::Stopping);
        }
        tenant.used_cpu(AROUND_A_TURN_NS);
        Ok(future.await)
    }
}

/// SHA-256 of a component, in hexadecimal.
pub fn digest(wasm: &[u8]) -> String {
    hex(&Sha256::digest(wasm), 32)
}

fn engine_config(config: &SandboxConfig) -> Config {
    let slots = config.calls.saturating_mul(2).saturating_add(PREPARING).saturating_add(warm::KEPT_BY_ALL);
    let mut pool = PoolingAllocationConfig::default();
    pool.total_component_instances(slots)
        .total_core_instances(slots.saturating_mul(CORE_INSTANCES))
        // For the largest component that is let in, or one tenant's calls would take the room of others.
        .total_memories(slots.saturating_mul(MEMORIES))
        .total_tables(slots.saturating_mul(8))
        .total_stacks(slots)
        .max_core_instances_per_component(CORE_INSTANCES)
        .max_memories_per_component(MEMORIES)
        .max_tables_per_component(8)
        .max_memory_size((config.policy.ceiling.memory_mib as usize) << 20)
        .table_elements(TABLE_ELEMENTS as usize)
        .max_unused_warm_slots(slots)
        // Measured best together (shared facts, performance.md): pages touched are reset in place, found by one ioctl.
        // Beyond KEEP_RESIDENT they go back to the system: a plugin that fills its memory must not leave it filled.
        .linear_memory_keep_resident(KEEP_RESIDENT)
        .table_keep_resident(256 << 10)
        .async_stack_keep_resident(64 << 10)
        .pagemap_scan(Enabled::Auto);
    let mut engine = code_config();
    engine.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    engine
}

/// Bytes of a memory that stay resident in a slot after a call. A turn of a flow bot touches less than 1 MiB; 128 calls of each
/// kind that filled their memories leave 256 MiB.
const KEEP_RESIDENT: usize = 1 << 20;

/// All that shapes compiled code; the compiler's process has this without the pool.
pub(crate) fn code_config() -> Config {
    let mut engine = Config::new();
    engine
        .memory_init_cow(true)
        .consume_fuel(true)
        .epoch_interruption(true)
        .wasm_component_model(true)
        .concurrency_support(false)
        .wasm_memory64(false)
        .wasm_relaxed_simd(true)
        .relaxed_simd_deterministic(true)
        .max_wasm_stack(WASM_STACK)
        // A fiber's stack holds the guest's and what host functions need below it.
        .async_stack_size(WASM_STACK + (512 << 10))
        .wasm_backtrace_max_frames(std::num::NonZeroUsize::new(32));
    engine
}

/// Ticks on its own OS thread: a busy async runtime must not be able to stop the clock.
fn start_clock(engine: &Engine, stop: Arc<AtomicBool>, ticks: Arc<AtomicU64>, tenants: Arc<Tenants>) -> Result<()> {
    let engine = engine.weak();
    let sweep = (SWEEP.as_millis() / EPOCH_TICK.as_millis()).max(1) as u64;
    std::thread::Builder::new()
        .name("confab-epoch".into())
        .spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                std::thread::sleep(EPOCH_TICK);
                match engine.upgrade() {
                    Some(engine) => engine.increment_epoch(),
                    None => return,
                }
                tenants.tick();
                if ticks.fetch_add(1, Ordering::Relaxed).is_multiple_of(sweep) {
                    tenants.sweep();
                }
            }
        })
        .context("can't start the epoch clock")?;
    Ok(())
}
