"""Helpers from other files of the project: found on disk, read, never run."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import flatgrad
from flatgrad.compiler import Compiled, compile_source
from flatgrad.diagnostics import Diagnostic, Refused, render
from flatgrad.gates.declared import declare, read_gate_file
from flatgrad.options import Options

LAYERS = """\
import numpy as np

EPS = 1e-3
HALF, TWICE = 0.5, 2 * EPS


def affine_forward(x, w, b):
    '''
    - x: of shape (N, d_1, ..., d_k)
    - w: of shape (D, M)
    - b: of shape (M,)
    '''
    out = x.reshape(x.shape[0], -1).dot(w) + b
    cache = (x, w, b)
    return out, cache


def affine_backward(dout, cache):
    x, w, b = cache
    dx = dout.dot(w.T).reshape(x.shape)
    dw = x.reshape(x.shape[0], -1).T.dot(dout)
    db = np.sum(dout, axis=0)
    return dx, dw, db


def relu_forward(x):
    out = np.maximum(0, x)
    cache = x
    return out, cache


def relu_backward(dout, cache):
    dx, x = None, cache
    dx = dout
    dx[x <= 0] = 0
    return dx


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def scale(x, s=TWICE):
    t = np.tanh(x * s)
    return sigmoid(t) * EPS + t
"""

RNG = np.random.default_rng(5)
INPUTS: Mapping[str, Any] = {
    "x": RNG.normal(size=(3, 4)),
    "w": RNG.normal(size=(4, 5)),
    "b": RNG.normal(size=5),
    "u": RNG.normal(size=(3, 5)),
}
NET = """\
def net(x, w, b, u):
    h, fc_cache = {affine}(x, w, b)
    a, relu_cache = {relu}(h)
    return np.sum({scale}(a) * {sigmoid}(u)) + {eps}
"""
PLAIN = dict.fromkeys(("affine", "relu", "scale", "sigmoid", "eps"), "") | {
    "affine": "affine_forward", "relu": "relu_forward", "scale": "scale", "sigmoid": "sigmoid", "eps": "EPS",
}  # fmt: skip


class Package:
    """A project in a folder of its own; `model.py` in the package `pkg` is what is compiled."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "pyproject.toml").write_text("")

    def write(self, files: Mapping[str, str]) -> None:
        for name, text in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def compiled(self, model: str = "pkg/model.py", **options: Any) -> Compiled:
        path = self.root / model
        return compile_source(path.read_text(), str(path), Options(**options))

    def refused(self, model: str = "pkg/model.py", **options: Any) -> tuple[Diagnostic, ...]:
        with pytest.raises(Refused) as refused:
            self.compiled(model, **options)
        return refused.value.diagnostics

    def generated(self, model: str = "pkg/model.py", **options: Any) -> Any:
        """The generated module, imported from the place of the model."""
        text = self.compiled(model, **options).text
        path = (self.root / model).with_name(f"{Path(model).stem}_grad.py")
        path.write_text(text)
        return self.imported(path.relative_to(self.root))

    def imported(self, path: Path) -> Any:
        importlib.invalidate_caches()
        return importlib.import_module(".".join(path.with_suffix("").parts))


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Package]:
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = set(sys.modules)
    made = Package(tmp_path)
    made.write({"pkg/__init__.py": "", "pkg/layers.py": LAYERS})
    yield made
    for name in set(sys.modules) - before:
        if name.partition(".")[0] in ("pkg", "model", "layers", "model_grad", "cs231n"):
            del sys.modules[name]


def differences(function: Callable[..., Any], inputs: Mapping[str, Any], name: str) -> Any:
    value = np.asarray(inputs[name], dtype=float)
    gradient = np.zeros_like(value)
    for index in np.ndindex(value.shape):
        ends = []
        for step in (1e-6, -1e-6):
            moved = value.copy()
            moved[index] += step
            ends.append(function(**{**inputs, name: moved}))
        gradient[index] = (ends[0] - ends[1]) / 2e-6
    return gradient


