//! The brain of a head scan, found by a surface that grows until it meets the skull.

mod fill;
mod surface;

use rayon::prelude::*;

use crate::histogram::Region;
use crate::{Error, Geometry, Mask, Volume};
use fill::voxels_within;
use surface::{Surface, dot};

/// The brain in a T1-weighted MR of a head, skull and scalp left out, without learning.
///
/// A sphere of 2562 points in the middle of the head is blown up in 1000 steps. Each point `x` with unit normal `n` and
/// mean neighbour `x + s`, `s = s_n + s_t` along the normal and across it, moves by `s_t / 2 + f₂ s_n + 0.05 f₃ l n`:
/// ```text
/// f₂ = (1 + tanh(F (1/r - E))) / 2    r = l² / (2 |s_n|)    E = (1/r_min + 1/r_max) / 2    F = 6 / (1/r_min - 1/r_max)
/// f₃ = 2 (I_min - t_l) / (I_max - t_2)                      t_l = t_2 + fraction · (I_max - t_2)
/// I_min = max(t_2, min(t_m, I(0), …, I(d₁)))                I_max = min(t_m, max(t, I(0), …, I(d₂)))
/// ```
/// `l` is the mean distance of neighbours, `r_min` 3.33 mm, `r_max` 10 mm; `I(d)` is the intensity `d` mm inward, `d₁` 20
/// mm and `d₂` 10 mm; `t_2` and `t_98` are percentiles of the head, `t` lies a tenth of the way between them, `t_m` is
/// the median of the starting sphere. Where the surface came to cross itself the whole is done again with a stiffer
/// surface. S. Smith, Fast robust automated brain extraction, Human Brain Mapping 17 (2002) 143-155.
///
/// `fraction` is that paper's main threshold, 0 to 1, usually 0.5: smaller gives a larger brain. Of a scan that reaches
/// down to the neck only what lies within 170 mm of the highest point of the head places the start.
///
/// Lengths are those of a human head. Any orientation and spacing; the same region whatever the number of threads. NaN
/// counts as dark.
///
/// # Errors
/// [`Error::InvalidArgument`] for a fraction outside 0..1, [`Error::FlatIntensities`], [`Error::NoBrain`] when the surface
/// does not end as something that could be a brain.
pub fn brain(volume: &Volume, fraction: f64) -> Result<Mask, Error> {
    if !(fraction > 0.0 && fraction < 1.0) {
        return Err(Error::InvalidArgument {
            name: "fraction",
            expected: "between 0 and 1",
            found: fraction.to_string(),
        });
    }
    let head = Head::of(volume)?;
    let mut surface = head.blown_up(volume, fraction, 1.0);
    if surface.folded_share() > MOST_FOLDS {
        surface = head.blown_up(volume, fraction, 4.0);
    }
    let inside = voxels_within(&surface, volume.geometry());
    let mask = Mask::new(inside, volume.geometry().clone()).expect("one bool per voxel");
    head.require_brain(volume, &surface, &mask, fraction)?;
    Ok(mask)
}

/// How far from the top of the head a voxel may place the start, mm.
const HEAD_MM: f64 = 170.0;

/// Volumes that a brain may have, ml: a macaque's to the largest human one.
const BRAIN_ML: [f64; 2] = [50.0, 2500.0];

/// Least share of the surface that must have dark in front of it.
const LEAST_EDGE: f64 = 0.5;

/// Share of folded edges above which a surface counts as crossing itself.
const MOST_FOLDS: f64 = 0.01;

/// Where the head is and how bright.
struct Head {
    /// Percentile 2: background.
    dark: f32,
    /// A tenth of the way to percentile 98: the border of head and background.
    border: f32,
    /// The median of the starting sphere.
    tissue: f32,
    center: [f64; 3],
    radius_mm: f64,
}

