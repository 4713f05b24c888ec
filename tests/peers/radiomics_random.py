"""Random small images, regions and settings: Isoscan's radiomics beside PyRadiomics'.

    cargo build --release -p isoscan-radiomics --example case
    python -P tests/peers/radiomics_random.py target/release/examples/case FIRST_SEED COUNT [features|maps]

`-P` keeps `radiomics.py` beside this file from standing in for PyRadiomics, which must be 3.1.0 with numpy < 2 and what
its filters import. Every case follows from its seed. A value agrees
within 1e-9 relative and 1e-12 absolute, roots of eigenvalues before the root; features of derived images (float32) may differ by 2e-4 where a voxel lies on a
bin edge and are counted apart.
"""

import collections
import json
import subprocess
import sys
import warnings

import numpy as np
import radiomics
import SimpleITK as sitk
from radiomics import featureextractor

warnings.simplefilter("ignore")
radiomics.setVerbosity(60)

FAMILIES = ["firstorder", "glcm", "glrlm", "glszm", "gldm", "ngtdm"]
WINDOWS = ["Hamming", "Cosine", "Welch", "Lanczos", "Blackman"]
INTERPOLATORS = ["sitkNearestNeighbor", "sitkLinear", "sitkBSpline", "sitkGaussian", "sitkLabelGaussian"]
INTERPOLATORS += [f"sitk{window}WindowedSinc" for window in WINDOWS]
# Roots of eigenvalues, of which rounding of 1e-16 makes 1e-8; a region in a plane has one of 0.
ROOTS = ("AxisLength", "Elongation", "Flatness", "_MCC")


def image_of(rng):
    size = [int(n) for n in rng.integers(4, 14, 3)]
    shape = size[::-1]
    kind = rng.choice(["levels", "smooth", "noise"])
    if kind == "levels":
        values = rng.integers(0, rng.integers(2, 12), shape) * 25.0
    else:
        values = rng.normal(0, 1, shape)
        if kind == "smooth":
            for axis in range(3):
                values = values + np.roll(values, 1, axis) + np.roll(values, -1, axis)
        values = values * rng.choice([3.0, 40.0, 300.0]) + rng.choice([0.0, 100.0, -500.0])
    stored = str(rng.choice(["int16", "uint8", "float32", "float64", "int32"]))
    if stored == "uint8":
        values = np.clip(values, 0, 255)
    return values.astype(stored if stored != "float64" else "float32").astype(stored), stored


def region_of(rng, shape):
    kind = rng.choice(["box", "ellipsoid", "scatter", "slice", "few", "all"])
    region = np.zeros(shape, bool)
    z, y, x = np.indices(shape)
    if kind == "box":
        low = [rng.integers(0, n) for n in shape]
        high = [rng.integers(a, n) + 1 for a, n in zip(low, shape)]
        region[low[0] : high[0], low[1] : high[1], low[2] : high[2]] = True
    elif kind == "ellipsoid":
        r = [(c - (n - 1) / 2) / (n / 2) for c, n in zip((z, y, x), shape)]
        region = sum(c * c for c in r) < rng.uniform(0.3, 1.2)
    elif kind == "scatter":
        region = rng.random(shape) < rng.uniform(0.05, 0.8)
    elif kind == "slice":
        axis = int(rng.integers(0, 3))
        region = (np.indices(shape)[axis] == rng.integers(0, shape[axis])) & (rng.random(shape) < 0.8)
    elif kind == "few":
        for _ in range(int(rng.integers(1, 6))):
            region[tuple(rng.integers(0, n) for n in shape)] = True
    else:
        region[:] = True
    return region


