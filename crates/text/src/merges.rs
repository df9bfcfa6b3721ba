//! Which two neighbours become one, and in which order. Knows numbers, not what they stand for.

use std::hash::Hasher;

use crate::hash::Quick;
use crate::slots::Slots;

/// What two neighbours make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Merge {
    /// Of two possible merges the one of lower rank comes first.
    pub(crate) rank: u32,
    pub(crate) result: u32,
}

/// A merge and the two neighbours it is for.
#[derive(Clone, Copy, Debug)]
struct Entry {
    pair: [u32; 2],
    merge: Merge,
}

/// Merges found by their two neighbours.
#[derive(Debug)]
pub(crate) struct Merges {
    entries: Vec<Entry>,
    slots: Slots,
    hasher: Quick,
}

impl Merges {
    /// None yet, with room for `count`.
    pub(crate) fn with_room(count: usize) -> Merges {
        let entries = Vec::with_capacity(count);
        Merges { entries, slots: Slots::with_room(count), hasher: Quick::new() }
    }

    /// Adds what two neighbours make, left and right; of a pair given twice the first counts.
    pub(crate) fn insert_all(&mut self, merges: &[([u32; 2], Merge)]) {
        let hashes: Vec<u64> = merges.iter().map(|&(pair, _)| self.hash(pair)).collect();
        self.slots.wait_for(&hashes);
        for (&(pair, merge), hash) in merges.iter().zip(hashes) {
            let Merges { entries, slots, .. } = self;
            let number = entries.len() as u32;
            if slots.insert(hash, number, |other| entries[other as usize].pair == pair).is_ok() {
                entries.push(Entry { pair, merge });
            }
        }
    }

    /// What two neighbours make, left and right.
    pub(crate) fn get(&self, pair: [u32; 2]) -> Option<Merge> {
        let is_it = |number: u32| self.entries[number as usize].pair == pair;
        let number = self.slots.find(self.hash(pair), is_it)?;
        Some(self.entries[number as usize].merge)
    }

    fn hash(&self, [left, right]: [u32; 2]) -> u64 {
        let mut hasher = self.hasher;
        hasher.write_u64(u64::from(left) << 32 | u64::from(right));
        hasher.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_merge_of_a_pair_counts() {
        let mut merges = Merges::with_room(3);
        let merge = |rank| Merge { rank, result: 9 };
        merges.insert_all(&[([0, 0], merge(0)), ([1, 2], merge(1)), ([1, 2], merge(2))]);
        let rank = |left, right| merges.get([left, right]).map(|m| m.rank);
        assert_eq!((rank(0, 0), rank(1, 2), rank(2, 1)), (Some(0), Some(1), None));
        assert_eq!(Merges::with_room(0).get([0, 0]), None);
    }

    /// A file chooses its pairs, but not their places: no look-up walks far.
    #[test]
    fn no_family_of_pairs_piles_up() {
        type Family = (&'static str, fn(u32) -> [u32; 2]);
        let families: [Family; 5] = [
            ("a square", |i| [i % 150, i / 150]),
            ("one left", |i| [7, i]),
            ("one right", |i| [i, 7]),
            ("equal ones", |i| [i, i]),
            ("far apart", |i| [i << 17, i << 17]),
        ];
        for (name, member) in families {
            let count = 21_000;
            for secret in 0..64 {
                let mut merges = Merges::with_room(count as usize);
                if secret > 0 {
                    // Factors whose low bits are as small as they can be: one secret in some hundreds.
                    merges.hasher = merges.hasher.with_low_bits(2 * secret - 1);
                }
                let family = (0..count).map(|i| (member(i), Merge { rank: i, result: 0 }));
                merges.insert_all(&family.collect::<Vec<_>>());
                let longest =
                    merges.slots.longest_way(|n| merges.hash(merges.entries[n as usize].pair));
                // Two thirds full, the longest of so many is near 60; a pile would have thousands.
                assert!(longest < 400, "{name}: a look-up walks {longest} slots");
            }
        }
    }
}
