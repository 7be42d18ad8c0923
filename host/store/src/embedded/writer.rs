//! The writer thread: group commit.
//!
//! 1. A caller makes a job of its write and queues it.
//! 2. The thread takes the first job and all that queued up behind it, up to `LARGEST_BATCH`.
//! 3. It applies them in order to one redb transaction and commits that with one sync.
//! 4. Only then each job is settled: caches updated, turn given on, caller answered.
//!
//! While 3 syncs, the next batch gathers. Under load the cost of a sync is shared by many turns; alone, a turn waits for
//! nothing but its own sync. If anything fails in 3, the transaction is dropped whole and every job of the batch fails.
//!
//! The queue has no bound of its own: every job in it has a caller that waits, so it is as long as the number of
//! calls in flight, which the gateway limits.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use redb::{Durability, WriteTransaction};
use tokio::sync::oneshot;

use super::Shared;
use super::sweep::{self, SWEEP_ROWS};
use crate::error::StoreError;

/// Jobs of one transaction. It bounds how long the first of a batch waits for the last to be applied: some 10 ms.
const LARGEST_BATCH: usize = 1_024;

/// How often expired rows are looked for. Readers check expiry themselves, so this only frees space.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// After a sweep that found a full batch, the next one comes this soon, so that writers get in between.
const SWEEP_AGAIN: Duration = Duration::from_millis(200);

/// A transaction in the making.
pub(super) struct Batch<'txn> {
    pub(super) txn: &'txn WriteTransaction,
    /// Milliseconds since 1970, one time for the whole batch.
    pub(super) now: u64,
    wrote: bool,
}

impl Batch<'_> {
    /// Says that a job changes something. A batch in which none does is not synced.
    pub(super) fn changes(&mut self) {
        self.wrote = true;
    }
}

/// Why a job was not applied.
pub(super) enum Failure {
    /// The job itself can't be done; it has written nothing. The rest of the batch goes on.
    Refused(StoreError),
    /// The database failed, and the batch with it.
    Database(redb::Error),
}

impl<E: Into<redb::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Database(error.into())
    }
}

