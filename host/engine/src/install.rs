//! Installing and removing versions of plugins.
//!
//! What passes the gate ([`confab_sandbox::gate`]) is stored with its record in one step, and every host serves it from then on.
//! A version is claimed before it is stored, in the one place where of many hosts exactly one succeeds, so that two
//! hosts never install different files as the same version.

use crate::config::documents::{BOT, BotDoc, CONNECTION, ConnectionDoc, EndpointDoc};
use crate::engine::{Engine, read_all};
use crate::installed::{FetchError, InstalledVersion, PLUGIN, PLUGIN_FILE};
use crate::registry::{Registry, Slot, auth};
use crate::rollout::{ROLLOUT, RolloutDoc};
use crate::settings_schema;
use crate::turn::now_millis;
use bytes::Bytes;
use confab_sandbox::signature::TrustedPublishers;
use confab_sandbox::{GateRules, Manifest, Refusal, Unsigned};
use confab_store::{DocumentChange, StoreError};
use serde::Serialize;
use std::path::PathBuf;

/// Where versions are claimed.
const CLAIMS: &str = "plugin-versions";

/// What the operator demands of plugins that are installed.
#[derive(Clone, Debug, Default)]
pub struct GateConfig {
    /// File with the keys of trusted publishers. It is read at each installation, so that keys change without a restart.
    pub trusted_publishers: Option<PathBuf>,
    /// Whether unsigned plugins may be installed by those who say so.
    pub allow_unsigned: bool,
    /// Imports that no plugin may have.
    pub deny_imports: Vec<String>,
}

impl GateConfig {
    /// The trusted publishers, as the file has them now.
    ///
    /// # Errors
    /// With file and line.
    pub fn trusted(&self) -> Result<TrustedPublishers, String> {
        let Some(file) = &self.trusted_publishers else { return Ok(TrustedPublishers::default()) };
        let text = std::fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))?;
        TrustedPublishers::parse(&text).map_err(|e| format!("{}:{e}", file.display()))
    }
}

/// What an installation did.
#[derive(Clone, Debug, Serialize)]
pub struct InstallReport {
    /// The version.
    #[serde(flatten)]
    pub version: InstalledVersion,
    /// Whether it was there already; then nothing was changed.
    pub already: bool,
    /// What the operator should know.
    pub notes: Vec<String>,
}

/// Why a plugin was not installed. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// The gate.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// This host's copy.
    #[error(transparent)]
    File(#[from] FetchError),
    /// The host is at fault.
    #[error("{0}")]
    Internal(String),
}

