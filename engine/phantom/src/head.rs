use isoscan_imaging::{Geometry, Modality, Unit, Volume};
use ndarray::Array3;
use rayon::prelude::*;

use crate::head::finding::{Finding, Lowered, lowered, place};
use crate::head::region::TEMPORO_PARIETAL;
use crate::head::sampling::{majority_on, mean_on};
use crate::head::shape::{Shape, Site};
use crate::head::substance::{Substance, SubstanceInField, label, substances};
use crate::{Error, FindingKind, Findings, Grid, HEAD_REGIONS, HeadBiology, Pose, Relaxation};

pub(crate) mod biology;
mod density;
pub(crate) mod finding;
pub(crate) mod pose;
pub(crate) mod region;
pub(crate) mod sampling;
mod shape;
pub(crate) mod substance;
pub(crate) mod truth;

/// Truth slices beyond the scanned range at either end, for the flanks of slice profiles.
const MARGIN_SLICES: usize = 4;

/// What head to draw, and on which grid.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct HeadSettings {
    /// Pixels, length and fineness. The truth covers the field of view exactly, so its pixel is shrunk to fit in it a
    /// whole number of times.
    pub grid: Grid,
    /// Position of the middle of the scanned length, LPS z, mm; the origin lies between the lateral ventricles.
    /// By default 6.
    pub middle_mm: f64,
    /// The findings; none by default.
    pub findings: Findings,
    /// Range of the head's own z that centres of findings lie in, mm; by default -18 to 30. It does not depend on the
    /// grid, so that every grid shows the same subject.
    pub findings_range_mm: [f64; 2],
    /// Thickness that the cortex of [`Findings::hypometabolism`] loses, relative to the uptake that it loses: 0 to 1, by
    /// default [`HeadSettings::ATROPHY`]. What is lost is fluid, from the surface inwards.
    pub atrophy: f64,
    /// How the head lies; by default straight.
    pub pose: Pose,
}

impl HeadSettings {
    /// Loss of cortex relative to loss of uptake in mild Alzheimer's disease: 15 % of the lateral temporal and parietal
    /// cortex, against mild cognitive impairment (Apostolova et al., Arch Neurol 64, 2007), beside 30 % of its uptake, the
    /// middle of 10 to 49 % (Foster et al., Ann Neurol 16, 1984). The cortex that is left takes up less too, as PET
    /// corrected for atrophy shows (Meltzer et al., Neurology 47, 1996).
    pub const ATROPHY: f64 = 0.5;

    /// A straight healthy head on a grid.
    pub fn new(grid: Grid) -> Self {
        Self {
            grid,
            middle_mm: 6.0,
            findings: Findings::default(),
            findings_range_mm: [-18.0, 30.0],
            atrophy: Self::ATROPHY,
            pose: Pose::default(),
        }
    }

    fn check(&self) -> Result<(), Error> {
        let [low, high] = self.findings_range_mm;
        let rows = [
            ("middle_mm", self.middle_mm, 300.0, "-300 to 300 mm"),
            ("findings_range_mm", low, 100.0, "-100 to 100 mm"),
            ("findings_range_mm", high, 100.0, "-100 to 100 mm"),
        ];
        let moves = self.pose.translation_mm.map(|v| ("translation_mm", v, 300.0, "-300 to 300 mm"));
        let turns = self.pose.rotation_rad.map(|v| ("rotation_rad", v, 3.2, "-3.2 to 3.2 rad"));
        for (name, found, most, expected) in rows.into_iter().chain(moves).chain(turns) {
            if !(-most..=most).contains(&found) {
                return Err(Error::InvalidArgument { name, expected, found });
            }
        }
        if low >= high {
            let (name, expected) = ("findings_range_mm", "a lower and a higher end");
            return Err(Error::InvalidArgument { name, expected, found: high - low });
        }
        if !(0.0..=1.0).contains(&self.atrophy) {
            return Err(Error::InvalidArgument { name: "atrophy", expected: "0 to 1", found: self.atrophy });
        }
        let regions = self.findings.hypometabolism.saturating_add(self.findings.silent_hypometabolism);
        if regions as usize > TEMPORO_PARIETAL.len() {
            let (name, expected) = ("hypometabolism", "0 to 4 regions");
            return Err(Error::InvalidArgument { name, expected, found: f64::from(regions) });
        }
        Ok(())
    }
}

