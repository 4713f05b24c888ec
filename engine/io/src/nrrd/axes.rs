use isoscan_imaging::Geometry;

use super::fields::Fields;
use crate::{Error, Warning};

/// The grid and the volumes that the axes of a header span.
#[derive(Debug)]
pub(crate) struct Axes {
    pub(crate) size: [usize; 3],
    pub(crate) inner: usize,
    pub(crate) outer: usize,
    pub(crate) geometry: Geometry,
    pub(crate) names: Vec<String>,
    pub(crate) warnings: Vec<Warning>,
}

impl Axes {
    pub(crate) fn of(fields: &Fields) -> Result<Self, Error> {
        let sizes = sizes(fields)?;
        let vectors = directions(fields, sizes.len())?;
        let kinds = words(fields, "kinds", sizes.len())?;
        if kinds.iter().any(|kind| kind.eq_ignore_ascii_case("complex")) {
            return Err(fields.unsupported("NRRD of complex numbers"));
        }
        let spatial = spatial(fields, &sizes, &vectors, &kinds)?;
        let (first, last) = (spatial[0], spatial[spatial.len() - 1]);
        if spatial.len() > 3 || last + 1 - first != spatial.len() {
            return Err(fields.unsupported("NRRD whose axes in space do not stand together"));
        }
        let volumes = |sizes: &[usize]| {
            let product = sizes.iter().try_fold(1usize, |n, &size| n.checked_mul(size));
            product.ok_or_else(|| fields.malformed("sizes", "axes that fit in memory", format!("{sizes:?}")))
        };
        let (inner, outer) = (volumes(&sizes[..first])?, volumes(&sizes[last + 1..])?);
        let mut size = [1; 3];
        spatial.iter().enumerate().for_each(|(axis, &index)| size[axis] = sizes[index]);
        let mut warnings = Vec::new();
        let (columns, origin_mm) = columns(fields, &sizes, &vectors, &spatial, &mut warnings)?;
        let spacing_mm = columns.map(|column| column.iter().map(|x| x * x).sum::<f64>().sqrt());
        // ITK's cosines: times the inverse, which is not the quotient in the last bit and decides ties of nearest voxels.
        let direction = std::array::from_fn(|axis| columns[axis].map(|x| x * (1.0 / spacing_mm[axis])));
        let geometry = Geometry::new(size, spacing_mm, origin_mm, direction)
            .map_err(|source| Error::Image { source, path: fields.path.clone() })?;
        let names = if first == 1 { component_names(kinds.first(), inner) } else { Vec::new() };
        Ok(Self { size, inner, outer, geometry, names, warnings })
    }
}

fn component_names(kind: Option<&String>, components: usize) -> Vec<String> {
    let colours: &[&str] = match kind.map(|kind| kind.to_ascii_lowercase()).as_deref() {
        Some("rgb-color" | "rgba-color") => &["red", "green", "blue", "alpha"],
        _ => &[],
    };
    colours.iter().take(components).map(|name| (*name).to_owned()).collect()
}

fn sizes(fields: &Fields) -> Result<Vec<usize>, Error> {
    let dimension = fields.whole("dimension", 0)?;
    if fields.get("dimension").is_none() || !(2..=16).contains(&dimension) {
        return Err(fields.malformed("dimension", "2 to 16", fields.get("dimension").unwrap_or("nothing")));
    }
    let text = fields.required("sizes")?;
    let sizes: Vec<usize> = text.split_whitespace().map_while(|word| word.parse().ok().filter(|&n| n > 0)).collect();
    if sizes.len() as i64 == dimension && text.split_whitespace().count() == sizes.len() {
        return Ok(sizes);
    }
    Err(fields.malformed("sizes", "one positive number per dimension", text))
}

/// A quoted or bare word per axis; `???` and `none` are nothing.
fn words(fields: &Fields, field: &'static str, axes: usize) -> Result<Vec<String>, Error> {
    let Some(text) = fields.get(field) else { return Ok(Vec::new()) };
    let words: Vec<String> = text.split_whitespace().map(|word| word.trim_matches('"').to_owned()).collect();
    if words.len() == axes { Ok(words) } else { Err(fields.malformed(field, "one word per dimension", text)) }
}

