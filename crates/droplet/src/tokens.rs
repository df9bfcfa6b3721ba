//! The reserved tokens of droplet's vocabulary, and the two sequences made of them: the prompt
//! `<|user|> request <|call|>` and the answer `<|fn:NAME|> (<|arg:NAME|> value)*`, which the
//! vocabulary's end of text closes.

use std::collections::BTreeMap;

use ondine_text::Tokenizer;
use ondine_text::vocab::TokenId;
use serde_json::{Map, Value};

use crate::call::Call;
use crate::error::DropletError;
use crate::functions::FUNCTIONS;

/// Ids of the reserved tokens.
pub(crate) struct Tokens {
    bos: Option<TokenId>,
    user: TokenId,
    call: TokenId,
    /// One a function, in the table's order.
    pub(crate) functions: Vec<TokenId>,
    /// One a parameter's name.
    parameters: BTreeMap<&'static str, TokenId>,
}

impl Tokens {
    /// Finds them in a vocabulary.
    pub(crate) fn find(tokenizer: &Tokenizer) -> Result<Tokens, DropletError> {
        let id = |token: String| tokenizer.id_of(&token).ok_or(DropletError::Vocabulary { token });
        let functions = FUNCTIONS.iter().map(|function| id(format!("<|fn:{}|>", function.name)));
        let parameters = FUNCTIONS.iter().flat_map(|function| function.parameters);
        let parameters = parameters
            .map(|parameter| Ok((parameter.name, id(format!("<|arg:{}|>", parameter.name))?)));
        Ok(Tokens {
            bos: tokenizer.bos().filter(|_| tokenizer.add_bos()),
            user: id("<|user|>".into())?,
            call: id("<|call|>".into())?,
            functions: functions.collect::<Result<_, _>>()?,
            parameters: parameters.collect::<Result<_, DropletError>>()?,
        })
    }

    /// The token of a parameter's name; every name of the table has one.
    pub(crate) fn parameter(&self, name: &str) -> Option<TokenId> {
        self.parameters.get(name).copied()
    }

    /// The prompt of a request.
    pub(crate) fn prompt(&self, request: Vec<TokenId>) -> Vec<TokenId> {
        let head = self.bos.into_iter().chain([self.user]);
        head.chain(request).chain([self.call]).collect()
    }

    /// Reads an answer.
    pub(crate) fn read(
        &self,
        tokenizer: &Tokenizer,
        tokens: &[TokenId],
    ) -> Result<Call, DropletError> {
        let wrong = |problem: String| Err(DropletError::Answer { problem });
        let Some((first, mut rest)) = tokens.split_first() else {
            return wrong("it is empty".into());
        };
        let Some(at) = self.functions.iter().position(|id| id == first) else {
            return wrong(format!("token {first} is no function"));
        };
        let function = &FUNCTIONS[at];
        let mut arguments = Map::new();
        for parameter in function.parameters {
            let Some(id) = self.parameter(parameter.name) else { continue };
            let Some(value) = rest.strip_prefix(&[id]) else {
                if parameter.required {
                    return wrong(format!("{} lacks {}", function.name, parameter.name));
                }
                continue;
            };
            let is_name = |id: &TokenId| self.parameters.values().any(|name| name == id);
            let length = value.iter().position(is_name).unwrap_or(value.len());
            let (value, after) = value.split_at(length);
            let text = tokenizer.decode(value).trim().to_string();
            arguments.insert(parameter.name.to_string(), Value::String(text));
            rest = after;
        }
        match rest.first() {
            None => Ok(Call { function, arguments }),
            Some(id) => wrong(format!("token {id} follows the last parameter")),
        }
    }
}
