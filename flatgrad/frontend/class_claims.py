"""What a class says of its attributes: in its docstring, and in comments where `__init__` assigns them.

    class Scale:
        \"\"\"w: (D,)\"\"\"

        def __init__(self, w):
            self.w = w  # shape (D,)

Both hold of the attribute and of the parameter that it is made of. What may be None has no claim.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import replace

from flatgrad.frontend.claim import Claim
from flatgrad.frontend.claim_comments import read_comment
from flatgrad.frontend.claims import claim_of, docstring_lines
from flatgrad.frontend.docstrings import read_docstring
from flatgrad.frontend.mentions import Text
from flatgrad.frontend.methods import MARK, bare
from flatgrad.frontend.source import Module, span_of


def class_claims(
    module: Module, owner: ast.ClassDef, constructor: ast.FunctionDef | None, names: frozenset[str]
) -> tuple[Claim, ...]:
    """What is said of the attributes and parameters `names`, those of the comments in `__init__` first.

    Args:
        constructor: `__init__`, with marked attributes (`frontend.methods`) or as it stands in the file.
        names: attributes without the object that has them.
    """
    stored = list(_stored(constructor)) if constructor is not None else []
    unsure = {name for name, _, value in stored if _may_be_none(value, constructor)}
    found: dict[str, Claim] = {}
    for name, statement, _ in stored:
        if [other for other, *_ in stored].count(name) > 1 or name in unsure:
            continue
        end = span_of(module, statement)
        comment = module.comments.get(end.end_line)
        if comment is not None and not module.lines[end.end_line - 1][end.end_column : comment.column].strip():
            claim = read_comment(name, Text.at(comment.text, comment.line, comment.column))
            if claim is not None and claim.shape is not None:
                found[name] = claim
    for mention in read_docstring(docstring_lines(module, owner), names):
        if not mention.is_result and mention.certain and mention.shape is not None:
            found.setdefault(mention.name, claim_of(mention))
    # `self.w = w`: what is said of one is said of the other.
    for name, _, value in stored:
        if isinstance(value, ast.Name) and value.id != name:
            for one, other in ((name, value.id), (value.id, name)):
                if one in found and other not in found:
                    found[other] = replace(found[one], name=other)
    return tuple(claim for name, claim in found.items() if name in names and name not in unsure)


def _stored(constructor: ast.FunctionDef) -> Iterator[tuple[str, ast.stmt, ast.expr]]:
    """The attributes that `__init__` assigns one at a time: their names, the statements, the values."""
    for part in ast.walk(constructor):
        match part:
            case ast.Assign(targets=[ast.Name(id=marked)], value=value) if MARK in marked:
                yield bare(marked), part, value
            case ast.Assign(targets=[ast.Attribute(value=ast.Name(id="self"), attr=name)], value=value):
                yield name, part, value


def _may_be_none(value: ast.expr, constructor: ast.FunctionDef | None) -> bool:
    if any(isinstance(part, ast.Constant) and part.value is None for part in ast.walk(value)):
        return True
    if constructor is None:
        return False
    arguments = constructor.args
    positional = [*arguments.posonlyargs, *arguments.args]
    pairs = [
        *zip(positional[len(positional) - len(arguments.defaults) :], arguments.defaults, strict=True),
        *zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True),
    ]
    optional = {one.arg for one, default in pairs if isinstance(default, ast.Constant) and default.value is None}
    return any(isinstance(part, ast.Name) and part.id in optional for part in ast.walk(value))
