//! Chat templates: messages to text, as the Hugging Face libraries render them, with a mark on
//! every byte that did not come from the template. Knows no tokenizer, reads no clock, and lets no
//! template run, allocate or nest without bound.
//!
//! The template language is parsed and run by `minijinja`; `rewrite` hands every operation on
//! values to the modules here. They keep, for each string, which of its bytes are *quoted*: came
//! from the input and not from the template (the two exceptions are in `value::bring_in`).
//!
//! Why content can never open a turn: an occurrence of a control token in the rendered text either
//! consists of template bytes alone, or has a byte that came from the input. Such a byte entered
//! as part of a quoted string; every operation that copies a character copies its mark with it,
//! what an operation writes in place of a quoted character (its upper case, its escape) is quoted
//! as well, and captured output carries the marks as two characters that occur neither in the
//! source nor in the input. So the byte is quoted in the [`Prompt`], and the tokenizer does not
//! read a special token there. It does not matter whether the token came whole, in halves that the
//! template joins, or as the middle of what the template writes around it. Numbers and booleans
//! are not strings and carry no mark; no token is made of digits alone.

mod clock;
mod filters;
mod format;
mod json;
mod methods;
mod ops;
mod rewrite;
mod text;
mod value;
mod words;

use std::collections::BTreeMap;
use std::error::Error as _;
use std::sync::Arc;

use jiff::civil::DateTime;
use minijinja::machinery::{CodeGenerator, Token, eval, make_string_output, parse, tokenize};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Rest, ValueOrKwargs};
use minijinja::{AutoEscape, Environment, ErrorKind, State};

use crate::limits;
use crate::prompt::Prompt;
use ops::{Args, Cx, Op};
use value::{Failure, Run, Size};

/// Why a template could not be read or rendered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TemplateError {
    /// The source is not a template.
    #[error("chat template, line {line}: {message}")]
    Syntax {
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
    /// The template could not make sense of the input.
    #[error("chat template, line {line}: {message}")]
    Render {
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
    /// The template refused the input with `raise_exception`.
    #[error("the chat template refuses the conversation: {message}")]
    Raised {
        /// The template's words.
        message: String,
    },
    /// The template or its input asks for more than [`limits`] allow.
    #[error("chat template: over the limit on {what}")]
    TemplateLimit {
        /// The limit: `source`, `expression`, `fuel`, `recursion`, `work`, `output`, `nesting` …
        what: &'static str,
    },
}

/// A chat template.
///
/// ```
/// use ondine_text::template::Template;
/// let template = Template::new("{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% endfor %}")?;
/// let input = serde_json::json!({"messages": [{"role": "user", "content": "hi <|user|>"}]});
/// let prompt = template.render_prompt(&input, None, &["<|user|>"])?;
/// assert_eq!(prompt.text, "<|user|>hi <|user|>");
/// assert_eq!(prompt.quoted, vec![11..19]); // the second is what the user wrote
/// # Ok::<(), ondine_text::template::TemplateError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Template {
    source: String,
}

impl Template {
    /// Reads a template's source.
    pub fn new(source: &str) -> Result<Template, TemplateError> {
        if source.len() > limits::TEMPLATE_BYTES_MAX {
            return Err(TemplateError::TemplateLimit { what: "source" });
        }
        // As Jinja2 does with its default settings.
        let source = source.replace("\r\n", "\n").replace('\r', "\n");
        let source = without_generation(&source);
        check_shape(&source)?;
        let template = Template { source };
        template.compile(|_, _| Ok(()))?;
        Ok(template)
    }

    /// The template's source, with `generation` statements replaced.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Renders `input`: an object with `messages`, and whatever else the template reads (`tools`,
    /// `add_generation_prompt`, `bos_token`, `eos_token`, …). `strftime_now` exists only if `now`
    /// is given.
    pub fn render(
        &self,
        input: &serde_json::Value,
        now: Option<DateTime>,
    ) -> Result<String, TemplateError> {
        self.render_quoted(input, now).map(|prompt| prompt.text)
    }

    /// Renders `input` and says which bytes came from it, as far as it matters to
    /// `control_tokens`: a tokenizer may read one of these only where it touches no quoted byte.
    pub fn render_prompt(
        &self,
        input: &serde_json::Value,
        now: Option<DateTime>,
        control_tokens: &[&str],
    ) -> Result<Prompt, TemplateError> {
        Ok(self.render_quoted(input, now)?.narrowed(control_tokens))
    }