trait Job: Send {
    fn apply(&mut self, batch: &mut Batch<'_>) -> Result<(), redb::Error>;
    fn settle(self: Box<Self>, committed: Result<(), StoreError>);
}

/// A job of two closures: one makes the change, one learns how it ended.
struct Task<T, A, D> {
    apply: Option<A>,
    applied: Option<Result<T, StoreError>>,
    done: D,
}

impl<T, A, D> Job for Task<T, A, D>
where
    T: Send,
    A: FnOnce(&mut Batch<'_>) -> Result<T, Failure> + Send,
    D: FnOnce(Result<T, StoreError>) + Send,
{
    fn apply(&mut self, batch: &mut Batch<'_>) -> Result<(), redb::Error> {
        let Some(apply) = self.apply.take() else {
            return Ok(());
        };
        self.applied = Some(match apply(batch) {
            Ok(value) => Ok(value),
            Err(Failure::Refused(refusal)) => Err(refusal),
            Err(Failure::Database(error)) => return Err(error),
        });
        Ok(())
    }

    fn settle(self: Box<Self>, committed: Result<(), StoreError>) {
        let Self { applied, done, apply } = *self;
        drop(apply);
        match (applied, committed) {
            // A refusal holds whatever became of the batch: the job wrote nothing.
            (Some(Err(refusal)), _) => done(Err(refusal)),
            (Some(Ok(value)), Ok(())) => done(Ok(value)),
            (applied, Err(error)) => {
                drop(applied);
                done(Err(error));
            }
            (None, Ok(())) => done(Err(StoreError::unavailable("write", "the write was not applied"))),
        }
    }
}

/// The handle to the thread. Dropping it finishes what is queued and closes the file.
#[derive(Debug)]
pub(super) struct Writer {
    jobs: Mutex<Option<Sender<Box<dyn Job>>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    pub(super) fn start(shared: Arc<Shared>) -> Result<Self, StoreError> {
        let (jobs, queue) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("confab-store".to_owned())
            .spawn(move || run(&shared, &queue))
            .map_err(|error| StoreError::unavailable("start the store's writer thread", error))?;
        Ok(Self { jobs: Mutex::new(Some(jobs)), thread: Mutex::new(Some(thread)) })
    }

    /// Queues a write and waits for its end. The write happens even if the returned future is dropped.
    pub(super) async fn submit<T: Send + 'static>(
        &self,
        wanted: &'static str,
        apply: impl FnOnce(&mut Batch<'_>) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        // A caller that has gone away is not an error.
        self.queue(wanted, apply, move |ended| drop(answer.send(ended)))?;
        answered.await.map_err(|_| StoreError::unavailable(wanted, "the writer thread has stopped"))?
    }

    /// The same; `publish` makes the caller's answer of what was written. It runs on the writer thread, also if the
    /// caller has gone away.
    pub(super) async fn submit_as<T: Send + 'static, U: Send + 'static>(
        &self,
        wanted: &'static str,
        apply: impl FnOnce(&mut Batch<'_>) -> Result<T, Failure> + Send + 'static,
        publish: impl FnOnce(T) -> U + Send + 'static,
    ) -> Result<U, StoreError> {
        let (answer, answered) = oneshot::channel();
        self.queue(wanted, apply, move |ended| drop(answer.send(ended.map(publish))))?;
        answered.await.map_err(|_| StoreError::unavailable(wanted, "the writer thread has stopped"))?
    }

    /// The same; `then` runs whether it was written or not.
    pub(super) async fn submit_then<T: Send + 'static>(
        &self,
        wanted: &'static str,
        apply: impl FnOnce(&mut Batch<'_>) -> Result<T, Failure> + Send + 'static,
        then: impl FnOnce(&Result<T, StoreError>) + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        let done = move |ended| {
            then(&ended);
            drop(answer.send(ended));
        };
        self.queue(wanted, apply, done)?;
        answered.await.map_err(|_| StoreError::unavailable(wanted, "the writer thread has stopped"))?
    }

    /// Queues a write; `done` runs on the writer thread when it is on disk or has failed.
    pub(super) fn queue<T: Send + 'static>(
        &self,
        wanted: &'static str,
        apply: impl FnOnce(&mut Batch<'_>) -> Result<T, Failure> + Send + 'static,
        done: impl FnOnce(Result<T, StoreError>) + Send + 'static,
    ) -> Result<(), StoreError> {
        let job: Box<dyn Job> = Box::new(Task { apply: Some(apply), applied: None, done });
        let stopped = || StoreError::unavailable(wanted, "the store is closed");
        self.jobs.lock().as_ref().ok_or_else(stopped)?.send(job).map_err(|_| stopped())
    }

    /// Takes no more jobs; the thread ends when the queued ones are done. The handle is returned once.
    pub(super) fn stop(&self) -> Option<JoinHandle<()>> {
        drop(self.jobs.lock().take());
        self.thread.lock().take()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // Joined, so that the file's lock is free when the store is gone. It takes as long as the last sync.
        if let Some(thread) = self.stop()
            && thread.join().is_err()
        {
            tracing::error!("the store's writer thread had panicked");
        }
    }
}

fn run(shared: &Shared, queue: &Receiver<Box<dyn Job>>) {
    let mut next_sweep = Instant::now() + SWEEP_EVERY;
    loop {
        match queue.recv_timeout(next_sweep.saturating_duration_since(Instant::now())) {
            Ok(first) => {
                let mut jobs = vec![first];
                while jobs.len() < LARGEST_BATCH
                    && let Ok(next) = queue.try_recv()
                {
                    jobs.push(next);
                }
                write(shared, jobs);
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        if next_sweep <= Instant::now() {
            next_sweep = Instant::now() + if sweep_once(shared) < SWEEP_ROWS { SWEEP_EVERY } else { SWEEP_AGAIN };
        }
    }
    shared.file.close();
}

/// Commits a batch and settles its jobs.
fn write(shared: &Shared, mut jobs: Vec<Box<dyn Job>>) {
    let committed = commit(shared, &mut jobs);
    if let Err(error) = &committed {
        tracing::error!(%error, jobs = jobs.len(), "a batch of writes failed");
    }
    // A batch that wrote nothing says nothing.
    if !matches!(committed, Ok(false)) {
        shared.fails.store(committed.is_err(), Ordering::Relaxed);
    }
    let committed = committed.map(drop);
    for job in jobs {
        job.settle(committed.clone());
    }
}

/// `false` if there was nothing to write.
fn commit(shared: &Shared, jobs: &mut [Box<dyn Job>]) -> Result<bool, StoreError> {
    if shared.file.heal()? {
        shared.heads.clear();
        shared.journals.load(&shared.file)?;
    }
    shared.file.with("write to the database", |database| {
        let mut txn = database.begin_write()?;
        txn.set_durability(Durability::Immediate)?;
        let mut batch = Batch { txn: &txn, now: shared.clock.now(), wrote: false };
        for job in jobs {
            job.apply(&mut batch)?;
        }
        let wrote = batch.wrote;
        if wrote {
            txn.commit()?
        } else {
            txn.abort()?
        }
        Ok(wrote)
    })
}

/// Sweeps as a batch of its own and returns the number of rows looked at; 0 if it failed.
fn sweep_once(shared: &Shared) -> usize {
    let rows = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&rows);
    let done = move |ended: Result<usize, StoreError>| counted.store(ended.unwrap_or(0), Ordering::Relaxed);
    let journals = Arc::clone(&shared.journals);
    let apply = move |batch: &mut Batch<'_>| sweep::sweep(batch, &journals);
    let job = Task { apply: Some(apply), applied: None, done };
    write(shared, vec![Box::new(job)]);
    rows.load(Ordering::Relaxed)
}
