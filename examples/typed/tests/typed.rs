//! The program as a process of its own: whatever the model says, it is a recipe.

use std::process::Command;

#[test]
fn what_is_printed_is_a_recipe() {
    let ran = Command::new(env!("CARGO_BIN_EXE_typed")).output().expect("the program starts");
    let (out, err) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    let mut lines = out.lines();
    let first = lines.next().unwrap_or_else(|| panic!("{err}"));
    assert!(first.contains(" minutes, "), "{first}");
    let taste = first.rsplit(", ").next().unwrap();
    assert!(["Sweet", "Salty", "Hot"].contains(&taste), "{first}");
    let steps: Vec<&str> = lines.collect();
    assert!((1..=2).contains(&steps.len()) && steps.iter().all(|s| s.starts_with("- ")), "{out}");
    assert!(err.lines().count() > 1, "it was not shown while it was written: {err}");
}