/// One number per axis; `nan` where there is none.
fn per_axis(fields: &Fields, field: &'static str, axes: usize) -> Result<Option<Vec<f64>>, Error> {
    let Some(text) = fields.get(field) else { return Ok(None) };
    let numbers: Vec<f64> = text.split_whitespace().map_while(|word| word.parse().ok()).collect();
    if numbers.len() == axes && text.split_whitespace().count() == axes {
        return Ok(Some(numbers));
    }
    Err(fields.malformed(field, "one number per dimension", text))
}

/// `space directions`: a vector per axis, `None` for `none`.
fn directions(fields: &Fields, axes: usize) -> Result<Option<Vec<Option<Vec<f64>>>>, Error> {
    const FIELD: &str = "space directions";
    let Some(text) = fields.get(FIELD) else { return Ok(None) };
    let wrong = || fields.malformed(FIELD, "a vector or none per dimension", text);
    let mut vectors = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix("none") {
            vectors.push(None);
            rest = after.trim_start();
            continue;
        }
        let close = rest.find(')').ok_or_else(wrong)?;
        vectors.push(Some(vector(&rest[..=close]).ok_or_else(wrong)?));
        rest = rest[close + 1..].trim_start();
    }
    let length = vectors.iter().flatten().map(Vec::len).next().unwrap_or(0);
    let even = vectors.iter().flatten().all(|vector| vector.len() == length);
    if vectors.len() == axes && even && (1..=4).contains(&length) { Ok(Some(vectors)) } else { Err(wrong()) }
}

fn vector(text: &str) -> Option<Vec<f64>> {
    let inside = text.trim().strip_prefix('(')?.strip_suffix(')')?;
    inside.split(',').map(|number| number.trim().parse().ok().filter(|x: &f64| x.is_finite())).collect()
}

/// The axes that lie in space, in order.
fn spatial(
    fields: &Fields,
    sizes: &[usize],
    vectors: &Option<Vec<Option<Vec<f64>>>>,
    kinds: &[String],
) -> Result<Vec<usize>, Error> {
    let in_space = |axis: &usize| match vectors {
        Some(vectors) => vectors[*axis].as_ref().is_some_and(|v| v.iter().take(3).any(|&x| x != 0.0)),
        None => kinds.get(*axis).is_none_or(|kind| matches!(kind.to_ascii_lowercase().as_str(), "domain" | "space")),
    };
    let found: Vec<usize> = (0..sizes.len()).filter(in_space).collect();
    // Without any word on the axes the first three are space and the rest are volumes.
    let found = if vectors.is_none() && kinds.is_empty() { found.into_iter().take(3).collect() } else { found };
    if found.len() < 2 {
        return Err(fields.malformed("space directions", "two or three axes in space", found.len()));
    }
    Ok(found)
}

/// Steps along the voxel axes, and the first centre, in LPS mm.
fn columns(
    fields: &Fields,
    sizes: &[usize],
    vectors: &Option<Vec<Option<Vec<f64>>>>,
    spatial: &[usize],
    warnings: &mut Vec<Warning>,
) -> Result<([[f64; 3]; 3], [f64; 3]), Error> {
    let (mut columns, origin) = match vectors {
        Some(vectors) => {
            let three = |v: &Vec<f64>| std::array::from_fn::<f64, 3, _>(|i| v.get(i).copied().unwrap_or(0.0));
            let columns: Vec<[f64; 3]> = spatial.iter().filter_map(|&axis| vectors[axis].as_ref().map(three)).collect();
            let origin = match fields.get("space origin") {
                None => {
                    warnings.push(Warning::NoPosition);
                    [0.0; 3]
                }
                Some(text) => {
                    let wrong = || fields.malformed("space origin", "a vector", text);
                    three(&vector(text).filter(|v| (2..=4).contains(&v.len())).ok_or_else(wrong)?)
                }
            };
            (columns, origin)
        }
        None => by_spacing(fields, sizes, spatial, warnings)?,
    };
    if columns.len() == 2 {
        columns.push(third(columns[0], columns[1]));
    }
    let signs = signs(fields, warnings)?.map(|sign| sign * millimetres(fields));
    let in_mm = |v: [f64; 3]| std::array::from_fn(|row| v[row] * signs[row]);
    Ok((std::array::from_fn(|axis| in_mm(columns[axis])), in_mm(origin)))
}

