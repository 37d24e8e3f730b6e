"""Rules of mutation for statements: what they add to, at which indices, under which condition, in which order."""

from __future__ import annotations

import ast
import copy
import itertools
from collections.abc import Iterator, Sequence

from flatgrad.diff.reasons.rewriting import Mutation, Swap, called, inner, nothing, place_of, plus, target_of, times
from flatgrad.diff.reasons.spots import Spot
from flatgrad.diff.reasons.surroundings import Code

MOST_INDICES = 8


def accumulations(spot: Spot) -> Iterator[Mutation]:
    """`=` that should be `+=`, a scatter that has to count every index, and the reverse."""
    statement = spot.statement
    target = target_of(statement)
    if target is None or spot.value is None or isinstance(statement, ast.AnnAssign):
        return
    left, value = spot.text(target), spot.text(spot.value)
    operator = "-=" if isinstance(statement, ast.AugAssign) and isinstance(statement.op, ast.Sub) else "+="
    if isinstance(statement, ast.Assign) and spot.own:
        said = f"= overwrites what is in {left} already: += belongs here"
        yield spot.instead(f"{left} += {value}", "overwritten", said, 0.5)
    if isinstance(target, ast.Subscript) and spot.own and _scattering(spot, target):
        base, index = spot.text(target.value), _index_text(spot, target.slice)
        amount = value if operator == "+=" else f"-({value})"
        said = f"where an index occurs twice in {index}, only the last one counts: every one has to be added"
        text = f"{spot.code.numpy}.add.at({base}, {index}, {amount})"
        yield spot.instead(text, "scatter", said, 0.7)
    if isinstance(statement, ast.AugAssign) and isinstance(statement.op, ast.Add):
        said = f"it is added to what is in {left} already: = belongs here"
        yield spot.instead(f"{left} = {value}", "unexplained", said, 2.0, "+= where = belongs")


def _index_text(spot: Spot, index: ast.expr) -> str:
    """An index as an argument: `(slice(None), y)` for `[:, y]`."""
    if not isinstance(index, ast.Tuple):
        return spot.text(index)
    return f"({', '.join('slice(None)' if isinstance(one, ast.Slice) else spot.text(one) for one in index.elts)})"


def _scattering(spot: Spot, target: ast.Subscript) -> bool:
    """An index is an array, or a list."""
    return any(
        isinstance(one, ast.expr) and (spot.scope.index(ast.unparse(one)) or isinstance(one, ast.Call | ast.List))
        for one in ast.walk(target.slice)
    )


def geometry(spot: Spot) -> Iterator[Mutation]:
    """Where windows begin and end."""
    sizes = [one for one in spot.scope.scalars() if spot.scope.integer(one) and not spot.gradient(one)]
    loops = _loop_names(spot)
    fixed = [one for one in sizes if one not in loops]
    nodes = [node for node in ast.walk(spot.statement) if isinstance(node, ast.Subscript)]
    for node in nodes:
        parts: list[ast.expr] = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        yield from _uncropped(spot, node, parts, fixed)
        yield from _strided(spot, parts, loops, fixed)
    value = spot.value
    if spot.own and isinstance(value, ast.Name | ast.Attribute) and len(spot.scope.shape(ast.unparse(value)) or ()) > 1:
        yield from _cropped(spot, value, fixed)


def _loop_names(spot: Spot) -> list[str]:
    loops = spot.code.loops.get(place_of(spot.statement), ())
    return [node.id for loop in loops for node in ast.walk(loop.target) if isinstance(node, ast.Name)]


def _uncropped(spot: Spot, node: ast.Subscript, parts: Sequence[ast.expr], sizes: Sequence[str]) -> Iterator[Mutation]:
    """`[pad:-pad]` takes nothing where pad is 0; `[:H]` begins in the corner."""
    base = node.value

    def size(axis: int) -> ast.expr:
        return ast.Subscript(ast.Attribute(base, "shape", ast.Load()), ast.Constant(axis), ast.Load())

    negative: list[Swap] = []
    for axis, part in enumerate(parts):
        match part:
            case ast.Slice(lower=lower, upper=ast.UnaryOp(op=ast.USub(), operand=margin), step=step):
                negative.append((part, ast.Slice(lower, ast.BinOp(size(axis), ast.Sub(), margin), step)))
            case _:
                continue
    if negative:
        margins = sorted(
            {ast.unparse(part.upper) for part, _ in negative if isinstance(part, ast.Slice) and part.upper}
        )
        said = f"with {margins[0].lstrip('-')} = 0 the slice :{margins[0]} takes nothing: it has to end at a size"
        yield spot.swap(negative, "geometry", said, 0.8)
    corner = [
        part
        for part in parts
        if isinstance(part, ast.Slice) and part.upper is not None and _zero(part.lower) and part.step is None
    ]
    for pad in sizes if corner else ():
        swaps: list[Swap] = [
            (part, ast.Slice(spot.parsed(pad), plus(spot.parsed(pad), part.upper), None))
            for part in corner
            if part.upper is not None
        ]
        said = f"the padding of {pad} lies before it: the slice has to begin at {pad}"
        yield spot.swap(swaps, "geometry", said, 1.2)


