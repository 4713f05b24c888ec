use isoscan_imaging::{Affine3, Geometry, Modality, Unit, Volume};
use ndarray::Array3;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::Serialize;

use super::flow::{inflow_magnetisation, transit_s};
use super::paint::{BloodLabels, paint, pieces};
use super::plan::{BRAIN_CENTER_MM, BRAIN_HALF_MM};
use super::tree::{Territory, VesselTree, vessel_tree};
use crate::mr::kspace::{Axis, KspaceWindow, add_noise, image_depth, image_plane, sample_depth, sample_plane};
use crate::random::{Purpose, between, hash, keyed};
use crate::travel::rigid;
use crate::{Error, Grid, Visit};

/// The numbers of the label map of a head with its arteries; 0 is outside.
pub const HEAD_VESSEL_LABELS: &[(i32, &str)] = &[
    (1, "scalp"),
    (2, "skull"),
    (3, "cerebrospinal-fluid"),
    (4, "grey-matter"),
    (5, "white-matter"),
    (6, "soft-tissue"),
    (7, "artery"),
    (8, "stenosis"),
    (9, "aneurysm"),
];

const BLOOD: BloodLabels = BloodLabels { artery: 7, stenosis: 8, aneurysm: 9 };

/// A time-of-flight angiography: a spoiled gradient echo over one slab that blood enters from below.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct TofProtocol {
    /// Unique short name.
    pub id: &'static str,
    /// Invented manufacturer.
    pub manufacturer: &'static str,
    /// Invented model.
    pub model: &'static str,
    /// One line for people.
    pub description: &'static str,
    /// Field strength, T: 1.5 or 3.
    pub field_tesla: f64,
    /// Repetition time, ms.
    pub tr_ms: f64,
    /// Echo time, ms.
    pub te_ms: f64,
    /// Flip angle, degrees.
    pub flip_deg: f64,
    /// Size of a voxel as the measured part of k-space resolves it, mm; the image's own voxels may be smaller.
    pub resolution_mm: [f64; 3],
    /// Distance of slices, mm.
    pub slice_spacing_mm: f64,
    /// Standard deviation of the noise in either part of a voxel of 1 mm³, as a share of fresh blood's signal.
    pub noise: f64,
    /// Mean velocity of blood in an artery of 1 mm radius, mm/s.
    pub velocity_per_radius: f64,
}

const FINE: TofProtocol = TofProtocol {
    id: "tof-3t",
    manufacturer: "Phantom Vendor A",
    model: "A-Three",
    description: "Head TOF-MRA 3 T, high resolution",
    field_tesla: 3.0,
    tr_ms: 22.0,
    te_ms: 3.4,
    flip_deg: 18.0,
    resolution_mm: [0.75, 0.75, 0.75],
    slice_spacing_mm: 0.75,
    noise: 0.006,
    velocity_per_radius: 180.0,
};

static PROTOCOLS: [TofProtocol; 4] = [
    FINE,
    TofProtocol {
        id: "tof-3t-fast",
        description: "Head TOF-MRA 3 T, short scan",
        resolution_mm: [1.2, 1.8, 1.5],
        noise: 0.012,
        ..FINE
    },
    TofProtocol {
        id: "tof-15t",
        manufacturer: "Phantom Vendor B",
        model: "B-Onehalf",
        description: "Head TOF-MRA 1.5 T",
        field_tesla: 1.5,
        tr_ms: 25.0,
        te_ms: 6.8,
        flip_deg: 25.0,
        resolution_mm: [0.9, 0.9, 1.0],
        slice_spacing_mm: 1.0,
        noise: 0.014,
        ..FINE
    },
    TofProtocol {
        id: "tof-15t-fast",
        manufacturer: "Phantom Vendor B",
        model: "B-Onehalf",
        description: "Head TOF-MRA 1.5 T, short scan",
        field_tesla: 1.5,
        tr_ms: 25.0,
        te_ms: 6.8,
        flip_deg: 25.0,
        resolution_mm: [1.5, 2.0, 2.0],
        slice_spacing_mm: 1.0,
        noise: 0.028,
        ..FINE
    },
];

