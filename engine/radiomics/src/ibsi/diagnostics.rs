use isoscan_imaging::Geometry;
use rayon::prelude::*;

use crate::roi::Roi;

/// Name and value of a diagnostic.
pub(super) type Row = (String, f64);

const AXES: [char; 3] = ['x', 'y', 'z'];

/// Size, spacing and intensities of an image after a step of processing: `init`, `interp`.
pub(super) fn image(step: &str, geometry: &Geometry, extent: Extent) -> Vec<Row> {
    let (size, spacing_mm) = (geometry.size(), geometry.spacing_mm());
    let sizes = (0..3).map(|a| (format!("img_dim_{}_{step}_img", AXES[a]), size[a] as f64));
    let spacings = (0..3).map(|a| (format!("vox_dim_{}_{step}_img", AXES[a]), spacing_mm[a]));
    let extent = extent.named().map(|(name, value)| (format!("{name}_{step}_img"), value));
    sizes.chain(spacings).chain(extent).collect()
}

/// Boxes, voxel counts and intensities of the masks after a step of processing: `init`, `interp`, `reseg`.
pub(super) fn masks(
    step: &str,
    geometry: &Geometry,
    intensity: &Roi,
    morphological: &Roi,
    intensities: &[f64],
) -> Vec<Row> {
    let size = geometry.size();
    let dimensions = (0..3).map(|a| (format!("int_mask_dim_{}_{step}_roi", AXES[a]), size[a] as f64));
    let masks = [("int", intensity), ("morph", morphological)];
    let boxes = masks.into_iter().flat_map(|(mask, roi)| {
        (0..3).map(move |a| (format!("{mask}_mask_bb_dim_{}_{step}_roi", AXES[a]), roi.size[a] as f64))
    });
    let counts = masks.into_iter().map(|(mask, roi)| (format!("{mask}_mask_vox_count_{step}_roi"), roi.count() as f64));
    let extent = Extent::of(intensities).named();
    let extent = extent.map(|(name, value)| (format!("int_mask_{name}_{step}_roi"), value));
    dimensions.chain(boxes).chain(counts).chain(extent).collect()
}

/// Sum and range of the intensities that are numbers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Extent {
    count: usize,
    sum: f64,
    low: f64,
    high: f64,
}

impl Extent {
    /// Blocks have a fixed length, so that the number of threads does not change the sum.
    pub(super) fn of<T: Copy + Into<f64> + Sync>(intensities: &[T]) -> Self {
        let of_block = |block: &[T]| {
            block
                .iter()
                .map(|&x| x.into())
                .filter(|x| !x.is_nan())
                .fold(Self::NONE, |extent, x| extent.with(Self { count: 1, sum: x, low: x, high: x }))
        };
        let blocks: Vec<Self> = intensities.par_chunks(4096).map(of_block).collect();
        blocks.into_iter().fold(Self::NONE, Self::with)
    }

    const NONE: Self = Self { count: 0, sum: 0.0, low: f64::INFINITY, high: f64::NEG_INFINITY };

    fn with(self, other: Self) -> Self {
        Self {
            count: self.count + other.count,
            sum: self.sum + other.sum,
            low: self.low.min(other.low),
            high: self.high.max(other.high),
        }
    }

    /// Mean, minimum and maximum; NaN without a number.
    fn named(self) -> [(&'static str, f64); 3] {
        let number = |x: f64| if self.count > 0 { x } else { f64::NAN };
        let mean = self.sum / self.count as f64;
        [("mean_int", mean), ("min_int", number(self.low)), ("max_int", number(self.high))]
    }
}
