//! From a component to a plugin: what is checked, linked and read out of it.

use crate::compile::CompileError;
use crate::docs::Docs;
use crate::engine::Sandbox;
use crate::forward::{self, capability_name};
use crate::limits::{COMPONENT_BYTES, MEMORIES};
use crate::manifest::{DOCS_SECTION, Kind, Manifest, ManifestError, custom_section};
use crate::offers::Offers;
use crate::plugin::{Callable, Export, Live, Shape};
use crate::reflect;
use crate::state::CallState;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, InstancePre};

/// Why a component can't be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Its manifest is missing or wrong.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// It is larger than components may be.
    #[error("the component has {0} bytes, at most {COMPONENT_BYTES} are allowed")]
    TooLarge(u64),
    /// It does not compile or isn't valid.
    #[error("component {plugin}: {message}")]
    Invalid {
        /// Its name.
        plugin: String,
        /// What is wrong.
        message: String,
    },
    /// It can't be read, or there is no compiling it now.
    #[error("component {plugin}: {message}")]
    Unavailable {
        /// Its name.
        plugin: String,
        /// What is wrong.
        message: String,
    },
    /// It imports something that nobody gives it.
    #[error("component {plugin} imports `{import}`, which plugins of its kind don't get. {help}")]
    Import {
        /// Its name.
        plugin: String,
        /// What it wants.
        import: String,
        /// What to do.
        help: String,
    },
}

impl LoadError {
    pub(crate) fn of_compiler(plugin: &str, error: CompileError) -> Self {
        let (plugin, message) = (plugin.to_owned(), error.to_string());
        match error {
            CompileError::Cache(_) => LoadError::Unavailable { plugin, message },
            _ => LoadError::Invalid { plugin, message },
        }
    }
}

impl Sandbox {
    /// Reads out of a component what is known of it without running it.
    pub(crate) fn shape_of(&self, manifest: Manifest, component: &Component, wasm: &[u8]) -> Result<Shape, LoadError> {
        let invalid = |message: String| LoadError::Invalid { plugin: manifest.name.clone(), message };
        if let Some(needs) = component.resources_required() {
            if needs.num_memories > MEMORIES {
                return Err(invalid(format!("has {} memories, at most {MEMORIES} are allowed", needs.num_memories)));
            }
            let elements = needs.max_initial_table_size.unwrap_or(0);
            if elements > u64::from(self.inner.policy.ceiling.table_elements) {
                let most = self.inner.policy.ceiling.table_elements;
                return Err(invalid(format!("begins with a table of {elements} elements, at most {most} are allowed")));
            }
            let most = self.inner.policy.ceiling.memory_mib << 20;
            let wanted = needs.max_initial_memory_size.unwrap_or(0);
            if wanted > most {
                let message = format!(
                    "begins with a memory of {} MiB, at most {} are allowed: lower --initial-memory",
                    wanted.div_ceil(1 << 20),
                    most >> 20
                );
                return Err(invalid(message));
            }
        }
        if !reflect::is_describable(component) {
            return Err(invalid(
                "has interfaces that are too large to describe: use fewer functions, or types with fewer and shallower fields".into(),
            ));
        }
        let mut docs = Docs::builtin().clone();
        if let Some(own) = custom_section(wasm, DOCS_SECTION)?
            && let Ok(own) = serde_json::from_slice::<Docs>(own)
        {
            docs.0.extend(own.0);
        }
        let engine = &self.inner.engine;
        let imports: Vec<String> =
            component.component_type().imports(engine).map(|(name, _)| name.to_owned()).collect();
        let functions = reflect_exports(component, &docs);
        let shape = Shape { manifest, imports, functions };
        let offers = Offers::of(&shape);
        let problem = offers.lacks(shape.manifest.kind);
        match problem.or_else(|| offers.webhook_problem(&shape.manifest, &shape.imports)) {
            None => Ok(shape),
            Some(message) => Err(LoadError::Invalid { plugin: shape.manifest.name, message }),
        }
    }

    /// Links a component and resolves what is called of it.
    pub(crate) fn live(&self, manifest: &Manifest, component: &Component) -> Result<Live, LoadError> {
        let pre = self.link(manifest, component)?;
        let dialogue = match manifest.kind {
            Kind::Intent => {
                Some(crate::bindings::dialogue::GuestIndices::new(&pre).map_err(|_| LoadError::Invalid {
                    plugin: manifest.name.clone(),
                    message: "is of kind intent but does not export confab:plugin/dialogue@1.0.0".into(),
                })?)
            }
            _ => None,
        };
        let exports = exports(component);
        let webhook = match manifest.kind {
            Kind::Connector if exports.contains_key("confab:plugin/webhook") => {
                Some(crate::bindings::webhook::GuestIndices::new(&pre).map_err(|e| LoadError::Invalid {
                    plugin: manifest.name.clone(),
                    message: format!("exports a webhook that is not confab:plugin/webhook@1.0.0: {e:#}"),
                })?)
            }
            _ => None,
        };
        Ok(Live { pre, dialogue, webhook, exports })
    }

