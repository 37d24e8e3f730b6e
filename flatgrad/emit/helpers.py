"""The user's functions that a module takes over as they are."""

from __future__ import annotations

import ast
from collections.abc import Sequence

from flatgrad.emit.plan import FunctionText
from flatgrad.frontend.source import Module
from flatgrad.gates.entry import OWN
from flatgrad.gates.installed import declared_paths


def helper_texts(module: Module, functions: tuple[FunctionText, ...], plain: Sequence[str]) -> tuple[str, ...]:
    """The functions that forward, or a `plain` text, calls as they are: those that stand for a gate, those that carry
    no gradient."""
    wanted: list[str] = []
    plain_names = frozenset(name for text in plain for name in _read_names(text))
    pending = [f"def header({one.forward.signature}): pass" for one in functions]
    pending += [f"{name}()" for name in sorted(plain_names)]
    pending += ["\n".join(line for one in functions for line in one.forward.lines if not line.startswith("return "))]
    # Backward calls its own pairs, and of the user's functions only those with a declared gate.
    declared = [path.removeprefix(f"{OWN}.") for path in declared_paths() if path.startswith(f"{OWN}.")]
    if declared:
        called = _read_names("\n".join(line for one in functions for line in one.backward_lines))
        pending += [f"{name}()" for name in declared if name in called]
    imported = {called for pair in module.borrowed.pairs.values() for _, called in pair.names}
    while pending:
        own = set(module.functions) - imported - set(module.borrowed.pairs)
        for name in sorted(_read_names(pending.pop()) & own - set(wanted)):
            wanted.append(name)
            pending.append(_plain_text(module, name))
    written = {one.forward_name for one in functions}
    return tuple(_plain_text(module, name) for name in module.functions if name in wanted and name not in written)


def _read_names(text: str) -> frozenset[str]:
    parts = [part for part in ast.walk(ast.parse(text)) if isinstance(part, ast.Name)]
    return frozenset(part.id for part in parts if isinstance(part.ctx, ast.Load))


def _plain_text(module: Module, name: str) -> str:
    node = module.functions[name]
    first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
    return "\n".join(module.lines[first - 1 : node.end_lineno])
