//! The twenty rules of 2048, each as a test of the crate `game` that the company wrote.

use game::{Board, Direction, Game, has_won, is_over, slide, spawn};

const NONE: [u32; 4] = [0; 4];
/// Full, and no two neighbours alike.
const STUCK: Board = [[2, 4, 2, 4], [4, 2, 4, 2], [2, 4, 2, 4], [4, 2, 4, 2]];

fn left(row: [u32; 4]) -> ([u32; 4], u32) {
    let (board, points) = slide(&[row, NONE, NONE, NONE], Direction::Left);
    (board[0], points)
}

/// Numbers that somebody wrote down; the last one again and again.
fn given(numbers: &[u32]) -> impl FnMut(u32) -> u32 + use<'_> {
    let mut at = 0;
    move |below| {
        let number = numbers[at.min(numbers.len() - 1)];
        at += 1;
        number % below.max(1)
    }
}

fn tiles(board: &Board) -> usize {
    board.iter().flatten().filter(|tile| **tile != 0).count()
}

#[test]
fn rule_01_tiles_slide_to_the_edge() {
    assert_eq!(left([0, 0, 2, 0]).0, [2, 0, 0, 0]);
    assert_eq!(left([0, 2, 0, 4]).0, [2, 4, 0, 0]);
}

#[test]
fn rule_02_equal_neighbours_merge() {
    assert_eq!(left([2, 2, 0, 0]).0, [4, 0, 0, 0]);
}

#[test]
fn rule_03_a_merged_tile_does_not_merge_again_in_the_same_move() {
    assert_eq!(left([2, 2, 4, 0]).0, [4, 4, 0, 0]);
    assert_eq!(left([4, 4, 8, 16]).0, [8, 8, 16, 0]);
}

#[test]
fn rule_04_four_alike_become_two_pairs() {
    assert_eq!(left([2, 2, 2, 2]).0, [4, 4, 0, 0]);
}

#[test]
fn rule_05_of_three_alike_the_two_at_the_edge_merge() {
    assert_eq!(left([2, 2, 2, 0]).0, [4, 2, 0, 0]);
}

#[test]
fn rule_06_gaps_do_not_hinder_a_merge() {
    assert_eq!(left([2, 0, 0, 2]).0, [4, 0, 0, 0]);
}

#[test]
fn rule_07_different_tiles_do_not_merge() {
    assert_eq!(left([2, 4, 2, 4]), ([2, 4, 2, 4], 0));
}

#[test]
fn rule_08_a_move_to_the_right_begins_at_the_right_edge() {
    let (board, _) = slide(&[[2, 2, 2, 0], NONE, NONE, NONE], Direction::Right);
    assert_eq!(board[0], [0, 0, 2, 4]);
}

#[test]
fn rule_09_a_move_up_begins_at_the_upper_edge() {
    let (board, _) = slide(&[NONE, [0, 2, 0, 0], [0, 2, 0, 0], [0, 2, 0, 0]], Direction::Up);
    assert_eq!(board, [[0, 4, 0, 0], [0, 2, 0, 0], NONE, NONE]);
}

#[test]
fn rule_10_a_move_down_begins_at_the_lower_edge() {
    let (board, _) = slide(&[[0, 2, 0, 0], [0, 2, 0, 0], [0, 2, 0, 0], NONE], Direction::Down);
    assert_eq!(board, [NONE, NONE, [0, 2, 0, 0], [0, 4, 0, 0]]);
}

#[test]
fn rule_11_a_merge_scores_the_new_tile() {
    assert_eq!(left([2, 2, 0, 0]).1, 4);
    assert_eq!(left([0, 0, 1024, 1024]).1, 2048);
}

#[test]
fn rule_12_all_merges_of_a_move_score() {
    let (_, points) = slide(&[[2, 2, 4, 4], [8, 8, 0, 0], NONE, NONE], Direction::Left);
    assert_eq!(points, 4 + 8 + 16);
}

#[test]
fn rule_13_a_new_tile_comes_on_an_empty_cell() {
    for number in 0..16 {
        let mut board = STUCK;
        board[1][2] = 0;
        board[3][0] = 0;
        let before = board;
        assert!(spawn(&mut board, &mut given(&[number, 5])));
        assert_eq!(tiles(&board), 15);
        for (row, old) in board.iter().zip(&before) {
            for (tile, old) in row.iter().zip(old) {
                assert!(*old == 0 || tile == old, "a tile was written over: {board:?}");
            }
        }
    }
}

#[test]
fn rule_14_a_new_tile_is_a_two_or_one_time_in_ten_a_four() {
    let mut fours = 0;
    for number in 0..10 {
        let mut board = [NONE; 4];
        assert!(spawn(&mut board, &mut given(&[3, number])));
        let tile = *board.iter().flatten().find(|tile| **tile != 0).expect("a tile");
        assert!(tile == 2 || tile == 4, "{tile}");
        fours += u32::from(tile == 4);
    }
    assert_eq!(fours, 1);
}

#[test]
fn rule_15_nothing_comes_on_a_full_board() {
    let mut board = STUCK;
    assert!(!spawn(&mut board, &mut given(&[0])));
    assert_eq!(board, STUCK);
}

#[test]
fn rule_16_a_game_begins_with_two_tiles() {
    let game = Game::new(&mut given(&[0, 5, 0, 5]));
    assert_eq!((tiles(&game.board), game.score), (2, 0));
}

#[test]
fn rule_17_a_move_that_changes_nothing_is_none() {
    let board = [[2, 4, 0, 0], NONE, NONE, NONE];
    let mut game = Game { board, score: 7 };
    assert!(!game.play(Direction::Left, &mut given(&[0, 5])));
    assert_eq!((game.board, game.score), (board, 7));
    assert!(game.play(Direction::Right, &mut given(&[0, 5])));
    assert_eq!(tiles(&game.board), 3);
}

#[test]
fn rule_18_a_full_board_with_a_merge_left_is_not_over() {
    let mut board = STUCK;
    board[2][1] = 2;
    assert!(!is_over(&board));
    let mut board = STUCK;
    board[1][1] = 0;
    assert!(!is_over(&board));
}

#[test]
fn rule_19_a_full_board_without_a_merge_is_over() {
    assert!(is_over(&STUCK));
}

#[test]
fn rule_20_a_tile_of_2048_or_more_wins() {
    let with = |tile| {
        let mut board = STUCK;
        board[3][3] = tile;
        has_won(&board)
    };
    assert_eq!([1024, 2048, 4096].map(with), [false, true, true]);
}
