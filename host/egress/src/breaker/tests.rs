use std::sync::Barrier;
use std::thread;

use super::*;

const POLICY: BreakerPolicy = BreakerPolicy::ENDPOINT;

fn breaker() -> (Breaker, ManualClock) {
    let clock = ManualClock::new();
    (Breaker::with_clock(POLICY, Clock::Manual(clock.clone())), clock)
}

fn fail(breaker: &Breaker) -> bool {
    breaker.enter().unwrap().failure()
}

fn succeed(breaker: &Breaker) -> bool {
    breaker.enter().unwrap().success()
}

/// Let a pause of this length pass, with the jitter that may have been added to it.
fn wait(clock: &ManualClock, pause: Duration) {
    clock.advance(pause + pause / 5);
}

fn opened(breaker: &Breaker) {
    for _ in 0..4 {
        assert!(!fail(breaker));
    }
    assert!(fail(breaker));
}

fn pause(breaker: &Breaker) -> u64 {
    match breaker.state() {
        BreakerState::Open { pause, .. } => pause.as_secs(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn five_failures_in_a_row_open_it_and_are_told_once() {
    let (breaker, _clock) = breaker();
    opened(&breaker);
    let refused = breaker.enter().unwrap_err();
    assert!(refused.retry_after >= POLICY.first_pause && refused.retry_after <= POLICY.first_pause * 6 / 5);
    assert_eq!(breaker.refusal(), Some(refused));
    let BreakerState::Open { retry_after, failures, pause } = breaker.state() else { panic!("{:?}", breaker.state()) };
    assert_eq!((retry_after, failures, pause), (refused.retry_after, 5, POLICY.first_pause));
}

#[test]
fn a_success_in_between_begins_a_new_row() {
    let (breaker, _clock) = breaker();
    for _ in 0..3 {
        for _ in 0..4 {
            assert!(!fail(&breaker));
        }
        assert!(!succeed(&breaker));
    }
    assert_eq!(breaker.state(), BreakerState::Closed);
}

#[test]
fn half_of_enough_calls_open_it_too() {
    let (breaker, clock) = breaker();
    for n in 0..9 {
        assert!(!succeed(&breaker), "{n}");
        assert!(!fail(&breaker), "{n}");
        clock.advance(Duration::from_secs(1));
    }
    assert!(!succeed(&breaker));
    assert!(fail(&breaker), "10 of 20 failed");
}

#[test]
fn calls_older_than_the_window_do_not_count() {
    let (breaker, clock) = breaker();
    for _ in 0..200 {
        assert!(!succeed(&breaker));
        assert!(!fail(&breaker));
        // 18 calls in any window of 27 to 30 s.
        clock.advance(Duration::from_millis(3_350));
    }
    clock.advance(Duration::from_secs(3_600));
    for _ in 0..30 {
        assert!(!succeed(&breaker));
    }
    for _ in 0..4 {
        assert!(!fail(&breaker));
    }
    assert_eq!(breaker.state(), BreakerState::Closed);
}

#[test]
fn after_the_pause_one_probe_goes_first_and_its_success_closes() {
    let (breaker, clock) = breaker();
    opened(&breaker);
    wait(&clock, POLICY.first_pause);
    let probe = breaker.enter().unwrap();
    assert_eq!(breaker.state(), BreakerState::Probing);
    for _ in 0..3 {
        assert_eq!(breaker.enter().unwrap_err().retry_after, POLICY.first_pause);
    }
    assert!(probe.success());
    assert_eq!(breaker.state(), BreakerState::Closed);
    // All is forgotten: five more are needed, and the pause begins small again.
    opened(&breaker);
    assert_eq!(pause(&breaker), 1);
}

#[test]
fn each_probe_that_fails_doubles_the_pause_up_to_the_longest() {
    let (breaker, clock) = breaker();
    opened(&breaker);
    let mut pauses = vec![pause(&breaker)];
    for _ in 0..7 {
        wait(&clock, Duration::from_secs(*pauses.last().unwrap()));
        assert!(!fail(&breaker), "it was open before");
        pauses.push(pause(&breaker));
    }
    assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
    assert!(matches!(breaker.state(), BreakerState::Open { failures: 12, .. }), "{:?}", breaker.state());
}

#[test]
fn a_probe_that_is_given_up_gives_its_place_back() {
    let (breaker, clock) = breaker();
    opened(&breaker);
    wait(&clock, POLICY.first_pause);
    drop(breaker.enter().unwrap());
    assert!(matches!(breaker.state(), BreakerState::Open { retry_after: Duration::ZERO, .. }));
    assert!(breaker.enter().unwrap().success());
}

#[test]
fn a_call_that_is_given_up_counts_as_nothing() {
    let (breaker, _clock) = breaker();
    for _ in 0..100 {
        drop(breaker.enter().unwrap());
    }
    for _ in 0..4 {
        assert!(!fail(&breaker));
    }
    drop(breaker.enter().unwrap());
    assert!(fail(&breaker), "neither a success in between");
}

#[test]
fn calls_from_before_it_opened_neither_close_it_nor_open_it_again() {
    let (breaker, clock) = breaker();
    let late = [breaker.enter().unwrap(), breaker.enter().unwrap(), breaker.enter().unwrap()];
    opened(&breaker);
    let [success, failure, during_probe] = late;
    assert!(!success.success());
    assert!(!failure.failure());
    assert_eq!(pause(&breaker), 1);
    wait(&clock, POLICY.first_pause);
    let probe = breaker.enter().unwrap();
    assert!(!during_probe.success());
    assert_eq!(breaker.state(), BreakerState::Probing);
    assert!(probe.success());
}

#[test]
fn told_to_wait_it_opens_at_once_and_for_that_long() {
    let (breaker, clock) = breaker();
    assert!(breaker.enter().unwrap().told_to_wait(Duration::from_secs(7)));
    clock.advance(Duration::from_millis(6_999));
    assert_eq!(breaker.enter().unwrap_err().retry_after, Duration::from_millis(1));
    clock.advance(Duration::from_millis(1));
    assert!(!breaker.enter().unwrap().told_to_wait(Duration::from_secs(86_400)), "it was open before");
    assert_eq!(breaker.enter().unwrap_err().retry_after, POLICY.longest_pause);
    breaker.reset();
    // "Wait for no time" is one failure among others.
    assert!(!breaker.enter().unwrap().told_to_wait(Duration::ZERO));
    assert_eq!(breaker.state(), BreakerState::Closed);
}

#[test]
fn a_reset_closes_it_and_calls_from_before_no_longer_count() {
    let (breaker, clock) = breaker();
    opened(&breaker);
    wait(&clock, POLICY.first_pause);
    let probe = breaker.enter().unwrap();
    breaker.reset();
    assert_eq!(breaker.state(), BreakerState::Closed);
    assert!(!probe.failure());
    let before = breaker.enter().unwrap();
    breaker.reset();
    assert!(!before.failure());
    opened(&breaker);
}

#[test]
fn of_many_threads_one_is_the_probe() {
    let (breaker, clock) = breaker();
    for round in 0..50 {
        opened(&breaker);
        wait(&clock, POLICY.first_pause);
        let (start, done) = (Barrier::new(4), Barrier::new(4));
        let entered: usize = thread::scope(|scope| {
            let ask = || {
                start.wait();
                let pass = breaker.enter();
                // Nobody ends before all have asked.
                done.wait();
                usize::from(pass.is_ok_and(Pass::success))
            };
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(ask)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(entered, 1, "{round}");
        assert_eq!(breaker.state(), BreakerState::Closed);
    }
}

#[test]
fn a_plugin_is_given_more_time_than_an_endpoint() {
    let breaker = Breaker::with_clock(BreakerPolicy::PLUGIN, Clock::Manual(ManualClock::new()));
    for _ in 0..9 {
        assert!(!fail(&breaker));
    }
    assert!(fail(&breaker));
}
