//! Time, chance, the connection's settings and the call that is served; calls by name.

use crate::bindings::imports::confab::plugin as wit;
use crate::error::{Code, Result, error};
use serde::de::DeserializeOwned;

#[cfg(target_arch = "wasm32")]
use crate::bindings::imports::confab::plugin as door;
#[cfg(not(target_arch = "wasm32"))]
use crate::testing::door;

pub use wit::call::Callable;
pub use wit::connection::CallContext;

/// Milliseconds since 1970. Stands still during a call.
pub fn now_millis() -> u64 {
    door::clock::now()
}

/// Now as RFC 3339 in UTC, to the second.
pub fn now_rfc3339() -> String {
    crate::dates::of_millis(now_millis())
}

/// Random bytes, at most 1,024.
pub fn random_bytes(len: u32) -> Vec<u8> {
    door::random::bytes(len)
}

/// The connection's settings. They are valid against the manifest's schema.
pub fn settings<T: DeserializeOwned>() -> Result<T> {
    serde_json::from_str(&door::connection::settings())
        .map_err(|e| error(Code::Misconfigured, format!("settings of the connection: {e}")))
}

/// The call that is served: idempotency key, time left, language.
pub fn context() -> CallContext {
    door::connection::context()
}

/// Calls a capability function by name. `arguments` is a JSON object by parameter name.
pub fn invoke(capability: &str, function: &str, arguments: &str) -> Result<String> {
    wit::call::invoke(capability, function, arguments)
}

/// What the bot may call, with schemas.
pub fn available() -> Vec<Callable> {
    wit::call::available()
}
