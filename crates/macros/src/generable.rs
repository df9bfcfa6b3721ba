//! `#[derive(Generable)]`: what a model can write, as a schema, and how it is read again, whole or while
//! it is still being written.

use proc_macro2::{Span, TokenStream as Code};
use quote::{format_ident, quote};
use syn::{Data, DataEnum, DeriveInput, Error, Field, Fields, Ident, Result, Type, Visibility};

use crate::guide::{Guide, Place, snake};

/// What a union's values carry their variant's name under, where nothing else is said.
const TAG: &str = "kind";
/// How many of a type may stand within one another, where nothing else is said.
const DEPTH: usize = 3;

/// A field with what is known of it.
struct Part<'a> {
    ident: &'a Ident,
    of: &'a Type,
    name: String,
    guide: Guide,
}

/// Code for the derive.
pub(crate) fn derive(input: Code, app: &Code) -> Result<Code> {
    let input: DeriveInput = syn::parse2(input)?;
    if !input.generics.params.is_empty() {
        let what = "a type with parameters has no schema of its own; name the type it is made of";
        return Err(Error::new_spanned(&input.generics, what));
    }
    let guide = Guide::read(&input.attrs, Place::Type)?;
    let body = match &input.data {
        Data::Struct(data) => match &data.fields {
            Fields::Named(fields) => record(&input, &guide, fields.named.iter(), app)?,
            Fields::Unnamed(fields) if fields.unnamed.len() == 1 => {
                newtype(&fields.unnamed[0], &guide, app)?
            }
            Fields::Unnamed(fields) => {
                return Err(Error::new_spanned(fields, "a model writes names: name the fields"));
            }
            Fields::Unit => {
                return Err(Error::new_spanned(&input.ident, "there is nothing to write"));
            }
        },
        Data::Enum(data) if data.variants.is_empty() => {
            return Err(Error::new_spanned(&input.ident, "there is nothing to write"));
        }
        Data::Enum(data) if data.variants.iter().all(|v| matches!(v.fields, Fields::Unit)) => {
            choice(data, &guide, app)?
        }
        Data::Enum(data) => union(&input, data, &guide, app)?,
        Data::Union(data) => {
            return Err(Error::new_spanned(data.union_token, "expected a struct or an enum"));
        }
    };
    let Body { partial_type, partial, schema, read, glimpse } = body;
    let name = &input.ident;
    let depth = match &guide.depth {
        Some(depth) => depth.base10_parse::<usize>()?,
        None => DEPTH,
    };
    let described = guide.description.iter();
    Ok(quote! {
        #partial_type
        impl #app::Generable for #name {
            type Partial = #partial;

            fn schema(scope: &mut #app::Scope) -> ::std::option::Option<#app::made::Value> {
                let schema = scope.within(
                    ::std::any::type_name::<Self>(),
                    #depth,
                    |scope: &mut #app::Scope| -> ::std::option::Option<#app::made::Value> { #schema },
                );
                #(let schema = #app::made::described(schema, #described);)*
                schema
            }

            fn read(value: &#app::made::Value) -> ::std::result::Result<Self, #app::Misfit> {
                #read
            }

            fn glimpse(draft: &#app::Draft) -> ::std::option::Option<Self::Partial> {
                #glimpse
            }
        }
    })
}

/// The parts of an implementation that differ.
struct Body {
    partial_type: Code,
    partial: Code,
    schema: Code,
    read: Code,
    glimpse: Code,
}

fn parts<'a>(fields: impl Iterator<Item = &'a Field>) -> Result<Vec<Part<'a>>> {
    let mut parts: Vec<Part<'a>> = Vec::new();
    for field in fields {
        let guide = Guide::read(&field.attrs, Place::Field)?;
        let Some(ident) = &field.ident else {
            return Err(Error::new_spanned(field, "a model writes names: name the fields"));
        };
        let plain = ident.to_string();
        let name = guide.named(plain.strip_prefix("r#").unwrap_or(&plain));
        if parts.iter().any(|part| part.name == name) {
            return Err(Error::new_spanned(field, format!("a second field named {name:?}")));
        }
        parts.push(Part { ident, of: &field.ty, name, guide });
    }
    Ok(parts)
}

