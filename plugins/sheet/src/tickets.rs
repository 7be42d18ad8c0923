//! Tickets: those of tickets.csv and those that chats opened.
//!
//! What is said on a ticket and its closing are entries beside it (see `shelf.rs`). A comment of the requester on a
//! ticket that was solved or closed opens it again, as helpdesks do.

use crate::book::{Book, Owner};
use crate::people;
use crate::shelf::{Desk, checked, events_of, part, record};
use crate::text::{key, words};
use crate::values::Moment;
use confab_plugin_sdk::people::given;
use confab_plugin_sdk::prelude::*;
use confab_plugin_sdk::tickets::{Ticket, TicketComment, TicketInput, TicketQuery};
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::collections::HashMap;

const SUBJECT: usize = 200;
/// In bytes at most four times as many: below what an entry of the store holds.
const TEXT: usize = 10_000;
/// Tickets that a search gives, and of a requester that it looks at (each costs two calls of the store).
const MOST: usize = 25;

/// A ticket as stored or uploaded.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct TicketRecord {
    pub(crate) number: String,
    pub(crate) subject: String,
    pub(crate) body: String,
    pub(crate) state: String,
    pub(crate) priority: Option<String>,
    pub(crate) category: Option<String>,
    pub(crate) order_number: Option<String>,
    pub(crate) person: Person,
    pub(crate) postal_code: Option<String>,
    pub(crate) contact_id: Option<String>,
    pub(crate) created_at: Option<String>,
    pub(crate) updated_at: Option<String>,
}

/// What happened to a ticket.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Happening {
    pub(crate) at: String,
    pub(crate) text: Option<String>,
    pub(crate) state: Option<String>,
}

impl TicketRecord {
    /// The record with what happened since.
    pub(crate) fn with(mut self, happenings: &[Happening]) -> Self {
        for h in happenings {
            self.updated_at = Some(h.at.clone());
            self.state = h.state.clone().unwrap_or(self.state);
        }
        self
    }

    pub(crate) fn author(&self) -> String {
        [&self.person.name, &self.person.email, &self.person.phone]
            .into_iter()
            .flatten()
            .next()
            .cloned()
            .unwrap_or_default()
    }

    fn view(self, happenings: &[Happening]) -> Ticket {
        let author = self.author();
        let first =
            Some(TicketComment { at: self.created_at.clone(), author: author.clone(), text: self.body.clone() });
        let said = happenings.iter().filter_map(|h| {
            Some(TicketComment { at: Some(h.at.clone()), author: author.clone(), text: h.text.clone()? })
        });
        let comments = first.into_iter().filter(|c| !c.text.is_empty()).chain(said).collect();
        let now = self.with(happenings);
        Ticket {
            number: now.number,
            state: now.state,
            subject: now.subject,
            updated_at: now.updated_at.or_else(|| now.created_at.clone()),
            created_at: now.created_at,
            url: None,
            comments,
        }
    }
}

pub(crate) fn create(book: &Book, desk: &mut Desk<'_>, input: TicketInput) -> Result<Ticket> {
    let person = people::validated(input.requester)?;
    let subject = checked("the subject", &input.subject, SUBJECT, false)?;
    let body = checked("the text", &input.body, TEXT, true)?;
    if subject.is_empty() {
        return Err(error(Code::InvalidInput, "a ticket needs a subject"));
    }
    let priority = input.priority.map(|p| key(&p)).filter(|p| !p.is_empty());
    if priority.as_ref().is_some_and(|p| !["low", "normal", "high", "urgent"].contains(&p.as_str())) {
        return Err(error(Code::InvalidInput, "the priority is low, normal, high or urgent"));
    }
    let category = input.category.map(|c| checked("the category", &c, SUBJECT, false)).transpose()?;
    let order_number = input.order_number.map(|n| checked("the order number", &n, 64, false)).transpose()?;

    let number = desk.once("ticket", |desk| desk.next("ticket", &book.settings.ticket_prefix, book.highest.ticket))?;
    let entry = record("ticket", &number);
    let ticket = match desk.read::<TicketRecord>(&entry)? {
        Some(done) => done,
        None => {
            let contact = people::upsert(book, desk, person.clone())?;
            let ticket = TicketRecord {
                number: number.clone(),
                subject,
                body,
                state: "new".into(),
                priority,
                category,
                order_number,
                person,
                contact_id: Some(contact.id),
                created_at: Some(desk.now.to_owned()),
                ..TicketRecord::default()
            };
            desk.create(&entry, ticket)?
        }
    };
    // After the record, and again on each repeat: a ticket without its index would not be found by its owner.
    if let Some(email) = &ticket.person.email {
        desk.claim(&format!("{}{}", tickets_of(email), part(&number)), number)?;
    }
    let happenings = desk.events("ticket", &ticket.number)?;
    Ok(ticket.view(&happenings))
}

pub(crate) fn get(book: &Book, desk: &mut Desk<'_>, number: &str, proof: Proof) -> Result<Ticket> {
    let ticket = proven(book, desk, number, proof)?;
    let happenings = desk.events("ticket", &ticket.number)?;
    Ok(ticket.view(&happenings))
}

