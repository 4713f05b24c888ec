//! Verbs that read and look into files.

use std::path::Path;
use std::sync::Arc;

use imaging::{Modality, Unit};
use isoscan_imaging as imaging;
use isoscan_io::{ReadOptions, RegionKind, Selector, Series, SeriesSummary, Uneven};
use rhai::{Array, Dynamic, Engine, Map};

use crate::{
    Error,
    options::{Options, text},
    scan::{Roi, Scan, floats, integers},
    state::Run,
    value::{argument, told},
    verb::Verb,
};

/// Registers `read`, `read_mask`, `list`, `list_regions` and `diff`.
pub(crate) fn register(engine: &mut Engine, run: &Arc<Run>) {
    let shared = run.clone();
    engine.register_fn("read", move |path: &str| -> Verb<Scan> { Ok(read(&shared, path, &Map::new())?) });
    let shared = run.clone();
    engine.register_fn("read", move |path: &str, options: Map| -> Verb<Scan> { Ok(read(&shared, path, &options)?) });
    let shared = run.clone();
    engine.register_fn("list", move |path: &str| -> Verb<Array> { Ok(list(&shared, path)?) });
    let shared = run.clone();
    engine.register_fn("list_regions", move |path: &str| -> Verb<Array> { Ok(list_regions(&shared, path)?) });
    let shared = run.clone();
    engine.register_fn("read_mask", move |path: &str| -> Verb<Roi> { Ok(read_mask(&shared, path, None)?) });
    let shared = run.clone();
    engine.register_fn("read_mask", move |path: &str, label: i64| -> Verb<Roi> {
        Ok(read_mask(&shared, path, Some(whole32(label)?))?)
    });
    let shared = run.clone();
    engine.register_fn("read_mask", move |path: &str, scan: Scan| -> Verb<Roi> {
        Ok(read_mask_on(&shared, path, None, &scan)?)
    });
    let shared = run.clone();
    engine.register_fn("read_mask", move |path: &str, region: Dynamic, scan: Scan| -> Verb<Roi> {
        Ok(read_mask_on(&shared, path, Some(selector(&region)?), &scan)?)
    });
    engine.register_fn("diff", |first: Scan, second: Scan| -> Verb<Dynamic> {
        rhai::serde::to_dynamic(isoscan_io::diff(&first.as_series(), &second.as_series()))
    });
}

/// Reads one image and notes it in the ledger.
fn read(run: &Run, path: &str, given: &Map) -> Result<Scan, Error> {
    let options = Options::new("read", given, &["modality", "unit", "uneven", "volume"])?;
    let how = read_options(&options)?;
    let real = run.access.readable(path)?;
    let series = match options.get("volume") {
        None => isoscan_io::read_with(&real, &how)?,
        Some(_) => isoscan_io::read_series_with(&nth(&real, options.whole("volume", 0)?)?, &how)?,
    };
    scan_of(run, series)
}

/// The image of a series, noted in the ledger.
pub(crate) fn scan_of(run: &Run, series: Series) -> Result<Scan, Error> {
    for file in series.source.paths() {
        note_file(run, &file)?;
    }
    Scan::of_series(run, series)
}

fn read_options(options: &Options<'_>) -> Result<ReadOptions, Error> {
    let units = [
        ("HU", Some(Unit::Hounsfield)),
        ("SUV", Some(Unit::Suv)),
        ("arbitrary", Some(Unit::Arbitrary)),
        ("normalized", Some(Unit::Normalized)),
        ("optical-density", Some(Unit::OpticalDensity)),
        ("label", Some(Unit::Label)),
    ];
    Ok(ReadOptions {
        modality: options.text("modality")?.map(|term| term.parse::<Modality>()).transpose()?,
        unit: options.choice("unit", &units, None)?,
        uneven: options.choice(
            "uneven",
            &[("refuse", Uneven::Refuse), ("resample", Uneven::Resample)],
            Uneven::Refuse,
        )?,
    })
}

