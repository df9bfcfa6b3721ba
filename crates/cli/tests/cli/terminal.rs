//! A conversation, on a real pseudo-terminal made by `script`.

use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{Folder, plain_model, tiny_model};

/// Longer than anything here takes on a slow and busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
const CTRL_C: &[u8] = b"\x03";
const CTRL_D: &[u8] = b"\x04";

/// The binary on a terminal, and what the terminal shows.
struct Terminal {
    child: Child,
    keys: ChildStdin,
    shown: Receiver<Vec<u8>>,
    screen: String,
}

impl Terminal {
    /// Starts the binary on a terminal, or says why it cannot.
    fn start(arguments: &str) -> Option<Terminal> {
        // `exec`, so that no shell stays between: one that hears a Ctrl-C too may end with 130 by itself.
        let command = format!("exec {} {arguments}", env!("CARGO_BIN_EXE_ondine"));
        let started = Command::new("script")
            .args(["-qefc", &command, "/dev/null"])
            .env("TERM", "xterm")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let Ok(mut child) = started else {
            eprintln!("skipped: there is no `script` to make a terminal");
            return None;
        };
        let (keys, mut out) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let (send, shown) = mpsc::channel();
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = out.read(&mut buffer) {
                if send.send(buffer[..count].to_vec()).is_err() {
                    break;
                }
            }
        });
        Some(Terminal { child, keys, shown, screen: String::new() })
    }

    fn press(&mut self, keys: &[u8]) {
        self.keys.write_all(keys).unwrap();
        self.keys.flush().unwrap();
    }

    /// Waits until `ready` holds of what is shown after the first `from` bytes.
    #[track_caller]
    fn wait(&mut self, from: usize, what: &str, ready: impl Fn(&str) -> bool) {
        let begun = Instant::now();
        while !ready(&self.screen[from..]) {
            let left = PATIENCE.saturating_sub(begun.elapsed());
            match self.shown.recv_timeout(left) {
                Ok(bytes) => self.screen += &String::from_utf8_lossy(&bytes),
                Err(error) => panic!("no {what}: {error}; shown is {:?}", self.screen),
            }
        }
    }

    fn end(mut self) -> i32 {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code().unwrap_or(-1);
            }
            if begun.elapsed() > PATIENCE {
                let _ = self.child.kill();
                panic!("it does not end; shown is {:?}", self.screen);
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

#[test]
fn a_conversation_outlives_ctrl_c_and_ends_with_ctrl_d() {
    let folder = Folder::new();
    let model = tiny_model(&folder);
    let Some(mut terminal) = Terminal::start(&format!("run -m {model} --max-tokens 1000000"))
    else {
        return;
    };
    terminal.wait(0, "prompt", |shown| shown.contains("> "));
    terminal.press(b"hello\r");
    // Something is being said, and goes on.
    terminal.wait(0, "answer", |shown| shown.len() > 2000);
    let before = terminal.screen.len();
    terminal.press(CTRL_C);
    terminal.wait(before, "word that it stopped", |shown| shown.contains("(stopped)"));
    terminal.wait(before, "next prompt", |shown| {
        shown.rsplit("(stopped)").next().is_some_and(|rest| rest.contains("> "))
    });
    // Ctrl-C in the line editor clears the line and nothing else.
    let before = terminal.screen.len();
    terminal.press(b"half a li");
    terminal.press(CTRL_C);
    terminal.wait(before, "prompt after a cleared line", |shown| {
        shown.rsplit("half a li").next().is_some_and(|rest| rest.contains("> "))
    });
    terminal.press(CTRL_D);
    assert_eq!(terminal.end(), 0);
}

#[test]
fn a_conversation_says_what_it_cannot_do() {
    let folder = Folder::new();
    let model = plain_model(&folder);
    let Some(mut terminal) = Terminal::start(&format!("run -m {model} --max-tokens 4")) else {
        return;
    };
    terminal.wait(0, "word of the template", |shown| {
        shown.contains("this model has no chat template: each line is continued by itself")
            && shown.contains("> ")
    });
    terminal.press(b"/exit\r");
    // A key pressed before the next prompt is up would be lost with the terminal's change of mode.
    terminal.wait(0, "prompt after the answer to a command", |shown| {
        let (_, rest) =
            shown.split_once("/new is the only command; Ctrl-D leaves").unwrap_or_default();
        rest.contains("> ")
    });
    terminal.press(CTRL_D);
    assert_eq!(terminal.end(), 0);
}

#[test]
fn control_characters_of_a_model_do_not_reach_a_terminal() {
    let folder = Folder::new();
    let model = tiny_model(&folder);
    // At a high temperature the tiny model says every byte there is, escapes among them.
    let command =
        format!("run -m {model} --temp 50 --top-k 0 --top-p 1 --min-p 0 --max-tokens 3000 hi");
    let Some(mut terminal) = Terminal::start(&command) else { return };
    terminal.wait(0, "escaped escape", |shown| shown.contains("\\u{1b}"));
    assert!(!terminal.screen.contains('\u{1b}'), "{:?}", terminal.screen);
}
