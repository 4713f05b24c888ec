use isoscan_imaging::Volume;
use serde::Serialize;

/// Distribution of the finite voxels of one image, in its unit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Range {
    /// Smallest.
    pub min: f64,
    /// First percentile, the value at rank `floor(0.01 (n - 1))`.
    pub p1: f64,
    /// Median, by the same rule.
    pub p50: f64,
    /// 99th percentile, by the same rule.
    pub p99: f64,
    /// Largest.
    pub max: f64,
    /// Mean.
    pub mean: f64,
    /// Voxels that are NaN or infinite.
    pub not_finite: usize,
}

impl Range {
    /// All values are 0 when no voxel is finite.
    pub(super) fn of(volume: &Volume) -> Self {
        let all = volume.as_slice();
        let mut finite: Vec<f32> = all.iter().copied().filter(|v| v.is_finite()).collect();
        let not_finite = all.len() - finite.len();
        if finite.is_empty() {
            return Self { min: 0.0, p1: 0.0, p50: 0.0, p99: 0.0, max: 0.0, mean: 0.0, not_finite };
        }
        let mean = finite.iter().map(|&v| f64::from(v)).sum::<f64>() / finite.len() as f64;
        let last = finite.len() - 1;
        let mut at = |rank: usize| f64::from(*finite.select_nth_unstable_by(rank, f32::total_cmp).1);
        Self {
            min: at(0),
            p1: at(last / 100),
            p50: at(last / 2),
            p99: at(last * 99 / 100),
            max: at(last),
            mean,
            not_finite,
        }
    }
}

/// Second minus first, voxel by voxel.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct VoxelChange {
    /// The voxels lie at the same place; otherwise only their indices agree, counted in one storage order.
    pub at_same_place: bool,
    /// Voxels compared.
    pub count: usize,
    /// Voxels whose value differs; NaN equals NaN.
    pub differing: usize,
    /// Voxels that are NaN or infinite in just one image, or differently so; left out of the figures below.
    pub not_finite: usize,
    /// Largest absolute difference.
    pub largest: f64,
    /// Where the largest difference is: voxel `[x, y, z]` of the first image and its place, LPS mm.
    pub largest_at: Option<([usize; 3], [f64; 3])>,
    /// Mean difference.
    pub mean: f64,
    /// Mean absolute difference.
    pub mean_absolute: f64,
    /// Root of the mean squared difference.
    pub root_mean_square: f64,
}

/// Both volumes have the same size.
pub(super) fn compare(first: &Volume, second: &Volume, at_same_place: bool) -> VoxelChange {
    let pairs = first.as_slice().iter().zip(second.as_slice());
    let (mut differing, mut not_finite, mut finite) = (0, 0, 0usize);
    let (mut sum, mut absolute, mut squares) = (0.0, 0.0, 0.0);
    let (mut largest, mut largest_index) = (0.0, None);
    for (index, (&a, &b)) in pairs.enumerate() {
        if !(a.is_finite() && b.is_finite()) {
            let same = a == b || (a.is_nan() && b.is_nan());
            differing += usize::from(!same);
            not_finite += usize::from(!same);
            continue;
        }
        let change = f64::from(b) - f64::from(a);
        finite += 1;
        differing += usize::from(change != 0.0);
        sum += change;
        absolute += change.abs();
        squares += change * change;
        if change.abs() > largest {
            (largest, largest_index) = (change.abs(), Some(index));
        }
    }
    let mean = |total: f64| total / finite.max(1) as f64;
    let [nx, ny, _] = first.geometry().size();
    let place = |index: usize| {
        let voxel = [index % nx, index / nx % ny, index / (nx * ny)];
        (voxel, first.geometry().world_from_voxel().apply(voxel.map(|i| i as f64)))
    };
    VoxelChange {
        at_same_place,
        count: first.as_slice().len(),
        differing,
        not_finite,
        largest,
        largest_at: largest_index.map(place),
        mean: mean(sum),
        mean_absolute: mean(absolute),
        root_mean_square: mean(squares).sqrt(),
    }
}
