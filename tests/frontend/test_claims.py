"""What people write about shapes, in the styles of courses and libraries, and what is read from it."""

from __future__ import annotations

import ast
import contextlib
import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flatgrad.diagnostics import Diagnostic, Refused
from flatgrad.frontend.claim import Claim
from flatgrad.frontend.claims import check_options, parameter_claims, statement_claims
from flatgrad.frontend.shapetext import read_shape
from flatgrad.frontend.source import Module, read_module, text_at
from flatgrad.ir.core import DType, Span
from flatgrad.ir.dims import Dim, Shape

IMPORTS = """\
import numpy as np
import numpy.typing as npt
from numpy.typing import NDArray
from typing import Annotated, Dict, List, Optional, Tuple, Union
from jaxtyping import Array, Bool, Float, Float32, Int, Num
"""


def function_of(source: str) -> tuple[Module, ast.FunctionDef]:
    module = read_module(source, "model.py")
    return module, next(iter(module.functions.values()))


def claims_of(source: str, *shapes: tuple[str, str]) -> tuple[Claim, ...]:
    return parameter_claims(*function_of(source), shapes)


def spelt(claim: Claim) -> str:
    """`(N, D) int array`: the parts of a claim that are said."""
    parts = (claim.shape, claim.dtype and claim.dtype.value, claim.kind)
    return " ".join(str(part) for part in parts if part is not None)


def annotated(annotation: str) -> str:
    """What is read from one annotation of a parameter x."""
    claims = claims_of(f"{IMPORTS}def f(x: {annotation}):\n    return x\n")
    return ", ".join(map(spelt, claims))


def documented(
    docstring: str, parameters: str = "x, w, b, y, X, W, A, reg, eps, h", indent: str = "    "
) -> dict[str, str]:
    """What a docstring says of each parameter, as `spelt`."""
    body = textwrap.indent(f'"""{docstring}"""', indent).lstrip()
    claims = claims_of(f"def f({parameters}):\n    {body}\n    return x\n")
    assert len({claim.name for claim in claims}) == len(claims)
    return {claim.name: spelt(claim) for claim in claims}


def commented(comment: str, statement: str = "h = x + 1") -> str:
    """What a comment behind a statement says."""
    claims = statement_claims(*function_of(f"def f(x):\n    {statement}  {comment}\n    return h\n"))
    return ", ".join(f"{claim.name}: {spelt(claim)}" for claim in claims)


def refused(source: str, *shapes: tuple[str, str]) -> Diagnostic:
    with pytest.raises(Refused) as caught:
        claims_of(source, *shapes)
    (diagnostic,) = caught.value.diagnostics
    return diagnostic


# Annotations


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        # strings
        ('"N D"', "(N, D) array"),
        ('"H"', "(H,) array"),
        ('"N int"', "(N,) int array"),
        ('"N T bool"', "(N, T) bool array"),
        ('"N float32"', "(N,) float array"),
        ('"N 3 2*H"', "(N, 3, 2*H) array"),
        ('"D 4H"', "(D, 4*H) array"),
        ('"N+1 D"', "(N + 1, D) array"),
        ('"H*W C"', "(H*W, C) array"),
        ('"3"', "(3,) array"),
        ('"... D"', "(*x.dims, D) array"),
        ('"N ..."', "(N, *x.dims) array"),
        ('"..."', "(*x.dims,)"),
        ('"N _ D"', "(N, x.1, D) array"),
        ('"*batch D"', "(*batch, D) array"),
        ('"batch time D"', "(batch, time, D) array"),
        ('"n_samples n_features"', "(n_samples, n_features) array"),
        ('"N, D"', "(N, D) array"),
        ('"(N, D)"', "(N, D) array"),
        ('"(N,)"', "(N,) array"),
        ('""', "()"),
        ("'N D'", "(N, D) array"),
        # types
        ("float", "() float scalar"),
        ('"float"', "() float scalar"),
        ("int", "() int scalar"),
        ("bool", "() bool scalar"),
        ("np.float64", "() float scalar"),
        ("np.int64", "() int scalar"),
        ("str", "other"),
        ("tuple", "other"),
        ("list", "list"),
        ("list[float]", "float list"),
        ("List[int]", "int list"),
        ('"list[float]"', "float list"),
        ("list[np.ndarray]", "list"),
        ("dict", "dict"),
        ("dict[str, np.ndarray]", "dict"),
        ("Dict[str, float]", "dict"),
        ("Tuple[int, int]", "other"),
        ("np.ndarray", "array"),
        ('"np.ndarray"', "array"),
        ("npt.NDArray[np.float64]", "float array"),
        ("NDArray[np.int64]", "int array"),
        ("np.ndarray[Any, np.dtype[np.float32]]", "float array"),
        ('Annotated[np.ndarray, "N D"]', "(N, D) array"),
        ('Annotated[NDArray[np.float64], "N D"]', "(N, D) float array"),
        ('Annotated[float, "the strength"]', "() float scalar"),
        # jaxtyping
        ('Float[np.ndarray, "N D"]', "(N, D) float array"),
        ('Float32[Array, "batch hidden_units"]', "(batch, hidden_units) float array"),
        ('Int[Array, "N"]', "(N,) int array"),
        ('Bool[Array, "N T"]', "(N, T) bool array"),
        ('Num[Array, "rows cols"]', "(rows, cols) array"),
        ('Float[Array, ""]', "() float"),
        ('Float[Array, "*batch D"]', "(*batch, D) float array"),
        ('Float[Array, "... D"]', "(*x.dims, D) float array"),
        ('Float[Array, "#N D"]', "(x.0, D) float array"),
        ('Float[Array, "*#batch D"]', "(*x.dims, D) float array"),
        ('Float[Array, "_ D"]', "(x.0, D) float array"),
        ('Float[Array, "rgb=3 H"]', "(3, H) float array"),
        ("\"Float[np.ndarray, 'N D']\"", "(N, D) float array"),
        # no claim
        ("Optional[np.ndarray]", ""),
        ("np.ndarray | None", ""),
        ('"np.ndarray | None"', ""),
        ("Union[float, np.ndarray]", ""),
        ("float | np.ndarray", ""),
        ('Optional[Float[Array, "N D"]]', ""),
        ('"Tensor"', ""),
        ('"Array"', ""),
        ("Array", ""),
        ('"Network"', ""),
        ('"the input data"', ""),
        ('"a matrix"', ""),
        ('"A matrix of weights"', ""),
        ('"input, a vector"', ""),
        ('"see eq. (3)"', ""),
        ('"x"', ""),
        ('"int64"', ""),
        ("object", ""),
        ("npt.ArrayLike", ""),
        ("3", ""),
        ("(3, 4)", ""),
    ],
)
def test_annotations(annotation: str, expected: str) -> None:
    assert annotated(annotation) == expected


