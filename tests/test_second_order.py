"""Generated modules are compiled again: the gradient of `<gradient, v>` against differences of the first gradient."""

from __future__ import annotations

import ast
import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from flatgrad.diagnostics import Refused
from tests.example_cases import CASES, Case
from tests.support import GENERATED, compiled, load

TOLERANCE = 1e-6
STEP = 1e-5

Inputs = dict[str, Any]


def projected(text: str, base: str, gradients: Mapping[str, Any]) -> str:
    """`text` and a function of it that gives the sum of the gradients, each times an array of its own.

    `gradients`: what `<base>_backward` returns, by the names that it has there.
    """
    functions = {one.name: one for one in ast.parse(text).body if isinstance(one, ast.FunctionDef)}
    forward, backward = functions[f"{base}_forward"], functions[f"{base}_backward"]
    names = [argument.arg for argument in forward.args.args]
    upstream = [argument.arg for argument in backward.args.args][:-1]
    outs = [f"result{k}" for k in range(len(upstream))]
    given = len(names) - len(forward.args.defaults)
    defaults = [f"{n}={ast.unparse(d)}" for n, d in zip(names[given:], forward.args.defaults, strict=True)]
    parameters = [*names[:given], *(f"u_{u}" for u in upstream), *(f"v_{g}" for g in gradients), *defaults]
    terms = []
    for name, gradient in gradients.items():
        keys = [f"[{key!r}]" for key in gradient] if isinstance(gradient, dict) else [""]
        terms += [f"np.sum({name}{key} * v_{name}{key})" for key in keys]
    lines = [
        f"def {base}_projected({', '.join(parameters)}):",
        f"    {', '.join(outs)}, cache = {base}_forward({', '.join(names)})",
        *(f"    assert np.shape(u_{u}) == np.shape({out})" for u, out in zip(upstream, outs, strict=True)),
        f"    {', '.join(gradients)} = {base}_backward({', '.join(f'u_{u}' for u in upstream)}, cache)",
        f"    return {' + '.join(terms)}",
    ]
    head = "" if "import numpy as np" in text else "import numpy as np\n"
    return "\n".join([head + text, "", *lines, ""])


def returned_names(text: str, base: str) -> list[str]:
    backward = next(
        one for one in ast.parse(text).body if isinstance(one, ast.FunctionDef) and one.name == f"{base}_backward"
    )
    last = backward.body[-1]
    assert isinstance(last, ast.Return)
    assert last.value is not None
    return [ast.unparse(one) for one in (last.value.elts if isinstance(last.value, ast.Tuple) else [last.value])]


def drawn(like: Any, rng: np.random.Generator) -> Any:
    if isinstance(like, dict):
        return {key: drawn(one, rng) for key, one in like.items()}
    return rng.normal(size=np.shape(like)) if np.ndim(like) else rng.normal()


def moved(value: Any, direction: Any, by: float) -> Any:
    if isinstance(value, dict):
        return {key: moved(one, direction[key], by) for key, one in value.items()}
    return np.asarray(value, float) + by * direction if np.ndim(value) else value + by * direction


def inner(one: Any, other: Any) -> float:
    if isinstance(one, dict):
        return sum(inner(one[key], other[key]) for key in one)
    return float(np.sum(np.asarray(one) * other))


