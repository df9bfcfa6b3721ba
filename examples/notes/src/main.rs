//! A conversation that the device keeps: what is said today is known tomorrow, in another process.
//!
//! ```text
//! ondine serve -m model.gguf &
//! export ONDINE_TOKEN=$(ondine app add notes)
//! cargo run -p notes -- "The key is under the red pot."
//! cargo run -p notes -- "Where is the key?"
//! ```

fn main() -> Result<(), ondine::Error> {
    let text = std::env::args().skip(1).collect::<Vec<_>>().join(" ");
    ondine::connect()?.session("notes")?.say_to(&text, |piece| print!("{piece}"))?;
    println!();
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Output};
    use std::sync::Arc;

    use ondine_chat::{Memory, Message, Prompt, Script};
    use ondine_server::{App, Door, Reach, Server, Stop, Tokens};

    /// Runs this program itself, as a process of its own.
    fn notes(url: &str, text: &str) -> Output {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        Command::new(cargo)
            .args(["run", "--quiet", "--offline", "-p", "notes", "--", text])
            .env("ONDINE_URL", url)
            .env("ONDINE_TOKEN", "secret")
            .output()
            .expect("cargo starts")
    }

    #[test]
    fn what_one_process_said_another_knows() {
        let script = Arc::new(Script::new(["Noted", "."]));
        let app = App { name: "notes".into(), background: false };
        let doors = Arc::new(Tokens::new().allow("secret", app));
        let mut server = Server::new(script.clone(), script.clone(), doors);
        server.sessions = Some(Arc::new(Memory::new(script.clone(), || 0)));
        let door = Door::open("127.0.0.1:0".parse().unwrap(), Reach::ThisMachine).unwrap();
        let url = format!("http://{}", door.address());
        let stop = Stop::new();
        std::thread::scope(|scope| {
            scope.spawn(|| server.serve(door, &stop).unwrap());
            let ran = ["The key is under the pot.", "Where is it?"].map(|text| notes(&url, text));
            stop.now();
            for ran in ran {
                let (out, err) = (&ran.stdout, String::from_utf8_lossy(&ran.stderr));
                assert_eq!(String::from_utf8_lossy(out), "Noted.\n", "{err}");
            }
        });
        let expected = [
            Message::user("The key is under the pot."),
            Message::assistant("Noted."),
            Message::user("Where is it?"),
        ];
        assert_eq!(script.asked()[1].prompt, Prompt::Messages(expected.to_vec()));
    }
}
