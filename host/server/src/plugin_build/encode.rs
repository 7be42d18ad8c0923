//! From a core module to a component with manifest and documentation inside.

use anyhow::{Context, Result, anyhow};
use confab_sandbox::Manifest;
use confab_sandbox::docs::Docs;
use confab_sandbox::manifest::{DOCS_SECTION, MANIFEST_SECTION, imports_of};
use std::borrow::Cow;
use std::path::Path;
use wasm_encoder::reencode::{Reencode, RoundtripReencoder};
use wasm_encoder::{ComponentSection, CustomSection, Encode, MemorySection, MemoryType};

/// Pages of 64 KiB that a guest's memory starts with beyond what it needs for data and stack: 256 KiB.
/// A bump allocator that fits into it never calls `memory.grow`, which costs two system calls.
const HEADROOM_PAGES: u64 = 4;

/// Encodes a core module, which knows its world, as a component.
pub(super) fn encode(module: &[u8]) -> Result<Vec<u8>> {
    wit_component::ComponentEncoder::default()
        .validate(true)
        .module(module)
        .map_err(|e| anyhow!("{e:#}"))?
        .encode()
        .map_err(|e| anyhow!("{e:#}"))
}

/// Puts the manifest into a component. `dir` may hold a `wit` folder with the plugin's own interfaces.
pub(super) fn describe(mut component: Vec<u8>, manifest: &Manifest, dir: &Path) -> Result<Vec<u8>> {
    let manifest = manifest_of(&component, manifest)?;
    append(&mut component, MANIFEST_SECTION, &serde_json::to_vec(&manifest)?);
    let wit = dir.join("wit");
    if wit.is_dir() {
        let docs = Docs::of_directory(&wit).map_err(|e| anyhow!("{}: {e}", wit.display()))?;
        append(&mut component, DOCS_SECTION, &serde_json::to_vec(&docs)?);
    }
    Ok(component)
}

/// The manifest as it stands in a component: with what the component imports.
pub(super) fn manifest_of(component: &[u8], manifest: &Manifest) -> Result<Manifest> {
    Ok(Manifest { imports: Some(imports_of(component)?), ..manifest.clone() })
}

fn append(component: &mut Vec<u8>, name: &str, data: &[u8]) {
    let section = CustomSection { name: Cow::Borrowed(name), data: Cow::Borrowed(data) };
    component.push(ComponentSection::id(&section));
    section.encode(component);
}

/// The module with a larger initial memory.
pub(super) fn with_headroom(module: &[u8]) -> Result<Vec<u8>> {
    struct Headroom;
    impl Reencode for Headroom {
        type Error = std::convert::Infallible;

        fn parse_memory_section(
            &mut self,
            memories: &mut MemorySection,
            section: wasmparser::MemorySectionReader<'_>,
        ) -> Result<(), wasm_encoder::reencode::Error<Self::Error>> {
            for memory in section {
                let memory: MemoryType = RoundtripReencoder.memory_type(memory?)?;
                let minimum = memory.minimum + HEADROOM_PAGES;
                let minimum = memory.maximum.map_or(minimum, |maximum| minimum.min(maximum));
                memories.memory(MemoryType { minimum, ..memory });
            }
            Ok(())
        }
    }
    let mut out = wasm_encoder::Module::new();
    Headroom
        .parse_core_module(&mut out, wasmparser::Parser::new(0), module)
        .map_err(|e| anyhow!("{e}"))
        .context("not a Wasm module")?;
    Ok(out.finish())
}
