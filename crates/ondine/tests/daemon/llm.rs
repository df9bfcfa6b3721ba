//! One program of the framework on all that answers: in this process, at a daemon, at an endpoint of
//! OpenAI's API, which a daemon is as well.

use std::sync::Arc;

use ondine::chat::{Chat, ChatError, Embed, Embedded, Model, Sink};
use ondine::prelude::*;

use crate::{Daemon, TOKEN};

/// The embedded model, so that a daemon can have it.
struct Droplet(Device);

impl Chat for Droplet {
    fn start(&self, request: Request, sink: Sink) -> Result<(), ChatError> {
        self.0.chat().start(request, sink)
    }

    fn count_tokens(&self, request: &Request) -> Result<usize, ChatError> {
        self.0.chat().count_tokens(request)
    }

    fn models(&self) -> Vec<Model> {
        self.0.chat().models()
    }
}

impl Embed for Droplet {
    fn embed(&self, model: &str, texts: &[String]) -> Result<Embedded, ChatError> {
        self.0.embed().embed(model, texts)
    }
}

#[derive(Clone, Debug, PartialEq, Generable)]
struct Lamp {
    #[guide(length = 1..=10)]
    room: String,
    state: State,
    #[guide(range = 0.0..=1.0)]
    level: f32,
}

#[derive(Clone, Debug, PartialEq, Generable)]
enum State {
    On,
    Off,
}

#[derive(Prompt)]
#[prompt(system = "Lamps.", user = "What of the lamp in the {room}?")]
struct Ask<'a> {
    room: &'a str,
}

/// Turns a lamp on or off.
#[tool(effect = write)]
fn lamp(#[arg(length = 1..=10)] room: &str, on: bool) -> String {
    format!("{room} {on}")
}

/// What the program gets.
fn program(llm: &Llm) -> (Lamp, usize, ToolCall, usize) {
    let llm = llm.clone().temperature(1.0).seed(5);
    let ask = Ask { room: "kitchen" };
    let mut stream = llm.stream::<Lamp>(&ask).unwrap();
    let snapshots = stream.by_ref().map(Result::unwrap).count();
    let lamp = stream.finish().unwrap();
    assert_eq!(llm.generate::<Lamp>(&ask).unwrap(), lamp, "one seed, one answer");
    let call = llm.choose("Turn it on.", &tools![lamp]).unwrap();
    assert!(call.arguments["on"].is_boolean(), "{call:?}");
    (lamp, snapshots, call, llm.tokens(&ask).unwrap_or(0))
}

#[test]
fn the_same_program_gets_the_same_values_wherever_the_model_is() {
    let here = Llm::open("droplet").unwrap();
    let daemon = Daemon::new(Arc::new(Droplet(ondine::open("droplet").unwrap())));
    let there = Llm::open_with(&daemon.url(), TOKEN).unwrap();
    let (lamp, snapshots, call, tokens) = program(&here);
    assert!(snapshots > 2 && tokens > 4, "{snapshots} snapshots, {tokens} tokens");
    let (theirs, _, theirs_call, theirs_tokens) = program(&there);
    assert_eq!((theirs, theirs_call, theirs_tokens), (lamp, call, tokens));
    // OpenAI's API has no word for as few blanks as can be; the values are of the type all the same.
    let endpoint = Llm::open_with(&format!("{}/v1", daemon.url()), TOKEN).unwrap();
    let lamp = endpoint.may_be_cut().temperature(0.5).seed(5).generate::<Lamp>("kitchen");
    assert!((0.0..=1.0).contains(&lamp.unwrap().level));
}

#[test]
fn what_is_nowhere_is_refused() {
    for what in ["absent.gguf", "http://127.0.0.1:1", "https://", "http://example.org/v1"] {
        let error = Llm::open_with(what, "k").err().or_else(|| Llm::open(what).err());
        assert!(error.is_some(), "{what}");
    }
}
