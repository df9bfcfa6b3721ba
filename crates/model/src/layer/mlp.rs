//! The feed-forward part, with a gate or without.

use crate::layer::Linear;
use crate::run::Run;

/// down(silu(gate(h)) * up(h))
#[derive(Debug)]
pub(crate) struct Gated {
    pub(crate) gate: Linear,
    pub(crate) up: Linear,
    pub(crate) down: Linear,
}

impl Gated {
    pub(crate) fn apply(&self, run: &mut Run<'_>) {
        let s = &mut *run.scratch;
        Linear::apply_all(run.cpu, &s.h, [(&self.gate, &mut s.gate), (&self.up, &mut s.up)]);
        run.cpu.swiglu(&mut s.gate, &s.up);
        self.down.apply(run.cpu, &s.gate, &mut s.h);
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
