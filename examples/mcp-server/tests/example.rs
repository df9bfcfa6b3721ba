//! The example, started and asked as an agent of ours would.

use ondine::app::chat::ToolCall;
use ondine::app::{Bounds, Context, Effect, Outcome, perform};
use ondine::mcp::{Client, Limits, Program, Trust};
use serde_json::json;

#[test]
fn an_agent_asks_the_example() {
    let program = Program::new(env!("CARGO_BIN_EXE_mcp-server"), [""; 0]);
    let client = Client::program("c", program, Trust::Believed, Limits::default()).unwrap();
    assert_eq!(client.about().unwrap().name, "counter");
    let tools = client.tools().unwrap();
    assert_eq!((tools.len(), tools[0].spec().effect), (1, Effect::Read));
    let rows = [
        (json!({"text": "one two\nthree 名字"}), r#"{"lines":2,"words":4,"characters":16}"#, true),
        (json!({}), "\"text\" is missing", false),
        (json!({"text": 1}), "\"string\" is wanted", false),
    ];
    for (arguments, expected, good) in rows {
        let call = ToolCall { id: "1".into(), name: "c_count".into(), arguments };
        let seen = perform(&tools[0], &call, &Context::default(), Bounds::default());
        assert_eq!(seen.outcome == Outcome::Done, good, "{seen:?}");
        assert!(seen.text.contains(expected), "{}", seen.text);
    }
}
