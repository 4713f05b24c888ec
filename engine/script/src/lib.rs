//! The Rhai surface: the engine's verbs, typed and limited.
