//! Write a Confab plugin in Rust.
//!
//! A connector is a type that implements the traits of the capabilities it serves, and one line that
//! says which those are. Everything else (memory, encoding, transport, credentials, caching, retries)
//! is the host's. A plugin is built with `confab plugin build DIR`.
//!
//! | module | what it holds |
//! |---|---|
//! | [`orders`], [`inventory`], [`catalog`], [`contacts`], [`leads`], [`tickets`] | a trait to implement for each capability, with its records |
//! | [`lifecycle`], [`files`], [`health`], [`mod@webhook`] | optional traits of connectors |
//! | [`dialogue`] | the trait of intent plugins |
//! | [`use_capability`] | typed calls of the bot's capabilities, for intent plugins |
//! | [`http`], [`kv`], [`log`], [`host`] | what the host offers |
//! | [`effects`] | what a turn leaves behind: reminders, watches, word to the tenant's systems |
//! | [`signatures`] | checks with secrets that the plugin never sees, for webhooks |
//! | [`graphql`], [`jsonrpc`], [`odata`], [`pages`] | ways of speaking that many systems share |
//! | [`dates`], [`money`], [`people`], [`json`], [`html`], [`once`], [`words`] | values made comparable, checked, and written once |
//! | `testing` | a host for `cargo test` (not in Wasm) |
//!
//! ```
//! use confab_plugin_sdk::prelude::*;
//! use confab_plugin_sdk::{http::Request, inventory::{Inventory, StockLevel}};
//! use serde::Deserialize;
//!
//! struct Acme;
//!
//! #[derive(Deserialize)]
//! struct Stock { sku: String, title: String, free: f64, shelf: f64 }
//!
//! impl Inventory for Acme {
//!     fn availability(sku: String, _location: Option<String>) -> Result<Vec<StockLevel>> {
//!         let stock: Stock = Request::get("api", format!("/stock/{}", path_segment(&sku))).send()?.json()?;
//!         Ok(vec![StockLevel {
//!             sku: stock.sku,
//!             name: stock.title,
//!             available: stock.free,
//!             on_hand: stock.shelf,
//!             as_of: host::now_rfc3339(),
//!             ..Default::default()
//!         }])
//!     }
//! }
//!
//! confab_plugin_sdk::connector!(Acme: inventory);
//! # fn main() {}
//! ```

// The generated bindings and the allocator are the only places that need it.
#![deny(unsafe_code)]

#[cfg(all(target_arch = "wasm32", feature = "bump-allocator"))]
mod alloc;
mod bindings;
pub mod catalog;
pub mod dates;
pub mod effects;
mod error;
pub mod graphql;
pub mod health;
pub mod host;
pub mod html;
pub mod http;
pub mod inventory;
pub mod json;
pub mod jsonrpc;
pub mod kv;
pub mod leads;
pub mod log;
pub mod money;
pub mod odata;
pub mod once;
pub mod orders;
pub mod pages;
#[cfg(target_arch = "wasm32")]
mod panic;
pub mod people;
pub mod signatures;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;
mod text;
pub mod tickets;
pub mod webhook;
pub mod words;

pub use bindings::{contacts, dialogue, files, lifecycle, use_capability};
pub use error::{Code, Result, error};
pub use text::{extras, filled, path_segment};

/// Records that several capabilities share.
pub mod types {
    pub use crate::bindings::shared::confab::capabilities::types::{Error, ExtraField, Money, Person, Proof};
    pub use crate::bindings::shared::confab::plugin::types::{Diagnostic, Failure, NamedFile};
}

/// What nearly every plugin needs.
pub mod prelude {
    pub use crate::error::{Code, Result, error};
    pub use crate::text::path_segment;
    pub use crate::types::{Diagnostic, Error, ExtraField, Failure, Money, NamedFile, Person, Proof};
    pub use crate::{host, http, kv, log};
}

/// Runs what `prepare` does. What it allocates and frees is booked properly, and what it keeps becomes part of the
/// snapshot; calls afterwards only add to memory. Wrap the whole body of `prepare` in it:
///
/// ```
/// # use confab_plugin_sdk::prelude::*;
/// fn prepare(settings: String) -> Result<Vec<Diagnostic>, Vec<Diagnostic>> {
///     confab_plugin_sdk::preparing(|| {
///         // parse, check, build indexes, keep them in a static
///         let _ = settings;
///         Ok(Vec::new())
///     })
/// }
/// ```
pub fn preparing<T>(body: impl FnOnce() -> T) -> T {
    #[cfg(all(target_arch = "wasm32", feature = "bump-allocator"))]
    alloc::GUEST.begin_preparing();
    let result = body();
    #[cfg(all(target_arch = "wasm32", feature = "bump-allocator"))]
    alloc::GUEST.end_preparing();
    result
}

#[doc(hidden)]
pub use bindings::exporters as __exporters;

/// Says what there is, where a name of [`connector!`] is none of it.
#[doc(hidden)]
#[macro_export]
macro_rules! __exportable {
    (orders) => {};
    (inventory) => {};
    (catalog) => {};
    (contacts) => {};
    (leads) => {};
    (tickets) => {};
    (lifecycle) => {};
    (files) => {};
    (health) => {};
    (webhook) => {};
    ($other:ident) => {
        compile_error!(concat!(
            "a connector has no `",
            stringify!($other),
            "`; there are: orders, inventory, catalog, contacts, leads, tickets, lifecycle, files, health, webhook"
        ));
    };
}

/// Exports a connector: `connector!(Type: orders, inventory, files);`
///
/// The type implements the trait of each name in the list. Names are those of the modules of this crate.
#[macro_export]
macro_rules! connector {
    ($ty:ident: $($capability:ident),+ $(,)?) => {
        $(
            $crate::__exportable!($capability);
            #[cfg(target_arch = "wasm32")]
            $crate::__exporters::$capability::export!($ty with_types_in $crate::__exporters::$capability);
            // Elsewhere (`cargo test`) only the type is checked: names such as `confab:capabilities/orders@1.0.0#get`
            // in a cdylib's version script are a syntax error for native linkers.
            #[cfg(not(target_arch = "wasm32"))]
            const _: () = {
                const fn serves<T: $crate::$capability::Guest>() {}
                serves::<$ty>()
            };
        )+
    };
}

/// Exports an intent plugin: `intent!(Type);` The type implements [`dialogue::Dialogue`].
#[macro_export]
macro_rules! intent {
    ($ty:ident) => {
        #[cfg(target_arch = "wasm32")]
        $crate::__exporters::dialogue::export!($ty with_types_in $crate::__exporters::dialogue);
        #[cfg(not(target_arch = "wasm32"))]
        const _: () = {
            const fn serves<T: $crate::dialogue::Guest>() {}
            serves::<$ty>()
        };
    };
}