@pytest.mark.parametrize(
    ("annotation", "reason"),
    [
        ('"N D-"', "D- is not a dim"),
        ('"N ... ... D"', "only one part of a shape can be left open"),
        ('"N,, D"', "a dim is missing"),
        ('"(N, D"', "(N is not a dim"),
        ('"N 2**H"', "2**H is not a dim"),
        ('"N -3"', "-3 is negative"),
        ('Float[Array, "N D)"]', "D) is not a dim"),
        ('Float[Array, "N float()"]', "float() is not a dim"),
        ('Annotated[np.ndarray, "N H//0"]', "H//0 is not a dim"),
    ],
)
def test_malformed_annotations(annotation: str, reason: str) -> None:
    source = f"{IMPORTS}def f(é, x: {annotation}):\n    return x\n"
    diagnostic = refused(source)
    assert (diagnostic.code, diagnostic.message, diagnostic.label) == ("FG051", "this annotation is no shape", reason)
    assert '"N 2*H"' in diagnostic.help
    assert diagnostic.span is not None
    assert text_at(read_module(source, "model.py"), diagnostic.span) == annotation


def test_malformed_annotations_are_all_reported() -> None:
    with pytest.raises(Refused) as caught:
        claims_of('def f(x: "N D-", y, w: "D 2**H"):\n    return x\n')
    assert [diagnostic.span for diagnostic in caught.value.diagnostics] == [Span(1, 9, 1, 15), Span(1, 23, 1, 31)]


# Docstrings


