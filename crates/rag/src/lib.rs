//! Retrieval on the device: a folder of documents becomes passages, which are found by their words and
//! by their meaning.
//!
//! An [`Index`] is one folder on disk. [`Index::add`] brings a folder of documents into it, or up to date:
//! text, Markdown, HTML, PDF, DOCX and source code, each cut by its structure into passages that know
//! their lines. [`Index::search`] asks a keyword index (BM25 over English stems, letters and pairs of
//! Chinese, and the parts of identifiers) and the vectors of an [`Embedder`], and fuses both by reciprocal
//! rank. An index is [`Retrieve`](ondine_app::Retrieve), which is all that the framework asks for.
//!
//! ```
//! use ondine_rag::{Embedder, Index, Query};
//!
//! # let folder = std::env::temp_dir().join(format!("ondine-rag-doc-{}", std::process::id()));
//! # std::fs::create_dir_all(folder.join("notes"))?;
//! # std::fs::write(folder.join("notes/tea.md"), "# Tea\n\nGreen tea wants water of 80 degrees.\n")?;
//! let index = Index::create(&folder.join("index"), Some(Embedder::table()))?;
//! index.add(&folder.join("notes"), |_| true)?;
//! let found = index.search(&Query::new("how hot is the water for green tea?"))?;
//! assert_eq!((found[0].hit.path.as_str(), found[0].hit.line_end), ("tea.md", 3));
//! # std::fs::remove_dir_all(&folder)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Documents are strangers' work: each is read within bounds, and one that cannot be read is named in the
//! [`Report`] while the others are indexed. A process that is killed while it changes an index leaves the
//! state that was there before. The crate knows no model: whoever makes vectors is
//! [`Embed`](ondine_chat::Embed), by default the [`Table`] that ships with the program.
//!
//! | module | what it holds |
//! |---|---|
//! | `index` | an index, opened and asked |
//! | `add`, `walk` | a folder of documents comes in |
//! | `change` | how a state becomes the next one, in one step |
//! | `view`, `manifest`, `segment` | a state on the disk |
//! | `keywords`, `words` | passages by their words |
//! | `vectors`, `graph`, `embedder` | passages by their meaning |
//! | `table` | vectors without a model, the default |
//! | `read`, `chunk` | documents to blocks to passages |
//! | `answer` | what a model is asked about passages, and what it cited |
//! | `error` | what can go wrong |

mod add;
mod answer;
mod change;
mod chunk;
mod embedder;
mod error;
mod graph;
mod index;
mod keywords;
mod manifest;
mod read;
mod segment;
mod table;
#[cfg(test)]
mod tests;
mod vectors;
mod view;
mod walk;
mod words;

pub use add::{Report, Step};
pub use answer::{Citation, citation, citations, fitting, messages, quoted};
pub use chunk::{Chunk, chunks};
pub use embedder::Embedder;
pub use error::{RagError, Unread};
pub use index::{Found, Fusion, Index, Listed, Mode, Query, Rerank};
pub use read::{Block, Document, Kind, Shape, read};
pub use table::{ROWS_MAX, TEXT_BYTES_MAX, Table, TableError, WIDTH_MAX};
