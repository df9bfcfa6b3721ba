//! `model.safetensors.index.json`. Paths are the caller's; this file only says which names an index may hold.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::check_parts;
use crate::error::FormatError;
use crate::{json, limits};

/// `model.safetensors.index.json`: which shard holds which tensor.
#[derive(Clone, Debug)]
pub struct Index {
    pub(super) shards: Vec<String>,
    pub(super) map: BTreeMap<String, String>,
}

impl Index {
    /// Reads an index. Every shard is the plain name of a file beside it: no folder, no drive, no
    /// way up.
    ///
    /// # Errors
    /// Where the JSON cannot be read, or a name is more than that.
    pub fn read(index_json: &str) -> Result<Index, FormatError> {
        #[derive(Deserialize)]
        struct Raw {
            weight_map: BTreeMap<String, String>,
        }
        let raw: Raw = json::parse("shard index", index_json, limits::JSON_BYTES)?;
        let mut shards: Vec<String> = raw.weight_map.values().cloned().collect();
        shards.sort_unstable();
        shards.dedup();
        check_parts(shards.len())?;
        for name in &shards {
            check_file_name(name)?;
        }
        Ok(Index { shards, map: raw.weight_map })
    }

    /// The names of the shards, sorted: files in the folder of the index.
    pub fn shards(&self) -> &[String] {
        &self.shards
    }
}

fn check_file_name(name: &str) -> Result<(), FormatError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let problem = if name.contains(['/', '\\', ':']) {
        "is a path"
    } else if name.contains("..") || name.starts_with('.') {
        "begins with a dot or holds two in a row"
    } else if name.is_empty() || name.len() > 255 || !name.chars().all(plain) {
        "holds something else than letters, digits, dots and dashes, or is too long"
    } else if !name.ends_with(".safetensors") {
        "does not end in .safetensors"
    } else {
        return Ok(());
    };
    Err(FormatError::ShardName { name: name.to_owned(), problem })
}
