use std::sync::LazyLock;

use crate::head::substance::{label, substances};
use crate::mr::kspace::KspaceWindow;
use crate::mr::receive::Receive;
use crate::mr::signal::{double_null_inversions_ms, null_inversion_ms};
use crate::{Encoding, Error, MrProtocol, Sequence, SliceProfile};

/// One scanner: what all its protocols share, and how its site times them.
struct Scanner {
    id: &'static str,
    manufacturer: &'static str,
    model: &'static str,
    field_tesla: f64,
    noise: f64,
    receive: Receive,
    gain: f64,
    window: KspaceWindow,
    profile: SliceProfile,
    /// TR and TE, ms, of T1 spin echo, T2, PD, FLAIR and DIR.
    t1: [f64; 2],
    t2: [f64; 2],
    pd: [f64; 2],
    flair: [f64; 2],
    dir: [f64; 2],
    /// TR, TE (ms) and flip angle (degrees) of the spoiled gradient echo.
    t1ge: [f64; 3],
    /// In-plane resolution and thickness of slices, mm.
    resolution_mm: f64,
    thickness_mm: f64,
}

const RING: Receive = Receive { elements: 8, ring_mm: 145.0, loop_mm: 85.0, strength: 0.6, dielectric: 0.0 };

const SCANNERS: [Scanner; 6] = [
    Scanner {
        id: "a15",
        manufacturer: "Phantom Vendor A",
        model: "A-MR 15",
        field_tesla: 1.5,
        noise: 0.016,
        receive: Receive { strength: 0.35, ..RING },
        gain: 1400.0,
        window: KspaceWindow::Hamming,
        profile: SliceProfile::Gaussian,
        t1: [520.0, 12.0],
        t2: [4200.0, 98.0],
        pd: [3200.0, 14.0],
        flair: [8500.0, 110.0],
        dir: [9500.0, 30.0],
        t1ge: [24.0, 5.0, 28.0],
        resolution_mm: 1.0,
        thickness_mm: 5.0,
    },
    Scanner {
        id: "a30",
        manufacturer: "Phantom Vendor A",
        model: "A-MR 30",
        field_tesla: 3.0,
        noise: 0.009,
        receive: Receive { strength: 0.5, dielectric: 0.12, ..RING },
        gain: 1800.0,
        window: KspaceWindow::Rectangular,
        profile: SliceProfile::Gaussian,
        t1: [650.0, 10.0],
        t2: [5200.0, 95.0],
        pd: [4000.0, 12.0],
        flair: [9000.0, 120.0],
        dir: [11000.0, 25.0],
        t1ge: [20.0, 4.0, 22.0],
        resolution_mm: 0.9,
        thickness_mm: 4.0,
    },
    Scanner {
        id: "b15",
        manufacturer: "Phantom Vendor B",
        model: "B-Tune 1.5",
        field_tesla: 1.5,
        noise: 0.022,
        receive: Receive { elements: 4, strength: 0.8, ..RING },
        gain: 520.0,
        window: KspaceWindow::Rectangular,
        profile: SliceProfile::Rectangular,
        t1: [450.0, 15.0],
        t2: [3600.0, 84.0],
        pd: [2800.0, 20.0],
        flair: [7600.0, 96.0],
        dir: [8600.0, 35.0],
        t1ge: [30.0, 6.5, 35.0],
        resolution_mm: 1.2,
        thickness_mm: 5.0,
    },
    Scanner {
        id: "b30",
        manufacturer: "Phantom Vendor B",
        model: "B-Tune 3",
        field_tesla: 3.0,
        noise: 0.012,
        receive: Receive { elements: 12, loop_mm: 65.0, strength: 0.8, dielectric: 0.08, ..RING },
        gain: 900.0,
        window: KspaceWindow::Hamming,
        profile: SliceProfile::Rectangular,
        t1: [600.0, 14.0],
        t2: [4600.0, 110.0],
        pd: [3600.0, 16.0],
        flair: [10000.0, 135.0],
        dir: [10500.0, 32.0],
        t1ge: [16.0, 3.2, 18.0],
        resolution_mm: 1.0,
        thickness_mm: 3.0,
    },
    Scanner {
        id: "c30",
        manufacturer: "Phantom Vendor C",
        model: "C-Spin",
        field_tesla: 3.0,
        noise: 0.014,
        receive: Receive { elements: 6, strength: 0.2, dielectric: 0.15, ..RING },
        gain: 3100.0,
        window: KspaceWindow::Hamming,
        profile: SliceProfile::Gaussian,
        t1: [700.0, 9.0],
        t2: [6000.0, 80.0],
        pd: [5000.0, 9.0],
        flair: [11000.0, 100.0],
        dir: [12000.0, 22.0],
        t1ge: [28.0, 4.6, 30.0],
        resolution_mm: 1.1,
        thickness_mm: 4.0,
    },
    Scanner {
        id: "c70",
        manufacturer: "Phantom Vendor C",
        model: "C-Spin Seven",
        field_tesla: 7.0,
        noise: 0.006,
        receive: Receive { elements: 16, loop_mm: 60.0, strength: 0.9, dielectric: 0.4, ..RING },
        gain: 2600.0,
        window: KspaceWindow::Rectangular,
        profile: SliceProfile::Gaussian,
        t1: [900.0, 9.0],
        t2: [6500.0, 60.0],
        pd: [5500.0, 9.0],
        flair: [12000.0, 80.0],
        dir: [13000.0, 20.0],
        t1ge: [18.0, 3.0, 18.0],
        resolution_mm: 0.8,
        thickness_mm: 2.0,
    },
];

