//! The org's records: queries and writes, refused with Salesforce's own codes and words.

use super::schema::{Field, Kind, Object};
use super::soql::{Column, Comparison, Condition, Query, Value as Operand, like, parse};
use serde_json::{Map, Value, json};
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

/// A status with the body of an error.
pub type Refusal = (u16, Value);

/// `[{"errorCode", "message", "fields"}]`
pub fn refusal(status: u16, code: &str, message: &str) -> Refusal {
    (status, json!([{"errorCode": code, "message": message}]))
}

fn field_refusal(code: &str, message: &str, fields: &[&str]) -> Refusal {
    (400, json!([{"errorCode": code, "message": message, "fields": fields}]))
}

/// What a duplicate rule for leads with the same e-mail address or name does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DuplicateRule {
    /// There is none.
    Off,
    /// Warns; a caller that says so may save all the same.
    Alert,
    /// Refuses.
    Block,
}

/// A record.
#[derive(Clone, Debug)]
pub struct Record {
    /// Its object.
    pub object: String,
    /// Values by field.
    pub values: Map<String, Value>,
}

/// Objects and records.
#[derive(Clone, Debug)]
pub struct Store {
    /// Objects.
    pub objects: BTreeMap<String, Object>,
    /// Records, oldest first.
    pub records: Vec<Record>,
    /// The duplicate rule.
    pub duplicates: DuplicateRule,
    /// Ids of records that somebody else holds a lock of.
    pub locked: Vec<String>,
    made: usize,
}

impl Store {
    /// An org without records but those of its setup.
    pub fn new(objects: BTreeMap<String, Object>) -> Store {
        let mut store =
            Store { objects, records: Vec::new(), duplicates: DuplicateRule::Off, locked: Vec::new(), made: 0 };
        for (at, (name, closed)) in
            [("New", false), ("Working", false), ("On Hold", false), ("Escalated", false), ("Closed", true)]
                .iter()
                .enumerate()
        {
            store
                .seed("CaseStatus", json!({"ApiName": name, "MasterLabel": name, "IsClosed": closed, "SortOrder": at}));
        }
        let queue = store.seed("Group", json!({"Name": "Second level", "DeveloperName": "Second_Level"}));
        store.seed("QueueSobject", json!({"QueueId": queue, "SobjectType": "Case"}));
        store.seed("User", json!({"Name": "Confab Integration"}));
        store
    }

    /// Puts a record there as an administrator would: any field. Gives its id.
    pub fn seed(&mut self, object: &str, values: Value) -> String {
        self.made += 1;
        let prefix = self.objects.get(object).map(|o| o.prefix.clone()).unwrap_or_default();
        let id = with_checksum(&format!("{prefix}A{:011}", self.made));
        let mut record = values.as_object().cloned().unwrap_or_default();
        let now = moment_now();
        let number = json!(format!("{:08}", 1000 + self.made));
        match object {
            "Case" => {
                record.entry("CaseNumber").or_insert(number);
                record.entry("Status").or_insert(json!("New"));
                record.entry("Priority").or_insert(json!("Medium"));
                record.entry("IsClosed").or_insert(json!(false));
            }
            "Order" => {
                record.entry("OrderNumber").or_insert(number);
            }
            "Lead" => {
                record.entry("Status").or_insert(json!("Open - Not Contacted"));
                record.entry("IsConverted").or_insert(json!(false));
            }
            "CaseComment" => {
                record.entry("IsPublished").or_insert(json!(false));
            }
            _ => {}
        }
        if object == "Lead" || object == "Contact" {
            let parts = ["FirstName", "LastName"].iter().filter_map(|f| record.get(*f)?.as_str());
            let name = parts.collect::<Vec<_>>().join(" ");
            record.insert("Name".into(), name.into());
        }
        let user = self.records.iter().find(|r| r.object == "User").and_then(|r| r.values.get("Id").cloned());
        for (field, value) in [
            ("Id", json!(id)),
            ("CreatedDate", json!(now)),
            ("LastModifiedDate", json!(now)),
            ("IsDeleted", json!(false)),
        ] {
            record.entry(field).or_insert(value);
        }
        record.entry("CreatedById").or_insert(user.unwrap_or(Value::Null));
        self.records.push(Record { object: object.to_owned(), values: record });
        id
    }

