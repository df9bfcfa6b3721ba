//! Keys and typed values: ordered as they were written, unique, read by type.
//!
//! A getter names the key, the type found and the type expected when they differ. Nothing here
//! knows what a key means, nor how a file holds it.

use crate::error::FormatError;
use crate::limits;
use crate::order;
use crate::texts::Texts;

/// Writes one enum per kind of value from one table of them.
macro_rules! values {
    ($($variant:ident($type:ty), many: $many:ty = $number:literal, $name:literal;)*) => {
        /// A value of a key.
        #[derive(Clone, Debug, PartialEq)]
        #[expect(missing_docs, reason = "the variants are the rows of the table below")]
        pub enum Value {
            $($variant($type),)*
            Array(Array),
        }

        /// The elements of an array, all of one type. Arrays do not nest.
        #[derive(Clone, Debug, PartialEq)]
        #[expect(missing_docs, reason = "the variants are the rows of the table below")]
        pub enum Array {
            $($variant($many),)*
        }

        /// The types that a value or an element can have, but for the array itself.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[expect(missing_docs, reason = "the variants are the rows of the table below")]
        pub enum ValueType {
            $($variant,)*
        }

        impl ValueType {
            /// Every type.
            pub const ALL: &[ValueType] = &[$(ValueType::$variant,)*];

            /// GGUF's number for it.
            pub fn number(self) -> u32 {
                match self {
                    $(ValueType::$variant => $number,)*
                }
            }

            /// Its name in messages.
            pub fn name(self) -> &'static str {
                match self {
                    $(ValueType::$variant => $name,)*
                }
            }
        }

        impl Value {
            /// The type of the value, or `None` for an array.
            pub fn scalar_type(&self) -> Option<ValueType> {
                match self {
                    $(Value::$variant(_) => Some(ValueType::$variant),)*
                    Value::Array(_) => None,
                }
            }
        }

        impl Array {
            /// Number of elements.
            pub fn len(&self) -> usize {
                match self {
                    $(Array::$variant(elements) => elements.len(),)*
                }
            }

            /// The type of the elements.
            pub fn element_type(&self) -> ValueType {
                match self {
                    $(Array::$variant(_) => ValueType::$variant,)*
                }
            }
        }

        $(
            impl From<$type> for Value {
                fn from(value: $type) -> Value {
                    Value::$variant(value)
                }
            }

            impl From<Vec<$type>> for Value {
                fn from(elements: Vec<$type>) -> Value {
                    Value::Array(Array::$variant(elements.into_iter().collect()))
                }
            }
        )*
    };
}

values! {
    U8(u8), many: Vec<u8> = 0, "u8";
    I8(i8), many: Vec<i8> = 1, "i8";
    U16(u16), many: Vec<u16> = 2, "u16";
    I16(i16), many: Vec<i16> = 3, "i16";
    U32(u32), many: Vec<u32> = 4, "u32";
    I32(i32), many: Vec<i32> = 5, "i32";
    F32(f32), many: Vec<f32> = 6, "f32";
    Bool(bool), many: Vec<bool> = 7, "bool";
    String(String), many: Texts = 8, "string";
    // 9 is the array.
    U64(u64), many: Vec<u64> = 10, "u64";
    I64(i64), many: Vec<i64> = 11, "i64";
    F64(f64), many: Vec<f64> = 12, "f64";
}

/// GGUF's number for an array.
pub const ARRAY_NUMBER: u32 = 9;

impl ValueType {
    /// The type that GGUF writes as `number`; `None` for the array and for what does not exist.
    pub fn from_number(number: u32) -> Option<ValueType> {
        ValueType::ALL.iter().copied().find(|kind| kind.number() == number)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::String(text.to_owned())
    }
}

