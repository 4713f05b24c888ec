//! Histogram matching: the classical baseline.
