use std::collections::BTreeMap;

use isoscan_imaging::{Error as ImagingError, Geometry, Modality, Unit, Volume, gaussian};
use rayon::prelude::*;

use crate::head::region::REFERENCE;
use crate::head::region_name;
use crate::head::sampling::volume_on;
use crate::random::{Purpose, hash, keyed, poisson};
use crate::{Error, HEAD_REGIONS, Head};

/// Full width at half height of a bell over its standard deviation, `2 √(2 ln 2)`.
const FWHM_PER_SIGMA: f64 = 2.354_820_045_030_949_3;

/// How a PET scanner makes an image of glucose uptake (FDG). Manufacturers and models are invented.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct PetProtocol {
    /// Unique short name, e.g. `a-pet`.
    pub id: &'static str,
    /// Invented manufacturer, DICOM (0008,0070).
    pub manufacturer: &'static str,
    /// Invented model, DICOM (0008,1090).
    pub model: &'static str,
    /// One line for people, DICOM (0008,103E).
    pub description: &'static str,
    /// Full width at half height of the scanner's point spread function, a bell, mm.
    pub psf_fwhm_mm: f64,
    /// Full width at half height of the filter after reconstruction, mm; 0 for none.
    pub post_filter_fwhm_mm: f64,
    /// Mean counts of one ml of SUV 1; `None` for an image without noise.
    pub counts_per_suv_ml: Option<f64>,
    /// Distance and thickness of slices, mm.
    pub slice_spacing_mm: f64,
}

impl PetProtocol {
    /// The same with slices of this spacing, mm.
    #[must_use]
    pub fn with_slices(mut self, spacing_mm: f64) -> Self {
        self.slice_spacing_mm = spacing_mm;
        self
    }

    /// The same without noise.
    #[must_use]
    pub fn without_noise(mut self) -> Self {
        self.counts_per_suv_ml = None;
        self
    }

    /// Full width at half height of a point in the image, `√(PSF² + filter²)`, mm, but for the voxels' own width.
    pub fn resolution_mm(&self) -> f64 {
        self.psf_fwhm_mm.hypot(self.post_filter_fwhm_mm)
    }

    fn check(&self) -> Result<(), Error> {
        let counts = self.counts_per_suv_ml.unwrap_or(1.0);
        for (name, found) in [("counts_per_suv_ml", counts), ("slice_spacing_mm", self.slice_spacing_mm)] {
            if !(found.is_finite() && found > 0.0) {
                return Err(Error::InvalidArgument { name, expected: "positive and finite", found });
            }
        }
        for (name, found) in [("psf_fwhm_mm", self.psf_fwhm_mm), ("post_filter_fwhm_mm", self.post_filter_fwhm_mm)] {
            if !(0.0..=30.0).contains(&found) {
                return Err(Error::InvalidArgument { name, expected: "0 to 30 mm", found });
            }
        }
        Ok(())
    }
}

static PROTOCOLS: [PetProtocol; 3] = [
    PetProtocol {
        id: "a-pet",
        manufacturer: "Phantom Vendor A",
        model: "A-PET",
        description: "Brain FDG, standard",
        psf_fwhm_mm: 4.5,
        post_filter_fwhm_mm: 3.0,
        counts_per_suv_ml: Some(4000.0),
        slice_spacing_mm: 3.0,
    },
    PetProtocol {
        id: "b-pet",
        manufacturer: "Phantom Vendor B",
        model: "B-Ring",
        description: "Brain FDG, smooth",
        psf_fwhm_mm: 5.5,
        post_filter_fwhm_mm: 5.0,
        counts_per_suv_ml: Some(2500.0),
        slice_spacing_mm: 4.0,
    },
    PetProtocol {
        id: "c-pet",
        manufacturer: "Phantom Vendor C",
        model: "C-Time",
        description: "Brain FDG, sharp",
        psf_fwhm_mm: 3.8,
        post_filter_fwhm_mm: 2.0,
        counts_per_suv_ml: Some(6000.0),
        slice_spacing_mm: 2.0,
    },
];

/// The PET protocols of three invented vendors.
pub fn pet_protocols() -> &'static [PetProtocol] {
    &PROTOCOLS
}

/// The PET protocol with this id.
///
/// # Errors
/// [`Error::UnknownProtocol`] with the ids that exist.
pub fn pet_protocol(id: &str) -> Result<&'static PetProtocol, Error> {
    PROTOCOLS.iter().find(|protocol| protocol.id == id).ok_or_else(|| {
        let expected = PROTOCOLS.iter().map(|protocol| protocol.id).collect::<Vec<_>>().join(", ");
        Error::UnknownProtocol { expected, found: id.to_owned() }
    })
}

/// The exact uptake of every voxel of the truth, SUV: one value per tissue, lowered in the regions of
/// [`Head::hypometabolism`].
pub fn pet_uptake(head: &Head) -> Volume {
    head.truth_volume(Modality::Pt, Unit::Suv, |at| head.suv(head.substance[at], head.region[at]) as f32)
}

