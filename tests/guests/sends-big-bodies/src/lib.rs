//! Sends requests with bodies of 5 MiB (article number `one`), more than one may have, or 15 of 3 MiB each (`many`).

use confab_plugin_sdk::catalog::{Catalog, Interest, Product, Recommendation};
use confab_plugin_sdk::http::Request;
use confab_plugin_sdk::prelude::*;

struct SendsBigBodies;

impl Catalog for SendsBigBodies {
    fn get(sku: String) -> Result<Product> {
        let (times, mib) = if sku == "one" { (1, 5) } else { (15, 3) };
        let mut answered = 0;
        for _ in 0..times {
            Request::post("api", "/status/204").body(vec![b'x'; mib << 20]).send()?;
            answered += 1;
        }
        Ok(Product { description: Some(format!("sent {answered}")), ..Default::default() })
    }

    fn search(_query: String, _limit: u32) -> Result<Vec<Product>> {
        Err(error(Code::Unsupported, "only `get`"))
    }

    fn recommend(_interest: Interest, _limit: u32) -> Result<Vec<Recommendation>> {
        Err(error(Code::Unsupported, "only `get`"))
    }
}

confab_plugin_sdk::connector!(SendsBigBodies: catalog);
