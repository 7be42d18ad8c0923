//! The file `api.yaml`: how an API is spoken to. Read and checked once, when the connection is prepared.

use crate::shape::{CONTRACTS, Contract, Kind, Shape, contract, sample};
use crate::template::{knows, names};
use confab_plugin_sdk::prelude::*;
use serde::Deserialize;
use serde_json::Value;
use serde_saphyr::Spanned;
use std::collections::BTreeMap;

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Api {
    /// Currency of amounts without one.
    pub(crate) currency: Option<String>,
    /// Headers of every request.
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, String>,
    /// How the API says no.
    #[serde(default)]
    pub(crate) errors: Errors,
    /// A request that changes nothing, to see whether the connection works.
    pub(crate) check: Option<Request>,
    /// By `capability.function`.
    pub(crate) operations: BTreeMap<String, Spanned<Operation>>,
    /// How webhooks of the system are checked and read.
    pub(crate) webhook: Option<crate::webhook::Hook>,
}

/// How an API says no, beyond its status.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Errors {
    /// Where its own code stands. In an answer with a good status, a code of `codes` is an error too.
    pub(crate) code: Option<String>,
    /// Where its message stands.
    pub(crate) message: Option<String>,
    /// Its codes in words of the contract.
    #[serde(default)]
    pub(crate) codes: BTreeMap<String, String>,
    /// Statuses that mean something else than usual.
    #[serde(default)]
    pub(crate) statuses: BTreeMap<u16, String>,
}

/// A request.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Request {
    #[serde(default = "get")]
    pub(crate) method: String,
    pub(crate) path: String,
    #[serde(default)]
    pub(crate) query: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Option<Value>,
}

impl Request {
    /// All that may have placeholders.
    fn texts(&self) -> Vec<&str> {
        let mut texts: Vec<&str> = vec![&self.path];
        texts.extend(self.query.values().chain(self.headers.values()).map(String::as_str));
        if let Some(body) = &self.body {
            strings(body, &mut texts);
        }
        texts
    }
}

fn get() -> String {
    "GET".to_owned()
}

/// What one function of the contract does.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Operation {
    pub(crate) request: Request,
    /// Where the records stand; none where the answer is the record.
    pub(crate) list: Option<String>,
    /// How further pages are asked for.
    pub(crate) pages: Option<Pages>,
    /// Where a record says whose it is.
    #[serde(default)]
    pub(crate) proof: Owners,
    /// Where a record has the numbers by which people call it: one of them must be the one that was asked for.
    #[serde(default)]
    pub(crate) numbers: Vec<String>,
    /// For writes: the search that finds what an earlier try made.
    pub(crate) once: Option<Once>,
    /// Field of the contract to where it stands.
    #[serde(default)]
    pub(crate) result: BTreeMap<String, Rule>,
}

/// Where a record says whose it is.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct Owners {
    pub(crate) emails: Vec<String>,
    pub(crate) phones: Vec<String>,
    pub(crate) postal_codes: Vec<String>,
    pub(crate) customer_ids: Vec<String>,
}

impl Owners {
    fn pointers(&self) -> impl Iterator<Item = &String> {
        [&self.emails, &self.phones, &self.postal_codes, &self.customer_ids].into_iter().flatten()
    }
}

/// Further pages.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Pages {
    /// Where the answer has the next page: a cursor, or a URL of which the query is taken.
    pub(crate) next: Option<String>,
    /// Query parameter that the cursor, or without `next` the page's number, goes into.
    pub(crate) parameter: Option<String>,
    /// Number of the first page.
    #[serde(default = "one")]
    pub(crate) first: u32,
    /// Pages at most.
    #[serde(default = "five")]
    pub(crate) most: usize,
}

const fn one() -> u32 {
    1
}
const fn five() -> usize {
    5
}

/// A search before a write.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Once {
    pub(crate) request: Request,
    pub(crate) list: Option<String>,
    /// Where a record has the key that it was made with. A search that ignores what it was asked finds anything.
    #[serde(rename = "match")]
    pub(crate) key: String,
}

/// Where a field comes from: `/pointer` into the record, a text with `{arguments}`, or more.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Rule {
    Plain(String),
    Detailed(Box<Detailed>),
}

/// See the README.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct Detailed {
    /// Pointer or text.
    pub(crate) from: Option<String>,
    /// The system's words to the contract's.
    pub(crate) map: BTreeMap<String, String>,
    /// When nothing is there, or (with `map`) another word.
    pub(crate) otherwise: Option<String>,
    /// Money: ISO code or pointer.
    pub(crate) currency: Option<String>,
    /// Money: in the smallest unit.
    pub(crate) minor: bool,
    /// Records: where they stand, and the fields of each.
    pub(crate) list: Option<String>,
    pub(crate) each: BTreeMap<String, Rule>,
    /// Named values: name to pointer.
    pub(crate) values: BTreeMap<String, String>,
}

