//! A property list for the user's launchd.

use super::{MARK, Plan, STOP_S, text};
use crate::failure::Failure;

/// What launchd calls the service.
pub(crate) const LABEL: &str = "ondine.serve";

/// The property list.
pub(crate) fn plist(plan: &Plan) -> Result<String, Failure> {
    let mut words = format!("        <string>{}</string>\n", escaped(text(&plan.program)?)?);
    for argument in &plan.arguments {
        words += &format!("        <string>{}</string>\n", escaped(argument)?);
    }
    let home = escaped(text(&plan.home)?)?;
    Ok(format!(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<!-- {MARK}; `ondine service uninstall` takes it away. -->
<plist version="1.0">
<dict>
    <key>Label</key>
    <string>{LABEL}</string>
    <key>ProgramArguments</key>
    <array>
{words}    </array>
    <key>EnvironmentVariables</key>
    <dict>
        <key>ONDINE_HOME</key>
        <string>{home}</string>
    </dict>
    <key>RunAtLoad</key>
    <true/>
    <key>KeepAlive</key>
    <dict>
        <key>SuccessfulExit</key>
        <false/>
    </dict>
    <key>ExitTimeOut</key>
    <integer>{STOP_S}</integer>
    <key>Umask</key>
    <integer>63</integer>
    <key>StandardErrorPath</key>
    <string>{home}/serve.log</string>
</dict>
</plist>
"#
    ))
}

/// Text between two tags. XML has no way to say most control characters.
fn escaped(text: &str) -> Result<String, Failure> {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '\n' | '\t' | '\r' => out += &format!("&#{};", c as u32),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => {
                let what = "a control character cannot stand in a property list";
                return Err(Failure::new(what).at(text));
            }
            c => out.push(c),
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_real_reader_of_property_lists_reads_what_was_typed() {
        let words = ["serve", "-m", "a & b <c> \"d\" 'e' größe\n\tx", "]]>", "--", ""];
        let plan = Plan {
            program: "/opt/R&D/ondine".into(),
            arguments: words.map(String::from).to_vec(),
            home: "/data/<on dine>".into(),
        };
        let list = plist(&plan).unwrap();
        assert!(list.contains(MARK));
        let read =
            "import json, plistlib, sys; print(json.dumps(plistlib.loads(sys.argv[1].encode())))";
        let output = match Command::new("python3").args(["-c", read, &list]).output() {
            Ok(output) => output,
            Err(error) => {
                eprintln!("skipped: no Python that reads property lists: {error}");
                return;
            }
        };
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let read: serde_json::Value = serde_json::from_slice(&output.stdout).expect(&said);
        let all: Vec<&str> = ["/opt/R&D/ondine"].into_iter().chain(words).collect();
        assert_eq!(read["ProgramArguments"], serde_json::json!(all));
        assert_eq!(read["EnvironmentVariables"]["ONDINE_HOME"], "/data/<on dine>");
        assert_eq!(read["KeepAlive"]["SuccessfulExit"], false);
        assert_eq!(read["Umask"], 0o077);
        let control = Plan { arguments: vec!["a\u{1}".into()], ..plan };
        assert!(plist(&control).is_err());
    }
}
