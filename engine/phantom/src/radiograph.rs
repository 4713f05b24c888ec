use isoscan_imaging::{Error as ImagingError, Geometry, Modality, Unit, Volume};
use ndarray::Array3;

use crate::chest::Chest;
use crate::radiograph::exposure::{Areal, Exposure};
use crate::radiograph::processing::process;
use crate::radiograph::shadow::Shadow;
use crate::{ChestCondition, Error, Finding, TruthRow, Visit};

mod exposure;
mod processing;
mod protocol;
mod shadow;

pub use processing::{Curve, Processing};
pub use protocol::{Beam, RadiographProtocol, radiograph_protocol, radiograph_protocols};

/// Height of the image's middle in body coordinates, mm: half way between apex and base of the lungs.
const MIDDLE_MM: f64 = -5.0;

/// One subject's frontal chest radiograph with what only a phantom knows of it.
///
/// Every volume is one coronal slice: columns run to the patient's left, rows towards the feet, the slice lies in the
/// isocentre (y = 0); z = 0 is a little below the carina. Images have modality DX, masks SEG.
#[derive(Debug, Clone)]
pub struct Radiograph {
    /// The radiograph of the beam of high energy before any processing, optical density.
    pub standard: Volume,
    /// `standard` as the vendor's workstation shows it, arbitrary unit, 0 to 4095.
    pub processed: Volume,
    /// The second exposure, of the beam of low energy, optical density.
    pub low_energy: Volume,
    /// Truth: what `standard` would be without bone mineral and without noise, optical density.
    pub soft: Volume,
    /// Truth: what bone mineral adds to `soft` in a radiograph without noise, optical density.
    pub bone: Volume,
    /// 1 where a rib is in the ray.
    pub ribs: Volume,
    /// 1 where a ray passes through at least 10 mm of lung.
    pub lungs: Volume,
    /// 1 where the heart is in the ray.
    pub heart: Volume,
    /// n where the n-th of `findings` is in the ray.
    pub nodules: Volume,
    /// Nodules, with centres in the images' space; those outside the image are listed too.
    pub findings: Vec<Finding>,
    /// The numbers that the subject was drawn with, and the areas of the masks.
    pub row: TruthRow,
}

/// Takes the frontal radiograph of the chest that [`crate::chest`] draws for the same `(seed, subject, condition)`.
///
/// 1. Rays run parallel along y (a far focus: no magnification). Every voxel is water of density `1 + HU/1000`; voxels
///    of bone are soft tissue and cortical bone in the proportion that gives their HU. A pixel holds both areal
///    densities, `A_w` and `A_b` in g/cm², averaged over its area.
/// 2. For a beam, `p = (μ/ρ)_w A_w + (μ/ρ)_b A_b` and the primary `N₀ e⁻ᵖ`; scatter is the smoothed source
///    `N₀ k p e⁻ᵖ`, nothing where nothing is hit.
/// 3. Counts are Poisson numbers, blurred by the detector after they were counted, so that signal and noise have its
///    transfer function; optical density is `log₁₀(N₀/N)`.
///
/// `size` counts columns and rows. Noise is keyed by `(seed, subject, protocol, beam, row)`.
///
/// # Errors
/// [`Error::InvalidArgument`] for a size outside 16-1024, a pixel outside 0.4-10 mm or protocol numbers that make no
/// image.
///
/// ```
/// use isoscan_phantom::{ChestCondition, radiograph, radiograph_protocol};
/// let image = radiograph(1, 0, ChestCondition::Healthy, [48, 48], 7.0, radiograph_protocol("dx-a")?)?;
/// assert_eq!(image.standard.geometry().size(), [48, 48, 1]);
/// # Ok::<(), isoscan_phantom::Error>(())
/// ```
pub fn radiograph(
    seed: u64,
    subject: u32,
    condition: ChestCondition,
    size: [usize; 2],
    pixel_mm: f64,
    protocol: &RadiographProtocol,
) -> Result<Radiograph, Error> {
    radiograph_during(&Visit::only(seed), (seed, subject), condition, size, pixel_mm, protocol)
}

