"""`flatgrad.compile`, `grad`, `value_and_grad`: on text, and on functions in files, in functions and in notebooks."""

from __future__ import annotations

import functools
import importlib.util
import inspect
import linecache
import math
import sys
import textwrap
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import flatgrad

STAGED = """
import math


def f(x, y):
    sigy = 1.0 / (1 + math.exp(-y))  # sigmoid in numerator
    num = x + sigy
    return num * x
"""


@pytest.fixture
def imported(tmp_path: Path) -> Iterator[Callable[..., ModuleType]]:
    """Write a text into a file and import it."""
    names: list[str] = []

    def run(text: str, name: str = "the_model") -> ModuleType:
        path = tmp_path / f"{name}.py"
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        importlib.invalidate_caches()
        linecache.checkcache(str(path))
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        names.append(name)
        spec.loader.exec_module(module)
        return module

    yield run
    for name in names:
        sys.modules.pop(name, None)


def slope(function: Callable[..., Any], *args: Any, at: int = 0, step: float = 1e-6) -> Any:
    """The central difference of a scalar function in one argument, elementwise."""
    x = np.array(args[at], dtype=float)
    found = np.zeros(x.shape)
    for place in np.ndindex(x.shape):
        moved = np.zeros(x.shape)
        moved[place] = step
        up = function(*args[:at], x + moved, *args[at + 1 :])
        down = function(*args[:at], x - moved, *args[at + 1 :])
        found[place] = (up - down) / (2 * step)
    return found


# compile: source, paths, functions


def test_source_text() -> None:
    module = flatgrad.compile(STAGED)
    out, cache = module.forward(3.0, -4.0)
    dx, dy = module.backward(1.0, cache)
    sigmoid = 1 / (1 + math.exp(4.0))
    assert out == pytest.approx((3 + sigmoid) * 3)
    assert dx == pytest.approx(6 + sigmoid)
    assert dy == pytest.approx(3 * sigmoid * (1 - sigmoid))
    value, gradients = module.value_and_grad(3.0, -4.0)
    assert value == out
    assert gradients == (dx, dy)
    assert module.entry.parameters == ("x", "y")
    assert module.entry.wrt == ("x", "y")
    assert module.ir
    assert "def f_forward(x, y):" in module.source


def test_a_path_and_a_function_give_what_the_command_writes(imported: Callable[..., ModuleType]) -> None:
    model = imported(STAGED, "staged_model")
    path = Path(str(model.__file__))
    by_path = flatgrad.compile(path)
    assert "staged_model.py" in by_path.source
    assert flatgrad.compile(model.f).source == flatgrad.compile(path, functions="f").source
    assert flatgrad.compile(path, wrt="y").entry.wrt == ("y",)
    assert flatgrad.compile(model.f, wrt=["y"]).entry.wrt == ("y",)


def test_a_generated_module_stands_alone(imported: Callable[..., ModuleType]) -> None:
    module = flatgrad.compile(STAGED)
    assert "flatgrad" not in "".join(line for line in module.source.splitlines() if "import" in line)
    alone = imported(module.source, "stands_alone")
    assert alone.f_value_and_grad(3.0, -4.0) == module.value_and_grad(3.0, -4.0)


def test_several_functions_are_entries() -> None:
    text = "def first(x):\n    return x * x\n\n\ndef second(x):\n    return x * x * x\n"
    module = flatgrad.compile(text)
    assert sorted(module.entries) == ["first", "second"]
    assert module.entries["second"].value_and_grad is not None
    assert module.entries["second"].value_and_grad(2.0) == (8.0, pytest.approx(12.0))
    with pytest.raises(LookupError, match="first, second"):
        _ = module.forward
    assert list(flatgrad.compile(text, functions="second").entries) == ["second"]


