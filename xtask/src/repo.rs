//! The repository as tidy sees it: its text files and its packages. Judges nothing.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, io};

use crate::source::Source;

/// Folders that hold no source of ours.
const SKIPPED_FOLDERS: &[&str] = &["target", ".git", "__pycache__", "node_modules"];

/// No text file of ours is longer; a longer one is data and is not read.
const TEXT_BYTES_MAX: u64 = 1 << 20;

/// Everything a check may look at.
pub(crate) struct Repo {
    /// The repository's folder.
    pub(crate) root: PathBuf,
    /// The workspace's packages.
    pub(crate) packages: Vec<Package>,
    /// Every text file, by its path from the root.
    pub(crate) texts: Vec<Text>,
}

/// One text file.
pub(crate) struct Text {
    /// Path from the root, with forward slashes.
    pub(crate) path: String,
    /// What it says.
    pub(crate) content: String,
}

/// One package of the workspace.
pub(crate) struct Package {
    /// Name without the project's prefix: the folder's name.
    pub(crate) name: String,
    /// Licence expression of the manifest.
    pub(crate) license: Option<String>,
    /// Packages of the workspace it depends on, with dev- and build-dependencies.
    pub(crate) imports: Vec<String>,
    /// Whether it only shows how the others are used.
    pub(crate) is_example: bool,
}

/// One Rust file, read once for all checks.
pub(crate) struct RustFile {
    /// Path from the root.
    pub(crate) path: String,
    /// The crate it belongs to, by folder name.
    pub(crate) package: String,
    /// Whether it is compiled for tests, benches or examples alone.
    pub(crate) only_tests: bool,
    /// Its text and its parts.
    pub(crate) source: Source,
}

/// The folder of the repository this program was built in.
pub(crate) fn root() -> PathBuf {
    // The manifest's folder is one below the root, always: it is where this crate lies.
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map_or_else(PathBuf::new, Path::to_path_buf)
}

impl Repo {
    /// Reads the repository this program was built in.
    pub(crate) fn read() -> io::Result<Repo> {
        let root = root();
        let mut texts = Vec::new();
        for path in listed(&root)? {
            if let Some(content) = text_of(&root.join(&path))? {
                texts.push(Text { path, content });
            }
        }
        texts.sort_by(|a, b| a.path.cmp(&b.path));
        let packages = packages(&root)?;
        Ok(Repo { root, packages, texts })
    }

    /// The content of a text file, or `None` where there is none of that path.
    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        self.texts.iter().find(|text| text.path == path).map(|text| text.content.as_str())
    }

    /// Every TypeScript file of the page.
    pub(crate) fn page_files(&self) -> impl Iterator<Item = &Text> {
        self.texts.iter().filter(|text| text.path.starts_with("ui/") && text.path.ends_with(".ts"))
    }

    /// Every Rust file that belongs to a package.
    pub(crate) fn rust_files(&self) -> Vec<RustFile> {
        let rust = self.texts.iter().filter(|text| text.path.ends_with(".rs"));
        rust.filter_map(|text| {
            let (package, inside) = package_of(&text.path)?;
            Some(RustFile {
                path: text.path.clone(),
                package: package.to_string(),
                only_tests: only_tests(inside),
                source: Source::new(&text.content),
            })
        })
        .collect()
    }
}

/// The package a path belongs to and the rest of the path: `crates/text/src/x.rs` is in `text`.
fn package_of(path: &str) -> Option<(&str, &str)> {
    let rest = path.strip_prefix("crates/").unwrap_or(path);
    rest.split_once('/')
}

/// Whether a path inside a package is compiled for tests, benches or examples alone.
fn only_tests(inside: &str) -> bool {
    let mut parts = inside.split('/');
    parts.any(|part| matches!(part, "tests" | "benches" | "examples" | "fuzz" | "tests.rs"))
}

/// The files git knows or would add; every file outside the skipped folders where git is absent.
fn listed(root: &Path) -> io::Result<Vec<String>> {
    let git = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output();
    if let Ok(output) = git
        && output.status.success()
    {
        let names = String::from_utf8_lossy(&output.stdout);
        return Ok(names.split('\0').filter(|name| !name.is_empty()).map(String::from).collect());
    }
    let mut found = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if path.is_dir() {
                if !SKIPPED_FOLDERS.contains(&name) {
                    folders.push(path);
                }
            } else if let Ok(inside) = path.strip_prefix(root) {
                found.push(inside.to_string_lossy().replace('\\', "/"));
            }
        }
    }
    Ok(found)
}

/// A file's content where it is text: a missing, long or binary file has none.
fn text_of(path: &Path) -> io::Result<Option<String>> {
    // Listed but deleted, or a link that leads nowhere: nothing to check.
    let Ok(meta) = fs::metadata(path) else { return Ok(None) };
    if !meta.is_file() || meta.len() > TEXT_BYTES_MAX {
        return Ok(None);
    }
    Ok(String::from_utf8(fs::read(path)?).ok().filter(|text| !text.contains('\0')))
}

/// Asks cargo for the workspace's packages.
fn packages(root: &Path) -> io::Result<Vec<Package>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root)
        .output()?;
    if !output.status.success() {
        return Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let list = |value: &serde_json::Value| value.as_array().cloned().unwrap_or_default();
    let short = |value: &serde_json::Value| {
        let name = value.as_str().unwrap_or_default();
        name.strip_prefix("ondine-").unwrap_or(name).to_string()
    };
    let mut packages: Vec<Package> = list(&metadata["packages"])
        .iter()
        .map(|package| Package {
            name: short(&package["name"]),
            license: package["license"].as_str().map(String::from),
            imports: list(&package["dependencies"])
                .iter()
                .filter(|dependency| dependency["path"].is_string())
                .map(|dependency| short(&dependency["name"]))
                .collect(),
            is_example: Path::new(package["manifest_path"].as_str().unwrap_or_default())
                .strip_prefix(root)
                .is_ok_and(|path| path.starts_with("examples")),
        })
        .collect();
    packages.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(packages)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_its_package_and_its_kind() {
        let rows = [
            ("crates/text/src/bpe.rs", Some(("text", "src/bpe.rs")), false),
            ("crates/text/tests/all.rs", Some(("text", "tests/all.rs")), true),
            ("crates/text/src/bpe/tests.rs", Some(("text", "src/bpe/tests.rs")), true),
            ("xtask/src/main.rs", Some(("xtask", "src/main.rs")), false),
            ("build.rs", None, false),
        ];
        for (path, expected, tests) in rows {
            assert_eq!(package_of(path), expected, "{path}");
            if let Some((_, inside)) = package_of(path) {
                assert_eq!(only_tests(inside), tests, "{path}");
            }
        }
    }
}
