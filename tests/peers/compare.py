"""Times Isoscan beside the field's own tools on the same files in the same run, and prints the ratios.

Usage: python3 tests/peers/compare.py [--only NAME,...] [--repeats 3] [--ct FOLDER] [--out results.json]

Everything it needs comes into `target/peers`: a virtual environment with the peers and the inputs. `--ct` names a folder
of one small CT series that the large one is made from; without it a phantom series is. Each measurement runs in a
process of its own, so that its peak memory is known; times are the fastest of the repeats, on all cores for every tool
that uses them.
"""

import argparse
import json
import os
import pathlib
import resource
import shutil
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve()
ROOT = HERE.parents[2]
WORK = ROOT / "target" / "peers"
# How the large CT series is recoded, a slice at a time; a tool that is missing leaves its row out.
RECODED = {
    "rle": ["dcmcrle"],
    "jpeg-lossless": ["dcmcjpeg", "--encode-lossless-sv1"],
    "jpeg-ls": ["dcmcjpls"],
    "jpeg-2000": ["gdcmconv", "--j2k"],
}
# Rows that read the volumes made here.
VOLUME_ROWS = ["nifti-read", "nifti-write", "linear", "bspline", "histogram", "n4", "ssim"]
PACKAGES = ["numpy", "scipy", "pydicom", "nibabel", "SimpleITK", "scikit-image", "dcm2niix"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", metavar="NAME,...")
    parser.add_argument("--repeats", type=int, default=3, metavar="N")
    parser.add_argument("--ct", type=pathlib.Path, metavar="FOLDER")
    parser.add_argument("--out", type=pathlib.Path, metavar="FILE")
    parser.add_argument("--peer", nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peer:
        return peer(*arguments.peer)
    python = environment()
    if pathlib.Path(sys.prefix).resolve() != python.parents[1].resolve():
        return os.execv(python, [str(python), str(HERE), *sys.argv[1:]])
    program = build()
    wanted = [name for name in arguments.only.split(",") if name]
    files = inputs(program, arguments.ct, lambda name: not wanted or name in wanted)
    rows = [measure(program, row, arguments.repeats) for row in table(files) if not wanted or row["name"] in wanted]
    show(rows)
    if arguments.out:
        arguments.out.write_text(json.dumps(rows, indent=1) + "\n")


def environment():
    python = WORK / "venv" / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(python.parents[1])], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
    return python


def build():
    command = ["cargo", "build", "--quiet", "--release", "--bin", "isoscan", "--example", "timings"]
    subprocess.run(command, cwd=ROOT, check=True)
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release"
    return {"timings": target / "examples" / "timings", "isoscan": target / "isoscan"}


def inputs(program, ct, is_wanted):
    """Paths of the inputs, of which those of the wanted rows are made once."""
    data = WORK / "data"
    data.mkdir(parents=True, exist_ok=True)
    recoded = {name: data / f"ct_{name}" for name, command in RECODED.items() if shutil.which(command[0])}
    wanted = [name for name in recoded if is_wanted(f"ct-{name}")]
    if wanted or is_wanted("ct-read"):
        long_series(program, ct, data)
    for name in wanted:
        recode(RECODED[name], data / "ct", recoded[name])
    if any(is_wanted(name) for name in VOLUME_ROWS) and not (data / "brains.done").exists():
        volumes(data)
        (data / "brains.done").touch()
    names = {"ct": "ct", "t1": "t1.nii.gz", "t1_other": "t1_other.nii.gz", "body": "body.nii", "out": "out"}
    return {"recoded": recoded} | {key: data / name for key, name in names.items()}


def long_series(program, ct, data):
    """A series of 268 slices from that in the folder `ct`, or from a phantom's."""
    if (data / "ct").exists():
        return
    if ct is None:
        ct = data / "phantom_ct"
        if not ct.exists():
            phantom(program["isoscan"], data)
    partial = data / "ct.part"
    shutil.rmtree(partial, ignore_errors=True)
    subprocess.run([sys.executable, HERE.parent / "make_ct.py", ct, partial, "268"], check=True)
    partial.rename(data / "ct")


def recode(command, source, target):
    """The series in another transfer syntax, made once."""
    if target.exists():
        return
    partial = target.with_suffix(".part")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    for path in sorted(source.iterdir()):
        subprocess.run([*command, path, partial / path.name], check=True)
    partial.rename(target)


def phantom(isoscan, data):
    made = data / "phantom"
    shutil.rmtree(made, ignore_errors=True)
    settings = ["--subjects", "1", "--seed", "1", "--pixels", "512", "--pixel-mm", "0.8", "--length-mm", "40"]
    subprocess.run([isoscan, "phantom", *settings, "--out", made], check=True, stdout=subprocess.DEVNULL)
    subprocess.run([isoscan, "convert", made / "sub-000/source.nii.gz", data / "phantom_ct"], check=True, stdout=subprocess.DEVNULL)


def volumes(data):
    """A 256^3 head-like image twice, under two bias fields and scales, and a 512 x 512 x 200 body; all int16."""
    import nibabel
    import numpy as np
    from scipy import ndimage

    random = np.random.default_rng(7)
    axes = np.meshgrid(*[np.linspace(-1, 1, 256)] * 3, indexing="ij", sparse=True)
    radius = np.sqrt(sum(axis**2 for axis in axes))
    texture = ndimage.gaussian_filter(random.standard_normal((256,) * 3).astype(np.float32), 3)
    tissue = np.select([radius < 0.35 + 2 * texture, radius < 0.62 + 2 * texture, radius < 0.72], [900.0, 600.0, 300.0], 0.0)
    for name, gain, scale in [("t1", axes[0] * 0.3, 1.0), ("t1_other", axes[2] * -0.2, 1.4)]:
        noisy = tissue * scale * (1 + gain) + random.normal(0, 12, tissue.shape) * (radius < 0.9)
        image = nibabel.Nifti1Image(np.clip(noisy, 0, None).astype(np.int16), np.diag([1, 1, 1, 1]))
        nibabel.save(image, data / f"{name}.nii.gz")
    body = ndimage.gaussian_filter(random.standard_normal((512, 512, 200)).astype(np.float32), 2) * 2000
    nibabel.save(nibabel.Nifti1Image(body.astype(np.int16), np.diag([0.8, 0.8, 1.5, 1])), data / "body.nii")


def table(files):
    """What is compared: the operation of `timings`, its inputs, and the peers with the ratio of time aimed at."""
    out = {name: f"{files['out']}_{name}" for name in ["ours.nii.gz", "peer.nii.gz", "dcm2niix"]}
    compressed = [
        {"name": f"ct-{name}", "what": f"the same, {name}", "run": ["read", folder],
         "peers": {"SimpleITK": None, "pydicom": None, "dcm2niix": None}, "inputs": [folder, out["dcm2niix"]]}
        for name, folder in files["recoded"].items()
    ]
    return compressed + [
        {"name": "ct-read", "what": "CT 268 x 512 x 512, DICOM to f32", "run": ["read", files["ct"]],
         "peers": {"SimpleITK": 4.0, "pydicom": None, "dcm2niix": None}, "inputs": [files["ct"], out["dcm2niix"]]},
        {"name": "nifti-read", "what": "256^3 int16 .nii.gz to f32", "run": ["read", files["t1"]],
         "peers": {"nibabel": 1.8, "SimpleITK": None}, "inputs": [files["t1"]]},
        {"name": "nifti-write", "what": "256^3 int16 to .nii.gz", "run": ["write", files["t1"], out["ours.nii.gz"]],
         "peers": {"nibabel": 1.5, "SimpleITK": None}, "inputs": [files["t1"], out["peer.nii.gz"]]},
        {"name": "linear", "what": "512 x 512 x 200 to 1 mm, linear", "run": ["linear", files["body"]],
         "peers": {"SimpleITK": 1.8, "scipy": None}, "inputs": [files["body"]]},
        {"name": "bspline", "what": "512 x 512 x 200 to 1 mm, cubic B-spline", "run": ["bspline", files["body"]],
         "peers": {"SimpleITK": 4.0, "scipy": None}, "inputs": [files["body"]]},
        {"name": "histogram", "what": "256^3 histogram matching", "run": ["histogram", files["t1"], files["t1_other"]],
         "peers": {"SimpleITK": 5.0, "scikit-image": None}, "inputs": [files["t1"], files["t1_other"]]},
        {"name": "n4", "what": "256^3 N4, shrink 4, 50/50/30/20", "run": ["n4", files["t1"]],
         "peers": {"SimpleITK": 1.7}, "inputs": [files["t1"]]},
        {"name": "ssim", "what": "256^3 SSIM, Gaussian window", "run": ["ssim", files["t1"], files["t1_other"]],
         "peers": {"scikit-image": 3.5}, "inputs": [files["t1"], files["t1_other"]]},
    ]


def measure(program, row, repeats):
    operation, *files = row["run"]
    print(f"{row['what']} ...", file=sys.stderr)
    # As the program sets it for itself.
    ours = run([program["timings"], operation, str(repeats), *map(str, files)], GLIBC_TUNABLES="glibc.malloc.hugetlb=1")
    peers = {}
    for name in row["peers"]:
        command = [sys.executable, HERE, "--peer", row["name"], name, str(repeats), *map(str, row["inputs"])]
        peers[name] = run(command, optional=True)
    return {"name": row["name"], "what": row["what"], "isoscan": ours, "peers": peers, "goals": row["peers"]}


def run(command, optional=False, **settings):
    """What a measurement printed; None when an optional one failed, as where a peer lacks a codec."""
    command = [str(word) for word in command]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | settings)
    if done.returncode and optional:
        return None
    if done.returncode:
        sys.exit(f"failed: {' '.join(map(str, command))}\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def peer(row, name, repeats, *files):
    """One measurement of one peer; prints what `timings` prints."""
    prepare = PEERS["ct-read" if row.startswith("ct-") else row, name]
    work = prepare(*files)
    best = float("inf")
    for _ in range(int(repeats)):
        begin = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - begin)
    used = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    print(json.dumps({"ms": best * 1e3, "peak_kib": used}))