/// Code that adds the fields' schemas to `fields`.
fn fields_schema(parts: &[Part<'_>], app: &Code) -> Code {
    let rows = parts.iter().map(|part| {
        let (name, schema) = (&part.name, part.guide.schema(part.of, app));
        quote!(fields.push((#name, #schema?, true));)
    });
    quote!(#(#rows)*)
}

/// Code for the fields of a braced value that is read from `value`.
fn fields_read(parts: &[Part<'_>], app: &Code) -> Code {
    let rows = parts
        .iter()
        .map(|Part { ident, name, .. }| quote!(#ident: #app::made::field(value, #name)?));
    quote!(#(#rows),*)
}

/// The same from `draft`.
fn fields_glimpse(parts: &[Part<'_>], app: &Code) -> Code {
    let rows = parts.iter().map(
        |Part { ident, name, of, .. }| quote!(#ident: #app::made::glimpsed::<#of>(draft, #name)),
    );
    quote!(#(#rows),*)
}

/// Declarations of a partial's fields.
fn fields_partial(parts: &[Part<'_>], sight: &Code, app: &Code) -> Code {
    let rows = parts.iter().map(|Part { ident, of, name, .. }| {
        let doc = format!("`{name}`, as far as it is written.");
        quote!(#[doc = #doc] #sight #ident: ::std::option::Option<<#of as #app::Generable>::Partial>)
    });
    quote!(#(#rows),*)
}

fn record<'a>(
    input: &DeriveInput,
    _: &Guide,
    fields: impl Iterator<Item = &'a Field>,
    app: &Code,
) -> Result<Body> {
    let parts = parts(fields)?;
    let (name, visibility) = (&input.ident, &input.vis);
    let partial = format_ident!("{name}Partial", span = Span::call_site());
    let doc = format!("A [`{name}`] while it is being written.");
    // As visible as the type, so that whoever sees the one sees into the other.
    let sight = match visibility {
        Visibility::Inherited => quote!(),
        seen => quote!(#seen),
    };
    let declared = fields_partial(&parts, &sight, app);
    let (schema, read, glimpse) =
        (fields_schema(&parts, app), fields_read(&parts, app), fields_glimpse(&parts, app));
    Ok(Body {
        partial_type: quote! {
            #[doc = #doc]
            #[derive(Clone, Debug, Default, PartialEq)]
            #[allow(dead_code)]
            #visibility struct #partial { #declared }
        },
        partial: quote!(#partial),
        schema: quote! {
            #[allow(unused_mut)]
            let mut fields = ::std::vec::Vec::new();
            #schema
            ::std::option::Option::Some(#app::made::object(fields))
        },
        read: quote! {
            #app::made::is_object(value)?;
            ::std::result::Result::Ok(Self { #read })
        },
        glimpse: quote! {
            if !draft.is_record() { return ::std::option::Option::None; }
            ::std::option::Option::Some(#partial { #glimpse })
        },
    })
}

fn newtype(field: &Field, _: &Guide, app: &Code) -> Result<Body> {
    let (of, guide) = (&field.ty, Guide::read(&field.attrs, Place::Field)?);
    let schema = guide.schema(of, app);
    Ok(Body {
        partial_type: quote!(),
        partial: quote!(<#of as #app::Generable>::Partial),
        schema,
        read: quote!(<#of as #app::Generable>::read(value).map(Self)),
        glimpse: quote!(<#of as #app::Generable>::glimpse(draft)),
    })
}

fn choice(data: &DataEnum, _: &Guide, app: &Code) -> Result<Body> {
    let mut names: Vec<String> = Vec::new();
    let mut idents = Vec::new();
    for variant in &data.variants {
        let guide = Guide::read(&variant.attrs, Place::Variant)?;
        let name = guide.named(&snake(&variant.ident.to_string()));
        if names.contains(&name) {
            return Err(Error::new_spanned(variant, format!("a second variant named {name:?}")));
        }
        names.push(name);
        idents.push(&variant.ident);
    }
    let arms = |text: Code| {
        quote!(match #text { #(::std::option::Option::Some(#names) =>
            ::std::option::Option::Some(Self::#idents),)* _ => ::std::option::Option::None })
    };
    let (whole, drafted) = (arms(quote!(value.as_str())), arms(quote!(draft.whole_text())));
    Ok(Body {
        partial_type: quote!(),
        partial: quote!(Self),
        schema: quote!(::std::option::Option::Some(#app::made::choice(&[#(#names),*]))),
        read: quote!(#whole.ok_or_else(|| #app::made::no_choice(value, &[#(#names),*]))),
        glimpse: drafted,
    })
}

fn union(input: &DeriveInput, data: &DataEnum, guide: &Guide, app: &Code) -> Result<Body> {
    let (name, visibility) = (&input.ident, &input.vis);
    let tag = guide.tag.as_ref().map_or_else(|| TAG.to_owned(), syn::LitStr::value);
    let partial = format_ident!("{name}Partial", span = Span::call_site());
    let (mut names, mut schemas, mut reads, mut glimpses, mut declared) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for variant in &data.variants {
        let guide = Guide::read(&variant.attrs, Place::Variant)?;
        let called = guide.named(&snake(&variant.ident.to_string()));
        if names.contains(&called) {
            return Err(Error::new_spanned(variant, format!("a second variant named {called:?}")));
        }
        let ident = &variant.ident;
        let doc = format!("A [`{name}::{ident}`], as far as it is written.");
        let value = Ident::new("value", Span::call_site());
        let parts = match &variant.fields {
            Fields::Named(fields) => parts(fields.named.iter())?,
            Fields::Unit => Vec::new(),
            Fields::Unnamed(fields) if fields.unnamed.len() == 1 => {
                let field = &fields.unnamed[0];
                let guide = Guide::read(&field.attrs, Place::Field)?;
                vec![Part { ident: &value, of: &field.ty, name: "value".into(), guide }]
            }
            Fields::Unnamed(fields) => {
                return Err(Error::new_spanned(fields, "a model writes names: name the fields"));
            }
        };
        if parts.iter().any(|part| part.name == tag) {
            let what = format!("{tag:?} is where the variant's name stands; see guide(tag = …)");
            return Err(Error::new_spanned(variant, what));
        }
        let added = fields_schema(&parts, app);
        let described = guide.description.iter();
        // A variant that would nest too deeply is no choice any more; the others are.
        schemas.push(quote! {
            variants.extend((|| {
                let mut fields = ::std::vec![(#tag, #app::made::only(#called), true)];
                #added
                let schema = ::std::option::Option::Some(#app::made::object(fields));
                #(let schema = #app::made::described(schema, #described);)*
                schema
            })());
        });
        let (read, glimpse, shown);
        if matches!(variant.fields, Fields::Unnamed(_)) {
            let of = parts[0].of;
            read = quote!(Self::#ident(#app::made::field(value, "value")?));
            glimpse = quote!(#partial::#ident(#app::made::glimpsed::<#of>(draft, "value")));
            shown = quote!(#ident(::std::option::Option<<#of as #app::Generable>::Partial>));
        } else {
            let (fields_r, fields_g) = (fields_read(&parts, app), fields_glimpse(&parts, app));
            let fields_d = fields_partial(&parts, &quote!(), app);
            read = quote!(Self::#ident { #fields_r });
            glimpse = quote!(#partial::#ident { #fields_g });
            shown = quote!(#ident { #fields_d });
        }
        reads
            .push(quote!(::std::option::Option::Some(#called) => ::std::result::Result::Ok(#read)));
        glimpses.push(quote!(#called => ::std::option::Option::Some(#glimpse)));
        declared.push(quote!(#[doc = #doc] #shown));
        names.push(called);
    }
    let doc = format!("A [`{name}`] while it is being written.");
    Ok(Body {
        partial_type: quote! {
            #[doc = #doc]
            #[derive(Clone, Debug, PartialEq)]
            #[allow(dead_code)]
            #visibility enum #partial { #(#declared),* }
        },
        partial: quote!(#partial),
        schema: quote! {
            let mut variants = ::std::vec::Vec::new();
            #(#schemas)*
            #app::made::any_of(variants)
        },
        read: quote! {
            #app::made::is_object(value)?;
            match value[#tag].as_str() {
                #(#reads,)*
                _ => ::std::result::Result::Err(
                    #app::made::no_choice(&value[#tag], &[#(#names),*]).under(#tag)
                ),
            }
        },
        glimpse: quote! {
            match draft.get(#tag)?.whole_text()? {
                #(#glimpses,)*
                _ => ::std::option::Option::None,
            }
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(input: Code) -> String {
        derive(input, &quote!(::app)).expect_err("it is wrong").to_string()
    }

    #[test]
    fn what_has_no_schema_says_why() {
        let rows = [
            (
                quote!(
                    struct T;
                ),
                "nothing to write",
            ),
            (
                quote!(
                    enum T {}
                ),
                "nothing to write",
            ),
            (
                quote!(
                    struct T<A> {
                        a: A,
                    }
                ),
                "parameters",
            ),
            (
                quote!(
                    struct T(u8, u8);
                ),
                "name the fields",
            ),
            (
                quote!(
                    enum T {
                        A(u8, u8),
                    }
                ),
                "name the fields",
            ),
            (quote!(union T { a: u8 }), "struct or an enum"),
            (
                quote!(
                    enum T {
                        A { kind: u8 },
                    }
                ),
                "guide(tag",
            ),
            (
                quote!(
                    struct T {
                        #[guide(range = 5)]
                        a: u8,
                    }
                ),
                "range such as",
            ),
            (
                quote!(
                    struct T {
                        #[guide(range = ..)]
                        a: u8,
                    }
                ),
                "range such as",
            ),
            (
                quote!(
                    struct T {
                        #[guide(rnage = 1..5)]
                        a: u8,
                    }
                ),
                "expected one of: description, name",
            ),
            (
                quote!(
                    struct T {
                        #[guide(name = "b")]
                        a: u8,
                        b: u8,
                    }
                ),
                "a second field",
            ),
            (
                quote!(
                    enum T {
                        Ab,
                        #[guide(name = "ab")]
                        B,
                    }
                ),
                "a second variant",
            ),
            (
                quote!(
                    struct T {
                        #[guide(default = 1)]
                        a: u8,
                    }
                ),
                "expected one of",
            ),
        ];
        for (input, words) in rows {
            let said = wrong(input.clone());
            assert!(said.contains(words), "{input}: {said}");
        }
    }
}
