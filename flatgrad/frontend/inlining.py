"""One function, into which the functions that it calls are written, one call at a time."""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator, Sequence
from typing import Protocol

from flatgrad.frontend.closures import defaults_of
from flatgrad.frontend.flattened import (
    Renamed,
    Replaced,
    blocks_of,
    bound_in,
    matched_arguments,
    names_of_module,
    paired,
    stored_in,
    without_docstring,
)
from flatgrad.frontend.source import Module
from flatgrad.frontend.tuples import take_apart


class Callees(Protocol):
    """Which calls are written out."""

    module: Module

    def written_out(self, node: ast.Call, shadowed: frozenset[str]) -> ast.FunctionDef | None: ...


class Unfolding:
    """One function, one call at a time."""

    def __init__(self, flat: Callees, node: ast.FunctionDef) -> None:
        self.flat = flat
        self.node = node
        self.shadowed = frozenset(bound_in(node))
        self.taken = {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
        self.taken |= {argument.arg for argument in node.args.args} | flat.module.bound

    def once(self) -> bool:
        """Write out the first call that can be; False where there is none."""
        for block in blocks_of(self.node):
            for position, statement in enumerate(block):
                found = self._call(statement)
                if found is None:
                    continue
                call, called = found
                if isinstance(statement, ast.Assign) and statement.value is call:
                    new = self._written(block, position, call, called, statement.targets[0])
                elif isinstance(statement, ast.Expr):
                    new = self._written(block, position, call, called, None)
                else:
                    # What is part of an expression is given a name first.
                    whole = isinstance(statement, ast.Return) and statement.value is call
                    name = self._free("out" if whole else _named_for(called))
                    held = ast.copy_location(ast.Assign([ast.Name(name, ast.Store())], call), statement)
                    Replaced(call, ast.Name(name, ast.Load())).visit(statement)
                    new = [held, statement]
                block[position : position + 1] = new
                return True
        return False

    def _call(self, statement: ast.stmt) -> tuple[ast.Call, ast.FunctionDef] | None:
        candidates: list[ast.expr] = []
        match statement:
            case ast.Assign(value=value) | ast.AugAssign(value=value) | ast.Return(value=ast.expr() as value) if (
                not isinstance(value, ast.Call | ast.Tuple)
                or (isinstance(value, ast.Call) and self.flat.written_out(value, self.shadowed) is None)
            ):
                candidates = [one for one in _first_calls(value) if one is not value]
            case ast.Assign(targets=[_], value=ast.Call() as call) | ast.Expr(value=ast.Call() as call):
                candidates = [call]
            case ast.Return(value=ast.Call() as call):
                candidates = [call]
            case ast.Return(value=ast.Tuple(elts=elements)):
                # Nothing that runs before the call may be left behind it.
                simple = [one for one in elements if not isinstance(one, ast.Name | ast.Constant)]
                candidates = simple if len(simple) == 1 else []
        for candidate in candidates:
            called = self.flat.written_out(candidate, self.shadowed) if isinstance(candidate, ast.Call) else None
            if called is not None and isinstance(candidate, ast.Call) and not names_of_module(called) & self.shadowed:
                return candidate, called
        return None

    def _free(self, wanted: str) -> str:
        name, number = wanted, 2
        while name in self.taken:
            name, number = f"{wanted}{number}", number + 1
        self.taken.add(name)
        return name

    def _written(
        self, block: list[ast.stmt], position: int, call: ast.Call, called: ast.FunctionDef, target: ast.expr | None
    ) -> list[ast.stmt]:
        """The statements of the callee, with its parameters bound before and its result after them."""
        place = block[position]
        body = [copy.deepcopy(one) for one in without_docstring(called.body)]
        changed = stored_in(body)
        arguments = matched_arguments(called, call)
        assert arguments is not None
        names: dict[str, ast.expr] = {}
        heads: list[ast.stmt] = []
        defaults = defaults_of(called)
        for parameter, argument in arguments.items():
            simple = isinstance(argument, ast.Name | ast.Constant)
            if isinstance(argument, ast.Constant) and argument is defaults.get(parameter):
                simple = True
            if simple and parameter not in changed:
                names[parameter] = argument
                continue
            wanted = ast.Name(self._free(parameter), ast.Store())
            heads.append(ast.copy_location(ast.Assign([wanted], argument), place))
            names[parameter] = ast.Name(wanted.id, ast.Load())
        for name in stored_in(body):
            names.setdefault(name, ast.Name(self._free(name), ast.Load()))
        body = _early_ways_out(body)
        last = body.pop()
        assert isinstance(last, ast.Return)
        renamed = [Renamed(names).visit(one) for one in body]
        result = None if last.value is None else Renamed(names).visit(last.value)
        tails: list[ast.stmt] = []
        if target is not None:
            result = result if result is not None else ast.Constant(None)
            pairs, before = self._kept(paired(target, result))
            tails = [ast.copy_location(one, place) for one in before]
            if len(pairs) > 1 and self._in_order(pairs):
                tails += [ast.copy_location(ast.Assign([one], value or result), place) for one, value in pairs]
            else:
                tails += [ast.copy_location(ast.Assign([target], result), place)]
        merged = [*block[:position], *heads, *renamed, *tails]
        take_apart(merged, position, block[position + 1 :])
        return merged[position:]

    def _kept(
        self, pairs: list[tuple[ast.expr, ast.expr | None]]
    ) -> tuple[list[tuple[ast.expr, ast.expr | None]], list[ast.stmt]]:
        """The same results, tuples first, where what a tuple holds is bound again under a name of its own."""
        bound = {part.id for target, _ in pairs for part in ast.walk(target) if isinstance(part, ast.Name)}
        before: list[ast.stmt] = []
        names: dict[str, ast.expr] = {}
        tuples = [(target, value) for target, value in pairs if isinstance(value, ast.Tuple)]
        for _, value in tuples:
            for part in ast.walk(value) if value is not None else ():
                if isinstance(part, ast.Name) and part.id in bound and part.id not in names:
                    own = self._free(f"{part.id}_before")
                    names[part.id] = ast.Name(own, ast.Load())
                    before.append(ast.Assign([ast.Name(own, ast.Store())], ast.Name(part.id, ast.Load())))
        renamed: list[tuple[ast.expr, ast.expr | None]] = [(t, Renamed(names).visit(v)) for t, v in tuples]
        return [*renamed, *(pair for pair in pairs if pair not in tuples)], before

    def _in_order(self, pairs: Sequence[tuple[ast.expr, ast.expr | None]]) -> bool:
        """Whether results can be bound one after the other: none is read after a target of its name is bound."""
        bound: set[str] = set()
        for target, value in pairs:
            if value is not None and any(isinstance(p, ast.Name) and p.id in bound for p in ast.walk(value)):
                return False
            bound |= {part.id for part in ast.walk(target) if isinstance(part, ast.Name)}
        return True


def _named_for(called: ast.FunctionDef) -> str:
    """What to call the result of a function that stands in an expression."""
    returned = called.body[-1].value if isinstance(called.body[-1], ast.Return) else None
    return returned.id if isinstance(returned, ast.Name) else "grads"


def _first_calls(node: ast.expr) -> Iterator[ast.Call]:
    """The calls in an expression that can be made before it: none before them does more than to compute."""
    parts: list[ast.AST] = [node]
    while parts:
        part = parts.pop()
        if isinstance(part, ast.Lambda | ast.IfExp | ast.BoolOp | ast.comprehension | ast.ListComp | ast.GeneratorExp):
            return
        if isinstance(part, ast.Call):
            if isinstance(part.func, ast.Name):
                yield part
                return
            if "random" in ast.unparse(part.func):
                return
        parts.extend(reversed(list(ast.iter_child_nodes(part))))


def _early_ways_out(body: list[ast.stmt]) -> list[ast.stmt]:
    """`if y is None: return scores, None`: whoever takes the result apart comes no further than that."""
    found: list[ast.stmt] = []
    for statement in body:
        match statement:
            case ast.If(body=[*_, ast.Return() as early], orelse=[]) if statement is not body[-1]:
                raised = ast.Raise(
                    ast.Call(
                        ast.Name("TypeError", ast.Load()),
                        [ast.Constant(f"nothing to go on with where {ast.unparse(statement.test)}")],
                        [],
                    )
                )
                statement = ast.copy_location(ast.If(statement.test, [ast.copy_location(raised, early)], []), statement)
        found.append(statement)
    return found
