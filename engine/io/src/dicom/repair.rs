//! Even slices made of uneven ones.

use std::ops::Range;

use ndarray::{Array3, Axis, Zip};

use super::voxels::Voxels;
use crate::Warning;

/// An even row of slices and how each lies among the measured ones.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct EvenSlices {
    /// Distance of neighbouring slices along the normal, mm.
    pub(crate) gap_mm: f64,
    /// For each slice the measured slice before it and how far it lies towards the next: 0 is that slice itself.
    places: Vec<(usize, f64)>,
}

/// The even row from the first to the last of `distances_mm`, ascending positions along the normal, that is closest to the
/// median gap. Where every gap is a whole multiple of the median within 1 %, the gap is refined so that the last slice is
/// met too. A slice within 1 % of a gap of a measured one is that one.
pub(crate) fn even_slices(distances_mm: &[f64], median_mm: f64) -> EvenSlices {
    const CLOSE: f64 = 0.01;
    let gaps = || distances_mm.windows(2).map(|pair| pair[1] - pair[0]);
    let times = |gap: f64| (gap / median_mm).round();
    let whole = gaps().all(|gap| times(gap) >= 1.0 && (gap / median_mm - times(gap)).abs() <= CLOSE * times(gap));
    let (first, last) = (distances_mm[0], distances_mm[distances_mm.len() - 1]);
    let gap_mm = if whole { (last - first) / gaps().map(times).sum::<f64>() } else { median_mm };
    let count = ((last - first) / gap_mm + CLOSE).floor() as usize + 1;
    let mut before = 0;
    let place = |k: usize| {
        let at = first + k as f64 * gap_mm;
        while before + 2 < distances_mm.len() && distances_mm[before + 1] <= at {
            before += 1;
        }
        let span = distances_mm[before + 1] - distances_mm[before];
        let (past, missing) = (at - distances_mm[before], distances_mm[before + 1] - at);
        match (past.abs() <= CLOSE * gap_mm, missing.abs() <= CLOSE * gap_mm) {
            (true, _) => (before, 0.0),
            (_, true) => (before + 1, 0.0),
            _ => (before, (past / span).clamp(0.0, 1.0)),
        }
    };
    EvenSlices { gap_mm, places: (0..count).map(place).collect() }
}

impl EvenSlices {
    /// Number of slices.
    pub(crate) fn count(&self) -> usize {
        self.places.len()
    }

    /// The measured slice nearest to each slice.
    pub(crate) fn nearest(&self) -> impl Iterator<Item = usize> {
        self.places.iter().map(|&(before, towards)| if towards > 0.5 { before + 1 } else { before })
    }

    /// What was done, for slices whose usual gap is `median_mm`.
    pub(crate) fn warning(&self, distances_mm: &[f64], median_mm: f64) -> Warning {
        let odd = |&(_, gap): &(usize, f64)| (gap - median_mm).abs() > (0.01 * median_mm).max(0.01);
        let gaps = distances_mm.windows(2).map(|pair| pair[1] - pair[0]).enumerate();
        Warning::EvenedSlices {
            gap_mm: self.gap_mm,
            odd_gaps_mm: gaps.map(|(i, gap)| (i + 1, gap)).filter(odd).collect(),
            measured: distances_mm.len(),
            slices: self.count(),
            interpolated: self.places.iter().filter(|(_, towards)| *towards != 0.0).count(),
        }
    }

    /// The measured slices that some slices lie among.
    pub(crate) fn measured(&self, slices: &Range<usize>) -> Range<usize> {
        match &self.places[slices.clone()] {
            [] => 0..0,
            [(first, _), .., (last, towards)] => *first..last + 1 + usize::from(*towards != 0.0),
            [(only, towards)] => *only..only + 1 + usize::from(*towards != 0.0),
        }
    }

    /// Interpolates linearly between measured slices, in f64; `measured` are those of [`measured`](Self::measured). A voxel
    /// between two is padding when either is.
    pub(crate) fn of(&self, measured: &Voxels, slices: Range<usize>) -> Voxels {
        let start = self.measured(&slices).start;
        let places = &self.places[slices];
        let (_, ny, nx) = measured.intensities.dim();
        let mut intensities = Array3::zeros((places.len(), ny, nx));
        for (&(before, towards), mut slice) in places.iter().zip(intensities.outer_iter_mut()) {
            let (low, high) = (before - start, if towards == 0.0 { before - start } else { before - start + 1 });
            let [low, high] = [low, high].map(|k| measured.intensities.index_axis(Axis(0), k));
            Zip::from(&mut slice).and(low).and(high).for_each(|slice, &low, &high| {
                *slice = (f64::from(low) * (1.0 - towards) + f64::from(high) * towards) as f32;
            });
        }
        let padding = measured.padding.as_ref().map(|padding| {
            Array3::from_shape_fn((places.len(), ny, nx), |(k, j, i)| {
                let (before, towards) = (places[k].0 - start, places[k].1);
                padding[[before, j, i]] || (towards != 0.0 && padding[[before + 1, j, i]])
            })
        });
        Voxels { intensities, padding }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_slice_is_put_halfway() {
        let even = even_slices(&[0.0, 2.0, 6.0, 8.0], 2.0);
        assert_eq!(even, EvenSlices { gap_mm: 2.0, places: vec![(0, 0.0), (1, 0.0), (1, 0.5), (2, 0.0), (3, 0.0)] });
        let measured = Voxels {
            intensities: Array3::from_shape_vec((4, 1, 1), vec![1.0, 3.0, 7.0, 2.0]).unwrap_or_default(),
            padding: None,
        };
        assert_eq!(even.of(&measured, 0..5).intensities.into_raw_vec_and_offset().0, [1.0, 3.0, 5.0, 7.0, 2.0]);
        assert_eq!([0..5, 1..3, 3..4, 2..2].map(|slices| even.measured(&slices)), [0..4, 1..3, 2..3, 0..0]);
        let intensities = Array3::from_shape_vec((2, 1, 1), vec![3.0, 7.0]).unwrap_or_default();
        let two = Voxels { intensities, padding: None };
        assert_eq!(even.of(&two, 1..3).intensities.into_raw_vec_and_offset().0, [3.0, 5.0]);
        let Warning::EvenedSlices { odd_gaps_mm, interpolated, slices, .. } = even.warning(&[0.0, 2.0, 6.0, 8.0], 2.0)
        else {
            panic!("another warning")
        };
        assert_eq!((odd_gaps_mm, interpolated, slices), (vec![(2, 4.0)], 1, 5));
    }

    #[test]
    fn uneven_gaps_are_cut_to_the_median() {
        let even = even_slices(&[0.0, 2.0, 4.0, 7.0], 2.0);
        assert_eq!(even.places, [(0, 0.0), (1, 0.0), (2, 0.0), (2, 2.0 / 3.0)]);
        assert_eq!(even.nearest().collect::<Vec<_>>(), [0, 1, 2, 3]);
    }

    #[test]
    fn jitter_does_not_grow_into_a_shift() {
        let even = even_slices(&[0.0, 3.27, 6.541, 13.084], 3.27);
        assert!((even.gap_mm - 3.271).abs() < 1e-12);
        assert_eq!(
            even.places,
            [(0, 0.0), (1, 0.0), (2, 0.0), (2, 0.5), (3, 0.0)].map(|(k, t)| {
                let exact = (3.0 * 3.271 - 6.541) / (13.084 - 6.541);
                (k, if t == 0.5 { exact } else { t })
            })
        );
    }
}
