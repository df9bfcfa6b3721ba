//! Graphs: named nodes, of which a function or the model itself says which comes next.
//!
//! A node takes the state and gives it back changed; its [`Way`] says where it goes from there. Where the
//! model chooses, its answer is decoded under a schema of the ways that are open: another one cannot be
//! said. Circles are allowed and bounded, and a node that has been visited often enough is no longer
//! offered. What leads nowhere is refused when the graph is built.
//!
//! A [`Graph`] is a [`Step`], so that a [`Chain`](crate::chain::Chain) runs it, keeps its journal,
//! resumes and draws it. What a node does is not known here.
//!
//! ```
//! use ondine_app::chain::{Chain, StepError, step};
//! use ondine_app::graph::{END, Graph, Way};
//!
//! let halve = step("halve", |n: u32| Ok::<_, StepError>(n / 2));
//! let way = Way::by(["halve", END], |n: &u32| if *n > 1 { "halve" } else { END }.to_owned());
//! let graph = Graph::new("log", "halve").node("halve", halve, way).build()?;
//! assert_eq!(Chain::new("log", graph).run(40)?, 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::collections::HashMap;
use std::fmt::Write;

use ondine_chat::{Format, Message, Request};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::chain::{Boxed, ChainError, Edge, Live, Scope, Shape, Step, StepError, answer};
use crate::llm::Llm;
use crate::tool::Effect;

#[cfg(test)]
mod tests;

/// Where a graph ends. No node has this name.
pub const END: &str = "end";

/// Visits of one node at most, where nothing else is said.
const VISITS: usize = 25;
/// Visits of all nodes together at most, where nothing else is said.
const STEPS: usize = 100;

/// Why a graph cannot be built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GraphError {
    /// Two nodes have one name, or one has none, or that of the end.
    #[error("the graph {graph:?} cannot have another node {name:?}")]
    Name {
        /// Which graph.
        graph: String,
        /// The name.
        name: String,
    },
    /// A way leads to a node that is not there.
    #[error("the graph {graph:?} goes from {from:?} to {to:?}, which is not there")]
    Missing {
        /// Which graph.
        graph: String,
        /// Where the way begins; empty for the beginning of all.
        from: String,
        /// What is not there.
        to: String,
    },
    /// No way leads to a node.
    #[error("no way of the graph {graph:?} leads to {node:?}")]
    Unreachable {
        /// Which graph.
        graph: String,
        /// The node.
        node: String,
    },
    /// No way leads from a node to the end.
    #[error("no way of the graph {graph:?} leads from {node:?} to the end")]
    Endless {
        /// Which graph.
        graph: String,
        /// The node.
        node: String,
    },
}

type Chooses<S> = Box<dyn Fn(&S) -> String + Send + Sync>;

/// Where a node goes.
pub struct Way<S> {
    /// Names, and what is said of each.
    to: Vec<(String, String)>,
    by: By<S>,
}

enum By<S> {
    Itself,
    Function(Chooses<S>),
    Model(Box<Llm>, Chooses<S>),
}

impl<S> Way<S> {
    /// Always there.
    pub fn to(next: impl Into<String>) -> Way<S> {
        Way { to: vec![(next.into(), String::new())], by: By::Itself }
    }

    /// To one of these, as a function of the state says.
    pub fn by<N: Into<String>>(
        to: impl IntoIterator<Item = N>,
        choose: impl Fn(&S) -> String + Send + Sync + 'static,
    ) -> Way<S> {
        let to = to.into_iter().map(|name| (name.into(), String::new())).collect();
        Way { to, by: By::Function(Box::new(choose)) }
    }

    /// To one of these, as the model says. With each stands when it is right; `question` says what there
    /// is to be decided.
    pub fn asked<N: Into<String>, W: Into<String>>(
        llm: &Llm,
        to: impl IntoIterator<Item = (N, W)>,
        question: impl Fn(&S) -> String + Send + Sync + 'static,
    ) -> Way<S> {
        let to = to.into_iter().map(|(name, when)| (name.into(), when.into())).collect();
        Way { to, by: By::Model(Box::new(llm.clone()), Box::new(question)) }
    }
}

struct Node<S> {
    name: String,
    step: Boxed<'static, S, S>,
    way: Way<S>,
}

/// A graph on its way to be one.
pub struct GraphBuilder<S> {
    name: String,
    start: String,
    nodes: Vec<Node<S>>,
    visits: usize,
    steps: usize,
}

