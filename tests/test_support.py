"""The checks themselves: each finds the defect that it is there for, in a module that is spoiled by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.oracles import autograd_gradient, central_difference, complex_step, relative_error
from tests.support import (
    Guarded,
    Inconclusive,
    Module,
    Wrong,
    assignments,
    check_float32,
    check_run,
    check_text,
    load,
    overlaps_itself,
)

SOURCE = """import numpy as np


def f(x, y):
    h = np.tanh(x)
    return h * y + x
"""
GOOD = """import numpy as np


def f_forward(x, y):
    h = np.tanh(x)  # (1)
    out = h * y + x  # (2)
    return out, (y, h)


def f_backward(dout, cache):
    y, h = cache
    # (2) out = h * y + x
    dh = dout * y
    dy = dout * h
    dx = dout.copy()
    # (1) h = np.tanh(x)
    dx += dh * (1 - h**2)
    return dx, dy
"""
RNG = np.random.default_rng(3)
INPUTS = {"x": RNG.normal(size=(2, 3)), "y": RNG.normal(size=(2, 3))}


def run(text: str, inputs: dict[str, Any] | None = None, wrt: tuple[str, ...] = ("x", "y")) -> None:
    check_run(Module(text, load(text)), SOURCE, "f", inputs or INPUTS, wrt)


def test_a_good_module_passes() -> None:
    run(GOOD)
    check_text(GOOD, SOURCE)
    assert check_float32(Module(GOOD, load(GOOD)), SOURCE, "f", INPUTS, ("x", "y"))
    assert assignments(GOOD, "f_backward") == 4


@pytest.mark.parametrize(
    ("good", "bad", "kind"),
    [
        ("dh * (1 - h**2)", "dh * (1 - h)", "gradient is wrong"),
        ("dy = dout * h", "dy = dout * h * 1.00001", "gradient is wrong"),
        ("dy = dout * h", "dy = dout * h * np.nan", "gradient is wrong"),
        ("out = h * y + x", "out = h * y + x * (1 + 1e-9)", "value differs"),
        ("out = h * y + x", "x *= 1.0; x += 0.1; out = h * y + x - 0.1", "arguments are not changed"),
        ("dx = dout.copy()", "dx = dout", "backward raises ValueError|touches"),
        ("dx += dh", "h *= 0.999; dx += dh", "touches"),
        ("return dx, dy", "return dout, dy", "shares memory: dx with the upstream"),
        ("return dx, dy", "return dx, h", "shares memory: dy with the cache"),
        ("return dx, dy", "return dx, dx[:]", "shares memory: dy with dx"),
        ("return dx, dy", "return np.broadcast_to(dx[0, 0], dx.shape), dy", "read-only"),
        ("return dx, dy", "return dx, dy.sum(axis=0)", "another shape"),
        ("return dx, dy", "return dx, dy.astype(int)", "not floating"),
        ("return dx, dy", "return dx", "one gradient per parameter"),
        ("return dx, dy", "return dx, dy * np.random.rand()", "something else the second time"),
        ("return out, (y, h)", "return out", "results and a cache"),
        ("def f_forward(x, y)", "def f_forward(x, y=1)", "other parameters"),
        ("def f_backward", "def g_backward", "function is missing"),
        ("out = h * y + x", "out = np.float32(h * y + x)", "dtype"),
        ("h = np.tanh(x)  # (1)", "h = np.tanh(x, out=x)", "arguments are not changed|value differs"),
    ],
)
def test_a_spoiled_module_is_found(good: str, bad: str, kind: str) -> None:
    assert good in GOOD
    with pytest.raises(Wrong, match=kind):
        run(GOOD.replace(good, bad))


def test_a_parameter_without_gradient_is_found_unless_chosen() -> None:
    text = GOOD.replace("return dx, dy", "return dx")
    run(text, wrt=("x",))
    with pytest.raises(Wrong, match="gradient is wrong: dy"):
        check_run(Module(text, load(text)), SOURCE, "f", INPUTS, ("x",), chosen=False)


def test_a_double_in_single_precision_is_found() -> None:
    text = GOOD.replace("dy = dout * h", "dy = dout * h * np.ones(3)")
    run(text)
    with pytest.raises(Wrong, match="not float32"):
        check_float32(Module(text, load(text)), SOURCE, "f", INPUTS, ("x", "y"))


OF_DICT = """import numpy as np


def f(p, s):
    return p["w"] * p["at"]["scale"] * s["k"] * np.random.rand()
"""
GOOD_OF_DICT = """import numpy as np


def f_forward(p, s):
    w, scale = p["w"], p["at"]["scale"]
    k = s["k"] * np.random.rand()
    return w * scale * k, (w, scale, k)


def f_backward(dout, cache):
    w, scale, k = cache
    return {"w": dout * scale * k, "at": {"scale": (dout * w * k).sum()}}