pub(crate) fn comment(book: &Book, desk: &mut Desk<'_>, number: &str, text: &str, proof: Proof) -> Result<Ticket> {
    let text = checked("the comment", text, TEXT, true)?;
    if text.is_empty() {
        return Err(error(Code::InvalidInput, "the comment is empty"));
    }
    let ticket = proven(book, desk, number, proof)?;
    let happenings: Vec<Happening> = desk.events("ticket", &ticket.number)?;
    let state = ticket.clone().with(&happenings).state;
    let reopened = ["solved", "closed", "pending"].contains(&state.as_str()).then(|| "open".to_owned());
    desk.happened("ticket", &ticket.number, Happening { at: desk.now.to_owned(), text: Some(text), state: reopened })?;
    let happenings = desk.events("ticket", &ticket.number)?;
    Ok(ticket.view(&happenings))
}

pub(crate) fn close(
    book: &Book,
    desk: &mut Desk<'_>,
    number: &str,
    reason: Option<String>,
    proof: Proof,
) -> Result<Ticket> {
    let reason = reason.map(|r| checked("the reason", &r, TEXT, true)).transpose()?.filter(|r| !r.is_empty());
    let ticket = proven(book, desk, number, proof)?;
    desk.happened(
        "ticket",
        &ticket.number,
        Happening { at: desk.now.to_owned(), text: reason, state: Some("closed".into()) },
    )?;
    let happenings = desk.events("ticket", &ticket.number)?;
    Ok(ticket.view(&happenings))
}

pub(crate) fn search(book: &Book, desk: &mut Desk<'_>, query: &TicketQuery, limit: u32) -> Result<Vec<Ticket>> {
    let email = query.requester_email.as_deref().map(key).filter(|e| !e.is_empty());
    let mut tickets: HashMap<String, TicketRecord> = book.tickets.clone();
    match &email {
        Some(email) => {
            let numbers = desk.shelf.scan(&tickets_of(email), None, 1_000)?;
            for (_, number) in numbers.into_iter().rev().take(MOST) {
                let number = String::from_utf8_lossy(&number).into_owned();
                let stored = desk.read(&record("ticket", &number))?;
                tickets.extend(stored.map(|t| (key(&number), t)));
            }
            tickets.retain(|_, t| t.person.email.as_deref().map(key).as_ref() == Some(email));
        }
        None => tickets.extend(stored(desk)?.into_iter().map(|t| (key(&t.number), t))),
    }
    let mut tickets: Vec<TicketRecord> = tickets.into_values().collect();
    tickets.sort_by_cached_key(|t| {
        Reverse((t.created_at.as_deref().and_then(Moment::parse).map(|m| m.epoch), t.number.clone()))
    });
    if email.is_some() {
        tickets.truncate(MOST);
    }
    let mut happenings = if email.is_some() { HashMap::new() } else { all_happenings(desk)? };
    let asked = words(query.text.as_deref().unwrap_or_default());
    let state = query.state.as_deref().map(key).filter(|s| !s.is_empty());
    let mut found = Vec::new();
    for ticket in tickets {
        let happened = match email {
            Some(_) => desk.events("ticket", &ticket.number)?,
            None => happenings.remove(&events_of("ticket", &ticket.number)).unwrap_or_default(),
        };
        let said = words(&format!("{} {}", ticket.subject, ticket.body));
        let view = ticket.view(&happened);
        let has_words = asked.iter().all(|w| said.iter().any(|s| s.starts_with(w.as_str())));
        if has_words && state.as_ref().is_none_or(|s| *s == view.state) {
            found.push(view);
        }
        if found.len() >= (limit as usize).min(MOST) {
            break;
        }
    }
    Ok(found)
}

/// All tickets that chats opened.
pub(crate) fn stored(desk: &mut Desk<'_>) -> Result<Vec<TicketRecord>> {
    Ok(desk.all("ticket/")?.into_iter().map(|(_, t)| t).collect())
}

/// What happened to all tickets, by the place of their entries.
pub(crate) fn all_happenings(desk: &mut Desk<'_>) -> Result<HashMap<String, Vec<Happening>>> {
    let mut by_ticket: HashMap<String, Vec<Happening>> = HashMap::new();
    for (entry, happening) in desk.all("event/ticket/")? {
        let place = entry.rfind('/').and_then(|at| entry.get(..=at)).unwrap_or(&entry).to_owned();
        by_ticket.entry(place).or_default().push(happening);
    }
    Ok(by_ticket)
}

/// The ticket, if it is the asker's. One that doesn't exist and one that isn't theirs give the same answer.
fn proven(book: &Book, desk: &mut Desk<'_>, number: &str, proof: Proof) -> Result<TicketRecord> {
    let proof = given(&proof)?;
    let missing = || {
        let message = "there is no ticket with this number that belongs to this e-mail address, phone number, postal code or customer";
        error(Code::NotFound, message)
    };
    if number.trim().is_empty() || number.chars().count() > 64 {
        return Err(missing());
    }
    let stored: Option<TicketRecord> = desk.read(&record("ticket", number))?;
    let ticket = stored.or_else(|| book.tickets.get(&key(number)).cloned()).ok_or_else(missing)?;
    let mut owner = Owner { customer_id: ticket.contact_id.clone(), ..Owner::default() };
    owner.add(ticket.person.email.as_deref(), ticket.person.phone.as_deref(), ticket.postal_code.as_deref());
    if owner.customer_id.is_none() {
        let same = ticket.person.email.as_deref().and_then(|e| book.contacts_by_email.get(&key(e)));
        let contact = same.filter(|c| c.len() == 1).and_then(|c| book.contacts.get(*c.first()?));
        owner.customer_id = contact.map(|c| c.contact.id.clone());
    }
    if owner.matches(&proof) { Ok(ticket) } else { Err(missing()) }
}

fn tickets_of(email: &str) -> String {
    format!("ticket-of/{}/", part(email))
}
