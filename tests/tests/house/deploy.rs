//! What `deploy/` says agrees with the program: settings, ports, paths, times. No containers are started; that these files mean what they should to
//! Docker and Kubernetes is for their own checkers (deploy/ passes hadolint, the schema of compose and those of Kubernetes).
//!
//! The files are read as text. All that is looked for stands on one line, `key: value`.

use anyhow::{Context, Result, ensure};
use confab_tests::client::Client;
use confab_tests::folder::Folder;
use confab_tests::place;
use confab_tests::server::{Host, Server};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::{Command, Output};

/// What is only in the environment, as a flag could be read in the list of processes. It isn't in the help, so a wrong value shows that it is read.
const NO_FLAG: &str = "CONFAB_TOKEN_KEYS";

/// A file of the repository.
fn text(path: &str) -> Result<String> {
    std::fs::read_to_string(place::root().join(path)).with_context(|| path.to_owned())
}

/// Everything in `deploy/`, with names.
fn files() -> Result<Vec<(PathBuf, String)>> {
    let (mut folders, mut files) = (vec![place::root().join("deploy")], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if !path.ends_with(".env") {
                files.push((path.clone(), std::fs::read_to_string(&path)?));
            }
        }
    }
    ensure!(files.len() > 5, "deploy/ is empty");
    Ok(files)
}

/// Words of capital letters that begin like a setting.
fn settings(text: &str) -> BTreeSet<&str> {
    let parts = text.split(|c: char| !(c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_'));
    parts.filter(|word| word.starts_with("CONFAB_") && word.len() > 7).collect()
}

/// What stands after `key` on the lines that have it, up to a space, comma, quote or bracket.
fn after<'a>(text: &'a str, key: &str) -> Vec<&'a str> {
    let rest =
        text.lines().filter_map(|line| line.split_once(key)).map(|(_, rest)| rest.trim_start_matches([' ', '"']));
    rest.map(|rest| rest.split([' ', ',', '"', '}', ']', '\\']).next().unwrap_or_default()).collect()
}

