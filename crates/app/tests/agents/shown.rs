//! Agents whose tools are more than a model's window should hold.

use std::sync::{Arc, Mutex};

use ondine_app::{Agent, Effect, Ended, Llm, Manner, Reply, SEARCH_TOOLS, ScriptedModel, ToolSet};
use ondine_chat::{Prompt, Request};
use serde_json::json;

use crate::tools::fake;

const BUDGET: usize = 400;

/// Sixty tools, of which the budget holds a few.
fn many(done: &Arc<Mutex<Vec<String>>>) -> ToolSet {
    let things = ["lamp", "door", "oven", "radio", "blind", "fan", "pump", "gate", "bell", "tap"];
    let deeds = ["open", "close", "start", "stop", "check", "repair"];
    let mut tools = Vec::new();
    for name in things.iter().flat_map(|thing| deeds.map(|deed| format!("{deed}_{thing}"))) {
        let (done, noted) = (done.clone(), name.clone());
        tools.push(fake(&name, Effect::Read, &["room"], move |_, _| {
            done.lock().unwrap().push(noted.clone());
            Ok(json!("done"))
        }));
    }
    ToolSet::of(tools).unwrap().budgeted(BUDGET, &["check_bell"]).unwrap()
}

/// What a model was shown of its tools, in either manner.
fn shown(request: &Request) -> Vec<String> {
    if !request.tools.is_empty() {
        return request.tools.iter().map(|tool| tool.name.clone()).collect();
    }
    let Prompt::Messages(messages) = &request.prompt else { panic!("{request:?}") };
    let listed = messages[0].text.lines().filter_map(|line| line.strip_prefix("- "));
    listed.filter_map(|line| Some(line.split_once(':')?.0.to_owned())).collect()
}

#[test]
fn a_model_is_shown_what_a_turn_needs_and_finds_the_rest() {
    for manner in [Manner::Calls, Manner::Text] {
        let done = Arc::new(Mutex::new(Vec::new()));
        let call = |name: &str, arguments| match manner {
            Manner::Calls => Reply::call(name, arguments),
            Manner::Text => Reply::text(format!(
                "Thought: so be it\nAction: {name}\nAction Input: {arguments}\n"
            )),
        };
        let last = match manner {
            Manner::Calls => "It is done.",
            Manner::Text => "Thought: that was all\nFinal Answer: It is done.",
        };
        let model = Arc::new(ScriptedModel::new([
            call("start_pump", json!({"room": "cellar"})),
            call(SEARCH_TOOLS, json!({"query": "repair the radio"})),
            call("repair_radio", json!({"room": "hall"})),
            Reply::text(last),
        ]));
        let beside = fake("beside", Effect::Read, &[], |_, _| Ok(json!(1)));
        let agent = Agent::new("janitor", Llm::new(model.clone())).manner(manner);
        let agent = agent.toolset(many(&done)).tools([beside]);
        let ended = agent.task("Please start the pump, then mend what is quiet.").go().unwrap();
        assert!(matches!(ended, Ended::Done { .. }), "{ended:?}");
        assert_eq!(*done.lock().unwrap(), ["start_pump", "repair_radio"]);
        let asked = model.asked();
        let lists: Vec<Vec<String>> = asked.iter().map(shown).collect();
        for list in &lists {
            assert!(list.len() < 12, "{list:?}");
            for always in ["beside", "check_bell", SEARCH_TOOLS] {
                assert!(list.iter().any(|name| name == always), "{always}: {list:?}");
            }
        }
        let has = |n: usize, name: &str| lists[n].iter().any(|known| known == name);
        assert!(has(0, "start_pump") && !has(0, "repair_radio"), "{lists:?}");
        // What the search found is shown in the turn after it.
        assert!(!has(1, "repair_radio") && has(2, "repair_radio"), "{lists:?}");
    }
}
