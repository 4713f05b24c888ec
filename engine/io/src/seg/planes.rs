use dicom_core::Tag;
use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;
use isoscan_imaging::{Affine3, Geometry};

use crate::dicom::{Slice, number, numbers, whole};
use crate::rtstruct::items;
use crate::{Error, Warning};

/// Where a frame lies.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Plane {
    /// Its segment; `None` in a label map.
    pub(crate) segment: Option<i32>,
    /// Centre of its first pixel, LPS mm.
    pub(crate) position: [f64; 3],
}

/// The parallel planes of all frames.
#[derive(Debug)]
pub(crate) struct Planes<'a> {
    slice: &'a Slice,
    pub(crate) planes: Vec<Plane>,
    /// Direction of rows (x), then of columns (y).
    orientation: [[f64; 3]; 2],
    /// Pixel size along x and y, mm.
    pixel_mm: [f64; 2],
    /// Distance of slices as told.
    told_gap_mm: Option<f64>,
    warnings: Vec<Warning>,
}

/// The grid that the planes span.
pub(crate) struct Grid {
    pub(crate) geometry: Geometry,
    /// The slice of each frame.
    pub(crate) slices: Vec<usize>,
    pub(crate) warnings: Vec<Warning>,
}

/// The voxels of a grid on which the pixels of a frame lie.
pub(crate) struct Place {
    first: [i64; 3],
    column: [i64; 3],
    row: [i64; 3],
}

impl Place {
    pub(crate) fn voxel(&self, column: usize, row: usize) -> [i64; 3] {
        std::array::from_fn(|a| {
            let steps = self.column[a] * column as i64 + self.row[a] * row as i64;
            self.first[a].saturating_add(steps)
        })
    }
}

impl<'a> Planes<'a> {
    pub(crate) fn of(slice: &'a Slice, by_segment: bool) -> Result<Self, Error> {
        let object = &slice.object;
        let shared = items(object, tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE).first();
        let (each, surplus) = slice.frame_items()?;
        if each.is_empty() {
            return Err(slice.malformed("Per-Frame Functional Groups Sequence", "one item per frame", "none"));
        }
        let groups = Groups { slice, shared };
        if each.first().is_some_and(|frame| groups.macro_of(frame, tags::PLANE_POSITION_SLIDE_SEQUENCE).is_some()) {
            return Err(slice.unsupported("segmentation of a microscopy slide"));
        }
        let mut warnings: Vec<Warning> = Warning::surplus_frame_items(surplus).into_iter().collect();
        let orientation = groups.orientation(each, &mut warnings)?;
        let (pixel_mm, told_gap_mm) = groups.measures(each, &mut warnings)?;
        let planes = each
            .iter()
            .map(|frame| {
                let segment = if by_segment { Some(groups.segment(frame)?) } else { None };
                Ok(Plane { segment, position: groups.position(frame)? })
            })
            .collect::<Result<Vec<_>, Error>>()?;
        Ok(Self { slice, planes, orientation, pixel_mm, told_gap_mm, warnings })
    }

    fn normal(&self) -> [f64; 3] {
        let [x, y] = self.orientation;
        [x[1] * y[2] - x[2] * y[1], x[2] * y[0] - x[0] * y[2], x[0] * y[1] - x[1] * y[0]]
    }

