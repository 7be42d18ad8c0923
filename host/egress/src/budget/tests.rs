//! The queue in virtual time, against a provider that counts as strictly as one can.

use std::collections::VecDeque;

use super::*;
use crate::budget::learn::Allowance;

fn budget(rate: Option<RateConfig>, shared: Option<Arc<dyn SharedBudget>>) -> Arc<Budget> {
    let rates = rate.map(|rate| rate.rates().unwrap()).unwrap_or_default();
    Arc::new(Budget::new("shop", "erp", "api", Arc::new(Schedule::new(rates)), shared))
}

fn four_a_second() -> Option<RateConfig> {
    Some(RateConfig { per_second: Some(4), burst: Some(4), per_minute: None })
}

fn pause(seconds: u64) -> Lesson {
    Lesson { pause: Some((Duration::from_secs(seconds), "retry-after")), ..Lesson::default() }
}

fn in_time(ms: u64) -> (Instant, Duration) {
    let time = Duration::from_millis(ms);
    (Instant::now() + time, time)
}

/// A bucket of four tokens, four new ones a second.
struct Provider {
    tokens: f64,
    at: Instant,
    refused: usize,
    times: VecDeque<Instant>,
}

impl Provider {
    fn new() -> Self {
        Self { tokens: 4.0, at: Instant::now(), refused: 0, times: VecDeque::new() }
    }

    fn request(&mut self) {
        let now = Instant::now();
        self.tokens = (self.tokens + (now - self.at).as_secs_f64() * 4.0).min(4.0);
        self.at = now;
        self.times.push_back(now);
        if self.tokens < 1.0 {
            self.refused += 1;
        } else {
            self.tokens -= 1.0;
        }
    }
}

/// What became of calls: how many were sent, and how many were refused.
#[derive(Default)]
struct Outcome {
    sent: usize,
    refused: usize,
}

