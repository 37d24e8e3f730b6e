"""Rules of mutation for what a statement computes: signs, factors, names, terms and masks."""

from __future__ import annotations

import ast
import itertools
from collections.abc import Iterator

from flatgrad.diff.reasons.rewriting import (
    Mutation,
    called,
    divided,
    inner,
    is_module,
    nothing,
    place_of,
    plus,
    target_of,
    times,
)
from flatgrad.diff.reasons.spots import Spot

_CONSTANTS = (2.0, 0.5)
MOST_NAMES = 14


def signs(spot: Spot) -> Iterator[Mutation]:
    detail = "the sign is wrong"
    statement = spot.statement
    if isinstance(statement, ast.AugAssign) and isinstance(statement.op, ast.Add | ast.Sub):
        target, value = spot.text(statement.target), spot.text(statement.value)
        operator = "-=" if isinstance(statement.op, ast.Add) else "+="
        other = "+=" if operator == "-=" else "-="
        said = f"the sign is wrong: {operator} belongs here, not {other}"
        yield spot.instead(f"{target} {operator} {value}", "sign", said, 1.0)
    for node in spot.expressions():
        match node:
            case ast.BinOp(left=left, op=ast.Sub(), right=right):
                yield spot.swap([(node, ast.BinOp(right, ast.Sub(), left))], "sign", detail, 1.1)
                yield spot.swap([(node, plus(left, right))], "sign", f"{detail}: of the term {spot.text(right)}", 1.2)
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                said = f"{detail}: of the term {spot.text(right)}"
                yield spot.swap([(node, ast.BinOp(left, ast.Sub(), right))], "sign", said, 1.2)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                yield spot.swap([(node, operand)], "sign", detail, 1.1)
            case _:
                continue
    for term in spot.terms():
        said = detail if term is spot.value else f"{detail}: of the term {spot.text(term)}"
        yield spot.swap([(term, ast.UnaryOp(ast.USub(), term))], "sign", said, 1.2)


def _scalar(spot: Spot, node: ast.expr) -> bool:
    """A number: a constant, a size, something computed from such."""
    if isinstance(node, ast.Constant) or spot.scope.shape(ast.unparse(node)) == ():
        return not spot.gradient(ast.unparse(node))
    match node:
        case ast.BinOp(left=left, right=right):
            return _scalar(spot, left) and _scalar(spot, right)
        case ast.UnaryOp(operand=operand):
            return _scalar(spot, operand)
        case ast.Call(args=[argument]) if called(node) == "len":
            return True
        case ast.Call(args=[argument]) if called(node) == "sqrt":
            return _scalar(spot, argument)
        case ast.Subscript(value=ast.Attribute(attr="shape")) | ast.Attribute(attr="size"):
            return True
        case _:
            return False


def factors(spot: Spot, named: str) -> Iterator[Mutation]:
    """`named`: the factor that is missing in the whole, as text, if it is known."""
    for node in spot.expressions():
        match node:
            case ast.BinOp(left=left, op=ast.Mult(), right=right):
                for dropped, kept in ((left, right), (right, left)):
                    if _scalar(spot, dropped):
                        said = f"the factor {spot.text(dropped)} does not belong here"
                        yield spot.swap([(node, kept)], "factor", said, 1.1)
            case ast.BinOp(left=left, op=ast.Div(), right=right) if _scalar(spot, right):
                said = f"the division by {spot.text(right)} does not belong here"
                yield spot.swap([(node, left)], "factor", said, 1.0)
            case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
                for other in dict.fromkeys((value * 2, value / 2, 1)):
                    other = int(other) if isinstance(value, int) and other == int(other) else other
                    if other != value and not _exponent(spot, node):
                        said = f"the factor {other} belongs here, not {value}"
                        yield spot.swap([(node, ast.Constant(other))], "factor", said, 1.3)
            case _:
                continue
    statement = spot.statement
    if isinstance(statement, ast.AugAssign) and isinstance(statement.op, ast.Div | ast.Mult):
        if _scalar(spot, statement.value):
            word = "division by" if isinstance(statement.op, ast.Div) else "factor"
            said = f"the {word} {spot.text(statement.value)} does not belong here"
            made = Mutation({(spot.line, statement.col_offset): ()}, "factor", said, spot.line, nothing, 1.4)
            yield made
    yield from _rescaled(spot, named)


def _exponent(spot: Spot, constant: ast.Constant) -> bool:
    return any(
        isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow) and constant in (node.right, *inner(node.right))
        for node in spot.expressions()
    )