def settings_of(rng, stored, with_maps):
    setting = {"minimumROIDimensions": int(rng.integers(1, 4))}
    chance = lambda p: rng.random() < p
    if chance(0.3):
        setting["binCount"] = int(rng.integers(2, 40))
    else:
        setting["binWidth"] = float(rng.choice([25.0, 10.0, 3.7, 0.5 if not with_maps else 12.5]))
    if chance(0.3):
        setting["force2D"] = True
        setting["force2Ddimension"] = int(rng.integers(0, 3))
    if chance(0.25):
        setting["distances"] = [int(d) for d in sorted(rng.choice([1, 2, 3], rng.integers(1, 3), False))]
    if chance(0.2):
        setting["symmetricalGLCM"] = False
    if chance(0.2):
        setting["weightingNorm"] = str(rng.choice(["manhattan", "euclidean", "infinity", "no_weighting"]))
    if chance(0.2):
        setting["gldm_a"] = int(rng.integers(0, 4))
    if chance(0.2):
        setting["voxelArrayShift"] = int(rng.integers(-500, 500))
    if chance(0.2):
        setting["normalize"] = True
        setting["normalizeScale"] = float(rng.choice([1, 100]))
        setting["binWidth"] = 0.25 * setting["normalizeScale"]
        if chance(0.5):
            setting["removeOutliers"] = float(rng.choice([1.0, 2.0, 3.0]))
    if chance(0.2):
        setting["resampledPixelSpacing"] = [float(s) for s in rng.choice([0, 1.0, 1.3, 2.0], 3)]
        setting["interpolator"] = str(rng.choice(INTERPOLATORS))
        setting["padDistance"] = int(rng.integers(0, 7))
    elif chance(0.1):
        setting["preCrop"] = True
        setting["padDistance"] = int(rng.integers(0, 7))
    if chance(0.2):
        mode = str(rng.choice(["absolute", "relative", "sigma"]))
        ranges = {"absolute": [[0, 200], [50], [-100.0, 60.5]], "relative": [[0.2, 0.9], [0.5]], "sigma": [[-1, 1], [-2.5, 2]]}
        setting["resegmentMode"] = mode
        setting["resegmentRange"] = ranges[mode][int(rng.integers(0, len(ranges[mode])))]
        setting["resegmentShape"] = bool(chance(0.5))
    types = {"Original": {}}
    if not with_maps or chance(0.2):
        for name, own, p in [
            ("LoG", {"sigma": [float(rng.choice([1.0, 2.0]))]}, 0.1),
            ("Wavelet", {"wavelet": str(rng.choice(["haar", "coif1", "db2", "bior1.3"]))}, 0.1),
            ("Square", {}, 0.1),
            ("SquareRoot", {"binWidth": 5.0}, 0.1),
            ("Logarithm", {}, 0.1),
            ("Exponential", {}, 0.1),
            ("Gradient", {"gradientUseSpacing": bool(chance(0.5))}, 0.1),
        ]:
            if chance(p):
                types[name] = own
    return setting, types


def theirs(image, region, spacing, setting, types, classes, voxel):
    i, m = sitk.GetImageFromArray(image), sitk.GetImageFromArray(region.astype(np.uint8))
    i.SetSpacing(spacing)
    m.SetSpacing(spacing)
    extractor = featureextractor.RadiomicsFeatureExtractor(
        {"setting": setting, "imageType": types, "featureClass": {c: None for c in classes}, **({"voxelSetting": voxel} if voxel else {})}
    )
    with np.errstate(all="ignore"):
        result = extractor.execute(i, m, voxelBased=bool(voxel))
    return {k: v for k, v in result.items() if not k.startswith("diagnostics_")}


def agrees(name, a, b):
    if name.endswith(ROOTS):
        a, b = np.square(a), np.square(b)
    return np.abs(a - b) <= 1e-9 * np.abs(b) + 1e-12


def compare_features(ours, expected, report):
    for name, value in expected.items():
        value = float(value)
        found = ours.get(name, "absent")
        found = float("nan") if found is None else found
        original = name.startswith("original_")
        if found == "absent":
            report(name, "absent", value)
        elif np.isnan(value) != np.isnan(found):
            report(name, found, value)
        elif not np.isnan(value) and not agrees(name, found, value):
            if original or abs(found - value) > 2e-4 * abs(value):
                report(name, found, value)
            else:
                yield name
    for name in ours.keys() - expected.keys():
        report(name, ours[name], "absent")


