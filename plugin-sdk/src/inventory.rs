//! Stock. See `wit/v1/capabilities/inventory.wit`.

pub use crate::bindings::inventory::*;

use crate::error::{Code, Result, error};
use crate::json::said;

/// `not-found` for an article number that the system doesn't have.
pub fn no_article(sku: &str) -> Error {
    let shown: String = said(sku).chars().take(64).collect();
    error(Code::NotFound, format!("there is no article {shown}"))
}

/// Whether a place that is asked for is the one of this name: case and outer space don't matter.
pub fn same_place(name: &str, wanted: &str) -> bool {
    name.trim().to_lowercase() == wanted.trim().to_lowercase()
}

/// The levels of the place that was asked for; all of them where none was, or a blank one.
///
/// # Errors
/// `not-found` when none is of that place; its message names those there are.
pub fn at(levels: Vec<StockLevel>, location: Option<&str>) -> Result<Vec<StockLevel>> {
    let Some(wanted) = location.filter(|l| !l.trim().is_empty()) else { return Ok(levels) };
    let (there, elsewhere): (Vec<_>, Vec<_>) =
        levels.into_iter().partition(|l| l.location.as_deref().is_some_and(|name| same_place(name, wanted)));
    if there.is_empty() {
        let names: Vec<String> = elsewhere.into_iter().filter_map(|l| l.location).collect();
        return Err(no_place(&names));
    }
    Ok(there)
}

/// `not-found` for a place that the system doesn't have, with the names of those that it has.
pub fn no_place<S: AsRef<str>>(known: &[S]) -> Error {
    let known: Vec<&str> = known.iter().map(AsRef::as_ref).collect();
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    error(Code::NotFound, format!("there is no such place; known ones: {known}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_is_found_by_its_name_or_the_known_ones_are_said() {
        let level = |place: &str| StockLevel { location: Some(place.into()), ..StockLevel::default() };
        let levels = || vec![level("Wien "), level("Graz")];
        let places = |location| -> Result<usize> { Ok(at(levels(), location)?.len()) };
        assert_eq!((places(None).unwrap(), places(Some(" ")).unwrap(), places(Some("WIEN")).unwrap()), (2, 2, 1));
        let missing = places(Some("Linz")).unwrap_err();
        assert_eq!((missing.code.as_str(), missing.message.ends_with("known ones: Wien , Graz")), ("not-found", true));
        assert!(at(Vec::new(), Some("Linz")).unwrap_err().message.ends_with("none"));
        assert!(no_article(&"x".repeat(99)).message.chars().count() < 90);
    }
}
