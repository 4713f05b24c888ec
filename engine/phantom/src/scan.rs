use std::f64::consts::PI;

use isoscan_imaging::{Error as ImagingError, Geometry, Modality, Unit, Volume};
use ndarray::Array3;
use rand_distr::{Distribution, StandardNormal};
use rayon::prelude::*;

use crate::projection::{Detector, Plane};
use crate::random::{Purpose, hash, keyed, poisson};
use crate::reconstruction::{Backprojection, ViewFilter};
use crate::{Anatomy, Error, Protocol};

/// Range of a 12-bit CT scale, HU; a scanner stores nothing outside it.
const STORED_HU: [f64; 2] = [-1024.0, 3071.0];

/// Scans a subject: the CT series, in HU, that the protocol's scanner would make of it.
///
/// For each slice:
/// 1. attenuation `μ = μ_water (1 + HU/1000)`, averaged along z over a rectangular slice profile as wide as the slice;
/// 2. ray sums `p = ∫ μ dl` of a parallel beam over 180° (what a fan beam gives after rebinning);
/// 3. counts `N = Poisson(N₀ e⁻ᵖ) + electronic noise`, at least one, and the measured `p = ln(N₀/N)`;
/// 4. backprojection of the views filtered with `|f|·MTF(f)` of the kernel;
/// 5. `HU = 1000 (μ - μ_water)/μ_water`, held in -1024..3071.
///
/// The beam has one energy: no beam hardening, no scatter, no tube current modulation. Noise is keyed by
/// `(seed, subject, protocol, slice, view)`; another `seed` is another scan of the same anatomy.
///
/// # Errors
/// [`Error::InvalidArgument`] when the protocol's numbers make no scan or no slice fits,
/// [`Error::TruthTooShort`] when slices reach beyond the truth, [`Error::Imaging`] when the truth is not in HU.
pub fn scan(anatomy: &Anatomy, protocol: &Protocol, seed: u64, subject: u32) -> Result<Volume, Error> {
    scan_truth(&anatomy.truth, anatomy.scan_geometry(protocol)?, protocol, seed, subject)
}

/// Scans a truth onto the slices of `geometry`.
fn scan_truth(
    truth: &Volume,
    geometry: Geometry,
    protocol: &Protocol,
    seed: u64,
    subject: u32,
) -> Result<Volume, Error> {
    protocol.check()?;
    if truth.unit() != Unit::Hounsfield {
        return Err(ImagingError::UnitMismatch { expected: Unit::Hounsfield, found: truth.unit() }.into());
    }
    let profiles = slice_profiles(truth.geometry(), &geometry, protocol.slice_thickness_mm)?;
    let detector = Detector::covering(radius_mm(truth.geometry()), protocol.detector_mm);
    let filter = ViewFilter::new(&protocol.kernel, detector);
    let slices: Vec<Vec<f32>> = profiles
        .par_iter()
        .enumerate()
        .map(|(number, profile)| {
            let noise = Noise { seed, subject, protocol, slice: number as u32 };
            scan_slice(&attenuation(truth, profile, protocol.mu_water_per_mm), &geometry, &filter, detector, &noise)
        })
        .collect();
    let [nx, ny, nz] = geometry.size();
    let voxels = Array3::from_shape_vec((nz, ny, nx), slices.concat()).expect("every slice has the geometry's size");
    Ok(Volume::new(voxels, geometry, Modality::Ct, Unit::Hounsfield)?)
}

/// Distance of the truth's farthest in-plane corner from the isocentre, mm.
fn radius_mm(truth: &Geometry) -> f64 {
    let [nx, ny, _] = truth.size();
    let world = truth.world_from_voxel();
    [[0, 0], [nx, 0], [0, ny], [nx, ny]]
        .map(|[i, j]| {
            let [x, y, _] = world.apply([i as f64 - 0.5, j as f64 - 0.5, 0.0]);
            x.hypot(y)
        })
        .into_iter()
        .fold(0.0, f64::max)
}