/// Scans a head: the PET image that the protocol's scanner would make of it, in SUV.
///
/// 1. the truth's uptake is blurred with the point spread function and averaged over the image's voxels;
/// 2. each voxel's counts are Poisson with the mean `uptake · counts · volume`, so the variance of its uptake is
///    `uptake / (counts · volume)`;
/// 3. the filter of the reconstruction smooths the image, and correlates its noise.
///
/// Attenuation and scatter are taken as corrected. Noise is keyed by `(seed, subject, protocol, slice, row)`.
///
/// # Errors
/// [`Error::InvalidArgument`] when the protocol's numbers make no scan or no slice fits.
pub fn pet_scan(head: &Head, protocol: &PetProtocol, seed: u64, subject: u32) -> Result<Volume, Error> {
    protocol.check()?;
    let geometry = head.slices(protocol.slice_spacing_mm)?;
    scan_uptake(&pet_uptake(head), &geometry, protocol, seed, subject)
}

/// Scans an uptake onto a grid with the same axes.
fn scan_uptake(
    uptake: &Volume,
    geometry: &Geometry,
    protocol: &PetProtocol,
    seed: u64,
    subject: u32,
) -> Result<Volume, Error> {
    let blurred = gaussian(uptake, [protocol.psf_fwhm_mm / FWHM_PER_SIGMA; 3])?;
    let expected = volume_on(&blurred, geometry, 0.0)?;
    let counted = match protocol.counts_per_suv_ml {
        None => expected,
        Some(per_suv_ml) => {
            let per_suv = per_suv_ml * geometry.voxel_volume_mm3() / 1000.0;
            let [nx, ny, _] = geometry.size();
            let mut voxels = expected.into_voxels();
            let lines = voxels.as_slice_mut().expect("a volume's voxels are contiguous").par_chunks_mut(nx);
            lines.enumerate().for_each(|(line, row)| {
                let purpose = Purpose::Counts(hash(protocol.id));
                let mut random = keyed(seed, subject, purpose, (line / ny) as u32, (line % ny) as u32);
                for suv in row.iter_mut().filter(|suv| **suv > 0.0) {
                    *suv = (poisson(&mut random, f64::from(*suv) * per_suv) / per_suv) as f32;
                }
            });
            Volume::new(voxels, geometry.clone(), Modality::Pt, Unit::Suv)?
        }
    };
    Ok(gaussian(&counted, [protocol.post_filter_fwhm_mm / FWHM_PER_SIGMA; 3])?)
}

