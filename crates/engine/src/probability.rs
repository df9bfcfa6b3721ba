//! Logarithms of probabilities from logits.

use ondine_tensor::log_sum_exp;
use ondine_text::vocab::TokenId;

/// Logarithm of the probability of `token` among `ids` (all, where `None`). The `among` are
/// memory to work in.
pub(crate) fn log_probability(
    logits: &[f32],
    token: TokenId,
    ids: Option<&[TokenId]>,
    among: &mut Vec<f32>,
) -> f32 {
    let whole = match ids {
        None => log_sum_exp(logits),
        Some(ids) => {
            among.clear();
            among.extend(ids.iter().filter_map(|id| logits.get(*id as usize)));
            log_sum_exp(among)
        }
    };
    logits[token as usize] - whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_definition_even_where_the_probability_vanishes() {
        let logits = [2.0f32, -300.0, 1.0, 0.5];
        let naive = |ids: &[usize], token: usize| {
            let sum: f64 = ids.iter().map(|id| f64::from(logits[*id]).exp()).sum();
            f64::from(logits[token]) - sum.ln()
        };
        let mut among = Vec::new();
        for token in 0..4 {
            let got = log_probability(&logits, token, None, &mut among);
            let wanted = naive(&[0, 1, 2, 3], token as usize) as f32;
            assert!((got - wanted).abs() <= 1e-5 * wanted.abs().max(1.0), "{got}, wanted {wanted}");
        }
        let got = log_probability(&logits, 2, Some(&[2, 3]), &mut among);
        assert!((got - naive(&[2, 3], 2) as f32).abs() < 1e-6);
        assert_eq!(log_probability(&logits, 1, Some(&[1]), &mut among), 0.0);
    }
}
