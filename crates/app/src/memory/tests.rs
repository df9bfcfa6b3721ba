//! Memories that are full, killed, flooded, and asked for everything they were ever told.

mod lookups;

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ondine_chat::{Chat, ChatError, Embed, Embedded, Message, Model, Prompt, Request, Role, Sink};
use serde_json::{Value, json};

use super::*;
use crate::retrieve::{Hit, RetrieveError};
use crate::scripted::{Reply, ScriptedModel};

/// A model with a window that counts as a test says, and refuses what does not fit.
struct Narrow {
    window: usize,
    count: fn(&Request) -> usize,
    script: ScriptedModel,
    /// The longest prompt that it was asked.
    longest: AtomicUsize,
}

impl Narrow {
    fn new(
        window: usize,
        count: fn(&Request) -> usize,
        policy: impl FnMut(&Request) -> Result<Reply, ChatError> + Send + 'static,
    ) -> Arc<Narrow> {
        let script = ScriptedModel::by(policy);
        Arc::new(Narrow { window, count, script, longest: AtomicUsize::new(0) })
    }

    fn llm(self: &Arc<Narrow>) -> Llm {
        Llm::new(self.clone())
    }
}

impl Chat for Narrow {
    fn start(&self, request: Request, sink: Sink) -> Result<(), ChatError> {
        let prompt_tokens = (self.count)(&request);
        let wanted = request.max_tokens.unwrap_or(1);
        if prompt_tokens + wanted > self.window {
            return Err(ChatError::Context { prompt_tokens, wanted, context: self.window });
        }
        self.longest.fetch_max(prompt_tokens + wanted, Ordering::Relaxed);
        self.script.start(request, sink)
    }

    fn count_tokens(&self, request: &Request) -> Result<usize, ChatError> {
        Ok((self.count)(request))
    }

    fn models(&self) -> Vec<Model> {
        Vec::new()
    }
}

fn turns(request: &Request) -> &[Message] {
    match &request.prompt {
        Prompt::Messages(turns) => turns,
        Prompt::Text(_) => panic!("no conversation"),
    }
}

/// Four bytes are a token, as in most English texts, and a turn has three more; functions are counted as
/// they are written.
fn quarter(request: &Request) -> usize {
    let call = |call: &ToolCall| call.name.len() + call.arguments.to_string().len();
    let turn = |turn: &Message| turn.text.len() + turn.calls.iter().map(call).sum::<usize>() + 12;
    let tool = |tool: &ondine_chat::Tool| {
        tool.name.len() + tool.description.len() + tool.parameters.to_string().len()
    };
    let bytes = turns(request).iter().map(turn).sum::<usize>()
        + request.tools.iter().map(tool).sum::<usize>();
    bytes.div_ceil(4)
}

/// The sum of the numbers in a prompt.
fn numbers(request: &Request) -> usize {
    let words = turns(request).iter().flat_map(|turn| turn.text.split_whitespace());
    words.filter_map(|word| word.parse::<usize>().ok()).sum()
}

/// Without functions it is asked for a summary.
fn sums_up(request: &Request) -> bool {
    request.tools.is_empty()
}

fn noticed(memory: &Memory) -> usize {
    memory.state.queue.iter().filter(|entry| **entry == record::Entry::Notice).count()
}

#[test]
fn the_notice_comes_at_70_percent_and_the_summary_at_100() {
    let options = || MemoryOptions { answer: 10, ..MemoryOptions::new(1000) };
    let memory = |sizes: &[usize]| {
        let model = Narrow::new(usize::MAX, numbers, |request| {
            Ok(Reply::text(if sums_up(request) { "summed" } else { "fine" }))
        });
        let mut memory = Memory::in_memory(model.llm(), options());
        for size in sizes {
            assert_eq!(memory.say(&format!("size {size}")).unwrap(), "fine");
        }
        (noticed(&memory), memory.summary().to_owned(), memory.shown())
    };
    assert_eq!(memory(&[689]), (0, String::new(), 2));
    assert_eq!(memory(&[690]), (1, String::new(), 2));
    assert_eq!(memory(&[350, 339]), (0, String::new(), 4));
    assert_eq!(memory(&[350, 340]), (1, String::new(), 4));
    // Once, and no more.
    assert_eq!(memory(&[690, 100, 100, 99]), (1, String::new(), 8));
    assert_eq!(memory(&[300, 300, 300, 89]), (1, String::new(), 8));
    // Half of what is there goes: two questions and their answers. The notice goes with them.
    assert_eq!(memory(&[300, 300, 300, 90]), (0, "summed".to_owned(), 4));
    assert_eq!(memory(&[600, 300, 90]), (0, "summed".to_owned(), 3));
}

