//! A folder with mistakes: refused with file and line, and nothing changed.
//!
//! The table has a test for each mistake. They run `confab apply` without a server, which opens the store by itself.

use anyhow::{Context, Result, ensure};
use confab_tests::client::Client;
use confab_tests::erp::connection;
use confab_tests::folder::Folder;
use confab_tests::server::{Host, Ran};
use std::ops::RangeInclusive;

const BOT: &str = "bots/shop.yaml";
const FLOW: &str = "bots/shop.flow.yaml";
const DATA: &str = "connections/shop-data.yaml";
const ERP: &str = "connections/erp.yaml";
const URL: &str = "https://erp.example.com/erp";

/// Where a mistake is.
enum At {
    /// In the line that has these words.
    Line(&'static str),
    /// Somewhere from the line that has the first words to the line that has the second.
    Block(&'static str, &'static str),
    /// Something is not there, so that any line is right.
    Anywhere,
}
use At::{Anywhere, Block, Line};

impl At {
    fn lines(&self, folder: &Folder, file: &str) -> Result<RangeInclusive<usize>> {
        Ok(match self {
            Line(words) => folder.line_of(file, words)?..=folder.line_of(file, words)?,
            Block(first, last) => folder.line_of(file, first)?..=folder.line_of(file, last)?,
            Anywhere => 1..=folder.read(file)?.lines().count(),
        })
    }
}

/// Applies the folder, which must be refused with a finding in this file, at this place, that says this.
async fn refused(folder: &Folder, file: &str, at: &At, says: &[&str]) -> Result<Ran> {
    let host = Host::new()?.env("SHOP__TRYTON_PASSWORD", "not-asked-for");
    let ran = host.run(&["apply", &folder.path().display().to_string()]).await?;
    ensure!(!ran.status.success(), "it was applied: {}", ran.stdout);
    ensure!(ran.stderr.contains("nothing was changed"), "does not say that nothing was changed: {}", ran.stderr);
    let prefix = format!("{}/{file}:", folder.path().display());
    let findings: Vec<&str> = ran.stderr.lines().filter_map(|line| line.strip_prefix(&prefix)).collect();
    let said = findings.iter().find(|finding| says.iter().all(|word| finding.contains(word)));
    let said = said.with_context(|| format!("nothing in {file} says {says:?}:\n{}", ran.stderr))?;
    let lines = at.lines(folder, file)?;
    let told: Option<usize> = said.split(':').next().and_then(|number| number.parse().ok());
    let told = told.with_context(|| format!("a finding without its line, which is {lines:?}:\n{}", ran.stderr))?;
    ensure!(lines.contains(&told), "line {told} is not in {lines:?}:\n{}", ran.stderr);
    Ok(ran)
}

/// One test for each mistake: `name: make it => file, line, words`.
macro_rules! mistakes {
    ($($name:ident: |$folder:ident| $make:expr => $file:expr, $at:expr, $says:expr;)*) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $name() -> Result<()> {
            let $folder = Folder::shop()?;
            $make;
            refused(&$folder, $file, &$at, &$says).await?;
            Ok(())
        }
    )*};
}

