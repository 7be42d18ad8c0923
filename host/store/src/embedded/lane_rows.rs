//! Lanes in the file: what a push, a settling and a drop change, and what is read of them.
//!
//! A lane's row and its row among the due ones come with its first entry and go with its last. All entries are numbered
//! from one sequence, so no number of a lane is used twice, even if the lane was gone meanwhile. Taking a lane writes
//! nothing: the row among the due ones stays where it is, and `held_lanes.rs` knows who works at it.

use std::time::Duration;

use bytes::Bytes;
use redb::{ReadTransaction, ReadableTable};

use super::held_lanes::HeldLanes;
use super::keys::{self, EXPIRY, Expiring, LANE_ENTRIES, LANE_SOURCES, LANES, LANES_DUE, LaneRow, META, ONCE_NAMES};
use super::kv::scan_rows;
use super::writer::{Batch, Failure};
use crate::clock::millis;
use crate::error::StoreError;
use crate::lanes::{Again, LaneState, Once, Partition, Push};

/// The number of the newest entry of all lanes.
const LAST_ROW: &str = "last lane entry";

/// The only one.
pub(super) const PARTITION: Partition = Partition(0);

/// A lane's row, without borrowing from its table.
struct Lane {
    born: u64,
    due: u64,
    length: u64,
    note: Option<Bytes>,
}

impl Lane {
    fn read(batch: &Batch<'_>, name: &str) -> Result<Option<Self>, Failure> {
        match batch.txn.open_table(LANES)?.get(name.as_bytes())? {
            Some(row) => {
                let row = LaneRow::parse(row.value())?;
                let note = row.note.map(Bytes::copy_from_slice);
                Ok(Some(Self { born: row.born, due: row.due, length: row.length, note }))
            }
            None => Ok(None),
        }
    }

    fn write(&self, batch: &Batch<'_>, name: &str) -> Result<(), Failure> {
        let row = LaneRow { born: self.born, due: self.due, length: self.length, note: self.note.as_deref() };
        batch.txn.open_table(LANES)?.insert(name.as_bytes(), row.to_bytes().as_slice())?;
        Ok(())
    }

    fn list_as_due(&self, batch: &Batch<'_>, name: &str) -> Result<(), Failure> {
        batch.txn.open_table(LANES_DUE)?.insert(keys::at(self.due, name.as_bytes()).as_slice(), self.born)?;
        Ok(())
    }

    fn unlist(&self, batch: &Batch<'_>, name: &str) -> Result<(), Failure> {
        batch.txn.open_table(LANES_DUE)?.remove(keys::at(self.due, name.as_bytes()).as_slice())?;
        Ok(())
    }

    fn move_to(&mut self, batch: &Batch<'_>, name: &str, due: u64) -> Result<(), Failure> {
        self.unlist(batch, name)?;
        self.due = due;
        self.list_as_due(batch, name)?;
        self.write(batch, name)
    }
}

fn later(batch: &Batch<'_>, delay: Duration) -> u64 {
    if delay.is_zero() { batch.now } else { batch.now.saturating_add(millis(delay)) }
}

/// Appends the entries; `false` for each that was known already.
pub(super) fn push(batch: &mut Batch<'_>, pushes: &[Push]) -> Result<Vec<bool>, Failure> {
    pushes.iter().map(|entry| push_one(batch, entry)).collect()
}

fn push_one(batch: &mut Batch<'_>, push: &Push) -> Result<bool, Failure> {
    if !remember(batch, push)? {
        return Ok(false);
    }
    batch.changes();
    let mut meta = batch.txn.open_table(META)?;
    let number = meta.get(LAST_ROW)?.map_or(0, |row| row.value()) + 1;
    meta.insert(LAST_ROW, number)?;
    let lane = match Lane::read(batch, &push.lane)? {
        Some(lane) => Lane { length: lane.length + 1, ..lane },
        None => {
            let lane = Lane { born: number, due: later(batch, push.due_in), length: 1, note: None };
            lane.list_as_due(batch, &push.lane)?;
            lane
        }
    };
    lane.write(batch, &push.lane)?;
    let key = entry_key(&push.lane, number);
    batch.txn.open_table(LANE_ENTRIES)?.insert(key.as_slice(), push.body.as_ref())?;
    Ok(true)
}

/// Remembers that this was pushed; `false` if it was known.
fn remember(batch: &mut Batch<'_>, push: &Push) -> Result<bool, Failure> {
    match &push.once {
        Once::No => Ok(true),
        Once::Named { name, keep } => {
            let mut names = batch.txn.open_table(ONCE_NAMES)?;
            if names.get(name.as_bytes())?.is_some_and(|expires_at| expires_at.value() > batch.now) {
                return Ok(false);
            }
            batch.changes();
            let expires_at = batch.now.saturating_add(millis(*keep));
            names.insert(name.as_bytes(), expires_at)?;
            let expiry = keys::expiry(expires_at, Expiring::OnceName, name.as_bytes());
            batch.txn.open_table(EXPIRY)?.insert(expiry.as_slice(), [].as_slice())?;
            Ok(true)
        }
        Once::Numbered { source, number } => {
            let key = keys::child(&keys::scope(&push.lane), source.as_bytes());
            let mut sources = batch.txn.open_table(LANE_SOURCES)?;
            if sources.get(key.as_slice())?.is_some_and(|last| last.value() >= *number) {
                return Ok(false);
            }
            batch.changes();
            sources.insert(key.as_slice(), *number)?;
            Ok(true)
        }
    }
}

