use crate::discretise::Discretised;
use crate::roi::Roi;

/// A region of interest as the families of the IBSI mode see it: after interpolation, resegmentation and discretisation.
pub(crate) struct Region {
    /// Spacing of the grid, x, y, z in mm.
    pub(crate) spacing_mm: [f64; 3],
    /// Morphological mask, in its own box on the interpolated grid.
    pub(crate) morphological: Roi,
    /// Intensity mask, resegmented and without NaN voxels, in its own box on the same grid. A part of `morphological`.
    pub(crate) intensity: Roi,
    /// Intensities of `intensity`'s voxels, x fastest; finite, at least one.
    pub(crate) intensities: Vec<f64>,
    /// Resegmentation range, lower and upper bound; infinite where it is open.
    pub(crate) range: (f64, f64),
    /// Grey levels of `intensities`; none when no wanted family reads them.
    pub(crate) levels: Discretised,
    /// The interpolated image within the reach of the local intensity peak; empty when that is not wanted.
    pub(crate) neighbourhood: Neighbourhood,
}

/// Intensities of a box of the interpolated image.
pub(crate) struct Neighbourhood {
    /// First voxel of the box on the interpolated grid, x, y, z.
    pub(crate) first: [usize; 3],
    /// Size of the box, x, y, z.
    pub(crate) size: [usize; 3],
    /// Intensities, x fastest; NaN where the image has none.
    pub(crate) values: Vec<f64>,
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A box full of `intensities` at 1 mm, alone in its image; levels are the whole parts from 1 on.
    pub(crate) fn region_of(size: [usize; 3], intensities: &[f64]) -> Region {
        let roi = Roi { first: [0; 3], size, inside: vec![true; intensities.len()] };
        let whole: Vec<u32> = intensities.iter().map(|&x| x.max(1.0) as u32).collect();
        let levels = Discretised::of_levels(&whole).unwrap();
        Region {
            spacing_mm: [1.0; 3],
            morphological: roi.clone(),
            intensity: roi,
            intensities: intensities.to_vec(),
            range: (f64::NEG_INFINITY, f64::INFINITY),
            levels,
            neighbourhood: Neighbourhood { first: [0; 3], size, values: intensities.to_vec() },
        }
    }
}
