"""Traps that a hostile review fell into: each gave wrong numbers, a module that fails, or a crash of the compiler."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support import check_module, compiled, load
from tests.traps import LABELS, POSITIVE, ROW, Inputs, V, X, Y, drawn, model, never_wrong, outcome, right

BOTH = 'x: "N D", y: "N D"'
GIVEN = {"x": X, "y": Y}


def entry(source: str, inputs: Inputs, **keywords: Any) -> str:
    """The verdict on the entry `f` of a file with helpers."""
    return outcome(source, inputs, function="f", functions=("f",), **keywords)


# --- silently wrong


@pytest.mark.parametrize(
    "body",
    [
        "n = x.shape[0]; a = x / n; n = 7; return a * n * x",
        "n = len(x); a = np.tanh(x) / n; n = n + 1; return np.sum(a) / n * y",
        "n = len(x); a = np.tanh(x) / n; n += 1; return np.sum(a) / n * y",
        "n = len(x); a = np.tanh(x) / n; n = y.shape[1]; return np.sum(a) / n * y",
        "n, d = x.shape; a = x * n; d, n = n, d; return a * n * d**2 * y",
        "n = x.shape[0]; a = np.tanh(x) / n; x = x[:2]; n = x.shape[0]; return np.sum(a) / n * y",
        "n = x.shape[0]; h = np.tanh(x); n = n * np.sum(y); return h / n * y * h",
        "n = x.shape[0]; a = x[:n - 1]; n = n - 2; return a[:n] * y[:n]",
    ],
)
@pytest.mark.parametrize("parameters", ["x, y", BOTH], ids=("open", "annotated"))
def test_name_of_a_size_is_bound_again(body: str, parameters: str) -> None:
    right(body, parameters, GIVEN)


@pytest.mark.parametrize(
    "body",
    [
        "a = np.exp(x); a[0], a[1] = a[1], a[0]; return a * y * a",
        "a = x * 2; a[:, 0], a[:, 1] = a[:, 1], a[:, 0]; return a * y * a",
        "a = x * 2; b = y * 2; a[0], b[0] = b[0], a[0]; return a * b * x",
        "a = x * 2; a[0], c = y[0], a; return a * y * c",
        "a = x * 2; a[0], c = y[0], a[0]; return a * y * c",
    ],
)
def test_view_on_the_right_of_a_tuple_assignment_that_writes(body: str) -> None:
    """The view on the right sees the write of the target before it: `a[0], a[1] = a[1], a[0]` swaps nothing."""
    never_wrong(body, BOTH, GIVEN)


@pytest.mark.parametrize(
    "body",
    [
        "a = x * 2; r = (a[0], a[1]); a[0] = y[0]; return r[0] * r[1]",
        "a = x * 2; r = [a, y]; a[0] = y[0]; return r[0] * r[1]",
        "a = x * 2; r = [a, y]; a += 1; return r[0] * r[1]",
        "w = [x * 2, y]; u = w[0]; u += 1; return w[0] * u",
        "w = (x * 2, y); t = w[0]; t[0] = y[0]; return w[0] * y",
        "b = [x * 1, y]; c, d = b; c += 1; return b[0] * c",
    ],
)
def test_element_of_a_display_is_changed_in_place(body: str) -> None:
    never_wrong(body, BOTH, GIVEN)


@pytest.mark.parametrize(
    "body",
    [
        "w = [x, y]; w[0] = y * 2; return w[0] * w[1] * x",
        "w = [x, y]; v = w; v[0] = y * 2; return w[0] * w[1] * x",
        "w = [x, y]; w[0] += 1.0; return w[0] * x",
    ],
)
def test_item_of_a_list_is_replaced(body: str) -> None:
    never_wrong(body, BOTH, GIVEN)


@pytest.mark.parametrize(
    "body",
    [
        "w = [x[0, 0], y[0, 0]] * 2; return np.array(w) * y",
        "w = (x[0, 0], y[0, 0]) * 2; return w * y",
        "w = [x[0], y[0]] * 2; return w[2] * y",
        "w = [x, y]; w += [x]; return w[2] * w[1]",
    ],
)
def test_list_arithmetic_is_not_array_arithmetic(body: str) -> None:
    never_wrong(body, BOTH, GIVEN)


@pytest.mark.parametrize("parameters", ["x, y", BOTH], ids=("open", "annotated"))
@pytest.mark.parametrize(
    "body",
    [
        "i = (0, 1); return np.sum(x[i]) * y",
        "i = (0, 1); return x[i] * y",
        "i = (0, 1); h = x * 2; h[i] = 5.0; return h * h * y",
        "i = (0, 1); h = x * 2; h[i] += y[i]; return h * h",
        "i = ([0, 1], [1, 1]); return np.sum(x[i] ** 2) * y",
    ],
)
def test_tuple_with_a_name_as_an_index(body: str, parameters: str) -> None:
    """`x[(0, 1)]` is one element, `x[[0, 1]]` two rows."""
    never_wrong(body, parameters, GIVEN)


@pytest.mark.parametrize(
    "body",
    [
        "C = np.sum(x); return C * y * scale(x)",
        "C = 4.0; return scale(x) * y",
        "C = y; return scale(x) * C",
    ],
)
def test_default_of_a_helper_means_the_module_not_the_caller(body: str) -> None:
    header = "import numpy as np\n\nC = 2.5\n\n\ndef scale(a, k=C):\n    return a * k"
    for parameters in ("x, y", BOTH):
        assert entry(model(body, parameters, header), GIVEN) == "right"


def test_helpers_g_and_g_forward_side_by_side() -> None:
    source = """