    /// A record by its id, in either form.
    pub fn record(&self, id: &str) -> Option<&Record> {
        let short = id.get(..15)?;
        self.records
            .iter()
            .find(|r| r.values.get("Id").and_then(Value::as_str).is_some_and(|own| own.starts_with(short)))
    }

    fn record_mut(&mut self, id: &str) -> Option<&mut Record> {
        let short = id.get(..15)?.to_owned();
        self.records
            .iter_mut()
            .find(|r| r.values.get("Id").and_then(Value::as_str).is_some_and(|own| own.starts_with(&short)))
    }

    /// Changes a record as an administrator would.
    pub fn set(&mut self, id: &str, field: &str, value: Value) {
        if let Some(record) = self.record_mut(id) {
            record.values.insert(field.to_owned(), value);
        }
    }

    /// Answers a query with all records that fit, in order.
    ///
    /// # Errors
    /// As Salesforce refuses it.
    pub fn query(&self, text: &str, deleted: bool) -> Result<Vec<Value>, Refusal> {
        let query = parse(text).map_err(|message| {
            refusal(400, "MALFORMED_QUERY", &format!("\n{text}\n^\nERROR at Row:1:Column:1\n{message}"))
        })?;
        if !self.objects.contains_key(&query.object) {
            return Err(refusal(
                400,
                "INVALID_TYPE",
                &format!(
                    "\n{text}\n^\nsObject type '{}' is not supported. If you are attempting to use a custom object, be sure to append the '__c' after the entity name.",
                    query.object
                ),
            ));
        }
        self.select(&query, &query.object, deleted, None, text)
    }

    fn select(
        &self,
        query: &Query,
        name: &str,
        deleted: bool,
        parent: Option<(&str, &str)>,
        text: &str,
    ) -> Result<Vec<Value>, Refusal> {
        let said = |(code, message): (&str, String)| {
            refusal(400, code, &format!("\n{text}\n^\nERROR at Row:1:Column:8\n{message}"))
        };
        // Fields are checked even where there is no record.
        for column in &query.columns {
            match column {
                Column::Field(path) => self.field(name, path).map(|_| ()).map_err(said)?,
                Column::Children(inner) => {
                    self.child(inner).ok_or_else(|| {
                        said((
                            "INVALID_TYPE",
                            format!("Didn't understand relationship '{}' in FROM part of query call.", inner.object),
                        ))
                    })?;
                }
            }
        }
        for (field, _) in &query.order {
            self.field(name, field).map_err(said)?;
        }
        if let Some(condition) = &query.condition {
            self.check(name, condition).map_err(said)?;
        }
        let mut found: Vec<&Record> = self
            .records
            .iter()
            .filter(|r| {
                r.object == name
                    && (deleted || r.values.get("IsDeleted") != Some(&json!(true)))
                    && parent.is_none_or(|(field, id)| r.values.get(field).and_then(Value::as_str) == Some(id))
                    && query.condition.as_ref().is_none_or(|c| self.holds(r, c))
            })
            .collect();
        // Stable: records of the same moment stay in the order of their making.
        for (field, descending) in query.order.iter().rev() {
            if *descending {
                found.reverse();
            }
            found.sort_by(|a, b| {
                let order = compare(&self.value(a, field), &self.value(b, field));
                if *descending { order.reverse() } else { order }
            });
        }
        found.truncate(query.limit.unwrap_or(usize::MAX));
        found.into_iter().map(|record| self.shown(query, record, deleted, text)).collect()
    }

    fn child(&self, inner: &Query) -> Option<(&String, &str)> {
        self.objects.iter().find_map(|(name, object)| {
            let (relationship, field) = object.child.as_ref()?;
            (*relationship == inner.object).then_some((name, field.as_str()))
        })
    }

