//! One timeline: a table of pages and how many positions of them count.
//!
//! The order of a batch is plan, write, advance: [`Cache::reserve`] finds memory for the batch or
//! fails with nothing changed, every layer writes its part, and [`Cache::advance`] makes the
//! positions count. A batch that is given up between the first and the last leaves no trace.

use std::sync::Arc;

use ondine_tensor::cpu::PAGE;
use ondine_tensor::{KvPages, KvPagesMut};

use crate::error::CacheError;
use crate::page::{CacheShape, Page};

/// Tells pages apart: the same for two timelines where they share the page, for as long as one of
/// them holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PageId(usize);

/// Keys and values of one timeline.
///
/// There is no `Clone`: a second timeline is made by [`Cache::fork`], which says what it does.
#[derive(Debug)]
pub struct Cache {
    shape: CacheShape,
    /// Lines of the keys (or of the values) of one layer of a page; 0 where that is no number, and
    /// then there is never a page.
    block: usize,
    /// Covers at least `len` positions; what lies behind them is not defined.
    pages: Vec<Arc<Page>>,
    len: usize,
    horizon: usize,
}

impl Cache {
    /// An empty timeline. No memory is taken before [`Cache::reserve`].
    pub fn new(shape: CacheShape) -> Cache {
        Cache::with_horizon(shape, usize::MAX)
    }

    /// An empty timeline that will never hold more than `horizon` positions: some models turn the
    /// keys of short timelines otherwise, and have to know before the first.
    pub fn with_horizon(shape: CacheShape, horizon: usize) -> Cache {
        Cache { shape, block: shape.block().unwrap_or(0), pages: Vec::new(), len: 0, horizon }
    }

    /// The most positions that it was said to hold ever. Whoever evaluates keeps to it.
    pub fn horizon(&self) -> usize {
        self.horizon
    }

    /// What a position costs.
    pub fn shape(&self) -> CacheShape {
        self.shape
    }

    /// Positions that count: the next token stands here.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing was evaluated yet.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes of the pages in the table, those shared with another timeline among them.
    pub fn bytes(&self) -> usize {
        self.pages.len() * self.shape.bytes_per_page().unwrap_or(0)
    }

    /// Pages in the table that another timeline holds too.
    pub fn shared_pages(&self) -> usize {
        self.pages.iter().filter(|page| Arc::strong_count(page) > 1).count()
    }

    /// Which pages are in the table.
    pub fn page_ids(&self) -> impl Iterator<Item = PageId> {
        self.pages.iter().map(|page| PageId(Arc::as_ptr(page).addr()))
    }

    /// The pages that hold the positions that count, as bytes, for whoever keeps them elsewhere. What
    /// the bytes mean hangs on the [shape](Cache::shape) and on [`KV_LAYOUT`](crate::KV_LAYOUT).
    pub fn page_bytes(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.pages[..self.len.div_ceil(PAGE)].iter().map(|page| page.bytes())
    }