/// Contrasts that every scanner has: the part of the id after the scanner, and one line for people.
const CONTRASTS: [(&str, &str); 9] = [
    ("t1se", "T1w spin echo"),
    ("t1ge", "T1w spoiled gradient echo"),
    ("t1ce", "T1w spoiled gradient echo after contrast agent"),
    ("t2", "T2w spin echo"),
    ("pd", "PDw spin echo"),
    ("t2s", "T2*w gradient echo"),
    ("flair", "FLAIR"),
    ("dir", "Double inversion recovery"),
    ("dwi", "Diffusion-weighted, b 1000"),
];

static PROTOCOLS: LazyLock<Vec<MrProtocol>> = LazyLock::new(|| {
    SCANNERS.iter().flat_map(|scanner| CONTRASTS.iter().map(|contrast| protocol_of(scanner, *contrast))).collect()
});

fn protocol_of(scanner: &Scanner, (contrast, words): (&'static str, &'static str)) -> MrProtocol {
    let sliced = Encoding::Slices {
        thickness_mm: scanner.thickness_mm,
        spacing_mm: scanner.thickness_mm,
        profile: scanner.profile,
    };
    let volumetric = contrast == "t1ge" || contrast == "t1ce";
    MrProtocol {
        id: format!("{}-{contrast}", scanner.id),
        manufacturer: scanner.manufacturer,
        model: scanner.model,
        description: format!("{words}, {} T", scanner.field_tesla),
        field_tesla: scanner.field_tesla,
        sequence: sequence_of(scanner, contrast),
        fat_suppression: if matches!(contrast, "dir" | "dwi") { 0.95 } else { 0.0 },
        contrast_dose: if contrast == "t1ce" { 1.0 } else { 0.0 },
        resolution_mm: [scanner.resolution_mm; 2],
        encoding: if volumetric { Encoding::Volume { partition_mm: scanner.resolution_mm } } else { sliced },
        window: scanner.window,
        noise: scanner.noise * noise_of(contrast),
        receive: scanner.receive,
        gain: scanner.gain,
        motion: None,
    }
}

/// Noise of a contrast relative to the spin echoes of its scanner: volumes and long scans average more samples.
fn noise_of(contrast: &str) -> f64 {
    match contrast {
        "t1ge" | "t1ce" => 0.25,
        "flair" | "dir" => 0.5,
        _ => 1.0,
    }
}

