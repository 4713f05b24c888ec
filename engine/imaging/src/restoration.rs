use crate::crop::{crop, padded_size};
use crate::orientation::Turn;
use crate::{
    Affine3, Error, Geometry, HistogramMatching, IntensityCurve, IntensityScale, Interpolation, Mask, Modality,
    Normalization, Orientation, Registration, StandardScale, Unit, Volume, match_histogram, move_by, normalize,
    refined, resample, standardize,
};

/// What was done to a volume, and how to take it back.
///
/// Each method prepares a volume and remembers the step; [`undo`](Self::undo) takes the steps back in reverse order on a
/// volume that lies on the prepared grid, such as the answer of a plugin.
///
/// ```
/// use isoscan_imaging::{Geometry, Modality, Orientation, Restoration, Unit, Volume};
/// let geometry = Geometry::axis_aligned([5, 4, 3], [1.0; 3])?;
/// let source = Volume::filled(40.0, geometry, Modality::Ct, Unit::Hounsfield);
/// let mut restoration = Restoration::new();
/// let prepared = restoration.reorient(&source, "RAS".parse()?);
/// let prepared = restoration.crop(&prepared, [1, 1, 0], [8, 8, 8], -1000.0)?;
/// assert_eq!(restoration.undo(&prepared)?, source);
/// # Ok::<(), isoscan_imaging::Error>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Restoration {
    steps: Vec<Step>,
}

#[derive(Debug, Clone)]
enum Step {
    Turn { turn: Turn, before: Geometry, after: Geometry },
    Resample { interpolation: Interpolation, before: Geometry, after: Geometry },
    Crop { first: [i64; 3], before: Geometry, after: Geometry, cut_off: Option<Box<Volume>> },
    Move { before: Geometry, after: Geometry },
    Scale { scale: IntensityScale, unit: Unit, modality: Modality },
    Curve { back: IntensityCurve, prepared: Unit, unit: Unit, modality: Modality },
}

impl Restoration {
    /// Nothing done yet: [`undo`](Self::undo) gives its argument back.
    pub fn new() -> Self {
        Self::default()
    }

    /// [`reorient`](crate::reorient); taken back bit for bit.
    pub fn reorient(&mut self, volume: &Volume, orientation: Orientation) -> Volume {
        let turn = Turn::between(Orientation::of(volume.geometry()), orientation);
        let after = turn.geometry(volume.geometry());
        let turned = turn.on(volume, turn.array(volume.voxels()), after.clone());
        self.steps.push(Step::Turn { turn, before: volume.geometry().clone(), after });
        turned
    }

    /// [`resample`]; taken back by resampling to the very grid it came from with the same interpolation (labels with
    /// nearest).
    pub fn resample(
        &mut self,
        volume: &Volume,
        geometry: &Geometry,
        interpolation: Interpolation,
        fill: f32,
    ) -> Volume {
        let resampled = resample(volume, geometry, interpolation, fill);
        self.steps.push(Step::Resample { interpolation, before: volume.geometry().clone(), after: geometry.clone() });
        resampled
    }

    /// [`move_by`]: only the grid moves; taken back bit for bit.
    ///
    /// # Errors
    /// As [`move_by`].
    pub fn move_by(&mut self, volume: &Volume, world_to_from_world: &Affine3) -> Result<Volume, Error> {
        let moved = move_by(volume, world_to_from_world)?;
        self.steps.push(Step::Move { before: volume.geometry().clone(), after: moved.geometry().clone() });
        Ok(moved)
    }

    /// The moving volume of a registration on the grid of the fixed one, as
    /// [`resample_moved`](crate::resample_moved); taken back by resampling to the very grid it came from. That grid
    /// comes back bit for bit, the voxels do not: they are interpolated there and back, and what lies outside the fixed
    /// grid is lost. Where only positions matter, [`Self::move_by`] loses nothing.
    ///
    /// # Errors
    /// As [`resample_moved`](crate::resample_moved).
    pub fn resample_moved(
        &mut self,
        moving: &Volume,
        registration: &Registration,
        fixed: &Geometry,
        interpolation: Interpolation,
        fill: f32,
    ) -> Result<Volume, Error> {
        let moved = self.move_by(moving, &registration.world_fixed_from_moving()?)?;
        Ok(self.resample(&moved, fixed, interpolation, fill))
    }

