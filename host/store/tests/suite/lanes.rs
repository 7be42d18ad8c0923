//! Lanes: order, one holder at a time, due times, repeated pushes, and workers side by side.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use confab_store::{Again, HeldLane, Once, Push, Settled, Store, StoreError};
use parking_lot::Mutex;
use tokio::time::timeout;

use crate::harness::{LONG, bytes, eventually};

type Shared = Arc<dyn Store>;

const SOON: Duration = Duration::from_millis(50);

/// Longer than `LONG`, so that who waits for it in vain is noticed.
const VERY_LONG: Duration = Duration::from_secs(600);

/// An entry that makes its lane due at once.
pub(crate) fn push(lane: &str, body: &str) -> Push {
    Push { lane: lane.to_owned(), body: bytes(body), due_in: Duration::ZERO, once: Once::No }
}

/// Pushes into the partition of the lane's name.
async fn pushed(store: &Shared, push: Push) -> bool {
    store.push(store.partition_of(&push.lane), vec![push]).await.unwrap()[0]
}

/// The next lane that is due, when there is one.
pub(crate) async fn take_one(store: &Shared, entries: usize) -> HeldLane {
    let found = Mutex::new(None);
    eventually("a lane is due", || async {
        let taken = store.take_lanes(1, entries).await.unwrap().pop();
        let done = taken.is_some();
        *found.lock() = taken;
        done
    })
    .await;
    found.into_inner().unwrap()
}

async fn none_is_due(store: &Shared) -> bool {
    store.take_lanes(9, 9).await.unwrap().is_empty()
}

fn through(held: &HeldLane, entries: usize, again: Again) -> Settled {
    let through = entries.checked_sub(1).map_or(0, |last| held.entries[last].0);
    Settled { through, again, note: None, pushes: Vec::new() }
}

fn done(held: &HeldLane) -> Settled {
    through(held, held.entries.len(), Again::Now)
}

fn bodies(held: &HeldLane) -> Vec<String> {
    held.entries.iter().map(|(_, body)| String::from_utf8_lossy(body).into_owned()).collect()
}

pub(crate) async fn entries_come_in_their_order_to_one_holder(store: Shared) {
    assert!(none_is_due(&store).await);
    let partition = store.partition_of("lane");
    assert!(partition.number() < store.partitions());
    let three = ["1", "2", "3"].map(|body| push("lane", body)).to_vec();
    assert_eq!(store.push(partition, three).await.unwrap(), [true, true, true]);
    assert!(store.push(partition, Vec::new()).await.unwrap().is_empty());
    assert!(store.take_lanes(0, 9).await.unwrap().is_empty());
    let held = take_one(&store, 2).await;
    assert_eq!((held.lane.as_str(), held.partition, held.note.clone()), ("lane", partition, None));
    assert_eq!(bodies(&held), ["1", "2"]);
    assert!(0 < held.entries[0].0 && held.entries[0].0 < held.entries[1].0);
    assert!(none_is_due(&store).await);
    // What is pushed meanwhile waits behind.
    assert!(pushed(&store, push("lane", "4")).await);
    assert!(none_is_due(&store).await);
    assert!(store.extend_lane(&held).await.unwrap());
    let settled = through(&held, 1, Again::Now);
    let second = held.entries[1].0;
    store.settle_lane(held, settled).await.unwrap();
    let held = take_one(&store, 9).await;
    assert_eq!(bodies(&held), ["2", "3", "4"]);
    assert_eq!(held.entries[0].0, second);
    assert!(held.entries[1].0 < held.entries[2].0);
    let settled = done(&held);
    store.settle_lane(held, settled).await.unwrap();
    assert!(none_is_due(&store).await);
    assert!(store.lanes("", 9).await.unwrap().is_empty());
    assert!(store.lane_entries(partition, "lane", 0, 9).await.unwrap().is_empty());
}

