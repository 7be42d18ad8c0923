//! A small SAP Gateway in memory: the services, entity sets and properties that SAP publishes (names after SAP's own
//! SDK, `@sap/cloud-sdk-vdm-*` 2.1), its query options, pages and errors.
//!
//! It knows nothing of HTTP: [`Gateway::answer`] takes a path with query and gives a status and a body. The connector's
//! own tests include this folder; [`super::SapS4`] serves it.

mod data;
mod filter;

use filter::{Filter, alpha};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Entities of a page where the gateway decides (`$skiptoken`).
const PAGE: usize = 3;
/// The client that the user may log on to.
pub const CLIENT: &str = "100";

/// An error.
#[derive(Debug)]
pub struct Fault {
    status: u16,
    code: String,
    message: String,
}

impl Fault {
    fn bad(code: &str, message: String) -> Fault {
        Fault { status: 400, code: code.to_owned(), message }
    }
    fn missing(code: &str, message: String) -> Fault {
        Fault { status: 404, code: code.to_owned(), message }
    }
    fn body(&self) -> Value {
        json!({"error": {"code": self.code, "message": {"lang": "en", "value": self.message}, "innererror": {
            "application": {"component_id": "", "service_namespace": "/SAP/", "service_id": "", "service_version": "0001"},
            "transactionid": "0E06C3D7A0B90070E005DC1F2C5B1B2A", "timestamp": "20261122103200.1234560",
            "Error_Resolution": {"SAP_Transaction": "For backend administrators: use ADT feed reader \"SAP Gateway Error Log\" or run transaction /IWFND/ERROR_LOG on SAP Gateway hub system and search for entries with the timestamp above for more details", "SAP_Note": "See SAP Note 1797736 for error analysis (https://service.sap.com/sap/support/notes/1797736)"},
            "errordetails": []}}})
    }
}

/// An entity set: properties with type and length, navigation with what joins them, entities.
#[derive(Debug)]
pub(crate) struct Set {
    name: String,
    properties: BTreeMap<String, (String, usize)>,
    navigation: BTreeMap<String, (String, Vec<String>)>,
    entities: Vec<Value>,
}

impl Set {
    fn property(&self, name: &str) -> Result<(&str, usize), Fault> {
        let found = self.properties.get(name).map(|(kind, length)| (kind.as_str(), *length));
        found.ok_or_else(|| {
            let message = format!("Property {name} not found in type {}Type", self.name);
            Fault::bad("005056A509B11EE1B9A8FEC11C22D78E", message)
        })
    }
}

/// The gateway with everything behind it.
#[derive(Debug)]
pub struct Gateway {
    services: BTreeMap<String, BTreeMap<String, Set>>,
    refused: BTreeSet<String>,
    requests: Vec<String>,
}

impl Default for Gateway {
    fn default() -> Self {
        Self::new()
    }
}

/// What a query asks for.
#[derive(Default)]
struct Options {
    filter: Option<String>,
    select: Vec<String>,
    expand: Vec<String>,
    order: String,
    top: Option<usize>,
    skip: usize,
    token: usize,
    count: bool,
}

impl Gateway {
    /// One with a shop's data.
    pub fn new() -> Gateway {
        Gateway { services: data::services(), refused: BTreeSet::new(), requests: Vec::new() }
    }

    /// Takes the authorisation for a service from the user.
    pub fn refuse(&mut self, service: &str) {
        self.refused.insert(service.to_owned());
    }

    /// Takes a service out, as if it had never been activated.
    pub fn deactivate(&mut self, service: &str) {
        self.services.remove(service);
    }

    /// Paths with query of all requests so far.
    pub fn requests(&self) -> &[String] {
        &self.requests
    }

    /// Status and body for a path below `/sap/opu/odata/sap`.
    pub fn answer(&mut self, path: &str) -> (u16, Value) {
        self.requests.push(path.to_owned());
        match self.read(path) {
            Ok(body) => (200, body),
            Err(fault) => (fault.status, fault.body()),
        }
    }

