use crate::head::region::region;
use crate::head::substance::label;
use crate::random::{Purpose, between, keyed};
use crate::texture::RandomField;
use crate::{HeadBiology, Pose};

/// First number of a head's random fields; bodies of other phantoms use smaller ones.
const FIELDS: u32 = 2000;

/// Range of the head along its own z, mm.
const RANGE_MM: [f64; 2] = [-130.0, 110.0];

/// Width of the autocorrelation that the folds come from, mm: neighbouring sulci are about 1.3 of it apart.
const FOLD_MM: f64 = 9.0;

/// How deep a typical sulcus reaches, and beyond which depth there is none, mm.
const SULCUS_DEPTH_MM: [f64; 2] = [13.0, 22.0];

/// Distance from the skin that no wave bridges, mm: six waves of 1.6 mm and what the distance's first order may err.
const FAR_MM: f64 = 10.0;

/// Half axes of the cranial cavity and its centre, mm.
const CAVITY_HALF: [f64; 3] = [66.0, 79.0, 64.0];
const CAVITY_CENTER: [f64; 3] = [0.0, 0.0, 4.0];

/// What lies at one point of a healthy head.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Site {
    /// Number in [`crate::HEAD_LABELS`], 0 outside.
    pub(crate) label: u8,
    /// Number in [`crate::HEAD_REGIONS`], 0 for none.
    pub(crate) region: u8,
    /// Depth under the surface of the brain, sulci included, mm; 0 where it is not known.
    pub(crate) pial_mm: f64,
    /// Distance to the lateral ventricles, mm; 0 where it is not known.
    pub(crate) ventricle_mm: f64,
}

/// The shape of one healthy head as functions of the position in the head's own frame: LPS, mm, origin between the
/// ventricles. Every grid samples the same head.
pub(crate) struct Shape {
    biology: HeadBiology,
    waves: [[Wave; 2]; 3],
    folds: RandomField,
    thickness: RandomField,
    texture: RandomField,
    rough: RandomField,
    pose: Pose,
    turn: [[f64; 3]; 3],
}

/// A long wave that moves points along one axis.
struct Wave {
    per_mm: [f64; 3],
    phase: f64,
    amplitude_mm: f64,
}

impl Shape {
    pub(crate) fn new(seed: u64, subject: u32, biology: &HeadBiology, pose: &Pose) -> Self {
        let random = &mut keyed(seed, subject, Purpose::Head, 1, 0);
        let mut wave = || Wave {
            per_mm: std::array::from_fn(|_| between(random, -0.045, 0.045)),
            phase: between(random, 0.0, std::f64::consts::TAU),
            amplitude_mm: between(random, 0.5, 1.6),
        };
        let waves = std::array::from_fn(|_| [wave(), wave()]);
        let field = |number, width_mm| RandomField::new(seed, subject, FIELDS + number, RANGE_MM, width_mm);
        Self {
            biology: biology.clone(),
            waves,
            folds: field(0, FOLD_MM),
            thickness: field(1, 45.0),
            texture: field(2, 6.0),
            rough: field(3, 8.0),
            pose: *pose,
            turn: pose.rotation(),
        }
    }

    /// A point of patient space in the head's frame.
    pub(crate) fn head_from_patient(&self, point: [f64; 3]) -> [f64; 3] {
        let moved: [f64; 3] = std::array::from_fn(|a| point[a] - self.pose.translation_mm[a]);
        std::array::from_fn(|a| (0..3).map(|b| self.turn[b][a] * moved[b]).sum())
    }

    /// A point of the head's frame in patient space.
    pub(crate) fn patient_from_head(&self, point: [f64; 3]) -> [f64; 3] {
        std::array::from_fn(|a| self.pose.translation_mm[a] + (0..3).map(|b| self.turn[a][b] * point[b]).sum::<f64>())
    }

    /// Texture of the tissues, mean 0 and variance 1, at a point of the head's frame.
    pub(crate) fn texture(&self, point: [f64; 3]) -> f64 {
        self.texture.at(point)
    }

    /// The field that roughens the surfaces of findings.
    pub(crate) fn roughness(&self, point: [f64; 3]) -> f64 {
        self.rough.at(point).clamp(-2.0, 2.0)
    }