    /// Links what the component's kind may import, and nothing else.
    fn link(&self, manifest: &Manifest, component: &Component) -> Result<InstancePre<CallState>, LoadError> {
        let engine = &self.inner.engine;
        let invalid =
            |e: wasmtime::Error| LoadError::Invalid { plugin: manifest.name.clone(), message: format!("{e:#}") };
        let mut linker = self.inner.base.clone();
        let mut wasi = false;
        for (import, item) in component.component_type().imports(engine) {
            let refuse = |help: &str| LoadError::Import {
                plugin: manifest.name.clone(),
                import: import.to_owned(),
                help: help.to_owned(),
            };
            if import.starts_with("wasi:http") || import.starts_with("wasi:sockets") {
                return Err(refuse("Use confab:plugin/http instead."));
            }
            if import.starts_with("wasi:") {
                wasi = true;
            } else if let Some(capability) = capability_name(import) {
                if manifest.kind != Kind::Intent {
                    return Err(refuse("Only intent plugins call capabilities."));
                }
                if let ComponentItem::ComponentInstance(instance) = &item.ty {
                    forward::define(&mut linker, engine, import, &capability, instance).map_err(invalid)?;
                }
            } else if manifest.kind == Kind::Intent
                && (import.starts_with("confab:plugin/http@") || import.starts_with("confab:plugin/connection@"))
            {
                return Err(refuse(
                    "Intent plugins reach systems through capabilities: import confab:plugin/call or a confab:capabilities interface.",
                ));
            } else if manifest.kind == Kind::Intent && import.starts_with("confab:plugin/signatures@") {
                return Err(refuse("Only connectors read webhooks."));
            } else if manifest.kind != Kind::Intent && import.starts_with("confab:plugin/call@") {
                return Err(refuse("Only intent plugins call capabilities."));
            } else if manifest.kind != Kind::Intent && import.starts_with("confab:plugin/effects@") {
                return Err(refuse("Only intent plugins serve turns, which can leave something behind."));
            }
        }
        if wasi {
            wasmtime_wasi::p2::add_to_linker_async(&mut linker).map_err(invalid)?;
        }
        linker.instantiate_pre(component).map_err(invalid)
    }
}

/// The exported functions by interface (without version) and name.
fn exports(component: &Component) -> HashMap<String, HashMap<String, Export>> {
    let engine = component.engine();
    let mut all = HashMap::new();
    for (interface, item) in component.component_type().exports(engine) {
        let ComponentItem::ComponentInstance(instance) = item.ty else { continue };
        let Some((_, interface_index)) = component.get_export(None, interface) else { continue };
        let mut functions = HashMap::new();
        for (function, item) in instance.exports(engine) {
            let ComponentItem::ComponentFunc(ty) = item.ty else { continue };
            let Some((_, index)) = component.get_export(Some(&interface_index), function) else { continue };
            functions.insert(function.to_owned(), Export { index, ty });
        }
        all.insert(path_of(interface).to_owned(), functions);
    }
    all
}

fn path_of(interface: &str) -> &str {
    interface.split('@').next().unwrap_or(interface)
}

fn reflect_exports(component: &Component, docs: &Docs) -> BTreeMap<String, BTreeMap<String, Callable>> {
    let engine = component.engine();
    let mut all = BTreeMap::new();
    for (interface, item) in component.component_type().exports(engine) {
        let ComponentItem::ComponentInstance(instance) = item.ty else { continue };
        let path = path_of(interface).to_owned();
        let mut functions = BTreeMap::new();
        for (function, item) in instance.exports(engine) {
            let ComponentItem::ComponentFunc(ty) = item.ty else { continue };
            let returns = ty.results().next().map_or(Value::Null, |ty| match ty {
                wasmtime::component::types::Type::Result(result) => {
                    result.ok().map_or(Value::Null, |ok| reflect::schema_of(&ok))
                }
                other => reflect::schema_of(&other),
            });
            functions.insert(
                function.to_owned(),
                Callable {
                    capability: capability_name(interface).unwrap_or_else(|| path.clone()),
                    function: function.to_owned(),
                    description: docs.get(interface, Some(function)).unwrap_or_default().to_owned(),
                    parameters: reflect::parameters_schema(ty.params()),
                    returns,
                },
            );
        }
        all.insert(path, functions);
    }
    all
}