#[test]
fn a_summary_is_made_of_the_summary_before() {
    let model = Narrow::new(600, quarter, |request| {
        if !sums_up(request) {
            return Ok(Reply::text("fine"));
        }
        // Every user's word that it reads, and what it read before.
        let text = &turns(request)[0].text;
        let words = text.split_whitespace().filter(|word| word.starts_with('#'));
        Ok(Reply::text(words.collect::<Vec<_>>().join(" ")))
    });
    let options = MemoryOptions { answer: 20, ..MemoryOptions::new(600) };
    let mut memory = Memory::in_memory(model.llm(), options);
    for n in 0..12 {
        memory.say(&format!("#{n} {}", "something ".repeat(8))).unwrap();
    }
    let words: Vec<&str> = memory.summary().split(' ').collect();
    assert!(words.len() > 6, "{words:?}");
    let expected: Vec<String> = (0..words.len()).map(|n| format!("#{n}")).collect();
    assert_eq!(words, expected, "summed up once each, in order");
    assert!(model.longest.load(Ordering::Relaxed) <= 600);
}

#[test]
fn nothing_is_lost() {
    let model = Narrow::new(512, quarter, |_| Ok(Reply::text("Noted.")));
    let options = MemoryOptions { answer: 32, ..MemoryOptions::new(512) };
    let mut memory = Memory::in_memory(model.llm(), options);
    let told = |n: usize| {
        let secret = n.wrapping_mul(2_654_435_761) % 1_000_003;
        match n % 2 {
            0 => (format!("k{secret}"), format!("The code of door {n} is k{secret}.")),
            _ => (format!("k{secret}"), format!("第{n}号门的密码是k{secret}。")),
        }
    };
    for n in 0..1000 {
        memory.say(&told(n).1).unwrap();
    }
    assert!(memory.shown() < 20, "{}", memory.shown());
    assert_eq!(memory.recall().len(), 2000);
    let found = (0..1000).filter(|&n| {
        let (secret, text) = told(n);
        memory.find(&secret, 0, 1).first().is_some_and(|spoken| spoken.text == text)
    });
    assert_eq!(found.count(), 1000, "of 1,000");
    // Page by page, each once.
    let mut seen = std::collections::BTreeSet::new();
    for page in 0..250 {
        seen.extend(memory.find("密码", page * 2, 2).iter().map(|spoken| spoken.number));
    }
    assert_eq!(seen.len(), 500);
    assert!(memory.find("密码", 500, 2).is_empty());
}

/// Uses every function; what it does depends on what it sees alone.
fn busy(request: &Request) -> Reply {
    if sums_up(request) {
        return Reply::text(format!("{} bytes were summed up", turns(request)[0].text.len()));
    }
    let turns = turns(request);
    let last = turns.iter().rposition(|turn| turn.role == Role::User).unwrap();
    let asked = &turns[last].text;
    let beats = turns.len() - last - 1;
    match (asked.len() % 3, beats) {
        (0, 0) => {
            let line = format!("{} bytes", asked.len());
            Reply::call("working_append", json!({"text": line, "heartbeat": true}))
                .and_call("archive_insert", json!({"text": asked}))
        }
        (1, 0) => Reply::call("archive_search", json!({"query": "word"}))
            .and_call("recall_search", json!({"query": "word"})),
        (2, 0) => Reply::call("working_replace", json!({"old": "bytes", "new": "letters"})),
        _ => Reply::call("send_message", json!({"message": format!("heard {}", asked.len())})),
    }
}

