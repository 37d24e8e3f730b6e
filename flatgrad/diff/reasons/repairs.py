"""The search for what would make a wrong gradient right.

First what the value says (`values`), then mutations of the statements that make it, and of those that compute what they
read, tried in the order of how far-fetched they are. What is reported was confirmed at every draw, with all other
gradients forced to their truths.
"""

from __future__ import annotations

import ast
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from flatgrad.diff.judging.case import Case, Judged
from flatgrad.diff.judging.runs import Key
from flatgrad.diff.judging.truth import Spec
from flatgrad.diff.reasons import mutate_axes, mutate_masks, mutate_statements, mutate_terms
from flatgrad.diff.reasons.contributions import contributed, other_gradient, some_contributions
from flatgrad.diff.reasons.explanation import Explanation
from flatgrad.diff.reasons.paths import constant_path
from flatgrad.diff.reasons.rewriting import Mutation, Place, place_of, target_of
from flatgrad.diff.reasons.spots import Spot
from flatgrad.diff.reasons.surroundings import Code, Scope, code_of, scopes
from flatgrad.diff.reasons.trials import Trials
from flatgrad.diff.reasons.values import Fact, Pair, inputs_of, masked, numbers_in, pairs_of, plainest
from flatgrad.diff.reasons.wording import from_fact, from_mutation, partly, plain
from flatgrad.diff.verdicts import Outcome
from flatgrad.sandbox.process import SandboxFailure

# What a mutation may be where the value says something of itself.
_COMPATIBLE = {
    "sign": ("sign",),
    "factor": ("factor", "mean-for-sum", "wrong-point"),
    "transposed": ("transposed",),
    "not-summed": ("not-summed", "wrong-axis"),
    "wrong-axis": ("wrong-axis", "not-summed"),
    "shape": ("shape", "transposed"),
    "geometry": ("geometry",),
}
MOST_HELPERS = 8
# Seconds for all that is wrong in a homework, by the clock: what is left then is not explained.
MOST_SECONDS = 20.0


def explain_all(case: Case, every: tuple[Judged, ...]) -> dict[Key, Explanation]:
    """Why each of the wrong gradients is wrong, and in which line. One statement may be to blame for several.

    Where the homework ends its process, or its runs have taken too long, what is known without further runs is said.
    """
    code = code_of(case.homework, case.silent)
    deadline = time.monotonic() + MOST_SECONDS
    found: dict[Key, Explanation] = {}
    known: list[Mutation] = []
    for one in every:
        if one.outcome is Outcome.WRONG:
            try:
                found[one.group.key] = _explained(case, one, every, code, known, deadline)
            except SandboxFailure:
                found[one.group.key] = plain(case, one)
    return found


def explain(case: Case, one: Judged, every: tuple[Judged, ...]) -> Explanation:
    """Why one gradient is wrong.

    Raises:
        SandboxFailure: the homework ended its process.
    """
    deadline = time.monotonic() + MOST_SECONDS
    return _explained(case, one, every, code_of(case.homework, case.silent), [], deadline)


def _explained(
    case: Case, one: Judged, every: tuple[Judged, ...], code: Code, known: list[Mutation], deadline: float
) -> Explanation:
    """`known`: mutations of statements before it that have made other gradients right; what is found is added."""
    if one.truth is None or one.of_model:
        return plain(case, one)
    spots = spots_of(case, one, one.truth, code)
    pairs = pairs_of(case, one, one.truth)
    scope = next((spot.scope for spot in reversed(spots) if spot.own), Scope({}))
    own = {place_of(spot.statement) for spot in spots if spot.own}
    shared = [mutation for mutation in known if not own & set(mutation.changes)]
    if time.monotonic() > deadline:
        return plain(case, one)
    found = Trials(case, one, one.truth, every).first_right(shared)
    fact = fact_of(case, one, one.truth, pairs, scope) if found is None else None
    found = found or search(case, one, one.truth, every, spots, fact)
    if found is not None:
        known.append(found)
        return from_mutation(found, fact, _COMPATIBLE)
    fact = fact or other_gradient(case, one.truth, pairs) or constant_path(case, one.truth, pairs)
    if fact is not None:
        return from_fact(fact)
    said = (None if one.failed else partly(case, one)) or plain(case, one)
    return replace(said, line=suspect(case, one, one.truth, every, spots, pairs))


