//! Approximate search beyond what can be looked at one by one: a hierarchical small world (Malkov and
//! Yashunin, 2016, arXiv 1603.09320).
//!
//! ```text
//! insert(row):  level from the row's key; walk down greedily from the entry;
//!               on each level from there, find the `BUILD` nearest, link with the best spread of them,
//!               and let whoever has too many links keep the best spread of theirs
//! search:       walk down greedily; on the ground, keep the `ef` nearest that were seen
//! remove(row):  a tombstone: it is walked through and never found, until `heal` takes it out and
//!               gives its neighbours each other's links
//! ```
//!
//! Nodes are rows of [`Vectors`], which it is handed and does not keep. It knows no files' names: `bytes`
//! and `read` are its form on the disk, by the keys of passages.

use std::collections::{BinaryHeap, HashMap};

use crate::vectors::{Near, Question, Vectors};

/// Links of a node above the ground; twice as many on it.
const LINKS: usize = 16;
/// How many near ones are looked at where a node is put in.
const BUILD: usize = 128;
/// Levels that a node may have, the ground included.
const LEVELS_MAX: usize = 12;

/// Links between rows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Graph {
    /// (rows, levels, links); a row that was never put in has no levels.
    links: Vec<Vec<Vec<u32>>>,
    dead: Vec<bool>,
    entry: Option<u32>,
}

/// Which rows were seen on a walk, without clearing between walks.
struct Seen {
    at: Vec<u32>,
    walk: u32,
}

impl Seen {
    fn new(rows: usize) -> Seen {
        Seen { at: vec![0; rows], walk: 0 }
    }

    fn begin(&mut self, rows: usize) {
        self.at.resize(rows, 0);
        self.walk = self.walk.wrapping_add(1);
        if self.walk == 0 {
            self.at.fill(0);
            self.walk = 1;
        }
    }

    /// Whether it is the first time.
    fn first(&mut self, row: u32) -> bool {
        std::mem::replace(&mut self.at[row as usize], self.walk) != self.walk
    }
}

impl Graph {
    /// Puts in all rows that are not in it, by their keys.
    pub(crate) fn extend(&mut self, vectors: &Vectors, keys: &[u64]) {
        let mut seen = Seen::new(vectors.len());
        self.links.resize(vectors.len(), Vec::new());
        self.dead.resize(vectors.len(), false);
        for (row, key) in keys.iter().enumerate() {
            if self.links[row].is_empty() {
                self.insert(vectors, row as u32, *key, &mut seen);
            }
        }
    }

    fn insert(&mut self, vectors: &Vectors, row: u32, key: u64, seen: &mut Seen) {
        let level = level(key);
        self.links[row as usize] = vec![Vec::new(); level + 1];
        let Some(mut near) = self.entry else {
            self.entry = Some(row);
            return;
        };
        let question = vectors.question(row as usize);
        let top = self.top(near);
        for above in (level + 1..=top).rev() {
            near = self.descend(vectors, &question, near, above);
        }
        for at in (0..=level.min(top)).rev() {
            let found = self.around(vectors, &question, near, BUILD, at, seen, |_| true);
            near = found.first().map_or(near, |best| best.row);
            let chosen = spread(vectors, &found, LINKS);
            for other in &chosen {
                self.link(vectors, *other, row, at);
            }
            self.links[row as usize][at] = chosen;
        }
        if level > top {
            self.entry = Some(row);
        }
    }

    /// Links one row to another, and lets it keep the best of its links.
    fn link(&mut self, vectors: &Vectors, from: u32, to: u32, level: usize) {
        let links = &mut self.links[from as usize][level];
        links.push(to);
        if links.len() > most(level) {
            self.links[from as usize][level] =
                best_links(vectors, from, &self.links[from as usize][level], level);
        }
    }

    fn top(&self, row: u32) -> usize {
        self.links[row as usize].len().saturating_sub(1)
    }

