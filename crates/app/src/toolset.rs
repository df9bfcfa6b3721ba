//! The tools of an application: an ordered set with unique names, and the few of them that a model is
//! shown in a turn where showing all would cost too much of its window.
//!
//! The choice goes by the words of the turn and, where somebody turns texts into vectors, by their
//! meaning. It disturbs what a model has read before as little as it can: the same tools stand in the
//! same order, and new ones stand behind them. It knows no agent and calls nothing but its own
//! `search_tools`.

mod rank;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use ondine_chat::{Embed, ToolCall};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::tool::{Context, Effect, FnTool, Tool, ToolError, ToolSpec};
use rank::Index;

/// The tool through which a model finds those that it is not shown. No other may have its name.
pub const SEARCH_TOOLS: &str = "search_tools";

/// Characters of a tool's name at most: what every API takes.
const NAME_CHARS_MAX: usize = 64;
/// Tools of a set at most.
const TOOLS_MAX: usize = 10_000;
/// Tools that become wanted in one turn by its words, unless [`ToolSet::at_most`] says otherwise.
const WANTED_MAX: usize = 8;
/// Tools that one search finds.
const FOUND_MAX: usize = 5;
/// Characters of a description that a search shows.
const SHOWN_CHARS_MAX: usize = 200;
/// Characters of a turn that are looked at.
const WORDS_CHARS_MAX: usize = 4_000;

/// Why a tool does not join a set, or a set cannot keep to a budget.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ToolSetError {
    /// Two tools of one name.
    #[error("there are two tools of the name {0:?}")]
    Twice(String),
    /// The name is none that a model can call.
    #[error("{0:?} is no name of a tool; expected 1 to 64 letters, digits, `_` and `-`")]
    Name(String),
    /// The name belongs to the set itself.
    #[error("the name {0:?} is the tool set's own")]
    Reserved(String),
    /// The arguments are no object.
    #[error("the parameters of {0:?} are no schema of an object")]
    Parameters(String),
    /// More tools than a set holds.
    #[error("expected at most {TOOLS_MAX} tools")]
    TooMany,
    /// A tool that is always to be shown is not there.
    #[error("there is no tool {0:?} to be always shown")]
    Absent(String),
    /// A tool could never be shown.
    #[error(
        "the tool {name:?} takes {tokens} tokens; beside those that are always shown, {left} of a budget of {budget} are left"
    )]
    Budget {
        /// Which tool.
        name: String,
        /// What its description takes.
        tokens: usize,
        /// What is left for it.
        left: usize,
        /// What there is for all.
        budget: usize,
    },
}

/// An ordered set of tools with unique names. Cheap to clone.
#[derive(Clone, Default)]
pub struct ToolSet {
    tools: Vec<Arc<dyn Tool>>,
    places: BTreeMap<String, usize>,
    budget: Option<Arc<Budget>>,
    /// Tools that become wanted in one turn.
    most: Option<usize>,
    counting: Option<Counting>,
    meaning: Option<(Arc<dyn Embed>, String)>,
}

type Counting = Arc<dyn Fn(&ondine_chat::Tool) -> usize + Send + Sync>;

/// What a set with a budget knows beside its tools.
struct Budget {
    tokens: usize,
    always: Vec<usize>,
    /// Tokens of each tool.
    costs: Vec<usize>,
    /// Tokens of those that are always shown, `search_tools` among them.
    fixed: usize,
    finder: Arc<Finder>,
    search: Arc<dyn Tool>,
}

/// Finds tools by words and by meaning.
struct Finder {
    names: Vec<String>,
    abouts: Vec<String>,
    index: Index,
    meaning: Option<(Arc<dyn Embed>, String)>,
    /// The tools' own vectors, made when they are first needed.
    vectors: Mutex<Option<Arc<Vec<Vec<f32>>>>>,
}

/// What one conversation has been shown: a value to keep beside it. With the same turns it becomes the
/// same again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chosen {
    /// Names in the order in which they are shown, those that are always shown not among them.
    shown: Vec<String>,
    /// The same names, those longest not wanted first.
    recent: Vec<String>,
    /// What the model has searched for and found since the last turn.
    found: Vec<String>,
}

