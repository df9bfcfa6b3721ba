//! The grammar of the calculator, evaluated as it is read. Everything is bounded: length, depth, size of
//! numbers. It knows no dates.
//!
//! ```text
//! all     = sum [("in" | "to" | "as" | 换算成 …) unit]
//! sum     = product {("+" | "-") product}        a ± b% is a share of a
//! product = signed {("*" | "/" | "of" | "mod") signed}
//! signed  = ["+" | "-"] signed | power
//! power   = after ["^" signed]                     from the right
//! after   = atom {"!" | "%" | "²" | "³"}
//! atom    = number [unit {number unit}] | unit | name | function "(" … ")" | "(" sum ")" | "√" after
//! ```

use num_traits::ToPrimitive;

use super::number::{Number, Trouble, near};
use super::units::{self, Dimension, NONE, Unit};
use super::words::Word;
use super::{DEPTH_MAX, Fault};

/// A number with its unit.
#[derive(Clone, Debug)]
pub(super) struct Quantity {
    /// In base units.
    pub(super) number: Number,
    pub(super) dimension: Dimension,
    /// The unit it was said in, where it is just one.
    unit: Option<&'static Unit>,
    /// Written as a share of a hundred.
    percent: bool,
}

/// A result: its number in the unit that is written behind it.
pub(super) struct Answer {
    pub(super) number: Number,
    pub(super) unit: String,
}

pub(super) struct Parser<'a> {
    words: &'a [(usize, Word)],
    at: usize,
    depth: usize,
    /// Within an exponent: a name behind a number is not its unit.
    bare: bool,
    /// Characters of the expression, for a fault at its end.
    length: usize,
}

type Parsed<T> = Result<T, Fault>;

fn plain(number: Number) -> Quantity {
    Quantity { number, dimension: NONE, unit: None, percent: false }
}

const CONVERT: &[&str] = &[
    "in",
    "to",
    "into",
    "as",
    "换算成",
    "换算为",
    "换成",
    "转换成",
    "转换为",
    "转成",
    "等于多少",
    "是多少",
    "合多少",
    "为多少",
];

const OPERATORS: &[(&str, char)] = &[
    ("of", '*'),
    ("times", '*'),
    ("plus", '+'),
    ("minus", '-'),
    ("over", '/'),
    ("per", '/'),
    ("mod", 'm'),
    ("modulo", 'm'),
    ("的", '*'),
    ("加", '+'),
    ("加上", '+'),
    ("减", '-'),
    ("减去", '-'),
    ("乘", '*'),
    ("乘以", '*'),
    ("除以", '/'),
    ("x", '*'),
    ("X", '*'),
    ("divided", '/'),
    ("multiplied", '*'),
    ("和", '+'),
];

/// Whether a Chinese word means something here.
pub(super) fn is_known(word: &str) -> bool {
    const FUNCTIONS: &[&str] = &[
        "根号",
        "平方根",
        "立方根",
        "绝对值",
        "四舍五入",
        "最小值",
        "最大值",
        "总和",
        "平均值",
        "平均",
        "中位数",
        "最大公约数",
        "最小公倍数",
        "圆周率",
        "弧度",
        "角度",
        "半",
    ];
    units::named(word).is_some()
        || OPERATORS.iter().any(|(known, _)| *known == word)
        || CONVERT.contains(&word)
        || FUNCTIONS.contains(&word)
}

impl<'a> Parser<'a> {
    pub(super) fn new(words: &'a [(usize, Word)], length: usize) -> Parser<'a> {
        Parser { words, at: 0, depth: 0, bare: false, length }
    }

    fn word(&self) -> Option<&'a Word> {
        self.words.get(self.at).map(|(_, word)| word)
    }

    fn place(&self) -> usize {
        self.words.get(self.at).map_or(self.length + 1, |(place, _)| *place)
    }

    fn fault<T>(&self, what: impl Into<String>) -> Parsed<T> {
        Err(Fault { at: self.place(), what: what.into() })
    }

    fn takes(&mut self, sign: char) -> bool {
        let there = self.word() == Some(&Word::Sign(sign));
        self.at += usize::from(there);
        there
    }

