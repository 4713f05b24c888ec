//! Images that stand twice under different names.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::frames::Plane;
use super::lut::Rescale;
use super::pixels::Frames;
use crate::Warning;

/// Files whose pixels equal those of another file on the same position, if without them every position has equally many
/// planes: a time series may well hold the same blank slice again. `positions` are those of `planes`, ascending, and some
/// are shared. Unreadable pixels equal none.
pub(crate) fn copies(planes: &[(usize, Plane)], positions: &[usize]) -> BTreeMap<PathBuf, Warning> {
    let mut found = BTreeMap::new();
    let mut left_before = None;
    let count = positions.last().map_or(0, |last| last + 1);
    let regular = planes.len().is_multiple_of(count.max(1));
    let pairs: Vec<(&Plane, usize)> = planes.iter().map(|(_, plane)| plane).zip(positions.iter().copied()).collect();
    for here in pairs.chunk_by(|(_, p), (_, q)| p == q) {
        let mut kept: Vec<(&Path, Option<Vec<u8>>)> = Vec::new();
        for (plane, _) in here {
            let ours = stored(plane);
            let twin = kept.iter().find(|(path, theirs)| ours.is_some() && *theirs == ours && *path != plane.file.path);
            match twin {
                Some((of, _)) => {
                    let (path, of) = (plane.file.path.clone(), of.to_path_buf());
                    found.insert(path.clone(), Warning::CopiedSlice { path, of });
                }
                None => kept.push((&plane.file.path, ours)),
            }
        }
        let none_where_all_must_have_one = regular && found.is_empty();
        if none_where_all_must_have_one || left_before.is_some_and(|before| before != kept.len()) {
            return BTreeMap::new();
        }
        left_before = Some(kept.len());
    }
    found
}

fn stored(plane: &Plane) -> Option<Vec<u8>> {
    let frames = Frames::open(&plane.file).ok()?;
    let mut values = vec![0.0f32; plane.file.rows * plane.file.columns];
    frames.read(plane.frame, plane.channel, &Rescale::NONE, &mut values, None).ok()?;
    let tile = plane.tile.iter().flatten().flat_map(|corner| corner.to_le_bytes());
    Some(tile.chain(values.iter().flat_map(|value| value.to_le_bytes())).collect())
}
