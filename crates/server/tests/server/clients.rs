//! The clients that people have: OpenAI's, Anthropic's and Ollama's Python packages, against a scripted
//! model; and a judge of OpenAPI documents. The real daemon is asked by them in the command line's tests.

use std::sync::Arc;

use ondine_chat::{ChatError, FinishReason};
use ondine_server::Limits;

use crate::common::*;
use crate::python;

fn check(script: &str, server: &Running) {
    python::check(script, &server.address.to_string(), TOKEN);
}

#[test]
fn ht_16_openai_s_client() {
    check("openai_client.py", &Running::new(script(), Limits::default()));
}

#[test]
fn ht_16_anthropic_s_client() {
    check("anthropic_client.py", &Running::new(script(), Limits::default()));
}

#[test]
fn ht_16_ollama_s_client() {
    check("ollama_client.py", &Running::new(script(), Limits::default()));
}

#[test]
fn the_openapi_document_is_one() {
    check("openapi_document.py", &Running::new(script(), Limits::default()));
}

#[test]
fn ht_16_every_client_sees_an_error_within_a_stream() {
    let broken = ondine_chat::Event::Failed(ChatError::Internal("broke".into()));
    let tape = vec![started(), text("a"), broken];
    check("broken_stream.py", &Running::new(Arc::new(Tape(tape)), Limits::default()));
}

#[test]
fn ht_16_anthropic_s_client_sees_the_stop_text() {
    let tape = vec![started(), text("a"), finished(FinishReason::StopText)];
    check("anthropic_stop.py", &Running::new(Arc::new(Tape(tape)), Limits::default()));
}
