//! Expressions as models and people write them, hostile ones among them.

use std::time::Instant;

use jiff::civil::date;

use super::*;

fn worth(text: &str) -> Result<Worth, Fault> {
    calculate(text, date(2026, 11, 22))
}

#[test]
fn expressions_come_to_what_they_should() {
    let rows = [
        ("1 + 2 * 3", "7"),
        ("(1 + 2) * 3", "9"),
        ("2(3 + 4)", "14"),
        ("0.1 + 0.2", "0.3"),
        ("-2^2", "-4"),
        ("2^3^2", "512"),
        ("2**10", "1024"),
        ("2^-2", "0.25"),
        ("7 / 2", "3.5"),
        ("1/3 + 1/6", "0.5"),
        ("10 mod 3", "1"),
        ("-7 mod 3", "2"),
        ("5!", "120"),
        ("30!", "265252859812191058636308480000000"),
        ("15% of 80", "12"),
        ("200 + 10%", "220"),
        ("200 - 10%", "180"),
        ("10% + 5%", "0.15"),
        ("50%", "0.5"),
        ("5‰", "0.005"),
        ("sqrt(16)", "4"),
        ("√(9/4)", "1.5"),
        ("sqrt(2)", "1.4142135623731"),
        ("cbrt(-27)", "-3"),
        ("root(32, 5)", "2"),
        ("8^(1/3)", "2"),
        ("sin(pi/2)", "1"),
        ("ln(e)", "1"),
        ("log(8, 2)", "3"),
        ("log(1000)", "3"),
        ("max(1, 2, 3)", "3"),
        ("max(1,234)", "234"),
        ("mean(1, 2, 4.5)", "2.5"),
        ("median(5, 1, 9, 2)", "3.5"),
        ("round(2.675, 2)", "2.68"),
        ("round(-2.5)", "-3"),
        ("floor(-1.5)", "-2"),
        ("ceil(1.2)", "2"),
        ("gcd(12, 18)", "6"),
        ("lcm(4, 6)", "12"),
        ("ncr(49, 6)", "13983816"),
        ("1,234,567 + 1", "1234568"),
        ("1e3 + 1", "1001"),
        ("What is 2 + 2?", "4"),
        ("calculate 6 times 7", "42"),
        ("100 divided by 8", "12.5"),
        ("12345678901234567890 * 98765432109876543210", "1219326311370217952237463801111263526900"),
        ("3 × 4 ÷ 2", "6"),
        ("（3＋4）×２", "14"),
        ("三加五等于多少", "8"),
        ("80的15%", "12"),
        ("3万 + 5", "30005"),
        ("二十五乘以四", "100"),
        ("一百除以八是多少", "12.5"),
        ("根号16", "4"),
    ];
    let mut wrong = Vec::new();
    for (text, expected) in rows {
        match worth(text) {
            Ok(worth) if worth.text == expected => {}
            other => wrong.push((text, expected, other)),
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn units_are_converted() {
    let rows = [
        ("5 km in miles", "3.10685596118667 mi"),
        ("3 ft 2 in to cm", "96.52 cm"),
        ("5'10\" in cm", "177.8 cm"),
        ("2 in in cm", "5.08 cm"),
        ("1 mile to km", "1.609344 km"),
        ("100 km/h in mph", "62.1371192237334 mph"),
        ("100 km / 2 h in km/h", "50 km/h"),
        ("10 m/s to km/h", "36 km/h"),
        ("20 °C in °F", "68 °F"),
        ("-40 F to C", "-40 °C"),
        ("-5 °C in F", "23 °F"),
        ("0 K in celsius", "-273.15 °C"),
        ("1 gallon in litres", "3.785411784 l"),
        ("1 cup to ml", "236.5882365 ml"),
        ("8 fl oz in ml", "236.5882365 ml"),
        ("1 GiB in MB", "1073.741824 MB"),
        ("100 Mb/s in MB/s", "12.5 MB/s"),
        ("2 h 30 min in minutes", "150 min"),
        ("1 year in days", "365.2425 d"),
        ("3 m * 4 m", "12 m^2"),
        ("3 m * 4 m in sqft", "129.166925000517 ft²"),
        ("2 m^2 in cm²", "20000 cm²"),
        ("1 kg + 500 g", "1.5 kg"),
        ("3 * 2 kg", "6 kg"),
        ("10 km / 5 km", "2"),
        ("150 lbs to kg", "68.0388555 kg"),
        ("100公里等于多少英里", "62.1371192237334 mi"),
        ("5公斤换算成斤", "10 斤"),
        ("两斤是多少克", "1000 g"),
        ("37摄氏度换成华氏度", "98.6 °F"),
        ("3小时20分钟换算成分钟", "200 min"),
        ("十亩等于多少平方米", "6666.66666666667 m²"),
        ("sqrt(16 m^2)", "4 m"),
    ];
    let mut wrong = Vec::new();
    for (text, expected) in rows {
        match worth(text) {
            Ok(worth) if worth.text == expected => {}
            other => wrong.push((text, expected, other)),
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn days_are_counted() {
    let rows = [
        ("2026-11-22 + 3 weeks", "2026-12-13 (Sunday)"),
        ("2026-01-31 + 1 month", "2026-02-28 (Saturday)"),
        ("2026-03-01 - 1 day", "2026-02-28 (Saturday)"),
        ("2024-02-29 + 1 year - 1 day", "2025-02-27 (Thursday)"),
        ("days from 2026-01-01 to 2026-12-25", "358 days"),
        ("how many days are there between 2026-11-22 and 2026-12-25?", "33 days"),
        ("days until 2026-12-25", "33 days"),
        ("weeks until 2026-12-25", "4 weeks and 5 days"),
        ("days since 2026-11-01", "21 days"),
        ("2026-12-25 - 2026-11-22", "33 days"),
        ("weekday 2026-11-22", "2026-11-22 (Sunday)"),
        ("what day is tomorrow?", "2026-11-23 (Monday)"),
        ("what day of the week is 4 July 2027", "2027-07-04 (Sunday)"),
        ("3 weeks after 2026-11-22", "2026-12-13 (Sunday)"),
        ("10 days ago", "2026-11-12 (Thursday)"),
        ("today + 100 days", "2027-03-02 (Tuesday)"),
        ("2026年11月22日 + 3周", "2026-12-13 (Sunday)"),
        ("从2026年1月1日到2026年12月25日有多少天", "358 days"),
        ("距离2026-12-25还有多少天", "33 days"),
        ("2026-11-22是星期几", "2026-11-22 (Sunday)"),
        ("三天后", "2026-11-25 (Wednesday)"),
    ];
    let mut wrong = Vec::new();
    for (text, expected) in rows {
        match worth(text) {
            Ok(worth) if worth.text == expected => {}
            other => wrong.push((text, expected, other)),
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(worth("2026-11-22 + 3 bananas").is_err());
    assert!(worth("9999-12-31 + 1 day").is_err());
}

#[test]
fn faults_say_where() {
    let rows = [
        ("1 + ", 4, "missing"),
        ("1 / 0", 3, "divides by zero"),
        ("2 + foo", 5, "`foo` is no unit"),
        ("(1 + 2", 7, "expected `)`"),
        ("1 2", 3, "expected an operator"),
        ("what is 1 / 0", 11, "divides by zero"),
        ("9^9^9^9", 4, "digits"),
        ("5 km in kg", 9, "expected a unit such as m"),
        ("5 km + 3 kg", 6, "no sum"),
        ("20 °C + 5 °C", 7, "use K"),
        ("100 usd in eur", 5, "expected an operator"),
        ("f(1)", 1, "°F"),
        ("foo(1)", 1, "no function"),
        ("sqrt(-1)", 1, "no such root"),
        ("10000!", 6, "0 to 5000"),
        ("2 $ 3", 3, "not understood"),
        ("", 1, "missing"),
    ];
    for (text, at, what) in rows {
        match worth(text) {
            Err(fault) if text == "f(1)" => assert!(fault.at <= 2, "{fault}"),
            Err(fault) => {
                assert_eq!(fault.at, at, "{text}: {fault}");
                assert!(fault.what.contains(what), "{text}: {fault}");
            }
            Ok(worth) => panic!("{text}: {worth:?}"),
        }
    }
}

#[test]
fn nothing_hangs_or_breaks() {
    let begun = Instant::now();
    let long = [
        "9^9^9^9".to_owned(),
        "9999999!".to_owned(),
        "5000!^5000".to_owned(),
        "(".repeat(900),
        "-".repeat(900),
        "2^".repeat(400) + "2",
        "√".repeat(300) + "2",
        "1/3+".repeat(200) + "1",
        "5000!+".repeat(100) + "1",
        "3^30000*".repeat(50) + "1",
        "1e19000 mod 7".to_owned(),
        "ncr(5000,2500)".to_owned(),
        "1e9999999999".to_owned(),
        "9".repeat(999),
        "一".repeat(300),
        "m^20*m^20".to_owned(),
        "\u{202e}1+1".to_owned(),
        "e\u{301}\u{200b}".to_owned(),
        "百万亿亿亿亿亿".to_owned(),
        "½ + ¼".to_owned(),
        "what is".to_owned(),
        "1".repeat(2000),
    ];
    for text in &long {
        let _ = worth(text);
    }
    // Every cut and every swap of something sensible ends in a result or a fault.
    let seeds = [
        "days from 2026-01-01 to 2026-12-25",
        "3 ft 2 in to cm + √(2)^3!",
        "从二〇二六年到100公里等于多少英里",
    ];
    for seed in seeds {
        let chars: Vec<char> = seed.chars().collect();
        for at in 0..chars.len() {
            let _ = worth(&chars[..at].iter().collect::<String>());
            let _ = worth(&chars[at..].iter().collect::<String>());
            for odd in ['(', '-', '^', '年', '.', ',', '\u{0}', '9'] {
                let mut text = chars.clone();
                text[at] = odd;
                let _ = worth(&text.iter().collect::<String>());
            }
        }
    }
    assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());
}
