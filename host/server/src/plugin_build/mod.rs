//! `confab plugin build DIR`: from a plugin's source to one component file.
//!
//! The one place that knows how guests are built; bundled plugins, tests and third parties all come through here.
//!
//! 1. [`toolchain`] chooses the compiler, once, and says which in one line.
//! 2. [`compile`] runs cargo for the plugin's crate.
//! 3. [`encode`] turns the core module into a component and puts manifest and documentation into it.

mod compile;
mod encode;
mod manifest;
mod toolchain;

use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

pub(crate) use toolchain::Toolchain;

/// Builds the plugin in a directory and writes `NAME.wasm` into `out`. Returns the file.
pub(crate) fn build(dir: &Path, out: &Path, toolchain: &Toolchain) -> Result<PathBuf> {
    let manifest = manifest::read(dir)?;
    let module = compile::compile(dir, toolchain)?;
    let component = encode::encode(&module, &manifest, dir)
        .with_context(|| format!("{}: the module is no plugin", dir.display()))?;
    std::fs::create_dir_all(out).with_context(|| format!("can't create {}", out.display()))?;
    let file = out.join(format!("{}.wasm", manifest.name));
    if std::fs::read(&file).is_ok_and(|old| old == component) {
        return Ok(file);
    }
    let temporary = out.join(format!(".{}.wasm.{}", manifest.name, std::process::id()));
    std::fs::write(&temporary, &component).with_context(|| format!("can't write {}", temporary.display()))?;
    std::fs::rename(&temporary, &file).with_context(|| format!("can't write {}", file.display()))?;
    Ok(file)
}
