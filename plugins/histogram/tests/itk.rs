//! The values of ITK's `HistogramMatching` filter on real MR images (SimpleITK, crops in the shared test data).

use std::path::Path;

use isoscan_histogram::HistogramMatching;
use isoscan_imaging::Volume;
use isoscan_sdk::harness::{Array, Plugin};

#[test]
fn real_mr_matches_the_itk_filter() -> Result<(), Box<dyn std::error::Error>> {
    let expected = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/expected");
    if !expected.is_dir() {
        println!("skipped: no shared test data");
        return Ok(());
    }
    let read = |file: &str| isoscan_io::read(&expected.join(file)).map(|series| series.volume);
    let image = read("sts002_mr/6564013_IBSI_1_STS_002_MR_T1_image_.nii.gz")?;
    let reference = read("mr_sag_hfdl/2_t1_fl2d_sag_fl2d1.nii.gz")?;
    // Levels, points, threshold at mean; first voxel x, y, z and mean over the whole output by `values.json`.
    let rows = [
        ("mr_histmatch_b256_p7_t1", 256, 7, true, 247.132_752_577_8),
        ("mr_histmatch_b1024_p15_t0", 1024, 15, false, 121.719_714_582_7),
    ];
    let [x0, y0, z0] = [37, 25, 9];
    for (name, levels, points, threshold, mean) in rows {
        let params = [("levels", levels.into()), ("points", points.into()), ("threshold_at_mean", threshold.into())];
        let mut plugin = Plugin::<HistogramMatching>::create()?;
        let matched = plugin.run(&[&array(&image), &array(&reference)], &params)?;
        let crop = read(&format!("proc/{name}_crop.nii.gz"))?;
        let [_, _, _, height, width] = matched.shape();
        let mut difference = 0.0_f64;
        for ((z, y, x), value) in crop.voxels().indexed_iter() {
            let found = matched.as_slice()[((z + z0) * height + y + y0) * width + x + x0];
            difference = difference.max(f64::from((found - value).abs()));
        }
        let sum: f64 = matched.as_slice().iter().map(|&v| f64::from(v)).sum();
        let found_mean = sum / matched.as_slice().len() as f64;
        println!("{name}: largest difference {difference}, mean {found_mean} against {mean}");
        assert!(difference <= 0.001, "{name} {difference}");
        assert!((found_mean - mean).abs() <= 0.0001, "{name} {found_mean}");
    }
    Ok(())
}

fn array(volume: &Volume) -> Array {
    let [x, y, z] = volume.geometry().size();

    Array::new([1, 1, z, y, x], volume.as_slice())
}
