//! The one kernel for the instruction that multiplies pairs of bf16 and adds them to floats.
//!
//! It is no instruction set of its own: AVX-512 machines since Cooper Lake and Zen 4 have it beside
//! the rest, and everything but bf16 weights is computed the same with it and without.

use std::arch::x86_64::*;

/// Whether this machine has the instruction.
pub(crate) fn is_available() -> bool {
    is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bf16")
}

/// The outer product: `panel` is (pairs, 16 rows, 2), `x` is (pairs, N) pairs, `out` is (N, 16).
#[target_feature(enable = "avx512f,avx512bf16")]
pub(crate) fn outer<const N: usize>(panel: &[i8], x: &[[u16; 2]], out: &mut [f32]) {
    let (lines, _) = panel.as_chunks::<64>();
    let (xs, _) = x.as_chunks::<N>();
    let mut acc = [_mm512_setzero_ps(); N];
    for (line, x) in lines.iter().zip(xs) {
        // SAFETY: the array is 64 readable bytes and the load asks for no alignment; any bits are
        // bf16.
        let w = unsafe {
            std::mem::transmute::<__m512i, __m512bh>(_mm512_loadu_si512(line.as_ptr().cast()))
        };
        for (acc, x) in acc.iter_mut().zip(x) {
            let x = _mm512_set1_epi32(bytemuck::cast(*x));
            // SAFETY: any bits are bf16.
            let x = unsafe { std::mem::transmute::<__m512i, __m512bh>(x) };
            *acc = _mm512_dpbf16_ps(*acc, w, x);
        }
    }
    for (acc, out) in acc.into_iter().zip(out.as_chunks_mut::<16>().0) {
        // SAFETY: the array is 64 writable bytes and the store asks for no alignment.
        unsafe { _mm512_storeu_ps(out.as_mut_ptr(), acc) }
    }
}
