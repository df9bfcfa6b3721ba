//! Models in memory and models in the store: what there is, what would fit, what goes.

use std::collections::BTreeMap;
use std::str::FromStr;

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
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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

/// A time that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a time such as 300, 5m or 1h30m, 0 for not at all, or -1 for always")]
pub struct NoTime;

impl FromStr for Keep {
    type Err = NoTime;

    /// Seconds, or numbers with the units `ms`, `s`, `m` and `h`; less than nothing is always. What is
    /// left of a second counts as one.
    fn from_str(text: &str) -> Result<Keep, NoTime> {
        let (negative, mut rest) = match text.trim().strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.trim()),
        };
        if rest == "always" {
            return Ok(Keep::Always);
        }
        if rest.is_empty() || rest.len() > TIME_BYTES_MAX {
            return Err(NoTime);
        }
        let mut seconds = 0.0;
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
            let (number, after) = rest.split_at(digits);
            let number: f64 = number.parse().map_err(|_| NoTime)?;
            let letters = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
            let (unit, after) = after.split_at(letters);
            seconds += number
                * match unit {
                    // A number alone is seconds, and nothing may stand beside it.
                    "" if after.is_empty()
                        && digits == text.trim().trim_start_matches('-').len() =>
                    {
                        1.0
                    }
                    "ms" => 0.001,
                    "s" => 1.0,
                    "m" => 60.0,
                    "h" => 3600.0,
                    _ => return Err(NoTime),
                };
            rest = after;
        }
        // A number that is too large for seconds is as good as for ever.
        Ok(if negative && seconds > 0.0 {
            Keep::Always
        } else {
            Keep::Seconds(seconds.ceil() as u64)
        })
    }
}

/// The longest time that is read.
const TIME_BYTES_MAX: usize = 40;

/// What a [`Plan`] is made for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Wanted {
    /// The model; the default model where it is empty.
    #[serde(default)]
    pub model: String,
    /// Tokens of the prompt.
    #[serde(default)]
    pub prompt_tokens: usize,
    /// Tokens of the answer; where `None`, as many as a request gets that does not say.
    #[serde(default)]
    pub answer_tokens: Option<usize>,
}

/// Whether something fits. All numbers are bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Eviction {
    /// Keys and values: to disk, or to be computed again.
    Kv,
    /// Weights of an idle model.
    Model,
}

/// What is going on, for whoever watches.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_as_people_write_it() {
        let rows: &[(&str, Option<Keep>)] = &[
            ("300", Some(Keep::Seconds(300))),
            ("0", Some(Keep::Seconds(0))),
            ("5m", Some(Keep::Seconds(300))),
            ("1h30m", Some(Keep::Seconds(5400))),
            ("1.5s", Some(Keep::Seconds(2))),
            ("200ms", Some(Keep::Seconds(1))),
            ("-1", Some(Keep::Always)),
            ("-1m", Some(Keep::Always)),
            ("-0", Some(Keep::Seconds(0))),
            ("always", Some(Keep::Always)),
            ("99999999999999999999h", Some(Keep::Seconds(u64::MAX))),
            ("", None),
            ("-", None),
            ("m", None),
            ("5x", None),
            ("5m3", None),
            ("1..2", None),
            ("five", None),
            ("1e9", None),
            (&"1".repeat(41), None),
        ];
        for (text, expected) in rows {
            assert_eq!(text.parse::<Keep>().ok(), *expected, "{text}");
        }
    }
}
