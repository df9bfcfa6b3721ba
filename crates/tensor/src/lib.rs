//! Numbers: what computes, and the bytes it computes with.
//!
//! The ground floor of the house. It knows vector instructions, quantised blocks, threads and
//! mapped files; it refuses to know what a token, a model family or a conversation is.
//!
//! Read it in this order:
//!
//! | module | what it holds |
//! |---|---|
//! | [`bytes`] | read-only bytes: a mapped file, a vector, a static |
//! | [`dtype`] | every ggml tensor type, by name and size |
//! | [`quant`] | one file a block format: layout, unpack, and the definition it is judged by |
//! | [`matrix`], [`rows`] | weights and activations |
//! | `layout` | how the rows of a matrix lie: as in the file, or interleaved |
//! | [`kv`] | what keys and values are stored as |
//! | [`isa`], `simd` | the instruction sets, one file each, behind one vocabulary |
//! | [`pool`], [`cores`] | the threads, and where one may run |
//! | [`cpu`], `kernel` | the fused operations a language model is made of |
//!
//! This is the only crate in which `unsafe` compiles. Kernel bodies have none, but for the one of
//! `avx512_bf16`: it stands in the loads and stores of each instruction set, in the call that
//! enters it, in the pool, where `cpu` hands out parts of a result, and in the mapping of files,
//! and each block names the fact it relies on.

pub mod bytes;
pub mod cores;
pub mod cpu;
pub mod dtype;
pub mod isa;
mod kernel;
pub mod kv;
mod layout;
pub mod matrix;
pub mod pool;
pub mod probe;
pub mod quant;
pub mod rows;
mod simd;

pub use bytes::{Arena, Bytes};
pub use cpu::{
    Cpu, KvPages, KvPagesMut, Rope, RopeStyle, SCREEN_FROM, argmax, log_sum_exp, softmax,
};
pub use dtype::DType;
pub use isa::Isa;
pub use kv::{KV_LAYOUT, KvLine, KvMemory, KvType, KvTypeError};
pub use matrix::{Matrix, MatrixError};
pub use quant::quantize;
pub use rows::Rows;