pub(crate) async fn a_lane_waits_as_a_whole_until_it_is_hastened(store: Shared) {
    let partition = store.partition_of("lane");
    assert!(!store.hasten_lane(partition, "lane").await.unwrap());
    pushed(&store, Push { due_in: VERY_LONG, ..push("lane", "1") }).await;
    pushed(&store, push("lane", "2")).await;
    assert!(none_is_due(&store).await, "the second push does not change when the lane is due");
    let listed = store.lanes("lane", 9).await.unwrap();
    assert!(listed[0].due_in > LONG && listed[0].due_in <= VERY_LONG, "{:?}", listed[0].due_in);
    assert!(store.hasten_lane(partition, "lane").await.unwrap());
    let held = take_one(&store, 1).await;
    assert_eq!(store.lanes("lane", 9).await.unwrap()[0].due_in, Duration::ZERO);

    let settled = through(&held, 1, Again::In(VERY_LONG));
    store.settle_lane(held, settled).await.unwrap();
    pushed(&store, push("lane", "3")).await;
    assert!(none_is_due(&store).await);
    assert!(store.lanes("", 9).await.unwrap()[0].due_in > LONG);
    assert!(store.hasten_lane(partition, "lane").await.unwrap());
    assert_eq!(bodies(&take_one(&store, 9).await), ["2", "3"]);
}

pub(crate) async fn a_lane_is_due_soon_after_its_time(store: Shared) {
    pushed(&store, Push { due_in: SOON, ..push("later", "x") }).await;
    pushed(&store, push("now", "x")).await;
    assert_eq!(take_one(&store, 9).await.lane, "now");
    let held = take_one(&store, 9).await;
    assert_eq!(held.lane, "later");
    // Nothing of it was done.
    let settled = through(&held, 0, Again::In(SOON));
    store.settle_lane(held, settled).await.unwrap();
    assert_eq!(bodies(&take_one(&store, 9).await), ["x"]);
}

pub(crate) async fn a_note_lasts_until_the_next_settling_and_no_longer_than_its_lane(store: Shared) {
    for body in ["1", "2", "3"] {
        pushed(&store, push("lane", body)).await;
    }
    for note in [Some(bytes("tried once")), Some(bytes("")), None] {
        let held = take_one(&store, 1).await;
        let settled = Settled { note: note.clone(), ..through(&held, 0, Again::Now) };
        store.settle_lane(held, settled).await.unwrap();
        assert_eq!(store.lanes("", 9).await.unwrap()[0].note, note);
        let held = take_one(&store, 9).await;
        assert_eq!((bodies(&held), held.note.clone()), (["1", "2", "3"].map(str::to_owned).to_vec(), note));
        let settled = through(&held, 0, Again::Now);
        store.settle_lane(held, settled).await.unwrap();
    }
    let held = take_one(&store, 9).await;
    let settled = Settled { note: Some(bytes("gone with it")), ..done(&held) };
    store.settle_lane(held, settled).await.unwrap();
    pushed(&store, push("lane", "anew")).await;
    assert_eq!(store.lanes("", 9).await.unwrap()[0].note, None);
    assert_eq!(take_one(&store, 9).await.note, None);
}

pub(crate) async fn a_dropped_lane_can_not_be_settled(store: Shared) {
    let partition = store.partition_of("lane");
    assert!(!store.drop_lane(partition, "lane").await.unwrap());
    pushed(&store, push("lane", "old")).await;
    let held = take_one(&store, 9).await;
    assert!(store.drop_lane(partition, "lane").await.unwrap());
    assert!(!store.drop_lane(partition, "lane").await.unwrap());
    assert!(!store.extend_lane(&held).await.unwrap());
    assert!(none_is_due(&store).await);

    // The next lane of that name is not the one that was held, and can be taken at once.
    pushed(&store, push("lane", "new")).await;
    assert!(!store.extend_lane(&held).await.unwrap());
    let old_number = held.entries[0].0;
    let settled = Settled { pushes: vec![push("more", "x")], ..done(&held) };
    assert_eq!(store.settle_lane(held, settled).await.unwrap_err(), StoreError::LeaseLost);
    assert_eq!(store.lanes("", 9).await.unwrap().len(), 1, "what was refused pushed nothing");
    let held = take_one(&store, 9).await;
    assert_eq!(bodies(&held), ["new"]);
    assert!(held.entries[0].0 > old_number, "no number is used twice");
    let settled = done(&held);
    store.settle_lane(held, settled).await.unwrap();

    // One that waits is dropped too.
    pushed(&store, Push { due_in: VERY_LONG, ..push("lane", "waits") }).await;
    assert!(store.drop_lane(partition, "lane").await.unwrap());
    assert!(!store.hasten_lane(partition, "lane").await.unwrap());
    assert!(none_is_due(&store).await);
}

