//! Components made of others: with another manifest, with a byte changed, or of nothing but work for the compiler.

use crate::place;
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

/// Name of the section that holds the manifest.
const MANIFEST: &str = "confab:manifest";
/// Bytes before the first section.
const HEADER: usize = 8;

/// A built plugin with its manifest changed. A signature, if it had one, is not renewed.
///
/// # Errors
/// When it was not built, or has no manifest.
pub fn variant(plugin: &str, change: impl FnOnce(&mut Value)) -> Result<Vec<u8>> {
    place::plugin(plugin)?;
    let wasm = std::fs::read(place::plugins()?.join(format!("{plugin}.wasm")))?;
    let mut out = wasm.get(..HEADER).context("no component")?.to_vec();
    let (mut rest, mut manifest) = (wasm.get(HEADER..).context("no component")?, None);
    while let Some((id, after)) = rest.split_first() {
        let (size, content) = number(after)?;
        let (section, next) = content.split_at_checked(size).context("a section ends beyond the file")?;
        let named = *id == 0 && number(section)?.1.starts_with(MANIFEST.as_bytes());
        if named {
            let data = number(section)?.1.get(MANIFEST.len()..).context("no manifest")?;
            manifest = Some(serde_json::from_slice::<Value>(data)?);
        } else {
            out.extend_from_slice(rest.get(..rest.len() - next.len()).context("a section has no beginning")?);
        }
        rest = next;
    }
    let mut manifest = manifest.with_context(|| format!("{plugin}.wasm has no manifest"))?;
    ensure!(
        manifest["imports"].is_array(),
        "{plugin}.wasm was built by an older `confab plugin build`: run `make plugins`"
    );
    change(&mut manifest);
    append(&mut out, 0, &custom(MANIFEST, manifest.to_string().as_bytes()));
    Ok(out)
}

/// A component that says nothing wrong and takes the compiler minutes: functions as large as functions may be.
pub fn compile_bomb() -> Vec<u8> {
    // local.get 0, i32.const 1, i32.add, local.set 0
    let step = [0x20, 0, 0x41, 1, 0x6a, 0x21, 0];
    let mut body = vec![1, 1, 0x7f];
    body.extend(step.iter().copied().cycle().take(step.len() * 1_000_000));
    body.push(0x0b);
    let functions = 4_usize;
    let mut code = leb128(functions);
    for _ in 0..functions {
        code.extend(leb128(body.len()));
        code.extend_from_slice(&body);
    }
    let mut module = b"\0asm\x01\0\0\0".to_vec();
    append(&mut module, 1, &[1, 0x60, 0, 0]);
    append(&mut module, 3, &[functions as u8, 0, 0, 0, 0]);
    append(&mut module, 10, &code);
    let mut component = b"\0asm\x0d\0\x01\0".to_vec();
    append(&mut component, 1, &module);
    let manifest =
        json!({"name": "bomb", "version": "1.0.0", "publisher": "nobody", "kind": "connector", "imports": []});
    append(&mut component, 0, &custom(MANIFEST, manifest.to_string().as_bytes()));
    component
}

fn custom(name: &str, data: &[u8]) -> Vec<u8> {
    [leb128(name.len()).as_slice(), name.as_bytes(), data].concat()
}

fn append(wasm: &mut Vec<u8>, id: u8, content: &[u8]) {
    wasm.push(id);
    wasm.extend(leb128(content.len()));
    wasm.extend_from_slice(content);
}

fn leb128(mut value: usize) -> Vec<u8> {
    let mut out = Vec::new();
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

fn number(bytes: &[u8]) -> Result<(usize, &[u8])> {
    let mut value = 0;
    for (place, byte) in bytes.iter().take(5).enumerate() {
        value |= usize::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Ok((value, bytes.get(place + 1..).unwrap_or_default()));
        }
    }
    anyhow::bail!("no number where one must be")
}
