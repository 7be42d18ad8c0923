//! A plugin: what is known of it, and its code while it is used.
//!
//! What is known (manifest, imports, functions) is read out of the component once and kept beside the compiled code. The
//! code itself is mapped at the first call and dropped again when many others were used since: a host with
//! thousands of plugins holds in memory those that work. A call finds everything done that can be done once: native code mapped, imports linked
//! and type-checked, exports resolved.

use crate::aot::hex;
use crate::bindings::{dialogue, webhook};
use crate::compile::CompileError;
use crate::engine::{Sandbox, digest};
use crate::forward::capability_name;
use crate::limits::{COMPONENT_BYTES, Limits, zero};
use crate::manifest::{Kind, Manifest};
use crate::state::CallState;
use crate::warm::Warm;
use arc_swap::ArcSwapOption;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use wasmtime::component::{ComponentExportIndex, InstancePre};

pub use crate::load::LoadError;

/// Where a component is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Source {
    /// SHA-256 of the file, in hexadecimal: whoever makes this has checked it.
    pub digest: String,
    /// The file. It must stay there unchanged as long as the plugin is used.
    pub path: PathBuf,
}

/// A function of a capability, reflected.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
}

/// What is known of a component without running it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Shape {
    pub(crate) manifest: Manifest,
    pub(crate) imports: Vec<String>,
    /// Functions by interface (without version) and name, those of the plugin contract among them.
    pub(crate) functions: BTreeMap<String, BTreeMap<String, Callable>>,
}

/// Raise it when more is read out of components: what an older host kept is then read again.
const SHAPE_FORM: u8 = 1;

/// A function that can be called.
#[derive(Clone)]
pub(crate) struct Export {
    pub(crate) index: ComponentExportIndex,
    pub(crate) ty: wasmtime::component::types::ComponentFunc,
}

/// A component whose code is mapped and linked.
pub(crate) struct Live {
    pub(crate) pre: InstancePre<CallState>,
    pub(crate) dialogue: Option<dialogue::GuestIndices>,
    pub(crate) webhook: Option<webhook::GuestIndices>,
    pub(crate) exports: HashMap<String, HashMap<String, Export>>,
}

/// A plugin. Cheap to clone and to share.
#[derive(Clone)]
pub struct Plugin {
    pub(crate) inner: Arc<Known>,
}

pub(crate) struct Known {
    pub(crate) sandbox: Sandbox,
    pub(crate) shape: Arc<Shape>,
    pub(crate) limits: Limits,
    /// Of the component that its publisher ships.
    pub(crate) digest: String,
    /// Name of its code in the cache: the digest, or the key of the preparation.
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    /// Instances that are kept, for what can't be snapshotted.
    pub(crate) warm: Option<Warm>,
    live: ArcSwapOption<Live>,
    loading: tokio::sync::Mutex<()>,
    /// Tick of the clock at which it was called last.
    used: AtomicU64,
}

impl std::fmt::Debug for Plugin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Plugin({}@{})", self.manifest().name, self.manifest().version)
    }
}

/// Plugins whose code is mapped, so that those not used longest can be dropped.
pub(crate) struct LoadedList {
    most: usize,
    list: Mutex<Vec<Weak<Known>>>,
}

impl LoadedList {
    pub(crate) fn new(most: usize) -> Self {
        LoadedList { most: most.max(8), list: Mutex::new(Vec::new()) }
    }

    pub(crate) fn count(&self) -> usize {
        self.list.lock().iter().filter(|known| known.strong_count() > 0).count()
    }

    /// Notes one that was loaded; drops the code of an eighth of all when there are too many. A call that is running keeps its own.
    fn add(&self, loaded: &Arc<Known>) {
        let mut list = self.list.lock();
        list.push(Arc::downgrade(loaded));
        if list.len() <= self.most {
            return;
        }
        let mut alive: Vec<Arc<Known>> = list.iter().filter_map(Weak::upgrade).collect();
        alive.sort_by_key(|known| std::cmp::Reverse(known.used.load(Ordering::Relaxed)));
        let keep = self.most - self.most / 8;
        for known in alive.iter().skip(keep) {
            known.live.store(None);
        }
        alive.truncate(keep);
        *list = alive.iter().map(Arc::downgrade).collect();
    }
}

