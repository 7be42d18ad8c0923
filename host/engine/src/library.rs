//! The plugin files of this host: every `NAME.wasm` in the plugin directory, opened when first asked for.

use confab_sandbox::{Manifest, Plugin, Sandbox, Source};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Why a plugin can't be had.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LibraryError {
    /// No file declares this name.
    #[error("no plugin `{name}` in {dir}; there are: {there}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// Where it was looked for.
        dir: String,
        /// What is there.
        there: String,
    },
    /// The file can't be used.
    #[error("{file}: {message}")]
    Unusable {
        /// The file.
        file: String,
        /// Why.
        message: String,
    },
}

/// Loads plugins by name.
#[derive(Debug)]
pub struct Library {
    sandbox: Sandbox,
    dir: PathBuf,
    loaded: Mutex<HashMap<PathBuf, (Stamp, Plugin)>>,
}

/// Tells whether a file changed since it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    bytes: u64,
}

impl Library {
    /// A library of the components in a directory.
    pub fn new(sandbox: Sandbox, dir: impl Into<PathBuf>) -> Self {
        Library { sandbox, dir: dir.into(), loaded: Mutex::new(HashMap::new()) }
    }

    /// The plugin of this name. Reads the directory again, so that a file that was added or replaced is found.
    /// Blocks while compiling.
    ///
    /// # Errors
    /// [`LibraryError`], with what is there instead.
    pub fn get(&self, name: &str) -> Result<Plugin, LibraryError> {
        let path = self.dir.join(format!("{name}.wasm"));
        if confab_sandbox::manifest::is_name(name) && path.exists() {
            return self.load(&path);
        }
        if let Err(e) = std::fs::read_dir(&self.dir) {
            return Err(LibraryError::Unusable {
                file: self.dir.display().to_string(),
                message: format!("the plugin directory can't be read: {e}; name another with --plugins"),
            });
        }
        Err(LibraryError::Unknown {
            name: name.to_owned(),
            dir: self.dir.display().to_string(),
            there: self.names().join(", "),
        })
    }

    /// Names of the plugins in the directory.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(&self.dir)
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.strip_suffix(".wasm").map(str::to_owned))
            .filter(|name| confab_sandbox::manifest::is_name(name))
            .collect();
        names.sort();
        names
    }

    fn load(&self, path: &Path) -> Result<Plugin, LibraryError> {
        let unusable = |message: String| LibraryError::Unusable { file: path.display().to_string(), message };
        let metadata = std::fs::metadata(path).map_err(|e| unusable(e.to_string()))?;
        let stamp = Stamp { modified: metadata.modified().ok(), bytes: metadata.len() };
        if let Some((known, file)) = self.loaded.lock().get(path)
            && *known == stamp
        {
            return Ok(file.clone());
        }
        let wasm = std::fs::read(path).map_err(|e| unusable(e.to_string()))?;
        let manifest = Manifest::of_component(&wasm).map_err(|e| unusable(e.to_string()))?;
        let expected = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        if manifest.name != expected {
            return Err(unusable(format!(
                "its manifest calls it `{}`: name the file {}.wasm",
                manifest.name, manifest.name
            )));
        }
        let source = Source { digest: confab_sandbox::engine::digest(&wasm), path: path.to_owned() };
        drop(wasm);
        let plugin = self.sandbox.open(&source).map_err(|e| unusable(e.to_string()))?;
        self.loaded.lock().insert(path.to_owned(), (stamp, plugin.clone()));
        Ok(plugin)
    }
}