def check_second(text: str, base: str, wrt: tuple[str, ...], given: Inputs) -> None:
    """Compile a generated module again and compare along three directions for each parameter.

    `given`: the arguments of the first function, those in `wrt` among them.
    """
    rng = np.random.default_rng(7)
    first = load(text)
    np.random.seed(0)
    *results, cache = first[f"{base}_forward"](**copy.deepcopy(given))
    upstream = [drawn(result, rng) for result in results]
    returned = first[f"{base}_backward"](*upstream, cache)
    names = returned_names(text, base)
    gradients = dict(zip(names, returned if len(names) > 1 else (returned,), strict=True))
    source = projected(text, base, gradients)
    arguments = given | {f"v_{name}": drawn(gradient, rng) for name, gradient in gradients.items()}
    backward = next(n for n in ast.parse(text).body if isinstance(n, ast.FunctionDef) and n.name == f"{base}_backward")
    arguments |= {f"u_{a.arg}": u for a, u in zip(backward.args.args[:-1], upstream, strict=True)}
    value = load(source)[f"{base}_projected"]
    second = load(compiled(source, functions=(f"{base}_projected",), wrt=wrt).text)

    def at(changed: Mapping[str, Any]) -> float:
        np.random.seed(0)
        return float(value(**copy.deepcopy(arguments | dict(changed))))

    np.random.seed(0)
    out, cache = second[f"{base}_projected_forward"](**copy.deepcopy(arguments))
    assert np.allclose(out, at({}))
    found = second[f"{base}_projected_backward"](1.0, cache)
    ordered = [name for name in arguments if name in wrt]
    ordered.sort(key=list(given).index)
    parameters = [a for a in _parameters(source, f"{base}_projected") if a in wrt]
    for name, got in zip(parameters, found if len(parameters) > 1 else (found,), strict=True):
        for _ in range(3):
            direction = drawn(arguments[name], rng)
            ahead, behind = (at({name: moved(arguments[name], direction, by)}) for by in (STEP, -STEP))
            expected = (ahead - behind) / (2 * STEP)
            error = abs(inner(got, direction) - expected) / (1 + abs(expected))
            assert error < TOLERANCE, f"d{name}: {inner(got, direction)}, not {expected}"


def _parameters(source: str, name: str) -> list[str]:
    node = next(n for n in ast.parse(source).body if isinstance(n, ast.FunctionDef) and n.name == name)
    return [argument.arg for argument in node.args.args]


# A scalar is not known to be one where its upstream gradient comes from outside: it may be an array, which `dx += ...`
# would change under its other name, too. With `value_and_grad` it is the number 1.
SCALARS = {("staged", "f")}


@pytest.mark.parametrize(
    "case",
    [case for case in CASES if (case.stem, case.function) not in SCALARS],
    ids=lambda c: f"{c.stem}-{c.function}",
)
def test_second_derivatives_of_every_example(case: Case) -> None:
    text = (GENERATED / f"{case.stem}_grad.py").read_text()
    base = case.function.removesuffix("_forward")
    size = next(k for k in range(len(case.sizes)) if k not in case.scores_only)
    given = {
        name: np.asarray(one, float) if isinstance(one, list) and name in case.wrt else one
        for name, one in case.draw(size).items()
    }
    check_second(text, base, case.wrt, given)


X = np.array([[0.7, -1.2, 0.4], [1.1, 0.3, -0.6]])
W = np.array([[0.3, -0.2], [0.1, 0.25], [-0.4, 0.6]])

NESTED = """
import numpy as np


def layer(x, w):
    return np.tanh(x @ w) * x[:, :1]


def f_forward(x: "N D", w: "D M"):
    h = layer(x, w)
    return np.sum(h ** 3) + np.sum(layer(x * 2, w) ** 2)
"""
LOOP = """
import numpy as np


def cell(h, x, w):
    return np.tanh(h @ w + x)


def f_forward(x: "T H", w: "H H"):
    h = np.zeros(x.shape[1])
    total = 0.0
    for t in range(x.shape[0]):
        h = cell(h, x[t], w)
        if np.sum(h) > 0:
            total += np.sum(h ** 2)
    return total
"""
BRANCHED = """
import numpy as np


def f_forward(x: "N D", flag):
    if flag:
        y = np.exp(x)
    else:
        y = x ** 3
    y[0] = np.sin(y[0])
    return np.sum(y * y)
"""
KEYED = """
import numpy as np


def f_forward(x: "N D"):
    parts = {}
    total = 0.0
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            if x[i, j] < -1:
                continue
            parts[i, j] = x[i, j] ** 3
            total += parts[i, j] * x[i, 0]
    for i in range(x.shape[0]):
        if x[i, 0] > 0:
            total += np.exp(parts[i, 0])
    return total
"""


