//! Which of the bot's languages a message is in.
//!
//! Evidence is counted by words: small words tell most, words that only one language's examples have tell too, and
//! stretches of three letters decide about words nobody listed. A message that says little ("ok", "SKU-1001")
//! gives no evidence, and the conversation stays in its language.

use super::corpus;
use super::text::Word;
use std::collections::BTreeMap;

/// Evidence of a small word, of a word from examples, and at most of the letters of another word.
const SMALL: f32 = 1.0;
const EXAMPLE: f32 = 0.8;
const LETTERS: f32 = 0.35;
/// What a message must show for a language over the next one before it counts.
const CLEAR: f32 = 0.9;

/// What is known of the bot's languages.
#[derive(Debug, Default)]
pub(crate) struct Guesser {
    languages: usize,
    /// Words to evidence by language.
    words: BTreeMap<String, Vec<f32>>,
    /// Three letters to their log-probability by language.
    letters: BTreeMap<[char; 3], Vec<f32>>,
    /// Log-probability of three letters never seen.
    unseen: Vec<f32>,
}

impl Guesser {
    /// Learns from small words, everyday sentences and examples (words in small letters, by language).
    pub(crate) fn learn(languages: &[String], examples: &[(usize, Vec<String>)]) -> Guesser {
        let count = languages.len();
        let mut guesser = Guesser { languages: count, ..Guesser::default() };
        let mut letters: BTreeMap<[char; 3], Vec<f32>> = BTreeMap::new();
        let mut totals = vec![0.0f32; count];
        let mut see = |language: usize, word: &str| {
            for three in threes(word) {
                if let Some(cell) = letters.entry(three).or_insert_with(|| vec![0.0; count]).get_mut(language) {
                    *cell += 1.0;
                }
                if let Some(total) = totals.get_mut(language) {
                    *total += 1.0;
                }
            }
        };
        for (language, words) in examples {
            for word in words {
                see(*language, word);
                guesser.add(word, *language, EXAMPLE);
            }
        }
        for (language, code) in languages.iter().enumerate() {
            let Some(known) = corpus::language(code) else {
                continue;
            };
            for word in known.small.split_whitespace() {
                see(language, word);
                guesser.add(&word.replace('\'', ""), language, SMALL);
            }
            for word in known.elsewhere.iter().flat_map(|line| line.split_whitespace()) {
                see(language, word);
            }
        }
        let kinds = letters.len() as f32 + 1.0;
        for (three, counts) in letters {
            let logs =
                counts.iter().zip(&totals).map(|(count, total)| ((count + 0.5) / (total + 0.5 * kinds)).ln()).collect();
            guesser.letters.insert(three, logs);
        }
        guesser.unseen = totals.iter().map(|total| (0.5 / (total + 0.5 * kinds)).ln()).collect();
        guesser
    }

    fn add(&mut self, word: &str, language: usize, evidence: f32) {
        let row = self.words.entry(word.to_owned()).or_insert_with(|| vec![0.0; self.languages]);
        if let Some(cell) = row.get_mut(language) {
            *cell = cell.max(evidence);
        }
    }

    /// The language that a message is clearly in, if it is.
    pub(crate) fn guess(&self, words: &[Word]) -> Option<usize> {
        if self.languages < 2 {
            return None;
        }
        let mut scores = vec![0.0f32; self.languages];
        for word in words.iter().take(40) {
            let letters;
            let row = match self.words.get(&word.lower) {
                Some(row) => row,
                None => {
                    letters = self.by_letters(&word.lower);
                    &letters
                }
            };
            for (score, evidence) in scores.iter_mut().zip(row) {
                *score += evidence;
            }
        }
        let (mut best, mut next) = ((0usize, f32::MIN), f32::MIN);
        for (language, score) in scores.into_iter().enumerate() {
            if score > best.1 {
                next = best.1;
                best = (language, score);
            } else {
                next = next.max(score);
            }
        }
        (best.1 - next >= CLEAR).then_some(best.0)
    }

    fn by_letters(&self, word: &str) -> Vec<f32> {
        let mut logs = vec![0.0f32; self.languages];
        let mut count = 0.0f32;
        for three in threes(word) {
            count += 1.0;
            for (log, value) in logs.iter_mut().zip(self.letters.get(&three).unwrap_or(&self.unseen)) {
                *log += value;
            }
        }
        if count < 3.0 || word.chars().any(|c| c.is_ascii_digit()) {
            return vec![0.0; self.languages];
        }
        let best = logs.iter().fold(f32::MIN, |best, log| best.max(*log));
        // The mean difference to the best language, at most the weight of letters.
        logs.iter().map(|log| (LETTERS - (best - log) / count).max(0.0)).collect()
    }
}

fn threes(word: &str) -> Vec<[char; 3]> {
    let letters: Vec<char> = std::iter::once(' ').chain(word.chars()).chain(std::iter::once(' ')).collect();
    letters.windows(3).filter_map(|window| <[char; 3]>::try_from(window).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nlu::text::words;

    #[test]
    fn small_words_and_letters_tell_languages_apart() {
        let codes: Vec<String> = ["en", "de", "fr", "es", "it", "nl"].map(str::to_owned).to_vec();
        let guesser = Guesser::learn(&codes, &[]);
        for (text, code) in [
            ("do you have this in stock", "en"),
            ("haben Sie das auf Lager", "de"),
            ("est-ce que vous avez ce produit", "fr"),
            ("¿cuánto cuesta este artículo?", "es"),
            ("quanto costa questo prodotto", "it"),
            ("hoeveel kost dit en wanneer komt het", "nl"),
        ] {
            let guess = guesser.guess(&words(text)).and_then(|at| codes.get(at).cloned());
            assert_eq!(guess.as_deref(), Some(code), "{text}");
        }
        for text in ["SKU-1001", "ok", "42", "erika@example.test"] {
            assert_eq!(guesser.guess(&words(text)), None, "{text}");
        }
    }
}
