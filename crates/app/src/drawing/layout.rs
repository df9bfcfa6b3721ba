//! Where boxes and arrows go: layers from top to bottom, in the manner of Sugiyama, Tagawa and Toda
//! (1981).
//!
//! ```text
//! turn the arrows around that close a circle        (depth first, in the order of the boxes)
//! give each box the layer below its lowest parent
//! give long arrows a place in every layer they cross
//! order each layer by the middle of its neighbours, downwards and upwards, some times
//! put each place as near to the middle of its neighbours as those beside it allow
//! ```

/// How many times the layers are put in order, and in place.
const SWEEPS: usize = 8;

/// A box as the layout sees it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    pub(super) width: f64,
    pub(super) height: f64,
}

/// What the layout says.
#[derive(Debug, Default)]
pub(super) struct Placed {
    /// The middle of each box.
    pub(super) boxes: Vec<(f64, f64)>,
    /// The points of each arrow, from its beginning to its end: the middles of what it passes. Two for
    /// neighbours; an arrow from a box to itself has that box's alone.
    pub(super) paths: Vec<Vec<(f64, f64)>>,
    pub(super) width: f64,
    pub(super) height: f64,
}

/// Room between places of a layer, and between layers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gaps {
    pub(super) beside: f64,
    pub(super) below: f64,
}

/// A place in a layer: a box, or where a long arrow passes.
struct Place {
    size: Size,
    x: f64,
}

/// Places boxes and arrows (`from`, `to`).
pub(super) fn place(boxes: &[Size], arrows: &[(usize, usize)], gaps: Gaps) -> Placed {
    if boxes.is_empty() {
        return Placed { paths: arrows.iter().map(|_| Vec::new()).collect(), ..Placed::default() };
    }
    let turned = turned(boxes.len(), arrows);
    let down: Vec<(usize, usize)> = arrows
        .iter()
        .zip(&turned)
        .map(|(&(from, to), &turned)| if turned { (to, from) } else { (from, to) })
        .collect();
    let layer_of = layers(boxes.len(), &down);

    let mut places: Vec<Place> = boxes.iter().map(|&size| Place { size, x: 0.0 }).collect();
    let deepest = layer_of.iter().copied().max().unwrap_or(0);
    let mut rows: Vec<Vec<usize>> = vec![Vec::new(); deepest + 1];
    for (n, &layer) in layer_of.iter().enumerate() {
        rows[layer].push(n);
    }
    // The places that an arrow goes through, from top to bottom.
    let mut through: Vec<Vec<usize>> = Vec::with_capacity(down.len());
    for &(from, to) in &down {
        let mut chain = vec![from];
        if from != to {
            for row in &mut rows[layer_of[from] + 1..layer_of[to]] {
                row.push(places.len());
                chain.push(places.len());
                places.push(Place { size: Size { width: 28.0, height: 0.0 }, x: 0.0 });
            }
            chain.push(to);
        }
        through.push(chain);
    }
    let (mut above, mut below) = (vec![Vec::new(); places.len()], vec![Vec::new(); places.len()]);
    for pair in through.iter().flat_map(|chain| chain.windows(2)) {
        below[pair[0]].push(pair[1]);
        above[pair[1]].push(pair[0]);
    }

    order(&mut rows, &above, &below, places.len());
    for row in &rows {
        pack(row, &mut places, &[], gaps.beside);
    }
    for sweep in 0..SWEEPS {
        let neighbours = if sweep % 2 == 0 { &above } else { &below };
        for at in 0..rows.len() {
            let at = if sweep % 2 == 0 { at } else { rows.len() - 1 - at };
            pack(&rows[at], &mut places, neighbours, gaps.beside);
        }
    }

    let left = |place: &Place| place.x - place.size.width / 2.0;
    let least = places.iter().map(left).fold(f64::INFINITY, f64::min);
    places.iter_mut().for_each(|place| place.x -= least);
    let mut middles = vec![0.0; places.len()];
    let mut y = 0.0;
    for row in &rows {
        let tall = row.iter().map(|&n| places[n].size.height).fold(0.0, f64::max);
        row.iter().for_each(|&n| middles[n] = y + tall / 2.0);
        y += tall + gaps.below;
    }
    let point = |&n: &usize| (places[n].x, middles[n]);
    let path = |(chain, &turned): (&Vec<usize>, &bool)| {
        let points = chain.iter().map(point);
        if turned { points.rev().collect() } else { points.collect() }
    };
    Placed {
        boxes: (0..boxes.len()).map(|n| point(&n)).collect(),
        paths: through.iter().zip(&turned).map(path).collect(),
        width: places.iter().map(|place| place.x + place.size.width / 2.0).fold(0.0, f64::max),
        height: y - gaps.below,
    }
}