    fn descend(&self, vectors: &Vectors, question: &Question, from: u32, level: usize) -> u32 {
        let mut best = Near { similarity: vectors.similarity(question, from as usize), row: from };
        loop {
            let links = self.links[best.row as usize].get(level).into_iter().flatten();
            let nearer = links
                .map(|row| Near {
                    similarity: vectors.similarity(question, *row as usize),
                    row: *row,
                })
                .max()
                .filter(|near| *near > best);
            match nearer {
                Some(near) => best = near,
                None => return best.row,
            }
        }
    }

    /// The `ef` nearest that a walk on one level sees, nearest first. All are walked through; only those
    /// that are accepted are kept.
    #[expect(clippy::too_many_arguments, reason = "the state of one walk")]
    fn around(
        &self,
        vectors: &Vectors,
        question: &Question,
        from: u32,
        ef: usize,
        level: usize,
        seen: &mut Seen,
        accept: impl Fn(u32) -> bool,
    ) -> Vec<Near> {
        seen.begin(self.links.len());
        let near = |row: u32| Near { similarity: vectors.similarity(question, row as usize), row };
        let first = near(from);
        seen.first(from);
        let mut open = BinaryHeap::from([first]);
        let mut kept = BinaryHeap::new();
        if accept(from) {
            kept.push(std::cmp::Reverse(first));
        }
        while let Some(here) = open.pop() {
            let worst = kept.peek().map(|worst: &std::cmp::Reverse<Near>| worst.0);
            if kept.len() >= ef && worst.is_some_and(|worst| here < worst) {
                break;
            }
            for row in self.links[here.row as usize].get(level).into_iter().flatten() {
                if !seen.first(*row) {
                    continue;
                }
                let next = near(*row);
                let worst = kept.peek().map(|worst: &std::cmp::Reverse<Near>| worst.0);
                if kept.len() < ef || worst.is_some_and(|worst| next > worst) {
                    open.push(next);
                    if accept(*row) {
                        kept.push(std::cmp::Reverse(next));
                        if kept.len() > ef {
                            kept.pop();
                        }
                    }
                }
            }
        }
        kept.into_sorted_vec().into_iter().map(|near| near.0).collect()
    }

    /// The `k` nearest that are accepted, nearest first, among the `ef` nearest that a walk sees.
    pub(crate) fn nearest(
        &self,
        vectors: &Vectors,
        question: &Question,
        k: usize,
        ef: usize,
        accept: impl Fn(u32) -> bool,
    ) -> Vec<Near> {
        let Some(mut near) = self.entry else { return Vec::new() };
        for level in (1..=self.top(near)).rev() {
            near = self.descend(vectors, question, near, level);
        }
        let alive = |row: u32| !self.dead[row as usize] && accept(row);
        let mut seen = Seen::new(self.links.len());
        let mut found = self.around(vectors, question, near, ef.max(k), 0, &mut seen, alive);
        found.truncate(k);
        found
    }

    /// Never finds a row again.
    pub(crate) fn remove(&mut self, row: u32) {
        self.dead[row as usize] = true;
    }

    /// Takes removed rows out: whoever was linked to one is linked to its neighbours instead.
    pub(crate) fn heal(&mut self, vectors: &Vectors) {
        if !self.dead.contains(&true) {
            return;
        }
        for row in 0..self.links.len() {
            if self.dead[row] {
                continue;
            }
            for level in 0..self.links[row].len() {
                if !self.links[row][level].iter().any(|to| self.dead[*to as usize]) {
                    continue;
                }
                let healed = self.healed(row as u32, level);
                self.links[row][level] = best_links(vectors, row as u32, &healed, level);
            }
        }
        for row in 0..self.links.len() {
            if self.dead[row] {
                self.links[row].clear();
            }
        }
        let alive = (0..self.links.len()).filter(|row| !self.links[*row].is_empty());
        self.entry = alive.max_by_key(|row| self.links[*row].len()).map(|row| row as u32);
    }

