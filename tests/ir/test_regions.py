"""Loops and branches, interpreted and verified: forward blocks, and backward blocks that run through
the same rounds from their end."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from flatgrad.ir.core import Block, Branch, DType, Function, Kind, Literal, Loop, Relation, Type, Value
from flatgrad.ir.dims import SCALAR, Dim, Shape
from flatgrad.ir.gate_calls import CannotEvaluate
from flatgrad.ir.instances import Instances, TypeDoesNotHold
from flatgrad.ir.interpreter import Program, Rounds, evaluate
from flatgrad.ir.verifier import InvalidIR, verify
from tests.ir.test_interpreter import check_stages
from tests.ir.test_verifier import verify_stages
from tests.program_generator import Inputs

XS = np.array([0.7, -1.2, 1.9, 0.4])
SOURCES: dict[str, tuple[str, Inputs]] = {
    "carried": ("s = 1.0\nfor t in range(x.shape[0]):\n    s = np.sin(s * x[t])\nreturn s", {}),
    "no_rounds": ("s = x.sum()\nfor t in range(n):\n    s = s * s\nreturn s", {"n": 0}),
    "down": ("s = 1.0\nfor t in range(3, -1, -2):\n    s = np.sin(s + x[t])\nreturn s", {}),
    "reversed": ("s = 1.0\nfor t in reversed(range(4)):\n    s = np.sin(s * x[t])\nreturn s", {}),
    "rows": ("s = 0.0\nfor i, a in enumerate(x):\n    s += np.exp(a) * i\nreturn s", {}),
    "written": ("h = np.zeros(5)\nfor t in range(4):\n    h[t + 1] = np.tanh(h[t] + x[t])\nreturn h", {}),
    "nested": (
        "s = 0.0\nfor i in range(4):\n    p = 1.0\n    for j in range(i):\n        p = p * x[j]\n"
        "    s += np.sin(p)\nreturn s",
        {},
    ),
    "grows": ("s = 0\nfor t in range(4):\n    s = s + x[t] * x\nreturn s", {}),
    "sizes": ("s = 0.0\nfor t in range(1, 4):\n    h = x[:t] * x[t]\n    s = s + np.sum(h * h)\nreturn s", {}),
    "continue": (
        "s = 0.0\nfor t in range(4):\n    if x[t] < 0:\n        continue\n    z = np.exp(x[t])\n    s += z * z\n"
        "return s",
        {},
    ),
    "break": (
        "s = 0.0\nfor t in range(3, 0, -1):\n    z = np.exp(x[t])\n    s += z * z\n    if s > 2:\n        break\n"
        "    s = s * 2\nreturn s",
        {},
    ),
    "break_at_once": (
        "s = x.sum()\nfor t in range(4):\n    if n < 4:\n        break\n    s = s * s\nreturn s",
        {"n": 1},
    ),
    "while": ("s = x[0]\nwhile s < n:\n    s = s * x[2]\nreturn s", {"n": 50}),
    "while_never": ("s = x[0]\nwhile s > n:\n    s = s * x[2]\nreturn s", {"n": 50}),
    "loop_variable": ("for t in range(4):\n    y = np.sin(x[t])\nreturn y * x[t]", {}),
    "arms": (
        "if n > 1:\n    y = np.tanh(x)\nelif n == 1:\n    y = x * x\nelse:\n    y = x\nreturn np.sum(y * x)",
        {"n": 1},
    ),
    "early": ("if n > 1:\n    return np.sum(x * x)\ny = np.sin(x)\nreturn np.sum(y * y)", {"n": 1}),
    "one_arm": ("if n > 1:\n    z = np.exp(x)\ny = x * 2\nif n > 1:\n    y = y * z\nreturn y", {"n": 2}),
    "one_arm_unbound": ("if n > 1:\n    z = np.exp(x)\ny = x * 2\nif n > 1:\n    y = y * z\nreturn y", {"n": 0}),
    "longer_shape": (
        "p = np.zeros((x.shape[0] + 1,) + x.shape[1:])\np[1:] = x * x\n"
        "q = np.ones(x.shape + (2, 3)) * x[:, None, None]\nreturn np.sum(p * p) + np.sum(q * q)",
        {},
    ),
    "first_round": (
        "s, h = 0.0, x[:1]\nfor t in range(1, 4):\n    if t > 1:\n        s = s + np.sum(h * x[:t])\n"
        "    h = x[:1] * x[t]\nreturn s",
        {},
    ),
}


@pytest.mark.parametrize("options", [{}, {"gates": "primitive", "accumulate": "always"}], ids=["default", "textbook"])
@pytest.mark.parametrize("name", SOURCES)
def test_stages(name: str, options: dict[str, Any]) -> None:
    body, more = SOURCES[name]
    head = "import numpy as np\ndef f(" + ", ".join(["x: 'N'", *(f"{key}: int" for key in more)]) + "):\n"
    source = head + "".join(f"    {line}\n" for line in body.splitlines())
    verify_stages(source, wrt=("x",), **options)
    check_stages(source, "f", {"x": XS, **more}, wrt=("x",), **options)


# --- blocks made by hand


def number(name: str, dtype: DType = DType.FLOAT) -> Value:
    return Value(name, Type(Kind.SCALAR, dtype, SCALAR))


def literals(*numbers: int) -> tuple[Literal, ...]:
    return tuple(Literal(one, str(one)) for one in numbers)


def multiplied(out: str, *args: Value) -> Relation:
    return Relation((number(out),), "multiply", args)


def powers(count: int = 3, backwards: bool = False) -> tuple[Value, Loop, Function]:
    """`for i in range(count): s = s * x`, from 1."""
    x, one, i, s = number("x"), number("one"), number("i", DType.INT), number("s")
    product = multiplied("s", s, x)
    loop = Loop(
        (number("s"),), (one,), literals(0, count, 1), Block((i, s), (product,), (product.out,)), backwards=backwards
    )
    first = Relation((one,), "constant", literals(1))
    return x, loop, Function("f", Block((x,), (first, loop), loop.outs))


def derivative(x: Value, loop: Loop) -> Block:
    """The gradient of `powers`, where each round reads the `s` that it began with."""
    dout, ds, dx, zero = number("dout"), number("ds"), number("dx"), number("zero")
    part, more, next_ds = number("part"), number("dx"), number("ds")
    body = (
        Relation((part,), "multiply", (ds, loop.carried[0])),
        Relation((more,), "add", (dx, part)),
        Relation((next_ds,), "multiply", (ds, x)),
    )
    outs = (number("ds"), number("dx"))
    back = Loop(
        outs,
        (dout, zero),
        loop.bounds,
        Block((loop.index, ds, dx), body, (next_ds, more)),
        backwards=not loop.backwards,
    )
    return Block((dout,), (Relation((zero,), "zeros_for", (x,)), back), (outs[1],))


@pytest.mark.parametrize("backwards", [False, True])
def test_a_loop_and_its_derivative(backwards: bool) -> None:
    x, loop, function = powers(backwards=backwards)
    backward = derivative(x, loop)
    verify(function)
    verify(backward, function.block)
    environment: dict[Value, Any] = {}
    assert evaluate(function, [2.0], environment) == (8.0,)
    rounds = environment[loop.index]
    assert isinstance(rounds, Rounds)
    assert [values[loop.carried[0]] for values in rounds.values] == [1.0, 2.0, 4.0]
    assert [values[loop.index] for values in rounds.values] == ([2, 1, 0] if backwards else [0, 1, 2])
    assert evaluate(backward, [1.0], environment) == (12.0,)
    # Nothing of a round is left behind.
    assert loop.carried[0] not in environment
    assert environment[loop.index] is rounds


def test_rounds_are_run_through_from_their_end_and_all_of_them() -> None:
    x, loop, function = powers()
    backward = derivative(x, loop)
    environment: dict[Value, Any] = {}
    evaluate(function, [2.0], environment)
    back = backward.body[1]
    assert isinstance(back, Loop)
    for wrong in (replace(back, backwards=False), replace(back, bounds=literals(0, 2, 1))):
        with pytest.raises(CannotEvaluate, match="from the last to the first"):
            evaluate(replace(backward, body=(backward.body[0], wrong)), [1.0], environment)


def test_what_a_round_binds_is_not_read_outside() -> None:
    x, loop, function = powers()
    for inner in (loop.index, loop.carried[0], loop.handed[0]):
        copied = multiplied("y", inner, x)
        block = replace(function.block, body=(*function.block.body, copied), results=copied.outs)
        with pytest.raises(CannotEvaluate, match=r"outside its loop|before it is bound"):
            evaluate(block, [2.0])
        with pytest.raises(InvalidIR, match="before it is bound"):
            verify(block)
        with pytest.raises(InvalidIR, match="before it is bound"):
            verify(Block((), (copied,), copied.outs), function.block)


def test_a_loop_that_is_left_and_one_with_a_condition() -> None:
    x = number("x")
    _, loop, function = powers(10)
    test = Value("", Type(Kind.OTHER, DType.BOOL, SCALAR))
    count = number("count", DType.INT)
    large = Relation((test,), "opaque", loop.handed, {"text": "_0 > LIMIT"})
    left = replace(loop, body=replace(loop.body, body=(*loop.body.body, large), results=(*loop.handed, test)))
    left = replace(left, breaks=True, count=count)
    assert isinstance(function.block.body[0], Relation)
    block = replace(function.block, body=(function.block.body[0], left), results=left.bound)
    program = Program(names={"LIMIT": 5})
    verify(block)
    assert evaluate(block, [2.0], program=program) == (8.0, 3)
    with pytest.raises(InvalidIR, match="not counted"):
        verify(replace(block, body=(block.body[0], replace(left, count=None)), results=left.outs))

    small = Relation((test,), "opaque", loop.carried, {"text": "_0 < LIMIT"})
    condition = Block(loop.carried, (small,), (test,))
    during = replace(loop, bounds=(), condition=condition, count=count)
    block = replace(block, body=(block.body[0], during), results=during.bound)
    verify(block)
    assert evaluate(block, [2.0], program=program) == (8.0, 3)
    assert evaluate(block, [2.0], program=Program(names={"LIMIT": 1})) == (1.0, 0)
    with pytest.raises(InvalidIR, match="a condition is one result of what is carried"):
        verify(replace(block, body=(block.body[0], replace(during, condition=replace(condition, params=(x,))))))


def branch() -> tuple[Value, Value, Branch, Function]:
    x, flag = number("x"), Value("flag", Type(Kind.OTHER, DType.BOOL, SCALAR))
    square, double = multiplied("y", x, x), Relation((number("y"),), "add", (x, x))
    both = Branch((number("y"),), flag, Block((), (square,), square.outs), Block((), (double,), double.outs))
    return x, flag, both, Function("f", Block((x, flag), (both,), both.outs))


def test_a_branch_runs_one_arm_and_only_that() -> None:
    x, flag, both, function = branch()
    verify(function)
    environment: dict[Value, Any] = {}
    assert evaluate(function, [3.0, True], environment) == (9.0,)
    assert evaluate(function, [3.0, False]) == (6.0,)
    inner = both.then.results[0]
    assert environment[inner] == 9.0
    # The arm of the backward pass on the same test reads what the arm of the forward pass has bound.
    dout = number("dout")
    arms = [multiplied("dx", dout, arm.results[0]) for arm in both.arms]
    then, orelse = (Block((), (arm,), arm.outs) for arm in arms)
    back = Branch((number("dx"),), flag, then, orelse)
    backward = Block((dout,), (back,), back.outs)
    verify(backward, function.block)
    assert evaluate(backward, [1.0], environment) == (9.0,)
    other = replace(backward, body=(replace(back, then=back.orelse),))
    with pytest.raises(CannotEvaluate, match="before it is bound"):
        evaluate(other, [1.0], environment)
    with pytest.raises(InvalidIR, match="before it is bound"):
        verify(Block((x, flag), (both, multiplied("z", inner, x)), both.outs))


def test_regions_that_do_not_fit() -> None:
    x, loop, function = powers()
    first = function.block.body[0]

    def broken(**changed: Any) -> Block:
        return replace(function.block, body=(first, replace(loop, **changed)))

    wrong = [
        (broken(inits=()), "what is carried does not fit"),
        (broken(breaks=True, count=number("n", DType.INT)), "what is carried does not fit"),
        (broken(bounds=literals(0, 3)), "a start, a stop and a step"),
        (broken(bounds=()), "a start, a stop and a step"),
        (broken(bounds=(Literal(0, "0"), number("n", DType.INT), Literal(1, "1"))), "n is read before"),
        (broken(body=replace(loop.body, params=(x, *loop.carried))), "x is bound twice"),
        (broken(body=replace(loop.body, results=(number("y"),))), "result y is not bound"),
        (broken(outs=(Value("s", Type(Kind.ARRAY, DType.FLOAT, Shape.of("N"))),)), "is taken for"),
    ]
    for block, message in wrong:
        with pytest.raises(InvalidIR, match=message):
            verify(block)
    _, _, both, function = branch()
    misfits = [
        (replace(both, outs=(number("y"), number("z"))), "the arms do not have the results"),
        (replace(both, test=number("t")), "t is read before"),
        (replace(both, orelse=replace(both.orelse, body=both.then.body)), "is bound twice|is not bound"),
        (replace(both, outs=(number("y", DType.BOOL),)), "is taken for"),
    ]
    for changed, message in misfits:
        with pytest.raises(InvalidIR, match=message):
            verify(replace(function.block, body=(changed,), results=changed.outs))


def test_what_a_symbol_is_in_one_round_tells_nothing_of_the_next() -> None:
    seen = Instances()
    value = Value("x", Type(Kind.ARRAY, DType.FLOAT, Shape((Dim.symbol("M"),))))
    for size in (2, 3):
        with seen.round():
            seen.observe(value, np.zeros(size))
            with pytest.raises(TypeDoesNotHold, match=f"M is {size}, not 7"):
                seen.observe(value, np.zeros(7))
    seen.observe(value, np.zeros(4))
    with seen.round(), pytest.raises(TypeDoesNotHold, match="M is 4, not 2"):
        seen.observe(value, np.zeros(2))