def check(package: Package, inputs: Mapping[str, Any] = INPUTS, model: str = "pkg/model.py", **options: Any) -> Any:
    """The generated module, with gradients that agree with differences of the user's own function; backward run twice
    gives the same, and changes neither the upstream gradient nor what forward was given."""
    module = package.generated(model, **options)
    own = package.imported(Path(model))
    entries = [n.removesuffix("_value_and_grad") for n in vars(module) if n.endswith("_value_and_grad")]
    name = next((n for n in options.get("functions", ())), entries[0])
    given = {key: np.array(value, copy=True) for key, value in inputs.items()}
    out, cache = getattr(module, f"{name}_forward")(**given)
    np.testing.assert_allclose(out, getattr(own, name)(**inputs))
    backward = getattr(module, f"{name}_backward")
    first, second = backward(1.0, cache), backward(1.0, cache)
    first, second = (one if isinstance(one, tuple) else (one,) for one in (first, second))
    assert all(np.array_equal(one, other) for one, other in zip(first, second, strict=True))
    assert len(first) == len(inputs)
    for key, gradient in zip(inputs, first, strict=True):
        np.testing.assert_allclose(gradient, differences(getattr(own, name), inputs, key), rtol=1e-6, atol=1e-7)
        np.testing.assert_array_equal(given[key], inputs[key])
    return module


# Forms of imports


@pytest.mark.parametrize(
    ("header", "names", "kept"),
    [
        (
            "from .layers import affine_forward, relu_forward, scale, sigmoid, EPS",
            PLAIN,
            "from .layers import affine_forward, affine_backward, relu_forward, relu_backward\n",
        ),
        (
            "from pkg.layers import *",
            PLAIN,
            "from pkg.layers import affine_forward, affine_backward, relu_forward, relu_backward\n",
        ),
        (
            "from . import layers as L",
            {key: f"L.{name}" for key, name in PLAIN.items()},
            "from . import layers as L\n",
        ),
        (
            "import pkg.layers",
            {key: f"pkg.layers.{name}" for key, name in PLAIN.items()},
            "import pkg.layers\n",
        ),
        (
            "from pkg.layers import affine_forward as aff, relu_forward as r, scale as sc, sigmoid as sg, EPS as e",
            {"affine": "aff", "relu": "r", "scale": "sc", "sigmoid": "sg", "eps": "e"},
            "from pkg.layers import affine_forward as aff, affine_backward, relu_forward as r, relu_backward\n",
        ),
        (
            "from .layers import (\n    affine_forward,  # pairs\n    relu_forward,\n    scale, sigmoid, EPS,\n)",
            PLAIN,
            "from .layers import affine_forward, affine_backward, relu_forward, relu_backward\n",
        ),
    ],
)  # fmt: skip
def test_forms_of_imports(package: Package, header: str, names: Mapping[str, str], kept: str) -> None:
    package.write({"pkg/model.py": f"import numpy as np\n{header}\n\n\n{NET.format(**names)}"})
    check(package)
    text = package.compiled().text
    assert kept in text
    assert "def affine" not in text, "a pair stays where it is"
    assert "EPS = 0.001" in text or "e = 0.001" in text


def test_the_text_of_a_pair_is_that_of_the_user(package: Package) -> None:
    source = "from .layers import affine_forward\n\n\ndef f(x, w, b):\n    h, fc_cache = affine_forward(x, w, b)\n"
    package.write({"pkg/model.py": source + "    return h\n"})
    text = package.compiled().text
    assert "    h, fc_cache = affine_forward(x, w, b)  # (1)\n    return h, fc_cache\n" in text
    assert "    dx, dw, db = affine_backward(dh, fc_cache)\n" in text
    assert "Calls affine_backward of the user's, whose gradients are not checked." in text


