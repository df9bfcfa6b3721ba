//! What the tests of an index share: folders, and vectors of words that stand in for an embedder.

#![allow(dead_code, reason = "each test takes what it needs")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use ondine_chat::{ChatError, Embed, Embedded};
use ondine_rag::Embedder;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// An empty folder that nobody else has; it goes with this.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Folder {
        let (id, next) = (std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(format!("ondine-rag-{name}-{id}-{next}"));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        Folder(folder)
    }

    pub(crate) fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        let full = self.0.join(path);
        std::fs::create_dir_all(full.parent().unwrap()).unwrap();
        std::fs::write(full, text).unwrap();
    }

    pub(crate) fn at(&self, path: &str) -> PathBuf {
        self.0.join(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Counts words, and pairs of letters, at places that a hash chooses.
pub(crate) struct Hashing(pub(crate) u64);

impl Embed for Hashing {
    fn embed(&self, _model: &str, texts: &[String]) -> Result<Embedded, ChatError> {
        let vectors = texts.iter().map(|text| self.vector(text)).collect();
        Ok(Embedded { vectors, tokens: texts.len() })
    }
}

impl Hashing {
    fn vector(&self, text: &str) -> Vec<f32> {
        let mut vector = vec![0.0f32; 256];
        let lower = text.to_lowercase();
        let words = lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
        for word in words {
            let mut count = |bytes: &[u8]| {
                let mut hash = self.0 ^ 0xcbf2_9ce4_8422_2325;
                bytes
                    .iter()
                    .for_each(|b| hash = (hash ^ u64::from(*b)).wrapping_mul(0x100_0000_01b3));
                vector[(hash >> 20) as usize % 256] += if hash & 1 == 0 { 1.0 } else { -1.0 };
            };
            if word.is_ascii() {
                count(word.as_bytes());
            } else {
                let letters: Vec<char> = word.chars().collect();
                letters.windows(2).for_each(|two| count(String::from_iter(two).as_bytes()));
            }
        }
        let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
        if length > 0.0 {
            vector.iter_mut().for_each(|x| *x /= length);
        }
        vector
    }
}

/// An embedder for tests; another `kind` is another one.
pub(crate) fn embedder(kind: u64) -> Embedder {
    Embedder::new(format!("hashing-{kind}"), Arc::new(Hashing(kind)))
}

/// Whether any file below a folder holds these bytes.
pub(crate) fn anywhere(folder: &Path, needle: &str) -> Option<PathBuf> {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            if let Some(found) = anywhere(&path, needle) {
                return Some(found);
            }
        } else if std::fs::read(&path).is_ok_and(|bytes| {
            bytes.windows(needle.len()).any(|window| window == needle.as_bytes())
        }) {
            return Some(path);
        }
    }
    None
}
