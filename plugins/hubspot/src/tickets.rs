//! Tickets are `tickets`; what a requester may see of them are the notes that this connector wrote for them and those that
//! begin with the settings' `public_prefix`. All other notes are internal in HubSpot, and stay so.
//!
//! | here | HubSpot |
//! |---|---|
//! | number | the ticket's id |
//! | requester | the contact it is associated with, found or created |
//! | category | an option of `hs_ticket_category`, or else a pipeline |
//! | state | `closed` by the stage's `ticketState`; else by its label (settings, or HubSpot's own labels) |

use crate::api;
use crate::contacts::{PROPERTIES as CONTACT, emails, filter, name, phones};
use crate::portal::{Pipeline, Portal, associated, id, millis, value};
use confab_plugin_sdk::prelude::*;
use confab_plugin_sdk::tickets::{self, Priority, Ticket, TicketComment, TicketInput, TicketQuery};
use confab_plugin_sdk::{dates, filled, html, json, people};
use serde_json::{Map, Value, json};

const SUBJECT: usize = 255;
const TEXT: usize = 60_000;
const MOST: usize = 50;
const READ: [&str; 6] = ["subject", "content", "hs_pipeline", "hs_pipeline_stage", "createdate", "hs_lastmodifieddate"];
/// Begins the notes that hold what the requester said.
const SAID: &str = "[requester]";
/// What a search has room for, as HubSpot takes bodies of 3,000 characters: ids of stages, and words.
const STAGES: usize = 1_000;
const QUERY: usize = 300;

/// A ticket with what belongs to it.
struct Case {
    record: Value,
    contacts: Vec<Value>,
    notes: Vec<Value>,
}

impl Portal {
    pub(crate) fn create_ticket(&self, input: &TicketInput) -> Result<Ticket> {
        let input = tickets::valid(input, SUBJECT, TEXT)?;
        let mut text = input.body.clone();
        if let Some(order) = &input.order_number {
            text.push_str(&format!("\n\nOrder: {order}"));
        }
        let mut properties = Map::new();
        if let Some(priority) = tickets::priority(&input)? {
            let own = match priority {
                Priority::Low => "LOW",
                Priority::Normal => "MEDIUM",
                Priority::High => "HIGH",
                Priority::Urgent => "URGENT",
            };
            properties.insert("hs_ticket_priority".into(), own.into());
        }
        let pipeline = self.categorised(input.category.as_deref(), &mut properties)?;
        let Some(stage) = pipeline.stages.iter().find(|s| !s.closed) else {
            return Err(error(Code::Misconfigured, format!("the pipeline {} has no open stage", pipeline.label)));
        };
        properties.insert("content".into(), text.into());
        properties.insert("hs_pipeline".into(), pipeline.id.clone().into());
        properties.insert("hs_pipeline_stage".into(), stage.id.clone().into());
        if let Some(owner) = &self.settings.tickets.owner {
            properties.insert("hubspot_owner_id".into(), owner.clone().into());
        }
        let contact = json::text(&self.person(&input.requester)?, "/id").unwrap_or_default();
        let made = self.make("tickets", &contact, ("subject", &input.subject), properties, &READ)?;
        self.ticket(&Case { record: made, contacts: Vec::new(), notes: Vec::new() })
    }

    /// The pipeline; a category that is none goes into the properties.
    fn categorised(&self, category: Option<&str>, properties: &mut Map<String, Value>) -> Result<Pipeline> {
        let settings = self.settings.tickets.pipeline.as_deref();
        let Some(category) = category else { return self.pipeline("tickets", settings) };
        let lower = category.to_lowercase();
        let options = self.property("tickets", "hs_ticket_category")?.options;
        if let Some((own, _)) =
            options.iter().find(|(v, label)| v.to_lowercase() == lower || label.to_lowercase() == lower)
        {
            properties.insert("hs_ticket_category".into(), own.clone().into());
            return self.pipeline("tickets", settings);
        }
        let pipelines = self.pipelines("tickets")?;
        let named = pipelines.iter().find(|p| p.label.to_lowercase() == lower || p.id == category).cloned();
        named.ok_or_else(|| {
            let known: Vec<&str> = options
                .iter()
                .map(|(_, label)| label.as_str())
                .chain(pipelines.iter().map(|p| p.label.as_str()))
                .collect();
            error(
                Code::InvalidInput,
                format!("HubSpot has no such category or pipeline of tickets; it has: {}", known.join(", ")),
            )
        })
    }

    pub(crate) fn ticket_of(&self, number: &str, proof: &Proof) -> Result<Ticket> {
        self.ticket(&self.proven(number, proof)?)
    }

