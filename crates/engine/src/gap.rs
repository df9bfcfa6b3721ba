//! How a model is asked to fill a gap in a text: the order of the parts, and how much around the
//! gap it was taught to look at. Files say so under keys of our own; without them the usual order
//! holds and nothing is cut.
//!
//! | key | meaning |
//! |---|---|
//! | `ondine.fim.order` | `psm` (prefix, suffix, middle: the usual one) or `spm` (the suffix first, so that the middle simply goes on from the prefix) |
//! | `ondine.fim.prefix_tokens`, `ondine.fim.suffix_tokens` | the most tokens next to the gap that are given |
//! | `ondine.fim.stop` | a text that ends a filling, such as a line break for a model that fills lines |
//!
//! Both orders are of Bavarian et al. 2022 (<https://arxiv.org/abs/2207.14255>); `spm` is the joint
//! form of their section 3, whose marks stand so that one model can be taught both.

use ondine_format::Metadata;
use ondine_text::tokenizer::Fim;
use ondine_text::vocab::TokenId;

/// What a model wants around a gap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct GapForm {
    suffix_first: bool,
    prefix_tokens: Option<usize>,
    suffix_tokens: Option<usize>,
    /// What ends a filling beside the tokens that end any answer.
    pub(crate) stop: Option<String>,
}

impl GapForm {
    /// Reads it, or says what is wrong with it.
    pub(crate) fn read(metadata: &Metadata) -> Result<GapForm, String> {
        let order = metadata.string("ondine.fim.order").map_err(|error| error.to_string())?;
        let suffix_first = match order {
            None | Some("psm") => false,
            Some("spm") => true,
            Some(other) => return Err(format!("ondine.fim.order is {other:?}, not psm or spm")),
        };
        let tokens = |key: &str| {
            let count = metadata.u32(key).map_err(|error| error.to_string())?;
            Ok::<_, String>(count.map(|count| count as usize))
        };
        let prefix_tokens = tokens("ondine.fim.prefix_tokens")?;
        let suffix_tokens = tokens("ondine.fim.suffix_tokens")?;
        let stop = metadata.string("ondine.fim.stop").map_err(|error| error.to_string())?;
        let stop = stop.filter(|text| !text.is_empty()).map(str::to_owned);
        Ok(GapForm { suffix_first, prefix_tokens, suffix_tokens, stop })
    }

    /// The prompt: what stands next to the gap, between the marks.
    pub(crate) fn prompt(&self, fim: Fim, prefix: &[TokenId], suffix: &[TokenId]) -> Vec<TokenId> {
        let cut = |most: Option<usize>, len: usize| most.unwrap_or(len).min(len);
        let prefix = &prefix[prefix.len() - cut(self.prefix_tokens, prefix.len())..];
        let suffix = &suffix[..cut(self.suffix_tokens, suffix.len())];
        if self.suffix_first {
            [&[fim.prefix, fim.suffix], suffix, &[fim.middle], prefix].concat()
        } else {
            [&[fim.prefix], prefix, &[fim.suffix], suffix, &[fim.middle]].concat()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIM: Fim = Fim { prefix: 100, suffix: 101, middle: 102 };

    fn read(pairs: &[(&str, ondine_format::Value)]) -> Result<GapForm, String> {
        let mut metadata = Metadata::default();
        for (key, value) in pairs {
            metadata.set(*key, value.clone()).unwrap();
        }
        GapForm::read(&metadata)
    }

    #[test]
    fn the_usual_order_gives_all() {
        let form = read(&[]).unwrap();
        assert_eq!(form, read(&[("ondine.fim.order", "psm".into())]).unwrap());
        assert_eq!(form.prompt(FIM, &[1, 2], &[3]), [100, 1, 2, 101, 3, 102]);
    }

    #[test]
    fn the_suffix_first_and_what_is_next_to_the_gap() {
        let form = read(&[
            ("ondine.fim.order", "spm".into()),
            ("ondine.fim.prefix_tokens", 2u32.into()),
            ("ondine.fim.suffix_tokens", 1u32.into()),
            ("ondine.fim.stop", "\n".into()),
        ]);
        let form = form.unwrap();
        assert_eq!(form.stop.as_deref(), Some("\n"));
        assert_eq!(form.prompt(FIM, &[1, 2, 3], &[4, 5]), [100, 101, 4, 102, 2, 3]);
        assert_eq!(form.prompt(FIM, &[], &[]), [100, 101, 102]);
    }

    #[test]
    fn what_it_does_not_know_is_refused() {
        assert!(read(&[("ondine.fim.order", "mps".into())]).unwrap_err().contains("mps"));
        assert!(read(&[("ondine.fim.order", 3u32.into())]).is_err());
        assert!(read(&[("ondine.fim.prefix_tokens", "many".into())]).is_err());
    }
}
