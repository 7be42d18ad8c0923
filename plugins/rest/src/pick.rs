//! A record of the API becomes a record of the contract, by the rules of the YAML file.

use crate::shape::{Kind, Shape};
use crate::spec::{Detailed, Owners, Rule};
use crate::template::fill;
use confab_plugin_sdk::people::Known;
use confab_plugin_sdk::prelude::*;
use confab_plugin_sdk::{dates, extras, json as pick, money};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// What rules are applied with.
pub(crate) struct Picker<'a> {
    pub(crate) operation: &'a str,
    pub(crate) arguments: &'a Value,
    pub(crate) currency: Option<&'a str>,
}

impl Picker<'_> {
    /// The record as the contract has it. `defaults` fill fields that no rule gives.
    ///
    /// # Errors
    /// `internal` when a field is missing without which the record makes no sense: which, and where it was looked for.
    pub(crate) fn record<T: DeserializeOwned>(
        &self,
        record: &Value,
        rules: &BTreeMap<String, Rule>,
        shape: Shape,
        defaults: &Value,
    ) -> Result<T> {
        Ok(serde_json::from_value(self.fields(record, rules, shape, defaults)?)?)
    }

    fn fields(&self, record: &Value, rules: &BTreeMap<String, Rule>, shape: Shape, defaults: &Value) -> Result<Value> {
        let mut out = Map::new();
        for (name, kind, required) in shape {
            let field = name.replace('-', "_");
            let mut value = match rules.get(*name) {
                Some(rule) => self.value(record, rule, *kind)?,
                None => Value::Null,
            };
            if value.is_null() {
                value = defaults.get(&field).cloned().unwrap_or_default();
            }
            if value.is_null() && *required {
                let place = rules.get(*name).and_then(Rule::from).map(|from| format!(" at {from}")).unwrap_or_default();
                let message =
                    format!("{}: the system's answer has no `{name}`{place}; look at api.yaml", self.operation);
                return Err(error(Code::Internal, message));
            }
            if value.is_null() && matches!(kind, Kind::Texts | Kind::Extra | Kind::Records(_)) {
                value = json!([]);
            }
            out.insert(field, value);
        }
        Ok(Value::Object(out))
    }

    fn value(&self, record: &Value, rule: &Rule, kind: Kind) -> Result<Value> {
        let nothing = Detailed::default();
        let (from, detailed) = (rule.from(), rule.detailed().unwrap_or(&nothing));
        let text = || -> Option<String> {
            let found = match from? {
                pointer if pointer.is_empty() || pointer.starts_with('/') => pick::text(record, pointer)
                    .or_else(|| record.pointer(pointer).and_then(Value::as_bool).map(|flag| flag.to_string())),
                template => fill(template, self.arguments, false).filter(|text| !text.is_empty()),
            };
            let Some(word) = found else { return detailed.otherwise.clone() };
            if detailed.map.is_empty() {
                return Some(word);
            }
            let mapped = detailed.map.iter().find(|(own, _)| own.eq_ignore_ascii_case(&word)).map(|(_, ours)| ours);
            Some(mapped.or(detailed.otherwise.as_ref()).unwrap_or(&word).clone())
        };
        Ok(match kind {
            Kind::Text => json!(text()),
            Kind::Number => json!(text().and_then(|text| text.trim().parse::<f64>().ok()).filter(|n| n.is_finite())),
            Kind::Moment => json!(text().and_then(|text| moment(&text))),
            Kind::Money => json!(text().and_then(|amount| self.money(record, &amount, detailed))),
            Kind::Texts => {
                let list = from.map(|pointer| pick::list(record, pointer)).unwrap_or_default();
                json!(list.iter().filter_map(|value| pick::text(value, "")).collect::<Vec<_>>())
            }
            Kind::Extra => {
                json!(extras(detailed.values.iter().map(|(name, at)| (name, pick::text(record, at)))))
            }
            Kind::Records(shape) => {
                let list = detailed.list.as_deref().map(|pointer| pick::list(record, pointer)).unwrap_or_default();
                let all: Result<Vec<Value>> =
                    list.iter().map(|one| self.fields(one, &detailed.each, shape, &Value::Null)).collect();
                json!(all?)
            }
        })
    }

    fn money(&self, record: &Value, amount: &str, rule: &Detailed) -> Option<Money> {
        let own = rule.currency.as_deref().and_then(|own| match own.starts_with('/') {
            true => pick::text(record, own),
            false => Some(own.to_owned()),
        });
        let currency = own.or_else(|| self.currency.map(str::to_owned))?;
        if rule.minor {
            return Some(money::minor(amount.parse().ok()?, &currency));
        }
        // A number of JSON may have come as 1e3 or with a float's tail.
        money::of(amount, &currency).or_else(|| money::number(amount.parse().ok()?, &currency))
    }
}

/// A moment as text, or as seconds or milliseconds since 1970.
fn moment(text: &str) -> Option<String> {
    if let Ok(number) = text.trim().parse::<u64>() {
        // From 1973 on in milliseconds, until 5138 in seconds.
        return Some(dates::of_millis(if number < 100_000_000_000 { number * 1_000 } else { number }));
    }
    dates::rfc3339(text)
}

/// What a record says of its owners.
pub(crate) fn known(record: &Value, owners: &Owners) -> Known {
    let all =
        |pointers: &[String]| -> Vec<String> { pointers.iter().filter_map(|at| pick::text(record, at)).collect() };
    Known {
        emails: all(&owners.emails),
        phones: all(&owners.phones),
        postal_codes: all(&owners.postal_codes),
        customer_ids: all(&owners.customer_ids),
    }
}
