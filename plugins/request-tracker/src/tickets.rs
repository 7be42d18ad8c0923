//! Tickets: finding one and showing it; opening, answering and closing one, once each.
//!
//! A ticket is found by a search, not by its address: only searches tell e-mail addresses of requestors. A ticket that
//! was merged into another is shown as that one. What the connection's user may not see, and what was deleted, is not
//! there.
//!
//! Each ticket is created with the link `RefersTo confab:KEY`, which any RT can be searched by: a repeated call finds what
//! the first one made, also when its answer was lost. The number is remembered, so that it survives a removal of the link.
//! Words on a ticket carry the mark in their last line; they are looked for only when an earlier try has been begun.

use crate::history::{self, Said};
use crate::people as users;
use crate::rest::{self, NEWEST, post, put, quoted};
use crate::settings::Settings;
use crate::words::spoken;
use confab_plugin_sdk::people::{self, Known};
use confab_plugin_sdk::tickets::{self, Ticket, TicketComment, TicketInput, TicketQuery, no_ticket, said};
use confab_plugin_sdk::{filled, json, once, prelude::*};
use serde_json::{Value, json};

/// Fields that are asked for. Phones of requestors are empty where the user lacks AdminUsers.
const FIELDS: &str = "Subject,Status,Created,LastUpdated,EffectiveId,Requestor,CustomFields,_hyperlinks";
/// Most tickets that a search gives, and words that it looks for.
const MOST: u32 = 50;
const WORDS: usize = 8;
/// RT's column for subjects. What is longer is cut, up to a length that is no subject.
const SUBJECT: usize = 200;
const LINE: usize = 2_000;
/// Longest text of a visitor.
const TEXT: usize = 50_000;

fn find(query: &str, most: u32) -> Result<Vec<Value>> {
    let per_page = most.to_string();
    let parameters = [
        ("query", query),
        ("fields", FIELDS),
        ("fields[Requestor]", users::FIELDS),
        ("orderby", "Created"),
        ("order", "DESC"),
        ("per_page", &per_page),
    ];
    Ok(json::list(&rest::get("/tickets", &[&parameters[..], &NEWEST].concat())?, "/items").to_vec())
}

/// A ticket by its number, or the one that it was merged into. Naming EffectiveId makes RT show merged ones at all.
fn load(number: &str) -> Result<Value> {
    let mut id = number.trim().trim_start_matches('#').to_owned();
    for _ in 0..2 {
        if id.is_empty() || id.len() > 10 || !id.bytes().all(|b| b.is_ascii_digit()) {
            break;
        }
        let ticket = find(&format!("id = {id} AND EffectiveId > 0"), 1)?.pop().ok_or_else(|| no_ticket(number))?;
        match json::id(&ticket, "/EffectiveId") {
            Some(other) if Some(&other) != json::id(&ticket, "/id").as_ref() => id = other,
            _ => return Ok(ticket),
        }
    }
    Err(no_ticket(number))
}

/// The ticket, when the proof fits one of its requestors.
fn owned(settings: &Settings, number: &str, proof: &Proof) -> Result<Value> {
    let proof = people::given(proof)?;
    let ticket = load(number)?;
    let mut known = Known::default();
    for user in json::list(&ticket, "/Requestor").iter().map(users::known) {
        known.emails.extend(user.emails);
        known.phones.extend(user.phones);
        known.customer_ids.extend(user.customer_ids);
    }
    known.phones.extend(settings.phone_field.iter().flat_map(|name| custom(&ticket, name)));
    known.proves(&proof, || no_ticket(number).message)?;
    Ok(ticket)
}

/// Values of a custom field.
fn custom(ticket: &Value, name: &str) -> Vec<String> {
    let field = json::list(ticket, "/CustomFields").iter().find(|f| json::text(f, "/name").as_deref() == Some(name));
    let values = field.map_or(&[] as &[Value], |f| json::list(f, "/values"));
    values.iter().filter_map(|v| json::text(v, "")).collect()
}

fn shown(settings: &Settings, ticket: &Value, comments: Vec<TicketComment>) -> Ticket {
    let number = json::id(ticket, "/id").unwrap_or_default();
    let own = json::text(ticket, "/_url").and_then(|url| Some(url.split_once("/REST/2.0/")?.0.to_owned()));
    let base = settings.web_url.clone().or(own);
    Ticket {
        state: settings.state(&json::text(ticket, "/Status").unwrap_or_default()),
        subject: json::text(ticket, "/Subject").unwrap_or_default(),
        created_at: json::moment(ticket, "/Created"),
        updated_at: json::moment(ticket, "/LastUpdated"),
        url: base.map(|base| format!("{}/Ticket/Display.html?id={number}", base.trim_end_matches('/'))),
        comments,
        number,
    }
}

