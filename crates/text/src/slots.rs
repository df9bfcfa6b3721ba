//! A table of numbers that are found by hashes. Knows neither what is hashed nor how; whoever asks
//! says whether a number is the one that is meant.
//!
//! The table of a large vocabulary is larger than the caches near the processor, and to find
//! something in it is to wait for memory. So a slot is small, holds enough of the hash to be told
//! apart from its neighbours without a look elsewhere, and many can be waited for together.

/// The number that is not given to anything.
pub(crate) const NONE: u32 = u32::MAX;

/// A slot that holds no number.
const EMPTY: u64 = u64::MAX;

/// The bits of a slot that are of a hash; the others are the number.
const HASH_BITS: u64 = !(u32::MAX as u64);

/// Open addressing, at most two thirds full: the upper half of a hash, and a number below
/// [`NONE`]. The lower half of the hash says where the way to its slot begins.
#[derive(Debug)]
pub(crate) struct Slots {
    slots: Vec<u64>,
    count: usize,
}

impl Slots {
    /// No numbers, with room for `count`.
    pub(crate) fn with_room(count: usize) -> Slots {
        Slots { slots: vec![EMPTY; (count + count / 2 + 1).next_power_of_two()], count: 0 }
    }

    /// Whether one more would be too many.
    pub(crate) fn is_full(&self) -> bool {
        (self.count + 1) * 3 > self.slots.len() * 2
    }

    /// The number with this hash that is the one that is meant.
    pub(crate) fn find(&self, hash: u64, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        let found = self.slots[self.slot(hash, is_it)];
        (found != EMPTY).then_some(found as u32)
    }

    /// Adds a number, unless the one that is meant is there already: gives that then.
    pub(crate) fn insert(
        &mut self,
        hash: u64,
        number: u32,
        is_it: impl Fn(u32) -> bool,
    ) -> Result<(), u32> {
        let slot = self.slot(hash, is_it);
        if self.slots[slot] != EMPTY {
            return Err(self.slots[slot] as u32);
        }
        self.count += 1;
        let (count, slots) = (self.count, self.slots.len());
        assert!(count < slots, "{count} numbers in {slots} slots: one must stay empty");
        self.slots[slot] = hash & HASH_BITS | u64::from(number);
        Ok(())
    }

    /// The first number of each hash that may be the one that is meant, [`NONE`] where there is
    /// none. What is not the one must be looked for with [`find`](Slots::find).
    pub(crate) fn first_alike(&self, hashes: &[u64]) -> Vec<u32> {
        let first = |(&hash, found): (&u64, u64)| {
            let (mask, mut slot, mut found) = (self.mask(), self.home(hash), found);
            while found != EMPTY && (found ^ hash) & HASH_BITS != 0 {
                slot = (slot + 1) & mask;
                found = self.slots[slot];
            }
            found as u32
        };
        hashes.iter().zip(self.wait_for(hashes)).map(first).collect()
    }

    /// What the slots hold at which the ways of these hashes begin. Nothing is decided by one of
    /// them before all are read, so the processor waits for many at a time; afterwards they are near.
    pub(crate) fn wait_for(&self, hashes: &[u64]) -> Vec<u64> {
        std::hint::black_box(hashes.iter().map(|&hash| self.slots[self.home(hash)]).collect())
    }

    /// Where the number that is meant is, or would go.
    fn slot(&self, hash: u64, is_it: impl Fn(u32) -> bool) -> usize {
        let mask = self.mask();
        let mut slot = self.home(hash);
        loop {
            let found = self.slots[slot];
            let is_alike = (found ^ hash) & HASH_BITS == 0;
            if found == EMPTY || is_alike && is_it(found as u32) {
                return slot;
            }
            slot = (slot + 1) & mask;
        }
    }

    fn home(&self, hash: u64) -> usize {
        hash as usize & self.mask()
    }

    fn mask(&self) -> usize {
        self.slots.len() - 1
    }

    /// How far the longest way goes, of numbers whose hashes are given again.
    #[cfg(test)]
    pub(crate) fn longest_way(&self, hash: impl Fn(u32) -> u64) -> usize {
        let taken = (0..self.slots.len()).filter(|&slot| self.slots[slot] != EMPTY);
        let way = |slot: usize| slot.wrapping_sub(self.home(hash(self.slots[slot] as u32)));
        taken.map(|slot| way(slot) & self.mask()).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_with_one_hash_are_told_apart_by_who_asks() {
        let mut slots = Slots::with_room(3);
        for number in [4, 5, 6] {
            assert_eq!(slots.insert(9, number, |other| other == number), Ok(()));
        }
        assert_eq!(slots.insert(9, 7, |other| other == 5), Err(5));
        assert_eq!((slots.find(9, |n| n == 6), slots.find(9, |n| n == 7)), (Some(6), None));
        assert_eq!(slots.first_alike(&[9, 1 << 40]), [4, NONE]);
        assert!(Slots::with_room(0).find(0, |_| true).is_none());
    }
}
