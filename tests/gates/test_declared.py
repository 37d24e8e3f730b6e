"""Gates that users declare: what is read, what is refused, what is written, and that nothing is left behind."""

from __future__ import annotations

import threading
import types
from typing import Any

import numpy as np
import pytest

from flatgrad.compiler import compile_source
from flatgrad.diagnostics import Refused
from flatgrad.gates.declared import Declaration, Source, declare, read_gate_file
from flatgrad.gates.entry import BY_PATH, TABLE, Gate
from flatgrad.gates.installed import installed
from flatgrad.gates.written_calls import read_spelling
from flatgrad.ir.core import Span
from flatgrad.options import Options

SWISH = """
swish = gate(
    "mylib.swish(x)",
    backward={"x": "dz * (z + mylib.sigmoid(x) * (1 - z))"},
    dtype="float",
    proof="x / (1 + exp(-x))",
)
sigmoid = gate("mylib.sigmoid(x)", backward={"x": "dz * z * (1 - z)"}, dtype="float")
"""
RBF = """
gate(
    "mylib.rbf(a, b, gamma=1.0)",
    backward={"a": "-2 * gamma * dz * z * (a - b)", "b": "2 * gamma * dz * z * (a - b)"},
    dtype="float",
)
"""
SCALED = """
gate("scaled(v, size)", backward={"v": "dz * size", "size": "np.sum(dz * v)"}, shape="same", dtype="float")
"""


def gates(text: str) -> tuple[Gate, ...]:
    return declare(read_gate_file(text, "my_gates.py"))


def written(source: str, text: str, **options: Any) -> str:
    return compile_source(source, "m.py", Options(declared=gates(text), **options)).text