"""


def run_of_dict(text: str) -> None:
    inputs = {"p": {"w": RNG.normal(size=(2, 3)), "at": {"scale": 0.5}}, "s": {"k": 2.0}}
    check_run(Module(text, load(text)), OF_DICT, "f", inputs, ("p",), chosen=False)
    check_float32(Module(text, load(text)), OF_DICT, "f", inputs, ("p",))


@pytest.mark.parametrize(
    ("good", "bad", "kind"),
    [
        ('"w": dout', '"v": dout', "not the keys of its parameter: dp ="),
        ('{"scale": (dout * w * k).sum()}', "(dout * w * k).sum()", r"not the keys of its parameter: dp\['at'\] ="),
        ("(dout * w * k).sum()", "(dout * w).sum()", r"gradient is wrong: dp\['at'\]\['scale'\]"),
        ("(dout * w * k).sum()", "dout * w * k", r"another shape: dp\['at'\]\['scale'\]"),
        ("dout * scale * k", "dout * scale * k * np.ones(1)", r"not float32.*dp\['w'\]"),
        ("dout * scale * k", "dout", "shares memory: dp"),
        ("return {", "np.random.rand(); return {", "backward draws"),
        ("k = s", "np.random.rand(); k = s", "value differs"),
        ("return w * scale", "np.random.rand(); return w * scale", "does not draw the random numbers"),
    ],
)
def test_a_spoiled_gradient_of_a_dict_is_found(good: str, bad: str, kind: str) -> None:
    run_of_dict(GOOD_OF_DICT)
    assert good in GOOD_OF_DICT
    with pytest.raises(Wrong, match=kind):
        run_of_dict(GOOD_OF_DICT.replace(good, bad))


def test_without_anything_to_differentiate_there_is_no_cache() -> None:
    def run_early(text: str) -> None:
        check_run(Module(text, load(text)), SOURCE, "f", INPUTS, ("x", "y"), differentiable=False)

    run_early(GOOD.replace("(y, h)", "None"))
    with pytest.raises(Wrong, match="cache where there is nothing"):
        run_early(GOOD)
    with pytest.raises(Wrong, match="value differs"):
        run_early(GOOD.replace("(y, h)", "None").replace("h * y + x", "h * y"))


def test_what_has_no_elements_does_not_overlap_itself() -> None:
    assert not overlaps_itself(np.zeros((2, 0, 4)))
    assert not overlaps_itself(np.broadcast_to(np.zeros((1, 0)), (3, 0)))
    assert overlaps_itself(np.broadcast_to(np.zeros((1, 2)), (3, 2)))


def test_value_and_grad_is_for_numbers_alone() -> None:
    text = (
        GOOD
        + "\n\ndef f_value_and_grad(x, y):\n    out, cache = f_forward(x, y)\n    return out, f_backward({}, cache)\n"
    )
    with pytest.raises(Wrong, match="accepts a result that is not a scalar"):
        run(text.format("np.ones(out.shape)"))
    number = {"x": 0.5, "y": 2.0}
    text = text.replace("dout.copy()", "1.0 * dout")
    run(text.format("1.0"), number)
    with pytest.raises(Wrong, match="value_and_grad gives something else"):
        run(text.format("2.0"), number)
    with pytest.raises(Wrong, match="f_value_and_grad"):
        run(GOOD.replace("dout.copy()", "1.0 * dout"), number)


def test_zero_dimensional_upstream_gradient_is_watched() -> None:
    text = GOOD.replace("dx = dout.copy()", "dx = dout") + (
        "\n\ndef f_value_and_grad(x, y):\n    out, cache = f_forward(x, y)\n    return out, f_backward(1.0, cache)\n"
    )
    with pytest.raises(Wrong, match="touches the upstream"):
        run(text, {"x": 0.5, "y": 2.0})


def test_guards_are_told_from_failures() -> None:
    with pytest.raises(Guarded):
        run(GOOD.replace("h = np.tanh(x)", 'raise ValueError("no")'))
    with pytest.raises(Wrong, match="forward raises IndexError"):
        run(GOOD.replace("h = np.tanh(x)", "h = x[7]"))
    with pytest.raises(Wrong, match="forward raises ValueError"):
        run(GOOD.replace("h = np.tanh(x)", "h, _ = 1, 2, 3"))


@pytest.mark.parametrize(
    "text",
    [GOOD.replace("dout * y", "dout*y"), GOOD.replace("import numpy as np", "import numpy as np\nimport flatgrad")],
)
def test_text_is_checked(text: str) -> None:
    with pytest.raises(Wrong):
        check_text(text, SOURCE)


def test_oracles_agree_and_know_their_limits() -> None:
    def smooth(x: Any) -> Any:
        return np.exp(np.sin(x)) * x

    point = [RNG.normal(size=4)]
    upstream = [RNG.normal(size=4)]
    exact = upstream[0] * np.exp(np.sin(point[0])) * (1 + point[0] * np.cos(point[0]))
    estimate = central_difference(smooth, point, 0, upstream)
    assert relative_error(estimate.value, exact) < 1e-9
    assert estimate.error < 1e-8
    step = complex_step(smooth, point, 0, upstream)
    assert step is not None
    assert relative_error(step, exact) < 1e-14
    source = "import numpy as np\n\ndef g(x):\n    return np.exp(np.sin(x)) * x\n"
    assert relative_error(autograd_gradient(source, "g", point, 0, upstream), exact) < 1e-12

    # A kink inside the smallest step: differences do not agree, and say so.
    assert central_difference(np.abs, [np.array([1e-5])], 0, [np.ones(1)]).error > 1e-2
    kinked = GOOD.replace("np.tanh(x)", "np.abs(x)").replace("1 - h**2", "2 + h")
    with pytest.raises(Inconclusive):
        check_run(
            Module(kinked, load(kinked)),
            SOURCE.replace("tanh", "abs"),
            "f",
            {"x": np.array([1e-5]), "y": np.ones(1)},
            ("x", "y"),
        )
    assert complex_step(lambda x: float(x), [1.0], 0, [1.0]) is None
