use isoscan_imaging::{Geometry, Modality, Unit, Volume};
use ndarray::Array3;
use rayon::prelude::*;
use rustfft::num_complex::Complex32;

use crate::head::substance::{SubstanceInField, label};
use crate::mr::kspace::{Axis, KspaceWindow, add_noise, image_depth, image_plane, sample_depth};
use crate::mr::motion::{Shift, sample_moving_plane};
use crate::mr::protocol::{Encoding, MrProtocol};
use crate::random::{Purpose, between, hash, keyed};
use crate::thick_slices::{Planes, SliceProfile, SliceSensitivity, shares};
use crate::{Error, Head};

pub(crate) mod kspace;
pub(crate) mod motion;
pub(crate) mod protocol;
pub(crate) mod receive;
pub(crate) mod scanners;
pub(crate) mod signal;

/// How far the coil's middle may lie from the isocentre, mm.
const COIL_SHIFT_MM: f64 = 8.0;

/// Scans a head: the magnitude image that the protocol's scanner would make of it.
///
/// 1. every voxel of the truth gives the signal of [`crate::Sequence::signal`] at its own T1, T2, T2*, proton density
///    and diffusion, times the receive coils' sensitivity; fat may be suppressed;
/// 2. k-space is sampled over the matrix of the protocol's resolution, from the exact Fourier transform of the truth's
///    voxels; along z an excitation profile averages, or k-space is sampled as well;
/// 3. complex Gaussian noise is added to the samples, which are windowed, filled with zeros to the image's matrix and
///    transformed; the magnitude is Rician and scaled by the gain.
///
/// The image has the pixels of the head's grid and the protocol's slices ([`Head::slices`]). Noise, the coil's place and
/// movement are keyed by `(seed, subject, protocol)`; another `seed` is another scan of the same head.
///
/// # Errors
/// [`Error::InvalidArgument`] when the protocol's numbers make no scan or no slice fits.
pub fn mr_scan(head: &Head, protocol: &MrProtocol, seed: u64, subject: u32) -> Result<Volume, Error> {
    protocol.check()?;
    let geometry = head.slices(protocol.slice_spacing_mm())?;
    let scan = Scan::new(head, protocol, &geometry, seed, subject);
    let slices: Vec<Vec<f32>> = match protocol.encoding {
        Encoding::Slices { thickness_mm, profile, .. } => {
            scan.sliced(&geometry, SliceSensitivity { profile, thickness_mm })
        }
        Encoding::Volume { .. } => scan.volumetric(&geometry),
    };
    let [nx, ny, nz] = geometry.size();
    let voxels = Array3::from_shape_vec((nz, ny, nx), slices.concat()).expect("every slice has the geometry's size");
    Ok(Volume::new(voxels, geometry, Modality::Mr, Unit::Arbitrary)?)
}

/// The factor by which the receive coils brighten each voxel of a grid in the scan of the same protocol, seed and
/// subject: the exact bias field.
pub fn mr_bias(protocol: &MrProtocol, geometry: &Geometry, seed: u64, subject: u32) -> Volume {
    let coil = coil_place(protocol, seed, subject);
    let world = geometry.world_from_voxel();
    let [nx, ny, nz] = geometry.size();
    let mut voxels = Array3::zeros((nz, ny, nx));
    voxels.as_slice_mut().expect("a new array is contiguous").par_chunks_mut(nx).enumerate().for_each(|(line, out)| {
        for (i, voxel) in out.iter_mut().enumerate() {
            let point = world.apply([i as f64, (line % ny) as f64, (line / ny) as f64]);
            *voxel = protocol.receive.at(std::array::from_fn(|a| point[a] - coil[a])) as f32;
        }
    });
    Volume::new(voxels, geometry.clone(), Modality::Mr, Unit::Arbitrary).expect("made with the geometry's size")
}

/// Where the middle of the coil lies in a scan, patient space, mm.
fn coil_place(protocol: &MrProtocol, seed: u64, subject: u32) -> [f64; 3] {
    let random = &mut keyed(seed, subject, Purpose::Motion(hash(&protocol.id)), 0, 0);
    std::array::from_fn(|_| between(random, -COIL_SHIFT_MM, COIL_SHIFT_MM))
}

struct Scan<'a> {
    head: &'a Head,
    protocol: &'a MrProtocol,
    seed: u64,
    subject: u32,
    coil: [f64; 3],
    shifts: Vec<Shift>,
    table: Vec<SubstanceInField>,
    x: Axis,
    y: Axis,
}

impl<'a> Scan<'a> {
    fn new(head: &'a Head, protocol: &'a MrProtocol, geometry: &Geometry, seed: u64, subject: u32) -> Self {
        let axis = |a: usize| {
            let count = geometry.size()[a];
            let field = count as f64 * geometry.spacing_mm()[a];
            let fine = head.geometry.size()[a];
            let matrix = ((field / protocol.resolution_mm[a]).round().max(1.0) as usize).min(count).min(fine);
            Axis::new(fine, matrix, count, protocol.window, true)
        };
        let still = vec![Shift { x_mm: 0.0, y_mm: 0.0, turn_rad: 0.0 }];
        let shifts = protocol.motion.map_or(still, |motion| motion.draw(seed, subject, hash(&protocol.id)));
        let coil = coil_place(protocol, seed, subject);
        let table = head.in_field(protocol.field_tesla, protocol.contrast_dose);
        Self { head, protocol, seed, subject, coil, shifts, table, x: axis(0), y: axis(1) }
    }

