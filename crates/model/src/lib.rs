//! Model families, one file each, over shared layers.
//!
//! A [`Model`] turns tokens into logits. It owns weights and nothing else: what it remembers of a
//! conversation lies in the [`Cache`](ondine_cache::Cache) it is
//! given, and what computes is the [`Cpu`] it is given.
//! An [`Encoder`] turns the tokens of a whole text into a row for each, and remembers nothing.
//! The crate refuses to know text, sampling, files and how weights are stored.
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use ondine_model::Want;
//! # let file = ondine_format::gguf::read(ondine_tensor::Bytes::from_vec(vec![]))?;
//! let model = ondine_model::load(&file)?;
//! let cpu = ondine_tensor::Cpu::new(2, ondine_tensor::Isa::best());
//! let mut cache = ondine_cache::Cache::new(model.shape().cache());
//! let logits = model.forward(&cpu, &[1, 2, 3], &mut cache, Want::Last)?; // (1, vocab)
//! # Ok(())
//! # }
//! ```
//!
//! | module | what it holds |
//! |---|---|
//! | `family/` | one file a family, and the table of their names |
//! | `layer/` | the parts they are made of |
//! | [`model`] | the trait, checks and pieces that all families share |
//! | [`encoder`] | the same for those that continue no text |
//! | [`run`] | one batch: scratch memory, which logits are wanted |
//! | [`plan`](mod@plan) | how much memory a model takes |
//! | `weights` | tensors by name, shapes checked, none left over |

pub mod encoder;
pub mod error;
pub mod family;
mod layer;
pub mod model;
pub mod plan;
pub mod run;
pub mod shape;
mod weights;

use ondine_format::{Hparams, ModelFile};
use ondine_tensor::Cpu;

pub use encoder::{Encoder, Pooling};
pub use error::ModelError;
pub use family::architectures;
pub use model::{Model, Part};
pub use plan::{MemoryPlan, plan, sizes};
pub use run::{BATCH, Run, Scratch, Want};
pub use shape::Shape;

use family::Kind;
use weights::Weights;

/// Builds the model that a file describes. Its weights stay in the file's bytes.
///
/// # Errors
/// An architecture or a part of it that is not supported, metadata out of range, a tensor that is
/// missing, has the wrong shape, or that the family has no place for; an encoder.
pub fn load(file: &ModelFile) -> Result<Box<dyn Model>, ModelError> {
    decoder(file, None)
}

/// Builds the model that a file describes, with its weights laid out for `cpu` in memory of their
/// own, wherever that is faster. The file's pages are let go, so that there is no second copy; but
/// where a mapped file is the system's to drop and read again, this memory is the process's own.
///
/// The model is then to be run by a [`Cpu`] of the same instruction set.
///
/// # Errors
/// Those of [`load`].
pub fn load_for(file: &ModelFile, cpu: &Cpu) -> Result<Box<dyn Model>, ModelError> {
    decoder(file, Some(cpu))
}

fn decoder(file: &ModelFile, layout: Option<&Cpu>) -> Result<Box<dyn Model>, ModelError> {
    let hparams = Hparams::of(file)?;
    match family::find(&hparams.architecture)? {
        Kind::Decoder(family) => {
            let weights = Weights::new(file, &hparams, layout)?;
            if hparams.causal == Some(false) {
                return Err(weights.unsupported("attention in both directions"));
            }
            (family.load)(weights)
        }
        Kind::Encoder(_) => Err(ModelError::Encoder { architecture: hparams.architecture }),
    }
}

/// Builds the encoder that a file describes.
///
/// # Errors
/// As [`load`], where the file holds a decoder instead.
pub fn load_encoder(file: &ModelFile) -> Result<Box<dyn Encoder>, ModelError> {
    encoder(file, None)
}

/// Builds the encoder that a file describes, with its weights laid out as by [`load_for`].
///
/// # Errors
/// Those of [`load_encoder`].
pub fn load_encoder_for(file: &ModelFile, cpu: &Cpu) -> Result<Box<dyn Encoder>, ModelError> {
    encoder(file, Some(cpu))
}

fn encoder(file: &ModelFile, layout: Option<&Cpu>) -> Result<Box<dyn Encoder>, ModelError> {
    let hparams = Hparams::of(file)?;
    match family::find(&hparams.architecture)? {
        Kind::Encoder(family) => {
            let weights = Weights::new(file, &hparams, layout)?;
            if hparams.causal == Some(true) {
                return Err(weights.unsupported("attention in one direction"));
            }
            (family.load)(weights)
        }
        Kind::Decoder(_) => Err(ModelError::Decoder { architecture: hparams.architecture }),
    }
}
