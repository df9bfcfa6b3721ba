//! Models in memory and models in the store: what there is, what would fit, what goes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::ChatError;

/// Whoever holds models in memory.
pub trait Keeper: Send + Sync {
    /// Whether a request would fit, and what would have to go for it.
    ///
    /// # Errors
    /// No such model.
    fn plan(&self, wanted: &Wanted) -> Result<Plan, ChatError>;

    /// What is going on now.
    fn status(&self) -> Status;

    /// Brings a model into memory if it is not there, and says how long it stays when nobody uses it.
    ///
    /// # Errors
    /// No such model, or no room that could be made for it.
    fn load(&self, model: &str, keep: Keep) -> Result<(), ChatError>;

    /// Lets a model go from memory as soon as nobody uses it.
    ///
    /// # Errors
    /// No such model.
    fn unload(&self, model: &str) -> Result<(), ChatError>;
}

/// How long a model stays in memory when nobody uses it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Keep {
    /// As the service was told.
    #[default]
    Usual,
    /// For so many seconds; 0 lets it go after the request.
    Seconds(u64),
    /// Until it has to make room.
    Always,
}

/// What a [`Plan`] is made for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// The model; the default model where it is empty.
    #[serde(default)]
    pub model: String,
    /// Tokens of the prompt.
    #[serde(default)]
    pub prompt_tokens: usize,
    /// Tokens of the answer.
    #[serde(default)]
    pub answer_tokens: usize,
}

/// Whether something fits. All numbers are bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Whether it could be done now or after what is running has ended.
    pub fits: bool,
    /// Why not, where it does not fit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The model's weights; 0 where they are in memory already.
    pub weights: u64,
    /// Keys and values of prompt and answer.
    pub kv: u64,
    /// Memory of the computation itself.
    pub scratch: u64,
    /// All that may be used.
    pub budget: u64,
    /// What is used now.
    pub used: u64,
    /// What would have to go, in the order in which it goes.
    pub evicted: Vec<Evicted>,
}

/// Something that would leave memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evicted {
    /// Keys and values of an app's earlier requests, or a model's weights.
    pub what: Eviction,
    /// The model, or the model that they belong to.
    pub model: String,
    /// How many bytes that frees.
    pub bytes: u64,
}

/// Kinds of what may leave memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Eviction {
    /// Keys and values: to disk, or to be computed again.
    Kv,
    /// Weights of an idle model.
    Model,
}

/// What is going on, for whoever watches.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// By model, those that are not in memory among them.
    pub models: BTreeMap<String, ModelStatus>,
    /// Bytes in use, of those that may be.
    pub memory_used: u64,
    /// Bytes that may be used.
    pub memory: u64,
}

/// What one model is doing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ModelStatus {
    /// Whether its weights are in memory.
    pub loaded: bool,
    /// Bytes of its weights.
    pub bytes: u64,
    /// Lower-case hexadecimal SHA-256 of the file that answers now, where it is known.
    pub sha256: Option<String>,
    /// Requests that wait, by app.
    pub waiting: BTreeMap<String, usize>,
    /// Requests that are being answered, by app.
    pub running: BTreeMap<String, usize>,
    /// Bytes of keys and values that are kept for later requests.
    pub kept_bytes: u64,
    /// Tokens that were evaluated, prompts and answers together, since the service began.
    pub tokens: u64,
    /// Tokens of prompts that were known from before, since the service began.
    pub cached_tokens: u64,
    /// Seconds until it leaves memory if nobody uses it; `None` where it stays or is not there.
    pub leaves_in_s: Option<u64>,
    /// What is wrong with the version that its name stands for now, where another one answers or none
    /// can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// Whoever keeps models on disk.
pub trait Shelf: Send + Sync {
    /// Fetches a model and gives the name that it has then. `watch` is told how far it is, and stops
    /// it by `false`; what has arrived is kept for another time.
    ///
    /// # Errors
    /// A source that is none, a server that fails, content that is not what it should be.
    fn pull(
        &self,
        source: &str,
        name: Option<&str>,
        watch: &mut dyn FnMut(&Pulling) -> bool,
    ) -> Result<String, ChatError>;

    /// Takes a model's name away, and its content where nothing else needs it.
    ///
    /// # Errors
    /// No such model; the disk.
    fn remove(&self, name: &str) -> Result<(), ChatError>;
}

/// How far a download is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pulling {
    /// What is being done, in a few words.
    pub step: String,
    /// Bytes that have arrived.
    pub done: u64,
    /// Bytes in all, where that is known.
    pub total: Option<u64>,
    /// SHA-256 of the content, where it is known before.
    pub sha256: Option<String>,
}
