use std::sync::OnceLock;

use isoscan_imaging::{Geometry, Mask, Volume};

use super::diagnostics::{self, Extent, Row};
use super::discretise::discretise;
use super::region::{Neighbourhood, Region};
use super::resample::{Box3, NewGrid, block};
use super::settings::{Resampling, Resegmentation, Settings};
use crate::discretise::Discretised;
use crate::filters::{Block, Filter, Source, Window, response_within};
use crate::prepare::{gather, require_grid};
use crate::roi::Roi;
use crate::{Error, FeatureFamily, Stage};

/// Radius of a sphere of 1 cm³ in mm, rounded up.
const PEAK_REACH_MM: f64 = 6.21;

/// Allowed difference between the grids of image and mask, as a share of the image's x spacing.
const GRID_TOLERANCE: f64 = 1e-6;

/// Families that read grey levels.
const DISCRETISED: [FeatureFamily; 7] = [
    FeatureFamily::IntensityHistogram,
    FeatureFamily::Glcm,
    FeatureFamily::Glrlm,
    FeatureFamily::Glszm,
    FeatureFamily::Gldzm,
    FeatureFamily::Ngtdm,
    FeatureFamily::Ngldm,
];

/// The region after every step of processing.
pub(super) struct Prepared {
    pub(super) region: Region,
    /// The same region in the response of the filter, when there is one; `region` then has no levels.
    pub(super) filtered: Option<Region>,
    /// Values of the family diagnostics, when wanted.
    pub(super) diagnostics: Vec<Row>,
    pub(super) stages: Vec<Stage>,
}

/// Interpolates, rounds, resegments and discretises, in this order.
pub(super) fn prepare(volume: &Volume, mask: &Mask, settings: &Settings) -> Result<Prepared, Error> {
    require_grid(volume.geometry(), mask.geometry(), GRID_TOLERANCE)?;
    let wants = |family: FeatureFamily| settings.families.contains(&family);
    let diagnoses = wants(FeatureFamily::Diagnostics);
    let image = Image::of(volume, settings.resampling.as_ref())?;
    let original = Roi::of(mask)?;
    let mut stages = vec![original.stage("original", mask.geometry(), diagnoses)];
    let mut rows = Vec::new();
    if diagnoses {
        let initial = Extent::of(volume.as_slice());
        let interpolated = image.interpolated().map_or(initial, Extent::of);
        rows.extend(diagnostics::image("init", volume.geometry(), initial));
        rows.extend(diagnostics::image("interp", image.geometry(), interpolated));
        let intensities = gather(volume, &original, f64::from);
        rows.extend(diagnostics::masks("init", volume.geometry(), &original, &original, &intensities));
    }
    let peaks = wants(FeatureFamily::LocalIntensity);
    let (morphological, intensities) = image.region(mask, original, peaks)?;
    if image.new.is_some() {
        stages.push(morphological.stage("interpolated", image.geometry(), diagnoses));
    }
    if diagnoses {
        let interpolated = diagnostics::masks("interp", image.geometry(), &morphological, &morphological, &intensities);
        rows.extend(interpolated);
    }
    let (intensity, intensities) = resegment(&morphological, intensities, settings.resegmentation)?;
    if settings.resegmentation != Resegmentation::default() {
        stages.push(intensity.stage("resegmented", image.geometry(), diagnoses));
    }
    if diagnoses {
        rows.extend(diagnostics::masks("reseg", image.geometry(), &intensity, &morphological, &intensities));
    }
    let range = bounds(settings.resegmentation);
    let spacing_mm = image.geometry().spacing_mm();
    let around = peaks.then(|| image.around(&intensity));
    let neighbourhood = |values: &dyn Fn(Box3) -> Vec<f64>| match around {
        Some(around) => Neighbourhood { first: around.0, size: around.1, values: values(around) },
        None => Neighbourhood { first: [0; 3], size: [0; 3], values: Vec::new() },
    };
    let levels = |intensities: &[f64], low: f64| match DISCRETISED.into_iter().any(wants) {
        true => discretise(intensities, settings.discretisation, low),
        false => Discretised::of_levels(&[]),
    };
    let Some(filter) = &settings.filter else {
        let levels = levels(&intensities, range.0)?;
        let neighbourhood = neighbourhood(&|(first, size)| image.values(first, size));
        let region = Region { spacing_mm, morphological, intensity, intensities, range, levels, neighbourhood };
        return Ok(Prepared { region, filtered: None, diagnostics: rows, stages });
    };
    let response = image.response(filter, &intensity, around)?;
    let responses = finite(response.gather(&intensity))?;
    let filtered = Region {
        spacing_mm,
        morphological: morphological.clone(),
        intensity: intensity.clone(),
        levels: levels(&responses, f64::NEG_INFINITY)?,
        intensities: responses,
        range: (f64::NEG_INFINITY, f64::INFINITY),
        neighbourhood: neighbourhood(&|around| response.values_in(around)),
    };
    let levels = Discretised::of_levels(&[])?;
    let neighbourhood = Neighbourhood { first: [0; 3], size: [0; 3], values: Vec::new() };
    let region = Region { spacing_mm, morphological, intensity, intensities, range, levels, neighbourhood };
    Ok(Prepared { region, filtered: Some(filtered), diagnostics: rows, stages })
}

