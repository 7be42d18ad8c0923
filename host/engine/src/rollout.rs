//! How a new version of a plugin comes into use: which conversations get it, and how it is judged.
//!
//! A rollout is a document of kind [`ROLLOUT`], one for a plugin and, where they differ, for a tenant, a bot or a
//! connection; the most specific one holds. It names the stable version and, while there is one, the candidate with its share of the
//! conversations. A conversation is on one side for as long as the share stays: its id decides.
//!
//! A candidate's failure is no visitor's: the stable version serves the same call at once (see [`crate::net`]). Where it can,
//! the failure was the candidate's own: a *strike*. [`STRIKES`] of them within the last [`WINDOW`] calls end the rollout.

use crate::failures::Whose;
use crate::ids::{BotId, ConnectionId, TenantId};
use crate::watch::Post;
use confab_sandbox::Failure;
use parking_lot::Mutex;
use semver::Version;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, OnceLock, Weak};
use tokio::sync::mpsc;

/// Kind of the documents. Id: `NAME`, `NAME/TENANT`, `NAME/TENANT/bot/BOT` or `NAME/TENANT/connection/CONNECTION`.
pub const ROLLOUT: &str = "rollout";
/// So many strikes end a rollout. One may be bad luck, such as a time limit on a busy host; no visitor notices any of them.
const STRIKES: usize = 3;
/// Calls of the candidate that are looked at: a version that fails in fewer than 3 of 100 where the other does not may stay.
const WINDOW: usize = 100;

/// A rollout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolloutDoc {
    /// The version that serves.
    #[serde(with = "text")]
    pub stable: Version,
    /// The version that is tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub candidate: Option<CandidateDoc>,
    /// What was stable before the last promotion.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "optional_text")]
    pub previous: Option<Version>,
    /// The last version that was taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rolled_back: Option<RolledBack>,
}

impl RolloutDoc {
    /// One that has nothing but a stable version.
    pub(crate) fn of(stable: Version) -> Self {
        RolloutDoc { stable, candidate: None, previous: None, rolled_back: None }
    }
}

/// A version that is tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CandidateDoc {
    /// The version.
    #[serde(with = "text")]
    pub version: Version,
    /// Conversations that it gets, of a hundred.
    pub share: u8,
    /// When it began, in milliseconds since 1970.
    pub since: u64,
}

/// A version that was taken back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolledBack {
    /// The version.
    #[serde(with = "text")]
    pub version: Version,
    /// Why.
    pub reason: String,
    /// When, in milliseconds since 1970.
    pub at: u64,
}

/// What a rollout is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Everything that uses the plugin.
    All,
    /// What a tenant has.
    Tenant(TenantId),
    /// One bot.
    Bot(TenantId, BotId),
    /// One connection.
    Connection(TenantId, ConnectionId),
}

impl Scope {
    /// The document's id for a plugin.
    pub fn id(&self, plugin: &str) -> String {
        match self {
            Scope::All => plugin.to_owned(),
            Scope::Tenant(tenant) => format!("{plugin}/{tenant}"),
            Scope::Bot(tenant, bot) => format!("{plugin}/{tenant}/bot/{bot}"),
            Scope::Connection(tenant, connection) => format!("{plugin}/{tenant}/connection/{connection}"),
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scope::All => f.write_str("all tenants"),
            Scope::Tenant(tenant) => write!(f, "tenant {tenant}"),
            Scope::Bot(tenant, bot) => write!(f, "bot {tenant}/{bot}"),
            Scope::Connection(tenant, connection) => write!(f, "connection {tenant}/{connection}"),
        }
    }
}

/// What asks which rollout holds for it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place<'a> {
    All,
    Tenant(&'a TenantId),
    Bot(&'a TenantId, &'a BotId),
    Connection(&'a TenantId, &'a ConnectionId),
}

