"""Structure sets and segmentations of other programs, with the masks that they should give.

    regions.py DIR SERIES     writes files of a DICOM series' grid and DIR/expected.json

Each mask is a raw file of one byte per voxel, x fastest: 0 outside, 1 inside, 2 either (a centre within 0.002 voxels of a
contour). Parts whose package is missing (rt_utils, highdicom) are left out.
"""

import json
import pathlib
import sys

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

FOLDER, SERIES = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
HEADS = [pydicom.dcmread(path) for path in sorted(SERIES.iterdir())]
ORIENTATION = np.array(HEADS[0].ImageOrientationPatient, float).reshape(2, 3)
NORMAL = np.cross(*ORIENTATION)
HEADS.sort(key=lambda head: np.dot(NORMAL, np.array(head.ImagePositionPatient, float)))
POSITIONS = np.array([head.ImagePositionPatient for head in HEADS], float)
ROWS, COLUMNS, SLICES = HEADS[0].Rows, HEADS[0].Columns, len(HEADS)
DY, DX = map(float, HEADS[0].PixelSpacing)
EXPECTED = []


def world(points, k):
    return POSITIONS[k] + np.outer(points[:, 0] * DX, ORIENTATION[0]) + np.outer(points[:, 1] * DY, ORIENTATION[1])


def inside(polygons):
    """Even-odd by counting crossings of a ray to the right, and centres near a line, for all voxels of a slice."""
    x, y = np.meshgrid(np.arange(COLUMNS, dtype=float), np.arange(ROWS, dtype=float))
    odd, near = np.zeros(x.shape, bool), np.zeros(x.shape, bool)
    for polygon in polygons:
        for (x0, y0), (x1, y1) in zip(polygon, np.roll(polygon, -1, 0)):
            if y0 != y1:
                crosses = (y0 > y) != (y1 > y)
                odd ^= crosses & (x < x0 + (y - y0) * (x1 - x0) / (y1 - y0))
            dx, dy = x1 - x0, y1 - y0
            along = np.clip(((x - x0) * dx + (y - y0) * dy) / max(dx * dx + dy * dy, 1e-30), 0, 1)
            near |= np.hypot(x - x0 - along * dx, y - y0 - along * dy) < 2e-3
    return np.where(near, 2, odd).astype("u1")


def expect(name, selector, mask, kind):
    raw = f"{len(EXPECTED)}.u8"
    mask.astype("u1").tofile(FOLDER / raw)
    EXPECTED.append({"file": name, "selector": selector, "mask": raw, "kind": kind})


def circle(x, y, radius, points=180):
    angle = np.linspace(0, 2 * np.pi, points, endpoint=False)
    return np.column_stack([x + radius * np.cos(angle), y + radius * np.sin(angle)])


def structure_set(name, rois):
    """rois: name -> {slice: [polygons in pixels]}"""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID = ExplicitVRLittleEndian, "1.2.840.10008.5.1.4.1.1.481.3"
    meta.MediaStorageSOPInstanceUID = generate_uid()
    data = Dataset()
    data.file_meta, data.Modality, data.SOPClassUID = meta, "RTSTRUCT", meta.MediaStorageSOPClassUID
    data.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    data.StructureSetROISequence, data.ROIContourSequence = [], []
    for number, (label, slices) in enumerate(rois.items(), 1):
        roi, drawn = Dataset(), Dataset()
        roi.ROINumber, roi.ROIName, drawn.ReferencedROINumber = number, label, number
        roi.ReferencedFrameOfReferenceUID = HEADS[0].FrameOfReferenceUID
        drawn.ContourSequence = []
        mask = np.zeros((SLICES, ROWS, COLUMNS), "u1")
        known = {}
        for k, polygons in slices.items():
            key = b"".join(polygon.tobytes() for polygon in polygons)
            mask[k] = known[key] = known[key] if key in known else inside(polygons)
            for polygon in polygons:
                contour = Dataset()
                contour.ContourGeometricType, contour.NumberOfContourPoints = "CLOSED_PLANAR", len(polygon)
                contour.ContourData = [f"{value:.10g}" for value in world(polygon, k).ravel()]
                drawn.ContourSequence.append(contour)
        data.StructureSetROISequence.append(roi)
        data.ROIContourSequence.append(drawn)
        expect(name, label, mask, "contours")
    data.save_as(FOLDER / name, enforce_file_format=True)


