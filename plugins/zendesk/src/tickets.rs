//! Tickets: opening, showing, finding, answering and closing them, once each.
//!
//! What a visitor says stands in Zendesk under their own name (`author_id`). Opening carries an `Idempotency-Key`, which
//! Zendesk honours for two hours, and an `external_id` that is looked up first: that list is current, unlike the search.
//! An answer carries the key in the audit's `metadata.custom`, where nobody is disturbed by it.
//!
//! A closed ticket can't be changed in Zendesk: words to it open a follow-up, whose number is given back.

use crate::api::{body, get as fetch, paged, quoted, request};
use crate::{Page, Settings, people as users};
use confab_plugin_sdk::people::{self, Known};
use confab_plugin_sdk::tickets::{self, Ticket, TicketComment, TicketInput, TicketQuery, no_ticket, said};
use confab_plugin_sdk::{filled, json, once, prelude::*};
use serde_json::{Map, Value, json};

/// Pages of comments (and, after a lost answer, audits) that are read: the newest 500 of them.
const PAGES: usize = 5;
/// Newest first, as cursor pages want it said. What was said a moment ago must not be what is missing on a long ticket.
const NEWEST: (&str, &str) = ("sort", "-created_at");
/// Most tickets that a search gives, those of a requester that are looked through for words, and words that it looks for.
const MOST: u32 = 50;
const LOOKED_THROUGH: u32 = 100;
const WORDS: usize = 8;
/// Zendesk's limits are 64 kB a comment; subjects are cut by it at 150 in mails, and here up to a length that is no subject.
const TEXT: usize = 30_000;
const SUBJECT: usize = 200;
const LINE: usize = 2_000;

/// A ticket with its requester.
struct Owned {
    ticket: Value,
    requester: Value,
}

/// The ticket, when the proof fits its requester.
fn owned(number: &str, proof: &Proof) -> Result<Owned> {
    let proof = people::given(proof)?;
    let absent = || no_ticket(number);
    let id = number.trim().trim_start_matches('#');
    if id.is_empty() || id.len() > 18 || !id.bytes().all(|b| b.is_ascii_digit()) {
        return Err(absent());
    }
    let answer = fetch(&format!("/tickets/{id}.json"), &[("include", "users")]).map_err(|e| match e.code.as_str() {
        // Tickets of groups that the agent may not see are none of the visitor's business either.
        "not-found" | "forbidden" => absent(),
        _ => e,
    })?;
    let ticket = answer.get("ticket").cloned().ok_or_else(absent)?;
    let wanted = json::id(&ticket, "/requester_id");
    let requester = json::list(&answer, "/users").iter().find(|u| json::id(u, "/id") == wanted).cloned();
    let requester = requester.unwrap_or_default();
    let known = Known { customer_ids: wanted.into_iter().collect(), ..Known::from(&users::contact(&requester)) };
    known.proves(&proof, || no_ticket(number).message)?;
    Ok(Owned { ticket, requester })
}

fn status(ticket: &Value) -> String {
    json::text(ticket, "/status").unwrap_or_default()
}

fn shown(settings: &Settings, ticket: &Value, comments: Vec<TicketComment>) -> Ticket {
    let number = json::id(ticket, "/id").unwrap_or_default();
    let base = json::text(ticket, "/url").and_then(|url| Some(url.split_once("/api/v2/")?.0.to_owned()));
    let page = match settings.page {
        Page::Agent => "agent/tickets",
        Page::HelpCenter => "hc/requests",
    };
    let state = status(ticket);
    Ticket {
        state: tickets::usual_state(&state).map_or(state, str::to_owned),
        subject: json::text(ticket, "/subject").unwrap_or_default(),
        created_at: json::moment(ticket, "/created_at"),
        updated_at: json::moment(ticket, "/updated_at"),
        url: base.map(|base| format!("{base}/{page}/{number}")),
        comments,
        number,
    }
}

/// The ticket with its newest public comments, oldest first.
fn with_comments(settings: &Settings, ticket: &Value) -> Result<Ticket> {
    let id = json::id(ticket, "/id").unwrap_or_default();
    let parameters = [("include", "users"), NEWEST];
    let (mut comments, users) = paged(&format!("/tickets/{id}/comments.json"), "comments", &parameters, PAGES)?;
    comments.reverse();
    let author = |comment: &Value| {
        let id = json::id(comment, "/author_id");
        let user = users.iter().find(|u| json::id(u, "/id") == id)?;
        // The name that end users are meant to see of an agent.
        json::text(user, "/alias").or_else(|| json::text(user, "/name"))
    };
    let public = comments.iter().filter(|c| json::flag(c, "/public"));
    let said = public.map(|c| TicketComment {
        at: json::moment(c, "/created_at"),
        author: author(c).unwrap_or_default(),
        text: json::text(c, "/plain_body").or_else(|| json::text(c, "/body")).unwrap_or_default(),
    });
    Ok(shown(settings, ticket, said.collect()))
}

