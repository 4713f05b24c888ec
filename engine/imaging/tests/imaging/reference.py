"""Writes reference.json: what SimpleITK, SciPy, PyWavelets and scikit-image make of two small volumes.

Needs: pip install SimpleITK scipy PyWavelets scikit-image
The volumes are formulas, so that the tests can make them too. Of every result only each 11th voxel (x fastest) is kept.
"""

import json
import pathlib

import numpy as np
import pywt
import scipy
import scipy.ndimage as ndi
import SimpleITK as sitk
import skimage
from skimage.filters import threshold_multiotsu

SIZE = (15, 12, 12)
SPACING = (0.8, 1.0, 2.0)
STEP = 11


def grid():
    k, j, i = np.meshgrid(*[np.arange(n) for n in SIZE[::-1]], indexing="ij")
    return i, j, k


def grey():
    i, j, k = grid()
    return ((7 * i * i + 13 * j + 29 * k + 3 * i * j * k) % 101 + 5 * i).astype(np.float64)


def region():
    i, j, k = grid()
    return (i * 5 + j * 3 + k * 7 + i * j) % 11 < 4


def smooth():
    i, j, k = grid()
    return np.round(50 * np.sin(i / 3.0) + 40 * np.cos(j / 4.0 + 0.3) + 30 * np.sin(k / 2.0)).astype(np.float64)