def test_refusals_show_the_place() -> None:
    text = "import numpy as np\n\n\ndef f(x):\n    return np.unwrap(x)\n"
    with pytest.raises(flatgrad.Refused) as caught:
        flatgrad.compile(text)
    assert caught.value.diagnostics[0].code == "FG021"
    assert "--> <source>:5:12" in str(caught.value)
    assert "^^^^^^^^^" in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (((3,), {}), TypeError),
        ((("model.py",), {}), ValueError),
        (((STAGED,), {"gates": "all"}), ValueError),
        (((STAGED,), {"stages": "all"}), ValueError),
        (((STAGED,), {"accumulate": "all"}), ValueError),
        (((STAGED,), {"wrt": "x y"}), ValueError),
    ],
)
def test_wrong_arguments(arguments: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        flatgrad.compile(*arguments[0], **arguments[1])


# the decorators


RATE = 0.5


def square_plus(x: Any, k: Any = 3.0) -> Any:
    y = x * x
    return y * RATE + k


def test_value_and_grad_of_a_function_of_this_file() -> None:
    both = flatgrad.value_and_grad(square_plus)
    assert both(2.0) == (5.0, pytest.approx(2.0))
    assert both(x=2.0, k=0.0) == (2.0, pytest.approx(2.0))
    assert flatgrad.grad(square_plus)(2.0) == pytest.approx(2.0)
    assert both.__name__ == "square_plus"
    assert flatgrad.grad(wrt="k")(square_plus)(2.0) == pytest.approx(1.0)


def test_a_decorator_leaves_its_own_line_out() -> None:
    @flatgrad.grad
    def slope_of(x: Any) -> Any:
        return x * x

    @flatgrad.value_and_grad(wrt="w")
    def loss(w: Any, x: Any) -> Any:
        r = w * x
        return np.sum(r * r)

    assert slope_of(3.0) == pytest.approx(6.0)
    w, x = np.array([1.0, -2.0]), np.array([3.0, 0.5])
    value, dw = loss(w, x)
    assert value == pytest.approx(10.0)
    np.testing.assert_allclose(dw, 2 * w * x * x)


def test_a_decorated_function_of_a_module(imported: Callable[..., ModuleType]) -> None:
    model = imported(
        """
        import numpy as np
        import flatgrad

        SCALE = 2.0


        @flatgrad.value_and_grad(
            wrt="w",
        )
        def loss(w, x):
            return SCALE * np.sum(helper(w, x))  # the helper is defined further down


        def helper(w, x):
            return w * w * x
        """
    )
    value, dw = model.loss(np.array([1.0, 3.0]), np.array([1.0, 2.0]))
    assert value == pytest.approx(38.0)
    np.testing.assert_allclose(dw, [4.0, 24.0])


def test_gradients_of_vectors_are_refused_when_they_run() -> None:
    def double(x: Any) -> Any:
        return 2 * x

    with pytest.raises((ValueError, TypeError)):
        flatgrad.value_and_grad(double)(np.ones(1))
    assert flatgrad.value_and_grad(double)(1.5) == (3.0, pytest.approx(2.0))


def test_drop_in_for_scipy() -> None:
    optimize = pytest.importorskip("scipy.optimize")

    @flatgrad.value_and_grad
    def rosenbrock(v: Any) -> Any:
        a = v[1:] - v[:-1] ** 2
        b = 1 - v[:-1]
        return np.sum(100 * a**2 + b**2)

    found = optimize.minimize(rosenbrock, np.zeros(4), jac=True, method="BFGS")
    np.testing.assert_allclose(found.x, np.ones(4), atol=1e-4)


# what stands outside the function


def test_a_closure_over_arrays_and_numbers() -> None:
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(6, 3)), rng.normal(size=6)

    def make(reg: float) -> Callable[..., Any]:
        def loss(w: Any) -> Any:
            r = X @ w - y
            return np.sum(r * r) + reg * np.sum(w * w)

        return loss

    w = rng.normal(size=3)
    for reg in (0.0, 0.25):
        loss = make(reg)
        value, dw = flatgrad.value_and_grad(loss)(w)
        assert value == pytest.approx(loss(w))
        np.testing.assert_allclose(dw, slope(loss, w), rtol=1e-5)


