//! Numbers of the calculator: fractions of whole numbers of any length, as long as that is possible, and
//! double precision from there on, which says so. Whatever would become too long is refused beforehand.

use std::fmt::Write;

use num_bigint::{BigInt, Sign};
use num_rational::BigRational;
use num_traits::{One, Signed, ToPrimitive, Zero};

/// Bits of a numerator or denominator at most: some 20,000 digits.
pub(super) const BITS_MAX: u64 = 1 << 16;
const FRACTION_BITS_MAX: u64 = 1 << 14;
/// Digits that a result is written with; a longer one is rounded, and says so.
const DIGITS_MAX: usize = 400;
/// Digits behind the point of a fraction that ends.
const DECIMALS_MAX: usize = 40;
/// Digits of what is rounded.
const ROUNDED_DIGITS: usize = 15;

/// A number, and whether it is exact.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Number {
    /// This very number.
    Exact(BigRational),
    /// A number near it. Finite.
    Near(f64),
}

use Number::{Exact, Near};

/// Why there is no number.
pub(super) type Trouble = String;

impl From<i64> for Number {
    fn from(n: i64) -> Number {
        Exact(BigRational::from_integer(n.into()))
    }
}

fn too_large() -> Trouble {
    format!("a number there would have more than {} digits", BITS_MAX * 3 / 10)
}

/// The number, if it is no longer than is allowed. Fractions may be less long: to bring one to its
/// lowest terms takes time by the square of its length.
fn bounded(number: BigRational) -> Result<Number, Trouble> {
    let most = if number.is_integer() { BITS_MAX } else { FRACTION_BITS_MAX };
    let long = number.numer().bits() > most || number.denom().bits() > most;
    if long { Err(too_large()) } else { Ok(Exact(number)) }
}

/// Both, where both are whole: there is nothing to bring to lowest terms then.
fn whole<'a>(a: &'a BigRational, b: &'a BigRational) -> Option<(&'a BigInt, &'a BigInt)> {
    (a.is_integer() && b.is_integer()).then(|| (a.numer(), b.numer()))
}

/// A number near what was computed, if that is one.
pub(super) fn near(number: f64) -> Result<Number, Trouble> {
    if number.is_finite() {
        Ok(Near(number))
    } else if number.is_nan() {
        Err("that is not defined".into())
    } else {
        Err("the result is too large".into())
    }
}

impl Number {
    pub(super) fn zero() -> Number {
        Number::from(0)
    }

    pub(super) fn one() -> Number {
        Number::from(1)
    }

    /// A fraction of two whole numbers; the second is not zero.
    pub(super) fn ratio(numerator: i64, denominator: i64) -> Number {
        Exact(BigRational::new(numerator.into(), denominator.into()))
    }

    /// Decimal digits, perhaps with a point and a power of ten.
    pub(super) fn read(digits: &str) -> Result<Number, Trouble> {
        let (digits, exponent) = match digits.split_once(['e', 'E']) {
            Some((digits, exponent)) => (digits, exponent.parse::<i32>().map_err(|_| too_large())?),
            None => (digits, 0),
        };
        let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
        let all = format!("{whole}{part}");
        let number = BigInt::parse_bytes(all.as_bytes(), 10).ok_or("expected a number")?;
        let decimals = i32::try_from(part.len()).map_err(|_| too_large())?;
        let shift = i64::from(exponent) - i64::from(decimals);
        Exact(BigRational::from_integer(number)).times(&Number::from(10).power(&shift.into())?)
    }

    pub(super) fn is_exact(&self) -> bool {
        matches!(self, Exact(_))
    }

    pub(super) fn is_zero(&self) -> bool {
        match self {
            Exact(number) => number.is_zero(),
            Near(number) => *number == 0.0,
        }
    }

    pub(super) fn is_negative(&self) -> bool {
        match self {
            Exact(number) => number.is_negative(),
            Near(number) => *number < 0.0,
        }
    }

    /// The whole number that it is, if it is one.
    pub(super) fn whole(&self) -> Option<&BigInt> {
        match self {
            Exact(number) if number.is_integer() => Some(number.numer()),
            _ => None,
        }
    }

    /// The nearest double; infinite where there is none.
    pub(super) fn float(&self) -> f64 {
        match self {
            Exact(number) => number.to_f64().unwrap_or(f64::NAN),
            Near(number) => *number,
        }
    }

