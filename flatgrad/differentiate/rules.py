"""Backward spellings of the table, read by the frontend and built into a block."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from functools import lru_cache

from flatgrad.diagnostics import Diagnostic, Refused
from flatgrad.differentiate.builder import Builder
from flatgrad.frontend.calls import CallLowering
from flatgrad.frontend.environment import Binding, Static, Structure
from flatgrad.frontend.source import Module, read_module
from flatgrad.gates.entry import BY_PATH, DECLARED, OWN
from flatgrad.ir.core import (
    Attribute,
    Call,
    Literal,
    Operand,
    Relation,
    Slice,
    Span,
    Step,
    Type,
    Value,
    with_values,
)

NOWHERE = Span(1, 0, 1, 0)


@lru_cache(maxsize=1)
def rule_module() -> Module:
    """The names that a backward spelling may use."""
    return read_module("import math\nimport numpy as np\nfrom scipy import special\n", "rules")


@lru_cache(maxsize=4096)
def parsed(spelling: str) -> ast.expr:
    """The syntax tree of a spelling. Raises ValueError where it is not an expression."""
    try:
        return ast.parse(spelling, mode="eval").body
    except SyntaxError as error:
        raise ValueError(f"not an expression: {spelling}") from error


def build_rule(builder: Builder, spelling: str, environment: Mapping[str, Binding]) -> Operand:
    """Build a spelling with its names bound; the value that it gives.

    Raises:
        ValueError: the spelling is not in the language that the compiler reads.
    """
    steps: list[Step] = []
    errors: list[Diagnostic] = []
    lowering = _RuleLowering(environment, steps, errors)
    result = lowering.operand(parsed(spelling))
    if errors:
        raise ValueError(f"backward spelling {spelling}: {errors[0].message}")
    known: dict[Value, Operand] = {}

    def current(value: Value) -> Operand:
        return known.get(value, value)

    for step in steps:
        assert isinstance(step, Relation)
        args = tuple(known.get(arg, arg) if isinstance(arg, Value) else arg for arg in step.args)
        attrs = {name: with_values(attribute, current) for name, attribute in step.attrs.items()}
        if step.gate == "scatter_add":
            known[step.out] = _scattered(builder, args[0], attrs)
            continue
        outs = builder.add_all(step.gate, args, attrs, ("",) * len(step.outs))
        known.update(zip(step.outs, outs, strict=True))
    return known.get(result, result) if isinstance(result, Value) else result


def complaint(spelling: str, names: Iterable[str]) -> str:
    """What is wrong with a spelling over these names, the result `z` and its gradient `dz`; '' if it is understood."""
    try:
        tree = parsed(spelling)
    except ValueError as error:
        return str(error)
    errors: list[Diagnostic] = []
    environment: dict[str, Binding] = {name: Value(name, Type.open(name)) for name in (*names, "z", "dz")}
    _RuleLowering(environment, [], errors).operand(tree)
    return errors[0].message if errors else ""


def _scattered(builder: Builder, gradient: Operand, attrs: Mapping[str, Attribute]) -> Operand:
    """`scatter_add(shape, index, g)`: zeros of the shape, to which g is added at the index, repeats and all."""
    zeros = builder.value("zeros_of", gradient, attrs={"shape": attrs["shape"]})
    return builder.value("scatter", zeros, gradient, attrs={"index": attrs["index"], "mode": "add_at"})


def as_binding(attribute: Attribute) -> Binding:
    """An attribute as something that its name can stand for in a spelling."""
    match attribute:
        case Value():
            return attribute
        case tuple():
            return Structure(tuple(as_binding(part) for part in attribute), False, NOWHERE)
        case str() if "." in attribute:
            return Static(attribute)
        case None | bool() | int() | float() | str():
            return Literal(attribute, repr(attribute))
    raise TypeError(f"{attribute!r} cannot be named in a spelling")


class _RuleLowering(CallLowering):
    """Reads spellings; knows the few functions that are the compiler's own."""

    def __init__(self, environment: Mapping[str, Binding], steps: list[Step], errors: list[Diagnostic]) -> None:
        def emit(step: Step, view: bool) -> None:
            steps.append(step)

        def no_callee(name: str) -> object:
            raise ValueError(f"{name} is no function of a backward spelling")

        super().__init__(rule_module(), no_callee, frozenset(), environment, {}, emit, errors)  # type: ignore[arg-type]

    def _span(self, node: ast.AST) -> Span:
        return NOWHERE

    def _index_item(self, node: ast.expr) -> Attribute:
        match node:
            case ast.Call(func=ast.Name(id="slice"), args=bounds):
                parts = [self._index_item(bound) for bound in bounds]
                return Slice(*parts) if len(parts) > 1 else Slice(None, *parts)
        return super()._index_item(node)

    def call(self, node: ast.Call) -> Binding:
        match node:
            case ast.Call(func=ast.Name(id="unbroadcast"), args=[gradient, target]):
                return self._relation("unbroadcast", (self.operand(gradient), self.operand(target)), {}, None)
            case ast.Call(func=ast.Name(id="scatter_add"), args=[shape, index, gradient]):
                described = self.attribute(self.lower(shape), shape)
                template = self.index(index)
                assert template is not None
                attrs: dict[str, Attribute] = {"shape": described, "index": template}
                return self._relation("scatter_add", (self.operand(gradient),), attrs, None)
        path = self._declared_path(node.func)
        if path is not None:
            return self._bound_call(node, path, (), node.func)
        return super().call(node)

    def _declared_path(self, function: ast.expr) -> str | None:
        """The path of a function that a user has declared a gate for, written out: `mylib.swish`."""
        match function:
            case ast.Name(id=name):
                path = f"{OWN}.{name}"
            case ast.Attribute():
                path = ast.unparse(function)
            case _:
                return None
        known = path in BY_PATH and BY_PATH[path][0][0].section == DECLARED
        return path if known and path.partition(".")[0] not in self.environment else None


def refusal(message: str, relation: Relation | Call, help: str = "") -> Refused:
    stage = relation.stage
    return refusal_at(message, relation.span if relation.span is not None or stage is None else stage.span, help)


def refusal_at(message: str, span: Span | None, help: str = "") -> Refused:
    return Refused((Diagnostic("FG025", message, span, "", help),))
