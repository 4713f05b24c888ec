"""The side of the peers in `radiomics.py`, which starts this file with their interpreters. Makes the inputs, or does one
measurement of one peer and prints what `radiomics_timings` prints.

    radiomics_peers.py inputs FOLDER CASES
    radiomics_peers.py PyRadiomics|pictologics|nyxus memory|maps REPEATS SETTINGS IMAGE MASK LIFTED
"""

import importlib.metadata
import json
import pathlib
import resource
import sys
import time

# `radiomics.py` beside this file has the name of PyRadiomics' package.
FOLDER = pathlib.Path(__file__).resolve().parent
sys.path = [folder for folder in sys.path if pathlib.Path(folder).resolve() != FOLDER]


def main(what, *arguments):
    if what == "inputs":
        return inputs(*map(pathlib.Path, arguments))
    operation, repeats, settings, *files = arguments
    work, values, version = PEERS[what](operation, int(repeats), json.loads(settings), *files)
    # The first run compiles and fills caches where a peer does so.
    first = values(work()) if operation == "memory" else {}
    ms = fastest(int(repeats), work)
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"version": f"{what} {version}", "ms": ms, "peak_kib": used, "values": first}))


def fastest(repeats, work):
    best = float("inf")
    for _ in range(repeats):
        begin = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - begin)
    return best * 1e3


def inputs(folder, cases):
    """Every case as NIfTI, made once; for nyxus a copy without negative values."""
    import numpy as np
    import SimpleITK

    folder.mkdir(parents=True, exist_ok=True)

    def write(name, image, mask):
        if (folder / f"{name}.done").exists():
            return
        mask = SimpleITK.Cast(mask == 1, SimpleITK.sitkUInt8)
        voxels = SimpleITK.GetArrayFromImage(image)
        lifted = SimpleITK.GetImageFromArray((voxels - min(int(voxels.min()), 0)).astype(np.uint16))
        lifted.CopyInformation(image)
        for kind, what in [("image", image), ("mask", mask), ("lifted", lifted)]:
            SimpleITK.WriteImage(what, str(folder / f"{name}_{kind}.nii.gz"))
        (folder / f"{name}.done").touch()

    for name in ["brain1", "lung1", "lung2"]:
        files = [cases / f"{name}_image.nrrd", cases / f"{name}_label.nrrd"]
        if all(file.exists() for file in files):
            write(name, *[SimpleITK.ReadImage(str(file)) for file in files])
    if not (folder / "synth_big.done").exists():
        made = [SimpleITK.GetImageFromArray(voxels) for voxels in synthetic(256, 256, 128)]
        for image in made:
            image.SetSpacing([0.8, 0.8, 1.5])
        write("synth_big", *made)


def synthetic(nx, ny, nz):
    """Texture and a lumpy ellipsoid, in whole numbers: the same voxels as `benches/families.rs`."""
    import numpy as np

    z, y, x = np.meshgrid(np.arange(nz), np.arange(ny), np.arange(nx), indexing="ij", sparse=True)
    x, y, z = (axis.astype(np.uint32) for axis in (x, y, z))

    def scatter(x, y, z, seed):
        h = (x * np.uint32(0x9E3779B1)) ^ (y * np.uint32(0x85EBCA77)) ^ (z * np.uint32(0xC2B2AE3D)) ^ np.uint32(seed)
        for shift, factor in [(16, 0x85EBCA6B), (13, 0xC2B2AE35)]:
            h = (h ^ (h >> np.uint32(shift))) * np.uint32(factor)
        return h ^ (h >> np.uint32(16))

    def lattice(bits, seed):
        cell, side = np.uint32(bits), 1 << bits
        low = [axis >> cell for axis in (x, y, z)]
        share = [(axis & np.uint32(side - 1)).astype(np.int64) for axis in (x, y, z)]
        total = 0
        for corner in range(8):
            step = [corner >> axis & 1 for axis in range(3)]
            value = scatter(*[at + np.uint32(s) for at, s in zip(low, step)], seed) & np.uint32(0xFFFF)
            weights = [part if s else side - part for part, s in zip(share, step)]
            total = total + value.astype(np.int64) * weights[0] * weights[1] * weights[2]
        return total >> (3 * bits)

    fine = (scatter(x, y, z, 3) & np.uint32(0xFF)).astype(np.int64)
    image = (lattice(4, 1) * 1100 >> 16) + (lattice(2, 2) * 500 >> 16) + (fine >> 1) - 700
    radius = 0
    for axis, n, half in [(x, nx, nx * 15 // 32), (y, ny, ny * 14 // 32), (z, nz, nz * 18 // 32)]:
        offset = 2 * axis.astype(np.int64) - (n - 1)
        radius = radius + offset * offset * 65536 // (half * half)
    return image.astype(np.int16), (radius < 40000 + (lattice(5, 7) * 3 >> 2)).astype(np.uint8)


def run_pyradiomics(operation, repeats, settings, image, mask, _):
    import logging

    import radiomics
    import SimpleITK
    from radiomics import featureextractor

    logging.getLogger("radiomics").setLevel(logging.ERROR)
    SimpleITK.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    extractor = featureextractor.RadiomicsFeatureExtractor()
    if "imageType" in settings:
        extractor.disableAllImageTypes()
        extractor.enableImageTypes(**settings["imageType"])
    if "featureClass" in settings:
        extractor.disableAllFeatures()
        extractor.enableFeaturesByName(**settings["featureClass"])
    image, mask = SimpleITK.ReadImage(image), SimpleITK.ReadImage(mask)

    def values(result):
        found = {key: float(value) for key, value in result.items() if not key.startswith("diagnostics_")}
        return {key: value if value == value else None for key, value in found.items()}

    return lambda: extractor.execute(image, mask, voxelBased=operation == "maps"), values, radiomics.__version__.lstrip("v")


def run_pictologics(operation, repeats, settings, image, mask, _):
    import dataclasses

    import numpy as np
    import pictologics

    source, region = pictologics.load_image(image), pictologics.load_image(mask)
    voxels, inside = source.array, region.array
    pipeline = pictologics.RadiomicsPipeline(load_standard=False)
    lowest = float(np.floor(voxels[inside > 0].min() / 25) * 25)
    families = ["intensity", "morphology", "texture", "histogram"]
    pipeline.add_config("default", [
        {"step": "discretise", "params": {"method": "FBS", "bin_width": 25, "min_val": lowest}},
        {"step": "extract_features", "params": {"families": families, "include_spatial_intensity": False, "include_local_intensity": False}},
    ])

    def fresh(image):
        return dataclasses.replace(image, array=np.array(image.array, order="C"))

    copies = iter([(fresh(source), fresh(region)) for _ in range(repeats + 1)])

    def work():
        image, mask = next(copies)
        return pipeline.run(image, mask)

    return work, lambda result: {}, importlib.metadata.version("pictologics")


def run_nyxus(operation, repeats, settings, image, mask, lifted):
    import nyxus

    extractor = nyxus.Nyxus3D(["*3D_ALL*"], n_feature_calc_threads=1)
    return lambda: extractor.featurize_files([lifted], [mask], False), lambda result: {}, importlib.metadata.version("nyxus")


PEERS = {"PyRadiomics": run_pyradiomics, "pictologics": run_pictologics, "nyxus": run_nyxus}

if __name__ == "__main__":
    main(*sys.argv[1:])
