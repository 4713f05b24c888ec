use std::fs::File;
use std::io::Read;
use std::path::Path;

use isoscan_imaging::Affine3;

use crate::{Error, write_atomically};

/// Longest transform file that is read, bytes.
const LONGEST: u64 = 1 << 16;

/// Writes a map of LPS mm positions as an ITK transform file (text, `.tfm`) with one `AffineTransform_double_3_3` about
/// the origin: 9 numbers of the matrix by rows, then the translation. The map of a
/// [`Registration`](isoscan_imaging::Registration) is what SimpleITK calls the transform from fixed to moving.
///
/// # Errors
/// [`Error::Io`].
pub fn write_transform(path: &Path, map: &Affine3) -> Result<(), Error> {
    let numbers: Vec<String> = map.matrix.iter().flatten().chain(&map.translation).map(f64::to_string).collect();
    let text = format!(
        "#Insight Transform File V1.0\n#Transform 0\nTransform: AffineTransform_double_3_3\nParameters: {}\nFixedParameters: 0 0 0\n",
        numbers.join(" ")
    );
    write_atomically(path, |out| out.write_all(text.as_bytes()))
}

/// Reads an ITK transform file (text) with one `AffineTransform_double_3_3` or `MatrixOffsetTransformBase_double_3_3`: the
/// map `x ↦ M (x - c) + c + t` of LPS mm positions, with the centre `c` of `FixedParameters`.
///
/// # Errors
/// [`Error::Io`], [`Error::Malformed`] naming the field, [`Error::Unsupported`] for another or more than one transform.
pub fn read_transform(path: &Path) -> Result<Affine3, Error> {
    let malformed = |field, expected, found: &str| Error::Malformed {
        field,
        expected,
        found: found.chars().take(60).collect(),
        path: path.to_owned(),
    };
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(LONGEST + 1).read_to_end(&mut bytes)).map_err(|source| Error::Io {
        action: "read",
        path: path.to_owned(),
        source,
    })?;
    let text = std::str::from_utf8(&bytes).ok().filter(|text| text.len() as u64 <= LONGEST);
    let text = text.ok_or_else(|| malformed("transform file", "text of at most 64 KiB", "something else"))?;
    if !text.starts_with("#Insight Transform File V1.0") {
        let first = text.lines().next().unwrap_or_default();
        return Err(malformed("first line", "#Insight Transform File V1.0", first));
    }
    let field = |name: &'static str| {
        let mut lines = text.lines().filter_map(|line| line.split_once(':').filter(|(key, _)| key.trim() == name));
        match (lines.next(), lines.next()) {
            (Some((_, value)), None) => Ok(value.trim()),
            (Some(_), Some(_)) => {
                Err(Error::Unsupported { what: "several transforms in one file".to_owned(), path: path.to_owned() })
            }
            (None, _) => Err(malformed(name, "once in the file", "none")),
        }
    };
    let kind = field("Transform")?;
    if !["AffineTransform_double_3_3", "MatrixOffsetTransformBase_double_3_3"].contains(&kind) {
        let what = format!("transform {}", kind.chars().take(60).collect::<String>());
        return Err(Error::Unsupported { what, path: path.to_owned() });
    }
    let numbers = |name, expected, count: usize| {
        let value = field(name)?;
        let numbers: Option<Vec<f64>> = value.split_whitespace().map(|n| n.parse().ok()).collect();
        let usable = numbers.filter(|n| n.len() == count && n.iter().all(|x| x.is_finite()));
        usable.ok_or_else(|| malformed(name, expected, value))
    };
    let parameters = numbers("Parameters", "12 finite numbers", 12)?;
    let center = numbers("FixedParameters", "3 finite numbers", 3)?;
    let matrix = std::array::from_fn(|row| std::array::from_fn(|column| parameters[3 * row + column]));
    let turned = Affine3 { matrix, translation: [0.0; 3] }.apply([center[0], center[1], center[2]]);
    Ok(Affine3 { matrix, translation: std::array::from_fn(|a| parameters[9 + a] + center[a] - turned[a]) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_survives_its_file_bit_for_bit() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("map.tfm");
        let map = Affine3 {
            matrix: [[0.1 + 0.2, -1.0 / 3.0, 1e-17], [2.0f64.sqrt(), 1.0, -0.0], [1e-300, 0.5, 7.25]],
            translation: [-629.04, 1e6 / 7.0, 0.1],
        };
        write_transform(&path, &map).unwrap();
        assert_eq!(read_transform(&path).unwrap(), map);
    }

    #[test]
    fn a_center_is_worked_into_the_translation_and_broken_files_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("map.tfm");
        let head = "#Insight Transform File V1.0\n#Transform 0\n";
        let read = |text: String| {
            std::fs::write(&path, text).unwrap();
            read_transform(&path)
        };
        // A quarter turn about z at (10, 0, 0): the origin goes to (10, -10, 0).
        let turn = "Transform: AffineTransform_double_3_3\nParameters: 0 -1 0 1 0 0 0 0 1 0 0 5\n";
        let found = read(format!("{head}{turn}FixedParameters: 10 0 0\n")).unwrap();
        assert_eq!(found.apply([0.0; 3]), [10.0, -10.0, 5.0]);
        let euler = turn.replace("Affine", "Euler3D");
        let short = turn.replace(" 0 0 5", " 0 0");
        let nan = turn.replace(" 5", " nan");
        let center = "FixedParameters: 0 0 0\n";
        for (text, unsupported) in [
            (String::new(), false),
            (format!("{head}{turn}"), false),
            (format!("{head}{short}{center}"), false),
            (format!("{head}{nan}{center}"), false),
            (format!("{head}{euler}{center}"), true),
            (format!("{head}{turn}{center}#Transform 1\n{turn}{center}"), true),
        ] {
            match read(text.clone()) {
                Err(Error::Unsupported { .. }) => assert!(unsupported, "{text}"),
                Err(Error::Malformed { .. }) => assert!(!unsupported, "{text}"),
                other => panic!("{text}: {other:?}"),
            }
        }
    }
}
