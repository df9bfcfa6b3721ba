//! The table beside the recipe that made it, and files that nobody made.

use super::*;

#[derive(serde::Deserialize)]
struct Row {
    text: String,
    ids: Vec<u32>,
    vector: Vec<f32>,
}

#[test]
fn vectors_are_those_of_the_recipe() {
    let rows: Vec<Row> = serde_json::from_str(include_str!("fixture.json")).unwrap();
    let table = Table::embedded();
    for row in rows {
        let mut ids = Vec::new();
        table.ids(&row.text, &mut ids);
        let mut wanted = row.ids;
        ids.sort_unstable();
        wanted.sort_unstable();
        assert_eq!(ids, wanted, "{:?}", row.text);
        let vector = table.vector(&row.text);
        assert_eq!(vector.len(), row.vector.len());
        for (a, b) in vector.iter().zip(&row.vector) {
            // The recipe rounds to six digits, and adds in another order.
            assert!((a - b).abs() < 5e-6, "{:?}: {a} beside {b}", row.text);
        }
    }
}

#[test]
fn vectors_have_length_one_or_say_nothing() {
    let table = Table::embedded();
    let long = "word ".repeat(50_000) + &"字".repeat(50_000) + &"x".repeat(50_000);
    let length = |text: &str| table.vector(text).iter().map(|v| v * v).sum::<f32>();
    for text in ["a", "的", "hello", "मान hello", &long] {
        assert!((length(text) - 1.0).abs() < 1e-4, "{:?}…: {}", text.get(..8), length(text));
    }
    for text in ["", " ", "\u{0}", "مرحبا", "🦀🦀"] {
        assert_eq!(length(text), 0.0, "{text:?}");
    }
    let same = |a: &str, b: &str| -> f32 {
        table.vector(a).iter().zip(table.vector(b)).map(|(x, y)| x * y).sum()
    };
    assert!(same("READ the Files", "read the file") > 0.999);
}

#[test]
fn what_belongs_together_is_nearer() {
    let table = Table::embedded();
    let near = |a: &str, b: &str| -> f32 {
        table.vector(a).iter().zip(table.vector(b)).map(|(x, y)| x * y).sum()
    };
    // (text, what belongs to it, what does not)
    for (text, friend, stranger) in [
        ("delete a directory", "rm -r path/to/folder", "print the current date"),
        ("share data between threads", "a mutex guards shared state", "format a string"),
        ("在线程之间共享数据", "share data between threads", "install a package"),
        ("neural network", "神经网络", "环境变量"),
        ("error handling", "错误处理", "列表渲染"),
    ] {
        let (with, without) = (near(text, friend), near(text, stranger));
        assert!(with > without + 0.1, "{text:?}: {friend:?} {with}, {stranger:?} {without}");
    }
}

#[test]
fn it_embeds_under_its_own_name_and_within_bounds() {
    let table = Table::embedded();
    let texts = vec!["one text".to_owned(), "另一个".to_owned()];
    let found = table.embed(Table::NAME, &texts).unwrap();
    assert_eq!(found.vectors.len(), 2);
    assert!(found.vectors.iter().all(|v| v.len() == table.width()));
    assert!(found.tokens >= 4);
    assert!(table.width() <= WIDTH_MAX && SHIPPED.len() <= 8 << 20);
    assert!(matches!(table.embed("other", &texts), Err(ChatError::NoModel { .. })));
    let long = vec!["x".repeat(TEXT_BYTES_MAX + 1)];
    assert!(matches!(table.embed(Table::NAME, &long), Err(ChatError::Invalid { .. })));
}

/// A small file: entries, their steps, and rows of eight numbers.
fn file(entries: &str, steps: &[f32]) -> Vec<u8> {
    let mut body = entries.as_bytes().to_vec();
    steps.iter().for_each(|s| body.extend(s.to_le_bytes()));
    body.extend((0..steps.len() * 8).map(|i| i as u8));
    let mut bytes = b"ondtable".to_vec();
    for n in [1, 8, steps.len() as u32, entries.len() as u32] {
        bytes.extend(n.to_le_bytes());
    }
    bytes.extend(xxhash_rust::xxh3::xxh3_64(&body).to_le_bytes());
    bytes.extend(body);
    bytes
}

#[test]
fn a_file_is_believed_where_it_holds() {
    let read = |bytes: Vec<u8>| Table::read(bytes).map(|t| t.len());
    assert_eq!(read(file("a\n的\n的确\n~b\n", &[1.0; 4])), Ok(4));
    let table = Table::read(file("a\n的\n的确\n~b\n", &[1.0; 4])).unwrap();
    let mut ids = Vec::new();
    table.ids("a 的确 bbq", &mut ids);
    assert_eq!(ids, [0, 1, 2, 3, 3], "word, Hanzi, pair, and two pieces without the q");

    assert_eq!(read(Vec::new()), Err(TableError::Kind));
    assert_eq!(read(b"GGUF".repeat(20)), Err(TableError::Kind));
    let twice = TableError::Entry { row: 1, what: "stands there twice" };
    assert_eq!(read(file("a\na\n", &[1.0; 2])), Err(twice));
    let empty = TableError::Entry { row: 1, what: "is empty" };
    assert_eq!(read(file("a\n\n", &[1.0; 2])), Err(empty));
    assert_eq!(read(file("a\nb\n", &[1.0])), Err(TableError::Entries { found: 2, wanted: 1 }));
    assert_eq!(read(file("a\nb", &[1.0; 2])), Err(TableError::Entries { found: 2, wanted: 2 }));
    for step in [f32::NAN, f32::INFINITY, -1.0] {
        assert_eq!(read(file("a\nb\n", &[1.0, step])), Err(TableError::Step { row: 1 }));
    }
    let whole = file("a\n的\n的确\n~b\n", &[1.0; 4]);
    for (at, value, wanted) in [(12, 7, "the width"), (16, 0, "the number of rows")] {
        let mut bytes = whole.clone();
        bytes[at] = value;
        assert!(matches!(read(bytes), Err(TableError::Bound { what, .. }) if what == wanted));
    }
}

#[test]
fn no_damage_to_a_file_is_a_panic_or_goes_unseen() {
    let whole = file("a\n的\n的确\n~b\n", &[1.0; 4]);
    for end in 0..whole.len() {
        assert!(Table::read(whole[..end].to_vec()).is_err(), "cut at {end}");
    }
    for at in 0..whole.len() {
        for bit in 0..8 {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << bit;
            assert!(Table::read(bytes).is_err(), "bit {bit} of byte {at}");
        }
    }
    let mut longer = whole;
    longer.push(0);
    assert!(Table::read(longer).is_err());
}

/// `cargo test --release -p ondine-rag speed -- --ignored --nocapture`
#[test]
#[ignore = "a measurement"]
fn speed() {
    let table = Table::embedded();
    let texts: Vec<String> = (0..20_000)
        .map(|i| match i % 3 {
            0 => format!("how do I read file number {i} line by line into a vector of strings"),
            1 => format!("第{i}次在线程之间共享数据时怎样避免死锁"),
            _ => format!(
                "fn read_{i}(path: &Path) -> Result<String, io::Error> {{ fs::read(path) }}"
            ),
        })
        .collect();
    let started = std::time::Instant::now();
    let found = table.embed(Table::NAME, &texts).unwrap();
    let took = started.elapsed().as_secs_f64();
    println!("{:.0} short texts a second, {} tokens", texts.len() as f64 / took, found.tokens);
}
