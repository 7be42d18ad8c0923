//! Runs the steps of a flow until one waits for an answer or the flow is over.

use super::Capabilities;
use super::age::Stale;
use super::scope::{Scope, from_json};
use super::state::{Frame, State};
use crate::bot::{Bot, Call, ChoiceText, Flow, Say, Step};
use crate::texts::Text;
use confab_plugin_sdk::dialogue::{Choice, Handoff, Match, Reply};
use confab_plugin_sdk::types::Error;
use minijinja::value::Value;
use std::sync::Arc;

/// Steps of one turn. A flow that jumps in circles ends here instead of at the host's fuel limit.
const MOST_STEPS: u32 = 2_000;

/// A turn that is being served.
pub(crate) struct Session<'a> {
    pub(crate) bot: &'a Bot,
    pub(crate) state: State,
    pub(crate) scope: Arc<Scope>,
    /// The scope as templates want it.
    pub(crate) root: Value,
    /// Index of the language.
    pub(crate) language: usize,
    pub(crate) turn: u32,
    pub(crate) capabilities: &'a mut dyn Capabilities,
    pub(crate) replies: Vec<Reply>,
    pub(crate) intent: Option<Match>,
    pub(crate) handoff: Option<Handoff>,
    pub(crate) ended: bool,
    pub(crate) notes: Vec<String>,
    pub(crate) steps: u32,
    /// Whether a flow went on with another one.
    pub(crate) jumped: bool,
    /// What is said is not from now.
    pub(crate) stale: Option<Stale>,
}

/// How a run came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// A step waits; the flow is on the stack.
    Waiting,
    /// The flow is over.
    Done,
}

/// What to do after a step.
enum Next {
    Step(usize),
    Flow(usize),
    Wait,
    Done,
}

