//! Grammars: what a generation may say next, as token masks. Knows no model.