impl<'a> From<&'a Scope> for Place<'a> {
    fn from(scope: &'a Scope) -> Self {
        match scope {
            Scope::All => Place::All,
            Scope::Tenant(tenant) => Place::Tenant(tenant),
            Scope::Bot(tenant, bot) => Place::Bot(tenant, bot),
            Scope::Connection(tenant, connection) => Place::Connection(tenant, connection),
        }
    }
}

/// All rollouts, by plugin and the rest of the id (empty, `TENANT`, `TENANT/bot/BOT`, ...).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rollouts(BTreeMap<String, BTreeMap<String, (String, RolloutDoc)>>);

impl Rollouts {
    /// From stored documents with their ids.
    pub(crate) fn read<'a>(stored: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Self {
        let mut rollouts = Rollouts::default();
        for (id, body) in stored {
            match serde_json::from_slice(body) {
                Ok(doc) => rollouts.put(id, doc),
                Err(e) => {
                    tracing::error!(id, error = %e, "a rollout can't be read; roll the plugin back or upgrade it again")
                }
            }
        }
        rollouts
    }

    /// Puts a rollout in place of the one that was there.
    pub(crate) fn put(&mut self, id: &str, doc: RolloutDoc) {
        let (plugin, rest) = id.split_once('/').unwrap_or((id, ""));
        self.0.entry(plugin.to_owned()).or_default().insert(rest.to_owned(), (id.to_owned(), doc));
    }

    /// The rollout of exactly this id.
    pub(crate) fn get(&self, id: &str) -> Option<&RolloutDoc> {
        let (plugin, rest) = id.split_once('/').unwrap_or((id, ""));
        self.0.get(plugin)?.get(rest).map(|(_, doc)| doc)
    }

    /// All of them with their ids.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &RolloutDoc)> {
        self.0.values().flat_map(BTreeMap::values).map(|(id, doc)| (id.as_str(), doc))
    }

    /// The most specific rollout for a place, with its id.
    pub(crate) fn holding(&self, plugin: &str, place: Place<'_>) -> Option<(&str, &RolloutDoc)> {
        let of_plugin = self.0.get(plugin)?;
        let (tenant, own) = match place {
            Place::All => (None, None),
            Place::Tenant(tenant) => (Some(tenant), None),
            Place::Bot(tenant, bot) => (Some(tenant), Some(format!("{tenant}/bot/{bot}"))),
            Place::Connection(tenant, connection) => (Some(tenant), Some(format!("{tenant}/connection/{connection}"))),
        };
        let own = own.and_then(|own| of_plugin.get(&own));
        let found = own.or_else(|| of_plugin.get(tenant?.as_str())).or_else(|| of_plugin.get(""));
        found.map(|(id, doc)| (id.as_str(), doc))
    }
}

/// A version beside the stable one, ready to serve its share.
#[derive(Debug)]
pub struct Candidate<T> {
    /// What serves.
    pub serves: T,
    /// Conversations that it gets, of a hundred.
    pub share: u8,
    /// Digest of its component.
    pub(crate) digest: String,
    pub(crate) watch: Arc<Watch>,
    pub(crate) post: OnceLock<Post>,
}

impl<T> Candidate<T> {
    /// Whether a conversation is served by it. The plugin's name goes in, so that it is not always the same visitors who try
    /// what is new; the version does not, so that they stay when the next one is tried.
    pub fn takes(&self, conversation: &str) -> bool {
        bucket(&self.watch.plugin, conversation) < self.share
    }

    /// The version.
    pub fn version(&self) -> &Version {
        &self.watch.version
    }
}

