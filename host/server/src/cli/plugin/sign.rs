//! `confab plugin keygen|sign|verify`: keys and signatures, with no server.

use anyhow::{Context, Result, anyhow, bail};
use confab_sandbox::Manifest;
use confab_sandbox::signature::{SigningKey, TrustedPublishers};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Makes a key. Nothing is overwritten: a lost key can't be had again.
pub(super) fn keygen(name: &str, out: &Path) -> Result<()> {
    if !confab_sandbox::manifest::is_name(name) {
        bail!("`{}` can't be a publisher: 1 to 63 of a-z, 0-9 and -, starting with a letter", name.escape_debug());
    }
    std::fs::create_dir_all(out).with_context(|| format!("can't create {}", out.display()))?;
    let (key, text) = SigningKey::generate()?;
    let (private, public) = (out.join(format!("{name}.key")), out.join(format!("{name}.pub")));
    if public.exists() {
        bail!("{} is there already; nothing was changed", public.display());
    }
    write_new(&private, &text, 0o600)?;
    write_new(&public, &format!("{}\n", key.public_line(name)), 0o644)?;
    say!("key {} for publisher {name}", key.id());
    say!("{}  keep it secret", private.display());
    say!("{}  give it to operators: its line goes into the file of --trusted-publishers", public.display());
    Ok(())
}

fn write_new(file: &Path, text: &str, mode: u32) -> Result<()> {
    let opened = std::fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(file);
    let written = opened.and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    written.with_context(|| format!("can't write {}; nothing is overwritten", file.display()))
}

pub(super) fn sign(file: &Path, key: &Path) -> Result<()> {
    let text = std::fs::read_to_string(key).with_context(|| key.display().to_string())?;
    let key = SigningKey::of_text(&text).with_context(|| key.display().to_string())?;
    let wasm = std::fs::read(file).with_context(|| file.display().to_string())?;
    let manifest = Manifest::of_component(&wasm).with_context(|| file.display().to_string())?;
    let signed = key.sign(&wasm).with_context(|| file.display().to_string())?;
    let temporary = file.with_extension(format!("wasm.{}", std::process::id()));
    std::fs::write(&temporary, &signed).with_context(|| format!("can't write {}", temporary.display()))?;
    std::fs::rename(&temporary, file).with_context(|| format!("can't write {}", file.display()))?;
    say!("{} {} of publisher {}: signed with key {}", manifest.name, manifest.version, manifest.publisher, key.id());
    say!("sha256:{}", confab_sandbox::engine::digest(&signed));
    Ok(())
}

pub(super) fn verify(file: &Path, trusted: &Path) -> Result<()> {
    let text = std::fs::read_to_string(trusted).with_context(|| trusted.display().to_string())?;
    let list = TrustedPublishers::parse(&text).map_err(|e| anyhow!("{}:{e}", trusted.display()))?;
    let wasm = std::fs::read(file).with_context(|| file.display().to_string())?;
    let manifest = Manifest::of_component(&wasm).with_context(|| file.display().to_string())?;
    match list.verify(&wasm, &manifest.publisher).with_context(|| file.display().to_string())? {
        Some(key) => {
            say!("{} {}: signed by publisher {} with key {key}", manifest.name, manifest.version, manifest.publisher);
            Ok(())
        }
        None => bail!("{} is not signed; sign it with `confab plugin sign {0} --key NAME.key`", file.display()),
    }
}