    fn proven(&self, number: &str, proof: &Proof) -> Result<Case> {
        let proof = people::given(proof)?;
        let missing = || {
            "there is no ticket with this number that belongs to this e-mail address, phone number or customer"
                .to_owned()
        };
        let number = id(number).ok_or_else(|| error(Code::NotFound, missing()))?;
        let record = self.record("tickets", number, None, &READ, &["contacts", "notes"])?.unwrap_or_default();
        let contacts = self.batch("contacts", associated(&record, "contacts"), &CONTACT)?;
        let merged = |c: &Value| value(c, "hs_merged_object_ids").unwrap_or_default();
        people::Known {
            emails: contacts.iter().flat_map(emails).collect(),
            phones: contacts.iter().flat_map(phones).collect(),
            // A contact that was merged is known by its old id too.
            customer_ids: contacts
                .iter()
                .flat_map(|c| {
                    let old: Vec<String> =
                        merged(c).split(';').map(|id| id.trim().to_owned()).filter(|id| !id.is_empty()).collect();
                    json::text(c, "/id").into_iter().chain(old)
                })
                .collect(),
            ..people::Known::default()
        }
        .proves(&proof, missing)?;
        let notes = self.notes(&record)?;
        Ok(Case { record, contacts, notes })
    }

    pub(crate) fn comment_ticket(&self, number: &str, text: &str, proof: &Proof) -> Result<Ticket> {
        let text = tickets::said(text, TEXT)?;
        let mut case = self.proven(number, proof)?;
        self.say(&mut case, "comment", &text)?;
        self.ticket(&case)
    }

    /// Writes down what the requester said.
    fn say(&self, case: &mut Case, what: &str, text: &str) -> Result<()> {
        let ticket = json::text(&case.record, "/id").unwrap_or_default();
        let contacts: Vec<String> = case.contacts.iter().filter_map(|c| json::text(c, "/id")).collect();
        let mut on = vec![("tickets", ticket.as_str())];
        on.extend(contacts.first().map(|id| ("contacts", id.as_str())));
        let note = self.note(what, &format!("{SAID} {text}"), &on, &case.notes)?;
        case.notes.extend(note);
        Ok(())
    }

    pub(crate) fn close_ticket(&self, number: &str, reason: Option<&str>, proof: &Proof) -> Result<Ticket> {
        let reason = tickets::reason(reason, TEXT)?;
        let mut case = self.proven(number, proof)?;
        let pipeline = self.pipeline_of(&case.record)?;
        let stage = value(&case.record, "hs_pipeline_stage").unwrap_or_default();
        if pipeline.stage(&stage).is_some_and(|s| s.closed) {
            return self.ticket(&case);
        }
        let closed = match &self.settings.tickets.closed_stage {
            Some(wanted) => pipeline.stage(wanted),
            None => pipeline.stages.iter().find(|s| s.closed),
        };
        let closed = closed.ok_or_else(|| {
            error(
                Code::Misconfigured,
                format!(
                    "the pipeline {} has no such closed stage (settings tickets.closed_stage): {}",
                    pipeline.label,
                    pipeline.labels()
                ),
            )
        })?;
        // First why, then that: a repeat after the first finds the reason and goes on.
        if let Some(reason) = reason {
            self.say(&mut case, "close", &reason)?;
        }
        let ticket = json::text(&case.record, "/id").unwrap_or_default();
        let path = format!("/crm/v3/objects/tickets/{}", path_segment(&ticket));
        let changed =
            self.checked(api::patch(&path, &json!({"properties": {"hs_pipeline_stage": closed.id}}))?.ok())?;
        if let (Some(own), Some(new)) = (
            case.record.get_mut("properties").and_then(Value::as_object_mut),
            changed.get("properties").and_then(Value::as_object),
        ) {
            own.extend(new.clone());
        }
        self.ticket(&case)
    }

