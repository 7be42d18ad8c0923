//! The plugin files of this host: `NAME.wasm` in the plugin directory, and `NAME@VERSION.wasm` for versions beside it,
//! opened when first asked for. Which version a bot gets is not decided here, see [`crate::versions`].

use confab_sandbox::{Manifest, Plugin, Sandbox, Source};
use parking_lot::Mutex;
use semver::Version;
use std::collections::{HashMap, HashSet};
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
    /// There are versions of it, but not this one.
    #[error("no version {version} of plugin `{name}`; there are: {there}")]
    NoVersion {
        /// The plugin.
        name: String,
        /// What was asked for.
        version: String,
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

/// Loads plugins.
#[derive(Debug)]
pub struct Library {
    sandbox: Sandbox,
    dir: PathBuf,
    /// What each file was found to be.
    files: Mutex<HashMap<PathBuf, (Stamp, Identity)>>,
    /// By digest.
    opened: Mutex<HashMap<String, Plugin>>,
    /// See [`Library::shadowed`].
    warned: Mutex<HashSet<String>>,
}

/// Tells whether a file changed since it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    bytes: u64,
}

/// What a file is.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) version: Version,
    pub(crate) digest: String,
}

impl Library {
    /// A library of the components in a directory.
    pub fn new(sandbox: Sandbox, dir: impl Into<PathBuf>) -> Self {
        Library {
            sandbox,
            dir: dir.into(),
            files: Mutex::default(),
            opened: Mutex::default(),
            warned: Mutex::default(),
        }
    }

    /// The plugin in the file `NAME.wasm`. Reads the directory again, so that a file that was added or replaced is found.
    /// Blocks while compiling.
    ///
    /// # Errors
    /// [`LibraryError`], with what is there instead.
    pub fn get(&self, name: &str) -> Result<Plugin, LibraryError> {
        let path = self.dir.join(format!("{name}.wasm"));
        if !confab_sandbox::manifest::is_name(name) || !path.exists() {
            return Err(self.unknown(name, self.names()));
        }
        let Identity { digest, .. } = self.identify(name, &path)?;
        self.open(&Source { digest, path })
    }

    /// Names of the plugins in the directory.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self
            .listed()
            .into_iter()
            .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
            .filter(|name| confab_sandbox::manifest::is_name(name))
            .collect();
        names.sort();
        names
    }

    /// All files by the name of their plugin, whatever the version; `NAME.wasm` first.
    pub(crate) fn shelves(&self) -> HashMap<String, Vec<PathBuf>> {
        let mut shelves: HashMap<String, Vec<PathBuf>> = HashMap::new();
        for path in self.listed() {
            let Some(stem) = path.file_stem().and_then(|stem| stem.to_str()) else { continue };
            let name = stem.split('@').next().unwrap_or(stem).to_owned();
            if confab_sandbox::manifest::is_name(&name) {
                shelves.entry(name).or_default().push(path);
            }
        }
        shelves.values_mut().for_each(|files| files.sort_by_key(|file| file.as_os_str().len()));
        shelves
    }

    fn listed(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(&self.dir).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|end| end == "wasm")).collect()
    }

    /// Why there is no plugin of a name.
    pub(crate) fn unknown(&self, name: &str, there: Vec<String>) -> LibraryError {
        if there.is_empty()
            && let Err(e) = std::fs::read_dir(&self.dir)
        {
            return LibraryError::Unusable {
                file: self.dir.display().to_string(),
                message: format!("the plugin directory can't be read: {e}; name another with --plugins"),
            };
        }
        LibraryError::Unknown { name: name.to_owned(), dir: self.dir.display().to_string(), there: there.join(", ") }
    }

    /// Version and digest of a file. Reads it only when it changed.
    pub(crate) fn identify(&self, name: &str, path: &Path) -> Result<Identity, LibraryError> {
        let unusable = |message: String| LibraryError::Unusable { file: path.display().to_string(), message };
        let metadata = std::fs::metadata(path).map_err(|e| unusable(e.to_string()))?;
        let stamp = Stamp { modified: metadata.modified().ok(), bytes: metadata.len() };
        if let Some((known, identity)) = self.files.lock().get(path)
            && *known == stamp
        {
            return Ok(identity.clone());
        }
        let wasm = std::fs::read(path).map_err(|e| unusable(e.to_string()))?;
        let manifest = Manifest::of_component(&wasm).map_err(|e| unusable(e.to_string()))?;
        if manifest.name != name {
            return Err(unusable(format!(
                "its manifest calls it `{}`: name the file {}.wasm",
                manifest.name, manifest.name
            )));
        }
        let version = Version::parse(&manifest.version)
            .map_err(|e| unusable(format!("its version `{}` is no semantic version: {e}", manifest.version)))?;
        let given = path.file_stem().and_then(|stem| stem.to_str()?.split_once('@'));
        if given.is_some_and(|(_, given)| given != manifest.version) {
            return Err(unusable(format!("its manifest says version {version}: name the file {name}@{version}.wasm")));
        }
        let identity = Identity { version, digest: confab_sandbox::engine::digest(&wasm) };
        self.files.lock().insert(path.to_owned(), (stamp, identity.clone()));
        Ok(identity)
    }

    /// A component that is open already.
    pub(crate) fn opened(&self, digest: &str) -> Option<Plugin> {
        self.opened.lock().get(digest).cloned()
    }

    /// Opens a component, once for each digest. Blocks while compiling.
    pub(crate) fn open(&self, source: &Source) -> Result<Plugin, LibraryError> {
        if let Some(known) = self.opened(&source.digest) {
            return Ok(known);
        }
        let plugin = self
            .sandbox
            .open(source)
            .map_err(|e| LibraryError::Unusable { file: source.path.display().to_string(), message: e.to_string() })?;
        self.opened.lock().insert(source.digest.clone(), plugin.clone());
        Ok(plugin)
    }

    /// Says once that an installed version is not used because the directory has the same one with other contents.
    pub(crate) fn shadowed(&self, name: &str, version: &Version, ours: &str, installed: &str) {
        if self.warned.lock().insert(format!("{ours} {installed}")) {
            tracing::warn!(
                plugin = name, %version, directory = ours, installed,
                "the plugin directory has another {name}@{version} than was installed: the directory's is used"
            );
        }
    }

    /// Forgets plugins whose digest nothing uses.
    pub(crate) fn forget_unused(&self, used: &HashSet<&str>) {
        self.opened.lock().retain(|digest, _| used.contains(digest.as_str()));
    }
}
