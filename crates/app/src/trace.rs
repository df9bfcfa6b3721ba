//! The spans of a program, under the names of OpenTelemetry's conventions for generative AI
//! (`gen_ai.*`, as of version 1.41 of the conventions), and a file that they can be written to.
//!
//! The functions here make spans of the crate `tracing`: whoever listens to that hears them. Words (what
//! was asked and answered, the prompt as the model read it) go into a span only where whoever listens
//! asked for them, by enabling the target [`WORDS`] at its finest level. [`TraceFile`] is such a
//! listener: it writes one line of OTLP/JSON a span, which `ondine trace` and the file receiver of
//! OpenTelemetry's collector read.
//!
//! ```
//! use ondine_app::{Llm, Reply, ScriptedModel, trace};
//!
//! # let folder = std::env::temp_dir().join(format!("ondine-doc-trace-{}", std::process::id()));
//! # std::fs::create_dir_all(&folder)?;
//! # let path = folder.join("run.jsonl");
//! let file = trace::TraceFile::create(&path)?.with_words();
//! let llm = Llm::new(std::sync::Arc::new(ScriptedModel::new([Reply::text("Good day.")])));
//! file.listen(|| llm.ask("hello"))?;
//! let spans = trace::read(&path)?.spans;
//! assert_eq!(spans[0].number("gen_ai.usage.output_tokens"), Some(2.0));
//! println!("{}", trace::tree(&spans, true));
//! # std::fs::remove_dir_all(&folder)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod file;
mod otlp;
mod tree;
mod words;

use ondine_chat::{Answer, Chat, ChatError, Embedded, FinishReason, Format, Prompt, Request};
use tracing::{Level, Span, field, info_span};

pub use file::TraceFile;
pub use otlp::{Read, SpanRead, TraceError, read};
pub use tree::tree;

/// Whoever listens to this target, at the level `TRACE`, is told the words too.
pub const WORDS: &str = "ondine::words";

/// Whether whoever listens asked for words.
pub fn words_are_wanted() -> bool {
    tracing::enabled!(target: "ondine::words", Level::TRACE)
}

/// A question to a model.
pub fn chat(request: &Request) -> Span {
    let sampling = &request.sampling;
    let operation = match request.prompt {
        Prompt::Messages(_) => "chat",
        Prompt::Text(_) => "text_completion",
    };
    let kind = if request.format == Format::Text { "text" } else { "json" };
    let span = info_span!(
        "chat",
        otel.name = format!("{operation} {}", request.model).trim_end(),
        otel.kind = "client",
        gen_ai.operation.name = operation,
        gen_ai.provider.name = "ondine",
        gen_ai.request.model = request.model.as_str(),
        gen_ai.request.max_tokens = request.max_tokens,
        gen_ai.request.temperature = sampling.temperature,
        gen_ai.request.top_p = sampling.top_p,
        gen_ai.request.top_k = sampling.top_k.map(|k| k as f64),
        gen_ai.request.frequency_penalty = sampling.frequency_penalty,
        gen_ai.request.presence_penalty = sampling.presence_penalty,
        gen_ai.request.seed = sampling.seed,
        gen_ai.request.stop_sequences = field::Empty,
        gen_ai.output.type = kind,
        gen_ai.conversation.id = request.session.as_deref(),
        gen_ai.response.finish_reasons = field::Empty,
        gen_ai.usage.input_tokens = field::Empty,
        gen_ai.usage.output_tokens = field::Empty,
        gen_ai.usage.cache_read.input_tokens = field::Empty,
        gen_ai.input.messages = field::Empty,
        gen_ai.output.messages = field::Empty,
        gen_ai.tool.definitions = field::Empty,
        ondine.timing.queue_s = field::Empty,
        ondine.timing.prefill_s = field::Empty,
        ondine.timing.decode_s = field::Empty,
        ondine.prompt.dropped_tokens = field::Empty,
        ondine.prompt.text = field::Empty,
        ondine.prompt.tokens = field::Empty,
        error.type = field::Empty,
    );
    if !request.stop.is_empty() {
        span.record("gen_ai.request.stop_sequences", words::list(&request.stop));
    }
    if words_are_wanted() {
        span.record("gen_ai.input.messages", words::asked(request));
        if !request.tools.is_empty() {
            span.record("gen_ai.tool.definitions", words::tools(&request.tools));
        }
    }
    span
}

/// The prompt as the model reads it, text and tokens, where words are wanted and whoever answers shows
/// it. Costs another rendering, and nothing where words are not wanted.
pub fn prompt(span: &Span, chat: &dyn Chat, request: &Request) {
    if !words_are_wanted() {
        return;
    }
    if let Ok(rendered) = chat.rendered(request) {
        span.record("ondine.prompt.text", rendered.text.as_str());
        span.record("ondine.prompt.tokens", format!("{:?}", rendered.tokens).as_str());
    }
}

/// Its answer came.
pub fn answered(span: &Span, answer: &Answer) {
    let usage = &answer.usage;
    span.record("gen_ai.usage.input_tokens", usage.prompt_tokens);
    span.record("gen_ai.usage.output_tokens", usage.completion_tokens);
    span.record("gen_ai.usage.cache_read.input_tokens", usage.cached_tokens);
    span.record(
        "gen_ai.response.finish_reasons",
        words::list(&[finish(answer.reason).to_owned()]).as_str(),
    );
    span.record("ondine.timing.queue_s", usage.timing.queue_s);
    span.record("ondine.timing.prefill_s", usage.timing.prefill_s);
    span.record("ondine.timing.decode_s", usage.timing.decode_s);
    if usage.dropped_tokens > 0 {
        span.record("ondine.prompt.dropped_tokens", usage.dropped_tokens);
    }
    if words_are_wanted() {
        span.record("gen_ai.output.messages", words::answered(answer).as_str());
    }
}

