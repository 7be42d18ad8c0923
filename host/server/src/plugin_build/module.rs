//! A plugin that comes as a module: `module = "guest.wat"` in plugin.toml, text or binary.
//!
//! Any language that compiles to a core module can be used this way, and so can none at all. What the module imports and
//! exports by the component model's names (`confab:plugin/log@1.0.0` `write`, `confab:plugin/dialogue@1.0.0#handle`) says
//! which interfaces it means; the world is made of those, from the contract and from the plugin's own `wit` folder, and
//! embedded as other languages' bindings do. A module that has its world already keeps it. A component is taken as it is.

use anyhow::{Context, Result, anyhow};
use confab_sandbox::Kind;
use confab_sandbox::docs::{CAPABILITIES, PLUGIN};
use std::collections::BTreeSet;
use std::path::Path;
use wasmparser::{Parser, Payload};
use wit_component::StringEncoding;
use wit_parser::{Resolve, SourceMap};

/// What languages' bindings call the section that holds the world. A suffix may follow.
const WORLD_SECTION: &str = "component-type";

/// What the file holds.
pub(super) enum Module {
    /// A core module with its world, to be made a component.
    Core(Vec<u8>),
    /// A component.
    Component(Vec<u8>),
}

/// Reads the file. `dir` may hold a `wit` folder with interfaces beyond the contract.
pub(super) fn read(file: &Path, dir: &Path, kind: Kind) -> Result<Module> {
    let bytes = std::fs::read(file).with_context(|| format!("{}: named as `module`", file.display()))?;
    let bytes = wat::Parser::new().parse_bytes(Some(file), &bytes).map_err(|e| anyhow!("{e}"))?.into_owned();
    if Parser::is_component(&bytes) {
        return Ok(Module::Component(bytes));
    }
    with_world(bytes, dir, kind).map(Module::Core).with_context(|| file.display().to_string())
}

/// The interfaces that a module names, and whether it says itself what they are.
#[derive(Default)]
struct Names {
    imports: BTreeSet<String>,
    exports: BTreeSet<String>,
    has_world: bool,
}

impl Names {
    fn of(module: &[u8]) -> Result<Names> {
        let mut names = Names::default();
        for payload in Parser::new(0).parse_all(module) {
            match payload? {
                Payload::ImportSection(section) => {
                    for import in section.into_imports() {
                        names.imports.insert(import?.module.to_owned());
                    }
                }
                Payload::ExportSection(section) => {
                    for export in section {
                        let name = export?.name;
                        if let Some((interface, _)) = name.split_once('#')
                            && !name.starts_with("cabi_post_")
                        {
                            names.exports.insert(interface.to_owned());
                        }
                    }
                }
                Payload::CustomSection(section) => names.has_world |= section.name().starts_with(WORLD_SECTION),
                _ => {}
            }
        }
        Ok(names)
    }

    /// The world as WIT. What the kind includes anyway may be named again.
    fn world(&self, kind: Kind) -> String {
        let base = match kind {
            Kind::Intent => "confab:plugin/intent@1.0.0",
            // Channels have no world of their own yet; they import what connectors do.
            Kind::Connector | Kind::Channel => "confab:plugin/connector@1.0.0",
        };
        let item = |verb: &'static str| move |name: &String| format!("  {verb} {name};\n");
        let imports: String = self.imports.iter().map(item("import")).collect();
        let exports: String = self.exports.iter().map(item("export")).collect();
        format!("package confab:module;\nworld module {{\n  include {base};\n{imports}{exports}}}\n")
    }
}

fn with_world(mut module: Vec<u8>, dir: &Path, kind: Kind) -> Result<Vec<u8>> {
    let names = Names::of(&module).context("not a Wasm module")?;
    if names.has_world {
        return Ok(module);
    }
    let mut resolve = Resolve::default();
    for files in [CAPABILITIES, PLUGIN] {
        let mut sources = SourceMap::default();
        for (name, text) in files {
            sources.push(Path::new(name), text.to_string());
        }
        let group = sources.parse().map_err(|(_, e)| anyhow!("{e:?}"))?;
        resolve.push_group(group).map_err(|e| anyhow!("{e:#}"))?;
    }
    let wit = dir.join("wit");
    if wit.is_dir() {
        let mut own = Resolve::default();
        own.push_dir(&wit).map_err(|e| anyhow!("{}: {e:#}", wit.display()))?;
        resolve.merge(own).map_err(|e| anyhow!("{}: {e:#}", wit.display()))?;
    }
    let package = resolve.push_str("its imports and exports", &names.world(kind)).map_err(|e| {
        anyhow!("it imports or exports what neither the contract nor {} declares: {e:#}", wit.display())
    })?;
    let world = resolve.select_world(&[package], None).map_err(|e| anyhow!("{e:#}"))?;
    wit_component::embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)
        .map_err(|e| anyhow!("{e:#}"))?;
    Ok(module)
}
