//! Versions of plugins, made out of built ones, and conversations that go on while versions change.

use crate::client::{Client, Talk};
use crate::place;
use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tempfile::TempDir;
use tokio::sync::watch;

/// Name of the section that holds a plugin's manifest.
const MANIFEST: &str = "confab:manifest";
/// Bytes before the first section of a component: magic and version.
const PREAMBLE: usize = 8;

/// A plugin directory of its own.
#[derive(Debug)]
pub struct Shelf {
    dir: TempDir,
}

impl Shelf {
    /// One with these built plugins as they are.
    ///
    /// # Errors
    /// When one was not built.
    pub fn new(plugins: &[&str]) -> Result<Shelf> {
        let shelf = Shelf { dir: tempfile::tempdir()? };
        for plugin in plugins {
            let file = format!("{plugin}.wasm");
            std::fs::copy(built(plugin)?, shelf.path().join(file))?;
        }
        Ok(shelf)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Adds the code of a built plugin under another name and version, beside the other versions of that name.
    ///
    /// # Errors
    /// When it was not built, or can't be written.
    pub fn add(&self, code: &str, name: &str, version: &str) -> Result<()> {
        let wasm = std::fs::read(built(code)?)?;
        let wasm = with_manifest(&wasm, |manifest| {
            manifest["name"] = json!(name);
            manifest["version"] = json!(version);
        })?;
        let file = self.path().join(format!("{name}@{version}.wasm"));
        std::fs::write(&file, wasm).with_context(|| file.display().to_string())
    }
}

fn built(plugin: &str) -> Result<PathBuf> {
    place::plugin(plugin)?;
    Ok(place::plugins()?.join(format!("{plugin}.wasm")))
}

/// The component with its manifest changed.
///
/// # Errors
/// When the bytes are no component with a manifest.
pub fn with_manifest(wasm: &[u8], change: impl FnOnce(&mut Value)) -> Result<Vec<u8>> {
    let mut out = wasm.get(..PREAMBLE).context("no component")?.to_vec();
    let (mut rest, mut change) = (wasm.get(PREAMBLE..).unwrap_or_default(), Some(change));
    while let Some((id, after)) = rest.split_first() {
        let (size, after) = leb(after)?;
        let (content, next) = after.split_at_checked(size).context("a section ends too early")?;
        let manifest = if *id == 0 { manifest_of(content)? } else { None };
        match (manifest, change.take()) {
            (Some(mut manifest), Some(change)) => {
                change(&mut manifest);
                let mut section = Vec::new();
                put_leb(&mut section, MANIFEST.len());
                section.extend_from_slice(MANIFEST.as_bytes());
                section.extend(serde_json::to_vec(&manifest)?);
                out.push(0);
                put_leb(&mut out, section.len());
                out.extend(section);
            }
            (_, unused) => {
                change = unused;
                out.push(*id);
                put_leb(&mut out, size);
                out.extend_from_slice(content);
            }
        }
        rest = next;
    }
    ensure!(change.is_none(), "the component has no manifest");
    Ok(out)
}

/// The manifest, if a custom section holds it.
fn manifest_of(section: &[u8]) -> Result<Option<Value>> {
    let (length, rest) = leb(section)?;
    let (name, data) = rest.split_at_checked(length).context("a section's name ends too early")?;
    if name == MANIFEST.as_bytes() { Ok(Some(serde_json::from_slice(data)?)) } else { Ok(None) }
}

fn leb(bytes: &[u8]) -> Result<(usize, &[u8])> {
    let mut value = 0_usize;
    for (index, byte) in bytes.iter().enumerate().take(5) {
        value |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Ok((value, bytes.get(index + 1..).unwrap_or_default()));
        }
    }
    bail!("a number ends too early")
}

fn put_leb(out: &mut Vec<u8>, mut value: usize) {
    loop {
        let byte = u8::try_from(value & 0x7f).unwrap_or_default();
        value >>= 7;
        if value == 0 {
            out.push(byte);
            return;
        }
        out.push(byte | 0x80);
    }
}

/// Conversations with a bot that answers `N: text` and counts, going on until they are told to stop.
///
/// Each answer must come, be no fallback, and have the next number: a turn that is lost, served twice or answered by a
/// fallback ends the load with an error.
#[derive(Debug)]
pub struct Load {
    stop: watch::Sender<bool>,
    turns: Arc<AtomicUsize>,
    talks: Vec<tokio::task::JoinHandle<Result<()>>>,
}

impl Load {
    /// Begins so many conversations with a bot.
    pub fn start(client: &Client, bot: &str, talks: usize, message: &'static str) -> Load {
        let (stop, stopped) = watch::channel(false);
        let turns = Arc::new(AtomicUsize::new(0));
        let talks = (0..talks)
            .map(|_| {
                let (talk, stopped, turns) = (client.talk().with(bot), stopped.clone(), turns.clone());
                tokio::spawn(go_on(talk, message, stopped, turns))
            })
            .collect();
        Load { stop, turns, talks }
    }

    /// Turns that were answered so far.
    pub fn turns(&self) -> usize {
        self.turns.load(Ordering::Relaxed)
    }

    /// Fails when one of the conversations has.
    ///
    /// # Errors
    /// When a conversation has ended.
    pub fn goes_on(&self) -> Result<()> {
        ensure!(!self.talks.iter().any(tokio::task::JoinHandle::is_finished), "a conversation has ended");
        Ok(())
    }

    /// Stops, and gives the number of turns, all of which were answered as they must be.
    ///
    /// # Errors
    /// What went wrong first in a conversation.
    pub async fn stop(self) -> Result<usize> {
        self.stop.send_replace(true);
        for talk in self.talks {
            talk.await??;
        }
        Ok(self.turns.load(Ordering::Relaxed))
    }
}

async fn go_on(
    mut talk: Talk,
    message: &'static str,
    stopped: watch::Receiver<bool>,
    turns: Arc<AtomicUsize>,
) -> Result<()> {
    // The guests count in one byte.
    let mut number = 0_u8;
    while !*stopped.borrow() {
        number = number.wrapping_add(1);
        let said = talk.say(message).await?;
        let expected = format!("{number}: {message}");
        ensure!(said.response == expected, "wanted `{expected}`, heard `{}`", said.response);
        turns.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}
