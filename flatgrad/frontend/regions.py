"""Loops and branches: from control flow in the text to blocks with parameters and results.

A statement that leaves a block early is turned inside out: what follows `if test: continue` becomes the other arm of
the branch, which is then the last step of the block. So every block runs from its head to its end.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TypeVar

from flatgrad.diagnostics import Diagnostic
from flatgrad.frontend.buffers import Buffers
from flatgrad.frontend.changing import change_all
from flatgrad.frontend.closures import Argument
from flatgrad.frontend.collecting import CollectingLowering, Counting
from flatgrad.frontend.entries import EntryLowering
from flatgrad.frontend.environment import (
    Binding,
    Closure,
    Collected,
    Dictionary,
    Element,
    Filled,
    Poison,
    Static,
    Structure,
    values_of,
)
from flatgrad.frontend.filling import begin_filling, container_of, filled_with
from flatgrad.frontend.keys import DictRounds, bind_entry, dict_rounds
from flatgrad.frontend.liveness import assigned_names, read_before_bound
from flatgrad.frontend.source import dotted_path, span_of, stage_text
from flatgrad.frontend.statements import Surroundings
from flatgrad.frontend.trees import changes, is_poisoned, leaves, rebuilt, same_form, sharing
from flatgrad.ir.core import (
    Attribute,
    Block,
    Branch,
    Call,
    Literal,
    Loop,
    Operand,
    Relation,
    Span,
    Stage,
    Step,
    Type,
    Value,
)

K = TypeVar("K")
V = TypeVar("V")

# How often a loop is read again because it hands on more than was known of it.
MOST_TRIALS = 8
# What makes an array of a list of arrays of one shape.
STACKED = frozenset({"numpy.array", "numpy.asarray", "numpy.stack", "builtins.sum"})
# What reads a list as an array, and needs nothing but its shape afterwards.
SUMMED = frozenset({"numpy.sum", "numpy.mean"})
# What a `with` may say without changing a value.
QUIET = frozenset({"numpy.errstate", "numpy.printoptions", "warnings.catch_warnings"})
ZERO, ONE = Literal(0, "0"), Literal(1, "1")
UNBOUND = Literal(None, "None")


@dataclass(frozen=True, slots=True)
class _Rounds:
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


class RegionLowering(CollectingLowering):
    """Lowers statements with their control flow; `statement` and `returned` are the function's own business."""

    node: ast.FunctionDef

    def __init__(
        self, context: Surroundings, live: Mapping[ast.stmt, frozenset[str]], dropped: frozenset[ast.stmt]
    ) -> None:
        super().__init__(context)
        # What only the user's own backward code needs.
        self.dropped = dropped
        self.live_after = live
        self.heads: list[Relation] = []
        # How many loops and branches are around, and the dicts that are written to.
        self.nested = 0
        self.changed_dicts: set[Value] = set()
        # Values that are strings.
        self.texts: set[Value] = set()
        # The names of layers that are called by themselves: `self.fc1(x)`.
        self.layers: frozenset[str] = frozenset()
        # The classes of the file whose objects attributes hold.
        self.layer_classes: Mapping[str, frozenset[str]] = {}
        # Of the loops around the statement at hand: what each hands on, and whether it can be left by `break`.
        self.loops: list[tuple[Mapping[str, Binding], bool, ast.stmt]] = []

    expressions: EntryLowering

    def reader(self) -> EntryLowering:
        return _Branching(self)

    def written_entry(self, target: ast.Subscript, base: ast.Name, index: ast.expr, bound: Binding) -> bool:
        """`bn_param["running_mean"] = m` stays where it is, and carries no gradient; False for writes into arrays."""
        given = self.environment.get(base.id)
        text = isinstance(index, ast.Constant) and isinstance(index.value, str)
        key = self.expressions.static(self.expressions.lower(index)) if text else None
        if not isinstance(given, Value) or given not in self.expressions.given or key is None:
            return False
        if not isinstance(key.value, str):
            return False
        if not self.expressions.write_entry(given, key.value, bound, not self.nested):
            self.error(
                "FG030",
                f"{ast.unparse(target)} is read and then written in a loop or a branch",
                target,
                "",
                "keep it in a variable, and write it once behind",
            )
        self.changed_dicts.add(given)
        return True

    def at_head(self, step: Relation) -> None:
        """A step that comes before all others."""
        self.heads.append(step)
        self.buffers.relation(step, view=True)

    # Blocks

    def block(self, statements: Sequence[ast.stmt]) -> tuple[Value, ...] | None:
        """Lower statements; the results of the block around them if they leave it, None if they run to their end."""
        statements = [statement for statement in statements if statement not in self.dropped]
        for position, statement in enumerate(statements):
            rest = statements[position + 1 :]
            self.stage = Stage(span_of(self.module, statement), stage_text(self.module, statement))
            self.stages.append(self.stage)
            self.live = self.live_after.get(statement, frozenset())
            self.expressions.whole = statement.value if isinstance(statement, ast.Assign | ast.Return) else None
            match statement:
                case ast.If() if self.aside(statement):
                    pass
                case ast.If() if not is_check(statement):
                    left = self._if(statement, rest)
                    if left is not None:
                        return left
                    if leaves_block(statement):
                        return None
                case ast.For() | ast.While():
                    self._loop(statement)
                case ast.With(items=items) if all(self._is_quiet(item) for item in items):
                    left = self.block(statement.body)
                    if left is not None:
                        self._nothing_after(rest)
                        return left
                case ast.Continue():
                    self._nothing_after(rest)
                    return self._end_of_round(last=False)
                case ast.Break():
                    self._nothing_after(rest)
                    return self._end_of_round(last=True)
                case ast.Return():
                    self._nothing_after(rest)
                    return self.returned(statement)
                case _:
                    self.statement(statement)
        return None

    def statement(self, statement: ast.stmt) -> None:
        raise NotImplementedError

    def aside(self, statement: ast.If) -> bool:
        raise NotImplementedError

    def returned(self, statement: ast.Return) -> tuple[Value, ...]:
        raise NotImplementedError

    def changes_nothing(self, node: ast.expr) -> bool:
        """Whether working out an expression changes no value; what may change one is refused."""
        raise NotImplementedError

    def has_effects(self, node: ast.expr) -> bool:
        """Whether working out an expression draws at random or says something."""
        raise NotImplementedError

    def _is_quiet(self, item: ast.withitem) -> bool:
        """Whether a `with` only says what is warned of or printed how: its statements are what they are without it."""
        call = item.context_expr
        path = dotted_path(self.module, call.func, frozenset(self.environment)) if isinstance(call, ast.Call) else None
        return path in QUIET and item.optional_vars is None

    def _nothing_after(self, rest: Sequence[ast.stmt]) -> None:
        if rest:
            self.error("FG031", "code that is never reached", rest[0], "", "remove it")

    def _end_of_round(self, last: bool) -> tuple[Value, ...]:
        self.close_round()
        forms, breaks, statement = self.loops[-1]
        if sharing(forms.values()) != sharing(self.environment[name] for name in forms):
            self._shared(statement, forms)
            return ()
        handed: list[Value] = []
        for name, form in forms.items():
            binding = self.environment[name]
            if not same_form(form, binding):
                self.error(
                    "FG030",
                    f"{name} changes its form from round to round",
                    statement,
                    "a tuple or a list whose length differs",
                    "collect what the rounds give with `append`, once in each round",
                )
                return ()
            handed += self._values(binding)
        if breaks:
            handed.append(self.constant(Literal(last, repr(last))))
        return tuple(handed)

    def _values(self, binding: Binding) -> list[Value]:
        """The leaves of a binding as values."""
        found = leaves(binding)
        assert found is not None
        return [self.constant(leaf) if isinstance(leaf, Literal) else leaf for leaf in found]

    @contextmanager
    def _inside(self) -> Iterator[list[Step]]:
        """A block of its own; what its names stand for is forgotten at its end."""
        outer_body, outer_names = self.body, dict(self.environment)
        self.body = []
        self.nested += 1
        try:
            yield self.body
        finally:
            self.nested -= 1
            self.body = outer_body
            self.environment.clear()
            self.environment.update(outer_names)

    # Branches

    def _if(self, statement: ast.If, rest: Sequence[ast.stmt]) -> tuple[Value, ...] | None:
        stage, live = self.stage, self.live
        test = self.test(statement.test)
        if isinstance(test, Poison):
            self.poison(statement)
            return None
        if isinstance(test, Literal):
            chosen = statement.body if test.value else statement.orelse
            return self.block([*chosen, *rest] if leaves_block(statement) else chosen)
        arms = (statement.body, statement.orelse)
        for arm, other in (arms, arms[::-1]):
            if raises(arm):
                # Whoever comes past it has taken the other way.
                self.kept_as_written(arm)
                return self.block([*other, *rest] if leaves_block(statement) else other)
        if not leaves_block(statement):
            self._merge(statement, test, arms, stage, live)
            return None
        blocks: list[Block] = []
        ends: list[dict[str, Binding]] = []
        continued = [not always_leaves(arm) for arm in arms]
        errors = len(self.errors)
        if all(continued) and rest:
            self.error(
                "FG030",
                "what follows would be needed twice, once for each way through this if",
                statement,
                "one of its arms may leave the block, and neither always does",
                "let one arm leave always: `if a and b: return ...`",
            )
            return None
        for arm, goes_on in zip(arms, continued, strict=True):
            with self._inside() as body:
                left = self.block([*arm, *rest] if goes_on else list(arm))
                if left is None and self.loops and len(self.errors) == errors:
                    left = self._end_of_round(last=False)
                if left is None:
                    if len(self.errors) == errors:
                        self.error(
                            "FG061",
                            "one way through this if returns nothing",
                            statement,
                            "",
                            "a function to be differentiated returns its result on every way",
                        )
                    return ()
                blocks.append(Block((), tuple(body), left))
                ends.append(dict(self.environment))
        if len(self.errors) > errors:
            return ()
        return self._branched(test, blocks[0], blocks[1], stage, ("",) * len(blocks[0].results))

    def put(self, target: ast.Subscript, binding: Filled, bound: Binding) -> None:
        """`margins[i, j] = margin`"""
        if target is not binding.store:
            self.error(
                "FG030",
                f"an entry of {ast.unparse(target.value)} may be written again here",
                target,
                "a dict that a loop fills is filled in one place, under keys of their own",
                "fill another dict",
            )
            return
        key = self.key(target.slice)
        value = self.expressions.as_operand(bound, target)
        if isinstance(value, Poison) or isinstance(key, Poison):
            return
        assert isinstance(target.value, ast.Name)
        self.environment[target.value.id] = filled_with(self, binding, key, value)

    def added(self, target: ast.Subscript, base: Filled, change: Operand, op: ast.operator) -> None:
        """`dparams[key] += dW`"""
        key = self.key(target.slice)
        if isinstance(key, Poison) or isinstance(change, Poison):
            return
        if not isinstance(op, ast.Add | ast.Sub):
            self.error("FG030", "an entry of a dict is changed in place", target, "", "store a new value instead")
            return
        if isinstance(op, ast.Sub):
            negative = Value("", Type.open("negative"))
            self.emit(Relation((negative,), "negative", (change,)), view=False)
            change = negative
        assert isinstance(target.value, ast.Name)
        name = target.value.id
        new = Value(name, Type.open(name))
        self.emit(Relation((new,), "item_add", (base.value, change, key)), view=False)
        self.buffers.joined(new, (base.value,))
        self._changes(target.value, name, base.value, new, always_array=True)
        self.environment[name] = Filled(new, base.store)

    def contained(self, name: str, binding: Dictionary) -> Filled | None:
        return container_of(self, name, binding)

    def fuller(self, container: Filled, key: Value, value: Value) -> Filled:
        return filled_with(self, container, key, value)

    def entry_of(self, container: Filled, index: ast.expr, node: ast.expr) -> Binding:
        """`margins[i, j]`"""
        key = self.key(index)
        if isinstance(key, Poison):
            return key
        out = Value("", Type.open("entry"))
        place = self.expressions.place(node)
        self.emit(Relation((out,), "entry", (container.value, key), {"element": True}, None, place), view=True)
        return out

    def key(self, node: ast.expr) -> Operand:
        """A key of a dict that loops fill, as it is written."""
        text = not isinstance(node, ast.Name) and self.expressions.is_text(node) and self.expressions.runs(node)
        known = None
        if not text and not isinstance(node, ast.Tuple):
            known = self.expressions.static(self.expressions.lower(node))
        if known is not None:
            return known
        bound = self.environment.get(node.id) if isinstance(node, ast.Name) else None
        return bound if isinstance(bound, Value) else self.opaque(node)

    def kept_as_written(self, statements: Sequence[ast.stmt]) -> None:
        """Statements that stay in forward as they are, as no gradient comes through them."""
        for statement in statements:
            self.stages.append(Stage(span_of(self.module, statement), stage_text(self.module, statement)))
            for part in ast.walk(statement):
                bound = self.environment.get(part.id) if isinstance(part, ast.Name) else None
                if isinstance(bound, Value) and not isinstance(bound, Poison):
                    self.names[span_of(self.module, part)] = bound

    def _branched(
        self,
        test: Value,
        then: Block,
        orelse: Block,
        stage: Stage | None,
        names: Sequence[str],
        span: Span | None = None,
    ) -> tuple[Value, ...]:
        """Append a branch. Where both arms hand out what one name stands for, the result bears it."""
        outs = []
        for one, other, name in zip(then.results, orelse.results, names, strict=True):
            name = name or (one.name if one.name == other.name and span is None else "")
            out = Value(name, Type.open(name or "either"))
            outs.append(out)
            self.buffers.joined(out, (one, other))
        self.stage = stage
        span = span or (None if stage is None else stage.span)
        self.emit(Branch(tuple(outs), test, then, orelse, stage, span), view=False)
        return tuple(outs)

    def _merge(
        self,
        statement: ast.If,
        test: Value,
        arms: tuple[list[ast.stmt], list[ast.stmt]],
        stage: Stage | None,
        live: frozenset[str],
    ) -> None:
        """A branch that runs to the end of both arms: what it changes and what is read later has two origins."""
        before = dict(self.environment)
        bodies: list[list[Step]] = []
        ends: list[dict[str, Binding]] = []
        for arm in arms:
            with self._inside() as body:
                self.block(arm)
                bodies.append(body)
                ends.append(dict(self.environment))
        then, orelse = ends
        merged: list[str] = []
        stored = self.in_arms()
        for name in dict.fromkeys([*then, *orelse]):
            if name in stored.values():
                if name in then and name in orelse:
                    self.environment[name] = then[name]
            elif then.get(name) is not orelse.get(name) and (name in live or name in stored):
                merged.append(name)
            elif then.get(name) is not before.get(name):
                self.environment.pop(name, None)
                if then.get(name) is orelse.get(name) and name in then:
                    self.environment[name] = then[name]
        results: tuple[list[Value], list[Value]] = ([], [])
        forms: dict[str, Binding] = {}
        labels: list[str] = []
        for name in merged:
            one, other = then.get(name), orelse.get(name)
            form = one if one is not None else other
            assert form is not None
            if is_poisoned(form) or (other is not None and is_poisoned(other)):
                self.environment[name] = Poison.at(name)
                continue
            parts = [self._arm_values(binding, form, body) for binding, body in ((one, bodies[0]), (other, bodies[1]))]
            if parts[0] is None or parts[1] is None or (one and other and not same_form(one, other)):
                self.error(
                    "FG030",
                    f"{name} is one kind of thing or another after this",
                    statement,
                    "tuples and lists of different lengths, or a function and a number",
                    "give it the same form on both ways",
                )
                self.environment[name] = Poison.at(name)
                continue
            results[0].extend(parts[0])
            results[1].extend(parts[1])
            plain = isinstance(form, Value | Literal | Filled) and name not in stored
            labels += [name if plain else ""] * len(parts[0])
            forms[name] = form
        blocks = [Block((), tuple(body), tuple(found)) for body, found in zip(bodies, results, strict=True)]
        if not any(block.body for block in blocks) and not results[0]:
            return
        outs = iter(self._branched(test, blocks[0], blocks[1], stage, labels))
        if len({sharing(arm[name] for name in forms if name in arm) for arm in ends}) > 1:
            self._shared(statement, forms)
            return
        made: dict[int, Binding] = {}
        for name, form in forms.items():
            self._rebind(name, form, outs, made)
        for name in stored.keys() & forms.keys():
            places = {self.elements.get(arm[name]) for arm in ends}  # type: ignore[arg-type]
            bound, place = self.environment[name], places.pop()
            if not places and place is not None and isinstance(bound, Value):
                self.elements[bound] = place

    def _shared(self, statement: ast.stmt, forms: Mapping[str, Binding]) -> None:
        names = [name for name, form in forms.items() if changes(form) or sharing([form])]
        self.error(
            "FG030",
            f"{' and '.join(names[:2])} are one list or dict on one way, and not on another",
            statement,
            "",
            "make a copy: `list(...)`, `dict(...)`",
        )
        for name in forms:
            self.environment[name] = Poison.at(name)

    def _rebind(self, name: str, form: Binding, fresh: Iterator[Value], made: dict[int, Binding]) -> None:
        """Bind a name to the same form of other values; what is a part of a tuple stays that when it is named."""
        bound = rebuilt(form, fresh, made)
        if not isinstance(bound, Value | Filled):
            self.kept_unnamed |= {value for value in values_of(bound) if not value.name}
        self.environment[name] = bound

    def _arm_values(self, binding: Binding | None, form: Binding, body: list[Step]) -> list[Value] | None:
        """The leaves of what a name stands for at the end of an arm, None for each leaf where it is not bound."""
        outer, self.body = self.body, body
        try:
            if binding is not None:
                return self._values(binding) if leaves(binding) is not None else None
            found = leaves(form)
            return None if found is None else [self.constant(UNBOUND) for _ in found]
        finally:
            self.body = outer

    def conditional(self, node: ast.IfExp) -> Binding:
        """`a if test else b`."""
        test = self.test(node.test)
        if isinstance(test, Poison):
            return test
        if isinstance(test, Literal):
            return self.expressions.lower(node.body if test.value else node.orelse)
        blocks: list[Block] = []
        for arm in (node.body, node.orelse):
            outer, self.body = self.body, []
            try:
                found = self.expressions.operand(arm)
                if isinstance(found, Poison):
                    return found
                called = next((step for step in self.body if isinstance(step, Call)), None)
                if called is not None:
                    self.error(
                        "FG030",
                        f"a call of {called.function} inside a conditional expression is not understood",
                        arm,
                        "forward would call it on both ways",
                        "write it as an if statement",
                    )
                    return Poison.at()
                value = self.constant(found) if isinstance(found, Literal) else found
                blocks.append(Block((), tuple(self.body), (value,)))
            finally:
                self.body = outer
        return self._branched(test, blocks[0], blocks[1], self.stage, ("",), span_of(self.module, node))[0]

    # Tests

    def test(self, node: ast.expr) -> Value | Literal:
        """A test: folded where its outcome is known, else an opaque expression over the values that it reads.

        No gradient passes a test, so nothing of it need be understood but the names in it.
        """
        folded = self._folded(node)
        if folded is not None:
            return folded
        return self.opaque(node)

    def _folded(self, node: ast.expr) -> Literal | None:
        """What a test comes to, where the text tells."""
        decided = self.expressions.decided(node)
        return None if decided is None else Literal(decided, repr(decided))

    def opaque(self, node: ast.expr) -> Value:
        """An expression that is kept as it is written: its value has no gradient."""
        args: list[Value] = []
        text = _Placeholders(self, args).text(node)
        if text is None:
            return Poison.at()
        if not self.changes_nothing(node):
            return Poison.at()
        out = Value("", Type.open("opaque"))
        attrs: dict[str, Attribute] = {"text": text, "effect": True} if self.has_effects(node) else {"text": text}
        self.emit(Relation((out,), "opaque", tuple(args), attrs, None, span_of(self.module, node)), view=False)
        return out

    # Loops

    def _loop(self, statement: ast.For | ast.While) -> None:
        stage, live = self.stage, self.live
        if statement.orelse:
            self.error("FG030", "an else after a loop is not understood", statement.orelse[0], "", "use a flag instead")
            return
        rounds: _Rounds | None = None
        if isinstance(statement, ast.For):
            rounds = self._rounds(statement)
            if rounds is None:
                self.poison(statement)
                return
        self.reread = begin_filling(self, statement)
        collected = self.collect(statement.body, self._counting(statement, rounds))
        carried = self._carried(statement, live)
        if carried is None:
            self.poison(statement)
            return
        carried += collected
        collecting = self.collecting
        self.collecting = frozenset(collected)
        breaks = has_break(statement.body)
        forms: dict[str, Binding] = {}
        inits: list[Value] = []
        for name in carried:
            binding = self.environment.get(name)
            if binding is None:
                binding = self.constant(UNBOUND)
            forms[name] = binding
            inits += self._values(binding)
        feedback = tuple(self.buffers.of(init) for init in inits)
        for _ in range(MOST_TRIALS):
            state = self._state()
            loop, more, again = self._round(statement, rounds, forms, tuple(inits), feedback, breaks, stage)
            if loop is None or not (more or again != feedback):
                break
            self._restore(state)
            feedback = again
            for name in more:
                forms[name] = self.environment[name]
                inits += self._values(forms[name])
                feedback += tuple(self.buffers.of(init) for init in inits[len(feedback) :])
        self.collecting = collecting
        if loop is None:
            self.poison(statement)
            return
        self.stage = stage
        self.emit(loop, view=False)
        outs = iter(loop.outs)
        bound = dict.fromkeys(assigned_names(statement.body))
        for name in bound:
            if name not in forms and not isinstance(self.environment.get(name), Collected):
                self.environment.pop(name, None)
        made: dict[int, Binding] = {}
        for name, form in forms.items():
            self._rebind(name, form, outs, made)

    def _carried(self, statement: ast.For | ast.While, live: frozenset[str]) -> list[str] | None:
        """The names that a round may change and that the next one, or what comes after the loop, reads."""
        targets = [statement.target] if isinstance(statement, ast.For) else []
        bound = {part.id for target in targets for part in ast.walk(target) if isinstance(part, ast.Name)}
        changed = assigned_names(statement.body) | bound
        exposed = read_before_bound(statement.body) - bound
        if isinstance(statement, ast.While):
            exposed |= {part.id for part in ast.walk(statement.test) if isinstance(part, ast.Name)}
        found = [name for name in self.environment if name in changed and (name in live or name in exposed)]
        # `np.add.at(a, i, v)` may change what np is, as far as the form tells: a name must be bound somewhere.
        stored = {p.id for p in ast.walk(statement) if isinstance(p, ast.Name) and not isinstance(p.ctx, ast.Load)}
        found += sorted(name for name in (changed & stored) - self.environment.keys() if name in live)
        for name in found:
            binding = self.environment.get(name)
            if isinstance(binding, Collected):
                continue
            if binding is not None and is_poisoned(binding):
                return None
            if binding is not None and leaves(binding) is None:
                self.error("FG030", f"{name} is changed in a loop", statement, "it is no number and no array", "")
                return None
        return [name for name in found if not isinstance(self.environment.get(name), Collected)]

    def _counting(self, statement: ast.For | ast.While, rounds: _Rounds | None) -> Counting:
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

    def _round(
        self,
        statement: ast.For | ast.While,
        rounds: _Rounds | None,
        forms: Mapping[str, Binding],
        inits: tuple[Value, ...],
        feedback: tuple[frozenset[Value], ...],
        breaks: bool,
        stage: Stage | None,
    ) -> tuple[Loop | None, list[str], tuple[frozenset[Value], ...]]:
        """One reading of a loop: the loop, names that are carried as well, and the buffers that come back."""
        before = dict(self.environment)
        mark = self.buffers.mark()
        with self._inside() as body:
            index = Value(self._index_name(rounds), Type.open("index"))
            self.buffers.own(index)
            params: list[Value] = []
            for position, (init, label) in enumerate(zip(inits, _labels(forms), strict=True)):
                param = Value(label, Type.open(label or init.name))
                self.buffers.entering(param, feedback[position])
                params.append(param)
            fresh = iter(params)
            made: dict[int, Binding] = {}
            for name, form in forms.items():
                self._rebind(name, form, fresh, made)
            change_all(self.environment, made)
            condition: Block | None = None
            if isinstance(statement, ast.While):
                condition = self._condition(statement.test, params)
                if condition is None:
                    return None, [], feedback
            self.stage = stage
            if rounds is not None:
                self._bind_targets(rounds, index)
            self.open_round(index)
            self.loops.append((forms, breaks, statement))
            errors = len(self.errors)
            outer_depth, self.round_depth = self.round_depth, self.nested
            handed = self.block(statement.body)
            self.round_depth = outer_depth
            if handed is None and len(self.errors) == errors:
                if any(is_poisoned(self.environment.get(name, ZERO)) for name in forms):
                    self.loops.pop()
                    return None, [], feedback
                for name, form in forms.items():
                    if not same_form(form, self.environment[name]) and leaves(form) is not None:
                        self.error(
                            "FG030",
                            f"{name} changes its form from round to round",
                            statement,
                            "a tuple or a list whose length differs",
                            "collect what the rounds give with `append`",
                        )
                handed = self._end_of_round(last=False)
            self.loops.pop()
            if handed is None or len(self.errors) > errors:
                return None, [], feedback
            more = [
                name
                for name, binding in before.items()
                if name not in forms
                and self.environment.get(name) is not binding
                and name not in assigned_names(statement.body)
            ]
            again = self.buffers.handed(span_of(self.module, statement), handed[: len(params)], feedback, mark)
            loop_body = Block((index, *params), tuple(body), handed)
        outs = []
        for param, init, back in zip(params, inits, handed, strict=False):
            out = Value(param.name, Type.open(param.name))
            self.buffers.joined(out, (init, back))
            outs.append(out)
        self.buffers.rounds_end(mark)
        bounds = () if rounds is None else rounds.bounds
        backwards = rounds is not None and rounds.backwards
        counted = breaks or rounds is None
        count = Value("", Type.open("count")) if counted else None
        span = None if stage is None else stage.span
        loop = Loop(tuple(outs), inits, bounds, loop_body, condition, breaks, count, backwards, stage, span)
        return loop, more, again

    def _condition(self, test: ast.expr, params: Sequence[Value]) -> Block | None:
        outer, self.body = self.body, []
        try:
            found = self.opaque(test)
            return None if isinstance(found, Poison) else Block(tuple(params), tuple(self.body), (found,))
        finally:
            self.body = outer

    def _index_name(self, rounds: _Rounds | None) -> str:
        for target, value in () if rounds is None else rounds.targets:
            if value is None and isinstance(target, ast.Name):
                return target.id
        return ""

    def _bind_targets(self, rounds: _Rounds, index: Value) -> None:
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

    def _rounds(self, statement: ast.For) -> _Rounds | None:
        over = dict_rounds(self, statement.iter, statement.target, statement.body)
        if over is not None:
            return _Rounds((ZERO, self._length(over.keys), ONE), (), False, over)
        return self._iterated(statement.iter, statement.target)

    def _iterated(self, node: ast.expr, target: ast.expr) -> _Rounds | None:
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
        return _Rounds((ZERO, self._length(bound), ONE), ((target, bound),))

    def length_of(self, sequence: Value, node: ast.expr | None) -> Value:
        """`len(weights)`, of a list of arrays."""
        size = Value("", Type.open("length"))
        place = None if node is None else self.expressions.place(node)
        attrs: dict[str, Attribute] = {"text": "len(_0)", "holds": "count"}
        self.emit(Relation((size,), "opaque", (sequence,), attrs, None, place), view=False)
        return size

    def item_of(self, sequence: Value, key: Operand, node: ast.expr | None) -> Value:
        """`weights[i]`, of a list of arrays: what a check proves of it holds where it is read again."""
        for step in self.body:
            if isinstance(step, Relation) and step.gate == "entry" and step.args == (sequence, key):
                return step.out
        out = Value("", Type.open("item"))
        place = None if node is None else self.expressions.place(node)
        self.emit(Relation((out,), "entry", (sequence, key), {"list": True}, None, place), view=True)
        return out

    def _length(self, sequence: Value) -> Value:
        if sequence in self.expressions.lists:
            return self.length_of(sequence, None)
        size = Value("", Type.open("length"))
        self.emit(Relation((size,), "dim", (sequence,), {"axis": 0, "rank": None}), view=False)
        return size

    def _zipped(self, node: ast.Call, target: ast.Tuple) -> _Rounds | None:
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
        return _Rounds((ZERO, stop, ONE), tuple(one for part in found for one in part.targets))

    def _range(self, node: ast.Call, target: ast.expr) -> _Rounds | None:
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
        return _Rounds(bounds, ((target, None),))

    # Reading a part again

    def poison(self, statement: ast.stmt) -> None:
        for part in ast.walk(statement):
            if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
                self.environment[part.id] = Poison.at(part.id)

    def _state(self) -> _State:
        return _State(
            list(self.body),
            dict(self.environment),
            dict(self.names),
            list(self.stages),
            self.buffers.copy(),
            dict(self.rewritten),
            dict(self.questions),
            dict(self.elements),
            set(self.kept_unnamed),
            list(self.expressions.notes),
        )

    def _restore(self, state: _State) -> None:
        self.body[:] = state.body
        _refill(self.environment, state.environment)
        _refill(self.names, state.names)
        _refill(self.rewritten, state.rewritten)
        _refill(self.questions, state.questions)
        _refill(self.elements, state.elements)
        self.stages[:] = state.stages
        self.kept_unnamed.clear()
        self.kept_unnamed.update(state.kept_unnamed)
        self.expressions.notes[:] = state.notes
        self.buffers.become(state.buffers)