impl Array {
    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Value {
    /// Its type in words, such as `u32` or `array of 3 string`.
    pub fn describe(&self) -> String {
        match self {
            Value::Array(array) => {
                format!("array of {} {}", array.len(), array.element_type().name())
            }
            scalar => scalar.scalar_type().map_or("array", ValueType::name).to_owned(),
        }
    }

    /// An integer of any width, if that is what it is.
    pub fn as_integer(&self) -> Option<i128> {
        Some(match self {
            Value::U8(v) => i128::from(*v),
            Value::I8(v) => i128::from(*v),
            Value::U16(v) => i128::from(*v),
            Value::I16(v) => i128::from(*v),
            Value::U32(v) => i128::from(*v),
            Value::I32(v) => i128::from(*v),
            Value::U64(v) => i128::from(*v),
            Value::I64(v) => i128::from(*v),
            _ => return None,
        })
    }
}

/// A file's keys and values.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metadata {
    /// In the order of the file.
    entries: Vec<(String, Value)>,
    /// Places in `entries`, ordered by key: no two keys are the same.
    sorted: Vec<usize>,
}

impl Metadata {
    /// No keys.
    pub fn new() -> Metadata {
        Metadata::default()
    }

    /// Takes over pairs that a file holds in this order; `at` tells where each key stands.
    pub(crate) fn from_pairs(
        entries: Vec<(String, Value)>,
        at: impl Fn(usize) -> usize,
    ) -> Result<Metadata, FormatError> {
        let key = |place: usize| entries.get(place).map_or("", |(key, _)| key.as_str());
        match order::unique(entries.len(), key) {
            Ok(sorted) => Ok(Metadata { entries, sorted }),
            Err(place) => Err(FormatError::Duplicate {
                what: "key",
                name: key(place).to_owned(),
                at: at(place),
            }),
        }
    }

    fn find(&self, key: &str) -> Result<usize, usize> {
        let found = |place: usize| self.entries.get(place).map_or("", |(key, _)| key.as_str());
        order::find(&self.sorted, found, key)
    }

    /// Adds a key behind the others.
    ///
    /// # Errors
    /// Where the key is empty, holds a zero byte, is too long or is there already, and where there
    /// are too many of them.
    pub fn insert(
        &mut self,
        key: impl Into<String>,
        value: impl Into<Value>,
    ) -> Result<(), FormatError> {
        let key = key.into();
        check_name("key", 0, &key, limits::KEY_BYTES)?;
        let count = crate::cursor::wide(self.len()).saturating_add(1);
        if count > limits::KEYS.max {
            return Err(FormatError::Limit {
                what: format!("key {key:?}"),
                at: 0,
                found: count,
                limit: limits::KEYS,
            });
        }
        match self.find(&key) {
            Ok(_) => Err(FormatError::Duplicate { what: "key", name: key, at: 0 }),
            Err(slot) => {
                self.sorted.insert(slot, self.entries.len());
                self.entries.push((key, value.into()));
                Ok(())
            }
        }
    }

    /// Adds a key, or gives a new value to one that is there.
    ///
    /// # Errors
    /// As [`Metadata::insert`], but for duplicates.
    pub fn set(
        &mut self,
        key: impl Into<String>,
        value: impl Into<Value>,
    ) -> Result<(), FormatError> {
        let key = key.into();
        let place = self.find(&key).ok().and_then(|slot| self.sorted.get(slot).copied());
        match place.and_then(|place| self.entries.get_mut(place)) {
            Some((_, old)) => {
                *old = value.into();
                Ok(())
            }
            None => self.insert(key, value),
        }
    }

    /// Number of keys.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Keys and values in the order of the file.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Value)> {
        self.entries.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&Value> {
        let place = self.sorted.get(self.find(key).ok()?)?;
        self.entries.get(*place).map(|(_, value)| value)
    }