@pytest.mark.parametrize(
    ("source", "given"),
    [
        pytest.param(NESTED, {"x": X, "w": W}, id="through a function that calls another"),
        pytest.param(LOOP, {"x": X[:, :2], "w": W[:2]}, id="through a loop that calls another"),
        pytest.param(BRANCHED, {"x": X, "flag": True}, id="a branch, and a write"),
        pytest.param(BRANCHED, {"x": X, "flag": False}, id="the other arm"),
        pytest.param(KEYED, {"x": X}, id="a dict of steps"),
    ],
)
@pytest.mark.parametrize("gates", ["grouped", "primitive"])
def test_second_derivatives(source: str, given: Inputs, gates: str) -> None:
    wrt = tuple(name for name, one in given.items() if isinstance(one, np.ndarray))
    check_second(compiled(source, wrt=wrt, gates=gates).text, "f", wrt, given)


def test_third_derivatives() -> None:
    """What is compiled twice is compiled a third time."""
    source = "import numpy as np\n\n\ndef f_forward(x: 'N'):\n    return np.sum(np.sin(x) * x)\n"
    first = (
        compiled(source).text + "\n\ndef g(x: 'N'):\n    out, dx = f_value_and_grad(x)\n    return np.sum(dx ** 2)\n"
    )
    second = compiled(first, functions=("g",)).text
    check_second(second, "g", ("x",), {"x": X[0]})


@pytest.mark.parametrize(
    "call",
    [
        "out, dx = f_value_and_grad(x)\n    return np.sum(dx)",
        "value, cache = f_forward(x)\n    return np.sum(f_backward(1.0, cache))",
    ],
)
def test_a_function_of_the_gradient(call: str) -> None:
    source = "import numpy as np\n\n\ndef f_forward(x: 'N'):\n    return np.sum(np.sin(x) * x)\n"
    text = compiled(source).text + f"\n\ndef g(x: 'N'):\n    {call}\n"
    module = load(compiled(text, functions=("g",)).text)
    _, gradient = module["g_value_and_grad"](X[0])
    assert np.allclose(gradient, 2 * np.cos(X[0]) - X[0] * np.sin(X[0]))


def test_the_place_of_an_error_is_that_in_the_file() -> None:
    source = """import numpy as np


def g_forward(x):
    y = np.unwrap(x)
    return y, (x, y)


def g_backward(dy, cache):
    x, y = cache
    return dy * x * y


def f(x):
    y, cache = g_forward(x)
    return np.sum(g_backward(y, cache))
"""
    with pytest.raises(Refused) as refused:
        compiled(source, functions=("f",))
    (one,) = refused.value.diagnostics
    assert one.span is not None
    assert (one.code, one.span.line) == ("FG021", 5)


def test_value_and_grad_is_differentiated_as_what_it_says() -> None:
    source = "import numpy as np\n\n\ndef f_forward(x: 'N'):\n    return np.sum(np.sin(x) * x)\n"
    module = load(compiled(compiled(source).text, functions=("f_value_and_grad",)).text)
    value, gradient, cache = module["f_value_and_grad_forward"](X[0])
    first, second = 0.5, X[1]
    expected = first * gradient + second * (2 * np.cos(X[0]) - X[0] * np.sin(X[0]))
    assert np.allclose(value, np.sum(np.sin(X[0]) * X[0]))
    assert np.allclose(gradient, np.sin(X[0]) + X[0] * np.cos(X[0]))
    assert np.allclose(module["f_value_and_grad_backward"](first, second, cache), expected)


def test_value_and_grad_with_several_gradients_is_refused() -> None:
    source = "import numpy as np\n\n\ndef f_forward(x: 'N', y: 'N'):\n    return np.sum(np.sin(x) * y)\n"
    with pytest.raises(Refused) as refused:
        compiled(compiled(source).text, functions=("f_value_and_grad",))
    (one,) = refused.value.diagnostics
    assert one.code == "FG061"
    assert "gradients are several" in one.message
    assert "second derivatives" in one.help
