//! Python with the clients' packages, at the versions in `tests/clients/requirements.txt`. They live in a
//! virtual environment in the target directory, made once. Where Python or the packages cannot be had,
//! it says so, and what asked for it passes.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where the clients' scripts are.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../server/tests/clients")
}

/// The environment's Python, or why there is none.
fn python() -> Result<PathBuf, String> {
    static MAKING: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _one = MAKING.lock().unwrap();
    let wanted = std::fs::read_to_string(folder().join("requirements.txt")).unwrap();
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("client-packages");
    let bin = if cfg!(windows) { "Scripts" } else { "bin" };
    let (python, mark) = (place.join(bin).join("python"), place.join("installed.txt"));
    // Written last: an environment without it is half made.
    if std::fs::read_to_string(&mark).is_ok_and(|installed| installed == wanted) {
        return Ok(python);
    }
    let _ = std::fs::remove_dir_all(&place);
    let run = |command: &mut Command| match command.output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        Err(error) => Err(error.to_string()),
    };
    run(Command::new("python3").args(["-m", "venv"]).arg(&place))?;
    let quiet = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"];
    run(Command::new(&python).args(quiet).arg(folder().join("requirements.txt")))?;
    std::fs::write(&mark, wanted).map_err(|error| error.to_string())?;
    Ok(python)
}

/// The environment's Python for a script; where it cannot be had, that is said.
pub(crate) fn packages(script: &str) -> Option<PathBuf> {
    match python() {
        Ok(python) => Some(python),
        Err(why) => {
            // Past the test harness, which keeps what a passing test prints to itself.
            let said = format!("skipped: {script}: the client packages cannot be had: {why}\n");
            std::io::stderr().write_all(said.as_bytes()).unwrap();
            None
        }
    }
}

/// Runs a client's script against a server at `address`, for the app of a token.
pub(crate) fn check(script: &str, address: &str, token: &str) {
    run(script, &[&format!("http://{address}"), token]);
}

/// Runs a client's script.
pub(crate) fn run(script: &str, arguments: &[&str]) {
    let Some(python) = packages(script) else { return };
    let output = Command::new(python)
        .arg(folder().join(script))
        .args(arguments)
        // A proxy of the machine is not asked for the machine itself.
        .env("NO_PROXY", "127.0.0.1,localhost")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{script}:\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
