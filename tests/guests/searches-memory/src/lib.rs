//! Makes requests that a credential is added to, and then searches all of its own memory for it: what the host leaves there by
//! mistake is found, whether it was handed over or not.
//!
//! What to search for comes in the place of the article number, as hexadecimal digits of each byte XOR 0x5A, so that the
//! question is not its own answer. The description says `found` or `not found`, with the number of bytes searched.
#![allow(unsafe_code, reason = "reading memory that nobody handed over is what this guest is for")]

use confab_plugin_sdk::catalog::{Catalog, Interest, Product, Recommendation};
use confab_plugin_sdk::http::Request;
use confab_plugin_sdk::prelude::*;

/// See the module.
const MASK: u8 = 0x5a;

struct SearchesMemory;

impl Catalog for SearchesMemory {
    fn get(sku: String) -> Result<Product> {
        let digits = sku.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).ok());
        let masked: Option<Vec<u8>> = digits.map(|pair| u8::from_str_radix(pair?, 16).ok()).collect();
        let masked = masked.ok_or_else(|| error(Code::InvalidInput, "not hexadecimal"))?;
        let mut kept = Vec::new();
        for path in ["/echo", "/betray", "/status/401", "/redirect", "/hang-up"] {
            kept.push(Request::post("api", path).body("a body").send());
        }
        let settings = host::settings::<serde_json::Value>()?;
        let end = memory_bytes();
        let found = (0..end.saturating_sub(masked.len()))
            .any(|at| masked.iter().enumerate().all(|(i, byte)| read(at + i) == byte ^ MASK));
        std::hint::black_box((&kept, &settings));
        let text = format!("{} in {end} bytes", if found { "found" } else { "not found" });
        Ok(Product { description: Some(text), ..Default::default() })
    }

    fn search(_query: String, _limit: u32) -> Result<Vec<Product>> {
        Err(error(Code::Unsupported, "only `get`"))
    }

    fn recommend(_interest: Interest, _limit: u32) -> Result<Vec<Recommendation>> {
        Err(error(Code::Unsupported, "only `get`"))
    }
}

#[cfg(target_arch = "wasm32")]
fn memory_bytes() -> usize {
    core::arch::wasm32::memory_size(0) * 65_536
}

/// It is searched in the sandbox only.
#[cfg(not(target_arch = "wasm32"))]
fn memory_bytes() -> usize {
    0
}

fn read(address: usize) -> u8 {
    // SAFETY: below the end of the linear memory, all of which may be read; volatile, so that nothing is assumed of it.
    unsafe { std::ptr::read_volatile(address as *const u8) }
}

confab_plugin_sdk::connector!(SearchesMemory: catalog);
