//! A program that acts on what droplet understands: requests in, one a line, actions out.
//!
//! ```text
//! echo "turn off the kitchen light" | cargo run -p device-calls
//! ```

use std::io::{self, BufRead};

use ondine_droplet::{Answer, Call, Droplet, functions};
use ondine_tensor::Isa;

/// Below this a program should ask before it acts.
const SURE: f32 = 0.8;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let droplet = ondine_droplet::open(1, Isa::best())?;
    for request in io::stdin().lock().lines() {
        println!("{}", act(&droplet, &request?)?);
    }
    Ok(())
}

/// What this program does about a request.
fn act(droplet: &Droplet, request: &str) -> Result<String, ondine_droplet::DropletError> {
    let Answer { call, probability, .. } = droplet.call(request)?;
    Ok(match call.function.name {
        functions::CLOUD => "I would ask a larger model.".to_string(),
        functions::NONE => "I would do nothing.".to_string(),
        _ if probability < SURE => format!("Did you mean {call}?"),
        "alarm_set" => format!("I would set an alarm for {}.", argument(&call, "time")),
        "light_set" => format!("I would turn the light {}.", argument(&call, "state")),
        _ => format!("I would run {call}."),
    })
}

fn argument<'a>(call: &'a Call, name: &str) -> &'a str {
    call.arguments.get(name).and_then(|value| value.as_str()).unwrap_or("as it was")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_request_leads_to_a_sentence() {
        let droplet = ondine_droplet::open(1, Isa::best()).unwrap();
        for request in
            ["wake me at seven", "关掉客厅的灯", "who won the war of the roses", "thanks"]
        {
            let sentence = act(&droplet, request).unwrap();
            assert!(
                sentence.starts_with("I would") || sentence.starts_with("Did you"),
                "{sentence}"
            );
        }
    }
}
