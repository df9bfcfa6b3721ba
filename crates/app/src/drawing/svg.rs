//! A drawing as SVG: boxes, curves, and words that stay in their place. What a box stands for is not known.

use std::fmt::{Arguments, Write};

use super::layout::{Gaps, Size, place};
use super::text::{clean, lines, width};
use super::{Drawing, Form};

const FONT: f64 = 14.0;
const LABEL_FONT: f64 = 11.0;
const LINE: f64 = 18.0;
const MARGIN: f64 = 24.0;
/// How far an arrow from a box to itself stands out.
const LOOP: f64 = 40.0;
/// Room for the title, where there is one.
const TITLE: f64 = 34.0;

const STYLE: &str = "\
.paper{fill:#ffffff}text{font-family:system-ui,sans-serif;fill:#1b2430}\
.title{font-size:15px;font-weight:600}.name{font-size:14px;text-anchor:middle}\
.when{font-size:11px;text-anchor:middle;fill:#4a5a6d}.behind{fill:#ffffff;opacity:.85}\
.box{stroke-width:1.4}.end{fill:#1f5f8b;stroke:#1f5f8b}.on-end{fill:#ffffff}\
.plain{fill:#f3f5f8;stroke:#8795a6}.model{fill:#e3f1fb;stroke:#3d8ec2}\
.tool{fill:#e8f6ec;stroke:#4a9d66}.irreversible{fill:#fdeaea;stroke:#c94f4f}\
.choice{fill:#fff4dc;stroke:#c9962f}.fork{fill:#f0eafa;stroke:#8465bd}\
.way{fill:none;stroke:#6b7a8c;stroke-width:1.5}.dashed{stroke-dasharray:5 4}.tip{fill:#6b7a8c}\
@media(prefers-color-scheme:dark){.paper,.behind{fill:#12181f}text{fill:#e6ebf1}.when{fill:#a9b6c4}\
.plain{fill:#222c37}.model{fill:#14324a}.tool{fill:#173524}.irreversible{fill:#44201f}\
.choice{fill:#40331a}.fork{fill:#2d2442}}";

