//! Features or feature maps of cases given as JSON, one a line, for comparison with other programs.
//!
//! A line holds `size` and `spacing` (x, y, z), `image` and `mask` (x fastest), `settings` (the sections of a parameter
//! file) and `maps` (true for feature maps), or in the place of both a `perturbation`. The answer is a line with `features`,
//! or `maps` with their `origin` and `size`, or the `image` and `mask` perturbed with their `size` and the `noise_level` of
//! the image, or `error`. A NaN is written as null.

use std::io::{BufRead, Write};

use isoscan_imaging::{Geometry, Mask, Modality, Unit, Volume};
use isoscan_radiomics::{Perturbation, Settings, extract, maps, noise_level, perturb};
use ndarray::Array3;
use serde::Deserialize;
use serde_json::{Map, Value, json};

#[derive(Deserialize)]
struct Case {
    size: [usize; 3],
    spacing: [f64; 3],
    image: Vec<f32>,
    mask: Vec<u8>,
    #[serde(default)]
    settings: Value,
    #[serde(default)]
    maps: bool,
    perturbation: Option<Perturbation>,
    #[serde(default)]
    seed: u64,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let answer = answer(serde_json::from_str(&line?)?).unwrap_or_else(|error| json!({"error": error.to_string()}));
        writeln!(out, "{answer}")?;
    }
    Ok(())
}

fn answer(case: Case) -> Result<Value, Box<dyn std::error::Error>> {
    let [nx, ny, nz] = case.size;
    let geometry = Geometry::axis_aligned(case.size, case.spacing)?;
    let voxels = Array3::from_shape_vec((nz, ny, nx), case.image)?;
    let volume = Volume::new(voxels, geometry.clone(), Modality::Ot, Unit::Arbitrary)?;
    let inside = Array3::from_shape_vec((nz, ny, nx), case.mask)?.mapv(|label| label == 1);
    let mask = Mask::new(inside, geometry)?;
    if let Some(perturbation) = case.perturbation {
        let (perturbed, region) = perturb(&volume, &mask, &perturbation, case.seed)?;
        return Ok(json!({
            "image": perturbed.as_slice(),
            "mask": region.inside().iter().map(|&inside| u8::from(inside)).collect::<Vec<u8>>(),
            "noise_level": noise_level(&volume)?,
            "size": perturbed.geometry().size(),
        }));
    }
    let settings = Settings::from_json(&case.settings.to_string())?;
    if !case.maps {
        let table = extract(&volume, &mask, &settings)?;
        let features = table.features.into_iter().map(|feature| (feature.name, json!(feature.value)));
        return Ok(json!({"features": features.collect::<Map<_, _>>()}));
    }
    let found = maps(&volume, &mask, &settings)?;
    let grid = found.first().map(|map| map.geometry.clone());
    let values = found.into_iter().map(|map| (map.name, map.values.into_iter().map(Value::from).collect()));
    let values: Map<String, Value> = values.collect();
    Ok(json!({
        "maps": values,
        "origin": grid.as_ref().map(Geometry::origin_mm),
        "size": grid.as_ref().map(Geometry::size),
    }))
}
