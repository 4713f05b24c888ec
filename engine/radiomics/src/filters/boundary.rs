/// What an image is taken to be beyond its borders, GBYQ, for a line `a b c d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Boundary {
    /// Z3VE with 0: `0 0 | a b c d | 0 0`.
    Zero,
    /// SIJG: `a a | a b c d | d d`.
    Nearest,
    /// Z7YO: `c d | a b c d | a b`.
    Periodic,
    /// ZDTV: `b a | a b c d | d c`: the border voxels are repeated.
    Mirror,
}

impl Boundary {
    /// The voxel of a line of `size` that stands at `index`; `None` where there is 0.
    pub(super) fn place(self, index: i64, size: usize) -> Option<usize> {
        let n = size as i64;
        if (0..n).contains(&index) {
            return Some(index as usize);
        }
        let place = match self {
            Self::Zero => return None,
            Self::Nearest => index.clamp(0, n - 1),
            Self::Periodic => index.rem_euclid(n),
            Self::Mirror => {
                let place = index.rem_euclid(2 * n);
                place.min(2 * n - 1 - place)
            }
        };
        Some(place as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_three_continues_by_each_rule() {
        let line = ['a', 'b', 'c'];
        let rows = [
            (Boundary::Zero, "0000abc0000"),
            (Boundary::Nearest, "aaaaabccccc"),
            (Boundary::Periodic, "cabcabcabca"),
            (Boundary::Mirror, "ccbaabccbaa"),
        ];
        for (boundary, expected) in rows {
            let found: String = (-4..7).map(|i| boundary.place(i, 3).map_or('0', |p| line[p])).collect();
            assert_eq!(found, expected, "{boundary:?}");
        }
    }
}
