"""The intermediate representation: values bound once, and relations between them.

A `Function` holds one `Block`; a block binds parameters, runs relations in order and hands out results. The backward
pass is made of the same things as the forward pass. Everything is frozen and compared by identity: two values are one
only if they are the same object.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import EllipsisType
from typing import TypeGuard

from flatgrad.ir.dims import Dim, Shape


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A place in the source: lines from 1, columns from 0, in characters, the end excluded."""

    line: int
    column: int
    end_line: int
    end_column: int


class Kind(enum.Enum):
    """What a value is when the program runs."""

    SCALAR = "scalar"  # one number that nobody can change in place: a Python or NumPy scalar
    ARRAY = "array"  # an np.ndarray of one or more dims
    OPEN = "number"  # a scalar, an array of any rank, or a list that NumPy reads as one
    SHAPE = "shape"  # a tuple of integers
    DICT = "dict"  # a dict of values
    OTHER = "other"  # a string, None, a dtype: carries no numbers


class DType(enum.Enum):
    """What the numbers of a value are."""

    FLOAT = "float"  # proven to be floating
    OPEN = "open"  # floating, or an integer that stands for a number: `w = [2, -3]`
    INT = "int"
    BOOL = "bool"
    NONE = "none"  # no numbers

    @property
    def differentiable(self) -> bool:
        return self in (DType.FLOAT, DType.OPEN)

    @staticmethod
    def of(constant: object) -> DType:
        """What a constant is."""
        match constant:
            case bool():
                return DType.BOOL
            case int():
                return DType.INT
            case float():
                return DType.FLOAT
        return DType.NONE


@dataclass(frozen=True, slots=True)
class Type:
    """All that is known of a value.

    `shape` of a shape tuple is the shape that it describes; `number` is what an integer scalar holds, symbolically.
    """

    kind: Kind
    dtype: DType
    shape: Shape
    number: Dim | None = None

    @staticmethod
    def open(name: str) -> Type:
        """The type of a value of which nothing is known; unknown dims are named for it."""
        return Type(Kind.OPEN, DType.OPEN, Shape.unknown(name))

    def __str__(self) -> str:
        return str(self.shape)


@dataclass(frozen=True, slots=True, eq=False)
class Value:
    """A name bound once. `name` is the user's own, or empty for a part of a larger expression."""

    name: str
    type: Type

    @property
    def shape(self) -> Shape:
        return self.type.shape


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant, with the text that it was written with."""

    value: int | float | complex | bool | str | None
    text: str


Operand = Value | Literal

ZERO, ONE = Literal(0, "0"), Literal(1, "1")
# What stands for a value on a way through the program that does not bind it.
UNBOUND = Literal(None, "None")


def is_literal(operand: object, number: int) -> bool:
    """Whether an operand is a constant number, and which."""
    return isinstance(operand, Literal) and not isinstance(operand.value, bool) and operand.value == number


@dataclass(frozen=True, slots=True)
class Slice:
    """`start:stop:step` inside an index."""

    start: Attribute = None
    stop: Attribute = None
    step: Attribute = None


# An attribute is a constant or a template of constants with values in it: `axis=(0, 1)`, `(N, -1)`, `x[:, lo:hi]`.
Attribute = int | float | bool | str | None | EllipsisType | Value | Slice | tuple["Attribute", ...]


@dataclass(frozen=True, slots=True, eq=False)
class Stage:
    """One statement of the user's: its place, its text and, where it computes, its number in the comments."""

    span: Span
    text: str
    number: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Relation:
    """`outs = gate(args, attrs)`. `span` is the expression that was read, None for what the compiler added."""

    outs: tuple[Value, ...]
    gate: str
    args: tuple[Operand, ...]
    attrs: Mapping[str, Attribute] = field(default_factory=dict)
    stage: Stage | None = None
    span: Span | None = None

    @property
    def out(self) -> Value:
        return self.outs[0]

    def operands(self) -> Iterator[Value]:
        """Every value that the relation reads: arguments first, then those inside attributes."""
        for arg in self.args:
            if isinstance(arg, Value):
                yield arg
        for attribute in self.attrs.values():
            yield from values_in(attribute)


def is_constant_entry(step: object) -> TypeGuard[Relation]:
    """Whether a step reads the entry of a dict under a constant key: `params["W1"]`."""
    return isinstance(step, Relation) and step.gate == "entry" and len(step.args) == 1


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """`outs = function(args)`: another function of the same file, with a backward pass of its own.

    Attributes:
        effect: running it does something besides: it draws at random, or prints.
        passing: the arguments, by position, that its results depend on by a floating path; None for all.
    """

    outs: tuple[Value, ...]
    function: str
    args: tuple[Operand, ...]
    stage: Stage | None = None
    span: Span | None = None
    effect: bool = False
    passing: frozenset[int] | None = None

    def operands(self) -> Iterator[Value]:
        for arg in self.args:
            if isinstance(arg, Value):
                yield arg


