//! Time, chance, the connection's settings and the call that is served; calls by name.

use crate::bindings::imports::confab::plugin as wit;
use crate::error::{Code, Result, error};
use serde::de::DeserializeOwned;

#[cfg(target_arch = "wasm32")]
use crate::bindings::imports::confab::plugin as door;
#[cfg(not(target_arch = "wasm32"))]
use crate::testing::door;

pub use wit::call::{Callable, Provenance};
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

/// The two letters of the language that the visitor speaks, in lower case; none when it is not known.
pub fn language() -> Option<String> {
    let locale = context().locale?;
    let language = locale.split(['-', '_']).next().unwrap_or_default().to_ascii_lowercase();
    (language.len() == 2 && language.bytes().all(|b| b.is_ascii_lowercase())).then_some(language)
}

/// The English words, or the German ones for a visitor who speaks German.
pub fn say<T>(english: T, german: T) -> T {
    if language().as_deref() == Some("de") { german } else { english }
}

/// Calls a capability function by name. `arguments` is a JSON object by parameter name.
pub fn invoke(capability: &str, function: &str, arguments: &str) -> Result<String> {
    wit::call::invoke(capability, function, arguments)
}

/// Where the answer of the last capability call comes from, by name or typed: from when it is, and whether it is stale.
/// None before the first call, and when the last one failed.
pub fn last_answer() -> Option<Provenance> {
    wit::call::last_answer()
}

/// What the bot may call, with schemas.
pub fn available() -> Vec<Callable> {
    wit::call::available()
}
