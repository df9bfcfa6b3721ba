//! What can go wrong between an app and a daemon, and what a daemon says is wrong, as the
//! [`ChatError`] that it was before it travelled.

use ondine_chat::ChatError;
use serde_json::Value;

/// Why a daemon could not be asked, or what it said instead of an answer.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// What is no address, or none that a token may be sent to.
    #[error("{url:?}: {reason}; a daemon's address is such as http://127.0.0.1:11435")]
    Address {
        /// What was given.
        url: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Nobody there.
    #[error("no daemon at {url}: {reason}; `ondine serve` starts one")]
    Unreachable {
        /// Where.
        url: String,
        /// What the system says.
        reason: String,
    },
    /// The daemon does not know who asks.
    #[error("{url} lets nobody in here: {reason}; `ondine app add NAME` prints a token")]
    Token {
        /// Who says so.
        url: String,
        /// What it says.
        reason: String,
    },
    /// Nothing came for too long.
    #[error("{url} was silent for {seconds} s")]
    Silent {
        /// Who.
        url: String,
        /// How long it was waited for.
        seconds: u64,
    },
    /// The connection ended before the answer did.
    #[error("the answer of {url} broke off: {reason}")]
    Cut {
        /// Whose answer.
        url: String,
        /// What the system says.
        reason: String,
    },
    /// More than an answer may have.
    #[error("{url} sent more than {limit} bytes")]
    TooLong {
        /// Who.
        url: String,
        /// How many are read.
        limit: u64,
    },
    /// What no daemon says.
    #[error("{url} sent {what}; it is no daemon of Ondine, or one of another version")]
    Nonsense {
        /// Who.
        url: String,
        /// What came.
        what: &'static str,
    },
    /// A refusal that no model gives: a path that is not there, a redirect, a proxy in between.
    #[error("{url} refused {path} with status {status}: {reason}")]
    Refused {
        /// Who.
        url: String,
        /// What was asked.
        path: String,
        /// HTTP's number for it.
        status: u16,
        /// What it says.
        reason: String,
    },
    /// What whoever answers there says.
    #[error(transparent)]
    Chat(#[from] ChatError),
}

impl From<ClientError> for ChatError {
    fn from(error: ClientError) -> ChatError {
        match error {
            ClientError::Chat(error) => error,
            other => ChatError::Unreachable(other.to_string()),
        }
    }
}

/// The same of somebody's endpoint, for whom `ondine` on this machine is no help.
pub(crate) fn of_an_endpoint(error: ClientError) -> ChatError {
    ChatError::Unreachable(match error {
        ClientError::Chat(ChatError::ShuttingDown) => "the endpoint is not ready (503)".into(),
        ClientError::Chat(error) => return error,
        ClientError::Unreachable { url, reason } => format!("nobody answers at {url}: {reason}"),
        ClientError::Token { url, reason } => format!("{url} does not take the key: {reason}"),
        ClientError::Nonsense { url, what } => {
            format!("{url} sent {what}; it does not speak OpenAI's API")
        }
        other => other.to_string(),
    })
}

/// What a daemon said is wrong, in OpenAI's or Anthropic's shape and with its status; 0 within a stream.
pub(crate) fn told(
    url: &str,
    status: u16,
    path: &str,
    body: &Value,
    retry_after_s: Option<u64>,
) -> ClientError {
    let error = &body["error"];
    // Of somebody else's page nothing is shown: it may be anything.
    let Some(message) = error["message"].as_str() else {
        let reason = "no reason that can be read".into();
        return ClientError::Refused { url: url.to_owned(), path: path.to_owned(), status, reason };
    };
    let code = error["code"].as_str().unwrap_or_else(|| code(status, message));
    let refused = || ClientError::Refused {
        url: url.to_owned(),
        path: path.to_owned(),
        status,
        reason: message.to_owned(),
    };
    let internal = || ChatError::Internal(stripped(message, "internal error: "));
    let invalid = || ChatError::Invalid {
        what: message.to_owned(),
        part: part(error["param"].as_str().unwrap_or_default()),
    };
    let numbers = numbers(message);
    ClientError::Chat(match code {
        "missing_api_key" | "invalid_api_key" => {
            return ClientError::Token { url: url.to_owned(), reason: message.to_owned() };
        }
        "forbidden" | "request_timeout" | "unsupported_media_type" => return refused(),
        // The name that was asked for is not told again: whoever asked puts it in.
        "model_not_found" => ChatError::NoModel {
            name: String::new(),
            known: match message.split_once("there are: ") {
                Some((_, names)) => names.split(", ").map(str::to_owned).collect(),
                None => Vec::new(),
            },
        },
        "context_length_exceeded" => match numbers[..] {
            // The order of others' numbers is not known, unless they say what these say.
            [prompt_tokens, wanted, context] if prompt_tokens + wanted > context => {
                ChatError::Context {
                    prompt_tokens: prompt_tokens as usize,
                    wanted: wanted as usize,
                    context: context as usize,
                }
            }
            _ => invalid(),
        },
        "rate_limit_exceeded" => {
            let (limit, rest) = message.split_once(" is reached (").unwrap_or((message, ""));
            ChatError::Busy {
                limit: limit.to_owned(),
                value: rest.split(')').next().and_then(|n| n.parse().ok()).unwrap_or(0),
                retry_after_s: retry_after_s.or(numbers.last().copied()).unwrap_or(1),
            }
        }
        "out_of_memory" => match (message.split_once(" needs "), &numbers[..]) {
            (Some((what, _)), [.., needed, available, budget]) => ChatError::Memory {
                what: what.to_owned(),
                needed: *needed,
                available: *available,
                budget: *budget,
            },
            _ => internal(),
        },
        "shutting_down" => ChatError::ShuttingDown,
        "conflict" => ChatError::Conflict(message.to_owned()),
        "unsupported" => ChatError::Unsupported(message.to_owned()),
        "insufficient_storage" => ChatError::Disk(stripped(message, "the disk: ")),
        "internal_error" => internal(),
        "request_too_large" => invalid(),
        _ if matches!(status, 0 | 400) => invalid(),
        _ => return refused(),
    })
}

/// The code that goes with a status: Anthropic's errors have none.
fn code(status: u16, message: &str) -> &'static str {
    match status {
        401 => "invalid_api_key",
        403 => "forbidden",
        404 if message.starts_with("there is no such model") => "model_not_found",
        409 => "conflict",
        429 => "rate_limit_exceeded",
        500 => "internal_error",
        501 => "unsupported",
        503 => "shutting_down",
        507 => "insufficient_storage",
        529 => "out_of_memory",
        _ => "",
    }
}

