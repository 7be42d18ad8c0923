//! `confab plugin build DIR`: from a plugin's source to one component file.
//!
//! The one place that knows how guests are built; bundled plugins, tests and third parties all come through here.
//!
//! 1. [`manifest`] reads plugin.toml, which says whether the plugin is a Rust crate or a module in a file.
//! 2. A crate: [`toolchain`] chooses the compiler, once, and says which in one line; [`compile`] runs cargo.
//! 3. A file: [`module`] reads it, text or binary, and gives a core module its world.
//! 4. [`encode`] turns a core module into a component and puts manifest and documentation into it.

mod compile;
mod encode;
mod manifest;
mod module;
mod toolchain;

use anyhow::{Context, Result};
use manifest::PluginToml;
use module::Module;
use std::path::{Path, PathBuf};
use toolchain::Toolchain;

/// Builds plugins. Looks for a compiler when the first one needs it.
#[derive(Debug, Default)]
pub(crate) struct Builder {
    toolchain: Option<Toolchain>,
}

impl Builder {
    /// Builds the plugin in a directory and writes `NAME.wasm` into `out`. Returns the file.
    pub(crate) fn build(&mut self, dir: &Path, out: &Path) -> Result<PathBuf> {
        let PluginToml { manifest, module } = manifest::read(dir)?;
        let source = module.clone().unwrap_or_else(|| dir.to_owned());
        let component = match module {
            None => {
                let module = compile::compile(dir, self.toolchain()?)?;
                encode::with_headroom(&module).and_then(|module| encode::encode(&module))
            }
            Some(file) => match module::read(&file, dir, manifest.kind)? {
                Module::Core(module) => encode::encode(&module),
                Module::Component(component) => Ok(component),
            },
        };
        let component = component
            .and_then(|component| encode::describe(component, &manifest, dir))
            .with_context(|| format!("{}: the module is no plugin", source.display()))?;
        write(&component, &manifest.name, out)
    }

    fn toolchain(&mut self) -> Result<&Toolchain> {
        let toolchain = match self.toolchain.take() {
            Some(toolchain) => toolchain,
            None => {
                let toolchain = Toolchain::find()?;
                println!("{}", toolchain.describe());
                toolchain
            }
        };
        Ok(self.toolchain.insert(toolchain))
    }
}

fn write(component: &[u8], name: &str, out: &Path) -> Result<PathBuf> {
    std::fs::create_dir_all(out).with_context(|| format!("can't create {}", out.display()))?;
    let file = out.join(format!("{name}.wasm"));
    if std::fs::read(&file).is_ok_and(|old| old == component) {
        return Ok(file);
    }
    let temporary = out.join(format!(".{name}.wasm.{}", std::process::id()));
    std::fs::write(&temporary, component).with_context(|| format!("can't write {}", temporary.display()))?;
    std::fs::rename(&temporary, &file).with_context(|| format!("can't write {}", file.display()))?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use confab_sandbox::Manifest;

    const INTENT: &str = r#"(module
        (import "confab:plugin/clock@1.0.0" "now" (func (result i64)))
        (memory (export "memory") 1)
        (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) unreachable)
        (func (export "confab:plugin/dialogue@1.0.0#prepare") (param i32 i32) (result i32) unreachable)
        (func (export "confab:plugin/dialogue@1.0.0#handle") (param i32) (result i32) unreachable))"#;

    /// Builds a plugin whose module is this text.
    fn built(text: &str, more: &str) -> Result<Vec<u8>> {
        let dir = tempfile::tempdir()?;
        let toml = format!("name = \"x\"\npublisher = \"me\"\nkind = \"intent\"\nmodule = \"x.wat\"\n{more}");
        std::fs::write(dir.path().join("plugin.toml"), toml)?;
        std::fs::write(dir.path().join("x.wat"), text)?;
        let file = Builder::default().build(dir.path(), &dir.path().join("out"))?;
        Ok(std::fs::read(file)?)
    }

    fn refusal(text: &str, more: &str) -> String {
        format!("{:#}", built(text, more).unwrap_err())
    }

    #[test]
    fn a_core_module_becomes_a_component_of_the_interfaces_that_it_names() {
        let component = built(INTENT, "version = \"1.2.3\"\n").unwrap();
        assert_eq!(Manifest::of_component(&component).unwrap().version, "1.2.3");
        let wasm = wit_component::decode(&component).unwrap();
        let (resolve, world) = match wasm {
            wit_component::DecodedWasm::Component(resolve, world) => (resolve, world),
            wit_component::DecodedWasm::WitPackage(..) => panic!("no component"),
        };
        let names = |keys: &mut dyn Iterator<Item = &wit_parser::WorldKey>| -> Vec<String> {
            let mut names: Vec<String> = keys.map(|key| resolve.name_world_key(key)).collect();
            names.sort();
            names
        };
        let world = &resolve.worlds[world];
        // `types` by way of `dialogue`; what the module doesn't import is not in it.
        let imports = names(&mut world.imports.keys());
        assert_eq!(imports, ["confab:plugin/clock@1.0.0", "confab:plugin/types@1.0.0"]);
        assert_eq!(names(&mut world.exports.keys()), ["confab:plugin/dialogue@1.0.0"]);
    }

    #[test]
    fn a_component_is_taken_as_it_is() {
        let text = "(component (core module $m (memory 1)) (core instance (instantiate $m)))";
        let plain = wat::parse_str(text).unwrap();
        let component = built(text, "version = \"1.2.3\"\n").unwrap();
        assert!(component.starts_with(&plain) && component.len() > plain.len());
        assert_eq!(Manifest::of_component(&component).unwrap().name, "x");
    }

    #[test]
    fn a_module_that_can_not_be_used_is_refused_by_its_file() {
        let version = "version = \"1.2.3\"\n";
        for (text, more, words) in [
            ("(module (func (result i32)", version, &["x.wat:1:", "expected"][..]),
            (r#"(module (import "acme:shop/stock@1.0.0" "get" (func)))"#, version, &["x.wat", "acme:shop"]),
            ("(module (memory 1))", version, &["x.wat", "confab:plugin/dialogue@1.0.0"]),
            (INTENT, "", &["plugin.toml", "version"]),
        ] {
            let refusal = refusal(text, more);
            assert!(words.iter().all(|word| refusal.contains(word)), "{words:?}: {refusal}");
        }
    }
}
