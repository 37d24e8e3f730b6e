"""Loops and branches, reversed: a loop to one that runs the other way, a branch to one on the same test."""

from __future__ import annotations

from dataclasses import dataclass

from flatgrad.analysis import differentiable_operands
from flatgrad.differentiate.access import AccessWalk
from flatgrad.differentiate.contributions import Scope, gradient_name, gradient_type
from flatgrad.differentiate.rules import refusal_at
from flatgrad.ir.core import (
    ONE,
    ZERO,
    Block,
    Branch,
    Kind,
    Literal,
    Loop,
    Operand,
    Relation,
    Stage,
    Step,
    Type,
    Value,
    bound_values,
    every_step,
    is_constant_entry,
    is_literal,
)
from flatgrad.ir.rewrite import mapped_block


@dataclass(slots=True, eq=False)
class _Arm:
    """One arm of a branch, reversed: its steps, and the adjoints at its end."""

    body: list[Step]
    scope: Scope


def _array_type(one: Type) -> Type:
    """A gradient that has dims is an array, whatever its value may be."""
    return Type(Kind.ARRAY, one.dtype, one.shape) if one.kind is Kind.OPEN and one.shape.least_rank else one


class RegionWalk(AccessWalk):
    """The walk through loops and branches; what is inside them is reversed like everything else."""

    def run_through(self, block: Block) -> None:
        for step in reversed(block.body):
            self.reverse(step)

    def zeros(self, value: Value) -> Value:
        """Zeros that gradients of a value are added to, in a dtype that holds them."""
        name = gradient_name(value)
        if value in self.handed_back:
            loop, position, entering = self.handed_back[value]
            if value.type.shape == loop.handed[position].type.shape:
                found = self._like(entering, name)
                self.hints.setdefault(found, value)
                return found
        like = self.arrived[0]
        if like.type.shape.least_rank:
            return self.zeros_for(value, like, name=name)
        return self.zeros_for(value, name=name)

    # Loops

    def reverse_loop(self, loop: Loop) -> None:
        """Carried gradients go from round to round, those of values from outside add up over the rounds."""
        outer, outer_body, stage = self.scope, self.build.body, self.build.stage
        carried = [k for k, out in enumerate(loop.outs) if out in self.active or loop.carried[k] in self.active]
        inner = Scope(loop.body, outer, is_loop=True)
        self.scope, self.build.body = inner, []
        entering = {}
        for k in carried:
            name = gradient_name(loop.outs[k])
            # At its head a round backward has the gradient of what the round handed on.
            entering[k] = Value(name, _array_type(gradient_type(loop.handed[k].type)))
            self.hints[entering[k]] = loop.carried[k]
            if loop.inits[k] in self.unbound:
                self.handed_back[loop.carried[k]] = (loop, k, entering[k])
        for k in carried:
            if loop.handed[k] in self.active:
                self.build.stage = self._last_stage(loop.handed[k]) or stage
                self.contribute(loop.handed[k], entering[k])
        with self.build.inside():
            self.run_through(loop.body)
        self.build.stage = stage
        self.hint({value: one for value, one in inner.adjoints.items() if self._is_product(one)})
        leaving: dict[int, Value] = {}
        for k in carried:
            found = inner.adjoints.get(loop.carried[k])
            leaving[k] = self._unread(loop, k, entering[k]) if found is None else self._value(found, loop.carried[k])
        accumulated = {value: self._value(inner.adjoints[value], value) for value in inner.accumulated}
        body = self.build.body
        self.scope, self.build.body = outer, outer_body
        inits: list[Value] = []
        params: list[Value] = []
        results: list[Value] = []
        outs: list[Value] = []
        same: dict[Value, Value] = {}
        handed_on: list[tuple[Value, Value]] = []
        for k in carried:
            so_far = outer.adjoints.get(loop.outs[k])
            init = self.zeros(loop.outs[k]) if so_far is None else self._value(so_far, loop.outs[k])
            if leaving[k] is entering[k]:
                # Every round hands on what it was handed: the gradient is one and the same in all of them.
                same[entering[k]] = init
                handed_on.append((loop.inits[k], init))
                continue
            inits.append(init)
            params.append(entering[k])
            results.append(leaving[k])
            began = loop.inits[k] if loop.inits[k].type.kind is not Kind.OTHER else loop.outs[k]
            outs.append(Value(entering[k].name, gradient_type(began.type)))
            handed_on.append((loop.inits[k], outs[-1]))
        for value, result in accumulated.items():
            so_far = outer.provided(value)
            inits.append(self.zeros(value) if so_far is None else self._value(so_far, value))
            params.append(inner.accumulated[value])
            results.append(result)
            outs.append(Value(inner.accumulated[value].name, gradient_type(value.type)))
            outer.adjoints[value] = outs[-1]
        block = Block((loop.index, *params), tuple(body), tuple(results))
        if same:
            block = mapped_block(block, lambda value: same.get(value, value))
        if outs:
            bounds, backwards = self._rounds_run(loop)
            self.build.body.append(
                Loop(tuple(outs), tuple(inits), bounds, block, None, False, None, backwards, loop.stage, loop.span)
            )
        for value, gradient in handed_on:
            if value in self.active:
                self.contribute(value, gradient)
                self.visited(value)
        for value in accumulated:
            self.visited(value)

    def _is_product(self, gradient: Operand) -> bool:
        made = self.build.definitions.get(gradient) if isinstance(gradient, Value) else None
        return made is not None and made.gate in ("multiply", "matmul")

    def _rounds_run(self, loop: Loop) -> tuple[tuple[Operand, ...], bool]:
        """Bounds of the rounds that were run, from the last to the first, and whether that is backwards."""
        count = loop.count
        if count is None:
            return loop.bounds, not loop.backwards
        if not loop.bounds:
            return (ZERO, count, ONE), True
        start, stop, step = loop.bounds
        if loop.backwards:
            if not is_literal(step, 1):
                help = "run over the numbers as they come: `range(last, first - 1, -step)`"
                raise refusal_at("a break in the rounds of a reversed range with a step", loop.span, help)
            return (self.build.value("subtract", stop, count), stop, step), False
        if is_literal(step, 1):
            return (start, count if is_literal(start, 0) else self.build.value("add", count, start), step), True
        if is_literal(step, -1):
            return (start, self.build.value("subtract", start, count), step), True
        length = self.build.value("multiply", count, step)
        return (start, length if is_literal(start, 0) else self.build.value("add", start, length), step), True

    def _unread(self, loop: Loop, position: int, entering: Value) -> Value:
        """The gradient of what a round does not read: zeros of the shape that it hands on, where that is the same."""
        carried, handed = loop.carried[position], loop.handed[position]
        if carried.type.shape == handed.type.shape:
            found = self.scope.adjoints.get(handed)
            return self._like(found if isinstance(found, Value) else entering, gradient_name(carried))
        targets = {out.name for one in loop.body.body if one.stage is loop.stage for out in bound_values(one)}
        if carried.name and carried.name in targets | {loop.index.name}:
            # The round does not know any more what it was before.
            message = f"{carried.name or 'this'} is bound before the loop, and again by it"
            help = "give one of them another name"
            raise refusal_at(message, None if loop.stage is None else loop.stage.span, help)
        return self.zeros(carried)

    def _like(self, gradient: Value, name: str) -> Value:
        dtype = (gradient,) if gradient.type.kind is Kind.ARRAY else ()
        return self.build.value("zeros_for", gradient, *dtype, name=name)

    def _value(self, gradient: Operand | None, value: Value) -> Value:
        """An adjoint as a value: zeros where there is none."""
        if gradient is None:
            return self.zeros(value)
        if isinstance(gradient, Literal):
            return self.build.value("let", gradient, name=gradient_name(value))
        return gradient

    def _last_stage(self, value: Value) -> Stage | None:
        producer = self.producers.get(value)
        return None if producer is None else producer.stage

    # Branches

    def reverse_branch(self, branch: Branch) -> None:
        """Both arms go on from the gradients there are; what only one of them adds to begins with zeros."""
        outer, stage = self.scope, self.build.stage
        upstream = {k: outer.adjoints[out] for k, out in enumerate(branch.outs) if out in outer.adjoints}
        for _ in range(len(self.active) + 2):
            arms = [self._arm(branch, k, upstream) for k in (0, 1)]
            started = [self._started(arm, outer) for arm in arms]
            lacking = [v for v in started[0] if v not in started[1]] + [v for v in started[1] if v not in started[0]]
            if not lacking:
                break
            self.build.stage = stage
            for value in lacking:
                outer.adjoints[value] = self.zeros(value)
        self.build.stage = stage
        touched: list[Value] = []
        for arm in arms:
            for value, gradient in arm.scope.adjoints.items():
                if value not in arm.scope.defined and value not in touched and outer.provided(value) is not gradient:
                    touched.append(value)
        outs: list[Value] = []
        results: tuple[list[Value], list[Value]] = ([], [])
        for value in touched:
            out = Value(gradient_name(value), gradient_type(value.type))
            for arm, found in zip(arms, results, strict=True):
                body, self.build.body = self.build.body, arm.body
                reached = arm.scope.adjoints.get(value)
                found.append(self._value(outer.provided(value) if reached is None else reached, value))
                self.build.body = body
            outs.append(out)
            outer.adjoints[value] = out
        if outs:
            blocks = [Block((), tuple(arm.body), tuple(found)) for arm, found in zip(arms, results, strict=True)]
            self.build.body.append(Branch(tuple(outs), branch.test, blocks[0], blocks[1], branch.stage, branch.span))
        for arm in arms:
            self.done |= arm.scope.sunk
        for value in touched:
            self.visited(value)

    def _arm(self, branch: Branch, position: int, upstream: dict[int, Operand]) -> _Arm:
        outer, outer_body, outer_done, outer_pending = self.scope, self.build.body, set(self.done), dict(self.pending)
        block = branch.arms[position]
        scope = Scope(block, outer)
        self.scope, self.build.body = scope, []
        for k, gradient in upstream.items():
            if block.results[k] in self.active:
                self.contribute(block.results[k], gradient)
        with self.build.inside():
            self.run_through(block)
            self._sink(branch, position, scope)
        arm = _Arm(self.build.body, scope)
        self.scope, self.build.body, self.pending = outer, outer_body, outer_pending
        self.done = outer_done
        return arm

    def _sink(self, branch: Branch, position: int, scope: Scope) -> None:
        """What only this arm sends a gradient to is reversed in it: the other way there is nothing to do."""
        block = self.block_of[branch]
        other = branch.arms[1 - position]
        handed = {result for out, result in zip(branch.outs, other.results, strict=True) if out in self.active}
        elsewhere = handed | set(block.results)
        for reader in every_step(other):
            elsewhere |= {value for value in differentiable_operands(reader) if self._sends_back(reader, value)}
        for step in reversed(block.body[: block.body.index(branch)]):
            if not isinstance(step, Relation) or step in self.done or len(step.outs) != 1:
                continue
            # The gradients of constant entries meet in that of their dict.
            if step.gate == "layer" or is_constant_entry(step):
                continue
            value = step.out
            if value not in scope.adjoints or value in elsewhere or (scope.parent and value in scope.parent.adjoints):
                continue
            if any(self._sends_back(reader, value) for reader in block.body if reader not in (branch, *scope.sunk)):
                continue
            before = set(self.done)
            scope.defined |= {value}
            scope.sunk.add(step)
            self.reverse(step)
            # `x[i] *= v` is reversed as one: its read and its product are done as well.
            scope.sunk |= self.done - before
            scope.defined |= {out for one in self.done - before for out in bound_values(one)}

    def _sends_back(self, reader: Step, value: Value) -> bool:
        """Whether a step may send a gradient to a value."""
        return value in differentiable_operands(reader) and any(out in self.active for out in bound_values(reader))

    def _started(self, arm: _Arm, outer: Scope) -> list[Value]:
        """The values from outside that have no gradient yet but in this arm."""
        return [v for v in arm.scope.adjoints if v not in arm.scope.defined and outer.provided(v) is None]
