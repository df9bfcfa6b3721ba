//! A small trained model tells its story, token by token as llama.cpp tells it.

use std::fs::File;
use std::path::Path;

use ondine_engine::{
    Engine, EngineOptions, FinishReason, GenerateOptions, Sampling, SessionOptions,
};
use ondine_format::gguf;
use ondine_tensor::{Bytes, Isa};

const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/stories260k.gguf");

/// Greedy continuations of llama.cpp (llama-cpp-python 0.3.36; 32-bit weights, 16-bit cache): of the
/// beginning-of-text token alone, of "One day, a dog", and of "Tom had a big red ball". Each is cut
/// before the first place where llama.cpp's own two best logits are closer than 0.02 (of a spread of
/// 24): there the order in which floats are added decides, and llama.cpp itself answers otherwise
/// when the same tokens come as one batch.
#[rustfmt::skip]
const STORIES: &[(&[u32], &[u32])] = &[
    (&[1], &[
        403, 407, 261, 378, 432, 383, 286, 261, 376, 298, 315, 421, 395, 317, 426, 338, 401, 396,
        267, 337, 410, 408, 419, 292, 411, 322, 265, 282, 295, 433, 426, 385, 328, 432, 358, 394,
        261, 370, 432, 352, 266, 268, 388, 426, 338, 391, 266, 267, 337, 335, 312, 432, 398, 312,
        286, 267, 414, 270, 333, 415, 426, 13, 438, 310, 439, 419, 357, 336, 432, 313, 438, 310,
        432, 278, 316, 439, 419, 298, 414, 267, 265, 282, 295, 433, 426, 436, 317, 286, 296, 418,
        269, 279, 292, 416, 439, 413, 409, 416, 327, 263, 415, 294, 267, 400, 426, 338, 336, 432,
        313, 442, 391, 267, 337, 335, 364, 420, 268, 388, 432, 398, 359, 280, 303, 439, 413, 272,
        417, 264, 312, 426, 436, 13, 438, 310, 286, 296, 418, 269, 279, 292, 416, 439, 413, 409,
        416, 327, 263, 415, 294, 267, 400, 426, 338, 336, 432, 313, 442, 439, 423, 262, 304, 420,
        422, 432, 317, 426, 359, 279, 292, 416, 439, 413, 409, 416, 327, 263, 415, 294, 267, 400,
        426, 436, 13, 438, 310,
    ]),
    (&[1, 385, 328, 432, 261, 400, 428], &[
        395, 301, 427, 309, 263, 377, 267, 265, 282, 295, 433, 335, 345, 357, 426, 342, 394, 261,
        370, 268, 414, 444, 335, 261, 370, 268, 414, 444, 426, 301, 427, 309, 286, 399, 393, 426,
        346, 391, 266, 267, 337, 335, 265, 268, 414, 444, 426, 346, 391, 266, 267, 337, 335, 265,
        268, 414, 444, 426, 13, 437, 427, 309, 336, 432, 313, 446, 287, 432, 280, 303, 359, 337,
        335, 364, 420, 268, 388, 450, 436, 301, 427, 309, 336, 432, 313, 452, 406, 432, 359, 280,
        303, 281, 421, 427, 364, 426, 436, 301, 427, 309, 286, 393, 267, 281, 421, 427, 265, 268,
        414, 422, 426, 342, 337, 266, 267, 428, 316, 386, 269, 381, 272, 379, 426, 13, 447, 419,
        366, 337, 266, 432, 366, 394, 261, 370, 268, 388, 426, 291, 268, 414, 444, 286, 297, 309,
        262, 429, 295, 266, 426, 291, 268, 414, 422, 286, 296, 418, 426, 346, 391, 266, 267,
    ]),
    (&[1, 274, 287, 381, 261, 370, 352, 266, 268, 388], &[
        426, 346, 397, 355, 267, 337, 335, 345, 268, 388, 426, 346, 397, 355, 267, 337, 335, 345,
        268, 388, 426, 346, 397, 355, 267, 337, 335, 345, 268, 388, 426, 346, 397, 355, 267, 337,
        335, 345, 268, 388, 426, 13, 441, 416, 411, 328, 432, 274, 287, 394, 261, 370, 268, 388,
        426, 346, 391, 266, 267, 337, 335, 312, 426, 346, 391, 266, 267, 337, 335, 265, 268, 388,
        426, 346, 391, 266, 267, 337, 335, 265, 268, 388, 426, 346, 391, 266, 267, 337, 335, 265,
        268, 388, 426, 13, 434, 287, 336, 432, 313, 442, 391, 267, 337, 335, 265, 268, 388, 426,
        359, 413, 410, 293, 297, 309, 261, 268, 388, 426, 436, 13, 434, 287, 336, 432, 313, 452,
        406, 432, 359, 280, 303, 281, 421, 427, 364, 426, 359, 263, 290, 421, 272, 417, 264, 312,
        426, 436,
    ]),
];

fn engine(threads: usize, isa: Isa) -> Option<std::sync::Arc<Engine>> {
    if !Path::new(MODEL).exists() {
        println!("skipped: no model at {MODEL}");
        return None;
    }
    let file = gguf::read(Bytes::map(&File::open(MODEL).unwrap()).unwrap()).unwrap();
    Some(Engine::load(&file, EngineOptions { threads, isa, ..EngineOptions::default() }).unwrap())
}

fn greedy(max_tokens: usize) -> GenerateOptions {
    let max_tokens = Some(max_tokens);
    GenerateOptions { sampling: Sampling::greedy(), max_tokens, ..Default::default() }
}

#[test]
fn the_story_is_the_one_that_llama_cpp_tells() {
    // Every instruction set alone, and the best one with a second thread.
    let computers = Isa::available().map(|isa| (1, isa)).chain([(2, Isa::best())]);
    for (threads, isa) in computers {
        let Some(engine) = engine(threads, isa) else { return };
        for (prompt, wanted) in STORIES {
            let mut session = engine.session(SessionOptions::default()).unwrap();
            session.sync(prompt).unwrap();
            let told: Vec<u32> = session
                .generate(greedy(wanted.len()))
                .unwrap()
                .map(|step| step.unwrap().token)
                .collect();
            assert_eq!(told, *wanted, "{isa}, {threads} threads");
        }
    }
}

#[test]
fn it_reads_as_a_story_and_ends_where_it_is_told_to() {
    let Some(engine) = engine(1, Isa::best()) else { return };
    let mut session = engine.session(SessionOptions::default()).unwrap();
    let prompt = engine.encode_text("Once upon a time").unwrap();
    assert_eq!(prompt, [1, 403, 407, 261, 378]);
    session.sync(&prompt).unwrap();
    let mut generation = session
        .generate(GenerateOptions { stop: vec!["named Lily".into()], ..greedy(100) })
        .unwrap();
    let told: String = generation.by_ref().map(|step| step.unwrap().text).collect();
    assert_eq!(told, ", there was a little girl ");
    assert_eq!(generation.finish(), Some(FinishReason::Stop));
}