    /// The value of a key by `read`, or the error that it has another type.
    fn typed<'a, T>(
        &'a self,
        key: &str,
        expected: &'static str,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, FormatError> {
        let Some(value) = self.get(key) else { return Ok(None) };
        match read(value) {
            Some(read) => Ok(Some(read)),
            None => Err(FormatError::KeyType {
                key: key.to_owned(),
                found: match value.as_integer() {
                    Some(number) => format!("{} {number}", value.describe()),
                    None => value.describe(),
                },
                expected,
            }),
        }
    }

    /// A whole number of any integer type that fits 32 bits unsigned: writers disagree on the
    /// width of most keys.
    ///
    /// # Errors
    /// Where the key has another type or value.
    pub fn u32(&self, key: &str) -> Result<Option<u32>, FormatError> {
        self.typed(key, "an integer that fits u32", |v| u32::try_from(v.as_integer()?).ok())
    }

    /// A whole number of any integer type that fits 64 bits unsigned.
    ///
    /// # Errors
    /// Where the key has another type or value.
    pub fn u64(&self, key: &str) -> Result<Option<u64>, FormatError> {
        self.typed(key, "an integer that fits u64", |v| u64::try_from(v.as_integer()?).ok())
    }

    /// A 32-bit float.
    ///
    /// # Errors
    /// Where the key has another type.
    pub fn f32(&self, key: &str) -> Result<Option<f32>, FormatError> {
        self.typed(key, "f32", |v| if let Value::F32(v) = v { Some(*v) } else { None })
    }

    /// A truth value.
    ///
    /// # Errors
    /// Where the key has another type.
    pub fn bool(&self, key: &str) -> Result<Option<bool>, FormatError> {
        self.typed(key, "bool", |v| if let Value::Bool(v) = v { Some(*v) } else { None })
    }

    /// A text.
    ///
    /// # Errors
    /// Where the key has another type.
    pub fn string(&self, key: &str) -> Result<Option<&str>, FormatError> {
        self.typed(
            key,
            "string",
            |v| if let Value::String(v) = v { Some(v.as_str()) } else { None },
        )
    }

    /// An array of texts.
    ///
    /// # Errors
    /// Where the key has another type.
    pub fn strings(&self, key: &str) -> Result<Option<&Texts>, FormatError> {
        self.typed(key, "array of string", |v| match v {
            Value::Array(Array::String(v)) => Some(v),
            _ => None,
        })
    }

    /// An array of 32-bit floats.
    ///
    /// # Errors
    /// Where the key has another type.
    pub fn f32s(&self, key: &str) -> Result<Option<&[f32]>, FormatError> {
        self.typed(key, "array of f32", |v| match v {
            Value::Array(Array::F32(v)) => Some(v.as_slice()),
            _ => None,
        })
    }

    /// An array of signed 32-bit integers.
    ///
    /// # Errors
    /// Where the key has another type.
    pub fn i32s(&self, key: &str) -> Result<Option<&[i32]>, FormatError> {
        self.typed(key, "array of i32", |v| match v {
            Value::Array(Array::I32(v)) => Some(v.as_slice()),
            _ => None,
        })
    }

    /// An array of 32-bit integers, signed or not, none of them negative: `token_type` is written
    /// either way.
    ///
    /// # Errors
    /// Where the key has another type or a negative element.
    pub fn u32s(&self, key: &str) -> Result<Option<Vec<u32>>, FormatError> {
        self.typed(key, "array of u32 or of non-negative i32", |v| match v {
            Value::Array(Array::U32(v)) => Some(v.clone()),
            Value::Array(Array::I32(v)) => v.iter().map(|v| u32::try_from(*v).ok()).collect(),
            _ => None,
        })
    }
}

/// Checks a key or a tensor's name: not empty, no zero byte, not too long.
pub(crate) fn check_name(
    what: &'static str,
    at: usize,
    name: &str,
    limit: limits::Limit,
) -> Result<(), FormatError> {
    let found = crate::cursor::wide(name.len());
    if found > limit.max {
        return Err(FormatError::Limit { what: what.to_owned(), at, found, limit });
    }
    if name.is_empty() {
        return Err(FormatError::Name { what, at, problem: "is empty" });
    }
    if name.contains('\0') {
        return Err(FormatError::Name { what, at, problem: "holds a zero byte" });
    }
    Ok(())
}
