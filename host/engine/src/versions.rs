//! Which version of a plugin a bot or connection gets.
//!
//! A bot says `plugin: flow` or `plugin: flow@1.2.0`. Versions come from the plugin directory and from the installed ones
//! in the store; the directory wins where both have the same version, so that a developer's build is what is run.
//!
//! | said | rollout | what it gets |
//! |---|---|---|
//! | `flow@1.2.0` | not looked at | 1.2.0 |
//! | `flow` | none | `flow.wasm` of the directory if there, else the highest version |
//! | `flow` | the most specific one | its stable version, and its candidate for a share of the conversations |
//!
//! The installed versions, the rollouts and the directory are read once for all bots; a file is read when its name is asked
//! for and it changed.

use crate::config::Finding;
use crate::installed::InstalledVersion;
use crate::library::{Library, LibraryError};
use crate::registry::Publisher;
use crate::rollout::{CandidateDoc, Place, RolloutDoc, Rollouts, Watch};
use confab_sandbox::{Kind, Plugin, Source};
use parking_lot::Mutex;
use semver::Version;
use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

/// What a bot or connection says: a name, and a version if it is pinned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginRef {
    /// The plugin.
    pub name: String,
    /// The only version that will do.
    pub version: Option<Version>,
}

impl FromStr for PluginRef {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some((name, version)) = text.split_once('@') else {
            return Ok(PluginRef { name: text.to_owned(), version: None });
        };
        match Version::parse(version) {
            Ok(version) => Ok(PluginRef { name: name.to_owned(), version: Some(version) }),
            Err(e) => Err(format!("`{text}`: `{version}` is no version ({e}): write {name}@1.2.3, or {name} alone")),
        }
    }
}

/// A version that can be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) version: Version,
    pub(crate) digest: String,
    /// Its file in the directory; none where it is installed in the store.
    pub(crate) file: Option<PathBuf>,
}

/// A candidate that was chosen, or why it can't be had.
type ChosenEntry<'a> = (Result<Entry, LibraryError>, &'a CandidateDoc);

/// All versions of one plugin.
#[derive(Debug, Default)]
pub(crate) struct Shelf {
    /// The lowest first.
    pub(crate) entries: Vec<Entry>,
    /// What `NAME.wasm` is, where there is one.
    plain: Option<Result<Version, LibraryError>>,
    /// What is wrong with other files.
    broken: Vec<LibraryError>,
}

impl Shelf {
    /// The entry of a version.
    fn version(&self, name: &str, version: &Version) -> Result<&Entry, LibraryError> {
        self.entries.iter().find(|entry| entry.version == *version).ok_or_else(|| {
            let broken = self.plain.iter().filter_map(|plain| plain.as_ref().err()).chain(&self.broken).next();
            match broken {
                Some(broken) => broken.clone(),
                None => LibraryError::NoVersion {
                    name: name.to_owned(),
                    version: version.to_string(),
                    there: self.entries.iter().map(|entry| entry.version.to_string()).collect::<Vec<_>>().join(", "),
                },
            }
        })
    }

    /// What is used where nobody chose: the directory's own file, else the highest.
    fn usual(&self, name: &str) -> Result<Option<&Entry>, LibraryError> {
        match &self.plain {
            Some(Ok(version)) => self.version(name, version).map(Some),
            Some(Err(e)) => Err(e.clone()),
            None if self.entries.is_empty() => self.broken.first().map_or(Ok(None), |e| Err(e.clone())),
            None => Ok(self.entries.last()),
        }
    }

    /// The stable version and the candidate; none when there is no plugin of the name at all. A candidate that is not there
    /// keeps nobody from being served by the stable version.
    pub(crate) fn choose<'a>(
        &self,
        plugin: &PluginRef,
        rollout: Option<&'a RolloutDoc>,
    ) -> Result<Option<(Entry, Option<ChosenEntry<'a>>)>, LibraryError> {
        let name = &plugin.name;
        if self.entries.is_empty() && self.plain.is_none() && self.broken.is_empty() {
            return Ok(None);
        }
        match (&plugin.version, rollout) {
            (Some(pinned), _) => Ok(Some((self.version(name, pinned)?.clone(), None))),
            (None, None) => Ok(self.usual(name)?.map(|entry| (entry.clone(), None))),
            (None, Some(rollout)) => {
                let stable = self.version(name, &rollout.stable)?.clone();
                let candidate = rollout
                    .candidate
                    .as_ref()
                    .map(|candidate| (self.version(name, &candidate.version).cloned(), candidate));
                Ok(Some((stable, candidate)))
            }
        }
    }
}

/// All versions of all plugins, and the rollouts: read once, used for all bots.
#[derive(Debug, Default)]
pub(crate) struct Versions {
    files: HashMap<String, Vec<PathBuf>>,
    installed: HashMap<String, Vec<(Version, String)>>,
    pub(crate) rollouts: Rollouts,
    shelves: Mutex<HashMap<String, Arc<Shelf>>>,
}