/// Why a version was not removed.
#[derive(Debug, thiserror::Error)]
pub enum RemoveError {
    /// There is no such version.
    #[error("plugin `{0}` is not installed; `confab plugin list` shows what is")]
    Unknown(String),
    /// It is used.
    #[error("{version} is used by {}; move them to another version first", .users.join(", "))]
    InUse {
        /// The version.
        version: String,
        /// Bots and connections.
        users: Vec<String>,
    },
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Engine {
    /// Lets a plugin in, or says why not. `unsigned` is the wish of whoever installs it; the operator has to allow it as well.
    ///
    /// # Errors
    /// [`InstallError`]; then nothing was changed.
    pub async fn install(&self, wasm: Bytes, unsigned: bool) -> Result<InstallReport, InstallError> {
        let gate = &self.inner.gate;
        let rules = GateRules {
            trusted: gate.trusted().map_err(InstallError::Internal)?,
            unsigned: match (gate.allow_unsigned, unsigned) {
                (true, true) => Unsigned::Accepted,
                (true, false) => Unsigned::NotAsked,
                (false, _) => Unsigned::Forbidden,
            },
            deny_imports: gate.deny_imports.clone(),
            more: manifest_can_be_used,
        };
        let admitted = self.sandbox().admit(&wasm, &rules).await?;
        let version = InstalledVersion {
            name: admitted.manifest.name,
            version: admitted.manifest.version,
            digest: admitted.digest,
            kind: admitted.manifest.kind,
            publisher: admitted.manifest.publisher,
            signed_by: admitted.signed_by,
            size: wasm.len() as u64,
            installed_at: now_millis(),
        };
        let id = version.id();
        let _one = self.inner.changing.lock().await;
        let store = &self.inner.store;
        let of_this_name = self.inner.installed.versions(&version.name).await?;
        if let Some(other) = of_this_name.iter().find(|known| known.publisher != version.publisher) {
            let message = format!("`{}` is a plugin of the publisher `{}`", version.name, other.publisher);
            return Err(Refusal::new("name-taken", message, "Give the plugin another name in plugin.toml").into());
        }
        // A file in the operator's own directory has the name as well: nobody else gets a version beside it.
        if self.library().names().contains(&version.name)
            && let Ok(own) = tokio::task::block_in_place(|| self.library().get(&version.name))
            && own.manifest().publisher != version.publisher
        {
            let message = format!("`{}` is a plugin of this server's own directory", version.name);
            return Err(Refusal::new("name-taken", message, "Give the plugin another name in plugin.toml").into());
        }
        if version.signed_by.is_none() && of_this_name.iter().any(|known| known.signed_by.is_some()) {
            let message = format!("earlier versions of `{}` are signed, this one is not", version.name);
            return Err(
                Refusal::new("unsigned", message, "Sign it with the publisher's key: confab plugin sign").into()
            );
        }
        let claim = Bytes::from(version.digest.clone().into_bytes());
        let claimed = store.kv_insert(CLAIMS, &id, claim.clone()).await?;
        if claimed.is_some_and(|earlier| earlier != claim) {
            let message = format!("{id} is installed already, with other contents");
            let help = "A version never changes: raise `version` in plugin.toml, or remove the old one with `confab plugin remove`";
            return Err(Refusal::new("version-taken", message, help).into());
        }
        let known = of_this_name.into_iter().find(|known| known.version == version.version);
        if let Some(known) = known.filter(|known| known.digest == version.digest) {
            return Ok(InstallReport { version: known, already: true, notes: admitted.notes });
        }
        self.inner.installed.keep(&version.digest, wasm.clone()).await?;
        let record = serde_json::to_vec(&version).map_err(|e| InstallError::Internal(e.to_string()))?;
        let put = |kind: &str, id: String, body: Bytes| DocumentChange { kind: kind.to_owned(), id, body: Some(body) };
        let changes =
            vec![put(PLUGIN_FILE, version.digest.clone(), wasm), put(PLUGIN, id.clone(), Bytes::from(record))];
        store.change_documents(changes).await?;
        tracing::info!(
            plugin = id,
            digest = version.digest,
            publisher = version.publisher,
            signed_by = version.signed_by,
            "plugin installed"
        );
        Ok(InstallReport { version, already: false, notes: admitted.notes })
    }

    /// Removes a version that no bot and no connection uses.
    ///
    /// # Errors
    /// [`RemoveError`]; then nothing was changed.
    pub async fn remove_plugin(&self, name: &str, version: &str) -> Result<InstalledVersion, RemoveError> {
        let _one = self.inner.changing.lock().await;
        let of_this_name = self.inner.installed.versions(name).await?;
        let last = of_this_name.len() == 1;
        let Some(found) = of_this_name.into_iter().find(|known| known.version == version) else {
            let id = format!("{name}@{version}");
            // An installation may have ended between its claim and its documents.
            self.inner.store.kv_delete(CLAIMS, &id).await?;
            return Err(RemoveError::Unknown(id));
        };
        let users = self.users_of(&found, last).await?;
        if !users.is_empty() {
            return Err(RemoveError::InUse { version: found.id(), users });
        }
        let gone = |kind: &str, id: String| DocumentChange { kind: kind.to_owned(), id, body: None };
        let changes = vec![gone(PLUGIN, found.id()), gone(PLUGIN_FILE, found.digest.clone())];
        self.inner.store.change_documents(changes).await?;
        self.inner.store.kv_delete(CLAIMS, &found.id()).await?;
        let _ = tokio::fs::remove_file(self.inner.installed.file(&found.digest)).await;
        tracing::info!(plugin = found.id(), digest = found.digest, "plugin removed");
        Ok(found)
    }

    /// Bots and connections of all tenants that are served by a version, name it, or have no other to take (`last`).
    async fn users_of(&self, version: &InstalledVersion, last: bool) -> Result<Vec<String>, StoreError> {
        let registry = self.inner.registry.load_full();
        let named = |wanted: &str, served: Option<&str>| match wanted.split_once('@') {
            _ if served == Some(version.digest.as_str()) => true,
            Some((name, wanted)) => name == version.name && wanted == version.version,
            None => wanted == version.name && served.is_none() && last,
        };
        let mut users = Vec::new();
        for doc in read_all::<BotDoc>(self.inner.store.documents(BOT).await?) {
            if named(&doc.plugin, ready(registry.bot(&doc.tenant, &doc.id)).map(|bot| bot.plugin.digest())) {
                users.push(format!("bot {}/{}", doc.tenant, doc.id));
            }
        }
        for doc in read_all::<ConnectionDoc>(self.inner.store.documents(CONNECTION).await?) {
            let served = ready(Registry::connection(&registry, &doc.tenant, &doc.id));
            if named(&doc.connector, served.map(|connection| connection.plugin.digest())) {
                users.push(format!("connection {}/{}", doc.tenant, doc.id));
            }
        }
        for (id, body) in self.inner.store.documents(ROLLOUT).await? {
            let Ok(rollout) = serde_json::from_slice::<RolloutDoc>(&body) else { continue };
            let candidate = rollout.candidate.map(|candidate| candidate.version.to_string());
            let named = [Some(rollout.stable.to_string()), candidate];
            if id.split('/').next() == Some(version.name.as_str()) && named.contains(&Some(version.version.clone())) {
                users.push(format!("rollout {id}"));
            }
        }
        Ok(users)
    }
}

fn ready<T>(slot: Option<&Slot<T>>) -> Option<&T> {
    match slot {
        Some(Slot::Ready(thing)) => Some(thing),
        _ => None,
    }
}

/// What the sandbox can't judge of a manifest: the schema of settings, and how endpoints are signed in to. The install
/// gate asks it, and whoever builds a plugin may ask before.
///
/// # Errors
/// The first thing that is wrong.
pub fn manifest_can_be_used(manifest: &Manifest) -> Result<(), Refusal> {
    const HELP: &str = "Correct plugin.toml and build it again; docs/connector-authors.md has what may stand there";
    if let Some(schema) = &manifest.settings
        && let Err(e) = settings_schema::validator(schema)
    {
        return Err(Refusal::new("manifest", format!("its settings schema is no JSON Schema: {e}"), HELP));
    }
    for endpoint in &manifest.endpoints {
        // What a connection would supply.
        let name = Some("env:TRIAL".to_owned());
        let given = EndpointDoc {
            url: "https://trial.example".into(),
            username: Some("trial".into()),
            password: name.clone(),
            token: name,
            ..EndpointDoc::default()
        };
        if let Err(e) = auth(endpoint, &given) {
            return Err(Refusal::new("manifest", format!("endpoint `{}`: {e}", endpoint.name), HELP));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn manifest(more: serde_json::Value) -> Manifest {
        let mut all = json!({"name": "trial", "version": "1.0.0", "publisher": "acme", "kind": "connector"});
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(all).unwrap()
    }

    #[test]
    fn settings_schemas_and_ways_to_sign_in_are_checked_before_anybody_uses_them() {
        let auth = |auth: serde_json::Value| json!({"endpoints": [{"name": "api", "auth": auth}]});
        for good in [
            json!({"settings": {"type": "object"}}),
            auth(json!(null)),
            auth(json!({"bearer": {}})),
            auth(json!({"header": {"name": "x-key"}})),
            auth(json!({"hmac": {"sign": "{{ body }}", "headers": {"x-signature": "{{ signature }}"}}})),
            auth(json!({"aws": {"region": "eu-central-1", "service": "execute-api"}})),
        ] {
            assert_eq!(manifest_can_be_used(&manifest(good.clone())), Ok(()), "{good}");
        }
        for (bad, words) in [
            (json!({"settings": {"type": "no such type"}}), "settings schema"),
            (json!({"settings": {"$ref": "file:///etc/passwd"}}), "settings schema"),
            (json!({"settings": {"pattern": "a{1000}{1000}"}}), "settings schema"),
            (auth(json!({"telepathy": {}})), "telepathy"),
            (auth(json!({"header": {}})), "name"),
        ] {
            let refusal = manifest_can_be_used(&manifest(bad)).unwrap_err();
            assert!(refusal.code == "manifest" && refusal.message.contains(words), "{refusal}");
        }
    }
}
