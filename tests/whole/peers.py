"""Reads the outputs of a run with nibabel, SimpleITK, pydicom and dcm2niix and compares grids with the input.

Usage: peers.py INPUT_FOLDER OUTPUT_FOLDER. Exits with 1 and a line for each difference.
"""
import pathlib
import subprocess
import sys
import tempfile

import nibabel
import numpy
import pydicom
import SimpleITK


def dcm2niix(folder, into):
    """Affines (RAS mm, voxel order as stored) of what dcm2niix makes of a DICOM folder."""
    import dcm2niix as tool

    subprocess.run([tool.bin, "-z", "n", "-b", "n", "-o", into, folder], check=True, capture_output=True)
    return [nibabel.load(path) for path in sorted(pathlib.Path(into).glob("*.nii"))]


def corners(affine, shape):
    """World positions of the eight corner voxels, sorted, so that the order of storage does not matter."""
    index = numpy.array([[i, j, k] for i in (0, shape[0] - 1) for j in (0, shape[1] - 1) for k in (0, shape[2] - 1)])
    return numpy.array(sorted((affine[:3, :3] @ index.T).T + affine[:3, 3], key=lambda p: tuple(numpy.round(p, 3))))


def farthest(a, b):
    return max(min(numpy.linalg.norm(p - q) for q in b) for p in a)


def sitk_affine(image):
    direction = numpy.array(image.GetDirection()).reshape(3, 3)
    affine = numpy.eye(4)
    affine[:3, :3] = direction @ numpy.diag(image.GetSpacing())
    affine[:3, 3] = image.GetOrigin()
    return numpy.diag([-1, -1, 1, 1]) @ affine


def positions(folder):
    """Corners of a DICOM series by its Image Position (Patient), Image Orientation (Patient) and Pixel Spacing."""
    slices = [pydicom.dcmread(file, stop_before_pixels=True) for file in folder.iterdir() if file.is_file()]
    axes = numpy.array(slices[0].ImageOrientationPatient, float).reshape(2, 3)
    normal = numpy.cross(*axes)
    slices.sort(key=lambda header: normal @ numpy.array(header.ImagePositionPatient, float))
    rows, columns = (float(value) for value in slices[0].PixelSpacing)
    across, down = axes[0] * columns * (slices[0].Columns - 1), axes[1] * rows * (slices[0].Rows - 1)
    ends = [numpy.array(header.ImagePositionPatient, float) for header in (slices[0], slices[-1])]
    lps = [end + right + below for end in ends for right in (0, across) for below in (0, down)]
    return numpy.array(lps) * [-1, -1, 1]


def main():
    source, out = map(pathlib.Path, sys.argv[1:])
    wrong = []
    niftis = sorted(source.glob("*.nii*"))
    if niftis:
        given = nibabel.load(niftis[0])
        goal = corners(given.affine, given.shape)
        itk_goal = corners(sitk_affine(SimpleITK.ReadImage(str(niftis[0]))), given.shape)
    else:
        goal = itk_goal = positions(source)
    for path in sorted((out / "translated").rglob("*.nii.gz")):
        image = nibabel.load(path)
        distance = farthest(corners(image.affine, image.shape), goal)
        if distance > 1e-3:
            wrong.append(f"{path}: {distance} mm off the input's grid")
        if niftis and numpy.abs(image.affine - given.affine).max() > 1e-4:
            wrong.append(f"{path}: affine {image.affine}, the input's is {given.affine}")
        if not numpy.isfinite(image.get_fdata()).all():
            wrong.append(f"{path}: voxels that are no numbers")
        if "identity" not in path.name and b"SYN" not in bytes(image.header["descrip"]).upper():
            wrong.append(f"{path}: descrip {image.header['descrip']} bears no mark")
        distance = farthest(corners(sitk_affine(SimpleITK.ReadImage(str(path))), image.shape), itk_goal)
        if distance > 1e-3:
            wrong.append(f"{path}: SimpleITK sees a grid {distance} mm off")
    folders = sorted(path for path in (out / "translated").rglob("*_dicom") if path.is_dir())
    for folder in folders:
        files = sorted(folder.iterdir())
        headers = [pydicom.dcmread(file) for file in files]
        uids = {header.SOPInstanceUID for header in headers}
        if len(uids) != len(files):
            wrong.append(f"{folder}: SOP Instance UIDs repeat")
        synthetic = "identity" not in folder.name
        for header in headers:
            if header.ImageType[0] != "DERIVED" or (synthetic and header.get("SyntheticData") != "YES"):
                wrong.append(f"{folder}: not labelled as derived and synthetic")
                break
        with tempfile.TemporaryDirectory() as scratch:
            images = dcm2niix(folder, scratch)
            if len(images) != 1:
                wrong.append(f"{folder}: dcm2niix makes {len(images)} images")
                continue
            distance = farthest(corners(images[0].affine, images[0].shape), goal)
            if distance > 0.05:  # it takes the first gap for the spacing, the engine the mean of all
                wrong.append(f"{folder}: dcm2niix sees a grid {distance} mm off")
            if farthest(positions(folder), goal) > 1e-4:
                wrong.append(f"{folder}: positions off the input's grid")
            partner = nibabel.load(str(folder)[: -len("_dicom")] + ".nii.gz")
            voxels = numpy.sort(images[0].get_fdata().ravel())
            written = numpy.sort(partner.get_fdata().ravel())
            if numpy.abs(voxels - written).max() > 0.51 * max(1.0, numpy.ptp(written) / 4095):
                wrong.append(f"{folder}: voxels differ from the NIfTI by {numpy.abs(voxels - written).max()}")
    if not folders:
        wrong.append(f"{out}: no derived DICOM")
    print("\n".join(wrong))
    return 1 if wrong else 0


sys.exit(main())