import numpy as np


def f_forward(x, y):
    return g(x) * y * g_forward(y)


def g_forward(z):
    return z * z


def g(z):
    return z + np.exp(z)
"""
    assert entry(source, GIVEN) in ("right", "refused")


@pytest.mark.parametrize(
    ("body", "parameters", "shapes"),
    [
        ("H = x.shape[1] // 4; a = x[:, 0:H]; return a * y", 'x: "N 4H", y: "N H"', ((1, 8), (1, 1))),
        ("H = x.shape[1] // 4; a = x[:, 0:H]; return a * y", 'x: "N 4H", y: "N H"', ((3, 4), (3, 8))),
        ("H = y.shape[1]; a = x[:, 0:H]; return a * y", 'x: "N 4H", y: "N H"', ((3, 1), (3, 8))),
        ("return x.reshape(-1, 2) * y", 'x: "2N", y: "N 1"', ((8,), (1, 1))),
        ("return x.reshape(2, -1) * y", 'x: "2N", y: "N"', ((2,), (2,))),
        ("return y.reshape(-1) * x", 'x: "N*M", y: "N M"', ((1,), (2, 3))),
        ("a, b = np.split(x, 2); return a * y + b", 'x: "2N", y: "N"', ((4,), (1,))),
        ("return x * y", 'x: "... D", y: "D"', ((1,), (4,))),
        ("return x * y", 'x: "N ... D", y: "D"', ((1,), (4,))),
        ("return x * y", 'x: "... D", y: "... D"', ((), (2, 4))),
        ("return x @ y", 'x: "... N D", y: "... D M"', ((1,), (1, 1))),
    ],
)
def test_claim_that_is_not_true_for_the_shapes(
    body: str, parameters: str, shapes: tuple[tuple[int, ...], tuple[int, ...]]
) -> None:
    given = {name: float(drawn(())) if shape == () else drawn(shape) for name, shape in zip("xy", shapes, strict=True)}
    assert outcome(model(body, parameters), given) in ("right", "refused", "guarded")


# --- modules that fail where the model works


@pytest.mark.parametrize(
    "body",
    [
        "return np.sum([x, y, x], axis=0) * y",
        "return np.mean([x, y]) * y",
        "return np.array([x, y])[0] * y",
        "return sum([x, y]) * y",
        "return np.linalg.slogdet(x[:, :3])[1] * y",
        "p = np.split(x, 3); return p[0] * p[2] * y",
    ],
)
def test_display_or_several_results_inside_an_expression(body: str) -> None:
    right(body, BOTH, GIVEN)
    never_wrong(body, "x, y", GIVEN)


@pytest.mark.parametrize("local", ["np = x * y; return np * x", "np = x; return np * y * np"])
def test_local_variable_called_as_the_module_of_numpy(local: str) -> None:
    for parameters in ("x, y", BOTH):
        never_wrong(local, parameters, GIVEN)


def test_parameter_called_as_the_module_of_numpy() -> None:
    never_wrong("return np * x * x", 'x: "N D", np: "N D"', {"x": X, "np": Y})


def test_helper_called_as_a_function_of_the_module() -> None:
    source = (
        "import numpy as np\n\n\ndef f(x, y):\n    return x * f_backward(y)\n\n\ndef f_backward(z):\n    return z * z\n"
    )
    assert entry(source, GIVEN) in ("right", "refused")


def test_default_that_calls_a_helper() -> None:
    source = "import numpy as np\n\n\ndef g():\n    return 2.0\n\n\ndef f(x, y, k=g()):\n    return np.exp(x) * y * k\n"
    assert entry(source, GIVEN) in ("right", "refused")


def test_element_of_an_array_is_a_number_that_may_be_changed() -> None:
    """`s = x[0]` of a vector is a number: `x` need not be one."""
    never_wrong("s = x[0]; t = s; s += 1; return s * t", 'x: "N"', {"x": V})
    never_wrong("s = x[0, 0]; t = s; s += 1; return t * s * y", BOTH, GIVEN)


def test_gradients_of_diag_are_writable() -> None:
    right("h = np.diag(x); return h * z", 'x: "N", z', {"x": V, "z": 1.5}, {"x": V, "z": ROW[0]})


def test_zeros_for_a_default_that_nothing_reads() -> None:
    right("return x * 2", "x, y=2.0", GIVEN, wrt=("y",))


@pytest.mark.parametrize(
    "returned", ["return two(x, y)", "r = two(x, y); return r", "r = np.exp(x) * y, x * y; return r"]
)
def test_tuple_of_results_that_is_returned_whole(returned: str) -> None:
    """Several results are several, however the return statement spells them; `None` for one of them means zero."""
    header = "import numpy as np\n\n\ndef two(a, b):\n    return np.tanh(a) * b, a * 2"
    assert entry(model(returned, BOTH, header), GIVEN) in ("right", "refused")


# --- crashes of the compiler


def test_expression_over_several_lines() -> None:
    for lines in (
        "    return (np.tanh(x)\n            * y)\n",
        "    a = x * (np.exp(y)  # first\n        + np.tanh(x)) / (1 +\n    np.exp(x))\n    return a\n",
        "    return (\n        np.exp(x)\n        * y,\n        np.sin(x  # s\n        )\n    )\n",
        "    return (np.tanh(x  # (1\n    * y) * x)\n",
    ):
        check_module(f"import numpy as np\n\n\ndef f(x, y):\n{lines}", GIVEN)


def test_comment_inside_a_returned_expression() -> None:
    check_module("import numpy as np\n\n\ndef f(x, y):\n    return (x *  # left\n        np.exp(y))\n", GIVEN)


@pytest.mark.parametrize(
    "docstring",
    [
        "'''ends with a quote\"'''",
        "'''ends with a backslash\\\\'''",
        '\'three quotes """ inside\'',
        'r"""\\usepackage{x} \\x \\N"""',
        'r"""$\\nabla \\theta$"""',
    ],
)
def test_docstring_is_what_it_was(docstring: str) -> None:
    source = f"import numpy as np\n\n\ndef f(x, y):\n    {docstring}\n    return np.exp(x) * y\n"
    check_module(source, GIVEN)
    assert load(compiled(source).text)["f_forward"].__doc__.rstrip() == load(source)["f"].__doc__.rstrip()