def test_next_to_a_script_and_around_it(package: Package) -> None:
    net = NET.format(**PLAIN)
    package.write(
        {
            "layers.py": LAYERS.replace("affine_backward", "_hidden").replace("relu_backward", "_other"),
            "model.py": f"import numpy as np\nfrom layers import *\n\n\n{net}",
            "cs231n/classifiers/model.py": f"import numpy as np\nfrom cs231n.layers import *\n\n\n{net}",
            "cs231n/layers.py": LAYERS,
        }
    )
    module = check(package, model="model.py")
    assert "layers import" not in Path(module.__file__).read_text(), "all of it is written"
    check(package, model="cs231n/classifiers/model.py")


def test_a_package_that_hands_on_names_of_its_files(package: Package) -> None:
    package.write(
        {
            "pkg/nn/__init__.py": "from .functions import affine as dense, relu\nfrom .functions import *\n",
            "pkg/nn/functions.py": "import numpy as np\nfrom ..tools import half\n\n\n"
            "def affine(x: 'N D', w: 'D M'):\n    return half(x @ w)\n\n\n"
            "def relu(x):\n    return np.maximum(x, 0)\n",
            "pkg/tools.py": "SCALE = 0.5\n\n\ndef half(x):\n    t = x * SCALE\n    return t * 1.0\n",
            "pkg/model.py": "import numpy as np\nfrom .nn import dense, relu\n\n\n"
            'def f(x: "N D", w: "D M"):\n    h = dense(x, w)\n    return np.sum(relu(h) ** 2)\n',
        }
    )
    module = check(package, {"x": INPUTS["x"], "w": INPUTS["w"]})
    assert "import numpy as np\n\nSCALE = 0.5\n" in Path(module.__file__).read_text()


def test_imports_in_a_circle(package: Package) -> None:
    package.write(
        {
            "pkg/one.py": "from .model import double\n\n\ndef twice(x):\n    t = double(x) * x\n    return t + x\n",
            "pkg/model.py": "import numpy as np\n\n\ndef double(x):\n    t = np.sin(x)\n    return t + x\n\n\n"
            "from .one import twice\n\n\ndef f(x):\n    return np.sum(twice(x))\n",
        }
    )
    check(package, {"x": INPUTS["x"]}, functions=("f",))


def test_one_function_under_two_names(package: Package) -> None:
    package.write(
        {
            "pkg/tools.py": "import numpy as np\n\n\ndef bend(x):\n    t = np.tanh(x)\n    return t * x\n",
            "pkg/model.py": "import numpy as np\nfrom .tools import bend\nfrom . import tools\n"
            "from .tools import bend as again\n\n\n"
            "def f(x):\n    return np.sum(bend(x) * tools.bend(x) + again(x))\n",
        }
    )
    module = check(package, {"x": INPUTS["x"]})
    assert Path(module.__file__).read_text().count("def bend_forward(") == 1


# Names that mean something else in another file


def test_names_that_two_files_use_differently(package: Package) -> None:
    package.write(
        {
            "pkg/tools.py": "import numpy as N\nfrom math import exp\n\nK = 3.0\n\n\n"
            "def inner(x):\n    t = N.tanh(x)\n    return t * K\n\n\n"
            "def g(x):\n    s = sum([1.0, K])\n    t = inner(x) * s\n    return t * exp(-1.0)\n",
            "pkg/model.py": "import numpy as np\nfrom numpy import exp, sum\nfrom . import tools\n\nK = 2.0\n\n\n"
            "def inner(x):\n    t = np.sin(x)\n    return t + K\n\n\n"
            "def f(x):\n    g = tools.g(x)\n    return sum(g * inner(x) * exp(x) * K)\n",
        }
    )
    check(package, {"x": INPUTS["x"]}, functions=("f",))


def test_what_a_function_binds_itself_is_its_own(package: Package) -> None:
    package.write(
        {
            "pkg/tools.py": "import numpy as np\n\nx = 4.0\n\n\ndef g(x):\n    h = [x * t for t in (1.0, 2.0)]\n"
            "    return h[0] + h[1] * np.cos(x)\n",
            "pkg/model.py": "import numpy as np\nfrom .tools import g, x\n\n\ndef f(h):\n    return np.sum(g(h) * x)\n",
        }
    )
    check(package, {"h": INPUTS["x"]})