def _rescaled(spot: Spot, named: str) -> Iterator[Mutation]:
    value = spot.value
    if value is not None and named and spot.last and spot.target and not isinstance(spot.statement, ast.Assign):
        inverse = named.startswith("1 / ")
        bare = named.removeprefix("1 / ")
        text = f"{spot.target} {'/=' if inverse else '*='} {bare}"
        yield spot.after(text, "factor", f"the {'division by' if inverse else 'factor'} {bare} is missing", 1.3)
    elif value is not None and named and spot.last:
        inverse = named.startswith("1 / ")
        factor = spot.parsed(named.removeprefix("1 / "))
        made = divided(value, factor) if inverse else times(factor, value)
        word = "the division by" if inverse else "the factor"
        yield spot.swap([(value, made)], "factor", f"{word} {named.removeprefix('1 / ')} is missing", 1.2)
    scalars = spot.numbers()
    swaps = [(node, ast.unparse(node)) for node in spot.atoms() if ast.unparse(node) in scalars]
    for (node, text), other in itertools.product(swaps, scalars):
        if text != other:
            said = f"the factor is {other} here, not {text}"
            yield spot.swap([(node, spot.parsed(other))], "factor", said, 1.6)
    for term in spot.terms():
        where = "" if term is value else f" in {spot.text(term)}"
        # What a statement of its own computes is more likely wrong there.
        more = 0.5 if isinstance(term, ast.Name) and not spot.gradient(term.id) else 0.0
        for constant in _CONSTANTS:
            said = f"twice too large{where}: no factor 2 belongs here" if constant == 0.5 else ""
            said = said or f"a factor 2 is missing{where}"
            yield spot.swap([(term, times(_number(constant), term))], "factor", said, 1.5 + more)
        for name in scalars[:8]:
            factor = spot.parsed(name)
            yield spot.swap(
                [(term, divided(term, factor))], "factor", f"the division by {name} is missing{where}", 1.6 + more
            )
            yield spot.swap([(term, times(factor, term))], "factor", f"the factor {name} is missing{where}", 1.7 + more)


def scaled_first(spot: Spot) -> Iterator[Mutation]:
    """What an earlier statement has made is to be scaled before this one adds to it."""
    if not (spot.own and spot.target and isinstance(spot.statement, ast.AugAssign | ast.Assign)):
        return
    if isinstance(spot.statement, ast.Assign) and not spot.gradient_read():
        return
    written = spot.code.spelling.of(spot.statement)
    for name in spot.numbers()[:8]:
        for operator, word in (("/=", "division by"), ("*=", "factor")):
            text = f"{spot.target} {operator} {name}"
            said = f"the {word} {name} is missing before this statement"
            yield spot.before(text, f"{text}\n{written}", "factor", said, 1.4)


def _number(value: float) -> ast.Constant:
    return ast.Constant(int(value) if value == int(value) else value)


def upstream(spot: Spot) -> Iterator[Mutation]:
    """A gradient in scope that is not read is multiplied in."""
    reading = any(spot.gradient(one) for one in spot.read())
    for name in [*spot.gradients()[:10], *_elements(spot)]:
        said = f"the upstream gradient {name} is not multiplied in"
        for term in spot.terms():
            if any(ast.unparse(one) == name for one in [term, *inner(term)]):
                continue
            made = times(spot.parsed(name), term)
            yield spot.swap([(term, made)], "upstream", said, 1.9 if reading else 0.9)


def _elements(spot: Spot) -> Iterator[str]:
    """Elements of gradients: at the loops' indices, or those with which the forward pass writes such an array."""
    ranks = {name: len(spot.scope.shape(name) or ()) for name in spot.gradients()}
    loops = spot.code.loops.get(place_of(spot.statement), ())
    indices = [[loop.target.id for loop in loops if isinstance(loop.target, ast.Name)]]
    for node in ast.walk(spot.code.forward):
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store) and isinstance(node.slice, ast.Tuple):
            indices.append([ast.unparse(one) for one in node.slice.elts])
    for index in indices:
        if len(index) > 1 and all(one == ":" or one in spot.scope.values for one in index):
            yield from (f"{name}[{', '.join(index)}]" for name, rank in ranks.items() if rank == len(index))


