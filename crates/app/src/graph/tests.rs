//! Graphs that go in circles, that a model leads, and that are refused.

use std::sync::{Arc, Mutex};

use ondine_chat::Prompt;
use serde::Deserialize;

use super::*;
use crate::chain::{Chain, Event, What, step};
use crate::scripted::{Reply, ScriptedModel};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct State {
    seen: Vec<String>,
}

fn node(name: &'static str) -> impl Step<Input = State, Output = State> {
    step(name, move |mut state: State| {
        state.seen.push(name.to_owned());
        Ok::<_, StepError>(state)
    })
}

/// A model that takes the ways in this order, and what it could have said each time.
fn led(ways: &[&str]) -> (Llm, Arc<Mutex<Vec<Vec<String>>>>) {
    let mut ways: std::collections::VecDeque<String> =
        ways.iter().map(|way| (*way).to_owned()).collect();
    let offered = Arc::new(Mutex::new(Vec::new()));
    let seen = offered.clone();
    let model = ScriptedModel::by(move |request| {
        let Format::Schema(schema) = &request.format else { panic!("{:?}", request.format) };
        let of = &schema["properties"]["next"]["enum"];
        seen.lock().unwrap().push(serde_json::from_value(of.clone()).unwrap());
        let Prompt::Messages(said) = &request.prompt else { panic!() };
        assert!(said[0].text.starts_with("What now, after "), "{}", said[0].text);
        Ok(Reply::text(json!({"next": ways.pop_front().unwrap()}).to_string()))
    });
    (Llm::new(Arc::new(model)), offered)
}

fn router(llm: &Llm) -> GraphBuilder<State> {
    let ways = [("search", "something is missing"), ("write", "all is known"), (END, "")];
    Graph::new("desk", "think")
        .node(
            "think",
            node("think"),
            Way::asked(llm, ways, |state: &State| {
                format!("What now, after {}?", state.seen.join(", "))
            }),
        )
        .node("search", node("search"), Way::to("think"))
        .node(
            "write",
            node("write"),
            Way::by(["think", END], |state: &State| {
                let drafts = state.seen.iter().filter(|name| *name == "write").count();
                if drafts < 2 { "think" } else { END }.to_owned()
            }),
        )
}

#[test]
fn the_model_leads_and_is_offered_what_is_open() {
    let (llm, offered) = led(&["search", "write", "write"]);
    let chain = Chain::new("desk", router(&llm).build().unwrap());
    let mut chosen = Vec::new();
    let listen = |event: &Event| {
        if let What::Chosen(way) = &event.what {
            chosen.push(way.clone());
        }
    };
    let state = chain.go(State::default()).listen(listen).end().unwrap();
    let expected = ["think", "search", "think", "write", "think", "write"];
    assert_eq!(state.seen, expected);
    assert_eq!(chosen, ["search", "think", "write", "think", "write", "end"]);
    assert_eq!(offered.lock().unwrap()[0], ["search", "write", "end"]);
}

#[test]
fn circles_have_bounds() {
    // Whoever always wants to search may do so twice; then it is no longer offered.
    let (llm, offered) = led(&["search", "search", "end"]);
    let chain = Chain::new("desk", router(&llm).visits(3).build().unwrap());
    let searched = |state: &State| state.seen.iter().filter(|name| *name == "search").count();
    assert_eq!(searched(&chain.run(State::default()).unwrap()), 2);
    // Three visits of the thinking node are over: only the end is left, and nobody is asked.
    assert_eq!(offered.lock().unwrap().len(), 3);

    let (llm, offered) = led(&["search"; 9]);
    let chain = Chain::new("desk", router(&llm).visits(9).steps(5).build().unwrap());
    assert_eq!(searched(&chain.run(State::default()).unwrap()), 2);
    assert_eq!(offered.lock().unwrap().len(), 2, "the fifth step has but one way");

    let round = Way::by(["a", END], |_: &State| "a".to_owned());
    let graph = Graph::new("round", "a").node("a", node("a"), round).visits(4).build().unwrap();
    let ended = Chain::new("round", graph).run(State::default());
    let Err(ChainError::Step { error: StepError::Bound(what), .. }) = ended else { panic!() };
    assert!(what.contains("4 times at most"), "{what}");
}