impl Head {
    fn of(volume: &Volume) -> Result<Self, Error> {
        let finite = Region::new(volume, None)?;
        let ends = finite.percentiles(&[2.0, 98.0], |x| x);
        let (dark, bright) = (ends[0] as f32, ends[1] as f32);
        if dark.is_nan() || bright <= dark {
            return Err(Error::FlatIntensities { value: dark });
        }
        let border = dark + 0.1 * (bright - dark);
        let (geometry, world) = (volume.geometry(), volume.geometry().world_from_voxel());
        let lowest_mm = top_mm(volume, border) - HEAD_MM;
        let (mut sum, mut mass, mut count) = ([0.0; 3], 0.0, 0usize);
        for ((k, j, i), value) in volume.voxels().indexed_iter() {
            let place = world.apply([i as f64, j as f64, k as f64]);
            if *value > border && place[2] >= lowest_mm {
                let weight = f64::from(value.min(bright) - dark);
                (0..3).for_each(|a| sum[a] += weight * place[a]);
                (mass, count) = (mass + weight, count + 1);
            }
        }
        if count == 0 {
            return Err(Error::FlatIntensities { value: dark });
        }
        let center = sum.map(|s| s / mass);
        let radius_mm = (0.75 / std::f64::consts::PI * count as f64 * geometry.voxel_volume_mm3()).cbrt();
        let near =
            |place: [f64; 3]| (0..3).map(|a| (place[a] - center[a]).powi(2)).sum::<f64>() < radius_mm * radius_mm;
        let voxels = volume.voxels();
        let within = voxels.indexed_iter().filter(|((k, j, i), value)| {
            **value > dark && **value < bright && near(world.apply([*i as f64, *j as f64, *k as f64]))
        });
        let within: Vec<f32> = within.map(|(_, value)| *value).collect();
        let tissue = Region::of(&within).percentiles(&[50.0], |x| x)[0] as f32;
        if tissue.is_nan() {
            return Err(Error::FlatIntensities { value: dark });
        }
        Ok(Self { dark, border, tissue, center, radius_mm })
    }

    /// The surface after all steps; `stiffness` multiplies the bending force for the first three quarters of them.
    fn blown_up(&self, volume: &Volume, fraction: f64, stiffness: f64) -> Surface {
        const STEPS: usize = 1000;
        let mut surface = Surface::sphere(self.center, self.radius_mm / 2.0);
        let image = Image::of(volume, self.dark);
        for step in 0..STEPS {
            let stiffness = if 4 * step < 3 * STEPS { stiffness } else { 1.0 };
            let distance = surface.mean_distance_mm();
            let points = (0..surface.points.len()).into_par_iter().with_min_len(641);
            let moved = points.map(|p| self.moved(&image, &surface, p, distance, fraction, stiffness)).collect();
            surface.points = moved;
        }
        surface
    }

    fn moved(
        &self,
        image: &Image<'_>,
        surface: &Surface,
        point: usize,
        distance: f64,
        fraction: f64,
        stiffness: f64,
    ) -> [f64; 3] {
        const CURVES: [f64; 2] = [1.0 / 3.33, 1.0 / 10.0];
        let (place, normal) = (surface.points[point], surface.normal(point));
        let to_mean = surface.to_neighbours(point);
        let along = dot(to_mean, normal);
        let curve = 2.0 * along.abs() / (distance * distance);
        let (middle, steepness) = ((CURVES[0] + CURVES[1]) / 2.0, 6.0 / (CURVES[0] - CURVES[1]));
        let bend = (stiffness * (1.0 + (steepness * (curve - middle)).tanh()) / 2.0).min(1.0);
        let push = 0.05 * distance * self.push(image, place, normal, fraction);
        std::array::from_fn(|a| {
            let across = to_mean[a] - along * normal[a];
            place[a] + 0.5 * across + (bend * along + push) * normal[a]
        })
    }

    /// `f₃`: outward while tissue lies behind the point, inward when something dark does.
    fn push(&self, image: &Image<'_>, place: [f64; 3], normal: [f64; 3], fraction: f64) -> f64 {
        const DEPTHS_MM: [usize; 2] = [20, 10];
        let (mut least, mut most) = (self.tissue, self.border);
        for (depth, value) in image.line(place, normal.map(|x| -x), DEPTHS_MM[0] + 1).enumerate() {
            least = least.min(value);
            if depth <= DEPTHS_MM[1] {
                most = most.max(value);
            }
        }
        let (least, most) = (f64::from(least.max(self.dark)), f64::from(most.min(self.tissue)));
        let dark = f64::from(self.dark);
        let threshold = dark + fraction * (most - dark);
        2.0 * (least - threshold) / (most - dark)
    }

