//! Hugging Face checkpoints: safetensors and `config.json`, given GGUF's names and metadata.
//!
//! What comes out is a [`ModelFile`] like any other, so that nothing above knows where a model was
//! stored. Converting copies only what must change its order: the rows of a llama's query and key
//! weights, and the transposed weights of gpt2. The tokenizer's files are read by [`vocab`], and
//! what says how an embedding model pools by [`pooling`].
//!
//! The files: `config` has the keys, `families` what each model type's tensors are called, `describe` its
//! metadata, `weights` its tensors, `index` which shard holds which.

use ondine_tensor::Bytes;

use crate::cursor::wide;
use crate::error::FormatError;
use crate::json;
use crate::limits;
use crate::metadata::Metadata;
use crate::model_file::ModelFile;
use crate::safetensors::{self, Entry};

mod config;
mod describe;
mod families;
mod index;
pub mod pooling;
pub mod vocab;
mod weights;

pub use index::Index;

use config::{Config, refuse_variants};
use describe::Described;
use families::{FAMILIES, Family, rename};
use weights::tensor;

/// Reads a checkpoint of one or several safetensors files.
///
/// # Errors
/// [`FormatError`] for the first thing that is wrong or is not converted.
pub fn read(config_json: &str, shards: Vec<Bytes>) -> Result<ModelFile, FormatError> {
    let mut entries = Vec::new();
    check_parts(shards.len())?;
    for shard in &shards {
        entries.extend(safetensors::read(shard)?);
    }
    convert(config_json, entries)
}

/// Reads a checkpoint whose shards were found by an index, in the order of [`Index::shards`].
///
/// # Errors
/// As [`read`], and where a shard does not hold the tensors that the index says.
pub fn read_indexed(
    config_json: &str,
    index: &Index,
    shards: Vec<Bytes>,
) -> Result<ModelFile, FormatError> {
    if shards.len() != index.shards.len() {
        return Err(FormatError::Split {
            key: "weight_map",
            found: wide(shards.len()),
            expected: format!("{} shards", index.shards.len()),
        });
    }
    let mut entries = Vec::new();
    for (file, shard) in index.shards.iter().zip(&shards) {
        for entry in safetensors::read(shard)? {
            match index.map.get(&entry.name) {
                Some(expected) if expected == file => entries.push(entry),
                expected => {
                    return Err(FormatError::Shard {
                        tensor: entry.name,
                        found: format!("{file:?}"),
                        expected: expected.cloned().unwrap_or_default(),
                    });
                }
            }
        }
    }
    // Names are unique in a shard and stand for one shard in the map: as many, the same.
    if entries.len() != index.map.len() {
        let there: std::collections::BTreeSet<&str> =
            entries.iter().map(|entry| entry.name.as_str()).collect();
        let absent = index.map.iter().find(|(name, _)| !there.contains(name.as_str()));
        if let Some((tensor, file)) = absent {
            return Err(FormatError::Shard {
                tensor: tensor.clone(),
                found: "no shard".to_owned(),
                expected: file.clone(),
            });
        }
    }
    convert(config_json, entries)
}

fn check_parts(count: usize) -> Result<(), FormatError> {
    let (found, limit) = (wide(count), limits::PARTS);
    if found > limit.max {
        return Err(FormatError::Limit { what: "shards".to_owned(), at: 0, found, limit });
    }
    Ok(())
}

fn convert(config_json: &str, entries: Vec<Entry>) -> Result<ModelFile, FormatError> {
    let config: Config = json::parse("config.json", config_json, limits::JSON_BYTES)?;
    let is = |family: &&Family| family.model_types.contains(&config.model_type.as_str());
    let Some(family) = FAMILIES.iter().find(is) else {
        let known: Vec<&str> =
            FAMILIES.iter().flat_map(|family| family.model_types).copied().collect();
        return Err(unsupported("model_type", &config.model_type, &known.join(", ")));
    };
    refuse_variants(&config, family)?;
    let mut metadata = Metadata::new();
    metadata.insert("general.architecture", family.architecture)?;
    let Described { heads, freqs } = (family.describe)(&config, family, &mut metadata)?;
    let mut tensors = Vec::with_capacity(entries.len().saturating_add(1));
    tensors.extend(freqs);
    if let Some(size) = config.vocab_size {
        metadata.insert(format!("{}.vocab_size", family.architecture), size)?;
    }
    let tied = !family.head || config.tie_word_embeddings.unwrap_or(family.tied);
    for entry in entries {
        let Some(name) = rename(family, &config.model_type, &entry.name)? else { continue };
        // A tied output is the embedding again.
        if tied && name == OUTPUT {
            continue;
        }
        tensors.push(tensor(family, heads, name, entry)?);
    }
    if !tied && !tensors.iter().any(|tensor| tensor.name == OUTPUT) {
        return Err(FormatError::MissingTensor { name: "lm_head.weight".to_owned() });
    }
    ModelFile::new(metadata, tensors)
}

const OUTPUT: &str = "output.weight";

fn unsupported(key: &str, found: &str, expected: &str) -> FormatError {
    FormatError::Config {
        key: key.to_owned(),
        found: format!("{found:?}"),
        expected: expected.to_owned(),
    }
}

fn missing(key: &str) -> FormatError {
    FormatError::Config {
        key: key.to_owned(),
        found: "missing".to_owned(),
        expected: "a number".to_owned(),
    }
}
