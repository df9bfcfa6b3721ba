//! From the last block to logits, for the rows that somebody wants.

use ondine_tensor::Rows;

use crate::layer::{Linear, Norm};
use crate::run::Run;

/// The last norm and the projection to the vocabulary.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) norm: Norm,
    /// (vocab, width)
    pub(crate) output: Linear,
    /// What logits are multiplied with, where they are.
    pub(crate) scale: Option<f32>,
    /// The bound that logits are bent to stay within, where there is one.
    pub(crate) cap: Option<f32>,
}

impl Head {
    /// With logits as the projection gives them.
    pub(crate) fn plain(norm: Norm, output: Linear) -> Head {
        Head { norm, output, scale: None, cap: None }
    }

    /// Whether the greatest products are the greatest logits.
    fn keeps_order(&self) -> bool {
        self.output.bias.is_none()
            && self.cap.is_none()
            && self.scale.is_none_or(|scale| scale > 0.0)
    }

    /// Appends nothing and keeps nothing: `logits` holds exactly the wanted rows afterwards. The
    /// head is the largest matrix of a small model, so rows nobody wants are not computed.
    pub(crate) fn apply(&self, run: &mut Run<'_>, logits: &mut Rows) {
        let s = &mut *run.scratch;
        // The wanted rows move to the front, in order, and the rest is dropped: the stream is not
        // needed any more.
        let (width, mut count) = (s.x.width(), 0);
        for wanted in run.timelines.iter().map(|timeline| &timeline.wanted) {
            let from = wanted.start * width..wanted.end * width;
            s.x.as_mut_slice().copy_within(from, count * width);
            count += wanted.len();
        }
        logits.resize(count);
        if count == 0 {
            return;
        }
        s.x.resize(count);
        s.h.resize(count);
        self.norm.apply(run.cpu, &s.x, &mut s.h);
        match run.likeliest.filter(|_| count == 1 && self.keeps_order()) {
            Some(likeliest) => {
                run.cpu.likeliest(&s.h, &self.output.weight, likeliest, logits);
            }
            None => self.output.apply(run.cpu, &s.h, logits),
        }
        if let Some(scale) = self.scale {
            run.cpu.scale(logits, scale);
        }
        if let Some(cap) = self.cap {
            run.cpu.soft_cap(logits, cap);
        }
    }
}
