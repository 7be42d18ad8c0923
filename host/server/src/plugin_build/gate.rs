//! What the engine's part of the install gate says of a manifest: settings schemas, and how endpoints are signed in to.
//!
//! The engine judges a manifest when it is installed, and what it says must be what the author hears. So each part of the
//! manifest goes through an installation of its own, in an engine on an empty directory. It goes in a component of nothing
//! but a manifest, which names no imports: where the gate has nothing against the part, it stops there, long before
//! anything is compiled.

use anyhow::{Context, Result, bail};
use confab_engine::egress::EgressPolicy;
use confab_engine::install::{GateConfig, InstallError};
use confab_engine::{Engine, EngineConfig};
use confab_sandbox::manifest::{EndpointManifest, Kind, MANIFEST_SECTION, Manifest, is_name};
use confab_sandbox::signature::append_section;
use confab_sandbox::{Refusal, SandboxConfig};
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// A component without anything in it.
const EMPTY: &[u8] = b"\0asm\x0d\0\x01\0";

/// An engine to install parts of manifests on.
#[derive(Debug)]
pub(super) struct Gate {
    runtime: Runtime,
    engine: Engine,
    _dir: TempDir,
}

impl Gate {
    pub(super) fn open() -> Result<Gate> {
        let dir = tempfile::tempdir()?;
        let config = EngineConfig {
            store: format!("embedded:{}", dir.path().join("store").display()),
            plugins: dir.path().join("plugins"),
            installed: dir.path().join("installed"),
            gate: GateConfig { allow_unsigned: true, ..GateConfig::default() },
            sandbox: SandboxConfig { calls: 2, ..SandboxConfig::new(dir.path().join("code")) },
            egress: EgressPolicy::default(),
            secrets: None,
            token_keys: None,
            public_url: None,
        };
        let runtime = Runtime::new()?;
        let engine = runtime.block_on(Engine::start(config)).context("can't check the manifest")?;
        Ok(Gate { runtime, engine, _dir: dir })
    }

    /// What is wrong with how an endpoint is signed in to. Its name and methods are judged by others.
    pub(super) fn endpoint(&self, endpoint: &EndpointManifest) -> Result<Option<String>> {
        let name = if is_name(&endpoint.name) { endpoint.name.as_str() } else { "endpoint" };
        let part = EndpointManifest { name: name.to_owned(), methods: Vec::new(), ..endpoint.clone() };
        self.refusal(Manifest { endpoints: vec![part], ..part_of_none() })
    }

    /// What is wrong with a settings schema.
    pub(super) fn settings(&self, schema: &Value) -> Result<Option<String>> {
        self.refusal(Manifest { settings: Some(schema.clone()), ..part_of_none() })
    }

    fn refusal(&self, part: Manifest) -> Result<Option<String>> {
        let mut component = EMPTY.to_vec();
        append_section(&mut component, MANIFEST_SECTION, &serde_json::to_vec(&part)?);
        match self.runtime.block_on(self.engine.install(component.into(), true)) {
            Err(InstallError::Refused(Refusal { code: "imports", .. })) => Ok(None),
            Err(InstallError::Refused(Refusal { code: "manifest", message, .. })) => Ok(Some(message)),
            Err(other) => Err(other).context("can't check the manifest"),
            Ok(_) => bail!("can't check the manifest: the gate let an empty component in"),
        }
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.runtime.block_on(self.engine.close());
    }
}

/// A manifest that says nothing wrong, and not what it imports.
fn part_of_none() -> Manifest {
    Manifest {
        name: "part".into(),
        version: "1.0.0".into(),
        publisher: "part".into(),
        kind: Kind::Connector,
        description: String::new(),
        settings: None,
        endpoints: Vec::new(),
        operations: Vec::new(),
        limits: confab_sandbox::limits::LimitRequest::default(),
        imports: None,
    }
}
