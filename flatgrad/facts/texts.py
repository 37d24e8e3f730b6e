"""Strings that are made when the program runs: kept as they are written, and no numbers."""

from __future__ import annotations

import ast

from flatgrad.diagnostics import Diagnostic, Refused
from flatgrad.frontend.environment import Lowered
from flatgrad.frontend.strings import is_text
from flatgrad.gates.entry import TABLE
from flatgrad.ir.core import Relation, Value, every_step


def check_texts(lowered: Lowered) -> None:
    """Refuses a string where a number is needed.

    Raises:
        Refused: FG034.
    """
    texts: set[Value] = set()
    for step in every_step(lowered.function.block):
        if not isinstance(step, Relation):
            continue
        made = step.gate == "opaque" and _makes_text(str(step.attrs["text"]))
        if made or (step.gate in ("alias", "let") and step.args[0] in texts):
            texts.add(step.out)
        elif step.gate in TABLE and any(value in texts for value in step.args):
            message = "a string stands where a number is needed"
            raise Refused((Diagnostic("FG034", message, step.span, "", "leave it out, or convert it"),))


def _makes_text(text: str) -> bool:
    def known(node: ast.expr) -> bool:
        return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("str", "repr")

    return is_text(ast.parse(text, mode="eval").body, known)
