//! What is said of an answer that is not from now.
//!
//! The host may give an answer that was kept from an earlier call, and says so. Templates see it as
//! `answers.NAME`, by the name under which the call saves its result. A definition that looks there in a turn has taken care of it;
//! for all others the first reply after the call gets a sentence, when the turn is over: "(as of 10:32)".
//!
//! Not every stale answer is worth a sentence: one that is being fetched again and is younger than a minute would be told the
//! minute that it is.

use super::machine::Session;
use crate::bot::Call;
use crate::format;
use confab_plugin_sdk::host::Provenance;
use minijinja::value::Value;

/// An answer as old as this is told to be, whatever the reason, in milliseconds.
const WORTH_SAYING_MS: u64 = 60_000;

/// A stale answer of this turn.
#[derive(Debug)]
pub(crate) struct Stale {
    /// When it was true.
    as_of: String,
    /// The reply that tells of it.
    reply: usize,
}

impl Session<'_> {
    /// Notes where the answer of a call comes from.
    pub(crate) fn noted(&mut self, call: &Call) {
        let last = self.capabilities.last_answer();
        if let Some(name) = &call.save {
            let mut inner = self.scope.lock();
            match &last {
                Some(last) => inner.facts.answers.insert(name.clone(), shown(last)),
                None => inner.facts.answers.remove(name),
            };
        }
        let Some(last) = last.filter(|last| last.stale) else { return };
        let old = confab_plugin_sdk::dates::of_millis(self.scope.lock().facts.now.saturating_sub(WORTH_SAYING_MS));
        // All are written alike, so that they can be compared as text.
        if last.error.is_none() && last.as_of > old {
            return;
        }
        match &mut self.stale {
            Some(stale) if stale.as_of <= last.as_of => {}
            Some(stale) => stale.as_of = last.as_of,
            None => self.stale = Some(Stale { as_of: last.as_of, reply: self.replies.len() }),
        }
    }

    /// Says it, where the definition did not look.
    pub(crate) fn say_age(&mut self) {
        let Some(stale) = self.stale.take() else { return };
        let (seen, now, lang) = {
            let facts = &self.scope.lock().facts;
            (facts.answers_seen, confab_plugin_sdk::dates::of_millis(facts.now), facts.lang.clone())
        };
        if seen {
            return;
        }
        let when = format::moment(&stale.as_of, &now, &lang, self.bot.zone.as_ref());
        let scope = Value::from_pairs([("when", Value::from(when)), ("lang", Value::from(lang))]);
        match self.bot.texts.as_of.render(self.language, self.turn, &scope) {
            Ok(sentence) => {
                if let Some(reply) = self.replies.get_mut(stale.reply).filter(|_| !sentence.is_empty()) {
                    reply.text = format!("{} {sentence}", reply.text.trim_end());
                }
            }
            Err(error) => self.notes.push(format!("the text `as_of` can't be rendered: {error}")),
        }
    }
}

fn shown(last: &Provenance) -> Value {
    Value::from_pairs([
        ("as_of", Value::from(last.as_of.as_str())),
        ("cached", Value::from(last.cached)),
        ("stale", Value::from(last.stale)),
        ("error", last.error.as_deref().map_or(Value::UNDEFINED, Value::from)),
    ])
}
