//! From a file's metadata to a tokenizer and a chat template: which key means what.

use ondine_format::{FormatError, Metadata, Texts};
use ondine_text::Tokenizer;
use ondine_text::template::Template;
use ondine_text::vocab::{Strings, TokenId, VocabSpec};

/// The tokenizer that the metadata describe, for a model of `vocab` tokens; or why there is none.
pub(crate) fn tokenizer(metadata: &Metadata, vocab: usize) -> Result<Tokenizer, String> {
    let spec = match spec(metadata) {
        Ok(Some(spec)) => spec,
        Ok(None) => return Err("the file names none".into()),
        Err(error) => return Err(error.to_string()),
    };
    // Newer files say so where words keep their case; ours lose it.
    let lowercase = metadata.bool("tokenizer.ggml.normalizer.lowercase");
    if spec.model == "bert" && lowercase.map_err(|error| error.to_string())? == Some(false) {
        return Err("its words keep their case, which is not supported".into());
    }
    let tokens = spec.tokens.len();
    if tokens > vocab {
        return Err(format!("it has {tokens} tokens, the model only {vocab}"));
    }
    Tokenizer::new(spec).map_err(|error| error.to_string())
}

/// The chat template of the metadata, or why there is none.
pub(crate) fn template(metadata: &Metadata) -> Result<Template, String> {
    match metadata.string("tokenizer.chat_template") {
        Ok(Some(source)) => Template::new(source).map_err(|error| error.to_string()),
        Ok(None) => Err("the file holds none".into()),
        Err(error) => Err(error.to_string()),
    }
}

/// Texts of the metadata where they lie, or none.
struct List<'a>(Option<&'a Texts>);

impl Strings for List<'_> {
    fn len(&self) -> usize {
        self.0.map_or(0, Texts::len)
    }

    fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.into_iter().flat_map(Texts::iter)
    }

    fn bytes(&self) -> usize {
        self.0.map_or(0, Texts::bytes)
    }
}

/// The vocabulary as the metadata give it; `None` where they name no tokenizer.
fn spec(metadata: &Metadata) -> Result<Option<VocabSpec<List<'_>>>, FormatError> {
    let Some(model) = metadata.string("tokenizer.ggml.model")? else { return Ok(None) };
    let key = |name: &str| format!("tokenizer.ggml.{name}");
    // Older converters wrote some ids under other names: the first that is there counts.
    let id = |names: &[&str]| -> Result<Option<TokenId>, FormatError> {
        for name in names {
            if let Some(id) = metadata.u32(&key(name))? {
                return Ok(Some(id));
            }
        }
        Ok(None)
    };
    let strings = |name: &str| metadata.strings(&key(name)).map(List);
    Ok(Some(VocabSpec {
        model: model.to_owned(),
        pre: metadata.string(&key("pre"))?.map(str::to_owned),
        tokens: strings("tokens")?,
        scores: metadata.f32s(&key("scores"))?.map(<[f32]>::to_vec),
        kinds: metadata.u32s(&key("token_type"))?,
        merges: strings("merges")?,
        bos: id(&["bos_token_id"])?,
        eos: id(&["eos_token_id"])?,
        eot: id(&["eot_token_id"])?,
        unk: id(&["unknown_token_id"])?,
        sep: id(&["seperator_token_id", "separator_token_id"])?,
        pad: id(&["padding_token_id"])?,
        mask: id(&["mask_token_id"])?,
        fim_prefix: id(&["fim_pre_token_id", "prefix_token_id"])?,
        fim_suffix: id(&["fim_suf_token_id", "suffix_token_id"])?,
        fim_middle: id(&["fim_mid_token_id", "middle_token_id"])?,
        add_bos: metadata.bool(&key("add_bos_token"))?,
        add_eos: metadata.bool(&key("add_eos_token"))?,
        add_space_prefix: metadata.bool(&key("add_space_prefix"))?,
        remove_extra_whitespaces: metadata.bool(&key("remove_extra_whitespaces"))?,
    }))
}
