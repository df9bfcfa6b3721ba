//! One page: the keys and values of [`PAGE`] tokens in every layer. Knows no timeline.
//!
//! ```text
//! page  = layer 0, layer 1, ...
//! layer = keys, values                as many lines of 64 bytes each as their type takes
//! ```
//!
//! How the keys of a layer lie among themselves is the kernels' affair.
//!
//! A page spans all layers, so that the table of a timeline has one entry for sixteen tokens
//! whatever the depth of the model, and a copy on write is one allocation.

use ondine_tensor::cpu::PAGE;
use ondine_tensor::{KvLine, KvMemory, KvType};

/// What a position costs: how many layers, how much each keeps, and as what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheShape {
    /// Layers with attention.
    pub layers: usize,
    /// Heads of keys and values.
    pub kv_heads: usize,
    /// Width of a head.
    pub head_dim: usize,
    /// What keys and values are stored as.
    pub kv: KvType,
}

impl CacheShape {
    /// Lines of the keys (or of the values) of one layer of a page; `None` where that is no number.
    pub(crate) fn block(&self) -> Option<usize> {
        self.kv.lines(self.kv_heads, self.head_dim)
    }

    /// Lines of a page; `None` where that is no number.
    pub(crate) fn page(&self) -> Option<usize> {
        self.block()?.checked_mul(2)?.checked_mul(self.layers)
    }

    /// Bytes of keys and values that one position takes; `None` where that is no number.
    pub fn bytes_per_token(&self) -> Option<usize> {
        Some(self.bytes_per_page()? / PAGE)
    }

    /// Bytes of one page; `None` where that is no number.
    pub fn bytes_per_page(&self) -> Option<usize> {
        self.page()?.checked_mul(size_of::<KvLine>())
    }

    /// Bytes of the pages that `tokens` positions take; `None` where that is no number.
    pub fn bytes_for(&self, tokens: usize) -> Option<usize> {
        tokens.div_ceil(PAGE).checked_mul(self.bytes_per_page()?)
    }
}

/// The memory of one page.
#[derive(Clone, Debug)]
pub(crate) struct Page(KvMemory);

impl Page {
    /// A page of zeros, or the number of bytes that there was no memory for.
    pub(crate) fn new(lines: usize) -> Result<Page, usize> {
        KvMemory::zeros(lines).map(Page).ok_or(lines * size_of::<KvLine>())
    }

    /// All of it, as bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        bytemuck::cast_slice(&self.0)
    }

    /// All of it, as bytes to write.
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        bytemuck::cast_slice_mut(&mut self.0)
    }

    /// Keys and values of one layer.
    pub(crate) fn layer(&self, layer: usize, block: usize) -> (&[KvLine], &[KvLine]) {
        self.0[layer * 2 * block..(layer + 1) * 2 * block].split_at(block)
    }

    /// Keys and values of one layer, to write.
    pub(crate) fn layer_mut(
        &mut self,
        layer: usize,
        block: usize,
    ) -> (&mut [KvLine], &mut [KvLine]) {
        self.0[layer * 2 * block..(layer + 1) * 2 * block].split_at_mut(block)
    }
}