/// The time-of-flight protocols of two invented vendors at two field strengths, each in full and in a short scan.
pub fn tof_protocols() -> &'static [TofProtocol] {
    &PROTOCOLS
}

/// The protocol with this id.
///
/// # Errors
/// [`Error::UnknownProtocol`] with the ids that exist.
pub fn tof_protocol(id: &str) -> Result<&'static TofProtocol, Error> {
    PROTOCOLS.iter().find(|protocol| protocol.id == id).ok_or_else(|| Error::UnknownProtocol {
        expected: PROTOCOLS.map(|protocol| protocol.id).join(", "),
        found: id.to_owned(),
    })
}

/// A time-of-flight image with its truth.
#[derive(Debug, Clone)]
pub struct TofScan {
    /// Magnitude image, MR in arbitrary units; fresh blood has about 1000.
    pub image: Volume,
    /// Label of every voxel of the image, see [`HEAD_VESSEL_LABELS`].
    pub labels: Volume,
    /// The arteries as they lay in the scanner.
    pub tree: VesselTree,
}

/// Height of the middle of the slab over the circle of Willis, mm.
const MIDDLE_MM: f64 = 8.0;

/// Signal of fresh blood in the image.
const GAIN: f64 = 1000.0;

/// Images the head arteries of a subject during a visit.
///
/// 1. Tissues have the steady state of a spoiled gradient echo. Blood enters the slab fresh and has felt `t / TR` pulses
///    after a time `t` in it, which follows from its path and velocity: small and slow arteries fade with their distance.
/// 2. Arteries fill the voxels of the image's grid by the exact share of 64 points each.
/// 3. k-space is kept to what `resolution_mm` asks for, with complex noise that grows as voxels shrink; the image is the
///    magnitude.
///
/// There is no coil, no off-resonance and no flow other than along the centre lines.
///
/// # Errors
/// [`Error::InvalidArgument`] when no slice fits in the grid's length.
pub fn tof(seed: u64, subject: u32, grid: &Grid, protocol: &TofProtocol, visit: &Visit) -> Result<TofScan, Error> {
    let geometry = slab(grid, protocol)?;
    let (motion, back) = rigid(&visit.pose, [0.0; 3]);
    let tree = vessel_tree(seed, subject, Territory::Brain).moved(|point| motion.apply(point));
    let times = transit_s(&tree, faces_mm(&geometry), protocol.velocity_per_radius);
    let blood = pieces(&tree, &BLOOD, |vessel, point| protocol.blood_signal(times[vessel][point]) as f32);
    let arteries = paint(&blood, &geometry);
    let head = Head::draw(seed, subject);
    let signals = protocol.tissue_signals();
    let [nx, ny, nz] = geometry.size();
    let world = back.after(&geometry.world_from_voxel());
    let tissues: Vec<u8> =
        (0..nx * ny * nz).into_par_iter().map(|n| head.label([n % nx, n / nx % ny, n / nx / ny], &world)).collect();
    let tissues = Array3::from_shape_vec((nz, ny, nx), tissues).expect("one tissue for every voxel");
    let labels = ndarray::Zip::from(&tissues)
        .and(&arteries.label)
        .map_collect(|&tissue, &artery| if artery > 0.0 { artery } else { f32::from(tissue) });
    let mut object = ndarray::Zip::from(&tissues)
        .and(&arteries.fraction)
        .map_collect(|&tissue, &share| (1.0 - share) * signals[usize::from(tissue)] as f32);
    object += &arteries.signal;
    let noise = Purpose::Receiver(hash(protocol.id));
    let random = |plane, row| keyed(visit.noise_seed, subject, noise, plane, row);
    let image = acquired(&object, &geometry, protocol, random);
    Ok(TofScan {
        image: Volume::new(image, geometry.clone(), Modality::Mr, Unit::Arbitrary)?,
        labels: Volume::new(labels, geometry, Modality::Seg, Unit::Label)?,
        tree,
    })
}

