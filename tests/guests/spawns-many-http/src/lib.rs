//! Sends one request after the other, whatever the answer. The limit of requests ends it.

use confab_plugin_sdk::catalog::{Catalog, Interest, Product, Recommendation};
use confab_plugin_sdk::http::Request;
use confab_plugin_sdk::prelude::*;

struct SpawnsManyHttp;

impl Catalog for SpawnsManyHttp {
    fn get(_sku: String) -> Result<Product> {
        loop {
            let _ = Request::get("api", "/echo").send();
        }
    }

    fn search(_query: String, _limit: u32) -> Result<Vec<Product>> {
        Err(error(Code::Unsupported, "only `get`"))
    }

    fn recommend(_interest: Interest, _limit: u32) -> Result<Vec<Recommendation>> {
        Err(error(Code::Unsupported, "only `get`"))
    }
}

confab_plugin_sdk::connector!(SpawnsManyHttp: catalog);
