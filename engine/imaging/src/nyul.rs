use crate::histogram::Region;
use crate::{Error, IntensityCurve, Mask, Unit, Volume};

/// The standard intensity scale of L. G. Nyúl and J. K. Udupa: where the percentiles of a volume shall lie.
///
/// Trained as in their first variant (Magn. Reson. Med. 42 (1999) 1072-1081, and IEEE Trans. Med. Imaging 19 (2000)
/// 143-150): the lowest and the highest percentile of each volume go to the ends of the scale by a straight line, and the
/// landmarks are the means of what this line makes of the percentiles.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "Landmarks", into = "Landmarks")]
pub struct StandardScale {
    trained: Landmarks,
}

#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
struct Landmarks {
    percentiles: Vec<f64>,
    landmarks: Vec<f64>,
}

impl StandardScale {
    /// Percentiles 1, 10, 20, ..., 90, 99, as usual for a head.
    pub const PERCENTILES: [f64; 11] = [1.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0, 99.0];
    /// The ends of the scale in the usual setting: 1 and 100.
    pub const ENDS: [f64; 2] = [1.0, 100.0];

    /// A scale that is known already: volume percentile `percentiles[j]` shall lie at intensity `landmarks[j]`.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] unless there are two percentiles or more, rising in 0..100, and as many landmarks, finite
    /// and never falling.
    pub fn new(percentiles: Vec<f64>, landmarks: Vec<f64>) -> Result<Self, Error> {
        let rising =
            percentiles.windows(2).all(|w| w[0] < w[1]) && percentiles.iter().all(|p| (0.0..=100.0).contains(p));
        let never_falling = landmarks.is_sorted() && landmarks.iter().all(|l| l.is_finite());
        if percentiles.len() < 2 || percentiles.len() != landmarks.len() || !rising || !never_falling {
            return Err(Error::InvalidArgument {
                name: "standard scale",
                expected: "two or more rising percentiles in 0..100, each with a finite landmark, never falling",
                found: format!("{percentiles:?} at {landmarks:?}"),
            });
        }
        Ok(Self { trained: Landmarks { percentiles, landmarks } })
    }

    /// Learns the scale from volumes, each with the region that its percentiles are taken from (all finite voxels
    /// without a mask), onto `ends`.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] without a volume, for percentiles as in [`new`](Self::new) and for ends out of order;
    /// [`Error::GeometryMismatch`] and [`Error::EmptyMask`] for a mask; [`Error::FlatIntensities`] when the first and last
    /// percentile of a volume are the same (NaN when its region has no finite voxel).
    pub fn train(volumes: &[(&Volume, Option<&Mask>)], percentiles: &[f64], ends: [f64; 2]) -> Result<Self, Error> {
        let scale = Self::new(percentiles.to_vec(), vec![0.0; percentiles.len()])?;
        if volumes.is_empty() || ends[0] >= ends[1] || !ends.iter().all(|e| e.is_finite()) {
            return Err(Error::InvalidArgument {
                name: "training of a standard scale",
                expected: "one volume or more, and two finite ends in order",
                found: format!("{} volumes, ends {ends:?}", volumes.len()),
            });
        }
        let mut landmarks = vec![0.0; percentiles.len()];
        for (volume, mask) in volumes {
            let found = scale.percentiles_of(volume, *mask)?;
            let (low, high) = (found[0], found[found.len() - 1]);
            for (landmark, value) in landmarks.iter_mut().zip(&found) {
                let part = (value - low) / (high - low);
                *landmark += (ends[0] + part * (ends[1] - ends[0])) / volumes.len() as f64;
            }
        }
        Self::new(percentiles.to_vec(), landmarks)
    }

    /// The percentiles, rising.
    pub fn percentiles(&self) -> &[f64] {
        &self.trained.percentiles
    }

    /// Where they lie on the scale.
    pub fn landmarks(&self) -> &[f64] {
        &self.trained.landmarks
    }

