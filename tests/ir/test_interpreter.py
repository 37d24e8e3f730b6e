"""The reference interpreter, and with it every stage: forward IR against the user's function, backward IR against
central differences, grouped IR against ungrouped, and the type of every value against what it is."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from flatgrad.diagnostics import Refused
from flatgrad.ir.core import Block, DType, Function, Kind, Literal, Operand, Relation, Slice, Type, Value
from flatgrad.ir.dims import SCALAR, Dim, Shape
from flatgrad.ir.gate_calls import CannotEvaluate
from flatgrad.ir.instances import Instances, TypeDoesNotHold
from flatgrad.ir.interpreter import Program, evaluate
from flatgrad.ir.structural_rules import summed_down
from tests.example_cases import CASES, FILES, Case
from tests.ir.stages import (
    Stages,
    differences,
    entries_of,
    returned,
    run_stages,
    same_gradient,
    selected,
    stages_of,
)
from tests.program_generator import Inputs, generate
from tests.support import original

OPTIONS = {example.stem: dict(example.options) for example in FILES}
# Examples with a value that is not what its type says.
PROGRAMS = 150
BLOCK_SIZE = 15


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield


# --- stages


def check_stages(source: str, name: str, inputs: Inputs, filename: str = "model.py", **options: Any) -> None:
    """Forward IR is the user's function, backward IR its gradient; types hold."""
    check_run(stages_of(source, filename, **options), original(source, name), name, inputs)


def check_run(stages: Stages, function: Callable[..., Any], name: str, inputs: Inputs) -> None:
    run = run_stages(stages, name, inputs)
    wanted = selected(returned(function, inputs), run.places)
    for found, expected in zip(run.results, wanted, strict=True):
        assert np.shape(found) == np.shape(expected)
        assert np.allclose(found, expected, rtol=1e-10, atol=1e-12), (found, expected)
    upstream = dict(zip(stages.backward[name].upstream, run.upstream, strict=True))
    for parameter, whole in run.gradients.items():
        for path, gradient in entries_of(whole, inputs, parameter).items():
            numeric = differences(function, inputs, path, run.places, upstream)
            assert same_gradient(gradient, numeric), (path, gradient, numeric)


@pytest.mark.parametrize("gates", ["grouped", "primitive"])
@pytest.mark.parametrize("accumulate", ["forks", "always"])
@pytest.mark.parametrize(
    "case",
    [
        pytest.param(
            case,
            id=f"{case.stem}-{case.function}",
        )
        for case in CASES
    ],
)
def test_stages_of_examples(case: Case, gates: str, accumulate: str) -> None:
    options = {**OPTIONS[case.stem], "gates": gates, "accumulate": accumulate}
    stages = stages_of(case.source, str(case.path), **options)
    name = case.function if case.function in stages.lowered else f"{case.function}_forward"
    function = original(case.source, name)
    for size in range(len(case.sizes)):
        given = inspect.signature(function).bind(**case.draw(size))
        given.apply_defaults()
        if size not in case.scores_only:
            check_run(stages, function, name, given.arguments)


@pytest.mark.parametrize("start", range(0, PROGRAMS, BLOCK_SIZE))
def test_stages_of_random_programs(start: int) -> None:
    understood = 0
    for seed in range(start, start + BLOCK_SIZE):
        program = generate(seed)
        options: dict[str, Any] = {"presume": False}
        options |= {"gates": "primitive"} if seed % 3 == 0 else {"accumulate": "always"} if seed % 3 == 1 else {}
        try:
            check_stages(program.source(), "f_forward", program.inputs[0], **options)
        except Refused:
            continue
        understood += 1
    assert understood > BLOCK_SIZE / 2


def test_grouped_and_primitive_blocks_differ_and_agree() -> None:
    source = "import numpy as np\ndef f(x):\n    s = 1 / (1 + np.exp(-x))\n    return np.sum(s * s)\n"
    grouped, primitive = (stages_of(source, gates=gates) for gates in ("grouped", "primitive"))
    gates = [{r.gate for r in stages.lowered["f"].function.block.body} for stages in (grouped, primitive)]
    assert "group.sigmoid" in gates[0] - gates[1]
    x = np.array([-1.0, 0.5, 2.0])
    one, two = (run_stages(stages, "f", {"x": x}) for stages in (grouped, primitive))
    assert np.allclose(one.results[0], two.results[0], rtol=1e-14)
    assert np.allclose(one.gradients["x"], two.gradients["x"], rtol=1e-12)


