/// The tissue numbers that a sequence sees at one field strength.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Relaxation {
    /// Longitudinal relaxation time, ms.
    pub t1_ms: f64,
    /// Transverse relaxation time, ms.
    pub t2_ms: f64,
    /// Transverse relaxation time with the field's inhomogeneity, ms.
    pub t2_star_ms: f64,
    /// Proton density; pure water is 1.
    pub proton_density: f64,
    /// Apparent diffusion coefficient, µm²/ms (= 10⁻³ mm²/s).
    pub adc_um2_per_ms: f64,
}

/// A pulse sequence with its times.
///
/// All signals are those of the steady state after ideal pulses and complete spoiling, with `E(t) = exp(-t/T1)`; a spin
/// echo's 180° pulse at TE/2 is counted, since it inverts what has recovered by then.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
#[serde(tag = "sequence", rename_all = "kebab-case")]
pub enum Sequence {
    /// 90°-180°-echo.
    SpinEcho {
        /// Repetition time, ms.
        tr_ms: f64,
        /// Echo time, ms.
        te_ms: f64,
        /// Diffusion weighting, s/mm²; 0 for none.
        b_s_per_mm2: f64,
    },
    /// Inversion recovery with a spin echo, such as FLAIR.
    InversionRecovery {
        /// Repetition time, ms.
        tr_ms: f64,
        /// Echo time, ms.
        te_ms: f64,
        /// From the inversion to the excitation, ms.
        ti_ms: f64,
    },
    /// Two inversions before a spin echo.
    DoubleInversion {
        /// Repetition time, ms.
        tr_ms: f64,
        /// Echo time, ms.
        te_ms: f64,
        /// From the first inversion to the excitation, ms.
        ti_ms: f64,
        /// From the second inversion to the excitation, ms.
        ti2_ms: f64,
    },
    /// Spoiled gradient echo.
    SpoiledGradientEcho {
        /// Repetition time, ms.
        tr_ms: f64,
        /// Echo time, ms.
        te_ms: f64,
        /// Flip angle, degrees.
        flip_deg: f64,
    },
}

impl Sequence {
    /// Signal of a tissue, in units of the fully relaxed magnetisation of pure water; negative where an inversion has
    /// not recovered.
    ///
    /// - spin echo: `S = PD (1 - 2E(TR - TE/2) + E(TR)) exp(-TE/T2) exp(-b·ADC)`;
    /// - inversion recovery: `S = PD (1 - 2E(TI) + 2E(TR - TE/2) - E(TR)) exp(-TE/T2)`;
    /// - double inversion: `S = PD (1 - 2E(TI₂) + 2E(TI₁) - 2E(TR - TE/2) + E(TR)) exp(-TE/T2)` (Redpath & Smith, Br J
    ///   Radiol 67, 1994, with the echo's pulse);
    /// - spoiled gradient echo: `S = PD sin α (1 - E(TR)) / (1 - cos α E(TR)) exp(-TE/T2*)` (Ernst & Anderson, Rev Sci
    ///   Instrum 37, 1966).
    ///
    /// The first three are in Bernstein, King & Zhou, *Handbook of MRI Pulse Sequences*, 2004, sections 14.2 and 16.3.
    pub fn signal(&self, tissue: &Relaxation) -> f64 {
        let left = |time_ms: f64| (-time_ms / tissue.t1_ms).exp();
        let echo = |te_ms: f64| (-te_ms / tissue.t2_ms).exp();
        let (longitudinal, decay) = match *self {
            Self::SpinEcho { tr_ms, te_ms, b_s_per_mm2 } => {
                let diffusion = (-1e-3 * b_s_per_mm2 * tissue.adc_um2_per_ms).exp();
                (1.0 - 2.0 * left(tr_ms - 0.5 * te_ms) + left(tr_ms), echo(te_ms) * diffusion)
            }
            Self::InversionRecovery { tr_ms, te_ms, ti_ms } => {
                (1.0 - 2.0 * left(ti_ms) + 2.0 * left(tr_ms - 0.5 * te_ms) - left(tr_ms), echo(te_ms))
            }
            Self::DoubleInversion { tr_ms, te_ms, ti_ms, ti2_ms } => {
                let end = 2.0 * left(tr_ms - 0.5 * te_ms) - left(tr_ms);
                (1.0 - 2.0 * left(ti2_ms) + 2.0 * left(ti_ms) - end, echo(te_ms))
            }
            Self::SpoiledGradientEcho { tr_ms, te_ms, flip_deg } => {
                let ((sin, cos), e1) = (flip_deg.to_radians().sin_cos(), left(tr_ms));
                (sin * (1.0 - e1) / (1.0 - cos * e1), (-te_ms / tissue.t2_star_ms).exp())
            }
        };
        tissue.proton_density * longitudinal * decay
    }