pub(crate) async fn a_push_with_a_name_is_done_once(store: Shared) {
    let partition = store.partition_of("lane");
    let named =
        |lane: &str, name: &str, keep| Push { once: Once::Named { name: name.to_owned(), keep }, ..push(lane, name) };
    let pushes = vec![named("lane", "a", LONG), named("lane", "a", LONG), named("lane", "b", SOON), push("lane", "c")];
    assert_eq!(store.push(partition, pushes).await.unwrap(), [true, false, true, true]);
    // The name is the partition's, not the lane's.
    assert_eq!(store.push(partition, vec![named("other", "a", LONG)]).await.unwrap(), [false]);
    assert_eq!(store.lanes("other", 9).await.unwrap(), []);
    let held = take_one(&store, 9).await;
    assert_eq!(bodies(&held), ["a", "b", "c"]);
    let settled = done(&held);
    store.settle_lane(held, settled).await.unwrap();
    assert!(!pushed(&store, named("lane", "a", LONG)).await, "it is known though it was done");
    eventually("the name is forgotten", || pushed(&store, named("lane", "b", SOON))).await;
}

pub(crate) async fn a_push_with_a_number_is_done_once(store: Shared) {
    let numbered = |lane: &str, source: &str, number| Push {
        once: Once::Numbered { source: source.to_owned(), number },
        ..push(lane, "x")
    };
    assert!(pushed(&store, numbered("a", "s", 0)).await, "a number may be 0");
    for (lane, source, number, expected) in [
        ("a", "s", 0, false),
        ("a", "s", 5, true),
        ("a", "s", 5, false),
        ("a", "s", 4, false),
        ("a", "s", 6, true),
        ("a", "other", 5, true),
        ("b", "s", 5, true),
        ("a", "s", (1 << 53) - 1, true),
        ("a", "s", (1 << 53) - 2, false),
    ] {
        assert_eq!(pushed(&store, numbered(lane, source, number)).await, expected, "{lane} {source} {number}");
    }
    assert!(store.drop_lane(store.partition_of("a"), "a").await.unwrap());
    assert!(!pushed(&store, numbered("a", "s", 6)).await, "it is known though the lane is gone");
}

pub(crate) async fn settling_pushes_more_work_in_the_same_step(store: Shared) {
    let partition = store.partition_of("lane");
    store.push(partition, vec![push("lane", "1")]).await.unwrap();
    let held = take_one(&store, 9).await;
    let (first, mut settled) = (held.entries[0].0, done(&held));
    settled.note = Some(bytes("gone"));
    settled.pushes = vec![push("lane", "2"), push("next", "x"), Push { due_in: VERY_LONG, ..push("later", "x") }];
    store.settle_lane(held, settled).await.unwrap();
    let listed: Vec<_> = store.lanes("", 9).await.unwrap().into_iter().map(|lane| lane.lane).collect();
    assert_eq!(listed, ["lane", "later", "next"]);
    let mut taken = BTreeMap::new();
    for _ in 0..2 {
        let held = take_one(&store, 9).await;
        assert_eq!((held.partition, held.note.clone()), (partition, None));
        assert!(held.entries[0].0 != first);
        taken.insert(held.lane.clone(), bodies(&held));
    }
    assert_eq!(taken["lane"], ["2"]);
    assert_eq!(taken["next"], ["x"]);
    assert!(none_is_due(&store).await);
}

pub(crate) async fn lanes_are_listed_by_prefix_and_read_without_holding_them(store: Shared) {
    let names = ["", "a", "a/b", "a}", "{a}", "a\0", "%2F", "ä€😀", ":due"];
    for name in names {
        for body in ["1", "2", "3"] {
            pushed(&store, push(name, &format!("{name} {body}"))).await;
        }
    }
    let listed = store.lanes("", 99).await.unwrap();
    let expected: BTreeSet<_> = names.iter().map(|name| (*name).to_owned()).collect();
    assert!(listed.iter().map(|lane| lane.lane.clone()).eq(expected), "{listed:?}");
    assert!(listed.iter().all(|lane| lane.length == 3 && lane.due_in.is_zero()));
    let listed: Vec<_> = store.lanes("a", 3).await.unwrap().into_iter().map(|lane| lane.lane).collect();
    assert_eq!(listed, ["a", "a\0", "a/b"]);
    assert!(store.lanes("b", 9).await.unwrap().is_empty());
    for name in names {
        let partition = store.partition_of(name);
        let all = store.lane_entries(partition, name, 0, 9).await.unwrap();
        assert!(
            all.iter().map(|(_, body)| body.clone()).eq(["1", "2", "3"].map(|body| bytes(format!("{name} {body}"))))
        );
        assert_eq!(store.lane_entries(partition, name, all[0].0, 1).await.unwrap(), all[1..2]);
        assert!(store.lane_entries(partition, name, all[2].0, 9).await.unwrap().is_empty());
        assert!(store.lane_entries(partition, name, 0, 0).await.unwrap().is_empty());
    }
    let mut taken = BTreeSet::new();
    for _ in names {
        taken.insert(take_one(&store, 9).await.lane);
    }
    assert_eq!(taken.len(), names.len());
}

