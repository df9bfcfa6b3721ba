//! `#[tool]`: a function becomes something that a model may call. The function stays what it was; beside
//! it stands a type of the same name, which is the tool.

use proc_macro2::TokenStream as Code;
use quote::{format_ident, quote};
use syn::parse::Parser;
use syn::{Error, Expr, FnArg, Ident, ItemFn, Lit, LitStr, Pat, Result, ReturnType, Type};

use crate::guide::{Guide, Place, docs, is_own};

/// How long a call may take where nothing else is said.
const TIMEOUT_MS: u64 = 30_000;
/// The longest that may be said: a day.
const TIMEOUT_MS_MAX: u64 = 24 * 3_600_000;
const EFFECTS: &[(&str, &str)] =
    &[("read", "Read"), ("write", "Write"), ("irreversible", "Irreversible")];

/// What the attribute says.
struct Told {
    effect: Option<Ident>,
    timeout_ms: u64,
    name: Option<LitStr>,
}

/// Code for the attribute.
pub(crate) fn attribute(attribute: Code, item: Code, app: &Code) -> Result<Code> {
    let mut function: ItemFn = syn::parse2(item)?;
    let told = told(attribute)?;
    let signature = &function.sig;
    let ident = signature.ident.clone();
    let Some(effect) = told.effect else {
        let what = "what does it change? say #[tool(effect = read)], write or irreversible";
        return Err(Error::new_spanned(&ident, what));
    };
    if !signature.generics.params.is_empty() {
        return Err(Error::new_spanned(&signature.generics, "a tool has no type parameters"));
    }
    if !matches!(signature.safety, syn::Safety::Default)
        || signature.abi.is_some()
        || signature.variadic.is_some()
    {
        return Err(Error::new_spanned(signature, "a tool is a plain function"));
    }
    let plain = ident.to_string();
    let plain = plain.strip_prefix("r#").unwrap_or(&plain);
    let name = told.name.as_ref().map_or_else(|| plain.to_owned(), LitStr::value);
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if name.is_empty() || name.len() > 64 || !name.chars().all(is_name) {
        let what = format!("{name:?}: a tool's name is 1 to 64 of A-Z, a-z, 0-9, _ and -");
        return Err(Error::new_spanned(&ident, what));
    }
    let Some(description) = docs(&function.attrs) else {
        let what = "how would a model know what it does? write a doc comment above the function";
        return Err(Error::new_spanned(&ident, what));
    };

    let (mut fields, mut taken, mut given, mut names) = (vec![], vec![], vec![], vec![]);
    for (nth, argument) in function.sig.inputs.iter_mut().enumerate() {
        let argument = match argument {
            FnArg::Typed(argument) => argument,
            FnArg::Receiver(receiver) => {
                return Err(Error::new_spanned(receiver, "a tool is a function, not a method"));
            }
        };
        let guide = Guide::read(&argument.attrs, Place::Argument)?;
        argument.attrs.retain(|attribute| !is_own(attribute, Place::Argument));
        if is_context(&argument.ty) {
            given.push(quote!(context));
            continue;
        }
        let Pat::Ident(pattern) = &*argument.pat else {
            return Err(Error::new_spanned(&argument.pat, "an argument of a tool has a name"));
        };
        let plain = pattern.ident.to_string();
        let called = guide.named(plain.trim_start_matches("r#").trim_start_matches('_'));
        if names.contains(&called) {
            return Err(Error::new_spanned(pattern, format!("a second argument {called:?}")));
        }
        let (of, borrowed) = owned(&argument.ty)?;
        let local = format_ident!("argument_{nth}");
        let schema = guide.schema(&of, app);
        let (schema, required) = match &guide.default {
            Some(value) if is_literal(value) => {
                (quote!(#app::made::default(#schema, #value)), false)
            }
            Some(_) => (schema, false),
            None => (schema, true),
        };
        fields.push(quote!(fields.push((#called, #schema?, #required));));
        taken.push(match &guide.default {
            Some(value) => {
                let value = converted(value, &of);
                quote! {
                    let #local: #of = match arguments.get(#called) {
                        ::std::option::Option::None => #value,
                        ::std::option::Option::Some(_) => {
                            #app::made::argument(&arguments, #called)?
                        }
                    };
                }
            }
            None => quote!(let #local: #of = #app::made::argument(&arguments, #called)?;),
        });
        given.push(if borrowed { quote!(&#local) } else { quote!(#local) });
        names.push(called);
    }
    let called = match function.sig.asyncness {
        Some(_) => quote!(#app::made::block_on(#ident(#(#given),*), context)?),
        None => quote!(#ident(#(#given),*)),
    };
    // What gives nothing has still to say something.
    let outcome = match &function.sig.output {
        ReturnType::Default => quote! {
            let () = #called;
            ::std::result::Result::Ok(#app::made::Value::from("done"))
        },
        ReturnType::Type(..) => quote! {
            use #app::made::{ToldResult as _, ToldValue as _};
            let outcome = #app::made::Outcome(#called);
            (&outcome).told()
        },
    };
    let (visibility, timeout) = (&function.vis, told.timeout_ms);
    let doc = format!("The tool `{name}`: the function of this name, as a model may call it.");
    Ok(quote! {
        #function

        #[doc = #doc]
        #[allow(non_camel_case_types)]
        #[derive(Clone, Copy, Debug, Default)]
        #visibility struct #ident {}

        impl #app::Tool for #ident {
            fn spec(&self) -> &#app::ToolSpec {
                static SPEC: ::std::sync::OnceLock<#app::ToolSpec> = ::std::sync::OnceLock::new();
                SPEC.get_or_init(|| #app::ToolSpec {
                    name: #name.to_owned(),
                    description: #description.to_owned(),
                    parameters: #app::made::parameters(
                        |scope: &mut #app::Scope|
                            -> ::std::option::Option<#app::made::Value>
                        {
                            let _ = &scope;
                            #[allow(unused_mut)]
                            let mut fields = ::std::vec::Vec::new();
                            #(#fields)*
                            ::std::option::Option::Some(#app::made::object(fields))
                        },
                    ),
                    effect: #app::Effect::#effect,
                    timeout: ::std::time::Duration::from_millis(#timeout),
                })
            }

            #[allow(unused_variables)]
            fn call(
                &self,
                arguments: #app::made::Value,
                context: &#app::Context,
            ) -> ::std::result::Result<#app::made::Value, #app::ToolError> {
                #app::made::arguments(#app::Tool::spec(self), &arguments)?;
                #(#taken)*
                #outcome
            }
        }
    })
}

fn told(attribute: Code) -> Result<Told> {
    let mut told = Told { effect: None, timeout_ms: TIMEOUT_MS, name: None };
    let parser = syn::meta::parser(|meta| {
        let word = meta.path.get_ident().map(ToString::to_string).unwrap_or_default();
        match word.as_str() {
            "effect" => {
                let said: Ident = meta.value()?.parse()?;
                let known = EFFECTS.iter().find(|(word, _)| said == word);
                let Some((_, effect)) = known else {
                    let what = "expected read, write or irreversible";
                    return Err(Error::new(said.span(), what));
                };
                told.effect = Some(Ident::new(effect, said.span()));
            }
            "timeout" => {
                let said: LitStr = meta.value()?.parse()?;
                let wrong = || Error::new_spanned(&said, "expected a time such as 500ms, 5s or 2m");
                told.timeout_ms = milliseconds(&said.value()).ok_or_else(wrong)?;
            }
            "name" => told.name = Some(meta.value()?.parse()?),
            _ => return Err(meta.error("expected one of: effect, timeout, name")),
        }
        Ok(())
    });
    parser.parse2(attribute)?;
    Ok(told)
}

fn milliseconds(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let factor = match unit.trim() {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    let time = number.parse::<u64>().ok()?.checked_mul(factor)?;
    (1..=TIMEOUT_MS_MAX).contains(&time).then_some(time)
}

/// Whether an argument is what stands around the call: a reference to a `Context`.
fn is_context(of: &Type) -> bool {
    let Type::Reference(reference) = of else { return false };
    let Type::Path(path) = &*reference.elem else { return false };
    path.path.segments.last().is_some_and(|last| last.ident == "Context")
}

/// The type that is made for an argument, and whether it is handed over as a reference.
fn owned(of: &Type) -> Result<(Type, bool)> {
    let Type::Reference(reference) = of else { return Ok((of.clone(), false)) };
    match &*reference.elem {
        Type::Path(path) if path.path.is_ident("str") => {
            Ok((syn::parse_quote!(::std::string::String), true))
        }
        _ if reference.mutability.is_some() => {
            Err(Error::new_spanned(of, "nobody would see what is changed there"))
        }
        inner => Ok((inner.clone(), true)),
    }
}

/// Whether JSON has a word for it.
fn is_literal(value: &Expr) -> bool {
    match value {
        Expr::Lit(literal) => {
            matches!(literal.lit, Lit::Str(_) | Lit::Int(_) | Lit::Float(_) | Lit::Bool(_))
        }
        value => is_number(value),
    }
}

/// Whether it is a number, perhaps one below 0.
fn is_number(value: &Expr) -> bool {
    match value {
        Expr::Lit(literal) => matches!(literal.lit, Lit::Int(_) | Lit::Float(_)),
        Expr::Unary(unary) => matches!(unary.op, syn::UnOp::Neg(_)) && is_number(&unary.expr),
        _ => false,
    }
}

/// A default as a value of its argument's type. A number has the type that is wanted; to convert it would
/// ask for the one that it has.
fn converted(value: &Expr, of: &Type) -> Code {
    let is_option = matches!(of, Type::Path(path)
        if path.path.segments.last().is_some_and(|last| last.ident == "Option"));
    match (is_number(value), is_option) {
        (true, true) => quote!(::std::option::Option::Some(#value)),
        (true, false) => quote!(#value),
        _ => quote!(::std::convert::Into::into(#value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(said: Code, item: Code) -> String {
        attribute(said, item, &quote!(::app)).expect_err("it is wrong").to_string()
    }

    #[test]
    fn what_is_no_tool_says_why() {
        let read = || quote!(effect = read);
        let rows = [
            (
                quote!(),
                quote!(
                    /** d */
                    fn f() {}
                ),
                "what does it change?",
            ),
            (
                quote!(effect = none),
                quote!(
                    /** d */
                    fn f() {}
                ),
                "read, write or irreversible",
            ),
            (
                quote!(effct = read),
                quote!(
                    /** d */
                    fn f() {}
                ),
                "effect, timeout, name",
            ),
            (
                quote!(effect = read, timeout = "5"),
                quote!(
                    /** d */
                    fn f() {}
                ),
                "500ms",
            ),
            (
                quote!(effect = read, timeout = "0s"),
                quote!(
                    /** d */
                    fn f() {}
                ),
                "500ms",
            ),
            (
                quote!(effect = read, name = "a b"),
                quote!(
                    /** d */
                    fn f() {}
                ),
                "A-Z",
            ),
            (
                read(),
                quote!(
                    fn f() {}
                ),
                "doc comment",
            ),
            (
                read(),
                quote!(
                    /** d */
                    fn f<T>(t: T) {}
                ),
                "type parameters",
            ),
            (
                read(),
                quote!(
                    /** d */
                    extern "C" fn f() {}
                ),
                "plain function",
            ),
            (
                read(),
                quote!(
                    /** d */
                    fn f(&self) {}
                ),
                "not a method",
            ),
            (
                read(),
                quote!(
                    /** d */
                    fn f((a, b): (u8, u8)) {}
                ),
                "has a name",
            ),
            (
                read(),
                quote!(
                    /** d */
                    fn f(a: &mut Vec<u8>) {}
                ),
                "nobody would see",
            ),
            (
                read(),
                quote!(
                    /** d */
                    fn f(#[arg(tag = "x")] a: u8) {}
                ),
                "expected one of",
            ),
            (
                read(),
                quote!(
                    /** d */
                    fn f(a: u8, #[arg(name = "a")] b: u8) {}
                ),
                "a second",
            ),
        ];
        for (said, item, words) in rows {
            let error = wrong(said.clone(), item.clone());
            assert!(error.contains(words), "{said} {item}: {error}");
        }
    }

    #[test]
    fn times_have_units() {
        let rows = [
            ("500ms", Some(500)),
            ("5s", Some(5_000)),
            ("2 m", Some(120_000)),
            ("1h", Some(3_600_000)),
            ("5", None),
            ("s", None),
            ("0s", None),
            ("25h", None),
            ("99999999999999999999s", None),
        ];
        for (text, wanted) in rows {
            assert_eq!(milliseconds(text), wanted, "{text}");
        }
    }
}
