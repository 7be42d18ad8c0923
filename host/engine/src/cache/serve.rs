//! A call that may be answered from what is kept.
//!
//! 1. Fresh: served.
//! 2. Stale, and the policy allows it: served, and fetched again behind ([`super::refresh`]).
//! 3. Else one of those who ask for the same leads ([`super::flight`]), looks whether another host has it
//!    ([`super::others`]), and calls; the rest wait for it, each until its own turn's time is over.
//! 4. The call failed because the system (or the plugin) does not answer: what is stale is served, if the policy allows it.
//!    The failure has its record all the same.
//!
//! What was made worthless ([`super::generations`]) is neither fresh nor stale: it is gone.

use super::Place;
use super::entry::{Answer, Entry};
use super::flight::{Flights, Landed, Lead, Seat};
use super::generations::{Generations, Tables};
use super::key::{self, Key};
use super::others::Theirs;
use super::policy::Policy;
use super::refresh::Refreshes;
use super::shelf::{HOST_BYTES, Shelf, TENANT_BYTES};
use crate::net::Fault;
use confab_sandbox::CapabilityError;
use confab_store::{Clock, Store};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::sync::Arc;

/// After this long a result that could not be fetched again behind is tried once more, in milliseconds.
const REFRESH_PAUSE_MS: u64 = 1_000;
/// Codes that say that the system does not answer, not that the answer is no.
const NO_ANSWER: [&str; 4] = ["unavailable", "timeout", "rate-limited", "internal"];

/// What making a call gives.
pub(crate) type Fetched = Result<Answer, Fault>;

/// Where an answer comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Source {
    /// When it was asked for, in milliseconds since 1970.
    pub(crate) as_of: u64,
    /// Whether it was kept from an earlier call.
    pub(crate) cached: bool,
    /// Whether it is older than it should be.
    pub(crate) stale: bool,
    /// Why there is no newer one: the code of the failure.
    pub(crate) error: Option<String>,
}

/// An answer, and where it comes from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Served {
    pub(crate) answer: Answer,
    pub(crate) source: Source,
}

impl Served {
    /// An answer that was just fetched.
    pub(crate) fn fetched(answer: Answer, as_of: u64) -> Served {
        Served { answer, source: Source { as_of, cached: false, stale: false, error: None } }
    }

    fn kept(entry: &Entry, stale: bool, error: Option<String>) -> Served {
        Served { answer: entry.answer.clone(), source: Source { as_of: entry.as_of, cached: true, stale, error } }
    }
}

/// A call.
#[derive(Clone, Copy)]
pub(crate) struct Ask<'a> {
    pub(crate) place: &'a Arc<Place>,
    pub(crate) policy: &'a Arc<Policy>,
    pub(crate) capability: &'a str,
    pub(crate) function: &'a str,
    pub(crate) arguments: &'a Map<String, Value>,
    pub(crate) locale: Option<&'a str>,
    /// Whether a failure may be answered with what is stale. Not for a version that is tried: its failures are what is watched for.
    pub(crate) on_error: bool,
}

/// The cache of a host.
pub(crate) struct ResultCache {
    pub(super) clock: Clock,
    pub(super) store: Option<Arc<dyn Store>>,
    pub(super) shelf: Shelf,
    pub(super) flights: Flights,
    pub(super) tables: Tables,
    pub(super) refreshes: Refreshes,
}

/// What the shelf has.
enum Found {
    Fresh(Arc<Entry>),
    Stale(Arc<Entry>),
    Nothing,
}

impl ResultCache {
    pub(crate) fn new(clock: Clock, store: Option<Arc<dyn Store>>) -> Arc<ResultCache> {
        Arc::new(ResultCache {
            clock,
            store,
            shelf: Shelf::new(HOST_BYTES, TENANT_BYTES),
            flights: Flights::default(),
            tables: Tables::default(),
            refreshes: Refreshes::default(),
        })
    }

