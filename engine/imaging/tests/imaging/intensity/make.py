"""Makes values.json beside this file: what other programs make of small volumes given by a formula.

Needs SimpleITK 2.5, intensity-normalization 3.0 (with scikit-fuzzy), scipy 1.17, and the wheel of torchio 1.2, whose
histogram standardisation is run from its source text so that torch need not be installed:

    pip download --no-deps torchio && python make.py torchio-1.2.1-py3-none-any.whl
"""

import json
import pathlib
import sys
import types
import zipfile

import numpy as np
import SimpleITK as sitk
from intensity_normalization.adapters.images import create_image
from intensity_normalization.domain.models import Modality
from intensity_normalization.normalizers.individual.whitestripe import WhiteStripeNormalizer
from intensity_normalization.normalizers.population.nyul import NyulNormalizer
from scipy.stats import median_abs_deviation

SIZE = (30, 26, 20)
K, J, I = np.meshgrid(np.arange(SIZE[2]), np.arange(SIZE[1]), np.arange(SIZE[0]), indexing="ij")


def distance():
    """Squared distance from the middle, the edge of the head at 400 (integers)."""
    return (2 * I - 29) ** 2 * 400 // 841 + (2 * J - 25) ** 2 * 400 // 625 + (2 * K - 19) ** 2 * 400 // 361


def head(subject):
    """Three tissues in shells, a lump in one corner, noise; multiples of 1/8, 0 outside."""
    d = distance()
    tissue = np.where(d < 150, 110, np.where(d < 280, 70, 30)) + 25 * ((I + 2 * J + 3 * K) % 37 == 0)
    noise = (I * 7919 + J * 104729 + K * 1299709 + subject * 15485863) % 1009 % 97
    bias = 3 * I + 2 * J - K + 200
    return np.where(d < 400, tissue * bias * (subject + 3) // 32 + noise + 8, 0).astype(np.float32) / 8


def mask():
    return distance() < 400


def samples(volume):
    return [float(v) for v in np.asarray(volume, dtype=np.float64).ravel()[:: 389]]


def image(array):
    return sitk.GetImageFromArray(array)


def nyul():
    normalizer = NyulNormalizer()
    heads = [create_image(head(s)) for s in range(3)]
    masks = [create_image(mask().astype(np.float32))] * 3
    normalizer.fit_population(heads, masks)
    other = normalizer.transform(create_image(head(4)), masks[0])
    return {"landmarks": list(normalizer.standard_scale), "head 4": samples(other.get_data())}


def torchio(wheel):
    text = zipfile.ZipFile(wheel).read("torchio/transforms/preprocessing/intensity/histogram_standardization.py").decode()
    scope = {
        "np": np,
        "torch": types.SimpleNamespace(as_tensor=lambda a: a, Tensor=np.ndarray),
        "Sequence": list,
        "DEFAULT_CUTOFF": (0.01, 0.99),
        "STANDARD_RANGE": (0, 100),
    }
    functions = text[text.index("def _standardize_cutoff") : text.index("# train_histogram kept")]
    exec("from __future__ import annotations\n" + functions, scope)
    percentiles = scope["_get_percentiles"]((1.0, 99.0))
    database = np.vstack([np.percentile(head(s)[mask()], percentiles) for s in range(3)])
    landmarks = scope["_get_average_mapping"](database)
    tensor = types.SimpleNamespace(numpy=lambda: head(4))
    whole = scope["_normalize"](tensor, landmarks, mask=np.ones_like(mask()))
    inside = scope["_normalize"](tensor, landmarks, mask=mask())
    used = [0, 1, 2, 4, 5, 6, 7, 8, 10, 11, 12]
    return {
        "percentiles": list(percentiles[used]),
        "landmarks": list(landmarks[used]),
        "head 4": samples(inside),
        "head 4 with background": samples(whole),
    }


def white_stripe():
    result = {}
    for name, modality in [("last", Modality.T1), ("largest", Modality.T2), ("first", Modality.PD)]:
        for width in (0.05, 0.2):
            normalizer = WhiteStripeNormalizer(width=width, modality=modality)
            normalizer.fit(create_image(head(1)))
            mode = normalizer._get_tissue_mode(head(1)[head(1) > 0])
            result[f"{name} {width}"] = {"mode": float(mode), "mean": normalizer.mean, "sd": normalizer.std}
    return result


def robust():
    values = head(1)[mask()].astype(np.float64)
    return {"median": float(np.median(values)), "scale": float(median_abs_deviation(values, scale="normal"))}


def histogram_matching():
    result = {}
    for bins, points, threshold in [(256, 7, True), (64, 15, False), (128, 1, True)]:
        matched = sitk.HistogramMatching(image(head(1)), image(head(5) ** 2 / 64), bins, points, threshold)
        result[f"{bins} {points} {threshold}"] = samples(sitk.GetArrayFromImage(matched))
    return result


def bias_field():
    region = image(mask().astype(np.uint8))
    filter = sitk.N4BiasFieldCorrectionImageFilter()
    filter.SetMaximumNumberOfIterations([10, 8, 6])
    filter.SetConvergenceThreshold(0.0)
    rows = {}
    rows["default"] = (filter.Execute(image(head(1)), region), filter.GetLogBiasFieldAsImage(image(head(1))))
    filter.SetNumberOfControlPoints([5, 4, 6])
    filter.SetNumberOfHistogramBins(120)
    filter.SetBiasFieldFullWidthAtHalfMaximum(0.2)
    filter.SetWienerFilterNoise(0.05)
    rows["settings"] = (filter.Execute(image(head(1)), region), filter.GetLogBiasFieldAsImage(image(head(1))))
    arrays = sitk.GetArrayFromImage
    return {name: {"corrected": samples(arrays(c)), "log field": samples(arrays(f))} for name, (c, f) in rows.items()}


values = {
    "voxel sum of head 1": float(head(1).astype(np.float64).sum()),
    "nyul": nyul(),
    "torchio": torchio(sys.argv[1]),
    "white stripe": white_stripe(),
    "robust z-score": robust(),
    "histogram matching": histogram_matching(),
    "bias field": bias_field(),
}
pathlib.Path(__file__).with_name("values.json").write_text(json.dumps(values, indent=1) + "\n")