#[test]
fn a_memory_that_was_killed_after_any_record_is_there_again() {
    // Thousands of syncs: in memory, where the system has a folder there.
    let shared = std::path::PathBuf::from("/dev/shm");
    let folder = if shared.is_dir() { shared } else { std::env::temp_dir() };
    let folder = folder.join(format!("ondine-memory-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join("journal");
    let told: Vec<String> =
        (0..14).map(|n| format!("{}{n}", "word ".repeat(1 + n * 7 % 23))).collect();
    let open = || {
        let model = Narrow::new(700, quarter, |request| Ok(busy(request)));
        let options = MemoryOptions { answer: 40, ..MemoryOptions::new(700) };
        Memory::open(model.llm(), &path, options).unwrap()
    };
    let snapshot = |memory: &Memory| {
        let state = &memory.state;
        let archived = memory.archive.search("word").unwrap();
        (
            state.working.clone(),
            state.summary.clone(),
            state.recall.messages().to_vec(),
            state.queue.clone(),
            archived,
        )
    };
    let mut memory = open();
    let answers: Vec<String> = told.iter().map(|text| memory.say(text).unwrap()).collect();
    let whole = snapshot(&memory);
    let journal = fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = journal.lines().collect();
    for kind in ["working", "archived", "sent", "noticed", "evicted"] {
        assert!(journal.contains(kind), "{kind} happens");
    }
    for cut in 1..=lines.len() {
        let torn = lines.get(cut).map_or("", |line| &line[..line.len() * 2 / 3]);
        fs::write(&path, format!("{}\n{torn}", lines[..cut].join("\n"))).unwrap();
        let mut memory = open();
        let heard = memory.recall().iter().filter(|said| said.role == Role::User).count();
        let went_on = memory.go_on().unwrap();
        if let Some(answer) = went_on {
            assert_eq!(answer, answers[heard - 1], "cut after {cut}");
        }
        for (text, answer) in told.iter().zip(&answers).skip(heard) {
            assert_eq!(memory.say(text).unwrap(), *answer, "cut after {cut}");
        }
        assert_eq!(snapshot(&memory), whole, "cut after {cut}");
    }
    // Another journal is not taken for a memory.
    fs::write(&path, "").unwrap();
    let (mut journal, _) = Journal::open::<Record>(&path).unwrap();
    journal.append(&Record::Noticed).unwrap();
    let model = Llm::new(Arc::new(ScriptedModel::new([])));
    let strange = Memory::open(model.clone(), &path, MemoryOptions::new(700)).err().unwrap();
    assert!(matches!(strange, Error::Memory(MemoryError::Strange(_))), "{strange}");
    fs::write(&path, "").unwrap();
    let (mut journal, _) = Journal::open::<Record>(&path).unwrap();
    journal.append(&Record::Begun { version: VERSION + 1 }).unwrap();
    assert!(Memory::open(model, &path, MemoryOptions::new(700)).is_err());
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn whatever_is_called_has_a_result() {
    let calls = [
        ("fly", json!({}), "there is no fly"),
        ("working_append", json!({}), "takes the text \"text\""),
        ("working_append", json!({"text": 3}), "takes the text \"text\""),
        ("working_append", json!([]), "takes the text \"text\""),
        ("working_append", json!({"text": "x".repeat(5000)}), "5000 bytes of 4096"),
        ("working_replace", json!({"old": "", "new": "x"}), "old is empty"),
        ("working_replace", json!({"old": "a", "new": "x"}), "has no \"a\""),
        ("archive_insert", json!({"text": " \n"}), "nothing to store"),
        ("archive_search", json!({"query": "x"}), "nothing found"),
        ("recall_search", json!({"query": "x", "skip": -1}), "skip is a number"),
        ("recall_search", json!({"query": "x", "skip": "1"}), "skip is a number"),
        ("recall_search", json!({"query": "", "skip": u64::MAX}), "nothing found"),
    ];
    for (name, arguments, expected) in calls {
        let model = ScriptedModel::new([
            Reply::call(name, arguments.clone()),
            Reply::call(SEND, json!({"message": "so be it"})),
        ]);
        let llm = Llm::new(Arc::new(model));
        let mut memory = Memory::in_memory(llm, MemoryOptions::new(4096));
        // What went wrong is told at once, whether or not a heartbeat was asked for.
        assert_eq!(memory.say("hello").unwrap(), "so be it", "{name} {arguments}");
        let result = memory.recall().iter().find(|said| said.role == Role::Tool).unwrap();
        assert!(result.text.contains(expected), "{name}: {}", result.text);
    }
}

use super::functions::SEND;

#[test]
fn heartbeats_end_and_the_next_word_is_heard() {
    let model = ScriptedModel::by(|request| {
        let stop = turns(request).iter().any(|turn| turn.text.contains("stop"));
        Ok(match stop {
            true => Reply::call(SEND, json!({"message": "I stop."})),
            false => Reply::call("working_append", json!({"text": "x", "heartbeat": true})),
        })
    });
    let options = MemoryOptions { heartbeats: 5, ..MemoryOptions::new(8192) };
    let mut memory = Memory::in_memory(Llm::new(Arc::new(model)), options);
    let tired = memory.say("go").unwrap_err();
    assert!(matches!(tired, Error::Memory(MemoryError::Heartbeats(5))), "{tired}");
    assert_eq!(memory.working(), "x\nx\nx\nx\nx");
    assert_eq!(memory.say("stop").unwrap(), "I stop.");
    assert_eq!(memory.go_on().unwrap(), None);
}

#[test]
fn a_flood_is_shown_in_part_and_kept_whole() {
    let model = Narrow::new(512, quarter, |request| {
        Ok(match sums_up(request) {
            true => Reply::text("a flood"),
            false => Reply::call(SEND, json!({"message": "Noted."})),
        })
    });
    let mut memory = Memory::in_memory(model.llm(), MemoryOptions::new(512));
    let flood = format!("{} needle {}", "水".repeat(100_000), "é".repeat(100_000));
    for text in [flood.as_str(), "short", flood.as_str(), "short"] {
        assert_eq!(memory.say(text).unwrap(), "Noted.");
    }
    assert_eq!(memory.recall()[0].text, flood);
    assert_eq!(memory.find("needle", 0, 9).len(), 2);
    assert!(model.longest.load(Ordering::Relaxed) <= 512);

    let mut small = Memory::in_memory(model.llm(), MemoryOptions::new(100));
    let small = small.say("hello").unwrap_err();
    assert!(matches!(small, Error::Memory(MemoryError::Window { window: 100, .. })), "{small}");
}

/// Texts about animals point one way, all others another.
struct Animals;

impl Embed for Animals {
    fn embed(&self, _: &str, texts: &[String]) -> Result<Embedded, ChatError> {
        let animal = |text: &String| ["cat", "dog", "猫"].iter().any(|word| text.contains(word));
        let vector = |text| if animal(text) { vec![1.0, 0.0] } else { vec![0.0, 1.0] };
        Ok(Embedded { vectors: texts.iter().map(vector).collect(), tokens: 0 })
    }
}

struct Book;

impl Retrieve for Book {
    fn retrieve(&self, question: &str, _: usize) -> Result<Vec<Hit>, RetrieveError> {
        let text = format!("the book on {question}");
        let hit = Hit { path: "b.md".into(), line_start: 1, line_end: 1, score: 1.0, text };
        Ok(vec![hit])
    }
}

#[test]
fn the_archive_finds_by_words_by_meaning_and_in_an_index() {
    let search = |query: &str, plain: bool| {
        let insert = |text: &str| Reply::call("archive_insert", json!({"text": text}));
        let model = Arc::new(ScriptedModel::new([
            insert("my dog is called Rex"),
            insert("the rent is due on Friday"),
            Reply::call("archive_search", json!({"query": query})),
            Reply::text("done"),
        ]));
        let mut memory = Memory::in_memory(Llm::new(model.clone()), MemoryOptions::new(4096));
        if !plain {
            let llm = Llm::new(model).embedding_with(Arc::new(Animals));
            memory = memory.vectors(llm).knowledge(Arc::new(Book));
        }
        for _ in 0..3 {
            memory.say("go on").unwrap();
        }
        assert_eq!(memory.archived(), 2);
        let found = &memory.recall().iter().rfind(|said| said.role == Role::Tool).unwrap().text;
        found.lines().filter_map(|line| line.strip_prefix("- ").map(str::to_owned)).collect()
    };
    let none: Vec<String> = Vec::new();
    assert_eq!(search("猫 cat", true), none);
    let found: Vec<String> = search("猫 cat", false);
    assert_eq!(found, ["my dog is called Rex", "the book on 猫 cat", "the rent is due on Friday"]);
    // Found both by its words and by its meaning, it comes first.
    assert_eq!(search("rent", false)[0], "the rent is due on Friday");
}

#[test]
fn the_prompt_is_one_that_templates_take() {
    let model = Narrow::new(600, quarter, |request| Ok(busy(request)));
    let options =
        MemoryOptions { answer: 30, wording: Wording::chinese(), ..MemoryOptions::new(900) };
    let asked = {
        let model = Narrow::new(900, quarter, |request| Ok(busy(request)));
        let mut memory = Memory::in_memory(model.llm(), options);
        for n in 0..30 {
            memory.say(&format!("{}{n}", "word ".repeat(n % 11))).unwrap();
        }
        model.script.asked()
    };
    drop(model);
    for request in asked.iter().filter(|request| !sums_up(request)) {
        let turns = turns(request);
        assert_eq!((turns[0].role, turns[1].role), (Role::System, Role::User));
        let mut open: Vec<&str> = Vec::new();
        for pair in turns.windows(2) {
            assert!(!(pair[0].role == Role::User && pair[1].role == Role::User));
            assert!(pair[1].role != Role::System);
        }
        for turn in turns {
            match turn.role {
                Role::Tool => {
                    let id = turn.call_id.as_deref().unwrap();
                    assert_eq!(open.iter().position(|other| *other == id), Some(0), "in turn");
                    open.remove(0);
                }
                _ => {
                    assert!(open.is_empty(), "every call has its result");
                    open = turn.calls.iter().map(|call| call.id.as_str()).collect();
                }
            }
        }
        assert!(open.is_empty());
        let parameters: Vec<&Value> =
            request.tools.iter().map(|tool| &tool.parameters["type"]).collect();
        assert_eq!(parameters, [&json!("object"); 6]);
    }
}
