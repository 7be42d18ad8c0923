//! One component for each refusal, and some that pass.

use super::*;
use crate::engine::SandboxConfig;
use crate::signature::{SigningKey, append_section};
use serde_json::{Value, json};

/// Exports `confab:capabilities/leads` without anything in it that could be called: enough for a connector.
const CONNECTOR: &str = r#"(component
    (instance $leads)
    (export "confab:capabilities/leads@1.0.0" (instance $leads)))"#;

fn sandbox() -> (tempfile::TempDir, Sandbox) {
    let dir = tempfile::tempdir().unwrap();
    let config = SandboxConfig { calls: 2, ..SandboxConfig::new(dir.path()) };
    (dir, Sandbox::new(config).unwrap())
}

fn manifest() -> Value {
    json!({"name": "trial", "version": "1.0.0", "publisher": "acme", "kind": "connector", "imports": []})
}

fn with(manifest: &Value, wat: &str) -> Vec<u8> {
    let mut wasm = wat::parse_str(wat).unwrap();
    append_section(&mut wasm, MANIFEST_SECTION, manifest.to_string().as_bytes());
    wasm
}

fn unsigned() -> GateRules {
    GateRules { unsigned: Unsigned::Accepted, ..GateRules::default() }
}

/// A connector with more in it.
fn connector(more: &str) -> String {
    format!("{} {more})", CONNECTOR.trim_end_matches(')').to_owned() + "))")
}

