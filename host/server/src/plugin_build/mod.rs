//! `confab plugin build DIR`: from a plugin's source to one component file.
//!
//! The one place that knows how guests are built; bundled plugins, tests and third parties all come through here.
//!
//! 1. [`manifest`] reads plugin.toml, which says whether the plugin is a Rust crate or a module in a file.
//! 2. A crate: [`toolchain`] chooses the compiler, once, and says which in one line; [`compile`] runs cargo.
//! 3. A file: [`module`] reads it, text or binary, and gives a core module its world.
//! 4. [`encode`] turns a core module into a component and puts manifest and documentation into it.
//! 5. What the install gate would refuse is told now, all of it: by [`confab_sandbox::gate::examine`], with what [`offers`]
//!    reads out of the component, and by the engine ([`gate`]); [`schema`] finds the place. Then the file is written.

mod compile;
mod encode;
mod gate;
mod manifest;
mod module;
mod offers;
mod schema;
mod toolchain;

use anyhow::{Context, Result, bail};
use confab_sandbox::gate::examine;
use manifest::PluginToml;
use module::Module;
use std::path::{Path, PathBuf};
use toolchain::Toolchain;

/// Builds plugins. Looks for a compiler when the first one needs it.
#[derive(Debug, Default)]
pub(crate) struct Builder {
    toolchain: Option<Toolchain>,
}

/// What was built.
#[derive(Debug)]
pub(crate) struct Built {
    /// The component.
    pub(crate) file: PathBuf,
    /// What its author may not have meant.
    pub(crate) warnings: Vec<String>,
}

impl Builder {
    /// Builds the plugin in a directory and writes `NAME.wasm` into `out`.
    pub(crate) fn build(&mut self, dir: &Path, out: &Path) -> Result<Built> {
        let plugin = manifest::read(dir)?;
        let component = self.component(&plugin, dir)?;
        let problems = problems(&plugin, &component)?;
        match problems.as_slice() {
            [] => {}
            [one] => bail!("{one}"),
            many => bail!("{} problems; nothing was written\n  {}", many.len(), many.join("\n  ")),
        }
        let file = write(&component, &plugin.manifest.name, out)?;
        Ok(Built { file, warnings: warnings(&plugin) })
    }

    fn component(&mut self, plugin: &PluginToml, dir: &Path) -> Result<Vec<u8>> {
        let PluginToml { manifest, module, .. } = plugin;
        let source = module.as_deref().unwrap_or(dir);
        let component = match module {
            None => {
                let module = compile::compile(dir, self.toolchain()?)?;
                encode::with_headroom(&module).and_then(|module| encode::encode(&module))
            }
            Some(file) => match module::read(file, dir, manifest.kind)? {
                Module::Core(module) => encode::encode(&module),
                Module::Component(component) => Ok(component),
            },
        };
        component
            .and_then(|component| encode::describe(component, manifest, dir))
            .with_context(|| format!("{}: the module is no plugin", source.display()))
    }

    fn toolchain(&mut self) -> Result<&Toolchain> {
        let toolchain = match self.toolchain.take() {
            Some(toolchain) => toolchain,
            None => {
                let toolchain = Toolchain::find()?;
                say!("{}", toolchain.describe());
                toolchain
            }
        };
        Ok(self.toolchain.insert(toolchain))
    }
}

/// All that the install gate would refuse, each with its file.
fn problems(plugin: &PluginToml, component: &[u8]) -> Result<Vec<String>> {
    let file = plugin.file.display();
    // As it stands in the component: with its imports.
    let manifest = encode::manifest_of(component, &plugin.manifest)?;
    let offers = offers::of(component).with_context(|| plugin.file.display().to_string())?;
    let examined = examine(component, &manifest, &offers);
    let mut problems: Vec<String> = examined.into_iter().map(|r| format!("{file}: {}", r.message)).collect();
    let endpoints = manifest.endpoints.iter().filter(|endpoint| endpoint.auth.is_object());
    problems.extend(endpoints.filter_map(gate::endpoint).map(|wrong| format!("{file}: {wrong}")));
    if let (Some(schema), Some(from)) = (&manifest.settings, &plugin.settings) {
        let found = schema::problems(schema, gate::settings);
        problems.extend(found.into_iter().map(|wrong| format!("{}: {wrong}", from.display())));
    }
    Ok(problems)
}

