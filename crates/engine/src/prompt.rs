//! From what people say to tokens: chats, plain text, text with a gap.

use ondine_text::Prompt;
use ondine_text::tokenizer::Special;
use ondine_text::vocab::TokenId;
use serde_json::Value;

use crate::engine::Engine;
use crate::error::EngineError;

impl Engine {
    /// Renders a chat with the model's template. `input` is what templates expect: `messages`, and
    /// where wanted `tools` and any other variable. The generation prompt is asked for unless
    /// `add_generation_prompt` says otherwise. The texts of special tokens (`bos_token` and the
    /// like) are the model's own, whatever the input says: templates trust them.
    ///
    /// # Errors
    /// No tokenizer, no template, or a template that fails on this input.
    pub fn chat_prompt(
        &self,
        input: &Value,
        now: Option<jiff::civil::DateTime>,
    ) -> Result<Prompt, EngineError> {
        let tokenizer = self.tokenizer()?;
        let piece = |id: Option<TokenId>| {
            Value::from(id.and_then(|id| tokenizer.piece(id)).unwrap_or_default())
        };
        let mut input = input.clone();
        if let Some(map) = input.as_object_mut() {
            map.entry("add_generation_prompt").or_insert(true.into());
            map.retain(|key, _| !key.ends_with("_token"));
            map.insert("bos_token".into(), piece(tokenizer.bos()));
            map.insert("eos_token".into(), piece(tokenizer.eos()));
        }
        let control: Vec<&str> = self.control_pieces().iter().map(String::as_str).collect();
        Ok(self.template()?.render_prompt(&input, now, &control)?)
    }

    /// The tokens of a prompt, with the beginning-of-text token where the model wants one and the
    /// prompt does not begin with it already: many templates write it themselves.
    ///
    /// # Errors
    /// No tokenizer.
    pub fn encode_prompt(&self, prompt: &Prompt) -> Result<Vec<TokenId>, EngineError> {
        let tokens = self.tokenizer()?.encode_prompt(prompt);
        Ok(self.with_first_token(tokens))
    }

    /// The tokens of a text to be continued: nothing in it is special, and the beginning-of-text
    /// token stands before it where the model wants one.
    ///
    /// # Errors
    /// No tokenizer.
    pub fn encode_text(&self, text: &str) -> Result<Vec<TokenId>, EngineError> {
        let tokens = self.tokenizer()?.encode(text, Special::AsText);
        Ok(self.with_first_token(tokens))
    }

    /// The tokens that ask for what stands between `prefix` and `suffix`. Both are plain text, put
    /// together as ids, so that nothing in them can be mistaken for the marks. Order and lengths are
    /// those that the file asks for.
    ///
    /// # Errors
    /// No tokenizer, one without the marks, or a file that asks for what is not known.
    pub fn fim_prompt(&self, prefix: &str, suffix: &str) -> Result<Vec<TokenId>, EngineError> {
        let tokenizer = self.tokenizer()?;
        let fim = tokenizer.fim().ok_or(EngineError::NoFim)?;
        let [prefix, suffix] = [prefix, suffix].map(|text| tokenizer.encode(text, Special::AsText));
        Ok(self.with_first_token(self.gap_form()?.prompt(fim, &prefix, &suffix)))
    }

    /// A text that ends the filling of a gap, where the file names one.
    ///
    /// # Errors
    /// A file that asks for what is not known.
    pub fn fim_stop(&self) -> Result<Option<String>, EngineError> {
        Ok(self.gap_form()?.stop)
    }

    /// The token that every text begins with, where the model wants one.
    pub fn first_token(&self) -> Option<TokenId> {
        let tokenizer = self.tokenizer().ok()?;
        tokenizer.bos().filter(|_| tokenizer.add_bos())
    }

    fn with_first_token(&self, mut tokens: Vec<TokenId>) -> Vec<TokenId> {
        if let Some(first) = self.first_token()
            && tokens.first() != Some(&first)
        {
            tokens.insert(0, first);
        }
        tokens
    }
}