/// Which arrows are turned around, so that none goes in a circle. One from a box to itself is not.
fn turned(boxes: usize, arrows: &[(usize, usize)]) -> Vec<bool> {
    let mut out = vec![Vec::new(); boxes];
    for (n, &(from, _)) in arrows.iter().enumerate() {
        out[from].push(n);
    }
    let mut turned = vec![false; arrows.len()];
    // 0: not seen, 1: on the way, 2: done.
    let mut state = vec![0_u8; boxes];
    for root in 0..boxes {
        if state[root] != 0 {
            continue;
        }
        state[root] = 1;
        let mut way = vec![(root, 0)];
        while let Some((at, next)) = way.last_mut() {
            let Some(&arrow) = out[*at].get(*next) else {
                state[*at] = 2;
                way.pop();
                continue;
            };
            *next += 1;
            let (from, to) = arrows[arrow];
            match state[to] {
                1 => turned[arrow] = from != to,
                0 => {
                    state[to] = 1;
                    way.push((to, 0));
                }
                _ => {}
            }
        }
    }
    turned
}

/// The layer of each box: below all its parents. `down` has no circles but boxes' own.
fn layers(boxes: usize, down: &[(usize, usize)]) -> Vec<usize> {
    let mut waits = vec![0_usize; boxes];
    let mut out = vec![Vec::new(); boxes];
    for &(from, to) in down.iter().filter(|(from, to)| from != to) {
        waits[to] += 1;
        out[from].push(to);
    }
    let mut layer = vec![0; boxes];
    let mut ready: Vec<usize> = (0..boxes).filter(|&n| waits[n] == 0).collect();
    while let Some(at) = ready.pop() {
        for &to in &out[at] {
            layer[to] = layer[to].max(layer[at] + 1);
            waits[to] -= 1;
            if waits[to] == 0 {
                ready.push(to);
            }
        }
    }
    layer
}

/// Puts each layer in order by the middle of its neighbours' positions.
fn order(rows: &mut [Vec<usize>], above: &[Vec<usize>], below: &[Vec<usize>], places: usize) {
    let mut position = vec![0.0; places];
    let note = |row: &[usize], position: &mut Vec<f64>| {
        for (at, &n) in row.iter().enumerate() {
            position[n] = at as f64;
        }
    };
    rows.iter().for_each(|row| note(row, &mut position));
    for sweep in 0..SWEEPS {
        let neighbours = if sweep % 2 == 0 { above } else { below };
        for at in 0..rows.len() {
            let at = if sweep % 2 == 0 { at } else { rows.len() - 1 - at };
            let wish = |n: &usize| mean(&neighbours[*n], &position).unwrap_or(position[*n]);
            let wishes: Vec<(f64, usize)> = rows[at].iter().map(|n| (wish(n), *n)).collect();
            let mut sorted = wishes;
            // Stable: what wishes for the same stays as it was.
            sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
            rows[at] = sorted.into_iter().map(|(_, n)| n).collect();
            note(&rows[at], &mut position);
        }
    }
}

fn mean(of: &[usize], values: &[f64]) -> Option<f64> {
    (!of.is_empty()).then(|| of.iter().map(|&n| values[n]).sum::<f64>() / of.len() as f64)
}

/// Puts a layer's places as near to the middle of their neighbours as their order and the gap allow: each
/// as far left as it may be and as far right, and between the two.
fn pack(row: &[usize], places: &mut [Place], neighbours: &[Vec<usize>], gap: f64) {
    let wish = |n: usize| {
        let near = neighbours.get(n).filter(|near| !near.is_empty());
        near.map_or(places[n].x, |near| {
            near.iter().map(|&other| places[other].x).sum::<f64>() / near.len() as f64
        })
    };
    let wishes: Vec<f64> = row.iter().map(|&n| wish(n)).collect();
    let apart = |a: usize, b: usize| (places[a].size.width + places[b].size.width) / 2.0 + gap;
    let (mut left, mut right) = (wishes.clone(), wishes);
    for at in 1..row.len() {
        left[at] = left[at].max(left[at - 1] + apart(row[at - 1], row[at]));
    }
    for at in (1..row.len()).rev() {
        right[at - 1] = right[at - 1].min(right[at] - apart(row[at - 1], row[at]));
    }
    for (at, &n) in row.iter().enumerate() {
        places[n].x = f64::midpoint(left[at], right[at]);
    }
}
