//! A company whose roles are functions, so that what holds it together can be tested without any weights.
//!
//! The writer begins with a program that has defects in it. It does not know which: it mends the one
//! function that what the tests said points at, and leaves the rest of the file that it was shown as it is.
//! Where it is shown nothing, it writes its first draft again.

use std::fmt::Write;
use std::sync::Arc;

use ondine::app::chat::{ChatError, Prompt, Request};
use ondine::app::{Llm, Reply, ScriptedModel};
use serde_json::json;

/// The program as the writer knows it.
const GAME: &str = include_str!("../assets/game.rs");

/// What may be wrong with the first draft: a name, what stands there, and what stands there instead.
pub const DEFECTS: &[(&str, &str, &str)] = &[
    ("a merged tile merges again", " && !merged", ""),
    ("a merge scores half", "points += tile * 2", "points += tile"),
    ("right is left", "Direction::Right => (n, 3 - k)", "Direction::Right => (n, k)"),
    ("down is up", "Direction::Down => (3 - k, n)", "Direction::Down => (k, n)"),
    ("only the last lane scores", "points += more", "points = more"),
    (
        "new tiles come anywhere",
        ".flatten().filter(|tile| **tile == 0).nth(nth)",
        ".flatten().nth(nth)",
    ),
    (
        "new tiles are twos",
        "if random(10) == 0 { 4 } else { 2 }",
        "if random(10) > 10 { 4 } else { 2 }",
    ),
    (
        "a full board is over",
        "slide(board, *direction).0 == *board",
        "board[0][0] != 0 || slide(board, *direction).0 == *board",
    ),
    ("1024 wins", "*tile >= 2048", "*tile >= 1024"),
    ("4096 does not win", "*tile >= 2048", "*tile == 2048"),
    (
        "a game begins with one tile",
        "        spawn(&mut board, random);\n        spawn",
        "        spawn",
    ),
    (
        "every push counts",
        "        if board == self.board {\n            return false;\n        }\n",
        "",
    ),
    (
        "it does not compile",
        "let (board, points) = slide(&self.board",
        "let (board, points) = slid(&self.board",
    ),
    (
        "it does not end",
        "        if tile == 0 {\n            continue;\n        }\n",
        "        while tile == 0 {}\n",
    ),
];

/// Which parts may be to blame for a rule that fails, likeliest first.
const BLAMED: &[(&str, &[&str])] = &[
    ("rule_01", &["merge", "slide"]),
    ("rule_02", &["merge"]),
    ("rule_03", &["merge"]),
    ("rule_04", &["merge"]),
    ("rule_05", &["merge"]),
    ("rule_06", &["merge"]),
    ("rule_07", &["merge"]),
    ("rule_08", &["cell", "merge"]),
    ("rule_09", &["cell", "merge"]),
    ("rule_10", &["cell", "merge"]),
    ("rule_11", &["merge", "slide"]),
    ("rule_12", &["slide", "merge"]),
    ("rule_13", &["spawn"]),
    ("rule_14", &["spawn"]),
    ("rule_15", &["spawn"]),
    ("rule_16", &["game", "spawn"]),
    ("rule_17", &["game", "slide"]),
    ("rule_18", &["over"]),
    ("rule_19", &["over"]),
    ("rule_20", &["won"]),
];

/// The parts of a program: their names and texts, in order.
fn parts(program: &str) -> Vec<(String, String)> {
    let mut parts: Vec<(String, String)> = Vec::new();
    for line in program.lines() {
        if let Some(name) = line.strip_prefix("// part: ") {
            parts.push((name.to_owned(), String::new()));
        }
        if let Some((_, text)) = parts.last_mut() {
            text.push_str(line);
            text.push('\n');
        }
    }
    parts
}