    fn read(&self, path: &str) -> Result<Value, Fault> {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let mut parts = path.trim_start_matches('/').split('/');
        let service = parts.next().unwrap_or_default();
        let sets = self.services.get(service).ok_or_else(|| {
            let name = service.split(';').next().unwrap_or_default();
            Fault::missing(
                "/IWFND/MED/170",
                format!("No service found for namespace '', name '{name}', version '0001'"),
            )
        })?;
        if self.refused.contains(service) {
            let message = format!("No authorization to access Service '{service}'");
            return Err(Fault { status: 403, code: "/IWFND/CM_MGW/001".into(), message });
        }
        let options = options(query)?;
        let first = decode(parts.next().unwrap_or_default());
        let (name, key) =
            first.split_once('(').map_or((first.as_str(), None), |(name, key)| (name, key.strip_suffix(')')));
        let unknown = |segment: &str| {
            Fault::missing("005056A509B11EE1B9A8FEC11C21178E", format!("Resource not found for segment '{segment}'"))
        };
        let set = sets.get(name).ok_or_else(|| unknown(name))?;
        let Some(key) = key else { return list(sets, set, set.entities.iter().collect(), &options, service) };
        let key = key.trim_matches('\'').replace("''", "'");
        let field = set.properties.keys().find(|p| name == format!("A_{p}")).cloned().unwrap_or_default();
        let of_key = |e: &&Value| alpha(e[field.as_str()].as_str().unwrap_or_default()) == alpha(&key);
        let entity = set.entities.iter().find(of_key).ok_or_else(|| unknown(name))?;
        match parts.next() {
            None => Ok(json!({"d": shown(sets, set, entity, &options, "")?})),
            Some(nav) => {
                let (target, found) = related(sets, set, entity, nav)?;
                list(sets, target, found, &options, service)
            }
        }
    }
}

fn list(
    sets: &BTreeMap<String, Set>,
    set: &Set,
    mut found: Vec<&Value>,
    options: &Options,
    service: &str,
) -> Result<Value, Fault> {
    if let Some(text) = &options.filter {
        let filter = Filter::parse(text)?;
        filter.check(set)?;
        found.retain(|entity| filter.fits(set, entity));
    }
    for part in options.order.split(',').filter(|p| !p.is_empty()).rev() {
        let (field, way) = part.trim().split_once(' ').unwrap_or((part.trim(), "asc"));
        set.property(field)?;
        if !["asc", "desc"].contains(&way) {
            return Err(Fault::bad("005056A509B11ED1BEF8D1B1C8E0A8D5", format!("Invalid order '{way}'")));
        }
        found.sort_by(|a, b| {
            let text = |e: &Value| e[field].as_str().unwrap_or_default().to_owned();
            let order = text(a).cmp(&text(b));
            // Not by turning the list around: what is equal here was put in order by the next field.
            if way == "desc" { order.reverse() } else { order }
        });
    }
    let all = found.len();
    let wanted: Vec<&Value> = found.into_iter().skip(options.skip).take(options.top.unwrap_or(usize::MAX)).collect();
    // With $top the gateway leaves the pages to who asks.
    let size = if options.top.is_some() { usize::MAX } else { PAGE };
    let page = wanted.iter().skip(options.token).take(size);
    let results: Result<Vec<Value>, Fault> = page.map(|e| shown(sets, set, e, options, "")).collect();
    let mut d = json!({"results": results?});
    let next = options.token.saturating_add(size);
    if next < wanted.len() {
        let filter = options.filter.as_deref().map(|f| format!("$filter={}&", encode(f))).unwrap_or_default();
        let select = format!("$select={}&", encode(&options.select.join(",")));
        let select = if options.select.is_empty() { String::new() } else { select };
        d["__next"] = json!(format!(
            "https://s4.internal:44300/sap/opu/odata/sap/{service}/{}?{filter}{select}$format=json&$skiptoken={next}",
            set.name
        ));
    }
    if options.count {
        d["__count"] = json!(all.to_string());
    }
    Ok(json!({"d": d}))
}