impl Rule {
    /// Pointer or text.
    pub(crate) fn from(&self) -> Option<&str> {
        match self {
            Rule::Plain(text) => Some(text),
            Rule::Detailed(detailed) => detailed.from.as_deref(),
        }
    }
    pub(crate) fn detailed(&self) -> Option<&Detailed> {
        match self {
            Rule::Plain(_) => None,
            Rule::Detailed(detailed) => Some(detailed),
        }
    }
}

/// The file's name, by which the connection brings it.
pub(crate) const FILE: &str = "api.yaml";

/// Reads and checks the file.
///
/// # Errors
/// All that is wrong with it, with line where one is known.
pub(crate) fn read(files: &[NamedFile]) -> Result<(Api, Vec<Diagnostic>), Vec<Diagnostic>> {
    let say = |severity: &str, message: String, place: Option<(u32, u32)>| Diagnostic {
        severity: severity.to_owned(),
        message,
        help: None,
        file: Some(FILE.to_owned()),
        line: place.map(|p| p.0),
        column: place.map(|p| p.1),
    };
    let Some(file) = files.iter().find(|file| file.name == FILE) else {
        let mut missing = say("error", format!("the connection has no file `{FILE}`"), None);
        missing.help = Some("write `files: { api.yaml: my-api.api.yaml }` into the connection".into());
        return Err(vec![missing]);
    };
    let text = std::str::from_utf8(&file.content).map_err(|_| vec![say("error", "is not UTF-8 text".into(), None)])?;
    let api: Api = serde_saphyr::from_str(text).map_err(|e| {
        let place = e.location().map(|l| (line(l.line()), line(l.column())));
        let message = e.without_snippet().to_string();
        vec![say("error", message.lines().next().unwrap_or("not readable").to_owned(), place)]
    })?;
    let mut found = Vec::new();
    let mut warnings = Vec::new();
    check_common(&api, &mut found);
    found.extend(api.webhook.iter().flat_map(crate::webhook::Hook::problems));
    let mut all: Vec<Diagnostic> = found.drain(..).map(|message| say("error", message, None)).collect();
    for (name, operation) in &api.operations {
        let at = operation.referenced;
        let place = (at.line() > 0).then(|| (line(at.line()), line(at.column())));
        check_operation(name, &operation.value, api.currency.is_some(), &mut found, &mut warnings);
        all.extend(found.drain(..).map(|message| say("error", format!("{name}: {message}"), place)));
        all.extend(warnings.drain(..).map(|message| say("warning", format!("{name}: {message}"), place)));
    }
    if all.iter().any(|d| d.severity == "error") { Err(all) } else { Ok((api, all)) }
}

fn line<N: TryInto<u32>>(number: N) -> u32 {
    number.try_into().unwrap_or(u32::MAX)
}

fn check_common(api: &Api, found: &mut Vec<String>) {
    for code in api.errors.codes.values().chain(api.errors.statuses.values()) {
        if !Code::ALL.iter().any(|known| known.as_str() == code) {
            found.push(format!("errors: `{code}` is none of {}", Code::ALL.map(Code::as_str).join(", ")));
        }
    }
    for pointer in [&api.errors.code, &api.errors.message].into_iter().flatten() {
        is_pointer(pointer, found);
    }
    if let Some(check) = &api.check {
        check_request("check", check, &Value::Null, found);
    }
    if api.operations.is_empty() {
        found.push("operations: none is described".into());
    }
}

fn is_pointer(text: &str, found: &mut Vec<String>) {
    if !text.is_empty() && !text.starts_with('/') {
        found.push(format!("`{text}` is no JSON pointer: write /like/this"));
    }
}