impl Chosen {
    /// Hears of a call and of what the model was shown of its result: what `search_tools` found is shown
    /// from the next turn on.
    pub fn saw(&mut self, call: &ToolCall, observation: &str) {
        if call.name != SEARCH_TOOLS {
            return;
        }
        let Ok(result) = serde_json::from_str::<Value>(observation) else { return };
        let found = result["tools"].as_array().into_iter().flatten();
        let names = found.filter_map(|tool| tool["name"].as_str());
        // What is last in here is wanted most: of one search, its first.
        let names: Vec<String> = names.take(FOUND_MAX).map(String::from).collect();
        self.found.extend(names.into_iter().rev());
        // A model that searches again and again before its next turn keeps its last finds.
        let surplus = self.found.len().saturating_sub(4 * FOUND_MAX);
        self.found.drain(..surplus);
    }
}

impl ToolSet {
    /// No tools.
    pub fn new() -> ToolSet {
        ToolSet::default()
    }

    /// These tools, in this order.
    ///
    /// # Errors
    /// Those of [`ToolSet::add`].
    pub fn of(tools: impl IntoIterator<Item = Arc<dyn Tool>>) -> Result<ToolSet, ToolSetError> {
        let mut set = ToolSet::new();
        for tool in tools {
            set.add(tool)?;
        }
        Ok(set)
    }

    /// One more tool, behind the others. A budget that was set is set anew afterwards.
    ///
    /// # Errors
    /// Its name is taken or is none, its parameters are no schema of an object, or there are too many.
    pub fn add(&mut self, tool: Arc<dyn Tool>) -> Result<(), ToolSetError> {
        let spec = tool.spec();
        let name = spec.name.clone();
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        if name.is_empty() || name.len() > NAME_CHARS_MAX || !name.chars().all(plain) {
            return Err(ToolSetError::Name(name.chars().take(NAME_CHARS_MAX).collect()));
        }
        if name == SEARCH_TOOLS {
            return Err(ToolSetError::Reserved(name));
        }
        if spec.parameters["type"] != "object" {
            return Err(ToolSetError::Parameters(name));
        }
        if self.tools.len() == TOOLS_MAX {
            return Err(ToolSetError::TooMany);
        }
        if self.places.contains_key(&name) {
            return Err(ToolSetError::Twice(name));
        }
        self.places.insert(name, self.tools.len());
        self.tools.push(tool);
        self.budget = None;
        Ok(())
    }

    /// How many tokens a tool takes in a prompt, for a budget that is set later. Without it they are
    /// guessed, rather too high: one for three bytes of plain characters, one for two of others.
    pub fn counting(
        mut self,
        count: impl Fn(&ondine_chat::Tool) -> usize + Send + Sync + 'static,
    ) -> ToolSet {
        self.counting = Some(Arc::new(count));
        self.budget = None;
        self
    }

    /// Tools are found by their meaning too, for a budget that is set later.
    pub fn embedding_with(mut self, embed: Arc<dyn Embed>, model: impl Into<String>) -> ToolSet {
        self.meaning = Some((embed, model.into()));
        self.budget = None;
        self
    }

    /// Shows in each turn only what fits into so many tokens: the tools named in `always`, `search_tools`,
    /// and those that the turn seems to need.
    ///
    /// # Errors
    /// A tool in `always` that is not there, or a tool that could never be shown: it fits into no turn
    /// beside those.
    pub fn budgeted(mut self, tokens: usize, always: &[&str]) -> Result<ToolSet, ToolSetError> {
        let absent = |name: &&str| ToolSetError::Absent((*name).to_owned());
        let place = |name: &&str| self.places.get(*name).copied().ok_or_else(|| absent(name));
        let mut always = always.iter().map(place).collect::<Result<Vec<usize>, _>>()?;
        always.sort_unstable();
        always.dedup();

        let finder = Arc::new(Finder::new(&self.tools, self.meaning.clone()));
        let search = search_tool(finder.clone());
        let count = |tool: &Arc<dyn Tool>| match &self.counting {
            Some(count) => count(&tool.spec().tool()),
            None => guessed(&tool.spec().tool()),
        };
        let costs: Vec<usize> = self.tools.iter().map(count).collect();
        let fixed = always.iter().map(|&at| costs[at]).sum::<usize>() + count(&search);
        let left = tokens.saturating_sub(fixed);
        let too_large = |name: &str, tokens_of_it| ToolSetError::Budget {
            name: name.to_owned(),
            tokens: tokens_of_it,
            left,
            budget: tokens,
        };
        if fixed > tokens {
            return Err(too_large(SEARCH_TOOLS, count(&search)));
        }
        for (at, tool) in self.tools.iter().enumerate() {
            if !always.contains(&at) && costs[at] > left {
                return Err(too_large(&tool.spec().name, costs[at]));
            }
        }
        let budget = Budget { tokens, always, costs, fixed, finder, search };
        self.budget = Some(Arc::new(budget));
        Ok(self)
    }

