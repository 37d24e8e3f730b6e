"""What is presumed where a product's backward rule needs a number of dims that nothing tells.

`np.dot(x, w)` has another gradient for every number of dims of x and w. Where neither the text nor usage says how many
they have, a parameter that the product is computed of is taken for a matrix; for a vector where it is called one,
stands on both sides of `v.T @ A @ v`, or is added to what is a matrix already; for a number where it scales what is a
matrix already; and the operands of a stack of matrices, as `k.swapaxes(-1, -2)` is one, for stacks alike. Like any
claim it is held to by a guard at the head of forward, so that a presumption that fails is an error and never a wrong
gradient; a note says what was presumed.
"""

from __future__ import annotations

import ast
import re
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from flatgrad.analysis import differentiable_operands, useful, varied
from flatgrad.facts.infer import Assumption, given_values
from flatgrad.facts.optional import is_none_by_default
from flatgrad.facts.usage import PRODUCTS, summed_with_vectors, turns_matrices
from flatgrad.frontend.environment import Lowered
from flatgrad.frontend.methods import MARK, bare
from flatgrad.gates.entry import TABLE
from flatgrad.ir.core import Branch, DType, Kind, Loop, Operand, Relation, Slice, Span, Value, every_step
from flatgrad.ir.dims import SCALAR, Dim, Shape

# Called a vector: centerWordVec, v_vec, vector.
_VECTOR = re.compile(r"(?i:(\w*_)?vec(tor)?)|\w*(Vec|Vector)")
# One number a column: mu in `(x - mu) @ W`.
_BY_COLUMN = re.compile(r"b(ias)?(_?\w)?|c\d?|mu(_?\w)?|means?|avg|beta|gamma|shift|std|center|offset")
_ADDING, _SCALING = frozenset({"add", "subtract"}), frozenset({"multiply", "divide", "power"})
# The name of the dims that stand before the matrices of stacks which are presumed alike.
_STACK = "stack"


@dataclass(frozen=True, slots=True)
class Presumption:
    """`name`, a parameter or an entry of one (`params['w']`), is presumed to have a shape for the product at `span`, or
    for the sum there, in which it `agrees` with another."""

    name: str
    assumption: Assumption
    span: Span | None
    agrees: bool = False


@dataclass(frozen=True, slots=True)
class _Source:
    """What something is computed of: by which gate, beside what, by an index with how many integers beside slices."""

    value: Value
    gate: str = ""
    beside: tuple[Value, ...] = ()
    integers: int = 0


def presumptions(typed: Lowered, assumptions: Mapping[str, Assumption]) -> Iterator[Presumption]:
    """What may be presumed next, the likeliest first: of the parameters nearest to the first product that lacks a rank.

    Args:
        typed: a function with types.
        assumptions: what is assumed of its parameters already.
    """
    given = {value: text for value, text in given_values(typed).items() if not _asks_for_rank(typed.node, text)}
    sources = _sources(typed)
    numbers, summed = _written_as_numbers(typed, sources), summed_with_vectors(typed)
    for product in _open_products(typed):
        operands = [arg for arg in product.args if isinstance(arg, Value)]
        reached = {operand: list(_reached(operand, sources)) for operand in operands}
        stacked = product.gate == "matmul" and any(_is_stack(arg, reached[arg], sources) for arg in operands)
        quadratic = _is_quadratic(product, sources)
        if stacked:
            operands.sort(key=lambda arg: not _is_stack(arg, reached[arg], sources))
        for operand in operands:
            for source in reached[operand]:
                text = given.get(source.value)
                known = assumptions.get(text or "", Assumption())
                if text is None or not _is_free(source, known, stacked and operand.type.shape):
                    continue
                maybe_none = is_none_by_default(typed, text)
                beside = product.args[0] if operand is product.args[1] else None
                vectors = quadratic or product.out in numbers or (beside is not None and product.out in summed)
                # What an object or a dict holds are the weights of a layer: matrices, however they are called.
                plain = MARK not in text and "[" not in text
                vectors = vectors or (plain and _is_lower_beside_capital(source, beside, sources))
                if beside is not None:
                    # `A @ x[:, k]` reads a column of a matrix, `x[:, t] @ U` a matrix of an array of three dims.
                    source = replace(source, integers=0)
                shapes = [_stack(text)] if stacked else _shapes(text, source, vectors, sources)
                for shape in shapes:
                    claim = Assumption(shape, known.dtype, known.kind, maybe_none)
                    yield Presumption(text, claim, product.span)


