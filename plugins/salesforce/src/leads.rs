//! Leads are `Lead`.
//!
//! A lead has no field for what it is about: the description's first line is the subject. States are values of the
//! Status picklist: those of the settings, or the names that orgs usually have. `converted` is for salespeople.
//! When a duplicate rule of the org refuses a lead because there is one with the same address or number, what was said is
//! added to that one, with the name it was said under. Rules find also people of like names: theirs is left alone.

use crate::org::{Like, Made, Object, Org, owned};
use crate::people::{PHONES, UNKNOWN, names, numbers};
use crate::rest::Part;
use crate::soql::{id, literal};
use confab_plugin_sdk::leads::{self, Lead, LeadInput, Qualification};
use confab_plugin_sdk::prelude::*;
use confab_plugin_sdk::{json, once, people};
use serde_json::{Map, Value};

const SUBJECT: usize = 255;
/// What Description of a lead holds.
const TEXT: usize = 32_000;
/// Leads that a duplicate rule names and that are compared.
const NAMED: usize = 50;
const SELECT: [&str; 6] = ["Id", "Status", "Description", "IsConverted", "ConvertedContactId", "Rating"];
/// Names that orgs usually have for a state, in Salesforce's languages for new orgs of Europe and America.
const USUAL: [(&str, &[&str]); 3] = [
    ("new", &["New", "Open - Not Contacted", "Open", "Neu", "Offen - Nicht kontaktiert"]),
    (
        "qualified",
        &["Qualified", "Working - Contacted", "Working", "Contacted", "Qualifiziert", "In Bearbeitung - Kontaktiert"],
    ),
    (
        "lost",
        &[
            "Unqualified",
            "Closed - Not Converted",
            "Disqualified",
            "Lost",
            "Nicht qualifiziert",
            "Geschlossen - Nicht konvertiert",
        ],
    ),
];

impl Org {
    pub(crate) fn create_lead(&self, input: &LeadInput) -> Result<Lead> {
        let input = leads::valid(input, SUBJECT, TEXT)?;
        let text = [input.subject.clone(), leads::about(&input)].join("\n").trim_end().to_owned();
        if text.chars().count() > TEXT {
            return Err(error(Code::InvalidInput, format!("subject and message have more than {TEXT} characters")));
        }
        let (object, person, settings) = (self.object("Lead")?, &input.person, &self.settings.leads);
        let mut values = owned(settings.owner.as_ref());
        let (first, last) = names(person);
        values.insert("LastName".into(), last.into());
        values.insert("Company".into(), person.company.clone().unwrap_or_else(|| UNKNOWN.into()).into());
        let said = input.source.as_deref().and_then(|source| object.value("LeadSource", &[source]));
        let source = settings.source.clone().or(said).or_else(|| object.value("LeadSource", &["Web"]));
        for (field, value) in [
            ("FirstName", first),
            ("Email", person.email.clone()),
            ("Phone", person.phone.clone()),
            ("Description", Some(text.clone())),
            ("LeadSource", source),
        ] {
            object.put(&mut values, field, value);
        }
        if let Some(name) = &settings.record_type {
            values.insert("RecordTypeId".into(), object.record_type(name)?.into());
        }
        // Without a description nobody knows what a lead is about.
        let by = object.of_person(person, "Email", "Phone").filter(|_| object.creates("Description"));
        let like = by.map(|condition| Like { condition, first_line: Some(text.clone()) });
        let select = object.readable(SELECT).join(", ");
        match self.make(&object, values, &select, like.as_ref(), settings.owner.is_none())? {
            Made::Record(record) => Ok(self.lead(&record)),
            Made::Refused(because) => {
                let record = self.refused_for(&object, person, &because)?;
                let add = format!("{}\n{text}", leads::who(person));
                let lead = self.write_lead(&object, &record, Map::new(), Some(&add))?;
                // What that lead was about before is nothing for somebody who merely knows an address.
                Ok(Lead { subject: input.subject, ..lead })
            }
        }
    }

    /// The lead of this person among those because of which a duplicate rule refused theirs.
    fn refused_for(&self, object: &Object, person: &Person, because: &[(String, String)]) -> Result<Value> {
        let refused = |because: &str| {
            let message = format!(
                "a duplicate rule of the org refuses this lead because of {because}: let the rule warn instead, or leave out the integration user"
            );
            error(Code::Conflict, message)
        };
        let leads = because.iter().filter(|(of, _)| of == "Lead").filter_map(|(_, lead)| id(lead, "00Q"));
        let leads: Vec<String> = leads.take(NAMED).map(literal).collect();
        if leads.is_empty() {
            return Err(refused("a contact"));
        }
        let select = object.readable(SELECT.into_iter().chain(["Email"]).chain(PHONES)).join(", ");
        let soql = format!("SELECT {select} FROM Lead WHERE Id IN ({}) ORDER BY CreatedDate", leads.join(", "));
        let found = self.rest.query(&soql, NAMED).map_err(|e| self.failed("Lead", e))?;
        // People may share a number, such as a company's: where both sides have an address, that decides.
        let same = |lead: &&Value| match (json::text(lead, "/Email"), &person.email) {
            (Some(own), Some(email)) => people::same_email(&own, email),
            _ => person.phone.as_ref().is_some_and(|n| numbers(lead).iter().any(|own| people::same_phone(own, n))),
        };
        // One that has been converted can't be added to.
        let theirs = found.iter().filter(same).min_by_key(|lead| json::flag(lead, "/IsConverted"));
        theirs.cloned().ok_or_else(|| refused("leads with another e-mail address or phone number"))
    }