@dataclass(frozen=True, slots=True)
class _State:
    """All that reading a statement changes, so that it can be read again."""

    body: list[Step]
    environment: dict[str, Binding]
    names: dict[Span, Value]
    stages: list[Stage]
    buffers: Buffers
    rewritten: dict[Stage, Value]
    questions: dict[Span, Value]
    elements: dict[Value, Element]
    kept_unnamed: set[Value]
    notes: list[Diagnostic]


def _refill(mine: dict[K, V], kept: dict[K, V]) -> None:
    mine.clear()
    mine.update(kept)


class _Branching(EntryLowering):
    """Expressions with conditional ones in them, which are branches."""

    def __init__(self, around: RegionLowering) -> None:
        super().__init__(around)
        self.around = around

    def _subscript(self, node: ast.Subscript, value: ast.expr, index: ast.expr) -> Binding:
        collected = self.environment.get(value.id) if isinstance(value, ast.Name) else None
        if isinstance(collected, Collected):
            return self.around.element(collected, index, node)
        if isinstance(collected, Filled):
            return self.around.entry_of(collected, index, node)
        if isinstance(collected, Value) and collected in self.lists:
            key = self.around.key(index)
            if not isinstance(key, Poison):
                self.read_name(value, collected)  # type: ignore[arg-type]
            return key if isinstance(key, Poison) else self.around.item_of(collected, key, node)
        return super()._subscript(node, value, index)

    def call(self, node: ast.Call) -> Binding:
        match node:
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id="dict"), attr="fromkeys"),
                args=[ast.Name(id=name), ast.Constant(value=float(zero))],
            ) if zero == 0 and isinstance(base := self.environment.get(name), Filled):
                return Filled(self._relation("zeros_for", (base.value,), {}, self.place(node)))
            case ast.Call(func=ast.Name(id="len"), args=[ast.Name(id=name) as given]) if (
                isinstance(base := self.environment.get(name), Value) and base in self.lists
            ):
                self.read_name(given, base)
                return self.around.length_of(base, node)
        first = node.args[0] if node.args else None
        collected = self.environment.get(first.id) if isinstance(first, ast.Name) else None
        path = self._path(node.func)
        if isinstance(collected, Collected) and path in STACKED and len(node.args) == 1:
            return self.around.stacked(collected, node, str(path))
        return super().call(node)

    def as_operand(self, bound: Binding, node: ast.expr) -> Operand:
        if isinstance(bound, Collected):
            every = self.environment.get(bound.every)
            if isinstance(every, Value) and bound.index is None:
                return every
            return self.error("FG030", f"all of {bound.name} at once is not understood here", node)
        return super().as_operand(bound, node)

    def joined(self, node: ast.BinOp, first: Binding, second: Binding) -> Binding | None:
        for bound in (first, second):
            if isinstance(bound, Collected):
                return self.error(
                    "FG034", f"{bound.name} is a list, not an array", node, "", f"write `np.array({bound.name})`"
                )
        return super().joined(node, first, second)

    def _bound_call(
        self,
        node: ast.Call,
        path: str,
        leading: tuple[Operand, ...],
        place: ast.expr,
        given: Sequence[Argument] | None = None,
        named: Mapping[str, Argument] | None = None,
    ) -> Binding:
        for bound, _ in (*(given or ()), *(named or {}).values()):
            if isinstance(bound, Collected) and path not in SUMMED:
                return self.error(
                    "FG034", f"{bound.name} is a list, not an array", node, "", f"write `np.array({bound.name})`"
                )
        return super()._bound_call(node, path, leading, place, given, named)

    def _method_call(self, node: ast.Call, function: ast.Attribute) -> Binding:
        base = self.environment.get(function.value.id) if isinstance(function.value, ast.Name) else None
        if isinstance(base, Collected):
            return self.error("FG030", f"the method {function.attr} of {base.name} is not understood here", node)
        return super()._method_call(node, function)

    def comprehension(self, node: ast.ListComp | ast.GeneratorExp | ast.DictComp) -> Binding:
        """`{key: np.zeros(one.shape) for key, one in params.items()}`: zeros for the entries of a dict."""
        match node:
            case ast.DictComp(
                key=ast.Name(id=key),
                value=ast.Call(func=function) as value,
                generators=[
                    ast.comprehension(
                        target=ast.Tuple(elts=[ast.Name(id=first), ast.Name(id=second)]),
                        iter=ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="items"), args=[]),
                        ifs=[],
                    )
                ],
            ) if key == first and self._path(function) in ("numpy.zeros", "numpy.zeros_like"):
                base = self.environment.get(name)
                given = base.value if isinstance(base, Filled) else base
                known = isinstance(base, Filled) or (isinstance(given, Value) and given in self.given)
                if isinstance(given, Value) and known and _is_zeros_like(value, second):
                    return Filled(self._relation("zeros_for", (given,), {}, self.place(node)))
        return super().comprehension(node)

    def branch(self, node: ast.IfExp) -> Binding:
        return self.name_of_its_own(node) or self.around.conditional(node)