def test_ranks_come_from_the_call_where_the_text_does_not_tell() -> None:
    def loss(x: Any, w: Any) -> Any:
        r = x @ w
        return np.sum(r * r)

    # Without a call, x and w are presumed to be matrices.
    assert [note.code for note in flatgrad.compile(loss).notes] == ["FG053"]
    both = flatgrad.value_and_grad(loss, wrt="w")
    rng = np.random.default_rng(2)
    for shapes in (((4, 3), (3,)), ((4, 3), (3, 2)), ((3,), (3, 2)), ((2, 4, 3), (3, 2)), ((4, 3), (3,))):
        x, w = (rng.normal(size=shape) for shape in shapes)
        value, dw = both(x, w=w)
        assert value == pytest.approx(loss(x, w))
        np.testing.assert_allclose(dw, slope(loss, x, w, at=1), rtol=1e-5, atol=1e-8)
    with pytest.raises(flatgrad.Refused):
        both(1.0, 2.0)
    with pytest.raises((TypeError, flatgrad.Refused)):
        both(rng.normal(size=(4, 3)))


def test_captured_labels_and_indices() -> None:
    rng = np.random.default_rng(1)
    X, labels, rows = rng.normal(size=(4, 3)), np.array([0, 2, 1, 2]), np.array([0, 1, 1])

    def loss(W: Any) -> Any:
        scores = X @ W
        shifted = scores - np.max(scores, axis=1, keepdims=True)
        e = np.exp(shifted)
        p = e / np.sum(e, axis=1, keepdims=True)
        data = -np.mean(np.log(p[np.arange(4), labels]))
        return data + np.sum(W[rows] ** 2)

    W = rng.normal(size=(3, 3))
    value, dW = flatgrad.value_and_grad(loss)(W)
    assert value == pytest.approx(loss(W))
    np.testing.assert_allclose(dW, slope(loss, W), rtol=1e-5, atol=1e-8)


def test_arrays_are_shared_not_copied() -> None:
    data = np.array([1.0, 2.0])

    def loss(w: Any) -> Any:
        return np.sum(w * data)

    both = flatgrad.value_and_grad(loss)
    np.testing.assert_allclose(both(np.ones(2))[1], [1.0, 2.0])
    data[:] = [5.0, 7.0]
    np.testing.assert_allclose(both(np.ones(2))[1], [5.0, 7.0])


def test_a_constant_that_changes_is_seen(imported: Callable[..., ModuleType]) -> None:
    model = imported("RATE = 0.5\nOTHER = 2 * RATE\n\n\ndef f(x):\n    return RATE * x * OTHER\n")
    derivative = flatgrad.grad(model.f)
    assert derivative(1.0) == pytest.approx(0.5)
    model.RATE = 3.0
    assert derivative(1.0) == pytest.approx(3.0)
    model.OTHER = 10.0
    assert derivative(1.0) == pytest.approx(30.0)
    module = flatgrad.compile(model.f)
    model.RATE = 0.0
    assert module.value_and_grad(1.0) == (30.0, pytest.approx(30.0))  # compiled once, with what was true then


@pytest.mark.parametrize(
    "binding",
    [
        "K = 3",
        "K = 1 + 2",
        "K, J = 3, 4",
        "J = K = 3",
        "K = 1; K = 3",
        "K = 1\nK += 2",
        "K: int = 3",
        "K = int('3')",
        "K = (\n    3\n)  # three\nJ = 1",
        "J = 'ü'; K = 3; I = 1",
        "try:\n    K = 3\nexcept ImportError:\n    pass",
        "for K in (1, 2, 3):\n    pass",
        "K = len([1, 2, 3])",
    ],
)
def test_a_constant_in_any_spelling(imported: Callable[..., ModuleType], binding: str) -> None:
    model = imported(f"import numpy as np\n{binding}\n\n\ndef f(x):\n    y = x**K  # (N,)\n    return np.sum(y)\n")
    value, dx = flatgrad.value_and_grad(model.f)(np.array([1.0, 2.0]))
    assert value == pytest.approx(9.0)
    np.testing.assert_allclose(dx, [3.0, 12.0])


