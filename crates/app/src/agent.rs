//! An agent: roles with their models and tools, and what a user allows them. It drives a [`Run`], and
//! decides nothing: what is asked, performed and allowed is the run's to say.

mod ask;
mod drive;
mod event;
mod perform;

pub use drive::{Approve, Drive, Ended};
pub use event::{Happening, Happenings};

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use ondine_chat::{Overflow, Sampling};

use crate::error::Error;
use crate::llm::Llm;
use crate::policy::{Grant, Policy};
use crate::run::{Budget, Diary, Manner, Role, Run, fresh_id};
use crate::tool::{Bounds, Tool};
use crate::toolset::{SEARCH_TOOLS, ToolSet};

/// Names of tools that lead to other roles begin so; no tool of one's own does.
const RESERVED: &[&str] = &["ask_", "hand_to_"];

/// Somebody who does things with a model and tools. Cheap to clone.
///
/// ```
/// use std::sync::Arc;
/// use ondine_app::{Agent, Ended, Llm, Reply, ScriptedModel};
///
/// let model = ScriptedModel::new([Reply::text("Forty-two.")]);
/// let agent = Agent::new("oracle", Llm::new(Arc::new(model))).brief("You know.");
/// let Ended::Done { answer, .. } = agent.task("What is the answer?").go()? else { panic!() };
/// assert_eq!(answer, "Forty-two.");
/// # Ok::<(), ondine_app::Error>(())
/// ```
#[derive(Clone)]
pub struct Agent {
    /// The first is the one that a task is given to.
    members: Vec<Member>,
    policy: Policy,
    budget: Budget,
    bounds: Bounds,
}

#[derive(Clone)]
struct Member {
    role: Role,
    llm: Llm,
    tools: Vec<Arc<dyn Tool>>,
    /// Chooses what is shown of them in each turn.
    set: Option<ToolSet>,
}

impl Agent {
    /// Somebody of this name with this model, no tools, and nothing allowed but reading.
    pub fn new(name: impl Into<String>, llm: Llm) -> Agent {
        let member = Member { role: Role::new(name, ""), llm, tools: Vec::new(), set: None };
        Agent {
            members: vec![member],
            policy: Policy::default(),
            budget: Budget::default(),
            bounds: Bounds::default(),
        }
    }

    /// What it is told of itself.
    pub fn brief(mut self, text: impl Into<String>) -> Agent {
        self.first().role.brief = text.into();
        self
    }

    /// How its model says what it wants done.
    pub fn manner(mut self, manner: Manner) -> Agent {
        self.first().role.manner = manner;
        self
    }

    /// Makes a plan first, and has each step of it done.
    pub fn plans(mut self) -> Agent {
        self.first().role.plans = true;
        self
    }

    /// Its model cannot be held to a grammar. One that says so itself need not be known for it.
    pub fn unconstrained(mut self) -> Agent {
        self.first().role.constrained = false;
        self
    }

    /// May call this.
    pub fn tool(self, tool: impl Tool + 'static) -> Agent {
        self.tools([Arc::new(tool) as Arc<dyn Tool>])
    }

    /// May call these.
    pub fn tools(mut self, tools: impl IntoIterator<Item = Arc<dyn Tool>>) -> Agent {
        let first = self.first();
        for tool in tools {
            first.role.tools.push(tool.spec().clone());
            first.tools.push(tool);
        }
        self
    }

