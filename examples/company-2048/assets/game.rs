//! The game 2048, as the scripted writer knows it: parts that it puts together and puts in place.

// part: board
/// (rows, columns); 0 is an empty cell.
pub type Board = [[u32; 4]; 4];

/// Where tiles are pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Left,
    Right,
    Up,
    Down,
}

// part: merge
/// A lane pushed to its beginning, and the points.
fn merge(lane: [u32; 4]) -> ([u32; 4], u32) {
    let (mut out, mut at, mut points) = ([0; 4], 0, 0);
    let mut merged = false;
    for tile in lane {
        if tile == 0 {
            continue;
        }
        if at > 0 && out[at - 1] == tile && !merged {
            out[at - 1] = tile * 2;
            points += tile * 2;
            merged = true;
        } else {
            out[at] = tile;
            at += 1;
            merged = false;
        }
    }
    (out, points)
}

// part: cell
/// The place of the cell `k` of the lane `n`, counted from the edge that tiles are pushed to.
fn cell(direction: Direction, n: usize, k: usize) -> (usize, usize) {
    match direction {
        Direction::Left => (n, k),
        Direction::Right => (n, 3 - k),
        Direction::Up => (k, n),
        Direction::Down => (3 - k, n),
    }
}

// part: slide
/// The board after a push, and the points.
pub fn slide(board: &Board, direction: Direction) -> (Board, u32) {
    let (mut out, mut points) = (*board, 0);
    for n in 0..4 {
        let mut lane = [0; 4];
        for k in 0..4 {
            let (row, column) = cell(direction, n, k);
            lane[k] = board[row][column];
        }
        let (lane, more) = merge(lane);
        for k in 0..4 {
            let (row, column) = cell(direction, n, k);
            out[row][column] = lane[k];
        }
        points += more;
    }
    (out, points)
}

// part: spawn
/// Puts a tile on an empty cell; `false` where there is none.
pub fn spawn(board: &mut Board, random: &mut dyn FnMut(u32) -> u32) -> bool {
    let empty = board.iter().flatten().filter(|tile| **tile == 0).count() as u32;
    if empty == 0 {
        return false;
    }
    let nth = random(empty) as usize;
    let new = if random(10) == 0 { 4 } else { 2 };
    if let Some(tile) = board.iter_mut().flatten().filter(|tile| **tile == 0).nth(nth) {
        *tile = new;
    }
    true
}

// part: over
/// Whether no push changes anything.
pub fn is_over(board: &Board) -> bool {
    let all = [Direction::Left, Direction::Right, Direction::Up, Direction::Down];
    all.iter().all(|direction| slide(board, *direction).0 == *board)
}

// part: won
/// Whether a tile is large enough.
pub fn has_won(board: &Board) -> bool {
    board.iter().flatten().any(|tile| *tile >= 2048)
}

// part: game
/// A board and what was scored.
pub struct Game {
    pub board: Board,
    pub score: u32,
}

impl Game {
    /// A new game.
    pub fn new(random: &mut dyn FnMut(u32) -> u32) -> Game {
        let mut board = [[0; 4]; 4];
        spawn(&mut board, random);
        spawn(&mut board, random);
        Game { board, score: 0 }
    }

    /// Pushes, and puts a new tile where that changed something; whether it did.
    pub fn play(&mut self, direction: Direction, random: &mut dyn FnMut(u32) -> u32) -> bool {
        let (board, points) = slide(&self.board, direction);
        if board == self.board {
            return false;
        }
        self.board = board;
        self.score += points;
        spawn(&mut self.board, random);
        true
    }
}
