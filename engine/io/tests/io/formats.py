"""Images that SimpleITK writes, and what it reads of ours.

    formats.py make DIR     writes images and, in DIR/expected.json, what they hold
    formats.py check DIR    reads the images named in DIR/ours.json and compares
"""

import json
import pathlib
import sys

import numpy as np
import SimpleITK as sitk

TYPES = ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64"]


def phantom(dtype, seed=0):
    low, high = (-100, 100) if dtype.startswith(("int", "float")) else (0, 200)
    values = np.random.default_rng(seed).integers(low, high, (4, 5, 6))
    return (values * 0.25 if dtype.startswith("float") else values).astype(dtype)


def oblique(image):
    a, b = np.deg2rad(20), np.deg2rad(-35)
    turn = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    lean = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    image.SetDirection((turn @ lean).ravel().tolist())
    image.SetSpacing((0.7, 0.9, 2.5))
    image.SetOrigin((-31.25, 12.5, 400.125))
    return image


def affine(image):
    direction = np.array(image.GetDirection()).reshape(image.GetDimension(), -1)[:3, :3]
    matrix = direction * np.array(image.GetSpacing()[:3])
    return np.column_stack([matrix, image.GetOrigin()[:3]])


class Maker:
    def __init__(self, folder):
        self.folder, self.expected = folder, []

    def expect(self, name, matrix, volumes):
        for index, voxels in enumerate(volumes):
            raw = f"{name}.{index}.f32"
            voxels.astype("<f4").tofile(self.folder / raw)
            size = list(voxels.shape[::-1])
            row = {"file": name, "volume": index, "volumes": len(volumes), "size": size, "voxels": raw}
            self.expected.append(row | {"affine": None if matrix is None else np.asarray(matrix).tolist()})

    def image(self, name, image, compressed):
        sitk.WriteImage(image, str(self.folder / name), useCompression=compressed)
        self.expect(name, affine(image), [sitk.GetArrayFromImage(image)])