def packed_segmentation(name, masks):
    """A binary segmentation whose frames begin inside bytes, positions in reverse order, empty frames left out."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID = ExplicitVRLittleEndian, "1.2.840.10008.5.1.4.1.1.66.4"
    meta.MediaStorageSOPInstanceUID = generate_uid()
    data = Dataset()
    data.file_meta, data.Modality, data.SOPClassUID = meta, "SEG", meta.MediaStorageSOPClassUID
    data.SOPInstanceUID, data.SeriesInstanceUID = meta.MediaStorageSOPInstanceUID, generate_uid()
    data.FrameOfReferenceUID = HEADS[0].FrameOfReferenceUID
    data.SegmentationType, data.BitsAllocated, data.BitsStored, data.HighBit = "BINARY", 1, 1, 0
    data.SamplesPerPixel, data.PhotometricInterpretation, data.PixelRepresentation = 1, "MONOCHROME2", 0
    low, high = 5, 46
    data.Rows, data.Columns = high - low, high - low
    shared, orientation, measures = Dataset(), Dataset(), Dataset()
    orientation.ImageOrientationPatient = HEADS[0].ImageOrientationPatient
    measures.PixelSpacing, measures.SliceThickness = HEADS[0].PixelSpacing, 1
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = [orientation], [measures]
    data.SharedFunctionalGroupsSequence, data.PerFrameFunctionalGroupsSequence = [shared], []
    data.SegmentSequence, frames = [], []
    for number, mask in enumerate(masks, 1):
        segment, code = Dataset(), Dataset()
        code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "10200004", "SCT", "Liver"
        segment.SegmentNumber, segment.SegmentLabel = number, f"part {number}"
        segment.SegmentedPropertyTypeCodeSequence = [code]
        data.SegmentSequence.append(segment)
        for k in reversed(range(SLICES)):
            if mask[k].any():
                frames.append(mask[k, low:high, low:high])
                group, position, which = Dataset(), Dataset(), Dataset()
                position.ImagePositionPatient = [f"{v:.10g}" for v in world(np.array([[low, low]]), k)[0]]
                which.ReferencedSegmentNumber = number
                group.PlanePositionSequence, group.SegmentIdentificationSequence = [position], [which]
                data.PerFrameFunctionalGroupsSequence.append(group)
        expect(name, number, mask, "segments")
    data.NumberOfFrames = len(frames)
    bits = np.packbits(np.concatenate([frame.ravel() for frame in frames]), bitorder="little").tobytes()
    data.PixelData = bits + b"\0" * (len(bits) % 2)
    data.save_as(FOLDER / name, enforce_file_format=True)


def by_highdicom(masks):
    try:
        import highdicom as hd
        from pydicom.sr.codedict import codes
    except ImportError:
        print("left out: highdicom is missing")
        return
    described = [
        hd.seg.SegmentDescription(
            number, f"hd {number}", codes.SCT.Tissue, codes.SCT.Liver, hd.seg.SegmentAlgorithmTypeValues.MANUAL
        )
        for number in range(1, len(masks) + 1)
    ]
    stacked = np.stack(masks, -1)
    rows = [("BINARY", stacked.astype(bool), None), ("FRACTIONAL", stacked.astype(float), None)]
    rows += [("FRACTIONAL", stacked.astype(float), pydicom.uid.RLELossless)]
    if hasattr(hd.seg.SegmentationTypeValues, "LABELMAP"):
        labels = np.zeros(masks[0].shape, "u1")
        for number, mask in enumerate(masks, 1):
            labels[mask > 0] = number
        rows += [("LABELMAP", labels, None), ("LABELMAP", labels, pydicom.uid.RLELossless)]
    for kind, pixels, syntax in rows:
        extra = {} if syntax is None else {"transfer_syntax_uid": syntax}
        made = hd.seg.Segmentation(
            HEADS, pixels, getattr(hd.seg.SegmentationTypeValues, kind), described, generate_uid(), 1, generate_uid(), 1,
            "maker", "model", "1", "1", **extra,
        )
        name = f"hd-{kind}-{'plain' if syntax is None else 'packed'}.dcm"
        made.save_as(FOLDER / name)
        for number, mask in enumerate(masks, 1):
            found = (labels == number) if kind == "LABELMAP" else mask
            expect(name, number, found, "segments")


def by_rt_utils(mask):
    try:
        from rt_utils import RTStructBuilder
    except ImportError:
        print("left out: rt_utils is missing")
        return
    made = RTStructBuilder.create_new(dicom_series_path=str(SERIES))
    made.add_roi(mask=np.moveaxis(mask, 0, -1).astype(bool), name="ring")
    made.save(str(FOLDER / "rt-utils.dcm"))
    expect("rt-utils.dcm", "ring", mask, "rt-utils")


def main():
    rng = np.random.default_rng(1)
    middle = SLICES // 2
    outer, hole = circle(25.3, 22.7, 14.2), circle(24.1, 23.3, 6.4)
    keyhole = np.vstack([outer, outer[:1], hole[::-1], hole[-1:]])
    angle = np.sort(rng.uniform(0, 2 * np.pi, 60))
    star = np.column_stack([25 + rng.uniform(3, 15, 60) * np.cos(angle), 25 + rng.uniform(3, 15, 60) * np.sin(angle)])
    every = range(SLICES)
    structure_set(
        "drawn.dcm",
        {
            "disc": {k: [circle(25.3, 22.7, 14.2)] for k in every},
            "ring": {k: [outer, hole] for k in every},
            "island": {middle: [outer, hole, circle(24, 23, 3.1)]},
            "keyhole": {k: [keyhole] for k in every},
            "star": {0: [star], SLICES - 1: [star[::-1]]},
            "two": {k: [circle(15, 15, 5.5), circle(33, 30, 7.5)] for k in every[::2]},
        },
    )
    masks = np.zeros((3, SLICES, ROWS, COLUMNS), "u1")
    masks[0, : middle + 1, 10:31, 12:27] = 1
    masks[1, middle - 1 :, 28:40, 20:33] = 1
    masks[2, 0, 33:44, 30:45] = masks[2, SLICES - 1, 7:9, 7:20] = 1
    masks[2] &= ~masks[0] & ~masks[1] & 1
    masks[1] &= ~masks[0] & 1
    packed_segmentation("packed.dcm", masks)
    by_highdicom(list(masks))
    ring = np.zeros((SLICES, ROWS, COLUMNS), "u1")
    ring[1:-1, 8:40, 9:38] = 1
    ring[1:-1, 18:28, 15:30] = 0
    by_rt_utils(ring)
    (FOLDER / "expected.json").write_text(json.dumps(EXPECTED))


main()
