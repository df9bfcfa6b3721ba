//! `ondine perplexity`: how well a model predicts a text, with the standard error.

use ondine_engine::{Perplexity, SessionOptions, perplexity};
use ondine_text::tokenizer::Special;
use serde_json::json;

use crate::failure::Failure;
use crate::flags::Arguments;
use crate::interrupt::Watch;
use crate::output::{self, Answer};
use crate::progress::Progress;
use crate::{input, model};

/// Measures a text.
pub(crate) fn run(arguments: &Arguments<'_>) -> Result<(), Failure> {
    let (place, text) = match arguments.path("file") {
        Some(path) => (path.display().to_string(), input::text(path)?),
        None => {
            let text = input::piped("there is no text: give --file or a pipe")?;
            ("standard input".to_string(), text)
        }
    };
    let path = arguments.path_needed("model")?;
    let opened = model::open(path)?;
    let engine = opened.engine(opened.options(arguments))?;
    let window = arguments.count_or("ctx", 512);
    let context = engine.shape().context;
    if window > context {
        return Err(Failure::usage(format!("--ctx {window}: the model has {context} positions")));
    }
    let tokens = engine.tokenizer()?.encode(&text, Special::AsText);
    let windows = tokens.len() / window;
    if windows == 0 {
        let message = format!("has {} tokens, fewer than one window of {window}", tokens.len());
        return Err(Failure::new(message).at(place).hint("lower --ctx"));
    }
    let mut session = engine.session(SessionOptions {
        context: Some(window),
        kv: arguments.kv(),
        ..SessionOptions::default()
    })?;
    let progress = Progress::new("windows", windows as u64);
    let watch = Watch::new();
    let mut losses = Losses::default();
    // A window at a time, so that progress can be shown and Ctrl-C is heard.
    for (done, tokens) in tokens.chunks_exact(window).enumerate() {
        watch.check()?;
        losses.add(&perplexity(&mut session, tokens, window)?);
        progress.done(done as u64 + 1);
    }
    drop(progress);
    let (ppl, error) = losses.perplexity();
    let count = losses.count;
    if arguments.on("json") {
        return Answer::new().line(json!({
            "perplexity": ppl,
            "standard_error": error,
            "tokens": count,
            "windows": windows,
            "ctx": window,
        }));
    }
    output::remark(format_args!("{count} tokens scored in {windows} windows of {window}"));
    Answer::new().line(format_args!("{ppl:.4} ± {error:.4}"))
}

/// Sums over the losses of all windows.
#[derive(Clone, Copy, Default)]
struct Losses {
    count: usize,
    sum: f64,
    squares: f64,
}

impl Losses {
    /// Adds a window's figures, from which its sums follow.
    fn add(&mut self, window: &Perplexity) {
        let n = window.tokens as f64;
        let variance = (window.error / window.ppl).powi(2) * (n - 1.0).max(1.0);
        self.count += window.tokens;
        self.sum += n * window.nll;
        self.squares += n * (variance + window.nll * window.nll);
    }

    /// The exponential of the mean loss and its standard error: that of the mean, carried through
    /// the exponential.
    fn perplexity(&self) -> (f64, f64) {
        let n = self.count as f64;
        let mean = self.sum / n;
        let variance = (self.squares / n - mean * mean).max(0.0);
        let ppl = mean.exp();
        (ppl, ppl * (variance / (n - 1.0).max(1.0)).sqrt())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The figures of some losses, as a window reports them.
    fn figures(losses: &[f64]) -> Perplexity {
        let n = losses.len() as f64;
        let nll = losses.iter().sum::<f64>() / n;
        let variance = losses.iter().map(|loss| (loss - nll).powi(2)).sum::<f64>() / n;
        let ppl = nll.exp();
        Perplexity { nll, ppl, error: ppl * (variance / (n - 1.0)).sqrt(), tokens: losses.len() }
    }

    #[test]
    fn windows_add_up_to_the_whole() {
        let losses = [1.0, 2.5, 0.5, 3.0, 1.5, 2.0, 0.25, 4.0];
        let whole = figures(&losses);
        let mut parts = Losses::default();
        for window in losses.chunks(4) {
            parts.add(&figures(window));
        }
        let (ppl, error) = parts.perplexity();
        assert!((ppl - whole.ppl).abs() < 1e-9, "{ppl} is not {}", whole.ppl);
        assert!((error - whole.error).abs() < 1e-9, "{error} is not {}", whole.error);
    }
}
