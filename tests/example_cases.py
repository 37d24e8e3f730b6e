"""Every example: how it is compiled, and what each of its functions is called with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tests import example_arguments as drawn
from tests.example_arguments import Draw, Inputs
from tests.support import EXAMPLES, GENERATED, compiled


@dataclass(frozen=True, slots=True)
class Case:
    """One function of one example.

    `inputs` draws arguments of the size that `sizes` names at the same position. The first `results` results of the
    user's function are the differentiated ones; what follows them is a cache or a gradient of the user's own. At the
    sizes in `scores_only` the function returns early, with nothing that can be differentiated.

    `throughout`: with arguments in single precision, what is computed between them and the results is in single
    precision, too.

    HIPS autograd runs `plain`: the example's own source, if empty; None where it writes into arrays, which HIPS
    autograd does not understand, or calls methods of them that it does not have.
    """

    stem: str
    function: str
    wrt: tuple[str, ...]
    inputs: Draw
    sizes: tuple[str, ...]
    results: int = 1
    scores_only: tuple[int, ...] = ()
    throughout: bool = True
    plain: str | None = ""

    @property
    def path(self) -> Path:
        return EXAMPLES / f"{self.stem}.py"

    @property
    def source(self) -> str:
        return self.path.read_text()

    def draw(self, size: int) -> Inputs:
        return self.inputs(np.random.default_rng(100 + size), size)

    def select(self, returned: Any) -> tuple[Any, ...]:
        """The differentiated results of the user's function."""
        return returned[: self.results] if isinstance(returned, tuple) else (returned,)


@dataclass(frozen=True, slots=True)
class Example:
    """One file of `examples/` and the options that its module in `generated/` is written with."""

    stem: str
    options: Mapping[str, Any] = field(default_factory=dict)

    def text(self) -> str:
        """What the compiler writes for it now."""
        path = EXAMPLES / f"{self.stem}.py"
        return compiled(path.read_text(), str(path), **self.options).text

    def committed(self) -> str:
        return (GENERATED / f"{self.stem}_grad.py").read_text()


NETWORK = ("x", "y", "w1", "b1", "w2", "b2", "w3", "b3")
UNITS = ("x1", "x2", "y1", "Wx1", "bx1", "Wx2", "bx2", "Wy1", "by1", "Wy2", "by2")
NORMED = ("x", "gamma", "beta")
GATED = tuple(f"{kind}{gate}" for gate in "zrh" for kind in "WUb")
PROJECTIONS = ("Wq", "Wk", "Wv", "Wo", "bo")
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
    Example("hinge", {"wrt": ("w",)}),
    Example("svm_naive", {"wrt": ("W",)}),
    Example("softmax_naive", {"wrt": ("W",)}),
    Example("fully_connected", {"wrt": ("params",)}),
    Example("dropout"),
    Example("normalization"),
    Example("conv1d"),
    Example("conv_naive"),
    Example("conv_im2col"),
    Example("max_pool"),
    Example("conv_net", {"functions": ("conv_net_loss",), "wrt": ("params",)}),
    Example("word_embedding"),
    Example("rnn"),
    Example("lstm"),
    Example("gru"),
    Example("char_rnn"),
    Example("attention"),
    Example("ntm", {"functions": ("ntm_step",)}),
    Example("hmm", {"functions": ("hmm_log_likelihood",)}),
    Example("kalman"),
    Example("runge_kutta", {"functions": ("simulate",)}),
)

