//! `isoscan diff`: what changed from one image to another.

use std::fmt::{Debug, Display};
use std::path::PathBuf;

use isoscan_io::{Diff, GeometryChange, HeaderChange, Range, SeriesKind, VoxelChange};

use crate::{failure::Failure, progress::say, translate::read};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The image before
    a: PathBuf,
    /// The image after
    b: PathBuf,
    /// Fail unless the images agree this far
    #[arg(long, value_enum, value_name = "WHAT")]
    require: Option<Agreement>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Agreement {
    /// The same voxels at the same place with the same meaning; headers and storage order may differ
    SameImage,
    /// No difference at all, headers included
    Identical,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let (a, b) = (read(&args.a, None)?, read(&args.b, None)?);
    let changed = isoscan_io::diff(&a, &b);
    if args.json {
        say(&serde_json::to_string_pretty(&changed).map_err(Failure::new)?);
    } else {
        tell(&changed, &[a.volume.unit().to_string(), b.volume.unit().to_string()]);
    }
    let (agree, wanted) = match args.require {
        None => return Ok(()),
        Some(Agreement::SameImage) => (changed.same_image(), "the same image"),
        Some(Agreement::Identical) => (changed.is_empty(), "no difference"),
    };
    if agree {
        return Ok(());
    }
    Err(Failure::new(format!("expected {wanted}: {} and {}", args.a.display(), args.b.display()))
        .help("the differences are listed above"))
}

fn tell(changed: &Diff, units: &[String; 2]) {
    if changed.is_empty() {
        say("no difference");
        return;
    }
    let format = |kind: Option<SeriesKind>| kind.map_or("none".to_owned(), |kind| kind.to_string());
    pair("format", changed.kind.map(|kinds| kinds.map(format)));
    pair("files", changed.files);
    tell_geometry(&changed.geometry);
    pair("modality", changed.modality);
    pair("unit", changed.unit);
    for ((range, name), unit) in changed.range.iter().zip(["first", "second"]).zip(units) {
        tell_range(name, range, unit);
    }
    match &changed.voxels {
        Some(voxels) => tell_voxels(voxels, &units[0]),
        None => say("voxels    not compared: the grids have different sizes"),
    }
    match changed.header.len() {
        0 => say("header    same"),
        1 => say("header    1 field differs"),
        n => say(&format!("header    {n} fields differ")),
    }
    changed.header.iter().for_each(tell_field);
}

fn pair<T: Display>(name: &str, values: Option<[T; 2]>) {
    if let Some([a, b]) = values {
        say(&format!("{name:<9} {a} -> {b}"));
    }
}

fn tell_geometry(changed: &GeometryChange) {
    let place = if changed.same_place { "same voxel centres" } else { "different voxel centres" };
    let distance = changed.corner_distance_mm.filter(|_| !changed.same_place);
    say(&format!(
        "place     {place}{}",
        distance.map_or(String::new(), |mm| format!(", corners up to {mm:.4} mm apart"))
    ));
    let numbers = |values: &dyn Debug| format!("{values:?}");
    pair("  order", changed.orientation.clone());
    pair("  size", changed.size.as_ref().map(|pair| [numbers(&pair[0]), numbers(&pair[1])]));
    pair("  spacing", changed.spacing_mm.as_ref().map(|pair| [numbers(&pair[0]), numbers(&pair[1])]));
    pair("  origin", changed.origin_mm.as_ref().map(|pair| [numbers(&pair[0]), numbers(&pair[1])]));
    pair("  axes", changed.direction.as_ref().map(|pair| [numbers(&pair[0]), numbers(&pair[1])]));
}

fn tell_range(name: &str, range: &Range, unit: &str) {
    let Range { min, p1, p50, p99, max, mean, not_finite } = range;
    let odd = if *not_finite > 0 { format!(", {not_finite} not finite") } else { String::new() };
    say(&format!("{name:<9} {min} to {max} {unit}, mean {mean:.4}, percentiles 1, 50, 99: {p1}, {p50}, {p99}{odd}"));
}

fn tell_voxels(changed: &VoxelChange, unit: &str) {
    let by = if changed.at_same_place { "at the same place" } else { "by index in one storage order" };
    say(&format!("voxels    {} of {} differ, compared {by}", changed.differing, changed.count));
    if changed.not_finite > 0 {
        say(&format!("  {} are not finite in one of the two", changed.not_finite));
    }
    if let Some((voxel, world)) = changed.largest_at {
        let [x, y, z] = world;
        say(&format!("  largest {} {unit} at voxel {voxel:?}, ({x:.3}, {y:.3}, {z:.3}) mm LPS", changed.largest));
        let VoxelChange { mean, mean_absolute, root_mean_square, .. } = changed;
        say(&format!(
            "  mean {mean:.6}, mean absolute {mean_absolute:.6}, root mean square {root_mean_square:.6} {unit}"
        ));
    }
}

fn tell_field(change: &HeaderChange) {
    let HeaderChange { field, first, second } = change;
    say(&match (first, second) {
        (Some(first), Some(second)) => format!("  ~ {field}: {first} -> {second}"),
        (None, Some(second)) => format!("  + {field}: {second}"),
        (Some(first), None) => format!("  - {field}: {first}"),
        (None, None) => format!("  {field}"),
    });
}
