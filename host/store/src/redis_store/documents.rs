//! Configuration documents on the shared store.
//!
//! A document may be as large as a plugin. Nobody knows its size before it is read, so a script reads what is small
//! and measures what is large; the large is then fetched on a connection of its own. So the usual read stays one
//! round trip.
//!
//! A large change is a transaction instead of a script. Both are made whole or not at all, but the server copies a
//! script's arguments to Lua and back, and serves nobody meanwhile: 64 MiB took it 220 to 310 ms as a script, 50 ms
//! as a transaction.

use bytes::Bytes;
use redis::cmd;

use super::call::{Measured, ScriptCall};
use super::keys::{self, CONFIG_CHANNEL, CONFIG_VERSION};
use super::link::{LARGE, Large, Repeat};
use super::{RedisStore, config_watch};
use crate::api::DocumentChange;
use crate::error::StoreError;

const CHANGING: &str = "change configuration documents";

impl RedisStore {
    pub(super) async fn read_documents(&self, kind: &str) -> Result<Vec<(String, Bytes)>, StoreError> {
        const WANTED: &str = "read configuration documents";
        let link = &self.shared.link;
        let key = keys::documents(kind);
        let call = ScriptCall::default().key(key.clone()).number(LARGE);
        let mut documents: Vec<(String, Bytes)> =
            match link.run(WANTED, Repeat::Safe, &self.shared.scripts.documents, &call).await? {
                Measured::Read(documents) => documents,
                Measured::Large(size) => {
                    link.send_large(WANTED, Repeat::Safe, Large::Command(cmd("HGETALL").arg(key)), size).await?
                }
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
                link.send_large(WANTED, Repeat::Safe, Large::Command(cmd("HGET").arg(key).arg(id)), size).await
            }
        }
    }

    pub(super) async fn change(&self, changes: Vec<DocumentChange>) -> Result<u64, StoreError> {
        let lengths = changes.iter().filter_map(|change| change.body.as_ref()).map(Bytes::len);
        let size = u64::try_from(lengths.sum::<usize>()).unwrap_or(u64::MAX);
        // Made twice, the changes are the same; only the version grows twice. So both may be repeated.
        let version = match size {
            0..=LARGE => self.change_by_script(&changes).await?,
            _ => self.change_by_transaction(&changes, size).await?,
        };
        config_watch::announce(version, &self.config_version);
        Ok(version)
    }

    async fn change_by_script(&self, changes: &[DocumentChange]) -> Result<u64, StoreError> {
        let mut call = ScriptCall::default().key(CONFIG_VERSION.to_owned()).text(CONFIG_CHANNEL);
        for change in changes {
            call = call.key(keys::documents(&change.kind)).text(change.id.as_str());
            call = match &change.body {
                Some(body) => call.text("1").bytes(body),
                None => call.text("0").text(""),
            };
        }
        self.shared.link.run(CHANGING, Repeat::Safe, &self.shared.scripts.change_documents, &call).await
    }

    async fn change_by_transaction(&self, changes: &[DocumentChange], size: u64) -> Result<u64, StoreError> {
        let mut commands = redis::pipe();
        commands.atomic();
        for change in changes {
            let key = keys::documents(&change.kind);
            match &change.body {
                Some(body) => commands.hset(key, &change.id, body.as_ref()).ignore(),
                None => commands.hdel(key, &change.id).ignore(),
            };
        }
        // Who hears the message reads the version himself, so it need not say it.
        commands.incr(CONFIG_VERSION, 1).publish(CONFIG_CHANNEL, "").ignore();
        let large = Large::Transaction(&commands);
        let (version,): (u64,) = self.shared.link.send_large(CHANGING, Repeat::Safe, large, size).await?;
        Ok(version)
    }
}
