//! The program on a folder of its own: it finds the line, and the second time it reads nothing anew.

use std::fs;
use std::path::Path;
use std::process::Command;

fn search(folder: &Path, question: &str) -> (String, String) {
    let program = Command::new(env!("CARGO_BIN_EXE_folder-search"))
        .args([
            folder.join("notes").as_os_str(),
            question.as_ref(),
            folder.join("index").as_os_str(),
        ])
        .output()
        .expect("the program starts");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    assert!(program.status.success(), "{}", text(program.stderr));
    (text(program.stdout), text(program.stderr))
}

#[test]
fn a_question_finds_its_note() {
    let folder = std::env::temp_dir().join(format!("ondine-folder-search-{}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(folder.join("notes")).unwrap();
    fs::write(folder.join("notes/bread.md"), "# Bread\n\nLet the dough rise for two hours.\n")
        .unwrap();
    fs::write(folder.join("notes/bike.txt"), "The bicycle wants oil on its chain.\n").unwrap();
    let (found, said) = search(&folder, "how long does dough rise?");
    assert!(found.starts_with("bread.md:1-3\n# Bread"), "{found}");
    assert!(said.starts_with("2 new"), "{said}");
    let (found, said) = search(&folder, "oil for the chain");
    assert!(found.starts_with("bike.txt:1-1\n"), "{found}");
    assert!(said.starts_with("0 new, 0 changed, 2 as before"), "{said}");
    fs::remove_dir_all(&folder).unwrap();
}
