//! A component that is loaded and ready to be called.
//!
//! Everything that can be done once is done at loading: native code mapped, imports linked and type-checked,
//! exports resolved, functions reflected. A call is then instantiation and the call itself.

use crate::aot::hex;
use crate::bindings::dialogue;
use crate::docs::Docs;
use crate::engine::{Sandbox, digest};
use crate::forward::{self, capability_name};
use crate::limits::{COMPONENT_BYTES, Limits};
use crate::manifest::{DOCS_SECTION, Kind, Manifest, ManifestError, custom_section};
use crate::reflect;
use crate::state::CallState;
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::Arc;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, ComponentExportIndex, InstancePre};

/// Why a component can't be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Its manifest is missing or wrong.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// It is larger than components may be.
    #[error("the component has {0} bytes, at most {COMPONENT_BYTES} are allowed")]
    TooLarge(usize),
    /// It does not compile or isn't valid.
    #[error("component {plugin}: {message}")]
    Invalid {
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

/// A function of a capability, reflected.
#[derive(Clone, Debug, Serialize)]
pub struct Callable {
    /// Capability: `orders`, or `acme:erp/returns`.
    pub capability: String,
    /// Function in kebab-case: `list-for-customer`.
    pub function: String,
    /// What it does, from the interface's documentation.
    pub description: String,
    /// JSON Schema of the arguments.
    pub parameters: Value,
    /// JSON Schema of the result.
    pub returns: Value,
    #[serde(skip)]
    pub(crate) export: FunctionExport,
}

#[derive(Clone, Debug)]
pub(crate) struct FunctionExport {
    pub(crate) interface: String,
    pub(crate) index: ComponentExportIndex,
    pub(crate) ty: wasmtime::component::types::ComponentFunc,
}

/// A loaded plugin. Cheap to clone and to share.
#[derive(Clone)]
pub struct Plugin {
    pub(crate) inner: Arc<Loaded>,
}

pub(crate) struct Loaded {
    pub(crate) sandbox: Sandbox,
    pub(crate) manifest: Manifest,
    pub(crate) limits: Limits,
    pub(crate) digest: String,
    pub(crate) pre: InstancePre<CallState>,
    pub(crate) dialogue: Option<dialogue::GuestIndices>,
    /// Functions by interface (without version) and name, those of the plugin contract among them.
    pub(crate) functions: BTreeMap<String, BTreeMap<String, Callable>>,
    pub(crate) imports: Vec<String>,
}

impl std::fmt::Debug for Plugin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Plugin({}@{})", self.inner.manifest.name, self.inner.manifest.version)
    }
}

impl Sandbox {
    /// Loads a component: reads its manifest, compiles it (or maps the code compiled earlier), links it.
    ///
    /// Blocks while compiling, up to seconds for a large component: call it from a blocking thread.
    ///
    /// # Errors
    /// [`LoadError`], which says what to change.
    pub fn load(&self, wasm: &[u8]) -> Result<Plugin, LoadError> {
        let manifest = Manifest::of_component(wasm)?;
        self.load_as(manifest, wasm)
    }

    /// Loads a component under a manifest that has been read already (a snapshot keeps its plugin's).
    pub(crate) fn load_as(&self, manifest: Manifest, wasm: &[u8]) -> Result<Plugin, LoadError> {
        if wasm.len() > COMPONENT_BYTES {
            return Err(LoadError::TooLarge(wasm.len()));
        }
        let name = manifest.name.clone();
        let invalid = |message: String| LoadError::Invalid { plugin: name.clone(), message };
        let defaults = match manifest.kind {
            Kind::Intent => Limits::INTENT,
            Kind::Connector | Kind::Channel => Limits::CONNECTOR,
        };
        let limits = self.inner.policy.clamp(defaults, &manifest.limits).map_err(|limit| {
            invalid(format!("limits.{limit} is 0: leave it out for the default, or give what the plugin needs"))
        })?;
        let digest = digest(wasm);
        let engine = &self.inner.engine;
        let component = self.inner.cache.load(engine, &digest, wasm).map_err(|e| invalid(format!("{e:#}")))?;
        if let Some(needs) = component.resources_required()
            && needs.num_memories > crate::limits::MEMORIES
        {
            return Err(invalid(format!(
                "has {} memories, at most {} are allowed",
                needs.num_memories,
                crate::limits::MEMORIES
            )));
        }
        let mut docs = Docs::builtin().clone();
        if let Some(own) = custom_section(wasm, DOCS_SECTION)?
            && let Ok(own) = serde_json::from_slice::<Docs>(own)
        {
            docs.0.extend(own.0);
        }
        let (pre, imports) = self.link(&manifest, &component)?;
        let functions = reflect_exports(&component, &docs);
        let dialogue =
            match manifest.kind {
                Kind::Intent => Some(dialogue::GuestIndices::new(&pre).map_err(|_| {
                    invalid("is of kind intent but does not export confab:plugin/dialogue@1.0.0".into())
                })?),
                _ => None,
            };
        if manifest.kind == Kind::Connector && !functions.keys().any(|interface| capability_name(interface).is_some()) {
            return Err(invalid(
                "is of kind connector but exports no capability, such as confab:capabilities/orders@1.0.0".into(),
            ));
        }
        Ok(Plugin {
            inner: Arc::new(Loaded {
                sandbox: self.clone(),
                manifest,
                limits,
                digest,
                pre,
                dialogue,
                functions,
                imports,
            }),
        })
    }

