//! The program as a process of its own. Which numbers the model takes is its own affair; that they are
//! numbers, and that their product is printed, is not.

use std::process::Command;

#[test]
fn a_call_is_made_and_its_result_is_right() {
    let ran = Command::new(env!("CARGO_BIN_EXE_call-a-tool")).output().expect("the program starts");
    let (out, err) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    let (call, result) = out.trim_end().split_once('\n').unwrap_or_else(|| panic!("{out}{err}"));
    let arguments = call.strip_prefix("multiply({").and_then(|rest| rest.strip_suffix("})"));
    let number = |pair: &str| -> i64 { pair.split(':').nth(1).unwrap().trim().parse().unwrap() };
    let numbers: Vec<i64> = arguments.expect(call).split(',').map(number).collect();
    assert_eq!(numbers.len(), 2, "{call}");
    assert_eq!(result.parse::<i64>().unwrap(), numbers[0] * numbers[1], "{call}");
}
