//! How the rows of a matrix lie: one after another, as files have them, or interleaved.
//!
//! A product wants to load the same few weights of many rows at once. Interleaved, as many rows as
//! a vector has lanes are a group, and a group is one stream of bytes: block by block, each field
//! of the block for all rows side by side, the weights four bytes at a time. Nothing is converted
//! and nothing is added: the bytes are those of the file in another order, and as many.
//!
//! ```text
//! Q4_0, a block of all rows     d0 d1 .. d15 | qs0[0..4] qs1[0..4] .. qs15[0..4] | qs0[4..8] ..
//! ```
//!
//! This file knows the order; what is computed with it stands in `kernel/interleaved.rs`.

pub(crate) mod halves;

use crate::dtype::DType;

/// A field of a block: `count` units of `unit` bytes from byte `from` on.
struct Field {
    from: usize,
    unit: usize,
    count: usize,
}

const fn field(from: usize, unit: usize, count: usize) -> Field {
    Field { from, unit, count }
}

/// The fields of a block in the order in which a group has them; `None` for types that have no
/// kernel for interleaved rows.
const fn fields(dtype: DType) -> Option<&'static [Field]> {
    Some(match dtype {
        DType::Q4_0 => const { &[field(0, 2, 1), field(2, 4, 4)] },
        DType::Q5_0 => const { &[field(0, 2, 1), field(2, 4, 5)] },
        DType::Q8_0 => const { &[field(0, 2, 1), field(2, 4, 8)] },
        DType::Q4K => const { &[field(0, 2, 2), field(4, 1, 12), field(16, 4, 32)] },
        DType::Q5K => const { &[field(0, 2, 2), field(4, 1, 12), field(16, 4, 40)] },
        DType::Q6K => const { &[field(208, 2, 1), field(192, 1, 16), field(0, 4, 48)] },
        _ => return None,
    })
}

/// Whether rows of this type can be interleaved.
pub(crate) fn interleaves(dtype: DType) -> bool {
    fields(dtype).is_some()
}

/// Writes whole groups of `lanes` rows interleaved.
///
/// # Panics
/// Where the type has no such order, or the lengths differ or are not whole groups.
pub(crate) fn interleave(
    dtype: DType,
    lanes: usize,
    row_bytes: usize,
    rows: &[u8],
    out: &mut [u8],
) {
    let fields = fields(dtype).expect("a type that interleaves");
    let (group, block) = (lanes * row_bytes, dtype.block_bytes());
    assert!(rows.len() == out.len() && rows.len().is_multiple_of(group), "whole groups");
    for (rows, out) in rows.chunks_exact(group).zip(out.chunks_exact_mut(group)) {
        // The rows are read side by side below, which no prefetcher follows: here they pass once
        // as the one sequential stream that they are.
        std::hint::black_box(rows.iter().step_by(64).fold(0, |all, byte| all ^ byte));
        for (b, out) in out.chunks_exact_mut(lanes * block).enumerate() {
            let mut at = 0;
            for f in fields {
                let (from, size) = (b * block + f.from, f.unit * f.count * lanes);
                let out = &mut out[at..at + size];
                match f.unit {
                    1 => spread::<1>(rows, row_bytes, from, lanes, out),
                    2 => spread::<2>(rows, row_bytes, from, lanes, out),
                    _ => spread::<4>(rows, row_bytes, from, lanes, out),
                }
                at += size;
            }
        }
    }
}

/// Puts each row's units, from byte `from` of the row on, `lanes` places apart.
#[inline(always)]
fn spread<const UNIT: usize>(
    rows: &[u8],
    row_bytes: usize,
    from: usize,
    lanes: usize,
    out: &mut [u8],
) {
    let (out, _) = out.as_chunks_mut::<UNIT>();
    let count = out.len() / lanes;
    for (r, row) in rows.chunks_exact(row_bytes).enumerate() {
        let (units, _) = row[from..from + count * UNIT].as_chunks::<UNIT>();
        for (unit, to) in units.iter().zip(out[r..].iter_mut().step_by(lanes)) {
            *to = *unit;
        }
    }
}

/// Writes row `r` of a group as files have it.
///
/// # Panics
/// Where the type has no such order, the group has no such row, or `out` is not a row.
pub(crate) fn row_of_group(dtype: DType, lanes: usize, group: &[u8], r: usize, out: &mut [u8]) {
    let fields = fields(dtype).expect("a type that interleaves");
    let block = dtype.block_bytes();
    assert!(r < lanes && group.len() == lanes * out.len(), "a row of the group");
    for (group, out) in group.chunks_exact(lanes * block).zip(out.chunks_exact_mut(block)) {
        let mut at = 0;
        for f in fields {
            for i in 0..f.count {
                let from = at + (i * lanes + r) * f.unit;
                let to = f.from + i * f.unit;
                out[to..to + f.unit].copy_from_slice(&group[from..from + f.unit]);
            }
            at += f.unit * f.count * lanes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_its_fields_and_no_byte_is_left_out() {
        for dtype in DType::all().filter(|d| interleaves(*d)) {
            let mut seen = vec![0; dtype.block_bytes()];
            for f in fields(dtype).unwrap() {
                seen[f.from..f.from + f.unit * f.count].iter_mut().for_each(|n| *n += 1);
            }
            assert!(seen.iter().all(|&n| n == 1), "{dtype}: {seen:?}");
        }
    }

    #[test]
    fn rows_come_back() {
        for dtype in DType::all().filter(|d| interleaves(*d)) {
            for (lanes, blocks) in [(4, 1), (8, 3), (16, 2)] {
                let row_bytes = blocks * dtype.block_bytes();
                let rows: Vec<u8> =
                    (0..2 * lanes * row_bytes).map(|i| (i * 131 % 251) as u8).collect();
                let mut groups = vec![0; rows.len()];
                interleave(dtype, lanes, row_bytes, &rows, &mut groups);
                let mut back = vec![0; row_bytes];
                for (i, row) in rows.chunks_exact(row_bytes).enumerate() {
                    let group = groups.chunks_exact(lanes * row_bytes).nth(i / lanes).unwrap();
                    row_of_group(dtype, lanes, group, i % lanes, &mut back);
                    assert_eq!(back, row, "{dtype}, row {i} of groups of {lanes}");
                }
            }
        }
    }
}
