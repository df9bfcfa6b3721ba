//! Files in one folder: list, read, write, search. Nothing outside of the folder is touched, whatever a
//! path says: it is opened step by step from a handle of the folder (`cap-std`; on Linux `openat2`), so
//! that neither `..` nor a symbolic link leads out, not even one that appears between check and use.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cap_std::ambient_authority;
use cap_std::fs::{Dir, OpenOptions};
use ondine_app::{Context, Effect, FnTool, Tool, ToolError, ToolSpec};
use serde_json::{Value, json};

use crate::arguments::Arguments;

/// Bytes of a path at most, and of one of its parts.
const PATH_BYTES_MAX: usize = 1024;
const NAME_BYTES_MAX: usize = 200;
/// Folders inside of each other at most.
const DEPTH_MAX: usize = 24;

/// What is read and written at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileLimits {
    /// Bytes of a file that is read or searched.
    pub read_bytes: u64,
    /// Bytes of a file that is written, with what it had before.
    pub write_bytes: u64,
    /// Entries that are listed or looked into.
    pub entries: usize,
    /// Bytes that one search reads in all.
    pub search_bytes: u64,
    /// Lines that one call gives.
    pub lines: u64,
}

impl Default for FileLimits {
    fn default() -> FileLimits {
        FileLimits {
            read_bytes: 4 << 20,
            write_bytes: 1 << 20,
            entries: 5_000,
            search_bytes: 64 << 20,
            lines: 400,
        }
    }
}

/// A folder that tools may work in. Cheap to clone.
#[derive(Clone)]
pub struct Files {
    dir: Arc<Dir>,
    limits: FileLimits,
    may_write: bool,
}

/// A path inside of the folder, made of plain names.
struct Inside(Vec<String>);

impl Inside {
    fn of(path: &str) -> Result<Inside, ToolError> {
        let refused = |what: &str| Err(ToolError::Refused(format!("the path {what}")));
        if path.len() > PATH_BYTES_MAX {
            return refused(&format!("has more than {PATH_BYTES_MAX} bytes"));
        }
        if path.starts_with(['/', '\\', '~']) || path.contains([':', '\\']) {
            return refused("must be relative to the folder, with `/` between its parts");
        }
        let mut parts = Vec::new();
        for part in path.split('/') {
            match part {
                "" | "." => continue,
                ".." => return refused("must not contain `..`"),
                _ => {}
            }
            // What a person would not see, or would read in another order.
            let odd = |c: char| {
                c.is_control()
                    || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
            };
            if part.len() > NAME_BYTES_MAX || part.chars().any(odd) || part.ends_with([' ', '.']) {
                return refused("has a part that is too long, or that contains odd characters");
            }
            // Windows opens a device under these names, in every folder and with every ending.
            let stem = part.split('.').next().unwrap_or_default().to_ascii_uppercase();
            let numbered = |name: &str| {
                stem.strip_prefix(name).is_some_and(|rest| matches!(rest.as_bytes(), [b'1'..=b'9']))
            };
            if matches!(stem.as_str(), "CON" | "PRN" | "AUX" | "NUL")
                || numbered("COM")
                || numbered("LPT")
            {
                return refused("names a device");
            }
            parts.push(part.to_owned());
        }
        if parts.len() > DEPTH_MAX {
            return refused(&format!("has more than {DEPTH_MAX} parts"));
        }
        Ok(Inside(parts))
    }

    fn text(&self) -> String {
        if self.0.is_empty() { ".".into() } else { self.0.join("/") }
    }
}

fn failed(path: &Inside, error: &io::Error) -> ToolError {
    let what = match error.kind() {
        io::ErrorKind::NotFound => "there is no such file or folder".to_owned(),
        io::ErrorKind::PermissionDenied => {
            "it leads out of the folder, or is not permitted".to_owned()
        }
        _ => error.to_string(),
    };
    ToolError::Failed(format!("{}: {what}", path.text()))
}

