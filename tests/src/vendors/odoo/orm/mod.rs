//! A small Odoo in memory: its models and fields, its search language, its rights and its exceptions.
//!
//! It knows nothing of HTTP: [`Orm::dispatch`] takes a call of the external API (`service`, `method`, `args`) and gives
//! a result or the `data` of an error, just as Odoo does. The connector's own tests include this folder and call it
//! directly; [`super::Odoo`] serves it. It is strict where Odoo is: an unknown model, field, operator, method, argument
//! or language, a wrong type, a missing right and a foreign company all end in Odoo's own exception.

mod domain;
mod schema;
mod seed;

use domain::{Domain, is_empty};
use schema::{Field, Schema};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

pub use schema::Helpdesk;

/// The database.
pub const DATABASE: &str = "erp";
/// The connector's user.
pub const LOGIN: &str = "chatbot@example.test";
/// Its API key.
pub const KEY: &str = "0123456789abcdef-odoo-api-key";
/// Models with messages.
const THREADS: [&str; 3] = ["crm.lead", "helpdesk.ticket", "project.task"];
/// The moment at which all is created.
const NOW: &str = "2026-11-22 10:32:00";

/// A Python exception, as Odoo serialises it.
#[derive(Debug)]
pub struct Fault {
    name: String,
    message: String,
}

impl Fault {
    fn python(class: &str, message: String) -> Fault {
        Fault { name: format!("builtins.{class}"), message }
    }
    fn odoo(class: &str, message: impl Into<String>) -> Fault {
        Fault { name: format!("odoo.exceptions.{class}"), message: message.into() }
    }
    /// The `data` of the error.
    pub fn data(&self) -> Value {
        let class = self.name.rsplit('.').next().unwrap_or_default();
        let debug = format!(
            "Traceback (most recent call last):\n  File \"/usr/lib/python3/dist-packages/odoo/http.py\", line 1658, in _serve_db\n{class}: {}\n",
            self.message
        );
        json!({"name": self.name, "debug": debug, "message": self.message, "arguments": [self.message], "context": {}})
    }
}

type Record = Map<String, Value>;

/// The database with everything in it.
#[derive(Debug)]
pub struct Orm {
    version: u32,
    schema: Schema,
    records: BTreeMap<String, BTreeMap<i64, Record>>,
    /// Model and operation that the user has no right to.
    denied: BTreeSet<(String, String)>,
    /// Key of the user.
    key: String,
    /// Names in German, by model and id.
    german: BTreeMap<(String, i64), String>,
    /// Quantity on hand and reserved, by product and warehouse.
    quants: Vec<(i64, i64, f64, f64)>,
    /// `model.method` of each call.
    calls: Vec<String>,
    /// Model and id of what the user follows, because it made it or wrote in it.
    followed: BTreeSet<(String, i64)>,
}

impl Orm {
    /// An Odoo of a version with all apps, a shop's data in it, and this helpdesk.
    pub fn new(version: u32, helpdesk: Helpdesk) -> Orm {
        Self::with_apps(version, helpdesk, &["sale", "stock", "dropship", "crm", "website", "delivery", "project"])
    }

    /// The same with these apps only.
    pub fn with_apps(version: u32, helpdesk: Helpdesk, apps: &[&str]) -> Orm {
        let mut orm = Orm {
            version,
            schema: schema::schema(version, helpdesk, apps),
            records: BTreeMap::new(),
            denied: BTreeSet::new(),
            key: KEY.to_owned(),
            german: BTreeMap::new(),
            quants: Vec::new(),
            calls: Vec::new(),
            followed: BTreeSet::new(),
        };
        seed::fill(&mut orm);
        orm
    }

    /// Takes a right from the user: `create`, `read`, `write`.
    pub fn deny(&mut self, model: &str, operation: &str) {
        self.denied.insert((model.to_owned(), operation.to_owned()));
    }

    /// Gives the user another key, as if it had been revoked.
    pub fn change_key(&mut self, key: &str) {
        key.clone_into(&mut self.key);
    }

    /// `model.method` of each call so far.
    pub fn calls(&self) -> &[String] {
        &self.calls
    }

    /// What the user follows: each answer would go to its mailbox.
    pub fn followed(&self) -> &BTreeSet<(String, i64)> {
        &self.followed
    }