/// The magnitude image of an object: its k-space as far as the resolution asks, with noise, and zeros beyond.
fn acquired(
    object: &Array3<f32>,
    geometry: &Geometry,
    protocol: &TofProtocol,
    random: impl Fn(u32, u32) -> ChaCha8Rng + Sync,
) -> Array3<f32> {
    let (size, spacing) = (geometry.size(), geometry.spacing_mm());
    let [x, y, z] = [0, 1, 2].map(|a| {
        let samples = (size[a] as f64 * spacing[a] / protocol.resolution_mm[a]).round().clamp(1.0, size[a] as f64);
        Axis::new(size[a], samples as usize, size[a], KspaceWindow::Rectangular, false)
    });
    let cells = object.as_slice().expect("the object was made contiguous");
    let planes: Vec<_> = cells.par_chunks(size[0] * size[1]).map(|plane| sample_plane(plane, [&x, &y])).collect();
    let mut planes = sample_depth(&planes, &z);
    let voxel_mm3: f64 = protocol.resolution_mm.iter().product();
    let power = x.noise_power() * y.noise_power() * z.noise_power();
    let sigma = protocol.noise / voxel_mm3 / power.sqrt();
    planes.par_iter_mut().enumerate().for_each(|(k, plane)| {
        add_noise(plane, x.acquired(), sigma, |row| random(k as u32, row));
    });
    let slices: Vec<Vec<f32>> = image_depth(&planes, &z)
        .par_iter()
        .map(|plane| image_plane(plane, [&x, &y]).into_iter().map(|v| (GAIN * v.norm()) as f32).collect())
        .collect();
    Array3::from_shape_vec(object.dim(), slices.concat()).expect("every slice has the object's size")
}

fn slab(grid: &Grid, protocol: &TofProtocol) -> Result<Geometry, Error> {
    let step = protocol.slice_spacing_mm;
    let slices = (grid.length_mm() / step + 1e-9).floor();
    if slices < 1.0 {
        let found = grid.length_mm();
        return Err(Error::InvalidArgument { name: "length_mm", expected: "at least one slice spacing", found });
    }
    let ([columns, rows], pixel) = (grid.size(), grid.pixel_mm());
    let first = |count: f64, step: f64| -0.5 * (count - 1.0) * step;
    let origin = [first(columns as f64, pixel), first(rows as f64, pixel), MIDDLE_MM + first(slices, step)];
    let axes = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
    Ok(Geometry::new([columns, rows, slices as usize], [pixel, pixel, step], origin, axes)?)
}

/// Lower and upper face along z.
fn faces_mm(geometry: &Geometry) -> [f64; 2] {
    let (first, step) = (geometry.origin_mm()[2], geometry.spacing_mm()[2]);
    [first - 0.5 * step, first + (geometry.size()[2] as f64 - 0.5) * step]
}

/// T1 at 1.5 and 3 T, T2* at 1.5 and 3 T, ms, and proton density. T1 of Stanisz et al., Magn Reson Med 54, 2005, and for
/// fat of de Bazelaire et al., Radiology 230, 2004.
type Tissue = ([f64; 2], [f64; 2], f64);
const FAT: Tissue = ([343.0, 382.0], [40.0, 30.0], 0.9);
const BONE: Tissue = ([500.0, 500.0], [0.6, 0.4], 0.3);
const FLUID: Tissue = ([4300.0, 4300.0], [1000.0, 700.0], 1.0);
const GREY: Tissue = ([1124.0, 1820.0], [84.0, 52.0], 0.82);
const WHITE: Tissue = ([884.0, 1084.0], [66.0, 48.0], 0.70);
const MUSCLE: Tissue = ([1008.0, 1412.0], [30.0, 25.0], 0.8);
const BLOOD_TISSUE: Tissue = ([1441.0, 1932.0], [150.0, 60.0], 0.9);