impl Sandbox {
    /// Opens a component: what is known of it, from the cache where it was opened before; else it is compiled, checked and linked.
    ///
    /// Blocks while compiling, up to minutes for a large component: call it from a blocking thread.
    ///
    /// # Errors
    /// [`LoadError`], which says what to change.
    pub fn open(&self, source: &Source) -> Result<Plugin, LoadError> {
        let name = &source.digest;
        let cached = self.inner.cache.shape(name).and_then(|bytes| serde_json::from_slice::<(u8, Shape)>(&bytes).ok());
        if let Some((SHAPE_FORM, shape)) = cached {
            return self.plugin(Arc::new(shape), source, None);
        }
        let unreadable = |e: std::io::Error| LoadError::Unavailable {
            plugin: source.path.display().to_string(),
            message: format!("can't be read: {e}"),
        };
        let bytes = std::fs::metadata(&source.path).map_err(unreadable)?.len();
        if bytes > COMPONENT_BYTES as u64 {
            return Err(LoadError::TooLarge(bytes));
        }
        let wasm = std::fs::read(&source.path).map_err(unreadable)?;
        let (shape, live) = self.read(source, Manifest::of_component(&wasm)?, &wasm)?;
        if let Ok(bytes) = serde_json::to_vec(&(SHAPE_FORM, &shape))
            && let Err(e) = self.inner.cache.keep_shape(name, &bytes)
        {
            tracing::warn!(error = %e, "what is known of a plugin could not be kept; it will be read again at the next start");
        }
        self.plugin(Arc::new(shape), source, Some(live))
    }

    /// Compiles a component, where the cache has no code of it, checks and links it. Blocks.
    pub(crate) fn read(&self, source: &Source, manifest: Manifest, wasm: &[u8]) -> Result<(Shape, Live), LoadError> {
        let component = self
            .inner
            .cache
            .load(&self.inner.engine, &source.digest, &source.path)
            .map_err(|e| LoadError::of_compiler(&manifest.name, e))?;
        // What it may not import is said first.
        let live = self.live(&manifest, &component)?;
        let shape = self.shape_of(manifest, &component, wasm)?;
        Ok((shape, live))
    }

    /// Opens a component that is in memory; the code cache keeps a copy.
    ///
    /// # Errors
    /// As for [`Sandbox::open`].
    pub fn load(&self, wasm: &[u8]) -> Result<Plugin, LoadError> {
        if wasm.len() > COMPONENT_BYTES {
            return Err(LoadError::TooLarge(wasm.len() as u64));
        }
        let manifest = Manifest::of_component(wasm)?;
        let digest = digest(wasm);
        let path = self
            .inner
            .cache
            .keep_wasm(&digest, wasm)
            .map_err(|e| LoadError::of_compiler(&manifest.name, CompileError::Cache(format!("{e:#}"))))?;
        self.open(&Source { digest, path })
    }

    /// The limits of a plugin: what it asks for, clamped.
    pub(crate) fn limits_of(&self, manifest: &Manifest) -> Result<Limits, LoadError> {
        let defaults = match manifest.kind {
            Kind::Intent => Limits::INTENT,
            Kind::Connector | Kind::Channel => Limits::CONNECTOR,
        };
        self.inner
            .policy
            .clamp(defaults, &manifest.limits)
            .map_err(|limit| LoadError::Invalid { plugin: manifest.name.clone(), message: zero(limit) })
    }

    fn plugin(&self, shape: Arc<Shape>, source: &Source, live: Option<Live>) -> Result<Plugin, LoadError> {
        let limits = self.limits_of(&shape.manifest)?;
        let plugin = Plugin {
            inner: Arc::new(Known {
                sandbox: self.clone(),
                shape,
                limits,
                digest: source.digest.clone(),
                name: source.digest.clone(),
                path: source.path.clone(),
                warm: None,
                live: ArcSwapOption::empty(),
                loading: tokio::sync::Mutex::new(()),
                used: AtomicU64::new(0),
            }),
        };
        if let Some(live) = live {
            plugin.keep(live);
        }
        Ok(plugin)
    }
}

impl Plugin {
    /// The same plugin after its preparation: other code, larger by what was prepared; or prepared anew for each instance.
    pub(crate) fn prepared(&self, name: String, path: PathBuf, more_mib: u64, warm: Option<Warm>) -> Plugin {
        let known = &self.inner;
        Plugin {
            inner: Arc::new(Known {
                sandbox: known.sandbox.clone(),
                shape: known.shape.clone(),
                limits: Limits { memory_mib: known.limits.memory_mib + more_mib, ..known.limits },
                digest: known.digest.clone(),
                name,
                path,
                warm,
                live: ArcSwapOption::empty(),
                loading: tokio::sync::Mutex::new(()),
                used: AtomicU64::new(0),
            }),
        }
    }

