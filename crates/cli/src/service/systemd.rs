//! A unit for the user's systemd. A user's units may give up rights, which needs no more than the
//! kernel's user namespaces.

use super::{MARK, Plan, STOP_S, text};
use crate::failure::Failure;

/// The unit.
pub(crate) fn unit(plan: &Plan) -> Result<String, Failure> {
    let home = text(&plan.home)?;
    // Variables are looked for in every word but the program's.
    let mut command = word(text(&plan.program)?);
    for argument in &plan.arguments {
        command.push(' ');
        command += &word(&argument.replace('$', "$$"));
    }
    Ok(format!(
        "# {MARK}; `ondine service uninstall` takes it away.
[Unit]
Description=Ondine: language models for all apps of this device

[Service]
ExecStart={command}
Environment={environment}
Restart=on-failure
RestartSec=2
TimeoutStopSec={STOP_S}
UMask=0077

# It reads models wherever they are, writes to one folder, and speaks to this machine and, when a model
# is fetched, to the network. It runs no other program.
NoNewPrivileges=yes
PrivateUsers=yes
PrivateTmp=yes
ProtectSystem=strict
ReadWritePaths={writable}
ProtectControlGroups=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
SystemCallArchitectures=native
# A bound of the system's own, above `--memory`:
#MemoryMax=8G

[Install]
WantedBy=default.target
",
        environment = word(&format!("ONDINE_HOME={home}")),
        writable = word(home),
    ))
}

/// A word as systemd reads one: quoted where it has to be, with nothing left that it would expand.
fn word(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "/._-=:,+@$".contains(c);
    let mut word = String::new();
    for c in text.chars() {
        match c {
            '%' => word += "%%",
            '\\' => word += "\\\\",
            '"' => word += "\\\"",
            '\n' => word += "\\n",
            '\t' => word += "\\t",
            c if c.is_ascii_control() => word += &format!("\\x{:02x}", c as u32),
            c => word.push(c),
        }
    }
    if !text.is_empty() && text.chars().all(plain) { word } else { format!("\"{word}\"") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_what_was_typed() {
        for (text, expected) in [
            ("/usr/bin/ondine", "/usr/bin/ondine"),
            ("127.0.0.1:11435", "127.0.0.1:11435"),
            ("größe", "größe"),
            ("", "\"\""),
            ("a b", "\"a b\""),
            ("100%", "\"100%%\""),
            ("a\"b\\c", "\"a\\\"b\\\\c\""),
            ("a'b;c#d", "\"a'b;c#d\""),
            ("a\nExecStart=b\u{1}", "\"a\\nExecStart=b\\x01\""),
        ] {
            assert_eq!(word(text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_unit_has_its_words_in_their_places() {
        let plan = Plan {
            program: "/opt/my programs/ondine".into(),
            arguments: ["serve", "-m", "$HOME", "50%"].map(String::from).to_vec(),
            home: "/data/on dine".into(),
        };
        let unit = unit(&plan).unwrap();
        for line in [
            "ExecStart=\"/opt/my programs/ondine\" serve -m $$HOME \"50%%\"",
            "Environment=\"ONDINE_HOME=/data/on dine\"",
            "ReadWritePaths=\"/data/on dine\"",
            "NoNewPrivileges=yes",
            "WantedBy=default.target",
        ] {
            assert!(unit.lines().any(|own| own == line), "{line}\n{unit}");
        }
        assert!(unit.starts_with(&format!("# {MARK}")));
    }
}
