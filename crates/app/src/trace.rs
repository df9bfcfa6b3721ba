//! The spans of a program, under the names of OpenTelemetry's conventions for generative AI
//! (`gen_ai.*`). Words go into a span only where whoever listens asked for them.

use ondine_chat::{Answer, Request};
use tracing::{Span, field, info_span};

/// A question to a model.
pub(crate) fn chat(request: &Request) -> Span {
    info_span!(
        "chat",
        gen_ai.operation.name = "chat",
        gen_ai.provider.name = "ondine",
        gen_ai.request.model = %request.model,
        gen_ai.usage.input_tokens = field::Empty,
        gen_ai.usage.output_tokens = field::Empty,
    )
}

/// Its answer came.
pub(crate) fn answered(span: &Span, answer: &Answer) {
    span.record("gen_ai.usage.input_tokens", answer.usage.prompt_tokens);
    span.record("gen_ai.usage.output_tokens", answer.usage.completion_tokens);
}

/// A call of a tool.
pub(crate) fn tool(name: &str, id: &str) -> Span {
    info_span!(
        "execute_tool",
        gen_ai.operation.name = "execute_tool",
        gen_ai.tool.name = name,
        gen_ai.tool.call.id = id,
        error.type = field::Empty,
    )
}

/// A run of an agent, from where it is driven to where it is not any more.
pub(crate) fn agent(name: &str, run: &str) -> Span {
    info_span!(
        "invoke_agent",
        gen_ai.operation.name = "invoke_agent",
        gen_ai.provider.name = "ondine",
        gen_ai.agent.name = name,
        gen_ai.conversation.id = run,
        gen_ai.usage.input_tokens = field::Empty,
        gen_ai.usage.output_tokens = field::Empty,
        error.type = field::Empty,
    )
}
