//! Events into the lanes, once.
//!
//! What is accepted is on disk (or with Redis) before this returns. An id that was pushed within [`KNOWN`] is known: the lane's store
//! says so with the push itself, in one step.
//!
//! Whether a client sent something *else* under an id that it used before is found by a fingerprint that is kept beside (a link of the
//! id). It is written before the push, so that a client which repeats after a failure finds its own. Of two different requests under the
//! same id that come at the same moment, the one whose fingerprint was written first counts.

use super::{BUCKETS, Event, KNOWN};
use crate::engine::Engine;
use bytes::Bytes;
use confab_store::{Once, Partition, Push, StoreError};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::time::Duration;

/// Fingerprints of an id that are looked at: more than one is there only while two requests race.
const PRINTS: usize = 16;

/// An event as it was given, with what it may be known by.
#[derive(Clone, Debug)]
pub struct Given {
    /// The event.
    pub event: Event,
    /// Names that the sender chose for it, within its source: the same name with another content is refused.
    pub names: Vec<String>,
}

/// What became of a given event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Its id.
    pub id: String,
    /// Whether it was there already.
    pub duplicate: bool,
}

/// Why events were not accepted. None of them was, but for [`AcceptError::Store`]: then nobody knows, and they may be sent again.
#[derive(Debug, thiserror::Error)]
pub enum AcceptError {
    /// The name stands for another event.
    #[error("the id `{0}` was used for another event; use a new id for each event")]
    Reused(String),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Engine {
    /// Accepts events of one source. When it returns they are durable.
    ///
    /// # Errors
    /// [`AcceptError`]
    pub async fn accept_events(&self, given: Vec<Given>) -> Result<Vec<Taken>, AcceptError> {
        for given in &given {
            let print = fingerprint(&given.event);
            for name in &given.names {
                self.hold_against(&given.event, name, &print).await?;
            }
        }
        Ok(self.push_events(given.into_iter().map(|given| given.event).collect()).await?)
    }

    /// Pushes events, in order for each lane.
    pub(crate) async fn push_events(&self, events: Vec<Event>) -> Result<Vec<Taken>, StoreError> {
        let store = &self.inner.store;
        let mut taken: Vec<Taken> =
            events.iter().map(|event| Taken { id: event.id.clone(), duplicate: false }).collect();
        let mut pushes: BTreeMap<Partition, Vec<(usize, Push)>> = BTreeMap::new();
        for (at, event) in events.iter().enumerate() {
            let lane = lane_of(event);
            let partition = store.partition_of(&lane);
            let once = Once::Named { name: format!("{}/{}", event.tenant, event.key()), keep: KNOWN };
            let body = Bytes::from(serde_json::to_vec(event).unwrap_or_default());
            pushes.entry(partition).or_default().push((at, Push { lane, body, due_in: Duration::ZERO, once }));
        }
        for (partition, pushes) in pushes {
            let (places, pushes): (Vec<usize>, Vec<Push>) = pushes.into_iter().unzip();
            let pushed = store.push(partition, pushes).await?;
            for (at, pushed) in places.into_iter().zip(pushed) {
                if let Some(taken) = taken.get_mut(at) {
                    taken.duplicate = !pushed;
                }
            }
        }
        for (event, taken) in events.iter().zip(&taken) {
            let outcome = if taken.duplicate { "duplicate" } else { "accepted" };
            metrics::counter!("confab_events_total", "tenant" => event.tenant.to_string(), "source" => event.source.clone(), "outcome" => outcome)
                .increment(1);
        }
        Ok(taken)
    }

    /// Refuses another content under a name that was used before.
    async fn hold_against(&self, event: &Event, name: &str, print: &str) -> Result<(), AcceptError> {
        let (store, index) = (&self.inner.store, format!("event-print/{}/{}", event.tenant, event.source));
        let reused = || AcceptError::Reused(name.chars().take(100).collect());
        // The first one that was written is the last to be listed.
        let known = store.linked(&index, name, PRINTS).await?;
        match known.last() {
            Some(first) if first == print => return Ok(()),
            Some(_) => return Err(reused()),
            None => {}
        }
        store.link(&index, name, print, KNOWN).await?;
        if store.linked(&index, name, PRINTS).await?.last().is_some_and(|first| first == print) {
            return Ok(());
        }
        store.unlink(&index, name, print).await?;
        Err(reused())
    }
}

/// Where an event waits: with all others of its first subject.
pub(crate) fn lane_of(event: &Event) -> String {
    let order = event.subjects.first().unwrap_or(&event.id);
    let digest = Sha256::digest(order.as_bytes());
    let number = digest.iter().take(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    format!("{}{}/{}", lanes_of(&event.tenant), event.source, number % BUCKETS)
}

/// What the names of all lanes of a tenant's events begin with.
pub(crate) fn lanes_of(tenant: &crate::TenantId) -> String {
    format!("event/{tenant}/")
}

/// Of what the sender says, not of when it came or how it was written.
fn fingerprint(event: &Event) -> String {
    let Event { name, data, subjects, occurred_at, origin, bot, connection, .. } = event;
    let content = serde_json::json!([name, data, subjects, occurred_at, origin, bot, connection]).to_string();
    digest(content.as_bytes())
}

/// SHA-256, as text.
pub fn digest(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn events_of_one_subject_share_a_lane_and_others_spread() {
        let about = |id: &str, subjects: &[&str]| Event {
            id: id.to_owned(),
            subjects: subjects.iter().map(|s| (*s).to_owned()).collect(),
            ..Event::example()
        };
        assert_eq!(lane_of(&about("1", &["order:1", "order:9"])), lane_of(&about("2", &["order:1"])));
        let lanes: std::collections::BTreeSet<String> =
            (0..200).map(|id| lane_of(&about(&id.to_string(), &[]))).collect();
        assert_eq!(lanes.len(), usize::try_from(BUCKETS).unwrap());
        assert!(lanes.iter().all(|lane| lane.starts_with("event/shop/api/")), "{lanes:?}");
    }

    #[test]
    fn a_fingerprint_is_of_what_is_said_and_not_of_when() {
        let event = Event { data: json!({"a": 1, "b": 2}), ..Event::example() };
        let later = Event { received_at: 7, digest: "x".into(), data: json!({"b": 2, "a": 1}), ..event.clone() };
        assert_eq!(fingerprint(&event), fingerprint(&later));
        for other in [
            Event { data: json!({"a": 1}), ..event.clone() },
            Event { name: "order.paid".into(), ..event.clone() },
            Event { subjects: Vec::new(), ..event.clone() },
        ] {
            assert_ne!(fingerprint(&event), fingerprint(&other));
        }
    }

    #[test]
    fn a_replay_is_another_push_and_another_source_another_event() {
        let event = Event::example();
        let keys = [
            event.key(),
            Event { replay: 1, ..event.clone() }.key(),
            Event { source: "erp".into(), ..event.clone() }.key(),
        ];
        assert_eq!(keys, ["event/api/1", "event.1/api/1", "event/erp/1"]);
    }
}
