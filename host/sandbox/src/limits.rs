//! Every limit of a plugin call, in one table.
//!
//! A manifest asks, the operator's [`LimitPolicy`] clamps: a value below the floor is raised, one above
//! the ceiling lowered. 0 is refused, because a plugin that can't run is a mistake, not a wish.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How often the epoch clock ticks: how long a guest may compute before it moves to the slow lane and lets others run.
/// An ordinary turn computes 0.1 to 0.5 ms. 500 ticks a second cost 0.2 % of a core.
pub const EPOCH_TICK: Duration = Duration::from_millis(2);

/// Entries of the host's own resource table.
pub const RESOURCES: usize = 256;

/// Elements of one table that a slot of the pool can hold: the most that a ceiling may say. JS guests need some thousands.
pub const TABLE_ELEMENTS: u32 = 20_000;

/// Bytes of one line of log; the rest of the line is cut.
pub const LOG_LINE_BYTES: usize = 2 << 10;

/// Host calls that no other limit counts (clock, random, settings, log): so many that no honest plugin comes near, so few that
/// a loop of them ends soon. Each costs a guest about 30 units of fuel and the host a hundred times as much.
pub const SMALL_CALLS: u32 = 10_000;

/// Stack of the guest, in bytes. wasmtime's default; a deeper recursion traps.
pub const WASM_STACK: usize = 512 << 10;

/// Largest component file. A Python component has 19 MB.
pub const COMPONENT_BYTES: usize = 64 << 20;

/// Core instances and memories a component may have. A Rust component has one memory and three instances (wit-component's shims).
pub const CORE_INSTANCES: u32 = 16;
/// See [`CORE_INSTANCES`].
pub const MEMORIES: u32 = 4;

/// Limits of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Fuel of a call: about the number of Wasm instructions. 1 G is 0.5 to 1 s.
    pub fuel: u64,
    /// Fuel for instantiation, on its own account: whether initialisation code runs depends on copy-on-write (wasmtime#14331).
    pub instantiation_fuel: u64,
    /// Wall time of a call in milliseconds, host calls included.
    pub wall_ms: u64,
    /// All linear memories together, in MiB.
    pub memory_mib: u64,
    /// Elements of all tables together.
    pub table_elements: u32,
    /// Handles (WASI streams, pollables) a component may hold. Capability interfaces have none at all.
    pub handles: u32,
    /// Bytes that may cross the border in one host call, either way, in KiB. Larger values belong into a file.
    pub border_kib: u32,
    /// Bytes of the call's result, in KiB.
    pub result_kib: u32,
    /// Capability and LLM calls of one call.
    pub host_calls: u32,
    /// HTTP requests of one call.
    pub http_calls: u32,
    /// Bytes of all HTTP requests of one call together, in KiB: bodies, paths and headers.
    pub http_kib: u32,
    /// Reads and writes of stored data in one call.
    pub kv_calls: u32,
    /// Lines of log of one call; the rest is counted and dropped.
    pub log_lines: u32,
}

impl Limits {
    /// What an intent plugin gets that asks for nothing.
    pub const INTENT: Limits = Limits {
        fuel: 200_000_000,
        instantiation_fuel: 50_000_000,
        wall_ms: 30_000,
        memory_mib: 32,
        table_elements: 10_000,
        handles: 1_000,
        border_kib: 4 << 10,
        result_kib: 4 << 10,
        host_calls: 64,
        http_calls: 0,
        http_kib: 0,
        kv_calls: 64,
        log_lines: 256,
    };
    /// What a connector gets that asks for nothing.
    pub const CONNECTOR: Limits = Limits {
        fuel: 1_000_000_000,
        memory_mib: 64,
        host_calls: 0,
        http_calls: 16,
        http_kib: 8 << 10,
        ..Limits::INTENT
    };
    /// `prepare` runs once at publish, in the background: it may train for a while.
    pub const PREPARE: Limits = Limits {
        fuel: 50_000_000_000,
        wall_ms: 60_000,
        memory_mib: 128,
        // Definition and data files go in whole: up to 8 MiB of files, in base64.
        border_kib: 32 << 10,
        host_calls: 0,
        kv_calls: 0,
        ..Limits::INTENT
    };

