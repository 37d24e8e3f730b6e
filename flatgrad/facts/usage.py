"""What usage says of parameters that nobody describes; claims like any other, held to by a guard.

In `p[np.arange(N), y]` y is taken for one integer a row. In `X @ W` and `W.dot(X)` a name that begins with a capital
is taken for a matrix, as are those that an operand such as `(X - Y) ** 2` is computed of. In `X @ W + b` a name that
begins with b is taken for one number a column, as the whole field writes it; what a method is given to multiply with a
matrix of its object is taken for a matrix.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from dataclasses import replace

from flatgrad.facts.infer import Assumption, given_values
from flatgrad.facts.optional import is_none_by_default
from flatgrad.frontend.calls import defaults_of
from flatgrad.frontend.environment import Lowered
from flatgrad.frontend.methods import MARK, bare
from flatgrad.gates.entry import TABLE
from flatgrad.ir.core import DType, Kind, Operand, Relation, Step, Value, bound_values, every_step
from flatgrad.ir.dims import SCALAR, Dim, Shape

# b, b1, b_h, bias, bias2: not beta, which may well be one number.
BIAS = re.compile(r"b(ias)?(_?\w)?")
PRODUCTS = frozenset({"matmul", "matmult", "dot"})


def usage_assumptions(typed: Lowered, assumptions: Mapping[str, Assumption]) -> dict[str, Assumption]:
    """Shapes for parameters that are used as labels or as matrices, where nothing else is known of them."""
    found = _matrices(typed, assumptions) | _biases(typed, assumptions) | _labels(typed, assumptions)
    # What may be None and is read where it is has been left alone before.
    unsure = {name for name, one in assumptions.items() if one.unless_none and one.shape is None}
    return {
        name: replace(one, unless_none=is_none_by_default(typed, name))
        for name, one in found.items()
        if name not in unsure
    }


def default_assumptions(lowered: Lowered, assumptions: Mapping[str, Assumption]) -> dict[str, Assumption]:
    """A parameter whose default is a number is taken for a number: `reg=0.0`, `eps=1e-5`; but not where the function
    asks whether it is one."""
    read = {value.name for step in every_step(lowered.function.block) for value in step.operands()}
    return {
        name: Assumption(SCALAR, None, Kind.SCALAR)
        for name, default in defaults_of(lowered.node).items()
        if name not in assumptions and _is_number(default) and name in read and not _may_be_array(lowered.node, name)
    }


def _may_be_array(node: ast.FunctionDef, name: str) -> bool:
    """Whether a function asks `np.isscalar(F)` or reads `F.T`: F may be an array as well."""
    for part in ast.walk(node):
        match part:
            case ast.Call(func=ast.Attribute(attr="isscalar"), args=[ast.Name(id=other)]) if other == name:
                return True
            case ast.Attribute(value=ast.Name(id=other), attr="T" | "shape" | "ndim") if other == name:
                return True
    return False


def _is_number(node: ast.expr) -> bool:
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return _is_number(node.operand)
    return isinstance(node, ast.Constant) and isinstance(node.value, int | float) and not isinstance(node.value, bool)


def _given(typed: Lowered) -> dict[Value, str]:
    """What the caller gives, under other names as well: `W1 = params["W1"]`."""
    found = given_values(typed)
    for step in every_step(typed.function.block):
        if isinstance(step, Relation) and step.gate == "alias" and step.args[0] in found:
            found[step.out] = found[step.args[0]]
    return found


def _biases(typed: Lowered, assumptions: Mapping[str, Assumption]) -> dict[str, Assumption]:
    params = _given(typed)
    producers = {out: step for step in every_step(typed.function.block) for out in bound_values(step)}
    found: dict[str, Assumption] = {}
    for step in every_step(typed.function.block):
        if not isinstance(step, Relation) or step.gate != "add":
            continue
        for bias, product in (step.args, step.args[::-1]):
            if not isinstance(bias, Value) or bias not in params or not BIAS.fullmatch(bare(bias.name)):
                continue
            weights = _weights(product, producers)
            known = assumptions.get(params[bias], Assumption())
            if known.shape is not None or bias.type.shape.rank is not None or not isinstance(weights, Value):
                continue
            if MARK in bias.name and is_none_by_default(typed, params[bias]):
                continue  # it is made in another method: `np.zeros((1, self.units))` there is of two dims
            if weights in params and bare(weights.name)[:1] in ("W", "w") and weights.type.shape.rank == 2:
                found[params[bias]] = Assumption(Shape(weights.type.shape.front[1:]), known.dtype, known.kind)
    return found


def _weights(product: Operand, producers: Mapping[Value, Step]) -> Operand | None:
    """The second operand of a product, or of the last of a sum of products: `x @ Wx + h @ Wh`."""
    made = producers.get(product) if isinstance(product, Value) else None
    if isinstance(made, Relation) and made.gate == "add":
        return _weights(made.args[1], producers)
    return made.args[1] if isinstance(made, Relation) and made.gate in PRODUCTS else None


def _matrices(typed: Lowered, assumptions: Mapping[str, Assumption]) -> dict[str, Assumption]:
    params = _given(typed)
    producers = {out: step for step in every_step(typed.function.block) for out in bound_values(step)}
    found: dict[str, Assumption] = {}
    if any(isinstance(step, Relation) and turns_matrices(step) for step in every_step(typed.function.block)):
        return {}  # it is written for stacks of matrices: `Q @ K.swapaxes(-1, -2)`
    vectors = summed_with_vectors(typed)
    for step in every_step(typed.function.block):
        if not isinstance(step, Relation) or step.gate not in PRODUCTS:
            continue
        for first, other in (step.args, step.args[::-1]):
            rank = other.type.shape.rank if isinstance(other, Value) else None
            if rank is not None and rank not in (1, 2):
                continue
            given = _transposed(first, producers)
            attribute = _is_attribute(_transposed(other, producers), rank)
            for operand in _sources(given, producers):
                if operand not in params or not (bare(operand.name)[:1].isupper() or (attribute and operand is given)):
                    continue
                known = assumptions.get(params[operand], Assumption())
                if known.shape is None and operand.type.shape.rank is None and operand.type.shape.least_rank <= 2:
                    if first is step.args[1] and step.out in vectors:
                        continue
                    dims = tuple(Dim.symbol(f"{params[operand]}.{axis}") for axis in range(2))
                    found[params[operand]] = Assumption(Shape(dims), known.dtype, known.kind)
    return found


def summed_with_vectors(typed: Lowered) -> set[Value]:
    """What a vector is added to which is no bias of columns: W @ x in `W @ x + b`, where W has a row for each number
    of b."""
    terms: dict[Value, tuple[Operand, ...]] = {}
    products: dict[Value, Relation] = {}
    for step in every_step(typed.function.block):
        if isinstance(step, Relation) and step.gate == "add":
            terms[step.out] = step.args
        elif isinstance(step, Relation) and step.gate in PRODUCTS:
            products[step.out] = step
    found: set[Value] = set()
    for total in terms:
        flat: list[Operand] = []
        pending: list[Operand] = [total]
        while pending:
            one = pending.pop()
            pending += terms[one] if isinstance(one, Value) and one in terms else ()
            flat.append(one)
        lengths = {one.type.shape.front[0] for one in flat if isinstance(one, Value) and one.type.shape.rank == 1}
        for one in flat:
            first = products[one].args[0] if isinstance(one, Value) and one in products else None
            if isinstance(first, Value) and first.type.shape.rank == 2 and first.type.shape.front[0] in lengths:
                second = products[one].args[1] if isinstance(one, Value) else None
                columns = second.type.shape.dim(-1) if isinstance(second, Value) else None
                if isinstance(one, Value) and columns not in lengths:
                    found.add(one)
    return found


def turns_matrices(step: Relation) -> bool:
    """Whether a step transposes each matrix of a stack."""
    swapped = step.gate == "swapaxes" and {step.attrs.get("axis1"), step.attrs.get("axis2")} == {-1, -2}
    return swapped or step.gate == "matrix_transpose"


def _sources(operand: Operand, producers: Mapping[Value, Step]) -> set[Value]:
    """A value and what it is computed of element by element, where ranks are open: A and Y in `(A - Y) ** 2 @ w`."""
    found: set[Value] = set()
    pending = [operand]
    while pending:
        one = pending.pop()
        if not isinstance(one, Value) or one in found or one.type.shape.rank is not None:
            continue
        found.add(one)
        made = producers.get(one)
        if isinstance(made, Relation) and (
            made.gate in ("alias", "transpose") or (made.gate in TABLE and TABLE[made.gate].elementwise)
        ):
            pending += made.args
    return found


def _transposed(operand: Operand, producers: Mapping[Value, Step]) -> Operand:
    """What `W.T` is the transpose of; any other operand as it is."""
    while isinstance(operand, Value):
        made = producers.get(operand)
        if not isinstance(made, Relation) or made.gate not in ("alias", "transpose") or made.attrs.get("axes"):
            break
        operand = made.args[0]
    return operand


def _is_attribute(operand: Operand, rank: int | None) -> bool:
    """Whether something is a matrix that an object holds: what its method is given to multiply with it is one too."""
    return isinstance(operand, Value) and MARK in operand.name and rank == 2


def _labels(typed: Lowered, assumptions: Mapping[str, Assumption]) -> dict[str, Assumption]:
    params = _given(typed)
    counters = {
        step.out: step.out.type.shape
        for step in every_step(typed.function.block)
        if isinstance(step, Relation) and step.gate == "arange"
    }
    readable = {dim for p in params if p.type.shape.dims is not None for dim in p.type.shape.front}
    found: dict[str, Assumption] = {}
    for step in every_step(typed.function.block):
        if not isinstance(step, Relation) or step.gate not in ("read", "write"):
            continue
        index = step.attrs["index"]
        assert isinstance(index, tuple)
        shapes = [counters[item] for item in index if isinstance(item, Value) and item in counters]
        for item in index:
            if not isinstance(item, Value) or item not in params or not shapes:
                continue
            known = assumptions.get(params[item], Assumption())
            shape: Shape = shapes[0]
            if known.shape is None and item.type.shape.rank is None and shape.rank == 1 and shape.front[0] in readable:
                found[params[item]] = Assumption(shape, known.dtype or DType.INT, known.kind)
    return found