def _zero(node: ast.expr | None) -> bool:
    return node is None or (isinstance(node, ast.Constant) and node.value == 0)


def _cropped(spot: Spot, value: ast.expr, sizes: Sequence[str]) -> Iterator[Mutation]:
    """The padding that the forward pass put round an array is cut off."""
    rank = len(spot.shape)
    for margin, first in itertools.product(sizes, range(max(0, rank - 2), rank)):
        cut = [":" if axis < first else f"{margin}:{spot.text(value)}.shape[{axis}] - {margin}" for axis in range(rank)]
        made = spot.parsed(f"{spot.text(value)}[{', '.join(cut)}]")
        said = f"the padding of {margin} is not cut off"
        yield spot.swap([(value, made)], "geometry", said, 1.0)


def _strided(spot: Spot, parts: Sequence[ast.expr], loops: Sequence[str], sizes: Sequence[str]) -> Iterator[Mutation]:
    """`i:i + K` where windows are `stride` apart."""
    for stride in sizes:
        swaps: list[Swap] = []
        for part in parts:
            if isinstance(part, ast.Slice):
                found = [one for one in inner(part) if isinstance(one, ast.Name) and one.id in loops]
            elif isinstance(part, ast.BinOp):
                found = [one for one in [part.left] if isinstance(one, ast.Name) and one.id in loops]
            else:
                found = []
            swaps += [(one, times(copy.deepcopy(one), spot.parsed(stride))) for one in found]
        if swaps:
            said = f"the windows are {stride} apart, not 1: the index has to be multiplied by {stride}"
            yield spot.swap(swaps, "geometry", said, 1.0)


def indices(spot: Spot) -> Iterator[Mutation]:
    """An index for another one, two of them exchanged, one that is off by one."""
    loops = list(dict.fromkeys(_loop_names(spot)))
    scalars = [one for one in spot.scope.scalars() if spot.scope.integer(one) and not spot.gradient(one)]
    numbers = [one for one in scalars if one.isidentifier()]
    found = [
        node
        for one in ast.walk(spot.statement)
        if isinstance(one, ast.Subscript)
        for node in ast.walk(one.slice)
        if isinstance(node, ast.Name) and node.id in numbers
    ]
    used = list(dict.fromkeys(node.id for node in found))
    for one, other in itertools.combinations(used, 2):
        swaps: list[Swap] = [
            (node, ast.Name(other if node.id == one else one, ast.Load())) for node in found if node.id in (one, other)
        ]
        yield spot.swap(swaps, "transposed", f"the indices {one} and {other} are exchanged", 1.3)
        for node in ast.walk(spot.statement):
            if isinstance(node, ast.Subscript):
                inside = [swap for swap in swaps if any(part is swap[0] for part in ast.walk(node.slice))]
                if inside and len(inside) < len(swaps):
                    said = f"the indices {one} and {other} of {spot.text(node)} are exchanged"
                    yield spot.swap(inside, "transposed", said, 1.4)
    yield from _other_index(spot, loops, numbers)
    yield from _moved_index(spot, loops)
    yield from _renamed_indices(spot, used, numbers)


def _written(spot: Spot, node: ast.expr) -> bool:
    target = target_of(spot.statement)
    return target is not None and any(node is one for one in ast.walk(target))


def _index_reason(spot: Spot, subscript: ast.Subscript) -> str:
    if _written(spot, subscript):
        return "overwritten"
    return "wrong-gradient" if spot.gradient(ast.unparse(subscript.value)) else "wrong-point"


def _other_index(spot: Spot, loops: Sequence[str], numbers: Sequence[str]) -> Iterator[Mutation]:
    """A whole index is another one: `dx[:, -1] = …` in a loop over t."""
    for subscript in [node for node in ast.walk(spot.statement) if isinstance(node, ast.Subscript)]:
        parts = subscript.slice.elts if isinstance(subscript.slice, ast.Tuple) else [subscript.slice]
        for part in parts:
            if isinstance(part, ast.Slice) or (isinstance(part, ast.Constant) and not isinstance(part.value, int)):
                continue
            text = spot.text(part)
            reason = _index_reason(spot, subscript)
            for name in loops:
                if name != text:
                    said = f"{spot.text(subscript)} is taken at {text}: the index {name} belongs here"
                    if reason == "overwritten":
                        said = (
                            f"all rounds of the loop over {name} write to {spot.text(subscript)}: only the last counts"
                        )
                    yield spot.swap([(part, ast.Name(name, ast.Load()))], reason, said, 1.4)