    /// All records of a model as they are stored, archived ones too.
    pub fn all(&self, model: &str) -> Vec<Value> {
        let records = self.records.get(model).into_iter().flatten();
        records.map(|(id, record)| with_id(*id, record.clone())).collect()
    }

    /// Changes a record past all rules, as somebody in Odoo would.
    pub fn set(&mut self, model: &str, id: i64, field: &str, value: Value) {
        if let Some(record) = self.records.get_mut(model).and_then(|m| m.get_mut(&id)) {
            record.insert(field.to_owned(), value);
        }
    }

    /// A call of the external API.
    ///
    /// # Errors
    /// The exception that Odoo raises.
    pub fn dispatch(&mut self, service: &str, method: &str, args: &[Value]) -> Result<Value, Fault> {
        match (service, method, args) {
            ("common", "version", []) => Ok(json!({
                "server_version": format!("{}.0", self.version), "server_version_info": [self.version, 0, 0, "final", 0, ""],
                "server_serie": format!("{}.0", self.version), "protocol_version": 1,
            })),
            ("common", "authenticate", [db, login, key, agent]) if agent.is_object() => {
                self.database(db)?;
                Ok(if *login == LOGIN && *key == json!(self.key) { json!(2) } else { json!(false) })
            }
            ("object", "execute_kw", [db, uid, key, model, method, args, kwargs @ ..]) => {
                self.database(db)?;
                if *uid != json!(2) || *key != json!(self.key) {
                    return Err(Fault::odoo("AccessDenied", "Access Denied"));
                }
                let kwargs = kwargs.first().cloned().unwrap_or_else(|| json!({}));
                let (Some(model), Some(method), Some(args), Some(kwargs)) =
                    (model.as_str(), method.as_str(), args.as_array(), kwargs.as_object())
                else {
                    return Err(Fault::python("TypeError", "execute_kw() got arguments of a wrong type".into()));
                };
                self.execute(model, method, args, kwargs.clone())
            }
            ("common" | "object", _, _) => {
                Err(Fault::python("TypeError", format!("{method}() got {} positional arguments", args.len())))
            }
            _ => Err(Fault::python("KeyError", format!("'{service}'"))),
        }
    }

    fn database(&self, db: &Value) -> Result<(), Fault> {
        if *db == DATABASE {
            return Ok(());
        }
        let message = format!("connection to server on socket failed: FATAL:  database {db} does not exist\n");
        Err(Fault { name: "psycopg2.OperationalError".into(), message })
    }

