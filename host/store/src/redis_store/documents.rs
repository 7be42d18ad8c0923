//! Configuration documents on the shared store.
//!
//! A document may be as large as a plugin. Nobody knows its size before it is read, so a script reads what is small
//! and measures what is large; the large is then fetched on a connection of its own. So the usual read stays one round trip.

use bytes::Bytes;
use redis::cmd;

use super::keys::{self, CONFIG_CHANNEL, CONFIG_VERSION};
use super::link::{LARGE, Measured, Repeat, ScriptCall};
use super::{RedisStore, config_watch};
use crate::api::DocumentChange;
use crate::error::StoreError;

impl RedisStore {
    pub(super) async fn read_documents(&self, kind: &str) -> Result<Vec<(String, Bytes)>, StoreError> {
        const WANTED: &str = "read configuration documents";
        let link = &self.shared.link;
        let key = keys::documents(kind);
        let call = ScriptCall::default().key(key.clone()).number(LARGE);
        let mut documents: Vec<(String, Bytes)> = match link
            .run(WANTED, Repeat::Safe, &self.shared.scripts.documents, &call)
            .await?
        {
            Measured::Read(documents) => documents,
            Measured::Large(size) => link.send_large(WANTED, Repeat::Safe, None, cmd("HGETALL").arg(key), size).await?,
        };
        documents.sort_unstable_by(|one, other| one.0.cmp(&other.0));
        Ok(documents)
    }

    pub(super) async fn read_document(&self, kind: &str, id: &str) -> Result<Option<Bytes>, StoreError> {
        const WANTED: &str = "read a configuration document";
        let link = &self.shared.link;
        let key = keys::documents(kind);
        let call = ScriptCall::default().key(key.clone()).text(id).number(LARGE);
        match link.run(WANTED, Repeat::Safe, &self.shared.scripts.document, &call).await? {
            Measured::Read(document) => Ok(document),
            Measured::Large(size) => {
                link.send_large(WANTED, Repeat::Safe, None, cmd("HGET").arg(key).arg(id), size).await
            }
        }
    }

    pub(super) async fn change(&self, changes: Vec<DocumentChange>) -> Result<u64, StoreError> {
        let mut call = ScriptCall::default().key(CONFIG_VERSION.to_owned()).text(CONFIG_CHANNEL);
        for change in changes {
            call = call.key(keys::documents(&change.kind)).text(change.id);
            call = match &change.body {
                Some(body) => call.text("1").bytes(body),
                None => call.text("0").text(""),
            };
        }
        // Made twice, the changes are the same; only the version grows twice.
        let script = &self.shared.scripts.change_documents;
        let version = self.shared.link.run("change configuration documents", Repeat::Safe, script, &call).await?;
        config_watch::announce(version, &self.config_version);
        Ok(version)
    }
}
