//! Every limit of a plugin call, in one table.
//!
//! A manifest asks, the operator's [`LimitPolicy`] clamps: a value below the floor is raised, one above
//! the ceiling lowered. 0 is refused, because a plugin that can't run is a mistake, not a wish.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How often the epoch clock ticks: how long a guest may compute before it lets others run.
/// 10 ms keeps a busy guest from being felt by other conversations and costs below noise.
pub const EPOCH_TICK: Duration = Duration::from_millis(10);

/// Bytes that may cross the border in one host call, either way. Larger values belong into a file.
pub const HOSTCALL_BYTES: usize = 4 << 20;

/// Handles (WASI streams, pollables) a component may hold. Capability interfaces have none at all.
pub const HANDLES: usize = 1_000;

/// Entries of the host's own resource table.
pub const RESOURCES: usize = 256;

/// Elements of one table. Rust guests need some hundreds, JS guests some thousands.
pub const TABLE_ELEMENTS: usize = 20_000;

/// Lines of log a call may write, and bytes of one line. The rest is counted and dropped.
pub const LOG_LINES: u32 = 256;
/// See [`LOG_LINES`].
pub const LOG_LINE_BYTES: usize = 2 << 10;

/// Stack of the guest, in bytes. wasmtime's default; a deeper recursion traps.
pub const WASM_STACK: usize = 512 << 10;

/// Largest component file. A Python component has 19 MB.
pub const COMPONENT_BYTES: usize = 64 << 20;

/// Core instances and memories a component may have. A Rust component has one memory and three instances (wit-component's shims).
pub const CORE_INSTANCES: u32 = 16;
/// See [`CORE_INSTANCES`].
pub const MEMORIES: u32 = 4;

/// Limits of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Fuel of a call: about the number of Wasm instructions. 1 G is 0.05 to 0.15 s.
    pub fuel: u64,
    /// Fuel for instantiation, on its own account: whether initialisation code runs depends on copy-on-write (wasmtime#14331).
    pub instantiation_fuel: u64,
    /// Wall time of a call in milliseconds, host calls included.
    pub wall_ms: u64,
    /// All linear memories together, in MiB.
    pub memory_mib: u64,
    /// Capability and LLM calls of one call.
    pub host_calls: u32,
    /// HTTP requests of one call.
    pub http_calls: u32,
    /// Reads and writes of stored data in one call.
    pub kv_calls: u32,
}

impl Limits {
    /// What an intent plugin gets that asks for nothing.
    pub const INTENT: Limits = Limits {
        fuel: 200_000_000,
        instantiation_fuel: 50_000_000,
        wall_ms: 30_000,
        memory_mib: 32,
        host_calls: 64,
        http_calls: 0,
        kv_calls: 64,
    };
    /// What a connector gets that asks for nothing.
    pub const CONNECTOR: Limits = Limits {
        fuel: 1_000_000_000,
        instantiation_fuel: 50_000_000,
        wall_ms: 30_000,
        memory_mib: 64,
        host_calls: 0,
        http_calls: 16,
        kv_calls: 64,
    };
    /// `prepare` runs once at publish, in the background: it may train for a while.
    pub const PREPARE: Limits = Limits {
        fuel: 50_000_000_000,
        instantiation_fuel: 50_000_000,
        wall_ms: 60_000,
        memory_mib: 128,
        host_calls: 0,
        http_calls: 0,
        kv_calls: 0,
    };
}

impl Default for Limits {
    fn default() -> Self {
        Limits::CONNECTOR
    }
}

/// What a manifest asks for; what it leaves out is the default of its kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitRequest {
    /// See [`Limits::fuel`].
    pub fuel: Option<u64>,
    /// See [`Limits::wall_ms`].
    pub wall_ms: Option<u64>,
    /// See [`Limits::memory_mib`].
    pub memory_mib: Option<u64>,
    /// See [`Limits::host_calls`].
    pub host_calls: Option<u32>,
    /// See [`Limits::http_calls`].
    pub http_calls: Option<u32>,
    /// See [`Limits::kv_calls`].
    pub kv_calls: Option<u32>,
}

/// Smallest and largest value that the operator lets a plugin have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitPolicy {
    /// Nothing gets less.
    pub floor: Limits,
    /// Nothing gets more. Its memory also sizes the slots of the pool.
    pub ceiling: Limits,
}

impl Default for LimitPolicy {
    fn default() -> Self {
        LimitPolicy {
            floor: Limits {
                fuel: 1_000_000,
                instantiation_fuel: 1_000_000,
                wall_ms: 100,
                memory_mib: 1,
                host_calls: 0,
                http_calls: 0,
                kv_calls: 0,
            },
            ceiling: Limits {
                fuel: 10_000_000_000,
                instantiation_fuel: 500_000_000,
                wall_ms: 120_000,
                memory_mib: 128,
                host_calls: 256,
                http_calls: 64,
                kv_calls: 1_000,
            },
        }
    }
}

impl LimitPolicy {
    /// The limits for a plugin of a kind with these defaults that asks for that.
    ///
    /// # Errors
    /// The name of a limit that is 0 where 0 would keep the plugin from running.
    pub fn clamp(&self, defaults: Limits, asked: &LimitRequest) -> Result<Limits, &'static str> {
        for (name, value) in [("fuel", asked.fuel), ("wall_ms", asked.wall_ms), ("memory_mib", asked.memory_mib)] {
            if value == Some(0) {
                return Err(name);
            }
        }
        let (low, high) = (&self.floor, &self.ceiling);
        Ok(Limits {
            fuel: asked.fuel.unwrap_or(defaults.fuel).clamp(low.fuel, high.fuel),
            instantiation_fuel: defaults.instantiation_fuel.clamp(low.instantiation_fuel, high.instantiation_fuel),
            wall_ms: asked.wall_ms.unwrap_or(defaults.wall_ms).clamp(low.wall_ms, high.wall_ms),
            memory_mib: asked.memory_mib.unwrap_or(defaults.memory_mib).clamp(low.memory_mib, high.memory_mib),
            host_calls: asked.host_calls.unwrap_or(defaults.host_calls).clamp(low.host_calls, high.host_calls),
            http_calls: asked.http_calls.unwrap_or(defaults.http_calls).clamp(low.http_calls, high.http_calls),
            kv_calls: asked.kv_calls.unwrap_or(defaults.kv_calls).clamp(low.kv_calls, high.kv_calls),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wishes_are_clamped_and_zero_is_refused() {
        let policy = LimitPolicy::default();
        let asked =
            LimitRequest { fuel: Some(u64::MAX), memory_mib: Some(4_096), wall_ms: Some(1), ..Default::default() };
        let got = policy.clamp(Limits::CONNECTOR, &asked).unwrap();
        assert_eq!(got.fuel, policy.ceiling.fuel);
        assert_eq!(got.memory_mib, 128);
        assert_eq!(got.wall_ms, 100);
        assert_eq!(got.http_calls, Limits::CONNECTOR.http_calls);
        let zero = LimitRequest { fuel: Some(0), ..Default::default() };
        assert_eq!(policy.clamp(Limits::INTENT, &zero), Err("fuel"));
    }
}
