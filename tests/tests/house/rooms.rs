//! The doors between the rooms of the house open one way, and each dangerous library has one owner. See "Rooms" in the design.

use anyhow::{Context, Result, ensure};
use confab_tests::place;
use serde_json::Value;
use std::collections::BTreeMap;
use std::process::Command;

/// Each crate of the host with the crates of ours that it may know.
const ROOMS: &[(&str, &[&str])] = &[
    ("confab-sandbox", &[]),
    ("confab-egress", &[]),
    ("confab-store", &[]),
    ("confab-engine", &["confab-sandbox", "confab-egress", "confab-store"]),
    // The sandbox for `confab plugin build` and `inspect`, which need no engine.
    ("confab-server", &["confab-engine", "confab-sandbox"]),
];

/// Libraries that one crate of the host alone may name, by the beginning of their names.
const OWNED: &[(&str, &str)] = &[
    ("wasmtime", "confab-sandbox"),
    ("reqwest", "confab-egress"),
    ("redis", "confab-store"),
    ("redb", "confab-store"),
];

/// Beginnings of the folders of what runs in the sandbox, and of the SDK that it is written with.
const GUEST_FOLDERS: &[&str] = &["plugin-sdk/", "plugins/", "tests/guests/", "examples/"];

/// Dependencies of each member of the workspace by its name, of all kinds, with the folder that it is in.
fn members() -> Result<BTreeMap<String, (String, Vec<String>)>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--no-deps", "--offline", "--format-version=1"])
        .current_dir(place::root())
        .output()
        .context("can't run cargo")?;
    ensure!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    let mut members = BTreeMap::new();
    for package in metadata["packages"].as_array().context("no packages")? {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let manifest = text(&package["manifest_path"]);
        let folder = manifest.strip_prefix(&format!("{}/", place::root().display())).unwrap_or(&manifest).to_owned();
        let dependencies = package["dependencies"].as_array().into_iter().flatten().map(|d| text(&d["name"])).collect();
        members.insert(text(&package["name"]), (folder, dependencies));
    }
    Ok(members)
}

#[test]
fn no_door_opens_the_wrong_way() -> Result<()> {
    let members = members()?;
    let mut wrong = Vec::new();
    for (name, (folder, dependencies)) in &members {
        let ours = dependencies.iter().filter(|dependency| members.contains_key(*dependency));
        let in_host = folder.starts_with("host/");
        let may: Option<&[&str]> = ROOMS.iter().find(|(room, _)| room == name).map(|(_, may)| *may);
        for known in ours {
            let allowed = match may {
                Some(may) => may.contains(&known.as_str()),
                // A plugin, a guest and the SDK know the contract only.
                None if GUEST_FOLDERS.iter().any(|start| folder.starts_with(start)) => known == "confab-plugin-sdk",
                // These tests see the house from outside. A bench measures single rooms.
                None => folder.starts_with("bench/"),
            };
            if !allowed {
                wrong.push(format!("{name} ({folder}) must not know {known}"));
            }
        }
        if in_host && may.is_none() {
            wrong.push(format!("{name} ({folder}) is a room without a row in ROOMS: say what it may know"));
        }
    }
    for (room, _) in ROOMS {
        if !members.contains_key(*room) {
            wrong.push(format!("there is no {room}: take its row out of ROOMS"));
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

#[test]
fn a_dangerous_library_has_one_owner() -> Result<()> {
    let mut wrong = Vec::new();
    for (name, (folder, dependencies)) in members()? {
        // Tests and measurements are clients, not rooms.
        if folder == "tests/Cargo.toml" || folder.starts_with("bench/") {
            continue;
        }
        for dependency in dependencies {
            let owner = OWNED.iter().find(|(library, _)| dependency.starts_with(library)).map(|(_, owner)| *owner);
            if owner.is_some_and(|owner| owner != name) {
                wrong.push(format!(
                    "{name} ({folder}) must not name {dependency}: that is {}'s",
                    owner.unwrap_or_default()
                ));
            }
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}
