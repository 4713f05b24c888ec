"""Writes the networks of the tests and of the example bundle: python3 networks.py (needs the packages onnx and numpy).

Weights are small integers over powers of two, so that a test can write down what a network must give.
"""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

HERE = Path(__file__).parent


def save(name, nodes, weights, dims, channels=1, made=1, inputs=("image",), size=None, path=HERE / "data"):
    """One graph with opset 17; extents are open unless `size` is given."""

    def shape(count):
        return [1, count] + [size or f"n{axis}" for axis in range(dims)]

    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info(i, TensorProto.FLOAT, shape(channels)) for i in inputs],
        [helper.make_tensor_value_info("made", TensorProto.FLOAT, ["batch", made] + [None] * dims)],
        [numpy_helper.from_array(np.asarray(value), key) for key, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path / f"{name}.onnx")


def kernel(made, channels, *extents):
    """Weights that differ from place to place, in sixteenths: ((7 i) mod 11) - 4."""
    count = made * channels * int(np.prod(extents))
    values = (7 * np.arange(count)) % 11 - 4
    return (values / 16).astype(np.float32).reshape(made, channels, *extents)


def conv(given, weight, made, pads, **more):
    return helper.make_node("Conv", [given, weight], [made], pads=[pads] * 2 if isinstance(pads, int) else pads, **more)


binomial = np.array([1, 4, 6, 4, 1], dtype=np.float32) / 16
save(
    "smooth",
    [conv("image", "w", "made", [2, 2, 2, 2])],
    {"w": np.outer(binomial, binomial).reshape(1, 1, 5, 5)},
    2,
    path=HERE.parent,
)
save("plane", [conv("image", "w", "made", [1, 2, 1, 2])], {"w": kernel(1, 1, 3, 5)}, 2)
save(
    "volume",
    [
        conv("image", "a", "first", [1] * 6),
        helper.make_node("Relu", ["first"], ["positive"]),
        conv("positive", "b", "made", [1] * 6),
    ],
    {"a": kernel(2, 1, 3, 3, 3), "b": kernel(1, 2, 3, 3, 3)},
    3,
)
save("neighbours", [conv("image", "w", "made", [1] * 4)], {"w": kernel(1, 3, 3, 3)}, 2, channels=3)
save("pair", [conv("image", "w", "made", [1] * 4)], {"w": kernel(1, 2, 3, 3)}, 2, channels=2)
save("arguments", [helper.make_node("Sub", ["image", "other"], ["made"])], {}, 2, inputs=("image", "other"))
save("channels", [conv("image", "w", "made", [1] * 4)], {"w": kernel(3, 1, 3, 3)}, 2, made=3)
save("valid", [conv("image", "w", "made", [0] * 4)], {"w": kernel(1, 1, 3, 3)}, 2)
save("fixed", [conv("image", "w", "made", [1] * 4)], {"w": kernel(1, 1, 3, 3)}, 2, size=32)
save(
    "strided",
    [
        conv("image", "a", "small", [1] * 4, strides=[2, 2]),
        helper.make_node("ConvTranspose", ["small", "b"], ["made"], strides=[2, 2], pads=[1] * 4),
    ],
    {"a": kernel(2, 1, 4, 4), "b": kernel(2, 1, 4, 4)},
    2,
)
save(
    "doubled",
    [helper.make_node("ConvTranspose", ["image", "w"], ["made"], strides=[2, 2], pads=[1] * 4)],
    {"w": kernel(1, 1, 4, 4)},
    2,
)
save(
    "instance",
    [
        conv("image", "w", "first", [1] * 4),
        helper.make_node("InstanceNormalization", ["first", "scale", "shift"], ["made"]),
    ],
    {"w": kernel(1, 1, 3, 3), "scale": np.ones(1, np.float32), "shift": np.zeros(1, np.float32)},
    2,
)
save("logarithm", [helper.make_node("Log", ["image"], ["made"])], {}, 2)
save("unknown", [helper.make_node("Frobnicate", ["image"], ["made"])], {}, 2)
