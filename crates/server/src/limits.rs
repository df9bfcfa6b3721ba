//! Every limit of the door, with its name. It knows no API: a limit that one API documents for
//! itself (how warm a temperature may be) stands beside that API's shapes.

use std::time::Duration;

/// What a stranger may ask of the server. Whoever starts it may change each.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes of a request's body.
    pub body_bytes: usize,
    /// Bytes of all bodies that are being read or answered; what goes over is told so.
    pub bodies_bytes: usize,
    /// Bytes of a request's line and headers together.
    pub header_bytes: usize,
    /// Headers of a request.
    pub headers: usize,
    /// Objects and lists within one another in a body. The JSON reader itself goes no deeper
    /// than 127, so a larger value means 127.
    pub json_depth: usize,
    /// Values of a body: each takes far more memory than the two bytes that it may be written in.
    pub json_values: usize,
    /// Turns of a conversation.
    pub messages: usize,
    /// Tools of a request.
    pub tools: usize,
    /// Bytes of a schema, written without spaces.
    pub schema_bytes: usize,
    /// Answers to one request (`n`).
    pub choices: usize,
    /// Texts of one request: prompts to complete, texts to embed.
    pub texts: usize,
    /// Texts that end an answer.
    pub stops: usize,
    /// Bytes of each of them.
    pub stop_bytes: usize,
    /// Tokens of an answer that may be asked for.
    pub tokens: usize,
    /// Likeliest tokens told with each.
    pub top_logprobs: usize,
    /// Tokens with a bias.
    pub logit_bias: usize,
    /// Connections at one time; one more is told so and closed.
    pub connections: usize,
    /// Bodies being read or answered at one time; one more is told so.
    pub requests: usize,
    /// How long a client may take to send its headers.
    pub header_time: Duration,
    /// How long a client may take to send its body.
    pub body_time: Duration,
    /// How long a client may take nothing of what is written to it.
    pub write_time: Duration,
    /// How long a stream is silent before a sign of life is sent.
    pub keep_alive: Duration,
    /// Bytes of an answer that wait for a slow reader; more ends the answer.
    pub unread_bytes: usize,
    /// How long running answers may go on when the server ends.
    pub grace: Duration,
    /// Responses kept for `previous_response_id`.
    pub responses: usize,
    /// Bytes of kept responses together, as JSON.
    pub responses_bytes: usize,
    /// How long a response is kept.
    pub responses_time: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            body_bytes: 8 << 20,
            bodies_bytes: 64 << 20,
            header_bytes: 32 << 10,
            headers: 100,
            json_depth: 127,
            json_values: 1 << 18,
            messages: 4096,
            tools: 128,
            schema_bytes: 256 << 10,
            choices: 8,
            texts: 2048,
            stops: 16,
            stop_bytes: 256,
            tokens: 1 << 20,
            top_logprobs: 20,
            logit_bias: 1024,
            connections: 256,
            requests: 64,
            header_time: Duration::from_secs(10),
            body_time: Duration::from_secs(30),
            write_time: Duration::from_secs(60),
            keep_alive: Duration::from_secs(15),
            unread_bytes: 1 << 20,
            grace: Duration::from_secs(30),
            responses: 256,
            responses_bytes: 32 << 20,
            responses_time: Duration::from_secs(24 * 3600),
        }
    }
}