fn stripped(message: &str, before: &str) -> String {
    message.strip_prefix(before).unwrap_or(message).to_owned()
}

/// The whole numbers of a text, in order.
fn numbers(text: &str) -> Vec<u64> {
    let digits = text.split(|c: char| !c.is_ascii_digit());
    digits.filter_map(|digits| digits.parse().ok()).collect()
}

/// The part of a [`Request`](ondine_chat::Request) that a field of a body stands for.
fn part(field: &str) -> &'static str {
    let field = field.strip_prefix("ondine.").unwrap_or(field);
    let first = field.split(['.', '[']).next().unwrap_or_default();
    match first {
        "model" => "model",
        "tools" => "tools",
        "tool_choice" => "tool_choice",
        "format" | "response_format" | "regex" | "lark" => "format",
        "max_tokens" | "max_completion_tokens" => "max_tokens",
        "stop" => "stop",
        "logprobs" | "top_logprobs" => "logprobs",
        "overflow" => "overflow",
        "keep" | "keep_alive" => "keep",
        "input" => "input",
        "name" => "name",
        "sampling" | "temperature" | "top_k" | "top_p" | "min_p" | "repetition_penalty"
        | "presence_penalty" | "frequency_penalty" | "logit_bias" | "seed" => "sampling",
        _ => "prompt",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn strangers_and_closed_doors_are_told_apart() {
        let said = |code: &str| json!({"error": {"message": "words", "code": code, "param": null}});
        let token = ClientError::Token { url: "u".into(), reason: "words".into() };
        let refused = |status, reason: &str| ClientError::Refused {
            url: "u".into(),
            path: "/p".into(),
            status,
            reason: reason.into(),
        };
        let invalid = ClientError::Chat(ChatError::invalid("prompt", "words"));
        let rows = [
            (401, said("invalid_api_key"), token),
            (403, said("forbidden"), refused(403, "words")),
            (404, said(""), refused(404, "words")),
            (302, Value::Null, refused(302, "no reason that can be read")),
            (502, json!("<html>"), refused(502, "no reason that can be read")),
            (413, said("request_too_large"), invalid.clone()),
            (400, said("a code of tomorrow"), invalid.clone()),
            // Words that are not as they should be are still words.
            (400, said("context_length_exceeded"), invalid),
            (503, said("out_of_memory"), ClientError::Chat(ChatError::Internal("words".into()))),
        ];
        for (status, body, expected) in rows {
            assert_eq!(told("u", status, "/p", &body, None), expected, "{status} {body}");
        }
        let busy = told("u", 429, "/p", &said("rate_limit_exceeded"), Some(9));
        let limit = "words".to_owned();
        assert_eq!(busy, ClientError::Chat(ChatError::Busy { limit, value: 0, retry_after_s: 9 }));
    }

    #[test]
    fn fields_are_parts_of_a_request() {
        for (field, expected) in [
            ("messages[0].role", "prompt"),
            ("", "prompt"),
            ("response_format.json_schema.schema", "format"),
            ("ondine.lark", "format"),
            ("tools[3].function.name", "tools"),
            ("seed", "sampling"),
        ] {
            assert_eq!(part(field), expected, "{field}");
        }
    }
}
