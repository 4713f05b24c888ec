use isoscan_imaging::Geometry;

/// What the features were computed on, stage by stage, in processing order.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Diagnostics {
    /// The stages that took place: `original`, then `corrected`, `interpolated`, `resegmented`.
    pub stages: Vec<Stage>,
    /// Number of grey levels counted up to the highest occupied one; `None` when no family discretises.
    pub grey_levels: Option<u32>,
}

/// The region of interest after one stage.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Stage {
    /// PyRadiomics' word for the stage.
    pub name: &'static str,
    /// Grid of the mask after the stage.
    pub geometry: Geometry,
    /// First voxel of the region's box, x, y, z.
    pub first: [usize; 3],
    /// Size of the region's box, voxels.
    pub size: [usize; 3],
    /// Voxels in the region.
    pub voxels: usize,
    /// Number of parts that do not touch, not even at a corner.
    pub parts: usize,
    /// Mean voxel index of the region, x, y, z.
    pub centre_of_mass_index: [f64; 3],
    /// Centre of mass, LPS mm.
    pub centre_of_mass_mm: [f64; 3],
}