/// Nodes, and ways between them: all names are known, each node can be reached, and the end from each.
pub struct Graph<S> {
    built: GraphBuilder<S>,
    /// The node of each name.
    of: HashMap<String, usize>,
}

impl<S> Graph<S> {
    /// A graph of this name, which begins at the node `start`.
    #[expect(clippy::new_ret_no_self, reason = "it is a graph once it is built")]
    pub fn new(name: impl Into<String>, start: impl Into<String>) -> GraphBuilder<S> {
        let (name, start) = (name.into(), start.into());
        GraphBuilder { name, start, nodes: Vec::new(), visits: VISITS, steps: STEPS }
    }
}

impl<S> GraphBuilder<S> {
    /// One more node: what is done there, and where it goes.
    pub fn node(
        mut self,
        name: impl Into<String>,
        step: impl Step<Input = S, Output = S> + 'static,
        way: Way<S>,
    ) -> GraphBuilder<S>
    where
        S: Send,
    {
        self.nodes.push(Node { name: name.into(), step: Box::new(step), way });
        self
    }

    /// Visits of one node at most.
    pub fn visits(mut self, most: usize) -> GraphBuilder<S> {
        self.visits = most;
        self
    }

    /// Visits of all nodes together at most.
    pub fn steps(mut self, most: usize) -> GraphBuilder<S> {
        self.steps = most;
        self
    }

    /// The graph, where every way leads somewhere.
    ///
    /// # Errors
    /// A name is taken, a target missing, a node not to be reached, or the end not from there.
    pub fn build(self) -> Result<Graph<S>, GraphError> {
        let graph = || self.name.clone();
        let mut of = HashMap::new();
        for (n, node) in self.nodes.iter().enumerate() {
            let known = of.insert(node.name.clone(), n).is_some();
            if known || node.name.is_empty() || node.name == END {
                return Err(GraphError::Name { graph: graph(), name: node.name.clone() });
            }
        }
        let missing = |from: &str, to: &str| GraphError::Missing {
            graph: graph(),
            from: from.to_owned(),
            to: to.to_owned(),
        };
        let start = *of.get(&self.start).ok_or_else(|| missing("", &self.start))?;
        let mut ways = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            let mut to = Vec::new();
            for (name, _) in &node.way.to {
                match of.get(name) {
                    Some(&n) => to.push(n),
                    None if name == END => {}
                    None => return Err(missing(&node.name, name)),
                }
            }
            ways.push(to);
        }
        let mut reached = vec![false; self.nodes.len()];
        let mut next = vec![start];
        while let Some(n) = next.pop() {
            if !std::mem::replace(&mut reached[n], true) {
                next.extend(&ways[n]);
            }
        }
        if let Some(n) = reached.iter().position(|reached| !reached) {
            let node = self.nodes[n].name.clone();
            return Err(GraphError::Unreachable { graph: graph(), node });
        }
        let ends = |node: &Node<S>| node.way.to.iter().any(|(name, _)| name == END);
        let mut ended: Vec<bool> = self.nodes.iter().map(ends).collect();
        // As many rounds as nodes are enough: each but the last finds one.
        for _ in 0..ended.len() {
            for n in 0..ended.len() {
                ended[n] = ended[n] || ways[n].iter().any(|&to| ended[to]);
            }
        }
        if let Some(n) = ended.iter().position(|ended| !ended) {
            let node = self.nodes[n].name.clone();
            return Err(GraphError::Endless { graph: graph(), node });
        }
        Ok(Graph { of, built: self })
    }
}

impl<S: Serialize + DeserializeOwned + Send> Step for Graph<S> {
    type Input = S;
    type Output = S;

    fn run(&self, state: S, scope: &mut Scope<'_>) -> Result<S, ChainError> {
        let path = scope.next(&self.built.name);
        scope.within(path, |scope| self.walk(state, scope))
    }

    fn shape(&self) -> Shape {
        let graph = &self.built;
        let edges = graph.nodes.iter().flat_map(|node| {
            node.way.to.iter().map(|(to, when)| Edge {
                from: node.name.clone(),
                to: to.clone(),
                when: when.clone(),
            })
        });
        Shape::Graph {
            name: graph.name.clone(),
            start: graph.start.clone(),
            nodes: graph.nodes.iter().map(|node| (node.name.clone(), node.step.shape())).collect(),
            edges: edges.collect(),
            bounds: (graph.visits, graph.steps),
        }
    }
}