# --- single relations


def run_one(gate: str, *args: Any, outs: int = 1, **attrs: Any) -> Any:
    """One relation on arguments that become the parameters of its block."""
    params = tuple(Value(f"p{k}", Type.open("p")) for k in range(len(args)))
    results = tuple(Value("", Type.open("z")) for _ in range(outs))
    block = Block(params, (Relation(results, gate, params, attrs),), results)
    found = evaluate(block, args)
    return found[0] if outs == 1 else found


ABC = np.arange(6.0).reshape(2, 3)
RELATIONS: list[tuple[str, tuple[Any, ...], dict[str, Any], Any]] = [
    ("add", (1.0, 2.0), {}, 3.0),
    ("negative", (ABC,), {}, -ABC),
    ("power", (ABC, 2), {}, ABC**2),
    ("math.exp", (0.0,), {}, 1.0),
    ("where", (ABC > 2, ABC, 0.0), {}, np.where(ABC > 2, ABC, 0.0)),
    ("sum", (ABC,), {"axis": None, "dtype": None, "out": None, "keepdims": False}, 15.0),
    ("sum", (ABC,), {"axis": (0, 1), "keepdims": True}, np.array([[15.0]])),
    ("max", (ABC,), {"axis": 1, "out": None, "keepdims": True}, np.array([[2.0], [5.0]])),
    ("einsum", (ABC, ABC), {"subscripts": "ij,ij->i", "optimize": False}, np.sum(ABC * ABC, axis=1)),
    ("concatenate", (ABC, ABC), {"axis": -1}, np.concatenate([ABC, ABC], axis=-1)),
    ("array_of", (1.0, 2.0), {"dtype": None}, np.array([1.0, 2.0])),
    ("clip", (ABC,), {"a_min": 1, "a_max": None, "min": None, "max": None}, np.clip(ABC, 1, None)),
    ("clip", (ABC,), {"a_min": None, "a_max": None, "min": 1, "max": 2}, np.clip(ABC, 1, 2)),
    ("zeros", (), {"shape": (2, 3), "dtype": "numpy.float32"}, np.zeros((2, 3), np.float32)),
    ("full", (2.0,), {"shape": 3, "dtype": None}, np.full(3, 2.0)),
    ("astype", (ABC,), {"dtype": "builtins.int", "copy": True}, ABC.astype(int)),
    ("reshape", (ABC,), {"shape": (3, -1), "order": "C"}, ABC.reshape(3, 2)),
    ("transpose", (ABC,), {"axes": None}, ABC.T),
    ("tile", (ABC,), {"reps": (2, 1)}, np.tile(ABC, (2, 1))),
    ("builtins.max", (2, 3), {}, 3),
    ("arange", (), {"stop": 3, "dtype": None}, np.arange(3)),
    ("logsumexp", (ABC,), {"axis": 1, "b": None, "keepdims": False}, np.log(np.sum(np.exp(ABC), axis=1))),
    ("group.sigmoid", (0.0,), {"scale": 3}, 0.5),
    ("group.leaky_relu", (np.array([-1.0, 1.0]),), {"slope": 0.1, "first": True}, np.array([-0.1, 1.0])),
    ("alias", (ABC,), {}, ABC),
    ("let", (1.5,), {}, 1.5),
    ("copy_of", (ABC,), {}, ABC),
    ("shape", (ABC,), {}, (2, 3)),
    ("dim", (ABC,), {"axis": -1, "rank": 2}, 3),
    ("subshape", (ABC,), {"index": (Slice(1),)}, (3,)),
    ("ndim", ([1, 2],), {}, 1),
    ("size", (ABC,), {}, 6),
    ("dtype", (np.float32(1),), {}, np.dtype(np.float32)),
    ("read", (ABC,), {"index": (Slice(), 0)}, ABC[:, 0]),
    ("read", ([5, 6],), {"index": (1,), "length": 2}, 6),
    ("read", (ABC,), {"index": (Ellipsis, None)}, ABC[..., None]),
    ("write", (ABC, 7.0), {"index": (0, Slice(1, 3))}, np.array([[0.0, 7, 7], [3, 4, 5]])),
    ("write", ([1, 2], 5), {"index": (0,)}, [5, 2]),
    ("write", ([1, 2], 5), {"index": (2,), "collects": True}, [1, 2, 5]),
    ("collection", (1, 2), {}, [1, 2]),
    ("collection", (), {}, []),
    ("stacked", ([ABC, ABC + 1],), {"axis": 0}, np.stack([ABC, ABC + 1])),
    ("stacked", ([ABC, ABC + 1],), {"axis": -1}, np.stack([ABC, ABC + 1], axis=-1)),
    ("stacked", ([],), {"axis": 0}, np.array([])),
    ("entry", ({"W": ABC},), {"key": "W"}, ABC),
    ("entry", ({"W1": ABC}, "W1"), {"rank": 2}, ABC),
    ("entry", ({"b1": ABC[0]}, "b1"), {"columns": ABC}, ABC[0]),
    ("dict_of", (1.0, 2.0), {"keys": ("a", "b")}, {"a": 1.0, "b": 2.0}),
    ("dict_of", ({"a": 1.0, "c": 3.0}, 2.0), {"keys": ("a",), "base": True}, {"a": 2.0, "c": 3.0}),
    ("item_add", ({"a": 1.0, "c": 3.0}, 2.0, "c"), {}, {"a": 1.0, "c": 5.0}),
    ("zeros_for", ({"a": np.float32(1), "d": {"b": 3}},), {}, {"a": np.float32(0), "d": {"b": 0.0}}),
    ("dim", ({"a": 1.0, "b": 2.0},), {"axis": 0, "rank": None}, 2),
    ("opaque", ((2, 3), 4), {"text": "(_1,) + _0", "holds": "shape"}, (4, 2, 3)),
    ("update", (ABC, 1.0), {"op": "+"}, ABC + 1),
    ("update", (ABC, 2.0), {"op": "*"}, ABC * 2),
    ("scatter", (ABC, 1.0), {"index": (0,), "mode": "add"}, np.array([[1.0, 2, 3], [3, 4, 5]])),
    ("scatter", (ABC, 1.0), {"index": (0,), "mode": "subtract"}, np.array([[-1.0, 0, 1], [3, 4, 5]])),
    ("unbroadcast", (ABC, np.ones((1, 3))), {}, np.array([[3.0, 5, 7]])),
    ("unbroadcast", (ABC, 2.0), {}, 15.0),
    ("spread", (2.0, ABC), {}, np.full((2, 3), 2.0)),
    ("zeros_for", (ABC.astype(np.float32),), {}, np.zeros((2, 3), np.float32)),
    ("zeros_for", ([1, 2],), {}, np.zeros(2)),
    ("zeros_for", (ABC, np.float32(2)), {}, np.zeros((2, 3), np.float32)),
    ("zeros_of", (np.float32(2),), {"shape": (2,)}, np.zeros(2, np.float32)),
    ("or_zeros", (None, ABC), {}, np.zeros((2, 3))),
    ("or_zeros", (ABC, ABC), {}, ABC),
]


