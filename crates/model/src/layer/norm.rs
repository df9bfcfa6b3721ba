//! Bringing rows to one size. Two kinds, by family.

use ondine_tensor::{Cpu, Rows};

/// By the root of the mean square, with its learned weights.
#[derive(Debug)]
pub(crate) struct Rms {
    pub(crate) weight: Vec<f32>,
    pub(crate) eps: f32,
}

/// A norm with its learned weights.
#[derive(Debug)]
pub(crate) enum Norm {
    /// By the root of the mean square. A row that is several weights wide is normalised in
    /// pieces, which is how heads get their own norm.
    Rms(Rms),
    /// By mean and variance.
    Layer { weight: Vec<f32>, bias: Vec<f32>, eps: f32 },
}

impl Norm {
    pub(crate) fn apply(&self, cpu: &Cpu, x: &Rows, out: &mut Rows) {
        match self {
            Norm::Rms(Rms { weight, eps }) => cpu.rms_norm(x, weight, *eps, out),
            Norm::Layer { weight, bias, eps } => cpu.layer_norm(x, weight, bias, *eps, out),
        }
    }
}