/// A unit vector across a single slice.
fn third(x: [f64; 3], y: [f64; 3]) -> [f64; 3] {
    let cross = [x[1] * y[2] - x[2] * y[1], x[2] * y[0] - x[0] * y[2], x[0] * y[1] - x[1] * y[0]];
    let length = cross.iter().map(|c| c * c).sum::<f64>().sqrt();
    cross.map(|c| c / length)
}

/// Columns along the space axes from `spacings` or `axis mins` and `axis maxs`, and the first centre.
fn by_spacing(
    fields: &Fields,
    sizes: &[usize],
    spatial: &[usize],
    warnings: &mut Vec<Warning>,
) -> Result<(Vec<[f64; 3]>, [f64; 3]), Error> {
    let spacings = per_axis(fields, "spacings", sizes.len())?;
    let mins = per_axis(fields, "axis mins", sizes.len())?;
    let maxs = per_axis(fields, "axis maxs", sizes.len())?;
    let centers = words(fields, "centers", sizes.len())?;
    let mut columns = Vec::new();
    let mut origin = [0.0; 3];
    for (row, &axis) in spatial.iter().enumerate().take(3) {
        let value = |of: &Option<Vec<f64>>| of.as_ref().map(|of| of[axis]).filter(|x| x.is_finite());
        let node = centers.get(axis).is_some_and(|center| center == "node");
        let steps = if node { sizes[axis].saturating_sub(1).max(1) } else { sizes[axis] };
        let span = value(&mins).zip(value(&maxs)).map(|(min, max)| (max - min) / steps as f64);
        let spacing = value(&spacings).or(span).unwrap_or_else(|| {
            warnings.push(if row < 2 { Warning::NoPixelSpacing } else { Warning::NoSliceThickness });
            1.0
        });
        origin[row] = value(&mins).map_or(0.0, |min| if node { min } else { min + spacing / 2.0 });
        let mut column = [0.0; 3];
        column[row] = spacing;
        columns.push(column);
    }
    warnings.dedup();
    Ok((columns, origin))
}

/// What turns each coordinate of the file's space into LPS. A space that names no direction is taken as LPS.
fn signs(fields: &Fields, warnings: &mut Vec<Warning>) -> Result<[f64; 3], Error> {
    let name = fields.get("space").unwrap_or_default().to_ascii_lowercase();
    Ok(match name.trim_end_matches("-time") {
        "left-posterior-superior" | "lps" | "lpst" => [1.0, 1.0, 1.0],
        "right-anterior-superior" | "ras" | "rast" => [-1.0, -1.0, 1.0],
        "left-anterior-superior" | "las" | "last" => [1.0, -1.0, 1.0],
        "" | "scanner-xyz" | "3d-right-handed" | "3d-left-handed" => {
            warnings.push(Warning::NoOrientation);
            [1.0; 3]
        }
        _ => return Err(fields.malformed("space", "a space of the format, such as left-posterior-superior", name)),
    })
}

fn millimetres(fields: &Fields) -> f64 {
    let units = fields.get("space units").or_else(|| fields.get("units")).unwrap_or_default();
    let first = units.split_whitespace().map(|unit| unit.trim_matches('"')).find(|unit| !unit.is_empty());
    match first {
        Some("cm") => 10.0,
        Some("m") => 1000.0,
        Some("um" | "µm" | "microns") => 1e-3,
        Some("nm") => 1e-6,
        _ => 1.0,
    }
}