fn with_history(settings: &Settings, ticket: &Value, most: usize) -> Result<Ticket> {
    let said = history::of(&json::id(ticket, "/id").unwrap_or_default(), most)?;
    Ok(shown(settings, ticket, said.iter().map(Said::comment).collect()))
}

pub(crate) fn get_one(settings: &Settings, number: &str) -> Result<Ticket> {
    with_history(settings, &load(number)?, history::RECENT)
}

pub(crate) fn get(settings: &Settings, number: &str, proof: &Proof) -> Result<Ticket> {
    with_history(settings, &owned(settings, number, proof)?, history::MOST)
}

pub(crate) fn search(settings: &Settings, query: &TicketQuery, limit: u32) -> Result<Vec<Ticket>> {
    let mut clauses = vec!["id > 0".to_owned()];
    let email = filled(query.requester_email.as_deref());
    if let Some(email) = email {
        clauses.push(format!("Requestor.EmailAddress = {}", quoted(email)));
    }
    if let Some(state) = filled(query.state.as_deref()) {
        let any: Vec<String> =
            settings.statuses_of(state).iter().map(|status| format!("Status = {}", quoted(status))).collect();
        clauses.push(format!("({})", any.join(" OR ")));
    }
    // Text is found only where RT has FullTextSearch switched on; `%` stands for anything, and can't be escaped.
    let text = query.text.as_deref().unwrap_or_default().replace('%', " ");
    let words = text.split_whitespace().filter(|word| word.chars().any(char::is_alphanumeric)).take(WORDS);
    // Contents are also the staff's own notes: for a requester only subjects are searched.
    clauses.extend(words.map(|word| match email {
        Some(_) => format!("Subject LIKE {}", quoted(word)),
        None => format!("(Subject LIKE {0} OR Content LIKE {0})", quoted(word)),
    }));
    if limit == 0 {
        return Ok(Vec::new());
    }
    let found = find(&clauses.join(" AND "), limit.min(MOST))?;
    Ok(found.iter().map(|ticket| shown(settings, ticket, Vec::new())).collect())
}

pub(crate) fn create(settings: &Settings, input: &TicketInput) -> Result<Ticket> {
    let input = tickets::valid(input, LINE, TEXT)?;
    let text = said(&input.body, TEXT)?;
    let (person, order) = (&input.requester, &input.order_number);
    let subject: String = input.subject.chars().take(SUBJECT).collect();
    let key = host::context().idempotency_key;
    let (mark, memory) = (once::reference(&key), format!("ticket:{}", once::token(&key)));
    if !mark.is_empty() {
        if let Some(made) = kv::get(&memory)? {
            return get_one(settings, &String::from_utf8_lossy(&made));
        }
        let query = format!("RefersTo = {} AND EffectiveId > 0", quoted(&mark));
        if let Some(made) = find(&query, 1)?.first().and_then(|t| json::id(t, "/id")) {
            kv::set(&memory, made.as_bytes())?;
            return get_one(settings, &made);
        }
    }

    let author = people::display_name(person);
    let below = [("E-mail", &person.email), ("Phone", &person.phone), ("Company", &person.company), ("Order", order)];
    let below = below.into_iter().filter_map(|(name, value)| Some(format!("{name}: {}", value.as_ref()?)));
    let fields = [(&settings.order_field, order), (&settings.phone_field, &person.phone)];
    let fields = fields.into_iter().filter_map(|(name, value)| Some((name.clone()?, json!(value.clone()?))));
    let queue = settings.queue_of(input.category.as_deref());
    let mut ticket = json!({
        "Queue": queue,
        "Subject": subject,
        "Content": spoken(&author, &text, &below.collect::<Vec<_>>()),
        "ContentType": "text/plain",
        "CustomFields": fields.collect::<serde_json::Map<_, _>>(),
    });
    let mut set = |name: &str, value: Value| ticket.as_object_mut().map(|t| t.insert(name.to_owned(), value));
    if let Some(email) = &person.email {
        set("Requestor", json!(mailbox(person.name.as_deref(), email)));
    }
    if let Some(priority) = tickets::priority(&input)? {
        set("Priority", json!(settings.priority(priority).to_string()));
    }
    if !mark.is_empty() {
        set("RefersTo", json!(mark));
    }
    let rights = format!("SeeQueue and CreateTicket in the queue {queue}, which must exist and be enabled");
    let made = post("/ticket", &ticket, &rights)?;
    let number = json::id(&made, "/id").ok_or_else(|| error(Code::Internal, "RT did not say which ticket it made"))?;
    if !mark.is_empty() {
        kv::set(&memory, number.as_bytes())?;
    }
    let made = load(&number)?;
    let links = json::list(&made, "/_hyperlinks");
    if !mark.is_empty() && !links.iter().any(|l| json::text(l, "/_url").as_deref() == Some(&mark)) {
        log::warn(format!("ticket {number} was created without the link {mark}: a repeated call could not find it"));
    }
    if person.email.is_some() && json::list(&made, "/Requestor").is_empty() {
        log::warn(format!("RT made ticket {number} without a requestor: is the address one of RT's own?"));
    }
    let at = json::moment(&made, "/Created");
    Ok(shown(settings, &made, vec![TicketComment { at, author, text }]))
}

