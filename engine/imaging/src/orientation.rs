use std::fmt;
use std::str::FromStr;

use ndarray::{Array3, ArrayView3, Axis};
use rayon::prelude::*;

use crate::{Error, Geometry, Mask, Volume};

/// The patient directions that the voxel axes x, y, z grow towards, nearest patient axis each.
///
/// Written with one letter per axis: `L`eft or `R`ight, `P`osterior or `A`nterior, `S`uperior or `I`nferior. `LPS` is an
/// axial series as DICOM stores it: x grows to the patient's left, y to the back, z to the head.
///
/// ```
/// use isoscan_imaging::{Geometry, Orientation};
/// let geometry = Geometry::axis_aligned([2, 2, 2], [1.0; 3])?;
/// assert_eq!(Orientation::of(&geometry).to_string(), "LPS");
/// assert_eq!("RAI".parse::<Orientation>()?.to_string(), "RAI");
/// # Ok::<(), isoscan_imaging::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Orientation {
    patient_axis: [usize; 3],
    negative: [bool; 3],
}

const PERMUTATIONS: [[usize; 3]; 6] = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
const LETTERS: [[char; 2]; 3] = [['L', 'R'], ['P', 'A'], ['S', 'I']];

impl Orientation {
    /// The axes of DICOM patient coordinates themselves.
    pub const LPS: Self = Self { patient_axis: [0, 1, 2], negative: [false; 3] };

    /// The orientation of a grid: of the six ways to pair voxel axes with patient axes, the one whose product of
    /// |cosines| is largest.
    pub fn of(geometry: &Geometry) -> Self {
        let direction = geometry.direction();
        let agreement = |p: &[usize; 3]| (0..3).map(|a| direction[a][p[a]].abs()).product::<f64>();
        let mut patient_axis = PERMUTATIONS[0];
        for candidate in PERMUTATIONS {
            if agreement(&candidate) > agreement(&patient_axis) {
                patient_axis = candidate;
            }
        }
        Self { patient_axis, negative: std::array::from_fn(|a| direction[a][patient_axis[a]] < 0.0) }
    }

    /// All 48 orientations.
    pub fn all() -> impl Iterator<Item = Self> {
        PERMUTATIONS.into_iter().flat_map(|patient_axis| {
            (0..8u8).map(move |flips| Self { patient_axis, negative: std::array::from_fn(|a| flips >> a & 1 == 1) })
        })
    }

    /// The voxel axis (0 = x) that runs closest to the patient's feet-to-head axis.
    pub(crate) fn axial_axis(self) -> usize {
        self.patient_axis.iter().position(|&p| p == 2).unwrap_or(2)
    }
}

impl fmt::Display for Orientation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (0..3).try_for_each(|a| write!(f, "{}", LETTERS[self.patient_axis[a]][usize::from(self.negative[a])]))
    }
}

impl FromStr for Orientation {
    type Err = Error;

    /// Parses three letters, one of each pair L/R, P/A, S/I, in any order.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for anything else.
    fn from_str(code: &str) -> Result<Self, Error> {
        let refuse = || Error::InvalidArgument {
            name: "orientation",
            expected: "three letters, one of each pair L/R, P/A, S/I",
            found: code.to_owned(),
        };
        let letters: [char; 3] = code.chars().collect::<Vec<_>>().try_into().map_err(|_| refuse())?;
        let mut patient_axis = [0; 3];
        let mut negative = [false; 3];
        for (a, letter) in letters.into_iter().enumerate() {
            patient_axis[a] = LETTERS.iter().position(|pair| pair.contains(&letter)).ok_or_else(refuse)?;
            negative[a] = LETTERS[patient_axis[a]][1] == letter;
        }
        if !PERMUTATIONS.contains(&patient_axis) {
            return Err(refuse());
        }
        Ok(Self { patient_axis, negative })
    }
}

/// The volume with its axes permuted and flipped to `orientation`; every voxel keeps its value and its place in the
/// patient.
///
/// The new origin is the centre of the voxel that becomes `[0, 0, 0]`.
pub fn reorient(volume: &Volume, orientation: Orientation) -> Volume {
    let turn = Turn::between(Orientation::of(volume.geometry()), orientation);
    let voxels = turn.array(volume.voxels());
    turn.on(volume, voxels, turn.geometry(volume.geometry()))
}

/// The grid that [`reorient`] brings a volume on this grid to.
pub fn reoriented(geometry: &Geometry, orientation: Orientation) -> Geometry {
    Turn::between(Orientation::of(geometry), orientation).geometry(geometry)
}

/// [`reorient`] for a mask.
pub fn reorient_mask(mask: &Mask, orientation: Orientation) -> Mask {
    let turn = Turn::between(Orientation::of(mask.geometry()), orientation);
    Mask::new(turn.array(mask.inside()), turn.geometry(mask.geometry())).expect("a turn maps array and grid alike")
}

/// A permutation with flips: axis `a` of the result is axis `from[a]` of the source, reversed where `flip[a]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Turn {
    pub(crate) from: [usize; 3],
    pub(crate) flip: [bool; 3],
}

impl Turn {
    pub(crate) fn between(source: Orientation, target: Orientation) -> Self {
        let from = target.patient_axis.map(|p| source.patient_axis.iter().position(|&q| q == p).unwrap_or(0));
        Self { from, flip: std::array::from_fn(|a| source.negative[from[a]] != target.negative[a]) }
    }