    /// What lies at a point of the head's frame.
    pub(crate) fn site(&self, point: [f64; 3]) -> Site {
        let plain = |label| Site { label, region: 0, pial_mm: 0.0, ventricle_mm: 0.0 };
        let cover_mm = self.biology.skull_mm + self.biology.scalp_mm;
        let scaled: [f64; 3] = std::array::from_fn(|a| point[a] / self.biology.scale[a]);
        if exterior(scaled, cover_mm) > FAR_MM {
            return plain(label::OUTSIDE);
        }
        let at = self.straightened(point);
        let outside = exterior(at, cover_mm);
        if outside > 0.0 {
            return plain(label::OUTSIDE);
        }
        let wall = cavity(at);
        if wall > 0.0 {
            return plain(self.outside_cavity(at, wall, -outside));
        }
        self.inside_cavity(at, -wall)
    }

    /// The point in the frame of the mean head.
    fn straightened(&self, point: [f64; 3]) -> [f64; 3] {
        std::array::from_fn(|a| {
            let moved: f64 = self.waves[a]
                .iter()
                .map(|wave| {
                    let phase: f64 = (0..3).map(|b| wave.per_mm[b] * point[b]).sum();
                    wave.amplitude_mm * (phase + wave.phase).sin()
                })
                .sum();
            (point[a] + moved) / self.biology.scale[a]
        })
    }

    /// Bone, sinuses, eyes and soft tissue, `wall` mm outside the cavity and `depth` mm under the skin.
    fn outside_cavity(&self, at: [f64; 3], wall: f64, depth: f64) -> u8 {
        let skull = self.biology.skull_mm * (1.0 + 0.14 * self.thickness.at(at).clamp(-2.0, 2.0));
        let sinus = sinuses(at);
        if sinus < 0.0 && depth > 4.0 && wall > 1.0 {
            return label::AIR_SINUS;
        }
        if wall < skull {
            let table = 0.27 * skull;
            return if wall < table || wall > skull - table { label::CORTICAL_BONE } else { label::DIPLOE };
        }
        if sinus < 1.6 && depth > 2.5 {
            return label::CORTICAL_BONE;
        }
        let eye = EYES.iter().map(|&center| sphere(at, center, 12.0)).fold(f64::INFINITY, f64::min);
        match () {
            () if eye < 0.0 => label::EYE,
            () if depth < 1.8 => label::SKIN,
            () if eye < 7.0 || depth < 5.5 => label::FAT,
            () => label::SOFT,
        }
    }

    /// Brain and fluid, `depth` mm inside the cavity.
    fn inside_cavity(&self, at: [f64; 3], depth: f64) -> Site {
        let fluid = self.biology.subarachnoid_mm;
        let cerebellum = ellipsoid(at, [0.0, 42.0, -41.0], [47.0, 28.0, 22.0]).max(fluid - depth);
        let stem = brainstem(at);
        let ventricle_mm = lateral_ventricles(at, self.biology.ventricle_scale);
        let site = |label, pial_mm| Site { label, region: region(label, at), pial_mm, ventricle_mm };
        if vault(at) > 0.0 && stem > 0.0 {
            return site(label::CSF, 0.0);
        }
        if ventricle_mm < 0.0 || midline_ventricles(at, self.biology.ventricle_scale) < 0.0 {
            return site(label::VENTRICLE, 0.0);
        }
        if stem < 0.0 {
            return site(label::BRAINSTEM, 0.0);
        }
        if cerebellum < 0.0 {
            return site(folia(at, -cerebellum), 0.0);
        }
        if let Some(nucleus) = nucleus(at) {
            return site(nucleus, 0.0);
        }
        let cistern = if at[2] < -16.0 { stem - 4.0 } else { f64::INFINITY };
        let hull = (depth - fluid).min(cerebellum - 2.0).min(cistern);
        let pial_mm = hull.min(self.fold(at, fluid)).min(self.fissures(at));
        let label = match () {
            () if pial_mm < 0.0 => label::CSF,
            () if pial_mm < self.biology.cortex_mm => label::GREY,
            () => label::WHITE,
        };
        site(label, pial_mm)
    }

    /// Distance to the nearest sulcus, less half of its width, mm.
    ///
    /// Sulci are walls under the zero lines of a random field on the surface of the cavity; the distance to a line is
    /// `|F| / |∇F|`, and steep crossings make deep sulci. Walls run towards the middle of the cavity; none starts at its base.
    fn fold(&self, at: [f64; 3], fluid: f64) -> f64 {
        let hull = -ellipsoid(at, CAVITY_CENTER, CAVITY_HALF) - fluid;
        if !(0.0..SULCUS_DEPTH_MM[1] + self.biology.cortex_mm).contains(&hull) {
            return f64::INFINITY;
        }
        let from: [f64; 3] = std::array::from_fn(|a| at[a] - CAVITY_CENTER[a]);
        let level = (0..3).map(|a| (from[a] / CAVITY_HALF[a]).powi(2)).sum::<f64>().sqrt().max(0.3);
        let surface: [f64; 3] = std::array::from_fn(|a| CAVITY_CENTER[a] + from[a] / level);
        let value = self.folds.at(surface);
        let slope = self.slope(surface, value);
        let [typical, most] = SULCUS_DEPTH_MM;
        let reach = (typical * slope * FOLD_MM / 2.4).clamp(0.4 * typical, most);
        let across = value.abs() / slope.max(0.02) * level;
        across.hypot((hull - reach).max(0.0)) - 0.5 * self.biology.sulcus_mm
    }

