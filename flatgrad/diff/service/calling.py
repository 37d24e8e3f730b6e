"""Programs that are loaded, and their forward and backward passes called."""

from __future__ import annotations

import builtins
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from flatgrad.diff.service.recorder import Recorder
from flatgrad.diff.service.values import as_array, line_of, said


@dataclass(slots=True)
class Loaded:
    """A program that has been loaded, and how to call it."""

    code: Any
    plan: dict[str, Any]
    definitions: dict[int, str]
    uses: dict[int, str]
    recorded: bool
    namespace: dict[str, Any] | None = None
    failed: list[Any] = field(default_factory=list)
    """Line and text of what statements of the file's top level raised."""


PROGRAMS: dict[int, Loaded] = {}


def namespace_of(program: Loaded) -> dict[str, Any]:
    """The names that the file defines. What its top level fails to do shows where it is missed."""
    if program.namespace is None:
        names: dict[str, Any] = {"__name__": "homework", "__builtins__": builtins}
        for code in program.code:
            try:
                exec(code, names)
            except BaseException as error:
                program.failed.append([line_of(error), said(error)])
        program.namespace = names
    return program.namespace


def decoded(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    """An argument from data: `{"array": name}`, `{"dict": [[key, value], …]}`, `{"list": […]}`, `{"tuple": […]}`, or
    itself."""
    if not isinstance(value, dict):
        return value
    ((kind, inside),) = value.items()
    match kind:
        case "array":
            return arrays[inside].copy()
        case "dict":
            return {key: decoded(one, arrays) for key, one in inside}
        case "tuple":
            return tuple(decoded(one, arrays) for one in inside)
        case _:
            return [decoded(one, arrays) for one in inside]


def at_place(value: Any, place: list[Any]) -> Any:
    for key in place:
        value = value[key]
    return value


def look_up(names: dict[str, Any], qualified: str) -> Any:
    found = names[qualified.partition(".")[0]]
    for part in qualified.split(".")[1:]:
        found = getattr(found, part)
    return found


@dataclass(slots=True)
class Called:
    """A forward pass that has been run: its results, and what its backward pass needs."""

    result: Any
    owner: Any = None
    names: dict[str, Any] = field(default_factory=dict)
    arguments: dict[str, Any] = field(default_factory=dict)


def forward(program: Loaded, recorder: Recorder, arguments: dict[str, Any], seed: int) -> Called:
    plan = program.plan
    np.random.seed(seed)
    if plan["style"] == "script":
        recorder.leaves = arguments
        names: dict[str, Any] = {"__name__": "homework", "__builtins__": builtins, "__recorder__": recorder}
        exec(program.code, names)
        return Called(names.get(plan["script_result"]), names=names, arguments=arguments)
    names = namespace_of(program)
    if program.recorded:
        names["__recorder__"] = recorder
    given = {name: value for name, value in arguments.items() if "." not in name}
    owner = None
    if "." in plan["forward"]:
        owner = made_object(names[plan["forward"].partition(".")[0]], arguments, plan["attributes"], seed)
        function = getattr(owner, plan["forward"].rpartition(".")[2])
    else:
        function = look_up(names, plan["forward"])
    np.random.seed(seed)
    return Called(function(**given), owner, names, arguments)


def made_object(made: Any, arguments: dict[str, Any], read: list[str], seed: int) -> Any:
    """An object of a class of the homework: constructed with drawn arguments, then given the drawn attributes.

    An array that the constructor fills with one number, and that forward reads, gets others about it: zeros hide
    mistakes.
    """
    constructor = {
        name.removeprefix("__init__."): value for name, value in arguments.items() if name.startswith("__init__.")
    }
    attributes = {name.removeprefix("self."): value for name, value in arguments.items() if name.startswith("self.")}
    try:
        owner = made(**constructor)
    except Exception:
        owner = made.__new__(made)
    random = np.random.default_rng(seed + 2)
    for name in read:
        value = getattr(owner, name, None)
        if name not in attributes and isinstance(value, np.ndarray) and value.dtype.kind == "f" and value.size:
            if np.ptp(value) == 0:
                setattr(owner, name, value + 0.3 * np.clip(random.standard_normal(value.shape), -2, 2))
    for name, value in attributes.items():
        setattr(owner, name, value)
    return owner


def results_of(program: Loaded, called: Called) -> list[np.ndarray]:
    """The differentiated results.

    Raises:
        TypeError: one of them is no number.
    """
    plan = program.plan
    values = [at_place(called.result, place) for place in plan["loss"]] if plan["loss"] else [called.result]
    found = []
    for value in values:
        array = as_array(value)
        if array is None:
            raise TypeError(f"the forward pass gives no numbers, but {type(value).__name__}")
        found.append(array)
    return found


def backward(program: Loaded, called: Called, recorder: Recorder, upstream: list[np.ndarray]) -> Any:
    """What the backward pass returns; for a flat function that is in forward's result."""
    plan = program.plan
    if plan["style"] in ("flat", "script"):
        return called.result
    given: dict[str, Any] = {}
    for name, gradient in zip(plan["upstream"], upstream, strict=True):
        if name:
            given[name] = gradient if gradient.shape else float(gradient)
    if plan["cache"]:
        given[plan["cache"]] = at_place(called.result, plan["cache_place"])
    given |= plan["constants"]
    given |= {name: at_place(called.result, place) for name, place in plan["passed"].items()}
    for name, source in [*((one, one) for one in plan["options"]), *plan["sources"].items()]:
        if source in called.arguments:
            given[name] = called.arguments[source]
        elif called.owner is not None and hasattr(called.owner, source):
            given[name] = getattr(called.owner, source)
        elif f"self.{source}" in called.arguments:
            given[name] = called.arguments[f"self.{source}"]
    if called.owner is not None:
        function = getattr(called.owner, plan["backward"].rpartition(".")[2])
    else:
        function = look_up(called.names, plan["backward"])
    return function(**given)