    fn shown(&self, query: &Query, record: &Record, deleted: bool, text: &str) -> Result<Value, Refusal> {
        let id = record.values.get("Id").and_then(Value::as_str).unwrap_or_default();
        let mut out = Map::new();
        out.insert("attributes".into(), attributes(&record.object, id));
        for column in &query.columns {
            match column {
                Column::Field(path) => match path.split_once('.') {
                    None => {
                        out.insert(path.clone(), self.value(record, path));
                    }
                    Some((relation, field)) => {
                        let Some(target) = self.related(record, relation) else {
                            out.insert(relation.to_owned(), Value::Null);
                            continue;
                        };
                        let target_id = target.values.get("Id").and_then(Value::as_str).unwrap_or_default();
                        let nested = out
                            .entry(relation)
                            .or_insert_with(|| json!({"attributes": attributes(&target.object, target_id)}));
                        if let Some(nested) = nested.as_object_mut() {
                            nested.insert(field.to_owned(), self.value(target, field));
                        }
                    }
                },
                Column::Children(inner) => {
                    let Some((name, field)) = self.child(inner) else { continue };
                    let children = self.select(inner, name, deleted, Some((field, id)), text)?;
                    let shown = if children.is_empty() {
                        Value::Null
                    } else {
                        json!({"totalSize": children.len(), "done": true, "records": children})
                    };
                    out.insert(inner.object.clone(), shown);
                }
            }
        }
        Ok(Value::Object(out))
    }

    fn related(&self, record: &Record, relation: &str) -> Option<&Record> {
        self.record(record.values.get(&format!("{relation}Id"))?.as_str()?)
    }

    fn value(&self, record: &Record, path: &str) -> Value {
        if let Some((relation, field)) = path.split_once('.') {
            return self.related(record, relation).map(|r| self.value(r, field)).unwrap_or_default();
        }
        let formula = self.objects.get(&record.object).and_then(|o| o.fields.get(path)?.formula.clone());
        if let Some((reference, field)) = formula {
            let target = record.values.get(&reference).and_then(Value::as_str).and_then(|id| self.record(id));
            return target.and_then(|t| t.values.get(&field).cloned()).unwrap_or_default();
        }
        record.values.get(path).cloned().unwrap_or_default()
    }

    /// The field that a path leads to.
    fn field(&self, object: &str, path: &str) -> Result<&Field, (&'static str, String)> {
        let unknown = |name: &str, on: &str| {
            (
                "INVALID_FIELD",
                format!(
                    "No such column '{name}' on entity '{on}'. If you are attempting to use a custom field, be sure to append the '__c' after the custom field name. Please reference your WSDL or the describe call for the appropriate names."
                ),
            )
        };
        let fields = &self.objects.get(object).ok_or_else(|| unknown(path, object))?.fields;
        let Some((relation, rest)) = path.split_once('.') else {
            return fields.get(path).ok_or_else(|| unknown(path, object));
        };
        match fields.get(&format!("{relation}Id")).map(|f| &f.kind) {
            Some(Kind::Reference(target)) if !target.is_empty() => self.field(target, rest),
            _ => Err((
                "INVALID_FIELD",
                format!(
                    "Didn't understand relationship '{relation}' in field path. If you are attempting to use a custom relationship, be sure to append the '__r' after the custom relationship name. Please reference your WSDL or the describe call for the appropriate names."
                ),
            )),
        }
    }

    /// Whether values are of their field's kind.
    fn check(&self, object: &str, condition: &Condition) -> Result<(), (&'static str, String)> {
        let fits = |path: &str, value: &Operand| {
            let field = self.field(object, path)?;
            let operand = |ok: bool, wanted: &str| {
                let message = format!(
                    "value of filter criterion for field '{path}' must be of type {wanted} and should {}be enclosed in quotes",
                    if wanted == "string" { "" } else { "not " }
                );
                if ok || *value == Operand::Null { Ok(()) } else { Err(("INVALID_FIELD", message)) }
            };
            match &field.kind {
                Kind::Area(_) => Err(("INVALID_FIELD", format!("field '{path}' can not be filtered in a query call"))),
                Kind::Boolean => operand(matches!(value, Operand::Bool(_)), "boolean"),
                Kind::Number => operand(matches!(value, Operand::Number(_)), "double"),
                Kind::Moment => operand(matches!(value, Operand::Moment(m) if m.contains('T')), "dateTime"),
                Kind::Date => operand(matches!(value, Operand::Moment(m) if !m.contains('T')), "date"),
                Kind::Reference(_) => match value {
                    Operand::Text(id) if is_id(id) => Ok(()),
                    Operand::Text(id) => Err(("INVALID_QUERY_FILTER_OPERATOR", format!("invalid ID field: {id}"))),
                    _ => operand(false, "string"),
                },
                _ => operand(matches!(value, Operand::Text(_)), "string"),
            }
        };
        match condition {
            Condition::All(all) | Condition::Any(all) => all.iter().try_for_each(|c| self.check(object, c)),
            Condition::Not(inner) => self.check(object, inner),
            Condition::Is(path, Comparison::Like, Operand::Text(_)) => match self.field(object, path)?.kind {
                Kind::Area(_) => fits(path, &Operand::Null),
                Kind::Text(_) | Kind::Email | Kind::Phone | Kind::Picklist(..) => Ok(()),
                _ => Err(("INVALID_QUERY_FILTER_OPERATOR", format!("invalid operator on field '{path}'"))),
            },
            Condition::Is(path, _, value) => fits(path, value),
            Condition::In(path, values) => values.iter().try_for_each(|v| fits(path, v)),
        }
    }