    /// Slope of the folds' field along the surface of the cavity, 1/mm.
    fn slope(&self, surface: [f64; 3], value: f64) -> f64 {
        const STEP_MM: f64 = 0.6;
        let gradient: [f64; 3] = std::array::from_fn(|a| {
            let mut beside = surface;
            beside[a] += STEP_MM;
            (self.folds.at(beside) - value) / STEP_MM
        });
        let normal: [f64; 3] = std::array::from_fn(|a| (surface[a] - CAVITY_CENTER[a]) / CAVITY_HALF[a].powi(2));
        let length = normal.iter().map(|v| v * v).sum::<f64>().sqrt();
        let out = (0..3).map(|a| gradient[a] * normal[a]).sum::<f64>() / length;
        (gradient.iter().map(|v| v * v).sum::<f64>() - out * out).max(0.0).sqrt()
    }

    /// Distance to the fissure between the hemispheres and to the lateral ones, less half of their widths, mm.
    fn fissures(&self, [x, y, z]: [f64; 3]) -> f64 {
        let half = 0.5 * self.biology.sulcus_mm;
        let core = ellipsoid([x, y, z], [0.0, 2.0, 0.0], [40.0, 42.0, 26.0]);
        let middle = x.abs().hypot((-core).max(0.0)) - half - 0.2;
        let line = z - sylvian_z(y);
        let short = (36.0 - x.abs()).max(0.0).max((y + 2.0).abs() - 30.0).max(0.0);
        middle.min(line.abs().hypot(short) - half - 0.4)
    }
}

/// Height of the lateral fissure, mm.
pub(crate) fn sylvian_z(y: f64) -> f64 {
    -8.0 + 0.3 * (y + 30.0)
}

const EYES: [[f64; 3]; 2] = [[31.0, -71.0, -38.0], [-31.0, -71.0, -38.0]];

/// Signed distance to an ellipsoid along the axes, mm, of first order: exact on the surface and its slope there.
fn ellipsoid(at: [f64; 3], center: [f64; 3], half: [f64; 3]) -> f64 {
    let (mut level, mut slope) = (0.0, 0.0);
    for a in 0..3 {
        let v = (at[a] - center[a]) / half[a];
        level += v * v;
        slope += (v / half[a]).powi(2);
    }
    let level = level.sqrt();
    if slope == 0.0 { -half[0].min(half[1]).min(half[2]) } else { level * (level - 1.0) / slope.sqrt() }
}

fn sphere(at: [f64; 3], center: [f64; 3], radius: f64) -> f64 {
    (0..3).map(|a| (at[a] - center[a]).powi(2)).sum::<f64>().sqrt() - radius
}

fn capsule(at: [f64; 3], from: [f64; 3], to: [f64; 3], radius: f64) -> f64 {
    let along: [f64; 3] = std::array::from_fn(|a| to[a] - from[a]);
    let offset: [f64; 3] = std::array::from_fn(|a| at[a] - from[a]);
    let length: f64 = along.iter().map(|v| v * v).sum();
    let t = (along.iter().zip(offset).map(|(a, b)| a * b).sum::<f64>() / length).clamp(0.0, 1.0);
    (0..3).map(|a| (offset[a] - t * along[a]).powi(2)).sum::<f64>().sqrt() - radius
}

/// Signed distance to the skin: cranium, face and neck.
fn exterior(at: [f64; 3], cover_mm: f64) -> f64 {
    let cranium = ellipsoid(at, CAVITY_CENTER, CAVITY_HALF) - cover_mm;
    let face = ellipsoid(at, [0.0, -34.0, -60.0], [60.0, 54.0, 62.0]);
    let neck = capsule(at, [0.0, 22.0, -40.0], [0.0, 32.0, -160.0], 54.0);
    cranium.min(face).min(neck)
}

