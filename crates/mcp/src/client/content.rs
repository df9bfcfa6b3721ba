//! What comes of a call or a reading, made into text of a length. Pictures and sounds are named, not given:
//! what is asked here reads words.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ondine_app::ToolError;
use rmcp::model::{CallToolResult, ContentBlock, ResourceContents};

use crate::resources::Content;
use crate::words::tame;

/// The text of a result, or the error that it is.
pub(super) fn result(result: CallToolResult, most: usize) -> Result<String, ToolError> {
    let mut text = String::new();
    for block in &result.content {
        if !text.is_empty() {
            text.push('\n');
        }
        match block {
            ContentBlock::Text(block) => text += &block.text,
            ContentBlock::Image(image) => text += &named("image", &image.mime_type, &image.data),
            ContentBlock::Audio(audio) => text += &named("sound", &audio.mime_type, &audio.data),
            ContentBlock::Resource(inner) => match &inner.resource {
                ResourceContents::TextResourceContents { text: inner, .. } => text += inner,
                ResourceContents::BlobResourceContents { mime_type, blob, .. } => {
                    text += &named("file", mime_type.as_deref().unwrap_or_default(), blob);
                }
                _ => text += "[something unknown]",
            },
            ContentBlock::ResourceLink(link) => {
                text += &format!("[see the resource {}]", tame(&link.uri, 500, false));
            }
            _ => text += "[something unknown]",
        }
        if text.len() > most {
            break;
        }
    }
    if let (true, Some(value)) = (text.is_empty(), &result.structured_content) {
        text = value.to_string();
    }
    let text = cut(text, most);
    if result.is_error == Some(true) { Err(ToolError::Failed(text)) } else { Ok(text) }
}

/// What a resource holds, within bounds.
pub(super) fn resource(
    contents: Vec<ResourceContents>,
    most: usize,
) -> Result<Vec<Content>, String> {
    let mut left = most;
    let mut read = Vec::new();
    for content in contents {
        let (content, bytes) = match content {
            ResourceContents::TextResourceContents { text, .. } => {
                let bytes = text.len();
                (Content::Text(text), bytes)
            }
            ResourceContents::BlobResourceContents { blob, .. } => {
                let bytes =
                    STANDARD.decode(&blob).map_err(|error| format!("no base64: {error}"))?;
                let length = bytes.len();
                (Content::Bytes(bytes), length)
            }
            _ => return Err("contents of an unknown kind".into()),
        };
        left = left.checked_sub(bytes).ok_or_else(|| format!("more than {most} bytes"))?;
        read.push(content);
    }
    Ok(read)
}

fn named(what: &str, media: &str, base64: &str) -> String {
    format!("[{what}, {}, {} bytes, not shown]", tame(media, 80, false), base64.len() / 4 * 3)
}

/// Cuts a text that is too long, and says so.
fn cut(mut text: String, most: usize) -> String {
    if text.len() <= most {
        return text;
    }
    let mut end = most;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let over = text.len() - end;
    text.truncate(end);
    text + &format!("\n[… {over} bytes left out …]")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn results_become_text_of_a_length() {
        let rows: &[(Value, Result<&str, &str>)] = &[
            (
                json!({"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}),
                Ok("a\nb"),
            ),
            (json!({"content": [], "structuredContent": {"x": 1}}), Ok("{\"x\":1}")),
            (json!({"content": [{"type": "text", "text": "no"}], "isError": true}), Err("no")),
            (
                json!({"content": [{"type": "image", "data": "AAAA", "mimeType": "image/png\u{1b}"}]}),
                Ok("[image, image/png, 3 bytes, not shown]"),
            ),
            (
                json!({"content": [{"type": "text", "text": "名".repeat(100)}]}),
                Ok(concat!("名名名名名名名名名名名名名", "\n[… 261 bytes left out …]")),
            ),
        ];
        for (given, expected) in rows {
            let parsed: CallToolResult = serde_json::from_value(given.clone()).unwrap();
            let expected = match expected {
                Ok(text) => Ok((*text).to_owned()),
                Err(text) => Err(ToolError::Failed((*text).to_owned())),
            };
            assert_eq!(result(parsed, 40), expected, "{given}");
        }
    }
}
