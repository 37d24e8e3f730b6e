"""The verdicts on one homework: which of its gradients are right, which are at fault, which only follow.

    free run      what the homework computes                          == truth: match
    forced run    each gradient replaced by its truth once it is read  == truth: follows, else: wrong

What a name stands for is taken from the name first. Where the value says otherwise (`dh` that is the gradient before
the activation, `dscores` that is divided by N only later), the reading that leaves fewer lines at fault is taken.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from flatgrad.diff.judging.case import Case, Group, Judged, Values
from flatgrad.diff.judging.closeness import squeezed
from flatgrad.diff.judging.runs import Key, Run
from flatgrad.diff.judging.truth import MOST_GUESSED, Spec
from flatgrad.diff.verdicts import Outcome

# So many true gradients are tried in the place of one.
MOST_TRIED = 80


def judge(case: Case, readers: int = 2) -> tuple[Judged, ...]:
    """Decide on every group.

    Args:
        readers: so many readers of a gradient that is right in some sense must come right for it to be another one.
    """
    strict = _strict_truths(case)
    case.forcing = dict(strict)
    forced = case.forced_runs(case.forcing)
    meant: dict[Key, Spec | None] = {}
    for group in case.groups:
        key = group.key
        spec = strict.get(key)
        if group.returned and spec is not None:
            continue
        values = case.values(forced, key)
        needed: Spec | None = None
        if spec is not None and case.agrees(spec, values, group.returned):
            needed = _needed_by_readers(case, group, strict, forced, case.sites.parts_of(group.variable), readers)
        elif spec is None:
            other = _other_meaning(case, group, values)
            if other is None:
                # Its name says nothing: what all that reads it needs, if there is such a gradient.
                needed = _needed_by_readers(case, group, strict, forced, list(_meanings(case, group, values)))
            else:
                meant[key] = other
                # Where it is what another gradient is already, one reader that needs something else is enough.
                least = (
                    1 if other.variable in {one.variable for one in case.groups if one.key != key} - {""} else readers
                )
                if len(_bad(case, forced, strict, key)) >= least:
                    options = list(_meanings(case, group, values))
                    needed = _needed_by_readers(case, group, strict, forced, options, least)
        else:
            other = _other_meaning(case, group, values)
            own = _is_what_is_needed(case, group, strict, forced, other)
            if own:
                meant[key] = other
                del strict[key]
                del case.forcing[key]
                forced = case.forced_runs(case.forcing)
                continue
            needed = _needed_by_readers(case, group, strict, forced, _options(case, group, values))
        if needed is not None:
            strict[key] = case.forcing[key] = needed
            forced = case.forced_runs(case.forcing)
    tree = ast.parse(case.homework.text)
    found = tuple(_judged(case, group, _copied(tree, group), strict, meant, forced) for group in case.groups)
    return _with_swapped_names(case, found)


def _with_swapped_names(case: Case, found: tuple[Judged, ...]) -> tuple[Judged, ...]:
    """Where all that is returned is right, a true gradient under the name of another one is right as well.

    `da1 = dy @ W2.T; dz1 = sigmoid_grad(a1) * da1`, where `z1 = sigmoid(a1)`.
    """
    returned = [one for one in found if one.group.returned]
    if not returned or any(one.outcome is not Outcome.MATCH for one in returned):
        return found
    made: list[Judged] = []
    for one in found:
        other = _other_meaning(case, one.group, one.free) if one.outcome is Outcome.WRONG else None
        made.append(
            one if other is None else replace(one, outcome=Outcome.MATCH, truth=other, meant=other, wrong_at=())
        )
    return tuple(made)


def _most_rounds(values: Values) -> int:
    return max((len(rounds) for rounds in values), default=0)


def _options(case: Case, group: Group, values: Values) -> list[Spec]:
    """What a gradient of that name may be, one version of the variable or an unnamed step of its statement."""
    if _most_rounds(values) > 1:
        return list(case.sites.per_round(group.variable))
    return [*case.sites.wholes(group.variable, False), *case.sites.parts_of(group.variable)]


def _is_what_is_needed(
    case: Case, group: Group, strict: dict[Key, Spec], forced: Sequence[Run], other: Spec | None
) -> bool:
    """Whether a gradient that is not what its name says is what its readers need.

    To take its truth in its place would then break readers that are right: `dscores` that is divided by N only
    later, or `da` that is the gradient before the activation. No more lines may be at fault then than with the truth.
    """
    without = {one: truth for one, truth in case.forcing.items() if one != group.key}
    alone = case.forced_runs(without)
    if _same_records(alone, forced, group.key):
        return other is not None
    bad_own, bad_truth = _bad(case, alone, strict, group.key), _bad(case, forced, strict, group.key)
    if len(bad_own) > len(bad_truth):
        return False
    if bad_truth - bad_own:
        return True
    return other is not None and bad_own == bad_truth and other in _options(case, group, case.values(forced, group.key))


def _strict_truths(case: Case) -> dict[Key, Spec]:
    """What each gradient is by its name."""
    found: dict[Key, Spec] = {}
    for group in case.groups:
        if not group.variable:
            continue
        values = case.values(case.frees, group.key)
        most = _most_rounds(values)
        if most > 1:
            options = list(case.sites.per_round(group.variable))
        else:
            options = case.sites.wholes(group.variable, group.returned)
        options = [spec for spec in options if _measurable(case, spec, values)]
        if not options:
            continue
        if group.returned:
            found[group.key] = options[0]
            continue
        fitting = _fitting(case, options, values)
        agreeing = [spec for spec in options if case.agrees(spec, values, False)]
        if most == 1 and not fitting and not agreeing and next(case.sites.per_round(group.variable), None) is not None:
            # Read in some rounds of a loop only: which version of the variable it stands for is open.
            continue
        # One use of several is not what the name says, though it may turn out to be what is meant.
        choices = (
            [spec for spec in agreeing if spec.whole],
            [spec for spec in fitting if spec.whole],
            agreeing,
            fitting,
            options,
        )
        found[group.key] = next(chosen for chosen in choices if chosen)[0]
    return found


def _measurable(case: Case, spec: Spec, values: Values) -> bool:
    for draw, rounds in enumerate(values):
        if rounds and len(case.truths[draw].shapes(spec)) != len(rounds):
            return False
    return True


def _fitting(case: Case, options: list[Spec], values: Values) -> list[Spec]:
    """Those of the shape that the homework's gradient has."""
    return [
        spec
        for spec in options
        if all(
            value is None or value.shape == shape
            for draw, rounds in enumerate(values)
            for value, shape in zip(rounds, _by_round(case, spec, draw, len(rounds)), strict=True)
        )
    ]


