//! Candidates: what a search for a number finds, in few fields, until what is meant is among it.
//!
//! Shopify's search is looser than an equation: it splits a number into words and takes beginnings, so that `1042` may also find `1042-R1` and
//! `10421`, in any number and before the right one. So a first question asks for many at once, each with no more than what tells whether it is
//! the one; that is compared here, and only then its record is read, by its id.
//!
//! | question | records | points |
//! |---|---|---|
//! | orders, with their numbers and the proof | 50 | 302 |
//! | an order by its id, with 20 lines; with its parcels | 1 | 88; 112 |
//! | variants, with their number and product | 50 | 152 |
//! | stock of a variant | 100 places | 303 |
//! | articles | 40 | 443 |
//!
//! A request may cost 1,000 points; `tests/systems/shopify` counts them.

use crate::api::Shopify;
use confab_plugin_sdk::{json, log, pages, prelude::*};
use serde_json::{Value, json};

/// Pages of candidates. With those of an order's lines or an article's places a call stays within its 16 requests.
const PAGES: usize = 4;

impl Shopify {
    /// Asks `document` (with `$query` and `$after`) for the pages of its connection `name`, until `is_enough`, which is shown
    /// each answer, says that what is wanted is there.
    pub(crate) fn candidates(
        &self,
        document: &str,
        name: &str,
        query: &str,
        mut is_enough: impl FnMut(&Value) -> bool,
    ) -> Result<Vec<Value>> {
        let mut more = false;
        let found = pages::collect(usize::MAX, PAGES, |after| {
            let answer = self.ask(document, json!({"query": query, "after": after}))?;
            let page = answer.get(name).unwrap_or(&Value::Null);
            let done = is_enough(&answer);
            let next = next_page(page).filter(|_| !done);
            more = next.is_some();
            Ok(pages::Page { items: json::list(page, "/nodes").to_vec(), next })
        })?;
        if more {
            log::warn(format!("{name}: more look like the number that was given than the first {}", found.len()));
        }
        Ok(found)
    }
}

/// Cursor of the page after this one of a connection.
pub(crate) fn next_page(page: &Value) -> Option<String> {
    json::text(page, "/pageInfo/endCursor").filter(|_| json::flag(page, "/pageInfo/hasNextPage"))
}
