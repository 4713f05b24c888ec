/// Fine voxels per coarse one along x, y, z, by the choice of the parameter `scale`: what the shipped weights were trained
/// for, and both in turn. A host refuses others, with this list.
pub const SCALES: [(&str, [usize; 3]); 3] = [("2x2x1", [2, 2, 1]), ("1x1x2", [1, 1, 2]), ("2x2x2", [2, 2, 2])];

/// The factors x, y, z of a choice of [`SCALES`].
pub fn factors_of(choice: &str) -> Option<[usize; 3]> {
    SCALES.iter().find(|(name, _)| *name == choice).map(|(_, factors)| *factors)
}
