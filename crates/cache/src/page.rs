//! One page: the keys and values of [`PAGE`] tokens in every layer. Knows no timeline.
//!
//! ```text
//! page  = layer 0, layer 1, ...
//! layer = keys, values                kv_heads * head_dim * PAGE floats of 16 bits each
//! ```
//!
//! How the keys of a layer lie among themselves is the kernels' affair.
//!
//! A page spans all layers, so that the table of a timeline has one entry for sixteen tokens
//! whatever the depth of the model, and a copy on write is one allocation.

use half::f16;
use ondine_tensor::cpu::PAGE;

/// What a position costs: how many layers, and how much each keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheShape {
    /// Layers with attention.
    pub layers: usize,
    /// Heads of keys and values.
    pub kv_heads: usize,
    /// Width of a head.
    pub head_dim: usize,
}

impl CacheShape {
    /// Floats in the keys (or in the values) of one layer of a page.
    pub(crate) fn block(&self) -> usize {
        self.kv_heads * PAGE * self.head_dim
    }

    /// Floats in a page, or `None` where that is no number.
    fn checked_page(&self) -> Option<usize> {
        let block = self.kv_heads.checked_mul(PAGE)?.checked_mul(self.head_dim)?;
        block.checked_mul(2)?.checked_mul(self.layers)
    }

    /// Bytes of keys and values that one position takes; `None` where that is no number.
    pub fn bytes_per_token(&self) -> Option<usize> {
        Some(self.bytes_per_page()? / PAGE)
    }

    /// Bytes of one page; `None` where that is no number.
    pub fn bytes_per_page(&self) -> Option<usize> {
        self.checked_page()?.checked_mul(size_of::<f16>())
    }

    /// Bytes of the pages that `tokens` positions take; `None` where that is no number.
    pub fn bytes_for(&self, tokens: usize) -> Option<usize> {
        tokens.div_ceil(PAGE).checked_mul(self.bytes_per_page()?)
    }
}

/// The memory of one page.
#[derive(Clone, Debug)]
pub(crate) struct Page(Vec<f16>);

impl Page {
    /// A page of zeros, or the number of bytes that there was no memory for.
    pub(crate) fn new(floats: usize) -> Result<Page, usize> {
        let mut data = Vec::new();
        data.try_reserve_exact(floats).map_err(|_| floats * size_of::<f16>())?;
        data.resize(floats, f16::ZERO);
        Ok(Page(data))
    }

    /// Keys and values of one layer.
    pub(crate) fn layer(&self, layer: usize, block: usize) -> (&[f16], &[f16]) {
        self.0[layer * 2 * block..(layer + 1) * 2 * block].split_at(block)
    }

    /// Keys and values of one layer, to write.
    pub(crate) fn layer_mut(&mut self, layer: usize, block: usize) -> (&mut [f16], &mut [f16]) {
        self.0[layer * 2 * block..(layer + 1) * 2 * block].split_at_mut(block)
    }
}
