"""Reads what the test wrote with other programs and compares: same voxels, same place, no new complaint.

Usage: peers.py FOLDER. Every `<name>.json` in FOLDER describes one output: `kind`, `path`, `size`, `affine` (RAS, rows
first), `voxels` (file of float32, x fastest), `tolerance`, and for a derived series `source` (its source folder).
Prints one line per check and exits with the number of failures.
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
import SimpleITK as sitk

failures = 0

# What dciodvfy says of every derived object and must: its dictionary is older than SyntheticData (0008,001C) and DeviceUID in
# contributing equipment, our coding scheme is private, SYNTHETIC is our word, MR has no rescale of its own, a study of
# nobody has no date and no side, and the source's UIDs are quoted.
KNOWN = [
    r"\(0x0008,0x001c\)",
    r"\(0x0018,0x1002\) UI Device UID",
    r"<99ISOSCAN>",
    r"<SYNTHETIC> for value 4",
    r"Standard Extended SOP Class",
    r"not present in standard DICOM IOD - \(0x0028,0x105[234]\)",
    r"Non-identity Modality LUT Module .* MR IOD",
    r"needed to build DICOMDIR - Study (Date|Time)",
    r"only permitted to be empty when actually unknown.*<Laterality>",
    r"Illegal root for UID .* Referenced SOP Instance UID",
]


def check(name, passed, words):
    global failures
    failures += not passed
    print(f"{'ok  ' if passed else 'FAIL'} {name}: {words}")


def corner_distance(a, b, size):
    corners = [[i * (size[0] - 1), j * (size[1] - 1), k * (size[2] - 1), 1] for i in (0, 1) for j in (0, 1) for k in (0, 1)]
    return max(np.linalg.norm((np.asarray(a) - np.asarray(b)) @ c) for c in corners)


def itk_affine(image):
    lps = np.eye(4)
    direction = np.array(image.GetDirection()).reshape(3, 3)
    lps[:3, :3] = direction @ np.diag(image.GetSpacing())
    lps[:3, 3] = image.GetOrigin()
    return np.diag([-1, -1, 1, 1]) @ lps


def compare(name, voxels, affine, expected):
    size = expected["size"]
    truth = np.fromfile(expected["voxels"], "<f4").reshape(size[::-1])
    difference = np.abs(voxels.astype(np.float64) - truth).max() if voxels.shape == truth.shape else np.inf
    distance = corner_distance(affine, expected["affine"], size)
    words = f"voxels off by {difference:.3g}, corners by {distance:.2g} mm"
    check(name, difference <= expected["tolerance"] and distance <= expected["corners_mm"], words)


def nifti(name, path, expected):
    image = nibabel.load(path)
    compare(f"{name} nibabel", image.get_fdata().astype(np.float32).T, image.affine, expected)
    if not expected["sheared"]:
        image = sitk.ReadImage(path)
        compare(f"{name} SimpleITK", sitk.GetArrayFromImage(image), itk_affine(image), expected)


def complaints(path):
    done = subprocess.run(["dciodvfy", path], capture_output=True, text=True, check=False)
    lines = (done.stdout + done.stderr).splitlines()
    lines = [line for line in lines if line.startswith(("Error", "Warning"))]
    return {re.sub(r"\s+", " ", line) for line in lines}


def dicom(name, path, expected):
    files = sorted(glob.glob(os.path.join(path, "*.dcm")))
    reader = sitk.ImageSeriesReader()
    names = reader.GetGDCMSeriesFileNames(path)
    if len(files) > 1 and not expected["sheared"]:
        reader.SetFileNames(names)
        image = reader.Execute()
        compare(f"{name} SimpleITK", sitk.GetArrayFromImage(image), itk_affine(image), expected)
    slices = []
    for file in files:
        data = pydicom.dcmread(file)
        slices.append(data.pixel_array * float(data.get("RescaleSlope", 1)) + float(data.get("RescaleIntercept", 0)))
    compare(f"{name} pydicom", np.stack(slices).astype(np.float32), expected["affine"], expected)
    if len(files) > 1 and not expected["sheared"]:
        with tempfile.TemporaryDirectory() as out:
            program = shutil.which("dcm2niix", path=os.path.dirname(sys.executable)) or "dcm2niix"
            done = subprocess.run([program, "-z", "n", "-f", "out", "-o", out, path], capture_output=True, text=True, check=False)
            made = glob.glob(os.path.join(out, "*.nii"))
            if len(made) != 1:
                check(f"{name} dcm2niix", False, f"{len(made)} files: {done.stdout[-300:]}")
            else:
                image = nibabel.load(made[0])
                voxels, affine = image.get_fdata().astype(np.float32), image.affine.copy()
                flip = np.eye(4)
                flip[1, 1], flip[1, 3] = -1, voxels.shape[1] - 1
                compare(f"{name} dcm2niix", voxels[:, ::-1].T, affine @ flip, expected)
    if shutil.which("dciodvfy"):
        source = expected["source"]
        if source and os.path.isdir(source):
            source = sorted(glob.glob(os.path.join(source, "*")))[0]
        before = complaints(source) if source else set()
        new = {line for line in complaints(files[0]) - before if not any(re.search(known, line) for known in KNOWN)}
        check(f"{name} dciodvfy", not new, f"{len(before)} complaints of the source, new: {sorted(new)}")


def main():
    for description in sorted(glob.glob(os.path.join(sys.argv[1], "*.json"))):
        with open(description, encoding="utf-8") as file:
            expected = json.load(file)
        expected["affine"] = np.vstack([expected["affine"], [0, 0, 0, 1]])
        name = os.path.basename(description)[:-5]
        (nifti if expected["kind"] == "nifti" else dicom)(name, expected["path"], expected)
    sys.exit(min(failures, 100))


main()
