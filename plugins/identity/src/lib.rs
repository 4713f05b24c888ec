//! Returns the image unchanged: the control of every comparison.
