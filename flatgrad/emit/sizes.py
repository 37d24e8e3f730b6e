"""Sizes and shapes, which are read off whatever is in the cache anyway."""

from __future__ import annotations

import ast
from dataclasses import dataclass

from flatgrad.emit.holes import Hole
from flatgrad.emit.names import is_identifier
from flatgrad.emit.overwritten import Overwritten
from flatgrad.emit.spell import spell
from flatgrad.gates.entry import TABLE
from flatgrad.ir.core import Kind, Operand, Relation, Value
from flatgrad.ir.dims import Dim


@dataclass(slots=True, eq=False)
class Sizes(Overwritten):
    """Finds what to read sizes from."""

    def size(self, relation: Relation) -> ast.expr:
        """A size or a shape: settled at the end, when it is known what is in the cache."""
        hole = Hole()
        self._pending.append((relation, hole))
        return hole

    def simplest_like(self, value: Value) -> Value:
        """What has the shape of a part of an expression and can be had more easily: x for `x * 2`."""
        while not self._has_name(value):
            producer = self._producers.get(value)
            if not isinstance(producer, Relation) or producer.gate not in TABLE or not TABLE[producer.gate].elementwise:
                break
            arrays = [arg for arg in producer.args if isinstance(arg, Value) and arg.type.kind is not Kind.SCALAR]
            if len(arrays) != 1 or arrays[0].type.shape != value.type.shape or arrays[0] in self.lowered.overwritten:
                break
            value = arrays[0]
        return value

    def settle_sizes(self) -> None:
        """Fill in the sizes that were left open."""
        counts: dict[Dim, int] = {}
        for relation, _ in self._pending:
            if relation.gate == "dim" and relation.out.type.number is not None:
                counts[relation.out.type.number] = counts.get(relation.out.type.number, 0) + 1
        settled: dict[tuple[str, object], ast.expr] = {}
        self._settling = True
        for relation, hole in self._pending:
            match relation.gate:
                case "dim":
                    hole.expression = self._dim(relation, counts, settled)
                case _:
                    hole.expression = self._whole_shape(relation)

    def _dim(self, relation: Relation, counts: dict[Dim, int], settled: dict[tuple[str, object], ast.expr]) -> ast.expr:
        number = relation.out.type.number
        if number is not None and number.constant is not None:
            return ast.Constant(number.constant)
        own = relation.out.name if self._bearers.get(relation.out.name) == 1 else ""
        named = own or self._user_name(number)
        base = relation.args[0]
        if isinstance(base, Value) and (self.steps.path(base) or self.steps.is_param(base)):
            return spell(Relation((relation.out,), "dim", (base,), relation.attrs), self.like_operand, self.names)
        key = ("dim", number if number is not None else relation.out)
        if key in settled:
            return settled[key]
        source = self._source(relation, number)
        if source is None and base in self.kept:
            # It stands in an arm, as does what is read of it.
            return spell(Relation((relation.out,), "dim", (base,), relation.attrs), self.like_operand, self.names)
        if source is None and named:
            value = next(
                v for v in self._producers if v.name == named and (v is relation.out or v.type.number == number)
            )
            expression: ast.expr = self._named(value)
        elif source is None:
            base = relation.args[0]
            assert isinstance(base, Value)
            expression = spell(Relation((relation.out,), "dim", (base,), relation.attrs), self.like_operand, self.names)
        elif relation.out in self.steps.conditional:
            # What stands in an arm need not have this rank the other way.
            return source
        elif named:
            self.preludes[named] = source
            self.scope.taken.add(named)
            expression = ast.Name(named, ast.Load())
        elif (
            number is not None
            and counts.get(number, 0) > 1
            and (symbol := number.as_symbol)
            and is_identifier(symbol)
            and symbol not in self.scope.taken
        ):
            self.preludes[symbol] = source
            self.scope.taken.add(symbol)
            expression = ast.Name(symbol, ast.Load())
        else:
            expression = source
        settled[key] = expression
        return expression

    def _user_name(self, number: Dim | None) -> str:
        return "" if number is None else self._sizes.get(number, "")

    def _source(self, relation: Relation, number: Dim | None) -> ast.expr | None:
        """Something in the cache to read a size from: the array itself, else one that is known to agree."""
        base = relation.args[0]
        if isinstance(base, Value) and base in self.kept and not self.arms.get(base):
            return spell(Relation((relation.out,), "dim", (base,), relation.attrs), self.like_operand, self.names)
        if number is None:
            return None
        # The head of backward may read it: what an arm binds need not be there.
        always = (value for value in list(self.kept) if value not in self.unbound and not self.arms.get(value))
        for value in always:
            for axis, dim in enumerate(value.type.shape.front):
                if dim == number and value.type.kind is Kind.ARRAY:
                    read = Relation((relation.out,), "dim", (value,), {"axis": axis})
                    return spell(read, self.like_operand, self.names)
        for name, gradient in self.upstream.items():
            for axis, dim in enumerate(gradient.type.shape.front):
                if dim == number and gradient.type.kind is Kind.ARRAY:
                    shape = ast.Attribute(ast.Name(name, ast.Load()), "shape", ast.Load())
                    return ast.Subscript(shape, ast.Constant(axis), ast.Load())
        return None

    def _is_there(self, value: Value, base: Operand) -> bool:
        """Whether a value is bound wherever another is: no arm binds it that the other need not stand in."""
        around = self.arms.get(value, ())
        beside = self.arms.get(base, ()) if isinstance(base, Value) else ()
        return value not in self.unbound and around == beside[: len(around)]

    def _whole_shape(self, relation: Relation) -> ast.expr:
        base = relation.args[0]
        assert isinstance(base, Value)
        base = self.simplest_like(base)
        if base not in self.kept and base not in self.hoisted:
            for value in list(self.kept):
                same = value.type.shape == base.type.shape and value.type.kind is Kind.ARRAY
                if same and self._is_there(value, base):
                    base = value
                    break
            else:
                for name, gradient in self.upstream.items():
                    same = gradient.type.shape == base.type.shape and gradient.type.kind is Kind.ARRAY
                    if same and relation.gate == "shape":
                        return ast.Attribute(ast.Name(name, ast.Load()), "shape", ast.Load())
        return spell(Relation(relation.outs, relation.gate, (base,), relation.attrs), self.like_operand, self.names)
