"""Rules of mutation for masks: which entries a gradient has."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from flatgrad.diff.reasons.rewriting import Mutation, called, times
from flatgrad.diff.reasons.spots import Spot


def masks(spot: Spot) -> Iterator[Mutation]:
    """A mask is multiplied in, turned round, or put in the place of the value that it is made from."""
    yield from _turned(spot)
    read = spot.read()
    values = [term for term in spot.terms() if not isinstance(term, ast.Constant)]
    atoms = [node for node in spot.atoms() if spot.gradient(ast.unparse(node)) and node not in values]
    for text, cost in _mask_texts(spot):
        if text in read:
            continue
        said = f"the mask {text} of the forward pass is not multiplied in"
        for node in [*values, *atoms]:
            yield spot.swap([(node, times(node, spot.parsed(text)))], "mask", said, cost)
        if spot.own and spot.last and spot.target:
            yield spot.after(f"{spot.target} *= {text}", "mask", said, cost + 0.1)
    for node in spot.expressions():
        match node:
            case ast.BinOp(left=left, op=ast.Mult(), right=right):
                for factor in (left, right):
                    base = _rectified(factor)
                    if base is None or spot.gradient(ast.unparse(base)) or ast.unparse(base) not in spot.scope.values:
                        continue
                    made = ast.Compare(base, [ast.Gt()], [ast.Constant(0)])
                    said = f"the mask ({ast.unparse(made)}) belongs here, not the value {spot.text(factor)}"
                    yield spot.swap([(factor, made)], "mask", said, 2.0)
            case _:
                continue


def _rectified(node: ast.expr) -> ast.expr | None:
    """What a rectifier is applied to; of anything else, itself."""
    if isinstance(node, ast.Call) and called(node) == "maximum" and len(node.args) == 2:
        return next((one for one in node.args if not isinstance(one, ast.Constant)), None)
    return node if isinstance(node, ast.Name | ast.Attribute | ast.Subscript) else None


def _mask_texts(spot: Spot) -> Iterator[tuple[str, float]]:
    gradient = len(spot.shape)

    def broadcast(text: str, shape: tuple[int, ...]) -> str:
        missing = gradient - len(shape)
        if missing <= 0 or shape == spot.shape[missing:]:
            return text
        inside = text if text.isidentifier() else f"({text})"
        return f"{inside}[{', '.join([':'] * len(shape) + ['None'] * missing)}]"

    masks = [one for one in spot.scope.values if spot.scope.mask(one) and not spot.gradient(one)]
    for one in masks:
        yield one, 1.2
        yield broadcast(one, spot.scope.shape(one) or ()), 1.25
    for text in _conditions(spot):
        yield f"({text})", 1.3
    selected = spot.code.selected()
    values = [one for one in spot.forwards() if spot.scope.shape(one) == spot.shape and one not in masks]
    values = [one for one in values if spot.shape or one in selected]
    for one in sorted(values, key=lambda one: one not in selected)[:6]:
        yield f"({one} > 0)", 1.4


def _conditions(spot: Spot) -> Iterator[str]:
    """The comparisons of arrays that the code makes."""
    seen: set[str] = set()
    for node in [*ast.walk(spot.code.forward), *ast.walk(spot.code.body)]:
        if isinstance(node, ast.Compare) and (text := ast.unparse(node)) not in seen:
            seen.add(text)
            parts = [ast.unparse(one) for one in (node.left, *node.comparators) if not isinstance(one, ast.Constant)]
            if all(one in spot.scope.values for one in parts) and any(spot.scope.shape(one) for one in parts):
                yield text


_TURNED: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Gt: (ast.LtE, ast.Lt),
    ast.GtE: (ast.Lt, ast.LtE),
    ast.Lt: (ast.GtE, ast.Gt),
    ast.LtE: (ast.Gt, ast.GtE),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
}


def _turned(spot: Spot) -> Iterator[Mutation]:
    for node in ast.walk(spot.statement):
        if isinstance(node, ast.Compare) and len(node.ops) == 1:
            for other in _TURNED.get(type(node.ops[0]), ()):
                made = ast.Compare(node.left, [other()], node.comparators)
                said = f"the mask is the wrong way round: {ast.unparse(made)} belongs here"
                yield spot.swap([(node, made)], "mask", said, 1.0)
