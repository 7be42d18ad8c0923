//! Installed plugins: every version that came through the gate, kept in the store and shared by all hosts on it.
//!
//! A version is two documents that are written in one step: what is known of it (`plugin`, id `NAME@VERSION`) and its
//! bytes (`plugin-file`, id DIGEST). A version never changes: another file under the same name and version is refused.
//! Each host keeps the files it uses in a directory of its own and takes those it lacks from the store, so that a plugin
//! which was installed on one host is served by all.

use bytes::Bytes;
use confab_sandbox::Kind;
use confab_sandbox::engine::digest;
use confab_store::{Store, StoreError};
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What is known of an installed version. Id: `NAME@VERSION`.
pub const PLUGIN: &str = "plugin";
/// Its bytes. Id: the digest.
pub const PLUGIN_FILE: &str = "plugin-file";

/// One installed version of a plugin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstalledVersion {
    /// Name of the plugin.
    pub name: String,
    /// Its version.
    pub version: String,
    /// SHA-256 of its file, in hexadecimal.
    pub digest: String,
    /// What it is.
    pub kind: Kind,
    /// Who ships it, as its manifest says.
    pub publisher: String,
    /// Id of the key that signed it; none for a plugin that was let in unsigned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed_by: Option<String>,
    /// Bytes of its file.
    pub size: u64,
    /// When it was installed, in milliseconds since 1970.
    pub installed_at: u64,
}

impl InstalledVersion {
    /// Id of its document.
    pub fn id(&self) -> String {
        format!("{}@{}", self.name, self.version)
    }
}

/// Why the file of a version can't be had.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The store has no such file.
    #[error("no plugin with digest {0} is installed; install it again: confab plugin install FILE")]
    Unknown(String),
    /// The store has other bytes under this digest.
    #[error("what the store holds as plugin {0} has another digest; remove that version and install it again")]
    Damaged(String),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// This host's copy can't be written.
    #[error("{file}: {message}", file = file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// What the system says.
        message: String,
    },
}

/// The installed plugins. Cheap to clone.
#[derive(Clone)]
pub struct Installed {
    pub(crate) store: Arc<dyn Store>,
    dir: PathBuf,
}

impl std::fmt::Debug for Installed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Installed").field("dir", &self.dir).finish_non_exhaustive()
    }
}

/// Makes names of temporary files differ.
static SERIAL: AtomicU64 = AtomicU64::new(0);

impl Installed {
    /// The plugins in a store. `dir` is where this host keeps files; it is made, with mode 0700, when the first one is needed.
    pub fn new(store: Arc<dyn Store>, dir: PathBuf) -> Self {
        Installed { store, dir }
    }

    /// All versions of all plugins, by name, newest version last where versions are plain numbers.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn all(&self) -> Result<Vec<InstalledVersion>, StoreError> {
        let mut all: Vec<InstalledVersion> = Vec::new();
        for (id, body) in self.store.documents(PLUGIN).await? {
            match serde_json::from_slice(&body) {
                Ok(version) => all.push(version),
                Err(e) => {
                    tracing::error!(id, error = %e, "an installed plugin's record can't be read; install it again")
                }
            }
        }
        all.sort_by(|a, b| a.name.cmp(&b.name).then_with(|| by_numbers(&a.version).cmp(&by_numbers(&b.version))));
        Ok(all)
    }

    /// The versions of one plugin, in the order of [`Installed::all`].
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn versions(&self, name: &str) -> Result<Vec<InstalledVersion>, StoreError> {
        let mut all = self.all().await?;
        all.retain(|version| version.name == name);
        Ok(all)
    }

    /// The file of a version on this host. It is taken from the store when it isn't here yet, and checked against its digest.
    ///
    /// # Errors
    /// [`FetchError`], with what to do.
    pub async fn fetch(&self, wanted: &str) -> Result<PathBuf, FetchError> {
        if wanted.len() != 64 || !wanted.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
            return Err(FetchError::Unknown(wanted.chars().take(64).collect()));
        }
        let file = self.file(wanted);
        // Only `keep` writes here, under another name first: a file of this name is whole and right.
        if tokio::fs::try_exists(&file).await.unwrap_or(false) {
            return Ok(file);
        }
        let body = self.store.document(PLUGIN_FILE, wanted).await?;
        self.keep(wanted, body.ok_or_else(|| FetchError::Unknown(wanted.to_owned()))?).await
    }

    pub(crate) fn file(&self, digest: &str) -> PathBuf {
        self.dir.join(format!("{digest}.wasm"))
    }

    /// Writes this host's copy.
    pub(crate) async fn keep(&self, wanted: &str, body: Bytes) -> Result<PathBuf, FetchError> {
        let (dir, file, wanted) = (self.dir.clone(), self.file(wanted), wanted.to_owned());
        let work = tokio::task::spawn_blocking(move || {
            if digest(&body) != wanted {
                return Err(FetchError::Damaged(wanted));
            }
            write(&dir, &file, &body).map_err(|e| FetchError::File { file: file.clone(), message: e.to_string() })?;
            Ok(file)
        });
        work.await.unwrap_or_else(|e| Err(FetchError::File { file: self.dir.clone(), message: e.to_string() }))
    }
}