@pytest.mark.parametrize(
    "binding",
    [
        "W = np.array([1.0, 2.0])",
        "W = np.linspace(1.0, 2.0, 2)",
        "W = np.zeros(3)\nW = np.array([1.0, 2.0])",
        "W = np.zeros(2)\nW[0] = 1.0\nW[1] = 2.0",
        "W = np.ones(2)\nW *= [1, 2]",
        "W, V = np.array([[1.0, 2.0], [3.0, 4.0]])",
        "W = [1.0, 2.0]",
        "W = np.random.default_rng(0).normal(size=2) * 0 + [1, 2]",
        "def load():\n    return np.array([1.0, 2.0])\n\n\nW = load()",
    ],
)
def test_an_array_of_the_module(imported: Callable[..., ModuleType], binding: str) -> None:
    model = imported(f"import numpy as np\n{binding}\n\n\ndef f(x):\n    y = x * W\n    return np.sum(y)\n")
    value, dx = flatgrad.value_and_grad(model.f)(np.array([3.0, 4.0]))
    assert value == pytest.approx(11.0)
    np.testing.assert_allclose(dx, [1.0, 2.0])


def test_an_array_of_another_shape_than_the_text_says(imported: Callable[..., ModuleType]) -> None:
    model = imported("import numpy as np\nW = [1.0, 2.0]\n\n\ndef f(b):\n    return np.sum(b * W)\n")
    model.W = np.array([[1.0, 2.0], [3.0, 4.0]])
    value, db = flatgrad.value_and_grad(model.f)(np.array([1.0, 1.0]))
    assert value == pytest.approx(10.0)
    np.testing.assert_allclose(db, [4.0, 6.0])


def test_a_module_constant_is_not_computed_again(imported: Callable[..., ModuleType]) -> None:
    model = imported(
        """
        import numpy as np
        CALLS = []


        def load():
            CALLS.append(1)
            return np.array([1.0, 2.0])


        W = load()


        def f(x):
            return np.sum(x * W)
        """
    )
    flatgrad.compile(model.f)
    assert model.CALLS == [1]


def test_imports_inside_the_enclosing_function() -> None:
    import math as m
    from math import tanh as th

    def f(x: float) -> float:
        return th(x) * m.pi

    assert flatgrad.grad(f)(0.5) == pytest.approx(math.pi * (1 - math.tanh(0.5) ** 2))


def test_helpers_inside_the_enclosing_function() -> None:
    factor = 3.0

    def helper(a: Any) -> Any:
        """A helper.

        Shapes: a ().
        """
        return a * factor

    def f(x: Any) -> Any:
        y = helper(x)
        return y * y

    assert flatgrad.value_and_grad(f)(2.0) == (36.0, pytest.approx(36.0))


def test_two_functions_of_one_name() -> None:
    def make(power: int) -> Callable[..., Any]:
        if power == 2:

            def f(x: Any) -> Any:
                return x * x

        else:

            def f(x: Any) -> Any:
                return x * x * x

        return f

    assert flatgrad.grad(make(2))(2.0) == pytest.approx(4.0)
    assert flatgrad.grad(make(3))(2.0) == pytest.approx(12.0)


def test_the_first_of_two_definitions(imported: Callable[..., ModuleType]) -> None:
    model = imported("def f(x):\n    return x * x\n\n\nfirst = f\n\n\ndef f(x):\n    return x * x * x\n")
    assert flatgrad.grad(model.first)(2.0) == pytest.approx(4.0)
    assert flatgrad.grad(model.f)(2.0) == pytest.approx(12.0)


def test_default_values_are_those_of_the_function(imported: Callable[..., ModuleType]) -> None:
    model = imported("K = 2.0\n\n\ndef f(x, k=K):\n    return x * k\n")
    model.K = 5.0
    assert model.f(1.0) == 2.0
    assert flatgrad.value_and_grad(model.f)(1.0) == (2.0, pytest.approx(2.0))


def test_default_values_from_an_enclosing_function() -> None:
    X = np.array([1.0, 2.0])
    scale = 3.0

    def loss(w: Any, X: Any = X, k: Any = scale, *, shift: Any = scale) -> Any:
        return np.sum(w * X) * k + shift

    value, dw = flatgrad.value_and_grad(loss)(np.array([1.0, 1.0]))
    assert value == pytest.approx(12.0)
    np.testing.assert_allclose(dw, [3.0, 6.0])