/// For every slice the truth slices that it averages and their shares.
fn slice_profiles(truth: &Geometry, scan: &Geometry, thickness_mm: f64) -> Result<Vec<Vec<(usize, f64)>>, Error> {
    let faces = |geometry: &Geometry, thickness: f64| {
        let (first, step, count) = (geometry.origin_mm()[2], geometry.spacing_mm()[2], geometry.size()[2]);
        [first - 0.5 * thickness, first + (count - 1) as f64 * step + 0.5 * thickness]
    };
    let step = truth.spacing_mm()[2];
    let (expected_mm, found_mm) = (faces(scan, thickness_mm), faces(truth, step));
    if expected_mm[0] < found_mm[0] - 1e-6 || expected_mm[1] > found_mm[1] + 1e-6 {
        return Err(Error::TruthTooShort { expected_mm, found_mm });
    }
    let profile = |slice: usize| {
        let low = expected_mm[0] + slice as f64 * scan.spacing_mm()[2];
        let share = |k: usize| {
            let face = found_mm[0] + k as f64 * step;
            ((face + step).min(low + thickness_mm) - face.max(low)).max(0.0) / thickness_mm
        };
        (0..truth.size()[2]).map(|k| (k, share(k))).filter(|(_, share)| *share > 1e-9).collect()
    };
    Ok((0..scan.size()[2]).map(profile).collect())
}

/// Attenuation of one slice, 1/mm, zero in air.
fn attenuation(truth: &Volume, profile: &[(usize, f64)], mu_water_per_mm: f64) -> Plane {
    let geometry = truth.geometry();
    let [columns, rows, _] = geometry.size();
    let mut density = vec![0.0f64; columns * rows];
    for &(k, share) in profile {
        let plane = &truth.as_slice()[k * density.len()..(k + 1) * density.len()];
        for (sum, &hu) in density.iter_mut().zip(plane) {
            *sum += share * (1.0 + f64::from(hu) / 1000.0).max(0.0);
        }
    }
    let mu: Vec<f32> = density.into_iter().map(|d| if d < 1e-6 { 0.0 } else { (d * mu_water_per_mm) as f32 }).collect();
    let ([x, y, _], [dx, dy, _]) = (geometry.origin_mm(), geometry.spacing_mm());
    Plane::new(&mu, columns, [x, y], [dx, dy])
}

fn scan_slice(
    plane: &Plane,
    geometry: &Geometry,
    filter: &ViewFilter,
    detector: Detector,
    noise: &Noise<'_>,
) -> Vec<f32> {
    let ([columns, rows, _], [x, y, _]) = (geometry.size(), geometry.origin_mm());
    let protocol = noise.protocol;
    let angle = |view: usize| PI * view as f64 / protocol.views as f64;
    let measured = |view: usize| noise.measure(&plane.view(angle(view), detector), view as u32);
    let mut slice = Backprojection::new([columns, rows], [x, y], geometry.spacing_mm()[0], detector);
    for view in (0..protocol.views).step_by(2) {
        let first = measured(view);
        let second = if view + 1 < protocol.views { measured(view + 1) } else { vec![0.0; detector.elements] };
        let [first, second] = filter.filter_pair(&first, &second);
        slice.add(&first, angle(view));
        if view + 1 < protocol.views {
            slice.add(&second, angle(view + 1));
        }
    }
    let water = protocol.mu_water_per_mm;
    let hu = |mu: f64| (1000.0 * (mu - water) / water).clamp(STORED_HU[0], STORED_HU[1]) as f32;
    slice.finish(protocol.views).into_iter().map(hu).collect()
}

/// The photons of one slice.
struct Noise<'a> {
    seed: u64,
    subject: u32,
    protocol: &'a Protocol,
    slice: u32,
}

impl Noise<'_> {
    /// Measures the ray sums of one view.
    fn measure(&self, ray_sums: &[f64], view: u32) -> Vec<f64> {
        let mut random = keyed(self.seed, self.subject, Purpose::Noise(hash(self.protocol.id)), self.slice, view);
        let unattenuated = self.protocol.photons_per_ray();
        ray_sums
            .iter()
            .map(|&sum| {
                let electronic: f64 = StandardNormal.sample(&mut random);
                let counted = poisson(&mut random, unattenuated * (-sum).exp());
                (unattenuated / (counted + self.protocol.electronic_noise * electronic).max(1.0)).ln()
            })
            .collect()
    }
}

#[cfg(test)]
mod physics;
