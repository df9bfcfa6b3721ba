//! Drawings of hostile names, of circles and of nothing.

use super::layout::{Gaps, Size, place};
use super::text::{clean, lines, width};
use super::*;

const HOSTILE: [&str; 9] = [
    "</text><script>alert(1)</script>",
    "\"]; click n0 \"javascript:alert(1)\"",
    "a\nb\0c\u{7}d\u{FFFF}",
    "\u{202E}desrever\u{2066}",
    "`**bold**` %%{init: {}}%% --> end",
    "]]>&amp;<![CDATA[",
    "",
    "WWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWW",
    "一个非常长的节点名称，长到一行放不下，所以必须换行，而且最后还要省略掉剩下的文字内容，不然就太宽了",
];

fn hostile() -> Drawing {
    let mut drawing = Drawing::new(HOSTILE[0]);
    let nodes: Vec<NodeId> = HOSTILE.iter().map(|name| drawing.node(*name, Form::Plain)).collect();
    for (pair, label) in nodes.windows(2).zip(HOSTILE) {
        drawing.edge(pair[0], pair[1], label);
    }
    drawing
}

#[test]
fn a_name_is_text_and_nothing_else() {
    let svg = hostile().svg();
    for word in ["<script", "javascript:\"", "\u{202E}", "\0", "\u{FFFF}", "<![CDATA"] {
        assert!(!svg.contains(word), "{word:?} in {svg}");
    }
    // Every tag is one that the drawing writes itself.
    let own = [
        "svg", "/svg", "title", "/title", "style", "/style", "defs", "/defs", "marker", "/marker",
        "path", "rect", "text", "/text",
    ];
    for tag in svg.split('<').skip(1) {
        let name = tag.split([' ', '>']).next().unwrap();
        assert!(own.contains(&name), "{name:?}");
    }
    assert_eq!(svg.matches("<text").count(), svg.matches("</text>").count());

    for line in hostile().mermaid().lines().skip(1) {
        // Whatever stands between the quotes is letters, digits, blanks and numbered characters.
        let quotes = line.matches('"').count();
        assert!(quotes == 2 || (quotes == 0 && line.contains("-->")), "{line}");
        if let Some(inside) = line.split('"').nth(1) {
            let odd = |c: &char| c.is_ascii_punctuation() && !matches!(c, '#' | ';');
            assert_eq!(inside.chars().find(odd), None, "{line}");
        }
    }
}

#[test]
fn no_line_is_wider_than_its_box_and_no_name_taller_than_three() {
    for name in HOSTILE {
        let (lines, most) = lines(name);
        assert!((1..=3).contains(&lines.len()), "{name:?}: {lines:?}");
        assert!(most <= 1400 + 140, "{name:?}: {most}");
        assert!(lines.iter().all(|line| width(line) <= most), "{lines:?}");
    }
    assert!(lines(HOSTILE[8]).0.last().unwrap().ends_with('…'));
    assert_eq!(clean("  a \t\n b "), "a b");
}

#[test]
fn boxes_do_not_overlap_and_arrows_go_down_but_in_circles() {
    let mut seed = 1_u64;
    let mut random = |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % below
    };
    for round in 0..60 {
        let count = 1 + random(14);
        let sizes: Vec<Size> = (0..count)
            .map(|_| Size { width: 40.0 + random(200) as f64, height: 30.0 + random(40) as f64 })
            .collect();
        let arrows: Vec<(usize, usize)> =
            (0..random(2 * count + 1)).map(|_| (random(count), random(count))).collect();
        let placed = place(&sizes, &arrows, Gaps { beside: 20.0, below: 40.0 });
        for a in 0..count {
            let (x, y) = placed.boxes[a];
            let (w, h) = (sizes[a].width / 2.0, sizes[a].height / 2.0);
            assert!(x - w > -0.01 && x + w < placed.width + 0.01, "round {round}");
            assert!(y - h > -0.01 && y + h < placed.height + 0.01, "round {round}");
            for (b, other) in sizes.iter().enumerate().take(a) {
                let (dx, dy) = ((x - placed.boxes[b].0).abs(), (y - placed.boxes[b].1).abs());
                let apart =
                    dx >= w + sizes[b].width / 2.0 + 19.9 || dy >= h + other.height / 2.0 + 0.1;
                assert!(apart, "round {round}: {a} on {b}");
            }
        }
        for (&(from, to), path) in arrows.iter().zip(&placed.paths) {
            assert_eq!(path[0], placed.boxes[from]);
            assert_eq!(*path.last().unwrap(), placed.boxes[to]);
            let down = path.windows(2).all(|pair| pair[1].1 > pair[0].1);
            let up = path.windows(2).all(|pair| pair[1].1 < pair[0].1);
            assert!(down || up, "round {round}: {path:?}");
        }
    }
}

#[test]
fn nothing_is_drawn_as_nothing() {
    let empty = Drawing::new("");
    assert!(empty.is_empty() && empty.svg().ends_with("</svg>\n"));
    assert_eq!(empty.mermaid(), "flowchart TD\n");
}
