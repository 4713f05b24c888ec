//! The `diagnostics_*` columns, named and told as PyRadiomics does.

use isoscan_imaging::Volume;
use isoscan_radiomics::Diagnostics;

use super::row::Cell;

/// A column and its value.
type Column = (String, Cell);

/// What an image was before anything was done to it.
pub(crate) fn of_image(volume: &Volume) -> Vec<Column> {
    let voxels = volume.as_slice();
    let (low, high, sum) = range_and_sum(voxels);
    let name = |what: &str| format!("diagnostics_Image-original_{what}");
    let mut columns = vec![
        ("diagnostics_Versions_Isoscan".to_owned(), Cell::Text(env!("CARGO_PKG_VERSION").to_owned())),
        (name("Dimensionality"), Cell::Text("3D".to_owned())),
    ];
    let ([x, y, z], [nx, ny, nz]) = (volume.geometry().spacing_mm(), volume.geometry().size());
    columns.push((name("Spacing"), Cell::Text(format!("({x:?}, {y:?}, {z:?})"))));
    columns.push((name("Size"), Cell::Text(format!("({nx}, {ny}, {nz})"))));
    columns.push((name("Mean"), Cell::Number(sum / voxels.len() as f64)));
    columns.push((name("Minimum"), Cell::Number(low.into())));
    columns.push((name("Maximum"), Cell::Number(high.into())));
    columns
}

/// Smallest and largest number, and the sum, of lanes side by side; the order does not depend on the processor.
fn range_and_sum(voxels: &[f32]) -> (f32, f32, f64) {
    const LANES: usize = 16;
    let (mut low, mut high, mut sums) = ([f32::INFINITY; LANES], [f32::NEG_INFINITY; LANES], [0.0; LANES]);
    let (blocks, rest) = voxels.as_chunks::<LANES>();
    for block in blocks {
        for lane in 0..LANES {
            let v = block[lane];
            low[lane] = if v < low[lane] { v } else { low[lane] };
            high[lane] = if v > high[lane] { v } else { high[lane] };
            sums[lane] += f64::from(v);
        }
    }
    let low = low.iter().chain(rest).copied().fold(f32::INFINITY, f32::min);
    let high = high.iter().chain(rest).copied().fold(f32::NEG_INFINITY, f32::max);
    (low, high, sums.iter().sum::<f64>() + rest.iter().map(|&v| f64::from(v)).sum::<f64>())
}

/// What a region was at every stage.
pub(crate) fn of_region(found: &Diagnostics) -> Vec<Column> {
    let typed = |text: String| match (text.parse(), text.parse()) {
        (Ok(whole), _) => Cell::Whole(whole),
        (_, Ok(number)) => Cell::Number(number),
        _ => Cell::Text(text),
    };
    found.rows().into_iter().map(|(name, value)| (name, typed(value))).collect()
}
