//! What a field, a variant or an argument says of itself: `#[guide(…)]`, `#[arg(…)]` and doc comments.

use proc_macro2::{Span, TokenStream as Code};
use quote::{ToTokens, quote};
use syn::meta::ParseNestedMeta;
use syn::{Attribute, Error, Expr, ExprRange, LitInt, LitStr, Result, Type};

/// What was said.
#[derive(Default)]
pub(crate) struct Guide {
    pub(crate) description: Option<String>,
    pub(crate) name: Option<LitStr>,
    pub(crate) tag: Option<LitStr>,
    pub(crate) depth: Option<LitInt>,
    pub(crate) default: Option<Expr>,
    range: Option<ExprRange>,
    count: Option<ExprRange>,
    length: Option<ExprRange>,
    pattern: Option<LitStr>,
}

/// Where a guide stands, and so what it may say.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// On a type that is derived.
    Type,
    /// On a variant of an enum.
    Variant,
    /// On a field.
    Field,
    /// On an argument of a tool.
    Argument,
}

impl Place {
    fn words(self) -> &'static [&'static str] {
        match self {
            Place::Type => &["description", "tag", "depth"],
            Place::Variant => &["description", "name"],
            Place::Field => &["description", "name", "range", "count", "length", "pattern"],
            Place::Argument => {
                &["description", "name", "range", "count", "length", "pattern", "default"]
            }
        }
    }

    fn attribute(self) -> &'static str {
        if self == Place::Argument { "arg" } else { "guide" }
    }
}

/// The text of doc comments, a paragraph's lines joined.
pub(crate) fn docs(attributes: &[Attribute]) -> Option<String> {
    let mut text = String::new();
    for attribute in attributes.iter().filter(|a| a.path().is_ident("doc")) {
        let syn::Meta::NameValue(pair) = &attribute.meta else { continue };
        let Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(line), .. }) = &pair.value else {
            continue;
        };
        let line = line.value();
        match line.trim() {
            "" if text.is_empty() => {}
            "" => text.push('\n'),
            line => {
                if !text.is_empty() && !text.ends_with('\n') {
                    text.push(' ');
                }
                text.push_str(line);
            }
        }
    }
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// Whether an attribute is one that [`Guide::read`] takes out.
pub(crate) fn is_own(attribute: &Attribute, place: Place) -> bool {
    attribute.path().is_ident(place.attribute())
        || (place == Place::Argument && attribute.path().is_ident("doc"))
}

impl Guide {
    /// Reads what attributes say in a place.
    pub(crate) fn read(attributes: &[Attribute], place: Place) -> Result<Guide> {
        let mut guide = Guide { description: docs(attributes), ..Guide::default() };
        for attribute in attributes.iter().filter(|a| a.path().is_ident(place.attribute())) {
            attribute.parse_nested_meta(|meta| guide.word(&meta, place))?;
        }
        Ok(guide)
    }

    fn word(&mut self, meta: &ParseNestedMeta<'_>, place: Place) -> Result<()> {
        let word = meta.path.get_ident().map(ToString::to_string).unwrap_or_default();
        if !place.words().contains(&word.as_str()) {
            let known = place.words().join(", ");
            return Err(meta.error(format!("expected one of: {known}")));
        }
        let value = meta.value()?;
        match word.as_str() {
            "description" => self.description = Some(value.parse::<LitStr>()?.value()),
            "name" => self.name = Some(value.parse()?),
            "tag" => self.tag = Some(value.parse()?),
            "depth" => self.depth = Some(value.parse()?),
            "default" => self.default = Some(value.parse()?),
            "pattern" => self.pattern = Some(value.parse()?),
            "range" => self.range = Some(range(value.parse()?)?),
            "count" => self.count = Some(range(value.parse()?)?),
            _ => self.length = Some(range(value.parse()?)?),
        }
        Ok(())
    }

    /// The name that JSON has for it.
    pub(crate) fn named(&self, plain: &str) -> String {
        self.name.as_ref().map_or_else(|| plain.to_owned(), LitStr::value)
    }

    /// Code that gives the schema of a type under this guide: an `Option<Value>`.
    pub(crate) fn schema(&self, of: &Type, app: &Code) -> Code {
        let made = quote!(#app::made);
        let mut schema = quote!(<#of as #app::Generable>::schema(scope));
        let rules = [
            (self.range.as_ref().map(ToTokens::to_token_stream), "Ranged", "range"),
            (self.count.as_ref().map(ToTokens::to_token_stream), "Counted", "count"),
            (self.length.as_ref().map(ToTokens::to_token_stream), "Worded", "length"),
            (self.pattern.as_ref().map(ToTokens::to_token_stream), "Worded", "pattern"),
        ];
        for (value, kind, verb) in rules {
            let Some(value) = value else { continue };
            let kind = syn::Ident::new(kind, Span::call_site());
            let verb = syn::Ident::new(verb, Span::call_site());
            schema = quote!({
                // A guide that its type has no use for does not compile.
                const fn is<T: #made::#kind>() {}
                is::<#of>();
                #made::#verb(#schema, #value)
            });
        }
        if let Some(text) = &self.description {
            schema = quote!(#made::described(#schema, #text));
        }
        schema
    }
}

fn range(expression: Expr) -> Result<ExprRange> {
    match expression {
        Expr::Range(range) if range.start.is_some() || range.end.is_some() => Ok(range),
        other => Err(Error::new_spanned(other, "expected a range such as 1..=5")),
    }
}

/// `SomeName` as `some_name`.
pub(crate) fn snake(name: &str) -> String {
    let mut text = String::new();
    let letters: Vec<char> = name.chars().collect();
    for (at, &letter) in letters.iter().enumerate() {
        let begins = letter.is_uppercase()
            && at > 0
            && (letters[at - 1].is_lowercase()
                || letters[at - 1].is_ascii_digit()
                || letters.get(at + 1).is_some_and(|next| next.is_lowercase()));
        if begins && !text.ends_with('_') {
            text.push('_');
        }
        text.extend(letter.to_lowercase());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_written_small() {
        for (name, wanted) in [
            ("Sunny", "sunny"),
            ("PartlyCloudy", "partly_cloudy"),
            ("HTTPError", "http_error"),
            ("Utf8Text", "utf8_text"),
            ("Already_Snake", "already_snake"),
        ] {
            assert_eq!(snake(name), wanted);
        }
    }
}