def _by_round(case: Case, spec: Spec, draw: int, rounds: int) -> tuple[tuple[int, ...] | None, ...]:
    shapes = case.truths[draw].shapes(spec)
    return shapes if len(shapes) == rounds else (None,) * rounds


def _other_meaning(case: Case, group: Group, values: Values) -> Spec | None:
    """A true gradient that the value is, whatever its name."""
    for spec in _meanings(case, group, values):
        if _few_numbers(case, spec) and case.agrees(spec, values, False):
            return spec
    return None


def _meanings(case: Case, group: Group, values: Values) -> Iterator[Spec]:
    stem = group.variable or group.target.lstrip("d_").rstrip("0123456789_")
    if _most_rounds(values) > 1:
        yield from case.sites.per_round(stem)
        yield from case.sites.each_round()
        return
    yield from case.sites.wholes(stem, False)
    yield from case.sites.contributions(stem)
    yield from case.sites.parts_of(stem)
    yield from case.sites.all()


def _few_numbers(case: Case, spec: Spec) -> bool:
    total = 0
    for truth in case.truths:
        shape = truth.shape(spec)
        if shape is not None:
            total = max(total, int(np.prod(shape)) * max(1, truth.rounds(spec)))
    return total <= MOST_GUESSED


def _bad(case: Case, runs: Sequence[Run], strict: dict[Key, Spec], but: Key) -> set[Key]:
    """The gradients that are not right in a run."""
    found = set()
    for group in case.groups:
        if group.key != but and group.key in strict:
            if not case.agrees(strict[group.key], case.values(runs, group.key), group.returned):
                found.add(group.key)
    return found


def _same_records(one: Sequence[Run], other: Sequence[Run], but: Key) -> bool:
    """Nothing but the group itself differs: nothing reads it."""
    for first, second in zip(one, other, strict=True):
        mine = [record for record in first.records if record.key != but]
        theirs = [record for record in second.records if record.key != but]
        if len(mine) != len(theirs):
            return False
        for a, b in zip(mine, theirs, strict=True):
            if (a.value is None) != (b.value is None):
                return False
            if a.value is not None and b.value is not None and not np.array_equal(a.value, b.value, equal_nan=True):
                return False
    return True