    /// Living rows that a row reaches on a level over nothing but dead ones.
    fn healed(&self, row: u32, level: usize) -> Vec<u32> {
        let mut alive = Vec::new();
        let mut seen = std::collections::HashSet::from([row]);
        let mut open = vec![row];
        while let Some(here) = open.pop() {
            for to in self.links[here as usize].get(level).into_iter().flatten() {
                if !seen.insert(*to) {
                    continue;
                }
                if self.dead[*to as usize] { open.push(*to) } else { alive.push(*to) }
            }
            // A whole region that died: what was found so far is enough.
            if alive.len() > 8 * LINKS {
                break;
            }
        }
        alive
    }

    /// Its form on the disk: for each row that is in it, the key, the levels, and the keys' places.
    pub(crate) fn bytes(&self, keys: &[u64]) -> Vec<u8> {
        let inside: Vec<u32> = (0..self.links.len() as u32)
            .filter(|row| !self.links[*row as usize].is_empty())
            .collect();
        let place: HashMap<u32, u32> = inside.iter().zip(0..).map(|(row, at)| (*row, at)).collect();
        let mut out = Vec::new();
        out.extend((inside.len() as u32).to_le_bytes());
        let entry = self.entry.and_then(|row| place.get(&row)).copied().unwrap_or(u32::MAX);
        out.extend(entry.to_le_bytes());
        for row in &inside {
            let levels = &self.links[*row as usize];
            out.extend(keys[*row as usize].to_le_bytes());
            out.push(levels.len() as u8);
            for links in levels {
                let links: Vec<u32> =
                    links.iter().filter_map(|to| place.get(to).copied()).collect();
                out.push(links.len() as u8);
                links.iter().for_each(|to| out.extend(to.to_le_bytes()));
            }
        }
        out
    }

    /// Of its form on the disk, for the rows that have these keys now. Rows of keys that are gone are
    /// taken out; `None` where the bytes are none of this form.
    pub(crate) fn read(bytes: &[u8], keys: &[u64], vectors: &Vectors) -> Option<Graph> {
        let rows: HashMap<u64, u32> = keys.iter().zip(0..).map(|(key, row)| (*key, row)).collect();
        let mut rest = bytes;
        let count = u32::from_le_bytes(take(&mut rest)?) as usize;
        let entry = u32::from_le_bytes(take(&mut rest)?);
        if count > bytes.len() / 9 {
            return None;
        }
        // Nodes as they were stored; those that are gone get rows behind all others.
        let mut row_of = Vec::with_capacity(count);
        let mut stored = Vec::with_capacity(count);
        let mut gone = keys.len() as u32;
        for _ in 0..count {
            let key = u64::from_le_bytes(take(&mut rest)?);
            row_of.push(rows.get(&key).copied().unwrap_or_else(|| {
                gone += 1;
                gone - 1
            }));
            let [levels] = take(&mut rest)?;
            if levels == 0 || usize::from(levels) > LEVELS_MAX {
                return None;
            }
            let mut node = Vec::with_capacity(levels.into());
            for _ in 0..levels {
                let [links] = take(&mut rest)?;
                let read = |rest: &mut &[u8]| take(rest).map(u32::from_le_bytes);
                let links: Option<Vec<u32>> = (0..links).map(|_| read(&mut rest)).collect();
                node.push(links?);
            }
            stored.push(node);
        }
        if !rest.is_empty() {
            return None;
        }
        let mut graph = Graph {
            links: vec![Vec::new(); gone as usize],
            dead: vec![false; gone as usize],
            entry: None,
        };
        for (node, row) in stored.into_iter().zip(&row_of) {
            let row_of_place = |to: u32| row_of.get(to as usize).copied();
            let rows =
                |links: Vec<u32>| links.into_iter().map(row_of_place).collect::<Option<Vec<u32>>>();
            graph.links[*row as usize] = node.into_iter().map(rows).collect::<Option<_>>()?;
        }
        // A link goes to whoever stands on its level as well: a walk relies on it.
        let stands = |to: &u32, level: usize| graph.links[*to as usize].len() > level;
        let sound = graph.links.iter().all(|levels| {
            levels.iter().enumerate().all(|(level, links)| links.iter().all(|to| stands(to, level)))
        });
        if !sound {
            return None;
        }
        graph.entry = row_of.get(entry as usize).copied();
        (keys.len() as u32..gone).for_each(|row| graph.remove(row));
        graph.heal(vectors);
        graph.links.truncate(keys.len());
        graph.dead.truncate(keys.len());
        if graph.entry.is_none() {
            graph.entry = (0..graph.links.len())
                .filter(|row| !graph.links[*row].is_empty())
                .max_by_key(|row| graph.links[*row].len())
                .map(|row| row as u32);
        }
        Some(graph)
    }