    pub(crate) fn inverse(self) -> Self {
        let mut back = Self { from: [0; 3], flip: [false; 3] };
        for a in 0..3 {
            back.from[self.from[a]] = a;
            back.flip[self.from[a]] = self.flip[a];
        }
        back
    }

    pub(crate) fn geometry(self, source: &Geometry) -> Geometry {
        let (size, spacing, direction) = (source.size(), source.spacing_mm(), source.direction());
        let mut first = [0.0; 3];
        for a in 0..3 {
            if self.flip[a] {
                first[self.from[a]] = (size[self.from[a]] - 1) as f64;
            }
        }
        Geometry::new(
            self.from.map(|s| size[s]),
            self.from.map(|s| spacing[s]),
            source.world_from_voxel().apply(first),
            std::array::from_fn(|a| direction[self.from[a]].map(|c| if self.flip[a] { -c } else { c })),
        )
        .expect("a turned grid is as valid as its source")
    }

    pub(crate) fn array<T: Copy + Default + Send + Sync>(self, source: ArrayView3<'_, T>) -> Array3<T> {
        let mut turned = source.permuted_axes([2, 1, 0].map(|a: usize| 2 - self.from[a]));
        for a in 0..3 {
            if self.flip[a] {
                turned.invert_axis(Axis(2 - a));
            }
        }
        let (nz, ny, nx) = turned.dim();
        let mut voxels = vec![T::default(); nx * ny * nz];
        voxels.par_chunks_mut(nx * ny).enumerate().for_each(|(k, slice)| {
            for (row, source) in slice.chunks_exact_mut(nx).zip(turned.index_axis(Axis(0), k).rows()) {
                row.iter_mut().zip(source).for_each(|(out, value)| *out = *value);
            }
        });
        Array3::from_shape_vec((nz, ny, nx), voxels).expect("one value per voxel")
    }

    /// `voxels` on `geometry` with the modality and unit of `volume`.
    pub(crate) fn on(self, volume: &Volume, voxels: Array3<f32>, geometry: Geometry) -> Volume {
        Volume::new(voxels, geometry, volume.modality(), volume.unit()).expect("a turn maps array and grid alike")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Modality, Unit};

    fn oblique() -> Volume {
        let geometry = Geometry::new(
            [4, 3, 2],
            [0.7, 0.9, 2.5],
            [-31.0, 12.5, 400.0],
            [[0.8, 0.6, 0.0], [-0.6, 0.8, 0.0], [0.1, 0.2, 1.0]],
        )
        .unwrap();
        let voxels = Array3::from_shape_fn((2, 3, 4), |(k, j, i)| (100 * k + 10 * j + i) as f32);
        Volume::new(voxels, geometry, Modality::Mr, Unit::Arbitrary).unwrap()
    }

    #[test]
    fn letters_name_where_the_index_grows() {
        let cases: [([[f64; 3]; 3], &str); 3] = [
            ([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]], "LPS"),
            ([[0.0, 1.0, 0.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0]], "PIL"),
            ([[-0.9, 0.1, 0.0], [0.1, -0.9, 0.3], [0.0, 0.3, 0.9]], "RAS"),
        ];
        for (direction, expected) in cases {
            let geometry = Geometry::new([2, 2, 2], [1.0; 3], [0.0; 3], direction).unwrap();
            assert_eq!(Orientation::of(&geometry).to_string(), expected);
        }
    }

    #[test]
    fn a_code_that_is_no_orientation_is_refused() {
        for code in ["", "LP", "LPSS", "LRS", "lps", "LPX", "LLP"] {
            assert!(matches!(code.parse::<Orientation>(), Err(Error::InvalidArgument { .. })), "{code}");
        }
        assert!(Orientation::all().all(|o| o.to_string().parse::<Orientation>() == Ok(o)));
        assert_eq!(Orientation::all().count(), 48);
    }

    #[test]
    fn every_voxel_keeps_its_place_in_the_patient_in_all_48_orientations() {
        let volume = oblique();
        for orientation in Orientation::all() {
            let turned = reorient(&volume, orientation);
            assert_eq!(Orientation::of(turned.geometry()), orientation);
            let back = volume.geometry().voxel_from_world().after(&turned.geometry().world_from_voxel());
            for ((k, j, i), &value) in turned.voxels().indexed_iter() {
                let [x, y, z] = back.apply([i as f64, j as f64, k as f64]).map(|p| p.round() as usize);
                assert_eq!(volume.voxels()[[z, y, x]], value, "{orientation}");
            }
            let again = reorient(&turned, Orientation::of(volume.geometry()));
            assert_eq!(again.voxels(), volume.voxels());
            assert!(again.geometry().corner_distance_mm(volume.geometry()) < 1e-12);
        }
    }

    #[test]
    fn a_mask_turns_with_its_volume() {
        let volume = oblique();
        let mask = Mask::new(volume.voxels().mapv(|v| v > 110.0), volume.geometry().clone()).unwrap();
        let orientation = "IRA".parse().unwrap();
        let turned = reorient(&volume, orientation);
        assert_eq!(reorient_mask(&mask, orientation).inside(), turned.voxels().mapv(|v| v > 110.0));
    }
}