/// Where a conversation stands between 0 and 99.
fn bucket(plugin: &str, conversation: &str) -> u8 {
    let digest = Sha256::new().chain_update(plugin).chain_update([0]).chain_update(conversation).finalize();
    let number = digest.iter().take(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    u8::try_from(number % 100).unwrap_or_default()
}

/// Counts how a candidate does on this host.
#[derive(Debug)]
pub(crate) struct Watch {
    pub(crate) rollout: String,
    pub(crate) plugin: String,
    pub(crate) version: Version,
    pub(crate) since: u64,
    /// Strike or not, for each of the last calls; and whether the end was called for.
    calls: Mutex<(VecDeque<bool>, bool)>,
    verdicts: mpsc::UnboundedSender<Verdict>,
}

/// A candidate has failed too often.
#[derive(Debug)]
pub(crate) struct Verdict {
    pub(crate) watch: Arc<Watch>,
    pub(crate) failure: Failure,
    pub(crate) tenant: String,
    pub(crate) bot: Option<String>,
    pub(crate) connection: Option<String>,
    pub(crate) request_id: String,
}

impl Watch {
    /// A call ended otherwise than by a fault that only the candidate has.
    pub(crate) fn passed(&self) {
        self.note(false);
    }

    /// The candidate failed where the stable version did not.
    pub(crate) fn strike(self: &Arc<Self>, failure: Failure, whose: &Whose<'_>) {
        if self.note(true) {
            let verdict = Verdict {
                watch: self.clone(),
                failure,
                tenant: whose.tenant.to_owned(),
                bot: whose.bot.map(str::to_owned),
                connection: whose.connection.map(str::to_owned),
                request_id: whose.request_id.to_string(),
            };
            // Nobody listens only where the engine is gone.
            let _ = self.verdicts.send(verdict);
        }
    }

    /// Whether it is over, said once.
    fn note(&self, strike: bool) -> bool {
        let (calls, over) = &mut *self.calls.lock();
        if calls.len() == WINDOW {
            calls.pop_front();
        }
        calls.push_back(strike);
        if *over || !strike || calls.iter().filter(|strike| **strike).count() < STRIKES {
            return false;
        }
        *over = true;
        true
    }

    /// The verdict could not be carried out: the next strike says it again.
    pub(crate) fn rearm(&self) {
        self.calls.lock().1 = false;
    }
}

/// The watches of all rollouts, so that all bots of one share it, also across changes of the configuration.
#[derive(Debug)]
pub(crate) struct Watches {
    all: Mutex<HashMap<(String, Version, u64), Weak<Watch>>>,
    verdicts: mpsc::UnboundedSender<Verdict>,
}

impl Watches {
    pub(crate) fn new() -> (Self, mpsc::UnboundedReceiver<Verdict>) {
        let (verdicts, receiver) = mpsc::unbounded_channel();
        (Watches { all: Mutex::default(), verdicts }, receiver)
    }

    pub(crate) fn of(&self, rollout: &str, plugin: &str, candidate: &CandidateDoc) -> Arc<Watch> {
        let mut all = self.all.lock();
        let key = (rollout.to_owned(), candidate.version.clone(), candidate.since);
        if let Some(known) = all.get(&key).and_then(Weak::upgrade) {
            return known;
        }
        all.retain(|_, watch| watch.strong_count() > 0);
        let watch = Arc::new(Watch {
            rollout: rollout.to_owned(),
            plugin: plugin.to_owned(),
            version: candidate.version.clone(),
            since: candidate.since,
            calls: Mutex::default(),
            verdicts: self.verdicts.clone(),
        });
        all.insert(key, Arc::downgrade(&watch));
        watch
    }
}

/// Versions as text: semver's own serde support would have to be switched on for all who use the crate.
mod text {
    use semver::Version;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(version: &Version, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(version)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Version, D::Error> {
        Version::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

mod optional_text {
    use semver::Version;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(version: &Option<Version>, serializer: S) -> Result<S::Ok, S::Error> {
        match version {
            Some(version) => serializer.collect_str(version),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Version>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| Version::parse(&text).map_err(D::Error::custom)).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        Version::parse(text).unwrap()
    }

    fn candidate(share: u8) -> (Candidate<()>, mpsc::UnboundedReceiver<Verdict>) {
        let (watches, verdicts) = Watches::new();
        let watch = watches.of("flow", "flow", &CandidateDoc { version: version("1.1.0"), share, since: 1 });
        (Candidate { serves: (), share, digest: String::new(), watch, post: OnceLock::new() }, verdicts)
    }

    #[test]
    fn a_share_is_what_it_says_and_a_wider_one_keeps_those_who_were_in() {
        let conversations: Vec<String> = (0..10_000).map(|_| crate::ConversationId::new().to_string()).collect();
        let taken = |share| {
            let (candidate, _) = candidate(share);
            conversations.iter().map(|id| candidate.takes(id)).collect::<Vec<_>>()
        };
        let (few, more, all) = (taken(10), taken(50), taken(100));
        let count = |taken: &[bool]| taken.iter().filter(|taken| **taken).count();
        assert!((800..1_200).contains(&count(&few)), "{}", count(&few));
        assert!((4_700..5_300).contains(&count(&more)), "{}", count(&more));
        assert_eq!(count(&all), conversations.len());
        assert_eq!(few, taken(10));
        assert!(few.iter().zip(&more).all(|(few, more)| !few || *more));
    }

    #[test]
    fn the_most_specific_rollout_holds() {
        let (shop, acme): (TenantId, TenantId) = ("shop".parse().unwrap(), "acme".parse().unwrap());
        let (one, two): (BotId, BotId) = ("one".parse().unwrap(), "two".parse().unwrap());
        let mut rollouts = Rollouts::default();
        rollouts.put(&Scope::All.id("flow"), RolloutDoc::of(version("1.0.0")));
        rollouts.put(&Scope::Tenant(shop.clone()).id("flow"), RolloutDoc::of(version("2.0.0")));
        rollouts.put(&Scope::Bot(shop.clone(), one.clone()).id("flow"), RolloutDoc::of(version("3.0.0")));
        let stable = |place| rollouts.holding("flow", place).map(|(_, doc)| doc.stable.to_string());
        assert_eq!(stable(Place::Bot(&shop, &one)).as_deref(), Some("3.0.0"));
        assert_eq!(stable(Place::Bot(&shop, &two)).as_deref(), Some("2.0.0"));
        assert_eq!(stable(Place::Bot(&acme, &one)).as_deref(), Some("1.0.0"));
        assert_eq!(stable(Place::Connection(&shop, &"one".parse().unwrap())).as_deref(), Some("2.0.0"));
        assert!(rollouts.holding("sheet", Place::All).is_none());
    }

    #[test]
    fn three_strikes_within_a_hundred_calls_end_a_rollout_and_fewer_do_not() {
        let (candidate, _verdicts) = candidate(100);
        let watch = &candidate.watch;
        for _ in 0..5 {
            assert!(!watch.note(true));
            (0..WINDOW / 2).for_each(|_| assert!(!watch.note(false)));
        }
        assert!(!watch.note(true));
        assert!(watch.note(true));
        assert!(!watch.note(true), "it is said once");
        watch.rearm();
        assert!(watch.note(true));
    }

    #[test]
    fn a_rollout_is_stored_as_it_is_documented() {
        let doc = RolloutDoc {
            stable: version("1.0.0"),
            candidate: Some(CandidateDoc { version: version("1.1.0"), share: 10, since: 5 }),
            previous: None,
            rolled_back: Some(RolledBack { version: version("1.0.9"), reason: "trap".into(), at: 4 }),
        };
        let stored = serde_json::to_value(&doc).unwrap();
        let expected = serde_json::json!({
            "stable": "1.0.0", "candidate": {"version": "1.1.0", "share": 10, "since": 5},
            "rolled_back": {"version": "1.0.9", "reason": "trap", "at": 4},
        });
        assert_eq!(stored, expected);
        assert_eq!(serde_json::from_value::<RolloutDoc>(stored).unwrap(), doc);
    }
}