    fn both(
        &self,
        other: &Number,
        exact: impl Fn(&BigRational, &BigRational) -> BigRational,
        float: impl Fn(f64, f64) -> f64,
    ) -> Result<Number, Trouble> {
        match (self, other) {
            (Exact(a), Exact(b)) => bounded(exact(a, b)),
            _ => near(float(self.float(), other.float())),
        }
    }

    pub(super) fn plus(&self, other: &Number) -> Result<Number, Trouble> {
        self.both(
            other,
            |a, b| match whole(a, b) {
                Some((a, b)) => BigRational::from_integer(a + b),
                None => a + b,
            },
            |a, b| a + b,
        )
    }

    pub(super) fn minus(&self, other: &Number) -> Result<Number, Trouble> {
        self.both(other, |a, b| a - b, |a, b| a - b)
    }

    pub(super) fn times(&self, other: &Number) -> Result<Number, Trouble> {
        self.both(
            other,
            |a, b| match whole(a, b) {
                Some((a, b)) => BigRational::from_integer(a * b),
                None => a * b,
            },
            |a, b| a * b,
        )
    }

    pub(super) fn over(&self, other: &Number) -> Result<Number, Trouble> {
        if other.is_zero() {
            return Err("that divides by zero".into());
        }
        self.both(other, |a, b| a / b, |a, b| a / b)
    }

    /// What is left, with the divisor's sign.
    pub(super) fn modulo(&self, other: &Number) -> Result<Number, Trouble> {
        if other.is_zero() {
            return Err("that divides by zero".into());
        }
        self.both(other, |a, b| a - b * (a / b).floor(), |a, b| a - b * (a / b).floor())
    }

    pub(super) fn negated(&self) -> Number {
        match self {
            Exact(number) => Exact(-number),
            Near(number) => Near(-number),
        }
    }

    /// To a power; exact where the result is, and says no before it computes what is too long.
    pub(super) fn power(&self, exponent: &Number) -> Result<Number, Trouble> {
        let (Exact(base), Exact(power)) = (self, exponent) else {
            return self.power_near(exponent);
        };
        if base.is_zero() && power.is_negative() {
            return Err("that divides by zero".into());
        }
        if !power.is_integer() {
            // 8^(2/3) is 4: the root first, where it is a fraction itself.
            let degree = power.denom().to_u32();
            let root = degree.and_then(|degree| exact_root(base, degree));
            return match root {
                Some(root) => {
                    let whole = BigRational::from_integer(power.numer().clone());
                    Exact(root).power(&Exact(whole))
                }
                None => self.power_near(exponent),
            };
        }
        let unit = base.is_zero() || (base.denom().is_one() && base.numer().abs().is_one());
        let Some(power) = power.numer().to_i64() else {
            // 1, 0 and -1 stay small for ever.
            if !unit {
                return Err(too_large());
            }
            let even = !power.numer().bit(0);
            return Ok(Exact(if even { base * base } else { base.clone() }));
        };
        let bits = base.numer().bits().max(base.denom().bits());
        if !unit && bits.saturating_sub(1).saturating_mul(power.unsigned_abs()) > BITS_MAX {
            return Err(too_large());
        }
        let power = match i32::try_from(power) {
            Ok(power) => power,
            Err(_) => i32::from(power % 2 != 0),
        };
        bounded(base.pow(power))
    }

    fn power_near(&self, exponent: &Number) -> Result<Number, Trouble> {
        let (base, power) = (self.float(), exponent.float());
        if base < 0.0 && power.fract() != 0.0 {
            return Err("a negative number has no such root".into());
        }
        if base == 0.0 && power < 0.0 {
            return Err("that divides by zero".into());
        }
        near(base.powf(power))
    }

    /// Its root; exact where it is a fraction.
    pub(super) fn root(&self, degree: u32) -> Result<Number, Trouble> {
        if degree == 0 {
            return Err("there is no root of degree zero".into());
        }
        if self.is_negative() && degree.is_multiple_of(2) {
            return Err("a negative number has no such root".into());
        }
        if let Exact(number) = self
            && let Some(root) = exact_root(number, degree)
        {
            return Ok(Exact(root));
        }
        let float = self.float();
        near(match degree {
            2 => float.sqrt(),
            3 => float.cbrt(),
            _ => float.abs().powf(1.0 / f64::from(degree)).copysign(float),
        })
    }