    fn name(&self) -> Option<&'a str> {
        match self.word() {
            Some(Word::Name(name)) => Some(name),
            _ => None,
        }
    }

    /// The whole expression, and the unit that it is wanted in.
    pub(super) fn all(&mut self) -> Parsed<Answer> {
        let value = self.sum()?;
        let mut wanted = None;
        if self.name().is_some_and(|name| CONVERT.contains(&name)) {
            self.at += 1;
            if self.word().is_some() {
                let before = self.at;
                let target = self.product()?;
                let bare = self.words[before..self.at].iter().all(
                    |(_, word)| !matches!(word, Word::Number(number) if *number == Number::one()),
                );
                if target.dimension != value.dimension {
                    self.at = before;
                    return self.fault(if value.dimension == NONE {
                        "that has no unit that could be converted".to_owned()
                    } else {
                        format!("expected a unit such as {}", units::of_dimension(value.dimension))
                    });
                }
                let text = self.words[before..self.at].iter().map(|(_, word)| spelled(word));
                wanted = Some((target, text.collect::<String>())).filter(|_| bare);
            }
        }
        if self.word().is_some() {
            return self.fault("expected an operator, or the end");
        }
        let at = self.place();
        self.written_in(value, wanted).map_err(|what| Fault { at, what })
    }

    fn written_in(
        &self,
        value: Quantity,
        wanted: Option<(Quantity, String)>,
    ) -> Result<Answer, Trouble> {
        let unit = match &wanted {
            Some((target, _)) => target.unit,
            None => value.unit,
        };
        if let Some(unit) = unit {
            let number = value.number.minus(&unit.zero())?.over(&unit.size())?;
            return Ok(Answer { number, unit: unit.names[0].into() });
        }
        if let Some((target, text)) = wanted {
            return Ok(Answer { number: value.number.over(&target.number)?, unit: text });
        }
        Ok(Answer { number: value.number, unit: units::base_name(value.dimension) })
    }

    fn sum(&mut self) -> Parsed<Quantity> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return self.fault(format!("more than {DEPTH_MAX} brackets inside each other"));
        }
        let mut left = self.product()?;
        loop {
            let at = self.place();
            let minus = match self.operator() {
                Some('+') => false,
                Some('-') => true,
                _ => break,
            };
            self.at += 1;
            let right = self.product()?;
            let sum = added(&left, right, minus);
            left = sum.map_err(|what| Fault { at, what })?;
        }
        self.depth -= 1;
        Ok(left)
    }

    fn operator(&self) -> Option<char> {
        match self.word()? {
            Word::Sign(sign) => Some(*sign),
            Word::Name(name) => {
                OPERATORS.iter().find(|(word, _)| word == name).map(|(_, sign)| *sign)
            }
            Word::Number(_) => None,
        }
    }

    fn product(&mut self) -> Parsed<Quantity> {
        let mut left = self.signed()?;
        loop {
            let at = self.place();
            let sign = match self.operator() {
                Some(sign @ ('*' | '/' | 'm')) => sign,
                // 2(3 + 4)
                Some('(' | '√') => '(',
                _ => return Ok(left),
            };
            self.at += usize::from(sign != '(');
            if sign != '(' && self.name() == Some("by") {
                self.at += 1;
            }
            let right = self.signed()?;
            let product = multiplied(&left, &right, sign);
            left = product.map_err(|what| Fault { at, what })?;
        }
    }

    fn signed(&mut self) -> Parsed<Quantity> {
        let mut negative = false;
        loop {
            if self.takes('-') {
                negative = !negative;
            } else if !self.takes('+') {
                break;
            }
        }
        let at = self.place();
        // -5 °C is five below zero, not the opposite of five above.
        if negative
            && let (Some(Word::Number(number)), Some((_, Word::Name(name)))) =
                (self.word(), self.words.get(self.at + 1))
            && let Some(unit) = units::named(name).filter(|unit| unit.is_scale())
        {
            self.at += 2;
            return of_unit(&number.negated(), unit).map_err(|what| Fault { at, what });
        }
        let value = self.power()?;
        if !negative {
            return Ok(value);
        }
        computable(&value).map_err(|what| Fault { at, what })?;
        Ok(Quantity { number: value.number.negated(), ..value })
    }

    fn power(&mut self) -> Parsed<Quantity> {
        let base = self.after()?;
        let at = self.place();
        if !self.takes('^') {
            return Ok(base);
        }
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return self.fault(format!("more than {DEPTH_MAX} powers inside each other"));
        }
        let before = std::mem::replace(&mut self.bare, true);
        let exponent = self.signed();
        self.bare = before;
        let exponent = exponent?;
        self.depth -= 1;
        raised(&base, &exponent).map_err(|what| Fault { at, what })
    }

    fn after(&mut self) -> Parsed<Quantity> {
        let mut value = self.atom()?;
        loop {
            let at = self.place();
            let Some(Word::Sign(sign)) = self.word() else { return Ok(value) };
            let next = match sign {
                '!' => factorial(&value),
                '%' => share(&value, 100),
                '‰' => share(&value, 1000),
                '²' => raised(&value, &plain(2.into())),
                '³' => raised(&value, &plain(3.into())),
                _ => return Ok(value),
            };
            value = next.map_err(|what| Fault { at, what })?;
            self.at += 1;
        }
    }

    fn atom(&mut self) -> Parsed<Quantity> {
        let at = self.place();
        let fault = |what| Fault { at, what };
        match self.word() {
            Some(Word::Number(number)) => {
                self.at += 1;
                if self.bare {
                    return Ok(plain(number.clone()));
                }
                let Some(unit) = self.unit_behind_number() else {
                    return Ok(plain(number.clone()));
                };
                let mut whole = of_unit(number, unit).map_err(fault)?;
                // 2 m^2 is two square metres, not the square of two metres.
                if self.word() == Some(&Word::Sign('^'))
                    && let Some((_, Word::Number(power))) = self.words.get(self.at + 1)
                {
                    self.at += 2;
                    let one = of_unit(&Number::one(), unit).map_err(fault)?;
                    let unit = raised(&one, &plain(power.clone())).map_err(fault)?;
                    return multiplied(&plain(number.clone()), &unit, '*').map_err(fault);
                }
                // 3 ft 2 in: parts of one measure, each smaller than the one before.
                while let Some(Word::Number(number)) = self.word() {
                    let place = self.at;
                    self.at += 1;
                    match self.unit_behind_number() {
                        Some(unit) if unit.dimension == whole.dimension && !unit.is_scale() => {
                            let part = of_unit(number, unit).map_err(fault)?;
                            let first = whole.unit;
                            whole = added(&whole, part, false).map_err(fault)?;
                            whole.unit = first;
                        }
                        _ => {
                            self.at = place;
                            return self.fault("expected an operator before this number");
                        }
                    }
                }
                Ok(whole)
            }
            Some(Word::Sign('(')) => {
                self.at += 1;
                let before = std::mem::replace(&mut self.bare, false);
                let value = self.sum();
                self.bare = before;
                let value = value?;
                if !self.takes(')') {
                    return self.fault("expected `)`");
                }
                Ok(value)
            }
            Some(Word::Sign('√')) => {
                self.at += 1;
                let value = self.after()?;
                root(&value, 2).map_err(fault)
            }
            Some(Word::Name(name)) => self.named(name),
            Some(Word::Sign(_)) => self.fault("expected a number, a unit, a name or `(`"),
            None => self.fault("something is missing at the end"),
        }
    }

    /// The unit right behind a number. `in` is the inch there.
    fn unit_behind_number(&mut self) -> Option<&'static Unit> {
        let name = match self.word()? {
            Word::Name(name) => name.clone(),
            Word::Sign(sign @ ('\'' | '"' | '′' | '″')) => sign.to_string(),
            _ => return None,
        };
        if name == "个"
            && let Some((_, Word::Name(second))) = self.words.get(self.at + 1)
            && let Some(unit) = units::named(second)
        {
            self.at += 2;
            return Some(unit);
        }
        // Two words: fluid ounce.
        if let Some((_, Word::Name(second))) = self.words.get(self.at + 1)
            && let Some(unit) = units::named(&format!("{name} {second}"))
        {
            self.at += 2;
            return Some(unit);
        }
        let unit = units::named(&name)?;
        self.at += 1;
        Some(unit)
    }

    fn named(&mut self, name: &str) -> Parsed<Quantity> {
        let at = self.place();
        let fault = |what| Fault { at, what };
        if let Some(unit) = self.unit_behind_number() {
            return of_unit(&Number::one(), unit).map_err(fault);
        }
        self.at += 1;
        let lower = name.to_lowercase();
        match lower.as_str() {
            "pi" | "π" | "圆周率" => {
                return near(std::f64::consts::PI).map(plain).map_err(fault);
            }
            "tau" | "τ" => return near(std::f64::consts::TAU).map(plain).map_err(fault),
            "e" => return near(std::f64::consts::E).map(plain).map_err(fault),
            "half" | "半" => return Ok(plain(Number::ratio(1, 2))),
            "dozen" => return Ok(plain(12.into())),
            "根号" => {
                let value = self.after()?;
                return root(&value, 2).map_err(fault);
            }
            _ => {}
        }
        if !self.takes('(') {
            self.at -= 1;
            let name: String = name.chars().take(40).collect();
            return self.fault(format!("`{name}` is no unit, number or function that is known"));
        }
        let mut values = Vec::new();
        while !self.takes(')') {
            values.push(self.sum()?);
            if !self.takes(',') && self.word() != Some(&Word::Sign(')')) {
                return self.fault("expected `,` or `)`");
            }
        }
        super::functions::call(&lower, &values).map_err(fault)
    }
}