/// Fifty calls a second for ten seconds, each with five seconds, spread over these budgets.
async fn offer(budgets: &[Arc<Budget>], provider: &Arc<Mutex<Provider>>) -> Outcome {
    let outcome = Arc::new(Mutex::new(Outcome::default()));
    let places = Arc::new(Semaphore::new(32));
    let mut calls = Vec::new();
    for n in 0..500 {
        let (budget, provider) = (Arc::clone(&budgets[n % budgets.len()]), Arc::clone(provider));
        let (outcome, places) = (Arc::clone(&outcome), Arc::clone(&places));
        calls.push(tokio::spawn(async move {
            let began = Instant::now();
            let (deadline, time) = in_time(5_000);
            match budget.enter(&places, deadline, time).await {
                Ok(entered) => {
                    assert!(Instant::now() <= latest(deadline, time), "nobody waits past his time");
                    // On its way for up to 15 ms.
                    tokio::time::sleep(Duration::from_millis(n as u64 * 7 % 16)).await;
                    provider.lock().request();
                    tokio::time::sleep(Duration::from_millis(40)).await;
                    drop(entered);
                    outcome.lock().sent += 1;
                }
                Err(error) => {
                    assert_eq!(error.code, ErrorCode::Limit);
                    assert!(error.retry_after.is_some_and(|seconds| (1..=10).contains(&seconds)), "{error:?}");
                    // One host knows its queue, and says no at once.
                    assert!(began.elapsed().is_zero() || budget.shared.is_some(), "{:?}", began.elapsed());
                    outcome.lock().refused += 1;
                }
            }
        }));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for call in calls {
        call.await.unwrap();
    }
    Arc::try_unwrap(outcome).ok().unwrap().into_inner()
}

#[tokio::test(start_paused = true)]
async fn of_fifty_calls_a_second_four_are_sent_and_the_others_are_refused_at_once() {
    let (budget, provider) = (budget(four_a_second(), None), Arc::new(Mutex::new(Provider::new())));
    let outcome = offer(&[Arc::clone(&budget)], &provider).await;
    assert_eq!(provider.lock().refused, 0, "the provider never had to say no");
    assert_eq!(outcome.sent + outcome.refused, 500);
    // Ten seconds, and four more in which those who queued are served.
    assert!((50..=60).contains(&outcome.sent), "{}", outcome.sent);
}

/// What hosts share, in this process.
struct Together(Schedule, Mutex<Option<Instant>>);

impl Together {
    fn new(rate: Option<RateConfig>) -> Arc<Self> {
        let rates = rate.map(|rate| rate.rates().unwrap()).unwrap_or_default();
        Arc::new(Self(Schedule::new(rates), Mutex::new(None)))
    }
}

#[async_trait::async_trait]
impl SharedBudget for Together {
    async fn reserve(&self, key: &str, _: &str, _: &[Rate], within: Duration) -> Result<Slot, SharedBudgetError> {
        assert_eq!(key, "shop/erp");
        tokio::time::sleep(Duration::from_millis(1)).await;
        let now = Instant::now();
        let paused = self.1.lock().map_or(Duration::ZERO, |until| until.saturating_duration_since(now));
        let (at, taken) = match self.0.reserve(now + paused, now + within) {
            Ok(at) => (at, true),
            Err(at) => (at, false),
        };
        Ok(Slot { wait: at - now, taken, paused })
    }

    async fn pause(&self, _: &str, _: &str, pause: Duration) -> Result<(), SharedBudgetError> {
        *self.1.lock() = Some(Instant::now() + pause);
        Ok(())
    }

    async fn resume(&self, _: &str, _: &str) -> Result<(), SharedBudgetError> {
        *self.1.lock() = None;
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn three_hosts_send_four_a_second_together() {
    let shared = Together::new(four_a_second());
    let hosts: Vec<Arc<Budget>> = (0..3).map(|_| budget(four_a_second(), Some(shared.clone()))).collect();
    let provider = Arc::new(Mutex::new(Provider::new()));
    let outcome = offer(&hosts, &provider).await;
    assert_eq!(provider.lock().refused, 0);
    assert_eq!(outcome.sent + outcome.refused, 500);
    assert!((45..=60).contains(&outcome.sent), "{}", outcome.sent);
}

struct Down;

#[async_trait::async_trait]
impl SharedBudget for Down {
    async fn reserve(&self, _: &str, _: &str, _: &[Rate], _: Duration) -> Result<Slot, SharedBudgetError> {
        Err(SharedBudgetError("no connection".to_owned()))
    }
    async fn pause(&self, _: &str, _: &str, _: Duration) -> Result<(), SharedBudgetError> {
        std::future::pending().await
    }
    async fn resume(&self, _: &str, _: &str) -> Result<(), SharedBudgetError> {
        std::future::pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_is_ended_by_hand_is_over_for_those_who_wait_and_for_the_next_host() {
    for hosts in [None, Some(Together::new(None))] {
        let shared = hosts.clone().map(|hosts| hosts as Arc<dyn SharedBudget>);
        let (budget, places) = (budget(None, shared.clone()), Semaphore::new(32));
        let (deadline, time) = in_time(5_000);
        let entered = budget.enter(&places, deadline, time).await.unwrap();
        let lesson = Lesson { pause: Some((Duration::from_secs(3_600), "retry-after")), ..Lesson::default() };
        budget.learn(entered.turn.number(), 429, lesson).await;
        drop(entered);
        assert!(budget.paused().is_some_and(|pause| pause > Duration::from_secs(3_590)));
        let (deadline, time) = in_time(5_000);
        assert!(budget.enter(&places, deadline, time).await.is_err());
        budget.resume().await;
        assert_eq!(budget.paused(), None);
        let (deadline, time) = in_time(5_000);
        assert_eq!(budget.enter(&places, deadline, time).await.unwrap().waited, Duration::ZERO);
        let next = self::budget(None, shared);
        let (deadline, time) = in_time(5_000);
        assert!(next.enter(&places, deadline, time).await.is_ok());
    }
}

#[tokio::test(start_paused = true)]
async fn a_host_that_can_not_ask_the_others_keeps_its_own_rate() {
    let (budget, places) = (budget(four_a_second(), Some(Arc::new(Down))), Semaphore::new(32));
    let began = Instant::now();
    for _ in 0..12 {
        let (deadline, time) = in_time(5_000);
        let entered = budget.enter(&places, deadline, time).await.unwrap();
        budget.learn(entered.turn.number(), 200, Lesson::default()).await;
    }
    let took = began.elapsed();
    assert!((1_900..2_400).contains(&took.as_millis()), "{took:?}");
    let (deadline, time) = in_time(5_000);
    let entered = budget.enter(&places, deadline, time).await.unwrap();
    budget.learn(entered.turn.number(), 429, pause(30)).await;
    assert_eq!(budget.enter(&places, deadline, time).await.err().unwrap().retry_after, Some(30));
}

#[tokio::test(start_paused = true)]
async fn calls_that_wait_when_a_pause_is_learned_are_refused_then_or_wait_for_its_end() {
    let (budget, places) = (budget(four_a_second(), None), Arc::new(Semaphore::new(32)));
    let began = Instant::now();
    let order = Arc::new(Mutex::new(Vec::new()));
    let mut calls = Vec::new();
    for n in 0..10_u64 {
        let (budget, places, order) = (Arc::clone(&budget), Arc::clone(&places), Arc::clone(&order));
        calls.push(tokio::spawn(async move {
            // Every other one has little time.
            let (deadline, time) = in_time(if n % 2 == 0 { 8_000 } else { 3_000 });
            let entered = budget.enter(&places, deadline, time).await;
            order.lock().push((n, entered.is_ok(), began.elapsed().as_millis()));
            if let Ok(entered) = entered
                && n == 0
            {
                tokio::time::sleep(Duration::from_millis(300)).await;
                budget.learn(entered.turn.number(), 429, pause(4)).await;
            }
        }));
        tokio::task::yield_now().await;
    }
    for call in calls {
        call.await.unwrap();
    }
    let order = order.lock().clone();
    let served: Vec<u64> = order.iter().filter(|(_, well, _)| *well).map(|(n, ..)| *n).collect();
    assert_eq!(served, [0, 1, 2, 3, 4, 6, 8], "{order:?}");
    for (n, well, ms) in order {
        match (n, well) {
            (0..=4, _) => assert!(ms < 300, "{n} {ms}"),
            (_, true) => assert!(ms >= 4_300, "{n} {ms}: nothing is sent in a pause"),
            (_, false) => assert_eq!(ms, 300, "{n}: told at once"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_another_host_was_told_is_known_within_a_second() {
    let shared = Together::new(None);
    let (one, other) = (budget(None, Some(shared.clone())), budget(None, Some(shared)));
    let places = Semaphore::new(32);
    let (deadline, time) = in_time(60_000);
    drop(other.enter(&places, deadline, time).await.unwrap());
    let entered = one.enter(&places, deadline, time).await.unwrap();
    one.learn(entered.turn.number(), 429, pause(20)).await;
    tokio::time::advance(LOOK_AGAIN).await;
    let (deadline, time) = in_time(5_000);
    let refused = other.enter(&places, deadline, time).await.err().unwrap();
    assert!(refused.retry_after.is_some_and(|seconds| (18..=20).contains(&seconds)), "{refused:?}");
    assert!(refused.message.contains("asked for a pause"), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn the_queue_is_bounded() {
    let (budget, places) = (budget(None, None), Arc::new(Semaphore::new(32)));
    let (deadline, time) = in_time(1_000_000);
    let entered = budget.enter(&places, deadline, time).await.unwrap();
    budget.learn(entered.turn.number(), 429, pause(100)).await;
    drop(entered);
    let waiting: Vec<_> = (0..QUEUE)
        .map(|_| {
            let (budget, places) = (Arc::clone(&budget), Arc::clone(&places));
            tokio::spawn(async move { budget.enter(&places, deadline, time).await.is_ok() })
        })
        .collect();
    while budget.came.load(Ordering::Relaxed) < QUEUE {
        tokio::task::yield_now().await;
    }
    let refused = budget.enter(&places, deadline, time).await.err().unwrap();
    assert_eq!((refused.code, refused.retry_after), (ErrorCode::Limit, Some(100)));
    let began = Instant::now();
    for call in waiting {
        assert!(call.await.unwrap());
    }
    // One by one, not all at the moment in which the pause is over.
    let took = began.elapsed();
    assert!(took >= Duration::from_secs(100) + AFTER_A_PAUSE * 254, "{took:?}");
    // Nobody waits any longer: nothing is limited.
    assert!(budget.is_free(Instant::now() + AFTER_A_PAUSE));
}

#[tokio::test(start_paused = true)]
async fn an_allowance_is_spread_over_nobody_and_ends_at_its_reset() {
    let (budget, places) = (budget(None, None), Semaphore::new(32));
    let (deadline, time) = in_time(60_000);
    let entered = budget.enter(&places, deadline, time).await.unwrap();
    let allowance = Some(Allowance { left: 3, reset: Duration::from_secs(10) });
    budget.learn(entered.turn.number(), 200, Lesson { allowance, ..Lesson::default() }).await;
    drop(entered);
    let began = Instant::now();
    for n in 0..4 {
        drop(budget.enter(&places, deadline, time).await.unwrap());
        assert_eq!(began.elapsed().as_secs(), if n < 3 { 0 } else { 10 }, "{n}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_gives_up_leaves_the_queue() {
    let (budget, places) = (budget(four_a_second(), None), Semaphore::new(32));
    let (deadline, time) = in_time(60_000);
    for _ in 0..4 {
        drop(budget.enter(&places, deadline, time).await.unwrap());
    }
    for _ in 0..20 {
        let given_up = timeout(Duration::from_millis(1), budget.enter(&places, deadline, time)).await;
        assert!(given_up.is_err());
    }
    assert_eq!(budget.came.load(Ordering::Relaxed), budget.left.load(Ordering::Relaxed));
}

#[tokio::test(start_paused = true)]
async fn many_refusals_at_once_are_one_pause() {
    let (budget, places) = (budget(None, None), Semaphore::new(32));
    let (deadline, time) = in_time(30_000);
    let refused = Lesson { refused_without_a_time: true, ..Lesson::default() };
    let mut under_way = Vec::new();
    for _ in 0..8 {
        under_way.push(budget.enter(&places, deadline, time).await.unwrap());
    }
    for entered in &under_way {
        budget.learn(entered.turn.number(), 429, refused.clone()).await;
    }
    assert_eq!(budget.next() - Instant::now(), Duration::from_secs(1));
    drop(under_way);
    let entered = budget.enter(&places, deadline, time).await.unwrap();
    budget.learn(entered.turn.number(), 429, refused).await;
    assert_eq!(budget.next() - Instant::now(), Duration::from_secs(2), "it still refuses");
}