    pub(super) fn floor(&self) -> Number {
        match self {
            Exact(number) => Exact(number.floor()),
            Near(number) => Near(number.floor()),
        }
    }

    /// To so many decimals; a half goes away from zero.
    pub(super) fn rounded(&self, decimals: i64) -> Result<Number, Trouble> {
        let scale = Number::from(10).power(&decimals.into())?;
        let scaled = self.times(&scale)?;
        let round = match scaled {
            Exact(number) => Exact(number.round()),
            Near(number) => Near(number.round()),
        };
        round.over(&scale)
    }

    pub(super) fn compare(&self, other: &Number) -> std::cmp::Ordering {
        match (self, other) {
            (Exact(a), Exact(b)) => a.cmp(b),
            _ => self.float().total_cmp(&other.float()),
        }
    }

    /// As it is written, and whether that is all of it: `1/3` is not, as 0.333333333333333.
    pub(super) fn written(&self) -> (String, bool) {
        match self {
            Near(number) => (rounded_float(*number), false),
            Exact(number) => match decimal(number) {
                Some(text) => (text, true),
                None => (rounded_ratio(number), false),
            },
        }
    }

    /// As a fraction, where it is exact and short enough to be read.
    pub(super) fn fraction(&self) -> Option<String> {
        match self {
            Exact(number) if number.numer().bits().max(number.denom().bits()) < 100 => {
                Some(format!("{}/{}", number.numer(), number.denom()))
            }
            _ => None,
        }
    }
}

/// The root of a fraction, where that is a fraction.
fn exact_root(number: &BigRational, degree: u32) -> Option<BigRational> {
    if degree == 0 || (number.is_negative() && degree.is_multiple_of(2)) {
        return None;
    }
    let of = |n: &BigInt| {
        if n.bits() <= 1 {
            return Some(n.clone());
        }
        // A degree beyond the bits leaves 1, which nothing else is a power of.
        let root = (u64::from(degree) <= n.bits()).then(|| n.nth_root(degree))?;
        (root.pow(degree) == *n).then_some(root)
    };
    Some(BigRational::new(of(number.numer())?, of(number.denom())?))
}

/// All digits of a number, where they end soon enough.
fn decimal(number: &BigRational) -> Option<String> {
    let ten = BigInt::from(10);
    let mut denominator = number.denom().clone();
    if denominator.bits() > 4 * DECIMALS_MAX as u64 {
        return None;
    }
    let mut decimals = 0;
    let mut scaled = number.numer().clone();
    while !denominator.is_one() {
        if decimals == DECIMALS_MAX {
            return None;
        }
        scaled *= &ten;
        decimals += 1;
        let common = num_gcd(&scaled, &denominator);
        scaled /= &common;
        denominator /= &common;
    }
    if scaled.bits() > DIGITS_MAX as u64 * 4 {
        return None;
    }
    let digits = scaled.magnitude().to_string();
    if digits.len() > DIGITS_MAX {
        return None;
    }
    let sign = if scaled.sign() == Sign::Minus { "-" } else { "" };
    if decimals == 0 {
        return Some(format!("{sign}{digits}"));
    }
    let digits = format!("{digits:0>width$}", width = decimals + 1);
    let (whole, part) = digits.split_at(digits.len() - decimals);
    Some(format!("{sign}{whole}.{part}"))
}

/// Euclid's.
fn num_gcd(a: &BigInt, b: &BigInt) -> BigInt {
    let (mut a, mut b) = (a.abs(), b.abs());
    while !b.is_zero() {
        (a, b) = (b.clone(), a % b);
    }
    a
}

