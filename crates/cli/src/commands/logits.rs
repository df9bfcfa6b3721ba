//! `ondine logits`: what a model says of the token after the given ones, or after each of them.

use ondine_cache::{Cache, CacheShape};
use ondine_model::Want;
use ondine_tensor::Cpu;

use crate::failure::Failure;
use crate::flags::Arguments;
use crate::output::Answer;
use crate::{model, progress};

/// Prints the last position's logits, or writes those of every position to a file.
pub(crate) fn run(arguments: &Arguments<'_>) -> Result<(), Failure> {
    let cpu = Cpu::new(arguments.threads(), arguments.isa());
    let model = model::model(arguments, &cpu)?;
    let tokens = arguments.tokens("tokens");
    // The timeline ends with the text, as a session of just that context would.
    let shape = CacheShape { kv: arguments.kv(), ..model.shape().cache() };
    let mut cache = Cache::with_horizon(shape, tokens.len());
    let file = arguments.path("every");
    let want = if file.is_some() { Want::All } else { Want::Last };
    let logits = progress::during("evaluating", || model.forward(&cpu, &tokens, &mut cache, want))?;
    match file {
        // A text of 512 tokens is a hundred million numbers: no place for decimal digits.
        Some(file) => {
            let bytes: Vec<u8> =
                logits.as_slice().iter().flat_map(|logit| logit.to_le_bytes()).collect();
            std::fs::write(file, bytes)
                .map_err(|e| Failure::new(format!("cannot write {}: {e}", file.display())))
        }
        None => Answer::new().line(list(logits.row(0))),
    }
}

/// A JSON list of floats, each as short as it can be read back.
fn list(values: &[f32]) -> String {
    // JSON has no word for what is not a number.
    let word = |value: &f32| if value.is_finite() { value.to_string() } else { "null".to_string() };
    format!("[{}]", values.iter().map(word).collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_short_and_valid_json() {
        let text = list(&[1.5, -0.1, f32::NAN, 3e-20, 16777216.0]);
        let read: Vec<Option<f32>> = serde_json::from_str(&text).unwrap();
        assert_eq!(read, [Some(1.5), Some(-0.1), None, Some(3e-20), Some(16777216.0)]);
        assert!(text.starts_with("[1.5, -0.1, null, "));
    }
}
