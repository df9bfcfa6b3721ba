//! Answers on their way as they come: an API's encoder turns events into bytes, and this file
//! turns those into a response that shows signs of life. It knows no API's shapes.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, header};
use axum::response::Response;
use futures_util::stream;
use ondine_chat::Event;
use tokio::sync::OwnedSemaphorePermit;

use crate::feed::Feed;

/// The media type of server-sent events, without their encoding.
pub(crate) const SSE: &str = "text/event-stream";

/// Writes an API's stream.
pub(crate) trait Encode: Send + 'static {
    /// What comes before the first event.
    fn begin(&mut self, _: &mut String) {}

    /// An event of the answer with this index. `Failed` is the last that comes.
    fn event(&mut self, index: usize, event: Event, out: &mut String);

    /// What comes after the last event, where none failed.
    fn end(&mut self, out: &mut String);

    /// What is sent when nothing else is; nothing where the API has no word for it.
    fn alive(&self) -> &'static str {
        ": still here\n\n"
    }

    /// The media type.
    fn media(&self) -> &'static str {
        "text/event-stream; charset=utf-8"
    }
}

/// One event of a server-sent stream. JSON in one line has no line breaks that would end it.
pub(crate) fn sse(out: &mut String, name: Option<&str>, data: &serde_json::Value) {
    if let Some(name) = name {
        *out += "event: ";
        *out += name;
        *out += "\n";
    }
    *out += "data: ";
    *out += &data.to_string();
    *out += "\n\n";
}

struct Streaming<E> {
    feed: Feed,
    encode: E,
    begun: bool,
    over: bool,
    failed: bool,
    keep_alive: Duration,
    /// The request's place among those being answered, free when the stream ends.
    _place: OwnedSemaphorePermit,
}

/// The response that streams a feed.
pub(crate) fn response(
    feed: Feed,
    encode: impl Encode,
    keep_alive: Duration,
    place: OwnedSemaphorePermit,
) -> Response {
    let media = HeaderValue::from_static(encode.media());
    let streaming = Streaming {
        feed,
        encode,
        begun: false,
        over: false,
        failed: false,
        keep_alive,
        _place: place,
    };
    let pieces = stream::unfold(streaming, |mut streaming| async move {
        let piece = streaming.piece().await?;
        Some((Ok::<Bytes, Infallible>(Bytes::from(piece)), streaming))
    });
    let mut response = Response::new(Body::from_stream(pieces));
    response.headers_mut().insert(header::CONTENT_TYPE, media);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

impl<E: Encode> Streaming<E> {
    /// The next bytes; `None` after the last.
    async fn piece(&mut self) -> Option<String> {
        let mut out = String::new();
        if !self.begun {
            self.begun = true;
            self.encode.begin(&mut out);
        }
        while out.is_empty() {
            if self.over {
                return None;
            }
            tokio::select! {
                event = self.feed.next() => match event {
                    Some((index, event)) => {
                        self.failed |= matches!(event, Event::Failed(_));
                        self.encode.event(index, event, &mut out);
                    }
                    None => {
                        self.over = true;
                        if !self.failed {
                            self.encode.end(&mut out);
                        }
                    }
                },
                () = tokio::time::sleep(self.keep_alive) => out += self.encode.alive(),
            }
        }
        Some(out)
    }
}
