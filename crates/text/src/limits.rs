//! What untrusted templates, grammars and schemas may ask for. Every limit has a name here, and
//! the error that a caller sees carries that name. Knows nothing of what is limited.

/// Bytes of a chat template's source.
pub const TEMPLATE_BYTES_MAX: usize = 256 << 10;
/// Tokens within one `{{ }}` or `{% %}`: bounds how deep an expression can grow sideways.
pub const TEMPLATE_TAG_TOKENS_MAX: usize = 2_000;
/// Words within one tag that open a level each (`not`, `-`, `if … else …`).
pub const TEMPLATE_TAG_PREFIXES_MAX: usize = 128;
/// `elif` branches in a whole template: each is a level of nesting in the syntax tree.
pub const TEMPLATE_ELIFS_MAX: usize = 512;
/// Instructions that one rendering may run, before what its input adds.
pub const TEMPLATE_FUEL: u64 = 300_000;
/// Instructions that each string, number, list and object of the input adds.
pub const TEMPLATE_FUEL_PER_NODE: u64 = 500;
/// Frames of loops and macros within one another; a macro call costs five.
pub const TEMPLATE_RECURSION_MAX: usize = 320;
/// Bytes of strings and lists that one rendering may make in all, before what its input adds.
pub const TEMPLATE_WORK_BYTES: u64 = 4 << 20;
/// How many times the bytes of its input a rendering may make in addition.
pub const TEMPLATE_WORK_PER_INPUT_BYTE: u64 = 64;
/// Bytes of a rendered prompt.
pub const TEMPLATE_OUTPUT_BYTES_MAX: usize = 8 << 20;
/// Lists and objects within one another, in the input of a template or made by it.
pub const TEMPLATE_NESTING_MAX: usize = 128;

/// Bytes of a regular expression or a Lark grammar.
pub const GRAMMAR_BYTES_MAX: usize = 64 << 10;
/// Brackets within one another in a regular expression or a Lark grammar.
pub const GRAMMAR_NESTING_MAX: usize = 128;
/// The largest count in `x{m,n}`, and in a schema's `minLength`, `maxItems` and their like.
pub const GRAMMAR_REPETITIONS_MAX: u64 = 2_000;
/// Bytes of a JSON schema.
pub const SCHEMA_BYTES_MAX: usize = 256 << 10;
/// Objects and lists within one another in a JSON schema.
pub const SCHEMA_DEPTH_MAX: usize = 32;