class _Placeholders(ast.NodeTransformer):
    """An expression with `_0`, `_1`, ... in the places of the values that it reads."""

    def __init__(self, lowering: RegionLowering, args: list[Value]) -> None:
        self.lowering = lowering
        self.args = args
        self.failed = False
        # Entries of dicts that loops fill, by their text.
        self.entries: dict[str, Binding] = {}

    def text(self, node: ast.expr) -> str | None:
        for part in ast.walk(node):
            match part:
                case ast.Subscript(value=ast.Name(id=name)) if isinstance(
                    self.lowering.environment.get(name), Filled | Collected
                ):
                    self.entries[ast.unparse(part)] = self.lowering.expressions.lower(part)
        copied = self.visit(ast.parse(ast.unparse(node), mode="eval").body)
        for part in ast.walk(node):
            bound = self.lowering.environment.get(part.id) if isinstance(part, ast.Name) else None
            if isinstance(part, ast.Name) and isinstance(bound, Value):
                self.lowering.names[span_of(self.lowering.module, part)] = bound
            if isinstance(part, ast.NamedExpr | ast.Await | ast.Yield | ast.Lambda | ast.ListComp | ast.GeneratorExp):
                self.failed = True
        if self.failed:
            self.lowering.error("FG030", "this test is not understood", node, "", "name what it compares first")
            return None
        return ast.unparse(copied)

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        entry = self.entries.get(ast.unparse(node))
        if entry is None:
            return self.generic_visit(node)
        if not isinstance(entry, Value) or isinstance(entry, Poison):
            self.failed = True
            return node
        self.args.append(entry)
        return ast.Name(f"_{len(self.args) - 1}", ast.Load())

    def visit_Name(self, node: ast.Name) -> ast.AST:
        bound = self.lowering.environment.get(node.id)
        match bound:
            case Value():
                if isinstance(bound, Poison):
                    self.failed = True
                if bound not in self.args:
                    self.args.append(bound)
                return ast.Name(f"_{self.args.index(bound)}", ast.Load())
            case Literal(text=text):
                return ast.parse(text, mode="eval").body
            case Structure() | Dictionary() | Closure() | Filled():
                self.failed = True
            case Static(path=path) if not path:
                self.failed = True
        return node