    fn keep(&self, live: Live) -> Arc<Live> {
        let live = Arc::new(live);
        self.inner.used.store(self.now(), Ordering::Relaxed);
        self.inner.live.store(Some(live.clone()));
        self.inner.sandbox.inner.loaded.add(&self.inner);
        live
    }

    fn now(&self) -> u64 {
        self.inner.sandbox.inner.ticks.load(Ordering::Relaxed)
    }

    /// Its code, mapped now if it isn't.
    pub(crate) async fn live(&self) -> Result<Arc<Live>, LoadError> {
        if let Some(live) = self.inner.live.load_full() {
            self.inner.used.store(self.now(), Ordering::Relaxed);
            return Ok(live);
        }
        // One at a time, waiting without a thread: calls of one plugin must not take all threads for blocking work.
        let _one = self.inner.loading.lock().await;
        if let Some(live) = self.inner.live.load_full() {
            return Ok(live);
        }
        let plugin = self.clone();
        let loaded = tokio::task::spawn_blocking(move || plugin.load_code()).await;
        loaded.unwrap_or_else(|e| {
            Err(LoadError::Unavailable { plugin: self.manifest().name.clone(), message: e.to_string() })
        })
    }

    /// Maps the code, or compiles it where the cache has lost it. Blocks.
    pub(crate) fn load_code(&self) -> Result<Arc<Live>, LoadError> {
        let (known, inner) = (&self.inner, &self.inner.sandbox.inner);
        let component = inner
            .cache
            .load(&inner.engine, &known.name, &known.path)
            .map_err(|e| LoadError::of_compiler(&self.manifest().name, e))?;
        Ok(self.keep(known.sandbox.live(self.manifest(), &component)?))
    }

    /// Its manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.inner.shape.manifest
    }

    /// SHA-256 of the component that its publisher ships, in hexadecimal.
    pub fn digest(&self) -> &str {
        &self.inner.digest
    }

    /// What tells one preparation of a plugin from another; the digest where it is not prepared.
    pub fn key(&self) -> &str {
        &self.inner.name
    }

    /// Its limits, after clamping.
    pub fn limits(&self) -> &Limits {
        &self.inner.limits
    }

    /// The interfaces it imports: all that it can do to the outside.
    pub fn imports(&self) -> &[String] {
        &self.inner.shape.imports
    }

    /// Names of the capabilities it serves.
    pub fn capabilities(&self) -> impl Iterator<Item = String> + '_ {
        self.inner.shape.functions.keys().filter_map(|interface| capability_name(interface))
    }

    /// The functions of the capabilities it serves.
    pub fn callables(&self) -> impl Iterator<Item = &Callable> + '_ {
        self.inner
            .shape
            .functions
            .iter()
            .filter(|(interface, _)| capability_name(interface).is_some())
            .flat_map(|(_, functions)| functions.values())
    }

    /// A function of a capability (`orders`, `get`).
    pub fn callable(&self, capability: &str, function: &str) -> Option<&Callable> {
        self.interface(capability).and_then(|(_, functions)| functions.get(function))
    }

    /// The interface of a capability (without version) with its functions.
    pub(crate) fn interface(&self, capability: &str) -> Option<(&str, &BTreeMap<String, Callable>)> {
        let all = &self.inner.shape.functions;
        let ours = format!("confab:capabilities/{capability}");
        let found = all.get_key_value(&ours).or_else(|| all.get_key_value(capability));
        found.map(|(path, functions)| (path.as_str(), functions))
    }

    /// Whether it exports an interface of the plugin contract (`lifecycle`, `files`, `health`, `webhook`).
    pub fn has(&self, interface: &str) -> bool {
        self.inner.shape.functions.contains_key(&format!("confab:plugin/{interface}"))
    }
}

/// Raise it when snapshots are made in another way: those kept by an older host are then made again.
const SNAPSHOT_FORM: u8 = 2;

/// Key of a preparation: the component, its limits, and all that `prepare` was given. Equal ones share a snapshot.
pub(crate) fn prepared_key(component: &str, limits: &Limits, input: &Value) -> String {
    let mut hasher = Sha256::new();
    hasher.update([SNAPSHOT_FORM]);
    hasher.update(component.as_bytes());
    hasher.update(serde_json::to_vec(limits).unwrap_or_default());
    hasher.update([0]);
    hasher.update(input.to_string().as_bytes());
    hex(&hasher.finalize(), 32)
}
