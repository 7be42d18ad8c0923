//! Where things are. Everything that tests need from elsewhere is looked up here, and says what to run when it is missing.

use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Compiled plugins older than this are of plugins that have changed since, most likely.
const CODE_KEPT: Duration = Duration::from_secs(3 * 24 * 3600);

/// The repository.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

/// The example folder of this name.
pub fn example(name: &str) -> PathBuf {
    root().join("examples").join(name)
}

/// The `confab` binary: `$CONFAB_BIN`, or the one that was built for release.
///
/// # Errors
/// When it isn't there.
pub fn confab() -> Result<PathBuf> {
    let binary = std::env::var_os("CONFAB_BIN").map_or_else(|| root().join("target/release/confab"), PathBuf::from);
    ensure!(binary.is_file(), "there is no {}: run `make plugins` (or set CONFAB_BIN)", binary.display());
    Ok(binary)
}

/// The directory of built plugins: `$CONFAB_TEST_PLUGINS`, or `target/plugins`.
///
/// # Errors
/// When it isn't there.
pub fn plugins() -> Result<PathBuf> {
    let dir = std::env::var_os("CONFAB_TEST_PLUGINS").map_or_else(|| root().join("target/plugins"), PathBuf::from);
    ensure!(dir.is_dir(), "there is no {}: run `make plugins` (or set CONFAB_TEST_PLUGINS)", dir.display());
    Ok(dir)
}

/// Makes sure that a plugin was built.
///
/// # Errors
/// When it wasn't.
pub fn plugin(name: &str) -> Result<()> {
    let file = plugins()?.join(format!("{name}.wasm"));
    ensure!(file.is_file(), "there is no {}: run `make plugins`", file.display());
    Ok(())
}

/// Where guests are: Rust crates, and modules in text form.
const GUESTS: [&str; 2] = ["tests/guests", "tests/guests-wat"];

/// Names of the guests that there are sources of.
///
/// # Errors
/// When a directory can't be read, or has none.
pub fn guests() -> Result<Vec<String>> {
    let mut names = Vec::new();
    for dir in GUESTS.map(|dir| root().join(dir)) {
        let before = names.len();
        for entry in std::fs::read_dir(&dir).with_context(|| dir.display().to_string())? {
            let entry = entry?;
            if entry.path().join("plugin.toml").is_file() {
                names.push(entry.file_name().to_string_lossy().into_owned());
            }
        }
        ensure!(names.len() > before, "{} has no guests", dir.display());
    }
    names.sort();
    Ok(names)
}

/// The folder of a guest.
///
/// # Errors
/// When there is none.
pub fn guest(name: &str) -> Result<PathBuf> {
    let found = GUESTS.map(|dir| root().join(dir).join(name)).into_iter().find(|dir| dir.is_dir());
    found.with_context(|| format!("there is no guest {name}"))
}

/// The code cache that all servers of all tests share: a bot with a classifier takes 10 s to compile and 0.1 s to map.
///
/// Sharing is safe because the cache never changes a file in place and names each by what went into it.
///
/// # Errors
/// When it can't be made.
pub fn code_cache() -> Result<PathBuf> {
    let dir = root().join("target/test-code-cache");
    std::fs::create_dir_all(&dir).with_context(|| dir.display().to_string())?;
    let now = SystemTime::now();
    for entry in std::fs::read_dir(&dir)?.flatten() {
        let modified = entry.metadata().and_then(|metadata| metadata.modified());
        if modified.is_ok_and(|at| now.duration_since(at).is_ok_and(|age| age > CODE_KEPT)) {
            // Another test may have removed it first.
            let _ = std::fs::remove_file(entry.path());
        }
    }
    Ok(dir)
}