def _is_zeros_like(node: ast.Call, name: str) -> bool:
    """Whether zeros have the shape of what the name stands for."""
    match node.args[:1]:
        case [ast.Attribute(value=ast.Name(id=one), attr="shape")]:
            return one == name
        case [ast.Call(func=ast.Attribute(attr="shape"), args=[ast.Name(id=one)])]:
            return one == name
        case [ast.Name(id=one)]:
            return one == name and isinstance(node.func, ast.Attribute) and node.func.attr == "zeros_like"
    return False


def _number(operand: Operand) -> int | None:
    number = operand.value if isinstance(operand, Literal) else None
    return number if isinstance(number, int) and not isinstance(number, bool) else None


def _labels(forms: Mapping[str, Binding]) -> Iterator[str]:
    """For each leaf the name of what it is a part of; a part of a tuple has none."""
    for name, form in forms.items():
        found = leaves(form)
        assert found is not None
        plain = isinstance(form, Value | Literal | Filled)
        collected = name.endswith("]")
        for _ in found:
            if collected:
                yield name[:-3] if name.endswith("[:]") else ""
                continue
            yield name if plain else ""


# What the syntax tree tells of ways out of a block


def is_check(statement: ast.If) -> bool:
    """`if ...: raise ...`, which changes no value."""
    return not statement.orelse and all(isinstance(one, ast.Raise) for one in statement.body)


