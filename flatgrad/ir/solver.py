"""Unification of shapes: what one executed line proves of a shape holds for every other line too.

Symbols are solved for by substitution. A dim symbol stands for an integer, the middle of a shape for any number of
dims. Only what NumPy itself enforces when the line runs may be unified (the inner dims of a matrix product, the rank
that `N, D = x.shape` demands), never what merely fits.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable

from flatgrad.ir.core import Type
from flatgrad.ir.dims import Dim, Shape


class Contradiction(Exception):
    """Two facts that cannot both hold."""


class Solver:
    """A growing substitution. `claimed` symbols are the user's names and win over fresh ones.

    `scope`: what is proved in a loop or a branch only names its dims by it. Outside, the same unknown shape may be
    taken apart at its other end, and a name that came out with a result must not stand for another dim there.
    """

    def __init__(self, claimed: frozenset[str] = frozenset(), scope: str = "") -> None:
        self.claimed = claimed
        self.scope = scope
        self.dims: dict[str, Dim] = {}
        self.middles: dict[str, Shape] = {}
        self._fresh: dict[str, int] = {}
        self._labels: dict[str, tuple[Hashable, int]] = {}
        # Dims that a number gives of which no more is known, by what they come of.
        self.given: dict[Hashable, Dim] = {}
        # The counters of loops that run upwards, by their symbols: where they stop, which they do not reach.
        self.stops: dict[str, Dim] = {}
        # Resolved shapes by identity, for as long as nothing new is learnt.
        self._resolved: dict[int, tuple[Shape, Shape]] = {}
        self._resolved_at = 0

    def copy(self, scope: str | None = None) -> Solver:
        """The same knowledge, to which more can be added on trial, or in a scope of its own."""
        other = Solver(self.claimed, self.scope if scope is None else scope)
        other.dims.update(self.dims)
        other.middles.update(self.middles)
        other._fresh.update(self._fresh)
        other._labels.update(self._labels)
        other.given.update(self.given)
        other.stops.update(self.stops)
        return other

    def skip(self, other: Solver) -> None:
        """Give no fresh name that the other one has given."""
        self._fresh.update(other._fresh)

    @property
    def size(self) -> int:
        """How much is known: grows with every new fact."""
        return len(self.dims) + len(self.middles)

    def fresh(self, hint: str) -> str:
        count = self._fresh.get(hint, 0)
        self._fresh[hint] = count + 1
        scope = f"^{self.scope}" if self.scope else ""
        return f"{hint}'{count}{scope}" if count else f"{hint}'{scope}"

    def label(self, base: str, pattern: Hashable) -> str:
        """A prefix for the names of what a rule leaves open: the same as at the last visit if it then saw the same
        pattern, else a new one. A name must never stand for one dim in one sweep and for another in the next."""
        last, count = self._labels.get(base, (pattern, 0))
        if last != pattern:
            count += 1
        self._labels[base] = (pattern, count)
        return f"{base}~{count}" if count else base

    def resolve_dim(self, dim: Dim) -> Dim:
        while True:
            known = {name: self.dims[name] for name in dim.atoms() if name in self.dims}
            if not known:
                return dim
            dim = dim.substitute(known)

    def resolve(self, shape: Shape) -> Shape:
        if self._resolved_at != self.size:
            self._resolved.clear()
            self._resolved_at = self.size
        known = self._resolved.get(id(shape))
        if known is None:
            known = (shape, self._resolve(shape))
            self._resolved[id(shape)] = known
        return known[1]

    def _resolve(self, shape: Shape) -> Shape:
        while shape.middle is not None and shape.middle in self.middles:
            inner = self.middles[shape.middle]
            if inner.middle is None:
                shape = Shape(shape.front + inner.front + shape.back)
            else:
                shape = Shape(shape.front + inner.front, inner.middle, inner.back + shape.back)
        front = tuple([self.resolve_dim(dim) for dim in shape.front])
        back = tuple([self.resolve_dim(dim) for dim in shape.back])
        return shape if front == shape.front and back == shape.back else Shape(front, shape.middle, back)

    def same_dim(self, first: Dim, second: Dim) -> None:
        """The two dims are one integer whenever the line runs.

        Raises Contradiction where they are two different integers.
        """
        first, second = self.resolve_dim(first), self.resolve_dim(second)
        if first == second:
            return
        if (first - second).constant is not None:
            raise Contradiction(f"{first} is not {second}")
        one, two = first.as_symbol, second.as_symbol
        yields = one is not None and (two is None or one not in self.claimed or two in self.claimed)
        if second.signed and not first.signed and two is not None:
            # Of a size more is known than of an integer.
            yields = False
        if one is not None and yields and one not in second.atoms():
            self.dims[one] = second
        elif two is not None and two not in first.atoms():
            self.dims[two] = first

    def same_shape(self, first: Shape, second: Shape) -> None:
        """The two shapes are one whenever the line runs. Raises Contradiction where they cannot be."""
        first, second = self.resolve(first), self.resolve(second)
        if first == second:
            return
        if first.middle is None and second.middle is None:
            if len(first.front) != len(second.front):
                raise Contradiction(f"{first} is not {second}")
            for one, two in zip(first.front, second.front, strict=True):
                self.same_dim(one, two)
        elif first.middle is not None and second.middle is None:
            self.fix_rank(first, len(second.front))
            self.same_shape(first, second)
        elif second.middle is not None and first.middle is None:
            self.same_shape(second, first)
        elif first.middle == second.middle:
            if first.least_rank != second.least_rank:
                raise Contradiction(f"{first} is not {second}")
            if len(first.front) == len(second.front):
                for one, two in zip(first.front + first.back, second.front + second.back, strict=True):
                    self.same_dim(one, two)
        elif first.middle is not None and not first.front and not first.back:
            self.middles[first.middle] = second
        elif second.middle is not None and not second.front and not second.back:
            self.same_shape(second, first)

    def fix_rank(self, shape: Shape, rank: int) -> Shape:
        """The shape has just this rank. Raises Contradiction where it cannot."""
        shape = self.resolve(shape)
        if shape.middle is None:
            if len(shape.front) != rank:
                raise Contradiction(f"{shape} does not have {rank} dimensions")
            return shape
        missing = rank - shape.least_rank
        if missing < 0:
            raise Contradiction(f"{shape} does not have {rank} dimensions")
        name = shape.middle
        self.middles[name] = Shape(tuple(Dim.symbol(self.fresh(name)) for _ in range(missing)))
        return self.resolve(shape)

    def grow_front(self, shape: Shape, count: int) -> Shape:
        """The shape has at least `count` dims; they become visible at its front."""
        shape = self.resolve(shape)
        if shape.middle is None:
            if len(shape.front) < count:
                raise Contradiction(f"{shape} has fewer than {count} dimensions")
            return shape
        missing = count - len(shape.front)
        if missing > 0:
            # The dims that are known at the back may be the ones demanded at the front.
            if shape.back:
                return shape
            name = shape.middle
            dims = tuple(Dim.symbol(self.fresh(name)) for _ in range(missing))
            self.middles[name] = Shape(dims, self.fresh(name + "*"))
        return self.resolve(shape)

    def grow_back(self, shape: Shape, count: int) -> Shape:
        """The shape has at least `count` dims; they become visible at its back."""
        shape = self.resolve(shape)
        if shape.middle is None:
            if len(shape.front) < count:
                raise Contradiction(f"{shape} has fewer than {count} dimensions")
            return shape
        missing = count - len(shape.back)
        if missing > 0:
            if shape.front:
                return shape
            name = shape.middle
            dims = tuple(Dim.symbol(self.fresh(name)) for _ in range(missing))
            self.middles[name] = Shape((), self.fresh(name + "*"), dims)
        return self.resolve(shape)


def pattern(types: Iterable[Type]) -> Hashable:
    """All that a rule can see of some types, with symbols numbered as they come: their names tell nothing."""
    numbers: dict[str, str] = {}

    def renamed(name: str) -> str:
        return numbers.setdefault(name, str(len(numbers)))

    def dims(given: tuple[Dim, ...]) -> Hashable:
        return tuple(
            frozenset((tuple(sorted(renamed(name) for name in monomial)), c) for monomial, c in dim.terms)
            for dim in given
        )

    found: list[Hashable] = []
    for one in types:
        shape = one.shape
        middle = None if shape.middle is None else renamed("*" + shape.middle)
        number = None if one.number is None else dims((one.number,))
        found.append((one.kind, one.dtype, dims(shape.front), middle, dims(shape.back), number))
    return tuple(found)


def broadcast(first: Shape, second: Shape, solver: Solver, name: str) -> Shape:
    """The shape that NumPy broadcasting gives; its middle is `name` where that is open."""
    if first == second or second.is_scalar:
        return first
    if first.is_scalar:
        return second
    if first.middle is None and second.middle is None:
        return _merge_known(first.front, second.front, solver, name)
    if first.middle == second.middle and len(first.back) == len(second.back):
        back = _merge_known(first.back, second.back, solver, f"{name}.back")
        front = _merge_known(first.front, second.front, solver, f"{name}.front")
        return Shape(front.front, first.middle, back.front)
    if second.middle is None and len(second.front) <= len(first.back):
        cut = len(first.back) - len(second.front)
        merged = _merge_known(first.back[cut:], second.front, solver, name)
        return Shape(first.front, first.middle, first.back[:cut] + merged.front)
    if first.middle is None and len(first.front) <= len(second.back):
        return broadcast(second, first, solver, name)
    # The last dims of both meet, whatever stands before them; those of which one side shows nothing are there as well.
    one, two = (shape.front if shape.middle is None else shape.back for shape in (first, second))
    shown, least = min(len(one), len(two)), max(len(one), len(two))
    tail = _merge_known(one[len(one) - shown :], two[len(two) - shown :], solver, name).front
    lead = tuple(Dim.symbol(f"{name}.{axis - least}") for axis in range(least - shown))
    return Shape((), name, (*lead, *tail))


def _merge_known(first: tuple[Dim, ...], second: tuple[Dim, ...], solver: Solver, name: str) -> Shape:
    if len(first) < len(second):
        first, second = second, first
    lead = len(first) - len(second)
    dims = list(first[:lead])
    for index, (one, two) in enumerate(zip(first[lead:], second, strict=True)):
        if one == two or two.constant == 1:
            dims.append(one)
        elif one.constant == 1:
            dims.append(two)
        elif one.constant is not None and two.constant is not None:
            raise Contradiction(f"{one} does not broadcast with {two}")
        elif one.constant is not None or two.constant is not None:
            # 5 against N: the result is 5, as N is 1 or 5 (0 cannot meet 5).
            dims.append(one if one.constant is not None else two)
        else:
            dims.append(Dim.symbol(f"{name}.{lead + index}"))
    return Shape(tuple(dims))
