"""SimpleITK on the tasks of registration.rs: reads tasks.json in the folder given, writes answers.json there.

A task: fixed, moving (NIfTI), freedom (rigid or affine). An answer: matrix by rows and translation of the map from the
fixed to the moving world in LPS mm, and the seconds that Execute took.
"""

import json
import pathlib
import sys
import time

import SimpleITK as sitk


def solve(folder, task):
    fixed = sitk.ReadImage(str(folder / task["fixed"]), sitk.sitkFloat32)
    moving = sitk.ReadImage(str(folder / task["moving"]), sitk.sitkFloat32)
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(32)
    method.SetMetricSamplingStrategy(method.RANDOM)
    method.SetMetricSamplingPercentage(task["share"], 1)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(2.0, 1e-4, 200, 0.5)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel([8, 4, 2, 1])
    method.SetSmoothingSigmasPerLevel([4, 2, 1, 0])
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOn()
    transform = sitk.Euler3DTransform() if task["freedom"] == "rigid" else sitk.AffineTransform(3)
    transform.SetCenter(fixed.TransformContinuousIndexToPhysicalPoint([(n - 1) / 2 for n in fixed.GetSize()]))
    method.SetInitialTransform(transform, True)
    begin = time.perf_counter()
    method.Execute(fixed, moving)
    seconds = time.perf_counter() - begin
    origin = transform.TransformPoint([0.0, 0.0, 0.0])
    axes = [transform.TransformPoint([float(a == b) for b in range(3)]) for a in range(3)]
    matrix = [[axes[column][row] - origin[row] for column in range(3)] for row in range(3)]
    return {"map": {"matrix": matrix, "translation": list(origin)}, "seconds": seconds}


def main():
    folder = pathlib.Path(sys.argv[1])
    tasks = json.loads((folder / "tasks.json").read_text())
    (folder / "answers.json").write_text(json.dumps([solve(folder, task) for task in tasks]))


if __name__ == "__main__":
    main()