/// Under another name, then renamed: what has the name is whole.
fn write(dir: &Path, file: &Path, body: &[u8]) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let temporary = dir.join(format!(".{}-{}", std::process::id(), SERIAL.fetch_add(1, Ordering::Relaxed)));
    let written = std::fs::File::create(&temporary).and_then(|mut file| {
        file.write_all(body)?;
        file.sync_all()
    });
    let renamed = written.and_then(|()| std::fs::rename(&temporary, file));
    if renamed.is_err() {
        let _ = std::fs::remove_file(&temporary);
    }
    renamed
}

/// Semantic versions in order: numbers as numbers, a pre-release before its release.
fn by_numbers(version: &str) -> (Vec<u64>, bool, Vec<(u64, String)>) {
    let plain = version.split('+').next().unwrap_or(version);
    let (numbers, pre) = plain.split_once('-').map_or((plain, None), |(numbers, pre)| (numbers, Some(pre)));
    let numbers = numbers.split('.').map(|part| part.parse().unwrap_or(0)).collect();
    let pre_parts = pre.into_iter().flat_map(|pre| pre.split('.'));
    // Numbers come before words.
    let pre_parts = pre_parts.map(|part| part.parse().map_or((u64::MAX, part.to_owned()), |n| (n, String::new())));
    (numbers, pre.is_none(), pre_parts.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use confab_store::DocumentChange;

    async fn installed() -> (tempfile::TempDir, Installed) {
        let dir = tempfile::tempdir().unwrap();
        let store = confab_store::open(&format!("embedded:{}", dir.path().join("store").display())).await.unwrap();
        let installed = Installed::new(store, dir.path().join("plugins-installed"));
        (dir, installed)
    }

    async fn put(installed: &Installed, kind: &str, id: &str, body: &[u8]) {
        let change =
            DocumentChange { kind: kind.to_owned(), id: id.to_owned(), body: Some(Bytes::copy_from_slice(body)) };
        installed.store.change_documents(vec![change]).await.unwrap();
    }

    #[test]
    fn versions_are_ordered_as_numbers_and_a_pre_release_comes_first() {
        let mut versions = vec!["1.10.0", "1.2.0", "1.10.0-rc.2", "1.10.0-rc.10", "0.9.9", "1.10.0-beta"];
        versions.sort_by_key(|version| by_numbers(version));
        assert_eq!(versions, ["0.9.9", "1.2.0", "1.10.0-beta", "1.10.0-rc.2", "1.10.0-rc.10", "1.10.0"]);
    }

    #[tokio::test]
    async fn a_file_comes_from_the_store_once_and_only_with_the_right_digest() {
        use std::os::unix::fs::PermissionsExt;
        let (dir, installed) = installed().await;
        let right = digest(b"plugin");
        assert!(matches!(installed.fetch(&right).await, Err(FetchError::Unknown(_))));
        put(&installed, PLUGIN_FILE, &right, b"tampered").await;
        assert!(matches!(installed.fetch(&right).await, Err(FetchError::Damaged(_))));
        assert!(!installed.file(&right).exists());
        put(&installed, PLUGIN_FILE, &right, b"plugin").await;
        let file = installed.fetch(&right).await.unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), b"plugin");
        let mode = std::fs::metadata(dir.path().join("plugins-installed")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        // From now on the store is not needed.
        put(&installed, PLUGIN_FILE, &right, b"gone").await;
        assert_eq!(installed.fetch(&right).await.unwrap(), file);
    }

    #[tokio::test]
    async fn a_digest_is_never_a_path() {
        let (_dir, installed) = installed().await;
        for bad in ["", "../../etc/passwd", &"A".repeat(64), &"/".repeat(64), &"f".repeat(63)] {
            assert!(matches!(installed.fetch(bad).await, Err(FetchError::Unknown(_))), "{bad}");
        }
    }
}
