"""The backward pass as statements: blocks, loops and branches of what the walk has found."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping

from flatgrad.differentiate.walk import Backward
from flatgrad.emit.backward_lines import BackwardLines
from flatgrad.emit.backward_text import Draft, Item, Nested
from flatgrad.emit.callee import Callee
from flatgrad.emit.names import Scope
from flatgrad.emit.order import order_of
from flatgrad.emit.ownership import with_ownership
from flatgrad.emit.residuals import Residuals
from flatgrad.emit.rounds import bound_name, over_layers
from flatgrad.emit.schedule import schedule
from flatgrad.emit.spell import Names
from flatgrad.frontend.environment import Lowered
from flatgrad.ir.core import (
    Block,
    Branch,
    Call,
    Loop,
    Relation,
    Stage,
    Value,
    bound_values,
    every_step,
    is_literal,
    values_in,
)


class _Writer(BackwardLines):
    def write(self) -> tuple[list[Item], list[str]]:
        self.schedule, self.apart = with_ownership(schedule(self.backward.block))
        self.order = order_of(self.schedule.block, self.schedule.folded)
        lists = self._lists()
        for position, param in enumerate(self.schedule.block.params):
            name = self.scope.take(param.name)
            self.upstream.append(name)
            self.variables[param] = name
            self.holders[name] = param
            if self.backward.upstream[position] not in lists:
                self.residuals.upstream[name] = param
        items = self._block(self.schedule.block)
        for name, param in list(self.residuals.upstream.items()):
            # Its shape is read where the name may stand for another gradient by now.
            if any(value.type.shape != param.type.shape for value, held in self.variables.items() if held == name):
                del self.residuals.upstream[name]
        results = [self.variables[value] for value in self.schedule.block.results]
        return items, results

    def _lists(self) -> set[int]:
        """The results that are lists, `return [b, 2.0 * a]`: their gradients come as lists, and have no shape."""
        made = {
            step.out
            for step in every_step(self.lowered.function.block)
            if isinstance(step, Relation) and step.gate == "array_of"
        }
        return {position for position, result in enumerate(self.lowered.results) if result.value in made}

    def _block(self, block: Block) -> list[Item]:
        items: list[Item] = []
        self.placed.update(self._placed_at_once(block))
        done = set(self.placed.values())
        for line in block.body:
            position = self.order.start[line]
            match line:
                case Loop():
                    items.extend(self._loop(line, position))
                case Branch():
                    branch = self._branch(line, position)
                    if branch.parts:
                        items.append(branch)
                case Relation() if line in done:
                    self._same_variable(line)
                case Relation():
                    if line in self.apart and line.gate in ("scatter", "write"):
                        apart, line = line, self._copied_base(line, position, items)
                        items.append((line.stage, self._line(line, position, apart in self.apart)))
                    else:
                        items.append((line.stage, self._line(line, position, line in self.apart)))
        return items

    def _placed_at_once(self, block: Block) -> dict[Value, Relation]:
        """`dx_t, dh = step_backward(...)` and then `dx[t] = dx_t` is `dx[t], dh = step_backward(...)`."""
        found: dict[Value, Relation] = {}
        for position, line in enumerate(block.body):
            if not isinstance(line, Relation) or line.gate != "call_backward":
                continue
            if self.callee(str(line.attrs["function"])).held is not None:
                continue
            bound = set(line.outs)
            for other in block.body[position + 1 :]:
                if isinstance(other, Relation) and other.gate == "scatter" and other not in self.apart:
                    base, value = other.args
                    places = set(values_in(other.attrs["index"]))
                    alone = all(self.order.uses.get(one) == [self.order.start[other]] for one in other.args)  # type: ignore[arg-type]
                    whole = other.attrs["mode"] == "set" and value in line.outs and base not in bound
                    if whole and alone and bound.isdisjoint(places) and all(map(self.residuals.is_forward, places)):
                        assert isinstance(value, Value)
                        found[value] = other
                bound.update(bound_values(other))
        return found

    def _loop(self, loop: Loop, position: int) -> list[Item]:
        items: list[Item] = []
        names: list[str] = []
        for init, param in zip(loop.inits, loop.carried, strict=True):
            held = self.variables.get(init)
            wanted = param.name or self.hints.get(param) or held or "d"
            alone = held is not None and not self.order.read_after(init, position) and held not in names
            if held is not None and alone and held == wanted:
                self.variables[param] = held
                self.holders[held] = param
                names.append(held)
                continue
            value = self._operand(init)
            # What the others begin with is still read here.
            last = len(names) == len(loop.inits) - 1
            name = self._bind(param, wanted, position if last else position - 1, names)
            names.append(name)
            items.append((loop.stage, ast.Assign([ast.Name(name, ast.Store())], value)))
        index = ast.Name(self.residuals.index_name(loop.index), ast.Store())
        bounds = [self._operand(one) for one in loop.bounds]
        if is_literal(loop.bounds[2], 1):
            bounds.pop()
            if is_literal(loop.bounds[0], 0):
                bounds.pop(0)
        rounds: ast.expr = ast.Call(ast.Name("range", ast.Load()), bounds, [])
        if loop.backwards:
            rounds = ast.Call(ast.Name("reversed", ast.Load()), [rounds], [])
        body = self._block(loop.body)
        body.extend(self._handed(loop.body.results, names, loop.stage))
        for out, name in zip(loop.outs, names, strict=True):
            self.variables[out] = name
            self.holders[name] = out
        head = ast.For(index, rounds, [], [])
        lines = self.residuals.heads_of(loop.index)
        over: ast.For | None = None
        if loop.index in self.layers and loop.backwards:
            layer, sequence = self.layers[loop.index]
            if any(bound_name(line) == layer for line in lines):
                lines = [line for line in lines if bound_name(line) != layer]
                head, over = over_layers(index, layer, self._operand(sequence))
        heads: list[Item] = [(None, line) for line in lines]
        if heads or body:
            items.append(Nested(loop.stage, head, ((*heads, *_continued(body)),), over))
        return items

    def _branch(self, branch: Branch, position: int) -> Nested:
        test = self._operand(branch.test)
        end = self.order.end[branch]
        targets: list[str] = []
        for out, *ends in zip(branch.outs, branch.then.results, branch.orelse.results, strict=True):
            held = [self.variables[value] for value in ends if value in self.variables]
            wanted = out.name or self.hints.get(out) or (held[0] if held else "d")
            targets.append(self._target(wanted, end, targets))
        parts: list[list[Item]] = []
        for name, out in zip(targets, branch.outs, strict=True):
            # What the arms hand on may be computed under its name at once.
            self.holders.setdefault(name, out)
        for arm in branch.arms:
            holders = dict(self.holders)
            items = self._block(arm)
            items.extend(self._handed(arm.results, targets, branch.stage))
            parts.append(items)
            self.holders = holders
        for out, name in zip(branch.outs, targets, strict=True):
            self.variables[out] = name
            self.holders[name] = out
        if not parts[0]:
            parts = [parts[1], []]
            test = _negated(test)
        return Nested(branch.stage, ast.If(test, [], []), tuple(tuple(part) for part in parts if part))

    def _handed(self, results: tuple[Value, ...], names: list[str], stage: Stage | None) -> list[Item]:
        """Assignments of results to the variables that hand them on, where they are not in them already."""
        pairs = [
            (name, self._operand(result))
            for name, result in zip(names, results, strict=True)
            if self.variables.get(result) != name
        ]
        read = {part.id for _, value in pairs for part in ast.walk(value) if isinstance(part, ast.Name)}
        if len(pairs) > 1 and read & {name for name, _ in pairs}:
            targets: list[ast.expr] = [ast.Name(name, ast.Store()) for name, _ in pairs]
            whole = ast.Tuple([value for _, value in pairs], ast.Load())
            return [(stage, ast.Assign([ast.Tuple(targets, ast.Store())], whole))]
        return [(stage, ast.Assign([ast.Name(name, ast.Store())], value)) for name, value in pairs]

    def _copied_base(self, line: Relation, position: int, statements: list[Item]) -> Relation:
        """A write into a copy, where the old value is still read afterwards."""
        base = line.args[0]
        assert isinstance(base, Value)
        copy = Relation((Value(base.name, base.type),), "copy_of", (base,), {}, line.stage)
        self.order.uses[copy.out] = [position]
        statements.append((line.stage, self._assign(copy, self._expression(copy), position - 1)))
        return Relation(line.outs, line.gate, (copy.out, *line.args[1:]), line.attrs, line.stage)


def draft_backward(
    lowered: Lowered,
    backward: Backward,
    residuals: Residuals,
    names: Names,
    scope: Scope,
    cache_name: Callable[[Call], str],
    callee: Callable[[str], Callee],
    hints: Mapping[Value, str],
) -> Draft:
    """Draft the lines of a backward pass; `residuals` collects what they read of forward."""
    writer = _Writer(lowered, backward, residuals, names, scope, cache_name, callee, hints)
    items, results = writer.write()
    residuals.settle_sizes()
    return Draft(
        tuple(items),
        tuple(results),
        tuple(writer.upstream),
        tuple(writer.calls.items()),
        writer.unbroadcasts,
    )


def _continued(body: list[Item]) -> list[Item]:
    """A round that ends in `if not ...:` is left early instead, as forward does."""
    last = body[-1] if body else None
    if not isinstance(last, Nested) or not isinstance(last.head, ast.If) or len(last.parts) > 1 or len(body) > 1:
        return body
    test = last.head.test
    if not isinstance(test, ast.UnaryOp) or not isinstance(test.op, ast.Not):
        return body
    leave = ast.If(test.operand, [ast.Continue()], [])
    return [(None, leave), *last.parts[0]]


def _negated(test: ast.expr) -> ast.expr:
    return (
        test.operand if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not) else ast.UnaryOp(ast.Not(), test)
    )
