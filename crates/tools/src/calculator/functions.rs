//! The calculator's functions, a row each.

use std::cmp::Ordering;

use num_traits::ToPrimitive;

use super::number::{Number, Trouble, near};
use super::parse::{Quantity, number_of, of_number, root, sum_of, with};

/// Calls a function.
pub(super) fn call(name: &str, values: &[Quantity]) -> Result<Quantity, Trouble> {
    let float = |does: fn(f64) -> f64| -> Result<Quantity, Trouble> {
        let value = number_of(one(values)?)?;
        near(does(value.float())).map(of_number)
    };
    match name {
        "sqrt" | "平方根" => root(one(values)?, 2),
        "cbrt" | "立方根" => root(one(values)?, 3),
        "root" => {
            let [value, degree] = two(values)?;
            root(value, u32::try_from(whole(degree, 1, 1000)?).unwrap_or(1))
        }
        "abs" | "绝对值" => {
            let value = one(values)?;
            let negative = value.number.is_negative();
            Ok(with(value, if negative { value.number.negated() } else { value.number.clone() }))
        }
        "floor" => number_of(one(values)?).map(|number| of_number(number.floor())),
        "ceil" => number_of(one(values)?).map(|n| of_number(n.negated().floor().negated())),
        "round" | "四舍五入" => match values {
            [value] => number_of(value)?.rounded(0).map(of_number),
            _ => {
                let [value, decimals] = two(values)?;
                number_of(value)?.rounded(whole(decimals, -300, 300)?).map(of_number)
            }
        },
        "min" | "最小值" => extreme(values, Ordering::Less),
        "max" | "最大值" => extreme(values, Ordering::Greater),
        "sum" | "总和" => sum_of(values),
        "mean" | "avg" | "average" | "平均" | "平均值" => {
            let sum = sum_of(values)?;
            let count = i64::try_from(values.len()).unwrap_or(i64::MAX);
            Ok(with(&sum, sum.number.over(&count.into())?))
        }
        "median" | "中位数" => {
            sum_of(values)?;
            let mut sorted = values.to_vec();
            sorted.sort_by(|a, b| a.number.compare(&b.number));
            let (low, high) = (&sorted[(sorted.len() - 1) / 2], &sorted[sorted.len() / 2]);
            let sum = sum_of(&[low.clone(), high.clone()])?;
            Ok(with(&sum, sum.number.over(&2.into())?))
        }
        "gcd" | "最大公约数" => fold(values, |a, b| Some(gcd(a, b))),
        "lcm" | "最小公倍数" => fold(values, |a, b| match gcd(a, b) {
            0 => Some(0),
            common => (a / common).checked_mul(b),
        }),
        "factorial" => {
            let n = whole(one(values)?, 0, 5000)?;
            product(2, n)
        }
        "ncr" | "choose" | "binomial" => {
            let [n, k] = two(values)?;
            let (n, k) = (whole(n, 0, 5000)?, whole(k, 0, 5000)?);
            if k > n {
                return Ok(of_number(Number::zero()));
            }
            let k = k.min(n - k);
            product(n - k + 1, n)?.number.over(&product(2, k)?.number).map(of_number)
        }
        "npr" => {
            let [n, k] = two(values)?;
            let (n, k) = (whole(n, 0, 5000)?, whole(k, 0, 5000)?);
            if k > n { Ok(of_number(Number::zero())) } else { product(n - k + 1, n) }
        }
        "pow" => {
            let [base, power] = two(values)?;
            number_of(base)?.power(number_of(power)?).map(of_number)
        }
        "exp" => float(f64::exp),
        "ln" => float(f64::ln),
        "log" | "log10" | "lg" => match values {
            [_, _] => {
                let [value, base] = two(values)?;
                near(number_of(value)?.float().ln() / number_of(base)?.float().ln()).map(of_number)
            }
            _ => float(f64::log10),
        },
        "log2" => float(f64::log2),
        "sin" => float(f64::sin),
        "cos" => float(f64::cos),
        "tan" => float(f64::tan),
        "asin" | "arcsin" => float(f64::asin),
        "acos" | "arccos" => float(f64::acos),
        "atan" | "arctan" => float(f64::atan),
        "sinh" => float(f64::sinh),
        "cosh" => float(f64::cosh),
        "tanh" => float(f64::tanh),
        "radians" | "rad" | "弧度" => float(f64::to_radians),
        "degrees" | "deg" | "角度" => float(f64::to_degrees),
        _ => Err(format!("there is no function `{}`", name.chars().take(40).collect::<String>())),
    }
}

fn one(values: &[Quantity]) -> Result<&Quantity, Trouble> {
    match values {
        [value] => Ok(value),
        _ => Err(format!("expected one value, not {}", values.len())),
    }
}

fn two(values: &[Quantity]) -> Result<[&Quantity; 2], Trouble> {
    match values {
        [a, b] => Ok([a, b]),
        _ => Err(format!("expected two values, not {}", values.len())),
    }
}

/// A whole number within bounds.
fn whole(value: &Quantity, least: i64, most: i64) -> Result<i64, Trouble> {
    let number = number_of(value)?.whole().and_then(|whole| whole.to_i64());
    let number = number.filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| format!("expected a whole number from {least} to {most}"))
}

fn extreme(values: &[Quantity], wanted: Ordering) -> Result<Quantity, Trouble> {
    // They can be compared if they can be added.
    sum_of(values)?;
    let better = |best: &Quantity, value: &Quantity| value.number.compare(&best.number) == wanted;
    let best = values.iter().reduce(|best, value| if better(best, value) { value } else { best });
    best.cloned().ok_or_else(|| "expected at least one value".into())
}

fn fold(values: &[Quantity], does: fn(i64, i64) -> Option<i64>) -> Result<Quantity, Trouble> {
    const MOST: i64 = 1 << 53;
    let mut numbers = values.iter().map(|value| whole(value, -MOST, MOST));
    let first = numbers.next().ok_or("expected at least one value")??;
    let all = numbers.try_fold(first, |all, number| {
        does(all, number?).ok_or_else(|| Trouble::from("the result is too large"))
    })?;
    Ok(of_number(all.abs().into()))
}

/// Euclid's.
fn gcd(mut a: i64, mut b: i64) -> i64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a.abs()
}

fn product(from: i64, to: i64) -> Result<Quantity, Trouble> {
    let factors = (from..=to).map(Number::from);
    let all = factors.into_iter().try_fold(Number::one(), |all, factor| all.times(&factor));
    all.map(of_number)
}
