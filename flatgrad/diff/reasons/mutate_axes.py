"""Rules of mutation for axes: transposes, sums over axes, shapes."""

from __future__ import annotations

import ast
import itertools
from collections.abc import Iterator

from flatgrad.diff.reasons.rewriting import Mutation, argument_of, called, is_module, method, transposed
from flatgrad.diff.reasons.spots import Spot

_REDUCTIONS = ("sum", "mean", "max", "min")


def transposes(spot: Spot) -> Iterator[Mutation]:
    for node in spot.expressions():
        yield from _products(spot, node)
        match node:
            case ast.Call(args=[one, other]) if called(node) == "outer":
                made: ast.expr = ast.Call(node.func, [other, one], [])
                yield spot.swap([(node, made)], "transposed", "the operands of the outer product are exchanged", 1.0)
            case ast.Call(args=[ast.Constant(value=str(spec)), *operands]) if called(node) == "einsum":
                yield from _einsum(spot, node, spec, operands)
            case ast.Call(func=ast.Attribute(value=value, attr="transpose"), args=[*axes]) if len(axes) > 1:
                if not is_module(value):
                    yield from _permuted(spot, node, value, len(axes))
            case ast.Call(func=ast.Attribute(value=value, attr="reshape"), args=[*sizes]):
                yield from _before_reshape(spot, node, value, sizes)
            case ast.Attribute(attr="T", value=value):
                yield spot.swap([(node, value)], "transposed", f"{spot.text(value)} must not be transposed here", 1.1)
            case _:
                continue
    for node in [*spot.terms(), *spot.atoms()]:
        if isinstance(node, ast.Constant) or len(spot.scope.shape(ast.unparse(node)) or (0, 0)) != 2:
            continue
        said = f"{spot.text(node)} has to be transposed"
        cost = 1.1 if isinstance(node, ast.Name | ast.Attribute) else 1.4
        yield spot.swap([(node, transposed(node))], "transposed", said, cost)


def _products(spot: Spot, node: ast.expr) -> Iterator[Mutation]:
    """Matrix products with their operands exchanged or transposed."""
    match node:
        case ast.BinOp(left=one, op=ast.MatMult(), right=other):
            form = "@"
        case ast.Call(func=ast.Attribute(value=value, attr="dot" | "matmul"), args=[first, *rest]):
            if is_module(value):
                if len(rest) != 1:
                    return
                one, other, form = first, rest[0], "function"
            else:
                one, other, form = value, first, "method"
        case _:
            return

    def product(left: ast.expr, right: ast.expr) -> ast.expr:
        if form == "@":
            return ast.BinOp(left, ast.MatMult(), right)
        if form == "function":
            assert isinstance(node, ast.Call)
            return ast.Call(node.func, [left, right], [])
        return method(left, "dot", right)

    text = spot.text(node)
    for exchanged, left, right in itertools.product((False, True), repeat=3):
        if not (exchanged or left or right):
            continue
        a, b = (other, one) if exchanged else (one, other)
        made = product(transposed(a) if left else a, transposed(b) if right else b)
        said = f"the product {text} has its operands transposed or in the wrong order"
        if not exchanged and left != right:
            operand = a if left else b
            already = isinstance(operand, ast.Attribute) and operand.attr == "T"
            bare = spot.text(operand).removesuffix(".T")
            said = f"{bare} must not be transposed here" if already else f"{bare} has to be transposed"
        yield spot.swap([(node, made)], "transposed", said, 1.0 + 0.1 * (exchanged + left + right))


def _einsum(spot: Spot, node: ast.Call, spec: str, operands: list[ast.expr]) -> Iterator[Mutation]:
    inputs, arrow, output = spec.replace(" ", "").partition("->")
    if not arrow:
        return

    def made(inputs: str, output: str) -> Mutation:
        call = ast.Call(node.func, [ast.Constant(f"{inputs}->{output}"), *operands], node.keywords)
        said = f"the indices of the einsum are in the wrong order: '{inputs}->{output}' belongs here"
        return spot.swap([(node, call)], "transposed", said, 1.2)

    if len(output) <= 4:
        for order in itertools.permutations(output):
            if "".join(order) != output:
                yield made(inputs, "".join(order))
    letters = sorted(set(spec) - {",", "-", ">"})
    parts = inputs.split(",")
    for place, part in enumerate(parts):
        for one, other in itertools.combinations(letters, 2):
            exchanged = part.translate(str.maketrans(one + other, other + one))
            if exchanged != part:
                changed = ",".join([*parts[:place], exchanged, *parts[place + 1 :]])
                yield made(changed, output)
                yield made(changed, output.translate(str.maketrans(one + other, other + one)))


def _permuted(spot: Spot, node: ast.Call, value: ast.expr, count: int) -> Iterator[Mutation]:
    for order in itertools.permutations(range(count)):
        made = method(value, "transpose", *(ast.Constant(axis) for axis in order))
        said = f"the axes are in the wrong order: .transpose{order} belongs here"
        yield spot.swap([(node, made)], "transposed", said, 1.2)


def _before_reshape(spot: Spot, node: ast.Call, value: ast.expr, sizes: list[ast.expr]) -> Iterator[Mutation]:
    """Axes that are moved before a reshape, or after it."""
    shape = spot.scope.shape(ast.unparse(value)) or ()
    if 2 < len(shape) <= 4:
        for order in itertools.permutations(range(len(shape))):
            made = ast.Call(
                ast.Attribute(method(value, "transpose", *map(ast.Constant, order)), "reshape", ast.Load()), sizes, []
            )
            said = f"the axes have to be moved first: {ast.unparse(value)}.transpose{order}"
            yield spot.swap([(node, made)], "transposed", said, 1.5)
    if 2 < len(sizes) <= 4:
        for order in itertools.permutations(range(len(sizes))):
            inverse = [order.index(axis) for axis in range(len(order))]
            back = method(value, "reshape", *(sizes[axis] for axis in order))
            made = method(back, "transpose", *map(ast.Constant, inverse))
            said = f"the axes have to be moved back: {ast.unparse(made)}"
            yield spot.swap([(node, made)], "transposed", said, 1.5)