impl<S: Serialize + DeserializeOwned + Send> Graph<S> {
    fn walk(&self, mut state: S, scope: &mut Scope<'_>) -> Result<S, ChainError> {
        let graph = &self.built;
        let mut visits = vec![0; graph.nodes.len()];
        let mut at = self.of[&graph.start];
        for steps in 1.. {
            let node = &graph.nodes[at];
            visits[at] += 1;
            let path = scope.next(&node.name);
            state = scope.within(path, |scope| node.step.run(state, scope))?;
            let open = |name: &str| match self.of.get(name) {
                Some(&n) => visits[n] < graph.visits && steps < graph.steps,
                None => true,
            };
            let to = self.choose(node, &state, open, scope)?;
            match self.of.get(&to) {
                Some(&next) => at = next,
                None => break,
            }
        }
        Ok(state)
    }

    /// Where it goes from a node: to something that is open, or nowhere.
    fn choose(
        &self,
        node: &Node<S>,
        state: &S,
        open: impl Fn(&str) -> bool,
        scope: &mut Scope<'_>,
    ) -> Result<String, ChainError> {
        let (visits, steps) = (self.built.visits, self.built.steps);
        let bound = |to: &str| {
            let what = format!(
                "no way on from {:?} to {to:?}: a node is visited {visits} times at most, all together {steps}",
                node.name
            );
            StepError::Bound(what)
        };
        let name = format!("{}?", node.name);
        let value = |error: serde_json::Error| ChainError::Value {
            path: name.clone(),
            what: error.to_string(),
        };
        let shown = serde_json::to_value(state).map_err(value)?;
        scope.leaf(&name, Effect::Read, &shown, |live| {
            let ways: Vec<&(String, String)> =
                node.way.to.iter().filter(|(name, _)| open(name)).collect();
            let all = || node.way.to.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>();
            let to = match (&node.way.by, ways.as_slice()) {
                (_, []) => return Err(bound(&all().join(", "))),
                (By::Function(choose), _) => {
                    let to = choose(state);
                    if !node.way.to.iter().any(|(name, _)| *name == to) {
                        let all = all().join(", ");
                        let what = format!("{to:?} is no way from {:?}: {all}", node.name);
                        return Err(StepError::Failed(what));
                    }
                    if !open(&to) {
                        return Err(bound(&to));
                    }
                    to
                }
                (By::Model(llm, question), [_, _, ..]) => ask(llm, &question(state), &ways, live)?,
                // Nothing is left to be asked.
                (By::Itself | By::Model(..), [(to, _), ..]) => to.clone(),
            };
            live.chosen(to.clone());
            Ok(to)
        })
    }
}

/// One of the ways, as the model says under a schema that has no other.
fn ask(
    llm: &Llm,
    question: &str,
    ways: &[&(String, String)],
    live: &mut Live<'_>,
) -> Result<String, StepError> {
    let mut prompt = format!("{question}\n\nChoose what comes next:\n");
    for (name, when) in ways {
        // A name is quoted: whatever is in it, it is one line of the list.
        let line = match when.as_str() {
            "" => format!("- {}\n", Value::from(name.as_str())),
            when => format!("- {}: {when}\n", Value::from(name.as_str())),
        };
        // A string takes everything.
        let _ = prompt.write_str(&line);
    }
    prompt.push_str("\nAnswer as JSON: {\"next\": \"…\"}");
    let names: Vec<&str> = ways.iter().map(|(name, _)| name.as_str()).collect();
    let schema = json!({
        "type": "object",
        "properties": {"next": {"type": "string", "enum": names}},
        "required": ["next"],
        "additionalProperties": false,
    });
    let request =
        Request { format: Format::Schema(schema), ..Request::new("", [Message::user(prompt)]) };
    let said = answer(llm, request, live)?.text;
    // Who answers elsewhere may not keep to a schema.
    let next = serde_json::from_str::<Value>(&said).ok();
    let next = next.as_ref().and_then(|next| next["next"].as_str());
    match next.filter(|next| names.contains(next)) {
        Some(next) => Ok(next.to_owned()),
        None => Err(StepError::Answer(format!("{said:?} is none of {}", names.join(", ")))),
    }
}
