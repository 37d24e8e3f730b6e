"""Whether a block is one that the passes may rely on: bound once and before use, gates used as they are declared, types
that do not contradict the shape rules.

The rules of the table and of `facts.structural` are the ones that inferred the types in the first place: a pass that
builds a relation with a type of its own making is caught here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from flatgrad.diagnostics import Refused
from flatgrad.facts.infer import gate_types
from flatgrad.facts.site import RelationSite
from flatgrad.facts.structural import structural_type
from flatgrad.gates.entry import REQUIRED, TABLE, Gate
from flatgrad.ir.core import Attribute, Block, Call, DType, Function, Kind, Literal, Relation, Slice, Step, Type, Value
from flatgrad.ir.interpreter import STRUCTURAL
from flatgrad.ir.printer import printed_step
from flatgrad.ir.solver import Contradiction, Solver

# What the compiler adds to the attributes of gates of the table.
EXTRA_ATTRIBUTES = frozenset({"into"})
STRUCTURAL_ATTRIBUTES: Mapping[str, frozenset[str]] = {
    "read": frozenset({"index"}),
    "write": frozenset({"index"}),
    "scatter": frozenset({"index", "mode"}),
    "update": frozenset({"op"}),
    "dim": frozenset({"axis"}),
    "subshape": frozenset({"index"}),
    "zeros_of": frozenset({"shape"}),
    "call_backward": frozenset({"function"}),
}


class InvalidIR(Exception):
    """The block breaks a rule of the IR: a defect of the compiler. The message shows the relation."""


def verify(
    what: Function | Block, forward: Block | None = None, functions: Mapping[str, Function] | None = None
) -> None:
    """Check a function or a block.

    Args:
        forward: for a backward block, the forward block whose values it may read; its parameters are gradients then.
        functions: the functions that may be called; any, if None.
    Raises:
        InvalidIR: at the first rule that is broken.
    """
    block = what.block if isinstance(what, Function) else what
    bound: set[Value] = set()
    if forward is not None:
        bound |= set(values_of(forward))
        for param in block.params:
            if param.type.dtype is not DType.FLOAT or param.type.kind in (Kind.SHAPE, Kind.OTHER):
                raise InvalidIR(f"the parameter {param.name} of a backward block is no gradient: {param.type}")
    for param in block.params:
        _bind(param, bound, None)
    types = _Types([*bound, *(out for step in block.body for out in step.outs)])
    for step in forward.body if forward is not None else ():
        if isinstance(step, Relation):
            types.check(step)
    for step in block.body:
        for value in step.operands():
            if value not in bound:
                raise InvalidIR(f"{value.name or 'a value'} is read before it is bound in `{printed_step(step)}`")
        if isinstance(step, Call):
            _check_call(step, functions)
        else:
            _check_gate(step)
            types.check(step)
        for out in step.outs:
            _bind(out, bound, step)
    for result in block.results:
        if result not in bound:
            raise InvalidIR(f"the result {result.name or 'without a name'} is not bound")


def values_of(block: Block) -> Iterable[Value]:
    """Every value that a block binds."""
    yield from block.params
    for step in block.body:
        yield from step.outs


def _bind(value: Value, bound: set[Value], step: Step | None) -> None:
    where = f" in `{printed_step(step)}`" if step is not None else ""
    if type(value) is not Value:
        raise InvalidIR(f"{value.name or 'a value'} stands for what could not be read{where}")
    if value in bound:
        raise InvalidIR(f"{value.name or 'a value'} is bound twice{where}")
    bound.add(value)


def _check_call(step: Call, functions: Mapping[str, Function] | None) -> None:
    if functions is None:
        return
    if step.function not in functions:
        raise InvalidIR(f"no function {step.function} for `{printed_step(step)}`")
    block = functions[step.function].block
    if len(step.args) != len(block.params) or len(step.outs) != len(block.results):
        raise InvalidIR(f"{step.function} has other parameters or results than `{printed_step(step)}`")


# Gates


def _check_gate(step: Relation) -> None:
    given = step.attrs.keys()
    if step.gate == "call_backward":
        least, most, known = 0, len(step.args), STRUCTURAL_ATTRIBUTES["call_backward"]
    elif step.gate in STRUCTURAL:
        least, most = STRUCTURAL[step.gate]
        known = STRUCTURAL_ATTRIBUTES.get(step.gate, frozenset())
    elif step.gate in TABLE:
        least, most = _operand_counts(TABLE[step.gate])
        known = frozenset(name for name, value in TABLE[step.gate].attributes.items() if value == REQUIRED)
        unknown = given - TABLE[step.gate].attributes.keys() - EXTRA_ATTRIBUTES
        if unknown and not step.gate.startswith("group."):
            raise InvalidIR(f"{step.gate} has no attribute {sorted(unknown)[0]}: `{printed_step(step)}`")
    else:
        raise InvalidIR(f"no gate {step.gate}: `{printed_step(step)}`")
    if not least <= len(step.args) <= most:
        raise InvalidIR(f"{step.gate} does not take {len(step.args)} operands: `{printed_step(step)}`")
    missing = known - given
    if missing:
        raise InvalidIR(f"{step.gate} needs the attribute {sorted(missing)[0]}: `{printed_step(step)}`")
    if not step.outs:
        raise InvalidIR(f"nothing is bound: `{printed_step(step)}`")
    for name, attribute in step.attrs.items():
        if not _is_attribute(attribute):
            raise InvalidIR(f"{name} is no attribute: `{printed_step(step)}`")


def _operand_counts(gate: Gate) -> tuple[int, int]:
    fixed = [name for name in gate.operands if name != "xs"]
    least = min(
        sum(name in spelling.names and name not in spelling.defaults for name in fixed) for spelling in gate.spellings
    )
    if gate.name.startswith("group."):
        least = 1
    return (least, 10**6) if "xs" in gate.operands else (least, len(fixed))


def _is_attribute(attribute: Attribute) -> bool:
    match attribute:
        case Literal():
            return False
        case tuple():
            return all(_is_attribute(part) for part in attribute)
        case Slice(start, stop, step):
            return all(_is_attribute(part) and not isinstance(part, tuple) for part in (start, stop, step))
        case _:
            return True


# Types


class _Types:
    """Infers each relation again from the types of its operands, and holds the result against the one that is there.

    The symbols of the types as they stand are all different: unless a line enforces it, what would make two of them one
    is a contradiction.
    """

    def __init__(self, values: Iterable[Value]) -> None:
        names: set[str] = set()
        for value in values:
            shape = value.type.shape
            names |= {name for dim in (*shape.front, *shape.back) for name in dim.symbols()}
        self.names = frozenset(names)
        # What lines enforce holds for the lines after them.
        self.solver = Solver(self.names)
        self.count = 0

    def check(self, step: Relation) -> None:
        self.count += 1
        solver = self.solver
        try:
            found = _inferred(step, lambda value: value.type, solver, f"verify{self.count}")
            if found is None:
                return
            if len(found) != len(step.outs):
                raise InvalidIR(f"{step.gate} gives {len(found)} results: `{printed_step(step)}`")
            enforced = set(solver.dims)
            for out, one in zip(step.outs, found, strict=True):
                solver.same_shape(one.shape, out.type.shape)
                if not _agree(one, out.type):
                    raise InvalidIR(
                        f"{_described(one)} would be right, not {_described(out.type)}: `{printed_step(step)}`"
                    )
        except Contradiction as error:
            raise InvalidIR(f"the shapes do not fit, {error}: `{printed_step(step)}`") from None
        except Refused as refused:
            raise InvalidIR(f"{refused.diagnostics[0].message}: `{printed_step(step)}`") from None
        joined = sorted((solver.dims.keys() & self.names) - enforced)
        # A group finds the same shape twice that relations give two names.
        if joined and not step.gate.startswith("group."):
            raise InvalidIR(f"{joined[0]} is taken for {solver.dims[joined[0]]}: `{printed_step(step)}`")


def _inferred(step: Relation, type_of: Callable[[Value], Type], solver: Solver, label: str) -> list[Type] | None:
    if step.gate == "call_backward":
        return None
    one = structural_type(step, type_of, solver, label)
    if one is not None:
        return [one]
    return gate_types(RelationSite(step, type_of, solver, label), step, type_of, solver)


def _agree(found: Type, stated: Type) -> bool:
    """Whether both can hold of one value: kinds and dtypes that are open hold of many."""
    kinds = {found.kind, stated.kind}
    if len(kinds) > 1 and Kind.OPEN not in kinds:
        return False
    dtypes = {found.dtype, stated.dtype}
    return len(dtypes) == 1 or DType.OPEN in dtypes or (stated.dtype is DType.FLOAT and found.dtype is DType.INT)


def _described(one: Type) -> str:
    return f"{one.kind.value} {one.dtype.value} {one.shape}"