def itk_image(path):
    import SimpleITK

    return SimpleITK.Cast(SimpleITK.ReadImage(path), SimpleITK.sitkFloat32)


def itk_series(folder, _):
    import SimpleITK

    def work():
        reader = SimpleITK.ImageSeriesReader()
        reader.SetFileNames(reader.GetGDCMSeriesFileNames(folder))
        return SimpleITK.Cast(reader.Execute(), SimpleITK.sitkFloat32)

    return work


def pydicom_series(folder, _):
    import numpy as np
    import pydicom

    def work():
        slices = [pydicom.dcmread(path) for path in pathlib.Path(folder).iterdir()]
        slices.sort(key=lambda header: header.ImagePositionPatient[2])
        scaled = [s.pixel_array * np.float32(s.RescaleSlope) + np.float32(s.RescaleIntercept) for s in slices]
        return np.stack(scaled)

    return work


def dcm2niix_series(folder, out):
    import dcm2niix

    os.makedirs(out, exist_ok=True)
    return lambda: subprocess.run([dcm2niix.bin, "-z", "n", "-w", "1", "-o", out, folder], check=True, capture_output=True)


def nibabel_read(path):
    import nibabel
    import numpy as np

    return lambda: np.asarray(nibabel.load(path).dataobj, dtype=np.float32)


