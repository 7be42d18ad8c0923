//! What an author, and an operator at a terminal, hear of their mistakes.

use anyhow::{Result, ensure};
use confab_tests::folder::Folder;
use confab_tests::place;
use confab_tests::server::{Host, Ran};
use std::process::{Command, Stdio};

/// A connector with one function of its own, and no check.
const MODULE: &str = r#"(module
    (memory (export "memory") 1)
    (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) unreachable)
    (func (export "acme:erp/returns@1.0.0#due") (param i32 i32) (result i32) i32.const 1024))"#;
const WIT: &str = "package acme:erp@1.0.0;\ninterface returns { due: func(customer-id: string) -> list<string>; }\n";
const GOOD: &str = r#"name = "returner"
version = "1.0.0"
publisher = "acme"
kind = "connector"
description = "Returns."
module = "x.wat"
settings = "s.json"
[[endpoints]]
name = "api"
description = "The ERP"
methods = ["GET"]
[endpoints.auth.bearer]
[[operations]]
name = "returns.due"
reads = true
cache = { ttl_s = 30, tags = ["returns:{customer-id}"] }
"#;
const SCHEMA: &str = r#"{"properties": {"page": {"type": "integer", "default": 5, "description": "Per page."}}}"#;

/// A plugin's folder.
struct Plugin(tempfile::TempDir);

impl Plugin {
    fn new(toml: &str, schema: &str) -> Result<Plugin> {
        let dir = tempfile::tempdir()?;
        std::fs::create_dir(dir.path().join("wit"))?;
        for (file, text) in [("plugin.toml", toml), ("x.wat", MODULE), ("wit/a.wit", WIT), ("s.json", schema)] {
            std::fs::write(dir.path().join(file), text)?;
        }
        Ok(Plugin(dir))
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    async fn build(&self, host: &Host) -> Result<Ran> {
        host.run(&["plugin", "build", &self.path(""), "--out", &self.path("out")]).await
    }
}

#[tokio::test]
async fn what_tenants_would_stumble_over_is_refused_when_it_is_built() -> Result<()> {
    let host = Host::new()?;
    let toml = GOOD
        .replace("[endpoints.auth.bearer]", "[endpoints.auth.beare]")
        .replace("\"GET\"", "\"FETCH\"")
        .replace("name = \"returns.due\"", "name = \"tickets.shut\"");
    let plugin = Plugin::new(&toml, r#"{"properties": {"a": {"type": "text"}, "b": {"pattern": "(?=x)"}}}"#)?;
    let ran = plugin.build(&host).await?;
    ensure!(!ran.status.success() && !plugin.0.path().join("out/returner.wasm").exists(), "it was built");
    for words in [
        "plugin.toml: endpoint `api`: auth of the manifest: unknown variant `beare`, expected one of",
        "`bearer`",
        "the method `FETCH`; there are: GET",
        "the component has no function `tickets.shut`; it has: returns.due",
        "s.json: /properties/a/type: ",
        "s.json: /properties/b/pattern: the pattern `(?=x)`",
    ] {
        ensure!(ran.stderr.contains(words), "`{words}` is not in: {}", ran.stderr);
    }
    let plugin = Plugin::new(&format!("{GOOD}invalidates = [\"stock\"]\n"), r#"{"maxlen": 5}"#)?;
    let ran = plugin.build(&host).await?;
    ensure!(ran.status.success(), "{}", ran.stderr);
    for words in ["warning: ", "invalidates `stock`", "/maxlen: `maxlen` is no keyword of JSON Schema"] {
        ensure!(ran.stderr.contains(words), "`{words}` is not in: {}", ran.stderr);
    }
    let plugin = Plugin::new(&GOOD.replace("publisher", "publishr"), SCHEMA)?;
    let ran = plugin.build(&host).await?;
    ensure!(ran.stderr.contains("plugin.toml:3:1: unknown field `publishr`"), "{}", ran.stderr);
    Ok(())
}

#[tokio::test]
async fn what_was_built_is_shown_whole_and_links_to_nothing_of_ours() -> Result<()> {
    let host = Host::new()?;
    let plugin = Plugin::new(GOOD, SCHEMA)?;
    plugin.build(&host).await?;
    let file = plugin.path("out/returner.wasm");
    let shown = host.confab(&["plugin", "inspect", &file]).await?;
    for line in [
        "returner 1.0.0 by acme (connector)",
        "signature: none",
        "  acme:erp/returns.due",
        "  page (integer, default 5)  Per page.",
        "  api (GET, auth bearer)  The ERP",
        "  returns.due  reads, kept 30 s, tags returns:{customer-id}",
        "limits (an operator may change them):",
    ] {
        ensure!(shown.lines().any(|shown| shown == line), "`{line}` is not in:\n{shown}");
    }
    let page = host.confab(&["plugin", "docs", &file]).await?;
    ensure!(page.contains("## returner") && !page.contains("README.md") && !page.contains("make docs"), "{page}");
    // Whoever has read enough closes the pipe.
    for arguments in
        [&["plugin", "inspect", "--json", &file][..], &["plugin", "docs", &file], &["plugin", "inspect", &file]]
    {
        let mut command = Command::new(place::confab()?);
        let mut child = command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        drop(child.stdout.take());
        let ended = child.wait_with_output()?;
        // As a shell tells the end by SIGPIPE.
        ensure!(ended.stderr.is_empty() && ended.status.code() == Some(141), "{arguments:?}: {ended:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_say_where_they_looked_and_what_can_be_done() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let here = dir.path().display().to_string();
    let confab = |arguments: &[&str]| {
        Command::new(place::confab()?).current_dir(&here).args(arguments).output().map_err(anyhow::Error::from)
    };
    let said = confab(&["connection", "check", "--tenant", "shop", "parcelo"])?;
    let text = String::from_utf8_lossy(&said.stderr).into_owned();
    ensure!(!said.status.success() && text.contains(&format!("{here}/.data")) && text.contains("--data"), "{text}");
    let shop = place::example("shop").display().to_string();
    let plugins = place::plugins()?.display().to_string();
    let said = confab(&["apply", "--check", &shop, "--plugins", &plugins])?;
    ensure!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    ensure!(!dir.path().join(".data").exists(), "a data directory was made");

    let host = Host::new()?;
    let said = host.run(&["connection", "check", "--tenant", "shop", "parcelo"]).await?;
    for words in ["has no connection `parcelo`", "No server runs at the data directory /", "--data"] {
        ensure!(said.stderr.contains(words), "`{words}` is not in: {}", said.stderr);
    }
    // A connector without a check.
    let plugin = Plugin::new(&GOOD.replace("[endpoints.auth.bearer]\n", ""), SCHEMA)?;
    plugin.build(&host).await?;
    let host = host.plugins(&plugin.0.path().join("out"));
    let folder = Folder::of("shop")?;
    folder.write(
        "connections/back.yaml",
        "id: back\nconnector: returner\nendpoints:\n  api:\n    url: https://erp.example\n",
    )?;
    host.confab(&["apply", &folder.path().display().to_string()]).await?;
    let said = host.confab(&["connection", "check", "--tenant", "shop", "back"]).await?;
    ensure!(
        said.contains("connector returner has no check (it exports no `health`); the connection is ready"),
        "{said}"
    );
    ensure!(said.contains("confab connection call --tenant shop back acme:erp/returns."), "{said}");
    Ok(())
}