def names(spot: Spot) -> Iterator[Mutation]:
    """One name for another: everywhere in the statement, then in one place."""
    atoms = spot.atoms()
    texts = list(dict.fromkeys(ast.unparse(node) for node in atoms))
    comparisons = [one for one in ast.walk(spot.statement) if isinstance(one, ast.Compare)]
    compared = [node for one in comparisons for node in (one.left, *one.comparators)]
    for text in texts:
        places = [node for node in atoms if ast.unparse(node) == text]
        if not spot.holds_values(text):
            continue
        for other, reason, cost in _others(spot, text):
            said = _name_detail(spot, text, other, reason)
            choices: list[list[ast.expr]] = [places] if len(places) > 1 else []
            for chosen in [*choices, *([one] for one in places)]:
                more = 0.0 if len(chosen) == len(places) else 0.1
                if spot.gradient(text) and not spot.gradient(other) and all(one in compared for one in chosen):
                    # No mask is made from a gradient.
                    more -= 0.7
                yield spot.swap([(node, spot.parsed(other)) for node in chosen], reason, said, cost + more)


def _name_detail(spot: Spot, text: str, other: str, reason: str) -> str:
    match reason:
        case "wrong-gradient":
            return f"the gradient {other} belongs here, not {text}"
        case "upstream":
            return f"the upstream gradient {other} belongs here, not the value {text}"
        case _:
            return f"the local derivative is taken at {text}: {other} belongs here"


def _others(spot: Spot, text: str) -> Iterator[tuple[str, str, float]]:
    """What may stand in the place of a name, with the reason and the cost."""
    shape = spot.scope.shape(text)
    found: list[tuple[float, str, str]] = []
    mine = spot.gradient(text)
    near = spot.code.neighbours(text)
    carrying = spot.code.carrying()
    for other in [*spot.gradients(), *spot.forwards()]:
        if other == text or spot.scope.shape(other) is None:
            continue
        # What the backward pass computes on the way, under a name that says nothing, is a gradient too.
        theirs = spot.gradient(other) or (mine and other in carrying)
        reason = "wrong-gradient" if mine and theirs else "upstream" if theirs else "wrong-point"
        cost = 1.6 - 0.4 * spot.alike(text, other) - (0.15 if other in near else 0.0)
        cost += 0.0 if spot.scope.shape(other) == shape else 0.3
        cost += 0.0 if mine == theirs else 0.5
        if len(spot.scope.shape(other) or ()) != len(shape or ()):
            cost += 0.6
        if mine and theirs and spot.scope.shape(other) == shape:
            cost -= 0.3
        found.append((cost, other, reason))
    for cost, other, reason in sorted(found)[:MOST_NAMES]:
        yield other, reason, cost


def terms_added(spot: Spot) -> Iterator[Mutation]:
    """Something in scope is added: a gradient, or a value that the backward pass computes and never reads."""
    if isinstance(spot.statement, ast.AugAssign) and isinstance(spot.statement.op, ast.Mult | ast.Div):
        return
    read = spot.read()
    shapes = {spot.shape, *(spot.scope.shape(one) for one in read if spot.gradient(one))}
    computed = spot.code.assigned()
    unused = [one for one in spot.forwards() if one in computed and not spot.code.reads(one)]
    for name in [*unused, *spot.gradients()]:
        if name in read:
            continue
        known = spot.scope.shape(name)
        if known is None or len(known) > len(spot.shape) + 1:
            continue
        cost = 1.3 if not spot.gradient(name) else 0.6 if known in shapes else 1.6
        cost += 0.1 if spot.code.reads(name) else 0.0
        # A sum of which one term is left: `dx = dx1`. Elsewhere a term is missing less often.
        cost += -0.15 if isinstance(spot.value, ast.Name) else 0.0 if spot.own else 0.2
        said = f"{name} is not added: its contribution is missing"
        for term in spot.terms():
            if isinstance(term, ast.Constant):
                continue
            yield spot.swap([(term, plus(term, spot.parsed(name)))], "missing-path", said, cost)
    if isinstance(spot.statement, ast.Assign | ast.AugAssign) and (spot.last or not spot.own):
        yield from _regularizers(spot)


def _regularizers(spot: Spot) -> Iterator[Mutation]:
    target = target_of(spot.statement)
    if target is None or isinstance(spot.value, ast.Constant):
        return
    text = spot.target if spot.own and spot.target else spot.text(target)
    numbers = [one for one in spot.numbers() if not spot.scope.integer(one)]
    variables = [one for one in spot.forwards() if spot.scope.shape(one) == spot.shape]
    for name, variable in itertools.product(numbers[:3], variables[:3]):
        for constant in ("", "2 * ", "0.5 * "):
            term = f"{constant}{name} * {variable}"
            said = f"the term of {name} and {variable} in the loss has no gradient here: {term}"
            yield spot.after(f"{text} += {term}", "missing-term", said, 1.7)


