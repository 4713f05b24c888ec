//! Unpaired CT translation with a residual CycleGAN.