impl Versions {
    /// With these installed versions.
    pub(crate) fn new(library: &Library, installed: Vec<InstalledVersion>, rollouts: Rollouts) -> Self {
        let mut by_name: HashMap<String, Vec<(Version, String)>> = HashMap::new();
        for InstalledVersion { name, version, digest, .. } in installed {
            match Version::parse(&version) {
                Ok(version) => by_name.entry(name).or_default().push((version, digest)),
                Err(e) => tracing::error!(plugin = name, version, "an installed version is passed over: {e}"),
            }
        }
        Versions { files: library.shelves(), installed: by_name, rollouts, shelves: Mutex::default() }
    }

    /// The same with other rollouts: what would be.
    pub(crate) fn with(&self, rollouts: Rollouts) -> Self {
        Versions {
            files: self.files.clone(),
            installed: self.installed.clone(),
            rollouts,
            shelves: Mutex::new(self.shelves.lock().clone()),
        }
    }

    /// All names.
    pub(crate) fn names(&self) -> Vec<String> {
        self.files.keys().chain(self.installed.keys()).cloned().collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// The versions of one plugin.
    pub(crate) fn shelf(&self, library: &Library, name: &str) -> Arc<Shelf> {
        if let Some(known) = self.shelves.lock().get(name) {
            return known.clone();
        }
        let mut shelf = Shelf::default();
        for file in self.files.get(name).into_iter().flatten() {
            let plain = file.file_stem().is_some_and(|stem| stem == name);
            let found = library.identify(name, file);
            if plain {
                shelf.plain = Some(found.as_ref().map(|found| found.version.clone()).map_err(Clone::clone));
            }
            match found {
                // `NAME.wasm` comes first.
                Ok(found) if shelf.entries.iter().any(|entry| entry.version == found.version) => {}
                Ok(found) => {
                    shelf.entries.push(Entry { version: found.version, digest: found.digest, file: Some(file.clone()) })
                }
                Err(_) if plain => {}
                Err(e) => shelf.broken.push(e),
            }
        }
        for (version, digest) in self.installed.get(name).into_iter().flatten() {
            match shelf.entries.iter().find(|entry| entry.version == *version) {
                None => shelf.entries.push(Entry { version: version.clone(), digest: digest.clone(), file: None }),
                Some(ours) if ours.digest == *digest => {}
                Some(ours) => library.shadowed(name, version, &ours.digest, digest),
            }
        }
        shelf.entries.sort_by(|a, b| a.version.cmp(&b.version));
        let shelf = Arc::new(shelf);
        self.shelves.lock().insert(name.to_owned(), shelf.clone());
        shelf
    }
}

/// The versions that a bot or connection gets, opened but not prepared.
pub(crate) struct Chosen {
    pub(crate) stable: Plugin,
    pub(crate) candidate: Option<ChosenCandidate>,
}

/// See [`Chosen`].
pub(crate) struct ChosenCandidate {
    pub(crate) plugin: Plugin,
    pub(crate) share: u8,
    pub(crate) watch: Arc<Watch>,
}

impl Publisher {
    /// What a bot's `plugin` or a connection's `connector` stands for. What can't be had goes to `findings`.
    pub(crate) async fn choose(
        &self,
        versions: &Versions,
        file: &str,
        (field, text): (&str, &str),
        kind: Kind,
        place: Place<'_>,
        findings: &mut Vec<Finding>,
    ) -> Option<Chosen> {
        let mut errors = Vec::new();
        let chosen = match self.chosen(versions, text, kind, place, &mut errors).await {
            Ok(chosen) => Some(chosen),
            Err(message) => {
                errors.push(message);
                None
            }
        };
        findings.extend(errors.into_iter().map(|message| Finding::error(file, message).field(field)));
        chosen
    }

    async fn chosen(
        &self,
        versions: &Versions,
        text: &str,
        kind: Kind,
        place: Place<'_>,
        errors: &mut Vec<String>,
    ) -> Result<Chosen, String> {
        let plugin: PluginRef = text.parse()?;
        let name = &plugin.name;
        // Reading and compiling takes up to seconds and happens once per plugin file; only then the thread is given up.
        let known = versions.shelves.lock().get(name).cloned();
        let shelf = match known {
            Some(known) => known,
            None => tokio::task::block_in_place(|| versions.shelf(&self.library, name)),
        };
        let rollout = versions.rollouts.holding(name, place);
        let found = shelf.choose(&plugin, rollout.map(|(_, doc)| doc)).map_err(|e| e.to_string())?;
        let Some((stable, candidate)) = found else {
            return Err(self.library.unknown(name, versions.names()).to_string());
        };
        let stable = self.opened(name, &stable, kind).await?;
        let (Some((entry, doc)), Some((id, _))) = (candidate, rollout) else {
            return Ok(Chosen { stable, candidate: None });
        };
        let opened = match entry {
            Ok(entry) => self.opened(name, &entry, kind).await,
            Err(e) => Err(e.to_string()),
        };
        let candidate = match opened {
            Ok(plugin) => Some(ChosenCandidate { plugin, share: doc.share, watch: self.watches.of(id, name, doc) }),
            Err(message) => {
                errors.push(format!("candidate {name}@{}: {message}", doc.version));
                None
            }
        };
        Ok(Chosen { stable, candidate })
    }

