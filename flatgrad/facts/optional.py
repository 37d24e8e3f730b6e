"""Claims about parameters whose default is None: they hold wherever the parameter is not None.

Such a claim may be used where a line that reads the parameter cannot be run on None: it fails, or it stands under
`if mask is not None`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import replace

from flatgrad.facts.infer import Assumption, Callee, given_values
from flatgrad.frontend.calls import defaults_of
from flatgrad.frontend.environment import Lowered
from flatgrad.ir.core import Block, Branch, Call, Operand, Relation, Step, Value, inner_blocks
from flatgrad.ir.dims import Dim, Shape

# Operators raise on None, as does `x.shape`. What NumPy makes of it, `np.where(None == 0, a, b)`, is another matter.
REFUSING = frozenset(
    {"add", "subtract", "multiply", "divide", "matmul", "dot", "negative", "read", "write", "transpose"}
)


def sure_assumptions(lowered: Lowered, assumptions: Mapping[str, Assumption], callee: Callee) -> dict[str, Assumption]:
    """The assumptions without those about a parameter that is read where it may be None.

    What such a parameter shares with no other that is always there, or shares only in a product like `4*H`, becomes a
    symbol of its own: where it is None there is nothing to compare the other with.
    """
    found = dict(assumptions)
    values = {text: value for value, text in given_values(lowered).items()}
    for name, one in assumptions.items():
        if one.unless_none and name in values and not _is_safe(lowered.function.block, values[name], False, callee):
            found[name] = replace(one, shape=None, kind=None)
    read = {value for step in lowered.function.block.body for value in step.operands()}
    shapes = [one.shape for name, one in found.items() if not one.unless_none and values.get(name) in read]
    readable = {dim.as_symbol for shape in shapes if shape is not None for dim in (*shape.front, *shape.back)}
    for name, one in found.items():
        if one.unless_none and one.shape is not None:
            others = {symbol for other in found if other != name for symbol in _symbols(found[other].shape)}
            own = {symbol: Dim.symbol(f"{name}.{symbol}") for symbol in others - readable}
            found[name] = replace(one, shape=_renamed(one.shape, own))
    return found


def is_none_by_default(lowered: Lowered, name: str) -> bool:
    default = defaults_of(lowered.node).get(name)
    return isinstance(default, ast.Constant) and default.value is None


def maybe_none(lowered: Lowered) -> frozenset[Value]:
    """The parameters that are None by default, and that a function gets by without."""
    block = lowered.function.block
    needed = {
        value
        for step in block.body
        if isinstance(step, Relation) and (step.gate in REFUSING or step.attrs.get("of_array"))
        for value in step.operands()
    }
    return frozenset(one for one in block.params if is_none_by_default(lowered, one.name)) - needed


def _symbols(shape: Shape | None) -> set[str]:
    return set() if shape is None else {name for dim in (*shape.front, *shape.back) for name in dim.symbols()}


def _renamed(shape: Shape, names: dict[str, Dim]) -> Shape:
    front, back = (tuple(dim.substitute(names) for dim in dims) for dims in (shape.front, shape.back))
    return Shape(front, shape.middle, back)


# Where a value is read


def _is_safe(block: Block, value: Value, given: bool, callee: Callee) -> bool:
    """Whether every line that reads the value is one that is not run on None; `given`: here it is not None."""
    tests: dict[Operand, Relation] = {}
    for step in block.body:
        if isinstance(step, Relation) and step.gate == "opaque":
            # Python's own tests: what they ask of None is what they are for.
            tests[step.out] = step
        elif isinstance(step, Branch):
            for arm, outcome in ((step.then, True), (step.orelse, False)):
                known = step.test in tests and value in _known(tests[step.test], outcome)
                if not _is_safe(arm, value, given or known, callee):
                    return False
        elif not given and not _reads_safely(step, value, callee):
            return False
    return given or value not in block.results


def _reads_safely(step: Step, value: Value, callee: Callee) -> bool:
    match step:
        case Relation():
            return value not in step.operands() or step.gate in REFUSING or bool(step.attrs.get("of_array"))
        case Call(function=function, args=args):
            if value not in args:
                return True
            lowered, _ = callee(function)
            names = [param.name for param in lowered.function.block.params]
            return all(is_none_by_default(lowered, n) for n, arg in zip(names, args, strict=True) if arg is value)
    if value in getattr(step, "inits", ()):
        return False
    return all(_is_safe(inner, value, False, callee) for inner in inner_blocks(step))


def _known(test: Relation, outcome: bool) -> set[Value]:
    """The values that are not None where a test has an outcome."""
    text = test.attrs.get("text")
    names = {f"_{place}": arg for place, arg in enumerate(test.args) if isinstance(arg, Value)}
    if not isinstance(text, str):
        return set()
    return {names[name] for name in _given(ast.parse(text, mode="eval").body, outcome) if name in names}


def _given(test: ast.expr, outcome: bool) -> Iterator[str]:
    match test:
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield from _given(operand, not outcome)
        case ast.BoolOp(op=op, values=values) if isinstance(op, ast.And) is outcome:
            for value in values:
                yield from _given(value, outcome)
        case ast.Compare(left=ast.Name(id=name), ops=[op], comparators=[ast.Constant(value=None)]):
            if isinstance(op, ast.IsNot if outcome else ast.Is):
                yield name
