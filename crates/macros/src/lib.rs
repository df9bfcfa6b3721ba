//! Derives and attributes of the application framework: `Generable`, `Prompt` and `tool`. They write
//! code that names the framework's types by the path they are told, and know nothing of models.
//!
//! Each comes twice: for a crate that imports `ondine-app`, and for one that imports `ondine` alone. The
//! two differ in that path; `ondine_app` and `ondine` re-export theirs under the one name. Nothing is read
//! from disk to find out.
//!
//! | module | what it holds |
//! |---|---|
//! | `generable` | a type becomes something that a model can write |
//! | `guide` | what a field or an argument says of itself |
//! | `prompt` | a type becomes the turns of a conversation |
//! | `slots` | texts with slots in them |
//! | `tool` | a function becomes something that a model may call |

mod generable;
mod guide;
mod prompt;
mod slots;
mod tool;

use proc_macro::TokenStream;
use proc_macro2::TokenStream as Code;
use quote::quote;

/// Where a crate that imports `ondine-app` finds the framework.
fn own() -> Code {
    quote!(::ondine_app)
}

/// Where a crate that imports `ondine` finds it.
fn facade() -> Code {
    quote!(::ondine::app)
}

fn told(result: syn::Result<Code>) -> TokenStream {
    result.unwrap_or_else(|error| error.to_compile_error()).into()
}

/// Lets a model write values of a struct or an enum, and nothing else: see the trait of this name.
#[proc_macro_derive(Generable, attributes(guide))]
pub fn generable(input: TokenStream) -> TokenStream {
    told(generable::derive(input.into(), &own()))
}

/// `Generable` for crates that import `ondine`, which re-exports it under that name.
#[proc_macro_derive(FacadeGenerable, attributes(guide))]
pub fn facade_generable(input: TokenStream) -> TokenStream {
    told(generable::derive(input.into(), &facade()))
}

/// Makes a struct a prompt with slots: see the trait of this name.
#[proc_macro_derive(Prompt, attributes(prompt))]
pub fn prompt(input: TokenStream) -> TokenStream {
    told(prompt::derive(input.into(), &own()))
}

/// `Prompt` for crates that import `ondine`, which re-exports it under that name.
#[proc_macro_derive(FacadePrompt, attributes(prompt))]
pub fn facade_prompt(input: TokenStream) -> TokenStream {
    told(prompt::derive(input.into(), &facade()))
}

/// Makes a function a tool that a model may call: see `tools!` of the framework.
#[proc_macro_attribute]
pub fn tool(attribute: TokenStream, item: TokenStream) -> TokenStream {
    told(tool::attribute(attribute.into(), item.into(), &own()))
}

/// `tool` for crates that import `ondine`, which re-exports it under that name.
#[proc_macro_attribute]
pub fn facade_tool(attribute: TokenStream, item: TokenStream) -> TokenStream {
    told(tool::attribute(attribute.into(), item.into(), &facade()))
}
