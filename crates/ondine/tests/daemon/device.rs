//! The few verbs of a device, on a daemon and in this process.

use std::sync::Arc;

use ondine::{ClientError, Device, Error};
use ondine_chat::{ChatError, Message, Script};

use crate::common::Slow;
use crate::{Daemon, TOKEN, keeps_conversations};

fn converse(device: &Device, expected: Option<&str>) {
    let notes = device.session("notes").unwrap();
    let mut pieces = Vec::new();
    let answer = notes.say_to("hello", |piece| pieces.push(piece.to_owned())).unwrap();
    assert_eq!(pieces.concat(), answer);
    let again = device.session("notes").unwrap();
    let said = [Message::user("hello"), Message::assistant(answer.clone())];
    assert_eq!(again.messages().unwrap(), said);
    let fork = again.fork().unwrap();
    // droplet may have said all that it has positions for.
    if let Some(expected) = expected {
        assert_eq!(answer, expected);
        fork.say("and more").unwrap();
        assert_eq!(fork.messages().unwrap()[..2], said);
        assert_eq!((fork.info().unwrap().messages, again.info().unwrap().messages), (4, 2));
    }
    notes.delete().unwrap();
    let gone = again.say("hello").unwrap_err();
    assert!(matches!(gone, Error::Chat(ChatError::NoSession { .. })), "{gone}");
    assert_eq!(device.session("notes").unwrap().info().unwrap().messages, 0, "a new one");
}

#[test]
fn the_same_program_runs_on_either() {
    converse(&ondine::open("droplet").unwrap(), None);
    let daemon = Daemon::new(Arc::new(Script::new(["Good ", "morning."])));
    let device = ondine::connect_to(&daemon.url(), TOKEN).unwrap();
    assert_eq!(device.ask("hello").unwrap(), "Good morning.");
    assert_eq!(device.vectors(&["a".into()]).unwrap(), [[1.0]]);
    if keeps_conversations(&daemon.client()) {
        converse(&device, Some("Good morning."));
    }
}

#[test]
fn a_daemon_that_lets_nobody_in_says_what_to_do() {
    let daemon = Daemon::new(Arc::new(Slow::default()));
    let error = ondine::connect_to(&daemon.url(), "wrong").err().unwrap();
    assert!(matches!(error, Error::Client(ClientError::Token { .. })), "{error}");
    assert!(error.to_string().contains("ondine app add"), "{error}");
}

#[test]
fn what_is_no_model_is_refused_by_its_path() {
    for path in ["absent.gguf", env!("CARGO_MANIFEST_DIR"), file!(), "/dev/zero"] {
        let error = ondine::open(path).err().expect(path).to_string();
        assert!(error.starts_with(path), "{error}");
    }
}
