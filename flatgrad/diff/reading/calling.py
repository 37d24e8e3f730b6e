"""How a backward function is called after its forward function: what its parameters are to forward's results."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from flatgrad.diff.reading.names import UPSTREAM, Kind, Variables, read_name, words
from flatgrad.diff.reading.scope import Function, is_cache, parameters, required
from flatgrad.diff.reading.targets import Element, Place, Row, entries, rows
from flatgrad.frontend.source import Module

# Parameters of a backward function that are numbers for the update that it makes as well.
RATES: Mapping[str, float] = {
    "learning_rate": 0.01,
    "lr": 0.01,
    "learningrate": 0.01,
    "step_size": 0.01,
    "epsilon": 1e-8,
}


# What data are called: never a gradient that is handed in.
LABELS = frozenset(
    (
        *("y", "Y", "t", "T", "target", "targets", "label", "labels", "y_true", "Y_true", "truth", "expected"),
        *("y_train", "Y_train", "ground_truth", "actual", "yTrue", "desired", "desired_output"),
    )
)


@dataclass(frozen=True, slots=True)
class Call:
    """How the backward function is called after the forward function."""

    loss: tuple[Place, ...]
    upstream: tuple[str, ...]
    cache: str
    cache_place: Place
    kept: ast.expr | None
    options: tuple[str, ...]
    sources: Mapping[str, str]
    constants: Mapping[str, float]
    passed: Mapping[str, Place]


def most_returned(module: Module, node: Function) -> Row | None:
    """What a function returns, where it returns most; of several such `return`s the last."""
    found = rows(module, node.body)
    return max(enumerate(found), key=lambda one: (len(one[1].elements), one[0]))[1] if found else None


def call_of(
    module: Module,
    forward: Function,
    backward: Function,
    row: Row,
    given: tuple[tuple[str, ...], tuple[str, ...]],
    method: bool,
    certain: bool,
) -> Call | str:
    """How to call a backward function, or why that cannot be told.

    Args:
        module: the file.
        forward: the forward function.
        backward: the backward function.
        row: what the forward function returns.
        given: the forward function's parameters, and the attributes that it reads.
        method: they are methods.
        certain: the backward function is one for certain, and not a derivative that something else uses.
    """
    taken, attributes = given
    needed = required(backward, method)
    names = {one.name for one in row.elements}
    cache = next((one for one in parameters(backward, method) if is_cache(one) and one not in taken), "")
    if not cache:  # `backward(dout, z)` after `return out, z`
        cache = next((one for one in needed if one in names and one not in taken), "")
    found = _with_cache(module, forward, backward, row, given, method, certain, cache)
    if isinstance(found, str) and not cache and certain:
        last = row.elements[-1]
        if len(row.elements) > 1 and entries(module, last, forward.body):  # whatever it is called: `stuff`
            for one in needed[1:]:
                if one not in (*taken, *attributes):
                    again = _with_cache(module, forward, backward, row, given, method, certain, one)
                    found = found if isinstance(again, str) else again
    return found


def _with_cache(
    module: Module,
    forward: Function,
    backward: Function,
    row: Row,
    given: tuple[tuple[str, ...], tuple[str, ...]],
    method: bool,
    certain: bool,
    cache: str,
) -> Call | str:
    """See `call_of`; `cache` is the parameter that takes the cache, empty if there is none."""
    taken, attributes = given
    asked = parameters(backward, method)
    needed = required(backward, method)
    elements = list(row.elements)
    names = {one.name: one for one in elements if one.name}
    kept: Element | None = None
    if cache:
        kept = _kept(module, forward, elements, cache)
        if kept is None:
            return f"nothing that {forward.name} returns is what {backward.name} takes as {cache}"
    results = [one for one in elements if one is not kept] or elements
    if kept is not None and not is_cache(cache) and not is_cache(kept.name):
        results = elements  # it is handed one of the results itself
    results = [one for one in results if not is_cache(one.name)] or results
    options = tuple(one for one in asked if one != cache and (one in taken or one in attributes))
    passed = {one: names[one].place for one in needed if one in names and one != cache and one not in options}
    rest = [one for one in needed if one != cache and one not in options and one not in passed]
    known = Variables(tuple(one.name for one in results if one.name))
    upstream = [one for one in rest if is_upstream(one, known.names)]
    if not upstream and rest and rest[0] == needed[0] and certain and rest[0] not in {*RATES, *LABELS}:
        upstream = rest[:1]
    rest = [one for one in rest if one not in upstream]
    constants = {one: RATES[one.lower()] for one in rest if one.lower() in RATES}
    rest = [one for one in rest if one not in constants]
    sources = _sources(rest, [*taken, *attributes], options, len(taken) if certain else 0)
    if sources is None:
        what = " and ".join(rest)
        return f"nothing says what {what} of {backward.name} {'is' if len(rest) == 1 else 'are'}"
    if len(upstream) > len(results):
        return (
            f"{backward.name} takes {len(upstream)} gradients ({', '.join(upstream)}), "
            f"and {forward.name} returns {len(results)} {'result' if len(results) == 1 else 'results'}"
        )
    pairs = _matched(upstream, results, known) if upstream else [(_loss(results), "")]
    return Call(
        tuple(one.place for one, _ in pairs),
        tuple(name for _, name in pairs),
        cache,
        kept.place if kept is not None else (),
        kept.node if kept is not None else None,
        options,
        sources,
        constants,
        passed,
    )


def _kept(module: Module, forward: Function, elements: Sequence[Element], cache: str) -> Element | None:
    """What the forward function returns for the backward function to have."""
    for one in elements:
        if one.name == cache:
            return one
    for one in elements:
        if is_cache(one.name):
            return one
    if len(elements) > 1:
        displays = [one for one in elements[1:] if entries(module, one, forward.body)]
        return displays[-1] if displays else elements[-1]
    return None


def is_upstream(name: str, results: Sequence[str]) -> bool:
    """Whether a parameter of a backward function is called like the gradient of one of the results, or of something."""
    if name in LABELS:
        return False
    if UPSTREAM.fullmatch(name):
        return True
    return read_name(name, Variables(tuple(results))).kind in (Kind.GRADIENT, Kind.POSSIBLE)


def _sources(
    rest: Sequence[str], inputs: Sequence[str], options: Sequence[str], count: int
) -> Mapping[str, str] | None:
    """For parameters of the backward function the inputs of the forward function in other letters, or that are left."""
    found: dict[str, str] = {}
    for name in rest:
        same = [one for one in inputs if one.lower().replace("_", "") == name.lower().replace("_", "")]
        if len(same) == 1:
            found[name] = same[0]
    unknown = [name for name in rest if name not in found]
    if unknown:
        free = [one for one in inputs[:count] if one not in options and one not in found.values()]
        if len(free) != len(unknown) or LABELS & {*free, *unknown}:
            return None
        found |= dict(zip(unknown, free, strict=True))
    return found


def _matched(upstream: Sequence[str], results: Sequence[Element], known: Variables) -> list[tuple[Element, str]]:
    """Each upstream gradient with its result: by its name, else by its place."""
    chosen: dict[str, Element] = {}
    for name in upstream:
        variable = read_name(name, known).variable
        for one in results:
            if variable and one.name == variable and one not in chosen.values():
                chosen[name] = one
    for position, name in enumerate(upstream):
        if name not in chosen:
            free = [one for one in results if one not in chosen.values()]
            here = results[position] if position < len(results) else free[0]
            chosen[name] = here if here in free else free[0]
    return [(chosen[name], name) for name in upstream]


def _loss(results: Sequence[Element]) -> Element:
    for one in results:
        if {"loss", "cost"} & set(words(one.name)) or one.name in ("L", "J"):
            return one
    return results[0]
