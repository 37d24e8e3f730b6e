"""Forward passes that are no function with a result as they stand, as text that has one.

A forward pass in two functions: `forward_propagation` gives the scores and a cache, `compute_cost` the loss of them.
The backward function then starts at the loss, with no gradient handed in. What it is the backward pass of is a function
that calls both; it is written behind the lines of the file.

A `forward` that returns nothing and leaves its result on the object (`self.output = …`): it returns that as well, by
text at the end of its last line, so that every line keeps its number.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import replace

from flatgrad.diff.reading.calling import LABELS, RATES, is_upstream, most_returned
from flatgrad.diff.reading.names import words
from flatgrad.diff.reading.pairs import Pair, method_pair
from flatgrad.diff.reading.scope import Function, is_cache, methods_of, parameters, receiver, required
from flatgrad.frontend.liveness import own_statements, root_name
from flatgrad.frontend.source import Module, read_module, span_of

_LOSS = frozenset(("loss", "cost", "objective", "error", "entropy", "mse", "nll"))


def with_costs(module: Module, pairs: list[Pair], functions: Mapping[str, Function]) -> tuple[Module, list[Pair]]:
    """The file and its pairs, with a forward function put together where a pair has none that ends in a loss."""
    added: dict[int, tuple[str, str, tuple[Function, ...]]] = {}
    for position, pair in enumerate(pairs):
        cost = _cost_of(module, pair, functions)
        if cost is not None and pair.forward is not None:
            name = f"{pair.forward.name}_and_{cost.name}"
            text = _text(module, pair.forward, cost, pair.backward, name)
            if text and name not in functions:
                added[position] = (name, text, (pair.forward, cost))
    if not added:
        return module, pairs
    text = "\n\n\n".join([module.text.rstrip("\n") + "\n", *dict.fromkeys(one for _, one, _ in added.values())])
    whole = read_module(text, module.filename)
    found = {one.name: one for one in whole.tree.body if isinstance(one, ast.FunctionDef)}
    made: list[Pair] = []
    for position, pair in enumerate(pairs):
        forward = None if pair.forward is None else found[pair.forward.name]
        pair = replace(pair, forward=forward, backward=found[pair.backward.name])
        if position in added:
            name, _, inside = added[position]
            pair = replace(pair, forward=found[name], inside=tuple(found[one.name] for one in inside))
        made.append(pair)
    return whole, made


def _cost_of(module: Module, pair: Pair, functions: Mapping[str, Function]) -> Function | None:
    """The function that makes a loss of what the forward function returns, where the backward one begins at it."""
    if pair.owner is not None or pair.forward is None or not pair.certain:
        return None
    row = most_returned(module, pair.forward)
    if row is None:
        return None
    results = {one.name for one in row.elements}
    own = {*parameters(pair.forward, False), *results}
    rest = [one for one in required(pair.backward, False) if one not in own and not is_cache(one)]
    if not rest or any(is_upstream(one, tuple(results)) and one.lower() == one for one in rest if one.startswith("d")):
        return None
    for name, node in functions.items():
        taken = parameters(node, False)
        if _LOSS & set(words(name)) and node not in (pair.forward, pair.backward) and set(rest) <= set(taken):
            if not any(one in taken for one in ("cache", "dout")):
                return node
    return None


# What a layer calls its result.
_OUTPUTS = (
    *("output", "outputs", "out", "activations", "activation", "result", "a", "A", "z", "Z", "y", "Y", "h"),
    *("value", "loss"),
)


def with_outputs(module: Module) -> Module:
    """The file in which each forward method that has a backward one returns what it leaves on its object."""
    lines = list(module.lines)
    for owner in module.tree.body:
        pair = method_pair(owner) if isinstance(owner, ast.ClassDef) else None
        if pair is None or pair.forward is None or most_returned(module, pair.forward) is not None:
            continue
        node, me = pair.forward, receiver(pair.forward)
        stored = [
            part.attr
            for statement in own_statements(node.body)
            for part in ast.walk(statement)
            if isinstance(part, ast.Attribute) and isinstance(part.ctx, ast.Store) and root_name(part) == me
        ]
        names = [one for one in _OUTPUTS if one in stored] or stored[-1:]
        last = node.body[-1]
        if names and not any(isinstance(one, ast.Return) for one in own_statements(node.body)):
            _append(lines, module, last, f"return {me}.{names[0]}")
    text = "\n".join(lines)
    return module if text == module.text else read_module(text, module.filename)


def _append(lines: list[str], module: Module, last: ast.stmt, text: str) -> None:
    """Put a statement behind another one without a new line: on its line, or on the blank one below it."""
    span = span_of(module, last)
    if isinstance(last, ast.Assign | ast.AugAssign | ast.Expr | ast.AnnAssign):
        line = lines[span.end_line - 1]
        lines[span.end_line - 1] = f"{line[: span.end_column]}; {text}{line[span.end_column :]}"
    elif span.end_line < len(lines) and not lines[span.end_line].strip():
        lines[span.end_line] = " " * span.column + text


def _text(module: Module, forward: Function, cost: Function, backward: Function, name: str) -> str:
    row = most_returned(module, forward)
    if row is None:
        return ""
    results = [one.name or f"result_{position}" for position, one in enumerate(row.elements)]
    taken = list(required(forward, False))
    given: list[str] = []
    outputs = [one for one in results if not is_cache(one)]
    for one in required(cost, False):
        if one not in results and one not in taken and not any(part in outputs for part in given):
            given.append(outputs[0])
        else:
            given.append(one)
    asked = [*taken, *(one for one in given if one not in results and one not in taken)]
    bound = ", ".join(results)
    lines = [
        f"def {name}({', '.join(asked)}):",
        f"    {bound} = {forward.name}({', '.join(f'{one}={one}' for one in taken)})",
        f"    cost = {cost.name}({', '.join(given)})",
        f"    return cost, {bound}",
    ]
    return "\n".join(lines) + "\n"


# The same for a class: `forward(X)`, `compute_loss(y, y_hat)` and `backward(X, y)`


def with_method_costs(module: Module) -> tuple[Module, dict[str, tuple[str, str, str]]]:
    """The file with a method put together for each class whose `backward` is handed the labels, in the line below it.

    Also, by class, the names of that method, of the forward method and of the one that makes the loss.
    """
    lines = list(module.lines)
    found: dict[str, tuple[str, str, str]] = {}
    functions = {one.name: one for one in module.tree.body if isinstance(one, ast.FunctionDef)}
    for owner in module.tree.body:
        pair = method_pair(owner) if isinstance(owner, ast.ClassDef) else None
        if pair is None or pair.forward is None or not pair.certain or not isinstance(owner, ast.ClassDef):
            continue
        labels = [one for one in parameters(pair.backward, True) if one in LABELS]
        if len(labels) != 1 or labels[0] in parameters(pair.forward, True):
            continue
        candidates = {**functions, **methods_of(owner)}
        cost = next(
            (one for name, one in candidates.items() if _makes_loss(one, pair, one is not functions.get(name))), None
        )
        end = owner.end_lineno or 0
        if cost is not None and (end >= len(lines) or not lines[end].strip()):
            name = f"{pair.forward.name.strip('_')}_and_{cost.name}"
            lines[end : end + 1] = [_method(pair, cost, labels[0], name, cost in methods_of(owner).values())]
            found[owner.name] = (name, pair.forward.name, cost.name)
    return (read_module("\n".join(lines), module.filename) if found else module), found


def _makes_loss(node: Function, pair: Pair, method: bool) -> bool:
    if not _LOSS & set(words(node.name)) or node in (pair.forward, pair.backward):
        return False
    if any(word in ("derivative", "prime", "grad", "gradient", "backward") for word in words(node.name)):
        return False
    taken = required(node, method)
    return len(taken) == 2 and len([one for one in taken if one in LABELS or one.lower() in ("y", "t")]) == 1


def _method(pair: Pair, cost: Function, label: str, name: str, method: bool) -> str:
    assert pair.forward is not None
    taken = required(pair.forward, True)
    rest = [one for one in required(pair.backward, True) if one not in taken and one != label]
    rest = [one for one in rest if one.lower() not in RATES]
    result = rest[0] if len(rest) == 1 else "result"
    given = [label if one in LABELS or one.lower() in ("y", "t") else result for one in required(cost, method)]
    parts = [
        f"{result} = self.{pair.forward.name}({', '.join(taken)})",
        f"cost = {'self.' if method else ''}{cost.name}({', '.join(given)})",
        f"return cost, {result}",
    ]
    return f"{' ' * pair.forward.col_offset}def {name}(self, {', '.join([*taken, label])}): {'; '.join(parts)}"
