//! Who gets the message.
//!
//! 1. A flow waits: "cancel" ends it; an answer takes it on; another matter is served in between, and then the
//!    question is asked again; anything else is an invalid answer.
//! 2. Nothing waits: the intent's flow starts with what the message already says; "and SKU-1002?" starts the last
//!    flow again; otherwise it is a miss, and the fallback has the word.

use super::answers::Answer;
use super::machine::{Session, Stop};
use super::scope::{Facts, Inner, Scope, from_json};
use super::state::{Frame, State};
use super::{Capabilities, Reaction};
use crate::bot::{Bot, Flow, Handler, Step};
use crate::nlu::{ACCEPT, Guess, Reading};
use confab_plugin_sdk::dialogue::{Choice, Match, Outcome, Turn};
use minijinja::value::Value;

/// Flows that may wait at once. Deeper nobody remembers what the question was.
const DEEPEST: usize = 3;
/// Words beside an entity in a message that may mean "the same for this one".
const ELLIPSIS: usize = 4;
/// An intent that is surer than this is meant, however short the message.
const SURE: f32 = 0.8;
/// From this confidence on a guess is offered: "did you mean".
const WORTH_OFFERING: f32 = 0.2;
/// Quick replies that a list of suggestions may have.
const MOST_SUGGESTIONS: usize = 6;

/// Serves a turn.
pub(crate) fn handle(bot: &Bot, turn: Turn, now: u64, capabilities: &mut dyn Capabilities) -> Reaction {
    let handler = match turn.kind.as_str() {
        "message" => None,
        "event" => match bot.events.of(&turn.text) {
            Some(handler) => Some(handler),
            None => return unmoved(turn, |name| format!("nothing is done on the event `{name}`")),
        },
        // More kinds may come; they are answered with nothing.
        other => {
            let note = format!("a turn of the unknown kind `{other}` is not answered");
            return unmoved(turn, |_| note);
        }
    };
    let mut notes = Vec::new();
    let mut state = State::load(&turn.state, &mut notes);
    let is_message = handler.is_none();
    let reading = if is_message { bot.nlu.read(&turn.text, &bot.entities) } else { Reading::default() };
    let language = language(bot, turn.locale.as_deref(), &reading, &state.lang);
    let lang = bot.languages.get(language).cloned().unwrap_or_default();
    state.lang.clone_from(&lang);
    let event = if is_message {
        Value::UNDEFINED
    } else {
        let data = turn.data.as_deref().and_then(|data| serde_json::from_str(data).ok());
        Value::from_pairs([("name", Value::from(turn.text)), ("data", data.map_or(Value::UNDEFINED, from_json))])
    };
    let facts = Facts {
        bot: bot.name.clone(),
        visitor: turn.visitor,
        now,
        lang,
        zone: bot.zone.clone(),
        message: reading.text.trim().to_owned(),
        topic: reading.topic.clone(),
        mentioned: mentioned(bot, &reading),
        turn: turn.number,
        event,
        error: Value::UNDEFINED,
        answers: Default::default(),
        answers_seen: false,
    };
    let kept = std::mem::take(&mut state.kept);
    let scope = Scope::new(Inner { vars: Default::default(), kept, facts });
    let mut session = Session {
        bot,
        state,
        root: Value::from_dyn_object(scope.clone()),
        scope,
        language,
        turn: turn.number,
        capabilities,
        replies: Vec::new(),
        intent: None,
        handoff: None,
        ended: false,
        notes,
        steps: 0,
        jumped: false,
        stale: None,
    };
    match handler {
        None => session.message(&reading),
        Some(handler) => session.event(handler),
    }
    session.finish()
}

/// A turn that says nothing and changes nothing.
fn unmoved(turn: Turn, note: impl FnOnce(&str) -> String) -> Reaction {
    let notes = vec![note(&turn.text)];
    let outcome = Outcome { replies: Vec::new(), state: turn.state, intent: None, handoff: None, ended: false };
    Reaction { outcome, notes }
}

