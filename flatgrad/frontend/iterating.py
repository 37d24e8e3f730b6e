"""What a loop runs over: a range, arrays, lists, the entries of a dict, and what each round binds of them."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass, replace

from flatgrad.frontend.additions import Counting
from flatgrad.frontend.branches import BranchLowering
from flatgrad.frontend.environment import Collected, Listed, Poison, Structure, values_of
from flatgrad.frontend.keys import DictRounds, bind_entry, dict_rounds
from flatgrad.frontend.source import dotted_path, span_of
from flatgrad.ir.core import ONE, ZERO, Attribute, Literal, Operand, Relation, Type, Value


@dataclass(frozen=True, slots=True)
class Place:
    """An element of a list or an array at the index and `shift`; counted from its end where it runs `backwards`."""

    sequence: Value | Listed
    shift: int = 0
    backwards: bool = False


@dataclass(frozen=True, slots=True)
class Rounds:
    """What a loop runs over: the index that counts its rounds, and what each round binds first.

    Attributes:
        targets: what each target is bound to: an element, or the index itself where that is None.
        backwards: the bounds are run through from their end.
        entries: what a round binds that runs over a dict.
    """

    bounds: tuple[Operand, ...]
    targets: tuple[tuple[ast.expr, Place | None], ...]
    backwards: bool = False
    entries: DictRounds | None = None


class IteratingLowering(BranchLowering):
    """Lowers the heads of loops."""

    def _rounds(self, statement: ast.For) -> Rounds | None:
        over = dict_rounds(self, statement.iter, statement.target, statement.body)
        if over is not None:
            return Rounds((ZERO, self._length(over.keys), ONE), (), False, over)
        return self._iterated(statement.iter, statement.target)

    def _iterated(self, node: ast.expr, target: ast.expr) -> Rounds | None:
        if isinstance(node, ast.Call) and not node.keywords:
            path = dotted_path(self.module, node.func, frozenset(self.environment))
            match path, node.args:
                case "builtins.range", [_, *_]:
                    return self._range(node, target)
                case "builtins.reversed", [inner]:
                    found = self._iterated(inner, target)
                    return None if found is None else replace(found, backwards=not found.backwards)
                case "builtins.list" | "builtins.tuple", [inner]:
                    return self._iterated(inner, target)
                case "builtins.enumerate", [inner, *start] if isinstance(target, ast.Tuple) and len(target.elts) == 2:
                    return self._enumerated(node, inner, start, target)
                case "builtins.zip", [_, *_] if isinstance(target, ast.Tuple) and len(target.elts) == len(node.args):
                    return self._zipped(node, target)
        listed = self.expressions.listed(node)
        if listed is not None and isinstance(listed.first, Value):
            self.error("FG030", "this cannot be run over", node, "", "run over an index: `for i in range(N)`")
            return None
        if listed is not None:
            bounds = (listed.first, self.stop_of(listed), ONE)
            whole = replace(listed, first=ZERO, stop=None, backwards=False)
            return Rounds(bounds, ((target, Place(whole)),), listed.backwards)
        bound = self.expressions.lower(node)
        if isinstance(bound, Structure) and any(values_of(bound)):
            self.error(
                "FG030",
                "a loop over a list that is written out is not understood",
                node,
                "its elements need not have one shape",
                "write its rounds one below the other",
            )
            return None
        gathered = self.collected(node)
        if gathered is not None:
            bound = gathered
        if isinstance(bound, Collected) and not isinstance(target, ast.Tuple) and self.of_tuples(bound.name, node):
            return None
        if isinstance(bound, Structure | Collected):
            bound = self.expressions.as_operand(bound, node)
        if isinstance(bound, Poison) or not isinstance(bound, Value):
            if not isinstance(bound, Poison):
                self.error("FG030", "this cannot be run over", node, "", "run over a range, or over an array")
            return None
        return Rounds((ZERO, self._length(bound, gathered is not None), ONE), ((target, Place(bound)),))

    def _enumerated(
        self, node: ast.Call, inner: ast.expr, start: Sequence[ast.expr], target: ast.Tuple
    ) -> Rounds | None:
        inside = self._iterated(inner, target.elts[1])
        known = [self.expressions.static(self.expressions.lower(one)) for one in start]
        first = known[0].value if known and known[0] is not None else 0
        found = None if inside is None else self._from_zero(inside)
        if inside is None:
            return None
        if found is None or len(start) > 1 or None in known or not isinstance(first, int):
            self.error("FG030", "this enumerate is not understood", node, "", "count with range instead")
            return None
        if first:
            bounds = (Literal(first, str(first)), self.shifted(found.bounds[1], first), ONE)
            found = replace(found, bounds=bounds, targets=_moved(found.targets, -first))
        return replace(found, targets=((target.elts[0], None), *found.targets))

    def _from_zero(self, rounds: Rounds) -> Rounds | None:
        """The same rounds under an index that counts from 0; None where that is not understood."""
        first, stop, step = rounds.bounds
        if any(place is None for _, place in rounds.targets) or step is not ONE or rounds.entries is not None:
            return None
        if rounds.backwards:
            whole = first is ZERO and all(place == Place(place.sequence) for _, place in rounds.targets if place)
            if not whole or len(rounds.targets) > 1:
                return None
            turned = tuple((target, replace(place, backwards=True)) for target, place in rounds.targets if place)
            return replace(rounds, targets=turned, backwards=False)
        number = _number(first)
        if number is None:
            return None
        if not number:
            return rounds
        return replace(rounds, bounds=(ZERO, self.shifted(stop, -number), ONE), targets=_moved(rounds.targets, number))

    def _zipped(self, node: ast.Call, target: ast.Tuple) -> Rounds | None:
        parts = [self._iterated(one, name) for one, name in zip(node.args, target.elts, strict=True)]
        found = [part for part in parts if part is not None]
        if len(found) < len(parts):
            return None
        starts = {_number(part.bounds[0]) for part in found}
        if len(starts) > 1 or None in starts or any(p.backwards for p in found):
            found = [part for part in map(self._from_zero, found) if part is not None]
        apart = any(place is None for part in found for _, place in part.targets)
        if len(found) < len(parts) or apart or any(part.bounds[2] is not ONE for part in found):
            self.error("FG030", "this zip is not understood", node, "", "run over an index: `for i in range(N)`")
            return None
        sizes = tuple(part.bounds[1] for part in found)
        stop: Operand = sizes[0]
        if len(sizes) > 1:
            least = Value("", Type.open("length"))
            values = tuple(size for size in sizes if isinstance(size, Value))
            names = ", ".join(f"_{values.index(s)}" if isinstance(s, Value) else s.text for s in sizes)
            self.emit(Relation((least,), "opaque", values, {"text": f"min({names})", "holds": "count"}), view=False)
            stop = least
        return Rounds((found[0].bounds[0], stop, ONE), tuple(one for part in found for one in part.targets))

    def _range(self, node: ast.Call, target: ast.expr) -> Rounds | None:
        operands = [self.expressions.operand(argument) for argument in node.args]
        if any(isinstance(operand, Poison) for operand in operands) or len(operands) > 3:
            return None
        if not isinstance(target, ast.Name):
            self.error("FG033", "this target of a loop over a range is not understood", target, "", "use a name")
            return None
        match operands:
            case [stop]:
                bounds: tuple[Operand, ...] = (ZERO, stop, ONE)
            case [start, stop]:
                bounds = (start, stop, ONE)
            case _:
                bounds = tuple(operands)
        return Rounds(bounds, ((target, None),))

    def _length(self, sequence: Value, is_list: bool = False) -> Value:
        size = Value("", Type.open("length"))
        attrs: dict[str, Attribute] = {"axis": 0, "rank": None, **({"list": True} if is_list else {})}
        self.emit(Relation((size,), "dim", (sequence,), attrs), view=False)
        return size

    def _index_name(self, rounds: Rounds | None) -> str:
        for target, value in () if rounds is None else rounds.targets:
            if value is None and isinstance(target, ast.Name):
                return target.id
        return ""

    def _bind_targets(self, rounds: Rounds, index: Value) -> None:
        if rounds.entries is not None:
            bind_entry(self, rounds.entries, index)
        for target, place in rounds.targets:
            if place is None:
                if isinstance(target, ast.Name):
                    self.environment[target.id] = index
                    self.names[span_of(self.module, target)] = index
                continue
            key: Operand = self.shifted(index, place.shift)
            if place.backwards:
                key = Value("", Type.open("place"))
                self.emit(Relation((key,), "subtract", (Literal(-1, "-1"), index)), view=False)
            if isinstance(place.sequence, Listed):
                self.bind(target, self.item_of(place.sequence, key, None), target)
            else:
                assert isinstance(key, Value)
                self.bind(target, self.expressions.read(place.sequence, (key,)), target)

    def _counting(self, statement: ast.For | ast.While, rounds: Rounds | None) -> Counting:
        if rounds is None:
            return Counting(None, 0, "")
        name = self._index_name(rounds)
        start = rounds.bounds[0]
        if rounds.bounds[2] is not ONE or rounds.backwards:
            counts_down = not rounds.backwards and _number(rounds.bounds[2]) == -1
            pivot = start if counts_down else None
            if rounds.backwards and rounds.bounds[2] is ONE:
                stop = _number(rounds.bounds[1])
                pivot = Literal(stop - 1, str(stop - 1)) if stop is not None else Value("", Type.open("pivot"))
                if isinstance(pivot, Value):
                    self.emit(Relation((pivot,), "subtract", (rounds.bounds[1], ONE)), view=False)
            return Counting(name or None, None, "", pivot, True)
        first = start.value if isinstance(start, Literal) and isinstance(start.value, int) else None
        end = ""
        if isinstance(statement, ast.For) and isinstance(statement.iter, ast.Call) and statement.iter.args:
            end = ast.unparse(statement.iter.args[1 if len(statement.iter.args) > 1 else 0])
        iterated = statement.iter if isinstance(statement, ast.For) else statement.test
        names = sorted({part.id for part in ast.walk(iterated) if isinstance(part, ast.Name)})
        ends = tuple((name, self.environment[name]) for name in names if name in self.environment)
        return Counting(name or None, first, end, start if first is None else None, False, ends)


def _number(operand: Operand) -> int | None:
    number = operand.value if isinstance(operand, Literal) else None
    return number if isinstance(number, int) and not isinstance(number, bool) else None


def _moved(targets: tuple[tuple[ast.expr, Place | None], ...], by: int) -> tuple[tuple[ast.expr, Place | None], ...]:
    return tuple((t, None if place is None else replace(place, shift=place.shift + by)) for t, place in targets)