impl TofProtocol {
    fn transverse(&self, (t1_ms, t2_star_ms, density): Tissue, pulses: f64) -> f64 {
        let at = |[low, high]: [f64; 2]| if self.field_tesla > 2.0 { high } else { low };
        let flip = self.flip_deg.to_radians();
        let along = inflow_magnetisation(pulses, flip, self.tr_ms / at(t1_ms));
        density * flip.sin() * along * (-self.te_ms / at(t2_star_ms)).exp()
    }

    /// Signal of blood after a time in the slab, as a share of that of fresh blood.
    fn blood_signal(&self, seconds: f64) -> f64 {
        self.transverse(BLOOD_TISSUE, 1000.0 * seconds / self.tr_ms) / self.transverse(BLOOD_TISSUE, 0.0)
    }

    /// Signals of the tissues by label, on the scale of [`blood_signal`](Self::blood_signal).
    fn tissue_signals(&self) -> [f64; 7] {
        let fresh = self.transverse(BLOOD_TISSUE, 0.0);
        let steady = |tissue| self.transverse(tissue, f64::INFINITY) / fresh;
        [0.0, steady(FAT), steady(BONE), steady(FLUID), steady(GREY), steady(WHITE), steady(MUSCLE)]
    }
}

/// The tissues around the arteries of one subject, as ellipsoids.
struct Head {
    scale: f64,
    ventricle: f64,
}

impl Head {
    fn draw(seed: u64, subject: u32) -> Self {
        let mut random = keyed(seed, subject, Purpose::Vessels(3), 0, 0);
        Self { scale: between(&mut random, 0.96, 1.04), ventricle: between(&mut random, 0.7, 1.3) }
    }

