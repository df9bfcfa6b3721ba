//! `ondine pull`, `ls`, `rm` and names after `-m`: the real binary, a folder of its own, and a
//! server of loopback. Also killed at any moment, and two at a time.

use std::fs;
use std::process::{Child, Command};
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use crate::server::{Page, Server};
use crate::support::{Folder, Ran, command, finish, model_folder, tiny_model};

/// A home of the test's own.
pub(crate) struct Home {
    pub(crate) folder: Folder,
}

impl Home {
    pub(crate) fn new() -> Home {
        Home { folder: Folder::new() }
    }

    /// The binary, with this home and without the servers of whoever runs the tests.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = command(arguments);
        command.env("ONDINE_HOME", self.folder.path("home"));
        for name in ["HF_ENDPOINT", "HF_TOKEN", "ONDINE_REGISTRY"] {
            command.env_remove(name);
        }
        command
    }

    pub(crate) fn ondine(&self, arguments: &[&str]) -> Ran {
        finish(self.command(arguments).output().expect("the binary starts"))
    }

    pub(crate) fn start(&self, arguments: &[&str]) -> Child {
        self.command(arguments).spawn().expect("the binary starts")
    }

    pub(crate) fn names(&self) -> Vec<String> {
        let models = self.ondine(&["ls", "--json"]).json();
        let name = |model: &serde_json::Value| model["name"].as_str().expect("a name").to_string();
        models.as_array().expect("a list").iter().map(name).collect()
    }

    /// The names of what a subfolder of the store holds.
    pub(crate) fn listed(&self, folder: &str) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path(&format!("home/models/{folder}")));
        let entries = entries.map(Iterator::flatten).into_iter().flatten();
        entries.map(|entry| entry.file_name().into_string().expect("text")).collect()
    }

    /// The content of the only blob.
    fn blob(&self) -> Vec<u8> {
        let names = self.listed("blobs");
        assert_eq!(names.len(), 1, "{names:?}");
        fs::read(self.folder.path(&format!("home/models/blobs/{}", names[0]))).expect("a blob")
    }
}

/// A model that takes a while: what stands behind the last tensor is nobody's.
pub(crate) fn long_model(folder: &Folder, bytes: usize) -> Vec<u8> {
    let mut content = fs::read(tiny_model(folder)).expect("the model");
    let mut state = 1u64;
    while content.len() < bytes {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        content.extend((state ^ (state >> 29)).to_le_bytes());
    }
    content
}

#[test]
fn a_local_model_is_kept_listed_used_and_removed() {
    let home = Home::new();
    let file = tiny_model(&home.folder);
    assert_eq!(home.ondine(&["ls"]).ok(), "");
    assert_eq!(home.ondine(&["ls", "--json"]).ok(), "[]\n");
    assert!(!fs::exists(home.folder.path("home")).unwrap(), "looking makes nothing");
    assert_eq!(home.ondine(&["pull", &file]).ok(), "tiny\n");
    let content = fs::read(&file).unwrap();
    assert!(home.blob() == content);

    let table = home.ondine(&["ls"]).ok();
    assert!(table.contains("tiny") && table.contains("F32") && table.contains("llama"), "{table}");
    let models = home.ondine(&["ls", "--json"]).json();
    let model = &models[0];
    assert_eq!(model["name"], "tiny");
    assert_eq!(model["bytes"], content.len());
    assert_eq!((&model["family"], &model["quantisation"]), (&"llama".into(), &"F32".into()));
    assert_eq!(model["sha256"].as_str().unwrap().len(), 64);
    assert!(model["source"].as_str().unwrap().ends_with("tiny.gguf"));
    assert!(model["created_s"].as_u64().unwrap() > 1_700_000_000);

    // Whatever takes a model takes the name.
    let by_path = home.ondine(&["logits", "-m", &file, "--tokens", "1,2"]).ok();
    assert_eq!(home.ondine(&["logits", "-m", "tiny", "--tokens", "1,2"]).ok(), by_path);
    let text = home.ondine(&["run", "-m", "tiny", "-n", "3", "hello"]).ok();
    assert_eq!(home.ondine(&["run", "-m", &file, "-n", "3", "hello"]).ok(), text);
    assert!(home.ondine(&["inspect", "tiny"]).ok().contains("llama"));

    home.ondine(&["rm", "tiny"]).ok();
    assert_eq!(home.names(), [""; 0]);
    assert_eq!(home.listed("blobs"), [""; 0]);
    let error = home.ondine(&["rm", "tiny"]).fails(1);
    assert!(error.contains("no model tiny") && error.contains("ondine ls"), "{error}");
    let error = home.ondine(&["run", "-m", "tiny", "hello"]).fails(1);
    assert!(error.contains("ondine ls"), "{error}");
}