    /// Repetition time, ms.
    pub fn tr_ms(&self) -> f64 {
        match *self {
            Self::SpinEcho { tr_ms, .. }
            | Self::InversionRecovery { tr_ms, .. }
            | Self::DoubleInversion { tr_ms, .. }
            | Self::SpoiledGradientEcho { tr_ms, .. } => tr_ms,
        }
    }

    /// Echo time, ms.
    pub fn te_ms(&self) -> f64 {
        match *self {
            Self::SpinEcho { te_ms, .. }
            | Self::InversionRecovery { te_ms, .. }
            | Self::DoubleInversion { te_ms, .. }
            | Self::SpoiledGradientEcho { te_ms, .. } => te_ms,
        }
    }

    /// Inversion times before the excitation, ms, the longest first.
    pub fn inversion_times_ms(&self) -> Vec<f64> {
        match *self {
            Self::InversionRecovery { ti_ms, .. } => vec![ti_ms],
            Self::DoubleInversion { ti_ms, ti2_ms, .. } => vec![ti_ms, ti2_ms],
            Self::SpinEcho { .. } | Self::SpoiledGradientEcho { .. } => Vec::new(),
        }
    }

    /// Flip angle of the excitation, degrees.
    pub fn flip_deg(&self) -> f64 {
        match *self {
            Self::SpoiledGradientEcho { flip_deg, .. } => flip_deg,
            _ => 90.0,
        }
    }
}

/// The inversion time, ms, that nulls a tissue of this T1:
/// `TI = T1 ln(2 / (1 + 2E(TR - TE/2) - E(TR)))`, which is `T1 ln 2` for a long TR.
///
/// ```
/// let ti_ms = isoscan_phantom::null_inversion_ms(4300.0, 1e6, 0.0);
/// assert!((ti_ms - 4300.0 * 2f64.ln()).abs() < 1e-6);
/// ```
pub fn null_inversion_ms(t1_ms: f64, tr_ms: f64, te_ms: f64) -> f64 {
    let left = |time_ms: f64| (-time_ms / t1_ms).exp();
    t1_ms * (2.0 / (1.0 + 2.0 * left(tr_ms - 0.5 * te_ms) - left(tr_ms))).ln()
}

