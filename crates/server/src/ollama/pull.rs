//! `POST /api/pull` and `DELETE /api/delete`: models come to the disk and go from it.
//!
//! An app says which model, and never from where: a name means a model of the registry, one that
//! begins with `hf.co/` a repository of the hub, and which servers those are is the service's own
//! affair. A host, an address or a path is refused here, before anybody is asked.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, header};
use axum::response::Response;
use futures_util::stream;
use ondine_chat::Pulling;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::mpsc::{self, Receiver, Sender};

use super::error;
use crate::house::{Call, good};
use crate::trouble::Trouble;

/// Bytes of a name.
const NAME_BYTES_MAX: usize = 300;
/// Lines that wait for a client. Of progress the newest counts, so what finds no room is left out.
const LINES: usize = 16;
/// How often progress is told.
const TICK: Duration = Duration::from_millis(100);
/// The hub, in the words of Ollama's clients.
const HUBS: [&str; 2] = ["hf.co", "huggingface.co"];

/// `POST /api/pull`. Older clients say `name`.
#[derive(Debug, Deserialize)]
struct PullBody {
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    stream: Option<bool>,
    #[serde(default)]
    insecure: Option<bool>,
}

/// `DELETE /api/delete`.
#[derive(Debug, Deserialize)]
struct DeleteBody {
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    name: Option<String>,
}

/// What an app asks for by a name.
#[derive(Debug, PartialEq, Eq)]
struct Named {
    /// Where it is, in the words of whoever keeps models.
    source: String,
    /// What it is called here.
    kept: String,
}

impl Named {
    fn read(model: Option<String>, name: Option<String>) -> Result<Named, Trouble> {
        let name = model.or(name).ok_or_else(|| Trouble::at("model", "is missing"))?;
        let wanted = "a name such as qwen3:0.6b, owner/model or hf.co/owner/repository:Q4_K_M was \
                      expected; hosts, addresses and paths are not taken";
        Named::of(&name).ok_or_else(|| Trouble::at("model", wanted))
    }

    fn of(name: &str) -> Option<Named> {
        if name.len() > NAME_BYTES_MAX {
            return None;
        }
        let (place, tag) = match name.rsplit_once(':') {
            Some((place, tag)) => (place, Some(tag)),
            None => (name, None),
        };
        let parts: Vec<&str> = place.split('/').collect();
        if !parts.iter().copied().chain(tag).all(is_part) {
            return None;
        }
        let tag = tag.filter(|tag| *tag != "latest");
        let tagged = tag.map_or(String::new(), |tag| format!(":{tag}"));
        let source = match parts[..] {
            [_] | [_, _] if !HUBS.contains(&parts[0]) => format!("ollama:{place}{tagged}"),
            [hub, owner, repository] if HUBS.contains(&hub) => {
                format!("hf:{owner}/{repository}{tagged}")
            }
            _ => return None,
        };
        Some(Named { source, kept: kept(name) })
    }
}

/// Whether text is one step of a name: no port, no user, no way upwards.
fn is_part(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        && text.chars().all(plain)
        && !text.contains("..")
}

/// What a model of this name is called here: in small letters, with dashes for the signs that no
/// name on a disk may have. The usual tag is left out.
pub(super) fn kept(name: &str) -> String {
    let name = name.strip_suffix(":latest").unwrap_or(name);
    let sign = |c| if matches!(c, ':' | '/') { '-' } else { c };
    name.chars().map(|c| sign(c.to_ascii_lowercase())).collect()
}

/// Fetches a model, and tells how far it is.
pub(super) async fn pull(call: Call) -> Result<Response, Trouble> {
    let PullBody { model, name, stream, insecure } = call.read()?;
    let named = Named::read(model, name)?;
    if insecure == Some(true) {
        let refused = "is refused: what is fetched is checked, whoever asks for it";
        return Err(Trouble::at("insecure", refused));
    }
    let shelf = call.house.shelf()?.clone();
    let (lines, mut told) = mpsc::channel(LINES);
    let house = call.house.clone();
    let fetching = async move {
        let mut news = News { lines: lines.clone(), last: None };
        let work = house.blocking(move |_| {
            let mut watch = |pulling: &Pulling| news.tell(pulling);
            shelf.pull(&named.source, Some(&named.kept), &mut watch).map(|_| ())
        });
        let line = work.await.map(|()| done());
        // Nobody is told where nobody listens; what has arrived is kept.
        let _ = lines.send(line).await;
    };
    tokio::spawn(fetching);
    if stream.unwrap_or(true) {
        return Ok(streamed(told, call));
    }
    let mut last = Ok(done());
    while let Some(line) = told.recv().await {
        last = line;
    }
    last.map(|line| good(&line))
}

