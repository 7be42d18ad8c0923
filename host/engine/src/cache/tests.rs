//! The cache as a whole, on a clock that stands still until it is moved.

use super::*;
use crate::ids::{ConnectionId, TenantId};
use crate::net::Fault;
use confab_sandbox::{Blame, CallReport, CapabilityError, Failure, FailureKind};
use confab_store::Clock;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use tokio::sync::Notify;

const NOW: u64 = 1_795_343_520_000;

/// A business system that counts its calls.
#[derive(Default)]
struct System {
    calls: AtomicUsize,
    down: Mutex<Option<Result<&'static str, FailureKind>>>,
}

struct House {
    cache: Arc<ResultCache>,
    now: Arc<AtomicU64>,
    system: Arc<System>,
}

fn manifest() -> Manifest {
    serde_json::from_value(json!({"name": "x", "version": "1.0.0", "publisher": "p", "kind": "connector", "operations": [
        {"name": "inventory.availability", "cache":
            {"ttl_s": 10, "stale_while_revalidate_s": 20, "stale_if_error_s": 600, "tags": ["stock", "stock:{sku}"]}},
    ]}))
    .unwrap()
}

fn place(tenant: &str, digest: &str) -> Arc<Place> {
    let doc = ConnectionDoc {
        tenant: tenant.parse::<TenantId>().unwrap(),
        id: "erp".parse::<ConnectionId>().unwrap(),
        connector: "x".into(),
        settings: json!({}),
        endpoints: BTreeMap::new(),
        files: BTreeMap::new(),
        cache: None,
        ca: None,
        limits: Default::default(),
        rate: None,
        retry: None,
        webhook: None,
    };
    Place::new(&doc, &manifest(), digest)
}

fn fault(kind: FailureKind) -> Fault {
    let failure = Failure {
        plugin: "p".into(),
        version: "1.0.0".into(),
        digest: "d".into(),
        function: "f".into(),
        kind,
        blame: Blame::Guest,
        message: "told to".into(),
        backtrace: Vec::new(),
        report: CallReport::default(),
    };
    Fault { failure, retry_after: None }
}

impl System {
    async fn call(&self) -> Result<entry::Answer, Fault> {
        let number = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
        match *self.down.lock().unwrap() {
            None => Ok(Ok(json!({"number": number}))),
            Some(Ok(code)) => Ok(Err(CapabilityError::new(code, "told to"))),
            Some(Err(kind)) => Err(fault(kind)),
        }
    }

    fn fails(&self, how: Option<Result<&'static str, FailureKind>>) {
        *self.down.lock().unwrap() = how;
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }
}

impl House {
    fn new() -> House {
        let now = Arc::new(AtomicU64::new(NOW));
        let clock = now.clone();
        let cache = ResultCache::new(Clock::from_fn(move || clock.load(Ordering::SeqCst)), None);
        House { cache, now, system: Arc::default() }
    }

    fn pass(&self, seconds: u64) {
        self.now.fetch_add(seconds * 1_000, Ordering::SeqCst);
    }

    async fn ask_with<F: Future<Output = Result<entry::Answer, Fault>>>(
        &self,
        place: &Arc<Place>,
        sku: &str,
        on_error: bool,
        fetch: F,
    ) -> Result<Served, Fault> {
        let policy = place.keeps("inventory", "availability").unwrap();
        let arguments = json!({"sku": sku});
        let arguments = arguments.as_object().unwrap();
        let (capability, function) = ("inventory", "availability");
        let ask = Ask { place, policy, capability, function, arguments, locale: None, on_error };
        let system = self.system.clone();
        self.cache.serve(ask, fetch, || async move { system.call().await }).await
    }

    async fn ask(&self, place: &Arc<Place>, sku: &str) -> Result<Served, Fault> {
        self.ask_with(place, sku, true, self.system.call()).await
    }

    /// The number of the call that an answer comes from, and whether it is stale.
    async fn number(&self, place: &Arc<Place>, sku: &str) -> (u64, bool) {
        let served = self.ask(place, sku).await.unwrap();
        (served.answer.unwrap()["number"].as_u64().unwrap(), served.source.stale)
    }

