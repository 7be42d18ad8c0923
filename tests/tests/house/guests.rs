//! A guest without a test proves nothing.

use anyhow::{Context, Result, ensure};
use confab_tests::place;

#[test]
fn every_guest_has_a_test_that_runs_it() -> Result<()> {
    let here = place::root().join("tests/tests/house");
    let mut tests = String::new();
    for entry in std::fs::read_dir(&here).with_context(|| here.display().to_string())? {
        let path = entry?.path();
        if path.file_name().is_some_and(|name| name != "guests.rs") {
            tests.push_str(&std::fs::read_to_string(&path)?);
        }
    }
    let guests = place::guests()?;
    let idle: Vec<&String> = guests.iter().filter(|guest| !tests.contains(&format!("\"{guest}\""))).collect();
    ensure!(idle.is_empty(), "no test names the guests {idle:?}");
    for guest in &guests {
        place::plugin(guest)?;
        let manifest = std::fs::read_to_string(place::root().join("tests/guests").join(guest).join("plugin.toml"))?;
        ensure!(manifest.contains(&format!("name = \"{guest}\"\n")), "guest {guest} has another name than its folder");
    }
    Ok(())
}
