//! Rotary positions, as a file describes them.

use ondine_format::RopeScaling;
use ondine_tensor::{Rope, RopeStyle};

use crate::error::ModelError;
use crate::weights::Weights;

/// The rotation of a family, with the file's base, scaling and frequency factors.
pub(crate) fn rope(w: &Weights<'_>, style: RopeStyle) -> Result<Rope, ModelError> {
    let h = w.hparams;
    let scale = match h.rope_scaling {
        RopeScaling::None => 1.0,
        RopeScaling::Linear { factor } => 1.0 / factor,
        RopeScaling::Other { ref kind, .. } => {
            return Err(w.unsupported(format!("rope scaling of the kind {kind:?}")));
        }
    };
    // One factor a frequency: how llama 3 stretches the slow ones.
    let factors = w.optional_vector("rope_freqs.weight", h.rope_dims / 2)?;
    Ok(Rope::new(style, h.rope_dims, h.rope_base, factors.as_deref(), scale))
}
