//! Many strings in one allocation, found by number or by content. Knows nothing of what they mean.
//!
//! A vocabulary of a quarter of a million tokens as separate strings, once in a list and once as
//! keys of a map, costs several times its bytes; here it costs them once, and twenty a string.

use std::hash::Hasher;
use std::ops::Range;

use crate::hash::{Quick, up_to_eight};
use crate::slots::{NONE, Slots};

/// Strings numbered from zero: fewer than 2^32 - 1, of fewer than 2^32 bytes together.
#[derive(Debug)]
pub(crate) struct Texts {
    bytes: String,
    /// Where each string begins, and behind the last one where it ends.
    bounds: Vec<u32>,
    slots: Slots,
    hasher: Quick,
}

impl Texts {
    /// No strings, with room for `count` of `bytes` bytes together.
    pub(crate) fn with_capacity(count: usize, bytes: usize) -> Texts {
        let mut bounds = Vec::with_capacity(count + 1);
        bounds.push(0);
        Texts {
            bytes: String::with_capacity(bytes),
            bounds,
            slots: Slots::with_room(count),
            hasher: Quick::new(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.bounds.len() - 1
    }

    /// Bytes of all strings together.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The string numbered `id`; panics beyond the last.
    pub(crate) fn get(&self, id: u32) -> &str {
        assert!((id as usize) < self.len(), "string {id} of {}", self.len());
        &self.bytes[self.range(id)]
    }

    /// The number of `text`.
    pub(crate) fn find(&self, text: &str) -> Option<u32> {
        self.slots.find(self.hash(text), |id| self.get(id) == text)
    }

    /// The numbers of `texts`, [`NONE`] for those that are not there.
    ///
    /// Most look-ups wait for memory three times: at the slot, at the string's place and at the
    /// string. Each step is taken for all texts before the next one is.
    pub(crate) fn find_all(&self, texts: &[&str], numbers: &mut Vec<u32>) {
        let hashes: Vec<u64> = texts.iter().map(|text| self.hash(text)).collect();
        let alike = self.slots.first_alike(&hashes);
        let ranges: Vec<Range<usize>> = alike.iter().map(|&id| self.range(id)).collect();
        numbers.clear();
        numbers.extend(alike.iter().zip(ranges).zip(texts).map(|((&id, range), text)| {
            if id == NONE || is_same(&self.bytes.as_bytes()[range], text.as_bytes()) {
                id
            } else {
                self.find(text).unwrap_or(NONE)
            }
        }));
    }

    /// Adds `text` under the next number. Gives the earlier number where it is there already; an
    /// empty string is numbered but never found.
    pub(crate) fn push(&mut self, text: &str) -> Result<u32, u32> {
        self.push_hashed(text, self.hash(text))
    }

    /// Adds `texts` under the next numbers, up to the first that is there already: gives its place
    /// among them and its earlier number.
    pub(crate) fn push_all(&mut self, texts: &[&str]) -> Result<(), (usize, u32)> {
        let hashes: Vec<u64> = texts.iter().map(|text| self.hash(text)).collect();
        self.slots.wait_for(&hashes);
        for (place, (text, hash)) in texts.iter().zip(hashes).enumerate() {
            self.push_hashed(text, hash).map_err(|earlier| (place, earlier))?;
        }
        Ok(())
    }

    fn push_hashed(&mut self, text: &str, hash: u64) -> Result<u32, u32> {
        if self.slots.is_full() {
            self.grow();
        }
        let id = self.len() as u32;
        if !text.is_empty() {
            let Texts { bytes, bounds, slots, .. } = self;
            slots.insert(hash, id, |other| &bytes[range(bounds, other)] == text)?;
        }
        self.bytes.push_str(text);
        self.bounds.push(self.bytes.len() as u32);
        Ok(id)
    }

    /// Where the string numbered `id` is; nowhere beyond the last.
    fn range(&self, id: u32) -> Range<usize> {
        range(&self.bounds, id)
    }

    fn hash(&self, text: &str) -> u64 {
        let mut hasher = self.hasher;
        hasher.write(text.as_bytes());
        hasher.finish()
    }

    fn grow(&mut self) {
        let mut slots = Slots::with_room(self.len() * 2 + 8);
        for id in 0..self.len() as u32 {
            let text = self.get(id);
            if !text.is_empty() {
                // All strings are different, so no other one is meant.
                let _ = slots.insert(self.hash(text), id, |_| false);
            }
        }
        self.slots = slots;
    }
}

fn range(bounds: &[u32], id: u32) -> Range<usize> {
    match bounds.get(id as usize..).and_then(|bounds| bounds.first_chunk()) {
        Some(&[start, end]) => start as usize..end as usize,
        None => 0..0,
    }
}

/// Whether two strings are the same. Most tokens are so short that calling for the comparison
/// would cost more than it.
fn is_same(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    if a.len() <= 8 { up_to_eight(a) == up_to_eight(b) } else { a == b }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_found_by_number_and_by_content() {
        let mut texts = Texts::with_capacity(0, 0);
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
        let add = |texts: &mut Texts, more: &[&str]| texts.push_all(more);
        assert_eq!(add(&mut texts, &["u", "v", "", "t7", "w"]), Err((3, 7)));
        assert_eq!(add(&mut texts, &["x", "y", "x"]), Err((2, 1005)));
        assert_eq!((texts.len(), texts.find("y"), texts.find("w")), (1007, Some(1006), None));
        let mut numbers = vec![7];
        texts.find_all(&["t3", "", "t1000", "t999"], &mut numbers);
        assert_eq!(numbers, [3, NONE, NONE, 999]);
    }

    /// The strings that a file chooses do not choose their slots: of families that differ in few
    /// places, or in their length alone, no look-up walks far.
    #[test]
    fn no_family_of_strings_piles_up() {
        type Family = (&'static str, fn(usize) -> String);
        let families: [Family; 6] = [
            ("numbers", |i| i.to_string()),
            ("lengths", |i| "a".repeat(i % 4096) + &(i / 4096).to_string()),
            ("beginnings", |i| format!("{i:05}and the same end for all of them")),
            ("ends", |i| format!("the same beginning for all of them and {i:05}")),
            ("two letters of sixteen", |i| {
                (0..16).map(|bit| if i >> bit & 1 == 0 { 'x' } else { 'y' }).collect()
            }),
            ("zero bytes", |i| "\0".repeat(i % 256) + &"\u{1}".repeat(i / 256)),
        ];
        for (name, member) in families {
            let count = 20_000;
            let mut texts = Texts::with_capacity(count, 0);
            for i in 0..count {
                let _ = texts.push(&member(i));
            }
            let longest = texts.slots.longest_way(|id| texts.hash(texts.get(id)));
            // Two thirds full, the longest of so many is near 60; a pile would have thousands.
            assert!(longest < 400, "{name}: a look-up walks {longest} slots");
        }
    }
}