/// The two inversion times `[TI₁, TI₂]`, ms, of a double inversion that null two tissues at once, `None` when the
/// repetition time is too short for them. `t1_ms` holds the two T1, in any order.
///
/// For a given TI₁ the second time nulls the tissue of short T1 in closed form,
/// `TI₂ = -T1 ln((1 + 2E(TI₁) - 2E(TR - TE/2) + E(TR)) / 2)`; TI₁ is bisected until the other tissue is null as well.
pub fn double_null_inversions_ms(t1_ms: [f64; 2], tr_ms: f64, te_ms: f64) -> Option<[f64; 2]> {
    let (short, long) = (t1_ms[0].min(t1_ms[1]), t1_ms[0].max(t1_ms[1]));
    let left = |time_ms: f64, t1: f64| (-time_ms / t1).exp();
    let end = |t1: f64| 2.0 * left(tr_ms - 0.5 * te_ms, t1) - left(tr_ms, t1);
    let second = |ti: f64| -short * (0.5 * (1.0 + 2.0 * left(ti, short) - end(short))).ln();
    let rest = |ti: f64| 1.0 - 2.0 * left(second(ti), long) + 2.0 * left(ti, long) - end(long);
    // At TI₁ = TI₂ the inversions cancel and the rest is positive; it falls as TI₁ grows.
    let (mut low, mut high) = (second(tr_ms).max(0.0), tr_ms - 0.5 * te_ms);
    if !(low < high && rest(low) > 0.0 && rest(high) < 0.0) {
        return None;
    }
    for _ in 0..200 {
        let middle = 0.5 * (low + high);
        if rest(middle) > 0.0 { low = middle } else { high = middle }
    }
    Some([low, second(low)])
}

