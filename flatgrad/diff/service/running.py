"""Runs at given arguments, forward and backward: free, with gradients forced, with one of many mutations."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from flatgrad.diff.service.calling import PROGRAMS, Called, Loaded, at_place, backward, decoded, forward, results_of
from flatgrad.diff.service.recorder import Instance, Recorder
from flatgrad.diff.service.values import as_array, is_a, kind_of, line_of, numeric, said


def run(request: dict[str, Any], arrays: dict[str, np.ndarray]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Forward and backward at given arguments.

    `forced`: `[target, lines, key, [array name or None for each round]]` for each gradient whose truth takes the
    place of its value.
    """
    program = PROGRAMS[request["program"]]
    forced = {
        (target, tuple(lines), key): [None if name is None else arrays[name] for name in names]
        for target, lines, key, names in request["forced"]
    }
    recorder = Recorder(forced=forced, live=not request["forward_only"])
    if request["listing"]:
        recorder.listing = {}
        recorder.definitions, recorder.uses = program.definitions, program.uses
    arguments = decoded(request["arguments"], arrays)
    before = snapshot(arguments)
    reply: dict[str, Any] = {"crash": "", "line": None, "stage": ""}
    found: dict[str, np.ndarray] = {}
    upstream: list[np.ndarray] = []
    try:
        called = forward(program, recorder, arguments, request["seed"])
        results = results_of(program, called)
    except BaseException as error:
        reply.update(crash=said(error), line=line_of(error), stage="forward", failed=program.failed)
        return reply, found
    found |= {f"result{index}": value for index, value in enumerate(results)}
    given = upstream_of(program, called, results, request["seed"])
    found |= {f"upstream{index}": value for index, value in enumerate(given)}
    if not request["forward_only"]:
        upstream = [value.copy() for value in given]
        changed_forward = changed(before, arguments)
        gradients: Any = None
        try:
            gradients = backward(program, called, recorder, upstream)
        except BaseException as error:
            reply.update(crash=said(error), line=line_of(error), stage="backward")
        returned_values(program, called, recorder, gradients)
        reply["overwritten"] = [
            name
            for name, was, now in zip(program.plan["upstream"], given, upstream, strict=True)
            if name and not same(was, now)
        ]
        reply["changed"] = sorted(set(changed(before, arguments)) - set(changed_forward))
    found |= {f"value{index}": value for index, value in enumerate(recorder.values) if value is not None}
    reply["records"] = recorder.records
    reply["results"] = len(results)
    reply["leaves"] = sorted(recorder.found_leaves)
    for name, value in recorder.found_leaves.items():
        if numeric(value):
            found[f"leaf {name}"] = np.array(value)
    if recorder.listing is not None:
        reply["sites"] = [[site, key, entries] for (site, key), entries in recorder.listing.items()]
    return reply, found


def upstream_of(program: Loaded, called: Called, results: list[np.ndarray], seed: int) -> list[np.ndarray]:
    """An upstream gradient for each result, float64: 1 where the backward pass takes none, what a script makes up,
    else random."""
    random = np.random.default_rng(seed + 1)
    names = program.plan["upstream"] or [""] * len(results)
    found = []
    for name, result in zip(names, results, strict=True):
        drawn = random.standard_normal(result.shape)
        if name and program.plan["style"] == "script":
            own = as_array(called.names.get(name))
            drawn = own if own is not None and own.shape == result.shape else np.ones(result.shape)
        found.append(drawn if name else np.ones(result.shape))
    return found


def returned_values(program: Loaded, called: Called, recorder: Recorder, gradients: Any) -> None:
    """Judge what is returned, or left on the object, and has not been read before."""
    for index, one in enumerate(program.plan["returned"]):
        target, place = one["target"], one["place"]
        pending = recorder.pending.pop(target, None) if target is not None else None
        if pending is None and any(record.get("target") == target for record in recorder.records):
            continue
        number = -1 - index if target is None else target
        instance = pending or Instance([one["line"]], [])
        if instance.crashed:
            recorder.judged(number, instance, None, instance.crashed, None, quiet=True)
            continue
        try:
            if place is not None:
                value = at_place(gradients, place)
            else:
                value = eval(one["text"], {"self": called.owner, **called.names})
        except Exception as error:
            recorder.records.append({"absent": index, "why": said(error)})
            continue
        if value is None or is_a(value, (str, bool)):
            recorder.records.append({"absent": index, "why": "None" if value is None else kind_of(value)})
        entries = value.items() if isinstance(value, dict) else [("", value)]
        for key, entry in entries:
            recorder.judged(number, instance, entry, "", None, str(key), quiet=True)


def snapshot(arguments: Any) -> Any:
    return copy.deepcopy(arguments)


def changed(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """The arguments whose arrays are not what they were."""
    return [name for name in before if name in after and not same(before[name], after[name])]


def same(one: Any, other: Any) -> bool:
    if isinstance(one, np.ndarray):
        return isinstance(other, np.ndarray) and one.shape == other.shape and np.array_equal(one, other, equal_nan=True)
    if isinstance(one, dict) and isinstance(other, dict):
        return all(key in other and same(value, other[key]) for key, value in one.items())
    return True


def attempts(request: dict[str, Any], arrays: dict[str, np.ndarray]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Several forced runs of a program that holds many mutations, one for each of `choices`: the values of one
    gradient.

    `choice` is the key under which a run is told its choice, `wanted` the gradient's target and entry. The reply's
    `records`: for each choice a list of lines, a list for each value; the values are the arrays `choice.place`.
    """
    told: list[Any] = []
    found: dict[str, np.ndarray] = {}
    target, lines, key = request["choice"]
    for choice in request["choices"]:
        arrays["choice"] = np.array(float(choice))
        one = {**request, "forced": [*request["forced"], [target, lines, key, ["choice"]]]}
        reply, values = run(one, arrays)
        made = [record for record in reply.get("records", ()) if "round" in record]
        mine: list[Any] = []
        for index, record in enumerate(made):
            if [record["target"], record["key"]] == request["wanted"]:
                if f"value{index}" in values:
                    found[f"{choice}.{len(mine)}"] = values[f"value{index}"]
                mine.append(record["lines"])
        told.append(mine)
    return {"records": told}, found