/// The part that what was said points at, of those that are not yet as the writer would have them.
fn blamed(code: &str, said: &str) -> Option<String> {
    let known = parts(GAME);
    let shown = parts(code);
    let doubtful = |name: &str| {
        shown.iter().any(|part| part.0 == name)
            && shown.iter().all(|part| part.0 != name || !known.contains(part))
    };
    // A compiler names the line.
    if let Some(place) = said.split("generated.rs:").nth(1)
        && let Some(line) = place.split(':').next().and_then(|line| line.parse::<usize>().ok())
    {
        let before: Vec<&str> = code.lines().take(line).collect();
        let name = before.iter().rev().find_map(|line| line.strip_prefix("// part: "));
        return name.map(str::to_owned);
    }
    // A test that runs for ever hangs in what all others use.
    if said.contains("did not end") {
        return ["merge", "slide", "spawn"]
            .iter()
            .find(|name| doubtful(name))
            .map(|name| (*name).to_owned());
    }
    // Each failing rule has a voice for each part that it may come from, the likeliest counting most.
    let mut voices: Vec<(&str, usize)> = Vec::new();
    for line in said.lines().filter(|line| line.starts_with("test ") && line.ends_with("FAILED")) {
        let suspects =
            BLAMED.iter().find(|(rule, _)| line.contains(rule)).map_or(&[][..], |row| row.1);
        for (nth, part) in suspects.iter().enumerate().filter(|(_, part)| doubtful(part)) {
            let weight = if nth == 0 { 3 } else { 1 };
            match voices.iter_mut().find(|(name, _)| name == part) {
                Some((_, count)) => *count += weight,
                None => voices.push((part, weight)),
            }
        }
    }
    let most = voices.iter().map(|(_, count)| *count).max()?;
    voices.iter().find(|(_, count)| *count == most).map(|(name, _)| (*name).to_owned())
}

/// The file that the writer was shown, with the part put right that it was told of.
fn mended(asked: &str) -> Option<String> {
    let (_, rest) = asked.split_once("```rust\n")?;
    let (code, rest) = rest.split_once("```\n")?;
    let (_, said) = rest.split_once("What the tests said:\n")?;
    let name = blamed(code, said)?;
    let right = parts(GAME).into_iter().find(|part| part.0 == name)?.1;
    let parts = parts(code);
    Some(
        parts
            .into_iter()
            .map(|(other, text)| if other == name { right.clone() } else { text })
            .collect(),
    )
}

/// A model that plays all roles, and whose first draft has these defects.
///
/// # Panics
/// Where there is no such defect.
pub fn company(defects: &[&str]) -> Llm {
    let mut draft: String = parts(GAME).into_iter().map(|(_, text)| text).collect();
    for name in defects {
        let row = DEFECTS.iter().find(|row| row.0 == *name);
        let (_, right, wrong) = row.unwrap_or_else(|| panic!("there is no defect {name:?}"));
        assert!(draft.contains(right), "{name} cannot be put in");
        draft = draft.replacen(right, wrong, 1);
    }
    Llm::new(Arc::new(ScriptedModel::by(move |request| answer(request, &draft))))
}

fn answer(request: &Request, draft: &str) -> Result<Reply, ChatError> {
    let Prompt::Messages(turns) = &request.prompt else {
        return Err(ChatError::invalid("prompt", "a role is asked in a conversation"));
    };
    let system = turns.first().map(|turn| turn.text.as_str()).unwrap_or_default();
    let asked = turns.last().map(|turn| turn.text.as_str()).unwrap_or_default();
    let role = system.strip_prefix("You are the ").and_then(|rest| rest.split(' ').next());
    Ok(Reply::text(match role {
        Some("DocWriter") => format!("# Rules\n\n{}", asked.lines().next().unwrap_or_default()),
        Some("CodeWriter") => {
            let code = mended(asked).unwrap_or_else(|| draft.to_owned());
            format!("Here it is:\n```rust\n{code}```\n")
        }
        Some("CodeReviewer") => {
            // It reads what can be seen without running anything.
            let whole = ["fn slide", "fn spawn", "fn is_over", "fn has_won", "fn play"];
            let missing: Vec<&str> =
                whole.into_iter().filter(|name| !asked.contains(name)).collect();
            json!({ "notes": format!("missing: {missing:?}"), "approved": missing.is_empty() })
                .to_string()
        }
        Some("CodeTester") => {
            let mut told = String::new();
            for line in
                asked.lines().filter(|line| line.ends_with("FAILED") || line.contains("panicked"))
            {
                let _ = writeln!(told, "- {line}");
            }
            told
        }
        other => return Err(ChatError::Internal(format!("there is no role {other:?}"))),
    }))
}
