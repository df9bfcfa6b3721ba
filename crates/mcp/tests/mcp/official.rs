//! The official Python SDK: its client asks our server, and our client asks its server, over HTTP and over
//! the standard streams. The example `mcp-server` is asked by its client over the standard streams.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use ondine_app::chat::ToolCall;
use ondine_app::{Bounds, Context, Effect, Observation, Outcome, Tool, perform};
use ondine_mcp::{Client, Content, Endpoint, Limits, McpError, Program, Trust};
use serde_json::{Value, json};

use crate::common::{TOKEN, offer};
use crate::python;

#[test]
fn its_client_asks_our_server_over_http() {
    let listener = offer().listen("127.0.0.1:0".parse().unwrap(), TOKEN).unwrap();
    python::check("mcp_client.py", &listener.address().to_string(), TOKEN);
}

#[test]
fn our_client_asks_its_server_over_standard_streams() {
    let Some(python) = python::packages("mcp_server.py") else { return };
    let script = python::folder().join("mcp_server.py");
    let program = Program::new(python.to_str().unwrap(), [script.to_str().unwrap()]);
    ask(&Client::program("py", program, Trust::Believed, Limits::default()).unwrap());
}

#[test]
fn our_client_asks_its_server_over_http() {
    let Some(python) = python::packages("mcp_server.py") else { return };
    for mode in ["sessions", "json"] {
        let script = python::folder().join("mcp_server.py");
        let mut command = Command::new(&python);
        command.arg(script).args(["http", TOKEN, mode]).stdout(Stdio::piped());
        // What its tools raise, it tells at length.
        command.stderr(Stdio::null());
        let mut server = Ended(command.spawn().unwrap());
        let mut line = String::new();
        BufReader::new(server.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let endpoint = Endpoint::new(format!("http://127.0.0.1:{}/mcp", line.trim()));
        let refused =
            Client::endpoint("py", endpoint.clone(), Trust::Believed, Limits::default()).err();
        assert!(matches!(refused, Some(McpError::Greeting { .. })), "no token: {refused:?}");
        let endpoint = endpoint.token(TOKEN);
        ask(&Client::endpoint("py", endpoint, Trust::Believed, Limits::default()).unwrap());
    }
}

/// A process that ends with the test.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What the Python server offers, seen from here.
fn ask(client: &Client) {
    assert_eq!(client.about().unwrap().name, "python");
    let catalogue = client.catalogue().unwrap();
    let left: Vec<_> = catalogue.left_out.iter().map(|left| &*left.name).collect();
    assert_eq!(left, ["grow"], "its schema refers to itself: {:?}", catalogue.left_out);
    let find = |name: &str| -> Arc<dyn Tool> {
        catalogue.tools.iter().find(|tool| tool.spec().name == name).expect(name).clone()
    };
    let effects = [
        ("py_add", Effect::Read),
        ("py_weather", Effect::Irreversible),
        ("py_remember", Effect::Write),
    ];
    for (name, effect) in effects {
        assert_eq!(find(name).spec().effect, effect, "{name}");
    }
    let call = |name: &str, arguments: Value| -> Observation {
        let call = ToolCall { id: "1".into(), name: name.into(), arguments };
        let context = Context { key: "k1".into(), ..Context::default() };
        perform(&find(name), &call, &context, Bounds::default())
    };
    let rows = [
        ("py_add", json!({"a": 2, "b": 40}), true, "42"),
        ("py_weather", json!({"city": "北京"}), true, "北京"),
        ("py_remember", json!({"text": "x"}), true, "kept x"),
        ("py_broken", json!({}), false, "broken"),
        ("py_add", json!({"a": "x"}), false, "error"),
        ("py_picture", json!({}), true, "[image, image/png, 3 bytes, not shown]"),
        ("py_slow", json!({}), true, "slow but done"),
        ("py_key", json!({}), true, "k1"),
    ];
    for (name, arguments, good, part) in rows {
        let seen = call(name, arguments);
        assert_eq!(seen.outcome == Outcome::Done, good, "{name}: {seen:?}");
        assert!(seen.text.to_lowercase().contains(part), "{name}: {}", seen.text);
    }
    let resources = client.resources().unwrap();
    assert_eq!(resources[0].uri, "notes://today");
    assert_eq!(client.read("notes://today").unwrap(), [Content::Text("buy milk".into())]);
    assert!(matches!(client.read("notes://none"), Err(McpError::Denied { .. })));
}
