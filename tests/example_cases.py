"""Every example: how it is compiled, and arguments of several sizes for each of its functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tests.support import EXAMPLES, GENERATED, compiled

Inputs = dict[str, Any]
Draw = Callable[[np.random.Generator, int], Inputs]


@dataclass(frozen=True, slots=True)
class Case:
    """One function of one example.

    `inputs` draws arguments of size 0, 1 or 2. `plain` is a source without in-place writes for HIPS autograd, or None
    where the example's own source serves.
    """

    stem: str
    function: str
    wrt: tuple[str, ...]
    inputs: Draw
    plain: str | None = None

    @property
    def source(self) -> str:
        return (EXAMPLES / f"{self.stem}.py").read_text()


@dataclass(frozen=True, slots=True)
class Example:
    """One file of `examples/` and the options that its module in `generated/` is written with."""

    stem: str
    options: Mapping[str, Any] = field(default_factory=dict)

    def text(self) -> str:
        """What the compiler writes for it now."""
        source = (EXAMPLES / f"{self.stem}.py").read_text()
        return compiled(source, f"{self.stem}.py", **self.options).text

    def committed(self) -> str:
        return (GENERATED / f"{self.stem}_grad.py").read_text()


def scalars(*names: str) -> Draw:
    """Python floats, NumPy scalars or 0-d arrays."""

    def draw(rng: np.random.Generator, size: int) -> Inputs:
        kind = (float, np.float64, np.array)[size]
        return {name: kind(rng.normal()) for name in names}

    return draw


def lists(rng: np.random.Generator, size: int) -> Inputs:
    if size == 0:
        return {"w": [2, -3, -3], "x": [-1, -2]}
    w, x = rng.normal(size=3), rng.normal(size=2)
    return {"w": w, "x": x} if size == 1 else {"w": w.tolist(), "x": x.tolist()}


def matrices(rng: np.random.Generator, size: int) -> Inputs:
    M, K, N = ((5, 10, 3), (1, 4, 1), (2, 1, 6))[size]
    return {"W": rng.normal(size=(M, K)), "X": rng.normal(size=(K, N))}


def hinge(rng: np.random.Generator, size: int) -> Inputs:
    N, D, C = ((5, 4, 3), (1, 3, 2), (12, 6, 10))[size]
    y = rng.integers(0, C, N)
    return {"W": rng.normal(size=(D, C)), "X": rng.normal(size=(N, D)), "y": y, "reg": 0.3}


def tanh_net(rng: np.random.Generator, size: int) -> Inputs:
    N, D, H, C = ((5, 4, 6, 3), (1, 2, 1, 4), (3, 1, 5, 2))[size]
    return {
        "X": rng.normal(size=(N, D)),
        "Y": rng.normal(size=(N, C)),
        "W1": rng.normal(size=(D, H)),
        "b1": rng.normal(size=H),
        "W2": rng.normal(size=(H, C)),
        "b2": rng.normal(size=C),
    }


def softmax_net(rng: np.random.Generator, size: int) -> Inputs:
    drawn = tanh_net(rng, size)
    N, C = drawn["Y"].shape
    labels = {"X": drawn.pop("X"), "y": rng.integers(0, C, N)}
    del drawn["Y"]
    return {**labels, **drawn, "reg": 0.3}


def affine(rng: np.random.Generator, size: int) -> Inputs:
    shape = ((5, 2, 3), (1, 4), (3, 2, 1, 2))[size]
    D, M = int(np.prod(shape[1:])), 4 - size
    return {"x": rng.normal(size=shape), "w": rng.normal(size=(D, M)), "b": rng.normal(size=M)}


def relu(rng: np.random.Generator, size: int) -> Inputs:
    return {"x": rng.normal(size=((5, 4), (1,), (2, 3, 2))[size])}


def batchnorm(rng: np.random.Generator, size: int) -> Inputs:
    N, D = ((5, 4), (7, 1), (3, 6))[size]
    drawn = {"x": 2 + rng.normal(size=(N, D)), "gamma": rng.normal(size=D), "beta": rng.normal(size=D)}
    return {**drawn, "eps": 1e-3} if size == 2 else drawn


def labelled(rng: np.random.Generator, size: int) -> Inputs:
    N, D = ((8, 3), (1, 2), (20, 1))[size]
    drawn = {"w": rng.normal(size=D), "X": rng.normal(size=(N, D)), "y": rng.integers(0, 2, N)}
    return {**drawn, "reg": 0.1} if size else drawn


NETWORK = ("x", "y", "w1", "b1", "w2", "b2", "w3", "b3")
UNITS = ("x1", "x2", "y1", "Wx1", "bx1", "Wx2", "bx2", "Wy1", "by1", "Wy2", "by2")
PLAIN_MATMUL = """
import numpy as np

def matmul(W, X):
    return np.dot(W, X)
"""
PLAIN_HINGE = """
import numpy as np

def svm_loss(W, X, y, reg):
    N = X.shape[0]
    scores = X @ W
    correct = scores[np.arange(N), y][:, np.newaxis]
    margins = np.maximum(0, scores - correct + 1.0) * (np.arange(W.shape[1]) != y[:, np.newaxis])
    return np.sum(margins) / N + reg * np.sum(W * W)
"""

FILES = (
    Example("add_mul"),
    Example("neuron"),
    Example("staged"),
    Example("matmul"),
    Example("toy_network"),
    Example("tanh_units"),
    Example("tanh_net"),
    Example("svm", {"wrt": ("W", "X")}),
    Example("two_layer_net", {"wrt": ("W1", "b1", "W2", "b2")}),
    Example("layers"),
    Example("logistic_regression", {"wrt": ("w",)}),
)

CASES = (
    Case("add_mul", "circuit", ("x", "y", "z"), scalars("x", "y", "z")),
    Case("neuron", "neuron", ("w", "x"), lists),
    Case("staged", "f", ("x", "y"), scalars("x", "y")),
    Case("matmul", "matmul", ("W", "X"), matrices, PLAIN_MATMUL),
    Case("toy_network", "toy_network", NETWORK, scalars(*NETWORK)),
    Case("toy_network", "sigmoid", ("z",), scalars("z")),
    Case("tanh_units", "two_units", UNITS, scalars(*UNITS)),
    Case("tanh_net", "tanh_net", ("X", "Y", "W1", "b1", "W2", "b2"), tanh_net),
    Case("svm", "svm_loss", ("W", "X"), hinge, PLAIN_HINGE),
    Case("two_layer_net", "two_layer_net", ("W1", "b1", "W2", "b2"), softmax_net),
    Case("layers", "affine", ("x", "w", "b"), affine),
    Case("layers", "relu", ("x",), relu),
    Case("layers", "affine_relu", ("x", "w", "b"), affine),
    Case("layers", "batchnorm", ("x", "gamma", "beta"), batchnorm),
    Case("logistic_regression", "logistic_loss", ("w",), labelled),
)
