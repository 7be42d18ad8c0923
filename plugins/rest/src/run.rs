//! One call of an operation: requests, pages, errors, and which of the answer's records are meant.

use crate::pick::{Picker, known};
use crate::shape::{Contract, contract, with_call};
use crate::spec::{Api, Operation, Request as Described};
use crate::template::{fill, fill_value};
use confab_plugin_sdk::http::{Request, Response};
use confab_plugin_sdk::json as pick;
use confab_plugin_sdk::orders::no_order;
use confab_plugin_sdk::pages::{self, Page};
use confab_plugin_sdk::prelude::*;
use confab_plugin_sdk::{once, people};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// A call that is served.
pub(crate) struct Call<'a> {
    api: &'a Api,
    contract: &'static Contract,
    operation: &'a Operation,
    arguments: Value,
    key: String,
}

impl<'a> Call<'a> {
    /// # Errors
    /// `unsupported` when the file does not describe the operation.
    pub(crate) fn new(api: &'a Api, name: &str, arguments: Value) -> Result<Self> {
        let missing = || error(Code::Unsupported, format!("the API's description has no operation {name}"));
        let operation = &api.operations.get(name).ok_or_else(missing)?.value;
        let contract = contract(name).ok_or_else(missing)?;
        let context = host::context();
        let once = once::reference(&context.idempotency_key);
        let now = host::now_rfc3339();
        let arguments = with_call(arguments, &context.idempotency_key, &once, &now, context.locale.as_deref());
        Ok(Call { api, contract, operation, arguments, key: context.idempotency_key })
    }

    /// One record of a read, or of a write.
    pub(crate) fn one<T: DeserializeOwned>(&self, defaults: &Value, meant: impl Fn(&T) -> bool) -> Result<T> {
        self.fitting(defaults, 1, meant)?.into_iter().next().ok_or_else(|| self.nothing())
    }

    /// The first records of a read.
    pub(crate) fn first<T: DeserializeOwned>(&self, limit: usize) -> Result<Vec<T>> {
        self.records(limit)?.iter().map(|record| self.picked(record, &Value::Null)).collect()
    }

    /// Records of a read that fit, at most so many; all pages are looked at, since what fits may stand behind what doesn't.
    pub(crate) fn fitting<T: DeserializeOwned>(
        &self,
        defaults: &Value,
        limit: usize,
        meant: impl Fn(&T) -> bool,
    ) -> Result<Vec<T>> {
        let records = self.records(usize::MAX)?;
        let all = records.iter().map(|record| self.picked(record, defaults));
        let fitting: Result<Vec<T>> = all.filter(|record| record.as_ref().map_or(true, &meant)).collect();
        Ok(fitting?.into_iter().take(limit).collect())
    }

    /// The records that belong to somebody, by what they say of their owners.
    pub(crate) fn of<T: DeserializeOwned>(&self, owner: &Proof, limit: usize) -> Result<Vec<T>> {
        let theirs = |record: &&Value| known(record, &self.operation.proof).proves(owner, String::new).is_ok();
        let records = self.records(usize::MAX)?;
        records.iter().filter(theirs).take(limit).map(|record| self.picked(record, &Value::Null)).collect()
    }

    /// Whether the description says where a record has its customer's id.
    pub(crate) fn has_customer_ids(&self) -> bool {
        !self.operation.proof.customer_ids.is_empty()
    }

