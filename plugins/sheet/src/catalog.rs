//! Articles: one, by words, and what else fits.
//!
//! A recommendation adds up three signs: bought together in past orders, found by the visitor's words, of the same
//! category. The strongest gives the reason, in the visitor's language. Articles that the visitor has or that are
//! known to be out of stock are left out.

use crate::book::Book;
use crate::text::key;
use confab_plugin_sdk::catalog::{Interest, Product, Recommendation};
use confab_plugin_sdk::prelude::*;
use std::collections::{HashMap, HashSet};

const MOST: u32 = 50;
/// Longer queries are cut: nobody means the 300th word.
const QUERY_CHARS: usize = 500;
const TOGETHER: f32 = 1.0;
const QUERY: f32 = 0.9;
const CATEGORY: f32 = 0.35;

pub(crate) fn search(book: &Book, query: &str, limit: u32) -> Result<Vec<Product>> {
    book.needs("catalog.csv")?;
    let found = book.search.find(cut(query));
    let articles = found.into_iter().filter_map(|(i, _)| book.articles.get(i).cloned());
    Ok(articles.take(limit.min(MOST) as usize).collect())
}

pub(crate) fn get(book: &Book, sku: &str) -> Result<Product> {
    book.needs("catalog.csv")?;
    book.article(sku).cloned().ok_or_else(|| error(Code::NotFound, format!("there is no article {}", cut(sku.trim()))))
}

/// Why an article is recommended.
enum Reason<'b> {
    Together(&'b Product),
    Words,
    Category(&'b str),
}

impl Reason<'_> {
    fn say(&self, german: bool) -> String {
        match (self, german) {
            (Reason::Together(with), false) => format!("often bought with {}", with.name),
            (Reason::Together(with), true) => {
                format!("wird oft zusammen mit {} gekauft", with.name)
            }
            (Reason::Words, false) => "fits what you are looking for".into(),
            (Reason::Words, true) => "passt zu dem, was Sie suchen".into(),
            (Reason::Category(c), false) => format!("also in {c}"),
            (Reason::Category(c), true) => format!("ebenfalls in {c}"),
        }
    }
}

pub(crate) fn recommend(
    book: &Book,
    interest: &Interest,
    limit: u32,
    locale: Option<&str>,
) -> Result<Vec<Recommendation>> {
    book.needs("catalog.csv")?;
    let bought = interest.customer_id.iter().flat_map(|c| book.orders_by_customer.get(c.trim()).into_iter().flatten());
    let bought =
        bought.filter_map(|i| book.orders.get(*i)).flat_map(|e| e.order.lines.iter().filter_map(|l| l.sku.as_ref()));
    let mut has: Vec<usize> =
        interest.skus.iter().chain(bought).filter_map(|s| book.articles_by_sku.get(&key(s)).copied()).collect();
    let mut seen = HashSet::new();
    has.retain(|i| seen.insert(*i));

    // For each candidate: its score, and the strongest reason with its share.
    let mut candidates: HashMap<usize, (f32, f32, Reason<'_>)> = HashMap::new();
    let mut add = |article: usize, share: f32, reason| match candidates.entry(article) {
        std::collections::hash_map::Entry::Occupied(mut e) => {
            let (sum, strongest, why) = e.get_mut();
            *sum += share;
            if share > *strongest {
                (*strongest, *why) = (share, reason);
            }
        }
        std::collections::hash_map::Entry::Vacant(e) => {
            e.insert((share, share, reason));
        }
    };
    for base in &has {
        let Some(with) = book.articles.get(*base) else {
            continue;
        };
        let others = book.together.get(base);
        let most = others.into_iter().flat_map(HashMap::values).max().copied().unwrap_or(1) as f32;
        for (other, times) in others.into_iter().flatten() {
            add(*other, TOGETHER * (0.5 + 0.5 * *times as f32 / most), Reason::Together(with));
        }
        for (i, article) in book.articles.iter().enumerate() {
            if let Some(common) = article.categories.iter().find(|c| with.categories.iter().any(|w| key(w) == key(c))) {
                add(i, CATEGORY, Reason::Category(common));
            }
        }
    }
    let found = book.search.find(cut(interest.query.as_deref().unwrap_or_default()));
    let best = found.first().map_or(1.0, |(_, score)| *score);
    for (i, score) in found {
        add(i, QUERY * score / best, Reason::Words);
    }
    let mut ranked: Vec<_> = candidates.into_iter().filter(|(i, _)| !has.contains(i)).collect();
    ranked.sort_by(|a, b| b.1.0.total_cmp(&a.1.0).then(a.0.cmp(&b.0)));
    let german = locale.is_some_and(|l| l.get(..2).is_some_and(|l| l.eq_ignore_ascii_case("de")));
    let recommendations = ranked.into_iter().filter_map(|(i, (_, _, reason))| {
        let product = book.articles.get(i)?.clone();
        (book.in_stock(&product.sku) != Some(false)).then(|| Recommendation { product, reason: reason.say(german) })
    });
    Ok(recommendations.take(limit.min(MOST) as usize).collect())
}

fn cut(query: &str) -> &str {
    query.char_indices().nth(QUERY_CHARS).map_or(query, |(at, _)| query.get(..at).unwrap_or(query))
}