@pytest.mark.parametrize(
    ("gate", "args", "attrs", "wanted"), RELATIONS, ids=lambda one: one if isinstance(one, str) else ""
)
def test_a_relation(gate: str, args: tuple[Any, ...], attrs: dict[str, Any], wanted: Any) -> None:
    before = repr(args)
    found = run_one(gate, *args, **attrs)
    assert type(found) is type(wanted) or isinstance(found, np.generic | np.ndarray)
    assert np.shape(found) == np.shape(wanted)
    if isinstance(wanted, np.ndarray):
        assert np.asarray(found).dtype == wanted.dtype
    assert np.all(np.asarray(found == wanted)) or np.allclose(found, wanted, rtol=1e-14)
    assert repr(args) == before, "an argument is changed"


def test_add_at_counts_every_repeat() -> None:
    index = Value("i", Type(Kind.ARRAY, DType.INT, Shape.of(3)))
    base, gradient = Value("b", Type.open("b")), Value("g", Type.open("g"))
    for mode, wanted in (("add_at", [2.0, 1.0]), ("add", [1.0, 1.0])):
        out = Value("", Type.open("z"))
        step = Relation((out,), "scatter", (base, gradient), {"index": (index,), "mode": mode})
        (found,) = evaluate(Block((base, gradient, index), (step,), (out,)), [np.zeros(2), 1.0, np.array([0, 0, 1])])
        assert found.tolist() == wanted


