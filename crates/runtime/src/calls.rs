//! How a model writes calls of tools, and how they are read again: one row a manner.
//!
//! A chat template tells a model about tools in the words that it was trained on, and the model answers
//! in the same words. The template's source tells which they are. A grammar then holds the answer to
//! them, so that a call is always one: the name a tool's, the arguments what its schema allows.

use ondine_chat::{ChatError, Tool, ToolCall};
use ondine_text::grammar::{self, GrammarError};
use serde_json::{Map, Value, json};

/// The words around a call, and inside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Manner {
    /// Stands in templates that tell of tools in this manner.
    sign: &'static str,
    /// Before each call.
    open: &'static str,
    /// After each call.
    close: &'static str,
    /// What the object calls the arguments.
    arguments: &'static str,
    /// Whether more than one call may follow another.
    many: bool,
}

/// The manners that are known, the more telling signs first. The last is that of models which were
/// told of tools by us, for want of a place in their template.
const MANNERS: &[Manner] = &[
    // Qwen 2.5 and 3, Hermes, SmolLM 2 and others.
    Manner {
        sign: "<tool_call>",
        open: "<tool_call>\n",
        close: "\n</tool_call>",
        arguments: "arguments",
        many: true,
    },
    // Llama 3.1 to 3.3.
    Manner { sign: "\"parameters\"", open: "", close: "", arguments: "parameters", many: false },
];

/// Whether a template has a place for tools.
pub(crate) fn knows_tools(template: &str) -> bool {
    template.contains("tools")
}

impl Manner {
    /// The manner of a template; of the first row where it has no place for tools or an unknown one.
    pub(crate) fn of(template: &str) -> Manner {
        let known = MANNERS.iter().find(|m| knows_tools(template) && template.contains(m.sign));
        *known.unwrap_or(&MANNERS[0])
    }

    /// What a model is told of tools whose template has no place for them.
    pub(crate) fn introduction(&self, tools: &[Tool]) -> String {
        let mut text = String::from("You can call these functions:\n");
        for tool in tools {
            text += &format!("{}\n", described(tool)["function"]);
        }
        let (open, close, arguments) = (self.open, self.close, self.arguments);
        text += &format!(
            "To call one, answer with nothing but {open}{{\"name\": ..., \"{arguments}\": {{...}}}}{close}"
        );
        text
    }

    /// The rule `calls` of a Lark grammar, and what it stands on.
    ///
    /// # Errors
    /// A schema of a tool that is none, or goes too far.
    pub(crate) fn rules(&self, tools: &[Tool]) -> Result<String, GrammarError> {
        let (arguments, quote) = (self.arguments, |text: &str| json!(text).to_string());
        let mut own = Map::new();
        let mut one = |(i, tool): (usize, &Tool)| {
            // Each schema stands whole in one place, so that its references are about itself.
            let (name, place) = (format!("tool{i}"), format!("#/$defs/tool{i}"));
            let mut parameters = tool.parameters.clone();
            move_references(&mut parameters, &place);
            own.insert(name, parameters);
            json!({
                "type": "object",
                "properties": { "name": { "const": tool.name }, arguments: { "$ref": place } },
                "required": ["name", arguments],
                "additionalProperties": false,
            })
        };
        let mut shape = match tools {
            [tool] => one((0, tool)),
            tools => json!({ "anyOf": tools.iter().enumerate().map(one).collect::<Vec<_>>() }),
        };
        shape["$defs"] = own.into();
        let object = grammar::json(&shape.to_string())?;
        let wrap = |text: &str| if text.is_empty() { String::new() } else { quote(text) };
        let calls = if self.many { r#"calls: call ("\n" call)*"# } else { "calls: call" };
        Ok(format!(
            "{calls}\ncall: {} object {}\nobject: {object}\n",
            wrap(self.open),
            wrap(self.close)
        ))
    }

    /// A terminal for text that begins otherwise than a call.
    pub(crate) fn text(&self) -> &'static str {
        if self.open.is_empty() { r"TEXT: /[^{\s](.|\n)*/" } else { r"TEXT: /[^<\s](.|\n)*/" }
    }

    /// Whether a text that begins so is calls.
    pub(crate) fn opens(&self, text: &str) -> bool {
        let first = if self.open.is_empty() { "{" } else { "<" };
        text.starts_with(first)
    }

    /// The calls of a text that the grammar has let pass. Where the answer's length was bounded, those that
    /// were whole by then: a model that goes on calling has called all the same.
    ///
    /// # Errors
    /// A text that ends inside of its first call.
    pub(crate) fn read(
        &self,
        text: &str,
        id: impl Fn(usize) -> String,
    ) -> Result<Vec<ToolCall>, ChatError> {
        let mut calls = Vec::new();
        let mut rest = text.trim();
        while !rest.is_empty() {
            match self.first(rest) {
                Some((name, arguments, after)) => {
                    calls.push(ToolCall { id: id(calls.len()), name, arguments });
                    rest = after;
                }
                None if calls.is_empty() => {
                    return Err(ChatError::Internal(format!("a call ends early: {rest:?}")));
                }
                None => break,
            }
        }
        Ok(calls)
    }