    /// Renders `input` and says which bytes came from it, every one.
    pub fn render_quoted(
        &self,
        input: &serde_json::Value,
        now: Option<DateTime>,
    ) -> Result<Prompt, TemplateError> {
        let size = Size::of(input)?;
        let work = limits::TEMPLATE_WORK_BYTES
            + size.bytes * limits::TEMPLATE_WORK_PER_INPUT_BYTE
            + size.nodes * 1024;
        let run = Arc::new(Run::new(work, now, self.marks(input)?));
        let fuel = limits::TEMPLATE_FUEL + size.nodes * limits::TEMPLATE_FUEL_PER_NODE;
        let env = environment(&run, fuel);
        let root = value::bring_in(&run, input).map_err(|error| render_error(&error))?;
        let mut out = String::new();
        self.compile(|instructions, blocks| {
            let mut output = make_string_output(&mut out);
            eval(&env, instructions, root, blocks, &mut output, AutoEscape::None)
                .map(|_| ())
                .map_err(|error| render_error(&error))
        })?;
        let (text, quoted) = ops::lift(&out, run.marks).into_parts();
        if text.len() > limits::TEMPLATE_OUTPUT_BYTES_MAX {
            return Err(TemplateError::TemplateLimit { what: "output" });
        }
        Ok(Prompt { text, quoted })
    }

    /// Parses, rewrites and compiles the source, and hands the result on. What is compiled borrows
    /// the source, so it is made anew for each rendering: a fraction of a millisecond, beside a
    /// prompt that takes the model many.
    fn compile<T>(
        &self,
        then: impl FnOnce(
            &minijinja::machinery::Instructions<'_>,
            &BTreeMap<&str, minijinja::machinery::Instructions<'_>>,
        ) -> Result<T, TemplateError>,
    ) -> Result<T, TemplateError> {
        let tree = parse(&self.source, "chat template", syntax())
            .and_then(|tree| rewrite::template(&tree))
            .map_err(|error| syntax_error(&error))?;
        let mut generator = CodeGenerator::new("chat template", &self.source);
        generator.compile_stmt(&tree);
        let (instructions, blocks) = generator.finish();
        then(&instructions, &blocks)
    }

    /// Two characters that neither the source nor the input holds.
    fn marks(&self, input: &serde_json::Value) -> Result<(char, char), TemplateError> {
        fn scan(json: &serde_json::Value, taken: &mut impl FnMut(&str)) {
            match json {
                serde_json::Value::String(s) => taken(s),
                serde_json::Value::Array(items) => items.iter().for_each(|i| scan(i, taken)),
                serde_json::Value::Object(map) => map.iter().for_each(|(key, value)| {
                    taken(key);
                    scan(value, taken);
                }),
                _ => {}
            }
        }
        // Noncharacters first, which no text should hold; then a private plane.
        let candidates = ('\u{fdd0}'..='\u{fdef}').chain('\u{f0000}'..='\u{f00ff}');
        let mut free: Vec<char> = candidates.collect();
        let mut taken = |s: &str| {
            if s.bytes().any(|b| b == 0xef || b == 0xf3) {
                free.retain(|c| !s.contains(*c));
            }
        };
        taken(&self.source);
        scan(input, &mut taken);
        match free[..] {
            [open, close, ..] => Ok((open, close)),
            _ => Err(TemplateError::TemplateLimit { what: "private characters in the input" }),
        }
    }
}

impl From<Failure> for TemplateError {
    fn from(failure: Failure) -> TemplateError {
        match failure {
            Failure::Limit(what) => TemplateError::TemplateLimit { what },
            Failure::Raised(message) => TemplateError::Raised { message },
        }
    }
}

/// The Hugging Face settings.
fn syntax() -> SyntaxConfig {
    let mut builder = SyntaxConfig::builder();
    builder.trim_blocks(true).lstrip_blocks(true);
    builder.build().unwrap_or_default()
}

/// `{% generation %}` marks what a model wrote, for training. For rendering it is a plain scope,
/// which `with` is as well.
fn without_generation(source: &str) -> String {
    if !source.contains("generation") {
        return source.to_owned();
    }
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(at) = rest.find("{%") {
        let (before, tag) = rest.split_at(at);
        out.push_str(before);
        let inner = tag[2..].trim_start_matches(['-', '+']);
        let word = inner.trim_start();
        let found = [("endgeneration", "endwith"), ("generation", "with")]
            .into_iter()
            .find(|(word_is, _)| word.starts_with(word_is));
        match found {
            Some((name, instead))
                if word[name.len()..]
                    .trim_start()
                    .trim_start_matches(['-', '+'])
                    .starts_with("%}") =>
            {
                out.push_str(&tag[..tag.len() - word.len()]);
                out.push_str(instead);
                rest = &word[name.len()..];
            }
            _ => {
                out.push_str("{%");
                rest = &tag[2..];
            }
        }
    }
    out.push_str(rest);
    out
}