def leaves_block(statement: ast.stmt) -> bool:
    """Whether a statement may end its block: by `return`, or by `continue` or `break` of a loop around."""
    match statement:
        case ast.Return() | ast.Continue() | ast.Break():
            return True
        case ast.If(body=body, orelse=orelse):
            return any(leaves_block(one) for one in [*body, *orelse])
        case ast.For() | ast.While() | ast.With():
            return any(isinstance(part, ast.Return) for part in ast.walk(statement))
    return False


def always_leaves(statements: Sequence[ast.stmt]) -> bool:
    """Whether no way leads to the end of these statements."""
    for statement in statements:
        match statement:
            case ast.Return() | ast.Continue() | ast.Break() | ast.Raise():
                return True
            case ast.If(body=body, orelse=orelse):
                if always_leaves(body) and always_leaves(orelse):
                    return True
    return False


def raises(statements: Sequence[ast.stmt]) -> bool:
    """Whether statements end in an error, whatever they do before."""
    return bool(statements) and isinstance(statements[-1], ast.Raise)


def has_break(statements: Sequence[ast.stmt]) -> bool:
    """Whether a `break` of the loop itself stands in its body."""
    for statement in statements:
        match statement:
            case ast.Break():
                return True
            case ast.If(body=body, orelse=orelse):
                if has_break(body) or has_break(orelse):
                    return True
            case ast.With(body=body):
                if has_break(body):
                    return True
    return False