    fn holds(&self, record: &Record, condition: &Condition) -> bool {
        match condition {
            Condition::All(all) => all.iter().all(|c| self.holds(record, c)),
            Condition::Any(any) => any.iter().any(|c| self.holds(record, c)),
            Condition::Not(inner) => !self.holds(record, inner),
            Condition::In(path, values) => {
                values.iter().any(|v| meets(&self.value(record, path), Comparison::Equal, v))
            }
            Condition::Is(path, how, value) => meets(&self.value(record, path), *how, value),
        }
    }

    /// Makes a record. Gives its id.
    ///
    /// # Errors
    /// As Salesforce refuses it.
    pub fn insert(&mut self, object: &str, values: &Map<String, Value>, may_save: bool) -> Result<String, Refusal> {
        let schema = self.schema(object)?.clone();
        self.validate(object, &schema, values, false)?;
        let missing: Vec<&str> = schema
            .fields
            .iter()
            .filter(|(name, f)| f.required && values.get(*name).is_none_or(|v| v.is_null() || v == ""))
            .map(|(name, _)| name.as_str())
            .collect();
        if !missing.is_empty() {
            return Err(field_refusal(
                "REQUIRED_FIELD_MISSING",
                &format!("Required fields are missing: [{}]", missing.join(", ")),
                &missing,
            ));
        }
        for name in schema.fields.iter().filter(|(_, f)| f.unique).map(|(name, _)| name) {
            if let Some(value) = values.get(name).and_then(Value::as_str)
                && let Some(other) = self.with(object, name, value).first()
            {
                return Err(field_refusal(
                    "DUPLICATE_VALUE",
                    &format!("duplicate value found: {name} duplicates value on record with id: {other}"),
                    &[],
                ));
            }
        }
        if object == "Lead" && self.duplicates != DuplicateRule::Off {
            let email = values.get("Email").and_then(Value::as_str).unwrap_or("-");
            let name = ["FirstName", "LastName"].iter().filter_map(|f| values.get(*f)?.as_str()).collect::<Vec<_>>();
            // Rules compare loosely: who is called the same is alike, whatever the address.
            let mut alike = self.with("Lead", "Name", &name.join(" "));
            alike.retain(|_| name != ["[not provided]"]);
            alike.extend(self.with("Lead", "Email", email));
            if !alike.is_empty() && (self.duplicates == DuplicateRule::Block || !may_save) {
                let found: Vec<Value> = alike.iter().map(|id| json!({"additionalInformation": [], "fieldDiffs": [], "matchConfidence": 100.0, "record": {"attributes": attributes("Lead", id), "Id": id}})).collect();
                let message = "Use one of these records?";
                return Err((
                    400,
                    json!([{
                        "duplicateResut": {
                            "allowSave": self.duplicates == DuplicateRule::Alert, "duplicateRule": "Standard_Lead_Duplicate_Rule",
                            "duplicateRuleEntityType": "Lead", "errorMessage": message,
                            "matchResults": [{
                                "entityType": "Lead", "errors": [], "matchEngine": "FuzzyMatchEngine", "rule": "Standard_Lead_Match_Rule_v1_0", "size": found.len(), "success": true,
                                "matchRecords": found,
                            }],
                        },
                        "errorCode": "DUPLICATES_DETECTED", "message": message,
                    }]),
                ));
            }
        }
        Ok(self.seed(object, Value::Object(values.clone())))
    }