mistakes! {
    yaml_that_cannot_be_read: |folder| folder.replace(BOT, "catalog: shop-data", "catalog: shop-data: too")?
        => BOT, Line("catalog:"), ["error"];
    an_unknown_key_in_a_bot: |folder| folder.replace(BOT, "plugin: flow", "plugin: flow\ncolour: red")?
        => BOT, Line("colour: red"), ["colour"];
    an_unknown_key_in_a_connection: |folder| folder.replace(DATA, "connector: sheet", "connector: sheet\nsetings: {}")?
        => DATA, Line("setings"), ["setings"];
    a_bot_without_a_plugin: |folder| folder.replace(BOT, "plugin: flow\n", "")?
        => BOT, Anywhere, ["plugin"];
    a_bad_id: |folder| folder.replace(BOT, "id: shop", "id: The Shop")?
        => BOT, Line("id: The Shop"), ["The Shop"];
    a_bad_time_to_live: |folder| folder.replace(BOT, "24h", "24 hours")?
        => BOT, Line("24 hours"), ["conversation_ttl"];
    a_definition_that_is_not_there: |folder| folder.replace(BOT, "shop.flow.yaml", "../../elsewhere.yaml")?
        => BOT, Line("definition:"), ["elsewhere.yaml"];
    two_bots_of_one_id: |folder| folder.write("bots/twin.yaml", "id: shop\nplugin: flow\ndefinition: shop.flow.yaml\n")?
        => "bots/twin.yaml", Line("id: shop"), ["bots/shop.yaml"];
    a_data_file_that_is_not_there: |folder| folder.replace(DATA, "../data/stock.csv", "../data/stocks.csv")?
        => DATA, Line("stocks.csv"), ["stocks.csv"];
    a_secret_in_plain_text: |folder| {
            folder.write(ERP, &connection(URL))?;
            folder.replace(ERP, "env:SHOP__TRYTON_PASSWORD", "hunter2-canary")?;
        }
        => ERP, Block("rpc:", "password:"), ["must name a secret"];

    // What can only be known with the plugin at hand.
    an_unknown_plugin: |folder| folder.replace(BOT, "plugin: flow", "plugin: flaw")?
        => BOT, Line("plugin: flaw"), ["flaw", "flow"];
    a_plugin_of_another_kind: |folder| folder.replace(BOT, "plugin: flow", "plugin: sheet")?
        => BOT, Line("plugin: sheet"), ["sheet"];
    an_unknown_connector: |folder| folder.replace(DATA, "connector: sheet", "connector: sheets")?
        => DATA, Line("connector: sheets"), ["sheets"];
    an_unknown_connection: |folder| folder.replace(BOT, "orders: shop-data", "orders: shop-dada")?
        => BOT, Line("orders: shop-dada"), ["shop-dada", "shop-data"];
    a_capability_that_the_connector_lacks: |folder| {
            folder.write(ERP, &connection(URL))?;
            folder.replace(BOT, "tickets: helpdesk", "tickets: erp")?;
        }
        => BOT, Line("tickets: erp"), ["tickets", "does not offer"];
    a_missing_endpoint: |folder| folder.write(ERP, "id: erp\nconnector: tryton\n")?
        => ERP, Anywhere, ["rpc", "missing"];
    an_unknown_endpoint: |folder| {
            folder.write(ERP, &connection(URL))?;
            folder.replace(ERP, "  rpc:", "  rest:")?;
        }
        => ERP, Block("rest:", "password:"), ["rest", "rpc"];
    an_endpoint_without_its_password: |folder| {
            folder.write(ERP, &connection(URL))?;
            folder.replace(ERP, "    password: env:SHOP__TRYTON_PASSWORD\n", "")?;
        }
        => ERP, Block("rpc:", "username:"), ["password"];
    an_endpoint_on_a_private_address: |folder| folder.write(ERP, &connection("http://127.0.0.1:1/erp"))?
        => ERP, Block("rpc:", "password:"), ["rpc"];
    a_setting_that_the_schema_refuses: |folder| folder.replace(DATA, "currency: EUR", "currency: 5")?
        => DATA, Line("currency: 5"), ["currency"];
    an_unknown_setting: |folder| folder.replace(DATA, "currency: EUR", "currency: EUR\n  colour: red")?
        => DATA, Block("settings:", "colour: red"), ["colour"];

    // What only the plugin itself can know.
    a_flow_that_calls_what_nobody_defined: |folder| folder.replace(FLOW, "- run: find_article", "- run: find_artikel")?
        => FLOW, Line("find_artikel"), ["find_artikel"];
    a_flow_with_a_misspelt_step: |folder| folder.replace(FLOW, "- need: [name, contact, subject]", "- needs: [name, contact, subject]")?
        => FLOW, Line("- needs:"), ["needs"];
    a_flow_with_a_broken_template: |folder| folder.replace(FLOW, "{{ product.price | money }}.\"", "{{ product.price | monney }}.\"")?
        => FLOW, Line("monney"), ["monney"];
    a_flow_that_is_no_yaml: |folder| folder.replace(FLOW, "    on: greeting\n", "    on: [greeting\n")?
        => FLOW, Line("    steps:"), ["error"];
    a_row_with_a_bad_number: |folder| folder.replace("data/stock.csv", "SKU-1001,Wien,7,5", "SKU-1001,Wien,seven,5")?
        => "data/stock.csv", Line("seven"), ["seven"];
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_secret_is_not_repeated() -> Result<()> {
    let folder = Folder::shop()?;
    folder.write(ERP, &connection(URL))?;
    folder.replace(ERP, "env:SHOP__TRYTON_PASSWORD", "hunter2-canary")?;
    let ran = refused(&folder, ERP, &Block("rpc:", "password:"), &["env:NAME"]).await;
    let told = match &ran {
        Ok(ran) => format!("{}{}", ran.stdout, ran.stderr),
        Err(e) => format!("{e:#}"),
    };
    ensure!(!told.contains("hunter2-canary"), "{told}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_mistake_is_told_at_once() -> Result<()> {
    let folder = Folder::shop()?;
    folder.replace(BOT, "24h", "24 hours")?;
    folder.replace(DATA, "../data/stock.csv", "../data/stocks.csv")?;
    folder.replace("tenant.yaml", "id: shop", "id: Shop")?;
    let ran = Host::new()?.run(&["apply", &folder.path().display().to_string()]).await?;
    for file in [BOT, DATA, "tenant.yaml"] {
        ensure!(
            ran.stderr.contains(&format!("{}/{file}:", folder.path().display())),
            "nothing of {file}: {}",
            ran.stderr
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_changes_nothing_and_what_is_applied_changes_at_once() -> Result<()> {
    let folder = Folder::shop()?;
    let path = folder.path().display().to_string();
    let host = Host::new()?;
    let server = host.clone().apply(folder.path()).start().await?;
    let client = Client::new(&server, &host.key("shop", &[]).await?)?;
    let question = "Do you have SKU-1001 in stock?";
    let mut talk = client.talk().with("shop");
    talk.hears(question, &["5 available"]).await?;

    // Good news in one file, a mistake in another: neither is taken.
    folder.replace("data/stock.csv", "SKU-1001,Wien,7,5", "SKU-1001,Wien,70,61")?;
    folder.replace(FLOW, "- run: find_article", "- run: find_artikel")?;
    folder.guest("echo")?;
    let ran = host.run(&["apply", &path]).await?;
    ensure!(!ran.status.success() && ran.stderr.contains("nothing was changed"), "{}{}", ran.stdout, ran.stderr);
    talk.hears(question, &["5 available"]).await?;
    client.talk().with("echo").send("hello").await?.problem(404, "unknown-bot")?;

    // The same over HTTP, with the findings in the document.
    let admin = client.with_key(&host.key("shop", &["--scope", "admin"]).await?);
    let files = serde_json::json!({"files": [{"path": "tenant.yaml", "content": "aWQ6IFNob3A="}]});
    let problem = admin.post("/api/admin/apply", &files).await?.problem(422, "invalid-configuration")?;
    let finding = &problem.document["findings"][0];
    ensure!(finding["file"] == "tenant.yaml" && finding["line"] == 1, "{}", problem.document);

    // Put right, but only checked.
    folder.replace(FLOW, "- run: find_artikel", "- run: find_article")?;
    host.confab(&["apply", "--check", &path]).await?;
    talk.hears(question, &["5 available"]).await?;

    // Put right and applied: the same conversation hears it at once.
    let applied = host.confab(&["apply", &path]).await?;
    ensure!(applied.contains("shop") && applied.contains("echo"), "{applied}");
    talk.hears(question, &["61 available"]).await?;
    client.talk().with("echo").hears("hello", &["1: hello"]).await?;

    // A bot that is taken out goes with --prune only.
    std::fs::remove_file(folder.path().join("bots/echo.yaml"))?;
    host.confab(&["apply", &path]).await?;
    client.talk().with("echo").say("still here").await?;
    host.confab(&["apply", "--prune", &path]).await?;
    client.talk().with("echo").send("hello").await?.problem(404, "unknown-bot")?;
    talk.hears(question, &["61 available"]).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_does_not_start_on_a_folder_with_mistakes() -> Result<()> {
    let folder = Folder::shop()?;
    folder.replace(BOT, "plugin: flow", "plugin: flow\ncolour: red")?;
    let started = Host::new()?.apply(folder.path()).start().await;
    let Err(e) = started else { anyhow::bail!("it started") };
    let told = format!("{e:#}");
    ensure!(told.contains("bots/shop.yaml:4:") && told.contains("colour"), "{told}");
    Ok(())
}