pub(crate) fn comment(settings: &Settings, number: &str, text: &str, proof: &Proof) -> Result<Ticket> {
    let text = said(text, TEXT)?;
    let ticket = owned(settings, number, proof)?;
    speak(&ticket, &requester(&ticket, proof), &text, None)?;
    get_one(settings, number)
}

pub(crate) fn close(settings: &Settings, number: &str, reason: Option<&str>, proof: &Proof) -> Result<Ticket> {
    let reason = tickets::reason(reason, TEXT)?;
    let ticket = owned(settings, number, proof)?;
    let is_closed = |ticket: &Value| {
        let status = json::text(ticket, "/Status").unwrap_or_default();
        status == settings.close_status || matches!(settings.state(&status).as_str(), "solved" | "closed")
    };
    if !is_closed(&ticket) {
        let id = json::id(&ticket, "/id").unwrap_or_default();
        match reason {
            Some(reason) => speak(&ticket, &requester(&ticket, proof), &reason, Some(&settings.close_status))?,
            None => {
                put(&format!("/ticket/{id}"), &json!({"Status": settings.close_status}), "ModifyTicket in its queue")?;
            }
        }
        // RT says 200 and 201 to a change of status that it did not make.
        if !is_closed(&load(&id)?) {
            let status = &settings.close_status;
            let message =
                format!("RT left the ticket open: the user needs ModifyTicket, and the lifecycle the step to {status}");
            return Err(error(Code::Forbidden, message));
        }
    }
    get_one(settings, number)
}

/// Says something on a ticket, once.
fn speak(ticket: &Value, author: &str, text: &str, status: Option<&str>) -> Result<()> {
    let id = json::id(ticket, "/id").unwrap_or_default();
    let line = |mark: &str| format!("[{mark}]");
    let is_said = |mark: &str| Ok(history::of(&id, history::RECENT)?.iter().any(|s| s.content.contains(&line(mark))));
    once::write(is_said, |mark| {
        let below = if mark.is_empty() { Vec::new() } else { vec![line(mark)] };
        let mut words = json!({"Content": spoken(author, text, &below), "ContentType": "text/plain"});
        if let (Some(status), Some(words)) = (status, words.as_object_mut()) {
            words.insert("Status".into(), json!(status));
        }
        post(&format!("/ticket/{id}/correspond"), &words, "ReplyToTicket in its queue")
    })
    .map(|_| ())
}

/// The requestor whom the proof means, by name; else the first.
fn requester(ticket: &Value, proof: &Proof) -> String {
    let all = json::list(ticket, "/Requestor");
    let email = proof.email.as_deref().unwrap_or_default();
    let meant = all.iter().find(|r| json::text(r, "/EmailAddress").is_some_and(|own| people::same_email(&own, email)));
    let meant = meant.or(all.first());
    let name = meant.and_then(|r| ["/RealName", "/EmailAddress", "/id"].into_iter().find_map(|p| json::text(r, p)));
    name.unwrap_or_else(|| "The requester".to_owned())
}

/// `"Name" <address>`. RT splits requestors as mail programs do: nothing in a name may make a second address.
fn mailbox(name: Option<&str>, email: &str) -> String {
    let odd = |c: char| if c.is_control() || matches!(c, '"' | '\\' | '<' | '>') { ' ' } else { c };
    let name: String = name.unwrap_or_default().chars().map(odd).collect();
    if name.trim().is_empty() { email.to_owned() } else { format!("\"{}\" <{email}>", name.trim()) }
}
