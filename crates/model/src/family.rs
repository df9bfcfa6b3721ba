//! The families, by the name that a file's `general.architecture` gives.
//!
//! Adding one is a file beside these and a row in the table of its kind.

mod bert;
mod gemma3;
mod gpt2;
mod granite;
mod llama;
mod olmo2;
mod phi3;
mod qwen2;
mod qwen3;
mod qwen3moe;

use crate::encoder::Encoder;
use crate::error::ModelError;
use crate::model::Model;
use crate::weights::Weights;

/// One row: a name, and how its models are built, as the kind `T`.
pub(crate) struct Family<T: ?Sized + 'static = dyn Model> {
    architecture: &'static str,
    pub(crate) load: fn(Weights<'_>) -> Result<Box<T>, ModelError>,
}

/// Those that continue a text.
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

/// Those that turn a text into numbers and continue none.
const ENCODERS: &[Family<dyn Encoder>] = &[Family { architecture: "bert", load: bert::load }];

/// The names of the families that can be loaded, of both kinds.
pub fn architectures() -> impl Iterator<Item = &'static str> {
    let encoders = ENCODERS.iter().map(|family| family.architecture);
    FAMILIES.iter().map(|family| family.architecture).chain(encoders)
}

/// A family, by its kind.
pub(crate) enum Kind {
    Decoder(&'static Family),
    Encoder(&'static Family<dyn Encoder>),
}

/// The family of this name.
pub(crate) fn find(architecture: &str) -> Result<Kind, ModelError> {
    let decoder = FAMILIES.iter().find(|family| family.architecture == architecture);
    let encoder = ENCODERS.iter().find(|family| family.architecture == architecture);
    match (decoder, encoder) {
        (Some(family), _) => Ok(Kind::Decoder(family)),
        (None, Some(family)) => Ok(Kind::Encoder(family)),
        (None, None) => Err(ModelError::Architecture {
            found: architecture.into(),
            supported: architectures().collect::<Vec<_>>().join(", "),
        }),
    }
}