/// What is allowed and may not be meant, each with its file.
fn warnings(plugin: &PluginToml) -> Vec<String> {
    let doubts = confab_sandbox::offers::doubts(&plugin.manifest);
    let mut warnings: Vec<String> = doubts.iter().map(|doubt| format!("{}: {doubt}", plugin.file.display())).collect();
    if let (Some(schema), Some(from)) = (&plugin.manifest.settings, &plugin.settings) {
        warnings.extend(schema::doubts(schema).iter().map(|doubt| format!("{}: {doubt}", from.display())));
    }
    warnings
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
        let built = Builder::default().build(dir.path(), &dir.path().join("out"))?;
        Ok(std::fs::read(built.file)?)
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
        let text = r#"(component (core module $m (memory 1)) (core instance (instantiate $m))
            (instance $dialogue) (export "confab:plugin/dialogue@1.0.0" (instance $dialogue)))"#;
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

    /// A connector that answers questions about orders and stock, badly.
    const CONNECTOR: &str = r#"(module
        (memory (export "memory") 1)
        (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) unreachable)
        (func (export "confab:plugin/health@1.0.0#check") (result i32) unreachable)
        (func (export "acme:erp/returns@1.0.0#due") (param i32 i32) (result i32) unreachable))"#;
    const RETURNS: &str =
        "package acme:erp@1.0.0;\ninterface returns { due: func(customer-id: string) -> list<string>; }\n";

    /// Builds a connector; what is wrong with it, or its warnings.
    fn connector(text: &str, toml: &str, schema: &str) -> Result<Vec<String>, String> {
        let dir = tempfile::tempdir().unwrap();
        let toml = format!(
            "name = \"x\"\nversion = \"1.0.0\"\npublisher = \"me\"\nkind = \"connector\"\nmodule = \"x.wat\"\nsettings = \"s.json\"\n{toml}"
        );
        let wit = dir.path().join("wit");
        std::fs::create_dir(&wit).unwrap();
        for (file, text) in
            [("plugin.toml", toml.as_str()), ("x.wat", text), ("s.json", schema), ("wit/a.wit", RETURNS)]
        {
            std::fs::write(dir.path().join(file), text).unwrap();
        }
        let out = dir.path().join("out");
        let built = Builder::default().build(dir.path(), &out);
        assert_eq!(built.is_ok(), out.join("x.wasm").exists());
        built.map(|built| built.warnings).map_err(|e| format!("{e:#}"))
    }

    #[test]
    fn what_the_install_gate_would_refuse_is_told_at_once_and_all_of_it() {
        let toml = r#"
            [[endpoints]]
            name = "api"
            methods = ["GET", "FETCH"]
            [endpoints.auth.beare]
            [[operations]]
            name = "tickets.shut"
            [[operations]]
            name = "order.get"
            cache = { ttl_s = 5 }
            [[operations]]
            name = "returns.due"
            reads = true
            cache = { ttl_s = 5, tags = ["returns:{id}"] }
        "#;
        let schema = r#"{"properties": {"a": {"type": "text"}, "sku": {"pattern": "^(?=a)"}}}"#;
        let told = connector(CONNECTOR, toml, schema).unwrap_err();
        for words in [
            "plugin.toml: endpoint `api` has the method `FETCH`; there are: GET, ",
            "plugin.toml: endpoint `api`: auth of the manifest: unknown variant `beare`, expected one of ",
            "plugin.toml: operation `tickets.shut`: the component has no function `tickets.shut`; it has: returns.due, health.check",
            "plugin.toml: operation `order.get`: the component has no function `order.get`; it has: ",
            "plugin.toml: operation `returns.due`: `{id}` in the tag `returns:{id}` is no argument of it; there are: customer_id",
            "s.json: /properties/a/type: \"text\" is not",
            "s.json: /properties/sku/pattern: the pattern `^(?=a)` can't be used",
        ] {
            assert!(told.contains(words), "{words}: {told}");
        }
        assert!(told.starts_with("7 problems; nothing was written\n") && told.lines().count() == 8, "{told}");
    }

    #[test]
    fn what_may_not_be_meant_is_a_warning() {
        let toml = r#"
            [[operations]]
            name = "returns.due"
            reads = true
            cache = { ttl_s = 5, tags = ["returns:{customer-id}"] }
            invalidates = ["returns:{customer_id}", "retuns"]
        "#;
        let told = connector(CONNECTOR, toml, r#"{"properties": {"a": {"type": "string", "maxlen": 5}}}"#).unwrap();
        assert!(
            told.len() == 2 && told[0].contains("plugin.toml: operation `returns.due` invalidates `retuns`"),
            "{told:?}"
        );
        assert!(told[1].contains("s.json: /properties/a/maxlen: `maxlen` is no keyword"), "{told:?}");
    }

    #[test]
    fn a_connector_that_exports_nothing_hears_of_the_missing_line() {
        let told = connector("(component (core module))", "", "{}").unwrap_err();
        assert!(
            told.contains(
                "nothing is exported: is the line `confab_plugin_sdk::connector!(Type: orders, health);` missing?"
            ),
            "{told}"
        );
    }
}
