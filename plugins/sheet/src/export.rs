//! What the connection holds, as CSV files for people.
//!
//! Files that chats don't change come back as they were uploaded. Contacts, leads and tickets have the uploaded rows
//! with what happened since, then what visitors created; RFC 4180, `,`, with a byte order mark for spreadsheets.
//!
//! Visitors wrote some of these cells, and a spreadsheet calculates a cell that begins with `=`, `+`, `-`, `@`, a tab
//! or a carriage return. Such a cell gets a `'` in front; numbers of uploaded rows don't need it. Reading takes it off.

use crate::book::Book;
use crate::leads::{Finding, LeadRecord};
use crate::load::{CATALOG, CONTACTS, LEADS, ORDER_LINES, ORDERS, SHIPMENTS, STOCK, TICKETS};
use crate::shelf::{Desk, events_of};
use crate::table::{FORMULA, Row, Spec};
use crate::text::key;
use crate::tickets::{self, Happening, TicketRecord};
use confab_plugin_sdk::contacts::Contact;
use confab_plugin_sdk::prelude::*;
use std::collections::{HashMap, HashSet};

pub(crate) fn names(book: &Book) -> Vec<String> {
    let always = [ORDERS, STOCK, CATALOG, CONTACTS, LEADS, TICKETS];
    let uploaded = [ORDER_LINES, SHIPMENTS].into_iter().filter(|s| book.tables.contains_key(s.file));
    always.into_iter().chain(uploaded).map(|s| s.file.to_owned()).collect()
}

pub(crate) fn download(book: &Book, desk: &mut Desk<'_>, name: &str) -> Result<Vec<u8>> {
    match key(name).as_str() {
        "contacts.csv" => contacts(book, desk),
        "leads.csv" => leads(book, desk),
        "tickets.csv" => tickets(book, desk),
        other => {
            let spec = [ORDERS, STOCK, CATALOG, ORDER_LINES, SHIPMENTS].into_iter().find(|s| s.file == other);
            let spec = spec.ok_or_else(|| error(Code::NotFound, format!("there is no file {other}")))?;
            let uploaded = book.tables.get(spec.file).map(|t| t.content().to_vec());
            Ok(uploaded.unwrap_or_else(|| Sheet::new(book, spec, "").finish()))
        }
    }
}

