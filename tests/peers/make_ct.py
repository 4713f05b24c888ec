"""Makes a large CT series from a small real one, so that reading speed can be compared on files as a scanner writes them.

Usage: make_ct.py SOURCE_FOLDER OUTPUT_FOLDER [SLICES]

The slices of SOURCE_FOLDER are repeated forth and back, with noise of -3 to 3, 1 mm apart along their normal, under file
names in no order. The same input gives the same files. Needs pydicom and numpy.
"""

import pathlib
import sys

import numpy as np
import pydicom
from pydicom.uid import ExplicitVRLittleEndian

ROOT = "2.25.77"


def main(source, output, slices):
    headers = [pydicom.dcmread(path) for path in sorted(pathlib.Path(source).iterdir())]
    row, column = (np.array(headers[0].ImageOrientationPatient, float)[part] for part in (slice(0, 3), slice(3, 6)))
    normal = np.cross(row, column)
    headers.sort(key=lambda header: np.dot(header.ImagePositionPatient, normal))
    first = np.array(headers[0].ImagePositionPatient, float)
    random = np.random.default_rng(1)
    names = random.permutation(slices)
    output = pathlib.Path(output)
    output.mkdir(parents=True)
    for k in range(slices):
        turn, at = divmod(k, len(headers))
        header = headers[at if turn % 2 == 0 else -1 - at]
        stored = header.pixel_array.astype(np.int32) + random.integers(-3, 4, header.pixel_array.shape)
        low, high = (-32768, 32767) if header.PixelRepresentation else (0, 65535)
        bits = 16 - header.BitsStored
        low, high = low >> bits, high >> bits
        header = pydicom.dcmread(header.filename)
        header.PixelData = np.clip(stored, low, high).astype("<i2" if header.PixelRepresentation else "<u2").tobytes()
        header["PixelData"].VR = "OW"
        header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        header.ImagePositionPatient = [f"{value:.6f}" for value in first + k * normal]
        header.SliceThickness = "1"
        if "SpacingBetweenSlices" in header:
            header.SpacingBetweenSlices = "1"
        header.InstanceNumber = str(k + 1)
        header.SeriesInstanceUID = f"{ROOT}.1"
        header.SOPInstanceUID = header.file_meta.MediaStorageSOPInstanceUID = f"{ROOT}.1.{k + 1}"
        header.save_as(output / f"{names[k]:04}.dcm")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 268)