def test_one_name_for_two_things_is_refused(imported: Callable[..., ModuleType]) -> None:
    model = imported(
        """
        def scale(a):
            return 2 * a


        def outer(a):
            return scale(a)


        def make():
            def scale(a):
                return 5 * a

            def f(x):
                return scale(x) + outer(x)

            return f


        def other():
            def outer(a):
                return 7 * a

            def scale(x):
                return outer(x)

            return scale
        """
    )
    f = model.make()
    assert f(1.0) == 7.0
    with pytest.raises(flatgrad.Refused, match="scale stands for two different things"):
        flatgrad.compile(f)
    assert flatgrad.grad(model.outer)(1.0) == pytest.approx(2.0)
    assert flatgrad.grad(model.other())(1.0) == pytest.approx(7.0)


def test_cells_of_a_notebook() -> None:
    cells = [
        "import numpy as np\nSCALE = 2.0",
        "def helper(a):\n    return SCALE * a * a",
        "W = np.array([1.0, 2.0])",
        "def loss(x):\n    return np.sum(helper(x) * W)",
    ]
    namespace: dict[str, Any] = {"__name__": "__main__"}
    for number, text in enumerate(cells):
        name = f"<ipython-input-{number}-flatgrad-test>"
        linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
        exec(compile(text, name, "exec"), namespace)
    value, dx = flatgrad.value_and_grad(namespace["loss"])(np.array([1.0, 3.0]))
    assert value == pytest.approx(38.0)
    np.testing.assert_allclose(dx, [4.0, 24.0])


# what cannot be captured


class Affine:
    """A callable object."""

    def __call__(self, x: float) -> float:
        return 2 * x

    def method(self, x: float) -> float:
        return 2 * x


@pytest.mark.parametrize(
    ("candidate", "said"),
    [
        (Affine(), "an instance of Affine is not a function"),
        (Affine().method, "is a method"),
        (Affine, "is a class"),
        (lambda x: x * x, "lambda"),
        (math.sin, "is not written in Python"),
        (np.tanh, "an instance of ufunc is not a function"),
        (functools.partial(square_plus, k=1.0), "an instance of partial"),
        (flatgrad.grad(square_plus), "is wrapped by a decorator"),
        (functools.lru_cache(square_plus), "is not a function"),
    ],
)
def test_what_is_no_plain_function(candidate: Any, said: str) -> None:
    with pytest.raises(flatgrad.Refused, match=said) as caught:
        flatgrad.compile(candidate)
    assert [d.code for d in caught.value.diagnostics] == ["FG092"]
    assert caught.value.diagnostics[0].help


def test_a_variable_of_the_enclosing_function_hides_the_file(imported: Callable[..., ModuleType]) -> None:
    model = imported(
        """
        import math
        import math as th
        K = 2.0
        ARRAY = [1.0, 2.0]


        def helper(a):
            return a


        def function(a):
            return 7 * a


        def make(K, ARRAY, function=None, helper=None):
            import cmath as unused
            from math import tanh as th

            def uses_numbers(x):
                return K * x + ARRAY[0]

            def uses_function(x):
                return function(x)

            def uses_helper(x):
                return helper * x

            def uses_import(x):
                return th(x)

            return uses_numbers, uses_function, uses_helper, uses_import
        """
    )
    numbers, function, helper, tanh = model.make(5.0, [3.0, 4.0], model.helper, 9.0)
    assert flatgrad.value_and_grad(numbers)(1.0) == (8.0, pytest.approx(5.0))
    with pytest.raises(flatgrad.Refused, match="function is not what its source shows"):
        flatgrad.compile(function)
    assert flatgrad.value_and_grad(helper)(1.0) == (9.0, pytest.approx(9.0))
    assert flatgrad.grad(tanh)(0.5) == pytest.approx(1 - math.tanh(0.5) ** 2)


def test_generators_and_coroutines() -> None:
    def numbers(x: float) -> Iterator[float]:
        yield x

    async def later(x: float) -> float:
        return x

    for function in (numbers, later):
        with pytest.raises(flatgrad.Refused, match="generator or a coroutine"):
            flatgrad.compile(function)