@pytest.mark.parametrize(
    ("description", "expected"),
    [
        ("A numpy array containing input data, of shape (N, d_1, ..., d_k)", "(N, *x.dims) array"),
        ("Input data, of shape (N, d_1, ... d_k)", "(N, *x.dims) array"),
        ("Input data, of shape (N, d1, d2, ..., dk)", "(N, *x.dims) array"),
        ("Input data, of shape (d_1, ..., d_k)", "(*x.dims,)"),
        ("Input data, of shape (N, ..., D)", "(N, *x.dims, D) array"),
        ("Input data, of shape (..., D)", "(*x.dims, D) array"),
        ("Input data of shape (N, *, H_in)", "(N, *x.dims, H_in) array"),
        ("Input data of shape (N, C, H, W)", "(N, C, H, W) array"),
        ("Filter weights of shape (F, C, HH, WW)", "(F, C, HH, WW) array"),
        ("Biases, of shape (F,)", "(F,) array"),
        ("Biases of shape (4H,)", "(4*H,) array"),
        ("Input-to-hidden weights, of shape (D, 4H)", "(D, 4*H) array"),
        ("columns, of shape (C*HH*WW, N * H)", "(C*HH*WW, H*N) array"),
        ("of shape (n_features + 1,)", "(n_features + 1,) array"),
        ("of shape (N, 3)", "(N, 3) array"),
        ("of shape (N,3).", "(N, 3) array"),
        ("of shape (M, )", "(M,) array"),
        ("of shape (D)", "(D,) array"),
        ("of shape ()", "()"),
        ("a vector of shape [D]", "(D,) array"),
        ("numpy array, shape (M, )", "(M,) array"),
        ("array with shape (N, D)", "(N, D) array"),
        ("the input, shape = (N, D)", "(N, D) array"),
        ("the input. Shape: (N, D)", "(N, D) array"),
        ("Integer array of shape (N, T) giving indices of words.", "(N, T) int array"),
        ("Integer labels of shape (N,)", "(N,) int array"),
        ("array of integers, of shape (N,)", "(N,) int array"),
        ("Boolean array of shape (N, T) where mask[i, t] tells whether", "(N, T) bool array"),
        ("array of floats of shape (N,)", "(N,) array"),
        ("Vector of labels, of shape (N,) where y[i] is the label for x[i] and 0 <= y[i] < C", "(N,) array"),
        ("Labels of shape (N,), where each y[i] has shape (C,)", "(N,) array"),
        ("Input of shape (N, D). Each row has shape (D,).", "(N, D) array"),
        ("numpy array of shape (size of current layer, size of previous layer)", "(x.0, x.1) array"),
        ('"true" labels vector, of shape (1, number of examples)', "(1, x.1) array"),
        ("ndarray of shape (N, ?)", "(N, x.1) array"),
        ("output of shape (N, H', W')", "(N, x.1, x.2) array"),
        ("of shape (N, H/2)", "(N, x.1) array"),
        ("(N, D)", "(N, D) array"),
        ("(N, D) input data", "(N, D) array"),
        ("(N,) array of labels", "(N,) array"),
        ("numpy array (N, D)", "(N, D) array"),
        ("array_like, (N, D)", "(N, D)"),
        ("(batch_size, in_features)", "(batch_size, in_features) array"),
        ("an N x D matrix", "(N, D) array"),
        ("an NxD array", "(N, D) array"),
        ("N-by-D matrix of points", "(N, D) array"),
        ("(N x D) matrix", "(N, D) array"),
        ("a matrix of size N x D", ""),
        ("matrix of size (N, D)", "(N, D) array"),
        ("a bias of shape (H,)", "(H,) array"),
        ("a minibatch of images of shape (N, H, W, C)", "(N, H, W, C) array"),
        ("(batch_size, hidden)", "(batch_size, hidden) array"),
        ("[batch_size, num_heads, seq_len, depth]", "(batch_size, num_heads, seq_len, depth) array"),
        ("D x H", "(D, H) array"),
        ("input (N x D)", "(N, D) array"),
        ("data of size (n_x, m)", "(n_x, m) array"),
        ("weights of size (D, )", "(D,) array"),
        ("data of size (3 * n, number of examples)", "(3*n, x.1) array"),
        (
            '"true" labels (containing 0 if it is none, 1 if it is one) of size (1, number of examples)',
            "(1, x.1) array",
        ),
        ("activations (or input data): (size of previous layer, number of examples)", "(x.0, x.1) array"),
        ("in shape (word vector length, )", "(x.0,) array"),
        ("np.ndarray[N, D]", "(N, D) array"),
        ("an array of shape `(n_ex, n_in)`", "(n_ex, n_in) array"),
        ("a vector of length N", "(N,) array"),
        ("D-dimensional vector", "(D,) array"),
        ("a 2D array of scores", "(x.0, x.1) array"),
        # scalars
        ("bias, a scalar", "() scalar"),
        ("regularization strength", "() scalar"),
        ("(float) regularization strength", "() scalar"),
        ("L2 regularization strength for the weights.", "() scalar"),
        ("Scalar giving regularization strength", "() scalar"),
        ("Constant for numeric stability", "() scalar"),
        ("learning rate", "() scalar"),
        ("float", "() scalar"),
        ("float, the step", "() scalar"),
        ("a float in (0, 1)", "() scalar"),
        ("int, number of steps", "() int scalar"),
        ("(int) number of steps", "() int scalar"),
        ("number of classes", "() scalar"),
        ("bool, whether to average", "() bool scalar"),
        # containers
        ("Dictionary with the following keys:", "dict"),
        ("(dict) of parameters", "dict"),
        ("dictionary of arrays, each of shape (N, D)", "dict"),
        ("Dictionary {story: np.ndarray of shape (seq_len, hidden_size)}", "dict"),
        ("list of arrays of shape (N, D)", "list"),
        ("list of floats", "list"),
        ("tuple of two arrays of shape (N,)", "other"),
        ("string, 'train' or 'test'", ""),
        # no claim
        ("input data", ""),
        ("Inputs, of any shape", ""),
        ("Input, of the same shape as y", ""),
        ("Input data, reshaped to shape (N, D)", ""),
        ("array of shape (N,) or (N, 1)", ""),
        ("array of shape (N,) / (N, 1)", ""),
        ("array of shape (N, D), or None", ""),
        ("scalar or array of shape (N,)", ""),
        ("float or ndarray of shape (N,)", ""),
        ("either of shape (N,) or a scalar", ""),
        ("of shape (N, D) if training, else (D,)", ""),
        ("when a batch is given, of shape (N, D)", ""),
        ("rows, each of shape (D,)", ""),
        ("N images of shape (H, W)", ""),
        ("5 filters, of shape (K, K)", ""),
        ("anything that broadcasts against shape (N, D)", ""),
        ("of shape (N, D) and (D,)", ""),
        ("shapes (N, D) and (D, M)", ""),
        ("of shape (same as y)", ""),
        ("of shape (x.shape[0], D)", ""),
        ("of shape (a mess", ""),
        ("coordinates of a point (X, Y)", ""),
        ("(x, y) coordinates", ""),
        ("(0, 1) valued", ""),
        ("(height, width) of the window", ""),
        ("probability in (0, 1)", ""),
        ("(N) examples", ""),
        ("(optional) data", ""),
        ("a 3x3 kernel", ""),
        ("images of size (H, W)", ""),
        ("a filter of size (3, 3)", ""),
        ("a column vector of length N", ""),
        ("1D or 2D array", ""),
        ("a 3D vector", ""),
        ("(if given) of size (N, D)", ""),
        ("bias, a scalar for each unit", ""),
        ("float or array", ""),
        ("constant weights", ""),
        ("labels for a number of examples", ""),
        ("the rate of each unit", ""),
        ("float array", ""),
        ("vector of coefficients", ""),
        ("a number or None", ""),
    ],
)
def test_descriptions(description: str, expected: str) -> None:
    found = documented(f"Summary.\n\nInputs:\n- x: {description}\n\nReturns: the result\n", "x, y")
    assert found == ({"x": expected} if expected else {})