    /// Ends what goes on behind.
    pub(crate) async fn close(&self) {
        self.refreshes.close().await;
    }

    /// What is fresh, without making a call.
    pub(crate) async fn fresh(&self, ask: &Ask<'_>) -> Option<Served> {
        let generations = self.generations(ask.place).await?;
        match self.look(ask.place, &ask.key(), generations, self.clock.now()) {
            Found::Fresh(entry) => Some(ask.hit(&entry)),
            _ => None,
        }
    }

    /// Answers a call: `fetch` makes it, `again` makes it once more behind. See the module.
    pub(crate) async fn serve<F, R>(
        self: &Arc<Self>,
        ask: Ask<'_>,
        fetch: F,
        again: impl FnOnce() -> R,
    ) -> Result<Served, Fault>
    where
        F: Future<Output = Fetched>,
        R: Future<Output = Fetched> + Send + 'static,
    {
        let Some(generations) = self.generations(ask.place).await else {
            return fetch.await.map(|answer| Served::fetched(answer, self.clock.now()));
        };
        let key = ask.key();
        loop {
            let now = self.clock.now();
            let mut stale = None;
            match self.look(ask.place, &key, generations, now) {
                Found::Fresh(entry) => return Ok(ask.hit(&entry)),
                Found::Stale(entry) if now < entry.revalidate_until => {
                    self.refresh(&ask, key, generations, &entry, now, again);
                    ask.place.meters().stale.increment(1);
                    return Ok(Served::kept(&entry, true, None));
                }
                Found::Stale(entry) => stale = Some(entry),
                Found::Nothing => {}
            }
            match self.flights.join(key) {
                Seat::Follow(flight) => match flight.landed().await {
                    Some(Err(fault)) => return ask.failed(fault, stale, self.clock.now()),
                    // It set out before this call did: it may not know what was written since.
                    Some(Ok(entry)) if generations.hold(&entry.stamp) => {
                        ask.place.meters().shared.increment(1);
                        return ask.landed(&entry, true, stale, self.clock.now());
                    }
                    Some(Ok(_)) | None => {}
                },
                Seat::Lead(lead) => {
                    // Another may have landed in between.
                    if let Found::Fresh(entry) = self.look(ask.place, &key, generations, now) {
                        lead.land(Ok(entry.clone()));
                        return Ok(ask.hit(&entry));
                    }
                    ask.place.meters().miss.increment(1);
                    let buckets = ask.policy.buckets(ask.arguments);
                    let flown = self.fly(ask.place, ask.policy, key, generations, &buckets, lead, fetch).await;
                    let stale = stale.or(flown.stale.map(Arc::new));
                    let now = self.clock.now();
                    return match flown.landed {
                        Ok(entry) => ask.landed(&entry, flown.theirs, stale, now),
                        Err(fault) => ask.failed(fault, stale, now),
                    };
                }
            }
        }
    }

    fn look(&self, place: &Place, key: &Key, generations: &Generations, now: u64) -> Found {
        let Some(entry) = self.shelf.get(&place.tenant, key) else { return Found::Nothing };
        if !generations.hold(&entry.stamp) || now >= entry.ends() {
            self.shelf.remove(&place.tenant, key);
            return Found::Nothing;
        }
        if now < entry.fresh_until { Found::Fresh(entry) } else { Found::Stale(entry) }
    }