CASES = (
    Case("add_mul", "circuit", ("x", "y", "z"), drawn.scalars("x", "y", "z"), drawn.SCALARS),
    Case("neuron", "neuron", ("w", "x"), drawn.lists, drawn.LISTS),
    Case("staged", "f", ("x", "y"), drawn.scalars("x", "y"), drawn.SCALARS),
    Case("matmul", "matmul", ("W", "X"), drawn.matrices, drawn.MATRICES, plain=PLAIN_MATMUL),
    Case("toy_network", "toy_network", NETWORK, drawn.scalars(*NETWORK), drawn.SCALARS),
    Case("toy_network", "sigmoid", ("z",), drawn.scalars("z"), drawn.SCALARS),
    Case("tanh_units", "two_units", UNITS, drawn.scalars(*UNITS), drawn.SCALARS),
    Case("tanh_net", "tanh_net", ("X", "Y", "W1", "b1", "W2", "b2"), drawn.tanh_net, drawn.NET),
    Case("svm", "svm_loss", ("W", "X"), drawn.svm, drawn.SVM, plain=PLAIN_HINGE),
    Case("two_layer_net", "two_layer_net", ("W1", "b1", "W2", "b2"), drawn.softmax_net, drawn.NET),
    Case("layers", "affine", ("x", "w", "b"), drawn.affine, drawn.AFFINE),
    Case("layers", "relu", ("x",), drawn.relu, drawn.RELU),
    Case("layers", "affine_relu", ("x", "w", "b"), drawn.affine, drawn.AFFINE),
    Case("layers", "batchnorm", NORMED, drawn.column_batchnorm, drawn.COLUMN_BATCHNORM),
    Case("logistic_regression", "logistic_loss", ("w",), drawn.labelled, drawn.LABELLED),
    Case("hinge", "hinge_loss", ("w",), drawn.hinge, drawn.HINGE),
    Case("svm_naive", "svm_loss_naive", ("W",), drawn.classifier, drawn.CLASSIFIER, plain=None),
    Case("softmax_naive", "softmax_loss_naive", ("W",), drawn.classifier, drawn.CLASSIFIER, plain=None),
    Case(
        "fully_connected",
        "fully_connected_loss",
        ("params",),
        drawn.network,
        drawn.NETWORK,
        scores_only=(4,),
        plain=None,
    ),
    Case("dropout", "dropout", ("x",), drawn.dropout, drawn.DROPOUT, throughout=False),
    Case("normalization", "batchnorm", NORMED, drawn.batchnorm, drawn.BATCHNORM),
    Case("normalization", "layernorm", NORMED, drawn.layernorm, drawn.LAYERNORM),
    Case("normalization", "spatial_batchnorm", NORMED, drawn.spatial_batchnorm, drawn.BATCHNORM, plain=None),
    Case("normalization", "spatial_groupnorm", NORMED, drawn.groupnorm, drawn.GROUPNORM),
    Case("conv1d", "conv1d", ("x", "w", "b"), drawn.conv1d, drawn.CONV1D, plain=None),
    Case("conv_naive", "conv", ("x", "w", "b"), drawn.convolution, drawn.CONVOLUTION, plain=None),
    Case("conv_im2col", "conv", ("x", "w", "b"), drawn.convolution, drawn.CONVOLUTION, plain=None),
    Case("max_pool", "max_pool", ("x",), drawn.pooling, drawn.POOLING, plain=None),
    Case("conv_net", "conv_net_loss", ("params",), drawn.conv_net, drawn.CONV_NET, plain=None),
    Case("word_embedding", "word_embedding", ("W",), drawn.embedding, drawn.EMBEDDING),
    Case("rnn", "rnn", ("x", "h0", "Wx", "Wh", "b"), drawn.rnn, drawn.RECURRENT, plain=None),
    Case(
        "lstm",
        "lstm_step",
        ("x", "prev_h", "prev_c", "Wx", "Wh", "b"),
        drawn.lstm_step,
        drawn.LSTM_STEP,
        results=2,
        plain=None,
    ),
    Case("lstm", "lstm", ("x", "h0", "Wx", "Wh", "b"), drawn.lstm, drawn.RECURRENT, plain=None),
    Case("gru", "gru", ("x", "h0", *GATED), drawn.gru, drawn.RECURRENT),
    Case(
        "char_rnn",
        "char_rnn_loss",
        ("hprev", "Wxh", "Whh", "Why", "bh", "by"),
        drawn.char_rnn,
        drawn.CHARACTERS,
        results=2,
        plain=None,
    ),
    Case(
        "attention",
        "multi_head_attention",
        ("query", "key", "value", *PROJECTIONS),
        drawn.attention,
        drawn.ATTENTION,
        plain=None,
    ),
    Case(
        "ntm",
        "ntm_step",
        ("memory", "w_write", "w_read", "write_head", "read_head"),
        drawn.memory,
        drawn.MEMORY,
        results=4,
        plain=None,
    ),
    Case("hmm", "hmm_log_likelihood", ("log_pi", "log_A", "log_B"), drawn.hmm, drawn.HMM, plain=None),
    Case("kalman", "kalman_log_likelihood", ("y", "A", "C", "Q", "R", "m0", "P0"), drawn.kalman, drawn.KALMAN),
    Case("runge_kutta", "simulate", ("z0", "theta", "h"), drawn.populations, drawn.STEPS, plain=None),
)
