//! Verbs that change intensities by their neighbourhood.

use std::sync::Arc;

use isoscan_imaging::{self as imaging, NonLocalMeans, Volume, Wavelet};
use rhai::{Dynamic, Engine, Map};
use serde_json::json;

use crate::{
    Error,
    options::{Options, text, whole3},
    scan::Scan,
    state::Run,
    value::{number, numbers3},
    verb::{Verb, of_image, of_image_and},
};

/// Registers the filters.
pub(crate) fn register(engine: &mut Engine, run: &Arc<Run>) {
    of_image_and(engine, run, "smooth", smooth);
    of_image_and(engine, run, "median", median);
    of_image(engine, run, "bilateral", bilateral);
    of_image(engine, run, "denoise", denoise);
    engine.register_fn("noise", |scan: &mut Scan| -> Verb<f64> {
        Ok(imaging::noise_sigma(&scan.volume).map_err(Error::from)?)
    });
    of_image(engine, run, "gradient_magnitude", gradient_magnitude);
    of_image_and(engine, run, "laplacian", laplacian);
    of_image_and(engine, run, "wavelet", wavelet);
}

/// By a Gaussian of `sigma_mm`, one number or one for each of x, y, z.
fn smooth(run: &Run, scan: &Scan, sigma_mm: &Dynamic, options: &Map) -> Result<Scan, Error> {
    Options::new("smooth", options, &[])?;
    let sigma_mm = along_axes("sigma in mm", sigma_mm)?;
    let smoothed = imaging::gaussian(&scan.volume, sigma_mm)?;
    scan.then(run, smoothed, json!({"verb": "smooth", "sigma_mm": sigma_mm}))
}

/// Of the box that reaches `radius` voxels to each side, one number or one for each of x, y, z.
fn median(run: &Run, scan: &Scan, radius: &Dynamic, options: &Map) -> Result<Scan, Error> {
    Options::new("median", options, &[])?;
    let radius = whole3("radius", radius)?;
    let middle = imaging::median(&scan.volume, radius)?;
    scan.then(run, middle, json!({"verb": "median", "radius": radius}))
}

fn bilateral(run: &Run, scan: &Scan, given: &Map) -> Result<Scan, Error> {
    let options = Options::new("bilateral", given, &["sigma_mm", "sigma_intensity"])?;
    let sigma_mm = options.number("sigma_mm", 2.0)?;
    let sigma_intensity = match options.get("sigma_intensity") {
        Some(given) => number("sigma_intensity", given)?,
        None => 2.0 * imaging::noise_sigma(&scan.volume)?,
    };
    let smoothed = imaging::bilateral(&scan.volume, sigma_mm, sigma_intensity)?;
    scan.then(run, smoothed, json!({"verb": "bilateral", "sigma_mm": sigma_mm, "sigma_intensity": sigma_intensity}))
}

/// By non-local means; the noise is measured where it is not given.
fn denoise(run: &Run, scan: &Scan, given: &Map) -> Result<Scan, Error> {
    let known = ["sigma", "strength", "patch_radius", "search_radius", "rician"];
    let options = Options::new("denoise", given, &known)?;
    let sigma = match options.get("sigma") {
        Some(given) => number("sigma", given)?,
        None => imaging::noise_sigma(&scan.volume)?,
    };
    let settings = NonLocalMeans {
        patch_radius: options.whole("patch_radius", 1)?,
        search_radius: options.whole("search_radius", 3)?,
        sigma,
        strength: options.number("strength", 1.0)?,
        rician: options.flag("rician", false)?,
    };
    let denoised = imaging::non_local_means(&scan.volume, settings)?;
    scan.then(run, denoised, json!({"verb": "denoise", "settings": settings}))
}

fn gradient_magnitude(run: &Run, scan: &Scan, options: &Map) -> Result<Scan, Error> {
    Options::new("gradient_magnitude", options, &[])?;
    scan.then(run, imaging::gradient_magnitude(&scan.volume), json!({"verb": "gradient_magnitude"}))
}

fn laplacian(run: &Run, scan: &Scan, sigma_mm: &Dynamic, options: &Map) -> Result<Scan, Error> {
    Options::new("laplacian", options, &[])?;
    let sigma_mm = number("sigma in mm", sigma_mm)?;
    let edges = imaging::laplacian_of_gaussian(&scan.volume, sigma_mm)?;
    scan.then(run, edges, json!({"verb": "laplacian", "sigma_mm": sigma_mm}))
}

/// The bands by their names, `LLL` to `HHH`.
fn wavelet(run: &Run, scan: &Scan, name: &Dynamic, given: &Map) -> Result<Map, Error> {
    let options = Options::new("wavelet", given, &["level"])?;
    let name = text("wavelet", name)?;
    let wavelet: Wavelet = name.parse()?;
    let level = u32::try_from(options.whole("level", 1)?).unwrap_or(u32::MAX);
    let bands = imaging::wavelet_bands(&scan.volume, wavelet, level)?;
    let image = |band: &str, volume: Volume| {
        scan.then(run, volume, json!({"verb": "wavelet", "wavelet": name, "level": level, "band": band}))
    };
    bands
        .into_iter()
        .map(|band| Ok((band.name.as_str().into(), Dynamic::from(image(&band.name, band.volume)?))))
        .collect()
}

/// One number for all axes, or three.
fn along_axes(what: &str, value: &Dynamic) -> Result<[f64; 3], Error> {
    match value.read_lock::<rhai::Array>() {
        Some(list) => numbers3(what, &list),
        None => Ok([number(what, value)?; 3]),
    }
}