#[test]
fn a_file_comes_before_a_name_and_droplet_before_both() {
    let home = Home::new();
    let file = tiny_model(&home.folder);
    home.ondine(&["pull", &file, "--name", "folder"]).ok();
    let of = |home: &Home, model: &str| {
        let mut command = home.command(&["inspect", model, "--json"]);
        command.current_dir(home.folder.path(""));
        finish(command.output().expect("the binary starts"))
    };
    let stored = of(&home, "folder").json();
    assert_eq!(stored["file_bytes"], fs::metadata(&file).unwrap().len());
    // A Hugging Face folder of that name in the current folder.
    model_folder(&home.folder);
    assert_ne!(of(&home, "folder").json()["parameters"], stored["parameters"]);
    // A file that is no model is still the one that is meant.
    home.ondine(&["pull", &file, "--name", "other"]).ok();
    home.folder.file("other", "no model");
    of(&home, "other").fails(1);
    // Droplet is always itself: no file and no name takes its place.
    home.folder.file("droplet", "no model");
    of(&home, "droplet").ok();
    home.ondine(&["pull", &file, "--name", "droplet"]).fails(2);
}

#[test]
fn what_is_no_model_gets_no_name() {
    let (home, server) = (Home::new(), Server::new());
    let text = home.folder.file("a.gguf", "this is no model");
    let error = home.ondine(&["pull", &text]).fails(1);
    assert!(error.contains("not taken into the store"), "{error}");
    let cut = fs::read(tiny_model(&home.folder)).unwrap();
    server.put("/cut.gguf", Page::new(&cut[..cut.len() - 100]));
    home.ondine(&["pull", &server.url("/cut.gguf")]).fails(1);
    assert_eq!(home.names(), [""; 0]);
    assert_eq!((home.listed("blobs"), home.listed("parts")), (vec![], vec![]));
}

#[test]
fn usage_is_checked_before_anything_is_asked() {
    let home = Home::new();
    let rows: &[&[&str]] = &[
        &["pull"],
        &["pull", "hf:x"],
        &["pull", "ollama:127.0.0.1/a/b"],
        &["pull", "ftp://h/x.gguf"],
        &["pull", "https://user@h/x.gguf"],
        &["pull", "x.gguf", "--name", "../x"],
        &["pull", "x.gguf", "--name", "..\\x"],
        &["pull", "x.gguf", "--name", "模型"],
        &["pull", "x.gguf", "--name", "CON"],
        &["pull", "x.gguf", "--sha256", "abc"],
        &["pull", "x.gguf", "--sha256", "../../../etc/passwd"],
        &["pull", "hf:a/b", "--registry", "localhost"],
        &["rm", "../../x"],
        &["rm"],
    ];
    for row in rows {
        home.ondine(row).fails(2);
    }
    assert!(!fs::exists(home.folder.path("home")).unwrap(), "nothing was made");
}

