//! Sends the request that `catalog.get` is told as JSON in the place of an article number, and gives back as the description,
//! as JSON, what came: requests that are smuggled, that lead elsewhere, that wait for an answer that drips.
//!
//! `{"method": "GET", "path": "/", "headers": [["name", "value"]], "body": "text"}`.

use confab_plugin_sdk::catalog::{Catalog, Interest, Product, Recommendation};
use confab_plugin_sdk::http::Request;
use confab_plugin_sdk::prelude::*;
use serde::Deserialize;
use serde_json::json;

#[derive(Deserialize)]
struct Wanted {
    #[serde(default = "api")]
    endpoint: String,
    method: String,
    path: String,
    #[serde(default)]
    headers: Vec<(String, String)>,
    #[serde(default)]
    body: String,
    #[serde(default)]
    timeout_ms: Option<u32>,
}

fn api() -> String {
    "api".to_owned()
}

struct SendsAnything;

impl Catalog for SendsAnything {
    fn get(sku: String) -> Result<Product> {
        let wanted: Wanted = serde_json::from_str(&sku).map_err(|e| error(Code::InvalidInput, e.to_string()))?;
        let mut request = Request::new(&wanted.method, &wanted.endpoint, wanted.path).body(wanted.body);
        for (name, value) in wanted.headers {
            request = request.header(&name, value);
        }
        if let Some(ms) = wanted.timeout_ms {
            request = request.timeout_ms(ms);
        }
        let answer = request.send()?;
        let headers: Vec<_> = answer.headers().collect();
        let body = String::from_utf8_lossy(&answer.body);
        let text = json!({"status": answer.status, "headers": headers, "body": body}).to_string();
        Ok(Product { description: Some(text), ..Default::default() })
    }

    fn search(_query: String, _limit: u32) -> Result<Vec<Product>> {
        Err(error(Code::Unsupported, "only `get`"))
    }

    fn recommend(_interest: Interest, _limit: u32) -> Result<Vec<Recommendation>> {
        Err(error(Code::Unsupported, "only `get`"))
    }
}

confab_plugin_sdk::connector!(SendsAnything: catalog);