def _axes_for(spot: Spot, node: ast.expr | None) -> list[int | tuple[int, ...]]:
    known = spot.scope.shape(ast.unparse(node)) if node is not None else None
    rank = len(known) if known is not None else max(2, len(spot.shape) + 1)
    rank = min(rank, 4)
    single: list[int | tuple[int, ...]] = list(range(rank))
    several = [axes for count in range(2, rank) for axes in itertools.combinations(range(rank), count)]
    return [*single, *several]


def sums(spot: Spot) -> Iterator[Mutation]:
    for node in spot.expressions():
        if isinstance(node, ast.Call) and called(node) in _REDUCTIONS:
            yield from _other_axis(spot, node)
            yield from _other_reduction(spot, node)
    numpy = ast.Name(spot.code.numpy, ast.Load())
    for node in [*spot.terms(), *spot.atoms()]:
        if isinstance(node, ast.Constant) or _reduced(node):
            continue
        bare = node.value if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant) else node
        known = spot.scope.shape(ast.unparse(bare))
        if known == ():
            continue
        for axis in _axes_for(spot, bare):
            said = f"{spot.text(node)} is not summed over axis {axis}"
            for keep in (False, True):
                words = [ast.keyword("axis", spot.parsed(repr(axis)))]
                words += [ast.keyword("keepdims", ast.Constant(True))] if keep else []
                made = ast.Call(ast.Attribute(numpy, "sum", ast.Load()), [bare], words)
                yield spot.swap([(node, made)], "not-summed", said, 1.3 if keep else 1.2)
        made = ast.Call(ast.Attribute(numpy, "sum", ast.Load()), [bare], [])
        yield spot.swap([(node, made)], "not-summed", f"{spot.text(node)} is not summed", 1.4)


def _reduced(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and called(node) in _REDUCTIONS


def _other_axis(spot: Spot, node: ast.Call) -> Iterator[Mutation]:
    value = argument_of(node)
    on_value = isinstance(node.func, ast.Attribute) and not is_module(node.func.value)
    given = [one for one in node.keywords if one.arg == "axis"]
    positional = node.args[0 if on_value else 1 :]
    others = [one for one in node.keywords if one.arg not in ("axis", "keepdims")]
    keeps = any(one.arg == "keepdims" for one in node.keywords)
    before = given[0].value if given else positional[0] if positional else None
    arguments = node.args[: 0 if on_value else 1]
    for axis in [*_axes_for(spot, value), None]:
        for keep in (keeps, not keeps):
            if axis is None and before is None and keep == keeps:
                continue
            words = [] if axis is None else [ast.keyword("axis", spot.parsed(repr(axis)))]
            words += [ast.keyword("keepdims", ast.Constant(True))] if keep else []
            made = ast.Call(node.func, arguments, [*words, *others])
            was = "over all axes" if before is None else f"over axis {ast.unparse(before)}"
            said = (
                f"summed {was}: axis={axis} belongs here" if axis is not None else f"summed {was}, not over all of them"
            )
            yield spot.swap([(node, made)], "wrong-axis", said, 1.0 if keep == keeps else 1.2)


def _other_reduction(spot: Spot, node: ast.Call) -> Iterator[Mutation]:
    if called(node) not in ("sum", "mean"):
        return
    mean = called(node) == "mean"
    name = "sum" if mean else "mean"
    assert isinstance(node.func, ast.Attribute | ast.Name)
    func = ast.Attribute(node.func.value, name, ast.Load()) if isinstance(node.func, ast.Attribute) else None
    if func is None:
        return
    made = ast.Call(func, node.args, node.keywords)
    reason = "mean-for-sum" if mean else "factor"
    said = "a mean where a sum belongs" if mean else "a sum where a mean belongs"
    yield spot.swap([(node, made)], reason, said, 0.9 if mean else 1.1)


def shapes(spot: Spot) -> Iterator[Mutation]:
    """A reshape, or an array of truth values made one of numbers."""
    value = spot.value
    if value is None:
        return
    for name in [one for one in spot.forwards() if spot.scope.shape(one) == spot.shape][:3]:
        made = method(value, "reshape", spot.parsed(f"{name}.shape"))
        yield spot.swap([(value, made)], "shape", f"the shape is wrong: it has to be that of {name}", 1.2)
    for node in spot.atoms():
        if spot.scope.mask(ast.unparse(node)):
            made = method(node, "astype", ast.Name("float", ast.Load()))
            said = f"{spot.text(node)} is an array of truth values and holds no gradient: .astype(float) makes numbers"
            yield spot.swap([(node, made)], "shape", said, 1.3, "an array of truth values cannot hold a gradient")


def flips(spot: Spot) -> Iterator[Mutation]:
    numpy = ast.Name(spot.code.numpy, ast.Load())
    for node in spot.atoms():
        known = spot.scope.shape(ast.unparse(node))
        for axis in range(len(known or ())):
            made = ast.Call(ast.Attribute(numpy, "flip", ast.Load()), [node], [ast.keyword("axis", ast.Constant(axis))])
            said = f"{spot.text(node)} has to be reversed along axis {axis}"
            yield spot.swap([(node, made)], "geometry", said, 2.8, "an array has to be reversed along an axis")
