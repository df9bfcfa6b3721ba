//! A queue of places by key: the lowest key first, of equal keys the leftmost. Knows nothing of
//! what is to be done at a place.
//!
//! Joining neighbours visits places in this order, and almost always what is added later has a
//! higher key than what is being visited. So places wait in one list a key, and are sorted when
//! their key comes up: a list is then read from left to right, where a heap of a million entries
//! would jump about in memory. What is added with a key that is already being visited, or a lower
//! one, goes through a heap after all.
//!
//! ```text
//! push: into `urgent` if the key is not above the current one, else into the list of the key
//! pop:  the lesser of the next place in the current list and the first of `urgent`;
//!       if there is neither, the list of the lowest key becomes the current one
//! ```

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use crate::hash::Quick;

/// Places waiting to be visited.
#[derive(Debug)]
pub(crate) struct Queue {
    /// The key being visited; none before the first.
    current: Option<u32>,
    places: Vec<u32>,
    visited: usize,
    urgent: BinaryHeap<Reverse<(u32, u32)>>,
    later: HashMap<u32, Vec<u32>, Quick>,
    keys: BinaryHeap<Reverse<u32>>,
}

impl Default for Queue {
    fn default() -> Queue {
        Queue {
            current: None,
            places: Vec::new(),
            visited: 0,
            urgent: BinaryHeap::new(),
            later: HashMap::with_hasher(Quick::new()),
            keys: BinaryHeap::new(),
        }
    }
}

impl Queue {
    /// Forgets what is left and begins anew.
    pub(crate) fn clear(&mut self) {
        self.current = None;
        self.places.clear();
        self.visited = 0;
        self.urgent.clear();
        self.later.clear();
        self.keys.clear();
    }

    /// Adds a place. One that is there already will be visited twice.
    pub(crate) fn push(&mut self, key: u32, place: u32) {
        if Some(key) <= self.current {
            return self.urgent.push(Reverse((key, place)));
        }
        let places = self.later.entry(key).or_insert_with(|| {
            self.keys.push(Reverse(key));
            Vec::new()
        });
        places.push(place);
    }

    /// Takes the place to be visited next.
    pub(crate) fn pop(&mut self) -> Option<(u32, u32)> {
        loop {
            let planned = self.current.zip(self.places.get(self.visited).copied());
            let urgent = self.urgent.peek().map(|&Reverse(entry)| entry);
            match (planned, urgent) {
                (Some(planned), None) => {
                    self.visited += 1;
                    return Some(planned);
                }
                (Some(planned), Some(urgent)) if planned <= urgent => {
                    self.visited += 1;
                    return Some(planned);
                }
                (_, Some(urgent)) => {
                    self.urgent.pop();
                    return Some(urgent);
                }
                (None, None) => {
                    let Reverse(key) = self.keys.pop()?;
                    self.current = Some(key);
                    self.places = self.later.remove(&key).unwrap_or_default();
                    // Nearly sorted: the standard sort is linear on runs.
                    self.places.sort();
                    self.visited = 0;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// A plain heap judges: any mixture of adding and taking gives the same order.
        #[test]
        fn visits_in_the_order_of_a_heap(steps in prop::collection::vec((0u32..9, 0u32..99, any::<bool>()), 0..200)) {
            let mut queue = Queue::default();
            let mut heap = BinaryHeap::new();
            for (key, place, is_push) in steps {
                if is_push {
                    queue.push(key, place);
                    heap.push(Reverse((key, place)));
                } else {
                    prop_assert_eq!(queue.pop(), heap.pop().map(|Reverse(entry)| entry));
                }
            }
            while let Some(Reverse(entry)) = heap.pop() {
                prop_assert_eq!(queue.pop(), Some(entry));
            }
            prop_assert_eq!(queue.pop(), None);
        }
    }
}