/// The flip angle of largest spoiled gradient echo signal, `acos E(TR)`, degrees.
pub fn ernst_angle_deg(t1_ms: f64, tr_ms: f64) -> f64 {
    (-tr_ms / t1_ms).exp().acos().to_degrees()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TISSUE: Relaxation =
        Relaxation { t1_ms: 1000.0, t2_ms: 100.0, t2_star_ms: 50.0, proton_density: 0.8, adc_um2_per_ms: 0.7 };

    #[test]
    fn signals_are_those_worked_by_hand() {
        let ln2 = 1000.0 * 2f64.ln();
        let ten = 100.0 * 10f64.ln();
        let rows = [
            // TE 0, TR = T1 ln 2: half of it has recovered.
            (Sequence::SpinEcho { tr_ms: ln2, te_ms: 0.0, b_s_per_mm2: 0.0 }, 0.8 * 0.5),
            // TR long, TE = T2 ln 10: a tenth is left.
            (Sequence::SpinEcho { tr_ms: 1e6, te_ms: ten, b_s_per_mm2: 0.0 }, 0.8 * 0.1),
            // b = 1000 s/mm² at 0.7 µm²/ms leaves exp(-0.7).
            (Sequence::SpinEcho { tr_ms: 1e6, te_ms: 0.0, b_s_per_mm2: 1000.0 }, 0.8 * (-0.7f64).exp()),
            // TR = 4 ln 2 T1, TI = 2 ln 2 T1, TE 0: 1 - 2/4 + 1/16.
            (Sequence::InversionRecovery { tr_ms: 4.0 * ln2, te_ms: 0.0, ti_ms: 2.0 * ln2 }, 0.8 * (0.5 + 1.0 / 16.0)),
            // TI₁ = 2 ln 2, TI₂ = ln 2, TR = 4 ln 2 (all T1): 1 - 1 + 1/2 - 1/16.
            (
                Sequence::DoubleInversion { tr_ms: 4.0 * ln2, te_ms: 0.0, ti_ms: 2.0 * ln2, ti2_ms: ln2 },
                0.8 * (0.5 - 1.0 / 16.0),
            ),
            // α = 90°, TR = T1 ln 2, TE = T2* ln 10.
            (Sequence::SpoiledGradientEcho { tr_ms: ln2, te_ms: 0.5 * ten, flip_deg: 90.0 }, 0.8 * 0.5 * 0.1),
            // α = 60°, TR = T1 ln 2: sin 60° · 0.5 / 0.75.
            (
                Sequence::SpoiledGradientEcho { tr_ms: ln2, te_ms: 0.0, flip_deg: 60.0 },
                0.8 * 0.75f64.sqrt() * 0.5 / 0.75,
            ),
        ];
        for (sequence, expected) in rows {
            assert!((sequence.signal(&TISSUE) - expected).abs() < 1e-12, "{sequence:?}: {}", sequence.signal(&TISSUE));
        }
    }

    /// Longitudinal magnetisation through whole cycles of ideal pulses, until it repeats: what the closed forms sum up.
    fn simulated(t1_ms: f64, inversions_ms: &[f64], tr_ms: f64, te_ms: f64) -> f64 {
        let relax = |m: f64, time: f64| 1.0 - (1.0 - m) * (-time / t1_ms).exp();
        let mut end = 1.0;
        let mut excited = 0.0;
        for _ in 0..200 {
            let mut before = inversions_ms.iter().copied().fold(0.0, f64::max);
            let total = before;
            let mut m: f64 = end;
            for &ti in inversions_ms {
                m = -relax(m, before - ti);
                before = ti;
            }
            excited = relax(m, before);
            end = relax(-relax(0.0, 0.5 * te_ms), tr_ms - total - 0.5 * te_ms);
        }
        excited
    }

    #[test]
    fn closed_forms_are_the_steady_state_of_the_pulses() {
        for t1_ms in [300.0, 900.0, 4300.0] {
            let tissue = Relaxation { t1_ms, t2_ms: f64::INFINITY, proton_density: 1.0, ..TISSUE };
            let rows = [
                Sequence::SpinEcho { tr_ms: 600.0, te_ms: 40.0, b_s_per_mm2: 0.0 },
                Sequence::InversionRecovery { tr_ms: 8000.0, te_ms: 120.0, ti_ms: 2300.0 },
                Sequence::DoubleInversion { tr_ms: 7500.0, te_ms: 30.0, ti_ms: 3000.0, ti2_ms: 450.0 },
            ];
            for sequence in rows {
                let expected = simulated(t1_ms, &sequence.inversion_times_ms(), sequence.tr_ms(), sequence.te_ms());
                assert!((sequence.signal(&tissue) - expected).abs() < 1e-7, "{sequence:?} at T1 {t1_ms}");
            }
        }
    }

    #[test]
    fn inversion_times_null_their_tissues() {
        for (t1_ms, tr_ms, te_ms) in [(4300.0, 9000.0, 120.0), (4300.0, 6000.0, 0.0), (240.0, 4000.0, 60.0)] {
            let ti_ms = null_inversion_ms(t1_ms, tr_ms, te_ms);
            let sequence = Sequence::InversionRecovery { tr_ms, te_ms, ti_ms };
            assert!(sequence.signal(&Relaxation { t1_ms, ..TISSUE }).abs() < 1e-12, "{ti_ms}");
        }
        for (pair, tr_ms, te_ms) in [([4300.0, 887.0], 11000.0, 25.0), ([680.0, 4300.0], 7500.0, 0.0)] {
            let [ti_ms, ti2_ms] = double_null_inversions_ms(pair, tr_ms, te_ms).unwrap();
            assert!(ti_ms > ti2_ms && ti2_ms > 0.0);
            let sequence = Sequence::DoubleInversion { tr_ms, te_ms, ti_ms, ti2_ms };
            for t1_ms in pair {
                let signal = sequence.signal(&Relaxation { t1_ms, ..TISSUE });
                assert!(signal.abs() < 1e-9, "T1 {t1_ms}: {signal} at {ti_ms}, {ti2_ms}");
            }
        }
        assert_eq!(double_null_inversions_ms([4300.0, 887.0], 200.0, 380.0), None);
    }

    #[test]
    fn ernst_angle_gives_the_largest_signal() {
        let best = ernst_angle_deg(1000.0, 20.0);
        assert!((best - 11.4210).abs() < 1e-3, "{best}");
        let signal = |flip_deg| Sequence::SpoiledGradientEcho { tr_ms: 20.0, te_ms: 4.0, flip_deg }.signal(&TISSUE);
        assert!(signal(best) > signal(best - 0.5) && signal(best) > signal(best + 0.5));
    }
}