def nibabel_write(path, out):
    import nibabel
    import numpy as np

    image = nibabel.load(path)
    image = nibabel.Nifti1Image(np.asarray(image.dataobj), image.affine)
    return lambda: nibabel.save(image, out)


def itk_write(path, out):
    import SimpleITK

    image = SimpleITK.ReadImage(path)
    return lambda: SimpleITK.WriteImage(image, out)


def itk_resample(path, how):
    import SimpleITK

    image = itk_image(path)
    size = [round((n - 1) * s) + 1 for n, s in zip(image.GetSize(), image.GetSpacing())]
    interpolator = {"linear": SimpleITK.sitkLinear, "bspline": SimpleITK.sitkBSpline}[how]
    transform = SimpleITK.Transform()
    return lambda: SimpleITK.Resample(
        image, size, transform, interpolator, image.GetOrigin(), [1.0] * 3, image.GetDirection(), 0.0
    )


def scipy_resample(path, order):
    import nibabel
    import numpy as np
    from scipy import ndimage

    image = nibabel.load(path)
    voxels = np.asarray(image.dataobj, dtype=np.float32)
    return lambda: ndimage.zoom(voxels, image.header.get_zooms()[:3], order=order)


def itk_histogram(path, reference):
    import SimpleITK

    image, reference = itk_image(path), itk_image(reference)
    return lambda: SimpleITK.HistogramMatching(image, reference, 256, 7, True)


