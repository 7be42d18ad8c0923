//! What holds for all calls of a connection: who the user is, of which company, which languages and fields there are.
//!
//! It is read once and remembered in the connection's store for `cache_minutes`. A call whose key is refused forgets it,
//! so that a new user or database is noticed by the next call; `health.check` always does.

use crate::rpc;
use confab_plugin_sdk::prelude::*;
use confab_plugin_sdk::{dates, json};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::HashMap;

/// The connection's settings; see `settings.schema.json`.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Settings {
    pub(crate) database: String,
    pub(crate) username: String,
    pub(crate) company: Option<i64>,
    pub(crate) shop_url: Option<String>,
    pub(crate) ticket_team: Option<i64>,
    pub(crate) ticket_project: Option<i64>,
    #[serde(default = "an_hour")]
    pub(crate) cache_minutes: u64,
}

fn an_hour() -> u64 {
    60
}

/// Who signs in, to what.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Session {
    pub(crate) uid: i64,
    /// 16, 17, 18.
    pub(crate) version: u32,
    pub(crate) company: i64,
    /// Whether the user has an e-mail address: Odoo lets nobody write messages without one.
    pub(crate) can_write: bool,
    /// Codes of the languages that are installed: Odoo refuses others.
    pub(crate) languages: Vec<String>,
}

/// One call of a capability.
pub(crate) struct Odoo {
    pub(crate) settings: Settings,
    session: Option<Session>,
}

impl Odoo {
    pub(crate) fn new() -> Result<Odoo> {
        Ok(Odoo { settings: host::settings()?, session: None })
    }

    pub(crate) fn session(&mut self) -> Result<Session> {
        if let Some(session) = &self.session {
            return Ok(session.clone());
        }
        let session = self.remembered("session", Self::sign_in)?;
        self.session = Some(session.clone());
        Ok(session)
    }

    /// Forgets what is remembered, because it may be what is wrong. What this call has read stays.
    pub(crate) fn forget(&mut self) -> Result<()> {
        for entry in kv::scan("about/", None, 100)? {
            kv::delete(&entry.key)?;
        }
        Ok(())
    }

    fn sign_in(&mut self) -> Result<Session> {
        let database = &self.settings.database;
        let version = rpc::call("common", "version", json!([]), "version")?;
        // 16 and 17 alike for a server of Odoo's own cloud: ["saas~17", 2, ..] stands for 17.2.
        let major = version.pointer("/server_version_info/0").map(|v| v.as_str().map_or(v.to_string(), str::to_owned));
        let major: String = major.unwrap_or_default().chars().filter(char::is_ascii_digit).collect();
        let version: u32 =
            major.parse().map_err(|_| error(Code::Misconfigured, "this is no Odoo: it gives no version"))?;
        let who = json!([database, self.settings.username, null, {}]);
        let Some(uid) = rpc::call("common", "authenticate", who, "authenticate")?.as_i64() else {
            return Err(error(Code::Misconfigured, rpc::KEY_REFUSED));
        };
        let read = |model: &str, domain: Value, fields: &[&str]| {
            let kwargs = json!({"fields": fields, "limit": 100});
            let call = json!([database, uid, null, model, "search_read", [domain], kwargs]);
            rpc::call("object", "execute_kw", call, &format!("{model} search_read"))
        };
        let users = read("res.users", json!([["id", "=", uid]]), &["company_id", "email"])?;
        let user = users.get(0).unwrap_or(&Value::Null);
        let company = self.settings.company.or_else(|| one(user, "company_id"));
        let company = company.ok_or_else(|| error(Code::Misconfigured, "the connection's user has no company"))?;
        let can_write = text(user, "email").is_some();
        let languages = read("res.lang", json!([["active", "=", true]]), &["code"])?;
        let languages = json::list(&languages, "").iter().filter_map(|l| json::text(l, "/code")).collect();
        Ok(Session { uid, version, company, can_write, languages })
    }

