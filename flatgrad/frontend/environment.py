"""What a name can stand for while a function is read, and what reading it gives."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from flatgrad.diagnostics import Diagnostic
from flatgrad.ir.core import ZERO, Block, Function, Literal, Operand, Span, Stage, Step, Type, Value


@dataclass(frozen=True, slots=True, eq=False)
class Poison(Value):
    """Stands for what could not be read, so that one mistake is reported once."""

    @staticmethod
    def at(name: str = "") -> Poison:
        return Poison(name, Type.open(name))


@dataclass(frozen=True, slots=True)
class Structure:
    """A tuple or a list display: known element by element while the function is read.

    `once`: what `zip(...)`, `d.items()` or a generator gives, which is gone through where it stands and is no sequence.
    """

    items: tuple[Binding, ...]
    is_list: bool
    span: Span
    once: bool = False


Key = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Dictionary:
    """A dict with constant keys: known element by element while the function is read."""

    items: tuple[tuple[Key, Binding], ...]
    span: Span

    def get(self, key: Key) -> Binding | None:
        """What the key stands for; None where there is no such key."""
        return dict(self.items).get(key)

    def holding(self, key: Key, value: Binding) -> Dictionary:
        """The dict after `d[key] = value`: a key that is there keeps its place."""
        return Dictionary(tuple((dict(self.items) | {key: value}).items()), self.span)


@dataclass(frozen=True, slots=True)
class Static:
    """A thing with a dotted path that is not a number: a module, a function, a dtype."""

    path: str
    name: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Closure:
    """A lambda or a nested function. The names that it reads are looked up when it is called, as Python does.

    Attributes:
        defaults: what its parameters stand for where a call leaves them out, by name.
        frames: the names of the calls and comprehensions inside which it was defined, the innermost first.
        at_top: it is a function of the module, and sees no name of any other.
    """

    node: ast.Lambda | ast.FunctionDef
    defaults: Mapping[str, Binding]
    frames: tuple[dict[str, Binding], ...] = ()
    at_top: bool = False

    @property
    def name(self) -> str:
        return "the lambda" if isinstance(self.node, ast.Lambda) else self.node.name


@dataclass(frozen=True, slots=True)
class Element:
    """Where forward keeps a value of a round anyway: `container[index + shift]`."""

    container: str
    index: Value
    shift: int


@dataclass(frozen=True, slots=True)
class Collected:
    """A list or a dict that a loop fills, one element a round.

    Its elements are bound in the environment under names of their own: `last` to the one that was stored last, `before`
    to the one before that and, of a list, `every` to all of them as one value.

    Attributes:
        first: the key of what the first round stores; None where it is not a constant.
        offset: the key of what a round stores is its index and this.
        index: the index of the round at hand, None behind the loop.
        end: the text of the bound that the index does not reach, `ends` what the names in it stand for.
        always: every round stores something, whatever comes after.
        pivot: in a list, how far the index is from this is the place of what the round stores; `down`: below it.
    """

    name: str
    is_list: bool
    first: int | None
    offset: int
    index: Value | None
    end: str
    span: Span
    pivot: Value | Literal | None = None
    down: bool = False
    ends: tuple[tuple[str, Binding], ...] = ()
    always: bool = True

    @property
    def last(self) -> str:
        return f"{self.name}[-1]"

    @property
    def before(self) -> str:
        return f"{self.name}[-2]"

    @property
    def every(self) -> str:
        return f"{self.name}[:]"

    @property
    def stored(self) -> str:
        """Bound once this round has stored its element."""
        return f"{self.name}[stored]"


@dataclass(frozen=True, slots=True)
class Filled:
    """A dict that loops fill under keys of their own: a value, of which an entry is read.

    `store`: the one place where entries are written; None where they are only added to.
    """

    value: Value
    store: ast.expr | None = None


@dataclass(frozen=True, slots=True)
class Listed:
    """A list of arrays that the function is given, in part, or an element of one that is a list itself.

    Attributes:
        value: the parameter.
        depth: how deep the list is that this is a part of.
        keys: the places by which it is reached in the parameter, from outside in.
        first: the place of its first element; stop: the place behind its last one, None for the length of the list.
        backwards: it runs from its last element to its first.
    """

    value: Value
    depth: int
    keys: tuple[Operand, ...] = ()
    first: Operand = ZERO
    stop: Operand | None = None
    backwards: bool = False

    @property
    def is_whole(self) -> bool:
        return self.first is ZERO and self.stop is None and not self.backwards


Binding = Value | Literal | Structure | Dictionary | Static | Closure | Collected | Filled | Listed


def values_of(binding: Binding) -> Iterator[Value]:
    """The values that something holds, in order, as often as it holds them; those of a closure are its defaults and
    what the calls left to it inside which it was made."""
    yield from _values_of(binding, set())


def _values_of(binding: Binding, seen: set[int]) -> Iterator[Value]:
    match binding:
        case Value():
            yield binding
        case Filled(value=value) | Listed(value=value):
            yield value
        case Structure(items=items):
            for item in items:
                yield from _values_of(item, seen)
        case Dictionary(items=pairs):
            for _, item in pairs:
                yield from _values_of(item, seen)
        case Closure(defaults=defaults, frames=frames):
            for names in (defaults, *frames):
                # A function that a frame holds was made in it.
                if id(names) not in seen:
                    seen.add(id(names))
                    for item in names.values():
                        yield from _values_of(item, seen)


@dataclass(frozen=True, slots=True)
class Result:
    """One result of the function: its value, its name ('' for an expression), its place in the return statement."""

    value: Value
    name: str
    span: Span
    position: int


@dataclass(frozen=True, slots=True)
class Hidden:
    """What is read through a dict in a way through which no gradient comes back.

    Attributes:
        value: what is read, or the dict that holds it.
        span: where it is read.
        key: the key that it is stored under; '' for any.
    """

    value: Value
    span: Span | None
    key: str = ""


@dataclass(frozen=True, slots=True)
class Cover:
    """A group that is written over several statements: which, what it is, and whether it is the whole of the last."""

    stages: tuple[Stage, ...]
    text: str
    whole: bool


@dataclass(frozen=True, slots=True)
class Lowered:
    """One function as IR, and what ties it to its text.

    Attributes:
        stored: for each stage that stores an element, how forward reads it.
        names: for each occurrence of a variable in the text, the value that it denotes there.
        roots: for each value, the values whose buffers it may share, itself among them if it has its own.
        overwritten: for each value whose buffer is written to later, the first stage that does so.
        rewritten: for each stage that changes a buffer in place, the new value of that buffer.
        questions: for each in-place statement's target whose meaning hangs on scalar or array, the value before it.
        changed_dicts: parameters that are dicts and are written to; `written` has the entries.
        places: for values that a loop or a branch hands out in a tuple, a list or a dict, how forward reads them there.
        hidden: what must not carry a gradient, as it is read through dicts of settings.
        dropped: the user's own backward code.
        asides: branches that return something else than what is differentiated.
        elements: for each value that a loop collects, where.
        returns: for each return statement, the results as they stand there.
        covers: for the last statement of each group that is written over several, the groups that end there.
        width: how many things the function returns, its own cache and gradients among them.
        widths: the same for each way on which it returns, where that differs.
        sizes: of a function that gives nothing but integers and tuples of them, which of the two each result is.
        imported: it is called as it stands in another file, and its claims are held to by no guard.
        effects: running it does something besides: it draws at random, prints, or calls a function that does.
        recursive: it calls itself; `base`: what shapes it gives is to be read off this, where that is proved.
    """

    function: Function
    node: ast.FunctionDef
    stages: tuple[Stage, ...]
    names: Mapping[Span, Value]
    results: tuple[Result, ...]
    roots: Mapping[Value, frozenset[Value]]
    overwritten: Mapping[Value, Stage]
    rewritten: Mapping[Stage, Value]
    questions: Mapping[Span, Value]
    notes: tuple[Diagnostic, ...]
    returns: Mapping[Stage, tuple[Result, ...]] = field(default_factory=dict)
    elements: Mapping[Value, Element] = field(default_factory=dict)
    asides: frozenset[Stage] = frozenset()
    dropped: frozenset[ast.stmt] = frozenset()
    changed_dicts: frozenset[Value] = frozenset()
    written: frozenset[tuple[Value, str]] = frozenset()
    hidden: tuple[Hidden, ...] = ()
    places: Mapping[Value, str] = field(default_factory=dict)
    stored: Mapping[Stage, str] = field(default_factory=dict)
    covers: Mapping[Stage, tuple[Cover, ...]] = field(default_factory=dict)
    effects: bool = False
    recursive: bool = False
    base: Block | None = None
    width: int = 1
    widths: frozenset[int] = frozenset()
    sizes: tuple[str, ...] = ()
    imported: bool = False


class Emit(Protocol):
    """Takes the steps in order; `view` says that results may share memory with operands."""

    def __call__(self, step: Step, view: bool) -> None: ...