@pytest.mark.parametrize(
    "body",
    [
        "a, b = b, a = np.exp(x) * y, x * y; return a * b * a",
        "c, d = e = two(x, y); return c * d * e[0]",
        "a = x * 2; a[0] = b = y[0] * 2; a[1] = b * b; return a * y",
    ],
)
def test_one_value_for_several_targets(body: str) -> None:
    header = "import numpy as np\n\n\ndef two(a, b):\n    return np.tanh(a) * b, a * 2"
    assert entry(model(body, BOTH, header), GIVEN) in ("right", "refused")


def test_mask_by_nonzero() -> None:
    never_wrong("a = x[np.nonzero(x > 0)]; return np.sum(a * a) * y", BOTH, GIVEN)


def test_ends_of_a_linspace() -> None:
    never_wrong("return np.linspace(x[0, 0], y[0, 0], 4) * y", BOTH, GIVEN)


@pytest.mark.parametrize("reduce", ["np.sum", "np.mean"])
@pytest.mark.parametrize("parameters", ["x, y", 'x: "N D", y: "N int"'], ids=("open", "annotated"))
def test_cross_entropy_as_a_logsumexp_less_the_score(reduce: str, parameters: str) -> None:
    body = f"return {reduce}(np.log(np.sum(np.exp(x), axis=1)) - x[np.arange(3), y])"
    right(body, parameters, {"x": POSITIVE, "y": LABELS})


