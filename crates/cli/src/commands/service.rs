//! `ondine service install|uninstall|status`: the file that has the system start the daemon.
//!
//! It writes that file, takes it away again, and says what to type: starting and stopping is the
//! system's own command, which its user should see.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::{env, process};

use crate::failure::Failure;
use crate::flags::{self, Arguments};
use crate::output::{self, Answer};
use crate::service::{MARK, Plan, launchd, systemd};
use crate::{model, own, store};

/// Whose file it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manager {
    Systemd,
    Launchd,
}

/// Installs, uninstalls or looks.
pub(crate) fn run(arguments: &Arguments<'_>) -> Result<(), Failure> {
    let action = arguments.text("action").unwrap_or_default();
    let manager = Manager::here()?;
    let path = manager.path()?;
    match action.as_str() {
        "install" => install(arguments, manager, &path),
        "uninstall" => uninstall(arguments, manager, &path),
        "status" => status(&path),
        other => {
            let message = format!("`ondine service {other}`: it is install, uninstall or status");
            Err(Failure::usage(message))
        }
    }
}

impl Manager {
    fn here() -> Result<Manager, Failure> {
        if cfg!(target_os = "macos") {
            Ok(Manager::Launchd)
        } else if cfg!(target_os = "linux") {
            Ok(Manager::Systemd)
        } else {
            Err(Failure::new("this system has neither systemd nor launchd")
                .hint("have it start `ondine serve` in its own way"))
        }
    }

    fn path(self) -> Result<PathBuf, Failure> {
        let folder =
            |name: &str| env::var_os(name).map(PathBuf::from).filter(|folder| folder.is_absolute());
        let place = match self {
            Manager::Systemd => folder("XDG_CONFIG_HOME")
                .or_else(|| Some(folder("HOME")?.join(".config")))
                .map(|config| config.join("systemd/user/ondine.service")),
            Manager::Launchd => folder("HOME")
                .map(|home| home.join(format!("Library/LaunchAgents/{}.plist", launchd::LABEL))),
        };
        place.ok_or_else(|| {
            Failure::new("no home folder is set").hint("HOME names a folder, from the root on")
        })
    }

    fn file(self, plan: &Plan) -> Result<String, Failure> {
        match self {
            Manager::Systemd => systemd::unit(plan),
            Manager::Launchd => launchd::plist(plan),
        }
    }

    fn start(self, path: &Path) -> String {
        match self {
            Manager::Systemd => {
                "systemctl --user daemon-reload && systemctl --user enable --now ondine\n\
                 and, for it to run while you are not logged in: loginctl enable-linger"
                    .into()
            }
            Manager::Launchd => {
                format!("launchctl bootstrap gui/$(id -u) '{}'", path.display())
            }
        }
    }

    fn stop(self) -> String {
        match self {
            Manager::Systemd => "systemctl --user disable --now ondine".into(),
            Manager::Launchd => format!("launchctl bootout gui/$(id -u)/{}", launchd::LABEL),
        }
    }
}

fn install(arguments: &Arguments<'_>, manager: Manager, path: &Path) -> Result<(), Failure> {
    let home = std::path::absolute(store::home()?)?;
    let program = env::current_exe().and_then(fs::canonicalize)?;
    let words = [vec!["serve".to_owned()], checked(arguments.texts("flags"))?].concat();
    let file = manager.file(&Plan { program, arguments: words, home: home.clone() })?;
    if arguments.on("print") {
        return Answer::new().exact(&file);
    }
    if let Some(there) = read(path)?
        && !there.contains(MARK)
        && !arguments.on("force")
    {
        return Err(foreign(path).hint("--force writes over it"));
    }
    // A unit that may write to a folder alone does not start where the folder is not.
    own::own_folder(&home).map_err(|error| Failure::from_error(&error).at(home.display()))?;
    write(path, &file).map_err(|error| Failure::from_error(&error).at(path.display()))?;
    Answer::new().line(path.display())?;
    output::note(format_args!(
        "to start it now and with every login, type:\n{}",
        manager.start(path)
    ));
    Ok(())
}

fn uninstall(arguments: &Arguments<'_>, manager: Manager, path: &Path) -> Result<(), Failure> {
    let Some(there) = read(path)? else { return Err(absent(path)) };
    if !there.contains(MARK) && !arguments.on("force") {
        return Err(foreign(path).hint("--force removes it all the same"));
    }
    fs::remove_file(path).map_err(|error| Failure::from_error(&error).at(path.display()))?;
    output::note(format_args!("where it runs, this stops it: {}", manager.stop()));
    Ok(())
}

fn status(path: &Path) -> Result<(), Failure> {
    let Some(there) = read(path)? else { return Err(absent(path)) };
    if !there.contains(MARK) {
        return Err(foreign(path));
    }
    Answer::new().line(path.display())
}

/// The flags of `ondine serve`, which have to be right now: whoever starts it later reads no messages.
/// What names a file here and now names it from everywhere.
fn checked(words: Vec<String>) -> Result<Vec<String>, Failure> {
    let words: Vec<String> = words.into_iter().map(rooted).collect::<Result<_, Failure>>()?;
    let line = ["ondine", "serve"].map(String::from).into_iter().chain(words.iter().cloned());
    match flags::parser().try_get_matches_from(line) {
        Ok(_) => Ok(words),
        Err(error) => {
            let said = error.to_string();
            let first = said.lines().next().unwrap_or_default();
            let first = first.strip_prefix("error: ").unwrap_or(first);
            Err(Failure::usage(format!("of `ondine serve`: {first}")))
        }
    }
}

fn rooted(word: String) -> Result<String, Failure> {
    let (flag, value) = match word.split_once('=') {
        Some((flag, value)) if flag.starts_with("--") => (format!("{flag}="), value),
        _ => (String::new(), word.as_str()),
    };
    let path = Path::new(value);
    if model::is_droplet(path) || path.is_absolute() || !path.exists() {
        return Ok(word);
    }
    let whole: OsString = std::path::absolute(path)?.into();
    let whole = whole.into_string().map_err(|_| Failure::new("its path is no UTF-8").at(value))?;
    Ok(flag + &whole)
}

/// What is there; `None` where nothing is.
fn read(path: &Path) -> Result<Option<String>, Failure> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Failure::from_error(&error).at(path.display())),
    }
}

/// Whole or not at all.
fn write(path: &Path, content: &str) -> std::io::Result<()> {
    let beside = path.with_extension(format!("{}.new", process::id()));
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let written = (|| {
        let mut file = File::create(&beside)?;
        file.write_all(content.as_bytes())?;
        file.sync_all()?;
        fs::rename(&beside, path)
    })();
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    written
}

fn foreign(path: &Path) -> Failure {
    Failure::new("this file was not written by `ondine service install`").at(path.display())
}

fn absent(path: &Path) -> Failure {
    Failure::new("the service is not installed")
        .at(path.display())
        .hint("`ondine service install` installs it, with the flags of `ondine serve` behind --")
}