    /// Bytes that may cross the border in one host call.
    pub fn border_bytes(&self) -> usize {
        (self.border_kib as usize) << 10
    }
}

impl Default for Limits {
    fn default() -> Self {
        Limits::CONNECTOR
    }
}

/// Does the same for each limit that a manifest may ask for and an operator may bound.
macro_rules! each_limit {
    ($do:ident!) => {
        $do! {
            fuel: u64, wall_ms: u64, memory_mib: u64, table_elements: u32, handles: u32, border_kib: u32, result_kib: u32,
            host_calls: u32, http_calls: u32, http_kib: u32, kv_calls: u32, log_lines: u32
        }
    };
}

macro_rules! request {
    ($($name:ident: $ty:ty),*) => {
        /// What a manifest asks for; what it leaves out is the default of its kind.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct LimitRequest {
            $(
                #[doc = concat!("See [`Limits::", stringify!($name), "`].")]
                #[serde(default, skip_serializing_if = "Option::is_none")]
                pub $name: Option<$ty>,
            )*
        }
    };
}
each_limit!(request!);

/// Smallest and largest value that the operator lets a plugin have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitPolicy {
    /// Nothing gets less.
    #[serde(deserialize_with = "over_floor")]
    pub floor: Limits,
    /// Nothing gets more. Its memory also sizes the slots of the pool.
    #[serde(deserialize_with = "over_ceiling")]
    pub ceiling: Limits,
}

impl Default for LimitPolicy {
    fn default() -> Self {
        LimitPolicy { floor: FLOOR, ceiling: CEILING }
    }
}

const FLOOR: Limits = Limits {
    fuel: 1_000_000,
    instantiation_fuel: 1_000_000,
    wall_ms: 100,
    memory_mib: 1,
    table_elements: 100,
    handles: 16,
    border_kib: 64,
    result_kib: 64,
    host_calls: 0,
    http_calls: 0,
    http_kib: 0,
    kv_calls: 0,
    log_lines: 16,
};

const CEILING: Limits = Limits {
    fuel: 10_000_000_000,
    instantiation_fuel: 500_000_000,
    wall_ms: 120_000,
    memory_mib: 128,
    table_elements: TABLE_ELEMENTS,
    handles: 1_000,
    border_kib: 16 << 10,
    result_kib: 16 << 10,
    host_calls: 256,
    http_calls: 64,
    http_kib: 64 << 10,
    kv_calls: 1_000,
    log_lines: 1_000,
};

/// A partial table over a default one: an operator writes only what is to be different.
fn over<'de, D: serde::Deserializer<'de>>(deserializer: D, base: Limits) -> Result<Limits, D::Error> {
    Ok(over_request(&LimitRequest::deserialize(deserializer)?, base))
}

fn over_request(given: &LimitRequest, base: Limits) -> Limits {
    let mut limits = base;
    macro_rules! take {
        ($($name:ident: $ty:ty),*) => { $(if let Some(value) = given.$name { limits.$name = value; })* };
    }
    each_limit!(take!);
    limits
}

fn over_floor<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Limits, D::Error> {
    over(deserializer, FLOOR)
}

fn over_ceiling<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Limits, D::Error> {
    over(deserializer, CEILING)
}

impl LimitPolicy {
    /// The default policy with what the operator wants different.
    pub fn of(floor: &LimitRequest, ceiling: &LimitRequest) -> Self {
        LimitPolicy { floor: over_request(floor, FLOOR), ceiling: over_request(ceiling, CEILING) }
    }