def spots_of(case: Case, one: Judged, truth: Spec, code: Code) -> list[Spot]:
    """The statements that may be at fault: those that make the gradient, the last first; then what these read."""
    lines = set(one.group.lines)
    own = [node for node in code.backward if node.lineno in lines and not hasattr(node, "body")]
    forced = {(case.program.targets[key[0]].text, line) for key in case.forcing if key[0] >= 0 for line in key[1]}
    helpers = _helpers(code, own, forced)
    if one.group.returned and one.group.target:
        own += [node for node in code.backward if _returns(node, one.group.target) and node not in own]
    try:
        found = scopes(case, code, [place_of(node) for node in [*own, *helpers]])
    except (SyntaxError, SandboxFailure):
        found = {}
    shape = case.truths[0].shape(truth) or ()
    last = next((node for node in reversed(own) if not isinstance(node, ast.Return)), own[-1] if own else None)
    values = [value for rounds in one.forced for value in rounds]
    crashed = bool(one.failed) or any(value is None for value in values)
    return [
        Spot(
            code,
            node,
            found.get(place_of(node), Scope({})),
            one.group.target,
            one.group.variable,
            node in own,
            node is last,
            shape if node in own else _shape_of(node, found) or shape,
            crashed,
        )
        for node in [*reversed(own), *helpers]
    ]


def fact_of(case: Case, one: Judged, truth: Spec, pairs: Sequence[Pair], scope: Scope) -> Fact | None:
    """What the value says by itself."""
    name = one.group.variable or one.group.target
    return (
        plainest(name, pairs, numbers_in(scope, inputs_of(case)))
        or some_contributions(case, one, truth, pairs)
        or masked(pairs)
    )


def _shape_of(node: ast.stmt, scopes: Mapping[Place, Scope]) -> tuple[int, ...] | None:
    """The shape of what a statement computes, as a later one finds it."""
    target = target_of(node)
    text = ast.unparse(target) if target is not None else ""
    found = [scope.shape(text) for place, scope in scopes.items() if place > place_of(node)]
    return next((one for one in found if one is not None), None)


def _returns(node: ast.stmt, target: str) -> bool:
    return isinstance(node, ast.Return) and node.value is not None and ast.unparse(node.value) == target


def _helpers(code: Code, own: list[ast.stmt], forced: set[tuple[str, int]]) -> list[ast.stmt]:
    """The statements that compute what these read and that is not judged itself, the nearest first."""
    wanted = {one.id for node in own for one in ast.walk(node) if isinstance(one, ast.Name)}
    last = max((node.lineno for node in own), default=0)
    loops = {loop for node in own for loop in code.loops.get(place_of(node), ())}
    found: dict[Place, ast.stmt] = {}
    # Twice: a loop's statement may be read by an earlier one in the next round.
    for node in [*reversed(code.backward), *reversed(code.backward)]:
        later = node.lineno > last and not loops & set(code.loops.get(place_of(node), ()))
        if node in own or hasattr(node, "body") or later or place_of(node) in found:
            continue
        bound = {one.id for one in ast.walk(node) if isinstance(one, ast.Name) and _stored(node, one)}
        if bound & wanted and not any((name, node.lineno) in forced for name in bound):
            found[place_of(node)] = node
            wanted |= {one.id for one in ast.walk(node) if isinstance(one, ast.Name)}
    return sorted(found.values(), key=place_of, reverse=True)[:MOST_HELPERS]


def _stored(statement: ast.stmt, name: ast.Name) -> bool:
    """The statement binds the name, or writes into what it stands for."""
    if isinstance(name.ctx, ast.Store):
        return True
    targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
    return any(isinstance(one, ast.Subscript) and one.value is name for one in targets)


