"""True gradients, measured: for a variable, one of its uses, a subexpression, in one round of a loop or over all of
them.

A `Spec` says what is measured, the same at every draw; `Truth` measures it at one draw, once, when it is asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from flatgrad.diff.judging.closeness import FLOOR, TOLERANCE, as_shaped, close
from flatgrad.diff.judging.runner import Runner
from flatgrad.diff.judging.runs import Draw, Listed, Run
from flatgrad.diff.judging.sites import Role, Site

Floats = np.ndarray[Any, np.dtype[Any]]

# Arrays with more numbers than that are not probed one by one for what is only a guess.
MOST_GUESSED = 400
MOST_ROUNDS = 40
# Above so many numbers directions are less work; so many of them decide.
FEW_NUMBERS = 4
DIRECTIONS = 3


@dataclass(frozen=True, slots=True)
class Spec:
    """A gradient to measure.

    Attributes:
        sites: they are probed together: the uses of a variable.
        each: one gradient for each round of the site's loop, the last round first if `backwards`; else one for all
            rounds together.
        whole: it is the whole gradient of a variable, not one contribution to it.
        variable: which, or empty.
        lines: the lines of the statements that the sites stand in.
        text: what stands there, for reports.
    """

    sites: tuple[tuple[int, str], ...]
    each: bool = False
    backwards: bool = False
    whole: bool = False
    variable: str = ""
    lines: tuple[int, ...] = ()
    text: str = ""


@dataclass(slots=True)
class Truth:
    """The forward pass at one draw, and what has been measured of it."""

    runner: Runner
    program: int
    draw: Draw
    run: Run
    listed: dict[tuple[int, str], Listed] = field(default_factory=dict)
    known: dict[tuple[tuple[tuple[int, str], ...], bool], tuple[Floats, ...] | None] = field(default_factory=dict)
    confirmed: dict[tuple[tuple[tuple[int, str], ...], bool], tuple[Floats, ...]] = field(default_factory=dict)
    along: dict[tuple[tuple[tuple[int, str], ...], bool], Floats | None] = field(default_factory=dict)
    errors: dict[tuple[tuple[tuple[int, str], ...], bool], float] = field(default_factory=dict)
    kink: float = 0.0

    def __post_init__(self) -> None:
        self.listed = {(one.site, one.key): one for one in self.run.sites}

    def shape(self, spec: Spec) -> tuple[int, ...] | None:
        """The shape of the gradient, in its first round; None if the draw does not reach the sites, or they differ."""
        shapes = self.shapes(spec)
        return shapes[0] if shapes else None

    def shapes(self, spec: Spec) -> tuple[tuple[int, ...], ...]:
        """The shape in each round; empty if the draw does not reach the sites, or moving them together makes no
        sense."""
        reached = [self.listed[place].shapes for place in spec.sites if place in self.listed]
        if not reached:
            return ()
        if spec.each:
            return reached[0][::-1] if spec.backwards else reached[0]
        every = {shape for shapes in reached for shape in shapes}
        return tuple(every) if len(every) == 1 else ()

    def rounds(self, spec: Spec) -> int:
        if not spec.each:
            return 1
        one = self.listed.get(spec.sites[0])
        return 0 if one is None else len(one.shapes)

    def of(self, spec: Spec) -> tuple[Floats, ...] | None:
        """The gradients, one for each round; None where there is nothing to measure."""
        key = (spec.sites, spec.each)
        found = self.confirmed.get(key)
        if found is None:
            if key not in self.known:
                self.known[key] = self._measured(spec)
            found = self.known[key]
        if found is not None and spec.backwards:
            return found[::-1]
        return found

    def agrees(self, spec: Spec, values: Sequence[Floats], whole: bool) -> bool:
        """Whether these are the gradients, one for each round: along random directions, if that is less work.

        What agrees along them all is taken for the truth from then on.
        """
        shapes = self.shapes(spec)
        if len(shapes) != len(values):
            return False
        fitted = [as_shaped(value, shape, whole) for value, shape in zip(values, shapes, strict=True)]
        arrays = [one for one in fitted if one is not None]
        if len(arrays) < len(fitted):
            return False
        if spec.backwards:
            arrays = arrays[::-1]
        key = (spec.sites, spec.each)
        known = self.confirmed.get(key) or self.known.get(key)
        if known is None and sum(one.size for one in arrays) <= FEW_NUMBERS:
            known = self.of(replace(spec, backwards=False))
        if known is not None:
            return all(close(a, b) for a, b in zip(arrays, known, strict=True))
        slopes = self.slopes(spec)
        if slopes is None:
            return False
        worst = 0.0
        norm = float(np.sqrt(sum(float(np.sum(one * one)) for one in arrays)))
        for direction, slope in zip(self._directions(spec), slopes, strict=True):
            expected = sum(float(np.sum(one * step)) for one, step in zip(arrays, direction, strict=True))
            if not abs(expected - slope) <= 3 * TOLERANCE * max(norm, abs(slope)) + FLOOR * len(arrays):
                return False
            worst = max(worst, abs(expected - slope) / max(1e-8, abs(expected) + abs(slope)))
        self.errors[key] = worst
        self.confirmed[key] = tuple(arrays)
        return True

    def error(self, spec: Spec) -> float | None:
        """The largest relative error along the directions, of what was confirmed along them."""
        return self.errors.get((spec.sites, spec.each))

    def slopes(self, spec: Spec) -> Floats | None:
        """The derivative along a few directions, the same ones for all sites of a shape."""
        key = (spec.sites, spec.each)
        if key not in self.along:
            self.along[key] = self._sloped(spec)
        return self.along[key]

    def _sloped(self, spec: Spec) -> Floats | None:
        sites = [place for place in spec.sites if place in self.listed]
        directions = self._directions(spec)
        try:
            found = self.runner.slopes(self.program, self.draw, self.run.upstream, sites, directions, spec.each)
        except ArithmeticError:
            return None
        kink = float(np.max(np.abs(found[:, 0] - found[:, 1]))) / max(float(np.max(np.abs(found))), 1e-6)
        self.kink = max(self.kink, kink if kink < 1.0 else 0.0)
        return found[:, 0]

    def _directions(self, spec: Spec) -> list[list[Floats]]:
        shapes = self.shapes(replace(spec, backwards=False))
        random = np.random.default_rng([len(shapes), *(n for shape in shapes for n in shape)])
        return [[np.asarray(random.standard_normal(shape)) for shape in shapes] for _ in range(DIRECTIONS)]

    def _measured(self, spec: Spec) -> tuple[Floats, ...] | None:
        shapes = self.shapes(replace(spec, backwards=False))
        if not shapes:
            return None
        rounds: Sequence[int | None] = range(len(shapes)) if spec.each else [None]
        sites = [place for place in spec.sites if place in self.listed]
        try:
            found, kink = self.runner.probe(self.program, self.draw, self.run.upstream, sites, shapes, rounds)
        except ArithmeticError:
            return None
        self.kink = max(self.kink, kink if kink < 1.0 else 0.0)
        return found


def union_of(runs: Iterable[tuple[Listed, ...]]) -> tuple[Listed, ...]:
    """The sites that any of several runs has met, each as the first one met it."""
    found: dict[tuple[int, str], Listed] = {}
    for listed in runs:
        for one in listed:
            found.setdefault((one.site, one.key), one)
    return tuple(found[place] for place in sorted(found))


@dataclass(frozen=True, slots=True)
class Sites:
    """The sites of a forward pass by what they stand for, as one run met them."""

    sites: tuple[Site, ...]
    listed: tuple[Listed, ...]

    def variables(self) -> set[str]:
        return {self._variable(one) for one in self.listed} - {""}

    def _variable(self, one: Listed) -> str:
        return one.key or self.sites[one.site].variable

    def _role(self, one: Listed) -> Role:
        """An entry whose key is made at run time is a use of that entry."""
        return Role.USE if one.key else self.sites[one.site].role

    def _spec(self, found: Sequence[Listed], whole: bool, variable: str = "") -> Spec:
        places = tuple((one.site, one.key) for one in found)
        lines = tuple(dict.fromkeys(self.sites[one.site].line for one in found))
        return Spec(places, whole=whole, variable=variable, lines=lines, text=self.sites[found[0].site].text)

    def wholes(self, variable: str, returned: bool) -> list[Spec]:
        """What may be meant by the gradient of a variable, the likeliest first.

        For what is returned that is the gradient with respect to the parameter of that name, or to all that reads an
        entry or an attribute; else the last thing of that name comes first.
        """
        mine = [one for one in self.listed if self._variable(one) == variable]
        definitions = [one for one in mine if self._role(one) in (Role.PARAMETER, Role.DEFINITION)]
        uses = [one for one in mine if self._role(one) is Role.USE]
        texts = {self.sites[one.site].text for one in definitions}
        # `params["W1"]` and `self.W` come from outside, `W1` may be a name for one of their uses.
        outer = [one for one in uses if (text := self.sites[one.site].text) != variable and text not in texts]
        inner = [one for one in uses if one not in outer]
        by_owner: dict[tuple[int, str] | None, list[Listed]] = {}
        for one in inner:
            for owner in dict.fromkeys(one.owners):
                by_owner.setdefault(owner, []).append(one)
        groups = [self._spec(found, True, variable) for found in by_owner.values() if _one_owner(found)]
        together = [self._spec(inner, True, variable)] if inner and len(by_owner) > 1 else []
        outside = [self._spec(outer, True, variable)] if outer else []
        bound = [self._spec([one], True, variable) for one in definitions]
        if not returned:
            return [*reversed(bound), *groups, *together, *outside]
        parameter = [self._spec([one], True, variable) for one in definitions if self._role(one) is Role.PARAMETER]
        return list(dict.fromkeys([*parameter, *outside, *bound, *groups, *together]))

    def per_round(self, variable: str) -> Iterator[Spec]:
        """The gradient of a variable in each round of a loop: its definitions, then its uses."""
        mine = [one for one in self.listed if self._variable(one) == variable and 1 < len(one.shapes) <= MOST_ROUNDS]
        mine.sort(key=lambda one: self._role(one) in (Role.USE, Role.PART))
        for one in mine:
            whole = self._role(one) in (Role.PARAMETER, Role.DEFINITION)
            spec = self._spec([one], whole, variable)
            for backwards in (True, False):
                yield Spec(spec.sites, True, backwards, whole, variable, spec.lines, spec.text)

    def contributions(self, variable: str) -> list[Spec]:
        """One gradient for each use of a variable."""
        uses = [
            one for one in self.listed if self._variable(one) == variable and self._role(one) in (Role.USE, Role.PART)
        ]
        return [self._spec([one], False, variable) for one in uses]

    def parts_of(self, variable: str) -> list[Spec]:
        """The subexpressions of the statements that bind a variable: pre-activations have no name of their own."""
        return [
            self._spec([one], False)
            for one in self.listed
            if variable in self.sites[one.site].within and self._role(one) is Role.PART
        ]

    def all(self) -> list[Spec]:
        """Every site, definitions first."""
        order = sorted(self.listed, key=lambda one: list(Role).index(self._role(one)))
        return [
            self._spec([one], self._role(one) in (Role.PARAMETER, Role.DEFINITION), self._variable(one))
            for one in order
        ]

    def each_round(self) -> Iterator[Spec]:
        for one in self.listed:
            if 1 < len(one.shapes) <= MOST_ROUNDS:
                spec = self._spec([one], False, self._variable(one))
                for backwards in (True, False):
                    yield Spec(spec.sites, True, backwards, False, spec.variable, spec.lines, spec.text)


def _one_owner(found: Sequence[Listed]) -> bool:
    """Each of the sites has read one definition only."""
    return all(len(set(one.owners)) == 1 for one in found)