    /// [`crop`](crate::crop); padding is cut off bit for bit, and what was cut off comes back from the volume given
    /// here, which is kept for that.
    ///
    /// # Errors
    /// As [`crop`](crate::crop).
    pub fn crop(&mut self, volume: &Volume, first: [i64; 3], size: [usize; 3], fill: f32) -> Result<Volume, Error> {
        let cropped = crop(volume, first, size, fill)?;
        let before = volume.geometry().clone();
        let whole = (0..3).all(|a| first[a] <= 0 && first[a] + size[a] as i64 >= before.size()[a] as i64);
        let cut_off = (!whole).then(|| Box::new(volume.clone()));
        self.steps.push(Step::Crop { first, before, after: cropped.geometry().clone(), cut_off });
        Ok(cropped)
    }

    /// [`pad_to_multiple`](crate::pad_to_multiple); taken back bit for bit.
    ///
    /// # Errors
    /// As [`pad_to_multiple`](crate::pad_to_multiple).
    pub fn pad_to_multiple(&mut self, volume: &Volume, multiple: [usize; 3], fill: f32) -> Result<Volume, Error> {
        self.crop(volume, [0; 3], padded_size(volume.geometry().size(), multiple)?, fill)
    }

    /// [`normalize`]; taken back by its scale, see [`undo`](Self::undo).
    ///
    /// # Errors
    /// As [`normalize`].
    pub fn normalize(
        &mut self,
        volume: &Volume,
        mask: Option<&Mask>,
        normalization: Normalization,
    ) -> Result<Volume, Error> {
        let (normalized, scale) = normalize(volume, mask, normalization)?;
        self.steps.push(Step::Scale { scale, unit: volume.unit(), modality: volume.modality() });
        Ok(normalized)
    }

    /// [`IntensityScale::apply`]; taken back by the same scale, see [`undo`](Self::undo).
    pub fn scale(&mut self, volume: &Volume, scale: IntensityScale) -> Volume {
        self.steps.push(Step::Scale { scale, unit: volume.unit(), modality: volume.modality() });
        scale.apply(volume)
    }

    /// [`standardize`]; taken back by the [inverse](IntensityCurve::inverse) of its curve, see [`undo`](Self::undo).
    ///
    /// # Errors
    /// As [`standardize`] and [`IntensityCurve::inverse`].
    pub fn standardize(
        &mut self,
        volume: &Volume,
        mask: Option<&Mask>,
        scale: &StandardScale,
    ) -> Result<Volume, Error> {
        let (standard, curve) = standardize(volume, mask, scale)?;
        self.curve(volume, standard, &curve)
    }

    /// [`match_histogram`]; taken back by the [inverse](IntensityCurve::inverse) of its curve, see [`undo`](Self::undo).
    ///
    /// # Errors
    /// As [`match_histogram`] and [`IntensityCurve::inverse`].
    pub fn match_histogram(
        &mut self,
        volume: &Volume,
        mask: Option<&Mask>,
        reference: &Volume,
        reference_mask: Option<&Mask>,
        rule: HistogramMatching,
    ) -> Result<Volume, Error> {
        let (matched, curve) = match_histogram(volume, mask, reference, reference_mask, rule)?;
        self.curve(volume, matched, &curve)
    }

    fn curve(&mut self, source: &Volume, changed: Volume, curve: &IntensityCurve) -> Result<Volume, Error> {
        let (unit, modality, prepared) = (source.unit(), source.modality(), changed.unit());
        self.steps.push(Step::Curve { back: curve.inverse()?, prepared, unit, modality });
        Ok(changed)
    }

