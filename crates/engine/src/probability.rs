//! Logarithms of probabilities from logits.

use ondine_tensor::softmax;
use ondine_text::vocab::TokenId;

/// Logarithm of the probability of `token` among `ids` (all, where `None`). The `weights` are
/// memory to work in.
pub(crate) fn log_probability(
    logits: &[f32],
    token: TokenId,
    ids: Option<&[TokenId]>,
    weights: &mut Vec<f32>,
) -> f32 {
    weights.clear();
    match ids {
        None => weights.extend_from_slice(logits),
        Some(ids) => weights.extend(ids.iter().filter_map(|id| logits.get(*id as usize))),
    }
    let greatest = weights.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    softmax(weights);
    // The greatest weight is 1 / sum(exp(logit - greatest)), wherever it stands. Taking the
    // logarithm of that one keeps the precision that a vanishing weight has lost.
    let top = weights.iter().copied().fold(0.0, f32::max);
    logits[token as usize] - greatest + top.ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_definition_even_where_the_weight_vanishes() {
        let logits = [2.0f32, -300.0, 1.0, 0.5];
        let naive = |ids: &[usize], token: usize| {
            let sum: f64 = ids.iter().map(|id| f64::from(logits[*id]).exp()).sum();
            f64::from(logits[token]) - sum.ln()
        };
        let mut weights = Vec::new();
        for token in 0..4 {
            let got = log_probability(&logits, token, None, &mut weights);
            let wanted = naive(&[0, 1, 2, 3], token as usize) as f32;
            assert!((got - wanted).abs() <= 1e-5 * wanted.abs().max(1.0), "{got}, wanted {wanted}");
        }
        let got = log_probability(&logits, 2, Some(&[2, 3]), &mut weights);
        assert!((got - naive(&[2, 3], 2) as f32).abs() < 1e-6);
        assert_eq!(log_probability(&logits, 1, Some(&[1]), &mut weights), 0.0);
    }
}
