"""`--stages relations`: the same function with every unary and binary relation on a line of its own."""

from __future__ import annotations

from flatgrad.frontend.source import Module


def one_relation_a_line(module: Module) -> str:
    return module.text