CS231N_SVM = """
  Structured SVM loss function, vectorized.

  Inputs have dimension D, there are C classes, and we operate on minibatches
  of N examples.

  Inputs:
  - W: A numpy array of shape (D, C) containing weights.
  - X: A numpy array of shape (N, D) containing a minibatch of data.
  - y: A numpy array of shape (N,) containing training labels; y[i] = c means
    that X[i] has label c, where 0 <= c < C.
  - reg: (float) regularization strength

  Returns a tuple of:
  - loss as single float
  - gradient with respect to weights W; an array of same shape as W
"""
CS231N_AFFINE = """Computes the forward pass for an affine (fully-connected) layer.

The input x has shape (N, d_1, ..., d_k) and contains a minibatch of N
examples, where each example x[i] has shape (d_1, ..., d_k). We will
reshape each input into a vector of dimension D = d_1 * ... * d_k, and
then transform it to an output vector of dimension M.

Inputs:
-x: A numpy array containing input data, of shape (N, d_1, ..., d_k)
- w: A numpy array of weights, of shape (D, M)
- b: A numpy array of biases,
  of shape (M,)

Returns a tuple of:
- out: output, of shape (N, M)
- x: the input again, of shape (N, D)
- cache: (x, w, b)
"""
CS231N_BATCHNORM = """
    Forward pass for batch normalization.

    Input:
    - x: Data of shape (N, D)
    - w: Scale parameter of shape (D,)
    - b: Shift paremeter of shape (D,)
    - h: Dictionary with the following keys:
      - mode: 'train' or 'test'; required
      - eps: Constant for numeric stability
      - y: Array of shape (D,) giving running mean of features

    Returns a tuple of:
    - out: of shape (N, D)
"""
COURSERA = """
    Implement the linear part of a layer's forward propagation.

    Arguments:
    A -- activations from previous layer (or input data): (size of previous layer, number of examples)
    W -- weights matrix: numpy array of shape (size of current layer, size of previous layer)
    b -- bias vector, numpy array of shape (size of the current layer, 1)

    Returns:
    Z -- the input of the activation function, also called pre-activation parameter
"""
CMU = """
    Argument:
        A (np.array): (batch_size, in_features)
        x: (input_dim)
            observation at current time-step.
    Return:
        Z (np.array): (batch_size, out_features)
"""
NUMPYDOC = """Fit.

    Parameters
    ----------
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Training data.
    y : ndarray, shape (n_samples,), dtype=int
        Target labels.
    w
        A 2D numpy array of shape (n_features, n_targets).
    b : array_like of shape (n_targets,) or (1,)
    reg : float
        Regularization strength.
    eps : float, optional
        Tolerance.

    Returns
    -------
    x : ndarray, shape (N, D)
"""
GOOGLE = """Layer.

    Args:
        x (np.ndarray): Inputs of shape (N, D).
        w (np.ndarray, shape (D, M)): weights
        b (NDArray[np.float64]): bias, shape (M,)
        y (N,): labels
        reg (float): Regularization strength.
        eps (float, optional): small.

    Returns:
        np.ndarray: of shape (N, M).

    Raises:
        ValueError: x: of shape (M, M)
"""
SPHINX = """Layer.

    :param x: A numpy array of input data, of shape (N, D)
    :param ndarray w: weights, of shape (D, M)
    :param b: bias
    :type b: ndarray of shape (M,)
    :param float reg: strength
    :return: out of shape (N, M)
    :rtype: x of shape (M, M)
"""
OURS = """Multiclass loss.

    Shapes: X (N, D), y (N,) int, W (D, H), b (4*H,), w (H*W, N + 1), h (N, *rest), reg ().
"""


