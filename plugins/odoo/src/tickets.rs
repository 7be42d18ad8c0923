//! Tickets are those of the helpdesk that this Odoo has; see [`crate::desk`].
//!
//! **Once.** The last line of a ticket's description, and of each message, is `[confab:KEY]`, made of the idempotency
//! key. It is searched before anything is created or posted; the ticket's id is kept in the connection's store as well.
//!
//! A ticket is linked to the partner that has the requester's e-mail address (else phone). A number is then told in the
//! description only: the Enterprise helpdesk writes a ticket's phone number back to its partner. Comments are the
//! messages that are not internal.

use crate::desk::{DONE, Desk, Kind};
use crate::html;
use crate::leads::{Author, TEXT};
use crate::parties::known;
use crate::session::{Odoo, id, literal, moment, named, one, parse_id, text};
use confab_plugin_sdk::prelude::*;
use confab_plugin_sdk::tickets::{Ticket, TicketComment, TicketInput, TicketQuery};
use confab_plugin_sdk::{json, once, people};
use serde_json::{Map, Value, json};

const SUBJECT: usize = 200;
const MOST: u32 = 50;
/// Messages of a ticket that are shown: the newest.
const COMMENTS: u32 = 50;
const FIELDS: [&str; 5] = ["name", "stage_id", "create_date", "write_date", "partner_id"];

impl Odoo {
    pub(crate) fn create_ticket(&mut self, input: &TicketInput) -> Result<Ticket> {
        let person = people::valid(&input.requester)?;
        let (subject, body) = (people::one_line(&input.subject), input.body.trim());
        if subject.is_empty() || subject.chars().count() > SUBJECT || body.chars().count() > TEXT {
            let message =
                format!("a ticket needs a subject of at most {SUBJECT} characters, its body has at most {TEXT}");
            return Err(error(Code::InvalidInput, message));
        }
        let desk = self.desk()?;
        let reference = once::reference(&self.once);
        let is_it = json!([["description", "ilike", literal(&reference)]]);
        if let Some(made) = self.made_before(desk.model(), &reference, is_it)? {
            return self.ticket_by_id(&desk, made);
        }
        let mut partner = self.partner_of(&person)?.as_ref().map(id);
        if matches!(desk.kind, Kind::Tasks(_)) && partner.is_none() {
            // A task has no other place for who asks.
            partner = parse_id(&self.upsert(&person)?.id);
        }
        let mut values = Map::from_iter([("name".to_owned(), json!(subject))]);
        let mut lines = vec![body.to_owned()];
        let mut told = |field: &str, what: &str, value: Option<&String>, fits: bool| {
            let Some(value) = value else { return };
            if desk.has(field) && fits {
                values.insert(field.to_owned(), json!(value));
            } else {
                lines.push(format!("{what}: {value}"));
            }
        };
        told("partner_name", "Name", person.name.as_ref(), true);
        told("partner_email", "E-mail", person.email.as_ref(), true);
        told("partner_phone", "Phone", person.phone.as_ref(), partner.is_none());
        told("", "Company", person.company.as_ref(), false);
        let order = input.order_number.as_deref().map(people::one_line).filter(|o| !o.is_empty());
        told("", "Order", order.as_ref(), false);
        if !reference.is_empty() {
            lines.push(format!("[{reference}]"));
        }
        values.insert("description".into(), json!(html::from_text(&lines.join("\n\n"))));
        values.extend(partner.map(|partner| ("partner_id".to_owned(), json!(partner))));
        values.extend(
            self.settings.ticket_team.filter(|_| desk.category().is_some()).map(|t| ("team_id".into(), json!(t))),
        );
        if let Kind::Tasks(project) = desk.kind {
            values.insert("project_id".into(), json!(project));
        }
        values.extend(priority(&desk, input.priority.as_deref())?.map(|p| ("priority".to_owned(), json!(p))));
        if let Some(category) = input.category.as_deref().map(str::trim).filter(|c| !c.is_empty()) {
            let (field, found) = self.category(&desk, category)?;
            values.insert(field.to_owned(), json!(found));
        }
        let made = self.create(desk.model(), Value::Object(values))?;
        self.remember_made(desk.model(), &reference, made)?;
        self.ticket_by_id(&desk, made)
    }