def test_a_source_that_is_nowhere() -> None:
    namespace: dict[str, Any] = {}
    exec("def typed(x):\n    return x * x\n", namespace)
    with pytest.raises(flatgrad.Refused, match="source of typed cannot be found") as caught:
        flatgrad.compile(namespace["typed"])
    assert [d.code for d in caught.value.diagnostics] == ["FG091"]
    assert "source text" in caught.value.diagnostics[0].help


def test_a_file_that_has_changed_since(imported: Callable[..., ModuleType]) -> None:
    model = imported("def f(x):\n    return x * x\n")
    Path(str(model.__file__)).write_text("def f(x):\n    return x + x\n", encoding="utf-8")
    with pytest.raises(flatgrad.Refused, match="does not hold the source of f as it runs"):
        flatgrad.compile(model.f)


def test_a_helper_that_has_been_replaced(imported: Callable[..., ModuleType]) -> None:
    text = """
    import functools


    def twice(function):
        @functools.wraps(function)
        def wrapped(x):
            return 2 * function(x)
        return wrapped


    @twice
    def helper(x):
        return x * x


    def f(x):
        return helper(x)
    """
    model = imported(text)
    with pytest.raises(flatgrad.Refused, match="helper is not what its source shows") as caught:
        flatgrad.compile(model.f)
    assert [d.code for d in caught.value.diagnostics] == ["FG093"]
    model.helper = lambda x: 3 * x
    with pytest.raises(flatgrad.Refused, match="helper is not what its source shows"):
        flatgrad.compile(model.f)


def test_a_decorated_helper_inside_a_function() -> None:
    def twice(function: Callable[..., Any]) -> Callable[..., Any]:
        def helper(x: Any) -> Any:
            return 2 * function(x)

        return helper

    @twice
    def helper(x: Any) -> Any:
        return x * x

    def f(x: Any) -> Any:
        return helper(x)

    # The name stands for the inner helper, whose own free name stands for another function: never x * x alone.
    try:
        derivative = flatgrad.grad(f)(3.0)
    except flatgrad.Refused:
        return
    assert derivative == pytest.approx(12.0)


# tracebacks and debuggers


def test_tracebacks_show_the_generated_lines() -> None:
    module = flatgrad.compile("import numpy as np\n\n\ndef f(a: 'N D', b: 'D M'):\n    c = a @ b\n    return c\n")
    with pytest.raises(ValueError, match="matmul") as caught:
        module.forward(np.ones((2, 3)), np.ones((2, 3)))
    frame = traceback.extract_tb(caught.value.__traceback__)[-1]
    assert frame.filename.startswith("<flatgrad ")
    assert frame.line is not None
    assert "a @ b" in frame.line
    assert frame.lineno is not None
    assert module.source.splitlines()[frame.lineno - 1].strip() == frame.line
    linecache.checkcache()
    assert inspect.getsource(module.backward) in module.source
    assert module.filename == frame.filename


def test_each_text_has_its_own_file_name() -> None:
    first, again = flatgrad.compile(STAGED), flatgrad.compile(STAGED)
    other = flatgrad.compile(STAGED, wrt="x")
    assert first.filename == again.filename != other.filename
    for module in (first, other):
        assert "".join(linecache.getlines(module.filename)) == module.source


def test_a_generated_function_can_be_compiled_again() -> None:
    module = flatgrad.compile("def f(x):\n    y = x * x\n    return y * x\n")
    assert module.entry.value_and_grad is not None
    second = flatgrad.compile(module.source, functions="f_backward")
    assert second.entries


def test_names_of_the_user_are_not_those_of_the_library() -> None:
    module = flatgrad.compile("def f(x):\n    y = x * x\n    return y\n")
    assert module.namespace["__name__"] == "source_grad"
    assert not [name for name in module.namespace if "flatgrad" in name]


def test_the_package_is_lazy_and_complete() -> None:
    for name in flatgrad.__all__:
        assert getattr(flatgrad, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = flatgrad.nonsense  # type: ignore[attr-defined]
