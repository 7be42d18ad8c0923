//! Stock of one article, by place.

use crate::book::Book;
use crate::text::key;
use confab_plugin_sdk::inventory::StockLevel;
use confab_plugin_sdk::prelude::*;

/// An article that the catalogue has and stock.csv doesn't gives an empty list: not known is not none.
pub(crate) fn availability(book: &Book, sku: &str, location: Option<&str>, now: &str) -> Result<Vec<StockLevel>> {
    book.needs("stock.csv")?;
    let article = book.article(sku);
    let entries = book.stock.get(&key(sku));
    if article.is_none() && entries.is_none() {
        return Err(error(Code::NotFound, format!("there is no article {}", sku.trim())));
    }
    let wanted = location.map(key).filter(|l| !l.is_empty());
    if let Some(wanted) = &wanted
        && !book.places.iter().any(|p| key(p) == *wanted)
    {
        let places = if book.places.is_empty() { "none".to_owned() } else { book.places.join(", ") };
        return Err(error(Code::NotFound, format!("there is no such place; known places: {places}")));
    }
    let name =
        |own: Option<&String>| own.or(article.map(|a| &a.name)).cloned().unwrap_or_else(|| sku.trim().to_owned());
    let sku_as_listed = article.map_or_else(|| sku.trim().to_owned(), |a| a.sku.clone());
    let as_of =
        |own: Option<&String>| own.or(book.settings.as_of.as_ref()).map_or_else(|| now.to_owned(), Clone::clone);
    let here = entries.into_iter().flatten();
    let here = here.filter(|e| wanted.is_none() || e.location.as_deref().map(key) == wanted);
    let mut levels: Vec<StockLevel> = here
        .map(|e| StockLevel {
            sku: sku_as_listed.clone(),
            name: name(e.name.as_ref()),
            location: e.location.clone(),
            on_hand: e.on_hand,
            available: e.available,
            unit: e.unit.clone(),
            restock_at: e.restock_at.clone(),
            as_of: as_of(e.as_of.as_ref()),
        })
        .collect();
    if let (Some(wanted), true, true) = (wanted, levels.is_empty(), entries.is_some()) {
        // A place that exists and doesn't list the article has none of it.
        let place = book.places.iter().find(|p| key(p) == wanted).cloned();
        levels.push(StockLevel {
            sku: sku_as_listed,
            name: name(None),
            location: place,
            as_of: as_of(None),
            ..StockLevel::default()
        });
    }
    Ok(levels)
}