def agreements(typed: Lowered, assumptions: Mapping[str, Assumption]) -> Iterator[Presumption]:
    """What parameters of which only the ranks are presumed must be for a sum to repeat neither side: x and h have
    as many rows in `x @ Wx + h @ Wh`, Wx and Wh as many columns."""
    owners = {
        symbol: text
        for text, one in assumptions.items()
        if one.shape is not None and one.shape.dims is not None and not one.unless_none
        for axis, dim in enumerate(one.shape.front)
        if (symbol := dim.as_symbol) == f"{text}.{axis}"
    }
    order = list(owners)
    for step in every_step(typed.function.block):
        if not isinstance(step, Relation) or step.gate not in _ADDING:
            continue
        first, second = (arg.type.shape if isinstance(arg, Value) else SCALAR for arg in step.args)
        if first.rank != second.rank or first.rank != 2:
            continue
        for one, other in zip(first.front, second.front, strict=True):
            symbols = [dim.as_symbol for dim in (one, other)]
            if one == other or not all(symbol in owners for symbol in symbols):
                continue
            kept, given = sorted((symbol for symbol in symbols if symbol is not None), key=order.index)
            known = assumptions[owners[given]]
            assert known.shape is not None
            shape = Shape(tuple(dim.substitute({given: Dim.symbol(kept)}) for dim in known.shape.front))
            yield Presumption(owners[given], replace(known, shape=shape), step.span, agrees=True)


def _asks_for_rank(node: ast.FunctionDef, name: str) -> bool:
    """Whether a function asks how many dims something has: it is written for several."""
    for part in ast.walk(node):
        match part:
            case ast.Attribute(value=ast.Name(id=other), attr="ndim") if other == name:
                return True
            case ast.Call(func=ast.Attribute(attr="ndim"), args=[ast.Name(id=other)]) if other == name:
                return True
            case ast.Call(func=ast.Name(id="len"), args=[ast.Attribute(value=ast.Name(id=other), attr="shape")]) if (
                other == name
            ):
                return True
    return False


def _open_products(typed: Lowered) -> Iterator[Relation]:
    """The products that carry a gradient and whose backward rules lack a rank."""
    block = typed.function.block
    floating = frozenset(p for p in block.params if p.type.dtype.differentiable and p.type.kind is not Kind.OTHER)
    active = varied(block, floating) & useful(block, frozenset(result.value for result in typed.results))
    for step in every_step(block):
        if not isinstance(step, Relation) or step.gate not in PRODUCTS or step.out not in active:
            continue
        first, second = (arg.type.shape if isinstance(arg, Value) else SCALAR for arg in step.args)
        if first.rank is not None and second.rank is not None:
            continue
        # Without a rank, what is summed for the second operand takes a reshape that nobody would write.
        summed = first.rank is None and second.rank in (1, 2) and step.args[1] in active
        any_rank = step.gate == "matmul" and (second.rank in (1, 2) or (_shows(first) and _shows(second)))
        if (summed or not any_rank) and first.rank != 0 and second.rank != 0:
            yield step


def _shows(shape: Shape) -> bool:
    return shape.dim(-1) is not None and shape.dim(-2) is not None


def _sources(typed: Lowered) -> dict[Value, tuple[_Source, ...]]:
    """What each value is computed of, through loops and branches."""
    found: dict[Value, tuple[_Source, ...]] = {}

    def meet(value: Value, *others: Operand, gate: str = "", integers: int = 0) -> None:
        values = [one for one in others if isinstance(one, Value)]
        for one in values:
            source = _Source(one, gate, tuple(other for other in values if other is not one), integers)
            found[value] = (*found.get(value, ()), source)

    for step in every_step(typed.function.block):
        match step:
            case Loop():
                for out, carried, init, handed in zip(step.outs, step.carried, step.inits, step.handed, strict=True):
                    meet(out, handed)
                    meet(out, init)
                    meet(carried, init)
                    meet(carried, handed)
            case Branch():
                for arm in step.arms:
                    for out, result in zip(step.outs, arm.results, strict=True):
                        meet(out, result)
            case Relation(gate=gate):
                name = "stack" if turns_matrices(step) else "item" if _is_item(step) else gate
                for out in step.outs:
                    meet(out, *differentiable_operands(step), gate=name, integers=_integers(step))
            case _:
                for out in step.outs:
                    meet(out, *differentiable_operands(step))
    return found


