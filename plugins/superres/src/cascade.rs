use isoscan_learned::Failure;
use isoscan_nn::{Error, Net};
use isoscan_sdk::{Params, PluginError};
use tch::{Kind, Tensor};

use crate::{
    Doubling, Forward,
    doubling::{Ready, refined},
    factors_of,
};

/// A network that doubles axes, and what it learned.
#[derive(Debug)]
pub struct Trained {
    /// Factors z, y, x of its training.
    pub factors: [i64; 3],
    /// The network.
    pub network: Net<Doubling>,
}

/// A volume `[1, 1, z, y, x]` on the grid of the parameter `scale`: x and y by the network that learned in-plane, then z by
/// the one that learned through-plane, each of mean 0 and standard deviation 1.
///
/// A network alone doubles every axis. Of several that learned an axis the first serves.
///
/// # Errors
/// [`Failure`] when there is no network, or the parameter is unknown.
pub(crate) fn enlarged(
    networks: &[Trained],
    image: &Tensor,
    params: &Params,
    ready: Ready<'_>,
) -> Result<Tensor, Failure> {
    let [z, y, x] = factors(params)?;
    let [mean, deviation] = statistics(image)?;
    let mut made = image.f_sub(&mean)?.f_div(&deviation)?;
    for part in [[1, y, x], [z, 1, 1]] {
        if part != [1; 3] {
            made = refined(&chosen(networks, part)?.network, &made, part, ready)?;
        }
    }
    Ok(made.f_mul(&deviation)?.f_add(&mean)?)
}

/// [`enlarged`], and taken back to what was measured where the parameter `consistency` asks for it.
///
/// # Errors
/// As [`enlarged`].
pub(crate) fn translated(
    networks: &[Trained],
    image: &Tensor,
    params: &Params,
    ready: Ready<'_>,
) -> Result<Tensor, Failure> {
    let made = enlarged(networks, image, params, ready)?;
    if params.choice("consistency")? == "off" {
        return Ok(made);
    }
    let forward = Forward::of(params.choice("forward")?);
    Ok(forward.projected(&made, image, factors(params)?)?.f_to_kind(Kind::Float)?)
}

/// Mean and standard deviation of each item of a batch, `[batch, 1, 1, 1, 1]`; the deviation of a constant one is tiny.
pub(crate) fn statistics(image: &Tensor) -> Result<[Tensor; 2], Error> {
    let axes = &[1_i64, 2, 3, 4][..];
    let wide = image.f_to_kind(Kind::Double)?;
    let mean = wide.f_mean_dim(axes, true, Kind::Double)?;
    let deviation = wide.f_sub(&mean)?.f_square()?.f_mean_dim(axes, true, Kind::Double)?.f_sqrt()?;
    Ok([mean.f_to_kind(Kind::Float)?, deviation.f_clamp_min(1e-6)?.f_to_kind(Kind::Float)?])
}

/// Factors z, y, x of the parameter `scale`.
fn factors(params: &Params) -> Result<[i64; 3], PluginError> {
    let word = params.choice("scale")?;
    let [x, y, z] = factors_of(word).ok_or_else(|| PluginError::invalid(format_args!("unknown scale {word}")))?;
    Ok([z, y, x].map(|factor| factor as i64))
}

fn chosen(networks: &[Trained], part: [i64; 3]) -> Result<&Trained, PluginError> {
    let learned = |one: &&Trained| (0..3).any(|axis| one.factors[axis] > 1 && part[axis] > 1);
    let found = networks.iter().find(learned).or(networks.first());
    found.ok_or_else(|| PluginError::failed("the bundle has no weights"))
}
