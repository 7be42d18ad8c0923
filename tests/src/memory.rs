//! The memory of every guest of a running server, as it is at one moment.
//!
//! The server keeps the memories of all instances in one reservation of address space, hundreds of gigabytes large, which nothing
//! else in the process comes near. The process is stopped, what is readable in there is read through `/proc`, and it goes on.

use anyhow::{Context, Result, ensure};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::process::Command;

/// The pool is larger than this, everything else smaller.
const POOL_BYTES: u64 = 128 << 30;
/// Bytes that are read at a time.
const PART: usize = 1 << 20;

/// A stopped process; it goes on when this is dropped.
struct Stopped(u32);

impl Stopped {
    fn new(pid: u32) -> Result<Stopped> {
        signal(pid, "-STOP")?;
        Ok(Stopped(pid))
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        let _ = signal(self.0, "-CONT");
    }
}

fn signal(pid: u32, name: &str) -> Result<()> {
    let status = Command::new("kill").args([name, &pid.to_string()]).status()?;
    ensure!(status.success(), "kill {name} {pid} failed");
    Ok(())
}

/// How often each of these words stands in the memory of guests, and how many bytes that has which aren't zero.
///
/// # Errors
/// When the process can't be read, or has no pool.
pub fn count_in_guests(pid: u32, words: &[&str]) -> Result<(Vec<usize>, u64)> {
    let _stopped = Stopped::new(pid)?;
    let regions = guest_regions(pid)?;
    ensure!(!regions.is_empty(), "the process has no pool of memories");
    let memory = File::open(format!("/proc/{pid}/mem")).context("reading the server's memory")?;
    let longest = words.iter().map(|word| word.len()).max().unwrap_or(1);
    let (mut counts, mut used) = (vec![0; words.len()], 0_u64);
    let mut buffer = vec![0_u8; PART + longest];
    for (start, end) in regions {
        let mut at = start;
        while at < end {
            let wanted = buffer.len().min(usize::try_from(end - at)?);
            let Some(part) = buffer.get_mut(..wanted) else { break };
            let Ok(read) = memory.read_at(part, at) else { break };
            let Some(part) = part.get(..read) else { break };
            if part.iter().any(|byte| *byte != 0) {
                used += part.iter().take(PART).filter(|byte| **byte != 0).count() as u64;
                for (count, word) in counts.iter_mut().zip(words) {
                    *count += occurrences(part, word.as_bytes());
                }
            }
            at += PART as u64;
        }
    }
    Ok((counts, used))
}

fn occurrences(bytes: &[u8], word: &[u8]) -> usize {
    bytes.windows(word.len()).take(PART).filter(|window| *window == word).count()
}

/// Start and end of mappings that touch, and the readable ones of them.
type Piece = (u64, u64, Vec<(u64, u64)>);

/// The readable parts of what is reserved in one piece larger than [`POOL_BYTES`].
fn guest_regions(pid: u32) -> Result<Vec<(u64, u64)>> {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps"))?;
    let mut pieces: Vec<Piece> = Vec::new();
    for line in maps.lines() {
        let mut words = line.split_whitespace();
        let (range, rights) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let (start, end) = range.split_once('-').context("maps")?;
        let (start, end) = (u64::from_str_radix(start, 16)?, u64::from_str_radix(end, 16)?);
        let readable = rights.starts_with('r').then_some((start, end));
        match pieces.last_mut() {
            Some((_, last, parts)) if *last == start => {
                *last = end;
                parts.extend(readable);
            }
            _ => pieces.push((start, end, readable.into_iter().collect())),
        }
    }
    let pools = pieces.into_iter().filter(|(start, end, _)| end - start > POOL_BYTES);
    Ok(pools.flat_map(|(_, _, parts)| parts).collect())
}
