//! What a message means: entities, words, intent, language. Trained at publish, read at each turn.
//!
//! | step | where |
//! |---|---|
//! | words, folded; entities in place of what they cover | [`text`] |
//! | typos corrected, known words told from unknown ones | [`vocabulary`] |
//! | hashed features, weighed | [`features`] |
//! | one margin for each intent | [`classifier`] |
//! | margin, lead and share of words known to the intent, to one confidence | [`confidence`] |
//!
//! The last step is what makes a bot with five intents refuse "what is the capital of France": a margin alone can't,
//! since with few examples all that is foreign is a little like something.

pub(crate) mod classifier;
pub(crate) mod confidence;
pub(crate) mod corpus;
pub(crate) mod features;
pub(crate) mod language;
pub(crate) mod text;
pub(crate) mod vocabulary;

use crate::entities::{Entities, Hit};
use classifier::Classifier;
use confidence::Evidence;
use features::{Counts, Sparse, Weights};
use language::Guesser;
use text::Token;
use vocabulary::{Known, Vocabulary};

/// An example of an intent.
#[derive(Clone, Debug)]
pub(crate) struct Example {
    /// Index of the intent; none for an example of nothing.
    pub(crate) class: Option<usize>,
    /// Index of the language.
    pub(crate) language: usize,
    /// The text, with `{entity}` where one stands.
    pub(crate) text: String,
}

/// What is known after training.
#[derive(Debug, Default)]
pub(crate) struct Nlu {
    vocabulary: Vocabulary,
    pub(crate) weights: Weights,
    pub(crate) classifier: Classifier,
    /// Vectors of the examples, by class.
    examples: Vec<Vec<Vec<(u16, f32)>>>,
    guesser: Guesser,
}

/// A guess with its confidence, 0 to 1. From [`ACCEPT`] on it counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Guess {
    /// Index of the intent.
    pub(crate) class: usize,
    /// 0 to 1.
    pub(crate) confidence: f32,
}

/// From this confidence on an intent is taken; below, the bot asks back.
pub(crate) const ACCEPT: f32 = 0.5;

/// What was read in a message.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    /// The message, normalised.
    pub(crate) text: String,
    /// Entities in it.
    pub(crate) hits: Vec<Hit>,
    /// The best guesses, best first; at most three.
    pub(crate) guesses: Vec<Guess>,
    /// The words nobody taught the bot, as the visitor wrote them.
    pub(crate) topic: String,
    /// The language that the message is clearly in.
    pub(crate) language: Option<usize>,
    /// Number of words beside entities.
    pub(crate) other_words: usize,
}

impl Reading {
    /// The intent, if the guess is good enough.
    pub(crate) fn intent(&self) -> Option<Guess> {
        self.guesses.first().copied().filter(|guess| guess.confidence >= ACCEPT)
    }
}

/// Built-in sentences nearer to an example than this are about the bot's subject.
const NEAR: f32 = 0.45;
/// Guesses that are looked at more closely.
const CANDIDATES: usize = 3;

impl Nlu {
    /// Trains on examples.
    pub(crate) fn train(examples: &[Example], classes: usize, languages: &[String], entities: &Entities) -> Nlu {
        let mut vocabulary = Vocabulary::default();
        let tokens: Vec<Vec<Token>> = examples.iter().map(|example| example_tokens(&example.text, entities)).collect();
        for (example, tokens) in examples.iter().zip(&tokens) {
            let Some(class) = example.class.and_then(|class| u32::try_from(class).ok()) else {
                continue;
            };
            for token in tokens.iter().filter(|token| !token.entity) {
                vocabulary.add(&token.lower, &token.folded, Some(class));
            }
        }
        let mut small = Vocabulary::default();
        for language in languages.iter().filter_map(|code| corpus::language(code)) {
            for word in language.small.split_whitespace() {
                let lower = word.replace('\'', "");
                let folded = text::fold(&lower);
                small.add(&lower, &folded, None);
                vocabulary.add(&lower, &folded, None);
            }
            for word in language.elsewhere.iter().flat_map(|line| text::words(line)) {
                vocabulary.add_strange(&text::fold(&word.lower));
            }
        }
        vocabulary.mark_small(&small);
        vocabulary.finish();

        let mut counts: Vec<(Counts, Option<usize>)> =
            examples.iter().zip(&tokens).map(|(example, tokens)| (features::count(tokens), example.class)).collect();
        let own = Weights::learn(&counts.iter().map(|(counts, _)| counts.clone()).collect::<Vec<_>>());
        let own: Vec<Vec<(u16, f32)>> =
            counts.iter().filter(|(_, class)| class.is_some()).map(|(counts, _)| compact(&own.apply(counts))).collect();
        for line in languages.iter().filter_map(|code| corpus::language(code)).flat_map(|language| language.elsewhere) {
            let elsewhere = features::count(&example_tokens(line, entities));
            let plain = Weights::default().apply(&elsewhere);
            if own.iter().all(|example| features::cosine(&plain, example) < NEAR) {
                counts.push((elsewhere, None));
            }
        }
        let weights = Weights::learn(&counts.iter().map(|(counts, _)| counts.clone()).collect::<Vec<_>>());
        let vectors: Vec<(Sparse, Option<usize>)> =
            counts.iter().map(|(counts, class)| (weights.apply(counts), *class)).collect();
        let mut by_class = vec![Vec::new(); classes];
        for (vector, class) in &vectors {
            if let Some(list) = class.and_then(|class| by_class.get_mut(class)) {
                list.push(compact(vector));
            }
        }
        let spoken: Vec<(usize, Vec<String>)> = examples
            .iter()
            .zip(&tokens)
            .map(|(example, tokens)| {
                (example.language, tokens.iter().filter(|t| !t.entity).map(|t| t.lower.clone()).collect())
            })
            .collect();
        Nlu {
            vocabulary,
            classifier: Classifier::train(&vectors, classes),
            weights,
            examples: by_class,
            guesser: Guesser::learn(languages, &spoken),
        }
    }

