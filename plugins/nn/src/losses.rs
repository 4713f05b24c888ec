mod adversarial;
mod pixel;
mod similarity;
mod spectrum;

pub use adversarial::{Adversarial, gradient_penalty, least_squares};
pub use pixel::{
    absolute_difference, charbonnier, gradient_difference, haar_difference, masked_absolute_difference, total_variation,
};
pub use similarity::{SsimWindow, ms_ssim, ssim};
pub use spectrum::{flat_regions, log_magnitude_difference, noise_power_difference, spectrum_difference};