fn spelled(word: &Word) -> String {
    match word {
        Word::Number(number) => number.written().0,
        Word::Name(name) => name.clone(),
        Word::Sign(sign) => sign.to_string(),
    }
}

fn of_unit(number: &Number, unit: &'static Unit) -> Result<Quantity, Trouble> {
    let number = number.times(&unit.size())?.plus(&unit.zero())?;
    Ok(Quantity { number, dimension: unit.dimension, unit: Some(unit), percent: false })
}

/// Whether arithmetic with it means anything.
fn computable(value: &Quantity) -> Result<(), Trouble> {
    match value.unit {
        Some(unit) if unit.is_scale() => {
            Err("temperatures in °C and °F can be converted, not computed with; use K".into())
        }
        _ => Ok(()),
    }
}

fn added(left: &Quantity, right: Quantity, minus: bool) -> Result<Quantity, Trouble> {
    computable(left)?;
    computable(&right)?;
    // 200 + 10% is 220, as on every pocket calculator.
    let right = if right.percent && !left.percent {
        Quantity { number: left.number.times(&right.number)?, ..left.clone() }
    } else {
        right
    };
    if left.dimension != right.dimension {
        let name = |dimension| match units::base_name(dimension) {
            name if name.is_empty() => "a plain number".to_owned(),
            name => name,
        };
        return Err(format!("{} and {} have no sum", name(left.dimension), name(right.dimension)));
    }
    let number =
        if minus { left.number.minus(&right.number)? } else { left.number.plus(&right.number)? };
    Ok(Quantity { number, percent: left.percent && right.percent, ..left.clone() })
}

