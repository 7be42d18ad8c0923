//! What every call needs to know of this Tryton, and where it is remembered.
//!
//! Tryton wants the company (and an employee of it) in the context of nearly every call, stock is asked for by the
//! storage locations of the warehouses, and amounts are in the company's currency. That is four requests, and it
//! changes once a year: it is kept in the connection's store for `cache_minutes`, so that a question about stock is
//! one request. When Tryton refuses something as forbidden the memory is dropped: the user may have been moved.

use crate::rpc::Rpc;
use crate::value::{field, id, text};
use confab_plugin_sdk::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Settings of the connection; `settings.schema.json` explains them.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    pub(crate) forecast_days: u32,
    pub(crate) cache_minutes: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { forecast_days: 14, cache_minutes: 60 }
    }
}

/// The connection's store, as far as it is needed here.
pub(crate) trait Memory {
    fn get(&mut self, key: &str) -> Result<Option<Vec<u8>>>;
    fn set(&mut self, key: &str, value: &[u8]) -> Result<()>;
    fn delete(&mut self, key: &str) -> Result<()>;
}

/// The host's store.
pub(crate) struct Kv;

impl Memory for Kv {
    fn get(&mut self, key: &str) -> Result<Option<Vec<u8>>> {
        Ok(kv::get(key)?)
    }
    fn set(&mut self, key: &str, value: &[u8]) -> Result<()> {
        Ok(kv::set(key, value)?)
    }
    fn delete(&mut self, key: &str) -> Result<()> {
        Ok(kv::delete(key)?)
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Warehouse {
    pub(crate) name: String,
    pub(crate) code: Option<String>,
    pub(crate) storage: i64,
}

/// What is remembered.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Session {
    pub(crate) read_at: u64,
    pub(crate) company: i64,
    pub(crate) employee: Option<i64>,
    pub(crate) currency: String,
    pub(crate) warehouses: Vec<Warehouse>,
    /// Fields of customer shipments that come with optional modules, of those in [`OPTIONAL`].
    pub(crate) shipment_fields: Vec<String>,
}

/// `carrier` needs stock_shipment_cost, the others stock_package_shipping.
const OPTIONAL: [&str; 3] = ["carrier", "shipping_reference", "root_packages"];
const KEY: &str = "session";

/// One call of a capability.
pub(crate) struct Tryton<'a> {
    pub(crate) rpc: &'a mut dyn Rpc,
    pub(crate) memory: &'a mut dyn Memory,
    pub(crate) settings: Settings,
    pub(crate) now: u64,
    pub(crate) once: String,
    pub(crate) locale: Option<String>,
    pub(crate) session: Option<Session>,
}

