"""The order in which the lines of a backward pass run, and what is read after each of them.

Positions number the lines as they stand. What a loop reads of its outside it reads in every round: such a value lives
to the end of the loop. The arms of a branch exclude each other: what one reads is not read after a line of the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from flatgrad.ir.core import Block, Branch, Loop, Operand, Relation, Step, Value, bound_values

END = 1 << 60


@dataclass(slots=True, eq=False)
class Order:
    """Positions of lines and of the uses of values.

    Attributes:
        start: the position of each step; of a loop or a branch, that of its head.
        end: the position behind each loop, branch and arm.
        uses: for each value, the positions where it is read.
        bound: for each value, the position where it is bound.
    """

    start: dict[Step, int] = field(default_factory=dict)
    end: dict[Step | Block, int] = field(default_factory=dict)
    uses: dict[Value, list[int]] = field(default_factory=dict)
    bound: dict[Value, int] = field(default_factory=dict)
    _apart: list[tuple[int, int, int]] = field(default_factory=list)

    def read_after(self, value: Value, position: int) -> bool:
        """Whether a value is read behind a position."""
        return any(use > position and not self._excluded(position, use) for use in self.uses.get(value, ()))

    def lives_at(self, value: Value, position: int) -> bool:
        """Whether a value is bound before a position and read behind it."""
        return self.bound.get(value, 0) < position and self.read_after(value, position)

    def _excluded(self, position: int, use: int) -> bool:
        return any(head < position <= middle < use <= end for head, middle, end in self._apart)


def order_of(block: Block, folded: Mapping[Value, Relation]) -> Order:
    """The order of a block whose steps are lines; `folded` are the expressions inside them."""
    order = Order()
    numbering = _Numbering(order, folded)
    numbering.block(block, ())
    numbering.settle()
    for result in block.results:
        order.uses.setdefault(result, []).append(END)
    return order


class _Numbering:
    def __init__(self, order: Order, folded: Mapping[Value, Relation]) -> None:
        self.order = order
        self.folded = folded
        self.position = 0
        self.depth: dict[Value, int] = {}
        # Uses inside loops of values from outside: they count at the end of the outermost of those loops.
        self.lasting: list[tuple[Value, Loop]] = []

    def block(self, block: Block, loops: tuple[Loop, ...]) -> None:
        for step in block.body:
            self.step(step, loops)

    def step(self, step: Step, loops: tuple[Loop, ...]) -> None:
        self.position += 1
        self.order.start[step] = self.position
        match step:
            case Loop():
                for value in (*step.inits, *(one for one in step.bounds if isinstance(one, Value))):
                    self.read(value, loops)
                inside = (*loops, step)
                for value in step.body.params:
                    self.depth[value] = len(inside)
                    self.order.bound[value] = self.position
                self.block(step.body, inside)
                self.position += 1
                for value in step.body.results:
                    self.read(value, inside)
                self.order.end[step] = self.position
            case Branch():
                self.operand(step.test, loops)
                head = self.position
                for arm in step.arms:
                    self.block(arm, loops)
                    self.position += 1
                    for value in arm.results:
                        self.read(value, loops)
                    self.order.end[arm] = self.position
                self.position += 1
                self.order.end[step] = self.position
                self.order._apart.append((head, self.order.end[step.then], self.order.end[step.orelse]))
            case Relation():
                for value in leaves(step, self.folded):
                    self.read(value, loops, folded=False)
            case _:
                raise TypeError(f"{step} is no step of a backward pass")
        for value in bound_values(step):
            self.depth[value] = len(loops)
            self.order.bound[value] = self.position

    def operand(self, operand: Operand, loops: tuple[Loop, ...]) -> None:
        if isinstance(operand, Value):
            self.read(operand, loops)

    def read(self, value: Value, loops: tuple[Loop, ...], folded: bool = True) -> None:
        inner = self.folded.get(value) if folded else None
        if inner is not None:
            for leaf in leaves(inner, self.folded):
                self.read(leaf, loops, folded=False)
            return
        depth = self.depth.get(value, 0)
        self.order.uses.setdefault(value, []).append(self.position)
        if depth < len(loops):
            self.lasting.append((value, loops[depth]))

    def settle(self) -> None:
        for value, loop in self.lasting:
            self.order.uses[value].append(self.order.end[loop])


def leaves(line: Relation, folded: Mapping[Value, Relation]) -> list[Value]:
    """The values that a line reads, through all that is folded into it."""
    found: list[Value] = []
    pending = list(line.operands())
    while pending:
        value = pending.pop()
        inner = folded.get(value)
        if inner is None:
            found.append(value)
        else:
            pending.extend(inner.operands())
    return found