    async fn opened(&self, name: &str, entry: &Entry, kind: Kind) -> Result<Plugin, String> {
        let plugin = match self.library.opened(&entry.digest) {
            Some(plugin) => plugin,
            None => {
                let path = match &entry.file {
                    Some(path) => path.clone(),
                    None => self.installed.fetch(&entry.digest).await.map_err(|e| e.to_string())?,
                };
                let source = Source { digest: entry.digest.clone(), path };
                tokio::task::block_in_place(|| self.library.open(&source)).map_err(|e| e.to_string())?
            }
        };
        let is = plugin.manifest().kind;
        if is != kind {
            return Err(format!("plugin `{name}` is of kind {is:?}, here a plugin of kind {kind:?} is needed"));
        }
        Ok(plugin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shelf(versions: &[&str], plain: Option<&str>) -> Shelf {
        let version = |text: &&str| Version::parse(text).unwrap();
        let mut entries: Vec<Entry> =
            versions.iter().map(|v| Entry { version: version(v), digest: (*v).to_owned(), file: None }).collect();
        entries.sort_by(|a, b| a.version.cmp(&b.version));
        Shelf { entries, plain: plain.map(|v| Ok(version(&v))), broken: Vec::new() }
    }

    fn chosen(shelf: &Shelf, text: &str, rollout: Option<&RolloutDoc>) -> Result<(String, Option<String>), String> {
        let plugin: PluginRef = text.parse()?;
        let (stable, candidate) = shelf.choose(&plugin, rollout).map_err(|e| e.to_string())?.ok_or("unknown")?;
        Ok((stable.digest, candidate.map(|(entry, _)| entry.unwrap().digest)))
    }

    fn rollout(stable: &str, candidate: Option<&str>) -> RolloutDoc {
        let candidate = candidate.map(|v| CandidateDoc { version: Version::parse(v).unwrap(), share: 10, since: 1 });
        RolloutDoc { candidate, ..RolloutDoc::of(Version::parse(stable).unwrap()) }
    }

    #[test]
    fn without_a_rollout_the_directorys_file_is_used_else_the_highest_version() {
        let all = ["0.9.0", "0.10.0", "0.10.0-rc.1"];
        assert_eq!(chosen(&shelf(&all, None), "flow", None), Ok(("0.10.0".into(), None)));
        assert_eq!(chosen(&shelf(&all, Some("0.9.0")), "flow", None), Ok(("0.9.0".into(), None)));
        assert_eq!(chosen(&shelf(&[], None), "flow", None), Err("unknown".into()));
    }

    #[test]
    fn a_rollout_decides_for_all_that_are_not_pinned() {
        let shelf = shelf(&["1.0.0", "1.1.0", "2.0.0"], Some("2.0.0"));
        let rollout = rollout("1.0.0", Some("1.1.0"));
        assert_eq!(chosen(&shelf, "flow", Some(&rollout)), Ok(("1.0.0".into(), Some("1.1.0".into()))));
        assert_eq!(chosen(&shelf, "flow@1.1.0", Some(&rollout)), Ok(("1.1.0".into(), None)));
    }

    #[test]
    fn a_version_that_is_not_there_is_named_with_those_that_are() {
        let shelf = shelf(&["1.0.0", "1.1.0"], None);
        for (text, rollout) in [("flow@3.0.0", None), ("flow", Some(rollout("3.0.0", None)))] {
            let error = chosen(&shelf, text, rollout.as_ref()).unwrap_err();
            assert!(error.contains("3.0.0") && error.contains("1.0.0, 1.1.0"), "{error}");
        }
        assert!(chosen(&shelf, "flow@new", None).unwrap_err().contains("flow@1.2.3"));
    }

    #[test]
    fn installed_versions_are_found_in_order_and_unreadable_ones_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        let config = confab_sandbox::SandboxConfig::new(dir.path().join("code"));
        let sandbox = confab_sandbox::Sandbox::new(confab_sandbox::SandboxConfig { calls: 2, ..config }).unwrap();
        let library = Library::new(sandbox, dir.path());
        let installed = ["0.10.0", "0.9.0", "new"].map(|version| InstalledVersion {
            name: "flow".into(),
            version: version.into(),
            digest: version.into(),
            kind: Kind::Intent,
            publisher: "confab".into(),
            signed_by: None,
            size: 1,
            installed_at: 1,
        });
        let versions = Versions::new(&library, installed.into(), Rollouts::default());
        assert_eq!(versions.names(), ["flow"]);
        let shelf = versions.shelf(&library, "flow");
        assert_eq!(shelf.entries.iter().map(|entry| entry.digest.as_str()).collect::<Vec<_>>(), ["0.9.0", "0.10.0"]);
        assert_eq!(chosen(&shelf, "flow", None), Ok(("0.10.0".into(), None)));
        assert_eq!(chosen(&versions.shelf(&library, "sheet"), "sheet", None), Err("unknown".into()));
    }
}
