//! Tickets are those of the helpdesk that this Odoo has; see [`crate::desk`].
//!
//! **Once.** The last line of a ticket's description is `[confab:KEY]`, by which it is found again; see [`crate::writes`].
//!
//! A ticket is linked to the partner that has the requester's e-mail address (else phone). A number is then told in the
//! description only: the Enterprise helpdesk writes a ticket's phone number back to its partner. Comments are the
//! messages that are not internal.

use crate::desk::{DONE, Desk, Kind};
use crate::leads::TEXT;
use crate::parties::{known, missing};
use crate::session::{Odoo, any, archived_too, id, literal, moment, named, one, parse_id, text};
use crate::writes::Author;
use confab_plugin_sdk::prelude::*;
use confab_plugin_sdk::tickets::{self, Priority, Ticket, TicketComment, TicketInput, TicketQuery};
use confab_plugin_sdk::{filled, html, people};
use serde_json::{Map, Value, json};

const SUBJECT: usize = 200;
const MOST: u32 = 50;
/// Messages of a ticket that are shown: the newest.
const COMMENTS: u32 = 50;
const FIELDS: [&str; 5] = ["name", "stage_id", "create_date", "write_date", "partner_id"];

impl Odoo {
    pub(crate) fn create_ticket(&mut self, input: &TicketInput) -> Result<Ticket> {
        let input = tickets::valid(input, SUBJECT, TEXT)?;
        let desk = self.desk()?;
        let is_it = |reference: &str| json!(["description", "ilike", literal(reference)]);
        let made = self.create_once(desk.model(), is_it, |odoo, reference| odoo.opening(&desk, &input, reference))?;
        self.ticket_by_id(&desk, made)
    }

    /// The values of a new ticket.
    fn opening(&mut self, desk: &Desk, input: &TicketInput, reference: Option<&str>) -> Result<Value> {
        let person = &input.requester;
        let category = input.category.as_deref().map(|name| self.category(desk, name)).transpose()?;
        let mut partner = self.partner_of(person)?.as_ref().map(id);
        let mut values = Map::new();
        if let Kind::Tasks(project) = desk.kind {
            values.insert("project_id".into(), json!(project));
            if partner.is_none() {
                // A task has no other place for who asks.
                partner = parse_id(&self.upsert(person)?.id);
            }
        } else if let Some(team) = self.settings.ticket_team {
            values.insert("team_id".into(), json!(team));
        }
        // Of Enterprise it is the team, whatever the settings say.
        values.extend(category.map(|(field, category)| (field.to_owned(), json!(category))));
        let mut lines = vec![input.body.clone()];
        for (field, what, value) in [
            ("partner_name", "Name", &person.name),
            ("partner_email", "E-mail", &person.email),
            ("partner_phone", "Phone", &person.phone),
            ("", "Company", &person.company),
            ("", "Order", &input.order_number),
        ] {
            let Some(value) = value else { continue };
            if desk.has(field) && (field != "partner_phone" || partner.is_none()) {
                values.insert(field.to_owned(), json!(value));
            } else {
                lines.push(format!("{what}: {value}"));
            }
        }
        lines.extend(reference.map(|reference| format!("[{reference}]")));
        let priority = tickets::priority(input)?.filter(|_| desk.has("priority"));
        values.insert("name".into(), json!(input.subject));
        values.insert("description".into(), json!(html::from_text(&lines.join("\n\n"))));
        values.insert("partner_id".into(), json!(partner));
        values.insert("priority".into(), json!(priority.map(|priority| degree(desk, priority))));
        Ok(Value::Object(values))
    }

    /// A category by its name.
    fn category(&mut self, desk: &Desk, name: &str) -> Result<(&'static str, i64)> {
        let unknown = || error(Code::InvalidInput, "the helpdesk has no such category");
        let (field, model) = desk.category().ok_or_else(unknown)?;
        let found =
            self.find(model, json!([["name", "=ilike", literal(name)]]), json!(["name"]), "id", 1, Value::Null)?;
        Ok((field, found.first().map(id).ok_or_else(unknown)?))
    }

    fn ticket_records(&mut self, desk: &Desk, mut domain: Vec<Value>, order: &str, limit: u32) -> Result<Vec<Value>> {
        let more = ["partner_email", "partner_phone", "access_url", "state"].into_iter().filter(|f| desk.has(f));
        let team = desk.category().map(|_| "team_id");
        let fields: Vec<&str> = FIELDS.into_iter().chain([desk.number()]).chain(team).chain(more).collect();
        if let Kind::Tasks(project) = desk.kind {
            domain.push(json!(["project_id", "=", project]));
        }
        self.find(desk.model(), json!(domain), json!(fields), order, limit, archived_too())
    }

    fn ticket_by_id(&mut self, desk: &Desk, made: i64) -> Result<Ticket> {
        let found = self.ticket_records(desk, vec![json!(["id", "=", made])], "id", 1)?;
        let record = found.first().ok_or_else(|| missing("ticket"))?;
        Ok(ticket(desk, record, self.comments(desk, made)?))
    }

    /// The ticket with this number and who asked, if the proof fits.
    fn proven_ticket(&mut self, desk: &Desk, number: &str, proof: &Proof) -> Result<(Value, Author)> {
        let proof = people::given(proof)?;
        let missing = || missing("ticket");
        let number = number.trim().trim_start_matches('#');
        let is_it = match desk.kind {
            Kind::Tasks(_) => json!(["id", "=", parse_id(number).ok_or_else(missing)?]),
            _ if number.is_empty() || number.chars().count() > 64 => return Err(missing()),
            _ => json!([desk.number(), "=ilike", literal(number)]),
        };
        let found = self.ticket_records(desk, vec![is_it], "id desc", 5)?;
        let partners = self.partners(&found, &["partner_id"])?;
        for record in found {
            let partner = one(&record, "partner_id").and_then(|id| partners.get(&id));
            let mut owner = partner.map(known).unwrap_or_default();
            owner.emails.extend(text(&record, "partner_email"));
            owner.phones.extend(text(&record, "partner_phone"));
            if owner.proves(&proof, String::new).is_ok() {
                let email = partner.and_then(|p| text(p, "email")).or_else(|| text(&record, "partner_email"));
                let author = Author { partner: one(&record, "partner_id"), email };
                return Ok((record, author));
            }
        }
        Err(missing())
    }

