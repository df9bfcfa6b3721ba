//! Programs that work, and programs that would rather not end.

use std::time::Instant;

use super::*;
use crate::testing::{called, hostile, seen};

fn runner() -> Arc<dyn Tool> {
    code_runner(CodeLimits { steps: 30_000_000, memory_bytes: 4 << 20, output_bytes: 1_000 })
}

const FACTORIAL: &str = r#"(module (func (export "factorial") (param i64) (result i64) (local $product i64)
    (local.set $product (i64.const 1))
    (block (loop
        (br_if 1 (i64.le_s (local.get 0) (i64.const 1)))
        (local.set $product (i64.mul (local.get $product) (local.get 0)))
        (local.set 0 (i64.sub (local.get 0) (i64.const 1)))
        (br 0)))
    (local.get $product)))"#;

/// Says its input, then its number of arguments as the way it exits.
const ECHO: &str = r#"(module
    (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "args_sizes_get" (func $args (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
    (import "wasi_snapshot_preview1" "path_open" (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (func (export "_start")
        (i32.store (i32.const 0) (i32.const 100))
        (i32.store (i32.const 4) (i32.const 500))
        (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 4)))
        (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
        (if (i32.ne (i32.const 52) (call $open (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
            (i64.const 0) (i64.const 0) (i32.const 0) (i32.const 0))) (then unreachable))
        (drop (call $args (i32.const 16) (i32.const 20)))
        (call $exit (i32.load (i32.const 16)))))"#;

#[test]
fn programs_run() {
    let tool = runner();
    let result =
        called(&tool, json!({"wat": FACTORIAL, "call": "factorial", "args": [20]})).unwrap();
    assert_eq!(result["results"], json!([2_432_902_008_176_640_000_i64]));
    let bytes = BASE64.encode(wat::parse_str(FACTORIAL).unwrap());
    let result = called(&tool, json!({"wasm": bytes, "call": "factorial", "args": [5]})).unwrap();
    assert_eq!(result["results"], json!([120]));
    let floats = r#"(module (func (export "f") (param f64 f32) (result f64) (f64.div (local.get 0) (f64.const 0))))"#;
    let result = called(&tool, json!({"wat": floats, "call": "f", "args": [1, 0.5]})).unwrap();
    assert_eq!(result["results"], json!(["inf"]));
    let said =
        called(&tool, json!({"wat": ECHO, "stdin": "hello 你好", "args": ["a", "b"]})).unwrap();
    assert_eq!(said, json!({"exit": 3, "stdout": "hello 你好", "stderr": ""}));
}

#[test]
fn a_program_of_a_compiler_runs() {
    // A module as rustc makes it for wasm32-wasip1, where that compiler's target is at hand.
    let folder = crate::testing::Folder::new("wasip1");
    let (source, out) = (folder.path().join("p.rs"), folder.path().join("p.wasm"));
    std::fs::write(
        &source,
        "fn main() { let mut s = String::new(); std::io::stdin().read_line(&mut s).unwrap(); \
        println!(\"{} {:?}\", s.trim().to_uppercase(), std::env::args().nth(1)); }",
    )
    .unwrap();
    let made = std::process::Command::new("rustc")
        .args(["--target", "wasm32-wasip1", "-O", "-C", "strip=symbols", "-o"])
        .args([&out, &source])
        .output();
    if !made.is_ok_and(|made| made.status.success()) {
        eprintln!("skipped: rustc has no target wasm32-wasip1 here");
        return;
    }
    let tool = code_runner(CodeLimits::default());
    let wasm = BASE64.encode(std::fs::read(&out).unwrap());
    let said = called(&tool, json!({"wasm": wasm, "stdin": "leeks\n", "args": ["x"]})).unwrap();
    assert_eq!((&said["stdout"], &said["exit"]), (&json!("LEEKS Some(\"x\")\n"), &json!(0)));
}

#[test]
fn what_would_not_end_ends() {
    let begun = Instant::now();
    let tool = runner();
    let flood = r#"(module (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
        (memory (export "memory") 1)
        (func (export "_start")
            (i32.store (i32.const 0) (i32.const 16)) (i32.store (i32.const 4) (i32.const 60000))
            (i32.store8 (i32.const 16) (i32.const 104))
            (loop (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))) (br 0))))"#;
    let random = r#"(module (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
        (memory (export "memory") 4)
        (func (export "_start") (loop (drop (call $random (i32.const 0) (i32.const 65536))) (br 0))))"#;
    let rows = [
        (r#"(module (func (export "_start") (loop (br 0))))"#, "did not end"),
        (r#"(module (func $f (loop (br 0))) (start $f))"#, "did not end"),
        (r#"(module (func $f (export "_start") (call $f)))"#, "ended early"),
        (r#"(module (func (export "_start") unreachable))"#, "unreachable"),
        (r#"(module (memory 10000) (func (export "_start")))"#, "ended early"),
        (
            r#"(module (memory 1) (func (export "_start") (drop (i32.load (i32.const 99999)))))"#,
            "ended early",
        ),
        (
            r#"(module (memory 1) (func (export "_start") (if (i32.ne (i32.const -1) (memory.grow (i32.const 1000))) (then (unreachable)))
            (loop (br 0))))"#,
            "did not end",
        ),
        (r#"(module (table 1000000 funcref) (func (export "_start")))"#, "ended early"),
        (flood, "more than 1000 bytes of output"),
        (random, "did not end"),
    ];
    for (text, expected) in rows {
        let seen = seen(&tool, json!({"wat": text}));
        assert!(
            seen.text.starts_with("error: ") && seen.text.contains(expected),
            "{text}: {}",
            seen.text
        );
        assert!(seen.text.len() < 3_000);
    }
    // Who no longer waits is heard within a slice.
    let context = Context::default();
    context.cancel.now();
    let endless = code_runner(CodeLimits { steps: u64::MAX, ..CodeLimits::default() });
    let stopped = endless.call(json!({"wat": rows[0].0}), &context);
    assert_eq!(stopped, Err(ToolError::Cancelled));
    assert!(begun.elapsed().as_secs() < 30, "{:?}", begun.elapsed());
}

#[test]
fn what_is_no_program_is_said() {
    let tool = runner();
    let rows = [
        json!({}),
        json!({"wat": "(module", "call": "f"}),
        json!({"wat": "(".repeat(100_000)}),
        json!({"wasm": "AGFzbQ=="}),
        json!({"wasm": "!"}),
        json!({"wat": FACTORIAL}),
        json!({"wat": FACTORIAL, "wasm": "AA=="}),
        json!({"wat": FACTORIAL, "call": "none"}),
        json!({"wat": FACTORIAL, "call": "factorial"}),
        json!({"wat": FACTORIAL, "call": "factorial", "args": ["5"]}),
        json!({"wat": FACTORIAL, "call": "factorial", "args": [1, 2]}),
        json!({"wat": FACTORIAL, "call": "factorial", "args": [1.5]}),
        json!({"wat": r#"(module (import "env" "system" (func)))"#}),
        json!({"wat": r#"(module (import "env" "memory" (memory 1)))"#}),
        json!({"wat": ECHO, "args": [null]}),
    ];
    for row in rows {
        let seen = called(&tool, row.clone());
        assert!(matches!(seen, Err(ToolError::Arguments(_))), "{row}: {seen:?}");
    }
    hostile(&tool);
    // Functions of WASI under types that they do not have.
    for ty in ["", "(param i64 f32)", "(result f64)", "(param i32) (result i32 i32)"] {
        for name in [
            "fd_write",
            "fd_read",
            "args_get",
            "random_get",
            "clock_time_get",
            "fd_fdstat_get",
            "nothing",
        ] {
            let text = format!(
                r#"(module (import "wasi_snapshot_preview1" "{name}" (func $f {ty}))
                (memory (export "memory") 1) (func (export "_start")))"#
            );
            let _ = called(&tool, json!({"wat": text})).unwrap();
        }
    }
}
