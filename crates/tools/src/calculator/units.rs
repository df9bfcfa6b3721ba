//! Units of measure: a table of names and of how much each is, exactly, in the base units. Currencies are
//! not among them: what they are worth changes by the minute.
//!
//! Lengths are those of the international yard and pound agreement of 1959, volumes those of the United
//! States unless they say otherwise, Chinese market units those of 1959.

use super::number::{Number, Trouble};

/// Powers of metre, kilogram, second, kelvin and bit.
pub(super) type Dimension = [i8; 5];

/// A plain number's.
pub(super) const NONE: Dimension = [0; 5];
const LENGTH: Dimension = [1, 0, 0, 0, 0];
const AREA: Dimension = [2, 0, 0, 0, 0];
const VOLUME: Dimension = [3, 0, 0, 0, 0];
const MASS: Dimension = [0, 1, 0, 0, 0];
const TIME: Dimension = [0, 0, 1, 0, 0];
const TEMPERATURE: Dimension = [0, 0, 0, 1, 0];
const DATA: Dimension = [0, 0, 0, 0, 1];
const SPEED: Dimension = [1, 0, -1, 0, 0];

/// One unit: its first name is the one it is written with.
#[derive(Debug)]
pub(super) struct Unit {
    pub(super) names: &'static [&'static str],
    pub(super) dimension: Dimension,
    /// Base units that it is: a fraction.
    size: (i64, i64),
    /// What its zero is in base units: a fraction. Not zero for °C and °F alone.
    zero: (i64, i64),
}

impl Unit {
    /// Base units that it is.
    pub(super) fn size(&self) -> Number {
        Number::ratio(self.size.0, self.size.1)
    }

    /// What its zero is in base units.
    pub(super) fn zero(&self) -> Number {
        Number::ratio(self.zero.0, self.zero.1)
    }

    /// Whether its zero is another than the base unit's, so that two of them make no sum.
    pub(super) fn is_scale(&self) -> bool {
        self.zero.0 != 0
    }
}

const fn unit(
    names: &'static [&'static str],
    dimension: Dimension,
    numerator: i64,
    denominator: i64,
) -> Unit {
    Unit { names, dimension, size: (numerator, denominator), zero: (0, 1) }
}