@pytest.mark.parametrize(
    ("docstring", "expected"),
    [
        (
            CS231N_SVM,
            {"W": "(D, C) array", "X": "(N, D) array", "y": "(N,) array", "reg": "() scalar"},
        ),
        (CS231N_AFFINE, {"x": "(N, *x.dims) array", "w": "(D, M) array", "b": "(M,) array"}),
        (
            CS231N_BATCHNORM,
            {"x": "(N, D) array", "w": "(D,) array", "b": "(D,) array", "h": "dict", "h['y']": "(D,) array"},
        ),
        (COURSERA, {"A": "(A.0, A.1) array", "W": "(W.0, W.1) array", "b": "(b.0, 1) array"}),
        (CMU, {"A": "(batch_size, in_features) array"}),
        (
            NUMPYDOC,
            {
                "X": "(n_samples, n_features)",
                "y": "(n_samples,) int array",
                "w": "(n_features, n_targets) array",
                "reg": "() scalar",
                "eps": "() scalar",
            },
        ),
        (
            GOOGLE,
            {
                "x": "(N, D) array",
                "w": "(D, M) array",
                "b": "(M,) array",
                "y": "(N,) array",
                "reg": "() scalar",
                "eps": "() scalar",
            },
        ),
        (SPHINX, {"x": "(N, D) array", "w": "(D, M) array", "b": "(M,) array", "reg": "() scalar"}),
        (
            OURS,
            {
                "X": "(N, D) array",
                "y": "(N,) int array",
                "W": "(D, H) array",
                "b": "(4*H,) array",
                "w": "(H*W, N + 1) array",
                "h": "(N, *rest) array",
                "reg": "()",
            },
        ),
        ("Gradients from y (N, M): dx like x, dw (D, M), db (M,).", {"y": "(N, M) array"}),
        ("x and y: arrays of shape (N,)", {"x": "(N,) array", "y": "(N,) array"}),
        ("\n- x, y: arrays of shape (N, ...)", {"x": "(N, *x.dims) array", "y": "(N, *y.dims) array"}),
        ("x and w have shape (N, D).", {"x": "(N, D) array", "w": "(N, D) array"}),
        ("`x` is of shape (N, D); b has shape (D,).", {"x": "(N, D) array", "b": "(D,) array"}),
        ("x is an array of shape (N, D).", {"x": "(N, D) array"}),
        ("Affine layer: x (N, D), w (D, M), b (M,).", {"x": "(N, D) array", "w": "(D, M) array", "b": "(M,) array"}),
        ("Affine.\n\nx: (N, D), w: (D, M)", {"x": "(N, D) array", "w": "(D, M) array"}),
        ("**x**: of shape (N, D)", {"x": "(N, D) array"}),
        ("Softmax loss; X is (N, D) and W is (D, C).", {"X": "(N, D) array", "W": "(D, C) array"}),
        ("w: (D,), b: scalar, X: (N, D)", {"w": "(D,) array", "b": "() scalar", "X": "(N, D) array"}),
        ("w/x: (B, T, D), y: (T, T) or (B, T, T).", {"w": "(B, T, D) array", "x": "(B, T, D) array"}),
        (
            "\nh -- python dictionary containing:\n    W -- weights, of shape (n, m)\n    e -- one\nx -- (m, 1)\n",
            {"h": "dict", "h['W']": "(n, m) array", "x": "(m, 1) array"},
        ),
        (
            "\nh: dictionary with\n  - W of shape (D, H), b of shape (H,)\nX: of shape (N, D)\n",
            {"h": "dict", "h['W']": "(D, H) array", "h['b']": "(H,) array", "X": "(N, D) array"},
        ),
        # no claim
        ("If x has shape (N, D) then so has the result.", {}),
        ("Each x has shape (D,).", {}),
        ("The gradient of x has shape (N, D).", {}),
        ("x[i] has shape (D,); max.x has shape (D,)", {}),
        ("x has shape (N, D) or (D,).", {}),
        ("The label of x (N, D) is w.", {}),
        ("Returns:\n- x: of shape (N, D)", {}),
        ("Returns\n\nx has shape (N, D)", {}),
        ("Loss.\n\nReturns x, which has shape (N, D), and w: (D, M)", {}),
        ("x: of shape (N, D)\n\nThe input x has shape (N, T, D).", {}),
        ("Examples:\n    x: of shape (N, D)", {}),
        ("f(x) (N, D)", {}),
    ],
)
def test_docstrings(docstring: str, expected: dict[str, str]) -> None:
    assert documented(docstring) == expected


@pytest.mark.parametrize("quotes", ['"""', "'''", 'r"""', '"'])
@pytest.mark.parametrize("indent", ["    ", "\t"])
def test_a_claim_of_a_docstring_has_its_place(quotes: str, indent: str) -> None:
    close = quotes.lstrip("r")
    lead = "Übung — café\t; " if close == '"' else f"Übung.\n\n{indent}Inputs:\n{indent}"
    source = f"def f(x, w):\n{indent}{quotes}{lead}- x: données,\tof shape (N, D){close}\n{indent}return x\n"
    module, function = function_of(source)
    if close == '"':
        assert parameter_claims(module, function) == ()
        return
    (claim,) = parameter_claims(module, function)
    assert claim.origin == "docstring"
    assert text_at(module, claim.span) == claim.text == "shape (N, D)"


def test_a_claim_may_go_over_two_lines() -> None:
    module, function = function_of(
        'def f(x):\n    """Loss.\n\n    x: an array of shape (N,\n        D)\n    """\n    return x\n'
    )
    (claim,) = parameter_claims(module, function)
    assert (claim.shape, claim.span) == (Shape.of("N", "D"), Span(4, 19, 5, 10))


# Comments


@pytest.mark.parametrize(
    ("comment", "expected"),
    [
        ("# (N, H)", "h: (N, H) array"),
        ("#(N,H)", "h: (N, H) array"),
        ("# (N,)", "h: (N,) array"),
        ("# (N, H) hidden layer", "h: (N, H) array"),
        ("# (N, H), the hidden layer", "h: (N, H) array"),
        ("# [N, H]", "h: (N, H) array"),
        ("# (N, 4H)", "h: (N, 4*H) array"),
        ("# (N, T, 2*H)", "h: (N, T, 2*H) array"),
        ("# (N, 1)", "h: (N, 1) array"),
        ("# (..., D)", "h: (*h.dims, D) array"),
        ("# (N,) int", "h: (N,) int array"),
        ("# (batch_size, seq_len, hidden_size)", "h: (batch_size, seq_len, hidden_size) array"),
        ("# shape (N, H)", "h: (N, H) array"),
        ("# shape: (N, H)", "h: (N, H) array"),
        ("# of shape (N,)", "h: (N,) array"),
        ("# Shape (2, 3)", "h: (2, 3) array"),
        ("# shape (H)", "h: (H,) array"),
        ("# h: (N, H)", "h: (N, H) array"),
        ("# h.shape = (N, H)", "h: (N, H) array"),
        ("# h.shape == (N, H)", "h: (N, H) array"),
        ("# h has shape (N, H)", "h: (N, H) array"),
        ("# h (N, H)", "h: (N, H) array"),
        ("# N x H", "h: (N, H) array"),
        ("# NxH", "h: (N, H) array"),
        ("# (N x H)", "h: (N, H) array"),
        ("# (N, D) @ (D, H) -> (N, H)", "h: (N, H) array"),
        ("# -> (N, H)", "h: (N, H) array"),
        # no claim
        ("# (1)", ""),
        ("# (3, 4)", ""),
        ("# (N)", ""),
        ("# (a, b)", ""),
        ("# (x, y)", ""),
        ("# hidden layer", ""),
        ("# hidden layer (N, H)", ""),
        ("# (N, D) @ (D, H)", ""),
        ("# (N, H) or (H,)", ""),
        ("# (N, H) if batched", ""),
        ("# (N, H) + (H,)", ""),
        ("# (N, D), (D, H)", ""),
        ("# x: (N, D)", ""),
        ("# see (2, N)? no: None", ""),
        ("# O(N, H) steps", ""),
        ("# (1) sigmoid", ""),
        ("# 2 x faster", ""),
        ("# N", ""),
        ("# type: (N, H)", ""),
    ],
)
def test_comments(comment: str, expected: str) -> None:
    assert commented(comment) == expected


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("h += x", "h: (N, H) array"),
        ("h: float = x", "h: () float scalar, h: (N, H) array"),
        ("h = (x +\n        1)", "h: (N, H) array"),
        ("g = 1; h = x", "h: (N, H) array"),
        ("h, c = x, x", ""),
        ("h[0] = x", ""),
        ("h = g = x", ""),
        ("h = x;", ""),
    ],
)
def test_comments_belong_to_assignments_of_one_name(statement: str, expected: str) -> None:
    assert commented("# (N, H)", statement) == expected


