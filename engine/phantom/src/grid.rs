use isoscan_imaging::Geometry;

use crate::{Error, Protocol};

/// Where scans of a phantom put their voxels, and how fine its truth is.
///
/// The isocentre is at x = y = 0 of patient space (LPS, mm), and the reconstructed field is centred on it.
///
/// ```
/// let grid = isoscan_phantom::Grid::new([256, 256], 1.5, 60.0)?;
/// assert_eq!(grid, isoscan_phantom::Grid::default());
/// assert_eq!(grid.truth_spacing_mm(), [0.75, 0.75, 1.0]);
/// # Ok::<(), isoscan_phantom::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Grid {
    size: [usize; 2],
    pixel_mm: f64,
    length_mm: f64,
    truth_pixel_mm: f64,
    truth_step_mm: f64,
}

impl Grid {
    /// Slices of `size` (columns, rows) pixels of `pixel_mm` over `length_mm` of the body axis. The truth has pixels
    /// half as large, of 1 mm at most, and a step of 1 mm along z.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a size below 16 or above 1024, a pixel outside 0.2-8 mm or a length outside
    /// 1-300 mm.
    pub fn new(size: [usize; 2], pixel_mm: f64, length_mm: f64) -> Result<Self, Error> {
        for side in size {
            within("grid size", side as f64, 16.0, 1024.0, "16 to 1024 pixels")?;
        }
        within("pixel_mm", pixel_mm, 0.2, 8.0, "0.2 to 8 mm")?;
        within("length_mm", length_mm, 1.0, 300.0, "1 to 300 mm")?;
        Ok(Self { size, pixel_mm, length_mm, truth_pixel_mm: (pixel_mm / 2.0).min(1.0), truth_step_mm: 1.0 })
    }

    /// The same slices over a truth of other fineness: in-plane pixel and step along z, mm.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a value outside 0.2-3 mm.
    pub fn with_truth_spacing(self, pixel_mm: f64, step_mm: f64) -> Result<Self, Error> {
        within("truth pixel_mm", pixel_mm, 0.2, 3.0, "0.2 to 3 mm")?;
        within("truth step_mm", step_mm, 0.2, 3.0, "0.2 to 3 mm")?;
        Ok(Self { truth_pixel_mm: pixel_mm, truth_step_mm: step_mm, ..self })
    }

    /// The same slices over a length that is longer by `mm`, for a truth from which less is scanned.
    pub(crate) fn longer(self, mm: f64) -> Self {
        Self { length_mm: self.length_mm + mm, ..self }
    }

    /// Columns and rows of a slice.
    pub fn size(&self) -> [usize; 2] {
        self.size
    }

    /// Side of a pixel of a scan, mm.
    pub fn pixel_mm(&self) -> f64 {
        self.pixel_mm
    }

    /// Scanned length along z, mm.
    pub fn length_mm(&self) -> f64 {
        self.length_mm
    }

    /// Spacing of the truth along x, y, z, mm.
    pub fn truth_spacing_mm(&self) -> [f64; 3] {
        [self.truth_pixel_mm, self.truth_pixel_mm, self.truth_step_mm]
    }

    /// The grid of a scan under `protocol`: as many whole slice spacings as fit in the length, from the lower face
    /// `start_mm` (LPS z) on.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] when not one slice fits.
    pub(crate) fn scan_geometry(&self, protocol: &Protocol, start_mm: f64) -> Result<Geometry, Error> {
        self.slices(protocol.slice_spacing_mm, start_mm)
    }

    /// As many whole slices of `spacing` (mm) as fit in the length, from the lower face `start_mm` (LPS z) on.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] when not one slice fits.
    pub(crate) fn slices(&self, spacing: f64, start_mm: f64) -> Result<Geometry, Error> {
        let slices = (self.length_mm / spacing + 1e-9).floor();
        if slices < 1.0 {
            let found = self.length_mm;
            return Err(Error::InvalidArgument { name: "length_mm", expected: "at least one slice spacing", found });
        }
        let [columns, rows] = self.size;
        let first = |count: usize| -0.5 * (count - 1) as f64 * self.pixel_mm;
        let size = [columns, rows, slices as usize];
        let origin = [first(columns), first(rows), start_mm + 0.5 * spacing];
        let axes = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
        Ok(Geometry::new(size, [self.pixel_mm, self.pixel_mm, spacing], origin, axes)?)
    }
}

impl Grid {
    /// 240 x 240 pixels of 1 mm over 60 mm, for heads.
    pub(crate) const HEAD: Self =
        Self { size: [240, 240], pixel_mm: 1.0, length_mm: 60.0, truth_pixel_mm: 0.5, truth_step_mm: 1.0 };
    /// 256 x 256 pixels of 1.6 mm, for radiographs, which have no length.
    pub(crate) const RADIOGRAPH: Self =
        Self { size: [256, 256], pixel_mm: 1.6, length_mm: 60.0, truth_pixel_mm: 0.8, truth_step_mm: 1.0 };
    /// 280 x 280 pixels of 0.75 mm over 60 mm, for arteries.
    pub(crate) const VESSELS: Self =
        Self { size: [280, 280], pixel_mm: 0.75, length_mm: 60.0, truth_pixel_mm: 0.375, truth_step_mm: 0.75 };
}

impl Default for Grid {
    /// 256 x 256 pixels of 1.5 mm over 60 mm: twelve slices of 5 mm.
    fn default() -> Self {
        Self { size: [256, 256], pixel_mm: 1.5, length_mm: 60.0, truth_pixel_mm: 0.75, truth_step_mm: 1.0 }
    }
}

fn within(name: &'static str, found: f64, low: f64, high: f64, expected: &'static str) -> Result<(), Error> {
    if (low..=high).contains(&found) {
        return Ok(());
    }
    Err(Error::InvalidArgument { name, expected, found })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol;

    #[test]
    fn slices_fill_the_scanned_length_around_the_isocentre() {
        for (id, slices, first_z) in [("a-soft", 12, -97.5), ("b-medium", 20, -98.5), ("d-smooth-low", 8, -96.25)] {
            let geometry = Grid::default().scan_geometry(protocol(id).unwrap(), -100.0).unwrap();
            assert_eq!(geometry.size(), [256, 256, slices], "{id}");
            assert_eq!(geometry.origin_mm(), [-191.25, -191.25, first_z], "{id}");
        }
    }

    #[test]
    fn sizes_that_make_no_scan_are_refused() {
        let message = |result: Result<Grid, Error>| result.unwrap_err().to_string();
        assert_eq!(message(Grid::new([8, 64], 1.5, 60.0)), "grid size must be 16 to 1024 pixels, found 8");
        assert_eq!(message(Grid::new([64, 64], f64::NAN, 60.0)), "pixel_mm must be 0.2 to 8 mm, found NaN");
        assert_eq!(message(Grid::new([64, 64], 1.5, 0.0)), "length_mm must be 1 to 300 mm, found 0");
        let short = Grid::new([64, 64], 1.5, 3.0).unwrap().scan_geometry(protocol("a-soft").unwrap(), 0.0);
        assert_eq!(short.unwrap_err().to_string(), "length_mm must be at least one slice spacing, found 3");
    }
}
