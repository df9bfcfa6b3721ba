//! Answers by the embedded model: a call of a device function.

use std::time::Instant;

use ondine_droplet::{Answer as Reply, Droplet, Stage, functions};
use serde_json::{Value, json};

use super::Answerer;
use crate::chat::Partner;
use crate::failure::Failure;
use crate::flags::Arguments;
use crate::output::{self, Answer, Shown};
use crate::sampling;
use crate::speaker::{Spoken, Timings};

/// Turns requests into calls.
pub(super) struct Caller {
    droplet: Droplet,
    load_s: f64,
}

impl Caller {
    /// Loads the embedded model.
    pub(super) fn open(arguments: &Arguments<'_>) -> Result<Caller, Failure> {
        for flag in ["system", "stop"] {
            if arguments.typed(flag) {
                return Err(Failure::usage(format!("--{flag}: droplet does not chat, it calls"))
                    .hint("name a model with -m, or take droplet as it is with --raw"));
            }
        }
        if let Some(flag) = sampling::FLAGS.iter().find(|flag| arguments.typed(flag)) {
            output::remark(format_args!(
                "--{flag} changes nothing: droplet takes the likeliest call"
            ));
        }
        if arguments.typed("kv") {
            output::remark("--kv changes nothing: a call is too short to be worth it");
        }
        let begun = Instant::now();
        let droplet = ondine_droplet::open(arguments.threads(), arguments.isa())?;
        Ok(Caller { droplet, load_s: begun.elapsed().as_secs_f64() })
    }

    fn call(&self, request: &str) -> Result<(Reply, Timings), Failure> {
        let begun = Instant::now();
        let (mut prompt_s, mut ttft_s) = (0.0, 0.0);
        let reply = self.droplet.call_watched(request, |stage| {
            let now_s = begun.elapsed().as_secs_f64();
            match stage {
                Stage::Read => prompt_s = now_s,
                Stage::Token if ttft_s == 0.0 => ttft_s = now_s,
                Stage::Token => {}
            }
        })?;
        let decode_s = begun.elapsed().as_secs_f64() - ttft_s;
        Ok((reply, Timings { load_s: self.load_s, prompt_s, decode_s, ttft_s }))
    }
}

impl Answerer for Caller {
    fn print(&mut self, request: &str) -> Result<(), Failure> {
        let (reply, _) = self.call(request)?;
        let call = &reply.call;
        let line = format!("{call}  {:.0} %", reply.probability * 100.0);
        Answer::new().line(Shown(&line))?;
        output::remark(match call.function.name {
            functions::CLOUD => {
                "droplet: this needs knowledge that is not on the device".to_string()
            }
            functions::NONE => "droplet: this is no request to a device".to_string(),
            _ => format!("droplet: {}. A program would run this call.", call.function.about),
        });
        Ok(())
    }

    fn json(&mut self, request: &str) -> Result<Value, Failure> {
        let (reply, timings) = self.call(request)?;
        let spoken = Spoken {
            text: reply.call.to_string(),
            tokens: reply.tokens,
            finish: "stop",
            prompt_tokens: reply.prompt_tokens,
            timings,
            interrupted: false,
            cut: None,
        };
        let mut object = spoken.json();
        object["call"] = json!({
            "function": reply.call.function.name,
            "arguments": reply.call.arguments,
            "probability": reply.probability,
        });
        Ok(object)
    }
}

impl Partner for Caller {
    fn answer(&mut self, line: &str) -> Result<(), Failure> {
        self.print(line)
    }

    /// Every request stands alone.
    fn forget(&mut self) {}
}