/// `responses`, unless the filter met a voxel without a number.
fn finite(responses: Vec<f64>) -> Result<Vec<f64>, Error> {
    let infinite = responses.iter().filter(|v| v.is_infinite()).count();
    let nan = responses.iter().filter(|v| v.is_nan()).count();
    if infinite + nan > 0 {
        return Err(Error::NotFinite { nan, infinite, voxels: responses.len() });
    }
    Ok(responses)
}

/// The image on the grid that features are computed on.
struct Image<'a> {
    volume: &'a Volume,
    new: Option<(NewGrid, &'a Resampling)>,
    /// A box of the new grid that has been interpolated.
    known: OnceLock<(Box3, Vec<f64>)>,
}

impl<'a> Image<'a> {
    fn of(volume: &'a Volume, resampling: Option<&'a Resampling>) -> Result<Self, Error> {
        let new = resampling.map(|r| NewGrid::of(volume.geometry(), r).map(|grid| (grid, r))).transpose()?;
        Ok(Self { volume, new, known: OnceLock::new() })
    }

    fn geometry(&self) -> &Geometry {
        self.new.as_ref().map_or(self.volume.geometry(), |(grid, _)| &grid.geometry)
    }

    fn values(&self, first: [usize; 3], size: [usize; 3]) -> Vec<f64> {
        match &self.new {
            None => block(self.volume.as_slice(), self.volume.geometry().size(), (first, size), f64::from),
            Some((grid, resampling)) => match self.known.get() {
                Some(((start, known_size), known)) if holds((*start, *known_size), (first, size)) => {
                    let offset = std::array::from_fn(|a| first[a] - start[a]);
                    block(known, *known_size, (offset, size), |value| value)
                }
                _ => grid.image(self.volume, (first, size), resampling),
            },
        }
    }

    /// The whole image on the new grid, when there is one; other boxes are then cut from it.
    fn interpolated(&self) -> Option<&[f64]> {
        let (grid, resampling) = self.new.as_ref()?;
        let whole = ([0; 3], grid.geometry.size());
        let (_, values) = self.known.get_or_init(|| (whole, grid.image(self.volume, whole, resampling)));
        Some(values)
    }

    /// The morphological mask and its intensities; `peaks` tells whether the local intensity peaks are wanted.
    fn region(&self, mask: &Mask, original: Roi, peaks: bool) -> Result<(Roi, Vec<f64>), Error> {
        let Some((grid, resampling)) = &self.new else {
            let intensities = gather(self.volume, &original, f64::from);
            return Ok((original, intensities));
        };
        let voxels = grid.geometry.voxel_count();
        let roi = grid.region(mask, &original, resampling).ok_or(Error::EmptyMask { voxels })?;
        // The box that the peaks need is interpolated once with the region's own.
        let needed = if peaks { self.around(&roi) } else { (roi.first, roi.size) };
        self.known.get_or_init(|| (needed, grid.image(self.volume, needed, resampling)));
        let values = self.values(roi.first, roi.size);
        let intensities = values.into_iter().zip(&roi.inside).filter(|(_, inside)| **inside).map(|(v, _)| v).collect();
        Ok((roi, intensities))
    }

    /// The box that the local intensity peak looks at.
    fn around(&self, roi: &Roi) -> Box3 {
        let (size, spacing_mm) = (self.geometry().size(), self.geometry().spacing_mm());
        let reach = spacing_mm.map(|s| (PEAK_REACH_MM / s).ceil() as usize);
        let first: [usize; 3] = std::array::from_fn(|a| roi.first[a].saturating_sub(reach[a]));
        let end: [usize; 3] = std::array::from_fn(|a| (roi.first[a] + roi.size[a] + reach[a]).min(size[a]));
        (first, std::array::from_fn(|a| end[a] - first[a]))
    }