impl Tryton<'_> {
    /// From this call, from the store, or from Tryton.
    pub(crate) fn session(&mut self) -> Result<Session> {
        if let Some(known) = &self.session {
            return Ok(known.clone());
        }
        let stored = self.memory.get(KEY)?.and_then(|bytes| serde_json::from_slice::<Session>(&bytes).ok());
        let max_age = u64::from(self.settings.cache_minutes) * 60_000;
        let session = match stored.filter(|s| self.now.saturating_sub(s.read_at) < max_age) {
            Some(fresh) => fresh,
            None => {
                let session = self.read_session()?;
                self.memory.set(KEY, &serde_json::to_vec(&session)?)?;
                session
            }
        };
        self.session = Some(session.clone());
        Ok(session)
    }

    fn read_session(&mut self) -> Result<Session> {
        let preferences = self.rpc.call("model.res.user.get_preferences", json!([true, {}]))?;
        let Some(company) = preferences.get("company").and_then(Value::as_i64) else {
            return Err(error(
                Code::Misconfigured,
                "the connection's Tryton user has no company: set one in its preferences",
            ));
        };
        let employee = preferences.get("employee").and_then(Value::as_i64);
        let context = json!({"company": company, "employee": employee, "language": "en"});
        let companies = self.rpc.call("model.company.company.read", json!([[company], ["currency.code"], context]))?;
        let currency = companies.get(0).and_then(|c| text(c, "currency.code"));
        let warehouses = self.rpc.call(
            "model.stock.location.search_read",
            json!([
                [["type", "=", "warehouse"]],
                0,
                20,
                [["id", "ASC"]],
                ["name", "code", "storage_location"],
                context
            ]),
        )?;
        let warehouses = warehouses.as_array().into_iter().flatten().filter_map(|w| {
            Some(Warehouse {
                name: text(w, "name")?,
                code: text(w, "code"),
                storage: field(w, "storage_location")?.as_i64()?,
            })
        });
        let fields = self.rpc.call("model.stock.shipment.out.fields_get", json!([OPTIONAL, context]))?;
        Ok(Session {
            read_at: self.now,
            company,
            employee,
            currency: currency.ok_or_else(|| error(Code::Misconfigured, "the company has no currency"))?,
            warehouses: warehouses.collect(),
            shipment_fields: OPTIONAL.iter().filter(|f| fields.get(**f).is_some()).map(|f| (*f).to_owned()).collect(),
        })
    }

    /// Calls a method of a model; the context is added as its last parameter. English: errors are told by their text.
    pub(crate) fn call(&mut self, method: &str, params: Vec<Value>) -> Result<Value> {
        self.call_in(method, params, json!({}))
    }

    /// The same with more in the context.
    pub(crate) fn call_in(&mut self, method: &str, mut params: Vec<Value>, more: Value) -> Result<Value> {
        let session = self.session()?;
        let mut context = json!({"company": session.company, "employee": session.employee, "language": "en"});
        if let (Some(context), Value::Object(more)) = (context.as_object_mut(), more) {
            context.extend(more);
        }
        params.push(context);
        let answer = self.rpc.call(&format!("model.{method}"), Value::Array(params));
        if answer.as_ref().is_err_and(|e| e.code == Code::Forbidden.as_str()) {
            self.memory.delete(KEY)?;
        }
        answer
    }

    /// Records that fit a domain.
    pub(crate) fn find(
        &mut self,
        model: &str,
        domain: Value,
        limit: u32,
        order: Value,
        fields: Value,
        more: Value,
    ) -> Result<Vec<Value>> {
        let params = vec![domain, json!(0), json!(limit), order, fields];
        match self.call_in(&format!("{model}.search_read"), params, more)? {
            Value::Array(records) => Ok(records),
            other => Err(error(Code::Internal, format!("{model}: a list was expected, not {other}"))),
        }
    }

    /// Creates one record; gives its id.
    pub(crate) fn create(&mut self, model: &str, values: Value) -> Result<i64> {
        let created = self.call(&format!("{model}.create"), vec![json!([values])])?;
        let id = created.get(0).and_then(Value::as_i64);
        id.ok_or_else(|| error(Code::Internal, format!("{model}: Tryton gave no id for what it created")))
    }

    /// The visitor's language as Tryton calls it, for names that are shown.
    pub(crate) fn shown(&self) -> Value {
        let language = self.locale.as_deref().and_then(|l| l.split(['-', '_']).next()).filter(|l| l.len() == 2);
        json!({"language": language.map_or_else(|| "en".to_owned(), str::to_lowercase)})
    }

    /// Says it in the visitor's language: English, or German.
    pub(crate) fn speaker(&self) -> impl Fn(&str, &str) -> String + use<> {
        let german = self.locale.as_deref().is_some_and(|l| l.get(..2).is_some_and(|l| l.eq_ignore_ascii_case("de")));
        move |english, own| if german { own.to_owned() } else { english.to_owned() }
    }
}

/// An id as the contract has it, back as Tryton has it.
pub(crate) fn parse_id(text: &str) -> Option<i64> {
    text.trim().parse().ok().filter(|id| *id > 0)
}

/// An id as the contract has it.
pub(crate) fn id_text(record: &Value) -> Option<String> {
    id(record).map(|id| id.to_string())
}
