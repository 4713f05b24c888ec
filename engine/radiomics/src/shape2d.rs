use nalgebra::{Matrix2, SymmetricEigen};

use crate::Error;
use crate::family::Named;
use crate::roi::Roi;
use crate::settings::Settings;
use crate::shape::{Hull, covariance, without_rounding};
use crate::table::{NanReason, Outcome, or_nan};

/// Alphabetical.
pub(crate) const NAMES: [Named; 9] = [
    ("Elongation", None),
    ("MajorAxisLength", None),
    ("MaximumDiameter", None),
    ("MeshSurface", None),
    ("MinorAxisLength", None),
    ("Perimeter", None),
    ("PerimeterSurfaceRatio", None),
    ("PixelSurface", None),
    ("Sphericity", None),
];

/// Size and form of a region of one slice.
///
/// Perimeter, surface and diameter are of the outline that marching squares puts half way between pixels inside and
/// outside: with one corner of a square inside it cuts the corner off, with two diagonal ones both. Axis lengths are four
/// times the root of the eigenvalues of the pixel centres' covariance (over N).
pub(crate) struct Shape2D {
    pixel_surface_mm2: f64,
    outline: Outline,
    /// Eigenvalues of the covariance, ascending, mm².
    eigenvalues: [f64; 2],
}

impl Shape2D {
    /// Form across the axis of `force2Ddimension`, or across z on a grid of one slice; `None` when neither applies.
    ///
    /// PyRadiomics 3.1.0 means the same and reads the box in the order x, y, z: it leaves out slices across y, and those
    /// across z of a region one pixel wide, which have values here.
    ///
    /// # Errors
    /// [`Error::NotFlat`].
    pub(crate) fn of(
        region: &Roi,
        grid_size: [usize; 3],
        spacing_mm: [f64; 3],
        settings: &Settings,
    ) -> Result<Option<Self>, Error> {
        let across = if grid_size[2] == 1 {
            2
        } else if settings.force_2d {
            2 - settings.force_2d_dimension
        } else {
            return Ok(None);
        };
        if region.size[across] > 1 {
            return Err(Error::NotFlat { axis: ["x", "y", "z"][across], slices: region.size[across] });
        }
        let [a, b] = [[1, 2], [0, 2], [0, 1]][across];
        let covariance = covariance(region, spacing_mm);
        let covariance = Matrix2::new(covariance[(a, a)], covariance[(a, b)], covariance[(b, a)], covariance[(b, b)]);
        Ok(Some(Self {
            pixel_surface_mm2: region.count() as f64 * (spacing_mm[a] * spacing_mm[b]),
            outline: Outline::of(&region.inside, [region.size[a], region.size[b]], [spacing_mm[a], spacing_mm[b]]),
            eigenvalues: without_rounding(SymmetricEigen::new(covariance).eigenvalues.into()),
        }))
    }

    /// The value of one feature of [`NAMES`] or a deprecated one.
    pub(crate) fn feature(&self, name: &str) -> Outcome {
        let [minor, major] = self.eigenvalues;
        let Outline { surface_mm2, perimeter_mm, diameter_mm } = self.outline;
        let sphericity = 2.0 * (std::f64::consts::PI * surface_mm2).sqrt() / perimeter_mm;
        let value = match name {
            "Elongation" => (minor / major).sqrt(),
            "MajorAxisLength" => 4.0 * major.sqrt(),
            "MaximumDiameter" => diameter_mm,
            "MeshSurface" => surface_mm2,
            "MinorAxisLength" => 4.0 * minor.sqrt(),
            "Perimeter" => perimeter_mm,
            "PerimeterSurfaceRatio" => perimeter_mm / surface_mm2,
            "PixelSurface" => self.pixel_surface_mm2,
            "Sphericity" => sphericity,
            "SphericalDisproportion" => 1.0 / sphericity,
            _ => return Err(NanReason::Undefined),
        };
        or_nan(value, NanReason::Undefined)
    }
}

/// What marching squares gives.
struct Outline {
    surface_mm2: f64,
    perimeter_mm: f64,
    diameter_mm: f64,
}

