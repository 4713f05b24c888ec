use crate::intensity::finite_values;
use crate::{Error, Mask, Modality, Volume, fill_holes, largest_component};

/// The voxels with `low <= x <= high`; NaN is outside.
pub fn threshold(volume: &Volume, low: f32, high: f32) -> Mask {
    let inside = volume.voxels().mapv(|v| low <= v && v <= high);
    Mask::new(inside, volume.geometry().clone()).expect("one bool per voxel")
}

/// Otsu's threshold: the intensity that parts the finite voxels into two classes of largest between-class variance.
///
/// Over a histogram of 256 equal bins from minimum to maximum; with `P` the share and `m` the mean of the bins up to
/// `t`, and `M` the mean of all, it maximizes `(M·P - P·m)² / (P · (1 - P))` and gives the upper edge of bin `t`; of
/// equal maxima the first. Voxels above the threshold are the brighter class. N. Otsu, IEEE Trans. SMC 9 (1979) 62-66,
/// eq. 18.
///
/// # Errors
/// [`Error::FlatIntensities`] when the volume has no two different finite values.
pub fn otsu(volume: &Volume) -> Result<f32, Error> {
    const BINS: usize = 256;
    let values = finite_values(volume, None)?;
    let low = f64::from(values.iter().copied().fold(f32::INFINITY, f32::min));
    let high = f64::from(values.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    if low >= high {
        return Err(Error::FlatIntensities { value: values.first().copied().unwrap_or(f32::NAN) });
    }
    let width = (high - low) / BINS as f64;
    let mut histogram = [0u64; BINS];
    for value in values.iter() {
        histogram[(((f64::from(*value) - low) / width) as usize).min(BINS - 1)] += 1;
    }
    let total = values.len() as f64;
    let mean = histogram.iter().enumerate().map(|(bin, &n)| bin as f64 * n as f64).sum::<f64>() / total;
    let (mut share, mut moment) = (0.0, 0.0);
    let (mut best, mut best_bin) = (-1.0, 0);
    for (bin, &n) in histogram[..BINS - 1].iter().enumerate() {
        share += n as f64 / total;
        moment += bin as f64 * n as f64 / total;
        let variance = (mean * share - moment).powi(2) / (share * (1.0 - share));
        if variance > best {
            (best, best_bin) = (variance, bin);
        }
    }
    Ok((low + (best_bin + 1) as f64 * width) as f32)
}

/// The patient without the air around: for CT the voxels above -300 HU, else those above [`otsu`]'s threshold; of these
/// the largest piece, with the holes of every axial slice filled.
///
/// # Errors
/// [`Error::FlatIntensities`] from [`otsu`], [`Error::EmptyMask`] when a CT holds nothing denser than -300 HU.
pub fn body(volume: &Volume) -> Result<Mask, Error> {
    let level = if volume.modality() == Modality::Ct { -300.0 } else { otsu(volume)? };
    let inside = volume.voxels().mapv(|v| v > level);
    let dense = Mask::new(inside, volume.geometry().clone()).expect("one bool per voxel");
    dense.require_any()?;
    Ok(fill_holes(&largest_component(&dense)))
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;

    use super::*;
    use crate::{Geometry, Unit};

    fn volume(size: [usize; 3], modality: Modality, value: impl Fn([usize; 3]) -> f32) -> Volume {
        let geometry = Geometry::axis_aligned(size, [1.0; 3]).unwrap();
        let voxels = Array3::from_shape_fn((size[2], size[1], size[0]), |(k, j, i)| value([i, j, k]));
        Volume::new(voxels, geometry, modality, Unit::Arbitrary).unwrap()
    }

    #[test]
    fn both_ends_of_a_threshold_are_inside_and_nan_is_not() {
        let row = [1.0, 2.0, 3.0, f32::NAN, 4.0];
        let source = volume([5, 1, 1], Modality::Mr, |[i, _, _]| row[i]);
        let found = threshold(&source, 2.0, 3.0);
        assert_eq!(found.inside().as_slice().unwrap(), [false, true, true, false, false]);
        assert_eq!(threshold(&source, 5.0, 1.0).count(), 0);
    }

    #[test]
    fn otsu_parts_two_groups() {
        // 0, 1, 2 and 254, 255, 256: bins of width 1, best cut behind bin 2 (the first of the equal maxima).
        let row = [0.0, 1.0, 2.0, 254.0, 255.0, 256.0, f32::NAN];
        let source = volume([7, 1, 1], Modality::Mr, |[i, _, _]| row[i]);
        assert_eq!(otsu(&source), Ok(3.0));
    }

    #[test]
    fn one_value_has_no_threshold() {
        for value in [5.0, f32::NAN] {
            let source = volume([3, 1, 1], Modality::Mr, |_| value);
            assert!(matches!(otsu(&source), Err(Error::FlatIntensities { .. })));
            assert!(matches!(body(&source), Err(Error::FlatIntensities { .. })));
        }
    }

    #[test]
    fn the_body_is_filled_and_free_of_the_table() {
        // A 6x6 ring of tissue around lung, in 3 slices, and a table line below it.
        let tissue = |[i, j, _]: [usize; 3]| match (i, j) {
            (1..=6, 1 | 6) | (1 | 6, 1..=6) => 40.0,
            (2..=5, 2..=5) => -850.0,
            (_, 8) => 100.0,
            _ => -1000.0,
        };
        let found = body(&volume([9, 9, 3], Modality::Ct, tissue)).unwrap();
        assert_eq!(found.count(), 36 * 3);
        assert_eq!(found.bounding_box(), Some(([1, 1, 0], [6, 6, 3])));
    }

    #[test]
    fn a_scan_of_air_has_no_body() {
        let air = volume([3, 3, 3], Modality::Ct, |_| -1000.0);
        assert_eq!(body(&air), Err(Error::EmptyMask { voxels: 27 }));
    }
}
