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

#[derive(Serialize, Deserialize)]
struct Kept<T> {
    at: u64,
    value: T,
}

/// One call of a capability.
pub(crate) struct Odoo {
    pub(crate) settings: Settings,
    pub(crate) now: u64,
    /// The idempotency key; empty for none.
    pub(crate) once: String,
    pub(crate) locale: String,
    session: Option<Session>,
}

impl Odoo {
    pub(crate) fn new() -> Result<Odoo> {
        let context = host::context();
        Ok(Odoo {
            settings: host::settings()?,
            now: host::now_millis(),
            once: context.idempotency_key,
            locale: context.locale.unwrap_or_default(),
            session: None,
        })
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
        let key = format!("about/{name}");
        let most = self.settings.cache_minutes.saturating_mul(60_000);
        // What an older version kept in another shape counts as nothing.
        if let Some(bytes) = kv::get(&key)?
            && let Ok(kept) = serde_json::from_slice::<Kept<T>>(&bytes)
            && self.now.saturating_sub(kept.at) < most
        {
            return Ok(kept.value);
        }
        let kept = Kept { at: self.now, value: read(self)? };
        kv::set_json(&key, &kept)?;
        Ok(kept.value)
    }

    /// Calls a method of a model.
    pub(crate) fn call(&mut self, model: &str, method: &str, args: Value, kwargs: Value, more: Value) -> Result<Value> {
        let session = self.session()?;
        let mut context =
            json!({"lang": self.language(&session), "tz": "UTC", "allowed_company_ids": [session.company]});
        if let (Some(context), Value::Object(more)) = (context.as_object_mut(), more) {
            context.extend(more);
        }
        let mut kwargs = match kwargs {
            Value::Object(kwargs) => kwargs,
            _ => Map::new(),
        };
        kwargs.insert("context".into(), context);
        let call = json!([self.settings.database, session.uid, null, model, method, args, kwargs]);
        let answer = rpc::call("object", "execute_kw", call, &format!("{model} {method}"));
        if answer.as_ref().is_err_and(|e| e.message == rpc::KEY_REFUSED) {
            self.forget()?;
        }
        answer
    }

    /// Records that fit a domain, in an order, archived ones left out unless `more` has `active_test: false`.
    pub(crate) fn find(
        &mut self,
        model: &str,
        domain: Value,
        fields: &[&str],
        order: &str,
        limit: u32,
        more: Value,
    ) -> Result<Vec<Value>> {
        let mut kwargs = json!({"fields": fields, "limit": limit});
        if let Some(kwargs) = kwargs.as_object_mut().filter(|_| !order.is_empty()) {
            kwargs.insert("order".into(), json!(order));
        }
        match self.call(model, "search_read", json!([domain]), kwargs, more)? {
            Value::Array(records) => Ok(records),
            _ => Err(error(Code::Internal, format!("{model}: Odoo gave no list"))),
        }
    }

    /// Creates one record; gives its id. The connection's user does not follow it: answers are for people.
    pub(crate) fn create(&mut self, model: &str, values: Value) -> Result<i64> {
        let made = self.call(model, "create", json!([values]), Value::Null, unfollowed())?;
        let id = made.as_i64().or_else(|| made.get(0)?.as_i64());
        id.ok_or_else(|| error(Code::Internal, format!("{model}: Odoo gave no id for what it created")))
    }

    pub(crate) fn write(&mut self, model: &str, id: i64, values: Value) -> Result<()> {
        self.call(model, "write", json!([[id], values]), Value::Null, Value::Null).map(|_| ())
    }

    /// Which of these fields a model has here, for this user. Editions, versions and apps differ.
    pub(crate) fn fields(&mut self, model: &str, wanted: &[&str]) -> Result<Vec<String>> {
        self.remembered(&format!("fields/{model}"), |odoo| {
            let there =
                odoo.call(model, "fields_get", json!([wanted]), json!({"attributes": ["type"]}), Value::Null)?;
            Ok(wanted.iter().filter(|f| there.get(**f).is_some()).map(|f| (*f).to_owned()).collect())
        })
    }

    /// The visitor's language where Odoo has it, else English.
    fn language(&self, session: &Session) -> String {
        let wanted = self.locale.replace('-', "_");
        let short = wanted.split('_').next().unwrap_or_default();
        let has = |code: &&String| code.split(['_', '@']).next() == Some(short) && !short.is_empty();
        let exact = session.languages.iter().find(|code| **code == wanted);
        exact.or_else(|| session.languages.iter().find(has)).cloned().unwrap_or_else(|| "en_US".to_owned())
    }

    pub(crate) fn german(&self) -> bool {
        self.locale.get(..2).is_some_and(|l| l.eq_ignore_ascii_case("de"))
    }
}

/// The context in which the user who makes a record, or writes in it, does not become its follower.
pub(crate) fn unfollowed() -> Value {
    json!({"mail_create_nosubscribe": true})
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

/// Name of a related record.
pub(crate) fn named(record: &Value, field: &str) -> Option<String> {
    json::text(record, &format!("/{field}/1"))
}

/// A text that is not empty. Odoo writes `false` for an empty one.
pub(crate) fn text(record: &Value, field: &str) -> Option<String> {
    record.get(field)?.as_str().map(str::trim).filter(|t| !t.is_empty()).map(str::to_owned)
}

/// A moment; Odoo's are UTC without saying so.
pub(crate) fn moment(record: &Value, field: &str) -> Option<String> {
    dates::rfc3339(&text(record, field)?)
}

/// A text for `like`, `ilike` and `=ilike` that means just itself.
pub(crate) fn literal(text: &str) -> String {
    text.chars().flat_map(|c| matches!(c, '\\' | '%' | '_').then_some('\\').into_iter().chain([c])).collect()
}
