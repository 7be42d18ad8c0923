//! The install gate: signed plugins of trusted publishers get in, under their own names, once for each version, on all hosts.

use anyhow::{Context, Result, ensure};
use confab_tests::client::{Client, send};
use confab_tests::component::{compile_bomb, variant};
use confab_tests::folder::Folder;
use confab_tests::redis::Redis;
use confab_tests::server::Host;
use confab_tests::wait::until;
use reqwest::Method;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Duration;
use tempfile::TempDir;

/// What changed on one host must have reached the other by then.
const SOON: Duration = Duration::from_secs(15);
/// CPU time that the bomb gets: enough for an honest plugin.
const COMPILER: &str = "[compiler]\ncpu_s = 3\n";

/// A place for keys and plugins.
struct Workshop {
    dir: TempDir,
}

impl Workshop {
    /// With keys of `acme` and `globex`, both trusted.
    async fn open() -> Result<Workshop> {
        let workshop = Workshop { dir: tempfile::tempdir()? };
        let host = Host::new()?;
        let mut trusted = "# whom we trust\n".to_owned();
        for publisher in ["acme", "globex"] {
            host.confab(&["plugin", "keygen", publisher, "--out", &workshop.path("")]).await?;
            trusted.push_str(&std::fs::read_to_string(workshop.path(&format!("{publisher}.pub")))?);
        }
        std::fs::write(workshop.path("trusted"), trusted)?;
        Ok(workshop)
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    fn host(&self) -> Result<Host> {
        Ok(Host::new()?.flag("--trusted-publishers", &self.path("trusted")))
    }

    /// The guest `echo` as acme's plugin `parrot`, with further changes to its manifest.
    fn parrot(&self, file: &str, change: impl FnOnce(&mut Value)) -> Result<String> {
        let wasm = variant("echo", |manifest| {
            manifest["name"] = json!("parrot");
            manifest["publisher"] = json!("acme");
            manifest["version"] = json!("1.0.0");
            change(manifest);
        })?;
        std::fs::write(self.path(file), wasm)?;
        Ok(self.path(file))
    }

    async fn sign(&self, host: &Host, file: &str, publisher: &str) -> Result<()> {
        host.confab(&["plugin", "sign", file, "--key", &self.path(&format!("{publisher}.key"))]).await?;
        Ok(())
    }
}

/// Installs what must be refused, and looks for words in what is said.
async fn refused(host: &Host, arguments: &[&str], words: &[&str]) -> Result<()> {
    let ran = host.run(&[&["plugin", "install"], arguments].concat()).await?;
    ensure!(!ran.status.success(), "{arguments:?} was installed: {}", ran.stdout);
    for word in words {
        ensure!(ran.stderr.contains(word), "`{word}` is not in: {}", ran.stderr);
    }
    Ok(())
}

#[tokio::test]
async fn keys_are_kept_to_their_owner_and_never_overwritten() -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let workshop = Workshop::open().await?;
    let host = workshop.host()?;
    let key = PathBuf::from(workshop.path("acme.key"));
    ensure!(std::fs::metadata(&key)?.permissions().mode() & 0o777 == 0o600, "others can read the key");
    let before = std::fs::read_to_string(&key)?;
    let again = host.run(&["plugin", "keygen", "acme", "--out", &workshop.path("")]).await?;
    ensure!(!again.status.success() && std::fs::read_to_string(&key)? == before, "the key was overwritten");
    let file = workshop.parrot("parrot.wasm", |_| ())?;
    let verify = async |trusted: &str| host.run(&["plugin", "verify", &file, "--trusted", trusted]).await;
    let unsigned = verify(&workshop.path("trusted")).await?;
    ensure!(!unsigned.status.success() && unsigned.stderr.contains("not signed"), "{}", unsigned.stderr);
    workshop.sign(&host, &file, "acme").await?;
    let signed = verify(&workshop.path("trusted")).await?;
    ensure!(signed.status.success() && signed.stdout.contains("signed by publisher acme"), "{}", signed.stderr);
    let stranger = verify(&workshop.path("globex.pub")).await?;
    ensure!(!stranger.status.success() && stranger.stderr.contains("not trusted"), "{}", stranger.stderr);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_plugin_is_installed_once_serves_bots_and_is_not_removed_under_them() -> Result<()> {
    let workshop = Workshop::open().await?;
    let host = workshop.host()?;
    let server = host.start().await?;
    let file = workshop.parrot("parrot.wasm", |_| ())?;
    refused(&host, &[&file], &["not signed", "confab plugin sign", "--allow-unsigned"]).await?;
    // The operator has not allowed it.
    refused(&host, &[&file, "--unsigned"], &["not signed", "--allow-unsigned"]).await?;
    workshop.sign(&host, &file, "globex").await?;
    refused(&host, &[&file], &["a key of `globex`", "publisher `acme`"]).await?;
    workshop.sign(&host, &file, "acme").await?;

    let mut tampered = std::fs::read(&file)?;
    let at =
        tampered.windows(9).position(|window| window == b"the turns").context("echo describes itself otherwise")?;
    tampered[at] ^= 0x20;
    std::fs::write(workshop.path("tampered.wasm"), tampered)?;
    refused(&host, &[&workshop.path("tampered.wasm")], &["changed after it was signed"]).await?;
    let wrong = format!("sha256:{}", "0".repeat(64));
    refused(&host, &[&file, "--digest", &wrong], &["not the file that you meant"]).await?;
    refused(&host, &["http://127.0.0.1:1/parrot.wasm"], &["only https"]).await?;

    let said = host.confab(&["plugin", "install", &file]).await?;
    ensure!(said.contains("parrot 1.0.0 by acme installed"), "{said}");
    let said = host.confab(&["plugin", "install", &file]).await?;
    ensure!(said.contains("is installed already"), "{said}");
    let other = workshop.parrot("other.wasm", |manifest| manifest["description"] = json!("Another."))?;
    workshop.sign(&host, &other, "acme").await?;
    refused(&host, &[&other], &["other contents", "raise `version`"]).await?;
    // A name belongs to who had it first.
    let squatter = workshop.parrot("squatter.wasm", |manifest| {
        manifest["publisher"] = json!("globex");
        manifest["version"] = json!("2.0.0");
    })?;
    workshop.sign(&host, &squatter, "globex").await?;
    refused(&host, &[&squatter], &["publisher `acme`", "another name"]).await?;
    let listed = host.confab(&["plugin", "list"]).await?;
    ensure!(listed.lines().filter(|line| line.starts_with("parrot ")).count() == 1, "{listed}");

    let folder = Folder::of("acme-shop")?;
    folder.write("bots/polly.yaml", "id: polly\nplugin: parrot\nfallback:\n  en: polly failed\n")?;
    host.confab(&["apply", &folder.path().display().to_string()]).await?;
    let client = Client::new(&server, &host.key("acme-shop", &["--scope", "chat", "--scope", "admin"]).await?)?;
    client.talk().with("polly").hears("hello", &["1: hello"]).await?;
    let kept = host.run(&["plugin", "remove", "parrot", "1.0.0"]).await?;
    ensure!(!kept.status.success() && kept.stderr.contains("bot acme-shop/polly"), "{}{}", kept.stdout, kept.stderr);
    client.talk().with("polly").hears("still here?", &["1: still here?"]).await?;

    // A tenant's key opens none of this, however much it may do for its tenant.
    let wasm = std::fs::read(&file)?;
    let posted = client.post_as("/api/admin/plugins?unsigned=true", Some("application/wasm"), wasm).await?;
    posted.problem(403, "forbidden")?;
    let deleted = send(client.request(Method::DELETE, "/api/admin/plugins/parrot/1.0.0")).await?;
    deleted.problem(403, "forbidden")?;

    folder.write("bots/polly.yaml", "id: polly\nplugin: echo\nfallback:\n  en: polly failed\n")?;
    host.confab(&["apply", &folder.path().display().to_string()]).await?;
    host.confab(&["plugin", "remove", "parrot", "1.0.0"]).await?;
    let gone = host.run(&["plugin", "remove", "parrot", "1.0.0"]).await?;
    ensure!(!gone.status.success() && gone.stderr.contains("not installed"), "{}", gone.stderr);
    // What was removed can be installed anew, even as something else.
    let said = host.confab(&["plugin", "install", &other]).await?;
    ensure!(said.contains("parrot 1.0.0 by acme installed"), "{said}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn unsigned_plugins_need_the_word_of_the_operator_and_of_whoever_installs() -> Result<()> {
    let workshop = Workshop::open().await?;
    let host = Host::new()?.env("CONFAB_ALLOW_UNSIGNED", "true").flag("--deny-imports", "wasi:*");
    let file = workshop.parrot("parrot.wasm", |_| ())?;
    // No server runs: the command opens the store itself.
    refused(&host, &[&file], &["not signed", "install it with --unsigned"]).await?;
    let said = host.confab(&["plugin", "install", &file, "--unsigned"]).await?;
    ensure!(said.contains("note: it is not signed") && said.contains("installed"), "{said}");
    let listed = host.confab(&["plugin", "list"]).await?;
    ensure!(listed.lines().any(|line| line.starts_with("parrot ") && line.contains("(unsigned)")), "{listed}");
    let old = workshop.parrot("old.wasm", |manifest| {
        manifest["version"] = json!("1.0.1");
        manifest.as_object_mut().map(|manifest| manifest.remove("imports"));
    })?;
    refused(&host, &[&old, "--unsigned"], &["Build it again with this version's"]).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_was_installed_on_one_host_is_served_by_the_other() -> Result<()> {
    let redis = Redis::start().await?;
    let workshop = Workshop::open().await?;
    let west = workshop.host()?.flag("--store", &redis.url());
    let east = workshop.host()?.flag("--store", &redis.url());
    let (west_server, east_server) = (west.start().await?, east.start().await?);
    let file = workshop.parrot("parrot.wasm", |_| ())?;
    workshop.sign(&west, &file, "acme").await?;
    west.confab(&["plugin", "install", &file]).await?;
    std::fs::remove_file(&file)?;
    let folder = Folder::of("shop")?;
    folder.write("bots/polly.yaml", "id: polly\nplugin: parrot\nfallback:\n  en: polly failed\n")?;
    west.confab(&["apply", &folder.path().display().to_string()]).await?;
    let key = west.key("shop", &[]).await?;
    Client::new(&west_server, &key)?.talk().with("polly").hears("hello", &["1: hello"]).await?;
    // Nothing of the first host is left but what the store has.
    west_server.kill().await?;
    let client = Client::new(&east_server, &key)?;
    until("the other host serves the plugin", SOON, || {
        let talk = client.talk().with("polly");
        async move { Ok((talk.send("hello").await?.status == 200).then_some(())) }
    })
    .await?;
    client.talk().with("polly").hears("hello", &["1: hello"]).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compile_bomb_is_stopped_and_visitors_do_not_feel_it() -> Result<()> {
    let workshop = Workshop::open().await?;
    std::fs::write(workshop.path("limits.toml"), COMPILER)?;
    std::fs::write(workshop.path("bomb.wasm"), compile_bomb())?;
    let folder = Folder::of("shop")?;
    folder.guest("echo")?;
    let host = Host::new()?
        .flag("--limits", &workshop.path("limits.toml"))
        .env("CONFAB_ALLOW_UNSIGNED", "true")
        .serving("--visitor-rate", "1000000")
        .serving("--key-rate", "1000000")
        .apply(folder.path());
    let mut server = host.start().await?;
    let client = Client::new(&server, &host.key("shop", &[]).await?)?;
    let bomb = workshop.path("bomb.wasm");
    let arguments = [bomb.as_str(), "--unsigned"];
    let install = refused(&host, &arguments, &["compiler was stopped", "3 s of CPU time", "[compiler]"]);
    tokio::pin!(install);
    let mut answers = 0;
    loop {
        let mut talk = client.talk().with("echo");
        tokio::select! {
            said = talk.hears("hello", &["1: hello"]) => {
                said?;
                answers += 1;
            }
            outcome = &mut install => {
                outcome?;
                break;
            }
        }
    }
    ensure!(answers > 20, "only {answers} answers while the bomb was compiled");
    server.lives()?;
    client.talk().with("echo").hears("and after it", &["1: and after it"]).await?;
    Ok(())
}

#[tokio::test]
async fn a_limits_file_with_nonsense_is_refused_with_its_line() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("limits.toml");
    for (text, words) in [
        ("[ceiling]\nfuel = 1000000000\nmemroy_mib = 1\n", "limits.toml:3:"),
        ("[tenant]\ncalls = 0\n", "limits.toml:2:"),
    ] {
        std::fs::write(&file, text)?;
        let ran = Host::new()?.flag("--limits", &file.display().to_string()).run(&["plugin", "list"]).await?;
        ensure!(!ran.status.success() && ran.stderr.contains(words), "`{words}` is not in: {}", ran.stderr);
    }
    Ok(())
}