    /// The even grid on which all frames lie; slices without a frame are part of it.
    pub(crate) fn grid(&self) -> Result<Grid, Error> {
        const MOST_SLICES: f64 = 4096.0;
        /// Neighbouring frames may be off the even grid by this, mm.
        const JITTER_MM: f64 = 0.05;
        let mut warnings = self.warnings.clone();
        let normal = self.normal();
        let distance = |plane: &Plane| plane.position.iter().zip(normal).map(|(p, n)| p * n).sum::<f64>();
        let mut sorted: Vec<(f64, [f64; 3])> =
            self.planes.iter().map(|plane| (distance(plane), plane.position)).collect();
        sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
        sorted.dedup_by(|b, a| b.0 - a.0 < 1e-3);
        let (Some(&(low, first)), Some(&(high, last))) = (sorted.first(), sorted.last()) else {
            return Err(self.slice.malformed("Number of Frames", "1 or more", 0));
        };
        let narrowest = sorted.windows(2).map(|pair| pair[1].0 - pair[0].0).fold(f64::INFINITY, f64::min);
        let gap = match self.told_gap_mm {
            Some(told) if narrowest > told - JITTER_MM => told,
            None if narrowest.is_infinite() => {
                warnings.push(Warning::NoSliceThickness);
                1.0
            }
            Some(told) if narrowest.is_infinite() => told,
            _ => narrowest,
        };
        let steps = ((high - low) / gap).round();
        if steps >= MOST_SLICES {
            return Err(self.slice.unsupported(format!("segmentation over more than {MOST_SLICES} slices")));
        }
        let even = if steps > 0.0 { (high - low) / steps } else { gap };
        let along =
            if steps > 0.0 { std::array::from_fn(|a| (last[a] - first[a]) / steps) } else { normal.map(|n| n * even) };
        for (slice, pair) in sorted.windows(2).enumerate() {
            let at = (pair[1].0 - low) / even;
            if (at - at.round()).abs() * even > JITTER_MM {
                return Err(Error::UnevenSlices {
                    expected_mm: even,
                    found_mm: pair[1].0 - pair[0].0,
                    slice: slice + 1,
                    missing: 0,
                    path: self.slice.path.clone(),
                });
            }
        }
        let [x, y] = self.orientation;
        let columns = [x.map(|c| c * self.pixel_mm[0]), y.map(|c| c * self.pixel_mm[1]), along];
        let affine = Affine3 {
            matrix: std::array::from_fn(|row| std::array::from_fn(|axis| columns[axis][row])),
            translation: first,
        };
        let size = [self.slice.columns, self.slice.rows, steps as usize + 1];
        let geometry = Geometry::from_affine(size, &affine)
            .map_err(|source| Error::Image { source, path: self.slice.path.clone() })?;
        let slices = self.planes.iter().map(|plane| ((distance(plane) - low) / even).round() as usize).collect();
        Ok(Grid { geometry, slices, warnings })
    }

    /// Where each frame lies on a grid, if all pixels lie on voxels.
    pub(crate) fn places_on(&self, grid: &Geometry) -> Option<Vec<Place>> {
        /// Pixels may be off a voxel's centre by this, voxels.
        const OFF: f64 = 0.05;
        const FARTHEST: f64 = 1e9;
        let voxel_from_world = grid.voxel_from_world();
        let [x, y] = self.orientation;
        let place = |plane: &Plane| {
            let at = |column: f64, row: f64| {
                voxel_from_world.apply(std::array::from_fn(|a| {
                    plane.position[a] + x[a] * self.pixel_mm[0] * column + y[a] * self.pixel_mm[1] * row
                }))
            };
            let first = at(0.0, 0.0);
            let step = |to: [f64; 3]| std::array::from_fn::<i64, 3, _>(|a| (to[a] - first[a]).round() as i64);
            let whole = first.map(f64::round);
            if whole.iter().any(|i| i.is_nan() || i.abs() > FARTHEST) {
                return None;
            }
            let place = Place { first: whole.map(|i| i as i64), column: step(at(1.0, 0.0)), row: step(at(0.0, 1.0)) };
            let (last_column, last_row) = (self.slice.columns - 1, self.slice.rows - 1);
            let on_voxel = |column: usize, row: usize| {
                let (exact, voxel) = (at(column as f64, row as f64), place.voxel(column, row));
                exact.iter().zip(voxel).all(|(exact, voxel)| (exact - voxel as f64).abs() <= OFF)
            };
            let unit = |step: [i64; 3]| step.iter().map(|i| i.abs()).sum::<i64>() == 1;
            let fits = unit(place.column)
                && unit(place.row)
                && [(0, 0), (last_column, 0), (0, last_row)].into_iter().all(|(column, row)| on_voxel(column, row));
            fits.then_some(place)
        };
        self.planes.iter().map(place).collect()
    }
}

