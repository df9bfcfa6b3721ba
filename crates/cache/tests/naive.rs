//! The paged cache against the obvious one: a vector of rows a timeline.
//!
//! Any sequence of appends, truncations, forks and ends must leave every timeline with the keys
//! and values that its own history wrote, whatever the others did with shared pages.

use ondine_cache::{Cache, CacheError, CacheShape, KvType, PAGE};
use proptest::prelude::*;

const SHAPE: CacheShape = CacheShape { layers: 3, kv_heads: 2, head_dim: 4, kv: KvType::F16 };
const BYTES: CacheShape = CacheShape { kv: KvType::Int8, ..SHAPE };
const MAX_TIMELINES: usize = 6;

/// One timeline as a vector: what was written at each position.
type Naive = Vec<u16>;

#[derive(Clone, Debug)]
enum Op {
    Append {
        timeline: usize,
        tokens: usize,
    },
    /// A batch that is written and then given up.
    Abandon {
        timeline: usize,
        tokens: usize,
    },
    Truncate {
        timeline: usize,
        len: usize,
    },
    Fork {
        timeline: usize,
    },
    End {
        timeline: usize,
    },
}

fn op() -> impl Strategy<Value = Op> {
    let timeline = 0..MAX_TIMELINES;
    prop_oneof![
        4 => (timeline.clone(), 1..40usize).prop_map(|(timeline, tokens)| Op::Append { timeline, tokens }),
        1 => (timeline.clone(), 1..40usize).prop_map(|(timeline, tokens)| Op::Abandon { timeline, tokens }),
        2 => (timeline.clone(), 0..100usize).prop_map(|(timeline, len)| Op::Truncate { timeline, len }),
        2 => timeline.clone().prop_map(|timeline| Op::Fork { timeline }),
        1 => timeline.prop_map(|timeline| Op::End { timeline }),
    ]
}

/// The byte that stands in every place of a position: a place is every sixteenth byte of a layer's
/// keys (or values), whatever they are stored as.
fn stamp(layer: usize, value: bool, place: usize, row: u16) -> u8 {
    let place = (layer * 2 + usize::from(value)) * 64 + place;
    (u32::from(row).wrapping_mul(2_654_435_761).wrapping_add(place as u32 * 40_503) >> 16) as u8
}

/// Writes rows at `cache.len()..` as a kernel does: through the pages given, by relative position.
fn write(cache: &mut Cache, rows: &[u16]) {
    let from = cache.len();
    for layer in 0..SHAPE.layers {
        let mut pages = cache.layer_mut(layer, from, from + rows.len());
        assert_eq!(pages.keys.len(), (from % PAGE + rows.len()).div_ceil(PAGE));
        for (r, row) in rows.iter().enumerate() {
            let at = from % PAGE + r;
            for (value, pages) in [&mut pages.keys, &mut pages.values].into_iter().enumerate() {
                let bytes: &mut [u8] = bytemuck::cast_slice_mut(pages[at / PAGE]);
                for (place, byte) in bytes.iter_mut().skip(at % PAGE).step_by(PAGE).enumerate() {
                    *byte = stamp(layer, value == 1, place, *row);
                }
            }
        }
    }
}