def test_results_of_one_relation() -> None:
    first, second = run_one("split", np.arange(4.0), outs=2, sections=2, axis=0)
    assert (first.tolist(), second.tolist()) == ([0, 1], [2, 3])
    sign, log = run_one("slogdet", np.eye(2), outs=2)
    assert (sign, log) == (1, 0)


def test_into_keeps_the_dtype_and_the_argument() -> None:
    x = np.ones(2, np.float32)
    found = run_one("add", x, np.ones(2), into=True)
    assert found.dtype == np.float32
    assert found.tolist() == [2, 2]
    assert x.tolist() == [1, 1]
    with pytest.raises(TypeError):
        run_one("add", np.ones(2, int), np.ones(2), into=True)


def test_a_constant_of_the_module_is_fresh_each_time() -> None:
    source = "import numpy as np\nT = [[1.0, 2.0]]\ndef f(x):\n    t = T\n    return np.sum(x * t) * 1e-1\n"
    run = run_stages(stages_of(source), "f", {"x": np.ones((1, 2))})
    assert np.isclose(run.results[0], 0.3)


class Doubled:
    """A layer, as users write them: the backward pass reads what the forward pass has left on the object."""

    def forward(self, x: Any) -> Any:
        self.x = x
        return 2 * x

    def backward(self, gradient: Any) -> Any:
        return 2 * gradient + 0 * self.x


def test_layers() -> None:
    layer = Doubled()
    assert run_one("layer", layer, 3.0, text="self.layer") == 6.0
    assert run_one("layer_backward", layer, 1.0) == 2.0
    assert run_one("layer", abs, -3.0, text="act") == 3.0


def test_what_a_call_has_drawn_is_not_drawn_again() -> None:
    source = (
        "import numpy as np\n"
        "def noisy_forward(x):\n    m = np.random.rand(*x.shape)\n    return x * m\n"
        "def f(x: 'N'):\n    y = noisy_forward(x)\n    return np.sum(y)\n"
    )
    run = run_stages(stages_of(source, functions=("f",)), "f", {"x": np.ones(3)})
    assert np.isclose(np.sum(run.gradients["x"]), run.results[0] * run.upstream[0])


