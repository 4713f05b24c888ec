"""Times nibabel on the cube of benches/nifti.rs: best of five, ms."""

import os
import sys
import time

import nibabel
import numpy as np

folder = sys.argv[1]


def best(name, action):
    times = []
    for _ in range(5):
        begun = time.perf_counter()
        action()
        times.append(time.perf_counter() - begun)
    print(f"nibabel {name}: {min(times) * 1e3:.1f} ms")


def read(name):
    return np.asanyarray(nibabel.load(os.path.join(folder, name)).get_fdata(dtype=np.float32))


def write(name, image):
    nibabel.save(image, os.path.join(folder, name))


image = nibabel.load(os.path.join(folder, "cube.nii"))
stored = nibabel.Nifti1Image(np.array(image.dataobj.get_unscaled()), image.affine)
floats = nibabel.Nifti1Image(read("cube.nii") * np.float32(1.01), image.affine)
nibabel.openers.Opener.default_compresslevel = 1
best("read .nii", lambda: read("cube.nii"))
best("read .nii.gz", lambda: read("cube.nii.gz"))
best("write .nii", lambda: write("n.nii", stored))
best("write .nii.gz", lambda: write("n.nii.gz", stored))
best("write .nii.gz float32", lambda: write("nf.nii.gz", floats))
for name in ("cube.nii.gz", "n.nii.gz", "f.nii.gz", "nf.nii.gz"):
    print(name, os.path.getsize(os.path.join(folder, name)), "bytes")