def _needed_by_readers(
    case: Case,
    group: Group,
    strict: dict[Key, Spec],
    forced: Sequence[Run],
    options: Sequence[Spec],
    least: int = 1,
) -> Spec | None:
    """Another true gradient, if what reads this one needs that: of `options`, the one that leaves the fewest readers
    wrong.

    `dh = dscores @ W2.T` is the gradient of `h = np.maximum(0, x @ W + b)`; where nothing else takes the mask in,
    what reads `dh` wants the one before `maximum`, and the mask is missing here. `least`: so many readers must come
    right.
    """
    bad = _bad(case, forced, strict, group.key)
    if len(bad) < least or group.returned:
        return None
    values = case.values(forced, group.key)
    best: tuple[int, Spec] | None = None
    tried: list[Spec] = []
    for spec in options:
        if not _may_replace(case, group, spec, values) or any(_same_value(case, spec, other) for other in tried):
            continue
        tried.append(spec)
        forcing = {**case.forcing, group.key: spec}
        first = case.forced_runs(forcing, draws=(0,))
        if len(bad) - len(_bad(case, first, strict, group.key)) < least:
            continue
        left = _bad(case, case.forced_runs(forcing), strict, group.key)
        if len(bad) - len(left) >= least and left < bad and (best is None or len(left) < best[0]):
            best = (len(left), spec)
        if (best is not None and not best[0]) or len(tried) >= MOST_TRIED:
            break
    if best is None or (group.key in strict and _same_value(case, best[1], strict[group.key])):
        return None
    return best[1]


def _may_replace(case: Case, group: Group, spec: Spec, values: Values) -> bool:
    """Of the shape that the homework has, and not what another of its gradients is by name."""
    named = {other.variable for other in case.groups if other.key != group.key}
    if not _measurable(case, spec, values) or not _few_numbers(case, spec) or (spec.whole and spec.variable in named):
        return False
    return all(
        value is None or squeezed(value.shape) == squeezed(case.truths[draw].shape(spec) or ())
        for draw, rounds in enumerate(values)
        for value in rounds
    )


def _same_value(case: Case, one: Spec, other: Spec) -> bool:
    """Whether two gradients are the same at the first draw: along the same directions."""
    truth = case.truths[0]
    if truth.shapes(one) != truth.shapes(other) or one.each != other.each:
        return False
    a, b = truth.slopes(one), truth.slopes(other)
    same = a is not None and b is not None and bool(np.all(np.abs(a - b) <= 1e-6 * np.abs(a) + 1e-8))
    return same and one.backwards == other.backwards


def _judged(
    case: Case,
    group: Group,
    copies: str,
    strict: dict[Key, Spec],
    meant: dict[Key, Spec | None],
    forced: Sequence[Run],
) -> Judged:
    key = group.key
    free, local = case.values(case.frees, key), case.values(forced, key)
    records = [one for run in case.frees for one in run.records if one.key == key]
    failed = next((one.failed for one in records if one.failed), "")
    reads = tuple(dict.fromkeys(one.read for one in records if one.read is not None))
    spec = strict.get(key)
    other = meant.get(key)
    if spec is None:
        if other is None:
            outcome = Outcome.UNKNOWN
        else:
            outcome = Outcome.MATCH if case.agrees(other, free, False) else Outcome.FOLLOWS
        return Judged(group, outcome, other, other, free, local, failed, (), reads, copies)
    wrong_at = tuple(
        draw for draw, rounds in enumerate(local) if rounds and not case.agrees_at(spec, draw, rounds, group.returned)
    )
    if case.agrees(spec, free, group.returned):
        outcome = Outcome.MATCH
    elif not wrong_at:
        outcome = Outcome.FOLLOWS
    else:
        outcome = Outcome.WRONG
    return Judged(group, outcome, spec, other, free, local, failed, wrong_at, reads, copies)


def _copied(tree: ast.Module, group: Group) -> str:
    """The gradient that one is assigned from as it is: `grads["W1"] = dW1`."""
    if len(group.key[1]) != 1:
        return ""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and node.lineno == group.last:
            if isinstance(node.value, ast.Name | ast.Attribute | ast.Subscript):
                return ast.unparse(node.value)
            if isinstance(node.value, ast.Tuple) and isinstance(node.targets[0], ast.Tuple):
                for target, value in zip(node.targets[0].elts, node.value.elts, strict=False):
                    if ast.unparse(target) == group.target:
                        return ast.unparse(value)
    return ""
