//! Model families, one file each, over shared layers.
//!
//! A [`Model`] turns tokens into logits. It owns weights and nothing else: what it remembers of a
//! conversation lies in the [`Cache`](ondine_cache::Cache) it is
//! given, and what computes is the [`Cpu`](ondine_tensor::Cpu) it is given.
//! It refuses to know text, sampling, files and how weights are stored.
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
//! | [`run`] | one batch: scratch memory, which logits are wanted |
//! | [`plan`](mod@plan) | how much memory a model takes |
//! | `weights` | tensors by name, shapes checked, none left over |

pub mod error;
pub mod family;
mod layer;
pub mod model;
pub mod plan;
pub mod run;
pub mod shape;
mod weights;

use ondine_format::{Hparams, ModelFile};

pub use error::ModelError;
pub use family::architectures;
pub use model::Model;
pub use plan::{MemoryPlan, plan};
pub use run::{BATCH, Run, Scratch, Want};
pub use shape::Shape;

use weights::Weights;

/// Builds the model that a file describes.
///
/// # Errors
/// An architecture or a part of it that is not supported, metadata out of range, a tensor that is
/// missing, has the wrong shape, or that the family has no place for.
pub fn load(file: &ModelFile) -> Result<Box<dyn Model>, ModelError> {
    let hparams = Hparams::of(file)?;
    let family = family::find(&hparams.architecture)?;
    (family.load)(Weights::new(file, &hparams)?)
}
