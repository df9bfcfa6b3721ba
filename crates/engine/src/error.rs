//! Everything that can be wrong between a prompt and its answer.

use ondine_model::ModelError;
use ondine_text::grammar::GrammarError;
use ondine_text::template::TemplateError;

/// Why an engine could not be loaded or a session could not go on.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The model could not be built or run.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The file has no tokenizer, or one that was refused; ids can still be evaluated.
    #[error("this model has no tokenizer: {reason}")]
    NoTokenizer {
        /// What was wrong with it.
        reason: String,
    },
    /// The file has no chat template, or one that was refused.
    #[error("this model has no chat template: {reason}")]
    NoTemplate {
        /// What was wrong with it.
        reason: String,
    },
    /// The chat template could not be filled in.
    #[error("the chat template failed: {0}")]
    Template(#[from] TemplateError),
    /// The model was not trained to fill in the middle.
    #[error("this model has no tokens for filling in the middle")]
    NoFim,
    /// The file asks for the parts around a gap in a way that is not known.
    #[error("this model cannot be asked to fill in the middle: {reason}")]
    BadFim {
        /// What it says.
        reason: String,
    },
    /// A prompt of no tokens: there is nothing to continue.
    #[error("the prompt has no tokens")]
    EmptyPrompt,
    /// The prompt does not fit.
    #[error("the prompt takes {needed} positions, the session has {context}")]
    Context {
        /// Positions asked for.
        needed: usize,
        /// Positions the session has.
        context: usize,
    },
    /// A session was asked for that the model, or shifting, cannot serve.
    #[error("a session of {context} positions cannot {what}")]
    SessionOptions {
        /// Positions asked for.
        context: usize,
        /// What it cannot do.
        what: String,
    },
    /// A snapshot that is not of such a session.
    #[error("the snapshot was taken of a session of another shape")]
    Snapshot,
    /// The model's logits are no numbers: its weights are damaged.
    #[error("numerical: the logits after position {position} are not numbers")]
    Numerical {
        /// The position whose logits they are.
        position: usize,
    },
    /// A sampling parameter out of range.
    #[error("{name} is {found}, wanted {wanted}")]
    Sampling {
        /// The parameter.
        name: &'static str,
        /// Its value.
        found: String,
        /// The values it may have.
        wanted: &'static str,
    },
    /// The grammar failed, or allows nothing.
    #[error("the grammar failed: {0}")]
    Grammar(#[from] GrammarError),
    /// The grammar (or a bias of minus infinity) allows no token here.
    #[error("no token is allowed at position {position}")]
    NothingAllowed {
        /// Where.
        position: usize,
    },
    /// A text with more tokens than an encoder has positions.
    #[error("the text takes {tokens} tokens with its marks, the model reads {context} at once")]
    TooLong {
        /// Tokens of the text, the marks among them.
        tokens: usize,
        /// Positions of the model.
        context: usize,
    },
    /// Nobody said how the rows of an encoder become one vector.
    #[error("the file does not say how a text's rows become one vector, and nobody else did")]
    NoPooling,
    /// The vector has something else than numbers in it: the weights are damaged.
    #[error("numerical: the vector is not made of numbers")]
    NoVector,
    /// A text too short to score.
    #[error("scoring windows of {window} tokens needs at least as many, the text has {tokens}")]
    TooShort {
        /// Width of a window.
        window: usize,
        /// Tokens of the text.
        tokens: usize,
    },
}