/// Refuses sources whose syntax tree would be deeper than a stack: the parser counts brackets and
/// blocks, but not operators in a row.
fn check_shape(source: &str) -> Result<(), TemplateError> {
    let (mut tokens, mut prefixes, mut elifs) = (0, 0, 0);
    for token in tokenize(source, false, syntax()) {
        let (token, _) = token.map_err(|error| syntax_error(&error))?;
        tokens += 1;
        match token {
            Token::VariableStart | Token::BlockStart => (tokens, prefixes) = (0, 0),
            Token::Minus | Token::Ident("not" | "else" | "if") => prefixes += 1,
            Token::Ident("elif") => elifs += 1,
            _ => {}
        }
        if tokens > limits::TEMPLATE_TAG_TOKENS_MAX
            || prefixes > limits::TEMPLATE_TAG_PREFIXES_MAX
            || elifs > limits::TEMPLATE_ELIFS_MAX
        {
            return Err(TemplateError::TemplateLimit { what: "expression" });
        }
    }
    Ok(())
}

/// The engine with our operations for its own, and nothing else: no loader, no clock, no chance.
fn environment(run: &Arc<Run>, fuel: u64) -> Environment<'static> {
    let bind = |op: Op| {
        let run = Arc::clone(run);
        move |state: &mut State<'_, '_>, values: Rest<ValueOrKwargs>| {
            op(&mut Cx { run: &run, state }, &Args::new(values.into_values()))
        }
    };
    let mut env = Environment::empty();
    env.set_syntax(syntax());
    env.set_fuel(Some(fuel));
    env.set_recursion_limit(limits::TEMPLATE_RECURSION_MAX);
    for (name, op) in ops::OPERATORS.iter().chain(filters::FILTERS) {
        env.add_filter(*name, bind(*op));
    }
    for (name, op) in filters::TESTS {
        let op = bind(*op);
        env.add_test(*name, move |state: &mut State<'_, '_>, values: Rest<ValueOrKwargs>| {
            op(state, values).map(|value| value.is_true())
        });
    }
    // An empty literal has no subject, so it is a call.
    let literals =
        ops::OPERATORS.iter().filter(|(name, _)| ["$list", "$tuple", "$dict"].contains(name));
    for (name, op) in literals.chain(filters::FUNCTIONS) {
        env.add_function(*name, bind(*op));
    }
    if run.now.is_some() {
        env.add_function("strftime_now", bind(filters::strftime_now));
    }
    let run = Arc::clone(run);
    env.set_formatter(move |out, _, value| {
        let text = value::print(&run, value)?;
        let (open, close) = run.marks;
        let text = text.as_str();
        for (piece, quoted) in text.pieces(0..text.s.len()) {
            let written =
                if quoted { write!(out, "{open}{piece}{close}") } else { out.write_str(piece) };
            written.map_err(minijinja::Error::from)?;
        }
        Ok(())
    });
    env
}

fn limit_of(error: &minijinja::Error) -> Option<TemplateError> {
    let mut source = error.source();
    while let Some(inner) = source {
        if let Some(failure) = inner.downcast_ref::<Failure>() {
            return Some(failure.clone().into());
        }
        source = inner.source();
    }
    if error.kind() == ErrorKind::OutOfFuel {
        return Some(TemplateError::TemplateLimit { what: "fuel" });
    }
    let detail = error.detail().unwrap_or_default();
    detail.contains("recursion limit").then_some(TemplateError::TemplateLimit { what: "recursion" })
}

fn describe(error: &minijinja::Error) -> (usize, String) {
    let message = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
    (error.line().unwrap_or(0), message)
}

fn syntax_error(error: &minijinja::Error) -> TemplateError {
    limit_of(error).unwrap_or_else(|| {
        let (line, message) = describe(error);
        TemplateError::Syntax { line, message }
    })
}

fn render_error(error: &minijinja::Error) -> TemplateError {
    limit_of(error).unwrap_or_else(|| {
        let (line, message) = describe(error);
        TemplateError::Render { line, message }
    })
}