const UNITS: &[Unit] = &[
    unit(&["m", "meter", "metre", "米", "公尺"], LENGTH, 1, 1),
    unit(&["km", "kilometer", "kilometre", "公里", "千米"], LENGTH, 1000, 1),
    unit(&["dm", "decimeter", "decimetre", "分米"], LENGTH, 1, 10),
    unit(&["cm", "centimeter", "centimetre", "厘米"], LENGTH, 1, 100),
    unit(&["mm", "millimeter", "millimetre", "毫米"], LENGTH, 1, 1000),
    unit(&["µm", "um", "μm", "micrometer", "micrometre", "micron", "微米"], LENGTH, 1, 1_000_000),
    unit(&["nm", "nanometer", "nanometre", "纳米"], LENGTH, 1, 1_000_000_000),
    unit(&["in", "inch", "inches", "英寸", "\"", "″"], LENGTH, 254, 10_000),
    unit(&["ft", "foot", "feet", "英尺", "'", "′"], LENGTH, 3048, 10_000),
    unit(&["yd", "yard", "码"], LENGTH, 9144, 10_000),
    unit(&["mi", "mile", "英里"], LENGTH, 1_609_344, 1000),
    unit(&["nmi", "海里"], LENGTH, 1852, 1),
    unit(&["ly", "lightyear", "光年"], LENGTH, 9_460_730_472_580_800, 1),
    unit(&["au", "天文单位"], LENGTH, 149_597_870_700, 1),
    unit(&["里", "华里"], LENGTH, 500, 1),
    unit(&["丈"], LENGTH, 10, 3),
    unit(&["尺"], LENGTH, 1, 3),
    unit(&["寸"], LENGTH, 1, 30),
    unit(&["m²", "sqm", "平方米", "平米"], AREA, 1, 1),
    unit(&["km²", "sqkm", "平方公里", "平方千米"], AREA, 1_000_000, 1),
    unit(&["cm²", "sqcm", "平方厘米"], AREA, 1, 10_000),
    unit(&["mm²", "平方毫米"], AREA, 1, 1_000_000),
    unit(&["ha", "hectare", "公顷"], AREA, 10_000, 1),
    unit(&["acre", "英亩"], AREA, 40_468_564_224, 10_000_000),
    unit(&["ft²", "sqft", "平方英尺"], AREA, 9_290_304, 100_000_000),
    unit(&["in²", "sqin", "平方英寸"], AREA, 64_516, 100_000_000),
    unit(&["yd²", "sqyd"], AREA, 83_612_736, 100_000_000),
    unit(&["mi²", "sqmi", "平方英里"], AREA, 2_589_988_110_336, 1_000_000),
    unit(&["亩"], AREA, 2000, 3),
    unit(&["m³", "立方米"], VOLUME, 1, 1),
    unit(&["cm³", "cc", "立方厘米"], VOLUME, 1, 1_000_000),
    unit(&["l", "L", "liter", "litre", "升", "公升"], VOLUME, 1, 1000),
    unit(&["dl", "dL", "deciliter", "decilitre"], VOLUME, 1, 10_000),
    unit(&["cl", "cL", "centiliter", "centilitre"], VOLUME, 1, 100_000),
    unit(&["ml", "mL", "milliliter", "millilitre", "毫升"], VOLUME, 1, 1_000_000),
    unit(&["gal", "gallon", "加仑"], VOLUME, 3_785_411_784, 1_000_000_000_000),
    unit(&["qt", "quart", "夸脱"], VOLUME, 946_352_946, 1_000_000_000_000),
    unit(&["pt", "pint", "品脱"], VOLUME, 473_176_473, 1_000_000_000_000),
    unit(&["cup", "杯"], VOLUME, 2_365_882_365, 10_000_000_000_000),
    unit(
        &["floz", "fluid ounce", "fl oz", "液量盎司"],
        VOLUME,
        295_735_295_625,
        10_000_000_000_000_000,
    ),
    unit(&["tbsp", "tablespoon", "汤匙"], VOLUME, 1_478_676_478_125, 100_000_000_000_000_000),
    unit(&["tsp", "teaspoon", "茶匙"], VOLUME, 492_892_159_375, 100_000_000_000_000_000),
    unit(&["ukgal", "imperial gallon", "英制加仑"], VOLUME, 454_609, 100_000_000),
    unit(&["ukpt", "imperial pint", "英制品脱"], VOLUME, 454_609, 800_000_000),
    unit(&["kg", "kilogram", "kilo", "公斤", "千克"], MASS, 1, 1),
    unit(&["g", "gram", "gramme", "克"], MASS, 1, 1000),
    unit(&["mg", "milligram", "毫克"], MASS, 1, 1_000_000),
    unit(&["µg", "ug", "μg", "microgram", "微克"], MASS, 1, 1_000_000_000),
    unit(&["t", "tonne", "吨", "公吨"], MASS, 1000, 1),
    unit(&["lb", "lbs", "pound", "磅"], MASS, 45_359_237, 100_000_000),
    unit(&["oz", "ounce", "盎司"], MASS, 45_359_237, 1_600_000_000),
    unit(&["st", "stone", "英石"], MASS, 635_029_318, 100_000_000),
    unit(&["ton", "short ton", "美吨"], MASS, 90_718_474, 100_000),
    unit(&["斤", "市斤"], MASS, 1, 2),
    unit(&["两"], MASS, 1, 20),
    unit(&["钱"], MASS, 1, 200),
    unit(&["s", "sec", "second", "秒", "秒钟"], TIME, 1, 1),
    unit(&["ms", "millisecond", "毫秒"], TIME, 1, 1000),
    unit(&["µs", "us", "μs", "microsecond", "微秒"], TIME, 1, 1_000_000),
    unit(&["ns", "nanosecond", "纳秒"], TIME, 1, 1_000_000_000),
    unit(&["min", "minute", "mins", "分钟", "分"], TIME, 60, 1),
    unit(&["h", "hr", "hrs", "hour", "小时", "钟头"], TIME, 3600, 1),
    unit(&["d", "day", "天", "日"], TIME, 86_400, 1),
    unit(&["wk", "week", "周", "星期"], TIME, 604_800, 1),
    // Of the Gregorian calendar in the mean: 146,097 days are 400 years.
    unit(&["month", "个月", "月"], TIME, 2_629_746, 1),
    unit(&["yr", "year", "年"], TIME, 31_556_952, 1),
    unit(&["K", "kelvin", "开尔文", "开"], TEMPERATURE, 1, 1),
    Unit {
        names: &["°C", "℃", "C", "celsius", "centigrade", "摄氏度", "摄氏"],
        dimension: TEMPERATURE,
        size: (1, 1),
        zero: (27_315, 100),
    },
    Unit {
        names: &["°F", "℉", "F", "fahrenheit", "华氏度", "华氏"],
        dimension: TEMPERATURE,
        size: (5, 9),
        zero: (45_967, 180),
    },
    unit(&["bit", "比特"], DATA, 1, 1),
    unit(&["B", "byte", "字节"], DATA, 8, 1),
    unit(&["kbit", "kb", "kilobit"], DATA, 1000, 1),
    unit(&["Mbit", "Mb", "megabit"], DATA, 1_000_000, 1),
    unit(&["Gbit", "Gb", "gigabit"], DATA, 1_000_000_000, 1),
    unit(&["kB", "KB", "kilobyte", "千字节"], DATA, 8000, 1),
    unit(&["MB", "megabyte", "兆字节", "兆"], DATA, 8_000_000, 1),
    unit(&["GB", "gigabyte", "吉字节"], DATA, 8_000_000_000, 1),
    unit(&["TB", "terabyte", "太字节"], DATA, 8_000_000_000_000, 1),
    unit(&["PB", "petabyte"], DATA, 8_000_000_000_000_000, 1),
    unit(&["KiB", "kibibyte"], DATA, 8 << 10, 1),
    unit(&["MiB", "mebibyte"], DATA, 8 << 20, 1),
    unit(&["GiB", "gibibyte"], DATA, 8 << 30, 1),
    unit(&["TiB", "tebibyte"], DATA, 8 << 40, 1),
    unit(&["PiB", "pebibyte"], DATA, 8 << 50, 1),
    unit(&["km/h", "kmh", "kph", "时速公里"], SPEED, 1000, 3600),
    unit(&["mph"], SPEED, 1_609_344, 3_600_000),
    unit(&["kn", "knot", "kt", "节"], SPEED, 1852, 3600),
    unit(&["m/s", "mps"], SPEED, 1, 1),
];

