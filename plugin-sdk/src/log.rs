//! Lines for the operator. 256 a call, 2 KiB each; never write a secret or a visitor's message into one.

use crate::bindings::imports::confab::plugin::log as wit;

#[cfg(target_arch = "wasm32")]
use crate::bindings::imports::confab::plugin::log as door;
#[cfg(not(target_arch = "wasm32"))]
use crate::testing::door::log as door;

/// Only for debugging the plugin.
pub fn debug(message: impl AsRef<str>) {
    door::write(wit::Level::Debug, message.as_ref());
}
/// Worth knowing.
pub fn info(message: impl AsRef<str>) {
    door::write(wit::Level::Info, message.as_ref());
}
/// Should be looked at.
pub fn warn(message: impl AsRef<str>) {
    door::write(wit::Level::Warn, message.as_ref());
}
/// Went wrong.
pub fn error(message: impl AsRef<str>) {
    door::write(wit::Level::Error, message.as_ref());
}