    fn require_brain(&self, volume: &Volume, surface: &Surface, mask: &Mask, fraction: f64) -> Result<(), Error> {
        let volume_ml = mask.count() as f64 * mask.geometry().voxel_volume_mm3() / 1000.0;
        let image = Image::of(volume, self.dark);
        let threshold = self.dark + fraction as f32 * (self.tissue - self.dark);
        let faces_dark = |point: &usize| {
            image.line(surface.points[*point], surface.normal(*point), 9).any(|value| value < threshold)
        };
        let edge = (0..surface.points.len()).filter(faces_dark).count() as f64 / surface.points.len() as f64;
        if (BRAIN_ML[0]..=BRAIN_ML[1]).contains(&volume_ml) && edge >= LEAST_EDGE {
            return Ok(());
        }
        Err(Error::NoBrain { volume_ml, edge })
    }
}

/// The height (LPS z, mm) of the head's top: the highest whole millimetre with at least 5 cm² above the border.
fn top_mm(volume: &Volume, border: f32) -> f64 {
    const LEAST_MM2: f64 = 500.0;
    let world = volume.geometry().world_from_voxel();
    let mut heights = std::collections::BTreeMap::<i64, usize>::new();
    for ((k, j, i), _) in volume.voxels().indexed_iter().filter(|(_, value)| **value > border) {
        let height = world.apply([i as f64, j as f64, k as f64])[2];
        *heights.entry(height.floor() as i64).or_default() += 1;
    }
    // Slices thicker than a millimetre fill every so many of these layers, so each counts for its own thickness.
    let thickness_mm = slice_mm(volume.geometry());
    let least = LEAST_MM2 * thickness_mm / volume.geometry().voxel_volume_mm3();
    let top = heights.iter().rev().find(|(_, count)| **count as f64 >= least).or(heights.iter().next_back());
    top.map_or(0.0, |(height, _)| *height as f64)
}

/// How thick a layer of voxels with heights in one millimetre is, mm.
fn slice_mm(geometry: &Geometry) -> f64 {
    let up = (0..3).map(|a| geometry.direction()[a][2].abs() * geometry.spacing_mm()[a]);
    up.fold(1.0, f64::max)
}

/// A volume asked along lines: the nearest voxel, dark outside and where it holds no number.
struct Image<'a> {
    voxels: &'a [f32],
    size: [usize; 3],
    voxel_from_world: crate::Affine3,
    dark: f32,
}

impl<'a> Image<'a> {
    fn of(volume: &'a Volume, dark: f32) -> Self {
        let geometry = volume.geometry();
        Self { voxels: volume.as_slice(), size: geometry.size(), voxel_from_world: geometry.voxel_from_world(), dark }
    }

    /// The intensities at `count` places one millimetre apart, the first at `place`; `along` has unit length.
    #[inline]
    fn line(&self, place: [f64; 3], along: [f64; 3], count: usize) -> impl Iterator<Item = f32> {
        let matrix = &self.voxel_from_world.matrix;
        let step: [f32; 3] = std::array::from_fn(|a| dot(matrix[a], along) as f32);
        let first = self.voxel_from_world.apply(place).map(|p| (p + 0.5) as f32);
        (0..count).map(move |depth| self.at(std::array::from_fn(|a| first[a] + depth as f32 * step[a])))
    }

    #[inline(always)]
    fn at(&self, place: [f32; 3]) -> f32 {
        if !(0..3).all(|a| place[a] >= 0.0 && place[a] < self.size[a] as f32) {
            return self.dark;
        }
        let [i, j, k] = place.map(|p| p as usize);
        let value = self.voxels[(k * self.size[1] + j) * self.size[0] + i];
        if value.is_finite() { value } else { self.dark }
    }
}