def search(
    case: Case, one: Judged, truth: Spec, every: tuple[Judged, ...], spots: list[Spot], fact: Fact | None
) -> Mutation | None:
    """The plainest mutation that makes the gradient right."""
    reasons = _COMPATIBLE.get(fact.reason) if fact is not None else None
    chosen: list[Mutation] = []
    seen: set[str] = set()
    for mutation in mutations(spots, fact):
        if reasons is not None and mutation.reason not in reasons:
            continue
        text = repr([(place, [ast.dump(made) for made in stands]) for place, stands in mutation.changes.items()])
        if text not in seen:
            seen.add(text)
            chosen.append(mutation)
    chosen.sort(key=lambda one: _cost(one, fact))
    return Trials(case, one, truth, every).first_right(chosen)


def _cost(mutation: Mutation, fact: Fact | None) -> float:
    kinds = {**_COMPATIBLE, "missing-path": ("missing-term", "overwritten", "scatter")}
    agreeing = fact is not None and mutation.reason in (fact.reason, *kinds.get(fact.reason, ()))
    return mutation.cost - (0.7 if agreeing else 0.0)


def suspect(
    case: Case, one: Judged, truth: Spec, every: tuple[Judged, ...], spots: list[Spot], pairs: Sequence[Pair]
) -> int | None:
    """The last of the lines that add something to the gradient that is no contribution, if there are several lines.

    A line that adds just what the uses of the variable in one line contribute is right; one that only scales may be.
    """
    own = [spot for spot in spots if spot.own and not isinstance(spot.statement, ast.Return)]
    if len(own) < 2:
        return None
    trials = Trials(case, one, truth, every)
    right = {
        spot.line
        for spot in own
        if isinstance(spot.statement, ast.AugAssign)
        and isinstance(spot.statement.op, ast.Add | ast.Sub)
        and contributed(case, truth, pairs, trials.without(spot.statement))
    }
    scaling = {
        spot.line
        for spot in own
        if isinstance(spot.statement, ast.AugAssign) and isinstance(spot.statement.op, ast.Mult | ast.Div)
    }
    left = [spot.line for spot in own if spot.line not in right | scaling]
    return left[0] if left and (right or scaling) else None


_RULES = (
    mutate_statements.accumulations,
    mutate_statements.geometry,
    mutate_statements.indices,
    mutate_statements.returned,
    mutate_statements.sizes,
    mutate_statements.picked,
    mutate_statements.removals,
    mutate_terms.signs,
    mutate_terms.upstream,
    mutate_terms.names,
    mutate_terms.terms_added,
    mutate_terms.terms_dropped,
    mutate_terms.forward_factors,
    mutate_terms.constants,
    mutate_terms.scaled_first,
    mutate_terms.exponents,
    mutate_terms.unwrapped,
    mutate_masks.masks,
    mutate_axes.transposes,
    mutate_axes.sums,
    mutate_axes.shapes,
    mutate_axes.flips,
)


def mutations(spots: list[Spot], fact: Fact | None) -> Iterator[Mutation]:
    named = fact.factor if fact is not None and fact.reason == "factor" else ""
    for order, spot in enumerate(spots):
        # What is computed elsewhere is at fault less often, unless that is a gradient on which nothing has been said.
        distance = 0.02 * order + (0.0 if spot.own else 0.05 if spot.unjudged_gradient() else 0.25)
        for rule in _RULES:
            try:
                yield from (_dearer(made, distance) for made in rule(spot))
            except SyntaxError:
                # Text put together from the homework's own may not be Python where that is spelt in an unusual way.
                continue
        yield from (_dearer(made, distance) for made in mutate_terms.factors(spot, named))
    own = [spot for spot in spots if spot.own]
    yield from mutate_statements.conditions(own)
    yield from mutate_statements.reversals(own)
    yield from mutate_statements.updates(own)


def _dearer(mutation: Mutation, by: float) -> Mutation:
    return Mutation(
        mutation.changes,
        mutation.reason,
        mutation.detail,
        mutation.line,
        mutation.repair,
        mutation.cost + by,
        mutation.hint,
    )
