//! Network blocks, losses and trainers shared by the learned plugins.