    /// Waits until nothing is fetched behind.
    async fn settled(&self) {
        while self.cache.flights.len() > 0 {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn an_answer_is_kept_for_its_time_then_served_once_more_while_a_new_one_is_fetched() {
    let (house, shop) = (House::new(), place("shop", "d"));
    assert_eq!(house.number(&shop, "A").await, (1, false));
    house.pass(9);
    let served = house.ask(&shop, "A").await.unwrap();
    assert_eq!(served.source, Source { as_of: NOW, cached: true, stale: false, error: None });
    house.pass(1);
    // Stale: served at once, and fetched once however many ask.
    for _ in 0..5 {
        assert_eq!(house.number(&shop, "A").await, (1, true));
    }
    house.settled().await;
    assert_eq!(house.number(&shop, "A").await, (2, false));
    // Too old to be served before the new one is there.
    house.pass(31);
    assert_eq!(house.number(&shop, "A").await, (3, false));
    assert_eq!(house.number(&shop, "B").await, (4, false));
    assert_eq!(house.system.calls(), 4);
}

#[tokio::test]
async fn when_the_system_does_not_answer_the_stale_answer_does_until_it_is_too_old() {
    let (house, shop) = (House::new(), place("shop", "d"));
    house.number(&shop, "A").await;
    house.pass(40);
    let failures = [
        (Ok("unavailable"), "unavailable"),
        (Ok("rate-limited"), "rate-limited"),
        (Err(FailureKind::Time), "timeout"),
        (Err(FailureKind::Trap), "internal"),
        (Err(FailureKind::Quarantined), "unavailable"),
        (Err(FailureKind::Overloaded), "unavailable"),
    ];
    for (how, code) in failures {
        house.system.fails(Some(how));
        let served = house.ask(&shop, "A").await.unwrap();
        assert_eq!(served.source, Source { as_of: NOW, cached: true, stale: true, error: Some(code.into()) });
        // A version that is tried must fail where it fails.
        let tried = house.ask_with(&shop, "A", false, house.system.call()).await;
        assert!(tried.is_err() || tried.unwrap().answer.is_err());
    }
    // That it says no is an answer.
    house.system.fails(Some(Ok("forbidden")));
    assert_eq!(house.ask(&shop, "A").await.unwrap().answer.unwrap_err().code, "forbidden");
    house.pass(571);
    house.system.fails(Some(Ok("unavailable")));
    assert_eq!(house.ask(&shop, "A").await.unwrap().answer.unwrap_err().code, "unavailable");
}

#[tokio::test]
async fn an_error_is_not_kept_but_that_there_is_nothing_is_for_a_moment() {
    let (house, shop) = (House::new(), place("shop", "d"));
    for code in ["unavailable", "forbidden", "proof-required", "invalid-input"] {
        house.system.fails(Some(Ok(code)));
        let before = house.system.calls();
        for _ in 0..2 {
            assert_eq!(house.ask(&shop, "A").await.unwrap().answer.unwrap_err().code, code);
        }
        assert_eq!(house.system.calls(), before + 2);
    }
    house.system.fails(Some(Ok("not-found")));
    let before = house.system.calls();
    for _ in 0..3 {
        assert_eq!(house.ask(&shop, "A").await.unwrap().answer.unwrap_err().code, "not-found");
    }
    assert_eq!(house.system.calls(), before + 1);
    house.system.fails(None);
    house.pass(10);
    assert!(house.ask(&shop, "A").await.unwrap().answer.is_ok());
}

#[tokio::test]
async fn another_revision_another_tenant_and_another_language_share_nothing() {
    let house = House::new();
    let places = [place("shop", "d"), place("shop", "candidate"), place("bakery", "d")];
    for (at, place) in places.iter().enumerate() {
        assert_eq!(house.number(place, "A").await, (at as u64 + 1, false));
    }
    for (at, place) in places.iter().enumerate() {
        assert_eq!(house.number(place, "A").await, (at as u64 + 1, false));
    }
    // The same revision once more is the same.
    assert_eq!(house.number(&place("shop", "d"), "A").await, (1, false));
}

#[tokio::test]
async fn what_was_made_worthless_is_gone_and_what_was_on_its_way_meanwhile_too() {
    let (house, shop) = (House::new(), place("shop", "d"));
    let candidate = place("shop", "candidate");
    assert_eq!(house.number(&shop, "A").await.0, 1);
    assert_eq!(house.number(&shop, "B").await.0, 2);
    assert_eq!(house.number(&candidate, "A").await.0, 3);
    house.cache.invalidate("shop", "erp", &["stock:A".to_owned()]).await;
    assert_eq!(house.number(&shop, "A").await.0, 4);
    assert_eq!(house.number(&shop, "B").await.0, 2);
    assert_eq!(house.number(&candidate, "A").await.0, 5);
    house.cache.invalidate("shop", "erp", &[]).await;
    house.cache.invalidate("shop", "other", &[]).await;
    assert_eq!(house.number(&shop, "B").await.0, 6);
    // Stale ones are gone as well: they are not old but wrong.
    house.pass(40);
    house.cache.invalidate("shop", "erp", &["stock".to_owned()]).await;
    house.system.fails(Some(Ok("unavailable")));
    assert!(house.ask(&shop, "B").await.unwrap().answer.is_err());
    house.system.fails(None);
    // A write while the answer is on its way.
    let fetch = async {
        let answer = house.system.call().await;
        house.cache.invalidate("shop", "erp", &["stock:A".to_owned()]).await;
        answer
    };
    let before = house.system.calls();
    house.ask_with(&shop, "A", true, fetch).await.unwrap();
    house.number(&shop, "A").await;
    assert_eq!(house.system.calls(), before + 2);
}

#[tokio::test]
async fn equal_calls_at_once_are_one_and_share_its_answer_or_its_error() {
    let (house, shop) = (House::new(), place("shop", "d"));
    for how in [None, Some(Ok("unavailable")), Some(Err(FailureKind::Trap))] {
        house.system.fails(how);
        let before = house.system.calls();
        let gate = Notify::new();
        let slow = async {
            gate.notified().await;
            house.system.call().await
        };
        let leader = house.ask_with(&shop, "A", true, slow);
        let followers = (0..50).map(|_| house.ask(&shop, "A"));
        let open = async {
            tokio::task::yield_now().await;
            gate.notify_one();
        };
        let (led, followed, ()) = tokio::join!(leader, futures::future::join_all(followers), open);
        assert_eq!(house.system.calls(), before + 1, "{how:?}");
        let shown = |served: &Result<Served, Fault>| match served {
            Ok(served) => format!("{:?}", served.answer),
            Err(fault) => format!("{}", fault.failure),
        };
        assert!(followed.iter().all(|served| shown(served) == shown(&led)));
        house.pass(1_000);
    }
    assert_eq!(house.cache.flights.len(), 0);
}

#[tokio::test]
async fn when_who_leads_goes_away_one_of_the_others_leads() {
    let (house, shop) = (House::new(), place("shop", "d"));
    let never = std::future::pending::<Result<entry::Answer, Fault>>();
    let mut leader = Box::pin(house.ask_with(&shop, "A", true, never));
    assert!(futures::poll!(&mut leader).is_pending());
    let mut followers = Box::pin(futures::future::join_all((0..20).map(|_| house.ask(&shop, "A"))));
    assert!(futures::poll!(&mut followers).is_pending());
    assert_eq!(house.system.calls(), 0);
    drop(leader);
    assert!(followers.await.iter().all(|served| served.as_ref().is_ok_and(|served| served.answer.is_ok())));
    assert_eq!((house.system.calls(), house.cache.flights.len()), (1, 0));
}

#[tokio::test]
async fn what_is_too_large_is_given_and_not_kept_and_background_fetches_are_bounded() {
    let (house, shop) = (House::new(), place("shop", "d"));
    let large = || async { Ok(Ok(json!("x".repeat(300 << 10)))) };
    assert!(house.ask_with(&shop, "large", true, large()).await.unwrap().answer.is_ok());
    assert_eq!(house.cache.shelf.bytes(), 0);
    for sku in 0..100 {
        house.number(&shop, &sku.to_string()).await;
    }
    house.pass(10);
    // Nothing else runs on this thread until the first await that waits: so none of the fetches has ended.
    let stale = futures::future::join_all((0..100).map(|sku| {
        let (house, shop) = (&house, &shop);
        async move { house.number(shop, &sku.to_string()).await.1 }
    }));
    assert!(stale.await.iter().all(|stale| *stale));
    assert!(house.cache.refreshes.tasks.len() <= 8, "{}", house.cache.refreshes.tasks.len());
    house.settled().await;
    assert_eq!(house.system.calls(), 108);
    house.cache.close().await;
}
