//! One question to Vendure, and what its refusals mean.
//!
//! Vendure answers errors with status 200 and `errors[].extensions.code`: the SDK tells them apart. Two need more words here. `FORBIDDEN`
//! stands for a key that is wrong or was revoked as well as for a role that lacks a right, so the message names both. And a channel that
//! does not exist is a fault of the connection's settings.
//!
//! Money is an integer. How many of its digits are decimals does not depend on the currency but on the server's `MoneyStrategy` (two unless
//! the shop changed it, for JPY too), so every answer with money in it has [`PRECISION`] as well.

use confab_plugin_sdk::{graphql, json, money, prelude::*};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// Asks for the decimals of money.
pub(crate) const PRECISION: &str = "globalSettings { serverConfig { moneyStrategyPrecision } }";

/// Settings of the connection; `settings.schema.json` explains them.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    pub(crate) admin_api_path: String,
    pub(crate) channel: Option<String>,
    pub(crate) prices: Prices,
    pub(crate) recent_orders: u32,
    pub(crate) untracked_quantity: Option<f64>,
    pub(crate) product_url: Option<String>,
    pub(crate) tracking_urls: BTreeMap<String, String>,
}

/// Which price visitors are told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Prices {
    #[default]
    WithTax,
    WithoutTax,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            admin_api_path: "/admin-api".into(),
            channel: None,
            prices: Prices::default(),
            recent_orders: 100,
            untracked_quantity: None,
            product_url: None,
            tracking_urls: BTreeMap::new(),
        }
    }
}

/// One call of a capability.
pub(crate) struct Vendure {
    pub(crate) settings: Settings,
    client: graphql::Client,
}

impl Vendure {
    pub(crate) fn open() -> Result<Vendure> {
        let settings: Settings = host::settings()?;
        // Names come in this language where the shop has them in it, else in the channel's.
        let mut path =
            format!("{}?languageCode={}", settings.admin_api_path, host::language().as_deref().unwrap_or("en"));
        if let Some(channel) = &settings.channel {
            path.push_str(&format!("&vendure-token={}", path_segment(channel)));
        }
        Ok(Vendure { client: graphql::Client::new("api", &path), settings })
    }

    /// The data of an answer. `rights` are what the key's role must have for this question.
    pub(crate) fn ask(&self, rights: &str, document: &str, variables: Value) -> Result<Value> {
        self.client.query(document, variables).map_err(|e| match e.code.as_str() {
            "forbidden" => error(
                Code::Forbidden,
                format!("Vendure refuses: the API key is wrong or revoked, or its role lacks {rights} in this channel"),
            ),
            _ if e.message.contains("No channel with the token") => {
                error(Code::Misconfigured, "Vendure has no channel with the token in the connection's settings")
            }
            _ => e,
        })
    }
}

/// An amount of a record whose currency and decimals are those of the whole answer.
#[derive(Clone, Debug)]
pub(crate) struct Purse {
    precision: u32,
}

impl Purse {
    pub(crate) fn of(answer: &Value) -> Purse {
        let precision = answer.pointer("/globalSettings/serverConfig/moneyStrategyPrecision").and_then(Value::as_u64);
        Purse { precision: precision.and_then(|p| u32::try_from(p).ok()).unwrap_or(2) }
    }

    pub(crate) fn money(&self, record: &Value, field: &str, currency: &str) -> Option<Money> {
        let amount = record.get(field)?.as_i64()?;
        money::of(&money::with_decimals(amount, self.precision, currency).amount, currency)
    }
}

/// A code that people type in their own case: Vendure compares it letter by letter.
pub(crate) fn spellings(code: &str) -> Vec<String> {
    let code = code.trim().trim_start_matches('#').trim();
    if code.is_empty() || code.chars().count() > 64 {
        return Vec::new();
    }
    let mut all = vec![code.to_owned()];
    for other in [code.to_uppercase(), code.to_lowercase()] {
        if !all.contains(&other) {
            all.push(other);
        }
    }
    all
}

/// The records with one of these spellings, those that are spelled as they were asked for first.
pub(crate) fn closest<'v>(records: &'v [Value], field: &str, spellings: &[String]) -> Vec<&'v Value> {
    let rank =
        |r: &&Value| json::text(r, field).and_then(|t| spellings.iter().position(|s| *s == t)).unwrap_or(usize::MAX);
    let mut found: Vec<&Value> = records.iter().collect();
    found.sort_by_key(rank);
    found
}

/// An id of Vendure's, number or UUID; others would be an error of the shop's database.
pub(crate) fn is_id(text: &str) -> bool {
    !text.is_empty() && text.len() <= 64 && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}
