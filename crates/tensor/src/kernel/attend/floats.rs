//! Keys and values as they are computed, in 32-bit floats: nothing is rounded, and nothing is quick.
//!
//! Plain loops for every instruction set, in the order of tokens and dimensions. It is what the
//! other types are judged by on whole models, and what agrees best with another engine; twice the memory of
//! halves and far slower at depth. Both lie (kv_heads, PAGE, head_dim).

use std::ops::Range;

use super::{PAGE, Span};
use crate::kv::KvLine;

/// Puts rows of keys and values of one token into a page.
pub(crate) fn store(
    (k, v): (&[f32], &[f32]),
    (keys, values): (&mut [KvLine], &mut [KvLine]),
    head: usize,
    slot: usize,
) {
    let at = (head * PAGE + slot) * k.len();
    let floats: &mut [f32] = bytemuck::cast_slice_mut(keys);
    floats[at..at + k.len()].copy_from_slice(k);
    let floats: &mut [f32] = bytemuck::cast_slice_mut(values);
    floats[at..at + v.len()].copy_from_slice(v);
}

/// The rows of a span's head, one a token.
fn rows<'a>(span: &Span<'_>, pages: &[&'a [KvLine]]) -> impl Iterator<Item = &'a [f32]> {
    let size = span.head_dim * PAGE;
    let inside = span.head * size..(span.head + 1) * size;
    let dim = span.head_dim;
    pages.iter().flat_map(move |page| {
        let floats: &[f32] = bytemuck::cast_slice(page);
        floats[inside.clone()].chunks_exact(dim)
    })
}

/// Scores of all tokens of a span, (columns, tokens).
pub(super) fn scores(columns: &[&[f32]], span: &Span<'_>, scores: &mut [f32]) {
    let tokens = span.keys.len() * PAGE;
    for (q, scores) in columns.iter().zip(scores.chunks_exact_mut(tokens)) {
        for (score, key) in scores.iter_mut().zip(rows(span, span.keys)) {
            *score = q.iter().zip(key).map(|(q, k)| q * span.scale * k).sum();
        }
    }
}

/// Values weighted by scores, (columns, head_dim).
pub(super) fn sums(scores: &[f32], span: &Span<'_>, seen: &[Range<usize>], out: &mut [f32]) {
    let tokens = span.values.len() * PAGE;
    let columns = scores.chunks_exact(tokens).zip(seen).zip(out.chunks_exact_mut(span.head_dim));
    for ((scores, seen), out) in columns {
        out.fill(0.0);
        // Behind the last token a page holds whatever was there.
        let weighted = rows(span, span.values).zip(scores).skip(seen.start).take(seen.len());
        for (value, score) in weighted {
            for (out, value) in out.iter_mut().zip(value) {
                *out += score * value;
            }
        }
    }
}