def test_an_import_is_no_method(package: Package) -> None:
    package.write(
        {
            "pkg/__init__.py": "def sum(x):\n    t = x * 3.0\n    return t[0] * 1.0\n",
            "pkg/model.py": 'from . import sum\n\n\ndef f(x: "N"):\n    return sum(x)\n',
        }
    )
    check(package, {"x": INPUTS["b"]})
    source = 'from . import sum\n\n\ndef f(x: "N"):\n    return sum(x)\n'
    with pytest.raises(Refused) as refused:
        compile_source(source, "<stdin>", Options())
    assert [one.code for one in refused.value.diagnostics] == ["FG021"]


# Pairs


def pair(forward: str, backward: str) -> dict[str, str]:
    """A pair of functions, and a model that calls it and adds to the gradient that it returns."""
    tools = f"import numpy as np\n\n\ndef g_forward{forward}\n\n\ndef g_backward{backward}\n"
    model = (
        "import numpy as np\nfrom .tools import g_forward\n\n\ndef f(x):\n    h = x * 2.0\n    y, _ = g_forward(h)\n"
    )
    return {"pkg/tools.py": tools, "pkg/model.py": model + "    return np.sum(y * h + h)\n"}


@pytest.mark.parametrize(
    ("forward", "backward"),
    [
        ("(h):\n    return h * 3.0, None", "(dout, cache):\n    dout *= 3.0\n    return dout"),
        ("(h):\n    return h * 1.0, None", "(dout, cache):\n    dh = dout\n    return dh"),
        ("(h):\n    return np.sin(h), h", "(d, h):\n    return d * np.cos(h)"),
        ("(h):\n    return h, ()", "(dout, cache):\n    return dout.reshape(dout.shape)"),
        ("(h):\n    return np.unwrap(h), h", "(dout, cache):\n    return dout"),
    ],
    ids=["writes", "hands back", "named otherwise", "hands on", "no gate of its own"],
)  # fmt: skip
def test_memory_of_pairs(package: Package, forward: str, backward: str) -> None:
    package.write(pair(forward, backward))
    check(package, {"x": 0.3 * INPUTS["x"]})


def test_several_results_of_which_one_is_not_used(package: Package) -> None:
    package.write(
        {
            "pkg/tools.py": "import numpy as np\n\n\n"
            "def step_forward(x, h, w):\n    c = x + h\n    a = np.tanh(c @ w)\n    return a, c, (x, h, w, a)\n\n\n"
            "def step_backward(da, dc, cache):\n    x, h, w, a = cache\n    dz = da * (1 - a**2)\n"
            "    dc = dc + dz @ w.T\n    return dc, dc, (x + h).T @ dz\n",
            "pkg/model.py": "import numpy as np\nfrom .tools import step_forward\n\n\n"
            "def f(x, h, w):\n    for t in range(3):\n        h, c, cache = step_forward(x, h, w)\n"
            "    return np.sum(h)\n",
        }
    )
    found = package.refused()
    assert [one.code for one in found] == ["FG027"]
    assert "`dc, dc, (x + h).T @ dz`" in found[0].label
    tools = (package.root / "pkg/tools.py").read_text()
    named = "dx, dh, dw = dc, dc, (x + h).T @ dz\n    return dx, dh, dw"
    package.write({"pkg/tools.py": tools.replace("return dc, dc, (x + h).T @ dz", named)})
    inputs = {"x": 0.3 * INPUTS["x"], "h": 0.2 * INPUTS["x"], "w": 0.3 * RNG.normal(size=(4, 4))}
    module = check(package, inputs)
    assert "caches = []" in Path(module.__file__).read_text() or ".append(" in Path(module.__file__).read_text()