    /// The first call of a text, and what stands behind it; `None` where it is not whole.
    fn first<'a>(&self, text: &'a str) -> Option<(String, Value, &'a str)> {
        let body = text.strip_prefix(self.open)?;
        let mut values = serde_json::Deserializer::from_str(body).into_iter::<Value>();
        let value = values.next()?.ok()?;
        let after = body[values.byte_offset()..].strip_prefix(self.close)?.trim_start();
        Some((value["name"].as_str()?.to_owned(), value[self.arguments].clone(), after))
    }
}

/// Makes a schema's references into itself lead there when it stands at `place` of another.
fn move_references(schema: &mut Value, place: &str) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(|item| move_references(item, place)),
        Value::Object(map) => {
            for (key, value) in map {
                match value {
                    Value::String(to) if key == "$ref" && (to == "#" || to.starts_with("#/")) => {
                        *to = format!("{place}{}", &to[1..]);
                    }
                    value => move_references(value, place),
                }
            }
        }
        _ => {}
    }
}

/// A tool as templates expect it.
pub(crate) fn described(tool: &Tool) -> Value {
    json!({
        "type": "function",
        "function": {
            "name": tool.name,
            "description": tool.description,
            "parameters": tool.parameters,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_tells_its_manner() {
        let rows = [
            ("{% if tools %}<tool_call>{% endif %}", 0),
            ("{% if tools %}{\"name\": x, \"parameters\": y}{% endif %}", 1),
            // A word that only looks like it, and a template without tools.
            ("\"parameters\"", 0),
            ("{{ messages }}", 0),
        ];
        for (template, row) in rows {
            assert_eq!(Manner::of(template), MANNERS[row], "{template}");
        }
    }

    #[test]
    fn what_was_called_is_read() {
        let id = |i| format!("c{i}");
        let call = |i: usize, name: &str, arguments: Value| ToolCall {
            id: format!("c{i}"),
            name: name.into(),
            arguments,
        };
        let tagged = MANNERS[0];
        let text = "<tool_call>\n{\"name\": \"a\", \"arguments\": {\"x\": \"</tool_call>\"}}\n</tool_call>\n\
            <tool_call>\n{\"name\":\"b\",\"arguments\":{}}\n</tool_call>";
        let wanted = vec![call(0, "a", json!({ "x": "</tool_call>" })), call(1, "b", json!({}))];
        assert_eq!(tagged.read(text, id).unwrap(), wanted);
        assert!(tagged.read(&text[..40], id).is_err());
        assert_eq!(tagged.read(&text[..text.len() - 12], id).unwrap(), wanted[..1]);
        let bare = MANNERS[1];
        let text = "{\"name\": \"a\", \"parameters\": {\"n\": 1}}";
        assert_eq!(bare.read(text, id).unwrap(), [call(0, "a", json!({ "n": 1 }))]);
        assert!(bare.opens(text) && !bare.opens("Hello") && tagged.opens("<tool"));
    }

    /// The templates of real families against the manner that is chosen by them: the call that a template
    /// writes into a conversation's past has to be one that is read.
    #[test]
    fn what_real_templates_write_is_what_is_read() {
        let folder =
            std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/templates");
        let Ok(cases) = std::fs::read_to_string(folder.join("cases.jsonl")) else {
            eprintln!("skipped: there is no {}", folder.display());
            return;
        };
        let mut read = Vec::new();
        for case in cases.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()) {
            let name = case["template"].as_str().unwrap();
            let template = std::fs::read_to_string(folder.join(name)).unwrap();
            let (true, Some(prompt)) = (case["case"] == "tool_round", case["expected"].as_str())
            else {
                continue;
            };
            let manner = Manner::of(&template);
            if !knows_tools(&template) || !template.contains(manner.sign) {
                continue;
            }
            // Behind the user's words, the first that looks like a call and is one.
            let said = &prompt[prompt.rfind("Weather in Paris?").unwrap()..];
            let open = if manner.open.is_empty() { "{" } else { manner.open };
            let close = if manner.close.is_empty() { "}}" } else { manner.close };
            let call = said.find(open).and_then(|from| {
                let until = from + said[from..].find(close)? + close.len();
                manner.read(&said[from..until], |i| i.to_string()).ok()
            });
            let arguments = json!({ "city": "Paris" });
            let wanted = [ToolCall { id: "0".into(), name: "get_weather".into(), arguments }];
            if call.is_none_or(|calls| calls != wanted) {
                continue;
            }
            read.push(name.trim_end_matches(".jinja").to_owned());
        }
        read.sort_unstable();
        let profiles = [
            "Bielik-11B-v3.0-Instruct",
            "MiMo-VL",
            "NousResearch-Hermes-3-Llama-3.1-8B-tool_use",
            "Qwen-Qwen2.5-7B-Instruct",
            "Reka-Edge",
            "ibm-granite-granite-4.0",
            "meta-llama-Llama-3.2-3B-Instruct",
        ];
        // Models of other templates are held to a manner that is not their own.
        assert_eq!(read, profiles);
    }
}
