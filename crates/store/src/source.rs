//! What a user types for a source, taken apart once.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::error::StoreError;
use crate::release::title;
use crate::url::Url;

/// Characters a part of a repository's name may have.
const PART_CHARS_MAX: usize = 200;
/// The ending of model files.
const GGUF: &str = ".gguf";

/// Where a model comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A file of this machine.
    File(PathBuf),
    /// A file of the web.
    Address(Url),
    /// A channel of signed releases: the address of the newest one.
    Signed(Url),
    /// A file of a repository as Hugging Face lays them out.
    Hub {
        /// Whose it is.
        owner: String,
        /// The repository.
        repository: String,
        /// The file, with the folders of the repository before it; the only one where not said.
        file: Option<String>,
        /// How the file's name ends, instead of all of it: `Q4_K_M`.
        quantisation: Option<String>,
        /// A branch, a tag or a commit; `main` where not said.
        revision: Option<String>,
    },
    /// A model of a registry as Ollama lays them out.
    Registry {
        /// Whose it is; `library` where not said.
        space: String,
        /// The model.
        model: String,
        /// Its tag; `latest` where not said.
        tag: String,
    },
}

impl Source {
    /// A source, from what a user typed.
    ///
    /// # Errors
    /// Text that names none: no part of a repository's name may lead anywhere else.
    pub fn parse(text: &str) -> Result<Source, StoreError> {
        text.parse()
    }
}

impl FromStr for Source {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Source, StoreError> {
        let wrong = |reason| StoreError::Source { text: text.to_string(), reason };
        if let Some(rest) = text.strip_prefix("hf:") {
            return hub(rest).ok_or_else(|| {
                wrong(
                    "expected hf:owner/repository, then /file.gguf or :Q4_K_M or @revision where needed",
                )
            });
        }
        if let Some(rest) = text.strip_prefix("ollama:") {
            return registry(rest).ok_or_else(|| {
                wrong("expected ollama:model or ollama:owner/model, then :tag where needed")
            });
        }
        if let Some(rest) = text.strip_prefix("signed:") {
            let url: Url = rest.parse()?;
            return if url.path().ends_with(".json") && !title(&url).is_empty() {
                Ok(Source::Signed(url))
            } else {
                Err(wrong("expected signed: and the address of a release, https://host/model.json"))
            };
        }
        if text.contains("://") {
            return Ok(Source::Address(text.parse()?));
        }
        if text.is_empty() || text.contains('\0') {
            return Err(wrong("expected a file, an address, hf:owner/repository or ollama:model"));
        }
        Ok(Source::File(PathBuf::from(text)))
    }
}

fn hub(text: &str) -> Option<Source> {
    let (place, revision) = match text.rsplit_once('@') {
        Some((place, revision)) => (place, Some(revision)),
        None => (text, None),
    };
    let mut parts = place.splitn(3, '/');
    let (owner, repository, file) = (parts.next()?, parts.next()?, parts.next());
    let (repository, quantisation) = match repository.split_once(':') {
        Some((repository, quantisation)) => (repository, Some(quantisation)),
        None => (repository, None),
    };
    let steps = |path: &str| path.split('/').all(is_step);
    let sound = is_part(owner)
        && is_part(repository)
        && quantisation.is_none_or(|end| is_part(end) && file.is_none())
        && revision.is_none_or(|revision| revision.split('/').all(is_part))
        && file.is_none_or(|file| steps(file) && is_gguf(file));
    sound.then(|| Source::Hub {
        owner: owner.to_string(),
        repository: repository.to_string(),
        file: file.map(str::to_string),
        quantisation: quantisation.map(str::to_string),
        revision: revision.map(str::to_string),
    })
}

fn registry(text: &str) -> Option<Source> {
    let (place, tag) = text.split_once(':').unwrap_or((text, "latest"));
    let (space, model) = place.split_once('/').unwrap_or(("library", place));
    (is_part(space) && is_part(model) && is_part(tag)).then(|| Source::Registry {
        space: space.to_string(),
        model: model.to_string(),
        tag: tag.to_string(),
    })
}

/// Whether a file is called as models are.
pub(crate) fn is_gguf(path: &str) -> bool {
    let end = path.len().checked_sub(GGUF.len());
    end.is_some_and(|end| end > 0 && path.as_bytes()[end..].eq_ignore_ascii_case(GGUF.as_bytes()))
}

/// Whether text is one part of a repository's name: no host, no port, no user, no way upwards.
fn is_part(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    (1..=PART_CHARS_MAX).contains(&text.len())
        && text.chars().all(plain)
        && text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        && !text.contains("..")
}

/// Whether text is one step of a path inside a repository.
fn is_step(text: &str) -> bool {
    !text.is_empty()
        && !matches!(text, "." | "..")
        && !text.contains('\\')
        && !text.chars().any(char::is_control)
}

