/// `, did you mean X`, where X is the name of the comma-separated list `known` that is nearest to `name`; empty when
/// none is near.
pub fn suggestion(name: &str, known: &str) -> String {
    nearest(name, known.split(", ")).map_or_else(String::new, |near| format!(", did you mean {near}"))
}

/// The known name with the fewest edits to `name`, whatever the case, when a third of its letters or fewer change or it
/// begins with `name`.
fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let name = letters(name);
    known
        .filter_map(|candidate| {
            let letters = letters(candidate);
            let edits = edits(&name, &letters);
            let is_near = edits <= (letters.len() / 3).max(1) || name.len() >= 4 && letters.starts_with(&name);
            is_near.then_some((edits, candidate))
        })
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, candidate)| candidate)
}

/// Lower case, at most as long as a name may be.
fn letters(name: &str) -> Vec<char> {
    name.chars().flat_map(char::to_lowercase).take(64).collect()
}

/// Insertions, deletions and substitutions of a letter that turn `a` into `b` (Levenshtein 1966).
fn edits(a: &[char], b: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_pen_finds_the_name_meant() {
        let known = "binWidth, binCount, force2D, force2Ddimension, LoG, Wavelet";
        let rows = [
            ("binwidth", ", did you mean binWidth"),
            ("bin_width", ", did you mean binWidth"),
            ("force2Ddim", ", did you mean force2Ddimension"),
            ("log", ", did you mean LoG"),
            ("wavlets", ", did you mean Wavelet"),
            ("smoothing", ""),
        ];
        for (name, expected) in rows {
            assert_eq!(suggestion(name, known), expected, "{name}");
        }
    }
}