    fn execute(&mut self, model: &str, method: &str, args: &[Value], mut kwargs: Record) -> Result<Value, Fault> {
        self.calls.push(format!("{model}.{method}"));
        if !self.schema.contains_key(model) {
            return Err(Fault::odoo("UserError", format!("Object {model} doesn't exist")));
        }
        let context = kwargs.remove("context").unwrap_or_default();
        if let Some(lang) = context["lang"].as_str().filter(|l| !["en_US", "de_DE"].contains(l)) {
            return Err(Fault::odoo("UserError", format!("Invalid language code: {lang}")));
        }
        let companies = context["allowed_company_ids"].as_array().cloned().unwrap_or_default();
        if companies.iter().any(|c| *c != json!(1)) {
            return Err(Fault::odoo("AccessError", "Access to unauthorized or invalid companies."));
        }
        let known: &[&str] = match method {
            "search_read" => &["domain", "fields", "offset", "limit", "order"],
            "fields_get" => &["allfields", "attributes"],
            "check_access_rights" => &["operation", "raise_exception"],
            "message_post" if self.version >= 17 => {
                &["body", "message_type", "subtype_xmlid", "author_id", "email_from", "subject", "body_is_html"]
            }
            "message_post" => &["body", "message_type", "subtype_xmlid", "author_id", "email_from", "subject"],
            _ => &[],
        };
        if let Some(unknown) = kwargs.keys().find(|k| !known.contains(&k.as_str())) {
            let message = format!("{method}() got an unexpected keyword argument '{unknown}'");
            return Err(Fault::python("TypeError", message));
        }
        match (method, args) {
            ("search_read", [domain]) => self.search_read(model, domain, &kwargs, &context),
            ("create", [Value::Object(values)]) => {
                let id = self.create(model, values)?;
                self.follow(model, id, &context);
                Ok(json!(id))
            }
            ("write", [ids, Value::Object(values)]) => self.write(model, &self.existing(model, ids)?, values),
            ("fields_get", [Value::Array(wanted)]) => {
                // Needs no right.
                let wanted: Vec<&str> = wanted.iter().filter_map(Value::as_str).collect();
                let fields = self.schema.get(model).into_iter().flatten();
                let there = fields.filter(|(name, _)| wanted.is_empty() || wanted.contains(&name.as_str()));
                Ok(there
                    .map(|(name, field)| (name.clone(), json!({"type": odoo_type(&field.kind)})))
                    .collect::<Record>()
                    .into())
            }
            ("has_access", [ids, Value::String(operation)]) if self.version >= 18 && ids.is_array() => {
                Ok(json!(self.may(model, operation).is_ok()))
            }
            // Deprecated from 18 on.
            ("check_access_rights", [Value::String(operation)]) => match self.may(model, operation) {
                Ok(()) => Ok(json!(true)),
                Err(fault) if kwargs.get("raise_exception") != Some(&json!(false)) => Err(fault),
                Err(_) => Ok(json!(false)),
            },
            ("action_set_lost", [ids]) if model == "crm.lead" => {
                let lost =
                    Map::from_iter([("active".to_owned(), json!(false)), ("probability".to_owned(), json!(0.0))]);
                self.write(model, &self.existing(model, ids)?, &lost)
            }
            ("action_unarchive", [ids]) if self.field(model, "active").is_some() => {
                let active = Map::from_iter([("active".to_owned(), json!(true))]);
                self.write(model, &self.existing(model, ids)?, &active)?;
                Ok(Value::Null)
            }
            ("message_post", [ids]) if THREADS.contains(&model) => match self.existing(model, ids)?.as_slice() {
                [id] => self.post(model, *id, &kwargs, &context),
                ids => Err(Fault::python("ValueError", format!("Expected singleton: {model}{ids:?}"))),
            },
            (method, _) if method.starts_with('_') => {
                let message = format!("Private methods (such as {method}) cannot be called remotely.");
                Err(Fault::odoo("AccessError", message))
            }
            _ => Err(Fault::python("AttributeError", format!("type object '{model}' has no attribute '{method}'"))),
        }
    }

    fn field(&self, model: &str, name: &str) -> Option<&Field> {
        self.schema.get(model)?.get(name)
    }

    fn may(&self, model: &str, operation: &str) -> Result<(), Fault> {
        if !self.denied.contains(&(model.to_owned(), operation.to_owned())) {
            return Ok(());
        }
        let done = if operation == "read" { "access" } else { operation };
        let message = format!(
            "You are not allowed to {done} '{model}' ({model}) records.\n\nThis operation is allowed for the following groups:\n\t- \
             Sales/Administrator\n\nContact your administrator to request access if necessary."
        );
        Err(Fault::odoo("AccessError", message))
    }

    /// A field as it is stored: ids for relations, `false` for nothing.
    fn raw(&self, model: &str, id: i64, name: &str) -> Value {
        if name == "id" {
            return json!(id);
        }
        if let Some(field) = self.field(model, name)
            && let (Some(inverse), Some(comodel)) = (&field.inverse, &field.comodel)
        {
            let all = self.records.get(comodel).into_iter().flatten();
            let back = all.filter(|(_, record)| record.get(inverse) == Some(&json!(id)));
            return json!(back.map(|(id, _)| id).collect::<Vec<_>>());
        }
        let stored = self.records.get(model).and_then(|m| m.get(&id)).and_then(|r| r.get(name));
        stored.cloned().unwrap_or(Value::Bool(false))
    }

