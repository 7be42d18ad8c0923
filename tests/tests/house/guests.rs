//! A guest that nobody watches proves nothing: every one is an exhibit of the museum or helps one.

use anyhow::{Result, ensure};
use confab_tests::museum::{HELPERS, Kind, exhibits};
use confab_tests::place;
use std::collections::BTreeSet;

#[test]
fn every_guest_is_in_the_museum_and_every_exhibit_is_a_guest() -> Result<()> {
    let guests = place::guests()?;
    let there: BTreeSet<&str> = guests.iter().map(String::as_str).collect();
    let shown: BTreeSet<&str> = exhibits().iter().map(|exhibit| exhibit.guest).chain(HELPERS.iter().copied()).collect();
    let idle: Vec<_> = there.difference(&shown).collect();
    let gone: Vec<_> = shown.difference(&there).collect();
    ensure!(idle.is_empty(), "tests/src/museum.rs does not show {idle:?}");
    ensure!(gone.is_empty(), "there is no guest for the exhibits {gone:?}");
    for guest in &guests {
        place::plugin(guest)?;
        let manifest = std::fs::read_to_string(place::guest(guest)?.join("plugin.toml"))?;
        ensure!(manifest.contains(&format!("name = \"{guest}\"\n")), "guest {guest} has another name than its folder");
    }
    Ok(())
}

#[test]
fn every_exhibit_says_what_it_tries_and_what_stops_it() -> Result<()> {
    let mut seen = BTreeSet::new();
    for exhibit in exhibits() {
        ensure!(seen.insert((exhibit.guest, exhibit.tries)), "{} is shown twice", exhibit.guest);
        ensure!(exhibit.tries.len() > 5 && !exhibit.stopped_by.is_empty(), "{exhibit:?} says nothing");
        ensure!(!exhibit.runs() || !exhibit.message()?.is_empty(), "{exhibit:?} is told nothing");
        let refused = matches!(exhibit.kind, Kind::RefusedAtLoad | Kind::RefusedAtPublish);
        ensure!(!refused || !exhibit.may_be_harmless(), "{exhibit:?} is refused and harmless");
    }
    Ok(())
}
