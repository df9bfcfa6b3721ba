//! The families, by the name that a file's `general.architecture` gives.
//!
//! Adding one is a file beside these and a row in the table.

mod gemma3;
mod gpt2;
mod granite;
mod llama;
mod olmo2;
mod phi3;
mod qwen2;
mod qwen3;
mod qwen3moe;

use crate::error::ModelError;
use crate::model::Model;
use crate::weights::Weights;

/// One row: a name, and how its models are built.
pub(crate) struct Family {
    architecture: &'static str,
    pub(crate) load: fn(Weights<'_>) -> Result<Box<dyn Model>, ModelError>,
}

const FAMILIES: &[Family] = &[
    Family { architecture: "llama", load: llama::load },
    Family { architecture: "qwen2", load: qwen2::load },
    Family { architecture: "qwen3", load: qwen3::load },
    Family { architecture: "qwen3moe", load: qwen3moe::load },
    Family { architecture: "gemma3", load: gemma3::load },
    Family { architecture: "phi3", load: phi3::load },
    Family { architecture: "olmo2", load: olmo2::load },
    Family { architecture: "granite", load: granite::load },
    Family { architecture: "gpt2", load: gpt2::load },
];

/// The names of the families that can be loaded.
pub fn architectures() -> impl Iterator<Item = &'static str> {
    FAMILIES.iter().map(|family| family.architecture)
}

/// The family of this name.
pub(crate) fn find(architecture: &str) -> Result<&'static Family, ModelError> {
    FAMILIES.iter().find(|family| family.architecture == architecture).ok_or_else(|| {
        ModelError::Architecture {
            found: architecture.into(),
            supported: architectures().collect::<Vec<_>>().join(", "),
        }
    })
}