def test_a_comment_inside_a_statement_is_not_behind_it() -> None:
    module, function = function_of(
        "def f(x, w):\n    h = np.dot(  # (N, H)\n        x, w)\n    # (N, H)\n    return h\n"
    )
    assert statement_claims(module, function) == ()


def test_statement_claims_have_their_statements_and_places() -> None:
    source = '''def f(x):
    """Forward.

    Returns a tuple of:
    - out: output, of shape (N, M)
    """
    é = x; h: "N H" = x  # über
    if x:
        out = h  # shape (N, M)

    def inner(z):
        g = z  # (N, N)
    return out
'''
    module, function = function_of(source)
    claims = statement_claims(module, function)
    assert [(claim.name, spelt(claim), claim.origin) for claim in claims] == [
        ("h", "(N, H) array", "annotation"),
        ("out", "(N, M) array", "comment"),
        ("out", "(N, M) array", "docstring"),
    ]
    assert [text_at(module, claim.span) for claim in claims] == ['"N H"', "shape (N, M)", "shape (N, M)"]
    assert claims[0].statement is function.body[2]
    branch = function.body[3]
    assert isinstance(branch, ast.If)
    assert claims[1].statement is branch.body[0]
    assert claims[2].statement is None
    assert parameter_claims(module, function) == ()


def test_comments_in_the_signature() -> None:
    source = """def f(
    x,  # (N, D)
    w, b,  # (D, M)
    y,  # N int
    reg=0.1,  # (D,)
    s=None,  # shape (D,)
    *,
    z,  # z: (N, M)
):
    return x
"""
    found = {claim.name: (spelt(claim), claim.origin) for claim in claims_of(source)}
    shapes = {"x": "(N, D)", "s": "(D,)", "z": "(N, M)"}
    assert found == {name: (f"{shape} array", "comment") for name, shape in shapes.items()}


# Several claims


def test_claims_come_in_the_order_of_the_parameters_and_are_said_once() -> None:
    source = '''def f(x: "N D", w, y: "N int", reg: float = 0.1):
    """Loss.

    - reg: regularization strength
    - w: weights of shape (D, C)
    - y: integer labels of shape (N,)
    - x: data of shape (batch_size, D)
    """
    return x
'''
    claims = claims_of(source)
    assert [(claim.name, spelt(claim), claim.origin) for claim in claims] == [
        ("x", "(N, D) array", "annotation"),
        ("x", "(batch_size, D) array", "docstring"),
        ("w", "(D, C) array", "docstring"),
        ("y", "(N,) int array", "annotation"),
        ("reg", "() float scalar", "annotation"),
    ]


@pytest.mark.parametrize(
    ("default", "kept"),
    [("None", True), ("0", False), ("-1.5", False), ("np.zeros(3)", True), ("()", True)],
)
def test_a_default_that_breaks_a_claim_takes_it_away(default: str, kept: bool) -> None:
    claims = claims_of(f'def f(x, b: "H" = {default}, *, c: "H" = {default}):\n    return x\n')
    assert [claim.name for claim in claims] == (["b", "c"] if kept else [])
    assert all(claim.unless_none is (default == "None") for claim in claims)


def test_a_default_of_none_takes_a_scalar_claim_away() -> None:
    assert claims_of("def f(x, reg: float = None, eps: float = 1e-8):\n    return x\n")[0].name == "eps"


