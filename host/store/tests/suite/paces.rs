//! Shared schedules.
//!
//! Intervals are hours, so that nothing depends on how fast the machine is: what is compared are the places.

use std::sync::Arc;
use std::time::Duration;

use confab_store::{LanePause, Pace, PaceStep, Paced, Store};

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(24 * 3_600);
const US: u64 = 1_000_000;

fn hourly(burst: u64) -> Vec<Pace> {
    vec![Pace { interval_us: 3_600 * US, tolerance_us: (burst - 1) * 3_600 * US }]
}

fn step(schedule: &str, paces: Vec<Pace>, within: Duration) -> PaceStep {
    let (schedule, lane) = (schedule.to_owned(), "api".to_owned());
    PaceStep { schedule, lane, paces, take_within: Some(within), pause: LanePause::Keep }
}

/// Whole hours, rounded: a few seconds of a slow machine are none.
fn hours(paced: Paced) -> (u64, bool) {
    ((paced.wait + HOUR / 2).as_secs() / 3_600, paced.taken)
}

pub(crate) async fn places_are_spaced_and_one_that_comes_too_late_is_not_taken(store: Arc<dyn Store>) {
    let mut seen = Vec::new();
    for _ in 0..4 {
        seen.push(hours(store.pace(step("spaced", hourly(2), DAY)).await.unwrap()));
    }
    assert_eq!(seen, [(0, true), (0, true), (1, true), (2, true)]);
    let late = store.pace(step("spaced", hourly(2), HOUR)).await.unwrap();
    assert_eq!(hours(late), (3, false));
    let look = PaceStep { take_within: None, ..step("spaced", hourly(2), DAY) };
    assert_eq!(hours(store.pace(look).await.unwrap()), (3, false));
    assert_eq!(hours(store.pace(step("spaced", hourly(2), DAY)).await.unwrap()), (3, true), "neither took it");
    assert_eq!(hours(store.pace(step("another", hourly(2), DAY)).await.unwrap()), (0, true));
    // Of two limits the tighter one counts.
    let mut two = hourly(10);
    two.extend(hourly(1));
    assert_eq!(hours(store.pace(step("two", two.clone(), DAY)).await.unwrap()), (0, true));
    assert_eq!(hours(store.pace(step("two", two, DAY)).await.unwrap()), (1, true));
}

pub(crate) async fn a_pause_meets_its_lane_only_and_the_longer_one_stays(store: Arc<dyn Store>) {
    let pause = |hours: u32| PaceStep {
        take_within: None,
        pause: LanePause::AtLeast(HOUR * hours),
        ..step("paused", Vec::new(), DAY)
    };
    assert_eq!(hours(store.pace(pause(3)).await.unwrap()), (3, false));
    let still = store.pace(pause(1)).await.unwrap();
    assert_eq!(hours(still), (3, false));
    assert!(still.paused > HOUR * 2 && still.paused <= still.wait, "{still:?}");
    let other = PaceStep { lane: "other".to_owned(), ..step("paused", Vec::new(), DAY) };
    assert_eq!(hours(store.pace(other).await.unwrap()), (0, true));
    assert_eq!(hours(store.pace(step("paused", Vec::new(), HOUR)).await.unwrap()), (3, false));
    assert_eq!(hours(store.pace(step("paused", hourly(1), DAY)).await.unwrap()), (3, true));
    assert_eq!(hours(store.pace(step("paused", hourly(1), DAY)).await.unwrap()), (4, true));
    store.pace(PaceStep { pause: LanePause::End, ..pause(0) }).await.unwrap();
    let over = store.pace(step("paused", Vec::new(), HOUR)).await.unwrap();
    assert_eq!((hours(over), over.paused), ((0, true), Duration::ZERO));
}

pub(crate) async fn hosts_at_once_get_places_apart(store: Arc<dyn Store>) {
    let tasks: Vec<_> = (0..20)
        .map(|_| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { hours(store.pace(step("at-once", hourly(4), DAY * 2)).await.unwrap()) })
        })
        .collect();
    let mut seen = Vec::new();
    for task in tasks {
        seen.push(task.await.unwrap());
    }
    seen.sort_unstable();
    let expected: Vec<_> = [0, 0, 0].into_iter().chain(0..17).map(|hour| (hour, true)).collect();
    assert_eq!(seen, expected);
}
