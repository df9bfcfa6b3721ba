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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Context, Drafting, Error, Generable, ToolError, tool, tools};
    use serde_json::json;
    use std::collections::BTreeMap;

    fn schema<T: Generable>() -> Value {
        Shape::of::<T>().unwrap().schema().clone()
    }

    /// A person.
    #[derive(Clone, Debug, PartialEq, Generable)]
    struct Person {
        /// First and
        /// last.
        #[guide(length = 1..=8)]
        name: String,
        #[guide(range = 1..10, name = "years")]
        age: Option<i64>,
        r#type: Mood,
    }

    #[derive(Clone, Debug, PartialEq, Generable)]
    enum Mood {
        VeryGood,
        #[guide(name = "so-so")]
        Middling,
    }

    #[derive(Clone, Debug, PartialEq, Generable)]
    #[guide(tag = "what", description = "a thing")]
    enum Thing {
        Nothing,
        /// It is round.
        Ball {
            #[guide(range = 0.5..=2.0)]
            size: f64,
        },
        Owner(Person),
    }

    #[test]
    fn a_type_has_the_schema_that_it_says() {
        assert_eq!(
            schema::<Person>(),
            json!({
                "type": "object",
                "description": "A person.",
                "properties": {
                    "name": {"type": "string", "minLength": 1, "maxLength": 8,
                        "description": "First and last."},
                    "years": {"anyOf": [{"type": "integer", "minimum": 1, "maximum": 9},
                        {"type": "null"}]},
                    "type": {"enum": ["very_good", "so-so"]},
                },
                "required": ["name", "years", "type"],
                "additionalProperties": false,
            })
        );
        let thing = schema::<Thing>();
        assert_eq!(thing["description"], "a thing");
        assert_eq!(thing["anyOf"][0]["properties"], json!({"what": {"const": "nothing"}}));
        let size = json!({"type": "number", "minimum": 0.5, "maximum": 2.0, "multipleOf": 1e-6});
        assert_eq!(thing["anyOf"][1]["properties"]["size"], size);
        assert_eq!(thing["anyOf"][1]["description"], "It is round.");
        assert_eq!(thing["anyOf"][2]["properties"]["value"], schema::<Person>());
        let large = json!({"type": "integer", "minimum": 0, "maximum": 9_007_199_254_740_991i64});
        assert_eq!(schema::<u64>(), large);
        assert_eq!(schema::<[bool; 2]>()["minItems"], 2);
    }

    #[test]
    fn a_value_is_read_or_said_to_be_wrong_where_it_is() {
        let read = |value: Value| {
            let shape = Shape::of::<Thing>().unwrap();
            shape.read::<Thing>(&value.to_string()).map_err(|error| error.to_string())
        };
        let ada = json!({"name": "Ada", "years": 9, "type": "very_good"});
        let person = Person { name: "Ada".into(), age: Some(9), r#type: Mood::VeryGood };
        assert_eq!(read(json!({"what": "nothing"})), Ok(Thing::Nothing));
        assert_eq!(read(json!({"what": "ball", "size": 1})), Ok(Thing::Ball { size: 1.0 }));
        assert_eq!(read(json!({"what": "owner", "value": ada})), Ok(Thing::Owner(person)));
        let rows = [
            (json!({"what": "ball", "size": 3}), "size: expected at most 2, found 3"),
            (json!({"what": "ball"}), "\"size\" is missing"),
            (
                json!({"what": "owner", "value": {"name": "", "years": 1, "type": "so-so"}}),
                "value.name: expected at least 1 characters, found 0",
            ),
            (
                json!({"what": "owner", "value": {"name": "A", "years": 1, "type": "bad"}}),
                "value.type: expected one of \"very_good\", \"so-so\", found \"bad\"",
            ),
            (json!({"what": "nothing", "size": 1}), "\"size\" is unknown; there may be: what"),
        ];
        for (value, wanted) in rows {
            assert_eq!(read(value.clone()).unwrap_err(), wanted, "{value}");
        }
        // What may be null may be absent.
        let absent = json!({"what": "owner", "value": {"name": "A", "type": "so-so"}});
        assert!(matches!(read(absent), Ok(Thing::Owner(Person { age: None, .. }))));
        let whole = |text: &str| Shape::of::<u8>().unwrap().read::<u8>(text).ok();
        assert_eq!(
            (whole("3.0"), whole("3.5"), whole("256"), whole("-1")),
            (Some(3), None, None, None)
        );
    }

    #[test]
    fn what_is_known_while_it_is_written() {
        let glimpse = |text: &str| {
            let mut drafting = Drafting::new(1000);
            drafting.push(text).unwrap();
            Thing::glimpse(&drafting.draft()?)
        };
        assert_eq!(glimpse(r#"{"what": "ba"#), None);
        assert_eq!(glimpse(r#"{"what": "ball""#), Some(ThingPartial::Ball { size: None }));
        let owner = |name: Option<&str>, age, r#type| {
            let name = name.map(str::to_owned);
            Some(ThingPartial::Owner(Some(PersonPartial { name, age, r#type })))
        };
        let begun = r#"{"what": "owner", "value": {"name": "A"#;
        assert_eq!(glimpse(begun), owner(Some("A"), None, None));
        let text = format!(r#"{begun}da", "years": null, "type": "so-so""#);
        assert_eq!(glimpse(&text), owner(Some("Ada"), Some(None), Some(Mood::Middling)));
    }

    #[derive(Clone, Debug, PartialEq, Generable)]
    #[guide(depth = 2)]
    struct Tree {
        leaf: bool,
        #[guide(count = 0..=2)]
        left: Vec<Tree>,
        right: Option<Box<Tree>>,
    }

    #[derive(Debug, Generable)]
    struct Endless {
        #[allow(dead_code)]
        more: Box<Endless>,
    }

    #[derive(Debug, Generable)]
    struct Needy {
        #[allow(dead_code)]
        #[guide(count = 1..=2)]
        more: Vec<Needy>,
    }

    #[test]
    fn what_stands_within_itself_comes_to_an_end() {
        let tree = schema::<Tree>();
        let inner = &tree["properties"]["left"]["items"]["properties"];
        assert_eq!(inner["left"], json!({"type": "array", "maxItems": 0}));
        assert_eq!(inner["right"], json!({"type": "null"}));
        assert!(Shape::of::<Tree>().unwrap().most_bytes().is_some());
        for error in [Shape::of::<Endless>().unwrap_err(), Shape::of::<Needy>().unwrap_err()] {
            assert!(matches!(error, Error::Endless(_)), "{error}");
        }
    }

    #[test]
    fn the_longest_text_is_no_longer_than_was_said() {
        let longest = |shape: &Shape, text: &str| {
            let most = shape.most_bytes().unwrap();
            assert!(text.len() <= most, "{} of {most}: {text}", text.len());
            // Nor so much shorter that the bound says nothing.
            assert!(text.len() * 2 >= most, "{} of {most}: {text}", text.len());
        };
        let shape = Shape::of::<Person>().unwrap();
        let name = "😀".repeat(8);
        longest(
            &shape,
            &format!(r#" {{ "name" : "{name}" , "years" : null , "type" : "very_good" }} "#),
        );
        let items = vec!["-9007199254740991"; LIST_MAX].join(" , ");
        longest(&Shape::of::<Vec<i64>>().unwrap(), &format!("[ {items} ]"));
        longest(&Shape::of::<f64>().unwrap(), "-1000000000000.000001");
        assert_eq!(Shape::new(json!({"type": "string"})).most_bytes(), None);
        assert_eq!(Shape::new(json!({"type": "object"})).most_bytes(), None);
    }

    #[test]
    fn a_tool_takes_what_its_signature_says() {
        /// Sums up.
        ///
        /// All of it.
        #[tool(effect = write, timeout = "1500ms", name = "sum-up")]
        fn sum(
            context: &Context,
            #[arg(count = 1..=3, range = 0..=9)] numbers: Vec<i32>,
            #[arg(default = "sum", length = ..=5)] word: &str,
            mood: Option<Mood>,
        ) -> Result<BTreeMap<String, i32>, String> {
            let whole = format!("{word}{}{}", context.key, mood.map_or(0, |_| 1));
            match numbers.iter().sum::<i32>() {
                0 => Err("nothing to sum up".into()),
                sum => Ok([(whole, sum)].into()),
            }
        }
        let tool = &tools![sum][0];
        let spec = tool.spec();
        assert_eq!(
            (spec.name.as_str(), spec.description.as_str()),
            ("sum-up", "Sums up.\nAll of it.")
        );
        assert_eq!((spec.effect, spec.timeout.as_millis()), (crate::Effect::Write, 1500));
        assert_eq!(spec.parameters["required"], json!(["numbers", "mood"]));
        assert_eq!(spec.parameters["properties"]["word"]["default"], "sum");
        let context = Context { key: "k".into(), ..Context::default() };
        let rows = [
            (json!({"numbers": [1, 2], "word": "w", "mood": "so-so"}), Ok(json!({"wk1": 3}))),
            (json!({"numbers": [4]}), Ok(json!({"sumk0": 4}))),
            (json!({"numbers": [0]}), Err("nothing to sum up")),
            (json!({"numbers": [10]}), Err("numbers[0]: expected at most 9, found 10")),
            (json!({"numbers": []}), Err("numbers: expected at least 1 items, found 0")),
            (json!({"numbers": "1"}), Err("numbers: expected a list, found \"1\"")),
            (json!({"nombers": [1]}), Err("\"numbers\" is missing")),
            (
                json!({"numbers": [1], "x": 1}),
                Err("\"x\" is unknown; there may be: numbers, word, mood"),
            ),
            (json!([1]), Err("expected an object, found a list")),
        ];
        for (arguments, wanted) in rows {
            match (tool.call(arguments.clone(), &context), wanted) {
                (Ok(result), Ok(wanted)) => assert_eq!(result, wanted, "{arguments}"),
                (Err(ToolError::Failed(what) | ToolError::Arguments(what)), Err(wanted)) => {
                    assert_eq!(what, wanted, "{arguments}");
                }
                (other, _) => panic!("{arguments}: {other:?}"),
            }
        }
    }

    #[test]
    fn what_is_left_out_is_the_default() {
        /// Says what it was given.
        #[tool(effect = read)]
        fn say(
            #[arg(default = 1000)] a: u32,
            #[arg(default = -3)] b: i64,
            #[arg(default = 0.5)] c: f64,
            #[arg(default = 7)] d: Option<u16>,
            #[arg(default = "e")] e: String,
            #[arg(default = Mood::Middling)] g: Mood,
            #[arg(default = vec![true])] h: Vec<bool>,
        ) -> String {
            format!("{a} {b} {c} {d:?} {e} {g:?} {h:?}")
        }
        let tool = &tools![say][0];
        let said = tool.call(json!({}), &Context::default());
        assert_eq!(said, Ok(json!("1000 -3 0.5 Some(7) e Middling [true]")));
        let said = tool.call(json!({"a": 1, "d": null, "g": "very_good"}), &Context::default());
        assert_eq!(said, Ok(json!("1 -3 0.5 None e VeryGood [true]")));
        let parameters = &tool.spec().parameters;
        assert_eq!(parameters.get("required"), None);
        assert_eq!(parameters["properties"]["b"]["default"], -3);
    }

    #[test]
    fn an_async_tool_is_waited_for_and_dropped_when_nobody_waits() {
        use std::sync::atomic::{AtomicBool, Ordering};
        static DROPPED: AtomicBool = AtomicBool::new(false);
        struct Held;
        impl Drop for Held {
            fn drop(&mut self) {
                DROPPED.store(true, Ordering::SeqCst);
            }
        }
        /// Waits for a thread, or for ever.
        #[tool(effect = read)]
        async fn wait(ever: bool) -> &'static str {
            let _held = Held;
            let mut begun = false;
            std::future::poll_fn(|around| {
                if begun && !ever {
                    return std::task::Poll::Ready(());
                }
                begun = true;
                let waker = around.waker().clone();
                std::thread::spawn(move || waker.wake());
                std::task::Poll::Pending
            })
            .await;
            "waited"
        }
        /// Gives nothing.
        #[tool(effect = read)]
        fn quiet() {}
        let tools = tools![wait, quiet];
        let context = Context::default();
        assert_eq!(tools[0].call(json!({"ever": false}), &context), Ok(json!("waited")));
        assert_eq!(tools[1].call(json!({}), &context), Ok(json!("done")));
        DROPPED.store(false, Ordering::SeqCst);
        context.cancel.now();
        let stopped = tools[0].call(json!({"ever": true}), &context);
        assert_eq!((stopped, DROPPED.load(Ordering::SeqCst)), (Err(ToolError::Cancelled), true));
    }
}
