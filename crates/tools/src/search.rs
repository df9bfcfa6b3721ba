//! Search: in an index of this device, and on the web where the user has named an endpoint. The first
//! touches whatever the index does; the second the network, at that endpoint alone.

use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use ondine_app::{Context, Effect, FnTool, Retrieve, Tool, ToolError, ToolSpec};
use serde_json::{Value, json};

use crate::arguments::Arguments;
use crate::fetch::Fetch;

/// Hits that one call gives at most.
const HITS_MAX: u64 = 20;
/// Characters of a hit that are shown.
const HIT_CHARS: usize = 1_200;

fn spec(name: &str, about: &str, timeout: u64) -> ToolSpec {
    ToolSpec {
        name: name.into(),
        description: about.into(),
        parameters: json!({
            "type": "object",
            "properties": {
                "query": {"type": "string", "maxLength": 500},
                "most": {"type": "integer", "minimum": 1, "maximum": HITS_MAX},
            },
            "required": ["query"],
            "additionalProperties": false,
        }),
        effect: Effect::Read,
        timeout: Duration::from_secs(timeout),
    }
}

fn asked(arguments: Value) -> Result<(String, usize), ToolError> {
    let mut arguments = Arguments::of(arguments, &["query", "most"])?;
    let query = arguments.text("query", 2_000)?;
    let most = arguments.number_if("most", 1, HITS_MAX)?.unwrap_or(5);
    Ok((query, usize::try_from(most).unwrap_or(5)))
}

/// The tool `search`: passages of an index on this device.
pub fn search(index: Arc<dyn Retrieve>) -> Arc<dyn Tool> {
    let about = "Search the documents on this device; gives passages with their files and lines. \
        搜索本机文档";
    Arc::new(FnTool::new(spec("search", about, 20), move |arguments: Value, _: &Context| {
        let (query, most) = asked(arguments)?;
        let hits =
            index.retrieve(&query, most).map_err(|error| ToolError::Failed(error.to_string()))?;
        let hits = hits.into_iter().take(most).map(|hit| {
            let text: String = hit.text.chars().take(HIT_CHARS).collect();
            json!({"path": hit.path, "lines": [hit.line_start, hit.line_end], "text": text})
        });
        Ok(json!({"hits": hits.collect::<Vec<_>>()}))
    }))
}

/// The tool `web_search`, by an endpoint of the user's that gives JSON as SearXNG does: `results`, each
/// with `title`, `url` and `content`. It may be on this machine or in its network; where it redirects to is
/// held to the public web, as every page is.
///
/// # Errors
/// The endpoint is no address of the web, or its name is not known.
pub fn web_search(endpoint: &str) -> Result<Arc<dyn Tool>, ToolError> {
    let endpoint = endpoint.trim().to_owned();
    let place = Fetch::place_of(&endpoint)?;
    let found: Vec<SocketAddr> = (place.0.as_str(), place.1)
        .to_socket_addrs()
        .map_err(|error| ToolError::Failed(format!("{}: {error}", place.0)))?
        .collect();
    let fetch = found.into_iter().fold(Fetch::new(), Fetch::allowing);
    let about = "Search the web; gives titles, addresses and excerpts. 搜索网页";
    Ok(Arc::new(FnTool::new(
        spec("web_search", about, 30),
        move |arguments: Value, context: &Context| {
            let (query, most) = asked(arguments)?;
            let mut url = endpoint.clone();
            url.push(if url.contains('?') { '&' } else { '?' });
            url.push_str("format=json&q=");
            for byte in query.bytes() {
                match byte {
                    b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => {
                        url.push(char::from(byte))
                    }
                    _ => url.push_str(&format!("%{byte:02X}")),
                }
            }
            let body = fetch.get(&url, "application/json", context)?.body()?;
            let value: Value = serde_json::from_str(&body)
                .map_err(|error| ToolError::Failed(format!("the search gave no JSON: {error}")))?;
            let results = value["results"].as_array();
            let results =
                results.ok_or_else(|| ToolError::Failed("the search gave no `results`".into()))?;
            let text = |result: &Value, name: &str, most: usize| -> String {
                result[name].as_str().unwrap_or_default().chars().take(most).collect()
            };
            let hits = results.iter().take(most).map(|result| {
                json!({
                    "title": text(result, "title", 200),
                    "url": text(result, "url", 1_000),
                    "text": text(result, "content", 600),
                })
            });
            Ok(json!({"hits": hits.collect::<Vec<_>>()}))
        },
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fetch::tests::{Server, page};
    use crate::testing::{called, hostile};
    use ondine_app::{Hit, RetrieveError};

    struct Shelf;

    impl Retrieve for Shelf {
        fn retrieve(&self, question: &str, k: usize) -> Result<Vec<Hit>, RetrieveError> {
            if question == "broken" {
                return Err(RetrieveError("the index is gone".into()));
            }
            let hit = |n: usize| Hit {
                path: format!("{n}.md"),
                line_start: n,
                line_end: n + 1,
                score: 1.0,
                text: question.repeat(2_000),
            };
            Ok((0..k).map(hit).collect())
        }
    }

    #[test]
    fn the_index_is_searched() {
        let tool = search(Arc::new(Shelf));
        let hits = called(&tool, json!({"query": "wo", "most": 3})).unwrap();
        assert_eq!(hits["hits"].as_array().unwrap().len(), 3);
        assert_eq!(hits["hits"][1]["lines"], json!([1, 2]));
        assert_eq!(hits["hits"][0]["text"].as_str().unwrap().len(), HIT_CHARS);
        assert!(called(&tool, json!({"query": "broken"})).is_err());
        hostile(&tool);
    }

    #[test]
    fn the_web_is_searched_where_an_endpoint_is_named() {
        let server = Server::new(|path| match path {
            _ if path.ends_with("q=moon%20%E6%9C%88%26x%3D1") => page(
                "application/json",
                r#"{"results": [{"title": "The moon", "url": "https://m.org/", "content": "A rock."}, {"title": 7}]}"#,
            ),
            _ if path.ends_with("q=html") => page("text/html", "<p>no"),
            _ if path.ends_with("q=empty") => page("application/json", "{}"),
            _ => b"HTTP/1.1 302 Found\r\nLocation: http://10.0.0.1/\r\nContent-Length: 0\r\n\r\n"
                .to_vec(),
        });
        let tool = web_search(&server.url("/search?safe=1")).unwrap();
        let hits = called(&tool, json!({"query": "moon 月&x=1"})).unwrap();
        assert_eq!(
            hits["hits"][0],
            json!({"title": "The moon", "url": "https://m.org/", "text": "A rock."})
        );
        assert_eq!(hits["hits"][1]["title"], "");
        for query in ["html", "empty", "redirect"] {
            assert!(called(&tool, json!({"query": query})).is_err(), "{query}");
        }
        assert!(server.asked.lock().unwrap()[0].starts_with("/search?safe=1&format=json&q="));
        for endpoint in ["", "ftp://x.org/", "http://u@x.org/", "not an address"] {
            assert!(web_search(endpoint).is_err(), "{endpoint}");
        }
    }
}