@pytest.mark.parametrize(
    ("forward", "backward", "reason"),
    [
        ("(h):\n    return h * 2.0", "(dout, cache):\n    return dout", "does not return its results and then a cache"),
        ("(h):\n    return h, 1", "(dout):\n    return dout", "takes 1 parameters"),
        ("(h, s=1.0):\n    return h, 1", "(dout, cache):\n    return dout * 2", "not named after the parameters h, s"),
        ("(h):\n    return h, [h]", "(dout, cache):\n    cache[0][:] = 0\n    return dout", "changes what is in its"),
        ("(a, b):\n    h = a\n    return h, b, 1", "(db, dh, cache):\n    return dh", "not in the place of"),
        ("(h):\n    return h, 1", "(dout, cache, scale=1):\n    return dout", "takes other parameters"),
    ],
)  # fmt: skip
def test_backward_functions_that_cannot_be_called(package: Package, forward: str, backward: str, reason: str) -> None:
    package.write(pair(forward, backward))
    (found,) = package.refused()
    assert found.code == "FG027"
    assert reason in found.label


def test_a_gradient_that_backward_does_not_return(package: Package) -> None:
    package.write(
        {
            "pkg/tools.py": "def g_forward(x, w):\n    return x * w, (x, w)\n\n\n"
            "def g_backward(dout, cache):\n    dx = dout * cache[1]\n    return dx\n",
            "pkg/model.py": "import numpy as np\nfrom .tools import g_forward\n\n\n"
            "def f(x, w):\n    y, c = g_forward(x, w)\n    return np.sum(y)\n",
        }
    )
    (found,) = package.refused()
    assert (found.code, found.message) == ("FG027", "g_backward returns no gradient of w")
    module = package.generated(wrt=("x",))
    _, gradient = module.f_value_and_grad(INPUTS["x"], INPUTS["x"])
    np.testing.assert_allclose(gradient, INPUTS["x"])


def test_a_derivative_beside_a_function_that_is_no_pair_is_noted(package: Package) -> None:
    package.write(
        {
            "pkg/tools.py": "import numpy as np\n\n\ndef bend(x):\n    t = np.tanh(x)\n    return t * x\n\n\n"
            "def bend_backward(dout, x):\n    return dout * 0\n",
            "pkg/model.py": "import numpy as np\nfrom .tools import bend\n\n\ndef f(x):\n    return np.sum(bend(x))\n",
        }
    )
    check(package, {"x": INPUTS["x"]})
    (note,) = package.compiled().notes
    assert (note.code, note.severity) == ("FG027", "note")


@pytest.mark.parametrize("rounded", ["np.round(h)", "np.where(h > 0, 1.0, 0.0)", "h > 0", "(h > 0).astype(int)"])
def test_a_gradient_that_only_backward_lets_through(package: Package, rounded: str) -> None:
    package.write(
        {
            "pkg/tools.py": "import numpy as np\n\n\n"
            f"def g_forward(h):\n    out = {rounded}\n    return out, None\n\n\n"
            "def g_backward(dout, cache):\n    return dout * 1.0\n",
            "pkg/model.py": "import numpy as np\nfrom .tools import g_forward\n\n\n"
            "def f(x, u):\n    y, cache = g_forward(x * 2.0)\n    return np.sum(y * u)\n",
        }
    )
    _, (dx, _) = package.generated().f_value_and_grad(INPUTS["x"], INPUTS["x"])
    np.testing.assert_allclose(dx, 2 * INPUTS["x"])


def test_claims_of_a_pair_are_not_relied_on(package: Package) -> None:
    # No guard of ours holds the imported function to what its docstring says.
    package.write(
        {
            "pkg/tools.py": 'def g_forward(x):\n    """x of shape (N, 1)"""\n    return x * 1.0, None\n\n\n'
            "def g_backward(dout, cache):\n    dx = dout * 1.0\n    return dx\n",
            "pkg/model.py": "import numpy as np\nfrom .tools import g_forward\n\n\n"
            'def f(x, b: "M"):\n    y, c = g_forward(x)\n    return np.sum(y * b)\n',
        }
    )
    check(package, {"x": INPUTS["u"], "b": INPUTS["b"]})