/// One finding of a head.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct HeadFinding {
    /// What it is.
    pub kind: FindingKind,
    /// Centre in patient space (LPS), mm.
    pub center_mm: [f64; 3],
    /// Radius of the ball of the same volume before the surface was roughened and cut by what it spares, mm.
    pub radius_mm: f64,
    /// Its tissues, from the inside out.
    pub parts: Vec<FindingPart>,
}

/// One tissue of a finding.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct FindingPart {
    /// Name in [`crate::HEAD_LABELS`].
    pub label: &'static str,
    /// Volume of its voxels in the truth, mm³; less than the whole where the field of view cuts it.
    pub volume_mm3: f64,
    /// Gadolinium after a standard dose, mmol/l.
    pub gadolinium_mm: f64,
    /// Mean density, HU.
    pub mean_hu: f64,
    /// Uptake, SUV.
    pub suv: f64,
}

/// Lowered uptake of one region.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Hypometabolism {
    /// Name in [`crate::HEAD_REGIONS`].
    pub region: &'static str,
    /// Uptake of its cortex relative to the healthy region.
    pub factor: f64,
    /// Share of the thickness of its cortex that is fluid instead, [`HeadSettings::atrophy`]` · (1 - factor)`; 0 where MR
    /// shows nothing.
    pub thinning: f64,
}

/// One subject's head without any scanner: the substance of every voxel of a fine grid.
///
/// MR, CT and PET scans are made of this one truth, so their images share patient space.
#[derive(Debug, Clone)]
pub struct Head {
    /// The numbers of the subject.
    pub biology: HeadBiology,
    /// What it was drawn with.
    pub settings: HeadSettings,
    /// The findings that were placed.
    pub findings: Vec<HeadFinding>,
    /// The regions with lowered uptake.
    pub hypometabolism: Vec<Hypometabolism>,
    pub(crate) geometry: Geometry,
    pub(crate) table: Vec<Substance>,
    /// Index into `table` per voxel.
    pub(crate) substance: Vec<u8>,
    /// Number in [`HEAD_REGIONS`] per voxel.
    pub(crate) region: Vec<u8>,
    /// Texture of the tissues, mean 0 and variance 1, per voxel.
    pub(crate) texture: Vec<f32>,
    lowered: Vec<Lowered>,
}

/// A quantity of the tissues that [`Head::map`] gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadMap {
    /// Longitudinal relaxation time, ms.
    T1,
    /// Transverse relaxation time, ms.
    T2,
    /// Transverse relaxation time with the field's inhomogeneity, ms.
    T2Star,
    /// Proton density, pure water 1.
    ProtonDensity,
    /// Apparent diffusion coefficient, µm²/ms.
    Diffusion,
}