pub(super) fn draw(drawing: &Drawing) -> String {
    let labels: Vec<(Vec<String>, f64)> = drawing
        .nodes
        .iter()
        .map(|node| {
            let (lines, wide) = lines(&node.name);
            (lines, wide as f64 * FONT / 100.0)
        })
        .collect();
    let sizes: Vec<Size> = drawing
        .nodes
        .iter()
        .zip(&labels)
        .map(|(node, (lines, wide))| {
            // The slanted ends of a choice and a fork are outside the text.
            let ends = match node.form {
                Form::Choice | Form::Fork => 52.0,
                _ => 28.0,
            };
            Size { width: wide + ends, height: lines.len() as f64 * LINE + 18.0 }
        })
        .collect();
    let ways: Vec<(usize, usize)> =
        drawing.arrows.iter().map(|arrow| (arrow.from, arrow.to)).collect();
    let said: Vec<(Vec<String>, f64)> = drawing
        .arrows
        .iter()
        .map(|arrow| match arrow.label.trim() {
            "" => (Vec::new(), 0.0),
            label => {
                let (lines, wide) = lines(label);
                (lines, wide as f64 * LABEL_FONT / 100.0)
            }
        })
        .collect();
    // A label stands in the gap below the box that its arrow leaves.
    let tall = said.iter().map(|(lines, _)| lines.len()).max().unwrap_or(0);
    let widest = said.iter().map(|(_, wide)| *wide).fold(0.0, f64::max);
    let gaps = Gaps { beside: 26.0_f64.max(widest * 0.6), below: 44.0 + 14.0 * tall as f64 };
    // An arrow from a box to itself takes room beside it.
    let mut roomy = sizes.clone();
    for &(from, _) in ways.iter().filter(|(from, to)| from == to) {
        roomy[from].width = sizes[from].width + 2.0 * LOOP;
    }
    let placed = place(&roomy, &ways, gaps);

    let title = clean(&drawing.title);
    let wide_title = width(&title) as f64 * 15.0 / 100.0;
    // Words of the outermost arrows may stand out by half their width, those of an arrow from a box to
    // itself by all of it.
    let beside = ways.iter().zip(&said).map(|(&(from, to), (_, wide))| match from == to {
        true => placed.boxes[from].0 + sizes[from].width / 2.0 + wide + 16.0 - placed.width,
        false => wide / 2.0,
    });
    let side = MARGIN + beside.fold(0.0, f64::max);
    let wide = (placed.width + 2.0 * side).max(wide_title + 2.0 * MARGIN);
    let high = placed.height + TITLE + 2.0 * MARGIN;
    let (x0, y0) = ((wide - placed.width) / 2.0, MARGIN + TITLE);

    let mut out = String::new();
    put(
        &mut out,
        format_args!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{wide:.0}\" height=\"{high:.0}\" \
         viewBox=\"0 0 {wide:.0} {high:.0}\" role=\"img\"><title>{0}</title><style>{STYLE}</style>\
         <defs><marker id=\"tip\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"7\" \
         markerHeight=\"7\" orient=\"auto\"><path class=\"tip\" d=\"M0 0 8 4 0 8z\"/></marker></defs>\
         <rect class=\"paper\" width=\"100%\" height=\"100%\"/>\
         <text class=\"title\" x=\"{MARGIN}\" y=\"{1}\">{0}</text>\n",
            escaped(&title),
            MARGIN + 12.0,
        ),
    );
    let at = |(x, y): (f64, f64)| (x + x0, y + y0);
    let mut words = String::new();
    for (n, arrow) in drawing.arrows.iter().enumerate() {
        let points: Vec<(f64, f64)> = placed.paths[n].iter().map(|&point| at(point)).collect();
        // Where arrows between the same boxes have words, the words stand below each other.
        let before = drawing.arrows[..n].iter().filter(|other| {
            (other.from, other.to) == (arrow.from, arrow.to) && !other.label.is_empty()
        });
        let ends = (sizes[arrow.from], sizes[arrow.to]);
        let (curve, (x, y)) = curve(&points, ends);
        let dashed = if arrow.dashed { " dashed" } else { "" };
        put(
            &mut out,
            format_args!("<path class=\"way{dashed}\" marker-end=\"url(#tip)\" d=\"{curve}\"/>\n"),
        );
        let (lines, wide) = &said[n];
        let y = y + 14.0 * before.count() as f64;
        // Those of an arrow from a box to itself stand above it, to the right.
        let (x, y) = match arrow.from == arrow.to {
            true => (x + 10.0 + wide / 2.0, y - 7.0 * lines.len() as f64 - 2.0),
            false => (x, y),
        };
        label(&mut words, lines, *wide, (x, y));
    }
    for (n, node) in drawing.nodes.iter().enumerate() {
        shape(&mut out, node.form, at(placed.boxes[n]), sizes[n], &labels[n].0);
    }
    out.push_str(&words);
    out.push_str("</svg>\n");
    out
}

