//! What two questions differ in, for people to see: lines of each, and which of them are the other's.

use std::collections::HashMap;

use ondine_chat::Request;
use serde_json::Value;

use super::line::canonical;

/// Lines of a question that are compared. A prompt may be a book.
const LINES_MAX: usize = 600;
/// Lines of a difference that are shown.
const SHOWN_MAX: usize = 40;
/// Characters of a line that are shown.
const WIDTH_MAX: usize = 160;

/// A question as lines: where something stands, and what stands there. What says nothing is left out.
pub(super) fn legible(request: &Request) -> Vec<String> {
    let mut lines = Vec::new();
    walk("", &canonical(request), &mut lines);
    lines
}

fn walk(place: &str, value: &Value, lines: &mut Vec<String>) {
    if lines.len() >= LINES_MAX {
        return;
    }
    let below = |name: &str| match place {
        "" => name.to_owned(),
        _ => format!("{place}.{name}"),
    };
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                walk(&below(key), value, lines);
            }
        }
        Value::Array(values) => {
            for (n, value) in values.iter().enumerate() {
                walk(&below(&n.to_string()), value, lines);
            }
        }
        Value::Null => {}
        Value::String(text) if text.is_empty() => {}
        Value::String(text) => {
            let room = LINES_MAX - lines.len();
            lines.extend(text.lines().take(room).map(|line| format!("{place}: {line}")));
        }
        other => lines.push(format!("{place}: {other}")),
    }
}

/// How much two questions have in common, from 0 to 1.
pub(super) fn likeness(a: &[String], b: &[String]) -> f64 {
    // Words, since lines of a prompt that differ in one are alike.
    let words = |lines: &[String]| {
        let mut count: HashMap<String, usize> = HashMap::new();
        for word in lines.iter().flat_map(|line| line.split_whitespace()) {
            *count.entry(word.to_owned()).or_default() += 1;
        }
        count
    };
    let (a, b) = (words(a), words(b));
    let common: usize = a.iter().map(|(word, n)| (*n).min(b.get(word).copied().unwrap_or(0))).sum();
    let all = a.values().sum::<usize>() + b.values().sum::<usize>();
    2.0 * common as f64 / all.max(1) as f64
}

/// The lines in which `new` differs from `old`, by the longest common subsequence of lines.
pub(super) fn shown(old: &[String], new: &[String]) -> String {
    let (m, n) = (old.len(), new.len());
    // common[i][j]: lines that old[i..] and new[j..] share, in order.
    let mut common = vec![vec![0_u16; n + 1]; m + 1];
    for i in (0..m).rev() {
        for j in (0..n).rev() {
            common[i][j] = if old[i] == new[j] {
                common[i + 1][j + 1] + 1
            } else {
                common[i + 1][j].max(common[i][j + 1])
            };
        }
    }
    let (mut i, mut j, mut lines) = (0, 0, Vec::new());
    while i < m || j < n {
        if i < m && j < n && old[i] == new[j] {
            (i, j) = (i + 1, j + 1);
        } else if i < m && (j == n || common[i + 1][j] >= common[i][j + 1]) {
            lines.push(format!("- {}", short(&old[i])));
            i += 1;
        } else {
            lines.push(format!("+ {}", short(&new[j])));
            j += 1;
        }
    }
    if lines.is_empty() {
        return "(the difference lies beyond what is compared: both are very long)".into();
    }
    let left_out = lines.len().saturating_sub(SHOWN_MAX);
    lines.truncate(SHOWN_MAX);
    if left_out > 0 {
        lines.push(format!("… and {left_out} lines more"));
    }
    lines.join("\n")
}

fn short(line: &str) -> String {
    match line.char_indices().nth(WIDTH_MAX) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line.to_owned(),
    }
}
