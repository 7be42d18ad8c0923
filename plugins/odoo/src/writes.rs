//! Records and messages that are made once.
//!
//! Each carries `confab:KEY`, made of the call's idempotency key, and is searched by it first: a repeat finds what the
//! first try made, even if its answer was lost, or if the record was archived since. A record's id is kept in the
//! connection's store as well, which survives somebody's change of the field.

use crate::session::{Odoo, archived_too, id, literal, unfollowed};
use confab_plugin_sdk::prelude::*;
use confab_plugin_sdk::{html, once};
use serde_json::{Value, json};

/// Who writes a message, where it is not the connection's user.
#[derive(Default)]
pub(crate) struct Author {
    pub(crate) partner: Option<i64>,
    pub(crate) email: Option<String>,
}

/// What the call's writes are found by; none for a call without key.
pub(crate) fn reference() -> Option<String> {
    Some(once::reference(&host::context().idempotency_key)).filter(|reference| !reference.is_empty())
}

impl Odoo {
    /// The id of the record that this call makes, or that an earlier try of it made: `is_it` finds that by its reference.
    pub(crate) fn create_once(
        &mut self,
        model: &str,
        is_it: impl FnOnce(&str) -> Value,
        values: impl FnOnce(&mut Self, Option<&str>) -> Result<Value>,
    ) -> Result<i64> {
        let Some(reference) = reference() else {
            let values = values(self, None)?;
            return self.create(model, values);
        };
        let key = format!("made/{model}/{reference}");
        if let Some(made) = kv::get_json::<i64>(&key)? {
            return Ok(made);
        }
        let found = self.find(model, json!([is_it(&reference)]), json!(["id"]), "id", 1, archived_too())?;
        let made = match found.first() {
            Some(found) => id(found),
            None => {
                let values = values(self, Some(&reference))?;
                self.create(model, values)?
            }
        };
        kv::set_json(&key, &made)?;
        Ok(made)
    }

    /// Posts to a record's thread once: what `author` says to all, or the connection's user as a note to the staff.
    pub(crate) fn post_once(&mut self, model: &str, record: i64, text: &str, author: Option<&Author>) -> Result<()> {
        let mut body = html::from_text(text);
        // A close posts its reason under the key under which it closes.
        if let Some(reference) = reference() {
            let domain =
                json!([["model", "=", model], ["res_id", "=", record], ["body", "ilike", literal(&reference)]]);
            if !self.find("mail.message", domain, json!(["id"]), "id", 1, Value::Null)?.is_empty() {
                return Ok(());
            }
            body.push_str(&html::from_text(&format!("[{reference}]")));
        }
        let kind = if author.is_none() { "mail.mt_note" } else { "mail.mt_comment" };
        // Odoo takes no message without an address: who has none is spoken for by the connection's user.
        let author = author.filter(|author| author.email.is_some());
        let message = json!({
            "body": body, "message_type": "comment", "subtype_xmlid": kind,
            // From 17 on a body is plain text unless one says otherwise.
            "body_is_html": (self.session()?.version >= 17).then_some(true),
            "author_id": author.and_then(|a| a.partner), "email_from": author.and_then(|a| a.email.as_ref()),
            "context": unfollowed(),
        });
        self.call(model, "message_post", json!([[record]]), message).map(|_| ())
    }
}
