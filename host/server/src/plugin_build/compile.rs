//! Runs cargo for a plugin's crate and finds the module it made.

use super::toolchain::{TARGET, Toolchain};
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// Settings of a guest's release profile, for any crate, whatever its workspace says: one codegen unit and LTO make
/// code small, which makes instances quick to start; unwinding does not exist in a guest.
const PROFILE: &[(&str, &str)] = &[
    ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "2"),
    ("CARGO_PROFILE_RELEASE_LTO", "true"),
    ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "1"),
    ("CARGO_PROFILE_RELEASE_INCREMENTAL", "false"),
    ("CARGO_PROFILE_RELEASE_PANIC", "abort"),
    ("CARGO_PROFILE_RELEASE_DEBUG", "false"),
    ("CARGO_PROFILE_RELEASE_STRIP", "debuginfo"),
];

/// Builds the crate in `dir` and returns its core module.
pub(super) fn compile(dir: &Path, toolchain: &Toolchain) -> Result<Vec<u8>> {
    let crate_toml = dir.join("Cargo.toml");
    if !crate_toml.exists() {
        bail!(
            "{} has no Cargo.toml, and its plugin.toml names no module: give it a Rust crate with crate-type cdylib, or \
             `module = \"NAME.wasm\"` (or .wat) in plugin.toml",
            dir.display()
        );
    }
    let mut cargo = toolchain.cargo();
    cargo
        .args([
            "build",
            "--release",
            "--lib",
            "--target",
            TARGET,
            "--message-format=json-render-diagnostics",
            "--quiet",
        ])
        .args(toolchain.build_args())
        .arg("--manifest-path")
        .arg(&crate_toml)
        .arg("--target-dir")
        .arg(target_dir(&crate_toml, toolchain)?)
        .envs(PROFILE.iter().copied())
        .env_remove("RUSTFLAGS")
        .stderr(Stdio::inherit());
    let output = cargo.output().with_context(|| format!("can't run {:?}", cargo.get_program()))?;
    if !output.status.success() {
        bail!("{} does not compile (see above)", dir.display());
    }
    let stdout = String::from_utf8_lossy(&output.stdout);
    let module = stdout
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| {
            message.pointer("/reason").and_then(Value::as_str) == Some("compiler-artifact")
                && message.pointer("/target/crate_types").is_some_and(|types| types.to_string().contains("cdylib"))
                && message
                    .pointer("/manifest_path")
                    .and_then(Value::as_str)
                    .is_some_and(|path| same_file(path, &crate_toml))
        })
        .filter_map(|message| message.pointer("/filenames").and_then(Value::as_array).cloned())
        .flatten()
        .filter_map(|file| file.as_str().map(PathBuf::from))
        .find(|file| file.extension().is_some_and(|extension| extension == "wasm"));
    let Some(module) = module else {
        bail!("{} builds no Wasm module: add `[lib] crate-type = [\"cdylib\"]` to its Cargo.toml", dir.display());
    };
    std::fs::read(&module).with_context(|| format!("can't read {}", module.display()))
}

/// All guests of a workspace share one target directory, so that the standard library is built once.
/// Not the host's: another compiler would throw away what this one built.
fn target_dir(crate_toml: &Path, toolchain: &Toolchain) -> Result<PathBuf> {
    if let Some(dir) = std::env::var_os("CONFAB_GUEST_TARGET_DIR") {
        return Ok(PathBuf::from(dir));
    }
    let output = toolchain
        .cargo()
        .args(["metadata", "--no-deps", "--format-version=1", "--manifest-path"])
        .arg(crate_toml)
        .stderr(Stdio::inherit())
        .output()
        .context("can't run cargo")?;
    if !output.status.success() {
        bail!("{} is no usable crate (see above)", crate_toml.display());
    }
    let metadata: Value = serde_json::from_slice(&output.stdout).context("cargo metadata is unreadable")?;
    let named = |field: &str| metadata.get(field).and_then(Value::as_str).map(Path::new);
    let target = named("target_directory").context("cargo metadata names no target directory")?;
    Ok(guests_in(target, named("workspace_root").context("cargo metadata names no workspace")?))
}

/// A target directory of one's own for all workspaces (`CARGO_TARGET_DIR`) needs a place for each of them: cargo tells
/// packages by their place within the workspace, and takes one for the other that has its name in another workspace.
fn guests_in(target: &Path, workspace: &Path) -> PathBuf {
    if target.starts_with(workspace) {
        return target.join("guests");
    }
    let mut hasher = DefaultHasher::new();
    workspace.hash(&mut hasher);
    target.join(format!("guests-{:016x}", hasher.finish()))
}

fn same_file(path: &str, other: &Path) -> bool {
    match (Path::new(path).canonicalize(), other.canonicalize()) {
        (Ok(a), Ok(b)) => a == b,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workspaces_that_share_a_target_directory_do_not_share_their_guests() {
        let of = |target: &str, workspace: &str| guests_in(Path::new(target), Path::new(workspace));
        assert_eq!(of("/a/target", "/a"), Path::new("/a/target/guests"));
        assert_ne!(of("/target", "/a"), of("/target", "/b"));
        assert_eq!(of("/target", "/a"), of("/target", "/a"));
    }
}
