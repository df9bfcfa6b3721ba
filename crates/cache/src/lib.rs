//! Key and value memory of a conversation, in pages.
