"""The constructs of docs/language.md: each is compiled as the page shows it, and run."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import pytest

from flatgrad.compiler import Entry
from flatgrad.diagnostics import CATALOGUE
from tests.construct_cases import CLASSES, CONSTRUCTS, SECTIONS, Construct
from tests.language_page import REFUSED, language_page, refused_rows
from tests.oracles import central_difference, results_of
from tests.pages import WITHOUT_AN_EXAMPLE
from tests.support import TOLERANCE, Module, check_float32, check_run, check_text, compiled, load

EVERY = [construct for constructs in SECTIONS.values() for construct in constructs]


def test_every_construct_is_on_the_page_once() -> None:
    stems = [construct.stem for construct in EVERY]
    assert sorted(stems) == sorted(path.stem for path in CONSTRUCTS.glob("*.py"))
    page = language_page()
    assert page.count("\n### ") == len(stems)


@cache
def compiled_once(stem: str) -> tuple[Module, tuple[Entry, ...]]:
    construct = by_stem(stem)
    result = compiled(construct.source, "model.py", **construct.options)
    check_text(result.text, construct.source)
    return Module(result.text, load(result.text)), tuple(result.entries)


def by_stem(stem: str) -> Construct:
    (found,) = (construct for construct in EVERY if construct.stem == stem)
    return found


@pytest.mark.parametrize(
    ("construct", "run"),
    [
        pytest.param(construct, run, id=f"{construct.stem}-{run}")
        for construct in EVERY
        for run in range(len(construct.runs()))
    ],
)
def test_a_construct(construct: Construct, run: int) -> None:
    module, entries = compiled_once(construct.stem)
    (entry,) = (one for one in entries if len(entries) == 1 or one.name == "f")  # a helper has an entry, too
    inputs, differentiable = construct.runs()[run], run not in construct.early
    report = check_run(
        module,
        construct.source,
        entry.name,
        inputs,
        entry.wrt,
        select=construct.select,
        differentiable=differentiable,
        chosen=False,
    )
    assert tuple(report.gradients) == (entry.wrt if differentiable else ())
    if differentiable:
        check_float32(module, construct.source, entry.name, inputs, entry.wrt, select=construct.select)


def test_every_construct_is_run() -> None:
    assert [construct.stem for construct in EVERY if not construct.runs()] == [c.stem for c in CLASSES]


# Classes: the gradients of an object of the written class against differences of the user's own.


def pair(stem: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """The names of the user's own module, and those of the written one."""
    return load(by_stem(stem).source), compiled_once(stem)[0].names


def agree(function: Any, arguments: Mapping[str, Any], upstream: Any, found: Mapping[str, Any]) -> None:
    """The gradients found, by parameter, against differences of `function(*arguments)`."""
    assert found
    for name, gradient in found.items():
        position = list(arguments).index(name)
        expected = central_difference(function, list(arguments.values()), position, [upstream], results_of).value
        assert np.shape(gradient) == expected.shape
        np.testing.assert_allclose(gradient, expected, rtol=TOLERANCE, atol=1e-8, err_msg=f"d{name}")


def normal(*shapes: tuple[int, ...]) -> list[Any]:
    rng = np.random.default_rng(3)
    return [rng.normal(size=shape) for shape in shapes]


@pytest.mark.parametrize("N", [1, 4])
def test_a_class(N: int) -> None:
    own, written = pair("class_forward")
    W, b, x, dout = normal((3, 2), (2,), (N, 3), (N, 2))
    layer = written["Linear"](W, b)
    np.testing.assert_array_equal(layer.forward(x), own["Linear"](W, b).forward(x))
    dx = layer.backward(dout)
    agree(
        lambda W, b, x: own["Linear"](W, b).forward(x),
        {"W": W, "b": b, "x": x},
        dout,
        {"W": layer.dW, "b": layer.db, "x": dx},
    )


@pytest.mark.parametrize("T", [0, 1, 4])
def test_attributes_that_forward_writes(T: int) -> None:
    own, written = pair("class_attribute")
    W, x, dout = normal((3, 3), (T, 3), (3,))
    layer = written["RNN"](W)
    np.testing.assert_array_equal(layer.forward(x), own["RNN"](W).forward(x))
    dx = layer.backward(dout)
    agree(lambda W, x: own["RNN"](W).forward(x), {"W": W, "x": x}, dout, {"W": layer.dW, "x": dx})


def test_a_method_that_calls_another() -> None:
    own, written = pair("class_own_method")
    w, x, dout = normal((3,), (4, 3), (4, 3))
    layer = written["Unit"](w)
    np.testing.assert_array_equal(layer.forward(x), own["Unit"](w).forward(x))
    dx = layer.backward(dout)
    agree(lambda w, x: own["Unit"](w).forward(x), {"w": w, "x": x}, dout, {"w": layer.dw, "x": dx})