def said_of(docstring: str, *parameters: str) -> dict[str, str]:
    source = f'def f({", ".join(parameters)}):\n    """Loss.\n\n    {docstring}\n    """\n    return {parameters[0]}\n'
    return {claim.name: spelt(claim) for claim in claims_of(source)}


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("h is an array of the initial state, of shape (H, 1)", {"h": "(H, 1) array"}),
        ("h is Hx1 array of initial hidden state", {"h": "(H, 1) array"}),
        ("h is an N x D matrix", {"h": "(N, D) array"}),
        ("h is a list of arrays, of shape (N, D)", {}),
        ("h is a list of states for each step, of shape (N, D)", {}),
        ("h is 2 x faster array", {}),
        ("h,y are both list of integers.", {"h": "(h.0,) int list", "y": "(y.0,) int list"}),
        ("h and y are lists of integers, one for each step", {"h": "(h.0,) int list", "y": "(y.0,) int list"}),
        ("h is a list of integers or None", {}),
        ("h is a list of integers, or of floats", {}),
        ("if given, h is a list of integers", {}),
    ],
)
def test_sentences_without_a_colon(sentence: str, expected: dict[str, str]) -> None:
    assert said_of(sentence, "h", "y") == expected


@pytest.mark.parametrize(
    ("description", "expected"),
    [
        ("N rows, of shape (N, M)", "(N, M) array"),
        ("N rows of shape (N, M)", ""),
        ("N matrices, of shape (N, N)", ""),
        ("N rows, of shape (M,)", ""),
        ("N rows, of shape (M, D)", ""),
    ],
)
def test_a_number_of_things_before_the_shape_of_all_of_them(description: str, expected: str) -> None:
    assert said_of(f"- h: {description}", "h").get("h", "") == expected


@pytest.mark.parametrize(
    ("description", "expected"),
    [
        (
            "dict with k (M,), beta, shift (3,) and add (M,)",
            {"k": "(M,) array", "beta": "() scalar", "shift": "(3,) array", "add": "(M,) array"},
        ),
        ("dictionary of arrays: W (D, H) and v (H,)", {"W": "(D, H) array", "v": "(H,) array"}),
        ("dict with keys W (D, H), b and g", {"W": "(D, H) array"}),  # b is hardly a number
        ("dict with k, beta and g", {}),
        ("dict with k (M,), and some more things", {}),
        ("dict with k (optional), beta (M,)", {}),
        ("dict with k (M,) if there is one, beta", {}),
    ],
)
def test_entries_that_a_sentence_lists(description: str, expected: dict[str, str]) -> None:
    found = said_of(f"- head: {description}", "x", "head")
    assert found.pop("head") == "dict"
    assert found == {f"head[{key!r}]": shape for key, shape in expected.items()}


def both(parameter: str, description: str) -> str:
    """A function with an annotated parameter x and a docstring about it."""
    head = f'import numpy as np\ndef f({parameter}, w: "D M"):\n'
    return f'{head}    """Loss.\n\n    - x: {description}\n    """\n    return x\n'


CONFLICTS = [
    ('x: "N D"', "of shape (N, D, 1)", "(N, D) has 2 dims, (N, D, 1) has 3"),
    ('x: "N 3"', "of shape (N, 4)", "(N, 3) and (N, 4)"),
    ('x: "N D"', "of shape (D, N)", "(N, D) and (D, N)"),
    ('x: "N"', "of shape (N, D, ...)", "(N,) has fewer dims than (N, D, *x.dims)"),
    ('x: "... 3"', "of shape (N, 4)", "(*x.dims, 3) and (N, 4)"),
    ("x: float", "of shape (N, D)", "() has 0 dims, (N, D) has 2"),
    ('x: "N bool"', "integer labels of shape (N,)", "bool and int"),
    ("x: np.ndarray", "a dictionary of arrays", "array and dict"),
]


@pytest.mark.parametrize(("annotation", "description", "why"), CONFLICTS)
def test_claims_that_contradict_each_other(annotation: str, description: str, why: str) -> None:
    source = both(annotation, description)
    diagnostic = refused(source)
    module = read_module(source, "model.py")
    assert diagnostic.code == "FG050"
    assert diagnostic.message == f"two claims about x contradict each other: {why}"
    assert diagnostic.label.startswith("the docstring says ")
    assert diagnostic.help == "correct one of them, or take it out"
    assert diagnostic.span is not None
    assert diagnostic.span.line == 5
    assert text_at(module, diagnostic.span) in description
    ((span, label),) = diagnostic.labels
    assert text_at(module, span) == annotation.removeprefix("x: ")
    assert label.startswith("the annotation says ")


@pytest.mark.parametrize(
    ("annotation", "description"),
    [
        ('"N D"', "of shape (n, d)"),  # two people's words for one thing
        ('"N D"', "of shape (batch_size, D)"),
        ('"N D"', "of shape (N, 3)"),
        ('"N D"', "of shape (N, ...)"),
        ('"... D"', "of shape (N, D)"),
        ('"N ... D"', "of shape (N, T, D)"),
        ('"N 2*H"', "of shape (N, 4*K)"),
        ('"N"', "integer labels of shape (N,)"),
        ('"N D"', "regularization strength"),
        ("list", "of shape (N,)"),
        ("np.ndarray", "of shape (N,)"),
        ("np.ndarray", "a number"),
    ],
)
def test_claims_that_agree(annotation: str, description: str) -> None:
    source = both(f"x: {annotation}", description)
    assert claims_of(source)


def test_every_contradiction_is_reported() -> None:
    source = 'def f(x: "N D", w: "D M"):\n    """Loss.\n\n    - x: of shape (N,)\n    - w: of shape (D,)\n    """\n'
    with pytest.raises(Refused) as caught:
        claims_of(source)
    assert [(d.code, d.span and d.span.line) for d in caught.value.diagnostics] == [("FG050", 4), ("FG050", 5)]


