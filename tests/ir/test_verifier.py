"""The verifier: what the compiler makes passes, and every broken rule is found."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from flatgrad.diagnostics import Refused
from flatgrad.facts.structural import _RULES
from flatgrad.frontend.environment import Poison
from flatgrad.gates.entry import TABLE
from flatgrad.ir.core import (
    Attribute,
    Block,
    Call,
    DType,
    Function,
    Kind,
    Literal,
    Operand,
    Relation,
    Slice,
    Type,
    Value,
)
from flatgrad.ir.dims import SCALAR, Shape
from flatgrad.ir.structural_rules import STRUCTURAL
from flatgrad.ir.verifier import InvalidIR, verify
from tests.example_cases import FILES, Example
from tests.ir.stages import stages_of
from tests.program_generator import generate
from tests.support import EXAMPLES

PROGRAMS = 150


def verify_stages(source: str, filename: str = "model.py", **options: Any) -> None:
    stages = stages_of(source, filename, **options)
    for name, backward in stages.backward.items():
        function = stages.lowered[name].function
        verify(function, functions=stages.program.functions)
        verify(backward.block, function.block)


@pytest.mark.parametrize("gates", ["grouped", "primitive"])
@pytest.mark.parametrize("example", FILES, ids=lambda example: example.stem)
def test_examples_are_valid(example: Example, gates: str) -> None:
    path = EXAMPLES / f"{example.stem}.py"
    verify_stages(path.read_text(), str(path), **{**example.options, "gates": gates})


def test_random_programs_are_valid() -> None:
    understood = 0
    for seed in range(PROGRAMS):
        try:
            verify_stages(generate(seed).source(), gates="primitive" if seed % 2 else "grouped")
        except Refused:
            continue
        understood += 1
    assert understood > PROGRAMS / 2


# --- broken rules


def array(name: str, *dims: int | str, dtype: DType = DType.FLOAT) -> Value:
    return Value(name, Type(Kind.ARRAY if dims else Kind.SCALAR, dtype, Shape.of(*dims)))


X, W, B = array("x", "N", "D"), array("w", "D", "H"), array("b", "H")
INDEX = array("i", "M", dtype=DType.INT)
PARAMS = Value("params", Type(Kind.DICT, DType.OPEN, Shape.unknown("params")))


def block(*body: Relation | Call, params: tuple[Value, ...] = (X, W, B, INDEX), result: Value | None = None) -> Block:
    return Block(params, body, (result or body[-1].outs[0],))


def relation(out: Value, gate: str, /, *args: Operand, **attrs: Attribute) -> Relation:
    return Relation((out,), gate, args, attrs)


Z = array("z", "N", "H")
PRODUCT = relation(Z, "matmul", X, W)
SUM = {"axis": 0, "dtype": None, "out": None, "keepdims": False}


def test_a_valid_block() -> None:
    h = array("h", "N", "H")
    total = array("s", "H")
    part = array("p", "M", "H")
    one, rest = (
        block(PRODUCT, relation(h, "add", Z, B)),
        [
            relation(total, "sum", h, **SUM),
            relation(part, "read", h, index=(INDEX,)),
            relation(array("q", 2, "H"), "stack", total, total, axis=0),
        ],
    )
    verify(one)
    verify(Function("f", replace(one, body=(*one.body, *rest), results=(part, total))))


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (block(PRODUCT, PRODUCT), "z is bound twice"),
        (block(PRODUCT, params=(X, W, W)), "w is bound twice"),
        (block(PRODUCT, params=(X,)), "w is read before it is bound"),
        (
            block(relation(array("r", "M", "D"), "read", X, index=(array("j", "M", dtype=DType.INT),))),
            "j is read before",
        ),
        (block(PRODUCT, result=B, params=(X, W)), "result b is not bound"),
        (block(relation(Poison.at("z"), "negative", X)), "stands for what could not be read"),
        (block(relation(Z, "nonsense", X)), "no gate nonsense"),
        (block(relation(Z, "negative", X, X)), "does not take 2 operands"),
        (block(relation(Z, "matmul", X)), "does not take 1 operands"),
        (block(relation(Z, "write", X, index=(0,))), "does not take 1 operands"),
        (block(relation(array("s", "H"), "sum", Z, axes=0), params=(Z,)), "no attribute axes"),
        (block(relation(array("s", "D"), "read", X)), "needs the attribute index"),
        (block(relation(X, "reshape", W), params=(W,)), "needs the attribute shape"),
        (block(relation(array("s", "D"), "sum", X, **(SUM | {"axis": Literal(0, "0")}))), "axis is no attribute"),
        (Block((X,), (Relation((), "negative", (X,)),), (X,)), "nothing is bound"),
        (block(relation(array("r", "N"), "entry", PARAMS), params=(PARAMS,)), "needs the attribute key"),
        (block(relation(PARAMS, "item_add", PARAMS, X), params=(PARAMS, X)), "does not take 2 operands"),
        (block(relation(X, "stacked", W), params=(W,)), "needs the attribute axis"),
        (block(relation(PARAMS, "dict_of", X, W), params=(X, W)), "needs the attribute keys"),
        (block(relation(PARAMS, "dict_of", X, W, keys=("W",)), params=(X, W)), "not one key for each entry"),
        (block(relation(PARAMS, "dict_of", X, W, keys=("W", "W")), params=(X, W)), "not one key for each entry"),
        (
            block(relation(PARAMS, "dict_of", X, W, keys=("X", "W"), base=True), params=(X, W)),
            "not one key for each entry",
        ),
        (block(relation(array("d", "N"), "dict_of", X, keys=("X",)), params=(X,)), "dict open"),
        (block(relation(array("z", "N", "D"), "matmul", X, W)), "H is taken for D|D is taken for H"),
        (block(relation(array("z", "N"), "matmul", X, W)), "do not fit"),
        (block(relation(array("z", "N", 3), "negative", array("y", "N", 2)), params=(array("y", "N", 2),)), "before"),
        (block(relation(array("z", "N", "D", dtype=DType.BOOL), "negative", X)), "array float"),
        (block(relation(array("z", "N", "D"), "greater", X, Literal(0, "0"))), "array bool"),
        (block(relation(Value("z", Type(Kind.SCALAR, DType.FLOAT, Shape.of("N", "D"))), "negative", X)), "array float"),
        (block(Relation((Z, array("y", "N", "H")), "negative", (X,))), "shapes do not fit|results|taken for"),
        (block(Relation((Z,), "split", (X,), {"sections": 2, "axis": 0})), "2 results"),
        (block(relation(array("s", "N"), "sum", X, **SUM)), "taken for"),
        (block(relation(array("r", "M"), "read", X, index=(Slice(), INDEX))), "do not fit"),
    ],
)
def test_what_is_not_valid(bad: Block, message: str) -> None:
    with pytest.raises(InvalidIR, match=message):
        verify(bad)


def test_dicts_and_lists() -> None:
    w, key = array("W", "D", "H"), Value("", Type(Kind.OTHER, DType.BOOL, SCALAR))
    other, grads, more = (Value(name, PARAMS.type) for name in ("other", "grads", "grads"))
    hs, stack = (
        Value(name, Type(kind, DType.FLOAT, Shape.of("T", "D", "H")))
        for name, kind in (("hs", Kind.OPEN), ("out", Kind.ARRAY))
    )
    body = (
        relation(w, "entry", PARAMS, key="W"),
        relation(key, "opaque", text="'W' + str(1)"),
        relation(array("V", "K", "L"), "entry", PARAMS, key, rank=2),
        relation(other, "dict_of", w, keys=("W",)),
        relation(grads, "zeros_for", other),
        relation(more, "item_add", grads, w, key),
        relation(Value("last", PARAMS.type), "dict_of", more, w, keys=("W",), base=True),
        relation(hs, "collection", w, w),
        relation(stack, "stacked", hs, axis=0),
    )
    verify(Block((PARAMS,), body, (stack, more)))


def test_no_gate_of_the_table_is_called_as_a_relation_of_the_compiler_is() -> None:
    assert not TABLE.keys() & {*STRUCTURAL, *_RULES, "call_backward"}
    assert STRUCTURAL.keys() >= _RULES.keys()


def test_the_two_dims_of_a_negative_are_compared() -> None:
    y = array("y", "N", 2)
    with pytest.raises(InvalidIR, match=r"2 is not 3|3 is not 2"):
        verify(block(relation(array("z", "N", 3), "negative", y), params=(y,)))


def test_calls() -> None:
    callee = Function("g", block(PRODUCT))
    call = Call((Z,), "g", (X, W, B, INDEX))
    verify(block(call), functions={"g": callee})
    verify(block(call))
    with pytest.raises(InvalidIR, match="no function g"):
        verify(block(call), functions={})
    with pytest.raises(InvalidIR, match="other parameters"):
        verify(block(Call((Z,), "g", (X,))), functions={"g": callee})


def test_a_backward_block_reads_forward_values_and_takes_gradients() -> None:
    forward = block(PRODUCT)
    dz, dx = array("dz", "N", "H"), array("dx", "N", "D")
    turned = array("", "H", "D")
    body = (relation(turned, "transpose", W, axes=None), relation(dx, "matmul", dz, turned))
    verify(Block((dz,), body, (dx,)), forward)
    with pytest.raises(InvalidIR, match="w is read before"):
        verify(Block((dz,), body, (dx,)))
    for bad in (array("dz", "N", "H", dtype=DType.INT), Value("dz", Type(Kind.SHAPE, DType.FLOAT, SCALAR))):
        with pytest.raises(InvalidIR, match="dz of a backward block is no gradient"):
            verify(Block((bad,), (), (bad,)), forward)


def test_what_a_line_enforces_holds_for_the_lines_after_it() -> None:
    """x @ y says that H is D: the sum may have either for its type, but only from there on."""
    y = array("y", "H", "H")
    product = relation(array("p", "N", "H"), "matmul", X, y)
    total = relation(array("s", "N", "D"), "add", X, array("q", "N", "H"))
    q = total.args[1]
    assert isinstance(q, Value)
    plain = relation(array("n", "N", "D"), "negative", q)
    verify(Block((X, y, q), (product, plain), (plain.out,)))
    with pytest.raises(InvalidIR, match="taken for"):
        verify(Block((X, y, q), (plain, product), (plain.out,)))