/// The only one, as seconds.
fn seconds(text: &str, key: &str) -> Result<u64> {
    let found = after(text, key);
    let [one] = found.as_slice() else { anyhow::bail!("{key} is there {} times", found.len()) };
    one.trim_end_matches('s').parse().with_context(|| format!("{key} {one}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_setting_that_deploy_names_is_one_of_the_program() -> Result<()> {
    let help = Host::new()?.confab(&["serve", "--help"]).await?;
    let known = settings(&help);
    ensure!(known.contains("CONFAB_STORE"), "the help names no variables: {help}");
    let mut named = 0;
    for (path, text) in files()? {
        for setting in settings(&text) {
            named += 1;
            ensure!(known.contains(setting) || setting == NO_FLAG, "{}: there is no {setting}", path.display());
        }
    }
    ensure!(named > 5, "deploy/ names only {named} settings");
    let refused = Host::new()?.env(NO_FLAG, "no base64!").run(&["key", "list"]).await?;
    ensure!(
        !refused.status.success() && refused.stderr.contains("base64"),
        "{NO_FLAG} is not read: {}",
        refused.stderr
    );

    let operators = text("docs/operators.md")?;
    let section = operators.split("\n## ").find(|part| part.starts_with("Several hosts")).context("no section")?;
    let flags = section.split('`').filter_map(|code| code.strip_prefix("--"));
    for flag in flags.filter_map(|flag| flag.split_whitespace().next()) {
        ensure!(help.contains(&format!("--{flag} ")), "docs/operators.md: there is no --{flag}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_may_finish_its_turns_before_it_is_killed() -> Result<()> {
    let (compose, settings) = (text("deploy/compose.yaml")?, text("deploy/kubernetes/kustomization.yaml")?);
    let drain = seconds(&compose, "CONFAB_DRAIN:")?;
    // Of two services: the hosts' comes first.
    let grace = after(&compose, "stop_grace_period:");
    let grace: u64 = grace.first().context("no grace")?.trim_end_matches('s').parse()?;
    ensure!(grace > drain, "compose kills after {grace} s what may take {drain} s");

    let drain = seconds(&settings, "CONFAB_DRAIN=")?;
    let deployment = text("deploy/kubernetes/deployment.yaml")?;
    let sleep = seconds(&deployment, "command: [sleep,")?;
    let grace = seconds(&deployment, "terminationGracePeriodSeconds:")?;
    ensure!(grace > sleep + drain, "Kubernetes kills after {grace} s what may take {sleep} + {drain} s");

    // Who runs the image by itself has the default.
    let help = Host::new()?.confab(&["serve", "--help"]).await?;
    let default =
        help.split("--drain").nth(1).and_then(|rest| rest.split("[default: ").nth(1)).context("no default")?;
    let default = default.split(']').next().unwrap_or_default();
    let image = text("deploy/Dockerfile")?;
    ensure!(
        image.contains(&format!("CONFAB_DRAIN seconds ({default})")),
        "the Dockerfile has another drain than {default}"
    );
    Ok(())
}

#[test]
fn ports_users_and_versions_are_the_same_wherever_they_are_named() -> Result<()> {
    let image = text("deploy/Dockerfile")?;
    let deployment = text("deploy/kubernetes/deployment.yaml")?;
    let port = after(&image, "EXPOSE").first().copied().context("no EXPOSE")?.to_owned();
    ensure!(
        after(&image, "CONFAB_LISTEN=") == [format!("0.0.0.0:{port}")],
        "the image listens elsewhere than on {port}"
    );
    ensure!(after(&deployment, "containerPort:") == [port.as_str()], "Kubernetes has another port than {port}");
    ensure!(after(&text("deploy/haproxy.cfg")?, "confab:") == [port.as_str()], "HAProxy has another port than {port}");

    let user = after(&image, "--uid").first().copied().context("no uid")?.to_owned();
    ensure!(after(&image, "USER") == [format!("{user}:{user}")], "the image runs as another user");
    for manifest in [deployment, text("deploy/kubernetes/apply-tenant.yaml")?] {
        for key in ["runAsUser:", "runAsGroup:", "fsGroup:"] {
            ensure!(after(&manifest, key) == [user.as_str()], "{key} is not {user}");
        }
    }

    let channel = text("rust-toolchain.toml")?;
    let channel = after(&channel, "channel =").first().copied().context("no channel")?.to_owned();
    ensure!(image.contains(&format!("FROM rust:{channel}-")), "the image is not built with Rust {channel}");
    ensure!(after(&image, "RUSTUP_TOOLCHAIN=") == [channel.as_str()], "the image is not built with Rust {channel}");
    Ok(())
}

#[test]
fn no_secret_is_in_deploy() -> Result<()> {
    for line in text("deploy/.env.example")?.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        ensure!(line.ends_with('='), "deploy/.env.example has a value: {line}");
    }
    for (path, text) in files()? {
        ensure!(!text.contains("kind: Secret\n"), "{} is a secret", path.display());
        // A URL's password is a variable or a word in capitals.
        for password in text.split("redis://:").skip(1).filter_map(|rest| rest.split('@').next()) {
            ensure!(password.starts_with("${") || password == "PASSWORD", "{} has a password", path.display());
        }
    }
    Ok(())
}

/// Runs the image's check of health against a server.
fn health(server: &Server, path: &str) -> Result<Output> {
    let address = server.url().trim_start_matches("http://");
    let mut check = Command::new("bash");
    check.arg(place::root().join("deploy/health")).arg(path).env("CONFAB_LISTEN", address);
    check.output().context("can't run deploy/health")
}

#[tokio::test(flavor = "multi_thread")]
async fn probes_ask_what_the_server_answers() -> Result<()> {
    let folder = Folder::of("acme")?;
    folder.guest("echo")?;
    let host = Host::new()?.apply(folder.path());
    let server = host.start().await?;
    let client = Client::anonymous(&server)?;
    let mut asked = BTreeSet::new();
    let (deployment, balancer) = (text("deploy/kubernetes/deployment.yaml")?, text("deploy/haproxy.cfg")?);
    asked.extend(after(&deployment, "path: "));
    asked.extend(after(&balancer, "meth GET uri"));
    asked.retain(|path| path.ends_with('z'));
    ensure!(asked == BTreeSet::from(["/healthz", "/readyz"]), "{asked:?}");
    for path in asked {
        ensure!(client.get(path).await?.status == 200, "{path}");
        let checked = health(&server, path)?;
        ensure!(checked.status.success(), "{path}: {}", String::from_utf8_lossy(&checked.stderr));
    }
    let other = health(&server, "/no-such-path")?;
    ensure!(!other.status.success() && other.stdout.ends_with(b": 404\n"), "{other:?}");

    let address = server.url().trim_start_matches("http://").to_owned();
    server.kill().await?;
    let gone = Command::new("bash").arg(place::root().join("deploy/health")).env("CONFAB_LISTEN", address).output()?;
    ensure!(!gone.status.success(), "a dead server is healthy");
    Ok(())
}