/// An entity with what is selected and expanded; the rest of its navigation is deferred.
fn shown(
    sets: &BTreeMap<String, Set>,
    set: &Set,
    entity: &Value,
    options: &Options,
    prefix: &str,
) -> Result<Value, Fault> {
    let mut out = Map::new();
    let uri = format!("https://s4.internal:44300/sap/opu/odata/sap/{}", set.name);
    out.insert("__metadata".into(), json!({"id": uri, "uri": uri, "type": format!("{}Type", set.name)}));
    let below = |list: &[String]| -> Vec<String> {
        list.iter().filter_map(|p| p.strip_prefix(prefix)).map(str::to_owned).collect()
    };
    let (select, expand) = (below(&options.select), below(&options.expand));
    for path in &select {
        let first = path.split('/').next().unwrap_or_default();
        if set.navigation.contains_key(first) {
            if !expand.iter().any(|e| e.split('/').next() == Some(first)) && path.contains('/') {
                let message = format!("The $select path '{path}' is not expanded");
                return Err(Fault::bad("005056A509B11EE1B9A8FEC11C22178E", message));
            }
        } else if path != "*" {
            set.property(path)?;
        }
    }
    let plain = |name: &str| select.is_empty() || select.iter().any(|s| s == name || s == "*");
    for name in set.properties.keys().filter(|name| plain(name)) {
        out.insert(name.clone(), entity[name.as_str()].clone());
    }
    for path in &expand {
        let first = path.split('/').next().unwrap_or_default();
        let (target, found) = related(sets, set, entity, first)?;
        let deeper = format!("{prefix}{first}/");
        let results: Result<Vec<Value>, Fault> =
            found.into_iter().map(|e| shown(sets, target, e, options, &deeper)).collect();
        out.insert(first.to_owned(), json!({"results": results?}));
    }
    for name in set.navigation.keys() {
        if !out.contains_key(name) && plain(name) {
            out.insert(name.clone(), json!({"__deferred": {"uri": format!("{uri}/{name}")}}));
        }
    }
    Ok(Value::Object(out))
}

fn related<'a>(
    sets: &'a BTreeMap<String, Set>,
    set: &Set,
    entity: &Value,
    nav: &str,
) -> Result<(&'a Set, Vec<&'a Value>), Fault> {
    let found = set.navigation.get(nav).and_then(|(target, by)| Some((sets.get(target)?, by)));
    let (target, by) = found.ok_or_else(|| {
        let message = format!("Resource not found for segment '{nav}'");
        Fault::bad("005056A509B11EE1B9A8FEC11C21178E", message)
    })?;
    let joins = |other: &&Value| by.iter().all(|field| other[field.as_str()] == entity[field.as_str()]);
    Ok((target, target.entities.iter().filter(joins).collect()))
}

fn options(query: &str) -> Result<Options, Fault> {
    let mut options = Options::default();
    let list = |text: &str| text.split(',').map(|p| p.trim().to_owned()).filter(|p| !p.is_empty()).collect();
    for (name, value) in query.split('&').filter(|p| !p.is_empty()).map(|p| p.split_once('=').unwrap_or((p, ""))) {
        let (name, value) = (decode(name), decode(value));
        let number = || {
            let message = format!("Invalid value '{value}' of {name}");
            value.parse::<usize>().map_err(|_| Fault::bad("005056A509B11EE1B9A8FEC11C23378E", message))
        };
        match name.as_str() {
            "$filter" => options.filter = Some(value.clone()),
            "$select" => options.select = list(&value),
            "$expand" => options.expand = list(&value),
            "$orderby" => options.order = value.clone(),
            "$top" => options.top = Some(number()?),
            "$skip" => options.skip = number()?,
            "$skiptoken" => options.token = number()?,
            "$inlinecount" => options.count = value == "allpages",
            "$format" if value == "json" => {}
            "sap-client" if value != CLIENT => {
                return Err(Fault {
                    status: 401,
                    code: String::new(),
                    message: format!("Client {value} is not available"),
                });
            }
            name if name.starts_with('$') => {
                let message =
                    "The Data Services Request contains SystemQueryOptions that are not allowed for this Request Type";
                return Err(Fault::bad(
                    "/IWCOR/CX_DS_EXPR_SYNTAX_ERROR/005056A509B11EE1B9A8FEC11C238B7E",
                    message.into(),
                ));
            }
            _ => {}
        }
    }
    Ok(options)
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let digit = |b: Option<u8>| b.and_then(|b| char::from(b).to_digit(16));
        match byte {
            b'%' => match (digit(rest.next()), digit(rest.next())) {
                (Some(high), Some(low)) => bytes.push(u8::try_from(high * 16 + low).unwrap_or(b'?')),
                _ => bytes.push(b'?'),
            },
            b'+' => bytes.push(b' '),
            byte => bytes.push(byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn encode(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~' | b',');
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}
