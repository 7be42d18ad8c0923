//! Leads are HubSpot's lead object, or deals where the account has none of these: a setting.
//!
//! Both belong to a contact, which is found or created first. What the visitor said is a deal's description, and a note on a
//! lead. States are stages of the pipeline: those of the settings, or the labels that HubSpot gives new accounts.

use crate::api;
use crate::portal::{LeadObject, Pipeline, Portal, Stage, associated, id, value};
use confab_plugin_sdk::json;
use confab_plugin_sdk::leads::{self, Lead, LeadInput, Qualification};
use confab_plugin_sdk::prelude::*;
use serde_json::{Map, Value, json};

const NAME: usize = 255;
/// What a note holds.
const TEXT: usize = 65_000;
const USUAL: [(&str, &[&str]); 4] = [
    ("new", &["New", "Neu", "Appointment scheduled", "Termin vereinbart"]),
    ("qualified", &["Qualified", "Qualifiziert", "Qualified to buy", "Connected"]),
    ("lost", &["Disqualified", "Unqualified", "Nicht qualifiziert", "Closed lost"]),
    ("converted", &["Closed won"]),
];

/// How the lead object and deals name the same things.
struct Names {
    object: &'static str,
    name: &'static str,
    pipeline: &'static str,
    stage: &'static str,
    read: &'static [&'static str],
}

const LEAD: Names = Names {
    object: "leads",
    name: "hs_lead_name",
    pipeline: "hs_pipeline",
    stage: "hs_pipeline_stage",
    read: &["hs_lead_name", "hs_pipeline", "hs_pipeline_stage", "hs_lead_label"],
};
const DEAL: Names = Names {
    object: "deals",
    name: "dealname",
    pipeline: "pipeline",
    stage: "dealstage",
    read: &["dealname", "pipeline", "dealstage"],
};