def _moved_index(spot: Spot, loops: Sequence[str]) -> Iterator[Mutation]:
    """`hs[t]` for `hs[t - 1]`."""
    for subscript in [node for node in ast.walk(spot.statement) if isinstance(node, ast.Subscript)]:
        parts = subscript.slice.elts if isinstance(subscript.slice, ast.Tuple) else [subscript.slice]
        for part in parts:
            names = [one for one in ast.walk(part) if isinstance(one, ast.Name) and one.id in loops]
            if isinstance(part, ast.Slice) or not names:
                continue
            for made in _neighbours(part):
                said = f"{spot.text(subscript)} is of another round: the index {ast.unparse(made)} belongs here"
                yield spot.swap([(part, made)], _index_reason(spot, subscript), said, 1.5)


def _neighbours(part: ast.expr) -> Iterator[ast.expr]:
    one = ast.Constant(1)
    match part:
        case ast.BinOp(left=left, op=ast.Add() | ast.Sub(), right=ast.Constant(value=1)):
            yield left
            yield ast.BinOp(left, ast.Sub() if isinstance(part.op, ast.Add) else ast.Add(), one)
        case _:
            yield ast.BinOp(part, ast.Sub(), one)
            yield ast.BinOp(part, ast.Add(), one)


def _renamed_indices(spot: Spot, used: Sequence[str], numbers: Sequence[str]) -> Iterator[Mutation]:
    """Indices under other names: `i` for `row`, `j` for `column`, one of them or both, in one subscript."""
    for subscript in [node for node in ast.walk(spot.statement) if isinstance(node, ast.Subscript)]:
        found = [node for node in ast.walk(subscript.slice) if isinstance(node, ast.Name) and node.id in used]
        mine = list(dict.fromkeys(node.id for node in found))
        others = [one for one in numbers if one not in mine and not one.isupper()][:MOST_INDICES]
        reason = "geometry" if _written(spot, subscript) else _index_reason(spot, subscript)
        for name, other in itertools.product(mine, others):
            swaps: list[Swap] = [(node, ast.Name(other, ast.Load())) for node in found if node.id == name]
            said = f"the index {other} belongs here, not {name}"
            yield spot.swap(swaps, reason, said, 1.8, "an index is wrong")
        for pair, news in itertools.product(itertools.combinations(mine, 2), itertools.permutations(others, 2)):
            names = dict(zip(pair, news, strict=True))
            swaps = [(node, ast.Name(names[node.id], ast.Load())) for node in found if node.id in names]
            said = f"the indices {news[0]} and {news[1]} belong here, not {pair[0]} and {pair[1]}"
            yield spot.swap(swaps, "geometry", said, 2.2, "an index is wrong")


def returned(spot: Spot) -> Iterator[Mutation]:
    """What is returned is one of several contributions."""
    if not isinstance(spot.statement, ast.Return) or not isinstance(spot.statement.value, ast.Name):
        return
    name = spot.statement.value.id
    if name != spot.target:
        return
    for other in spot.scope.arrays():
        if other != name and other in spot.code.assigned() and spot.scope.shape(other) == spot.shape:
            said = f"{other} is not added: its contribution is missing"
            cost = 1.9 if spot.code.reads(other) else 0.9
            text = f"{name} = {name} + {other}"
            yield spot.before(text, f"return {name} + {other}", "missing-path", said, cost)


def sizes(spot: Spot) -> Iterator[Mutation]:
    """A size that is off by one or two."""
    value = spot.value
    if spot.own or value is None or not isinstance(spot.statement, ast.Assign):
        return
    target = target_of(spot.statement)
    if target is None or not spot.scope.values:
        return
    if isinstance(value, ast.Constant | ast.Name | ast.Attribute | ast.BinOp | ast.Subscript):
        for operator, amount in itertools.product((ast.Sub(), ast.Add()), (1, 2)):
            made = ast.BinOp(value, operator, ast.Constant(amount))
            said = f"{spot.text(target)} is off by {amount}: {ast.unparse(made)} belongs here"
            yield spot.swap([(value, made)], "geometry", said, 1.6)


