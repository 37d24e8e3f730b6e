"""Functions of Python's own that go through their argument: `zip`, `sum`, `max`, `isinstance`."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence

from flatgrad.frontend.displays import MOST_ROUNDS
from flatgrad.frontend.environment import Binding, Dictionary, Key, Poison, Static, Structure
from flatgrad.frontend.expression_base import elements_of
from flatgrad.frontend.going_through import GoingThroughLowering
from flatgrad.ir.core import Literal, Operand, Value


class BuiltinLowering(GoingThroughLowering):
    """Lowers calls of built-in functions with arguments that are known while a function is read."""

    def through(self, path: str, node: ast.Call) -> Binding | None:
        """The built-in functions that go through their argument; None for any other call, and where an argument is an
        array and the table has a gate for that."""
        rule = _THROUGH.get(path)
        if rule is None or any(isinstance(argument, ast.Starred) for argument in node.args):
            return None
        return rule(self, node)

    def _sequences(self, node: ast.Call) -> list[tuple[Binding, ...]] | None:
        found = []
        for argument in node.args:
            items = self.iterated(argument)
            if items is None:
                return None
            found.append(items)
        return found

    def _gone_through(self, node: ast.Call, items: Sequence[Binding]) -> Structure:
        return Structure(tuple(items), False, self._span(node), once=True)

    def _zip(self, node: ast.Call) -> Binding:
        sequences = self._sequences(node)
        if sequences is None:
            return Poison.at()
        if any(keyword.arg != "strict" for keyword in node.keywords):
            return self.error("FG023", "this form of zip is not understood", node)
        if node.keywords and len({len(one) for one in sequences}) > 1:
            return self.error("FG038", "zip goes through sequences of different lengths", node)
        span = self._span(node)
        return self._gone_through(node, [Structure(items, False, span) for items in zip(*sequences, strict=False)])

    def _enumerate(self, node: ast.Call) -> Binding:
        start = [keyword.value for keyword in node.keywords if keyword.arg == "start"] + node.args[1:]
        first = self.static(self.lower(start[0])) if start else Literal(0, "0")
        items = self.iterated(node.args[0]) if node.args else None
        if items is None:
            return Poison.at()
        if first is None or not isinstance(first.value, int):
            return self.error("FG030", "where this enumerate begins is known only when the program runs", node)
        span = self._span(node)
        numbered = enumerate(items, first.value)
        return self._gone_through(
            node, [Structure((Literal(number, repr(number)), item), False, span) for number, item in numbered]
        )

    def _reversed(self, node: ast.Call) -> Binding:
        sequences = self._sequences(node)
        return Poison.at() if sequences is None else self._gone_through(node, sequences[0][::-1])

    def _range(self, node: ast.Call) -> Binding:
        bounds: list[int] = []
        for argument in node.args:
            bound = self.lower(argument)
            if isinstance(bound, Poison):
                return bound
            literal = self.static(bound)
            if literal is None or not isinstance(literal.value, int):
                self.dynamic_sequence(node)
                return Poison.at()
            bounds.append(literal.value)
        try:
            numbers = range(*bounds)
        except (TypeError, ValueError):
            return self.error("FG023", "this form of range is not understood", node)
        if len(numbers) > MOST_ROUNDS:
            return self.too_long(node)
        return self._gone_through(node, [Literal(number, repr(number)) for number in numbers])

    def _map(self, node: ast.Call) -> Binding:
        function = self.lower(node.args[0])
        sequences = [self.iterated(argument) for argument in node.args[1:]]
        if isinstance(function, Poison) or None in sequences:
            return Poison.at()
        rounds = zip(*(items for items in sequences if items is not None), strict=False)
        there = self.within({})
        return self._gone_through(
            node, [there.applied(function, [(item, node) for item in items], {}, node) for items in rounds]
        )

    def _reduce(self, node: ast.Call) -> Binding:
        function = self.lower(node.args[0])
        items = self.iterated(node.args[1])
        start = [self.lower(argument) for argument in node.args[2:]]
        if isinstance(function, Poison) or items is None:
            return Poison.at()
        rest = [*start, *items]
        if not rest:
            return self.error("FG038", "there is nothing to reduce", node)
        total = rest[0]
        there = self.within({})
        for item in rest[1:]:
            total = there.applied(function, [(total, node), (item, node)], {}, node)
        return total

    def _collected(self, node: ast.Call, is_list: bool) -> Binding | None:
        span = self._span(node)
        if not node.args:
            return Structure((), is_list, span)
        bound = self.lower(node.args[0])
        if isinstance(bound, Structure | Dictionary):
            return Structure(elements_of(bound), is_list, span)
        if isinstance(bound, Value) and bound in self._shapes and not is_list:
            return bound
        if not isinstance(bound, Poison):
            self.dynamic_sequence(node.args[0])
        return Poison.at()

    def _tuple(self, node: ast.Call) -> Binding | None:
        return self._collected(node, False)

    def _list(self, node: ast.Call) -> Binding | None:
        return self._collected(node, True)

    def _dict_call(self, node: ast.Call) -> Binding:
        found: dict[Key, Binding] = {}
        for argument in node.args:
            bound = self.lower(argument)
            if isinstance(bound, Poison):
                return bound
            if isinstance(bound, Dictionary):
                found |= dict(bound.items)
                continue
            for pair in bound.items if isinstance(bound, Structure) else ():
                key = self.static(pair.items[0]) if isinstance(pair, Structure) and len(pair.items) == 2 else None
                if key is None or not isinstance(pair, Structure):
                    return self.error("FG030", "what is in this dict is known only when the program runs", node)
                found[key.value] = pair.items[1]  # type: ignore[index]
            if not isinstance(bound, Structure):
                return self.error("FG030", "what is in this dict is known only when the program runs", node)
        for keyword in node.keywords:
            inner = self.lower(keyword.value)
            if keyword.arg is not None:
                found[keyword.arg] = inner
            elif isinstance(inner, Dictionary):
                found |= dict(inner.items)
            else:
                return self._poisoned(inner) or self.error(
                    "FG030", "what is in this dict is known only when the program runs", node
                )
        return Dictionary(tuple(found.items()), self._span(node))

    def _summed(self, node: ast.Call) -> Binding | None:
        start = [keyword.value for keyword in node.keywords if keyword.arg == "start"] + node.args[1:]
        items = self._known_items(node)
        if items is None:
            return None
        first = self.lower(start[0]) if start else Literal(0, "0")
        return self._folded(node, [first, *items], "Add")

    def _largest(self, node: ast.Call) -> Binding | None:
        return self._extreme(node, "builtins.max")

    def _smallest(self, node: ast.Call) -> Binding | None:
        return self._extreme(node, "builtins.min")

    def _extreme(self, node: ast.Call, path: str) -> Binding | None:
        """`max(xs)` and `max(a, b, c)`: the largest of the first two, then of that and the next."""
        if node.keywords:
            return None
        items: Sequence[Binding] | None = self._known_items(node) if len(node.args) == 1 else None
        if len(node.args) > 1:
            items = [self.lower(argument) for argument in node.args]
        if items is None:
            return None
        if not items:
            return self.error("FG038", "there is no largest of nothing", node)
        return self._folded(node, items, path)

    def _folded(self, node: ast.Call, items: Sequence[Binding], path: str) -> Binding:
        """What a function of two makes of the first two, then of that and the next."""
        total = items[0]
        for position, item in enumerate(items[1:], 1):
            if isinstance(total, Poison) or isinstance(item, Poison):
                return Poison.at()
            one, other = self.static(total), self.static(item)
            place = self.place(node) if position == len(items) - 1 else None
            if path == "Add":
                if isinstance(total, Structure) and isinstance(item, Structure):
                    total = Structure(total.items + item.items, total.is_list, self._span(node))
                else:
                    operands = (self.as_operand(total, node), self.as_operand(item, node))
                    total = self.apply_operator("Add", operands, place)
                continue
            numbers = [n.value for n in (one, other) if n is not None and isinstance(n.value, int | float)]
            if len(numbers) == 2:
                number = max(numbers) if path == "builtins.max" else min(numbers)
                total = Literal(number, repr(number))
            else:
                operands = (self.as_operand(total, node), self.as_operand(item, node))
                total = self._relation(path, operands, {}, place)
        return total

    def _any(self, node: ast.Call) -> Binding | None:
        return self._all_or_any(node, "Or")

    def _all(self, node: ast.Call) -> Binding | None:
        return self._all_or_any(node, "And")

    def _all_or_any(self, node: ast.Call, path: str) -> Binding | None:
        items = self._known_items(node)
        if items is None:
            return None
        stops = path == "Or"
        open_items: list[Operand] = []
        for item in items:
            decided = self.truth(item)
            if decided is stops:
                return Literal(stops, repr(stops))
            if decided is None:
                operand = self.as_operand(item, node)
                open_items.append(self._relation("bool", (operand,), {}, None))
        if not open_items:
            return Literal(not stops, repr(not stops))
        total: Operand = open_items[0]
        for position, operand in enumerate(open_items[1:], 1):
            place = self.place(node) if position == len(open_items) - 1 else None
            total = self.apply_operator(path, (total, operand), place)
        return total

    def _known_items(self, node: ast.Call) -> tuple[Binding, ...] | None:
        """The elements of the first argument, None where it is an array: then nothing is emitted."""
        if not node.args:
            return None
        probe = self.aside()
        if not isinstance(probe.lower(node.args[0]), Structure | Dictionary):
            return None
        return self.iterated(node.args[0])

    def _isinstance(self, node: ast.Call) -> Binding:
        if len(node.args) != 2 or node.keywords:
            return self.error("FG023", "this form of isinstance is not understood", node)
        bound, asked = self.lower(node.args[0]), self.lower(node.args[1])
        classes = _class_names(asked)
        own = self._classes(bound)
        if isinstance(bound, Poison) or isinstance(asked, Poison):
            return Poison.at()
        if own is None or classes is None:
            return self.error(
                "FG030", "what this is an instance of is known only when the program runs", node, "",
                "write one function for each kind of argument",
            )  # fmt: skip
        found = bool(own & classes)
        return Literal(found, repr(found))

    def _hasattr(self, node: ast.Call) -> Binding:
        bound = self.lower(node.args[0]) if len(node.args) == 2 else None
        name = self.static(self.lower(node.args[1])) if len(node.args) == 2 else None
        literal = self.static(bound)
        if isinstance(bound, Poison):
            return bound
        if literal is None or name is None or not isinstance(name.value, str):
            return self.error(
                "FG030", "what attributes this has is known only when the program runs", node, "",
                "write one function for each kind of argument",
            )  # fmt: skip
        found = hasattr(literal.value, name.value)
        return Literal(found, repr(found))

    def _classes(self, bound: Binding) -> frozenset[str] | None:
        match bound:
            case Structure(is_list=is_list, once=False):
                return frozenset({"builtins.list" if is_list else "builtins.tuple"})
            case Dictionary():
                return frozenset({"builtins.dict"})
        literal = self.static(bound)
        if literal is None:
            return None
        named = {one.__name__ for one in type(literal.value).__mro__ if one is not object}
        return frozenset(f"builtins.{name}" for name in named)


def _class_names(bound: Binding) -> frozenset[str] | None:
    match bound:
        case Static(path=path) if path.startswith("builtins."):
            return frozenset({path})
        case Static(path="numpy.ndarray" as path):
            return frozenset({path})
        case Structure(items=items):
            names = [_class_names(item) for item in items]
            return None if None in names else frozenset().union(*(name for name in names if name is not None))
    return None


_THROUGH: dict[str, Callable[[BuiltinLowering, ast.Call], Binding | None]] = {
    "builtins.zip": BuiltinLowering._zip,
    "builtins.enumerate": BuiltinLowering._enumerate,
    "builtins.reversed": BuiltinLowering._reversed,
    "builtins.range": BuiltinLowering._range,
    "builtins.map": BuiltinLowering._map,
    "functools.reduce": BuiltinLowering._reduce,
    "builtins.tuple": BuiltinLowering._tuple,
    "builtins.list": BuiltinLowering._list,
    "builtins.dict": BuiltinLowering._dict_call,
    "builtins.sum": BuiltinLowering._summed,
    "builtins.max": BuiltinLowering._largest,
    "builtins.min": BuiltinLowering._smallest,
    "builtins.any": BuiltinLowering._any,
    "builtins.all": BuiltinLowering._all,
    "builtins.isinstance": BuiltinLowering._isinstance,
    "builtins.hasattr": BuiltinLowering._hasattr,
}
