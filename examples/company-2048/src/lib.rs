//! A small company writes the game 2048: a document, code, a review, twenty rule tests, and what they
//! find is mended. [`task`] says what is wanted, [`RustBench`] builds and tests what was written, and
//! [`scripted`] is a company whose roles are functions, for tests.

mod bench;
pub mod scripted;

use ondine::app::company::Task;

pub use bench::RustBench;

/// The twenty rules, as tests.
pub const RULES: &str = include_str!("../assets/rules.rs");

/// What is wanted.
pub fn task() -> Task {
    Task {
        name: "game 2048".into(),
        wanted: "Make the game 2048: a board of four by four cells, tiles that are powers of two, pushed \
                 to an edge, where two equal neighbours become one of twice their value. A merged tile \
                 does not merge again in the same push, and merges begin at the edge that tiles are \
                 pushed to. A merge scores the new tile. After a push that changed something a new tile \
                 comes on an empty cell: a 2, or one time in ten a 4. The game is over when no push \
                 changes anything, and won when a tile is 2048 or more."
            .into(),
        interface: "One Rust file without dependencies, for a `no_std` crate: `core` alone, no `unsafe`, \
                    no macros that read files.\n\
                    pub type Board = [[u32; 4]; 4]; // rows of columns, 0 is empty\n\
                    pub enum Direction { Left, Right, Up, Down } // Clone, Copy\n\
                    pub fn slide(board: &Board, direction: Direction) -> (Board, u32) // and the points\n\
                    // random(n) gives one of 0..n: first which of the empty cells, row by row, then one of \
                    0..10, where 0 means a 4\n\
                    pub fn spawn(board: &mut Board, random: &mut dyn FnMut(u32) -> u32) -> bool\n\
                    pub fn is_over(board: &Board) -> bool\n\
                    pub fn has_won(board: &Board) -> bool\n\
                    pub struct Game { pub board: Board, pub score: u32 }\n\
                    impl Game { pub fn new(random: &mut dyn FnMut(u32) -> u32) -> Game; // two tiles\n\
                    pub fn play(&mut self, direction: Direction, random: &mut dyn FnMut(u32) -> u32) -> bool }"
            .into(),
        document: "docs/rules.md".into(),
        code: "src/game.rs".into(),
        rounds: 3,
    }
}