# What is refused


def test_errors_are_shown_in_their_own_file(package: Package) -> None:
    package.write(
        {
            "pkg/tools.py": "import numpy as np\n\n\n# comments\ndef g(x):\n    t = np.unwrap(x)\n    return t * x\n",
            "pkg/model.py": "from .tools import g\n\n\ndef f(x):\n    return g(x)\n",
        }
    )
    (found,) = package.refused()
    assert found.code == "FG021"
    drawn = render(found, "", "model.py")
    assert f"--> {package.root / 'pkg/tools.py'}:6:9\n" in drawn
    assert " 6 |     t = np.unwrap(x)\n   |         ^^^^^^^^^" in drawn


def test_places_in_the_model_are_those_of_its_own_text(package: Package) -> None:
    model = (
        "from .layers import (\n    sigmoid,\n    scale,\n)\n"
        "from . import layers as long_name\nimport numpy as np\n\n\n"
        "def f(x):\n    return long_name.scale(x) + long_name.sigmoid(np.unwrap(x)) * long_name.EPS\n"
    )
    package.write({"pkg/model.py": model})
    (found,) = package.refused()
    assert found.file is None
    assert found.span is not None
    assert found.span.line == 10
    line = model.split("\n")[9]
    assert line[found.span.column : found.span.end_column] == "np.unwrap"


@pytest.mark.parametrize(
    ("header", "expression", "message"),
    [
        ("from .nowhere import g", "g(x)", "where g comes from is not found"),
        ("from . import nowhere", "nowhere.g(x)", "where nowhere comes from is not found"),
        ("from .layers import nothing", "nothing(x)", "layers.py does not define nothing"),
        ("from . import layers", "layers.nothing(x)", "layers.py does not define nothing"),
        ("from . import layers", "x + layers.NOTHING", "layers.py does not define NOTHING"),
        ("from .other import W", "x @ W", "W is neither a function nor a constant"),
        ("from .other import Net", "Net(x)", "Net is neither a function nor a constant"),
    ],
)
def test_imports_that_lead_nowhere(package: Package, header: str, expression: str, message: str) -> None:
    package.write(
        {
            "pkg/other.py": "W = [read() for k in range(3)]\n\n\nclass Net:\n    pass\n",
            "pkg/model.py": f"{header}\n\n\ndef f(x):\n    return {expression}\n",
        }
    )
    (found,) = package.refused()
    assert found.code == "FG026"
    assert message in found.message
    assert found.help


@pytest.mark.parametrize("header", ["from .broken import g", "from .broken import *", "from . import broken"])
def test_a_file_that_is_not_valid_python(package: Package, header: str) -> None:
    call = "broken.g(x)" if header.endswith("broken") else "g(x)"
    package.write(
        {
            "pkg/broken.py": "def g(x):\n    return x +\n",
            "pkg/model.py": f"{header}\n\n\ndef h(x):\n    return x * x\n\n\ndef f(x):\n    return {call}\n",
        }
    )
    (found,) = package.refused()
    assert found.code == "FG001"
    assert "broken.py:2:" in render(found, "", "model.py")
    if "*" not in header:  # what no entry reaches brings no errors
        assert "def h_backward" in package.compiled(functions=("h",)).text


@pytest.mark.parametrize("call", ["h(x)", "np.sum(h([x, x]))"])
def test_a_decorator_that_is_not_known(package: Package, call: str) -> None:
    package.write(
        {
            "pkg/tools.py": "import functools\nimport numpy as np\nfrom other import twice\n\n\n@twice\ndef h(x):\n"
            "    return x[0] * 2\n\n\n@functools.lru_cache\ndef g(x):\n    t = np.tanh(x)\n    return t * x\n",
            "pkg/model.py": "import numpy as np\nfrom .tools import g, h\n\n\n"
            f"def f(x):\n    return {call}\n\n\ndef k(x):\n    return np.sum(g(x))\n",
        }
    )
    (found,) = package.refused(functions=("f",))
    assert found.code == "FG030"
    assert "decorator makes of h" in found.message
    assert "def g_backward" in package.compiled(functions=("k",)).text