    /// The same steps for an answer on the prepared grid [refined](crate::refined) by `factors` along its axes: it comes back
    /// onto the original grid, refined by the same factors along the axes that they came from. What a crop removed stays
    /// background, since the source has no voxels of that size.
    ///
    /// # Errors
    /// [`Error::InvalidGeometry`] when a refined grid fits no memory.
    pub fn refined(&self, factors: [usize; 3]) -> Result<Self, Error> {
        if factors == [1; 3] {
            return Ok(self.clone());
        }
        let mut after = factors;
        let mut steps = Vec::with_capacity(self.steps.len());
        for step in self.steps.iter().rev() {
            let (step, before) = step.refined(after)?;
            steps.push(step);
            after = before;
        }
        steps.reverse();
        Ok(Self { steps })
    }

    /// Brings a volume on the prepared grid back onto the original one, whose [`Geometry`] it gets bit for bit.
    ///
    /// Intensities follow what the volume says it is:
    /// - same modality as the source and [`Unit::Normalized`] (after matching a histogram: the reference's unit): the scale
    ///   or curve is taken back and the source's unit returns;
    /// - anything else (MR translated to HU, a label map, a normalized PET made from an MR): the source's scale means
    ///   nothing for it, so values, modality and unit stay.
    ///
    /// Where a crop cut something off, a volume of the source's modality and unit gets the source's own voxels back;
    /// any other has no value there and gets air for [`Unit::Hounsfield`] (-1000) and 0 for every other unit. The same
    /// background is used where a resampled grid did not cover the original one.
    ///
    /// # Errors
    /// [`Error::GeometryMismatch`] when the volume does not lie on the prepared grid (within 1e-6 mm).
    pub fn undo(&self, translated: &Volume) -> Result<Volume, Error> {
        let mut volume = translated.clone();
        for step in self.steps.iter().rev() {
            volume = step.undo(volume)?;
        }
        Ok(volume)
    }
}

impl Step {
    /// The step between grids refined by `factors` along the axes of the one after it, and the factors along those of the
    /// one before it.
    fn refined(&self, factors: [usize; 3]) -> Result<(Self, [usize; 3]), Error> {
        let fine = |geometry: &Geometry| refined(geometry, factors);
        let step = match self {
            Self::Turn { turn, before, after } => {
                let mut turned = [1; 3];
                for (axis, factor) in factors.into_iter().enumerate() {
                    turned[turn.from[axis]] = factor;
                }
                let step = Self::Turn { turn: *turn, before: refined(before, turned)?, after: fine(after)? };
                return Ok((step, turned));
            }
            Self::Resample { interpolation, before, after } => {
                Self::Resample { interpolation: *interpolation, before: fine(before)?, after: fine(after)? }
            }
            Self::Crop { first, before, after, .. } => {
                let first = std::array::from_fn(|a| first[a].saturating_mul(factors[a] as i64));
                Self::Crop { first, before: fine(before)?, after: fine(after)?, cut_off: None }
            }
            Self::Move { before, after } => Self::Move { before: fine(before)?, after: fine(after)? },
            Self::Scale { .. } | Self::Curve { .. } => self.clone(),
        };
        Ok((step, factors))
    }