/// The radiograph of one stay of a subject in front of the detector: shifted as it stood, not turned, with the noise of
/// that day.
pub(crate) fn radiograph_during(
    visit: &Visit,
    (seed, subject): (u64, u32),
    condition: ChestCondition,
    size: [usize; 2],
    pixel_mm: f64,
    protocol: &RadiographProtocol,
) -> Result<Radiograph, Error> {
    let geometry = image_geometry(size, pixel_mm)?;
    protocol.check()?;
    let chest = Chest::draw(seed, subject, condition);
    let shift = visit.pose.translation_mm;
    let seen_from: [f64; 3] = std::array::from_fn(|a| geometry.origin_mm()[a] - shift[a]);
    let seen = Geometry::new(geometry.size(), geometry.spacing_mm(), seen_from, geometry.direction())?;
    let mut shadow = Shadow::of_chest(&chest, &seen);
    shadow.findings.iter_mut().for_each(|f| f.center_mm = std::array::from_fn(|a| f.center_mm[a] + shift[a]));
    let exposure = |beam: usize| Exposure { seed: visit.noise_seed, subject, protocol, beam };
    let areal = Areal { water: &shadow.water_g_cm2, bone: Some(&shadow.bone_g_cm2) };
    let mask = |values: &[f32]| image(values.to_vec(), &geometry, Modality::Seg, Unit::Label);
    let standard = exposure(0).measured(&areal, &geometry)?;
    let soft = exposure(0).expected(&Areal { bone: None, ..areal }, &geometry)?;
    let whole = exposure(0).expected(&areal, &geometry)?;
    let bone = soft.with_voxels(&whole.voxels() - &soft.voxels())?;
    let mut row = chest.biology.row();
    for (name, values) in shadow.masks() {
        let area = values.iter().filter(|&&v| v > 0.0).count() as f64 * pixel_mm * pixel_mm;
        row.set(format!("{name}_area_mm2"), area);
    }
    row.set("nodules", shadow.findings.len() as f64);
    Ok(Radiograph {
        processed: process(&standard, &protocol.processing)?,
        low_energy: exposure(1).measured(&areal, &geometry)?,
        standard,
        soft,
        bone,
        ribs: mask(&shadow.ribs)?,
        lungs: mask(&shadow.lungs)?,
        heart: mask(&shadow.heart)?,
        nodules: mask(&shadow.nodules)?,
        findings: shadow.findings,
        row,
    })
}

fn image_geometry(size: [usize; 2], pixel_mm: f64) -> Result<Geometry, Error> {
    for side in size {
        if !(16..=1024).contains(&side) {
            let found = side as f64;
            return Err(Error::InvalidArgument { name: "image size", expected: "16 to 1024 pixels", found });
        }
    }
    if !(0.4..=10.0).contains(&pixel_mm) {
        return Err(Error::InvalidArgument { name: "pixel_mm", expected: "0.4 to 10 mm", found: pixel_mm });
    }
    let half = |count: usize| 0.5 * (count - 1) as f64 * pixel_mm;
    let origin = [-half(size[0]), 0.0, MIDDLE_MM + half(size[1])];
    let axes = [[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]];
    Ok(Geometry::new([size[0], size[1], 1], [pixel_mm; 3], origin, axes)?)
}

fn image(values: Vec<f32>, geometry: &Geometry, modality: Modality, unit: Unit) -> Result<Volume, ImagingError> {
    let [columns, rows, _] = geometry.size();
    let voxels = Array3::from_shape_vec((1, rows, columns), values).expect("an image has a value per pixel");
    Volume::new(voxels, geometry.clone(), modality, unit)
}

#[cfg(test)]
mod tests;
