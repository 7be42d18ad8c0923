//! Leads: those of leads.csv and those that chats brought.

use crate::book::Book;
use crate::people;
use crate::shelf::{Desk, checked, record};
use crate::text::key;
use confab_plugin_sdk::leads::{Lead, LeadInput, Qualification};
use confab_plugin_sdk::prelude::*;
use serde::{Deserialize, Serialize};

const SUBJECT: usize = 200;
/// In bytes at most four times as many: below what an entry of the store holds.
const TEXT: usize = 10_000;
const SKUS: usize = 20;

/// A lead as stored or uploaded.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct LeadRecord {
    pub(crate) id: String,
    pub(crate) subject: String,
    pub(crate) state: Option<String>,
    pub(crate) score: Option<f64>,
    pub(crate) contact_id: Option<String>,
    pub(crate) person: Person,
    pub(crate) message: Option<String>,
    pub(crate) source: Option<String>,
    pub(crate) skus: Vec<String>,
    pub(crate) created_at: Option<String>,
}

/// What a conversation found out about a lead.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Finding {
    pub(crate) at: String,
    pub(crate) score: Option<u32>,
    pub(crate) state: Option<String>,
    pub(crate) note: Option<String>,
}

impl LeadRecord {
    /// The record with what was found out since.
    pub(crate) fn with(mut self, findings: &[Finding]) -> Self {
        for finding in findings {
            self.score = finding.score.map(f64::from).or(self.score);
            self.state = finding.state.clone().or(self.state);
        }
        self
    }

    fn view(self) -> Lead {
        Lead {
            number: Some(self.id.clone()),
            id: self.id,
            state: self.state.unwrap_or_else(|| "new".into()),
            subject: self.subject,
            contact_id: self.contact_id,
        }
    }
}

pub(crate) fn create(book: &Book, desk: &mut Desk<'_>, input: LeadInput) -> Result<Lead> {
    let person = people::validated(input.person)?;
    let subject = checked("the subject", &input.subject, SUBJECT, false)?;
    if subject.is_empty() {
        return Err(error(Code::InvalidInput, "a lead needs a subject"));
    }
    let message = input.message.map(|m| checked("the message", &m, TEXT, true)).transpose()?;
    let source = input.source.map(|s| checked("the source", &s, SUBJECT, false)).transpose()?;
    if input.skus.len() > SKUS {
        return Err(error(Code::InvalidInput, format!("more than {SKUS} articles")));
    }
    let skus = input.skus.iter().map(|s| checked("an article number", s, 64, false)).collect::<Result<Vec<_>>>()?;

    let id = desk.once("lead", |desk| desk.next("lead", &book.settings.lead_prefix, book.highest.lead))?;
    if let Some(done) = find(book, desk, &id)? {
        return Ok(done.view());
    }
    let contact = people::upsert(book, desk, person.clone())?;
    let lead = LeadRecord {
        id: id.clone(),
        subject,
        contact_id: Some(contact.id),
        person,
        message: message.filter(|m| !m.is_empty()),
        source: source.filter(|s| !s.is_empty()),
        skus,
        created_at: Some(desk.now.to_owned()),
        ..LeadRecord::default()
    };
    Ok(desk.create(&record("lead", &id), lead)?.view())
}

pub(crate) fn qualify(book: &Book, desk: &mut Desk<'_>, id: &str, found: Qualification) -> Result<Lead> {
    if found.score.is_some_and(|s| s > 100) {
        return Err(error(Code::InvalidInput, "the score is from 0 to 100"));
    }
    let state = found.state.map(|s| checked("the state", &s, 40, false)).transpose()?;
    let note = found.note.map(|n| checked("the note", &n, TEXT, true)).transpose()?;
    let missing = || error(Code::NotFound, format!("there is no lead {}", id.trim()));
    let known = find(book, desk, id)?.ok_or_else(missing)?;
    let state = state.map(|s| s.to_lowercase()).filter(|s| !s.is_empty());
    let finding = Finding { at: desk.now.to_owned(), score: found.score, state, note };
    desk.happened("lead", &known.id, finding)?;
    Ok(find(book, desk, id)?.ok_or_else(missing)?.view())
}

/// A lead as it is now.
fn find(book: &Book, desk: &mut Desk<'_>, id: &str) -> Result<Option<LeadRecord>> {
    let stored: Option<LeadRecord> = desk.read(&record("lead", id))?;
    let Some(lead) = stored.or_else(|| book.leads.get(&key(id)).cloned()) else {
        return Ok(None);
    };
    let findings = desk.events("lead", &lead.id)?;
    Ok(Some(lead.with(&findings)))
}
