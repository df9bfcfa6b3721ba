//! One file a command. A command reads its arguments, asks the floors below and prints.

pub(crate) mod app;
pub(crate) mod bench;
pub(crate) mod complete;
pub(crate) mod completions;
pub(crate) mod embed;
pub(crate) mod eval;
pub(crate) mod import;
pub(crate) mod inspect;
pub(crate) mod logits;
pub(crate) mod ls;
pub(crate) mod mcp;
pub(crate) mod perplexity;
pub(crate) mod pull;
pub(crate) mod rag;
pub(crate) mod rm;
pub(crate) mod rollback;
pub(crate) mod run;
pub(crate) mod serve;
pub(crate) mod service;
pub(crate) mod template;
pub(crate) mod tokenize;
pub(crate) mod trace;
pub(crate) mod update;
