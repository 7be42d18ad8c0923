//! What was said on a ticket, as far as its requester may see it: the transactions `Create` and `Correspond`, never
//! `Comment`, which is what RT calls the staff's own notes.
//!
//! RT filters by type before it counts, so a page that isn't full is the last one. Texts are asked for apart from files:
//! a scan that somebody attached would not fit into an answer.

use crate::rest::{NEWEST, PAGE, get};
use crate::words::heard;
use confab_plugin_sdk::pages::{self, Page};
use confab_plugin_sdk::tickets::TicketComment;
use confab_plugin_sdk::{html, json, prelude::*};
use serde_json::{Value, json};
use std::collections::HashMap;

/// Newest transactions that are looked at: two pages.
pub(crate) const MOST: usize = 200;
/// Those looked at around a write, which has requests of its own: a call may make 16.
pub(crate) const RECENT: usize = 50;
/// Transactions whose texts are asked for at once; each has at most two, plain and HTML.
const AT_ONCE: usize = 50;

/// Something said, as RT keeps it.
pub(crate) struct Said {
    at: Option<String>,
    author: String,
    pub(crate) content: String,
}

impl Said {
    pub(crate) fn comment(&self) -> TicketComment {
        let (author, text) = heard(&self.content);
        TicketComment { at: self.at.clone(), author: author.unwrap_or_else(|| self.author.clone()), text }
    }
}

/// The newest of what was said, oldest first.
pub(crate) fn of(ticket: &str, most: usize) -> Result<Vec<Said>> {
    let path = format!("/ticket/{ticket}/history");
    let types = json!([{"field": "Type", "operator": "IN", "value": ["Create", "Correspond"]}]).to_string();
    let shown = [("query", types.as_str()), ("fields", "Created,Creator"), ("fields[Creator]", "RealName")];
    let mut spoken = paged(&path, most, &[&shown[..], &NEWEST].concat())?;
    spoken.reverse();
    let mut texts = HashMap::new();
    for some in spoken.chunks(AT_ONCE) {
        let ids: Vec<String> = some.iter().filter_map(|t| json::id(t, "/id")).collect();
        texts.extend(contents(&ids)?);
    }
    let said = spoken.iter().filter_map(|t| {
        let content = texts.remove(&json::id(t, "/id")?)?;
        let author = json::text(t, "/Creator/RealName").or_else(|| json::text(t, "/Creator/id")).unwrap_or_default();
        Some(Said { at: json::moment(t, "/Created"), author, content })
    });
    Ok(said.collect())
}

/// The text of each transaction: the first plain one, else the first in HTML. Files are left alone.
fn contents(transactions: &[String]) -> Result<HashMap<String, String>> {
    if transactions.is_empty() {
        return Ok(HashMap::new());
    }
    let query = json!([
        {"field": "TransactionId", "operator": "IN", "value": transactions},
        {"field": "ContentType", "operator": "STARTSWITH", "value": "text/"},
        {"field": "Filename", "operator": "IS", "value": "NULL"},
    ])
    .to_string();
    let parameters = [("query", query.as_str()), ("fields", "TransactionId,ContentType,Content,Filename")];
    let parts = paged("/attachments", 3 * PAGE, &parameters)?;
    let mut texts: HashMap<String, (bool, String)> = HashMap::new();
    for part in &parts {
        let (Some(transaction), Some(content)) = (json::id(part, "/TransactionId"), json::text(part, "/Content"))
        else {
            continue;
        };
        let is_html = json::text(part, "/ContentType").is_some_and(|t| t.eq_ignore_ascii_case("text/html"));
        let is_file = json::text(part, "/Filename").is_some();
        let better = texts.get(&transaction).is_none_or(|(was_html, _)| *was_html && !is_html);
        if !is_file && better {
            texts.insert(transaction, (is_html, if is_html { html::to_text(&content) } else { content }));
        }
    }
    Ok(texts.into_iter().map(|(transaction, (_, text))| (transaction, text)).collect())
}

/// Items of a collection, page by page. RT doesn't count for users who may not see all, so there is no `pages` to rely on.
fn paged(path: &str, most: usize, parameters: &[(&str, &str)]) -> Result<Vec<Value>> {
    let per_page = PAGE.to_string();
    pages::collect(most, most.div_ceil(PAGE), |cursor| {
        let page = cursor.unwrap_or_else(|| "1".to_owned());
        let more = [("per_page", per_page.as_str()), ("page", page.as_str())];
        let answer = get(path, &[parameters, &more].concat())?;
        let items = json::list(&answer, "/items").to_vec();
        let full = items.len() >= PAGE;
        let next = page.parse::<u32>().ok().filter(|_| full).map(|page| (page + 1).to_string());
        Ok(Page { items, next })
    })
}