    /// How many tools may become wanted by the words of one turn; eight unless this is said. Fewer keep a
    /// prompt's beginning the same for longer.
    pub fn at_most(mut self, tools: usize) -> ToolSet {
        self.most = Some(tools);
        self
    }

    /// The tool of a name, whether it is shown or not; `search_tools` where there is a budget.
    pub fn get(&self, name: &str) -> Option<&Arc<dyn Tool>> {
        match &self.budget {
            Some(budget) if name == SEARCH_TOOLS => Some(&budget.search),
            _ => self.places.get(name).map(|&at| &self.tools[at]),
        }
    }

    /// All tools, in order; `search_tools` is not among them.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<dyn Tool>> {
        self.tools.iter()
    }

    /// How many tools there are.
    pub fn len(&self) -> usize {
        self.tools.len()
    }

    /// Whether a model is shown only some of them in a turn.
    pub fn is_budgeted(&self) -> bool {
        self.budget.is_some()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.tools.is_empty()
    }

    /// All tools as a request names them.
    pub fn tools(&self) -> Vec<ondine_chat::Tool> {
        self.tools.iter().map(|tool| tool.spec().tool()).collect()
    }

    /// What a model is shown in this turn: everything where there is no budget, else never more than it.
    ///
    /// Those that are always shown come first, then `search_tools`, then the others in the order in which
    /// they came to be wanted. A tool that was shown before keeps its place while there is room, so that
    /// a model which has read the list need not read it again; those longest not wanted go first.
    pub fn choose(&self, chosen: &mut Chosen, words: &str) -> Vec<Arc<dyn Tool>> {
        let Some(budget) = &self.budget else { return self.tools.clone() };
        let known = |name: &String| {
            let at = *self.places.get(name)?;
            (!budget.always.contains(&at)).then_some(at)
        };
        let room = budget.tokens - budget.fixed;

        // What this turn wants: what the model has looked for, then what its words point to.
        let mut wanted: Vec<usize> = Vec::new();
        let mut used = 0;
        let found = std::mem::take(&mut chosen.found);
        // The last that was found is wanted most.
        let found = found.iter().rev().filter_map(known).collect::<Vec<_>>();
        let asked: String = words.chars().take(WORDS_CHARS_MAX).collect();
        let ranked = budget.finder.find(&asked);
        let ranked = ranked
            .into_iter()
            .filter(|at| !budget.always.contains(at))
            .take(self.most.unwrap_or(WANTED_MAX));
        for at in found.into_iter().chain(ranked) {
            if !wanted.contains(&at) && used + budget.costs[at] <= room {
                used += budget.costs[at];
                wanted.push(at);
            }
        }
        // What was shown before stays where there is room for it, the latest wanted first.
        let mut kept = wanted.clone();
        for at in chosen.recent.iter().rev().filter_map(known) {
            if !kept.contains(&at) && used + budget.costs[at] <= room {
                used += budget.costs[at];
                kept.push(at);
            }
        }
        let before: Vec<usize> = chosen.shown.iter().filter_map(known).collect();
        let mut shown: Vec<usize> = before.into_iter().filter(|at| kept.contains(at)).collect();
        let mut fresh: Vec<usize> =
            wanted.iter().copied().filter(|at| !shown.contains(at)).collect();
        // Among those that came together the order is the set's, whatever the ranks were.
        fresh.sort_unstable();
        shown.extend(fresh);
        let name = |&at: &usize| self.tools[at].spec().name.clone();
        chosen.shown = shown.iter().map(name).collect();
        chosen.recent = kept.iter().rev().map(name).collect();

        let always = budget.always.iter().map(|&at| self.tools[at].clone());
        let others = shown.iter().map(|&at| self.tools[at].clone());
        always.chain([budget.search.clone()]).chain(others).collect()
    }
}

/// Tokens of a tool in a prompt, guessed rather too high.
fn guessed(tool: &ondine_chat::Tool) -> usize {
    /// What a template writes around a tool.
    const AROUND: usize = 16;

    let parameters = tool.parameters.to_string();
    let bytes = tool.name.bytes().chain(tool.description.bytes()).chain(parameters.bytes());
    let (mut plain, mut other) = (0_usize, 0_usize);
    for byte in bytes {
        if byte.is_ascii() {
            plain += 1;
        } else {
            other += 1;
        }
    }
    AROUND + plain.div_ceil(3) + other.div_ceil(2)
}

