"""Lists and dicts that a loop fills, one element a round: `hs.append(h)`, `hs[t] = h`.

What the next round reads of them is what the last one stored, so that is carried like any other value. What comes after
the loop reads either the last element, or all of them: a list stands for an array of its elements then.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence
from dataclasses import replace

from flatgrad.frontend.additions import Counting, offset_of, shift_of
from flatgrad.frontend.changing import Change, change_everywhere, method_change, without
from flatgrad.frontend.environment import (
    Binding,
    Closure,
    Collected,
    Dictionary,
    Element,
    Filled,
    Poison,
    Structure,
    values_of,
)
from flatgrad.frontend.liveness import MUTATORS
from flatgrad.frontend.source import span_of
from flatgrad.frontend.statements import StatementLowering
from flatgrad.frontend.trees import leaves, same_form
from flatgrad.ir.core import UNBOUND, Literal, Operand, Relation, Stage, Type, Value, bound_values


class CollectingLowering(StatementLowering):
    """Lowers what loops collect.

    Attributes:
        nested: how many loops and branches are around the statement at hand; `round_depth`: around that of its round.
    """

    nested = 0
    round_depth = 0
    stored: dict[Stage, str]
    places: dict[Value, str]

    # What is filled with tuples or lists: those elements that are read for themselves are no arrays.
    packed: frozenset[str] = frozenset()

    # The dicts that the loop at hand fills and that are read outside of it.
    reread: frozenset[str] = frozenset()

    # Before and after a loop

    def contained(self, name: str, binding: Dictionary) -> Filled | None:
        raise NotImplementedError

    def collect(self, statements: Sequence[ast.stmt], counting: Counting) -> list[str]:
        """Make ready for what the rounds of a loop collect; the names that are carried for it."""
        names: list[str] = []
        for name, binding in list(self.environment.items()):
            if not isinstance(binding, Dictionary) and not (isinstance(binding, Structure) and binding.is_list):
                continue
            if any(_holds(other, binding) for called, other in self.environment.items() if called != name):
                continue  # what one name collects, the other sees
            found = offset_of(name, statements, counting, binding)
            if found is not None:
                names += self._begin(name, binding, found[0], found[1], counting)
        return names

    def _begin(
        self, name: str, binding: Structure | Dictionary, offset: int, always: bool, counting: Counting
    ) -> list[str]:
        is_list = isinstance(binding, Structure)
        first = None if counting.start is None else counting.start + offset
        pivot: Operand | None = None
        known: dict[object, Binding] = {}
        if isinstance(binding, Dictionary):
            known = dict(binding.items)
        else:
            first = len(binding.items)
            known = dict(enumerate(binding.items))
            pivot = self._pivot(counting, len(binding.items))
        # Without any round the last key may be one of those that are there already.
        early = first is not None and any(isinstance(key, int | float) and key < first - 1 for key in known)
        collected = Collected(
            name,
            is_list,
            first if pivot is None else None,
            offset,
            None,
            "" if early else counting.end,
            binding.span,
            pivot,
            counting.down,
            counting.ends,
            always,
        )
        carried = [collected.last, collected.before]
        newest = known.get(first - 1) if first is not None else None
        if isinstance(newest, Structure):
            # Of tuples the last one alone is kept.
            carried.pop()
        for back, entry in enumerate(carried, 1):
            found = known.get(first - back) if first is not None else None
            value: Binding = (
                found if isinstance(found, Value) else self.constant(found if isinstance(found, Literal) else UNBOUND)
            )
            if isinstance(found, Structure) and leaves(found) is not None:
                value = found
            # Its own identity: an element that has a name is not changed with it.
            self.environment[entry] = value
        if is_list and all(isinstance(item, Value | Literal) for item in known.values()):
            every = Value(name, Type.open(name))
            items = tuple(item for item in known.values() if isinstance(item, Value | Literal))
            self.emit(Relation((every,), "collection", items), view=False)
            self.environment[collected.every] = every
            carried.append(collected.every)
        if isinstance(binding, Dictionary) and name in self.reread and not early:
            container = self.contained(name, binding)
            if container is not None:
                self.environment[collected.every] = container
                carried.append(collected.every)
        self.environment[name] = collected
        return carried

    def _pivot(self, counting: Counting, length: int) -> Operand | None:
        """What the place of an element is the distance to, in a loop whose index does not tell it at once."""
        if counting.pivot is None or not length:
            return counting.pivot
        pivot = Value("", Type.open("pivot"))
        gate = "add" if counting.down else "subtract"
        self.emit(Relation((pivot,), gate, (counting.pivot, Literal(length, str(length)))), view=False)
        return pivot

    def open_round(self, index: Value) -> None:
        """The collections at the head of a round."""
        for name, binding in list(self.environment.items()):
            if isinstance(binding, Collected) and binding.last in self.collecting:
                self.environment[name] = replace(binding, index=index)
                self.environment.pop(binding.stored, None)
                for back, entry in enumerate((binding.last, binding.before), 1):
                    value = self.environment.get(entry)
                    if isinstance(value, Value) and binding.first is not None and binding.always:
                        self.elements[value] = Element(name, index, binding.offset - back)

    def in_arms(self) -> dict[str, str]:
        """What both arms of a branch may store in a round: the last element and the one before of each collection, and
        the sign that one has been stored."""
        open_ones = [one for one in self.environment.values() if isinstance(one, Collected) and one.index is not None]
        entries = [(one, entry) for one in open_ones for entry in (one.last, one.before)]
        return {entry: one.stored for one, entry in entries if entry in self.environment}

    def close_round(self) -> None:
        """What a round has stored goes to all that the loop collects."""
        for binding in list(self.environment.values()):
            if not isinstance(binding, Collected) or binding.index is None or binding.stored not in self.environment:
                continue
            every, value = self.environment.get(binding.every), self.environment[binding.last]
            if not isinstance(every, Value | Filled) or not isinstance(value, Value):
                continue
            place = self.place_in(binding)
            if isinstance(every, Filled):
                self.environment[binding.every] = self.fuller(every, place, value)
                continue
            new = Value(every.name, Type.open(every.name))
            self.emit(Relation((new,), "write", (every, value), {"index": (place,), "collects": True}), view=False)
            self.buffers.joined(new, (every, value))
            self.environment[binding.every] = new

    def place_in(self, binding: Collected) -> Value:
        """The place of what a round stores, which is how many elements there are before."""
        assert binding.index is not None
        if binding.pivot is None and not binding.offset:
            return binding.index
        place = Value("", Type.open("place"))
        operands: tuple[Operand, ...] = (binding.index, Literal(binding.offset, str(binding.offset)))
        if binding.pivot is not None:
            operands = (binding.pivot, binding.index) if binding.down else (binding.index, binding.pivot)
        gate = "add" if binding.pivot is None else "subtract"
        self.emit(Relation((place,), gate, operands), view=False)
        return place

    def fuller(self, container: Filled, key: Value, value: Value) -> Filled:
        raise NotImplementedError

    # In a round

    def append(self, statement: ast.Expr) -> bool:
        """`hs.append(h)`, `parts.extend([a, b])`, `d.update(e)`; False for any other call."""
        match statement.value:
            case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr=method), args=arguments, keywords=[]) if (
                isinstance(self.environment.get(name), Structure | Dictionary)
            ):
                return self.changed(name, method, arguments) is not None
            case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="append"), args=[argument], keywords=[]):
                binding = self.environment.get(name)
                if isinstance(binding, Collected) and binding.is_list and binding.index is not None:
                    if isinstance(form := self.environment.get(binding.last), Structure):
                        self._store_tuple(binding, form, argument)
                    else:
                        bound = self.expressions.lower(argument)
                        if isinstance(bound, Structure):
                            self.packed |= {name}
                        self.store(binding, self.expressions.as_operand(bound, argument), argument)
                    return True
                if isinstance(binding, Collected):
                    self.error("FG030", f"{name} is appended to again", statement, "", "collect in another list")
                    return True
        return False

    def changed(self, name: str, method: str, arguments: Sequence[ast.expr]) -> Change | None:
        """What a method does to a list or a dict whose elements are known: under all its names, at once."""
        old = self.environment[name]
        assert isinstance(old, Structure | Dictionary)
        if method not in MUTATORS or any(isinstance(argument, ast.Starred) for argument in arguments):
            return None
        given = [self.expressions.lower(argument) for argument in arguments]
        literals = [self.expressions.static(one) for one in given]
        found = method_change(old, method, given, [None if one is None else one.value for one in literals])
        if found is not None:
            self._become(old, found.container)
        return found

    def _become(self, old: Structure | Dictionary, new: Structure | Dictionary) -> None:
        self.kept_unnamed |= {one for one in values_of(new) if not one.name}
        change_everywhere(self.environment, old, new)

    def lengthened(self, statement: ast.AugAssign, name: str) -> bool:
        """`parts += [a, b]`; False where that is no list."""
        binding = self.environment.get(name)
        match binding, statement.op, statement.value:
            case Structure(is_list=True), ast.Add(), _:
                more = self.expressions.iterated(statement.value)
                if more is not None:
                    self._become(binding, replace(binding, items=(*binding.items, *more)))
                return True
            case Structure(is_list=False, once=False), ast.Add(), _:
                added = self.expressions.lower(statement.value)
                if isinstance(added, Structure) and not added.is_list and not added.once:
                    self.environment[name] = replace(binding, items=(*binding.items, *added.items))
                    self.kept_unnamed |= {one for one in values_of(added) if not one.name}
                    return True
            case Collected(is_list=True), ast.Add(), ast.List(elts=[element]) if binding.index is not None:
                self.store(binding, self.expressions.operand(element), element)
                return True
        return False

    def put_in_list(self, target: ast.Subscript, name: str, index: ast.expr, bound: Binding) -> bool:
        old = self.environment.get(name)
        if not isinstance(old, Structure) or not old.is_list or isinstance(index, ast.Slice):
            return False
        known = self.expressions.static(self.expressions.lower(index))
        place = None if known is None else known.value
        if not isinstance(place, int) or not -len(old.items) <= place < len(old.items):
            return False
        items = list(old.items)
        items[place] = bound
        self._become(old, replace(old, items=tuple(items)))
        return True

    def without(self, target: ast.Subscript, name: str) -> bool:
        """`del parts[0]`; False where it is not known what that is."""
        old = self.environment.get(name)
        key = self.expressions.static(self.expressions.lower(target.slice))
        if not isinstance(old, Structure | Dictionary) or key is None:
            return False
        new = without(old, key.value)
        if new is not None:
            change_everywhere(self.environment, old, new)
        return new is not None

    def _store_tuple(self, binding: Collected, form: Structure, argument: ast.expr) -> None:
        """`hs.append((h, c))`, of which the next round and what comes behind the loop read the last one."""
        bound = self.expressions.lower(argument)
        if not same_form(form, bound) or binding.stored in self.environment:
            self.error(
                "FG030",
                f"{binding.name} is filled with tuples of several forms"
                if binding.stored not in self.environment
                else f"{binding.name} is filled twice in a round",
                argument,
                "",
                "collect each part in a list of its own",
            )
            return
        self.kept_unnamed |= {one for one in values_of(bound) if not one.name}
        self.environment[binding.last] = bound
        self.environment[binding.stored] = Literal(True, "True")

    def store(self, binding: Collected, value: Operand, node: ast.expr) -> None:
        if isinstance(value, Poison):
            self.environment[binding.last] = value
            return
        if binding.stored in self.environment:
            self.error(
                "FG030", f"{binding.name} is filled twice in a round", node, "", "collect in another list or dict"
            )
            return
        if isinstance(value, Literal):
            value = self.constant(value, "", span_of(self.module, node))
        # On one way only: what was there before is that element on no other.
        elsewhere = self.nested > self.round_depth and not any(value in bound_values(step) for step in self.body)
        if value in self.elements or elsewhere:
            alias = Value("", Type.open(binding.name))
            self.emit(Relation((alias,), "alias", (value,), {}, None, span_of(self.module, node)), view=True)
            self.buffers.alias(alias, value)
            value = alias
        self.environment[binding.before] = self.environment[binding.last]
        self.environment[binding.last] = value
        self.environment[binding.stored] = Literal(True, "True")
        if binding.index is not None and binding.first is not None and binding.always:
            self.elements[value] = Element(binding.name, binding.index, binding.offset)

    def stored_at(self, target: ast.Subscript, binding: Binding, bound: Binding) -> None:
        """`hs[t] = h`, `d["W1"] = w`"""
        if self.stage is not None and isinstance(binding, Dictionary | Structure):
            self.stored[self.stage] = ast.unparse(target)
        if isinstance(binding, Dictionary):
            self._put(target, binding, bound)
            return
        if isinstance(binding, Filled):
            self.put(target, binding, bound)
            return
        assert isinstance(binding, Collected)
        if isinstance(bound, Structure):
            self.packed |= {binding.name}
        value = self.expressions.as_operand(bound, target)
        if binding.index is None:
            self.error("FG030", f"{binding.name} is written to again", target, "", "collect in another dict")
            return
        self.store(binding, value, target.slice)

    def put(self, target: ast.Subscript, binding: Filled, bound: Binding) -> None:
        raise NotImplementedError

    def _put(self, target: ast.Subscript, binding: Dictionary, bound: Binding) -> None:
        key = self.expressions.static(self.expressions.lower(target.slice))
        if key is None or isinstance(key.value, complex):
            self.error(
                "FG030",
                "which entry of the dict this is, is known only when the program runs",
                target,
                "",
                "fill it in a loop over a range, under the loop's own index",
            )
            return
        self._become(binding, binding.holding(key.value, bound))

    def written_inside(
        self, target: ast.Subscript, element: ast.Subscript, binding: Binding, index: ast.expr, bound: Binding
    ) -> None:
        """`xs[t][i] = 1`: an element that was stored is changed in place."""
        entry: str | None = None
        container = element.value.id if isinstance(element.value, ast.Name) else ""
        if isinstance(binding, Collected):
            entry = self._entry(binding, element.slice)
            old = self.environment.get(entry) if entry is not None else None
        else:
            old = self.expressions.lower(element)
        template = self.expressions.index(index)
        value = self.expressions.as_operand(bound, target)
        if template is None or isinstance(value, Poison):
            return
        if not isinstance(old, Value) or old.name or (isinstance(binding, Collected) and entry != binding.last):
            self.error(
                "FG030",
                "this element is changed in place, and may have other names",
                target,
                "",
                "change the array under a name of its own, and store it then",
            )
            return
        others = [other for name, other in self.environment.items() if name not in (entry, container)]
        inside = [one for one in values_of(binding) if one is not old] if isinstance(binding, Dictionary) else []
        roots = self.buffers.of(old)
        if any(self.buffers.held(one, roots) for one in [*others, *inside]):
            self.error(
                "FG041",
                "this changes something else as well",
                target,
                f"{ast.unparse(element)} may share memory with it",
                "store a copy, or change the array before it is stored",
            )
            return
        new = Value("", Type.open("element"))
        span = span_of(self.module, target)
        self.emit(Relation((new,), "write", (old, value), {"index": template}, None, span), view=False)
        assert self.stage is not None
        self.buffers.written(old, new, self.stage)
        place = self.elements.pop(old, None)
        if place is not None:
            self.elements[new] = place
        if isinstance(binding, Collected) and entry is not None:
            self.environment[entry] = new
        elif isinstance(binding, Dictionary):
            self._put(element, binding, new)

    def of_tuples(self, name: str, node: ast.expr) -> bool:
        """Reports an element that is read for itself, where a loop has filled a list with tuples."""
        if name in self.packed:
            self.error(
                "FG034",
                f"{name} holds tuples or lists, not arrays",
                node,
                "its elements need not be what can be calculated with",
                "collect each part in a list of its own",
            )
        return name in self.packed

    def element(self, binding: Collected, index: ast.expr, node: ast.expr) -> Binding:
        """`hs[t - 1]`, `hs[-1]`: the element that this is, under whatever name it goes."""
        entry = self._entry(binding, index)
        if binding.index is None and entry == binding.before and isinstance(self.environment.get(binding.every), Value):
            entry = None  # it is read off the list as it is then
        found = self.environment.get(entry) if entry is not None else None
        if isinstance(found, Structure):
            return found
        if self.of_tuples(binding.name, node):
            return Poison.at()
        if isinstance(found, Value):
            out = Value("", Type.open(binding.name))
            span = span_of(self.module, node)
            self.emit(Relation((out,), "alias", (found,), {}, None, span), view=True)
            self.buffers.alias(out, found)
            return out
        every = self.environment.get(binding.every)
        if isinstance(every, Filled) and binding.index is None:
            return self.entry_of(every, index, node)
        if isinstance(every, Value) and binding.index is None:
            template = self.expressions.index(index)
            return Poison.at() if template is None else self.expressions.read(every, template)
        self.error(
            "FG030",
            f"which element of {binding.name} this is, is not known",
            node,
            "in a loop that fills it, the elements of this round and of the one before are understood",
            "carry what you need in a variable of its own",
        )
        return Poison.at()

    def entry_of(self, container: Filled, index: ast.expr, node: ast.expr) -> Binding:
        raise NotImplementedError

    def _entry(self, binding: Collected, index: ast.expr) -> str | None:
        known = self.expressions.static(self.expressions.lower(index))
        number = known.value if known is not None else None
        recent = [binding.last, binding.before]
        if isinstance(number, int) and binding.is_list:
            return recent[-number - 1] if number in (-1, -2) else None
        if binding.index is None:
            ends = (f"{binding.end} - 1",) if binding.offset == 0 or binding.is_list else ()
            if any(self.environment.get(name) is not bound for name, bound in binding.ends):
                ends = ()
            return recent[0] if binding.end and ast.unparse(index) in ends and not binding.is_list else None
        shift = shift_of(index, self._names_of(binding.index))
        if shift is None or binding.first is None:
            return None
        back = binding.offset - shift
        if binding.stored not in self.environment:
            back -= 1
        return recent[back] if back in (0, 1) else None

    def _names_of(self, index: Value) -> set[str]:
        return {name for name, bound in self.environment.items() if bound is index}


def _holds(bound: Binding, container: Structure | Dictionary) -> bool:
    """Whether something is this container, or has it in it."""
    if bound is container:
        return True
    items: Iterable[Binding] = ()
    match bound:
        case Structure():
            items = bound.items
        case Dictionary():
            items = (item for _, item in bound.items)
        case Closure():
            items = bound.defaults.values()
    return any(_holds(item, container) for item in items)
