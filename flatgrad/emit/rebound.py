"""Values of arms that are still needed when their name is bound again: forward keeps them under another name at once.

if train:
    h = np.tanh(x)
    h_first = h
    h = h * h
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from flatgrad.ir.core import Block, Branch, Loop, Relation, Step, Value, bound_values

# The arms that a value is bound in, the outermost first: the branch, and which of its arms.
Path = tuple[tuple[Branch, int], ...]


@dataclass(slots=True)
class _Places:
    """Where the values of a block are bound.

    Attributes:
        order: a number for each value, in the order of the text.
        paths: the arms around each.
        becomes: for each value that an arm hands out, what it is after the branch.
    """

    order: dict[Value, int] = field(default_factory=dict)
    paths: dict[Value, Path] = field(default_factory=dict)
    becomes: dict[Value, list[Value]] = field(default_factory=dict)

    def visit(self, block: Block, path: Path) -> None:
        for step in block.body:
            match step:
                case Branch():
                    for position, arm in enumerate(step.arms):
                        self.visit(arm, (*path, (step, position)))
                        for result, out in zip(arm.results, step.outs, strict=True):
                            self.becomes.setdefault(result, []).append(out)
                case Loop():
                    self.visit(step.body, path)
            for value in bound_values(step):
                self.order[value] = len(self.order)
                self.paths[value] = path

    def later_forms(self, value: Value) -> set[Value]:
        """The value, and all that it is after the branches that hand it out."""
        found, rest = {value}, [value]
        while rest:
            for out in self.becomes.get(rest.pop(), ()):
                if out not in found:
                    found.add(out)
                    rest.append(out)
        return found

    def exclude(self, one: Value, other: Value) -> bool:
        """Whether two values are never both bound: they are of two arms of one branch."""
        arms = dict(self.paths[one])
        return any(arms.get(branch, arm) != arm for branch, arm in self.paths[other])


def rebound_in_arms(
    block: Block,
    kept: Collection[Value],
    conditional: Collection[Value],
    origin: Callable[[Value], Value],
) -> list[Value]:
    """The values of arms, among those `kept`, whose name stands for something else by the end of the function, or did
    before an arm that may not be run. `origin`: the value whose object another value is."""
    places = _Places()
    places.visit(block, ())
    bearers: dict[str, list[Value]] = {}
    for value in places.order:
        bearers.setdefault(value.name, []).append(value)
    params = {param.name for param in block.params}
    found = []
    for value in (one for one in places.order if one in kept):
        path = places.paths.get(value, ())
        if not value.name or not path:
            continue
        forms = places.later_forms(value)
        others = [other for other in bearers[value.name] if other not in forms and not places.exclude(value, other)]
        later = any(
            places.order[other] > places.order[value] and origin(other) is not origin(value) for other in others
        )
        before = value.name in params or any(places.order[other] < places.order[value] for other in others)
        maybe = value in conditional and not binds_always((path[0][0],), value.name)
        if later or (before and maybe):
            found.append(value)
    return found


def binds_always(steps: Collection[Step], name: str) -> bool:
    """Whether every way through steps binds a name."""
    for step in steps:
        if isinstance(step, Branch) and all(binds_always(arm.body, name) for arm in step.arms):
            return True
        written = isinstance(step, Relation) and step.gate == "write"
        if not isinstance(step, Branch | Loop) and not written and any(o.name == name for o in bound_values(step)):
            return True
    return False