    /// Links what the component's kind may import, and nothing else.
    fn link(
        &self,
        manifest: &Manifest,
        component: &Component,
    ) -> Result<(InstancePre<CallState>, Vec<String>), LoadError> {
        let engine = &self.inner.engine;
        let invalid =
            |e: wasmtime::Error| LoadError::Invalid { plugin: manifest.name.clone(), message: format!("{e:#}") };
        let mut linker = self.inner.base.clone();
        let mut imports = Vec::new();
        let mut wasi = false;
        for (import, item) in component.component_type().imports(engine) {
            imports.push(import.to_owned());
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
            } else if manifest.kind != Kind::Intent && import.starts_with("confab:plugin/call@") {
                return Err(refuse("Only intent plugins call capabilities."));
            }
        }
        if wasi {
            wasmtime_wasi::p2::add_to_linker_async(&mut linker).map_err(invalid)?;
        }
        let pre = linker.instantiate_pre(component).map_err(invalid)?;
        Ok((pre, imports))
    }
}

fn reflect_exports(component: &Component, docs: &Docs) -> BTreeMap<String, BTreeMap<String, Callable>> {
    let engine = component.engine();
    let mut all = BTreeMap::new();
    for (interface, item) in component.component_type().exports(engine) {
        let ComponentItem::ComponentInstance(instance) = item.ty else { continue };
        let Some((_, interface_index)) = component.get_export(None, interface) else { continue };
        let path = interface.split('@').next().unwrap_or(interface).to_owned();
        let mut functions = BTreeMap::new();
        for (function, item) in instance.exports(engine) {
            let ComponentItem::ComponentFunc(ty) = item.ty else { continue };
            let Some((_, index)) = component.get_export(Some(&interface_index), function) else { continue };
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
                    export: FunctionExport { interface: interface.to_owned(), index, ty },
                },
            );
        }
        all.insert(path, functions);
    }
    all
}

impl Plugin {
    /// Its manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.inner.manifest
    }

    /// SHA-256 of the component it was loaded from, in hexadecimal.
    pub fn digest(&self) -> &str {
        &self.inner.digest
    }

    /// Its limits, after clamping.
    pub fn limits(&self) -> &Limits {
        &self.inner.limits
    }

    /// The interfaces it imports: all that it can do to the outside.
    pub fn imports(&self) -> &[String] {
        &self.inner.imports
    }

    /// Names of the capabilities it serves.
    pub fn capabilities(&self) -> impl Iterator<Item = String> + '_ {
        self.inner.functions.keys().filter_map(|interface| capability_name(interface))
    }

    /// The functions of the capabilities it serves.
    pub fn callables(&self) -> impl Iterator<Item = &Callable> + '_ {
        self.inner
            .functions
            .iter()
            .filter(|(interface, _)| capability_name(interface).is_some())
            .flat_map(|(_, functions)| functions.values())
    }

    /// A function of a capability (`orders`, `get`).
    pub fn callable(&self, capability: &str, function: &str) -> Option<&Callable> {
        let ours = format!("confab:capabilities/{capability}");
        let functions = self.inner.functions.get(&ours).or_else(|| self.inner.functions.get(capability))?;
        functions.get(function)
    }

    /// Whether it exports an interface of the plugin contract (`lifecycle`, `files`, `health`).
    pub fn has(&self, interface: &str) -> bool {
        self.inner.functions.contains_key(&format!("confab:plugin/{interface}"))
    }
}

/// Raise it when snapshots are made in another way: those kept by an older host are then made again.
const SNAPSHOT_FORM: u8 = 1;

/// Digest of a prepared plugin: the component and all that `prepare` was given.
pub(crate) fn prepared_digest(component: &str, input: &Value) -> String {
    let mut hasher = Sha256::new();
    hasher.update([SNAPSHOT_FORM]);
    hasher.update(component.as_bytes());
    hasher.update([0]);
    hasher.update(input.to_string().as_bytes());
    hex(&hasher.finalize(), 32)
}
