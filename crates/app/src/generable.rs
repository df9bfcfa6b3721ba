//! Types that a model can write: what their JSON looks like, how long it can get, and how it is read
//! again, whole or while it is still being written. Knows no model.

pub mod made;
mod schema;
mod types;

pub use schema::{LIST_MAX, MAP_MAX, NAME_CHARS_MAX, Shape, TEXT_CHARS_MAX};

use serde_json::Value;

use crate::partial::Draft;

/// A type whose values a model can write. Derived for structs and enums; whoever asks for one gets one,
/// because the model's words are held to the type's schema while they are chosen.
///
/// | type | JSON |
/// |---|---|
/// | `struct` with named fields | an object with these fields, in their order |
/// | `struct` around one value | that value |
/// | `enum` without data | a text: the variant's name, `some_name` for `SomeName` |
/// | `enum` with data | an object whose field `kind` has the variant's name; beside it stand its fields, or `value` |
/// | `Option<T>` | `null`, or the value; may be absent when it is read |
/// | `Vec<T>`, `[T; N]`, `BTreeMap<String, T>` | a list, a list of that length, an object |
/// | `String`, `char`, `bool`, integers, floats, `Box<T>` | what one expects |
///
/// Everything has a bound, so that an answer has an end: texts 256 characters, lists and maps 16 entries,
/// integers those of the type (at most ±2⁵³−1, which all JSON readers agree on), floats 12 digits before the
/// point and 6 behind it, a type within itself 3 times. `#[guide(…)]` on a field says otherwise: `range =
/// 1..=5` for numbers, `length = 1..=80` and `pattern = "…"` for texts, `count = 1..=8` for lists and maps,
/// `name = "…"` for another name; on a type `tag = "…"` names the field of an enum's variant, and `depth = 2`
/// says how often it stands within itself. A doc comment, or `description = "…"`, tells the model what is
/// meant.
///
/// ```
/// use ondine_app::{Generable, Shape};
///
/// /// A dish.
/// #[derive(Generable)]
/// struct Recipe {
///     #[guide(length = 1..=40)]
///     title: String,
///     #[guide(range = 1..=8)]
///     people: u8,
///     #[guide(count = 1..=5)]
///     steps: Vec<String>,
///     taste: Taste,
/// }
///
/// #[derive(Clone, Debug, PartialEq, Generable)]
/// enum Taste {
///     Sweet,
///     Salty,
/// }
///
/// let shape = Shape::of::<Recipe>()?;
/// let dish: Recipe = shape.read(
///     r#"{"title": "Toast", "people": 2, "steps": ["Toast bread."], "taste": "salty"}"#,
/// )?;
/// assert_eq!((dish.people, dish.taste), (2, Taste::Salty));
/// let error = shape.read::<Recipe>(r#"{"title": "Toast", "people": 9, "steps": [""], "taste": "salty"}"#);
/// assert_eq!(error.err().unwrap().to_string(), "people: expected at most 8, found 9");
/// # Ok::<(), ondine_app::Error>(())
/// ```
pub trait Generable: Sized {
    /// What is known of a value while it is being written: for a struct `NamePartial`, with an `Option` of
    /// each field; for an enum without data itself, which wants `Clone`, `Debug` and `PartialEq`.
    type Partial: Clone + std::fmt::Debug + PartialEq + Send + 'static;

    /// The JSON Schema; `None` where no value would have an end within the scope.
    fn schema(scope: &mut Scope) -> Option<Value>;

    /// Reads a value. Whether it keeps to the schema's bounds is [`Shape`]'s to say.
    ///
    /// # Errors
    /// It is none of this type.
    fn read(value: &Value) -> Result<Self, Misfit>;

    /// As much of it as a draft says.
    fn glimpse(draft: &Draft) -> Option<Self::Partial>;

    /// What it is where it is left out, if it may be.
    fn absent() -> Option<Self> {
        None
    }
}

/// What is known of a `T` while it is being written.
pub type Partial<T> = <T as Generable>::Partial;

/// Why JSON is not a value of a type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{}{what}", .at, if .at.is_empty() { "" } else { ": " })]
pub struct Misfit {
    /// Where in the value, such as `people[2].age`; empty for the value itself.
    pub at: String,
    /// What was expected, and what there is.
    pub what: String,
}

impl Misfit {
    /// At the value itself.
    pub fn new(what: impl Into<String>) -> Misfit {
        Misfit { at: String::new(), what: what.into() }
    }

    /// The same within a field.
    pub fn under(mut self, field: &str) -> Misfit {
        let dot = if self.at.is_empty() || self.at.starts_with('[') { "" } else { "." };
        self.at = format!("{field}{dot}{}", self.at);
        self
    }

    /// The same within an item of a list.
    pub fn item(self, nth: usize) -> Misfit {
        self.under(&format!("[{nth}]"))
    }
}

/// Which types are being described, so that one which stands within itself comes to an end.
#[derive(Debug, Default)]
pub struct Scope {
    open: Vec<&'static str>,
}

/// How often a type may stand within itself, whatever is asked.
const DEPTH_MAX: usize = 8;

impl Scope {
    /// Describes the type `name` within those that are open; not at all where it stands within itself
    /// `depth` times already.
    pub fn within(
        &mut self,
        name: &'static str,
        depth: usize,
        describe: impl FnOnce(&mut Scope) -> Option<Value>,
    ) -> Option<Value> {
        if self.open.iter().filter(|open| **open == name).count() >= depth.clamp(1, DEPTH_MAX) {
            return None;
        }
        self.open.push(name);
        let schema = describe(self);
        self.open.pop();
        schema
    }
}
