//! The budget of an endpoint: no request leaves before the system wants it.
//!
//! Three things say when that is, and the latest of them counts:
//!
//! | what | from | shared by hosts |
//! |---|---|---|
//! | the connection's schedule | the tenant's `rate` | yes, exactly |
//! | the endpoint's pause | `Retry-After` and its like ([`learn`]) | yes, within a second |
//! | the endpoint's allowance | "50 left until 10:32" | each host for itself |
//!
//! ```text
//! enter ── nothing is limited ──────────────────────────────> place ──> send
//!    └─── queue (at most 256) ── first in it ──> place ──> wait for the schedule, the pause, the allowance ──> send
//! ```
//!
//! 1. Calls queue in the order in which they came. Only the first one talks to the schedule, so that a pause that is
//!    learned meanwhile meets all others before they have taken anything.
//! 2. A call that can't be sent in time for an answer before its deadline is refused at once, with code `limit` and the
//!    seconds to wait: when it comes, when a pause is learned, or when it is the first and the shared schedule says so.
//!    With several hosts the length of the others' queues is not known, so there it may also happen at the last moment.
//!    Nobody waits past it.
//! 3. It takes one of the connection's places first, and then its turn in the schedule, so that nothing stands between
//!    the turn and the request.
//! 4. A call that needs more requests than one (a login before it, a session renewed) takes a turn for each, without
//!    queueing again: it holds a place.

mod lane;
pub(crate) mod learn;
mod rate;
mod shared;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use metrics::{Label, counter, histogram};
use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

pub use self::rate::{Rate, RateConfig};
pub use self::shared::{SharedBudget, SharedBudgetError, Slot};

use self::lane::Lane;
use self::learn::Lesson;
pub(crate) use self::rate::Schedule;
use crate::error::{ErrorCode, SendError};

/// Calls that may queue for an endpoint. At four a second and ten seconds' patience forty can be served; the rest is
/// for rates beyond that. Each holds its request in memory.
const QUEUE: u64 = 256;

/// Of a call's time, the share that is kept for the request itself: nobody queues until the moment in which the time is over.
const KEPT_SHARE: u32 = 4;

/// And no more than this: a system that is up answers within it.
const KEPT: Duration = Duration::from_secs(1);

/// How often a host without a rate asks whether another one has learned of a pause.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// How long the shared budget may take to answer before the host goes by its own.
const SHARED_PATIENCE: Duration = Duration::from_millis(500);

/// After a pause, calls that waited for it go one by one with so much between them, where no rate says more: all at once
/// they would be the next reason for a pause.
const AFTER_A_PAUSE: Duration = Duration::from_millis(50);

/// An endpoint's budget.
pub(crate) struct Budget {
    tenant: String,
    connection: String,
    endpoint: String,
    /// `TENANT/CONNECTION`
    key: String,
    schedule: Arc<Schedule>,
    shared: Option<Arc<dyn SharedBudget>>,
    queue: Semaphore,
    /// Calls that came to the queue, and that left it.
    came: AtomicU64,
    left: AtomicU64,
    lane: Mutex<Lane>,
    looked: Mutex<Option<Instant>>,
    /// A pause was learned.
    changed: Notify,
}

/// Leave for one request of the endpoint. Dropped when its answer is there.
pub(crate) struct Turn<'a> {
    budget: &'a Budget,
    number: u64,
}

/// Leave for a call: one of the connection's places, and the turn of its first request.
pub(crate) struct Entered<'a> {
    _place: SemaphorePermit<'a>,
    pub(crate) turn: Turn<'a>,
    pub(crate) waited: Duration,
}

/// It can't be sent in time.
struct TooLate {
    at: Instant,
}

impl Turn<'_> {
    /// Counts the requests of the endpoint.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.budget.lane.lock().end();
    }
}

/// Counts a call out of the queue, whatever becomes of it.
struct Queued<'a>(&'a Budget);

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.0.left.fetch_add(1, Ordering::Relaxed);
    }
}

impl Budget {
    pub(crate) fn new(
        tenant: &str,
        connection: &str,
        endpoint: &str,
        schedule: Arc<Schedule>,
        shared: Option<Arc<dyn SharedBudget>>,
    ) -> Self {
        Self {
            tenant: tenant.to_owned(),
            connection: connection.to_owned(),
            endpoint: endpoint.to_owned(),
            key: format!("{tenant}/{connection}"),
            schedule,
            shared,
            queue: Semaphore::new(1),
            came: AtomicU64::new(0),
            left: AtomicU64::new(0),
            lane: Mutex::default(),
            looked: Mutex::new(None),
            changed: Notify::new(),
        }
    }