def _is_item(step: Relation) -> bool:
    """`x[i]`: an element of what may be a list."""
    index = step.attrs.get("index")
    return step.gate == "read" and isinstance(index, tuple) and len(index) == 1 and not isinstance(index[0], Slice)


def _integers(step: Relation) -> int:
    """How many dims an index takes away: 1 in `x[:, t]`, and in `x[i, k]`, of which a vector is put together again."""
    index = step.attrs.get("index")
    if step.gate != "read" or not isinstance(index, tuple):
        return 0
    count = sum(item is not None and item is not Ellipsis and not isinstance(item, Slice) for item in index)
    return count if any(isinstance(item, Slice) for item in index) else max(count - 1, 0)


def _reached(operand: Value, sources: Mapping[Value, tuple[_Source, ...]]) -> Iterator[_Source]:
    """What an operand is computed of, itself first and then the nearest; one of a known number of dims only of what has
    as many."""
    seen = {operand}
    pending = deque([_Source(operand)])
    rank = operand.type.shape.rank
    while pending:
        source = pending.popleft()
        yield source
        for one in sources.get(source.value, ()):
            if one.value not in seen and one.value.type.shape.rank == rank:
                seen.add(one.value)
                taken = source.integers + one.integers
                through = one.gate == "alias" or (not one.beside and one.gate in TABLE and TABLE[one.gate].elementwise)
                pending.append(replace(source if through else one, value=one.value, integers=taken))


def _is_stack(operand: Value, reached: list[_Source], sources: Mapping[Value, tuple[_Source, ...]]) -> bool:
    """A stack of matrices: `k.swapaxes(-1, -2)`, `k.transpose(0, 1, 3, 2)`, what is computed of one."""
    shape = operand.type.shape
    if shape.middle is None:
        return len(shape.front) > 2
    if shape.middle == _STACK or any(one.gate == "stack" for one in reached):
        return True
    beneath = [one for source in reached for one in sources.get(source.value, ())]
    return any(
        one.value.type.shape.middle == _STACK
        or (
            (one.value.type.shape.rank or 0) > 2
            and (not one.gate or (one.gate in TABLE and TABLE[one.gate].elementwise))
        )
        for one in beneath
    )


def _is_quadratic(product: Relation, sources: Mapping[Value, tuple[_Source, ...]]) -> bool:
    """Whether a product is `v @ v` or `v.T @ A @ v`, or the first half of it."""
    by_gate = {
        (out.gate, out.value, value) for value, found in sources.items() for out in found if out.gate in PRODUCTS
    }
    turned = {value: one.value for value, found in sources.items() for one in found if one.gate == "transpose"}
    # v.T @ A, and then (v.T @ A) @ v.
    firsts = {result: turned[value] for _, value, result in by_gate if value in turned}
    args = [arg for arg in product.args if isinstance(arg, Value)]
    if len(args) == 2 and turned.get(args[0], args[0]) is args[1]:
        return True
    if len(args) == 2 and args[0] in firsts:
        return _same_text(firsts[args[0]], args[1], sources)
    later = {(value, other) for _, value, result in by_gate for _, other, same in by_gate if same is result}
    return product.out in firsts and any(
        value is product.out and other is not value and _same_text(firsts[product.out], other, sources)
        for value, other in later
    )


def _written_as_numbers(typed: Lowered, sources: Mapping[Value, tuple[_Source, ...]]) -> set[Value]:
    """The products that are written into one element of a vector, `s[t] = w + a @ u[t - p : t]`: of two vectors."""
    found: set[Value] = set()
    for step in every_step(typed.function.block):
        if not isinstance(step, Relation) or step.gate != "write":
            continue
        array, index = step.args[0], step.attrs["index"]
        if not isinstance(array, Value) or array.type.shape.rank != 1:
            continue
        assert isinstance(index, tuple)
        written = step.args[1]
        if isinstance(written, Value) and len(index) == 1 and _is_position(index[0]):
            found.add(written)
            found |= {one.value for one in _reached(written, sources) if one.gate in _ADDING | _SCALING}
    return found


