//! What a chain's journal holds, and what is known from one that was read.
//!
//! A record names a step by its path. `Done` has all that the step told, so that it can be told again;
//! `Failed` has the same of an attempt that a retry or a fallback went on from. The order of records of
//! steps that ran at the same time is that in which they ended: it means nothing, and nobody reads it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use xxhash_rust::xxh3::Xxh3;

use super::error::ChainError;
use super::event::{Event, What};

/// The version of the layout.
pub(super) const VERSION: u32 = 1;

/// One record.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Record {
    /// The first.
    Begun {
        version: u32,
        /// No other run has it.
        run: String,
        chain: String,
        shape: u64,
        input: Value,
    },
    /// A step that cannot be taken back is about to be done.
    Intent { path: String },
    /// It was not done.
    Undone { path: String },
    /// A step has its result.
    Done { path: String, input: u64, output: Value, events: Vec<What> },
    /// An attempt has none, and the chain goes on.
    Failed { path: String, error: String, events: Vec<Event> },
    /// The last.
    Ended,
}

/// A step's result: of which input, what, and what was told.
pub(super) type Result = (u64, Value, Vec<What>);

/// What a journal says.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) run: String,
    pub(super) done: HashMap<String, Result>,
    pub(super) failed: HashMap<String, (String, Vec<Event>)>,
    pub(super) intents: HashSet<String>,
    pub(super) ended: bool,
}

impl Known {
    /// A new run, of which nothing is known.
    pub(super) fn fresh() -> Known {
        // What the standard library seeds its tables with is random enough for a name.
        let random = |n: u32| RandomState::new().hash_one(n);
        Known { run: format!("{:016x}{:016x}", random(0), random(1)), ..Known::default() }
    }

    /// What these records say, and the input of the chain whose they are: of this name and shape.
    pub(super) fn read(
        records: Vec<Record>,
        chain: &str,
        shape: u64,
    ) -> std::result::Result<(Known, Value), ChainError> {
        let changed = |what: String| Err(ChainError::Changed(what));
        let mut records = records.into_iter();
        let Some(Record::Begun { version, run, chain: theirs, shape: kept, input }) =
            records.next()
        else {
            return changed("it does not begin as a chain's journal does".into());
        };
        if version != VERSION {
            return changed(format!("its layout is version {version}, not {VERSION}"));
        }
        if theirs != chain {
            return changed(format!("it is of the chain {theirs:?}, not {chain:?}"));
        }
        if kept != shape {
            return changed(format!(
                "the chain {chain:?} was built otherwise then (shape {kept:016x}, now {shape:016x})"
            ));
        }
        let mut known = Known { run, ..Known::default() };
        for record in records {
            match record {
                Record::Begun { .. } => return changed("it begins twice".into()),
                Record::Intent { path } => {
                    known.intents.insert(path);
                }
                Record::Undone { path } => {
                    known.intents.remove(&path);
                }
                Record::Done { path, input, output, events } => {
                    known.done.insert(path, (input, output, events));
                }
                Record::Failed { path, error, events } => {
                    known.failed.insert(path, (error, events));
                }
                Record::Ended => known.ended = true,
            }
        }
        Ok((known, input))
    }
}

/// The digest of a value, the same whatever the order of its objects' keys: a map has none.
pub(super) fn digest(value: &Value) -> u64 {
    fn add(value: &Value, hash: &mut Xxh3) {
        match value {
            Value::Object(map) => {
                hash.update(b"{");
                for (key, value) in map.iter().collect::<BTreeMap<_, _>>() {
                    add(&Value::String(key.clone()), hash);
                    add(value, hash);
                }
                hash.update(b"}");
            }
            Value::Array(values) => {
                hash.update(b"[");
                values.iter().for_each(|value| add(value, hash));
                hash.update(b"]");
            }
            // JSON of a scalar has no comma and ends where it ends.
            scalar => {
                hash.update(scalar.to_string().as_bytes());
                hash.update(b",");
            }
        }
    }
    let mut hash = Xxh3::new();
    add(value, &mut hash);
    hash.digest()
}