def test_functions_of_two_files_that_call_each_other(package: Package) -> None:
    package.write(
        {
            "pkg/tools.py": "from .model import f\n\n\ndef g(x):\n    return f(x) * x\n",
            "pkg/model.py": "from .tools import g\n\n\ndef f(x):\n    return g(x) + x\n",
        }
    )
    assert [one.code for one in package.refused()] == ["FG037"]


def test_an_installed_library_is_not_read(package: Package) -> None:
    package.write({"pkg/model.py": "import click\n\n\ndef f(x):\n    return click.echo(x)\n"})
    (found,) = package.refused()
    assert (found.code, found.message) == ("FG021", "no gate for click.echo")
    assert "docs/your-own-gates.md" in found.help


# Declarations, options, other ways in


def test_a_declared_gate_wins(package: Package) -> None:
    package.write(
        {
            "pkg/tools.py": "import numpy as np\n\n\ndef odd(x):\n    return np.unwrap(x) + x\n",
            "pkg/model.py": "import numpy as np\nfrom .tools import odd\n\n\ndef f(x):\n    return np.sum(odd(x))\n",
        }
    )
    gates = declare(read_gate_file('gate("tools.odd(x)", backward={"x": "dz * 2"})\n', "my_gates.py"))
    text = package.compiled(declared=gates).text
    assert "from .tools import odd\n" in text
    assert "dx = dout * 2" in text


def test_one_relation_a_line(package: Package) -> None:
    package.write({"pkg/model.py": f"import numpy as np\nfrom .layers import *\n\n\n{NET.format(**PLAIN)}"})
    check(package, stages="relations")


def test_a_generated_module_is_a_pair_itself(package: Package) -> None:
    package.write(
        {
            "pkg/tools.py": "import numpy as np\n\n\ndef bend(x):\n    t = np.tanh(x)\n    return t * x\n",
            "pkg/model.py": "import numpy as np\nfrom .tools_grad import bend_forward\n\n\n"
            "def f(x):\n    y, cache = bend_forward(x)\n    return np.sum(y * x)\n",
        }
    )
    package.generated("pkg/tools.py")
    module = check(package, {"x": INPUTS["x"]})
    assert "from .tools_grad import bend_forward, bend_backward\n" in Path(module.__file__).read_text()


def test_relative_paths_and_sources_without_a_file(package: Package, monkeypatch: pytest.MonkeyPatch) -> None:
    source = "import numpy as np\nfrom .layers import scale\n\n\ndef f(x):\n    return np.sum(scale(x))\n"
    package.write({"pkg/model.py": source})
    monkeypatch.chdir(package.root / "pkg")
    assert "def scale_backward" in compile_source(source, "model.py", Options()).text
    assert "def scale_backward" in flatgrad.compile(Path("model.py"), functions="f").source
    for filename in ("<stdin>", "other.py"):
        with pytest.raises(Refused) as refused:
            compile_source(source, filename, Options())
        assert [one.code for one in refused.value.diagnostics] == ["FG021"]


def test_only_the_functions_of_the_model_are_entries(package: Package) -> None:
    package.write({"pkg/model.py": "from .layers import scale\n\n\ndef f(x):\n    return scale(x) * x\n"})
    assert [entry.name for entry in package.compiled().entries] == ["f"]
    (found,) = package.refused(functions=("scale",))
    assert (found.code, found.help) == ("FG060", "its functions: f")


