//! Whether a message answers the open question, and what happens when it does not.

use super::machine::{Session, Stop};
use super::state::Frame;
use super::words::folded;
use crate::bot::{Ask, Choose, Confirm, Flow, Step};
use crate::nlu::{Guess, Reading};
use minijinja::value::Value;

/// While a question is open, an intent must be surer than usual to be served in between.
const INTERRUPT: f32 = 0.6;
/// An answer in free text is only an interruption when it is surely one and nearly an example, word for word.
const INTERRUPT_FREE: f32 = 0.8;
const NEARLY_AN_EXAMPLE: f32 = 0.7;

/// What a message is to the open question.
pub(crate) enum Answer {
    /// Goes on at this step.
    Go(usize),
    /// Another matter.
    Interruption(Guess),
    /// Neither.
    Invalid,
}

impl Session<'_> {
    /// Tries a message as answer to the step that waits. The frame's variables are in the scope.
    pub(crate) fn answer(&mut self, flow: &Flow, at: usize, step: &Step, reading: &Reading) -> Answer {
        match step {
            Step::Ask(ask) => self.answer_slot(flow, at, ask, reading),
            Step::Choose(choose) => self.answer_choice(flow, at, choose, reading),
            Step::Confirm(confirm) => self.answer_confirm(flow, at, confirm, reading),
            _ => Answer::Go(at),
        }
    }

    fn answer_slot(&mut self, flow: &Flow, at: usize, ask: &Ask, reading: &Reading) -> Answer {
        let bot = self.bot;
        let Some(slot) = bot.slots.get(ask.slot) else {
            return Answer::Go(at + 1);
        };
        let mut value = None;
        for entity in &slot.entities {
            if bot.entities.is_free(*entity)
                && let Some(guess) = self.interruption(flow, reading, INTERRUPT_FREE)
                && bot.nlu.nearness(&reading.text, guess.class, &bot.entities) >= NEARLY_AN_EXAMPLE
            {
                return Answer::Interruption(guess);
            }
            value = bot.entities.answer(*entity, &reading.text);
            if value.is_some() {
                break;
            }
        }
        match value {
            Some(value) => {
                self.assign(&slot.name, value);
                self.fill(flow, reading, Some(ask.slot));
                Answer::Go(at + 1)
            }
            None => self.interruption(flow, reading, INTERRUPT).map_or(Answer::Invalid, Answer::Interruption),
        }
    }

    fn answer_confirm(&mut self, flow: &Flow, at: usize, confirm: &Confirm, reading: &Reading) -> Answer {
        match (self.bot.words.yes_or_no(&reading.text), confirm.otherwise) {
            (Some(true), _) => Answer::Go(at + 1),
            (Some(false), Some(otherwise)) => Answer::Go(otherwise),
            (Some(false), None) => {
                self.standard(&self.bot.texts.declined);
                // Behind the last step: the flow is over.
                Answer::Go(flow.steps.len())
            }
            (None, _) => self.interruption(flow, reading, INTERRUPT).map_or(Answer::Invalid, Answer::Interruption),
        }
    }

    fn answer_choice(&mut self, flow: &Flow, at: usize, choose: &Choose, reading: &Reading) -> Answer {
        let said = folded(&reading.text);
        let number = said.parse::<usize>().ok();
        let mut values = Vec::with_capacity(choose.options.len());
        for option in &choose.options {
            values.push(self.choice(&option.label, option.value.as_ref()).value);
        }
        let position = (0..choose.options.len())
            .find(|place| values.get(*place).is_some_and(|value| folded(value) == said) || number == Some(place + 1))
            .or_else(|| choose.options.iter().position(|option| option.phrases.contains(&said)))
            .or_else(|| {
                // A label somewhere in the message, when it is only one.
                let padded = format!(" {said} ");
                let holds = |phrases: &[String]| phrases.iter().any(|phrase| padded.contains(&format!(" {phrase} ")));
                let mut places = choose
                    .options
                    .iter()
                    .enumerate()
                    .filter(|(_, option)| holds(&option.phrases))
                    .map(|(place, _)| place);
                places.next().filter(|_| places.next().is_none())
            });
        let chosen = position.and_then(|place| Some((choose.options.get(place)?, values.get(place)?)));
        match chosen {
            Some((option, value)) => {
                if let Some(name) = &choose.save {
                    self.assign(name, Value::from(value.as_str()));
                }
                Answer::Go(option.then.unwrap_or(at + 1))
            }
            None => self.interruption(flow, reading, INTERRUPT).map_or(Answer::Invalid, Answer::Interruption),
        }
    }

    /// The intent of a message, when another flow serves it and it is sure enough.
    fn interruption(&self, flow: &Flow, reading: &Reading, least: f32) -> Option<Guess> {
        let guess = reading.intent().filter(|guess| guess.confidence >= least)?;
        let serves = self.bot.intents.get(guess.class)?.flow.and_then(|other| self.bot.flows.get(other))?;
        (serves.name != flow.name).then_some(guess)
    }

    /// Says that the answer did not fit and asks again, or gives up.
    pub(crate) fn invalid(&mut self, flow: usize, step: &Step, mut frame: Frame) -> Stop {
        let bot = self.bot;
        frame.tries += 1;
        let (most, otherwise, instead) = match step {
            Step::Ask(ask) => {
                let slot = bot.slots.get(ask.slot);
                (slot.map_or(3, |slot| slot.tries), ask.otherwise, slot.and_then(|slot| slot.otherwise))
            }
            Step::Choose(choose) => (choose.tries, choose.otherwise, None),
            _ => (3, None, None),
        };
        if frame.tries >= most {
            if let Some(target) = otherwise {
                return self.run(flow, target);
            }
            if let Some(instead) = instead {
                return self.run(instead, 0);
            }
            self.standard(&bot.texts.give_up);
            self.scope.lock().vars.clear();
            return Stop::Done;
        }
        match step {
            Step::Ask(ask) => match bot.slots.get(ask.slot) {
                Some(slot) if slot.invalid.is_some() => {
                    let text = slot.invalid.as_ref().map(|text| self.text(text)).unwrap_or_default();
                    let choices = self.choices(&slot.choices);
                    self.reply(text, choices);
                }
                _ => {
                    let before = self.text(&bot.texts.invalid);
                    self.prompt(step, Some(before));
                }
            },
            Step::Confirm(_) => {
                let text = self.text(&bot.texts.yes_or_no);
                let choices = vec![self.choice(&bot.texts.yes, None), self.choice(&bot.texts.no, None)];
                self.reply(text, choices);
            }
            step => {
                let before = self.text(&bot.texts.invalid);
                self.prompt(step, Some(before));
            }
        }
        frame.vars = std::mem::take(&mut self.scope.lock().vars);
        self.state.stack.push(frame);
        Stop::Waiting
    }

    /// Puts entities of the message into slots: the first mention into the first slot that takes it, and so on.
    /// While a question is open (`asked`), only slots without a value are filled.
    pub(crate) fn fill(&self, flow: &Flow, reading: &Reading, asked: Option<usize>) {
        let bot = self.bot;
        let mut done: Vec<usize> = asked.into_iter().collect();
        // The answer itself is one of the hits.
        let answer = asked.and_then(|slot| bot.slots.get(slot)).and_then(|slot| self.scope.variable(&slot.name));
        let kept = (0..bot.slots.len()).filter(|slot| bot.slots.get(*slot).is_some_and(|slot| slot.keep));
        let places: Vec<usize> = flow.uses.iter().copied().chain(kept).collect();
        for hit in reading.hits.iter().filter(|hit| answer.as_ref() != Some(&hit.value)) {
            let takes = |place: &&usize| {
                let fits = bot.slots.get(**place).is_some_and(|slot| slot.entities.contains(&hit.entity));
                fits && !done.contains(place)
            };
            let Some(place) = places.iter().find(takes).copied() else {
                continue;
            };
            let Some(slot) = bot.slots.get(place) else {
                continue;
            };
            if asked.is_none() || self.scope.variable(&slot.name).is_none() {
                self.assign(&slot.name, hit.value.clone());
            }
            done.push(place);
        }
    }
}
