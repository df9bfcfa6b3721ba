//! The ready tools: what there is, which of them a turn needs, and what a call gives. Nothing here asks a
//! model or the network.
//!
//! ```text
//! cargo run -p ready-tools                                       # the list
//! cargo run -p ready-tools calculator '{"expression": "5 km in miles"}'
//! cargo run -p ready-tools for "wake me at seven"                # the few that these words need
//! ```

use std::path::Path;
use std::sync::Arc;

use ondine::app::chat::ToolCall;
use ondine::app::{Bounds, Chosen, Context, ToolSet, perform};
use ondine::tools::{
    CodeLimits, Desktop, Fetch, Files, Notes, calculator, clock, code_runner, device_tools,
};
use serde_json::Value;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::temp_dir().join("ondine-ready-tools");
    std::fs::create_dir_all(&folder)?;
    let tools = ready(&folder)?;
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments[..] {
        [] => println!("{}", listed(&tools)),
        [word, words] if word == "for" => println!("{}", shown(&tools, 900, words)?.join("\n")),
        [name] => println!("{}", call(&tools, name, "{}")?),
        [name, arguments, ..] => println!("{}", call(&tools, name, arguments)?),
    }
    Ok(())
}

/// All ready tools, working in one folder.
fn ready(folder: &Path) -> Result<ToolSet, Box<dyn std::error::Error>> {
    let desktop = Desktop::open(
        folder,
        Arc::new(|notice: &ondine::tools::device::Notice| {
            println!("it is time: {}", notice.text);
        }),
    )?;
    let mut set = ToolSet::of([
        calculator(),
        clock(),
        Fetch::new().tool(),
        code_runner(CodeLimits::default()),
    ])?;
    let notes = Notes::at(folder.join("notes.json")).tools();
    for tool in
        Files::open(folder)?.tools().into_iter().chain(notes).chain(device_tools(Arc::new(desktop)))
    {
        set.add(tool)?;
    }
    Ok(set)
}

/// A line for each tool.
fn listed(tools: &ToolSet) -> String {
    let lines = tools.iter().map(|tool| {
        let spec = tool.spec();
        let effect = format!("{:?}", spec.effect).to_lowercase();
        format!("{:16} {effect:13} {}", spec.name, spec.description)
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// What a model would be shown of a call.
fn call(
    tools: &ToolSet,
    name: &str,
    arguments: &str,
) -> Result<String, Box<dyn std::error::Error>> {
    let tool = tools.get(name).ok_or_else(|| format!("there is no tool {name:?}"))?;
    let arguments: Value = serde_json::from_str(arguments)?;
    let call = ToolCall { id: "1".into(), name: name.into(), arguments };
    Ok(perform(tool, &call, &Context::default(), Bounds::default()).text)
}

/// The names of what a turn is shown within a budget of tokens.
fn shown(
    tools: &ToolSet,
    budget: usize,
    words: &str,
) -> Result<Vec<String>, ondine::app::ToolSetError> {
    let few = tools.clone().budgeted(budget, &[])?.choose(&mut Chosen::default(), words);
    Ok(few.iter().map(|tool| tool.spec().name.clone()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ondine::tools::Device;
    use ondine_droplet::functions::{CLOUD, FUNCTIONS, NONE};
    use serde_json::json;

    /// Can nothing: the tools are there all the same.
    struct Stone;

    impl Device for Stone {}

    #[test]
    fn whatever_droplet_calls_is_a_tool() {
        let tools = device_tools(Arc::new(Stone));
        let functions: Vec<_> =
            FUNCTIONS.iter().filter(|function| ![CLOUD, NONE].contains(&function.name)).collect();
        assert_eq!((functions.len(), tools.len()), (37, 39));
        for (function, tool) in functions.iter().zip(&tools) {
            let spec = tool.spec();
            assert_eq!(spec.name, function.name);
            assert!(spec.description.starts_with(function.about), "{}", spec.description);
            let fields = spec.parameters["properties"].as_object().unwrap();
            let names: Vec<&str> = fields.keys().map(String::as_str).collect();
            let own: Vec<&str> =
                function.parameters.iter().map(|parameter| parameter.name).collect();
            assert_eq!(names, own);
            let required = function.parameters.iter().filter(|parameter| parameter.required);
            let required: Vec<&str> = required.map(|parameter| parameter.name).collect();
            assert_eq!(spec.parameters["required"], json!(required));
            for parameter in function.parameters {
                let words = &fields[parameter.name]["enum"];
                let own =
                    if parameter.words.is_empty() { Value::Null } else { json!(parameter.words) };
                assert_eq!(*words, own, "{} {}", function.name, parameter.name);
            }
        }
    }

    #[test]
    fn the_ready_tools_are_listed_chosen_and_called() {
        let folder = std::env::temp_dir().join(format!("ondine-ready-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let tools = ready(&folder).unwrap();
        assert_eq!(tools.len(), 51);
        assert_eq!(listed(&tools).lines().count(), 51);
        let rows = [
            ("calculator", r#"{"expression": "3 ft 2 in to cm"}"#, "96.52 cm"),
            ("files_write", r#"{"path": "a/hello.txt", "text": "hello there"}"#, "\"bytes\":11"),
            ("files_search", r#"{"text": "HELLO"}"#, "a/hello.txt"),
            ("note_add", r#"{"text": "buy leeks"}"#, "\"id\":1"),
            ("note_find", r#"{"words": "leeks"}"#, "buy leeks"),
            ("timer_set", r#"{"duration": "ten minutes"}"#, "\"at\":"),
            ("list_add", r#"{"item": "bread"}"#, "\"items\":1"),
            ("light_set", r#"{"state": "on"}"#, "this device cannot"),
            ("web_fetch", r#"{"url": "http://169.254.169.254/"}"#, "not allowed"),
            ("clock", r#"{"zone": "UTC"}"#, "unix_s"),
        ];
        for (name, arguments, expected) in rows {
            let seen = call(&tools, name, arguments).unwrap();
            assert!(seen.contains(expected), "{name}: {seen}");
        }
        let few = shown(&tools, 900, "how many miles are 5 km? convert the units").unwrap();
        assert!(few.iter().any(|name| name == "unit_convert"), "{few:?}");
        assert!(few.len() < 15, "{few:?}");
        drop(tools);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