    /// With a requester: the tickets of their contact, as they are. Without, which only an operator's tool asks for: by
    /// HubSpot's search, which lags behind by seconds.
    pub(crate) fn search_tickets(&self, query: &TicketQuery, limit: u32) -> Result<Vec<Ticket>> {
        let [email, state, text] = [&query.requester_email, &query.state, &query.text].map(|v| filled(v.as_deref()));
        let limit = (limit.max(1) as usize).min(MOST);
        let mut found = match email {
            Some(email) if !people::is_email(email) => Vec::new(),
            Some(email) => {
                let Some(contact) = self.by_email(email)? else { return Ok(Vec::new()) };
                let contact = json::text(&contact, "/id").unwrap_or_default();
                let contact = self.record("contacts", &contact, None, &["email"], &["tickets"])?.unwrap_or_default();
                self.batch("tickets", associated(&contact, "tickets"), &READ)?
            }
            None => {
                // Archived stages are in no pipeline any more: the search is told the stages that the state stands for.
                let mut stages = Vec::new();
                for pipeline in self.pipelines("tickets")? {
                    stages.extend(
                        pipeline
                            .stages
                            .iter()
                            .filter(|s| state.is_some_and(|w| self.is_in(s.closed, &s.label, w)))
                            .map(|s| s.id.clone()),
                    );
                }
                if state.is_some() && stages.is_empty() {
                    return Ok(Vec::new());
                }
                let mut body = json!({"properties": READ, "limit": MOST, "sorts": ["-createdate"], "filterGroups": []});
                if let Some(body) = body.as_object_mut() {
                    // Where they are too many, what is found is looked through all the same.
                    if !stages.is_empty() && stages.iter().map(String::len).sum::<usize>() < STAGES {
                        let mut by_stage = filter("hs_pipeline_stage", "IN", "");
                        if let Some(by_stage) = by_stage.as_object_mut() {
                            by_stage.remove("value");
                            by_stage.insert("values".into(), stages.into());
                        }
                        body.insert("filterGroups".into(), json!([{"filters": [by_stage]}]));
                    }
                    if let Some(text) = text {
                        body.insert("query".into(), text.chars().take(QUERY).collect::<String>().into());
                    }
                }
                self.searched("tickets", body, MOST)?
            }
        };
        found.sort_by_key(|r| std::cmp::Reverse(json::text(r, "/createdAt").and_then(|at| dates::millis(&at))));
        let words: Vec<String> = text.unwrap_or_default().split_whitespace().map(str::to_lowercase).collect();
        let mut tickets = Vec::new();
        for record in found {
            let whole = ["subject", "content"].map(|p| value(&record, p).unwrap_or_default().to_lowercase()).join("\n");
            let ticket = self.ticket(&Case { record, contacts: Vec::new(), notes: Vec::new() })?;
            let fits = state.is_none_or(|s| ticket.state.to_lowercase() == s.to_lowercase());
            if fits && words.iter().all(|w| whole.contains(w)) {
                tickets.push(ticket);
            }
        }
        tickets.truncate(limit);
        Ok(tickets)
    }

    fn pipeline_of(&self, record: &Value) -> Result<Pipeline> {
        let own = value(record, "hs_pipeline");
        self.pipeline("tickets", own.as_deref())
    }

    fn is_in(&self, closed: bool, label: &str, state: &str) -> bool {
        self.state(closed, label).eq_ignore_ascii_case(state)
    }

    fn state(&self, closed: bool, label: &str) -> String {
        if let Some(own) = self.settings.tickets.states.get(label) {
            return own.clone();
        }
        match (closed, tickets::usual_state(label)) {
            (true, Some("solved")) => "solved".into(),
            (true, _) => "closed".into(),
            (false, usual) => usual.map_or_else(|| label.to_owned(), str::to_owned),
        }
    }

    fn ticket(&self, case: &Case) -> Result<Ticket> {
        let record = &case.record;
        let number = json::text(record, "/id").unwrap_or_default();
        let stage = value(record, "hs_pipeline_stage").unwrap_or_default();
        // A stage or pipeline that was archived since is shown by its id.
        let pipelines = self.pipelines("tickets")?;
        let known = pipelines.iter().flat_map(|p| &p.stages).find(|s| s.id == stage);
        let moment = |property: &str, field: &str| {
            value(record, property).or_else(|| json::text(record, field)).and_then(|at| dates::rfc3339(&at))
        };
        let requester = case.contacts.first().and_then(name).unwrap_or_else(|| "requester".into());
        let prefix = self.settings.tickets.public_prefix.trim();
        let mut notes: Vec<(u64, TicketComment)> = case
            .notes
            .iter()
            .filter_map(|note| {
                let at = value(note, "hs_timestamp").and_then(|at| millis(&at));
                let text = html::to_text(&value(note, "hs_note_body")?);
                let said = text.strip_prefix(SAID).map(|said| (requester.clone(), said));
                let shown = || {
                    text.strip_prefix(prefix).filter(|_| !prefix.is_empty()).map(|shown| ("support".to_owned(), shown))
                };
                let (author, text) = said.or_else(shown)?;
                Some((
                    at.unwrap_or_default(),
                    TicketComment { at: at.map(dates::of_millis), author, text: text.trim().to_owned() },
                ))
            })
            .collect();
        notes.sort_by_key(|(at, _)| *at);
        Ok(Ticket {
            state: known.map_or(stage.clone(), |s| self.state(s.closed, &s.label)),
            subject: value(record, "subject").unwrap_or_default(),
            created_at: moment("createdate", "/createdAt"),
            updated_at: moment("hs_lastmodifieddate", "/updatedAt"),
            url: self.settings.tickets.url.as_ref().map(|url| url.replace("{number}", &path_segment(&number))),
            comments: notes.into_iter().map(|(_, comment)| comment).collect(),
            number,
        })
    }
}
