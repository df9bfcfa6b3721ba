//! The Model Context Protocol with the real binary: asked by the official Python SDK, over HTTP and over the
//! standard streams, and asking itself.

use crate::python;
use crate::service::{Service, with_home};
use crate::support::{Folder, command, finish, ondine, tiny_model};

#[test]
fn the_official_client_asks_the_daemon() {
    let home = Folder::new();
    let model = tiny_model(&home);
    let service = Service::start(home, &["--model", &model]);
    let token = service.ondine(&["app", "add", "clients"]).ok();
    python::check("mcp_models.py", &service.address, token.trim());

    // And so does our own.
    let file = std::env::temp_dir().join(format!("ondine-mcp-token-{}", std::process::id()));
    std::fs::write(&file, &token).unwrap();
    let url = format!("http://{}/mcp", service.address);
    let of_file = file.to_str().unwrap();
    let seen = ondine(&["mcp", "tools", "--url", &url, "--token-file", of_file, "--trust"]).ok();
    assert!(seen.contains("ask ") && seen.contains("read ") && seen.contains("ondine://models"));
    std::fs::remove_file(&file).unwrap();
    let refused = ondine(&["mcp", "tools", "--url", &url]).fails(1);
    assert!(refused.contains("--token-file"), "{refused}");
    assert_eq!(service.end().0, Some(0));
}

#[test]
fn the_official_client_asks_over_standard_streams() {
    let home = Folder::new();
    let model = tiny_model(&home);
    let binary = env!("CARGO_BIN_EXE_ondine");
    python::run("mcp_models.py", &["stdio", &home.path(""), binary, "mcp", "-m", &model]);
}

#[test]
fn what_a_program_offers_is_listed() {
    let home = Folder::new();
    let binary = env!("CARGO_BIN_EXE_ondine");
    let line = ["mcp", "tools", "--json", "--env", "ONDINE_HOME", "--", binary, "mcp"];
    let seen = with_home(&home, &line).output().unwrap();
    let seen = finish(seen).json();
    assert_eq!(seen["server"], "ondine");
    let tools = seen["tools"].as_array().unwrap();
    assert!(tools.iter().any(|tool| tool["name"] == "mcp_device_call"), "{tools:?}");
    assert!(tools.iter().all(|tool| tool["effect"] == "irreversible"), "not believed unasked");
    assert_eq!(seen["resources"][0]["uri"], "ondine://models");

    let rows: &[(&[&str], i32, &str)] = &[
        (&["mcp", "tools"], 2, "name one server"),
        (&["mcp", "tools", "--url", "http://example.com/mcp"], 1, "in the clear"),
        (&["mcp", "tools", "--", "/nowhere/at/all"], 1, "cannot be started"),
        (&["mcp", "dance"], 2, "it is serve or tools"),
        (&["mcp", "serve", "--url", "https://example.com"], 2, "is for `ondine mcp tools`"),
        (&["mcp", "--only"], 2, "name a model"),
    ];
    for (arguments, code, part) in rows {
        let said = ondine(arguments).fails(*code);
        assert!(said.contains(part), "{arguments:?}: {said}");
    }
    // A server whose client is gone before it says a word ends.
    let ended = command(&["mcp"]).env("ONDINE_HOME", home.path("")).output().unwrap();
    assert!(ended.stdout.is_empty(), "nothing but the protocol on standard output");
}

#[test]
fn an_index_and_the_device_are_offered_where_that_is_asked() {
    let (home, folder) = (Folder::new(), Folder::new());
    std::fs::write(folder.path("tides.md"), "# Tides\n\nThe harbour is dry at low tide.\n")
        .unwrap();
    let (documents, index) = (folder.path(""), home.path("index"));
    ondine(&["rag", "add", &documents, "--index", &index]).ok();
    let binary = env!("CARGO_BIN_EXE_ondine");
    let names = |flags: &[&str]| -> Vec<String> {
        let line = ["mcp", "tools", "--json", "--env", "ONDINE_HOME", "--", binary, "mcp"];
        let seen = with_home(&home, &[&line, flags].concat()).output().unwrap();
        let tools = finish(seen).json()["tools"].as_array().unwrap().clone();
        tools.iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
    };
    let plain = names(&[]);
    assert!(!plain.iter().any(|name| name == "mcp_search" || name == "mcp_timer_set"), "{plain:?}");
    let all = names(&["--rag", &index, "--device"]);
    for name in ["mcp_search", "mcp_timer_set", "mcp_device_call"] {
        assert!(all.iter().any(|other| other == name), "{name} is not among {all:?}");
    }
    // What cannot be taken back is not offered to whoever asks.
    assert!(!all.iter().any(|name| name == "mcp_message_send"), "{all:?}");
    let missing = with_home(&home, &["mcp", "--rag", &home.path("nothing")]).output().unwrap();
    assert!(finish(missing).fails(1).contains("ondine rag add"));
}