/// What a file is called, without folders and ending.
pub(crate) fn stem(path: &str) -> &str {
    let name = path.rsplit('/').next().unwrap_or(path);
    if is_gguf(name) { &name[..name.len() - GGUF.len()] } else { name }
}

impl Source {
    /// What a model from here is called where nobody says otherwise.
    pub(crate) fn title(&self) -> String {
        match self {
            Source::File(path) => {
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                stem(&name).to_string()
            }
            Source::Address(url) => stem(url.path()).to_string(),
            Source::Signed(url) => title(url).to_string(),
            Source::Hub { file: Some(file), .. } => stem(file).to_string(),
            Source::Hub { repository, .. } => repository.clone(),
            Source::Registry { model, tag, .. } if tag == "latest" => model.clone(),
            Source::Registry { model, tag, .. } => format!("{model}-{tag}"),
        }
    }

    /// The file of this machine that is meant.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Source::File(path) => Some(path),
            _ => None,
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::File(path) => write!(f, "{}", path.display()),
            Source::Address(url) => write!(f, "{url}"),
            Source::Signed(url) => write!(f, "signed:{url}"),
            Source::Hub { owner, repository, file, quantisation, revision } => {
                write!(f, "hf:{owner}/{repository}")?;
                if let Some(quantisation) = quantisation {
                    write!(f, ":{quantisation}")?;
                }
                if let Some(file) = file {
                    write!(f, "/{file}")?;
                }
                revision.as_ref().map_or(Ok(()), |revision| write!(f, "@{revision}"))
            }
            Source::Registry { space, model, tag } => {
                let space = if space == "library" { "" } else { &format!("{space}/") };
                write!(f, "ollama:{space}{model}:{tag}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_taken_apart_once() {
        let rows = [
            ("model.gguf", Some("model.gguf"), "model"),
            ("../Model.GGUF", Some("../Model.GGUF"), "Model"),
            ("https://h/a/b.gguf?x=1", Some("https://h/a/b.gguf?x=1"), "b"),
            ("signed:https://h/a/m.json", Some("signed:https://h/a/m.json"), "m"),
            ("signed:https://h/m.json?x", Some("signed:https://h/m.json?x"), "m"),
            ("signed:https://h/m.gguf", None, ""),
            ("signed:https://h/.json", None, ""),
            ("signed:m.json", None, ""),
            ("signed:file:///m.json", None, ""),
            ("hf:o/r", Some("hf:o/r"), "r"),
            ("hf:o/r/a b.gguf", Some("hf:o/r/a b.gguf"), "a b"),
            ("hf:o/r/sub/m.gguf@refs/pr/1", Some("hf:o/r/sub/m.gguf@refs/pr/1"), "m"),
            ("hf:o/r:Q4_K_M", Some("hf:o/r:Q4_K_M"), "r"),
            ("hf:o/r:Q8_0@v1", Some("hf:o/r:Q8_0@v1"), "r"),
            ("hf:o/r:", None, ""),
            ("hf:o/r:../x", None, ""),
            ("hf:o/r:Q8_0/m.gguf", None, ""),
            ("hf:h:80/r", None, ""),
            ("hf:o/r@v1.0", Some("hf:o/r@v1.0"), "r"),
            ("ollama:qwen3", Some("ollama:qwen3:latest"), "qwen3"),
            ("ollama:qwen3:0.6b", Some("ollama:qwen3:0.6b"), "qwen3-0.6b"),
            ("ollama:me/mine:x", Some("ollama:me/mine:x"), "mine-x"),
            ("hf:o", None, ""),
            ("hf:o/r/readme.md", None, ""),
            ("hf:../r", None, ""),
            ("hf:o/..", None, ""),
            ("hf:o/r/../../x.gguf", None, ""),
            ("hf:o/r/..\\x.gguf", None, ""),
            ("hf:o/r//x.gguf", None, ""),
            ("hf:o/r@", None, ""),
            ("hf:o/r@../x", None, ""),
            ("hf:user@h/r", None, ""),
            ("ollama:", None, ""),
            ("ollama:169.254.169.254/library/x", None, ""),
            ("ollama:localhost:22/x", None, ""),
            ("ollama:user@h/x", None, ""),
            ("ollama:../x", None, ""),
            ("ollama:a/..:x", None, ""),
            ("ollama:a:b:c", None, ""),
            ("ollama:a\\b", None, ""),
            ("ftp://h/x.gguf", None, ""),
            ("file:///x.gguf", None, ""),
            ("", None, ""),
        ];
        for (text, expected, title) in rows {
            let source = Source::parse(text).ok();
            assert_eq!(source.as_ref().map(Source::to_string).as_deref(), expected, "{text}");
            assert_eq!(source.map(|source| source.title()).unwrap_or_default(), title, "{text}");
        }
    }
}