def test_the_page_in_the_docs(package: Package) -> None:
    page = (Path(__file__).parent.parent / "docs" / "imports.md").read_text()
    files = dict(re.findall(r"<!-- file: (\S+) -->\n```python\n(.*?)```", page, re.DOTALL))
    package.write({f"pkg/{name}": text for name, text in files.items()})
    (written,) = re.findall(r"<!-- written: model.py -->\n```python\n(.*?)```", page, re.DOTALL)
    assert written in package.compiled().text
    module = package.generated()
    given = [INPUTS[name] for name in "xwb"]
    out, cache = module.predict_forward(*given)
    layers = package.imported(Path("pkg/layers.py"))
    for gradient, own in zip(module.predict_backward(out, cache), layers.affine_backward(out, cache), strict=True):
        np.testing.assert_array_equal(gradient, own)


REAL = """\
import numpy as np

from cs231n.layers import *
from cs231n.layer_utils import *


class TwoLayerNet(object):
    def __init__(self, params, reg=0.0):
        self.params = params
        self.reg = reg

    def loss(self, X, y=None):
        W1, b1 = self.params["W1"], self.params["b1"]
        W2, b2 = self.params["W2"], self.params["b2"]
        h, cache1 = affine_relu_forward(X, W1, b1)
        scores, cache2 = affine_forward(h, W2, b2)
        if y is None:
            return scores
        loss, dscores = softmax_loss(scores, y)
        loss += 0.5 * self.reg * (np.sum(W1 * W1) + np.sum(W2 * W2))
        grads = {}
        dh, grads["W2"], grads["b2"] = affine_backward(dscores, cache2)
        _, grads["W1"], grads["b1"] = affine_relu_backward(dh, cache1)
        grads["W1"] += self.reg * W1
        grads["W2"] += self.reg * W2
        return loss, grads
"""
UTILS = """\
from cs231n.layers import *


def affine_relu_forward(x, w, b):
    a, fc_cache = affine_forward(x, w, b)
    out, relu_cache = relu_forward(a)
    cache = (fc_cache, relu_cache)
    return out, cache


def affine_relu_backward(dout, cache):
    fc_cache, relu_cache = cache
    da = relu_backward(dout, relu_cache)
    dx, dw, db = affine_backward(da, fc_cache)
    return dx, dw, db
"""
SOFTMAX = """

def softmax_loss(x, y):
    '''
    - x: Input data, of shape (N, C)
    - y: Vector of labels, of shape (N,)
    '''
    shifted = x - np.max(x, axis=1, keepdims=True)
    log_probs = shifted - np.log(np.sum(np.exp(shifted), axis=1, keepdims=True))
    N = x.shape[0]
    loss = -np.sum(log_probs[np.arange(N), y]) / N
    dx = np.exp(log_probs)
    dx[np.arange(N), y] -= 1
    dx /= N
    return loss, dx
"""


def test_a_network_of_a_course(package: Package) -> None:
    package.write(
        {
            "cs231n/layers.py": LAYERS + SOFTMAX,
            "cs231n/layer_utils.py": UTILS,
            "cs231n/classifiers/net.py": REAL,
        }
    )
    options = {"functions": ("TwoLayerNet.loss",), "wrt": ("self.params",)}
    module = package.generated("cs231n/classifiers/net.py", **options)
    own = package.imported(Path("cs231n/classifiers/net.py"))
    params = {"W1": RNG.normal(size=(4, 5)), "b1": RNG.normal(size=5)}
    params |= {"W2": RNG.normal(size=(5, 3)), "b2": RNG.normal(size=3)}
    x, y = INPUTS["x"], np.array([2, 0, 1])
    mine, theirs = module.TwoLayerNet(params, 0.1), own.TwoLayerNet(params, 0.1)
    loss, grads = theirs.loss(x, y)
    np.testing.assert_allclose(mine.loss(x, y), loss)
    for _ in range(2):
        gradients = mine.loss_backward(1.0)
        assert gradients.keys() == grads.keys()
        for name, gradient in gradients.items():
            np.testing.assert_allclose(gradient, grads[name])
    text = Path(module.__file__).read_text()
    assert "from cs231n.layer_utils import affine_relu_forward, affine_relu_backward\n" in text
    assert "affine_relu_backward(dh.copy(), self.cache1)" in text, "relu_backward writes into what it is given"
