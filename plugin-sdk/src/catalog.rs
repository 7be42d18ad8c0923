//! Articles. See `wit/v1/capabilities/catalog.wit`.

pub use crate::bindings::catalog::*;

use std::collections::BTreeMap;

/// What may be recommended, in the order in which it was thought of, each once and with its reason.
///
/// ```
/// use confab_plugin_sdk::catalog::Picks;
/// let mut picks = Picks::besides(["mill".to_owned()]);
/// picks.add(["beans", "mill"].map(str::to_owned), "often bought with it");
/// picks.add(["beans", "cup"].map(str::to_owned), "fits what you are looking for");
/// assert_eq!(picks.skus(9), ["beans", "cup"]);
/// assert_eq!(picks.reason("beans"), Some("often bought with it"));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Picks {
    has: Vec<String>,
    picked: Vec<(String, String)>,
}

impl Picks {
    /// Nothing yet, and never one of these: the visitor has them. Case doesn't matter in article numbers.
    pub fn besides(has: impl IntoIterator<Item = String>) -> Picks {
        Picks { has: has.into_iter().collect(), picked: Vec::new() }
    }

    /// Adds articles by their numbers; those that are known keep their place and reason.
    pub fn add(&mut self, skus: impl IntoIterator<Item = String>, reason: &str) {
        for sku in skus {
            let same = |other: &String| other.to_lowercase() == sku.to_lowercase();
            if !sku.is_empty() && !self.has.iter().any(same) && !self.picked.iter().any(|(other, _)| same(other)) {
                self.picked.push((sku, reason.to_owned()));
            }
        }
    }

    /// The first numbers.
    pub fn skus(&self, most: usize) -> Vec<String> {
        self.picked.iter().take(most).map(|(sku, _)| sku.clone()).collect()
    }

    /// Why an article is recommended.
    pub fn reason(&self, sku: &str) -> Option<&str> {
        self.picked.iter().find(|(own, _)| own == sku).map(|(_, reason)| reason.as_str())
    }
}

/// Each of them once, those that come most often first; equal ones in their own order.
pub fn most_often<T: Ord>(all: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut times: BTreeMap<T, usize> = BTreeMap::new();
    for one in all {
        *times.entry(one).or_default() += 1;
    }
    let mut ranked: Vec<(T, usize)> = times.into_iter().collect();
    ranked.sort_by_key(|(_, times)| std::cmp::Reverse(*times));
    ranked.into_iter().map(|(one, _)| one).collect()
}

/// What stands in orders beside one of these, most often first: `baskets` has the article numbers of each order.
pub fn together(baskets: impl IntoIterator<Item = Vec<String>>, skus: &[String]) -> Vec<String> {
    let asked = |sku: &String| skus.iter().any(|s| s.to_lowercase() == sku.to_lowercase());
    let baskets = baskets.into_iter().filter(|basket| basket.iter().any(asked)).flat_map(|mut basket| {
        basket.sort();
        basket.dedup();
        basket.into_iter().filter(|sku| !asked(sku))
    });
    most_often(baskets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_bought_together_most_often_comes_first() {
        let basket = |skus: &[&str]| skus.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
        let baskets =
            [basket(&["MILL", "a", "b", "b"]), basket(&["b", "c"]), basket(&["mill", "b"]), basket(&["mill"])];
        assert_eq!(together(baskets, &["mill".to_owned()]), ["b", "a"]);
        assert_eq!(most_often([3, 1, 3, 2, 1]), [1, 3, 2]);
    }

    #[test]
    fn what_the_visitor_has_is_never_picked() {
        let mut picks = Picks::besides(["SKU-1".to_owned()]);
        picks.add(["sku-1", "x", "X", ""].map(str::to_owned), "why");
        assert_eq!(
            (picks.skus(5), picks.reason("x"), picks.reason("SKU-1")),
            (vec!["x".to_owned()], Some("why"), None)
        );
    }
}