    /// A value that seldom changes: as it was read not long ago, or read now.
    pub(crate) fn remembered<T: Serialize + DeserializeOwned>(
        &mut self,
        name: &str,
        read: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<T> {
        let most = self.settings.cache_minutes.saturating_mul(60_000);
        kv::remembered(&format!("about/{name}"), most, || read(self))
    }

    /// Calls a method of a model; a context among `kwargs` is completed.
    pub(crate) fn call(&mut self, model: &str, method: &str, args: Value, kwargs: Value) -> Result<Value> {
        let session = self.session()?;
        let mut kwargs = without_nulls(kwargs);
        let mut context = kwargs.remove("context").map(without_nulls).unwrap_or_default();
        context.insert("lang".into(), json!(language(&session)));
        context.insert("tz".into(), json!("UTC"));
        context.insert("allowed_company_ids".into(), json!([session.company]));
        kwargs.insert("context".into(), Value::Object(context));
        let call = json!([self.settings.database, session.uid, null, model, method, args, kwargs]);
        let answer = rpc::call("object", "execute_kw", call, &format!("{model} {method}"));
        if answer.as_ref().is_err_and(|e| e.message == rpc::KEY_REFUSED) {
            self.forget()?;
        }
        answer
    }

    /// Records that fit a domain, in an order; archived ones are left out unless the context is [`archived_too`].
    pub(crate) fn find(
        &mut self,
        model: &str,
        domain: Value,
        fields: Value,
        order: &str,
        limit: u32,
        context: Value,
    ) -> Result<Vec<Value>> {
        let kwargs = json!({"fields": fields, "limit": limit, "order": order, "context": context});
        match self.call(model, "search_read", json!([domain]), kwargs)? {
            Value::Array(records) => Ok(records),
            _ => Err(error(Code::Internal, format!("{model}: Odoo gave no list"))),
        }
    }

    /// Records by their ids, archived ones too.
    pub(crate) fn by_id(&mut self, model: &str, mut ids: Vec<i64>, fields: Value) -> Result<HashMap<i64, Value>> {
        ids.sort_unstable();
        ids.dedup();
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let limit = u32::try_from(ids.len()).unwrap_or(u32::MAX);
        let found = self.find(model, json!([["id", "in", ids]]), fields, "id", limit, archived_too())?;
        Ok(found.into_iter().map(|record| (id(&record), record)).collect())
    }

    /// Creates one record; gives its id. What is null is left to Odoo, which computes it. The connection's user does not
    /// follow the record: answers are for people.
    pub(crate) fn create(&mut self, model: &str, values: Value) -> Result<i64> {
        let made = self.call(model, "create", json!([without_nulls(values)]), json!({"context": unfollowed()}))?;
        let id = made.as_i64().or_else(|| made.get(0)?.as_i64());
        id.ok_or_else(|| error(Code::Internal, format!("{model}: Odoo gave no id for what it created")))
    }

    /// Changes what is not null.
    pub(crate) fn write(&mut self, model: &str, id: i64, values: Value) -> Result<()> {
        let values = without_nulls(values);
        if !values.is_empty() {
            self.call(model, "write", json!([[id], values]), Value::Null)?;
        }
        Ok(())
    }

    /// These fields of a model and those of the optional ones that it has here, for this user: editions, versions and
    /// apps differ.
    pub(crate) fn fields(&mut self, model: &str, always: &[&str], optional: &[&str]) -> Result<Vec<String>> {
        let there = self.remembered(&format!("fields/{model}"), |odoo| {
            let there = odoo.call(model, "fields_get", json!([optional]), json!({"attributes": ["type"]}))?;
            Ok(optional.iter().filter(|f| there.get(**f).is_some()).map(|f| (*f).to_owned()).collect::<Vec<_>>())
        })?;
        Ok(always.iter().map(|f| (*f).to_owned()).chain(there).collect())
    }
}

/// The visitor's language where Odoo has it, else English.
fn language(session: &Session) -> String {
    let wanted = host::context().locale.unwrap_or_default().replace('-', "_");
    let exact = session.languages.iter().find(|code| **code == wanted);
    let close = || session.languages.iter().find(|code| code.split(['_', '@']).next() == wanted.split('_').next());
    exact.or_else(close).cloned().unwrap_or_else(|| "en_US".to_owned())
}

/// The context in which archived records are found, too.
pub(crate) fn archived_too() -> Value {
    json!({"active_test": false})
}

/// The context in which the user who makes a record, or writes in it, does not become its follower.
pub(crate) fn unfollowed() -> Value {
    json!({"mail_create_nosubscribe": true})
}

fn without_nulls(values: Value) -> Map<String, Value> {
    match values {
        Value::Object(values) => values.into_iter().filter(|(_, value)| !value.is_null()).collect(),
        _ => Map::new(),
    }
}

/// The part of a domain that is fulfilled when one of these clauses is.
pub(crate) fn any(clauses: impl IntoIterator<Item = Value>) -> Vec<Value> {
    let clauses: Vec<Value> = clauses.into_iter().collect();
    std::iter::repeat_n(json!("|"), clauses.len().saturating_sub(1)).chain(clauses).collect()
}

/// The record with just this number among those that have it in any case; else the first.
pub(crate) fn exact(found: Vec<Value>, field: &str, number: &str) -> Option<Value> {
    let at = found.iter().position(|record| text(record, field).as_deref() == Some(number)).unwrap_or_default();
    found.into_iter().nth(at)
}

/// An id as the contract has it, back as Odoo has it.
pub(crate) fn parse_id(text: &str) -> Option<i64> {
    text.trim().parse().ok().filter(|id| *id > 0)
}

/// The record's own id.
pub(crate) fn id(record: &Value) -> i64 {
    record.get("id").and_then(Value::as_i64).unwrap_or_default()
}

/// Id of a related record: `[7, "name"]`.
pub(crate) fn one(record: &Value, field: &str) -> Option<i64> {
    record.get(field)?.get(0)?.as_i64()
}

/// Ids of related records: `[7, 8]`.
pub(crate) fn many(record: &Value, field: &str) -> Vec<i64> {
    json::list(record, &format!("/{field}")).iter().filter_map(Value::as_i64).collect()
}

/// Name of a related record.
pub(crate) fn named(record: &Value, field: &str) -> Option<String> {
    json::text(record, &format!("/{field}/1"))
}

/// A text that is not empty.
pub(crate) fn text(record: &Value, field: &str) -> Option<String> {
    json::text(record, &format!("/{field}"))
}

/// A moment; Odoo's are UTC without saying so.
pub(crate) fn moment(record: &Value, field: &str) -> Option<String> {
    dates::rfc3339(&text(record, field)?)
}

/// A text for `like`, `ilike` and `=ilike` that means just itself.
pub(crate) fn literal(text: &str) -> String {
    text.chars().flat_map(|c| matches!(c, '\\' | '%' | '_').then_some('\\').into_iter().chain([c])).collect()
}
