//! The org: settings, objects with their fields, and creating a record once.
//!
//! Every org has other fields, picklists and rights. What an object has is read from its description, kept in the
//! connection's store for `describe_minutes`, and forgotten when Salesforce says that a field is not there. Fields that
//! field-level security hides are not in a description, so a query asks only for what can be answered.

use crate::rest::{Part, Rest, unreferenced};
use crate::soql::{self, literal};
use confab_plugin_sdk::json::{flag, text};
use confab_plugin_sdk::prelude::*;
use confab_plugin_sdk::{dates, once};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Fields of which the picklist's values are kept.
const PICKLISTS: [(&str, &[&str]); 2] =
    [("Lead", &["Status", "LeadSource", "Rating"]), ("Case", &["Type", "Priority", "Origin"])];
/// Fields that are kept whatever the settings say.
const FIELDS: &str = "AccountId BillToContactId BillingPostalCode CaseNumber Company ContactEmail ContactId ContactMobile ContactPhone \
    CreatedDate LastModifiedDate CurrencyIsoCode Description EffectiveDate Email FirstName HomePhone IsClosed IsConverted LastName LeadSource MasterRecordId \
    MobilePhone Name OrderNumber OrderReferenceNumber OrderedDate Origin OwnerId Phone PoNumber Priority Product2Id Quantity \
    Rating RecordTypeId ShipToContactId ShippingPostalCode Status StatusCode Subject SuppliedCompany SuppliedEmail SuppliedName \
    SuppliedPhone TotalAmount TotalPrice Type ConvertedContactId";