    /// Makes the call, unless another host has made it, and keeps what it gave.
    #[expect(clippy::too_many_arguments, reason = "all that a call and its keeping need, once")]
    async fn fly(
        &self,
        place: &Place,
        policy: &Policy,
        key: Key,
        generations: &Generations,
        buckets: &[u16],
        lead: Lead,
        fetch: impl Future<Output = Fetched>,
    ) -> Flown {
        let (lease, stale) = match self.theirs(place, &key, policy).await {
            Theirs::Fresh(entry) if generations.hold(&entry.stamp) => {
                let entry = Arc::new(entry);
                self.keep(place, key, &entry);
                lead.land(Ok(entry.clone()));
                return Flown { landed: Ok(entry), theirs: true, stale: None };
            }
            Theirs::Fresh(_) => (None, None),
            Theirs::Fetch(lease, stale) => (lease, stale.filter(|stale| generations.hold(&stale.stamp))),
        };
        // Before the call: what becomes worthless while it is made is not in its result for sure.
        let (stamp, asked) = (generations.stamp(buckets), self.clock.now());
        let landed = fetch.await.map(|answer| Arc::new(Entry::new(answer, asked, policy, stamp)));
        match &landed {
            Ok(entry) if entry.keeps() => {
                self.keep(place, key, entry);
                lead.land(landed.clone());
                self.tell(place, &key, entry, lease).await;
            }
            _ => {
                drop(lease);
                lead.land(landed.clone());
            }
        }
        Flown { landed, theirs: false, stale }
    }

    fn keep(&self, place: &Place, key: Key, entry: &Arc<Entry>) {
        self.shelf.put(&place.tenant, key, entry.clone(), self.clock.now());
        metrics::gauge!("confab_result_cache_bytes").set(self.shelf.bytes() as f64);
    }

    /// Fetches again behind, if nobody does already and there are not too many.
    fn refresh<R>(
        self: &Arc<Self>,
        ask: &Ask<'_>,
        key: Key,
        generations: &Arc<Generations>,
        entry: &Entry,
        now: u64,
        again: impl FnOnce() -> R,
    ) where
        R: Future<Output = Fetched> + Send + 'static,
    {
        if !entry.may_refresh(now, REFRESH_PAUSE_MS) {
            return;
        }
        let Some(leave) = self.refreshes.leave(&ask.place.tenant) else { return };
        let Seat::Lead(lead) = self.flights.join(key) else { return };
        let (cache, place, policy) = (self.clone(), ask.place.clone(), ask.policy.clone());
        let (generations, buckets, fetch) = (generations.clone(), policy.buckets(ask.arguments), again());
        self.refreshes.spawn(leave, async move {
            // A failure has its record, and the next who asks tries again.
            let _ = cache.fly(&place, &policy, key, &generations, &buckets, lead, fetch).await;
        });
    }
}

/// What [`ResultCache::fly`] brought.
struct Flown {
    landed: Landed,
    /// Whether another host had it.
    theirs: bool,
    /// What another host has that is no longer fresh.
    stale: Option<Entry>,
}

impl Ask<'_> {
    fn key(&self) -> Key {
        key::of(&self.place.begun, self.capability, self.function, self.arguments, self.locale)
    }

    fn hit(&self, entry: &Entry) -> Served {
        self.place.meters().hit.increment(1);
        Served::kept(entry, false, None)
    }

    /// A call came to its end: with a result, or with an error of the business system.
    fn landed(&self, entry: &Entry, cached: bool, stale: Option<Arc<Entry>>, now: u64) -> Result<Served, Fault> {
        if let Err(error) = &entry.answer
            && let Some(served) = self.instead(error, stale, now)
        {
            return Ok(served);
        }
        let mut served = Served::kept(entry, false, None);
        served.source.cached = cached;
        Ok(served)
    }

    /// A call could not be made, or the plugin failed.
    fn failed(&self, fault: Fault, stale: Option<Arc<Entry>>, now: u64) -> Result<Served, Fault> {
        self.instead(&fault.as_error(), stale, now).ok_or(fault)
    }

    /// What is served in place of an error.
    fn instead(&self, error: &CapabilityError, stale: Option<Arc<Entry>>, now: u64) -> Option<Served> {
        let stale = stale.filter(|stale| self.on_error && now < stale.error_until)?;
        if !NO_ANSWER.contains(&error.code.as_str()) {
            return None;
        }
        self.place.meters().stale_on_error.increment(1);
        Some(Served::kept(&stale, true, Some(error.code.clone())))
    }
}