    /// Reads a message.
    pub(crate) fn read(&self, message: &str, entities: &Entities) -> Reading {
        let text = text::normalise(message);
        let hits = entities.spot(&text);
        let mut tokens = text::tokens(&text, &hits, |at| entities.items.get(at).map(|entity| entity.name.as_str()));
        let words: Vec<text::Word> = tokens
            .iter()
            .filter(|token| !token.entity)
            .map(|token| text::Word { start: token.start, end: token.end, lower: token.lower.clone() })
            .collect();
        let language = self.guesser.guess(&words);

        let known = self.correct(&mut tokens);
        let unknown = tokens.iter().zip(&known).filter(|(token, known)| !token.entity && **known == Known::Not);
        let topic: Vec<&str> = unknown.filter_map(|(token, _)| text.get(token.start..token.end)).collect();
        let topic = topic.join(" ");
        let guesses = self.rank(&tokens, &known);
        Reading { hits, guesses, topic, language, other_words: words.len(), text }
    }

    /// Puts known words in place of their typos, and says how each token is known.
    pub(crate) fn correct(&self, tokens: &mut [Token]) -> Vec<Known> {
        let mut known = Vec::with_capacity(tokens.len());
        for token in tokens {
            let how = if token.entity { Known::Not } else { self.vocabulary.look(&token.folded) };
            if let Known::Typo(id) = how
                && let Some(entry) = self.vocabulary.entry(id)
            {
                token.lower.clone_from(&entry.lower);
                token.folded.clone_from(&entry.folded);
            }
            known.push(how);
        }
        known
    }

    fn rank(&self, tokens: &[Token], known: &[Known]) -> Vec<Guess> {
        if tokens.is_empty() || self.examples.is_empty() {
            return Vec::new();
        }
        let vector = self.weights.apply(&features::count(tokens));
        let margins = self.classifier.margins(&vector);
        let mut order: Vec<(usize, f32)> = margins.into_iter().enumerate().collect();
        order.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        let mut guesses: Vec<Guess> = order
            .iter()
            .take(CANDIDATES)
            .map(|(class, margin)| {
                let rival = order.iter().find(|(other, _)| other != class).map_or(-1.0, |(_, margin)| *margin);
                let evidence = self.evidence(*class, *margin, rival, tokens, known);
                Guess { class: *class, confidence: evidence.confidence() }
            })
            .collect();
        guesses.sort_by(|a, b| b.confidence.total_cmp(&a.confidence));
        guesses
    }

    /// Whether a message is nearly word for word an example of a class: 1 is the same.
    pub(crate) fn nearness(&self, message: &str, class: usize, entities: &Entities) -> f32 {
        let text = text::normalise(message);
        let mut tokens =
            text::tokens(&text, &entities.spot(&text), |at| entities.items.get(at).map(|entity| entity.name.as_str()));
        self.correct(&mut tokens);
        let vector = self.weights.apply(&features::count(&tokens));
        let examples = self.examples.get(class).map(Vec::as_slice).unwrap_or_default();
        examples.iter().map(|example| features::cosine(&vector, example)).fold(0.0, f32::max)
    }

    /// What speaks for a class.
    pub(crate) fn evidence(
        &self,
        class: usize,
        margin: f32,
        rival: f32,
        tokens: &[Token],
        known: &[Known],
    ) -> Evidence {
        let (mut all, mut of_class) = (0.0f32, 0.0f32);
        for (token, known) in tokens.iter().zip(known) {
            if token.entity {
                continue;
            }
            let (share, id) = match known {
                Known::Exactly(id) => (1.0, Some(id)),
                Known::Typo(id) => (0.9, Some(id)),
                Known::Form(id) => (0.7, Some(id)),
                Known::Not => (0.0, None),
            };
            let entry = id.and_then(|id| self.vocabulary.entry(*id));
            let weight = if entry.is_some_and(|entry| entry.small) { 0.25 } else { 1.0 };
            all += weight;
            if entry.is_some_and(|entry| entry.classes.iter().any(|of| *of as usize == class)) {
                of_class += weight * share;
            }
        }
        // A message of entities alone has no words that could be foreign.
        let of_class = if all > 0.0 { of_class / all } else { 1.0 };
        Evidence { margin, lead: margin - rival, of_class, words: tokens.len() }
    }
}

fn compact(vector: &Sparse) -> Vec<(u16, f32)> {
    vector.iter().filter_map(|(place, weight)| u16::try_from(*place).ok().map(|place| (place, *weight))).collect()
}

/// The tokens of an example: `{sku}` stands for the entity; of one that may be any text, nothing is left.
fn example_tokens(example: &str, entities: &Entities) -> Vec<Token> {
    let mut tokens = Vec::new();
    for (at, piece) in example.split('{').enumerate() {
        let (placeholder, rest) = if at == 0 { ("", piece) } else { piece.split_once('}').unwrap_or(("", piece)) };
        if let Some(entity) = entities.find(placeholder.trim())
            && !entities.is_free(entity)
        {
            let mark = text::mark(placeholder.trim());
            tokens.push(Token { start: 0, end: 0, lower: mark.clone(), folded: mark, entity: true });
        }
        tokens.extend(text::tokens(&text::normalise(rest), &[], |_| None));
    }
    tokens
}
