"""Tuples, lists, dicts and strings whose elements are known while a function is read, and what goes through them."""

from __future__ import annotations

import ast
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace

from flatgrad.frontend.changing import change_everywhere, method_change
from flatgrad.frontend.environment import Binding, Dictionary, Key, Poison, Static, Structure
from flatgrad.frontend.expressions import ExpressionLowering, elements_of
from flatgrad.frontend.strings import formatted, operated, text_literal
from flatgrad.ir.core import Attribute, Literal, Operand, Span, Value

# More rounds than this are not written out.
MOST_ROUNDS = 100
# Methods of a dict that can be gone through.
VIEWS = frozenset({"keys", "values", "items"})


class ContainerLowering(ExpressionLowering):
    """Lowers expressions with displays, dicts, comprehensions and strings in them."""

    # What the statement at hand assigns or returns.
    whole: ast.expr | None = None

    # Displays

    def display(self, node: ast.Tuple | ast.List | ast.Dict) -> Binding:
        if isinstance(node, ast.Dict):
            return self._dict(node)
        items: list[Binding] = []
        for element in node.elts:
            if isinstance(element, ast.Starred):
                rest = self.iterated(element.value)
                if rest is None:
                    return Poison.at()
                items.extend(rest)
            else:
                items.append(self.lower(element))
        return Structure(tuple(items), isinstance(node, ast.List), self._span(node))

    def _dict(self, node: ast.Dict) -> Binding:
        found: dict[Key, Binding] = {}
        for key, value in zip(node.keys, node.values, strict=True):
            if key is None:
                inner = self.lower(value)
                if not isinstance(inner, Dictionary):
                    return self._poisoned(inner) or self.error(
                        "FG030", "what is in this dict is known only when the program runs", value
                    )
                found |= dict(inner.items)
                continue
            literal = self.key(key)
            if literal is None:
                return Poison.at()
            found[literal.value] = self.lower(value)  # type: ignore[index]
        return Dictionary(tuple(found.items()), self._span(node))

    def key(self, node: ast.expr) -> Literal | None:
        """A key of a dict, which has to be a constant; None where it is refused."""
        bound = self.lower(node)
        literal = self.static(bound)
        if literal is None or isinstance(literal.value, complex):
            if not isinstance(bound, Poison):
                self.error(
                    "FG030", "a key that is known only when the program runs is not understood yet", node, "",
                    "use a constant string or number",
                )  # fmt: skip
            return None
        return literal

    # Elements

    def element(self, base: Structure | Dictionary, index: ast.expr) -> Binding:
        if isinstance(base, Dictionary):
            literal = self.key(index)
            return Poison.at() if literal is None else self.item(base, literal, index)
        if base.once:
            return self.error("FG034", "this can be gone through, but has no elements", index, "", "write `list(...)`")
        if isinstance(index, ast.Slice):
            return self._part(base, index)
        bound = self.lower(index)
        literal = self.static(bound)
        position = None if literal is None else literal.value
        if isinstance(position, int):
            if -len(base.items) <= position < len(base.items):
                return base.items[position]
            what = "list" if base.is_list else "tuple"
            return self.error("FG038", f"the {what} has {len(base.items)} elements", index, "there is none here")
        if isinstance(bound, Poison):
            return bound
        return self.error(
            "FG030", "this index into a list or tuple is not understood yet", index, "", "use a constant position"
        )

    def _part(self, base: Structure, part: ast.Slice) -> Binding:
        bounds: list[int | None] = []
        for bound in (part.lower, part.upper, part.step):
            literal = None if bound is None else self.static(self.lower(bound))
            value = None if literal is None else literal.value
            known = bound is None or literal is not None
            if not known or not isinstance(value, int | None) or (bound is part.step and value == 0):
                return self.error(
                    "FG030", "this part of a list or tuple is not understood yet", part, "", "use constant bounds"
                )
            bounds.append(value)
        return Structure(base.items[slice(*bounds)], base.is_list, base.span)

    def item(self, base: Dictionary, key: Literal, node: ast.expr) -> Binding:
        found = base.get(key.value)  # type: ignore[arg-type]
        if found is not None:
            return found
        known = ", ".join(repr(name) for name, _ in base.items) or "none"
        return self.error("FG038", f"the dict has no key {key.value!r}", node, "", f"its keys: {known}")

    def contained(
        self, negated: bool, left: tuple[Binding, ast.expr], right: tuple[Binding, ast.expr], place: Span | None
    ) -> Operand:
        (item, item_node), (container, node) = left, right
        one, whole = self.static(item), self.static(container)
        if isinstance(container, Structure | Dictionary):
            elements = elements_of(container)
            literals = [self.static(element) for element in elements]
            if one is not None and None not in literals:
                found = any(literal is not None and literal.value == one.value for literal in literals)
                return Literal(found is not negated, repr(found is not negated))
            if not elements:
                return Literal(negated, repr(negated))
            asked = self.as_operand(item, item_node)
            operands = [self.as_operand(element, node) for element in elements]
            parts = [
                self.apply_operator(
                    "NotEq" if negated else "Eq", (asked, operand), place if len(operands) == 1 else None
                )
                for operand in operands
            ]
            total = parts[0]
            for part in parts[1:]:
                total = self.apply_operator(
                    "And" if negated else "Or", (total, part), place if part is parts[-1] else None
                )
            return total
        if one is not None and whole is not None and isinstance(one.value, str) and isinstance(whole.value, str):
            found = one.value in whole.value
            return Literal(found is not negated, repr(found is not negated))
        pair = (self.as_operand(item, item_node), self.as_operand(container, node))
        return self.apply_operator("NotIn" if negated else "In", pair, place)

    # Operators

    def joined(self, node: ast.BinOp, first: Binding, second: Binding) -> Binding | None:
        structures = [one for one in (first, second) if isinstance(one, Structure)]
        match node.op:
            case ast.Add() if isinstance(first, Structure) and isinstance(second, Structure):
                if first.is_list is not second.is_list or first.once or second.once:
                    return self.error("FG034", "a list and a tuple cannot be joined", node, "", "make both a list")
                return Structure(first.items + second.items, first.is_list, self._span(node))
            case ast.Add() if self.is_shape(first) or self.is_shape(second):
                return self._longer_shape(node, first, second)
            case ast.Mult() if structures:
                count = self.static(second if isinstance(first, Structure) else first)
                if count is None or not isinstance(count.value, int) or structures[0].once:
                    return self.error(
                        "FG034",
                        "a list or a tuple times a number repeats it",
                        node,
                        "",
                        "make it an array first: `np.array(...)`",
                    )
                if count.value * len(structures[0].items) > MOST_ROUNDS:
                    return self.too_long(node)
                return Structure(structures[0].items * count.value, structures[0].is_list, self._span(node))
            case ast.BitOr() if isinstance(first, Dictionary) and isinstance(second, Dictionary):
                return Dictionary(tuple((dict(first.items) | dict(second.items)).items()), self._span(node))
        return self._joined_text(node, first, second)

    def _longer_shape(self, node: ast.BinOp, first: Binding, second: Binding) -> Binding | None:
        """`(n,) + x.shape[1:]`: a longer tuple, and no sum of arrays."""
        operands: list[Operand] = []
        texts: list[str] = []
        for one in (first, second):
            items = one.items if isinstance(one, Structure) and not one.is_list and not one.once else (one,)
            if items == (one,) and not self.is_shape(one):
                return None
            parts: list[str] = []
            for item in items:
                if isinstance(item, Value):
                    parts.append(f"_{len(operands)}")
                    operands.append(item)
                elif isinstance(item, Literal):
                    parts.append(item.text)
                else:
                    return None
            texts.append(parts[0] if items == (one,) else f"({', '.join(parts)},)" if parts else "()")
        attrs: dict[str, Attribute] = {"text": " + ".join(texts), "holds": "shape"}
        out = self._relation("opaque", tuple(operands), attrs, self.place(node))
        self.shapes.add(out)
        return out

    def _joined_text(self, node: ast.BinOp, first: Binding, second: Binding) -> Binding | None:
        one, other = self.static(first), self.static(second)
        texts = [literal for literal in (one, other) if literal is not None and isinstance(literal.value, str)]
        if not texts:
            return None
        values = None if other is None else other.value
        if isinstance(second, Structure) and isinstance(node.op, ast.Mod):
            parts = [self.static(item) for item in second.items]
            if None in parts:
                return self.dynamic_string(node)
            values = tuple(part.value for part in parts if part is not None)  # type: ignore[assignment]
        elif one is None or other is None:
            return self.dynamic_string(node)
        text = operated(node.op, None if one is None else one.value, values)
        if text is None:
            return self.error("FG034", f"{ast.unparse(node)} is no string", node)
        return text_literal(text)

    def joined_string(self, node: ast.JoinedStr) -> Binding:
        parts: list[str] = []
        for part in node.values:
            match part:
                case ast.Constant(value=str(text)):
                    parts.append(text)
                case ast.FormattedValue(value=value, conversion=conversion, format_spec=form):
                    literal = self.static(self.lower(value))
                    specification = self.joined_string(form) if isinstance(form, ast.JoinedStr) else text_literal("")
                    if literal is None or not isinstance(specification, Literal):
                        return self.dynamic_string(node)
                    text_of = formatted(literal.value, conversion, str(specification.value))
                    if text_of is None:
                        return self.error("FG034", f"{ast.unparse(node)} is no string", node)
                    parts.append(text_of)
        return text_literal("".join(parts))

    def dynamic_string(self, node: ast.expr) -> Binding:
        """A string that is known only when the program runs."""
        return self.error(
            "FG030",
            "a string that is known only when the program runs is not understood yet",
            node,
            "",
            "make it of constants",
        )

    # What is gone through

    def iterated(self, node: ast.expr) -> tuple[Binding, ...] | None:
        """What an expression gives element by element; None where it is refused."""
        bound = self.lower(node)
        match bound:
            case Poison():
                return None
            case Structure() | Dictionary():
                return elements_of(bound)
            case _:
                self.dynamic_sequence(node)
                return None

    def dynamic_sequence(self, node: ast.expr) -> None:
        """What is gone through has a length that is known only when the program runs."""
        self.error(
            "FG030",
            f"how many elements {ast.unparse(node)} has is known only when the program runs",
            node,
            "",
            "go through a tuple or a list that is written out, or write a loop",
        )

    def too_long(self, node: ast.AST) -> Poison:
        return self.error(
            "FG039", f"more than {MOST_ROUNDS} elements are not written out one by one", node, "", "use an array"
        )

    def comprehension(self, node: ast.ListComp | ast.GeneratorExp | ast.DictComp) -> Binding:
        frame: dict[str, Binding] = {}
        span = self._span(node)
        if isinstance(node, ast.DictComp):
            pairs: dict[Key, Binding] = {}

            def pair(there: ContainerLowering) -> bool:
                key = there.key(node.key)
                if key is not None:
                    pairs[key.value] = there.lower(node.value)  # type: ignore[index]
                return key is not None

            done = self._rounds(node.generators, frame, pair)
            return Dictionary(tuple(pairs.items()), span) if done else Poison.at()
        element = node.elt
        items: list[Binding] = []

        def one(there: ContainerLowering) -> bool:
            items.append(there.lower(element))
            if len(items) > MOST_ROUNDS:
                there.too_long(node)
            return len(items) <= MOST_ROUNDS

        if not self._rounds(node.generators, frame, one):
            return Poison.at()
        return Structure(tuple(items), isinstance(node, ast.ListComp), span, isinstance(node, ast.GeneratorExp))

    def _rounds(
        self,
        generators: Sequence[ast.comprehension],
        frame: dict[str, Binding],
        body: Callable[[ContainerLowering], bool],
    ) -> bool:
        """Go through the generators of a comprehension; False where something is refused.

        What is gone through first is evaluated outside of the comprehension. Functions made inside it see the last
        element once it is over: one frame serves all rounds.
        """
        if not generators:
            return body(self)
        first, *rest = generators
        if first.is_async:
            self.error("FG030", "an asynchronous comprehension is not understood", first.target)
            return False
        items = self.iterated(first.iter)
        if items is None:
            return False
        there = self if any(one is frame for one in self.frames) else self.within(frame)
        for item in items:
            if not there.assign(frame, first.target, item, first.iter):
                return False
            tests = [there.decided(test) for test in first.ifs]
            if None in tests:
                test = first.ifs[tests.index(None)]
                self.error("FG030", "this condition is known only when the program runs", test, "", "write a loop")
                return False
            if all(tests) and not there._rounds(rest, frame, body):
                return False
        return True

    def assign(self, frame: dict[str, Binding], target: ast.expr, bound: Binding, node: ast.expr) -> bool:
        """Bind the names of a target that stands nowhere in the function's own text; False where it is refused."""
        match target:
            case ast.Name(id=name):
                frame[name] = bound
                return not isinstance(bound, Poison)
            case ast.Starred(value=value):
                return self.assign(frame, value, bound, node)
            case ast.Tuple(elts=targets) | ast.List(elts=targets):
                items = self.unpack_into(bound, targets, node)
                return all(self.assign(frame, one, item, node) for one, item in zip(targets, items, strict=True))
        self.error("FG033", "this target is not understood", target, "", "bind a plain name")
        return False

    # Functions that go through something

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

    # Methods

    def container_method(self, node: ast.Call, base: Structure | Dictionary, method: str) -> Binding:
        """A method of a tuple, a list or a dict that changes nothing."""
        span = self._span(node)
        match base, method, node.args:
            case Dictionary(), "get", [key, *default] if len(default) < 2 and not node.keywords:
                literal = self.key(key)
                if literal is None:
                    return Poison.at()
                found = base.get(literal.value)  # type: ignore[arg-type]
                if found is not None:
                    return found
                return self.lower(default[0]) if default else Literal(None, "None")
            case Dictionary(), "items", []:
                pairs = [Structure((Literal(k, repr(k)), v), False, span) for k, v in base.items]
                return Structure(tuple(pairs), False, span, once=True)
            case Dictionary(), "keys", []:
                return Structure(elements_of(base), False, span, once=True)
            case Dictionary(), "values", []:
                return Structure(tuple(value for _, value in base.items), False, span, once=True)
            case Dictionary(), "copy", []:
                return replace(base)
            case Structure(is_list=True), "copy", []:
                return replace(base)
        taken = self._taken(node, base) if method == "pop" else None
        if taken is not None:
            return taken
        kind = "dict" if isinstance(base, Dictionary) else "list" if base.is_list else "tuple"
        return self.error(
            "FG030", f"the method {method} of a {kind} is not understood here", node, "", "build a new one instead"
        )

    def _taken(self, node: ast.Call, base: Structure | Dictionary) -> Binding | None:
        """`last = parts.pop()`, where that is the whole of a statement: nothing else tells when it is done, and how
        often."""
        if node is not self.whole or node.keywords or not isinstance(self.environment, dict):
            return None
        given = [self.lower(argument) for argument in node.args]
        literals = [self.static(one) for one in given]
        found = method_change(base, "pop", given, [None if one is None else one.value for one in literals])
        if found is None or found.result is None:
            return None
        change_everywhere(self.environment, base, found.container)
        return found.result

    def _poisoned(self, bound: Binding) -> Poison | None:
        return bound if isinstance(bound, Poison) else None

    # What subclasses know of

    frames: tuple[dict[str, Binding], ...]

    @abstractmethod
    def within(self, frame: dict[str, Binding]) -> ContainerLowering:
        """The same lowering inside a comprehension or a function, whose names are in `frame`."""

    @abstractmethod
    def applied(
        self,
        function: Binding,
        positional: Sequence[tuple[Binding, ast.expr]],
        keywords: dict[str, tuple[Binding, ast.expr]],
        node: ast.Call,
    ) -> Binding:
        """The result of a function for arguments that are known."""


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


_THROUGH: dict[str, Callable[[ContainerLowering, ast.Call], Binding | None]] = {
    "builtins.zip": ContainerLowering._zip,
    "builtins.enumerate": ContainerLowering._enumerate,
    "builtins.reversed": ContainerLowering._reversed,
    "builtins.range": ContainerLowering._range,
    "builtins.map": ContainerLowering._map,
    "functools.reduce": ContainerLowering._reduce,
    "builtins.tuple": ContainerLowering._tuple,
    "builtins.list": ContainerLowering._list,
    "builtins.dict": ContainerLowering._dict_call,
    "builtins.sum": ContainerLowering._summed,
    "builtins.max": ContainerLowering._largest,
    "builtins.min": ContainerLowering._smallest,
    "builtins.any": ContainerLowering._any,
    "builtins.all": ContainerLowering._all,
    "builtins.isinstance": ContainerLowering._isinstance,
    "builtins.hasattr": ContainerLowering._hasattr,
}
