//! Tokens in, tokens out: loaded models, sessions, sampling, constrained generation.
