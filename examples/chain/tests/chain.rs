//! The program as a process of its own, twice in the same folder.

use std::fs;
use std::path::Path;
use std::process::Command;

fn chain(folder: &Path, request: &str) -> Result<String, String> {
    let run = Command::new(env!("CARGO_BIN_EXE_chain"))
        .arg(folder)
        .arg(request)
        .output()
        .expect("the program starts");
    let (out, err) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    if run.status.success() { Ok(out.into_owned()) } else { Err(err.into_owned()) }
}

#[test]
fn the_second_time_nobody_is_asked() {
    let folder = std::env::temp_dir().join(format!("ondine-example-chain-{}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    let told = |asked: usize, answer: &str| {
        format!(
            "渡轮每天两班，冬天一班。 (ferry, winter, tickets)\n{answer}\n\
             the larger model was asked {asked} times\n"
        )
    };
    let device = folder.join("device");
    let request = "turn off the kitchen light";
    let first = chain(&device, request).unwrap();
    let answer = first.lines().nth(1).unwrap().to_owned();
    assert!(answer.starts_with("done: ") && answer.contains("kitchen"), "{answer}");
    assert_eq!(first, told(3, &answer));
    assert_eq!(chain(&device, request).unwrap(), told(0, &answer));
    // The journal is of another request.
    assert!(chain(&device, "turn on the light").unwrap_err().contains("another input"));

    // Nothing that a device does: the larger model writes, and is not content with its first draft.
    let larger = folder.join("larger");
    let request = "why did the Roman empire fall";
    assert_eq!(chain(&larger, request).unwrap(), told(7, "It is a second draft."));
    assert_eq!(chain(&larger, request).unwrap(), told(0, "It is a second draft."));

    for name in ["digest", "desk"] {
        let svg = fs::read_to_string(larger.join(name).with_extension("svg")).unwrap();
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
        let mermaid = fs::read_to_string(larger.join(name).with_extension("mmd")).unwrap();
        assert!(mermaid.starts_with("flowchart TD\n"));
    }
    fs::remove_dir_all(&folder).unwrap();
}
