//! What follows by itself: conversations that begin and end above others, plans that go on, budgets that
//! are reached.

use super::News;
use crate::run::act::Stage;
use crate::run::frame::{Frame, Of, Phase, Turn};
use crate::run::{Failure, Run, Stop, plan};
use crate::tool::Effect;

impl Run {
    /// Goes as far as it can without being given anything.
    pub(super) fn settle(&mut self, news: &mut Vec<News>) {
        while self.end.is_none() && self.advance(news) {}
        if self.end.is_some() {
            return;
        }
        let asks = match &self.top().phase {
            Phase::Asking => true,
            Phase::Acting(acts) => {
                let next = acts.iter().find(|act| !act.is_answered());
                if next.is_some_and(|act| act.stage == Stage::Begun) {
                    // It is being done: what comes of it is waited for.
                    return;
                }
                if !next.is_some_and(|act| act.stage == Stage::Ready) {
                    // People may think as long as they like; only time that was spent ends it then.
                    if self.budget.time.is_some_and(|most| self.spent.time >= most) {
                        self.fail(Stop::Time);
                    }
                    return;
                }
                false
            }
        };
        if let Some(stop) = self.spent.over(&self.budget, asks) {
            self.fail(stop);
        }
    }

    /// One move that needs nothing from outside, where there is one.
    fn advance(&mut self, news: &mut Vec<News>) -> bool {
        let (top, cast) = (self.frames.len() - 1, &self.cast);
        let frame = &mut self.frames[top];
        let Phase::Acting(acts) = &mut frame.phase else {
            let doing = frame.plan.as_ref().filter(|plan| plan.stage == plan::Stage::Doing);
            let Some(plan) = doing else { return false };
            let wanted = frame.turns.iter().find_map(|turn| match turn {
                Turn::Wanted(text) => Some(text.as_str()),
                _ => None,
            });
            let task = plan.task(wanted.unwrap_or_default());
            let id = format!("{}/plan{}.{}", frame.id, plan.made, plan.done);
            let step = Frame::new(id, frame.role, &cast[frame.role], Of::Step, task);
            self.frames.push(step);
            return true;
        };
        let Some(open) = acts.iter().find(|act| !act.is_answered()) else {
            for act in std::mem::take(acts) {
                let Stage::Answered { text, outside } = act.stage else { continue };
                self.tainted |= outside;
                frame.turns.push(Turn::Saw { key: act.key, tool: act.tool, text, outside });
            }
            frame.phase = Phase::Asking;
            if let Some(heir) = frame.heir.take() {
                let (from, to) = (cast[frame.role].name.clone(), cast[heir].name.clone());
                frame.role = heir;
                if cast[heir].plans && frame.of != Of::Step {
                    frame.plan = Some(plan::Plan::default());
                }
                self.hands += 1;
                news.push(News::Handed { from, to });
            }
            return true;
        };
        let Stage::Phone(who) = open.stage else { return false };
        let question = open.arguments["question"].as_str().unwrap_or_default().to_owned();
        let of = Of::Friend(open.key.clone());
        let friend = Frame::new(open.key.clone(), who, &cast[who], of, question);
        let (from, to) = (cast[frame.role].name.clone(), cast[who].name.clone());
        news.push(News::Phoned { from, to });
        self.frames.push(friend);
        true
    }

    /// The conversation on top is over.
    pub(super) fn finish(&mut self, result: Result<String, Stop>, news: &mut Vec<News>) {
        let frame = self.top();
        match frame.of.clone() {
            Of::Task => match result {
                Ok(answer) => self.end = Some(Ok(answer)),
                Err(why) => self.fail(why),
            },
            Of::Friend(key) => {
                let who = self.cast[frame.role].name.clone();
                let (text, outside) = match result {
                    Ok(answer) => (answer, true),
                    Err(why) => {
                        let reached = frame.reached();
                        (
                            format!(
                                "error: {who} found no answer: {why}. It came as far as: {reached}"
                            ),
                            true,
                        )
                    }
                };
                news.push(News::HungUp { who, answer: text.clone() });
                self.frames.pop();
                if let Phase::Acting(acts) = &mut self.top_mut().phase
                    && let Some(act) = acts.iter_mut().find(|act| act.key == key)
                {
                    let (tool, arguments) = (act.tool.clone(), act.arguments.clone());
                    act.stage = Stage::Answered { text: text.clone(), outside };
                    self.top_mut().remember(&tool, &arguments, &text);
                }
            }
            Of::Step => {
                self.frames.pop();
                self.step_done(result);
            }
        }
    }

    fn step_done(&mut self, result: Result<String, Stop>) {
        let frame = self.top_mut();
        let Some(plan) = &mut frame.plan else { return };
        match result {
            Ok(result) => {
                plan.results.push((plan.steps[plan.done].clone(), result));
                plan.done += 1;
                if plan.done == plan.steps.len() {
                    plan.stage = plan::Stage::Concluding;
                    let report = plan.report();
                    frame.turns.push(Turn::Told(report));
                }
            }
            Err(why) if plan.made > plan::REPLANS_MAX => self.fail(Stop::Plan(why.to_string())),
            Err(why) => {
                plan.stage = plan::Stage::Making;
                let mut told = String::from("The plan did not work.\n");
                for (step, result) in &plan.results {
                    told += &format!("Done: {step}\nResult: {result}\n");
                }
                let failed = &plan.steps[plan.done];
                told += &format!("Failed: {failed}\nBecause: {why}\nMake a plan for what is left.");
                frame.turns.push(Turn::Told(told));
            }
        }
    }

    fn fail(&mut self, why: Stop) {
        let mut in_doubt = Vec::new();
        for frame in &mut self.frames {
            let Phase::Acting(acts) = &mut frame.phase else { continue };
            for act in acts.iter_mut() {
                if act.stage == Stage::Begun && act.effect == Effect::Irreversible {
                    act.stage =
                        Stage::Doubt("the run ended before what came of it was known".into());
                }
                if matches!(act.stage, Stage::Doubt(_)) {
                    in_doubt.extend(act.question(&self.cast[frame.role].name, self.tainted));
                }
            }
        }
        let reached = self.frames.iter().rev().map(Frame::reached).find(|text| !text.is_empty());
        self.end = Some(Err(Failure { why, reached: reached.unwrap_or_default(), in_doubt }));
    }
}
