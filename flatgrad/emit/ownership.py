"""In place or not: which lines of the backward pass may write into a buffer, and where a copy makes that so.

A buffer may be written to if and only if it is nobody else's (no forward value, no upstream gradient) and no value
that is read afterwards may share it. Where that does not hold, the first line of the variable makes it owned:
`dx = dz.copy()`. What a loop carries is in the buffers that come in and in those that a round hands on, to a fixpoint.
Gradients that are returned are the caller's own: each in a buffer that no other shares.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from flatgrad.emit.order import Order, order_of
from flatgrad.emit.schedule import STATEMENTS, WRITES, Schedule, with_relation_operands
from flatgrad.gates.entry import TABLE
from flatgrad.ir.core import Block, Branch, Kind, Loop, Relation, Step, Value
from flatgrad.ir.rewrite import with_operands

EXTERNAL = Value("<external>", None)  # type: ignore[arg-type]
# What a layer hands back is not to be written to, as the layer may keep it; it is handed on as it is.
FOREIGN = Value("<of a layer>", None)  # type: ignore[arg-type]
# Views that NumPy hands out read-only.
READ_ONLY = frozenset({"diag", "diagonal", "broadcast_to"})
MOST_ROUNDS = 50

Roots = frozenset[Value]


def with_ownership(schedule: Schedule) -> tuple[Schedule, frozenset[Relation]]:
    """The schedule with copies where they are needed, and the `update` lines that must not be written in place."""
    for count in range(MOST_ROUNDS):
        found = _Sharing(schedule, own=count > MOST_ROUNDS // 2)
        found.settle()
        if not found.copied and not found.handed:
            return schedule, frozenset(found.apart)
        schedule = _Copying(schedule, found).copied()
    raise RecursionError("the copies of a backward pass do not settle")


@dataclass(slots=True)
class _Copying:
    """A copy where each of some values is first bound; a value that no `let` binds gets one of its own."""

    schedule: Schedule
    found: _Sharing
    inner: dict[Value, Relation] = field(default_factory=dict)
    renamed: dict[Value, Value] = field(default_factory=dict)

    def copied(self) -> Schedule:
        block = self.schedule.block
        heads: list[Step] = []
        for param in block.params:
            if param in self.found.copied:
                heads.append(self._copy(param))
        body = [*heads, *self._body(block)]
        results = tuple(self.renamed.get(value, value) for value in block.results)
        folded = {v: with_relation_operands(relation, self.renamed) for v, relation in self.schedule.folded.items()}
        return replace(
            self.schedule, block=replace(block, body=tuple(body), results=results), folded=self.inner | folded
        )

    def _copy(self, value: Value, stage: Step | None = None) -> Relation:
        fresh = Value(value.name, value.type)
        self.renamed[value] = fresh
        return Relation((fresh,), "copy_of", (value,), {}, None if stage is None else stage.stage)

    def _body(self, block: Block) -> list[Step]:
        lines: list[Step] = []
        copied = self.found.copied
        for step in block.body:
            line = step
            match line:
                case Relation():
                    line = with_relation_operands(line, self.renamed)
                    alone = line.gate in STATEMENTS or len(line.outs) > 1
                    if line.out in copied and line.gate != "let" and not alone:
                        # `dv = dout[i]` becomes `dv = dout[i].copy()`
                        part = Value("", line.out.type)
                        self.inner[part] = Relation((part,), line.gate, line.args, line.attrs, line.stage)
                        lines.append(Relation(line.outs, "copy_of", (part,), {}, line.stage))
                        continue
                    if line.gate == "let" and line.out in copied:
                        line = Relation(line.outs, "copy_of", line.args, line.attrs, line.stage)
                    lines.append(line)
                    if alone and line.gate != "copy_of":
                        lines.extend(self._copy(out, line) for out in line.outs if out in copied)
                case Loop():
                    inits = list(with_operands(replace(line, body=Block((), (), ())), self.renamed).inits)  # type: ignore[union-attr]
                    for position, param in enumerate(line.carried):
                        if param in copied:
                            fresh = Value(param.name, param.type)
                            lines.append(Relation((fresh,), "copy_of", (inits[position],), {}, line.stage))
                            inits[position] = fresh
                    bounds = tuple(self.renamed.get(b, b) if isinstance(b, Value) else b for b in line.bounds)
                    body = self._body(line.body)
                    results: list[Value] = []
                    for result in line.body.results:
                        result = self.renamed.get(result, result)
                        if (line, len(results)) in self.found.handed:
                            fresh = Value(result.name, result.type)
                            body.append(Relation((fresh,), "copy_of", (result,), {}, line.stage))
                            result = fresh
                        results.append(result)
                    inner = replace(line.body, body=tuple(body), results=tuple(results))
                    lines.append(replace(line, inits=tuple(inits), bounds=bounds, body=inner))
                    lines.extend(self._copy(out, line) for out in line.outs if out in copied)
                case Branch():
                    arms = []
                    for arm in line.arms:
                        outer = dict(self.renamed)
                        body = self._body(arm)
                        ends = tuple(self.renamed.get(result, result) for result in arm.results)
                        arms.append(replace(arm, body=tuple(body), results=ends))
                        self.renamed = outer
                    test = self.renamed.get(line.test, line.test) if isinstance(line.test, Value) else line.test
                    lines.append(replace(line, test=test, then=arms[0], orelse=arms[1]))
                    lines.extend(self._copy(out, line) for out in line.outs if out in copied)
        return lines


class _Sharing:
    """Which values may share memory, and which lines must not write because of it.

    Attributes:
        copied: values that must be in a buffer of their own.
        handed: loops and positions of what their rounds must hand on in a buffer of its own.
        apart: lines that are printed out of place.

    With `own`, what is written to gets the copy wherever it is not clear who should: copies of what others read have
    not settled.
    """

    def __init__(self, schedule: Schedule, own: bool) -> None:
        self.schedule = schedule
        self.own = own
        self.order: Order = order_of(schedule.block, schedule.folded)
        self.roots: dict[Value, Roots] = {param: frozenset((EXTERNAL,)) for param in schedule.block.params}
        self.sharing: dict[Value, dict[Value, None]] = {}
        # Where the chain of a variable begins: the line that a copy is made in.
        self.origin: dict[Value, Value] = {param: param for param in schedule.block.params}
        # The upstream gradients as they come, and with zeros for None.
        self.upstream: set[Value] = set(schedule.block.params)
        self.bound: set[Value] = set()
        self.copied: set[Value] = set()
        self.handed: set[tuple[Loop, int]] = set()
        self.apart: set[Relation] = set()
        self.carried: dict[Value, tuple[Loop, int]] = {}
        # For what a loop carries, what stands for the buffers that earlier rounds made.
        self.earlier: dict[Value, Value] = {}

    def settle(self) -> None:
        block = self.schedule.block
        self._block(block)
        seen: set[Value] = set()
        # What owns its buffer keeps it; what only shares it gets a copy.
        # What stands in a dict as an expression has no name that a copy could be bound to.
        returned = [value for value in dict.fromkeys(_returned(block)) if value not in self.schedule.folded]
        for result in sorted(returned, key=lambda value: value not in self.roots.get(value, ())):
            owners = self.roots.get(result, frozenset((EXTERNAL,))) - {FOREIGN}
            if EXTERNAL in owners or owners & seen:
                self._copy(self.origin.get(result, result))
            seen |= owners
        # A loop whose first value is copied may still be handed somebody else's buffer by its rounds.
        for param in list(self.copied):
            if param in self.carried:
                loop, position = self.carried[param]
                init = self._of(loop.inits[position])
                back = self._of(loop.body.results[position])
                if not self._foreign(init, loop) and back - init and not _is_handed(loop, position):
                    self.handed.add((loop, position))
                    self.copied.discard(param)

    def _foreign(self, roots: Roots, loop: Loop) -> bool:
        """Whether somebody who is still read when the loop begins may be in these buffers."""
        if EXTERNAL in roots:
            return True
        start = self.order.start[loop]
        others = {v for root in roots for v in self.sharing.get(root, ())}
        return any(self.order.lives_at(value, start) for value in others)

    def _copy(self, value: Value) -> None:
        self.copied.add(value)

    def _of(self, value: Value) -> Roots:
        if value in self.roots:
            return self.roots[value]
        inner = self.schedule.folded.get(value)
        return self._made(inner) if inner is not None else frozenset((EXTERNAL,))

    def _share(self, value: Value, roots: Roots) -> None:
        self.roots[value] = roots
        for root in roots:
            self.sharing.setdefault(root, {})[value] = None

    def _block(self, block: Block) -> None:
        for step in block.body:
            match step:
                case Relation():
                    self._line(step)
                case Loop():
                    for position, (init, param) in enumerate(zip(step.inits, step.carried, strict=True)):
                        self._share(param, self._of(init))
                        self.origin[param] = param
                        self.carried[param] = (step, position)
                    while True:
                        self._block(step.body)
                        again = False
                        standing: dict[Value, Value] = {}
                        for param, result in zip(step.carried, step.body.results, strict=True):
                            back = {self._earlier(root, step, param, standing) for root in self._of(result)}
                            roots = self.roots[param] | back
                            if roots != self.roots[param]:
                                self._share(param, roots)
                                again = True
                        if not again:
                            break
                    for out, param, result in zip(step.outs, step.carried, step.body.results, strict=True):
                        found = self.roots[param] | self._of(result)
                        # Without any layers the upstream gradient comes through as it is, as a layer may hand it on.
                        self._share(out, found - {EXTERNAL} if FOREIGN in self._of(result) else found)
                        self.origin[out] = out
                case Branch():
                    for arm in step.arms:
                        self._block(arm)
                    for out, one, other in zip(step.outs, step.then.results, step.orelse.results, strict=True):
                        self._share(out, self._of(one) | self._of(other))
                        self.origin[out] = out

    def _earlier(self, root: Value, loop: Loop, param: Value, standing: dict[Value, Value]) -> Value:
        """A buffer that a round makes, as the next round knows it: not the one that this makes in its turn."""
        if self.order.bound.get(root, 0) <= self.order.start[loop]:
            return root
        if param not in self.earlier:
            self.earlier[param] = Value("", param.type)
        return standing.setdefault(root, self.earlier[param])

    def _line(self, line: Relation) -> None:
        position = self.order.start[line]
        found = self._made(line)
        if line.gate in WRITES:
            base = line.args[0]
            assert isinstance(base, Value)
            origin = self.origin.get(base)
            others = {value for root in found for value in self.sharing.get(root, ()) if value is not base}
            read_later = {value for value in others if self.order.lives_at(value, position)}
            kept = self.order.read_after(base, position)
            if kept or (EXTERNAL in found and line.gate == "update" and origin in self.upstream):
                self.apart.add(line)
                found = frozenset() if line.out.type.kind is Kind.SCALAR else frozenset((line.out,))
            elif EXTERNAL in found or FOREIGN in found:
                self._copy(origin if origin is not None else base)
            else:
                for value in read_later:
                    # What was taken from the variable since it began gets a copy; what it began with, the variable.
                    began = origin is not None and (origin in self.bound or origin in self.carried)
                    since = began and self.order.bound.get(value, 0) > self.order.bound.get(origin, 0)  # type: ignore[arg-type]
                    if self.own or (began and not since and origin is not None and not self._begins_anew(origin)):
                        self._copy(origin if origin is not None else base)
                    else:
                        self._copy(self.origin.get(value, value))
            if origin is not None:
                self.origin[line.out] = origin
        elif line.gate == "let":
            self.origin[line.out] = line.out
            self.bound.add(line.out)
        elif line.gate == "or_zeros":
            self.origin[line.out] = line.out
            self.upstream.add(line.out)
        fresh = line.attrs.get("fresh")
        for position, out in enumerate(line.outs):
            # Gradients that another function returns are the caller's own, each for itself; one of the user's may hand
            # out what it was given.
            own = line.gate == "call_backward" or (line.gate == "layer_backward" and fresh is not None)
            roots = frozenset((out,)) if own else found
            several = line.gate == "layer_backward" and len(line.outs) > 1 and fresh is None
            if several or (isinstance(fresh, tuple) and not fresh[position]):
                given = (self._of(arg) for arg in line.args if isinstance(arg, Value))
                roots = frozenset((EXTERNAL,)).union(*given)
            self._share(out, frozenset((EXTERNAL,)) if line.gate == "or_zeros" else roots)

    def _begins_anew(self, origin: Value) -> bool:
        """Whether each round hands on a buffer of its own for a variable: to copy that would help nobody."""
        if origin not in self.carried:
            return False
        loop, position = self.carried[origin]
        own = self._of(loop.body.results[position])
        others = [result for k, result in enumerate(loop.body.results) if k != position]
        inside = all(self.order.bound.get(root, 0) > self.order.start[loop] for root in own)
        return bool(own) and inside and not any(own & self._of(other) for other in others)

    def _made(self, line: Relation) -> Roots:
        """The buffers that the result of a line may share; none for a number, which nobody can write into."""
        inner = line
        # Read-only views are nobody's to write to, whoever owns the memory.
        locked: Roots = frozenset()
        while True:
            if inner.gate == "layer_backward":
                given = (self._of(arg) for arg in inner.args[1:] if isinstance(arg, Value))
                through = frozenset[Value]().union(*given) - {EXTERNAL}
                return frozenset((FOREIGN, *line.outs)) | through
            spread = (
                inner.gate == "spread"
                and inner.args
                and isinstance(inner.args[0], Value)
                and inner.args[0].type.kind is Kind.ARRAY  # np.broadcast_to
            )
            if spread or inner.gate in READ_ONLY:
                locked = frozenset((EXTERNAL,))
            elif not (
                inner.gate in ("let", "alias", *WRITES)
                or (inner.gate == "read" and not _is_fancy(inner))
                or (inner.gate in TABLE and TABLE[inner.gate].view)
            ):
                if locked:
                    return locked
                return frozenset() if line.out.type.kind is Kind.SCALAR else frozenset((line.out,))
            source = inner.args[0]
            if not isinstance(source, Value):
                return locked
            if source in self.schedule.folded:
                inner = self.schedule.folded[source]
                continue
            return locked | self.roots.get(source, frozenset((EXTERNAL,)))


def _returned(block: Block) -> Iterator[Value]:
    """The gradients that a backward pass returns, those in dicts one by one."""
    dicts = {step.out: step for step in block.body if isinstance(step, Relation) and step.gate == "dict_of"}

    def within(value: Value) -> Iterator[Value]:
        made = dicts.get(value)
        if made is None:
            yield value
            return
        for arg in made.args:
            if isinstance(arg, Value):
                yield from within(arg)

    for result in block.results:
        yield from within(result)


def _is_handed(loop: Loop, position: int) -> bool:
    """Whether the rounds of a loop hand on a copy already: another would change nothing."""
    result = loop.body.results[position]
    return any(isinstance(step, Relation) and step.gate == "copy_of" and step.out is result for step in loop.body.body)


def _is_fancy(read: Relation) -> bool:
    """Whether an index is an array beyond doubt, so that what is read is a copy."""
    index = read.attrs["index"]
    return isinstance(index, tuple) and any(isinstance(i, Value) and i.type.kind is Kind.ARRAY for i in index)
