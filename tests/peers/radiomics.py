"""Times Isoscan's radiomics beside PyRadiomics, pictologics and nyxus on the same images in the same run, compares the
values, and prints a table of ratios and goals.

Usage: python3 tests/peers/radiomics.py [--only NAME,...] [--repeats 5] [--out results.json]
       [--pyradiomics PYTHON] [--pictologics PYTHON]

`--only` takes sections (default, threads, filtered, maps, file) and rows (default-brain1). What it needs comes into
`target/peers/radiomics`: the inputs, and two virtual environments unless `--pyradiomics` and `--pictologics` (which
has nyxus too) name interpreters. PyRadiomics 3.1.0 is built from its source package by Python 3.10 or 3.11. That
package calls itself 3.0.1a1, so that no installer takes it by its name, and lacks two headers, which the package of
3.0.1 has; it needs numpy below 2 and setuptools below 70 and builds without isolation. pictologics and nyxus need
Python 3.12 or later; where there is none their rows are left out. The first run of pictologics compiles for minutes.
The cases brain1, lung1 and lung2 are read from `../shared` beside the repository and left out without it; `synth_big`
is made here.

Everything runs in memory on one thread unless the row says otherwise, each measurement in a process of its own; a time is
the fastest of the repeats, at most three of them for PyRadiomics and nyxus and one for their maps. Isoscan gets huge pages
as its program asks for them. pictologics gets a fresh copy of the image each time, because it keeps results by array, and
computes 163 features of its own set; nyxus computes its 3-D set and reads its files, as it takes nothing else. From
files Isoscan reads the image beside the mask on two threads; they are compared with inflating both on one, whole and in
memory, by libdeflate, and beside that by zlib. Peak memory is the process's.

A ratio is another's figure over Isoscan's, so that more is better, and a goal is met where ratio/goal is 1 or more. No
goal ends the run: the exit code is 0 whether they are met or not.
"""

import argparse
import datetime
import gzip
import json
import os
import pathlib
import re
import shutil
import struct
import subprocess
import sys
import time
import zlib

HERE = pathlib.Path(__file__).resolve()
PEERS = HERE.with_name("radiomics_peers.py")
ROOT = HERE.parents[2]
WORK = ROOT / "target" / "peers" / "radiomics"
SHARED = ROOT.parent / "shared" / "reference" / "radiomics" / "data" / "pyradiomics"
FILTERED = {"imageType": {"Original": {}, "LoG": {"sigma": [1.0, 2.0, 3.0]}, "Wavelet": {}}}
MAPS = {"imageType": {"Original": {}}, "featureClass": {"glcm": []}}
RELATIVE, FLOOR = 1e-9, 1e-12
# A voxel of a filtered image, which is f32, may fall on the other side of a bin's edge.
SHARE_OF_FILTERED, WORST = 0.999, 2e-4
SPARE_BYTES = 100e6
SINGLE_THREADED = {
    "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", metavar="NAME,...")
    parser.add_argument("--repeats", type=int, default=5, metavar="N")
    parser.add_argument("--out", type=pathlib.Path, metavar="FILE")
    parser.add_argument("--pyradiomics", metavar="PYTHON")
    parser.add_argument("--pictologics", metavar="PYTHON")
    arguments = parser.parse_args()
    WORK.mkdir(parents=True, exist_ok=True)
    pythons = {"PyRadiomics": arguments.pyradiomics or pyradiomics()}
    pythons["pictologics"] = pythons["nyxus"] = arguments.pictologics or pictologics()
    program = build()
    subprocess.run([pythons["PyRadiomics"], PEERS, "inputs", WORK / "data", SHARED], check=True)
    wanted = [name for name in arguments.only.split(",") if name]
    chosen = [row for row in table() if not wanted or {row["name"], row["name"].split("-")[0]} & set(wanted)]
    report = {"machine": machine(), "rows": [measure(program, pythons, row, arguments.repeats) for row in chosen]}
    report["machine"]["load_after"] = os.getloadavg()[0]
    show(report)
    if arguments.out:
        arguments.out.write_text(json.dumps(report, indent=1) + "\n")


def pyradiomics():
    """Interpreter with PyRadiomics 3.1.0."""

    def fill(pip, making):
        build = ["setuptools<70", "wheel", "numpy<2", "cython", "versioneer"]
        used = ["SimpleITK", "PyWavelets", "scipy==1.14.1", "pykwalify", "docopt", "six"]
        subprocess.run([*pip, "install", "-q", *build, *used], check=True)
        old, new = (unpack(pip, version, making) / "radiomics" / "src" for version in ["3.0.1", "3.1.0"])
        for header in ["cmatrices.h", "cshape.h"]:
            if not (new / header).exists():
                shutil.copy(old / header, new / header)
        subprocess.run([*pip, "install", "-q", "--no-deps", "--no-build-isolation", new.parents[1]], check=True)

    return environment("pyradiomics", [11, 10], fill) or sys.exit("PyRadiomics needs Python 3.10 or 3.11")


