//! Two lanes of computing: what takes long lets what is short go first.
//!
//! The fast lane are the server's own threads. A call that has computed for [`SLOW_AFTER`] moves to the
//! slow lane, and so does, from its beginning, each turn of a tenant that uses far more than others
//! ([`crate::tenants`]). The slow lane's threads have the scheduling class for idle time: they run whenever a core has nothing
//! else to do, and make room at once when it has. A visitor's turn of half a millisecond so never waits behind
//! strangers' loops, and an idle machine still gives all of itself to a long computation.
//!
//! Also here: CPU time. Each poll of a call is measured with the thread's own clock, less what calls inside of it used.

use crate::tenants::Tenant;
use futures::future::BoxFuture;
use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::runtime::{Handle, Runtime};
use tokio::task::JoinHandle;

thread_local! {
    /// Set by the epoch callback: the call that is being polled has computed for long.
    static TICKED: Cell<bool> = const { Cell::new(false) };
    /// This thread's clock when the measured future that is being polled had used nothing yet, in nanoseconds.
    static BEGAN: Cell<u64> = const { Cell::new(0) };
    /// CPU time of the measured futures polled inside of the one that is being polled, in nanoseconds.
    static INNER: Cell<u64> = const { Cell::new(0) };
    /// Whether this is a thread of the slow lane.
    static SLOW: Cell<bool> = const { Cell::new(false) };
}

/// CPU time after which a call moves. An ordinary turn takes 0.1 to 0.5 ms.
const SLOW_AFTER: Duration = Duration::from_millis(2);

/// What a nanosecond of CPU time is worth on a tenant's account of fuel: guests burn about so much.
pub(crate) const FUEL_A_NANOSECOND: u64 = 2;

/// Called when the epoch clock ticked while a guest was computing, or waiting: whether it has computed for long and should
/// let go of the thread. Only then: to move a short call costs more than to finish it.
pub(crate) fn ticked() -> bool {
    let used = thread_time().saturating_sub(BEGAN.get()).saturating_sub(INNER.get());
    let long = used > SLOW_AFTER.as_nanos() as u64;
    if long {
        TICKED.set(true);
    }
    long
}

/// The slow lane.
#[derive(Debug)]
pub(crate) struct Lanes {
    runtime: Option<Runtime>,
}

/// Makes the calling thread, and those that it starts, run only when nobody else wants to.
///
/// # Errors
/// When the system doesn't allow it; the text says what it said.
pub(crate) fn only_idle_time() -> Result<(), String> {
    use thread_priority::unix::{
        NormalThreadSchedulePolicy, ThreadSchedulePolicy, set_thread_priority_and_policy, thread_native_id,
    };
    set_thread_priority_and_policy(
        thread_native_id(),
        thread_priority::ThreadPriority::Min,
        ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle),
    )
    .map_err(|e| format!("{e:?}"))
}

impl Lanes {
    pub(crate) fn new() -> std::io::Result<Lanes> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .thread_name("confab-slow")
            .on_thread_start(|| {
                SLOW.set(true);
                if let Err(e) = only_idle_time() {
                    tracing::warn!("the slow lane can't give way to other threads: {e}");
                }
            })
            .enable_all()
            .build()?;
        Ok(Lanes { runtime: Some(runtime) })
    }

    /// Runs a future in the slow lane. What it spawns or waits for still belongs to the caller's runtime.
    pub(crate) fn slowly<T: Send + 'static>(&self, future: Moving<T>) -> Option<JoinHandle<T>> {
        let future = AtHome { home: Handle::try_current().ok()?, future };
        Some(self.runtime.as_ref()?.spawn(future))
    }
}

impl Drop for Lanes {
    fn drop(&mut self) {
        // May happen on an async thread, where waiting for threads isn't allowed.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// A future whose timers, sockets and tasks belong to another runtime than the one that polls it: a database connection
/// that a slow turn happens to renew must not stay in the slow lane.
struct AtHome<T> {
    home: Handle,
    future: Moving<T>,
}

impl<T> Future for AtHome<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let home = self.home.clone();
        let _home = home.enter();
        self.future.as_mut().poll(cx)
    }
}

/// A boxed future that can move between threads. Boxed once, where it is made: an unboxed one is as large as all it may
/// ever hold, and would be copied whole each time it is handed on.
pub(crate) type Moving<T> = BoxFuture<'static, T>;

/// A call that begins in the fast lane and moves to the slow one when the clock ticks.
pub(crate) enum Laned<T> {
    Fast(Arc<Lanes>, Option<Moving<T>>),
    Slow(JoinHandle<T>),
}

