//! What the tests of several tools need: a folder of their own, and one way to call.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use ondine_app::{Bounds, Context, Observation, Tool, ToolError, perform};
use ondine_chat::ToolCall;
use serde_json::{Value, json};

/// A folder that goes when it is dropped.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Folder {
        static NTH: AtomicU32 = AtomicU32::new(0);
        let nth = NTH.fetch_add(1, Ordering::Relaxed);
        let path =
            std::env::temp_dir().join(format!("ondine-tools-{name}-{}-{nth}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Calls a tool as an agent does.
pub(crate) fn seen(tool: &Arc<dyn Tool>, arguments: Value) -> Observation {
    let call = ToolCall { id: "1".into(), name: tool.spec().name.clone(), arguments };
    perform(tool, &call, &Context::default(), Bounds::default())
}

/// Calls a tool as it is.
pub(crate) fn called(tool: &Arc<dyn Tool>, arguments: Value) -> Result<Value, ToolError> {
    tool.call(arguments, &Context::default())
}

/// Calls a tool with everything that is none of its business: it refuses, and does not break.
pub(crate) fn hostile(tool: &Arc<dyn Tool>) {
    let long = "x".repeat(4 << 20);
    let odd = [
        json!(null),
        json!([]),
        json!(7),
        json!(""),
        json!(long),
        json!("\0"),
        json!("a\0b"),
        json!("\u{202e}\u{200b}\u{feff}"),
        json!("../../../etc/passwd"),
        json!(-1),
        json!(1e308),
        json!(u64::MAX),
        json!({"a": {"a": {}}}),
        json!([[[[[]]]]]),
        json!(true),
    ];
    for value in &odd {
        if !value.is_object() {
            assert!(called(tool, value.clone()).is_err(), "{}", tool.spec().name);
        }
        assert!(called(tool, json!({"no such field": value})).is_err() || value.is_null());
        let mut all = serde_json::Map::new();
        for name in tool.spec().parameters["properties"].as_object().unwrap().keys() {
            all.insert(name.clone(), value.clone());
            let _ = called(tool, json!({name.as_str(): value}));
        }
        let seen = seen(tool, Value::Object(all));
        assert!(seen.text.len() < 10_000);
        let broke = matches!(
            seen.outcome,
            ondine_app::Outcome::Error(ToolError::Panicked(_) | ToolError::TimedOut(_))
        );
        assert!(!broke, "{}: {}", tool.spec().name, seen.text);
    }
}
