//! Asks for the settings and the context of its connection without end: calls of the host that no limit of their kind counts.

use confab_plugin_sdk::catalog::{Catalog, Interest, Product, Recommendation};
use confab_plugin_sdk::prelude::*;

struct AsksSettings;

impl Catalog for AsksSettings {
    fn get(_sku: String) -> Result<Product> {
        loop {
            let _ = host::settings::<serde_json::Value>();
            let _ = host::context();
        }
    }

    fn search(_query: String, _limit: u32) -> Result<Vec<Product>> {
        Err(error(Code::Unsupported, "only `get`"))
    }

    fn recommend(_interest: Interest, _limit: u32) -> Result<Vec<Recommendation>> {
        Err(error(Code::Unsupported, "only `get`"))
    }
}

confab_plugin_sdk::connector!(AsksSettings: catalog);
