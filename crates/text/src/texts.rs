//! Many strings in one allocation, found by number or by content. Knows nothing of what they mean.
//!
//! A vocabulary of a quarter of a million tokens as separate strings, once in a list and once as
//! keys of a map, costs several times its bytes; here it costs them once, and eight a string.

use std::hash::BuildHasher;

use crate::hash::Quick;

/// A slot that holds no string.
const EMPTY: u32 = u32::MAX;

/// Strings numbered from zero.
#[derive(Debug)]
pub(crate) struct Texts {
    bytes: String,
    ends: Vec<u32>,
    /// Open addressing: numbers of strings, at most half full.
    slots: Vec<u32>,
    hasher: Quick,
}

impl Texts {
    /// No strings, with room for `count`.
    pub(crate) fn with_capacity(count: usize) -> Texts {
        let slots = vec![EMPTY; (count.max(8) * 2).next_power_of_two()];
        let ends = Vec::with_capacity(count);
        Texts { bytes: String::new(), ends, slots, hasher: Quick::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The string numbered `id`; panics beyond the last.
    pub(crate) fn get(&self, id: u32) -> &str {
        let id = id as usize;
        let start = if id == 0 { 0 } else { self.ends[id - 1] as usize };
        &self.bytes[start..self.ends[id] as usize]
    }

    /// The number of `text`.
    pub(crate) fn find(&self, text: &str) -> Option<u32> {
        let id = self.slots[self.slot(text)];
        (id != EMPTY).then_some(id)
    }

    /// Adds `text` under the next number. Gives the earlier number where it is there already; an
    /// empty string is numbered but never found.
    pub(crate) fn push(&mut self, text: &str) -> Result<u32, u32> {
        let id = self.ends.len() as u32;
        let slot = self.slot(text);
        if !text.is_empty() {
            if self.slots[slot] != EMPTY {
                return Err(self.slots[slot]);
            }
            self.slots[slot] = id;
        }
        self.bytes.push_str(text);
        self.ends.push(self.bytes.len() as u32);
        if self.ends.len() * 2 > self.slots.len() {
            self.grow();
        }
        Ok(id)
    }

    /// Where `text` is or would go.
    fn slot(&self, text: &str) -> usize {
        let mask = self.slots.len() - 1;
        let mut slot = self.hasher.hash_one(text) as usize & mask;
        while self.slots[slot] != EMPTY && self.get(self.slots[slot]) != text {
            slot = (slot + 1) & mask;
        }
        slot
    }

    fn grow(&mut self) {
        self.slots = vec![EMPTY; self.slots.len() * 2];
        for id in 0..self.ends.len() as u32 {
            if !self.get(id).is_empty() {
                let slot = self.slot(self.get(id));
                self.slots[slot] = id;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_found_by_number_and_by_content() {
        let mut texts = Texts::with_capacity(0);
        for i in 0..1000 {
            assert_eq!(texts.push(&format!("t{i}")), Ok(i));
        }
        assert_eq!(texts.push("t7"), Err(7));
        assert_eq!(texts.push(""), Ok(1000));
        assert_eq!(texts.push(""), Ok(1001));
        assert_eq!(
            (texts.find("t999"), texts.find("t1000"), texts.find("")),
            (Some(999), None, None)
        );
        assert_eq!((texts.get(0), texts.get(999), texts.get(1001)), ("t0", "t999", ""));
        assert_eq!(texts.len(), 1002);
    }
}
