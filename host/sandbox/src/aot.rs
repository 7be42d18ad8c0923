//! Native code on disk: components are compiled once and mapped from files afterwards.
//!
//! A `.cwasm` is native code. Only files that this host wrote into its own directory (mode 0700) are loaded, named by
//! the digest of the Wasm and the hash of everything in the engine that shapes the code. Files are written
//! under another name and renamed, since overwriting a mapped file kills the process with SIGBUS.
#![allow(unsafe_code, reason = "loading native code can't be written without; this is the one place")]

use sha2::{Digest, Sha256};
use std::hash::{Hash, Hasher};
use std::io::Write;
use std::path::{Path, PathBuf};
use wasmtime::component::Component;
use wasmtime::{Engine, Result, error::Context as _};

/// Where compiled components are kept.
#[derive(Debug)]
pub(crate) struct AotCache {
    dir: PathBuf,
    engine_hash: String,
}

/// Feeds `precompile_compatibility_hash` into SHA-256: `DefaultHasher` may change between Rust versions.
struct HashInto(Sha256);

impl Hasher for HashInto {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }
    fn finish(&self) -> u64 {
        0
    }
}

impl AotCache {
    pub(crate) fn open(dir: &Path, engine: &Engine) -> Result<Self> {
        std::fs::create_dir_all(dir).with_context(|| format!("can't create the code cache {}", dir.display()))?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o700))
                .with_context(|| format!("can't restrict the code cache {} to its owner", dir.display()))?;
        }
        let mut hasher = HashInto(Sha256::new());
        engine.precompile_compatibility_hash().hash(&mut hasher);
        Ok(AotCache { dir: dir.to_owned(), engine_hash: hex(&hasher.0.finalize(), 8) })
    }

    /// The component, from the cache if it is there, else compiled and put there. Blocks for as long as compiling takes.
    pub(crate) fn load(&self, engine: &Engine, digest: &str, wasm: &[u8]) -> Result<Component> {
        let path = self.dir.join(format!("{digest}-{}.cwasm", self.engine_hash));
        if path.exists() {
            // SAFETY: the file is in a directory that only this user can write to, was written by `store` below from
            // this engine's own output, and is never modified in place.
            match unsafe { Component::deserialize_file(engine, &path) } {
                Ok(component) => return Ok(component),
                Err(e) => {
                    tracing::warn!(path = %path.display(), error = %e, "compiled component is unusable, compiling again")
                }
            }
        }
        let code = engine.precompile_component(wasm).context("does not compile")?;
        self.store(&path, &code)?;
        // SAFETY: as above; it was written a moment ago.
        unsafe { Component::deserialize_file(engine, &path) }
    }

    /// A snapshot made earlier under this key, with what `prepare` had to say.
    pub(crate) fn prepared(&self, key: &str) -> Option<(Vec<u8>, Vec<u8>)> {
        let notes = std::fs::read(self.dir.join(format!("{key}.notes.json"))).ok()?;
        let snapshot = std::fs::read(self.dir.join(format!("{key}.prepared.wasm"))).ok()?;
        Some((snapshot, notes))
    }

    /// Keeps a snapshot for the next start of the process.
    pub(crate) fn keep_prepared(&self, key: &str, snapshot: &[u8], notes: &[u8]) -> Result<()> {
        self.store(&self.dir.join(format!("{key}.prepared.wasm")), snapshot)?;
        self.store(&self.dir.join(format!("{key}.notes.json")), notes)
    }

    fn store(&self, path: &Path, code: &[u8]) -> Result<()> {
        let temporary =
            self.dir.join(format!(".{}-{:?}", std::process::id(), std::thread::current().id()).replace(['(', ')'], ""));
        let mut file = std::fs::File::create(&temporary).context("can't write to the code cache")?;
        file.write_all(code).and_then(|()| file.sync_all()).context("can't write to the code cache")?;
        std::fs::rename(&temporary, path).context("can't write to the code cache")?;
        Ok(())
    }
}

/// The first `bytes` bytes in hexadecimal.
pub(crate) fn hex(data: &[u8], bytes: usize) -> String {
    use std::fmt::Write as _;
    data.iter().take(bytes).fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}
