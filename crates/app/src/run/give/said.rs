//! What a model said becomes an answer, calls, a plan, or a word back to the model. Each call is judged
//! here, before anything is done.

use ondine_chat::{Tool, ToolCall};
use serde_json::Value;

use super::News;
use crate::policy::Judgement;
use crate::run::act::{Act, Stage};
use crate::run::frame::{Phase, REPEATS_MAX, REPEATS_TOLD, Turn};
use crate::run::react::{self, Parsed};
use crate::run::{Manner, Run, Stop, fits, plan, render};
use crate::tool::Effect;

/// Answers in a row that cannot be read before a conversation ends.
const MALFORMED_MAX: u32 = 3;
/// Calls that one answer may make.
const CALLS_MAX: usize = 16;
/// How often a conversation may be handed over.
const HANDS_MAX: u32 = 8;
/// Conversations within one another.
const FRAMES_MAX: usize = 6;

impl Run {
    pub(super) fn said(
        &mut self,
        text: String,
        calls: Vec<ToolCall>,
        cut: bool,
        news: &mut Vec<News>,
    ) {
        let role = self.cast[self.top().role].clone();
        let stage = self.top().plan.as_ref().map(|plan| plan.stage);
        self.top_mut().step += 1;
        let parsed = match stage {
            Some(plan::Stage::Making) => {
                match plan::parse(&text) {
                    Ok(steps) => {
                        news.push(News::Planned(steps.clone()));
                        let frame = self.top_mut();
                        frame.malformed = 0;
                        frame.turns.push(Turn::Said { text, calls: Vec::new() });
                        if let Some(plan) = &mut frame.plan {
                            (plan.steps, plan.done, plan.stage) = (steps, 0, plan::Stage::Doing);
                            plan.made += 1;
                        }
                    }
                    Err(what) => self.malformed(text, what, news),
                }
                return;
            }
            Some(_) => plain(text.clone()),
            None => {
                let tools = render::tools(&role, &self.cast, None);
                match role.manner {
                    Manner::Text if calls.is_empty() => match react::parse(&text, &tools) {
                        Parsed::Act { thought, tool, arguments } => {
                            Ok((thought, vec![(tool, arguments)]))
                        }
                        Parsed::Final { answer, .. } => Ok((answer, Vec::new())),
                        Parsed::Malformed(what) => Err(what),
                    },
                    _ if !calls.is_empty() => {
                        let calls = calls.into_iter().map(|call| (call.name, call.arguments));
                        Ok((text.clone(), calls.collect()))
                    }
                    _ => match written_call(&text, &tools) {
                        Some(call) => Ok((String::new(), vec![call])),
                        None => plain(text.clone()),
                    },
                }
            }
        };
        match parsed {
            Ok((answer, calls)) if calls.is_empty() => {
                let turn = Turn::Said { text: answer.clone(), calls: Vec::new() };
                self.top_mut().turns.push(turn);
                self.finish(Ok(answer), news);
            }
            Ok((thought, calls)) => self.called(thought, calls, news),
            Err(_) if cut => {
                self.malformed(text, "it was cut because it is too long; say less".into(), news);
            }
            Err(what) => self.malformed(text, what, news),
        }
    }

    fn malformed(&mut self, text: String, what: String, news: &mut Vec<News>) {
        let frame = self.top_mut();
        frame.malformed += 1;
        let short: String = text.chars().take(2_000).collect();
        frame.turns.push(Turn::Said { text: short, calls: Vec::new() });
        if frame.malformed > MALFORMED_MAX {
            return self.finish(Err(Stop::Malformed(what)), news);
        }
        let told = format!("Your last answer could not be read: {what}. Try again.");
        frame.turns.push(Turn::Told(told));
        news.push(News::Unreadable(what));
    }