impl Finder {
    fn new(tools: &[Arc<dyn Tool>], meaning: Option<(Arc<dyn Embed>, String)>) -> Finder {
        let names: Vec<String> = tools.iter().map(|tool| tool.spec().name.clone()).collect();
        let abouts = tools.iter().map(|tool| about(tool.spec()));
        let abouts: Vec<String> = abouts.collect();
        let index = Index::new(names.iter().zip(&abouts).map(|(name, about)| {
            // A name says what a tool is for more than any word of its description does.
            format!("{name} {name} {name} {about}")
        }));
        Finder { names, abouts, index, meaning, vectors: Mutex::default() }
    }

    /// Places of the tools that fit, best first. By words alone, those without a common word are not
    /// among them.
    fn find(&self, words: &str) -> Vec<usize> {
        let by_words = self.index.rank(words);
        match self.by_meaning(words) {
            Some(by_meaning) => rank::fused(&[by_words, by_meaning]),
            None => by_words,
        }
    }

    fn by_meaning(&self, words: &str) -> Option<Vec<usize>> {
        let (embed, model) = self.meaning.as_ref()?;
        if words.trim().is_empty() {
            return None;
        }
        let given = self.vectors_of_tools(&**embed, model).and_then(|vectors| {
            let asked = embed.embed(model, &[words.to_owned()])?.vectors.pop();
            Ok((vectors, asked.unwrap_or_default()))
        });
        match given {
            Ok((vectors, asked)) => Some(rank::nearest(&vectors, &asked)),
            Err(error) => {
                // Words alone still find most; the turn need not fail for it.
                tracing::warn!(%error, "tools are chosen by words alone");
                None
            }
        }
    }

    fn vectors_of_tools(
        &self,
        embed: &dyn Embed,
        model: &str,
    ) -> Result<Arc<Vec<Vec<f32>>>, ondine_chat::ChatError> {
        let mut kept = self.vectors.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(vectors) = &*kept {
            return Ok(vectors.clone());
        }
        let texts: Vec<String> =
            self.names.iter().zip(&self.abouts).map(|(n, about)| format!("{n}: {about}")).collect();
        let vectors = Arc::new(embed.embed(model, &texts)?.vectors);
        *kept = Some(vectors.clone());
        Ok(vectors)
    }
}

/// What is said about a tool: its description, and names and descriptions of its parameters.
fn about(spec: &ToolSpec) -> String {
    let mut text = spec.description.clone();
    for (name, schema) in spec.parameters["properties"].as_object().into_iter().flatten() {
        text.push(' ');
        text.push_str(name);
        if let Some(about) = schema["description"].as_str() {
            text.push(' ');
            text.push_str(about);
        }
    }
    text
}

/// The tool that finds tools.
fn search_tool(finder: Arc<Finder>) -> Arc<dyn Tool> {
    static SPEC: OnceLock<ToolSpec> = OnceLock::new();
    let spec = SPEC.get_or_init(|| ToolSpec {
        name: SEARCH_TOOLS.into(),
        description: "Find more tools, when none of those listed does what is needed. \
            Those that are found can be called afterwards. 查找更多工具"
            .into(),
        parameters: json!({
            "type": "object",
            "properties": {"query": {
                "type": "string", "description": "what the tool should do, in a few words"
            }},
            "required": ["query"],
            "additionalProperties": false,
        }),
        effect: Effect::Read,
        timeout: Duration::from_secs(20),
    });
    Arc::new(FnTool::new(spec.clone(), move |arguments: Value, _: &Context| {
        let query = arguments["query"].as_str().filter(|query| !query.trim().is_empty());
        let query = query.ok_or_else(|| ToolError::Arguments("expected a text `query`".into()))?;
        let query: String = query.chars().take(WORDS_CHARS_MAX).collect();
        let found = finder.find(&query).into_iter().take(FOUND_MAX).map(|at| {
            let about: String = finder.abouts[at].chars().take(SHOWN_CHARS_MAX).collect();
            json!({"name": finder.names[at], "description": about})
        });
        Ok(json!({"tools": found.collect::<Vec<_>>()}))
    }))
}

#[cfg(test)]
mod tests;
