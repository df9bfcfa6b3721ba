//! Chat templates: messages to text. Knows no tokenizer.