pub(crate) fn get(settings: &Settings, number: &str, proof: &Proof) -> Result<Ticket> {
    with_comments(settings, &owned(number, proof)?.ticket)
}

/// The index of contents has the staff's private comments too: whether a word finds a requester's ticket would tell
/// something about them. So a requester's tickets are asked for without the words, which are compared here.
pub(crate) fn search(settings: &Settings, query: &TicketQuery, limit: u32) -> Result<Vec<Ticket>> {
    let email = filled(query.requester_email.as_deref());
    // Anything else would be taken for a name, and match many.
    if email.is_some_and(|email| !people::is_email(email)) {
        return Err(error(Code::InvalidInput, "this is not an e-mail address"));
    }
    let limit = limit.min(MOST);
    if limit == 0 {
        return Ok(Vec::new());
    }
    let requester = match email {
        None => None,
        Some(email) => {
            let found = users::find(&Person { email: Some(email.to_owned()), ..Person::default() })?;
            let Some(id) = found.first().and_then(|user| json::id(user, "/id")) else { return Ok(Vec::new()) };
            Some(id)
        }
    };
    let mut terms = vec!["type:ticket".to_owned()];
    terms.extend(requester.iter().map(|id| format!("requester_id:{id}")));
    if let Some(state) = filled(query.state.as_deref()) {
        let state = state.to_lowercase();
        terms.push(format!("status:{}", quoted(&state)));
        if state == "pending" {
            terms.push("status:\"hold\"".to_owned()); // the same property twice means either
        }
    }
    let words = query.text.as_deref().unwrap_or_default().split_whitespace();
    let mut words: Vec<&str> = words.filter(|word| word.chars().any(char::is_alphanumeric)).take(WORDS).collect();
    if requester.is_none() {
        terms.extend(words.drain(..).map(quoted));
    }
    let per_page = if words.is_empty() { limit } else { LOOKED_THROUGH }.to_string();
    let terms = terms.join(" ");
    let parameters =
        [("query", terms.as_str()), ("sort_by", "created_at"), ("sort_order", "desc"), ("per_page", &per_page)];
    let found = fetch("/search.json", &parameters)?;
    let theirs = |ticket: &&Value| requester.is_none() || json::id(ticket, "/requester_id") == requester;
    let found = json::list(&found, "/results").iter().filter(theirs).filter(|ticket| tells(ticket, &words));
    Ok(found.take(limit as usize).map(|ticket| shown(settings, ticket, Vec::new())).collect())
}

/// Whether all of the words stand in what a ticket's requester may see of it without opening it.
fn tells(ticket: &Value, words: &[&str]) -> bool {
    let mut seen = json::text(ticket, "/subject").unwrap_or_default();
    // The first comment is the requester's own, unless staff opened the ticket: then it may be a private one.
    let is_own = json::id(ticket, "/submitter_id").is_some_and(|id| Some(id) == json::id(ticket, "/requester_id"));
    let is_ours = json::text(ticket, "/external_id").is_some_and(|mark| mark.starts_with("confab:"));
    if is_own || is_ours {
        seen.push('\n');
        seen.push_str(&json::text(ticket, "/description").unwrap_or_default());
    }
    let seen = seen.to_lowercase();
    words.iter().all(|word| seen.contains(&word.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase()))
}

pub(crate) fn create(settings: &Settings, input: &TicketInput) -> Result<Ticket> {
    let input = tickets::valid(input, LINE, TEXT)?;
    let text = said(&input.body, TEXT)?;
    let (person, order) = (&input.requester, &input.order_number);
    let subject: String = input.subject.chars().take(SUBJECT).collect();
    let mark = once::reference(&host::context().idempotency_key);
    if let Some(made) = opened(&mark)? {
        return with_comments(settings, &made);
    }

    let below = [("Phone", &person.phone), ("Company", &person.company), ("Order", order)];
    let below = below.into_iter().filter_map(|(name, value)| Some(format!("{name}: {}", value.as_ref()?)));
    let below = below.collect::<Vec<_>>().join("\n");
    let text = if below.is_empty() { text } else { format!("{text}\n\n{below}") };
    let mut ticket = Map::new();
    let mut set = |name: &str, value: Value| ticket.insert(name.to_owned(), value);
    set("subject", json!(subject));
    set("comment", json!({"body": text, "public": true}));
    match &person.email {
        Some(email) => {
            // The name of somebody whom Zendesk knows stays as it is.
            let mut requester = Map::from_iter([
                ("name".to_owned(), json!(people::display_name(person))),
                ("email".to_owned(), json!(email)),
            ]);
            requester.extend(settings.locale_id.map(|locale| ("locale_id".to_owned(), json!(locale))));
            set("requester", requester.into())
        }
        None => set("requester_id", users::upsert(person)?.get("id").cloned().unwrap_or_default()),
    };
    if let Some(priority) = &input.priority {
        set("priority", json!(priority));
    }
    let mut tags = settings.tags.clone();
    if let Some(category) = &input.category {
        let group = settings.groups.iter().find(|(name, _)| name.to_lowercase() == category.to_lowercase());
        match group {
            Some((_, group)) => {
                set("group_id", json!(group));
            }
            None => tags.push(tag(category)),
        }
    }
    if !tags.is_empty() {
        set("tags", json!(tags));
    }
    if let (Some(field), Some(order)) = (settings.order_field, order) {
        set("custom_fields", json!([{"id": field, "value": order}]));
    }
    with_comments(settings, &open(ticket.into(), &mark)?)
}