@pytest.mark.parametrize("T", [0, 1, 4])
def test_a_method_that_a_loop_calls(T: int) -> None:
    own, written = pair("class_step")
    W, U, x, dout = normal((2, 2), (3, 2), (T, 3), (2,))
    layer = written["RNN"](W, U)
    np.testing.assert_array_equal(layer.forward(x), own["RNN"](W, U).forward(x))
    dx = layer.backward(dout)
    given = {"W": W, "U": U, "x": x}
    agree(lambda W, U, x: own["RNN"](W, U).forward(x), given, dout, {"W": layer.dW, "U": layer.dU, "x": dx})


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_functions_in_attributes(activation: str) -> None:
    own, written = pair("class_activation")
    W, x, dout = normal((3, 2), (4, 3), (4, 2))
    layer = written["Layer"](W, activation)
    np.testing.assert_array_equal(layer.forward(x), own["Layer"](W, activation).forward(x))
    dx = layer.backward(dout)
    given = {"W": W, "x": x}
    agree(lambda W, x: own["Layer"](W, activation).forward(x), given, dout, {"W": layer.dW, "x": dx})


def test_the_method_of_a_base_class() -> None:
    own, written = pair("class_inherited")
    W, b, x, dout = normal((3, 2), (2,), (4, 3), (4, 2))
    layer = written["Dense"](W, b)
    np.testing.assert_array_equal(layer.forward(x), own["Dense"](W, b).forward(x))
    dx = layer.backward(dout)
    given = {"W": W, "b": b, "x": x}
    agree(lambda W, b, x: own["Dense"](W, b).forward(x), given, dout, {"W": layer.dW, "b": layer.db, "x": dx})


@pytest.mark.parametrize("T", [0, 1, 4])
def test_a_layer_for_each_step(T: int) -> None:
    own, written = pair("class_each_step")
    W, x, dout = normal((2, 2), (3, T, 2), (3, 2))
    layer = written["RNN"](W)
    np.testing.assert_array_equal(layer.forward(x), own["RNN"](W).forward(x))
    dx = layer.backward(dout)
    agree(lambda W, x: own["RNN"](W).forward(x), {"W": W, "x": x}, dout, {"W": layer.dW, "x": dx})


def linear(W: Any) -> Any:
    """A layer of the written class, without a bias."""
    return pair("class_forward")[1]["Linear"](W, np.zeros(W.shape[1]))


def test_layers_as_attributes() -> None:
    own, written = pair("class_named_layers")
    W1, W2, x, dout = normal((3, 2), (2, 3), (4, 3), (4, 3))
    block = written["Block"](linear(W1), linear(W2))
    block.forward(x)
    dx = block.backward(dout)
    agree(
        lambda W1, W2, x: own["Block"](linear(W1), linear(W2)).forward(x),
        {"W1": W1, "W2": W2, "x": x},
        dout,
        {"W1": block.fc1.dW, "W2": block.fc2.dW, "x": dx},
    )
    same = linear(normal((3, 3))[0])
    with pytest.raises(ValueError, match="fc1, fc2 must be objects of their own"):
        written["Block"](same, same).forward(x)


def test_layers_in_a_list() -> None:
    own, written = pair("class_layers")
    W1, W2, x, dout = normal((3, 2), (2, 4), (5, 3), (5, 4))
    net = written["Sequential"]([linear(W1), linear(W2)])
    net.forward(x)
    dx = net.backward(dout)
    agree(
        lambda W1, W2, x: own["Sequential"]([linear(W1), linear(W2)]).forward(x),
        {"W1": W1, "W2": W2, "x": x},
        dout,
        {"W1": net.layers[0].dW, "W2": net.layers[1].dW, "x": dx},
    )
    same = linear(normal((3, 3))[0])
    with pytest.raises(ValueError, match="a layer stands twice"):
        written["Sequential"]([same, same]).forward(x)


def test_static_methods() -> None:
    own, written = pair("class_static")
    x, w, b, dout = normal((4, 3), (3, 2), (2,), (4, 2))
    _, cache = written["Affine"].forward(x, w, b)
    dx, dw, db = written["Affine"].backward(dout, cache)
    agree(own["Affine"].forward, {"x": x, "w": w, "b": b}, dout, {"x": dx, "w": dw, "b": db})


def test_a_method_that_is_asked_for() -> None:
    own, written = pair("class_method")
    W1, W2, X = normal((3, 4), (4, 3), (5, 3))
    y = np.array([0, 1, 2, 1, 1])
    net = written["TwoLayerNet"]({"W1": W1, "W2": W2})
    assert net.loss(X, y) == pytest.approx(own["TwoLayerNet"]({"W1": W1, "W2": W2}).loss(X, y), rel=1e-12)
    found = net.loss_backward(1.0)
    assert list(found) == ["W1", "W2"]
    agree(lambda W1, W2: own["TwoLayerNet"]({"W1": W1, "W2": W2}).loss(X, y), {"W1": W1, "W2": W2}, 1.0, found)


def test_everything_that_is_refused_has_its_row() -> None:
    rows = refused_rows()
    codes = [code for code in CATALOGUE if code.startswith(REFUSED)]
    assert [code for code in codes if any(row.startswith(f"| {code} ") for row in rows)] == codes
    for row in rows:
        code, what, line, why, _ = (cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1])
        assert what.replace("\\", "") == CATALOGUE[code]
        assert code in WITHOUT_AN_EXAMPLE or (line and why)
