"""Paths of the forward pass that a wrong gradient leaves out: it is right if some expression counts as constant."""

from __future__ import annotations

import ast
from collections.abc import Sequence

import numpy as np

from flatgrad.diff.judging.case import Case
from flatgrad.diff.judging.sites import Role
from flatgrad.diff.judging.truth import Spec
from flatgrad.diff.reasons.rewriting import called, expression
from flatgrad.diff.reasons.values import Fact, Pair

MOST_SITES = 100
MOST_RUNS = 1200
DIRECTIONS = 3
# Of the norms of value and direction.
SAME = 2e-6


Held = tuple[tuple[int, str], ...]


def constant_path(case: Case, truth: Spec, pairs: Sequence[Pair]) -> Fact | None:
    """The expression of the forward pass that the value takes as a constant, if there is one, at every draw.

    Raises:
        SandboxFailure: the homework ended its process.
    """
    if not pairs or any(pair.value.shape != pair.truth.shape for pair in pairs):
        return None
    draws = list(dict.fromkeys(pair.draw for pair in pairs))
    rounds = case.truths[draws[0]].rounds(truth)
    candidates = _candidates(case, truth)[: max(4, min(MOST_SITES, MOST_RUNS // max(1, 4 * rounds)))]
    # Subtracting the largest value changes nothing, but where it is derived it goes both ways: it is held too.
    shifts = tuple(place for place in candidates if _is_maximum(case.program.sites[place[0]].text))[:2]
    for together in [(), shifts] if shifts else [()]:
        held: list[Held] = [(place, *together) for place in candidates if place not in together]
        for place, draw in enumerate(draws):
            held = _agreeing(case, truth, [p for p in pairs if p.draw == draw], draw, held, place > 0) if held else []
        if held:
            return _path_fact(case, [one[0] for one in held])
    return None


def _is_maximum(text: str) -> bool:
    try:
        node = expression(text)
    except SyntaxError:
        return False
    return isinstance(node, ast.Call) and called(node) in ("max", "amax")


def _path_fact(case: Case, places: Sequence[tuple[int, str]]) -> Fact:
    # The last variable that is read so says most: `correct_scores`, not the `scores` that they are taken from.
    sites = [case.program.sites[place[0]] for place in places]
    site = next((one for one in reversed(sites) if one.role is Role.USE), sites[0])
    said = f"the path through `{site.text}` in line {site.line} is missing: it counts as a constant here"
    return Fact("missing-path", said, lines=(site.line,))


def _candidates(case: Case, truth: Spec) -> list[tuple[int, str]]:
    """Variables where they are read come first, then whole expressions; what is measured itself does not count."""
    found = [
        (one.site, one.key)
        for one in case.frees[0].sites
        if (one.site, one.key) not in truth.sites and case.program.sites[one.site].role is not Role.PARAMETER
    ]
    order = (Role.USE, Role.DEFINITION, Role.PART)
    return sorted(found, key=lambda place: order.index(case.program.sites[place[0]].role))


def _agreeing(
    case: Case, truth: Spec, pairs: Sequence[Pair], draw: int, candidates: Sequence[Held], thorough: bool
) -> list[Held]:
    """The candidates with which the value is the derivative, along some directions."""
    random = np.random.default_rng(draw)
    shape = pairs[0].truth.shape
    if any(pair.truth.shape != shape for pair in pairs):
        return []
    directions = [np.asarray(random.standard_normal(shape)) for _ in range(DIRECTIONS if thorough else 1)]
    rounds: list[int | None] = list(range(len(pairs))) if truth.each else [None]
    values = case.runner.hold(
        case.number, case.draws[draw], case.frees[draw].upstream, truth.sites, candidates, directions, rounds
    )
    ordered = list(pairs)[::-1] if truth.each and truth.backwards else list(pairs)
    found = []
    for place, value in zip(candidates, values, strict=True):
        if value is None:
            continue
        if all(
            abs(float(np.sum(pair.value * direction)) - number)
            <= SAME * float(np.linalg.norm(pair.value) * np.linalg.norm(direction)) + 1e-8
            for pair, numbers in zip(ordered, value, strict=True)
            for direction, number in zip(directions, numbers, strict=True)
        ):
            found.append(place)
    return found
