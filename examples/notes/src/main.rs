//! A conversation that the device keeps: what is said today is known tomorrow, in another process.
//!
//! ```text
//! ondine serve -m model.gguf &
//! export ONDINE_TOKEN=$(ondine app add notes)
//! cargo run -p notes -- "The key is under the red pot."
//! cargo run -p notes -- "Where is the key?"
//! ```

use std::process::ExitCode;

fn main() -> ExitCode {
    let text = std::env::args().skip(1).collect::<Vec<_>>().join(" ");
    match say(&text) {
        Ok(answer) => println!("{answer}"),
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn say(text: &str) -> Result<String, ondine::Error> {
    ondine::connect()?.session("notes")?.say(text)
}