/// Takes a model's name away.
pub(super) async fn delete(call: Call) -> Result<Response, Trouble> {
    let DeleteBody { model, name } = call.read()?;
    let Named { kept, .. } = Named::read(model, name)?;
    let shelf = call.house.shelf()?.clone();
    call.house.blocking(move |_| shelf.remove(&kept)).await?;
    Ok(good(&json!({})))
}

fn done() -> Value {
    json!({"status": "success"})
}

type Line = Result<Value, Trouble>;

/// Tells a client how far it is, as often as it is worth it.
struct News {
    lines: Sender<Line>,
    last: Option<(Instant, String)>,
}

impl News {
    /// Whether somebody still listens.
    fn tell(&mut self, pulling: &Pulling) -> bool {
        let new = self.last.as_ref().is_none_or(|(at, step)| {
            *step != pulling.step || at.elapsed() >= TICK || Some(pulling.done) == pulling.total
        });
        if new {
            self.last = Some((Instant::now(), pulling.step.clone()));
            let _ = self.lines.try_send(Ok(line(pulling)));
        }
        !self.lines.is_closed()
    }
}

fn line(pulling: &Pulling) -> Value {
    let mut line = json!({"status": pulling.step});
    if let Some(sha256) = &pulling.sha256 {
        line["digest"] = format!("sha256:{sha256}").into();
    }
    if let Some(total) = pulling.total {
        line["total"] = total.into();
        line["completed"] = pulling.done.into();
    }
    line
}

/// A line each, until the last. The call, and with it its place, is held until then.
fn streamed(told: Receiver<Line>, call: Call) -> Response {
    let pieces = stream::unfold((told, call), |(mut told, call)| async move {
        let line = match told.recv().await? {
            Ok(line) => line,
            Err(trouble) => error(&trouble),
        };
        let bytes = Bytes::from(format!("{line}\n"));
        Some((Ok::<Bytes, Infallible>(bytes), (told, call)))
    });
    let mut response = Response::new(Body::from_stream(pieces));
    let media = HeaderValue::from_static("application/x-ndjson");
    response.headers_mut().insert(header::CONTENT_TYPE, media);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    /// UP-01, UP-02, UP-08.
    #[test]
    fn an_app_names_a_model_and_no_place() {
        let long = "a".repeat(NAME_BYTES_MAX + 1);
        let rows = [
            ("qwen3", Some(("ollama:qwen3", "qwen3"))),
            ("qwen3:latest", Some(("ollama:qwen3", "qwen3"))),
            ("Qwen3:0.6B", Some(("ollama:Qwen3:0.6B", "qwen3-0.6b"))),
            ("me/mine:x", Some(("ollama:me/mine:x", "me-mine-x"))),
            ("hf.co/o/R:Q8_0", Some(("hf:o/R:Q8_0", "hf.co-o-r-q8_0"))),
            ("huggingface.co/o/r", Some(("hf:o/r", "huggingface.co-o-r"))),
            ("hf.co/o/r:latest", Some(("hf:o/r", "hf.co-o-r"))),
            // An owner of that name at the registry, and no host.
            ("169.254.169.254/x", Some(("ollama:169.254.169.254/x", "169.254.169.254-x"))),
            ("169.254.169.254/library/x", None),
            ("127.0.0.1:11434/x", None),
            ("localhost:22/x", None),
            ("registry.ollama.ai/library/x", None),
            ("user@h/x", None),
            ("https://h/x", None),
            ("http://169.254.169.254/latest/meta-data", None),
            ("signed:https://h/m.json", None),
            ("file:///etc/passwd", None),
            ("hf:o/r", None),
            ("hf.co/o", None),
            ("hf.co/o/r/m.gguf", None),
            ("hf.co/../r", None),
            ("/etc/passwd", None),
            ("../x", None),
            ("..", None),
            ("a/..", None),
            ("a\\b", None),
            ("C:\\x", None),
            ("./m.gguf", None),
            ("a//b", None),
            ("a:", None),
            (":a", None),
            ("a:b:c", None),
            ("a b", None),
            ("a\u{0}b", None),
            ("模型", None),
            ("a%2fb", None),
            ("a?x", None),
            ("", None),
            (&long, None),
        ];
        for (name, expected) in rows {
            let named = Named::of(name);
            let got = named.as_ref().map(|named| (named.source.as_str(), named.kept.as_str()));
            assert_eq!(got, expected, "{name}");
        }
    }

    #[test]
    fn a_line_says_what_is_known() {
        let pulling = Pulling { step: "pulling".into(), ..Pulling::default() };
        assert_eq!(line(&pulling), json!({"status": "pulling"}));
        let pulling = Pulling { done: 5, total: Some(9), sha256: Some("ab".into()), ..pulling };
        let expected =
            json!({"status": "pulling", "digest": "sha256:ab", "total": 9, "completed": 5});
        assert_eq!(line(&pulling), expected);
    }
}
