//! Bodies that went wrong: good ones with pieces cut, doubled, swapped and flipped. Whatever comes,
//! the answer is a status that blames the body or a good one, and the server is there afterwards.
//! A seed makes each run the same; `ONDINE_MUTATIONS` sets how many there are.

use std::io::{Read, Write};
use std::net::TcpStream;

use ondine_server::Limits;

use crate::common::*;

const MUTATIONS: u64 = 10_000;

const SEEDS: [(&str, &str); 7] = [
    (
        "/v1/chat/completions",
        r#"{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"hé"}]},{"role":"assistant","tool_calls":[{"id":"1","function":{"name":"f","arguments":"{\"a\":1}"}}]},{"role":"tool","tool_call_id":"1","content":"x"}],"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object"}}}],"tool_choice":"auto","n":2,"stop":["a"],"seed":-1,"temperature":0.5,"logit_bias":{"5":1},"response_format":{"type":"json_schema","json_schema":{"schema":{}}}}"#,
    ),
    ("/v1/completions", r#"{"model":"m","prompt":["a","b"],"max_tokens":5,"n":2,"logprobs":1}"#),
    ("/v1/embeddings", r#"{"model":"m","input":["a","b"],"encoding_format":"base64"}"#),
    (
        "/v1/responses",
        r#"{"model":"m","input":[{"role":"user","content":"a"},{"type":"function_call","call_id":"1","name":"f","arguments":"{}"}],"text":{"format":{"type":"json_object"}},"truncation":"auto"}"#,
    ),
    (
        "/v1/messages",
        r#"{"model":"m","max_tokens":5,"system":"s","messages":[{"role":"user","content":[{"type":"tool_result","tool_use_id":"1","content":"x"},{"type":"text","text":"y"}]}],"tools":[{"name":"f","input_schema":{"type":"object"}}],"tool_choice":{"type":"any"},"stop_sequences":["x"]}"#,
    ),
    (
        "/api/chat",
        r#"{"model":"m","stream":false,"messages":[{"role":"tool","content":"x","tool_name":"f"}],"format":{"type":"object"},"options":{"num_predict":-1,"stop":"x","seed":1,"top_k":5}}"#,
    ),
    ("/api/generate", r#"{"model":"m","stream":false,"prompt":"x","raw":true,"options":{}}"#),
];

/// Pieces that bodies break on.
const PIECES: [&str; 18] = [
    "null",
    "-1",
    "1e400",
    "18446744073709551616",
    "\"\"",
    "[]",
    "{}",
    "[[[[[[[[",
    "\\u0000",
    "\\ud800",
    "true",
    "0.0000001",
    "\"x\":",
    ",",
    "é",
    "\u{0}",
    "9223372036854775808",
    "{\"a\":",
];

/// A small generator, so that a seed is a run (xorshift64*).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % sides.max(1)
    }
}

fn mutated(dice: &mut Dice, seed: &str) -> Vec<u8> {
    let mut body = seed.as_bytes().to_vec();
    for _ in 0..=dice.roll(4) {
        let (a, b) = (dice.roll(body.len()), dice.roll(body.len()));
        let (from, to) = (a.min(b), a.max(b).min(a.min(b) + 40));
        match dice.roll(6) {
            0 => drop(body.drain(from..to)),
            1 => drop(body.splice(from..to, PIECES[dice.roll(PIECES.len())].bytes())),
            2 => {
                let copy = body[from..to].to_vec();
                drop(body.splice(b.min(body.len())..b.min(body.len()), copy));
            }
            3 if !body.is_empty() => body[a] = dice.roll(256) as u8,
            4 => body.truncate(b),
            _ => {
                // A value becomes another value, and the rest stays JSON.
                let text = String::from_utf8_lossy(&body).into_owned();
                if let Some(colon) = text[text.floor_char_boundary(a)..].find(':') {
                    let at = text.floor_char_boundary(a) + colon + 1;
                    let end = text[at..].find([',', '}']).map_or(text.len(), |end| at + end);
                    let piece = PIECES[dice.roll(PIECES.len())];
                    body = format!("{}{piece}{}", &text[..at], &text[end..]).into_bytes();
                }
            }
        }
    }
    body
}

/// One request over a connection that stays, and the status.
fn exchange(stream: &mut TcpStream, path: &str, body: &[u8]) -> std::io::Result<u16> {
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(&[head.as_bytes(), body].concat())?;
    let mut all = Vec::new();
    let mut piece = [0; 16 << 10];
    loop {
        let read = stream.read(&mut piece)?;
        if read == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        all.extend_from_slice(&piece[..read]);
        let text = String::from_utf8_lossy(&all);
        let Some((head, rest)) = text.split_once("\r\n\r\n") else { continue };
        let head = head.to_ascii_lowercase();
        let done = match head.split("content-length: ").nth(1) {
            Some(length) => {
                let length = length.lines().next().unwrap_or_default();
                rest.len() >= length.parse::<usize>().unwrap_or(0)
            }
            // A stream, which a mutation may well ask for.
            None => rest.ends_with("0\r\n\r\n"),
        };
        if done {
            let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
            return Ok(status.unwrap_or(0));
        }
    }
}

#[test]
fn no_body_breaks_the_server() {
    let times = std::env::var("ONDINE_MUTATIONS").ok().and_then(|n| n.parse().ok());
    let times: u64 = times.unwrap_or(MUTATIONS);
    let server = Running::new(script(), Limits::default());
    let mut dice = Dice(0x0D1E_5EED);
    let mut stream = server.connect();
    let (mut good, mut bad) = (0_u64, 0_u64);
    for turn in 0..times {
        let (path, seed) = SEEDS[dice.roll(SEEDS.len())];
        let body = mutated(&mut dice, seed);
        let status = exchange(&mut stream, path, &body).unwrap_or_else(|error| {
            panic!("turn {turn}: {error}: {}", String::from_utf8_lossy(&body))
        });
        match status {
            200 => good += 1,
            400 | 404 | 413 => bad += 1,
            _ => panic!("turn {turn}: {status}: {}", String::from_utf8_lossy(&body)),
        }
    }
    assert!(good > times / 100 && bad > times / 2, "{good} good, {bad} bad: mutations are dull");
    for (path, seed) in SEEDS {
        assert_eq!(exchange(&mut stream, path, seed.as_bytes()).unwrap(), 200, "{path}");
    }
}
