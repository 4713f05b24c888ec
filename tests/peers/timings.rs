//! One operation of the engine, timed: the Isoscan side of `compare.py`. Prints one JSON object with the fastest of
//! `repeats` runs in ms and the process's peak memory in KiB.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement ends at the first surprise")]

use std::path::Path;
use std::time::Instant;

use isoscan_imaging::{
    BiasFieldSettings, HistogramMatching, Interpolation, Volume, correct_bias_field, match_histogram, resample,
    with_spacing,
};
use isoscan_metrics::{SsimDimensions, SsimWindow, ssim};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [operation, repeats, inputs @ ..] = arguments.as_slice() else {
        panic!("usage: timings OPERATION REPEATS INPUT...");
    };
    let paths: Vec<&Path> = inputs.iter().map(Path::new).collect();
    let read = |index: usize| isoscan_io::read(paths[index]).unwrap().volume;
    let repeats: usize = repeats.parse().unwrap();
    let ms = match operation.as_str() {
        "read" => fastest(repeats, || read(0)),
        "write" => {
            let series = isoscan_io::read(paths[0]).unwrap();
            fastest(repeats, || isoscan_io::write_nifti(paths[1], &series.volume, Some(&series.source), None).unwrap())
        }
        "linear" => resampling(repeats, &read(0), Interpolation::Linear),
        "bspline" => resampling(repeats, &read(0), Interpolation::BSpline),
        "histogram" => {
            let (source, reference) = (read(0), read(1));
            let rule = HistogramMatching { bins: 256, points: 7, threshold_at_mean: true };
            fastest(repeats, || match_histogram(&source, None, &reference, None, rule).unwrap())
        }
        "n4" => {
            let source = read(0);
            let settings =
                BiasFieldSettings { iterations: vec![50, 50, 30, 20], shrink: [4; 3], ..BiasFieldSettings::default() };
            fastest(repeats, || correct_bias_field(&source, None, None, &settings).unwrap())
        }
        "ssim" => {
            let (a, b) = (read(0), read(1));
            let range = f64::from(b.as_slice().iter().copied().fold(f32::MIN, f32::max));
            fastest(repeats, || ssim(&a, &b, None, range, SsimWindow::Gaussian11, SsimDimensions::Volume).unwrap())
        }
        other => panic!("no operation {other}"),
    };
    println!("{}", serde_json::json!({"ms": ms, "peak_kib": peak_kib()}));
}

fn resampling(repeats: usize, volume: &Volume, interpolation: Interpolation) -> f64 {
    let grid = with_spacing(volume.geometry(), [1.0; 3]).unwrap();
    fastest(repeats, || resample(volume, &grid, interpolation, volume.lowest()))
}

fn fastest<T>(repeats: usize, mut work: impl FnMut() -> T) -> f64 {
    let mut time = || {
        let begin = Instant::now();
        let result = work();
        let elapsed = begin.elapsed();
        drop(result);
        elapsed.as_secs_f64() * 1e3
    };
    (0..repeats).map(|_| time()).fold(f64::INFINITY, f64::min)
}

/// Peak resident memory of this process.
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
