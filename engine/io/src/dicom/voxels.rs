//! Reads the voxels of the planes of a volume.

use std::collections::BTreeMap;
use std::path::Path;

use ndarray::Array3;
use rayon::prelude::*;

use super::frames::Plane;
use super::header::Slice;
use super::lut::Rescale;
use super::pixels::{Frames, Padding};
use crate::Error;

/// Intensities of a volume, `[z, y, x]`, and which voxels the files declare as padding, if any does.
#[derive(Debug)]
pub(crate) struct Voxels {
    pub(crate) intensities: Array3<f32>,
    pub(crate) padding: Option<Array3<bool>>,
}

/// Reads the planes in their order through their `rescales`, all cores at work. Each frame is unpacked once, however
/// many of the planes are its tiles.
///
/// # Errors
/// The first error in the order of the planes, whichever thread met one first.
pub(crate) fn read_voxels(planes: &[Plane], rescales: &[Rescale]) -> Result<Voxels, Error> {
    let [nx, ny, nz] = [planes[0].columns, planes[0].rows, planes.len()];
    let mut intensities = Array3::zeros((nz, ny, nx));
    let mut files: BTreeMap<&Path, Vec<usize>> = BTreeMap::new();
    for (k, plane) in planes.iter().enumerate() {
        files.entry(&plane.file.path).or_default().push(k);
    }
    let padded = planes.iter().any(|plane| declares_padding(&plane.file));
    let mut padding = padded.then(|| Array3::from_elem((nz, ny, nx), false));
    let mut rooms: Vec<Option<Room>> = {
        let values = intensities.as_slice_mut().expect("a new array is contiguous").chunks_mut(nx * ny);
        let marks = padding.as_mut().and_then(|array| array.as_slice_mut()).map(|marks| marks.chunks_mut(nx * ny));
        match marks {
            Some(marks) => values.zip(marks).map(|(values, marks)| Some(Room { values, marks: Some(marks) })).collect(),
            None => values.map(|values| Some(Room { values, marks: None })).collect(),
        }
    };
    let jobs: Vec<Vec<Job>> = files
        .into_values()
        .map(|of_file| {
            let job = |k: usize| Some(Job { k, plane: &planes[k], rescale: &rescales[k], room: rooms[k].take()? });
            of_file.into_iter().filter_map(job).collect()
        })
        .collect();
    let failures: Vec<(usize, Error)> = jobs.into_par_iter().flat_map_iter(read_file).collect();
    match failures.into_iter().min_by_key(|(k, _)| *k) {
        Some((_, error)) => Err(error),
        None => Ok(Voxels { intensities, padding }),
    }
}

/// Whether the header says which stored values are padding.
pub(crate) fn declares_padding(file: &Slice) -> bool {
    super::samples::Layout::of(file).is_ok_and(|layout| Padding::of(file, &layout).is_some())
}

/// Where a plane goes.
struct Room<'a> {
    values: &'a mut [f32],
    marks: Option<&'a mut [bool]>,
}

struct Job<'a> {
    k: usize,
    plane: &'a Plane,
    rescale: &'a Rescale,
    room: Room<'a>,
}

/// Reads the planes that come from one file; gives what failed.
fn read_file(jobs: Vec<Job>) -> Vec<(usize, Error)> {
    let Some(first) = jobs.first() else { return Vec::new() };
    let frames = match Frames::open(&first.plane.file) {
        Ok(frames) => frames,
        Err(error) => return vec![(first.k, error)],
    };
    let padding = Padding::of(&first.plane.file, frames.layout());
    let mut by_frame: BTreeMap<(usize, usize), Vec<Job>> = BTreeMap::new();
    for job in jobs {
        by_frame.entry((job.plane.frame, job.plane.channel)).or_default().push(job);
    }
    let read = |jobs: Vec<Job>| {
        let k = jobs.first()?.k;
        read_frame(&frames, padding, jobs).err().map(|error| (k, error))
    };
    by_frame.into_values().collect::<Vec<_>>().into_par_iter().filter_map(read).collect()
}

fn read_frame(frames: &Frames, padding: Option<Padding>, mut jobs: Vec<Job>) -> Result<(), Error> {
    let read = |plane: &Plane, rescale: &Rescale, values: &mut [f32], marks: Option<&mut [bool]>| {
        frames.read(plane.frame, plane.channel, rescale, values, padding.zip(marks))
    };
    if let [Job { plane, rescale, room, .. }] = &mut jobs[..]
        && plane.tile.is_none()
    {
        return read(plane, rescale, room.values, room.marks.as_deref_mut());
    }
    for whole in jobs.chunk_by_mut(|a, b| a.rescale == b.rescale) {
        let plane = whole[0].plane;
        let (columns, pixels) = (plane.file.columns, plane.file.rows * plane.file.columns);
        let mut values = vec![0.0; pixels];
        let mut marks = vec![false; if padding.is_some() { pixels } else { 0 }];
        read(plane, whole[0].rescale, &mut values, padding.map(|_| &mut marks[..]))?;
        for Job { plane, room, .. } in whole {
            let [left, top] = plane.tile.unwrap_or([0, 0]);
            for row in 0..plane.rows {
                let from = (top + row) * columns + left;
                let to = row * plane.columns..(row + 1) * plane.columns;
                room.values[to.clone()].copy_from_slice(&values[from..from + plane.columns]);
                if let (Some(room), false) = (&mut room.marks, marks.is_empty()) {
                    room[to].copy_from_slice(&marks[from..from + plane.columns]);
                }
            }
        }
    }
    Ok(())
}