/// Mean uptake of every brain region in an image, over that of cerebellar grey matter, by the names of
/// [`HEAD_REGIONS`]. Regions without a voxel are left out.
///
/// # Errors
/// [`Error::Imaging`] when the grids differ, [`Error::NoReference`] when no voxel lies in the reference region.
pub fn suvr(image: &Volume, regions: &Volume) -> Result<BTreeMap<&'static str, f64>, Error> {
    if image.geometry().size() != regions.geometry().size() {
        let (expected, found) = (image.geometry().size(), regions.geometry().size());
        return Err(ImagingError::SizeMismatch { expected, found }.into());
    }
    let mut sums = vec![(0.0, 0.0); HEAD_REGIONS.len() + 1];
    for (&value, &region) in image.as_slice().iter().zip(regions.as_slice()) {
        if let Some((sum, count)) = sums.get_mut(region as usize) {
            (*sum, *count) = (*sum + f64::from(value), *count + 1.0);
        }
    }
    let mean = |region: u8| {
        let (sum, count) = sums[usize::from(region)];
        (count > 0.0).then(|| sum / count)
    };
    let reference = mean(REFERENCE).ok_or(Error::NoReference { region: region_name(REFERENCE) })?;
    let rows = HEAD_REGIONS.iter().filter_map(|&(number, name)| mean(number as u8).map(|m| (name, m / reference)));
    Ok(rows.collect())
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;

    use super::*;
    use crate::{Findings, Grid, HeadSettings, head};

    const NOISELESS: PetProtocol = PetProtocol { counts_per_suv_ml: None, ..PROTOCOLS[0] };

    fn uptake(side: usize, spacing_mm: f64, value: impl Fn([usize; 3]) -> f32) -> Volume {
        let geometry = Geometry::axis_aligned([side; 3], [spacing_mm; 3]).unwrap();
        let voxels = Array3::from_shape_fn((side, side, side), |(k, j, i)| value([i, j, k]));
        Volume::new(voxels, geometry, Modality::Pt, Unit::Suv).unwrap()
    }

    #[test]
    fn a_point_has_the_width_of_scanner_and_filter() {
        // σ² of the image of a point: (4.5² + 3²)/8 ln 2, with the voxel's own s²/12.
        let point = uptake(61, 1.0, |at| if at == [30; 3] { 1000.0 } else { 0.0 });
        let image = scan_uptake(&point, point.geometry(), &NOISELESS, 1, 0).unwrap();
        let (mut sum, mut square) = (0.0, 0.0);
        for ((_, _, i), &v) in image.voxels().indexed_iter() {
            (sum, square) = (sum + f64::from(v), square + f64::from(v) * (i as f64 - 30.0).powi(2));
        }
        let fwhm = (square / sum).sqrt() * FWHM_PER_SIGMA;
        let expected = NOISELESS.resolution_mm();
        assert!((expected - 29.25f64.sqrt()).abs() < 1e-12);
        assert!((fwhm / expected - 1.0).abs() < 0.01, "{fwhm} mm for {expected}");
        assert!((sum - 1000.0).abs() < 0.01, "{sum}");
    }

    #[test]
    fn counts_have_the_variance_of_poisson() {
        // 2 mm voxels of 0.008 ml at SUV 5 with 4000 counts per SUV and ml: 160 counts, variance 5/32.
        let flat = uptake(32, 2.0, |_| 5.0);
        let protocol = PetProtocol { post_filter_fwhm_mm: 0.0, counts_per_suv_ml: Some(4000.0), ..NOISELESS };
        let image = scan_uptake(&flat, flat.geometry(), &protocol, 7, 0).unwrap();
        let n = image.as_slice().len() as f64;
        let mean = image.as_slice().iter().map(|&v| f64::from(v)).sum::<f64>() / n;
        let variance = image.as_slice().iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / n;
        assert!((mean - 5.0).abs() < 0.01, "{mean}");
        assert!((variance / (5.0 / 32.0) - 1.0).abs() < 0.03, "{variance}");
    }

    fn subject() -> Head {
        let grid = Grid::new([64, 64], 3.0, 90.0).unwrap().with_truth_spacing(1.5, 1.5).unwrap();
        let findings = Findings { hypometabolism: 2, tumours: 1, ..Findings::default() };
        head(9, 2, &HeadSettings { findings, middle_mm: -8.0, ..HeadSettings::new(grid) }).unwrap()
    }

    #[test]
    fn uptake_ratios_of_the_exact_map_are_those_of_the_truth() {
        let head = subject();
        let truth = head.truth();
        let found = suvr(&pet_uptake(&head), &head.regions()).unwrap();
        assert_eq!(found.len(), HEAD_REGIONS.len());
        for (name, ratio) in &found {
            assert!((ratio / truth.suvr[name] - 1.0).abs() < 1e-5, "{name}: {ratio} for {}", truth.suvr[name]);
        }
        assert_eq!(found["cerebellar-grey"], 1.0);
        for lowered in &head.hypometabolism {
            let healthy = truth.suvr["frontal-left"];
            assert!((truth.suvr[lowered.region] / healthy - lowered.factor).abs() < 1e-12);
            assert!((0.55..0.8).contains(&lowered.factor));
        }
    }

    #[test]
    fn lowered_regions_stay_lower_in_the_image() {
        let head = subject();
        let image = pet_scan(&head, &pet_protocol("a-pet").unwrap().clone().with_slices(3.0), 4, 2).unwrap();
        let found = suvr(&image, &head.regions_on(image.geometry()).unwrap()).unwrap();
        for lowered in &head.hypometabolism {
            let side = if lowered.region.ends_with("left") { "frontal-left" } else { "frontal-right" };
            let ratio = found[lowered.region] / found[side];
            assert!(ratio < 0.95, "{}: {ratio}", lowered.region);
        }
    }

    #[test]
    fn a_field_without_cerebellum_has_no_ratio() {
        let regions = uptake(4, 1.0, |_| 1.0).with_meaning(Modality::Seg, Unit::Label);
        let image = uptake(4, 1.0, |_| 2.0);
        assert_eq!(suvr(&image, &regions), Err(Error::NoReference { region: "cerebellar-grey" }));
        assert!(matches!(suvr(&image, &uptake(3, 1.0, |_| 1.0)), Err(Error::Imaging(_))));
    }

    #[test]
    fn what_cannot_be_scanned_is_refused() {
        let head = {
            let grid = Grid::new([32, 32], 5.0, 10.0).unwrap().with_truth_spacing(3.0, 3.0).unwrap();
            head(1, 0, &HeadSettings::new(grid)).unwrap()
        };
        let none = PetProtocol { counts_per_suv_ml: Some(0.0), ..PROTOCOLS[0].clone() };
        assert!(matches!(pet_scan(&head, &none, 1, 0), Err(Error::InvalidArgument { name: "counts_per_suv_ml", .. })));
        let wide = PROTOCOLS[0].clone().with_slices(20.0);
        assert!(matches!(pet_scan(&head, &wide, 1, 0), Err(Error::InvalidArgument { name: "length_mm", .. })));
        assert!(pet_protocol("x").unwrap_err().to_string().contains("a-pet, b-pet, c-pet"));
    }
}