fn assert_same(cache: &Cache, naive: &Naive) {
    assert_eq!(cache.len(), naive.len());
    for layer in 0..SHAPE.layers {
        let pages = cache.layer(layer, cache.len());
        assert_eq!(pages.keys.len(), naive.len().div_ceil(PAGE));
        for (at, row) in naive.iter().enumerate() {
            for (value, pages) in [&pages.keys, &pages.values].into_iter().enumerate() {
                let bytes: &[u8] = bytemuck::cast_slice(pages[at / PAGE]);
                assert_eq!(bytes.len() * 2 * SHAPE.layers, cache.shape().bytes_per_page().unwrap());
                for (place, byte) in bytes.iter().skip(at % PAGE).step_by(PAGE).enumerate() {
                    let wanted = stamp(layer, value == 1, place, *row);
                    assert_eq!(*byte, wanted, "values {value} of layer {layer}, position {at}");
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn every_timeline_keeps_its_own_history(
        ops in prop::collection::vec(op(), 1..60),
        shape in prop_oneof![Just(SHAPE), Just(BYTES)],
    ) {
        let mut timelines: Vec<(Cache, Naive)> = vec![(Cache::new(shape), Naive::new())];
        let mut next: u16 = 0;
        for op in ops {
            let at = |timeline: usize| timeline % timelines.len();
            match op {
                Op::Append { timeline, tokens } => {
                    let at = at(timeline);
                    let (cache, naive) = &mut timelines[at];
                    let rows: Vec<u16> = (0..tokens as u16).map(|i| next.wrapping_add(i)).collect();
                    next = next.wrapping_add(tokens as u16);
                    cache.reserve(tokens).unwrap();
                    write(cache, &rows);
                    cache.advance(tokens);
                    naive.extend(rows);
                }
                Op::Abandon { timeline, tokens } => {
                    let at = at(timeline);
                    let (cache, _) = &mut timelines[at];
                    cache.reserve(tokens).unwrap();
                    write(cache, &vec![9999; tokens]);
                    let len = cache.len();
                    cache.truncate(len);
                }
                Op::Truncate { timeline, len } => {
                    let at = at(timeline);
                    let (cache, naive) = &mut timelines[at];
                    cache.truncate(len);
                    naive.truncate(len);
                }
                Op::Fork { timeline } if timelines.len() < MAX_TIMELINES => {
                    let (cache, naive) = &timelines[at(timeline)];
                    let other = (cache.fork(), naive.clone());
                    timelines.push(other);
                }
                Op::End { timeline } if timelines.len() > 1 => {
                    let at = at(timeline);
                    timelines.swap_remove(at);
                }
                Op::Fork { .. } | Op::End { .. } => {}
            }
            for (cache, naive) in &timelines {
                assert_same(cache, naive);
                prop_assert!(cache.bytes() <= shape.bytes_for(naive.len() + 40).unwrap());
            }
        }
    }
}

#[test]
fn a_fork_copies_one_page_when_the_timelines_part() {
    let mut cache = Cache::new(SHAPE);
    cache.reserve(100).unwrap();
    write(&mut cache, &(0..100).collect::<Vec<u16>>());
    cache.advance(100);
    let mut other = cache.fork();
    assert_eq!((cache.shared_pages(), other.shared_pages()), (7, 7));
    other.reserve(1).unwrap();
    write(&mut other, &[500]);
    other.advance(1);
    assert_eq!((cache.shared_pages(), other.shared_pages()), (6, 6));
    drop(cache);
    assert_eq!(other.shared_pages(), 0);
}

#[test]
fn a_fork_is_told_as_much_of_its_end() {
    let cache = Cache::with_horizon(SHAPE, 40);
    assert_eq!((cache.horizon(), cache.fork().horizon()), (40, 40));
    assert_eq!(Cache::new(SHAPE).horizon(), usize::MAX);
}

#[test]
fn pages_waste_little() {
    for shape in [SHAPE, BYTES] {
        let mut cache = Cache::new(shape);
        cache.reserve(257).unwrap();
        cache.advance(257);
        let used = 257 * shape.bytes_per_token().unwrap();
        assert_eq!(cache.bytes(), 272 * shape.bytes_per_token().unwrap());
        assert!(cache.bytes() - used < PAGE * shape.bytes_per_token().unwrap());
        cache.truncate(16);
        assert_eq!(cache.bytes(), shape.bytes_per_page().unwrap());
        cache.truncate(0);
        assert_eq!(cache.bytes(), 0);
    }
}

#[test]
fn bytes_take_half_and_a_scale() {
    // Keys and values, of which each has two bytes a dimension, or one and a float in all.
    for (kv_heads, head_dim) in [(2, 64), (1, 128), (3, 80)] {
        let of = |kv| CacheShape { layers: 1, kv_heads, head_dim, kv }.bytes_per_token();
        assert_eq!(of(KvType::F16), Some(2 * kv_heads * head_dim * 2));
        assert_eq!(of(KvType::Int8), Some(2 * kv_heads * (head_dim + 4)));
    }
}

#[test]
fn sizes_that_are_no_numbers_are_refused() {
    for shape in [
        CacheShape { layers: usize::MAX, kv_heads: 1, head_dim: 1, ..SHAPE },
        CacheShape { layers: 1, kv_heads: usize::MAX, head_dim: usize::MAX, ..SHAPE },
        CacheShape { layers: usize::MAX, kv_heads: 1, head_dim: 1, ..BYTES },
        CacheShape { layers: 1, kv_heads: usize::MAX, head_dim: 2, ..BYTES },
        CacheShape { layers: 1, kv_heads: 2, head_dim: usize::MAX, ..BYTES },
    ] {
        assert_eq!(shape.bytes_for(1), None);
        let mut cache = Cache::new(shape);
        assert_eq!(cache.reserve(1), Err(CacheError::TooLarge { tokens: 1 }));
        assert!(cache.is_empty());
    }
    let huge = CacheShape { layers: 1 << 20, kv_heads: 1 << 12, head_dim: 1 << 18, ..SHAPE };
    let mut cache = Cache::new(huge);
    assert!(matches!(cache.reserve(1), Err(CacheError::OutOfMemory { tokens: 1, .. })));
    assert_eq!(cache.bytes(), 0);
    assert!(matches!(cache.reserve(usize::MAX), Err(CacheError::TooLarge { .. })));
}