# --- elements of elements, and bounds that have names


@pytest.mark.parametrize(
    "body",
    [
        "a = x * 2; a[0][1] = y[1, 1] ** 2; return a * y",
        "a = x * 2; a[0][1] += y[1, 1] ** 2; a[-1][0:2] *= y[0, 0]; return np.sin(a) * y",
        "a = x * 2; for i in range(x.shape[0]): a[i][0] = y[i][1] ** 2; return a * a",
        "a = x * 2; for k, row in enumerate(y): a[k][1] = row[0] * row[1]; return a * a",
    ],
)
@pytest.mark.parametrize("parameters", ["x, y", BOTH], ids=("open", "annotated"))
def test_write_at_an_element_of_an_element(body: str, parameters: str) -> None:
    right(body, parameters, GIVEN)


@pytest.mark.parametrize(
    "body",
    [
        "a = x * 2; a[0:2][1] = y[1]; return a * y",
        "a = x * 2; a[np.array([0, 1])][1] = y[1]; return a * y",
        "k = np.array([0, 1]); a = x * 2; a[k][1] = y[1]; return a * y",
        "a = x * 2; a[x > 0][1] = 3.0; return a * y",
        "a = x * 2; a[None][0] = y[1]; return a * y",
    ],
)
def test_write_at_an_element_of_what_may_be_a_copy(body: str) -> None:
    assert outcome(model(body, BOTH), GIVEN) == "refused"


@pytest.mark.parametrize(
    "body",
    [
        "low = 0.1; return np.log(np.clip(x, low, 1 - low)) * y",
        "low = np.finfo(float).eps; return np.log(np.clip(np.abs(x), low, 1 - low)) * y",
        "n = x.shape[0]; return np.clip(x, -1 / n, 1 / n) * y",
        "return np.clip(x, 0, np.inf) * y",
        "return np.clip(x, -np.inf, 0.5) * y",
        "return x.clip(-np.inf, np.inf) * y",
        "s = 0.0; for i in range(x.shape[0]): s = s + np.clip(x[i], -0.1 * i, 0.2) * y[i]; return s",
    ],
)
@pytest.mark.parametrize("parameters", ["x, y", BOTH], ids=("open", "annotated"))
def test_bounds_of_clip(body: str, parameters: str) -> None:
    right(body, parameters, GIVEN)


def test_bound_of_clip_that_is_a_parameter() -> None:
    right("return np.clip(x, -low, low) * y", 'x: "N D", y: "N D", low: float', {**GIVEN, "low": 0.4}, wrt=("x", "y"))


@pytest.mark.parametrize(
    "body",
    ["low = np.min(y); return np.clip(x, low, 9.0) * y", "low = y[0] * 0.1; return np.clip(x, low, 9.0) * y"],
)
def test_bound_of_clip_that_carries_a_gradient_or_is_an_array(body: str) -> None:
    assert outcome(model(body, BOTH), GIVEN) == "refused"


def test_a_power_of_constants_that_no_memory_holds_is_not_reckoned_out() -> None:
    assert "out = x * 9**9**9" in compiled("def f(x):\n    return x * 9**9**9\n").text


@pytest.mark.parametrize("product", ["w @ w", "np.dot(w, w)", "np.inner(w, w)", "np.vdot(w, w)"])
def test_a_vector_times_itself_is_a_square(product: str) -> None:
    source = f'import numpy as np\n\n\ndef f(w: "D", reg: float):\n    return np.sin(reg * ({product})) + np.sum(w)\n'
    text = compiled(source).text
    assert "* 2 * w" in text
    for size in (0, 1, 3):
        check_module(source, {"w": drawn(size), "reg": 0.3})


def test_a_matrix_times_itself_is_no_square() -> None:
    source = 'import numpy as np\n\n\ndef f(w: "D D"):\n    return w @ w + np.dot(w, w) + np.inner(w, w)\n'
    check_module(source, {"w": drawn((2, 2))})
