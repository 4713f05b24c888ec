use std::collections::BTreeSet;

use rayon::prelude::*;

use super::settings::Aggregation;
use crate::Error;
use crate::discretise::Discretised;
use crate::field::LevelField;
use crate::roi::Roi;
use crate::table::mean_of_numbers;

/// The levels of a region and of each of its slices that holds a voxel.
pub(super) struct Fields {
    pub(super) volume: Part,
    pub(super) slices: Vec<Part>,
}

/// The levels of a region or of one of its slices.
pub(super) struct Part {
    pub(super) is_slice: bool,
    pub(super) region: Roi,
    pub(super) field: LevelField,
}

impl Fields {
    /// Slices are taken only when `sliced`, each with the levels that it holds.
    ///
    /// # Errors
    /// [`Error::TooManyLevels`].
    pub(super) fn of(region: &Roi, levels: &Discretised, sliced: bool) -> Result<Self, Error> {
        let [nx, ny, _] = region.size;
        let mut grey = levels.levels.iter().map(|&position| levels.grey[usize::from(position) - 1]);
        let mut slices = Vec::new();
        for (z, inside) in region.inside.chunks_exact(nx * ny).enumerate().filter(|_| sliced) {
            let first = [region.first[0], region.first[1], region.first[2] + z];
            let slice = Roi { first, size: [nx, ny, 1], inside: inside.to_vec() };
            let own: Vec<u32> = grey.by_ref().take(slice.count()).collect();
            if !own.is_empty() {
                let field = LevelField::of(&slice, &Discretised::of_levels(&own)?);
                slices.push(Part { is_slice: true, region: slice, field });
            }
        }
        let volume = Part { is_slice: false, region: region.clone(), field: LevelField::of(region, levels) };
        Ok(Self { volume, slices })
    }
}

/// The features of one matrix; none when it is empty.
pub(super) type Found = Option<Vec<f64>>;

/// A texture matrix, or what stands for one.
pub(super) trait Matrix: Sized + Send + Sync {
    /// The matrix of all that its parts count.
    fn merged(parts: &[Self]) -> Self;

    /// The features; none when the matrix is empty.
    fn features(&self) -> Found;
}

/// Features by each wanted aggregation, of matrices counted along the directions `steps`.
pub(super) fn by_direction<M: Matrix>(
    fields: &Fields,
    steps: &[[i64; 3]],
    wanted: &BTreeSet<Aggregation>,
    matrix: impl Fn(&LevelField, [i64; 3]) -> M + Sync,
) -> Vec<(Aggregation, Vec<f64>)> {
    let wants = |aggregation: Aggregation| wanted.contains(&aggregation);
    let (within, across): (Vec<_>, Vec<_>) = steps.iter().copied().partition(|step: &[i64; 3]| step[2] == 0);
    let mut found = Vec::new();
    let per_slice = wants(Aggregation::SliceAveraged) || wants(Aggregation::SliceMerged);
    let slices: Vec<(Vec<Found>, Found)> = fields.slices[..if per_slice { fields.slices.len() } else { 0 }]
        .par_iter()
        .map(|slice| {
            let matrices: Vec<M> = within.iter().map(|&step| matrix(&slice.field, step)).collect();
            let each =
                if wants(Aggregation::SliceAveraged) { matrices.iter().map(M::features).collect() } else { vec![] };
            let merged = wants(Aggregation::SliceMerged).then(|| M::merged(&matrices).features());
            (each, merged.flatten())
        })
        .collect();
    if wants(Aggregation::SliceAveraged) {
        found.push((Aggregation::SliceAveraged, mean(slices.iter().flat_map(|(each, _)| each))));
    }
    if wants(Aggregation::SliceMerged) {
        found.push((Aggregation::SliceMerged, mean(slices.iter().map(|(_, merged)| merged))));
    }
    let in_space = wants(Aggregation::VolumeAveraged) || wants(Aggregation::VolumeMerged);
    let in_planes = wants(Aggregation::DirectionMerged) || wants(Aggregation::PlanesMerged);
    if !in_space && !in_planes {
        return found;
    }
    let steps: Vec<[i64; 3]> = within.iter().chain(across.iter().filter(|_| in_space)).copied().collect();
    let matrices: Vec<M> = steps.par_iter().map(|&step| matrix(&fields.volume.field, step)).collect();
    let averages = wants(Aggregation::DirectionMerged) || wants(Aggregation::VolumeAveraged);
    let each: Vec<Found> = if averages { matrices.par_iter().map(M::features).collect() } else { vec![] };
    if wants(Aggregation::DirectionMerged) {
        found.push((Aggregation::DirectionMerged, mean(&each[..within.len()])));
    }
    if wants(Aggregation::PlanesMerged) {
        found.push((Aggregation::PlanesMerged, mean(&[M::merged(&matrices[..within.len()]).features()])));
    }
    if wants(Aggregation::VolumeAveraged) {
        found.push((Aggregation::VolumeAveraged, mean(&each)));
    }
    if wants(Aggregation::VolumeMerged) {
        found.push((Aggregation::VolumeMerged, mean(&[M::merged(&matrices).features()])));
    }
    found
}

/// Features by each wanted dimension, of matrices without directions: slices averaged, slices merged, the volume.
pub(super) fn by_dimension<M: Matrix>(
    fields: &Fields,
    wanted: &BTreeSet<Dimension>,
    matrix: impl Fn(&Part) -> M + Sync,
) -> Vec<(Dimension, Vec<f64>)> {
    let slices: Vec<M> = fields.slices.par_iter().map(&matrix).collect();
    let features = |dimension: &Dimension| match dimension {
        Dimension::Slices => mean(&slices.iter().map(M::features).collect::<Vec<_>>()),
        Dimension::SlicesMerged => mean(&[M::merged(&slices).features()]),
        Dimension::Volume => mean(&[matrix(&fields.volume).features()]),
    };
    wanted.iter().map(|dimension| (*dimension, features(dimension))).collect()
}

/// How slices become one value, for matrices without directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Dimension {
    Slices,
    SlicesMerged,
    Volume,
}

impl Dimension {
    pub(super) fn of(aggregation: Aggregation) -> Self {
        match aggregation {
            Aggregation::SliceAveraged | Aggregation::SliceMerged => Self::Slices,
            Aggregation::DirectionMerged | Aggregation::PlanesMerged => Self::SlicesMerged,
            Aggregation::VolumeAveraged | Aggregation::VolumeMerged => Self::Volume,
        }
    }

    pub(super) fn suffix(self) -> &'static str {
        match self {
            Self::Slices => "2D",
            Self::SlicesMerged => "2_5D",
            Self::Volume => "3D",
        }
    }
}

/// Mean of each feature over the matrices that are not empty; no features when all are.
fn mean<'a>(matrices: impl IntoIterator<Item = &'a Found>) -> Vec<f64> {
    let found: Vec<&Vec<f64>> = matrices.into_iter().flatten().collect();
    let count = found.first().map_or(0, |features| features.len());
    (0..count).map(|k| mean_of_numbers(found.iter().map(|features| features[k]))).collect()
}