/// No answer came.
pub fn failed(span: &Span, error: &ChatError) {
    span.record("error.type", error_kind(error));
}

/// The word that the conventions have for the end of an answer.
fn finish(reason: FinishReason) -> &'static str {
    match reason {
        FinishReason::Stop | FinishReason::StopText => "stop",
        FinishReason::Length => "length",
        FinishReason::Calls => "tool_call",
    }
}

/// The word that traces have for an error.
fn error_kind(error: &ChatError) -> &'static str {
    match error {
        ChatError::NoModel { .. } => "no_model",
        ChatError::Invalid { .. } => "invalid",
        ChatError::Context { .. } => "context",
        ChatError::Busy { .. } => "busy",
        ChatError::Memory { .. } => "memory",
        ChatError::NoSession { .. } => "no_session",
        ChatError::Conflict(_) => "conflict",
        ChatError::Unsupported(_) => "unsupported",
        ChatError::Disk(_) => "disk",
        ChatError::ShuttingDown => "shutting_down",
        ChatError::Unreachable(_) => "unreachable",
        _ => "_OTHER",
    }
}

/// A call of a tool. The words of its arguments and of what came of it are [`called`]'s and
/// [`observed`]'s to tell.
pub fn tool(name: &str, id: &str) -> Span {
    info_span!(
        "execute_tool",
        otel.name = format!("execute_tool {name}").as_str(),
        gen_ai.operation.name = "execute_tool",
        gen_ai.tool.name = name,
        gen_ai.tool.type = "function",
        gen_ai.tool.call.id = id,
        gen_ai.tool.call.arguments = field::Empty,
        gen_ai.tool.call.result = field::Empty,
        error.type = field::Empty,
    )
}

/// What a tool is called with, where words are wanted.
pub fn called(span: &Span, arguments: &serde_json::Value) {
    if words_are_wanted() {
        span.record("gen_ai.tool.call.arguments", arguments.to_string().as_str());
    }
}

/// What came of a call, where words are wanted.
pub fn observed(span: &Span, text: &str) {
    if words_are_wanted() {
        span.record("gen_ai.tool.call.result", text);
    }
}

/// Texts that become vectors.
pub fn embeddings(model: &str, texts: usize) -> Span {
    info_span!(
        "embeddings",
        otel.name = format!("embeddings {model}").trim_end(),
        otel.kind = "client",
        gen_ai.operation.name = "embeddings",
        gen_ai.provider.name = "ondine",
        gen_ai.request.model = model,
        gen_ai.embeddings.dimension.count = field::Empty,
        gen_ai.usage.input_tokens = field::Empty,
        ondine.embeddings.texts = texts,
        error.type = field::Empty,
    )
}

/// The vectors came.
pub fn embedded(span: &Span, embedded: &Embedded) {
    span.record("gen_ai.usage.input_tokens", embedded.tokens);
    if let Some(vector) = embedded.vectors.first() {
        span.record("gen_ai.embeddings.dimension.count", vector.len());
    }
}

/// A look for passages: where, and how many at most.
pub fn retrieval(source: &str, question: &str, k: usize) -> Span {
    let span = info_span!(
        "retrieval",
        otel.name = format!("retrieval {source}").trim_end(),
        gen_ai.operation.name = "retrieval",
        gen_ai.provider.name = "ondine",
        gen_ai.data_source.id = source,
        gen_ai.retrieval.top_k = k,
        gen_ai.retrieval.query.text = field::Empty,
        gen_ai.retrieval.documents = field::Empty,
        ondine.retrieval.hits = field::Empty,
        error.type = field::Empty,
    );
    if words_are_wanted() {
        span.record("gen_ai.retrieval.query.text", question);
    }
    span
}

/// What was found.
pub fn found(span: &Span, hits: &[crate::Hit]) {
    span.record("ondine.retrieval.hits", hits.len());
    if words_are_wanted() {
        span.record("gen_ai.retrieval.documents", words::hits(hits).as_str());
    }
}

/// An agent at work on the run `id`: all its questions and calls are inside.
pub fn agent(name: &str, id: &str) -> Span {
    info_span!(
        "invoke_agent",
        otel.name = format!("invoke_agent {name}").trim_end(),
        gen_ai.operation.name = "invoke_agent",
        gen_ai.provider.name = "ondine",
        gen_ai.agent.name = name,
        gen_ai.agent.id = id,
        gen_ai.conversation.id = id,
        gen_ai.usage.input_tokens = field::Empty,
        gen_ai.usage.output_tokens = field::Empty,
        error.type = field::Empty,
    )
}

/// A step of a chain or a graph; `path` tells it from the other steps of that name.
pub fn step(name: &str, path: &str) -> Span {
    info_span!(
        "step",
        otel.name = format!("step {name}").trim_end(),
        ondine.step.name = name,
        ondine.step.path = path,
        error.type = field::Empty,
    )
}

/// A chain, a graph or a company at work.
pub fn workflow(name: &str) -> Span {
    info_span!(
        "invoke_workflow",
        otel.name = format!("invoke_workflow {name}").trim_end(),
        gen_ai.operation.name = "invoke_workflow",
        gen_ai.workflow.name = name,
        error.type = field::Empty,
    )
}