    fn lead_record(&self, object: &Object, lead: &str) -> Result<Value> {
        let missing = || error(Code::NotFound, "there is no such lead");
        let lead = id(lead, "00Q").ok_or_else(missing)?;
        let select = object.readable(SELECT).join(", ");
        self.unmerged(object, &select, &format!("Id = {}", literal(lead)))?.ok_or_else(missing)
    }

    pub(crate) fn qualify_lead(&self, lead: &str, found: &Qualification) -> Result<Lead> {
        let found = leads::valid_finding(found, TEXT)?;
        let object = self.object("Lead")?;
        let status = found.state.as_deref().map(|state| self.lead_status(&object, state)).transpose()?;
        let record = self.lead_record(&object, lead)?;
        let mut values = Map::new();
        if let Some(status) = status.filter(|s| json::text(&record, "/Status").as_ref() != Some(s)) {
            values.insert("Status".into(), status.into());
        }
        let mut note = found.note;
        if let Some(score) = found.score {
            let rating = if score >= 70 {
                "Hot"
            } else if score >= 40 {
                "Warm"
            } else {
                "Cold"
            };
            let kept = match &self.settings.leads.score_field {
                Some(field) => object.change(&mut values, field, Some(score)),
                None => object.change(&mut values, "Rating", object.value("Rating", &[rating])),
            };
            if !kept {
                note = Some(format!("{}Score: {score}", note.map(|n| n + "\n").unwrap_or_default()));
            }
        }
        self.write_lead(&object, &record, values, note.as_deref())
    }

    /// Writes values and adds to the description what it doesn't have yet.
    fn write_lead(
        &self,
        object: &Object,
        record: &Value,
        mut values: Map<String, Value>,
        add: Option<&str>,
    ) -> Result<Lead> {
        let before = json::text(record, "/Description").unwrap_or_default();
        let marker = if self.key.is_empty() { String::new() } else { format!("[{}]", once::reference(&self.key)) };
        if let Some(add) = add.filter(|_| marker.is_empty() || !before.contains(&marker)) {
            let parts = [before.as_str(), add, marker.as_str()];
            let whole = parts.into_iter().filter(|p| !p.is_empty()).collect::<Vec<_>>().join("\n");
            if whole.chars().count() > TEXT {
                return Err(error(
                    Code::InvalidInput,
                    format!("the lead's description would have more than {TEXT} characters"),
                ));
            }
            if !object.change(&mut values, "Description", Some(whole)) {
                return Err(error(
                    Code::Forbidden,
                    "the integration user may not change Lead.Description, for the note",
                ));
            }
        }
        if values.is_empty() {
            return Ok(self.lead(record));
        }
        if json::flag(record, "/IsConverted") {
            return Err(error(Code::Conflict, "the lead has been converted and can't be changed"));
        }
        let lead = json::text(record, "/Id").unwrap_or_default();
        let update = Part::write("made", "PATCH", format!("/sobjects/Lead/{lead}"), values).assigned(false);
        let select = object.readable(SELECT).join(", ");
        let (written, read) =
            self.rest.write(update, &format!("SELECT {select} FROM Lead WHERE Id = {}", literal(&lead)))?;
        written.ok().map_err(|e| self.failed("Lead", e))?;
        let body = read.ok()?;
        Ok(self.lead(body.pointer("/records/0").unwrap_or(record)))
    }

    /// The org's Status for a state.
    fn lead_status(&self, object: &Object, state: &str) -> Result<String> {
        if state == "converted" {
            let message =
                "converting makes an account, a contact and an opportunity: a salesperson does that in Salesforce";
            return Err(error(Code::Unsupported, message));
        }
        if let Some(own) = self.settings.leads.states.get(state) {
            return Ok(own.clone());
        }
        let usual = USUAL.iter().find(|(ours, _)| *ours == state).map(|(_, names)| *names);
        object.value("Status", usual.unwrap_or(&[state])).ok_or_else(|| {
            let known = object.fields.get("Status").map(|f| f.values.join(", ")).unwrap_or_default();
            let code = if usual.is_some() { Code::Misconfigured } else { Code::InvalidInput };
            error(
                code,
                format!("Salesforce has no lead status for this state (settings leads.states); it has: {known}"),
            )
        })
    }

    fn lead(&self, record: &Value) -> Lead {
        let status = json::text(record, "/Status").unwrap_or_default();
        let own =
            self.settings.leads.states.iter().find(|(_, theirs)| **theirs == status).map(|(ours, _)| ours.as_str());
        let usual = || USUAL.iter().find(|(_, names)| names.contains(&status.as_str())).map(|(ours, _)| *ours);
        let state = if json::flag(record, "/IsConverted") { Some("converted") } else { own.or_else(usual) };
        let about = json::text(record, "/Description").unwrap_or_default();
        Lead {
            id: json::text(record, "/Id").unwrap_or_default(),
            number: None,
            state: state.map_or(status.clone(), str::to_owned),
            subject: about.lines().next().unwrap_or_default().to_owned(),
            contact_id: json::text(record, "/ConvertedContactId"),
        }
    }
}
