"""What the calls in the file say of a helper that nobody describes: its parameters have the shapes that it is given.

Only a helper with a product of which the number of dims must be known is described so. Its own guard holds every
caller to the claims, those of other files too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from flatgrad.facts.infer import Assumption, given_values
from flatgrad.facts.site import literal_type
from flatgrad.facts.usage import PRODUCTS
from flatgrad.frontend.environment import Lowered
from flatgrad.ir.core import Call, DType, Kind, Literal, Relation, Value, every_step
from flatgrad.ir.dims import Dim, Shape

# What one call gives, by the text of the helper's parameter or entry; None where its shape is not known.
Given = dict[str, Shape | None]
Caller = tuple[Lowered, Mapping[str, Assumption]]


def needs_callers(typed: Lowered) -> bool:
    """Whether a product in the function has an operand of which the number of dims is not known."""
    return any(
        isinstance(arg, Value) and arg.type.shape.rank is None
        for step in every_step(typed.function.block)
        if isinstance(step, Relation) and step.gate in PRODUCTS
        for arg in step.args
    )


def call_assumptions(
    helper: str, typed: Lowered, callers: Iterable[Caller], described: Mapping[str, Assumption]
) -> dict[str, Assumption]:
    """Claims about those parameters, and entries of parameters, of which the helper itself shows too little.

    Args:
        typed: the helper, with the types that it has by itself or by an earlier description.
        callers: functions with types that may call it, and what is assumed of each.
        described: the earlier description, whose place the new one takes.
    """
    sites = [
        _given(typed, step, caller, assumptions)
        for caller, assumptions in callers
        for step in every_step(caller.function.block)
        if isinstance(step, Call) and step.function == helper
    ]
    found: dict[str, Assumption] = {}
    named: dict[tuple[Dim, ...], str] = {}
    for value, text in given_values(typed).items():
        known = [site.get(text) for site in sites]
        shapes = [shape for shape in known if shape is not None and shape.dims is not None]
        if (value.type.shape.rank is not None and text not in described) or not shapes or len(shapes) < len(sites):
            continue
        if len({shape.rank for shape in shapes}) > 1:
            continue
        columns = list(zip(*(shape.front for shape in shapes), strict=True))
        dims = tuple(_dim(each, named, f"{text}.{axis}") for axis, each in enumerate(columns))
        scalar = Kind.SCALAR if not dims else None
        found[text] = Assumption(Shape(dims), None, scalar)
    return found


def _dim(each: tuple[Dim, ...], named: dict[tuple[Dim, ...], str], own: str) -> Dim:
    """One dim of the helper's for what is one dim at every call, by the first caller's name where it has one."""
    if each[0].constant is not None and all(dim == each[0] for dim in each):
        return each[0]
    if each not in named:
        symbol = each[0].as_symbol
        free = symbol is not None and symbol.isidentifier() and symbol not in named.values()
        named[each] = symbol if symbol is not None and free else own
    return Dim.symbol(named[each])


def _given(typed: Lowered, call: Call, caller: Lowered, assumptions: Mapping[str, Assumption]) -> Given:
    names = given_values(caller)
    found: Given = {}
    for param, arg in zip(typed.function.block.params, call.args, strict=True):
        if isinstance(arg, Literal):
            found[param.name] = literal_type(arg).shape if arg.value is not None else None
            continue
        found[param.name] = arg.type.shape if arg.type.dtype is not DType.NONE else None
        for text in given_values(typed).values():
            if text.startswith(f"{param.name}[") and arg in names:
                entry = assumptions.get(names[arg] + text[len(param.name) :])
                found[text] = entry.shape if entry is not None else None
    return found
