//! Key and value memory of a conversation, in pages.
//!
//! A [`Cache`] is one timeline: what attention remembers of the tokens evaluated so far. Its
//! memory comes in pages of [`PAGE`] tokens: few enough that little is wasted at the end of a
//! timeline, many enough that the table of pages is nothing beside the pages. Pages are shared between timelines by reference
//! count and copied when one of the sharers writes, so a fork costs nothing until the timelines
//! part, and then one page.
//!
//! It knows neither tokens nor models: it is told a shape and how many positions were written.
//! It also does not know how to move keys to other positions. Keys are stored after rotary
//! embedding, so a token that changes its position must be evaluated again; the session does that.
//!
//! ```
//! use ondine_cache::{Cache, CacheShape, KvType};
//!
//! let mut cache = Cache::new(CacheShape { layers: 2, kv_heads: 1, head_dim: 4, kv: KvType::F16 });
//! cache.reserve(20).unwrap();
//! // ... each layer writes its keys and values for positions 0..20 through `layer_mut` ...
//! cache.advance(20);
//!
//! let mut other = cache.fork(); // shares both pages
//! other.truncate(17);
//! assert_eq!((cache.len(), other.len()), (20, 17));
//! ```

mod error;
mod page;
mod timeline;

pub use error::CacheError;
pub use ondine_tensor::cpu::PAGE;
pub use ondine_tensor::{KV_LAYOUT, KvType};
pub use page::CacheShape;
pub use timeline::{Cache, PageId};
