//! Programs that a desktop starts: what opens addresses and applications, and what holds the clipboard. No
//! shell reads what they are given, each has its patience, and only these few are started. It touches
//! processes, the environment, and the folders where Linux lists applications.

use std::env;
use std::fs;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use ondine_app::ToolError;

/// How long a program may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Bytes of a program's output that are read.
const OUTPUT_BYTES_MAX: u64 = 64 << 10;
/// Applications of a Linux that are looked at.
const APPLICATIONS_MAX: usize = 2_000;

/// Whoever starts programs.
pub trait Launch: Send + Sync {
    /// Shows an address of the web.
    ///
    /// # Errors
    /// Nothing here can.
    fn open(&self, url: &str) -> Result<(), ToolError>;

    /// Opens an application by its name.
    ///
    /// # Errors
    /// There is none of that name, or nothing here can.
    fn start(&self, app: &str) -> Result<(), ToolError>;

    /// The text of the clipboard.
    ///
    /// # Errors
    /// Nothing here can.
    fn paste(&self) -> Result<String, ToolError>;

    /// Puts a text into the clipboard.
    ///
    /// # Errors
    /// Nothing here can.
    fn copy(&self, text: &str) -> Result<(), ToolError>;
}

/// The programs of the system: `xdg-open`, `gtk-launch`, `wl-copy` or `xclip` on Linux; `open`, `pbcopy` and
/// `pbpaste` on macOS.
pub struct SystemLaunch;

impl Launch for SystemLaunch {
    fn open(&self, url: &str) -> Result<(), ToolError> {
        let program = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
        run(program, &[url], None, false).map(drop)
    }

    fn start(&self, app: &str) -> Result<(), ToolError> {
        if cfg!(target_os = "macos") {
            return run("open", &["-a", app], None, false).map(drop);
        }
        let none = || ToolError::Failed(format!("there is no application {app:?}"));
        let id = application(app).ok_or_else(none)?;
        run("gtk-launch", &[&id], None, false).map(drop)
    }

    fn paste(&self) -> Result<String, ToolError> {
        match clipboard()? {
            Board::Mac => run("pbpaste", &[], None, true),
            Board::Wayland => run("wl-paste", &["--no-newline"], None, true),
            Board::X => run("xclip", &["-selection", "clipboard", "-o"], None, true),
        }
    }

    fn copy(&self, text: &str) -> Result<(), ToolError> {
        let done = match clipboard()? {
            Board::Mac => run("pbcopy", &[], Some(text), false),
            Board::Wayland => run("wl-copy", &[], Some(text), false),
            Board::X => run("xclip", &["-selection", "clipboard"], Some(text), false),
        };
        done.map(drop)
    }
}

enum Board {
    Mac,
    Wayland,
    X,
}

fn clipboard() -> Result<Board, ToolError> {
    let is_set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
    match () {
        () if cfg!(target_os = "macos") => Ok(Board::Mac),
        () if is_set("WAYLAND_DISPLAY") => Ok(Board::Wayland),
        () if is_set("DISPLAY") => Ok(Board::X),
        () => Err(ToolError::Refused("this device cannot: the clipboard, without a screen".into())),
    }
}

/// Runs a program to its end and gives what it wrote, where that is wanted. Without that its outputs are
/// closed: what holds a clipboard stays in the background, and would keep them open.
fn run(
    program: &str,
    arguments: &[&str],
    input: Option<&str>,
    wants_output: bool,
) -> Result<String, ToolError> {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() })
        .stdout(if wants_output { Stdio::piped() } else { Stdio::null() })
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| ToolError::Failed(format!("{program}: {error}")))?;
    if let (Some(mut pipe), Some(text)) = (child.stdin.take(), input) {
        let text = text.to_owned();
        // A program that does not read would keep its writer waiting.
        thread::spawn(move || pipe.write_all(text.as_bytes()));
    }
    let (sender, output) = mpsc::sync_channel(1);
    if let Some(pipe) = child.stdout.take() {
        thread::spawn(move || {
            let mut bytes = Vec::new();
            let _ = pipe.take(OUTPUT_BYTES_MAX).read_to_end(&mut bytes);
            sender.send(bytes)
        });
    }
    let end = Instant::now() + PATIENCE;
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if Instant::now() < end => thread::sleep(Duration::from_millis(5)),
            _ => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(ToolError::Failed(format!("{program} did not end in time")));
            }
        }
    };
    if !status.success() {
        return Err(ToolError::Failed(format!("{program} failed ({status})")));
    }
    let bytes =
        if wants_output { output.recv_timeout(PATIENCE).unwrap_or_default() } else { Vec::new() };
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// What Linux calls an application of this name: the name of its file in a list of applications.
fn application(name: &str) -> Option<String> {
    let home =
        env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/share/applications"));
    let folders = home
        .into_iter()
        .chain(["/usr/local/share/applications", "/usr/share/applications"].map(PathBuf::from));
    let wanted = name.trim().to_lowercase();
    folders
        .filter_map(|folder| fs::read_dir(folder).ok())
        .flat_map(|entries| entries.filter_map(Result::ok).take(APPLICATIONS_MAX))
        .filter(|entry| entry.path().extension().is_some_and(|end| end == "desktop"))
        .find(|entry| {
            let Ok(file) = fs::File::open(entry.path()) else { return false };
            let mut text = String::new();
            let read = file.take(OUTPUT_BYTES_MAX).read_to_string(&mut text);
            read.is_ok() && names(&text).any(|name| name.to_lowercase() == wanted)
        })
        .and_then(|entry| entry.path().file_stem()?.to_str().map(String::from))
}

/// The names of an application, in every language, of its file.
fn names(text: &str) -> impl Iterator<Item = &str> {
    let entry = text.lines().skip_while(|line| line.trim() != "[Desktop Entry]").skip(1);
    entry.take_while(|line| !line.starts_with('[')).filter_map(|line| {
        let (key, value) = line.split_once('=')?;
        (key == "Name" || key.starts_with("Name[")).then_some(value.trim())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_waited_for_and_not_for_ever() {
        assert_eq!(
            run("cat", &[], Some("one\n$(two) 'three'"), true).unwrap(),
            "one\n$(two) 'three'"
        );
        assert!(run("false", &[], None, false).is_err());
        assert!(run("no-such-program-here", &[], None, false).is_err());
        assert_eq!(run("echo", &["$HOME; true"], None, true).unwrap(), "$HOME; true\n");
        let begun = Instant::now();
        assert!(run("sleep", &["60"], None, false).is_err());
        assert!(begun.elapsed() < PATIENCE * 2);
    }

    #[test]
    fn an_application_has_names() {
        let text =
            "[Desktop Entry]\nName=Text Editor\nName[zh_CN]=文本编辑器\nExec=x\n[Other]\nName=no\n";
        assert_eq!(names(text).collect::<Vec<_>>(), ["Text Editor", "文本编辑器"]);
    }
}
