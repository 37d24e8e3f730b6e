"""Which values may share memory while a function is read: names, views, what helpers hand back."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from flatgrad.frontend.environment import Binding, Lowered, values_of
from flatgrad.ir.core import Call, Relation, Stage, Type, Value

Roots = frozenset[Value]


@dataclass(frozen=True, slots=True)
class Mark:
    """What was known when a loop began: the values, and how many writes."""

    values: frozenset[Value]
    writes: int


class Buffers:
    """The memory behind the values.

    Attributes:
        roots: for each value, the values whose buffers it may share, itself among them if it has its own.
        overwritten: for each value whose buffer is written to later, the first stage that does so.
        lent: buffers that a helper was given and handed back, whose cache may hold them, with the helper's name.
    """

    def __init__(self) -> None:
        self.roots: dict[Value, Roots] = {}
        self.overwritten: dict[Value, Stage] = {}
        self.lent: dict[Value, str] = {}
        # Every value that may share a root's memory and has not been overwritten yet.
        self._members: dict[Value, list[Value]] = {}
        # Of an exact alias, the value that it is another name of.
        self._origins: dict[Value, Value] = {}
        self._writes: list[tuple[Roots, Stage]] = []
        # For a loop and the place of a carried value: what stands for the buffers that earlier rounds made.
        self._earlier: dict[Hashable, Value] = {}

    def of(self, value: Value) -> Roots:
        return self.roots.get(value, frozenset())

    def own(self, value: Value) -> None:
        """A value in a buffer of its own."""
        self._share(value, frozenset((value,)))

    def alias(self, alias: Value, value: Value) -> None:
        """`t = x`: one value under two names."""
        self._origins[alias] = self._origins.get(value, value)

    def origin(self, value: Value) -> Value:
        """The value that another is only a name of."""
        return self._origins.get(value, value)

    def same(self, one: Value, other: Value) -> bool:
        """Whether two values are one buffer in whole, not a part of it."""
        return self.origin(one) is self.origin(other)

    def relation(self, step: Relation, view: bool) -> None:
        """The results of a relation; a view shares memory with its first operand."""
        shared: Roots = frozenset()
        if view:
            sources = step.args if step.gate.startswith("builtins.") or step.gate in ("and", "or") else step.args[:1]
            shared = shared.union(*(self.of(value) for value in sources if isinstance(value, Value)))
        for out in step.outs:
            if step.gate == "layer":
                # What a layer hands back may be what it was given, or what it keeps.
                given = (self.of(arg) for arg in step.args[1:] if isinstance(arg, Value))
                shared = frozenset(step.outs).union(*given)
            self._share(out, shared or frozenset((out,)))

    def call(self, step: Call, callee: Lowered) -> None:
        """Results of a call share memory with its arguments and with each other where they do inside the callee."""
        given = dict(zip(callee.function.block.params, step.args, strict=True))
        fresh: dict[Value, Value] = {}
        for out, result in zip(step.outs, callee.results, strict=True):
            shared: set[Value] = set()
            for root in callee.roots[result.value]:
                argument = given.get(root)
                if isinstance(argument, Value):
                    shared |= self.of(argument)
                    self.lent |= dict.fromkeys(self.of(argument), step.function)
                elif root not in given:
                    shared.add(fresh.setdefault(root, out))
            self._share(out, frozenset(shared or {out}))

    def renamed(self, value: Value, named: Value) -> None:
        """A value that is known under another identity from now on."""
        shared = self.roots.pop(value, frozenset((value,)))
        self.roots[named] = frozenset(named if one is value else one for one in shared)
        for other in self._members.get(value, ()):
            # What else is in its buffer: a helper may hand out one array twice.
            if other is not value:
                self.roots[other] = frozenset(named if one is value else one for one in self.roots[other])
        if value in self._members:
            self._members[named] = self._members.pop(value)
        for root in self.roots[named]:
            self._members[root] = [named if one is value else one for one in self._members[root]]

    def written(self, old: Value, new: Value, stage: Stage) -> None:
        """From `stage` on the buffer of `old` holds `new`."""
        roots = self.roots[old]
        self._writes.append((roots, stage))
        for root in roots:
            for value in self._members[root]:
                if value is not new:
                    self.overwritten.setdefault(value, stage)
            self._members[root] = [new]
        self.roots[new] = roots
        self._origins[new] = new

    def held(self, binding: Binding, roots: Roots) -> bool:
        """Whether a container or a closure holds something that may share memory with these."""
        return any(roots & self.of(value) for value in values_of(binding))

    # Branches and loops

    def joined(self, out: Value, values: Sequence[Value]) -> None:
        """A value that is one of several."""
        self._share(out, frozenset().union(*(self.of(value) for value in values)) or frozenset((out,)))

    def mark(self) -> Mark:
        return Mark(frozenset(self.roots), len(self._writes))

    def entering(self, param: Value, roots: Roots) -> None:
        """A carried value on entry of a round, in what its initial value or an earlier round left."""
        self._share(param, roots)

    def handed(
        self, loop: Hashable, results: Sequence[Value], entered: tuple[Roots, ...], mark: Mark
    ) -> tuple[Roots, ...]:
        """The buffers that the carried values may be in when the next round of `loop` begins."""
        standing: dict[Value, Value] = {}
        found: list[Roots] = []
        for position, (result, before) in enumerate(zip(results, entered, strict=True)):
            key = (loop, position)
            now: set[Value] = set(before)
            for root in self.of(result):
                if root in mark.values or root not in self.roots:
                    now.add(root)
                else:
                    if key not in self._earlier:
                        self._earlier[key] = Value("", Type.open("earlier"))
                    now.add(standing.setdefault(root, self._earlier[key]))
            found.append(frozenset(now))
        return tuple(found)

    def rounds_end(self, mark: Mark) -> None:
        """What a round writes into a buffer that outlives it, the next round writes over."""
        for roots, stage in self._writes[mark.writes :]:
            kept = {root for root in roots if root in mark.values or root not in self.roots}
            for value, shared in self.roots.items():
                if kept & shared and value not in mark.values:
                    self.overwritten.setdefault(value, stage)

    def copy(self) -> Buffers:
        other = Buffers()
        other.become(self)
        return other

    def become(self, other: Buffers) -> None:
        self.roots = dict(other.roots)
        self.overwritten = dict(other.overwritten)
        self.lent = dict(other.lent)
        self._members = {root: list(values) for root, values in other._members.items()}
        self._origins = dict(other._origins)
        self._writes = list(other._writes)
        self._earlier = other._earlier

    def _share(self, value: Value, roots: Roots) -> None:
        self.roots[value] = roots
        for root in roots:
            self._members.setdefault(root, []).append(value)
