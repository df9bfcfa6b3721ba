//! granite: a llama whose embedding, queries, parts and logits are scaled by numbers in the file.

use ondine_tensor::RopeStyle;

use super::llama::attention;
use crate::error::ModelError;
use crate::layer::{Decoder, Design, DesignScales, usual_scale};
use crate::model::Model;
use crate::weights::Weights;

// Config: all of it is in the file. Query and key rows lie so that neighbours rotate together.
const ROPE: RopeStyle = RopeStyle::Interleaved;

pub(crate) fn load(w: Weights<'_>) -> Result<Box<dyn Model>, ModelError> {
    let file = w.hparams.scales;
    let scales = DesignScales {
        embedding: file.embedding.unwrap_or(1.0),
        residual: file.residual.unwrap_or(1.0),
        attention: file.attention.unwrap_or(usual_scale(w.shape.head_dim)),
        // This one divides.
        logits: 1.0 / file.logits.unwrap_or(1.0),
    };
    Decoder::load(w, &Design { scales: Some(scales), ..Design::new(ROPE, attention) })
}
