//! Partitions: the parts of the store that one script may write in one step.
//!
//! A cluster gives each key a slot by its hash tag, and a script may only touch keys of one slot. So all keys of a
//! partition have the partition's tag, and each partition has one slot. With a tag for each conversation instead, its
//! lanes would lie in as many slots as there are conversations, and nobody could look for due ones.
//!
//! The slots are spread evenly: partition `i` of 64 gets a tag whose slot is in the `i`-th of 64 equal bands, because
//! a cluster of N masters gives each of them one stretch of slots. So up to 64 masters share the load.

use crate::lanes::Partition;

/// How many; a number that stays for good, because what is stored is found by it.
pub(super) const PARTITIONS: u16 = 64;

/// Slots of a Redis cluster.
const SLOTS: u16 = 16_384;

/// The prefix of all keys of a partition, for each partition.
#[derive(Debug)]
pub(super) struct Prefixes(Vec<String>);

impl Default for Prefixes {
    fn default() -> Self {
        Self((0..PARTITIONS).map(|number| format!("confab:{{{}}}:", tag(number))).collect())
    }
}

impl Prefixes {
    pub(super) fn of(&self, partition: Partition) -> &str {
        // Of a partition that another backend made there is none; its keys would be nobody's.
        self.0.get(usize::from(partition.0)).map_or("confab:{none}:", String::as_str)
    }
}

pub(super) fn partition_of(text: &str) -> Partition {
    Partition(crc16(text.as_bytes()) % PARTITIONS)
}

/// `pNN-x` with the first `x` that brings it into its band.
fn tag(number: u16) -> String {
    let candidates = (0_u32..).map(|x| format!("p{number:02}-{x}"));
    let band = SLOTS / PARTITIONS;
    let mut fitting = candidates.filter(|tag| crc16(tag.as_bytes()) % SLOTS / band == number);
    fitting.next().unwrap_or_default()
}

/// CRC-16/XMODEM, which the cluster's specification gives the slots by.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(
            crc ^ (u16::from(*byte) << 8),
            |crc, _bit| {
                if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 }
            },
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_partition_has_a_slot_in_its_own_band() {
        // The value that the cluster specification gives as a check.
        assert_eq!(crc16(b"123456789"), 0x31C3);
        for number in 0..PARTITIONS {
            assert_eq!(crc16(tag(number).as_bytes()) % SLOTS / 256, number, "{}", tag(number));
        }
    }

    #[test]
    fn what_is_stored_is_found_again_by_any_build() {
        // These must never change: keys are made of them.
        assert_eq!(partition_of("shop/helper/c1").number(), 48);
        assert_eq!(Prefixes::default().of(Partition(0)), "confab:{p00-322}:");
    }

    #[test]
    fn names_spread_over_the_partitions() {
        let mut counts = [0_u32; PARTITIONS as usize];
        for number in 0..6_400 {
            let partition = partition_of(&format!("tenant/bot/conversation-{number}"));
            counts[usize::from(partition.number())] += 1;
        }
        assert!(counts.iter().all(|count| (50..200).contains(count)), "{counts:?}");
    }
}
