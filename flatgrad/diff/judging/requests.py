"""What the service is asked, as data: arguments, truths, and how a homework is called."""

from __future__ import annotations

import ast
from typing import Any

import numpy as np

from flatgrad.diff.homework import Homework, Style
from flatgrad.diff.judging.gradients import normal
from flatgrad.diff.judging.instrument import Program, find_function
from flatgrad.diff.judging.runs import Floats, Truths


def encoded(value: Any, arrays: dict[str, Floats]) -> Any:
    """An argument as data for the service, its arrays apart."""
    if isinstance(value, np.ndarray):
        name = f"argument{len(arrays)}"
        arrays[name] = value
        return {"array": name}
    if isinstance(value, dict):
        return {"dict": [[key, encoded(one, arrays)] for key, one in value.items()]}
    if isinstance(value, tuple | list):
        kind = "tuple" if isinstance(value, tuple) else "list"
        return {kind: [encoded(one, arrays) for one in value]}
    return value.item() if isinstance(value, np.generic) else value


def truths_as_data(forced: Truths, arrays: dict[str, Floats]) -> list[Any]:
    """Truths as data for the service, the arrays apart."""
    data = []
    for (target, lines, key), truths in forced.items():
        names: list[str | None] = []
        for truth in truths:
            names.append(None if truth is None else f"truth{len(arrays)}")
            if truth is not None:
                arrays[f"truth{len(arrays)}"] = truth
        data.append([target, list(lines), key, names])
    return data


def plan_of(homework: Homework, program: Program) -> dict[str, Any]:
    """How the service calls a homework."""
    numbers = {target.text: target.index for target in program.targets}
    line = _return_line(homework)
    returned = [
        {
            "target": numbers.get(normal(one.target)) if one.target else None,
            "place": None if one.place is None else list(one.place),
            "text": one.target,
            "line": line,
        }
        for one in homework.returned
    ]
    return {
        "style": homework.style.value,
        "forward": homework.forward,
        "backward": homework.backward,
        "attributes": list(homework.attributes),
        "loss": [list(place) for place in homework.loss],
        "script_result": homework.script_result,
        "upstream": list(homework.upstream),
        "cache": homework.cache,
        "cache_place": list(homework.cache_place),
        "options": list(homework.options),
        "sources": dict(homework.sources),
        "constants": dict(homework.constants),
        "passed": {name: list(place) for name, place in homework.passed.items()},
        "returned": returned,
    }


def _return_line(homework: Homework) -> int:
    """The line of the last return of the backward function."""
    if homework.style is Style.SCRIPT:
        return len(homework.text.splitlines())
    function = find_function(ast.parse(homework.text), homework.backward)
    lines = [node.lineno for node in ast.walk(function) if isinstance(node, ast.Return)]
    return max(lines, default=function.lineno)
