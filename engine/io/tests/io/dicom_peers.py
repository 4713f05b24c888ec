"""Reads multi-frame DICOM files with other programs: same voxels, same place, no complaint.

Usage: dicom_peers.py FOLDER. Each `<name>-<kind>.dcm` has beside it a `.json` with `size` and `affine` (LPS, rows first) and
a `.f32` with the voxels, x fastest. Kinds: seg, map, enhanced. Exits with the number of failures.
"""

import glob
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

import nibabel
import numpy as np
import pydicom

try:
    import highdicom
except ImportError:
    highdicom = None

failures = 0

# What dciodvfy says and must: its dictionary is older than SyntheticData (0008,001C) and DeviceUID in contributing equipment,
# SYNTHETIC is our word and QUANTITY one it does not know, the coding scheme is private, the agency is asked for only of
# original images (PS3.3 C.8.13.1), and the source's own values are kept.
KNOWN = [
    r"\(0x0008,0x001c\)",
    r"\(0x0018,0x1002\) UI Device UID",
    r"<99ISOSCAN>",
    r"<(SYNTHETIC|QUANTITY)> for value 4",
    r"Standard Extended SOP Class",
    r"ApplicableSafetyStandardAgency",
    r"only permitted to be empty when actually unknown.*<Laterality>",
    r"Retired Person Name form",
    r"Study ID",
    r"invalid data values for Value Representations",
    r"needed to build DICOMDIR - ",
]


def check(name, passed, words):
    global failures
    failures += not passed
    print(f"{'ok  ' if passed else 'FAIL'} {name}: {words}")


def compare(name, voxels, affine, expected, truth, tolerance):
    difference = np.abs(voxels.astype(np.float64) - truth).max() if voxels.shape == truth.shape else np.inf
    size = expected["size"]
    corners = [[i * (size[0] - 1), j * (size[1] - 1), k * (size[2] - 1), 1] for i in (0, 1) for j in (0, 1) for k in (0, 1)]
    distance = max(np.linalg.norm((affine[:3] - np.array(expected["affine"])) @ corner) for corner in corners)
    # Highdicom replaces slightly uneven positions by their mean step.
    check(name, difference <= tolerance and distance <= 5e-3, f"voxels off by {difference:.3g}, corners by {distance:.2g} mm")


def frames(data):
    """Voxels of a map or an enhanced image, frame by frame, by pydicom alone."""
    shared, each = data.SharedFunctionalGroupsSequence[0], data.PerFrameFunctionalGroupsSequence
    stored = data.pixel_array.reshape(len(each), data.Rows, data.Columns)
    slices = []
    for frame, plane in zip(each, stored):
        holder = frame if "PixelValueTransformationSequence" in frame else shared
        values = holder.PixelValueTransformationSequence[0]
        slices.append(plane * float(values.RescaleSlope) + float(values.RescaleIntercept))
    orientation = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, float)
    rows, columns = np.array(shared.PixelMeasuresSequence[0].PixelSpacing, float)
    positions = [np.array(frame.PlanePositionSequence[0].ImagePositionPatient, float) for frame in each]
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1] = orientation[:3] * columns, orientation[3:] * rows
    affine[:3, 2] = (positions[-1] - positions[0]) / max(len(positions) - 1, 1)
    affine[:3, 3] = positions[0]
    return np.stack(slices), affine


def with_highdicom(kind, path):
    """Voxels and affine by highdicom, x fastest last."""
    if kind == "seg":
        volume = highdicom.seg.segread(path).get_volume(combine_segments=True)
    elif kind == "map":
        volume = highdicom.pm.ParametricMap.from_dataset(pydicom.dcmread(path)).get_volume(apply_real_world_transform=True)
    else:
        volume = highdicom.Image.from_dataset(pydicom.dcmread(path)).get_volume()
    affine = volume.affine[:, [2, 1, 0, 3]]
    return volume.array, affine


def along_normal(voxels, affine):
    """Highdicom counts slices either way."""
    flip = np.eye(4)
    flip[2, 2], flip[2, 3] = -1, voxels.shape[0] - 1
    return voxels[::-1], affine @ flip


def with_dcm2niix(path):
    with tempfile.TemporaryDirectory() as out:
        program = shutil.which("dcm2niix", path=os.path.dirname(sys.executable)) or "dcm2niix"
        subprocess.run([program, "-s", "y", "-z", "n", "-f", "out", "-o", out, path], capture_output=True, check=False)
        made = glob.glob(os.path.join(out, "*.nii"))
        if len(made) != 1:
            return None
        image = nibabel.load(made[0])
        voxels, affine = image.get_fdata(), image.affine.copy()
    flip = np.eye(4)
    flip[1, 1], flip[1, 3] = -1, voxels.shape[1] - 1
    return voxels[:, ::-1].T, np.diag([-1, -1, 1, 1]) @ affine @ flip


def complaints(path):
    done = subprocess.run(["dciodvfy", path], capture_output=True, text=True, check=False)
    lines = {line for line in (done.stdout + done.stderr).splitlines() if line.startswith(("Error", "Warning"))}
    return sorted(line for line in lines if not any(re.search(known, line) for known in KNOWN))


def main():
    if highdicom is None:
        print("skipped: no highdicom")
    for path in sorted(glob.glob(os.path.join(sys.argv[1], "*.dcm"))):
        stem = path[:-4]
        name, kind = os.path.basename(stem), stem.rsplit("-", 1)[1]
        with open(f"{stem}.json", encoding="utf-8") as file:
            expected = json.load(file)
        truth = np.fromfile(f"{stem}.f32", "<f4").reshape(expected["size"][::-1])
        if kind != "seg":
            voxels, affine = frames(pydicom.dcmread(path))
            compare(f"{name} pydicom", voxels, affine, expected, truth, 1e-6)
        if highdicom is not None:
            voxels, affine = with_highdicom(kind, path)
            if np.dot(affine[:3, 2], np.array(expected["affine"])[:, 2]) < 0:
                voxels, affine = along_normal(voxels, affine)
            compare(f"{name} highdicom", voxels, affine, expected, truth, 1e-6)
        if kind == "enhanced":
            read = with_dcm2niix(path)
            if read is None:
                check(f"{name} dcm2niix", False, "no single volume")
            else:
                compare(f"{name} dcm2niix", *read, expected, truth, 1e-6)
        if shutil.which("dciodvfy"):
            found = complaints(path)
            check(f"{name} dciodvfy", not found, str(found))
    sys.exit(min(failures, 100))


main()
