//! Finding articles by words.
//!
//! An inverted index from folded words to articles. A word of the query matches a word of an article when it is the
//! same, begins it, is a part of it (or it is a part of the query's: German joins words), or differs by a typo; the
//! looser ways are tried only when the stricter find nothing, because they look at the whole vocabulary. What rare
//! words hit, in name or number rather than description, counts more; an article that has all words beats others.

use crate::text::{distance, key, words};
use confab_plugin_sdk::catalog::Product;
use std::collections::{BTreeMap, HashMap};

/// What a word is worth by where it stands.
const SKU: f32 = 8.0;
const NAME: f32 = 5.0;
const CATEGORY: f32 = 2.5;
const DESCRIPTION: f32 = 1.0;
/// A hit must be at least this much of the best one.
const FLOOR: f32 = 0.15;
/// Words that say nothing about an article, in the languages that bots speak here.
const STOP: [&str; 60] = [
    "a",
    "an",
    "and",
    "any",
    "are",
    "buy",
    "can",
    "do",
    "for",
    "have",
    "i",
    "in",
    "is",
    "like",
    "looking",
    "me",
    "my",
    "need",
    "of",
    "or",
    "please",
    "something",
    "the",
    "to",
    "want",
    "what",
    "with",
    "would",
    "you",
    "your",
    "der",
    "die",
    "das",
    "den",
    "dem",
    "ein",
    "eine",
    "einen",
    "einer",
    "es",
    "euch",
    "fuer",
    "gibt",
    "haben",
    "habt",
    "ich",
    "ihr",
    "im",
    "ist",
    "kaufen",
    "mit",
    "moechte",
    "oder",
    "sie",
    "suche",
    "und",
    "von",
    "was",
    "welche",
    "zu",
];

#[derive(Debug, Default)]
pub(crate) struct SearchIndex {
    vocabulary: BTreeMap<String, Vec<(usize, f32)>>,
    skus: HashMap<String, usize>,
    articles: usize,
}

impl SearchIndex {
    pub(crate) fn build(articles: &[Product]) -> Self {
        let mut index = SearchIndex { articles: articles.len(), ..SearchIndex::default() };
        for (i, article) in articles.iter().enumerate() {
            index.skus.insert(key(&article.sku), i);
            let joined: String = words(&article.sku).concat();
            index.add(i, [joined].into_iter().chain(words(&article.sku)), SKU);
            index.add(i, words(&article.name), NAME);
            index.add(i, article.categories.iter().flat_map(|c| words(c)), CATEGORY);
            index.add(i, words(article.description.as_deref().unwrap_or_default()), DESCRIPTION);
        }
        index
    }

    fn add(&mut self, article: usize, words: impl IntoIterator<Item = String>, weight: f32) {
        for word in words {
            let postings = self.vocabulary.entry(word).or_default();
            match postings.iter_mut().find(|(a, _)| *a == article) {
                Some((_, known)) => *known = known.max(weight),
                None => postings.push((article, weight)),
            }
        }
    }

    /// Articles with their score, best first.
    pub(crate) fn find(&self, query: &str) -> Vec<(usize, f32)> {
        let all = words(query);
        let meant: Vec<&String> = all.iter().filter(|w| w.len() > 1 && !STOP.contains(&w.as_str())).collect();
        let mut scores: HashMap<usize, (f32, usize)> = HashMap::new();
        for word in &meant {
            let mut best: HashMap<usize, f32> = HashMap::new();
            for (quality, postings) in self.matches(word) {
                let rarity = (1.0 + self.articles as f32 / postings.len().max(1) as f32).ln();
                for (article, weight) in postings {
                    let score = quality * weight * rarity;
                    let known = best.entry(*article).or_default();
                    *known = known.max(score);
                }
            }
            for (article, score) in best {
                let sum = scores.entry(article).or_default();
                *sum = (sum.0 + score, sum.1 + 1);
            }
        }
        let share = |hits: usize| 0.4 + 0.6 * hits as f32 / meant.len().max(1) as f32;
        let mut found: Vec<(usize, f32)> =
            scores.into_iter().map(|(a, (score, hits))| (a, score * share(hits))).collect();
        if let Some(exact) = self.skus.get(&key(query)) {
            found.retain(|(a, _)| a != exact);
            found.push((*exact, 1_000.0));
        }
        found.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        let floor = found.first().map_or(0.0, |(_, best)| best * FLOOR);
        found.retain(|(_, score)| *score >= floor);
        found
    }

