//! Vectors over OpenAI's API.

use ondine_chat::{ChatError, Embed, Embedded};
use serde::Deserialize;
use serde_json::json;

use crate::Client;
use crate::chat::named;
use crate::http::Ask;

#[derive(Deserialize)]
struct Answer {
    data: Vec<Row>,
    usage: Usage,
}

#[derive(Deserialize)]
struct Row {
    index: usize,
    embedding: Vec<f32>,
}

#[derive(Deserialize)]
struct Usage {
    prompt_tokens: usize,
}

impl Embed for Client {
    fn embed(&self, model: &str, texts: &[String]) -> Result<Embedded, ChatError> {
        if texts.is_empty() {
            return Ok(Embedded::default());
        }
        let body = json!({"model": model, "input": texts, "encoding_format": "float"});
        let answer = self.http.json("/v1/embeddings", Ask::Post(&body));
        let answer = answer.map_err(|error| named(error, model))?;
        let nonsense =
            || ChatError::from(self.http.nonsense("vectors that are not those asked for"));
        let answer: Answer = serde_json::from_value(answer).map_err(|_| nonsense())?;
        let whole = answer.data.len() == texts.len()
            && answer.data.iter().enumerate().all(|(place, row)| row.index == place)
            && answer.data.iter().all(|row| row.embedding.len() == answer.data[0].embedding.len());
        if !whole {
            return Err(nonsense());
        }
        let vectors = answer.data.into_iter().map(|row| row.embedding).collect();
        Ok(Embedded { vectors, tokens: answer.usage.prompt_tokens })
    }
}
