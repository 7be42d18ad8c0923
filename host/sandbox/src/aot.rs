//! Native code on disk: components are compiled once and mapped from files afterwards.
//!
//! A `.cwasm` is native code. Only files that this host wrote into its own directory (mode 0700) are loaded, named by
//! what was compiled and the hash of everything in the engine that shapes the code. Files are written
//! under another name and renamed, since overwriting a mapped file kills the process with SIGBUS.
//!
//! Beside them lie what was read out of a component once (`.shape.json`: manifest, imports, functions), so that a host with
//! thousands of plugins starts without opening any of them, and snapshots with what `prepare` had to say.
#![allow(unsafe_code, reason = "loading native code can't be written without; this is the one place")]

use crate::compile::{CompileError, Compiler};
use sha2::{Digest, Sha256};
use std::hash::{Hash, Hasher};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use wasmtime::component::Component;
use wasmtime::{Engine, Result, error::Context as _};

/// Where compiled components are kept.
#[derive(Debug)]
pub(crate) struct AotCache {
    dir: PathBuf,
    engine_hash: String,
    compiler: Compiler,
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

/// Makes names of temporary files differ.
static SERIAL: AtomicU64 = AtomicU64::new(0);

impl AotCache {
    pub(crate) fn open(dir: &Path, engine: &Engine, compiler: Compiler) -> Result<Self> {
        std::fs::create_dir_all(dir).with_context(|| format!("can't create the code cache {}", dir.display()))?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o700))
                .with_context(|| format!("can't restrict the code cache {} to its owner", dir.display()))?;
        }
        let mut hasher = HashInto(Sha256::new());
        engine.precompile_compatibility_hash().hash(&mut hasher);
        Ok(AotCache { dir: dir.to_owned(), engine_hash: hex(&hasher.0.finalize(), 8), compiler })
    }

    fn code(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}-{}.cwasm", self.engine_hash))
    }

    /// The component, if it was compiled before.
    pub(crate) fn map(&self, engine: &Engine, name: &str) -> Option<Component> {
        let path = self.code(name);
        if !path.exists() {
            return None;
        }
        // SAFETY: the file is in a directory that only this user can write to, was written by `compile` below from the
        // compiler's own output, and is never modified in place.
        match unsafe { Component::deserialize_file(engine, &path) } {
            Ok(component) => Some(component),
            Err(e) => {
                tracing::warn!(path = %path.display(), error = %e, "compiled component is unusable, compiling again");
                None
            }
        }
    }

    /// The component, from the cache if it is there, else compiled and put there. Blocks for as long as compiling takes.
    pub(crate) fn load(&self, engine: &Engine, name: &str, wasm: &Path) -> Result<Component, CompileError> {
        if let Some(component) = self.map(engine, name) {
            return Ok(component);
        }
        let temporary = self.temporary();
        let outcome = self.compiler.compile(wasm, &temporary).and_then(|()| {
            std::fs::rename(&temporary, self.code(name)).map_err(|e| CompileError::Cache(e.to_string()))
        });
        if outcome.is_err() {
            let _ = std::fs::remove_file(&temporary);
        }
        outcome?;
        // SAFETY: as in `map`.
        unsafe { Component::deserialize_file(engine, self.code(name)) }.map_err(|e| {
            // It compiled, so what is wrong is that it does not fit the pool.
            self.forget(name);
            CompileError::Misfit(format!("{e:#}"))
        })
    }

    /// Removes the code of a component. Where it is mapped it stays so.
    pub(crate) fn forget(&self, name: &str) {
        let _ = std::fs::remove_file(self.code(name));
    }

    /// Whether there is code of a component.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.code(name).exists()
    }

    /// A file for bytes that are looked at and forgotten.
    pub(crate) fn scratch(&self, bytes: &[u8]) -> Result<PathBuf> {
        let path = self.temporary();
        std::fs::write(&path, bytes).context("can't write to the code cache")?;
        Ok(path)
    }

    /// Where the bytes of a component are that nobody else keeps: those loaded from memory.
    pub(crate) fn keep_wasm(&self, name: &str, wasm: &[u8]) -> Result<PathBuf> {
        let path = self.dir.join(format!("{name}.wasm"));
        if std::fs::metadata(&path).map(|m| m.len()).ok() != Some(wasm.len() as u64) {
            self.store(&path, wasm)?;
        }
        Ok(path)
    }

    /// What was read out of a component before.
    pub(crate) fn shape(&self, name: &str) -> Option<Vec<u8>> {
        std::fs::read(self.dir.join(format!("{name}-{}.shape.json", self.engine_hash))).ok()
    }

    pub(crate) fn keep_shape(&self, name: &str, shape: &[u8]) -> Result<()> {
        self.store(&self.dir.join(format!("{name}-{}.shape.json", self.engine_hash)), shape)
    }

    /// A snapshot made earlier under this key: where it is, its size in bytes, and what `prepare` had to say.
    pub(crate) fn prepared(&self, key: &str) -> Option<(PathBuf, u64, Vec<u8>)> {
        let notes = std::fs::read(self.dir.join(format!("{key}.notes.json"))).ok()?;
        let path = self.dir.join(format!("{key}.prepared.wasm"));
        let bytes = std::fs::metadata(&path).ok()?.len();
        Some((path, bytes, notes))
    }

    /// Keeps a snapshot for the next start of the process.
    pub(crate) fn keep_prepared(&self, key: &str, snapshot: &[u8], notes: &[u8]) -> Result<PathBuf> {
        let path = self.dir.join(format!("{key}.prepared.wasm"));
        self.store(&path, snapshot)?;
        self.store(&self.dir.join(format!("{key}.notes.json")), notes)?;
        Ok(path)
    }

    fn temporary(&self) -> PathBuf {
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        self.dir.join(format!(".{}-{serial}", std::process::id()))
    }

    fn store(&self, path: &Path, bytes: &[u8]) -> Result<()> {
        let temporary = self.temporary();
        let mut file = std::fs::File::create(&temporary).context("can't write to the code cache")?;
        file.write_all(bytes).and_then(|()| file.sync_all()).context("can't write to the code cache")?;
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