    /// Whether floor and ceiling make sense.
    ///
    /// # Errors
    /// What is wrong, in the words of the limits file.
    pub fn check(&self) -> Result<(), String> {
        let (floor, ceiling) = (&self.floor, &self.ceiling);
        macro_rules! compare {
            ($($name:ident: $ty:ty),*) => {
                $(if floor.$name > ceiling.$name {
                    return Err(format!("floor.{0} is {1}, more than ceiling.{0}, which is {2}", stringify!($name), floor.$name, ceiling.$name));
                })*
            };
        }
        each_limit!(compare!);
        for (name, value) in [("fuel", ceiling.fuel), ("wall_ms", ceiling.wall_ms), ("memory_mib", ceiling.memory_mib)]
        {
            if value == 0 {
                return Err(format!("ceiling.{name} is 0: no plugin could run"));
            }
        }
        if ceiling.memory_mib > 4096 {
            return Err("ceiling.memory_mib is more than 4096, which is all that a 32-bit memory can have".into());
        }
        if ceiling.table_elements > TABLE_ELEMENTS {
            return Err(format!(
                "ceiling.table_elements is more than {TABLE_ELEMENTS}, which is all that the pool has"
            ));
        }
        Ok(())
    }

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
        macro_rules! clamp {
            ($($name:ident: $ty:ty),*) => {
                Limits {
                    instantiation_fuel: defaults.instantiation_fuel.clamp(low.instantiation_fuel, high.instantiation_fuel),
                    $($name: asked.$name.unwrap_or(defaults.$name).max(low.$name).min(high.$name),)*
                }
            };
        }
        Ok(each_limit!(clamp!))
    }

    /// What a manifest asks for beyond the ceiling or below the floor: name, asked, given.
    pub fn clamped(&self, asked: &LimitRequest) -> Vec<(&'static str, u64, u64)> {
        let mut changed = Vec::new();
        macro_rules! compare {
            ($($name:ident: $ty:ty),*) => {
                $(if let Some(wish) = asked.$name {
                    let given = wish.max(self.floor.$name).min(self.ceiling.$name);
                    if given != wish {
                        changed.push((stringify!($name), u64::from(wish), u64::from(given)));
                    }
                })*
            };
        }
        each_limit!(compare!);
        changed
    }
}

/// What is said of a limit that is 0.
pub(crate) fn zero(limit: &str) -> String {
    format!("limits.{limit} is 0: leave it out for the default, or give what the plugin needs")
}

/// What one tenant may use of a host, over all its bots and connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TenantLimits {
    /// Plugin calls of a kind that run at once. Half of the default places, so that one tenant never has them all.
    pub calls: u32,
    /// Plugin calls that wait for a place. Longer queues only pile up.
    pub waiting: u32,
    /// Fuel a minute. 120 G is about one core.
    pub fuel_per_minute: u64,
    /// Bytes a second that its plugins write as data, in KiB. A burst of ten seconds is let through.
    pub kv_kib_per_second: u32,
    /// Lines a second that its plugins write to the log. A burst of ten seconds is let through.
    pub log_lines_per_second: u32,
    /// Percent of the machine's CPU time that is given out while tenants who use far more than others are held back. Below it
    /// nobody is.
    pub busy_percent: u32,
}

impl TenantLimits {
    /// Whether a tenant could do anything with them.
    ///
    /// # Errors
    /// What is wrong, in the words of the limits file.
    pub fn check(&self) -> Result<(), String> {
        for (name, value) in [("calls", u64::from(self.calls)), ("fuel_per_minute", self.fuel_per_minute)] {
            if value == 0 {
                return Err(format!("tenant.{name} is 0: no tenant could run anything"));
            }
        }
        Ok(())
    }
}

impl Default for TenantLimits {
    fn default() -> Self {
        TenantLimits {
            calls: 64,
            waiting: 256,
            fuel_per_minute: 120_000_000_000,
            kv_kib_per_second: 1 << 10,
            log_lines_per_second: 200,
            busy_percent: 25,
        }
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
