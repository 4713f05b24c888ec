use std::path::Path;

use super::{Case, Pair, Place, Wanted};
use crate::failure::Failure;

/// Whether the path names a table of cases.
pub(crate) fn is_list(path: &Path) -> bool {
    let ending = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    matches!(ending.as_str(), "csv" | "tsv") && path.is_file()
}

/// The cases of a table as PyRadiomics reads it: columns `Image` and `Mask`, perhaps `Label`, here also `ROI`; paths that
/// are not absolute begin at the table's folder. Every column is carried to the output. A line that cannot be used becomes
/// a case with its reason.
pub(super) fn read(path: &Path, wanted: &Wanted) -> Result<Vec<Case>, Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::new(format!("{error}: {}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| failed(&error))?;
    let text = text.trim_start_matches('\u{feff}');
    let head = text.lines().next().unwrap_or_default();
    let delimiter = [b',', b';', b'\t'].into_iter().max_by_key(|part| count(head, *part)).unwrap_or(b',');
    let mut reader =
        csv::ReaderBuilder::new().delimiter(delimiter).flexible(true).trim(csv::Trim::All).from_reader(text.as_bytes());
    let names: Vec<String> = reader.headers().map_err(|error| failed(&error))?.iter().map(str::to_owned).collect();
    for needed in ["Image", "Mask"] {
        if !names.iter().any(|name| name.eq_ignore_ascii_case(needed)) {
            let found = names.join(", ");
            return Err(failed(&format!("expected the columns Image and Mask, found {found}"))
                .help("a table of cases is that of PyRadiomics: Image,Mask and perhaps Label; here also ROI"));
        }
    }
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut cases = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| failed(&error))?;
        let line = record.position().map_or(0, csv::Position::line);
        let cells = record.iter().map(str::to_owned).chain(std::iter::repeat(String::new()));
        let carried: Vec<(String, String)> = names.iter().cloned().zip(cells).collect();
        let pair = if record.len() > names.len() {
            Err(format!("line {line}: expected {} cells, found {}", names.len(), record.len()))
        } else {
            pair(&carried, folder, wanted).map_err(|reason| format!("line {line}: {reason}"))
        };
        cases.push(Case { carried, pair });
    }
    Ok(cases)
}

fn count(head: &str, part: u8) -> usize {
    head.bytes().filter(|byte| *byte == part).count()
}

fn pair(carried: &[(String, String)], folder: &Path, wanted: &Wanted) -> Result<Pair, String> {
    let cell = |wanted: &str| {
        let found = carried.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    };
    let file = |name: &str| cell(name).map(|path| folder.join(path)).ok_or_else(|| format!("no {name}"));
    let label = |text: &str| {
        let whole = text.parse::<f64>().ok().filter(|n| n.fract() == 0.0 && n.abs() <= f64::from(i32::MAX));
        whole.map(|n| n as i32).ok_or_else(|| format!("Label must be a whole number, found {text}"))
    };
    if let Some(channel) = cell("Label_channel").filter(|channel| label(channel) != Ok(0)) {
        return Err(format!(
            "Label_channel must be 0, because masks of several channels are not read, found {channel}"
        ));
    }
    let wanted = match (cell("ROI"), cell("Label")) {
        (Some(name), _) => Wanted::Name(name.to_owned()),
        (None, Some(text)) => Wanted::Label(label(text)?),
        (None, None) => wanted.clone(),
    };
    Ok(Pair { image: Place::Path(file("Image")?), mask: file("Mask")?, wanted })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cases(text: &str) -> Vec<Case> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cases.csv");
        std::fs::write(&path, text).unwrap();
        let mut cases = read(&path, &Wanted::Usual).unwrap();
        for pair in cases.iter_mut().filter_map(|case| case.pair.as_mut().ok()) {
            pair.mask = pair.mask.strip_prefix(folder.path()).unwrap().to_owned();
        }
        cases
    }

    #[test]
    fn columns_are_carried_and_regions_read() {
        let found =
            cases("\u{feff}ID,Image,Mask,Label,ROI\n1,a.nii,m.nii,2,\n2,b.nii,m.nii,2.0,liver\n3,c.nii,m.nii,,\n");
        let wanted: Vec<&Wanted> = found.iter().map(|case| &case.pair.as_ref().unwrap().wanted).collect();
        assert_eq!(wanted, [&Wanted::Label(2), &Wanted::Name("liver".into()), &Wanted::Usual]);
        assert_eq!(found[0].carried[0], ("ID".into(), "1".into()));
        assert_eq!(found[1].name(), "2");
        assert_eq!(found[0].pair.as_ref().unwrap().mask, Path::new("m.nii"));
    }

    #[test]
    fn semicolons_part_the_cells_of_some_spreadsheets() {
        assert_eq!(cases("Image;Mask\na,1.nii;m.nii\n")[0].carried[0].1, "a,1.nii");
    }

    #[test]
    fn a_line_that_cannot_be_used_has_its_reason() {
        let rows = [
            ("a.nii,,1", "line 2: no Mask"),
            ("a.nii,m.nii,one", "line 2: Label must be a whole number, found one"),
            ("a.nii,m.nii,1,2", "line 2: expected 3 cells, found 4"),
        ];
        for (line, expected) in rows {
            let found = cases(&format!("Image,Mask,Label\n{line}\n"));
            assert_eq!(found[0].pair, Err(expected.to_owned()), "{line}");
        }
    }
}