# --shape


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("N,D", "(N, D) array"),
        ("N, D", "(N, D) array"),
        ("(N, D)", "(N, D) array"),
        ("(N,)", "(N,) array"),
        ("N", "(N,) array"),
        ("N,", "(N,) array"),
        ("N D", "(N, D) array"),
        ("N D int", "(N, D) int array"),
        ("N,D,bool", "(N, D) bool array"),
        ("N,...", "(N, *X.dims) array"),
        ("4*H", "(4*H,) array"),
        ("64,10", "(64, 10) array"),
        ("", "()"),
        ("()", "()"),
        ("float", "() float"),
    ],
)
def test_options(text: str, expected: str) -> None:
    (claim,) = claims_of("def f(w, X):\n    return X\n", ("X", text), ("z", "N"))
    assert (claim.name, spelt(claim), claim.origin) == ("X", expected, "option")
    assert (claim.text, claim.span) == (f"--shape X={text}", Span(1, 9, 1, 10))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("N,,D", "a dim is missing"),
        ("N,2**D", "2**D is not a dim"),
        ("N,-2", "-2 is negative"),
        (",", "a dim is missing"),
        ("N,...,*", "only one part of a shape can be left open"),
        ("N,*2", "*2 is not a name"),
    ],
)
def test_malformed_options(text: str, reason: str) -> None:
    source = "def f(X):\n    return X\n"
    diagnostic = refused(source, ("X", text))
    assert (diagnostic.code, diagnostic.span) == ("FG051", None)
    assert diagnostic.message == f"--shape X={text} is no shape: {reason}"
    assert diagnostic.help.startswith("write the dims with commas")
    with pytest.raises(Refused) as caught:
        check_options([function_of(source)[1]], (("X", text),))
    assert caught.value.diagnostics == (diagnostic,)


def test_an_option_must_agree_too() -> None:
    diagnostic = refused('def f(w, X: "N D"):\n    return X\n', ("X", "N,D,3"))
    assert diagnostic.code == "FG050"
    assert diagnostic.message == (
        "`--shape X=N,D,3` contradicts the annotation of X: (N, D) has 2 dims, (N, D, 3) has 3"
    )
    assert diagnostic.labels == ((Span(1, 12, 1, 17), "the annotation says (N, D)"),)


def test_options_for_names_that_are_no_parameters() -> None:
    functions = read_module("def f(X, weights):\n    return X\ndef g(b):\n    return b\n", "m.py").functions
    check_options(functions.values(), (("X", "N,D"), ("b", "M"), ("weights", "D,M")))
    with pytest.raises(Refused) as caught:
        check_options(functions.values(), (("weigths", "N"), ("q7", "M"), ("b", "M,,")))
    assert [(d.code, d.message, d.help) for d in caught.value.diagnostics] == [
        ("FG051", "--shape b=M,, is no shape: a dim is missing", caught.value.diagnostics[0].help),
        ("FG052", "--shape weigths=N: weigths is no parameter", "did you mean weights?"),
        ("FG052", "--shape q7=M: q7 is no parameter", "the parameters: X, weights, b"),
    ]


# Shapes as text

NAMES = st.sampled_from(["N", "D", "H", "W", "n_samples", "D_in", "HH"])
DIMS = st.one_of(
    st.integers(0, 99).map(Dim.of),
    NAMES.map(Dim.symbol),
    st.builds(lambda c, n: Dim.of(c) * Dim.symbol(n), st.integers(2, 9), NAMES),
    st.builds(lambda a, b, c: Dim.symbol(a) * Dim.symbol(b) + c, NAMES, NAMES, st.integers(-3, 3)),
)
SHAPES = st.one_of(
    st.lists(DIMS, max_size=4).map(lambda dims: Shape(tuple(dims))),
    st.builds(
        lambda front, middle, back: Shape(tuple(front), middle, tuple(back)),
        st.lists(DIMS, max_size=2),
        st.sampled_from(["batch", "rest"]),
        st.lists(DIMS, max_size=2),
    ),
)


@given(SHAPES)
def test_a_printed_shape_is_read_again(shape: Shape) -> None:
    assert read_shape(str(shape)[1:-1], "x") == shape


@given(SHAPES)
def test_a_shape_is_read_alike_as_annotation_docstring_comment_and_option(shape: Shape) -> None:
    inner = str(shape)[1:-1]
    words = " ".join(part.replace(" ", "") for part in inner.rstrip(",").split(", "))
    source = f'def f(x: "{words}", y):\n    """F.\n\n    y: of shape ({inner})\n    """\n    z = x  # shape ({inner})\n'
    claims = parameter_claims(*function_of(source), (("y", inner),))
    claims += statement_claims(*function_of(source))
    assert {claim.name: claim.shape for claim in claims} == dict.fromkeys("xyz", shape)


@given(st.text(alphabet="ND()[],.*+-/'x_ 0123H?:#\n\"é", max_size=30))
def test_no_text_is_too_odd_to_be_read(text: str) -> None:
    source = f"def f(x: {text!r}, w):\n    {('x: ' + text)!r}\n    h = x  # {text!r}\n"
    module, function = function_of(source)
    for read in (parameter_claims, statement_claims):
        with contextlib.suppress(Refused):
            for claim in read(module, function):
                assert claim.origin == "annotation" or text_at(module, claim.span) == claim.text


def test_dtypes_that_are_never_claimed_from_prose() -> None:
    claims = claims_of('def f(x, r):\n    """F.\n\n    x: float array of shape (N,)\n    r: (float) rate\n    """\n')
    assert [claim.dtype for claim in claims] == [None, None]
    assert DType.FLOAT not in {claim.dtype for claim in claims}
