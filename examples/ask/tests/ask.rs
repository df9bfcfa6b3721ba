//! The program as a process of its own: with the model inside it, and with an endpoint somewhere else.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Command, Output};

fn ask(words: &[&str]) -> Output {
    let mut program = Command::new(env!("CARGO_BIN_EXE_ask"));
    program.args(words).env_remove("ONDINE_TOKEN").output().expect("the program starts")
}

#[test]
fn the_model_inside_the_program_answers() {
    let ran = ask(&[]);
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    assert!(ran.stdout.len() > 1, "{:?}", ran.stdout);
}

#[test]
fn an_endpoint_answers_by_one_other_word() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let chunks = "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"Because \"}}]}\n\n\
            data: {\"choices\":[{\"delta\":{\"content\":\"of light.\"},\"finish_reason\":\"stop\"}]}\n\n\
            data: [DONE]\n\n";
        let mut asked = String::new();
        for body in [r#"{"object":"list","data":[{"id":"small","object":"model"}]}"#, chunks] {
            let (mut stream, _) = listener.accept().unwrap();
            let mut bytes = vec![0; 64 << 10];
            let length = stream.read(&mut bytes).unwrap();
            asked += &String::from_utf8_lossy(&bytes[..length]);
            let media = if body == chunks { "text/event-stream" } else { "application/json" };
            let head =
                format!("HTTP/1.1 200 OK\r\ncontent-type: {media}\r\nconnection: close\r\n\r\n");
            stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
        }
        asked
    });
    let ran = ask(&[&url, "Why is the sky blue?"]);
    assert_eq!(
        String::from_utf8_lossy(&ran.stdout),
        "Because of light.\n",
        "{}",
        String::from_utf8_lossy(&ran.stderr)
    );
    let asked = server.join().unwrap();
    assert!(asked.contains("GET /v1/models") && asked.contains("POST /v1/chat/completions"));
    assert!(!asked.to_lowercase().contains("authorization:"), "{asked}");
}

#[test]
fn a_model_that_is_not_there_is_said_to_be_missing() {
    let ran = ask(&["nowhere.gguf", "x"]);
    let err = String::from_utf8_lossy(&ran.stderr);
    assert!(!ran.status.success() && err.contains("nowhere.gguf"), "{err}");
}
