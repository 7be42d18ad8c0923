//! Makes components of modules in text, for worlds of the contract and of what else a test declares.

use confab_sandbox::call::Refusal;
use confab_sandbox::docs::{CAPABILITIES, PLUGIN};
use confab_sandbox::plugin::LoadError;
use confab_sandbox::{Outcome, Plugin, Sandbox, SandboxConfig, Turn, Visitor};
use serde_json::{Value, json};
use std::borrow::Cow;
use std::path::Path;
use wit_component::{ComponentEncoder, StringEncoding};
use wit_parser::{Resolve, SourceMap};

pub(crate) fn sandbox() -> (tempfile::TempDir, Sandbox) {
    let dir = tempfile::tempdir().unwrap();
    let config = SandboxConfig { calls: 2, ..SandboxConfig::new(dir.path()) };
    (dir, Sandbox::new(config).unwrap())
}

/// A component of a module, with its manifest. `packages` are WIT beside the contract, the last one with the world.
pub(crate) fn component(module: &str, packages: &[&str], manifest: &Value) -> Vec<u8> {
    let mut resolve = Resolve::default();
    for files in [CAPABILITIES, PLUGIN] {
        let mut sources = SourceMap::default();
        for (name, text) in files {
            sources.push(Path::new(name), text.to_string());
        }
        let group = sources.parse().map_err(|(_, e)| format!("{e:?}")).unwrap();
        resolve.push_group(group).unwrap();
    }
    let packages: Vec<_> = packages.iter().map(|text| resolve.push_str("test.wit", text).unwrap()).collect();
    let world = resolve.select_world(&packages[packages.len() - 1..], None).unwrap();
    let mut module = wat::parse_str(module).unwrap();
    wit_component::embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
    let mut component = ComponentEncoder::default().validate(true).module(&module).unwrap().encode().unwrap();
    append(&mut component, manifest.to_string().as_bytes());
    component
}

/// The section that holds the manifest.
fn append(component: &mut Vec<u8>, manifest: &[u8]) {
    let number = |mut value: usize| {
        let mut out = Vec::new();
        while value >= 0x80 {
            out.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        out.push(value as u8);
        out
    };
    let name = confab_sandbox::manifest::MANIFEST_SECTION;
    let content: Cow<'_, [u8]> = [number(name.len()).as_slice(), name.as_bytes(), manifest].concat().into();
    component.push(0);
    component.extend(number(content.len()));
    component.extend_from_slice(&content);
}

pub(crate) fn manifest(kind: &str, more: Value) -> Value {
    let mut manifest = json!({"name": "guest", "version": "1.0.0", "publisher": "test", "kind": kind});
    manifest.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    manifest
}

/// An intent plugin. `handle` runs `body`, which may have left a result with an error record at 512: then its code is what the
/// bot says, else `unharmed`; or a list of bytes as state at 76.
pub(crate) fn intent(imports: &str, body: &str, packages: &[&str]) -> Vec<u8> {
    let module = format!(
        r#"(module {imports}
        (memory (export "memory") 20)
        (global $next (mut i32) (i32.const 65536))
        (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
            (global.get $next)
            (global.set $next (i32.and (i32.add (i32.add (global.get $next) (local.get 3)) (i32.const 7)) (i32.const 0xffff8))))
        (func (export "confab:plugin/dialogue@1.0.0#prepare") (param i32 i32) (result i32) (i32.const 16))
        (data (i32.const 64) "\00\00\00\00\80\00\00\00\01\00\00\00")
        (data (i32.const 128) "\00\01\00\00\04\00\00\00\04\01\00\00\08\00\00\00")
        (data (i32.const 256) "textunharmed")
        (func (export "confab:plugin/dialogue@1.0.0#handle") (param $turn i32) (result i32) (local $n i32)
            {body}
            (if (i32.load8_u (i32.const 512)) (then
                (i32.store (i32.const 136) (i32.load (i32.const 516)))
                (i32.store (i32.const 140) (i32.load (i32.const 520)))))
            (i32.const 64)))"#
    );
    let mut all = packages.to_vec();
    if all.is_empty() {
        all.push("package test:guest; world guest { include confab:plugin/intent@1.0.0; }");
    }
    component(&module, &all, &manifest("intent", json!({})))
}

/// A connector of nothing that reads webhooks. `receive` is given as a function; what it shares with others is there already:
/// the secret's name at 1024 and the algorithm's at 1040.
pub(crate) fn reader(receive: &str) -> Vec<u8> {
    reader_of(receive, json!({"webhook": {"secrets": [{"name": "signing"}]}}))
}

pub(crate) fn reader_of(receive: &str, more: Value) -> Vec<u8> {
    let module = format!(
        r#"(module
        (import "confab:plugin/signatures@1.0.0" "verify-hmac" (func $hmac (param i32 i32 i32 i32 i32 i32 i32 i32 i32)))
        (import "confab:plugin/signatures@1.0.0" "verify-equal" (func $equal (param i32 i32 i32 i32 i32)))
        (import "confab:plugin/signatures@1.0.0" "fresh" (func $fresh (param i64 i32) (result i32)))
        {}
        {receive})"#,
        plain_connector()
    );
    component(&module, &[&reader_world()], &manifest("connector", more))
}

pub(crate) fn plain_connector() -> &'static str {
    r#"(memory (export "memory") 20)
    (global $next (mut i32) (i32.const 655360))
    (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
        (global.get $next)
        (global.set $next (i32.and (i32.add (i32.add (global.get $next) (local.get 3)) (i32.const 7)) (i32.const 0xffffff8))))
    (func (export "test:guest/pings@1.0.0#ping"))
    (data (i32.const 1024) "signing")
    (data (i32.const 1040) "sha256")"#
}

pub(crate) fn reader_world() -> String {
    "package test:guest@1.0.0; interface pings { ping: func(); } \
     world guest { include confab:plugin/connector@1.0.0; export pings; export confab:plugin/webhook@1.0.0; }"
        .to_owned()
}

/// The parameters of `receive`, as the component model flattens them.
pub(crate) const RECEIVE: &str = r#"(func (export "confab:plugin/webhook@1.0.0#receive")
    (param $method i32) (param $method-len i32) (param $url i32) (param $url-len i32) (param $path i32) (param $path-len i32)
    (param $query i32) (param $query-len i32) (param $headers i32) (param $headers-len i32) (param $body i32) (param $body-len i32)
    (result i32) "#;

pub(crate) fn load(sandbox: &Sandbox, wasm: &[u8]) -> Result<Plugin, LoadError> {
    sandbox.load(wasm)
}

pub(crate) fn turn() -> Turn {
    Turn {
        id: "t".into(),
        conversation: "c".into(),
        number: 1,
        kind: "message".into(),
        text: "hello".into(),
        data: None,
        locale: None,
        visitor: Visitor { id: None, verified: false, name: None, email: None, phone: None },
        state: Vec::new(),
    }
}

/// What an outcome says.
pub(crate) fn said(outcome: Result<Outcome, Refusal>) -> String {
    outcome.unwrap().replies[0].text.clone()
}