def skimage_histogram(path, reference):
    from skimage import exposure

    image, reference = nibabel_read(path)(), nibabel_read(reference)()
    return lambda: exposure.match_histograms(image, reference)


def itk_n4(path):
    import SimpleITK

    image = itk_image(path)
    everywhere = SimpleITK.Greater(image, 0)

    def work():
        correct = SimpleITK.N4BiasFieldCorrectionImageFilter()
        correct.SetMaximumNumberOfIterations([50, 50, 30, 20])
        correct.Execute(SimpleITK.Shrink(image, [4] * 3), SimpleITK.Shrink(everywhere, [4] * 3))
        return image / SimpleITK.Exp(correct.GetLogBiasFieldAsImage(image))

    return work


def skimage_ssim(path, other):
    from skimage.metrics import structural_similarity

    a, b = nibabel_read(path)(), nibabel_read(other)()
    settings = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": float(b.max())}
    return lambda: structural_similarity(a, b, **settings)


PEERS = {
    ("ct-read", "SimpleITK"): itk_series,
    ("ct-read", "pydicom"): pydicom_series,
    ("ct-read", "dcm2niix"): dcm2niix_series,
    ("nifti-read", "nibabel"): nibabel_read,
    ("nifti-read", "SimpleITK"): lambda path: lambda: itk_image(path),
    ("nifti-write", "nibabel"): nibabel_write,
    ("nifti-write", "SimpleITK"): itk_write,
    ("linear", "SimpleITK"): lambda path: itk_resample(path, "linear"),
    ("linear", "scipy"): lambda path: scipy_resample(path, 1),
    ("bspline", "SimpleITK"): lambda path: itk_resample(path, "bspline"),
    ("bspline", "scipy"): lambda path: scipy_resample(path, 3),
    ("histogram", "SimpleITK"): itk_histogram,
    ("histogram", "scikit-image"): skimage_histogram,
    ("n4", "SimpleITK"): itk_n4,
    ("ssim", "scikit-image"): skimage_ssim,
}


def show(rows):
    print("| what | Isoscan | peer | times faster | aimed at | memory of the peer's |")
    print("|---|---|---|---|---|---|")
    for row in rows:
        ours = row["isoscan"]
        for name, theirs in row["peers"].items():
            if theirs is None:
                print(f"| {row['what']} | {ours['ms']:.0f} ms, {ours['peak_kib'] / 1024:.0f} MiB | {name} cannot | | | |")
                continue
            goal = row["goals"][name]
            print(
                f"| {row['what']} | {ours['ms']:.0f} ms, {ours['peak_kib'] / 1024:.0f} MiB "
                f"| {name} {theirs['ms']:.0f} ms, {theirs['peak_kib'] / 1024:.0f} MiB "
                f"| {theirs['ms'] / ours['ms']:.1f} | {goal or ''} | {ours['peak_kib'] / theirs['peak_kib']:.2f} |"
            )


if __name__ == "__main__":
    main()
