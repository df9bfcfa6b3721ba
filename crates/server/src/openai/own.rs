//! What Ondine's own clients ask for and are told beside OpenAI's fields, in one object `ondine` of
//! a request and of a stream's chunks. Whoever does not send it sees nothing of it.

use ondine_chat::{Event, Format, Keep, Request};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Limits;
use crate::common::at_most;
use crate::stream::sse;
use crate::trouble::Trouble;

/// What a request can ask for that OpenAI has no field for.
#[derive(Debug, Default, Deserialize, JsonSchema)]
pub(super) struct Own {
    /// Seconds that the model stays in memory afterwards; for as long as there is room where negative.
    #[serde(default)]
    keep_alive: Option<i64>,
    /// A regular expression that the answer matches.
    #[serde(default)]
    regex: Option<String>,
    /// A grammar that the answer fits.
    #[serde(default)]
    lark: Option<String>,
}

impl Own {
    /// Adds it to what OpenAI's fields said.
    pub(super) fn add_to(self, request: &mut Request, limits: &Limits) -> Result<(), Trouble> {
        if let Some(seconds) = self.keep_alive {
            request.keep = u64::try_from(seconds).map_or(Keep::Always, Keep::Seconds);
        }
        let formats = [
            ("ondine.regex", self.regex.map(Format::Regex)),
            ("ondine.lark", self.lark.map(Format::Lark)),
        ];
        for (path, format) in formats {
            let Some(format) = format else { continue };
            if let Format::Regex(text) | Format::Lark(text) = &format {
                at_most(path, text.len(), limits.schema_bytes, "bytes")?;
            }
            if request.format != Format::Text {
                return Err(Trouble::at(path, "an answer has one format, and another is given"));
            }
            request.format = format;
        }
        Ok(())
    }
}

/// Tells a beginning and an end as they are, in a `chunk` of their own.
pub(super) fn tell(out: &mut String, event: &Event, chunk: impl FnOnce() -> Value) {
    let told = match event {
        Event::Started { prompt_tokens, cached_tokens } => {
            json!({"started": {"prompt_tokens": prompt_tokens, "cached_tokens": cached_tokens}})
        }
        Event::Finished { reason, usage } => {
            json!({"finished": {"reason": reason, "usage": usage}})
        }
        _ => return,
    };
    let mut chunk = chunk();
    chunk["ondine"] = told;
    sse(out, None, &chunk);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::shape;

    #[test]
    fn each_field_has_its_place_or_a_refusal() {
        let limits = Limits { schema_bytes: 4, ..Limits::default() };
        let plain = || Request::text("", "");
        let read = |own: Value| {
            let mut request = plain();
            shape::<Own>(&own)?.add_to(&mut request, &limits).map(|()| request)
        };
        let rows = [
            (json!({}), plain()),
            (json!({"keep_alive": 0}), Request { keep: Keep::Seconds(0), ..plain() }),
            (json!({"keep_alive": -1}), Request { keep: Keep::Always, ..plain() }),
            (json!({"regex": "a+"}), Request { format: Format::Regex("a+".into()), ..plain() }),
            (json!({"lark": "x"}), Request { format: Format::Lark("x".into()), ..plain() }),
        ];
        for (own, expected) in rows {
            assert_eq!(read(own.clone()).unwrap(), expected, "{own}");
        }
        for (own, place) in [
            (json!({"regex": "abcde"}), "ondine.regex"),
            (json!({"lark": "abcde"}), "ondine.lark"),
            (json!({"lark": "a", "regex": "a"}), "ondine.lark"),
        ] {
            assert_eq!(read(own.clone()).unwrap_err().param.as_deref(), Some(place), "{own}");
        }
    }
}
