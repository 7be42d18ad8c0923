//! A business system that answers at once and keeps nothing: what a turn with a call of it costs is the host's. For `make bench`.

use confab_plugin_sdk::inventory::{Inventory, StockLevel};
use confab_plugin_sdk::leads::{Lead, LeadInput, Leads, Qualification};
use confab_plugin_sdk::prelude::*;

struct CostsNothing;

impl Inventory for CostsNothing {
    fn availability(sku: String, _location: Option<String>) -> Result<Vec<StockLevel>> {
        Ok(vec![StockLevel { sku, on_hand: 7.0, available: 5.0, as_of: host::now_rfc3339(), ..Default::default() }])
    }
}

impl Leads for CostsNothing {
    fn create(lead: LeadInput) -> Result<Lead> {
        Ok(Lead { id: "1".to_owned(), state: "new".to_owned(), subject: lead.subject, ..Default::default() })
    }

    fn qualify(_id: String, _qualification: Qualification) -> Result<Lead> {
        Err(error(Code::Unsupported, "only `create`"))
    }
}

confab_plugin_sdk::connector!(CostsNothing: inventory, leads);
