//! Answers with values that are of the right type and wrong all the same: numbers that are none (`nan`), infinite ones (`inf`),
//! moments that never were, texts with control characters, errors with codes that nobody knows (`code`).

use confab_plugin_sdk::inventory::{Inventory, StockLevel};
use confab_plugin_sdk::prelude::*;

struct BreaksItsSchema;

impl Inventory for BreaksItsSchema {
    fn availability(sku: String, _location: Option<String>) -> Result<Vec<StockLevel>> {
        let number = match sku.as_str() {
            "inf" => f64::INFINITY,
            "nan" => f64::NAN,
            _ => {
                let (code, message) = ("\u{1b}[31m-no-such-code\n".to_owned(), "\u{0}\r\nforged".to_owned());
                return Err(Error { code, message, retry_after: Some(u32::MAX) });
            }
        };
        Ok(vec![StockLevel {
            name: "\u{1b}[2J\r\nforged".into(),
            on_hand: number,
            available: number,
            as_of: "the 31st of February".into(),
            ..Default::default()
        }])
    }
}

confab_plugin_sdk::connector!(BreaksItsSchema: inventory);