    /// A category by its name.
    fn category(&mut self, desk: &Desk, name: &str) -> Result<(&'static str, i64)> {
        let unknown = || error(Code::InvalidInput, "the helpdesk has no such category");
        let (field, model) = desk.category().ok_or_else(unknown)?;
        let found = self.find(model, json!([["name", "=ilike", literal(name)]]), &["name"], "id", 1, Value::Null)?;
        Ok((field, found.first().map(id).ok_or_else(unknown)?))
    }

    fn ticket_records(&mut self, desk: &Desk, domain: Value, order: &str, limit: u32) -> Result<Vec<Value>> {
        let more = ["partner_email", "partner_phone", "access_url", "state"].into_iter().filter(|f| desk.has(f));
        let team = desk.category().map(|_| "team_id");
        let fields: Vec<&str> = FIELDS.into_iter().chain([desk.number()]).chain(team).chain(more).collect();
        let mut all = match desk.kind {
            Kind::Tasks(project) => vec![json!(["project_id", "=", project])],
            Kind::Enterprise | Kind::Oca => Vec::new(),
        };
        all.extend(json::list(&domain, "").iter().cloned());
        self.find(desk.model(), Value::Array(all), &fields, order, limit, json!({"active_test": false}))
    }

    fn ticket_by_id(&mut self, desk: &Desk, made: i64) -> Result<Ticket> {
        let found = self.ticket_records(desk, json!([["id", "=", made]]), "", 1)?;
        let record = found.first().ok_or_else(missing)?;
        let comments = self.comments(desk, made)?;
        Ok(ticket(desk, record, comments))
    }