    /// What the model wants done is judged, call by call.
    fn called(&mut self, thought: String, calls: Vec<(String, Value)>, news: &mut Vec<News>) {
        let place = self.top().role;
        let role = self.cast[place].clone();
        let tools = render::tools(&role, &self.cast, None);
        let (prefix, step) = (self.top().id.clone(), self.top().step);
        self.top_mut().malformed = 0;
        let mut acts: Vec<Act> = Vec::new();
        let mut circles = None;
        for (n, (tool, arguments)) in calls.into_iter().enumerate().take(CALLS_MAX + 1) {
            let mut act = Act {
                key: format!("{prefix}/{step}.{n}"),
                tool,
                arguments,
                effect: Effect::Read,
                edited: false,
                stage: Stage::Ready,
            };
            let repeats = self.top().repeats(&act.tool, &act.arguments);
            let known = tools.iter().find(|known| known.name == act.tool);
            let spec = role.tools.iter().find(|spec| spec.name == act.tool);
            act.effect = spec.map_or(Effect::Read, |spec| spec.effect);
            let wrong = known.and_then(|tool| fits::wrong(&tool.parameters, &act.arguments));
            let names =
                || tools.iter().map(|tool| tool.name.as_str()).collect::<Vec<_>>().join(", ");
            if n == CALLS_MAX {
                act.told(format!(
                    "error: more than {CALLS_MAX} calls at once; it and those after it are not done"
                ));
            } else if known.is_none() {
                act.told(format!("error: there is no tool of that name; there are: {}", names()));
            } else if let Some(wrong) = wrong {
                act.told(format!("error: {wrong}"));
            } else if repeats >= REPEATS_TOLD {
                if repeats >= REPEATS_MAX {
                    circles = Some(format!("{} {}", act.tool, act.arguments));
                }
                self.top_mut().remember_again(&act.tool, &act.arguments);
                act.told(format!(
                    "error: not done again: the same call gave the same result {REPEATS_TOLD} times. \
                     Do something else, or answer with what you know"
                ));
            } else if let Some(name) = render::phoned(&role, &act.tool) {
                match self.cast.iter().position(|other| other.name == name) {
                    Some(who) if self.frames.len() < FRAMES_MAX => act.stage = Stage::Phone(who),
                    _ => act.told("error: nobody more can be asked from here; do it yourself"),
                }
            } else if let Some(name) = render::heir(&role, &act.tool) {
                match self.cast.iter().position(|other| other.name == name) {
                    Some(who) if self.hands < HANDS_MAX && self.top().heir.is_none() => {
                        self.top_mut().heir = Some(who);
                        let note = act.arguments["note"].as_str().unwrap_or_default();
                        act.told(format!("the conversation is now with {name}. Note: {note}"));
                    }
                    _ => act.told("error: it cannot be handed over once more; do it yourself"),
                }
            } else if let Some(spec) = spec {
                let doubted = self
                    .doubted
                    .iter()
                    .any(|(tool, arguments)| *tool == act.tool && *arguments == act.arguments);
                match self.policy.judge(spec, &act.arguments, self.tainted, doubted) {
                    Judgement::Allowed => {}
                    Judgement::Ask => act.stage = Stage::Ask,
                    Judgement::Refused => {
                        act.told("error: not allowed: this tool is not to be used")
                    }
                }
            }
            if let Stage::Answered { text, .. } = &act.stage
                && text.starts_with("error:")
            {
                let (tool, why) = (act.tool.clone(), text.clone());
                if repeats < REPEATS_TOLD {
                    self.top_mut().remember(&tool, &act.arguments, &why);
                }
                news.push(News::NotDone { tool, why });
            }
            acts.push(act);
        }
        let calls = acts.iter().map(|a| (a.key.clone(), a.tool.clone(), a.arguments.clone()));
        let turn = Turn::Said { text: thought, calls: calls.collect() };
        let frame = self.top_mut();
        frame.turns.push(turn);
        frame.phase = Phase::Acting(acts);
        if let Some(what) = circles {
            self.finish(Err(Stop::Loop(what)), news);
        }
    }
}

/// Words, and what is to be called with them.
type Wanted = (String, Vec<(String, Value)>);

/// Words alone are the answer, where there are any.
fn plain(text: String) -> Result<Wanted, String> {
    if text.trim().is_empty() { Err("it is empty".into()) } else { Ok((text, Vec::new())) }
}

/// A call of a tool that is there, in a text that is nothing else: some models write what others call.
fn written_call(text: &str, tools: &[Tool]) -> Option<(String, Value)> {
    let body = text.trim();
    let body = body.strip_prefix("<tool_call>").unwrap_or(body);
    let body = body.strip_suffix("</tool_call>").unwrap_or(body).trim();
    let (value, rest) = react::first_json(body).filter(|_| body.starts_with('{'))?;
    let call = react::as_call(&value).filter(|_| rest.trim().is_empty())?;
    tools.iter().any(|tool| tool.name == call.0).then_some(call)
}
