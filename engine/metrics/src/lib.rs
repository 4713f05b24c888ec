//! Agreement and similarity statistics with their definitions named.
