//! A tenant's folder in a directory of its own, to be applied to a server.

use crate::place;
use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A folder. It is gone with the value.
#[derive(Debug)]
pub struct Folder {
    dir: TempDir,
}

impl Folder {
    /// A tenant without bots.
    ///
    /// # Errors
    /// When nothing can be written.
    pub fn of(tenant: &str) -> Result<Folder> {
        let folder = Folder { dir: tempfile::tempdir()? };
        folder.write("tenant.yaml", &format!("id: {tenant}\nname: {tenant}\n"))?;
        Ok(folder)
    }

    /// A copy of `examples/shop`.
    ///
    /// # Errors
    /// When it can't be copied, or the plugins that it needs were not built.
    pub fn shop() -> Result<Folder> {
        for needed in ["flow", "sheet"] {
            place::plugin(needed)?;
        }
        let folder = Folder { dir: tempfile::tempdir()? };
        copy(&place::example("shop"), folder.path())?;
        Ok(folder)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Writes a file.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn write(&self, file: &str, text: &str) -> Result<()> {
        let path = self.path().join(file);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::write(&path, text).with_context(|| path.display().to_string())
    }

    /// Reads a file.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn read(&self, file: &str) -> Result<String> {
        let path = self.path().join(file);
        std::fs::read_to_string(&path).with_context(|| path.display().to_string())
    }

    /// Replaces words in a file.
    ///
    /// # Errors
    /// When they are not in it: the test would test nothing.
    pub fn replace(&self, file: &str, from: &str, to: &str) -> Result<()> {
        let text = self.read(file)?;
        ensure!(text.contains(from), "{file} does not have `{from}`");
        self.write(file, &text.replacen(from, to, 1))
    }

    /// The line, from 1, in which these words stand first.
    ///
    /// # Errors
    /// When they are not there.
    pub fn line_of(&self, file: &str, words: &str) -> Result<usize> {
        let text = self.read(file)?;
        let found = text.lines().position(|line| line.contains(words));
        Ok(found.with_context(|| format!("{file} does not have `{words}`"))? + 1)
    }

    /// Adds a bot that runs a guest of `tests/guests` and has its name. Its fallback says `GUEST failed`, in German
    /// `GUEST ist ausgefallen`.
    ///
    /// # Errors
    /// When the guest was not built.
    pub fn guest(&self, name: &str) -> Result<()> {
        self.guest_as(name, name, &[])
    }

    /// The same under a name of its own, with connections by capability.
    ///
    /// # Errors
    /// When the guest was not built.
    pub fn guest_as(&self, bot: &str, guest: &str, connections: &[(&str, &str)]) -> Result<()> {
        place::plugin(guest)?;
        let mut yaml =
            format!("id: {bot}\nplugin: {guest}\nfallback:\n  en: {guest} failed\n  de: {guest} ist ausgefallen\n");
        if !connections.is_empty() {
            yaml.push_str("connections:\n");
            for (capability, connection) in connections {
                yaml.push_str(&format!("  {capability}: {connection}\n"));
            }
        }
        self.write(&format!("bots/{bot}.yaml"), &yaml)
    }
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let mut folders: Vec<(PathBuf, PathBuf)> = vec![(from.to_owned(), to.to_owned())];
    while let Some((from, to)) = folders.pop() {
        std::fs::create_dir_all(&to)?;
        for entry in std::fs::read_dir(&from).with_context(|| from.display().to_string())? {
            let entry = entry?;
            let target = to.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                folders.push((entry.path(), target));
            } else {
                std::fs::copy(entry.path(), target)?;
            }
        }
    }
    Ok(())
}