#[test]
fn repositories_and_registries_are_configured() {
    let (home, server) = (Home::new(), Server::new());
    let content = fs::read(tiny_model(&home.folder)).unwrap();
    home.ondine(&["pull", &home.folder.path("tiny.gguf"), "--name", "known"]).ok();
    let models = home.ondine(&["ls", "--json"]).json();
    let digest = models[0]["sha256"].as_str().unwrap().to_string();
    home.ondine(&["rm", "known"]).ok();

    let commit = "0123456789abcdef0123456789abcdef01234567";
    let json = |text: String| Page { ranges: false, ..Page::new(text) };
    server.put("/api/models/o/r/revision/v1", json(format!(r#"{{"sha":"{commit}"}}"#)));
    let bytes = content.len();
    let file = |name: &str| {
        format!(r#"{{"type":"file","path":"{name}","lfs":{{"oid":"{digest}","size":{bytes}}}}}"#)
    };
    let tree = format!("/api/models/o/r/tree/{commit}?recursive=true");
    server.put(&tree, json(format!("[{},{}]", file("A-Q4.gguf"), file("A-Q8.gguf"))));
    server.put(&format!("/o/r/resolve/{commit}/A-Q8.gguf"), Page::new(content.clone()));
    let at_hub = |arguments: &[&str]| {
        let mut command = home.command(arguments);
        command.env("HF_ENDPOINT", server.base());
        finish(command.output().expect("the binary starts"))
    };
    let error = at_hub(&["pull", "hf:o/r@v1"]).fails(1);
    assert!(error.contains("A-Q4.gguf") && error.contains("A-Q8.gguf"), "{error}");
    assert_eq!(at_hub(&["pull", "hf:o/r/A-Q8.gguf@v1"]).ok(), "a-q8\n");

    let blob = format!("sha256:{digest}");
    let kind = "application/vnd.ollama.image.model";
    let layer = format!(r#"{{"mediaType":"{kind}","digest":"{blob}","size":{bytes}}}"#);
    server.put("/v2/library/t/manifests/latest", json(format!(r#"{{"layers":[{layer}]}}"#)));
    // Its content is here already: the registry is asked for nothing but the manifest.
    let base = server.base();
    assert_eq!(home.ondine(&["pull", "ollama:t", "--registry", &base]).ok(), "t\n");
    assert_eq!(home.names(), ["a-q8", "t"]);
    assert!(home.blob() == content);

    let wrong = "0".repeat(64);
    let url = server.url(&format!("/o/r/resolve/{commit}/A-Q8.gguf"));
    let error = home.ondine(&["pull", &url, "--name", "w", "--sha256", &wrong]).fails(1);
    assert!(error.contains(&wrong) && error.contains(&digest), "{error}");
    assert_eq!(home.names(), ["a-q8", "t"]);
}

#[cfg(unix)]
#[test]
fn an_interrupt_ends_with_130_and_the_next_pull_goes_on() {
    let (home, server) = (Home::new(), Server::new());
    let content = long_model(&home.folder, 12 << 20);
    let url = server.url("/m.gguf");
    // One interrupt while bytes come, and one while the server is silent.
    let page = || Page::new(content.clone());
    for (page, bytes) in [
        (Page { rate: Some(4 << 20), ..page() }, 6 << 20),
        (Page { hang: true, ..page() }, 1 << 16),
    ] {
        // What still goes to the one before does not count: this one is interrupted once it is at work.
        server.at_rest();
        server.put("/m.gguf", page);
        let before = server.sent.load(Ordering::SeqCst);
        let mut child = home.start(&["pull", &url]);
        while server.sent.load(Ordering::SeqCst) < before + bytes {
            thread::sleep(Duration::from_millis(10));
        }
        let pid = child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
        let status = child.wait().unwrap();
        assert_eq!(status.code(), Some(130), "{status}");
        assert_eq!(home.names(), [""; 0]);
    }
    server.at_rest();
    server.put("/m.gguf", Page::new(content.clone()));
    let before = server.sent.load(Ordering::SeqCst);
    home.ondine(&["pull", &url]).ok();
    assert!(home.blob() == content);
    let sent = server.sent.load(Ordering::SeqCst) - before;
    assert!(sent < content.len() as u64, "nothing was resumed");
}

#[test]
fn two_processes_share_one_download() {
    let (home, server) = (Home::new(), Server::new());
    let content = long_model(&home.folder, 8 << 20);
    server.put("/m.gguf", Page { rate: Some(4 << 20), ..Page::new(content.clone()) });
    let url = server.url("/m.gguf");
    let children = ["a", "b", "c"].map(|name| home.start(&["pull", &url, "--name", name]));
    for child in children {
        finish(child.wait_with_output().unwrap()).ok();
    }
    assert_eq!(home.names(), ["a", "b", "c"]);
    assert!(home.blob() == content);
    // Whoever came first asked for a byte before, and whoever came late for one more.
    assert!(server.sent.load(Ordering::SeqCst) <= content.len() as u64 + 3);
}

/// Kills pulls at random moments. What can be found by a name is whole at all times, and the next
/// pull goes on.
fn killed(times: u32) {
    let (home, server) = (Home::new(), Server::new());
    let content = long_model(&home.folder, 24 << 20);
    server.put("/m.gguf", Page { rate: Some(8 << 20), ..Page::new(content.clone()) });
    let url = server.url("/m.gguf");
    let (mut whole, mut partly, mut chance) = (0u32, 0u32, 12_345u32);
    for _ in 0..times {
        let mut child = home.start(&["pull", &url, "--name", "m"]);
        // Numerical Recipes' generator: any will do.
        chance = chance.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        thread::sleep(Duration::from_millis(u64::from(chance >> 16) % 700));
        child.kill().expect("it is ours");
        child.wait().expect("it ends");
        match &home.names()[..] {
            [] => assert!(home.listed("blobs").len() <= 1, "content that nobody made"),
            [name] => {
                assert_eq!(name, "m");
                assert!(home.blob() == content, "half a model became active");
                home.ondine(&["inspect", "m"]).ok();
                home.ondine(&["rm", "m"]).ok();
                whole += 1;
            }
            names => panic!("{names:?}"),
        }
        partly += u32::from(home.listed("parts").iter().any(|name| name.ends_with(".chunks")));
    }
    // What was sent into connections of the killed is nobody's.
    server.at_rest();
    let before = server.sent.load(Ordering::SeqCst);
    home.ondine(&["pull", &url, "--name", "m"]).ok();
    assert!(home.blob() == content);
    assert_eq!(home.listed("parts"), [""; 0]);
    let last = server.sent.load(Ordering::SeqCst) - before;
    eprintln!(
        "{times} kills: {partly} left a part, {whole} came too late; {} MiB were sent, {} MiB of \
         them to the last pull, for {} MiB",
        (before + last) >> 20,
        last >> 20,
        content.len() >> 20,
    );
    assert!(partly > 0, "no kill hit a download");
    // Each kill costs at most a chunk a connection, and what lay in the connections' buffers: five
    // mebibytes for each of the four.
    let each = 20 << 20;
    let bound = u64::from(whole + 1) * content.len() as u64 + u64::from(times) * each;
    assert!(before + last <= bound, "{} bytes were sent; the bound is {bound}", before + last);
}

#[test]
fn killed_pulls_leave_no_half_model_and_are_resumed() {
    killed(5);
}

#[test]
#[ignore = "takes minutes: cargo test -p ondine-cli --test cli -- --ignored --nocapture kills"]
fn a_hundred_kills() {
    killed(100);
}