    fn search_read(&self, model: &str, domain: &Value, kwargs: &Record, context: &Value) -> Result<Value, Fault> {
        self.may(model, "read")?;
        let parsed = Domain::parse(domain)?;
        parsed.check(self, model)?;
        let fields: Vec<&str> =
            kwargs.get("fields").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
        if let Some(unknown) = fields.iter().find(|f| self.field(model, f).is_none()) {
            return Err(Fault::python("ValueError", format!("Invalid field '{unknown}' on model '{model}'")));
        }
        // They are computed from moves and quants, with the user's own rights.
        if model == "product.product" && fields.iter().any(|f| is_quantity(f)) {
            self.may("stock.move", "read")?;
            self.may("stock.quant", "read")?;
        }
        let active =
            context["active_test"] != json!(false) && self.field(model, "active").is_some() && !parsed.names("active");
        let mut found = Vec::new();
        for id in self.records.get(model).into_iter().flat_map(BTreeMap::keys) {
            if (!active || self.raw(model, *id, "active") == json!(true)) && parsed.fits(self, model, *id)? {
                found.push(*id);
            }
        }
        self.sort(model, &mut found, kwargs.get("order").and_then(Value::as_str).unwrap_or("id"))?;
        let count = |name: &str| kwargs.get(name).and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok());
        let page = found.iter().skip(count("offset").unwrap_or(0)).take(count("limit").unwrap_or(usize::MAX));
        Ok(page.map(|id| self.read(model, *id, &fields, context)).collect())
    }

    fn sort(&self, model: &str, ids: &mut [i64], order: &str) -> Result<(), Fault> {
        for part in order.split(',').rev() {
            let mut words = part.split_whitespace();
            let name = words.next().unwrap_or_default();
            if self.field(model, name).is_none() {
                return Err(Fault::python("ValueError", format!("Invalid field '{name}' on model '{model}'")));
            }
            let down = words.next().is_some_and(|w| w.eq_ignore_ascii_case("desc"));
            ids.sort_by(|a, b| {
                let (a, b) = (self.raw(model, *a, name), self.raw(model, *b, name));
                let order = match (a.as_f64(), b.as_f64()) {
                    (Some(a), Some(b)) => a.total_cmp(&b),
                    _ => a.as_str().unwrap_or_default().cmp(b.as_str().unwrap_or_default()),
                };
                if down { order.reverse() } else { order }
            });
        }
        Ok(())
    }

    fn read(&self, model: &str, id: i64, fields: &[&str], context: &Value) -> Value {
        let mut out = Map::from_iter([("id".to_owned(), json!(id))]);
        for name in fields {
            let Some(field) = self.field(model, name) else { continue };
            let raw = self.raw(model, id, name);
            let shown = match (field.kind.as_str(), field.comodel.as_deref()) {
                ("m2o", Some(comodel)) => {
                    raw.as_i64().map_or(json!(false), |to| json!([to, self.shown(comodel, to, context)]))
                }
                ("o2m" | "m2m", _) if is_empty(&raw) => json!([]),
                ("float", _) if model == "product.product" && is_quantity(name) => {
                    json!(self.quantity(id, name, context))
                }
                ("float" | "monetary", _) => json!(raw.as_f64().unwrap_or(0.0)),
                ("integer", _) => json!(raw.as_i64().unwrap_or(0)),
                ("char", _) if *name == "name" => json!(self.shown_name(model, id, context).unwrap_or(raw)),
                _ if is_empty(&raw) => json!(false),
                _ => raw,
            };
            out.insert((*name).to_owned(), shown);
        }
        Value::Object(out)
    }

    fn shown_name(&self, model: &str, id: i64, context: &Value) -> Option<Value> {
        let german = self.german.get(&(model.to_owned(), id)).filter(|_| context["lang"] == "de_DE");
        german.map(|name| json!(name))
    }

    /// `name_get`
    fn shown(&self, model: &str, id: i64, context: &Value) -> String {
        let name = self.shown_name(model, id, context).unwrap_or_else(|| self.raw(model, id, "name"));
        let name = name.as_str().unwrap_or_default();
        match model {
            "product.product" => {
                self.raw(model, id, "default_code").as_str().map_or(name.to_owned(), |c| format!("[{c}] {name}"))
            }
            "product.category" => self.raw(model, id, "complete_name").as_str().unwrap_or(name).to_owned(),
            "res.partner" => match self.raw(model, id, "parent_id").as_i64() {
                Some(parent) => format!("{}, {name}", self.shown(model, parent, context)),
                None => name.to_owned(),
            },
            _ => name.to_owned(),
        }
    }

    /// In the context's warehouse, else in all. The context's key was renamed in 18.
    fn quantity(&self, product: i64, field: &str, context: &Value) -> f64 {
        let key = if self.version >= 18 { "warehouse_id" } else { "warehouse" };
        let place = context[key].as_i64();
        let here = self.quants.iter().filter(|(p, w, ..)| *p == product && place.is_none_or(|place| place == *w));
        here.map(|(_, _, on_hand, reserved)| if field == "free_qty" { on_hand - reserved } else { *on_hand }).sum()
    }

    fn existing(&self, model: &str, ids: &Value) -> Result<Vec<i64>, Fault> {
        let ids: Vec<i64> = ids.as_array().into_iter().flatten().filter_map(Value::as_i64).collect();
        let there = |id: &i64| self.records.get(model).is_some_and(|m| m.contains_key(id));
        if ids.is_empty() || !ids.iter().all(there) {
            return Err(Fault::odoo(
                "MissingError",
                format!("Record does not exist or has been deleted.\n(Record: {model}({ids:?},), User: 2)"),
            ));
        }
        Ok(ids)
    }

    fn check(&self, model: &str, values: &Record) -> Result<(), Fault> {
        for (name, value) in values {
            let Some(field) = self.field(model, name) else {
                return Err(Fault::python("ValueError", format!("Invalid field '{name}' on model '{model}'")));
            };
            let fits = match field.kind.as_str() {
                _ if *value == json!(false) => !field.required,
                "char" | "text" | "html" | "datetime" => value.is_string(),
                "selection" if !field.choices.iter().any(|c| value == c) => {
                    return Err(Fault::python("ValueError", format!("Wrong value for {model}.{name}: {value}")));
                }
                "selection" => true,
                "boolean" => value.is_boolean(),
                "float" | "monetary" => value.is_number(),
                "integer" => value.is_i64(),
                "m2o" => {
                    let comodel = field.comodel.as_deref().unwrap_or_default();
                    value.as_i64().is_some_and(|id| self.records.get(comodel).is_some_and(|m| m.contains_key(&id)))
                }
                _ => value.is_array(),
            };
            if !fits {
                let message = format!("The operation cannot be completed: {model}.{name} can't be {value}");
                return Err(Fault::odoo("ValidationError", message));
            }
        }
        Ok(())
    }

    fn create(&mut self, model: &str, values: &Record) -> Result<i64, Fault> {
        self.may(model, "create")?;
        self.check(model, values)?;
        let id = self.records.get(model).and_then(|m| m.keys().next_back()).copied().unwrap_or(0) + 1;
        let mut record = seed::defaults(model, id);
        record.retain(|name, _| self.field(model, name).is_some());
        record.extend(self.sanitized(model, values));
        // In the Enterprise helpdesk each ticket has a team.
        if self.field(model, "ticket_ref").is_some() {
            record.entry("team_id").or_insert_with(|| json!(1));
        }
        // A lead's team is that of its salesperson.
        if model == "crm.lead" && record.get("user_id").is_none_or(is_empty) && !values.contains_key("team_id") {
            record.insert("team_id".into(), json!(false));
        }
        let required = self.schema.get(model).into_iter().flatten().filter(|(_, f)| f.required);
        for (name, _) in required {
            if record.get(name).is_none_or(is_empty) {
                let message = format!(
                    "The operation cannot be completed:\n- Create/update: a mandatory field is not set.\nModel: {model}\nField: {name}"
                );
                return Err(Fault::odoo("ValidationError", message));
            }
        }
        self.insert(model, id, record);
        self.write_back(model, id);
        Ok(id)
    }

    fn insert(&mut self, model: &str, id: i64, mut record: Record) {
        if model == "res.partner" {
            let normal = record.get("email").and_then(Value::as_str).map(str::to_lowercase);
            record.insert("email_normalized".into(), normal.map_or(json!(false), Value::from));
            let parent = record.get("parent_id").cloned().filter(|p| p.is_i64());
            record.entry("commercial_partner_id").or_insert_with(|| parent.unwrap_or_else(|| json!(id)));
        }
        self.records.entry(model.to_owned()).or_default().insert(id, record);
    }

    fn write(&mut self, model: &str, ids: &[i64], values: &Record) -> Result<Value, Fault> {
        self.may(model, "write")?;
        self.check(model, values)?;
        let clean = self.sanitized(model, values);
        for id in ids {
            if let Some(record) = self.records.get_mut(model).and_then(|m| m.get_mut(id)) {
                record.extend(clean.clone());
            }
            self.write_back(model, *id);
        }
        Ok(json!(true))
    }

    /// The inverse of computed fields: what is written to a lead or ticket goes to its partner as well.
    fn write_back(&mut self, model: &str, id: i64) {
        let pairs = match model {
            "crm.lead" => [("email_from", "email"), ("phone", "phone")],
            "helpdesk.ticket" => [("partner_email", "email"), ("partner_phone", "phone")],
            _ => return,
        };
        let Some(partner) = self.raw(model, id, "partner_id").as_i64() else { return };
        for (own, theirs) in pairs {
            let value = self.raw(model, id, own);
            if !is_empty(&value) {
                self.set("res.partner", partner, theirs, value);
            }
        }
    }

    /// Rich text as lxml writes it: quotes need no entity.
    fn sanitized(&self, model: &str, values: &Record) -> Record {
        let clean = |(name, value): (&String, &Value)| match value {
            Value::String(text) if self.field(model, name).is_some_and(|f| f.kind == "html") => {
                (name.clone(), json!(text.replace("&#34;", "\"").replace("&#39;", "'")))
            }
            value => (name.clone(), value.clone()),
        };
        values.iter().map(clean).collect()
    }

    /// Who makes a record, or writes in it, follows it.
    fn follow(&mut self, model: &str, id: i64, context: &Value) {
        if THREADS.contains(&model) && context["mail_create_nosubscribe"] != json!(true) {
            self.followed.insert((model.to_owned(), id));
        }
    }

    fn post(&mut self, model: &str, id: i64, kwargs: &Record, context: &Value) -> Result<Value, Fault> {
        let text = |name: &str| kwargs.get(name).and_then(Value::as_str).unwrap_or_default();
        let html = self.version < 17 || kwargs.get("body_is_html") == Some(&json!(true));
        let body = if html {
            text("body").to_owned()
        } else {
            text("body").replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
        };
        let subtype = match text("subtype_xmlid") {
            "mail.mt_comment" => 1,
            "mail.mt_note" => 2,
            other => return Err(Fault::python("ValueError", format!("External ID not found in the system: {other}"))),
        };
        let (author, from) = self.author(kwargs)?;
        // Nobody sets `is_internal`: a note is one by its subtype.
        let values = json!({
            "model": model, "res_id": id, "date": NOW, "body": body, "author_id": author, "email_from": from,
            "subtype_id": subtype, "message_type": kwargs.get("message_type"),
        });
        let values = values.as_object().cloned().unwrap_or_default();
        let made = self.create("mail.message", &values)?;
        self.follow(model, id, context);
        Ok(json!(made))
    }

    /// `_message_compute_author`: nobody writes without an e-mail address.
    fn author(&self, kwargs: &Record) -> Result<(Value, Value), Fault> {
        let of = |partner: &Value| partner.as_i64().map_or(json!(false), |id| self.raw("res.partner", id, "email"));
        let (author, from) = match (kwargs.get("author_id"), kwargs.get("email_from")) {
            (Some(author), Some(from)) => (author.clone(), from.clone()),
            (Some(author), None) => (author.clone(), of(author)),
            (None, Some(from)) => {
                let known = self.records.get("res.partner").into_iter().flatten();
                let mut known = known.filter(|(_, p)| p.get("email_normalized") == Some(from));
                (known.next().map_or(json!(false), |(id, _)| json!(id)), from.clone())
            }
            (None, None) => (json!(1), of(&json!(1))),
        };
        if is_empty(&from) {
            let message = "Unable to send message, please configure the sender's email address.";
            return Err(Fault::odoo("UserError", message));
        }
        Ok((author, from))
    }
}

fn is_quantity(field: &str) -> bool {
    matches!(field, "qty_available" | "free_qty" | "virtual_available")
}

fn with_id(id: i64, mut record: Record) -> Value {
    record.insert("id".into(), json!(id));
    Value::Object(record)
}

fn odoo_type(kind: &str) -> &str {
    match kind {
        "m2o" => "many2one",
        "o2m" => "one2many",
        "m2m" => "many2many",
        other => other,
    }
}