    pub(crate) fn ticket(&mut self, number: &str, proof: &Proof) -> Result<Ticket> {
        let desk = self.desk()?;
        let (record, _) = self.proven_ticket(&desk, number, proof)?;
        let comments = self.comments(&desk, id(&record))?;
        Ok(ticket(&desk, &record, comments))
    }

    pub(crate) fn comment_ticket(&mut self, number: &str, said: &str, proof: &Proof) -> Result<Ticket> {
        let said = tickets::said(said, TEXT)?;
        let desk = self.desk()?;
        let (record, author) = self.proven_ticket(&desk, number, proof)?;
        self.post_once(desk.model(), id(&record), &said, Some(&author))?;
        self.ticket_by_id(&desk, id(&record))
    }

    pub(crate) fn close_ticket(&mut self, number: &str, reason: Option<&str>, proof: &Proof) -> Result<Ticket> {
        let reason = tickets::reason(reason, TEXT)?;
        let desk = self.desk()?;
        let (record, author) = self.proven_ticket(&desk, number, proof)?;
        if let Some(reason) = reason {
            self.post_once(desk.model(), id(&record), &reason, Some(&author))?;
        }
        if desk.state(&record) != "closed" {
            let (stage, state) = (desk.closing(&record), desk.has("state").then_some(DONE));
            if stage.is_none() && state.is_none() {
                let message = "the helpdesk has no stage for closed tickets: mark one as closed or folded";
                return Err(error(Code::Misconfigured, message));
            }
            self.write(desk.model(), id(&record), json!({"stage_id": stage, "state": state}))?;
        }
        self.ticket_by_id(&desk, id(&record))
    }

    pub(crate) fn tickets(&mut self, query: &TicketQuery, limit: u32) -> Result<Vec<Ticket>> {
        let desk = self.desk()?;
        let mut domain = Vec::new();
        let has = |fields: [&str; 2], operator: &str, value: &str| {
            let there = fields.into_iter().filter(|field| *field != "partner_email" || desk.has(field));
            any(there.map(|field| json!([field, operator, literal(value)])))
        };
        if let Some(email) = filled(query.requester_email.as_deref()) {
            domain.extend(has(["partner_email", "partner_id.email"], "=ilike", email));
        }
        if let Some(words) = filled(query.text.as_deref()) {
            domain.extend(has(["name", "description"], "ilike", words));
        }
        if let Some(state) = filled(query.state.as_deref()) {
            domain.extend(desk.in_state(if state == "solved" { "closed" } else { state }));
        }
        if domain.is_empty() {
            return Err(error(Code::InvalidInput, "a search needs an e-mail address, a state or words"));
        }
        let found = self.ticket_records(&desk, domain, "create_date desc, id desc", limit.clamp(1, MOST))?;
        Ok(found.iter().map(|record| ticket(&desk, record, Vec::new())).collect())
    }

    /// What the requester may see, oldest first.
    fn comments(&mut self, desk: &Desk, record: i64) -> Result<Vec<TicketComment>> {
        let domain = json!([
            ["model", "=", desk.model()],
            ["res_id", "=", record],
            ["message_type", "in", ["comment", "email"]],
            ["is_internal", "=", false],
            ["subtype_id.internal", "=", false]
        ]);
        let fields = ["date", "author_id", "email_from", "body"];
        let mut found = self.find("mail.message", domain, json!(fields), "id desc", COMMENTS, Value::Null)?;
        found.reverse();
        let comment = |message: &Value| TicketComment {
            at: moment(message, "date"),
            author: named(message, "author_id").or_else(|| text(message, "email_from")).unwrap_or_default(),
            text: without_marker(&html::to_text(&text(message, "body").unwrap_or_default())),
        };
        Ok(found.iter().map(comment).filter(|c| !c.text.is_empty()).collect())
    }
}

/// The line with the idempotency key is nothing that people said.
fn without_marker(text: &str) -> String {
    let lines = text.lines().filter(|line| !(line.starts_with("[confab:") && line.ends_with(']')));
    lines.collect::<Vec<_>>().join("\n")
}

/// All begin at `low`, though OCA calls the next `medium`; a task has two degrees.
fn degree(desk: &Desk, priority: Priority) -> &'static str {
    match (desk.kind, priority) {
        (Kind::Tasks(_), Priority::Low | Priority::Normal) | (_, Priority::Low) => "0",
        (Kind::Tasks(_), _) | (_, Priority::Normal) => "1",
        (_, Priority::High) => "2",
        (_, Priority::Urgent) => "3",
    }
}

fn ticket(desk: &Desk, record: &Value, comments: Vec<TicketComment>) -> Ticket {
    Ticket {
        number: text(record, desk.number()).unwrap_or_else(|| id(record).to_string()),
        state: desk.state(record).to_owned(),
        subject: text(record, "name").unwrap_or_default(),
        created_at: moment(record, "create_date"),
        updated_at: moment(record, "write_date"),
        // A path of the portal, below an address that this code does not know.
        url: text(record, "access_url").filter(|url| url.starts_with("http")),
        comments,
    }
}