    /// Wait for a place and a turn; `time` is what the whole call has until `deadline`.
    pub(crate) async fn enter<'a>(
        &'a self,
        places: &'a Semaphore,
        deadline: Instant,
        time: Duration,
    ) -> Result<Entered<'a>, SendError> {
        let began = Instant::now();
        let latest = latest(deadline, time);
        self.look(began).await;
        let entered = if self.is_free(began) {
            let place = place(places, latest).await?;
            let turn = self.begin();
            Entered { _place: place, turn, waited: began.elapsed() }
        } else {
            self.in_turn(places, latest).await?
        };
        if !entered.waited.is_zero() {
            histogram!("confab_egress_budget_wait_seconds", self.labels()).record(entered.waited.as_secs_f64());
        }
        Ok(entered)
    }

    /// Wait for the turn of a further request of a call that holds a place.
    pub(crate) async fn again(&self, latest: Instant) -> Result<Turn<'_>, SendError> {
        self.take(latest).await.map_err(|late| self.refuse(late.at))
    }

    /// What an answer says. `number` is that of its request's turn, which is not over yet.
    pub(crate) async fn learn(&self, number: u64, status: u16, lesson: Lesson) {
        let now = Instant::now();
        let pause = {
            let mut lane = self.lane.lock();
            if let Some(allowance) = lesson.allowance {
                lane.allow(number, now, allowance);
            }
            if status < 400 {
                lane.was_taken();
            }
            match lesson.pause {
                Some(pause) => Some(pause),
                // Of many that were under way together, the first one's guess is enough.
                None if lesson.refused_without_a_time && lane.blocked(now).is_none() => Some((lane.guess(), "refused")),
                None => None,
            }
        };
        let Some((pause, source)) = pause else { return };
        if !self.lane.lock().pause(now + pause) {
            return;
        }
        self.changed.notify_waiters();
        let mut labels = self.labels();
        labels.push(Label::from_static_parts("source", source));
        counter!("confab_egress_pauses_total", labels).increment(1);
        let (tenant, connection, endpoint) = (&self.tenant, &self.connection, &self.endpoint);
        let pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
        tracing::info!(tenant, connection, endpoint, status, source, pause_ms, "the system asked to be left alone");
        if let Some(shared) = &self.shared {
            self.told(shared.pause(&self.key, endpoint, pause)).await;
        }
    }

    /// Waits until other hosts are told of a pause, or of its end; that they can't be is said in the log.
    async fn told(&self, telling: impl Future<Output = Result<(), SharedBudgetError>>) {
        let (tenant, connection) = (&self.tenant, &self.connection);
        match timeout(SHARED_PATIENCE, telling).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(tenant, connection, %error, "other hosts can't be told of a pause"),
            Err(_) => tracing::warn!(tenant, connection, "other hosts can't be told of a pause in time"),
        }
    }

    /// How long the system still wants to be left alone; none when it doesn't.
    pub(crate) fn paused(&self) -> Option<Duration> {
        let now = Instant::now();
        self.lane.lock().blocked(now).map(|until| until.saturating_duration_since(now))
    }

    /// Forget what the system asked for, because somebody knows better. The schedule stays.
    pub(crate) async fn resume(&self) {
        let was_paused = self.paused().is_some();
        self.lane.lock().resume();
        self.changed.notify_waiters();
        let (tenant, connection, endpoint) = (&self.tenant, &self.connection, &self.endpoint);
        if was_paused {
            tracing::info!(tenant, connection, endpoint, "a pause that the system asked for was ended by hand");
        }
        if let Some(shared) = &self.shared {
            self.told(shared.resume(&self.key, endpoint)).await;
        }
    }

    /// When a request that comes now could be sent, if there were no other.
    pub(crate) fn next(&self) -> Instant {
        self.estimate(0)
    }

    /// Nothing is limited and nobody waits.
    fn is_free(&self, now: Instant) -> bool {
        let waiting = self.came.load(Ordering::Relaxed) != self.left.load(Ordering::Relaxed);
        self.schedule.rates().is_empty() && !waiting && self.lane.lock().is_free(now)
    }

    async fn in_turn<'a>(&'a self, places: &'a Semaphore, latest: Instant) -> Result<Entered<'a>, SendError> {
        let began = Instant::now();
        let number = self.came.fetch_add(1, Ordering::Relaxed);
        let queued = Queued(self);
        let ahead = || number.saturating_sub(self.left.load(Ordering::Relaxed));
        if ahead() >= QUEUE {
            return Err(self.refuse(self.estimate(ahead())));
        }
        let first = self.queue.acquire();
        tokio::pin!(first);
        let first = loop {
            let changed = self.changed.notified();
            let at = self.estimate(ahead());
            if at > latest {
                return Err(self.refuse(at));
            }
            tokio::select! {
                biased;
                first = &mut first => break first,
                () = changed => {}
                () = sleep_until(latest) => return Err(self.refuse(self.estimate(ahead()))),
            }
        };
        let place = place(places, latest).await?;
        let was_blocked = self.lane.lock().blocked(Instant::now()).is_some();
        let turn = self.take(latest).await.map_err(|late| self.refuse(late.at))?;
        drop(queued);
        let others_wait = self.came.load(Ordering::Relaxed) != self.left.load(Ordering::Relaxed);
        if was_blocked && others_wait && self.schedule.rates().is_empty() {
            self.lane.lock().hold(Instant::now() + AFTER_A_PAUSE);
        }
        drop(first);
        Ok(Entered { _place: place, turn, waited: began.elapsed() })
    }

    /// Waits until a request may be sent, and takes its turn.
    async fn take(&self, latest: Instant) -> Result<Turn<'_>, TooLate> {
        loop {
            let now = Instant::now();
            let blocked = self.lane.lock().blocked(now);
            if let Some(until) = blocked {
                if until > latest {
                    return Err(TooLate { at: until });
                }
                sleep_until(until).await;
                continue;
            }
            let at = self.reserve(now, latest).await.map_err(|at| TooLate { at })?;
            if at > Instant::now() {
                let changed = self.changed.notified();
                tokio::select! {
                    () = sleep_until(at) => {}
                    // The turn is lost: it lies in a time in which nobody sends.
                    () = changed => continue,
                }
            }
            if self.lane.lock().blocked(Instant::now()).is_none() {
                return Ok(self.begin());
            }
        }
    }

    fn begin(&self) -> Turn<'_> {
        Turn { budget: self, number: self.lane.lock().begin() }
    }

    /// A turn in the schedule, or when there would be one.
    async fn reserve(&self, now: Instant, latest: Instant) -> Result<Instant, Instant> {
        if self.schedule.rates().is_empty() {
            return Ok(now);
        }
        match self.ask(now, latest.saturating_duration_since(now)).await {
            Some(slot) => {
                let at = now + slot.wait;
                if !slot.taken {
                    return Err(at);
                }
                self.schedule.follow(now, at);
                Ok(at)
            }
            None => self.schedule.reserve(now, latest),
        }
    }

    /// What the shared budget says; none where there is none, or where it does not answer.
    async fn ask(&self, now: Instant, within: Duration) -> Option<Slot> {
        let shared = self.shared.as_ref()?;
        let asked = shared.reserve(&self.key, &self.endpoint, self.schedule.rates(), within);
        let (tenant, connection) = (&self.tenant, &self.connection);
        match timeout(SHARED_PATIENCE, asked).await {
            Ok(Ok(slot)) => {
                *self.looked.lock() = Some(now);
                if !slot.paused.is_zero() && self.lane.lock().pause(now + slot.paused) {
                    self.changed.notify_waiters();
                }
                return Some(slot);
            }
            Ok(Err(error)) => {
                tracing::warn!(tenant, connection, %error, "the shared rate can't be asked; this host keeps its own");
            }
            Err(_) => {
                tracing::warn!(tenant, connection, "the shared rate is not answered; this host keeps its own");
            }
        }
        None
    }

    /// Where no rate makes each request ask, look now and then whether another host has learned of a pause.
    async fn look(&self, now: Instant) {
        if self.shared.is_none() || !self.schedule.rates().is_empty() {
            return;
        }
        {
            let mut looked = self.looked.lock();
            if looked.is_some_and(|at| now.saturating_duration_since(at) < LOOK_AGAIN) {
                return;
            }
            // Now, so that those who come meanwhile don't ask as well; and of one that fails there is one line a second.
            *looked = Some(now);
        }
        self.ask(now, Duration::ZERO).await;
    }

    /// When a call with so many before it can be sent, as far as this host knows: at the earliest.
    fn estimate(&self, ahead: u64) -> Instant {
        let now = Instant::now();
        let from = self.lane.lock().blocked(now).unwrap_or(now);
        self.schedule.estimate(from, u32::try_from(ahead).unwrap_or(u32::MAX))
    }

    fn refuse(&self, at: Instant) -> SendError {
        counter!("confab_egress_budget_refused_total", self.labels()).increment(1);
        let wait = at.saturating_duration_since(Instant::now());
        let seconds = u64::try_from(wait.as_millis().div_ceil(1_000).max(1)).unwrap_or(u64::MAX);
        let paused = self.lane.lock().blocked(Instant::now()).is_some();
        let why = if paused { "the system asked for a pause" } else { "the connection's rate is used up" };
        let message = format!("{why}, and this call's time is too short to wait; try again in {seconds} s");
        SendError::new(ErrorCode::Limit, message).after(seconds)
    }

    fn labels(&self) -> Vec<Label> {
        vec![
            Label::new("tenant", self.tenant.clone()),
            Label::new("connection", self.connection.clone()),
            Label::new("endpoint", self.endpoint.clone()),
        ]
    }
}

/// When a call has to be on its way, so that there is time for an answer.
pub(crate) fn latest(deadline: Instant, time: Duration) -> Instant {
    let kept = (time / KEPT_SHARE).min(KEPT);
    // A time that is shorter than the clock is old; only then is there nothing to subtract from.
    deadline.checked_sub(kept).unwrap_or(deadline)
}

/// One of the connection's places.
async fn place(places: &Semaphore, until: Instant) -> Result<SemaphorePermit<'_>, SendError> {
    match timeout_at(until, places.acquire()).await {
        Ok(Ok(place)) => Ok(place),
        // The semaphore is never closed; should it be, no place becomes free either.
        Ok(Err(_)) | Err(_) => {
            let message = "too many calls of this connection are under way, and no place became free in time";
            Err(SendError::new(ErrorCode::Limit, message).after(1))
        }
    }
}
