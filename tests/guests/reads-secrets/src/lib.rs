//! Makes requests to its endpoint, well and badly formed ones, and tells everything that it came to see, in its log, in its
//! data and in its answer: settings, context, headers and bodies of answers, texts of errors. No credential may be in there.

use confab_plugin_sdk::catalog::{Catalog, Interest, Product, Recommendation};
use confab_plugin_sdk::http::Request;
use confab_plugin_sdk::prelude::*;

struct ReadsSecrets;

impl Catalog for ReadsSecrets {
    fn get(sku: String) -> Result<Product> {
        let mut seen = vec![
            format!("asked {sku}"),
            format!("settings {}", host::settings::<serde_json::Value>()?),
            format!("context {:?}", host::context()),
        ];
        let requests = [
            Request::get("api", "/echo"),
            Request::post("api", "/echo").body("a body"),
            Request::get("api", "/echo?again=1").header("x-mine", "mine"),
            Request::get("api", "/betray"),
            Request::get("api", "/status/401"),
            Request::get("api", "/status/500"),
            Request::get("api", "/redirect"),
            Request::get("api", "/hang-up"),
            Request::get("api", "/../echo"),
            Request::get("api", "/echo").header("authorization", "mine"),
            Request::get("api", "/echo").header("host", "mine.example"),
            Request::get("nowhere", "/echo"),
            Request::new("TRACE", "api", "/echo"),
        ];
        for request in requests {
            seen.push(match request.send() {
                Ok(answer) => {
                    let headers: Vec<_> = answer.headers().collect();
                    format!("{} {headers:?} {}", answer.status, String::from_utf8_lossy(&answer.body))
                }
                Err(e) => format!("{} {}", e.code, e.message),
            });
        }
        let all = seen.join("\n");
        for line in &seen {
            log::warn(line);
        }
        kv::set("seen", all.as_bytes())?;
        Ok(Product { sku, description: Some(all), ..Default::default() })
    }

    fn search(_query: String, _limit: u32) -> Result<Vec<Product>> {
        Err(error(Code::Unsupported, "only `get`"))
    }

    fn recommend(_interest: Interest, _limit: u32) -> Result<Vec<Recommendation>> {
        Err(error(Code::Unsupported, "only `get`"))
    }
}

confab_plugin_sdk::connector!(ReadsSecrets: catalog);
