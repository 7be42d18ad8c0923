//! A panic's message and place, said in the log before the guest aborts: the host sees only `unreachable`.
//!
//! The hook is set by a constructor, which wit-bindgen's exports run once in an instance before anything else; where `prepare` is
//! snapshotted, once for all. Until a panic it costs nothing.
#![allow(unsafe_code, reason = "a constructor can't be registered without")]

use std::panic::{PanicHookInfo, set_hook};

// SAFETY: `.init_array` is the linker's list of constructors; they are called without arguments, once, and one after the other.
#[used]
#[unsafe(link_section = ".init_array")]
static INSTALL: extern "C" fn() = install;

extern "C" fn install() {
    set_hook(Box::new(say));
}

#[cold]
fn say(panic: &PanicHookInfo<'_>) {
    let message = panic.payload_as_str().unwrap_or_default();
    // There is always a place. The host cuts the line to its size.
    if let Some(place) = panic.location() {
        crate::log::error(format!("panicked at {}:{}: {message}", place.file(), place.line()));
    }
}