fn check_operation(
    name: &str,
    operation: &Operation,
    currency: bool,
    found: &mut Vec<String>,
    warnings: &mut Vec<String>,
) {
    let Some(contract) = contract(name) else {
        let known: Vec<&str> = CONTRACTS.iter().map(|c| c.name).collect();
        found.push(format!("is no operation of the contract; there are: {}", known.join(", ")));
        return;
    };
    let sample = sample(name);
    check_request("request", &operation.request, &sample, found);
    if let Some(once) = &operation.once {
        check_request("once", &once.request, &sample, found);
        if !contract.writes {
            found.push("once: this operation writes nothing".into());
        }
    }
    if let Some(pages) = &operation.pages
        && ((pages.next.is_none() && pages.parameter.is_none()) || !(1..=10).contains(&pages.most))
    {
        found.push("pages: needs `next` or `parameter`, and `most` from 1 to 10 (a call may make 16 requests)".into());
    }
    let owners = &operation.proof;
    let once = operation.once.as_ref().map(|once| &once.key);
    for pointer in owners.pointers().chain(&operation.numbers).chain(once) {
        is_pointer(pointer, found);
    }
    match contract.name {
        "orders.track" if operation.numbers.is_empty() => {
            found.push(
                "numbers: say where a record has the order's number: a search finds what only looks like it".into(),
            );
        }
        "tickets.search" if owners.emails.is_empty() => {
            found
                .push("proof: say where a ticket has its requester's e-mail address (`emails`): it is compared".into());
        }
        "orders.list-for-customer"
            if owners.customer_ids.is_empty() && !operation.result.contains_key("customer-id") =>
        {
            found.push("proof: say where an order has its customer's id (`customer-ids`): it is compared".into());
        }
        _ => {}
    }
    if contract.proof && owners.pointers().next().is_none() {
        found.push(
            "proof: say where a record has the e-mail address, phone number, postal code or customer id of its owner"
                .into(),
        );
    }
    check_rules("", &operation.result, contract.shape, &sample, currency, found);
    if contract.writes && operation.once.is_none() && !mentions_key(operation) {
        warnings.push(
            "a repeated call may write twice: send {idempotency-key} in a header or field, or describe `once`".into(),
        );
    }
    needs(contract, operation, found);
}

fn mentions_key(operation: &Operation) -> bool {
    let names = ["{idempotency-key}", "{idempotency_key}", "{once}"];
    operation.request.texts().into_iter().any(|text| names.iter().any(|name| text.contains(name)))
}

fn needs(contract: &Contract, operation: &Operation, found: &mut Vec<String>) {
    // What has no rule comes from the argument of the same name, or is the time of the call.
    let given = |field: &str| match contract.name {
        "inventory.availability" | "catalog.get" => field == "sku",
        "contacts.upsert" => field == "name",
        "leads.create" | "tickets.create" => matches!(field, "subject" | "state"),
        "leads.qualify" => field == "id",
        // From the ticket as it was when the proof was compared.
        "tickets.comment" | "tickets.close" => true,
        _ => false,
    };
    for (field, _, required) in contract.shape {
        if *required && !operation.result.contains_key(*field) && !given(field) {
            found.push(format!("result: `{field}` is missing"));
        }
    }
}

fn check_request(at: &str, request: &Request, sample: &Value, found: &mut Vec<String>) {
    if !["GET", "POST", "PUT", "PATCH", "DELETE"].contains(&request.method.as_str()) {
        found.push(format!("{at}.method: `{}` is none of GET, POST, PUT, PATCH, DELETE", request.method));
    }
    if !request.path.starts_with('/') {
        found.push(format!("{at}.path: `{}` must begin with /", request.path));
    }
    for text in request.texts() {
        check_names(at, text, sample, found);
    }
}

fn check_names(at: &str, text: &str, sample: &Value, found: &mut Vec<String>) {
    match names(text) {
        Ok(names) => {
            let unknown = names.into_iter().filter(|name| !knows(sample, name));
            found.extend(unknown.map(|name| format!("{at}: there is no argument `{name}`")));
        }
        Err(problem) => found.push(format!("{at}: {problem}")),
    }
}

fn strings<'v>(value: &'v Value, out: &mut Vec<&'v str>) {
    match value {
        Value::String(text) => out.push(text),
        Value::Array(many) => many.iter().for_each(|value| strings(value, out)),
        Value::Object(fields) => fields.values().for_each(|value| strings(value, out)),
        _ => {}
    }
}

fn check_rules(
    at: &str,
    rules: &BTreeMap<String, Rule>,
    shape: Shape,
    sample: &Value,
    currency: bool,
    found: &mut Vec<String>,
) {
    for (name, rule) in rules {
        let at = format!("{at}result.{name}");
        let Some((_, kind, _)) = shape.iter().find(|(field, ..)| field == name) else {
            let known: Vec<&str> = shape.iter().map(|(field, ..)| *field).collect();
            found.push(format!("{at}: there is no such field; there are: {}", known.join(", ")));
            continue;
        };
        if let Some(text) = rule.from() {
            check_names(&at, text, sample, found);
        }
        let nothing = Detailed::default();
        let detailed = rule.detailed().unwrap_or(&nothing);
        match kind {
            Kind::Records(shape) => {
                if detailed.list.is_none() || detailed.each.is_empty() {
                    found.push(format!("{at}: needs `list` (where the records stand) and `each` (their fields)"));
                }
                check_rules(&format!("{at}.each."), &detailed.each, shape, sample, currency, found);
            }
            Kind::Extra if detailed.values.is_empty() => {
                found.push(format!("{at}: needs `values`: a pointer for each name"));
            }
            Kind::Money if detailed.currency.is_none() && !currency => {
                found.push(format!("{at}: needs a `currency` (EUR, or a pointer), here or at the top of the file"));
            }
            _ => {}
        }
    }
}