/// Draws one subject's head: skin, fat, skull with diploe, sinuses, fluid, a folded cortex, white matter, deep nuclei,
/// ventricles, cerebellum, brainstem, eyes, and the findings that the settings ask for.
///
/// The shape is a function of the position: signed distances to ellipsoids and capsules, with sulci under the zero lines
/// of a random field. The same `(seed, subject)` give the same head on every grid up to its sampling; findings,
/// pose and grid leave the healthy anatomy as it is, but for the cortex of [`Findings::hypometabolism`].
///
/// ```
/// use isoscan_phantom::{Findings, Grid, HeadSettings, head};
/// let grid = Grid::new([64, 64], 3.0, 12.0)?;
/// let findings = Findings { tumours: 1, ..Findings::default() };
/// let subject = head(1, 0, &HeadSettings { findings, ..HeadSettings::new(grid) })?;
/// assert_eq!(subject.findings.len(), 1);
/// assert_eq!(subject.labels().geometry(), subject.geometry());
/// # Ok::<(), isoscan_phantom::Error>(())
/// ```
///
/// # Errors
/// [`Error::InvalidArgument`] for a setting outside its range, [`Error::NoRoom`] when a finding has no place left,
/// [`Error::TooManyFindings`] above about two hundred tissues.
pub fn head(seed: u64, subject: u32, settings: &HeadSettings) -> Result<Head, Error> {
    settings.check()?;
    let biology = HeadBiology::draw(seed, subject);
    let shape = Shape::new(seed, subject, &biology, &settings.pose);
    let mut table = substances();
    let placed = place(seed, subject, &settings.findings, settings.findings_range_mm, &shape, &table)?;
    let first = numbered(&placed, &mut table)?;
    let geometry = truth_geometry(settings)?;
    let lowered = lowered(seed, subject, &settings.findings, settings.atrophy, &TEMPORO_PARIETAL);
    let mut head = Head {
        biology,
        settings: *settings,
        findings: Vec::new(),
        hypometabolism: lowered
            .iter()
            .map(|&Lowered { region, factor, thinning }| Hypometabolism {
                region: region_name(region),
                factor,
                thinning,
            })
            .collect(),
        substance: vec![label::OUTSIDE; geometry.voxel_count()],
        region: vec![0; geometry.voxel_count()],
        texture: vec![0.0; geometry.voxel_count()],
        geometry,
        table,
        lowered,
    };
    head.draw(&shape, &placed, &first);
    head.findings = head.counted(&placed, &first, &shape);
    Ok(head)
}

/// Adds the tissues of the findings to the table; the index of each finding's first one.
fn numbered(placed: &[Finding], table: &mut Vec<Substance>) -> Result<Vec<usize>, Error> {
    let mut first = Vec::new();
    for finding in placed {
        first.push(table.len());
        table.extend(finding.shells.iter().map(|shell| shell.substance));
    }
    if table.len() > 256 {
        return Err(Error::TooManyFindings {
            expected: 256 - substances().len(),
            found: table.len() - substances().len(),
        });
    }
    Ok(first)
}

fn truth_geometry(settings: &HeadSettings) -> Result<Geometry, Error> {
    let grid = &settings.grid;
    let [columns, rows] = grid.size().map(|count| count as f64 * grid.pixel_mm());
    let fine = grid.truth_spacing_mm();
    let fit = |extent: f64, step: f64| (extent / step - 1e-9).ceil().max(1.0);
    let count = [fit(columns, fine[0]), fit(rows, fine[1]), fit(grid.length_mm(), fine[2])];
    let spacing = [columns / count[0], rows / count[1], grid.length_mm() / count[2]];
    let start = settings.middle_mm - 0.5 * grid.length_mm();
    let origin =
        [0.5 * (spacing[0] - columns), 0.5 * (spacing[1] - rows), start + (0.5 - MARGIN_SLICES as f64) * spacing[2]];
    let size = [count[0] as usize, count[1] as usize, count[2] as usize + 2 * MARGIN_SLICES];
    Ok(Geometry::new(size, spacing, origin, [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])?)
}

/// The site with fluid where the cortex of its region is lost.
fn thinned(site: Site, lowered: &[Lowered], cortex_mm: f64) -> Site {
    let lost = |lowered: &Lowered| lowered.region == site.region && site.pial_mm < lowered.thinning * cortex_mm;
    if site.label == label::GREY && lowered.iter().any(lost) {
        return Site { label: label::CSF, region: 0, ..site };
    }
    site
}

pub(crate) fn region_name(number: u8) -> &'static str {
    HEAD_REGIONS.iter().find(|(n, _)| *n == i32::from(number)).map_or("none", |(_, name)| name)
}