/// Leaves life `born` of a lane.
pub(super) fn settle(
    batch: &mut Batch<'_>,
    name: &str,
    born: u64,
    through: u64,
    again: Again,
    note: Option<Bytes>,
) -> Result<(), Failure> {
    let lane = Lane::read(batch, name)?.filter(|lane| lane.born == born);
    let mut lane = lane.ok_or(Failure::Refused(StoreError::LeaseLost))?;
    batch.changes();
    let mut done = 0;
    if through > 0 {
        let first = keys::scope(name);
        let last = entry_key(name, through);
        let mut entries = batch.txn.open_table(LANE_ENTRIES)?;
        entries.retain_in::<&[u8], _>(first.as_slice()..=last.as_slice(), |_, _| {
            done += 1;
            false
        })?;
    }
    lane.length = lane.length.saturating_sub(done);
    if lane.length == 0 {
        lane.unlist(batch, name)?;
        batch.txn.open_table(LANES)?.remove(name.as_bytes())?;
        return Ok(());
    }
    lane.note = note;
    let due = match again {
        Again::Now => batch.now,
        Again::In(delay) => later(batch, delay),
    };
    lane.move_to(batch, name, due)
}

/// Removes a lane, also from who holds it; `false` if there was none.
pub(super) fn drop_lane(batch: &mut Batch<'_>, held: &HeldLanes, name: &str) -> Result<bool, Failure> {
    let Some(lane) = Lane::read(batch, name)? else {
        return Ok(false);
    };
    batch.changes();
    lane.unlist(batch, name)?;
    batch.txn.open_table(LANES)?.remove(name.as_bytes())?;
    let (first, last) = (keys::scope(name), entry_key(name, u64::MAX));
    let mut entries = batch.txn.open_table(LANE_ENTRIES)?;
    entries.retain_in::<&[u8], _>(first.as_slice()..=last.as_slice(), |_, _| false)?;
    held.revoke(name, lane.born);
    Ok(true)
}

/// Makes a lane due now; `false` if there is none.
pub(super) fn hasten(batch: &mut Batch<'_>, name: &str) -> Result<bool, Failure> {
    let Some(mut lane) = Lane::read(batch, name)? else {
        return Ok(false);
    };
    if lane.due > batch.now {
        batch.changes();
        lane.move_to(batch, name, batch.now)?;
    }
    Ok(true)
}

fn entry_key(lane: &str, number: u64) -> Vec<u8> {
    keys::child(&keys::scope(lane), &number.to_be_bytes())
}

/// Goes through the lanes in the order in which they are due, until `stop` says so: when, which, and which life of it.
pub(super) fn by_due(
    txn: &ReadTransaction,
    until: u64,
    mut stop: impl FnMut(u64, &str, u64) -> bool,
) -> Result<(), redb::Error> {
    let end = keys::at(until.saturating_add(1), &[]);
    for row in txn.open_table(LANES_DUE)?.range::<&[u8]>(..end.as_slice())? {
        let (key, born) = row?;
        let (due, lane) = keys::parse_at(key.value())?;
        let lane = std::str::from_utf8(lane)
            .map_err(|_| redb::Error::Corrupted("the name of a lane is not UTF-8".to_owned()))?;
        if stop(due, lane, born.value()) {
            break;
        }
    }
    Ok(())
}

pub(super) fn note(txn: &ReadTransaction, lane: &str) -> Result<Option<Bytes>, redb::Error> {
    match txn.open_table(LANES)?.get(lane.as_bytes())? {
        Some(row) => Ok(LaneRow::parse(row.value())?.note.map(Bytes::copy_from_slice)),
        None => Ok(None),
    }
}

pub(super) fn entries(
    txn: &ReadTransaction,
    lane: &str,
    after: u64,
    limit: usize,
) -> Result<Vec<(u64, Bytes)>, redb::Error> {
    let Some(first) = after.checked_add(1) else {
        return Ok(Vec::new());
    };
    let (first, last) = (entry_key(lane, first), entry_key(lane, u64::MAX));
    let mut found = Vec::new();
    for row in txn.open_table(LANE_ENTRIES)?.range::<&[u8]>(first.as_slice()..=last.as_slice())?.take(limit) {
        let (key, body) = row?;
        found.push((keys::last_number(key.value())?, Bytes::copy_from_slice(body.value())));
    }
    Ok(found)
}

pub(super) fn list(txn: &ReadTransaction, now: u64, prefix: &str, limit: usize) -> Result<Vec<LaneState>, redb::Error> {
    let state = |row: &[u8]| {
        let row = LaneRow::parse(row)?;
        let due_in = Duration::from_millis(row.due.saturating_sub(now));
        Ok((row.length, due_in, row.note.map(Bytes::copy_from_slice)))
    };
    let found = scan_rows(txn, LANES, &[], prefix, None, limit, state)?;
    let found = found.into_iter().map(|(lane, state)| {
        state.map(|(length, due_in, note)| LaneState { lane, partition: PARTITION, length, due_in, note })
    });
    found.collect()
}