/// How far the clocks of host and org may differ when a repeated call looks for what the first one made.
const SKEW_MS: u64 = 300_000;
/// Records that such a call looks at.
const ALIKE: usize = 20;
/// How often what a record was merged into may itself have been merged.
const MERGES: usize = 3;

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    pub(crate) api_version: String,
    pub(crate) key_field: String,
    pub(crate) describe_minutes: u64,
    pub(crate) currency: Option<String>,
    pub(crate) contacts: ContactSettings,
    pub(crate) leads: LeadSettings,
    pub(crate) cases: CaseSettings,
    pub(crate) orders: OrderSettings,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            // Summer '26; kept until 2029 at least.
            api_version: "v67.0".into(),
            key_field: "Confab_Key__c".into(),
            describe_minutes: 60,
            currency: None,
            contacts: ContactSettings { accounts: Accounts::None, leads: true, owner: None },
            leads: LeadSettings::default(),
            cases: CaseSettings::default(),
            orders: OrderSettings::default(),
        }
    }
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Accounts {
    #[default]
    None,
    Match,
    Create,
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ContactSettings {
    pub(crate) accounts: Accounts,
    pub(crate) leads: bool,
    pub(crate) owner: Option<String>,
}

impl Default for ContactSettings {
    fn default() -> Self {
        ContactSettings { accounts: Accounts::None, leads: true, owner: None }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct LeadSettings {
    pub(crate) record_type: Option<String>,
    pub(crate) owner: Option<String>,
    pub(crate) source: Option<String>,
    pub(crate) score_field: Option<String>,
    pub(crate) states: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct CaseSettings {
    pub(crate) record_type: Option<String>,
    pub(crate) owner: Option<String>,
    pub(crate) origin: String,
    pub(crate) closed_status: Option<String>,
    pub(crate) states: BTreeMap<String, String>,
    pub(crate) order_field: Option<String>,
    pub(crate) url: Option<String>,
}

impl Default for CaseSettings {
    fn default() -> Self {
        CaseSettings {
            record_type: None,
            owner: None,
            origin: "Chat".into(),
            closed_status: None,
            states: BTreeMap::new(),
            order_field: None,
            url: None,
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct OrderSettings {
    pub(crate) number_fields: Vec<String>,
    pub(crate) email_fields: Vec<String>,
    pub(crate) phone_fields: Vec<String>,
    pub(crate) states: BTreeMap<String, String>,
    pub(crate) tracking: BTreeMap<String, String>,
}

impl Settings {
    /// Fields that the settings name, as the object has them: of `Account.Phone` that is `AccountId`.
    fn named(&self) -> Vec<String> {
        let orders = [&self.orders.number_fields, &self.orders.email_fields, &self.orders.phone_fields];
        let paths = orders.into_iter().flatten().chain(self.orders.tracking.values());
        let paths = paths.chain(&self.leads.score_field).chain(&self.cases.order_field).chain([&self.key_field]);
        paths.map(|path| own_field(path)).collect()
    }
}

/// The field of an object that a path begins with.
fn own_field(path: &str) -> String {
    match path.split_once('.') {
        Some((relation, _)) => match relation.strip_suffix("__r") {
            Some(custom) => format!("{custom}__c"),
            None => format!("{relation}Id"),
        },
        None => path.to_owned(),
    }
}

/// What an object has, as far as this connector looks at it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Object {
    pub(crate) name: String,
    pub(crate) create: bool,
    pub(crate) update: bool,
    pub(crate) fields: BTreeMap<String, Field>,
    record_types: BTreeMap<String, String>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Field {
    pub(crate) create: bool,
    pub(crate) update: bool,
    pub(crate) external_id: bool,
    pub(crate) unique: bool,
    pub(crate) values: Vec<String>,
}

impl Object {
    pub(crate) fn has(&self, field: &str) -> bool {
        self.fields.contains_key(field)
    }

    /// Those of these paths that can be asked for. `Contact.Email` can when there is a `ContactId`.
    pub(crate) fn readable<'p>(&self, paths: impl IntoIterator<Item = &'p str>) -> Vec<&'p str> {
        paths.into_iter().filter(|path| *path == "Id" || self.has(&own_field(path))).collect()
    }

    /// The active value of a picklist that is one of these, whatever its case; the first that fits.
    pub(crate) fn value(&self, field: &str, wanted: &[&str]) -> Option<String> {
        let values = &self.fields.get(field)?.values;
        wanted.iter().find_map(|w| values.iter().find(|v| v.to_lowercase() == w.to_lowercase())).cloned()
    }

    /// Whether a new record may be given this field.
    pub(crate) fn creates(&self, field: &str) -> bool {
        self.fields.get(field).is_some_and(|f| f.create)
    }

    /// Whether this field of a record that exists may be changed.
    pub(crate) fn updates(&self, field: &str) -> bool {
        self.fields.get(field).is_some_and(|f| f.update)
    }

    /// The condition for records with this person's address, or else number; the names are those of its fields. Without
    /// one a record might be anybody's.
    pub(crate) fn of_person(&self, person: &Person, email: &str, phone: &str) -> Option<String> {
        let by = [(email, &person.email), (phone, &person.phone)];
        by.into_iter().find_map(|(field, value)| {
            let value = value.as_deref().filter(|_| self.creates(field))?;
            Some(format!("{field} = {}", literal(value)))
        })
    }

    /// Puts a value of a new record under a field that may be written.
    pub(crate) fn put(&self, values: &mut Map<String, Value>, field: &str, value: Option<impl Into<Value>>) {
        if let (true, Some(value)) = (self.creates(field), value) {
            values.insert(field.to_owned(), value.into());
        }
    }

    /// Puts a value under a field of a record that exists, if it may be changed; says whether it did.
    pub(crate) fn change(&self, values: &mut Map<String, Value>, field: &str, value: Option<impl Into<Value>>) -> bool {
        if let (true, Some(value)) = (self.updates(field), value) {
            values.insert(field.to_owned(), value.into());
            return true;
        }
        false
    }

    /// The id of a record type by its developer name.
    pub(crate) fn record_type(&self, name: &str) -> Result<String> {
        self.record_types.get(name).cloned().ok_or_else(|| {
            let message = format!("{} has no record type {name} that the integration user may use", self.name);
            error(Code::Misconfigured, message)
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Described {
    name: String,
    createable: bool,
    updateable: bool,
    fields: Vec<DescribedField>,
    #[serde(default)]
    record_type_infos: Vec<RecordType>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DescribedField {
    name: String,
    createable: bool,
    updateable: bool,
    #[serde(default)]
    external_id: bool,
    #[serde(default)]
    unique: bool,
    #[serde(default)]
    picklist_values: Vec<PicklistValue>,
}

#[derive(Deserialize)]
struct PicklistValue {
    value: String,
    active: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RecordType {
    #[serde(default)]
    developer_name: Option<String>,
    record_type_id: String,
    available: bool,
}

/// What a call is made with.
#[derive(Debug)]
pub(crate) struct Org {
    pub(crate) rest: Rest,
    pub(crate) settings: Settings,
    pub(crate) now: u64,
    /// The idempotency key; empty for none.
    pub(crate) key: String,
}

/// When a call with this key was first made, and what it made.
#[derive(Debug, Serialize, Deserialize)]
struct Claim {
    at: u64,
    id: Option<String>,
}

/// How a record that an earlier try may have made is known where there is no key field.
#[derive(Debug)]
pub(crate) struct Like {
    /// A condition with the person's address or number. Without these it might be anybody's.
    pub(crate) condition: String,
    /// The first line of its description, where that says what it is about.
    pub(crate) first_line: Option<String>,
}

impl Org {
    pub(crate) fn of_call() -> Result<Org> {
        let settings: Settings = host::settings()?;
        let rest = Rest::new(&settings.api_version);
        Ok(Org { rest, settings, now: host::now_millis(), key: host::context().idempotency_key })
    }

    /// Where an object's description is kept: other settings name other fields of it.
    fn kept_as(&self, name: &str) -> String {
        let named = once::token(&self.settings.named().join(" "));
        format!("object:{}:{name}:{named}", self.settings.api_version)
    }

    /// An object's description, from memory or from Salesforce.
    pub(crate) fn object(&self, name: &str) -> Result<Object> {
        kv::remembered(&self.kept_as(name), self.settings.describe_minutes * 60_000, || self.described(name))
    }

    /// An object's description as it is now. Only what is used of it: large orgs have hundreds of fields, and the store
    /// keeps 64 KiB.
    pub(crate) fn described(&self, name: &str) -> Result<Object> {
        let body = self.rest.get(&format!("/sobjects/{name}/describe"))?.ok().map_err(|e| {
            let hidden = e.code == Code::NotFound.as_str() || e.code == Code::Misconfigured.as_str();
            let message = format!("the org has no {name}, or the integration user may not see it");
            if hidden { error(Code::Misconfigured, message) } else { e }
        })?;
        let described: Described = serde_json::from_value(body)?;
        let named = self.settings.named();
        let wanted = |f: &DescribedField| named.contains(&f.name) || FIELDS.split_whitespace().any(|own| own == f.name);
        let picklists = PICKLISTS.iter().find(|(object, _)| *object == name).map_or(&[][..], |(_, fields)| *fields);
        let fields = described.fields.into_iter().filter(wanted).map(|f| {
            let active = f.picklist_values.into_iter().filter(|v| v.active).map(|v| v.value);
            let values = if picklists.contains(&f.name.as_str()) { active.collect() } else { Vec::new() };
            let field = Field {
                create: f.createable,
                update: f.updateable,
                external_id: f.external_id,
                unique: f.unique,
                values,
            };
            (f.name, field)
        });
        let own_types = [&self.settings.leads.record_type, &self.settings.cases.record_type];
        let used = |t: &RecordType| t.available && own_types.contains(&&t.developer_name);
        let types = described.record_type_infos.into_iter().filter(used);
        Ok(Object {
            name: described.name,
            create: described.createable,
            update: described.updateable,
            fields: fields.collect(),
            record_types: types.filter_map(|t| Some((t.developer_name?, t.record_type_id))).collect(),
        })
    }

    /// Forgets a description that may be old. That it can't be forgotten is the lesser trouble.
    pub(crate) fn forget(&self, name: &str) {
        let _ = kv::delete(&self.kept_as(name));
    }

    /// The query of the record that a call with this key made, where the object has the key field.
    pub(crate) fn by_key(&self, object: &Object, select: &str) -> Option<String> {
        let field = &self.settings.key_field;
        let usable = !self.key.is_empty() && object.fields.get(field).is_some_and(|f| f.external_id && f.create);
        let key = literal(&once::token(&self.key));
        usable.then(|| format!("SELECT {select} FROM {} WHERE {field} = {key} LIMIT 2", object.name))
    }

    /// Creates a record, or gives the one that an earlier call with the same key made.
    ///
    /// With the key field: searched, then upserted by it, so that two at once make one. Without: the first call leaves
    /// its time in the store, and a repeat looks for a record like it since then that no other call has.
    /// The refusal of a duplicate rule is given back for the caller to deal with.
    pub(crate) fn make(
        &self,
        object: &Object,
        values: Map<String, Value>,
        select: &str,
        like: Option<&Like>,
        by_rule: bool,
    ) -> Result<Made> {
        let name = object.name.as_str();
        if let Some(query) = self.by_key(object, select) {
            let made = || Ok::<_, Error>(self.rest.query(&query, 1).map_err(|e| self.failed(name, e))?.pop());
            if let Some(made) = made()? {
                return Ok(Made::Record(made));
            }
            let path = format!("/sobjects/{name}/{}/{}", self.settings.key_field, once::token(&self.key));
            let upsert = Part::write("made", "PATCH", path, values.clone()).assigned(by_rule);
            let (written, read) = self.rest.write(upsert, &query)?;
            match written.fault().as_deref() {
                // The field is gone since it was described: go on without it.
                Some("NOT_FOUND" | "INVALID_FIELD") => self.forget(name),
                Some("DUPLICATES_DETECTED") => return Ok(Made::Refused(written.duplicates())),
                fault => {
                    // Another call with this key was faster by a moment.
                    if let (Some("DUPLICATE_VALUE"), Some(made)) = (fault, made()?) {
                        return Ok(Made::Record(made));
                    }
                    written.ok().map_err(|e| self.failed(name, e))?;
                    return first(read.ok()?).map(Made::Record);
                }
            }
        }
        let claim = format!("made:{name}:{}", once::token(&self.key));
        if let (false, Some(earlier)) = (self.key.is_empty(), self.claim(&claim)?) {
            let known = match &earlier.id {
                Some(id) => {
                    self.rest.query(&format!("SELECT {select} FROM {name} WHERE Id = {}", literal(id)), 1)?.pop()
                }
                None => self.alike(object, select, like, earlier.at)?,
            };
            if let Some(known) = known {
                return Ok(Made::Record(known));
            }
        }
        let insert = Part::write("made", "POST", format!("/sobjects/{name}"), values).assigned(by_rule);
        let read_back = format!("SELECT {select} FROM {name} WHERE Id = '@{{made.id}}'");
        let (written, read) = self.rest.write(insert, &read_back)?;
        if written.fault().as_deref() == Some("DUPLICATES_DETECTED") {
            return Ok(Made::Refused(written.duplicates()));
        }
        let id = text(&written.ok().map_err(|e| self.failed(name, e))?, "/id");
        if let (false, Some(id)) = (self.key.is_empty(), &id) {
            let kept = self.hold(name, id);
            let kept = kept.and_then(|_| Ok(kv::set_json(&claim, &Claim { at: self.now, id: Some(id.clone()) })?));
            if let Err(e) = kept {
                log::warn(format!("{name} {id} was made, but that is not noted: {}", e.message));
            }
        }
        first(read.ok()?).map(Made::Record)
    }

    /// What an earlier try with this key may have made: a record like it, made since then, that no other call has made.
    fn alike(&self, object: &Object, select: &str, like: Option<&Like>, since: u64) -> Result<Option<Value>> {
        let Some(like) = like else { return Ok(None) };
        let since = dates::of_millis(since.saturating_sub(SKEW_MS));
        let query = format!(
            "SELECT {select} FROM {} WHERE {} AND CreatedDate >= {since} ORDER BY CreatedDate LIMIT {ALIKE}",
            object.name, like.condition
        );
        let found = self.rest.query(&query, ALIKE).map_err(|e| self.failed(&object.name, e))?;
        let line = |text: &str| unreferenced(text.lines().next().unwrap_or_default().trim());
        for record in found {
            let own = text(&record, "/Description").unwrap_or_default();
            let same = like.first_line.as_deref().is_none_or(|wanted| line(wanted) == line(&own));
            if let (true, Some(id)) = (same, text(&record, "/Id"))
                && self.hold(&object.name, &id)?
            {
                return Ok(Some(record));
            }
        }
        Ok(None)
    }

    /// Notes that this call made a record; not if another call did.
    fn hold(&self, name: &str, id: &str) -> Result<bool> {
        let token = once::token(&self.key);
        let holder = kv::insert(&format!("held:{name}:{id}"), token.as_bytes())?;
        Ok(holder.is_none_or(|holder| holder == token.as_bytes()))
    }

    /// What was wrong; a description that may be old is forgotten.
    pub(crate) fn failed(&self, name: &str, e: Error) -> Error {
        if e.code == Code::Misconfigured.as_str() || e.code == Code::Forbidden.as_str() {
            self.forget(name);
        }
        e
    }

    /// The claim of an earlier call with this key; this call's is left where there was none.
    fn claim(&self, key: &str) -> Result<Option<Claim>> {
        Ok(kv::insert_json(key, &Claim { at: self.now, id: None })?)
    }

    /// When an earlier call with this key said the same, if there was one: in milliseconds, and some minutes before, as
    /// clocks differ. For things without room for a key.
    pub(crate) fn said_before(&self, what: &str) -> Result<Option<u64>> {
        if self.key.is_empty() {
            return Ok(None);
        }
        let earlier = self.claim(&format!("{what}:{}", once::token(&self.key)))?;
        Ok(earlier.map(|c| c.at.saturating_sub(SKEW_MS)))
    }

    /// A record by its number or id, deleted or not, and instead of one that was merged the one that it was merged into.
    pub(crate) fn unmerged(&self, object: &Object, select: &str, condition: &str) -> Result<Option<Value>> {
        let master = if object.has("MasterRecordId") { ", MasterRecordId" } else { "" };
        let mut condition = condition.to_owned();
        for _ in 0..=MERGES {
            let soql = format!("SELECT {select}, IsDeleted{master} FROM {} WHERE {condition} LIMIT 2", object.name);
            let found = self.rest.query_all(&soql, 2).map_err(|e| self.failed(&object.name, e))?;
            if let Some(alive) = found.iter().find(|r| !flag(r, "/IsDeleted")) {
                return Ok(Some(alive.clone()));
            }
            let into = found.iter().find_map(|r| text(r, "/MasterRecordId"));
            let Some(into) = into.as_deref().and_then(|id| soql::id(id, "")) else { break };
            condition = format!("Id = {}", literal(into));
        }
        Ok(None)
    }
}

/// What came of creating a record.
#[derive(Debug)]
pub(crate) enum Made {
    /// It is there.
    Record(Value),
    /// A duplicate rule refused it because of these records: object and id.
    Refused(Vec<(String, String)>),
}

fn first(body: Value) -> Result<Value> {
    let record = body.pointer("/records/0").cloned();
    record.ok_or_else(|| {
        error(Code::Internal, "Salesforce: what was created can't be read: the integration user may not see it")
    })
}

/// The body of a new record from what is common to all.
pub(crate) fn owned(owner: Option<&String>) -> Map<String, Value> {
    owner.map(|id| json!({"OwnerId": id})).and_then(|v| v.as_object().cloned()).unwrap_or_default()
}
