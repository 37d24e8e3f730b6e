"""Layers: objects with `forward` and `backward` of their own. A call of one is a step of which nothing is known but
that its reverse is a call of its `backward`, which takes the gradient of the result and gives that of the input.

A layer keeps what its last forward call left on it: used twice in one pass, its backward would be wrong for the first.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from flatgrad.diagnostics import Diagnostic
from flatgrad.frontend.environment import Lowered
from flatgrad.frontend.methods import MARK, Method, spoken
from flatgrad.frontend.source import Module
from flatgrad.ir.core import (
    Block,
    Branch,
    Call,
    Kind,
    Literal,
    Loop,
    Relation,
    Slice,
    Span,
    Stage,
    Step,
    Value,
    bound_values,
    every_step,
    inner_blocks,
)

# Which elements of a list: one, all of them, or those of a slice; -1 stands for the object itself.
Place = int | None | tuple[int | None, int | None]
# One use: the object, and which elements of it where it is a list: all of them for a loop over it.
Use = tuple[Value, Place]


def _meet(one: Place, other: Place) -> bool:
    """Whether two places of a list may have an element in common."""
    if one == other or -1 in (one, other):
        return one == other
    (low, high), (begin, end) = _bounds(one), _bounds(other)
    return not (_before(high, begin) or _before(end, low))


def _bounds(place: Place) -> tuple[int | None, int | None]:
    if isinstance(place, int):
        return place, place + 1
    return (None, None) if place is None else place


def _before(end: int | None, begin: int | None) -> bool:
    """Whether what ends here ends before what begins there: both are counted from the same side."""
    return end is not None and begin is not None and (end < 0) == (begin < 0) and end <= begin


def _slice(index: object) -> Place:
    """The place that a slice of constants is; all of the list for another."""
    if not isinstance(index, Slice) or index.step is not None:
        return None
    ends = (index.start, index.stop)
    return None if any(isinstance(one, Value | tuple) for one in ends) else (_end(ends[0]), _end(ends[1]))


def _end(bound: object) -> int | None:
    return bound if isinstance(bound, int) else None


def layer_calls(block: Block) -> Iterator[Relation]:
    """The calls of layers, those inside loops and branches included."""
    for step in every_step(block):
        if isinstance(step, Relation) and step.gate == "layer":
            yield step


def layer_problems(block: Block, overwritten: Mapping[Value, Stage]) -> list[Diagnostic]:
    """What forbids to take the layers of a function apart again: one that is used twice, one whose input or result is
    changed in place."""
    found = [
        _changed(step, value, overwritten[value])
        for step in layer_calls(block)
        for value in (*step.args[1:], *step.outs)
        if isinstance(value, Value) and value in overwritten and value.type.kind is not Kind.SCALAR
    ]
    uses = _Uses(block)
    uses.visit(block, {}, ())
    return [*found, *uses.problems]


def method_problems(
    block: Block, overwritten: Mapping[Value, Stage], method: Method, module: Module, callee: Callable[[str], Lowered]
) -> list[Diagnostic]:
    """What forbids that a method calls others as steps of their own: one that runs twice in a pass, a layer that two of
    them call, an attribute of theirs that changes behind their back."""
    calls = [step for step in every_step(block) if isinstance(step, Call) and step.function in module.methods]
    if not calls:
        return []
    touched = {step.function: _touched(step.function, module, callee) for step in calls}
    changed = {value.name for value in overwritten if MARK in value.name} | method.stored
    for name, helper in method.helpers.items():
        changed |= set() if name in method.steps else _assigned(helper)
    found: list[Diagnostic] = []
    for step in calls:
        other = [touched[one.function].assigned for one in calls if one.function != step.function]
        both = sorted(changed.union(*other) & touched[step.function].read)
        if both:
            found.append(
                Diagnostic(
                    "FG045",
                    f"{spoken(both[0])} is assigned in this pass, and {step.function} reads or assigns it",
                    step.span,
                    "its backward pass would find another value",
                    "hand it over as an argument",
                )
            )
    uses = _Uses(block)

    def visit(inner: Block, used: dict[str, Span | None], loop: bool) -> None:
        for step in inner.body:
            names: set[str] = set()
            match step:
                case Relation(gate="layer"):
                    source = uses.source(step)
                    names = {source[0].name} if source is not None else set()
                    if not any(name in touched[one.function].layers for name in names for one in calls):
                        continue
                case Call() if step in calls:
                    names = {step.function, *touched[step.function].layers, *touched[step.function].methods}
                    if loop:
                        found.append(_again(step, step.function, "is called in a loop", None))
                case Branch():
                    arms = [dict(used), dict(used)]
                    for arm, before in zip(step.arms, arms, strict=True):
                        visit(arm, before, loop)
                    used |= arms[0] | arms[1]
                case Loop():
                    for body in inner_blocks(step):
                        visit(body, used, True)
            twice = sorted(name for name in names if name in used)
            if twice and isinstance(step, Call | Relation):
                found.append(_again(step, spoken(twice[0]), "is called twice in one pass", used[twice[0]]))
            if isinstance(step, Call | Relation):
                used |= dict.fromkeys(names, step.span)

    visit(block, {}, False)
    return found


def _again(step: Step, name: str, what: str, where: Span | None) -> Diagnostic:
    return Diagnostic(
        "FG044",
        f"{name} {what}",
        step.span if isinstance(step, Call | Relation) else None,
        "the second call overwrites what its backward pass needs of the first",
        "let it take and return what differs, as a function at the top level of the file",
        labels=((where, "it is called here first"),) if where is not None else (),
    )


@dataclass(frozen=True, slots=True)
class _Touched:
    """What a method reads, assigns and calls, itself or through others."""

    read: frozenset[str]
    assigned: frozenset[str]
    layers: frozenset[str]
    methods: frozenset[str]


def _touched(name: str, module: Module, callee: Callable[[str], Lowered]) -> _Touched:
    method, block = module.methods[name], callee(name).function.block
    uses = _Uses(block)
    sources = [source for step in layer_calls(block) if (source := uses.source(step)) is not None]
    inner = [
        _touched(step.function, module, callee)
        for step in every_step(block)
        if isinstance(step, Call) and step.function in module.methods
    ]
    assigned = method.stored.union(*(_assigned(helper) for helper in method.helpers.values()))
    return _Touched(
        frozenset(method.attributes).union(assigned, *(one.read for one in inner)),
        assigned.union(*(one.assigned for one in inner)),
        frozenset(base.name for base, _ in sources).union(*(one.layers for one in inner)),
        frozenset((name,)).union(*(one.methods for one in inner)),
    )


def _assigned(helper: ast.FunctionDef) -> frozenset[str]:
    parts = (part for part in ast.walk(helper) if isinstance(part, ast.Name) and MARK in part.id)
    return frozenset(part.id for part in parts if isinstance(part.ctx, ast.Store))


def lists_of_layers(block: Block) -> list[Value]:
    """The parameters that are lists of layers, in the order of their use: an object may stand in one twice."""
    uses = _Uses(block)
    found = [source for step in layer_calls(block) if (source := uses.source(step)) is not None]
    return list(dict.fromkeys(base for base, element in found if element != -1))


def single_layers(block: Block) -> list[Value]:
    """The parameters that are layers themselves, in the order of their use."""
    uses = _Uses(block)
    found = [source for step in layer_calls(block) if (source := uses.source(step)) is not None]
    return list(dict.fromkeys(base for base, element in found if element == -1))


def _changed(step: Relation, value: Value, stage: Stage) -> Diagnostic:
    name = spoken(str(step.attrs["text"]))
    what = "handed back" if value in step.outs else "was given"
    return Diagnostic(
        "FG043",
        f"this changes what {name} {what}",
        stage.span,
        f"the backward pass of {name} may need it as it was",
        "compute a new array instead",
        labels=((step.span or stage.span, f"{name} is called here"),),
    )


class _Uses:
    """Where the layers of a function come from, and whether one is used twice in a pass."""

    def __init__(self, block: Block) -> None:
        self.params = frozenset(block.params)
        self.producers: dict[Value, Step] = {out: step for step in every_step(block) for out in bound_values(step)}
        self.problems: list[Diagnostic] = []

    def source(self, call: Relation) -> Use | None:
        """The parameter that a layer is or stands in, with its place there; -1 where it is the parameter itself."""
        layer = call.args[0]
        assert isinstance(layer, Value)
        element: Place = -1
        while True:
            step = self.producers.get(layer)
            match step:
                case None:
                    return (layer, element) if layer in self.params else None
                case Relation(gate="alias", args=(Value() as inner,)):
                    layer = inner
                case Relation(gate="entry", args=(Value(),)):
                    return layer, element
                case Relation(gate="read", args=(Value() as inner,)) if element in (-1, None):
                    index = step.attrs["index"]
                    assert isinstance(index, tuple)
                    if len(index) != 1:
                        return None
                    match index[0]:
                        case Value() if element == -1:
                            element = None
                        case int() as position if element == -1:
                            last = (position, position + 1 or None)
                            element = position if position >= 0 else last
                        case Slice() if element is None:
                            element = _slice(index[0])
                        case _:
                            return None
                    layer = inner
                case _:
                    return None

    def _round(self, call: Relation) -> Value | None:
        """The index by which a loop goes through a list of layers."""
        layer = call.args[0]
        while isinstance(layer, Value):
            step = self.producers.get(layer)
            if not isinstance(step, Relation) or step.gate not in ("alias", "read"):
                return None
            if step.gate == "read":
                index = step.attrs["index"]
                assert isinstance(index, tuple)
                return index[0] if isinstance(index[0], Value) else None
            inner = step.args[0]
            layer = inner if isinstance(inner, Value) else layer
        return None

    def visit(self, block: Block, used: dict[Use, Span | None], loops: tuple[Loop, ...]) -> None:
        """Take down the uses of a block; `used` are those before it on the same way, and then its own as well."""
        for step in block.body:
            match step:
                case Relation(gate="layer"):
                    self._use(step, used, loops)
                case Branch():
                    arms = [dict(used), dict(used)]
                    for arm, found in zip(step.arms, arms, strict=True):
                        self.visit(arm, found, loops)
                    used |= arms[0] | arms[1]
                case Loop():
                    for inner in inner_blocks(step):
                        self.visit(inner, used, (*loops, step))

    def _use(self, call: Relation, used: dict[Use, Span | None], loops: tuple[Loop, ...]) -> None:
        name = spoken(str(call.attrs["text"]))
        source = self.source(call)
        if source is None:
            self._problem(call, f"which object {name} is cannot be told", "", "read it off a list that is given")
            return
        base, element = source
        index = self._round(call)
        if loops and (index is None or len(loops) > 1 or index is not loops[0].index or _repeats(loops[0])):
            self._problem(
                call,
                f"{name} is called in a loop",
                "each round would overwrite what its backward pass needs of the round before",
                "use one layer object for each round, in a list",
            )
        elif not loops and index is not None:
            self._problem(call, f"which object {name} is cannot be told", "", "run over the list of layers")
        else:
            for (other, place), where in used.items():
                if other is base and _meet(place, element):
                    self._problem(
                        call,
                        f"{name} is called twice in one pass",
                        "the second call overwrites what its backward pass needs of the first",
                        "use another layer object",
                        where,
                    )
                    break
        used[source] = call.span

    def _problem(self, call: Relation, message: str, label: str, help: str, other: Span | None = None) -> None:
        labels = ((other, "it is called here first"),) if other is not None else ()
        self.problems.append(Diagnostic("FG044", message, call.span, label, help, labels=labels))


def _repeats(loop: Loop) -> bool:
    """Whether the index of a loop may stand for one element twice: the rounds of a range never do, where all of them
    count from the same end of the list."""
    if not loop.bounds:
        return True
    start, stop, step = (one.value if isinstance(one, Literal) else None for one in loop.bounds)
    front = _at_least(start, 0), _at_least(stop, -1)  # where the range begins, and behind where it ends
    match step:
        case int() if step > 0:
            return not front[0] and not (isinstance(stop, int) and stop <= 0)
        case int() if step < 0:
            return not front[1] and not (isinstance(start, int) and start < 0)
    return step == 0 or not all(front)


def _at_least(number: object, least: int) -> bool:
    return isinstance(number, int) and number >= least
