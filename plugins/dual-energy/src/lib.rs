//! Linear dual-energy subtraction: the baseline of learned bone suppression.
//!
//! With line integrals `S` of soft tissue and `B` of bone the log attenuations at two energies are
//!
//! ```text
//! high = s_h S + b_h B,   low = s_l S + b_l B
//! ```
//! and with the ratios `b = b_h / b_l`, `s = s_h / s_l` (R. E. Alvarez and A. Macovski, Phys Med Biol 21 (1976) 733)
//!
//! ```text
//! soft = s_h S = (high - b low) / (1 - b / s),   bone = b_h B = (high - s low) / (1 - s / b),   soft + bone = high
//! ```
//!
//! ```
//! use isoscan_dual_energy::DualEnergy;
//! use isoscan_sdk::harness::{Array, Plugin};
//!
//! // s_h 0.2, s_l 0.25, b_h 0.3, b_l 0.6 per cm; 10 cm of soft tissue, then with 1 cm of bone.
//! let high = Array::new([1, 1, 1, 1, 2], &[2.0, 2.3]);
//! let low = Array::new([1, 1, 1, 1, 2], &[2.5, 3.1]);
//! let ratios = [("soft_ratio", 0.8.into()), ("bone_ratio", 0.5.into())];
//! let soft = Plugin::<DualEnergy>::create().unwrap().run(&[&high, &low], &ratios).unwrap();
//! assert!(soft.as_slice().iter().all(|value| (value - 2.0).abs() < 1e-5));
//! ```

use isoscan_sdk::{
    Axes, Call, Config, Descriptor, Input, Modality, Output, Param, Patching, PluginError, Translator, Unit,
    export_plugin,
};

/// Mass attenuation of water at 60 and 40 keV, cm²/g (NIST, X-ray mass attenuation coefficients, table 4).
const WATER: [f64; 2] = [0.2059, 0.2683];
/// Mass attenuation of cortical bone (ICRU-44) at 60 and 40 keV, cm²/g (same source).
const CORTICAL_BONE: [f64; 2] = [0.3148, 0.6655];

/// The dual-energy subtraction plugin.
pub struct DualEnergy;

export_plugin!(DualEnergy);

impl Translator for DualEnergy {
    fn descriptor() -> Descriptor {
        let radiograph = |name: &str, text: &str| Input {
            modalities: vec![Modality::Dx, Modality::Cr],
            units: vec![Unit::OpticalDensity],
            ..Input::any(name, text)
        };
        let ratio = |[high, low]: [f64; 2]| high / low;
        Descriptor {
            id: "dual-energy".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            name: "Dual-energy subtraction".into(),
            summary: "Takes bone off a radiograph by a weighted difference of two energies".into(),
            family: "classical".into(),
            inputs: vec![
                radiograph("image", "log attenuation at the high energy"),
                Input { aligned: true, ..radiograph("low", "log attenuation at the low energy, same grid") },
            ],
            output: Output::like_input("log attenuation of one material at the high energy"),
            patching: Patching { max_batch: 8, ..Patching::whole(Axes::Slices) },
            params: vec![
                Param::choice("keep", &["soft", "bone"], "the material that stays"),
                Param::float(
                    "soft_ratio",
                    [0.01, 1.0],
                    ratio(WATER),
                    "",
                    "attenuation of soft tissue, high over low energy",
                ),
                Param::float(
                    "bone_ratio",
                    [0.01, 1.0],
                    ratio(CORTICAL_BONE),
                    "",
                    "attenuation of bone, high over low energy",
                ),
            ],
            deterministic: true,
            synthetic: true,
        }
    }

    fn create(_: &Config) -> Result<Self, PluginError> {
        Ok(Self)
    }

    fn run(&mut self, call: &mut Call<'_>) -> Result<(), PluginError> {
        let (soft, bone) = (call.params.float("soft_ratio")?, call.params.float("bone_ratio")?);
        let (gone, kept) = if call.params.choice("keep")? == "soft" { (bone, soft) } else { (soft, bone) };
        let share = 1.0 - gone / kept;
        if share.abs() < 1e-3 {
            return Err(PluginError::invalid(format_args!(
                "soft_ratio {soft} and bone_ratio {bone} are the same: the two energies tell nothing apart"
            )));
        }
        let (high, low) = (call.image(), call.input("low").ok_or_else(|| PluginError::invalid("there is no 'low'"))?);
        let mut output = call.output();
        for ((out, &high), &low) in output.as_mut_slice().iter_mut().zip(high.as_slice()).zip(low.as_slice()) {
            *out = ((f64::from(high) - gone * f64::from(low)) / share) as f32;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use isoscan_sdk::harness::{Array, Plugin};

    use super::*;

    #[test]
    fn soft_and_bone_add_up_to_the_high_energy() {
        let (high, low) =
            (Array::new([1, 1, 1, 1, 3], &[0.0, 1.5, 4.0]), Array::new([1, 1, 1, 1, 3], &[0.0, 2.5, 6.5]));
        let mut plugin = Plugin::<DualEnergy>::create().unwrap();
        let soft = plugin.run(&[&high, &low], &[]).unwrap();
        let bone = plugin.run(&[&high, &low], &[("keep", "bone".into())]).unwrap();
        for ((soft, bone), high) in soft.as_slice().iter().zip(bone.as_slice()).zip(high.as_slice()) {
            assert!((soft + bone - high).abs() < 1e-5, "{soft} + {bone} for {high}");
        }
    }

    #[test]
    fn one_energy_twice_is_refused() {
        let image = Array::zeros([1, 1, 1, 1, 2]);
        let ratios = [("soft_ratio", 0.5.into()), ("bone_ratio", 0.5.into())];
        let refused = Plugin::<DualEnergy>::create().unwrap().run(&[&image, &image], &ratios).unwrap_err();
        assert!(refused.message.starts_with("soft_ratio 0.5 and bone_ratio 0.5 are the same"), "{}", refused.message);
    }

    #[test]
    fn low_energy_on_another_grid_is_refused() {
        let (high, low) = (Array::zeros([1, 1, 1, 1, 2]), Array::zeros([1, 1, 1, 1, 3]));
        let refused = Plugin::<DualEnergy>::create().unwrap().run(&[&high, &low], &[]).unwrap_err();
        assert!(
            refused.message.starts_with("input 'low' must lie on the grid of the first input"),
            "{}",
            refused.message
        );
    }
}