    fn undo(&self, volume: Volume) -> Result<Volume, Error> {
        match self {
            Self::Turn { turn, before, after } => {
                require_prepared(after, &volume)?;
                Ok(turn.on(&volume, turn.inverse().array(volume.voxels()), before.clone()))
            }
            Self::Resample { interpolation, before, after } => {
                require_prepared(after, &volume)?;
                let interpolation = if volume.unit() == Unit::Label { Interpolation::Nearest } else { *interpolation };
                Ok(resample(&volume, before, interpolation, background(volume.unit())))
            }
            Self::Crop { first, before, after, cut_off } => {
                require_prepared(after, &volume)?;
                let back = crop(&volume, first.map(|f| -f), before.size(), background(volume.unit()))?;
                let mut voxels = back.into_voxels();
                let known = cut_off.as_ref().filter(|s| (s.modality(), s.unit()) == (volume.modality(), volume.unit()));
                if let Some(source) = known {
                    for ((k, j, i), voxel) in voxels.indexed_iter_mut() {
                        let inside = [i, j, k]
                            .iter()
                            .zip(first)
                            .zip(after.size())
                            .all(|((index, first), size)| (0..size as i64).contains(&(*index as i64 - first)));
                        if !inside {
                            *voxel = source.voxels()[[k, j, i]];
                        }
                    }
                }
                Volume::new(voxels, before.clone(), volume.modality(), volume.unit())
            }
            Self::Move { before, after } => {
                require_prepared(after, &volume)?;
                let (modality, unit) = (volume.modality(), volume.unit());
                Volume::new(volume.into_voxels(), before.clone(), modality, unit)
            }
            Self::Scale { scale, unit, modality } => {
                if volume.unit() == Unit::Normalized && volume.modality() == *modality {
                    return Ok(scale.undo(&volume, *unit));
                }
                Ok(volume)
            }
            Self::Curve { back, prepared, unit, modality } => {
                if volume.unit() == *prepared && volume.modality() == *modality {
                    return Ok(back.apply(&volume, *unit));
                }
                Ok(volume)
            }
        }
    }
}

fn require_prepared(prepared: &Geometry, volume: &Volume) -> Result<(), Error> {
    prepared.require_same(volume.geometry(), 1e-6)
}

