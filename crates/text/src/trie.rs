//! A tree of byte strings: which of them does a text begin with? Knows strings and numbers.

use std::collections::HashMap;

use crate::hash::Quick;

/// No node.
const NONE: u32 = u32::MAX;

/// Byte strings with numbers, found by walking along a text.
#[derive(Debug)]
pub(crate) struct Trie {
    /// The first step is a table, as most places of a text end there.
    roots: Box<[u32; 256]>,
    steps: HashMap<(u32, u8), u32, Quick>,
    values: Vec<Option<u32>>,
}

impl Trie {
    /// A tree of `entries`. Empty strings are left out; of equal ones the last counts.
    pub(crate) fn new<'t>(entries: impl Iterator<Item = (&'t str, u32)>) -> Trie {
        let steps = HashMap::with_hasher(Quick::new());
        let mut trie = Trie { roots: Box::new([NONE; 256]), steps, values: Vec::new() };
        for (text, value) in entries {
            let Some((&first, rest)) = text.as_bytes().split_first() else { continue };
            let mut node = trie.roots[first as usize];
            if node == NONE {
                node = trie.node();
                trie.roots[first as usize] = node;
            }
            for &byte in rest {
                node = match trie.steps.get(&(node, byte)) {
                    Some(&next) => next,
                    None => {
                        let next = trie.node();
                        trie.steps.insert((node, byte), next);
                        next
                    }
                };
            }
            trie.values[node as usize] = Some(value);
        }
        trie
    }

    fn node(&mut self) -> u32 {
        self.values.push(None);
        self.values.len() as u32 - 1
    }

    /// The entries that `text` begins with, shortest first, as length and number.
    pub(crate) fn prefixes<'a>(&'a self, text: &'a [u8]) -> impl Iterator<Item = (usize, u32)> {
        let mut node = text.first().map_or(NONE, |&b| self.roots[b as usize]);
        let mut length = 1;
        std::iter::from_fn(move || {
            while node != NONE {
                let found = self.values[node as usize].map(|value| (length, value));
                node = match text.get(length) {
                    Some(&byte) => self.steps.get(&(node, byte)).copied().unwrap_or(NONE),
                    None => NONE,
                };
                length += 1;
                if found.is_some() {
                    return found;
                }
            }
            None
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_prefixes_are_found_shortest_first() {
        let trie = Trie::new([("a", 1), ("abc", 2), ("b", 3), ("", 4)].into_iter());
        let found = |text: &str| trie.prefixes(text.as_bytes()).collect::<Vec<_>>();
        assert_eq!(found("abcd"), [(1, 1), (3, 2)]);
        assert_eq!(found("ab"), [(1, 1)]);
        assert_eq!(found("bc"), [(1, 3)]);
        assert_eq!(found("c"), []);
        assert_eq!(found(""), []);
    }
}