/// A name as it is shown: a file may be called anything.
fn shown(name: &OsString) -> String {
    let text = name.to_string_lossy();
    text.chars()
        .flat_map(|c| if c.is_control() { c.escape_default().collect::<Vec<_>>() } else { vec![c] })
        .collect()
}

impl Files {
    /// A folder that is there.
    ///
    /// # Errors
    /// There is no such folder, or it cannot be opened.
    pub fn open(folder: impl AsRef<Path>) -> io::Result<Files> {
        let dir = Dir::open_ambient_dir(folder, ambient_authority())?;
        Ok(Files { dir: Arc::new(dir), limits: FileLimits::default(), may_write: true })
    }

    /// Nothing is written.
    pub fn read_only(mut self) -> Files {
        self.may_write = false;
        self
    }

    /// Other limits.
    pub fn limits(mut self, limits: FileLimits) -> Files {
        self.limits = limits;
        self
    }

    /// The tools `files_list`, `files_read`, `files_search` and, unless it is read-only, `files_write`.
    pub fn tools(&self) -> Vec<Arc<dyn Tool>> {
        let path = json!({"type": "string", "description": "relative, with `/` between its parts"});
        let mut tools: Vec<Arc<dyn Tool>> = vec![
            self.tool(
                ("files_list", "List a folder. 列出文件", Effect::Read),
                json!({"path": path}),
                &[],
                Files::list,
            ),
            self.tool(
                ("files_read", "Read a text file, or some lines of it. 读取文件", Effect::Read),
                json!({
                    "path": path,
                    "from_line": {"type": "integer", "minimum": 1},
                    "lines": {"type": "integer", "minimum": 1, "maximum": self.limits.lines},
                }),
                &["path"],
                Files::read,
            ),
            self.tool(
                (
                    "files_search",
                    "Find lines of files that contain a text. 搜索文件内容",
                    Effect::Read,
                ),
                json!({"text": {"type": "string"}, "path": path}),
                &["text"],
                Files::search,
            ),
        ];
        if self.may_write {
            tools.push(self.tool(
                (
                    "files_write",
                    "Write a text file: as a new one, in place of one, or at its end. 写入文件",
                    Effect::Write,
                ),
                json!({
                    "path": path,
                    "text": {"type": "string"},
                    "mode": {"type": "string", "enum": ["create", "replace", "append"]},
                }),
                &["path", "text"],
                Files::write,
            ));
        }
        tools
    }

    fn tool(
        &self,
        (name, about, effect): (&str, &str, Effect),
        fields: Value,
        required: &[&str],
        does: fn(&Files, Value, &Context) -> Result<Value, ToolError>,
    ) -> Arc<dyn Tool> {
        let spec = ToolSpec {
            name: name.into(),
            description: about.into(),
            parameters: json!({
                "type": "object", "properties": fields, "required": required, "additionalProperties": false,
            }),
            effect,
            timeout: Duration::from_secs(20),
        };
        let files = self.clone();
        Arc::new(FnTool::new(spec, move |arguments: Value, context: &Context| {
            does(&files, arguments, context)
        }))
    }

    /// The folder of a path; the folder itself where the path is empty.
    fn folder(&self, path: &Inside) -> io::Result<Dir> {
        if path.0.is_empty() { self.dir.try_clone() } else { self.dir.open_dir(path.0.join("/")) }
    }