def labels():
    i, j, k = grid()
    return ((i // 5 + j // 4 + k // 4) % 4 * 3).astype(np.float64)


def image(array, kind=np.float32):
    made = sitk.GetImageFromArray(array.astype(kind))
    made.SetSpacing(SPACING)
    return made


def resampled(array, way, oblique):
    target = sitk.Image([11, 9, 8], sitk.sitkFloat32)
    target.SetSpacing((0.7, 0.9, 1.3))
    target.SetOrigin((2.1, 1.7, 3.9))
    if oblique:
        c, s = np.cos(0.2), np.sin(0.2)
        target.SetDirection((c, -s, 0, s, c, 0, 0, 0, 1))
    made = sitk.Resample(image(array), target, sitk.Transform(), way, 0.0)
    return sitk.GetArrayFromImage(made)


def kept(array):
    return [float(f"{v:.8g}") for v in np.asarray(array, dtype=np.float64).ravel()[::STEP]]


def ball(radius_mm):
    reach = [int(radius_mm / s) for s in SPACING]
    k, j, i = np.meshgrid(*[np.arange(-r, r + 1) for r in reach[::-1]], indexing="ij")
    return sum((n * s) ** 2 for n, s in zip((i, j, k), SPACING)) <= radius_mm**2 * (1 + 1e-9)


def non_local_means(a, search, h, sigma):
    """As documented by the Rust function, patches of 27 voxels."""
    margin, n = search + 1, a.shape
    frame = np.pad(a, margin, mode="reflect")

    def shifted(z, y, x):
        first = (margin + z, margin + y, margin + x)
        return frame[tuple(slice(f, f + size) for f, size in zip(first, n))]

    total, weights = np.zeros(n), np.zeros(n)
    box = [(z, y, x) for z in range(-search, search + 1) for y in range(-search, search + 1)
           for x in range(-search, search + 1)]
    patch = [p for p in box if max(map(abs, p)) <= 1]
    for z, y, x in box:
        d = sum((shifted(*p) - shifted(p[0] + z, p[1] + y, p[2] + x)) ** 2 for p in patch) / 27
        exponent = np.maximum(d - 2 * sigma**2, 0) / h**2
        weight = np.where(exponent <= 5, np.exp(-exponent), 0)
        total, weights = total + weight * shifted(z, y, x), weights + weight
    return total / weights


def main():
    a, m = grey(), region()
    zyx = SPACING[::-1]
    found = {
        "gaussian_1p2": kept(ndi.gaussian_filter(a, [1.2 / s for s in zyx], mode="nearest")),
        "median_1": kept(sitk.GetArrayFromImage(sitk.Median(image(a), [1, 1, 1]))),
        "median_2_1_0": kept(ndi.median_filter(a, size=(1, 3, 5), mode="nearest")),
        "bilateral_1_30": kept(sitk.GetArrayFromImage(sitk.Bilateral(image(a), 1.0, 30.0, 1000))),
        "nlm_1_2": kept(non_local_means(a, 2, 12.0, 15.0)),
        "gradient_x": kept(np.gradient(a, *zyx)[2]),
        "gradient_z": kept(np.gradient(a, *zyx)[0]),
        "gradient_magnitude": kept(sitk.GetArrayFromImage(sitk.GradientMagnitude(image(a)))),
        "grey_dilate_2": kept(ndi.grey_dilation(a, footprint=ball(2.0), mode="constant", cval=-np.inf)),
        "grey_erode_2": kept(ndi.grey_erosion(a, footprint=ball(2.0), mode="constant", cval=np.inf)),
        "distance": kept(ndi.distance_transform_edt(~m, sampling=zyx)),
        "signed_distance": kept(ndi.distance_transform_edt(~m, sampling=zyx)
                                - ndi.distance_transform_edt(m, sampling=zyx)),
        "signed_maurer": kept(sitk.GetArrayFromImage(
            sitk.SignedMaurerDistanceMap(image(m, np.uint8), squaredDistance=False, useImageSpacing=True))),
    }
    for sigma in (1.0, 2.5):
        made = sitk.LaplacianRecursiveGaussian(image(a), sigma=sigma, normalizeAcrossScale=True)
        found[f"log_{sigma}"] = kept(sitk.GetArrayFromImage(made))
    for name, level in (("haar", 1), ("coif1", 1), ("db4", 1), ("sym5", 2)):
        data = np.pad(a, [(0, n % 2) for n in a.shape], "wrap")
        for below in range(level - 1):
            data = pywt.swtn(data, name, level=1, start_level=below, axes=[2, 1, 0])[0]["aaa"]
        for band, values in pywt.swtn(data, name, level=1, start_level=level - 1, axes=[2, 1, 0])[0].items():
            cut = values[: a.shape[0], : a.shape[1], : a.shape[2]]
            found[f"wavelet_{name}_{level}_" + band.replace("a", "L").replace("d", "H")] = kept(cut)
    ways = {"nearest": sitk.sitkNearestNeighbor, "linear": sitk.sitkLinear, "bspline": sitk.sitkBSpline,
            "lanczos5": sitk.sitkLanczosWindowedSinc}
    for name, way in ways.items():
        for place in ("aligned", "oblique"):
            found[f"resample_{name}_{place}"] = kept(resampled(smooth(), way, place == "oblique"))
    for place in ("aligned", "oblique"):
        found[f"labels_gaussian_{place}"] = kept(resampled(labels(), sitk.sitkLabelGaussian, place == "oblique"))
    for name, rank in (("faces", 1), ("edges", 2), ("corners", 3)):
        pieces, count = ndi.label(m, ndi.generate_binary_structure(3, rank))
        sizes = sorted(ndi.sum_labels(m, pieces, range(1, count + 1)).astype(int).tolist(), reverse=True)
        found[f"components_{name}"] = sizes
    found["otsu_centres_4"] = [float(v) for v in threshold_multiotsu(a, classes=4, nbins=256)]
    found["filled_cavities"] = [int(ndi.binary_fill_holes(~m).sum())]
    found["made_by"] = f"SimpleITK {sitk.__version__}, SciPy {scipy.__version__}, PyWavelets {pywt.__version__}, " \
        f"scikit-image {skimage.__version__}"
    pathlib.Path(__file__).with_name("reference.json").write_text(json.dumps(found, indent=0).replace(",\n", ",") + "\n")


if __name__ == "__main__":
    main()
