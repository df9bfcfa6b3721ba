//! An engine: a loaded model, with what its file says about text. Never changes after loading.

use std::sync::{Arc, OnceLock};

use ondine_cache::{KV_LAYOUT, PAGE};
use ondine_format::ModelFile;
use ondine_model::{Model, Shape};
use ondine_tensor::{Cpu, Isa, SCREEN_FROM};
use ondine_text::Tokenizer;
use ondine_text::grammar::{Grammar, GrammarCompiler, GrammarSpec};
use ondine_text::template::Template;
use ondine_text::vocab::TokenKind;

use crate::error::EngineError;
use crate::gap::GapForm;
use crate::load;
use crate::session::{Session, SessionOptions};

/// What an engine computes with.
#[derive(Clone, Copy, Debug)]
pub struct EngineOptions {
    /// Threads that compute, the caller's among them.
    pub threads: usize,
    /// Instructions they use.
    pub isa: Isa,
    /// Where the weights stay.
    pub memory: Memory,
    /// Whether a session's bits must not depend on what else is evaluated with it, which
    /// [`evaluate_together`](crate::evaluate_together) needs. Costs speed where weights are of a
    /// type that is not laid out anew.
    pub steady: bool,
    /// Output heads of at least so many bytes are read coarsely first where only the likeliest tokens
    /// matter (`Cpu::likeliest`). What is chosen is the same.
    pub screen_from: usize,
}

/// Where weights stay while their engine lives. Either way there is one copy of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Memory {
    /// Laid out anew for the instructions, in memory of the process, when they are used a second
    /// time: faster, by about a third when decoding, and two to four times for a few sessions or
    /// drafts at once.
    #[default]
    Fast,
    /// In the file's bytes. Mapped, they are shared with other processes and the system may drop
    /// them when memory is short.
    Lean,
}

impl Default for EngineOptions {
    /// One thread, the best instructions the machine has and weights laid out for them. How many threads are right is not
    /// known here: whoever starts the engine knows the machine.
    fn default() -> EngineOptions {
        EngineOptions {
            threads: 1,
            isa: Isa::best(),
            memory: Memory::Fast,
            steady: false,
            screen_from: SCREEN_FROM,
        }
    }
}

/// A loaded model. Sessions share it.
pub struct Engine {
    model: Box<dyn Model>,
    cpu: Cpu,
    options: EngineOptions,
    tokenizer: Result<Arc<Tokenizer>, String>,
    template: Result<Template, String>,
    gap_form: Result<GapForm, String>,
    /// Pieces that no user's text may turn into.
    control: Vec<String>,
    /// Made with the first grammar: it walks the whole vocabulary.
    compiler: OnceLock<GrammarCompiler>,
}

impl Engine {
    /// Builds the model of a file. A tokenizer or a chat template that is absent or refused does
    /// not fail the load: ids can be evaluated without them, and the reason is told to whoever
    /// asks for them.
    ///
    /// # Errors
    /// Whatever is wrong with the model itself.
    pub fn load(file: &ModelFile, options: EngineOptions) -> Result<Arc<Engine>, EngineError> {
        let cpu = Cpu::new(options.threads.max(1), options.isa).screen_from(options.screen_from);
        let cpu = if options.steady { cpu.steady() } else { cpu };
        let model = match options.memory {
            Memory::Fast => ondine_model::load_for(file, &cpu)?,
            Memory::Lean => ondine_model::load(file)?,
        };
        let tokenizer = load::tokenizer(&file.metadata, model.shape().vocab).map(Arc::new);
        let template = load::template(&file.metadata);
        let gap_form = GapForm::read(&file.metadata);
        let control = tokenizer.as_ref().map(|t| control_pieces(t)).unwrap_or_default();
        let compiler = OnceLock::new();
        Ok(Arc::new(Engine {
            model,
            cpu,
            options,
            tokenizer,
            template,
            gap_form,
            control,
            compiler,
        }))
    }

    /// The model's sizes.
    pub fn shape(&self) -> &Shape {
        self.model.shape()
    }

    /// The model.
    pub fn model(&self) -> &dyn Model {
        &*self.model
    }

    /// What computes.
    pub fn cpu(&self) -> &Cpu {
        &self.cpu
    }

    /// The tokenizer of the file.
    ///
    /// # Errors
    /// Where it has none, or one that was refused; the error says why.
    pub fn tokenizer(&self) -> Result<&Arc<Tokenizer>, EngineError> {
        self.tokenizer
            .as_ref()
            .map_err(|reason| EngineError::NoTokenizer { reason: reason.clone() })
    }

    /// The chat template of the file.
    ///
    /// # Errors
    /// Where it has none, or one that was refused; the error says why.
    pub fn template(&self) -> Result<&Template, EngineError> {
        self.template.as_ref().map_err(|reason| EngineError::NoTemplate { reason: reason.clone() })
    }

    /// How the file wants a gap to be asked for.
    pub(crate) fn gap_form(&self) -> Result<GapForm, EngineError> {
        self.gap_form.clone().map_err(|reason| EngineError::BadFim { reason })
    }

    /// The pieces of control and user-defined tokens, which quoted text must not become.
    pub fn control_pieces(&self) -> &[String] {
        &self.control
    }

    /// Compiles what an answer may be, for this model's tokens.
    ///
    /// # Errors
    /// No tokenizer, or a grammar that does not compile.
    pub fn grammar(&self, spec: &GrammarSpec) -> Result<Grammar, EngineError> {
        let compiler = match self.compiler.get() {
            Some(compiler) => compiler,
            None => {
                let made = GrammarCompiler::new(self.tokenizer()?)?;
                self.compiler.get_or_init(|| made)
            }
        };
        Ok(compiler.compile(spec)?)
    }

    /// What decides the bits of keys and values beside weights and tokens, in words. A
    /// [`Snapshot`](crate::Snapshot) of a session with the same options is this engine's own where the
    /// weights are the same and these words are.
    pub fn kv_form(&self, session: SessionOptions) -> String {
        let cache = self.shape().cache();
        let EngineOptions { memory, steady, .. } = self.options;
        format!(
            "ondine {}, layout {KV_LAYOUT}, {} of {} layers, {} heads of {}, pages of {PAGE}, \
             {} positions, {}, {} threads, {memory:?}, steady {steady}",
            env!("CARGO_PKG_VERSION"),
            session.kv,
            cache.layers,
            cache.kv_heads,
            cache.head_dim,
            session.context.unwrap_or(self.shape().context),
            self.cpu.isa(),
            self.cpu.threads(),
        )
    }

    /// An empty timeline.
    ///
    /// # Errors
    /// More positions than the model has, or than the way to overflow can work with.
    pub fn session(self: &Arc<Engine>, options: SessionOptions) -> Result<Session, EngineError> {
        Session::new(Arc::clone(self), options)
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("shape", self.shape()).finish_non_exhaustive()
    }
}

fn control_pieces(tokenizer: &Tokenizer) -> Vec<String> {
    (0..tokenizer.len() as u32)
        .filter(|id| matches!(tokenizer.kind(*id), TokenKind::Control | TokenKind::UserDefined))
        .filter_map(|id| tokenizer.piece(id))
        .filter(|piece| !piece.is_empty())
        .map(str::to_owned)
        .collect()
}
