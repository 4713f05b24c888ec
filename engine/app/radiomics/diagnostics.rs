//! The `diagnostics_*` columns, named and told as PyRadiomics does.

use isoscan_imaging::Volume;
use isoscan_radiomics::Diagnostics;

use super::row::Cell;

/// A column and its value.
type Column = (String, Cell);

/// What an image was before anything was done to it.
pub(crate) fn of_image(volume: &Volume) -> Vec<Column> {
    let voxels = volume.as_slice();
    let (mut low, mut high) = (f32::INFINITY, f32::NEG_INFINITY);
    let mut sum = 0.0;
    for &voxel in voxels {
        low = low.min(voxel);
        high = high.max(voxel);
        sum += f64::from(voxel);
    }
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

/// What a region was at every stage.
pub(crate) fn of_region(found: &Diagnostics) -> Vec<Column> {
    let typed = |text: String| match (text.parse(), text.parse()) {
        (Ok(whole), _) => Cell::Whole(whole),
        (_, Ok(number)) => Cell::Number(number),
        _ => Cell::Text(text),
    };
    found.rows().into_iter().map(|(name, value)| (name, typed(value))).collect()
}