impl Portal {
    fn names(&self) -> &'static Names {
        match self.settings.leads.object {
            LeadObject::Lead => &LEAD,
            LeadObject::Deal => &DEAL,
        }
    }

    pub(crate) fn create_lead(&self, input: &LeadInput) -> Result<Lead> {
        let input = leads::valid(input, NAME, TEXT)?;
        let text = leads::about(&input);
        let names = self.names();
        let settings = &self.settings.leads;
        let pipeline = self.pipeline(names.object, settings.pipeline.as_deref())?;
        let stage = self.lead_stage(&pipeline, "new")?;
        let contact = json::text(&self.person(&input.person)?, "/id").unwrap_or_default();
        let mut properties = Map::new();
        properties.insert(names.pipeline.into(), pipeline.id.clone().into());
        properties.insert(names.stage.into(), stage.id.clone().into());
        if let Some(owner) = &settings.owner {
            properties.insert("hubspot_owner_id".into(), owner.clone().into());
        }
        if settings.object == LeadObject::Deal && !text.is_empty() {
            properties.insert("description".into(), text.clone().into());
        }
        let made = self.make(names.object, &contact, (names.name, &input.subject), properties, names.read)?;
        let made_id = json::text(&made, "/id").unwrap_or_default();
        if settings.object == LeadObject::Lead && !text.is_empty() {
            let there = if self.key.is_empty() { Vec::new() } else { self.notes_on(names.object, &made_id)? };
            self.note("lead", &text, &[("leads", &made_id), ("contacts", &contact)], &there)?;
        }
        Ok(self.lead(&made, &pipeline, Some(contact)))
    }

    fn notes_on(&self, object: &str, id: &str) -> Result<Vec<Value>> {
        self.record(object, id, None, &["hs_object_id"], &["notes"])?
            .map(|r| self.notes(&r))
            .transpose()
            .map(Option::unwrap_or_default)
    }

    pub(crate) fn qualify_lead(&self, lead: &str, found: &Qualification) -> Result<Lead> {
        let missing = || error(Code::NotFound, "there is no such lead");
        let lead = id(lead).ok_or_else(missing)?;
        let found = leads::valid_finding(found, TEXT)?;
        let names = self.names();
        // A merged record is answered under its old id, with its new one.
        let record = self.record(names.object, lead, None, names.read, &["contacts", "notes"])?.ok_or_else(missing)?;
        let lead = json::text(&record, "/id").unwrap_or_default();
        let pipelines = self.pipelines(names.object)?;
        let own = value(&record, names.pipeline);
        let Some(pipeline) = pipelines.iter().find(|p| Some(&p.id) == own.as_ref()).or_else(|| pipelines.first())
        else {
            return Err(error(Code::Misconfigured, format!("HubSpot has no pipeline of {}", names.object)));
        };
        let mut properties = Map::new();
        if let Some(state) = &found.state {
            let stage = self.lead_stage(pipeline, state)?;
            if value(&record, names.stage).as_deref() != Some(&stage.id) {
                properties.insert(names.stage.into(), stage.id.clone().into());
            }
        }
        let mut note = found.note;
        if let Some(score) = found.score {
            match (&self.settings.leads.score_property, self.settings.leads.object) {
                (Some(property), _) => {
                    properties.insert(property.clone(), score.to_string().into());
                }
                (None, LeadObject::Lead) => {
                    let label = if score >= 70 {
                        "HOT"
                    } else if score >= 40 {
                        "WARM"
                    } else {
                        "COLD"
                    };
                    properties.insert("hs_lead_label".into(), label.into());
                }
                (None, LeadObject::Deal) => {
                    note = Some(format!("{}Score: {score}", note.map(|n| n + "\n").unwrap_or_default()))
                }
            }
        }
        let contact = associated(&record, "contacts").into_iter().next();
        if let Some(note) = note {
            let there = self.notes(&record)?;
            let mut on = vec![(names.object, lead.as_str())];
            on.extend(contact.as_deref().map(|id| ("contacts", id)));
            self.note("qualify", &note, &on, &there)?;
        }
        if properties.is_empty() {
            return Ok(self.lead(&record, pipeline, contact));
        }
        let path = format!("/crm/v3/objects/{}/{}", names.object, path_segment(&lead));
        self.checked(api::patch(&path, &json!({"properties": properties}))?.ok())?;
        let read = self.record(names.object, &lead, None, names.read, &[])?.ok_or_else(missing)?;
        Ok(self.lead(&read, pipeline, contact))
    }

    /// The stage for a state.
    fn lead_stage<'p>(&self, pipeline: &'p Pipeline, state: &str) -> Result<&'p Stage> {
        let own = self.settings.leads.states.get(state).map(|s| pipeline.stage(s));
        let usual = USUAL.iter().find(|(ours, _)| *ours == state).map(|(_, labels)| *labels);
        let by_label = || usual.unwrap_or(&[state]).iter().find_map(|label| pipeline.stage(label));
        let by_place = || match state {
            "new" => pipeline.stages.first(),
            "lost" => pipeline.stages.iter().find(|s| s.probability == Some(0.0)),
            _ => None,
        };
        let stage = own.unwrap_or_else(|| by_label().or_else(by_place));
        // By its own name too.
        if state == "converted" || stage.is_some_and(|s| s.probability == Some(1.0)) {
            return Err(error(
                Code::Unsupported,
                "winning a deal or converting a lead is for a salesperson in HubSpot",
            ));
        }
        stage.ok_or_else(|| {
            let code = if usual.is_some() { Code::Misconfigured } else { Code::InvalidInput };
            error(
                code,
                format!(
                    "HubSpot has no stage for this state (settings leads.states); {} has: {}",
                    pipeline.label,
                    pipeline.labels()
                ),
            )
        })
    }

    fn lead(&self, record: &Value, pipeline: &Pipeline, contact: Option<String>) -> Lead {
        let names = self.names();
        let stage = value(record, names.stage).unwrap_or_default();
        let label = pipeline.stage(&stage).map_or(stage.as_str(), |s| s.label.as_str());
        let own =
            self.settings.leads.states.iter().find(|(_, s)| **s == stage || *s == label).map(|(ours, _)| ours.as_str());
        let usual = || {
            USUAL.iter().find(|(_, labels)| labels.iter().any(|l| l.eq_ignore_ascii_case(label))).map(|(ours, _)| *ours)
        };
        let by_probability = || match pipeline.stage(&stage).and_then(|s| s.probability) {
            Some(0.0) => Some("lost"),
            Some(1.0) => Some("converted"),
            _ => None,
        };
        let number = json::text(record, "/id").unwrap_or_default();
        Lead {
            state: own.or_else(usual).or_else(by_probability).unwrap_or(label).to_owned(),
            subject: value(record, names.name).unwrap_or_default(),
            contact_id: contact,
            number: Some(number.clone()),
            id: number,
        }
    }
}