/// The ticket that an earlier try opened.
fn opened(mark: &str) -> Result<Option<Value>> {
    if mark.is_empty() {
        return Ok(None);
    }
    let known = fetch("/tickets.json", &[("external_id", mark)])?;
    Ok(json::list(&known, "/tickets").first().cloned())
}

/// Opens a ticket under its mark. The host may repeat this request: it has an idempotency key.
fn open(mut ticket: Value, mark: &str) -> Result<Value> {
    let mut post = request("POST", "/tickets.json");
    if !mark.is_empty() {
        ticket.as_object_mut().map(|ticket| ticket.insert("external_id".into(), json!(mark)));
        post = post.header("idempotency-key", mark);
    }
    let made = body(post.json(&json!({"ticket": ticket})).send()?)?;
    made.get("ticket").cloned().ok_or_else(|| error(Code::Internal, "Zendesk did not say which ticket it made"))
}

pub(crate) fn comment(settings: &Settings, number: &str, text: &str, proof: &Proof) -> Result<Ticket> {
    let text = said(text, TEXT)?;
    let Owned { ticket, requester } = owned(number, proof)?;
    // Zendesk reopens what requesters answer by mail, but not what is said through its API.
    let mut change = Map::new();
    if matches!(status(&ticket).as_str(), "pending" | "solved") {
        change.insert("status".into(), json!("open"));
    }
    if status(&ticket) != "closed" {
        return with_comments(settings, &speak(&ticket, &requester, Some(&text), change)?);
    }
    let mark = once::reference(&host::context().idempotency_key);
    let made = match opened(&mark)? {
        Some(made) => made,
        None => {
            let requester = requester.get("id").cloned().unwrap_or_default();
            let follow_up = json!({
                "via_followup_source_id": ticket.get("id"),
                "requester_id": requester,
                "subject": ticket.get("subject"),
                "comment": {"body": text, "public": true, "author_id": requester},
            });
            open(follow_up, &mark)?
        }
    };
    with_comments(settings, &made)
}

pub(crate) fn close(settings: &Settings, number: &str, reason: Option<&str>, proof: &Proof) -> Result<Ticket> {
    let reason = tickets::reason(reason, TEXT)?;
    let Owned { ticket, requester } = owned(number, proof)?;
    if matches!(status(&ticket).as_str(), "solved" | "closed") {
        return with_comments(settings, &ticket);
    }
    let mut change = Map::from_iter([("status".to_owned(), json!("solved"))]);
    let assigned = json::id(&ticket, "/assignee_id").is_some();
    if let (Some(solver), false) = (settings.solver_id, assigned) {
        change.insert("assignee_id".into(), json!(solver));
    }
    let changed = speak(&ticket, &requester, reason.as_deref(), change).map_err(|e| match e.code.as_str() {
        "invalid-input" if !assigned && settings.solver_id.is_none() => {
            let message = "Zendesk would not solve the ticket: nobody is assigned to it; name an agent in `solver_id`";
            error(Code::Misconfigured, message)
        }
        _ => e,
    })?;
    with_comments(settings, &changed)
}

/// Says something on a ticket in its requester's name, or changes it, once. Gives the ticket as it is then.
fn speak(ticket: &Value, requester: &Value, text: Option<&str>, mut change: Map<String, Value>) -> Result<Value> {
    let id = json::id(ticket, "/id").unwrap_or_default();
    let is_made = |mark: &str| {
        let (audits, _) = paged(&format!("/tickets/{id}/audits.json"), "audits", &[NEWEST], PAGES)?;
        Ok(audits.iter().any(|audit| json::text(audit, "/metadata/custom/confab").as_deref() == Some(mark)))
    };
    let changed = once::write(is_made, |mark| {
        if let Some(text) = text {
            let comment = json!({"body": text, "public": true, "author_id": requester.get("id")});
            change.insert("comment".into(), comment);
        }
        if !mark.is_empty() {
            change.insert("metadata".into(), json!({"custom": {"confab": mark}}));
        }
        body(request("PUT", &format!("/tickets/{id}.json")).json(&json!({"ticket": change})).send()?)
    })?;
    let Some(changed) = changed else { return Ok(ticket.clone()) };
    changed.get("ticket").cloned().ok_or_else(|| error(Code::Internal, "Zendesk did not say what became of the ticket"))
}

/// A category as a tag: words joined by `_`, because spaces and most signs end or break a tag.
fn tag(category: &str) -> String {
    let category = category.to_lowercase();
    let words: Vec<&str> = category.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    words.join("_").chars().take(80).collect()
}
