//! Both licence texts are there and every package names them.

use super::Finding;
use crate::repo::Repo;

/// What every manifest says.
const LICENSE: &str = "MIT OR Apache-2.0";

/// The licence texts and a phrase each must hold.
const TEXTS: &[(&str, &str)] = &[
    ("LICENSE-MIT", "Permission is hereby granted, free of charge"),
    ("LICENSE-APACHE", "Version 2.0, January 2004"),
];

/// Looks for missing texts and other licences.
pub(super) fn check(repo: &Repo) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, phrase) in TEXTS {
        if !repo.text(path).is_some_and(|text| text.contains(phrase)) {
            findings.push(Finding::new(*path, "is missing or is not the licence it is named for"));
        }
    }
    for package in &repo.packages {
        if package.license.as_deref() != Some(LICENSE) {
            let message = format!("the manifest's licence is {:?}, not {LICENSE}", package.license);
            findings.push(Finding::new(&package.name, message));
        }
    }
    findings
}