async fn refused(sandbox: &Sandbox, wasm: &[u8], rules: &GateRules, code: &str, words: &str) {
    let refusal = sandbox.admit(wasm, rules).await.expect_err(words);
    assert_eq!(refusal.code, code, "{refusal}");
    assert!(refusal.to_string().contains(words), "`{words}` is not in: {refusal}");
    assert!(refusal.help.len() > 20, "{refusal:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sound_is_let_in_and_its_code_is_kept() {
    let (dir, sandbox) = sandbox();
    let mut manifest = manifest();
    manifest["limits"] = json!({"memory_mib": 100_000});
    let wasm = with(&manifest, CONNECTOR);
    let admitted = sandbox.admit(&wasm, &unsigned()).await.unwrap();
    assert_eq!((admitted.manifest.name.as_str(), admitted.digest), ("trial", digest(&wasm)));
    assert!(
        admitted.notes.iter().any(|note| note.contains("memory_mib") && note.contains("100000")),
        "{:?}",
        admitted.notes
    );
    assert!(sandbox.inner.cache.has(&digest(&wasm)));
    // Nothing else stays: no copy of the file.
    let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_publishers_own_signature_lets_its_plugin_in() {
    let (_dir, sandbox) = sandbox();
    let (acme, _) = SigningKey::generate().unwrap();
    let (globex, _) = SigningKey::generate().unwrap();
    let lines = format!("{}\n{}", acme.public_line("acme"), globex.public_line("globex"));
    let rules = GateRules { trusted: TrustedPublishers::parse(&lines).unwrap(), ..GateRules::default() };
    let wasm = with(&manifest(), CONNECTOR);
    let signed = acme.sign(&wasm).unwrap();
    assert_eq!(sandbox.admit(&signed, &rules).await.unwrap().signed_by, Some(acme.id()));
    refused(&sandbox, &wasm, &rules, "unsigned", "--allow-unsigned").await;
    let asked = GateRules { unsigned: Unsigned::NotAsked, ..rules.clone() };
    refused(&sandbox, &wasm, &asked, "unsigned", "install it with --unsigned").await;
    let (stranger, _) = SigningKey::generate().unwrap();
    refused(&sandbox, &stranger.sign(&wasm).unwrap(), &rules, "untrusted", &stranger.id()).await;
    // Not even where unsigned ones pass.
    let open = GateRules { unsigned: Unsigned::Accepted, ..rules };
    refused(&sandbox, &globex.sign(&wasm).unwrap(), &open, "untrusted", "publisher `acme`").await;
    let mut tampered = signed.clone();
    let at = tampered.windows(5).position(|window| window == b"trial").unwrap();
    tampered[at..at + 5].copy_from_slice(b"trust");
    refused(&sandbox, &tampered, &open, "tampered", "changed after it was signed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_no_component_and_manifests_that_are_wrong_are_refused() {
    let (_dir, sandbox) = sandbox();
    let rules = unsigned();
    refused(&sandbox, b"", &rules, "not-a-component", "confab plugin build").await;
    refused(&sandbox, &wat::parse_str("(module)").unwrap(), &rules, "not-a-component", "component").await;
    let wasm = with(&manifest(), CONNECTOR);
    refused(&sandbox, &wasm[..wasm.len() / 2], &rules, "not-a-component", "component").await;
    refused(&sandbox, &vec![0; COMPONENT_BYTES + 1], &rules, "too-large", "at most").await;
    refused(&sandbox, &wat::parse_str(CONNECTOR).unwrap(), &rules, "manifest", "confab:manifest").await;
    let endpoint = |name: &str, method: &str| json!({"name": name, "methods": [method]});
    for (field, value, words) in [
        ("name", json!("Trial"), "name `Trial`"),
        ("version", json!("1.0"), "version `1.0`"),
        ("version", json!("1.0.0+build"), "1.2.3-rc.1"),
        ("version", json!("1.0.0-../../x"), "1.2.3-rc.1"),
        ("version", json!("01.0.0"), "1.2.3-rc.1"),
        ("publisher", json!("Acme, Inc."), "publisher"),
        ("kind", json!("virus"), "virus"),
        ("sudo", json!(true), "sudo"),
        ("endpoints", json!([endpoint("api", "TRACE")]), "TRACE"),
        ("endpoints", json!([endpoint("api", "GET"), endpoint("api", "GET")]), "twice"),
        ("endpoints", json!([endpoint("API", "GET")]), "API"),
        ("endpoints", json!((0..33).map(|n| endpoint(&format!("e{n}"), "GET")).collect::<Vec<_>>()), "33 endpoints"),
        ("description", json!("x".repeat(MANIFEST_BYTES)), "its manifest has"),
        ("limits", json!({"fuel": 0}), "limits.fuel"),
        ("endpoints", json!([{"name": "api", "auth": "bearer"}]), "one way to sign in"),
        ("endpoints", json!([{"name": "api", "auth": {"bearer": {}, "basic": {}}}]), "one way to sign in"),
        ("operations", json!([{"name": "leads.shut"}]), "has no function `leads.shut`"),
    ] {
        let mut wrong = manifest();
        wrong[field] = value;
        refused(&sandbox, &with(&wrong, CONNECTOR), &rules, "manifest", words).await;
    }
    let mut docs = with(&manifest(), CONNECTOR);
    append_section(&mut docs, DOCS_SECTION, &vec![b' '; DOCS_BYTES + 1]);
    refused(&sandbox, &docs, &rules, "manifest", "documentation").await;
    let rules =
        GateRules { more: |_| Err(Refusal::new("manifest", "the engine says no", "do as the engine says")), ..rules };
    refused(&sandbox, &wasm, &rules, "manifest", "the engine says no").await;
}

#[test]
fn an_author_hears_of_everything_at_once() {
    let mut wrong = manifest();
    wrong["version"] = json!("1.0");
    wrong["limits"] = json!({"wall_ms": 0});
    wrong["endpoints"] = json!([{"name": "API", "methods": ["GET", "FETCH"]}]);
    wrong["operations"] = json!([
        {"name": "order.get", "cache": {"ttl_s": 5}},
        {"name": "leads.create", "cache": {"ttl_s": 5, "tags": ["{email}"]}},
    ]);
    wrong["webhook"] = json!({"secrets": [{"name": "signing key"}, {"name": "app"}, {"name": "app"}]});
    let wasm = with(&wrong, CONNECTOR);
    let manifest: Manifest = serde_json::from_value(wrong).unwrap();
    let leads = [("create".to_owned(), vec!["lead".to_owned()])].into();
    let offers = Offers([("confab:capabilities/leads".to_owned(), leads)].into());
    let said: Vec<String> = examine(&wasm, &manifest, &offers).into_iter().map(|refusal| refusal.message).collect();
    for words in [
        "version `1.0`",
        "limits.wall_ms",
        "endpoint name `API`",
        "method `FETCH`; there are: GET",
        "has no function `order.get`; it has: leads.create",
        "`leads.create` changes something",
        "`{email}` in the tag `{email}` is no argument of it; there are: lead",
        "name `signing key` of a webhook's secret must be like `signing`",
        "secret `app` is there twice",
        "has [webhook], but the component exports no confab:plugin/webhook",
    ] {
        assert_eq!(said.iter().filter(|message| message.contains(words)).count(), 1, "{words}: {said:#?}");
    }
    assert_eq!(said.len(), 10, "{said:#?}");
    assert!(examine(b"", &manifest, &Offers::default()).iter().any(|refusal| refusal.code == "not-a-component"));
}

#[tokio::test(flavor = "multi_thread")]
async fn imports_must_be_named_allowed_and_known() {
    let (_dir, sandbox) = sandbox();
    let rules = unsigned();
    let mut old = manifest();
    old.as_object_mut().unwrap().remove("imports");
    refused(&sandbox, &with(&old, CONNECTOR), &rules, "imports", "Build it again with this version's").await;
    let importing = |import: &str| connector(&format!("(import \"{import}\" (instance))"));
    let sockets = importing("wasi:sockets/tcp@0.2.0");
    refused(&sandbox, &with(&manifest(), &sockets), &rules, "imports", "does not name").await;
    let named = |pattern: &str| {
        let mut manifest = manifest();
        manifest["imports"] = json!([pattern]);
        manifest
    };
    refused(&sandbox, &with(&named("wasi:*"), &sockets), &rules, "imports", "confab:plugin/http instead").await;
    let denied = GateRules { deny_imports: vec!["wasi:*".into()], ..rules.clone() };
    let clock = importing("wasi:clocks/wall-clock@0.2.0");
    refused(&sandbox, &with(&named("wasi:clocks/wall-clock"), &clock), &denied, "denied-import", "wasi:*").await;
    assert!(sandbox.admit(&with(&named("wasi:clocks/wall-clock"), &clock), &rules).await.is_ok());
    // Naming one is not naming all that begin like it.
    refused(&sandbox, &with(&named("wasi:clocks/wall"), &clock), &rules, "imports", "does not name").await;
    let unknown = connector("(import \"evil:host/exec@1.0.0\" (instance (export \"run\" (func))))");
    refused(&sandbox, &with(&named("evil:*"), &unknown), &rules, "imports", "evil:host/exec").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_compile_or_fit_or_start_is_refused_and_leaves_nothing() {
    let (dir, sandbox) = sandbox();
    let rules = unsigned();
    let refused_as = async |core: &str, code: &str, words: &str| {
        refused(&sandbox, &with(&manifest(), &connector(core)), &rules, code, words).await;
    };
    refused_as("(core module (memory i64 1))", "compile", "memory64").await;
    refused_as("(core module $m (memory 4000)) (core instance (instantiate $m))", "resources", "memory").await;
    refused_as("(core module $m (table 1000000 funcref)) (core instance (instantiate $m))", "resources", "table").await;
    let many = "(core instance (instantiate $m))".repeat(40);
    refused_as(&format!("(core module $m (memory 1)) {many}"), "resources", "40").await;
    refused_as(
        "(core module $m (func $f unreachable) (start $f)) (core instance (instantiate $m))",
        "instantiation",
        "trap",
    )
    .await;
    refused_as(
        "(core module $m (func $f (loop (br 0))) (start $f)) (core instance (instantiate $m))",
        "instantiation",
        "fuel",
    )
    .await;
    refused(&sandbox, &with(&manifest(), "(component)"), &rules, "contract", "exports no capability").await;
    let mut intent = manifest();
    intent["kind"] = json!("intent");
    refused(&sandbox, &with(&intent, "(component)"), &rules, "contract", "confab:plugin/dialogue").await;
    let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().flatten().map(|entry| entry.file_name()).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn types_that_double_at_each_level_are_not_written_out() {
    let (_dir, sandbox) = sandbox();
    // 2^16 leaves in 2 kB of WAT.
    let mut types = String::from("(type $t0 (tuple u8 u8))");
    for level in 1..16 {
        let below = level - 1;
        types.push_str(&format!("(type $t{level} (tuple $t{below} $t{below}))"));
    }
    let wat = format!(
        r#"(component
            {types}
            (core module $m
                (memory (export "m") 1)
                (func (export "f") (param i32))
                (func (export "r") (param i32 i32 i32 i32) (result i32) unreachable))
            (core instance $i (instantiate $m))
            (func $f (param "x" $t15) (canon lift (core func $i "f") (memory (core memory $i "m")) (realloc (core func $i "r"))))
            (instance $leads (export "f" (func $f)))
            (export "confab:capabilities/leads@1.0.0" (instance $leads)))"#
    );
    refused(&sandbox, &with(&manifest(), &wat), &unsigned(), "contract", "too large to describe").await;
}
