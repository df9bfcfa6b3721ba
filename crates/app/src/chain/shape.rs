//! How a chain is built: what its fingerprint and its picture are made from.

use serde::Serialize;

use super::record::digest;
use crate::drawing::{Drawing, Form, NodeId};
use crate::tool::Effect;

/// What a small step is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A function.
    Function,
    /// A question to a model.
    Model,
    /// The same, with a typed answer.
    Typed,
    /// A tool.
    Tool,
    /// Whoever finds passages.
    Retriever,
}

/// A way from one node of a graph to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Edge {
    /// The node's name.
    pub from: String,
    /// The other's.
    pub to: String,
    /// When it is taken; empty where always.
    pub when: String,
}

/// How a step is built.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// A small step.
    Step {
        /// Its name.
        name: String,
        /// What it is.
        kind: Kind,
        /// What it changes.
        effect: Effect,
    },
    /// A function between two steps, which is not one itself.
    Map,
    /// One after the other.
    Then(Vec<Shape>),
    /// Several at once.
    Parallel {
        /// Its name.
        name: String,
        /// In their order.
        branches: Vec<Shape>,
    },
    /// The same for each of several inputs.
    Each {
        /// Its name.
        name: String,
        /// What is done with each.
        step: Box<Shape>,
    },
    /// One of several.
    Branch {
        /// Its name.
        name: String,
        /// When, and what.
        arms: Vec<(String, Shape)>,
    },
    /// Again where it has no result.
    Retry {
        /// Tries in all.
        times: u32,
        /// What is tried.
        step: Box<Shape>,
    },
    /// Something else where it has no result.
    Fallback {
        /// What is tried.
        first: Box<Shape>,
        /// What is done instead.
        second: Box<Shape>,
    },
    /// Nodes, and ways between them.
    Graph {
        /// Its name.
        name: String,
        /// Where it begins.
        start: String,
        /// Names and what is done there.
        nodes: Vec<(String, Shape)>,
        /// The ways.
        edges: Vec<Edge>,
        /// Visits of one node, and of all together, at most.
        bounds: (usize, usize),
    },
}

/// Ends that go on to what comes next, and what is written beside the way.
type Ends = Vec<(NodeId, String)>;

impl Shape {
    pub(super) fn step(name: &str, kind: Kind, effect: Effect) -> Shape {
        Shape::Step { name: name.to_owned(), kind, effect }
    }

    /// The same for the same shape, and another for another.
    pub fn fingerprint(&self) -> u64 {
        // Names, numbers and lists always go into JSON.
        digest(&serde_json::to_value(self).unwrap_or_default())
    }

    /// Adds it to a drawing, after what has these ends, and gives its own.
    pub(crate) fn draw(&self, drawing: &mut Drawing, from: Ends) -> Ends {
        let join = |drawing: &mut Drawing, from: Ends, node: NodeId| {
            from.into_iter().for_each(|(end, when)| drawing.edge(end, node, when));
        };
        match self {
            Shape::Map => from,
            Shape::Step { name, kind, effect } => {
                let form = match kind {
                    _ if *effect == Effect::Irreversible => Form::Irreversible,
                    Kind::Model | Kind::Typed => Form::Model,
                    Kind::Tool | Kind::Retriever => Form::Tool,
                    Kind::Function => Form::Plain,
                };
                let node = drawing.node(name, form);
                join(drawing, from, node);
                vec![(node, String::new())]
            }
            Shape::Then(parts) => parts.iter().fold(from, |ends, part| part.draw(drawing, ends)),
            Shape::Parallel { name, branches } => {
                let node = drawing.node(name, Form::Fork);
                join(drawing, from, node);
                let begin = || vec![(node, String::new())];
                if branches.is_empty() {
                    return begin();
                }
                branches.iter().flat_map(|branch| branch.draw(drawing, begin())).collect()
            }
            Shape::Each { name, step } => {
                let node = drawing.node(name, Form::Fork);
                join(drawing, from, node);
                step.draw(drawing, vec![(node, "each".to_owned())])
            }
            Shape::Branch { name, arms } => {
                let node = drawing.node(name, Form::Choice);
                join(drawing, from, node);
                let begin = |when: &String| vec![(node, when.clone())];
                arms.iter().flat_map(|(when, arm)| arm.draw(drawing, begin(when))).collect()
            }
            Shape::Retry { times, step } => {
                let first = drawing.len();
                let ends = step.draw(drawing, from);
                // The first node of a part is the one by which it is entered.
                if let (Some(entry), true) = (drawing.id(first), *times > 1) {
                    for (end, _) in &ends {
                        drawing.dashed(*end, entry, format!("again, {times} tries"));
                    }
                }
                ends
            }
            Shape::Fallback { first, second } => {
                let begins = drawing.len();
                let mut ends = first.draw(drawing, from.clone());
                let (entry, other) = (drawing.id(begins), drawing.len());
                match entry {
                    Some(entry) => {
                        let instead = second.draw(drawing, Vec::new());
                        if let Some(other) = drawing.id(other) {
                            drawing.dashed(entry, other, "if it fails".to_owned());
                        }
                        ends.extend(instead);
                    }
                    None => ends = second.draw(drawing, from),
                }
                ends
            }
            Shape::Graph { start, nodes, edges, .. } => {
                draw_graph(drawing, from, start, nodes, edges)
            }
        }
    }
}

/// Nodes by name. A node that is a single step is drawn as that; of one that is more, its name.
fn draw_graph(
    drawing: &mut Drawing,
    from: Ends,
    start: &str,
    nodes: &[(String, Shape)],
    edges: &[Edge],
) -> Ends {
    let mut ids = Vec::with_capacity(nodes.len());
    for (name, shape) in nodes {
        let chooses = edges.iter().filter(|edge| edge.from == *name).count() > 1;
        let form = match shape {
            _ if chooses => Form::Choice,
            Shape::Step { effect: Effect::Irreversible, .. } => Form::Irreversible,
            Shape::Step { kind: Kind::Model | Kind::Typed, .. } => Form::Model,
            Shape::Step { kind: Kind::Tool | Kind::Retriever, .. } => Form::Tool,
            _ => Form::Plain,
        };
        ids.push(drawing.node(name, form));
    }
    let id = |name: &str| nodes.iter().position(|(own, _)| own == name).map(|at| ids[at]);
    if let Some(start) = id(start) {
        from.into_iter().for_each(|(end, when)| drawing.edge(end, start, when));
    }
    let mut ends = Vec::new();
    for edge in edges {
        match (id(&edge.from), id(&edge.to)) {
            (Some(from), Some(to)) => drawing.edge(from, to, edge.when.clone()),
            (Some(from), None) => ends.push((from, edge.when.clone())),
            _ => {}
        }
    }
    ends
}
