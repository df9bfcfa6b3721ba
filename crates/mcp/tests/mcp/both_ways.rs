//! Our client asks our server, over HTTP.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ondine_app::chat::ToolCall;
use ondine_app::{Bounds, Context, Effect, Observation, Outcome, Tool, ToolError, perform};
use ondine_mcp::{Client, Content, Endpoint, Limits, Listener, McpError, Offer, Trust};
use serde_json::{Value, json};

use crate::common::{TOKEN, offer};

fn listen(offer: Offer) -> (Listener, Endpoint) {
    let listener = offer.listen("127.0.0.1:0".parse().unwrap(), TOKEN).unwrap();
    let endpoint = Endpoint::new(format!("http://{}/mcp", listener.address())).token(TOKEN);
    (listener, endpoint)
}

fn reach(endpoint: Endpoint, trust: Trust) -> Client {
    Client::endpoint("t", endpoint, trust, Limits::default()).unwrap()
}

fn tools(client: &Client) -> HashMap<String, Arc<dyn Tool>> {
    let tools = client.tools().unwrap();
    tools.into_iter().map(|tool| (tool.spec().name.clone(), tool)).collect()
}

fn call(tool: &Arc<dyn Tool>, arguments: Value, context: &Context) -> Observation {
    let call = ToolCall { id: "1".into(), name: tool.spec().name.clone(), arguments };
    perform(tool, &call, context, Bounds::default())
}

#[test]
fn tools_are_listed_and_called_whatever_they_do() {
    let (_listener, endpoint) = listen(offer());
    let client = reach(endpoint, Trust::Believed);
    let about = client.about().unwrap();
    assert_eq!((&*about.name, &*about.version), ("test", "1.2.3"));
    assert_eq!(about.instructions, "Ask politely.");

    let tools = tools(&client);
    assert!(!tools.contains_key("t_pay"), "what cannot be taken back is not offered unasked");
    assert_eq!(tools["t_add"].spec().effect, Effect::Read);
    assert_eq!(tools["t_note"].spec().effect, Effect::Write);
    let context = Context { key: "once".into(), ..Context::default() };
    let rows = [
        ("t_add", json!({"a": 2, "b": 40}), Ok("42")),
        ("t_add", json!({"a": 2}), Err("\"b\" is missing")),
        ("t_add", json!({"a": 2, "b": "x"}), Err("b: \"integer\" is wanted, not a string")),
        ("t_note", json!({}), Ok("noted")),
        // The key of our call arrives over there, apart from other callers'.
        ("t_key", json!({}), Ok("tests/once")),
        ("t_fail", json!({}), Err("no luck")),
        ("t_panic", json!({}), Err("at the disco")),
        ("t_hang", json!({}), Err("no result within 300ms")),
        ("t_flood", json!({}), Ok("bytes left out")),
    ];
    for (name, arguments, expected) in rows {
        let seen = call(&tools[name], arguments, &context);
        let (good, part) = match expected {
            Ok(part) => (true, part),
            Err(part) => (false, part),
        };
        assert_eq!(seen.outcome == Outcome::Done, good, "{name}: {seen:?}");
        assert!(seen.text.contains(part) && seen.text.len() < 10_000, "{name}: {}", seen.text);
    }
}

#[test]
fn a_stranger_s_tools_are_taken_for_irreversible_ones() {
    let (_listener, endpoint) = listen(offer().with_irreversible());
    let client = reach(endpoint, Trust::Stranger);
    let tools = tools(&client);
    assert!(tools.contains_key("t_pay"));
    assert!(tools.values().all(|tool| tool.spec().effect == Effect::Irreversible));
    let reading = client.resource_tools();
    assert!(reading.iter().all(|tool| tool.spec().effect == Effect::Irreversible));
}