/// One of several volumes of a file or folder, counted from 0 as `list` does.
fn nth(path: &Path, volume: usize) -> Result<SeriesSummary, Error> {
    let mut found = isoscan_io::list(path)?;
    if volume < found.len() {
        return Ok(found.swap_remove(volume));
    }
    let expected = match found.len() {
        0 => return Err(isoscan_io::Error::NoSeries { path: path.to_owned(), unreadable: 0 }.into()),
        1 => "0, the only one".to_owned(),
        several => format!("0 to {}", several - 1),
    };
    Err(argument("volume", &expected, volume))
}

/// Notes a file that was read, with its hash, in the ledger.
pub(crate) fn note_file(run: &Run, file: &Path) -> Result<(), Error> {
    let sha256 = isoscan_io::sha256_file(file)?;
    run.ledger().inputs.insert(run.access.told(file), sha256);
    Ok(())
}

/// Notes the file of a region; that of a folder is not known here.
fn note_region(run: &Run, path: &Path) -> Result<(), Error> {
    if path.is_file() { note_file(run, path) } else { Ok(()) }
}

/// A map for each volume; `volume` is the number that `read` takes.
fn list(run: &Run, path: &str) -> Result<Array, Error> {
    let found = isoscan_io::list(&run.access.readable(path)?)?;
    let described = |(volume, summary): (usize, &SeriesSummary)| {
        Dynamic::from_map(Map::from([
            ("volume".into(), Dynamic::from_int(volume as i64)),
            ("kind".into(), summary.kind.to_string().into()),
            ("modality".into(), summary.modality.to_string().into()),
            ("part".into(), summary.part.clone().map_or(Dynamic::UNIT, Into::into)),
            ("size".into(), integers(summary.size).into()),
            ("spacing".into(), floats(summary.spacing_mm).into()),
            ("files".into(), Dynamic::from_int(summary.paths.len() as i64)),
        ]))
    };
    Ok(found.iter().enumerate().map(described).collect())
}

/// A map for each region of the structure sets and segmentations.
fn list_regions(run: &Run, path: &str) -> Result<Array, Error> {
    let files = isoscan_io::list_regions(&run.access.readable(path)?)?;
    let mut regions = Array::new();
    for file in &files {
        let kind = match file.kind {
            RegionKind::StructureSet => "structure set",
            RegionKind::Segmentation => "segmentation",
        };
        for (number, name) in &file.regions {
            regions.push(Dynamic::from_map(Map::from([
                ("number".into(), Dynamic::from_int(i64::from(*number))),
                ("name".into(), name.clone().into()),
                ("kind".into(), kind.into()),
                ("file".into(), run.access.told(&file.path).into()),
            ])));
        }
    }
    Ok(regions)
}

fn whole32(label: i64) -> Result<i32, Error> {
    i32::try_from(label).map_err(|_| argument("label", "a 32-bit whole number", label))
}

/// A region by number or name.
fn selector(region: &Dynamic) -> Result<Selector, Error> {
    if let Ok(number) = region.as_int() {
        return Ok(Selector::Number(whole32(number)?));
    }
    let name = text("region", region).map_err(|_| argument("region", "a number or a name", told(region)))?;
    Ok(Selector::Name(name))
}

fn read_mask(run: &Run, path: &str, label: Option<i32>) -> Result<Roi, Error> {
    let real = run.access.readable(path)?;
    let mask = isoscan_io::read_mask(&real, label)?;
    note_region(run, &real)?;
    Roi::new(run, mask)
}

/// A region on the grid of an image.
fn read_mask_on(run: &Run, path: &str, region: Option<Selector>, scan: &Scan) -> Result<Roi, Error> {
    let real = run.access.readable(path)?;
    let (grid, frame) = (scan.volume.geometry(), scan.source.frame_of_reference());
    let found = isoscan_io::read_mask_on(&real, region.as_ref(), grid, frame.as_deref())?;
    note_region(run, &real)?;
    let mut roi = Roi::new(run, found.mask)?;
    roi.warnings = Arc::new(found.warnings);
    Ok(roi)
}
