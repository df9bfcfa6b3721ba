//! The fused operations, one file a family. Bodies are safe Rust over `simd`'s vocabulary.
//!
//! | file | what it computes |
//! |---|---|
//! | `activation` | activations as bytes with scales, by row and in packed tiles |
//! | `columns` | a few columns of such bytes, laid out for `rows` |
//! | `rows` | quantised weights times a few columns of quantised activations |
//! | `interleaved` | the same where the rows are interleaved |
//! | `halves` | an output head whose bits lie apart: all of it, and a coarse reading with bounds |
//! | `panel` | rows as they lie, for many columns |
//! | `float_product` | 16- and 32-bit float weights times float activations |
//! | `bf16_product` | bf16 weights where the machine multiplies pairs of them |
//! | `attend` | attention over pages of keys and values: what all types of them share |
//! | `attend/halves`, `attend/bytes` | keys and values as 16-bit floats, and as bytes |
//! | `element` | norms, gates, softmax, rotary positions |
//!
//! Nothing here splits work over threads: `cpu` does that, and hands each kernel its part.

pub(crate) mod activation;
pub(crate) mod attend;
pub(crate) mod bf16_product;
pub(crate) mod columns;
pub(crate) mod element;
pub(crate) mod float_product;
pub(crate) mod halves;
pub(crate) mod interleaved;
pub(crate) mod opened;
pub(crate) mod panel;
pub(crate) mod rows;
