//! How well a model foretells a text.
//!
//! The same definition as llama.cpp's `perplexity` tool, so that figures compare: the text is cut
//! into windows of `window` tokens that do not overlap; each window starts from nothing, its first
//! token replaced by the beginning-of-text token where the model wants one; only the second half
//! of a window is scored, so that every scored token has at least half a window before it. What is
//! left at the end of the text is not scored.

use ondine_text::vocab::TokenId;

use crate::error::EngineError;
use crate::probability::log_probability;
use crate::session::Session;

/// The figures of a text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Perplexity {
    /// Mean negative log-likelihood of a scored token, in nats.
    pub nll: f64,
    /// `exp(nll)`
    pub ppl: f64,
    /// Standard error of `ppl`, from the spread of the tokens' likelihoods.
    pub error: f64,
    /// Tokens that were scored.
    pub tokens: usize,
}

/// Scores `tokens` in windows. The session's timeline is lost.
///
/// # Errors
/// A window of less than 4 tokens or more than the session has positions, a text shorter than one
/// window, or whatever evaluating says.
pub fn perplexity(
    session: &mut Session,
    tokens: &[TokenId],
    window: usize,
) -> Result<Perplexity, EngineError> {
    if window < 4 || window > session.context() {
        let what = format!("be scored in windows of {window}");
        return Err(EngineError::SessionOptions { context: session.context(), what });
    }
    if tokens.len() < window {
        return Err(EngineError::TooShort { window, tokens: tokens.len() });
    }
    let first_token = session.engine().first_token();
    let (mut count, mut sum, mut squares) = (0usize, 0.0f64, 0.0f64);
    let mut weights = Vec::new();
    for window in tokens.chunks_exact(window) {
        let mut window = window.to_vec();
        if let Some(first) = first_token {
            window[0] = first;
        }
        let half = window.len() / 2;
        session.rewind(0);
        session.extend(&window[..half])?;
        // Logits of place i foretell token i + 1; those of the last place foretell nothing here.
        session.evaluate_each(&window[half..], |i, logits| {
            if let Some(next) = window.get(half + i + 1) {
                let nll = -f64::from(log_probability(logits, *next, None, &mut weights));
                count += 1;
                sum += nll;
                squares += nll * nll;
            }
        })?;
    }
    session.rewind(0);
    let n = count as f64;
    let nll = sum / n;
    let variance = (squares / n - nll * nll).max(0.0);
    let ppl = nll.exp();
    let error = ppl * (variance / (n - 1.0).max(1.0)).sqrt();
    Ok(Perplexity { nll, ppl, error, tokens: count })
}
