//! Verbs of the automatic readers of textures, of blobs and of features.

use std::{collections::BTreeMap, sync::Arc};

use isoscan_io::Source;
use isoscan_metrics::{self as metrics, BlobCriteria, LinearDiscriminant, Mark, TextureQuantifier};
use rhai::{Array, Dynamic, Engine, Map};

use crate::{
    Error,
    concordances::is_shape,
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
/// - `marks(image, mask, #{ smallest: 8, largest: 30, bright: true, border: 6, surround: 25, most: 10 })`: the blobs of these
///   diameters that lie `border` inside the mask, against what is `surround` around them, all in mm, the most striking
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
    register_classifier(engine);
    engine.register_fn("marks", |scan: Scan, roi: Roi, options: Map| -> Verb<Array> {
        Ok(marks(&scan, &roi, &options)?)
    });
    engine.register_fn("read_case", |marks: Array, lesions: Scan, tolerance: Dynamic| -> Verb<Map> {
        Ok(read_case(&marks, &lesions, number("tolerance", &tolerance)?)?)
    });
}

fn register_classifier(engine: &mut Engine) {
    engine.register_type_with_name::<Classifier>("Classifier");
    engine.register_fn("linear_discriminant", |shrinkage: Dynamic| -> Verb<Classifier> {
        Ok(Classifier { shrinkage: number("shrinkage", &shrinkage)?, ..Classifier::default() })
    });
    engine.register_fn("learned", |classifier: &mut Classifier, values: Map, has_finding: bool| -> Verb<Classifier> {
        let mut next = classifier.clone();
        next.cases.push(finite_values(&values)?);
        next.has_finding.push(has_finding);
        Ok(next)
    });
    engine.register_fn("score", |classifier: &mut Classifier, values: Map| -> Verb<f64> {
        Ok(classifier.score(&finite_values(&values)?)?)
    });
}

/// What a script's classifier has seen.
#[derive(Clone, Default)]
struct Classifier {
    shrinkage: f64,
    cases: Vec<BTreeMap<String, f64>>,
    has_finding: Vec<bool>,
}

impl Classifier {
    fn score(&self, case: &BTreeMap<String, f64>) -> Result<f64, Error> {
        let Some(first) = self.cases.first() else {
            return Err(argument("linear_discriminant", "a classifier that has learned from subjects", "none"));
        };
        let names: Vec<&String> =
            first.keys().filter(|name| self.cases.iter().all(|case| case.contains_key(*name))).collect();
        let vector = |case: &BTreeMap<String, f64>| -> Result<Vec<f64>, Error> {
            let value = |name: &&String| case.get(*name).copied();
            let missing = |name: &String| argument(name, "a finite number", "none");
            names.iter().map(|name| value(name).ok_or_else(|| missing(name))).collect()
        };
        let cases = self.cases.iter().map(vector).collect::<Result<Vec<_>, Error>>()?;
        let learned = LinearDiscriminant::learned(&cases, &self.has_finding, self.shrinkage)?;
        Ok(learned.score(&vector(case)?)?)
    }
}

/// The finite features of a map but those of shape.
fn finite_values(values: &Map) -> Result<BTreeMap<String, f64>, Error> {
    let mut finite = BTreeMap::new();
    for (name, value) in values.iter().filter(|(name, _)| !is_shape(name)) {
        let value = value.as_float().or_else(|_| number(name, value))?;
        if value.is_finite() {
            finite.insert(name.to_string(), value);
        }
    }
    Ok(finite)
}

fn marks(scan: &Scan, roi: &Roi, given: &Map) -> Result<Array, Error> {
    let options = Options::new("marks", given, &["smallest", "largest", "bright", "border", "surround", "most"])?;
    let criteria = BlobCriteria {
        smallest_mm: options.number("smallest", 8.0)?,
        largest_mm: options.number("largest", 30.0)?,
        bright: options.flag("bright", true)?,
        border_mm: options.number("border", 6.0)?,
        surround_mm: options.number("surround", 25.0)?,
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

#[cfg(test)]
mod tests {
    use super::*;

    fn case(mean: f64, id: f64) -> Map {
        let rows =
            [("original_firstorder_Mean", mean), ("original_glcm_Id", id), ("original_shape_Volume", 9.0 * mean)];
        rows.map(|(name, value)| (name.into(), Dynamic::from_float(value))).into()
    }

    /// As the worked case of the discriminant: what is not finite anywhere has no weight, and no shape has.
    #[test]
    fn subjects_are_classified_by_features_that_all_have() {
        let mut engine = Engine::new();
        register_classifier(&mut engine);
        let mut scope = rhai::Scope::new();
        for (name, mean, id) in [("a", 1.0, 3.0), ("b", 3.0, f64::NAN), ("c", 7.0, 2.0), ("d", 9.0, 4.0)] {
            scope.push(name, case(mean, id));
        }
        let script = "let reader = linear_discriminant(0);
            let nothing = \"\";
            try { reader.score(a) } catch (fault) { nothing = fault; }
            let seen = reader.learned(a, false).learned(b, false).learned(c, true).learned(d, true);
            [seen.score(d), seen.score(b), nothing]";
        let found: Array = engine.eval_with_scope(&mut scope, script).unwrap();
        assert!((found[0].as_float().unwrap() - 12.0).abs() < 1e-12);
        assert!((found[1].as_float().unwrap() + 6.0).abs() < 1e-12);
        assert!(!found[2].is_unit());
    }
}
