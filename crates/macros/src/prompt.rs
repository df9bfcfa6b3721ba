//! `#[derive(Prompt)]`: a struct becomes the turns of a conversation, its fields their slots.

use std::collections::BTreeSet;

use proc_macro2::{Span, TokenStream as Code};
use quote::quote;
use syn::{Data, DeriveInput, Error, Fields, Ident, LitStr, Result};

use crate::slots::{Piece, pieces};

const ROLES: &[&str] = &["system", "user", "assistant"];

/// Code for the derive.
pub(crate) fn derive(input: Code, app: &Code) -> Result<Code> {
    let input: DeriveInput = syn::parse2(input)?;
    let Data::Struct(data) = &input.data else {
        return Err(Error::new_spanned(&input.ident, "a prompt is a struct"));
    };
    let fields: Vec<&Ident> = match &data.fields {
        Fields::Named(fields) => fields.named.iter().filter_map(|f| f.ident.as_ref()).collect(),
        Fields::Unit => Vec::new(),
        Fields::Unnamed(fields) => {
            return Err(Error::new_spanned(fields, "slots have names: so do the fields"));
        }
    };
    let turns = turns(&input)?;
    let mut used = BTreeSet::new();
    let mut written = Vec::new();
    for (role, text) in &turns {
        let wrong = |what: String| Error::new_spanned(text, what);
        let mut parts = Vec::new();
        for piece in pieces(&text.value()).map_err(wrong)? {
            parts.push(match piece {
                Piece::Words(words) => quote!(text.push_str(#words);),
                Piece::Slot(name) => {
                    let Some(field) = fields.iter().find(|field| field.to_string() == name) else {
                        let names: Vec<String> = fields.iter().map(ToString::to_string).collect();
                        let there = match names.is_empty() {
                            true => "the struct has no fields".to_owned(),
                            false => format!("there are: {}", names.join(", ")),
                        };
                        return Err(wrong(format!("no field {name:?} for this slot; {there}")));
                    };
                    used.insert(name);
                    quote!(#app::made::fill(&mut text, &self.#field);)
                }
            });
        }
        let role = Ident::new(role, Span::call_site());
        written.push(quote!({
            #[allow(unused_mut)]
            let mut text = ::std::string::String::new();
            #(#parts)*
            #app::chat::Message::#role(text)
        }));
    }
    if let Some(idle) = fields.iter().find(|field| !used.contains(&field.to_string())) {
        let what = format!("no slot {{{idle}}} in any text of the prompt: the field is never used");
        return Err(Error::new_spanned(idle, what));
    }
    let name = &input.ident;
    let (generics, arguments, bounds) = input.generics.split_for_impl();
    Ok(quote! {
        impl #generics #app::Prompt for #name #arguments #bounds {
            fn messages(&self) -> ::std::vec::Vec<#app::chat::Message> {
                ::std::vec![#(#written),*]
            }
        }
    })
}

/// Roles and texts, in order.
fn turns(input: &DeriveInput) -> Result<Vec<(String, LitStr)>> {
    let mut turns: Vec<(String, LitStr)> = Vec::new();
    for attribute in input.attrs.iter().filter(|a| a.path().is_ident("prompt")) {
        attribute.parse_nested_meta(|meta| {
            let role = meta.path.get_ident().map(ToString::to_string).unwrap_or_default();
            if !ROLES.contains(&role.as_str()) {
                return Err(meta.error(format!("expected a role: {}", ROLES.join(", "))));
            }
            if role == "system" && !turns.is_empty() {
                return Err(meta.error("the system speaks first, and once"));
            }
            turns.push((role, meta.value()?.parse()?));
            Ok(())
        })?;
    }
    match turns.last() {
        None => {
            let what = "what is said? write #[prompt(system = \"…\", user = \"…\")]";
            Err(Error::new_spanned(&input.ident, what))
        }
        Some((role, text)) if role != "user" => {
            Err(Error::new_spanned(text, "a prompt ends with what the user says"))
        }
        Some(_) => Ok(turns),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(input: Code) -> String {
        derive(input, &quote!(::app)).expect_err("it is wrong").to_string()
    }

    #[test]
    fn a_slot_is_a_field_and_a_field_a_slot() {
        let slot = wrong(quote! {
            #[prompt(user = "Translate {txt}.")]
            struct T { text: String, language: String }
        });
        assert_eq!(slot, "no field \"txt\" for this slot; there are: text, language");
        let idle = wrong(quote! {
            #[prompt(user = "Translate {text}.")]
            struct T { text: String, language: String }
        });
        assert!(idle.contains("{language}") && idle.contains("never used"), "{idle}");
        let spec = wrong(quote!(
            #[prompt(user = "{text:?}")]
            struct T {
                text: String,
            }
        ));
        assert!(spec.contains("name of a field"), "{spec}");
    }

    #[test]
    fn turns_have_an_order() {
        assert!(
            wrong(quote!(
                struct T;
            ))
            .contains("what is said?")
        );
        assert!(
            wrong(quote!(
                #[prompt(tool = "x")]
                struct T;
            ))
            .contains("expected a role")
        );
        assert!(
            wrong(quote!(
                #[prompt(user = "x", system = "y")]
                struct T;
            ))
            .contains("first")
        );
        assert!(
            wrong(quote!(
                #[prompt(user = "x", assistant = "y")]
                struct T;
            ))
            .contains("ends")
        );
        assert!(
            wrong(quote!(
                #[prompt(user = "x")]
                enum T {}
            ))
            .contains("struct")
        );
        assert!(
            wrong(quote!(
                #[prompt(user = "x")]
                struct T(String);
            ))
            .contains("names")
        );
    }
}
