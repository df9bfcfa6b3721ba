//! Which chunks of a file are there, on their way, or missing, and what to ask for next.

use std::ops::Range;

/// Chunks one request asks for at most: few requests for a large file, and a small loss where one
/// breaks off in its last chunk.
pub(crate) const SPAN_CHUNKS_MAX: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Missing,
    Asked,
    There,
}

/// The chunks of a file.
#[derive(Debug)]
pub(crate) struct Plan {
    states: Vec<State>,
    /// How many requests run at once.
    connections: usize,
}

impl Plan {
    /// A file of so many chunks.
    pub(crate) fn new(chunks: usize, connections: usize) -> Plan {
        Plan { states: vec![State::Missing; chunks], connections: connections.max(1) }
    }

    /// The next chunks to ask for, now asked for.
    pub(crate) fn next(&mut self) -> Option<Range<usize>> {
        let missing = self.states.iter().filter(|state| **state == State::Missing).count();
        // Towards the end the spans shrink, so that all connections end at about the same time.
        let most = missing.div_ceil(2 * self.connections).clamp(1, SPAN_CHUNKS_MAX);
        let start = self.states.iter().position(|state| *state == State::Missing)?;
        let run = self.states[start..].iter().take_while(|state| **state == State::Missing);
        let span = start..start + run.take(most).count();
        self.states[span.clone()].fill(State::Asked);
        Some(span)
    }

    /// Asks for everything at once.
    pub(crate) fn whole(&mut self) -> Range<usize> {
        self.states.fill(State::Asked);
        0..self.states.len()
    }

    /// Chunks that were asked for will not come.
    pub(crate) fn release(&mut self, span: Range<usize>) {
        for state in &mut self.states[span] {
            if *state == State::Asked {
                *state = State::Missing;
            }
        }
    }

    /// A chunk is there.
    pub(crate) fn there(&mut self, chunk: usize) {
        self.states[chunk] = State::There;
    }

    /// A chunk that was there is not what it should be.
    pub(crate) fn lost(&mut self, chunk: usize) {
        self.states[chunk] = State::Missing;
    }

    /// Whether a chunk is there.
    pub(crate) fn is_there(&self, chunk: usize) -> bool {
        self.states[chunk] == State::There
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_chunk_is_asked_for_once() {
        for (chunks, connections) in [(1, 4), (7, 4), (1000, 4), (1000, 1), (0, 4)] {
            let mut plan = Plan::new(chunks, connections);
            let mut seen = Vec::new();
            while let Some(span) = plan.next() {
                assert!(!span.is_empty() && span.len() <= SPAN_CHUNKS_MAX, "{span:?}");
                seen.extend(span);
            }
            assert_eq!(seen, (0..chunks).collect::<Vec<_>>());
        }
    }

    #[test]
    fn what_is_released_or_lost_is_asked_for_again() {
        let mut plan = Plan::new(20, 1);
        let span = plan.next().unwrap();
        assert_eq!(span, 0..10);
        plan.there(0);
        plan.release(0..4);
        assert_eq!(plan.next(), Some(1..4));
        plan.lost(0);
        assert_eq!(plan.next(), Some(0..1));
        assert!(!plan.is_there(0));
    }
}