fn multiplied(left: &Quantity, right: &Quantity, sign: char) -> Result<Quantity, Trouble> {
    computable(left)?;
    computable(right)?;
    let unit = match (left.dimension == NONE, right.dimension == NONE) {
        (_, true) => left.unit,
        (true, false) if sign != '/' => right.unit,
        _ => None,
    };
    let (number, dimension) = match sign {
        '/' => {
            (left.number.over(&right.number)?, units::product(left.dimension, right.dimension, -1)?)
        }
        'm' if left.dimension == right.dimension => {
            (left.number.modulo(&right.number)?, left.dimension)
        }
        'm' => return Err("expected both to have the same unit".into()),
        _ => {
            (left.number.times(&right.number)?, units::product(left.dimension, right.dimension, 1)?)
        }
    };
    Ok(Quantity { number, dimension, unit: unit.filter(|_| dimension != NONE), percent: false })
}

fn raised(base: &Quantity, exponent: &Quantity) -> Result<Quantity, Trouble> {
    computable(base)?;
    let power = number_of(exponent)?;
    if base.dimension == NONE {
        return Ok(plain(base.number.power(power)?));
    }
    let times = power.whole().and_then(|whole| whole.to_i8());
    let times = times.ok_or("expected a small whole number as the power of a unit")?;
    let dimension = units::product(NONE, base.dimension, times)?;
    Ok(Quantity { number: base.number.power(power)?, dimension, unit: None, percent: false })
}

fn factorial(value: &Quantity) -> Result<Quantity, Trouble> {
    let number = number_of(value)?.whole().and_then(|whole| whole.to_i64());
    let number = number.filter(|n| (0..=5000).contains(n));
    let number = number.ok_or("expected a whole number from 0 to 5000 before `!`")?;
    let mut product = Number::one();
    for factor in 2..=number {
        product = product.times(&factor.into())?;
    }
    Ok(plain(product))
}

fn share(value: &Quantity, of: i64) -> Result<Quantity, Trouble> {
    let number = number_of(value)?.over(&of.into())?;
    Ok(Quantity { percent: true, ..plain(number) })
}

/// A number that has no unit.
pub(super) fn number_of(value: &Quantity) -> Result<&Number, Trouble> {
    if value.dimension == NONE {
        Ok(&value.number)
    } else {
        Err("expected a number without a unit".into())
    }
}

pub(super) fn root(value: &Quantity, degree: u32) -> Result<Quantity, Trouble> {
    if value.dimension == NONE {
        return Ok(plain(value.number.root(degree)?));
    }
    computable(value)?;
    let mut dimension = value.dimension;
    for power in &mut dimension {
        let degree = i8::try_from(degree).map_err(|_| "that root has no unit")?;
        if *power % degree != 0 {
            return Err("that root has no unit".into());
        }
        *power /= degree;
    }
    Ok(Quantity { number: value.number.root(degree)?, dimension, unit: None, percent: false })
}

/// The same unit with another number.
pub(super) fn with(value: &Quantity, number: Number) -> Quantity {
    Quantity { number, ..value.clone() }
}

pub(super) fn of_number(number: Number) -> Quantity {
    plain(number)
}

pub(super) fn sum_of(values: &[Quantity]) -> Result<Quantity, Trouble> {
    let (first, rest) = values.split_first().ok_or("expected at least one value")?;
    rest.iter().try_fold(first.clone(), |sum, value| added(&sum, value.clone(), false))
}
