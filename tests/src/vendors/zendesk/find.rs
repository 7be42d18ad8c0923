//! What can be read: records, lists in cursor pages, and the search with its own language.

use super::account::{Account, BOT, Refusal, absent};
use base64::Engine as _;
use serde_json::{Value, json};
use std::collections::HashMap;

/// Most items a page.
const PAGE: usize = 100;

/// Parameters of a query, decoded.
pub(super) fn parameters(query: &str) -> HashMap<String, String> {
    let decode = |text: &str| {
        let text = text.replace('+', " ");
        let mut bytes = Vec::new();
        let mut rest = text.as_bytes();
        while let [first, more @ ..] = rest {
            let hex = more.get(..2).and_then(|two| u8::from_str_radix(std::str::from_utf8(two).ok()?, 16).ok());
            match (first, hex) {
                (b'%', Some(byte)) => {
                    bytes.push(byte);
                    rest = more.get(2..).unwrap_or_default();
                }
                (byte, _) => {
                    bytes.push(*byte);
                    rest = more;
                }
            }
        }
        String::from_utf8_lossy(&bytes).into_owned()
    };
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (decode(name), decode(value)))
        .collect()
}

fn bad(text: &str) -> Refusal {
    Refusal { status: 400, document: json!({"error": {"title": "Invalid attribute", "message": text}}) }
}

pub(super) fn get(account: &Account, path: &str, query: &HashMap<String, String>) -> Result<Value, Refusal> {
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let id = |text: &str| text.parse::<u64>().map_err(|_| absent());
    match parts.as_slice() {
        ["users", "me"] => {
            let me = account.users.get(&BOT).cloned().unwrap_or_default();
            Ok(json!({"user": me}))
        }
        ["users", "search"] if query.contains_key("external_id") => {
            // Not a search: it is current.
            let wanted = query.get("external_id");
            let fits = |user: &&Value| wanted.is_some_and(|wanted| user["external_id"] == **wanted);
            let found: Vec<&Value> = account.users.values().filter(fits).collect();
            Ok(json!({"users": found, "count": found.len(), "next_page": null}))
        }
        ["users", "search"] => users(account, query),
        ["search"] => tickets(account, query),
        ["tickets"] => {
            let wanted = query.get("external_id");
            let fits = |ticket: &&Value| wanted.is_none_or(|wanted| ticket["external_id"] == **wanted);
            page("tickets", account.tickets.values().filter(fits).cloned().collect(), query)
        }
        ["tickets", number] => {
            let ticket = account.tickets.get(&id(number)?).ok_or_else(absent)?;
            Ok(json!({"ticket": ticket, "users": sideload(account, query)}))
        }
        ["tickets", number, kind @ ("comments" | "audits")] => {
            let number = id(number)?;
            if !account.tickets.contains_key(&number) {
                return Err(absent());
            }
            let all = if *kind == "comments" { &account.comments } else { &account.audits };
            let mut answer = page(kind, all.get(&number).cloned().unwrap_or_default(), query)?;
            answer["users"] = sideload(account, query);
            Ok(answer)
        }
        ["users", number] => {
            let user = account.users.get(&id(number)?).ok_or_else(absent)?;
            Ok(json!({"user": user}))
        }
        [kind, number] => account.setting(kind, id(number)?),
        _ => Err(absent()),
    }
}

fn sideload(account: &Account, query: &HashMap<String, String>) -> Value {
    match query.get("include").map(String::as_str) {
        Some("users") => account.users.values().cloned().collect(),
        _ => Value::Null,
    }
}

/// One page: `page[size]` and `page[after]`, with a cursor that means the last id.
fn page(name: &str, all: Vec<Value>, query: &HashMap<String, String>) -> Result<Value, Refusal> {
    let size = match query.get("page[size]").map(|size| size.parse::<usize>()) {
        None => PAGE,
        Some(Ok(size)) if (1..=PAGE).contains(&size) => size,
        Some(_) => return Err(bad("page[size] must be between 1 and 100")),
    };
    let engine = base64::engine::general_purpose::STANDARD;
    let newest = match query.get("sort").map(String::as_str) {
        Some("-created_at" | "-id") => true,
        None | Some("created_at" | "id") => false,
        Some(_) => return Err(bad("sort is not valid")),
    };
    let after = match query.get("page[after]") {
        None if newest => u64::MAX,
        None => 0,
        Some(cursor) => {
            let read = engine.decode(cursor).ok().and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
            read.and_then(|cursor| cursor["v"].as_u64()).ok_or_else(|| bad("page[after] is not valid"))?
        }
    };
    let beyond = |id: u64| if newest { id < after } else { id > after };
    let mut items: Vec<Value> = all.into_iter().filter(|item| item["id"].as_u64().is_some_and(beyond)).collect();
    if newest {
        items.reverse();
    }
    let more = items.len() > size;
    items.truncate(size);
    let last = items.last().map(|item| engine.encode(json!({"o": "id", "v": item["id"]}).to_string()));
    Ok(
        json!({name: items, "meta": {"has_more": more, "after_cursor": last, "before_cursor": null}, "links": {"next": null, "prev": null}}),
    )
}