    /// Words of the vocabulary that a word of the query may mean, with how well they fit.
    fn matches(&self, word: &str) -> Vec<(f32, &Vec<(usize, f32)>)> {
        let mut found = Vec::new();
        for (known, postings) in self.vocabulary.range(word.to_owned()..).take_while(|(k, _)| k.starts_with(word)) {
            if known == word {
                found.push((1.0, postings));
            } else if word.len() >= 3 {
                found.push((0.5 + 0.4 * word.len() as f32 / known.len() as f32, postings));
            }
        }
        if !found.is_empty() || word.len() < 4 {
            return found;
        }
        // Numbers with a typo are other numbers.
        let is_number = word.bytes().any(|b| b.is_ascii_digit());
        let typos = if word.len() >= 8 { 2 } else { 1 };
        for (known, postings) in &self.vocabulary {
            if known.contains(word) || (known.len() >= 4 && word.contains(known.as_str())) {
                found.push((0.6, postings));
            } else if !is_number && let Some(d) = distance(known, word, typos) {
                found.push((if d == 1 { 0.7 } else { 0.5 }, postings));
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn article(sku: &str, name: &str, categories: &[&str], description: &str) -> Product {
        Product {
            sku: sku.into(),
            name: name.into(),
            categories: categories.iter().map(|c| (*c).to_owned()).collect(),
            description: Some(description.into()),
            ..Product::default()
        }
    }

    fn shop() -> Vec<Product> {
        vec![
            article("SKU-1001", "Espresso machine", &["Machines"], "Two cups at once"),
            article("SKU-1002", "Milk frother", &["Accessories"], "Foam for an espresso or cappuccino"),
            article("SKU-2001", "Espresso beans 1 kg", &["Beans"], "Dark roast"),
            article("SKU-3001", "Kaffeemühle", &["Zubehör"], "Mahlt Bohnen"),
        ]
    }

    fn find(query: &str) -> Vec<String> {
        let shop = shop();
        SearchIndex::build(&shop).find(query).into_iter().map(|(i, _)| shop[i].sku.clone()).collect()
    }

    #[test]
    fn the_best_match_is_first() {
        assert_eq!(find("do you have an espresso machine?")[0], "SKU-1001");
        assert_eq!(find("espresso beans")[0], "SKU-2001");
        assert_eq!(find("espresso").len(), 3);
        assert_eq!(find("SKU 1002")[0], "SKU-1002");
        assert_eq!(find("sku-1002"), ["SKU-1002"]);
    }

    #[test]
    fn prefixes_plurals_typos_and_joined_words_are_found() {
        assert_eq!(find("froth"), ["SKU-1002"]);
        assert_eq!(find("frothers"), ["SKU-1002"]);
        assert_eq!(find("esspreso machnie")[0], "SKU-1001");
        assert_eq!(find("muehle"), ["SKU-3001"]);
        assert_eq!(find("Mühle"), ["SKU-3001"]);
        assert_eq!(find("Espressomaschine")[0], "SKU-1001");
    }

    #[test]
    fn what_is_not_there_is_not_found() {
        assert!(find("bicycle").is_empty());
        assert!(find("the and of").is_empty());
        assert!(find("").is_empty());
        assert!(find("SKU-9999").iter().all(|s| s.starts_with("SKU-")));
    }
}
