"""What a loop runs over: a range, arrays, lists, the entries of a dict, and what each round binds of them."""

from __future__ import annotations

import ast
from dataclasses import dataclass, replace

from flatgrad.frontend.additions import Counting
from flatgrad.frontend.branches import BranchLowering
from flatgrad.frontend.environment import Collected, Poison, Structure, values_of
from flatgrad.frontend.keys import DictRounds, bind_entry, dict_rounds
from flatgrad.frontend.source import dotted_path, span_of
from flatgrad.ir.core import ONE, ZERO, Literal, Operand, Relation, Type, Value


@dataclass(frozen=True, slots=True)
class Rounds:
    """What a loop runs over: the index that counts its rounds, and what each round binds first.

    Attributes:
        targets: the index, or the elements at that index, with the target that each is bound to.
        backwards: the bounds are run through from their end.
        entries: what a round binds that runs over a dict.
    """

    bounds: tuple[Operand, ...]
    targets: tuple[tuple[ast.expr, Value | None], ...]
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
                case "builtins.enumerate", [inner] if isinstance(target, ast.Tuple) and len(target.elts) == 2:
                    found = self._iterated(inner, target.elts[1])
                    if found is None:
                        return None
                    if found.bounds[0] is not ZERO or any(value is None for _, value in found.targets):
                        self.error("FG030", "this enumerate is not understood", node, "", "count with range instead")
                        return None
                    return replace(found, targets=((target.elts[0], None), *found.targets))
                case "builtins.zip", [_, *_] if isinstance(target, ast.Tuple) and len(target.elts) == len(node.args):
                    return self._zipped(node, target)
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
        if isinstance(bound, Structure | Collected):
            bound = self.expressions.as_operand(bound, node)
        if isinstance(bound, Poison) or not isinstance(bound, Value):
            if not isinstance(bound, Poison):
                self.error("FG030", "this cannot be run over", node, "", "run over a range, or over an array")
            return None
        return Rounds((ZERO, self._length(bound), ONE), ((target, bound),))

    def _zipped(self, node: ast.Call, target: ast.Tuple) -> Rounds | None:
        parts = [self._iterated(one, name) for one, name in zip(node.args, target.elts, strict=True)]
        found = [part for part in parts if part is not None]
        if len(found) < len(parts):
            return None
        if any(value is None for part in found for _, value in part.targets) or any(p.backwards for p in found):
            self.error("FG030", "this zip is not understood", node, "", "run over an index: `for i in range(N)`")
            return None
        sizes = tuple(part.bounds[1] for part in found)
        stop: Operand = sizes[0]
        if len(sizes) > 1:
            least = Value("", Type.open("length"))
            names = ", ".join(f"_{k}" for k in range(len(sizes)))
            values = tuple(size for size in sizes if isinstance(size, Value))
            self.emit(Relation((least,), "opaque", values, {"text": f"min({names})", "holds": "count"}), view=False)
            stop = least
        return Rounds((ZERO, stop, ONE), tuple(one for part in found for one in part.targets))

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

    def _length(self, sequence: Value) -> Value:
        if sequence in self.expressions.lists:
            return self.length_of(sequence, None)
        size = Value("", Type.open("length"))
        self.emit(Relation((size,), "dim", (sequence,), {"axis": 0, "rank": None}), view=False)
        return size

    def _index_name(self, rounds: Rounds | None) -> str:
        for target, value in () if rounds is None else rounds.targets:
            if value is None and isinstance(target, ast.Name):
                return target.id
        return ""

    def _bind_targets(self, rounds: Rounds, index: Value) -> None:
        if rounds.entries is not None:
            bind_entry(self, rounds.entries, index)
        for target, sequence in rounds.targets:
            if sequence is None and isinstance(target, ast.Name):
                self.environment[target.id] = index
                self.names[span_of(self.module, target)] = index
            elif sequence is not None and sequence in self.expressions.lists:
                self.bind(target, self.item_of(sequence, index, None), target)
            elif sequence is not None:
                item = self.expressions.read(sequence, (index,))
                self.bind(target, item, target)

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