/// The longest name of a unit, in characters.
pub(super) const NAME_CHARS_MAX: usize = 15;

/// The unit of a name: as it is written first, since `mb` and `MB` differ; then, for names of three
/// letters and more, in any case and in the plural.
pub(super) fn named(name: &str) -> Option<&'static Unit> {
    let exact = |name: &str| UNITS.iter().find(|unit| unit.names.contains(&name));
    if let Some(unit) = exact(name) {
        return Some(unit);
    }
    if name.chars().count() < 3 && !name.ends_with('s') {
        return None;
    }
    let lower = name.to_lowercase();
    let long = |name: &str| exact(name).filter(|_| name.chars().count() > 2);
    long(&lower).or_else(|| long(lower.strip_suffix('s')?))
}

/// The first names of the units of a dimension, for messages.
pub(super) fn of_dimension(dimension: Dimension) -> String {
    let known = UNITS.iter().filter(|unit| unit.dimension == dimension);
    known.map(|unit| unit.names[0]).take(8).collect::<Vec<_>>().join(", ")
}

/// A product of powers of base units, as it is written.
pub(super) fn base_name(dimension: Dimension) -> String {
    const BASE: [&str; 5] = ["m", "kg", "s", "K", "bit"];
    let part = |(at, power): (usize, i8)| match power {
        1 => BASE[at].to_owned(),
        power => format!("{}^{power}", BASE[at]),
    };
    let powers = || dimension.iter().copied().enumerate();
    let above: Vec<String> = powers().filter(|(_, power)| *power > 0).map(part).collect();
    let below: Vec<String> =
        powers().filter(|(_, power)| *power < 0).map(|(at, power)| part((at, -power))).collect();
    match (above.join("*"), below.join("/")) {
        (above, below) if below.is_empty() => above,
        (above, below) if above.is_empty() => format!("1/{below}"),
        (above, below) => format!("{above}/{below}"),
    }
}

/// The sum of two dimensions' powers.
pub(super) fn product(a: Dimension, b: Dimension, times: i8) -> Result<Dimension, Trouble> {
    let mut out = NONE;
    for (at, power) in out.iter_mut().enumerate() {
        *power = b[at]
            .checked_mul(times)
            .and_then(|power| power.checked_add(a[at]))
            .filter(|power| power.abs() <= 20)
            .ok_or("the unit would have a power above 20")?;
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_one_unit() {
        for (at, unit) in UNITS.iter().enumerate() {
            for name in unit.names {
                let first = UNITS.iter().position(|other| other.names.contains(name));
                assert_eq!(first, Some(at), "{name} is two units");
                assert!(name.chars().count() <= NAME_CHARS_MAX, "{name}");
            }
        }
        let first = |name: &str| named(name).map(|unit| unit.names[0]);
        let rows = [
            ("Miles", Some("mi")),
            ("KM", None),
            ("kilometers", Some("km")),
            ("MB", Some("MB")),
            ("Mb", Some("Mbit")),
            ("mb", None),
            ("lbs", Some("lb")),
            ("Celsius", Some("°C")),
            ("dollars", None),
            ("hrs", Some("h")),
            ("", None),
        ];
        for (name, expected) in rows {
            assert_eq!(first(name), expected, "{name}");
        }
    }

    #[test]
    fn base_units_are_written_as_they_are_read() {
        assert_eq!(base_name([1, 0, -2, 0, 0]), "m/s^2");
        assert_eq!(base_name([0, 0, -1, 0, 0]), "1/s");
        assert_eq!(base_name([2, 1, 0, 0, 0]), "m^2*kg");
        assert!(product([20, 0, 0, 0, 0], LENGTH, 1).is_err());
    }
}