    /// The ticket with this number and who asked, if the proof fits.
    fn proven_ticket(&mut self, desk: &Desk, number: &str, proof: &Proof) -> Result<(Value, Author)> {
        let proof = people::given(proof)?;
        let number = number.trim().trim_start_matches('#');
        let domain = match desk.kind {
            Kind::Tasks(_) => json!([["id", "=", parse_id(number).ok_or_else(missing)?]]),
            _ if number.is_empty() || number.chars().count() > 64 => return Err(missing()),
            _ => json!([[desk.number(), "=ilike", literal(number)]]),
        };
        let found = self.ticket_records(desk, domain, "id desc", 5)?;
        let partners: Vec<i64> = found.iter().filter_map(|t| one(t, "partner_id")).collect();
        let partners = self.partners(&partners)?;
        for record in found {
            let partner = one(&record, "partner_id").and_then(|id| partners.get(&id));
            let mut owner = partner.map(known).unwrap_or_default();
            owner.emails.extend(text(&record, "partner_email"));
            owner.phones.extend(text(&record, "partner_phone"));
            if owner.proves(&proof, || missing().message).is_ok() {
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
        let said = said.trim();
        if said.is_empty() || said.chars().count() > TEXT {
            return Err(error(Code::InvalidInput, format!("a comment has 1 to {TEXT} characters")));
        }
        let desk = self.desk()?;
        let (record, author) = self.proven_ticket(&desk, number, proof)?;
        self.post_once(desk.model(), id(&record), said, Some(&author))?;
        self.ticket_by_id(&desk, id(&record))
    }

    pub(crate) fn close_ticket(&mut self, number: &str, reason: Option<&str>, proof: &Proof) -> Result<Ticket> {
        let desk = self.desk()?;
        let (record, author) = self.proven_ticket(&desk, number, proof)?;
        if let Some(reason) = reason.map(str::trim).filter(|r| !r.is_empty()) {
            let reason: String = reason.chars().take(TEXT).collect();
            self.post_once(desk.model(), id(&record), &reason, Some(&author))?;
        }
        if desk.state(&record) != "closed" {
            let mut values = Map::new();
            values.extend(desk.closing(&record).map(|stage| ("stage_id".to_owned(), json!(stage))));
            values.extend(desk.has("state").then(|| ("state".to_owned(), json!(DONE))));
            if values.is_empty() {
                let message = "the helpdesk has no stage for closed tickets: mark one as closed or folded";
                return Err(error(Code::Misconfigured, message));
            }
            self.write(desk.model(), id(&record), Value::Object(values))?;
        }
        self.ticket_by_id(&desk, id(&record))
    }

    pub(crate) fn tickets(&mut self, query: &TicketQuery, limit: u32) -> Result<Vec<Ticket>> {
        let desk = self.desk()?;
        let mut domain = Vec::new();
        if let Some(email) = query.requester_email.as_deref().map(str::trim).filter(|e| !e.is_empty()) {
            let email = literal(email);
            if desk.has("partner_email") {
                domain.extend([json!("|"), json!(["partner_email", "=ilike", email])]);
            }
            domain.push(json!(["partner_id.email", "=ilike", email]));
        }
        if let Some(words) = query.text.as_deref().map(str::trim).filter(|t| !t.is_empty()) {
            let words = literal(words);
            domain.extend([json!("|"), json!(["name", "ilike", words]), json!(["description", "ilike", words])]);
        }
        if let Some(state) = query.state.as_deref().map(str::trim).filter(|s| !s.is_empty()) {
            domain.extend(desk.in_state(if state == "solved" { "closed" } else { state }));
        }
        if domain.is_empty() {
            return Err(error(Code::InvalidInput, "a search needs an e-mail address, a state or words"));
        }
        let found =
            self.ticket_records(&desk, Value::Array(domain), "create_date desc, id desc", limit.clamp(1, MOST))?;
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
        let mut found = self.find("mail.message", domain, &fields, "id desc", COMMENTS, Value::Null)?;
        found.reverse();
        let comment = |message: &Value| TicketComment {
            at: moment(message, "date"),
            author: named(message, "author_id").or_else(|| text(message, "email_from")).unwrap_or_default(),
            text: without_marker(&html::to_text(&text(message, "body").unwrap_or_default())),
        };
        Ok(found.iter().map(comment).filter(|c| !c.text.is_empty()).collect())
    }
}

fn missing() -> Error {
    let message = "there is no ticket with this number that belongs to this e-mail address, phone number, postal code or customer";
    error(Code::NotFound, message)
}

/// The line with the idempotency key is nothing that people said.
fn without_marker(text: &str) -> String {
    let lines = text.lines().filter(|line| !(line.starts_with("[confab:") && line.ends_with(']')));
    lines.collect::<Vec<_>>().join("\n")
}

/// All begin at `low`, though OCA calls the next `medium`; a task has two degrees.
fn priority(desk: &Desk, wanted: Option<&str>) -> Result<Option<&'static str>> {
    let degree = match wanted.map(str::trim).filter(|p| !p.is_empty()) {
        None => return Ok(None),
        Some("low") => 0,
        Some("normal") => 1,
        Some("high") => 2,
        Some("urgent") => 3,
        Some(_) => return Err(error(Code::InvalidInput, "the priority is low, normal, high or urgent")),
    };
    let of = match desk.kind {
        Kind::Enterprise | Kind::Oca => ["0", "1", "2", "3"],
        Kind::Tasks(_) => ["0", "0", "1", "1"],
    };
    Ok(of.get(degree).copied().filter(|_| desk.has("priority")))
}

fn ticket(desk: &Desk, record: &Value, comments: Vec<TicketComment>) -> Ticket {
    Ticket {
        number: json::text(record, &format!("/{}", desk.number())).unwrap_or_else(|| id(record).to_string()),
        state: desk.state(record).to_owned(),
        subject: text(record, "name").unwrap_or_default(),
        created_at: moment(record, "create_date"),
        updated_at: moment(record, "write_date"),
        // A path of the portal, below an address that this code does not know.
        url: text(record, "access_url").filter(|url| url.starts_with("http")),
        comments,
    }
}