#[test]
fn what_a_careless_model_says_is_an_error() {
    for said in ["search", "{\"next\": \"elsewhere\"}", "{\"next\": 3}", "[]", "{}"] {
        let llm = Llm::new(Arc::new(ScriptedModel::new([Reply::text(said)])));
        let ended = Chain::new("desk", router(&llm).build().unwrap()).run(State::default());
        let answer = matches!(&ended, Err(ChainError::Step { error: StepError::Answer(_), .. }));
        assert!(answer, "{said}: {ended:?}");
    }
    let astray = Way::by([END], |_: &State| "nowhere".to_owned());
    let graph = Graph::new("astray", "a").node("a", node("a"), astray).build().unwrap();
    let ended = Chain::new("astray", graph).run(State::default()).unwrap_err().to_string();
    assert!(ended.contains("\"nowhere\" is no way from \"a\": end"), "{ended}");
    let broken = Way::by([END], |_: &State| panic!("at the disco"));
    let graph = Graph::new("broken", "a").node("a", node("a"), broken).build().unwrap();
    let ended = Chain::new("broken", graph).run(State::default()).unwrap_err().to_string();
    assert!(ended.contains("it broke"), "{ended}");
}

#[test]
fn a_graph_that_was_killed_after_any_record_goes_on() {
    let folder = std::env::temp_dir().join(format!("ondine-graph-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("journal");
    let ways = ["search", "write", "write"];
    let run = |ways: &[&str]| {
        let (llm, offered) = led(ways);
        let chain = Chain::new("desk", router(&llm).build().unwrap());
        let mut events = Vec::new();
        let go = chain.go(State::default()).journal(&path);
        let state = go.listen(|event| events.push(event.clone())).end().unwrap();
        let asked = offered.lock().unwrap().len();
        (state, events, asked)
    };
    let first = run(&ways);
    let journal = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = journal.lines().collect();
    for cut in 1..=lines.len() {
        std::fs::write(&path, lines[..cut].join("\n") + "\n").unwrap();
        let said = lines[..cut].iter().filter(|line| line.contains(".think?\"")).count();
        let (state, events, asked) = run(&ways[said..]);
        assert_eq!((&state, &events), (&first.0, &first.1), "cut after {cut}");
        assert_eq!(asked, ways.len() - said, "nothing is asked twice");
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn what_leads_nowhere_is_refused() {
    let to = |name: &str| Way::<State>::to(name);
    let graph = || Graph::<State>::new("g", "a");
    let name = || "g".to_owned();
    let (a, b) = ("a".to_owned(), "b".to_owned());
    let missing = |from: &str, to: &str| GraphError::Missing {
        graph: name(),
        from: from.into(),
        to: to.into(),
    };
    for (built, expected) in [
        (graph(), missing("", "a")),
        (graph().node("a", node("a"), to("x")), missing("a", "x")),
        (
            graph().node("a", node("a"), to(END)).node("b", node("b"), to(END)),
            GraphError::Unreachable { graph: name(), node: b.clone() },
        ),
        (
            graph().node("a", node("a"), to("b")).node("b", node("b"), to("a")),
            GraphError::Endless { graph: name(), node: a.clone() },
        ),
        (
            graph().node("a", node("a"), to(END)).node("a", node("a"), to(END)),
            GraphError::Name { graph: name(), name: a },
        ),
        (
            graph().node(END, node("a"), to(END)),
            GraphError::Name { graph: name(), name: END.into() },
        ),
    ] {
        assert_eq!(built.build().err(), Some(expected));
    }
}

#[test]
fn it_draws_itself() {
    let (llm, _) = led(&[]);
    let chain = Chain::new("desk <1>", router(&llm).build().unwrap());
    let mermaid = chain.drawing().mermaid();
    for said in ["{\"think\"}", "-->|\"something is missing\"|", "n2 --> n1"] {
        assert!(mermaid.contains(said), "{said}: {mermaid}");
    }
    let svg = chain.drawing().svg();
    assert!(svg.contains("desk &lt;1&gt;") && svg.contains(">think</text>"), "{svg}");
}