impl Head {
    /// The grid of the truth.
    pub fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// The grid of a scan with slices of this spacing (mm): the pixels of [`HeadSettings::grid`] and as many whole slices
    /// as fit in its length, from the lower face on.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] when not one slice fits.
    pub fn slices(&self, spacing_mm: f64) -> Result<Geometry, Error> {
        if !(spacing_mm.is_finite() && spacing_mm > 0.0) {
            let (name, expected) = ("spacing_mm", "positive and finite");
            return Err(Error::InvalidArgument { name, expected, found: spacing_mm });
        }
        self.settings.grid.slices(spacing_mm, self.start_mm())
    }

    /// Lower face of the scanned range, LPS z, mm.
    pub(crate) fn start_mm(&self) -> f64 {
        self.settings.middle_mm - 0.5 * self.settings.grid.length_mm()
    }

    /// The label of every voxel of the truth, see [`crate::HEAD_LABELS`].
    pub fn labels(&self) -> Volume {
        let table = &self.table;
        self.truth_volume(Modality::Seg, Unit::Label, |at| f32::from(table[usize::from(self.substance[at])].label))
    }

    /// The brain region of every voxel of the truth, see [`HEAD_REGIONS`].
    pub fn regions(&self) -> Volume {
        self.truth_volume(Modality::Seg, Unit::Label, |at| f32::from(self.region[at]))
    }

    /// The labels on the grid of an image: in each voxel the label of largest share, 0 outside the truth.
    ///
    /// # Errors
    /// [`Error::Oblique`] when the axes of the grid are not the patient's.
    pub fn labels_on(&self, geometry: &Geometry) -> Result<Volume, Error> {
        let numbers: Vec<u8> = self.substance.iter().map(|&s| self.table[usize::from(s)].label).collect();
        self.map_of(majority_on(&self.geometry, &numbers, geometry)?, geometry)
    }

    /// The brain regions on the grid of an image, as [`Head::labels_on`].
    ///
    /// # Errors
    /// [`Error::Oblique`] when the axes of the grid are not the patient's.
    pub fn regions_on(&self, geometry: &Geometry) -> Result<Volume, Error> {
        self.map_of(majority_on(&self.geometry, &self.region, geometry)?, geometry)
    }

    /// The share of each voxel of a grid that a label fills, 0 to 1.
    ///
    /// # Errors
    /// [`Error::Oblique`] when the axes of the grid are not the patient's.
    pub fn fraction_on(&self, label: i32, geometry: &Geometry) -> Result<Volume, Error> {
        let is = |at: usize| f64::from(u8::from(i32::from(self.table[usize::from(self.substance[at])].label) == label));
        let voxels = mean_on(&self.geometry, geometry, 0.0, is)?;
        Ok(Volume::new(voxels, geometry.clone(), Modality::Ot, Unit::Normalized)?)
    }

    /// The exact map of a quantity on the truth, at a field strength (T) and after `dose` times the standard dose of
    /// gadolinium; 0 in air.
    pub fn map(&self, quantity: HeadMap, field_tesla: f64, dose: f64) -> Volume {
        let table = self.in_field(field_tesla, dose);
        self.truth_volume(Modality::Mr, Unit::Arbitrary, |at| {
            let Some(tissue) = self.relaxation(at, &table) else { return 0.0 };
            (match quantity {
                HeadMap::T1 => tissue.t1_ms,
                HeadMap::T2 => tissue.t2_ms,
                HeadMap::T2Star => tissue.t2_star_ms,
                HeadMap::ProtonDensity => tissue.proton_density,
                HeadMap::Diffusion => tissue.adc_um2_per_ms,
            }) as f32
        })
    }

    /// Every substance of the table at a field strength and contrast dose.
    pub(crate) fn in_field(&self, field_tesla: f64, dose: f64) -> Vec<SubstanceInField> {
        self.table.iter().map(|substance| substance.in_field(field_tesla, dose)).collect()
    }