    /// Fills an empty timeline with `tokens` positions that were kept elsewhere: `read` is given the
    /// pages, one after another, and writes into each the bytes that [`Cache::page_bytes`] gave. Where
    /// it fails, the timeline is empty as before. That the bytes are the right ones is for it to know.
    ///
    /// # Errors
    /// Those of `read`, and no memory for a page.
    ///
    /// # Panics
    /// Where the timeline is not empty.
    pub fn fill<E: From<CacheError>>(
        &mut self,
        tokens: usize,
        mut read: impl FnMut(&mut [u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        assert!(self.is_empty(), "a timeline of {} positions is filled", self.len);
        self.pages.clear();
        let lines = self.shape.page().filter(|_| self.shape.bytes_for(tokens).is_some());
        let lines = lines.ok_or(CacheError::TooLarge { tokens })?;
        let mut pages = Vec::new();
        for _ in 0..tokens.div_ceil(PAGE) {
            let page = Page::new(lines);
            let mut page = page.map_err(|bytes| CacheError::OutOfMemory { bytes, tokens })?;
            read(page.bytes_mut())?;
            pages.push(Arc::new(page));
        }
        (self.pages, self.len) = (pages, tokens);
        Ok(())
    }

    /// Makes room for `tokens` positions after the present ones.
    ///
    /// # Errors
    /// [`CacheError`] where there is no memory for them; the cache is then as it was.
    pub fn reserve(&mut self, tokens: usize) -> Result<(), CacheError> {
        let upto = self.len.saturating_add(tokens);
        let too_large = CacheError::TooLarge { tokens: upto };
        let (Some(_), Some(lines)) = (self.shape.bytes_for(upto), self.shape.page()) else {
            return Err(too_large);
        };
        let before = self.pages.len();
        while self.pages.len() < upto.div_ceil(PAGE) {
            match Page::new(lines) {
                Ok(page) => self.pages.push(Arc::new(page)),
                Err(bytes) => {
                    self.pages.truncate(before);
                    return Err(CacheError::OutOfMemory { bytes, tokens: upto });
                }
            }
        }
        Ok(())
    }

    /// Makes `tokens` written positions count.
    ///
    /// # Panics
    /// Where [`Cache::reserve`] was not asked for as many.
    pub fn advance(&mut self, tokens: usize) {
        let room = self.pages.len() * PAGE - self.len;
        assert!(tokens <= room, "advanced by {tokens} positions with room for {room}");
        self.len += tokens;
    }

    /// Forgets every position from `len` on, and gives back the pages that only they used.
    /// A `len` beyond the end changes nothing.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
        self.pages.truncate(self.len.div_ceil(PAGE));
    }

    /// A second timeline with the same past. The pages are shared until one of the two writes.
    pub fn fork(&self) -> Cache {
        let pages = self.pages[..self.len.div_ceil(PAGE)].to_vec();
        let Cache { shape, block, len, horizon, .. } = *self;
        Cache { shape, block, pages, len, horizon }
    }

    /// Keys and values of `layer` for positions `0..upto`, page by page. The positions of the
    /// batch being written may be among them.
    ///
    /// # Panics
    /// Where `layer` or `upto` lie beyond what was reserved.
    pub fn layer(&self, layer: usize, upto: usize) -> KvPages<'_> {
        let block = self.block;
        let pages = &self.pages[..upto.div_ceil(PAGE)];
        let mut keys = Vec::with_capacity(pages.len());
        let mut values = Vec::with_capacity(pages.len());
        for page in pages {
            let (k, v) = page.layer(layer, block);
            keys.push(k);
            values.push(v);
        }
        let CacheShape { kv_heads, head_dim, kv, .. } = self.shape;
        KvPages { kv, keys, values, page_tokens: PAGE, kv_heads, head_dim }
    }

    /// Keys and values of `layer` for the pages that hold positions `from..to`, to write. The
    /// first page given is the one that holds `from`: it stands there at `from % PAGE`.
    ///
    /// A page that another timeline holds too is copied first, whole, since what lies before
    /// `from` in it is still our past.
    ///
    /// # Panics
    /// Where `layer` or `to` lie beyond what was reserved, or the range is empty.
    pub fn layer_mut(&mut self, layer: usize, from: usize, to: usize) -> KvPagesMut<'_> {
        assert!(from < to, "no positions to write between {from} and {to}");
        let block = self.block;
        let pages = &mut self.pages[from / PAGE..to.div_ceil(PAGE)];
        let mut keys = Vec::with_capacity(pages.len());
        let mut values = Vec::with_capacity(pages.len());
        for page in pages {
            let (k, v) = Arc::make_mut(page).layer_mut(layer, block);
            keys.push(k);
            values.push(v);
        }
        let CacheShape { kv_heads, head_dim, kv, .. } = self.shape;
        KvPagesMut { kv, keys, values, page_tokens: PAGE, kv_heads, head_dim }
    }
}
