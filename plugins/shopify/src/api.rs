//! One question to Shopify, and what its refusals mean.
//!
//! | Shopify | here |
//! |---|---|
//! | 401 | `misconfigured`: the token is wrong, or the app was removed |
//! | 402, 423 | `unavailable`: the shop is frozen or locked |
//! | 404 | `misconfigured`: no such shop or API version |
//! | `THROTTLED` | `rate-limited`, with the seconds after which the cost can be paid |
//! | `ACCESS_DENIED` | `forbidden`, with the scope or approval that is missing |
//! | `userErrors` | what they say: see `customers` |
//!
//! Each request costs points of a budget that refills: lists are asked for as short as they can be.

use confab_plugin_sdk::{graphql, json, money, people, prelude::*};
use serde::Deserialize;
use serde_json::Value;

/// Parts of documents.
pub(crate) const MONEY: &str =
    "fragment M on MoneyBag { presentmentMoney { amount currencyCode } shopMoney { amount currencyCode } }";

/// Settings of the connection; `settings.schema.json` explains them.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    pub(crate) api_version: String,
    pub(crate) order_prefix: String,
    pub(crate) order_suffix: String,
    pub(crate) phone_country_code: Option<String>,
    pub(crate) recent_orders: u32,
    pub(crate) untracked_quantity: Option<f64>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            api_version: "2026-10".into(),
            order_prefix: "#".into(),
            order_suffix: String::new(),
            phone_country_code: None,
            recent_orders: 20,
            untracked_quantity: None,
        }
    }
}

/// One call of a capability.
pub(crate) struct Shopify {
    pub(crate) settings: Settings,
    client: graphql::Client,
}

impl Shopify {
    pub(crate) fn open() -> Result<Shopify> {
        let settings: Settings = host::settings()?;
        let path = format!("/admin/api/{}/graphql.json", settings.api_version);
        Ok(Shopify { settings, client: graphql::Client::new("api", &path) })
    }

    /// The data of an answer.
    pub(crate) fn ask(&self, document: &str, variables: Value) -> Result<Value> {
        self.client.query(document, variables).map_err(|e| {
            let with = |advice: &str| Error { message: format!("{}{advice}", e.message), ..e.clone() };
            let says = |text: &str| e.message.contains(text);
            match e.code.as_str() {
                "forbidden" if says("not approved") => {
                    with("; request access to protected customer data in the app's API access settings")
                }
                "forbidden" => with("; give the app this scope and install it again"),
                "misconfigured" => with(": the access token is wrong, or the app was removed"),
                _ if says("answered 402") || says("answered 423") => {
                    error(Code::Unavailable, "the shop is frozen or locked: Shopify says why in its admin")
                }
                "not-found" => {
                    let version = &self.settings.api_version;
                    error(Code::Misconfigured, format!("Shopify has no such shop, or no API version {version}"))
                }
                _ => e,
            }
        })
    }

    /// A telephone number as Shopify keeps it (E.164), if its country is known.
    pub(crate) fn full_phone(&self, phone: &str) -> Option<String> {
        let digits = people::digits(phone);
        if phone.trim().starts_with('+') {
            return Some(format!("+{digits}"));
        }
        if let Some(rest) = digits.strip_prefix("00") {
            return Some(format!("+{rest}"));
        }
        let country = self.settings.phone_country_code.as_deref()?;
        Some(format!("+{country}{}", digits.strip_prefix('0').unwrap_or(&digits)))
    }
}

/// An amount of a `MoneyBag`, in the currency that the customer paid in.
pub(crate) fn paid(record: &Value, pointer: &str) -> Option<Money> {
    bag(record, &format!("{pointer}/presentmentMoney"))
}

/// A `MoneyV2`.
pub(crate) fn bag(record: &Value, pointer: &str) -> Option<Money> {
    let money = record.pointer(pointer)?;
    money::of(&json::text(money, "/amount")?, &json::text(money, "/currencyCode")?)
}

/// The number in `gid://shopify/Customer/123`, which people see and use.
pub(crate) fn short_id(gid: &str) -> &str {
    gid.rsplit('/').next().unwrap_or(gid)
}

/// The number of an id in either form.
pub(crate) fn parse_id(id: &str) -> Option<&str> {
    let short = short_id(id.trim());
    (!short.is_empty() && short.len() <= 20 && short.bytes().all(|b| b.is_ascii_digit())).then_some(short)
}

/// A number that people type: without space around it; nothing for what is none.
pub(crate) fn typed(code: &str) -> Option<&str> {
    let code = code.trim();
    (!code.is_empty() && code.chars().count() <= 64).then_some(code)
}

/// Name of a variant: that of its product, with what makes it another one.
pub(crate) fn variant_name(product: &str, variant: &str) -> String {
    if variant.is_empty() || variant == "Default Title" { product.to_owned() } else { format!("{product} - {variant}") }
}