def pictologics():
    """Interpreter with pictologics and nyxus, or None."""

    def fill(pip, _):
        subprocess.run([*pip, "install", "-q", "pictologics", "nyxus"], check=True)

    found = environment("pictologics", range(12, 21), fill)
    if found is None:
        print("skipped: pictologics and nyxus need Python 3.12 or later", file=sys.stderr)
    return found


def environment(name, minors, fill):
    """Interpreter of a virtual environment that `fill` installs into, made once; None without a Python for it."""
    python = WORK / name / "bin" / "python"
    if python.exists():
        return python
    base = next(filter(None, map(interpreter, minors)), None)
    if base is None:
        return None
    print(f"making {name} ...", file=sys.stderr)
    making = WORK / "making"
    shutil.rmtree(making, ignore_errors=True)
    subprocess.run([base, "-m", "venv", making / "venv"], check=True)
    fill([making / "venv" / "bin" / "python", "-m", "pip", "--disable-pip-version-check"], making)
    # The interpreter of a virtual environment runs from wherever it lies.
    (making / "venv").rename(python.parents[1])
    shutil.rmtree(making)
    return python


def interpreter(minor):
    """A Python 3.`minor` that runs: this one, one in the path, or one of pyenv."""
    pyenv = pathlib.Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser() / "versions"
    for candidate in [sys.executable, f"python3.{minor}", *sorted(pyenv.glob(f"3.{minor}.*/bin/python"), reverse=True)]:
        try:
            told = subprocess.run([candidate, "-c", "import sys; print(*sys.version_info[:2])"], capture_output=True, text=True)
        except OSError:
            continue
        if told.stdout.split() == ["3", str(minor)]:
            return candidate
    return None


def unpack(pip, version, folder):
    """Folder of the source package of a version, whatever it calls itself."""
    download = [*pip, "download", "--no-deps", "--no-binary", ":all:", "--no-build-isolation", "-d", folder]
    package = folder / f"pyradiomics-{version}.tar.gz"
    told = subprocess.run([*download, f"pyradiomics=={version}"], capture_output=True, text=True)
    if not package.exists():
        address = re.search(rf"https?://\S+/{re.escape(package.name)}", told.stdout + told.stderr)
        if address is None:
            sys.exit(f"pyradiomics {version}: no source package found\n{told.stderr}")
        subprocess.run([*download, "-q", address.group()], check=True)
    shutil.unpack_archive(package, folder)
    return folder / f"pyradiomics-{version}"


def build():
    subprocess.run(["cargo", "build", "-q", "--release", "-p", "isoscan", "--example", "radiomics_timings"], cwd=ROOT, check=True)
    return ROOT / os.environ.get("CARGO_TARGET_DIR", "target") / "release" / "examples" / "radiomics_timings"


def machine():
    cpu = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    begin = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    return {"cpu": cpu and cpu[1], "cores": os.cpu_count(), "begin": begin, "load_before": os.getloadavg()[0]}


def table():
    """What is compared on which case, with the ratio of time aimed at for each peer."""

    def rows(section, what, operation, settings, cases, threads=1):
        for case, goals in cases.items():
            files = [WORK / "data" / f"{case}_{part}.nii.gz" for part in ["image", "mask", "lifted"]]
            if not all(file.exists() for file in files):
                print(f"skipped: {section}-{case}, which is not in ../shared", file=sys.stderr)
                continue
            yield {"name": f"{section}-{case}", "what": what, "operation": operation, "settings": settings,
                   "files": files, "goals": goals, "threads": threads}

    aimed = {"PyRadiomics": 80, "pictologics": 2, "nyxus": None}
    plain = dict.fromkeys(aimed)
    of_file = {"libdeflate": 1 / 1.3, "zlib": None}
    yield from rows("default", "107 features", "memory", {}, {"brain1": aimed, "lung1": plain, "lung2": plain, "synth_big": aimed})
    yield from rows("threads", "107 features, two threads", "memory", {}, {
        "brain1": {"one thread": None}, "lung1": {"one thread": None}, "synth_big": {"one thread": 1.7}}, threads=2)
    yield from rows("filtered", "1,130 features: original, LoG x 3, wavelet", "memory", FILTERED, {
        "brain1": {"PyRadiomics": 40}, "lung1": {"PyRadiomics": 150}, "lung2": {"PyRadiomics": None}})
    yield from rows("maps", "GLCM maps", "maps", MAPS, {"brain1": {"PyRadiomics": 60}})
    yield from rows("file", "107 features from .nii.gz, two threads", "file", {},
                    dict.fromkeys(["brain1", "lung1", "lung2", "synth_big"], of_file), threads=2)


