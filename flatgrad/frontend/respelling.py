"""Constructs that are read as simpler ones: the whole text is written once more with the simpler ones in their place.

It is done where the text as it stands is refused, so that what is understood is never written in another way.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import replace

from flatgrad.frontend.class_spellings import plain_class
from flatgrad.frontend.comprehending import comprehension_as_loop
from flatgrad.frontend.function_tables import table_as_ways, unread_function, without_jit, without_partial
from flatgrad.frontend.held_objects import without_held_object
from flatgrad.frontend.keyed import display_of_entries
from flatgrad.frontend.known_functions import Known
from flatgrad.frontend.layer_loops import loop_over_layers
from flatgrad.frontend.list_spellings import list_by_appending
from flatgrad.frontend.local_layers import without_local_layer
from flatgrad.frontend.method_bodies import method_in_place, super_call_first
from flatgrad.frontend.nested_functions import without_nested
from flatgrad.frontend.plain_statements import plain_statements
from flatgrad.frontend.returning import loop_that_returns
from flatgrad.frontend.rewriting import replaced
from flatgrad.frontend.source import Module
from flatgrad.frontend.unfolding import Unfolded

# More statements than this are not written anew in one file.
MOST_STATEMENTS = 100


def respelled(text: Unfolded) -> Unfolded:
    """The text with simpler constructs in the place of others: the same one where nothing was to be done."""
    whole, known, steps, chosen = text, Known({}, {}), dict[str, str](), dict[tuple[str, ...], str]()
    for _ in range(MOST_STATEMENTS):
        named = plain_class(whole, chosen) or without_local_layer(whole, steps)
        named = named or without_held_object(whole, chosen) or without_nested(whole) or known.once(whole)
        named = named or without_partial(whole) or without_jit(whole)
        if named is not None:
            whole = named
            continue
        found = next(_rewritten(whole.module), None)
        if found is None:
            break
        whole = replaced(whole, *found)
    if whole is text:
        return text
    made = whole.module.functions.keys() - text.module.functions.keys()
    borrowed = replace(text.module.borrowed, functions=text.module.borrowed.functions | made)
    return replace(whole, module=replace(whole.module, borrowed=borrowed))


def _rewritten(module: Module) -> Iterator[tuple[ast.stmt, Sequence[ast.stmt]]]:
    for function in _functions(module.tree.body):
        left = loop_that_returns(module, function)
        if left is not None:
            yield left.loop, left.statements
        for statement in ast.walk(function):
            if isinstance(statement, ast.stmt) and statement is not function and _is_alone(module, statement):
                statements: Sequence[ast.stmt] | None = display_of_entries(function, statement)
                statements = statements or comprehension_as_loop(module, function, statement)
                statements = statements or list_by_appending(function, statement)
                statements = statements or loop_over_layers(module, function, statement)
                statements = statements or super_call_first(module, function, statement)
                statements = statements or method_in_place(module, function, statement)
                statements = statements or plain_statements(module, function, statement)
                statements = statements or table_as_ways(module, function, statement)
                if statements is None and unread_function(module, function, statement):
                    statements = []
                if statements is not None:
                    yield statement, statements


def _functions(body: Sequence[ast.stmt]) -> Iterator[ast.FunctionDef]:
    """The functions at the top level and the methods of its classes."""
    for statement in body:
        if isinstance(statement, ast.FunctionDef):
            yield statement
        elif isinstance(statement, ast.ClassDef):
            yield from _functions(statement.body)


def _is_alone(module: Module, node: ast.stmt) -> bool:
    """Whether a statement has its lines to itself, but for a comment."""
    before = module.lines[node.lineno - 1].encode()[: node.col_offset]
    after = module.lines[(node.end_lineno or node.lineno) - 1].encode()[node.end_col_offset or 0 :].decode().strip()
    return not before.strip() and (not after or after.startswith("#"))