pub(crate) async fn whoever_waits_for_work_hears_of_it(store: Shared) {
    timeout(LONG, store.work_arrived(SOON)).await.unwrap();
    let worker = |store: &Shared| {
        let store = Arc::clone(store);
        tokio::spawn(async move {
            loop {
                if let Some(held) = store.take_lanes(1, 9).await.unwrap().pop() {
                    return held;
                }
                store.work_arrived(VERY_LONG).await;
            }
        })
    };
    // Now, later, after a settling, and with a commit's step.
    let waiting = worker(&store);
    tokio::task::yield_now().await;
    pushed(&store, push("lane", "1")).await;
    let held = timeout(LONG, waiting).await.unwrap().unwrap();
    let waiting = worker(&store);
    tokio::task::yield_now().await;
    let settled = through(&held, 0, Again::In(SOON));
    store.settle_lane(held, settled).await.unwrap();
    let held = timeout(LONG, waiting).await.unwrap().unwrap();
    let settled = through(&held, 0, Again::In(VERY_LONG));
    store.settle_lane(held, settled).await.unwrap();
    let waiting = worker(&store);
    tokio::task::yield_now().await;
    assert!(store.hasten_lane(store.partition_of("lane"), "lane").await.unwrap());
    timeout(LONG, waiting).await.unwrap().unwrap();
    let waiting = worker(&store);
    pushed(&store, Push { due_in: SOON, ..push("later", "x") }).await;
    assert_eq!(timeout(LONG, waiting).await.unwrap().unwrap().lane, "later");
}

/// What the workers of the test below have seen.
#[derive(Default)]
struct Seen {
    held: BTreeSet<String>,
    done: BTreeMap<String, Vec<u32>>,
    entries: usize,
}

const LANES: u32 = 200;
const ENTRIES: u32 = 20;
const ALL: usize = (LANES * ENTRIES) as usize;

pub(crate) async fn eight_workers_do_each_entry_once_and_in_order(store: Shared) {
    let seen = Arc::new(Mutex::new(Seen::default()));
    let mut tasks: Vec<_> = (0..8).map(|_| tokio::spawn(work(Arc::clone(&store), Arc::clone(&seen)))).collect();
    // Four hosts push, each its own lanes, while the workers are at it.
    for host in 0..4 {
        let store = Arc::clone(&store);
        tasks.push(tokio::spawn(async move {
            for from in (0..ENTRIES).step_by(5) {
                for lane in (host..LANES).step_by(4).map(|lane| format!("lane {lane}")) {
                    let pushes = (from..from + 5).map(|number| push(&lane, &number.to_string())).collect();
                    store.push(store.partition_of(&lane), pushes).await.unwrap();
                }
            }
        }));
    }
    for task in tasks {
        timeout(LONG * 4, task).await.unwrap().unwrap();
    }
    assert!(store.lanes("", 9).await.unwrap().is_empty());
    assert!(none_is_due(&store).await);
    let seen = seen.lock();
    assert_eq!((seen.done.len(), seen.entries), (LANES as usize, ALL));
    for (lane, done) in &seen.done {
        assert!(done.iter().copied().eq(0..ENTRIES), "{lane}: {done:?}");
    }
}

async fn work(store: Shared, seen: Arc<Mutex<Seen>>) {
    while seen.lock().entries < ALL {
        let taken = store.take_lanes(4, 7).await.unwrap();
        if taken.is_empty() {
            store.work_arrived(SOON).await;
        }
        for held in &taken {
            assert!(seen.lock().held.insert(held.lane.clone()), "{} is held twice", held.lane);
        }
        for held in taken {
            let lane = held.lane.clone();
            // Sometimes the worker leaves some for another time.
            let some = held.entries.len().min(1 + held.entries.len() % 5);
            {
                let mut seen = seen.lock();
                let numbers = bodies(&held).into_iter().take(some).map(|body| body.parse::<u32>().unwrap());
                seen.done.entry(lane.clone()).or_default().extend(numbers);
                assert!(seen.held.remove(&lane));
            }
            let settled = through(&held, some, Again::Now);
            store.settle_lane(held, settled).await.unwrap();
            seen.lock().entries += some;
        }
    }
}
