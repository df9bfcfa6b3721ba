//! The page for a browser: four files that are part of the program, and the rules that a browser
//! keeps for them. They hold nothing of anybody, so nobody needs a token to read them; what the page
//! shows it asks for with one. It knows no API and nothing of what is in the files.

use std::sync::LazyLock;

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

use crate::route::Route;

/// A file of the page.
struct File {
    /// Where it is found.
    path: &'static str,
    media: &'static str,
    content: &'static [u8],
}

/// All of it: what `scripts/page` builds from `ui/`.
const FILES: [File; 4] = [
    File {
        path: "/",
        media: "text/html; charset=utf-8",
        content: include_bytes!("../../../ui/dist/index.html"),
    },
    File {
        path: "/assets/page.js",
        media: "text/javascript; charset=utf-8",
        content: include_bytes!("../../../ui/dist/assets/page.js"),
    },
    File {
        path: "/assets/page.css",
        media: "text/css; charset=utf-8",
        content: include_bytes!("../../../ui/dist/assets/page.css"),
    },
    File {
        path: "/assets/icon.svg",
        media: "image/svg+xml",
        content: include_bytes!("../../../ui/dist/assets/icon.svg"),
    },
];

/// What a browser lets the page do: its own script, style and requests, and nothing else from
/// anywhere. Text becomes markup nowhere, whatever a script tries (trusted types).
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
    img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'; \
    require-trusted-types-for 'script'; trusted-types 'none'";

/// Names of the files' versions, from their content: an update is seen at the next look.
static TAGS: LazyLock<[String; 4]> = LazyLock::new(|| {
    FILES.map(|file| {
        let digest = Sha256::digest(file.content);
        let hex: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        format!("\"{hex}\"")
    })
});

/// The routes of the page's files.
pub(crate) fn routes() -> Vec<Route> {
    let row = |(file, at): (&File, usize)| {
        let handler = async move |headers: HeaderMap| serve(at, &headers);
        let media = file.media.split(';').next().unwrap_or_default();
        Route::get(file.path, "A file of the page", handler).open().tells(200, media, None)
    };
    FILES.iter().zip(0..).map(row).collect()
}

/// One file, or the word that the browser has it already.
fn serve(at: usize, headers: &HeaderMap) -> Response {
    let file = &FILES[at];
    let tag = TAGS[at].as_str();
    let known = headers.get_all(header::IF_NONE_MATCH).iter();
    let known = known
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.split(',').any(|own| own.trim().trim_start_matches("W/") == tag));
    let mut response = if known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        ([(header::CONTENT_TYPE, file.media)], file.content).into_response()
    };
    let rules = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        // Kept by the browser, and asked about at each look: the files' names stay the same.
        (header::CACHE_CONTROL, "no-cache"),
        (header::HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (header::HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    let own = response.headers_mut();
    for (name, value) in rules {
        own.insert(name, HeaderValue::from_static(value));
    }
    // The tag is hexadecimal digits in quotes, which a header may hold.
    if let Ok(tag) = HeaderValue::from_str(tag) {
        own.insert(header::ETAG, tag);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_names_its_files_and_no_other_place() {
        let page = std::str::from_utf8(FILES[0].content).unwrap();
        for file in &FILES[1..] {
            assert!(page.contains(&format!("\"{}\"", file.path)), "{}", file.path);
        }
        for file in &FILES {
            let text = std::str::from_utf8(file.content).unwrap();
            // Names of XML namespaces are no addresses: nobody opens them.
            let text = text.replace("http://www.w3.org/2000/svg", "");
            for place in ["http://", "https://", "//cdn", "@import", "sourceMappingURL", "url("] {
                let found = text.match_indices(place).map(|(at, _)| {
                    let end =
                        (at..=text.len().min(at + 60)).rev().find(|&i| text.is_char_boundary(i));
                    &text[at..end.unwrap_or(at)]
                });
                assert_eq!(found.collect::<Vec<_>>(), Vec::<&str>::new(), "{}", file.path);
            }
        }
        assert!(!page.contains("<style") && !page.contains("style="), "style inside the page");
        assert_eq!(page.matches("<script").count(), page.matches("src=\"/assets/").count());
    }

    #[test]
    fn the_page_is_small() {
        let all: usize = FILES.iter().map(|file| file.content.len()).sum();
        assert!(all < 150 << 10, "{all} bytes");
    }
}
