"""Times what intensity.rs does with SimpleITK and scikit-image, on the same head: python intensity.py

Best of three (bias field: once), in seconds, with as many threads as there are cores.
"""

import time

import numpy as np
import SimpleITK as sitk

K, J, I = np.ogrid[:256, :256, :256]


def head(subject):
    distance = ((2 * I - 255) ** 2 + (2 * J - 255) ** 2 + (2 * K - 255) ** 2) // 100
    shell = np.where(distance < 150, 110, np.where(distance < 300, 70, 30))
    noise = (I * 7919 + J * 104729 + K * 1299709 + subject * 15485863) % 1009 % 97
    value = shell * (3 * I + 2 * J + K + 1500) * (subject + 3) // 256 + noise + 8
    return np.where(distance < 500, value, 0).astype(np.float32) / 8


def timed(name, work, repeats=3):
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        result = work()
        times.append(time.perf_counter() - start)
    print(f"{name}: {min(times):.3f} s", flush=True)
    return result


def bias_field(source, mask, shrink, iterations):
    small, small_mask = (sitk.Shrink(image, [shrink] * 3) for image in (source, mask))
    n4 = sitk.N4BiasFieldCorrectionImageFilter()
    n4.SetMaximumNumberOfIterations(iterations)
    n4.SetConvergenceThreshold(0.0)
    n4.Execute(small, small_mask)
    return source / sitk.Exp(n4.GetLogBiasFieldAsImage(source))


source, reference = (sitk.GetImageFromArray(head(subject)) for subject in (1, 4))
mask = source > 0
for bins, points in [(256, 7), (1024, 15)]:
    timed(f"histogram {bins} {points}", lambda: sitk.HistogramMatching(source, reference, bins, points, True))
try:
    from skimage.exposure import match_histograms

    arrays = head(1), head(4)
    timed("scikit-image match_histograms", lambda: match_histograms(*arrays), 1)
    inside = arrays[0][arrays[0] > 0]
    timed("numpy percentiles 1, 10, ..., 99", lambda: np.percentile(inside, [1, *range(10, 100, 10), 99]), 1)
except ImportError:
    print("skipped: no scikit-image")
timed("n4 shrink 4", lambda: bias_field(source, mask, 4, [50, 50, 30, 20]), 1)
timed("n4 shrink 2, 10 iterations", lambda: bias_field(source, mask, 2, [10]), 1)