    /// Changes a record.
    ///
    /// # Errors
    /// As Salesforce refuses it.
    pub fn update(&mut self, object: &str, id: &str, values: &Map<String, Value>) -> Result<(), Refusal> {
        let schema = self.schema(object)?.clone();
        let Some(record) = self.record(id).filter(|r| r.object == object) else {
            return Err(refusal(
                404,
                "NOT_FOUND",
                "Provided external ID field does not exist or is not accessible: Id",
            ));
        };
        if record.values.get("IsDeleted") == Some(&json!(true)) {
            return Err(field_refusal("ENTITY_IS_DELETED", "entity is deleted", &[]));
        }
        if record.values.get("IsConverted") == Some(&json!(true)) {
            return Err(field_refusal("CANNOT_UPDATE_CONVERTED_LEAD", "cannot reference converted lead", &[]));
        }
        if self.locked.iter().any(|l| l == id) {
            return Err(field_refusal(
                "UNABLE_TO_LOCK_ROW",
                "unable to obtain exclusive access to this record or 1 records: ",
                &[],
            ));
        }
        self.validate(object, &schema, values, true)?;
        if let Some(record) = self.record_mut(id) {
            record.values.extend(values.clone());
            if let Some(status) = values.get("Status").filter(|_| object == "Case") {
                record.values.insert("IsClosed".into(), json!(status == "Closed"));
            }
            record.values.insert("LastModifiedDate".into(), json!(moment_now()));
        }
        Ok(())
    }

    /// Ids of records that have this value, whatever its case.
    pub fn with(&self, object: &str, field: &str, value: &str) -> Vec<String> {
        let own = |r: &&Record| {
            r.object == object
                && r.values.get("IsDeleted") != Some(&json!(true))
                && r.values.get(field).and_then(Value::as_str).is_some_and(|v| v.eq_ignore_ascii_case(value))
        };
        self.records.iter().filter(own).filter_map(|r| Some(r.values.get("Id")?.as_str()?.to_owned())).collect()
    }

    /// The schema of an object.
    ///
    /// # Errors
    /// When there is none.
    pub fn schema(&self, object: &str) -> Result<&Object, Refusal> {
        self.objects.get(object).ok_or_else(|| refusal(404, "NOT_FOUND", "The requested resource does not exist"))
    }

