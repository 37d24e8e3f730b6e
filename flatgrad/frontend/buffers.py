"""Which values may share memory while a function is read: names, views, what helpers hand back."""

from __future__ import annotations

from flatgrad.frontend.environment import Lowered, Structure
from flatgrad.ir.core import Call, Relation, Stage, Value

Roots = frozenset[Value]


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

    def of(self, value: Value) -> Roots:
        return self.roots.get(value, frozenset())

    def own(self, value: Value) -> None:
        """A value in a buffer of its own."""
        self._share(value, frozenset((value,)))

    def alias(self, alias: Value, value: Value) -> None:
        """`t = x`: one value under two names."""
        self._origins[alias] = self._origins.get(value, value)

    def same(self, one: Value, other: Value) -> bool:
        """Whether two values are one buffer in whole, not a part of it."""
        return self._origins.get(one, one) is self._origins.get(other, other)

    def relation(self, step: Relation, view: bool) -> None:
        """The results of a relation; a view shares memory with its first operand."""
        shared: Roots = frozenset()
        if view:
            sources = step.args if step.gate.startswith("builtins.") else step.args[:1]
            shared = shared.union(*(self.of(value) for value in sources if isinstance(value, Value)))
        for out in step.outs:
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
        if value in self._members:
            self._members[named] = self._members.pop(value)
        for root in self.roots[named]:
            self._members[root] = [named if one is value else one for one in self._members[root]]

    def written(self, old: Value, new: Value, stage: Stage) -> None:
        """From `stage` on the buffer of `old` holds `new`."""
        roots = self.roots[old]
        for root in roots:
            for value in self._members[root]:
                if value is not new:
                    self.overwritten.setdefault(value, stage)
            self._members[root] = [new]
        self.roots[new] = roots
        self._origins[new] = new

    def held(self, structure: Structure, roots: Roots) -> bool:
        """Whether a display holds something that may share memory with these."""
        for item in structure.items:
            if isinstance(item, Structure) and self.held(item, roots):
                return True
            if isinstance(item, Value) and roots & self.of(item):
                return True
        return False

    def _share(self, value: Value, roots: Roots) -> None:
        self.roots[value] = roots
        for root in roots:
            self._members.setdefault(root, []).append(value)
