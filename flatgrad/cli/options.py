"""What several commands read from the command line: shapes, lists of names, names of functions."""

from __future__ import annotations

from pathlib import Path

import click


def shapes_of(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    found: dict[str, str] = {}
    for value in values:
        name, sign, dims = value.partition("=")
        name = name.strip()
        if not sign or not name.isidentifier():
            raise click.BadParameter(f"{value!r}: write it as X=N,D, and a scalar as X=")
        if name in found:
            raise click.BadParameter(f"{name} is given twice")
        found[name] = dims.strip()
    return tuple(found.items())


def name_list(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    from flatgrad.config import split_names

    try:
        return tuple(name for value in values for name in split_names(value))
    except ValueError as error:
        raise click.BadParameter(f"{error}: write it as W1,b1") from None


def name_pairs(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    found: dict[str, str] = {}
    for pair in ",".join(values).split(",") if values else ():
        mine, sign, theirs = (part.strip() for part in pair.rpartition("="))
        if not sign or not mine or not theirs.replace(".", "_").isidentifier():
            raise click.BadParameter(f"{pair!r}: write it as delta1=h")
        if found.setdefault(mine, theirs) != theirs:
            raise click.BadParameter(f"{mine} is given twice")
    return tuple(found.items())


def complete_functions(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """The functions of the model files on the command line so far, for the shell's completion."""
    import ast

    from flatgrad.diagnostics import Refused
    from flatgrad.reading import read_source

    names: list[str] = []
    # Click parses as far as it can: before an unfinished option, the words are still in `args`.
    for model in (*(ctx.params.get("models") or ()), *ctx.args):
        try:
            tree = ast.parse(read_source(Path(model).read_bytes(), model).text)
        except (OSError, SyntaxError, ValueError, Refused):
            continue
        names += [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    return [name for name in names if name.startswith(incomplete)]


shape_option = click.option(
    "--shape",
    "shapes",
    multiple=True,
    callback=shapes_of,
    metavar="X=N,D",
    help="The shape of a parameter; may be repeated.",
)