    fn validate(
        &self,
        object: &str,
        schema: &Object,
        values: &Map<String, Value>,
        update: bool,
    ) -> Result<(), Refusal> {
        for (name, value) in values {
            let Some(field) = schema.fields.get(name) else {
                return Err(refusal(
                    400,
                    "INVALID_FIELD",
                    &format!("No such column '{name}' on sobject of type {object}"),
                ));
            };
            if !(if update { field.update } else { field.create }) {
                let message = format!(
                    "Unable to create/update fields: {name}. Please check the security settings of this field and verify that it is read/write for your profile or permission set."
                );
                return Err(field_refusal("INVALID_FIELD_FOR_INSERT_UPDATE", &message, &[name]));
            }
            if value.is_null() {
                continue;
            }
            let wrong = |wanted: &str| {
                Err(refusal(
                    400,
                    "JSON_PARSER_ERROR",
                    &format!("Cannot deserialize instance of {wanted} from {value} at [line:1, column:1]"),
                ))
            };
            let text = match &field.kind {
                Kind::Boolean if value.is_boolean() => continue,
                Kind::Boolean => return wrong("boolean"),
                Kind::Number if value.is_number() => continue,
                Kind::Number => return wrong("double"),
                _ => match value.as_str() {
                    Some(text) => text,
                    None => return wrong("string"),
                },
            };
            let most = match &field.kind {
                Kind::Text(most) | Kind::Area(most) => *most,
                Kind::Email => 80,
                Kind::Phone => 40,
                _ => 255,
            };
            if text.chars().count() > most {
                return Err(field_refusal(
                    "STRING_TOO_LONG",
                    &format!("{name}: data value too large: {text} (max length={most})"),
                    &[name],
                ));
            }
            match &field.kind {
                Kind::Email if !text.split_once('@').is_some_and(|(a, b)| !a.is_empty() && b.contains('.')) => {
                    return Err(field_refusal(
                        "INVALID_EMAIL_ADDRESS",
                        &format!("{name}: invalid email address: {text}"),
                        &[name],
                    ));
                }
                Kind::Picklist(known, true) if !known.iter().any(|k| k == text) => {
                    return Err(field_refusal(
                        "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
                        &format!("{name}: bad value for restricted picklist field: {text}"),
                        &[name],
                    ));
                }
                Kind::Reference(target) => {
                    let known = self.record(text).is_some_and(|r| r.object == *target || name == "OwnerId");
                    if !is_id(text) {
                        return Err(field_refusal(
                            "MALFORMED_ID",
                            &format!("{name}: id value of incorrect type: {text}"),
                            &[name],
                        ));
                    }
                    if !known {
                        return Err(field_refusal("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", &[]));
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// `{"type", "url"}`
fn attributes(object: &str, id: &str) -> Value {
    json!({"type": object, "url": format!("/services/data/v67.0/sobjects/{object}/{id}")})
}

fn is_id(text: &str) -> bool {
    let whole =
        text.len() == 15 || text.len() == 18 && text.get(..15).is_some_and(|short| with_checksum(short) == text);
    whole && text.bytes().all(|b| b.is_ascii_alphanumeric())
}

/// An id of 18 characters out of one of 15.
fn with_checksum(short: &str) -> String {
    let sum = |part: &[u8]| {
        let bits =
            part.iter().enumerate().filter(|(_, b)| b.is_ascii_uppercase()).fold(0_usize, |n, (i, _)| n | 1 << i);
        b"ABCDEFGHIJKLMNOPQRSTUVWXYZ012345".get(bits).copied().map_or('A', char::from)
    };
    format!("{short}{}", short.as_bytes().chunks(5).map(sum).collect::<String>())
}

/// `2026-11-22T10:32:00.000+0000`
pub fn moment_now() -> String {
    let millis = SystemTime::now().duration_since(UNIX_EPOCH).map(|d| d.as_millis()).unwrap_or_default();
    let (days, rest) = (millis / 86_400_000, millis % 86_400_000);
    // Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".
    let z = days + 719_468;
    let (era, doe) = (z / 146_097, z % 146_097);
    let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let (day, month) = (doy - (153 * mp + 2) / 5 + 1, if mp < 10 { mp + 3 } else { mp - 9 });
    let year = yoe + era * 400 + u128::from(month <= 2);
    let (hour, minute, second) = (rest / 3_600_000, rest % 3_600_000 / 60_000, rest % 60_000 / 1000);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}+0000", rest % 1000)
}

fn meets(value: &Value, how: Comparison, wanted: &Operand) -> bool {
    let text = value.as_str().unwrap_or_default();
    let order = match wanted {
        Operand::Null => return (how == Comparison::Equal) == value.is_null(),
        Operand::Text(pattern) if how == Comparison::Like => return !value.is_null() && like(text, pattern),
        _ if value.is_null() => return how == Comparison::Unequal,
        Operand::Text(t) if is_id(t) && is_id(text) => text.get(..15).cmp(&t.get(..15)),
        Operand::Text(t) => text.to_lowercase().cmp(&t.to_lowercase()),
        Operand::Number(n) => value.as_f64().and_then(|v| v.partial_cmp(n)).unwrap_or(Ordering::Less),
        Operand::Bool(b) => value.as_bool().cmp(&Some(*b)),
        // Ours are UTC, and so is what connectors ask with: to the second they compare as text.
        Operand::Moment(m) => text.get(..19.min(text.len())).cmp(&m.get(..19.min(m.len()))),
    };
    match how {
        Comparison::Equal | Comparison::Like => order.is_eq(),
        Comparison::Unequal => order.is_ne(),
        Comparison::Less => order.is_lt(),
        Comparison::AtMost => order.is_le(),
        Comparison::More => order.is_gt(),
        Comparison::AtLeast => order.is_ge(),
    }
}

fn compare(a: &Value, b: &Value) -> Ordering {
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => a.partial_cmp(&b).unwrap_or(Ordering::Equal),
        _ => a.as_str().cmp(&b.as_str()),
    }
}
