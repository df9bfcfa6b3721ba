//! Where models come from, as a runtime sees it: names that stand for a content, and the content
//! that becomes an engine. Knows no files: whoever implements [`Loader`] does.

use std::any::Any;
use std::sync::{Arc, Mutex, PoisonError};

use ondine_chat::{ChatError, Model};
use ondine_engine::{
    EmbedOptions, Embedder, Engine, EngineError, EngineOptions, KvType, SessionOptions,
};
use ondine_format::ModelFile;
use ondine_model::{BATCH, ModelError, Scratch, Shape};

use crate::calls;
use crate::fingerprint::Fingerprint;

/// Whoever has models that can be loaded.
pub trait Loader: Send + Sync {
    /// What there is, the default model first.
    fn known(&self) -> Vec<Model>;

    /// The model that a name stands for now; `None` where there is none. The answer's own name may be
    /// another, where two names are one model's.
    fn find(&self, name: &str) -> Option<Model>;

    /// Opens what the name stands for now, without loading it.
    ///
    /// # Errors
    /// No such model, or content that cannot be opened or is no model.
    fn open(&self, name: &str) -> Result<Source, ChatError>;

    /// Something happened to a model that its owner may want to know.
    fn told(&self, _happened: &Happened<'_>) {}
}

/// A model that is open and can be loaded, as often as it is wanted: what it is made from stays
/// what it was, whatever becomes of its name.
pub struct Source {
    about: Model,
    file: ModelFile,
    options: EngineOptions,
    shape: Shape,
    /// Weights, and what computing takes beside them and keys and values.
    fixed: u64,
    fingerprint: Fingerprint,
    _held: Option<Box<dyn Any + Send + Sync>>,
}

impl Source {
    /// A model's content. What `about` says of name, bytes and digest is believed; what the content
    /// knows better is filled in. The options should be [steady](EngineOptions::steady): else answers
    /// may hang on who else is being answered.
    ///
    /// # Errors
    /// A family that is not known, or sizes that make no sense.
    pub fn new(
        mut about: Model,
        file: ModelFile,
        options: EngineOptions,
    ) -> Result<Source, ModelError> {
        let (shape, encoder) = ondine_model::sizes(&file)?;
        let plan = ondine_model::plan(&file, shape.context, KvType::default())?;
        let template = file.metadata.string("tokenizer.chat_template").ok().flatten();
        about.context = shape.context;
        about.chats = !encoder;
        about.tools = !encoder && template.is_some_and(calls::knows_tools);
        about.family.clone_from(&shape.architecture);
        // An encoder keeps nothing: its keys and values are scratch.
        let paper = if encoder { plan.kv_bytes } else { 0 };
        let scratch = plan.scratch_bytes.saturating_add(paper) as u64;
        let fixed = about.bytes.saturating_add(scratch);
        let fingerprint = Fingerprint::of_hex(about.sha256.as_deref().unwrap_or_default());
        Ok(Source { about, file, options, shape, fixed, fingerprint, _held: None })
    }

    /// Keeps `held` for as long as this lives: what keeps the content from going away.
    pub fn holding(mut self, held: impl Any + Send + Sync) -> Source {
        self._held = Some(Box::new(held));
        self
    }

    /// Tells its keys and values from those of other contents, perhaps later, where no digest does.
    pub fn known_by(self, fingerprint: Fingerprint) -> Source {
        Source { fingerprint, ..self }
    }

    /// What is known of it. Its `sha256`, where there is one, tells versions of a name apart.
    pub fn about(&self) -> &Model {
        &self.about
    }

    pub(crate) fn shape(&self) -> &Shape {
        &self.shape
    }

    pub(crate) fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }

    /// Bytes that it takes for as long as it is in memory.
    pub(crate) fn fixed(&self) -> u64 {
        self.fixed
    }

    /// Brings it into memory, and sees whether it can do its work at all.
    pub(crate) fn load(&self) -> Result<Body, String> {
        let loaded = if self.about.chats {
            Engine::load(&self.file, self.options).map(Body::Engine)
        } else {
            let embedder = Embedder::load(&self.file, self.options);
            embedder.map(|embedder| Body::Embedder(Arc::new(Mutex::new(embedder))))
        };
        let body = loaded.map_err(|error| error.to_string())?;
        match body.smoke() {
            Ok(true) => Ok(body),
            Ok(false) => Err("it says the same of everything: its weights are damaged".into()),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// A loaded model.
#[derive(Clone)]
pub(crate) enum Body {
    /// One that answers.
    Engine(Arc<Engine>),
    /// One that turns texts into vectors. It answers one at a time: an encoder uses all threads for a
    /// text anyway.
    Embedder(Arc<Mutex<Embedder>>),
}

/// What happened to a model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Happened<'a> {
    /// It is in memory, and answers.
    Loaded {
        /// Its name.
        model: &'a str,
        /// The digest of its content, where it is known.
        sha256: Option<&'a str>,
        /// Seconds that it took.
        took_s: f64,
    },
    /// It cannot be loaded. Where an earlier version is there, that one goes on answering.
    Refused {
        /// Its name.
        model: &'a str,
        /// The digest of the content that was refused, where it is known.
        sha256: Option<&'a str>,
        /// What is wrong with it.
        why: &'a str,
    },
    /// It has left memory.
    Left {
        /// Its name.
        model: &'a str,
        /// The digest of its content, where it is known.
        sha256: Option<&'a str>,
    },
}

/// What a new version says before anybody else hears it.
const SMOKE: &str = "The quick brown fox";

impl Body {
    /// Fills in what only the loaded model knows.
    pub(crate) fn describe(&self, about: &mut Model) {
        let shape = match self {
            Body::Engine(engine) => {
                about.chats = true;
                about.tools = engine.template().is_ok_and(|t| calls::knows_tools(t.source()));
                engine.shape().clone()
            }
            Body::Embedder(embedder) => {
                about.chats = false;
                let embedder = embedder.lock().unwrap_or_else(PoisonError::into_inner);
                embedder.shape().clone()
            }
        };
        about.context = shape.context;
        about.family = shape.architecture;
    }

    /// Whether it can do its work at all: a few tokens become numbers, and not all the same. Kernels
    /// that round activations to whole numbers make noughts of what is no number.
    pub(crate) fn smoke(&self) -> Result<bool, EngineError> {
        let differ = |numbers: &[f32]| numbers.windows(2).any(|two| two[0] != two[1]);
        match self {
            Body::Engine(engine) => {
                let tokens = engine.encode_text(SMOKE)?;
                let context = engine.shape().context;
                let mut session = engine.session(SessionOptions::default())?;
                session.sync(&tokens[..tokens.len().min(context)])?;
                Ok(differ(session.logits()?))
            }
            Body::Embedder(embedder) => {
                let embedder = embedder.lock().unwrap_or_else(PoisonError::into_inner);
                Ok(differ(&embedder.embed(SMOKE, EmbedOptions::default())?.vector))
            }
        }
    }

    /// Whether nobody else has it any more.
    pub(crate) fn is_alone(&self) -> bool {
        match self {
            Body::Engine(engine) => Arc::strong_count(engine) == 1,
            Body::Embedder(embedder) => Arc::strong_count(embedder) == 1,
        }
    }
}

/// Bytes of memory that computing with a model takes beside weights, keys and values.
pub(crate) fn scratch(shape: &Shape) -> u64 {
    Scratch::bytes_for(shape, BATCH).map_or(u64::MAX, |bytes| bytes as u64)
}