/// The sequence of a contrast; inversion times null fluid, or fluid and white matter, to the millisecond.
fn sequence_of(scanner: &Scanner, contrast: &str) -> Sequence {
    let echo = |[tr_ms, te_ms]: [f64; 2]| Sequence::SpinEcho { tr_ms, te_ms, b_s_per_mm2: 0.0 };
    let t1_of = |number: u8| substances()[usize::from(number)].in_field(scanner.field_tesla, 0.0).t1_ms();
    match contrast {
        "t1se" => echo(scanner.t1),
        "t2" => echo(scanner.t2),
        "pd" => echo(scanner.pd),
        "dwi" => Sequence::SpinEcho { tr_ms: scanner.t2[0], te_ms: 75.0, b_s_per_mm2: 1000.0 },
        "flair" => {
            let [tr_ms, te_ms] = scanner.flair;
            let ti_ms = null_inversion_ms(t1_of(label::CSF), tr_ms, te_ms).round();
            Sequence::InversionRecovery { tr_ms, te_ms, ti_ms }
        }
        "dir" => {
            let [tr_ms, te_ms] = scanner.dir;
            let [ti_ms, ti2_ms] = double_null_inversions_ms([t1_of(label::CSF), t1_of(label::WHITE)], tr_ms, te_ms)
                .expect("every scanner's repetition time has room for two inversions")
                .map(f64::round);
            Sequence::DoubleInversion { tr_ms, te_ms, ti_ms, ti2_ms }
        }
        "t2s" => {
            Sequence::SpoiledGradientEcho { tr_ms: 650.0, te_ms: 60.0 / scanner.field_tesla.max(2.0), flip_deg: 20.0 }
        }
        _ => {
            let [tr_ms, te_ms, flip_deg] = scanner.t1ge;
            Sequence::SpoiledGradientEcho { tr_ms, te_ms, flip_deg }
        }
    }
}

/// The protocols of six scanners of three invented vendors at 1.5, 3 and 7 T, nine contrasts each.
///
/// Ids are `<scanner>-<contrast>`: scanners `a15 a30 b15 b30 c30 c70`, contrasts `t1se t1ge t1ce t2 pd t2s flair dir
/// dwi`.
pub fn mr_protocols() -> &'static [MrProtocol] {
    &PROTOCOLS
}

/// The protocol with this id.
///
/// # Errors
/// [`Error::UnknownProtocol`] with the ids that exist.
pub fn mr_protocol(id: &str) -> Result<&'static MrProtocol, Error> {
    PROTOCOLS.iter().find(|protocol| protocol.id == id).ok_or_else(|| {
        let expected = PROTOCOLS.iter().map(|protocol| protocol.id.as_str()).collect::<Vec<_>>().join(", ");
        Error::UnknownProtocol { expected, found: id.to_owned() }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protocols_are_valid_and_unique() {
        let mut ids: Vec<_> = mr_protocols().iter().map(|p| p.id.as_str()).collect();
        assert_eq!(ids.len(), 54);
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 54);
        for protocol in mr_protocols() {
            assert_eq!(protocol.check(), Ok(()), "{}", protocol.id);
        }
        let message = mr_protocol("z").unwrap_err().to_string();
        assert!(message.starts_with("no protocol z: expected one of a15-t1se, a15-t1ge"), "{message}");
    }

    #[test]
    fn inversions_null_fluid_and_white_matter_at_every_scanner() {
        for protocol in mr_protocols() {
            let signal = |number: u8| {
                let tissue = substances()[usize::from(number)].in_field(protocol.field_tesla, 0.0).relaxation(0.0);
                protocol.sequence.signal(&tissue.unwrap()).abs()
            };
            if protocol.id.ends_with("flair") {
                assert!(signal(label::CSF) < 5e-4 && signal(label::WHITE) > 0.05, "{}", protocol.id);
            }
            if protocol.id.ends_with("dir") {
                assert!(signal(label::CSF) < 1e-3 && signal(label::WHITE) < 1e-3, "{}", protocol.id);
                assert!(signal(label::GREY) > 0.05 && signal(label::PLAQUE) > 0.05, "{}", protocol.id);
            }
        }
    }

    #[test]
    fn facts_are_those_of_the_sequence() {
        let facts = mr_protocol("a30-flair").unwrap().facts();
        assert_eq!((facts.scanning_sequence, facts.acquisition_type), ("IR", "2D"));
        assert_eq!((facts.repetition_time_ms, facts.echo_time_ms, facts.flip_angle_deg), (9000.0, 120.0, 90.0));
        assert_eq!(facts.inversion_times_ms.len(), 1);
        let facts = mr_protocol("b30-t1ce").unwrap().clone().with_slices(2.5).facts();
        assert_eq!((facts.scanning_sequence, facts.sequence_variant, facts.acquisition_type), ("GR", "SP", "3D"));
        assert!(facts.contrast_agent);
        assert_eq!((facts.slice_thickness_mm, facts.spacing_between_slices_mm), (2.5, 2.5));
    }
}
