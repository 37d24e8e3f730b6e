"""`flatgrad diff`."""

from __future__ import annotations

from pathlib import Path

import click

from flatgrad.cli.leaving import CLEAN, internal_error
from flatgrad.cli.options import name_list, name_pairs


@click.command("diff")
@click.argument(
    "files", nargs=-1, metavar="[MODEL] HOMEWORK...", type=click.Path(exists=True, dir_okay=False, allow_dash=True)
)
@click.option(
    "--model",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True),
    metavar="PATH",
    help="The forward pass to hold homework against, where the model has a backward pass too.",
)
@click.option("--function", "functions", multiple=True, metavar="NAME", help="Only this function; may be repeated.")
@click.option(
    "--names",
    multiple=True,
    callback=name_pairs,
    metavar="MINE=THEIRS",
    help="What a gradient's name stands for: delta1=h; may be repeated.",
)
@click.option(
    "--wrt",
    multiple=True,
    callback=name_list,
    metavar="W1,b1",
    help="The gradients that are required, where the homework returns none.",
)
@click.option(
    "--inputs",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="NPZ",
    help="The arguments, by their names.  [default: drawn, of several seeds and sizes]",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="The first seed.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="For one run of the homework.  [default: 20]",
)
@click.option("--hint", is_flag=True, help="Place and kind of every mistake, without the answer.")
@click.option(
    "--format",
    "style",
    type=click.Choice(["text", "json", "html"]),
    default="text",
    show_default=True,
    help="For a terminal, for a program, or a page to hand back.",
)
@click.option(
    "-o", "target", type=click.Path(dir_okay=False, allow_dash=True), metavar="PATH", help="Where to write the report."
)
@click.option("--isolation", is_flag=True, help="Print what homework is kept from on this machine, and leave.")
def diff_command(
    files: tuple[str, ...],
    model: str | None,
    functions: tuple[str, ...],
    names: tuple[tuple[str, str], ...],
    wrt: tuple[str, ...],
    inputs: Path | None,
    seed: int,
    timeout: float | None,
    hint: bool,
    style: str,
    target: str | None,
    isolation: bool,
) -> int:
    """Judge handwritten backward code line by line, and say why a line is wrong.

    Of several files the first is the model, unless it has a backward pass by hand itself. HOMEWORK is run, in a process
    of its own that is kept from files and network as far as the system allows: see --isolation. Exit code 1: something
    is wrong or missing; 2: not to be judged.
    """
    from flatgrad.diff import command
    from flatgrad.diff.options import DEFAULT_TIMEOUT, CompareOptions

    if isolation:
        command.show_isolation()
        return CLEAN
    if not files:
        raise click.UsageError("name a homework file, or - for stdin")
    options = CompareOptions(functions, names, wrt, inputs, seed, DEFAULT_TIMEOUT if timeout is None else timeout)
    path = None if target in (None, "-") else Path(str(target))
    return command.run(files, model, options, command.Output(style, path, hint), internal_error)