/// The curve through the points of an arrow, and where its words stand.
fn curve(points: &[(f64, f64)], (from, to): (Size, Size)) -> (String, (f64, f64)) {
    let mut out = String::new();
    let (Some(&first), Some(&last)) = (points.first(), points.last()) else {
        return (out, (0.0, 0.0));
    };
    if points.len() == 1 {
        let (x, y) = (first.0 + from.width / 2.0, first.1);
        put(
            &mut out,
            format_args!(
                "M{x:.1} {0:.1}C{1:.1} {2:.1} {1:.1} {3:.1} {x:.1} {4:.1}",
                y - 7.0,
                x + LOOP,
                y - 26.0,
                y + 26.0,
                y + 7.0,
            ),
        );
        return (out, (x, y - from.height / 2.0));
    }
    let downwards = if last.1 >= first.1 { 1.0 } else { -1.0 };
    // Arrows leave and enter at the boxes' lower and upper sides; those upwards a little to the right, so
    // that they do not lie on those downwards.
    let aside = if downwards > 0.0 { 0.0 } else { 12.0 };
    let start = (first.0 + aside, first.1 + downwards * from.height / 2.0);
    let end = (last.0 + aside, last.1 - downwards * (to.height / 2.0 + 1.0));
    let mut stops = vec![start];
    stops.extend(points[1..points.len() - 1].iter().map(|&(x, y)| (x + aside, y)));
    stops.push(end);
    put(&mut out, format_args!("M{:.1} {:.1}", start.0, start.1));
    for pair in stops.windows(2) {
        let ((x1, y1), (x2, y2)) = (pair[0], pair[1]);
        let bend = (y2 - y1) / 2.0;
        put(
            &mut out,
            format_args!("C{x1:.1} {:.1} {x2:.1} {:.1} {x2:.1} {y2:.1}", y1 + bend, y2 - bend,),
        );
    }
    let (x, y) = (f64::midpoint(stops[0].0, stops[1].0), f64::midpoint(stops[0].1, stops[1].1));
    (out, (x, y))
}

/// The words of an arrow, on something that keeps the arrow out of them.
fn label(out: &mut String, lines: &[String], wide: f64, (x, y): (f64, f64)) {
    if lines.is_empty() {
        return;
    }
    let tall = 14.0 * lines.len() as f64;
    let (left, top) = (x - wide / 2.0 - 3.0, y - tall / 2.0);
    put(
        out,
        format_args!(
            "<rect class=\"behind\" x=\"{left:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{tall:.1}\" \
         rx=\"3\"/>",
            wide + 6.0,
        ),
    );
    for (n, line) in lines.iter().enumerate() {
        let y = top + 14.0 * n as f64 + 10.5;
        put(
            out,
            format_args!(
                "<text class=\"when\" x=\"{x:.1}\" y=\"{y:.1}\">{}</text>\n",
                escaped(line),
            ),
        );
    }
}

/// A box and its name.
fn shape(out: &mut String, form: Form, (x, y): (f64, f64), size: Size, lines: &[String]) {
    let (class, round) = match form {
        Form::End => ("end", size.height / 2.0),
        Form::Plain => ("plain", 7.0),
        Form::Model => ("model", 7.0),
        Form::Tool => ("tool", 2.0),
        Form::Irreversible => ("irreversible", 2.0),
        Form::Choice => ("choice", 0.0),
        Form::Fork => ("fork", 0.0),
    };
    let (w, h) = (size.width / 2.0, size.height / 2.0);
    let (left, right, top, bottom) = (x - w, x + w, y - h, y + h);
    match form {
        Form::Choice | Form::Fork => {
            let slant = 18.0;
            put(
                out,
                format_args!(
                    "<path class=\"box {class}\" d=\"M{left:.1} {y:.1}L{:.1} {top:.1}H{:.1}L{right:.1} \
                 {y:.1}L{1:.1} {bottom:.1}H{0:.1}z\"/>",
                    left + slant,
                    right - slant,
                ),
            );
        }
        _ => put(
            out,
            format_args!(
                "<rect class=\"box {class}\" x=\"{left:.1}\" y=\"{top:.1}\" width=\"{:.1}\" \
             height=\"{:.1}\" rx=\"{round:.1}\"/>",
                size.width, size.height,
            ),
        ),
    }
    let on = if form == Form::End { " on-end" } else { "" };
    let begin = y - (lines.len() as f64 - 1.0) * LINE / 2.0 + 5.0;
    for (n, line) in lines.iter().enumerate() {
        put(
            out,
            format_args!(
                "<text class=\"name{on}\" x=\"{x:.1}\" y=\"{:.1}\">{}</text>\n",
                begin + LINE * n as f64,
                escaped(line),
            ),
        );
    }
}

fn put(out: &mut String, what: Arguments<'_>) {
    // A string takes everything.
    let _ = out.write_fmt(what);
}

/// Text as XML has it.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(c),
        }
    }
    out
}