    /// May call all of this set. Where the set has a budget, its model is shown in each turn what that turn's
    /// words ask for, and finds the rest with `search_tools`; a tool that is added beside the set is shown
    /// always.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use ondine_app::{Agent, Ended, Llm, Reply, ScriptedModel, ToolSet, tool, tools};
    /// /// Adds two numbers.
    /// #[tool(effect = read)]
    /// fn add(
    ///     /// one of them
    ///     a: i64,
    ///     /// the other
    ///     b: i64,
    /// ) -> i64 {
    ///     a + b
    /// }
    /// # let llm = Llm::new(Arc::new(ScriptedModel::new([Reply::text("Five.")])));
    /// let set = ToolSet::of(tools![add])?.budgeted(600, &[])?;
    /// let ended = Agent::new("clerk", llm).toolset(set).task("add 2 and 3").go()?;
    /// assert!(matches!(ended, Ended::Done { .. }));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn toolset(self, set: ToolSet) -> Agent {
        let search = set.get(SEARCH_TOOLS).cloned();
        let mut agent = self.tools(set.iter().cloned().chain(search));
        agent.first().set = set.is_budgeted().then_some(set);
        agent
    }

    /// Phone a friend: may ask this agent, whose answer is the result of a call. What the friend may do
    /// without asking is this agent's to grant, budget and bounds are this agent's too: the friend's own
    /// are left behind.
    pub fn friend(mut self, friend: Agent) -> Agent {
        let name = friend.name().to_owned();
        self.first().role.phones.push(name);
        self.joined_by(friend)
    }

    /// The baton: may hand the conversation over to this agent, transcript and all. Grants, budget and
    /// bounds stay this agent's, as with a friend.
    pub fn heir(mut self, heir: Agent) -> Agent {
        let name = heir.name().to_owned();
        self.first().role.hands_to.push(name);
        self.joined_by(heir)
    }

    /// May ask one who is in the company anyway, by name.
    pub fn phones(mut self, name: impl Into<String>) -> Agent {
        self.first().role.phones.push(name.into());
        self
    }

    /// May hand over to one who is in the company anyway, by name: back to who handed over, for one.
    pub fn hands_to(mut self, name: impl Into<String>) -> Agent {
        self.first().role.hands_to.push(name.into());
        self
    }

    fn joined_by(mut self, other: Agent) -> Agent {
        self.members.extend(other.members);
        self
    }

    /// Has this done without asking.
    pub fn grant(mut self, grant: Grant) -> Agent {
        self.policy = self.policy.grant(grant);
        self
    }

    /// What is allowed, all of it: in place of what was granted before.
    pub fn policy(mut self, policy: Policy) -> Agent {
        self.policy = policy;
        self
    }

    /// What a run may cost.
    pub fn budget(mut self, budget: Budget) -> Agent {
        self.budget = budget;
        self
    }

    /// Bounds that hold whatever a tool does.
    pub fn bounds(mut self, bounds: Bounds) -> Agent {
        self.bounds = bounds;
        self
    }

    /// How its tokens are chosen.
    pub fn sampling(mut self, sampling: Sampling) -> Agent {
        self.first().role.sampling = sampling;
        self
    }

    /// Tokens of one of its answers at most.
    pub fn max_tokens(mut self, tokens: usize) -> Agent {
        self.first().role.max_tokens = Some(tokens);
        self
    }

    /// What happens when the conversation outgrows the model.
    pub fn overflow(mut self, overflow: Overflow) -> Agent {
        self.first().role.overflow = overflow;
        self
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.members[0].role.name
    }

    /// A run of it that has not begun.
    pub fn start(&self, task: impl Into<String>) -> Run {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let cast = self.members.iter().map(|member| member.role.clone()).collect();
        Run::new(fresh_id(now), cast, self.policy.clone(), self.budget, task)
    }

    /// Has this done; nothing is kept of it.
    pub fn task(&self, task: impl Into<String>) -> Drive<'static> {
        let run = self.start(task);
        Drive::new(self.clone(), move || Ok(Diary::in_memory(run)))
    }

    /// Goes on with a run that was kept elsewhere, and begun by this agent.
    pub fn go_on(&self, run: Run) -> Drive<'static> {
        Drive::new(self.clone(), move || Ok(Diary::in_memory(run)))
    }

    /// Has this done, and keeps in a file what happens; where the file has a run of this task already, goes
    /// on with it. What that run was begun with stays: grants, budget, briefs and descriptions of tools are
    /// the file's, models and what tools do are this agent's. A run that has ended is not done again: its
    /// answer is given. A file with another task's run is an error.
    ///
    /// ```
    /// # use std::{sync::Arc, time::Duration};
    /// # use ondine_app::{*, chat::Request};
    /// # use serde_json::{Value, json};
    /// struct Send(ToolSpec);
    ///
    /// impl Tool for Send {
    ///     fn spec(&self) -> &ToolSpec {
    ///         &self.0
    ///     }
    ///
    ///     fn call(&self, _: Value, _: &Context) -> Result<Value, ToolError> {
    ///         Ok(json!("sent"))
    ///     }
    /// }
    /// # let send = || Send(ToolSpec {
    /// #     name: "send".into(),
    /// #     description: "Sends a message.".into(),
    /// #     parameters: json!({"type": "object"}),
    /// #     effect: Effect::Irreversible,
    /// #     timeout: Duration::from_secs(5),
    /// # });
    /// # let folder = std::env::temp_dir().join(format!("ondine-task-in-{}", std::process::id()));
    /// # std::fs::create_dir_all(&folder)?;
    /// # let path = folder.join("run");
    /// # let agent = |reply| {
    /// #     let model = Llm::new(Arc::new(ScriptedModel::new([reply])));
    /// #     Agent::new("errand", model).tool(send())
    /// # };
    /// // Nobody is there to ask: the question is left open, and the process may end.
    /// let first = agent(Reply::call("send", json!({"to": "Ann"})));
    /// let Ended::Waiting(open) = first.task_in(&path, "Tell Ann.").go()? else { panic!() };
    /// assert_eq!(open[0].shown(), r#"send {"to":"Ann"} (cannot be taken back)"#);
    /// // Later, in another process. The task that was begun goes on.
    /// let second = agent(Reply::text("Ann knows."));
    /// let allow = |_: &Question| Some(Verdict::Allow);
    /// let (ended, run) = second.task_in(&path, "Tell Ann.").human(allow).go_to()?;
    /// assert!(matches!(ended, Ended::Done { .. }));
    /// assert_eq!(run.receipts().len(), 1);
    /// # std::fs::remove_dir_all(&folder)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn task_in(&self, path: impl Into<PathBuf>, task: impl Into<String>) -> Drive<'static> {
        let (path, run) = (path.into(), self.start(task));
        Drive::new(self.clone(), move || {
            let asked = run.task().to_owned();
            let diary = Diary::open(&path, move || run)?;
            let begun = diary.run().task().to_owned();
            if begun != asked {
                return Err(Error::OtherTask { path, begun, asked });
            }
            Ok(diary)
        })
    }

    /// The member with the role of this name.
    fn of(&self, name: &str) -> Option<&Member> {
        self.members.iter().find(|member| member.role.name == name)
    }

    fn first(&mut self) -> &mut Member {
        &mut self.members[0]
    }

    /// Whether this agent is whole, and the one that a run was begun with: names are clear, everybody who
    /// may be asked is there, and no tool changes other things than when its calls were judged.
    ///
    /// # Errors
    /// What is wrong.
    fn check(&self, run: &Run) -> Result<(), Error> {
        let wrong = |agent: &str, what: String| Err(Error::Role { agent: agent.to_owned(), what });
        let named = |name: &str| self.members.iter().filter(|m| m.role.name == name).count();
        for Member { role, tools, .. } in &self.members {
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
            if role.name.is_empty() || !role.name.chars().all(plain) {
                return wrong(&role.name, "a name is letters, digits, _ and -".into());
            }
            if named(&role.name) != 1 {
                return wrong(&role.name, "there is more than one of that name".into());
            }
            for other in role.phones.iter().chain(&role.hands_to) {
                if named(other) == 0 {
                    return wrong(&role.name, format!("{other:?} is not there to be asked"));
                }
            }
            for (n, tool) in tools.iter().enumerate() {
                let name = &tool.spec().name;
                if RESERVED.iter().any(|begin| name.starts_with(begin)) {
                    return wrong(&role.name, format!("no tool may be called {name:?}"));
                }
                if tools[..n].iter().any(|other| other.spec().name == *name) {
                    return wrong(&role.name, format!("it has two tools {name:?}"));
                }
            }
        }
        for role in run.cast() {
            let Some(member) = self.of(&role.name) else {
                return wrong(&role.name, "the run has it, and it is not here".into());
            };
            for spec in &role.tools {
                let now = member.tools.iter().find(|tool| tool.spec().name == spec.name);
                if now.is_some_and(|tool| tool.spec().effect != spec.effect) {
                    let what = format!("{:?} changes other things than in this run", spec.name);
                    return wrong(&role.name, what);
                }
            }
        }
        Ok(())
    }
}
