"""Loops: bodies with what one round hands to the next as parameters and results."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence

from flatgrad.frontend.changing import change_all
from flatgrad.frontend.environment import Binding, Collected, Filled, Poison
from flatgrad.frontend.filling import begin_filling
from flatgrad.frontend.iterating import IteratingLowering, Rounds
from flatgrad.frontend.leaving import has_break
from flatgrad.frontend.liveness import assigned_names, read_before_bound
from flatgrad.frontend.source import span_of
from flatgrad.frontend.trees import is_poisoned, leaves, same_form, sharing
from flatgrad.ir.core import UNBOUND, ZERO, Block, Literal, Loop, Stage, Type, Value

# How often a loop is read again because it hands on more than was known of it.
MOST_TRIALS = 8


class LoopLowering(IteratingLowering):
    """Lowers loops."""

    def _loop(self, statement: ast.For | ast.While) -> None:
        stage, live = self.stage, self.live
        if statement.orelse:
            self.error("FG030", "an else after a loop is not understood", statement.orelse[0], "", "use a flag instead")
            return
        rounds: Rounds | None = None
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
        # One that is read where this round need not have bound it may come from an earlier round.
        found += sorted(name for name in (changed & stored) - self.environment.keys() if name in live | exposed)
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

    def _round(
        self,
        statement: ast.For | ast.While,
        rounds: Rounds | None,
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
            assigned = assigned_names(statement.body)
            more = [
                name
                for name, binding in before.items()
                if name not in forms and self.environment.get(name) is not binding and name not in assigned
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