impl<T> Laned<T> {
    pub(crate) fn new(lanes: Arc<Lanes>, future: Moving<T>) -> Self {
        Laned::Fast(lanes, Some(future))
    }
}

impl<T: Send + 'static> Future for Laned<T> {
    /// None when the slow lane gave it up: the process is about to end.
    type Output = Option<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        loop {
            match &mut *self {
                Laned::Fast(lanes, future) => {
                    let Some(running) = future else { return Poll::Ready(None) };
                    if let Poll::Ready(value) = running.as_mut().poll(cx) {
                        TICKED.set(false);
                        *future = None;
                        return Poll::Ready(Some(value));
                    }
                    if !TICKED.replace(false) || SLOW.get() {
                        return Poll::Pending;
                    }
                    let Some(running) = future.take() else { return Poll::Ready(None) };
                    match lanes.slowly(running) {
                        Some(handle) => *self = Laned::Slow(handle),
                        None => return Poll::Ready(None),
                    }
                }
                Laned::Slow(handle) => return Pin::new(handle).poll(cx).map(Result::ok),
            }
        }
    }
}

impl<T> Drop for Laned<T> {
    /// A call that nobody waits for any more ends.
    fn drop(&mut self) {
        if let Laned::Slow(handle) = self {
            handle.abort();
        }
    }
}

pin_project_lite::pin_project! {
    /// A future whose CPU time is measured and counted for a tenant.
    pub(crate) struct Measured<F> {
        #[pin]
        future: F,
        tenant: Arc<Tenant>,
        nanoseconds: u64,
    }
}

impl<F: Future> Measured<F> {
    pub(crate) fn new(tenant: Arc<Tenant>, future: F) -> Self {
        Measured { future, tenant, nanoseconds: 0 }
    }
}

impl<F: Future> Future for Measured<F> {
    /// The value, and its CPU time in nanoseconds.
    type Output = (F::Output, u64);

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let outside = INNER.replace(0);
        let before = thread_time();
        let outer_began = BEGAN.replace(before.saturating_sub(*this.nanoseconds));
        let outcome = this.future.poll(cx);
        BEGAN.set(outer_began);
        let all = thread_time().saturating_sub(before);
        let own = all.saturating_sub(INNER.get());
        INNER.set(outside + all);
        *this.nanoseconds += own;
        this.tenant.used_cpu(own);
        // Charged here, so that a call that is cancelled has paid as well.
        this.tenant.used_fuel(own.saturating_mul(FUEL_A_NANOSECOND));
        outcome.map(|value| (value, *this.nanoseconds))
    }
}

/// CPU time of this thread in nanoseconds.
fn thread_time() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    u64::try_from(Duration::try_from(time).unwrap_or_default().as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::TenantLimits;
    use crate::tenants::Tenants;

    /// Computes until the thread's clock says so.
    fn burn(ms: u64) {
        let until = thread_time() + ms * 1_000_000;
        while thread_time() < until {}
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_call_that_ticks_goes_on_in_the_slow_lane_and_one_that_does_not_stays() {
        let lanes = Arc::new(Lanes::new().unwrap());
        let quick: Moving<bool> = Box::pin(async {
            tokio::task::yield_now().await;
            SLOW.get()
        });
        assert_eq!(Laned::new(lanes.clone(), quick).await, Some(false));
        let tenants = Tenants::new(TenantLimits::default());
        let long = Measured::new(tenants.of("t"), async {
            assert!(!ticked());
            burn(5);
            assert!(ticked());
            tokio::task::yield_now().await;
            SLOW.get()
        });
        let long: Moving<_> = Box::pin(long);
        assert!(Laned::new(lanes.clone(), long).await.unwrap().0);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_a_slow_call_spawns_stays_at_home() {
        let lanes = Arc::new(Lanes::new().unwrap());
        let spawned = lanes.slowly(Box::pin(async { tokio::spawn(async { SLOW.get() }).await.unwrap() })).unwrap();
        assert!(!spawned.await.unwrap());
    }

    #[tokio::test]
    async fn a_call_inside_of_another_is_counted_once() {
        let tenants = Tenants::new(TenantLimits::default());
        let (outer, inner) = (tenants.of("outer"), tenants.of("inner"));
        let ((inner_ns,), outer_ns) = Measured::new(outer, async {
            burn(20);
            let ((), inner_ns) = Measured::new(inner, async { burn(60) }).await;
            (inner_ns,)
        })
        .await;
        assert!(inner_ns >= 60_000_000, "{inner_ns}");
        assert!((20_000_000..60_000_000).contains(&outer_ns), "{outer_ns}");
    }
}
