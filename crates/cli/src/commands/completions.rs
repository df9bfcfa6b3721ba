//! `ondine completions`: a completion script, made from the table of flags.

use clap_complete::{Shell, generate};

use crate::failure::Failure;
use crate::flags::{self, Arguments};
use crate::output::Answer;

/// The shells that scripts are made for.
pub(crate) const SHELLS: &[&str] = &["bash", "zsh", "fish", "elvish", "powershell"];

/// Prints a script.
pub(crate) fn run(arguments: &Arguments<'_>) -> Result<(), Failure> {
    let name = arguments.text("shell").unwrap_or_default();
    let shell: Shell = name.parse().map_err(|_| Failure::usage(format!("unknown shell {name}")))?;
    let mut script = Vec::new();
    generate(shell, &mut flags::parser(), "ondine", &mut script);
    Answer::new().exact(&String::from_utf8_lossy(&script))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flag_is_completed_in_every_shell() {
        for name in SHELLS {
            let shell: Shell = name.parse().unwrap();
            let mut script = Vec::new();
            generate(shell, &mut flags::parser(), "ondine", &mut script);
            let script = String::from_utf8(script).unwrap();
            for command in flags::COMMANDS {
                assert!(script.contains(command.name), "{name} lacks {}", command.name);
                let long = command.flags.iter().filter(|flag| flag.is_long());
                for flag in long {
                    assert!(
                        script.contains(flag.name),
                        "{name} lacks {} {}",
                        command.name,
                        flag.name
                    );
                }
            }
        }
    }
}
