"""What runs inside the sandbox: an instrumented homework, as often as the judge asks.

It and what it imports stand alone (the standard library, NumPy and `guard`): the sandbox's interpreter sees nothing of
the rest, and loads them file by file, in the order that `runner.PARTS` gives. Requests:

    load   a program (a syntax tree as data) and how to call it            -> its number
    run    at given arguments, forward and backward, free or forced        -> results, gradients when first read
    probe  the derivative of the projected result at some sites           -> arrays of the sites' shape
    slopes the same along directions                                      -> numbers
    hold   the same along a direction, while another site is held constant -> numbers
    attempts  forced runs of a program that holds many mutations           -> the values of one gradient

A reply says what the homework has changed in the modules that it shares with this one (`patched`), and nothing else.
"""

from __future__ import annotations

import ast
from typing import Any

import numpy as np

from flatgrad.diff.service.calling import PROGRAMS, Loaded
from flatgrad.diff.service.probing import hold, probe, slopes
from flatgrad.diff.service.running import attempts, run
from flatgrad.diff.service.values import FILENAME, line_of, said
from flatgrad.sandbox import guard

# How things are before homework runs.
BEFORE = guard.snapshot()
_MOST_NAMES = 100


def tree_of(data: Any) -> Any:
    """The syntax tree that `instrument.as_data` made data of."""
    if not isinstance(data, list):
        return data
    name = data[0]
    if name == "[]":
        return [tree_of(one) for one in data[1]]
    if name == "=":
        return ... if data[1] == "Ellipsis" else ast.literal_eval(data[1])
    node = getattr(ast, name)()
    for field_name, value in data[1].items():
        setattr(node, field_name, tree_of(value))
    return node


def handle(request: dict[str, Any], arrays: dict[str, np.ndarray]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Answer a request. What the homework raises is part of the answer."""
    try:
        with np.errstate(all="ignore"):
            reply, found = _OPERATIONS[request["op"]](request, arrays)
    except BaseException as error:
        reply, found = {"error": said(error), "line": line_of(error)}, {}
    if names := guard.patched(BEFORE):
        return {"patched": names[:_MOST_NAMES]}, {}
    return reply, found


def load(request: dict[str, Any], arrays: dict[str, np.ndarray]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    tree = tree_of(request["tree"])
    plan = request["plan"]
    if plan["style"] == "script":
        code: Any = compile(tree, FILENAME, "exec")
    else:
        # One statement after the other: a file may do more at its top than a function of it needs.
        code = [compile(ast.Module([node], []), FILENAME, "exec") for node in tree.body]
    number = len(PROGRAMS)
    definitions = {int(index): name for index, name in request["definitions"].items()}
    uses = {int(index): name for index, name in request["uses"].items()}
    PROGRAMS[number] = Loaded(code, plan, definitions, uses, request["recorded"])
    return {"program": number}, {}


_OPERATIONS = {"load": load, "run": run, "probe": probe, "slopes": slopes, "hold": hold, "attempts": attempts}
