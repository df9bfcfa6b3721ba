//! Imports go down the floors only: the table in ARCHITECTURE.md against the real graph.

use super::Finding;
use crate::repo::{Package, Repo};

const PAGE: &str = "ARCHITECTURE.md";

/// One row of the table.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Floor {
    /// The crate's name without prefix.
    pub(super) name: String,
    /// Its height; `None` for what ships nothing.
    height: Option<u32>,
    /// What it may import; `None` for everything below it.
    imports: Option<Vec<String>>,
    /// What its code may touch.
    pub(super) powers: Vec<String>,
}

/// Compares the table with the packages' dependencies.
pub(super) fn check(repo: &Repo) -> Vec<Finding> {
    let floors = floors(repo);
    if floors.is_empty() {
        return vec![Finding::new(PAGE, "has no floor table under a heading with (checked)")];
    }
    compare(&floors, &repo.packages)
}

/// Reads the table.
pub(super) fn floors(repo: &Repo) -> Vec<Floor> {
    read(repo.text(PAGE).unwrap_or_default())
}

fn read(page: &str) -> Vec<Floor> {
    let mut lines = page.lines().skip_while(|line| !line.starts_with("| floor |"));
    let rows = lines.by_ref().take_while(|line| line.starts_with('|')).skip(2);
    rows.filter_map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [height, name, imports, powers, ..] = cells[..] else { return None };
        Some(Floor {
            name: name.to_string(),
            height: height.parse().ok(),
            imports: (imports != "all").then(|| list(imports)),
            powers: list(powers),
        })
    })
    .collect()
}

/// `a, b` as a list; a dash is an empty one.
fn list(cell: &str) -> Vec<String> {
    cell.split(',')
        .map(str::trim)
        .filter(|name| !matches!(*name, "–" | "-" | ""))
        .map(String::from)
        .collect()
}

fn compare(floors: &[Floor], packages: &[Package]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let floor_of = |name: &str| floors.iter().find(|floor| floor.name == name);
    for floor in floors {
        if !packages.iter().any(|package| package.name == floor.name) {
            findings.push(Finding::new(PAGE, format!("lists {}, which is no package", floor.name)));
        }
    }
    // An example stands outside the house and may use all of it.
    for package in packages.iter().filter(|package| !package.is_example) {
        let Some(floor) = floor_of(&package.name) else {
            let message = format!("the floor table lacks the package {}", package.name);
            findings.push(Finding::new(PAGE, message));
            continue;
        };
        for import in &package.imports {
            let listed = floor.imports.as_ref().is_none_or(|allowed| allowed.contains(import));
            let below = match (floor.height, floor_of(import).and_then(|floor| floor.height)) {
                (Some(own), Some(other)) => other < own,
                // What ships nothing is not bound by height.
                (None, _) => true,
                (Some(_), None) => false,
            };
            if !listed || !below {
                let message = format!(
                    "{} imports {import}, which {}",
                    package.name,
                    if listed { "is not on a lower floor" } else { "its row does not allow" }
                );
                findings.push(Finding::new(PAGE, message));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "text\n| floor | crate | may import | powers | what |\n|---|---|---|---|---|\n\
        | 0 | low | – | unsafe, files | x |\n| 1 | mid | low | – | y |\n| 2 | top | all | clock | z |\n\nmore";

    fn package(name: &str, imports: &[&str]) -> Package {
        let imports = imports.iter().map(|name| name.to_string()).collect();
        Package { name: name.into(), license: None, imports, is_example: false }
    }

    #[test]
    fn the_table_is_read() {
        let floors = read(TABLE);
        assert_eq!(floors.len(), 3);
        assert_eq!(floors[0].powers, ["unsafe", "files"]);
        assert_eq!(floors[1].imports.as_deref(), Some(&["low".to_string()][..]));
        assert_eq!(floors[2].imports, None);
    }

    #[test]
    fn edges_that_break_the_floors_are_found() {
        type Graph<'a> = &'a [(&'a str, &'a [&'a str])];
        let rows: &[(Graph<'_>, usize)] = &[
            (&[("low", &[]), ("mid", &["low"]), ("top", &["low", "mid"])], 0),
            (&[("low", &["mid"]), ("mid", &[]), ("top", &[])], 1),
            (&[("low", &[]), ("mid", &["mid"]), ("top", &[])], 1),
            (&[("low", &[]), ("mid", &[]), ("top", &["top"])], 1),
            (&[("low", &[]), ("mid", &[]), ("top", &[]), ("new", &[])], 1),
            (&[("low", &[]), ("mid", &[])], 1),
        ];
        for (packages, expected) in rows {
            let packages: Vec<_> =
                packages.iter().map(|(name, imports)| package(name, imports)).collect();
            let findings = compare(&read(TABLE), &packages);
            assert_eq!(findings.len(), *expected, "{findings:?}");
        }
    }
}