/// Values by column.
type Cells = Vec<(&'static str, String)>;

fn contacts(book: &Book, desk: &mut Desk<'_>) -> Result<Vec<u8>> {
    let stored: HashMap<String, Contact> = by_id(desk.all("contact/")?, |c: &Contact| &c.id);
    let mut sheet = Sheet::new(book, CONTACTS, &book.settings.contact_prefix);
    sheet.uploaded(book, "id", |row, id| {
        let Some(added) = stored.get(id) else {
            return Vec::new();
        };
        let only_added =
            |column, value: &Option<String>| value.clone().filter(|_| row.text(column).is_none()).unwrap_or_default();
        vec![
            ("added_email", only_added("email", &added.email)),
            ("added_phone", only_added("phone", &added.phone)),
            ("added_company", only_added("company", &added.company)),
        ]
    });
    sheet.created(stored, |c| {
        let Contact { id, name, email, phone, company, .. } = c;
        vec![
            ("id", id),
            ("name", name),
            ("email", or_empty(email)),
            ("phone", or_empty(phone)),
            ("company", or_empty(company)),
        ]
    });
    Ok(sheet.finish())
}

fn leads(book: &Book, desk: &mut Desk<'_>) -> Result<Vec<u8>> {
    let stored: HashMap<String, LeadRecord> = by_id(desk.all("lead/")?, |l: &LeadRecord| &l.id);
    let mut findings: HashMap<String, Vec<Finding>> = HashMap::new();
    for (entry, finding) in desk.all::<Finding>("event/lead/")? {
        findings
            .entry(entry.rsplit_once('/').map(|(place, _)| format!("{place}/")).unwrap_or(entry))
            .or_default()
            .push(finding);
    }
    let of = |id: &str| findings.get(&events_of("lead", id)).map(Vec::as_slice).unwrap_or_default();
    let changes = |lead: LeadRecord, notes: String, found: &[Finding]| -> Cells {
        let lines = found.iter().filter_map(|f| Some(format!("{} {}", f.at, f.note.as_ref()?)));
        let (notes, lead) = (log(notes, lines), lead.with(found));
        let score = lead.score.map(|s| s.to_string()).unwrap_or_default();
        vec![("state", lead.state.unwrap_or_else(|| "new".into())), ("score", score), ("notes", notes)]
    };
    let mut sheet = Sheet::new(book, LEADS, &book.settings.lead_prefix);
    sheet.uploaded(book, "id", |row, id| match (of(id), stored.get(id).or_else(|| book.leads.get(id))) {
        ([], _) | (_, None) => Vec::new(),
        (found, Some(lead)) => changes(lead.clone(), or_empty(row.text("notes")), found),
    });
    sheet.created(stored, |lead| {
        let mut cells = changes(lead.clone(), String::new(), of(&lead.id));
        let LeadRecord { id, subject, contact_id, person, message, source, skus, created_at, .. } = lead;
        cells.extend([
            ("id", id),
            ("subject", subject),
            ("contact_id", or_empty(contact_id)),
            ("message", or_empty(message)),
        ]);
        cells.extend([("source", or_empty(source)), ("skus", skus.join(" ")), ("created_at", or_empty(created_at))]);
        cells.extend(who(person));
        cells
    });
    Ok(sheet.finish())
}

fn tickets(book: &Book, desk: &mut Desk<'_>) -> Result<Vec<u8>> {
    let stored = tickets::stored(desk)?.into_iter().map(|t| (String::new(), t)).collect();
    let stored: HashMap<String, TicketRecord> = by_id(stored, |t: &TicketRecord| &t.number);
    let happened = tickets::all_happenings(desk)?;
    let of = |number: &str| happened.get(&events_of("ticket", number)).map(Vec::as_slice).unwrap_or_default();
    let changes = |ticket: TicketRecord, comments: String, happened: &[Happening]| -> Cells {
        let author = ticket.author();
        let lines = happened.iter().filter_map(|h| Some(format!("{} {author}: {}", h.at, h.text.as_ref()?)));
        let (comments, ticket) = (log(comments, lines), ticket.with(happened));
        vec![("state", ticket.state), ("updated_at", or_empty(ticket.updated_at)), ("comments", comments)]
    };
    let mut sheet = Sheet::new(book, TICKETS, &book.settings.ticket_prefix);
    sheet.uploaded(book, "number", |row, number| {
        match (of(number), stored.get(number).or_else(|| book.tickets.get(number))) {
            ([], _) | (_, None) => Vec::new(),
            (happened, Some(ticket)) => changes(ticket.clone(), or_empty(row.text("comments")), happened),
        }
    });
    sheet.created(stored, |ticket| {
        let mut cells = changes(ticket.clone(), String::new(), of(&ticket.number));
        let TicketRecord { number, subject, body, priority, category, order_number, person, created_at, .. } = ticket;
        cells.extend([("number", number), ("subject", subject), ("body", body), ("priority", or_empty(priority))]);
        cells.extend([
            ("category", or_empty(category)),
            ("order_number", or_empty(order_number)),
            ("created_at", or_empty(created_at)),
        ]);
        cells.extend(who(person));
        cells
    });
    Ok(sheet.finish())
}

fn who(person: Person) -> Cells {
    let Person { name, email, phone, company } = person;
    vec![
        ("name", or_empty(name)),
        ("email", or_empty(email)),
        ("phone", or_empty(phone)),
        ("company", or_empty(company)),
    ]
}

fn or_empty(value: Option<String>) -> String {
    value.unwrap_or_default()
}

fn by_id<T>(entries: Vec<(String, T)>, id: impl Fn(&T) -> &String) -> HashMap<String, T> {
    entries.into_iter().map(|(_, value)| (key(id(&value)), value)).collect()
}

/// Lines added to what the file says already; a line that a former download put there is not added again.
fn log(mut text: String, lines: impl Iterator<Item = String>) -> String {
    for line in lines.collect::<Vec<_>>() {
        if !text.contains(&line) {
            text.push_str(if text.is_empty() { "" } else { "\n" });
            text.push_str(&line);
        }
    }
    text
}

/// A file in the making.
struct Sheet {
    spec: Spec,
    /// Ids that begin with it were given by us: a visitor wrote the row, even where the file was uploaded again.
    prefix: String,
    header: Vec<String>,
    uploaded: HashSet<String>,
    lines: Vec<u8>,
}

impl Sheet {
    /// The uploaded header, and the columns that it lacks.
    fn new(book: &Book, spec: Spec, prefix: &str) -> Self {
        let mut header = book.tables.get(spec.file).map(|t| t.header.clone()).unwrap_or_default();
        let fresh = header.is_empty();
        for column in spec.required.iter().chain(spec.optional) {
            let added = column.starts_with("added_") || *column == "postal_code";
            let known = header.iter().any(|h| key(h) == *column);
            if !known && (!added || !fresh) {
                header.push((*column).to_owned());
            }
        }
        let mut sheet = Sheet {
            spec,
            prefix: key(prefix),
            header: Vec::new(),
            uploaded: HashSet::new(),
            lines: b"\xef\xbb\xbf".to_vec(),
        };
        sheet.line(&header.iter().map(|h| guarded(h, true)).collect::<Vec<_>>());
        sheet.header = header.iter().map(|h| key(h).replace([' ', '-'], "_")).collect();
        sheet
    }

    /// The uploaded rows, each with the cells that changed.
    fn uploaded(&mut self, book: &Book, id_column: &str, changed: impl Fn(&Row<'_>, &str) -> Cells) {
        for row in book.tables.get(self.spec.file).into_iter().flat_map(|t| t.rows()) {
            let id = key(&row.text(id_column).unwrap_or_default());
            let changed = changed(&row, &id);
            let ours = !self.prefix.is_empty() && id.starts_with(&self.prefix);
            let mut own = row.cells().into_iter();
            let cells: Vec<String> = self
                .header
                .iter()
                .map(|column| {
                    let own = own.next();
                    let new = changed.iter().find(|(c, _)| c == column).map(|(_, value)| guarded(value, true));
                    new.unwrap_or_else(|| guarded(&own.unwrap_or_default(), ours))
                })
                .collect();
            self.line(&cells);
            self.uploaded.insert(id);
        }
    }

    /// What visitors created and the file doesn't have.
    fn created<T>(&mut self, records: HashMap<String, T>, cells: impl Fn(T) -> Cells) {
        let mut records: Vec<_> = records.into_iter().filter(|(id, _)| !self.uploaded.contains(id)).collect();
        records.sort_by(|a, b| a.0.cmp(&b.0));
        for (id, value) in records {
            let cells = cells(value);
            let line: Vec<String> = self
                .header
                .iter()
                .map(|column| {
                    cells.iter().find(|(c, _)| c == column).map(|(_, value)| guarded(value, true)).unwrap_or_default()
                })
                .collect();
            self.line(&line);
            self.uploaded.insert(id);
        }
    }

    fn line(&mut self, cells: &[String]) {
        let quoted: Vec<String> = cells.iter().map(|c| quoted(c)).collect();
        self.lines.extend_from_slice(quoted.join(",").as_bytes());
        self.lines.extend_from_slice(b"\r\n");
    }

    fn finish(self) -> Vec<u8> {
        self.lines
    }
}

fn quoted(cell: &str) -> String {
    if cell.contains([',', '"', '\n', '\r', ';']) {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell.to_owned()
    }
}

/// A cell that no spreadsheet calculates.
fn guarded(cell: &str, from_visitor: bool) -> String {
    let number = |c: char| c.is_ascii_digit() || matches!(c, ' ' | '+' | '-' | '.' | ',' | '(' | ')' | '/');
    let harmless = !from_visitor && cell.chars().all(number);
    if cell.starts_with(FORMULA) && !harmless { format!("'{cell}") } else { cell.to_owned() }
}
