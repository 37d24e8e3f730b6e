"""Builds a block relation by relation: each is simplified as it is added, and typed by the rules of the table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from flatgrad.facts.gate_types import gate_types
from flatgrad.facts.site import RelationSite, literal_type
from flatgrad.facts.structural import structural_type
from flatgrad.ir.core import Attribute, Literal, Operand, Relation, Stage, Step, Type, Value
from flatgrad.ir.solver import Solver
from flatgrad.simplify.peephole import Rewritten, simplified


class Builder:
    """Appends relations to `body`; `definitions` finds the relation of a value."""

    def __init__(self) -> None:
        self.body: list[Step] = []
        self.definitions: dict[Value, Relation] = {}
        self.stage: Stage | None = None
        self._solver = Solver()
        self._count = 0

    @contextmanager
    def inside(self) -> Iterator[None]:
        """A block that may not run: what its lines prove holds in it alone."""
        solver = self._solver
        self._solver = solver.copy()
        try:
            yield
        finally:
            solver.skip(self._solver)
            self._solver = solver

    def add(
        self,
        gate: str,
        *args: Operand,
        attrs: Mapping[str, Attribute] | None = None,
        name: str = "",
    ) -> Operand:
        """The value of `gate(args)`: of a new relation, or of something simpler that has the same value."""
        return self.add_all(gate, args, attrs or {}, (name,))[0]

    def add_all(
        self, gate: str, args: tuple[Operand, ...], attrs: Mapping[str, Attribute], names: tuple[str, ...]
    ) -> tuple[Operand, ...]:
        if names == ("",):
            found = simplified(self, gate, args, attrs)
            if isinstance(found, Rewritten):
                return (self.add(found.gate, *found.args, attrs=found.attrs),)
            if found is not None:
                return (found,)
        return self._append(gate, args, attrs, names)

    def value(self, gate: str, *args: Operand, attrs: Mapping[str, Attribute] | None = None, name: str = "") -> Value:
        """As `add`, where the result cannot be a literal."""
        out = self.add(gate, *args, attrs=attrs, name=name)
        assert isinstance(out, Value), gate
        return out

    def _append(
        self, gate: str, args: tuple[Operand, ...], attrs: Mapping[str, Attribute], names: tuple[str, ...]
    ) -> tuple[Operand, ...]:
        draft = Relation(tuple(Value(n, Type.open("")) for n in names), gate, args, attrs, self.stage)
        outs = tuple(Value(name, one) for name, one in zip(names, self._types(draft), strict=True))
        relation = Relation(outs, gate, args, attrs, self.stage)
        self.body.append(relation)
        for out in outs:
            self.definitions[out] = relation
        return outs

    def _types(self, draft: Relation) -> list[Type]:
        # Bodies come and go: a name for what is left open is never given twice.
        self._count += 1
        label = f"b{self._count}"
        one = structural_type(draft, _type_of, self._solver, label)
        if one is not None:
            return [one]
        site = RelationSite(draft, _type_of, self._solver, label)
        return gate_types(site, draft, _type_of, self._solver)

    def type(self, operand: Operand) -> Type:
        return literal_type(operand) if isinstance(operand, Literal) else operand.type

    def site(self, relation: Relation) -> RelationSite:
        return RelationSite(relation, _type_of, self._solver, f"b{self._count}")


def _type_of(value: Value) -> Type:
    return value.type