fn language(bot: &Bot, locale: Option<&str>, reading: &Reading, sticky: &str) -> usize {
    let find = |wanted: &str| {
        let wanted = wanted.to_lowercase().replace('_', "-");
        let primary = wanted.split('-').next().unwrap_or_default();
        let same = |code: &String| code.to_lowercase() == wanted;
        let near = |code: &String| code.to_lowercase().split('-').next() == Some(primary);
        bot.languages.iter().position(same).or_else(|| bot.languages.iter().position(near))
    };
    locale.and_then(find).or(reading.language).or_else(|| find(sticky)).unwrap_or(0)
}

fn mentioned(bot: &Bot, reading: &Reading) -> Vec<(String, Value)> {
    let name = |entity: usize| bot.entities.items.get(entity).map(|entity| entity.name.clone());
    reading.hits.iter().filter_map(|hit| Some((name(hit.entity)?, hit.value.clone()))).collect()
}

impl Session<'_> {
    fn message(&mut self, reading: &Reading) {
        let cancel = self.bot.words.is_cancel(&reading.text);
        match self.state.stack.pop() {
            Some(frame) if cancel => {
                drop(frame);
                self.standard(&self.bot.texts.cancelled);
                self.resume();
            }
            Some(frame) => self.waiting(frame, reading),
            None if cancel => self.standard(&self.bot.texts.nothing_to_cancel),
            None => self.fresh(reading),
        }
    }

    fn waiting(&mut self, frame: Frame, reading: &Reading) {
        let bot = self.bot;
        let Some((flow, at)) = self.place(&frame) else {
            self.lost_thread(&frame);
            return if reading.intent().is_some() { self.fresh(reading) } else { self.standard(&bot.texts.changed) };
        };
        let (Some(current), Some(step)) =
            (bot.flows.get(flow), bot.flows.get(flow).and_then(|flow| flow.steps.get(at)))
        else {
            return;
        };
        self.scope.lock().vars.clone_from(&frame.vars);
        match self.answer(current, at, step, reading) {
            Answer::Go(next) => {
                self.state.misses = 0;
                if self.run(flow, next) == Stop::Done {
                    self.resume();
                }
            }
            Answer::Interruption(guess) => {
                self.scope.lock().vars.clear();
                self.state.stack.push(frame);
                self.serve(guess, reading);
            }
            Answer::Invalid => {
                if self.invalid(flow, step, frame) == Stop::Done {
                    self.resume();
                }
            }
        }
    }

    /// Flow and step of a frame, if the definition still has them.
    fn place(&self, frame: &Frame) -> Option<(usize, usize)> {
        let flow = self.bot.flow(&frame.flow)?;
        let at = *self.bot.flows.get(flow)?.labels.get(&frame.at)?;
        Some((flow, at))
    }

    fn lost_thread(&mut self, frame: &Frame) {
        self.notes.push(format!(
            "the definition no longer has `{}` of flow `{}`: the flow is cancelled",
            frame.at, frame.flow
        ));
    }

    fn fresh(&mut self, reading: &Reading) {
        let intent = reading.intent();
        if !intent.is_some_and(|guess| guess.confidence >= SURE)
            && let Some(flow) = self.same_again(reading)
        {
            self.state.misses = 0;
            self.intent = self.intent_of(flow);
            return self.start(flow, reading);
        }
        match intent {
            Some(guess) => self.serve(guess, reading),
            None => self.miss(reading),
        }
    }

    /// The last flow, when the message is an entity that it uses and not much else.
    fn same_again(&self, reading: &Reading) -> Option<usize> {
        let flow = self.bot.flow(self.state.last.as_deref()?)?;
        let uses = &self.bot.flows.get(flow)?.uses;
        let takes = |entity: usize| {
            uses.iter().any(|slot| self.bot.slots.get(*slot).is_some_and(|slot| slot.entities.contains(&entity)))
        };
        (reading.other_words <= ELLIPSIS && reading.hits.iter().any(|hit| takes(hit.entity))).then_some(flow)
    }

    /// The intent that a flow serves, as a guess that was inferred and not read.
    fn intent_of(&self, flow: usize) -> Option<Match> {
        let intent = self.bot.intents.iter().find(|intent| intent.flow == Some(flow))?;
        Some(Match { name: intent.name.clone(), confidence: ACCEPT })
    }

    fn serve(&mut self, guess: Guess, reading: &Reading) {
        let bot = self.bot;
        let Some(intent) = bot.intents.get(guess.class) else {
            return;
        };
        self.intent = Some(Match { name: intent.name.clone(), confidence: guess.confidence });
        self.state.misses = 0;
        match intent.flow {
            Some(flow) => self.start(flow, reading),
            None => self.miss(reading),
        }
    }

    fn start(&mut self, flow: usize, reading: &Reading) {
        let Some(current) = self.bot.flows.get(flow) else {
            return;
        };
        // The same matter again: what was open about it is void.
        self.state.stack.retain(|frame| frame.flow != current.name);
        if self.state.stack.len() >= DEEPEST {
            self.state.stack.remove(0);
        }
        self.remember(current);
        self.fill(current, reading, None);
        if self.run(flow, 0) == Stop::Done {
            self.resume();
        }
    }

    fn remember(&mut self, flow: &Flow) {
        if !flow.uses.is_empty() {
            self.state.last = Some(flow.name.clone());
        }
    }

    /// Runs what is done on an event. A question that is open stays as it is: only after a flow, which takes over, it comes again.
    fn event(&mut self, handler: Handler) {
        match self.run(handler.flow, 0) {
            Stop::Waiting => self.newest_first(),
            Stop::Done if (handler.starts || self.jumped) && !self.replies.is_empty() => self.resume(),
            Stop::Done => {}
        }
    }

    /// What was open about the matter that now waits is void, and there may not be too many.
    fn newest_first(&mut self) {
        if let Some(newest) = self.state.stack.pop() {
            self.state.stack.retain(|frame| frame.flow != newest.flow);
            if self.state.stack.len() >= DEEPEST {
                self.state.stack.remove(0);
            }
            self.state.stack.push(newest);
        }
    }

    /// Asks the open question again after something came in between.
    fn resume(&mut self) {
        if self.ended || self.handoff.is_some() {
            return;
        }
        let bot = self.bot;
        while let Some(frame) = self.state.stack.pop() {
            let Some((flow, at)) = self.place(&frame) else {
                self.lost_thread(&frame);
                continue;
            };
            let Some(step) = bot.flows.get(flow).and_then(|flow| flow.steps.get(at)) else {
                continue;
            };
            self.scope.lock().vars.clone_from(&frame.vars);
            // What came in between may have filled the slot.
            if let Step::Ask(ask) = step
                && !ask.again
                && self.filled(ask.slot)
            {
                if self.run(flow, at + 1) == Stop::Waiting {
                    return;
                }
                continue;
            }
            let before = self.text(&bot.texts.resume);
            self.prompt(step, Some(before));
            self.scope.lock().vars.clear();
            self.state.stack.push(frame);
            return;
        }
    }

    fn miss(&mut self, reading: &Reading) {
        let bot = self.bot;
        self.state.misses += 1;
        let first = self.state.misses == 1;
        if first {
            let mut offers: Vec<Choice> = Vec::new();
            for guess in reading.guesses.iter().filter(|guess| guess.confidence >= WORTH_OFFERING) {
                if let Some(title) = bot.intents.get(guess.class).and_then(|intent| intent.title.as_ref()) {
                    offers.push(self.choice(title, None));
                }
            }
            if !offers.is_empty() {
                let text = self.text(&bot.texts.did_you_mean);
                return self.reply(text, offers);
            }
        }
        let own = if first { bot.fallback.first } else { bot.fallback.then };
        if let Some(flow) = own {
            self.run(flow, 0);
            return;
        }
        if first {
            return self.standard(&bot.texts.rephrase);
        }
        let mut choices = Vec::new();
        for title in bot.intents.iter().filter_map(|intent| intent.title.as_ref()).take(MOST_SUGGESTIONS) {
            choices.push(self.choice(title, None));
        }
        if choices.is_empty() {
            return self.standard(&bot.texts.rephrase);
        }
        let text = self.text(&bot.texts.lost);
        self.reply(text, choices);
    }

    fn finish(mut self) -> Reaction {
        self.say_age();
        self.state.kept = std::mem::take(&mut self.scope.lock().kept);
        let state = if self.ended { Vec::new() } else { self.state.save(&mut self.notes) };
        let outcome =
            Outcome { replies: self.replies, state, intent: self.intent, handoff: self.handoff, ended: self.ended };
        Reaction { outcome, notes: self.notes }
    }
}