    /// K-space of one plane of the truth.
    fn plane(&self, k: usize) -> Vec<Complex32> {
        let geometry = &self.head.geometry;
        let ([nx, ny, _], [dx, dy, _]) = (geometry.size(), geometry.spacing_mm());
        let world = geometry.world_from_voxel();
        let cells: Vec<f32> = (0..nx * ny)
            .map(|n| {
                let at = k * nx * ny + n;
                let Some(tissue) = self.head.relaxation(at, &self.table) else {
                    return 0.0;
                };
                let point = world.apply([(n % nx) as f64, (n / nx) as f64, k as f64]);
                let place = std::array::from_fn(|a| point[a] - self.coil[a]);
                let number = self.head.table[usize::from(self.head.substance[at])].label;
                let fatty = matches!(number, label::FAT | label::DIPLOE);
                let kept = if fatty { 1.0 - self.protocol.fat_suppression } else { 1.0 };
                (kept * self.protocol.sequence.signal(&tissue) * self.protocol.receive.at(place)) as f32
            })
            .collect();
        sample_moving_plane(&cells, [&self.x, &self.y], [nx as f64 * dx, ny as f64 * dy], &self.shifts)
    }

    /// Slice by slice.
    fn sliced(&self, geometry: &Geometry, sensitivity: SliceSensitivity) -> Vec<Vec<f32>> {
        let planes = self.planes();
        let sigma = self.protocol.noise / (self.x.noise_power() * self.y.noise_power()).sqrt();
        (0..geometry.size()[2])
            .into_par_iter()
            .map(|slice| {
                let middle_mm = geometry.origin_mm()[2] + slice as f64 * geometry.spacing_mm()[2];
                let mut samples = self.averaged(&planes, middle_mm, sensitivity);
                self.add_noise(&mut samples, slice, sigma);
                self.magnitude(&samples)
            })
            .collect()
    }

    /// K-space of what a profile around `middle_mm` averages along z.
    fn averaged(&self, planes: &[Vec<Complex32>], middle_mm: f64, sensitivity: SliceSensitivity) -> Vec<Complex32> {
        let truth = &self.head.geometry;
        let places = Planes { first_mm: truth.origin_mm()[2], step_mm: truth.spacing_mm()[2], count: truth.size()[2] };
        let mut samples = vec![Complex32::default(); self.x.acquired() * self.y.acquired()];
        for (k, weight) in shares(places, middle_mm, sensitivity) {
            for (sum, &sample) in samples.iter_mut().zip(&planes[k]) {
                *sum += sample * weight as f32;
            }
        }
        samples
    }

    /// With k-space along z, over the slab that the slices fill: it is cut into as many cells as the truth has planes
    /// there.
    fn volumetric(&self, geometry: &Geometry) -> Vec<Vec<f32>> {
        let planes = self.planes();
        let slices = geometry.size()[2];
        let length_mm = slices as f64 * geometry.spacing_mm()[2];
        let count = (length_mm / self.head.geometry.spacing_mm()[2]).round().max(1.0) as usize;
        let cell_mm = length_mm / count as f64;
        let cells: Vec<Vec<Complex32>> = (0..count)
            .into_par_iter()
            .map(|cell| {
                let middle_mm = self.head.start_mm() + (cell as f64 + 0.5) * cell_mm;
                let cell = SliceSensitivity { profile: SliceProfile::Rectangular, thickness_mm: cell_mm };
                self.averaged(&planes, middle_mm, cell)
            })
            .collect();
        let z = Axis::new(count, slices.min(count), slices, KspaceWindow::Rectangular, true);
        let mut planes = sample_depth(&cells, &z);
        let sigma = self.protocol.noise / (self.x.noise_power() * self.y.noise_power() * z.noise_power()).sqrt();
        planes.par_iter_mut().enumerate().for_each(|(k, plane)| self.add_noise(plane, k, sigma));
        image_depth(&planes, &z).par_iter().map(|plane| self.magnitude(plane)).collect()
    }

    /// K-space of every plane of the truth.
    fn planes(&self) -> Vec<Vec<Complex32>> {
        (0..self.head.geometry.size()[2]).into_par_iter().map(|k| self.plane(k)).collect()
    }

    fn add_noise(&self, samples: &mut [Complex32], plane: usize, sigma: f64) {
        let purpose = Purpose::Receiver(hash(&self.protocol.id));
        add_noise(samples, self.x.acquired(), sigma, |ky| keyed(self.seed, self.subject, purpose, plane as u32, ky));
    }

    fn magnitude(&self, samples: &[Complex32]) -> Vec<f32> {
        image_plane(samples, [&self.x, &self.y]).into_iter().map(|v| (self.protocol.gain * v.norm()) as f32).collect()
    }
}

#[cfg(test)]
mod tests;