impl Outline {
    /// Outline of a plane of `nx` times `ny` pixels, x fastest.
    fn of(inside: &[bool], [nx, ny]: [usize; 2], spacing_mm: [f64; 2]) -> Self {
        let pixel = |x: usize, y: usize| {
            let is_inner = (1..=nx).contains(&x) && (1..=ny).contains(&y);
            is_inner && inside[(y - 1) * nx + x - 1]
        };
        let (mut eighths, mut along_x, mut along_y, mut diagonal) = (0u64, 0u64, 0u64, 0u64);
        // Cut edges in half pixels: even lines cross edges along x, odd ones edges along y.
        let mut spans = vec![(u32::MAX, 0u32); 2 * (ny + 2)];
        let mut cut = |x: usize, y: usize| {
            let span = &mut spans[y];
            *span = (span.0.min(x as u32), span.1.max(x as u32));
        };
        for y in 0..=ny {
            for x in 0..=nx {
                let [a, b, c, d] = [pixel(x, y), pixel(x + 1, y), pixel(x, y + 1), pixel(x + 1, y + 1)];
                if c != d {
                    cut(2 * x + 1, 2 * y + 2);
                }
                if b != d {
                    cut(2 * x + 2, 2 * y + 1);
                }
                match (u8::from(a) + u8::from(b) + u8::from(c) + u8::from(d), a == b, a == c) {
                    (4, ..) => eighths += 8,
                    (3, ..) => (eighths, diagonal) = (eighths + 7, diagonal + 1),
                    (2, true, _) => (eighths, along_x) = (eighths + 4, along_x + 1),
                    (2, _, true) => (eighths, along_y) = (eighths + 4, along_y + 1),
                    (2, ..) => (eighths, diagonal) = (eighths + 2, diagonal + 2),
                    (1, ..) => (eighths, diagonal) = (eighths + 1, diagonal + 1),
                    _ => {}
                }
            }
        }
        let [sx, sy] = spacing_mm;
        let half_diagonal_mm = (sx * sx + sy * sy).sqrt() / 2.0;
        Self {
            surface_mm2: eighths as f64 / 8.0 * (sx * sy),
            perimeter_mm: along_x as f64 * sx + along_y as f64 * sy + diagonal as f64 * half_diagonal_mm,
            diameter_mm: Hull::of(spans.into_iter()).diameter([sy / 2.0, sx / 2.0]).sqrt(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region(rows: &[&str]) -> Roi {
        let inside = rows.concat().bytes().map(|b| b == b'#').collect();
        Roi { first: [0; 3], size: [rows[0].len(), rows.len(), 1], inside }
    }

    fn shape(region: &Roi) -> Shape2D {
        let settings = Settings { force_2d: true, ..Settings::default() };
        Shape2D::of(region, [9; 3], [2.0, 1.0, 5.0], &settings).unwrap().unwrap()
    }

    /// Pixels of 2 mm by 1 mm. A bar of two loses four corners of 1/8 of a pixel and keeps a length of one pixel along x:
    /// perimeter 2 · 2 mm + 4 · √5/2 mm. Two diagonal pixels are two diamonds that meet nowhere.
    #[test]
    fn bars_and_diagonals_by_hand() {
        let half_diagonal = 5f64.sqrt() / 2.0;
        let rows: [(&[&str], [f64; 5]); 3] = [
            (&["##"], [3.0, 4.0, 4.0 + 4.0 * half_diagonal, 4.0, 4.0]),
            (&["#.", ".#"], [2.0, 4.0, 8.0 * half_diagonal, 17f64.sqrt(), 2.0 * 5f64.sqrt()]),
            (&["##", "##"], [7.0, 8.0, 6.0 + 4.0 * half_diagonal, 17f64.sqrt(), 4.0]),
        ];
        for (image, expected) in rows {
            let found = shape(&region(image));
            let names = ["MeshSurface", "PixelSurface", "Perimeter", "MaximumDiameter", "MajorAxisLength"];
            for (name, expected) in names.into_iter().zip(expected) {
                let value = found.feature(name).unwrap();
                assert!((value - expected).abs() < 1e-12, "{image:?} {name}: {value} {expected}");
            }
        }
    }

    /// Ring, blob and tail: holes, parts and diagonal contacts. Values of PyRadiomics 3.1.0, rows along y and along z.
    #[test]
    fn holes_and_parts_as_pyradiomics_has_them() {
        let image = [
            "..####..#.",
            ".#....#.#.",
            "#..##..#..",
            "#.#..#.##.",
            "#..##..#.#",
            ".#....#...",
            "..####....",
            ".........#",
        ];
        let rows = [
            (
                2,
                [0.7, 1.3, 2.0],
                [
                    ("Elongation", 0.7016875000561423),
                    ("MajorAxisLength", 10.843887518511217),
                    ("MaximumDiameter", 11.496521212958292),
                    ("MeshSurface", 19.564999999999987),
                    ("MinorAxisLength", 7.609020323754141),
                    ("Perimeter", 68.84743379274694),
                    ("PerimeterSurfaceRatio", 3.518907937273038),
                    ("PixelSurface", 26.389999999999997),
                    ("Sphericity", 0.22774932634254486),
                    ("SphericalDisproportion", 4.3907923507793685),
                ],
            ),
            (
                0,
                [0.7, 1.3, 2.0],
                [
                    ("Elongation", 0.8458105657344419),
                    ("MajorAxisLength", 16.69499521540776),
                    ("MaximumDiameter", 18.406792224611),
                    ("MeshSurface", 55.90000000000003),
                    ("MinorAxisLength", 14.120803348077839),
                    ("Perimeter", 113.1319068280099),
                    ("PerimeterSurfaceRatio", 2.023826597996598),
                    ("PixelSurface", 75.4),
                    ("Sphericity", 0.2342748825223307),
                    ("SphericalDisproportion", 4.2684900286085155),
                ],
            ),
        ];
        for (across, spacing_mm, expected) in rows {
            let mut flat = region(&image);
            flat.size = [10, 8, 1];
            flat.size.rotate_right(usize::from(across == 0));
            let settings = Settings { force_2d: true, force_2d_dimension: 2 - across, ..Settings::default() };
            let found = Shape2D::of(&flat, [14; 3], spacing_mm, &settings).unwrap().unwrap();
            for (name, expected) in expected {
                let value = found.feature(name).unwrap();
                assert!((value / expected - 1.0).abs() < 1e-12, "across {across} {name}: {value} {expected}");
            }
        }
    }

    #[test]
    fn a_region_of_several_slices_has_no_outline() {
        let thick = Roi { first: [0; 3], size: [2, 2, 2], inside: vec![true; 8] };
        let mut settings = Settings::default();
        let form = |settings: &Settings| Shape2D::of(&thick, [9; 3], [1.0; 3], settings).map(|form| form.is_some());
        assert_eq!(form(&settings), Ok(false));
        settings.force_2d = true;
        assert_eq!(form(&settings), Err(Error::NotFlat { axis: "z", slices: 2 }));
    }
}