@pytest.fixture
def mylib(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    module = types.ModuleType("mylib")

    def sigmoid(x: Any) -> Any:
        return 1 / (1 + np.exp(-x))

    def swish(x: Any) -> Any:
        return x * sigmoid(x)

    def rbf(a: Any, b: Any, gamma: float = 1.0) -> Any:
        return np.exp(-gamma * (a - b) ** 2)

    for function in (sigmoid, swish, rbf):
        setattr(module, function.__name__, function)
    monkeypatch.setitem(__import__("sys").modules, "mylib", module)
    return module


def run(text: str) -> dict[str, Any]:
    namespace: dict[str, Any] = {"__name__": "written"}
    exec(compile(text, "written.py", "exec"), namespace)
    return namespace


def check_gradients(source: str, text: str, arguments: list[Any], name: str = "f") -> None:
    """The written module against differences of the source itself."""
    given, module = run(source), run(text)
    value, found = module[f"{name}_value_and_grad"](*arguments)
    assert value == given[name](*arguments)
    for position, gradient in enumerate(found if isinstance(found, tuple) else (found,)):
        at = np.asarray(arguments[position], dtype=float)
        expected = np.zeros(at.shape)
        for index in np.ndindex(at.shape):
            for sign in (1, -1):
                moved = at.copy()
                moved[index] += sign * 1e-6
                others = [moved if k == position else one for k, one in enumerate(arguments)]
                expected[index] += sign * given[name](*others) / 2e-6
        np.testing.assert_allclose(gradient, expected, rtol=1e-6, atol=1e-8)


# What is written


IMPORTS = {
    "from mylib import swish": ("swish", "from mylib import sigmoid", "sigmoid(x)"),
    "from mylib import swish as act": ("act", "from mylib import sigmoid", "sigmoid(x)"),
    "import mylib": ("mylib.swish", "", "mylib.sigmoid(x)"),
    "import mylib as ml": ("ml.swish", "", "ml.sigmoid(x)"),
}


@pytest.mark.parametrize("statement", IMPORTS)
def test_the_module_calls_the_library_as_the_user_does(statement: str, mylib: types.ModuleType) -> None:
    call, added, rule = IMPORTS[statement]
    source = f"import numpy as np\n{statement}\n\n\ndef f(x):\n    h = {call}(x)\n    return np.sum(h * h)\n"
    text = written(source, SWISH)
    assert f"    h = {call}(x)" in text
    assert f"(h + {rule} * (1 - h))" in text
    assert statement in text
    assert added in text.splitlines() or not added
    check_gradients(source, text, [np.array([0.3, -1.2, 2.0])])


def test_a_relative_import_is_declared_without_its_dot() -> None:
    source = "import numpy as np\nfrom .mylib import swish\n\n\ndef f(x):\n    return np.sum(swish(x))\n"
    text = written(source, SWISH)
    assert "from .mylib import swish" in text
    assert "from .mylib import sigmoid" in text


def test_a_library_that_the_model_does_not_import_is_imported(mylib: types.ModuleType) -> None:
    declared = 'gate("np.unwrap(x)", backward={"x": "dz * mylib.sigmoid(0 * x) * 2"})' + SWISH
    source = "import numpy as np\n\n\ndef f(x, mylib):\n    return np.sum(np.unwrap(x) * mylib)\n"
    text = written(source, declared, wrt=("x",))
    assert "import mylib as mylib2" in text  # a parameter has the name
    check_gradients(source, text, [np.array([0.1, 0.4, -0.2]), 2.0])
    plain = written(source.replace("mylib", "w"), declared, wrt=("x",))
    assert "import mylib\n" in plain
    assert "mylib.sigmoid(" in plain


def test_operands_of_any_name_broadcast_and_attributes_are_filled_in(mylib: types.ModuleType) -> None:
    source = "import numpy as np\nimport mylib\n\n\ndef f(x, c):\n    return np.sum(mylib.rbf(x, c, gamma=0.5))\n"
    text = written(source, RBF)
    check_gradients(source, text, [np.arange(6.0).reshape(3, 2) / 7, np.array([0.3, -0.1])])
    check_gradients(source, text, [np.array([0.3, -0.1]), 0.7])


def test_an_attribute_that_may_be_an_array_is_refused() -> None:
    source = "import numpy as np\nimport mylib\n\n\ndef f(x, c, g):\n    return np.sum(mylib.rbf(x, c, gamma=g))\n"
    with pytest.raises(Refused) as caught:
        written(source, RBF, wrt=("x", "c"))
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code == "FG023"
    assert diagnostic.span is not None
    assert diagnostic.span.line == 6
    assert "gamma may be an array" in diagnostic.message
    assert "mylib.rbf" in written(source, RBF, wrt=("x", "c"), shapes=(("g", ""),))


@pytest.mark.parametrize("wrt", [(), ("g",), ("x", "g")])
def test_an_attribute_that_carries_a_gradient_is_refused(wrt: tuple[str, ...]) -> None:
    source = "import numpy as np\nimport mylib\n\n\ndef f(x, c, g):\n    return np.sum(mylib.rbf(x, c, gamma=g))\n"
    with pytest.raises(Refused, match="g carries a gradient"):
        written(source, RBF, wrt=wrt, shapes=(("g", ""),))


OWN = """import numpy as np

HALF = 0.5


def scaled(v, size):
    while size > 100:
        size = size * HALF
    return v * size


def f(v, size):
    y = scaled(v, size)
    return np.sum(y * y)
"""


@pytest.mark.parametrize("stages", ["source", "relations"])
def test_a_function_of_the_file_is_kept_and_not_looked_into(stages: str) -> None:
    text = written(OWN, SCALED, stages=stages)
    assert "def scaled(v, size):\n    while size > 100:" in text
    assert "HALF = 0.5" in text
    assert "scaled_backward" not in text  # nor is it an entry of its own
    check_gradients(OWN, text, [np.array([0.5, -1.0]), 3.0])


def test_a_function_that_only_backward_calls_is_kept() -> None:
    source = OWN.replace("scaled(v, size)\n    return np", "np.unwrap(v) * size\n    return np")
    text = written(source, 'gate("np.unwrap(x)", backward={"x": "scaled(dz, 1)"})' + SCALED)
    assert "def scaled(v, size):" in text
    check_gradients(source, text, [np.array([0.5, 0.1]), 3.0])


def test_without_the_declaration_the_functions_are_refused() -> None:
    with pytest.raises(Refused, match="FG021"):
        compile_source("import mylib\n\n\ndef f(x):\n    return mylib.swish(x)\n", "m.py", Options())


def test_a_variable_hides_a_declared_function() -> None:
    source = "import numpy as np\nimport mylib\n\n\ndef f(x):\n    mylib = x * 2\n    return np.sum(mylib.swish(x))\n"
    with pytest.raises(Refused, match="swish"):
        written(source, SWISH)


# For one compilation


def test_nothing_is_left_behind() -> None:
    before = dict(TABLE), {path: list(entries) for path, entries in BY_PATH.items()}
    source = "import mylib\n\n\ndef f(x):\n    return mylib.swish(x)\n"
    assert "mylib.sigmoid" in written(source, SWISH)
    other = SWISH.replace("dz * (z + mylib.sigmoid(x) * (1 - z))", "dz * 7")
    assert "dx = dout * 7" in written(source, other)  # one process, two declarations of one function
    assert "mylib.sigmoid" in written(source, SWISH)
    with pytest.raises(Refused):
        written("import mylib\n\n\ndef f(x):\n    return mylib.swash(x)\n", SWISH)
    assert (dict(TABLE), {path: list(entries) for path, entries in BY_PATH.items()}) == before


def test_threads_do_not_see_each_other() -> None:
    source = "import mylib\n\n\ndef f(x):\n    return mylib.swish(x)\n"
    seen: dict[int, set[str]] = {}

    def work(number: int) -> None:
        declared = SWISH.replace("dz * (z + mylib.sigmoid(x) * (1 - z))", f"dz * {number}")
        seen[number] = {line.strip() for _ in range(3) for line in written(source, declared).splitlines()}

    threads = [threading.Thread(target=work, args=(number,)) for number in (5, 6, 7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {n: [m for m in (5, 6, 7) if f"dx = dout * {m}" in lines] for n, lines in seen.items()} == {
        5: [5], 6: [6], 7: [7],
    }  # fmt: skip


def test_an_inner_declaration_hides_an_outer_one() -> None:
    before = dict(TABLE), {path: list(entries) for path, entries in BY_PATH.items()}
    first, second = gates(SWISH), gates(SWISH.replace("1 - z", "2 - z"))
    with installed(first):
        with installed(second):
            assert TABLE["mylib.swish"] is second[0]
            assert BY_PATH["mylib.swish"][0][0] is second[0]
            assert gates(SWISH)[0].name == "mylib.swish"  # to be read, it is no other gate's business
        assert TABLE["mylib.swish"] is first[0]
        assert [gate for gate, _ in BY_PATH[".mylib.swish"]] == [first[0]]
    assert (dict(TABLE), {path: list(entries) for path, entries in BY_PATH.items()}) == before


# What is refused


WRONG = {
    "x = 1": ("FG070", "declares no gate"),
    "def f(x): pass": ("FG070", "declares no gate"),
    "gate(__import__('os').name)": ("FG070", "call is no literal"),
    "gate('m.f(x)', **more)": ("FG070", "no literal"),
    "gate('m.f(x)', backword={}, backward={})": ("FG071", "no field backword"),
    "gate('m.f(x)', call='m.g(x)', backward={})": ("FG071", "call is given twice"),
    "gate(backward={})": ("FG071", "call is missing"),
    "gate('m.f(x)', proof=3, backward={})": ("FG071", "proof is a string"),
    "gate('group.f(x)', backward={})": ("FG072", "another name"),
    "gate('m.f(x)')": ("FG071", "backward is missing"),
    "gate('m.f(x, y)', backward={'x': 'dz * y'})": ("FG073", "no gradient of y"),
    "gate('m.f(x)', backward='dz')": ("FG071", "backward is a table"),
    "gate('m.f(x)', dtype='double', backward={})": ("FG071", "dtype is one of"),
    "gate('m.f(x)', backward={'x': 'dz'}, dtype='int')": ("FG071", "carries no gradient"),
    "gate('m.f(x)', view='yes', backward={})": ("FG071", "view is"),
    "gate('m.f(x)', domain=(2, 1), backward={})": ("FG071", "domain is"),
    "gate('m.f(x)', also='m.g(x)', backward={})": ("FG071", "also is a list"),
    "gate('m.f(x)', samples=[], backward={})": ("FG071", "samples is a table"),
    "gate('m.f(x)', samples={'shape': []}, backward={})": ("FG071", "samples has no field shape"),
    "gate('m.f(x)', samples={'shapes': [(2, 3)]}, backward={})": ("FG071", "samples.shapes"),
    "gate('m.f(x)', samples={'attrs': {}}, backward={})": ("FG071", "samples.attrs"),
    "gate('m.f(x)', backward={'x': 'dz'}, shape='(n)->(n)', proof='x')": ("FG071", "single numbers"),
    "gate('m.f', backward={})": ("FG072", "no call"),
    "gate('m.f(', backward={})": ("FG072", "no expression"),
    "gate('x.f(x)', backward={})": ("FG072", "methods"),
    "gate('m().f(x)', backward={})": ("FG072", "no dotted name"),
    "gate('m.f(*xs)', backward={})": ("FG072", "no name"),
    "gate('m.f(x, z)', backward={})": ("FG072", "z means something else"),
    "gate('m.f(x1)', backward={})": ("FG072", "x1 means something else"),
    "gate('m.f(x, x)', backward={})": ("FG072", "two parameters"),
    "gate('m.f()', backward={})": ("FG072", "no operand"),
    "gate('m.f(x, y=1)', backward={})": ("FG072", "default value"),
    "gate('m.f(x)', also=['m.g(v)'], backward={})": ("FG072", "leaves out the operand x"),
    "gate('np.tanh(x)', backward={})": ("FG072", "np.tanh of its own"),
    "gate('abs(x)', backward={})\ngate('abs(x)', backward={})": ("FG072", "declared twice"),
    "gate('m.f(x)', backward={'w': 'dz'})": ("FG073", "does not name"),
    "gate('m.f(x)', backward={'x': 'dz *'})": ("FG073", "not an expression"),
    "gate('m.f(x)', backward={'x': 'dz * w'})": ("FG073", "the name w"),
    "gate('m.f(x)', backward={'x': 'dz * m.g(x)'})": ("FG073", "the name m"),
    "gate('m.f(x)', backward={'x': 'dz * np.tahn(x)'})": ("FG073", "np.tahn"),
    "gate('m.f(x)', backward={'x': '2 * x'})": ("FG073", "depend on dz"),
    "gate('m.f(x, y)', shape='(n),(n->()', backward={})": ("FG074", "no signature"),
    "gate('m.f(x, y)', shape='(n)->(n)', backward={})": ("FG074", "another number"),
    "gate('m.f(x)', shape='(n)->(m)', backward={})": ("FG074", "how large m is"),
    "gate('m.f(x)', shape='(3)->()', backward={})": ("FG074", "is a number"),
}


@pytest.mark.parametrize("text", WRONG)
def test_wrong_declarations_are_refused_with_their_place(text: str) -> None:
    code, message = WRONG[text]
    with pytest.raises(Refused) as caught:
        gates(f'"""Ours."""\n\n{text}\n')
    found = caught.value.diagnostics
    assert {d.code for d in found} == {code}
    assert any(message in d.message for d in found), found
    assert all(d.span is not None and 3 <= d.span.line <= 4 for d in found)
    assert caught.value.filename == "my_gates.py"
    assert "mylib.swish" not in TABLE


def test_every_finding_of_a_file_is_reported() -> None:
    text = "gate('m.f(x)', backward={}, dtype='double', shape='(n)->(k)')\n\ngate('m.g(x)', backward={'x': 'dz * w'})\n"
    with pytest.raises(Refused) as caught:
        gates(text)
    assert [(d.code, d.span.line) for d in caught.value.diagnostics if d.span] == [
        ("FG071", 1), ("FG074", 1), ("FG073", 3),
    ]  # fmt: skip


def test_one_gate_in_two_files() -> None:
    first = read_gate_file("gate('m.f(x)', backward={})\n", "a.py")
    second = read_gate_file("\ngate('m.f(x)', backward={})\n", "b.py")
    with pytest.raises(Refused, match=r"also in a\.py") as caught:
        declare([*first, *second])
    assert caught.value.filename == "b.py"
    assert caught.value.diagnostics[0].span == Span(2, 5, 2, 13)


def test_gates_of_two_files_may_call_each_other() -> None:
    swish, sigmoid = read_gate_file(SWISH, "a.py")
    other = Declaration(Source(SWISH, "b.py"), sigmoid.fields, sigmoid.place, sigmoid.places)
    assert [gate.name for gate in declare([swish, other])] == ["mylib.swish", "mylib.sigmoid"]


def test_the_path_of_a_call() -> None:
    assert read_spelling("np.unwrap(x)").path == "numpy.unwrap"
    assert read_spelling("numpy.unwrap(x)").text == "np.unwrap(x)"
    assert read_spelling("scipy.special.erfcx(x)").text == "special.erfcx(x)"
    assert read_spelling("special.erfcx(x)").path == "scipy.special.erfcx"
    assert read_spelling("a.b.f(x, k=2)").path == "a.b.f"
    assert read_spelling("f(x)").path == "<file>.f"


def test_the_users_own_backward_code_is_not_copied() -> None:
    source = (
        "import numpy as np\n\n\ndef act(x):\n    h = np.tanh(x)\n    return h * h\n\n\n"
        "def act_backward(d):\n    return d\n\n\ndef f(x):\n    return np.sum(act(x))\n"
    )
    assert written(source, SCALED, functions=("f",)).count("def act_backward(") == 1