@dataclass(frozen=True, slots=True, eq=False)
class Loop:
    """`outs` = `body` folded over an index, beginning with `inits`.

    The body's parameters are the index and then the carried values, its results the carried values for the next round.

    Attributes:
        bounds: start, stop and step of the index; empty for `while`, whose index counts from 0.
        condition: for `while`, a block over the carried values whose one result says whether there is another round.
        breaks: the body has one more result, which says whether this round was the last.
        count: the number of rounds that were run, where the bounds do not tell.
        backwards: the bounds are run through from their end.
    """

    outs: tuple[Value, ...]
    inits: tuple[Value, ...]
    bounds: tuple[Operand, ...]
    body: Block
    condition: Block | None = None
    breaks: bool = False
    count: Value | None = None
    backwards: bool = False
    stage: Stage | None = None
    span: Span | None = None

    @property
    def index(self) -> Value:
        return self.body.params[0]

    @property
    def carried(self) -> tuple[Value, ...]:
        """The carried values on entry of a round."""
        return self.body.params[1:]

    @property
    def handed(self) -> tuple[Value, ...]:
        """The carried values at the end of a round."""
        return self.body.results[: len(self.outs)]

    @property
    def bound(self) -> tuple[Value, ...]:
        """All that the loop binds for what comes after it."""
        return self.outs if self.count is None else (*self.outs, self.count)

    def operands(self) -> Iterator[Value]:
        yield from self.inits
        yield from (one for one in self.bounds if isinstance(one, Value))
        yield from free_values(self.body)
        if self.condition is not None:
            yield from free_values(self.condition)


@dataclass(frozen=True, slots=True, eq=False)
class Branch:
    """`outs` = the results of one of two blocks without parameters."""

    outs: tuple[Value, ...]
    test: Operand
    then: Block
    orelse: Block
    stage: Stage | None = None
    span: Span | None = None

    @property
    def bound(self) -> tuple[Value, ...]:
        return self.outs

    @property
    def arms(self) -> tuple[Block, Block]:
        return self.then, self.orelse

    def operands(self) -> Iterator[Value]:
        if isinstance(self.test, Value):
            yield self.test
        yield from free_values(self.then)
        yield from free_values(self.orelse)


Step = Relation | Call | Loop | Branch


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Parameters bound on entry, steps in order, results handed out."""

    params: tuple[Value, ...]
    body: tuple[Step, ...]
    results: tuple[Value, ...]


def bound_values(step: Step) -> tuple[Value, ...]:
    """The values that a step binds for the steps after it."""
    return step.bound if isinstance(step, Loop) else step.outs


def inner_blocks(step: Step) -> tuple[Block, ...]:
    """The blocks inside a step."""
    match step:
        case Loop(body=body, condition=condition):
            return (body,) if condition is None else (condition, body)
        case Branch(then=then, orelse=orelse):
            return (then, orelse)
        case _:
            return ()


def every_step(block: Block) -> Iterator[Step]:
    """The steps of a block, each before those of the blocks inside it."""
    for step in block.body:
        yield step
        for inner in inner_blocks(step):
            yield from every_step(inner)


def free_values(block: Block) -> Iterator[Value]:
    """The values of outside that a block reads, as often as it reads them."""
    inside = set(block.params)
    for step in block.body:
        for value in step.operands():
            if value not in inside:
                yield value
        inside.update(bound_values(step))
    for value in block.results:
        if value not in inside:
            yield value


@dataclass(frozen=True, slots=True, eq=False)
class Function:
    name: str
    block: Block


def values_in(attribute: Attribute) -> Iterator[Value]:
    """The values inside an attribute, in order."""
    match attribute:
        case Value():
            yield attribute
        case Slice(start, stop, step):
            for part in (start, stop, step):
                yield from values_in(part)
        case tuple():
            for part in attribute:
                yield from values_in(part)
        case _:
            return


def with_values(attribute: Attribute, replacement: Callable[[Value], Operand]) -> Attribute:
    """The attribute with each value in it replaced: by another value, or by the number that a literal holds."""
    match attribute:
        case Value():
            operand = replacement(attribute)
            if isinstance(operand, Literal):
                assert not isinstance(operand.value, complex)
                return operand.value
            return operand
        case Slice(start, stop, step):
            return Slice(*(with_values(part, replacement) for part in (start, stop, step)))
        case tuple():
            return tuple(with_values(part, replacement) for part in attribute)
        case _:
            return attribute
