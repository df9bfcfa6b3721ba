//! Boxes and arrows as Mermaid and as SVG: the picture of a chain or a graph.
//!
//! It knows nothing of what is drawn. Names come from strangers: neither form lets one be anything but
//! text, and none is wider than its box.
//!
//! | module | what it holds |
//! |---|---|
//! | `text` | what is left of a name, in lines of a known width |
//! | `layout` | where boxes and arrows go: layers from top to bottom |
//! | `svg` | the picture |
//! | `mermaid` | the same as text |

mod layout;
mod mermaid;
mod svg;
mod text;

#[cfg(test)]
mod tests;

/// What a box looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Where it begins or ends.
    End,
    /// Anything that is done.
    Plain,
    /// A model is asked.
    Model,
    /// A tool, or whoever finds passages.
    Tool,
    /// Something that cannot be taken back.
    Irreversible,
    /// One way of several.
    Choice,
    /// Several ways at once.
    Fork,
}

/// A box of a [`Drawing`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeId(usize);

#[derive(Clone, Debug)]
struct Node {
    name: String,
    form: Form,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Arrow {
    from: usize,
    to: usize,
    label: String,
    dashed: bool,
}

/// Boxes and arrows.
#[derive(Clone, Debug)]
pub struct Drawing {
    title: String,
    nodes: Vec<Node>,
    arrows: Vec<Arrow>,
}

impl Drawing {
    /// An empty one.
    pub fn new(title: impl Into<String>) -> Drawing {
        Drawing { title: title.into(), nodes: Vec::new(), arrows: Vec::new() }
    }

    /// One more box.
    pub fn node(&mut self, name: impl Into<String>, form: Form) -> NodeId {
        self.nodes.push(Node { name: name.into(), form });
        NodeId(self.nodes.len() - 1)
    }

    /// One more arrow, with a word beside it.
    pub fn edge(&mut self, from: NodeId, to: NodeId, label: impl Into<String>) {
        self.arrow(from, to, label.into(), false);
    }

    /// The same, for what is not the usual way.
    pub fn dashed(&mut self, from: NodeId, to: NodeId, label: impl Into<String>) {
        self.arrow(from, to, label.into(), true);
    }

    fn arrow(&mut self, from: NodeId, to: NodeId, label: String, dashed: bool) {
        let arrow = Arrow { from: from.0, to: to.0, label, dashed };
        if !self.arrows.contains(&arrow) {
            self.arrows.push(arrow);
        }
    }

    /// How many boxes there are.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The `n`th box, counted from 0.
    pub(crate) fn id(&self, n: usize) -> Option<NodeId> {
        (n < self.nodes.len()).then_some(NodeId(n))
    }

    /// A picture that stands alone: SVG in light and dark, with no script, no font and no address in it.
    pub fn svg(&self) -> String {
        svg::draw(self)
    }

    /// The same for whoever draws Mermaid's flow charts.
    pub fn mermaid(&self) -> String {
        mermaid::draw(self)
    }
}