    /// The label of the tissue in a voxel; `world` leads to where the head was drawn.
    fn label(&self, voxel: [usize; 3], world: &Affine3) -> u8 {
        let point = world.apply(voxel.map(|v| v as f64));
        let level = |center: [f64; 3], half: [f64; 3]| -> f64 {
            (0..3).map(|a| ((point[a] - center[a]) / half[a]).powi(2)).sum()
        };
        let grown = |mm: f64| BRAIN_HALF_MM.map(|half| self.scale * half + mm);
        let of_brain = |mm: f64| level(BRAIN_CENTER_MM, grown(mm));
        let ventricle = [6.0, 26.0, 10.0].map(|half| half * self.ventricle);
        if level([0.0, 8.0, 8.0], [80.0, 98.0, 108.0].map(|half| half * self.scale)) > 1.0 {
            return 0;
        }
        if [-11.0, 11.0].iter().any(|&x| level([x, 8.0, 32.0], ventricle) < 1.0) {
            return 3;
        }
        if level([0.0, 0.0, -6.0], [24.0, 20.0, 12.0]) < 1.0 {
            return 3;
        }
        match () {
            () if of_brain(-4.0) < 1.0 => 5,
            () if of_brain(0.0) < 1.0 => 4,
            () if of_brain(3.0) < 1.0 => 3,
            () if of_brain(9.0) < 1.0 => 2,
            () if level([0.0, 8.0, 8.0], [75.0, 93.0, 103.0].map(|half| half * self.scale)) < 1.0 => 6,
            () => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid() -> Grid {
        Grid::new([96, 96], 2.0, 48.0).unwrap()
    }

    fn mean(values: impl Iterator<Item = f32>) -> f64 {
        let (sum, count) = values.fold((0.0, 0.0), |(sum, count), v| (sum + f64::from(v), count + 1.0));
        sum / count
    }

    #[test]
    fn large_arteries_are_brighter_than_the_brain_and_fade_on_their_way() {
        let fine = TofProtocol { slice_spacing_mm: 2.0, resolution_mm: [2.0; 3], ..*tof_protocol("tof-3t").unwrap() };
        let scan = tof(1, 3, &grid(), &fine, &Visit::only(1)).unwrap();
        let of = |label: f32| {
            let values = scan.image.as_slice().iter().zip(scan.labels.as_slice());
            mean(values.filter(|(_, found)| **found == label).map(|(value, _)| *value))
        };
        let signals = fine.tissue_signals();
        assert!((of(5.0) / (GAIN * signals[5]) - 1.0).abs() < 0.05, "{} for {}", of(5.0), GAIN * signals[5]);
        assert!(of(7.0) > 1.5 * of(5.0), "{} over {}", of(7.0), of(5.0));
        assert!(fine.blood_signal(0.05) > fine.blood_signal(0.5));
        // The steady state of a spoiled gradient echo with E₁ = exp(-22/1932) at 18°, over that of fresh blood.
        let e1 = (-22.0f64 / 1932.0).exp();
        let ernst = (1.0 - e1) / (1.0 - e1 * 18f64.to_radians().cos());
        assert!((fine.blood_signal(1e3) - ernst).abs() < 1e-9);
    }

    #[test]
    fn a_short_scan_of_the_same_arteries_is_less_sharp() {
        let scan = |id: &str| {
            let protocol = TofProtocol { slice_spacing_mm: 1.0, ..*tof_protocol(id).unwrap() };
            tof(2, 0, &Grid::new([128, 128], 1.0, 16.0).unwrap(), &protocol, &Visit::only(2)).unwrap()
        };
        let (fine, fast) = (scan("tof-3t"), scan("tof-3t-fast"));
        assert_eq!(fine.labels, fast.labels);
        let in_arteries = |scan: &TofScan| {
            let values = scan.image.as_slice().iter().zip(scan.labels.as_slice());
            mean(values.filter(|(_, label)| **label == 7.0).map(|(value, _)| *value))
        };
        assert!(in_arteries(&fine) > 1.03 * in_arteries(&fast), "{} and {}", in_arteries(&fine), in_arteries(&fast));
    }

    #[test]
    fn noise_of_air_has_the_mean_of_rayleigh_and_falls_with_the_voxel() {
        let object = Array3::zeros((8, 48, 48));
        let geometry = Geometry::axis_aligned([48, 48, 8], [1.0; 3]).unwrap();
        for resolution_mm in [[1.0; 3], [2.0, 3.0, 2.0]] {
            let protocol = TofProtocol { resolution_mm, noise: 0.02, ..*tof_protocol("tof-3t").unwrap() };
            let random = |plane, row| keyed(1, 0, Purpose::Receiver(0), plane, row);
            let found = mean(acquired(&object, &geometry, &protocol, random).iter().copied());
            let sigma = GAIN * 0.02 / resolution_mm.iter().product::<f64>();
            let expected = sigma * std::f64::consts::FRAC_PI_2.sqrt();
            assert!((found / expected - 1.0).abs() < 0.04, "{found} for {expected}");
        }
    }

    #[test]
    fn a_session_moves_the_arteries_with_the_head() {
        let protocol = tof_protocol("tof-3t").unwrap();
        let visit = Visit::session(4, 1, protocol.id, 2);
        let (there, moved) =
            (tof(4, 1, &grid(), protocol, &Visit::only(4)).unwrap(), tof(4, 1, &grid(), protocol, &visit).unwrap());
        let (motion, _) = rigid(&visit.pose, [0.0; 3]);
        let (old, new) = (&there.tree.vessels[0].points_mm[9], &moved.tree.vessels[0].points_mm[9]);
        assert_eq!(*new, motion.apply(*old));
        assert_ne!(there.labels, moved.labels);
        let count = |scan: &TofScan| scan.labels.as_slice().iter().filter(|l| **l >= 7.0).count() as f64;
        assert!((count(&moved) / count(&there) - 1.0).abs() < 0.25);
    }
}