/// What stands where nothing was translated: air for [`Unit::Hounsfield`] (-1000), 0 for every other unit.
pub fn background(unit: Unit) -> f32 {
    if unit == Unit::Hounsfield { -1000.0 } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;

    use super::*;

    fn source() -> Volume {
        let geometry = Geometry::new(
            [9, 8, 7],
            [0.7, 0.9, 1.3],
            [-31.7, 12.3, 400.1],
            [[0.8, 0.6, 0.0], [-0.6, 0.8, 0.0], [0.1, 0.2, 1.0]],
        )
        .unwrap();
        let voxels =
            Array3::from_shape_fn((7, 8, 9), |(k, j, i)| ((i * 73 + j * 179 + k * 283) % 1999) as f32 - 1000.0);
        Volume::new(voxels, geometry, Modality::Ct, Unit::Hounsfield).unwrap()
    }

    /// The same grid to the last bit, `-0.0` and `0.0` told apart.
    fn assert_same_grid(found: &Geometry, expected: &Geometry) {
        let bits = |g: &Geometry| {
            let numbers = g.spacing_mm().into_iter().chain(g.origin_mm()).chain(g.direction().into_iter().flatten());
            (g.size(), numbers.map(f64::to_bits).collect::<Vec<_>>())
        };
        assert_eq!(bits(found), bits(expected));
    }

    #[test]
    fn turned_cropped_and_padded_volumes_come_back_bit_for_bit_from_all_48_orientations() {
        let source = source();
        for orientation in Orientation::all() {
            let mut restoration = Restoration::new();
            let prepared = restoration.reorient(&source, orientation);
            let prepared = restoration.crop(&prepared, [2, -3, 1], [4, 20, 3], -1024.0).unwrap();
            let prepared = restoration.pad_to_multiple(&prepared, [8, 8, 4], 0.0).unwrap();
            let back = restoration.undo(&prepared).unwrap();
            assert_eq!(back, source, "{orientation}");
            assert_same_grid(back.geometry(), source.geometry());
        }
    }

    #[test]
    fn a_resampled_volume_comes_back_onto_the_very_grid_in_all_48_orientations() {
        // A linear function of position survives linear resampling there and back away from the rim.
        let geometry = source().geometry().clone();
        let world = geometry.world_from_voxel();
        let ramp = Array3::from_shape_fn((7, 8, 9), |(k, j, i)| {
            let [x, y, z] = world.apply([i as f64, j as f64, k as f64]);
            (2.0 * x - y + 0.5 * z) as f32
        });
        let source = source().with_voxels(ramp).unwrap();
        for orientation in Orientation::all() {
            let mut restoration = Restoration::new();
            let turned = restoration.reorient(&source, orientation);
            let finer = crate::with_spacing(turned.geometry(), [0.5, 0.45, 0.6]).unwrap();
            let prepared = restoration.resample(&turned, &finer, Interpolation::BSpline, 0.0);
            let prepared = restoration.normalize(&prepared, None, Normalization::ZScore).unwrap();
            let back = restoration.undo(&prepared).unwrap();
            assert_same_grid(back.geometry(), source.geometry());
            assert_eq!((back.modality(), back.unit()), (Modality::Ct, Unit::Hounsfield));
            for ((k, j, i), value) in back.voxels().indexed_iter() {
                let inner = (2..7).contains(&i) && (2..6).contains(&j) && (2..5).contains(&k);
                let error = (value - source.voxels()[[k, j, i]]).abs();
                assert!(!inner || error < 0.2, "{orientation} {i} {j} {k}: {error}");
            }
        }
    }

    #[test]
    fn what_a_crop_removed_comes_back_only_for_the_same_meaning() {
        let source = source();
        let mut restoration = Restoration::new();
        let prepared = restoration.crop(&source, [3, 3, 3], [2, 2, 2], 0.0).unwrap();
        let rows = [
            (Modality::Ct, Unit::Hounsfield, source.voxels()[[0, 0, 0]]),
            (Modality::Mr, Unit::Arbitrary, 0.0),
            (Modality::Mr, Unit::Hounsfield, -1000.0),
            (Modality::Seg, Unit::Label, 0.0),
        ];
        for (modality, unit, outside) in rows {
            let answer = prepared.map(|_| 7.0).with_meaning(modality, unit);
            let back = restoration.undo(&answer).unwrap();
            assert_eq!((back.voxels()[[0, 0, 0]], back.voxels()[[3, 4, 4]]), (outside, 7.0));
            assert_eq!((back.modality(), back.unit()), (modality, unit));
        }
    }

    #[test]
    fn the_intensity_scale_is_taken_back_only_for_normalized_values_of_the_same_modality() {
        let source = source();
        let mut restoration = Restoration::new();
        let scale = IntensityScale::new(1000.0, -24.0).unwrap();
        let prepared = restoration.scale(&source, scale);
        let rows = [
            (Modality::Ct, Unit::Normalized, 476.0, Unit::Hounsfield),
            (Modality::Mr, Unit::Normalized, 0.5, Unit::Normalized),
            (Modality::Ct, Unit::Hounsfield, 0.5, Unit::Hounsfield),
            (Modality::Seg, Unit::Label, 0.5, Unit::Label),
        ];
        for (modality, unit, value, expected_unit) in rows {
            let back = restoration.undo(&prepared.map(|_| 0.5).with_meaning(modality, unit)).unwrap();
            assert_eq!((back.as_slice()[0], back.unit()), (value, expected_unit));
        }
    }

    #[test]
    fn intensity_curves_are_taken_back() {
        let source = source();
        let mut restoration = Restoration::new();
        let scale = StandardScale::train(&[(&source, None)], &StandardScale::PERCENTILES, StandardScale::ENDS).unwrap();
        let standard = restoration.standardize(&source, None, &scale).unwrap();
        let reference = standard.map(|v| v * v + 3.0 * v);
        let rule = HistogramMatching { bins: 64, points: 5, threshold_at_mean: true };
        let matched = restoration.match_histogram(&standard, None, &reference, None, rule).unwrap();
        assert_ne!(matched, standard);
        let back = restoration.undo(&matched).unwrap();
        assert_eq!(back.unit(), Unit::Hounsfield);
        for (found, expected) in back.as_slice().iter().zip(source.as_slice()) {
            assert!((found - expected).abs() < 0.01, "{found} {expected}");
        }
        let label = matched.with_meaning(Modality::Seg, Unit::Label);
        assert_eq!(restoration.undo(&label), Ok(label));
    }

    #[test]
    fn labels_come_back_as_labels() {
        let source = source();
        let mut restoration = Restoration::new();
        let coarse = crate::with_spacing(source.geometry(), [1.5; 3]).unwrap();
        let prepared = restoration.resample(&source, &coarse, Interpolation::Linear, 0.0);
        let labels = prepared.map(|v| if v > 0.0 { 3.0 } else { 1.0 }).with_meaning(Modality::Seg, Unit::Label);
        let back = restoration.undo(&labels).unwrap();
        assert!(back.as_slice().iter().all(|v| *v == 3.0 || *v == 1.0));
    }

    #[test]
    fn a_finer_answer_comes_back_onto_the_refined_grid_from_all_48_orientations() {
        let source = source();
        let world = |geometry: &Geometry, [i, j, k]: [usize; 3]| {
            let [x, y, z] = geometry.world_from_voxel().apply([i as f64, j as f64, k as f64]);
            (2.0 * x - y + 0.5 * z) as f32
        };
        for orientation in Orientation::all() {
            let mut restoration = Restoration::new();
            let turned = restoration.reorient(&source, orientation);
            let fine = refined(turned.geometry(), [2, 1, 3]).unwrap();
            let [nx, ny, nz] = fine.size();
            let voxels = Array3::from_shape_fn((nz, ny, nx), |(k, j, i)| world(&fine, [i, j, k]));
            let answer = Volume::new(voxels, fine, Modality::Ct, Unit::Hounsfield).unwrap();
            let back = restoration.refined([2, 1, 3]).unwrap().undo(&answer).unwrap();
            let mut factors = [0, 1, 2].map(|a| back.geometry().size()[a] / source.geometry().size()[a]);
            assert_same_grid(back.geometry(), &refined(source.geometry(), factors).unwrap());
            for ((k, j, i), value) in back.voxels().indexed_iter() {
                assert!((value - world(back.geometry(), [i, j, k])).abs() < 1e-3, "{orientation}");
            }
            factors.sort_unstable();
            assert_eq!(factors, [1, 2, 3]);
        }
    }

    #[test]
    fn a_finer_answer_comes_back_through_crops_and_resampling() {
        let source = source();
        let mut restoration = Restoration::new();
        let cropped = restoration.crop(&source, [2, -1, 0], [4, 10, 7], -1000.0).unwrap();
        let fine = refined(cropped.geometry(), [2, 2, 1]).unwrap();
        let answer = Volume::filled(7.0, fine, Modality::Ct, Unit::Hounsfield);
        let back = restoration.refined([2, 2, 1]).unwrap().undo(&answer).unwrap();
        assert_same_grid(back.geometry(), &refined(source.geometry(), [2, 2, 1]).unwrap());
        assert_eq!([3, 4, 11, 12].map(|i| back.voxels()[[0, 0, i]]), [-1000.0, 7.0, 7.0, -1000.0]);

        let mut restoration = Restoration::new();
        let coarse = crate::with_spacing(source.geometry(), [1.4, 1.8, 2.6]).unwrap();
        let prepared = restoration.resample(&source, &coarse, Interpolation::Linear, 0.0);
        let fine = refined(prepared.geometry(), [2, 2, 2]).unwrap();
        let back = restoration.refined([2; 3]).unwrap();
        let back = back.undo(&Volume::filled(7.0, fine, Modality::Ct, Unit::Hounsfield)).unwrap();
        assert_same_grid(back.geometry(), &refined(source.geometry(), [2; 3]).unwrap());
        assert_eq!(back.voxels()[[6, 7, 8]], 7.0);
    }

    #[test]
    fn an_answer_on_another_grid_is_refused() {
        let source = source();
        let mut restoration = Restoration::new();
        let prepared = restoration.reorient(&source, Orientation::LPS);
        let smaller = crop(&prepared, [0; 3], [3; 3], 0.0).unwrap();
        assert!(matches!(restoration.undo(&smaller), Err(Error::GeometryMismatch { .. })));
        assert_eq!(Restoration::new().undo(&smaller), Ok(smaller));
    }
}