def compare_maps(answer, expected, report):
    nx, ny, nz = answer["size"]
    for name, image in expected.items():
        reference = sitk.GetArrayFromImage(image)
        if name not in answer["maps"]:
            report(name, "absent", "a map")
            continue
        found = np.array([np.nan if v is None else v for v in answer["maps"][name]], float).reshape(nz, ny, nx)
        if found.shape != reference.shape or not np.allclose(answer["origin"], image.GetOrigin()):
            report(name, found.shape, reference.shape)
            continue
        known = ~np.isnan(reference)
        if np.all(np.isnan(reference) | (reference == -7)) and name.endswith("_MCC"):
            yield name
            continue
        wrong = known & ~agrees(name, found, reference)
        missing = ~known & ~np.isnan(found)
        if wrong.any():
            at = tuple(np.argwhere(wrong)[0])
            report(name, f"{found[at]!r} at {at}, {wrong.sum()} voxels", reference[at])
        elif missing.any() and not name.endswith("_JointAverage"):
            report(name, f"numbers in {missing.sum()} voxels", "nan")
        elif missing.any():
            yield name


def main():
    program, first, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    mode = sys.argv[4] if len(sys.argv) > 4 else "features"
    process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    tally = collections.Counter()
    for seed in range(first, first + count):
        rng = np.random.default_rng(seed)
        image, stored = image_of(rng)
        region = region_of(rng, image.shape)
        spacing = [float(s) for s in rng.choice([0.8, 1.0, 1.5, 2.5, 3.0], 3)]
        with_maps = mode == "maps"
        setting, types = settings_of(rng, stored, with_maps)
        classes = FAMILIES if with_maps else ["shape"] + FAMILIES
        voxel = None
        if with_maps:
            voxel = {"kernelRadius": int(rng.integers(1, 3)), "maskedKernel": bool(rng.random() < 0.6), "initValue": -7}
        case = {
            "size": list(image.shape[::-1]),
            "spacing": spacing,
            "image": [float(v) for v in image.ravel()],
            "mask": [int(v) for v in region.ravel()],
            "maps": with_maps,
            "settings": {
                "setting": {**setting, "storedType": stored},
                "imageType": types,
                "featureClass": {c: None for c in classes},
                **({"voxelSetting": voxel} if voxel else {}),
            },
        }
        process.stdin.write(json.dumps(case) + "\n")
        process.stdin.flush()
        answer = json.loads(process.stdout.readline())
        try:
            expected = theirs(image, region, spacing, setting, types, classes, voxel)
        except Exception as error:
            tally["refused by both" if "error" in answer else "refused by PyRadiomics alone"] += 1
            if "error" not in answer:
                print(f"seed {seed}: PyRadiomics refuses: {type(error).__name__} {str(error)[:150]}\n    {setting} {list(types)}")
            continue
        tally["cases"] += 1
        if "error" in answer:
            tally["refused by Isoscan alone"] += 1
            print(f"seed {seed}: Isoscan refuses: {answer['error']}\n    {setting} {list(types)}")
            continue
        wrong = []
        report = lambda name, found, value: wrong.append(f"{name}: {found}, expected {value}")
        compare = compare_maps if with_maps else compare_features
        tally["near"] += len(list(compare(answer if with_maps else answer["features"], expected, report)))
        tally["values"] += len(expected)
        tally["wrong"] += len(wrong)
        if wrong:
            tally["cases with a difference"] += 1
            print(f"seed {seed}: {len(wrong)} of {len(expected)} differ; {stored} {image.shape} {setting} {types} {voxel}")
            print("    " + "\n    ".join(wrong[:6]))
    process.stdin.close()
    print(dict(tally))


main()
