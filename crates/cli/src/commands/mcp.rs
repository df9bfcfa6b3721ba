//! `ondine mcp`: this device's models as a server of the Model Context Protocol, over the standard streams;
//! and `ondine mcp tools`: what a server of somebody else's offers.

use std::sync::Arc;

use ondine_app::{Effect, Tool};
use ondine_mcp::{Client, Endpoint, Limits, McpError, Program, Trust};
use ondine_server::NoLog;
use serde_json::{Value, json};

use crate::commands::serve;
use crate::failure::Failure;
use crate::flags::Arguments;
use crate::offered::{self, Extras};
use crate::output::{self, Answer, Shown};

/// What its tools' names begin with, here where they are only shown.
const NAME: &str = "mcp";

/// Serves, or lists.
pub(crate) fn run(arguments: &Arguments<'_>) -> Result<(), Failure> {
    let other = !arguments.texts("command").is_empty() || arguments.text("url").is_some();
    match arguments.text("action").as_deref() {
        None | Some("serve") if other => {
            Err(Failure::usage("a program or --url is for `ondine mcp tools`"))
        }
        None | Some("serve") => serve(arguments),
        Some("tools") => tools(arguments),
        Some(action) => Err(Failure::usage(format!("`ondine mcp {action}`: it is serve or tools"))),
    }
}

/// Answers over the standard streams until they are closed.
fn serve(arguments: &Arguments<'_>) -> Result<(), Failure> {
    let (runtime, _) = serve::models(arguments, Arc::new(NoLog), None, || Ok(()))?;
    let runtime = Arc::new(runtime);
    let offer = offered::offer(runtime.clone(), runtime, &Extras::of(arguments)?);
    Ok(offer.for_caller("stdio").serve_stdio()?)
}

/// Lists what a server offers.
fn tools(arguments: &Arguments<'_>) -> Result<(), Failure> {
    let trust = if arguments.on("trust") { Trust::Believed } else { Trust::Stranger };
    let limits = Limits::default();
    let command = arguments.texts("command");
    let client = match (arguments.text("url"), command.split_first()) {
        (Some(url), None) => {
            let token = match arguments.path("token-file") {
                Some(path) => {
                    let text = std::fs::read_to_string(path).map_err(Failure::from);
                    Some(text.map_err(|error| error.at(path.display()))?.trim().to_owned())
                }
                None => None,
            };
            let endpoint = Endpoint { token, ..Endpoint::new(url.clone()) };
            Client::endpoint(NAME, endpoint, trust, limits).map_err(|error| at(error, &url))?
        }
        (None, Some((program, rest))) => {
            let program = Program::new(program, rest);
            let allowed = arguments.texts("env");
            let place = command.join(" ");
            Client::program(NAME, Program { allowed, ..program }, trust, limits)
                .map_err(|error| at(error, &place))?
        }
        _ => {
            return Err(Failure::usage("name one server: --url URL, or a program behind --")
                .hint("`ondine mcp tools -- some-server --its-flag`"));
        }
    };
    let (about, catalogue, resources) = (client.about()?, client.catalogue()?, client.resources()?);
    for left in &catalogue.left_out {
        output::note(format_args!("left out: {}: {}", Shown(&left.name), Shown(&left.why)));
    }
    let mut answer = Answer::new();
    if arguments.on("json") {
        let tools: Vec<Value> = catalogue.tools.iter().map(|tool| json!(tool.spec())).collect();
        let left: Vec<Value> = (catalogue.left_out.iter())
            .map(|left| json!({"name": left.name, "why": left.why}))
            .collect();
        return answer.line(json!({
            "server": about.name, "version": about.version, "instructions": about.instructions,
            "tools": tools, "left_out": left, "resources": resources,
        }));
    }
    let name = |tool: &Arc<dyn Tool>| tool.spec().name.chars().count() - NAME.len() - 1;
    let width = catalogue.tools.iter().map(name).max().unwrap_or(0).max(4);
    answer.row(format_args!("{:<width$}  {:<12}  WHAT IT SAYS OF ITSELF", "NAME", "EFFECT"))?;
    for tool in &catalogue.tools {
        let spec = tool.spec();
        let name = spec.name.strip_prefix(NAME).unwrap_or(&spec.name).trim_start_matches('_');
        let effect = match spec.effect {
            Effect::Read => "read",
            Effect::Write => "write",
            Effect::Irreversible => "irreversible",
        };
        let about = spec.description.split_once("] ").map_or("", |(_, about)| about);
        let first = about.lines().next().unwrap_or_default();
        answer.row(format_args!("{name:<width$}  {effect:<12}  {}", Shown(first)))?;
    }
    for resource in &resources {
        answer.row(format_args!("{}  {}", Shown(&resource.uri), Shown(&resource.name)))?;
    }
    answer.done()
}

/// A greeting that failed, with the place that was greeted.
fn at(error: McpError, place: &str) -> Failure {
    match error {
        McpError::Greeting { why, .. } => {
            let error = McpError::Greeting { server: place.to_owned(), why };
            Failure::from(error)
        }
        error => Failure::from(error),
    }
}

impl From<McpError> for Failure {
    fn from(error: McpError) -> Failure {
        let hint = match &error {
            McpError::Start { .. } => "the program has to be in PATH, or be named with its folder",
            McpError::Address(_) => "--url takes https://…, or http:// and this machine",
            McpError::Greeting { .. } => {
                "see whether it speaks the Model Context Protocol, and wants a --token-file"
            }
            _ => "the same command may be tried again",
        };
        Failure::from_error(&error).hint(hint)
    }
}
