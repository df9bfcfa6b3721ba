//! Q8_0 whose upper and lower four bits lie apart: the layout of an output head.
//!
//! A group of rows is one stream, as in `layout`, but in two parts: what a coarse reading needs
//! comes first and together, so that the rest need not be read with it. With `u = q + 128`, of all
//! rows of a group side by side:
//!
//! ```text
//! block 0:  d | u >> 4 of weights 0..4 and 16..20 | .. of 4..8 and 20..24 | .. | ..      18 LANES bytes
//! block 1:  ...
//! block 0:  u & 15 of the same weights in the same order                                16 LANES bytes
//! block 1:  ...
//! ```
//!
//! Nothing is added: the bytes are as many as the file's. Beside them stands, for each block of a
//! group, a [span](spans): how far the lower bits can lead away from their middle.

use crate::quant::half_at;

/// Bytes of a block's first part, and of its second, for each row.
pub(crate) const UPPER: usize = 18;
pub(crate) const LOWER: usize = 16;
/// A block as files have it.
const BLOCK: usize = UPPER + LOWER;

/// What a span counts: a quarter of the step between two weights.
pub(crate) const SPAN: f32 = 0.25;

/// Writes whole groups of `lanes` rows of Q8_0.
///
/// # Panics
/// Where the lengths differ or are not whole groups.
pub(crate) fn split(lanes: usize, row_bytes: usize, rows: &[u8], out: &mut [u8]) {
    let group = lanes * row_bytes;
    assert!(rows.len() == out.len() && rows.len().is_multiple_of(group), "whole groups");
    let blocks = row_bytes / BLOCK;
    for (rows, out) in rows.chunks_exact(group).zip(out.chunks_exact_mut(group)) {
        let (upper, lower) = out.split_at_mut(lanes * UPPER * blocks);
        let parts =
            upper.chunks_exact_mut(lanes * UPPER).zip(lower.chunks_exact_mut(lanes * LOWER));
        for (b, (upper, lower)) in parts.enumerate() {
            let (scales, upper) = upper.split_at_mut(2 * lanes);
            for (r, row) in rows.chunks_exact(row_bytes).enumerate() {
                let block = &row[b * BLOCK..][..BLOCK];
                scales[2 * r..][..2].copy_from_slice(&block[..2]);
                let u = |i: usize| block[2 + i] ^ 0x80;
                for i in 0..16 {
                    // Line i / 4 holds four bytes of each row.
                    let at = (i / 4 * lanes + r) * 4 + i % 4;
                    upper[at] = u(i) >> 4 | (u(i + 16) & 0xf0);
                    lower[at] = (u(i) & 15) | u(i + 16) << 4;
                }
            }
        }
    }
}

/// Writes row `r` of a group as files have it.
///
/// # Panics
/// Where the group has no such row, or `out` is not a row.
pub(crate) fn row_of_group(lanes: usize, group: &[u8], r: usize, out: &mut [u8]) {
    assert!(r < lanes && group.len() == lanes * out.len(), "a row of the group");
    let blocks = out.len() / BLOCK;
    let (upper, lower) = group.split_at(lanes * UPPER * blocks);
    let parts = upper.chunks_exact(lanes * UPPER).zip(lower.chunks_exact(lanes * LOWER));
    for ((upper, lower), out) in parts.zip(out.chunks_exact_mut(BLOCK)) {
        let (scales, upper) = upper.split_at(2 * lanes);
        out[..2].copy_from_slice(&scales[2 * r..][..2]);
        for i in 0..16 {
            let at = (i / 4 * lanes + r) * 4 + i % 4;
            out[2 + i] = (upper[at] << 4 | (lower[at] & 15)) ^ 0x80;
            out[18 + i] = ((upper[at] & 0xf0) | lower[at] >> 4) ^ 0x80;
        }
    }
}

/// Writes, for each block of each group of rows as files have them, the largest length of what its rows'
/// lower bits add to their middle, 7.5: the root of the sum of `(u % 16 - 7.5)²`, in units of [`SPAN`],
/// rounded up; at most 170. `out` is (groups, blocks). False where a scale is no ordinary number, or
/// below zero: nothing is bounded then.
#[must_use]
pub(crate) fn spans(lanes: usize, row_bytes: usize, rows: &[u8], out: &mut [u8]) -> bool {
    let blocks = row_bytes / BLOCK;
    out.fill(0);
    let mut ordinary = true;
    for (rows, out) in rows.chunks_exact(lanes * row_bytes).zip(out.chunks_exact_mut(blocks)) {
        for row in rows.chunks_exact(row_bytes) {
            for (block, out) in row.chunks_exact(BLOCK).zip(out.iter_mut()) {
                let scale = half_at(block, 0);
                ordinary &= scale.is_finite() && scale >= 0.0;
                // Twice the distance, squared, is a whole number.
                let off = |q: &u8| (2 * i32::from((q ^ 0x80) & 15) - 15).pow(2);
                let square: i32 = block[2..].iter().map(off).sum();
                let length = (square as f32).sqrt() / 2.0;
                // The root is rounded; a little more is no less a bound.
                *out = (*out).max((length * 1.000_001 / SPAN).ceil() as u8);
            }
        }
    }
    ordinary
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back() {
        for (lanes, blocks) in [(4, 1), (8, 3), (16, 2)] {
            let row_bytes = blocks * BLOCK;
            let rows: Vec<u8> = (0..2 * lanes * row_bytes).map(|i| (i * 131 % 251) as u8).collect();
            let mut groups = vec![0; rows.len()];
            split(lanes, row_bytes, &rows, &mut groups);
            let mut back = vec![0; row_bytes];
            for (i, row) in rows.chunks_exact(row_bytes).enumerate() {
                let group = groups.chunks_exact(lanes * row_bytes).nth(i / lanes).unwrap();
                row_of_group(lanes, group, i % lanes, &mut back);
                assert_eq!(back, row, "row {i} of groups of {lanes}");
            }
        }
    }

    #[test]
    fn a_span_is_never_short() {
        let mut rows = vec![0; 4 * BLOCK];
        for (r, row) in rows.chunks_exact_mut(BLOCK).enumerate() {
            row[..2].copy_from_slice(&half::f16::from_f32(0.01).to_le_bytes());
            row[2..].iter_mut().enumerate().for_each(|(i, q)| *q = (i * (r + 3) * 7) as u8);
        }
        let mut span = [0];
        assert!(spans(4, BLOCK, &rows, &mut span));
        let length = |row: &[u8]| {
            let off = |q: &u8| (f64::from((q ^ 0x80) & 15) - 7.5).powi(2);
            row[2..].iter().map(off).sum::<f64>().sqrt()
        };
        let most = rows.chunks_exact(BLOCK).map(length).fold(0.0, f64::max);
        let bound = f64::from(span[0]) * f64::from(SPAN);
        assert!(bound >= most && bound < most + 0.26, "{bound} {most}");
        // The worst there is fits a byte.
        rows.chunks_exact_mut(BLOCK).for_each(|row| row[2..].fill(0x80));
        assert!(spans(4, BLOCK, &rows, &mut span));
        assert_eq!(span, [170]);
        rows[..2].copy_from_slice(&half::f16::from_f32(-0.01).to_le_bytes());
        assert!(!spans(4, BLOCK, &rows, &mut span), "a scale below zero");
        rows[..2].copy_from_slice(&half::f16::NAN.to_le_bytes());
        assert!(!spans(4, BLOCK, &rows, &mut span), "no number");
    }
}