def make(folder):
    maker = Maker(folder)
    for dtype in TYPES:
        image = oblique(sitk.GetImageFromArray(phantom(dtype)))
        for ending in ["nrrd", "nhdr", "mha", "mhd"]:
            for compressed in [False, True]:
                maker.image(f"{dtype}-{int(compressed)}.{ending}", image, compressed)
    vector = phantom("int16", 3), phantom("int16", 4)
    joined = oblique(sitk.GetImageFromArray(np.stack(vector, -1), isVector=True))
    for ending in ["nrrd", "mha"]:
        sitk.WriteImage(joined, str(folder / f"vector.{ending}"))
        maker.expect(f"vector.{ending}", affine(joined), vector)
    four = sitk.JoinSeries([oblique(sitk.GetImageFromArray(voxels)) for voxels in vector])
    for ending in ["nrrd", "mha"]:
        sitk.WriteImage(four, str(folder / f"four.{ending}"))
        maker.expect(f"four.{ending}", affine(four), vector)

    voxels = phantom("int16", 7)
    head = "NRRD0004\n# a comment\ntype: short\ndimension: 3\nsizes: 6 5 4\nencoding: {}\nendian: big\n"
    for space, flip in [("right-anterior-superior", (-1, -1, 1)), ("LAS", (1, -1, 1)), ("LPS", (1, 1, 1))]:
        text = head.format("raw") + f"space: {space}\nspace directions: (0.5,0,0) (0,0,-2) (0,3,0)\n"
        text += "space origin: (10,20,30)\n\n"
        (folder / f"{space}.nrrd").write_bytes(text.encode() + voxels.astype(">i2").tobytes())
        columns = np.array([[0.5, 0, 0, 10], [0, 0, 3, 20], [0, -2, 0, 30]])
        maker.expect(f"{space}.nrrd", columns * np.array(flip)[:, None], [voxels])
    text = head.format("ascii") + "spacings: 1 2 3\n\n" + " ".join(str(v) for v in voxels.ravel()) + "\n"
    (folder / "text.nrrd").write_text(text)
    maker.expect("text.nrrd", np.diag([1.0, 2, 3, 1])[:3], [voxels])
    for index, one in enumerate(voxels):
        one.astype("<i2").tofile(folder / f"slice{index + 1:02d}.raw")
    little = head.format("raw").replace("big", "little") + "spacings: 1 2 3\n"
    (folder / "pattern.nhdr").write_text(little + "data file: slice%02d.raw 1 4 1\n")
    (folder / "list.nhdr").write_text(little + "data file: LIST\n" + "".join(f"slice{i:02d}.raw\n" for i in range(1, 5)))
    (folder / "skip.raw").write_bytes(b"one line\nand another\nxyz" + voxels.astype("<i2").tobytes())
    (folder / "skip.nhdr").write_text(little + "line skip: 2\nbyte skip: 3\ndata file: skip.raw\n")
    (folder / "end.nhdr").write_text(little + "byte skip: -1\ndata file: ./skip.raw\n")
    for name in ["pattern.nhdr", "list.nhdr", "skip.nhdr", "end.nhdr"]:
        maker.expect(name, np.diag([1.0, 2, 3, 1])[:3], [voxels])
    meta = "ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = {}\nDimSize = 6 5 4\n"
    meta += "ElementType = MET_SHORT\nElementSpacing = 1 2 3\nOffset = 4 5 6\nTransformMatrix = 0 1 0 -1 0 0 0 0 1\n"
    matrix = [[0, -2, 0, 4], [1, 0, 0, 5], [0, 0, 3, 6]]
    voxels.astype(">i2").tofile(folder / "big.raw")
    for name, order, data in [
        ("big.mhd", True, "big.raw"),
        ("pattern.mhd", False, "slice%02d.raw 1 4 1"),
        ("list.mhd", False, "LIST\n" + "\n".join(f"slice{i:02d}.raw" for i in range(1, 5))),
    ]:
        (folder / name).write_text(meta.format(order) + f"ElementDataFile = {data}\n")
        image = sitk.ReadImage(str(folder / name))
        assert np.allclose(affine(image), matrix) and (sitk.GetArrayFromImage(image) == voxels).all(), name
        maker.expect(name, matrix, [voxels])

    for dtype, high in [("uint8", 255), ("uint16", 65535)]:
        flat = np.random.default_rng(5).integers(0, high, (7, 9)).astype(dtype)
        for ending in ["png", "tif"]:
            sitk.WriteImage(sitk.GetImageFromArray(flat), str(folder / f"{dtype}.{ending}"))
            maker.expect(f"{dtype}.{ending}", None, [flat[None]])
    for dtype in ["uint8", "uint16", "int16", "float32"]:
        sitk.WriteImage(sitk.GetImageFromArray(phantom(dtype)), str(folder / f"pages-{dtype}.tif"))
        maker.expect(f"pages-{dtype}.tif", None, [phantom(dtype)])
    (folder / "expected.json").write_text(json.dumps(maker.expected))


def check(folder):
    for row in json.loads((folder / "ours.json").read_text()):
        image = sitk.ReadImage(str(folder / row["file"]))
        found = sitk.GetArrayFromImage(image).astype("f8").ravel() * row["slope"] + row["intercept"]
        expected = np.fromfile(folder / row["voxels"], "<f4")
        off = np.abs(found - expected).max()
        assert off <= row["tolerance"], f"{row['file']}: voxels off by {off}"
        if row["affine"] is not None:
            off = np.abs(affine(image) - np.array(row["affine"])).max()
            assert off <= 1e-6, f"{row['file']}: affine off by {off}"
        print(f"{row['file']}: {image.GetPixelIDTypeAsString()} as expected")


if __name__ == "__main__":
    {"make": make, "check": check}[sys.argv[1]](pathlib.Path(sys.argv[2]))