/// Functional group macros, of the frame or shared by all.
struct Groups<'a> {
    slice: &'a Slice,
    shared: Option<&'a InMemDicomObject>,
}

impl<'a> Groups<'a> {
    fn macro_of<'f>(&self, frame: &'f InMemDicomObject, tag: Tag) -> Option<&'f InMemDicomObject>
    where
        'a: 'f,
    {
        items(frame, tag).first().or_else(|| self.shared.and_then(|shared| items(shared, tag).first()))
    }

    fn segment(&self, frame: &InMemDicomObject) -> Result<i32, Error> {
        let item = self.macro_of(frame, tags::SEGMENT_IDENTIFICATION_SEQUENCE);
        item.and_then(|item| whole(item, tags::REFERENCED_SEGMENT_NUMBER))
            .ok_or_else(|| self.slice.malformed("Referenced Segment Number", "a number for each frame", "nothing"))
    }

    fn position(&self, frame: &InMemDicomObject) -> Result<[f64; 3], Error> {
        let Some(item) = self.macro_of(frame, tags::PLANE_POSITION_SEQUENCE) else {
            // Segmentations of radiographs have no place in space.
            return if self.slice.frames() == 1 {
                Ok([0.0; 3])
            } else {
                Err(self.slice.malformed("Plane Position Sequence", "a position for each frame", "nothing"))
            };
        };
        numbers(item, tags::IMAGE_POSITION_PATIENT)
            .ok_or_else(|| self.slice.malformed("Image Position (Patient)", "three numbers", "something else"))
    }

    fn orientation(&self, each: &[InMemDicomObject], warnings: &mut Vec<Warning>) -> Result<[[f64; 3]; 2], Error> {
        let of = |frame: &InMemDicomObject| {
            let item = self.macro_of(frame, tags::PLANE_ORIENTATION_SEQUENCE);
            item.map(|item| numbers::<6>(item, tags::IMAGE_ORIENTATION_PATIENT))
        };
        let wrong = || self.slice.malformed("Image Orientation (Patient)", "six numbers", "something else");
        let first = match each.first().and_then(of) {
            Some(found) => found.ok_or_else(wrong)?,
            None => {
                warnings.push(Warning::NoOrientation);
                return Ok([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]);
            }
        };
        for frame in each {
            let other = of(frame).flatten().ok_or_else(wrong)?;
            if first.iter().zip(other).any(|(a, b)| (a - b).abs() > 1e-4) {
                return Err(self.slice.unsupported("segmentation whose frames are not parallel"));
            }
        }
        let [a, b, c, d, e, f] = first;
        Ok([[a, b, c], [d, e, f]])
    }

    /// Pixel size along x and y and the distance of slices.
    fn measures(
        &self,
        each: &[InMemDicomObject],
        warnings: &mut Vec<Warning>,
    ) -> Result<([f64; 2], Option<f64>), Error> {
        let item = each.first().and_then(|frame| self.macro_of(frame, tags::PIXEL_MEASURES_SEQUENCE));
        let spacing = item.and_then(|item| numbers::<2>(item, tags::PIXEL_SPACING));
        let pixel_mm = match spacing {
            Some([rows, columns]) if rows > 0.0 && columns > 0.0 => [columns, rows],
            Some(_) => return Err(self.slice.malformed("Pixel Spacing", "two positive numbers", "others")),
            None => {
                warnings.push(Warning::NoPixelSpacing);
                [1.0; 2]
            }
        };
        let positive = |tag| item.and_then(|item| number(item, tag)).map(f64::abs).filter(|&gap| gap > 0.0);
        let gap = positive(tags::SPACING_BETWEEN_SLICES);
        let alone = self.slice.frames() == 1;
        Ok((pixel_mm, gap.or_else(|| positive(tags::SLICE_THICKNESS).filter(|_| alone))))
    }
}
