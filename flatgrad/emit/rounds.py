"""Loops over layers, which run the other way as `for layer in reversed(self.layers)`, and over the keys of dicts."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable

from flatgrad.ir.core import Block, Literal, Loop, Relation, Value, every_step


def layers_run_over(block: Block) -> dict[Value, tuple[str, Value]]:
    """For the index of each loop over a list of layers, what a round calls its layer, and the list; for that of each
    loop over a dict, what it calls the key, and the keys."""
    found: dict[Value, tuple[str, Value]] = {}
    lengths = {
        step.out: step.args[0]
        for step in every_step(block)
        if isinstance(step, Relation) and step.gate == "dim" and step.attrs["axis"] == 0
    }
    for loop in every_step(block):
        if not isinstance(loop, Loop) or len(loop.bounds) != 3 or not isinstance(loop.bounds[1], Value):
            continue
        first, last, by = loop.bounds
        whole = isinstance(first, Literal) and first.value == 0 and isinstance(by, Literal) and by.value == 1
        called = {s.args[0] for s in every_step(loop.body) if isinstance(s, Relation) and s.gate == "layer"}
        entries = (s for s in every_step(loop.body) if isinstance(s, Relation) and s.gate == "entry")
        called |= {entry.args[1] for entry in entries if len(entry.args) > 1}
        for step in loop.body.body:
            match step:
                case Relation(gate="read", args=(Value() as sequence,)) if step.attrs["index"] == (loop.index,):
                    # A loop over the first two layers does not go back through all of them.
                    all_of_them = whole and isinstance(last, Value) and lengths.get(last) is sequence
                    if step.out in called and step.out.name and loop.count is None and all_of_them:
                        found[loop.index] = (step.out.name, sequence)
    return found


def over_layers(index: ast.Name, layer: str, sequence: ast.expr) -> tuple[ast.For, ast.For]:
    """The head of a loop that runs a list backwards: with the index, and without."""

    def backwards(over: ast.expr) -> ast.expr:
        return ast.Call(ast.Name("reversed", ast.Load()), [over], [])

    match sequence:
        case ast.Call(func=ast.Name(id="list"), args=[keys]):
            sequence = keys  # a dict can be run backwards, too
    target = ast.Name(layer, ast.Store())
    numbered = ast.Call(ast.Name("enumerate", ast.Load()), [sequence], [])
    both = ast.Tuple([index, target], ast.Store())
    whole = ast.Call(ast.Name("list", ast.Load()), [numbered], [])
    return ast.For(both, backwards(whole), [], []), ast.For(target, backwards(sequence), [], [])


def bound_name(line: ast.stmt) -> str:
    """The name that a line binds; '' where it is no plain assignment."""
    match line:
        case ast.Assign(targets=[ast.Name(id=name)]):
            return name
    return ""


def reads_index(head: ast.For, lines: Iterable[str]) -> bool:
    """Whether the lines of a round read the index that is the first part of the target."""
    assert isinstance(head.target, ast.Tuple)
    index = head.target.elts[0]
    assert isinstance(index, ast.Name)
    return any(re.search(rf"\b{re.escape(index.id)}\b", line) for line in lines)