    /// The records of this number whose owner the proof shows the asker to be.
    pub(crate) fn proven<T: DeserializeOwned>(
        &self,
        number: &str,
        proof: &Proof,
        meant: impl Fn(&T) -> bool,
    ) -> Result<Vec<T>> {
        let proof = people::given(proof)?;
        let records = match self.records(usize::MAX) {
            // What is not there and what is somebody else's sound the same.
            Err(e) if e.code == Code::NotFound.as_str() => return Err(self.nothing()),
            other => other?,
        };
        let numbers = &self.operation.numbers;
        let called = |record: &&Value| {
            let own = |at: &String| pick::text(record, at).is_some_and(|own| own.eq_ignore_ascii_case(number.trim()));
            numbers.is_empty() || numbers.iter().any(own)
        };
        let theirs = |record: &&Value| known(record, &self.operation.proof).proves(&proof, String::new).is_ok();
        let records = records.iter().filter(called).filter(theirs);
        let all: Result<Vec<T>> = records.map(|record| self.picked(record, &Value::Null)).collect();
        let meant: Vec<T> = all?.into_iter().filter(meant).collect();
        if meant.is_empty() { Err(self.nothing()) } else { Ok(meant) }
    }

    /// A write that happens once: what an earlier try left is looked for first, here and in the system.
    pub(crate) fn write(&self, defaults: &Value) -> Result<Value> {
        let kept = format!("once/{}/{}", self.contract.name, once::token(&self.key));
        let noted: Option<Value> = if self.key.is_empty() { None } else { kv::get_json(&kept)? };
        if let Some(Value::Null) = noted {
            // Accepted, and what came back could not be read: sent again, it would be made twice.
            let name = self.contract.name;
            let message = format!("{name}: an earlier try was accepted, but its answer could not be read");
            return Err(error(Code::Conflict, message));
        }
        if let Some(done) = noted {
            return Ok(done);
        }
        let found = match &self.operation.once {
            Some(search) if !self.key.is_empty() => {
                let answer = self.send(&search.request, None)?;
                let keys = [once::reference(&self.key), self.key.clone()];
                let is_ours = |record: &Value| pick::text(record, &search.key).is_some_and(|key| keys.contains(&key));
                listed(&answer, search.list.as_deref()).into_iter().find(is_ours)
            }
            _ => None,
        };
        let record = match found {
            Some(found) => found,
            None => {
                let answer = self.send(&self.operation.request, None)?;
                listed(&answer, self.operation.list.as_deref()).into_iter().next().unwrap_or_default()
            }
        };
        let done: Result<Value> = self.picked(&record, defaults);
        if !self.key.is_empty() {
            let mut keep = done.as_ref().ok().cloned().unwrap_or_default();
            if let Some(fields) = keep.as_object_mut().filter(|fields| fields.contains_key("comments")) {
                // They may be longer than what can be kept, and are read anew when somebody asks.
                fields.insert("comments".into(), json!([]));
            }
            // The write is made, whatever becomes of our note of it.
            if let Err(e) = kv::set_json(&kept, &keep) {
                log::warn(format!("{}: that it was made could not be noted: {}", self.contract.name, e.message));
            }
        }
        done
    }

    fn picked<T: DeserializeOwned>(&self, record: &Value, defaults: &Value) -> Result<T> {
        let picker = Picker {
            operation: self.contract.name,
            arguments: &self.arguments,
            currency: self.api.currency.as_deref(),
        };
        picker.record(record, &self.operation.result, self.contract.shape, defaults)
    }

    fn nothing(&self) -> Error {
        match self.contract.name {
            "orders.get" | "orders.track" => no_order(),
            "tickets.get" => error(Code::NotFound, "there is no ticket with this number that belongs to the asker"),
            _ => error(Code::NotFound, "the system has nothing that fits"),
        }
    }

