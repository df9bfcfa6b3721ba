//! What was typed, asked for by the names of the table.

use std::path::{Path, PathBuf};

use clap::ArgMatches;
use ondine_engine::KvType;
use ondine_tensor::Isa;

use super::CommandSpec;
use crate::cores;
use crate::failure::Failure;

/// What was typed, by the names of the table.
pub(crate) struct Arguments<'a> {
    spec: &'a CommandSpec,
    matches: &'a ArgMatches,
}

impl<'a> Arguments<'a> {
    /// The parsed arguments of a command.
    pub(crate) fn new(spec: &'a CommandSpec, matches: &'a ArgMatches) -> Arguments<'a> {
        Arguments { spec, matches }
    }

    /// Asking for a flag that the command's row does not list is a mistake of this program.
    fn known(&self, name: &str) {
        assert!(
            self.spec.flags.iter().any(|flag| flag.name == name),
            "the table gives {} no flag {name}",
            self.spec.name
        );
    }

    fn get<T: Clone + Send + Sync + 'static>(&self, name: &str) -> Option<T> {
        self.known(name);
        self.matches.get_one::<T>(name).cloned()
    }

    /// Whether a switch is on.
    pub(crate) fn on(&self, name: &str) -> bool {
        self.known(name);
        self.matches.get_flag(name)
    }

    /// Whether a flag was typed, not taken from its default.
    pub(crate) fn typed(&self, name: &str) -> bool {
        self.known(name);
        self.matches.value_source(name) == Some(clap::parser::ValueSource::CommandLine)
    }

    /// Text.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        self.get(name)
    }

    /// All values of a flag that may be repeated.
    pub(crate) fn texts(&self, name: &str) -> Vec<String> {
        self.known(name);
        self.matches.get_many::<String>(name).map(|all| all.cloned().collect()).unwrap_or_default()
    }

    /// A path.
    pub(crate) fn path(&self, name: &str) -> Option<&'a Path> {
        self.known(name);
        self.matches.get_one::<PathBuf>(name).map(PathBuf::as_path)
    }

    /// A path that the parser has made sure of.
    pub(crate) fn path_needed(&self, name: &str) -> Result<&'a Path, Failure> {
        self.path(name).ok_or_else(|| Failure::usage(format!("--{name} is missing")))
    }

    /// A whole number.
    pub(crate) fn count(&self, name: &str) -> Option<usize> {
        self.get::<u64>(name).and_then(|count| usize::try_from(count).ok())
    }

    /// A whole number that may be larger than any length here.
    pub(crate) fn large(&self, name: &str) -> Option<u64> {
        self.get(name)
    }

    /// A whole number that has a default.
    pub(crate) fn count_or(&self, name: &str, otherwise: usize) -> usize {
        self.count(name).unwrap_or(otherwise)
    }

    /// A seed.
    pub(crate) fn seed(&self) -> u64 {
        self.get("seed").unwrap_or_default()
    }

    /// A number that has a default.
    pub(crate) fn number_or(&self, name: &str, otherwise: f32) -> f32 {
        self.get(name).unwrap_or(otherwise)
    }

    /// Token ids.
    pub(crate) fn tokens(&self, name: &str) -> Vec<u32> {
        self.get(name).unwrap_or_default()
    }

    /// How many threads compute: what was asked, or what suits the machine.
    pub(crate) fn threads(&self) -> usize {
        self.get::<Option<usize>>("threads").flatten().unwrap_or_else(cores::threads)
    }

    /// What keys and values are stored as.
    pub(crate) fn kv(&self) -> KvType {
        self.text("kv").and_then(|name| name.parse().ok()).unwrap_or_default()
    }

    /// Which instruction set computes: what was asked, or the best.
    pub(crate) fn isa(&self) -> Isa {
        self.get("isa").unwrap_or_else(Isa::best)
    }
}
