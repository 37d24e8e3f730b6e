"""A function of another file that is called as it stands there, where nothing more is known than what it returns."""

from __future__ import annotations

import ast

from flatgrad.frontend.environment import Lowered, Result
from flatgrad.frontend.liveness import arguments, own_statements
from flatgrad.frontend.memory import Known
from flatgrad.frontend.sharing import Sharing
from flatgrad.frontend.source import Module, span_of
from flatgrad.ir.core import Block, Function, Relation, Stage, Step, Type, Value


def unknown(module: Module, node: ast.FunctionDef, count: int) -> Lowered:
    """`count` results of which each may depend on every argument; memory is shared as the text says."""
    params = tuple(Value(argument.arg, Type.open(argument.arg)) for argument in arguments(node.args))
    named = {param.name: param for param in params}
    sharing = Sharing(node, Known(module))
    span = span_of(module, node)
    stage = Stage(span, f"def {node.name}")
    roots = {param: frozenset((param,)) for param in params}
    returned = [s.value for s in own_statements(node.body) if isinstance(s, ast.Return) and s.value is not None]
    results: list[Result] = []
    body: list[Step] = []
    for position in range(count):
        out = Value("", Type.open(node.name))
        body.append(Relation((out,), "imported", params, {}, stage))
        results.append(Result(out, "", span, position))
        pieces = {
            piece
            for value in returned
            for piece in sharing.reached(value.elts[position] if isinstance(value, ast.Tuple) else value)
        }
        shared = frozenset(named[piece] for piece in pieces if isinstance(piece, str) and piece in named)
        roots[out] = shared or frozenset((out,))
    changed = {piece for s in own_statements(node.body) for piece in sharing.effects(s).changed}
    return Lowered(
        function=Function(node.name, Block(params, tuple(body), tuple(result.value for result in results))),
        node=node,
        stages=(stage,),
        names={},
        results=tuple(results),
        roots=roots,
        overwritten={param: stage for param in params if param.name in changed},
        rewritten={},
        questions={},
        notes=(),
        width=count + 1,
        imported=True,
    )
