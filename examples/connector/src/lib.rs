//! A connector to start from: stock of an imaginary Acme, whose API answers `GET /stock/SKU` with
//! `{"sku": "A-1", "title": "Anvil", "shelf": 7, "free": 5}`, and 404 for an article that it doesn't have.

use confab_plugin_sdk::health::{Finding, Health};
use confab_plugin_sdk::http::Request;
use confab_plugin_sdk::inventory::{Inventory, StockLevel, no_article};
use confab_plugin_sdk::prelude::*;
use serde::Deserialize;

struct Acme;

/// What `settings.schema.json` describes. The host checks settings against the schema, and nobody the schema against this.
#[derive(Deserialize)]
struct Settings {
    /// The article that the connection check asks for.
    check_sku: Option<String>,
}

#[derive(Deserialize)]
struct Stock {
    sku: String,
    title: String,
    shelf: f64,
    free: f64,
}

fn stock(sku: &str) -> Result<Stock> {
    Request::get("api", format!("/stock/{}", path_segment(sku))).send()?.json()
}

impl Inventory for Acme {
    fn availability(sku: String, _location: Option<String>) -> Result<Vec<StockLevel>> {
        if sku.is_empty() || sku.len() > 64 {
            return Err(error(Code::InvalidInput, "an article number has 1 to 64 characters"));
        }
        let stock = stock(&sku).map_err(|e| if e.code == Code::NotFound.as_str() { no_article(&sku) } else { e })?;
        Ok(vec![StockLevel {
            sku: stock.sku,
            name: stock.title,
            on_hand: stock.shelf,
            available: stock.free,
            as_of: host::now_rfc3339(),
            ..Default::default()
        }])
    }
}

impl Health for Acme {
    fn check() -> Vec<Finding> {
        let asked = host::settings::<Settings>().and_then(|settings| match settings.check_sku {
            Some(sku) => stock(&sku).map(|found| format!("{} is {}", found.sku, found.title)),
            None => Ok("set check_sku to an article of yours to have it asked for".to_owned()),
        });
        vec![match asked {
            Ok(message) => Finding::ok("read stock", message),
            Err(e) => Finding::error("read stock", e.message),
        }]
    }
}

confab_plugin_sdk::connector!(Acme: inventory, health);

#[cfg(test)]
mod tests {
    use super::*;
    use confab_plugin_sdk::testing::{Answer, Host};
    use serde_json::json;

    fn acme() -> Host {
        Host::new().settings(json!({"check_sku": "A-1"})).on(|request| match request.path.as_str() {
            "/stock/A-1" => Answer::json(200, json!({"sku": "A-1", "title": "Anvil", "shelf": 7, "free": 5})),
            "/stock/A%2F2" => Answer::status(503),
            _ => Answer::status(404),
        })
    }

    #[test]
    fn stock_is_told_with_one_request() {
        let host = acme();
        let levels = host.run(|| Acme::availability("A-1".into(), None)).unwrap();
        assert_eq!((levels[0].name.as_str(), levels[0].available, levels[0].on_hand), ("Anvil", 5.0, 7.0));
        assert_eq!(host.sent().len(), 1);
    }

    #[test]
    fn what_is_not_there_and_what_is_down_are_different_errors() {
        let code = |sku: &str| acme().run(|| Acme::availability(sku.into(), None)).unwrap_err().code;
        assert_eq!([code("B-9"), code("A/2"), code("")], ["not-found", "unavailable", "invalid-input"]);
    }

    #[test]
    fn the_check_says_what_it_found() {
        let findings = acme().run(Acme::check);
        assert_eq!((findings[0].status.as_str(), findings[0].message.as_str()), ("ok", "A-1 is Anvil"));
    }
}
