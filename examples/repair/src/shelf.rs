//! The pairs in an index, as an application has one: a document each, found by what was said of a program
//! and by its code, by words and by the vectors of the table. It knows nothing of programs.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ondine::app::{Hit, Retrieve, RetrieveError};
use ondine::rag::{Embedder, Index, Table};

use crate::data::Pattern;

/// A shelf of pairs. Its folder is removed with it.
pub struct Shelf {
    folder: PathBuf,
    index: Index,
}

impl Shelf {
    /// Writes pairs down and indexes them.
    ///
    /// # Errors
    /// The disk.
    pub fn new(patterns: &[Pattern]) -> Result<Shelf, String> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("repair-shelf-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        let (pairs, said) = (folder.join("pairs"), |e: std::io::Error| e.to_string());
        std::fs::create_dir_all(&pairs).map_err(said)?;
        for pattern in patterns {
            std::fs::write(pairs.join(format!("{}.md", pattern.name)), &pattern.text)
                .map_err(said)?;
        }
        let embedder = Embedder::new(Table::NAME, Arc::new(Table::embedded()));
        let index = Index::create(&folder.join("index"), Some(embedder));
        let index = index.map_err(|e| e.to_string())?;
        index.add(&pairs, |_| true).map_err(|e| e.to_string())?;
        Ok(Shelf { folder, index })
    }
}

impl Retrieve for Shelf {
    fn retrieve(&self, question: &str, k: usize) -> Result<Vec<Hit>, RetrieveError> {
        self.index.retrieve(question, k)
    }
}

impl Drop for Shelf {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
