//! A chain of typed steps, and a graph that models lead. Both keep what they did in a folder, and draw
//! themselves there: run it twice, and the second time nobody is asked anything.
//!
//! ```text
//! cargo run -p chain -- /tmp/chain "wake me at half past six tomorrow"
//! ```
//!
//! droplet, which is inside the program, understands the request; what it does not know goes to a larger
//! model. That one is scripted here, so that the example needs no file: put your own in `larger`.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use ondine::app::chain::{Chain, Retry, Step, StepError, ask, parallel, step, typed};
use ondine::app::chat::{Format, Message, Prompt, Request};
use ondine::app::graph::{END, Graph, GraphError, Way};
use ondine::app::{Llm, Reply, ScriptedModel};
use serde::{Deserialize, Serialize};
use serde_json::json;

const REPORT: &str = "The ferry to the island runs twice a day. In winter it runs once, and not in a \
                      storm. Tickets are sold on board.";

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Digest {
    chinese: String,
    words: Vec<String>,
}

/// Sums a text up, then translates it and finds its key words at the same time. That each step fits the
/// next is the compiler's business.
fn digest(llm: &Llm) -> Chain<impl Step<Input = String, Output = Digest> + use<>> {
    let list = json!({"type": "array", "items": {"type": "string"}, "maxItems": 5});
    let steps = ask("sum up", llm, |text: &String| format!("In one sentence: {text}"))
        .retry(Retry::times(3))
        .then(parallel(
            "both",
            (
                ask("translate", llm, |text: &String| format!("Into Chinese: {text}")),
                typed("key words", llm, list, |text: &String| format!("Key words: {text}")),
            ),
        ))
        .map(|(chinese, words)| Digest { chinese, words });
    Chain::new("digest", steps)
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Desk {
    request: String,
    /// What the device is to do.
    call: Option<String>,
    /// What is said.
    answer: String,
}

/// droplet understands a request: a call of the device is done, everything else goes to the larger model,
/// which decides itself when its answer is good enough.
fn desk(
    droplet: &Llm,
    larger: &Llm,
) -> Result<Chain<impl Step<Input = Desk, Output = Desk> + use<>>, GraphError> {
    let (droplet, own) = (droplet.clone(), larger.clone());
    let understand = step("understand", move |desk: Desk| {
        let answer = droplet.answer(Request::new("", [Message::user(&desk.request)]))?;
        let call = answer.calls.first().map(|call| format!("{}{}", call.name, call.arguments));
        Ok::<_, StepError>(Desk { call, ..desk })
    });
    let act = step("act", |desk: Desk| {
        let answer = format!("done: {}", desk.call.as_deref().unwrap_or("nothing"));
        Ok::<_, StepError>(Desk { answer, ..desk })
    });
    let write = step("write", move |desk: Desk| {
        let answer = own.ask(format!("{} Before: {}", desk.request, desk.answer))?;
        Ok::<_, StepError>(Desk { answer, ..desk })
    });
    let ways = [("write", "the answer can be better"), (END, "the answer is good")];
    let graph = Graph::new("desk", "understand")
        .node(
            "understand",
            understand,
            Way::by(["act", "write"], |desk: &Desk| {
                if desk.call.is_some() { "act" } else { "write" }.to_owned()
            }),
        )
        .node("act", act, Way::to(END))
        .node(
            "write",
            write,
            Way::asked(larger, ways, |desk: &Desk| {
                format!("Is this a good answer to {:?}? {}", desk.request, desk.answer)
            }),
        )
        .visits(3)
        .build()?;
    Ok(Chain::new("desk", graph))
}

/// Stands for a larger model.
fn larger() -> Arc<ScriptedModel> {
    Arc::new(ScriptedModel::by(|request| {
        let Prompt::Messages(turns) = &request.prompt else { return Ok(Reply::text("?")) };
        let text = turns.last().map_or("", |turn| turn.text.as_str());
        Ok(match &request.format {
            Format::Schema(schema) if schema["type"] == "array" => {
                Reply::text(json!(["ferry", "winter", "tickets"]).to_string())
            }
            // The second draft is good enough.
            Format::Schema(_) if text.contains("second draft") => Reply::text(r#"{"next": "end"}"#),
            Format::Schema(_) => Reply::text(r#"{"next": "write"}"#),
            _ if text.starts_with("Into Chinese") => Reply::text("渡轮每天两班，冬天一班。"),
            _ if text.starts_with("In one sentence") => {
                Reply::text("The ferry runs twice a day, and once in winter.")
            }
            _ if text.contains("first draft") => Reply::text("It is a second draft."),
            _ => Reply::text("It is a first draft."),
        })
    }))
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut words = std::env::args().skip(1);
    let folder = words.next().ok_or("name a folder, and say what is to be done")?;
    let request = words.collect::<Vec<_>>().join(" ");
    let folder = Path::new(&folder);
    std::fs::create_dir_all(folder)?;
    let model = larger();
    let llm = Llm::new(model.clone());

    let chain = digest(&llm);
    std::fs::write(folder.join("digest.svg"), chain.drawing().svg())?;
    std::fs::write(folder.join("digest.mmd"), chain.drawing().mermaid())?;
    let tell = |event: &ondine::app::chain::Event| eprintln!("{:28} {:?}", event.path, event.what);
    let digest = chain.go(REPORT.into()).journal(folder.join("digest")).listen(tell).end()?;
    println!("{} ({})", digest.chinese, digest.words.join(", "));

    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let droplet = ondine_droplet::open(threads, ondine_tensor::Isa::best())?;
    let chain = desk(&Llm::new(Arc::new(droplet)), &llm)?;
    std::fs::write(folder.join("desk.svg"), chain.drawing().svg())?;
    std::fs::write(folder.join("desk.mmd"), chain.drawing().mermaid())?;
    let desk = Desk { request, ..Desk::default() };
    let desk = chain.go(desk).journal(folder.join("desk")).listen(tell).end()?;
    println!("{}", desk.answer);
    println!("the larger model was asked {} times", model.asked().len());
    Ok(())
}
