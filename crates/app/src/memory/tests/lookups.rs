//! Nested look-ups through a window of 512 tokens: 140 keys, told one after the other, of which a value
//! may be the next key, after the nested key-value retrieval of Packer and others, 2023. The model is a
//! policy that uses the functions and sees nothing but its window.

use super::*;

const WINDOW: usize = 512;
const ANSWER: usize = 40;
/// Chains, and keys of each: 140 keys, asked for at each of five depths as often.
const CHAINS: usize = 28;
const LONG: usize = 5;

fn uuid(n: usize) -> String {
    let mut bits = (n as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mut hex = String::new();
    while hex.len() < 32 {
        bits ^= bits >> 29;
        bits = bits.wrapping_mul(0xBF58_476D_1CE4_E5B9);
        hex.push_str(&format!("{:04x}", bits >> 48));
    }
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

/// A key, its depth and its end.
type Asked = (String, usize, String);

/// Key and value, in the order in which they are told; and what is asked.
fn pairs() -> (Vec<(String, String)>, Vec<Asked>) {
    let name = |chain: usize, at: usize| uuid(chain * (LONG + 1) + at);
    let (mut told, mut asked) = (Vec::new(), Vec::new());
    for chain in 0..CHAINS {
        for at in 0..LONG {
            told.push((name(chain, at), name(chain, at + 1)));
            asked.push((name(chain, at), LONG - 1 - at, name(chain, LONG)));
        }
    }
    // Any order will do, as long as a chain is not told at once.
    told.sort();
    asked.sort();
    (told, asked)
}

fn statement(key: &str, value: &str) -> String {
    format!("The value of {key} is {value}.")
}

/// The value of a key, where a text says it.
fn value<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("The value of {key} is "))?;
    rest.get(..36)
}

fn question(key: &str) -> String {
    format!("Where does {key} lead in the end?")
}

/// What the policy does: a function of what it sees, and nothing else.
fn policy(request: &Request) -> Reply {
    let turns = turns(request);
    let with_functions = !request.tools.is_empty();
    // The notice is no question, and may come after anything.
    let notice = |turn: &&Message| !turn.text.starts_with("[memory]");
    let last = turns.iter().filter(notice).rfind(|turn| turn.role == Role::User).unwrap();
    if last.text.contains("Sum up this conversation") {
        return Reply::text("Pairs were told; they are archived.");
    }
    let Some((_, key)) = last.text.rsplit_once("Where does ") else {
        let told = last.text.lines().rfind(|line| line.starts_with("The value of")).unwrap();
        return match with_functions {
            true => Reply::call("archive_insert", json!({"text": told}))
                .and_call(SEND, json!({"message": "Noted."})),
            false => Reply::text("Noted."),
        };
    };
    let key = &key[..36];
    if !with_functions {
        // It follows what it sees, as far as it sees it.
        let seen: Vec<&str> = turns.iter().map(|turn| turn.text.as_str()).collect();
        let seen = seen.join("\n");
        let mut at = key;
        while let Some(next) = value(&seen, at) {
            at = next;
        }
        return Reply::text(format!("It leads to {at}."));
    }
    // How far it came is in the working context.
    let (_, at) = turns[0].text.split_once("at: ").unwrap_or(("", key));
    let at = &at[..36];
    let begun = turns[0].text.contains("at: ");
    let found = turns.iter().rfind(notice).filter(|turn| turn.role == Role::Tool);
    let asked = turns.iter().rev().find_map(|turn| turn.calls.last());
    let Some(found) = found.filter(|_| asked.is_some_and(|call| call.arguments["query"] == at))
    else {
        return Reply::call("archive_search", json!({"query": at}));
    };
    let here = format!("at: {at}");
    match value(&found.text, at) {
        Some(next) if begun => {
            let new = format!("at: {next}");
            let arguments = json!({"old": here, "new": new, "heartbeat": true});
            Reply::call("working_replace", arguments)
        }
        Some(next) => {
            let text = format!("at: {next}");
            Reply::call("working_append", json!({"text": text, "heartbeat": true}))
        }
        // Nothing more: the end. What was written down for it is no longer needed.
        None => {
            let text = format!("It leads to {at}.");
            Reply::call("working_replace", json!({"old": here, "new": ""}))
                .and_call(SEND, json!({"message": text}))
        }
    }
}

fn percent(right: usize, of: usize) -> f64 {
    100.0 * right as f64 / of as f64
}

#[test]
fn nested_lookups_through_512_tokens() {
    let (told, asked) = pairs();
    assert_eq!((told.len(), asked.len()), (140, 140));
    let model = Narrow::new(WINDOW, quarter, |request| Ok(policy(request)));

    let options = MemoryOptions { answer: ANSWER, ..MemoryOptions::new(WINDOW) };
    let mut memory = Memory::in_memory(model.llm(), options);
    for (key, value) in &told {
        assert_eq!(memory.say(&statement(key, value)).unwrap(), "Noted.");
    }
    let mut right = [0; LONG];
    for (key, depth, end) in &asked {
        let said = memory.say(&question(key)).unwrap();
        right[*depth] += usize::from(said == format!("It leads to {end}."));
    }
    let evictions = memory.recall().len() - memory.shown();
    let calls = model.script.asked().len();

    // The same policy and window, and the oldest messages left out until the rest fits.
    let mut plain = [0; LONG];
    for (key, depth, end) in &asked {
        let mut turns: Vec<Message> =
            told.iter().map(|(key, value)| Message::user(statement(key, value))).collect();
        turns.push(Message::user(question(key)));
        let mut request = Request::new("", turns);
        request.max_tokens = Some(ANSWER);
        while quarter(&request) + ANSWER > WINDOW {
            let Prompt::Messages(turns) = &mut request.prompt else { panic!() };
            turns.remove(0);
        }
        let said = model.llm().answer(request).unwrap().text;
        plain[*depth] += usize::from(said == format!("It leads to {end}."));
    }
    println!(
        "window {WINDOW}, {} keys, longest prompt with its answer {}",
        told.len(),
        model.longest.load(Ordering::Relaxed)
    );
    println!("depth   memory   truncation");
    for depth in 0..LONG {
        println!(
            "{depth:5}   {:5.1} %  {:5.1} %",
            percent(right[depth], CHAINS),
            percent(plain[depth], CHAINS)
        );
    }
    let (right, plain) = (right.iter().sum::<usize>(), plain.iter().sum::<usize>());
    println!("  all   {:5.1} %  {:5.1} %", percent(right, 140), percent(plain, 140));
    println!(
        "{calls} questions to the model, {evictions} of {} messages summed up",
        memory.recall().len()
    );
    assert_eq!(right, 140);
    assert!(percent(plain, 140) <= 30.0, "{plain} of 140");
    assert!(model.longest.load(Ordering::Relaxed) <= WINDOW);
    assert_eq!(memory.working().trim(), "", "what was written down was deleted again");
}