@pytest.mark.parametrize(
    ("gate", "args", "attrs", "error"),
    [
        ("nonsense", (1.0,), {}, CannotEvaluate),
        ("scatter", (ABC, 1.0), {"index": (0,), "mode": "nonsense"}, CannotEvaluate),
        ("update", (np.float64(1.0), ABC), {"op": "+"}, ValueError),
        ("unbroadcast", (ABC, np.ones((2, 2))), {}, ValueError),
        ("dim", (ABC,), {"axis": 0, "rank": 3}, ValueError),
        ("read", (ABC,), {"index": (0,), "length": 3}, ValueError),
        ("write", ([1, 2], 5), {"index": (1,), "collects": True}, ValueError),
        ("write", ([1, 2], 5), {"index": (3,), "collects": True}, ValueError),
        ("entry", ({"W1": ABC}, "W1"), {"rank": 1}, ValueError),
        ("entry", ({"b1": ABC[:, 0]}, "b1"), {"columns": ABC}, ValueError),
        ("entry", ({"W1": ABC}, "W2"), {}, KeyError),
        ("item_add", ({"W1": np.ones(2)}, ABC, "W1"), {}, ValueError),
        ("dict_of", (1.0,), {"keys": ("a", "b")}, ValueError),
        ("imported", (1.0,), {}, CannotEvaluate),
        ("negative", (ABC, ABC), {}, CannotEvaluate),
        ("call_backward", (), {"function": "f"}, CannotEvaluate),
    ],
)
def test_what_cannot_be_evaluated(
    gate: str, args: tuple[Any, ...], attrs: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        run_one(gate, *args, **attrs)


def test_an_unbound_value_is_an_error() -> None:
    x, z = Value("x", Type.open("x")), Value("z", Type.open("z"))
    with pytest.raises(CannotEvaluate, match="x is read before it is bound"):
        evaluate(Block((), (Relation((z,), "negative", (x,)),), (z,)), [])
    with pytest.raises(CannotEvaluate, match="arguments"):
        evaluate(Function("f", Block((x,), (), (x,))), [])
    literal: Operand = Literal(None, "T")
    with pytest.raises(CannotEvaluate, match="constant T"):
        evaluate(Block((), (Relation((z,), "constant", (literal,)),), (z,)), [], program=Program())


def test_summing_down_refuses_what_does_not_broadcast() -> None:
    assert summed_down(ABC, (3,)).tolist() == [3, 5, 7]
    assert summed_down(ABC, ()) == 15
    with pytest.raises(ValueError, match="does not fit"):
        summed_down(ABC, (2,))


# --- types against what values are


def of(shape: Shape, kind: Kind = Kind.ARRAY, dtype: DType = DType.FLOAT, number: Dim | None = None) -> Value:
    return Value("v", Type(kind, dtype, shape, number))


N = Dim.symbol("N")


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (of(Shape.of("N", "N")), np.ones((2, 3))),
        (of(Shape.of("N", 4)), np.ones((2, 3))),
        (of(Shape((N + 1, N))), np.ones((3, 3))),
        (of(Shape((N,), "m", (N,))), np.ones(2)),
        (of(Shape((N,), "m", (N,))), np.ones((2, 3, 1))),
        (of(Shape.of("N")), np.ones((2, 3))),
        (of(Shape.of("N")), 1.0),
        (of(Shape.of("N"), dtype=DType.INT), np.ones(2)),
        (of(Shape.of("N"), dtype=DType.FLOAT), np.ones(2, int)),
        (of(Shape.of("N"), dtype=DType.BOOL), np.ones(2, int)),
        (of(SCALAR, Kind.SCALAR), np.array(1.0)),
        (of(SCALAR, Kind.SCALAR), np.ones(1)),
        (of(SCALAR, Kind.SCALAR, DType.INT, Dim.of(3)), 4),
        (of(Shape.of("N", "D"), Kind.SHAPE, DType.INT), (1, 2, 3)),
    ],
)
def test_a_type_that_does_not_hold(value: Value, found: Any) -> None:
    with pytest.raises(TypeDoesNotHold):
        held(value, found)


def held(value: Value, found: Any) -> None:
    seen = Instances()
    seen.observe(value, found)
    seen.settle()


def test_lists_and_dicts_against_their_types() -> None:
    elements = of(Shape.of("T", "N"), Kind.OPEN)
    held(elements, [np.ones(2), np.zeros(2)])
    held(elements, [])
    held(elements, [np.ones(2), np.ones(3)])  # nobody makes an array of it
    held(of(Shape.unknown("d"), Kind.DICT), {"a": "text"})
    for value, found in (
        (of(Shape.of(3, "N"), Kind.OPEN), [np.ones(2), np.ones(3)]),
        (elements, [np.ones((2, 2)), np.ones((2, 2))]),
        (of(Shape.unknown("d"), Kind.DICT), np.ones(2)),
    ):
        with pytest.raises(TypeDoesNotHold):
            held(value, found)


def test_types_are_held_against_each_other() -> None:
    seen = Instances()
    seen.observe(of(Shape((N + 1,))), np.ones(4))  # N is not known yet
    seen.observe(of(Shape((N,), "m")), np.ones((3, 5, 6)))
    seen.observe(of(Shape.unknown("m")), np.ones((5, 6)))
    seen.observe(of(SCALAR, Kind.SCALAR, DType.INT, N * 2), 6)
    seen.settle()
    with pytest.raises(TypeDoesNotHold):
        seen.observe(of(Shape.unknown("m")), np.ones((6, 5)))
    with pytest.raises(TypeDoesNotHold):
        seen.observe(of(Shape.of("N")), np.ones(4))
