//! ArkTS-like programs: nine of the language's rules over tokens, and a run by Node with the types left
//! out. It is no parser: it reads the small part that the programs here are written in.

use std::process::Command;

use super::{Fault, Verdict, bounded, fault};
use crate::rewrite::tokens;

/// What a test calls: it throws what was found and what was wanted.
const CHECK: &str = "function check(found, wanted, what) { if (!Object.is(found, wanted)) \
    { throw new Error(what + ': wanted ' + wanted + ', found ' + found); } }\n";

pub(super) fn verdict(source: &str, test: &str) -> Verdict {
    if let Some((said, line)) = broken_rule(source) {
        return Verdict::Fault(Fault { said: said.into(), lines: vec![line] });
    }
    let program = format!("'use strict';\n{CHECK}{}\n{test}", without_types(source));
    match bounded(Command::new("node").args(["--eval", &program])) {
        Ok(out) if out.status.success() => Verdict::Holds,
        Ok(out) => {
            let stderr = String::from_utf8_lossy(&out.stderr).into_owned();
            let said = stderr.lines().find(|l| l.contains("Error")).unwrap_or(&stderr);
            fault(said.to_owned())
        }
        Err(e) => fault(e.to_string()),
    }
}

/// The first rule that a program breaks, in the words of the checker, and the line.
fn broken_rule(source: &str) -> Option<(&'static str, usize)> {
    let places = tokens(source);
    let token = |i: usize| places.get(i).map_or("", |t| &source[t.clone()]);
    for i in 0..places.len() {
        let (before, this, next) = (i.checked_sub(1).map_or(";", token), token(i), token(i + 1));
        let said = match this {
            "any" | "unknown" if before == ":" => {
                "Use explicit types instead of any (arkts-no-any-unknown)"
            }
            "var" => "Use let instead of var (arkts-no-var)",
            "==" | "!=" => "Expected === and instead saw == (eqeqeq)",
            "delete" => "The operator delete is not supported (arkts-no-delete)",
            "in" if token(i.wrapping_sub(3)) == "(" => {
                "for .. in loops are not supported (arkts-no-for-in)"
            }
            "in" => "The operator in is not supported (arkts-no-in)",
            "function" if !matches!(before, ";" | "}" | "{" | "async") => {
                "Use arrow functions instead of function expressions (arkts-no-func-expressions)"
            }
            "let" | "const" if matches!(next, "[" | "{") => {
                "Destructuring declarations are not supported (arkts-no-destruct-decls)"
            }
            "<" if before == "=" => "Only as casts are supported (arkts-as-casts)",
            _ => continue,
        };
        return Some((said, 1 + source[..places[i].start].matches('\n').count()));
    }
    None
}

/// The program in JavaScript: what stands behind a colon or `as` is a type here.
fn without_types(source: &str) -> String {
    let places = tokens(source);
    let (mut out, mut copied, mut i) = (String::new(), 0, 0);
    while i < places.len() {
        if !matches!(&source[places[i].clone()], ":" | "as") {
            i += 1;
            continue;
        }
        out.push_str(&source[copied..places[i].start]);
        let mut depth = 0i32;
        i += 1;
        while let Some(place) = places.get(i) {
            match &source[place.clone()] {
                "=" | "," | ")" | "{" | ";" if depth == 0 => break,
                "<" | "(" | "[" => depth += 1,
                ">" | ")" | "]" => depth -= 1,
                _ => {}
            }
            i += 1;
        }
        copied = places.get(i).map_or(source.len(), |p| p.start);
    }
    out.push_str(&source[copied..]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_left_out_and_rules_are_seen() {
        let plain = |s: &str| without_types(s).split_whitespace().collect::<Vec<_>>().join(" ");
        let source =
            "function f(a: Map<string, () => number>, b: T[]): void { let c: number = a as X; }";
        assert_eq!(plain(source), "function f(a, b){ let c= a ; }");
        assert_eq!(
            plain("class A { n: number | null = 4; m(): void { g(\"a: b\"); } }"),
            "class A { n= 4; m(){ g(\"a: b\"); } }"
        );
        assert_eq!(broken_rule("let a = 1;\nvar b = 2;").map(|r| r.1), Some(2));
        assert_eq!(broken_rule("function f() { return a === b; }"), None);
        assert!(broken_rule("a.map(function () {});").is_some());
    }
}
