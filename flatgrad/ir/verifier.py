"""Whether a block is one that the passes may rely on: bound once and before use, gates used as they are declared, types
that do not contradict the shape rules, regions whose parameters and results fit.

The rules of the table and of `facts.structural` are the ones that inferred the types in the first place: a pass that
builds a relation with a type of its own making is caught here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from flatgrad.diagnostics import Refused
from flatgrad.facts.gate_types import gate_types
from flatgrad.facts.site import RelationSite
from flatgrad.facts.structural import structural_type
from flatgrad.gates.entry import REQUIRED, TABLE, Gate
from flatgrad.ir.core import (
    Attribute,
    Block,
    Branch,
    Call,
    DType,
    Function,
    Kind,
    Literal,
    Loop,
    Operand,
    Relation,
    Slice,
    Step,
    Type,
    Value,
    bound_values,
    inner_blocks,
    is_constant_entry,
)
from flatgrad.ir.printer import printed_step
from flatgrad.ir.solver import Contradiction, Solver
from flatgrad.ir.structural_rules import STRUCTURAL

# What the compiler adds to the attributes of gates of the table.
EXTRA_ATTRIBUTES = frozenset({"into"})
# What a relation that is no gate must have; what it may have besides is for the passes that read it.
STRUCTURAL_ATTRIBUTES: Mapping[str, frozenset[str]] = {
    "read": frozenset({"index"}),
    "write": frozenset({"index"}),
    "scatter": frozenset({"index", "mode"}),
    "update": frozenset({"op"}),
    "dim": frozenset({"axis"}),
    "subshape": frozenset({"index"}),
    "zeros_of": frozenset({"shape"}),
    "call_backward": frozenset({"function"}),
    "opaque": frozenset({"text"}),
    "stacked": frozenset({"axis"}),
    "dict_of": frozenset({"keys"}),
    "layer": frozenset({"text"}),
    "enforced": frozenset({"rank"}),
    "container": frozenset({"keys"}),
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
    check = _Check(functions, _Forward.of(forward))
    types = _Types([*check.forward.values, *values_of(block)])
    readable: set[Value] = set()
    if forward is not None:
        readable = set(check.forward.regions[None].values)
        for param in block.params:
            if param.type.dtype is not DType.FLOAT or param.type.kind in (Kind.SHAPE, Kind.OTHER):
                raise InvalidIR(f"the parameter {param.name} of a backward block is no gradient: {param.type}")
        types.check_all(forward.body)
    for param in block.params:
        check.bind(param, readable, None)
    check.block(block, readable, types)


def values_of(block: Block) -> Iterable[Value]:
    """Every value that a block binds, those of the blocks inside it included."""
    yield from block.params
    for step in block.body:
        yield from bound_values(step)
        for inner in inner_blocks(step):
            yield from values_of(inner)


@dataclass(slots=True, eq=False)
class _Region:
    """The values of a forward block that are there once it has run: its own, and those of the arms of its branches."""

    block: Block
    values: list[Value]


@dataclass(slots=True, eq=False)
class _Forward:
    """What a backward block may read: outside all loops, and in the rounds of each forward loop, by its index.

    Attributes:
        branches: by their tests.
    """

    values: list[Value]
    regions: dict[Value | None, _Region]
    branches: dict[Operand, Branch]

    @staticmethod
    def of(forward: Block | None) -> _Forward:
        found = _Forward([], {}, {})
        if forward is not None:
            found.values.extend(values_of(forward))
            found.enter(forward, None)
        return found

    def enter(self, block: Block, index: Value | None) -> None:
        self.regions[index] = _Region(block, list(block.params))
        self.body(block, self.regions[index])

    def body(self, block: Block, region: _Region) -> None:
        for step in block.body:
            region.values.extend(bound_values(step))
            if isinstance(step, Loop):
                self.enter(step.body, step.index)
            elif isinstance(step, Branch):
                self.branches.setdefault(step.test, step)
                for arm in step.arms:
                    self.body(arm, region)


@dataclass(slots=True, eq=False)
class _Check:
    """A block, and the blocks inside it.

    Attributes:
        bound: the values that a step has bound anywhere: none is bound twice.
    """

    functions: Mapping[str, Function] | None
    forward: _Forward
    bound: set[Value] = field(default_factory=set)

    def block(self, block: Block, readable: set[Value], types: _Types) -> None:
        """`readable`: what may be read at its head, its parameters included."""
        readable = set(readable)
        for step in block.body:
            self._operands(step, readable)
            match step:
                case Call():
                    _check_call(step, self.functions)
                case Loop():
                    self._loop(step, readable, types)
                case Branch():
                    self._branch(step, readable, types)
                case Relation():
                    _check_gate(step)
                    types.check(step)
            for value in bound_values(step):
                self.bind(value, readable, step)
        for result in block.results:
            if result not in readable:
                raise InvalidIR(f"the result {result.name or 'without a name'} is not bound")

    def bind(self, value: Value, readable: set[Value], step: Step | None) -> None:
        where = f" in `{printed_step(step)}`" if step is not None else ""
        if type(value) is not Value:
            raise InvalidIR(f"{value.name or 'a value'} stands for what could not be read{where}")
        if value in readable or value in self.bound:
            raise InvalidIR(f"{value.name or 'a value'} is bound twice{where}")
        readable.add(value)
        self.bound.add(value)

    def _operands(self, step: Step, readable: set[Value]) -> None:
        """What regions read inside is looked at there."""
        match step:
            case Loop():
                read = [*step.inits, *(bound for bound in step.bounds if isinstance(bound, Value))]
            case Branch():
                read = [step.test] if isinstance(step.test, Value) else []
            case _:
                read = list(step.operands())
        for value in read:
            if value not in readable:
                raise InvalidIR(f"{value.name or 'a value'} is read before it is bound in `{printed_step(step)}`")

    def _loop(self, loop: Loop, readable: set[Value], types: _Types) -> None:
        count = len(loop.outs)
        results = count + loop.breaks
        if not len(loop.inits) == len(loop.carried) == count or len(loop.body.results) != results:
            names = ", ".join(value.name or "?" for value in loop.outs)
            raise InvalidIR(f"what is carried does not fit what comes in and what is handed on: `{names} = for`")
        text = printed_step(loop)
        if len(loop.bounds) not in ((3,) if loop.condition is None else (0, 3)):
            raise InvalidIR(f"a loop has a start, a stop and a step, or a condition: `{text}`")
        if (loop.breaks or not loop.bounds) and loop.count is None:
            raise InvalidIR(f"the rounds are not counted: `{text}`")
        readable, inner = set(readable), types.inside()
        region = self.forward.regions.get(loop.index)
        if region is not None:
            # The rounds of the forward loop once more: its index is bound again.
            if loop.index in self.bound:
                raise InvalidIR(f"the rounds of a loop are run through twice: `{text}`")
            readable |= set(region.values)
            inner.check_all(region.block.body)
            self.bound.add(loop.index)
        else:
            self.bind(loop.index, readable, loop)
        for param in loop.carried:
            self.bind(param, readable, loop)
        if loop.condition is not None:
            if loop.condition.params != loop.carried or len(loop.condition.results) != 1:
                raise InvalidIR(f"a condition is one result of what is carried: `{text}`")
            self.block(loop.condition, readable, inner.inside())
        self.block(loop.body, readable, inner)
        for ends in zip(loop.inits, loop.carried, loop.handed, loop.outs, strict=True):
            types.check_joined(ends[:1], ends[1], loop)
            types.check_joined(ends[2:3], ends[1], loop)
            types.check_joined((ends[0], ends[2]), ends[3], loop)

    def _branch(self, branch: Branch, readable: set[Value], types: _Types) -> None:
        if any(arm.params or len(arm.results) != len(branch.outs) for arm in branch.arms):
            raise InvalidIR(f"the arms do not have the results that the branch has: `{printed_step(branch)}`")
        before = self.forward.branches.get(branch.test)
        for position, arm in enumerate(branch.arms):
            inner = types.inside()
            if before is not None:
                inner.check_all(before.arms[position].body)
            self.block(arm, readable, inner)
        for out, *ends in zip(branch.outs, branch.then.results, branch.orelse.results, strict=True):
            types.check_joined(ends, out, branch)


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
    if is_constant_entry(step):
        known = frozenset({"key"})
    missing = known - given
    if missing:
        raise InvalidIR(f"{step.gate} needs the attribute {sorted(missing)[0]}: `{printed_step(step)}`")
    if not step.outs:
        raise InvalidIR(f"nothing is bound: `{printed_step(step)}`")
    for name, attribute in step.attrs.items():
        if not _is_attribute(attribute):
            raise InvalidIR(f"{name} is no attribute: `{printed_step(step)}`")
    keys = step.attrs.get("keys")
    if step.gate == "dict_of" and isinstance(keys, tuple):
        entries = len(step.args) - bool(step.attrs.get("base"))
        if len(keys) != entries or len(set(keys)) != entries:
            raise InvalidIR(f"not one key for each entry: `{printed_step(step)}`")


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

    def inside(self) -> _Types:
        """The same, for a block that may not run: what its lines enforce holds in it alone."""
        inner = _Types(())
        inner.names, inner.solver, inner.count = self.names, self.solver.copy(), self.count
        return inner

    def check_all(self, steps: Iterable[Step]) -> None:
        for step in steps:
            if isinstance(step, Relation):
                self.check(step)

    def check_joined(self, ends: Sequence[Value], out: Value, step: Step) -> None:
        """The type of a value that is one of several others allows for each of them."""
        for end in ends:
            found, stated = end.type, out.type
            if _is_nothing(found) or _is_nothing(stated):
                continue
            ranks = {shape.rank for shape in (found.shape, stated.shape) if shape.rank is not None}
            if not _agree(found, stated) or len(ranks) > 1:
                text = f"{_described(found)} is taken for {_described(stated)}"
                raise InvalidIR(f"{text}: `{printed_step(step)}`")

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


def _is_nothing(one: Type) -> bool:
    """None, or a name that is not bound: nobody reads its numbers."""
    return one.kind is Kind.OTHER and one.dtype is DType.NONE


def _described(one: Type) -> str:
    return f"{one.kind.value} {one.dtype.value} {one.shape}"