    /// How many rows are in it.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.links.iter().filter(|levels| !levels.is_empty()).count()
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, after) = rest.split_first_chunk::<N>()?;
    *rest = after;
    Some(*taken)
}

fn most(level: usize) -> usize {
    if level == 0 { 2 * LINKS } else { LINKS }
}

/// A level by chance that the key alone decides: each is `LINKS` times rarer than the one below.
fn level(key: u64) -> usize {
    let chance = xxhash_rust::xxh3::xxh3_64(&key.to_le_bytes());
    let uniform = (chance >> 11) as f64 / (1u64 << 53) as f64;
    let level = -(1.0 - uniform).ln() / (LINKS as f64).ln();
    (level as usize).min(LEVELS_MAX - 1)
}

/// The best links of a row among those given.
fn best_links(vectors: &Vectors, from: u32, links: &[u32], level: usize) -> Vec<u32> {
    let question = vectors.question(from as usize);
    let similarity = |row: u32| vectors.similarity(&question, row as usize);
    let mut near: Vec<Near> =
        links.iter().map(|row| Near { similarity: similarity(*row), row: *row }).collect();
    near.sort_by(|a, b| b.cmp(a));
    spread(vectors, &near, most(level))
}

/// Of rows in order of nearness, the nearest that are nearer to us than to each other; where these are
/// few, the nearest of the others.
fn spread(vectors: &Vectors, near: &[Near], most: usize) -> Vec<u32> {
    let mut chosen: Vec<u32> = Vec::with_capacity(most);
    let mut left = Vec::new();
    for candidate in near {
        if chosen.len() == most {
            break;
        }
        let question = vectors.question(candidate.row as usize);
        let apart =
            |other: &u32| vectors.similarity(&question, *other as usize) < candidate.similarity;
        if chosen.iter().all(apart) {
            chosen.push(candidate.row);
        } else {
            left.push(candidate.row);
        }
    }
    let room = most - chosen.len();
    chosen.extend(left.into_iter().take(room));
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors::tests::{Chance, unit};

    /// Vectors in clusters, as texts about the same thing are.
    fn clustered(count: usize, width: usize, chance: &mut Chance) -> Vectors {
        let zero = vec![0.0; width];
        let centres: Vec<Vec<f32>> =
            (0..(count / 100).max(1)).map(|_| chance.around(&zero, 1.0)).collect();
        let mut vectors = Vectors::new(width);
        for _ in 0..count {
            let centre = &centres[chance.next() as usize % centres.len()];
            vectors.push(&chance.around(centre, 0.12));
        }
        vectors
    }

    fn recall(
        graph: &Graph,
        vectors: &Vectors,
        alive: impl Fn(u32) -> bool + Copy,
        chance: &mut Chance,
    ) -> f64 {
        let (mut right, mut all) = (0, 0);
        for _ in 0..100 {
            let near = vectors.row(chance.next() as usize % vectors.len());
            let near = unit(near.iter().map(|code| f32::from(*code)).collect());
            let question = Question::new(&chance.around(&near, 0.1));
            let exact: Vec<u32> =
                vectors.nearest(&question, 10, alive).iter().map(|n| n.row).collect();
            let found = graph.nearest(vectors, &question, 10, SEARCH, |_| true);
            assert!(found.iter().all(|near| alive(near.row)), "a removed row was found");
            right += found.iter().filter(|near| exact.contains(&near.row)).count();
            all += exact.len();
        }
        right as f64 / all as f64
    }

    use crate::index::SEARCH;

    /// 20,000 rows by default; `ONDINE_RAG_ROWS=100000` for what the promise is about.
    #[test]
    fn the_nearest_are_found_also_after_a_third_is_removed() {
        let rows =
            std::env::var("ONDINE_RAG_ROWS").ok().and_then(|n| n.parse().ok()).unwrap_or(20_000);
        let mut chance = Chance(7);
        let vectors = clustered(rows, 64, &mut chance);
        let keys: Vec<u64> = (0..rows as u64).map(|row| row * 3 + 1).collect();
        let mut graph = Graph::default();
        let begun = std::time::Instant::now();
        graph.extend(&vectors, &keys);
        let built = begun.elapsed();
        let whole = recall(&graph, &vectors, |_| true, &mut chance);
        assert!(whole >= 0.95, "{whole}");
        // Tombstones, then the same rows taken out.
        let alive = |row: u32| !row.is_multiple_of(3);
        (0..rows as u32).filter(|row| !alive(*row)).for_each(|row| graph.remove(row));
        let with_tombstones = recall(&graph, &vectors, alive, &mut chance);
        assert!(with_tombstones >= 0.95, "{with_tombstones}");
        graph.heal(&vectors);
        assert_eq!(graph.len(), (0..rows as u32).filter(|row| alive(*row)).count());
        let healed = recall(&graph, &vectors, alive, &mut chance);
        assert!(healed >= 0.95, "{healed}");
        // To the disk and back, with another third gone meanwhile and the rows in other places.
        let bytes = graph.bytes(&keys);
        let left: Vec<usize> = (0..rows).rev().filter(|row| row % 3 == 1).collect();
        let mut fewer = Vectors::new(64);
        left.iter().for_each(|row| fewer.push_row(&vectors, *row));
        let fewer_keys: Vec<u64> = left.iter().map(|row| keys[*row]).collect();
        let again = Graph::read(&bytes, &fewer_keys, &fewer).unwrap();
        assert_eq!(again.len(), fewer.len());
        let read = recall(&again, &fewer, |_| true, &mut chance);
        assert!(read >= 0.95, "{read}");
        println!(
            "{rows} rows in {built:?}: recall@10 {whole:.3}, tombstones {with_tombstones:.3}, healed {healed:.3}, read {read:.3}"
        );
    }

    #[test]
    fn damaged_bytes_are_refused_and_never_a_panic() {
        let mut chance = Chance(3);
        let vectors = clustered(300, 16, &mut chance);
        let keys: Vec<u64> = (0..300).collect();
        let mut graph = Graph::default();
        graph.extend(&vectors, &keys);
        let bytes = graph.bytes(&keys);
        let question = vectors.question(5);
        for at in 0..bytes.len().min(2000) {
            assert!(Graph::read(&bytes[..at], &keys, &vectors).is_none(), "{at}");
            let mut torn = bytes.clone();
            torn[at] ^= 0x91;
            if let Some(graph) = Graph::read(&torn, &keys, &vectors) {
                graph.nearest(&vectors, &question, 5, 20, |_| true);
            }
        }
    }

    #[test]
    fn an_empty_graph_and_one_of_removed_rows_find_nothing() {
        let vectors = Vectors::new(4);
        let mut graph = Graph::default();
        graph.extend(&vectors, &[]);
        let question = Question::new(&[1.0, 0.0, 0.0, 0.0]);
        assert!(graph.nearest(&vectors, &question, 3, 9, |_| true).is_empty());
        let mut one = Vectors::new(4);
        one.push(&[1.0, 0.0, 0.0, 0.0]);
        graph.extend(&one, &[9]);
        assert_eq!(graph.nearest(&one, &question, 3, 9, |_| true).len(), 1);
        graph.remove(0);
        graph.heal(&one);
        assert!(graph.nearest(&one, &question, 3, 9, |_| true).is_empty());
        let bytes = graph.bytes(&[9]);
        assert_eq!(Graph::read(&bytes, &[9], &one).unwrap().len(), 0);
    }
}
