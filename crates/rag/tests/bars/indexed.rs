//! The index as an application has it, with the table that ships, asked in each of its ways.

use std::path::PathBuf;
use std::sync::Arc;

use ondine_rag::{Embedder, Mode, Query, Table};

use crate::asked::{Documents, Place};

/// Keyword alone, vector alone, both.
pub(crate) const WAYS: [Mode; 3] = [Mode::Words, Mode::Meaning, Mode::Fused];

pub(crate) struct Index {
    folder: PathBuf,
    index: ondine_rag::Index,
}

impl Index {
    pub(crate) fn new(name: &str, documents: &Documents) -> Index {
        let folder =
            std::env::temp_dir().join(format!("ondine-bars-{}-{name}", std::process::id()));
        for (path, text) in documents {
            let path = folder.join("documents").join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let embedder = Embedder::new(Table::NAME, Arc::new(Table::embedded()));
        let index = ondine_rag::Index::create(&folder.join("index"), Some(embedder)).unwrap();
        let report = index.add(&folder.join("documents"), |_| true).unwrap();
        assert!(report.skipped.is_empty(), "{:?}", report.skipped);
        Index { folder, index }
    }

    /// How many passages it has.
    pub(crate) fn len(&self) -> usize {
        self.index.len()
    }

    pub(crate) fn ask(&self, mode: Mode, question: &str, k: usize) -> Vec<Place> {
        let found = self.index.search(&Query::new(question).k(k).mode(mode)).unwrap();
        found.into_iter().map(|f| (f.hit.path, f.hit.line_start, f.hit.line_end)).collect()
    }
}

impl Drop for Index {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