def _is_position(item: object) -> bool:
    """Whether an index is one number."""
    return isinstance(item, int) or (isinstance(item, Value) and item.type.shape.rank == 0)


def _is_lower_beside_capital(
    source: _Source, first: Operand | None, sources: Mapping[Value, tuple[_Source, ...]]
) -> bool:
    """Whether a name in small letters stands behind one that begins with a capital, `X @ w`, `A @ x`: a vector. Behind
    weights, `W @ x`, it may well be columns."""
    called = _called(first, sources) if isinstance(first, Value) else ""
    return called[:1].isupper() and called[0] != "W" and not bare(source.value.name)[:1].isupper()


def _same_text(one: Value, other: Value, sources: Mapping[Value, tuple[_Source, ...]]) -> bool:
    """Whether two values are computed alike: `(x - mu)` twice."""
    if one is other:
        return True
    first, second = (sources.get(value, ()) for value in (one, other))
    return bool(first) and [(s.gate, s.value) for s in first] == [(s.gate, s.value) for s in second]


def _is_free(source: _Source, known: Assumption, stack: Shape | bool) -> bool:
    """Whether nothing is claimed of a value; in a stack, one of which the number of dims is known is to be claimed too,
    as it says how the others are stacked. What an object holds may be a list, of which a matrix is read."""
    kind, dtype, shape = source.value.type.kind, source.value.type.dtype, source.value.type.shape
    alike = bool(stack) and isinstance(stack, Shape) and shape.rank == stack.rank
    return (
        known.shape is None
        and (shape.rank is None or alike)
        and kind not in (Kind.DICT, Kind.OTHER, Kind.SCALAR)
        and dtype in (DType.OPEN, DType.FLOAT)
        and not known.unless_none
        and not (MARK in source.value.name and source.gate == "item")
    )


def _stack(name: str) -> Shape:
    return Shape((), _STACK, (Dim.symbol(f"{name}.0"), Dim.symbol(f"{name}.1")))


def _shapes(name: str, source: _Source, vectors: bool, sources: Mapping[Value, tuple[_Source, ...]]) -> list[Shape]:
    """The shapes that a parameter may be presumed to have, the likeliest first."""
    # An entry by its key.
    called = bare(source.value.name) or name.rpartition("[")[2].strip("]'")
    least = source.value.type.shape.least_rank
    symbols = tuple(Dim.symbol(f"{name}.{axis}") for axis in range(max(least, 2 + source.integers)))
    matrix, vector = Shape(symbols), Shape(symbols[: 1 + source.integers])
    by_column = _BY_COLUMN.fullmatch(called) and not any(_in_columns(one, sources) for one in source.beside)
    if least >= 2:
        return [matrix]
    if source.gate in _SCALING and any(one.type.shape.rank for one in source.beside) and not by_column and not least:
        return [SCALAR, vector, matrix]
    if _VECTOR.fullmatch(called) or vectors or (by_column and source.gate in _ADDING | _SCALING):
        return [vector, matrix]
    return [matrix, vector]


def _in_columns(value: Value, sources: Mapping[Value, tuple[_Source, ...]]) -> bool:
    """Whether each column is an example: `W @ x`, `np.dot(Wx, x) + np.dot(Wh, h)`."""
    made = sources.get(value, ())
    if made and made[0].gate == "add":
        return any(_in_columns(one.value, sources) for one in made)
    if len(made) < 2 or made[0].gate not in PRODUCTS:
        return False
    first, second = (_called(one.value, sources)[:1].lower() for one in made[:2])
    return first == "w" and second != "w"


def _called(value: Value, sources: Mapping[Value, tuple[_Source, ...]]) -> str:
    """The name of a value, or of what it is the transpose of."""
    made = sources.get(value, ())
    if not value.name.isidentifier() and len(made) == 1 and made[0].gate == "transpose":
        return _called(made[0].value, sources)
    return bare(value.name)
