//! Verbs of the automatic readers of textures and of blobs.

use std::sync::Arc;

use isoscan_io::Source;
use isoscan_metrics::{self as metrics, BlobCriteria, Mark, TextureQuantifier};
use rhai::{Array, Dynamic, Engine, Map};

use crate::{
    Error,
    options::{Options, list, whole},
    scan::{Roi, Scan, integers},
    state::Run,
    value::{argument, number, told},
    verb::Verb,
};

/// Registers the readers.
///
/// - `texture_quantifier(#{ emphysema: 7, lung: 2 }, sigma)`: a reader of these labels that has seen nothing; `sigma` is how
///   far it looks around a voxel, mm;
/// - `learned(image, labels)`: the reader after it has seen one more image with its true labels;
/// - `classified(image, mask)`: its labels of the voxels inside, an image;
/// - `marks(image, mask, #{ diameter: 8, bright: true, most: 10 })`: the blobs of that diameter in mm, the most striking
///   first, each with `score` and `voxel` ([`metrics::blob_marks`]);
/// - `read_case(marks, lesions, tolerance)`: of a label image that numbers its lesions, the case as `afroc` takes it; a mark
///   hits a lesion that has a voxel within the tolerance, mm.
pub(crate) fn register(engine: &mut Engine, run: &Arc<Run>) {
    engine.register_type_with_name::<TextureQuantifier>("TextureQuantifier");
    engine.register_fn("texture_quantifier", |labels: Map, sigma: Dynamic| -> Verb<TextureQuantifier> {
        let labels = labels.iter().map(|(name, value)| Ok(whole(name, value)? as i32));
        let labels = labels.collect::<Result<Vec<_>, Error>>()?;
        Ok(TextureQuantifier::new(&labels, number("sigma", &sigma)?).map_err(Error::from)?)
    });
    engine.register_fn(
        "learned",
        |reader: &mut TextureQuantifier, scan: Scan, labels: Scan| -> Verb<TextureQuantifier> {
            Ok(reader.learned(&scan.volume, &labels.volume).map_err(Error::from)?)
        },
    );
    let shared = run.clone();
    engine.register_fn("classified", move |reader: &mut TextureQuantifier, scan: Scan, roi: Roi| -> Verb<Scan> {
        let labels = reader.classified(&scan.volume, &roi.mask).map_err(Error::from)?;
        Ok(Scan::new(&shared, labels, Arc::new(Source::None))?)
    });
    engine.register_fn("marks", |scan: Scan, roi: Roi, options: Map| -> Verb<Array> {
        Ok(marks(&scan, &roi, &options)?)
    });
    engine.register_fn("read_case", |marks: Array, lesions: Scan, tolerance: Dynamic| -> Verb<Map> {
        Ok(read_case(&marks, &lesions, number("tolerance", &tolerance)?)?)
    });
}

fn marks(scan: &Scan, roi: &Roi, given: &Map) -> Result<Array, Error> {
    let options = Options::new("marks", given, &["diameter", "bright", "most"])?;
    let criteria = BlobCriteria {
        diameter_mm: options.number("diameter", 8.0)?,
        bright: options.flag("bright", true)?,
        most: options.whole("most", 10)?,
    };
    let marks = metrics::blob_marks(&scan.volume, &roi.mask, &criteria)?;
    let map = |mark: Mark| {
        Map::from([("score".into(), Dynamic::from_float(mark.score)), ("voxel".into(), integers(mark.voxel).into())])
    };
    Ok(marks.into_iter().map(|mark| Dynamic::from_map(map(mark))).collect())
}

fn read_case(marks: &Array, lesions: &Scan, tolerance_mm: f64) -> Result<Map, Error> {
    let marks = marks.iter().map(mark).collect::<Result<Vec<_>, Error>>()?;
    let case = metrics::read_case(&marks, &lesions.volume, tolerance_mm);
    let scores = |scores: Vec<f64>| scores.into_iter().map(Dynamic::from_float).collect::<Array>();
    Ok(Map::from([
        ("lesions".into(), Dynamic::from_int(case.lesions as i64)),
        ("hits".into(), scores(case.hits).into()),
        ("false_marks".into(), scores(case.false_marks).into()),
    ]))
}

fn mark(given: &Dynamic) -> Result<Mark, Error> {
    let wanted = || argument("mark", "a map with score and voxel", told(given));
    let map = given.read_lock::<Map>().ok_or_else(wanted)?;
    let place = list("voxel", map.get("voxel").ok_or_else(wanted)?)?;
    let [x, y, z] = place.as_slice() else {
        return Err(wanted());
    };
    let voxel = [whole("voxel", x)?, whole("voxel", y)?, whole("voxel", z)?];
    Ok(Mark { voxel, score: number("score", map.get("score").ok_or_else(wanted)?)? })
}
