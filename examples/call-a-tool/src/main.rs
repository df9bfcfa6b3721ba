//! Calls a ready tool, as an agent would: whatever the tool does ends in words.
//!
//! ```text
//! cargo run -p call-a-tool -- "5 km in miles"
//! ```

use ondine::app::{Bounds, chat::ToolCall};
use ondine::prelude::*;
use ondine::tools::calculator;

fn main() {
    let expression = std::env::args().nth(1).unwrap_or("(3 + 4) * 6".into());
    let arguments = serde_json::json!({ "expression": expression });
    let call = ToolCall { id: "1".into(), name: "calculator".into(), arguments };
    println!("{}", perform(&calculator(), &call, &Context::default(), Bounds::default()).text);
}