    /// Relaxation at a voxel of the truth, `None` in air.
    pub(crate) fn relaxation(&self, at: usize, table: &[SubstanceInField]) -> Option<Relaxation> {
        table[usize::from(self.substance[at])].relaxation(f64::from(self.texture[at]))
    }

    /// Uptake of a substance in a region, SUV.
    pub(crate) fn suv(&self, substance: u8, region: u8) -> f64 {
        let lowered =
            self.lowered.iter().find(|lowered| lowered.region == region).map_or(1.0, |lowered| lowered.factor);
        self.table[usize::from(substance)].suv * self.biology.uptake_scale * lowered
    }

    /// A volume on the truth's grid, voxel by voxel.
    pub(crate) fn truth_volume(&self, modality: Modality, unit: Unit, value: impl Fn(usize) -> f32 + Sync) -> Volume {
        let [nx, ny, nz] = self.geometry.size();
        let mut voxels = Array3::zeros((nz, ny, nx));
        let lines = voxels.as_slice_mut().expect("a new array is contiguous").par_chunks_mut(nx);
        lines.enumerate().for_each(|(line, out)| {
            for (i, voxel) in out.iter_mut().enumerate() {
                *voxel = value(line * nx + i);
            }
        });
        Volume::new(voxels, self.geometry.clone(), modality, unit).expect("made with the geometry's size")
    }

    fn map_of(&self, voxels: Array3<f32>, geometry: &Geometry) -> Result<Volume, Error> {
        Ok(Volume::new(voxels, geometry.clone(), Modality::Seg, Unit::Label)?)
    }

    /// Fills the voxels.
    fn draw(&mut self, shape: &Shape, placed: &[Finding], first: &[usize]) {
        let world = self.geometry.world_from_voxel();
        let [nx, ny, _] = self.geometry.size();
        let (lowered, cortex_mm) = (&self.lowered, self.biology.cortex_mm);
        let lines = self.substance.par_chunks_mut(nx).zip(self.region.par_chunks_mut(nx));
        lines.zip(self.texture.par_chunks_mut(nx)).enumerate().for_each(|(line, ((substance, region), texture))| {
            let (k, j) = (line / ny, line % ny);
            for i in 0..nx {
                let point = shape.head_from_patient(world.apply([i as f64, j as f64, k as f64]));
                let site = thinned(shape.site(point), lowered, cortex_mm);
                (substance[i], region[i]) = (site.label, site.region);
                if site.label == label::OUTSIDE {
                    continue;
                }
                texture[i] = shape.texture(point) as f32;
                for (finding, first) in placed.iter().zip(first) {
                    if let Some(shell) = finding.shell_at(point, site.label, shape) {
                        (substance[i], region[i]) = ((first + shell) as u8, 0);
                        break;
                    }
                }
            }
        });
    }

    /// The list of findings with the volumes that were drawn.
    fn counted(&self, placed: &[Finding], first: &[usize], shape: &Shape) -> Vec<HeadFinding> {
        let mut voxels = vec![0u64; 256];
        for &substance in &self.substance {
            voxels[usize::from(substance)] += 1;
        }
        let part = |index: usize| {
            let substance = &self.table[index];
            FindingPart {
                label: truth::label_name(substance.label),
                volume_mm3: voxels[index] as f64 * self.geometry.voxel_volume_mm3(),
                gadolinium_mm: substance.gadolinium_mm,
                mean_hu: substance.hu,
                suv: self.suv(index as u8, 0),
            }
        };
        placed
            .iter()
            .zip(first)
            .map(|(finding, &first)| HeadFinding {
                kind: finding.kind,
                center_mm: shape.patient_from_head(finding.center),
                radius_mm: finding.radius_mm(),
                parts: (first..first + finding.shells.len()).map(part).collect(),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests;