def picked(spot: Spot) -> Iterator[Mutation]:
    """The entries that the forward pass picks out have a gradient of their own: `dscores[np.arange(N), y] -= 1`."""
    if not (spot.own and spot.target):
        return
    indices: dict[str, int] = {}
    for node in ast.walk(spot.code.forward):
        match node:
            case ast.Subscript(slice=index, ctx=ast.Load()) if not isinstance(index, ast.Constant | ast.Slice):
                names = [one.id for one in ast.walk(index) if isinstance(one, ast.Name)]
                labels = [one for one in ast.walk(index) if isinstance(one, ast.expr) and _label(spot, one)]
                if names and labels:
                    indices.setdefault(ast.unparse(index), node.lineno)
            case _:
                continue
    for text, line in itertools.islice(indices.items(), MOST_INDICES):
        entries = text.removeprefix("(").removesuffix(")") if text.startswith("(") else text
        said = f"the entries [{entries}] that the forward pass picks in line {line} have a gradient of their own"
        for operator in ("-=", "+="):
            yield spot.after(f"{spot.target}[{entries}] {operator} 1", "missing-term", said, 1.7)


def _label(spot: Spot, node: ast.expr) -> bool:
    text = ast.unparse(node)
    return spot.scope.index(text) or (isinstance(node, ast.Subscript) and spot.scope.shape(text) == ())


def removals(spot: Spot) -> Iterator[Mutation]:
    """A statement that is one too many."""
    statement = spot.statement
    if not spot.own or not isinstance(statement, ast.AugAssign):
        return
    text = ast.dump(statement)
    twice = any(one is not statement and ast.dump(one) == text for one in spot.code.backward)
    written = spot.code.spelling.of(statement)
    reason = "factor" if twice else "unexplained"
    said = f"{written} stands here twice" if twice else f"{written} does not belong here"
    cost = 0.9 if twice else 2.2
    yield Mutation({place_of(statement): ()}, reason, said, spot.line, nothing, cost, "a statement is one too many")


def conditions(spots: Sequence[Spot]) -> Iterator[Mutation]:
    """Statements that the forward pass makes under a condition."""
    own = [spot for spot in spots if spot.own and isinstance(spot.statement, ast.AugAssign)]
    if not own:
        return
    seen: set[str] = set()
    for node in [*ast.walk(own[0].code.forward), *ast.walk(own[0].code.body)]:
        if not isinstance(node, ast.If) or (text := ast.unparse(node.test)) in seen:
            continue
        seen.add(text)
        for count in range(len(own), 0, -1):
            for chosen in itertools.combinations(own, count):
                changes = {
                    place_of(spot.statement): [
                        ast.copy_location(ast.If(node.test, [spot.statement], []), spot.statement)
                    ]
                    for spot in chosen
                }
                first = chosen[0]

                def repair(first: Spot = first, text: str = text) -> str:
                    return f"if {text}:\n    {first.code.spelling.of(first.statement)}"

                said = f"the condition {text} of the forward pass (line {node.lineno}) is not asked here"
                yield Mutation(changes, "mask", said, first.line, repair, 1.6)


def reversals(spots: Sequence[Spot]) -> Iterator[Mutation]:
    """A loop over time that has to run backwards, among those that the statements stand in."""
    if spots:
        loops = spots[0].code.loops
        around = {place_of(loop) for spot in spots for loop in loops.get(place_of(spot.statement), ())}
        yield from (mutation for mutation in turned(spots[0].code) if around & set(mutation.changes))


def turned(code: Code) -> Iterator[Mutation]:
    """Each loop of the backward pass that runs forwards, run backwards."""
    for loop in code.backward:
        if not isinstance(loop, ast.For) or (isinstance(loop.iter, ast.Call) and called(loop.iter) == "reversed"):
            continue
        made = copy.copy(loop)
        made.iter = ast.Call(ast.Name("reversed", ast.Load()), [loop.iter], [])

        def repair(loop: ast.For = loop) -> str:
            return f"for {code.spelling.of(loop.target)} in reversed({code.spelling.of(loop.iter)}):"

        said = "the loop runs forwards: what a later round hands back is not there yet when it is needed"
        yield Mutation(
            {place_of(loop): (made,)}, "missing-path", said, loop.lineno, repair, 1.8, "the order of the loop"
        )


def updates(spots: Sequence[Spot]) -> Iterator[Mutation]:
    """A weight that is updated before it has passed its gradient on."""
    for spot in spots:
        for earlier in spot.code.backward:
            if earlier.lineno >= spot.line or hasattr(earlier, "body"):
                continue
            target = target_of(earlier)
            if target is None:
                continue
            text = ast.unparse(target)
            if spot.gradient(text) or text not in spot.read():
                continue
            said = f"{text} has been updated in line {earlier.lineno} already: the gradient passes through the old one"
            yield Mutation(
                {place_of(earlier): ()}, "wrong-point", said, earlier.lineno, nothing, 1.1, f"{text} is not what it was"
            )