/// Terms of a search: property (empty for words) and value. Only what is quoted may hold spaces and signs.
fn terms(query: &str) -> Result<Vec<(String, String)>, Refusal> {
    let mut found = Vec::new();
    let mut rest = query.trim();
    while !rest.is_empty() {
        let end = rest.find([' ', '"']).unwrap_or(rest.len());
        let (head, tail) = rest.split_at(end);
        let (value, tail) = match tail.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').ok_or_else(|| bad("Invalid search: a quote is not closed"))?,
            None => ("", tail),
        };
        let (property, plain) = head.split_once(':').unwrap_or(("", head));
        if property.starts_with('-') || plain.starts_with('-') || plain.contains(['*', '>', '<']) {
            return Err(bad("an operator that no client of ours should send"));
        }
        found.push((property.to_owned(), format!("{plain}{value}").to_lowercase()));
        rest = tail.trim_start();
    }
    Ok(found)
}

fn tickets(account: &Account, query: &HashMap<String, String>) -> Result<Value, Refusal> {
    let terms = terms(query.get("query").ok_or_else(|| bad("query is needed"))?)?;
    let values = |wanted: &str| -> Vec<&String> {
        terms.iter().filter(|(name, _)| name == wanted).map(|(_, value)| value).collect()
    };
    if values("type").as_slice() != [&"ticket".to_owned()] {
        return Err(bad("only tickets are searched here"));
    }
    let known = ["type", "requester", "requester_id", "status", ""];
    if let Some((name, _)) = terms.iter().find(|(name, _)| !known.contains(&name.as_str())) {
        return Err(bad(&format!("unknown property {name}")));
    }
    let email = |ticket: &Value| {
        let requester = ticket["requester_id"].as_u64().and_then(|id| account.users.get(&id));
        requester.and_then(|user| user["email"].as_str()).unwrap_or_default().to_lowercase()
    };
    let fits = |(id, ticket): &(&u64, &Value)| {
        // Zendesk's index has all comments, private ones too.
        let comments = account.comments.get(id).map(Vec::as_slice).unwrap_or_default();
        let said: String = comments.iter().map(|comment| format!(" {}", comment["body"])).collect();
        let text = format!("{} {}{said}", ticket["subject"], ticket["description"]).to_lowercase();
        let any = |wanted: Vec<&String>, own: &str| wanted.is_empty() || wanted.iter().any(|one| *one == own);
        account.indexed.contains(id)
            && any(values("requester"), &email(ticket))
            && any(values("requester_id"), &ticket["requester_id"].to_string())
            && any(values("status"), ticket["status"].as_str().unwrap_or_default())
            && values("").iter().all(|word| text.contains(word.as_str()))
    };
    let mut found: Vec<&Value> = account.tickets.iter().filter(fits).map(|(_, ticket)| ticket).collect();
    found.sort_by_key(|ticket| ticket["created_at"].as_str().unwrap_or_default());
    if query.get("sort_order").is_some_and(|order| order == "desc") {
        found.reverse();
    }
    let size = query.get("per_page").and_then(|size| size.parse().ok()).unwrap_or(PAGE).min(PAGE);
    let count = found.len();
    found.truncate(size);
    Ok(json!({"results": found, "count": count, "next_page": null}))
}

fn users(account: &Account, query: &HashMap<String, String>) -> Result<Value, Refusal> {
    let terms = terms(query.get("query").ok_or_else(|| bad("query is needed"))?)?;
    let [(property @ ("email" | "phone"), value)] = terms.iter().map(|(p, v)| (p.as_str(), v)).collect::<Vec<_>>()[..]
    else {
        return Err(bad("one of email and phone is searched here"));
    };
    let fits = |(id, user): &(&u64, &Value)| {
        account.indexed.contains(id) && user[property].as_str().is_some_and(|own| own.to_lowercase() == *value)
    };
    let found: Vec<&Value> = account.users.iter().filter(fits).map(|(_, user)| user).collect();
    Ok(json!({"users": found, "count": found.len(), "next_page": null}))
}
