"""Arguments of several sizes for the functions of the examples, and what each size is called.

The nasty ones are among them: no step at all, one row, no padding, windows that overlap or leave gaps, one index many
times.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Inputs = dict[str, Any]
Draw = Callable[[np.random.Generator, int], Inputs]


def uniform(rng: np.random.Generator, *shape: int) -> np.ndarray[Any, Any]:
    """Numbers of moderate size, so that no gate saturates."""
    return rng.uniform(-1, 1, shape)


SCALARS = ("Python floats", "NumPy scalars", "0-d arrays")


def scalars(*names: str) -> Draw:
    """Python floats, NumPy scalars or 0-d arrays."""

    def draw(rng: np.random.Generator, size: int) -> Inputs:
        kind = (float, np.float64, np.array)[size]
        return {name: kind(rng.normal()) for name in names}

    return draw


LISTS = ("lists of integers", "arrays", "lists of floats")


def lists(rng: np.random.Generator, size: int) -> Inputs:
    w, x = rng.normal(size=3), rng.normal(size=2)
    return (
        {"w": [2, -3, -3], "x": [-1, -2]},
        {"w": w, "x": x},
        {"w": w.tolist(), "x": x.tolist()},
    )[size]


MATRICES = ("three columns", "one row and one column", "one in common")


def matrices(rng: np.random.Generator, size: int) -> Inputs:
    M, K, N = ((5, 10, 3), (1, 4, 1), (2, 1, 6))[size]
    return {"W": rng.normal(size=(M, K)), "X": rng.normal(size=(K, N))}


SVM = ("five rows", "one row", "twelve rows")


def svm(rng: np.random.Generator, size: int) -> Inputs:
    N, D, C = ((5, 4, 3), (1, 3, 2), (12, 6, 10))[size]
    y = rng.integers(0, C, N)
    return {"W": rng.normal(size=(D, C)), "X": rng.normal(size=(N, D)), "y": y, "reg": 0.3}


NET = ("five rows", "one row and one unit", "one feature")


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


AFFINE = ("two dims a row", "one row", "three dims a row")


def affine(rng: np.random.Generator, size: int) -> Inputs:
    shape = ((5, 2, 3), (1, 4), (3, 2, 1, 2))[size]
    D, M = int(np.prod(shape[1:])), 4 - size
    return {"x": rng.normal(size=shape), "w": rng.normal(size=(D, M)), "b": rng.normal(size=M)}


RELU = ("a matrix", "one number", "three dims")


def relu(rng: np.random.Generator, size: int) -> Inputs:
    return {"x": rng.normal(size=((5, 4), (1,), (2, 3, 2))[size])}


COLUMN_BATCHNORM = ("five rows", "one feature", "eps")


def column_batchnorm(rng: np.random.Generator, size: int) -> Inputs:
    N, D = ((5, 4), (7, 1), (3, 6))[size]
    drawn = {"x": 2 + rng.normal(size=(N, D)), "gamma": rng.normal(size=D), "beta": rng.normal(size=D)}
    return {**drawn, "eps": 1e-3} if size == 2 else drawn


LABELLED = ("no penalty", "one row", "one feature")


def labelled(rng: np.random.Generator, size: int) -> Inputs:
    N, D = ((8, 3), (1, 2), (20, 1))[size]
    drawn = {"w": rng.normal(size=D), "X": rng.normal(size=(N, D)), "y": rng.integers(0, 2, N)}
    return {**drawn, "reg": 0.1} if size else drawn


RECURRENT = ("three steps", "one step", "zero steps", "one row", "one unit")
RECURRENT_SHAPES = ((2, 3, 4, 5), (3, 1, 2, 4), (2, 0, 3, 4), (1, 4, 3, 2), (3, 5, 1, 1))  # N, T, D, H


def rnn(rng: np.random.Generator, size: int) -> Inputs:
    N, T, D, H = RECURRENT_SHAPES[size]
    return {
        "x": uniform(rng, N, T, D),
        "h0": uniform(rng, N, H),
        "Wx": uniform(rng, D, H),
        "Wh": uniform(rng, H, H),
        "b": uniform(rng, H),
    }


LSTM_STEP = ("three rows", "one row", "one unit")


def lstm_step(rng: np.random.Generator, size: int) -> Inputs:
    N, D, H = ((3, 4, 5), (1, 2, 3), (4, 1, 1))[size]
    return {
        "x": uniform(rng, N, D),
        "prev_h": uniform(rng, N, H),
        "prev_c": uniform(rng, N, H),
        "Wx": uniform(rng, D, 4 * H),
        "Wh": uniform(rng, H, 4 * H),
        "b": uniform(rng, 4 * H),
    }


def lstm(rng: np.random.Generator, size: int) -> Inputs:
    N, T, D, H = RECURRENT_SHAPES[size]
    return {
        "x": uniform(rng, N, T, D),
        "h0": uniform(rng, N, H),
        "Wx": uniform(rng, D, 4 * H),
        "Wh": uniform(rng, H, 4 * H),
        "b": uniform(rng, 4 * H),
    }


def gru(rng: np.random.Generator, size: int) -> Inputs:
    N, T, D, H = RECURRENT_SHAPES[size]
    drawn: Inputs = {"x": uniform(rng, T, N, D), "h0": uniform(rng, N, H)}
    for gate in "zrh":
        drawn |= {f"W{gate}": uniform(rng, D, H), f"U{gate}": uniform(rng, H, H), f"b{gate}": uniform(rng, H)}
    return drawn


CHARACTERS = ("three steps", "one step", "zero steps", "one character repeated", "one unit")


def char_rnn(rng: np.random.Generator, size: int) -> Inputs:
    steps, V, H = ((3, 4, 5), (1, 3, 2), (0, 3, 2), (4, 3, 2), (5, 2, 1))[size]
    inputs, targets = rng.integers(0, V, steps).tolist(), rng.integers(0, V, steps).tolist()
    if size == 3:
        inputs, targets = [1] * steps, [1] * steps
    return {
        "inputs": inputs,
        "targets": targets,
        "hprev": uniform(rng, H, 1),
        "Wxh": uniform(rng, H, V),
        "Whh": uniform(rng, H, H),
        "Why": uniform(rng, V, H),
        "bh": uniform(rng, H, 1),
        "by": uniform(rng, V, 1),
    }


def scale_and_shift(rng: np.random.Generator, *shape: int) -> Inputs:
    return {"gamma": rng.uniform(0.5, 1.5, shape), "beta": uniform(rng, *shape)}


BATCHNORM = ("train", "test without averages", "train with averages, one feature", "test with averages", "eps")


def norm_param(rng: np.random.Generator, size: int, D: int) -> Inputs:
    averages = {"running_mean": uniform(rng, D), "running_var": rng.uniform(0.5, 2, D)}
    return (
        {"mode": "train"},
        {"mode": "test", "eps": 0.5},
        {"mode": "train", "momentum": 0.7, **averages},
        {"mode": "test", **averages},
        {"mode": "train", "eps": 0.1},
    )[size]


def batchnorm(rng: np.random.Generator, size: int) -> Inputs:
    N, D = ((5, 4), (3, 2), (6, 1), (1, 3), (2, 3))[size]
    x = 2 + 3 * uniform(rng, N, D)
    return {"x": x, **scale_and_shift(rng, D), "bn_param": norm_param(rng, size, D)}


def spatial_batchnorm(rng: np.random.Generator, size: int) -> Inputs:
    N, C, H, W = ((2, 3, 2, 3), (1, 2, 3, 1), (3, 1, 2, 2), (2, 2, 1, 1), (1, 3, 2, 2))[size]
    x = 2 + 3 * uniform(rng, N, C, H, W)
    return {"x": x, **scale_and_shift(rng, C), "bn_param": norm_param(rng, size, C)}


LAYERNORM = ("five rows", "one row", "eps")


def layernorm(rng: np.random.Generator, size: int) -> Inputs:
    N, D = ((5, 4), (1, 3), (3, 6))[size]
    x = 2 + 3 * uniform(rng, N, D)
    return {"x": x, **scale_and_shift(rng, D), "ln_param": {"eps": 0.1} if size else {}}


GROUPNORM = ("three groups", "one group", "a group a channel")


def groupnorm(rng: np.random.Generator, size: int) -> Inputs:
    (N, C, H, W), G = (((2, 6, 2, 3), 3), ((1, 4, 2, 2), 1), ((3, 2, 3, 1), 2))[size]
    x = 2 + 3 * uniform(rng, N, C, H, W)
    return {"x": x, **scale_and_shift(rng, 1, C, 1, 1), "G": G, "gn_param": {"eps": 0.1} if size else {}}


CONVOLUTION = (
    "stride 1, pad 1",
    "pad 0",
    "stride larger than the window",
    "one window, one image",
    "1 x 1 filters",
    "a window that is not square, overlapping",
)


def convolution(rng: np.random.Generator, size: int) -> Inputs:
    x, w, stride, pad = (
        ((2, 3, 4, 4), (2, 3, 3, 3), 1, 1),
        ((2, 2, 5, 4), (3, 2, 3, 2), 1, 0),
        ((2, 1, 7, 8), (2, 1, 2, 2), 3, 0),
        ((1, 2, 3, 3), (2, 2, 3, 3), 2, 0),
        ((2, 2, 3, 2), (1, 2, 1, 1), 1, 1),
        ((1, 2, 5, 6), (2, 2, 3, 4), 2, 1),
    )[size]
    return {
        "x": uniform(rng, *x),
        "w": uniform(rng, *w),
        "b": uniform(rng, w[0]),
        "conv_param": {"stride": stride, "pad": pad},
    }


CONV1D = ("overlapping windows", "stride larger than the window", "one window", "one image, one channel")


def conv1d(rng: np.random.Generator, size: int) -> Inputs:
    (N, C, L), (F, K), stride = (
        ((2, 3, 6), (2, 3), 1),
        ((2, 2, 8), (3, 2), 3),
        ((2, 1, 3), (1, 3), 2),
        ((1, 1, 7), (2, 3), 2),
    )[size]
    drawn = {"x": uniform(rng, N, C, L), "w": uniform(rng, F, C, K), "b": uniform(rng, F)}
    return {**drawn, "stride": stride} if size else drawn


POOLING = ("2 x 2, stride 2", "overlapping windows", "stride larger than the window", "one window", "window of one")


def pooling(rng: np.random.Generator, size: int) -> Inputs:
    shape, height, width, stride = (
        ((2, 3, 4, 4), 2, 2, 2),
        ((2, 2, 5, 6), 3, 3, 1),
        ((1, 2, 7, 8), 2, 2, 3),
        ((2, 1, 3, 2), 3, 2, 1),
        ((1, 1, 2, 3), 1, 1, 1),
    )[size]
    # A permutation: no two numbers tie.
    x = rng.permutation(int(np.prod(shape))).reshape(shape) / 7.0
    return {"x": x, "pool_param": {"pool_height": height, "pool_width": width, "stride": stride}}


DROPOUT = ("train with a seed", "test", "train without a seed", "all kept", "an image")


def dropout(rng: np.random.Generator, size: int) -> Inputs:
    param, shape = (
        ({"p": 0.5, "mode": "train", "seed": 3}, (4, 5)),
        ({"p": 0.5, "mode": "test", "seed": 3}, (3, 2)),
        ({"p": 0.7, "mode": "train"}, (6,)),
        ({"p": 1.0, "mode": "train", "seed": 1}, (2, 3)),
        ({"p": 0.3, "mode": "train", "seed": 2}, (2, 2, 3, 2)),
    )[size]
    return {"x": uniform(rng, *shape), "dropout_param": param}


EMBEDDING = ("repeated words", "zero steps", "one word", "one word everywhere")


def embedding(rng: np.random.Generator, size: int) -> Inputs:
    x = (np.array([[0, 3, 1], [2, 3, 3]]), np.zeros((2, 0), int), np.array([[4]]), np.full((3, 2), 1))[size]
    return {"x": x, "W": uniform(rng, 5, 3)}


CLASSIFIER = ("five rows", "one row", "two classes", "one label for all")


def classifier(rng: np.random.Generator, size: int) -> Inputs:
    N, D, C = ((5, 4, 3), (1, 3, 4), (6, 2, 2), (4, 3, 3))[size]
    y = np.full(N, 1) if size == 3 else rng.integers(0, C, N)
    return {"W": rng.normal(size=(D, C)), "X": rng.normal(size=(N, D)), "y": y, "reg": 0.3}


HINGE = ("five rows", "one row", "every margin met", "one feature")


def hinge(rng: np.random.Generator, size: int) -> Inputs:
    N, D = ((5, 4), (1, 3), (4, 3), (6, 1))[size]
    w, X = rng.normal(size=D), rng.normal(size=(N, D))
    y = rng.choice([-1.0, 1.0], N)
    if size == 2:
        X *= (y * 5 / (X @ w))[:, np.newaxis]
    return {"w": w, "X": X, "y": y, "reg": 0.3}


NETWORK = ("three layers", "one layer", "two layers, one row", "five layers", "scores only")


def network(rng: np.random.Generator, size: int) -> Inputs:
    N, image, dims = (
        (4, (2, 3), (6, 5, 4, 3)),
        (3, (4,), (4, 2)),
        (1, (3,), (3, 6, 2)),
        (2, (2, 2, 1), (4, 3, 6, 4, 5, 3)),
        (3, (4,), (4, 5, 3)),
    )[size]
    params: Inputs = {}
    for i in range(1, len(dims)):
        params[f"W{i}"] = rng.normal(size=(dims[i - 1], dims[i]))
        params[f"b{i}"] = rng.normal(size=dims[i])
    X = rng.normal(size=(N, *image))
    if size == 4:
        return {"params": params, "X": X}
    return {"params": params, "X": X, "y": rng.integers(0, dims[-1], N), "reg": 0.1}


CONV_NET = ("two images", "one image", "1 x 1 filters", "no penalty")


def conv_net(rng: np.random.Generator, size: int) -> Inputs:
    (N, C, H, W), F, K, M, classes = (
        ((2, 2, 4, 4), 3, 3, 5, 3),
        ((1, 1, 2, 4), 2, 3, 3, 2),
        ((3, 2, 2, 2), 2, 1, 4, 3),
        ((2, 1, 4, 2), 2, 3, 4, 2),
    )[size]
    shapes = {"W1": (F, C, K, K), "W2": (F * H * W // 4, M), "W3": (M, classes)}
    params: Inputs = {}
    for name, shape in shapes.items():
        bias = shape[0] if name == "W1" else shape[1]
        params |= {name: uniform(rng, *shape), name.replace("W", "b"): uniform(rng, bias)}
    drawn = {"params": params, "X": rng.normal(size=(N, C, H, W)), "y": rng.integers(0, classes, N)}
    return drawn if size == 3 else {**drawn, "reg": 0.1}


ATTENTION = ("two heads", "one head", "a mask", "one step each", "a mask and a head for each feature")


def attention(rng: np.random.Generator, size: int) -> Inputs:
    N, S, T, E, heads = ((2, 3, 4, 6, 2), (1, 2, 3, 4, 1), (2, 3, 3, 4, 2), (2, 1, 1, 2, 2), (1, 4, 4, 3, 3))[size]
    drawn: Inputs = {"query": uniform(rng, N, S, E), "key": uniform(rng, N, T, E), "value": uniform(rng, N, T, E)}
    drawn |= {name: uniform(rng, E, E) for name in ("Wq", "Wk", "Wv", "Wo")}
    drawn |= {"bo": uniform(rng, E), "num_heads": heads}
    return {**drawn, "attn_mask": np.tril(np.ones((S, T)))} if size in (2, 4) else drawn


def covariance(rng: np.random.Generator, n: int) -> np.ndarray[Any, Any]:
    root = uniform(rng, n, n)
    spread: np.ndarray[Any, Any] = root @ root.T + 0.5 * np.eye(n)
    return spread


KALMAN = ("four steps", "one step", "zero steps", "numbers for matrices", "more observed than there is")


def kalman(rng: np.random.Generator, size: int) -> Inputs:
    T, n, p = ((4, 3, 2), (1, 2, 2), (0, 2, 1), (5, 1, 1), (3, 2, 4))[size]
    return {
        "y": uniform(rng, T, p),
        "A": uniform(rng, n, n),
        "C": uniform(rng, p, n),
        "Q": covariance(rng, n),
        "R": covariance(rng, p),
        "m0": uniform(rng, n),
        "P0": covariance(rng, n),
    }


STEPS = ("five steps", "one step", "zero steps", "backwards in time")


def populations(rng: np.random.Generator, size: int) -> Inputs:
    num_steps, h = ((5, 0.1), (1, 0.2), (0, 0.1), (3, -0.05))[size]
    return {"z0": rng.uniform(0.5, 2, 2), "theta": rng.uniform(0.3, 1.5, 4), "h": h, "num_steps": num_steps}


HMM = ("five steps", "one step", "one symbol repeated", "one state")


def hmm(rng: np.random.Generator, size: int) -> Inputs:
    T, K, M = ((5, 3, 4), (1, 2, 3), (4, 2, 3), (3, 1, 2))[size]
    return {
        "log_pi": np.log(rng.dirichlet(np.ones(K))),
        "log_A": np.log(rng.dirichlet(np.ones(K), K)),
        "log_B": np.log(rng.dirichlet(np.ones(M), K)),
        "obs": np.full(T, 1) if size == 2 else rng.integers(0, M, T),
    }


MEMORY = ("four rows", "one row", "two rows", "one column")


def memory(rng: np.random.Generator, size: int) -> Inputs:
    N, M = ((4, 3), (1, 3), (2, 2), (5, 1))[size]

    def head() -> Inputs:
        return {
            "k": rng.uniform(0.5, 1.5, M),
            "beta": float(rng.uniform(0.5, 2)),
            "g": float(rng.uniform(0.2, 0.8)),
            "shift": rng.dirichlet(np.ones(3)),
            "gamma": float(rng.uniform(1, 2)),
        }

    return {
        "memory": rng.normal(size=(N, M)),
        "w_write": rng.dirichlet(np.ones(N)),
        "w_read": rng.dirichlet(np.ones(N)),
        "write_head": {**head(), "erase": rng.uniform(0.1, 0.9, M), "add": uniform(rng, M)},
        "read_head": head(),
    }
