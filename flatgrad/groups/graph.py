"""A forward block as the recognisers of groups see it: who computes a value, who reads it, what equals what."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from flatgrad.analysis import differentiable_operands, useful, varied
from flatgrad.frontend.environment import Lowered
from flatgrad.gates.entry import has_effect
from flatgrad.ir.core import Attribute, Literal, Operand, Relation, Slice, Stage, Step, Value, bound_values
from flatgrad.ir.dims import Dim

# Two of them with the same arguments need not hold the same numbers.
UNLIKE = frozenset({"empty", "empty_like"})
COMMUTES = frozenset({"add", "multiply", "logaddexp"})
MOST_RELATIONS = 64


@dataclass(frozen=True, slots=True)
class Found:
    """A group: the relation that computes its result, as one relation of a gate of `gates.grouped`.

    Attributes:
        inputs: the values by which a gradient leaves the group; nothing else that can carry one enters it.
        said: what the comment calls it.
    """

    gate: str
    args: tuple[Operand, ...]
    attrs: Mapping[str, Attribute]
    inputs: tuple[Value, ...]
    said: str


@dataclass(slots=True, eq=False)
class Graph:
    """The relations of a block by their results. Two values of one `key` hold the same numbers."""

    lowered: Lowered
    producers: dict[Value, Step] = field(default_factory=dict)
    consumers: dict[Value, list[Step]] = field(default_factory=dict)
    keys: dict[Value, int] = field(default_factory=dict)
    varied: frozenset[Value] = frozenset()
    useful: frozenset[Value] = frozenset()
    results: frozenset[Value] = frozenset()
    of_stage: dict[Stage, list[Step]] = field(default_factory=dict)
    _order: dict[Stage, int] = field(default_factory=dict)
    _numbers: dict[object, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        block = self.lowered.function.block
        self.varied = varied(block, frozenset(p for p in block.params if p.type.dtype.differentiable))
        self.results = frozenset(value for value in block.results if value.type.dtype.differentiable)
        self.useful = useful(block, self.results)
        self._order = {stage: position for position, stage in enumerate(self.lowered.stages)}
        for value in block.params:
            self.keys[value] = self._number(value)
        for step in block.body:
            if step.stage is not None:
                self.of_stage.setdefault(step.stage, []).append(step)
            for value in step.operands():
                self.consumers.setdefault(value, []).append(step)
            for position, out in enumerate(bound_values(step)):
                self.producers[out] = step
                self.keys[out] = self._key_of(step, position)

    def _number(self, description: object) -> int:
        return self._numbers.setdefault(description, len(self._numbers))

    def _key_of(self, step: Step, position: int) -> int:
        if not isinstance(step, Relation) or step.gate in UNLIKE or has_effect(step):
            return self._number(bound_values(step)[position])
        if step.gate == "alias":
            return self.key(step.args[0])
        if step.gate == "constant" and isinstance(step.args[0], Literal) and not step.attrs:
            return self.key(step.args[0])
        args = [self.key(arg) for arg in step.args]
        if step.gate in COMMUTES:
            args.sort()
        attrs = tuple((name, self._described(one)) for name, one in sorted(step.attrs.items()) if name != "into")
        return self._number((step.gate, tuple(args), attrs, position))

    def _described(self, attribute: Attribute) -> object:
        match attribute:
            case Value():
                return ("value", self.keys[attribute])
            case Slice(start, stop, step):
                return ("slice", self._described(start), self._described(stop), self._described(step))
            case tuple():
                return tuple(self._described(part) for part in attribute)
            case _:
                return (type(attribute).__name__, attribute)

    def key(self, operand: Operand) -> int:
        if isinstance(operand, Value):
            return self.keys[operand]
        if isinstance(operand.value, int | float) and not isinstance(operand.value, bool):
            return self._number(("number", operand.value))
        # Of a module constant the text is all that there is.
        return self._number((type(operand.value).__name__, operand.value, operand.text))

    def same(self, first: Operand, second: Operand) -> bool:
        return self.key(first) == self.key(second)

    # Looking at one value

    def relation(self, operand: Operand, *gates: str) -> Relation | None:
        """The relation that computes an operand, through names for the same value; None where it is of other gates."""
        step = self.producers.get(operand) if isinstance(operand, Value) else None
        while isinstance(step, Relation) and step.gate == "alias":
            source = step.args[0]
            step = self.producers.get(source) if isinstance(source, Value) else None
        if not isinstance(step, Relation) or (gates and step.gate not in gates):
            return None
        return step

    def number(self, operand: Operand) -> int | float | None:
        """The number that an operand always is, or None."""
        if isinstance(operand, Value):
            constant = self.relation(operand, "constant")
            if constant is None or constant.attrs or not isinstance(constant.args[0], Literal):
                return None
            operand = constant.args[0]
        value = operand.value
        return value if isinstance(value, int | float) and not isinstance(value, bool) else None

    def dim(self, operand: Operand) -> Dim | None:
        """The size that an operand always is, or None."""
        if isinstance(operand, Value):
            return operand.type.number
        return Dim.of(operand.value) if type(operand.value) is int else None

    def carries(self, operand: Operand) -> bool:
        """Whether an operand can depend on a parameter by a floating path."""
        return isinstance(operand, Value) and operand in self.varied

    # Looking at a group

    def region(self, root: Relation, inputs: Collection[Value]) -> frozenset[Step] | None:
        """The relations between the inputs and the root, the root among them.

        None where a gradient could get past the inputs, or where the relations are too many for a group.
        """
        ends = {self.keys[value] for value in inputs}
        found: set[Step] = {root}
        pending: list[Step] = [root]
        while pending:
            for value in differentiable_operands(pending.pop()):
                if value not in self.varied or self.keys[value] in ends:
                    continue
                step = self.producers.get(value)
                if not isinstance(step, Relation) or len(found) == MOST_RELATIONS:
                    return None
                if step not in found:
                    found.add(step)
                    pending.append(step)
        return frozenset(found)

    def escapes(self, region: frozenset[Step], root: Relation) -> bool:
        """Whether a value inside the group, its result apart, is used outside in a way that takes a gradient."""
        for step in region:
            if step is root:
                continue
            for value in step.outs:
                if value in self.results:
                    return True
                for user in self.consumers.get(value, ()):
                    if user in region or not any(out in self.useful for out in bound_values(user)):
                        continue
                    if value in differentiable_operands(user):
                        return True
        return False

    def stages(self, region: frozenset[Step]) -> tuple[Stage, ...]:
        """The statements that a group has a part in, in order."""
        inside = {step.stage for step in region if step.stage is not None}
        return tuple(sorted(inside, key=self._order.__getitem__))


def called(what: str, *values: Operand, joined: str = "against") -> str:
    """`softmax of scores`, `softmax cross-entropy of scores against y`: by the names that there are."""
    names = [value.name if isinstance(value, Value) else "" for value in values]
    if not all(names):
        return what
    return f"{what} of {f' {joined} '.join(names)}"