    fn percentiles_of(&self, volume: &Volume, mask: Option<&Mask>) -> Result<Vec<f64>, Error> {
        let found = Region::new(volume, mask)?.percentiles(&self.trained.percentiles, |x| x);
        if found[0] < found[found.len() - 1] {
            return Ok(found);
        }
        Err(Error::FlatIntensities { value: found[0] as f32 })
    }
}

/// Brings a volume onto a [`StandardScale`]: piecewise linear between the percentiles of the region (all finite voxels
/// without a mask), which is applied to every voxel. Gives the curve that [takes it back](IntensityCurve::inverse).
///
/// Beyond the outermost percentiles the outermost pieces go on, as in TorchIO and intensity-normalization; nothing is
/// clipped. Percentiles that coincide, as in a large background, make a piece without width, which goes on as a constant
/// (TorchIO; intensity-normalization has no value there). The unit becomes [`Unit::Normalized`].
///
/// ```
/// use isoscan_imaging::{Geometry, Modality, StandardScale, Unit, Volume, standardize};
/// let ramp = ndarray::Array3::from_shape_fn((1, 1, 101), |(_, _, i)| 4.0 * i as f32);
/// let volume = Volume::new(ramp, Geometry::axis_aligned([101, 1, 1], [1.0; 3])?, Modality::Mr, Unit::Arbitrary)?;
/// let scale = StandardScale::train(&[(&volume, None)], &[0.0, 50.0, 100.0], [0.0, 100.0])?;
/// assert_eq!(scale.landmarks(), [0.0, 50.0, 100.0]);
/// let (standard, _) = standardize(&volume, None, &scale)?;
/// assert_eq!(standard.as_slice()[25], 25.0);
/// # Ok::<(), isoscan_imaging::Error>(())
/// ```
///
/// # Errors
/// [`Error::GeometryMismatch`] and [`Error::EmptyMask`] for the mask; [`Error::FlatIntensities`] when the first and last
/// percentile are the same (NaN when the region has no finite voxel).
pub fn standardize(
    volume: &Volume,
    mask: Option<&Mask>,
    scale: &StandardScale,
) -> Result<(Volume, IntensityCurve), Error> {
    let curve = IntensityCurve::new(scale.percentiles_of(volume, mask)?, scale.landmarks().to_vec())?;
    Ok((curve.apply(volume, Unit::Normalized), curve))
}

impl TryFrom<Landmarks> for StandardScale {
    type Error = Error;

    fn try_from(landmarks: Landmarks) -> Result<Self, Error> {
        Self::new(landmarks.percentiles, landmarks.landmarks)
    }
}

impl From<StandardScale> for Landmarks {
    fn from(scale: StandardScale) -> Self {
        scale.trained
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Geometry, Modality};

    #[test]
    fn what_cannot_be_trained_is_refused() {
        let geometry = Geometry::axis_aligned([2, 1, 1], [1.0; 3]).unwrap();
        let flat = |value| Volume::filled(value, geometry.clone(), Modality::Mr, Unit::Arbitrary);
        let train =
            |volume: &Volume, percentiles: &[f64], ends| StandardScale::train(&[(volume, None)], percentiles, ends);
        assert_eq!(train(&flat(2.0), &[1.0, 99.0], [0.0, 1.0]), Err(Error::FlatIntensities { value: 2.0 }));
        assert!(matches!(train(&flat(f32::NAN), &[1.0, 99.0], [0.0, 1.0]), Err(Error::FlatIntensities { .. })));
        let rows: [(&[f64], [f64; 2]); 4] =
            [(&[50.0], [0.0, 1.0]), (&[9.0, 1.0], [0.0, 1.0]), (&[0.0, 101.0], [0.0, 1.0]), (&[1.0, 99.0], [1.0, 1.0])];
        for (percentiles, ends) in rows {
            let found = train(&flat(2.0), percentiles, ends);
            assert!(matches!(found, Err(Error::InvalidArgument { .. })), "{percentiles:?} {ends:?}");
        }
        assert!(matches!(StandardScale::train(&[], &[1.0, 99.0], [0.0, 1.0]), Err(Error::InvalidArgument { .. })));
    }
}
