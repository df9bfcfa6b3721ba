//! `POST /v1/embeddings`: texts become vectors, as numbers or as base64 of their bytes.

use axum::response::Response;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::completions::texts;
use crate::house::{Call, good};
use crate::trouble::Trouble;
use crate::wire::OneOr;

// How many texts it may have is a limit of the server.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "EmbeddingRequest")]
pub(super) struct Body {
    model: String,
    #[schemars(with = "OneOr<String>")]
    input: OneOr<Value>,
    #[serde(default)]
    encoding_format: Option<Encoding>,
    #[serde(default)]
    dimensions: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "EmbeddingEncoding")]
enum Encoding {
    Float,
    Base64,
}

/// Turns texts into vectors.
pub(super) async fn embed(call: Call) -> Result<Response, Trouble> {
    let body: Body = call.read()?;
    let texts = texts(&call.house.limits, "input", body.input)?;
    let embedded = call.vectors(body.model.clone(), texts).await?;
    // A vector cut short is a vector only where the model was taught so, which nobody tells us.
    let width = embedded.vectors.first().map_or(0, Vec::len);
    if body.dimensions.is_some_and(|dimensions| dimensions != width) {
        let message = format!("this model's vectors have {width} numbers");
        return Err(Trouble::at("dimensions", message));
    }
    let encoding = body.encoding_format.unwrap_or(Encoding::Float);
    let data: Vec<Value> = embedded
        .vectors
        .iter()
        .enumerate()
        .map(|(index, vector)| {
            let embedding: Value = match encoding {
                Encoding::Float => vector.iter().copied().map(f64::from).collect(),
                Encoding::Base64 => {
                    let bytes: Vec<u8> = vector.iter().flat_map(|x| x.to_le_bytes()).collect();
                    base64(&bytes).into()
                }
            };
            json!({"object": "embedding", "index": index, "embedding": embedding})
        })
        .collect();
    Ok(good(&json!({
        "object": "list",
        "data": data,
        "model": body.model,
        "usage": {"prompt_tokens": embedded.tokens, "total_tokens": embedded.tokens},
    })))
}

/// RFC 4648, with padding.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let word = three.iter().fold(0_u32, |word, byte| (word << 8) | u32::from(*byte))
            << (8 * (3 - three.len()));
        for place in 0..4 {
            if place <= three.len() {
                let six = (word >> (18 - 6 * place)) & 63;
                text.push(LETTERS[six as usize].into());
            } else {
                text.push('=');
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_the_standard_s() {
        let rows = [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ];
        for (bytes, expected) in rows {
            assert_eq!(base64(bytes.as_bytes()), expected, "{bytes}");
        }
        assert_eq!(base64(&[0xfb, 0xff]), "+/8=");
    }
}