def measure(program, pythons, row, repeats):
    print(f"{row['name']} ...", file=sys.stderr)
    image, mask, _ = row["files"]
    settings = json.dumps(row["settings"])

    def ours(operation, threads):
        command = [program, operation, repeats, image, mask, settings]
        return {"repeats": repeats} | run(command, RAYON_NUM_THREADS=str(threads), GLIBC_TUNABLES="glibc.malloc.hugetlb=1")

    def theirs(name):
        if name == "one thread":
            return ours(row["operation"], 1)
        if name == "libdeflate":
            return ours("inflate", 1)
        if name == "zlib":
            return {"repeats": repeats, "ms": inflate(repeats, image, mask)}
        if pythons[name] is None:
            return None
        times = repeats if name == "pictologics" else 1 if row["operation"] == "maps" else min(repeats, 3)
        command = [pythons[name], PEERS, name, row["operation"], times, settings, *row["files"]]
        result = run(command, optional=True, **SINGLE_THREADED)
        return result and {"repeats": times} | result

    isoscan = ours(row["operation"], row["threads"])
    peers = {name: theirs(name) for name in row["goals"]}
    agreement = agree(isoscan["values"], (peers.get("PyRadiomics") or {}).get("values"))
    for result in filter(None, [isoscan, *peers.values()]):
        result.pop("values", None)
    return {
        "name": row["name"], "what": row["what"], "threads": row["threads"], "isoscan": isoscan,
        "memory_goal_mb": (decoded_bytes(image) + SPARE_BYTES) / 1e6,
        "peers": peers, "ratio_goals": row["goals"], "agreement": agreement,
    }


def run(command, optional=False, **settings):
    """What a measurement printed; None when an optional one failed."""
    command = [str(word) for word in command]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | settings)
    if done.returncode and optional:
        print(f"failed: {' '.join(command[2:4])}\n{done.stderr[-2000:]}", file=sys.stderr)
        return None
    if done.returncode:
        sys.exit(f"failed: {' '.join(command)}\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def inflate(repeats, *files):
    """Milliseconds of zlib on the files."""
    best = float("inf")
    compressed = [file.read_bytes() for file in files]
    for _ in range(repeats):
        begin = time.perf_counter()
        for data in compressed:
            zlib.decompress(data, 31, int.from_bytes(data[-4:], "little"))
        best = min(best, time.perf_counter() - begin)
    return best * 1e3


def decoded_bytes(image):
    """Size of an image of f32."""
    with gzip.open(image) as file:
        nx, ny, nz = struct.unpack("<3h", file.read(48)[42:])
    return 4 * nx * ny * nz


def agree(ours, theirs):
    """How many of PyRadiomics' values are within 1e-9 here, and the largest relative difference of the others; 1 where only
    one side gives a number."""
    if not ours or not theirs:
        return None
    apart = []
    for name, b in theirs.items():
        a = ours.get(name)
        if a is None or b is None:
            apart += [1.0] if name not in ours or a is not b else []
        elif abs(a - b) > RELATIVE * abs(b) + FLOOR:
            apart.append(abs(a - b) / max(abs(b), FLOOR))
    return {"compared": len(theirs), "within": len(theirs) - len(apart), "worst": max(apart, default=0.0)}


def show(report):
    about = report["machine"]
    versions = {theirs["version"] for row in report["rows"] for theirs in row["peers"].values() if theirs and "version" in theirs}
    print(f"Measured in this run, {about['begin']}, on {about['cpu']}, {about['cores']} cores, "
          f"load {about['load_before']:.1f} before and {about['load_after']:.1f} after; {', '.join(sorted(versions))}")
    form = "{:<18} {:<14} {:>11} {:>12} {:>9} {:>8} {:>11}  {}".format
    missed = []

    def line(row, against, ours, theirs, ratio, goal, note, astray=False):
        if goal is not None and ratio < goal or astray:
            missed.append(f"{row['name']} against {against}")
            note = f"MISSED {note}"
        aimed = ["", ""] if goal is None else [f"{goal:.3f}", f"{ratio / goal:.3f}"]
        print(form(row["name"], against, ours, theirs, f"{ratio:.3f}", *aimed, note).rstrip())

    print(form("row", "against", "Isoscan", "other", "ratio", "goal", "ratio/goal", ""))
    for row in report["rows"]:
        ours = row["isoscan"]
        print(f"{row['what']}, fastest of {ours['repeats']}")
        for name, theirs in row["peers"].items():
            if theirs is None:
                print(form(row["name"], name, f"{ours['ms']:.2f} ms", "not measured", "", "", "", "").rstrip())
                continue
            peak = f", peak {theirs['peak_kib'] * 1024 / 1e6:.0f} MB" if "peak_kib" in theirs else ""
            ratio, goal, note = theirs["ms"] / ours["ms"], row["ratio_goals"][name], f"of {theirs['repeats']}{peak}"
            line(row, name, f"{ours['ms']:.2f} ms", f"{theirs['ms']:.2f} ms", ratio, goal, note)
        peak, most = ours["peak_kib"] * 1024 / 1e6, row["memory_goal_mb"]
        line(row, "memory goal", f"{peak:.0f} MB", f"{most:.0f} MB", most / peak, 1, "peak; volume + 100 MB")
        if row["agreement"]:
            within, compared, worst = (row["agreement"][part] for part in ["within", "compared", "worst"])
            goal = SHARE_OF_FILTERED if row["name"].startswith("filtered") else 1
            note = f"share within 1e-9; worst {worst:.1e}"
            line(row, "values", within, compared, within / compared, goal, note, astray=worst > WORST)
    print(f"goals missed: {', '.join(missed) or 'none'}")


if __name__ == "__main__":
    main()