    fn list(&self, arguments: Value, _: &Context) -> Result<Value, ToolError> {
        let mut arguments = Arguments::of(arguments, &["path"])?;
        let path = Inside::of(&arguments.text_if("path", PATH_BYTES_MAX)?.unwrap_or_default())?;
        let at = |error: io::Error| failed(&path, &error);
        let mut entries = Vec::new();
        let mut more = false;
        for entry in self.folder(&path).map_err(at)?.entries().map_err(at)? {
            if entries.len() == self.limits.entries {
                more = true;
                break;
            }
            let entry = entry.map_err(at)?;
            // Of a link its own kind: where it leads is seen when it is opened.
            let Ok(meta) = entry.metadata() else { continue };
            let name = shown(&entry.file_name());
            entries.push(match () {
                () if meta.is_dir() => (name, json!("folder")),
                () if meta.is_file() => (name, json!(meta.len())),
                () if meta.is_symlink() => (name, json!("link")),
                () => (name, json!("special")),
            });
        }
        entries.sort_by(|a, b| a.0.cmp(&b.0));
        let list: Vec<Value> =
            entries.into_iter().map(|(name, size)| json!({"name": name, "bytes": size})).collect();
        Ok(json!({"path": path.text(), "entries": list, "more": more}))
    }

    /// The text of a file.
    fn text(&self, dir: &Dir, name: &str) -> io::Result<String> {
        let mut options = OpenOptions::new();
        options.read(true);
        // A pipe would keep its reader waiting for ever.
        #[cfg(unix)]
        {
            use cap_std::fs::OpenOptionsExt;
            options.custom_flags(libc::O_NONBLOCK);
        }
        let file = dir.open_with(name, &options)?;
        let meta = file.metadata()?;
        if !meta.is_file() {
            return Err(io::Error::other("is no regular file"));
        }
        if meta.len() > self.limits.read_bytes {
            let most = self.limits.read_bytes;
            return Err(io::Error::other(format!(
                "has {} bytes; at most {most} are read",
                meta.len()
            )));
        }
        let mut bytes = Vec::new();
        file.take(self.limits.read_bytes).read_to_end(&mut bytes)?;
        String::from_utf8(bytes).map_err(|_| io::Error::other("is no text in UTF-8"))
    }

    fn read(&self, arguments: Value, _: &Context) -> Result<Value, ToolError> {
        let mut arguments = Arguments::of(arguments, &["path", "from_line", "lines"])?;
        let path = Inside::of(&arguments.text("path", PATH_BYTES_MAX)?)?;
        let from = arguments.number_if("from_line", 1, 1 << 40)?.unwrap_or(1);
        let count =
            arguments.number_if("lines", 1, self.limits.lines)?.unwrap_or(self.limits.lines);
        let text = self.text(&self.dir, &path.text()).map_err(|error| failed(&path, &error))?;
        let all = text.lines().count() as u64;
        let skipped = usize::try_from(from - 1).unwrap_or(usize::MAX);
        let taken = usize::try_from(count).unwrap_or(usize::MAX);
        let lines: Vec<&str> = text.lines().skip(skipped).take(taken).collect();
        Ok(json!({
            "path": path.text(), "from_line": from, "of_lines": all, "text": lines.join("\n"),
        }))
    }

