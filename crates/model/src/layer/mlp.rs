//! The feed-forward part, with a gate or without.

use ondine_tensor::{Cpu, Rows};

use crate::error::ModelError;
use crate::layer::{Experts, Linear};
use crate::run::Run;
use crate::shape::Shape;
use crate::weights::Weights;

/// The feed-forward part of a decoder's block.
#[derive(Debug)]
pub(crate) enum Mlp {
    /// One for all tokens.
    Gated(Gated),
    /// Some of many, chosen for each token.
    Experts(Experts),
}

impl Mlp {
    /// h = mlp(h)
    pub(crate) fn apply(&self, run: &mut Run<'_>) {
        match self {
            Mlp::Gated(gated) => gated.apply(run),
            Mlp::Experts(experts) => experts.apply(run),
        }
    }
}

/// What opens a gate.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Opening {
    Silu,
    /// In its tanh form.
    Gelu,
}

/// down(open(gate(h)) * up(h))
#[derive(Debug)]
pub(crate) struct Gated {
    pub(crate) opening: Opening,
    /// (ff, width)
    pub(crate) gate: Linear,
    /// (ff, width)
    pub(crate) up: Linear,
    /// (width, ff)
    pub(crate) down: Linear,
}

impl Gated {
    /// That of the block of this name, each matrix by itself.
    pub(crate) fn read(
        w: &Weights<'_>,
        block: &str,
        opening: Opening,
    ) -> Result<Gated, ModelError> {
        let Shape { width, ff, .. } = w.shape;
        w.without_experts()?;
        Ok(Gated {
            opening,
            gate: w.linear(&format!("{block}.ffn_gate"), ff, width)?,
            up: w.linear(&format!("{block}.ffn_up"), ff, width)?,
            down: w.linear(&format!("{block}.ffn_down"), width, ff)?,
        })
    }

    fn apply(&self, run: &mut Run<'_>) {
        let s = &mut *run.scratch;
        self.open(run.cpu, &s.h, &mut s.gate, &mut s.up);
        self.down.apply(run.cpu, &s.gate, &mut s.h);
    }

    /// out = down(open(gate(x)) * up(x)), all of as many rows
    pub(crate) fn apply_to(
        &self,
        cpu: &Cpu,
        x: &Rows,
        gate: &mut Rows,
        up: &mut Rows,
        out: &mut Rows,
    ) {
        self.open(cpu, x, gate, up);
        self.down.apply(cpu, gate, out);
    }

    fn open(&self, cpu: &Cpu, x: &Rows, gate: &mut Rows, up: &mut Rows) {
        Linear::apply_all(cpu, x, [(&self.gate, gate), (&self.up, up)]);
        match self.opening {
            Opening::Silu => cpu.swiglu(gate, up),
            Opening::Gelu => cpu.geglu(gate, up),
        }
    }
}

/// down(gelu(up(h)))
#[derive(Debug)]
pub(crate) struct Plain {
    pub(crate) up: Linear,
    pub(crate) down: Linear,
}

impl Plain {
    pub(crate) fn apply(&self, run: &mut Run<'_>) {
        let s = &mut *run.scratch;
        self.up.apply(run.cpu, &s.h, &mut s.up);
        run.cpu.gelu(&mut s.up);
        self.down.apply(run.cpu, &s.up, &mut s.h);
    }
}