def terms_dropped(spot: Spot) -> Iterator[Mutation]:
    for node in spot.expressions():
        match node:
            case ast.BinOp(left=left, op=ast.Add() | ast.Sub(), right=right):
                for dropped, kept in ((right, left), (left, right)):
                    said = f"the term {spot.text(dropped)} does not belong here"
                    yield spot.swap([(node, kept)], "unexplained", said, 2.6, "a term is one too many")
            case _:
                continue


def forward_factors(spot: Spot) -> Iterator[Mutation]:
    """A value of the forward pass is multiplied in, or divided out: a local derivative that is not there at all."""
    read = spot.read()
    reads_gradient = any(spot.gradient(one) for one in read)
    nodes = [node for node in spot.atoms() if spot.gradient(ast.unparse(node))]
    nodes += [term for term in spot.terms() if term not in nodes and not isinstance(term, ast.Constant)]
    for name in [one for one in spot.forwards() if len(spot.scope.shape(one) or ()) <= len(spot.shape) + 1][:10]:
        if spot.scope.mask(name):
            continue
        reason = "wrong-gradient" if reads_gradient else "upstream"
        for node in nodes:
            kept = spot.text(node)
            said, why = f"the factor {name} is missing in {kept}", reason
            if spot.gradient(ast.unparse(node)):
                said = f"the factor {name} is missing: {kept} alone is still the gradient of another variable"
            elif reads_gradient and not any(spot.gradient(ast.unparse(one)) for one in [node, *inner(node)]):
                # The derivative of a term of the loss in which the variable itself stands.
                why = "missing-term" if spot.variable and name.strip("\"'])").endswith(spot.variable) else "wrong-point"
            yield spot.swap([(node, times(node, spot.parsed(name)))], why, said, 2.4, "a factor is missing")
            if node is not spot.value:
                continue
            said = f"the division by {name} is missing"
            yield spot.swap([(node, divided(node, spot.parsed(name)))], why, said, 2.9, "a factor is missing")


def constants(spot: Spot) -> Iterator[Mutation]:
    """A value in the place of a constant: `y - y * y` for `1 - y * y`."""
    for node in spot.expressions():
        if isinstance(node, ast.Constant) and isinstance(node.value, int | float) and not _exponent(spot, node):
            for name in spot.forwards()[:6]:
                said = f"{name} belongs here, not {node.value}"
                reason = "mask" if spot.scope.mask(name) else "wrong-point"
                yield spot.swap([(node, spot.parsed(name))], reason, said, 2.3)


def exponents(spot: Spot) -> Iterator[Mutation]:
    for node in spot.expressions():
        match node:
            case ast.BinOp(left=ast.BinOp(left=base, op=ast.Pow(), right=exponent), op=ast.Div(), right=divisor):
                if (number := _constant(exponent)) is not None and (by := _constant(divisor)) is not None:
                    made = ast.BinOp(base, ast.Pow(), ast.Constant(number / by))
                    meant = f"({ast.unparse(exponent)} / {ast.unparse(divisor)})"
                    said = f"** binds more tightly than /: the exponent has to be {meant}"
                    yield spot.swap(
                        [(node, made)], "wrong-point", said, 1.4, "the order of the operators is not what was meant"
                    )
            case ast.BinOp(left=base, op=ast.Pow(), right=exponent):
                number = _constant(exponent)
                if number is None:
                    continue
                for other in dict.fromkeys((number - 1, number + 1, number - 0.5, number + 0.5, -number)):
                    said = f"the exponent of {spot.text(base)} has to be {other:g}, not {number:g}"
                    power = ast.Constant(int(other) if other == int(other) else other)
                    made = ast.BinOp(base, ast.Pow(), power)
                    yield spot.swap([(node, made)], "wrong-point", said, 2.0, "an exponent is wrong")
            case _:
                continue


def _constant(node: ast.expr) -> float | None:
    try:
        value = ast.literal_eval(node)
    except (ValueError, TypeError):
        return None
    return float(value) if isinstance(value, int | float) else None


def unwrapped(spot: Spot) -> Iterator[Mutation]:
    """A function that is applied once too often."""
    for node in spot.expressions():
        match node:
            case ast.Call(func=ast.Attribute(value=module), args=[argument], keywords=[]) if is_module(module):
                if called(node) in ("sum", "mean", "zeros_like", "ones_like", "sqrt", "array", "copy"):
                    continue
                said = f"{spot.text(argument)} belongs here as it is, not {spot.text(node)}"
                yield spot.swap([(node, argument)], "wrong-point", said, 2.1)
            case _:
                continue