    fn write(&self, arguments: Value, _: &Context) -> Result<Value, ToolError> {
        #[derive(Clone, Copy, PartialEq)]
        enum Mode {
            Create,
            Replace,
            Append,
        }
        let mut arguments = Arguments::of(arguments, &["path", "text", "mode"])?;
        let path = Inside::of(&arguments.text("path", PATH_BYTES_MAX)?)?;
        let most = usize::try_from(self.limits.write_bytes).unwrap_or(usize::MAX);
        let mut text = arguments.text_if("text", most)?.unwrap_or_default();
        let modes =
            &[("create", Mode::Create), ("replace", Mode::Replace), ("append", Mode::Append)];
        let mode = arguments.word_if("mode", modes)?.unwrap_or(Mode::Create);
        let at = |error: io::Error| failed(&path, &error);
        let Some((name, folders)) = path.0.split_last() else {
            return Err(ToolError::Refused("the path names no file".into()));
        };
        // Writing goes by a name of its own and a rename, within the folder that was opened: a reader sees
        // the old file or the new one, and what another name of the old file shows stays as it is.
        let folder = Inside(folders.to_vec());
        if !folder.0.is_empty() {
            self.dir.create_dir_all(folder.text()).map_err(at)?;
        }
        let dir = self.folder(&folder).map_err(at)?;
        let meta = match dir.symlink_metadata(name) {
            Ok(meta) => Some(meta),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(at(error)),
        };
        match &meta {
            Some(_) if mode == Mode::Create => {
                let what =
                    format!("{}: there is one already; say `replace` or `append`", path.text());
                return Err(ToolError::Failed(what));
            }
            Some(meta) if !meta.is_file() => {
                return Err(ToolError::Refused(format!("{} is no regular file", path.text())));
            }
            Some(_) if mode == Mode::Append => {
                text = self.text(&dir, name).map_err(at)? + &text;
            }
            _ => {}
        }
        if text.len() > most {
            let what = format!("{} would have {} bytes; at most {most}", path.text(), text.len());
            return Err(ToolError::Failed(what));
        }
        let fresh =
            format!(".{}.{}.new", &name[..name.floor_char_boundary(100)], std::process::id());
        let written = dir
            .open_with(&fresh, OpenOptions::new().write(true).create(true).truncate(true))
            .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
            .and_then(|()| match mode {
                // A name that appeared meanwhile is not written over.
                Mode::Create => {
                    dir.hard_link(&fresh, &dir, name).and_then(|()| dir.remove_file(&fresh))
                }
                _ => dir.rename(&fresh, &dir, name),
            });
        if let Err(error) = written {
            let _ = dir.remove_file(&fresh);
            return Err(at(error));
        }
        Ok(json!({"path": path.text(), "bytes": text.len()}))
    }

    fn search(&self, arguments: Value, context: &Context) -> Result<Value, ToolError> {
        const SHOWN_CHARS: usize = 200;
        const FOUND_MAX: usize = 50;
        let mut arguments = Arguments::of(arguments, &["text", "path"])?;
        let wanted = arguments.text("text", 500)?.to_lowercase();
        let path = Inside::of(&arguments.text_if("path", PATH_BYTES_MAX)?.unwrap_or_default())?;
        let dir = self.folder(&path).map_err(|error| failed(&path, &error))?;
        let mut found = Vec::new();
        let (mut entries, mut bytes, mut more) = (0, 0_u64, false);
        let mut folders = vec![(dir, path.0.clone())];
        'all: while let Some((dir, parts)) = folders.pop() {
            let Ok(list) = dir.entries() else { continue };
            let mut names: Vec<_> = list.filter_map(Result::ok).take(self.limits.entries).collect();
            names.sort_by_key(|entry| entry.file_name());
            for entry in names {
                entries += 1;
                if context.cancel.is_set() {
                    return Err(ToolError::Cancelled);
                }
                if entries > self.limits.entries
                    || bytes > self.limits.search_bytes
                    || found.len() == FOUND_MAX
                {
                    more = true;
                    break 'all;
                }
                let Ok(meta) = entry.metadata() else { continue };
                let name = entry.file_name();
                let Some(plain) = name.to_str() else { continue };
                let mut parts = parts.clone();
                parts.push(shown(&name));
                if meta.is_dir() && parts.len() < DEPTH_MAX {
                    // Links are not followed here: they may lead in a circle.
                    if let Ok(inner) = entry.open_dir() {
                        folders.push((inner, parts));
                    }
                } else if meta.is_file() {
                    bytes += meta.len().min(self.limits.read_bytes);
                    let Ok(text) = self.text(&dir, plain) else { continue };
                    for (line, text) in text.lines().enumerate() {
                        if found.len() < FOUND_MAX && text.to_lowercase().contains(&wanted) {
                            let text: String = text.trim().chars().take(SHOWN_CHARS).collect();
                            found.push(
                                json!({"path": parts.join("/"), "line": line + 1, "text": text}),
                            );
                        }
                    }
                }
            }
        }
        Ok(json!({"found": found, "more": more}))
    }
}

#[cfg(test)]
mod tests;
