//! Rotary positions, as a file describes them.

use ondine_format::RopeScaling;
use ondine_tensor::{Rope, RopeStyle};

use crate::error::ModelError;
use crate::weights::Weights;

/// How the heads of some blocks turn.
#[derive(Debug)]
pub(crate) struct Rotation {
    usual: Rope,
    /// Another one, for timelines that may grow beyond so many positions.
    long: Option<(usize, Rope)>,
}

impl Rotation {
    /// The one for a timeline that never grows beyond `horizon`. It holds from the first position
    /// on: keys that lie in the cache were turned by it too.
    pub(crate) fn within(&self, horizon: usize) -> &Rope {
        match &self.long {
            Some((original, long)) if horizon > *original => long,
            _ => &self.usual,
        }
    }

    /// A rotation by `base` alone.
    pub(crate) fn plain(w: &Weights<'_>, style: RopeStyle, base: f32) -> Rotation {
        let usual = Rope::new(style, w.hparams.rope_dims, base, None, 1.0);
        Rotation { usual, long: None }
    }

    /// The rotation of a family, with the file's base, scaling and frequency factors.
    pub(crate) fn read(w: &Weights<'_>, style: RopeStyle) -> Result<Rotation, ModelError> {
        const LONG: &str = "rope_factors_long.weight";
        const SHORT: &str = "rope_factors_short.weight";
        let h = w.hparams;
        let dims = h.rope_dims;
        let turn = |base, factors: Option<&[f32]>, scale| {
            Rope::new(style, dims, base, factors, scale).magnified(h.rope_magnitude)
        };
        let unscaled = matches!(h.rope_scaling, RopeScaling::None | RopeScaling::Long);
        if h.rope_scaling == RopeScaling::Long || w.has(LONG) || w.has(SHORT) {
            if !unscaled {
                return Err(w.unsupported("lists of divisors beside another rope scaling"));
            }
            let [short, long] = [SHORT, LONG].map(|name| w.vector(name, dims / 2));
            let [short, long] = [short?, long?].map(|list| turn(h.rope_base, Some(&list), 1.0));
            return Ok(Rotation { usual: short, long: Some((h.original_context, long)) });
        }
        // One factor a frequency: how llama 3 stretches the slow ones.
        let factors = w.optional_vector("rope_freqs.weight", dims / 2)?;
        let factors = factors.as_deref();
        let usual = match h.rope_scaling {
            RopeScaling::None | RopeScaling::Long => turn(h.rope_base, factors, 1.0),
            RopeScaling::Linear { factor } => turn(h.rope_base, factors, 1.0 / factor),
            RopeScaling::Ntk { alpha } => turn(raised(h.rope_base, alpha, dims), factors, 1.0),
            RopeScaling::Yarn { factor, fast, slow } => {
                let limits = [fast, slow]
                    .map(|turns| pair_that_turns(turns, h.rope_base, dims, h.original_context));
                let magnitude = h.rope_magnitude * (1.0 + 0.1 * factor.max(1.0).ln());
                turn(h.rope_base, factors, 1.0 / factor)
                    .keeping(kept(limits, dims))
                    .magnified(magnitude)
            }
            RopeScaling::Other { ref kind, .. } => {
                return Err(w.unsupported(format!("rope scaling of the kind {kind:?}")));
            }
        };
        Ok(Rotation { usual, long: None })
    }
}

/// The base that stretches the slowest pair `alpha` times and the fastest not at all.
fn raised(base: f32, alpha: f32, dims: usize) -> f32 {
    let dims = dims.max(4) as f64;
    (f64::from(base) * f64::from(alpha).powf(dims / (dims - 2.0))) as f32
}

/// The place, between pairs, of a pair that makes so many turns in `context` positions: where
/// `context / (2 pi base^(2 place / dims)) = turns`.
fn pair_that_turns(turns: f32, base: f32, dims: usize, context: usize) -> f32 {
    let ratio = context as f32 / (turns * 2.0 * std::f32::consts::PI);
    dims as f32 * ratio.ln() / (2.0 * base.ln())
}

/// YaRN's ramp (Peng et al. 2023, with whole places as its authors' program has them): pairs
/// before the first limit keep their speed, those behind the second do not, between them it fades.
fn kept([first, last]: [f32; 2], dims: usize) -> Vec<f32> {
    let first = first.floor().max(0.0);
    let last = last.ceil().min(dims as f32 - 1.0);
    // Where the two fall together there is a step.
    let length = (last - first).max(0.001);
    (0..dims / 2).map(|pair| 1.0 - ((pair as f32 - first) / length).clamp(0.0, 1.0)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ramp_keeps_the_fast_and_stretches_the_slow() {
        // 64 dimensions, base 10,000, 2,048 positions: 32 turns at pair 8.06, one at 20.1.
        let limits = [32.0, 1.0].map(|turns| pair_that_turns(turns, 1e4, 64, 2048));
        assert!((limits[0] - 8.06).abs() < 0.01 && (limits[1] - 20.10).abs() < 0.01, "{limits:?}");
        let kept = kept(limits, 64);
        assert_eq!(kept.len(), 32);
        assert!(kept[..=8].iter().all(|k| *k == 1.0) && kept[21..].iter().all(|k| *k == 0.0));
        assert!(kept[8..=21].windows(2).all(|pair| pair[0] > pair[1]));
    }

    #[test]
    fn numbers_of_strangers_give_numbers() {
        // A base of one turns every pair alike, and one position is less than a turn.
        for (base, context) in [(1.0, 1), (1.0, 100), (0.5, 100), (1e30, 1 << 24)] {
            for dims in [0, 2, 64] {
                let limits = [32.0, 1.0].map(|turns| pair_that_turns(turns, base, dims, context));
                let kept = kept(limits, dims);
                assert!(kept.iter().all(|k| k.is_nan() || (0.0..=1.0).contains(k)), "{kept:?}");
            }
        }
        assert!(raised(1e4, 4.0, 2) > 4e4);
    }
}