/// Signed distance to the cavity of the skull: an ellipsoid cut by its sloping base.
fn vault(at: [f64; 3]) -> f64 {
    const SLOPE: f64 = 0.35;
    let base = (-24.0 - SLOPE * (at[1] + 70.0) - at[2]) / SLOPE.hypot(1.0);
    ellipsoid(at, CAVITY_CENTER, CAVITY_HALF).max(base)
}

/// Signed distance to the cavity of the skull with the spinal canal.
fn cavity(at: [f64; 3]) -> f64 {
    vault(at).min(capsule(at, [0.0, 22.0, -55.0], [0.0, 30.0, -160.0], 12.0))
}

/// Signed distance to the air of the nose and its sinuses, and of the mastoid cells.
fn sinuses([x, y, z]: [f64; 3]) -> f64 {
    let at = [x.abs(), y, z];
    [
        ellipsoid(at, [11.0, -82.0, -19.0], [11.0, 5.0, 9.0]),
        ellipsoid(at, [6.0, -64.0, -37.0], [5.0, 14.0, 7.0]),
        ellipsoid(at, [8.0, -30.0, -50.0], [8.0, 9.0, 7.0]),
        ellipsoid(at, [26.0, -60.0, -66.0], [11.0, 14.0, 14.0]),
        ellipsoid(at, [6.0, -62.0, -68.0], [4.0, 24.0, 14.0]),
        ellipsoid(at, [56.0, 26.0, -52.0], [5.0, 8.0, 10.0]),
    ]
    .into_iter()
    .fold(f64::INFINITY, f64::min)
}

fn brainstem(at: [f64; 3]) -> f64 {
    capsule(at, [0.0, 14.0, -14.0], [0.0, 28.0, -160.0], 7.5).min(ellipsoid(at, [0.0, 11.0, -31.0], [16.0, 13.0, 13.0]))
}

fn lateral_ventricles([x, y, z]: [f64; 3], scale: f64) -> f64 {
    let at = [x.abs(), y, z];
    [
        capsule(at, [8.0, -32.0, 4.0], [7.0, -6.0, 17.0], 4.2 * scale),
        capsule(at, [7.0, -6.0, 17.0], [19.0, 28.0, 14.0], 4.4 * scale),
        capsule(at, [19.0, 28.0, 14.0], [21.0, 50.0, 4.0], 3.6 * scale),
        capsule(at, [19.0, 28.0, 14.0], [32.0, 4.0, -17.0], 2.4 * scale),
    ]
    .into_iter()
    .fold(f64::INFINITY, f64::min)
}

/// The third and the fourth ventricle with the aqueduct.
fn midline_ventricles(at: [f64; 3], scale: f64) -> f64 {
    ellipsoid(at, [0.0, 4.0, 0.0], [2.2 * scale, 12.0, 9.0])
        .min(ellipsoid(at, [0.0, 26.0, -35.0], [6.0 * scale, 5.0, 10.0]))
        .min(capsule(at, [0.0, 15.0, -6.0], [0.0, 24.0, -28.0], 0.9 * scale))
}

fn nucleus([x, y, z]: [f64; 3]) -> Option<u8> {
    let at = [x.abs(), y, z];
    let caudate = ellipsoid(at, [14.5, -24.0, 7.0], [4.5, 9.0, 8.5]).min(capsule(
        at,
        [14.0, -18.0, 14.0],
        [20.0, 14.0, 19.0],
        2.8,
    ));
    let rows = [
        (label::CAUDATE, caudate),
        (label::THALAMUS, ellipsoid(at, [10.5, 13.0, 4.0], [7.8, 14.0, 8.5])),
        (label::PALLIDUM, ellipsoid(at, [18.5, -4.0, 0.0], [3.8, 9.0, 6.0])),
        (label::PUTAMEN, ellipsoid(at, [25.5, -4.0, 2.0], [4.2, 16.0, 9.5])),
    ];
    rows.into_iter().find(|(_, distance)| *distance < 0.0).map(|(label, _)| label)
}

/// Cortex and white matter of the cerebellum, `depth` mm under its hull: white branches part the cortex at every 9 mm
/// along a fan.
fn folia([x, y, z]: [f64; 3], depth: f64) -> u8 {
    let (fan, spread) = ((z + 41.0).atan2(y - 10.0), (y - 10.0).hypot(z + 41.0));
    let branch = (fan * spread.max(8.0) / 9.0 * std::f64::consts::PI).cos().abs() > 0.93;
    let core = ellipsoid([x.abs(), y, z], [14.0, 34.0, -41.0], [22.0, 11.0, 6.5]);
    let white = core < 0.0 || (branch && core < 11.0 && depth > 3.0);
    if white { label::CEREBELLAR_WHITE } else { label::CEREBELLAR_GREY }
}
