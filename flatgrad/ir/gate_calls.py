"""Gates of the table, evaluated through their own spellings."""

from __future__ import annotations

import ast
import math
from collections.abc import Mapping
from functools import lru_cache
from types import CodeType
from typing import Any

import numpy as np

from flatgrad.gates.entry import Gate, Spelling
from flatgrad.ir.core import Attribute


class CannotEvaluate(Exception):
    """The block is not one that can run: an unbound value, an unknown gate."""


def gate_result(gate: Gate, args: list[Any], attrs: Mapping[str, Any]) -> Any:
    """The result of a relation of the table, or the results. Raises CannotEvaluate."""
    given = {
        name: value
        for name, value in attrs.items()
        if name in gate.attributes and not _is_default(value, gate.attributes[name])
    }
    fixed = [name for name in gate.operands if name != "xs"]
    names: dict[str, Any] = dict(zip(fixed, args, strict=False))
    if "xs" in gate.operands:
        names["xs"] = list(args[len(fixed) :])
    elif len(args) > len(fixed):
        raise CannotEvaluate(f"{gate.name} takes {len(fixed)} operands, not {len(args)}")
    if is_group(gate):
        # The definition of a group names everything that it is made of.
        spelling = gate.spellings[0]
        given = {name: attrs.get(name, default) for name, default in gate.attributes.items()}
    else:
        spelling = _chosen(gate, set(names) | set(given))
        given = {name: attrs[name] for name in spelling.names if name in attrs}
    values = {f"_{name}": value for name, value in (names | given).items()}
    into = bool(attrs.get("into")) and isinstance(args[0], np.ndarray) and not is_group(gate)
    if into:
        values["_x"] = args[0].copy()
    if gate.effect and "shape" in spelling.starred:
        shape = given.get("shape")
        values["_shape"] = shape if isinstance(shape, tuple) else () if shape is None else (shape,)
    code = _code(spelling.text, frozenset(names | given), into, not is_group(gate), gate.effect)
    scope = dict(_libraries("special." in spelling.text or "scipy." in spelling.text), **values)
    if not into:
        return eval(code, scope)
    exec(code, scope)
    return scope["_x"]


def _is_default(value: Any, default: Attribute) -> bool:
    return value is default or (
        type(value) is type(default) and isinstance(value, int | float | str) and value == default
    )


def _chosen(gate: Gate, given: set[str]) -> Spelling:
    """The first spelling that has a place for everything that is given."""
    for spelling in gate.spellings:
        if given <= set(spelling.names):
            return spelling
    raise CannotEvaluate(f"no spelling of {gate.name} takes {', '.join(sorted(given))}")


def is_group(gate: Gate) -> bool:
    return not gate.spellings[0].path


@lru_cache(maxsize=4096)
def _code(text: str, given: frozenset[str], into: bool, is_call: bool, unpacks: bool = False) -> CodeType:
    """A spelling as code over `_x`, `_y`, ...; where it is one call, what is not given is left to its default."""
    tree = ast.parse(text, mode="eval")
    body = (_Bound(given, unpacks) if is_call else _Renamed(given)).visit(tree.body)
    if not into:
        return compile(ast.fix_missing_locations(ast.Expression(body)), f"<gate {text}>", "eval")
    if not isinstance(body, ast.BinOp) or not isinstance(body.left, ast.Name):
        raise CannotEvaluate(f"{text} cannot be done in place")
    statement = ast.AugAssign(ast.Name(body.left.id, ast.Store()), body.op, body.right)
    return compile(ast.fix_missing_locations(ast.Module([statement], [])), f"<gate {text}>", "exec")


class _Renamed(ast.NodeTransformer):
    """Names of operands and attributes take an underscore, so that none is taken for a library."""

    def __init__(self, given: frozenset[str]) -> None:
        self.given = given

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return ast.Name(f"_{node.id}", ast.Load()) if node.id in self.given else node


class _Bound(_Renamed):
    """The same for one call, whose other arguments fall away."""

    def __init__(self, given: frozenset[str], unpacks: bool) -> None:
        super().__init__(given)
        self.unpacks = unpacks

    def visit_Call(self, node: ast.Call) -> ast.AST:
        args: list[ast.expr] = []
        for arg in node.args:
            inner = arg.value if isinstance(arg, ast.Starred) else arg
            if isinstance(inner, ast.Name) and inner.id in self.given:
                name = ast.Name(f"_{inner.id}", ast.Load())
                args.append(ast.Starred(name, ast.Load()) if self._unpacked(arg, inner.id) else name)
        keywords = [ast.keyword(k.arg, ast.Name(f"_{k.arg}", ast.Load())) for k in node.keywords if k.arg in self.given]
        return ast.Call(self.visit(node.func), args, keywords)

    def _unpacked(self, arg: ast.expr, name: str) -> bool:
        """`*xs` is unpacked; `*shape` is one tuple, or one number, but for draws: `rand(*shape)`."""
        return isinstance(arg, ast.Starred) and (name == "xs" or self.unpacks)


@lru_cache(maxsize=2)
def _libraries(scipys: bool) -> dict[str, Any]:
    found: dict[str, Any] = {"np": np, "math": math}
    if scipys:
        import scipy.spatial.distance
        import scipy.special

        found |= {"special": scipy.special, "scipy": scipy}
    return found