    /// The response of a filter in the box of `roi`, or in the box `around` it when there is one.
    fn response(&self, filter: &Filter, roi: &Roi, around: Option<Box3>) -> Result<Block, Error> {
        let (first, size) = around.unwrap_or((roi.first, roi.size));
        let window = std::array::from_fn(|a| first[a]..first[a] + size[a]);
        let values = |window: &Window| {
            self.values(window.clone().map(|range| range.start), window.clone().map(|range| range.len()))
        };
        let geometry = self.geometry();
        let source = Source { size: geometry.size(), spacing_mm: geometry.spacing_mm(), values: &values };
        response_within(&source, filter, &window)
    }
}

/// Whether a box holds another.
fn holds((start, size): Box3, (first, inner): Box3) -> bool {
    (0..3).all(|a| start[a] <= first[a] && first[a] + inner[a] <= start[a] + size[a])
}

/// The range of intensities kept, infinite where it is open.
fn bounds(rule: Resegmentation) -> (f64, f64) {
    (rule.range[0].unwrap_or(f64::NEG_INFINITY), rule.range[1].unwrap_or(f64::INFINITY))
}

/// The intensity mask and its intensities: first the range, then the outliers of what is left. NaN is never kept.
fn resegment(roi: &Roi, intensities: Vec<f64>, rule: Resegmentation) -> Result<(Roi, Vec<f64>), Error> {
    let voxels = intensities.len();
    let infinite = intensities.iter().filter(|v| v.is_infinite()).count();
    let nan = intensities.iter().filter(|v| v.is_nan()).count();
    if infinite > 0 || nan == voxels {
        return Err(Error::NotFinite { nan, infinite, voxels });
    }
    let (mut low, mut high) = bounds(rule);
    if let Some(reach) = rule.outliers_sd {
        let kept = || intensities.iter().filter(|v| (low..=high).contains(*v));
        let count = kept().count() as f64;
        let mean = kept().sum::<f64>() / count;
        let deviation = (kept().map(|v| (v - mean).powi(2)).sum::<f64>() / count).sqrt();
        (low, high) = (low.max(mean - reach * deviation), high.min(mean + reach * deviation));
    }
    let keep: Vec<bool> = intensities.iter().map(|v| (low..=high).contains(v)).collect();
    let kept = keep.iter().filter(|&&keep| keep).count();
    if kept == voxels {
        return Ok((roi.clone(), intensities));
    }
    let part = roi.keeping(&keep).ok_or(Error::ResegmentedAway { low, high, voxels, kept })?;
    let intensities = intensities.into_iter().zip(keep).filter(|(_, keep)| *keep).map(|(v, _)| v).collect();
    Ok((part, intensities))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(n: usize) -> Roi {
        Roi { first: [2, 0, 0], size: [n, 1, 1], inside: vec![true; n] }
    }

    /// Mean 4.5 and deviation 1.5 of 3 .. 6 and 6 (the 100 is out of range), so that one deviation keeps 3 to 6.
    #[test]
    fn outliers_are_those_of_the_range() {
        let values = vec![3.0, 100.0, 3.0, 6.0, 6.0];
        let rule = Resegmentation { range: [None, Some(50.0)], outliers_sd: Some(1.0) };
        let (roi, kept) = resegment(&line(5), values, rule).unwrap();
        assert_eq!(kept, [3.0, 3.0, 6.0, 6.0]);
        assert_eq!(roi.inside, [true, false, true, true, true]);
    }

    #[test]
    fn voxels_without_a_number_leave_the_intensity_mask() {
        let (roi, kept) = resegment(&line(3), vec![f64::NAN, 1.0, 2.0], Resegmentation::default()).unwrap();
        assert_eq!((roi.first, roi.size, kept), ([3, 0, 0], [2, 1, 1], vec![1.0, 2.0]));
        let refused = resegment(&line(2), vec![f64::INFINITY, 1.0], Resegmentation::default()).unwrap_err();
        assert_eq!(refused, Error::NotFinite { nan: 0, infinite: 1, voxels: 2 });
    }

    #[test]
    fn a_range_without_voxels_is_refused() {
        let rule = Resegmentation { range: [Some(5.0), Some(9.0)], outliers_sd: None };
        let refused = resegment(&line(2), vec![1.0, 10.0], rule).unwrap_err();
        assert_eq!(refused, Error::ResegmentedAway { low: 5.0, high: 9.0, voxels: 2, kept: 0 });
    }
}
