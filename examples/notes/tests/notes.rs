//! The program as a process of its own, against a server on a free port.

use std::process::{Command, Output};
use std::sync::Arc;

use ondine_chat::{Memory, Message, Prompt, Script};
use ondine_server::{App, Door, Reach, Server, Stop, Tokens};

fn notes(url: &str, text: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_notes"))
        .arg(text)
        .env("ONDINE_URL", url)
        .env("ONDINE_TOKEN", "secret")
        .output()
        .expect("the program starts")
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
    let ran = std::thread::scope(|scope| {
        scope.spawn(|| server.serve(door, &stop).unwrap());
        let ran = ["The key is under the pot.", "Where is it?"].map(|text| notes(&url, text));
        stop.now();
        ran
    });
    for ran in ran {
        let (out, err) = (&ran.stdout, String::from_utf8_lossy(&ran.stderr));
        if err.contains("status 404") {
            eprintln!("skipped: this server has no paths for sessions");
            return;
        }
        assert_eq!(String::from_utf8_lossy(out), "Noted.\n", "{err}");
    }
    let expected = [
        Message::user("The key is under the pot."),
        Message::assistant("Noted."),
        Message::user("Where is it?"),
    ];
    assert_eq!(script.asked()[1].prompt, Prompt::Messages(expected.to_vec()));
}

#[test]
fn without_a_daemon_it_says_what_to_do() {
    let closed = "http://127.0.0.1:1";
    let ran = notes(closed, "x");
    let err = String::from_utf8_lossy(&ran.stderr);
    assert!(!ran.status.success() && err.contains("ondine serve"), "{err}");
}
