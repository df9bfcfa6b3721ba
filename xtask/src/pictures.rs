//! Draws the terminal pictures of the README from what the built binary prints now.
//!
//! `cargo xtask pictures` wants `target/release/ondine`. It runs each command of the list, and
//! writes commands and answers as an SVG: text that scales, is searched and is compared in review.
//! It knows nothing of what the commands mean.

use std::fmt::Write as _;
use std::process::{Command, ExitCode};

/// The commands of `docs/pictures/first-run.svg`, in order.
const COMMANDS: &[&[&str]] = &[
    &["run", "wake me at half past six tomorrow"],
    &["run", "turn the living room lights blue"],
    &["run", "把空调调到二十六度"],
    &["run", "提醒我明天下午三点开会"],
    &["run", "who won the world cup in 1998"],
    &["run", "--json", "turn off the kitchen light"],
];

const LINE: usize = 22;
const WIDTH: usize = 880;
/// Characters that fit the width; a Chinese one takes two.
const COLUMNS: usize = 98;

/// Runs the commands and writes the picture.
pub(crate) fn run() -> ExitCode {
    let root = crate::repo::root();
    let binary = root.join("target/release/ondine");
    let mut lines: Vec<(bool, String)> = Vec::new();
    for arguments in COMMANDS {
        let shown = arguments.iter().map(|a| {
            if a.contains(' ') || !a.is_ascii() { format!("\"{a}\"") } else { (*a).to_string() }
        });
        lines.push((true, format!("$ ondine {}", shown.collect::<Vec<_>>().join(" "))));
        match Command::new(&binary).args(*arguments).output() {
            Ok(output) if output.status.success() => {
                let text = String::from_utf8_lossy(&output.stdout).into_owned();
                lines.extend(text.lines().flat_map(wrapped).map(|line| (false, line)));
            }
            Ok(output) => {
                eprintln!("{}: {}", binary.display(), String::from_utf8_lossy(&output.stderr));
                return ExitCode::FAILURE;
            }
            Err(error) => {
                eprintln!("{}: {error}; build it with `cargo build --release`", binary.display());
                return ExitCode::FAILURE;
            }
        }
    }
    let folder = root.join("docs/pictures");
    let written = std::fs::create_dir_all(&folder)
        .and_then(|()| std::fs::write(folder.join("first-run.svg"), svg(&lines)));
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}: {error}", folder.display());
            ExitCode::FAILURE
        }
    }
}

/// A line cut to the width of the picture.
fn wrapped(line: &str) -> Vec<String> {
    let mut out = vec![String::new()];
    let mut columns = 0;
    for c in line.chars() {
        let wide = if c.is_ascii() { 1 } else { 2 };
        if columns + wide > COLUMNS {
            out.push(String::new());
            columns = 0;
        }
        columns += wide;
        if let Some(last) = out.last_mut() {
            last.push(c);
        }
    }
    out
}

fn svg(lines: &[(bool, String)]) -> String {
    let height = (lines.len() + 2) * LINE;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
         viewBox=\"0 0 {WIDTH} {height}\" font-family=\"ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, \
         'Noto Sans Mono CJK SC', monospace\" font-size=\"14\">\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" rx=\"8\" fill=\"#14181f\"/>\n"
    );
    for (i, (command, line)) in lines.iter().enumerate() {
        let y = (i + 1) * LINE + LINE / 2;
        let colour = if *command { "#7fd1b9" } else { "#e8e6e3" };
        let text = line.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        let _ = writeln!(
            out,
            "<text x=\"20\" y=\"{y}\" fill=\"{colour}\" xml:space=\"preserve\">{text}</text>"
        );
    }
    out.push_str("</svg>\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped_and_cut_to_the_width() {
        assert_eq!(wrapped(&"x".repeat(COLUMNS + 1)), ["x".repeat(COLUMNS), "x".into()]);
        assert_eq!(wrapped(&"中".repeat(COLUMNS / 2 + 1)).len(), 2);
        let picture = svg(&[(true, "$ a < b & c".into())]);
        assert!(picture.contains("$ a &lt; b &amp; c</text>"));
    }
}