    /// The records of all pages.
    fn records(&self, limit: usize) -> Result<Vec<Value>> {
        let list = self.operation.list.as_deref();
        let Some(further) = &self.operation.pages else {
            return Ok(listed(&self.send(&self.operation.request, None)?, list));
        };
        let parameter = further.parameter.as_deref().unwrap_or_default();
        pages::collect(limit, further.most, |cursor| {
            let more = match (&further.next, cursor.as_deref()) {
                (Some(_), None) => None,
                // Only the query of a link is taken: path and host stay those of the description.
                (Some(_), Some(url)) if parameter.is_empty() => {
                    Some(More::Query(url.split_once('?').map_or("", |(_, query)| query).to_owned()))
                }
                (Some(_), Some(cursor)) => Some(More::Parameter(parameter, cursor.to_owned())),
                (None, cursor) => {
                    Some(More::Parameter(parameter, cursor.map_or_else(|| further.first.to_string(), str::to_owned)))
                }
            };
            let answer = self.send(&self.operation.request, more)?;
            let items = listed(&answer, list);
            let number = cursor.map_or(Some(further.first), |cursor| cursor.parse().ok());
            let next = match &further.next {
                Some(pointer) => pick::text(&answer, pointer),
                None if items.is_empty() => None,
                None => number.map(|number: u32| number.saturating_add(1).to_string()),
            };
            Ok(Page { items, next })
        })
    }

    fn send(&self, described: &Described, more: Option<More<'_>>) -> Result<Value> {
        let missing = || error(Code::InvalidInput, format!("{} lacks what its path is made of", self.contract.name));
        let mut path = fill(&described.path, &self.arguments, true).ok_or_else(missing)?;
        // A path of dots would lead out of its place, and an empty segment elsewhere.
        if path.split(['/', '?']).any(|segment| matches!(segment, "." | "..")) || path.contains("//") {
            return Err(missing());
        }
        let filled = described.query.iter();
        let filled = filled.filter_map(|(name, text)| Some((name.as_str(), fill(text, &self.arguments, false)?)));
        let mut query: Vec<(&str, String)> = filled.collect();
        match more {
            Some(More::Query(whole)) => {
                query.clear();
                path = format!("{path}?{whole}");
            }
            Some(More::Parameter(name, value)) => {
                query.retain(|(known, _)| *known != name);
                query.push((name, value));
            }
            None => {}
        }
        let query: Vec<(&str, &str)> = query.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let mut request = Request::new(&described.method, "api", path).query(&query);
        for (name, text) in self.api.headers.iter().chain(&described.headers) {
            if let Some(value) = fill(text, &self.arguments, false).filter(|value| !value.is_empty()) {
                request = request.header(name, value);
            }
        }
        if let Some(body) = &described.body {
            request = request.json(&fill_value(body, &self.arguments).unwrap_or_else(|| json!({})));
        }
        answer(self.api, request.send()?)
    }
}

/// How the next page is asked for.
enum More<'a> {
    Query(String),
    Parameter(&'a str, String),
}

/// The JSON of an answer, or the error that it is.
pub(crate) fn answer(api: &Api, response: Response) -> Result<Value> {
    let body: Value = response.json_any_status().unwrap_or_default();
    let errors = &api.errors;
    let named = errors.code.as_deref().and_then(|at| pick::text(&body, at));
    let named = named.and_then(|code| errors.codes.get(&code));
    let said = errors.message.as_deref().and_then(|at| pick::text(&body, at)).map(|text| pick::said(&text));
    let status = response.status;
    let stated = named.or_else(|| errors.statuses.get(&status));
    let explained = |e: Error| match &said {
        Some(said) => Error { message: format!("{}: {said}", e.message), ..e },
        None => e,
    };
    if let Some(code) = stated {
        let retry_after = response.ok().err().and_then(|e| e.retry_after);
        let message = format!("the system answered {status}");
        return Err(explained(Error { code: code.clone(), message, retry_after }));
    }
    let good = response.ok().map_err(explained)?;
    if body.is_null() && !good.body.is_empty() {
        return Err(error(Code::Internal, format!("the system's answer ({status}) is no JSON")));
    }
    Ok(body)
}

fn listed(answer: &Value, list: Option<&str>) -> Vec<Value> {
    match list.map_or(Some(answer), |pointer| answer.pointer(pointer)) {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(many)) => many.clone(),
        Some(one) => vec![one.clone()],
    }
}
