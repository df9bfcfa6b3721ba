//! One program for both: the model that the device shares, or one of its own where a file is named.
//!
//! ```text
//! cargo run --release -p either -- "Name a colour." model.gguf     # in this process
//! ONDINE_TOKEN=… cargo run -p either -- "Name a colour."           # the daemon
//! ```

use std::io::Write;

use ondine::Device;
use ondine::chat::{ChatError, Event, Message, Request, Sampling};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let text = arguments.next().ok_or("usage: either TEXT [MODEL.gguf]")?;
    // The one line that differs.
    let device = match arguments.next() {
        Some(file) => ondine::open(file)?,
        None => ondine::connect()?,
    };
    say(&device, &text, &mut std::io::stdout())?;
    Ok(())
}

/// Asks for one line, and stops listening where it ends: nothing is computed for nobody.
fn say(device: &Device, text: &str, out: &mut impl Write) -> Result<(), ondine::Error> {
    let (pieces, told) = std::sync::mpsc::channel();
    let sampling = Sampling { temperature: Some(0.0), ..Sampling::default() };
    let request =
        Request { sampling, max_tokens: Some(64), ..Request::new("", [Message::user(text)]) };
    device.chat().start(
        request,
        Box::new(move |event| match event {
            Event::Text { text, .. } => {
                let line = text.split('\n').next().unwrap_or_default().to_owned();
                let more = line.len() == text.len();
                pieces.send(Ok(line)).is_ok() && more
            }
            Event::Failed(error) => pieces.send(Err(error)).is_ok(),
            _ => true,
        }),
    )?;
    let written = |error: std::io::Error| ChatError::Internal(error.to_string());
    for piece in told {
        write!(out, "{}", piece?).and_then(|()| out.flush()).map_err(written)?;
    }
    writeln!(out).map_err(written)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_in_this_process_says_one_line_and_always_the_same() {
        let device = ondine::open("droplet").unwrap();
        let mut lines = [Vec::new(), Vec::new()];
        for line in &mut lines {
            say(&device, "fn add(", line).unwrap();
        }
        assert_eq!(lines[0], lines[1]);
        let text = String::from_utf8(lines[0].clone()).unwrap();
        assert_eq!(text.matches('\n').count(), 1, "{text:?}");
    }
}