/// The first digits of a number, rounded.
fn rounded_ratio(number: &BigRational) -> String {
    let float = number.to_f64().unwrap_or(f64::INFINITY);
    if float.is_finite() && (float != 0.0 || number.is_zero()) {
        return rounded_float(float);
    }
    // Beyond what a double holds: so many digits by hand.
    let numerator = number.numer().magnitude().to_string();
    let denominator = number.denom().magnitude().to_string();
    let mut exponent = numerator.len() as i64 - denominator.len() as i64;
    // |number| / 10^exponent with all its digits before the point, rounded.
    let scaled = |exponent: i64| -> Option<String> {
        let by = ROUNDED_DIGITS as i64 - 1 - exponent;
        let power = BigInt::from(10).pow(u32::try_from(by.unsigned_abs()).ok()?);
        let (above, below) = (number.numer().abs(), number.denom().clone());
        let (above, below) = if by < 0 { (above, below * power) } else { (above * power, below) };
        let digits: BigInt = (above * 2 + &below) / (below * 2);
        Some(digits.to_string())
    };
    let mut digits = scaled(exponent).unwrap_or_default();
    if digits.len() < ROUNDED_DIGITS {
        exponent -= 1;
        digits = scaled(exponent).unwrap_or_default();
    }
    let sign = if number.is_negative() { "-" } else { "" };
    match digits.split_at_checked(1) {
        Some((first, rest)) if !rest.is_empty() => {
            let rest = rest.trim_end_matches('0');
            let point = if rest.is_empty() { "" } else { "." };
            format!("{sign}{first}{point}{rest}e{exponent}")
        }
        _ => format!("{sign}10^{exponent}"),
    }
}

/// A double with the digits that mean something.
fn rounded_float(number: f64) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = write!(text, "{number:.precision$e}", precision = ROUNDED_DIGITS - 1);
    let Some((digits, exponent)) = text.split_once('e') else { return text };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-7..ROUNDED_DIGITS as i32).contains(&exponent) {
        let decimals = (ROUNDED_DIGITS as i32 - 1 - exponent).max(0) as usize;
        let plain = format!("{number:.decimals$}");
        if !plain.contains('.') {
            return plain;
        }
        let plain = plain.trim_end_matches('0').trim_end_matches('.');
        return if plain == "-0" { "0".into() } else { plain.to_owned() };
    }
    let digits = digits.trim_end_matches('0').trim_end_matches('.');
    format!("{digits}e{exponent}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_they_are() {
        let rows = [
            ("0.1", "0.1", true),
            ("100", "100", true),
            ("1e3", "1000", true),
            ("1.50", "1.5", true),
            ("1e-40", &format!("0.{}1", "0".repeat(39)), true),
            ("1e-41", "1e-41", false),
            ("1e399", &format!("1{}", "0".repeat(399)), true),
            ("1.25e5000", "1.25e5000", false),
            ("1.25e-4000", "1.25e-4000", false),
        ];
        for (digits, expected, exact) in rows {
            assert_eq!(Number::read(digits).unwrap().written(), (expected.into(), exact));
        }
        assert_eq!(Number::ratio(1, 3).written(), ("0.333333333333333".into(), false));
        assert_eq!(Number::ratio(-2, 3).written(), ("-0.666666666666667".into(), false));
        assert_eq!(Near(0.1 + 0.2).written(), ("0.3".into(), false));
        assert_eq!(Near(-1e-30).written(), ("-1e-30".into(), false));
        assert!(Number::read("1e99999999").is_err());
        assert!(Number::read("1e999999999999").is_err());
    }

    #[test]
    fn powers_are_exact_or_refused() {
        let power = |a: Number, b: Number| a.power(&b).map(|n| n.written().0);
        assert_eq!(power(2.into(), 10.into()).unwrap(), "1024");
        assert_eq!(power(8.into(), Number::ratio(2, 3)).unwrap(), "4");
        assert_eq!(power(4.into(), Number::ratio(-1, 2)).unwrap(), "0.5");
        assert_eq!(power(2.into(), Number::ratio(1, 2)).unwrap(), "1.4142135623731");
        assert_eq!(power((-1).into(), Number::read("1e30").unwrap()).unwrap(), "1");
        assert_eq!(power((-1).into(), 99_999_999_999.into()).unwrap(), "-1");
        assert!(power(9.into(), 387_420_489.into()).is_err());
        assert!(power(2.into(), Number::read("1e30").unwrap()).is_err());
        assert!(power(0.into(), (-1).into()).is_err());
        assert!(power((-8).into(), Number::ratio(1, 2)).is_err());
        assert_eq!(power((-8).into(), Number::ratio(1, 3)).unwrap(), "-2");
        assert_eq!(Number::from(10).power(&400.into()).unwrap().root(2).unwrap(), {
            Number::from(10).power(&200.into()).unwrap()
        });
    }
}
