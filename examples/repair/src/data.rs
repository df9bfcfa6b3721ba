//! The pairs and the faulty programs, read from `data/`. The programs share no names with the pairs.

/// What a program is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// Rust, edition 2024.
    Rust,
    /// A small part of ArkTS: TypeScript with rules.
    ArkTs,
}

/// A defect and its fix.
#[derive(Clone, Debug)]
pub struct Pattern {
    /// `rust-…` or `arkts-…`.
    pub name: String,
    /// Of which language.
    pub language: Language,
    /// What is indexed: what goes wrong, an example before and after. Not the rewrite.
    pub text: String,
    /// The edit with holes: `before ==> after`.
    pub rewrite: String,
}

/// A program with one fault, and its test.
#[derive(Clone, Debug)]
pub struct Program {
    /// Which.
    pub name: String,
    /// Of which language.
    pub language: Language,
    /// The pair that is right for it. The loop never reads it; the score does.
    pub pattern: String,
    /// What may be patched.
    pub source: String,
    /// What decides.
    pub test: String,
}

/// The pairs.
pub fn patterns() -> Vec<Pattern> {
    let text = include_str!("../data/patterns.md");
    let parts = text.trim_start_matches("# ").split("\n# ");
    parts
        .filter_map(|part| {
            let (name, rest) = part.split_once('\n')?;
            let (text, rewrite) = rest.split_once("rewrite: ")?;
            Some(Pattern {
                name: name.to_owned(),
                language: language(name),
                text: text.to_owned(),
                rewrite: rewrite.trim().to_owned(),
            })
        })
        .collect()
}

/// The programs.
pub fn programs() -> Vec<Program> {
    let all = [include_str!("../data/rust.txt"), include_str!("../data/arkts.txt")];
    let parts = all.into_iter().flat_map(|t| t.trim_start_matches("=== ").split("\n=== "));
    parts
        .filter_map(|part| {
            let (head, rest) = part.split_once('\n')?;
            let (name, pattern) = head.split_once(' ')?;
            let cut = rest.find("#[test]").or_else(|| rest.find("//test"))?;
            Some(Program {
                name: name.to_owned(),
                language: language(name),
                pattern: pattern.to_owned(),
                source: rest[..cut].to_owned(),
                test: rest[cut..].to_owned(),
            })
        })
        .collect()
}

fn language(name: &str) -> Language {
    if name.starts_with("rust-") { Language::Rust } else { Language::ArkTs }
}
