//! One vocabulary of vector operations; one file an instruction set.
//!
//! Kernels are written once, in safe Rust, over the words below; [`vectors`] compiles each body
//! for every instruction set, with `v` standing for its file, and [`on`] picks at run time, once
//! a call and never inside a loop. The words are functions rather than a trait because an
//! intrinsic is safe to call only from a function that enables its features, and trait methods
//! cannot enable any. What the words mean is defined by `scalar.rs`, which is also the judge in
//! the tests in `simd/tests.rs`.
//!
//! | word | meaning |
//! |---|---|
//! | `LANES` | floats in a vector, and weight rows in a panel line |
//! | `COLS` | activation columns that a tile keeps in registers |
//! | `BIAS` | what a panel adds to each weight byte, so that the left factor is unsigned where the instruction wants that |
//! | `zero splat load store add sub mul div mul_add max sum peak` | floats; `peak` is the largest lane |
//! | `exp` | e to the x, within 2 units in the last place for x in -87..=88; zero below, infinity above |
//! | `load_half load_bf16 store_half` | LANES 16-bit floats |
//! | `isplat to_f32` | integers |
//! | `line`, `dot4` | a panel line of LANES rows by 4 columns, and its product with 4 activations |
//! | `Quads`, `quads dot4_counts` | a line of signed bytes as they are, and its product with 4 numbers in 0..=127 |
//! | `Small`, `small low_nibbles high_nibbles six` | a line of weights in 0..=63, out of stored lines: whole bytes, nibbles, or a nibble and two bits at `J` |
//! | `five five_of_quad` | nibbles with a fifth bit: bit `bit` of each byte, or bit 4 `quad` + j of each row's word for its byte j |
//! | `dot4_small` | its product with 4 activations, added to a `Run`: 8 of weights below 16, 4 below 32, 2 below 64 |
//! | `open close` | a run that goes on from sums, and the sums after it: sets without a byte product of their own add up a run in sixteen bits |
//! | `biased` | a line of stored signed bytes, with `BIAS` added |
//! | `joined` | two such lines out of their upper and lower nibbles: of the low nibbles of both, and of the high |
//! | `prefetch` | asks for memory that will be read soon, wherever it is |
//! | `halves unsigned signed` | LANES floats out of stored halves or bytes |
//! | `lines` | strips of LANES rows of unpacked weights, turned into panel lines (without the bias on `scalar`, `avx2`, `neon`: theirs is zero) |
//! | `GROUPS` | groups of 32 weights that a step of the row kernels takes |
//! | `weights q4_0 q5_0 q8_0` | a step of 32 GROUPS weights made ready: from signed bytes, or from stored blocks with their scales |
//! | `nibbles` | two groups of weights 0..=15: the low nibbles of 32 bytes, then the high ones |
//! | `sixes` | half a block of Q6_K |
//! | `factors factors_of_halves` | scales of a step's groups, or of its sixteens, spread over the lanes |
//! | `arrange` | a step of activations as `dot` wants it: in which order, and with which bias |
//! | `dot` | a step of weights times a step of arranged activations: integers, each lane of one group of 16 |
//! | `acc accumulate total` | float sums of such products, scaled; `total` folds two of them |
//! | `round_to_i8` | nearest integers (ties to even) of floats already scaled into -127..=127 |

pub(crate) mod scalar;

#[cfg(target_arch = "x86_64")]
pub(crate) mod avx2;
#[cfg(target_arch = "x86_64")]
pub(crate) mod avx512;
#[cfg(target_arch = "x86_64")]
pub(crate) mod avx512_bf16;
#[cfg(target_arch = "aarch64")]
pub(crate) mod neon;

/// Compiles functions for every instruction set; `v` is the vocabulary inside them.
macro_rules! vectors {
    ($($item:item)*) => {
        #[allow(dead_code, clippy::too_many_arguments, reason = "one body, several sets")]
        mod on_scalar {
            #[allow(unused_imports, reason = "not every body needs its file's imports")]
            use super::*;
            use $crate::simd::scalar as v;
            $($item)*
        }
        #[cfg(target_arch = "x86_64")]
        #[allow(dead_code, clippy::too_many_arguments, reason = "one body, several sets")]
        mod on_avx2 {
            #[allow(unused_imports, reason = "not every body needs its file's imports")]
            use super::*;
            use $crate::simd::avx2 as v;
            $(#[target_feature(enable = "avx2,fma,f16c")] $item)*
        }
        #[cfg(target_arch = "x86_64")]
        #[allow(dead_code, clippy::too_many_arguments, reason = "one body, several sets")]
        mod on_avx512 {
            #[allow(unused_imports, reason = "not every body needs its file's imports")]
            use super::*;
            use $crate::simd::avx512 as v;
            $(
                #[target_feature(
                    enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c"
                )]
                $item
            )*
        }
        #[cfg(target_arch = "aarch64")]
        #[allow(dead_code, clippy::too_many_arguments, reason = "one body, several sets")]
        mod on_neon {
            #[allow(unused_imports, reason = "not every body needs its file's imports")]
            use super::*;
            use $crate::simd::neon as v;
            $(#[target_feature(enable = "neon,dotprod")] $item)*
        }
    };
}
pub(crate) use vectors;

/// Calls the copy of a function of [`vectors`] that was compiled for `$isa`.
///
/// The caller holds an `Isa` that the machine was found to run: `Cpu::new` refuses others, and what
/// does not come from a `Cpu` comes from `Isa::best` or `Isa::available`.
macro_rules! on {
    ($isa:expr, $name:ident $(::<$($g:tt),*>)? ($($arg:expr),* $(,)?)) => {
        match $isa {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: `isa` was found on this machine, so the features are there.
            $crate::isa::Isa::Avx2 => unsafe { on_avx2::$name $(::<$($g),*>)? ($($arg),*) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            $crate::isa::Isa::Avx512 => unsafe { on_avx512::$name $(::<$($g),*>)? ($($arg),*) },
            #[cfg(target_arch = "aarch64")]
            // SAFETY: as above.
            $crate::isa::Isa::Neon => unsafe { on_neon::$name $(::<$($g),*>)? ($($arg),*) },
            _ => on_scalar::$name $(::<$($g),*>)? ($($arg),*),
        }
    };
}
pub(crate) use on;

#[cfg(test)]
mod tests;