impl Session<'_> {
    /// Runs a flow from a step on. Its variables are in the scope; they are gone when it is over.
    pub(crate) fn run(&mut self, mut flow: usize, mut at: usize) -> Stop {
        let bot = self.bot;
        let stop = loop {
            let Some(current) = bot.flows.get(flow) else {
                break Stop::Done;
            };
            let Some(step) = current.steps.get(at) else {
                break Stop::Done;
            };
            self.steps += 1;
            if self.steps > MOST_STEPS {
                self.notes
                    .push(format!("flow `{}` does not come to an end: stopped after {MOST_STEPS} steps", current.name));
                self.standard(&bot.texts.apology);
                break Stop::Done;
            }
            match self.step(current, step, at) {
                Next::Step(next) => at = next,
                Next::Flow(next) => {
                    self.jumped = true;
                    (flow, at) = (next, 0);
                }
                Next::Wait => break Stop::Waiting,
                Next::Done => break Stop::Done,
            }
        };
        if stop == Stop::Done {
            self.scope.lock().vars.clear();
        }
        stop
    }

    fn step(&mut self, flow: &Flow, step: &Step, at: usize) -> Next {
        match step {
            Step::Say(say) => self.say(say),
            Step::Ask(ask) => {
                if ask.again {
                    self.forget_slot(ask.slot);
                } else if self.filled(ask.slot) {
                    return Next::Step(at + 1);
                }
                return self.wait(flow, step, &ask.label);
            }
            Step::Choose(choose) => return self.wait(flow, step, &choose.label),
            Step::Confirm(confirm) => return self.wait(flow, step, &confirm.label),
            Step::Call(call) => return self.call(call, at),
            Step::Set(values) => {
                for (name, expression) in values {
                    let value = self.value(expression);
                    self.assign(name, value);
                }
            }
            Step::If(condition, otherwise) => {
                if !self.value(condition).is_true() {
                    return Next::Step(*otherwise);
                }
            }
            Step::Goto(target) => return Next::Step(*target),
            Step::Forget(names) => {
                let mut inner = self.scope.lock();
                for name in names {
                    inner.vars.remove(name);
                    inner.kept.remove(name);
                }
            }
            Step::Jump(flow) => return Next::Flow(*flow),
            Step::Handoff(reason) => {
                let reason = self.text(reason);
                let summary = Some(self.scope.lock().facts.message.clone()).filter(|message| !message.is_empty());
                self.handoff = Some(Handoff { reason, summary });
            }
            Step::Leave(leave) => {
                if !self.leave(leave) {
                    return Next::Done;
                }
            }
            Step::End { conversation } => {
                self.ended |= conversation;
                return Next::Done;
            }
        }
        Next::Step(at + 1)
    }

    fn wait(&mut self, flow: &Flow, step: &Step, label: &str) -> Next {
        self.prompt(step, None);
        let vars = std::mem::take(&mut self.scope.lock().vars);
        self.state.stack.push(Frame { flow: flow.name.clone(), at: label.to_owned(), vars, tries: 0 });
        Next::Wait
    }

    /// Asks what a waiting step wants to know.
    pub(crate) fn prompt(&mut self, step: &Step, before: Option<String>) {
        let bot = self.bot;
        let (text, choices) = match step {
            Step::Ask(ask) => {
                let Some(slot) = bot.slots.get(ask.slot) else {
                    return;
                };
                (self.text(ask.text.as_ref().unwrap_or(&slot.ask)), self.choices(&slot.choices))
            }
            Step::Choose(choose) => {
                let mut choices = Vec::with_capacity(choose.options.len());
                for option in &choose.options {
                    choices.push(self.choice(&option.label, option.value.as_ref()));
                }
                (self.text(&choose.text), choices)
            }
            Step::Confirm(confirm) => {
                let (yes, no) = (self.choice(&bot.texts.yes, None), self.choice(&bot.texts.no, None));
                (self.text(&confirm.text), vec![yes, no])
            }
            _ => return,
        };
        let text = before.into_iter().chain(std::iter::once(text)).collect::<Vec<_>>().join(" ");
        self.reply(text, choices);
    }

    fn say(&mut self, say: &Say) {
        let text = self.text(&say.text);
        let choices = self.choices(&say.choices);
        if say.card.is_empty() {
            return self.reply(text, choices);
        }
        let mut card = serde_json::Map::new();
        for (name, value) in &say.card {
            let value = self.text(value);
            if !value.is_empty() {
                card.insert(name.clone(), value.into());
            }
        }
        let text = match card.get("title").and_then(|title| title.as_str()) {
            Some(title) if text.is_empty() => title.to_owned(),
            _ => text,
        };
        let data = Some(serde_json::Value::Object(card).to_string());
        self.replies.push(Reply { kind: "card".to_owned(), text, choices, data });
    }

    fn call(&mut self, call: &Call, at: usize) -> Next {
        let arguments = self.value(&call.with);
        let arguments = if arguments.is_undefined() {
            "{}".to_owned()
        } else {
            serde_json::to_string(&arguments).unwrap_or_default()
        };
        let answer = self.capabilities.invoke(&call.capability, &call.function, &arguments).and_then(|json| {
            serde_json::from_str::<serde_json::Value>(&json).map_err(|error| Error {
                code: "internal".to_owned(),
                message: format!("the answer is no JSON: {error}"),
                retry_after: None,
            })
        });
        match answer {
            Ok(json) => {
                self.noted(call);
                if let Some(name) = &call.save {
                    self.assign(name, from_json(json));
                }
                Next::Step(at + 1)
            }
            Err(error) => {
                if let Some(name) = &call.save {
                    self.assign(name, Value::UNDEFINED);
                    self.scope.lock().facts.answers.remove(name);
                }
                self.failed(call, &error)
            }
        }
    }

    fn failed(&mut self, call: &Call, error: &Error) -> Next {
        let code = error.code.as_str();
        let known = call.on_error.iter().find(|(known, _)| known == code).map(|(_, target)| *target).or(call.on_other);
        if let Some(target) = known {
            let retry = error.retry_after.map_or(Value::UNDEFINED, Value::from);
            self.scope.lock().facts.error = Value::from_pairs([
                ("code", Value::from(code)),
                ("message", Value::from(error.message.as_str())),
                ("retry_after", retry),
            ]);
            return Next::Step(target);
        }
        self.notes.push(format!(
            "{}.{} failed and no on_error takes care of it: {code}: {}",
            call.capability, call.function, error.message
        ));
        let texts = &self.bot.texts;
        let later = matches!(code, "rate-limited" | "unavailable" | "timeout");
        self.standard(if later { &texts.try_later } else { &texts.apology });
        Next::Done
    }

    /// Says one of the standard texts.
    pub(crate) fn standard(&mut self, text: &Text) {
        let text = self.text(text);
        self.reply(text, Vec::new());
    }

    /// Says something, unless there is nothing to say.
    pub(crate) fn reply(&mut self, text: String, choices: Vec<Choice>) {
        if !text.trim().is_empty() || !choices.is_empty() {
            self.replies.push(Reply { kind: "text".to_owned(), text, choices, data: None });
        }
    }

    /// A text now; what can't be rendered is nothing, with a note.
    pub(crate) fn text(&mut self, text: &Text) -> String {
        match text.render(self.language, self.turn, &self.root) {
            Ok(text) => text,
            Err(error) => {
                self.notes.push(format!("a text can't be rendered: {error}"));
                String::new()
            }
        }
    }

    pub(crate) fn value(&mut self, expression: &crate::template::Expression) -> Value {
        match expression.eval(&self.root) {
            Ok(value) => value,
            Err(error) => {
                self.notes.push(format!("an expression has no value: {error}"));
                Value::UNDEFINED
            }
        }
    }

    pub(crate) fn choices(&mut self, choices: &[ChoiceText]) -> Vec<Choice> {
        choices
            .iter()
            .map(|choice| self.choice(&choice.label, choice.value.as_ref()))
            .filter(|choice| !choice.label.is_empty())
            .collect()
    }

    pub(crate) fn choice(&mut self, label: &Text, value: Option<&Text>) -> Choice {
        let label = self.text(label);
        let value = value.map_or_else(|| label.clone(), |value| self.text(value));
        Choice { label, value }
    }

    /// Sets a slot or variable; nothing removes it.
    pub(crate) fn assign(&self, name: &str, value: Value) {
        let keep = self.bot.slot(name).is_some_and(|slot| slot.keep);
        let mut inner = self.scope.lock();
        let place = if keep { &mut inner.kept } else { &mut inner.vars };
        if value.is_undefined() || value.is_none() {
            place.remove(name);
        } else {
            place.insert(name.to_owned(), value);
        }
    }

    /// Whether a slot has a value; the visitor's data counts.
    pub(crate) fn filled(&self, slot: usize) -> bool {
        let Some(slot) = self.bot.slots.get(slot) else {
            return true;
        };
        if self.scope.variable(&slot.name).is_some_and(|value| value.as_str() != Some("")) {
            return true;
        }
        let known = slot.from.and_then(|field| self.scope.visitor(field));
        if let Some(value) = known {
            self.assign(&slot.name, Value::from(value));
            return true;
        }
        false
    }

    fn forget_slot(&self, slot: usize) {
        if let Some(slot) = self.bot.slots.get(slot) {
            self.assign(&slot.name, Value::UNDEFINED);
        }
    }
}