#[test]
fn resources_are_listed_and_read_over_pages() {
    let (_listener, endpoint) = listen(offer());
    let client = reach(endpoint, Trust::Believed);
    let resources = client.resources().unwrap();
    assert_eq!((resources.len(), &*resources[149].uri), (150, "notes://149"));
    assert_eq!((&*resources[0].media, &*resources[1].media), ("text/markdown", ""));
    assert_eq!(client.read("notes://0").unwrap(), [Content::Text("# 名字".into())]);
    assert_eq!(client.read("notes://1").unwrap(), [Content::Bytes(vec![0, 255, 1])]);
    assert!(matches!(client.read("notes://2"), Err(McpError::Denied { .. })));
    let none = client.read("notes://none").unwrap_err().to_string();
    assert!(none.contains("there is no resource"), "{none}");

    let tools = client.resource_tools();
    let list = call(&tools[0], json!({}), &Context::default());
    assert!(list.text.contains("notes://0") && list.outcome == Outcome::Done, "{list:?}");
    let read = call(&tools[1], json!({"uri": "notes://0"}), &Context::default());
    assert_eq!(read.text, "# 名字");
    let other = call(&tools[1], json!({"uri": "notes://secrets-of-the-user"}), &Context::default());
    assert!(other.text.contains("not in the list"), "{}", other.text);
}

#[test]
fn who_stops_waiting_is_heard_over_there() {
    let (_listener, endpoint) = listen(offer());
    let client = reach(endpoint, Trust::Believed);
    let tools = tools(&client);
    let context = Context::default();
    let cancel = context.cancel.clone();
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(50));
        cancel.now();
    });
    let since = Instant::now();
    let seen = call(&tools["t_hang"], json!({}), &context);
    assert_eq!(seen.outcome, Outcome::Error(ToolError::Cancelled));
    assert!(since.elapsed() < Duration::from_millis(280), "it was not waited for");
    // The connection is as good as before.
    assert_eq!(call(&tools["t_note"], json!({}), &Context::default()).text, "noted");
}

#[test]
fn more_calls_than_places_are_told_so_and_hanging_tools_keep_theirs() {
    let allowance = ondine_mcp::Allowance { calls: 1, ..Default::default() };
    let (_listener, endpoint) = listen(offer().allowing(allowance));
    let client = reach(endpoint, Trust::Believed);
    let tools = tools(&client);
    let hanging = tools["t_hang"].clone();
    let first = std::thread::spawn(move || call(&hanging, json!({}), &Context::default()));
    std::thread::sleep(Duration::from_millis(100));
    let second = call(&tools["t_note"], json!({}), &Context::default());
    assert!(second.text.contains("busy"), "{}", second.text);
    assert!(first.join().unwrap().text.contains("no result within"));
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(call(&tools["t_note"], json!({}), &Context::default()).text, "noted");
}

#[test]
fn nobody_without_the_token_is_answered() {
    let (listener, endpoint) = listen(offer());
    for other in [
        Endpoint { token: None, ..endpoint.clone() },
        Endpoint { token: Some("wrong".into()), ..endpoint },
        Endpoint::new(format!("http://{}/elsewhere", listener.address())).token(TOKEN),
    ] {
        let error = Client::endpoint("t", other, Trust::Stranger, Limits::default()).err().unwrap();
        assert!(matches!(error, McpError::Greeting { .. }), "{error}");
    }
    let outside = offer().listen("0.0.0.0:0".parse().unwrap(), TOKEN).err().unwrap();
    assert!(outside.to_string().contains("other machines"), "{outside}");
    assert!(offer().listen("127.0.0.1:0".parse().unwrap(), "").is_err());
}

#[test]
fn a_server_that_was_away_is_asked_again() {
    let (listener, endpoint) = listen(offer());
    let address = listener.address();
    let client = reach(endpoint, Trust::Believed);
    let tools = tools(&client);
    assert_eq!(call(&tools["t_note"], json!({}), &Context::default()).text, "noted");
    drop(listener);
    assert_ne!(call(&tools["t_note"], json!({}), &Context::default()).outcome, Outcome::Done);
    // A port is free in a moment, and not at once on every system.
    let again = (0..100).find_map(|_| {
        std::thread::sleep(Duration::from_millis(20));
        offer().with_irreversible().listen(address, TOKEN).ok()
    });
    let Some(_again) = again else { return };
    // Its requests have no sessions, so that it is asked on without a new greeting.
    assert_eq!(call(&tools["t_note"], json!({}), &Context::default()).text, "noted");
}

#[test]
fn names_that_cannot_begin_a_tool_s_are_refused() {
    for name in ["", "a b", "名", &"x".repeat(33)] {
        let endpoint = Endpoint::new("http://127.0.0.1:9/mcp");
        let error = Client::endpoint(name, endpoint, Trust::Stranger, Limits::default()).err();
        assert!(matches!(error, Some(McpError::Name(_))), "{name:?}");
    }
}
