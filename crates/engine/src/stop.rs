//! Stop strings over a stream of text pieces. Knows no tokens.
//!
//! A stop string may begin in one piece and end in another, so the end of the text that could be
//! the beginning of a stop string is held back until the next piece decides.

/// Watches a stream for stop strings.
#[derive(Debug)]
pub(crate) struct StopFilter {
    stops: Vec<String>,
    held: String,
}

impl StopFilter {
    /// Empty stop strings would stop everything before it began; they are left out.
    pub(crate) fn new(stops: Vec<String>) -> StopFilter {
        let stops = stops.into_iter().filter(|stop| !stop.is_empty()).collect();
        StopFilter { stops, held: String::new() }
    }

    /// Adds a piece. Gives the text that is safe to show, and whether a stop string was found; the
    /// text then ends before it. Of several it is the one that is complete first, so that the
    /// answer does not hang on where the pieces were cut.
    pub(crate) fn push(&mut self, piece: &str) -> (String, bool) {
        let mut text = std::mem::take(&mut self.held);
        text.push_str(piece);
        let found = |stop: &String| text.find(stop.as_str()).map(|at| (at + stop.len(), at));
        if let Some((_, at)) = self.stops.iter().filter_map(found).min() {
            text.truncate(at);
            return (text, true);
        }
        let hold = self.stops.iter().map(|stop| overlap(&text, stop)).max().unwrap_or(0);
        self.held = text.split_off(text.len() - hold);
        (text, false)
    }

    /// The text still held back: the stream ended, so it was not the beginning of a stop string.
    pub(crate) fn flush(&mut self) -> String {
        std::mem::take(&mut self.held)
    }
}

/// Bytes of the longest end of `text` that `stop` begins with.
fn overlap(text: &str, stop: &str) -> usize {
    (1..stop.len())
        .rev()
        .find(|&n| stop.is_char_boundary(n) && text.ends_with(&stop[..n]))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What was shown and whether the stream was stopped, for one cut of the text into pieces.
    fn run(stops: &[&str], pieces: &[&str]) -> (String, bool) {
        let mut filter = StopFilter::new(stops.iter().map(|stop| stop.to_string()).collect());
        let mut shown = String::new();
        for piece in pieces {
            let (text, stopped) = filter.push(piece);
            shown.push_str(&text);
            if stopped {
                return (shown, true);
            }
        }
        shown.push_str(&filter.flush());
        (shown, false)
    }

    #[test]
    fn every_cut_of_the_text_gives_the_same_answer() {
        let rows: &[(&[&str], &str, &str, bool)] = &[
            (&["STOP"], "one STOP two", "one ", true),
            (&["STOP"], "one STO two", "one STO two", false),
            (&["STOP"], "ends with ST", "ends with ST", false),
            (&["aab"], "aaab", "a", true),
            (&["abab"], "ababab", "", true),
            (&["\n\n", "\nUser:"], "hi\nUser: x", "hi", true),
            (&["\n\n", "\nUser:"], "hi\nUsed", "hi\nUsed", false),
            (&["b", "abc"], "xabc", "xa", true),
            (&["ab", "aab"], "xaab", "x", true),
            (&["语言"], "自然语言", "自然", true),
            (&["语言"], "自然语", "自然语", false),
            (&["é"], "cafe", "cafe", false),
            (&[""], "text", "text", false),
            (&[], "text", "text", false),
        ];
        for (stops, text, shown, stopped) in rows {
            let wanted = (shown.to_string(), *stopped);
            let cuts: Vec<usize> =
                (0..=text.len()).filter(|at| text.is_char_boundary(*at)).collect();
            for &a in &cuts {
                for &b in cuts.iter().filter(|b| **b >= a) {
                    let pieces = [&text[..a], &text[a..b], &text[b..]];
                    let got = run(stops, &pieces);
                    assert_eq!(got, wanted, "{stops:?} in {pieces:?}");
                }
            }
        }
    }
}
